//! Frames of one worker that wait, within bounds: `Lot` has those that wait for the MAC of their next hop (R7), `TunnelLot`
//! those that wait for the MAC of the way to another host (O3-wait).
//!
//! State of one worker; `stage/parked.rs` and `stage/unresolved.rs` are its only users.

mod tunnels;

pub(crate) use tunnels::TunnelLot;
pub use tunnels::{LONGEST_UNRESOLVED, MAX_UNRESOLVED, PER_TUNNEL, Unresolved};

use crate::burst::{Door, FrameMeta};
use crate::tables::{RouterIx, SegIx};
use crate::umem::Frame;

/// Frames that can wait in one worker.
pub const MAX_PARKED: usize = 256;
/// Of them for one address.
pub const PER_ADDRESS: usize = 3;
/// Addresses one source may have asked for.
pub const PER_SOURCE: usize = 8;
/// Addresses asked for by one router, of all workers together.
pub const PER_ROUTER: usize = 64;
/// The longest a frame waits, for one address and for the next behind it, ns. Each is given up after 3 s (R7).
pub const LONGEST_WAIT: u64 = 6_000_000_000;

/// A frame that waits, and what it came by.
#[derive(Debug)]
pub struct Kept<'u> {
    pub(crate) frame: Frame<'u>,
    pub(crate) meta: FrameMeta,
    pub(crate) door: Door,
    /// Whose index the door's port was; 0 for other doors.
    pub(crate) door_generation: u32,
    /// The network it is in.
    pub(crate) seg: SegIx,
    /// Whose index `seg` was.
    pub(crate) seg_generation: u32,
    pub(crate) traced: bool,
}

/// A frame that waits for its next hop, as it was received.
#[derive(Debug)]
pub struct Parked<'u> {
    pub(crate) kept: Kept<'u>,
    /// What it waits for: a key of T13.
    pub(crate) key: u64,
    /// When it began to wait, for this address or one before, ns.
    pub(crate) since: u64,
    /// Its place in the order in which frames came.
    pub(crate) order: u64,
    pub(crate) router: RouterIx,
    /// Who sent it: a port, or an address behind a NIC.
    pub(crate) source: u64,
    /// [`Lot::seen`] when it began to wait: news it knows.
    pub(crate) seen: u64,
}

/// See the module text.
#[derive(Debug)]
pub(crate) struct Lot<'u> {
    parked: Vec<Parked<'u>>,
    /// Addresses of one router that may be asked for by this worker.
    pub per_router: usize,
    /// [`Tables::resolved`](crate::tables::Tables) when the frames were last looked at.
    pub seen: u64,
    /// Since when the frame that is at its router again has waited, ns, and its place in the order.
    pub resumed: Option<(u64, u64)>,
    /// Places given out.
    places: u64,
}

impl<'u> Lot<'u> {
    pub fn new() -> Self {
        Lot { parked: Vec::with_capacity(MAX_PARKED), per_router: PER_ROUTER, seen: 0, resumed: None, places: 0 }
    }

    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Chunks of its packets.
    pub fn chunks(&self) -> usize {
        self.parked.iter().map(|p| p.kept.meta.chunks()).sum()
    }

    /// A place behind all others.
    pub fn last_place(&mut self) -> u64 {
        self.places += 1;
        self.places
    }

    /// What its frames wait for.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        self.parked.iter().map(|p| p.key)
    }

    /// May one more frame of `source` wait for `key` at `router`?
    pub fn has_room(&self, key: u64, router: RouterIx, source: u64) -> bool {
        let same = self.parked.iter().filter(|p| p.key == key).count();
        if self.parked.len() >= MAX_PARKED || same >= PER_ADDRESS {
            return false;
        }
        let of_source = self.addresses(key, |p| p.source == source);
        of_source < PER_SOURCE && self.addresses(key, |p| p.router == router) < self.per_router
    }

    /// Different addresses but for `key` that frames wait for.
    fn addresses(&self, key: u64, of: impl Fn(&Parked<'_>) -> bool) -> usize {
        let mut keys = [0; MAX_PARKED];
        let others = self.parked.iter().filter(|p| p.key != key && of(p)).map(|p| p.key);
        let n = keys.iter_mut().zip(others).map(|(place, key)| *place = key).count();
        let Some(keys) = keys.get_mut(..n) else { return n };
        keys.sort_unstable();
        keys.chunk_by(|a, b| a == b).count()
    }

    /// The caller has asked [`Lot::has_room`].
    pub fn put(&mut self, parked: Parked<'u>) {
        // Never grows: MAX_PARKED were reserved. Who waits again stands where it stood.
        let at = self.parked.partition_point(|p| p.order < parked.order);
        self.parked.insert(at, parked);
    }

    /// The one that has waited longest of those that are `ready`.
    pub fn take_first(&mut self, ready: impl Fn(&Parked<'u>) -> bool) -> Option<Parked<'u>> {
        let at = self.place(ready)?;
        Some(self.parked.remove(at))
    }

    /// When the first of those that are `ready` was received, ns.
    pub fn first(&self, ready: impl Fn(&Parked<'u>) -> bool) -> Option<u64> {
        self.place(ready).and_then(|at| self.parked.get(at)).map(|p| p.kept.meta.rx_time)
    }

    /// Not one before which another waits for the same: what that one was told a moment ago may be old by now.
    fn place(&self, ready: impl Fn(&Parked<'u>) -> bool) -> Option<usize> {
        let first = |n: usize, key| self.parked.iter().take(n).all(|p| p.key != key);
        self.parked.iter().enumerate().find(|(n, p)| ready(p) && first(*n, p.key)).map(|(n, _)| n)
    }

    /// When the frame that has waited longest was received, ns.
    pub fn oldest(&self) -> Option<u64> {
        self.parked.iter().map(|p| p.kept.meta.rx_time).min()
    }
}

#[cfg(test)]
mod tests;
