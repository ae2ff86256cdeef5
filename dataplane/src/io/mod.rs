//! Ports: where frames come from and go to. The pipeline sees only this seam.
//!
//! A worker calls [`Port::receive`] for a burst, [`Port::transmit`] for each frame, and
//! [`Port::flush`] once after a burst; the port gives sent frames back by [`Port::reclaim`].

pub mod af_xdp;
mod memory;

pub use memory::{InjectError, MemoryPort};

use crate::burst::{Burst, Door, FrameMeta};
use crate::umem::{Frame, FramePool};

/// A port of one worker. An enum, not a trait object: the call is a jump the compiler sees.
#[derive(Debug)]
pub enum Port<'u> {
    /// Queues in memory: tests, benches, replay.
    Memory(MemoryPort<'u>),
}

impl<'u> Port<'u> {
    /// Moves up to `limit` received frames into the burst; returns how many.
    #[inline]
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize) -> usize {
        match self {
            Port::Memory(p) => p.receive(b, door, limit),
        }
    }

    /// Takes a frame to send; gives it back if the port's ring is full.
    #[inline]
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        match self {
            Port::Memory(p) => p.transmit(frame, meta),
        }
    }

    /// After a burst: what was transmitted goes out.
    #[inline]
    pub fn flush(&mut self) {
        match self {
            Port::Memory(_) => {}
        }
    }

    /// Every frame it holds goes back to the pool: before it is given up.
    pub fn close(&mut self, pool: &mut FramePool<'u>) {
        match self {
            Port::Memory(p) => p.close(pool),
        }
    }

    /// Frames that have left go back to the pool.
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        match self {
            Port::Memory(p) => p.reclaim(pool),
        }
    }
}
