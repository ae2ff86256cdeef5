//! What is expected is the same packet built anew with the other address.

use super::*;
use crate::wire::reference::{A1, B1, FIP, Ip, OUTSIDE, assert_sums, ip, sum, sum_at, tcp, udp};
use proptest::collection::vec;
use proptest::prelude::*;

fn with_source(packet: &[u8], to: u32) -> Vec<u8> {
    let mut packet = packet.to_vec();
    set_source(&mut packet, to);
    packet
}

fn with_destination(packet: &[u8], to: u32) -> Vec<u8> {
    let mut packet = packet.to_vec();
    set_destination(&mut packet, to);
    packet
}

/// FIP-11: 203.0.113.101:53 > 198.51.100.7:53 was refused there, the error comes in and goes to 10.1.0.11.
#[test]
#[rustfmt::skip]
fn an_error_about_a_floating_ip_byte_for_byte() {
    let outside = [
        0x45, 0x00, 0x00, 0x39, 0x00, 0x0a, 0x00, 0x00, 0x3c, 0x01, 0x18, 0x1a, 198, 51, 100, 7, 203, 0, 113, 101,
        3, 3, 0x63, 0xb8, 0, 0, 0, 0,
        0x45, 0x00, 0x00, 0x1d, 0x00, 0x09, 0x00, 0x00, 0x3d, 0x11, 0x17, 0x27, 203, 0, 113, 101, 198, 51, 100, 7,
        0x00, 0x35, 0x00, 0x35, 0x00, 0x09, 0x59, 0xd1, b'?',
    ];
    let inside = [
        0x45, 0x00, 0x00, 0x39, 0x00, 0x0a, 0x00, 0x00, 0x3c, 0x01, 0x4a, 0x74, 198, 51, 100, 7, 10, 1, 0, 11,
        3, 3, 0x31, 0x5e, 0, 0, 0, 0,
        0x45, 0x00, 0x00, 0x1d, 0x00, 0x09, 0x00, 0x00, 0x3d, 0x11, 0x49, 0x81, 10, 1, 0, 11, 198, 51, 100, 7,
        0x00, 0x35, 0x00, 0x35, 0x00, 0x09, 0x8c, 0x2b, b'?',
    ];
    assert_eq!(with_destination(&outside, A1), inside);
    assert_eq!(with_destination(&inside, FIP), outside);
}

/// A message of each protocol, without its checksum.
fn messages() -> Vec<(u8, Vec<u8>)> {
    vec![
        (1, [&[8, 0, 0, 0, 0, 1, 0, 1][..], b"some bytes."].concat()),
        (6, tcp(1, 2, 0x18, &[1; 4], b"odd")),
        (17, udp(53, 53, b"some bytes.")),
        (33, vec![0x13, 0x88, 0x13, 0x89, 4, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 1]),
        (136, [&[0, 53, 0, 53, 0, 0, 0, 0][..], b"some bytes."].concat()),
        (47, vec![1; 33]),
        (132, vec![2; 33]),
    ]
}

#[test]
fn a_packet_is_as_if_sent_by_or_to_the_other_address() {
    for (proto, message) in messages() {
        let of = |src, dst| Ip { options: vec![1; 12], ..ip(proto, src, dst) }.message(&message);
        assert_eq!(with_source(&of(A1, OUTSIDE), FIP), of(FIP, OUTSIDE), "protocol {proto}");
        assert_eq!(with_destination(&of(OUTSIDE, FIP), A1), of(OUTSIDE, A1), "protocol {proto}");
        assert_eq!(with_source(&of(A1, OUTSIDE), A1), of(A1, OUTSIDE), "protocol {proto}");
    }
}

#[test]
fn a_first_fragment_holds_the_checksum_of_all_and_later_ones_hold_none() {
    for (proto, message) in messages() {
        let pieces = |src| {
            let whole = ip(proto, src, OUTSIDE).with_sum(&message);
            let piece = |fragment, payload| Ip { fragment, ..ip(proto, src, OUTSIDE) }.carry(payload);
            [piece(0x2000, &whole[..8]), piece(0x2000, &whole[..17]), piece(0x2001, &whole), piece(0x0001, &whole)]
        };
        let wanted = pieces(FIP);
        for (n, piece) in pieces(A1).iter().enumerate() {
            let mut wanted = wanted[n].clone();
            let at = 20 + sum_at(proto).unwrap_or(0);
            if n >= 2 || proto == 6 && n == 1 {
                // What stands there is no checksum, or half of one.
                let end = piece.len().min(at + 2);
                wanted[at.min(end)..end].copy_from_slice(&piece[at.min(end)..end]);
            }
            assert_eq!(with_source(piece, FIP), wanted, "protocol {proto}, piece {n}");
        }
    }
}

#[test]
fn no_checksum_stays_none_of_udp_only() {
    for (proto, message) in messages().into_iter().filter(|(proto, _)| sum_at(*proto).is_some() && *proto != 1) {
        let packet = ip(proto, A1, OUTSIDE).carry(&message);
        let at = 20 + sum_at(proto).unwrap();
        let changed = with_source(&packet, FIP);
        assert_eq!(changed[at..at + 2] == [0, 0], matches!(proto, 17 | 136), "protocol {proto}");
        assert_eq!(changed[..20], ip(proto, FIP, OUTSIDE).carry(&message)[..20]);
    }
}

#[test]
fn a_computed_zero_is_all_ones_of_udp_only() {
    for (proto, message) in messages().into_iter().filter(|(proto, _)| sum_at(*proto).is_some() && *proto != 1) {
        let at = sum_at(proto).unwrap();
        let zero: &[u8] = if matches!(proto, 17 | 136) { &[0xff, 0xff] } else { &[0, 0] };
        // One value of the first two bytes gives this sum.
        let of = |src, word: u16| ip(proto, src, OUTSIDE).with_sum(&[&word.to_be_bytes(), &message[2..]].concat());
        let word = (0..=0xffff).find(|word| of(FIP, *word)[at..at + 2] == *zero).expect("a sum takes every value");
        let (inside, outside) =
            (ip(proto, A1, OUTSIDE).carry(&of(A1, word)), ip(proto, FIP, OUTSIDE).carry(&of(FIP, word)));
        assert_eq!(with_source(&inside, FIP), outside, "protocol {proto}");
        assert_eq!(with_source(&outside, A1), inside, "protocol {proto}");
        assert_sums(&outside);
    }
}

/// An ICMP error from outside to `to`, quoting the first `quoted` bytes of a packet from `from`.
fn error(kind: u8, to: u32, from: u32, inner: &Ip, message: &[u8], quoted: usize) -> Vec<u8> {
    let inner = Ip { src: from, ..inner.clone() };
    let quote = inner.message(message);
    let quote = &quote[..quoted.min(quote.len())];
    ip(1, OUTSIDE, to).message(&[&[kind, 1, 0, 0, 0, 0, 5, 0xaa][..], quote].concat())
}

#[test]
fn the_quoted_packet_is_the_one_that_was_sent() {
    for (proto, message) in messages() {
        for options in [vec![], vec![1; 4], vec![1; 40]] {
            let inner = Ip { options, ttl: 1, ..ip(proto, A1, B1) };
            let header = 20 + inner.options.len();
            let half = header + sum_at(proto).unwrap_or(1) + 1;
            for quoted in (20..header + message.len() + 1).filter(|n| *n != half) {
                let of = |address| error(3, address, address, &inner, &message, quoted);
                let changed = with_destination(&of(FIP), A1);
                assert_eq!(changed, of(A1), "protocol {proto}, {quoted} bytes quoted");
            }
            let changed = with_destination(&error(3, FIP, FIP, &inner, &message, half), A1);
            assert_sums(&changed);
        }
    }
}

/// The other way: a VM's error about what came in, quoted destination its own address.
#[test]
fn a_quoted_destination_follows_the_source() {
    for (proto, message) in messages() {
        let of = |address| {
            let quote = ip(proto, OUTSIDE, address).message(&message);
            ip(1, address, OUTSIDE).message(&[&[3, 3, 0, 0, 0, 0, 0, 0][..], &quote].concat())
        };
        assert_eq!(with_source(&of(A1), FIP), of(FIP), "protocol {proto}");
        assert_eq!(with_source(&of(FIP), A1), of(A1), "protocol {proto}");
    }
}

#[test]
fn only_errors_quote_and_only_the_address_that_changes() {
    let (inner, message) = (ip(17, FIP, B1), udp(1, 2, b"x"));
    for kind in 0..=255 {
        let before = error(kind, FIP, FIP, &inner, &message, 99);
        let quotes = [3, 4, 5, 11, 12].contains(&kind);
        let from = if quotes { A1 } else { FIP };
        assert_eq!(with_destination(&before, A1), error(kind, A1, from, &inner, &message, 99), "type {kind}");
    }
    // Somebody else's packet, or the address on its other side.
    let other = error(3, FIP, B1, &inner, &message, 99);
    assert_eq!(with_destination(&other, A1), error(3, A1, B1, &inner, &message, 99));
    let other_side = error(3, FIP, B1, &Ip { dst: FIP, ..inner.clone() }, &message, 99);
    assert_eq!(with_destination(&other_side, A1), error(3, A1, B1, &Ip { dst: FIP, ..inner.clone() }, &message, 99));
    assert_eq!(with_source(&other, A1)[20..], other[20..], "the error's sender is in no quote");
    // Not UDP that looks like an error, not a later fragment of one.
    let quote = &other[20..];
    for head in [ip(99, OUTSIDE, FIP), Ip { fragment: 1, ..ip(1, OUTSIDE, FIP) }] {
        let mine = error(3, FIP, FIP, &inner, &message, 99);
        assert_eq!(with_destination(&head.carry(&mine[20..]), A1), Ip { dst: A1, ..head.clone() }.carry(&mine[20..]));
        assert_eq!(with_destination(&head.carry(quote), A1), Ip { dst: A1, ..head.clone() }.carry(quote));
    }
}

#[test]
fn a_quoted_fragment_without_the_header_has_no_checksum_to_change() {
    let (inner, message) = (Ip { fragment: 0x2001, ..ip(17, FIP, B1) }, [7; 40]);
    let of = |address| {
        let quote = Ip { src: address, ..inner.clone() }.carry(&message);
        ip(1, OUTSIDE, address).message(&[&[11, 1, 0, 0, 0, 0, 0, 0][..], &quote].concat())
    };
    assert_eq!(with_destination(&of(FIP), A1), of(A1));
}

#[test]
fn a_quoted_checksum_of_zero_stays() {
    let of = |address| {
        let quote = ip(17, address, B1).carry(&udp(1, 2, b"zero"));
        ip(1, OUTSIDE, address).message(&[&[3, 3, 0, 0, 0, 0, 0, 0][..], &quote].concat())
    };
    assert_eq!(with_destination(&of(FIP), A1), of(A1));
}

#[test]
fn what_is_quoted_too_short_or_is_no_packet_stays() {
    let (inner, message) = (ip(17, FIP, B1), udp(1, 2, b"x"));
    for quoted in 0..20 {
        let before = error(3, FIP, FIP, &inner, &message, quoted);
        let wanted = ip(1, OUTSIDE, A1).carry(&before[20..]);
        assert_eq!(with_destination(&before, A1), wanted, "{quoted} bytes quoted");
    }
    for version in [0x65, 0x44] {
        let mut before = error(3, FIP, FIP, &inner, &message, 99);
        before[28] = version;
        assert_eq!(with_destination(&before, A1), ip(1, OUTSIDE, A1).carry(&before[20..]));
    }
    for len in 0..8 {
        let head = ip(1, OUTSIDE, FIP).carry(&[3; 8][..len]);
        assert_eq!(with_destination(&head, A1), ip(1, OUTSIDE, A1).carry(&[3; 8][..len]));
    }
}

/// The quoted length bounds what is quoted: behind it (RFC 4884 pads to 128 bytes) there is no checksum.
#[test]
fn padding_behind_the_quoted_packet_stays() {
    let of = |address| {
        let quote = [&ip(17, address, B1).carry(&[0, 1, 0, 2])[..], &[9; 100]].concat();
        ip(1, OUTSIDE, address).message(&[&[11, 0, 0, 0, 0, 32, 0, 0][..], &quote].concat())
    };
    assert_eq!(with_destination(&of(FIP), A1), of(A1));
}

#[test]
fn padding_behind_the_packet_stays() {
    for (proto, at) in [(6, 16), (17, 6)] {
        let message = ip(proto, A1, OUTSIDE).with_sum(&tcp(1, 2, 16, &[], &[]));
        for len in [at, at + 1, at + 2] {
            let of = |src| ip(proto, src, OUTSIDE).carry(&message[..len]);
            let padded = |packet: Vec<u8>| [&packet[..], &[9; 30]].concat();
            let mut wanted = padded(of(FIP));
            if len == at + 2 {
                let whole = ip(proto, FIP, OUTSIDE).with_sum(&tcp(1, 2, 16, &[], &[]));
                wanted[20 + at..22 + at].copy_from_slice(&whole[at..at + 2]);
            }
            assert_eq!(with_source(&padded(of(A1)), FIP), wanted, "protocol {proto}, {len} bytes");
        }
    }
    let error = error(3, FIP, FIP, &ip(17, FIP, B1), &udp(1, 2, b"x"), 21);
    let padded = [&error[..], &[9; 30]].concat();
    assert_eq!(with_destination(&padded, A1)[error.len()..], [9; 30]);
    assert_sums(&with_destination(&padded, A1)[..error.len()]);
}

#[test]
fn what_is_no_packet_stays() {
    let good = ip(17, A1, OUTSIDE).message(&udp(1, 2, b"x"));
    for len in 0..20 {
        assert_eq!(with_source(&good[..len], FIP), good[..len]);
    }
    for version in [0x65, 0x44, 0x00] {
        let bad = [&[version], &good[1..]].concat();
        assert_eq!(with_source(&bad, FIP), bad);
        assert_eq!(with_destination(&bad, FIP), bad);
    }
    // A total length within the header: nothing but what is said to be there.
    let mut short = good.clone();
    short[3] = 15;
    assert_eq!(with_source(&short, FIP)[15..], good[15..]);
}

/// Any message, whole or in fragments, with a checksum right, wrong or none.
fn any_packet() -> impl Strategy<Value = (Ip, Vec<u8>)> {
    let proto = prop::sample::select(&[1u8, 6, 17, 17, 33, 136, 47][..]);
    let head = (proto, any::<u32>(), any::<u32>(), 0usize..11, any::<u8>(), any::<u16>());
    (head, prop::sample::select(&[0u16, 0, 0x4000, 0x2000, 0x2001, 7][..]), vec(any::<u8>(), 20..200)).prop_map(
        |((proto, src, dst, options, ttl, id), fragment, message)| {
            (Ip { ttl, id, fragment, options: vec![1; options * 4], ..ip(proto, src, dst) }, message)
        },
    )
}

proptest! {
    #[test]
    fn built_with_the_other_address((head, message) in any_packet(), to: u32) {
        prop_assume!(head.proto != 1 && head.fragment & 0x1fff == 0);
        let source = Ip { src: to, ..head.clone() }.message(&message);
        prop_assert_eq!(with_source(&head.message(&message), to), source);
        let destination = Ip { dst: to, ..head.clone() }.message(&message);
        prop_assert_eq!(with_destination(&head.message(&message), to), destination);
    }

    #[test]
    fn there_and_back_is_the_same((head, message) in any_packet(), to: u32) {
        let packet = head.message(&message);
        prop_assert_eq!(with_source(&with_source(&packet, to), head.src), &packet[..]);
        prop_assert_eq!(with_destination(&with_destination(&packet, to), head.dst), packet);
    }

    #[test]
    fn errors_of_any_kind(
        kind in prop::sample::select(&[3u8, 4, 5, 11, 12][..]),
        (inner, message) in any_packet(),
        quoted in 68usize..260,
        to in any::<u32>(),
    ) {
        let at = inner.options.len() + 20 + sum_at(inner.proto).unwrap_or(0);
        prop_assume!(quoted != at + 1 && inner.fragment & 0x1fff == 0);
        let of = |address| error(kind, address, address, &inner, &message, quoted);
        prop_assert_eq!(with_destination(&of(FIP), to), of(to));
    }

    /// Every sum over what a checksum covers is what it was, right or wrong, as ones' complement sums compare.
    #[test]
    fn wrong_stays_wrong((head, message) in any_packet(), wrong: u16, to: u32) {
        prop_assume!(head.fragment & 0x1fff == 0);
        let mut packet = head.message(&message);
        let header = 20 + head.options.len();
        if let Some(at) = sum_at(head.proto) {
            packet[header + at..header + at + 2].copy_from_slice(&wrong.to_be_bytes());
        }
        packet[10] ^= wrong as u8;
        let none = matches!(head.proto, 17 | 136) && wrong == 0;
        let over = |p: &[u8]| (sum(&p[..header]), sum(&[&p[12..20], &p[header..]].concat()), sum(&p[header..]));
        let (before, after) = (over(&packet), over(&with_source(&packet, to)));
        prop_assert_eq!(before.0, after.0);
        match head.proto {
            6 | 17 | 33 | 136 if !none => prop_assert_eq!(before.1, after.1),
            _ => prop_assert_eq!(before.2, after.2),
        }
    }

    #[test]
    fn random_bytes_change_in_few_places_and_never_panic(
        mut bytes in vec(any::<u8>(), 0..200),
        header in 0x40u8..0x50,
        proto in 0u8..20,
        to in any::<u32>(),
    ) {
        if let [version, _, l0, l1, _, _, f0, f1, _, p, ..] = &mut bytes[..] {
            (*version, *l0, *l1, *f0, *f1, *p) = (header, 0, *l1, *f0 & 0x60, 0, proto);
        }
        for changed in [with_source(&bytes, to), with_destination(&bytes, to)] {
            prop_assert_eq!(changed.len(), bytes.len());
            let places = changed.iter().zip(&bytes).filter(|(a, b)| a != b).count();
            // Address, header and message checksum, twice, and the error's own.
            prop_assert!(places <= 2 * (4 + 2 + 2) + 2);
        }
    }
}
