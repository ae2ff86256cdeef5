//! R0, R1, R3, R4, R7, R8, R9. What a router answers is in `answer`, several routers and several
//! next hops are in `paths`.

use crate::addr::MacAddr;
use crate::burst::Door::{Phys, Tunnel};
use crate::tables::*;
use crate::testkit::*;

mod answer;
mod paths;

const HERE: &str = "ingress decode vm_port qrouter";
const LOCAL: &str = "ingress decode vm_port qrouter dvr_process egress";
const OUT: &str = "ingress decode vm_port qrouter dvr_process vxlan_encap egress";
/// Out to the external network.
const FIP: &str = "ingress decode vm_port qrouter dvr_process lv_to_phys egress";
/// Dropped; its sender is told straight back.
const TOLD: &str = "ingress decode vm_port qrouter icmp_error egress";
/// The same, by a router that was not the first.
const TOLD_ROUTED: &str = "ingress decode*2 vm_port qrouter*2 icmp_error dvr_process egress";

/// A packet from A1 to `dst`, addressed to rA.
fn to(dst: u32) -> Vec<u8> {
    eth(A1.mac, RA.mac, packet(dst, 64))
}

fn packet(dst: u32, ttl: u8) -> Payload {
    ip4(A1.ip, dst).ttl(ttl).udp(1000, 2000, b"routed")
}

/// H1 where A1 may send from any address.
fn free() -> Rig {
    Rig::h1_with(|r| r.unsecure(A1))
}

#[track_caller]
fn assert_dropped(frame: Vec<u8>, reason: &str) {
    free().one(A1.door, frame).assert_dropped(A1.door, HERE, reason);
}

/// What is dropped for `reason` comes from A1 through rA, and `error` goes back from `from`.
#[track_caller]
fn assert_told(rig: &mut Rig, offender: Payload, reason: &str, error: (u8, u8, u16), from: u32) {
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, offender.clone()));
    out.assert_told(A1.door, TOLD, reason, eth(RA.mac, A1.mac, icmp_error(from, error, &offender)));
}

/// Rules: R0.
#[test]
fn a_router_or_interface_that_is_down_is_router_down() {
    let down: [fn(&mut Rows); 4] = [
        |r| r.iface(RA, |i| i.up = false),
        |r| r.router(R1, |r1| r1.active = false),
        |r| r.snap.routers.set(R1, None),
        |r| r.snap.interfaces.set(RA.ix, None),
    ];
    for change in down {
        for frame in [to(B1.ip), to(RA.ip)] {
            Rig::h1_with(change).one(A1.door, frame).assert_dropped(A1.door, HERE, "router_down");
        }
    }
}

/// Rules: R0, R3.
#[test]
fn an_interface_that_is_down_on_the_way_out_is_router_down() {
    let down = || Rig::h1_with(|r| r.iface(RB, |i| i.up = false));
    down().one(A1.door, to(B1.ip)).assert_dropped(A1.door, HERE, "router_down");
    down().one(A1.door, to(B2.ip)).assert_dropped(A1.door, HERE, "router_down");
    // Another interface of the router goes on.
    let out = down().one(A1.door, to(A3.ip));
    out.assert_sent(A1.door, LOCAL, &[(A3.door, eth(RA.mac, A3.mac, packet(A3.ip, 63)))]);
}

#[test]
fn a_router_mac_of_another_network_is_no_router_here() {
    let path = "ingress decode vm_port local_switching egress flood_to_tun";
    let frame = eth(A1.mac, RB.mac, packet(B1.ip, 64));
    Rig::h1().one(A1.door, frame).assert_dropped(A1.door, path, "unknown_unicast");
}

/// Rules: I0.
#[test]
fn a_wrong_header_checksum_is_parse_csum_only_when_routed() {
    let sum = to(B1.ip)[24];
    assert_dropped(with(&to(B1.ip), 24, &[sum ^ 1]), "parse_csum"); // MAL-02
    assert_dropped(with(&to(RA.ip), 24, &[0xff, 0xff]), "parse_csum");
    let options = eth(A1.mac, RA.mac, ip4(A1.ip, B1.ip).options(&[7, 4, 0, 0]).udp(1, 2, b""));
    assert_dropped(with(&options, 34, &[7, 3]), "parse_csum"); // the sum covers the options
}

/// Rules: I0.
#[test]
fn a_source_route_is_src_route_and_other_options_pass() {
    let options = |dst, o: &[u8]| ip4(A1.ip, dst).options(o).udp(1, 2, b"x");
    for kind in [131, 137] {
        assert_dropped(eth(A1.mac, RA.mac, options(B1.ip, &[kind, 7, 4, 10, 0, 0, 1, 0])), "src_route");
        assert_dropped(eth(A1.mac, RA.mac, options(B1.ip, &[1, kind, 3, 4])), "src_route");
    }
    let passes = |o: &[u8]| {
        let frame = eth(A1.mac, RA.mac, options(B1.ip, o));
        let out = eth(RB.mac, B1.mac, ip4(A1.ip, B1.ip).ttl(63).options(o).udp(1, 2, b"x"));
        Rig::h1().one(A1.door, frame).assert_sent(A1.door, LOCAL, &[(B1.door, out)]);
    };
    passes(&[148, 4, 0, 0]); // router alert
    passes(&[7, 7, 4, 0, 0, 0, 0, 0]); // record route: passes untouched
    passes(&[0, 131, 3, 4]); // behind the end of the list there are no options
}

/// Rules: R1.
#[test]
fn a_martian_source_or_destination_is_martian() {
    for src in
        ["127.0.0.1", "127.255.255.255", "0.0.0.1", "0.255.0.0", "224.0.0.1", "239.255.255.255", "255.255.255.255"]
    {
        assert_dropped(eth(A1.mac, RA.mac, ip4(ip(src), B1.ip).udp(1, 2, b"")), "martian");
    }
    for own in [RA.ip, RB.ip, RV.ip, RC1.ip] {
        assert_dropped(eth(A1.mac, RA.mac, ip4(own, B1.ip).udp(1, 2, b"")), "martian");
    }
    for dst in ["127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.18", "239.1.1.1", "255.255.255.255"] {
        assert_dropped(to(ip(dst)), "martian");
    }
    // 0.0.0.0 in port 68 to 67 is a DHCP client's, and still not routed.
    assert_dropped(eth(A1.mac, RA.mac, ip4(0, B1.ip).udp(68, 67, b"")), "martian");
}

/// Rules: R1.
#[test]
fn link_local_addresses_are_not_routed() {
    assert_dropped(to(ip("169.254.0.1")), "link_local");
    assert_dropped(to(ip("169.254.255.255")), "link_local");
    assert_dropped(eth(A1.mac, RA.mac, ip4(ip("169.254.3.4"), B1.ip).udp(1, 2, b"")), "link_local");
    // Next door they are.
    for dst in ["169.253.255.255", "169.255.0.0"] {
        assert_eq!(free().one(A1.door, to(ip(dst))).moved.get("drop.link_local"), None);
    }
}

/// Rules: R1.
#[test]
fn a_source_that_port_security_vouched_for_excuses_no_destination() {
    for dst in ["127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "224.0.0.18", "239.1.1.1", "255.255.255.255"] {
        Rig::h1().one(A1.door, to(ip(dst))).assert_dropped(A1.door, HERE, "martian"); // R1
    }
    for dst in ["169.254.0.1", "169.254.255.255"] {
        Rig::h1().one(A1.door, to(ip(dst))).assert_dropped(A1.door, HERE, "link_local");
    }
}

#[test]
fn one_martian_address_does_not_hide_another() {
    for (src, dst) in [("127.0.0.1", "127.0.0.1"), ("0.0.0.1", "224.0.0.1"), ("240.0.0.1", "127.0.0.1")] {
        assert_dropped(eth(A1.mac, RA.mac, ip4(ip(src), ip(dst)).udp(1, 2, b"")), "martian");
    }
    assert_dropped(eth(A1.mac, RA.mac, ip4(ip("169.254.1.1"), ip("169.254.1.2")).udp(1, 2, b"")), "link_local");
}

/// Rules: R2-m (until built).
#[test]
fn whatever_goes_to_the_metadata_address_is_meta_blocked() {
    let meta = ip("169.254.169.254");
    assert_dropped(eth(A1.mac, RA.mac, ip4(A1.ip, meta).tcp(40000, 80)), "meta_blocked");
    assert_dropped(eth(A1.mac, RA.mac, ip4(A1.ip, meta).tcp(40000, 443)), "meta_blocked");
    assert_dropped(eth(A1.mac, RA.mac, ip4(A1.ip, meta).udp(40000, 80, b"")), "meta_blocked");
    assert_dropped(eth(A1.mac, RA.mac, ip4(A1.ip, meta).echo(1, 1, b"")), "meta_blocked");
}

/// Rules: R1.
#[test]
fn the_metadata_address_comes_before_link_local_whoever_asks() {
    let (from, meta) = (ip("169.254.3.4"), ip("169.254.169.254"));
    assert_dropped(eth(A1.mac, RA.mac, ip4(from, meta).tcp(40000, 80)), "meta_blocked");
    assert_dropped(eth(A1.mac, RA.mac, ip4(from, meta).udp(40000, 80, b"")), "meta_blocked");
}

#[test]
fn ipv6_to_a_router_is_ipv6_unrouted() {
    let frame = eth(A1.mac, RA.mac, v6(A1_V6, ip6("2001:db8::7")).udp(1, 2, b""));
    Rig::h1().one(A1.door, frame).assert_dropped(A1.door, HERE, "ipv6_unrouted");
}

/// Rules: R2.
#[test]
fn what_is_not_ip_ends_at_the_router() {
    free().one(A1.door, eth(A1.mac, RA.mac, other(0x9999, &[1, 2, 3]))).assert_consumed(A1.door, HERE);
    free().one(A1.door, eth(A1.mac, RA.mac, rarp(A1.mac))).assert_consumed(A1.door, HERE);
}

/// Rules: R3, R9, ICMP, D3.
#[test]
fn ttl_falls_by_one_and_runs_out_at_one() {
    for ttl in [255, 64, 2] {
        let out = Rig::h1().one(A1.door, eth(A1.mac, RA.mac, packet(B1.ip, ttl)));
        out.assert_sent(A1.door, LOCAL, &[(B1.door, eth(RB.mac, B1.mac, packet(B1.ip, ttl - 1)))]);
    }
    for ttl in [1, 0] {
        assert_told(&mut free(), packet(B1.ip, ttl), "ttl", EXCEEDED, RA.ip); // EW-11
    }
}

/// Rules: R9.
#[test]
fn the_checksum_is_right_after_the_ttl_fell_whatever_it_was() {
    for id in 0..=u16::MAX {
        let old = !crate::wire::fold(u64::from(id) + 0x4011);
        let new = !crate::wire::fold(u64::from(id) + 0x3f11);
        assert_eq!(crate::wire::update(old, 0x4011, 0x3f11), new);
    }
}

/// Rules: R9.
#[test]
fn a_routed_frame_is_cut_to_its_ip_length() {
    let out = Rig::h1().one(A1.door, padded(&to(B1.ip), 12));
    out.assert_sent(A1.door, LOCAL, &[(B1.door, eth(RB.mac, B1.mac, packet(B1.ip, 63)))]);
}

/// Rules: R4-1, R7, R9, O2, O3.
#[test]
fn to_a_subnet_of_another_host() {
    let out = Rig::h1().one(A1.door, to(B2.ip));
    let inner = eth(H1.dvr, B2.mac, packet(B2.ip, 63));
    out.assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H2, 1002, &inner))]);
}

/// Rules: R7, D2.
#[test]
fn a_peer_that_never_sent_a_frame_is_reached_without_flooding() {
    let frame = |src, dst, ttl| eth(src, dst, ip4(B1.ip, A2.ip).ttl(ttl).udp(1, 2, b"")); // L2-06
    let out = Rig::h1().one(B1.door, frame(B1.mac, RB.mac, 64));
    out.assert_sent(B1.door, OUT, &[(Tunnel, vx(H1, H2, 1001, &frame(H1.dvr, A2.mac, 63)))]);
}

/// Rules: L1, R9.
#[test]
fn a_routed_frame_may_return_to_the_port_it_came_from() {
    // A second subnet on A, on the same interface: A1 to its own other address.
    let other = ip("10.11.0.11");
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| r1.routes = routes(R1, &[extra([10, 11, 0, 0], RA.ix, 0)]));
        r.neighbour(A, other, A1.mac, Target::Port(0), NeighValue::ROUTE);
    });
    let out = rig.one(A1.door, to(other));
    out.assert_sent(A1.door, LOCAL, &[(A1.door, eth(RA.mac, A1.mac, packet(other, 63)))]);
}

/// Rules: R4-1, R7.
#[test]
fn an_extra_route_leads_to_its_next_hops_mac() {
    let dst = ip("192.168.50.9"); // EW-09
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| r1.routes = routes(R1, &[extra([192, 168, 50, 0], RB.ix, B2.ip)]));
    });
    let inner = eth(H1.dvr, B2.mac, packet(dst, 63));
    rig.one(A1.door, to(dst)).assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H2, 1002, &inner))]);
}

/// By the route, though somebody on that network has the very address: it is not on the router's subnet.
///
/// Rules: R4-1, R7.
#[test]
fn a_route_counts_more_than_a_neighbour_with_the_destinations_address() {
    let dst = ip("192.168.50.9");
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| r1.routes = routes(R1, &[extra([192, 168, 50, 0], RB.ix, B2.ip)]));
        r.neighbour(B, dst, B1.mac, Target::Port(2), NeighValue::ROUTE);
    });
    let inner = eth(H1.dvr, B2.mac, packet(dst, 63));
    rig.one(A1.door, to(dst)).assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H2, 1002, &inner))]);
}

/// Rules: R7, R7-probe.
#[test]
fn for_an_address_nobody_has_yet_a_packet_waits() {
    let nobody = ip("10.2.0.99");
    Rig::h1().one(A1.door, to(nobody)).assert_waits(A1.door, HERE, (B, nobody)); // EW-15
    // A broadcast address has nobody to answer for it (RFC 1812, 4.3.2.7).
    Rig::h1().one(A1.door, to(ip("10.2.0.255"))).assert_dropped(A1.door, HERE, "no_neigh");
    // A row that only answers ARP is no next hop, and nobody to ask for.
    let mut rig = Rig::h1_with(|r| {
        let there = r.target(B2);
        r.neighbour(B, B2.ip, B2.mac, there, NeighValue::ANSWER);
    });
    rig.one(A1.door, to(B2.ip)).assert_dropped(A1.door, HERE, "no_neigh");
}

/// Rules: R7, R7-probe, ICMP.
#[test]
fn an_address_that_did_not_answer_is_no_neigh_and_the_sender_is_told() {
    let nobody = ip("10.2.0.99");
    let mut rig = Rig::h1_with(|r| {
        r.neigh.insert((B, nobody), NeighValue::UNANSWERED);
    });
    assert_told(&mut rig, packet(nobody, 64), "no_neigh", HOST, RA.ip);
}

/// Rules: R7, D1.
#[test]
fn a_neighbour_of_another_network_is_no_neighbour() {
    // 10.1.0.11 is on A and on Z, and nobody has it on B.
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| r1.routes = routes(R1, &[extra([192, 168, 50, 0], RB.ix, A1.ip)]));
    });
    rig.one(A1.door, to(ip("192.168.50.9"))).assert_waits(A1.door, HERE, (B, A1.ip));
}

/// B1's neighbour row says: ask the forwarding database.
fn by_fdb(r: &mut Rows) {
    r.neighbour(B, ip("10.2.0.50"), mac("fa:16:3e:0b:00:50"), Target::Fdb, NeighValue::ROUTE);
}

/// Rules: R7, L1.
#[test]
fn a_neighbour_of_unknown_place_goes_where_its_mac_was_learned() {
    let mut rig = Rig::h1_with(by_fdb);
    let neighbour = mac("fa:16:3e:0b:00:50");
    let dst = ip("10.2.0.50");
    rig.learn(B, neighbour, Target::Tunnel(1));
    let inner = eth(H1.dvr, neighbour, packet(dst, 63));
    let path = "ingress decode vm_port qrouter local_switching dvr_process vxlan_encap egress";
    rig.one(A1.door, to(dst)).assert_sent(A1.door, path, &[(Tunnel, vx(H1, H2, 1002, &inner))]);
}

/// Rules: D2, L3.
#[test]
fn a_neighbour_whose_mac_nobody_knows_is_not_flooded_to_the_fabric() {
    let mut rig = Rig::h1_with(|r| {
        by_fdb(r);
        r.seg(B, |s| s.flood_unknown = true);
    });
    let out = rig.one(A1.door, to(ip("10.2.0.50"))); // D2
    let path = "ingress decode vm_port qrouter local_switching dvr_process egress flood_to_tun";
    out.assert_dropped(A1.door, path, "unknown_unicast");
}

/// Rules: R6.
#[test]
fn different_address_scopes_are_not_routed_between() {
    for (a, b) in [(0, 7), (7, 0), (7, 8)] {
        let mut rig = Rig::h1_with(|r| {
            r.iface(RA, |i| i.scope = a);
            r.iface(RB, |i| i.scope = b);
        });
        rig.one(A1.door, to(B1.ip)).assert_dropped(A1.door, HERE, "scope"); // EW-13
    }
    let mut same = Rig::h1_with(|r| [RA, RB].iter().for_each(|i| r.iface(*i, |i| i.scope = 7)));
    let frame = eth(RB.mac, B1.mac, packet(B1.ip, 63));
    same.one(A1.door, to(B1.ip)).assert_sent(A1.door, LOCAL, &[(B1.door, frame)]);
}

/// Rules: R3, R7.
#[test]
fn ttl_is_asked_before_the_address_scopes_and_before_the_neighbour() {
    let changes: [fn(&mut Rows); 3] = [
        |r| r.iface(RB, |i| i.scope = 7),       // R6
        |r| r.iface(RB, |i| i.up = false),      // R0 on the way out
        |r| r.snap.interfaces.set(RB.ix, None), // R7
    ];
    for change in changes {
        assert_told(&mut Rig::h1_with(change), packet(B1.ip, 1), "ttl", EXCEEDED, RA.ip);
    }
    assert_told(&mut Rig::h1(), packet(ip("10.2.0.99"), 1), "ttl", EXCEEDED, RA.ip);
    assert_told(&mut Rig::h1(), packet(E, 1), "ttl", EXCEEDED, RA.ip); // before R4-2
}

#[test]
fn a_vip_goes_to_its_first_owner() {
    let frame = |src, dst, ttl| eth(src, dst, ip4(B1.ip, VIP).ttl(ttl).udp(1, 2, b"")); // VIP-02
    let out = Rig::h1().one(B1.door, frame(B1.mac, RB.mac, 64));
    out.assert_sent(B1.door, LOCAL, &[(A1.door, frame(RA.mac, A1.mac, 63))]);
}

/// Rules: L1.
#[test]
fn a_neighbour_whose_port_is_down_is_port_down() {
    let mut rig = Rig::h1_with(|r| r.down(B1));
    rig.one(A1.door, to(B1.ip)).assert_dropped(A1.door, LOCAL, "port_down");
}

/// Rules: R8, R8-icmp, ICMP.
#[test]
fn the_next_networks_mtu_is_the_limit_and_padding_does_not_count() {
    let sized = |n: usize| ip4(A1.ip, B1.ip).udp(1, 2, &vec![0; n - 28]);
    let mut rig = Rig::h1_with(|r| r.iface(RB, |i| i.mtu = 600));
    let forwarded = ip4(A1.ip, B1.ip).ttl(63).udp(1, 2, &vec![0; 600 - 28]);
    let out = rig.one(A1.door, padded(&eth(A1.mac, RA.mac, sized(600)), 30));
    out.assert_sent(A1.door, LOCAL, &[(B1.door, eth(RB.mac, B1.mac, forwarded))]);
    let df = |n: usize| ip4(A1.ip, B1.ip).df().udp(1, 2, &vec![0; n - 28]);
    assert_told(&mut rig, df(601), "mtu", too_big(600), RA.ip); // MTU-01
    let forwarded = ip4(A1.ip, B1.ip).df().ttl(63).udp(1, 2, &vec![0; 600 - 28]);
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, df(600)));
    out.assert_sent(A1.door, LOCAL, &[(B1.door, eth(RB.mac, B1.mac, forwarded))]);
}

/// Rules: R4-4, R7.
#[test]
fn without_a_route_the_source_subnets_sg_port_is_the_next_hop() {
    // SN-01, from A3, which has no floating IP.
    let frame = |src, dst, ttl| eth(src, dst, ip4(A3.ip, E).ttl(ttl).tcp(40000, 80));
    let out = Rig::h1().one(A3.door, frame(A3.mac, RA.mac, 64));
    out.assert_sent(A3.door, OUT, &[(Tunnel, vx(H1, H3, 1001, &frame(H1.dvr, SGA.mac, 63)))]);
}

/// Rules: R4, R4-4.
#[test]
fn the_sg_port_is_chosen_by_the_source_address_not_by_the_interface() {
    // An address of B, routed in through rA: B's sg port, on B.
    let mut rig = Rig::h1_with(|r| r.unsecure(A1));
    let source = ip("10.2.0.200");
    let frame = |src, dst, ttl| eth(src, dst, ip4(source, E).ttl(ttl).udp(1, 2, b""));
    let out = rig.one(A1.door, frame(A1.mac, RA.mac, 64));
    out.assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H3, 1002, &frame(H1.dvr, SGB.mac, 63)))]);
}

/// Rules: R4-4, o5.
#[test]
fn sn_01_in_any_order_of_rows() {
    let frame = |src, dst, ttl| eth(src, dst, ip4(A3.ip, E).ttl(ttl).tcp(40000, 80));
    let expect = [(Tunnel, vx(H1, H3, 1001, &frame(H1.dvr, SGA.mac, 63)))];
    let full = Rows::h1();
    // The router first, its sg port's neighbour row after it (1933092).
    let mut rows = full.clone();
    let row = rows.neigh.remove(&(A, SGA.ip)).unwrap();
    let mut rig = Rig::new(rows);
    rig.one(A3.door, frame(A3.mac, RA.mac, 64)).assert_waits(A3.door, HERE, (A, SGA.ip));
    rig.neigh.put(&ip4_key(A, SGA.ip), row.to_word()).unwrap();
    assert_eq!(rig.wake().sent, expect, "the one that waited");
    rig.one(A3.door, frame(A3.mac, RA.mac, 64)).assert_sent(A3.door, OUT, &expect);
    // T16 and the neighbour first, the router (T10) after them.
    let mut rows = full.clone();
    rows.router(R1, |r1| r1.active = false);
    let mut rig = Rig::new(rows);
    rig.one(A3.door, frame(A3.mac, RA.mac, 64)).assert_dropped(A3.door, HERE, "router_down");
    rig.publish(&full);
    rig.one(A3.door, frame(A3.mac, RA.mac, 64)).assert_sent(A3.door, OUT, &expect);
    // The router first, T16 after it.
    let mut rows = full.clone();
    rows.router(R1, |r1| r1.snat = Box::default());
    let mut rig = Rig::new(rows);
    let lost = ip4(A3.ip, E).tcp(40000, 80);
    let told = eth(RA.mac, A3.mac, icmp_error(RA.ip, NET, &lost));
    rig.one(A3.door, frame(A3.mac, RA.mac, 64)).assert_told(A3.door, TOLD, "no_route", told);
    rig.publish(&full);
    rig.one(A3.door, frame(A3.mac, RA.mac, 64)).assert_sent(A3.door, OUT, &expect);
}

/// Rules: R4, R4-1, R4-2.
#[test]
fn a_source_with_a_floating_ip_here_leaves_by_it_off_its_subnets_only() {
    let outside = ip4(FIP_A1, E).ttl(63).udp(1000, 2000, b"routed"); // FIP-01
    let frame = tagged(&eth(fg(H1).0, GX.0, outside), &[100]);
    Rig::h1().one(A1.door, to(E)).assert_sent(A1.door, FIP, &[(Phys(1), frame)]);
    let out = Rig::h1().one(A1.door, to(B1.ip)); // FIP-08: east-west between FIP owners
    out.assert_sent(A1.door, LOCAL, &[(B1.door, eth(RB.mac, B1.mac, packet(B1.ip, 63)))]);
}

/// Rules: R4-4.
#[test]
fn a_host_without_external_networks_sends_floating_ips_to_the_sg_port() {
    let mut rig = Rig::h1_with(|r| r.router(R1, |r1| r1.fip_here = false));
    let inner = eth(H1.dvr, SGA.mac, packet(E, 63));
    rig.one(A1.door, to(E)).assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H3, 1001, &inner))]);
}

/// Rules: R4, R4-3.
#[test]
fn a_source_subnet_of_the_external_scope_leaves_untranslated_and_others_by_their_sg_port() {
    let mut rig = Rig::h1_with(|r| {
        r.unsecure(A3);
        r.router(R1, |r1| r1.scoped = [(ip("10.1.0.0"), MASK24)].into()); // R4-3 before R4-4
    });
    let frame = |src, dst, from, ttl| eth(src, dst, ip4(from, E).ttl(ttl).tcp(40000, 80));
    let outside = tagged(&frame(fg(H1).0, GX.0, A3.ip, 63), &[100]);
    let out = rig.one(A3.door, frame(A3.mac, RA.mac, A3.ip, 64));
    out.assert_sent(A3.door, FIP, &[(Phys(1), outside)]);
    let of_b = ip("10.2.0.200");
    let out = rig.one(A3.door, frame(A3.mac, RA.mac, of_b, 64));
    out.assert_sent(A3.door, OUT, &[(Tunnel, vx(H1, H3, 1002, &frame(H1.dvr, SGB.mac, of_b, 63)))]);
}

/// Rules: R4-5.
#[test]
fn a_gateway_here_without_an_sg_port_is_snat_no_state() {
    let mut rig = Rig::h1_with(|r| {
        r.router(R1, |r1| (r1.snat, r1.gateway_here, r1.fip_here) = (Box::default(), true, false));
    });
    rig.one(A1.door, to(E)).assert_dropped(A1.door, HERE, "snat_no_state");
}

/// Rules: R4-1.
#[test]
fn an_extra_default_route_hides_every_way_out() {
    let mut rig = Rig::h1_with(|r| {
        let default = Route { net: 0, len: 0, hops: vec![Hop::new(RB.ix, B2.ip)] };
        r.router(R1, |r1| r1.routes = routes(R1, &[default]));
    });
    let inner = eth(H1.dvr, B2.mac, packet(E, 63));
    rig.one(A1.door, to(E)).assert_sent(A1.door, OUT, &[(Tunnel, vx(H1, H2, 1002, &inner))]);
}

/// Rules: R4, ICMP.
#[test]
fn a_router_without_gateway_has_no_route_out() {
    let lost = ip4(K1.ip, E).udp(1, 2, b""); // EW-14
    let told = eth(RK.mac, K1.mac, icmp_error(RK.ip, NET, &lost));
    Rig::h1().one(K1.door, eth(K1.mac, RK.mac, lost)).assert_told(K1.door, TOLD, "no_route", told);
}

/// Rules: L1.
#[test]
fn to_an_sg_mac_of_this_host_is_snat_no_state() {
    let mut rig = Rig::h1_with(|r| r.neighbour(A, SGA.ip, SGA.mac, Target::Snat, NeighValue::ROUTE));
    let frame = eth(A3.mac, RA.mac, ip4(A3.ip, E).udp(1, 2, b""));
    rig.one(A3.door, frame).assert_dropped(A3.door, HERE, "snat_no_state");
}

#[test]
fn a_broadcast_ip_packet_is_bridged_not_routed() {
    let frame = eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, B1.ip).udp(1, 2, b""));
    assert!(!Rig::h1().one(A1.door, frame).moved.contains_key("stage.qrouter.packets"));
}
