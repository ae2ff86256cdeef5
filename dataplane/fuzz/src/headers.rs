//! What the dataplane does to IPv4 bytes alone: answers, translation, fragments. The input is an Ethernet frame, as
//! for the parsers; its two MACs are read as parameters.

use crate::check::{copied_options, reset_of, sum};
use dataplane::wire::{fragment, icmp, nat};
use etherparse::{Icmpv4Slice, Icmpv4Type, IpNumber, Ipv4HeaderSlice, TcpSlice};

/// Parameters and the packet behind the EtherType.
fn split(data: &[u8]) -> Option<(&[u8; 12], &[u8])> {
    let (parameters, rest) = data.split_first_chunk()?;
    Some((parameters, rest.get(2..)?))
}

fn address(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// An ICMP error about the packet and the reset that answers it: only where RFC 1122 and RFC 9293 want them, and as
/// etherparse reads them.
pub fn icmp(data: &[u8]) {
    let Some((p, offender)) = split(data) else { return };
    let (src, room, mtu) = (address(p), usize::from(word(p, 4)) % 700, word(p, 6));
    let mut out = vec![0; room];
    let what = if p[8] & 1 == 0 { icmp::IcmpError::TTL_EXCEEDED } else { icmp::IcmpError::too_big(mtu) };
    let len = icmp::error(&mut out, what, src, offender);
    let quote = quotable(offender);
    assert_eq!(icmp::may_answer(offender), quote.is_some());
    match (len, quote) {
        (None, None) => {}
        (None, Some(quote)) => assert!(room < quote.len() + 28, "there was room"),
        (Some(_), None) => panic!("an error that none may send"),
        (Some(len), Some(quote)) => {
            let h = ours(&out[..len], 0xc0);
            assert_eq!((h.source(), h.destination()), (src.to_be_bytes(), offender[12..16].try_into().unwrap()));
            let message = Icmpv4Slice::from_slice(&out[20..len]).expect("ICMP");
            let kind = (message.type_u8(), message.code_u8(), message.bytes5to8());
            let [m0, m1] = mtu.to_be_bytes();
            assert_eq!(kind, if p[8] & 1 == 0 { (11, 0, [0; 4]) } else { (3, 4, [0, 0, m0, m1]) });
            assert!(!matches!(message.icmp_type(), Icmpv4Type::Unknown { .. }));
            assert_eq!(sum(&[&out[20..len]]), 0xffff);
            assert_eq!(message.payload(), quote);
        }
    }
    let mut segment = offender.to_vec();
    reset(&mut out, &segment);
    right_tcp(&mut segment);
    reset(&mut out, &segment);
}

/// A header of our own: 20 bytes, TTL 64, DF, ID 0, checksum right.
fn ours(packet: &[u8], tos: u8) -> Ipv4HeaderSlice<'_> {
    let h = Ipv4HeaderSlice::from_slice(packet).expect("IPv4");
    assert_eq!((h.ihl(), h.ttl(), h.identification(), word(packet, 6), packet[1]), (5, 64, 0, 0x4000, tos));
    assert_eq!(usize::from(h.total_len()), packet.len());
    assert_eq!(h.header_checksum(), h.to_header().calc_header_checksum());
    h
}

/// What an error quotes; `None`: there is none about this packet (RFC 1122, 3.2.2).
pub(crate) fn quotable(offender: &[u8]) -> Option<&[u8]> {
    let h = Ipv4HeaderSlice::from_slice(offender).ok()?;
    let said = usize::from(h.total_len());
    let packet = offender.get(..said).unwrap_or(offender);
    let payload = packet.get(h.slice().len()..)?;
    let (src, dst) = (h.source_addr(), h.destination_addr());
    let nobody = src.is_loopback() || src.is_multicast() || src.octets()[0] == 0 || src.octets()[0] >= 240;
    let queries = [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43];
    let error = h.protocol() == IpNumber::ICMP && payload.first().is_none_or(|kind| !queries.contains(kind));
    let later = h.fragments_offset().value() != 0;
    (!nobody && !error && !later && !dst.is_multicast() && !dst.is_broadcast())
        .then(|| packet.get(..548).unwrap_or(packet))
}

fn tcp_of<'a>(h: &Ipv4HeaderSlice<'_>, packet: &'a [u8]) -> Option<&'a [u8]> {
    let tcp = packet.get(h.slice().len()..usize::from(h.total_len()))?;
    (h.protocol() == IpNumber::TCP && TcpSlice::from_slice(tcp).is_ok()).then_some(tcp)
}

fn right_tcp(packet: &mut [u8]) {
    let Some(check) =
        Ipv4HeaderSlice::from_slice(packet).ok().and_then(|h| Some((h.slice().len(), tcp_sum(&h, packet)?)))
    else {
        return;
    };
    packet[check.0 + 16..check.0 + 18].copy_from_slice(&check.1.to_be_bytes());
}

/// The checksum its TCP segment should have.
fn tcp_sum(h: &Ipv4HeaderSlice<'_>, packet: &[u8]) -> Option<u16> {
    TcpSlice::from_slice(tcp_of(h, packet)?).ok()?.calc_checksum_ipv4(h.source(), h.destination()).ok()
}

fn reset(out: &mut [u8], packet: &[u8]) {
    match (icmp::tcp_reset(out, packet), reset_of(packet, 64)) {
        (None, None) => {}
        (None, Some(_)) => assert!(out.len() < 40, "there was room"),
        (Some(len), wanted) => {
            assert_eq!(Some(&out[..len]), wanted.as_deref(), "a reset of what is not to be answered")
        }
    }
}

/// One address translated: no byte changes but the address and the checksums that cover it, and each of those sums
/// comes out as it did, right or wrong; and back.
///
/// So does an ICMP error that quotes the packet, and the packet with an address whose new checksum is 0.
pub fn nat(data: &[u8]) {
    let Some((p, packet)) = split(data) else { return };
    let (to, source) = (address(p), p[4] & 1 == 0);
    translated(packet, to, source);
    if let Some(error) = quoting(packet, [3, 4, 5, 11, 12, 8][usize::from(p[5]) % 6], source) {
        translated(&error, to, source);
    }
    if let Some(to) = to_zero(packet, word(p, 0), source) {
        translated(packet, to, source);
    }
}

/// An ICMP error about a packet, by the one it was sent to, or to the one who sent it.
fn quoting(packet: &[u8], kind: u8, by_receiver: bool) -> Option<Vec<u8>> {
    let (src, dst) = (packet.get(12..16)?, packet.get(16..20)?);
    let (from, to) = if by_receiver { (dst, &[10, 1, 0, 1][..]) } else { (&[198, 51, 100, 7][..], src) };
    let [l0, l1] = u16::try_from(28 + packet.len()).ok()?.to_be_bytes();
    let head = [0x45, 0, l0, l1, 0, 1, 0, 0, 64, 1, 0, 0];
    let mut error = [&head, from, to, &[kind, 1, 0, 0, 0, 0, 0, 0], packet].concat();
    for (at, check) in [(10, !sum(&[&error[..20]])), (22, !sum(&[&error[20..]]))] {
        error[at..at + 2].copy_from_slice(&check.to_be_bytes());
    }
    Some(error)
}

/// The address with this upper half that makes the checksum of a UDP or TCP packet 0.
fn to_zero(packet: &[u8], upper: u16, source: bool) -> Option<u32> {
    let h = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let at = h.slice().len() + if h.protocol() == IpNumber::TCP { 16 } else { 6 };
    let check: [u8; 2] = packet.get(at..)?.first_chunk().copied()?;
    let old = if source { h.source() } else { h.destination() };
    // RFC 1624, eqn. 3, for the one half that is not known.
    let lower = !sum(&[&check.map(|b| !b), &old.map(|b| !b), &upper.to_be_bytes()]);
    Some(u32::from(upper) << 16 | u32::from(lower))
}

fn translated(before: &[u8], to: u32, source: bool) {
    let p = &to.to_be_bytes();
    let translate = |packet: &mut Vec<u8>, to| match source {
        true => nat::set_source(packet, to),
        false => nat::set_destination(packet, to),
    };
    let mut after = before.to_vec();
    translate(&mut after, to);
    assert_eq!(after.len(), before.len());
    let at = if source { 12 } else { 16 };
    let is_ip4 = before.len() >= 20 && before[0] >> 4 == 4 && before[0] & 15 >= 5;
    let total = if is_ip4 { usize::from(word(before, 2)).min(before.len()) } else { 0 };
    if total < 20 {
        assert!(!is_ip4 || total < at + 4 || after[at..at + 4] == p[..4], "the address is there");
        assert_eq!(after[total..], before[total..], "what is no packet changed");
        return;
    }
    let mut may = Changes { before: &before[..total], after: &after[..total], places: Vec::new() };
    let header = may.address(0, total, at, to);
    if let Some(message) = header
        && before[9] == 1
        && message + 8 <= total
        && matches!(before[message], 3 | 4 | 5 | 11 | 12)
    {
        may.error(message, 28 - at, address(&before[at..]), to);
    }
    for (n, (a, b)) in before.iter().zip(&after).enumerate() {
        assert!(a == b || may.places.contains(&n), "byte {n} changed");
    }
    let old = address(&before[at..]);
    let mut back = after.clone();
    translate(&mut back, old);
    let same = |n: usize| before[n] == back[n];
    // A sum of 0 and one of 0xffff are the same.
    let zero = |n: usize| matches!(before[n], 0 | 0xff) && matches!(back[n], 0 | 0xff);
    // A quoted address that is already the new one is translated on the way back only.
    if !before[20..].windows(4).any(|w| *w == p[..4]) {
        (0..total).for_each(|n| assert!(same(n) || zero(n), "byte {n} after there and back"));
    }
}

/// A packet before and after, and which bytes may differ.
struct Changes<'a> {
    before: &'a [u8],
    after: &'a [u8],
    places: Vec<usize>,
}

impl Changes<'_> {
    /// In the packet that begins at `start` and of which bytes up to `end` are there: the address at `at` is now `to`,
    /// and the sums it is in are what they were. Returns where its message begins, if it is the beginning of one.
    fn address(&mut self, start: usize, end: usize, at: usize, to: u32) -> Option<usize> {
        let (b, a) = (&self.before[start..end], &self.after[start..end]);
        assert_eq!(address(&a[at..]), to, "the address");
        self.places.extend(start + at..start + at + 4);
        self.places.extend(start + 10..start + 12);
        assert_eq!(sum(&[&b[..20]]), sum(&[&a[..20]]), "header checksum");
        let message = usize::from(b[0] & 15) * 4;
        let end = usize::from(word(b, 2)).min(b.len());
        if word(b, 6) & 0x1fff != 0 || message > end {
            return None;
        }
        let check = match b[9] {
            6 => Some(message + 16),
            17 | 33 | 136 => Some(message + 6),
            _ => None,
        };
        if let Some(check) = check.filter(|check| check + 2 <= end) {
            let (old, new) = (word(b, check), word(a, check));
            if old == 0 && b[9] != 6 && b[9] != 33 {
                assert_eq!(new, 0, "no checksum stays none");
            } else {
                assert!(new != 0 || b[9] == 6 || b[9] == 33, "a checksum of 0 says there is none");
                let both = |p: &[u8]| sum(&[&p[12..20], &p[check..check + 2]]) % 0xffff; // of no bit it may be 0
                assert_eq!(both(b), both(a), "checksum of protocol {}", b[9]);
                self.places.extend(start + check..start + check + 2);
            }
        }
        Some(start + message)
    }

    /// The ICMP error that begins at `message` quotes a packet; if its address at `at` is `old`, it is now `to`.
    fn error(&mut self, message: usize, at: usize, old: u32, to: u32) {
        let quote = &self.before[message + 8..];
        if quote.len() < 20 || quote[0] >> 4 != 4 || quote[0] & 15 < 5 || address(&quote[at..]) != old {
            return;
        }
        self.address(message + 8, self.before.len(), at, to);
        assert_eq!(sum(&[&self.before[message..]]), sum(&[&self.after[message..]]), "ICMP checksum");
        self.places.extend(message + 2..message + 4);
    }
}

/// Pieces of a packet: none larger than the MTU, right to etherparse, and together the packet again.
pub fn fragment(data: &[u8]) {
    let Some((p, packet)) = split(data) else { return };
    // Small ones cut small frames.
    let mtu = if p[2] & 1 == 0 { word(p, 0) } else { word(p, 0) % 200 };
    let plan = fragment::plan(packet, mtu);
    let Ok(h) = Ipv4HeaderSlice::from_slice(packet) else {
        assert!(plan.is_none());
        return;
    };
    let (header, total) = (h.slice().len(), usize::from(h.total_len()));
    let start = usize::from(h.fragments_offset().value()) * 8;
    let copied = copied_options(h.options());
    let whole = total >= header && total <= packet.len() && start + (total - header) <= 0xffff;
    let cut = whole && total > usize::from(mtu) && !h.dont_fragment() && copied.is_some();
    assert_eq!(plan.is_some(), cut && usize::from(mtu) >= header + 8);
    let (Some(plan), Some(copied)) = (plan, copied) else { return };
    let mut out = vec![0; mtu.into()];
    let mut payload: Vec<u8> = Vec::new();
    for n in 0..plan.pieces() {
        let len = plan.write(packet, n, &mut out).expect("an MTU of room");
        let last = n + 1 == plan.pieces();
        let piece = Ipv4HeaderSlice::from_slice(&out[..len]).expect("IPv4");
        assert_eq!(usize::from(piece.total_len()), len);
        assert_eq!(sum(&[piece.slice()]), 0xffff);
        assert_eq!(piece.options(), if n == 0 { h.options() } else { &copied });
        assert_eq!(usize::from(piece.fragments_offset().value()) * 8, start + payload.len());
        assert_eq!(piece.more_fragments(), !last || h.more_fragments());
        assert_eq!((out[1], &out[4..6], out[6] & 0xc0), (packet[1], &packet[4..6], packet[6] & 0xc0));
        assert_eq!((&out[8..10], &out[12..20]), (&packet[8..10], &packet[12..20]));
        let room = usize::from(mtu) - piece.slice().len();
        assert!(last || len - piece.slice().len() == room / 8 * 8, "as large as the MTU allows");
        assert!(len > piece.slice().len());
        payload.extend(&out[piece.slice().len()..len]);
        if n == 0 || last {
            assert_eq!(plan.write(packet, n, &mut vec![0; len - 1]), None);
        }
    }
    assert_eq!(payload, &packet[header..total]);
    assert_eq!(plan.write(packet, plan.pieces(), &mut out), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with these parameters in front of a UDP packet of A1, ICMP error or what else `change` makes of it.
    fn frame(parameters: [u8; 12], len: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut frame = [&parameters[..], &[8, 0], &vec![0; len][..]].concat();
        let ip = [0x45, 0, (len >> 8) as u8, len as u8, 0, 1, 0, 0, 64, 17, 0, 0, 10, 1, 0, 11, 10, 2, 0, 11];
        frame[14..34].copy_from_slice(&ip);
        change(&mut frame[14..]);
        let check = !sum(&[&frame[14..34]]);
        frame[24..26].copy_from_slice(&check.to_be_bytes());
        frame
    }

    #[test]
    fn the_targets_reach_what_they_check() {
        // Room for 604 bytes; an MTU of 100.
        icmp(&frame([10, 1, 0, 1, 2, 92, 5, 0xaa, 1, 0, 0, 0], 600, |_| {}));
        icmp(&frame([10, 1, 0, 1, 2, 92, 5, 0xaa, 0, 0, 0, 0], 41, |p| (p[9], p[32], p[33]) = (6, 0x50, 2)));
        fragment(&frame([0, 100, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 400, |_| {}));
        nat(&frame([203, 0, 113, 101, 0, 0, 0, 0, 0, 0, 0, 0], 40, |p| p[26] = 1));
        let quoting = |p: &mut [u8]| {
            let quote = p[..20].to_vec();
            p[28..48].copy_from_slice(&quote);
            p[40..44].copy_from_slice(&[9, 9, 9, 9]);
            p[44..48].copy_from_slice(&[10, 1, 0, 11]);
            (p[9], p[20], p[22], p[54]) = (1, 3, 7, 7);
        };
        nat(&frame([203, 0, 113, 101, 0, 0, 0, 0, 0, 0, 0, 0], 60, quoting));
    }
}
