//! An address block: base address and prefix length.

use std::fmt;
use std::net::IpAddr;

/// A block of addresses, `10.1.0.0/24`. Host bits are always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpNet {
    addr: IpAddr,
    len: u8,
}

/// What is wrong with a text that should be an [`IpNet`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadNet {
    /// No `/length` behind the address.
    NoLength(IpAddr),
    /// The part before `/` is no address.
    BadAddress,
    /// The length is no number, or longer than the address.
    BadLength(u8),
    /// Bits behind the prefix are set; the block meant is most likely this one.
    HostBits(IpNet),
}

impl IpNet {
    /// The block of `len` leading bits that holds `addr`; `None` if `len` is longer than the address.
    pub fn containing(addr: IpAddr, len: u8) -> Option<IpNet> {
        (len <= bits(addr)).then(|| IpNet { addr: mask(addr, len), len })
    }

    /// The block with this one address: `/32` or `/128`.
    pub fn host(addr: IpAddr) -> IpNet {
        IpNet { addr, len: bits(addr) }
    }

    /// `0.0.0.0/0`.
    pub(super) fn any_v4() -> IpNet {
        IpNet { addr: IpAddr::from([0, 0, 0, 0]), len: 0 }
    }

    /// Reads `address/length`; set host bits are an error that carries the block meant.
    pub fn parse_strict(text: &str) -> Result<IpNet, BadNet> {
        let (addr, len) = match text.split_once('/') {
            Some((a, l)) => (a.parse::<IpAddr>().map_err(|_| BadNet::BadAddress)?, l),
            None => return Err(text.parse().map_or(BadNet::BadAddress, BadNet::NoLength)),
        };
        let digits = !len.is_empty() && len.len() <= 3 && len.bytes().all(|b| b.is_ascii_digit());
        let len = len.parse::<u8>().ok().filter(|_| digits).ok_or(BadNet::BadLength(bits(addr)))?;
        let net = IpNet::containing(addr, len).ok_or(BadNet::BadLength(bits(addr)))?;
        if net.addr == addr { Ok(net) } else { Err(BadNet::HostBits(net)) }
    }

    /// Reads `address/length` or a bare address (that one host), and cuts host bits off: what Neutron
    /// does with `remote_ip_prefix` (`normalized_cidr`) and what a flow match does with an address pair.
    pub fn parse_lenient(text: &str) -> Result<IpNet, BadNet> {
        match IpNet::parse_strict(text) {
            Err(BadNet::NoLength(addr)) => Ok(IpNet::host(addr)),
            Err(BadNet::HostBits(net)) => Ok(net),
            other => other,
        }
    }

    /// The first address of the block.
    pub fn addr(self) -> IpAddr {
        self.addr
    }

    /// Number of leading bits that are fixed: 0 to 32, or 0 to 128.
    pub fn prefix_len(self) -> u8 {
        self.len
    }

    /// An IPv4 block.
    pub fn is_ipv4(self) -> bool {
        self.addr.is_ipv4()
    }

    /// 4 or 6, as Neutron's `ip_version`.
    pub fn version(self) -> u8 {
        if self.is_ipv4() { 4 } else { 6 }
    }

    /// The address is inside the block (and of its family).
    pub fn contains(self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.is_ipv4() && mask(addr, self.len) == self.addr
    }

    /// The two blocks share an address, that is, one holds the other.
    pub fn overlaps(self, other: IpNet) -> bool {
        self.contains(other.addr) || other.contains(self.addr)
    }

    /// The block is a single address.
    pub fn is_host(self) -> bool {
        self.len == bits(self.addr)
    }

    /// The last address of the block (of an IPv4 subnet: its broadcast address).
    pub fn last(self) -> IpAddr {
        match self.addr {
            IpAddr::V4(a) => {
                let host = u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V4((u32::from(a) | host).into())
            }
            IpAddr::V6(a) => {
                let host = u128::MAX.checked_shr(u32::from(self.len)).unwrap_or(0);
                IpAddr::V6((u128::from(a) | host).into())
            }
        }
    }

    /// The network or broadcast address of an IPv4 block with room for both: no host may have it.
    pub fn is_network_or_broadcast(self, addr: IpAddr) -> bool {
        self.is_ipv4() && self.len < 31 && (addr == self.addr || addr == self.last())
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl BadNet {
    /// What is wrong, and what to write instead.
    pub(super) fn explain(&self, text: &str) -> (String, String) {
        let text = super::problem::quote(text);
        let example = "write it like 10.1.0.0/24 or fd00:a::/64";
        match self {
            BadNet::NoLength(a) => (format!("{text} has no prefix length"), format!("write {}", IpNet::host(*a))),
            BadNet::BadAddress => (format!("{text} is not an address block"), example.to_owned()),
            BadNet::BadLength(max) => {
                (format!("{text} has no valid prefix length"), format!("give a length from 0 to {max}"))
            }
            BadNet::HostBits(net) => (format!("{text} has bits set behind its prefix"), format!("write {net}")),
        }
    }
}

/// Number of bits of an address of this family.
fn bits(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

/// The address with everything behind `len` bits cleared.
fn mask(addr: IpAddr, len: u8) -> IpAddr {
    let drop = |all: u32| all.saturating_sub(u32::from(len));
    match addr {
        IpAddr::V4(a) => IpAddr::V4((u32::from(a) & u32::MAX.checked_shl(drop(32)).unwrap_or(0)).into()),
        IpAddr::V6(a) => IpAddr::V6((u128::from(a) & u128::MAX.checked_shl(drop(128)).unwrap_or(0)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(s: &str) -> IpNet {
        IpNet::parse_strict(s).unwrap()
    }

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn reads_and_refuses() {
        for good in ["0.0.0.0/0", "10.1.0.0/24", "10.1.0.1/32", "::/0", "fd00:a::/64", "fd00:a::1/128"] {
            assert_eq!(net(good).to_string(), good);
        }
        assert_eq!(IpNet::parse_strict("10.1.0.5"), Err(BadNet::NoLength(ip("10.1.0.5"))));
        assert_eq!(IpNet::parse_strict("10.1.0.5/24"), Err(BadNet::HostBits(net("10.1.0.0/24"))));
        assert_eq!(IpNet::parse_strict("fd00::1/64"), Err(BadNet::HostBits(net("fd00::/64"))));
        for bad in ["", "/", "10.1.0.0/", "10.1.0.0/+8", "10.1.0.0/33", "10.1.0.0/256", "::/129", "10.1/8", "::/0064"] {
            assert!(IpNet::parse_strict(bad).is_err(), "{bad}");
        }
        assert_eq!(IpNet::parse_lenient("10.1.0.5"), Ok(net("10.1.0.5/32")));
        assert_eq!(IpNet::parse_lenient("10.1.0.5/24"), Ok(net("10.1.0.0/24")));
    }

    #[test]
    fn contains_overlaps_last() {
        assert!(net("10.1.0.0/24").contains(ip("10.1.0.255")));
        assert!(!net("10.1.0.0/24").contains(ip("10.1.1.0")));
        assert!(!net("0.0.0.0/0").contains(ip("::")));
        assert!(net("10.0.0.0/8").overlaps(net("10.1.0.0/24")) && net("10.1.0.0/24").overlaps(net("10.0.0.0/8")));
        assert!(!net("10.1.0.0/24").overlaps(net("10.2.0.0/24")) && !net("0.0.0.0/0").overlaps(net("::/0")));
        assert_eq!(net("10.1.0.0/24").last(), ip("10.1.0.255"));
        assert_eq!(net("10.1.0.1/32").last(), ip("10.1.0.1"));
        assert_eq!(net("0.0.0.0/0").last(), ip("255.255.255.255"));
        assert_eq!(net("fd00::/127").last(), ip("fd00::1"));
        assert!(net("10.1.0.0/24").is_network_or_broadcast(ip("10.1.0.0")));
        assert!(!net("10.1.0.0/31").is_network_or_broadcast(ip("10.1.0.0")));
    }
}
