//! I0: what passes, and each way to be malformed. What is wrong with a frame shows on a bridged one
//! (A1 to A3, same host): the rule holds "bridged or routed".

use crate::testkit::*;

mod ip6;

const IN: &str = "ingress decode";
const BRIDGED: &str = "ingress decode vm_port local_switching egress";
/// Where the IPv4 header or the ARP packet begins.
const L3: usize = 14;

fn frame(payload: Payload) -> Vec<u8> {
    eth(A1.mac, A3.mac, payload)
}

fn udp() -> Vec<u8> {
    frame(ip4(A1.ip, A3.ip).udp(1000, 2000, b"hello"))
}

#[track_caller]
fn assert_passes(frame: Vec<u8>) {
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, frame)]);
}

#[track_caller]
fn assert_bad(frame: Vec<u8>, reason: &str) {
    Rig::h1().one(A1.door, frame).assert_dropped(A1.door, IN, reason);
}

/// Rules: I0.
#[test]
fn a_frame_shorter_than_an_ethernet_header_is_parse_short() {
    for len in 0..14 {
        assert_bad(udp()[..len].to_vec(), "parse_short");
    }
}

/// Rules: I0.
#[test]
fn fourteen_bytes_are_a_frame() {
    let mut rig = Rig::h1_with(|r| r.unsecure(A1));
    let bare = frame(other(0x9999, &[]));
    rig.one(A1.door, bare.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, bare)]);
}

/// Rules: I0.
#[test]
fn source_multicast_broadcast_or_zero_is_eth_src_bad() {
    for src in ["01:00:5e:00:00:01", "03:16:3e:0a:00:11", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
        assert_bad(eth(mac(src), A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"")), "eth_src_bad");
    }
}

/// Rules: I0.
#[test]
fn the_sixteen_link_local_group_addresses_are_not_bridged_and_the_next_is() {
    for last in 0..=0x0f {
        let dst = mac(&format!("01:80:c2:00:00:{last:02x}"));
        assert_bad(eth(A1.mac, dst, ip4(A1.ip, A3.ip).udp(1, 2, b"")), "link_local_mcast");
    }
    let next = eth(Z1.mac, mac("01:80:c2:00:00:10"), ip4(Z1.ip, A3.ip).udp(1, 2, b""));
    let path = "ingress decode vm_port local_switching egress flood_to_tun";
    Rig::h1().one(Z1.door, next).assert_dropped(Z1.door, path, "no_receiver");
}

/// Rules: I0.
#[test]
fn ipv4_version_header_length_and_total_length_must_fit_the_frame() {
    let good = udp();
    let ip_len = (good.len() - L3) as u16;
    let total = |n: u16| with(&good, L3 + 2, &n.to_be_bytes());
    assert_passes(total(ip_len));
    assert_bad(with(&good, L3, &[0x55]), "parse_l3"); // version 5
    assert_bad(with(&good, L3, &[0x44]), "parse_l3"); // header of 16 bytes
    assert_bad(with(&good, L3, &[0x4f]), "parse_l3"); // header of 60 bytes in a packet of 33
    assert_bad(total(19), "parse_l3"); // shorter than its header
    assert_bad(total(ip_len + 1), "parse_l3"); // longer than the frame
    assert_bad(total(2000), "parse_l3");
    assert_bad(total(u16::MAX), "parse_l3");
}

/// Rules: I0.
#[test]
fn ipv4_cut_anywhere_in_its_packet_is_parse_l3() {
    let good = udp();
    for len in L3..good.len() {
        assert_bad(good[..len].to_vec(), "parse_l3");
    }
}

/// Rules: I0.
#[test]
fn bridging_looks_neither_at_the_header_checksum_nor_at_options_that_fit() {
    assert_passes(with(&udp(), L3 + 10, &[0xde, 0xad]));
    assert_passes(frame(ip4(A1.ip, A3.ip).options(&[148, 4, 0, 0]).udp(1, 2, b""))); // router alert
    assert_passes(frame(ip4(A1.ip, A3.ip).options(&[131, 7, 4, 10, 0, 0, 1, 0]).udp(1, 2, b""))); // LSRR
}

/// Rules: I0.
#[test]
fn padding_behind_the_packet_stays_on_a_bridged_frame() {
    assert_passes(padded(&udp(), 17));
}

/// Rules: I0.
#[test]
fn option_lengths_stay_inside_the_header() {
    let options = |bytes: [u8; 4]| frame(ip4(A1.ip, A3.ip).options(&bytes).udp(1, 2, b""));
    for good in [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0], [7, 4, 0, 0], [1, 7, 3, 0], [1, 1, 7, 2], [0, 9, 9, 9]] {
        assert_passes(options(good));
    }
    for bad in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 7, 4, 0], [1, 1, 7, 3], [1, 1, 1, 7]] {
        assert_bad(options(bad), "parse_l3");
    }
}

/// Rules: I0.
#[test]
fn arp_of_the_wrong_kind_or_size_is_parse_l3() {
    let good = frame(arp_reply(A1.mac, A1.ip, A3.mac, A3.ip));
    Rig::h1().one(A1.door, good.clone()).assert_sent(
        A1.door,
        "ingress decode vm_port arp_responder local_switching egress",
        &[(A3.door, good.clone())],
    );
    let fields: [(usize, &[u8]); 7] =
        [(0, &[0, 6]), (2, &[0x86, 0xdd]), (4, &[7]), (5, &[16]), (6, &[0, 0]), (6, &[0, 3]), (6, &[1, 1])];
    for (at, bytes) in fields {
        assert_bad(with(&good, L3 + at, bytes), "parse_l3");
    }
    for len in L3..L3 + 28 {
        assert_bad(good[..len].to_vec(), "parse_l3");
    }
}

/// Rules: I0.
#[test]
fn rarp_of_the_wrong_size_is_parse_l3() {
    let good = frame(rarp(A1.mac));
    assert_passes(good.clone());
    assert_bad(with(&good, L3 + 4, &[7]), "parse_l3");
    assert_bad(good[..L3 + 27].to_vec(), "parse_l3");
}

/// Rules: I0.
#[test]
fn a_tag_cut_off_by_the_frame_is_parse_l3() {
    let one = tagged(&udp(), &[0]);
    for len in 14..18 {
        assert_bad(one[..len].to_vec(), "parse_l3");
    }
    let two = tagged(&udp(), &[5, 6]);
    for len in 18..22 {
        assert_bad(two[..len].to_vec(), "parse_l3");
    }
}

/// Rules: I0.
#[test]
fn headers_are_checked_behind_a_tag_too() {
    let bad = with(&udp(), L3, &[0x44]);
    assert_bad(tagged(&bad, &[0]), "parse_l3");
    assert_bad(tagged(&bad, &[5, 6]), "parse_l3");
}

#[test]
fn what_another_ethertype_carries_is_not_read_as_ip() {
    let packet = ip4(A1.ip, A3.ip).udp(1000, 2000, b"hello").bytes;
    let out = Rig::h1().one(A1.door, frame(other(0x88b5, &packet)));
    out.assert_dropped(A1.door, "ingress decode vm_port", "ethertype");
}
