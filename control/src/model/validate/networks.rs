//! Networks, their subnets, static neighbors (tables T04, T09, T13).

use std::collections::HashSet;
use std::net::IpAddr;

use super::{Checker, Owners, network_subject, subnet_subject};
use crate::model::problem::{Kind, Subject, plain, quote};
use crate::model::resolve::neighbor_subject;
use crate::model::types::*;

/// Largest VXLAN network identifier.
const MAX_VNI: u32 = 0xff_ffff;
/// Smallest MTU a link under IPv6 may have (RFC 8200, section 5).
const MIN_MTU_V6: u16 = 1280;

pub(super) fn check(c: &mut Checker<'_, '_, '_>) {
    segments(c);
    for n in c.cloud.networks.values() {
        let s = network_subject(n);
        let v6 = c.subnets_of(&n.id).iter().find(|s| s.ip_version == 6).copied();
        if let Some(v6) = v6.filter(|_| n.mtu < MIN_MTU_V6) {
            let reason = format!("{} is below {MIN_MTU_V6}, which IPv6 {} needs", n.mtu, subnet_subject(v6).label);
            c.report(&s, "mtu", reason, "raise the MTU, or take the IPv6 subnet away");
        }
        if let Some(h) = &n.dvrd.phys_gw_host {
            c.exists(&s, "dvrd/phys_gw_host", Kind::Host, h);
        }
        overlaps(c, n);
    }
    for s in c.cloud.subnets.values() {
        subnet(c, s);
    }
    for n in c.cloud.neighbors.values() {
        neighbor(c, n);
    }
}

/// Segmentation: what each type needs, and that no two networks share a segment.
fn segments(c: &mut Checker<'_, '_, '_>) {
    let cloud = c.cloud;
    let physical: HashSet<&str> =
        cloud.hosts.values().flat_map(|h| h.bridge_mappings.keys().map(String::as_str)).collect();
    let (mut vnis, mut vlans, mut flats) = (Owners::new(), Owners::new(), Owners::new());
    const ID: &str = "provider_segmentation_id";
    const PHYS: &str = "provider_physical_network";
    for n in cloud.networks.values() {
        let s = network_subject(n);
        if c.sink.is_bad(Kind::Network, &n.id, "provider_network_type") {
            continue;
        }
        let (id, phys) = (n.provider_segmentation_id, n.provider_physical_network.as_deref());
        let kind = n.provider_network_type;
        let (what, max) = match kind {
            NetworkType::Vxlan => ("VNI", MAX_VNI),
            NetworkType::Vlan => ("VLAN", 4094),
            NetworkType::Flat | NetworkType::Local => ("", 0),
        };
        match id {
            None if max > 0 => {
                c.report(&s, ID, format!("is missing: the {what} of the network"), format!("give 1 to {max}"));
            }
            Some(id) if max == 0 => {
                c.report(&s, ID, format!("{id} is given, but a network of this type has none"), "take it out");
            }
            Some(id) if id == 0 || id > max => {
                c.report(&s, ID, format!("{id} is no {what}"), format!("give 1 to {max}"));
            }
            _ => {}
        }
        match (phys, kind) {
            (None, NetworkType::Vlan | NetworkType::Flat) => {
                c.report(&s, PHYS, "is missing", "name the physical network the network is on");
            }
            (Some(p), NetworkType::Vxlan | NetworkType::Local) => {
                let reason = format!("{} is given, but a network of this type is on none", quote(p));
                c.report(&s, PHYS, reason, "take it out");
            }
            (Some(p), _) if !physical.contains(p) => {
                let reason = format!("no host has physical network {} in its bridge_mappings", quote(p));
                c.report(&s, PHYS, reason, "correct the name, or add it to the hosts that have it");
            }
            _ => {}
        }
        let (twin, path, what) = match (kind, id, phys) {
            (NetworkType::Vxlan, Some(id), _) => (vnis.claim(id, n), ID, format!("VNI {id}")),
            (NetworkType::Vlan, Some(id), Some(p)) => {
                (vlans.claim((p, id), n), ID, format!("VLAN {id} of physical network {}", plain(p)))
            }
            (NetworkType::Flat, _, Some(p)) => {
                (flats.claim(p, n), PHYS, format!("physical network {} untagged", plain(p)))
            }
            _ => continue,
        };
        if let Some(other) = twin {
            c.collision(network_subject(other), s, path, &what, "give each network a segment of its own");
        }
    }
}

/// Subnets of one network do not overlap.
fn overlaps(c: &mut Checker<'_, '_, '_>, n: &Network) {
    let mut subnets = c.subnets_of(&n.id).to_vec();
    subnets.sort_by_key(|s| (s.cidr, s.id.as_str()));
    // Blocks nest or are apart, so in this order whoever overlaps lies behind the widest so far.
    let mut widest: Option<&Subnet> = None;
    for s in subnets {
        match widest {
            Some(w) if w.cidr.overlaps(s.cidr) => {
                let (a, b) = (subnet_subject(w), subnet_subject(s));
                let (blamed, other) = c.sink.blame(a, b);
                let cidr = |key: &str| c.cloud.subnets.get(key).map(|s| s.cidr.to_string()).unwrap_or_default();
                let reason = format!(
                    "{} overlaps {} of {} in network {}",
                    cidr(&blamed.key),
                    cidr(&other.key),
                    other.label,
                    plain(&n.id)
                );
                c.report(&blamed, "cidr", reason, "give the subnets of a network blocks that are apart");
            }
            _ => widest = Some(s),
        }
    }
}

fn subnet(c: &mut Checker<'_, '_, '_>, sub: &Subnet) {
    let s = subnet_subject(sub);
    c.exists(&s, "network_id", Kind::Network, &sub.network_id);
    if c.sink.is_bad(Kind::Subnet, &sub.id, "cidr") {
        return;
    }
    if let Some(gw) = sub.gateway_ip {
        if gw.is_ipv4() != sub.cidr.is_ipv4() {
            let reason = format!("{gw} is of another family than the cidr {}", sub.cidr);
            c.report(&s, "gateway_ip", reason, "make the two agree");
        } else if gw.is_multicast() || gw.is_unspecified() || sub.cidr.is_network_or_broadcast(gw) {
            let reason = format!("{gw} is not the address of a single machine in {}", sub.cidr);
            c.report(&s, "gateway_ip", reason, "give the gateway's own address");
        }
    }
    for (i, r) in sub.host_routes.iter().enumerate() {
        if r.destination.is_ipv4() != sub.cidr.is_ipv4() {
            let reason = format!("{} is of another family than the cidr {}", r.destination, sub.cidr);
            c.report(&s, &format!("host_routes/{i}/destination"), reason, "put the route on a subnet of its family");
        }
    }
}

fn neighbor(c: &mut Checker<'_, '_, '_>, n: &Neighbor) {
    let s: Subject = neighbor_subject(n);
    if c.cloud.settings.is_dvr_mac(n.mac_address) {
        let reason = format!("{} is inside the DVR prefix, which only hosts' DVR MACs use", n.mac_address);
        c.report(&s, "mac_address", reason, "give the neighbor's own MAC");
    }
    if !c.exists(&s, "network_id", Kind::Network, &n.network_id) {
        return;
    }
    let link_local = matches!(n.ip_address, IpAddr::V6(a) if a.is_unicast_link_local());
    let known =
        c.subnets_of(&n.network_id).iter().any(|s| s.cidr.contains(n.ip_address) || s.gateway_ip == Some(n.ip_address));
    let unreadable =
        c.cloud.subnets.values().any(|s| s.network_id == n.network_id && c.sink.is_bad(Kind::Subnet, &s.id, "cidr"));
    if !known && !link_local && !unreadable {
        let reason = format!("{} is in no subnet of network {}", n.ip_address, plain(&n.network_id));
        c.report(&s, "ip_address", reason, "correct the address or the network");
    }
}
