//! br-tun: tables 0 to 4, 9, 10, 20 to 22.

use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::tables::NeighValue;

use super::flow::{self, DEFAULT_PRIORITY, Flow};
use super::names::{Names, PATCH_INT, word};
use super::{Note, Part, br_int};
use crate::rows::{NeighbourRows, Place};

/// VXLAN_TUN_TO_LV. The deployment of docs/seed-flows had its tunnel ids in 3.
const TUN_TO_LV: u8 = 4;

const LEARN: &str = "learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],\
                     NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],\
                     load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:NXM_OF_IN_PORT[])";

pub(super) fn part(host: &Names<'_>, all: bool) -> Part {
    let mut part = Part::new("ovs-ofctl dump-flows br-tun");
    part.legend = vec![host.br_tun_legend(), host.vlan_legend()];
    notes(&mut part, host);
    let own = host.rows.host.dvr_mac;
    let flows = &mut part.flows;
    flows.push(Flow::new(2, 0, "dl_dst=00:00:00:00:00:00/01:00:00:00:00:00", "resubmit(,20)"));
    flows.push(Flow::new(2, 0, "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "resubmit(,22)"));
    for (lv, vni, network, seg) in host.tunnelled() {
        for (mac, _) in &seg.interfaces {
            let to = format!("mod_dl_src:{own},resubmit(,2)");
            flows.push(Flow::new(1, 1, format!("dl_vlan={lv},dl_src={mac}"), to));
        }
        let to = format!("mod_vlan_vid:{lv},resubmit(,9)");
        flows.push(Flow::new(TUN_TO_LV, 1, format!("tun_id={vni:#x}"), to));
        if !seg.learning {
            flows.push(Flow::new(10, 2, format!("dl_vlan={lv}"), format!("output:{PATCH_INT}")));
        }
        for (mac, n) in remote_macs(host, &network.id) {
            let to = format!("strip_vlan,set_tunnel:{vni:#x},output:{n}");
            flows.push(Flow::new(20, 2, format!("dl_vlan={lv},dl_dst={mac}"), to));
        }
        let copies: Vec<String> =
            seg.flood_hosts.iter().filter_map(|h| host.tunnel(h)).map(|n| format!("output:{n}")).collect();
        if !copies.is_empty() {
            let to = format!("strip_vlan,set_tunnel:{vni:#x},{}", copies.join(","));
            flows.push(Flow::new(22, DEFAULT_PRIORITY, format!("dl_vlan={lv}"), to));
        }
    }
    for mac in br_int::dvr_macs(host) {
        flows.push(Flow::new(9, 1, format!("dl_src={mac}"), format!("output:{PATCH_INT}")));
    }
    flows.push(Flow::new(TUN_TO_LV, 0, "", "drop"));
    flows.push(Flow::new(9, 0, "", "resubmit(,10)"));
    flows.push(Flow::new(10, 1, "", format!("{LEARN},output:{PATCH_INT}")));
    flows.push(Flow::new(22, 0, "", "drop"));
    if all {
        newer(host, flows);
    } else {
        let more = "--all: also ARP answers (21), ARP for gateways (22), frames to router MACs (1), the way in (0)";
        part.legend.push(more.to_owned());
    }
    flow::sort(flows);
    part
}

/// T06: MACs of a network at other hosts, with the tunnel there.
fn remote_macs(host: &Names<'_>, network: &str) -> Vec<(MacAddr, u32)> {
    let of_network = host.rows.fdb.iter().filter(|((n, _), _)| n == network);
    let found = of_network.filter_map(|((_, mac), place)| match place {
        Place::Host(h) => Some((*mac, host.tunnel(h)?)),
        _ => None,
    });
    found.collect()
}

fn notes(part: &mut Part, host: &Names<'_>) {
    let d1 = "dl_vlan stands for the host's 16-bit index of a network; no frame is tagged with it";
    part.notes.push(Note::new("D1", d1));
    let quiet: Vec<&str> =
        host.tunnelled().filter(|(.., seg)| !seg.flood_unknown).map(|(.., n, _)| word(&n.name, &n.id)).collect();
    if !quiet.is_empty() {
        let d2 = format!("table 20: a MAC that is not there is dropped (unknown_unicast) in {}", quiet.join(", "));
        part.notes.push(Note::new("D2", d2));
    }
    if !br_int::dvr_macs(host).is_empty() {
        let d8 = "table 9: a DVR MAC is believed only from the tunnel of the host that owns it (else dvr_wrong_vtep)";
        part.notes.push(Note::new("D8", d8));
    }
    if host.tunnelled().any(|(.., seg)| !seg.router_ips.is_empty()) {
        let d10 = "tables 1 and 22: ARP for a router's address is answered here and sent to no tunnel";
        part.notes.push(Note::new("D10", d10));
    }
}

/// What Neutron has got since the dumps of docs/seed-flows, or has and they leave out.
fn newer(host: &Names<'_>, flows: &mut Vec<Flow>) {
    flows.push(Flow::new(0, 1, format!("in_port={PATCH_INT}"), "resubmit(,1)"));
    for n in host.rows.tunnels.keys().filter_map(|h| host.tunnel(h)) {
        flows.push(Flow::new(0, 1, format!("in_port={n}"), format!("resubmit(,{TUN_TO_LV})")));
    }
    flows.push(Flow::new(0, 0, "", "drop"));
    flows.push(Flow::new(1, 0, "", "resubmit(,2)"));
    flows.push(Flow::new(2, 1, "arp,dl_dst=ff:ff:ff:ff:ff:ff", "resubmit(,21)"));
    flows.push(Flow::new(20, 0, "", "resubmit(,22)"));
    flows.push(Flow::new(21, 0, "", "resubmit(,22)"));
    for (lv, _, network, seg) in host.tunnelled() {
        for (mac, _) in &seg.interfaces {
            flows.push(Flow::new(1, 2, format!("dl_vlan={lv},dl_dst={mac}"), "drop"));
        }
        for router in &seg.router_ips {
            let asked = format!("arp,dl_vlan={lv},arp_tpa={}", Ipv4Addr::from_bits(router.ip));
            flows.push(Flow::new(22, 3, asked, "drop"));
        }
        for ((_, ip), row) in host.rows.neighbours.iter().filter(|((n, _), _)| *n == network.id) {
            let NeighbourRows::Host { mac, place: Place::Host(_), flags } = row else { continue };
            if flags & NeighValue::ANSWER != 0 {
                let asked = format!("arp,dl_vlan={lv},arp_tpa={}", Ipv4Addr::from_bits(*ip));
                flows.push(Flow::new(21, 1, asked, arp_answer(*mac, *ip)));
            }
        }
    }
}

/// Neutron's `ARP_RESPONDER_ACTIONS`.
fn arp_answer(mac: MacAddr, ip: u32) -> String {
    format!(
        "load:0x2->NXM_OF_ARP_OP[],move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],\
         load:{:#x}->NXM_NX_ARP_SHA[],load:{ip:#x}->NXM_OF_ARP_SPA[],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
         mod_dl_src:{mac},IN_PORT",
        mac.to_u64()
    )
}
