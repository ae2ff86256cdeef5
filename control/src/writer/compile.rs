//! Rows by name to rows by index.

use super::index::Indexes;
use crate::rows::{Candidate, NeighbourRows, Place, PortRows, RouterRows, Rows, SegRows};
use dataplane::tables::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a batch stores.
pub(super) struct Compiled {
    /// Step 3: everything as the batch wants it. `None`: nothing of it differs.
    pub snapshot: Option<Snapshot>,
    /// Step 1: the old snapshot with the new rows beside it, new ports inactive. `None`: no new rows.
    pub fresh: Option<Snapshot>,
    /// T06 of the model.
    pub fdb: BTreeMap<u64, u64>,
    /// T07, T13.
    pub neighbours: BTreeMap<u64, u64>,
    /// T13: values that rows of `neighbours` may take.
    pub candidates: BTreeMap<u64, Vec<u64>>,
    /// T14.
    pub fips: BTreeMap<u64, u64>,
}

impl Compiled {
    /// `ix`: indexes of the batch; `old_ix`: of what the workers have, `current`.
    pub fn new(rows: &Rows, current: &Snapshot, ix: &Indexes, old_ix: &Indexes) -> Self {
        let scopes: BTreeSet<&str> = rows.interfaces.values().filter_map(|i| i.scope.as_deref()).collect();
        let c = Compiler { rows, ix, scopes: scopes.into_iter().collect() };
        let mut next = Snapshot { host: rows.host.clone(), ..current.clone() };
        let mut changed = rows.host != current.host;
        let mut fresh = None;
        let mut new_row = |set: &mut dyn FnMut(&mut Snapshot)| set(fresh.get_or_insert_with(|| current.clone()));
        for (id, r) in &rows.segments {
            let Some((at, row)) = c.segment(id, r) else { continue };
            if old_ix.segment(id).is_none() {
                new_row(&mut |s| s.segments.set(at, Some(row.clone())));
            }
            changed |= store(&mut next.segments, at, row);
        }
        for (id, end) in &rows.tunnels {
            let Some((at, generation)) = ix.tunnel(id) else { continue };
            let row = TunnelRow::new(generation, &rows.host, *end);
            if old_ix.tunnel(id).is_none() {
                new_row(&mut |s| s.tunnels.set(at, Some(row.clone())));
            }
            changed |= store(&mut next.tunnels, at, row);
        }
        for (id, r) in &rows.ports {
            let Some((at, row)) = c.port(id, r) else { continue };
            if old_ix.port(id).is_none() {
                new_row(&mut |s| s.ports.set(at, Some(PortRow { active: false, ..row.clone() })));
            }
            changed |= store(&mut next.ports, at, row);
        }
        for (id, r) in &rows.interfaces {
            let (Some((at, _)), Some((seg, _))) = (ix.interface(id), ix.segment(&r.network)) else { continue };
            let router = match &r.router {
                None => Some(NO_ROUTER),
                Some(router) => ix.router(router).map(|(ix, _)| ix),
            };
            let Some(router) = router else { continue };
            let scope = c.scope(r.scope.as_deref());
            let mtu = r.mtu.min(c.underlay_carries(&r.network));
            let row = InterfaceRow { seg, router, mac: r.mac, ip: r.ip, mtu, up: r.up, scope };
            if old_ix.interface(id).is_none() {
                new_row(&mut |s| s.interfaces.set(at, Some(row.clone())));
            }
            changed |= store(&mut next.interfaces, at, row);
        }
        for (id, r) in &rows.routers {
            let Some((at, _)) = ix.router(id) else { continue };
            let row = c.router(r);
            if old_ix.router(id).is_none() {
                new_row(&mut |s| s.routers.set(at, Some(row.clone())));
            }
            changed |= store(&mut next.routers, at, row);
        }
        changed |= clear_gone(&mut next, ix);
        changed |= c.indexes(&mut next, current);
        Compiled {
            snapshot: changed.then_some(next),
            fresh,
            fdb: c.fdb(),
            neighbours: c.neighbours(),
            candidates: c.candidates(),
            fips: c.fips(),
        }
    }
}

/// Changes a row only if it says something else: unchanged chunks stay shared. Did it?
fn store<T: Clone + PartialEq>(table: &mut Chunked<T>, at: u16, row: T) -> bool {
    let differs = table.get(at) != Some(&row);
    if differs {
        table.set(at, Some(row));
    }
    differs
}

/// Rows whose owner is gone. A port's row stays until its index is reused, inactive: frames that
/// T06 still sends there are `port_down`. Was there any?
fn clear_gone(next: &mut Snapshot, ix: &Indexes) -> bool {
    let has = |owner: Option<(u16, u32)>, at: u16| owner.is_some_and(|(index, _)| index == at);
    let port = |at| has(ix.port_name(at).and_then(|n| ix.port(n)), at);
    let idle: Vec<u16> = next.ports.iter().filter(|(at, row)| row.active && !port(*at)).map(|(at, _)| at).collect();
    for at in &idle {
        let row = next.ports.get(*at).map(|r| PortRow { active: false, ..r.clone() });
        next.ports.set(*at, row);
    }
    let segments = clear(&mut next.segments, |at| has(ix.segment_name(at).and_then(|n| ix.segment(n)), at));
    let tunnels = clear(&mut next.tunnels, |at| has(ix.tunnel_name(at).and_then(|n| ix.tunnel(n)), at));
    let routers = clear(&mut next.routers, |at| has(ix.router_name(at).and_then(|n| ix.router(n)), at));
    let interfaces = clear(&mut next.interfaces, |at| has(ix.interface_name(at).and_then(|n| ix.interface(n)), at));
    !idle.is_empty() || segments || tunnels || routers || interfaces
}

/// Clears the rows that are not `live`; `true` if there were any.
fn clear<T: Clone>(table: &mut Chunked<T>, live: impl Fn(u16) -> bool) -> bool {
    let gone: Vec<u16> = table.iter().map(|(at, _)| at).filter(|at| !live(*at)).collect();
    gone.iter().for_each(|at| table.set(*at, None));
    !gone.is_empty()
}

struct Compiler<'a> {
    rows: &'a Rows,
    ix: &'a Indexes,
    /// Address scopes, sorted.
    scopes: Vec<&'a str>,
}

impl Compiler<'_> {
    fn segment(&self, id: &str, r: &SegRows) -> Option<(u16, SegRow)> {
        let (at, generation) = self.ix.segment(id)?;
        // By index: a flood that waits goes on behind the last port served (dataplane::flood).
        let ports = |ids: &[String]| {
            let sorted: BTreeSet<u16> = ids.iter().filter_map(|p| Some(self.ix.port(p)?.0)).collect();
            sorted.into_iter().collect()
        };
        let tunnels: Vec<u16> = r.flood_hosts.iter().filter_map(|h| Some(self.ix.tunnel(h)?.0)).collect();
        // An interface of a router that is not on this host is reserved all the same.
        let interface = |(mac, port): &(_, String)| SegInterface {
            mac: *mac,
            iface: self.ix.interface(port).map_or(u16::MAX, |(iface, _)| iface),
        };
        let row = SegRow {
            generation,
            wire: r.wire,
            learning: r.learning,
            flood_unknown: r.flood_unknown,
            strict: r.strict,
            vlan_transparent: r.vlan_transparent,
            external: r.external,
            phys_gw: r.phys_gw,
            interfaces: r.interfaces.iter().map(interface).collect(),
            router_ips: r.router_ips.as_slice().into(),
            router_ips6: r.router_ips6.as_slice().into(),
            subnets: r.subnets.as_slice().into(),
            subnets6: r.subnets6.as_slice().into(),
            flood_ports: ports(&r.flood_ports),
            unknown_ports: ports(&r.unknown_ports),
            members: tunnels.iter().copied().collect(),
            flood_tunnels: tunnels.into(),
        };
        Some((at, row))
    }

    fn port(&self, id: &str, r: &PortRows) -> Option<(u16, PortRow)> {
        let (at, generation) = self.ix.port(id)?;
        let row = PortRow {
            generation,
            owner: self.ix.worker_of(at),
            active: r.active,
            secured: r.secured,
            unknown: r.unknown,
            seg: self.ix.segment(&r.network)?.0,
            mac: r.mac,
            gateway_mac: r.gateway_mac,
            allowed: r.allowed.as_slice().into(),
            allowed6: r.allowed6.as_slice().into(),
        };
        Some((at, row))
    }

    fn router(&self, r: &RouterRows) -> RouterRow {
        let hop = |(port, via): &(String, u32)| Some(Hop::new(self.ix.interface(port)?.0, *via));
        let route = |route: &crate::rows::RouteRows| Route {
            net: route.net,
            len: route.len,
            hops: route.hops.iter().filter_map(hop).collect(),
        };
        let snat = |(net, mask, next_hop, port): &(u32, u32, u32, String)| {
            Some(SnatRow { net: *net, mask: *mask, next_hop: *next_hop, iface: self.ix.interface(port)?.0 })
        };
        RouterRow {
            active: r.active,
            routes: RouteSet::new(r.routes.iter().map(route)),
            own: r.own.iter().map(|(ip, _)| *ip).collect(),
            own_masks: r.own.iter().map(|(_, mask)| *mask).collect(),
            fip_routes: RouteSet::new(r.fip_routes.iter().map(route)),
            scoped: r.scoped.as_slice().into(),
            snat: r.snat.iter().filter_map(snat).collect(),
            gateway_here: r.gateway_here,
            fip_here: r.fip_here,
        }
    }

    /// Address scopes get numbers in the order of their ids; only equality matters.
    fn scope(&self, scope: Option<&str>) -> u16 {
        scope.and_then(|s| self.scopes.binary_search(&s).ok()).map_or(0, |n| n as u16 + 1)
    }

    /// The hashes of a snapshot; kept as they are where nothing changed. Did something?
    fn indexes(&self, next: &mut Snapshot, current: &Snapshot) -> bool {
        let keep = |new: U32Index, old: &Arc<U32Index>| if **old == new { Arc::clone(old) } else { Arc::new(new) };
        let vlan = |(id, r): (&String, &SegRows)| match r.wire {
            Wire::Phys { net, vid } => Some((u32::from(net) << 16 | u32::from(vid), self.ix.segment(id)?.0)),
            _ => None,
        };
        let vni = |(id, r): (&String, &SegRows)| match r.wire {
            Wire::Vxlan(vni) => Some((vni, self.ix.segment(id)?.0)),
            _ => None,
        };
        let tunnels = self.rows.tunnels.iter().filter_map(|(id, end)| Some((end, self.ix.tunnel(id)?.0)));
        let dvr_macs = tunnels.clone().filter(|(end, _)| !end.dvr_mac.is_zero());
        next.vnis = keep(U32Index::new(self.rows.segments.iter().filter_map(vni)), &current.vnis);
        next.vlans = keep(U32Index::new(self.rows.segments.iter().filter_map(vlan)), &current.vlans);
        next.vteps = keep(U32Index::new(tunnels.map(|(end, t)| (end.vtep, t))), &current.vteps);
        next.dvr_macs =
            keep(U32Index::new(dvr_macs.map(|(end, t)| (end.dvr_mac.to_u64() as u32, t))), &current.dvr_macs);
        let same = |new: &Arc<U32Index>, old: &Arc<U32Index>| Arc::ptr_eq(new, old);
        !(same(&next.vnis, &current.vnis)
            && same(&next.vlans, &current.vlans)
            && same(&next.vteps, &current.vteps)
            && same(&next.dvr_macs, &current.dvr_macs))
    }

    /// R8: the largest IP packet that reaches other hosts of a network; no error is made of one too large for the
    /// underlay.
    fn underlay_carries(&self, network: &str) -> u16 {
        match self.rows.segments.get(network).map(|s| s.wire) {
            Some(Wire::Vxlan(_)) => self.rows.host.underlay_mtu.saturating_sub(OUTER as u16),
            _ => u16::MAX,
        }
    }

    /// Of each address that several ports may have, what their rows would say.
    fn candidates(&self) -> BTreeMap<u64, Vec<u64>> {
        let flags = NeighValue::ROUTE | NeighValue::WATCHED;
        let value = |c: &Candidate| Some(NeighValue::host(c.mac, self.target(&c.place)?, flags).to_word());
        let row = |((network, ip), all): (&(String, u32), &Vec<Candidate>)| {
            let [key] = ip4_key(self.ix.segment(network)?.0, *ip);
            Some((key, all.iter().filter_map(value).collect()))
        };
        self.rows.candidates.iter().filter_map(row).collect()
    }

    fn target(&self, place: &Place) -> Option<Target> {
        Some(match place {
            Place::Port(id) => Target::Port(self.ix.port(id)?.0),
            Place::Host(name) => Target::Tunnel(self.ix.tunnel(name)?.0),
            Place::Phys => Target::Phys,
            Place::Snat => Target::Snat,
            Place::Fdb => Target::Fdb,
        })
    }

    fn fdb(&self) -> BTreeMap<u64, u64> {
        let row = |((network, mac), place): (&(String, _), &Place)| {
            let [key] = fdb_key(self.ix.segment(network)?.0, *mac);
            let learned = self.rows.virtual_macs.contains(&(network.clone(), *mac));
            Some((key, FdbValue::pack(FdbTarget { target: self.target(place)?, learned, stamp: 0 })))
        };
        self.rows.fdb.iter().filter_map(row).collect()
    }

    fn neighbours(&self) -> BTreeMap<u64, u64> {
        let row = |((network, ip), row): (&(String, u32), &NeighbourRows)| {
            let [key] = ip4_key(self.ix.segment(network)?.0, *ip);
            let value = match row {
                NeighbourRows::Host { mac, place, flags } => NeighValue::host(*mac, self.target(place)?, *flags),
                NeighbourRows::Router(port) => NeighValue::router(self.ix.interface(port)?.0),
                NeighbourRows::FloatingIp { router, fixed, answers } => {
                    NeighValue::floating_ip(self.ix.router(router)?.0, *fixed, *answers)
                }
            };
            Some((key, value.to_word()))
        };
        self.rows.neighbours.iter().filter_map(row).collect()
    }

    fn fips(&self) -> BTreeMap<u64, u64> {
        let row = |((router, fixed), address): (&(String, u32), &u32)| {
            let [key] = fip_key(self.ix.router(router)?.0, *fixed);
            Some((key, u64::from(*address)))
        };
        self.rows.fips.iter().filter_map(row).collect()
    }
}
