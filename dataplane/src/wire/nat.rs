//! Stateless 1:1 translation of addresses (RFC 3022, 4.1 to 4.3), as floating IPs need it. All checksums change
//! incrementally (RFC 1624), so that a wrong one stays wrong.

use super::ip4::Header;
use super::{be64, fold, proto, sum, update};

/// Which address of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

impl Side {
    /// Where it stands in the header.
    fn at(self) -> usize {
        match self {
            Side::Source => 12,
            Side::Destination => 16,
        }
    }

    fn of(self, h: &Header) -> u32 {
        match self {
            Side::Source => h.src,
            Side::Destination => h.dst,
        }
    }

    fn other(self) -> Side {
        match self {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        }
    }
}

/// The source address of `packet` (IPv4, from the header to the total length; what is behind that stays) becomes `to`,
/// in host byte order, and with it the checksums that cover it: the header's, and those of TCP, UDP, UDP-Lite and DCCP
/// where this packet holds it (a later fragment does not). UDP without a checksum stays without; a computed 0 of UDP is
/// 0xffff.
///
/// In an ICMP error the destination of the quoted packet, if it is the old source, becomes `to` as well, with its
/// checksums as far as they are quoted, and the error's own.
///
/// What is no IPv4 packet stays as it is.
pub fn set_source(packet: &mut [u8], to: u32) {
    translate(packet, Side::Source, to);
}

/// The same for the destination; in an ICMP error for the quoted source, if it is the old destination.
pub fn set_destination(packet: &mut [u8], to: u32) {
    translate(packet, Side::Destination, to);
}

/// Both addresses of an untagged frame with an IPv4 header of 20 bytes become `to` (source in the high half), and with
/// them the header's checksum and the one at `AT` of the frame. `zero_is_none` as in UDP.
#[inline(always)]
pub fn set_both<const N: usize, const AT: usize>(frame: &mut [u8; N], to: u64, zero_is_none: bool) {
    let (old, to) = (be64::<26, _>(frame).to_be(), to.to_be());
    let words = |both: u64| (both >> 32) + (both & 0xffff_ffff);
    let change = words(!old) + words(to);
    for (at, zero_is_none) in [(24, false), (AT, zero_is_none)] {
        let Some(field) = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else { return };
        follow(field, change, zero_is_none);
    }
    if let Some(field) = frame.get_mut(26..).and_then(|rest| rest.first_chunk_mut()) {
        *field = to.to_ne_bytes();
    }
}

fn translate(packet: &mut [u8], side: Side, to: u32) {
    let Some(h) = Header::read(packet) else { return };
    let end = h.end(packet);
    let Some(packet) = packet.get_mut(..end) else { return };
    set(packet, &h, side, to);
    if h.proto == proto::ICMP && h.is_first() {
        quoted(packet.get_mut(h.len..).unwrap_or_default(), side.other(), side.of(&h), to);
    }
}

/// Of the packet that the ICMP error `icmp` quotes: the address on `side` becomes `to` if it is `old`.
fn quoted(icmp: &mut [u8], side: Side, old: u32, to: u32) {
    let Some((head, quote)) = icmp.split_first_chunk_mut::<8>() else { return };
    // Unreachable, source quench, redirect, time exceeded, parameter problem.
    if !matches!(head[0], 3 | 4 | 5 | 11 | 12) {
        return;
    }
    let Some(h) = Header::read(quote).filter(|h| side.of(h) == old) else { return };
    let before = fold(sum(quote));
    set(quote, &h, side, to);
    let check = update(u16::from_be_bytes([head[2], head[3]]), before, fold(sum(quote)));
    [head[2], head[3]] = check.to_be_bytes();
}

/// Writes the address and puts the checksums right that cover it, as far as they are there.
fn set(packet: &mut [u8], h: &Header, side: Side, to: u32) {
    let old = side.of(h);
    let Some(address) = packet.get_mut(side.at()..).and_then(|p| p.first_chunk_mut()) else { return };
    *address = to.to_be_bytes();
    cover(packet, 10, old, to, false);
    let (at, zero_is_none) = match h.proto {
        proto::TCP => (16, false),
        proto::UDP | proto::UDP_LITE => (6, true),
        proto::DCCP => (6, false),
        _ => return,
    };
    let end = h.end(packet);
    if h.is_first() {
        cover(packet.get_mut(..end).unwrap_or_default(), h.len + at, old, to, zero_is_none);
    }
}

/// The checksum at `at`, if it is there, follows an address it covers. `zero_is_none`: 0 says that there is none.
fn cover(packet: &mut [u8], at: usize, old: u32, new: u32, zero_is_none: bool) {
    if let Some(field) = packet.get_mut(at..).and_then(|p| p.first_chunk_mut()) {
        follow(field, u64::from(!old.to_be()) + u64::from(new.to_be()), zero_is_none);
    }
}

/// RFC 1624, eqn. 3: `change` is the sum of what was, inverted, and of what is now, in words of 32 bits, which fold to the
/// same as two of 16; all as they stand in the frame, because byte order does not matter to sums (RFC 1071, 2 B).
#[inline(always)]
fn follow(field: &mut [u8; 2], change: u64, zero_is_none: bool) {
    if zero_is_none && *field == [0, 0] {
        return;
    }
    let check = !fold(u64::from(!u16::from_ne_bytes(*field)) + change);
    *field = if zero_is_none && check == 0 { [0xff; 2] } else { check.to_ne_bytes() };
}

#[cfg(test)]
mod tests;
