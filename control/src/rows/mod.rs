//! What the cloud means for one host: the rows of its tables, by name.
//!
//! [`Rows::derive`] is a pure function of the model; the [writer](crate::writer) gives the names
//! indexes and stores the difference to what the workers have. Table numbers are those of
//! docs/behaviour.md.

pub(crate) mod derive;
mod external;
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
    /// E.
    pub external: bool,
    /// V4: this host is its gateway towards the physical network.
    pub phys_gw: bool,
    /// Distributed router interfaces, by port id, then this host's fg-: (MAC, port id).
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
    /// Own IPv4 addresses and the masks of their subnets.
    pub own: Vec<(u32, u32)>,
    /// R4 step 3: source subnets in the scope of the external network.
    pub scoped: Vec<(u32, u32)>,
    /// Csnat rows: (net, mask, sg address, interface port id).
    pub snat: Vec<(u32, u32, u32, String)>,
    /// R4 step 5 applies here.
    pub gateway_here: bool,
    /// R4 step 2 applies here.
    pub fip_here: bool,
    /// FO1: hops by the fg- port.
    pub fip_routes: Vec<RouteRows>,
}

/// T11, and T15 for fg-.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceRows {
    /// Network.
    pub network: String,
    /// Router; `None`: it is fg-.
    pub router: Option<String>,
    /// MAC.
    pub mac: MacAddr,
    /// First IPv4 address, 0 = none.
    pub ip: u32,
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
    /// An interface of a router on this host, or fg-, by port id.
    Router(String),
    /// T14: a floating IP that this host serves, or an address of the external scope behind a router of this host.
    FloatingIp {
        /// Its router.
        router: String,
        /// What it is inside.
        fixed: u32,
        /// ARP for it is answered here (E1); not on the host its port migrates to.
        answers: bool,
    },
}

/// Who else may have an address (R7, D9): an owner of an allowed address pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The MAC of the pair.
    pub mac: MacAddr,
    /// Where its port is.
    pub place: Place,
}

/// An address of this host that the network is told of when it is new (F42).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announced {
    /// In which order: fg-, floating IPs, router interfaces.
    pub kind: AnnouncedKind,
    /// On this network.
    pub network: String,
    /// The address.
    pub ip: u32,
}

/// What it is an address of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnnouncedKind {
    /// fg-.
    Fg,
    /// A floating IP.
    FloatingIp,
    /// A router interface: told to local ports only (D10).
    Qr,
}

/// What is announced of it; another one is announced anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The MAC that has the address.
    pub mac: MacAddr,
    /// Of a floating IP: router and fixed address.
    pub inside: Option<(String, u32)>,
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
    /// T13's candidates: keys of `neighbours` whose row follows announcements.
    pub candidates: BTreeMap<(String, u32), Vec<Candidate>>,
    /// T14's inverse: (router, fixed address) to floating address.
    pub fips: BTreeMap<(String, u32), u32>,
    /// Addresses to announce when they are new.
    pub announced: BTreeMap<Announced, Announcement>,
    /// Router interfaces this host announces to physical networks (V4): (network, MAC, address).
    pub gateways: Vec<(String, MacAddr, u32)>,
    /// Physical networks of this host by name; [`Wire::Phys`] has their places.
    pub phys: Vec<String>,
}
