//! `TunnelLot`: frames that wait for the MAC of the way to another host (O3-wait), first come first.

use super::Kept;
use crate::tables::TunnelIx;
use std::collections::VecDeque;

/// Frames that can wait in one worker.
pub const MAX_UNRESOLVED: usize = 256;
/// Of them for one host.
pub const PER_TUNNEL: usize = 16;
/// The longest a frame waits, ns.
pub const LONGEST_UNRESOLVED: u64 = 1_000_000_000;

/// A frame whose outer headers are on, but for the MAC of the next hop.
#[derive(Debug)]
pub struct Unresolved<'u> {
    pub(crate) kept: Kept<'u>,
    pub(crate) tunnel: TunnelIx,
    /// Whose index `tunnel` was.
    pub(crate) generation: u32,
}

impl Unresolved<'_> {
    /// When it has waited long enough, ns.
    pub(crate) fn expiry(&self) -> u64 {
        self.kept.meta.rx_time.saturating_add(LONGEST_UNRESOLVED)
    }
}

/// See the module text.
#[derive(Debug)]
pub(crate) struct TunnelLot<'u> {
    frames: VecDeque<Unresolved<'u>>,
    /// The snapshot that was asked last.
    asked: u64,
    /// When the first of them has waited long enough, ns.
    expiry: Option<u64>,
}

impl<'u> TunnelLot<'u> {
    pub fn new() -> Self {
        TunnelLot { frames: VecDeque::with_capacity(MAX_UNRESOLVED), asked: 0, expiry: None }
    }

    /// Chunks of its packets.
    pub fn chunks(&self) -> usize {
        self.frames.iter().map(|f| f.kept.meta.chunks()).sum()
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Do frames wait that have not asked the snapshot of this generation?
    #[inline(always)]
    pub fn asks(&self, generation: u64) -> bool {
        !self.frames.is_empty() && self.asked != generation
    }

    /// They have now.
    pub fn asked(&mut self, generation: u64) {
        self.asked = generation;
    }

    /// Does a frame wait for this host?
    pub fn has(&self, tunnel: TunnelIx, generation: u32) -> bool {
        self.frames.iter().any(|u| (u.tunnel, u.generation) == (tunnel, generation))
    }

    /// Takes a frame in. Where that is one too many, the one of the same host that has waited longest is returned, or
    /// of all hosts.
    pub fn put(&mut self, one: Unresolved<'u>) -> Option<Unresolved<'u>> {
        let same = |u: &Unresolved<'u>| u.tunnel == one.tunnel;
        let full = match self.frames.iter().filter(|u| same(u)).count() {
            n if n >= PER_TUNNEL => self.frames.iter().position(same),
            _ => (self.len() >= MAX_UNRESOLVED).then_some(0),
        };
        let old = full.and_then(|at| self.frames.remove(at));
        self.expiry = Some(self.expiry.map_or(one.expiry(), |first| first.min(one.expiry())));
        self.frames.push_back(one); // never grows: MAX_UNRESOLVED were reserved
        old
    }

    /// The first from place `at` on that is `chosen`; `at` is its place then.
    pub fn take(&mut self, at: &mut usize, chosen: impl Fn(&Unresolved<'u>) -> bool) -> Option<Unresolved<'u>> {
        *at += self.frames.iter().skip(*at).position(chosen)?;
        self.frames.remove(*at)
    }

    /// To be called when frames have been taken.
    pub fn look_at_clock(&mut self) {
        // Not the first in the lot: a copy of a flood that waited for its turn was received before others that are here.
        self.expiry = self.frames.iter().map(Unresolved::expiry).min();
    }

    /// When the first that is `chosen` was received, ns.
    pub fn first(&self, chosen: impl Fn(&Unresolved<'u>) -> bool) -> Option<u64> {
        self.frames.iter().find(|u| chosen(u)).map(|u| u.kept.meta.rx_time)
    }

    /// When the first of them has waited long enough, ns, or before.
    #[inline(always)]
    pub fn expiry(&self) -> Option<u64> {
        self.expiry
    }
}
