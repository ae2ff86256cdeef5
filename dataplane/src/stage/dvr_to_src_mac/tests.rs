//! T4 and D5: what remote routers sent gets its gateway's MAC and goes to the local port.

use crate::addr::MacAddr;
use crate::burst::Door::Tunnel;
use crate::tables::*;
use crate::testkit::*;

const HERE: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker dvr_to_src_mac";
const DELIVERED: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker dvr_to_src_mac egress";
const TO_LOCAL: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker dvr_to_src_mac egress flood_to_tun";

/// H1 routed this to `dst` on A, whose host is H2.
fn routed(dst: MacAddr, to: u32) -> Vec<u8> {
    eth(H1.dvr, dst, ip4(B1.ip, to).ttl(63).udp(1, 2, b"x"))
}

fn arrives(src: MacAddr, dst: MacAddr, to: u32) -> Vec<u8> {
    eth(src, dst, ip4(B1.ip, to).ttl(63).udp(1, 2, b"x"))
}

/// Rules: T4, D3, D8.
#[test]
fn a_routed_frame_is_delivered_with_its_gateways_mac_and_the_ttl_it_had() {
    let tcp = |src| eth(src, B2.mac, ip4(A1.ip, B2.ip).ttl(63).tcp(40000, 80)); // EW-03
    let out = Rig::h2().one(Tunnel, vx(H1, H2, 1002, &tcp(H1.dvr)));
    out.assert_sent(Tunnel, DELIVERED, &[(B2.door, tcp(RB.mac))]);
    assert_eq!(out.learned, [], "a DVR MAC is never learned");
}

/// Rules: T4.
#[test]
fn an_allowed_pair_mac_is_deliverable() {
    let vrrp = mac("00:00:5e:00:01:07"); // EW-10
    let mut rig = Rig::h2_with(|r| r.static_fdb(A, vrrp, Target::Port(0)));
    let out = rig.one(Tunnel, vx(H1, H2, 1001, &routed(vrrp, ip("10.1.0.70"))));
    out.assert_sent(Tunnel, DELIVERED, &[(A2.door, arrives(RA.mac, vrrp, ip("10.1.0.70")))]);
}

/// Rules: T4, D5.
#[test]
fn ipv6_gets_the_gateway_of_its_own_subnet() {
    let frame = |src| eth(src, A2.mac, v6(ip6("fd00:b::1"), ip6("fd00:a::12")).hop_limit(63).udp(1, 2, b""));
    let out = Rig::h2().one(Tunnel, vx(H1, H2, 1001, &frame(H1.dvr)));
    out.assert_sent(Tunnel, DELIVERED, &[(A2.door, frame(RA.mac))]);
}

#[test]
fn of_two_ipv6_subnets_it_is_that_of_the_destination_and_of_none_the_ports_first() {
    let (rx, first) = (mac("fa:16:3e:0a:00:fe"), mac("fa:16:3e:0a:00:fd"));
    let mut rig = Rig::h2_with(|r| {
        let second = Subnet6Row { net: ip6("fd00:aa::"), mask: MASK64, gateway_mac: rx };
        r.seg(A, |s| s.subnets6 = s.subnets6.iter().copied().chain([second]).collect());
        r.port(A2.door, |p| p.gateway_mac = first);
    });
    for (to, gateway) in [("fd00:a::12", RA.mac), ("fd00:aa::12", rx), ("fd00:ff::12", first)] {
        let frame = |src| eth(src, A2.mac, v6(ip6("fd00:b::1"), ip6(to)).hop_limit(63).udp(1, 2, b""));
        let out = rig.one(Tunnel, vx(H1, H2, 1001, &frame(H1.dvr)));
        out.assert_sent(Tunnel, DELIVERED, &[(A2.door, frame(gateway))]);
    }
}

/// A second subnet on A with a gateway of its own.
fn second_subnet(r: &mut Rows, gateway_mac: MacAddr) {
    r.seg(A, |s| {
        let row = SubnetRow { net: ip("10.11.0.0"), mask: MASK24, gateway_mac };
        s.subnets = s.subnets.iter().copied().chain([row]).collect();
    });
}

/// Rules: T4, D5.
#[test]
fn the_gateway_is_that_of_the_destinations_subnet() {
    let rx = mac("fa:16:3e:0a:00:fe");
    let mut rig = Rig::h2_with(|r| second_subnet(r, rx));
    for (to, gateway) in [(A2.ip, RA.mac), (ip("10.11.0.12"), rx)] {
        let out = rig.one(Tunnel, vx(H1, H2, 1001, &routed(A2.mac, to)));
        out.assert_sent(Tunnel, DELIVERED, &[(A2.door, arrives(gateway, A2.mac, to))]);
    }
}

/// Rules: T4.
#[test]
fn behind_an_extra_route_it_is_that_of_the_ports_first_subnet() {
    let to = ip("192.168.50.9");
    let out = Rig::h2().one(Tunnel, vx(H1, H2, 1002, &routed(B2.mac, to)));
    out.assert_sent(Tunnel, DELIVERED, &[(B2.door, arrives(RB.mac, B2.mac, to))]);
}

/// Rules: T4.
#[test]
fn without_a_router_on_the_subnet_nothing_is_delivered() {
    let mut rig = Rig::h2_with(|r| second_subnet(r, MacAddr::ZERO));
    let out = rig.one(Tunnel, vx(H1, H2, 1001, &routed(A2.mac, ip("10.11.0.12"))));
    out.assert_dropped(Tunnel, HERE, "dvr_unknown_dst");
    let mut rig = Rig::h2_with(|r| r.port(A2.door, |p| p.gateway_mac = MacAddr::ZERO));
    let out = rig.one(Tunnel, vx(H1, H2, 1001, &routed(A2.mac, ip("192.168.50.9"))));
    out.assert_dropped(Tunnel, HERE, "dvr_unknown_dst");
}

/// Rules: T4.
#[test]
fn a_mac_that_is_no_port_of_this_host_is_dvr_unknown_dst() {
    let nobody = mac("fa:16:3e:0b:00:77"); // EW-05
    for dst in [nobody, SGB.mac, RB.mac, H1.dvr, H2.dvr] {
        let out = Rig::h2().one(Tunnel, vx(H1, H2, 1002, &routed(dst, B2.ip)));
        out.assert_dropped(Tunnel, HERE, "dvr_unknown_dst");
    }
}

/// Rules: T4.
#[test]
fn a_port_of_another_network_is_not_deliverable() {
    let out = Rig::h2().one(Tunnel, vx(H1, H2, 1001, &routed(B2.mac, B2.ip)));
    out.assert_dropped(Tunnel, HERE, "dvr_unknown_dst");
}

/// Rules: T4.
#[test]
fn a_port_that_is_down_is_port_down() {
    let mut rig = Rig::h2_with(|r| r.down(B2));
    rig.one(Tunnel, vx(H1, H2, 1002, &routed(B2.mac, B2.ip))).assert_dropped(Tunnel, DELIVERED, "port_down");
}

/// Rules: T4.
#[test]
fn a_frame_to_an_sg_mac_of_this_host_is_snat_no_state() {
    let mut rig = Rig::h2_with(|r| r.static_fdb(A, SGA.mac, Target::Snat));
    let out = rig.one(Tunnel, vx(H1, H2, 1001, &routed(SGA.mac, E)));
    out.assert_dropped(Tunnel, HERE, "snat_no_state");
}

/// Rules: T4.
#[test]
fn multicast_from_a_router_is_dvr_unknown_dst() {
    let multicasts = [
        routed(MacAddr::BROADCAST, u32::MAX), // EW-04
        routed(mac("01:00:5e:00:00:12"), ip("224.0.0.18")),
        eth(H1.dvr, MacAddr::BROADCAST, arp_request(H1.dvr, ip("10.2.0.99"), B2.ip)),
        eth(H1.dvr, MacAddr::BROADCAST, arp_reply(H1.dvr, 0, H2.dvr, B2.ip)),
    ];
    for frame in multicasts {
        Rig::h2().one(Tunnel, vx(H1, H2, 1002, &frame)).assert_dropped(Tunnel, HERE, "dvr_unknown_dst");
    }
}

/// Rules: T4.
#[test]
fn a_resolution_probe_goes_to_local_ports_only() {
    let arp = eth(H2.dvr, MacAddr::BROADCAST, arp_request(H2.dvr, 0, ip("10.1.0.60")));
    let nd = eth(H2.dvr, mac("33:33:ff:00:00:60"), ns(0, ip6("ff02::1:ff00:60"), ip6("fd00:a::60"), None));
    for probe in [arp, nd] {
        let both = [(A1.door, probe.clone()), (A3.door, probe.clone())];
        Rig::h1().one(Tunnel, vx(H2, H1, 1001, &probe)).assert_sent(Tunnel, TO_LOCAL, &both);
    }
}

/// What a trace says of frames that came from a router: of one that is delivered, how; of others, nothing here.
#[test]
fn a_trace_names_port_gateway_and_both_macs_of_what_is_delivered() {
    use crate::{burst::Lane, stage::Stage, trace::Field, trace::Note};
    let mut rig = Rig::h2();
    rig.worker.trace = true;
    let v6 = eth(H1.dvr, A2.mac, v6(ip6("fd00:b::1"), ip6("fd00:a::12")).hop_limit(63).udp(1, 2, b""));
    let nobody = routed(mac("fa:16:3e:0b:00:77"), A2.ip);
    rig.step(Tunnel, &[vx(H1, H2, 1001, &nobody), vx(H1, H2, 1001, &v6), vx(H1, H2, 1001, &routed(A2.mac, A2.ip))]);
    let row = rig.fdb.get(&fdb_key(A, A2.mac));
    assert_eq!(FdbValue::unpack(row).map(|r| r.target), Some(Target::Port(0)));
    let here = rig.notes().into_iter().filter(|r| r.stage == Stage::DvrToSrcMac);
    let told: Vec<_> = here.filter(|r| r.lane > Lane::new(0).unwrap()).map(|r| (r.lane.index(), r.note)).collect();
    let found = Note::Fdb(A, A2.mac.to_u64(), row);
    let source = Note::Set(Field::EthSrc, H1.dvr.to_u64(), RA.mac.to_u64());
    assert_eq!(told, [(1, found), (1, source), (2, found), (2, Note::GatewayOf(A2.ip)), (2, source)]);
}
