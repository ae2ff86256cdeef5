//! I3-a and I3-b: what is answered here, with which bytes, and what goes on.

use crate::addr::MacAddr;
use crate::burst::Door::{self, Phys, Tunnel};
use crate::learn::{HeardEvent, Report};
use crate::tables::*;
use crate::testkit::*;
use crate::trace::Note;

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

const OUTSIDE: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun arp_responder lv_to_phys egress";
const HEARD: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun arp_responder";
const BY_TUNNEL: &str = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun arp_responder";

/// gX asks everybody outside for `tpa`.
fn gx_asks(tpa: u32) -> Vec<u8> {
    ext(&eth(GX.0, MacAddr::BROADCAST, arp_request(GX.0, GX.1, tpa)))
}

/// Rules: E1.
#[test]
fn floating_ips_of_this_host_and_fg_are_answered_outside_with_fgs_mac() {
    let fg = fg(H1);
    for asked in [FIP_A1, FIP_B1, fg.1] {
        let reply = ext(&eth(fg.0, GX.0, arp_reply(fg.0, asked, GX.0, GX.1))); // FIP-03
        Rig::h1().one(Phys(1), gx_asks(asked)).assert_answered(Phys(1), OUTSIDE, "arp_responder", reply);
    }
}

/// Rules: E1.
#[test]
fn nobody_elses_address_is_answered_outside() {
    let path = format!("{HEARD} local_switching egress flood_to_tun");
    // FIP-03 at H2, FIP-16, gX itself, an address of a router that is not outside.
    for asked in [FIP_B2, ip("203.0.113.110"), GX.1, RV.ip, A1.ip] {
        Rig::h1().one(Phys(1), gx_asks(asked)).assert_dropped(Phys(1), &path, "not_ours");
    }
    // Who announces a floating IP of this host asks for nothing.
    let claim = ext(&eth(GX.0, MacAddr::BROADCAST, arp_request(GX.0, FIP_A1, FIP_A1)));
    Rig::h1().one(Phys(1), claim).assert_dropped(Phys(1), &path, "not_ours");
}

/// Rules: E1, I3-a.
#[test]
fn a_port_on_the_external_network_gets_the_same_answers() {
    let mut rig = Rig::h1_with(|r| r.port(Z1.door, |p| p.seg = X));
    for asked in [FIP_A1, fg(H1).1] {
        let frame = eth(Z1.mac, MacAddr::BROADCAST, arp_request(Z1.mac, Z1.ip, asked));
        let reply = eth(fg(H1).0, Z1.mac, arp_reply(fg(H1).0, asked, Z1.mac, Z1.ip));
        rig.one(Z1.door, frame).assert_answered(Z1.door, ANSWERED, "arp_responder", reply);
    }
}

/// Rules: E1.
#[test]
fn rows_of_floating_ips_are_no_answers_where_no_fg_is() {
    // What a batch leaves for a moment: the row is there, the interface not.
    let gone: [fn(&mut Rows); 2] = [|r| r.seg(X, |s| s.interfaces = [].into()), |r| r.snap.interfaces.set(FG_IX, None)];
    for change in gone {
        let out = Rig::h1_with(change).one(Phys(1), gx_asks(FIP_A1));
        assert_eq!((out.sent.as_slice(), out.moved.get("drop.not_ours")), (&[][..], Some(&1)));
    }
}

/// Rules: V4, D10.
#[test]
fn the_physical_gateway_answers_for_its_routers_and_no_other_host_does() {
    let asks = phy(&eth(P.0, MacAddr::BROADCAST, arp_request(P.0, P.1, RV.ip)));
    let mut gateway = Rig::h1_with(|r| r.seg(V, |s| s.phys_gw = true));
    let reply = phy(&eth(RV.mac, P.0, arp_reply(RV.mac, RV.ip, P.0, P.1))); // VL-03
    gateway.one(Phys(0), asks.clone()).assert_answered(Phys(0), OUTSIDE, "arp_responder", reply);
    // Nor does one whose router is down.
    let mut down = Rig::h1_with(|r| {
        r.seg(V, |s| {
            s.phys_gw = true;
            s.router_ips = s.router_ips.iter().map(|ip| RouterAddress { answers: false, ..*ip }).collect();
        });
    });
    let out = down.one(Phys(0), asks);
    assert!(out.sent.iter().all(|(door, _)| *door != Phys(0)), "{:?}", out.sent);
    assert_eq!(out.moved.get("generated"), None);
    // Addresses of machines are not the gateway's to answer.
    let other = phy(&eth(P.0, MacAddr::BROADCAST, arp_request(P.0, P.1, V2.ip)));
    let mut gateway = Rig::h1_with(|r| r.seg(V, |s| s.phys_gw = true));
    assert_eq!(gateway.one(Phys(0), other).moved.get("generated"), None);
}

/// Rules: I3-a, D10.
#[test]
fn a_guests_question_for_the_router_stays_on_the_host() {
    let frame = eth(V1.mac, MacAddr::BROADCAST, arp_request(V1.mac, V1.ip, RV.ip)); // VL-01
    let reply = eth(RV.mac, V1.mac, arp_reply(RV.mac, RV.ip, V1.mac, V1.ip));
    Rig::h1().one(V1.door, frame).assert_answered(V1.door, ANSWERED, "arp_responder", reply);
}

/// H1 where somebody waits for `ip` on `seg`.
fn asked(seg: SegIx, ip: u32) -> Rig {
    Rig::h1_with(|r| {
        r.neigh.insert((seg, ip), NeighValue::ASKED);
    })
}

fn heard(rig: &Rig, seg: SegIx, ip: u32, mac: MacAddr, target: Target, target_generation: u32) -> Report {
    Report::Heard(HeardEvent { seg, seg_generation: 1, ip, mac, target, target_generation, seen: rig.now })
}

/// Rules: R7-probe, T3, T5, L2.
#[test]
fn the_answer_to_our_probe_is_consumed_and_told_to_the_writer() {
    let there = (mac("fa:16:3e:0a:00:60"), ip("10.1.0.60"));
    let answer = |to| eth(there.0, to, arp_reply(there.0, there.1, to, 0)); // ARP-08
    let mut rig = asked(A, there.1);
    let expect = heard(&rig, A, there.1, there.0, Target::Tunnel(1), 1);
    let out = rig.one(Tunnel, vx(H2, H1, 1001, &answer(H1.dvr)));
    out.assert_consumed(Tunnel, BY_TUNNEL);
    assert_eq!(out.reports, [expect]);
    // From a port of this host.
    let mut rig = Rig::h1_with(|r| {
        r.port(A3.door, |p| allow(p, there.1, u32::MAX));
        r.neigh.insert((A, there.1), NeighValue::ASKED);
    });
    let expect = heard(&rig, A, there.1, A3.mac, Target::Port(1), 1);
    let out = rig.one(A3.door, eth(A3.mac, H1.dvr, arp_reply(A3.mac, there.1, H1.dvr, 0)));
    out.assert_consumed(A3.door, ARP);
    assert_eq!(out.reports, [expect]);
    // From a physical network.
    let mut rig = asked(V, P.1);
    let expect = heard(&rig, V, P.1, P.0, Target::Phys, 0);
    let out = rig.one(Phys(0), phy(&eth(P.0, H1.dvr, arp_reply(P.0, P.1, H1.dvr, 0))));
    out.assert_consumed(Phys(0), HEARD);
    assert_eq!(out.reports, [expect]);
    // Nobody waits, or for another address, or in another network.
    for mut rig in [Rig::h1(), asked(A, there.1 + 1), asked(B, there.1)] {
        let out = rig.one(Tunnel, vx(H2, H1, 1001, &answer(H1.dvr)));
        out.assert_dropped(Tunnel, BY_TUNNEL, "reserved_dst");
        assert_eq!(out.reports, []);
    }
}

/// Rules: E1, R7-probe.
#[test]
fn an_answer_to_fg_is_consumed_if_awaited_and_else_not_ours() {
    let next = (mac("02:ee:00:00:00:09"), ip("203.0.113.9"));
    let answer = ext(&eth(next.0, fg(H1).0, arp_reply(next.0, next.1, fg(H1).0, fg(H1).1)));
    let mut rig = asked(X, next.1);
    let expect = heard(&rig, X, next.1, next.0, Target::Phys, 0);
    let out = rig.one(Phys(1), answer.clone());
    out.assert_consumed(Phys(1), HEARD);
    assert_eq!(out.reports, [expect]);
    let out = Rig::h1().one(Phys(1), answer);
    out.assert_dropped(Phys(1), HEARD, "not_ours");
    assert_eq!(out.reports, []);
    // So does an announcement of an address that is asked for; where a port hears it, it goes on to that too.
    let call = eth(next.0, MacAddr::BROADCAST, arp_request(next.0, next.1, next.1));
    let mut rig = asked(X, next.1);
    let expect = heard(&rig, X, next.1, next.0, Target::Phys, 0);
    let out = rig.one(Phys(1), ext(&call));
    out.assert_consumed(Phys(1), HEARD);
    assert_eq!(out.reports, [expect]);
    let mut rig = asked(X, next.1);
    let mut rows = Rows::h1();
    rows.seg(X, |s| s.flood_ports = [5].into());
    rig.publish(&rows);
    let out = rig.one(Phys(1), ext(&call));
    assert_eq!((out.sent, out.reports), (vec![(Door::Port(5), call)], vec![expect]));
}

/// Rules: E1.
#[test]
fn a_question_outside_is_answered_if_it_was_for_all_or_for_fg() {
    let to = |dst| ext(&eth(GX.0, dst, arp_request(GX.0, GX.1, FIP_A1)));
    let reply = ext(&eth(fg(H1).0, GX.0, arp_reply(fg(H1).0, FIP_A1, GX.0, GX.1)));
    Rig::h1().one(Phys(1), to(fg(H1).0)).assert_answered(Phys(1), OUTSIDE, "arp_responder", reply);
    // A switch that floods brings what is for others: another host may have the address by now.
    let path = format!("{HEARD} local_switching egress flood_to_tun");
    Rig::h1().one(Phys(1), to(fg(H2).0)).assert_dropped(Phys(1), &path, "unknown_unicast");
}

/// Rules: I3-c, L5, L5-vip, D9.
#[test]
fn announcements_of_a_watched_address_are_told_to_the_writer_and_flood() {
    let both = |mac| [arp_request(mac, VIP, VIP), arp_reply(mac, VIP, mac, VIP)];
    for payload in both(A2.mac) {
        let frame = eth(A2.mac, MacAddr::BROADCAST, payload); // VIP-01
        let mut rig = Rig::h1();
        let expect = heard(&rig, A, VIP, A2.mac, Target::Tunnel(1), 1);
        let out = rig.one(Tunnel, vx(H2, H1, 1001, &frame));
        let path = format!("{BY_TUNNEL} local_switching egress flood_to_tun");
        out.assert_sent(Tunnel, &path, &[(A1.door, frame.clone()), (A3.door, frame)]);
        assert_eq!(out.reports, [expect]);
    }
    for payload in both(A1.mac) {
        let frame = eth(A1.mac, MacAddr::BROADCAST, payload);
        let mut rig = Rig::h1();
        let expect = heard(&rig, A, VIP, A1.mac, Target::Port(0), 1);
        let out = rig.one(A1.door, frame.clone());
        out.assert_sent(A1.door, FLOODED, &everybody(&frame));
        assert_eq!(out.reports, [expect]);
    }
}

/// Rules: L5, L5-vip.
#[test]
fn what_is_no_announcement_or_of_no_watched_address_is_not_told() {
    let all = MacAddr::BROADCAST;
    let frames = [
        eth(A1.mac, all, arp_request(A1.mac, VIP, A2.ip)), // asks, in the VIP's name
        eth(A1.mac, all, arp_request(A1.mac, A1.ip, VIP)), // asks for the VIP
        eth(A1.mac, all, arp_request(A1.mac, A1.ip, A1.ip)), // announces what is not watched
        eth(A1.mac, all, arp_request(A1.mac, 0, 0)),
        eth(A1.mac, A3.mac, arp_reply(A1.mac, 0, A3.mac, A3.ip)),
    ];
    for frame in frames {
        assert_eq!(Rig::h1().one(A1.door, frame).reports, []);
    }
    // Not even if a row says that nobody's address is watched.
    let frame = eth(A1.mac, A3.mac, arp_reply(A1.mac, 0, A3.mac, A3.ip));
    assert_eq!(asked(A, 0).one(A1.door, frame).reports, []);
    // A secured port does not get as far with an address that is not its own.
    let claim = eth(A3.mac, all, arp_request(A3.mac, VIP, VIP));
    let out = Rig::h1().one(A3.door, claim);
    out.assert_dropped(A3.door, "ingress decode vm_port", "arp_spoof");
    assert_eq!(out.reports, []);
}

/// Rules: L5-vip.
#[test]
fn the_writer_gets_the_generations_of_network_and_origin() {
    let frame = |mac| eth(mac, MacAddr::BROADCAST, arp_request(mac, VIP, VIP));
    let mut rig = Rig::h1_with(|r| {
        r.seg(A, |s| s.generation = 7);
        let end = TunnelEnd { vtep: H2.vtep, mac: Some(H2.nic), dvr_mac: H2.dvr, df: true, phys: 0 };
        let row = TunnelRow::new(9, &r.snap.host, end);
        r.snap.tunnels.set(1, Some(row));
        r.port(A1.door, |p| p.generation = 8);
    });
    let of = |out: &rig::Outcome| match out.reports[..] {
        [Report::Heard(e)] => (e.seg_generation, e.target_generation),
        _ => panic!("{:?}", out.reports),
    };
    assert_eq!(of(&rig.one(Tunnel, vx(H2, H1, 1001, &frame(A2.mac)))), (7, 9));
    assert_eq!(of(&rig.one(A1.door, frame(A1.mac))), (7, 8));
}

/// Rules: L5-vip.
#[test]
fn a_full_queue_loses_what_was_heard_and_the_frame_goes_on() {
    let mut rig = Rig::h1();
    let filler = heard(&rig, A, VIP, A2.mac, Target::Tunnel(1), 1);
    while rig.worker.learn_queue().push(filler).is_ok() {}
    let frame = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, VIP, VIP));
    let out = rig.one(A1.door, frame.clone());
    out.assert_sent_and(A1.door, FLOODED, &everybody(&frame), "learn_queue_full 1");
}

/// Rules: L2, T5.
#[test]
fn a_host_that_does_not_know_its_dvr_mac_takes_no_answer_for_its_own() {
    let mut rig = Rig::h1_with(|r| r.snap.host.dvr_mac = MacAddr::ZERO);
    let frame = eth(A1.mac, MacAddr::ZERO, arp_reply(A1.mac, A1.ip, MacAddr::ZERO, 0));
    let path = "ingress decode vm_port arp_responder local_switching egress flood_to_tun";
    rig.one(A1.door, frame).assert_dropped(A1.door, path, "unknown_unicast");
}

/// Rules: L5-vip, R7-probe.
#[test]
fn a_trace_says_that_the_writer_was_told() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.one(A1.door, eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, VIP, VIP)));
    let notes: Vec<_> = std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect();
    assert!(notes.contains(&Note::Heard(VIP)), "{notes:?}");
}

/// Rules: I3-b (until built), L6.
#[test]
fn router_solicitations_of_other_hosts_reach_local_ports() {
    let frame = eth(A2.mac, mac("33:33:00:00:00:02"), rs(lla(A2.mac), A2.mac));
    let path = format!("{BY_TUNNEL} local_switching egress flood_to_tun");
    let both = [(A1.door, frame.clone()), (A3.door, frame.clone())];
    Rig::h1().one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, &path, &both);
}

/// Rules: E1.
#[test]
fn nobody_asks_for_floating_ips_by_a_tunnel() {
    // An external network that is a VXLAN: its machines are behind no NIC of this host.
    let mut rig = Rig::h1_with(|r| {
        r.seg(A, |s| {
            s.external = true;
            s.interfaces = [SegInterface { mac: fg(H1).0, iface: FG_IX }].into();
        });
        r.neigh.insert((A, FIP_A1), NeighValue::floating_ip(R1, A1.ip, true));
    });
    let frame = eth(A2.mac, MacAddr::BROADCAST, arp_request(A2.mac, A2.ip, FIP_A1));
    let path = format!("{BY_TUNNEL} local_switching egress flood_to_tun");
    let both = [(A1.door, frame.clone()), (A3.door, frame.clone())];
    rig.one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, &path, &both);
}
