//! Physical networks, the external ones among them: fg-, floating IPs, and what is announced (V, E, FO, F42).

use super::derive::{View, v4, v4_net};
use super::*;
use crate::model::{AgentMode, Host, Network, NetworkType, Port, Router};

impl<'c> View<'c> {
    /// Physical networks by name; their places number them.
    pub(super) fn phys(&self) -> Vec<String> {
        self.me.bridge_mappings.keys().cloned().collect()
    }

    /// O4. A physical network this host has no NIC for cannot be reached.
    pub(super) fn phys_wire(&self, network: &Network, vid: Option<u32>) -> Wire {
        let name = network.provider_physical_network.as_deref();
        let place = self.me.bridge_mappings.keys().position(|k| Some(k.as_str()) == name);
        let vid = match network.provider_network_type {
            NetworkType::Vlan => vid.and_then(|v| u16::try_from(v).ok()),
            _ => Some(0),
        };
        match (place.and_then(|n| u8::try_from(n).ok()), vid) {
            (Some(net), Some(vid)) => Wire::Phys { net, vid },
            _ => Wire::None,
        }
    }

    /// D8: physical networks of this host that `other` has too, a bit each.
    pub(super) fn shared_phys(&self, other: &Host) -> u16 {
        let shared = |name: &String| other.bridge_mappings.contains_key(name);
        let places = self.me.bridge_mappings.keys().enumerate().filter(|(n, name)| *n < 16 && shared(name));
        places.fold(0, |mask, (n, _)| mask | 1 << n)
    }

    /// Does this host serve floating IPs? Rules: F41.
    pub(super) fn serves_fips(&self) -> bool {
        matches!(self.me.agent_mode, AgentMode::Dvr | AgentMode::DvrSnat)
    }

    /// T15: this host's port on an external network.
    pub(super) fn fg(&self, network: &str) -> Option<&'c Port> {
        if !self.serves_fips() || !self.is_here(network) {
            return None;
        }
        self.fgs.get(network).copied()
    }

    /// fg- as interfaces of no router.
    pub(super) fn fgs(&self, rows: &mut Rows) {
        for network in self.cloud.networks.values().filter(|n| n.router_external) {
            let (Some(fg), Some(seg)) = (self.fg(&network.id), rows.segments.get_mut(&network.id)) else { continue };
            seg.interfaces.push((fg.mac_address, fg.id.clone()));
            let row = InterfaceRows {
                network: network.id.clone(),
                router: None,
                mac: fg.mac_address,
                ip: first_v4(fg),
                mtu: network.mtu,
                up: true,
                scope: network.ipv4_address_scope.clone(),
            };
            rows.interfaces.insert(fg.id.clone(), row);
        }
    }

    /// FO1: extra routes with a next hop on the external network, its subnets, else the gateway of fg's subnet.
    pub(super) fn fip_routes(&self, router: &Router) -> Vec<RouteRows> {
        let Some(gateway) = &router.external_gateway_info else { return Vec::new() };
        let Some(fg) = self.fg(&gateway.network_id) else { return Vec::new() };
        let subnets = self.cloud.subnets.values().filter(|s| s.network_id == gateway.network_id);
        let on_link: Vec<(u32, u32)> = subnets.filter_map(|s| v4_net(s.cidr)).collect();
        let mut all: BTreeMap<(u32, u8), Vec<u32>> = BTreeMap::new();
        for route in &router.routes {
            let (Some((net, mask)), Some(via)) = (v4_net(route.destination), v4(route.nexthop)) else { continue };
            if on_link.iter().any(|(n, m)| via & m == *n) {
                all.entry((net, mask.count_ones() as u8)).or_default().push(via);
            }
        }
        for hops in all.values_mut() {
            hops.sort_unstable();
            hops.dedup();
        }
        for (net, mask) in &on_link {
            all.insert((*net, mask.count_ones() as u8), vec![0]);
        }
        let own = fg.fixed_ips.iter().find(|f| v4(f.ip_address).is_some());
        let default = own.and_then(|f| v4(self.cloud.subnets.get(&f.subnet_id)?.gateway_ip?));
        if let Some(via) = default {
            all.entry((0, 0)).or_insert_with(|| vec![via]);
        }
        let hops = |vias: Vec<u32>| vias.into_iter().map(|via| (fg.id.clone(), via)).collect();
        all.into_iter().map(|((net, len), vias)| RouteRows { net, len, hops: hops(vias) }).collect()
    }

    /// T14: floating IPs this host translates, because their port is here, or on its way here (mode `migrating`: then
    /// without answering for them), and the host has a way out; and ports here in the address scope of their router's
    /// external network, which are reached as they are. Rules: F52.
    pub(super) fn fips(&self, rows: &mut Rows) {
        for fip in self.cloud.floatingips.values() {
            let port = fip.port_id.as_ref().and_then(|p| self.cloud.ports.get(p));
            let (Some(port), Some(router)) = (port, &fip.router_id) else { continue };
            let (bound, coming) = (port.is_bound_to(&self.me.name), port.is_migrating_to(&self.me.name));
            let serves = rows.routers.get(router).is_some_and(|r| r.fip_here) && (bound || coming);
            let (Some(fixed), Some(address)) = (fip.fixed_ip_address.and_then(v4), v4(fip.floating_ip_address)) else {
                continue;
            };
            if serves {
                rows.fips.insert((router.clone(), fixed), address);
                self.reached(rows, &fip.floating_network_id, address, (router, fixed), bound);
            }
        }
        for router in self.cloud.routers.values() {
            let Some(gateway) = &router.external_gateway_info else { continue };
            let scoped = rows.routers.get(&router.id).filter(|r| r.fip_here).map(|r| r.scoped.clone());
            for (net, mask) in scoped.unwrap_or_default() {
                for ip in self.active_here(&router.id, net, mask) {
                    self.reached(rows, &gateway.network_id, ip, (&router.id, ip), true);
                }
            }
        }
    }

    fn reached(&self, rows: &mut Rows, network: &str, address: u32, (router, fixed): (&str, u32), answers: bool) {
        if self.fg(network).is_some() {
            let row = NeighbourRows::FloatingIp { router: router.to_owned(), fixed, answers };
            rows.neighbours.insert((network.to_owned(), address), row);
        }
    }

    /// Addresses of ACTIVE ports of this host on a subnet of a router.
    fn active_here(&self, router: &str, net: u32, mask: u32) -> Vec<u32> {
        let interfaces = self.placement.interfaces.get(router).into_iter().flatten();
        let networks: BTreeSet<&str> = interfaces.map(|p| p.network_id.as_str()).collect();
        let ports = networks.into_iter().filter_map(|n| self.active.get(n)).flatten();
        let ips = ports.flat_map(|p| p.fixed_ips.iter().filter_map(|f| v4(f.ip_address)));
        ips.filter(|ip| ip & mask == net).collect()
    }

    /// F42: addresses of this host that are told when they are new; V4: those that are told again and again.
    pub(super) fn announced(&self, rows: &mut Rows) {
        for (network, seg) in &rows.segments {
            for (mac, id) in &seg.interfaces {
                let Some(row) = rows.interfaces.get(id).filter(|row| row.router.is_none() && row.ip != 0) else {
                    continue;
                };
                let key = Announced { kind: AnnouncedKind::Fg, network: network.clone(), ip: row.ip };
                rows.announced.insert(key, Announcement { mac: *mac, inside: None });
            }
            for address in seg.router_ips.iter().filter(|a| a.answers) {
                let key = Announced { kind: AnnouncedKind::Qr, network: network.clone(), ip: address.ip };
                rows.announced.insert(key, Announcement { mac: address.mac, inside: None });
                if seg.phys_gw && matches!(seg.wire, Wire::Phys { .. }) {
                    rows.gateways.push((network.clone(), address.mac, address.ip));
                }
            }
        }
        for ((network, ip), row) in &rows.neighbours {
            let NeighbourRows::FloatingIp { router, fixed, answers: true } = row else { continue };
            let Some(fg) = self.fg(network).filter(|_| fixed != ip) else { continue }; // R4-3: not announced
            let key = Announced { kind: AnnouncedKind::FloatingIp, network: network.clone(), ip: *ip };
            let inside = Some((router.clone(), *fixed));
            rows.announced.insert(key, Announcement { mac: fg.mac_address, inside });
        }
    }
}

/// The first IPv4 address of a port, 0 if it has none.
pub(super) fn first_v4(port: &Port) -> u32 {
    port.fixed_ips.iter().find_map(|f| v4(f.ip_address)).unwrap_or(0)
}
