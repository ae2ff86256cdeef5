//! I3-a and I3-b: what is answered here, with which bytes, and what goes on.

use crate::addr::MacAddr;
use crate::burst::Door;
use crate::tables::*;
use crate::testkit::*;

const ANSWERED: &str = "ingress decode vm_port arp_responder egress";
const FLOODED: &str = "ingress decode vm_port arp_responder local_switching egress flood_to_tun vxlan_encap*3";
const ARP: &str = "ingress decode vm_port arp_responder";

/// A1 asks everybody for `tpa`.
fn ask(tpa: u32) -> Vec<u8> {
    eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, tpa))
}

/// `who` tells A1 that it has `ip`.
fn told(who: MacAddr, ip: u32) -> Vec<u8> {
    eth(who, A1.mac, arp_reply(who, ip, A1.mac, A1.ip))
}

/// What everybody on A but A1 gets of `frame`.
fn everybody(frame: &[u8]) -> Vec<(Door, Vec<u8>)> {
    let out = |to| (Door::Tunnel, vx(H1, to, 1001, frame));
    vec![(A3.door, frame.to_vec()), out(H2), out(H3), out(H4)]
}

/// Rules: I3-a, D10.
#[test]
fn a_request_for_a_router_address_is_answered_with_its_mac() {
    let out = Rig::h1().one(A1.door, ask(RA.ip)); // ARP-01
    out.assert_answered(A1.door, ANSWERED, "arp_responder", told(RA.mac, RA.ip));
    assert_eq!(out.sent[0].1.len(), 42, "ARP frames are 42 bytes");
}

/// Rules: I3-a.
#[test]
fn the_answer_is_not_padded_even_if_the_request_was() {
    Rig::h1().one(A1.door, padded(&ask(RA.ip), 18)).assert_answered(
        A1.door,
        ANSWERED,
        "arp_responder",
        told(RA.mac, RA.ip),
    );
}

/// Rules: I3-a, I1.
#[test]
fn a_priority_tagged_request_is_answered_untagged() {
    Rig::h1().one(A1.door, tagged(&ask(RA.ip), &[0])).assert_answered(
        A1.door,
        ANSWERED,
        "arp_responder",
        told(RA.mac, RA.ip),
    );
}

/// Rules: I3-a.
#[test]
fn a_request_to_the_routers_own_mac_is_answered() {
    let frame = eth(A1.mac, RA.mac, arp_request(A1.mac, A1.ip, RA.ip));
    Rig::h1().one(A1.door, frame).assert_answered(A1.door, ANSWERED, "arp_responder", told(RA.mac, RA.ip));
}

/// Rules: I3-a.
#[test]
fn each_of_two_routers_on_a_subnet_answers_for_itself() {
    let rx = mac("fa:16:3e:0a:00:fe"); // R3, not the gateway (ARP-06)
    let address = ip("10.1.0.254");
    let mut rig = Rig::h1_with(|r| {
        let row = InterfaceRow { seg: A, router: R2, mac: rx, ip: address, mtu: 1450, up: true, scope: 0 };
        r.snap.interfaces.set(9, Some(row));
        r.seg(A, |s| {
            s.interfaces = s.interfaces.iter().copied().chain([SegInterface { mac: rx, iface: 9 }]).collect();
            s.router_ips =
                s.router_ips.iter().copied().chain([RouterAddress { ip: address, mac: rx, answers: true }]).collect();
        });
    });
    rig.one(A1.door, ask(address)).assert_answered(A1.door, ANSWERED, "arp_responder", told(rx, address));
    rig.one(A1.door, ask(RA.ip)).assert_answered(A1.door, ANSWERED, "arp_responder", told(RA.mac, RA.ip));
}

/// Rules: I3-a, D10.
#[test]
fn a_router_that_is_down_neither_answers_nor_lets_the_request_out() {
    let mut rig = Rig::h1_with(|r| {
        r.seg(A, |s| s.router_ips = s.router_ips.iter().map(|ip| RouterAddress { answers: false, ..*ip }).collect());
    });
    rig.one(A1.door, ask(RA.ip)).assert_consumed(A1.door, ARP);
}

/// Rules: I3-a.
#[test]
fn a_gateway_address_no_router_has_is_not_special() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| (s.interfaces, s.router_ips) = ([].into(), [].into())));
    rig.one(A1.door, ask(RA.ip)).assert_sent(A1.door, FLOODED, &everybody(&ask(RA.ip)));
}

/// Rules: I3-a.
#[test]
fn a_request_for_a_remote_port_is_answered_in_its_name() {
    Rig::h1().one(A1.door, ask(A2.ip)).assert_answered(A1.door, ANSWERED, "arp_responder", told(A2.mac, A2.ip));
}

/// Rules: I3-a.
#[test]
fn a_request_sent_to_the_remote_ports_mac_is_answered_too() {
    let frame = eth(A1.mac, A2.mac, arp_request(A1.mac, A1.ip, A2.ip));
    Rig::h1().one(A1.door, frame).assert_answered(A1.door, ANSWERED, "arp_responder", told(A2.mac, A2.ip));
}

/// Rules: I3-a.
#[test]
fn a_request_sent_to_any_other_mac_is_bridged() {
    let frame = eth(A1.mac, A3.mac, arp_request(A1.mac, A1.ip, A2.ip));
    let path = "ingress decode vm_port arp_responder local_switching egress";
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, path, &[(A3.door, frame)]);
}

/// Rules: I3-a.
#[test]
fn a_request_for_a_local_port_goes_to_that_port_alone() {
    Rig::h1().one(A1.door, ask(A3.ip)).assert_sent(A1.door, ANSWERED, &[(A3.door, ask(A3.ip))]);
}

/// Rules: I3-a, L6.
#[test]
fn a_request_for_another_address_of_the_asker_floods() {
    let second = ip("10.1.0.111"); // I3-a 3: local, but the asker's own
    let mut rig = Rig::h1_with(|r| {
        r.neighbour(A, second, A1.mac, r.target(A1), NeighValue::ANSWER | NeighValue::ROUTE);
        r.port(A1.door, |p| allow(p, second, u32::MAX));
    });
    rig.one(A1.door, ask(second)).assert_sent(A1.door, FLOODED, &everybody(&ask(second)));
}

#[test]
fn a_request_for_an_unknown_address_floods() {
    let frame = ask(ip("10.1.0.99"));
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame));
}

/// Rules: I3-a.
#[test]
fn a_row_for_routing_only_answers_nobody() {
    let frame = ask(VIP); // T13 has candidates for it, T07 nothing
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame));
}

/// Rules: I3-a.
#[test]
fn a_row_of_another_network_answers_nobody() {
    let frame = ask(B2.ip);
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame));
}

/// Rules: I3-a, D4, L5.
#[test]
fn an_announcement_is_flooded_and_not_answered() {
    let request = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, A1.ip)); // ARP-03
    let reply = eth(A1.mac, MacAddr::BROADCAST, arp_reply(A1.mac, A1.ip, A1.mac, A1.ip));
    for frame in [request, reply] {
        Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame));
    }
}

/// Rules: I3-a, D4, L5.
#[test]
fn an_announcement_is_flooded_even_while_t07_still_lists_the_address_elsewhere() {
    let frame = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, A1.ip)); // ARP-03, second half
    let mut rig = Rig::h1_with(|r| {
        let there = r.target(A2);
        r.neighbour(A, A1.ip, A1.mac, there, NeighValue::ANSWER | NeighValue::ROUTE);
    });
    let row = rig.neigh.get(&ip4_key(A, A1.ip));
    rig.one(A1.door, frame.clone()).assert_sent(A1.door, FLOODED, &everybody(&frame));
    assert_eq!(rig.neigh.get(&ip4_key(A, A1.ip)), row, "an announcement changes no neighbour row");
}

/// Rules: D4.
#[test]
fn a_probe_for_the_askers_own_address_is_not_answered() {
    let probe = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, 0, A1.ip));
    let mut rig = Rig::h1_with(|r| {
        let there = r.target(A2);
        r.neighbour(A, A1.ip, A1.mac, there, NeighValue::ANSWER | NeighValue::ROUTE);
    });
    rig.one(A1.door, probe.clone()).assert_sent(A1.door, FLOODED, &everybody(&probe));
}

/// Rules: I3-a, D4.
#[test]
fn a_probe_for_somebody_elses_address_is_answered() {
    let probe = |tpa| eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, 0, tpa));
    let answer = |who, ip| eth(who, A1.mac, arp_reply(who, ip, A1.mac, 0));
    let mut rig = Rig::h1();
    rig.one(A1.door, probe(A2.ip)).assert_answered(A1.door, ANSWERED, "arp_responder", answer(A2.mac, A2.ip));
    rig.one(A1.door, probe(RA.ip)).assert_answered(A1.door, ANSWERED, "arp_responder", answer(RA.mac, RA.ip));
}

/// Rules: I3-a, D4.
#[test]
fn a_reply_is_bridged() {
    let frame = eth(A1.mac, A3.mac, arp_reply(A1.mac, A1.ip, A3.mac, A3.ip));
    let path = "ingress decode vm_port arp_responder local_switching egress";
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, path, &[(A3.door, frame)]);
}

/// Rules: R2.
#[test]
fn a_request_to_a_router_mac_for_another_address_ends_at_the_router() {
    let frame = eth(A1.mac, RA.mac, arp_request(A1.mac, A1.ip, ip("10.1.0.99")));
    Rig::h1().one(A1.door, frame).assert_consumed(A1.door, "ingress decode vm_port arp_responder qrouter");
}

/// Rules: I3-b (until built), D10.
#[test]
fn router_solicitations_are_consumed() {
    let frame = eth(A1.mac, mac("33:33:00:00:00:02"), rs(lla(A1.mac), A1.mac));
    Rig::h1().one(A1.door, frame).assert_consumed(A1.door, ARP);
}

/// Rules: I3-b (until built), D10.
#[test]
fn solicitations_for_a_router_address_are_consumed_and_others_bridged() {
    let solicit =
        |target| eth(A1.mac, mac("33:33:ff:00:00:01"), ns(A1_V6, ip6("ff02::1:ff00:1"), target, Some(A1.mac)));
    Rig::h1().one(A1.door, solicit(RA_V6)).assert_consumed(A1.door, ARP);
    let other = solicit(ip6("fd00:a::77"));
    Rig::h1().one(A1.door, other.clone()).assert_sent(A1.door, FLOODED, &everybody(&other));
}

/// Rules: I3-b (until built), D10.
#[test]
fn a_solicitation_for_a_router_address_sent_to_a_machine_is_consumed() {
    let frame = eth(A1.mac, A2.mac, ns(A1_V6, RA_V6, RA_V6, Some(A1.mac)));
    Rig::h1().one(A1.door, frame).assert_consumed(A1.door, ARP);
}

/// Rules: I3-a.
#[test]
fn every_frame_of_a_burst_gets_its_own_answer() {
    let frames = [ask(RA.ip), ask(A2.ip), ask(A3.ip), ask(A4.ip)];
    let sent = Rig::h1().step(A1.door, &frames).sent;
    let answers = [told(RA.mac, RA.ip), told(A2.mac, A2.ip), told(A4.mac, A4.ip)].map(|f| (A1.door, f));
    assert_eq!(sent[..3], answers);
    assert_eq!(sent[3..], [(A3.door, ask(A3.ip))]);
}
