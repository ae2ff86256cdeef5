use super::*;
use crate::writer::Limits;
use dataplane::umem::Umem;
use std::time::Instant;

pub(in crate::daemon) fn idle_workers<'u>(writer: &Writer, umem: &'u mut Umem, count: usize) -> Vec<Worker<'u>> {
    let pools = umem.pools(count);
    let links = mesh(&pools, RING).unwrap();
    let worker = |(id, (pool, links))| {
        let mut worker = Worker::new(writer.view(id).unwrap(), pool, 8, 0);
        worker.connect(links);
        worker
    };
    pools.into_iter().zip(links).enumerate().map(worker).collect()
}

/// The scope waits for the threads: without being told to stop they would work for ever, and the panic be never seen.
#[test]
fn a_panic_of_the_thread_that_owns_the_model_ends_the_workers() {
    let mut umem = Umem::new(256);
    let writer = Writer::new(2, Limits::default());
    let workers = idle_workers(&writer, &mut umem, 2);
    let handles = Handles::of(&workers);
    let stop = AtomicBool::new(false);
    // They sleep long: the bells have to be rung too.
    let idle = Idle::Adaptive { spin: Duration::ZERO, sleep: Duration::from_secs(600) };
    let start = Instant::now();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::thread::scope(|scope| {
            let ends = Stop { stop: &stop, handles: &handles };
            let running = Running::start(scope, workers, idle, &[], &ends).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            assert_eq!(running.dead(), None);
            if start.elapsed() > Duration::ZERO {
                panic!("the log is broken");
            }
            running.stop(ends).len()
        })
    }));
    assert_eq!(*ended.unwrap_err().downcast_ref::<&str>().unwrap(), "the log is broken");
    assert!(start.elapsed() < Duration::from_secs(60));
}
