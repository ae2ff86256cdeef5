//! T5 and L4: who is learned, from what, and how often.

use crate::addr::MacAddr;
use crate::burst::Door::{self, Phys, Tunnel};
use crate::learn::{LEARN_QUEUE, LearnEvent, Report};
use crate::tables::*;
use crate::testkit::*;

const IN: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun";
const DELIVERED: &str =
    "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun local_switching egress";
const BRIDGED: &str = "ingress decode vm_port local_switching egress";
const STRANGER: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x0a, 0, 0x55]);
const SECOND: u64 = 1_000_000_000;

/// A stranger on A speaks to A1.
fn frame() -> Vec<u8> {
    eth(STRANGER, A1.mac, ip4(ip("10.1.0.55"), A1.ip).udp(1, 2, b""))
}

/// What is learned of it from the tunnel of this index.
fn event(rig: &Rig, tunnel: TunnelIx) -> LearnEvent {
    let target = Target::Tunnel(tunnel);
    LearnEvent { seg: A, seg_generation: 1, mac: STRANGER, target, target_generation: 1, seen: rig.now }
}

/// Rules: T5, L4.
#[test]
fn a_frame_to_a_router_mac_is_router_mac_from_fabric_and_teaches_nothing() {
    let frame = eth(A2.mac, RA.mac, ip4(A2.ip, B1.ip).udp(1, 2, b"")); // EW-16
    let out = Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame));
    out.assert_dropped(Tunnel, IN, "router_mac_from_fabric");
    let frame = eth(STRANGER, RA.mac, ip4(A2.ip, B1.ip).udp(1, 2, b""));
    assert_eq!(Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame)).learned, []);
}

/// Rules: T5, L4.
#[test]
fn a_frame_to_a_dvr_mac_is_reserved_dst_and_teaches_nothing() {
    for dst in [H1.dvr, H3.dvr, mac("fa:16:3f:aa:bb:cc")] {
        let frame = eth(STRANGER, dst, ip4(A2.ip, B1.ip).udp(1, 2, b""));
        let out = Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame));
        out.assert_dropped(Tunnel, IN, "reserved_dst");
        assert_eq!(out.learned, []);
    }
}

/// Rules: L4, T5.
#[test]
fn a_new_source_is_reported_with_everything_the_writer_needs() {
    let mut rig = Rig::h1_with(|r| {
        r.seg(A, |s| s.generation = 7);
        let end = TunnelEnd { vtep: H2.vtep, mac: Some(H2.nic), dvr_mac: H2.dvr, df: true, phys: 0 };
        let row = TunnelRow::new(9, &r.snap.host, end);
        r.snap.tunnels.set(1, Some(row));
    });
    rig.now = 123_456_789_012;
    let out = rig.one(Tunnel, vx(H2, H1, 1001, &frame()));
    out.assert_sent(Tunnel, DELIVERED, &[(A1.door, frame())]);
    let target = Target::Tunnel(1);
    let expect =
        LearnEvent { seg: A, seg_generation: 7, mac: STRANGER, target, target_generation: 9, seen: 123_456_789_012 };
    assert_eq!(out.learned, [expect]);
}

/// Rules: L4.
#[test]
fn a_static_row_always_wins() {
    let from_a2 = eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).udp(1, 2, b""));
    for host in [H2, H3] {
        let out = Rig::h1().one(Tunnel, vx(host, H1, 1001, &from_a2)); // L2-10
        out.assert_sent(Tunnel, DELIVERED, &[(A1.door, from_a2.clone())]);
        assert_eq!(out.learned, []);
    }
}

/// Rules: L4.
#[test]
fn a_known_source_is_reported_again_once_a_second() {
    let mut rig = Rig::h1();
    rig.learn(A, STRANGER, Target::Tunnel(1));
    assert_eq!(rig.one(Tunnel, vx(H2, H1, 1001, &frame())).learned, []);
    rig.now += SECOND - rig.now % SECOND - 1; // the last moment of this second
    assert_eq!(rig.one(Tunnel, vx(H2, H1, 1001, &frame())).learned, []);
    rig.now += 1;
    assert_eq!(rig.one(Tunnel, vx(H2, H1, 1001, &frame())).learned, [event(&rig, 1)]);
    rig.learn(A, STRANGER, Target::Tunnel(1));
    assert_eq!(rig.one(Tunnel, vx(H2, H1, 1001, &frame())).learned, []);
}

/// Rules: L4.
#[test]
fn a_source_that_moved_is_reported_at_once() {
    let mut rig = Rig::h1();
    rig.learn(A, STRANGER, Target::Tunnel(1));
    assert_eq!(rig.one(Tunnel, vx(H3, H1, 1001, &frame())).learned, [event(&rig, 2)]);
}

/// Rules: L4, D1.
#[test]
fn a_source_known_on_another_network_is_new_here() {
    let mut rig = Rig::h1();
    rig.learn(B, STRANGER, Target::Tunnel(1));
    assert_eq!(rig.one(Tunnel, vx(H2, H1, 1001, &frame())).learned, [event(&rig, 1)]);
}

/// Rules: L4.
#[test]
fn a_network_that_does_not_learn_learns_nothing() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.learning = false));
    let out = rig.one(Tunnel, vx(H2, H1, 1001, &frame()));
    out.assert_sent(Tunnel, DELIVERED, &[(A1.door, frame())]);
    assert_eq!(out.learned, []);
}

/// Rules: L4, L1.
#[test]
fn what_was_learned_serves_the_reply() {
    let mut rig = Rig::h1();
    let reply = eth(A1.mac, STRANGER, ip4(A1.ip, ip("10.1.0.55")).udp(2, 1, b"")); // L2-09
    let unknown = "ingress decode vm_port local_switching egress flood_to_tun";
    rig.one(A1.door, reply.clone()).assert_dropped(A1.door, unknown, "unknown_unicast");
    rig.learn(A, STRANGER, Target::Tunnel(1));
    let path = "ingress decode vm_port local_switching vxlan_encap egress";
    rig.one(A1.door, reply.clone()).assert_sent(A1.door, path, &[(Tunnel, vx(H1, H2, 1001, &reply))]);
    rig.fdb.remove(&fdb_key(A, STRANGER)); // the writer, 300 s later
    rig.one(A1.door, reply).assert_dropped(A1.door, unknown, "unknown_unicast");
}

/// Rules: L4.
#[test]
fn a_secured_port_teaches_nothing() {
    assert_eq!(Rig::h1().one(A3.door, eth(A3.mac, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b""))).learned, []);
}

/// Rules: L4.
#[test]
fn a_port_without_port_security_teaches_other_macs_than_its_own() {
    let mut rig = Rig::h1_with(|r| r.unsecure(A3));
    let Door::Port(a3) = A3.door else { unreachable!() };
    let own = eth(A3.mac, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b""));
    assert_eq!(rig.one(A3.door, own).learned, []);
    let out = rig.one(A3.door, frame());
    out.assert_sent(A3.door, BRIDGED, &[(A1.door, frame())]);
    let target = Target::Port(a3);
    let seen = rig.now;
    let expect = LearnEvent { seg: A, seg_generation: 1, mac: STRANGER, target, target_generation: 1, seen };
    assert_eq!(out.learned, [expect]);
    rig.learn(A, STRANGER, target);
    assert_eq!(rig.one(A3.door, frame()).learned, [], "known for this second");
    let spoof = eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).udp(1, 2, b""));
    assert_eq!(rig.one(A3.door, spoof).learned, [], "static rows win");
}

/// Rules: L4.
#[test]
fn a_source_learned_from_a_tunnel_moves_to_the_port_that_now_sends_it() {
    let mut rig = Rig::h1_with(|r| r.unsecure(A3));
    rig.learn(A, STRANGER, Target::Tunnel(1));
    let learned = rig.one(A3.door, frame()).learned;
    assert_eq!(learned.iter().map(|e| e.target).collect::<Vec<_>>(), [Target::Port(1)]);
}

/// Rules: L4.
#[test]
fn a_frame_that_is_dropped_before_teaches_nothing() {
    let mut rig = Rig::h1_with(|r| r.unsecure(A3));
    let bad = eth(STRANGER, A1.mac, arp_reply(STRANGER, RA.ip, A1.mac, A1.ip));
    assert_eq!(rig.one(A3.door, bad.clone()).learned, []);
    assert_eq!(rig.one(Tunnel, vx(H2, H1, 1001, &bad)).learned, []);
}

/// Rules: L4.
#[test]
fn a_full_queue_is_counted_and_the_frame_goes_on() {
    let mut rig = Rig::h1();
    let filler = event(&rig, 2);
    for _ in 0..LEARN_QUEUE {
        rig.worker.learn_queue().push(Report::Learn(filler)).unwrap();
    }
    let out = rig.one(Tunnel, vx(H2, H1, 1001, &frame()));
    out.assert_sent_and(Tunnel, DELIVERED, &[(A1.door, frame())], "learn_queue_full 1");
    assert!(out.learned.iter().all(|e| *e == filler), "what was queued stays queued");
    assert_eq!(out.learned.len(), LEARN_QUEUE);
}

const PHYS: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun";

/// P speaks to V1.
fn from_p() -> Vec<u8> {
    phy(&eth(P.0, V1.mac, ip4(P.1, V1.ip).udp(1, 2, b"")))
}

fn physical(rig: &Rig, seg: SegIx, mac: MacAddr) -> LearnEvent {
    LearnEvent { seg, seg_generation: 1, mac, target: Target::Phys, target_generation: 0, seen: rig.now }
}

/// Rules: V4, T5.
#[test]
fn a_physical_machine_may_use_the_router_of_one_host_only() {
    let frame = |src, dst, ttl| eth(src, dst, ip4(P.1, A1.ip).ttl(ttl).echo(1, 1, b"")); // VL-04
    let out = Rig::h1().one(Phys(0), phy(&frame(P.0, RV.mac, 64)));
    out.assert_dropped(Phys(0), PHYS, "router_mac_from_fabric");
    assert_eq!(out.learned, []);
    let mut gateway = Rig::h1_with(|r| r.seg(V, |s| s.phys_gw = true));
    let path = format!("{PHYS} qrouter dvr_process egress");
    let out = gateway.one(Phys(0), phy(&frame(P.0, RV.mac, 64)));
    out.assert_sent(Phys(0), &path, &[(A1.door, frame(RA.mac, A1.mac, 63))]);
    // Nobody uses it by way of a tunnel.
    let mut gateway = Rig::h1_with(|r| r.seg(A, |s| s.phys_gw = true));
    let frame = eth(A2.mac, RA.mac, ip4(A2.ip, B1.ip).udp(1, 2, b""));
    gateway.one(Tunnel, vx(H2, H1, 1001, &frame)).assert_dropped(Tunnel, IN, "router_mac_from_fabric");
}

/// Rules: T5, L4.
#[test]
fn an_answer_to_our_dvr_mac_teaches_nothing_awaited_or_not() {
    let reply = eth(STRANGER, H1.dvr, arp_reply(STRANGER, ip("10.1.0.60"), H1.dvr, 0));
    let out = Rig::h1().one(Tunnel, vx(H2, H1, 1001, &reply));
    assert_eq!((out.moved.get("drop.reserved_dst"), out.learned.len()), (Some(&1), 0));
}

/// Rules: T5, V4.
#[test]
fn a_dvr_mac_is_no_destination_on_a_physical_network() {
    for dst in [H1.dvr, H3.dvr, mac("fa:16:3f:aa:bb:cc")] {
        let out = Rig::h1().one(Phys(0), phy(&eth(P.0, dst, ip4(P.1, V1.ip).udp(1, 2, b""))));
        out.assert_dropped(Phys(0), PHYS, "reserved_dst");
        assert_eq!(out.learned, []);
    }
    // Only a reply can be the answer to a probe, and only to our own.
    let asks = eth(P.0, H1.dvr, arp_request(P.0, P.1, V1.ip));
    Rig::h1().one(Phys(0), phy(&asks)).assert_dropped(Phys(0), PHYS, "reserved_dst");
    let other = eth(P.0, H2.dvr, arp_reply(P.0, P.1, H2.dvr, 0));
    Rig::h1().one(Phys(0), phy(&other)).assert_dropped(Phys(0), PHYS, "reserved_dst");
}

/// Rules: L4.
#[test]
fn a_machine_of_a_physical_network_is_learned_there() {
    let mut rig = Rig::h1();
    let expect = physical(&rig, V, P.0);
    assert_eq!(rig.one(Phys(0), from_p()).learned, [expect]);
    rig.learn(V, P.0, Target::Phys);
    assert_eq!(rig.one(Phys(0), from_p()).learned, [], "known for this second");
    rig.now += SECOND;
    let expect = physical(&rig, V, P.0);
    assert_eq!(rig.one(Phys(0), from_p()).learned, [expect]);
    rig.learn(V, P.0, Target::Port(4));
    assert_eq!(rig.one(Phys(0), from_p()).learned, [expect], "it was a port's");
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.learning = false));
    assert_eq!(rig.one(Phys(0), from_p()).learned, []);
}

/// Rules: L4, E2.
#[test]
fn machines_outside_are_learned_only_where_a_port_could_ask_for_them() {
    let frame = ext(&eth(GX.0, fg(H1).0, ip4(E, FIP_A1).udp(1, 2, b"")));
    assert_eq!(Rig::h1().one(Phys(1), frame.clone()).learned, []);
    let mut rig = Rig::h1_with(|r| r.seg(X, |s| s.flood_ports = [5].into()));
    let expect = physical(&rig, X, GX.0);
    assert_eq!(rig.one(Phys(1), frame).learned, [expect]);
}
