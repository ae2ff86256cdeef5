//! R2: a router answers echo requests, refuses UDP and TCP, and swallows everything else addressed to it.

use super::{HERE, free};
use crate::testkit::*;
use etherparse::Icmpv4Type;

const ANSWERED: &str = "ingress decode vm_port qrouter dvr_process egress";

fn ask(payload: Payload) -> Vec<u8> {
    eth(A1.mac, RA.mac, payload)
}

/// Sends `request` and expects `reply` back at A1.
#[track_caller]
fn assert_reply(request: Payload, reply: Payload) {
    let out = Rig::h1().one(A1.door, ask(request));
    out.assert_answered(A1.door, ANSWERED, "qrouter", eth(RA.mac, A1.mac, reply));
}

/// Rules: R2.
#[test]
fn an_echo_request_to_any_address_of_the_router_is_answered_from_it() {
    for asked in [RA.ip, RB.ip, RV.ip, RC1.ip] {
        // EW-12
        assert_reply(
            ip4(A1.ip, asked).echo(77, 3, b"payload of some length"),
            ip4(asked, A1.ip).echo_reply(77, 3, b"payload of some length"),
        );
    }
}

/// Rules: R2.
#[test]
fn address_scopes_do_not_keep_a_router_from_answering() {
    let mut rig = Rig::h1_with(|r| r.iface(RB, |i| i.scope = 7)); // R2 comes before R6
    let out = rig.one(A1.door, ask(ip4(A1.ip, RB.ip).echo(1, 1, b"x")));
    let reply = eth(RA.mac, A1.mac, ip4(RB.ip, A1.ip).echo_reply(1, 1, b"x"));
    out.assert_answered(A1.door, ANSWERED, "qrouter", reply);
}

/// Rules: R2.
#[test]
fn the_reply_has_ttl_64_and_the_requests_tos_and_id() {
    assert_reply(
        ip4(A1.ip, RA.ip).ttl(1).tos(0xb9).df().echo(1, 1, b"x"),
        ip4(RA.ip, A1.ip).ttl(64).tos(0xb9).df().echo_reply(1, 1, b"x"),
    );
}

/// Rules: R2.
#[test]
fn the_reply_has_no_options_and_no_padding() {
    let request = ip4(A1.ip, RA.ip).options(&[7, 7, 4, 0, 0, 0, 0, 0]).echo(1, 1, b"abc");
    let out = Rig::h1().one(A1.door, padded(&ask(request), 9));
    let reply = eth(RA.mac, A1.mac, ip4(RA.ip, A1.ip).echo_reply(1, 1, b"abc"));
    out.assert_answered(A1.door, ANSWERED, "qrouter", reply);
}

/// Rules: R2.
#[test]
fn the_replys_checksum_is_right_whatever_was_asked() {
    for (id, seq, data) in [(0, 0, &b""[..]), (0, 0, &[0; 56]), (0xffff, 0, b""), (0xf7ff, 0, b""), (0xf7fe, 1, b"")] {
        assert_reply(ip4(A1.ip, RA.ip).echo(id, seq, data), ip4(RA.ip, A1.ip).echo_reply(id, seq, data));
    }
}

/// Rules: R2.
#[test]
fn anything_else_to_the_router_is_consumed() {
    let to_router = || ip4(A1.ip, RA.ip);
    let swallowed = [
        to_router().echo_reply(1, 1, b""),
        to_router().icmp(
            Icmpv4Type::TimestampRequest(etherparse::icmpv4::TimestampMessage {
                id: 1,
                seq: 1,
                originate_timestamp: 0,
                receive_timestamp: 0,
                transmit_timestamp: 0,
            }),
            b"",
        ),
        to_router().carry(112, &[0; 8]),
        to_router().carry(1, &[8, 0, 0xf7, 0xff]), // an echo request without id and sequence number
        to_router().carry(1, &[8, 1, 0xf7, 0xfe, 0, 0, 0, 0]), // code 1
        to_router().carry(1, &[]),
        to_router().ttl(1).carry(112, &[0; 8]), // R2 comes before R3
    ];
    for payload in swallowed {
        Rig::h1().one(A1.door, ask(payload)).assert_consumed(A1.door, HERE);
    }
}

/// Rules: R2.
#[test]
fn a_fragmented_echo_request_is_consumed() {
    let echo = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    for (offset, more) in [(0, true), (1, false)] {
        let fragment = ip4(A1.ip, RA.ip).fragment(offset, more).carry(1, &echo);
        Rig::h1().one(A1.door, ask(fragment)).assert_consumed(A1.door, HERE);
    }
}

/// Rules: R2.
#[test]
fn a_wrong_icmp_checksum_is_ct_invalid() {
    // 3.1: L4 checksums are verified for ICMP, bad is ct_invalid.
    let bad = with(&ask(ip4(A1.ip, RA.ip).echo(1, 1, b"x")), 36, &[0xba, 0xad]);
    Rig::h1().one(A1.door, bad).assert_dropped(A1.door, HERE, "ct_invalid");
}

/// Rules: R2.
#[test]
fn another_routers_address_is_not_this_routers() {
    // R1 has a route to R2's K network: 10.4.0.1 is answered by R2, two routers away from nothing.
    let out = Rig::h1().one(A1.door, ask(ip4(A1.ip, RK.ip).echo(1, 1, b"x")));
    // The reply is routed back through R1: 64 less one.
    let reply = eth(RA.mac, A1.mac, ip4(RK.ip, A1.ip).ttl(63).echo_reply(1, 1, b"x"));
    out.assert_answered(A1.door, ANSWERED, "qrouter", reply);
}

/// Rules: R2, R3.
#[test]
fn the_reply_through_two_routers_does_not_depend_on_the_requests_ttl_once_it_arrived() {
    let out = Rig::h1().one(A1.door, ask(ip4(A1.ip, RK.ip).ttl(2).echo(1, 1, b"x")));
    let reply = eth(RA.mac, A1.mac, ip4(RK.ip, A1.ip).ttl(63).echo_reply(1, 1, b"x"));
    out.assert_answered(A1.door, ANSWERED, "qrouter", reply);
    super::assert_told(&mut Rig::h1(), ip4(A1.ip, RK.ip).ttl(1).echo(1, 1, b"x"), "ttl", EXCEEDED, RA.ip);
}

/// Rules: R2.
#[test]
fn a_reply_that_has_to_be_routed_and_cannot_be_is_a_drop_of_its_own() {
    // Asked in the name of somebody no router knows a way to.
    let request = ask(ip4(ip("192.0.2.1"), RK.ip).echo(1, 1, b"x"));
    free().one(A1.door, request).assert_moved(
        HERE,
        "received 1, port.0.rx 1, generated 1, consumed 1, stage.qrouter.consumed 1, \
         dropped 1, drop.no_route 1, port.0.drop.no_route 1, stage.qrouter.dropped 1",
    );
}

/// Rules: R2, R1.
#[test]
fn an_echo_request_in_another_routers_name_does_not_go_round() {
    // Source 10.9.0.2 is R2's, asked is R1: answered straight back to the port, once.
    let request = ask(ip4(RC2.ip, RB.ip).echo(1, 1, b"x"));
    let reply = eth(RA.mac, A1.mac, ip4(RB.ip, RC2.ip).echo_reply(1, 1, b"x"));
    free().one(A1.door, request).assert_answered(A1.door, ANSWERED, "qrouter", reply);
    // Asked is R2, through R1: R1 before R2, its own address is no source.
    let request = ask(ip4(RC2.ip, RK.ip).echo(1, 1, b"x"));
    free().one(A1.door, request).assert_dropped(A1.door, HERE, "martian");
}

/// Rules: R2, R7.
#[test]
fn a_route_by_way_of_the_routers_own_address_does_not_make_it_answer_for_others() {
    // R2 is about the router's addresses; 192.168.50.9 is none, whatever the next hop.
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| r1.routes = routes(R1, &[extra([192, 168, 50, 0], RB.ix, RB.ip)]));
    });
    let out = rig.one(A1.door, ask(ip4(A1.ip, ip("192.168.50.9")).echo(1, 1, b"x")));
    out.assert_dropped(A1.door, HERE, "no_neigh");
}

/// Rules: V4, R2, O2.
#[test]
fn a_physical_machine_gets_its_answer_straight_back_or_routed_like_a_guest() {
    use crate::burst::Door::Phys;
    use crate::tables::{NeighValue, Target};
    let rig = || {
        Rig::h1_with(|r| {
            r.seg(V, |s| s.phys_gw = true);
            r.neighbour(V, P.1, P.0, Target::Phys, NeighValue::ROUTE);
            r.router(R2, |r2| r2.routes = routes(R2, &[extra([10, 3, 0, 0], RC2.ix, RC1.ip)]));
        })
    };
    let ping = |asked| phy(&eth(P.0, RV.mac, ip4(P.1, asked).echo(1, 1, b"x")));
    let path = "ingress decode phys_to_lv learning_blocker learn_from_tun qrouter dvr_process lv_to_phys egress";
    // Straight: from the interface it was sent to, whichever address it asked.
    for asked in [RV.ip, RA.ip] {
        let reply = phy(&eth(RV.mac, P.0, ip4(asked, P.1).echo_reply(1, 1, b"x")));
        rig().one(Phys(0), ping(asked)).assert_answered(Phys(0), path, "qrouter", reply);
    }
    // R2's answer comes by R1, which routes it, as anything to a machine, with the DVR MAC.
    let reply = phy(&eth(H1.dvr, P.0, ip4(RK.ip, P.1).ttl(63).echo_reply(1, 1, b"x")));
    rig().one(Phys(0), ping(RK.ip)).assert_answered(Phys(0), path, "qrouter", reply);
}
