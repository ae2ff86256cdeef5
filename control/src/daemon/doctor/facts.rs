//! Facts, as found; what they mean is [`judge`](super::judge)'s business.

use std::collections::{BTreeMap, BTreeSet};

use rustix::thread::CapabilitySet;

use super::Subject;
use crate::daemon::net::Holder;
use crate::daemon::numa::Node;
use dataplane::io::af_xdp::Copying;
use dataplane::io::af_xdp::ethtool::Feature;
use dataplane::io::af_xdp::filter::Mode;

/// Of this process and the machine it is on. What cannot be read is `None`.
#[derive(Clone, Debug)]
pub struct ProcessFacts {
    /// The kernel's release: `6.1.0-18-amd64`.
    pub kernel: String,
    /// Capabilities that are in effect; none where they cannot be read.
    pub capabilities: CapabilitySet,
    /// Why the kernel does not load the XDP filters, as tried; none: it does.
    pub filters: Option<String>,
    /// `RLIMIT_MEMLOCK`, bytes; none: no limit.
    pub memlock: Option<u64>,
    /// `MemAvailable`, bytes.
    pub available: Option<u64>,
    /// The hard limit on open files; none: no limit.
    pub files: Option<u64>,
    /// What `transparent_hugepage/enabled` has chosen: `always`, `madvise`, `never`.
    pub huge_pages: Option<String>,
    /// Cores this process may run on.
    pub cores: BTreeSet<usize>,
    /// Cores the scheduler leaves alone (`isolcpus`).
    pub isolated: BTreeSet<usize>,
    /// Cores that are threads of one core, for each core that has several.
    pub siblings: BTreeSet<BTreeSet<usize>>,
}

/// Of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceFacts {
    /// Which, what for, and what leads over it.
    pub subject: Subject,
    /// Its driver: `veth`, `mlx5_core`; `unknown` where it does not say.
    pub driver: String,
    /// What netlink calls it: `veth`, `tun`, `bridge`, empty for a NIC.
    pub kind: String,
    /// Administratively up.
    pub up: bool,
    /// It has a carrier.
    pub carrier: bool,
    /// Its MTU, bytes.
    pub mtu: u32,
    /// The NUMA node it is on; none: virtual, or the machine does not say.
    pub node: Option<Node>,
    /// The machine's nodes, with their cores.
    pub nodes: BTreeMap<Node, BTreeSet<usize>>,
    /// Receive queues.
    pub queues: u32,
    /// `rx-vlan-offload`.
    pub rx_vlan: Option<Feature>,
    /// A tap whose frames come with a virtio header (`IFF_VNET_HDR`).
    pub vnet_hdr: bool,
    /// The other end of a veth, or why it is not found; none: no veth.
    pub peer: Option<Result<Peer, String>>,
    /// Its hash of UDP looks at ports; none: the driver does not say.
    pub hashes_ports: Option<bool>,
    /// Queues that its hash leads to; none: the driver does not say.
    pub hashed: Option<BTreeSet<u32>>,
    /// Why the UDP port of VXLAN cannot be had beside it, as tried; none: it can, or nobody tried.
    pub port_taken: Option<String>,
    /// What came of taking it.
    pub tried: Tried,
}

/// The other end of a veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name, and where it is.
    pub name: String,
    /// Those of its offloads that AF_XDP cannot see and that are on.
    pub on: Vec<&'static str>,
}

/// What came of taking an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Nobody tried.
    Not,
    /// Another program has it.
    Held(Holder),
    /// A program was attached and a socket bound.
    Taken {
        /// Where the program ran.
        mode: Mode,
        /// What the driver answered, if not in it.
        why_not_native: Option<String>,
        /// Where the kernel put frames.
        copying: Copying,
        /// Offloads that merge received frames and stay on all the same.
        merging: Vec<(&'static str, Feature)>,
    },
    /// It is taken by a packet socket; and why.
    Packets(&'static str),
    /// It could not be taken: what is wrong, and what to do.
    Failed(String, String),
}
