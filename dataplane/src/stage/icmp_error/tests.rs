//! ICMP errors and TCP resets: bytes, ways back, what is never told about, how often.

use crate::addr::MacAddr;
use crate::burst::Door::Phys;
use crate::burst::Word;
use crate::police::Rate;
use crate::testkit::rig::Outcome;
use crate::testkit::*;
use crate::told::TellLimits;
use crate::trace::Note;
use etherparse::{Icmpv4Type, TcpHeader};

const HERE: &str = "ingress decode vm_port qrouter";
const TOLD: &str = "ingress decode vm_port qrouter icmp_error egress";
/// An error that may not be sent.
const SILENT: &str = "ingress decode vm_port qrouter icmp_error";
const SECOND: u64 = 1_000_000_000;

fn free() -> Rig {
    Rig::h1_with(|r| r.unsecure(A1))
}

fn ask(p: Payload) -> Vec<u8> {
    eth(A1.mac, RA.mac, p)
}

/// A packet whose TTL ends at R1.
fn dying(src: u32) -> Payload {
    ip4(src, B1.ip).ttl(1).udp(1, 2, b"x")
}

fn dropped_silently(out: &Outcome, path: &str) {
    out.assert_dropped_by(A1.door, path, "qrouter", "ttl");
}

/// Rules: ICMP.
#[test]
fn the_error_is_that_of_the_specification() {
    let sent = Rig::h1().one(A1.door, ask(dying(A1.ip))).sent.remove(0).1; // EW-11
    let offender = dying(A1.ip).bytes;
    assert_eq!(sent[..14], [&A1.mac.octets()[..], &RA.mac.octets(), &[8, 0]].concat());
    let ip = &sent[14..34];
    let total = 28 + offender.len() as u8;
    assert_eq!(ip[..10], [0x45, 0xc0, 0, total, 0, 0, 0x40, 0, 64, 1], "TOS 0xc0, ID 0, DF, TTL 64");
    assert_eq!(ip[12..], [10, 1, 0, 1, 10, 1, 0, 11]);
    assert_eq!((sent[34], sent[35]), (11, 0));
    assert_eq!(sent[38..42], [0; 4]);
    assert_eq!(sent[42..], offender, "as received");
    assert_eq!((crate::wire::checksum(ip), crate::wire::checksum(&sent[34..])), (0, 0));
}

/// Rules: ICMP.
#[test]
fn it_quotes_as_much_as_fits_576_bytes_and_no_padding() {
    for n in [547, 548, 549, 1450] {
        let p = ip4(A1.ip, B1.ip).ttl(1).udp(1, 2, &vec![9; n - 28]);
        let out = Rig::h1().one(A1.door, padded(&ask(p.clone()), 10));
        out.assert_told(A1.door, TOLD, "ttl", eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &p)));
        assert_eq!(out.sent[0].1.len(), 14 + 576.min(n + 28));
    }
    let options = ip4(A1.ip, B1.ip).ttl(1).options(&[7, 7, 4, 0, 0, 0, 0, 0]).udp(1, 2, b"x");
    let out = Rig::h1().one(A1.door, ask(options.clone()));
    out.assert_told(A1.door, TOLD, "ttl", eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &options)));
}

/// Rules: ICMP.
#[test]
fn it_comes_from_the_routers_address_on_the_senders_subnet_or_else_from_the_way_in() {
    for (src, from) in [
        (A1.ip, RA.ip),
        (ip("10.2.0.200"), RB.ip), // an address of B, in by rA
        (ip("10.3.0.200"), RV.ip),
        (ip("192.0.2.1"), RA.ip), // of no subnet of R1's
    ] {
        let out = free().one(A1.door, ask(dying(src)));
        out.assert_told(A1.door, TOLD, "ttl", eth(RA.mac, A1.mac, icmp_error(from, EXCEEDED, &dying(src))));
    }
    // Nobody to speak.
    let mut rig = Rig::h1_with(|r| {
        r.unsecure(A1);
        r.iface(RA, |i| i.ip = 0);
    });
    dropped_silently(&rig.one(A1.door, ask(dying(ip("192.0.2.1")))), HERE);
}

/// Rules: ICMP.
#[test]
fn errors_later_fragments_and_strange_sources_are_never_told_about() {
    let quote = ip4(B1.ip, A1.ip).udp(1, 2, b"").bytes;
    let unreachable = Icmpv4Type::DestinationUnreachable(etherparse::icmpv4::DestUnreachableHeader::Host);
    let never = [
        ip4(A1.ip, B1.ip).ttl(1).icmp(unreachable, &quote),
        ip4(A1.ip, B1.ip)
            .ttl(1)
            .icmp(Icmpv4Type::TimeExceeded(etherparse::icmpv4::TimeExceededCode::TtlExceededInTransit), &quote),
        ip4(A1.ip, B1.ip).ttl(1).fragment(1, true).carry(17, &[0; 8]),
        ip4(A1.ip, B1.ip).ttl(1).fragment(1, false).carry(17, &[0; 8]),
        ip4(ip("240.0.0.1"), B1.ip).ttl(1).udp(1, 2, b""), // class E
    ];
    for p in never {
        dropped_silently(&free().one(A1.door, ask(p)), SILENT);
    }
    let told = [
        ip4(A1.ip, B1.ip).ttl(1).fragment(0, true).carry(17, &[0; 8]),
        ip4(A1.ip, B1.ip).ttl(1).echo(1, 1, b""),
        ip4(A1.ip, B1.ip).ttl(1).echo_reply(1, 1, b""),
        ip4(A1.ip, B1.ip).ttl(1).carry(47, b""),
    ];
    for p in told {
        let out = free().one(A1.door, ask(p.clone()));
        out.assert_told(A1.door, TOLD, "ttl", eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &p)));
    }
}

/// Rules: V4, ICMP.
#[test]
fn a_physical_machine_is_told_by_the_interface_it_sent_to() {
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.phys_gw = true));
    let p = ip4(P.1, A1.ip).ttl(1).udp(1, 2, b"");
    let told = phy(&eth(RV.mac, P.0, icmp_error(RV.ip, EXCEEDED, &p)));
    let path = "ingress decode phys_to_lv learning_blocker learn_from_tun qrouter icmp_error lv_to_phys egress";
    rig.one(Phys(0), phy(&eth(P.0, RV.mac, p))).assert_told(Phys(0), path, "ttl", told);
}

/// One frame in, consumed by the router, and `frame` out of the same door.
#[track_caller]
fn assert_refused(out: &Outcome, path: &str, frame: Vec<u8>) {
    let counts = "consumed 1, stage.qrouter.consumed 1, generated 1";
    out.assert_sent_and(A1.door, path, &[(A1.door, frame)], counts);
}

/// Rules: R2-l4.
#[test]
fn udp_to_a_router_is_port_unreachable_from_its_address_on_the_senders_subnet() {
    for asked in [RA.ip, RB.ip] {
        for ttl in [64, 1] {
            let p = ip4(A1.ip, asked).ttl(ttl).udp(40000, 53, b"?"); // R2 comes before R3
            let out = Rig::h1().one(A1.door, ask(p.clone()));
            assert_refused(&out, TOLD, eth(RA.mac, A1.mac, icmp_error(RA.ip, PORT, &p)));
        }
    }
    // R2 has none there: it speaks as rC2, by which the packet came, and R1 routes that.
    let p = ip4(A1.ip, RK.ip).udp(40000, 53, b"?");
    let out = Rig::h1().one(A1.door, ask(p.clone()));
    let path = "ingress decode*2 vm_port qrouter*2 icmp_error dvr_process egress";
    assert_refused(&out, path, eth(RA.mac, A1.mac, icmp_error_ttl(RC2.ip, PORT, &p, 63)));
}

/// A segment from A1 to rA.
fn segment(change: impl FnOnce(&mut TcpHeader), data: &[u8]) -> Vec<u8> {
    let mut h = TcpHeader::new(40000, 22, 0xffff_fff0, 1024);
    change(&mut h);
    ask(ip4(A1.ip, RA.ip).segment(h, data))
}

/// The reset of RFC 9293, 3.10.7.1 with these numbers.
fn reset(seq: u32, ack: Option<u32>) -> Vec<u8> {
    let mut h = TcpHeader::new(22, 40000, seq, 0);
    h.rst = true;
    h.ack = ack.is_some();
    h.acknowledgment_number = ack.unwrap_or(0);
    eth(RA.mac, A1.mac, ip4(RA.ip, A1.ip).df().id(0).segment(h, &[]))
}

/// Rules: R2-l4.
#[test]
fn tcp_to_a_router_is_reset() {
    // Without ACK: sequence number 0, and all of the segment is acknowledged.
    let out = Rig::h1().one(A1.door, segment(|h| h.syn = true, b""));
    assert_refused(&out, TOLD, reset(0, Some(0xffff_fff1)));
    let out = Rig::h1().one(A1.door, segment(|h| (h.syn, h.fin) = (true, true), &[1; 20]));
    assert_refused(&out, TOLD, reset(0, Some(6))); // 0xfffffff0 + 22, wrapping
    // With ACK: its acknowledgment number is the sequence number.
    let acks = |h: &mut TcpHeader| (h.ack, h.acknowledgment_number) = (true, 77);
    let out = Rig::h1().one(A1.door, segment(acks, b"data"));
    assert_refused(&out, TOLD, reset(77, None));
}

/// Rules: R2-l4.
#[test]
fn a_reset_and_a_broken_segment_are_not_answered() {
    let silent = |frame: Vec<u8>| {
        let out = free().one(A1.door, frame);
        assert!(out.sent.is_empty());
        out.assert_moved(SILENT, "received 1, port.0.rx 1, consumed 1, stage.qrouter.consumed 1");
    };
    silent(segment(|h| h.rst = true, b""));
    silent(with(&segment(|h| h.syn = true, b""), 50, &[0xba, 0xad])); // checksum
    silent(ask(ip4(A1.ip, RA.ip).carry(6, &[0; 12])));
    silent(ask(ip4(ip("240.0.0.1"), RA.ip).udp(1, 2, b"")));
    // Fragments are not put together here.
    let fragment = ask(ip4(A1.ip, RA.ip).fragment(0, true).carry(17, &[0; 8]));
    free().one(A1.door, fragment).assert_consumed(A1.door, HERE);
}

fn told_of(out: &Outcome) -> (usize, u64) {
    (out.sent.len(), out.moved.get("icmp_limited").copied().unwrap_or(0))
}

/// Rules: ICMP.
#[test]
fn a_sender_is_told_ten_times_at_once_and_ten_times_a_second() {
    let mut rig = free();
    let twelve = vec![ask(dying(A1.ip)); 12];
    let out = rig.step(A1.door, &twelve);
    assert_eq!(told_of(&out), (10, 2));
    out.assert_moved(
        "ingress*12 decode*12 vm_port*12 qrouter*12 icmp_error*12 egress*10",
        "received 12, port.0.rx 12, dropped 12, drop.ttl 12, port.0.drop.ttl 12, stage.qrouter.dropped 12, \
         generated 10, sent 10, port.0.tx 10, icmp_limited 2",
    );
    // Another sender behind the same port has its own, the same behind another port too.
    assert_eq!(told_of(&rig.step(A1.door, &vec![ask(dying(ip("10.1.0.77"))); 12])), (10, 2));
    rig.now += SECOND / 10 - 1;
    assert_eq!(told_of(&rig.one(A1.door, ask(dying(A1.ip)))), (0, 1));
    rig.now += 1;
    assert_eq!(told_of(&rig.one(A1.door, ask(dying(A1.ip)))), (1, 0));
    // Resets and port unreachable are of the same ration.
    assert_eq!(told_of(&rig.one(A1.door, segment(|h| h.syn = true, b""))), (0, 1));
    assert_eq!(told_of(&rig.one(A1.door, ask(ip4(A1.ip, RA.ip).udp(1, 2, b"")))), (0, 1));
    // What may never be told costs nothing.
    rig.now += SECOND / 10;
    rig.one(A1.door, ask(ip4(A1.ip, B1.ip).ttl(1).fragment(1, false).carry(17, &[0; 8])));
    assert_eq!(told_of(&rig.one(A1.door, ask(dying(A1.ip)))), (1, 0));
}

/// Rules: ICMP, D1.
#[test]
fn the_same_address_behind_another_door_is_another_sender() {
    let mut rig = Rig::h1_with(|r| {
        r.unsecure(A1);
        r.unsecure(A3);
        r.seg(V, |s| s.phys_gw = true);
    });
    assert_eq!(told_of(&rig.step(A1.door, &vec![ask(dying(A1.ip)); 12])), (10, 2));
    let other = eth(A3.mac, RA.mac, dying(A1.ip));
    assert_eq!(told_of(&rig.step(A3.door, &vec![other; 12])), (10, 2));
    let physical = phy(&eth(P.0, RV.mac, dying(A1.ip)));
    assert_eq!(told_of(&rig.step(Phys(0), &vec![physical; 12])), (10, 2));
}

/// Rules: ICMP.
#[test]
fn a_router_tells_a_hundred_at_once_and_another_router_is_not_its_concern() {
    let mut rig = Rig::with_room(
        {
            let mut rows = Rows::h1();
            rows.unsecure(A1);
            rows.unsecure(K1);
            rows
        },
        Room { frames: 1024, queue: 512, tunnel_queue: 512 },
    );
    let many: Vec<_> = (0..200).map(|n| ask(dying(ip("10.1.0.50") + n))).collect();
    let (sent, icmp_limited) = told_of(&rig.step(A1.door, &many));
    // Two of 200 senders may share one of 1,024 buckets, which costs nobody anything at one packet each.
    assert_eq!((sent, icmp_limited), (100, 100));
    let r2 = eth(K1.mac, RK.mac, ip4(K1.ip, A1.ip).ttl(1).udp(1, 2, b""));
    assert_eq!(told_of(&rig.one(K1.door, r2)), (1, 0));
    // The worker's share of it.
    let mut rig = free();
    let limits = TellLimits { router: Rate { per_second: 1, burst: 2 }, ..TellLimits::default() };
    rig.worker.set_tell_limits(limits);
    assert_eq!(told_of(&rig.step(A1.door, &vec![ask(dying(A1.ip)); 5])), (2, 3));
}

/// Rules: ICMP.
#[test]
fn without_a_free_buffer_nothing_is_told_and_the_next_one_is() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 1, ..Room::default() });
    let out = rig.one(A1.door, ask(dying(A1.ip)));
    assert!(out.sent.is_empty());
    // 3.9: no buffer for an answer.
    out.assert_moved(
        SILENT,
        "received 1, port.0.rx 1, dropped 2, drop.ttl 1, port.0.drop.ttl 1, stage.qrouter.dropped 1, \
         generated 1, drop.no_frame 1, port.0.drop.no_frame 1, stage.icmp_error.dropped 1",
    );
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 2, ..Room::default() });
    let out = rig.step(A1.door, &[ask(dying(A1.ip)), ask(dying(A1.ip))]);
    assert_eq!(out.moved.get("drop.no_frame"), Some(&2), "both buffers hold the packets themselves");
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &dying(A1.ip)));
    rig.one(A1.door, ask(dying(A1.ip))).assert_told(A1.door, TOLD, "ttl", told);
}

/// Rules: ICMP.
#[test]
fn errors_stand_where_the_packets_stood_that_they_are_about() {
    let pass = |n: u16| ask(ip4(A1.ip, ip("10.1.0.1")).echo(n, 1, b""));
    let sent = Rig::h1().step(A1.door, &[pass(1), ask(dying(A1.ip)), pass(2)]).sent;
    let reply = |n| eth(RA.mac, A1.mac, ip4(RA.ip, A1.ip).echo_reply(n, 1, b""));
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, EXCEEDED, &dying(A1.ip)));
    assert_eq!(sent, [reply(1), told, reply(2)].map(|f| (A1.door, f)));
}

/// Rules: ICMP, R7.
#[test]
fn what_a_router_says_waits_for_nobody() {
    // R2 tells a sender that R1 has no neighbour row of.
    let nobody = ip("10.2.0.99");
    let p = ip4(nobody, K1.ip).ttl(2).udp(1, 2, b"");
    let out = free().one(A1.door, ask(p));
    assert_eq!((out.held, out.reports.len(), out.sent.len()), (0, 0, 0));
    out.assert_moved(
        "ingress decode*2 vm_port qrouter*2 icmp_error",
        "received 1, port.0.rx 1, generated 1, dropped 2, drop.ttl 1, port.0.drop.ttl 1, drop.no_neigh 1, \
         port.0.drop.no_neigh 1, stage.qrouter.dropped 2",
    );
    // And its echo reply.
    let out = free().one(A1.door, ask(ip4(nobody, RK.ip).echo(1, 1, b"")));
    assert_eq!((out.held, out.reports.len(), out.sent.len()), (0, 0, 0));
    assert_eq!(out.moved.get("drop.no_neigh"), Some(&1));
}

/// Rules: ICMP.
#[test]
fn a_trace_says_what_was_told_or_why_not() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.worker.set_tell_limits(TellLimits { source: Rate { per_second: 1, burst: 1 }, ..TellLimits::default() });
    let mut notes = || {
        rig.one(A1.door, ask(dying(A1.ip)));
        std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect::<Vec<_>>()
    };
    let first = notes();
    assert!(first.iter().any(|n| matches!(n, Note::Tells(Word::Error(e), from) if e.kind == 11 && *from == RA.ip)));
    let second = notes();
    assert!(second.contains(&Note::TellsNoMore), "{second:?}");
    assert!(!second.iter().any(|n| matches!(n, Note::Tells(..))));
}

/// Rules: ICMP.
#[test]
fn a_frame_to_a_group_is_not_routed_and_nobody_is_told() {
    let call = eth(A1.mac, MacAddr::BROADCAST, dying(A1.ip));
    assert_eq!(Rig::h1().one(A1.door, call).moved.get("generated"), None);
}
