//! The rows of a [`Snapshot`](super::Snapshot): what control derives from the cloud for this host.
//!
//! Addresses are integers in host byte order. Indexes are dense, given out by control, and reused
//! only when no worker and no queued event can still mean the old row.

use super::route::RouteSet;
use crate::addr::MacAddr;
use crate::worker::WorkerId;
use std::sync::Arc;

/// Index of a network on this host (D1); 1..=65534.
pub type SegIx = u16;
/// Index of a port on this host; below [`Target::PORTS`](super::Target::PORTS).
pub type PortIx = u16;
/// Index of the tunnel to another host; below [`Target::TUNNELS`](super::Target::TUNNELS).
pub type TunnelIx = u16;
/// Index of a router on this host; from 1.
pub type RouterIx = u16;
/// Index of a router interface on this host.
pub type IfaceIx = u16;

/// Bytes of outer Ethernet, IPv4, UDP and VXLAN header (RFC 7348, 5).
pub const OUTER: usize = 50;

/// T01: this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRow {
    /// Own VTEP address; 0 = none, nothing from the tunnel is ours.
    pub vtep: u32,
    /// MAC of the underlay interface.
    pub vtep_mac: MacAddr,
    /// Own DVR MAC (F04); zero = unknown: routed frames may not leave the host.
    pub dvr_mac: MacAddr,
    /// The fixed octets of every DVR MAC of the cloud (`dvr_base_mac`).
    pub dvr_prefix: u64,
    /// Which bits of an address those are.
    pub dvr_mask: u64,
    /// UDP port of VXLAN.
    pub vxlan_port: u16,
    /// Largest outer IP packet, bytes.
    pub underlay_mtu: u16,
    /// Which bits of the inner TOS the outer one inherits: 0x03 (ECN) or 0xff.
    pub outer_tos_mask: u8,
    /// DSCP of the outer header where it is not inherited, as TOS bits.
    pub outer_tos: u8,
    /// I2-ps: what secured ports may send besides ARP, RARP, IPv4 and IPv6; 0: a free place.
    pub permitted_ethertypes: [u16; PERMITTED_ETHERTYPES],
}

/// How many EtherTypes can be permitted.
pub const PERMITTED_ETHERTYPES: usize = 16;

impl HostRow {
    /// Is `mac` a DVR MAC of this cloud, given out or not (D7)?
    #[inline(always)]
    pub fn is_dvr_mac(&self, mac: MacAddr) -> bool {
        mac.to_u64() & self.dvr_mask == self.dvr_prefix
    }

    /// May a secured port send it? Not asked for those that have rules of their own.
    pub fn permits(&self, ethertype: u16) -> bool {
        ethertype != 0 && self.permitted_ethertypes.contains(&ethertype)
    }
}

/// An address a secured port may use, with the MAC it may use it from (Neutron `fixed_ips`, `allowed_address_pairs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedPair {
    /// Source MAC.
    pub mac: MacAddr,
    /// IPv4 network, host byte order.
    pub net: u32,
    /// Its mask; 0 allows any address from `mac`.
    pub mask: u32,
    /// One of the port's own fixed addresses, and none that R1 would drop: no router need look at it again.
    pub vouched: bool,
}

/// As [`AllowedPair`], for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedPair6 {
    /// Source MAC.
    pub mac: MacAddr,
    /// IPv6 network.
    pub net: u128,
    /// Its mask.
    pub mask: u128,
}

/// T05: a port bound to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRow {
    /// Counts the owners of this index; queued events of an earlier one are void.
    pub generation: u32,
    /// The worker that alone touches this port's queues.
    pub owner: WorkerId,
    /// Status ACTIVE, admin_state_up and bound; frames from and to any other are `port_down`.
    pub active: bool,
    /// `port_security_enabled`, on a port it applies to.
    pub secured: bool,
    /// Gets unknown unicast (D2): port security is off.
    pub unknown: bool,
    /// Network of the port.
    pub seg: SegIx,
    /// The port's own MAC.
    pub mac: MacAddr,
    /// MAC of the gateway of the port's first subnet, for packets whose destination is in none (T4); zero = none.
    pub gateway_mac: MacAddr,
    /// What a secured port may send from.
    pub allowed: Arc<[AllowedPair]>,
    /// The same for IPv6, link-local addresses included.
    pub allowed6: Arc<[AllowedPair6]>,
}

/// T02/T03: another host and the tunnel to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelRow {
    /// Counts the owners of this index.
    pub generation: u32,
    /// The other host's VTEP address.
    pub vtep: u32,
    /// The DVR MAC that only this VTEP may send from (D8); zero = it has none.
    pub dvr_mac: MacAddr,
    /// Is the MAC of the underlay next hop known?
    pub resolved: bool,
    /// Physical networks of this host that the other one has too, a bit each: where its DVR MAC may come from (D8).
    pub phys: u16,
    /// Ready outer header; lengths, TOS, checksum, source port and VNI are filled in per packet.
    pub header: [u8; OUTER],
    /// Ones' complement sum of its IPv4 header, without length and TOS.
    pub sum: u32,
}

/// What a tunnel's header is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelEnd {
    /// The other host's VTEP address.
    pub vtep: u32,
    /// MAC of the way there; `None`: not known, frames wait for it (O3-wait).
    pub mac: Option<MacAddr>,
    /// The other host's DVR MAC; zero = none.
    pub dvr_mac: MacAddr,
    /// Don't Fragment in the outer header.
    pub df: bool,
    /// Physical networks of this host that the other one has too, a bit each.
    pub phys: u16,
}

impl TunnelRow {
    /// The row for `end`, with the outer header as `host` sends it (3.10): ID 0, TTL 64, UDP
    /// checksum 0, VXLAN flags 0x08; lengths, TOS, source port and VNI 0.
    pub fn new(generation: u32, host: &HostRow, end: TunnelEnd) -> Self {
        let mut header = [0; OUTER];
        let (src, dst) = (host.vtep.to_be_bytes(), end.vtep.to_be_bytes());
        let df = if end.df { 0x40 } else { 0 };
        let mut ip = [0x45, 0, 0, 0, 0, 0, df, 0, 64, crate::wire::proto::UDP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        ip.iter_mut().skip(12).zip(src.into_iter().chain(dst)).for_each(|(h, o)| *h = o);
        let check = crate::wire::checksum(&ip);
        [ip[10], ip[11]] = check.to_be_bytes();
        let port = host.vxlan_port.to_be_bytes();
        let eth = end.mac.unwrap_or(MacAddr::ZERO).octets().into_iter().chain(host.vtep_mac.octets()).chain([8, 0]);
        let udp_vxlan = [0, 0, port[0], port[1], 0, 0, 0, 0, 0x08, 0, 0, 0, 0, 0, 0, 0];
        header.iter_mut().zip(eth.chain(ip).chain(udp_vxlan)).for_each(|(h, o)| *h = o);
        TunnelRow {
            generation,
            vtep: end.vtep,
            dvr_mac: end.dvr_mac,
            resolved: end.mac.is_some(),
            phys: end.phys,
            header,
            sum: u32::from(!check),
        }
    }
}

/// How a network leaves the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// VXLAN with this VNI.
    Vxlan(u32),
    /// A physical network of this host (rule O4).
    Phys {
        /// Its number: the place of its name among the host's `bridge_mappings`.
        net: u8,
        /// VLAN id; 0: untagged (`flat`).
        vid: u16,
    },
    /// Not at all (`provider_network_type` local).
    None,
}

/// A distributed router's interface as its network sees it (T11): the addresses nobody else may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegInterface {
    /// MAC of the interface.
    pub mac: MacAddr,
    /// Its row.
    pub iface: IfaceIx,
}

/// A router address on a network (IPv4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterAddress {
    /// The address.
    pub ip: u32,
    /// MAC of the interface that has it; ARP is answered with it.
    pub mac: MacAddr,
    /// Interface and router are up and here; otherwise the address is reserved, but silent.
    pub answers: bool,
}

/// T09: an IPv4 subnet of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubnetRow {
    /// Network address.
    pub net: u32,
    /// Mask.
    pub mask: u32,
    /// MAC put in place of a remote DVR MAC (D5); zero if no distributed router serves the subnet.
    pub gateway_mac: MacAddr,
}

/// T09 for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet6Row {
    /// Network address.
    pub net: u128,
    /// Mask.
    pub mask: u128,
    /// As in [`SubnetRow`].
    pub gateway_mac: MacAddr,
}

/// T04, T08, T09: a network on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegRow {
    /// Counts the owners of this index.
    pub generation: u32,
    /// Its wire.
    pub wire: Wire,
    /// Learn source MACs from the fabric.
    pub learning: bool,
    /// Send unknown unicast of local ports to the flood list.
    pub flood_unknown: bool,
    /// Accept from members only (`vtep_not_member`).
    pub strict: bool,
    /// Tags are payload.
    pub vlan_transparent: bool,
    /// `router:external`: floating IPs and gateways live here (E).
    pub external: bool,
    /// This host routes for the physical machines of the network (V4).
    pub phys_gw: bool,
    /// Distributed router interfaces, by MAC.
    pub interfaces: Arc<[SegInterface]>,
    /// Their IPv4 addresses.
    pub router_ips: Arc<[RouterAddress]>,
    /// Their IPv6 addresses.
    pub router_ips6: Arc<[u128]>,
    /// IPv4 subnets, in the order of their ids.
    pub subnets: Arc<[SubnetRow]>,
    /// IPv6 subnets.
    pub subnets6: Arc<[Subnet6Row]>,
    /// ACTIVE local ports in order of their ids: copies of broadcast and multicast.
    pub flood_ports: Arc<[PortIx]>,
    /// Those of them that get unknown unicast.
    pub unknown_ports: Arc<[PortIx]>,
    /// Other hosts with this network, in order of VTEP address.
    pub flood_tunnels: Arc<[TunnelIx]>,
    /// The same as a bit set, for the membership check.
    pub members: BitSet,
}

impl SegRow {
    /// Is `mac` that of a router interface, or of fg-, on this network?
    #[inline(always)]
    pub fn has_interface(&self, mac: MacAddr) -> bool {
        self.interfaces.iter().any(|i| i.mac == mac)
    }
}

/// T10: a router on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterRow {
    /// Admin state up and placed here.
    pub active: bool,
    /// Connected and extra routes (R4 step 1).
    pub routes: RouteSet,
    /// Every IPv4 address of its interfaces, for R1; R2 finds them as neighbour rows.
    pub own: OwnAddresses,
    /// The masks of their subnets, in the same order: which of them an ICMP error comes from.
    pub own_masks: Box<[u32]>,
    /// Source subnets (net, mask) in the address scope of the external network, on a host with a way
    /// out (R4 step 3).
    pub scoped: Box<[(u32, u32)]>,
    /// T16: source subnets with a csnat port (R4 step 4).
    pub snat: Box<[SnatRow]>,
    /// It has a gateway and its SNAT role is here (R4 step 5).
    pub gateway_here: bool,
    /// It has a gateway and this host serves floating IPs (R4 step 2).
    pub fip_here: bool,
    /// FO1: where translated packets go, every hop by the fg- interface of the external network; empty without one.
    pub fip_routes: RouteSet,
}

/// A few addresses, and a word that tells most others apart from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    all: Box<[u32]>,
    /// A bit for the last six bits of each.
    last: u64,
}

impl OwnAddresses {
    /// Is `ip` one of them?
    #[inline(always)]
    pub fn contains(&self, ip: u32) -> bool {
        self.last >> (ip & 63) & 1 != 0 && self.all.contains(&ip)
    }

    /// All of them, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &u32> {
        self.all.iter()
    }
}

impl FromIterator<u32> for OwnAddresses {
    fn from_iter<I: IntoIterator<Item = u32>>(addresses: I) -> Self {
        let all: Box<[u32]> = addresses.into_iter().collect();
        let last = all.iter().fold(0, |last, ip| last | 1 << (ip & 63));
        OwnAddresses { all, last }
    }
}

impl RouterRow {
    /// Is `ip` one of the router's own addresses?
    #[inline(always)]
    pub fn owns(&self, ip: u32) -> bool {
        self.own.contains(ip)
    }

    /// Its address on the subnet that contains `ip`.
    pub fn address_towards(&self, ip: u32) -> Option<u32> {
        let mut both = self.own.iter().zip(&self.own_masks);
        both.find(|(own, mask)| (*own ^ ip) & *mask == 0).map(|(own, _)| *own)
    }
}

/// T16: the policy next hop of a source subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnatRow {
    /// Source subnet.
    pub net: u32,
    /// Its mask.
    pub mask: u32,
    /// Address of the sg- port on the same subnet.
    pub next_hop: u32,
    /// The router's interface on that subnet.
    pub iface: IfaceIx,
}

/// The router of interfaces that belong to none: fg-.
pub const NO_ROUTER: RouterIx = 0;

/// T11: a router interface; T15: an fg- interface, by which this host's floating IPs are reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceRow {
    /// Network it is on.
    pub seg: SegIx,
    /// Its router; [`NO_ROUTER`]: it is fg-.
    pub router: RouterIx,
    /// Its MAC: of a router's interface the same on every host, of fg- this host's.
    pub mac: MacAddr,
    /// Its first IPv4 address; 0 = none.
    pub ip: u32,
    /// MTU of the network: largest IP packet, bytes (R8).
    pub mtu: u16,
    /// Admin state (R0).
    pub up: bool,
    /// IPv4 address scope, 0 = none (R6).
    pub scope: u16,
}

impl InterfaceRow {
    /// Is it the floating IP plane's, an fg- interface?
    #[inline(always)]
    pub fn is_fg(&self) -> bool {
        self.router == NO_ROUTER
    }
}

/// A set of small integers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitSet(Box<[u64]>);

impl BitSet {
    /// Is `i` in the set?
    #[inline(always)]
    pub fn contains(&self, i: u16) -> bool {
        self.0.get(usize::from(i) / 64).is_some_and(|w| w >> (i % 64) & 1 == 1)
    }
}

impl FromIterator<u16> for BitSet {
    fn from_iter<I: IntoIterator<Item = u16>>(items: I) -> Self {
        let mut words = Vec::new();
        for i in items {
            let at = usize::from(i) / 64;
            if words.len() <= at {
                words.resize(at + 1, 0u64);
            }
            if let Some(w) = words.get_mut(at) {
                *w |= 1 << (i % 64);
            }
        }
        BitSet(words.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_set() {
        let s: BitSet = [0, 63, 64, 4000].into_iter().collect();
        assert!([0, 63, 64, 4000].iter().all(|i| s.contains(*i)));
        assert!([1, 62, 65, 3999, 65535].iter().all(|i| !s.contains(*i)));
    }

    #[test]
    fn own_addresses_are_those_and_no_others_that_end_like_them() {
        let ip = |last: u32| 0x0a01_0000 | last;
        let own: OwnAddresses = [ip(1), ip(65), ip(0), ip(254)].into_iter().collect(); // 1 and 65 end in the same six bits
        let found: Vec<_> = (0..1024).filter(|last| own.contains(ip(*last))).collect();
        assert_eq!(found, [0, 1, 65, 254]);
        assert!(!own.contains(0x0a02_0001));
        assert_eq!(own.iter().copied().collect::<Vec<_>>(), [ip(1), ip(65), ip(0), ip(254)]);
        assert!(!OwnAddresses::default().contains(0));
    }

    #[test]
    fn only_listed_ethertypes_are_permitted_and_a_free_place_permits_none() {
        let mut host = HostRow::default();
        host.permitted_ethertypes[..2].copy_from_slice(&[0x88b5, 0x8847]);
        let permitted: Vec<_> = (0..=u16::MAX).filter(|e| host.permits(*e)).collect();
        assert_eq!(permitted, [0x8847, 0x88b5]);
    }

    #[test]
    fn dvr_macs_are_known_by_their_fixed_octets() {
        let host = HostRow { dvr_prefix: 0xfa16_3f00_0000, dvr_mask: 0xffff_ff00_0000, ..HostRow::default() };
        assert!(host.is_dvr_mac("fa:16:3f:aa:bb:cc".parse().unwrap()));
        assert!(!host.is_dvr_mac("fa:16:3e:aa:bb:cc".parse().unwrap()));
    }
}
