//! Super-frames: whole to who takes them whole, in segments to everybody else.

use crate::burst::Door::{Phys, Tunnel};
use crate::burst::{Checksum, Gso};
use crate::io::Carries;
use crate::testkit::*;
use etherparse::TcpHeader;

const PARTIAL: Checksum = Checksum::Partial { start: 34, offset: 16 };

fn data(n: usize) -> Vec<u8> {
    (0..n).map(|n| (n % 251) as u8).collect()
}

/// The segment of `all` at `range`, the `n`th, between two addresses.
fn segment(p: Ip4, n: u16, all: &[u8], range: std::ops::Range<usize>) -> Payload {
    let mut h = TcpHeader::new(40000, 22, 1000 + range.start as u32, 1024);
    (h.ack, h.psh) = (true, range.end == all.len());
    p.id(0x2a2a + n).segment(h, &all[range])
}

/// Rules: I0-gso.
#[test]
fn from_vm_to_vm_they_stay_whole() {
    let data = data(60_000);
    let of = |dst, ttl| segment(ip4(A1.ip, dst).ttl(ttl).df(), 0, &data, 0..data.len());
    let mut rig = Rig::h1();
    rig.port_carries(A3.door, Carries::ALL);
    rig.port_carries(B1.door, Carries::ALL);
    let frame = eth(A1.mac, A3.mac, of(A3.ip, 64));
    let (out, asked) = rig.offloaded(A1.door, &frame, PARTIAL, Gso::TcpV4(1398));
    out.assert_sent(A1.door, "ingress decode vm_port local_switching egress", &[(A3.door, frame)]);
    assert_eq!(asked, [(PARTIAL, Gso::TcpV4(1398))]);
    // Routed, its segments are what must fit the network, not itself.
    let frame = eth(A1.mac, RA.mac, of(B1.ip, 64));
    let (out, asked) = rig.offloaded(A1.door, &frame, PARTIAL, Gso::TcpV4(1398));
    let path = "ingress decode vm_port qrouter dvr_process egress";
    out.assert_sent(A1.door, path, &[(B1.door, eth(RB.mac, B1.mac, of(B1.ip, 63)))]);
    assert_eq!(asked, [(PARTIAL, Gso::TcpV4(1398))]);
}

/// Rules: I0-gso, O3.
#[test]
fn to_another_host_they_go_in_segments() {
    let data = data(3000);
    let frame = eth(A1.mac, A2.mac, segment(ip4(A1.ip, A2.ip).df(), 0, &data, 0..3000));
    let (out, asked) = Rig::h1().offloaded(A1.door, &frame, PARTIAL, Gso::TcpV4(1398));
    let piece =
        |n, range| (Tunnel, vx(H1, H2, 1001, &eth(A1.mac, A2.mac, segment(ip4(A1.ip, A2.ip).df(), n, &data, range))));
    let pieces = [piece(0, 0..1398), piece(1, 1398..2796), piece(2, 2796..3000)];
    let path = "ingress decode vm_port local_switching egress*4 segments vxlan_encap*3";
    out.assert_sent_and(A1.door, path, &pieces, "segmented 1");
    assert_eq!(asked, [(Checksum::None, Gso::None); 3]);
}

/// Rules: I0-gso, FO, D6.
#[test]
fn by_a_floating_ip_every_segment_is_translated() {
    let data = data(2000);
    let of = |src, ttl, n, range| segment(ip4(src, E).ttl(ttl).df(), n, &data, range);
    let frame = eth(A1.mac, RA.mac, of(A1.ip, 64, 0, 0..2000));
    let (out, _) = Rig::h1().offloaded(A1.door, &frame, PARTIAL, Gso::TcpV4(1000));
    let piece = |n, range| (Phys(1), ext(&eth(fg(H1).0, GX.0, of(FIP_A1, 63, n, range))));
    let path = "ingress decode vm_port qrouter dvr_process egress*3 segments lv_to_phys*2";
    out.assert_sent_and(A1.door, path, &[piece(0, 0..1000), piece(1, 1000..2000)], "segmented 1");
}

/// Segments larger than the next network: with DF the sender is told its MTU, without they are made smaller, as any
/// router between could; datagrams never are. Rules: I0-gso, R8-icmp.
#[test]
fn segments_too_large_for_the_next_network() {
    let data = data(3000);
    let small = || Rig::h1_with(|r| r.iface(RB, |i| i.mtu = 1040));
    let of = |p: Ip4, ttl, n, range| segment(p.ttl(ttl), n, &data, range);
    let there = || ip4(A1.ip, B1.ip);
    let whole = of(there().df(), 64, 0, 0..3000);
    let (out, _) = small().offloaded(A1.door, &eth(A1.mac, RA.mac, whole.clone()), PARTIAL, Gso::TcpV4(1001));
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, too_big(1040), &whole));
    out.assert_told(A1.door, "ingress decode vm_port qrouter icmp_error egress", "mtu", told);
    let frame = eth(A1.mac, RA.mac, of(there(), 64, 0, 0..3000));
    let (out, _) = small().offloaded(A1.door, &frame, PARTIAL, Gso::TcpV4(1398));
    let piece = |n, range| (B1.door, eth(RB.mac, B1.mac, of(there(), 63, n, range)));
    assert_eq!(out.sent, [piece(0, 0..1000), piece(1, 1000..2000), piece(2, 2000..3000)]);
    let udp = there().udp(1, 2, &data);
    let csum = Checksum::Partial { start: 34, offset: 6 };
    let (out, _) = small().offloaded(A1.door, &eth(A1.mac, RA.mac, udp.clone()), csum, Gso::Udp(1400));
    let told = eth(RA.mac, A1.mac, icmp_error(RA.ip, too_big(1040), &udp));
    out.assert_told(A1.door, "ingress decode vm_port qrouter icmp_error egress", "mtu", told);
    let (out, _) = small().offloaded(A1.door, &eth(A1.mac, RA.mac, udp), csum, Gso::Udp(1012));
    assert_eq!(out.sent.len(), 3);
}

/// Rules: I0-gso.
#[test]
fn datagrams_keep_their_borders() {
    let data = data(2500);
    let of = |n: u16, range: std::ops::Range<usize>| {
        eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).id(0x2a2a + n).udp(5, 6, &data[range]))
    };
    let csum = Checksum::Partial { start: 34, offset: 6 };
    let (out, _) = Rig::h1().offloaded(A1.door, &of(0, 0..2500), csum, Gso::Udp(1200));
    let pieces = [of(0, 0..1200), of(1, 1200..2400), of(2, 2400..2500)].map(|f| (A3.door, f));
    assert_eq!(out.sent, pieces);
    // One that fits no chunk cannot be sent.
    let (out, _) = Rig::h1().offloaded(A1.door, &of(0, 0..2500), csum, Gso::Udp(1751));
    let path = "ingress decode vm_port local_switching egress segments";
    out.assert_moved(
        path,
        "received 1, port.0.rx 1, dropped 1, drop.mtu 1, port.0.drop.mtu 1, stage.segments.dropped 1, segmented 1",
    );
}

/// Segments without a buffer are lost by name, the others go. Rules: I0-gso.
#[test]
fn without_buffers_what_is_missing_is_counted() {
    let data = data(20_000);
    let frame = eth(A1.mac, A2.mac, segment(ip4(A1.ip, A2.ip).df(), 0, &data, 0..20_000));
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 14, ..Room::default() });
    let (out, _) = rig.offloaded(A1.door, &frame, PARTIAL, Gso::TcpV4(1398));
    // 10 chunks hold the super-frame, 4 are left for 15 segments.
    assert_eq!((out.sent.len(), out.moved["drop.no_frame"], out.moved["copied"]), (4, 11, 14));
}
