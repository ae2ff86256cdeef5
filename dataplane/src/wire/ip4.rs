//! IPv4 headers, read and written (RFC 791, 3.1).

use super::checksum;

/// "Don't fragment", in the word of flags and fragment offset.
pub(super) const DF: u16 = 0x4000;
/// "More fragments".
pub(super) const MF: u16 = 0x2000;
/// The fragment offset, in units of 8 bytes.
pub(super) const OFFSET: u16 = 0x1fff;

/// What the functions here read of an IPv4 header: its fixed 20 bytes. Options and payload may be missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Its length with options, 20 to 60.
    pub len: usize,
    /// The length of the packet as the header says.
    pub total_len: usize,
    /// Flags and fragment offset.
    pub fragment: u16,
    /// The protocol behind it.
    pub proto: u8,
    /// Source address.
    pub src: u32,
    /// Destination address.
    pub dst: u32,
}

impl Header {
    /// The header at the start of `bytes`; `None` if it is no IPv4 header.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let h: &[u8; 20] = bytes.first_chunk()?;
        let len = usize::from(h[0] & 15) * 4;
        (h[0] >> 4 == 4 && len >= 20).then_some(Header {
            len,
            total_len: usize::from(u16::from_be_bytes([h[2], h[3]])),
            fragment: u16::from_be_bytes([h[6], h[7]]),
            proto: h[9],
            src: u32::from_be_bytes([h[12], h[13], h[14], h[15]]),
            dst: u32::from_be_bytes([h[16], h[17], h[18], h[19]]),
        })
    }

    /// Does the payload begin a datagram, as in a whole packet or a first fragment?
    pub fn is_first(&self) -> bool {
        self.fragment & OFFSET == 0
    }

    /// Where the packet ends that begins `bytes`: at its total length, or earlier if there is less.
    pub fn end(&self, bytes: &[u8]) -> usize {
        self.total_len.min(bytes.len())
    }

    /// What is there of the payload; `None` if the header is not whole or the total length is within it.
    pub fn payload<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(self.len..self.end(bytes))
    }
}

/// A header of ours: no options, ID 0, DF, TTL 64, checksum right.
pub(super) fn header(tos: u8, total_len: u16, proto: u8, src: u32, dst: u32) -> [u8; 20] {
    let ([l0, l1], [s0, s1, s2, s3], [d0, d1, d2, d3]) =
        (total_len.to_be_bytes(), src.to_be_bytes(), dst.to_be_bytes());
    let mut h = [0x45, tos, l0, l1, 0, 0, 0x40, 0, 64, proto, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    [h[10], h[11]] = checksum(&h).to_be_bytes();
    h
}
