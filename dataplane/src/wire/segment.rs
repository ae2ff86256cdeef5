//! Cutting TCP and UDP super-frames into packets, as a NIC with segmentation offload does (TSO, USO).

use super::{checksum, fold, proto, pseudo4, sum};
use std::ops::Range;

/// The longest Ethernet, IP and transport headers that are repeated in every segment.
const REPEATED: usize = 256;
/// TCP flags of the last segment only: FIN, PSH.
const LAST_ONLY: u8 = 0x09;
/// TCP flag of the first segment only: CWR (RFC 3168, 6.1.2).
const FIRST_ONLY: u8 = 0x80;

/// What is cut, and where its headers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Super {
    /// Where the IP header begins, bytes from the start of the frame.
    pub l3: usize,
    /// Where the transport header begins.
    pub l4: usize,
    /// IPv6, else IPv4.
    pub ip6: bool,
    /// UDP, else TCP.
    pub udp: bool,
    /// Bytes of payload of each segment but the last.
    pub size: u16,
}

/// How a super-frame is cut.
#[derive(Clone, Debug)]
pub struct Plan {
    of: Super,
    headers: [u8; REPEATED],
    /// Bytes of headers, where the payload begins.
    start: usize,
    payload: usize,
}

impl Super {
    /// Bytes of the transport header that begins `l4`; `None` if it is not all there.
    pub fn transport(udp: bool, l4: &[u8]) -> Option<usize> {
        let len = if udp { 8 } else { usize::from(l4.get(12)? >> 4) * 4 };
        (l4.len() >= len && (udp || len >= 20)).then_some(len)
    }

    /// How a frame is cut that begins with `head` (all its headers at least) and ends with its IP packet after `whole`
    /// bytes. `None`: the headers are not all there or are too long, there is no payload, or the size is 0.
    pub fn plan(self, head: &[u8], whole: usize) -> Option<Plan> {
        let start = self.l4 + Self::transport(self.udp, head.get(self.l4..)?)?;
        let fixed = if self.ip6 { 40 } else { 20 };
        let mut headers = [0; REPEATED];
        headers.get_mut(..start)?.copy_from_slice(head.get(..start)?);
        let payload = whole.checked_sub(start).filter(|n| *n > 0)?;
        (self.size > 0 && self.l3 + fixed <= self.l4).then_some(Plan { of: self, headers, start, payload })
    }
}

impl Plan {
    /// How many segments there are.
    pub fn pieces(&self) -> usize {
        self.payload.div_ceil(usize::from(self.of.size))
    }

    /// Bytes of headers of each.
    pub fn headers(&self) -> usize {
        self.start
    }

    /// Which bytes of the payload are segment `n`'s.
    fn range(&self, n: usize) -> Range<usize> {
        let size = usize::from(self.of.size);
        (n * size).min(self.payload)..((n + 1) * size).min(self.payload)
    }

    /// Writes segment `n`, the first being 0, into `out`: a whole frame with right lengths and checksums. `payload` puts
    /// bytes of the payload where it is told. Returns its length; `None`: there is no such segment, `out` is too short, or
    /// there is no such payload.
    pub fn write(
        &self,
        n: usize,
        out: &mut [u8],
        payload: impl FnOnce(Range<usize>, &mut [u8]) -> Option<()>,
    ) -> Option<usize> {
        let range = self.range(n);
        let len = self.start + range.len();
        let out = out.get_mut(..len).filter(|_| !range.is_empty())?;
        let (head, body) = out.split_at_mut_checked(self.start)?;
        head.copy_from_slice(self.headers.get(..self.start)?);
        let offset = range.start;
        payload(range, body)?;
        self.ip(head, n, len)?;
        self.transport(head, n, offset, body)?;
        Some(len)
    }

    /// Length, identification (RFC 791: other packets, other numbers) and checksum.
    fn ip(&self, head: &mut [u8], n: usize, len: usize) -> Option<()> {
        let ip = head.get_mut(self.of.l3..self.of.l4)?;
        let total = (len - self.of.l3) as u16;
        if self.of.ip6 {
            *ip.get_mut(4..)?.first_chunk_mut()? = (total - 40).to_be_bytes();
            return Some(());
        }
        let h: &mut [u8; 20] = ip.first_chunk_mut()?;
        let id = u16::from_be_bytes([h[4], h[5]]).wrapping_add(n as u16);
        [h[2], h[3], h[4], h[5]] = [(total >> 8) as u8, total as u8, (id >> 8) as u8, id as u8];
        [h[10], h[11]] = [0; 2];
        let check = checksum(ip).to_be_bytes();
        ip.get_mut(10..12)?.copy_from_slice(&check);
        Some(())
    }

    /// Sequence number and flags, or length; and the checksum.
    fn transport(&self, head: &mut [u8], n: usize, offset: usize, body: &[u8]) -> Option<()> {
        let last = n + 1 == self.pieces();
        let (ip, l4) = head.split_at_mut_checked(self.of.l4)?;
        let len = l4.len() + body.len();
        let at = if self.of.udp {
            *l4.get_mut(4..)?.first_chunk_mut()? = (len as u16).to_be_bytes();
            6
        } else {
            let seq: &mut [u8; 4] = l4.get_mut(4..)?.first_chunk_mut()?;
            *seq = u32::from_be_bytes(*seq).wrapping_add(offset as u32).to_be_bytes();
            let flags = l4.get_mut(13)?;
            *flags &= if last { 0xff } else { !LAST_ONLY } & if n == 0 { 0xff } else { !FIRST_ONLY };
            16
        };
        let field: &mut [u8; 2] = l4.get_mut(at..)?.first_chunk_mut()?;
        *field = [0; 2];
        // Headers are a multiple of 4 bytes: the payload's words are words of the whole.
        let check = !fold(self.pseudo(ip, len)? + sum(l4) + sum(body));
        let check = if self.of.udp && check == 0 { 0xffff } else { check };
        *l4.get_mut(at..)?.first_chunk_mut()? = check.to_be_bytes();
        Some(())
    }

    /// Sum of the pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1).
    fn pseudo(&self, ip: &[u8], len: usize) -> Option<u64> {
        let ip = ip.get(self.of.l3..)?;
        let protocol = if self.of.udp { proto::UDP } else { proto::TCP };
        if self.of.ip6 {
            return Some(sum(ip.get(8..40)?) + u64::from(protocol) + len as u64);
        }
        let word = |at: usize| Some(u32::from_be_bytes(*ip.get(at..)?.first_chunk()?));
        Some(pseudo4(word(12)?, word(16)?, protocol, len as u16))
    }
}

#[cfg(test)]
mod tests;
