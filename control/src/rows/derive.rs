//! The model of the cloud to the rows of one host.

use super::external::first_v4;
use super::*;
use crate::model::{Cloud, Host, IpNet, Network, NetworkType, Port, Router};
use dataplane::tables::PERMITTED_ETHERTYPES;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The cloud as one host sees it.
pub(super) struct View<'c> {
    pub cloud: &'c Cloud,
    pub me: &'c Host,
    pub placement: Placement<'c>,
    /// IPv4 addresses of the routers on this host.
    router_ips: BTreeSet<u32>,
    /// ACTIVE ports of this host by network, in the order of their ids.
    pub(super) active: BTreeMap<&'c str, Vec<&'c Port>>,
    /// Distributed router interfaces by network and by subnet, in the order of their ids.
    on_network: BTreeMap<&'c str, Vec<&'c Port>>,
    on_subnet: BTreeMap<&'c str, Vec<&'c Port>>,
    /// Csnat ports by router.
    csnat: BTreeMap<&'c str, Vec<&'c Port>>,
    /// fg- ports of this host by network (T15).
    pub(super) fgs: BTreeMap<&'c str, &'c Port>,
}

impl<'c> View<'c> {
    fn new(cloud: &'c Cloud, me: &'c Host) -> Self {
        let placement = Placement::of(cloud);
        let (active, on_network, on_subnet, csnat, fgs) = Default::default();
        let router_ips = BTreeSet::new();
        let mut view = View { cloud, me, placement, router_ips, active, on_network, on_subnet, csnat, fgs };
        for port in cloud.ports.values() {
            if view.is_local(port) && port.is_active() {
                view.active.entry(&port.network_id).or_default().push(port);
            }
            if port.is_fip_agent_gateway() && port.is_bound_to(&me.name) {
                view.fgs.entry(&port.network_id).or_insert(port);
            }
            if port.is_router_snat() {
                view.csnat.entry(&port.device_id).or_default().push(port);
            }
        }
        let mut interfaces: Vec<&Port> = view.placement.interfaces.values().flatten().copied().collect();
        interfaces.sort_by(|a, b| a.id.cmp(&b.id));
        for port in interfaces {
            view.on_network.entry(&port.network_id).or_default().push(port);
            for subnet in port.fixed_ips.iter().map(|f| f.subnet_id.as_str()).collect::<BTreeSet<_>>() {
                view.on_subnet.entry(subnet).or_default().push(port);
            }
            if view.has_router(&port.device_id) {
                view.router_ips.extend(port.fixed_ips.iter().filter_map(|f| v4(f.ip_address)));
            }
        }
        view
    }
}

impl Rows {
    /// The rows of host `name`; `None` if the cloud has no such host.
    pub fn derive(cloud: &Cloud, name: &str) -> Option<Rows> {
        let me = cloud.hosts.get(name)?;
        let view = View::new(cloud, me);
        let mut rows = Rows { host: view.host(), tunnels: view.tunnels(), ..Rows::default() };
        for network in cloud.networks.values().filter(|n| view.is_here(&n.id)) {
            rows.segments.insert(network.id.clone(), view.segment(network));
        }
        for port in cloud.ports.values().filter(|p| view.is_local(p)) {
            rows.ports.insert(port.id.clone(), view.port(port));
        }
        for (router, ports) in &view.placement.interfaces {
            let Some(router) = cloud.routers.get(*router).filter(|r| view.has_router(&r.id)) else { continue };
            rows.routers.insert(router.id.clone(), view.router(router, ports));
            let interfaces = ports.iter().filter_map(|p| Some((p.id.clone(), view.interface(router, p)?)));
            rows.interfaces.extend(interfaces);
        }
        rows.phys = view.phys();
        view.fgs(&mut rows);
        view.fips(&mut rows);
        view.fdb(&mut rows);
        view.neighbours(&mut rows);
        view.announced(&mut rows);
        Some(rows)
    }
}

impl View<'_> {
    fn host(&self) -> HostRow {
        let s = &self.cloud.settings;
        let (prefix, mask) = s.dvr_prefix();
        let mut permitted_ethertypes = [0; PERMITTED_ETHERTYPES];
        permitted_ethertypes.iter_mut().zip(&s.permitted_ethertypes).for_each(|(place, e)| *place = *e);
        HostRow {
            vtep: v4(self.me.vtep).unwrap_or(0),
            vtep_mac: self.me.vtep_mac.unwrap_or(MacAddr::ZERO),
            dvr_mac: self.me.dvr_mac.unwrap_or(MacAddr::ZERO),
            dvr_prefix: prefix.to_u64(),
            dvr_mask: mask.to_u64(),
            vxlan_port: s.vxlan_port,
            underlay_mtu: self.me.underlay_mtu,
            outer_tos_mask: 0x03,
            outer_tos: s.outer_dscp << 2,
            permitted_ethertypes,
        }
    }

    fn tunnels(&self) -> BTreeMap<String, TunnelEnd> {
        let others = self.cloud.hosts.values().filter(|h| h.name != self.me.name);
        let end = |h: &Host| TunnelEnd {
            vtep: v4(h.vtep).unwrap_or(0),
            mac: h.vtep_mac,
            dvr_mac: h.dvr_mac.unwrap_or(MacAddr::ZERO),
            df: self.cloud.settings.outer_df,
            phys: self.shared_phys(h),
        };
        others.map(|h| (h.name.clone(), end(h))).collect()
    }

    pub(super) fn is_here(&self, network: &str) -> bool {
        self.placement.networks.get(network).is_some_and(|hosts| hosts.contains(self.me.name.as_str()))
    }

    pub(super) fn has_router(&self, router: &str) -> bool {
        self.placement.routers.get(router).is_some_and(|hosts| hosts.contains(self.me.name.as_str()))
    }

    fn router_is_up(&self, router: &str) -> bool {
        self.has_router(router) && self.cloud.routers.get(router).is_some_and(|r| r.admin_state_up)
    }

    /// A port with queues of its own here: not a router's, which exist as rows only.
    pub(super) fn is_local(&self, port: &Port) -> bool {
        port.is_bound_to(&self.me.name) && has_queues(port)
    }

    fn segment(&self, network: &Network) -> SegRows {
        let cloud = self.cloud;
        let interfaces = self.on_network.get(network.id.as_str()).map_or(&[][..], Vec::as_slice);
        let up = |p: &Port| p.admin_state_up && self.router_is_up(&p.device_id);
        let addresses = |p: &&Port| {
            let (mac, answers) = (p.mac_address, up(p));
            let ips: Vec<u32> = p.fixed_ips.iter().filter_map(|f| v4(f.ip_address)).collect();
            ips.into_iter().map(move |ip| RouterAddress { ip, mac, answers })
        };
        let addresses6 = |p: &&Port| p.fixed_ips.iter().filter_map(|f| v6(f.ip_address)).collect::<Vec<_>>();
        let ports = self.active.get(network.id.as_str()).map_or(&[][..], Vec::as_slice);
        let id = |p: &&Port| p.id.clone();
        let subnets = cloud.subnets.values().filter(|s| s.network_id == network.id);
        let wire = match (network.provider_network_type, network.provider_segmentation_id) {
            (NetworkType::Vxlan, Some(vni)) => Wire::Vxlan(vni),
            (NetworkType::Vlan | NetworkType::Flat, vid) => self.phys_wire(network, vid),
            _ => Wire::None,
        };
        SegRows {
            wire,
            learning: cloud.learning(network),
            flood_unknown: cloud.flood_unknown(network).unwrap_or(!matches!(wire, Wire::Vxlan(_))),
            strict: cloud.strict_vtep(network),
            vlan_transparent: network.vlan_transparent,
            external: network.router_external,
            phys_gw: network.dvrd.phys_gw_host.as_deref() == Some(self.me.name.as_str()),
            interfaces: interfaces.iter().map(|p| (p.mac_address, p.id.clone())).collect(),
            router_ips: interfaces.iter().flat_map(addresses).collect(),
            router_ips6: interfaces.iter().flat_map(addresses6).collect(),
            subnets: subnets.clone().filter_map(|s| self.subnet(&s.id, s.cidr, s.gateway_ip)).collect(),
            subnets6: subnets.filter_map(|s| self.subnet6(&s.id, s.cidr, s.gateway_ip)).collect(),
            flood_ports: ports.iter().map(id).collect(),
            unknown_ports: ports.iter().filter(|p| !p.port_security_enabled).map(id).collect(),
            flood_hosts: if matches!(wire, Wire::Vxlan(_)) { self.flood_hosts(network) } else { Vec::new() },
        }
    }

    /// Other hosts with the network, by VTEP address.
    fn flood_hosts(&self, network: &Network) -> Vec<String> {
        let hosts = self.placement.networks.get(network.id.as_str()).into_iter().flatten();
        let mut hosts: Vec<&Host> = hosts.filter_map(|h| self.cloud.hosts.get(*h)).collect();
        hosts.retain(|h| h.name != self.me.name);
        hosts.sort_by_key(|h| h.vtep);
        hosts.iter().map(|h| h.name.clone()).collect()
    }

    fn subnet(&self, id: &str, cidr: IpNet, gateway: Option<IpAddr>) -> Option<SubnetRow> {
        let (net, mask) = v4_net(cidr)?;
        Some(SubnetRow { net, mask, gateway_mac: self.gateway_mac(id, gateway) })
    }

    fn subnet6(&self, id: &str, cidr: IpNet, gateway: Option<IpAddr>) -> Option<Subnet6Row> {
        let (net, mask) = v6_net(cidr)?;
        Some(Subnet6Row { net, mask, gateway_mac: self.gateway_mac(id, gateway) })
    }

    /// T4: the distributed interface that holds the subnet's `gateway_ip`, otherwise the one with
    /// the lowest id on it; zero if there is none.
    fn gateway_mac(&self, subnet: &str, gateway: Option<IpAddr>) -> MacAddr {
        let holds = |p: &&&Port| p.fixed_ips.iter().any(|f| Some(f.ip_address) == gateway);
        let ports = self.on_subnet.get(subnet).map_or(&[][..], Vec::as_slice);
        ports.iter().find(holds).or(ports.first()).map_or(MacAddr::ZERO, |p| p.mac_address)
    }

    fn port(&self, port: &Port) -> PortRows {
        let first = port.fixed_ips.first().and_then(|f| self.cloud.subnets.get(&f.subnet_id));
        let gateway_mac = first.map_or(MacAddr::ZERO, |s| self.gateway_mac(&s.id, s.gateway_ip));
        let fixed = port.fixed_ips.iter().map(|f| (port.mac_address, IpNet::host(f.ip_address), true));
        let pairs = port.allowed_address_pairs.iter().map(|p| (p.mac_address, p.ip_address, false));
        let all: Vec<(MacAddr, IpNet, bool)> = fixed.chain(pairs).collect();
        let macs: BTreeSet<MacAddr> = all.iter().map(|(mac, ..)| *mac).chain([port.mac_address]).collect();
        let link_local = macs.into_iter().map(|mac| AllowedPair6 { mac, net: link_local(mac), mask: u128::MAX });
        let pairs6 = all.iter().filter_map(|(mac, net, _)| {
            let (net, mask) = v6_net(*net)?;
            Some(AllowedPair6 { mac: *mac, net, mask })
        });
        PortRows {
            network: port.network_id.clone(),
            mac: port.mac_address,
            active: port.is_active(),
            secured: port.port_security_enabled && !port.device_owner.starts_with("network:"),
            unknown: !port.port_security_enabled,
            gateway_mac,
            allowed: all
                .iter()
                .filter_map(|(mac, net, fixed)| {
                    let (net, mask) = v4_net(*net)?;
                    let routable = !matches!(net >> 24, 0 | 127 | 224..) && net >> 16 != 0xa9fe;
                    let vouched = *fixed && routable && !self.router_ips.contains(&net);
                    Some(AllowedPair { mac: *mac, net, mask, vouched })
                })
                .collect(),
            allowed6: pairs6.chain(link_local).collect(),
        }
    }

    fn interface(&self, router: &Router, port: &Port) -> Option<InterfaceRows> {
        let network = self.cloud.networks.get(&port.network_id)?;
        Some(InterfaceRows {
            network: network.id.clone(),
            router: Some(router.id.clone()),
            mac: port.mac_address,
            ip: first_v4(port),
            mtu: network.mtu,
            up: port.admin_state_up,
            scope: network.ipv4_address_scope.clone(),
        })
    }

    fn router(&self, router: &Router, ports: &[&Port]) -> RouterRows {
        let on_subnets: Vec<(&Port, u32, u32, u32)> = ports.iter().flat_map(|p| self.v4_subnets(p)).collect();
        let own = on_subnets.iter().map(|(_, _, mask, ip)| (*ip, *mask)).collect();
        let snat = self.csnat.get(router.id.as_str()).into_iter().flatten();
        let snat = snat.flat_map(|sg| self.v4_subnets(sg)).filter_map(|(_, net, mask, ip)| {
            let (port, ..) = on_subnets.iter().find(|(_, n, m, _)| (*n, *m) == (net, mask))?;
            Some((net, mask, ip, port.id.clone()))
        });
        let gateway = router.external_gateway_info.is_some();
        let scope = |network: &str| self.cloud.networks.get(network).and_then(|n| n.ipv4_address_scope.as_ref());
        let outside = router.external_gateway_info.as_ref().and_then(|g| scope(&g.network_id));
        let inside = |p: &Port| outside.is_some() && scope(&p.network_id) == outside;
        let fip_routes = self.fip_routes(router);
        let external = !fip_routes.is_empty();
        RouterRows {
            active: router.admin_state_up,
            routes: routes(router, &on_subnets),
            scoped: on_subnets
                .iter()
                .filter(|(p, ..)| external && inside(p))
                .map(|(_, net, mask, _)| (*net, *mask))
                .collect(),
            snat: snat.collect(),
            gateway_here: gateway && self.placement.snat.get(router.id.as_str()) == Some(&self.me.name.as_str()),
            fip_here: gateway && external,
            fip_routes,
            own,
        }
    }

    /// A port's IPv4 subnets: (port, net, mask, its address there).
    fn v4_subnets<'p>(&self, port: &'p Port) -> Vec<(&'p Port, u32, u32, u32)> {
        let of = |f: &crate::model::FixedIp| {
            let (net, mask) = v4_net(self.cloud.subnets.get(&f.subnet_id)?.cidr)?;
            Some((port, net, mask, v4(f.ip_address)?))
        };
        port.fixed_ips.iter().filter_map(of).collect()
    }
}

/// R4 step 1: connected subnets, extra routes whose next hop is on one of them, and the router's
/// own addresses where an extra route would hide them.
fn routes(router: &Router, on_subnets: &[(&Port, u32, u32, u32)]) -> Vec<RouteRows> {
    let mut all: BTreeMap<(u32, u8), Vec<(String, u32)>> = BTreeMap::new();
    for route in &router.routes {
        let (Some((net, mask)), Some(via)) = (v4_net(route.destination), v4(route.nexthop)) else { continue };
        let Some((port, ..)) = on_subnets.iter().find(|(_, n, m, _)| via & m == *n) else { continue };
        all.entry((net, mask.count_ones() as u8)).or_default().push((port.id.clone(), via));
    }
    for hops in all.values_mut() {
        hops.sort_by_key(|(_, via)| *via);
        hops.dedup();
    }
    let hidden =
        |ip: u32, len: u8| all.keys().any(|(n, l)| *l > len && (ip ^ n).checked_shr(32 - u32::from(*l)) == Some(0));
    let own: Vec<_> = on_subnets.iter().filter(|(_, _, m, ip)| hidden(*ip, m.count_ones() as u8)).collect();
    for (port, _, _, ip) in own {
        all.insert((*ip, 32), vec![(port.id.clone(), 0)]);
    }
    for (port, net, mask, _) in on_subnets {
        all.insert((*net, mask.count_ones() as u8), vec![(port.id.clone(), 0)]);
    }
    all.into_iter().map(|((net, len), hops)| RouteRows { net, len, hops }).collect()
}

/// Does a port of this owner have queues on its host?
pub(crate) fn has_queues(port: &Port) -> bool {
    !(port.is_distributed_router_interface()
        || port.is_router_gateway()
        || port.is_router_snat()
        || port.is_fip_agent_gateway()
        || port.is_floatingip())
}

pub(crate) fn v4(ip: IpAddr) -> Option<u32> {
    match ip {
        IpAddr::V4(ip) => Some(ip.to_bits()),
        IpAddr::V6(_) => None,
    }
}

fn v6(ip: IpAddr) -> Option<u128> {
    match ip {
        IpAddr::V6(ip) => Some(ip.to_bits()),
        IpAddr::V4(_) => None,
    }
}

/// (network, mask) of an IPv4 block.
pub(super) fn v4_net(net: IpNet) -> Option<(u32, u32)> {
    let address = v4(net.addr())?;
    let mask = u32::MAX.checked_shl(32 - u32::from(net.prefix_len())).unwrap_or(0);
    Some((address & mask, mask))
}

fn v6_net(net: IpNet) -> Option<(u128, u128)> {
    let address = v6(net.addr())?;
    let mask = u128::MAX.checked_shl(128 - u32::from(net.prefix_len())).unwrap_or(0);
    Some((address & mask, mask))
}

/// The link-local address made of a MAC (RFC 4291, appendix A).
fn link_local(mac: MacAddr) -> u128 {
    let [a, b, c, d, e, f] = mac.octets();
    let id = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    0xfe80 << 112 | u128::from(id)
}
