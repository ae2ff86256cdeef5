//! What ethtool says of an interface: driver, queues, offloads.
//!
//! By ioctl, in the network namespace of the calling thread; an interface is asked for by name. The
//! crates that speak ethtool's netlink cannot set features, and need an async runtime.
//!
//! Every function fails with ENODEV if there is no such interface, and with `InvalidInput` if the
//! name is none. Layouts and numbers: include/uapi/linux/ethtool.h.
#![allow(unsafe_code)]

mod features;
mod rss;
#[cfg(test)]
pub(super) mod tests;

pub use features::{Feature, feature};
pub use rss::{hashed_queues, hashes_udp_ports};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::AsRawFd;

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_STXCSUM: u32 = 0x17;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_SFLAGS: u32 = 0x26;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
/// enum ethtool_flags
const ETH_FLAG_TXVLAN: u32 = 1 << 7;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;

/// What a command reads and writes.
///
/// # Safety
/// `repr(C)`, plain integers, starts with the command, and no command it is sent with makes the
/// kernel write past its end.
unsafe trait Request {
    fn address(&mut self) -> *mut libc::c_char {
        std::ptr::from_mut(self).cast()
    }
}

/// `struct ethtool_drvinfo`
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    /// Version and firmware.
    _versions: [u8; 64],
    bus: [u8; 32],
    /// Expansion ROM, 32 bytes; reserved.
    _more: [u8; 44],
    _counts: [u32; 5],
}
// SAFETY: 196 bytes as in the header, which is what ETHTOOL_GDRVINFO writes.
unsafe impl Request for DriverInfo {}
const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_value`
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}
// SAFETY: 8 bytes as in the header, which is all that ETHTOOL_GTXCSUM, _STXCSUM, _GFLAGS and _SFLAGS use.
unsafe impl Request for Value {}

/// `struct ethtool_channels`
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    _max: [u32; 4],
    rx: u32,
    _tx: u32,
    _other: u32,
    combined: u32,
}
// SAFETY: 36 bytes as in the header, which is what ETHTOOL_GCHANNELS writes.
unsafe impl Request for Channels {}

fn ethtool<R: Request>(name: &str, request: &mut R) -> io::Result<()> {
    // SAFETY: an ifreq is plain integers and a union of such and a pointer: all zeros is a value.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    let fits = !name.is_empty() && name.len() < ifreq.ifr_name.len() && !name.contains('\0');
    if !fits {
        let why = format!("{name:?} is no interface name: it has 1 to 15 bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    ifreq.ifr_name.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from.cast_signed());
    ifreq.ifr_ifru.ifru_data = request.address();
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: the descriptor is open; SIOCETHTOOL reads an ifreq with a NUL behind the name, and
    // reads and writes no more than the request it points to (`Request`), borrowed until it returns.
    let answer = unsafe { libc::ioctl(any.as_raw_fd(), libc::SIOCETHTOOL, &raw mut ifreq) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Bytes up to the first NUL.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

/// The driver: `veth`, `tun` (a tap too), `bridge`, `virtio_net`. EOPNOTSUPP for `lo`, which has none.
pub fn driver(name: &str) -> io::Result<String> {
    Ok(text(&driver_info(name)?.driver))
}

/// The device's address on its bus, as the driver says: `0000:3b:00.0`. A virtual interface has none, and says nothing, `N/A` or
/// what it likes. EOPNOTSUPP as [`driver`].
pub fn bus(name: &str) -> io::Result<String> {
    Ok(text(&driver_info(name)?.bus))
}

fn driver_info(name: &str) -> io::Result<DriverInfo> {
    let command = ETHTOOL_GDRVINFO;
    let mut info =
        DriverInfo { command, driver: [0; 32], _versions: [0; 64], bus: [0; 32], _more: [0; 44], _counts: [0; 5] };
    ethtool(name, &mut info)?;
    Ok(info)
}

/// How many receive queues are in use: each needs a socket. At least 1.
///
/// A driver that does not say (a bridge) has one. A tap has as many as its owner has opened; one
/// nobody has opened counts as 1. Neither number stays if somebody changes it (`ethtool -L`, a
/// guest that enables more queues).
pub fn rx_queues(name: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    match ethtool(name, &mut channels) {
        Ok(()) => Ok(channels.rx.saturating_add(channels.combined).max(1)),
        Err(e) if e.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => Ok(1),
        Err(e) => Err(e),
    }
}

/// Does the kernel leave TCP and UDP checksums of what it sends by this interface to the device? On a
/// veth no device fills them in: a frame taken by AF_XDP at the other end has them unfinished.
pub fn tx_checksum(name: &str) -> io::Result<bool> {
    let mut value = Value { command: ETHTOOL_GTXCSUM, data: 0 };
    ethtool(name, &mut value)?;
    Ok(value.data != 0)
}

/// What `ethtool -K NAME tx on|off` does: all checksum offloads (IP, SCTP, FCoE) the device can turn.
///
/// Off takes TCP and UDP segmentation offload along, which need it (`off [requested on]` in
/// `ethtool -k`); the kernel remembers that they are wanted, so on brings them back. Only a device
/// where some checksum offloads were off and others on comes back with all of them on.
///
/// Needs CAP_NET_ADMIN: EPERM. A device that cannot turn it, such as `lo`, stays as it was:
/// EOPNOTSUPP.
pub fn set_tx_checksum(name: &str, on: bool) -> io::Result<()> {
    ethtool(name, &mut Value { command: ETHTOOL_STXCSUM, data: u32::from(on) })?;
    // The kernel takes what the device can, and says nothing of the rest.
    if tx_checksum(name)? == on { Ok(()) } else { Err(Errno::OPNOTSUPP.into()) }
}

/// Does the kernel leave it to the device to put a VLAN tag into what it sends by this interface?
/// On a veth the tag travels beside the frame, and no XDP program or AF_XDP socket at the other end sees it.
pub fn tx_vlan(name: &str) -> io::Result<bool> {
    Ok(flags(name)? & ETH_FLAG_TXVLAN != 0)
}

/// What `ethtool -K NAME txvlan on|off` does (`tx-vlan-offload`, of 802.1Q tags). Errors as of [`set_tx_checksum`].
pub fn set_tx_vlan(name: &str, on: bool) -> io::Result<()> {
    set_flag(name, ETH_FLAG_TXVLAN, on)
}

/// Does the device take the 802.1Q tag out of what it receives, and pass it beside the frame? No XDP program and no AF_XDP
/// socket sees it then.
pub fn rx_vlan(name: &str) -> io::Result<bool> {
    Ok(flags(name)? & ETH_FLAG_RXVLAN != 0)
}

/// What `ethtool -K NAME rxvlan on|off` does (`rx-vlan-offload`). Some drivers stop and start the device for it. Errors as
/// of [`set_tx_checksum`].
pub fn set_rx_vlan(name: &str, on: bool) -> io::Result<()> {
    set_flag(name, ETH_FLAG_RXVLAN, on)
}

fn set_flag(name: &str, flag: u32, on: bool) -> io::Result<()> {
    let others = flags(name)? & !flag;
    let data = if on { others | flag } else { others };
    ethtool(name, &mut Value { command: ETHTOOL_SFLAGS, data })?;
    // The kernel takes what the device can, and says nothing of the rest.
    if (flags(name)? & flag != 0) == on { Ok(()) } else { Err(Errno::OPNOTSUPP.into()) }
}

fn flags(name: &str) -> io::Result<u32> {
    let mut value = Value { command: ETHTOOL_GFLAGS, data: 0 };
    ethtool(name, &mut value)?;
    Ok(value.data)
}
