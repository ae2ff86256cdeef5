//! R8: pieces, where they go, and what is not cut.

use crate::addr::MacAddr;
use crate::burst::Door::{self, Phys, Tunnel};
use crate::tables::*;
use crate::testkit::*;
use crate::trace::Note;

const HERE: &str = "ingress decode vm_port qrouter dvr_process egress fragments";

/// From V1 to its router.
fn from_v1(p: Payload) -> Vec<u8> {
    eth(V1.mac, RV.mac, p)
}

fn data(n: usize) -> Vec<u8> {
    (0..n).map(|i| i as u8 ^ (i >> 8) as u8).collect()
}

/// UDP of `n` bytes in all from V1 to `dst`.
fn sized(dst: u32, n: usize) -> Ip4Udp {
    Ip4Udp { dst, payload: ip4(V1.ip, dst).udp(1, 2, &data(n - 28)).bytes[20..].to_vec() }
}

/// A datagram whose pieces are to be written down.
struct Ip4Udp {
    dst: u32,
    payload: Vec<u8>,
}

impl Ip4Udp {
    fn whole(&self) -> Vec<u8> {
        from_v1(ip4(V1.ip, self.dst).carry(17, &self.payload))
    }

    /// The piece with these bytes of the payload after one router, by RFC 791: ID kept, MF on all but the last.
    fn piece(&self, (src, dst): (MacAddr, MacAddr), range: std::ops::Range<usize>) -> Vec<u8> {
        let (offset, more) = ((range.start / 8) as u16, range.end < self.payload.len());
        assert_eq!(range.start % 8, 0);
        eth(src, dst, ip4(V1.ip, self.dst).ttl(63).fragment(offset, more).carry(17, &self.payload[range]))
    }
}

/// Rules: R8-icmp, O3.
#[test]
fn two_pieces_through_a_tunnel_by_one_way() {
    let p = sized(A2.ip, 1500); // MTU-02: 1450 leaves 1430 for the payload, 1424 is a multiple of 8
    let out = Rig::h1().one(V1.door, p.whole());
    let way = (H1.dvr, A2.mac);
    let pieces = [p.piece(way, 0..1424), p.piece(way, 1424..1480)];
    assert_eq!(pieces[0].len(), 14 + 1444);
    let outer = pieces.map(|f| (Tunnel, vx(H1, H2, 1001, &f)));
    assert_eq!(outer[0].1[OUTER_UDP..OUTER_UDP + 2], outer[1].1[OUTER_UDP..OUTER_UDP + 2], "one source port");
    let path = "ingress decode vm_port qrouter dvr_process egress*3 fragments vxlan_encap*2";
    out.assert_sent(V1.door, path, &outer);
}

/// H1 where `iface`'s network has this MTU.
fn mtu(iface: If, mtu: u16) -> Rig {
    Rig::h1_with(|r| r.iface(iface, |i| i.mtu = mtu))
}

/// Rules: R8-icmp.
#[test]
fn the_last_piece_may_be_as_large_as_the_mtu_and_the_others_as_large_as_eight_allows() {
    let way = (RB.mac, B1.mac);
    let sent = |mtu_of_b, n: usize, cuts: &[usize]| {
        let p = sized(B1.ip, n);
        let out = mtu(RB, mtu_of_b).one(V1.door, p.whole());
        let ends = cuts.iter().copied().chain([n - 20]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let pieces: Vec<_> = starts.zip(ends).map(|(s, e)| (B1.door, p.piece(way, s..e))).collect();
        assert_eq!(out.sent, pieces, "{mtu_of_b} {n}");
        let k = pieces.len();
        out.assert_moved(
            &format!("ingress decode vm_port qrouter dvr_process egress*{} fragments", k + 1),
            &format!("received 1, port.4.rx 1, copied {}, sent {k}, port.2.tx {k}", k - 1),
        );
    };
    sent(600, 601, &[576]);
    sent(600, 576 + 580 + 20, &[576]); // 580 fit the last one
    sent(600, 576 + 581 + 20, &[576, 1152]);
    sent(68, 200, &[48, 96, 144]); // the least an IPv4 network may have
}

/// Rules: R8-icmp.
#[test]
fn more_pieces_than_a_burst_holds_leave_in_order() {
    let mut rows = Rows::h1();
    rows.iface(RB, |i| i.mtu = 28);
    let mut rig = Rig::with_room(rows, Room { frames: 512, queue: 512, tunnel_queue: 512 });
    let p = sized(B1.ip, 20 + 150 * 8 + 1);
    let way = (RB.mac, B1.mac);
    let pieces: Vec<_> = (0..151).map(|n| (B1.door, p.piece(way, n * 8..(n * 8 + 8).min(p.payload.len())))).collect();
    let out = rig.one(V1.door, p.whole());
    assert_eq!(out.sent, pieces);
    assert_eq!(out.moved.get("copied"), Some(&150));
}

/// Rules: R8-icmp.
#[test]
fn a_fragment_is_cut_at_its_own_place() {
    let bytes = data(1000);
    for more in [true, false] {
        let frame = from_v1(ip4(V1.ip, B1.ip).fragment(100, more).carry(17, &bytes));
        let piece = |offset, more, bytes: &[u8]| {
            (B1.door, eth(RB.mac, B1.mac, ip4(V1.ip, B1.ip).ttl(63).fragment(offset, more).carry(17, bytes)))
        };
        let out = mtu(RB, 600).one(V1.door, frame);
        assert_eq!(out.sent, [piece(100, true, &bytes[..576]), piece(172, more, &bytes[576..])]);
    }
}

/// Rules: R8-icmp.
#[test]
fn only_options_that_are_to_be_copied_are_in_later_pieces() {
    let (all, copied) = ([7, 3, 4, 1, 148, 4, 0, 0], [148, 4, 0, 0]); // record route, padding, router alert
    let bytes = data(800);
    let with = |o: &[u8], offset, more, bytes: &[u8]| {
        ip4(V1.ip, B1.ip).options(o).ttl(63).fragment(offset, more).carry(17, bytes)
    };
    let frame = from_v1(ip4(V1.ip, B1.ip).options(&all).carry(17, &bytes));
    let out = mtu(RB, 600).one(V1.door, frame);
    let pieces = [with(&all, 0, true, &bytes[..568]), with(&copied, 71, false, &bytes[568..])];
    assert_eq!(out.sent, pieces.map(|p| (B1.door, eth(RB.mac, B1.mac, p))));
}

/// Rules: R8-icmp, FO2, O4.
#[test]
fn pieces_leave_by_a_physical_network_with_its_tag() {
    let mut rig = mtu(RV, 600);
    let whole = ip4(A1.ip, V2.ip).udp(1, 2, &data(700)).bytes;
    let piece = |offset, more, bytes: &[u8]| {
        let p = ip4(A1.ip, V2.ip).ttl(63).fragment(offset, more).carry(17, bytes);
        (Phys(0), phy(&eth(H1.dvr, V2.mac, p)))
    };
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, ip4(A1.ip, V2.ip).udp(1, 2, &data(700))));
    let path = "ingress decode vm_port qrouter dvr_process egress*3 fragments lv_to_phys*2";
    out.assert_sent(A1.door, path, &[piece(0, true, &whole[20..596]), piece(72, false, &whole[596..])]);
}

/// Rules: R8-icmp, L3.
#[test]
fn pieces_are_flooded_where_the_whole_would_have_been() {
    let (next, dst) = (mac("fa:16:3e:0b:00:50"), ip("10.2.0.50"));
    let mut rig = Rig::h1_with(|r| {
        r.neighbour(B, dst, next, Target::Fdb, NeighValue::ROUTE);
        r.unsecure(B1);
        r.port(Door::Port(5), |p| p.seg = B);
        r.seg(B, |s| (s.unknown_ports, s.flood_unknown) = ([2, 5].into(), true));
        r.iface(RB, |i| i.mtu = 600);
    });
    let p = sized(dst, 800);
    let way = (RB.mac, next);
    let pieces = [p.piece(way, 0..576), p.piece(way, 576..780)];
    let both = |door| pieces.clone().map(|f| (door, f)).to_vec();
    let out = rig.one(V1.door, p.whole());
    assert_eq!(out.sent, [both(Door::Port(2)), both(Door::Port(5))].concat());
    // One cut, and a copy of each piece; never to the fabric.
    assert_eq!((out.moved.get("copied"), out.moved.get("flooded_unknown")), (Some(&3), Some(&2)));
}

/// Rules: R8, R8-icmp.
#[test]
fn the_smallest_network_on_the_way_counts() {
    for (c, k) in [(600, 1450), (1450, 600), (600, 900), (900, 600)] {
        let mut rig = Rig::h1_with(|r| {
            r.iface(RC1, |i| i.mtu = c);
            r.iface(RK, |i| i.mtu = k);
        });
        let whole = ip4(A1.ip, K1.ip).udp(1, 2, &data(1000)).bytes;
        let piece = |offset, more, bytes: &[u8]| {
            let p = ip4(A1.ip, K1.ip).ttl(62).fragment(offset, more).carry(17, bytes);
            (K1.door, eth(RK.mac, K1.mac, p))
        };
        let out = rig.one(A1.door, eth(A1.mac, RA.mac, ip4(A1.ip, K1.ip).udp(1, 2, &data(1000))));
        assert_eq!(out.sent, [piece(0, true, &whole[20..596]), piece(72, false, &whole[596..])], "{c} {k}");
    }
}

/// Rules: R8, R8-icmp.
#[test]
fn with_df_a_later_network_is_told_about_too() {
    let mut rig = Rig::h1_with(|r| r.iface(RK, |i| i.mtu = 600));
    let p = ip4(A1.ip, K1.ip).df().udp(1, 2, &data(700));
    let told = eth(RA.mac, A1.mac, icmp_error_ttl(RC2.ip, too_big(600), &p, 63));
    let path = "ingress decode*2 vm_port qrouter*2 icmp_error dvr_process egress";
    rig.one(A1.door, eth(A1.mac, RA.mac, p)).assert_told(A1.door, path, "mtu", told);
}

/// Rules: R8.
#[test]
fn what_cannot_be_cut_is_mtu() {
    // No 8 bytes of payload fit.
    let out = mtu(RB, 27).one(V1.door, sized(B1.ip, 100).whole());
    out.assert_dropped(V1.door, HERE, "mtu");
    // Its end would lie past 65535.
    let far = from_v1(ip4(V1.ip, B1.ip).fragment(8100, false).carry(17, &data(1000)));
    mtu(RB, 600).one(V1.door, far).assert_dropped(V1.door, HERE, "mtu");
}

/// Rules: R8-icmp.
#[test]
fn a_piece_without_a_buffer_is_no_frame_and_costs_itself_only() {
    let mut rows = Rows::h1();
    rows.iface(RB, |i| i.mtu = 600);
    let mut rig = Rig::with_room(rows, Room { frames: 2, ..Room::default() });
    let p = sized(B1.ip, 1500);
    let out = rig.one(V1.door, p.whole());
    assert_eq!(out.sent, [(B1.door, p.piece((RB.mac, B1.mac), 0..576))]);
    out.assert_moved(
        "ingress decode vm_port qrouter dvr_process egress*2 fragments",
        "received 1, port.4.rx 1, copied 2, sent 1, port.2.tx 1, dropped 2, drop.no_frame 2, \
         port.4.drop.no_frame 2, stage.fragments.dropped 2",
    );
    // And the next one is cut like any other.
    let out = rig.one(V1.door, p.whole());
    assert_eq!(out.sent.len(), 1);
}

/// Rules: R8-icmp.
#[test]
fn a_full_port_costs_the_pieces_it_has_no_room_for() {
    let mut rig = Rig::with_room(Rows::h1(), Room { tunnel_queue: 1, ..Room::default() });
    let p = sized(A2.ip, 1500);
    let out = rig.one(V1.door, p.whole());
    assert_eq!(out.sent, [(Tunnel, vx(H1, H2, 1001, &p.piece((H1.dvr, A2.mac), 0..1424)))]);
    out.assert_moved(
        "ingress decode vm_port qrouter dvr_process egress*3 fragments vxlan_encap*2",
        "received 1, port.4.rx 1, copied 1, sent 1, tunnel.tx 1, dropped 1, drop.tx_full 1, \
         port.4.drop.tx_full 1, stage.egress.dropped 1",
    );
}

/// Rules: R8-icmp.
#[test]
fn pieces_stand_where_the_whole_stood() {
    let small = |n| eth(V1.mac, RV.mac, ip4(V1.ip, B1.ip).udp(n, 2, b""));
    let p = sized(B1.ip, 700);
    let sent = mtu(RB, 600).step(V1.door, &[small(1), p.whole(), small(2)]).sent;
    let way = (RB.mac, B1.mac);
    let routed = |n| eth(way.0, way.1, ip4(V1.ip, B1.ip).ttl(63).udp(n, 2, b""));
    let expect = [routed(1), p.piece(way, 0..576), p.piece(way, 576..680), routed(2)];
    assert_eq!(sent, expect.map(|f| (B1.door, f)));
}

/// Rules: R2, R8.
#[test]
fn an_answer_made_of_a_packet_to_be_cut_is_cut_only_if_it_is_too_large_itself() {
    // With options it is too large for C, the answer without them is not.
    let echo = data(572);
    let request = ip4(A1.ip, RK.ip).options(&[7, 7, 4, 0, 0, 0, 0, 0]).echo(1, 1, &echo);
    assert_eq!(request.bytes.len(), 608);
    let reply = eth(RA.mac, A1.mac, ip4(RK.ip, A1.ip).ttl(63).echo_reply(1, 1, &echo));
    let mut rig = mtu(RC1, 600);
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, request));
    let path = "ingress decode vm_port qrouter dvr_process egress";
    out.assert_answered(A1.door, path, "qrouter", reply);
}

/// Rules: R8-icmp.
#[test]
fn a_trace_says_how_it_was_cut() {
    let mut rig = mtu(RB, 600);
    rig.worker.trace = true;
    rig.one(V1.door, sized(B1.ip, 700).whole());
    let notes: Vec<_> = std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect();
    assert!(notes.contains(&Note::Fragments(600)), "{notes:?}");
    let sent = notes.iter().filter(|n| matches!(n, Note::Sent(_))).count();
    assert_eq!(sent, 2, "{notes:?}");
}
