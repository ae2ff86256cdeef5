//! Rules: R7-probe. What the bounds count; `stage/parked/tests.rs` sees them from outside.

use super::*;
use crate::umem::Umem;

/// A lot and frames to fill it with.
struct Fill {
    lot: Lot<'static>,
    pool: crate::umem::FramePool<'static>,
    time: u64,
}

impl Fill {
    fn new() -> Fill {
        let umem = Box::leak(Box::new(Umem::new(300)));
        Fill { lot: Lot::new(), pool: umem.pools(1).remove(0), time: 100 }
    }

    /// One more, if there is room.
    fn put(&mut self, key: u64, router: RouterIx, source: u64) -> bool {
        if !self.lot.has_room(key, router, source) {
            return false;
        }
        self.time += 1;
        let meta = FrameMeta::of_received(0, 60, self.time);
        let frame = self.pool.take().unwrap();
        let seen = self.lot.seen;
        let order = self.lot.last_place();
        self.lot.put(Parked {
            kept: Kept {
                frame,
                meta,
                door: Door::Port(0),
                door_generation: 1,
                seg: 1,
                seg_generation: 1,
                traced: false,
            },
            since: 0,
            order,
            key,
            router,
            source,
            seen,
        });
        true
    }

    fn put_all(&mut self, keys: impl IntoIterator<Item = u64>, router: RouterIx, source: u64) -> usize {
        keys.into_iter().filter(|key| self.put(*key, router, source)).count()
    }
}

#[test]
fn three_of_an_address_whoever_sent_them() {
    let mut f = Fill::new();
    assert!((0..3).all(|n| f.put(7, n as RouterIx, n)));
    assert!(!f.put(7, 9, 9) && f.put(8, 9, 9));
}

#[test]
fn a_source_has_eight_addresses_and_may_have_three_of_each() {
    let mut f = Fill::new();
    assert_eq!(f.put_all(0..20, 1, 5), 8);
    assert_eq!(f.put_all((0..8).chain(0..8), 1, 5), 16, "of its own");
    assert_eq!(f.put_all(20..40, 1, 6), 8, "another source");
    assert_eq!(f.lot.len(), 32);
}

#[test]
fn addresses_count_once_however_many_wait_for_them() {
    let mut f = Fill::new();
    assert_eq!(f.put_all([1, 1, 1, 2, 2, 3, 3, 3], 1, 5), 8);
    assert_eq!(f.put_all(4..20, 1, 5), 5, "three of eight are taken");
    // What others wait for is not this source's.
    let mut f = Fill::new();
    assert_eq!(f.put_all(0..8, 1, 6), 8);
    assert_eq!(f.put_all(0..20, 1, 5), 8);
}

#[test]
fn a_router_has_its_share() {
    let mut f = Fill::new();
    f.lot.per_router = 10;
    let asked: usize = (0..5).map(|source| f.put_all(source * 8..source * 8 + 8, 1, source)).sum();
    assert_eq!(asked, 10);
    assert_eq!(f.put_all([0, 1, 9], 1, 50), 3, "those are asked for");
    assert_eq!(f.put_all(100..104, 2, 60), 4, "another router");
    assert_eq!(Lot::new().per_router, 64);
}

#[test]
fn all_together_256() {
    let mut f = Fill::new();
    let asked: usize = (0..100).map(|n| f.put_all(n * 8..n * 8 + 8, n as RouterIx, n)).sum();
    assert_eq!((asked, f.lot.len()), (256, 256));
    assert!(!f.put(0, 0, 0), "`neigh_queue_full`, even for one that is asked for");
    assert!(f.lot.take_first(|p| p.key == 3).is_some());
    assert!(f.put(0, 0, 0));
}

#[test]
fn the_first_that_is_ready_is_the_one_that_came_first() {
    let mut f = Fill::new();
    assert_eq!((f.lot.oldest(), f.lot.first(|_| true)), (None, None));
    assert_eq!(f.put_all([5, 6, 7, 6], 1, 1), 4); // at 101, 102, ..
    assert_eq!((f.lot.oldest(), f.lot.first(|p| p.key == 6)), (Some(101), Some(102)));
    assert_eq!(f.lot.first(|p| p.key == 8), None);
    let taken: Vec<_> = std::iter::from_fn(|| f.lot.take_first(|p| p.key == 6)).map(|p| p.kept.meta.rx_time).collect();
    assert_eq!((taken, f.lot.len(), f.lot.oldest()), (vec![102, 104], 2, Some(101)));
    f.lot.take_first(|p| p.key == 5);
    assert_eq!(f.lot.oldest(), Some(103));
}
