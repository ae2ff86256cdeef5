//! Ports: where frames come from and go to. The pipeline sees only this seam.
//!
//! A worker calls [`Port::receive`] for a burst, [`Port::transmit`] for each frame, and [`Port::flush`] once after a
//! burst for each port it sent to.

pub mod af_xdp;
mod memory;
pub mod packet;

pub use memory::{InjectError, MemoryPort};

use crate::burst::{Burst, Door, FrameMeta};
use crate::counters::KernelLoss;
use crate::handoff::Bell;
use crate::umem::{Frame, FramePool};
use af_xdp::XdpPort;
use packet::PacketPort;
use std::io;

/// What a port takes as it is, beside whole packets of one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// Packets whose checksum is left to be done.
    pub checksum: bool,
    /// Super-frames, to be cut behind it.
    pub gso: bool,
    /// Packets of so many chunks; 1: of one only.
    pub chunks: u8,
}

impl Carries {
    /// None of it.
    pub const NOTHING: Carries = Carries { checksum: false, gso: false, chunks: 1 };
    /// All of it.
    pub const ALL: Carries = Carries { checksum: true, gso: true, chunks: u8::MAX };
}

/// A port of one worker. An enum, not a trait object: the call is a jump the compiler sees.
#[derive(Debug)]
pub enum Port<'u> {
    /// Queues of a network interface.
    Xdp(Box<XdpPort<'u>>),
    /// A packet socket on an interface: super-frames and unfinished checksums go through.
    Packet(Box<PacketPort<'u>>),
    /// Queues in memory: tests, benches, replay.
    Memory(MemoryPort<'u>),
}

impl<'u> Port<'u> {
    /// Moves up to `limit` received frames into the burst; returns how many. The port takes from the pool what it
    /// needs to receive more.
    #[inline]
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize, pool: &mut FramePool<'u>) -> usize {
        match self {
            Port::Xdp(p) => p.receive(b, door, limit, pool),
            Port::Packet(p) => p.receive(b, door, limit, pool),
            Port::Memory(p) => p.receive(b, door, limit),
        }
    }

    /// Takes a frame to send; gives it back if the port's ring is full.
    #[inline(always)]
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        match self {
            Port::Xdp(p) => p.transmit(frame, meta),
            Port::Packet(p) => p.transmit(frame, meta),
            Port::Memory(p) => p.transmit(frame, meta),
        }
    }

    /// What it takes as it is.
    pub fn carries(&self) -> Carries {
        match self {
            Port::Xdp(p) => Carries { chunks: p.chunks(), ..Carries::NOTHING },
            Port::Packet(_) => Carries::ALL,
            Port::Memory(p) => p.carries(),
        }
    }

    /// After a burst: what was transmitted goes out, what has left goes back to the pool. Says whether it must be called
    /// again, because the kernel has not taken all yet.
    #[inline]
    pub fn flush(&mut self, pool: &mut FramePool<'u>) -> bool {
        match self {
            Port::Xdp(p) => p.flush(pool),
            Port::Packet(p) => p.flush(pool),
            Port::Memory(_) => false,
        }
    }

    /// Gives the port up: every frame it has goes back to the pool, but for those a driver may still write; returns how many
    /// these are.
    pub fn close(self, pool: &mut FramePool<'u>) -> usize {
        self.close_with(&mut |frame| pool.put_all(frame))
    }

    /// As [`Port::close`]; `give` gets its packets, with what hangs behind their first chunks.
    pub fn close_with(self, give: &mut impl FnMut(Frame<'u>)) -> usize {
        match self {
            Port::Xdp(p) => p.close_with(give),
            Port::Packet(p) => {
                p.close_with(give);
                0
            }
            Port::Memory(p) => {
                p.close_with(give);
                0
            }
        }
    }

    /// What the kernel lost of it so far.
    pub fn lost(&self) -> [u64; KernelLoss::ALL.len()] {
        match self {
            Port::Xdp(p) => p.lost(),
            Port::Packet(p) => p.lost(),
            Port::Memory(_) => [0; KernelLoss::ALL.len()],
        }
    }

    /// A received frame ends the sleep of whom the bell wakes; one in memory has no way to.
    pub fn watch(&self, bell: &Bell) -> io::Result<()> {
        match self {
            Port::Xdp(p) => p.watch(bell),
            Port::Packet(p) => p.watch(bell),
            Port::Memory(_) => Ok(()),
        }
    }

    /// Chunks it has: to receive into or received, and to send or sent and not back yet.
    pub fn lent(&self) -> (usize, usize) {
        match self {
            Port::Xdp(p) => p.lent(),
            Port::Packet(p) => p.lent(),
            Port::Memory(p) => p.lent(),
        }
    }

    /// Frames that have left go back to the pool.
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        match self {
            Port::Xdp(p) => p.reclaim(pool),
            Port::Packet(p) => p.reclaim(pool),
            Port::Memory(p) => p.reclaim(pool),
        }
    }
}
