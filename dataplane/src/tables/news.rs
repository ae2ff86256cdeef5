//! [`News`]: tells workers that packets waiting for a neighbour should look again.

use std::sync::atomic::{AtomicU64, Ordering};

/// One writer, any number of readers; a missed telling is made good by the next look at the table.
#[derive(Debug, Default)]
pub struct News {
    told: AtomicU64,
    time: AtomicU64,
}

impl News {
    /// There is news at `now` ns: what it is about was stored before.
    pub fn tell(&self, now: u64) {
        self.time.store(now, Ordering::Relaxed);
        self.told.fetch_add(1, Ordering::Release);
    }

    /// How often it was told.
    #[inline(always)]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// When last, ns of the dataplane's clock.
    pub fn time(&self) -> u64 {
        self.time.load(Ordering::Relaxed)
    }
}
