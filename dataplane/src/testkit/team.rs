//! [`Team`]: several workers with the rows of one host, each with the ports it owns.

use crate::burst::Door;
use crate::handoff::mesh;
use crate::io::{MemoryPort, Port};
use crate::tables::*;
use crate::testkit::fixture::{LOCAL_PORTS, Rows};
use crate::umem::Umem;
use crate::worker::{Worker, WorkerView};
use std::sync::Arc;

/// Frames of each worker's pool.
pub const FRAMES: usize = 256;

/// Workers and who writes their tables.
#[derive(Debug)]
pub struct Team {
    pub workers: Vec<Worker<'static>>,
    pub snapshots: SnapshotWriter,
    pub qsbr: Arc<Qsbr>,
    pub neigh: FlatWriter<1>,
    /// Tells packets that wait to look again.
    pub news: Arc<News>,
    _flat: [FlatWriter<1>; 2],
}

impl Team {
    /// `n` workers, rings of `ring` frames.
    pub fn new(rows: &Rows, n: usize, ring: usize) -> Team {
        let qsbr = Qsbr::new(n);
        let writer = || FlatWriter::new(256, qsbr.clone(), ahash::RandomState::with_seeds(1, 2, 3, 4));
        let (mut fdb, mut neigh, mut fip) = (writer(), writer(), writer());
        let news = Arc::new(News::default());
        for ((seg, mac), row) in &rows.fdb {
            fdb.put(&fdb_key(*seg, *mac), FdbValue::pack(*row)).unwrap();
        }
        for ((seg, ip), row) in &rows.neigh {
            neigh.put(&ip4_key(*seg, *ip), row.to_word()).unwrap();
        }
        for (router, ip, address) in &rows.fip {
            fip.put(&fip_key(*router, *ip), u64::from(*address)).unwrap();
        }
        let mut snapshots = SnapshotWriter::default();
        snapshots.publish(rows.snap.clone());
        let umem = Box::leak(Box::new(Umem::new(n * FRAMES)));
        let pools = umem.pools(n);
        let links = mesh(&pools, ring).unwrap();
        let mut workers = Vec::new();
        for (id, (pool, links)) in pools.into_iter().zip(links).enumerate() {
            let view = WorkerView {
                published: snapshots.subscribe(),
                newest: snapshots.source(),
                tables: Tables {
                    fdb: fdb.reader(),
                    neigh: neigh.reader(),
                    fip: fip.reader(),
                    resolved: Arc::clone(&news),
                },
                token: qsbr.worker(id).unwrap(),
            };
            let mut worker = Worker::new(view, pool, LOCAL_PORTS, 2);
            worker.repeatable();
            worker.connect(links);
            let memory = || Port::Memory(MemoryPort::new(FRAMES));
            for nic in [Door::Tunnel, Door::Phys(0), Door::Phys(1)] {
                worker.attach(nic, memory()); // each worker has a queue of it
            }
            for (ix, row) in rows.snap.ports.iter().filter(|(_, row)| usize::from(row.owner.0) == id) {
                worker.attach_port(ix, row.generation, memory());
            }
            workers.push(worker);
        }
        Team { workers, snapshots, qsbr, neigh, news, _flat: [fdb, fip] }
    }

    /// Puts a frame in front of a worker's door.
    pub fn inject(&mut self, worker: usize, door: Door, frame: &[u8]) {
        let (port, pool) = self.workers[worker].memory_port(door).unwrap();
        port.inject(frame, 5_000_000_000, pool).unwrap();
    }

    /// Takes out what a worker sent by a door.
    pub fn drain(&mut self, worker: usize, door: Door) -> Vec<Vec<u8>> {
        let (port, pool) = self.workers[worker].memory_port(door).unwrap();
        let mut sent = Vec::new();
        port.drain(|bytes, _| sent.push(bytes.to_vec()));
        port.reclaim(pool);
        sent
    }

    /// Sum of a counter over all workers.
    pub fn sum(&self, name: &str) -> u64 {
        let of = |w: &Worker<'_>| w.counters().snapshot().into_iter().filter(|(n, _)| n == name).map(|(_, n)| n).sum();
        self.workers.iter().map(of).collect::<Vec<u64>>().iter().sum()
    }

    /// All buffers are home and the books of all workers together balance.
    pub fn assert_sound(&mut self) {
        for _ in 0..2 {
            self.workers.iter_mut().for_each(Worker::idle);
        }
        let frames: Vec<_> = self.workers.iter().map(Worker::frames).collect();
        assert_eq!(frames, vec![(FRAMES, FRAMES); frames.len()], "every frame is home");
        let sum = |names: [&str; 3]| names.map(|n| self.sum(n)).iter().sum::<u64>();
        assert_eq!(sum(["received", "generated", "copied"]), sum(["sent", "dropped", "consumed"]));
        assert_eq!((self.sum("handed_over"), self.sum("drop.internal")), (self.sum("taken_over"), 0));
    }
}
