//! The host of [`crate::cloud`]: its tables as dvrd's own writer fills them, and workers that have them.

use crate::cloud;
use crate::topo::*;
use control::rows::{NeighbourRows, Place, RouteRows, Rows};
use control::writer::{Limits, Writer};
use dataplane::burst::Door;
use dataplane::io::{MemoryPort, Port};
use dataplane::police::Rate;
use dataplane::tables::{NeighValue, PortIx};
use dataplane::umem::FramePool;
use dataplane::worker::{Worker, WorkerId};

/// Frames a port of a bench holds: those of the turns between two visits of the sink.
const PORT_QUEUE: usize = 1024;

/// Index of local VM `j` of network `n`.
pub fn port_ix(n: u16, j: u16) -> PortIx {
    n * LOCAL + j
}

/// Every local VM's door.
pub fn vm_doors() -> impl Iterator<Item = Door> {
    (0..NETS * LOCAL).map(Door::Port)
}

/// The control side of one host.
#[derive(Debug)]
pub struct Host {
    /// The writer of its tables.
    pub writer: Writer,
}

/// What a host is given besides the topology.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Workers that share its ports.
    pub workers: usize,
    /// Further remote VMs, a forwarding and a neighbour row each ([`more_ip`]).
    pub more: u32,
    /// Tables as large as dvrd makes them, whatever is in them; otherwise as for replay and tests.
    pub as_dvrd: bool,
}

impl Default for Setup {
    /// One worker on the topology, tables as large as dvrd's.
    fn default() -> Self {
        Setup { workers: 1, more: 0, as_dvrd: true }
    }
}

impl Host {
    /// Model, rows and tables, the way dvrd makes them.
    pub fn new(setup: Setup) -> Result<Host, String> {
        let model = cloud::cloud().map_err(|e| e.to_string())?;
        let mut rows = Rows::derive(&model, cloud::HOST).ok_or("no rows for the host of the bench")?;
        add(&mut rows, setup.more);
        let mut limits = if setup.as_dvrd { Limits::default() } else { Limits::for_rows(&rows) };
        limits.fdb = limits.fdb.max(rows.fdb.len());
        limits.neighbours = limits.neighbours.max(rows.neighbours.len());
        // Updates of a bench are learned addresses, more of them a second than the network may cause.
        limits.learn_rate = Rate { per_second: u32::MAX, burst: u32::MAX };
        let mut writer = Writer::new(setup.workers, limits);
        writer.apply(&rows, None).map_err(|e| e.to_string())?;
        let host = Host { writer };
        host.check()?;
        Ok(host)
    }

    /// The topology has the indexes [`port_ix`] says, and every row found a place.
    fn check(&self) -> Result<(), String> {
        for n in 0..NETS {
            for j in 0..LOCAL {
                let got = self.writer.indexes().port(&cloud::local_vm(n, j)).map(|(ix, _)| ix);
                if got != Some(port_ix(n, j)) {
                    return Err(format!("{} has index {got:?}", cloud::local_vm(n, j)));
                }
            }
        }
        match self.writer.counters().iter().find(|(name, n)| *name == "row_not_stored" && *n != 0) {
            Some((_, n)) => Err(format!("{n} rows found no slot")),
            None => Ok(()),
        }
    }

    /// The worker that has this local port.
    pub fn owner(&self, port: PortIx) -> WorkerId {
        self.writer.current().ports.get(port).map_or(WorkerId(0), |row| row.owner)
    }

    /// What the attached port of this index must say.
    pub fn generation(&self, port: PortIx) -> u32 {
        self.writer.current().ports.get(port).map_or(0, |row| row.generation)
    }

    /// The worker of this pool, with a memory port for every VM it owns, and queues of the underlay and of the
    /// external network.
    pub fn worker<'u>(&self, pool: FramePool<'u>) -> Worker<'u> {
        let id = pool.id();
        let mut worker = self.idle_worker(pool);
        let memory = || Port::Memory(MemoryPort::new(PORT_QUEUE));
        worker.attach(Door::Tunnel, memory());
        worker.attach(Door::Phys(0), memory());
        for ix in (0..NETS * LOCAL).filter(|ix| self.owner(*ix) == id) {
            worker.attach_port(ix, self.generation(ix), memory());
        }
        worker
    }

    /// The worker of this pool, without ports.
    pub fn idle_worker<'u>(&self, pool: FramePool<'u>) -> Worker<'u> {
        let view = self.writer.view(usize::from(pool.id().0)).expect("the number of workers was given");
        Worker::new(view, pool, usize::from(NETS * LOCAL), 1)
    }
}

/// Further remote VMs in all networks in turn, behind every host in turn, as ports of one more subnet would be.
fn add(rows: &mut Rows, more: u32) {
    if more == 0 {
        return;
    }
    for n in 0..NETS {
        let hops = vec![(cloud::interface(n), 0)];
        let route = RouteRows { net: more_ip(n, 0), len: 8, hops };
        rows.routers.values_mut().for_each(|r| r.routes.push(route.clone()));
    }
    for x in 0..more {
        let (n, x) = ((x % u32::from(NETS)) as u16, x / u32::from(NETS));
        let (mac, place) = (more_mac(n, x), Place::Host(cloud::host(more_host(x))));
        rows.fdb.insert((cloud::network(n), mac), place.clone());
        let flags = NeighValue::ROUTE | NeighValue::ANSWER;
        rows.neighbours.insert((cloud::network(n), more_ip(n, x)), NeighbourRows::Host { mac, place, flags });
    }
}
