//! I0: every header a later stage relies on is checked once, here.
//!
//! OVS leaves this to the kernel and to miniflow extraction. A frame that passes has an Ethernet
//! header, and whole ARP, IPv4 or IPv6 headers if its EtherType says so; what later stages need of
//! them stands in the burst's arrays.

use super::{Ctx, Stage, offload};
use crate::addr::MacAddr;
use crate::burst::{Burst, IpFields, L3, Lane, Lanes, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::wire::{self, ETH_LEN, ethertype, proto};

mod ip6;

/// Rules: I0.
pub fn decode(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(Stage::Decode, b, m);
    // What plain packets have in common is written for all lanes at once.
    b.ethertype = Lanes::splat(ethertype::IPV4);
    b.l3_off = Lanes::splat(ETH_LEN);
    b.l3 = Lanes::splat(L3::Ipv4);
    b.tags = Lanes::splat(0);
    b.talk = Lanes::splat(Talk::None);
    let mut usual = Mask::NONE;
    for lane in m {
        if plain(b, lane) {
            usual.insert(lane);
        } else if let Err(reason) = frame(b, lane) {
            b.drop(lane, Stage::Decode, reason);
        }
    }
    b.plain = usual;
    if !(b.heavy & m & b.live).is_empty() {
        offload::check(b, b.heavy & m & b.live);
    }
}

/// Untagged IPv4 without options, whole, and with room for ports: one bounds check for all of it. `false`:
/// something is unusual, look again slowly.
#[inline(always)]
fn plain(b: &mut Burst<'_>, lane: Lane) -> bool {
    let bytes = b.bytes(lane);
    let Some(h) = bytes.first_chunk::<38>() else { return false };
    let (dst, src) = macs(h);
    let total_len = u16::from_be_bytes([h[16], h[17]]);
    let fragment = u16::from_be_bytes([h[20], h[21]]) & 0x3fff != 0;
    let ip4 = wire::be32::<12, _>(h) >> 8 == u32::from(ethertype::IPV4) << 8 | 0x45;
    if !ip4 || total_len < 24 || usize::from(total_len) + usize::from(ETH_LEN) > bytes.len() || fragment {
        return false;
    }
    // A source that is a group or nobody, a destination that begins as those of `link_local_group`.
    if h[6] & 1 != 0 || src.is_zero() || h[..4] == [0x01, 0x80, 0xc2, 0x00] {
        return false;
    }
    let (tos, ttl, proto) = (h[15], h[22], h[23]);
    let (ip_src, ip_dst, ports) = (wire::be32::<26, _>(h), wire::be32::<30, _>(h), wire::be32::<34, _>(h));
    b.dst[lane] = dst;
    b.src[lane] = src;
    b.ip[lane] = IpFields { total_len, header_len: 20, ttl, proto, tos, icmp6_type: 0 };
    b.ip_src[lane] = ip_src;
    b.ip_dst[lane] = ip_dst;
    b.ports[lane] = ports & 0u32.wrapping_sub(u32::from(has_ports(proto)));
    true
}

/// Destination and source.
#[inline(always)]
fn macs(h: &[u8; 38]) -> (MacAddr, MacAddr) {
    (MacAddr::from_u64(wire::be64::<0, _>(h) >> 16), MacAddr::from_u64(wire::be64::<4, _>(h)))
}

/// Without a branch: what follows what in a burst nobody can guess.
#[inline(always)]
fn has_ports(proto: u8) -> bool {
    (proto == proto::TCP) | (proto == proto::UDP) | (proto == proto::SCTP)
}

/// No machine sends from a group, nor from nobody.
#[inline(always)]
fn bad_source(src: MacAddr) -> bool {
    src.is_multicast() || src.is_zero()
}

/// The sixteen addresses that bridges keep to themselves (IEEE 802.1Q, 8.6.3).
#[inline(always)]
fn link_local_group(dst: MacAddr) -> bool {
    dst.to_u64() >> 4 == 0x0180_c200_0000 >> 4
}

/// Whatever is not plain.
#[inline(never)]
fn frame(b: &mut Burst<'_>, lane: Lane) -> Result<(), DropReason> {
    let eth: &[u8; 14] = b.bytes(lane).first_chunk().ok_or(DropReason::ParseShort)?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, k0, k1] = *eth;
    let (dst, src) = (MacAddr::new([d0, d1, d2, d3, d4, d5]), MacAddr::new([s0, s1, s2, s3, s4, s5]));
    if bad_source(src) {
        return Err(DropReason::EthSrcBad);
    }
    if link_local_group(dst) {
        return Err(DropReason::LinkLocalMcast);
    }
    b.dst[lane] = dst;
    b.src[lane] = src;
    b.ports[lane] = 0;
    let (kind, l3) = match u16::from_be_bytes([k0, k1]) {
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

fn ip4(b: &mut Burst<'_>, lane: Lane, l3: u16) -> Result<L3, DropReason> {
    let packet = b.bytes(lane).get(usize::from(l3)..).ok_or(DropReason::ParseL3)?;
    let whole = b.meta[lane].whole() - usize::from(l3);
    let (h, after) = packet.split_first_chunk::<20>().ok_or(DropReason::ParseL3)?;
    let header_len = u16::from(h[0] & 15) * 4;
    let total_len = u16::from_be_bytes([h[2], h[3]]);
    if h[0] >> 4 != 4 || header_len < 20 || total_len < header_len || usize::from(total_len) > whole {
        return Err(DropReason::ParseL3);
    }
    let fragment = u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0;
    let mut src_route = false;
    let mut l4 = after.first_chunk::<4>();
    if header_len > 20 {
        src_route = options(packet, header_len)?;
        l4 = packet.get(usize::from(header_len)..).and_then(|p| p.first_chunk());
    }
    let ports = l4.filter(|_| has_ports(h[9]) && !fragment && total_len >= header_len + 4);
    let ports = ports.map_or(0, |p| u32::from_be_bytes(*p));
    let (src, dst) = ([h[12], h[13], h[14], h[15]], [h[16], h[17], h[18], h[19]]);
    b.ip[lane] = IpFields { total_len, header_len, ttl: h[8], proto: h[9], tos: h[1], icmp6_type: 0 };
    if fragment {
        b.fragments.insert(lane);
    }
    if src_route {
        b.source_routed.insert(lane);
    }
    b.ip_src[lane] = u32::from_be_bytes(src);
    b.ip_dst[lane] = u32::from_be_bytes(dst);
    b.ports[lane] = ports;
    Ok(L3::Ipv4)
}

/// Checks the option lengths; `true` if source routing is asked for.
#[cold]
fn options(packet: &[u8], header_len: u16) -> Result<bool, DropReason> {
    let mut rest = packet.get(20..usize::from(header_len)).ok_or(DropReason::ParseL3)?;
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
    let (sha, spa, tpa) = (sha(h), wire::be32::<14, _>(h), wire::be32::<24, _>(h));
    let talk = match h {
        [0, 1, 8, 0, 6, 4, 0, 1, ..] => Talk::ArpRequest,
        [0, 1, 8, 0, 6, 4, 0, 2, ..] => Talk::ArpReply,
        _ => return Err(DropReason::ParseL3),
    };
    b.talk[lane] = talk;
    b.talking.insert(lane);
    b.inner_mac[lane] = sha;
    b.ip_src[lane] = spa;
    b.ip_dst[lane] = tpa;
    Ok(L3::Arp)
}

fn rarp(b: &mut Burst<'_>, lane: Lane, l3: u16) -> Result<L3, DropReason> {
    let h: &[u8; 28] = b.at(lane, l3).ok_or(DropReason::ParseL3)?;
    let sha = sha(h);
    if !matches!(h, [0, 1, 8, 0, 6, 4, 0, 3 | 4, ..]) {
        return Err(DropReason::ParseL3);
    }
    b.inner_mac[lane] = sha;
    Ok(L3::Rarp)
}

/// Sender hardware address.
fn sha(h: &[u8; 28]) -> MacAddr {
    MacAddr::new(*wire::part::<8, 6, _>(h))
}

#[cfg(test)]
mod tests;
