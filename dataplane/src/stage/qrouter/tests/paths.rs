//! R5 and R7 across routers: several next hops, several routers in a row, circles.

use super::{HERE, LOCAL, TOLD_ROUTED, free, packet, to};
use crate::addr::MacAddr;
use crate::burst::Door::Tunnel;
use crate::tables::*;
use crate::testkit::*;
use std::collections::{BTreeMap, BTreeSet};

/// Four hosts on B beside each other, and 192.168.50.0/24 behind all of them.
const HOPS: [u8; 4] = [31, 32, 33, 34];

fn hop_mac(n: u8) -> MacAddr {
    MacAddr::new([0xfa, 0x16, 0x3e, 0x0b, 1, n])
}

fn ecmp() -> Rig {
    Rig::h1_with(|r| {
        r.unsecure(A1);
        let hops = HOPS.map(|n| Hop::new(RB.ix, ip("10.2.0.0") + u32::from(n))).to_vec();
        let many = Route { net: ip("192.168.50.0"), len: 24, hops };
        r.router(R1, |r1| r1.routes = routes(R1, &[many]));
        for n in HOPS {
            r.neighbour(B, ip("10.2.0.0") + u32::from(n), hop_mac(n), Target::Port(2), NeighValue::ROUTE);
        }
    })
}

/// The MAC the router sends `packet` to.
fn next_hop(rig: &mut Rig, packet: Payload) -> MacAddr {
    let sent = rig.one(A1.door, eth(A1.mac, RA.mac, packet)).sent;
    assert_eq!(sent.len(), 1);
    MacAddr::new(sent[0].1[..6].try_into().unwrap())
}

/// Rules: R5.
#[test]
fn every_packet_of_a_flow_takes_the_same_hop() {
    let mut rig = ecmp();
    for flow in 0..20 {
        let packet = |data: &[u8]| ip4(A1.ip, ip("192.168.50.9")).udp(1000 + flow, 80, data);
        let first = next_hop(&mut rig, packet(b"first"));
        assert!((0..5).all(|n| next_hop(&mut rig, packet(&[n; 20])) == first));
    }
}

/// Rules: R5.
#[test]
fn flows_spread_over_all_hops() {
    let mut rig = ecmp();
    let mut seen = BTreeMap::new();
    for flow in 0..2000u16 {
        let hop = next_hop(&mut rig, ip4(A1.ip, ip("192.168.50.9")).udp(1024 + flow, 443, b""));
        *seen.entry(hop).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), HOPS.map(hop_mac));
    assert!(seen.values().all(|n| (350..650).contains(n)), "a quarter of 2000 each: {seen:?}");
}

/// Rules: R5.
#[test]
fn each_field_of_the_five_tuple_counts() {
    let mut rig = ecmp();
    let spread = |rig: &mut Rig, packet: &dyn Fn(u16) -> Payload| {
        let hops: BTreeSet<_> = (0..200).map(|n| next_hop(rig, packet(n))).collect();
        hops.len()
    };
    let dst = ip("192.168.50.9");
    assert_eq!(spread(&mut rig, &|n| ip4(A1.ip, dst).udp(1000 + n, 80, b"")), 4, "source port");
    let ones = ip("10.255.255.255"); // and no bit of the addresses hides one of the ports
    assert_eq!(spread(&mut rig, &|n| ip4(ones, dst).udp(1000 + n, 80, b"")), 4, "source port");
    assert_eq!(spread(&mut rig, &|n| ip4(A1.ip, dst).udp(1000, 1 + n, b"")), 4, "destination port");
    assert_eq!(spread(&mut rig, &|n| ip4(ip("10.1.1.0") + u32::from(n), dst).udp(1, 2, b"")), 4, "source");
    assert_eq!(spread(&mut rig, &|n| ip4(A1.ip, ip("192.168.50.0") + u32::from(n)).udp(1, 2, b"")), 4, "destination");
    assert_eq!(spread(&mut rig, &|n| ip4(A1.ip, dst).carry(20 + n as u8 % 80, b"")), 4, "protocol");
}

/// Rules: R5.
#[test]
fn every_fragment_of_a_datagram_takes_the_same_hop() {
    let mut rig = ecmp();
    let mut seen = BTreeSet::new();
    for n in 0..50 {
        let dst = ip("192.168.50.0") + n;
        let fragment = |offset, more, data: &[u8]| ip4(A1.ip, dst).fragment(offset, more).carry(17, data);
        let first = next_hop(&mut rig, fragment(0, true, &[n as u8, 2, 3, 4, 0, 24, 0, 0]));
        assert_eq!(next_hop(&mut rig, fragment(1, true, &[9; 8])), first);
        assert_eq!(next_hop(&mut rig, fragment(2, false, &[n as u8; 8])), first);
        seen.insert(first);
    }
    assert_eq!(seen.len(), 4);
}

/// A1 to K1 by way of R1 and R2.
fn through_both(src: MacAddr, dst: MacAddr, ttl: u8) -> Vec<u8> {
    eth(src, dst, ip4(A1.ip, K1.ip).ttl(ttl).echo(1, 1, b"x"))
}

/// Rules: R7, R9, D3.
#[test]
fn two_routers_in_a_row_take_one_ttl_each_and_no_wire() {
    let out = Rig::h1().one(A1.door, through_both(A1.mac, RA.mac, 64)); // EW-08
    out.assert_sent(A1.door, LOCAL, &[(K1.door, through_both(RK.mac, K1.mac, 62))]);
}

/// The one that has only one router to cross is done before the others are.
///
/// Rules: R3, R9, D3.
#[test]
fn each_packet_of_a_burst_loses_what_its_own_routers_take() {
    let far = through_both(A1.mac, RA.mac, 64);
    let to_b2 = eth(H1.dvr, B2.mac, packet(B2.ip, 63));
    let sent = Rig::h1().step(A1.door, &[to(B1.ip), far.clone(), to(B2.ip), far]).sent;
    let far = || (K1.door, through_both(RK.mac, K1.mac, 62));
    let near = (B1.door, eth(RB.mac, B1.mac, packet(B1.ip, 63)));
    assert_eq!(sent, [near, far(), far(), (Tunnel, vx(H1, H2, 1002, &to_b2))]);
}

/// Rules: R7.
#[test]
fn a_trace_names_the_neighbour_that_was_asked_for() {
    use crate::trace::Note;
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.one(A1.door, to(B1.ip));
    let notes: Vec<_> = std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect();
    let word = rig.neigh.get(&ip4_key(B, B1.ip));
    assert!(word != 0 && notes.contains(&Note::Neigh(B, B1.ip, word)), "{notes:?}");
}

/// Rules: R3, D3.
#[test]
fn a_trace_shows_the_ttl_at_each_router_as_it_becomes() {
    use crate::trace::{Field, Note};
    let ttls = |frame: Vec<u8>| {
        let mut rig = Rig::h1();
        rig.worker.trace = true;
        rig.one(A1.door, frame);
        let of_ttl = |note| if let Note::Set(Field::Ttl, old, new) = note { Some((old, new)) } else { None };
        std::iter::from_fn(|| rig.worker.tracer().pop()).filter_map(|r| of_ttl(r.note)).collect::<Vec<_>>()
    };
    assert_eq!(ttls(through_both(A1.mac, RA.mac, 64)), [(64, 63), (63, 62)]);
    // R2's answer to a ping: R2 takes nothing off its own packet, R1 does.
    let ping = eth(A1.mac, RA.mac, ip4(A1.ip, RK.ip).ttl(9).echo(1, 1, b"x"));
    assert_eq!(ttls(ping), [(9, 8), (64, 64), (64, 63)]);
}

/// Rules: R3, ICMP.
#[test]
fn ttl_2_ends_at_the_second_router_which_tells_by_way_of_the_first() {
    // R2 has no address on 10.1.0.0/24: it speaks as rC2, by which the packet came, and R1 takes one off.
    let told = icmp_error_ttl(RC2.ip, EXCEEDED, &ip4(A1.ip, K1.ip).ttl(2).echo(1, 1, b"x"), 63);
    let out = Rig::h1().one(A1.door, through_both(A1.mac, RA.mac, 2));
    out.assert_told(A1.door, TOLD_ROUTED, "ttl", eth(RA.mac, A1.mac, told));
    let out = Rig::h1().one(A1.door, through_both(A1.mac, RA.mac, 3));
    out.assert_sent(A1.door, LOCAL, &[(K1.door, through_both(RK.mac, K1.mac, 1))]);
}

/// Rules: R0, R1, R4.
#[test]
fn the_second_router_has_its_own_rules() {
    let mut rig = Rig::h1_with(|r| r.router(R2, |r2| r2.active = false));
    rig.one(A1.door, through_both(A1.mac, RA.mac, 64)).assert_dropped(A1.door, HERE, "router_down");
    let mut rig = Rig::h1_with(|r| r.iface(RC2, |i| i.up = false));
    rig.one(A1.door, through_both(A1.mac, RA.mac, 64)).assert_dropped(A1.door, HERE, "router_down");
    // R2's own address may be a source at R1, which has none such, but not at R2.
    let own = eth(A1.mac, RA.mac, ip4(RK.ip, K1.ip).udp(1, 2, b""));
    free().one(A1.door, own).assert_dropped(A1.door, HERE, "martian");
    // R1 knows the way to R2, which knows none.
    let mut rig = Rig::h1_with(|r| {
        let far = extra([192, 168, 70, 0], RC1.ix, RC2.ip);
        r.router(R1, |r1| r1.routes = routes(R1, &[far]));
    });
    let lost = ip4(A1.ip, ip("192.168.70.9")).udp(1, 2, b"");
    let told = eth(RA.mac, A1.mac, icmp_error_ttl(RC2.ip, NET, &lost, 63));
    rig.one(A1.door, eth(A1.mac, RA.mac, lost)).assert_told(A1.door, TOLD_ROUTED, "no_route", told);
}

/// Rules: R1.
#[test]
fn a_source_that_is_an_address_of_the_second_router_is_martian_there() {
    // Port security vouches to the first router alone.
    let mut rig = Rig::h1_with(|r| r.router(R2, |r2| r2.own = r2.own.iter().copied().chain([A1.ip]).collect()));
    rig.one(A1.door, through_both(A1.mac, RA.mac, 64)).assert_dropped(A1.door, HERE, "martian");
}

/// Rules: R8, R8-icmp.
#[test]
fn the_network_between_two_routers_has_an_mtu_too() {
    let mut rig = Rig::h1_with(|r| r.iface(RC1, |i| i.mtu = 28));
    let df = ip4(A1.ip, K1.ip).df().echo(1, 1, b"x");
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, too_big(28), &df));
    rig.one(A1.door, eth(A1.mac, RA.mac, df)).assert_told(A1.door, super::TOLD, "mtu", told);
    // Without DF it leaves in pieces of at most 28 bytes, as it would if C were a wire: 8 bytes of payload, and 1.
    let whole = ip4(A1.ip, K1.ip).echo(1, 1, b"x").bytes;
    let piece = |offset, more, bytes: &[u8]| {
        let packet = ip4(A1.ip, K1.ip).ttl(62).fragment(offset, more).carry(1, bytes);
        (K1.door, eth(RK.mac, K1.mac, packet))
    };
    let out = rig.one(A1.door, through_both(A1.mac, RA.mac, 64));
    assert_eq!(out.sent, [piece(0, true, &whole[20..28]), piece(1, false, &whole[28..])]);
    let mut rig = Rig::h1_with(|r| r.iface(RC1, |i| i.mtu = 29)); // its length: 20 + 8 + 1
    let out = rig.one(A1.door, through_both(A1.mac, RA.mac, 64));
    out.assert_sent(A1.door, LOCAL, &[(K1.door, through_both(RK.mac, K1.mac, 62))]);
}

/// Rules: R4-4.
#[test]
fn the_first_routers_snat_port_is_not_asked_by_the_second() {
    // R2 has a default route to R1 and R1's sg port of A is the way out: from K, no subnet of R1's.
    let mut rig = Rig::h1_with(|r| {
        let default = Route { net: 0, len: 0, hops: vec![Hop::new(RC2.ix, RC1.ip)] };
        r.router(R2, |r2| r2.routes = routes(R2, &[default]));
    });
    let lost = ip4(K1.ip, E).udp(1, 2, b"");
    let told = eth(RK.mac, K1.mac, icmp_error_ttl(RC1.ip, NET, &lost, 63));
    rig.one(K1.door, eth(K1.mac, RK.mac, lost)).assert_told(K1.door, TOLD_ROUTED, "no_route", told);
}

/// `n` routers in a row after R1, each on network C with an address of its own; the last has the
/// route to B2. Every packet to `via` crosses R1 and all of them.
fn row_of(n: u16) -> Rig {
    row_of_rows(n, |_| ())
}

/// The same with something changed.
fn row_of_rows(n: u16, change: impl FnOnce(&mut Rows)) -> Rig {
    Rig::h1_with(|r| {
        let address = |k: u16| ip("10.9.0.100") + u32::from(k);
        let dst = ip("192.168.60.0");
        let to = |hop| RouteSet::new([Route { net: dst, len: 24, hops: vec![hop] }]);
        r.router(R1, |r1| r1.routes = to(Hop::new(RC1.ix, address(1))));
        for k in 1..=n {
            let (iface, router) = (100 + k, 100 + k);
            let mac = MacAddr::new([0xfa, 0x16, 0x3e, 9, 1, k as u8]);
            let row = InterfaceRow { seg: C, router, mac, ip: address(k), mtu: 1450, up: true, scope: 0 };
            r.snap.interfaces.set(iface, Some(row));
            let hop = if k == n { Hop::new(iface, ip("10.9.0.50")) } else { Hop::new(iface, address(k + 1)) };
            let row = RouterRow {
                scoped: Box::default(),
                active: true,
                routes: to(hop),
                own: [address(k)].into_iter().collect(),
                own_masks: Box::new([MASK24]),
                snat: Box::default(),
                gateway_here: false,
                fip_here: false,
                fip_routes: RouteSet::default(),
            };
            r.snap.routers.set(router, Some(row));
            r.neigh.insert((C, address(k)), NeighValue::router(iface));
        }
        r.neighbour(C, ip("10.9.0.50"), B2.mac, Target::Tunnel(1), NeighValue::ROUTE);
        change(r);
    })
}

/// Rules: R7.
#[test]
fn eight_traversals_pass_and_the_ninth_is_loop_limit() {
    let dst = ip("192.168.60.9");
    let out = row_of(7).one(A1.door, to(dst)); // R1 and 7 more
    let inner = eth(H1.dvr, B2.mac, ip4(A1.ip, dst).ttl(64 - 8).udp(1000, 2000, b"routed"));
    assert_eq!(out.sent, [(Tunnel, vx(H1, H2, 1003, &inner))]);
    row_of(8).one(A1.door, to(dst)).assert_dropped(A1.door, HERE, "loop_limit");
}

/// Rules: R7.
#[test]
fn an_echo_reply_comes_back_through_as_many_routers_as_the_request_crossed() {
    let asked = ip("192.168.60.1"); // an address of the last of 8 routers
    let mut rig = row_of_rows(7, |r| {
        for k in 1..=7u16 {
            let back = if k == 1 { RC1.ip } else { ip("10.9.0.100") + u32::from(k) - 1 };
            let on = if k == 7 { Hop::new(107, 0) } else { Hop::new(100 + k, ip("10.9.0.100") + u32::from(k) + 1) };
            let home = Route { net: A1.ip & MASK24, len: 24, hops: vec![Hop::new(100 + k, back)] };
            let there = Route { net: ip("192.168.60.0"), len: 24, hops: vec![on] };
            r.router(100 + k, |router| router.routes = RouteSet::new([home, there]));
        }
        let here = Route { net: ip("192.168.60.0"), len: 24, hops: vec![Hop::new(RC1.ix, ip("10.9.0.101"))] };
        r.router(R1, |r1| r1.routes = routes(R1, &[here]));
        r.router(107, |last| last.own = last.own.iter().copied().chain([asked]).collect());
        r.neigh.insert((C, asked), NeighValue::router(107));
    });
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, ip4(A1.ip, asked).echo(1, 1, b"x")));
    // R2: the reply loses one at each of the 7 further routers.
    let reply = eth(RA.mac, A1.mac, ip4(asked, A1.ip).ttl(64 - 7).echo_reply(1, 1, b"x"));
    assert_eq!(out.sent, [(A1.door, reply)]);
}

#[test]
fn routers_in_a_circle_end_in_loop_limit() {
    let dst = ip("192.168.70.9");
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| r1.routes = routes(R1, &[extra([192, 168, 70, 0], RC1.ix, RC2.ip)]));
        r.router(R2, |r2| r2.routes = routes(R2, &[extra([192, 168, 70, 0], RC2.ix, RC1.ip)]));
    });
    rig.one(A1.door, to(dst)).assert_dropped(A1.door, HERE, "loop_limit");
    // Unless the TTL runs out first.
    let short = |ttl| ip4(A1.ip, dst).ttl(ttl).udp(1, 2, b"");
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &short(5)));
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, short(5))); // R1, R2, R1, R2, R1
    out.assert_told(A1.door, TOLD_ROUTED, "ttl", told);
    // R2 has no route to A1 in this rig: what it says ends there, and nothing is said about it.
    rig.one(A1.door, eth(A1.mac, RA.mac, short(4))).assert_moved(
        "ingress decode*2 vm_port qrouter*2 icmp_error",
        "received 1, port.0.rx 1, generated 1, dropped 2, stage.qrouter.dropped 2, drop.ttl 1, port.0.drop.ttl 1, \
         drop.no_route 1, port.0.drop.no_route 1",
    );
}

/// Rules: R1, R2.
#[test]
fn a_reply_that_comes_back_to_its_router_is_martian() {
    // Asked through R1 in the name of an address both routers send to each other: R1 sends R2's reply
    // back to R2, whose own address is its source.
    let mut rig = Rig::h1_with(|r| {
        r.unsecure(A1);
        let k = extra([10, 4, 0, 0], RC1.ix, RC2.ip);
        r.router(R1, |r1| r1.routes = routes(R1, &[k, extra([192, 168, 70, 0], RC1.ix, RC2.ip)]));
        r.router(R2, |r2| r2.routes = routes(R2, &[extra([192, 168, 70, 0], RC2.ix, RC1.ip)]));
    });
    let request = eth(A1.mac, RA.mac, ip4(ip("192.168.70.9"), RK.ip).echo(1, 1, b""));
    rig.one(A1.door, request).assert_moved(
        HERE,
        "received 1, port.0.rx 1, generated 1, consumed 1, stage.qrouter.consumed 1, \
         dropped 1, drop.martian 1, port.0.drop.martian 1, stage.qrouter.dropped 1",
    );
}

/// Rules: R7.
#[test]
fn frames_of_one_burst_at_different_routers_keep_apart() {
    let local = eth(A1.mac, RA.mac, ip4(A1.ip, B1.ip).udp(1, 2, b""));
    let ping = eth(A1.mac, RA.mac, ip4(A1.ip, RK.ip).echo(1, 1, b"x"));
    let lost = eth(A1.mac, RA.mac, ip4(A1.ip, ip("10.2.0.0")).udp(1, 2, b""));
    let told = icmp_error_ttl(RC2.ip, EXCEEDED, &ip4(A1.ip, K1.ip).ttl(2).echo(1, 1, b"x"), 63);
    let frames = [through_both(A1.mac, RA.mac, 64), local, ping, lost, through_both(A1.mac, RA.mac, 2)];
    let out = free().step(A1.door, &frames);
    let expect = [
        (A1.door, eth(RA.mac, A1.mac, ip4(RK.ip, A1.ip).ttl(63).echo_reply(1, 1, b"x"))),
        (A1.door, eth(RA.mac, A1.mac, told)),
        (B1.door, eth(RB.mac, B1.mac, ip4(A1.ip, B1.ip).ttl(63).udp(1, 2, b""))),
        (K1.door, through_both(RK.mac, K1.mac, 62)),
    ];
    assert_eq!(out.sent, expect);
    assert_eq!(out.held, 1, "nobody has 10.2.0.0");
    out.assert_moved(
        "ingress*5 decode*6 vm_port*5 qrouter*6 icmp_error dvr_process*4 egress*4",
        "received 5, port.0.rx 5, sent 4, port.0.tx 2, port.2.tx 1, port.3.tx 1, generated 2, consumed 1, \
         stage.qrouter.consumed 1, dropped 1, stage.qrouter.dropped 1, drop.ttl 1, port.0.drop.ttl 1",
    );
}
