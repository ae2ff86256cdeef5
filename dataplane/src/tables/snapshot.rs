//! [`Snapshot`]: one consistent generation of all small tables, and [`Tables`], all a worker reads.

use super::chunked::Chunked;
use super::flat::FlatTable;
use super::index::U32Index;
use super::news::News;
use super::rows::*;
use std::sync::Arc;

/// Immutable once published; a burst sees exactly one.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts publications.
    pub generation: u64,
    /// T01.
    pub host: HostRow,
    /// T05.
    pub ports: Chunked<PortRow>,
    /// T04, T08, T09.
    pub segments: Chunked<SegRow>,
    /// T02, T03.
    pub tunnels: Chunked<TunnelRow>,
    /// T10, T12, T16.
    pub routers: Chunked<RouterRow>,
    /// T11.
    pub interfaces: Chunked<InterfaceRow>,
    /// VNI to segment (T2).
    pub vnis: Arc<U32Index>,
    /// `network:16 | VLAN id:16` of a physical network to segment (V0).
    pub vlans: Arc<U32Index>,
    /// VTEP address to tunnel (T1).
    pub vteps: Arc<U32Index>,
    /// Low 32 bits of a DVR MAC to tunnel (L2's exception); the rest is `dvr_prefix`.
    pub dvr_macs: Arc<U32Index>,
}

/// The flat tables, as workers read them.
#[derive(Clone, Debug)]
pub struct Tables {
    /// T06: (seg, mac).
    pub fdb: Arc<FlatTable<1>>,
    /// T07 and T13 for IPv4, and T14 on its external network: (seg, address).
    pub neigh: Arc<FlatTable<1>>,
    /// T14's inverse: (router, fixed address) of distributed floating IPs on this host.
    pub fip: Arc<FlatTable<1>>,
    /// Moves when packets that wait for a neighbour should look again: one was found, or none in time.
    pub resolved: Arc<News>,
}
