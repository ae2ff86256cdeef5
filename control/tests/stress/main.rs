//! Four workers on their own threads, a writer that adds, moves and removes ports and rows under
//! them, traffic between all of it: the books balance, no frame is lost, none reaches a port it is
//! not for, none overtakes another of its flow. `STRESS_SECONDS=n` makes it longer (3).
//!
//! Rules: W1

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod flows;
mod machine;
mod world;

use control::rows::Rows;
use control::writer::{Limits, Writer};
use dataplane::drop_reason::DropReason;
use dataplane::handoff::mesh;
use dataplane::umem::Umem;
use dataplane::worker::Worker;
use machine::{Machine, Report, Shared};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use world::World;

const WORKERS: usize = 4;
const FRAMES: usize = 2048;

#[test]
fn four_workers_under_churn_lose_nothing_and_reorder_nothing() {
    let seconds = std::env::var("STRESS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let mut world = World::new();
    let rows = Rows::derive(world.cloud(), "H1").unwrap();
    let mut writer = Writer::new(WORKERS, Limits::for_rows(&rows));
    writer.apply(&rows, None).unwrap();
    let shared = Shared::new(WORKERS);
    let mut umem = Umem::new(WORKERS * FRAMES);
    let pools = umem.pools(WORKERS);
    let links = mesh(&pools, 256).unwrap();
    shared.plan(&writer);
    let mut machines: Vec<Machine<'_>> = Vec::new();
    for (id, (pool, links)) in pools.into_iter().zip(links).enumerate() {
        let mut worker = Worker::new(writer.view(id).unwrap(), pool, 512, 1);
        worker.connect(links);
        machines.push(Machine::new(worker, id, &shared));
    }
    let learn: Vec<_> = machines.iter().map(Machine::learn_queue).collect();
    let counters: Vec<_> = machines.iter().map(Machine::counters).collect();
    let clock = Instant::now();
    let end = clock + Duration::from_secs(seconds);
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let threads: Vec<_> = machines.into_iter().map(|m| scope.spawn(|| m.run())).collect();
        let traffic = shared.traffic(); // ends also when something here fails
        while Instant::now() < end && !threads.iter().any(|t| t.is_finished()) {
            world.change();
            let rows = Rows::derive(world.cloud(), "H1").unwrap();
            writer.apply(&rows, Some(clock.elapsed().as_nanos() as u64)).unwrap();
            shared.plan(&writer);
            learn.iter().for_each(|queue| std::iter::from_fn(|| queue.pop()).for_each(|r| writer.report(&r)));
            writer.run_timers(clock.elapsed().as_nanos() as u64);
            writer.take_made(); // probes have nobody to answer them here
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(traffic);
        threads.into_iter().map(|t| t.join().expect("a worker failed, see above")).collect()
    });

    let sum = |of: &dyn Fn(&dataplane::counters::WorkerCounters) -> u64| counters.iter().map(|c| of(c)).sum::<u64>();
    let drops: BTreeMap<&str, u64> =
        DropReason::ALL.iter().map(|r| (r.name(), sum(&|c| c.reason(*r).get()))).filter(|(_, n)| *n > 0).collect();
    let (received, sent) = (sum(&|c| c.received.get()), sum(&|c| c.sent.get()));
    let handed = sum(&|c| c.handed_over.get());
    let total = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (injected, seen, slept) = (total(|r| r.injected), total(|r| r.seen), total(|r| r.slept));
    println!(
        "{seconds} s: {received} frames received, {sent} sent, {handed} handed over, {} batches, {} ports added, \
         {} indexes reused, {slept} sleeps, drops {drops:?}",
        world.batches,
        world.added,
        shared.reused(),
    );
    assert_eq!(reports.iter().find_map(|r| r.wrong.as_ref()), None);
    // What went in was received, what was sent was seen by a wire, and everything in between is in the books.
    assert_eq!((received, sent), (injected, seen));
    let begun = received + sum(&|c| c.generated.get()) + sum(&|c| c.copied.get());
    assert_eq!(begun, sent + sum(&|c| c.dropped.get()) + sum(&|c| c.consumed.get()), "and no flood waits any more");
    assert_eq!(handed, sum(&|c| c.taken_over.get()));
    assert!(reports.iter().all(|r| r.frames == (FRAMES, FRAMES)), "frames were lost: {reports:?}");
    // Nothing else may happen to these frames.
    let may = [
        "port_down",
        "port_gone",
        "unknown_unicast",
        "dvr_unknown_dst",
        "no_neigh",
        "neigh_queue_full",
        "tx_full",
        "handoff_full",
        "no_frame",
        "no_receiver",
        "storm",
    ];
    assert!(drops.keys().all(|r| may.contains(r)), "{drops:?}");
    // And the test has tried what it says.
    assert!(handed > 10_000 && sent > 50_000 && world.added > 20 && shared.reused() > 10, "too little happened");
    assert!(
        drops.contains_key("port_gone") || drops.contains_key("port_down"),
        "{drops:?}: no port went away under traffic"
    );
}
