//! The resources of a cloud, with Neutron's names (`:` written `_`).
//!
//! Ids and references are texts as Neutron gives them; after loading every reference is an id.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dataplane::addr::MacAddr;

use super::net::IpNet;

/// What Neutron has no attribute for, host-wide: `settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A tunnel packet is taken only from a VTEP in the network's list (table T08). Default true.
    pub strict_vtep: bool,
    /// MAC addresses of frames from the fabric are learned. Default true.
    pub learning: bool,
    /// Unknown unicast is flooded to the fabric; none: decided per network (false on a VXLAN network
    /// whose ports all come from the model, else true).
    pub flood_unknown: Option<bool>,
    /// The outer IPv4 header carries DF (Neutron's `dont_fragment`). Default true.
    pub outer_df: bool,
    /// Where the outer TOS byte comes from.
    pub outer_tos: OuterTos,
    /// DSCP of the outer header, 0 to 63. Default 0.
    pub outer_dscp: u8,
    /// Who answers DHCP.
    pub dhcp: DhcpMode,
    /// Neutron's `dvr_base_mac`: the first three octets (four if the fourth is not 00) are the prefix of
    /// all DVR MACs. Default `fa:16:3f:00:00:00`.
    pub dvr_base_mac: MacAddr,
    /// UDP port of VXLAN. Default 4789.
    pub vxlan_port: u16,
    /// EtherTypes that secured ports may send besides ARP, RARP, IPv4 and IPv6 (the Open vSwitch agent's
    /// `[securitygroup] permitted_ethertypes`), at most [`dataplane::tables::PERMITTED_ETHERTYPES`]. Default none.
    pub permitted_ethertypes: Vec<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            strict_vtep: true,
            learning: true,
            flood_unknown: None,
            outer_df: true,
            outer_tos: OuterTos::Ecn,
            outer_dscp: 0,
            dhcp: DhcpMode::Off,
            dvr_base_mac: MacAddr::new([0xfa, 0x16, 0x3f, 0, 0, 0]),
            vxlan_port: 4789,
            permitted_ethertypes: Vec::new(),
        }
    }
}

impl Settings {
    /// The bits of a MAC that say "DVR MAC": (value, mask), T01 `dvr_oui/mask`.
    pub fn dvr_prefix(&self) -> (MacAddr, MacAddr) {
        let fourth = self.dvr_base_mac.octets()[3];
        let mask = if fourth == 0 { 0xffff_ff00_0000 } else { 0xffff_ffff_0000 };
        (MacAddr::from_u64(self.dvr_base_mac.to_u64() & mask), MacAddr::from_u64(mask))
    }

    /// The MAC lies inside the DVR prefix.
    pub fn is_dvr_mac(&self, mac: MacAddr) -> bool {
        let (value, mask) = self.dvr_prefix();
        mac.to_u64() & mask.to_u64() == value.to_u64()
    }
}

/// Where the outer TOS byte of a tunnel packet comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OuterTos {
    /// `ecn`: the ECN bits of the inner packet (RFC 6040) and `outer_dscp`.
    #[default]
    Ecn,
}

/// Who answers a VM's DHCP requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DhcpMode {
    /// `off`: a DHCP port somewhere in the network; requests are bridged to it.
    #[default]
    Off,
    /// `local`: this host, from the model.
    Local,
}

/// One of `hosts`: a machine that runs dvrd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The name ports are bound to (`binding_host_id`).
    pub name: String,
    /// Neutron's `agent_mode` of the L3 agent.
    pub agent_mode: AgentMode,
    /// Tunnel endpoint (`local_ip` of the OVS agent). IPv4.
    pub vtep: IpAddr,
    /// MAC to which tunnel packets for the host are addressed, where it is known beforehand.
    pub vtep_mac: Option<MacAddr>,
    /// The host's DVR MAC (Neutron's `dvr_host_macs`).
    pub dvr_mac: Option<MacAddr>,
    /// MTU of the underlay, bytes of IP packet. Default 1500.
    pub underlay_mtu: u16,
    /// Physical network to bridge or NIC; only the presence of the network counts here.
    pub bridge_mappings: BTreeMap<String, String>,
}

/// Neutron's `agent_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentMode {
    /// `dvr`: compute host with distributed floating IPs.
    Dvr,
    /// `dvr_snat`: network host, may also host SNAT.
    DvrSnat,
    /// `dvr_no_external`: compute host whose floating IPs are central.
    DvrNoExternal,
    /// `legacy`: no distributed routers.
    Legacy,
}

/// One of `networks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Id.
    pub id: String,
    /// Name, possibly empty, not unique.
    pub name: String,
    /// Owning project.
    pub project_id: String,
    /// Administratively up. Default true.
    pub admin_state_up: bool,
    /// Largest IP packet, bytes. Default 1450 for VXLAN, else 1500.
    pub mtu: u16,
    /// An external network: floating IPs and gateways live here. Default false.
    pub router_external: bool,
    /// How frames of the network travel.
    pub provider_network_type: NetworkType,
    /// The physical network; VLAN and flat.
    pub provider_physical_network: Option<String>,
    /// VNI (1 to 16777215) or VLAN id (1 to 4094).
    pub provider_segmentation_id: Option<u32>,
    /// Address scope of its IPv4 subnets.
    pub ipv4_address_scope: Option<String>,
    /// Address scope of its IPv6 subnets.
    pub ipv6_address_scope: Option<String>,
    /// VMs may send VLAN tags of their own. Default false.
    pub vlan_transparent: bool,
    /// What Neutron has no attribute for.
    pub dvrd: NetworkDvrd,
}

/// Neutron's `provider:network_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkType {
    /// VXLAN tunnels.
    Vxlan,
    /// A VLAN of a physical network.
    Vlan,
    /// A physical network untagged.
    Flat,
    /// Not leaving the host.
    Local,
}

/// `networks[].dvrd`: overrides of [`Settings`] for one network, and what exists only here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkDvrd {
    /// Overrides `settings.strict_vtep`.
    pub strict_vtep: Option<bool>,
    /// Overrides `settings.learning`.
    pub learning: Option<bool>,
    /// Overrides `settings.flood_unknown`.
    pub flood_unknown: Option<bool>,
    /// The host that answers for router addresses towards the physical network.
    pub phys_gw_host: Option<String>,
    /// Overrides `settings.dhcp`.
    pub dhcp: Option<DhcpMode>,
}

/// One of `subnets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Id.
    pub id: String,
    /// Name, possibly empty, not unique.
    pub name: String,
    /// Its network.
    pub network_id: String,
    /// 4 or 6, always the family of `cidr`.
    pub ip_version: u8,
    /// The block.
    pub cidr: IpNet,
    /// Address of its gateway. As in Neutron it may lie outside the block.
    pub gateway_ip: Option<IpAddr>,
    /// DHCP serves it. Default true.
    pub enable_dhcp: bool,
    /// DNS servers told by DHCP.
    pub dns_nameservers: Vec<IpAddr>,
    /// Routes told by DHCP.
    pub host_routes: Vec<Route>,
    /// How routers announce it (IPv6).
    pub ipv6_ra_mode: Option<Ipv6Mode>,
    /// How ports get their addresses (IPv6).
    pub ipv6_address_mode: Option<Ipv6Mode>,
}

/// Neutron's IPv6 modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Mode {
    /// `slaac`.
    Slaac,
    /// `dhcpv6-stateful`.
    DhcpStateful,
    /// `dhcpv6-stateless`.
    DhcpStateless,
}

/// A destination and the next hop to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub destination: IpNet,
    /// Through whom.
    pub nexthop: IpAddr,
}

/// An address of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedIp {
    /// The subnet it is from.
    pub subnet_id: String,
    /// The address.
    pub ip_address: IpAddr,
}

/// One of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Id.
    pub id: String,
    /// Name, possibly empty, not unique.
    pub name: String,
    /// Owning project.
    pub project_id: String,
    /// Its network.
    pub network_id: String,
    /// Its MAC.
    pub mac_address: MacAddr,
    /// Operational state. Default `ACTIVE`.
    pub status: PortStatus,
    /// Administratively up. Default true.
    pub admin_state_up: bool,
    /// Its addresses.
    pub fixed_ips: Vec<FixedIp>,
    /// `compute:nova`, `network:dhcp`, ...: what the port is for.
    pub device_owner: String,
    /// Instance, router or agent it belongs to; for ports of routers the router's id.
    pub device_id: String,
    /// The host it is bound to.
    pub binding_host_id: Option<String>,
    /// `migrating_to` of `binding:profile`: the host Nova is moving its instance to (F52).
    pub migrating_to: Option<String>,
    /// `binding:vif_type` says that binding failed (`binding_failed`) or has not been done (`unbound`).
    pub binding_failed: bool,
    /// Port security; off means any source address (table T05 `unknown`). Default true, but false for
    /// ports whose owner begins with `network:`.
    pub port_security_enabled: bool,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Further sources it may use.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// DHCP options of its own.
    pub extra_dhcp_opts: Vec<DhcpOpt>,
}

impl Port {
    /// Bound to a host, and binding did not fail (spec section 4, o7).
    pub fn is_bound(&self) -> bool {
        self.binding_host_id.is_some() && !self.binding_failed
    }

    /// Bound to this host.
    pub fn is_bound_to(&self, host: &str) -> bool {
        self.is_bound() && self.binding_host_id.as_deref() == Some(host)
    }

    /// Its instance is being moved to this host, and is not bound there yet.
    pub fn is_migrating_to(&self, host: &str) -> bool {
        self.is_bound() && !self.is_bound_to(host) && self.migrating_to.as_deref() == Some(host)
    }

    /// *Active* in the sense of spec section 4: status ACTIVE, administratively up, bound.
    pub fn is_active(&self) -> bool {
        self.status == PortStatus::Active && self.admin_state_up && self.is_bound()
    }

    /// An internal interface of a router, distributed or not.
    pub fn is_router_interface(&self) -> bool {
        matches!(
            self.device_owner.as_str(),
            "network:router_interface"
                | "network:router_interface_distributed"
                | "network:ha_router_replicated_interface"
        )
    }

    /// A distributed router's interface, present on every host the router is on and bound to none.
    pub fn is_distributed_router_interface(&self) -> bool {
        self.device_owner == "network:router_interface_distributed"
    }

    /// A router's port on its external network (`qg-`).
    pub fn is_router_gateway(&self) -> bool {
        self.device_owner == "network:router_gateway"
    }

    /// A distributed router's port for central SNAT in a subnet (`sg-`).
    pub fn is_router_snat(&self) -> bool {
        self.device_owner == "network:router_centralized_snat"
    }

    /// A host's port on an external network (`fg-`).
    pub fn is_fip_agent_gateway(&self) -> bool {
        self.device_owner == "network:floatingip_agent_gateway"
    }

    /// The port Neutron makes to reserve a floating IP's address; no frame ever comes from it.
    pub fn is_floatingip(&self) -> bool {
        self.device_owner == "network:floatingip"
    }

    /// A DHCP server's port.
    pub fn is_dhcp(&self) -> bool {
        self.device_owner == "network:dhcp"
    }

    /// Its `device_id` is a router.
    pub fn is_router_owned(&self) -> bool {
        self.is_router_interface()
            || self.is_router_gateway()
            || self.is_router_snat()
            || self.device_owner == "network:router_ha_interface"
    }

    /// A DVR serves it on its host, which is why the router is there (F01, Neutron's
    /// `is_dvr_serviced` with `host_dvr_for_dhcp` at its default, true).
    pub fn is_dvr_serviced(&self) -> bool {
        self.device_owner.starts_with("compute:") || self.device_owner == "trunk:subport" || self.is_dhcp()
    }
}

/// Neutron's port status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortStatus {
    /// `ACTIVE`: wired.
    Active,
    /// `DOWN`: not wired.
    Down,
    /// `BUILD`: being wired.
    Build,
    /// `ERROR`.
    Error,
    /// `N/A`: Neutron does not track it (floating IP ports).
    NotApplicable,
}

/// One of `allowed_address_pairs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPair {
    /// Addresses the port may use. Host bits are cut off, as the flows do.
    pub ip_address: IpNet,
    /// With this MAC; a pair without one has the port's.
    pub mac_address: MacAddr,
}

/// One of `extra_dhcp_opts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpOpt {
    /// Name or number of the option.
    pub opt_name: String,
    /// Its value; none takes the option away.
    pub opt_value: Option<String>,
    /// 4 or 6. Default 4.
    pub ip_version: u8,
}

/// One of `routers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Router {
    /// Id.
    pub id: String,
    /// Name, possibly empty, not unique.
    pub name: String,
    /// A distributed router. Default false.
    pub distributed: bool,
    /// Highly available. Default false.
    pub ha: bool,
    /// Administratively up. Default true.
    pub admin_state_up: bool,
    /// Extra routes.
    pub routes: Vec<Route>,
    /// Its gateway.
    pub external_gateway_info: Option<ExternalGateway>,
}

/// A router's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalGateway {
    /// The external network.
    pub network_id: String,
    /// Sources without a floating IP leave with the router's address. Default true.
    pub enable_snat: bool,
    /// The router's addresses there.
    pub external_fixed_ips: Vec<FixedIp>,
}

/// One of `floatingips`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingIp {
    /// Id.
    pub id: String,
    /// The external address.
    pub floating_ip_address: IpAddr,
    /// The external network it is from.
    pub floating_network_id: String,
    /// The router that translates; with a port always present.
    pub router_id: Option<String>,
    /// The port it leads to; none: not associated.
    pub port_id: Option<String>,
    /// The address of the port; with a port always present.
    pub fixed_ip_address: Option<IpAddr>,
}

/// One of `security_groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroup {
    /// Id.
    pub id: String,
    /// Name, possibly empty, not unique.
    pub name: String,
    /// Replies are let through by connection tracking. Default true.
    pub stateful: bool,
    /// What is let through.
    pub security_group_rules: Vec<SecurityGroupRule>,
}

/// One of `security_group_rules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityGroupRule {
    /// Which way.
    pub direction: Direction,
    /// Which family.
    pub ethertype: Ethertype,
    /// IP protocol number; none: any. `icmp` of an IPv6 rule is 58.
    pub protocol: Option<u8>,
    /// Lowest port, or ICMP type.
    pub port_range_min: Option<u16>,
    /// Highest port, or ICMP code.
    pub port_range_max: Option<u16>,
    /// Only peers in this group.
    pub remote_group_id: Option<String>,
    /// Only peers in this block.
    pub remote_ip_prefix: Option<IpNet>,
}

/// Which way a rule looks, as the port sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the port.
    Ingress,
    /// From the port.
    Egress,
}

/// Which family a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ethertype {
    /// `IPv4`.
    Ipv4,
    /// `IPv6`.
    Ipv6,
}

/// One of `neighbors`: an address whose MAC is known and which is no port, such as a physical gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// The network it is on.
    pub network_id: String,
    /// Its address.
    pub ip_address: IpAddr,
    /// Its MAC.
    pub mac_address: MacAddr,
}
