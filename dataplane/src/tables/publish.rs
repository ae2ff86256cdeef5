//! Handing a new [`Snapshot`] to the workers, and freeing the old one on the control side.

use super::snapshot::Snapshot;
use arc_swap::{ArcSwap, Cache};
use std::sync::Arc;

/// A worker's view: [`Published::load`] once per burst.
#[derive(Debug)]
pub struct Published(Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>);

impl Published {
    /// The newest snapshot. One load and a compare when nothing changed; never frees (see [`SnapshotWriter`]).
    #[inline(always)]
    pub fn load(&mut self) -> &Arc<Snapshot> {
        self.0.load()
    }
}

/// The newest snapshot at any moment, for the rare row that a burst's own one lacks.
#[derive(Clone, Debug)]
pub struct SnapshotSource(Arc<ArcSwap<Snapshot>>);

impl SnapshotSource {
    /// The newest snapshot. Dropping it never frees: the writer still holds it.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }
}

/// The one publisher.
#[derive(Debug)]
pub struct SnapshotWriter {
    shared: Arc<ArcSwap<Snapshot>>,
    /// Replaced snapshots some worker may still hold. Kept here so that the last drop is ours:
    /// a worker never runs a destructor.
    retired: Vec<Arc<Snapshot>>,
}

impl Default for SnapshotWriter {
    fn default() -> Self {
        SnapshotWriter { shared: Arc::new(ArcSwap::from_pointee(Snapshot::default())), retired: Vec::new() }
    }
}

impl SnapshotWriter {
    /// A view for one worker.
    pub fn subscribe(&self) -> Published {
        Published(Cache::new(Arc::clone(&self.shared)))
    }

    /// For [`Ctx`](crate::stage::Ctx).
    pub fn source(&self) -> SnapshotSource {
        SnapshotSource(Arc::clone(&self.shared))
    }

    /// What workers load now.
    pub fn current(&self) -> Arc<Snapshot> {
        self.shared.load_full()
    }

    /// Makes `next` the newest snapshot, with the next generation number; never waits for workers.
    pub fn publish(&mut self, mut next: Snapshot) {
        next.generation = self.shared.load().generation + 1;
        self.retired.push(self.shared.swap(Arc::new(next)));
        self.reclaim();
    }

    /// Drops the replaced snapshots that no worker holds any more.
    pub fn reclaim(&mut self) {
        self.retired.retain(|s| Arc::strong_count(s) > 1);
    }

    /// Replaced snapshots not yet freed.
    pub fn retired(&self) -> usize {
        self.retired.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_holds_a_snapshot_until_the_last_worker_has_left_it() {
        let mut w = SnapshotWriter::default();
        let mut view = w.subscribe();
        let held = Arc::downgrade(view.load());
        w.publish(Snapshot::default());
        assert_eq!(w.retired(), 1, "the worker has not loaded since");
        assert!(held.upgrade().is_some());
        assert_eq!((view.load().generation, w.current().generation, w.source().load().generation), (1, 1, 1));
        w.reclaim();
        assert_eq!(w.retired(), 0);
        assert!(held.upgrade().is_none());
    }
}
