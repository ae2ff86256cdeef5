//! Frames as etherparse reads them.

use crate::facts::{Mac, Net};
use etherparse::{Ethernet2HeaderSlice, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, UdpSlice};
use etherparse::{Icmpv6Slice, IpNumber, Ipv4Slice};
use std::net::{IpAddr, Ipv4Addr};

pub const IPV4: u16 = 0x0800;
pub const ARP: u16 = 0x0806;
pub const RARP: u16 = 0x8035;
pub const IPV6: u16 = 0x86dd;

/// An Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Eth<'a> {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// EtherType.
    pub kind: u16,
    /// All after it.
    pub body: &'a [u8],
    /// The whole frame.
    pub bytes: &'a [u8],
}

/// Reads a frame.
pub fn eth(bytes: &[u8]) -> Option<Eth<'_>> {
    let h = Ethernet2HeaderSlice::from_slice(bytes).ok()?;
    let (dst, src, kind) = (h.destination(), h.source(), h.ether_type().0);
    Some(Eth { dst, src, kind, body: &bytes[14..], bytes })
}

/// A VXLAN packet: outer source, VNI, outer ECN bits, inner frame.
pub fn vxlan(bytes: &[u8]) -> Option<(Ipv4Addr, u32, u8, &[u8])> {
    let outer = eth(bytes).filter(|e| e.kind == IPV4)?;
    let ip = Ipv4Slice::from_slice(outer.body).ok()?;
    let udp = UdpSlice::from_slice(ip.payload().payload).ok()?;
    let (h, inner) = udp.payload().split_first_chunk::<8>()?;
    Some((ip.header().source_addr(), u32::from_be_bytes([0, h[4], h[5], h[6]]), ip.header().ecn().value(), inner))
}

/// One's complement sum, folded (RFC 1071).
pub fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Over the bytes as they are: etherparse's own forgets the reserved flag.
pub fn header_sum_good(packet: &[u8]) -> bool {
    Ipv4HeaderSlice::from_slice(packet).is_ok_and(|h| sum(&[h.slice()]) == 0xffff)
}

/// I1: a tag with VID 0 counts as none.
pub fn priority_tag_off(frame: &[u8]) -> Vec<u8> {
    match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x81 | 0x88, kind, t0, 0, next @ ..]
            if matches!((frame[12], kind), (0x81, 0) | (0x88, 0xa8)) && t0 & 0x0f == 0 =>
        {
            // A second tag behind it makes it a tagged frame.
            if matches!(next, [0x81, 0, ..] | [0x88, 0xa8, ..]) {
                return frame.to_vec();
            }
            [&frame[..12], next].concat()
        }
        _ => frame.to_vec(),
    }
}

/// ARP for IPv4 over Ethernet: operation, sender MAC and address, target MAC and address.
pub fn arp(e: &Eth<'_>) -> Option<(u16, Mac, Ipv4Addr, Mac, Ipv4Addr)> {
    let b: &[u8; 28] = e.body.first_chunk().filter(|b: &&[u8; 28]| e.kind == ARP && b[..6] == [0, 1, 8, 0, 6, 4])?;
    let mac = |at: usize| -> Mac { [b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]] };
    let ip = |at: usize| Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3]);
    Some((u16::from_be_bytes([b[6], b[7]]), mac(8), ip(14), mac(18), ip(24)))
}

/// An ICMPv6 message behind whatever extension headers; of a first fragment too.
pub struct Icmp6 {
    /// Its type.
    pub kind: u8,
    /// What an ND message is about.
    pub target: IpAddr,
}

pub fn icmp6(e: &Eth<'_>) -> Option<Icmp6> {
    let h = Ipv6HeaderSlice::from_slice(e.body).ok().filter(|_| e.kind == IPV6)?;
    let rest = &e.body[40..];
    let rest = rest.get(..usize::from(h.payload_length())).unwrap_or(rest);
    let (_, next, payload) = Ipv6ExtensionsSlice::from_slice(h.next_header(), rest).ok()?;
    if next != IpNumber::IPV6_ICMP {
        return None;
    }
    let icmp = Icmpv6Slice::from_slice(payload).ok()?;
    let target: [u8; 16] = icmp.payload().first_chunk().copied().unwrap_or_default();
    Some(Icmp6 { kind: icmp.type_u8(), target: IpAddr::from(target) })
}

/// UDP 67 to 68, in a whole datagram or its first fragment.
pub fn dhcp_server(packet: &[u8]) -> bool {
    let Ok(h) = Ipv4HeaderSlice::from_slice(packet) else { return false };
    let ports = packet.get(h.slice().len()..usize::from(h.total_len())).and_then(|p| p.first_chunk::<4>());
    h.protocol() == IpNumber::UDP && h.fragments_offset().value() == 0 && ports == Some(&[0, 67, 0, 68])
}
/// D10: ARP or ND for a router address, or a router advertisement.
pub fn about_router(e: &Eth<'_>, net: &Net) -> bool {
    if let Some((_, _, spa, _, tpa)) = arp(e) {
        return net.router_ips.contains(&spa.into()) || net.router_ips.contains(&tpa.into());
    }
    icmp6(e).is_some_and(|i| match i.kind {
        134 => true,
        135 | 136 => net.router_ips.contains(&i.target),
        _ => false,
    })
}
