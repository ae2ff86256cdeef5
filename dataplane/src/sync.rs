//! The atomics of the tables: the standard library's; in a model (`--cfg loom`) those of loom,
//! which tries every order of steps and every value a load may see. See docs/testing.md, "Publication".

#[cfg(loom)]
pub(crate) use modelled::{AtomicU64, fence};
pub(crate) use std::sync::atomic::Ordering;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, fence};

/// Words that one thread alone stores.
pub(crate) trait OwnWord {
    /// What is stored, for the one who stores. A plain load; in a model no step of its own: loom
    /// remembers only the last access to a word, and the writer's would hide a reader's.
    fn own(&self) -> u64;
}

#[cfg(not(loom))]
impl OwnWord for AtomicU64 {
    #[inline(always)]
    fn own(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }
}

/// loom's atomics with one thing more: a model can ask for one ordering of the code under test,
/// named by its line, to be weaker than written. A model that then still holds does not need it.
#[cfg(loom)]
pub(crate) mod modelled {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;
    use std::panic::Location;
    use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

    /// An ordering as the source has it, and the weaker one to try.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Weaker {
        pub file: &'static str,
        pub line: u32,
        pub column: u32,
        /// Into what: `Relaxed`, or which half of AcqRel or SeqCst is left.
        pub to: &'static str,
    }

    thread_local! {
        // All threads of a model are coroutines of one thread of the system.
        static WEAK: Cell<Option<Weaker>> = const { Cell::new(None) };
        static SEEN: RefCell<BTreeSet<Weaker>> = const { RefCell::new(BTreeSet::new()) };
    }

    /// From now on this thread's models run with this ordering weakened.
    pub(crate) fn weaken(what: Option<Weaker>) {
        WEAK.set(what);
    }

    /// Every ordering that this thread's models have met.
    pub(crate) fn seen() -> BTreeSet<Weaker> {
        SEEN.with_borrow(Clone::clone)
    }

    fn order(at: &'static Location<'static>, written: Ordering) -> Ordering {
        let weaker: &[(&'static str, Ordering)] = match written {
            Acquire | Release => &[("Relaxed", Relaxed)],
            AcqRel => &[("Acquire", Acquire), ("Release", Release)],
            SeqCst => &[("AcqRel", AcqRel)],
            _ => &[],
        };
        let site = |to| Weaker { file: at.file(), line: at.line(), column: at.column(), to };
        SEEN.with_borrow_mut(|seen| seen.extend(weaker.iter().map(|(to, _)| site(to))));
        let chosen = weaker.iter().find(|(to, _)| WEAK.get() == Some(site(to)));
        chosen.map_or(written, |(_, order)| *order)
    }

    #[derive(Debug)]
    pub(crate) struct AtomicU64 {
        word: loom::sync::atomic::AtomicU64,
        /// What was stored last, unknown to loom.
        last: std::sync::atomic::AtomicU64,
    }

    impl AtomicU64 {
        pub fn new(value: u64) -> Self {
            AtomicU64 { word: loom::sync::atomic::AtomicU64::new(value), last: value.into() }
        }

        #[track_caller]
        pub fn load(&self, o: Ordering) -> u64 {
            self.word.load(order(Location::caller(), o))
        }

        #[track_caller]
        pub fn store(&self, value: u64, o: Ordering) {
            self.word.store(value, order(Location::caller(), o));
            self.last.store(value, Relaxed);
        }

        #[track_caller]
        pub fn fetch_add(&self, n: u64, o: Ordering) -> u64 {
            self.last.fetch_add(n, Relaxed);
            self.word.fetch_add(n, order(Location::caller(), o))
        }

        #[track_caller]
        pub fn swap(&self, value: u64, o: Ordering) -> u64 {
            self.last.store(value, Relaxed);
            self.word.swap(value, order(Location::caller(), o))
        }
    }

    impl super::OwnWord for AtomicU64 {
        fn own(&self) -> u64 {
            self.last.load(Relaxed)
        }
    }

    #[track_caller]
    pub(crate) fn fence(o: Ordering) {
        loom::sync::atomic::fence(order(Location::caller(), o));
    }
}
