//! ICMP errors (RFC 792; RFC 1122, 3.2.2; RFC 1812, 4.3) and TCP resets (RFC 9293, 3.10.7.1): what a router answers
//! with when it does not carry a packet on.

use super::ip4::{Header, MF, header};
use super::{fold, proto, pseudo4, sum};

/// Bytes of an ICMP error at most, its IPv4 header included (RFC 1812, 4.3.2.3).
pub const MAX_ERROR: usize = 576;
/// Bytes of a TCP reset.
pub const RESET_LEN: usize = 40;
/// IPv4 and ICMP header in front of the quoted packet.
const BEFORE_QUOTE: usize = 28;
/// Precedence 6, "internetwork control" (RFC 1812, 4.3.2.5).
const TOS: u8 = 0xc0;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What an ICMP error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// ICMP type.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// Next-hop MTU, bytes, of "fragmentation needed" (RFC 1191, 4); else 0.
    pub mtu: u16,
}

impl IcmpError {
    /// 11/0, time to live exceeded in transit.
    pub const TTL_EXCEEDED: Self = IcmpError::of(11, 0);
    /// 3/0, no route.
    pub const NET_UNREACHABLE: Self = IcmpError::of(3, 0);
    /// 3/1, the next hop does not answer.
    pub const HOST_UNREACHABLE: Self = IcmpError::of(3, 1);
    /// 3/3, nobody listens.
    pub const PORT_UNREACHABLE: Self = IcmpError::of(3, 3);

    /// 3/4, fragmentation needed and DF set: packets up to `mtu` bytes pass.
    pub const fn too_big(mtu: u16) -> Self {
        IcmpError { kind: 3, code: 4, mtu }
    }

    const fn of(kind: u8, code: u8) -> Self {
        IcmpError { kind, code, mtu: 0 }
    }
}

/// ICMP types that ask, answer or announce. Everything else counts as an error: the known ones (3, 4, 5, 11, 12) are,
/// and one not known may be.
fn is_query(kind: u8) -> bool {
    matches!(kind, 0 | 8..=10 | 13..=18 | 42 | 43)
}

/// An address that says which host sent a packet (RFC 1122, 3.2.2: not zero, loopback, broadcast, multicast, class E).
fn is_a_host(ip: u32) -> bool {
    !matches!(ip >> 24, 0 | 127 | 224..)
}

/// Destinations of many: multicast and limited broadcast. Those of a subnet only its routers know.
fn is_to_many(ip: u32) -> bool {
    ip >> 28 == 14 || ip == u32::MAX
}

/// May an ICMP error be sent about this IPv4 packet? Not about ICMP errors, later fragments, what was sent to many, and
/// sources that are no one host (RFC 1122, 3.2.2; RFC 1812, 4.3.2.7). Of ICMP, the type must be there to tell.
///
/// Frames to a group MAC and broadcast addresses of subnets are the caller's to know.
pub fn may_answer(offender: &[u8]) -> bool {
    let Some(h) = Header::read(offender) else { return false };
    let Some(payload) = h.payload(offender) else { return false };
    let is_error = h.proto == proto::ICMP && !payload.first().is_some_and(|kind| is_query(*kind));
    h.is_first() && is_a_host(h.src) && !is_to_many(h.dst) && !is_error
}

/// Writes the IPv4 packet of the error about `offender` (its IPv4 packet as received: from the IP header to its total
/// length, or as much as there is) into `out`: from `src` to the offender's source, TTL 64, TOS 0xc0, DF, ID 0, quoting
/// as much as fits. Returns its length, at most [`MAX_ERROR`]. `None`: none may be sent, or `out` is too short for it.
pub fn error(out: &mut [u8], error: IcmpError, src: u32, offender: &[u8]) -> Option<usize> {
    let h = Header::read(offender).filter(|_| may_answer(offender))?;
    let quote = offender.get(..h.end(offender).min(MAX_ERROR - BEFORE_QUOTE))?;
    let len = BEFORE_QUOTE + quote.len();
    let (ip, rest) = out.get_mut(..len)?.split_first_chunk_mut::<20>()?;
    let (icmp, body) = rest.split_first_chunk_mut::<8>()?;
    let [m0, m1] = error.mtu.to_be_bytes();
    *ip = header(TOS, len as u16, proto::ICMP, src, h.src);
    *icmp = [error.kind, error.code, 0, 0, 0, 0, m0, m1];
    body.copy_from_slice(quote);
    [icmp[2], icmp[3]] = (!fold(sum(icmp) + sum(body))).to_be_bytes();
    Some(len)
}

/// Writes the IPv4 packet of the TCP reset that answers `segment` (an IPv4 packet) into `out`: TTL 64, TOS 0, DF, ID 0,
/// window 0. A segment with ACK is answered with its acknowledgment number as sequence number; one without by sequence
/// number 0 and an acknowledgment of all it has. Returns the length, [`RESET_LEN`].
///
/// `None`: the segment is a reset (never answered), a fragment, cut, with a wrong checksum, or from no one host; or
/// `out` is too short.
pub fn tcp_reset(out: &mut [u8], segment: &[u8]) -> Option<usize> {
    let h = Header::read(segment)?;
    let tcp = h.payload(segment)?;
    let t: &[u8; 20] = tcp.first_chunk()?;
    let data = tcp.len().checked_sub(usize::from(t[12] >> 4) * 4)?;
    let whole = h.fragment & MF == 0 && h.is_first() && h.total_len <= segment.len() && t[12] >> 4 >= 5;
    let good = fold(pseudo4(h.src, h.dst, proto::TCP, tcp.len() as u16) + sum(tcp)) == 0xffff;
    let flags = t[13];
    if h.proto != proto::TCP || !whole || !good || flags & RST != 0 || !is_a_host(h.src) || is_to_many(h.dst) {
        return None;
    }
    let length = data as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
    let next = u32::from_be_bytes([t[4], t[5], t[6], t[7]]).wrapping_add(length).to_be_bytes();
    let (seq, ack, flags) =
        if flags & ACK != 0 { ([t[8], t[9], t[10], t[11]], [0; 4], RST) } else { ([0; 4], next, RST | ACK) };
    let (ip, rest) = out.get_mut(..RESET_LEN)?.split_first_chunk_mut::<20>()?;
    let reset: &mut [u8; 20] = rest.first_chunk_mut()?;
    *ip = header(0, RESET_LEN as u16, proto::TCP, h.dst, h.src);
    let ([q0, q1, q2, q3], [a0, a1, a2, a3]) = (seq, ack);
    *reset = [t[2], t[3], t[0], t[1], q0, q1, q2, q3, a0, a1, a2, a3, 0x50, flags, 0, 0, 0, 0, 0, 0];
    let check = !fold(pseudo4(h.dst, h.src, proto::TCP, 20) + sum(reset));
    [reset[16], reset[17]] = check.to_be_bytes();
    Some(RESET_LEN)
}

#[cfg(test)]
mod tests;
