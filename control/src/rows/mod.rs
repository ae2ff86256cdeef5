//! What the cloud means for one host: the rows of its tables, by name.
//!
//! [`Rows::derive`] is a pure function of the model; the [writer](crate::writer) gives the names
//! indexes and stores the difference to what the workers have. Table numbers are those of
//! docs/behaviour.md.

pub(crate) mod derive;
mod neighbours;
mod placement;
#[cfg(test)]
pub(crate) mod tests;

pub use placement::Placement;

use dataplane::addr::MacAddr;
use dataplane::tables::{AllowedPair, AllowedPair6, HostRow, RouterAddress, Subnet6Row, SubnetRow, TunnelEnd, Wire};
use std::collections::{BTreeMap, BTreeSet};

/// Where something is, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port of this host.
    Port(String),
    /// Another host.
    Host(String),
    /// The physical network.
    Phys,
    /// The SNAT role of this host.
    Snat,
    /// Wherever T06 says.
    Fdb,
}

/// T05.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRows {
    /// Network.
    pub network: String,
    /// Own MAC.
    pub mac: MacAddr,
    /// ACTIVE.
    pub active: bool,
    /// Port security applies.
    pub secured: bool,
    /// Gets unknown unicast.
    pub unknown: bool,
    /// MAC of the gateway of its first subnet.
    pub gateway_mac: MacAddr,
    /// Allowed IPv4 sources.
    pub allowed: Vec<AllowedPair>,
    /// Allowed IPv6 sources.
    pub allowed6: Vec<AllowedPair6>,
}

/// T04, T08, T09, and the network's part of T11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegRows {
    /// Wire.
    pub wire: Wire,
    /// L4.
    pub learning: bool,
    /// L3.
    pub flood_unknown: bool,
    /// T1.
    pub strict: bool,
    /// T2.
    pub vlan_transparent: bool,
    /// Distributed router interfaces: (MAC, port id), by port id.
    pub interfaces: Vec<(MacAddr, String)>,
    /// Their IPv4 addresses.
    pub router_ips: Vec<RouterAddress>,
    /// Their IPv6 addresses.
    pub router_ips6: Vec<u128>,
    /// IPv4 subnets.
    pub subnets: Vec<SubnetRow>,
    /// IPv6 subnets.
    pub subnets6: Vec<Subnet6Row>,
    /// ACTIVE local ports, by id.
    pub flood_ports: Vec<String>,
    /// Those with port security off.
    pub unknown_ports: Vec<String>,
    /// Other hosts with the network, by VTEP address.
    pub flood_hosts: Vec<String>,
}

/// A route: prefix, and hops as (interface port id, next hop or 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRows {
    /// Network address.
    pub net: u32,
    /// Prefix length.
    pub len: u8,
    /// Hops, in order.
    pub hops: Vec<(String, u32)>,
}

/// T10, T12, T16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterRows {
    /// Admin state.
    pub active: bool,
    /// Main table.
    pub routes: Vec<RouteRows>,
    /// Own IPv4 addresses.
    pub own: Vec<u32>,
    /// R4 step 3: source subnets in the scope of the external network.
    pub scoped: Vec<(u32, u32)>,
    /// Csnat rows: (net, mask, sg address, interface port id).
    pub snat: Vec<(u32, u32, u32, String)>,
    /// R4 step 5 applies here.
    pub gateway_here: bool,
    /// R4 step 2 applies here.
    pub fip_here: bool,
}

/// T11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceRows {
    /// Network.
    pub network: String,
    /// Router.
    pub router: String,
    /// MAC.
    pub mac: MacAddr,
    /// MTU of the network.
    pub mtu: u16,
    /// Admin state.
    pub up: bool,
    /// IPv4 address scope.
    pub scope: Option<String>,
}

/// T07 and T13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NeighbourRows {
    /// A host.
    Host {
        /// Its MAC.
        mac: MacAddr,
        /// Where it is.
        place: Place,
        /// [`dataplane::tables::NeighValue`] flags.
        flags: u8,
    },
    /// An interface of a router on this host, by port id.
    Router(String),
}

/// Everything one host needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// T01.
    pub host: HostRow,
    /// T02, T03: other hosts by name.
    pub tunnels: BTreeMap<String, TunnelEnd>,
    /// By network id.
    pub segments: BTreeMap<String, SegRows>,
    /// Ports of this host by id.
    pub ports: BTreeMap<String, PortRows>,
    /// Routers of this host by id.
    pub routers: BTreeMap<String, RouterRows>,
    /// Their interfaces by port id.
    pub interfaces: BTreeMap<String, InterfaceRows>,
    /// T06: (network, MAC).
    pub fdb: BTreeMap<(String, MacAddr), Place>,
    /// Keys of `fdb` that are MACs of allowed address pairs: who has one now is learned from traffic.
    pub virtual_macs: BTreeSet<(String, MacAddr)>,
    /// T07, T13: (network, IPv4 address).
    pub neighbours: BTreeMap<(String, u32), NeighbourRows>,
    /// T14's inverse: (router, fixed address) to floating address.
    pub fips: BTreeMap<(String, u32), u32>,
}
