//! What workers tell the control side: they never write a table themselves.

use crate::addr::MacAddr;
use crate::tables::{SegIx, Target};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;

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

/// Bounded queue of one worker's events, drained first of all by the writer. Full: counted, the
/// frame goes on, the address is learned from a later one.
pub type LearnQueue = Arc<ArrayQueue<LearnEvent>>;

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
