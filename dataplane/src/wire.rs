//! Header fields that more than one stage reads or writes, checksums (RFC 1071, RFC 1624), and what is done to bytes
//! alone, without a table: answers, translation, fragments.

pub mod arp;
pub mod fragment;
pub mod icmp;
mod ip4;
pub mod nat;
#[cfg(test)]
pub(crate) mod reference;
pub mod segment;

/// EtherTypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// Reverse ARP.
    pub const RARP: u16 = 0x8035;
    /// 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// 802.1ad outer tag.
    pub const QINQ: u16 = 0x88a8;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
}

/// IP protocols.
pub mod proto {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// DCCP.
    pub const DCCP: u8 = 33;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// UDP-Lite.
    pub const UDP_LITE: u8 = 136;
}

/// Bytes of an Ethernet header without tags.
pub const ETH_LEN: u16 = 14;

/// `LEN` bytes at `AT` of a header.
#[inline(always)]
pub fn part<const AT: usize, const LEN: usize, const N: usize>(h: &[u8; N]) -> &[u8; LEN] {
    const { assert!(AT + LEN <= N) }
    h.get(AT..).and_then(|rest| rest.first_chunk()).unwrap_or(&[0; LEN])
}

/// The word at `AT` of a header.
#[inline(always)]
pub fn be32<const AT: usize, const N: usize>(h: &[u8; N]) -> u32 {
    const { assert!(AT + 4 <= N) }
    let word = h.get(AT..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_be_bytes(*word))
}

/// The double word at `AT` of a header.
#[inline(always)]
pub fn be64<const AT: usize, const N: usize>(h: &[u8; N]) -> u64 {
    const { assert!(AT + 8 <= N) }
    let word = h.get(AT..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u64::from_be_bytes(*word))
}

/// Ones' complement sum of `bytes` as big-endian 16-bit words (an odd last byte padded with zero), not folded.
#[inline(always)]
pub fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut s: u64 = words.iter().map(|w| u64::from(u32::from_be_bytes(*w))).sum();
    let mut tail = [0u8; 4];
    for (t, r) in tail.iter_mut().zip(rest) {
        *t = *r;
    }
    s += u64::from(u32::from_be_bytes(tail));
    s
}

/// Folds a sum to 16 bits. A number plus itself with its halves swapped has the sum of both halves on top, its carry
/// already brought round.
#[inline(always)]
pub fn fold(s: u64) -> u16 {
    fold_half((s.wrapping_add(s.rotate_left(32)) >> 32) as u32)
}

/// Folds a sum of 32 bits.
#[inline(always)]
pub fn fold_half(s: u32) -> u16 {
    (s.wrapping_add(s.rotate_left(16)) >> 16) as u16
}

/// Is the checksum of a 20-byte IPv4 header right? Byte order does not matter to that (RFC 1071, 2 B).
#[inline(always)]
pub fn ip4_header_good(h: &[u8; 20]) -> bool {
    // Long words sum to the same (RFC 1071, 2 C): carries come in at the bottom.
    let (a, b, c) = (be64::<0, _>(h).swap_bytes(), be64::<8, _>(h).swap_bytes(), be32::<16, _>(h).swap_bytes());
    let (s, first) = a.overflowing_add(b);
    let (s, second) = s.overflowing_add(u64::from(c) + u64::from(first));
    fold(s + u64::from(second)) == 0xffff // no third carry: a sum that ran over is small
}

/// The Internet checksum of `bytes`: 0 if they contain a right one.
#[inline(always)]
pub fn checksum(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The new checksum when one covered 16-bit word changes from `old` to `new` (RFC 1624, eqn. 3).
#[inline(always)]
pub fn update(check: u16, old: u16, new: u16) -> u16 {
    !fold_half(u32::from(!check) + u32::from(!old) + u32::from(new))
}

/// Sum of the IPv4 pseudo-header for a checksum over `len` bytes.
#[inline(always)]
pub fn pseudo4(src: u32, dst: u32, proto: u8, len: u16) -> u64 {
    u64::from(src) + u64::from(dst) + u64::from(proto) + u64::from(len)
}

/// The same for IPv6 (RFC 8200, 8.1).
#[inline(always)]
pub fn pseudo6(src: u128, dst: u128, proto: u8, len: u32) -> u64 {
    sum(&src.to_be_bytes()) + sum(&dst.to_be_bytes()) + u64::from(proto) + u64::from(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2])), 0xf201);
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5])), fold(0x1u64 + 0xf203 + 0xf4f5));
    }

    /// Ones' complement: the remainder of a division by 0xffff, with 0xffff for it where it is not 0 itself.
    fn remainder(s: u64) -> u16 {
        if s == 0 { 0 } else { ((s - 1) % 0xffff + 1) as u16 }
    }

    #[test]
    fn folding_is_a_remainder_whatever_the_carries() {
        let parts = [0, 1, 2, 0x7fff, 0x8000, 0xfffe, 0xffff];
        let of = |a: u64, b: u64, c: u64, d: u64| a << 48 | b << 32 | c << 16 | d;
        for s in parts.iter().flat_map(|a| parts.map(|b| (a, b))).flat_map(|(a, b)| parts.map(|c| (a, b, c))) {
            parts.iter().map(|d| of(*s.0, s.1, s.2, *d)).for_each(|s| assert_eq!(fold(s), remainder(s), "{s:x}"));
        }
        for s in [0, 1, 0xfffe, 0xffff, 0x10000, 0x1_ffff, 0x2_0000, 0x2_fffc, 0x2_fffd, u32::MAX - 1, u32::MAX] {
            assert_eq!(fold_half(s), remainder(u64::from(s)), "{s:x}");
        }
    }

    #[test]
    fn a_good_header_may_carry_much_and_a_bad_one_may_be_off_by_any_bit() {
        for fill in [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff] {
            let mut h = [fill; 20];
            h[0] = 0x45;
            [h[10], h[11]] = [0, 0];
            let words = h.chunks(2).map(|w| u64::from(u16::from_be_bytes([w[0], w[1]])));
            [h[10], h[11]] = (!remainder(words.sum())).to_be_bytes();
            assert!(ip4_header_good(&h), "{h:02x?}");
            for bit in 0..160 {
                let mut bad = h;
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(!ip4_header_good(&bad), "{bad:02x?}");
            }
        }
    }

    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest::proptest! {
        #[test]
        fn a_header_is_good_exactly_when_its_checksum_is_zero(mut h in proptest::array::uniform20(proptest::num::u8::ANY), fix in proptest::bool::ANY) {
            h[0] |= 1; // an all-zero header has no checksum
            if fix {
                [h[10], h[11]] = [0, 0];
                [h[10], h[11]] = checksum(&h).to_be_bytes();
            }
            proptest::prop_assert_eq!(ip4_header_good(&h), checksum(&h) == 0);
        }
    }

    proptest::proptest! {
        #[test]
        fn updating_is_recomputing(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 4..60), word in 1usize..20, new in proptest::num::u16::ANY) {
            bytes.truncate(bytes.len() & !1);
            let at = word * 2 % bytes.len();
            bytes[0] |= 1; // an all-zero sum has two representations
            let before = checksum(&bytes);
            let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            proptest::prop_assume!(bytes.iter().any(|b| *b != 0));
            proptest::prop_assert_eq!(update(before, old, new), checksum(&bytes));
        }
    }
}
