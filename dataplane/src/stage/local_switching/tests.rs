//! L1, L2, L3, L5, L6: where a bridged frame goes.

use crate::addr::MacAddr;
use crate::burst::Door::{self, Phys, Tunnel};
use crate::burst::{FloodSet, Out};
use crate::stage::Stage;
use crate::tables::*;
use crate::testkit::*;
use crate::trace::Note;

const HERE: &str = "ingress decode vm_port local_switching";
const BRIDGED: &str = "ingress decode vm_port local_switching egress";
const OUT: &str = "ingress decode vm_port local_switching vxlan_encap egress";
const NOBODY: &str = "ingress decode vm_port local_switching egress flood_to_tun";
const FROM_TUNNEL: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun local_switching";
/// Nobody of the fixture.
const UNKNOWN: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x0a, 0, 0x77]);

fn udp(from: Vm, dst: MacAddr) -> Vec<u8> {
    eth(from.mac, dst, ip4(from.ip, ip("10.1.0.77")).udp(1000, 2000, b"x"))
}

/// Rules: L1, O1.
#[test]
fn to_a_local_port() {
    let frame = udp(A1, A3.mac); // L2-02
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, frame)]);
}

/// Rules: L1, O2, O3, D3.
#[test]
fn to_another_host_with_the_senders_mac_and_ttl() {
    for (to, host) in [(A2, H2), (SGA, H3), (A4, H4)] {
        let frame = udp(A1, to.mac); // L2-01
        Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, host, 1001, &frame))]);
    }
}

/// Rules: L1, O4, D3.
#[test]
fn to_a_physical_network_with_the_senders_mac_and_ttl() {
    let frame = eth(V1.mac, V2.mac, ip4(V1.ip, V2.ip).udp(1, 2, b""));
    let path = "ingress decode vm_port local_switching lv_to_phys egress";
    Rig::h1().one(V1.door, frame.clone()).assert_sent(V1.door, path, &[(Phys(0), tagged(&frame, &[300]))]);
}

/// Rules: L1, D1.
#[test]
fn the_same_mac_in_another_network_is_another_machine() {
    // Z1 has A1's MAC; nobody on Z has A3's.
    let frame = eth(Z1.mac, A3.mac, ip4(Z1.ip, A3.ip).udp(1, 2, b""));
    Rig::h1().one(Z1.door, frame).assert_dropped(Z1.door, NOBODY, "unknown_unicast");
}

/// Rules: L1.
#[test]
fn a_frame_never_returns_to_the_port_it_came_from() {
    let frame = eth(A1.mac, A1.mac, ip4(A1.ip, A1.ip).udp(1, 2, b""));
    Rig::h1().one(A1.door, frame).assert_dropped(A1.door, HERE, "no_receiver");
}

/// Rules: L1, T5.
#[test]
fn a_frame_from_the_tunnel_never_goes_to_a_tunnel() {
    for to in [A2.mac, SGA.mac] {
        let frame = eth(A4.mac, to, ip4(A4.ip, A2.ip).udp(1, 2, b""));
        Rig::h1().one(Tunnel, vx(H4, H1, 1001, &frame)).assert_dropped(Tunnel, FROM_TUNNEL, "no_receiver");
    }
}

/// Rules: L2.
#[test]
fn a_dvr_mac_as_destination_is_reserved_dst() {
    for dst in [H1.dvr, H2.dvr, mac("fa:16:3f:aa:bb:cc")] {
        Rig::h1().one(A1.door, udp(A1, dst)).assert_dropped(A1.door, HERE, "reserved_dst");
    }
}

/// Rules: L2.
#[test]
fn the_answer_to_a_probe_goes_to_the_host_that_owns_the_dvr_mac() {
    let arp = eth(A1.mac, H2.dvr, arp_reply(A1.mac, A1.ip, H2.dvr, 0));
    let nd = eth(A1.mac, H3.dvr, na(lla(A1.mac), ip6("fe80::1"), lla(A1.mac), A1.mac));
    let path = "ingress decode vm_port arp_responder local_switching vxlan_encap egress";
    for (frame, host) in [(arp, H2), (nd, H3)] {
        let out = Rig::h1().one(A1.door, frame.clone());
        out.assert_sent(A1.door, path, &[(Tunnel, vx(H1, host, 1001, &frame))]);
    }
}

/// Rules: L2.
#[test]
fn the_answer_to_a_probe_on_a_physical_network_leaves_there() {
    let frame = eth(V1.mac, H2.dvr, arp_reply(V1.mac, V1.ip, H2.dvr, 0));
    let path = "ingress decode vm_port arp_responder local_switching lv_to_phys egress";
    Rig::h1().one(V1.door, frame.clone()).assert_sent(V1.door, path, &[(Phys(0), tagged(&frame, &[300]))]);
}

#[test]
fn no_other_arp_goes_to_a_dvr_mac() {
    let path = "ingress decode vm_port arp_responder local_switching";
    let unowned = mac("fa:16:3f:aa:bb:cc");
    for frame in [
        eth(A1.mac, H2.dvr, arp_reply(A1.mac, A1.ip, H2.dvr, A2.ip)),
        eth(A1.mac, H2.dvr, arp_request(A1.mac, A1.ip, ip("10.1.0.77"))),
        eth(A1.mac, unowned, arp_reply(A1.mac, A1.ip, unowned, 0)),
    ] {
        Rig::h1().one(A1.door, frame).assert_dropped(A1.door, path, "reserved_dst");
    }
    // To our own: `arp_responder` knows that nobody waits for it.
    let late = eth(A1.mac, H1.dvr, arp_reply(A1.mac, A1.ip, H1.dvr, 0));
    Rig::h1().one(A1.door, late).assert_dropped(A1.door, "ingress decode vm_port arp_responder", "reserved_dst");
}

/// Rules: L3, D2.
#[test]
fn unknown_unicast_goes_to_nobody_by_default() {
    Rig::h1().one(A1.door, udp(A1, UNKNOWN)).assert_dropped(A1.door, NOBODY, "unknown_unicast"); // L2-07
}

/// Rules: L3, D2.
#[test]
fn unknown_unicast_floods_to_the_fabric_where_the_network_says_so() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.flood_unknown = true));
    let frame = udp(A1, UNKNOWN);
    let out = [H2, H3, H4].map(|h| (Tunnel, vx(H1, h, 1001, &frame)));
    let path = "ingress decode vm_port local_switching egress flood_to_tun vxlan_encap*3";
    rig.one(A1.door, frame.clone()).assert_sent_and(A1.door, path, &out, "flooded_unknown 1");
}

/// Rules: L3, D2.
#[test]
fn unknown_unicast_goes_to_ports_without_port_security_only() {
    let mut rig = Rig::h1_with(|r| r.unsecure(A3));
    let frame = udp(A1, UNKNOWN);
    let out = rig.one(A1.door, frame.clone());
    out.assert_sent_and(A1.door, NOBODY, &[(A3.door, frame)], "flooded_unknown 1");
    // But not back to where it came from.
    let frame = eth(A3.mac, UNKNOWN, ip4(A3.ip, A1.ip).udp(1, 2, b""));
    rig.one(A3.door, frame).assert_dropped(A3.door, NOBODY, "unknown_unicast");
}

/// Rules: L3, T5.
#[test]
fn unknown_unicast_from_the_tunnel_never_goes_back_to_one() {
    let mut rig = Rig::h1_with(|r| {
        r.seg(A, |s| s.flood_unknown = true);
        r.unsecure(A3);
    });
    let frame = eth(A2.mac, UNKNOWN, ip4(A2.ip, A1.ip).udp(1, 2, b""));
    let path = format!("{FROM_TUNNEL} egress flood_to_tun");
    let out = rig.one(Tunnel, vx(H2, H1, 1001, &frame));
    out.assert_sent_and(Tunnel, &path, &[(A3.door, frame.clone())], "flooded_unknown 1");
    let out = Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame));
    out.assert_dropped(Tunnel, &path, "unknown_unicast");
}

/// What a flood from A1 on A sends.
fn everybody(frame: &[u8]) -> Vec<(Door, Vec<u8>)> {
    let out = |to| (Tunnel, vx(H1, to, 1001, frame));
    vec![(A3.door, frame.to_vec()), out(H2), out(H3), out(H4)]
}

const FLOODED: &str = "ingress decode vm_port local_switching egress flood_to_tun vxlan_encap*3";

/// Rules: L6.
#[test]
fn broadcast_and_multicast_go_to_everybody_on_the_network_but_the_sender() {
    let broadcast = eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, u32::MAX).udp(1, 2, b"x")); // L2-04
    let vrrp = eth(A1.mac, mac("01:00:5e:00:00:12"), ip4(A1.ip, ip("224.0.0.18")).carry(112, &[0x21; 8])); // L2-12
    for frame in [broadcast, vrrp] {
        Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame));
    }
}

/// Rules: L6, T5.
#[test]
fn broadcast_from_the_tunnel_goes_to_local_ports_only() {
    let frame = eth(A2.mac, MacAddr::BROADCAST, ip4(A2.ip, u32::MAX).udp(1, 2, b"x")); // L2-05
    let both = [(A1.door, frame.clone()), (A3.door, frame.clone())];
    let path = format!("{FROM_TUNNEL} egress flood_to_tun");
    Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, &path, &both);
}

/// Rules: L6.
#[test]
fn a_port_that_is_down_gets_no_copy() {
    let mut rig = Rig::h1_with(|r| r.down(A3));
    let frame = eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, u32::MAX).udp(1, 2, b"x"));
    rig.one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame)[1..]);
}

/// Rules: L6.
#[test]
fn a_broadcast_nobody_else_hears_is_no_receiver() {
    let frame = eth(Z1.mac, MacAddr::BROADCAST, ip4(Z1.ip, u32::MAX).udp(1, 2, b"x"));
    Rig::h1().one(Z1.door, frame).assert_dropped(Z1.door, NOBODY, "no_receiver");
}

/// Rules: L6, O4.
#[test]
fn a_broadcast_goes_to_the_physical_network_too() {
    let frame = eth(V1.mac, MacAddr::BROADCAST, ip4(V1.ip, u32::MAX).udp(1, 2, b"x"));
    let path = "ingress decode vm_port local_switching egress flood_to_tun lv_to_phys";
    Rig::h1().one(V1.door, frame.clone()).assert_sent(V1.door, path, &[(Phys(0), tagged(&frame, &[300]))]);
}

/// Rules: L5.
#[test]
fn announcements_flood_like_a_broadcast() {
    let path = "ingress decode vm_port arp_responder local_switching egress flood_to_tun vxlan_encap*3";
    let na = eth(A1.mac, mac("33:33:00:00:00:01"), na(lla(A1.mac), ip6("ff02::1"), lla(A1.mac), A1.mac));
    Rig::h1().one(A1.door, na.clone()).assert_sent(A1.door, path, &everybody(&na));
    let rarp = eth(A1.mac, MacAddr::BROADCAST, rarp(A1.mac));
    Rig::h1().one(A1.door, rarp.clone()).assert_sent(A1.door, FLOODED, &everybody(&rarp));
}

/// Rules: L6, D10.
#[test]
fn arp_about_a_router_address_stays_on_the_host() {
    // A broadcast *reply* to the router is not answered; its copies stay here (D10).
    let frame = eth(A1.mac, MacAddr::BROADCAST, arp_reply(A1.mac, A1.ip, RA.mac, RA.ip));
    let path = "ingress decode vm_port arp_responder local_switching egress flood_to_tun";
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, path, &[(A3.door, frame)]);
}

/// Rules: L1.
#[test]
fn unicast_arp_about_a_router_address_does_not_leave_the_host_either() {
    let path = "ingress decode vm_port arp_responder local_switching";
    let reply = |dst| eth(A1.mac, dst, arp_reply(A1.mac, A1.ip, RA.mac, RA.ip)); // D10
    Rig::h1().one(A1.door, reply(A2.mac)).assert_consumed(A1.door, path);
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.flood_unknown = true));
    let out = rig.one(A1.door, reply(UNKNOWN));
    out.assert_dropped_by(A1.door, &format!("{path} egress flood_to_tun"), "flood_to_tun", "unknown_unicast");
}

#[test]
fn to_an_sg_mac_of_this_host_is_snat_no_state() {
    let mut rig = Rig::h1_with(|r| r.static_fdb(A, SGA.mac, Target::Snat));
    rig.one(A1.door, udp(A1, SGA.mac)).assert_dropped(A1.door, HERE, "snat_no_state");
}

/// What ends here has no way out: its lane still holds that of the frame before it.
#[test]
fn the_trace_of_a_consumed_frame_names_no_way_out() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    let mut notes = |frame| {
        rig.one(A1.door, frame);
        std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect::<Vec<_>>()
    };
    let bridged = notes(eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1, 2, b"")));
    assert!(bridged.iter().any(|note| matches!(note, Note::Out(Out::Tunnel(_)))), "{bridged:?}");
    let notes = notes(eth(A1.mac, A2.mac, arp_reply(A1.mac, A1.ip, RA.mac, RA.ip)));
    assert!(matches!(notes.last(), Some(Note::Consumed)), "{notes:?}");
    assert!(!notes.iter().any(|note| matches!(note, Note::Out(_))), "{notes:?}");
}

/// To a machine that is known, to one that is not, and from the fabric back to it: what was found, and the way out if
/// there is one. Each once.
#[test]
fn a_trace_says_what_was_found_for_the_destination() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.step(A1.door, &[udp(A1, A2.mac), udp(A1, UNKNOWN), udp(A1, A1.mac)]);
    let here =
        rig.notes().into_iter().filter(|r| r.stage == Stage::LocalSwitching && !matches!(r.note, Note::Dropped(_)));
    let mut told: Vec<_> = here.map(|r| (r.lane.index(), r.note)).collect();
    told.sort_by_key(|(lane, _)| *lane);
    let found = |mac: MacAddr| Note::Fdb(A, mac.to_u64(), rig.fdb.get(&fdb_key(A, mac)));
    assert_ne!(found(A2.mac), Note::Fdb(A, A2.mac.to_u64(), 0));
    let nobody = Note::Out(Out::Flood(FloodSet { all_ports: false, fabric: false }));
    let expect =
        [(0, found(A2.mac)), (0, Note::Out(Out::Tunnel(1))), (1, found(UNKNOWN)), (1, nobody), (2, found(A1.mac))];
    assert_eq!(told, expect);
}
