//! How often routers may tell senders what became of their packets (3.10): ICMP errors and TCP resets.
//!
//! State of one worker; `stage/icmp_error.rs` is its only user.

use crate::burst::Door;
use crate::police::{HashedBuckets, Rate};
use crate::tables::RouterIx;
use ahash::RandomState;

/// Start parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellLimits {
    /// Of one router, in one worker.
    pub router: Rate,
    /// To one sender.
    pub source: Rate,
}

impl Default for TellLimits {
    /// 100 a second of a router, 10 a second to a sender, as many at once.
    fn default() -> Self {
        TellLimits { router: Rate { per_second: 100, burst: 100 }, source: Rate { per_second: 10, burst: 10 } }
    }
}

impl TellLimits {
    /// Each of `workers` has its share of what a router may say.
    pub fn share(self, workers: usize) -> Self {
        let part = |n: u32| n.div_ceil(u32::try_from(workers).unwrap_or(u32::MAX).max(1));
        let router = Rate { per_second: part(self.router.per_second), burst: part(self.router.burst) };
        TellLimits { router, ..self }
    }
}

/// See the module text.
#[derive(Debug)]
pub(crate) struct Told {
    pub limits: TellLimits,
    routers: HashedBuckets,
    sources: HashedBuckets,
}

impl Told {
    pub fn new() -> Self {
        Told { limits: TellLimits::default(), routers: HashedBuckets::new(), sources: HashedBuckets::new() }
    }

    /// With a hash that is the same every time: for replay.
    pub fn seeded(&mut self) {
        let hasher = || RandomState::with_seeds(1, 2, 3, 4);
        self.routers = HashedBuckets::with_hasher(hasher());
        self.sources = HashedBuckets::with_hasher(hasher());
    }

    /// May `router` tell the sender of `packet` (IPv4), which came in by `door`, at `now` ns?
    pub fn may(&mut self, router: RouterIx, door: Door, packet: &[u8], now: u64) -> bool {
        let src = packet.get(12..16).and_then(|s| s.first_chunk()).map_or(0, |s| u32::from_be_bytes(*s));
        // Tenants may have the same addresses: the door tells them apart.
        let door = match door {
            Door::Port(port) => u64::from(port),
            Door::Phys(net) => 1 << 16 | u64::from(net),
            Door::Tunnel | Door::Unknown => 2 << 16,
        };
        let sender = self.sources.take(door << 32 | u64::from(src), self.limits.source, now);
        sender && self.routers.take(u64::from(router), self.limits.router, now)
    }
}

#[cfg(test)]
mod tests;
