//! V0 and E0: which network a frame from a physical network belongs to.

use crate::addr::MacAddr;
use crate::burst::Door::{self, Phys};
use crate::tables::*;
use crate::testkit::*;
use crate::trace::Note;
use std::sync::Arc;

const HERE: &str = "ingress decode phys_to_lv";
const BRIDGED: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun local_switching egress";

/// P speaks to V1.
fn frame() -> Vec<u8> {
    eth(P.0, V1.mac, ip4(P.1, V1.ip).udp(1, 2, b"from outside"))
}

/// H1 where V is the untagged network of physnet1.
fn flat() -> Rig {
    Rig::h1_with(|r| {
        r.seg(V, |s| s.wire = Wire::Phys { net: 0, vid: 0 });
        r.snap.vlans = Arc::new(U32Index::new([(0, V), (1 << 16 | 100, X)]));
    })
}

/// Rules: V0, D1.
#[test]
fn the_vlan_id_says_the_network_and_comes_off() {
    Rig::h1().one(Phys(0), phy(&frame())).assert_sent(Phys(0), BRIDGED, &[(V1.door, frame())]);
    // Priority and drop eligibility are no part of the id (802.1Q, 9.6).
    for bits in [0x2000, 0x1000, 0xf000] {
        let sent = Rig::h1().one(Phys(0), tagged(&frame(), &[bits | 300]));
        sent.assert_sent(Phys(0), BRIDGED, &[(V1.door, frame())]);
    }
}

/// Rules: V0, E0.
#[test]
fn a_vlan_of_no_network_here_is_vlan_unexpected() {
    for vid in [299, 301, 100, 4095, 1] {
        Rig::h1().one(Phys(0), tagged(&frame(), &[vid])).assert_dropped(Phys(0), HERE, "vlan_unexpected");
    }
    // 300 is V's on physnet1, not on physext; neither has an untagged network.
    Rig::h1().one(Phys(1), phy(&frame())).assert_dropped(Phys(1), HERE, "vlan_unexpected");
    for door in [Phys(0), Phys(1)] {
        for frame in [frame(), tagged(&frame(), &[0])] {
            Rig::h1().one(door, frame).assert_dropped(door, HERE, "vlan_unexpected");
        }
    }
}

/// Rules: V0.
#[test]
fn a_network_of_a_batch_this_burst_does_not_see_is_vlan_unexpected() {
    let mut rig = Rig::h1_with(|r| r.snap.segments.set(V, None));
    rig.one(Phys(0), phy(&frame())).assert_dropped(Phys(0), HERE, "vlan_unexpected");
}

/// Rules: V0, I1.
#[test]
fn a_flat_network_is_untagged_and_a_priority_tag_counts_as_none() {
    for came in [frame(), tagged(&frame(), &[0]), tagged(&frame(), &[0xa000])] {
        flat().one(Phys(0), came).assert_sent(Phys(0), BRIDGED, &[(V1.door, frame())]);
    }
    flat().one(Phys(0), phy(&frame())).assert_dropped(Phys(0), HERE, "vlan_unexpected");
}

/// Rules: V0, I1.
#[test]
fn a_second_tag_is_unexpected_but_on_a_vlan_transparent_network() {
    Rig::h1().one(Phys(0), tagged(&frame(), &[300, 5])).assert_dropped(Phys(0), HERE, "vlan_unexpected");
    let clear = || Rig::h1_with(|r| r.seg(V, |s| s.vlan_transparent = true));
    let inner = tagged(&frame(), &[5]);
    clear().one(Phys(0), phy(&inner)).assert_sent(Phys(0), BRIDGED, &[(V1.door, inner)]);
    // What is behind it is payload: not even ARP about the router is looked at.
    let arp = tagged(&eth(P.0, V1.mac, arp_request(P.0, P.1, RV.ip)), &[5]);
    clear().one(Phys(0), phy(&arp)).assert_sent(Phys(0), BRIDGED, &[(V1.door, arp)]);
    // Without a second one it is looked at there too.
    let arp = eth(P.0, V1.mac, arp_request(P.0, P.1, RV.ip));
    let path = "ingress decode phys_to_lv learning_blocker";
    clear().one(Phys(0), phy(&arp)).assert_dropped(Phys(0), path, "router_arp_from_fabric");
}

/// Rules: E2, L6.
#[test]
fn what_comes_from_the_external_network_for_all_reaches_its_ports_here() {
    let call = eth(GX.0, MacAddr::BROADCAST, ip4(GX.1, u32::MAX).udp(1, 2, b"?"));
    let path = "ingress decode phys_to_lv learning_blocker learn_from_tun local_switching egress flood_to_tun";
    Rig::h1().one(Phys(1), ext(&call)).assert_dropped(Phys(1), path, "not_ours");
    let mut rig = Rig::h1_with(|r| r.seg(X, |s| s.flood_ports = [5].into()));
    rig.one(Phys(1), ext(&call)).assert_sent(Phys(1), path, &[(Door::Port(5), call)]);
}

/// Rules: L1, L3, D2.
#[test]
fn unicast_from_a_physical_network_never_returns_to_one_and_floods_no_secured_port() {
    let to = |dst: MacAddr| eth(P.0, dst, ip4(P.1, V2.ip).udp(1, 2, b""));
    let bridged = "ingress decode phys_to_lv learning_blocker learn_from_tun local_switching";
    Rig::h1().one(Phys(0), phy(&to(V2.mac))).assert_dropped(Phys(0), bridged, "no_receiver");
    let flooded = format!("{bridged} egress flood_to_tun");
    let nobody = to(mac("02:00:00:00:00:77"));
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.flood_unknown = true));
    rig.one(Phys(0), phy(&nobody)).assert_dropped(Phys(0), &flooded, "unknown_unicast");
    let mut rig = Rig::h1_with(|r| r.unsecure(V1));
    let out = rig.one(Phys(0), phy(&nobody));
    out.assert_sent_and(Phys(0), &flooded, &[(V1.door, nobody)], "flooded_unknown 1");
}

/// Rules: V0.
#[test]
fn a_trace_names_vlan_and_network() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.one(Phys(0), phy(&frame()));
    let notes: Vec<_> = std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect();
    assert!(notes.contains(&Note::Vlan(300, V)), "{notes:?}");
}
