//! O3: the outer header, ECN on the way out, and the source port of 3.10.

use crate::burst::{Burst, Door, FrameMeta, L3, Lane, Out};
use crate::stage::Stage;
use crate::testkit::*;
use crate::trace::{Note, TraceRecord};
use crate::umem::{HEADROOM, Umem};
use proptest::prelude::*;

const OUT: &str = "ingress decode vm_port local_switching vxlan_encap egress";
const HERE: &str = "ingress decode vm_port local_switching vxlan_encap";

fn udp(len: usize) -> Vec<u8> {
    eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1000, 2000, &vec![7; len]))
}

/// Rules: O3.
#[test]
fn the_outer_header_is_that_of_the_specification() {
    let sent = Rig::h1().one(A1.door, udp(5)).sent.remove(0).1;
    let inner_len = 14 + 20 + 8 + 5;
    assert_eq!(sent[..14], [&H2.nic.octets()[..], &H1.nic.octets(), &[8, 0]].concat());
    let ip = &sent[OUTER_IP..OUTER_UDP];
    assert_eq!(ip[..10], [0x45, 0, 0, 36 + inner_len, 0, 0, 0x40, 0, 64, 17]);
    assert_eq!(ip[12..], [172, 20, 0, 11, 172, 20, 0, 12]);
    assert_eq!(crate::wire::checksum(ip), 0);
    // UDP 1000 > 2000 between 10.1.0.11 and .12 is worked out in docs/behaviour.md: port 61391.
    assert_eq!(sent[OUTER_UDP..VXLAN], [0xef, 0xcf, 0x12, 0xb5, 0, 16 + inner_len, 0, 0]);
    assert_eq!(sent[VXLAN..INNER], [0x08, 0, 0, 0, 0, 0x03, 0xe9, 0]);
    assert_eq!(sent[INNER..], udp(5));
}

/// Rules: O3.
#[test]
fn the_vni_is_24_bits_wide() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.wire = crate::tables::Wire::Vxlan(0xabcdef)));
    rig.one(A1.door, udp(5)).assert_sent(A1.door, OUT, &[(Door::Tunnel, vx(H1, H2, 0xabcdef, &udp(5)))]);
}

/// Rules: O3.
#[test]
fn the_outer_packet_is_never_larger_than_the_underlay() {
    // 1500 = inner frame + 36: an inner frame of 1464, an inner packet of 1450.
    let fits = udp(1450 - 28);
    Rig::h1().one(A1.door, fits.clone()).assert_sent(A1.door, OUT, &[(Door::Tunnel, vx(H1, H2, 1001, &fits))]);
    Rig::h1().one(A1.door, udp(1450 - 27)).assert_dropped(A1.door, HERE, "mtu");
}

/// Rules: O3, O3-wait.
#[test]
fn without_the_mac_of_the_way_only_what_could_go_waits() {
    let mut rig = Rig::h1_with(|r| r.way(1, None));
    rig.one(A1.door, udp(1450 - 27)).assert_dropped(A1.door, HERE, "mtu");
    assert_eq!(rig.one(A1.door, udp(1450 - 28)).held, 1);
}

/// Rules: O3.
#[test]
fn the_inner_mark_is_copied_out_and_the_inner_dscp_is_not() {
    for tos in [0x00, 0x01, 0x02, 0x03, 0xb8, 0xb9, 0xff] {
        let v4 = eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).tos(tos).udp(1, 2, b""));
        let v6 = eth(A1.mac, A2.mac, v6(lla(A1.mac), lla(A2.mac)).tos(tos).udp(1, 2, b""));
        for frame in [v4, v6] {
            let expect = vx_tos(H1, H2, 1001, tos & 3, &frame);
            Rig::h1().one(A1.door, frame).assert_sent(A1.door, OUT, &[(Door::Tunnel, expect)]);
        }
    }
}

/// Rules: O3.
#[test]
fn the_outer_dscp_is_configured_or_inherited() {
    let frame = eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).tos(0xb9).udp(1, 2, b""));
    let mut fixed = Rig::h1_with(|r| r.snap.host.outer_tos = 0x28);
    let expect = vx_tos(H1, H2, 1001, 0x29, &frame);
    fixed.one(A1.door, frame.clone()).assert_sent(A1.door, OUT, &[(Door::Tunnel, expect)]);
    let mut inherited = Rig::h1_with(|r| r.snap.host.outer_tos_mask = 0xff);
    let expect = vx_tos(H1, H2, 1001, 0xb9, &frame);
    inherited.one(A1.door, frame).assert_sent(A1.door, OUT, &[(Door::Tunnel, expect)]);
}

/// Rules: O3.
#[test]
fn a_frame_that_is_not_ip_goes_out_with_tos_0() {
    // Right behind a marked packet, so that nothing of that one can show.
    let marked = eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).tos(0xff).udp(1, 2, b""));
    let arp = eth(A1.mac, A2.mac, arp_reply(A1.mac, A1.ip, A2.mac, A2.ip));
    let mut rig = Rig::h1();
    rig.one(A1.door, marked);
    let sent = rig.one(A1.door, arp.clone()).sent;
    assert_eq!(sent, [(Door::Tunnel, vx(H1, H2, 1001, &arp))]);
}

/// Rules: O3.
#[test]
fn without_df_the_outer_header_has_none() {
    let mut rig = Rig::h1_with(|r| {
        let end = crate::tables::TunnelEnd { vtep: H2.vtep, mac: Some(H2.nic), dvr_mac: H2.dvr, df: false, phys: 0 };
        let row = crate::tables::TunnelRow::new(1, &r.snap.host, end);
        r.snap.tunnels.set(1, Some(row));
    });
    let expect = with_right_sum(&with(&vx(H1, H2, 1001, &udp(5)), OUTER_IP + 6, &[0, 0]), OUTER_IP);
    rig.one(A1.door, udp(5)).assert_sent(A1.door, OUT, &[(Door::Tunnel, expect)]);
}

/// Runs this stage alone on A1's frame to A2 that begins `off` bytes into its buffer.
fn encap_at(off: usize) -> (Burst<'static>, Lane) {
    let frame_bytes = udp(5);
    let rig = Rig::h1();
    let mut frame = Box::leak(Box::new(Umem::new(1))).pools(1).remove(0).take().unwrap();
    frame.chunk_mut()[off..off + frame_bytes.len()].copy_from_slice(&frame_bytes);
    let mut b = Burst::default();
    let meta = FrameMeta { off: off as u16, len: frame_bytes.len() as u16, segments: 1, ..FrameMeta::default() };
    let lane = b.push(frame, meta, A1.door).unwrap();
    b.seg[lane] = A;
    b.l3[lane] = L3::Other;
    b.send(lane, Out::Tunnel(1));
    let all = b.decided;
    rig.with_ctx(|x| super::vxlan_encap(&mut b, x, all));
    (b, lane)
}

/// Rules: O3.
#[test]
fn under_50_bytes_in_front_of_the_frame_are_no_headroom() {
    use crate::{burst::Fate, drop_reason::DropReason};
    for off in [50, 51, HEADROOM] {
        let (b, lane) = encap_at(off);
        assert!(b.live.has(lane));
        assert_eq!((usize::from(b.meta[lane].off), usize::from(b.meta[lane].len)), (off - 50, 50 + udp(5).len()));
        assert_eq!(b.bytes(lane)[INNER..], udp(5));
    }
    for off in [0, 49] {
        let (b, lane) = encap_at(off);
        assert!(!b.live.has(lane) && b.ended.has(lane));
        assert_eq!(b.fate[lane], Fate::Dropped(Stage::VxlanEncap, DropReason::NoHeadroom));
    }
}

/// The outer source port of a frame sent from A1 to A2.
fn port_of(frame: Vec<u8>) -> u16 {
    let sent = rig_port_security_off().one(A1.door, frame).sent;
    let [(Door::Tunnel, bytes)] = &sent[..] else { panic!("one frame on the tunnel, not {sent:?}") };
    u16::from_be_bytes([bytes[OUTER_UDP], bytes[OUTER_UDP + 1]])
}

/// So that A1 may send from any address.
fn rig_port_security_off() -> Rig {
    Rig::with_room(
        {
            let mut rows = Rows::h1();
            rows.unsecure(A1);
            rows
        },
        Room { frames: 2, queue: 2, tunnel_queue: 2 },
    )
}

fn to_a2(payload: Payload) -> Vec<u8> {
    eth(A1.mac, A2.mac, payload)
}

/// Rules: O3.
#[test]
fn the_source_ports_of_docs_behaviour() {
    assert_eq!(source_port(&to_a2(ip4(A1.ip, A2.ip).udp(1000, 2000, b""))), 61391);
    assert_eq!(source_port(&to_a2(ip4(A2.ip, A1.ip).udp(2000, 1000, b""))), 52788);
    assert_eq!(source_port(&to_a2(ip4(A1.ip, B2.ip).echo(1, 1, b""))), 53883);
    let arp = eth(A1.mac, crate::addr::MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, A2.ip));
    assert_eq!(source_port(&arp), 55503);
}

/// Rules: O3.
#[test]
fn every_fragment_of_a_datagram_shares_a_port_and_it_ignores_the_ports_inside() {
    let fragment = |offset, more, data: &[u8]| to_a2(ip4(A1.ip, A2.ip).fragment(offset, more).carry(17, data));
    let first = port_of(fragment(0, true, &[1, 2, 3, 4, 0, 24, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]));
    assert_eq!(first, port_of(fragment(2, false, &[5, 6, 7, 8, 1, 1, 1, 1])));
    assert_eq!(first, source_port(&to_a2(ip4(A1.ip, A2.ip).udp(0, 0, b""))));
    let six = |offset, more, data: &[u8]| to_a2(v6(1, 2).fragment(offset, more).carry(17, data));
    let first = port_of(six(0, true, &[1, 2, 3, 4, 0, 16, 0, 0]));
    assert_eq!(first, port_of(six(1, false, &[5, 6, 7, 8, 1, 1, 1, 1])));
    assert_eq!(first, source_port(&to_a2(v6(1, 2).udp(0, 0, b""))));
}

/// Rules: O3.
#[test]
fn ports_are_read_behind_options_and_never_out_of_padding() {
    let packet = || ip4(A1.ip, A2.ip).options(&[7, 4, 0, 0]);
    let portless = source_port(&to_a2(ip4(A1.ip, A2.ip).udp(0, 0, b"")));
    let udp = port_of(to_a2(packet().udp(1000, 2000, b"")));
    assert_eq!(udp, 61391); // as without options, in docs/behaviour.md
    for short in [packet().carry(17, &[1, 2, 3]), ip4(A1.ip, A2.ip).carry(17, &[1, 2, 3])] {
        assert_eq!(port_of(padded(&to_a2(short), 20)), portless);
    }
}

#[test]
fn ports_are_read_behind_ipv6_extension_headers() {
    let plain = source_port(&to_a2(v6(1, 2).udp(1000, 2000, b"")));
    let options = [&[0, 1, 1, 12][..], &[0; 12]].concat();
    let authentication = [&[0, 4][..], &[0; 22]].concat(); // RFC 4302: 6 words of 4 bytes, less 2
    let atomic = || v6(1, 2).fragment(0, false); // RFC 6946: a whole packet
    for packet in [v6(1, 2).ext(0, &options), v6(1, 2).ext(60, &options), v6(1, 2).ext(51, &authentication), atomic()] {
        assert_eq!(port_of(to_a2(packet.clone().udp(1000, 2000, b""))), plain, "{packet:?}");
    }
}

#[test]
fn the_last_possible_fragment_is_one() {
    let last = to_a2(ip4(A1.ip, A2.ip).fragment(8191, true).carry(17, &[1, 2, 3, 4, 0, 8, 0, 0]));
    assert_eq!(port_of(last), source_port(&to_a2(ip4(A1.ip, A2.ip).udp(0, 0, b""))));
}

#[test]
fn flows_spread_over_the_whole_range() {
    let mut ports: Vec<_> = (0..2000).map(|n| source_port(&to_a2(ip4(A1.ip, A2.ip).udp(n, 80, b"")))).collect();
    assert!(ports.iter().all(|p| *p >= 49152));
    ports.sort_unstable();
    ports.dedup();
    assert!(ports.len() > 1800, "{} of 2000", ports.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Rules: O3.
    #[test]
    fn ipv4_flows_get_the_specified_port(src in 1u32..0x7f00_0000, dst: u32, sport: u16, dport: u16, kind in 0..4u8) {
        let p = ip4(src, dst);
        let frame = to_a2(match kind {
            0 => p.udp(sport, dport, b"abc"),
            1 => p.tcp(sport, dport),
            2 => p.carry(132, &[&sport.to_be_bytes()[..], &dport.to_be_bytes(), &[0; 8]].concat()),
            _ => p.echo(sport, dport, b""),
        });
        prop_assert_eq!(port_of(frame.clone()), source_port(&frame));
    }

    /// Rules: O3.
    #[test]
    fn ipv6_flows_get_the_specified_port(src: u128, dst: u128, sport: u16, dport: u16, udp: bool) {
        let p = v6(src, dst);
        let frame = to_a2(if udp { p.udp(sport, dport, b"abc") } else { p.carry(50, &[1, 2, 3, 4]) });
        prop_assert_eq!(port_of(frame.clone()), source_port(&frame));
    }

    /// Rules: O3.
    #[test]
    fn other_frames_get_the_specified_port(kind in 0x0900u16..0x8000, last: u8, data in proptest::collection::vec(any::<u8>(), 0..60)) {
        let src = mac(&format!("fa:16:3e:0a:01:{last:02x}"));
        let frame = eth(src, A2.mac, other(kind, &data));
        prop_assert_eq!(port_of(frame.clone()), source_port(&frame));
    }

    /// Rules: O3.
    #[test]
    fn fragments_share_a_port(src in 1u32..0x7f00_0000, dst: u32, proto: u8, offset in 0u16..8191, data in proptest::collection::vec(any::<u8>(), 8..60)) {
        let fragment = |offset, more| to_a2(ip4(src, dst).fragment(offset, more).carry(proto, &data));
        let (first, later) = (port_of(fragment(0, true)), port_of(fragment(offset.max(1), false)));
        prop_assert_eq!(first, later);
        prop_assert_eq!(first, source_port(&fragment(0, true)));
    }
}

/// Of three traced frames only the one that left by a tunnel has outer headers to tell of.
#[test]
fn a_trace_says_vni_and_source_port_of_what_was_encapsulated() {
    let to_a3 = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1000, 2000, b""));
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.step(A1.door, &[to_a3, udp(1450 - 27), udp(5)]);
    let told: Vec<_> = rig.notes().into_iter().filter(|r| matches!(r.note, Note::Encap(..))).collect();
    // UDP 1000 > 2000 between 10.1.0.11 and .12: port 61391 in docs/behaviour.md.
    let (lane, note) = (Lane::new(2).unwrap(), Note::Encap(1001, 61391));
    assert_eq!(told, [TraceRecord { lane, stage: Stage::VxlanEncap, note }]);
}
