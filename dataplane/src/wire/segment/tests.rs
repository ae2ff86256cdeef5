//! Segments are compared with packets written out field by field (`wire::reference`).

use super::*;
use crate::wire::reference::{A1, B1, assert_sums, ip, tcp, udp};

const ETH: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];

fn tcp4(size: u16) -> Super {
    Super { l3: 14, l4: 34, ip6: false, udp: false, size }
}

fn all(of: Super, frame: &[u8]) -> Vec<Vec<u8>> {
    let plan = of.plan(&frame[..frame.len().min(200)], frame.len()).unwrap();
    let write = |n| {
        let mut out = vec![0xee; 2000];
        let payload = &frame[plan.headers()..];
        let len = plan.write(n, &mut out, |range, to| {
            to.copy_from_slice(&payload[range]);
            Some(())
        });
        out.truncate(len.unwrap());
        out
    };
    (0..plan.pieces()).map(write).collect()
}

fn data(n: usize) -> Vec<u8> {
    (0..n).map(|n| (n * 7) as u8).collect()
}

/// The sequence number goes on, FIN and PSH are the last one's, CWR is the first one's, options are everybody's.
#[test]
fn tcp_is_cut_as_a_nic_does() {
    const OPTIONS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];
    let data = data(2500);
    let with = |n: u16, seq, flags, data: &[u8]| {
        let mut ip = ip(6, A1, B1);
        (ip.id, ip.fragment) = (0xffff_u16.wrapping_add(n), 0x4000);
        [&ETH[..], &ip.message(&tcp(seq, 77, flags, &OPTIONS, data))].concat()
    };
    let whole = with(0, 0xffff_ff00, 0x80 | 0x19, &data);
    let pieces = all(tcp4(1000), &whole);
    let expected = [
        with(0, 0xffff_ff00, 0x80 | 0x10, &data[..1000]),
        with(1, 0xffff_ff00_u32.wrapping_add(1000), 0x10, &data[1000..2000]),
        with(2, 0xffff_ff00_u32.wrapping_add(2000), 0x19, &data[2000..]),
    ];
    assert_eq!(pieces, expected);
    pieces.iter().for_each(|p| assert_sums(&p[14..]));
}

#[test]
fn one_that_fits_stays_one_with_its_checksum_done() {
    let whole = [&ETH[..], &ip(6, A1, B1).message(&tcp(5, 6, 0x18, &[], &data(1000)))].concat();
    let mut partial = whole.clone();
    partial[50..52].copy_from_slice(&[0x12, 0x34]); // whatever stands there
    for size in [1000, 9000] {
        assert_eq!(all(tcp4(size), &partial), std::slice::from_ref(&whole));
    }
}

#[test]
fn udp_keeps_the_borders_of_datagrams() {
    let data = data(2001);
    let of = |n: u16, data: &[u8]| {
        let mut ip = ip(17, A1, B1);
        ip.id += n;
        [&ETH[..], &ip.message(&udp(1000, 2000, data))].concat()
    };
    let pieces = all(Super { udp: true, ..tcp4(1000) }, &of(0, &data));
    assert_eq!(pieces, [of(0, &data[..1000]), of(1, &data[1000..2000]), of(2, &data[2000..])]);
}

/// RFC 8200, 8.1: the pseudo-header has both addresses, the length and the protocol, also behind extension headers.
#[test]
fn ipv6_behind_extension_headers() {
    let data = data(300);
    let of = |seq: u32, flags, data: &[u8]| {
        let mut message = tcp(seq, 0, flags, &[], data);
        let addresses = [[0x20; 16], [0x30; 16]].concat();
        message[16..18].fill(0);
        let covered = [&addresses[..], &(message.len() as u32).to_be_bytes(), &[0, 0, 0, 6], &message].concat();
        let check = 0xffff - crate::wire::reference::sum(&covered);
        message[16..18].copy_from_slice(&check.to_be_bytes());
        let extension = [6, 0, 1, 4, 0, 0, 0, 0]; // destination options: padding
        let len = ((8 + message.len()) as u16).to_be_bytes();
        [&ETH[..], &[0x60, 0, 0, 0], &len, &[60, 64], &addresses, &extension, &message].concat()
    };
    let pieces = all(Super { l3: 14, l4: 14 + 48, ip6: true, udp: false, size: 200 }, &of(9, 0x18, &data));
    assert_eq!(pieces, [of(9, 0x10, &data[..200]), of(209, 0x18, &data[200..])]);
}

#[test]
fn a_checksum_of_udp_is_never_zero() {
    // The sum over this datagram is 0xffff: RFC 768 says all ones then.
    let mut datagram = udp(0, 0, &[0, 0]);
    let rest = crate::wire::pseudo4(A1, B1, 17, 10) + crate::wire::sum(&datagram);
    datagram[8..10].copy_from_slice(&(!crate::wire::fold(rest)).to_be_bytes());
    let frame = [&ETH[..], &ip(17, A1, B1).carry(&datagram)].concat();
    assert_eq!(all(Super { udp: true, ..tcp4(100) }, &frame)[0][40..42], [0xff, 0xff]);
}

#[test]
fn what_cannot_be_cut_is_not() {
    let frame = [&ETH[..], &ip(6, A1, B1).message(&tcp(5, 6, 0x18, &[], &data(100)))].concat();
    let none = |of: Super, head: &[u8], whole: usize| assert!(of.plan(head, whole).is_none());
    none(tcp4(0), &frame, frame.len());
    none(tcp4(10), &frame[..53], frame.len()); // the TCP header is not all there
    none(tcp4(10), &frame[..54], 54); // no payload
    none(Super { l4: 30, ..tcp4(10) }, &frame, frame.len());
    let mut short = frame.clone();
    short[46] = 4 << 4; // data offset below 5
    none(tcp4(10), &short, frame.len());
    let plan = tcp4(60).plan(&frame, frame.len()).unwrap();
    assert_eq!(plan.pieces(), 2);
    let fill = |_: Range<usize>, _: &mut [u8]| Some(());
    assert_eq!(plan.write(1, &mut [0; 94], fill), Some(94));
    assert_eq!(plan.write(0, &mut [0; 113], fill), None, "no room");
    assert_eq!(plan.write(2, &mut [0; 200], fill), None, "no such segment");
    assert_eq!(plan.write(0, &mut [0; 200], |_, _| None), None, "no payload");
}
