//! What a mutator knows of packets: values worth trying, and how to make headers right again.

use crate::input::Bytes;
use crate::random::Random;

/// Ethernet, IPv4, UDP and VXLAN headers.
const OUTER: usize = 50;

/// MACs of the reference cloud and special ones.
const MACS: [[u8; 6]; 30] = [
    [0xfa, 0x16, 0x3e, 0x0a, 0, 0x01], // rA
    [0xfa, 0x16, 0x3e, 0x0b, 0, 0x01], // rB
    [0xfa, 0x16, 0x3e, 0x0c, 0, 0x01], // rV
    [0xfa, 0x16, 0x3e, 0x09, 0, 0x01], // rC1
    [0xfa, 0x16, 0x3e, 0x09, 0, 0x02], // rC2
    [0xfa, 0x16, 0x3e, 0x0d, 0, 0x01], // rK
    [0xfa, 0x16, 0x3e, 0x0a, 0, 0x11], // A1, Z1
    [0xfa, 0x16, 0x3e, 0x0a, 0, 0x12], // A2
    [0xfa, 0x16, 0x3e, 0x0a, 0, 0x13], // A3
    [0xfa, 0x16, 0x3e, 0x0a, 0, 0x14], // A4
    [0xfa, 0x16, 0x3e, 0x0b, 0, 0x11], // B1
    [0xfa, 0x16, 0x3e, 0x0b, 0, 0x12], // B2
    [0xfa, 0x16, 0x3e, 0x0d, 0, 0x11], // K1
    [0xfa, 0x16, 0x3e, 0x0a, 0, 0xfa], // sgA
    [0xfa, 0x16, 0x3f, 0, 0, 0x01],    // DVR MAC of H1
    [0xfa, 0x16, 0x3f, 0, 0, 0x02],    // of H2
    [0xfa, 0x16, 0x3f, 0, 0, 0x03],    // of H3
    [0xfa, 0x16, 0x3f, 1, 2, 3],       // of nobody
    [0x00, 0x00, 0x5e, 0, 1, 0x32],    // VRRP, a virtual MAC
    [0x02, 0, 0, 0, 0, 0x55],          // a stranger
    [0xfa, 0x16, 0x3e, 0x0c, 0, 0x11], // V1
    [0xfa, 0x16, 0x3e, 0x0c, 0, 0x12], // V2
    [0xfa, 0x16, 0x3e, 0x0c, 0, 0xfa], // sgV
    [0xfa, 0x16, 0x3e, 0xf9, 0, 0x01], // fg of H1
    [0xfa, 0x16, 0x3e, 0xf9, 0, 0x02], // of H2
    [0xfa, 0x16, 0x3e, 0x99, 0, 0x0a], // qg
    [0xfa, 0x16, 0x3e, 0x99, 0, 0x11], // X1
    [0x02, 0xee, 0, 0, 0, 0x01],       // the gateway outside
    [0xff; 6],
    [0x33, 0x33, 0, 0, 0, 1],
];

/// IPv4 addresses of the reference cloud and special ones.
const ADDRESSES: [[u8; 4]; 36] = [
    [10, 1, 0, 1],
    [10, 1, 0, 11],
    [10, 1, 0, 12],
    [10, 1, 0, 13],
    [10, 1, 0, 14],
    [10, 1, 0, 100],
    [10, 1, 0, 250],
    [10, 2, 0, 1],
    [10, 2, 0, 11],
    [10, 2, 0, 12],
    [10, 3, 0, 1],
    [10, 3, 0, 12],
    [10, 4, 0, 1],
    [10, 4, 0, 11],
    [10, 9, 0, 1],
    [10, 9, 0, 2],
    [172, 20, 0, 11],
    [172, 20, 0, 12],
    [198, 51, 100, 7],
    [203, 0, 113, 1],
    [203, 0, 113, 10],
    [203, 0, 113, 21],
    [203, 0, 113, 50],
    [203, 0, 113, 99],
    [203, 0, 113, 101],
    [203, 0, 113, 102],
    [203, 0, 113, 103],
    [10, 3, 0, 11],
    [10, 1, 0, 77], // nobody
    [10, 2, 0, 77],
    [10, 3, 0, 77],
    [169, 254, 169, 254],
    [0; 4],
    [255; 4],
    [224, 0, 0, 18],
    [127, 0, 0, 1],
];

const ETHERTYPES: [u16; 7] = [0x0800, 0x0806, 0x8035, 0x86dd, 0x8100, 0x88a8, 0x88cc];
const PROTOCOLS: [u8; 12] = [0, 1, 6, 17, 43, 44, 51, 58, 60, 132, 135, 139];
/// UDP: DHCP, DHCPv6, VXLAN.
const PORTS: [[u16; 2]; 5] = [[67, 68], [68, 67], [547, 546], [546, 547], [5000, 4789]];
/// Flags and offset of IPv4: first, middle, last fragment, DF, the reserved flag.
const FRAGMENTS: [u16; 6] = [0x2000, 0x2001, 0x0001, 0x4000, 0x8000, 0];
const VNIS: [u32; 6] = [1001, 1002, 1003, 1004, 2001, 300];

fn put(frame: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = frame.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().map(|w| u16::from_be_bytes(*w))
}

/// The frame inside a VXLAN packet with the usual headers.
pub fn vxlan_payload(frame: &[u8]) -> Option<&[u8]> {
    let usual = word(frame, 12) == Some(0x0800) && frame.get(14) == Some(&0x45) && frame.get(23) == Some(&17);
    if usual && word(frame, 36) == Some(4789) { frame.get(OUTER..) } else { None }
}

/// The frame in VXLAN to H1, mostly from H2.
pub fn in_vxlan(inner: &[u8], r: &mut Random) -> Vec<u8> {
    let from: u8 = *r.pick(&[2, 2, 2, 3, 4, 1]);
    let mut f = vec![0; OUTER];
    put(&mut f, 0, &[0x02, 0, 0xac, 0x14, 0, 0x11]);
    put(&mut f, 6, &[0x02, 0, 0xac, 0x14, 0, 0x10 + from]);
    put(&mut f, 12, &[0x08, 0, 0x45]);
    put(&mut f, 20, &[0x40, 0, 64, 17, 0, 0, 172, 20, 0, 10 + from, 172, 20, 0, 11]);
    put(&mut f, 34, &[0xc0, 0x01, 0x12, 0xb5]);
    put(&mut f, 42, &[8]);
    put(&mut f, 46, &(r.pick(&VNIS) << 8).to_be_bytes());
    f.extend(inner);
    repair(&mut f);
    f
}

/// Puts a known value at a place where it means something.
pub fn splice(frame: &mut [u8], r: &mut Random) {
    let base = if vxlan_payload(frame).is_some() && r.below(4) > 0 { OUTER } else { 0 };
    let mac = *r.pick(&MACS);
    let ip = *r.pick(&ADDRESSES);
    let byte = r.number() as u8;
    match r.below(19) {
        0 | 1 => put(frame, base, &mac),
        2 | 3 => put(frame, base + 6, &mac),
        4 => put(frame, base + 12, &r.pick(&ETHERTYPES).to_be_bytes()),
        5 | 6 => put(frame, base + 26, &ip),
        7 | 8 => put(frame, base + 30, &ip),
        9 => put(frame, base + 23, &[*r.pick(&PROTOCOLS)]),
        10 => put(frame, base + 20, &[*r.pick(&PROTOCOLS)]), // IPv6 next header
        11 => put(frame, base + *r.pick(&[22, 32]), &mac),   // ARP sender, target
        12 => put(frame, base + *r.pick(&[28, 38]), &ip),
        13 => put(frame, base + *r.pick(&[15, 20, 22, 34, 35]), &[byte]), // TOS, fragment, TTL, ICMP
        14 => put(frame, 46, &(r.pick(&VNIS) << 8).to_be_bytes()),
        15 => put(frame, base + 20, &r.pick(&FRAGMENTS).to_be_bytes()),
        16 => {
            let [a, b] = *r.pick(&PORTS);
            put(frame, base + 23, &[17]);
            put(frame, base + *r.pick(&[34, 34, 34, 54]), &(u32::from(a) << 16 | u32::from(b)).to_be_bytes());
        }
        17 => edge_checksum(&mut frame[base..], *r.pick(&[0, 1, 0xff, 0x100, 0xfe00, 0xfeff, 0xff00, 0xfffe, 0xffff])),
        // An address of A in fd00:a::/64 or link local, for ND.
        _ => {
            let mut v6 = [0xfd, 0, 0, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, *r.pick(&[1, 0x11, 0x12])];
            if r.below(3) == 0 {
                v6 = [0; 16];
            }
            put(frame, base + *r.pick(&[22, 38, 62]), &v6);
        }
    }
}

/// Chooses the identification so that the header checksum comes out as `want`: sums wrap where they seldom do.
fn edge_checksum(frame: &mut [u8], want: u16) {
    let Some(packet) = frame.get_mut(14..) else { return };
    let header = usize::from(packet.first().unwrap_or(&0) & 15) * 4;
    if header < 20 || packet.len() < header {
        return;
    }
    put(packet, 4, &[0, 0]);
    put(packet, 10, &[0, 0]);
    // With the identification `id` the checksum is that of these two words.
    let without = checksum(&[&packet[..header]]);
    let id = checksum(&[&(!u16::from_be_bytes(without)).to_be_bytes(), &want.to_be_bytes()]);
    put(packet, 4, &id);
    let sum = checksum(&[&packet[..header]]);
    put(packet, 10, &sum);
}

/// A tag in front of the EtherType, or the first one off.
pub fn tag(frame: &mut Vec<u8>, r: &mut Random) {
    let base = if vxlan_payload(frame).is_some() { OUTER } else { 0 };
    if frame.len() < base + 14 {
        return;
    }
    if r.below(3) == 0 && frame.len() >= base + 18 {
        frame.drain(base + 12..base + 16);
        return;
    }
    let [t0, t1] = r.pick(&[0x8100u16, 0x88a8]).to_be_bytes();
    let tci = *r.pick(&[0u16, 0x2000, 5, 100, 300, 0x612c, 0xffff]);
    let [c0, c1] = tci.to_be_bytes();
    frame.splice(base + 12..base + 12, [t0, t1, c0, c1]);
}

/// Lengths and checksums as the rest of the frame asks for, also inside VXLAN.
pub fn repair(frame: &mut [u8]) {
    if vxlan_payload(frame).is_some() {
        repair(&mut frame[OUTER..]);
    }
    let mut at = 12;
    while matches!(word(frame, at), Some(0x8100 | 0x88a8)) && at < 20 {
        at += 4;
    }
    let Some(kind) = word(frame, at) else { return };
    match (kind, frame.get_mut(at + 2..)) {
        (0x0800, Some(packet)) => ip4(packet),
        (0x86dd, Some(packet)) => ip6(packet),
        _ => {}
    }
}

/// A new frame out of `data[..size]`, lengths and checksums mostly right; returns its size.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32, bytes: Bytes<'_>) -> usize {
    let r = &mut Random(seed.into());
    let kind = r.below(8);
    if kind > 3 {
        let new = bytes(data, size, max);
        if r.below(4) > 0 {
            repair(&mut data[..new]);
        }
        return new;
    }
    let mut frame = data[..size].to_vec();
    match kind {
        0 => tag(&mut frame, r),
        _ => splice(&mut frame, r),
    }
    if r.below(4) > 0 {
        repair(&mut frame);
    }
    let len = frame.len().min(max);
    data[..len].copy_from_slice(&frame[..len]);
    len
}

fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn ip4(packet: &mut [u8]) {
    let len = packet.len();
    let Some(first) = packet.first_mut() else { return };
    *first = 0x40 | (*first & 15).max(5);
    let header = usize::from(*first & 15) * 4;
    if len < header {
        return;
    }
    let said = usize::from(word(packet, 2).unwrap_or(0));
    let total = if (header..=len).contains(&said) && said + 64 >= len { said } else { len };
    put(packet, 2, &(total as u16).to_be_bytes());
    put(packet, 10, &[0, 0]);
    let sum = checksum(&[&packet[..header]]);
    put(packet, 10, &sum);
    let (protocol, fragment) = (packet[9], word(packet, 6).unwrap_or(0) & 0x3fff != 0);
    let (head, rest) = packet.split_at_mut(header);
    let (addresses, payload) = (&head[12..20], &mut rest[..total - header]);
    match protocol {
        1 if payload.len() >= 8 && !fragment => {
            put(payload, 2, &[0, 0]);
            let sum = checksum(&[payload]);
            put(payload, 2, &sum);
        }
        6 if payload.len() >= 20 && !fragment => {
            put(payload, 16, &[0, 0]);
            let len = (payload.len() as u32).to_be_bytes();
            let sum = checksum(&[addresses, &len, &[0, 6], payload]);
            put(payload, 16, &sum);
        }
        17 if payload.len() >= 8 && !fragment => {
            let len = payload.len() as u16;
            put(payload, 4, &len.to_be_bytes());
            // 0 says that there is none, as VXLAN does.
            if payload[6..8] != [0, 0] {
                put(payload, 6, &[0, 0]);
                let sum = checksum(&[addresses, &[0, 17], &len.to_be_bytes(), payload]);
                put(payload, 6, if sum == [0, 0] { &[0xff; 2] } else { &sum });
            }
        }
        _ => {}
    }
}

fn ip6(packet: &mut [u8]) {
    if packet.len() < 40 {
        return;
    }
    packet[0] = 0x60 | packet[0] & 15;
    let payload = packet.len() - 40;
    put(packet, 4, &(payload as u16).to_be_bytes());
    // ICMPv6 behind at most a few extension headers of the common form.
    let (mut next, mut at) = (packet[6], 40);
    for _ in 0..4 {
        if !matches!(next, 0 | 43 | 60) || at + 8 > packet.len() {
            break;
        }
        next = packet[at];
        at += (usize::from(packet[at + 1]) + 1) * 8;
    }
    if next != 58 || at + 4 > packet.len() {
        return;
    }
    let (header, rest) = packet.split_at_mut(40);
    let icmp = &mut rest[at - 40..];
    if matches!(icmp[0], 133..=137) {
        header[7] = 255;
    }
    put(icmp, 2, &[0, 0]);
    let len = (icmp.len() as u32).to_be_bytes();
    let sum = checksum(&[&header[8..40], &len, &[0, 0, 0, 58], icmp]);
    put(icmp, 2, &sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_what_it_is_asked_to_be() {
        let mut frame = vec![0x11; 60];
        put(&mut frame, 14, &[0x45, 0, 0, 46]);
        for want in [1, 0xff, 0xfeff, 0x1234, 0xfffe] {
            edge_checksum(&mut frame, want);
            let h = etherparse::Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap();
            assert_eq!(h.header_checksum(), want);
            assert_eq!(h.to_header().calc_header_checksum(), want);
        }
    }

    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    #[test]
    fn a_segment_is_repaired() {
        let mut frame = vec![0x11; 14 + 20 + 21];
        put(&mut frame, 12, &[0x08, 0, 0x45]);
        put(&mut frame, 20, &[0, 0, 64, 6]);
        put(&mut frame, 46, &[0x50, 2]);
        repair(&mut frame);
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(tcp))) = (&packet.net, &packet.transport) else {
            panic!("{packet:?}");
        };
        let (src, dst) = (ip.header().source(), ip.header().destination());
        assert_eq!(Ok(tcp.checksum()), tcp.calc_checksum_ipv4(src, dst));
    }

    #[test]
    fn repaired_is_right_to_an_independent_parser() {
        let mut inner = vec![0u8; 14 + 20 + 16];
        put(&mut inner, 12, &[0x08, 0, 0x45]);
        put(&mut inner, 22, &[64, 1]);
        let outer = in_vxlan(&inner, &mut Random(1));
        let packet = SlicedPacket::from_ethernet(&outer).unwrap();
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport) else {
            panic!("{packet:?}");
        };
        assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
        assert_eq!(usize::from(udp.length()), outer.len() - 34);
        let packet = SlicedPacket::from_ethernet(vxlan_payload(&outer).unwrap()).unwrap();
        let Some(NetSlice::Ipv4(ip)) = &packet.net else { panic!("{packet:?}") };
        assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
        assert_eq!(usize::from(ip.header().total_len()), inner.len() - 14);
    }
}
