use super::*;
use crate::wire::reference::{A1, B1, ROUTER, assert_sums, ip, sum, tcp, udp};
use proptest::collection::vec;
use proptest::prelude::*;

/// EW-11: a datagram of A1 whose TTL has run out.
#[rustfmt::skip]
const OFFENDER: [u8; 31] = [
    0x45, 0x00, 0x00, 0x1f, 0x12, 0x34, 0x00, 0x00, 0x01, 0x11, 0x93, 0x82, 10, 1, 0, 11, 10, 2, 0, 11,
    0x9c, 0x40, 0x82, 0x9a, 0x00, 0x0b, 0xf6, 0x6d, b'd', b'v', b'r',
];

fn error_about(offender: &[u8], what: IcmpError) -> Option<Vec<u8>> {
    let mut out = [0xee; 600];
    let len = error(&mut out, what, ROUTER, offender)?;
    assert!(out[len..].iter().all(|b| *b == 0xee), "written past its end");
    Some(out[..len].to_vec())
}

#[test]
#[rustfmt::skip]
fn time_exceeded_byte_for_byte() {
    let head = [
        0x45, 0xc0, 0x00, 0x3b, 0x00, 0x00, 0x40, 0x00, 64, 1, 0x25, 0xf5, 10, 1, 0, 1, 10, 1, 0, 11,
        11, 0, 0x09, 0x35, 0, 0, 0, 0,
    ];
    assert_eq!(error_about(&OFFENDER, IcmpError::TTL_EXCEEDED).unwrap(), [&head[..], &OFFENDER].concat());
}

#[test]
#[rustfmt::skip]
fn too_big_names_the_mtu_in_the_last_two_bytes_of_its_header() {
    let head = [
        0x45, 0xc0, 0x00, 0x3b, 0x00, 0x00, 0x40, 0x00, 64, 1, 0x25, 0xf5, 10, 1, 0, 1, 10, 1, 0, 11,
        3, 4, 0x0b, 0x87, 0, 0, 0x05, 0xaa,
    ];
    assert_eq!(error_about(&OFFENDER, IcmpError::too_big(1450)).unwrap(), [&head[..], &OFFENDER].concat());
}

#[test]
fn each_error_has_its_type_and_code() {
    let kinds = [
        (IcmpError::NET_UNREACHABLE, 3, 0),
        (IcmpError::HOST_UNREACHABLE, 3, 1),
        (IcmpError::PORT_UNREACHABLE, 3, 3),
        (IcmpError::TTL_EXCEEDED, 11, 0),
    ];
    for (what, kind, code) in kinds {
        let packet = error_about(&OFFENDER, what).unwrap();
        assert_sums(&packet);
        assert_eq!((packet[20], packet[21], &packet[24..28]), (kind, code, &[0; 4][..]));
    }
}

#[test]
fn quoted_is_as_much_as_fits_576_bytes() {
    for (len, quoted) in [(20, 20), (21, 21), (28, 28), (547, 547), (548, 548), (549, 548), (1500, 548), (65_535, 548)]
    {
        let offender = ip(47, A1, B1).carry(&vec![7; len - 20]);
        let packet = error_about(&offender, IcmpError::TTL_EXCEEDED).unwrap();
        assert_sums(&packet);
        assert_eq!(packet[28..], offender[..quoted], "of {len}");
    }
}

#[test]
fn quoted_is_what_was_sent_not_the_padding_and_what_is_there_of_it() {
    let padded = [&OFFENDER[..], &[0; 15]].concat();
    assert_eq!(error_about(&padded, IcmpError::TTL_EXCEEDED), error_about(&OFFENDER, IcmpError::TTL_EXCEEDED));
    let cut = error_about(&OFFENDER[..28], IcmpError::TTL_EXCEEDED).unwrap();
    assert_sums(&cut);
    assert_eq!(cut[28..], OFFENDER[..28]);
    let options = [&[7, 39, 4][..], &[0; 37]].concat();
    let offender = crate::wire::reference::Ip { options, ..ip(17, A1, B1) }.message(&udp(1, 2, b"odd"));
    let packet = error_about(&offender, IcmpError::NET_UNREACHABLE).unwrap();
    assert_sums(&packet);
    assert_eq!(packet[28..], offender[..]);
}

#[test]
fn an_error_needs_its_room() {
    for room in 0..59 {
        assert_eq!(error(&mut vec![0; room], IcmpError::TTL_EXCEEDED, ROUTER, &OFFENDER), None);
    }
    assert_eq!(error(&mut [0; 59], IcmpError::TTL_EXCEEDED, ROUTER, &OFFENDER), Some(59));
}

#[test]
fn no_error_about_icmp_but_queries() {
    for kind in 0..=255 {
        let offender = ip(proto::ICMP, A1, B1).message(&[kind, 0, 0, 0, 0, 0, 0, 0]);
        // RFC 792: echo, timestamp, information; RFC 950: mask; RFC 1256: router; RFC 8335: extended echo.
        let query = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43].contains(&kind);
        assert_eq!(may_answer(&offender), query, "type {kind}");
        assert_eq!(error_about(&offender, IcmpError::TTL_EXCEEDED).is_some(), query, "type {kind}");
    }
    let echo = ip(proto::ICMP, A1, B1).message(&[8, 0, 0, 0]);
    assert!(may_answer(&echo[..21]) && !may_answer(&echo[..20]), "which type it is must be there");
    assert!(!may_answer(&[&ip(proto::ICMP, A1, B1).carry(&[])[..], &[8]].concat()), "and within the packet");
    assert!(may_answer(&ip(proto::UDP, A1, B1).carry(&[3, 0, 0, 0])));
}

#[test]
fn no_error_about_later_fragments() {
    for (fragment, first) in
        [(0x2000, true), (0x4000, true), (0x8000, true), (1, false), (0x2001, false), (0x1fff, false)]
    {
        let offender = crate::wire::reference::Ip { fragment, ..ip(17, A1, B1) }.carry(&[0; 8]);
        assert_eq!(may_answer(&offender), first, "{fragment:x}");
    }
}

#[test]
fn no_error_to_what_is_no_one_host_or_about_what_many_get() {
    let from = |a, b, c, d| may_answer(&ip(17, u32::from_be_bytes([a, b, c, d]), B1).carry(&[0; 8]));
    let to = |a, b, c, d| may_answer(&ip(17, A1, u32::from_be_bytes([a, b, c, d])).carry(&[0; 8]));
    assert!(from(1, 0, 0, 0) && from(126, 255, 255, 255) && from(128, 0, 0, 0) && from(223, 255, 255, 255));
    assert!(from(169, 254, 1, 1) && from(10, 0, 0, 255));
    for bad in [[0, 0, 0, 0], [0, 255, 255, 255], [127, 0, 0, 0], [127, 255, 255, 255], [224, 0, 0, 0], [239, 1, 2, 3]]
    {
        assert!(!from(bad[0], bad[1], bad[2], bad[3]), "{bad:?}");
    }
    assert!(!from(240, 0, 0, 0) && !from(255, 255, 255, 254) && !from(255, 255, 255, 255));
    assert!(!to(224, 0, 0, 0) && !to(239, 255, 255, 255) && !to(255, 255, 255, 255));
    assert!(to(223, 255, 255, 255) && to(240, 0, 0, 0) && to(255, 255, 255, 254) && to(127, 0, 0, 1));
}

#[test]
fn no_error_about_what_is_no_packet() {
    for len in 0..20 {
        assert!(!may_answer(&OFFENDER[..len]));
    }
    assert!(may_answer(&OFFENDER[..20]));
    for (at, byte) in [(0, 0x65), (0, 0x44), (0, 0x46), (3, 19)] {
        let mut bad = OFFENDER[..23].to_vec();
        bad[at] = byte;
        assert!(!may_answer(&bad), "byte {at}: {byte:x}");
        assert_eq!(error_about(&bad, IcmpError::TTL_EXCEEDED), None);
    }
}

fn reset_of(segment: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xee; 64];
    let len = tcp_reset(&mut out, segment)?;
    assert!(out[len..].iter().all(|b| *b == 0xee), "written past its end");
    Some(out[..len].to_vec())
}

#[test]
#[rustfmt::skip]
fn a_syn_is_refused_byte_for_byte() {
    let syn = [
        0x45, 0x00, 0x00, 0x2c, 0x00, 0x07, 0x00, 0x00, 0x40, 0x06, 0x66, 0xb8, 10, 1, 0, 11, 10, 1, 0, 1,
        0x9c, 0x40, 0x00, 0x16, 1, 2, 3, 4, 0, 0, 0, 0, 0x60, 0x02, 0xfa, 0xf0, 0xe8, 0xcb, 0, 0, 2, 4, 5, 0xb4,
    ];
    let reset = [
        0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 64, 6, 0x26, 0xc3, 10, 1, 0, 1, 10, 1, 0, 11,
        0x00, 0x16, 0x9c, 0x40, 0, 0, 0, 0, 1, 2, 3, 5, 0x50, 0x14, 0, 0, 0xfb, 0x65, 0, 0,
    ];
    assert_eq!(reset_of(&syn).unwrap(), reset);
    assert_eq!(reset_of(&[&syn[..], &[0; 2]].concat()).unwrap(), reset, "padding is not counted");
}

#[test]
#[rustfmt::skip]
fn data_of_a_connection_is_refused_byte_for_byte() {
    let segment = [
        0x45, 0x00, 0x00, 0x2b, 0x00, 0x07, 0x00, 0x00, 0x40, 0x06, 0x66, 0xb9, 10, 1, 0, 11, 10, 1, 0, 1,
        0x9c, 0x40, 0x00, 0x16, 1, 2, 3, 4, 0xff, 0xfe, 0xfd, 0xfc, 0x50, 0x18, 0xfa, 0xf0, 0x3e, 0x10, 0, 0,
        b'a', b'b', b'c',
    ];
    let reset = [
        0x45, 0x00, 0x00, 0x28, 0x00, 0x00, 0x40, 0x00, 64, 6, 0x26, 0xc3, 10, 1, 0, 1, 10, 1, 0, 11,
        0x00, 0x16, 0x9c, 0x40, 0xff, 0xfe, 0xfd, 0xfc, 0, 0, 0, 0, 0x50, 0x04, 0, 0, 0x01, 0x81, 0, 0,
    ];
    assert_eq!(reset_of(&segment).unwrap(), reset);
}

/// Sequence number, acknowledgment number and flags of the reset.
fn answer(flags: u8, seq: u32, ack: u32, options: &[u8], data: &[u8]) -> Option<(u32, u32, u8)> {
    let reset = reset_of(&ip(6, A1, ROUTER).message(&tcp(seq, ack, flags, options, data)))?;
    assert_sums(&reset);
    let word = |at: usize| u32::from_be_bytes(reset[at..at + 4].try_into().unwrap());
    Some((word(24), word(28), reset[33]))
}

#[test]
fn without_ack_all_of_the_segment_is_acknowledged() {
    assert_eq!(answer(0, 100, 9, &[], b""), Some((0, 100, RST | ACK)));
    assert_eq!(answer(0, 100, 9, &[1; 8], b"12345"), Some((0, 105, RST | ACK)));
    assert_eq!(answer(SYN, 100, 9, &[1; 40], b""), Some((0, 101, RST | ACK)));
    assert_eq!(answer(FIN, 100, 9, &[], b"12"), Some((0, 103, RST | ACK)));
    assert_eq!(answer(SYN | FIN, 100, 9, &[], b"1"), Some((0, 103, RST | ACK)));
    assert_eq!(answer(SYN, u32::MAX, 9, &[], b"1"), Some((0, 1, RST | ACK)), "sequence numbers wrap");
    assert_eq!(answer(0xea, 100, 9, &[], b""), Some((0, 101, RST | ACK)), "PSH, URG, ECE and CWR are nothing to it");
}

#[test]
fn with_ack_the_reset_continues_where_the_sender_waits() {
    for flags in [ACK, ACK | SYN, ACK | FIN, ACK | SYN | FIN, 0xfb & !SYN] {
        assert_eq!(answer(flags, 100, 0xffff_fff0, &[1; 12], b"123"), Some((0xffff_fff0, 0, RST)), "{flags:x}");
    }
}

#[test]
fn a_reset_is_never_answered() {
    for flags in [RST, RST | ACK, RST | SYN, 0xff] {
        assert_eq!(answer(flags, 1, 2, &[], b""), None);
    }
}

#[test]
fn a_reset_needs_a_whole_right_segment_and_its_room() {
    let head = ip(6, A1, ROUTER);
    let good = head.message(&tcp(1, 2, ACK, &[1; 4], b"odd"));
    assert!(reset_of(&good).is_some());
    for len in 0..good.len() {
        assert_eq!(reset_of(&good[..len]), None, "{len} bytes");
    }
    for at in (20..good.len()).filter(|at| *at != 33) {
        for bit in 0..8 {
            let mut wrong = good.clone();
            wrong[at] ^= 1 << bit;
            assert_eq!(reset_of(&wrong), None, "checksum, byte {at}");
        }
    }
    for at in [12, 15, 16, 19] {
        let mut wrong = good.clone();
        wrong[at] ^= 1;
        assert_eq!(reset_of(&wrong), None, "the checksum covers the addresses, byte {at}");
    }
    for room in 0..RESET_LEN {
        assert_eq!(tcp_reset(&mut vec![0; room], &good), None);
    }
    assert_eq!(tcp_reset(&mut [0; RESET_LEN], &good), Some(40));
}

#[test]
fn a_reset_needs_a_header_that_is_whole_and_no_fragment() {
    let head = ip(6, A1, ROUTER);
    let offset = |words: u8, len: usize| {
        let mut segment = tcp(1, 2, ACK, &[], &vec![0; len - 20]);
        segment[12] = words << 4;
        reset_of(&head.message(&segment)).is_some()
    };
    assert!(!offset(4, 24) && offset(5, 20) && offset(5, 24) && offset(6, 24) && !offset(6, 23) && !offset(15, 59));
    assert!(offset(15, 60) && !offset(0, 24));
    for (fragment, whole) in [(0x4000, true), (0x8000, true), (0x2000, false), (1, false), (0x1000, false)] {
        let head = crate::wire::reference::Ip { fragment, ..head.clone() };
        assert_eq!(reset_of(&head.message(&tcp(1, 2, ACK, &[], &[]))).is_some(), whole, "{fragment:x}");
    }
    assert_eq!(reset_of(&ip(17, A1, ROUTER).message(&tcp(1, 2, ACK, &[], &[]))), None, "UDP");
    // The same sum as of TCP, so that nothing but the protocol says it.
    let mut other = ip(6, A1, ROUTER).message(&tcp(1, 2, ACK, &[], &[]));
    other[9] = 7;
    assert_eq!(reset_of(&other), None);
    let options = crate::wire::reference::Ip { options: vec![1; 40], ..head };
    assert!(reset_of(&options.message(&tcp(1, 2, ACK, &[], &[]))).is_some());
}

#[test]
fn a_reset_goes_from_one_host_to_one_host() {
    for many in [0xe000_0001, u32::MAX] {
        assert_eq!(reset_of(&ip(6, A1, many).message(&tcp(1, 2, SYN, &[], &[]))), None);
    }
    for nobody in [0, 0x7f00_0001, 0xe000_0001, 0xf000_0001, u32::MAX] {
        assert_eq!(reset_of(&ip(6, nobody, ROUTER).message(&tcp(1, 2, SYN, &[], &[]))), None);
    }
}

proptest! {
    #[test]
    fn whatever_the_bytes_an_answer_is_right(
        mut bytes in vec(any::<u8>(), 0..1600),
        plain in any::<bool>(),
        room in 0usize..700,
    ) {
        if let [version, _, l0, _, _, _, flags, _, ..] = &mut bytes[..] && plain {
            (*version, *l0, *flags) = (0x45, *l0 & 3, *flags & 0x40);
        }
        let mut out = vec![0; room];
        match error(&mut out, IcmpError::too_big(1400), ROUTER, &bytes) {
            Some(len) => {
                prop_assert!(may_answer(&bytes) && len <= MAX_ERROR);
                prop_assert_eq!(sum(&out[..20]), 0xffff);
                prop_assert_eq!(sum(&out[20..len]), 0xffff);
                prop_assert_eq!(&out[28..len], &bytes[..len - 28]);
                prop_assert_eq!(&out[16..20], &bytes[12..16]);
            }
            None => prop_assert!(!may_answer(&bytes) || room < MAX_ERROR.min(bytes.len() + 28)),
        }
        if let Some(len) = tcp_reset(&mut out, &bytes) {
            assert_sums(&out[..len]);
        }
    }

    #[test]
    fn the_reset_of_any_segment_has_right_sums(
        (seq, ack, flags) in any::<(u32, u32, u8)>(),
        data in vec(any::<u8>(), 0..40),
        src in 0x0100_0000u32..0x7f00_0000,
    ) {
        match reset_of(&ip(6, src, ROUTER).message(&tcp(seq, ack, flags, &[], &data))) {
            None => prop_assert!(flags & 4 != 0),
            Some(reset) => {
                prop_assert!(flags & 4 == 0);
                assert_sums(&reset);
                prop_assert_eq!(&reset[12..20], &[ROUTER.to_be_bytes(), src.to_be_bytes()].concat()[..]);
            }
        }
    }
}
