//! Ports: MACs, addresses, binding, owners (tables T05, T06, T07).

use super::{Checker, Owners, port_subject};
use crate::model::problem::{Kind, Subject, plain, quote};
use crate::model::types::*;

pub(super) fn check(c: &mut Checker<'_, '_, '_>) {
    let cloud = c.cloud;
    let (mut macs, mut addresses) = (Owners::new(), Owners::new());
    let mapped = cloud.hosts.values().flat_map(|h| h.bridge_mappings.keys());
    let named = cloud.networks.values().filter_map(|n| n.provider_physical_network.as_ref());
    let physical: std::collections::BTreeSet<&str> = mapped.chain(named).map(String::as_str).collect();
    for p in cloud.ports.values() {
        let s = port_subject(p);
        let network = c.exists(&s, "network_id", Kind::Network, &p.network_id);
        if let Some(h) = &p.binding_host_id {
            c.exists(&s, "binding_host_id", Kind::Host, h);
        }
        if let Some(h) = &p.migrating_to {
            c.exists(&s, "binding_profile/migrating_to", Kind::Host, h);
        }
        for (i, g) in p.security_groups.iter().enumerate() {
            c.exists(&s, &format!("security_groups/{i}"), Kind::SecurityGroup, g);
        }
        owner(c, p, &s);
        if p.id == "tunnel" || physical.contains(p.id.as_str()) {
            let reason = format!(
                "{} is the name of {} in captures and reports",
                quote(&p.id),
                if p.id == "tunnel" { "the underlay NIC" } else { "a physical network" }
            );
            c.report(&s, "id", reason, "give the port another id");
        }
        dvr_prefix(c, p, &s);
        if network
            && !c.sink.is_bad(Kind::Port, &p.id, "mac_address")
            && let Some(other) = macs.claim((p.network_id.as_str(), p.mac_address), p)
        {
            let what = format!("MAC {} in network {}", p.mac_address, plain(&p.network_id));
            let hint = "give each port of a network a MAC of its own";
            c.collision(port_subject(other), s.clone(), "mac_address", &what, hint);
        }
        for (i, ip) in p.fixed_ips.iter().enumerate() {
            let path = format!("fixed_ips/{i}");
            fixed_ip(c, &s, &path, network.then_some(&p.network_id), ip);
            let path = format!("{path}/ip_address");
            if !network || c.sink.is_bad(Kind::Port, &p.id, &path) {
                continue;
            }
            let Some((other, n)) = addresses.claim((p.network_id.as_str(), ip.ip_address), (p, i)) else { continue };
            let (a, b) = (port_subject(other), s.clone());
            // The place is the one in the port that is blamed.
            let path = if c.sink.blame(a.clone(), b.clone()).0.key == p.id {
                path
            } else {
                format!("fixed_ips/{n}/ip_address")
            };
            let what = format!("{} in network {}", ip.ip_address, plain(&p.network_id));
            c.collision(a, b, &path, &what, "give each port of a network addresses of its own");
        }
    }
}

/// An address is in its subnet, and the subnet in its network. Also for gateways of routers.
pub(super) fn fixed_ip(c: &mut Checker<'_, '_, '_>, s: &Subject, path: &str, network: Option<&String>, ip: &FixedIp) {
    let field = format!("{path}/subnet_id");
    if !c.exists(s, &field, Kind::Subnet, &ip.subnet_id) {
        return;
    }
    let Some(sub) = c.cloud.subnets.get(&ip.subnet_id) else { return };
    if let Some(network) = network.filter(|n| **n != sub.network_id)
        && c.cloud.networks.contains_key(&sub.network_id)
    {
        let reason =
            format!("subnet {} is of network {}, not of {}", plain(&sub.id), plain(&sub.network_id), plain(network));
        c.report(s, &field, reason, "name a subnet of the same network");
        return;
    }
    if c.sink.is_bad(Kind::Subnet, &sub.id, "cidr") {
        return;
    }
    let field = format!("{path}/ip_address");
    if !sub.cidr.contains(ip.ip_address) {
        let reason = format!("{} is outside {}, the block of subnet {}", ip.ip_address, sub.cidr, plain(&sub.id));
        c.report(s, &field, reason, "give an address inside it, or name the subnet the address is from");
    } else if sub.cidr.is_network_or_broadcast(ip.ip_address) {
        let reason = format!("{} is the network or broadcast address of {}", ip.ip_address, sub.cidr);
        c.report(s, &field, reason, "give the address of a single machine");
    }
}

/// Ports of routers lead to a router.
fn owner(c: &mut Checker<'_, '_, '_>, p: &Port, s: &Subject) {
    if !p.is_router_owned() {
        return;
    }
    if p.device_id.is_empty() {
        let reason = format!("is missing: {} is a port of a router", quote(&p.device_owner));
        c.report(s, "device_id", reason, "give the id or name of the router");
    } else {
        c.exists(s, "device_id", Kind::Router, &p.device_id);
    }
}

/// No port sends from the DVR prefix (D7), so none may claim an address there.
fn dvr_prefix(c: &mut Checker<'_, '_, '_>, p: &Port, s: &Subject) {
    let reason = |mac| format!("{mac} is inside the DVR prefix, which only hosts' DVR MACs use");
    let hint = "give another MAC, or change settings.dvr_base_mac";
    if c.cloud.settings.is_dvr_mac(p.mac_address) {
        c.report(s, "mac_address", reason(p.mac_address), hint);
    }
    for (i, pair) in p.allowed_address_pairs.iter().enumerate() {
        if pair.mac_address != p.mac_address && c.cloud.settings.is_dvr_mac(pair.mac_address) {
            c.report(s, &format!("allowed_address_pairs/{i}/mac_address"), reason(pair.mac_address), hint);
        }
    }
}
