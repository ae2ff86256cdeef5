//! Expected pieces are written out from RFC 791, or put together again by a reader that knows no plan.

use super::*;
use crate::wire::reference::{A1, B1, Ip, ip, sum, udp};
use proptest::collection::vec;
use proptest::prelude::*;

/// All pieces, each as long as it says.
fn cut(packet: &[u8], mtu: u16) -> Option<Vec<Vec<u8>>> {
    let plan = plan(packet, mtu)?;
    let write = |n| {
        let mut out = vec![0xee; usize::from(mtu) + 4];
        let len = plan.write(packet, n, &mut out).unwrap();
        assert!(out[len..].iter().all(|b| *b == 0xee), "written past its end");
        out.truncate(len);
        out
    };
    Some((0..plan.pieces()).map(write).collect())
}

/// Total length, "more fragments", offset in bytes.
fn place(piece: &[u8]) -> (u16, bool, usize) {
    let word = |at: usize| u16::from_be_bytes([piece[at], piece[at + 1]]);
    (word(2), word(6) & 0x2000 != 0, usize::from(word(6) & 0x1fff) * 8)
}

fn places(packet: &[u8], mtu: u16) -> Vec<(u16, bool, usize)> {
    cut(packet, mtu).unwrap().iter().map(|piece| place(piece)).collect()
}

/// RFC 791, appendix A, example 2: 452 bytes of data, an MTU of 280.
#[test]
fn the_example_of_rfc_791() {
    let packet = Ip { id: 111, ttl: 123, ..ip(6, A1, B1) }.carry(&[5; 452]);
    let pieces = cut(&packet, 280).unwrap();
    let of = |fragment, n: usize| Ip { id: 111, ttl: 123, fragment, ..ip(6, A1, B1) }.carry(&[5; 452][..n]);
    assert_eq!(pieces, [of(0x2000, 256), of(32, 196)]);
    assert_eq!(pieces.iter().map(|p| place(p)).collect::<Vec<_>>(), [(276, true, 0), (216, false, 256)]);
}

/// MTU-02: 1500 bytes into a network of 1450.
#[test]
fn a_full_frame_into_a_tunnel() {
    let message = ip(17, A1, B1).with_sum(&udp(40000, 9, &[7; 1472]));
    let pieces = cut(&ip(17, A1, B1).carry(&message), 1450).unwrap();
    let of = |fragment, payload| Ip { fragment, ..ip(17, A1, B1) }.carry(payload);
    assert_eq!(pieces, [of(0x2000, &message[..1424]), of(178, &message[1424..])]);
    assert_eq!((pieces[0].len(), pieces[1].len()), (1444, 76));
}

#[test]
fn all_but_the_last_are_as_large_as_the_mtu_allows() {
    let packet = |len: usize| ip(17, A1, B1).carry(&vec![1; len - 20]);
    assert_eq!(places(&packet(101), 100), [(100, true, 0), (21, false, 80)]);
    assert_eq!(places(&packet(101), 99), [(92, true, 0), (29, false, 72)]);
    assert_eq!(places(&packet(180), 100), [(100, true, 0), (100, false, 80)]);
    assert_eq!(places(&packet(181), 100), [(100, true, 0), (100, true, 80), (21, false, 160)]);
    // The last one need be no multiple of 8: 83 bytes fit.
    assert_eq!(places(&packet(20 + 80 + 83), 103), [(100, true, 0), (103, false, 80)]);
    assert_eq!(places(&packet(20 + 80 + 84), 103), [(100, true, 0), (100, true, 80), (24, false, 160)]);
    assert_eq!(places(&packet(37), 28), [(28, true, 0), (28, true, 8), (21, false, 16)]);
    let many = cut(&packet(65_535), 28).unwrap();
    assert_eq!(many.len(), 8190);
    assert_eq!(place(&many[8189]), (23, false, 65_512));
}

#[test]
fn a_packet_that_fits_is_not_cut() {
    let packet = ip(17, A1, B1).carry(&[1; 80]);
    assert!(plan(&packet, 100).is_none() && plan(&packet, u16::MAX).is_none() && plan(&packet, 99).is_some());
    let padded = [&packet[..], &[0; 20]].concat();
    assert!(plan(&padded, 100).is_none(), "padding is not in the total length");
    assert_eq!(cut(&padded, 99), cut(&packet, 99));
}

#[test]
fn df_forbids_and_nothing_else_does() {
    for (fragment, allowed) in [(0, true), (0x4000, false), (0x6000, false), (0x2000, true), (0x8000, true), (9, true)]
    {
        let packet = Ip { fragment, ..ip(17, A1, B1) }.carry(&[1; 80]);
        assert_eq!(plan(&packet, 99).is_some(), allowed, "{fragment:x}");
    }
}

#[test]
fn an_mtu_holds_the_header_and_eight_bytes() {
    let packet = ip(17, A1, B1).carry(&[1; 80]);
    for mtu in 0..28 {
        assert!(plan(&packet, mtu).is_none());
    }
    assert_eq!(plan(&packet, 28).unwrap().pieces(), 10);
    let options = Ip { options: vec![1; 40], ..ip(17, A1, B1) }.carry(&[1; 80]);
    assert!(plan(&options, 67).is_none());
    // 8 bytes fit behind the options, 48 behind the later headers.
    assert_eq!(places(&options, 68), [(68, true, 0), (68, true, 8), (44, false, 56)]);
}

#[test]
fn a_fragment_is_cut_into_fragments_of_the_whole() {
    let middle = Ip { fragment: 0x2000 | 100, ..ip(17, A1, B1) }.carry(&[1; 160]);
    assert_eq!(places(&middle, 100), [(100, true, 800), (100, true, 880)]);
    let end = Ip { fragment: 100, ..ip(17, A1, B1) }.carry(&[1; 161]);
    assert_eq!(places(&end, 100), [(100, true, 800), (100, true, 880), (21, false, 960)]);
    let reserved = Ip { fragment: 0x8000, ..ip(17, A1, B1) }.carry(&[1; 81]);
    assert!(cut(&reserved, 100).unwrap().iter().all(|piece| piece[6] & 0x80 != 0), "flags stay");
}

#[test]
fn no_fragment_ends_past_65535() {
    // 8189 * 8 = 65512.
    let at = |len: usize| Ip { fragment: 8189, ..ip(17, A1, B1) }.carry(&vec![1; len]);
    assert_eq!(places(&at(23), 36), [(36, true, 65_512), (27, false, 65_528)]);
    assert!(plan(&at(24), 36).is_none() && plan(&at(600), 500).is_none());
}

/// RFC 791, 3.1: security (130, copied), record route (7, not), timestamp (68, not), router alert (148, copied), no
/// operation, end of list.
#[test]
#[rustfmt::skip]
fn options_with_the_copy_bit_are_in_all_pieces_the_others_in_the_first() {
    let head = |options: &[u8]| Ip { options: options.to_vec(), ..ip(17, A1, B1) };
    let cases: [(&[u8], &[u8]); 9] = [
        (&[148, 4, 0, 0], &[148, 4, 0, 0]),
        (&[7, 7, 4, 1, 2, 3, 4, 0], &[]),
        (&[1, 1, 1, 1], &[]),
        (&[1, 148, 4, 0, 0, 7, 3, 4], &[148, 4, 0, 0]),
        (&[7, 3, 4, 130, 5, 1, 2, 3, 68, 4, 5, 0], &[130, 5, 1, 2, 3, 0, 0, 0]),
        (&[130, 3, 9, 148, 4, 0, 0, 1], &[130, 3, 9, 148, 4, 0, 0, 0]),
        (&[148, 4, 0, 0, 0, 148, 4, 0], &[148, 4, 0, 0]), // behind the end of the list there is none
        (&[0, 0, 0, 0], &[]),
        (&[130, 2, 1, 7, 3, 4, 148, 4, 0, 0, 0, 9], &[130, 2, 148, 4, 0, 0, 0, 0]),
    ];
    for (options, later) in cases {
        let pieces = cut(&head(options).carry(&[3; 200]), 100).unwrap();
        let first = (100 - 20 - options.len()) & !7;
        assert_eq!(pieces[0], Ip { fragment: 0x2000, ..head(options) }.carry(&[3; 200][..first]), "{options:?}");
        let second = ((100 - 20 - later.len()) & !7).min(200 - first);
        let fragment = (first / 8) as u16 | if first + second < 200 { 0x2000 } else { 0 };
        assert_eq!(pieces[1], Ip { fragment, ..head(later) }.carry(&[3; 200][..second]), "{options:?}");
    }
    let full = [&[130, 40][..], &[7; 38]].concat();
    assert!(cut(&head(&full).carry(&[3; 200]), 100).unwrap().iter().all(|piece| piece[20..60] == full));
}

#[test]
fn options_that_cannot_be_walked_are_not_cut() {
    for options in [[148, 0, 0, 0], [148, 1, 0, 0], [148, 5, 0, 0], [1, 1, 1, 148], [7, 0, 1, 1], [1, 1, 7, 3]] {
        let packet = Ip { options: options.to_vec(), ..ip(17, A1, B1) }.carry(&[3; 200]);
        assert!(plan(&packet, 100).is_none(), "{options:?}");
        assert!(plan(&packet, 300).is_none());
    }
}

#[test]
fn no_plan_for_what_is_no_whole_packet() {
    let packet = ip(17, A1, B1).carry(&[1; 80]);
    for len in 0..packet.len() {
        assert!(plan(&packet[..len], 50).is_none(), "{len} bytes");
    }
    for (at, byte) in [(0, 0x65), (0, 0x44), (3, 19), (3, 101)] {
        let mut bad = packet.clone();
        bad[at] = byte;
        assert!(plan(&bad, 50).is_none(), "byte {at}");
    }
}

#[test]
fn a_piece_needs_its_room_and_its_packet() {
    let packet = ip(17, A1, B1).carry(&[1; 80]);
    let plan = plan(&packet, 76).unwrap();
    assert_eq!(plan.pieces(), 2);
    for (n, len) in [(0, 76), (1, 44)] {
        assert_eq!(plan.write(&packet, n, &mut vec![0; len - 1]), None);
        assert_eq!(plan.write(&packet, n, &mut vec![0; len]), Some(len));
        assert_eq!(plan.write(&packet[..60], n, &mut [0; 100]), None, "not the packet of the plan");
        assert_eq!(plan.write(&[], n, &mut [0; 100]), None);
    }
    for n in [2, 3, usize::MAX] {
        assert_eq!(plan.write(&packet, n, &mut [0; 100]), None);
    }
}

/// RFC 791, 3.2, reassembly: the first piece's header, payloads by their offsets.
fn together(pieces: &[Vec<u8>], start: usize) -> Vec<u8> {
    let header = usize::from(pieces[0][0] & 15) * 4;
    let mut packet = pieces[0][..header].to_vec();
    for piece in pieces {
        let at = usize::from(u16::from_be_bytes([piece[6], piece[7]]) & 0x1fff) * 8 - start;
        assert_eq!(packet.len(), header + at, "a hole or an overlap");
        packet.extend(&piece[usize::from(piece[0] & 15) * 4..]);
    }
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[6..8].copy_from_slice(&pieces.last().unwrap()[6..8]);
    let flags = pieces.last().unwrap()[6] & 0xe0;
    packet[6..8].copy_from_slice(&((start / 8) as u16 | u16::from(flags) << 8).to_be_bytes());
    packet[10..12].fill(0);
    let check = 0xffff - sum(&packet[..header]);
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    packet
}

/// Options, whole ones, and which of their bytes are copied.
fn any_options() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let option = (2u8..=255, vec(any::<u8>(), 0..6)).prop_map(|(kind, data)| match kind {
        2 => vec![1],
        _ => [&[kind, 2 + data.len() as u8], &data[..]].concat(),
    });
    vec(option, 0..6).prop_map(|list| {
        let (mut all, mut copied) = (Vec::new(), Vec::new());
        for option in list {
            if all.len() + option.len() <= 40 {
                all.extend(&option);
                copied.extend(option.iter().filter(|_| option[0] >= 128));
            }
        }
        all.resize(all.len().next_multiple_of(4), 0);
        copied.resize(copied.len().next_multiple_of(4), 0);
        (all, copied)
    })
}

proptest! {
    #[test]
    fn put_together_again_it_is_the_packet(
        (options, copied) in any_options(),
        payload in vec(any::<u8>(), 0..3000),
        mtu in 68u16..1600,
        (id, tos, ttl) in any::<(u16, u8, u8)>(),
        (start, more) in (0u16..7000, any::<bool>()),
    ) {
        let flag = if more { 0x2000 } else { 0 };
        let payload = if more { &payload[..payload.len() & !7] } else { &payload[..] };
        let head = Ip { id, tos, ttl, fragment: start | flag, options: options.clone(), ..ip(17, A1, B1) };
        let packet = head.carry(payload);
        let Some(pieces) = cut(&packet, mtu) else {
            prop_assert!(packet.len() <= usize::from(mtu));
            return Ok(());
        };
        prop_assert_eq!(together(&pieces, usize::from(start) * 8), &packet[..]);
        for (n, piece) in pieces.iter().enumerate() {
            let last = n == pieces.len() - 1;
            let header = 20 + if n == 0 { options.len() } else { copied.len() };
            prop_assert_eq!(usize::from(piece[0]), 0x40 + header / 4);
            prop_assert_eq!(&piece[20..header], if n == 0 { &options[..] } else { &copied[..] });
            prop_assert_eq!((piece[1], piece[8], piece[9]), (tos, ttl, 17));
            prop_assert_eq!((&piece[4..6], &piece[12..20]), (&packet[4..6], &packet[12..20]));
            prop_assert_eq!(place(piece).1, more || !last);
            prop_assert!(last || (piece.len() - header) % 8 == 0 && piece.len() + 8 > usize::from(mtu));
            prop_assert!(piece.len() <= usize::from(mtu));
            prop_assert_eq!(sum(&piece[..header]), 0xffff);
            prop_assert_eq!(place(piece).0 as usize, piece.len());
        }
    }

    #[test]
    fn random_bytes_never_panic(
        mut bytes in vec(any::<u8>(), 0..400),
        header in 0x40u8..0x50,
        mtu in 0u16..300,
        room in 0usize..300,
    ) {
        if let [version, _, l0, _, _, _, flags, ..] = &mut bytes[..] {
            (*version, *l0, *flags) = (header, *l0 & 1, *flags & 0xbf);
        }
        if let Some(plan) = plan(&bytes, mtu) {
            let mut out = vec![0; room];
            for n in 0..=plan.pieces() {
                let len = plan.write(&bytes, n, &mut out);
                prop_assert!(len.is_none_or(|len| len <= room.min(usize::from(mtu)) && n < plan.pieces()));
                prop_assert!(len.is_some() || room < usize::from(mtu) || n == plan.pieces());
            }
        }
    }
}
