//! Values and attributes, each in one resource.

use control::model::Problem;
use serde_json::{Value, json};

use super::{check, one, problems};

#[test]
fn values_that_are_none() {
    one("/ports/13/mac_address", json!("fa:16:3e"), "port A1", "mac_address", "\"fa:16:3e\" is not a MAC address");
    one("/ports/13/mac_address", json!("01:00:5e:00:00:01"), "port A1", "mac_address", "a multicast address");
    one("/ports/13/mac_address", json!("00:00:00:00:00:00"), "port A1", "mac_address", "the zero address");
    one("/ports/13/mac_address", json!(7), "port A1", "mac_address", "expected a string, found an integer");
    one("/ports/13/status", json!("ACTIV"), "port A1", "status", "\"ACTIV\" is not known here");
    one(
        "/ports/13/admin_state_up",
        json!("yes"),
        "port A1",
        "admin_state_up",
        "expected true or false, found a string",
    );
    one("/ports/13/fixed_ips", json!({}), "port A1", "fixed_ips", "expected a list, found an object");
    one("/ports/13/fixed_ips/0", json!("10.1.0.11"), "port A1", "fixed_ips[0]", "expected an object, found a string");
    one(
        "/ports/13/fixed_ips/0/ip_address",
        json!("10.1.0"),
        "port A1",
        "fixed_ips[0].ip_address",
        "\"10.1.0\" is not an IP address",
    );
    one(
        "/ports/13/allowed_address_pairs/0/mac_address",
        json!("ff:ff:ff:ff:ff:ff"),
        "port A1",
        "allowed_address_pairs[0].mac_address",
        "a multicast address",
    );
    one(
        "/ports/13/allowed_address_pairs/0/ip_address",
        json!("10.1.0.0/33"),
        "port A1",
        "allowed_address_pairs[0].ip_address",
        "no valid prefix length",
    );
    one("/neighbors/0/mac_address", json!("01:00:00:00:00:00"), "neighbor 203.0.113.1", "mac_address", "multicast");
    one("/neighbors/0/ip_address", json!("224.0.0.1"), "neighbor 224.0.0.1", "ip_address", "single machine");
    one("/hosts/0/vtep_mac", json!("00:00:00:00:00:00"), "host H1", "vtep_mac", "the zero address");
    one("/hosts/0/dvr_mac", json!("01:16:3f:00:00:01"), "host H1", "dvr_mac", "a multicast address");
    one("/hosts/0/agent_mode", json!("dvr_sant"), "host H1", "agent_mode", "\"dvr_sant\" is not known here");
    one("/hosts/0/vtep", json!("fd00::1"), "host H1", "vtep", "not built yet");
    one("/hosts/0/vtep", json!("0.0.0.0"), "host H1", "vtep", "single machine");
    one("/hosts/0/underlay_mtu", json!(65536), "host H1", "underlay_mtu", "65536 is out of range");
    one("/networks/0/mtu", json!(67), "network A", "mtu", "67 is out of range");
    one("/networks/0/mtu", json!(1e30), "network A", "mtu", "expected an integer, found a number that is no integer");
    one("/networks/0/mtu", json!(u64::MAX), "network A", "mtu", "18446744073709551615 is out of range");
    one("/networks/0/provider_network_type", json!("geneve"), "network A", "provider_network_type", "not built yet");
    check(
        &[("/networks/0/dvrd", json!({"phys_gw_host": 1}))],
        &[("/networks/0/dvrd/phys_gw_host", "network A", "dvrd.phys_gw_host", "expected a string, found an integer")],
    );
    one("/networks/0/dvrd", json!([]), "network A", "dvrd", "expected an object, found a list");
    one("/routers/0/external_gateway_info", json!(1), "router R1", "external_gateway_info", "expected an object");
    one("/settings", json!("x"), "settings", "", "expected an object, found a string");
    one("/networks/0/segments", json!([{}]), "network A", "segments", "not built yet");
}

#[test]
fn settings() {
    one("/settings/vxlan_port", json!(0), "settings", "vxlan_port", "0 is out of range");
    for (value, reason) in [
        ("0x05ff", "is a length"),
        ("88a8", "is a VLAN tag"),
        ("0x0806", "is always permitted"),
        ("cdp", "is no EtherType"),
        ("0x12345", "is no EtherType"),
    ] {
        let pointer = "/settings/permitted_ethertypes";
        check(
            &[(pointer, json!(["0x88b5", value]))],
            &[("/settings/permitted_ethertypes/1", "settings", "permitted_ethertypes[1]", reason)],
        );
    }
    let many: Vec<String> = (0..17).map(|n| format!("0x{:04x}", 0x9000 + n)).collect();
    let reason = "17 EtherTypes; there is room for 16";
    one("/settings/permitted_ethertypes", json!(many), "settings", "permitted_ethertypes", reason);
    one("/ports/13/binding_profile", json!("x"), "port A1", "binding_profile", "expected an object");
    one("/settings/outer_dscp", json!(64), "settings", "outer_dscp", "64 is out of range");
    one("/settings/outer_tos", json!("inherit"), "settings", "outer_tos", "not known here");
    one("/settings/dhcp", json!(true), "settings", "dhcp", "expected a string, found true or false");
}

#[test]
fn unknown_fields_and_hints() {
    let found = problems(&[("/ports/13/mac_adress", json!("x")), ("/colour", json!(1)), ("/routers/0/zzz", json!(1))]);
    let text: Vec<String> = found.iter().map(Problem::to_string).collect();
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(
        text.contains(
            &"c.json /ports/13/mac_adress: port A1: mac_adress: unknown field; did you mean mac_address?".to_owned()
        ),
        "{text:?}"
    );
    assert!(text.iter().any(|t| t.starts_with("c.json /colour: file: colour: unknown field; take it out")), "{text:?}");
    assert!(
        text.iter().any(|t| t.starts_with("c.json /routers/0/zzz: router R1: zzz: unknown field; take it")),
        "{text:?}"
    );
    one("/ports/13/fixed_ips/0/prefix", json!(1), "port A1", "fixed_ips[0].prefix", "unknown field");
    check(
        &[("/networks/0/dvrd", json!({"learnin": true}))],
        &[("/networks/0/dvrd/learnin", "network A", "dvrd.learnin", "unknown field")],
    );
    one("/ports/13/binding:hostid", json!("H1"), "port A1", "binding_hostid", "unknown field");
    // The same attribute in both spellings.
    one("/ports/13/binding:host_id", json!("H1"), "port A1", "binding_host_id", "given twice");
}

#[test]
fn blocks_and_addresses() {
    one("/subnets/7/cidr", json!("10.1.0.1/24"), "subnet Z-v4", "cidr", "has bits set behind its prefix");
    one("/subnets/7/cidr", json!("10.1.0.0"), "subnet Z-v4", "cidr", "has no prefix length");
    one("/subnets/7/ip_version", json!(6), "subnet Z-v4", "ip_version", "is 6 but the cidr 10.1.0.0/24 is IPv4");
    one("/subnets/7/gateway_ip", json!("fd00::1"), "subnet Z-v4", "gateway_ip", "of another family");
    one(
        "/subnets/7/gateway_ip",
        json!("10.1.0.255"),
        "subnet Z-v4",
        "gateway_ip",
        "not the address of a single machine",
    );
    one("/subnets/7/dns_nameservers", json!({}), "subnet Z-v4", "dns_nameservers", "expected a list");
    check(
        &[("/subnets/7/dns_nameservers", json!(["x"]))],
        &[("/subnets/7/dns_nameservers/0", "subnet Z-v4", "dns_nameservers[0]", "\"x\" is not an IP address")],
    );
}

#[test]
fn dvr_macs() {
    one(
        "/hosts/0/dvr_mac",
        json!("fa:16:3e:00:00:01"),
        "host H1",
        "dvr_mac",
        "outside the DVR prefix fa:16:3f:00:00:00/ff:ff:ff:00:00:00",
    );
    // A fourth octet that is not 00 belongs to the prefix.
    let found = problems(&[("/settings/dvr_base_mac", json!("fa:16:3f:4f:00:00"))]);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|p| p.field.as_deref() == Some("dvr_mac") && p.reason.contains("/ff:ff:ff:ff:00:00")));
}

#[test]
fn networks() {
    let id = "provider_segmentation_id";
    one("/networks/0/provider_segmentation_id", json!(0), "network A", id, "0 is no VNI");
    one("/networks/0/provider_segmentation_id", json!(16_777_216), "network A", id, "16777216 is no VNI");
    one("/networks/2/provider_segmentation_id", json!(4095), "network V", id, "4095 is no VLAN");
    check(
        &[("/networks/0/provider_segmentation_id", Value::Null)],
        &[("/networks/0/provider_segmentation_id", "network A", id, "is missing: the VNI")],
    );
    check(
        &[("/networks/2/provider_physical_network", Value::Null)],
        &[("/networks/2/provider_physical_network", "network V", "provider_physical_network", "is missing")],
    );
    one(
        "/networks/0/provider_physical_network",
        json!("physnet1"),
        "network A",
        "provider_physical_network",
        "is on none",
    );
    one("/networks/0/mtu", json!(1279), "network A", "mtu", "1279 is below 1280, which IPv6 subnet A-v6 needs");
    check(&[("/networks/1/mtu", json!(68))], &[]);
    check(
        &[("/networks/5/router_external", json!(false))],
        &[
            (
                "/routers/0/external_gateway_info/network_id",
                "router R1",
                "external_gateway_info.network_id",
                "network X is not external",
            ),
            (
                "/floatingips/0/floating_network_id",
                "floating ip fip-101 (203.0.113.101)",
                "floating_network_id",
                "not external",
            ),
            (
                "/floatingips/1/floating_network_id",
                "floating ip fip-102 (203.0.113.102)",
                "floating_network_id",
                "not external",
            ),
            (
                "/floatingips/2/floating_network_id",
                "floating ip fip-103 (203.0.113.103)",
                "floating_network_id",
                "not external",
            ),
            (
                "/floatingips/3/floating_network_id",
                "floating ip fip-104 (203.0.113.104)",
                "floating_network_id",
                "not external",
            ),
            (
                "/floatingips/4/floating_network_id",
                "floating ip fip-105 (203.0.113.105)",
                "floating_network_id",
                "not external",
            ),
        ],
    );
}

#[test]
fn security_group_rules() {
    let rule = |extra: Value| {
        let mut rule = json!({"direction": "ingress", "ethertype": "IPv4"});
        rule.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        vec![("/security_groups/0/security_group_rules/0", rule)]
    };
    let bad = |extra: Value, pointer: &'static str, field: &'static str, reason: &'static str| {
        check(&rule(extra), &[(pointer, "security group g", field, reason)]);
    };
    macro_rules! bad {
        ($extra:tt, $key:literal, $reason:literal) => {
            bad(
                json!($extra),
                concat!("/security_groups/0/security_group_rules/0/", $key),
                concat!("security_group_rules[0].", $key),
                $reason,
            )
        };
    }
    for good in [
        json!({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65535}),
        json!({"protocol": "6", "port_range_min": 1, "port_range_max": 1}),
        json!({"protocol": 47}),
        json!({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}),
        json!({"remote_ip_prefix": "10.1.0.7/24"}),
        json!({"remote_ip_prefix": "10.1.0.7"}),
    ] {
        check(&rule(good), &[]);
    }
    bad!({"direction": "in"}, "direction", "not known here");
    bad!({"protocol": "tpc"}, "protocol", "\"tpc\" is no protocol");
    bad!({"protocol": 256}, "protocol", "256 is out of range");
    bad!({"protocol": "tcp", "port_range_min": 9, "port_range_max": 8}, "port_range_min", "9 is above port_range_max 8");
    bad!({"protocol": "icmp", "port_range_max": 8}, "port_range_max", "an ICMP code without a type");
    bad!({"protocol": "icmp", "port_range_min": 256}, "port_range_min", "256 is no ICMP type or code");
    bad!({"protocol": "udp", "port_range_min": 9}, "port_range_min", "one end of the port range is missing");
    bad!({"protocol": "gre", "port_range_min": 9, "port_range_max": 9}, "port_range_min", "without ports");
    bad!({"remote_ip_prefix": "fd00::/64"}, "remote_ip_prefix", "of another family");
    bad!({"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": "g"}, "remote_group_id", "in one rule");
    bad!({"remote_address_group_id": "x"}, "remote_address_group_id", "not built yet");
}
