//! A packet with other addresses (FO, FI), and pieces of it (R8-icmp): built here a second time, then compared.

use super::{Check, must, sum};
use etherparse::{Icmpv4Slice, IpNumber, Ipv4HeaderSlice, Ipv4Slice, TcpSlice, UdpSlice};
use std::net::Ipv4Addr;

/// Where the source address stands in an IPv4 header, and the destination.
const PLACES: [usize; 2] = [12, 16];

/// What checksum `old` becomes when `from` becomes `to` (RFC 1624, eqn. 3).
fn adjusted(old: [u8; 2], from: &[u8], to: &[u8]) -> [u8; 2] {
    // An odd last byte stands in the upper half of its word.
    let even = |part: &[u8]| [part, &[0][..part.len() & 1]].concat();
    let from: Vec<u8> = even(from).iter().map(|b| !b).collect();
    (!sum(&[&old.map(|b| !b), &from, to])).to_be_bytes()
}

/// Where the checksum over the addresses stands behind the IPv4 header, and whether 0 says that there is none.
fn l4_sum(protocol: u8) -> Option<(usize, bool)> {
    match protocol {
        6 => Some((16, false)),
        33 => Some((6, false)),
        17 | 136 => Some((6, true)),
        _ => None,
    }
}

/// Sets one address of the packet that begins at `start`, and the checksum of what it carries; returns where that
/// begins if its beginning is there. The header's own checksum is the caller's.
fn set(packet: &mut [u8], start: usize, place: usize, to: Ipv4Addr) -> Option<usize> {
    let p = &mut packet[start..];
    let old: [u8; 4] = p[place..place + 4].try_into().ok()?;
    p[place..place + 4].copy_from_slice(&to.octets());
    let header = usize::from(p[0] & 15) * 4;
    let said = usize::from(u16::from_be_bytes([p[2], p[3]]));
    let end = said.min(p.len());
    if u16::from_be_bytes([p[6], p[7]]) & 0x1fff != 0 || header > end {
        return None;
    }
    if let Some((at, none)) = l4_sum(p[9]).map(|(at, none)| (header + at, none)).filter(|(at, _)| at + 2 <= end) {
        let check = [p[at], p[at + 1]];
        if !(none && check == [0, 0]) {
            let new = adjusted(check, &old, &to.octets());
            let new = if none && new == [0, 0] { [0xff; 2] } else { new };
            p[at..at + 2].copy_from_slice(&new);
        }
    }
    Some(start + header)
}

/// One address of a whole packet translated, in the packet quoted by an ICMP error too (FO, FI).
fn translate(packet: &mut [u8], place: usize, to: Ipv4Addr) {
    let old: [u8; 4] = packet[place..place + 4].try_into().unwrap_or_default();
    let Some(message) = set(packet, 0, place, to) else { return };
    let error = packet[9] == 1 && packet.get(message).is_some_and(|kind| matches!(kind, 3 | 4 | 5 | 11 | 12));
    let (start, other) = (message + 8, 28 - place);
    let quoted = packet
        .get(start..)
        .is_some_and(|q| q.len() >= 20 && q[0] >> 4 == 4 && q[0] & 15 >= 5 && q[other..other + 4] == old);
    if !(error && quoted) {
        return;
    }
    let before = packet[start..].to_vec();
    set(packet, start, other, to);
    let head = [packet[start + 10], packet[start + 11]];
    packet[start + 10..start + 12].copy_from_slice(&adjusted(head, &old, &to.octets()));
    // What changed in the quote, odd length and all, changes the sum of the whole message.
    let check = [packet[message + 2], packet[message + 3]];
    let new = adjusted(check, &before, &packet[start..]);
    packet[message + 2..message + 4].copy_from_slice(&new);
}

/// The packet with these addresses; a header checksum that fits.
pub fn translated(packet: &[u8], src: Option<Ipv4Addr>, dst: Option<Ipv4Addr>) -> Vec<u8> {
    let mut new = packet.to_vec();
    for (place, to) in PLACES.into_iter().zip([src, dst]) {
        if let Some(to) = to {
            translate(&mut new, place, to);
        }
    }
    new
}

/// The same bytes, where a checksum of 0 and one of 0xffff are the same.
fn same(a: &[u8], b: &[u8]) -> bool {
    let sums = |n: usize| matches!(a[n & !1..].first_chunk(), Some([0, 0] | [0xff, 0xff]));
    let zero = |x: &[u8], n: usize| matches!(x[n & !1..].first_chunk(), Some([0, 0] | [0xff, 0xff]));
    a.len() == b.len() && (0..a.len()).all(|n| a[n] == b[n] || sums(n) && zero(b, n))
}

/// `out`, an IPv4 packet of `mtu` bytes at most, is `whole` or a piece of it, but for TTL and header checksum. `mtus`:
/// it may be cut for each of these. `exact`: nothing was translated, so no checksum was touched.
pub fn whole_or_piece(whole: &[u8], out: &[u8], mtus: &[usize], exact: bool) -> Check {
    let heads = (Ipv4HeaderSlice::from_slice(whole), Ipv4HeaderSlice::from_slice(out));
    let (Ok(a), Ok(b)) = heads else { return Err("no IPv4 packet") };
    let fixed = |h: &Ipv4HeaderSlice<'_>| (h.slice()[1], h.identification(), h.protocol(), h.source(), h.destination());
    must(fixed(&a) == fixed(&b) && a.slice()[6] & 0xc0 == b.slice()[6] & 0xc0, "a router changed the header")?;
    let (from, to) = (&whole[a.slice().len()..], &out[b.slice().len()..]);
    let none = |p: &[u8], h: &Ipv4HeaderSlice<'_>| {
        matches!(h.protocol().0, 17 | 136) && h.fragments_offset().value() == 0 && p.get(6..8) == Some(&[0, 0])
    };
    let begins = a.fragments_offset() == b.fragments_offset();
    must(!begins || none(from, &a) == none(to, &b), "a UDP checksum of 0 says that there is none (FO)")?;
    if whole.len() == out.len() {
        must(a.slice()[6..8] == b.slice()[6..8] && a.options() == b.options(), "a router changed the header")?;
        let good = if exact { from == to } else { same(from, to) && !lost_sum(whole, out) };
        return must(good, "a router changed the payload, or not as it must");
    }
    must(!a.dont_fragment(), "cut, and DF was set (R8-icmp)")?;
    let (base, at) = (usize::from(a.fragments_offset().value()) * 8, usize::from(b.fragments_offset().value()) * 8);
    let skip = at.checked_sub(base).ok_or("a fragment from before the packet")?;
    let piece = from.get(skip..skip + to.len()).ok_or("a fragment from behind the packet")?;
    must(!to.is_empty() && (if exact { piece == to } else { same(piece, to) }), "a fragment of another packet")?;
    let last = skip + to.len() == from.len();
    must(b.more_fragments() == (!last || a.more_fragments()), "the MF flag of a fragment")?;
    let options = if skip == 0 { Some(a.options().to_vec()) } else { copied_options(a.options()) };
    must(options.is_some_and(|o| o == b.options()), "options of a fragment (RFC 791, 3.2)")?;
    let room = |mtu: usize| (mtu - b.slice().len()) / 8 * 8;
    let fits = |mtu: usize| mtu < whole.len() && (to.len() == room(mtu) || last && to.len() <= mtu - b.slice().len());
    must(mtus.iter().any(|mtu| *mtu >= 68 && fits(*mtu)), "a fragment as large as no MTU (R8-icmp)")
}

/// etherparse finds the checksum of what `a` carries right and that of `b` wrong.
fn lost_sum(a: &[u8], b: &[u8]) -> bool {
    let good = |p: &[u8]| -> Option<bool> {
        let ip = Ipv4Slice::from_slice(p).ok().filter(|ip| !ip.header().is_fragmenting_payload())?;
        let (h, rest) = (ip.header(), ip.payload().payload);
        let (src, dst) = (h.source(), h.destination());
        // One's complement has two zeros.
        let right = |stored: u16, sum: u16| stored % 0xffff == sum % 0xffff;
        match h.protocol() {
            IpNumber::TCP => {
                let tcp = TcpSlice::from_slice(rest).ok()?;
                Some(right(tcp.checksum(), tcp.calc_checksum_ipv4(src, dst).ok()?))
            }
            IpNumber::UDP => {
                let udp = UdpSlice::from_slice(rest).ok().filter(|u| u.checksum() != 0)?;
                Some(right(udp.checksum(), udp.to_header().calc_checksum_ipv4_raw(src, dst, udp.payload()).ok()?))
            }
            IpNumber::ICMP => Icmpv4Slice::from_slice(rest).ok().map(|i| sum(&[i.slice()]) == 0xffff),
            _ => None,
        }
    };
    good(a) == Some(true) && good(b) == Some(false)
}

/// The options of later pieces (RFC 791, 3.2); `None` if one is not whole.
pub fn copied_options(mut options: &[u8]) -> Option<Vec<u8>> {
    let mut copied = Vec::new();
    while options.first().is_some_and(|kind| *kind != 0) {
        let len = if options[0] == 1 { 1 } else { usize::from(*options.get(1)?) };
        if options[0] != 1 && len < 2 || len > options.len() {
            return None;
        }
        if options[0] > 127 {
            copied.extend(&options[..len]);
        }
        options = &options[len..];
    }
    copied.resize(copied.len().div_ceil(4) * 4, 0);
    Some(copied)
}
