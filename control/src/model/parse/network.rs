//! Settings, hosts, networks, subnets, neighbors.

use dataplane::tables::PERMITTED_ETHERTYPES;
use std::net::IpAddr;

use super::fields::Fields;
use crate::model::net::IpNet;
use crate::model::problem::quote;
use crate::model::types::*;

/// Attributes of Neutron's agents that say nothing to a router.
pub(super) const HOST_IGNORED: [&str; 2] = ["description", "id"];

/// Network attributes of Neutron's API that are known and have no effect here.
pub(super) const NETWORK_IGNORED: [&str; 20] = [
    "availability_zone_hints",
    "availability_zones",
    "created_at",
    "description",
    "dns_domain",
    "is_default",
    "l2_adjacency",
    "port_security_enabled",
    "private_dns_domain",
    "project_default",
    "qinq",
    "qos_policy_id",
    "revision_number",
    "shared",
    "standard_attr_id",
    "status",
    "subnets",
    "tags",
    "tenant_id",
    "updated_at",
];

/// Subnet attributes of Neutron's API that are known and have no effect here.
pub(super) const SUBNET_IGNORED: [&str; 18] = [
    "allocation_pools",
    "created_at",
    "description",
    "dns_publish_fixed_ip",
    "prefixlen",
    "project_id",
    "revision_number",
    "router_external",
    "segment_id",
    "service_types",
    "shared",
    "standard_attr_id",
    "status",
    "subnetpool_id",
    "tags",
    "tenant_id",
    "updated_at",
    "use_default_subnetpool",
];

const DHCP: [(&str, DhcpMode); 2] = [("off", DhcpMode::Off), ("local", DhcpMode::Local)];

pub(super) fn settings(f: &mut Fields<'_, '_, '_>) -> Settings {
    let d = Settings::default();
    Settings {
        strict_vtep: f.boolean("strict_vtep").unwrap_or(d.strict_vtep),
        learning: f.boolean("learning").unwrap_or(d.learning),
        flood_unknown: f.boolean("flood_unknown"),
        outer_df: f.boolean("outer_df").unwrap_or(d.outer_df),
        outer_tos: f.word("outer_tos", &[("ecn", OuterTos::Ecn)]).unwrap_or(d.outer_tos),
        outer_dscp: f.integer16("outer_dscp", 0..=63).and_then(|v| u8::try_from(v).ok()).unwrap_or(d.outer_dscp),
        dhcp: f.word("dhcp", &DHCP).unwrap_or(d.dhcp),
        dvr_base_mac: f.mac("dvr_base_mac").unwrap_or(d.dvr_base_mac),
        vxlan_port: f.integer16("vxlan_port", 1..=u16::MAX).unwrap_or(d.vxlan_port),
        permitted_ethertypes: permitted_ethertypes(f),
    }
}

/// As the Open vSwitch agent reads its `permitted_ethertypes`: hexadecimal, with or without 0x.
fn permitted_ethertypes(f: &mut Fields<'_, '_, '_>) -> Vec<u16> {
    const KEY: &str = "permitted_ethertypes";
    let texts = f.texts(KEY);
    if texts.len() > PERMITTED_ETHERTYPES {
        let hint = "port security off (port_security_enabled) permits a port everything";
        f.problem(KEY, format!("{} EtherTypes; there is room for {PERMITTED_ETHERTYPES}", texts.len()), hint);
    }
    let mut all = Vec::with_capacity(texts.len());
    for (n, text) in texts.iter().enumerate() {
        let hex = text.strip_prefix("0x").unwrap_or(text);
        let wrong = match u16::from_str_radix(hex, 16) {
            Ok(0..0x600) => "is a length (IEEE 802.3), no EtherType",
            Ok(0x8100 | 0x88a8) => "is a VLAN tag; networks that are vlan_transparent take them",
            Ok(0x0800 | 0x0806 | 0x8035 | 0x86dd) => "is always permitted, with the port's own addresses",
            Ok(ethertype) => {
                all.push(ethertype);
                continue;
            }
            Err(_) => "is no EtherType",
        };
        f.problem(&format!("{KEY}/{n}"), format!("{} {wrong}", quote(text)), "write it like 0x88b5, or take it out");
    }
    all.sort_unstable();
    all.dedup();
    all
}

pub(super) fn host(f: &mut Fields<'_, '_, '_>, name: String) -> Host {
    f.node("name");
    f.require("agent_mode", "dvr, dvr_snat, dvr_no_external or legacy");
    let modes = [
        ("dvr", AgentMode::Dvr),
        ("dvr_snat", AgentMode::DvrSnat),
        ("dvr_no_external", AgentMode::DvrNoExternal),
        ("legacy", AgentMode::Legacy),
    ];
    let agent_mode = f.word("agent_mode", &modes).unwrap_or(AgentMode::Legacy);
    let vtep = f.unicast_address("vtep");
    match vtep {
        Some(v @ IpAddr::V6(_)) => {
            f.problem("vtep", format!("{v} is IPv6; tunnels over IPv6 are not built yet"), "give an IPv4 address");
        }
        Some(v) if v.is_loopback() => {
            f.problem("vtep", format!("{v} never leaves the host"), "give the address other hosts reach it by");
        }
        _ => {}
    }
    Host {
        name,
        agent_mode,
        vtep: vtep.unwrap_or(UNSET_IP),
        vtep_mac: f.mac("vtep_mac"),
        dvr_mac: f.mac("dvr_mac"),
        underlay_mtu: f.integer16("underlay_mtu", 68..=u16::MAX).unwrap_or(1500),
        bridge_mappings: f.map("bridge_mappings").into_iter().collect(),
    }
}

/// Stands for an address that could not be read; the problem is on record.
pub(super) const UNSET_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

pub(super) fn network(f: &mut Fields<'_, '_, '_>, id: String, name: String) -> Network {
    f.node("id");
    f.text("name");
    f.require("provider_network_type", "vxlan, vlan, flat or local");
    let types = [
        ("vxlan", Some(NetworkType::Vxlan)),
        ("vlan", Some(NetworkType::Vlan)),
        ("flat", Some(NetworkType::Flat)),
        ("local", Some(NetworkType::Local)),
        ("gre", None),
        ("geneve", None),
    ];
    let kind = f.word("provider_network_type", &types).and_then(|kind| {
        if kind.is_none() {
            let hint = "use vxlan, vlan, flat or local";
            f.problem("provider_network_type", "gre and geneve networks are not built yet", hint);
        }
        kind
    });
    f.not_built("segments", "networks of several segments");
    let mtu = f.integer16("mtu", 68..=u16::MAX);
    Network {
        id,
        name,
        project_id: f.string("project_id"),
        admin_state_up: f.boolean("admin_state_up").unwrap_or(true),
        mtu: mtu.unwrap_or(if kind == Some(NetworkType::Vxlan) { 1450 } else { 1500 }),
        router_external: f.boolean("router_external").unwrap_or(false),
        provider_network_type: kind.unwrap_or(NetworkType::Local),
        provider_physical_network: f.non_empty("provider_physical_network"),
        provider_segmentation_id: f.integer("provider_segmentation_id", 0..=u32::MAX),
        ipv4_address_scope: f.non_empty("ipv4_address_scope"),
        ipv6_address_scope: f.non_empty("ipv6_address_scope"),
        vlan_transparent: f.boolean("vlan_transparent").unwrap_or(false),
        dvrd: f
            .object("dvrd", &[], |f| NetworkDvrd {
                strict_vtep: f.boolean("strict_vtep"),
                learning: f.boolean("learning"),
                flood_unknown: f.boolean("flood_unknown"),
                phys_gw_host: f.non_empty("phys_gw_host"),
                dhcp: f.word("dhcp", &DHCP),
            })
            .unwrap_or_default(),
    }
}

pub(super) fn subnet(f: &mut Fields<'_, '_, '_>, id: String, name: String) -> Subnet {
    f.node("id");
    f.text("name");
    f.require("cidr", "the subnet's block, like 10.1.0.0/24");
    let cidr = f.net("cidr", false);
    let version = f.integer("ip_version", 0..=u32::MAX);
    if let Some(v) = version.filter(|v| !matches!(v, 4 | 6)) {
        f.problem("ip_version", format!("{v} is no IP version"), "give 4 or 6");
    } else if let (Some(v), Some(net)) = (version, cidr)
        && u32::from(net.version()) != v
    {
        f.problem("ip_version", format!("is {v} but the cidr {net} is IPv{}", net.version()), "make the two agree");
    }
    let modes = [
        ("slaac", Ipv6Mode::Slaac),
        ("dhcpv6-stateful", Ipv6Mode::DhcpStateful),
        ("dhcpv6-stateless", Ipv6Mode::DhcpStateless),
    ];
    Subnet {
        id,
        name,
        network_id: f.reference("network_id", "the id or name of the subnet's network"),
        ip_version: cidr.map_or(4, IpNet::version),
        cidr: cidr.unwrap_or_else(IpNet::any_v4),
        gateway_ip: f.address("gateway_ip"),
        enable_dhcp: f.boolean("enable_dhcp").unwrap_or(true),
        dns_nameservers: dns_nameservers(f),
        host_routes: routes(f, "host_routes"),
        ipv6_ra_mode: f.word("ipv6_ra_mode", &modes),
        ipv6_address_mode: f.word("ipv6_address_mode", &modes),
    }
}

fn dns_nameservers(f: &mut Fields<'_, '_, '_>) -> Vec<IpAddr> {
    let mut out = Vec::new();
    for (i, text) in f.texts("dns_nameservers").iter().enumerate() {
        match text.parse() {
            Ok(a) => out.push(a),
            // An empty text may stand for one of another type, which is on record.
            Err(_) if text.is_empty() => {}
            Err(_) => {
                let reason = format!("{} is not an IP address", crate::model::problem::quote(text));
                f.problem(&format!("dns_nameservers/{i}"), reason, "write it like 10.1.0.1 or fd00:a::1");
            }
        }
    }
    out
}

/// A list of destinations and next hops, of one family each.
pub(super) fn routes(f: &mut Fields<'_, '_, '_>, key: &'static str) -> Vec<Route> {
    f.objects(key, &[], |f| {
        f.require("destination", "the block the route leads to");
        let destination = f.net("destination", false);
        let nexthop = f.unicast_address("nexthop");
        if let (Some(d), Some(n)) = (destination, nexthop)
            && d.is_ipv4() != n.is_ipv4()
        {
            f.problem("nexthop", format!("{n} is of another family than the destination {d}"), "make the two agree");
        }
        Route { destination: destination.unwrap_or_else(IpNet::any_v4), nexthop: nexthop.unwrap_or(UNSET_IP) }
    })
}

/// A list of `{subnet_id, ip_address}`. Without a subnet the one of the network that holds the address is meant.
pub(super) fn fixed_ips(f: &mut Fields<'_, '_, '_>, key: &'static str) -> Vec<FixedIp> {
    f.objects(key, &["prefixlen"], |f| FixedIp {
        ip_address: f.unicast_address("ip_address").unwrap_or(UNSET_IP),
        subnet_id: f.string("subnet_id"),
    })
}

pub(super) fn neighbor(f: &mut Fields<'_, '_, '_>) -> Option<Neighbor> {
    let network_id = f.reference("network_id", "the id or name of the neighbor's network");
    f.require("mac_address", "the neighbor's MAC address");
    let (ip_address, mac_address) = (f.unicast_address("ip_address"), f.mac("mac_address"));
    Some(Neighbor { network_id, ip_address: ip_address?, mac_address: mac_address? })
        .filter(|n| !n.network_id.is_empty())
}
