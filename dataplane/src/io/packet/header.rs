//! `struct virtio_net_hdr` (virtio 1.2, section 5.1.6), as packet sockets with `PACKET_VNET_HDR` have it before each frame:
//! ten bytes in the machine's byte order.

use crate::burst::{Checksum, FrameMeta, Gso};

/// Bytes of the header.
pub(super) const LEN: usize = 10;
/// `flags`: the checksum is left to be done.
const NEEDS_CSUM: u8 = 1;
/// `flags`: the checksum was found right.
const DATA_VALID: u8 = 2;
// `gso_type`
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// In `gso_type`: the first segment has CWR, the others have not (RFC 3168).
const GSO_ECN: u8 = 0x80;
/// TCP's CWR flag, and where the flags are.
const CWR: u8 = 0x80;
const TCP_FLAGS: usize = 13;

/// What a header says of its frame. A kind of segmentation that is not known is [`Gso::Udp`] of size 0, which no frame can
/// be: it is dropped as `vnet_bad`.
pub(super) fn read(h: &[u8; LEN]) -> (Checksum, Gso) {
    let word = |at: usize| h.get(at..).and_then(|h| h.first_chunk()).map_or(0, |w| u16::from_ne_bytes(*w));
    let csum = match h[0] {
        flags if flags & NEEDS_CSUM != 0 => Checksum::Partial { start: word(6), offset: word(8) },
        flags if flags & DATA_VALID != 0 => Checksum::Verified,
        _ => Checksum::None,
    };
    let gso = match h[1] & !GSO_ECN {
        GSO_NONE => Gso::None,
        GSO_TCPV4 => Gso::TcpV4(word(4)),
        GSO_TCPV6 => Gso::TcpV6(word(4)),
        GSO_UDP_L4 => Gso::Udp(word(4)),
        _ => Gso::Udp(0),
    };
    (csum, gso)
}

/// The header of a frame that begins with `head`.
pub(super) fn write(meta: &FrameMeta, head: &[u8]) -> [u8; LEN] {
    let (mut flags, mut start, mut offset) = (0, 0, 0);
    match meta.csum {
        Checksum::Partial { start: from, offset: at } => (flags, start, offset) = (NEEDS_CSUM, from, at),
        Checksum::Verified => flags = DATA_VALID,
        Checksum::None => {}
    }
    let (kind, size) = match meta.gso {
        Gso::None => (GSO_NONE, 0),
        Gso::TcpV4(size) => (GSO_TCPV4, size),
        Gso::TcpV6(size) => (GSO_TCPV6, size),
        Gso::Udp(size) => (GSO_UDP_L4, size),
    };
    let l4 = usize::from(start);
    let tcp = matches!(meta.gso, Gso::TcpV4(_) | Gso::TcpV6(_));
    let cwr = tcp && head.get(l4 + TCP_FLAGS).is_some_and(|flags| flags & CWR != 0);
    let l4_len = if tcp { head.get(l4 + TCP_FLAGS - 1).map_or(0, |b| u16::from(b >> 4) * 4) } else { 8 };
    let hdr_len = if kind == GSO_NONE { 0 } else { start + l4_len };
    let [hdr_len, size, start, offset] = [hdr_len, size, start, offset].map(u16::to_ne_bytes);
    let ecn = if cwr { GSO_ECN } else { 0 };
    let [h0, h1, s0, s1, c0, c1, o0, o1] =
        [hdr_len[0], hdr_len[1], size[0], size[1], start[0], start[1], offset[0], offset[1]];
    [flags, kind | ecn, h0, h1, s0, s1, c0, c1, o0, o1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(flags: u8, kind: u8, words: [u16; 4]) -> [u8; LEN] {
        let mut h = [flags, kind, 0, 0, 0, 0, 0, 0, 0, 0];
        h[2..].copy_from_slice(&words.map(u16::to_ne_bytes).concat());
        h
    }

    /// Fields by virtio 1.2, 5.1.6: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset.
    #[test]
    fn headers_are_read_and_written_as_the_kernel_does() {
        let mut tcp = [0; 60];
        tcp[34 + 12] = 6 << 4;
        let of = |csum, gso| FrameMeta { csum, gso, ..FrameMeta::default() };
        let partial = Checksum::Partial { start: 34, offset: 16 };
        let known = [
            (bytes(0, 0, [0; 4]), Checksum::None, Gso::None),
            (bytes(2, 0, [0; 4]), Checksum::Verified, Gso::None),
            (bytes(1, 0, [0, 0, 34, 16]), partial, Gso::None),
            (bytes(1, 1, [58, 1448, 34, 16]), partial, Gso::TcpV4(1448)),
            (bytes(1, 4, [58, 1428, 34, 16]), partial, Gso::TcpV6(1428)),
            (bytes(1, 5, [42, 1200, 34, 16]), partial, Gso::Udp(1200)),
        ];
        for (header, csum, gso) in known {
            assert_eq!(read(&header), (csum, gso), "{header:?}");
            assert_eq!(write(&of(csum, gso), &tcp), header, "{gso:?}");
        }
    }

    /// Linux: `VIRTIO_NET_HDR_GSO_ECN` beside the kind, where TCP's CWR is set.
    #[test]
    fn the_first_segment_only_has_cwr() {
        let mut tcp = [0; 60];
        (tcp[34 + 12], tcp[34 + 13]) = (5 << 4, 0x90);
        let csum = Checksum::Partial { start: 34, offset: 16 };
        let meta = FrameMeta { csum, gso: Gso::TcpV4(1000), ..FrameMeta::default() };
        let header = bytes(1, 0x81, [54, 1000, 34, 16]);
        assert_eq!(write(&meta, &tcp), header);
        assert_eq!(read(&header), (csum, Gso::TcpV4(1000)));
    }

    #[test]
    fn a_kind_that_is_not_known_is_one_that_cannot_be() {
        for kind in [2, 3, 6, 0x20, 0x7f] {
            assert_eq!(read(&bytes(1, kind, [58, 1448, 34, 16])).1, Gso::Udp(0), "{kind}");
        }
    }
}
