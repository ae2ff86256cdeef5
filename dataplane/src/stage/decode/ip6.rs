//! I0 for IPv6: header, extension chain, neighbour discovery (RFC 8200, RFC 4861).

use crate::addr::MacAddr;
use crate::burst::{Burst, IpFields, L3, Lane, Talk};
use crate::drop_reason::DropReason;
use crate::wire::{self, proto};

/// Limits of the extension chain.
const MAX_HEADERS: usize = 8;
const MAX_BYTES: usize = 256;
const BAD: DropReason = DropReason::ParseL3;

pub(super) fn ip6(b: &mut Burst<'_>, lane: Lane, l3: u16) -> Result<L3, DropReason> {
    let h: [u8; 40] = *b.at(lane, l3).ok_or(BAD)?;
    let payload = u16::from_be_bytes([h[4], h[5]]);
    let whole = 40 + usize::from(payload);
    // A jumbogram says 0 here and its length in a hop-by-hop option: dropped with the rest.
    if h[0] >> 4 != 6 || payload == 0 && h[6] == 0 {
        return Err(BAD);
    }
    if usize::from(l3) + whole > b.meta[lane].whole() {
        return Err(BAD);
    }
    let packet = b.bytes(lane).get(usize::from(l3)..).ok_or(BAD)?;
    let packet = packet.get(..whole).unwrap_or(packet); // or as far as its first chunk goes
    let (src, dst) = (be128(&h, 8), be128(&h, 24));
    let (upper, header_len, fragment) = chain(packet, h[6])?;
    let payload = packet.get(header_len..).ok_or(BAD)?;
    let mut nd = Nd::default();
    let mut icmp6_type = 0;
    if upper == proto::ICMPV6 && fragment == Part::First && matches!(payload, [133..=137, ..]) {
        return Err(BAD); // neighbour discovery is never fragmented (RFC 6980)
    }
    let fragment = fragment != Part::Whole;
    if upper == proto::ICMPV6 && !fragment {
        icmp6_type = *payload.first().ok_or(BAD)?;
        if (133..=137).contains(&icmp6_type) {
            nd = neighbour_discovery(payload, h[7], src, dst)?;
        }
    }
    let ports = match (upper, payload.first_chunk::<4>()) {
        (proto::TCP | proto::UDP | proto::SCTP, Some(w)) if !fragment => u32::from_be_bytes(*w),
        _ => 0,
    };
    b.ip[lane] = IpFields {
        total_len: whole as u16,
        ttl: h[7],
        proto: upper,
        tos: h[0] << 4 | h[1] >> 4,
        header_len: header_len as u16,
        icmp6_type,
    };
    if fragment {
        b.fragments.insert(lane);
    }
    b.ip6_src[lane] = src;
    b.ip6_dst[lane] = dst;
    b.ports[lane] = ports;
    b.talk[lane] = nd.talk;
    if nd.talk != Talk::None {
        b.talking.insert(lane);
    }
    b.inner_mac[lane] = nd.mac;
    b.nd_target[lane] = nd.target;
    Ok(L3::Ipv6)
}

/// Which part of a packet a frame carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    First,
    Later,
}

/// Walks the extension headers; returns the upper-layer protocol, where it starts, and whether
/// the packet is a fragment (an atomic fragment is none, RFC 6946).
fn chain(packet: &[u8], first: u8) -> Result<(u8, usize, Part), DropReason> {
    let (mut next, mut at, mut part) = (first, 40, Part::Whole);
    for n in 0..=MAX_HEADERS {
        let len = match next {
            0 if n == 0 => ext_len(packet, at)?,
            0 => return Err(BAD),
            43 if packet.get(at + 2) == Some(&0) => return Err(BAD),
            43 | 60 | 135 => ext_len(packet, at)?,
            51 => (usize::from(*packet.get(at + 1).ok_or(BAD)?) + 2) * 4,
            44 => {
                let h: &[u8; 8] = packet.get(at..).and_then(|p| p.first_chunk()).ok_or(BAD)?;
                let place = u16::from_be_bytes([h[2], h[3]]);
                part = match (place & 0xfff8, place & 1) {
                    (0, 0) => part,
                    (0, _) => Part::First,
                    _ => Part::Later,
                };
                8
            }
            upper => return Ok((upper, at, part)),
        };
        if n == MAX_HEADERS || at + len - 40 > MAX_BYTES || at + len > packet.len() {
            return Err(BAD);
        }
        next = *packet.get(at).ok_or(BAD)?;
        at += len;
        // Behind a fragment header with an offset there is payload, not a header; a first fragment
        // has the whole chain (RFC 7112).
        if part == Part::Later {
            return Ok((next, at, part));
        }
    }
    Err(BAD)
}

fn ext_len(packet: &[u8], at: usize) -> Result<usize, DropReason> {
    Ok((usize::from(*packet.get(at + 1).ok_or(BAD)?) + 1) * 8)
}

#[derive(Default)]
struct Nd {
    talk: Talk,
    target: u128,
    mac: MacAddr,
}

/// RFC 4861, 6.1 and 7.1: hop limit 255, code 0, checksum, options of non-zero length.
fn neighbour_discovery(icmp: &[u8], hop_limit: u8, src: u128, dst: u128) -> Result<Nd, DropReason> {
    let pseudo = wire::pseudo6(src, dst, proto::ICMPV6, icmp.len() as u32);
    let &[kind, code, ..] = icmp else { return Err(BAD) };
    if hop_limit != 255 || code != 0 || wire::fold(wire::sum(icmp) + pseudo) != 0xffff {
        return Err(BAD);
    }
    let (talk, options_at, has_target) = match kind {
        133 => (Talk::RouterSolicit, 8, false),
        134 => (Talk::RouterAdvert, 16, false),
        135 => (Talk::NeighSolicit, 24, true),
        136 => (Talk::NeighAdvert, 24, true),
        _ => (Talk::Redirect, 40, false),
    };
    let mut nd = Nd { talk, ..Nd::default() };
    if has_target {
        nd.target = icmp.get(8..).and_then(|p| p.first_chunk()).map(|t| u128::from_be_bytes(*t)).ok_or(BAD)?;
    }
    let mut rest = icmp.get(options_at..).ok_or(BAD)?;
    while let [option, units, ..] = *rest {
        let len = usize::from(units) * 8;
        let whole = rest.get(..len).filter(|o| !o.is_empty()).ok_or(BAD)?;
        if let (1 | 2, [_, _, o0, o1, o2, o3, o4, o5]) = (option, whole) {
            // A second link-layer address could hide the first from I2.
            if !nd.mac.is_zero() {
                return Err(BAD);
            }
            nd.mac = MacAddr::new([*o0, *o1, *o2, *o3, *o4, *o5]);
        }
        rest = rest.get(len..).ok_or(BAD)?;
    }
    if rest.is_empty() { Ok(nd) } else { Err(BAD) }
}

fn be128(h: &[u8; 40], at: usize) -> u128 {
    h.get(at..).and_then(|r| r.first_chunk()).map_or(0, |o| u128::from_be_bytes(*o))
}
