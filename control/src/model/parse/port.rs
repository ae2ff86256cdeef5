//! Ports.

use dataplane::addr::MacAddr;

use super::fields::Fields;
use super::network::fixed_ips;
use crate::model::net::IpNet;
use crate::model::types::*;

/// Port attributes of Neutron's API that are known and have no effect here.
pub(super) const IGNORED: [&str; 30] = [
    "binding_vif_details",
    "binding_vnic_type",
    "created_at",
    "data_plane_status",
    "description",
    "device_profile",
    "dns_assignment",
    "dns_domain",
    "dns_name",
    "hardware_offload_type",
    "hints",
    "ip_allocation",
    "mac_learning_enabled",
    "numa_affinity_policy",
    "propagate_uplink_status",
    "qos_network_policy_id",
    "qos_policy_id",
    "resource_request",
    "revision_number",
    "standard_attr_id",
    "tags",
    "tenant_id",
    "trunk_details",
    "trusted",
    "updated_at",
    "uplink_status_propagation",
    "address_scopes",
    "mtu",
    "subnets",
    "extra_subnets",
];

pub(super) fn port(f: &mut Fields<'_, '_, '_>, id: String, name: String) -> Port {
    f.node("id");
    f.text("name");
    f.require("mac_address", "the port's MAC address");
    let mac = f.mac("mac_address");
    let device_owner = f.string("device_owner");
    let states = [
        ("ACTIVE", PortStatus::Active),
        ("DOWN", PortStatus::Down),
        ("BUILD", PortStatus::Build),
        ("ERROR", PortStatus::Error),
        ("N/A", PortStatus::NotApplicable),
    ];
    let vif_type = f.text("binding_vif_type").unwrap_or_default();
    let unsecured = device_owner.starts_with("network:");
    Port {
        id,
        name,
        project_id: f.string("project_id"),
        network_id: f.reference("network_id", "the id or name of the port's network"),
        mac_address: mac.unwrap_or(MacAddr::ZERO),
        status: f.word("status", &states).unwrap_or(PortStatus::Active),
        admin_state_up: f.boolean("admin_state_up").unwrap_or(true),
        fixed_ips: fixed_ips(f, "fixed_ips"),
        device_owner,
        device_id: f.string("device_id"),
        binding_host_id: f.non_empty("binding_host_id"),
        migrating_to: f.text_in("binding_profile", "migrating_to"),
        binding_failed: matches!(vif_type, "unbound" | "binding_failed"),
        port_security_enabled: f.boolean("port_security_enabled").unwrap_or(!unsecured),
        security_groups: f.texts("security_groups"),
        allowed_address_pairs: f.objects("allowed_address_pairs", &[], |f| {
            f.require("ip_address", "an address or a block");
            AddressPair {
                ip_address: f.net("ip_address", true).unwrap_or_else(IpNet::any_v4),
                mac_address: f.mac("mac_address").or(mac).unwrap_or(MacAddr::ZERO),
            }
        }),
        extra_dhcp_opts: f.objects("extra_dhcp_opts", &[], |f| {
            f.require("opt_name", "the option's name or number");
            let version = f.integer("ip_version", 0..=u32::MAX).unwrap_or(4);
            if !matches!(version, 4 | 6) {
                f.problem("ip_version", format!("{version} is no IP version"), "give 4 or 6");
            }
            DhcpOpt {
                opt_name: f.string("opt_name"),
                opt_value: f.text("opt_value").map(str::to_owned),
                ip_version: if version == 6 { 6 } else { 4 },
            }
        }),
    }
}
