//! The emulated compute host of `bench/baseline/topo.py`: 10 networks of 10 local and 100 remote
//! VMs, 50 other hosts, one router on all networks. Every address is a function of its index.

use dataplane::addr::MacAddr;

/// Networks; each has one subnet and one interface of the router.
pub const NETS: u16 = 10;
/// Local VMs of a network.
pub const LOCAL: u16 = 10;
/// Remote VMs of a network.
pub const REMOTE: u16 = 100;
/// Other hosts.
pub const HOSTS: u16 = 50;

fn mac(b3: u16, b4: u16, b5: u16, oui: u8) -> MacAddr {
    MacAddr::new([0xfa, 0x16, oui, b3 as u8, b4 as u8, b5 as u8])
}

fn ip(a: u8, b: u16, c: u16, d: u16) -> u32 {
    u32::from_be_bytes([a, b as u8, c as u8, d as u8])
}

/// VNI of network `n`.
pub fn vni(n: u16) -> u32 {
    0x1000 + u32::from(n)
}

/// MAC of the router's interface on network `n`.
pub fn gw_mac(n: u16) -> MacAddr {
    mac(0, n, 1, 0x3e)
}

/// Its address.
pub fn gw_ip(n: u16) -> u32 {
    ip(10, n, 0, 1)
}

/// MAC of local VM `j` of network `n`.
pub fn lvm_mac(n: u16, j: u16) -> MacAddr {
    mac(1, n, j, 0x3e)
}

/// Its address.
pub fn lvm_ip(n: u16, j: u16) -> u32 {
    ip(10, n, 0, 10 + j)
}

/// MAC of remote VM `k` of network `n`.
pub fn rvm_mac(n: u16, k: u16) -> MacAddr {
    mac(2, n, k, 0x3e)
}

/// Its address.
pub fn rvm_ip(n: u16, k: u16) -> u32 {
    ip(10, n, 1, 10 + k)
}

/// The host it is on.
pub fn rvm_host(n: u16, k: u16) -> u16 {
    (n * REMOTE + k) % HOSTS
}

/// DVR MAC of host `h`.
pub fn dvr_mac(h: u16) -> MacAddr {
    mac(0, 0, h, 0x3f)
}

/// VTEP address of host `h`.
pub fn rvtep_ip(h: u16) -> u32 {
    ip(172, 16, 1, 1 + h)
}

/// Its MAC.
pub fn rvtep_mac(h: u16) -> MacAddr {
    MacAddr::new([2, 0, 0, 0, 1, h as u8])
}

/// DVR MAC of this host.
pub const LOCAL_DVR_MAC: MacAddr = MacAddr::new([0xfa, 0x16, 0x3f, 0xff, 0, 1]);
/// VTEP address of this host.
pub const VTEP_IP: u32 = u32::from_be_bytes([172, 16, 0, 1]);
/// Its MAC.
pub const VTEP_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);

/// Floating IP of local VM `j` of network `n`.
pub fn fip(n: u16, j: u16) -> u32 {
    ip(198, 51, 100, 10 + n * LOCAL + j)
}

/// Peer `k` on the internet.
pub fn ext_ip(k: u16) -> u32 {
    ip(198, 18, k >> 8 & 255, k & 255)
}

/// MAC of this host's port on the external network.
pub const FG_MAC: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x10, 0, 1]);
/// Its address. The baseline's flows need none.
pub const FG_IP: u32 = u32::from_be_bytes([198, 51, 100, 5]);
/// MAC of the provider's router.
pub const EXT_GW_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 2, 1]);
/// Its address on the external network.
pub const EXT_GW_IP: u32 = u32::from_be_bytes([198, 51, 100, 1]);

/// Address of further remote VM `x` of network `n`, beyond those of the baseline: on a subnet of its own behind the
/// same interface of the router, because 10.n.0.0/16 is too small for a million.
pub fn more_ip(n: u16, x: u32) -> u32 {
    u32::from(100 + n) << 24 | (x & 0xff_ffff)
}

/// Its MAC.
pub fn more_mac(n: u16, x: u32) -> MacAddr {
    MacAddr::from_u64(0xfa16_0000_0000 | u64::from(0x40 + n) << 24 | u64::from(x & 0xff_ffff))
}

/// The host it is on.
pub fn more_host(x: u32) -> u16 {
    (x % u32::from(HOSTS)) as u16
}
