//! I0 for IPv6: header, extension chain, neighbour discovery.

use super::{assert_bad, assert_passes, frame};
use crate::testkit::*;

const L3: usize = 14;
const A3_LLA: u128 = lla(A3.mac);

fn packet() -> Ip6 {
    v6(A1_V6, A3_LLA)
}

fn udp() -> Vec<u8> {
    frame(packet().udp(1000, 2000, b"hello"))
}

/// An options header of `n` times 8 bytes.
fn options(n: u8) -> Vec<u8> {
    [&[0, n - 1, 1, 4][..], &[0; 4], &vec![0; usize::from(n - 1) * 8]].concat()
}

/// Rules: I0.
#[test]
fn version_and_payload_length_must_fit_the_frame() {
    let good = udp();
    assert_passes(good.clone());
    assert_passes(padded(&good, 9));
    assert_bad(with(&good, L3, &[0x40]), "parse_l3");
    assert_bad(with(&good, L3 + 4, &14u16.to_be_bytes()), "parse_l3");
    assert_bad(with(&good, L3 + 4, &u16::MAX.to_be_bytes()), "parse_l3");
    for len in L3..good.len() {
        assert_bad(good[..len].to_vec(), "parse_l3");
    }
}

/// Rules: I0.
#[test]
fn a_packet_without_payload_is_one_unless_it_is_a_jumbogram() {
    assert_passes(frame(packet().carry(59, &[])));
    let jumbo = frame(packet().ext(0, &[0, 0, 194, 4, 0, 1, 0, 0]).udp(1, 2, b""));
    assert_bad(with(&jumbo, L3 + 4, &[0, 0]), "parse_l3");
}

/// Rules: I0.
#[test]
fn eight_extension_headers_pass_and_nine_do_not() {
    let chain = |n| (0..n).fold(packet(), |p, _| p.ext(60, &options(1)));
    assert_passes(frame(chain(8).udp(1, 2, b"")));
    assert_bad(frame(chain(9).udp(1, 2, b"")), "parse_l3");
}

/// Rules: I0.
#[test]
fn an_extension_chain_of_256_bytes_passes_and_of_264_does_not() {
    assert_passes(frame(packet().ext(60, &options(32)).udp(1, 2, b"")));
    assert_bad(frame(packet().ext(60, &options(32)).ext(60, &options(1)).udp(1, 2, b"")), "parse_l3");
    assert_passes(frame(packet().ext(60, &options(31)).ext(60, &options(1)).udp(1, 2, b"")));
}

/// Rules: I0.
#[test]
fn an_extension_header_past_the_packet_is_parse_l3() {
    assert_passes(frame(packet().ext(60, &options(1)).carry(59, &[]))); // up to its end it may reach
    assert_bad(frame(packet().ext(60, &[0, 1, 1, 4, 0, 0, 0, 0]).carry(59, &[])), "parse_l3");
    assert_bad(frame(packet().ext(60, &[0]).carry(59, &[])), "parse_l3");
    assert_bad(frame(packet().ext(44, &[0, 0, 0, 0]).carry(59, &[])), "parse_l3");
}

/// Rules: I0.
#[test]
fn hop_by_hop_options_come_first_or_not_at_all() {
    assert_passes(frame(packet().ext(0, &options(1)).udp(1, 2, b"")));
    assert_bad(frame(packet().ext(60, &options(1)).ext(0, &options(1)).udp(1, 2, b"")), "parse_l3");
    assert_bad(frame(packet().ext(0, &options(1)).ext(0, &options(1)).udp(1, 2, b"")), "parse_l3");
}

/// RFC 7112: a first fragment carries the whole chain, so there is nowhere to hide.
/// Rules: I0.
#[test]
fn a_first_fragment_cannot_hide_a_routing_header_type_0() {
    let first = |kind: u8| {
        frame(packet().ext(44, &[0, 0, 0, 1, 0, 0, 0, 9]).ext(43, &[0, 0, kind, 0, 0, 0, 0, 0]).udp(1, 2, b""))
    };
    assert_bad(first(0), "parse_l3");
    assert_passes(first(2));
}

/// Rules: I0.
#[test]
fn routing_header_type_0_is_parse_l3_and_others_pass() {
    let routing = |kind: u8| frame(packet().ext(43, &[0, 0, kind, 0, 0, 0, 0, 0]).udp(1, 2, b""));
    assert_bad(routing(0), "parse_l3");
    assert_passes(routing(2));
    assert_passes(routing(4));
}

/// Rules: I0.
#[test]
fn an_authentication_header_counts_its_length_in_words_of_four() {
    let ah = |words: u8| [&[0, words - 2], &vec![0; usize::from(words) * 4 - 2][..]].concat();
    assert_passes(frame(packet().ext(51, &ah(6)).udp(1, 2, b"")));
    assert_bad(frame(packet().ext(51, &[0, 4, 0, 0, 0, 0, 0, 0]).carry(59, &[])), "parse_l3");
}

/// Rules: I0.
#[test]
fn what_follows_a_fragment_is_not_read_as_a_header() {
    // A later fragment's payload may look like anything, here like a routing header of type 0.
    assert_passes(frame(packet().fragment(1, true).carry(43, &[0, 0, 0, 0, 0, 0, 0, 0])));
    // An atomic fragment is a plain packet: its chain goes on.
    assert_bad(frame(packet().fragment(0, false).ext(43, &[0, 0, 0, 0, 0, 0, 0, 0]).udp(1, 2, b"")), "parse_l3");
}

fn solicitation() -> Vec<u8> {
    frame(ns(A1_V6, A3_LLA, A3_LLA, Some(A1.mac)))
}

/// A solicitation with a changed byte and a right checksum.
fn solicit(hop_limit: u8, code: u8, options: &[u8]) -> Vec<u8> {
    let body = [&[0; 4], &A3_LLA.to_be_bytes()[..], options].concat();
    frame(v6(A1_V6, A3_LLA).hop_limit(hop_limit).icmp(135, code, &body))
}

#[track_caller]
fn assert_nd_passes(frame: Vec<u8>) {
    let path = "ingress decode vm_port arp_responder local_switching egress";
    Rig::h1().one(A1.door, frame.clone()).assert_sent(A1.door, path, &[(A3.door, frame)]);
}

/// Rules: I0.
#[test]
fn neighbour_discovery_has_hop_limit_255_code_0_and_a_good_checksum() {
    assert_nd_passes(solicitation());
    assert_nd_passes(solicit(255, 0, &[]));
    assert_bad(solicit(254, 0, &[]), "parse_l3");
    assert_bad(solicit(255, 1, &[]), "parse_l3");
    let sum = L3 + 40 + 2;
    let wrong = solicitation()[sum] ^ 1;
    assert_bad(with(&solicitation(), sum, &[wrong]), "parse_l3");
}

/// Rules: I0.
#[test]
fn neighbour_discovery_options_have_a_length_and_fit() {
    assert_nd_passes(solicit(255, 0, &[1, 1, 2, 2, 2, 2, 2, 2]));
    assert_nd_passes(solicit(255, 0, &[200, 1, 0, 0, 0, 0, 0, 0, 14, 1, 0, 0, 0, 0, 0, 0]));
    assert_bad(solicit(255, 0, &[1, 0, 2, 2, 2, 2, 2, 2]), "parse_l3");
    assert_bad(solicit(255, 0, &[1, 2, 2, 2, 2, 2, 2, 2]), "parse_l3");
    assert_bad(solicit(255, 0, &[1, 1, 2, 2, 2, 2, 2]), "parse_l3");
    assert_bad(solicit(255, 0, &[1]), "parse_l3");
}

/// Rules: I0.
#[test]
fn neighbour_discovery_cut_short_is_parse_l3() {
    for (kind, body) in [(133u8, 4usize), (134, 12), (135, 20), (136, 20), (137, 36)] {
        let message = |n: usize| frame(v6(A1_V6, A3_LLA).hop_limit(255).icmp(kind, 0, &vec![0; n]));
        for n in 0..body {
            assert_bad(message(n), "parse_l3");
        }
    }
}

/// Rules: I0.
/// RFC 6980. Of other protocols and ICMPv6 types a first fragment may begin with anything.
#[test]
fn neighbour_discovery_is_never_fragmented() {
    let first = |proto: u8, kind: u8| frame(packet().hop_limit(255).fragment(0, true).carry(proto, &[kind; 24]));
    for kind in 133..=137 {
        assert_bad(first(58, kind), "parse_l3");
        assert_passes(first(17, kind));
    }
    assert_passes(first(58, 132));
    assert_passes(first(58, 138));
}

#[test]
fn a_redirect_is_checked_like_the_rest() {
    let redirect = |hops| frame(v6(A1_V6, A3_LLA).hop_limit(hops).icmp(137, 0, &[0; 36]));
    assert_passes(redirect(255));
    assert_bad(redirect(64), "parse_l3");
}

/// Rules: I0.
#[test]
fn other_icmpv6_needs_none_of_that() {
    assert_passes(frame(v6(A1_V6, A3_LLA).hop_limit(1).icmp(128, 7, &[0, 1, 0, 1])));
    let echo = frame(v6(A1_V6, A3_LLA).icmp(128, 0, &[0, 1, 0, 1]));
    assert_passes(with(&echo, L3 + 42, &[0xba, 0xad]));
}
