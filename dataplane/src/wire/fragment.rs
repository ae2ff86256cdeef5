//! Cutting IPv4 packets that are too large for the next network (RFC 791, 3.2).

use super::checksum;
use super::ip4::{DF, Header, MF, OFFSET};
use std::ops::Range;

/// The largest header.
const MAX_HEADER: usize = 60;
/// In an option's type: it belongs into every fragment.
const COPIED: u8 = 0x80;

/// How an IPv4 packet larger than the MTU is cut. All but the last piece are as large as the MTU allows, with a payload
/// of a multiple of 8 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The packet's header, with all options: that of the first piece.
    first: HeaderBytes,
    /// The header of the others, with those options only that are to be copied.
    later: HeaderBytes,
    /// Bytes of payload of the packet.
    payload: usize,
    /// Bytes of payload in the first piece.
    first_room: usize,
    /// Bytes of payload in each later piece but the last.
    later_room: usize,
    /// Bytes of payload the last piece may have: up to 7 more.
    last_room: usize,
}

/// A header in a place that is always large enough.
#[derive(Clone, Copy, Debug)]
struct HeaderBytes {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

/// How `packet` (IPv4, from its header to its total length at least) is cut for an MTU of `mtu` bytes.
///
/// `None`: it needs no cut, has DF, no payload fits (an MTU under header and 8 bytes), or it is none to be cut: not
/// whole, with options that cannot be walked, or as a fragment with an end past 65535.
pub fn plan(packet: &[u8], mtu: u16) -> Option<Plan> {
    plan_of(packet, packet.len(), mtu)
}

/// The same for a packet of which only the beginning is at hand, its whole header at least; `whole` bytes are there.
pub fn plan_of(packet: &[u8], whole: usize, mtu: u16) -> Option<Plan> {
    let h = Header::read(packet)?;
    let mtu = usize::from(mtu);
    let header = packet.get(..h.len)?;
    let payload = h.total_len.checked_sub(h.len)?;
    let end = usize::from(h.fragment & OFFSET) * 8 + payload;
    if h.total_len <= mtu || h.total_len > whole || h.fragment & DF != 0 || end > 0xffff {
        return None;
    }
    let (first, later) = (HeaderBytes::all(header)?, HeaderBytes::copied(header)?);
    let room = |header: &HeaderBytes| mtu.checked_sub(header.len).filter(|room| *room >= 8);
    let (first_room, last_room) = (room(&first)? & !7, room(&later)?);
    Some(Plan { first, later, payload, first_room, later_room: last_room & !7, last_room })
}

impl Plan {
    /// How many pieces there are: at least 2.
    pub fn pieces(&self) -> usize {
        let after_first = self.payload.saturating_sub(self.first_room);
        2 + after_first.saturating_sub(self.last_room).div_ceil(self.later_room)
    }

    /// Writes piece `n`, the first being 0, of `packet`, the one that was planned for, into `out`: a whole IPv4 packet
    /// with a right header checksum. Returns its length. `None`: there is no such piece, or `out` is too short.
    pub fn write(&self, packet: &[u8], n: usize, out: &mut [u8]) -> Option<usize> {
        let payload = packet.get(self.header_len()..)?;
        self.write_from(n, out, |range, to| {
            to.copy_from_slice(payload.get(range)?);
            Some(())
        })
    }

    /// Length of the header of the packet, where its payload begins.
    pub fn header_len(&self) -> usize {
        self.first.len
    }

    /// As [`Plan::write`]; `fill` puts bytes of the payload where it is told.
    pub fn write_from(
        &self,
        n: usize,
        out: &mut [u8],
        fill: impl FnOnce(Range<usize>, &mut [u8]) -> Option<()>,
    ) -> Option<usize> {
        let last = self.pieces() - 1;
        let (header, start, len) = match n {
            0 => (&self.first, 0, self.first_room),
            _ if n > last => return None,
            _ => (&self.later, self.first_room + (n - 1) * self.later_room, self.later_room),
        };
        let end = if n < last { start + len } else { self.payload };
        let len = header.len + end.checked_sub(start)?;
        let (head, body) = out.get_mut(..len)?.split_at_mut_checked(header.len)?;
        head.copy_from_slice(header.get());
        fill(start..end, body)?;
        let fixed: &mut [u8; 20] = head.first_chunk_mut()?;
        [fixed[2], fixed[3]] = (len as u16).to_be_bytes();
        let more = if n < last { MF } else { 0 };
        let fragment = (u16::from_be_bytes([fixed[6], fixed[7]]) | more) + (start / 8) as u16;
        [fixed[6], fixed[7]] = fragment.to_be_bytes();
        [fixed[10], fixed[11]] = [0; 2];
        let check = checksum(head).to_be_bytes();
        head.get_mut(10..12)?.copy_from_slice(&check);
        Some(len)
    }
}

impl HeaderBytes {
    /// The header as it is.
    fn all(header: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_HEADER];
        bytes.get_mut(..header.len())?.copy_from_slice(header);
        Some(HeaderBytes { bytes, len: header.len() })
    }

    /// The header with those options only that are copied into every fragment, then "end of option list" up to a
    /// multiple of 4 bytes. `None`: an option that is not whole.
    fn copied(header: &[u8]) -> Option<Self> {
        let (fixed, mut options) = header.split_first_chunk::<20>()?;
        let mut later = HeaderBytes { bytes: [0; MAX_HEADER], len: 0 };
        later.push(fixed)?;
        while let [kind, rest @ ..] = options {
            // 0 ends the list, 1 is one byte of padding, all others have a length.
            let len = match (kind, rest) {
                (0, _) => break,
                (1, _) => 1,
                (_, [len, ..]) if *len >= 2 => usize::from(*len),
                _ => return None,
            };
            let (option, next) = options.split_at_checked(len)?;
            if kind & COPIED != 0 {
                later.push(option)?;
            }
            options = next;
        }
        later.len = later.len.next_multiple_of(4);
        later.bytes[0] = 0x40 | (later.len / 4) as u8;
        Some(later)
    }

    fn push(&mut self, more: &[u8]) -> Option<()> {
        self.bytes.get_mut(self.len..self.len + more.len())?.copy_from_slice(more);
        self.len += more.len();
        Some(())
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
