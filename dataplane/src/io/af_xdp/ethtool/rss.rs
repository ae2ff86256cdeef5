//! How a NIC shares received packets out among its queues.
#![allow(unsafe_code)]

use super::{Request, ethtool};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;

const ETHTOOL_GRXFH: u32 = 0x29;
const ETHTOOL_GRXFHINDIR: u32 = 0x38;
/// Flow type of UDP over IPv4.
const UDP_V4_FLOW: u32 = 2;
const RXH_L4_B_0_1: u64 = 1 << 6;
/// Entries of the largest indirection table that is read.
const ENTRIES: usize = 8192;

/// `struct ethtool_rxnfc` as far as the kernel reads and writes it for a flow hash.
#[repr(C)]
struct FlowHash {
    command: u32,
    flow: u32,
    fields: u64,
}
// SAFETY: 16 bytes; for ETHTOOL_GRXFH without FLOW_RSS the kernel reads and writes up to `data` (net/ethtool/ioctl.c).
unsafe impl Request for FlowHash {}

/// `struct ethtool_rxfh_indir`.
#[repr(C)]
struct Indirection {
    command: u32,
    /// Entries there is room for; on return, that there are.
    size: u32,
    queues: [u32; ENTRIES],
}
// SAFETY: as large as `size` says; a kernel with more entries writes none (EINVAL).
unsafe impl Request for Indirection {}

/// Does the hash that picks a queue look at the source port of UDP over IPv4? That port is where VXLAN has its entropy (RFC
/// 7348 section 5). `None` if the driver does not say.
pub fn hashes_udp_ports(name: &str) -> io::Result<Option<bool>> {
    let mut hash = FlowHash { command: ETHTOOL_GRXFH, flow: UDP_V4_FLOW, fields: 0 };
    Ok(untold(ethtool(name, &mut hash))?.map(|()| hash.fields & RXH_L4_B_0_1 != 0))
}

/// The queues that hashes lead to, by the indirection table. `None` if the driver has none to tell of.
pub fn hashed_queues(name: &str) -> io::Result<Option<BTreeSet<u32>>> {
    let mut table = Box::new(Indirection { command: ETHTOOL_GRXFHINDIR, size: ENTRIES as u32, queues: [0; ENTRIES] });
    let told = untold(ethtool(name, &mut *table))?;
    Ok(told.map(|()| table.queues.iter().take(table.size as usize).copied().collect()))
}

/// A driver that knows no such question is no error.
fn untold(answer: io::Result<()>) -> io::Result<Option<()>> {
    match answer {
        Ok(()) => Ok(Some(())),
        Err(e) if [Errno::OPNOTSUPP, Errno::INVAL].iter().any(|n| e.raw_os_error() == Some(n.raw_os_error())) => {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}
