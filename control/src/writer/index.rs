//! Names to dense indexes. An index is reused only after [`Indexes::release`].

use super::{Limits, TableFull};
use crate::rows::Rows;
use dataplane::tables::Target;
use dataplane::worker::WorkerId;
use std::collections::{BTreeMap, BTreeSet};

/// Indexes of one kind.
#[derive(Clone, Debug)]
struct Pool {
    of: BTreeMap<String, (u16, u32)>,
    names: BTreeMap<u16, String>,
    free: BTreeSet<u16>,
    next: u16,
    /// First index past the limit.
    end: u16,
    /// Indexes without an owner that are not free yet.
    waiting: usize,
    /// Owners so far; the generation of the newest.
    owners: u32,
}

impl Pool {
    fn new(first: u16, limit: usize) -> Self {
        // 65535 stands for none.
        let end = (usize::from(first) + limit).min(usize::from(u16::MAX)) as u16;
        Pool {
            of: BTreeMap::new(),
            names: BTreeMap::new(),
            free: BTreeSet::new(),
            next: first,
            end,
            waiting: 0,
            owners: 0,
        }
    }

    /// Is there an index for every name, those of names that are gone still being in use?
    fn check<'a>(&self, table: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), TableFull> {
        let new = names.filter(|n| !self.of.contains_key(*n)).count();
        let left = usize::from(self.end - self.next) + self.free.len();
        let limit = left + self.of.len() + self.waiting;
        if new <= left { Ok(()) } else { Err(TableFull { table, rows: limit - left + new, limit }) }
    }

    /// Gives every name an index; returns those of names that are gone.
    fn assign<'a>(&mut self, names: impl Iterator<Item = &'a String> + Clone) -> Vec<u16> {
        let keep: BTreeSet<&str> = names.clone().map(String::as_str).collect();
        let gone: Vec<String> = self.of.keys().filter(|n| !keep.contains(n.as_str())).cloned().collect();
        let freed: Vec<u16> = gone.iter().filter_map(|n| self.of.remove(n)).map(|(ix, _)| ix).collect();
        self.waiting += freed.len();
        for name in names {
            if !self.of.contains_key(name) {
                let ix = self.free.pop_first().unwrap_or_else(|| {
                    self.next += 1;
                    self.next - 1
                });
                self.owners += 1;
                self.of.insert(name.clone(), (ix, self.owners));
                self.names.insert(ix, name.clone());
            }
        }
        freed
    }
}

/// Indexes whose rows are gone, until nobody can mean them any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Freed {
    pub segments: Vec<u16>,
    pub ports: Vec<u16>,
    pub tunnels: Vec<u16>,
    routers: Vec<u16>,
    interfaces: Vec<u16>,
}

impl Freed {
    pub fn is_empty(&self) -> bool {
        [&self.segments, &self.ports, &self.tunnels, &self.routers, &self.interfaces].iter().all(|v| v.is_empty())
    }
}

/// All indexes of one host.
#[derive(Clone, Debug)]
pub struct Indexes {
    segments: Pool,
    ports: Pool,
    tunnels: Pool,
    routers: Pool,
    interfaces: Pool,
    /// The worker of each port index that has an owner.
    workers: BTreeMap<u16, WorkerId>,
    /// Ports of each worker.
    load: Vec<usize>,
}

impl Indexes {
    pub(super) fn new(limits: &Limits, workers: usize) -> Self {
        // 0 is no segment and no router: it would make a free slot's key.
        Indexes {
            segments: Pool::new(1, limits.segments),
            routers: Pool::new(1, limits.routers),
            ports: Pool::new(0, limits.ports.min(Target::PORTS)),
            tunnels: Pool::new(0, limits.tunnels.min(Target::TUNNELS)),
            interfaces: Pool::new(0, limits.interfaces),
            workers: BTreeMap::new(),
            load: vec![0; workers.max(1)],
        }
    }

    /// Gives the owners of rows their indexes; returns those that lost their owner. Refused if there
    /// are too few while those still wait to be free.
    pub(super) fn assign(&mut self, rows: &Rows) -> Result<Freed, TableFull> {
        self.tunnels.check("T03 tunnels", rows.tunnels.keys())?;
        self.segments.check("T04 segments", rows.segments.keys())?;
        self.ports.check("T05 ports", rows.ports.keys())?;
        self.routers.check("T10 routers", rows.routers.keys())?;
        self.interfaces.check("T11 router interfaces", rows.interfaces.keys())?;
        let ports = self.ports.assign(rows.ports.keys());
        self.assign_workers(&ports);
        Ok(Freed {
            segments: self.segments.assign(rows.segments.keys()),
            ports,
            tunnels: self.tunnels.assign(rows.tunnels.keys()),
            routers: self.routers.assign(rows.routers.keys()),
            interfaces: self.interfaces.assign(rows.interfaces.keys()),
        })
    }

    /// A new port goes to the worker that has the fewest, and stays there until it is `gone`.
    fn assign_workers(&mut self, gone: &[u16]) {
        for worker in gone.iter().filter_map(|ix| self.workers.remove(ix)) {
            if let Some(load) = self.load.get_mut(usize::from(worker.0)) {
                *load -= 1;
            }
        }
        for (ix, _) in self.ports.of.values() {
            if self.workers.contains_key(ix) {
                continue;
            }
            let least = self.load.iter_mut().enumerate().min_by_key(|(_, load)| **load);
            let Some((id, load)) = least else { continue };
            *load += 1;
            self.workers.insert(*ix, WorkerId(id as u8));
        }
    }

    /// The worker that alone touches a port's queues (W1).
    pub(super) fn worker_of(&self, port: u16) -> WorkerId {
        self.workers.get(&port).copied().unwrap_or_default()
    }

    /// The grace period of `freed` is over.
    pub(super) fn release(&mut self, freed: &Freed) {
        let pools = [&mut self.segments, &mut self.ports, &mut self.tunnels, &mut self.routers, &mut self.interfaces];
        let lists = [&freed.segments, &freed.ports, &freed.tunnels, &freed.routers, &freed.interfaces];
        for (pool, list) in pools.into_iter().zip(lists) {
            pool.free.extend(list);
            pool.waiting -= list.len();
        }
    }

    /// Index and generation of a network's segment.
    pub fn segment(&self, network: &str) -> Option<(u16, u32)> {
        self.segments.of.get(network).copied()
    }

    /// Of a local port.
    pub fn port(&self, id: &str) -> Option<(u16, u32)> {
        self.ports.of.get(id).copied()
    }

    /// Generation of the port that has an index now.
    pub(super) fn port_owner(&self, ix: u16) -> Option<u32> {
        let (now, generation) = self.port(self.port_name(ix)?)?;
        (now == ix).then_some(generation)
    }

    /// Of the tunnel to a host.
    pub fn tunnel(&self, host: &str) -> Option<(u16, u32)> {
        self.tunnels.of.get(host).copied()
    }

    /// Of a router.
    pub fn router(&self, id: &str) -> Option<(u16, u32)> {
        self.routers.of.get(id).copied()
    }

    /// Of a router interface, by port id.
    pub fn interface(&self, port: &str) -> Option<(u16, u32)> {
        self.interfaces.of.get(port).copied()
    }

    /// Who has or last had an index.
    pub fn segment_name(&self, ix: u16) -> Option<&str> {
        self.segments.names.get(&ix).map(String::as_str)
    }

    /// The same for ports.
    pub fn port_name(&self, ix: u16) -> Option<&str> {
        self.ports.names.get(&ix).map(String::as_str)
    }

    /// The same for tunnels.
    pub fn tunnel_name(&self, ix: u16) -> Option<&str> {
        self.tunnels.names.get(&ix).map(String::as_str)
    }

    /// The same for routers.
    pub fn router_name(&self, ix: u16) -> Option<&str> {
        self.routers.names.get(&ix).map(String::as_str)
    }

    /// The same for router interfaces.
    pub fn interface_name(&self, ix: u16) -> Option<&str> {
        self.interfaces.names.get(&ix).map(String::as_str)
    }

    /// Local ports with their indexes, by id.
    pub fn ports(&self) -> impl Iterator<Item = (&str, u16)> {
        self.ports.of.iter().map(|(id, (ix, _))| (id.as_str(), *ix))
    }
}
