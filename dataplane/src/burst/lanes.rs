//! Lanes of a burst: one frame's place, sets of places, and one value per place.

use super::Door;
use std::num::NonZeroU64;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Index, IndexMut, Not};

/// Frames in a burst. Measured: staged lookups reach their speed at 32 to 64, more buys latency only.
pub const BURST: usize = 64;

/// A frame's place in its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane(pub(super) u8);

impl Lane {
    /// Lane number `n`, `None` past the burst.
    pub fn new(n: usize) -> Option<Lane> {
        (n < BURST).then_some(Lane(n as u8))
    }

    /// Its number.
    #[inline(always)]
    pub fn index(self) -> usize {
        usize::from(self.0) & (BURST - 1)
    }
}

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(pub u64);

impl Mask {
    /// No lane.
    pub const NONE: Mask = Mask(0);

    /// The first `n` lanes.
    pub fn first(n: usize) -> Mask {
        Mask(if n >= BURST { u64::MAX } else { (1 << n) - 1 })
    }

    /// Just `lane`.
    #[inline(always)]
    pub fn of(lane: Lane) -> Mask {
        Mask(1 << lane.index())
    }

    /// Is `lane` in it?
    #[inline(always)]
    pub fn has(self, lane: Lane) -> bool {
        self.0 >> lane.index() & 1 != 0
    }

    /// Adds `lane`.
    #[inline(always)]
    pub fn insert(&mut self, lane: Lane) {
        self.0 |= 1 << lane.index();
    }

    /// Takes `lane` out.
    #[inline(always)]
    pub fn remove(&mut self, lane: Lane) {
        self.0 &= !(1 << lane.index());
    }

    /// How many lanes.
    #[inline(always)]
    pub fn count(self) -> u64 {
        u64::from(self.0.count_ones())
    }

    /// No lane at all?
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In `self` and not in `other`.
    #[inline(always)]
    pub fn without(self, other: Mask) -> Mask {
        Mask(self.0 & !other.0)
    }
}

impl Iterator for Mask {
    type Item = Lane;

    /// Takes out and returns the lowest lane.
    #[inline(always)]
    fn next(&mut self) -> Option<Lane> {
        // NonZero tells the compiler that the lane is below 64.
        let lane = Lane(NonZeroU64::new(self.0)?.trailing_zeros() as u8);
        self.0 &= self.0 - 1;
        Some(lane)
    }
}

impl FromIterator<Lane> for Mask {
    #[inline(always)]
    fn from_iter<I: IntoIterator<Item = Lane>>(lanes: I) -> Mask {
        lanes.into_iter().fold(Mask::NONE, |all, lane| all | Mask::of(lane))
    }
}

impl BitAnd for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitand(self, o: Mask) -> Mask {
        Mask(self.0 & o.0)
    }
}

impl BitOr for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitor(self, o: Mask) -> Mask {
        Mask(self.0 | o.0)
    }
}

impl Not for Mask {
    type Output = Mask;
    #[inline(always)]
    fn not(self) -> Mask {
        Mask(!self.0)
    }
}

impl BitAndAssign for Mask {
    #[inline(always)]
    fn bitand_assign(&mut self, o: Mask) {
        self.0 &= o.0;
    }
}

impl BitOrAssign for Mask {
    #[inline(always)]
    fn bitor_assign(&mut self, o: Mask) {
        self.0 |= o.0;
    }
}

/// The received frames of a burst by the door they came in by, in the order they came: frames of one door mostly come
/// in runs, so that what is known of the door is looked up once for all of them.
#[derive(Clone, Debug)]
pub struct Arrivals {
    runs: [(Door, Mask); BURST],
    len: usize,
}

impl Default for Arrivals {
    fn default() -> Self {
        Arrivals { runs: [(Door::Unknown, Mask::NONE); BURST], len: 0 }
    }
}

impl Arrivals {
    /// Frames that came in by `door` behind those before.
    #[inline]
    pub fn add(&mut self, door: Door, lanes: Mask) {
        if lanes.is_empty() {
            return;
        }
        if let Some(run) = self.runs.get_mut(self.len) {
            *run = (door, lanes);
            self.len += 1;
        }
    }

    /// The `n`th door and its frames.
    #[inline(always)]
    pub fn get(&self, n: usize) -> Option<(Door, Mask)> {
        self.runs.get(n).filter(|_| n < self.len).copied()
    }

    /// The `n`th door is another one.
    #[cold]
    pub fn rename(&mut self, n: usize, door: Door) {
        if let Some(run) = self.runs.get_mut(n) {
            run.0 = door;
        }
    }

    /// No frames.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

/// One value per lane.
#[derive(Clone, Debug)]
pub struct Lanes<T>(pub(super) [T; BURST]);

impl<T: Copy> Lanes<T> {
    /// The same value in every lane.
    #[inline(always)]
    pub fn splat(v: T) -> Self {
        Lanes([v; BURST])
    }
}

impl<T> Index<Lane> for Lanes<T> {
    type Output = T;
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "Lane::index is below BURST")]
    fn index(&self, lane: Lane) -> &T {
        &self.0[lane.index()]
    }
}

impl<T> IndexMut<Lane> for Lanes<T> {
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "Lane::index is below BURST")]
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane.index()]
    }
}
