//! T3: sources the fabric may not use.

use crate::addr::MacAddr;
use crate::burst::Door::Tunnel;
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
