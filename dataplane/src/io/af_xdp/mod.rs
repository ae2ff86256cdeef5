//! AF_XDP: ports on network interfaces that stay the kernel's.
//!
//! An XDP program ([`filter`]) gives the frames that are ours to a socket of the queue they came in by; all others go
//! their way through the kernel. A socket shares four rings with the kernel, of descriptors that say where in packet
//! memory a frame lies:
//!
//! | ring | who writes | a descriptor says |
//! |---|---|---|
//! | fill | we | receive into this frame |
//! | RX | kernel | here is one received |
//! | TX | we | send this |
//! | completion | kernel | it has left |
//!
//! All sockets of a host have one memory ([`Umem::shared`](crate::umem::Umem::shared)), so a frame received on a VM's
//! port leaves on the tunnel without being copied by us. Who has a frame when is
//! `Lent` (`umem/lent.rs`)'s business: what is in the kernel's hands is no [`Frame`].
//!
//! Copy mode (veth, tap, SKB mode): the kernel copies each frame into and out of packet memory, a TX ring is looked
//! at only in a system call, and one call may not finish ([`XdpPort::flush`]).

pub mod ethtool;
pub mod filter;
mod promiscuous;
mod queue;
mod ring;
mod socket;

use crate::burst::{Burst, Door, FrameMeta};
use crate::counters::KernelLoss;
use crate::handoff::Bell;
use crate::umem::{Frame, FramePool, Region};
use filter::Attached;
use queue::Queue;
use std::io;
use std::time::Duration;

pub use promiscuous::Promiscuous;
pub use queue::now;

/// Chunks of a frame: the kernel sends no more than `MAX_SKB_FRAGS`, 17 by default, in one.
pub const MAX_CHUNKS: u8 = 17;

/// Lengths of a socket's rings, entries: powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Received frames that wait for us, and frames given to receive into.
    pub rx: u32,
    /// Frames to send that wait for the kernel, and sent ones that wait for us.
    pub tx: u32,
}

/// How the queues of an interface are bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The interface, in the calling thread's network namespace.
    pub ifindex: u32,
    /// Rings of each queue.
    pub rings: RingSizes,
    /// Buffers each queue has for receiving, and as many it may have for sending; at most what the rings hold.
    pub share: usize,
    /// Ask the driver to use packet memory itself, and copy if it cannot. Not where the XDP program runs in SKB mode: such
    /// a socket would see nothing.
    pub zero_copy: bool,
    /// Take frames longer than a chunk, in several: for a large MTU. Where that cannot be had they are lost, as
    /// [`KernelLoss::RxDropped`].
    pub multi_buffer: bool,
    /// How long to wait for a queue that another socket has.
    pub patience: Duration,
}

/// The queues of an interface that one worker has. It sends by the first of them.
#[derive(Debug)]
pub struct XdpPort<'u> {
    queues: Vec<Queue<'u>>,
    /// The queue that is asked next.
    next: usize,
}

/// Where the kernel puts received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// The driver uses packet memory itself.
    ZeroCopy,
    /// The kernel copies each frame.
    Copy,
}

impl std::fmt::Display for Copying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Copying::ZeroCopy => "zero-copy",
            Copying::Copy => "copy",
        })
    }
}

impl<'u> XdpPort<'u> {
    /// Binds a socket to each of `queues` of an interface. `first`: another port of the same interface, if there is one
    /// already: all share one registration of packet memory.
    ///
    /// Fails with `ResourceBusy` if another socket has the queue, with `PermissionDenied` without `CAP_NET_RAW`, with `OutOfMemory`
    /// or `PermissionDenied` if the memory may not be locked (`CAP_IPC_LOCK`, `ulimit -l`), with `InvalidInput` for no queue, one that
    /// does not exist, or memory of the heap.
    pub fn open(
        region: Region<'u>,
        queues: impl IntoIterator<Item = u32>,
        setup: &Setup,
        first: Option<&XdpPort<'u>>,
    ) -> io::Result<Self> {
        if !region.is_shared() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut port = XdpPort { queues: Vec::new(), next: 0 };
        for number in queues {
            let first = port.queues.first().or_else(|| first?.queues.first());
            let queue = Queue::open(region, number, setup, first)?;
            port.queues.push(queue);
        }
        if port.queues.is_empty() { Err(io::ErrorKind::InvalidInput.into()) } else { Ok(port) }
    }

    /// Frames of its queues come to it from now on.
    pub fn steer(&self, filter: &Attached) -> io::Result<()> {
        self.queues.iter().try_for_each(|queue| filter.insert(queue.number(), queue.socket()))
    }

    /// A received frame ends the sleep of whom the bell wakes.
    pub fn watch(&self, bell: &Bell) -> io::Result<()> {
        self.queues.iter().try_for_each(|queue| bell.watch(queue.socket()))
    }

    /// Where the kernel puts received frames.
    pub fn copying(&self) -> Copying {
        if self.queues.iter().all(Queue::is_zero_copy) { Copying::ZeroCopy } else { Copying::Copy }
    }

    /// Chunks a packet it sends may have.
    pub fn chunks(&self) -> u8 {
        if self.queues.iter().all(Queue::is_multi_buffer) { MAX_CHUNKS } else { 1 }
    }

    /// See [`Port::receive`](super::Port::receive). Frames get the time of the call, [`now`].
    #[inline]
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize, pool: &mut FramePool<'u>) -> usize {
        let mut received = 0;
        let all = self.queues.len();
        for _ in 0..all {
            let Some(queue) = self.queues.get_mut(self.next) else { break };
            self.next = if self.next + 1 < all { self.next + 1 } else { 0 };
            received += queue.receive(b, door, limit - received, pool);
            if received == limit {
                break;
            }
        }
        received
    }

    /// See [`Port::transmit`](super::Port::transmit).
    #[inline]
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        match self.queues.first_mut() {
            Some(queue) => queue.transmit(frame, meta),
            None => Err(frame),
        }
    }

    /// See [`Port::flush`](super::Port::flush).
    #[inline]
    pub fn flush(&mut self, pool: &mut FramePool<'u>) -> bool {
        self.queues.first_mut().is_some_and(|queue| queue.flush(pool))
    }

    /// See [`Port::reclaim`](super::Port::reclaim). Then the kernel has all the buffers it should have to receive into.
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        for queue in &mut self.queues {
            queue.reclaim(pool);
            queue.refill(pool, true);
        }
    }

    /// See [`Port::close`](super::Port::close). Returns how many frames stay with a zero-copy driver, which may still write
    /// them.
    pub fn close(self, pool: &mut FramePool<'u>) -> usize {
        self.close_with(&mut |frame| pool.put_all(frame))
    }

    /// See [`Port::close_with`](super::Port::close_with).
    pub fn close_with(self, give: &mut impl FnMut(Frame<'u>)) -> usize {
        self.queues.into_iter().map(|queue| queue.close(give)).sum()
    }

    /// What the kernel lost since the sockets were opened, in the order of [`KernelLoss::ALL`].
    pub fn lost(&self) -> [u64; KernelLoss::ALL.len()] {
        let mut sum = [0; KernelLoss::ALL.len()];
        for queue in &self.queues {
            sum.iter_mut().zip(queue.lost()).for_each(|(sum, n)| *sum += n);
        }
        sum
    }

    /// Frames in the kernel's hands: for receiving, and for sending.
    pub fn lent(&self) -> (usize, usize) {
        self.queues.iter().map(Queue::lent).fold((0, 0), |(rx, tx), (r, t)| (rx + r, tx + t))
    }
}

#[cfg(test)]
mod tests;
