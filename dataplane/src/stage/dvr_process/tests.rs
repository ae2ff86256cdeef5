//! O2: routed frames leave with this host's DVR MAC, and nothing else does.

use crate::addr::MacAddr;
use crate::burst::Door::{Phys, Tunnel};
use crate::tables::{NeighValue, Target};
use crate::testkit::*;

fn routed(src: MacAddr, dst: MacAddr, to: Vm, ttl: u8) -> Vec<u8> {
    eth(src, dst, ip4(A1.ip, to.ip).ttl(ttl).tcp(40000, 80))
}

const LOCAL: &str = "ingress decode vm_port qrouter dvr_process egress";
const OUT: &str = "ingress decode vm_port qrouter dvr_process vxlan_encap egress";

/// Rules: O2.
#[test]
fn a_routed_frame_leaves_with_the_hosts_dvr_mac() {
    let out = Rig::h1().one(A1.door, routed(A1.mac, RA.mac, B2, 64)); // EW-02
    out.assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H2, 1002, &routed(H1.dvr, B2.mac, B2, 63)))]);
}

/// Rules: O2, O1.
#[test]
fn on_the_host_the_router_mac_stays() {
    let out = Rig::h1().one(A1.door, routed(A1.mac, RA.mac, B1, 64)); // EW-01
    out.assert_sent(A1.door, LOCAL, &[(B1.door, routed(RB.mac, B1.mac, B1, 63))]);
}

/// Rules: O2.
#[test]
fn a_bridged_frame_keeps_its_source() {
    let frame = eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1, 2, b""));
    let path = "ingress decode vm_port local_switching vxlan_encap egress";
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, path, &[(Tunnel, vx(H1, H2, 1001, &frame))]);
}

/// Rules: O2.
#[test]
fn without_a_dvr_mac_nothing_routed_leaves_the_host() {
    let mut rig = Rig::h1_with(|r| r.snap.host.dvr_mac = MacAddr::ZERO); // F04
    let path = "ingress decode vm_port qrouter dvr_process";
    rig.one(A1.door, routed(A1.mac, RA.mac, B2, 64)).assert_dropped(A1.door, path, "router_down");
    let out = rig.one(A1.door, routed(A1.mac, RA.mac, B1, 64));
    out.assert_sent(A1.door, LOCAL, &[(B1.door, routed(RB.mac, B1.mac, B1, 63))]);
}

/// Rules: O2, O4.
#[test]
fn routed_to_a_vlan_network_it_leaves_with_the_hosts_dvr_mac_too() {
    let out = Rig::h1().one(A1.door, routed(A1.mac, RA.mac, V2, 64)); // EW-06
    let path = "ingress decode vm_port qrouter dvr_process lv_to_phys egress";
    out.assert_sent(A1.door, path, &[(Phys(0), tagged(&routed(H1.dvr, V2.mac, V2, 63), &[300]))]);
}

/// Rules: O2.
#[test]
fn flooded_to_ports_of_this_host_the_router_mac_stays() {
    // The next hop's MAC is known, its place is not: L3 asks the ports without port security.
    let (next, dst) = (mac("fa:16:3e:0b:00:50"), ip("10.2.0.50"));
    let mut rig = Rig::h1_with(|r| {
        r.neighbour(B, dst, next, Target::Fdb, NeighValue::ROUTE);
        r.unsecure(B1);
    });
    let frame = |src, to, ttl| eth(src, to, ip4(A1.ip, dst).ttl(ttl).udp(1, 2, b""));
    let out = rig.one(A1.door, frame(A1.mac, RA.mac, 64));
    assert_eq!(out.sent, [(B1.door, frame(RB.mac, next, 63))]);
}

/// 0xffff is a sum that no TCP has, and so what an update in passing would change (RFC 1624, 3): a translated packet's is
/// updated, a wrong one stays wrong. Others leave with the bytes they came with, whoever is in the burst with them.
///
/// Rules: R9, D6.
#[test]
fn only_a_translation_touches_what_is_above_ip() {
    let odd = |frame: Vec<u8>| with(&frame, 14 + 20 + 16, &[0xff, 0xff]);
    let bridged = odd(eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).tcp(40000, 80)));
    let out = |src, dst, from, ttl| eth(src, dst, ip4(from, E).ttl(ttl).tcp(40000, 80));
    let frames = [odd(routed(A1.mac, RA.mac, B1, 64)), bridged.clone(), out(A1.mac, RA.mac, A1.ip, 64)];
    let sent = Rig::h1().step(A1.door, &frames).sent;
    let translated = ext(&out(fg(H1).0, GX.0, FIP_A1, 63));
    assert_eq!(sent, [(A3.door, bridged), (B1.door, odd(routed(RB.mac, B1.mac, B1, 63))), (Phys(1), translated)]);
}
