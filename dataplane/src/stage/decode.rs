//! I0: every header a later stage relies on is checked once, here.
//!
//! OVS leaves this to the kernel and to miniflow extraction. A frame that passes has an Ethernet
//! header, and whole ARP, IPv4 or IPv6 headers if its EtherType says so; what later stages need of
//! them stands in the burst's arrays.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, IpFields, L3, Lane, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::wire::{ETH_LEN, ethertype, proto};

mod ip6;

/// Rules: I0.
pub fn decode(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(Stage::Decode, b, m);
    for lane in m {
        if let Err(reason) = frame(b, lane) {
            b.drop(lane, Stage::Decode, reason);
        }
    }
}

#[inline(always)]
fn frame(b: &mut Burst<'_>, lane: Lane) -> Result<(), DropReason> {
    let dst = be64(b.at(lane, 0).ok_or(DropReason::ParseShort)?) >> 16;
    let src = be64(b.at(lane, 6).ok_or(DropReason::ParseShort)?);
    let (dst, kind, src) = (MacAddr::from_u64(dst), src as u16, MacAddr::from_u64(src >> 16));
    if src.is_multicast() || src.is_zero() {
        return Err(DropReason::EthSrcBad);
    }
    if dst.to_u64() >> 4 == 0x0180_c200_0000 >> 4 {
        return Err(DropReason::LinkLocalMcast);
    }
    b.dst[lane] = dst;
    b.src[lane] = src;
    b.talk[lane] = Talk::None;
    b.ports[lane] = 0;
    b.tags[lane] = 0;
    let (kind, l3) = match kind {
        ethertype::VLAN | ethertype::QINQ => tags(b, lane)?,
        untagged => (untagged, ETH_LEN),
    };
    b.ethertype[lane] = kind;
    b.l3_off[lane] = l3;
    b.l3[lane] = match kind {
        ethertype::IPV4 => ip4(b, lane, l3)?,
        ethertype::IPV6 => ip6::ip6(b, lane, l3)?,
        ethertype::ARP => arp(b, lane, l3)?,
        ethertype::RARP => rarp(b, lane, l3)?,
        _ => L3::Other,
    };
    Ok(())
}

#[inline(always)]
fn be64(bytes: &[u8; 8]) -> u64 {
    u64::from_be_bytes(*bytes)
}

/// At most two tags; a third is payload of an unknown type.
#[cold]
fn tags(b: &mut Burst<'_>, lane: Lane) -> Result<(u16, u16), DropReason> {
    let mut at = ETH_LEN;
    for n in 1..=2 {
        let &[c0, c1, t0, t1] = b.at(lane, at).ok_or(DropReason::ParseL3)?;
        if n == 1 {
            b.tci[lane] = u16::from_be_bytes([c0, c1]);
        }
        b.tags[lane] = n;
        at += 4;
        let kind = u16::from_be_bytes([t0, t1]);
        if kind != ethertype::VLAN && kind != ethertype::QINQ || n == 2 {
            return Ok((kind, at));
        }
    }
    Err(DropReason::Internal)
}

#[inline(always)]
fn ip4(b: &mut Burst<'_>, lane: Lane, l3: u16) -> Result<L3, DropReason> {
    let h: [u8; 20] = *b.at(lane, l3).ok_or(DropReason::ParseL3)?;
    let header_len = u16::from(h[0] & 15) * 4;
    let total_len = u16::from_be_bytes([h[2], h[3]]);
    let present = b.meta[lane].len - l3;
    if h[0] >> 4 != 4 || header_len < 20 || total_len < header_len || total_len > present {
        return Err(DropReason::ParseL3);
    }
    let fragment = u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0;
    let src_route = header_len > 20 && options(b, lane, l3, header_len)?;
    b.ip[lane] =
        IpFields { total_len, ttl: h[8], proto: h[9], tos: h[1], header_len, fragment, src_route, icmp6_type: 0 };
    b.ip_src[lane] = u32::from_be_bytes([h[12], h[13], h[14], h[15]]);
    b.ip_dst[lane] = u32::from_be_bytes([h[16], h[17], h[18], h[19]]);
    if !fragment && total_len >= header_len + 4 {
        b.ports[lane] = ports(b, lane, h[9], l3 + header_len);
    }
    Ok(L3::Ipv4)
}

/// Source port << 16 | destination port, or 0 if the protocol has none.
#[inline(always)]
fn ports(b: &Burst<'_>, lane: Lane, protocol: u8, at: u16) -> u32 {
    match (protocol, b.at(lane, at)) {
        (proto::TCP | proto::UDP | proto::SCTP, Some(word)) => u32::from_be_bytes(*word),
        _ => 0,
    }
}

/// Checks the option lengths; `true` if source routing is asked for.
#[cold]
fn options(b: &Burst<'_>, lane: Lane, l3: u16, header_len: u16) -> Result<bool, DropReason> {
    let all = b.bytes(lane).get(usize::from(l3) + 20..usize::from(l3 + header_len));
    let mut rest = all.ok_or(DropReason::ParseL3)?;
    let mut src_route = false;
    loop {
        rest = match *rest {
            [] | [0, ..] => return Ok(src_route),
            [1, ref after @ ..] => after,
            [kind, len, ..] if len >= 2 => {
                src_route |= matches!(kind, 131 | 137);
                rest.get(usize::from(len)..).ok_or(DropReason::ParseL3)?
            }
            _ => return Err(DropReason::ParseL3),
        };
    }
}

fn arp(b: &mut Burst<'_>, lane: Lane, l3: u16) -> Result<L3, DropReason> {
    let h: &[u8; 28] = b.at(lane, l3).ok_or(DropReason::ParseL3)?;
    let (sha, spa, tpa) = (mac(h, 8), be32(h, 14), be32(h, 24));
    let talk = match h {
        [0, 1, 8, 0, 6, 4, 0, 1, ..] => Talk::ArpRequest,
        [0, 1, 8, 0, 6, 4, 0, 2, ..] => Talk::ArpReply,
        _ => return Err(DropReason::ParseL3),
    };
    b.talk[lane] = talk;
    b.inner_mac[lane] = sha;
    b.ip_src[lane] = spa;
    b.ip_dst[lane] = tpa;
    Ok(L3::Arp)
}

fn rarp(b: &mut Burst<'_>, lane: Lane, l3: u16) -> Result<L3, DropReason> {
    let h: &[u8; 28] = b.at(lane, l3).ok_or(DropReason::ParseL3)?;
    let sha = mac(h, 8);
    if !matches!(h, [0, 1, 8, 0, 6, 4, 0, 3 | 4, ..]) {
        return Err(DropReason::ParseL3);
    }
    b.inner_mac[lane] = sha;
    Ok(L3::Rarp)
}

fn mac(h: &[u8; 28], at: usize) -> MacAddr {
    h.get(at..).and_then(|r| r.first_chunk::<6>()).map_or(MacAddr::ZERO, |o| MacAddr::new(*o))
}

fn be32(h: &[u8; 28], at: usize) -> u32 {
    h.get(at..).and_then(|r| r.first_chunk::<4>()).map_or(0, |o| u32::from_be_bytes(*o))
}

#[cfg(test)]
mod tests;
