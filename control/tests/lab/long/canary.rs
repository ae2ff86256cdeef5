//! A thread that does nothing but look at its own CPU time, four milliseconds in twenty: what it sees pass at once is the machine's
//! doing, interrupts and what the kernel does at their end, which a worker on the same core is charged for too.

use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is long, as for workers.
const LONG: Duration = Duration::from_millis(1);
const WATCHES: Duration = Duration::from_millis(4);
const SLEEPS: Duration = Duration::from_millis(16);

pub struct Canary {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What it saw.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    /// Its CPU time.
    pub watched: Duration,
    /// Times that were long at once.
    pub long: u32,
    /// The longest.
    pub longest: Duration,
}

impl Canary {
    pub fn start() -> Canary {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        Canary { stop, thread: std::thread::spawn(move || watch(&told)) }
    }

    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn watch(stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !stop.load(Ordering::Relaxed) {
        let start = cpu_time();
        let mut before = start;
        while before - start < WATCHES {
            let now = cpu_time();
            let passed = now - before;
            seen.long += u32::from(passed > LONG);
            seen.longest = seen.longest.max(passed);
            before = now;
        }
        seen.watched += before - start;
        std::thread::sleep(SLEEPS);
    }
    seen
}

/// Of this thread.
fn cpu_time() -> Duration {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), u32::try_from(t.tv_nsec).unwrap_or(0))
}
