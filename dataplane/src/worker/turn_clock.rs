//! The longest turn of a worker, while somebody wants to know ([`Worker::time_turns`](super::Worker::time_turns)).
//!
//! In CPU time of its thread: what others do on its core in between is not in it. A system call is: in copy mode the kernel
//! does a receiver's work inside of the call that sends, and the clock gives that to the caller. So calls are measured apart.

use crate::counters::Counter;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::time::Duration;

/// A turn that computes longer, its calls of the kernel left out, makes packets wait: 1 ms.
pub const LONG_TURN: Duration = Duration::from_millis(1);

thread_local! {
    /// Nanoseconds of CPU time in the kernel's calls since the turn began; none: nobody measures.
    static IN_KERNEL: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Turns of a worker, ns of CPU time.
#[derive(Debug, Default)]
pub struct TurnCounters {
    /// Turns measured.
    pub measured: Counter,
    /// All of them together, without their calls of the kernel.
    pub own: Counter,
    /// The longest.
    pub longest: Counter,
    /// The longest without its calls of the kernel.
    pub longest_own: Counter,
    /// Turns that took longer than [`LONG_TURN`] without their calls of the kernel.
    pub long: Counter,
}

/// A worker's. Measures its own thread only.
#[derive(Debug, Default)]
pub(super) struct TurnClock {
    started: Option<u64>,
}

impl TurnClock {
    /// A turn begins.
    pub fn start(&mut self) {
        IN_KERNEL.set(Some(0));
        self.started = Some(cpu_time());
    }

    /// It ends.
    pub fn end(&mut self, count: &TurnCounters) {
        let Some(started) = self.started.take() else { return };
        let turn = cpu_time().saturating_sub(started);
        let own = turn.saturating_sub(IN_KERNEL.take().unwrap_or(0));
        count.measured.add(1);
        count.own.add(own);
        count.longest.set(count.longest.get().max(turn));
        count.longest_own.set(count.longest_own.get().max(own));
        count.long.add(u64::from(own > LONG_TURN.as_nanos() as u64));
    }
}

/// Does a call of the kernel; its time is not the worker's own, if that is measured.
#[inline(always)]
pub(crate) fn in_kernel<R>(call: impl FnOnce() -> R) -> R {
    match IN_KERNEL.get() {
        None => call(),
        Some(before) => {
            let start = cpu_time();
            let answer = call();
            IN_KERNEL.set(Some(before + cpu_time().saturating_sub(start)));
            answer
        }
    }
}

/// `CLOCK_THREAD_CPUTIME_ID`, ns.
fn cpu_time() -> u64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works for so much CPU time.
    fn busy(time: Duration) {
        let start = cpu_time();
        while cpu_time() - start < time.as_nanos() as u64 {}
    }

    #[test]
    fn a_turn_is_cpu_time_and_calls_of_the_kernel_are_told_apart() {
        const MS: u64 = 1_000_000;
        let (mut clock, count) = (TurnClock::default(), TurnCounters::default());
        clock.start();
        std::thread::sleep(Duration::from_millis(30)); // no CPU time
        clock.end(&count);
        assert!(count.longest.get() < 20 * MS, "{} ns", count.longest.get());
        clock.start();
        busy(Duration::from_millis(2));
        in_kernel(|| busy(Duration::from_millis(40)));
        clock.end(&count);
        assert!(count.longest.get() >= 42 * MS, "{} ns", count.longest.get());
        let own = count.longest_own.get();
        assert!((2 * MS..40 * MS).contains(&own), "{own} ns");
        assert!((own..own + 20 * MS).contains(&count.own.get()));
        assert!((1..=2).contains(&count.long.get()), "one turn worked 2 ms");
        // Shorter ones change nothing; outside of a turn nothing is measured.
        in_kernel(|| busy(Duration::from_millis(1)));
        clock.end(&count);
        clock.start();
        clock.end(&count);
        assert_eq!((count.measured.get(), count.longest_own.get()), (3, own));
    }
}
