//! [`Bell`]: wakes a worker that sleeps.

use super::doze::Doze;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::{read, write};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// An eventfd and a flag that says whether anybody needs it: ringing costs a fence while the worker
/// is awake, one system call when it sleeps. No wake-up is lost (`doze.rs`).
#[derive(Debug)]
pub struct Bell {
    doze: Doze,
    event: OwnedFd,
    epoll: OwnedFd,
}

impl Bell {
    /// Fails if the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let bell = Bell { doze: Doze::new(), event, epoll };
        bell.watch(&bell.event)?;
        Ok(bell)
    }

    /// After work was stored where the worker looks.
    #[inline]
    pub fn ring(&self) {
        if self.doze.ask() {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // An eventfd that is full is ringing already.
        let _ = write(&self.event, &1u64.to_ne_bytes());
    }

    /// Sleep ends from now on when `fd` (a socket, readable) has something. Fails if it cannot be
    /// watched; a closed one is forgotten by the kernel.
    pub fn watch(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?)
    }

    /// Sleeps until the bell rings, something watched is readable, or `at_most` is over; not at all
    /// if `has_work`, asked once more after it is known that we sleep. Returns whether it slept.
    pub fn sleep(&self, at_most: Duration, has_work: impl FnOnce() -> bool) -> bool {
        self.doze.announce();
        let slept = !has_work();
        if slept {
            let limit = Timespec { tv_sec: at_most.as_secs().min(3600) as i64, tv_nsec: at_most.subsec_nanos().into() };
            let mut seen = [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
            // Interrupted or refused: the caller looks for work and comes again.
            let _ = epoll::wait(&self.epoll, &mut seen[..], Some(&limit));
            // Whatever ended it: who asked whether we sleep before may ring only after, and an
            // eventfd left readable would end every later sleep at once.
            let _ = read(&self.event, &mut [0; 8]);
        }
        self.doze.end();
        slept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    #[test]
    fn nobody_sleeps_over_work() {
        let bell = Bell::new().unwrap();
        let start = Instant::now();
        assert!(!bell.sleep(Duration::from_secs(60), || true));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn sleep_ends_by_itself() {
        let bell = Bell::new().unwrap();
        assert!(bell.sleep(Duration::from_millis(1), || false));
        bell.ring();
        let start = Instant::now();
        assert!(bell.sleep(Duration::from_millis(20), || false));
        assert!(start.elapsed() >= Duration::from_millis(20), "a ring while awake wakes nobody later");
    }

    /// Somebody saw us asleep, and rings when we are up again: that ends one later sleep, no more.
    #[test]
    fn a_late_ring_ends_one_sleep_only() {
        let bell = Bell::new().unwrap();
        bell.doze.announce();
        assert!(bell.doze.ask());
        bell.doze.end();
        bell.wake();
        let slept = |n: u64| {
            let start = Instant::now();
            assert!(bell.sleep(Duration::from_millis(n), || false));
            start.elapsed()
        };
        slept(1000);
        assert!(slept(20) >= Duration::from_millis(20));
        assert!(slept(20) >= Duration::from_millis(20));
    }

    #[test]
    fn a_readable_socket_ends_sleep() {
        use std::io::Write;
        let (mut a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        a.write_all(b"x").unwrap();
        let bell = Bell::new().unwrap();
        let start = Instant::now();
        bell.watch(&b).unwrap();
        assert!(bell.sleep(Duration::from_secs(60), || false));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    /// 20,000 pieces of work, each brought while the other side may be about to fall asleep; a lost
    /// wake-up would cost a minute.
    #[test]
    fn no_wake_up_is_lost() {
        let (bell, work) = (Arc::new(Bell::new().unwrap()), Arc::new(AtomicU64::new(0)));
        let (b, w) = (Arc::clone(&bell), Arc::clone(&work));
        let start = Instant::now();
        let sleeper = std::thread::spawn(move || {
            let mut slept = 0;
            for n in 1..=20_000u64 {
                while w.load(Ordering::Acquire) < n {
                    slept += u64::from(b.sleep(Duration::from_secs(60), || w.load(Ordering::Acquire) >= n));
                }
                w.store(u64::MAX, Ordering::Release);
                while w.load(Ordering::Acquire) == u64::MAX {
                    std::thread::yield_now();
                }
            }
            slept
        });
        std::thread::sleep(Duration::from_millis(100)); // it sleeps at least now, however busy the machine
        for n in 1..=20_000 {
            work.store(n, Ordering::Release);
            bell.ring();
            while work.load(Ordering::Acquire) != u64::MAX {
                std::thread::yield_now();
            }
            work.store(0, Ordering::Release);
            (0..n * 7919 % 4000).for_each(|_| std::hint::spin_loop()); // now before, now after it falls asleep
        }
        assert!(sleeper.join().unwrap() > 0, "it never slept: the test showed nothing");
        assert!(start.elapsed() < Duration::from_secs(50));
    }
}
