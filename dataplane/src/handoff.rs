//! Hand-off: a frame whose egress port belongs to another worker goes there by a ring, and its
//! buffer comes home by another.
//!
//! Between each ordered pair of workers lie two bounded single-producer rings: one for frames, one
//! for the buffers coming back. A sender collects what a burst has for each owner and publishes it
//! once; the owner takes it as a burst of its own ([`process_handed`](crate::pipeline::process_handed)).
//! A flow comes in by one queue and takes one ring, so its order holds.
//!
//! Which snapshot an owner may use: it takes the frames from the ring first and loads the snapshot
//! then. The ring's release and acquire order makes that snapshot at least as new as the sender's, so
//! a row of another generation means the port is gone, never that it is yet to come.

mod bell;
mod doze;

pub use bell::Bell;

use crate::burst::{Door, FrameMeta};
use crate::tables::PortIx;
use crate::umem::{Frame, FramePool};
use crate::worker::WorkerId;
use rtrb::{Consumer, Producer, RingBuffer};
use std::io;
use std::sync::Arc;

/// Frames a ring to another worker holds; one more is `handoff_full`.
pub const RING: usize = 1024;
/// Frames collected for one owner before they are published, at the latest at the end of the burst.
const BATCH: usize = 64;
/// Buffers that go home together while there is other work.
const HOME_BATCH: usize = 32;

/// A frame on its way to the owner of its egress port.
#[derive(Debug)]
pub struct Handed<'u> {
    /// The frame.
    pub frame: Frame<'u>,
    /// Its extent and offload state.
    pub meta: FrameMeta,
    /// Egress port.
    pub port: PortIx,
    /// Whose index `port` was ([`PortRow::generation`](crate::tables::PortRow)).
    pub generation: u32,
    /// Where it came in, for the counters.
    pub door: Door,
    /// Are its steps recorded?
    pub traced: bool,
}

/// One worker's ends of the rings to and from one other worker.
#[derive(Debug)]
struct Peer<'u> {
    to: Producer<Handed<'u>>,
    /// Collected since the last publication; never longer than `room`.
    staged: Vec<Handed<'u>>,
    /// Free places of `to` when last asked; there may be more by now.
    room: usize,
    from: Consumer<Handed<'u>>,
    /// Its buffers that ended here, and ours that ended there.
    home: Producer<Frame<'u>>,
    back: Consumer<Frame<'u>>,
    bell: Arc<Bell>,
}

/// One worker's ends of all rings.
#[derive(Debug)]
pub struct Links<'u> {
    /// By worker; `None` at its own place.
    peers: Box<[Option<Peer<'u>>]>,
    bell: Arc<Bell>,
    /// The peer served next, so that none waits behind a busy one.
    next: usize,
}

/// Rings between the workers of `pools`, one [`Links`] each, in the same order. `ring` is the number
/// of frames a ring holds; the way home holds a whole pool and is never full. Fails if the kernel
/// has no more file descriptors.
pub fn mesh<'u>(pools: &[FramePool<'u>], ring: usize) -> io::Result<Vec<Links<'u>>> {
    let bells = pools.iter().map(|_| Ok(Arc::new(Bell::new()?))).collect::<io::Result<Vec<_>>>()?;
    let mut links: Vec<Links<'u>> = bells
        .iter()
        .map(|bell| Links { peers: pools.iter().map(|_| None).collect(), bell: Arc::clone(bell), next: 0 })
        .collect();
    let workers = || pools.iter().zip(&bells).enumerate();
    for (a, (pool_a, bell_a)) in workers() {
        for (b, (pool_b, bell_b)) in workers().skip(a + 1) {
            let ((to_b, from_a), (to_a, from_b)) = (RingBuffer::new(ring), RingBuffer::new(ring));
            let (home_b, back_b) = RingBuffer::new(pool_b.total());
            let (home_a, back_a) = RingBuffer::new(pool_a.total());
            connect(&mut links, (a, b), Peer::new(to_b, from_b, home_b, back_a, bell_b));
            connect(&mut links, (b, a), Peer::new(to_a, from_a, home_a, back_b, bell_a));
        }
    }
    Ok(links)
}

fn connect<'u>(links: &mut [Links<'u>], (me, other): (usize, usize), peer: Peer<'u>) {
    if let Some(place) = links.get_mut(me).and_then(|l| l.peers.get_mut(other)) {
        *place = Some(peer);
    }
}

impl<'u> Links<'u> {
    /// Those of the only worker of a dataplane. Fails as [`mesh`].
    pub fn alone() -> io::Result<Self> {
        Ok(Links { peers: Box::default(), bell: Arc::new(Bell::new()?), next: 0 })
    }

    /// Collects a frame for `owner`; it comes back if that worker's ring is full, or if there is no such worker.
    #[inline]
    pub fn hand(&mut self, owner: WorkerId, handed: Handed<'u>) -> Result<(), Frame<'u>> {
        let Some(Some(peer)) = self.peers.get_mut(usize::from(owner.0)) else { return Err(handed.frame) };
        peer.stage(handed)
    }

    /// Publishes what was collected: at the end of each burst.
    #[inline]
    pub fn publish(&mut self) {
        self.peers.iter_mut().flatten().for_each(Peer::publish);
    }

    /// Takes up to `limit` frames of one peer that has some, in their order, and hands them to
    /// `take`; returns how many. The next call begins with the next peer.
    pub fn receive(&mut self, limit: usize, take: impl FnMut(Handed<'u>)) -> usize {
        let n = self.peers.len();
        let order = (self.next..n).chain(0..self.next.min(n));
        for at in order {
            let Some(Some(peer)) = self.peers.get_mut(at) else { continue };
            let waiting = peer.from.slots().min(limit);
            if waiting == 0 {
                continue;
            }
            self.next = at + 1;
            let Ok(chunk) = peer.from.read_chunk(waiting) else { continue };
            chunk.into_iter().for_each(take);
            return waiting;
        }
        0
    }

    /// Sends other workers' buffers home, a batch at a time or, if there is nothing else to do,
    /// `all`; and takes back our own.
    pub fn exchange_buffers(&mut self, pool: &mut FramePool<'u>, all: bool) {
        for (at, peer) in self.peers.iter_mut().enumerate() {
            let Some(peer) = peer else { continue };
            if let Some(away) = pool.away(at)
                && away.len() >= if all { 1 } else { HOME_BATCH }
            {
                peer.send_home(away);
            }
            if let Ok(chunk) = peer.back.read_chunk(peer.back.slots()) {
                chunk.into_iter().for_each(|frame| pool.put(frame));
            }
        }
    }

    /// Does another worker have something for us?
    pub fn has_work(&self) -> bool {
        self.peers.iter().flatten().any(|p| !p.from.is_empty() || !p.back.is_empty())
    }

    /// What wakes this worker.
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }
}

impl<'u> Peer<'u> {
    fn new(
        to: Producer<Handed<'u>>,
        from: Consumer<Handed<'u>>,
        home: Producer<Frame<'u>>,
        back: Consumer<Frame<'u>>,
        bell: &Arc<Bell>,
    ) -> Self {
        let (room, bell) = (to.slots(), Arc::clone(bell));
        Peer { to, staged: Vec::with_capacity(BATCH), room, from, home, back, bell }
    }

    #[inline]
    fn stage(&mut self, handed: Handed<'u>) -> Result<(), Frame<'u>> {
        if self.staged.len() >= self.room.min(BATCH) {
            self.publish();
            self.room = self.to.slots();
            if self.room == 0 {
                return Err(handed.frame);
            }
        }
        self.staged.push(handed);
        Ok(())
    }

    #[inline]
    fn publish(&mut self) {
        let n = self.staged.len();
        if n == 0 {
            return;
        }
        self.room -= n;
        if let Ok(places) = self.to.write_chunk_uninit(n) {
            places.fill_from_iter(self.staged.drain(..));
        }
        self.bell.ring();
    }

    #[cold]
    fn send_home(&mut self, away: &mut Vec<Frame<'u>>) {
        let n = away.len().min(self.home.slots());
        if let Ok(places) = self.home.write_chunk_uninit(n) {
            places.fill_from_iter(away.drain(..n));
        }
        self.bell.ring();
    }
}

#[cfg(test)]
mod tests;
