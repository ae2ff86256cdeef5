//! How often routers may tell senders what became of their packets (3.10): ICMP errors and TCP resets.
//!
//! State of one worker; `stage/icmp_error.rs` is its only user.

use crate::burst::Door;
use crate::police::{HashedBuckets, Rate, TokenBucket};
use crate::tables::RouterIx;
use ahash::RandomState;

/// More than a host may have routers (T10).
const ROUTERS: usize = 8192;

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
    /// By index; one past it has the bucket of another.
    routers: Box<[TokenBucket]>,
    sources: HashedBuckets,
}

impl Told {
    pub fn new() -> Self {
        let routers = vec![TokenBucket::FULL; ROUTERS].into();
        Told { limits: TellLimits::default(), routers, sources: HashedBuckets::new() }
    }

    /// With a hash that is the same every time: for replay.
    pub fn seeded(&mut self) {
        self.sources = HashedBuckets::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
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
        let router = self.routers.get_mut(usize::from(router) % ROUTERS);
        sender && router.is_some_and(|bucket| bucket.take(self.limits.router, now))
    }
}

#[cfg(test)]
mod tests;
