//! Names to dense indexes. An index is reused only after [`Indexes::release`].

use crate::rows::Rows;
use std::collections::{BTreeMap, BTreeSet};

/// Indexes of one kind.
#[derive(Clone, Debug)]
struct Pool {
    of: BTreeMap<String, (u16, u32)>,
    names: BTreeMap<u16, String>,
    free: BTreeSet<u16>,
    next: u16,
    /// Owners so far; the generation of the newest.
    owners: u32,
}

impl Pool {
    fn new(first: u16) -> Self {
        Pool { of: BTreeMap::new(), names: BTreeMap::new(), free: BTreeSet::new(), next: first, owners: 0 }
    }

    /// Gives every name an index; returns those of names that are gone.
    fn assign<'a>(&mut self, names: impl Iterator<Item = &'a String> + Clone) -> Vec<u16> {
        let keep: BTreeSet<&str> = names.clone().map(String::as_str).collect();
        let gone: Vec<String> = self.of.keys().filter(|n| !keep.contains(n.as_str())).cloned().collect();
        let freed = gone.iter().filter_map(|n| self.of.remove(n)).map(|(ix, _)| ix).collect();
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
}

impl Indexes {
    pub(super) fn new() -> Self {
        // 0 is no segment and no router: it would make a free slot's key.
        let (from_one, from_zero) = (Pool::new(1), Pool::new(0));
        Indexes {
            segments: from_one.clone(),
            routers: from_one,
            ports: from_zero.clone(),
            tunnels: from_zero.clone(),
            interfaces: from_zero,
        }
    }

    pub(super) fn assign(&mut self, rows: &Rows) -> Freed {
        Freed {
            segments: self.segments.assign(rows.segments.keys()),
            ports: self.ports.assign(rows.ports.keys()),
            tunnels: self.tunnels.assign(rows.tunnels.keys()),
            routers: self.routers.assign(rows.routers.keys()),
            interfaces: self.interfaces.assign(rows.interfaces.keys()),
        }
    }

    /// The grace period of `freed` is over.
    pub(super) fn release(&mut self, freed: &Freed) {
        let pools = [&mut self.segments, &mut self.ports, &mut self.tunnels, &mut self.routers, &mut self.interfaces];
        let lists = [&freed.segments, &freed.ports, &freed.tunnels, &freed.routers, &freed.interfaces];
        for (pool, list) in pools.into_iter().zip(lists) {
            pool.free.extend(list);
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
