//! Rules, routes and neighbours of the qrouter, fip and snat namespaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use dataplane::tables::NeighValue;

use super::names::{Names, addresses, device, word};
use super::{Note, Part};
use crate::model::{Port, Router};
use crate::rows::{NeighbourRows, RouteRows, RouterRows};

/// Neutron's `FIP_RT_TBL`.
const FIP_TABLE: u32 = 16;
/// Neutron's `FIP_PR_START`: the first priority of a floating IP's rule.
const FIP_PRIORITY: u32 = 32768;
/// Neutron's `FAST_PATH_EXIT_PR`: subnets in the address scope of the external network.
const SCOPE_PRIORITY: u32 = 80000;
/// First address of Neutron's pool of link addresses between qrouter and fip namespaces (`FIP_LL_SUBNET`).
const LINK_POOL: Ipv4Addr = Ipv4Addr::new(169, 254, 64, 0);

/// A router of this host.
struct Here<'c> {
    router: &'c Router,
    rows: &'c RouterRows,
    /// Place among the routers of this host, from 0.
    nth: u32,
}

impl Here<'_> {
    fn command(&self, what: &str) -> String {
        format!("ip netns exec qrouter-{} {what}", self.router.id)
    }

    /// Addresses of the link to the fip namespace: of `rfp-` and of `fpr-`.
    fn link(&self) -> (Ipv4Addr, Ipv4Addr) {
        let rfp = LINK_POOL.to_bits() + 2 * self.nth;
        (Ipv4Addr::from_bits(rfp), Ipv4Addr::from_bits(rfp + 1))
    }

    fn rfp(&self) -> String {
        device("rfp-", &self.router.id)
    }

    fn fpr(&self) -> String {
        device("fpr-", &self.router.id)
    }

    /// Its gateway is reached by the fip namespace of this host.
    fn external(&self) -> Option<&str> {
        let gateway = self.router.external_gateway_info.as_ref().filter(|_| self.rows.fip_here)?;
        Some(&gateway.network_id)
    }
}

fn routers<'c>(host: &Names<'c>) -> Vec<Here<'c>> {
    let rows = (0..).zip(&host.rows.routers);
    rows.filter_map(|(nth, (id, rows))| Some(Here { router: host.cloud.routers.get(id)?, rows, nth })).collect()
}

/// Floating IPs of a router here: priority of the rule, fixed and floating address. The priorities of one external
/// network are given to its floating IPs on this host in the order of router and fixed address.
fn fips(host: &Names<'_>, here: &Here<'_>) -> Vec<(u32, Ipv4Addr, Ipv4Addr)> {
    let of = |router: &str| host.cloud.routers.get(router)?.external_gateway_info.as_ref().map(|g| &g.network_id);
    let same = host.rows.fips.iter().filter(|((router, _), _)| of(router) == of(&here.router.id));
    let numbered = (FIP_PRIORITY..).zip(same).filter(|(_, ((router, _), _))| *router == here.router.id);
    numbered.map(|(n, ((_, fixed), fip))| (n, Ipv4Addr::from_bits(*fixed), Ipv4Addr::from_bits(*fip))).collect()
}

/// Subnets whose default route leads to the router's SNAT part (T16): address of the interface there and length, that
/// is Neutron's rule; next hop and device, that is its table.
fn to_snat(host: &Names<'_>, here: &Here<'_>) -> Vec<(Ipv4Addr, u8, Ipv4Addr, String)> {
    let rows = here.rows.snat.iter().filter_map(|(net, mask, sg, port)| {
        let port = host.cloud.ports.get(port)?;
        let (ip, len) = addresses(host.cloud, port).find(|(ip, _)| ip.to_bits() & mask == *net)?;
        Some((ip, len, Ipv4Addr::from_bits(*sg), device("qr-", &port.id)))
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

pub(super) fn rules(host: &Names<'_>) -> Vec<Part> {
    let part = |here: Here<'_>| {
        let mut part = Part::new(here.command("ip rule"));
        part.legend.push(format!("router {}", word(&here.router.name, &here.router.id)));
        let fips = fips(host, &here);
        if !fips.is_empty() {
            let d6 = "a floating IP's address is put in where the rule leads to, 1:1, without iptables and conntrack";
            part.notes.push(Note::new("D6", d6));
        }
        part.lines.push("0: from all lookup local".to_owned());
        part.lines.push("32766: from all lookup main".to_owned());
        part.lines.push("32767: from all lookup default".to_owned());
        part.lines.extend(fips.iter().map(|(n, fixed, _)| format!("{n}: from {fixed} lookup {FIP_TABLE}")));
        let scoped: BTreeSet<(u32, u32)> = here.rows.scoped.iter().copied().collect();
        part.lines.extend(scoped.iter().map(|(net, mask)| {
            format!("{SCOPE_PRIORITY}: from {}/{} lookup {FIP_TABLE}", Ipv4Addr::from_bits(*net), mask.count_ones())
        }));
        // The subnet's number is the address of the router in it (Neutron's `_get_snat_idx`).
        let snat = to_snat(host, &here);
        part.lines.extend(snat.iter().map(|(ip, len, ..)| format!("{0}: from {ip}/{len} lookup {0}", ip.to_bits())));
        part
    };
    routers(host).into_iter().map(part).collect()
}

pub(super) fn routes(host: &Names<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    let here = routers(host);
    for router in &here {
        parts.extend(of_qrouter(host, router));
    }
    let mut external: BTreeMap<&str, Vec<&Here<'_>>> = BTreeMap::new();
    for router in &here {
        if let Some(network) = router.external() {
            external.entry(network).or_default().push(router);
        }
    }
    parts.extend(external.iter().map(|(network, routers)| of_fip(host, network, routers)));
    parts.extend(here.iter().filter(|r| r.rows.gateway_here).filter_map(|router| of_snat(host, router)));
    parts
}

/// The main table, table 16 and a table for each subnet.
fn of_qrouter(host: &Names<'_>, here: &Here<'_>) -> Vec<Part> {
    let mut main = Part::new(here.command("ip route"));
    main.legend.push(format!("router {}", word(&here.router.name, &here.router.id)));
    let mut lines: Vec<(u32, u8, String)> = Vec::new();
    for route in &here.rows.routes {
        // The router's own addresses are the kernel's table local.
        let ours = here.rows.own.iter().any(|(ip, _)| *ip == route.net);
        let own = ours && route.len == 32 && route.hops.iter().all(|(_, via)| *via == 0);
        if !own {
            lines.push((route.net, route.len, route_line(host, route, "qr-")));
        }
    }
    if here.external().is_some() {
        let (rfp, _) = here.link();
        let line = format!("{rfp}/31 dev {} proto kernel scope link src {rfp}", here.rfp());
        lines.push((rfp.to_bits(), 31, line));
        main.notes.push(link_note());
    }
    lines.sort();
    main.lines = lines.into_iter().map(|(.., line)| line).collect();
    let mut parts = vec![main];
    let table = |n: u32, line: String| {
        let mut part = Part::new(here.command(&format!("ip route list table {n}")));
        part.lines.push(line);
        part
    };
    if !fips(host, here).is_empty() || !here.rows.scoped.is_empty() {
        parts.push(table(FIP_TABLE, format!("default via {} dev {}", here.link().1, here.rfp())));
    }
    let snat = to_snat(host, here).into_iter();
    parts.extend(snat.map(|(ip, _, sg, dev)| table(ip.to_bits(), format!("default via {sg} dev {dev}"))));
    parts
}

/// A route of T12 as `ip route` writes it, out of devices with this prefix.
fn route_line(host: &Names<'_>, route: &RouteRows, prefix: &str) -> String {
    let net = match (route.net, route.len) {
        (_, 0) => "default".to_owned(),
        (net, 32) => Ipv4Addr::from_bits(net).to_string(),
        (net, len) => format!("{}/{len}", Ipv4Addr::from_bits(net)),
    };
    let dev = |port: &str| device(prefix, port);
    match route.hops.as_slice() {
        [(port, 0)] => {
            let mask = u32::MAX.checked_shl(32 - u32::from(route.len)).unwrap_or(0);
            let own =
                host.cloud.ports.get(port).and_then(|p| {
                    addresses(host.cloud, p).map(|(ip, _)| ip).find(|ip| ip.to_bits() & mask == route.net)
                });
            let src = own.map(|ip| format!(" src {ip}")).unwrap_or_default();
            format!("{net} dev {} proto kernel scope link{src}", dev(port))
        }
        [(port, via)] => format!("{net} via {} dev {}", Ipv4Addr::from_bits(*via), dev(port)),
        many => {
            let hop = |(port, via): &(String, u32)| {
                format!("\n\tnexthop via {} dev {} weight 1", Ipv4Addr::from_bits(*via), dev(port))
            };
            format!("{net}{}", many.iter().map(hop).collect::<String>())
        }
    }
}

fn link_note() -> Note {
    let text = "the way through the fip namespace is no hop: TTL goes down once, at the router; rfp-, fpr- and their \
                169.254 addresses (here by the order of routers) are no rows";
    Note::new("D3", text)
}

/// The fip namespace of an external network (T14, T15 and FO's routes).
fn of_fip(host: &Names<'_>, network: &str, routers: &[&Here<'_>]) -> Part {
    let mut part = Part::new(format!("ip netns exec fip-{network} ip route"));
    part.notes.push(link_note());
    let mut lines = BTreeSet::new();
    for here in routers {
        lines.extend(here.rows.fip_routes.iter().map(|r| (r.net, r.len, route_line(host, r, "fg-"))));
        let ((rfp, fpr), dev) = (here.link(), here.fpr());
        lines.insert((rfp.to_bits(), 31, format!("{rfp}/31 dev {dev} proto kernel scope link src {fpr}")));
        for ((_, ip), row) in host.rows.neighbours.iter().filter(|((n, _), _)| n == network) {
            if matches!(row, NeighbourRows::FloatingIp { router, .. } if *router == here.router.id) {
                lines.insert((*ip, 32, format!("{} via {rfp} dev {dev}", Ipv4Addr::from_bits(*ip))));
            }
        }
    }
    part.lines = lines.into_iter().map(|(.., line)| line).collect();
    part
}

/// The snat namespace of a router whose central part is here.
fn of_snat(host: &Names<'_>, here: &Here<'_>) -> Option<Part> {
    let of_router = |p: &&Port| p.device_id == here.router.id && p.is_bound_to(host.host);
    let qg = host.cloud.ports.values().filter(of_router).find(|p| p.is_router_gateway())?;
    let mut part = Part::new(format!("ip netns exec snat-{} ip route", here.router.id));
    let mut lines = connected(host, qg, "qg-");
    for sg in host.cloud.ports.values().filter(of_router).filter(|p| p.is_router_snat()) {
        lines.extend(connected(host, sg, "sg-"));
    }
    lines.sort();
    part.lines = default_route(host, qg, "qg-").into_iter().chain(lines.into_iter().map(|(.., line)| line)).collect();
    Some(part)
}

/// Connected routes of a port: (net, length, line).
fn connected(host: &Names<'_>, port: &Port, prefix: &str) -> Vec<(u32, u8, String)> {
    let line = |(ip, len): (Ipv4Addr, u8)| {
        let net = ip.to_bits() & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let dev = device(prefix, &port.id);
        let line = format!("{}/{len} dev {dev} proto kernel scope link src {ip}", Ipv4Addr::from_bits(net));
        (net, len, line)
    };
    addresses(host.cloud, port).map(line).collect()
}

/// The way out of an external network.
fn default_route(host: &Names<'_>, port: &Port, prefix: &str) -> Option<String> {
    let subnets = port.fixed_ips.iter().filter_map(|f| host.cloud.subnets.get(&f.subnet_id));
    let gateway = subnets.filter_map(|s| s.gateway_ip).find(|ip| ip.is_ipv4())?;
    Some(format!("default via {gateway} dev {}", device(prefix, &port.id)))
}

pub(super) fn neighbours(host: &Names<'_>) -> Vec<Part> {
    let part = |here: Here<'_>| {
        let mut part = Part::new(here.command("ip neigh"));
        part.legend.push(format!("router {}", word(&here.router.name, &here.router.id)));
        let mut moving = false;
        let interfaces: Vec<&Port> = host
            .rows
            .interfaces
            .iter()
            .filter(|(_, i)| i.router.as_ref() == Some(&here.router.id))
            .filter_map(|(id, _)| host.cloud.ports.get(id))
            .collect();
        for ((network, ip), row) in &host.rows.neighbours {
            let NeighbourRows::Host { mac, flags, .. } = row else { continue };
            let ip = Ipv4Addr::from_bits(*ip);
            let inside = |p: &&&Port| p.network_id == *network && holds(host, p, ip);
            let Some(port) = interfaces.iter().find(inside).filter(|_| flags & NeighValue::ROUTE != 0) else {
                continue;
            };
            moving |= host.rows.candidates.contains_key(&(network.clone(), ip.to_bits()));
            part.lines.push(format!("{ip} dev {} lladdr {mac} PERMANENT", device("qr-", &port.id)));
        }
        notes(&mut part, &interfaces, moving);
        part
    };
    routers(host).into_iter().map(part).collect()
}

fn notes(part: &mut Part, interfaces: &[&Port], moving: bool) {
    let mut networks: Vec<&str> = interfaces.iter().map(|p| p.network_id.as_str()).collect();
    networks.sort_unstable();
    if networks.windows(2).any(|pair| pair.first() == pair.last()) {
        let d5 =
            "an address is on the interface of the subnet it lies in, and there only, though the network has several";
        part.notes.push(Note::new("D5", d5));
    }
    if moving {
        let d9 = "of addresses in allowed address pairs this is the first owner; announcements move them at once";
        part.notes.push(Note::new("D9", d9));
    }
}

/// The address lies in a subnet the port is on.
fn holds(host: &Names<'_>, port: &Port, ip: Ipv4Addr) -> bool {
    let mut subnets = port.fixed_ips.iter().filter_map(|f| host.cloud.subnets.get(&f.subnet_id));
    subnets.any(|s| s.cidr.contains(ip.into()))
}
