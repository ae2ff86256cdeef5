//! The workers of a [`Host`](super::Host), driven by one thread: what threads would do at once
//! happens here in a fixed order, so that a replay says the same every time.

use crate::writer::Writer;
use crossbeam::queue::ArrayQueue;
use dataplane::burst::Door;
use dataplane::handoff::{RING, mesh};
use dataplane::io::{MemoryPort, Port};
use dataplane::learn::{LEARN_QUEUE, LearnQueue};
use dataplane::umem::Umem;
use dataplane::worker::{Worker, WorkerId};
use std::sync::Arc;

/// How many workers a host has, and which queue of a NIC each frame comes in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// 1 to [`Workers::MOST`].
    pub count: usize,
    /// A NIC with a queue for each worker chooses by a hash of the flow (RSS); another seed, another
    /// choice, but one for all frames of a flow.
    pub seed: u64,
}

impl Workers {
    /// More than a replay can use.
    pub const MOST: usize = 16;

    /// One worker.
    pub const ONE: Workers = Workers { count: 1, seed: 0 };

    /// The queue by which a frame comes in.
    pub fn queue(&self, frame: &[u8]) -> usize {
        flow_hash(frame, self.seed) % self.count.max(1)
    }
}

/// Over addresses, protocol and ports of the outermost IPv4 packet without options, otherwise over the MACs (FNV-1a).
fn flow_hash(frame: &[u8], seed: u64) -> usize {
    let ip = frame.get(12..15) == Some(&[0x08, 0x00, 0x45]);
    let parts = if ip { [frame.get(23..24), frame.get(26..38)] } else { [frame.get(..12), None] };
    let bytes = parts.into_iter().flatten().flatten();
    let hash = bytes.fold(seed ^ 0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    let mixed = (hash ^ hash >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15); // FNV's last bytes hardly reach the upper bits
    (mixed >> 32) as usize
}

/// Workers on the tables of `writer`, connected, a queue each of the underlay, of `phys` physical
/// networks and of the port nobody knows. `None`: not enough packet memory or file descriptors.
pub(super) fn start<'u>(
    writer: &Writer,
    umem: &'u mut Umem,
    count: usize,
    (ports, phys): (usize, usize),
) -> Option<Vec<Worker<'u>>> {
    let pools = umem.pools(count);
    if pools.len() < count || count == 0 {
        return None;
    }
    let links = mesh(&pools, RING).ok()?;
    let learn: LearnQueue = Arc::new(ArrayQueue::new(LEARN_QUEUE));
    let mut workers = Vec::new();
    for (id, (pool, links)) in pools.into_iter().zip(links).enumerate() {
        let frames = pool.total();
        let mut worker = Worker::new(writer.view(id)?, pool, ports, phys);
        worker.connect(links);
        worker.report_to(Arc::clone(&learn)); // one thread: what they saw stays in order
        let queues = (0..phys).map(|n| Door::Phys(n as u8)).chain([Door::Tunnel, Door::Unknown]);
        for door in queues {
            worker.attach(door, Port::Memory(MemoryPort::new(frames)));
        }
        worker.idle();
        workers.push(worker);
    }
    Some(workers)
}

/// Frames between the workers arrive, and their buffers go home.
pub(super) fn settle(workers: &mut [Worker<'_>]) {
    while workers.iter_mut().map(|w| w.take_over()).sum::<usize>() > 0 {}
    for _ in 0..2 {
        workers.iter_mut().for_each(|w| w.idle()); // a buffer sent home by one is taken in by the next round
    }
}

/// The worker of a door: the owner of a port, and of a NIC's queue the one it was chosen for.
pub(super) fn of(writer: &Writer, door: Door, queue: usize) -> usize {
    match door {
        Door::Port(ix) => writer.current().ports.get(ix).map_or(WorkerId(0), |row| row.owner).0.into(),
        Door::Tunnel | Door::Phys(_) => queue,
        Door::Unknown => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_has_one_queue_and_flows_spread() {
        let workers = Workers { count: 4, seed: 1 };
        let frame = |port: u8, payload: u8| {
            let mut f = vec![0u8; 60];
            f[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
            (f[35], f[50], f[18]) = (port, payload, payload); // source port, payload, IPv4 identification
            f
        };
        let queues: Vec<usize> = (0..64).map(|port| workers.queue(&frame(port, 0))).collect();
        assert!((0..4).all(|q| queues.iter().filter(|n| **n == q).count() >= 4), "{queues:?}");
        assert!((0..64).all(|port| (1..9).all(|p| workers.queue(&frame(port, p)) == queues[usize::from(port)])));
        let other = Workers { count: 4, seed: 2 };
        assert!((0..64).any(|port| other.queue(&frame(port, 0)) != queues[usize::from(port)]));
        assert_eq!(Workers::ONE.queue(&[]), 0);
    }
}
