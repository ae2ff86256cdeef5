//! br-int: tables 0 to 4, 23 to 25.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::tables::Wire;

use super::flow::{self, Flow};
use super::names::{Names, addresses};
use super::{Note, Part};
use crate::model::IpNet;
use crate::rows::{Place, SegRows};

/// DVR_TO_SRC_MAC and DVR_TO_SRC_MAC_PHYSICAL.
const FROM_TUNNEL: u8 = 1;
const FROM_PHYSICAL: u8 = 2;

pub(super) fn part(host: &Names<'_>, all: bool) -> Part {
    let mut part = Part::new("ovs-ofctl dump-flows br-int");
    part.legend = vec![host.br_int_legend(), host.vlan_legend()];
    part.flows = entry(host);
    let delivered = deliveries(host);
    notes(&mut part, host, &delivered);
    part.flows.extend(delivered);
    part.flows.push(Flow::new(FROM_TUNNEL, 1, "", "drop"));
    // CANARY: Neutron's sign that Open vSwitch has restarted. Here is no second process to restart.
    part.flows.push(Flow::new(23, 0, "", "drop"));
    if all {
        part.flows.extend(newer(host));
    } else {
        part.legend.push("--all: also the checks of ports (24, 25) and answers to probes (3, 4)".to_owned());
    }
    flow::sort(&mut part.flows);
    part
}

/// Table 0: frames that another host has routed (T02), physical networks (T04), everything else.
fn entry(host: &Names<'_>) -> Vec<Flow> {
    let mut flows = Vec::new();
    let patch = host.patch_tun;
    for mac in dvr_macs(host) {
        flows.push(Flow::new(0, 2, format!("in_port={patch},dl_src={mac}"), "resubmit(,1)"));
        for n in host.physical.values() {
            flows.push(Flow::new(0, 4, format!("in_port={n},dl_src={mac}"), "resubmit(,2)"));
        }
    }
    for (lv, _, seg) in host.segments() {
        let Some((n, tag)) = physical(host, seg) else { continue };
        flows.push(Flow::new(0, 3, format!("in_port={n},{tag}"), format!("mod_vlan_vid:{lv},NORMAL")));
    }
    for n in host.physical.values() {
        flows.push(Flow::new(0, 2, format!("in_port={n}"), "drop"));
    }
    if !host.physical.is_empty() {
        flows.push(Flow::new(FROM_PHYSICAL, 1, "", "drop"));
    }
    flows.push(Flow::new(0, 1, "", "NORMAL"));
    flows
}

/// DVR MACs of other hosts.
pub(super) fn dvr_macs(host: &Names<'_>) -> Vec<MacAddr> {
    let mut macs: Vec<MacAddr> = host.rows.tunnels.values().map(|t| t.dvr_mac).filter(|m| !m.is_zero()).collect();
    macs.sort();
    macs
}

/// How frames of a tenant's VLAN or flat network come in: port number, and the match on the tag.
fn physical(host: &Names<'_>, seg: &SegRows) -> Option<(u32, String)> {
    let Wire::Phys { net, vid } = seg.wire else { return None };
    let n = host.physical.get(&net).filter(|_| !seg.external)?;
    Some((*n, if vid == 0 { "vlan_tci=0x0000".to_owned() } else { format!("dl_vlan={vid}") }))
}

/// Tables 1 and 2: what other hosts have routed gets the gateway's MAC back (T06 and T09).
fn deliveries(host: &Names<'_>) -> Vec<Flow> {
    let mut flows = Vec::new();
    for (lv, network, seg) in host.segments() {
        let (table, tag) = match (seg.wire, physical(host, seg)) {
            (Wire::Vxlan(_), _) => (FROM_TUNNEL, format!("dl_vlan={lv}")),
            (_, Some((_, tag))) => (FROM_PHYSICAL, tag),
            _ => continue,
        };
        for (port, mac) in local_macs(host, &network.id) {
            let (Some(n), Some(gateway)) = (host.on_br_int(&port), gateway(host, seg, &port)) else { continue };
            let to = format!("strip_vlan,mod_dl_src:{gateway},output:{n}");
            flows.push(Flow::new(table, 4, format!("{tag},dl_dst={mac}"), to));
        }
        for subnet in seg.subnets.iter().filter(|s| !s.gateway_mac.is_zero()) {
            let ports: Vec<String> = ports_in(host, &network.id, subnet.net, subnet.mask);
            let net = format!("{}/{}", Ipv4Addr::from_bits(subnet.net), subnet.mask.count_ones());
            let to = format!("strip_vlan,mod_dl_src:{},{}", subnet.gateway_mac, ports.join(","));
            if !ports.is_empty() {
                flows.push(Flow::new(table, 2, format!("ip,{tag},nw_dst={net}"), to));
            }
        }
    }
    flows
}

/// MACs of a network that T06 has at a port of this host that is wired, or at a router's SNAT part here.
fn local_macs(host: &Names<'_>, network: &str) -> Vec<(String, MacAddr)> {
    let of_network = host.rows.fdb.iter().filter(|((n, _), _)| n == network);
    let found = of_network.filter_map(|((_, mac), place)| match place {
        Place::Port(port) => Some((port.clone(), *mac)).filter(|_| host.rows.ports.get(port).is_some_and(|p| p.active)),
        Place::Snat => {
            let port = host.cloud.ports.values().find(|p| p.mac_address == *mac && p.network_id == network)?;
            Some((port.id.clone(), *mac)).filter(|_| port.is_active())
        }
        _ => None,
    });
    found.collect()
}

/// The MAC of the gateway of a port's first subnet; of sg-, that of the subnet it is in.
fn gateway(host: &Names<'_>, seg: &SegRows, port: &str) -> Option<MacAddr> {
    let of_port = |port: &str| host.rows.ports.get(port).map(|row| row.gateway_mac);
    let of_sg = |port: &str| {
        let (ip, _) = addresses(host.cloud, host.cloud.ports.get(port)?).next()?;
        seg.subnets.iter().find(|s| ip.to_bits() & s.mask == s.net).map(|s| s.gateway_mac)
    };
    of_port(port).or_else(|| of_sg(port)).filter(|mac| !mac.is_zero())
}

/// `output:N` for each wired port of this host with an address in the block.
fn ports_in(host: &Names<'_>, network: &str, net: u32, mask: u32) -> Vec<String> {
    let mut ports: BTreeMap<u32, String> = BTreeMap::new();
    for (id, _) in host.rows.ports.iter().filter(|(_, row)| row.active && row.network == network) {
        let inside = |port| addresses(host.cloud, port).any(|(ip, _)| ip.to_bits() & mask == net);
        if let Some(n) = host.on_br_int(id).filter(|_| host.cloud.ports.get(id).is_some_and(inside)) {
            ports.insert(n, format!("output:{n}"));
        }
    }
    ports.into_values().collect()
}

fn notes(part: &mut Part, host: &Names<'_>, delivered: &[Flow]) {
    let d1 = "dl_vlan stands for the host's 16-bit index of a network; no frame is tagged with it, so 4094 is no limit";
    part.notes.push(Note::new("D1", d1));
    if delivered.is_empty() {
        return;
    }
    let d2 = "priority 2 of tables 1 and 2: only the gateway is chosen by the subnet; an address whose MAC is no port \
              of this host is not output to the subnet's ports but dropped (dvr_unknown_dst)";
    part.notes.push(Note::new("D2", d2));
    let d5 = "priority 4 of tables 1 and 2: dl_dst chooses the port; the MAC put in is that of the subnet nw_dst lies \
              in, so a port with addresses in two subnets sees the right gateway for each";
    part.notes.push(Note::new("D5", d5));
    let d8 = "table 0: a DVR MAC is believed only from the tunnel of the host that owns it (else dvr_wrong_vtep)";
    part.notes.push(Note::new("D8", d8));
    if host.rows.virtual_macs.iter().any(|row| matches!(host.rows.fdb.get(row), Some(Place::Port(_)))) {
        let d9 = "MACs of allowed address pairs are at their first owner here; announcements move them at once";
        part.notes.push(Note::new("D9", d9));
    }
}

/// What Neutron has got since: answers to the DVR MAC (tables 3 and 4), MAC and ARP checks (24 and 25).
fn newer(host: &Names<'_>) -> Vec<Flow> {
    let (own, mut flows) = (host.rows.host.dvr_mac, Vec::new());
    flows.push(Flow::new(0, 5, format!("in_port={},dl_dst={own}", host.patch_tun), "resubmit(,3)"));
    for n in host.physical.values() {
        flows.push(Flow::new(0, 5, format!("in_port={n},dl_dst={own}"), "resubmit(,4)"));
    }
    for (lv, _, seg) in host.segments().filter(|(.., seg)| !seg.external) {
        let table = if matches!(seg.wire, Wire::Phys { .. }) { 4 } else { 3 };
        for (mac, port) in &seg.interfaces {
            let Some(n) = host.on_br_int(port) else { continue };
            let to = format!("mod_dl_dst:{mac},strip_vlan,output:{n}");
            flows.push(Flow::new(table, 5, format!("dl_vlan={lv},dl_dst={own}"), to));
            let answer = format!("arp,dl_dst={own},arp_op=2,arp_tha={mac}");
            flows.push(Flow::new(0, 99, answer, format!("mod_dl_dst:{mac},resubmit(,60)")));
        }
    }
    for (id, row) in host.rows.ports.iter().filter(|(_, row)| row.secured) {
        let Some(n) = host.on_br_int(id) else { continue };
        // Neutron leaves ARP unchecked where a pair is for every address.
        let any = row.allowed.iter().any(|pair| pair.mask == 0);
        if !any {
            flows.push(Flow::new(0, 10, format!("in_port={n},arp"), "resubmit(,24)"));
            for pair in &row.allowed {
                let net = IpNet::containing(Ipv4Addr::from_bits(pair.net).into(), pair.mask.count_ones() as u8);
                let Some(net) = net else { continue };
                let spa = if net.is_host() { net.addr().to_string() } else { net.to_string() };
                flows.push(Flow::new(24, 2, format!("arp,in_port={n},arp_spa={spa}"), "resubmit(,25)"));
            }
        }
        flows.push(Flow::new(0, 9, format!("in_port={n}"), "resubmit(,25)"));
        let macs: std::collections::BTreeSet<MacAddr> =
            row.allowed.iter().map(|pair| pair.mac).chain([row.mac]).collect();
        for mac in macs {
            flows.push(Flow::new(25, 2, format!("in_port={n},dl_src={mac}"), "resubmit(,60)"));
        }
        flows.push(Flow::new(25, 0, "", "drop"));
    }
    flows.push(Flow::new(24, 0, "", "drop"));
    flows.push(Flow::new(60, 1, "", "NORMAL"));
    let mut seen = std::collections::BTreeSet::new();
    flows.retain(|f| seen.insert(f.to_string()));
    flows
}
