//! T06, T07 and T13: where every MAC and address is.

use super::derive::{View, has_queues, v4};
use super::*;
use crate::model::{NetworkType, Port};
use dataplane::tables::NeighValue;

impl View<'_> {
    /// Where a bound port is, seen from here; `None` for ports that have no place (an interface of
    /// a distributed router is everywhere) or whose host is unreachable.
    fn place(&self, port: &Port) -> Option<Place> {
        if port.is_bound_to(&self.me.name) {
            return if port.is_router_snat() || port.is_router_gateway() {
                Some(Place::Snat)
            } else {
                has_queues(port).then(|| Place::Port(port.id.clone()))
            };
        }
        let reachable = port.is_active() && (has_queues(port) || port.is_router_snat());
        let host = port.binding_host_id.as_ref().filter(|h| reachable && self.cloud.hosts.contains_key(*h))?;
        match self.cloud.networks.get(&port.network_id)?.provider_network_type {
            NetworkType::Vxlan => Some(Place::Host(host.clone())),
            NetworkType::Vlan | NetworkType::Flat => Some(Place::Phys),
            NetworkType::Local => None,
        }
    }

    /// Ports of the networks of this host that have a place, by id. Rules: o7.
    fn placed(&self) -> impl Iterator<Item = (&Port, Place)> {
        let here = self.cloud.ports.values().filter(|p| self.is_here(&p.network_id) && p.is_bound());
        here.filter_map(|p| Some((p, self.place(p)?)))
    }

    /// T06: every port's own MAC; of address pairs with a MAC of their own those of local ports,
    /// lowest ACTIVE port id first, until traffic shows who has it (VRRP).
    pub(super) fn fdb(&self, rows: &mut Rows) {
        for (port, place) in self.placed() {
            rows.fdb.insert((port.network_id.clone(), port.mac_address), place);
        }
        let mut local: Vec<&Port> = self.cloud.ports.values().filter(|p| self.is_local(p)).collect();
        local.sort_by_key(|p| !p.is_active());
        for port in local {
            for pair in &port.allowed_address_pairs {
                let key = (port.network_id.clone(), pair.mac_address);
                if !rows.fdb.contains_key(&key) {
                    rows.fdb.insert(key.clone(), Place::Port(port.id.clone()));
                    rows.virtual_macs.insert(key);
                }
            }
        }
    }

    /// T07 and T13. A fixed address wins over a candidate, and both over a static neighbour.
    pub(super) fn neighbours(&self, rows: &mut Rows) {
        let interfaces = self.placement.interfaces.iter().filter(|(router, _)| self.has_router(router));
        for port in interfaces.flat_map(|(_, ports)| ports) {
            for ip in port.fixed_ips.iter().filter_map(|f| v4(f.ip_address)) {
                rows.neighbours.insert((port.network_id.clone(), ip), NeighbourRows::Router(port.id.clone()));
            }
        }
        for (id, fg) in rows.interfaces.iter().filter(|(_, i)| i.router.is_none() && i.ip != 0) {
            rows.neighbours.insert((fg.network.clone(), fg.ip), NeighbourRows::Router(id.clone()));
        }
        for (port, place) in self.placed() {
            // A port that is bound here but not ACTIVE is still routed to (and dropped as
            // `port_down`), but nobody is told it is there.
            let answer = if port.is_active() { NeighValue::ANSWER } else { 0 };
            for ip in port.fixed_ips.iter().filter_map(|f| v4(f.ip_address)) {
                let row = NeighbourRows::Host {
                    mac: port.mac_address,
                    place: place.clone(),
                    flags: NeighValue::ROUTE | answer,
                };
                rows.neighbours.entry((port.network_id.clone(), ip)).or_insert(row);
            }
        }
        self.candidates(rows);
        self.static_neighbours(rows);
    }

    /// R7: of several owners of an allowed address pair the ACTIVE one with the lowest port id.
    fn candidates(&self, rows: &mut Rows) {
        for (port, place) in self.placed().filter(|(p, _)| p.is_active()) {
            for pair in port.allowed_address_pairs.iter().filter(|p| p.ip_address.is_host()) {
                let Some(ip) = v4(pair.ip_address.addr()) else { continue };
                let flags = NeighValue::ROUTE | NeighValue::WATCHED;
                let row = NeighbourRows::Host { mac: pair.mac_address, place: place.clone(), flags };
                let key = (port.network_id.clone(), ip);
                let row = rows.neighbours.entry(key.clone()).or_insert(row);
                // A fixed address of somebody's stays where it is, whoever else may use it.
                if matches!(row, NeighbourRows::Host { flags, .. } if *flags & NeighValue::WATCHED != 0) {
                    let candidate = Candidate { mac: pair.mac_address, place: place.clone() };
                    rows.candidates.entry(key).or_default().push(candidate);
                }
            }
        }
    }

    /// `neighbors` of the model: machines that are no ports.
    fn static_neighbours(&self, rows: &mut Rows) {
        for n in self.cloud.neighbors.values().filter(|n| self.is_here(&n.network_id)) {
            let Some(ip) = v4(n.ip_address) else { continue };
            let network = self.cloud.networks.get(&n.network_id).map(|n| n.provider_network_type);
            let place = match (rows.fdb.get(&(n.network_id.clone(), n.mac_address)), network) {
                (Some(place), _) => place.clone(),
                (None, Some(NetworkType::Vlan | NetworkType::Flat)) => Place::Phys,
                (None, _) => Place::Fdb,
            };
            let row = NeighbourRows::Host { mac: n.mac_address, place, flags: NeighValue::ROUTE };
            rows.neighbours.entry((n.network_id.clone(), ip)).or_insert(row);
        }
    }
}
