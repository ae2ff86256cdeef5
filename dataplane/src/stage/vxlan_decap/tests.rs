//! T0, the first half of T1, and ECN on the way in (RFC 6040).

use crate::burst::Door::Tunnel;
use crate::testkit::*;

const DECAP: &str = "ingress vxlan_decap";
const DELIVERED: &str =
    "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun local_switching egress";

/// A2 speaks to A1.
fn inner() -> Vec<u8> {
    eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).udp(1000, 2000, b"hello"))
}

fn outer() -> Vec<u8> {
    vx(H2, H1, 1001, &inner())
}

/// `outer()` with changed bytes and a right outer header checksum.
fn changed(at: usize, bytes: &[u8]) -> Vec<u8> {
    with_right_sum(&with(&outer(), at, bytes), OUTER_IP)
}

#[track_caller]
fn assert_dropped(frame: Vec<u8>, reason: &str) {
    Rig::h1().one(Tunnel, frame).assert_dropped(Tunnel, DECAP, reason);
}

#[track_caller]
fn assert_delivered(frame: Vec<u8>) {
    Rig::h1().one(Tunnel, frame).assert_sent(Tunnel, DELIVERED, &[(A1.door, inner())]);
}

/// Rules: T0, T5.
#[test]
fn the_inner_frame_is_delivered_as_it_was() {
    assert_delivered(outer()); // L2-03
}

/// Rules: T0.
#[test]
fn what_is_not_for_our_mac_address_and_port_is_not_ours() {
    assert_dropped(with(&outer(), 0, &H3.nic.octets()), "not_ours");
    assert_dropped(with(&outer(), 0, &[0xff; 6]), "not_ours");
    assert_dropped(with(&outer(), 12, &[0x86, 0xdd]), "not_ours");
    assert_dropped(with(&outer(), 12, &[0x08, 0x06]), "not_ours");
    assert_dropped(tagged(&outer(), &[7]), "not_ours");
    assert_dropped(changed(OUTER_IP + 16, &H3.vtep.to_be_bytes()), "not_ours");
    assert_dropped(changed(OUTER_IP + 9, &[6]), "not_ours");
    assert_dropped(changed(OUTER_UDP + 2, &4790u16.to_be_bytes()), "not_ours");
    assert_dropped(changed(OUTER_UDP + 2, &8472u16.to_be_bytes()), "not_ours");
}

/// Rules: T0.
#[test]
fn a_host_without_a_vtep_owns_nothing_from_the_tunnel() {
    let mut rig = Rig::h1_with(|r| r.snap.host.vtep = 0);
    rig.one(Tunnel, outer()).assert_dropped(Tunnel, DECAP, "not_ours");
    rig.one(Tunnel, changed(OUTER_IP + 16, &[0; 4])).assert_dropped(Tunnel, DECAP, "not_ours");
}

/// Rules: T0.
#[test]
fn the_vxlan_port_is_configured() {
    let mut rig = Rig::h1_with(|r| r.snap.host.vxlan_port = 8472);
    rig.one(Tunnel, outer()).assert_dropped(Tunnel, DECAP, "not_ours");
    let frame = changed(OUTER_UDP + 2, &8472u16.to_be_bytes());
    rig.one(Tunnel, frame).assert_sent(Tunnel, DELIVERED, &[(A1.door, inner())]);
}

/// Rules: T0.
#[test]
fn a_broken_outer_ipv4_header_is_parse_l3() {
    let total = (outer().len() - OUTER_IP) as u16;
    for (at, bytes) in [(0, &[0x55u8][..]), (0, &[0x44]), (2, &(total + 1).to_be_bytes()), (2, &19u16.to_be_bytes())] {
        assert_dropped(changed(OUTER_IP + at, bytes), "parse_l3");
    }
    assert_dropped(with(&outer(), OUTER_IP, &[0x4f]), "parse_l3");
    // Before a fragment is one; and a whole header without anything behind it is sound, but names no UDP port.
    let fragment = changed(OUTER_IP + 6, &[0x20, 0]);
    let long = with(&fragment, OUTER_IP + 2, &(total + 1).to_be_bytes());
    assert_dropped(with_right_sum(&long, OUTER_IP), "parse_l3");
    assert_dropped(changed(OUTER_IP + 2, &20u16.to_be_bytes()), "not_ours");
}

/// Rules: T0.
#[test]
fn a_wrong_outer_header_checksum_is_parse_l3() {
    let sum = outer()[OUTER_IP + 10];
    assert_dropped(with(&outer(), OUTER_IP + 10, &[sum ^ 1]), "parse_l3");
}

/// Rules: T0.
#[test]
fn an_outer_packet_cut_anywhere_is_parse_short_or_parse_l3() {
    for len in 0..outer().len() {
        assert_dropped(outer()[..len].to_vec(), if len < 14 { "parse_short" } else { "parse_l3" });
    }
}

/// Rules: T0.
#[test]
fn outer_options_and_padding_are_no_matter() {
    let data = &outer()[VXLAN..];
    let with_options = ip4(H2.vtep, H1.vtep).options(&[148, 4, 0, 0]).udp(50000, 4789, data);
    assert_delivered(eth(H2.nic, H1.nic, with_options));
    assert_delivered(padded(&outer(), 5));
}

/// Rules: T0.
#[test]
fn outer_fragments_are_vx_bad() {
    assert_dropped(changed(OUTER_IP + 6, &[0x20, 0]), "vx_bad");
    assert_dropped(changed(OUTER_IP + 6, &[0, 9]), "vx_bad");
    assert_dropped(changed(OUTER_IP + 6, &[0x3f, 0xff]), "vx_bad");
    // A later fragment shows no port number.
    assert_dropped(with_right_sum(&with(&changed(OUTER_UDP, &[9; 8]), OUTER_IP + 6, &[0, 9]), OUTER_IP), "vx_bad");
}

/// Rules: T0.
#[test]
fn a_udp_checksum_is_right_or_zero() {
    let data = &outer()[VXLAN..];
    let summed = eth(H2.nic, H1.nic, ip4(H2.vtep, H1.vtep).udp(50000, 4789, data));
    assert_ne!(summed[OUTER_UDP + 6..VXLAN], [0, 0]);
    assert_delivered(summed.clone());
    let wrong = summed[OUTER_UDP + 7] ^ 0x10;
    assert_dropped(with(&summed, OUTER_UDP + 7, &[wrong]), "vx_bad");
    assert_dropped(with(&summed, INNER + 20, &[0x5a]), "vx_bad");
}

/// Rules: T0.
#[test]
fn a_udp_length_that_fits_neither_the_packet_nor_a_vxlan_header_is_vx_bad() {
    let len = (outer().len() - OUTER_UDP) as u16;
    for n in [0, 7, 8, 15, len + 1, u16::MAX] {
        assert_dropped(with(&outer(), OUTER_UDP + 4, &n.to_be_bytes()), "vx_bad");
    }
}

/// Rules: T0.
#[test]
fn the_i_flag_must_be_set_and_the_rest_is_ignored() {
    for flags in [0x00, 0xf7, 0x80] {
        assert_dropped(with(&outer(), VXLAN, &[flags]), "vx_bad");
    }
    assert_delivered(with(&outer(), VXLAN, &[0xc8]));
    assert_delivered(with(&outer(), VXLAN, &[0xff, 0xff, 0xff, 0xff]));
    assert_delivered(with(&outer(), VXLAN + 7, &[0xff]));
}

/// Rules: T0.
#[test]
fn fewer_than_14_inner_bytes_are_parse_short() {
    for len in 0..14 {
        assert_dropped(vx(H2, H1, 1001, &inner()[..len]), "parse_short");
    }
    let bare = eth(A2.mac, A1.mac, other(0x9999, &[]));
    let with_options = |inner: &[u8]| {
        let data = [&outer()[VXLAN..INNER], inner].concat();
        eth(H2.nic, H1.nic, ip4(H2.vtep, H1.vtep).options(&[148, 4, 0, 0]).udp(50000, 4789, &data))
    };
    for whole in [vx(H2, H1, 1001, &bare), with_options(&bare)] {
        Rig::h1().one(Tunnel, whole).assert_sent(Tunnel, DELIVERED, &[(A1.door, bare.clone())]);
    }
    assert_dropped(with_options(&bare[..13]), "parse_short");
}

/// Rules: T0, T1, T2.
#[test]
fn outer_checks_come_before_the_sender_and_the_sender_before_the_network() {
    let stranger = |frame: &[u8]| with_right_sum(&with(frame, OUTER_IP + 12, &[172, 20, 0, 99]), OUTER_IP);
    assert_dropped(stranger(&with(&outer(), VXLAN, &[0])), "vx_bad");
    assert_dropped(stranger(&vx(H2, H1, 1001, &inner()[..13])), "parse_short");
    assert_dropped(stranger(&vx(H2, H1, 4242, &inner())), "unknown_vtep");
}

/// Rules: T1.
#[test]
fn the_outer_source_is_a_known_vtep() {
    let from = |vtep: u32| changed(OUTER_IP + 12, &vtep.to_be_bytes());
    assert_dropped(from(ip("172.20.0.99")), "unknown_vtep"); // VX-01
    assert_dropped(from(H1.vtep), "unknown_vtep");
    assert_dropped(from(0), "unknown_vtep");
}

/// RFC 6040, figure 4: inner, outer, result (`None`: drop). Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3.
const ECN: [(u8, [Option<u8>; 4]); 4] = [
    (0, [Some(0), Some(0), Some(0), None]),
    (1, [Some(1), Some(1), Some(1), Some(3)]),
    (2, [Some(2), Some(1), Some(2), Some(3)]),
    (3, [Some(3), Some(3), Some(3), Some(3)]),
];

/// Every combination of marks, for the packets that `make` builds of a TOS.
fn assert_ecn(make: impl Fn(u8) -> Payload) {
    const DSCP: u8 = 0xb8; // stays whatever the mark becomes
    let frame = |ecn: u8| eth(A2.mac, A1.mac, make(DSCP | ecn));
    for (inside, row) in ECN {
        for (outside, result) in (0u8..4).zip(row) {
            let out = Rig::h1().one(Tunnel, vx_tos(H2, H1, 1001, outside, &frame(inside)));
            match result {
                Some(ecn) => out.assert_sent(Tunnel, DELIVERED, &[(A1.door, frame(ecn))]),
                None => {
                    let path = "ingress vxlan_decap vxlan_tun_to_lv decode";
                    out.assert_dropped_by(Tunnel, path, "vxlan_tun_to_lv", "ecn_bad")
                }
            };
        }
    }
}

/// Rules: T0.
#[test]
fn the_outer_mark_goes_into_ipv4_and_its_checksum_follows() {
    assert_ecn(|tos| ip4(A2.ip, A1.ip).tos(tos).udp(1000, 2000, b"hello"));
}

/// Rules: T0.
#[test]
fn the_outer_mark_goes_into_ipv6() {
    assert_ecn(|tos| v6(lla(A2.mac), lla(A1.mac)).tos(tos).udp(1000, 2000, b"hello"));
}

/// Rules: T0.
#[test]
fn the_outer_dscp_stays_outside() {
    let frame = eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).tos(0x02).udp(1, 2, b""));
    let out = Rig::h1().one(Tunnel, vx_tos(H2, H1, 1001, 0xb8, &frame));
    out.assert_sent(Tunnel, DELIVERED, &[(A1.door, frame)]);
}

/// Rules: T0.
#[test]
fn a_frame_without_an_ecn_field_passes_whatever_the_mark() {
    let path = "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun arp_responder \
                local_switching egress";
    for mark in 0..4 {
        let arp = eth(A2.mac, A1.mac, arp_reply(A2.mac, A2.ip, A1.mac, A1.ip));
        Rig::h1().one(Tunnel, vx_tos(H2, H1, 1001, mark, &arp)).assert_sent(Tunnel, path, &[(A1.door, arp)]);
    }
}

/// Of traced frames, those that came by a tunnel of this cloud and no others are said to.
#[test]
fn a_trace_names_the_tunnel_a_frame_came_by() {
    use crate::{burst::Lane, trace::Note};
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.step(Tunnel, &[changed(OUTER_IP + 12, &[172, 20, 0, 99]), vx(H3, H1, 1001, &inner()), outer()]);
    rig.one(A1.door, eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"")));
    let from = |note| if let Note::FromTunnel(tunnel) = note { Some(tunnel) } else { None };
    let told: Vec<_> = rig.notes().into_iter().filter_map(|r| Some((r.lane, from(r.note)?))).collect();
    // H2 is tunnel 1 of H1, H3 is 2.
    assert_eq!(told, [(Lane::new(1).unwrap(), 2), (Lane::new(2).unwrap(), 1)]);
}
