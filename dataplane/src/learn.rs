//! What workers tell the control side: they never write a table themselves.

use crate::addr::MacAddr;
use crate::tables::{SegIx, Target, TunnelIx};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;

/// One report of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// A source address (L4).
    Learn(LearnEvent),
    /// A next hop whose MAC nobody knows (R7).
    Resolve(ResolveEvent),
    /// Another host whose MAC nobody knows (O3-wait).
    Unresolved(UnresolvedEvent),
    /// Who says to have an address that is watched ([`NeighValue::WATCHED`](crate::tables::NeighValue)).
    Heard(HeardEvent),
}

/// A packet waits for the MAC of this next hop (R7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveEvent {
    /// Network.
    pub seg: SegIx,
    /// Whose index `seg` was.
    pub seg_generation: u32,
    /// IPv4 address, host byte order.
    pub ip: u32,
    /// When the packet was received, ns of the dataplane's clock.
    pub seen: u64,
}

/// A frame waits for the MAC of the way to another host (O3-wait).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnresolvedEvent {
    /// The tunnel to it.
    pub tunnel: TunnelIx,
    /// Whose index `tunnel` was.
    pub generation: u32,
    /// When the frame was received, ns of the dataplane's clock.
    pub seen: u64,
}

/// An ARP reply or announcement about a watched address (R7, L5-vip, E1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardEvent {
    /// Network.
    pub seg: SegIx,
    /// Whose index `seg` was.
    pub seg_generation: u32,
    /// The address: ARP sender, host byte order.
    pub ip: u32,
    /// Who has it: ARP sender MAC.
    pub mac: MacAddr,
    /// Where that came from.
    pub target: Target,
    /// Whose index `target` was.
    pub target_generation: u32,
    /// When it was received, ns of the dataplane's clock.
    pub seen: u64,
}

/// A source address seen where the forwarding database does not have it, or has it due for a refresh (L4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnEvent {
    /// Network.
    pub seg: SegIx,
    /// Whose index `seg` was when the frame was seen ([`SegRow::generation`](crate::tables::SegRow)).
    pub seg_generation: u32,
    /// The source address.
    pub mac: MacAddr,
    /// Where it is: a tunnel, or a port with port security off.
    pub target: Target,
    /// Whose index `target` was.
    pub target_generation: u32,
    /// When the frame was received, ns of the dataplane's clock.
    pub seen: u64,
}

/// Bounded queue of one worker's reports, drained first of all by the writer. Full: counted, the
/// frame goes on, the address is learned from a later one.
pub type LearnQueue = Arc<ArrayQueue<Report>>;

/// Events a queue holds.
pub const LEARN_QUEUE: usize = 4096;

/// The stamp of a T06 row for a frame received at `ns`: whole seconds, wrapping.
#[inline(always)]
pub fn stamp(ns: u64) -> u32 {
    (ns / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_whole_seconds() {
        let s = 1_000_000_000;
        assert_eq!([0, s - 1, s, 2 * s - 1, 300 * s].map(stamp), [0, 0, 1, 1, 300]);
        assert_eq!(stamp(((1 << 32) + 7) * s), 7, "wrapping");
    }
}
