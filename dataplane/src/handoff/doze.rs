//! [`Doze`]: does a worker sleep, and who wakes it?

use crate::sync::{AtomicU64, Ordering, fence};

const AWAKE: u64 = 0;
const ASLEEP: u64 = 1;

/// A flag between one sleeper and those who bring it work. The sleeper sets it, then looks for work
/// once more; who brings work stores it, then looks at the flag. A fence stands between the store
/// and the look on each side, so one of the two sees the other's store.
#[derive(Debug)]
pub(super) struct Doze(AtomicU64);

impl Doze {
    pub fn new() -> Self {
        Doze(AtomicU64::new(AWAKE))
    }

    /// The sleeper, before it looks for work the last time.
    pub fn announce(&self) {
        self.0.store(ASLEEP, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// After work was stored: must the sleeper be woken, and by us? The first who asks wakes it for all.
    #[inline]
    pub fn ask(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == ASLEEP && self.0.swap(AWAKE, Ordering::Relaxed) == ASLEEP
    }

    /// The sleeper, up again. Who saw it asleep may still wake it.
    pub fn end(&self) {
        self.0.store(AWAKE, Ordering::Relaxed);
    }
}

#[cfg(all(loom, test))]
mod model {
    use super::*;
    use crate::sync::modelled::{Weaker, seen, weaken};
    use loom::thread;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64 as Count;

    /// Two bring work while one falls asleep: if it did not see the work, somebody wakes it, once.
    fn nobody_sleeps_over_work() -> u64 {
        let count = Arc::new(Count::new(0));
        let counted = Arc::clone(&count);
        loom::model(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let all = Arc::new((Doze::new(), [AtomicU64::new(0), AtomicU64::new(0)]));
            let bring = |n: usize| {
                let all = Arc::clone(&all);
                thread::spawn(move || {
                    all.1[n].store(1, Ordering::Release);
                    all.0.ask()
                })
            };
            let (first, second) = (bring(0), bring(1));
            all.0.announce();
            let slept = all.1.iter().any(|work| work.load(Ordering::Acquire) == 0);
            let rang = u8::from(first.join().unwrap()) + u8::from(second.join().unwrap());
            assert!(!slept || rang > 0, "asleep over work");
            assert!(rang <= 1, "woken twice");
            all.0.end();
        });
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn a_sleeper_sees_the_work_or_is_woken() {
        println!("sleep and hand-off: {} executions", nobody_sleeps_over_work());
    }

    /// Each ordering of this file is needed: weaker, somebody sleeps over work.
    #[test]
    fn each_fence_is_needed() {
        nobody_sleeps_over_work();
        let ours: Vec<Weaker> = seen().into_iter().filter(|w| w.file.ends_with("doze.rs") && w.line < 40).collect();
        assert_eq!(ours.len(), 2, "{ours:?}");
        for fence in ours {
            weaken(Some(fence));
            let held = std::panic::catch_unwind(nobody_sleeps_over_work).is_ok();
            weaken(None);
            assert!(!held, "{fence:?} is not needed");
        }
    }
}
