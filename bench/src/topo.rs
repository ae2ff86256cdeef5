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
