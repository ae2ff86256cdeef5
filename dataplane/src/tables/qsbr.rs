//! Grace periods: when is no worker still holding what it read before a deletion?
//!
//! Quiescent-state-based reclamation in its token form (as DPDK's `rte_rcu_qsbr`): the writer
//! deletes, then takes a new token; a worker copies the newest token at the start of each burst,
//! when it holds nothing read earlier. Once every worker has copied a token at least as new, what
//! was deleted before it may be reused. A free-running burst counter per worker in its place is
//! wrong: its store may drain after a later load, and the writer would see a quiet worker that
//! still reads.

use crate::sync::{AtomicU64, Ordering, fence};
use crossbeam::utils::CachePadded;
use std::sync::Arc;

/// A worker that is asleep or gone holds nothing: it has "seen" every token.
const OFFLINE: u64 = u64::MAX;

/// Tokens of all workers. Shared; one writer calls [`Qsbr::retire`], each worker owns one [`QsbrWorker`].
#[derive(Debug)]
pub struct Qsbr {
    token: CachePadded<AtomicU64>,
    seen: Box<[CachePadded<AtomicU64>]>,
}

/// A point in time after a deletion; see [`Qsbr::has_passed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

impl Qsbr {
    /// For `workers` workers, all offline until their [`QsbrWorker::online`].
    pub fn new(workers: usize) -> Arc<Self> {
        let seen = (0..workers).map(|_| CachePadded::new(AtomicU64::new(OFFLINE))).collect();
        Arc::new(Qsbr { token: CachePadded::new(AtomicU64::new(1)), seen })
    }

    /// The handle of worker number `id`, `None` past the number of workers.
    pub fn worker(self: &Arc<Self>, id: usize) -> Option<QsbrWorker> {
        (id < self.seen.len()).then(|| QsbrWorker { qsbr: Arc::clone(self), id })
    }

    /// Called after a deletion is stored: what was deleted is free once the returned epoch has passed.
    pub fn retire(&self) -> Epoch {
        let epoch = Epoch(self.token.fetch_add(1, Ordering::AcqRel) + 1);
        // Pairs with the fence in `QsbrWorker::online`: either we see the worker online, or it sees the deletion.
        fence(Ordering::SeqCst);
        epoch
    }

    /// Has every worker been between two bursts since `epoch`?
    pub fn has_passed(&self, epoch: Epoch) -> bool {
        self.seen.iter().all(|s| s.load(Ordering::Acquire) >= epoch.0)
    }
}

/// One worker's side. Not `Clone`: two owners would announce quiet for each other.
#[derive(Debug)]
pub struct QsbrWorker {
    qsbr: Arc<Qsbr>,
    id: usize,
}

impl QsbrWorker {
    /// Start of a burst: nothing read from a table earlier is still held.
    #[inline]
    pub fn quiesce(&self) {
        self.passed(self.newest());
    }

    /// The newest token, for [`QsbrWorker::passed`] when what has to be done first is done.
    #[inline]
    pub fn newest(&self) -> u64 {
        self.qsbr.token.load(Ordering::Acquire)
    }

    /// Nothing read before `token` was the newest is held, and whatever was told before has been acted on.
    #[inline]
    pub fn passed(&self, token: u64) {
        self.store(token);
    }

    /// Before sleeping. No table may be read until [`QsbrWorker::online`].
    pub fn offline(&self) {
        self.store(OFFLINE);
    }

    /// After sleeping, before the first table read.
    pub fn online(&self) {
        self.quiesce();
        fence(Ordering::SeqCst);
    }

    #[inline(always)]
    fn store(&self, token: u64) {
        if let Some(seen) = self.qsbr.seen.get(self.id) {
            seen.store(token, Ordering::Release);
        }
    }
}

impl Drop for QsbrWorker {
    fn drop(&mut self) {
        self.offline();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_only_after_every_online_worker_was_quiet() {
        let q = Qsbr::new(3);
        let (a, b) = (q.worker(0).unwrap(), q.worker(1).unwrap());
        a.online();
        b.online();
        let e = q.retire();
        assert!(!q.has_passed(e));
        a.quiesce();
        assert!(!q.has_passed(e), "b may still hold what was deleted");
        b.quiesce();
        assert!(q.has_passed(e), "worker 2 never came online and holds nothing");
        let e2 = q.retire();
        a.quiesce();
        assert!(!q.has_passed(e2));
        b.offline();
        assert!(q.has_passed(e2));
        assert!(q.worker(3).is_none());
    }

    #[test]
    fn a_dropped_worker_is_offline() {
        let q = Qsbr::new(1);
        let a = q.worker(0).unwrap();
        a.online();
        let e = q.retire();
        drop(a);
        assert!(q.has_passed(e));
    }
}
