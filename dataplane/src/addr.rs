//! Link-layer addresses as integers, so that a compare is one instruction.

use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address in the low bits of a `u64`, first octet highest
/// (`fa:16:3e:00:00:01` is `0xfa16_3e00_0001`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(u64);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: MacAddr = MacAddr(0xffff_ffff_ffff);
    /// `00:00:00:00:00:00`.
    pub const ZERO: MacAddr = MacAddr(0);

    /// From six octets in wire order.
    #[inline(always)]
    pub const fn new(o: [u8; 6]) -> Self {
        MacAddr(u64::from_be_bytes([0, 0, o[0], o[1], o[2], o[3], o[4], o[5]]))
    }

    /// From the low 48 bits of an integer; the rest is cut off.
    #[inline(always)]
    pub const fn from_u64(v: u64) -> Self {
        MacAddr(v & 0xffff_ffff_ffff)
    }

    /// The address in the low 48 bits.
    #[inline(always)]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// Six octets in wire order.
    #[inline(always)]
    pub const fn octets(self) -> [u8; 6] {
        let b = self.0.to_be_bytes();
        [b[2], b[3], b[4], b[5], b[6], b[7]]
    }

    /// The I/G bit: multicast or broadcast (IEEE 802-2014, 8.2.2).
    #[inline(always)]
    pub const fn is_multicast(self) -> bool {
        self.0 & 0x0100_0000_0000 != 0
    }

    /// All 48 bits zero.
    #[inline(always)]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = self.octets();
        write!(f, "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", o[0], o[1], o[2], o[3], o[4], o[5])
    }
}

/// What is wrong with a text that should be a MAC address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadMac(String);

impl fmt::Display for BadMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a MAC address: six pairs of hex digits joined by ':' are expected", self.0)
    }
}

impl std::error::Error for BadMac {}

impl FromStr for MacAddr {
    type Err = BadMac;

    fn from_str(s: &str) -> Result<Self, BadMac> {
        let mut v = 0u64;
        let mut n = 0;
        for part in s.split(':') {
            let pair = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            let octet = u8::from_str_radix(part, 16).ok().filter(|_| pair && n < 6);
            v = v << 8 | u64::from(octet.ok_or_else(|| BadMac(s.to_owned()))?);
            n += 1;
        }
        if n == 6 { Ok(MacAddr(v)) } else { Err(BadMac(s.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_octets_agree() {
        let m: MacAddr = "fa:16:3F:00:00:01".parse().unwrap();
        assert_eq!(m, MacAddr::new([0xfa, 0x16, 0x3f, 0, 0, 1]));
        assert_eq!(m.to_string(), "fa:16:3f:00:00:01");
        for bad in
            ["", "fa:16:3f:00:00", "fa:16:3f:00:00:01:02", "fa:16:3f:00:00:1", "fa:16:3f:00:00:+1", "fa-16-3f-00-00-01"]
        {
            let error = bad.parse::<MacAddr>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{bad}\" is not a MAC address: ")), "{error}");
        }
    }

    #[test]
    fn group_bit() {
        assert!(MacAddr::BROADCAST.is_multicast());
        assert!(MacAddr::new([1, 0, 0x5e, 0, 0, 1]).is_multicast());
        assert!(!MacAddr::new([0xfa, 0x16, 0x3e, 1, 1, 1]).is_multicast());
    }
}
