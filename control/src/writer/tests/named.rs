//! All a worker can look up, by name: two writers that mean the same say the same, whatever indexes
//! they gave out on the way.

use super::*;
use dataplane::tables::{Hop, PortRow, SegRow};

/// Every row of every table in words. Panics if a table holds a row that no resource owns.
pub(crate) fn named(w: &Writer, rows: &Rows) -> BTreeSet<String> {
    let n = Names { w, s: &w.current };
    let mut all = BTreeSet::from([format!("host {:?}", n.s.host)]);
    for id in rows.segments.keys() {
        let (at, _) = w.indexes.segment(id).unwrap();
        let row = n.s.segments.get(at).unwrap();
        if let dataplane::tables::Wire::Vxlan(vni) = row.wire {
            assert_eq!(n.s.vnis.get(vni), Some(at), "VNI of {id}");
        }
        all.insert(format!("segment {id} {}", n.segment(row)));
    }
    for (id, end) in &rows.tunnels {
        let (at, _) = w.indexes.tunnel(id).unwrap();
        let row = n.s.tunnels.get(at).unwrap();
        assert_eq!(n.s.vteps.get(end.vtep), Some(at), "VTEP of {id}");
        assert_eq!(n.s.dvr_macs.get(end.dvr_mac.to_u64() as u32), Some(at), "DVR MAC of {id}");
        all.insert(format!("tunnel {id} {:x?} {} {}", row.header, row.dvr_mac, row.resolved));
    }
    for id in rows.ports.keys() {
        let row = n.s.ports.get(w.indexes.port(id).unwrap().0).unwrap();
        all.insert(format!("port {id} {:?} in {}", PortRow { generation: 0, seg: 0, ..row.clone() }, n.seg(row.seg)));
    }
    for (id, r) in &rows.routers {
        let row = n.s.routers.get(w.indexes.router(id).unwrap().0).unwrap();
        let flags = (row.active, row.gateway_here, row.fip_here, row.routes.len(), (&row.own, &row.own_masks));
        all.insert(format!("router {id} {flags:?}"));
        for route in &r.fip_routes {
            let hop = row.fip_routes.lookup(route.net, || 0).map(|h| format!("{}>{:x}", n.iface(h.iface()), h.via()));
            all.insert(format!("fip route of {id} to {:x}/{} {hop:?}", route.net, route.len));
        }
        for s in row.snat.iter() {
            all.insert(format!("snat of {id} {:x}/{:x} {:x} {}", s.net, s.mask, s.next_hop, n.iface(s.iface)));
        }
        // Inside, at and around every prefix, by three hashes.
        for route in &r.routes {
            let last = route.net | u32::MAX.checked_shr(u32::from(route.len)).unwrap_or(0);
            for dst in [route.net, last, route.net.wrapping_sub(1), last.wrapping_add(1)] {
                for hash in [0, 1 << 62, u64::MAX] {
                    let hop = |h: Hop| format!("{}>{:x}", n.iface(h.iface()), h.via());
                    let hop = row.routes.lookup(dst, || hash).map(hop);
                    all.insert(format!("route of {id} to {dst:x} {hash:x} {hop:?}"));
                }
            }
        }
    }
    for id in rows.interfaces.keys() {
        let row = n.s.interfaces.get(w.indexes.interface(id).unwrap().0).unwrap();
        let rest = (row.mac, row.ip, row.mtu, row.up, row.scope);
        all.insert(format!(
            "interface {id} {} {} {rest:?}",
            n.seg(row.seg),
            w.indexes.router_name(row.router).unwrap_or("fg")
        ));
    }
    n.nothing_else(rows);
    n.flat(&mut all);
    all
}

struct Names<'a> {
    w: &'a Writer,
    s: &'a Snapshot,
}

impl Names<'_> {
    fn seg(&self, at: u16) -> &str {
        self.w.indexes.segment_name(at).unwrap()
    }

    fn port(&self, at: u16) -> &str {
        let id = self.w.indexes.port_name(at).unwrap();
        assert_eq!(self.w.indexes.port(id).unwrap().0, at, "a row leads to an index that {id} has lost");
        id
    }

    fn tunnel(&self, at: u16) -> &str {
        assert!(self.s.tunnels.get(at).is_some(), "a row leads to a tunnel that is gone");
        self.w.indexes.tunnel_name(at).unwrap()
    }

    fn iface(&self, at: u16) -> &str {
        match at {
            u16::MAX => "not here",
            at => {
                assert!(self.s.interfaces.get(at).is_some(), "a row leads to an interface that is gone");
                self.w.indexes.interface_name(at).unwrap()
            }
        }
    }

    fn segment(&self, r: &SegRow) -> String {
        let flags = (r.wire, r.learning, r.flood_unknown, r.strict, (r.vlan_transparent, r.external, r.phys_gw));
        let interfaces: Vec<_> = r.interfaces.iter().map(|i| (i.mac, self.iface(i.iface))).collect();
        let addresses = (&r.router_ips, &r.router_ips6, &r.subnets, &r.subnets6);
        // In the order of indexes, which depends on what was before: by name here.
        let ports = |list: &[u16]| {
            assert!(list.is_sorted(), "a flood that waits goes on behind the last port served");
            list.iter().map(|p| self.port(*p)).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
        };
        let tunnels: Vec<_> = r.flood_tunnels.iter().map(|t| self.tunnel(*t)).collect();
        let members = self.s.tunnels.iter().filter(|(t, _)| r.members.contains(*t)).count();
        let lists = (ports(&r.flood_ports), ports(&r.unknown_ports), tunnels, members);
        format!("{flags:?} {interfaces:?} {addresses:?} {lists:?}")
    }

    fn target(&self, target: Target) -> String {
        match target {
            Target::Port(p) => format!("port {}", self.port(p)),
            Target::Tunnel(t) => format!("host {}", self.tunnel(t)),
            other => format!("{other:?}"),
        }
    }

    /// Rows without an owner: none, but for inactive ports.
    fn nothing_else(&self, rows: &Rows) {
        assert_eq!(self.s.segments.iter().count(), rows.segments.len());
        assert_eq!(self.s.tunnels.iter().count(), rows.tunnels.len());
        assert_eq!(self.s.routers.iter().count(), rows.routers.len());
        assert_eq!(self.s.interfaces.iter().count(), rows.interfaces.len());
        let active = self.s.ports.iter().filter(|(_, p)| p.active).count();
        assert_eq!(active, rows.ports.values().filter(|p| p.active).count());
    }

    fn flat(&self, all: &mut BTreeSet<String>) {
        let word = |table: &Flat, key: u64| {
            let word = table.writer.reader().lookup(&[key]);
            assert_eq!(Some(&word), table.rows.get(&key), "what the workers find is what the model said");
            word
        };
        for key in self.w.fdb.rows.keys() {
            let row = FdbValue::unpack(word(&self.w.fdb, *key)).unwrap();
            let mac = MacAddr::from_u64(key & 0xffff_ffff_ffff);
            let kind = if row.learned { "virtual" } else { "static" };
            all.insert(format!("T06 {} {mac} {} {kind}", self.seg((key >> 48) as u16), self.target(row.target)));
        }
        for key in self.w.neighbours.rows.keys() {
            let row = NeighValue::from_word(word(&self.w.neighbours, *key)).unwrap();
            let what = match row.router_interface() {
                Some(at) => format!("router interface {}", self.iface(at)),
                None if row.inside().is_some() => {
                    let (router, fixed) = row.inside().unwrap();
                    format!("floating ip of {fixed:x} at {}", self.w.indexes.router_name(router).unwrap())
                }
                None => format!("{} {} {:x}", row.mac(), self.target(row.target()), row.to_word() & 7),
            };
            all.insert(format!("T13 {} {:x} {what}", self.seg((key >> 48) as u16), *key as u32));
        }
        for key in self.w.fips.rows.keys() {
            let router = self.w.indexes.router_name((key >> 48) as u16).unwrap();
            all.insert(format!("T14 {router} {:x} {:x}", *key as u32, word(&self.w.fips, *key)));
        }
        assert_eq!(self.w.fdb.writer.len(), self.w.fdb.rows.len() + self.w.learned.len());
        assert_eq!(self.w.neighbours.writer.len(), self.w.neighbours.rows.len() + self.w.resolver.len());
        assert_eq!(self.w.fips.writer.len(), self.w.fips.rows.len());
    }
}
