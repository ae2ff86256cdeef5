//! T3: sources the fabric may not use.

use crate::addr::MacAddr;
use crate::burst::Door::{Phys, Tunnel};
use crate::tables::*;
use crate::testkit::*;

const HERE: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker";
const DELIVERED: &str =
    "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun local_switching egress";
const FLOODED: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun arp_responder \
                       local_switching egress flood_to_tun";
const STRANGER: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x0a, 0, 0x55]);

fn udp(src: MacAddr, dst: MacAddr) -> Vec<u8> {
    eth(src, dst, ip4(A2.ip, A1.ip).udp(1, 2, b"x"))
}

#[track_caller]
fn assert_dropped(from: Host, inner: Vec<u8>, reason: &str) {
    Rig::h1().one(Tunnel, vx(from, H1, 1001, &inner)).assert_dropped(Tunnel, HERE, reason);
}

/// Rules: T3, D7.
#[test]
fn our_own_dvr_mac_comes_from_nowhere_else() {
    assert_dropped(H2, udp(H1.dvr, A1.mac), "own_dvr_mac"); // VX-05
}

/// Rules: T3.
#[test]
fn the_mac_of_an_active_local_port_is_local_mac_from_fabric() {
    assert_dropped(H2, udp(A1.mac, A3.mac), "local_mac_from_fabric"); // VX-05
}

/// Rules: T3.
#[test]
fn the_mac_of_an_sg_port_of_this_host_is_local_mac_from_fabric() {
    let mut rig = Rig::h1_with(|r| r.static_fdb(A, SGA.mac, Target::Snat));
    let out = rig.one(Tunnel, vx(H2, H1, 1001, &udp(SGA.mac, A1.mac)));
    out.assert_dropped(Tunnel, HERE, "local_mac_from_fabric");
}

#[test]
fn the_mac_of_a_local_port_that_is_down_may_come_from_elsewhere() {
    // As while it migrates: T06 here still names the local port.
    let mut rig = Rig::h1_with(|r| r.down(A1));
    let frame = udp(A1.mac, A3.mac);
    rig.one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, DELIVERED, &[(A3.door, frame)]);
}

/// Rules: T3, D7.
#[test]
fn a_router_mac_of_the_network_is_local_mac_from_fabric() {
    assert_dropped(H2, udp(RA.mac, A1.mac), "local_mac_from_fabric");
}

/// Rules: T3.
#[test]
fn a_router_mac_of_another_network_is_a_machine_like_any_other() {
    let frame = udp(RB.mac, A1.mac);
    let out = Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame));
    out.assert_sent(Tunnel, DELIVERED, &[(A1.door, frame)]);
}

/// Rules: T3.
#[test]
fn an_allowed_pair_mac_here_may_be_another_owners_there() {
    let vrrp = mac("00:00:5e:00:01:07");
    let mut rig = Rig::h1_with(|r| r.static_fdb(A, vrrp, Target::Port(0)));
    let frame = udp(vrrp, A3.mac);
    rig.one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, DELIVERED, &[(A3.door, frame)]);
}

/// Rules: T3, D8.
#[test]
fn a_dvr_mac_from_a_host_that_does_not_own_it_is_dvr_wrong_vtep() {
    assert_dropped(H3, udp(H2.dvr, A1.mac), "dvr_wrong_vtep"); // VX-04
    assert_dropped(H2, udp(mac("fa:16:3f:aa:bb:cc"), A1.mac), "dvr_wrong_vtep");
}

/// Rules: T3, D8.
#[test]
fn a_host_without_a_dvr_mac_owns_none() {
    let mut rig = Rig::h1_with(|r| {
        let end = TunnelEnd { vtep: H2.vtep, mac: Some(H2.nic), dvr_mac: MacAddr::ZERO, df: true, phys: 0 };
        let row = TunnelRow::new(1, &r.snap.host, end);
        r.snap.tunnels.set(1, Some(row));
    });
    rig.one(Tunnel, vx(H2, H1, 1001, &udp(H2.dvr, A1.mac))).assert_dropped(Tunnel, HERE, "dvr_wrong_vtep");
}

/// Rules: T3, D10.
#[test]
fn arp_about_a_router_address_is_router_arp_from_fabric() {
    let frames = [
        eth(A2.mac, MacAddr::BROADCAST, arp_request(A2.mac, A2.ip, RA.ip)), // ARP-07
        eth(A2.mac, A1.mac, arp_request(A2.mac, A2.ip, RA.ip)),
        eth(A2.mac, MacAddr::BROADCAST, arp_request(A2.mac, RA.ip, A1.ip)),
        eth(A2.mac, A1.mac, arp_reply(A2.mac, RA.ip, A1.mac, A1.ip)),
        eth(A2.mac, A1.mac, arp_reply(A2.mac, A2.ip, RA.mac, RA.ip)),
        eth(H2.dvr, MacAddr::BROADCAST, arp_request(H2.dvr, 0, RA.ip)),
    ];
    for frame in frames {
        assert_dropped(H2, frame, "router_arp_from_fabric");
    }
}

/// Rules: T3, T5, R7-probe.
#[test]
fn an_arp_reply_to_our_own_dvr_mac_is_the_exception() {
    // It gets past T3; nobody waits for it, so it is reserved_dst (3.9: late or unwanted ARP to a DVR MAC).
    let answer = eth(STRANGER, H1.dvr, arp_reply(STRANGER, RA.ip, H1.dvr, 0));
    let path = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun arp_responder";
    let out = Rig::h1().one(Tunnel, vx(H2, H1, 1001, &answer));
    out.assert_dropped(Tunnel, path, "reserved_dst");
}

/// Rules: T3, D10.
#[test]
fn a_router_advertisement_and_nd_about_a_router_address_stay_out() {
    let from = lla(A2.mac);
    let all = mac("33:33:00:00:00:01");
    assert_dropped(H2, eth(A2.mac, all, ra(from)), "router_arp_from_fabric");
    assert_dropped(H2, eth(A2.mac, A1.mac, ra(from)), "router_arp_from_fabric");
    assert_dropped(
        H2,
        eth(A2.mac, all, ns(from, ip6("ff02::1:ff00:1"), RA_V6, Some(A2.mac))),
        "router_arp_from_fabric",
    );
    assert_dropped(H2, eth(A2.mac, all, na(from, ip6("ff02::1"), RA_V6, A2.mac)), "router_arp_from_fabric");
}

/// Rules: T3.
#[test]
fn other_arp_and_nd_pass() {
    let frames = [
        eth(A2.mac, MacAddr::BROADCAST, arp_request(A2.mac, A2.ip, A1.ip)),
        eth(A2.mac, mac("33:33:ff:00:00:11"), ns(lla(A2.mac), ip6("ff02::1:ff00:11"), lla(A1.mac), Some(A2.mac))),
    ];
    for frame in frames {
        let both = [(A1.door, frame.clone()), (A3.door, frame.clone())];
        Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, FLOODED, &both);
    }
}

/// Rules: T3.
#[test]
fn the_rules_are_asked_in_their_order() {
    // Own DVR MAC before wrong VTEP; local MAC before ARP about the router; wrong VTEP before ARP.
    assert_dropped(H3, eth(H1.dvr, A1.mac, arp_request(H1.dvr, 0, RA.ip)), "own_dvr_mac");
    assert_dropped(H2, eth(A1.mac, A3.mac, arp_request(A1.mac, A1.ip, RA.ip)), "local_mac_from_fabric");
    assert_dropped(H3, eth(H2.dvr, A1.mac, arp_request(H2.dvr, 0, RA.ip)), "dvr_wrong_vtep");
}

const PHYS: &str = "ingress decode phys_to_lv learning_blocker";
const FROM_PHYS: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun local_switching egress";

/// From `src` to V1.
fn to_v1(src: MacAddr) -> Vec<u8> {
    eth(src, V1.mac, ip4(P.1, V1.ip).udp(1, 2, b"x"))
}

/// Rules: V1, E0.
#[test]
fn our_own_frames_that_a_switch_sends_back_are_local_mac_from_fabric() {
    for own in [V1.mac, H1.dvr, RV.mac] {
        let call = eth(own, MacAddr::BROADCAST, ip4(V1.ip, u32::MAX).udp(1, 2, b"")); // VL-02
        Rig::h1().one(Phys(0), phy(&call)).assert_dropped(Phys(0), PHYS, "local_mac_from_fabric");
    }
    let call = eth(fg(H1).0, MacAddr::BROADCAST, arp_request(fg(H1).0, fg(H1).1, fg(H1).1));
    Rig::h1().one(Phys(1), ext(&call)).assert_dropped(Phys(1), PHYS, "local_mac_from_fabric");
    // Another host's fg- is a machine like any other.
    let out = Rig::h1().one(Phys(1), ext(&eth(fg(H2).0, V1.mac, ip4(E, E).udp(1, 2, b""))));
    assert_eq!(out.moved.get("drop.local_mac_from_fabric"), None);
}

/// Rules: V1.
#[test]
fn the_mac_of_a_port_that_is_down_may_come_from_a_physical_network() {
    let mut rig = Rig::h1_with(|r| {
        r.down(V1);
        r.seg(V, |s| s.flood_ports = [5].into());
        r.static_fdb(V, A3.mac, Target::Port(1));
    });
    let frame = eth(V1.mac, A3.mac, ip4(V1.ip, V1.ip).udp(1, 2, b"x"));
    rig.one(Phys(0), phy(&frame)).assert_sent(Phys(0), FROM_PHYS, &[(A3.door, frame)]);
}

/// Rules: V2, V3, D5, D8.
#[test]
fn what_another_host_routed_onto_a_vlan_gets_its_gateways_mac_back() {
    let frame = |src| eth(src, V1.mac, ip4(A2.ip, V1.ip).ttl(63).tcp(40000, 9999)); // EW-07's first leg
    let path = "ingress decode phys_to_lv learning_blocker dvr_to_src_mac egress";
    let out = Rig::h1().one(Phys(0), phy(&frame(H2.dvr)));
    out.assert_sent(Phys(0), path, &[(V1.door, frame(RV.mac))]);
    assert_eq!(out.learned, [], "a DVR MAC is never learned");
}

/// Rules: V3.
#[test]
fn a_routed_frame_to_nobody_here_is_dvr_unknown_dst() {
    let path = "ingress decode phys_to_lv learning_blocker dvr_to_src_mac";
    let dropped = |frame: Vec<u8>| {
        Rig::h1().one(Phys(0), phy(&frame)).assert_dropped(Phys(0), path, "dvr_unknown_dst");
    };
    dropped(eth(H2.dvr, mac("02:00:00:00:00:77"), ip4(A2.ip, V1.ip).udp(1, 2, b"")));
    dropped(eth(H2.dvr, V2.mac, ip4(A2.ip, V2.ip).udp(1, 2, b"")));
    dropped(eth(H2.dvr, MacAddr::BROADCAST, ip4(A2.ip, u32::MAX).udp(1, 2, b"")));
    // A probe goes to local ports.
    let probe = eth(H2.dvr, MacAddr::BROADCAST, arp_request(H2.dvr, 0, V1.ip));
    let path = "ingress decode phys_to_lv learning_blocker dvr_to_src_mac arp_responder egress flood_to_tun";
    let out = Rig::h1().one(Phys(0), phy(&probe));
    assert_eq!(out.sent, [(V1.door, probe)], "{path}");
}

/// H1 where H2 has these physical networks of it.
fn h2_has(phys: u16) -> Rig {
    Rig::h1_with(|r| {
        let end = TunnelEnd { vtep: H2.vtep, mac: Some(H2.nic), dvr_mac: H2.dvr, df: true, phys };
        let row = TunnelRow::new(1, &r.snap.host, end);
        r.snap.tunnels.set(1, Some(row));
    })
}

/// Rules: V2, D8.
#[test]
fn a_dvr_mac_from_a_physical_network_its_host_does_not_have_is_dvr_wrong_vtep() {
    let v = phy(&to_v1(H2.dvr));
    let x = ext(&eth(H2.dvr, mac("02:00:00:00:00:77"), ip4(A2.ip, E).udp(1, 2, b"")));
    for phys in [0, 0b10] {
        h2_has(phys).one(Phys(0), v.clone()).assert_dropped(Phys(0), PHYS, "dvr_wrong_vtep");
    }
    for phys in [0, 0b01] {
        h2_has(phys).one(Phys(1), x.clone()).assert_dropped(Phys(1), PHYS, "dvr_wrong_vtep");
    }
    assert_eq!(h2_has(0b01).one(Phys(0), v).moved.get("drop.dvr_wrong_vtep"), None);
    assert_eq!(h2_has(0b10).one(Phys(1), x).moved.get("drop.dvr_wrong_vtep"), None);
    // Nobody's, and one whose owner has got another since.
    let nobody = phy(&to_v1(mac("fa:16:3f:aa:bb:cc")));
    Rig::h1().one(Phys(0), nobody).assert_dropped(Phys(0), PHYS, "dvr_wrong_vtep");
    let mut changed = Rig::h1_with(|r| {
        let dvr_mac = mac("fa:16:3f:00:00:22");
        let end = TunnelEnd { vtep: H2.vtep, mac: Some(H2.nic), dvr_mac, df: true, phys: 3 };
        let row = TunnelRow::new(1, &r.snap.host, end);
        r.snap.tunnels.set(1, Some(row));
    });
    changed.one(Phys(0), phy(&to_v1(H2.dvr))).assert_dropped(Phys(0), PHYS, "dvr_wrong_vtep");
}

fn gateway_of(seg: SegIx) -> Rig {
    Rig::h1_with(|r| r.seg(seg, |s| s.phys_gw = true))
}

/// Rules: V2, V4, D10.
#[test]
fn arp_about_a_router_address_stays_out_but_for_requests_at_the_physical_gateway() {
    let all = MacAddr::BROADCAST;
    let asks = eth(P.0, all, arp_request(P.0, P.1, RV.ip)); // VL-03
    Rig::h1().one(Phys(0), phy(&asks)).assert_dropped(Phys(0), PHYS, "router_arp_from_fabric");
    let out = gateway_of(V).one(Phys(0), phy(&asks));
    assert_eq!(out.sent, [(Phys(0), phy(&eth(RV.mac, P.0, arp_reply(RV.mac, RV.ip, P.0, P.1))))]);
    let never = [
        eth(P.0, all, arp_request(P.0, RV.ip, P.1)), // P is no router
        eth(P.0, all, arp_request(P.0, RV.ip, RV.ip)),
        eth(P.0, V1.mac, arp_reply(P.0, RV.ip, V1.mac, V1.ip)),
        eth(P.0, RV.mac, arp_reply(P.0, P.1, RV.mac, RV.ip)),
        eth(P.0, mac("33:33:00:00:00:01"), ra(lla(P.0))),
    ];
    for frame in never {
        for mut rig in [Rig::h1(), gateway_of(V)] {
            rig.one(Phys(0), phy(&frame)).assert_dropped(Phys(0), PHYS, "router_arp_from_fabric");
        }
    }
    // From a tunnel nobody may ask, whoever is the gateway.
    let asks = eth(A2.mac, all, arp_request(A2.mac, A2.ip, RA.ip));
    gateway_of(A).one(Tunnel, vx(H2, H1, 1001, &asks)).assert_dropped(Tunnel, HERE, "router_arp_from_fabric");
}

/// Of traced frames, those that another host routed, and may, are said to be.
#[test]
fn a_trace_says_whose_dvr_mac_the_source_is() {
    use crate::{burst::Lane, trace::Note};
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    let from = |host, src| vx(host, H1, 1001, &udp(src, A1.mac));
    rig.step(Tunnel, &[from(H2, A2.mac), from(H2, H3.dvr), from(H2, H2.dvr)]);
    rig.one(A1.door, eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"")));
    let whose = |note| if let Note::SourceIsDvrMac(tunnel) = note { Some(tunnel) } else { None };
    let told: Vec<_> = rig.notes().into_iter().filter_map(|r| Some((r.lane, whose(r.note)?))).collect();
    assert_eq!(told, [(Lane::new(2).unwrap(), 1)]); // H2 is tunnel 1 of H1
}
