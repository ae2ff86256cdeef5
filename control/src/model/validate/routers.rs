//! Routers, floating IPs, security groups (tables T10 to T20).

use std::collections::HashMap;

use super::{Checker, Owners, ports::fixed_ip, router_subject};
use crate::model::problem::{Kind, Subject, plain};
use crate::model::resolve::floatingip_subject;
use crate::model::types::*;

/// What a router is attached to.
#[derive(Default)]
struct Attached<'c> {
    /// Interfaces and the subnets they are on.
    interfaces: Vec<(&'c Port, &'c Subnet)>,
    /// A subnet of it could not be read, so that nothing is to be said about the others.
    incomplete: bool,
}

pub(super) fn check(c: &mut Checker<'_, '_, '_>) {
    let cloud = c.cloud;
    let mut attached: HashMap<&str, Attached<'_>> = HashMap::new();
    for p in cloud.ports.values().filter(|p| p.is_router_interface()) {
        let to = attached.entry(p.device_id.as_str()).or_default();
        to.incomplete |= c.sink.is_bad(Kind::Port, &p.id, "fixed_ips");
        for ip in &p.fixed_ips {
            match cloud.subnets.get(&ip.subnet_id) {
                Some(s) if !c.sink.is_bad(Kind::Subnet, &s.id, "cidr") => to.interfaces.push((p, s)),
                _ => to.incomplete = true,
            }
        }
    }
    let none = Attached::default();
    for r in cloud.routers.values() {
        router(c, r, attached.get(r.id.as_str()).unwrap_or(&none));
    }
    floatingips(c);
    for g in cloud.security_groups.values() {
        let s = Subject::new(Kind::SecurityGroup, &g.id, &g.name);
        for (i, rule) in g.security_group_rules.iter().enumerate() {
            if let Some(remote) = &rule.remote_group_id {
                c.exists(&s, &format!("security_group_rules/{i}/remote_group_id"), Kind::SecurityGroup, remote);
            }
        }
    }
}

fn router(c: &mut Checker<'_, '_, '_>, r: &Router, to: &Attached<'_>) {
    let s = router_subject(r);
    let mut external: Vec<&Subnet> = Vec::new();
    let mut incomplete = to.incomplete;
    if let Some(g) = &r.external_gateway_info {
        let network = c.exists(&s, "external_gateway_info/network_id", Kind::Network, &g.network_id);
        let is_external = c.cloud.networks.get(&g.network_id).is_none_or(|n| n.router_external);
        if !is_external && !c.sink.is_bad(Kind::Network, &g.network_id, "router_external") {
            let reason = format!("network {} is not external", plain(&g.network_id));
            let hint = "name an external network, or set its router_external";
            c.report(&s, "external_gateway_info/network_id", reason, hint);
        }
        for (i, ip) in g.external_fixed_ips.iter().enumerate() {
            let path = format!("external_gateway_info/external_fixed_ips/{i}");
            fixed_ip(c, &s, &path, network.then_some(&g.network_id), ip);
            external.extend(c.cloud.subnets.get(&ip.subnet_id));
        }
        if g.external_fixed_ips.is_empty() {
            external.extend(c.subnets_of(&g.network_id));
        }
        incomplete |= !network || c.sink.is_bad(Kind::Router, &r.id, "external_gateway_info");
        incomplete |= external.iter().any(|s| c.sink.is_bad(Kind::Subnet, &s.id, "cidr"));
    }
    overlaps(c, &s, to, &external);
    for (i, route) in r.routes.iter().enumerate() {
        let path = format!("routes/{i}/nexthop");
        let on_link = to.interfaces.iter().map(|(_, s)| *s).chain(external.iter().copied());
        if !incomplete && !on_link.into_iter().any(|s| s.cidr.contains(route.nexthop)) {
            let reason = format!("{} is on none of the router's subnets", route.nexthop);
            c.report(&s, &path, reason, "give a next hop the router reaches directly");
        }
        let own = to.interfaces.iter().find(|(p, _)| p.fixed_ips.iter().any(|ip| ip.ip_address == route.nexthop));
        let gateway = r.external_gateway_info.iter().flat_map(|g| &g.external_fixed_ips);
        if own.is_some() || gateway.into_iter().any(|ip| ip.ip_address == route.nexthop) {
            let reason = format!("{} is an address of the router itself", route.nexthop);
            c.report(&s, &path, reason, "give the address of another router or machine");
        }
    }
}

/// The subnets a router joins do not overlap, nor does it have two interfaces on one.
fn overlaps(c: &mut Checker<'_, '_, '_>, router: &Subject, to: &Attached<'_>, external: &[&Subnet]) {
    let mut all: Vec<(Option<&Port>, &Subnet)> = to.interfaces.iter().map(|(p, s)| (Some(*p), *s)).collect();
    all.extend(external.iter().map(|s| (None, *s)));
    all.sort_by_key(|(p, s)| (s.cidr, s.id.as_str(), p.map(|p| p.id.as_str())));
    all.dedup_by_key(|(p, s)| (p.map(|p| p.id.as_str()), s.id.as_str()));
    let mut widest: Option<(Option<&Port>, &Subnet)> = None;
    for (port, s) in all {
        let Some((wide_port, wide)) = widest.filter(|(_, w)| w.cidr.overlaps(s.cidr)) else {
            widest = Some((port, s));
            continue;
        };
        // Subnets of one network that overlap are reported with the network.
        if wide.id != s.id && wide.network_id == s.network_id {
            continue;
        }
        let via = |p: Option<&Port>, s: &Subnet| match p {
            Some(p) => format!("subnet {} ({}, interface {})", plain(&s.id), s.cidr, plain(&p.id)),
            None => format!("subnet {} ({}, gateway)", plain(&s.id), s.cidr),
        };
        let reason = format!("{} overlaps {}", via(port, s), via(wide_port, wide));
        c.report(router, "", reason, "a router joins subnets that are apart, each by one interface");
    }
}

fn floatingips(c: &mut Checker<'_, '_, '_>) {
    let cloud = c.cloud;
    let (mut addresses, mut targets) = (Owners::new(), Owners::new());
    let taken: HashMap<_, &Port> = cloud
        .ports
        .values()
        .filter(|p| !p.is_floatingip())
        .flat_map(|p| p.fixed_ips.iter().map(move |ip| ((p.network_id.as_str(), ip.ip_address), p)))
        .collect();
    for f in cloud.floatingips.values() {
        let s = floatingip_subject(f);
        let key = (f.floating_network_id.as_str(), f.floating_ip_address);
        if let Some(network) =
            c.exists(&s, "floating_network_id", Kind::Network, key.0).then(|| cloud.networks.get(key.0)).flatten()
        {
            external_address(c, f, &s, network);
            if !c.sink.is_bad(Kind::FloatingIp, &f.id, "floating_ip_address") {
                if let Some(other) = addresses.claim(key, f) {
                    let hint = "keep one of them";
                    let what = f.floating_ip_address.to_string();
                    c.collision(floatingip_subject(other), s.clone(), "floating_ip_address", &what, hint);
                }
                if let Some(p) = taken.get(&key) {
                    let reason = format!("{} is an address of port {}", f.floating_ip_address, plain(&p.id));
                    c.report(&s, "floating_ip_address", reason, "give an address nobody else has");
                }
            }
        }
        let Some(router) = association(c, f, &s) else { continue };
        if let (Some(p), Some(ip)) = (&f.port_id, f.fixed_ip_address)
            && let Some(other) = targets.claim((key.0, router, p.as_str(), ip), f)
        {
            let what = format!("{ip} of port {}", plain(p));
            c.collision(
                floatingip_subject(other),
                s,
                "fixed_ip_address",
                &what,
                "one floating IP leads to one address",
            );
        }
    }
}

/// The address is of the network it is said to be from, and that is external.
fn external_address(c: &mut Checker<'_, '_, '_>, f: &FloatingIp, s: &Subject, network: &Network) {
    if !network.router_external && !c.sink.is_bad(Kind::Network, &network.id, "router_external") {
        let reason = format!("network {} is not external", plain(&network.id));
        c.report(s, "floating_network_id", reason, "name an external network, or set its router_external");
    }
    let unreadable = |sub: &Subnet| sub.network_id == network.id && c.sink.is_bad(Kind::Subnet, &sub.id, "cidr");
    if !c.subnets_of(&network.id).iter().any(|n| n.cidr.contains(f.floating_ip_address))
        && !c.cloud.subnets.values().any(unreadable)
    {
        let reason = format!("{} is in no subnet of network {}", f.floating_ip_address, plain(&network.id));
        c.report(s, "floating_ip_address", reason, "correct the address or the network");
    }
}

/// A floating IP that leads to a port does so through a router with its gateway on the same network, to an
/// address the port has. Gives the router.
fn association<'f>(c: &mut Checker<'_, '_, '_>, f: &'f FloatingIp, s: &Subject) -> Option<&'f str> {
    let router = f.router_id.as_deref();
    if let Some(id) = router
        && c.exists(s, "router_id", Kind::Router, id)
        && c.cloud.networks.contains_key(&f.floating_network_id)
        && let Some(r) = c.cloud.routers.get(id)
        && !c.sink.is_bad(Kind::Router, id, "external_gateway_info")
        && r.external_gateway_info.as_ref().is_none_or(|g| g.network_id != f.floating_network_id)
    {
        let reason = format!("router {} has no gateway on network {}", plain(id), plain(&f.floating_network_id));
        c.report(s, "router_id", reason, "name the router whose gateway is there, or give it one");
    }
    let Some(id) = &f.port_id else {
        if f.fixed_ip_address.is_some() {
            c.report(s, "port_id", "is missing: there is a fixed_ip_address", "give the port, or no address");
        }
        return None;
    };
    if router.is_none() {
        let reason = format!("is missing: the floating IP leads to port {}", plain(id));
        c.report(s, "router_id", reason, "give the router that has its gateway on the floating network");
    }
    if c.exists(s, "port_id", Kind::Port, id)
        && let (Some(p), Some(ip)) = (c.cloud.ports.get(id), f.fixed_ip_address)
        && !c.sink.is_bad(Kind::Port, id, "fixed_ips")
        && !p.fixed_ips.iter().any(|own| own.ip_address == ip)
    {
        let reason = format!("{ip} is no address of port {}", plain(id));
        c.report(s, "fixed_ip_address", reason, "give an address the port has");
    }
    if let Some(ip) = f.fixed_ip_address.filter(|ip| ip.is_ipv4() != f.floating_ip_address.is_ipv4()) {
        let reason = format!("{ip} is of another family than {}", f.floating_ip_address);
        c.report(s, "fixed_ip_address", reason, "make the two agree");
    }
    router
}
