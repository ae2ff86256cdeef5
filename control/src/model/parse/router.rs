//! Routers, floating IPs, security groups.

use super::fields::Fields;
use super::network::{UNSET_IP, fixed_ips, routes};
use crate::model::problem::{nearest, quote};
use crate::model::types::*;
use crate::model::value::Value;

/// Router attributes of Neutron's API that are known and have no effect here.
pub(super) const ROUTER_IGNORED: [&str; 21] = [
    "availability_zone_hints",
    "availability_zones",
    "conntrack_helpers",
    "created_at",
    "description",
    "enable_default_route_bfd",
    "enable_default_route_ecmp",
    "enable_ndp_proxy",
    "enable_snat",
    "external_gateways",
    "flavor_id",
    "gw_port_host",
    "gw_port_id",
    "ha_vr_id",
    "project_id",
    "revision_number",
    "service_type_id",
    "status",
    "tags",
    "tenant_id",
    "updated_at",
];

/// Floating IP attributes of Neutron's API that are known and have no effect here.
pub(super) const FLOATINGIP_IGNORED: [&str; 17] = [
    "created_at",
    "description",
    "dest_host",
    "dns_domain",
    "dns_name",
    "fixed_ip_address_scope",
    "host",
    "port_details",
    "project_id",
    "qos_network_policy_id",
    "qos_policy_id",
    "revision_number",
    "standard_attr_id",
    "status",
    "tags",
    "tenant_id",
    "updated_at",
];

/// Security group attributes of Neutron's API that are known and have no effect here.
pub(super) const GROUP_IGNORED: [&str; 10] = [
    "created_at",
    "description",
    "is_default",
    "project_id",
    "revision_number",
    "shared",
    "standard_attr_id",
    "tags",
    "tenant_id",
    "updated_at",
];

/// Rule attributes of Neutron's API that are known and have no effect here.
const RULE_IGNORED: [&str; 13] = [
    "belongs_to_default_sg",
    "created_at",
    "description",
    "id",
    "normalized_cidr",
    "project_id",
    "revision_number",
    "security_group_id",
    "standard_attr_id",
    "stateful",
    "tags",
    "tenant_id",
    "updated_at",
];

/// Neutron's protocol names (neutron-lib `IP_PROTOCOL_MAP`).
const PROTOCOLS: [(&str, u8); 25] = [
    ("ah", 51),
    ("dccp", 33),
    ("egp", 8),
    ("esp", 50),
    ("gre", 47),
    ("icmp", 1),
    ("icmpv6", 58),
    ("igmp", 2),
    ("ip", 0),
    ("ipip", 4),
    ("ipv6-encap", 41),
    ("ipv6-frag", 44),
    ("ipv6-icmp", 58),
    ("ipv6-nonxt", 59),
    ("ipv6-opts", 60),
    ("ipv6-route", 43),
    ("ospf", 89),
    ("pgm", 113),
    ("rsvp", 46),
    ("sctp", 132),
    ("tcp", 6),
    ("udp", 17),
    ("udplite", 136),
    ("vrrp", 112),
    ("hopopt", 0),
];

pub(super) fn router(f: &mut Fields<'_, '_, '_>, id: String, name: String) -> Router {
    f.node("id");
    f.text("name");
    let gateway = f.object("external_gateway_info", &["qos_policy_id"], |f| ExternalGateway {
        network_id: f.reference("network_id", "the id or name of the external network"),
        enable_snat: f.boolean("enable_snat").unwrap_or(true),
        external_fixed_ips: fixed_ips(f, "external_fixed_ips"),
    });
    Router {
        id,
        name,
        distributed: f.boolean("distributed").unwrap_or(false),
        ha: f.boolean("ha").unwrap_or(false),
        admin_state_up: f.boolean("admin_state_up").unwrap_or(true),
        routes: routes(f, "routes"),
        external_gateway_info: gateway,
    }
}

pub(super) fn floatingip(f: &mut Fields<'_, '_, '_>, id: String) -> FloatingIp {
    f.node("id");
    f.not_built("port_forwardings", "floating IP port forwarding");
    // Neutron's fip-distributed: where translation is done if it is not where the port is.
    if f.boolean("distributed") == Some(false) {
        f.problem("distributed", "a floating IP that is central by request: not built yet", "take the attribute out");
    }
    FloatingIp {
        id,
        floating_ip_address: f.unicast_address("floating_ip_address").unwrap_or(UNSET_IP),
        floating_network_id: f.reference("floating_network_id", "the id or name of the external network"),
        router_id: f.non_empty("router_id"),
        port_id: f.non_empty("port_id"),
        fixed_ip_address: f.address("fixed_ip_address"),
    }
}

pub(super) fn security_group(f: &mut Fields<'_, '_, '_>, id: String, name: String) -> SecurityGroup {
    f.node("id");
    f.text("name");
    SecurityGroup {
        id,
        name,
        stateful: f.boolean("stateful").unwrap_or(true),
        security_group_rules: f.objects("security_group_rules", &RULE_IGNORED, rule),
    }
}

fn rule(f: &mut Fields<'_, '_, '_>) -> SecurityGroupRule {
    f.require("direction", "ingress or egress");
    f.require("ethertype", "IPv4 or IPv6");
    f.not_built("remote_address_group_id", "address groups");
    let directions = [("ingress", Direction::Ingress), ("egress", Direction::Egress)];
    let direction = f.word("direction", &directions);
    let types = [("IPv4", Ethertype::Ipv4), ("IPv6", Ethertype::Ipv6)];
    let ethertype = f.word("ethertype", &types);
    let v6 = ethertype == Some(Ethertype::Ipv6);
    let protocol = protocol(f).map(|p| if p == 1 && v6 { 58 } else { p });
    let min = f.integer16("port_range_min", 0..=u16::MAX);
    let max = f.integer16("port_range_max", 0..=u16::MAX);
    match (protocol, min, max) {
        (_, None, None) => {}
        (Some(1 | 58), min, max) => {
            for (key, v) in [("port_range_min", min), ("port_range_max", max)] {
                if let Some(v) = v.filter(|v| *v > 255) {
                    f.problem(key, format!("{v} is no ICMP type or code"), "give 0 to 255");
                }
            }
            if min.is_none() {
                let hint = "give the type in port_range_min, or no code";
                f.problem("port_range_max", "an ICMP code without a type", hint);
            }
        }
        (Some(6 | 17 | 33 | 132 | 136), Some(lo), Some(hi)) if lo <= hi => {}
        (Some(6 | 17 | 33 | 132 | 136), Some(lo), Some(hi)) => {
            f.problem("port_range_min", format!("{lo} is above port_range_max {hi}"), "swap the two");
        }
        (Some(6 | 17 | 33 | 132 | 136), ..) => {
            f.problem("port_range_min", "one end of the port range is missing", "give both ends");
        }
        _ => {
            let hint = "name tcp, udp, sctp, dccp, udplite or icmp, or take the range out";
            f.problem("port_range_min", "a port range for a protocol without ports", hint);
        }
    }
    let prefix = f.net("remote_ip_prefix", true);
    if let Some(net) = prefix.filter(|n| ethertype.is_some() && n.is_ipv4() == v6) {
        f.problem("remote_ip_prefix", format!("{net} is of another family than the rule"), "make the two agree");
    }
    let group = f.non_empty("remote_group_id");
    if group.is_some() && prefix.is_some() {
        f.problem("remote_group_id", "a remote group and a remote prefix in one rule", "make it two rules");
    }
    SecurityGroupRule {
        direction: direction.unwrap_or(Direction::Egress),
        ethertype: ethertype.unwrap_or(Ethertype::Ipv4),
        protocol,
        port_range_min: min,
        port_range_max: max,
        remote_group_id: group,
        remote_ip_prefix: prefix,
    }
}

/// A protocol by name or number (Neutron's API gives numbers as texts); `any` and null are every protocol.
fn protocol(f: &mut Fields<'_, '_, '_>) -> Option<u8> {
    const KEY: &str = "protocol";
    if let Some(node) = f.node(KEY)
        && matches!(node.value, Value::Int(_))
    {
        return f.integer(KEY, 0..=255).and_then(|v| u8::try_from(v).ok());
    }
    let text = f.text(KEY).filter(|t| !t.is_empty() && *t != "any")?;
    let word = text.to_ascii_lowercase();
    let known = PROTOCOLS.iter().find(|(n, _)| *n == word).map(|(_, v)| *v);
    let found = known.or_else(|| word.parse().ok());
    if found.is_none() {
        let hint = match nearest(&word, PROTOCOLS.iter().map(|(n, _)| *n)) {
            Some(n) => format!("did you mean {n}?"),
            None => "give a name such as tcp, or a number from 0 to 255".to_owned(),
        };
        f.problem(KEY, format!("{} is no protocol", quote(text)), hint);
    }
    found
}
