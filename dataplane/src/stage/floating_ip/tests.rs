//! FO, FO1, FO2, FO3, FO4, FI: floating IPs, out, in, and from one to another on the host.

use crate::addr::MacAddr;
use crate::burst::Door::{Phys, Tunnel};
use crate::tables::*;
use crate::testkit::*;
use crate::trace::{Field, Note};
use etherparse::Icmpv4Type;

const HERE: &str = "ingress decode vm_port qrouter";
const LOCAL: &str = "ingress decode vm_port qrouter dvr_process egress";
const OUT: &str = "ingress decode vm_port qrouter dvr_process lv_to_phys egress";
const TOLD: &str = "ingress decode vm_port qrouter icmp_error egress";
const IN: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun qrouter";
const TOLD_OUTSIDE: &str =
    "ingress decode phys_to_lv learning_blocker learn_from_tun qrouter icmp_error lv_to_phys egress";
const DELIVERED: &str = "ingress decode phys_to_lv learning_blocker learn_from_tun qrouter dvr_process egress";
const FG: MacAddr = fg(H1).0;

/// From A1 to its router.
fn from_a1(p: Payload) -> Vec<u8> {
    eth(A1.mac, RA.mac, p)
}

/// From gX to fg-.
fn from_gx(p: Payload) -> Vec<u8> {
    ext(&eth(GX.0, FG, p))
}

/// Rules: FO, FO1, FO4, R4-2, O2, O4, D3, D6.
#[test]
fn out_with_the_floating_ip_and_every_checksum_right() {
    let kinds: [fn(Ip4) -> Payload; 4] = [
        |p| p.tcp(40000, 443), // FIP-01
        |p| p.udp(53, 53, b"odd"),
        |p| p.echo(7, 1, b"ping"),
        |p| p.carry(47, b"GRE has no sum"),
    ];
    for of in kinds {
        let out = Rig::h1().one(A1.door, from_a1(of(ip4(A1.ip, E))));
        let sent = ext(&eth(FG, GX.0, of(ip4(FIP_A1, E).ttl(63))));
        out.assert_sent(A1.door, OUT, &[(Phys(1), sent)]);
    }
}

/// Rules: D6.
#[test]
fn udp_without_a_checksum_stays_without() {
    let plain = |p: Ip4| p.carry(17, &[0, 1, 0, 2, 0, 10, 0, 0, 5, 6]);
    let out = Rig::h1().one(A1.door, from_a1(plain(ip4(A1.ip, E))));
    out.assert_sent(A1.door, OUT, &[(Phys(1), ext(&eth(FG, GX.0, plain(ip4(FIP_A1, E).ttl(63)))))]);
}

/// Rules: FO1.
#[test]
fn on_link_the_next_hop_is_the_destination_and_elsewhere_the_gateway() {
    let near = (mac("02:ee:00:00:00:09"), ip("203.0.113.9"));
    let mut rig = Rig::h1_with(|r| r.neighbour(X, near.1, near.0, Target::Phys, NeighValue::ROUTE));
    let sent = ext(&eth(FG, near.0, ip4(FIP_A1, near.1).ttl(63).tcp(1, 2)));
    rig.one(A1.door, from_a1(ip4(A1.ip, near.1).tcp(1, 2))).assert_sent(A1.door, OUT, &[(Phys(1), sent)]);
    // Without any way in that plane there is no route.
    let mut rig = Rig::h1_with(|r| r.router(R1, |r1| r1.fip_routes = RouteSet::default()));
    let lost = ip4(A1.ip, E).tcp(1, 2);
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, NET, &lost));
    rig.one(A1.door, from_a1(lost)).assert_told(A1.door, TOLD, "no_route", told);
}

/// Rules: FO, FO4, R7-probe.
#[test]
fn a_floating_ip_of_another_host_is_asked_for_outside_and_then_sent_to() {
    let frame = |src, dst, from, ttl| eth(src, dst, ip4(from, FIP_B2).ttl(ttl).echo(1, 1, b"")); // FIP-09
    let mut rig = Rig::h1();
    let out = rig.one(A1.door, frame(A1.mac, RA.mac, A1.ip, 64));
    out.assert_waits(A1.door, HERE, (X, FIP_B2));
    rig.neigh.put(&ip4_key(X, FIP_B2), NeighValue::host(fg(H2).0, Target::Phys, NeighValue::ROUTE).to_word()).unwrap();
    let out = rig.wake();
    assert_eq!(out.sent, [(Phys(1), ext(&frame(FG, fg(H2).0, FIP_A1, 63)))]);
    out.assert_moved("decode qrouter dvr_process lv_to_phys egress", "sent 1, phys.1.tx 1");
}

/// Rules: R4-2, F41.
#[test]
fn without_a_floating_ip_of_its_own_a_vm_goes_by_the_sg_port_even_to_one() {
    let frame = |src, dst, ttl| eth(src, dst, ip4(A3.ip, FIP_A1).ttl(ttl).echo(1, 1, b"")); // FIP-07
    let out = Rig::h1().one(A3.door, frame(A3.mac, RA.mac, 64));
    let path = "ingress decode vm_port qrouter dvr_process vxlan_encap egress";
    out.assert_sent(A3.door, path, &[(Tunnel, vx(H1, H3, 1001, &frame(H1.dvr, SGA.mac, 63)))]);
}

/// Rules: FI, R9, D6.
#[test]
fn in_to_the_fixed_address_with_every_checksum_right() {
    let kinds: [fn(Ip4) -> Payload; 4] =
        [|p| p.tcp(5000, 22), |p| p.udp(53, 53, b"odd"), |p| p.echo(7, 1, b"ping"), |p| p.carry(47, b"GRE")];
    for of in kinds {
        let out = Rig::h1().one(Phys(1), from_gx(of(ip4(E, FIP_A1).ttl(60)))); // FIP-02
        let sent = eth(RA.mac, A1.mac, of(ip4(E, A1.ip).ttl(59)));
        out.assert_sent(Phys(1), DELIVERED, &[(A1.door, sent)]);
    }
}

/// The checksum above IP is behind the options.
///
/// Rules: FO, FI, D6.
#[test]
fn packets_with_options_are_translated_like_others() {
    let kinds: [fn(Ip4) -> Payload; 2] = [|p| p.tcp(5000, 22), |p| p.udp(53, 53, b"twelve bytes")];
    let options = [7, 7, 4, 0, 0, 0, 0, 0]; // record route: passes untouched
    for of in kinds {
        let packet = |src, dst, ttl| of(ip4(src, dst).ttl(ttl).options(&options));
        let out = Rig::h1().one(Phys(1), from_gx(packet(E, FIP_A1, 60)));
        out.assert_sent(Phys(1), DELIVERED, &[(A1.door, eth(RA.mac, A1.mac, packet(E, A1.ip, 59)))]);
        let out = Rig::h1().one(A1.door, from_a1(packet(A1.ip, E, 64)));
        out.assert_sent(A1.door, OUT, &[(Phys(1), ext(&eth(FG, GX.0, packet(FIP_A1, E, 63))))]);
    }
}

/// Rules: FI, D6.
#[test]
fn fragments_keep_their_offsets() {
    let data = [7u8; 40];
    let udp = ip4(E, FIP_A1).udp(1, 2, &data).bytes;
    let inside = ip4(E, A1.ip).udp(1, 2, &data).bytes;
    for (offset, more, range) in [(0, true, 20..44), (3, false, 44..68)] {
        let frame = from_gx(ip4(E, FIP_A1).fragment(offset, more).carry(17, &udp[range.clone()]));
        let sent = eth(RA.mac, A1.mac, ip4(E, A1.ip).ttl(63).fragment(offset, more).carry(17, &inside[range]));
        Rig::h1().one(Phys(1), frame).assert_sent(Phys(1), DELIVERED, &[(A1.door, sent)]);
    }
}

/// An ICMP 3/3 of `from` to `to` that quotes UDP of `src` to `dst`.
fn refused(from: u32, to: u32, ttl: u8, (src, dst): (u32, u32)) -> Payload {
    let quote = ip4(src, dst).ttl(60).udp(53, 53, b"?").bytes;
    ip4(from, to)
        .ttl(ttl)
        .icmp(Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Port), &quote)
}

/// Rules: FO, FI, D6.
#[test]
fn packets_quoted_in_icmp_errors_are_translated_too() {
    let out = Rig::h1().one(Phys(1), from_gx(refused(E, FIP_A1, 64, (FIP_A1, E)))); // FIP-11
    let sent = eth(RA.mac, A1.mac, refused(E, A1.ip, 63, (A1.ip, E)));
    out.assert_sent(Phys(1), DELIVERED, &[(A1.door, sent)]);
    let out = Rig::h1().one(A1.door, from_a1(refused(A1.ip, E, 64, (E, A1.ip))));
    let sent = ext(&eth(FG, GX.0, refused(FIP_A1, E, 63, (E, FIP_A1))));
    out.assert_sent(A1.door, OUT, &[(Phys(1), sent)]);
}

/// Rules: FI.
#[test]
fn what_is_no_floating_ip_of_this_host_is_fip_not_local() {
    // FIP-14, FIP-16, gX, an address inside.
    for dst in [FIP_B2, ip("203.0.113.110"), GX.1, A1.ip, E] {
        let out = Rig::h1().one(Phys(1), from_gx(ip4(E, dst).udp(1, 2, b"")));
        out.assert_dropped(Phys(1), IN, "fip_not_local");
    }
    // Nobody's ping is answered in another's name.
    let ping = from_gx(ip4(E, GX.1).echo(1, 1, b""));
    Rig::h1().one(Phys(1), ping).assert_dropped(Phys(1), IN, "fip_not_local");
    let mut rig = Rig::h1_with(|r| {
        r.neigh.insert((X, FIP_B2), NeighValue::ASKED);
    });
    let out = rig.one(A1.door, from_a1(ip4(A1.ip, FIP_B2).echo(1, 1, b"")));
    assert_eq!((out.sent.len(), out.held), (0, 1), "asked for, not here");
    // A row of a batch that this burst does not see yet.
    let mut rig = Rig::h1_with(|r| r.floating_ip(NO_ROUTER, A1.ip, FIP_B2));
    let out = rig.one(Phys(1), from_gx(ip4(E, FIP_B2).udp(1, 2, b"")));
    out.assert_dropped(Phys(1), IN, "fip_not_local");
}

/// Rules: FI.
#[test]
fn the_fg_address_answers_ping_and_nothing_else() {
    let me = fg(H1).1;
    let reply = ext(&eth(FG, GX.0, ip4(me, E).echo_reply(1, 1, b"x"))); // FIP-15
    let path = "ingress decode phys_to_lv learning_blocker learn_from_tun qrouter dvr_process lv_to_phys egress";
    let out = Rig::h1().one(Phys(1), from_gx(ip4(E, me).ttl(9).echo(1, 1, b"x")));
    out.assert_answered(Phys(1), path, "qrouter", reply);
    let rest = [
        ip4(E, me).tcp(5000, 22),
        ip4(E, me).udp(1, 2, b""),
        ip4(E, me).echo_reply(1, 1, b""),
        ip4(E, me).carry(47, b""),
        ip4(E, me).fragment(0, true).carry(1, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
    ];
    for p in rest {
        Rig::h1().one(Phys(1), from_gx(p)).assert_dropped(Phys(1), IN, "fip_not_local");
    }
    let bad = with(&from_gx(ip4(E, me).echo(1, 1, b"x")), 40, &[0xba, 0xad]);
    Rig::h1().one(Phys(1), bad).assert_dropped(Phys(1), IN, "ct_invalid");
}

/// The request leaves with the floating IP; the answer to that comes back through the router, which takes one TTL.
/// Rules: FI, FO3.
#[test]
fn the_fg_address_answers_from_inside_too_and_is_no_next_hop() {
    let me = fg(H1).1;
    let reply = eth(RA.mac, A1.mac, ip4(me, A1.ip).ttl(63).echo_reply(1, 1, b"x"));
    let out = Rig::h1().one(A1.door, from_a1(ip4(A1.ip, me).ttl(9).echo(1, 1, b"x")));
    out.assert_answered(A1.door, LOCAL, "qrouter", reply);
    for p in [ip4(A1.ip, me).tcp(5000, 22), ip4(A1.ip, me).udp(1, 2, b""), ip4(A1.ip, me).echo_reply(1, 1, b"")] {
        Rig::h1().one(A1.door, from_a1(p)).assert_dropped(A1.door, HERE, "fip_not_local");
    }
    let out = Rig::h1().one(A1.door, from_a1(ip4(A1.ip, me).ttl(1).echo(1, 1, b"")));
    assert_eq!((out.sent.len(), out.moved.get("drop.ttl")), (1, Some(&1)));
    let mut by_fg = Rig::h1_with(|r| {
        let to_fg = Route { net: 0, len: 0, hops: vec![Hop::new(FG_IX, me)] };
        r.router(R1, |r1| r1.fip_routes = RouteSet::new([to_fg.clone()]));
    });
    by_fg.one(A1.door, from_a1(ip4(A1.ip, E).echo(1, 1, b""))).assert_dropped(A1.door, HERE, "no_neigh");
}

/// Rules: R1, FI.
#[test]
fn fg_does_not_talk_to_itself() {
    let me = fg(H1).1;
    Rig::h1().one(Phys(1), from_gx(ip4(me, me).echo(1, 1, b""))).assert_dropped(Phys(1), IN, "martian");
    Rig::h1().one(Phys(1), from_gx(ip4(me, FIP_A1).echo(1, 1, b""))).assert_dropped(Phys(1), IN, "martian");
}

/// Rules: R0, R1, I0.
#[test]
fn the_fip_namespace_and_its_routers_have_the_rules_of_routers() {
    let bad = |p: Payload, reason| {
        Rig::h1().one(Phys(1), from_gx(p)).assert_dropped(Phys(1), IN, reason);
    };
    bad(ip4(ip("127.0.0.1"), FIP_A1).udp(1, 2, b""), "martian");
    bad(ip4(E, ip("224.0.0.5")).udp(1, 2, b""), "martian");
    bad(ip4(E, ip("169.254.3.4")).udp(1, 2, b""), "link_local");
    bad(ip4(E, FIP_A1).options(&[131, 7, 4, 10, 0, 0, 1, 0]).udp(1, 2, b""), "src_route");
    bad(ip4(RA.ip, FIP_A1).udp(1, 2, b""), "martian"); // at R1
    let sum = with(&from_gx(ip4(E, FIP_A1).udp(1, 2, b"")), 28, &[0xba, 0xad]);
    Rig::h1().one(Phys(1), sum).assert_dropped(Phys(1), IN, "parse_csum");
    let fg_down = |r: &mut Rows| {
        let row = r.snap.interfaces.get(FG_IX).cloned().unwrap();
        r.snap.interfaces.set(FG_IX, Some(InterfaceRow { up: false, ..row }));
    };
    let frame = || from_gx(ip4(E, FIP_A1).udp(1, 2, b""));
    Rig::h1_with(fg_down).one(Phys(1), frame()).assert_dropped(Phys(1), IN, "router_down");
    let out = Rig::h1_with(fg_down).one(A1.door, from_a1(ip4(A1.ip, E).udp(1, 2, b"")));
    out.assert_dropped(A1.door, HERE, "router_down");
    let mut rig = Rig::h1_with(|r| r.router(R1, |r1| r1.active = false));
    rig.one(Phys(1), frame()).assert_dropped(Phys(1), IN, "router_down");
}

/// Rules: FI, R4-1.
#[test]
fn what_came_in_takes_connected_and_extra_routes_only() {
    // K1 is behind R2: two routers, and the fip namespace is none.
    let mut rig = Rig::h1_with(|r| r.floating_ip(R1, K1.ip, FIP_B2));
    let sent = eth(RK.mac, K1.mac, ip4(E, K1.ip).ttl(62).tcp(1, 2));
    rig.one(Phys(1), from_gx(ip4(E, FIP_B2).tcp(1, 2))).assert_sent(Phys(1), DELIVERED, &[(K1.door, sent)]);
    // Neither FO, nor an sg- port, nor the gateway's default, whoever it seems to come from.
    let lost = ip("192.168.99.9");
    let ways: [fn(&mut Rows); 3] = [
        |_| (),
        |r| r.router(R1, |r1| r1.scoped = [(0, 0)].into()),
        |r| r.router(R1, |r1| (r1.snat, r1.gateway_here) = (Box::default(), true)),
    ];
    for src in [E, A1.ip, A3.ip] {
        for way in ways {
            let mut rig = Rig::h1_with(|r| {
                r.floating_ip(R1, lost, FIP_B2);
                way(r);
            });
            let offender = ip4(src, FIP_B2).tcp(1, 2);
            let told = ext(&eth(FG, GX.0, icmp_error(FIP_B2, NET, &offender)));
            rig.one(Phys(1), from_gx(offender)).assert_told(Phys(1), TOLD_OUTSIDE, "no_route", told);
        }
    }
}

/// Rules: FO3, FI, D3.
#[test]
fn between_floating_ips_of_the_host_without_a_wire() {
    let ping = |src, dst, p: Ip4| eth(src, dst, p.echo(1, 1, b"x"));
    // FIP-06
    let out = Rig::h1().one(A1.door, ping(A1.mac, RA.mac, ip4(A1.ip, FIP_B1)));
    out.assert_sent(A1.door, LOCAL, &[(B1.door, ping(RB.mac, B1.mac, ip4(FIP_A1, B1.ip).ttl(62)))]);
    // FIP-05: to its own, and the reply.
    let out = Rig::h1().one(A1.door, ping(A1.mac, RA.mac, ip4(A1.ip, FIP_A1)));
    out.assert_sent(A1.door, LOCAL, &[(A1.door, ping(RA.mac, A1.mac, ip4(FIP_A1, A1.ip).ttl(62)))]);
    let reply = |src, dst, p: Ip4| eth(src, dst, p.echo_reply(1, 1, b"x"));
    let out = Rig::h1().one(A1.door, reply(A1.mac, RA.mac, ip4(A1.ip, FIP_A1)));
    out.assert_sent(A1.door, LOCAL, &[(A1.door, reply(RA.mac, A1.mac, ip4(FIP_A1, A1.ip).ttl(62)))]);
}

/// Another tenant's router 3 on Z, with Z1 behind a floating IP.
const FIP_Z1: u32 = FIP_B2 + 20;
const RZ: (MacAddr, u32) = (MacAddr::new([0xfa, 0x16, 0x3e, 0x0e, 0, 1]), RA.ip);

fn two_tenants() -> Rig {
    Rig::h1_with(|r| {
        let (ix, router) = (20, 3);
        let row = InterfaceRow { seg: Z, router, mac: RZ.0, ip: RZ.1, mtu: 1450, up: true, scope: 0 };
        r.snap.interfaces.set(ix, Some(row));
        r.neigh.insert((Z, RZ.1), NeighValue::router(ix));
        r.seg(Z, |s| s.interfaces = [SegInterface { mac: RZ.0, iface: ix }].into());
        let r1 = r.snap.routers.get(R1).cloned().unwrap();
        let routes = RouteSet::new([Route { net: Z1.ip & MASK24, len: 24, hops: vec![Hop::new(ix, 0)] }]);
        let own = [RZ.1].into_iter().collect();
        r.snap
            .routers
            .set(router, Some(RouterRow { routes, own, own_masks: Box::new([MASK24]), snat: [].into(), ..r1 }));
        r.floating_ip(router, Z1.ip, FIP_Z1);
    })
}

/// Rules: FO3, D1, D3.
#[test]
fn between_two_tenants_with_the_same_addresses() {
    assert_eq!(A1.ip, Z1.ip);
    let ping = |src, dst, p: Ip4| eth(src, dst, p.echo(1, 1, b"x"));
    let out = two_tenants().one(A1.door, ping(A1.mac, RA.mac, ip4(A1.ip, FIP_Z1)));
    out.assert_sent(A1.door, LOCAL, &[(Z1.door, ping(RZ.0, Z1.mac, ip4(FIP_A1, Z1.ip).ttl(62)))]);
    let out = two_tenants().one(Z1.door, ping(Z1.mac, RZ.0, ip4(Z1.ip, FIP_A1)));
    out.assert_sent(Z1.door, LOCAL, &[(A1.door, ping(RA.mac, A1.mac, ip4(FIP_Z1, A1.ip).ttl(62)))]);
}

/// Rules: FO3, R3, ICMP.
#[test]
fn a_ttl_that_ends_at_either_of_two_tenants_is_told_by_the_senders_own_router() {
    // Quoted as sent: neither FO nor the first router has touched it.
    for ttl in [0, 1, 2] {
        for to in [FIP_Z1, FIP_B1, FIP_A1] {
            let p = ip4(A1.ip, to).ttl(ttl).echo(1, 1, b"x");
            let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &p));
            two_tenants().one(A1.door, from_a1(p)).assert_told(A1.door, TOLD, "ttl", told);
        }
    }
    let out = two_tenants().one(A1.door, from_a1(ip4(A1.ip, FIP_Z1).ttl(3).echo(1, 1, b"x")));
    let sent = eth(RZ.0, Z1.mac, ip4(FIP_A1, Z1.ip).ttl(1).echo(1, 1, b"x"));
    out.assert_sent(A1.door, LOCAL, &[(Z1.door, sent)]);
}

fn x_mtu(mtu: u16) -> Rig {
    Rig::h1_with(|r| {
        let row = r.snap.interfaces.get(FG_IX).cloned().unwrap();
        r.snap.interfaces.set(FG_IX, Some(InterfaceRow { mtu, ..row }));
    })
}

fn sized(p: Ip4, n: usize) -> Payload {
    p.udp(1, 2, &vec![7; n - 28])
}

/// Rules: FO2, FO3, R8, ICMP.
#[test]
fn the_external_networks_mtu_holds_also_where_there_is_no_wire() {
    for to in [E, FIP_B1] {
        // MTU-03
        let large = sized(ip4(A1.ip, to).df(), 601);
        let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, too_big(600), &large));
        x_mtu(600).one(A1.door, from_a1(large)).assert_told(A1.door, TOLD, "mtu", told);
    }
    let fits = |src, dst, p: Ip4| eth(src, dst, sized(p.df(), 600));
    let out = x_mtu(600).one(A1.door, fits(A1.mac, RA.mac, ip4(A1.ip, FIP_B1)));
    out.assert_sent(A1.door, LOCAL, &[(B1.door, fits(RB.mac, B1.mac, ip4(FIP_A1, B1.ip).ttl(62)))]);
    // Without DF, in pieces, translated: 576 and the rest of 573 bytes of payload.
    let whole = sized(ip4(FIP_A1, B1.ip), 601).bytes;
    let piece = |offset: u16, more, bytes: &[u8]| {
        (B1.door, eth(RB.mac, B1.mac, ip4(FIP_A1, B1.ip).ttl(62).fragment(offset, more).carry(17, bytes)))
    };
    let out = x_mtu(600).one(A1.door, from_a1(sized(ip4(A1.ip, FIP_B1), 601)));
    assert_eq!(out.sent, [piece(0, true, &whole[20..596]), piece(72, false, &whole[596..])]);
}

/// Rules: FI, R3, R7-probe, R8, ICMP.
#[test]
fn outside_hears_the_floating_ip_and_sees_nothing_of_the_inside() {
    let told = |rig: &mut Rig, p: Payload, reason, error| {
        let frame = ext(&eth(FG, GX.0, icmp_error(FIP_A1, error, &p)));
        rig.one(Phys(1), from_gx(p)).assert_told(Phys(1), TOLD_OUTSIDE, reason, frame);
    };
    told(&mut Rig::h1(), sized(ip4(E, FIP_A1).df(), 1500), "mtu", too_big(1450)); // FIP-10
    told(&mut Rig::h1(), ip4(E, FIP_A1).ttl(1).udp(1, 2, b""), "ttl", EXCEEDED);
    let mut rig = Rig::h1_with(|r| {
        r.neigh.insert((A, A1.ip), NeighValue::UNANSWERED);
    });
    told(&mut rig, ip4(E, FIP_A1).udp(1, 2, b""), "no_neigh", HOST);
    // Not even of a second router.
    let mut rig = Rig::h1_with(|r| r.floating_ip(R1, K1.ip, FIP_B2));
    let p = ip4(E, FIP_B2).ttl(2).udp(1, 2, b"");
    let frame = ext(&eth(FG, GX.0, icmp_error(FIP_B2, EXCEEDED, &p)));
    rig.one(Phys(1), from_gx(p)).assert_told(Phys(1), TOLD_OUTSIDE, "ttl", frame);
}

/// Rules: FI, R7-probe.
#[test]
fn what_came_in_waits_for_its_neighbour_too() {
    let mut rig = Rig::h1_with(|r| {
        r.neigh.remove(&(A, A1.ip));
    });
    let out = rig.one(Phys(1), from_gx(ip4(E, FIP_A1).udp(1, 2, b"")));
    out.assert_waits(Phys(1), IN, (A, A1.ip));
    rig.neigh.put(&ip4_key(A, A1.ip), NeighValue::host(A1.mac, Target::Port(0), NeighValue::ROUTE).to_word()).unwrap();
    assert_eq!(rig.wake().sent, [(A1.door, eth(RA.mac, A1.mac, ip4(E, A1.ip).ttl(63).udp(1, 2, b"")))]);
}

/// Rules: R6, FO, FI.
#[test]
fn translated_packets_may_cross_address_scopes_and_others_not() {
    let scoped = |r: &mut Rows| r.iface(RA, |i| i.scope = 7);
    let out = Rig::h1_with(scoped).one(A1.door, from_a1(ip4(A1.ip, E).tcp(1, 2)));
    out.assert_sent(A1.door, OUT, &[(Phys(1), ext(&eth(FG, GX.0, ip4(FIP_A1, E).ttl(63).tcp(1, 2))))]);
    let out = Rig::h1_with(scoped).one(Phys(1), from_gx(ip4(E, FIP_A1).tcp(1, 2)));
    out.assert_sent(Phys(1), DELIVERED, &[(A1.door, eth(RA.mac, A1.mac, ip4(E, A1.ip).ttl(63).tcp(1, 2)))]);
    // R4-3 goes out as it is: only into its own scope.
    let as_is = |r: &mut Rows| r.router(R1, |r1| r1.scoped = [(RA.ip & MASK24, MASK24)].into());
    let mut rig = Rig::h1_with(|r| {
        scoped(r);
        as_is(r);
    });
    rig.one(A3.door, eth(A3.mac, RA.mac, ip4(A3.ip, E).tcp(1, 2))).assert_dropped(A3.door, HERE, "scope");
    let out = Rig::h1_with(as_is).one(A3.door, eth(A3.mac, RA.mac, ip4(A3.ip, E).tcp(1, 2)));
    out.assert_sent(A3.door, OUT, &[(Phys(1), ext(&eth(FG, GX.0, ip4(A3.ip, E).ttl(63).tcp(1, 2))))]);
}

/// Rules: FO, FI.
#[test]
fn a_trace_shows_the_way_through_and_what_was_translated() {
    let notes = |door, frame| {
        let mut rig = Rig::h1();
        rig.worker.trace = true;
        rig.one(door, frame);
        std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect::<Vec<_>>()
    };
    let set = |field, from: u32, to: u32| Note::Set(field, from.into(), to.into());
    let out = notes(A1.door, from_a1(ip4(A1.ip, FIP_B1).echo(1, 1, b"")));
    let ttl = |from, to| Note::Set(Field::Ttl, from, to);
    for note in [
        Note::FloatingIpOut(FIP_A1),
        Note::FloatingIpIn(R1, B1.ip),
        set(Field::IpSrc, A1.ip, FIP_A1),
        set(Field::IpDst, FIP_B1, B1.ip),
        ttl(64, 63),
        ttl(63, 62),
    ] {
        assert!(out.contains(&note), "{note:?} in {out:?}");
    }
}

/// Only what says that it is IPv4 is routed: not another EtherType's payload, though it looks just like the packet whose
/// place in the burst it has.
///
/// Rules: R2, FI.
#[test]
fn a_packet_in_a_frame_of_another_ethertype_is_no_packet() {
    let mut rig = Rig::h1();
    let packet = ip4(E, FIP_A1).udp(1, 2, b"looks like IPv4");
    let elsewhere = ext(&eth(GX.0, mac("02:00:00:00:00:77"), packet.clone()));
    assert_eq!(rig.one(Phys(1), elsewhere).sent, []);
    rig.one(Phys(1), from_gx(other(0x88b5, &packet.bytes))).assert_consumed(Phys(1), IN);
    let sent = eth(RA.mac, A1.mac, ip4(E, A1.ip).ttl(63).udp(1, 2, b"looks like IPv4"));
    rig.one(Phys(1), from_gx(packet)).assert_sent(Phys(1), DELIVERED, &[(A1.door, sent)]);
}
