//! Every rule of the cloud model: one bad value in the reference cloud, and the problems it must give, with place,
//! resource, field and reason; no others.

use control::model::{Cloud, Problem};
use serde_json::{Value, json};

const REFERENCE: &str = include_str!("../../pcap-fixtures/T/cloud.json");

/// Sets the value at a JSON pointer; the last part may be new, `-` appends to a list.
fn set(root: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = root.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
    match parent {
        Value::Array(a) if last == "-" => a.push(value),
        Value::Array(a) => a[last.parse::<usize>().unwrap()] = value,
        Value::Object(o) => drop(o.insert(last.to_owned(), value)),
        _ => panic!("no parent of {pointer}"),
    }
}

fn problems(patches: &[(&str, Value)]) -> Vec<Problem> {
    let mut cloud: Value = serde_json::from_str(REFERENCE).unwrap();
    for (pointer, value) in patches {
        set(&mut cloud, pointer, value.clone());
    }
    match Cloud::from_json(&cloud.to_string(), "c.json") {
        Ok(_) => Vec::new(),
        Err(p) => p.as_slice().to_vec(),
    }
}

/// Pointer, resource, field (empty: none), a part of the reason.
type Want = (&'static str, &'static str, &'static str, &'static str);

fn check(patches: &[(&str, Value)], want: &[Want]) {
    let found = problems(patches);
    let text = found.iter().map(|p| format!("{p}\n")).collect::<String>();
    assert_eq!(found.len(), want.len(), "{patches:?} gave\n{text}");
    for (pointer, resource, field, reason) in want {
        let hit = found.iter().any(|p| {
            p.place.file == "c.json"
                && p.place.line.is_none()
                && p.place.pointer.as_deref() == Some(*pointer)
                && p.resource == *resource
                && p.field.as_deref().unwrap_or("") == *field
                && p.reason.contains(reason)
                && !p.hint.is_empty()
        });
        assert!(hit, "{patches:?}: wanted {pointer} {resource} {field} {reason:?}, found\n{text}");
    }
}

/// One bad value, one problem at its own place.
fn one(pointer: &'static str, value: Value, resource: &'static str, field: &'static str, reason: &'static str) {
    check(&[(pointer, value)], &[(pointer, resource, field, reason)]);
}

#[test]
fn the_reference_is_clean() {
    check(&[], &[]);
}

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
fn dangling_references() {
    one("/ports/13/network_id", json!("AA"), "port A1", "network_id", "there is no network \"AA\"");
    one("/ports/13/binding_host_id", json!("H9"), "port A1", "binding_host_id", "there is no host \"H9\"");
    one(
        "/ports/13/security_groups/0",
        json!("nn"),
        "port A1",
        "security_groups[0]",
        "there is no security group \"nn\"",
    );
    one("/ports/13/fixed_ips/0/subnet_id", json!("s"), "port A1", "fixed_ips[0].subnet_id", "there is no subnet \"s\"");
    one("/ports/6/device_id", json!("R9"), "port sgA", "device_id", "there is no router \"R9\"");
    one("/ports/6/device_id", json!(""), "port sgA", "device_id", "is missing");
    one("/ports/0/device_id", json!("A1"), "port rA", "device_id", "there is no router \"A1\"");
    one("/subnets/7/network_id", json!("nn"), "subnet Z-v4", "network_id", "there is no network \"nn\"");
    one("/floatingips/0/port_id", json!("nn"), "floating ip fip-101 (203.0.113.101)", "port_id", "there is no port");
    one(
        "/floatingips/0/router_id",
        json!("nn"),
        "floating ip fip-101 (203.0.113.101)",
        "router_id",
        "there is no router",
    );
    let fip = "floating ip fip-101 (203.0.113.101)";
    one("/floatingips/0/floating_network_id", json!("nn"), fip, "floating_network_id", "there is no network");
    let gateway = "/routers/0/external_gateway_info";
    let at = "/routers/0/external_gateway_info/network_id";
    let want = (at, "router R1", "external_gateway_info.network_id", "there is no network \"nn\"");
    check(&[(gateway, json!({"network_id": "nn"}))], &[want]);
    let rule = "/security_groups/0/security_group_rules/2/remote_group_id";
    one(rule, json!("nn"), "security group g", "security_group_rules[2].remote_group_id", "there is no security group");
    one("/neighbors/0/network_id", json!("nn"), "neighbor 203.0.113.1", "network_id", "there is no network \"nn\"");
    check(
        &[("/networks/2/dvrd", json!({"phys_gw_host": "H7"}))],
        &[("/networks/2/dvrd/phys_gw_host", "network V", "dvrd.phys_gw_host", "there is no host \"H7\"")],
    );
    one(
        "/networks/2/provider_physical_network",
        json!("phys9"),
        "network V",
        "provider_physical_network",
        "no host has",
    );
}

#[test]
fn names_as_references() {
    check(&[("/networks/0/name", json!("blue")), ("/ports/13/network_id", json!("blue"))], &[]);
    check(
        &[("/networks/0/name", json!("x")), ("/networks/1/name", json!("x")), ("/ports/13/network_id", json!("x"))],
        &[("/ports/13/network_id", "port A1", "network_id", "\"x\" is the name of 2 networks")],
    );
    check(
        &[("/networks/0/name", json!("N")), ("/networks/-", json!({"name": "N", "provider_network_type": "local"}))],
        &[("/networks/7", "network N", "id", "its name is also that of network A")],
    );
    check(&[("/ports/-", json!({}))], &[("/ports/25", "port [25]", "id", "is missing")]);
    check(&[("/ports/-", json!(3))], &[("/ports/25", "port [25]", "", "expected an object, found an integer")]);
    check(&[("/ports/-", json!({"id": 3}))], &[("/ports/25/id", "port [25]", "id", "expected a string")]);
    check(&[("/ports/-", json!({"id": "../x"}))], &[("/ports/25/id", "port [25]", "id", "cannot be an id")]);
}

#[test]
fn duplicates_name_both() {
    let host = json!({"name": "H1", "agent_mode": "dvr", "vtep": "172.20.0.99"});
    check(&[("/hosts/-", host)], &[("/hosts/4/name", "host H1", "name", "twice, first at c.json /hosts/0")]);
    one(
        "/hosts/1/vtep",
        json!("172.20.0.11"),
        "host H2",
        "vtep",
        "172.20.0.11 is also that of host H1, at c.json /hosts/0",
    );
    one("/hosts/1/dvr_mac", json!("fa:16:3f:00:00:01"), "host H2", "dvr_mac", "also that of host H1");
    one(
        "/ports/14/mac_address",
        json!("fa:16:3e:0a:00:11"),
        "port A3",
        "mac_address",
        "network A is also that of port A1",
    );
    let at = "/ports/14/fixed_ips/0/ip_address";
    one(at, json!("10.1.0.11"), "port A3", "fixed_ips[0].ip_address", "10.1.0.11 in network A is also that of port A1");
    check(
        &[("/ports/13/fixed_ips/0/ip_address", json!("10.1.0.13"))],
        &[
            ("/ports/14/fixed_ips/0/ip_address", "port A3", "fixed_ips[0].ip_address", "also that of port A1"),
            (
                "/floatingips/0/fixed_ip_address",
                "floating ip fip-101 (203.0.113.101)",
                "fixed_ip_address",
                "10.1.0.11 is no address of port A1",
            ),
        ],
    );
    one(
        "/networks/1/provider_segmentation_id",
        json!(1001),
        "network B",
        "provider_segmentation_id",
        "VNI 1001 is also",
    );
    check(
        &[
            ("/networks/2/provider_segmentation_id", json!(100)),
            ("/networks/2/provider_physical_network", json!("physext")),
        ],
        &[(
            "/networks/5/provider_segmentation_id",
            "network X",
            "provider_segmentation_id",
            "VLAN 100 of physical network physext is also that of network V",
        )],
    );
    let fip = "floating ip fip-102 (203.0.113.101)";
    one(
        "/floatingips/1/floating_ip_address",
        json!("203.0.113.101"),
        fip,
        "floating_ip_address",
        "also that of floating ip fip-101",
    );
    check(
        &[("/floatingips/1/port_id", json!("A1")), ("/floatingips/1/fixed_ip_address", json!("10.1.0.11"))],
        &[(
            "/floatingips/1/fixed_ip_address",
            "floating ip fip-102 (203.0.113.102)",
            "fixed_ip_address",
            "10.1.0.11 of port A1 is also that of floating ip fip-101",
        )],
    );
    let neighbor = json!({"network_id": "X", "ip_address": "203.0.113.1", "mac_address": "02:ee:00:00:00:02"});
    check(
        &[("/neighbors/-", neighbor)],
        &[(
            "/neighbors/1/ip_address",
            "neighbor 203.0.113.1",
            "ip_address",
            "there twice, first at c.json /neighbors/0",
        )],
    );
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
fn subnets_and_ports() {
    let at = "/ports/14/fixed_ips/0/ip_address";
    one(at, json!("10.5.0.1"), "port A3", "fixed_ips[0].ip_address", "10.5.0.1 is outside 10.1.0.0/24");
    one(at, json!("10.1.0.255"), "port A3", "fixed_ips[0].ip_address", "network or broadcast address");
    let field = "fixed_ips[0].subnet_id";
    one("/ports/14/fixed_ips/0/subnet_id", json!("B-v4"), "port A3", field, "subnet B-v4 is of network B, not of A");
    check(
        &[("/ports/14/fixed_ips/0", json!({"ip_address": "10.5.0.1"}))],
        &[(at, "port A3", "fixed_ips[0].ip_address", "10.5.0.1 is in no subnet of network A")],
    );
    let twin = json!({"id": "A-2", "network_id": "A", "cidr": "10.1.0.128/25", "gateway_ip": null});
    check(
        &[("/subnets/-", twin)],
        &[("/subnets/8/cidr", "subnet A-2", "cidr", "10.1.0.128/25 overlaps 10.1.0.0/24 of subnet A-v4 in network A")],
    );
    one("/ports/14/mac_address", json!("fa:16:3f:00:00:09"), "port A3", "mac_address", "inside the DVR prefix");
    let pairs = json!([{"ip_address": "10.1.0.7", "mac_address": "fa:16:3f:00:00:09"}]);
    check(
        &[("/ports/14/allowed_address_pairs", pairs)],
        &[(
            "/ports/14/allowed_address_pairs/0/mac_address",
            "port A3",
            "allowed_address_pairs[0].mac_address",
            "inside the DVR prefix",
        )],
    );
    one(
        "/neighbors/0/mac_address",
        json!("fa:16:3f:00:00:09"),
        "neighbor 203.0.113.1",
        "mac_address",
        "inside the DVR prefix",
    );
    one(
        "/neighbors/0/ip_address",
        json!("198.51.100.1"),
        "neighbor 198.51.100.1",
        "ip_address",
        "in no subnet of network X",
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
fn routers() {
    let hop = "/routers/0/routes/0/nexthop";
    one(hop, json!("10.77.0.1"), "router R1", "routes[0].nexthop", "10.77.0.1 is on none of the router's subnets");
    one(hop, json!("10.9.0.1"), "router R1", "routes[0].nexthop", "10.9.0.1 is an address of the router itself");
    one(
        "/routers/0/routes/0/destination",
        json!("10.4.0.9/24"),
        "router R1",
        "routes[0].destination",
        "bits set behind",
    );
    check(
        &[("/routers/0/routes/0/destination", json!("fd00:b::/64"))],
        &[(hop, "router R1", "routes[0].nexthop", "10.9.0.2 is of another family than the destination fd00:b::/64")],
    );
    // An interface on a subnet that another interface's subnet overlaps.
    let port = json!({"id": "rZ", "network_id": "Z", "mac_address": "fa:16:3e:0e:00:01", "device_id": "R1",
        "device_owner": "network:router_interface_distributed", "fixed_ips": [{"subnet_id": "Z-v4", "ip_address": "10.1.0.1"}]});
    check(
        &[("/ports/-", port)],
        &[(
            "/routers/0",
            "router R1",
            "",
            "subnet Z-v4 (10.1.0.0/24, interface rZ) overlaps subnet A-v4 (10.1.0.0/24, interface rA)",
        )],
    );
    let at = "/routers/0/external_gateway_info/external_fixed_ips/0/ip_address";
    one(
        at,
        json!("10.1.0.3"),
        "router R1",
        "external_gateway_info.external_fixed_ips[0].ip_address",
        "outside 203.0.113.0/24",
    );
}

#[test]
fn floating_ips() {
    let fip = "floating ip fip-101 (203.0.113.101)";
    one(
        "/floatingips/0/fixed_ip_address",
        json!("10.1.0.99"),
        fip,
        "fixed_ip_address",
        "10.1.0.99 is no address of port A1",
    );
    one("/floatingips/0/router_id", json!("R2"), fip, "router_id", "router R2 has no gateway on network X");
    check(
        &[("/floatingips/0/router_id", Value::Null)],
        &[("/floatingips/0/router_id", fip, "router_id", "is missing")],
    );
    check(&[("/floatingips/0/port_id", Value::Null)], &[("/floatingips/0/port_id", fip, "port_id", "is missing")]);
    one(
        "/floatingips/0/floating_ip_address",
        json!("198.51.100.9"),
        "floating ip fip-101 (198.51.100.9)",
        "floating_ip_address",
        "in no subnet of network X",
    );
    one(
        "/floatingips/0/floating_ip_address",
        json!("203.0.113.10"),
        "floating ip fip-101 (203.0.113.10)",
        "floating_ip_address",
        "an address of port qg",
    );
    one("/floatingips/0/port_forwardings", json!([{}]), fip, "port_forwardings", "not built yet");
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

#[test]
fn all_at_once() {
    check(
        &[
            ("/ports/13/mac_address", json!("nonsense")),
            ("/ports/13/network_id", json!("nn")),
            ("/ports/13/binding_host_id", json!("H9")),
            ("/ports/13/colour", json!("red")),
            ("/subnets/7/cidr", json!("10.1.0.1/24")),
            ("/networks/0/provider_segmentation_id", json!(1002)),
            ("/routers/1/routes/1/nexthop", json!("10.77.0.1")),
            ("/floatingips/4/port_id", json!("VIQ")),
        ],
        &[
            ("/ports/13/mac_address", "port A1", "mac_address", "not a MAC address"),
            ("/ports/13/network_id", "port A1", "network_id", "there is no network"),
            ("/ports/13/binding_host_id", "port A1", "binding_host_id", "there is no host"),
            ("/ports/13/colour", "port A1", "colour", "unknown field"),
            ("/subnets/7/cidr", "subnet Z-v4", "cidr", "bits set behind"),
            (
                "/networks/1/provider_segmentation_id",
                "network B",
                "provider_segmentation_id",
                "VNI 1002 is also that of network A",
            ),
            ("/routers/1/routes/1/nexthop", "router R2", "routes[1].nexthop", "on none of the router's subnets"),
            ("/floatingips/4/port_id", "floating ip fip-105 (203.0.113.105)", "port_id", "there is no port \"VIQ\""),
        ],
    );
}

#[test]
fn toml_tells_lines() {
    let text = "[[networks]]\nname = \"A\"\nprovider_network_type = \"vxlan\"\nprovider_segmentation_id = 0\n\n[[ports]]\nname = \"p\"\nnetwork_id = \"B\"\nfixed_ips = [\n  { ip_address = \"x\" },\n]\n";
    let found = Cloud::from_toml(text, "c.toml").unwrap_err();
    let mut lines: Vec<(Option<usize>, String)> =
        found.iter().map(|p| (p.place.line, p.field.clone().unwrap_or_default())).collect();
    lines.sort();
    let want = [
        (Some(4), "provider_segmentation_id".to_owned()),
        (Some(6), "mac_address".to_owned()),
        (Some(8), "network_id".to_owned()),
        (Some(10), "fixed_ips[0].ip_address".to_owned()),
    ];
    assert_eq!(lines, want, "{found}");
    assert!(found.to_string().ends_with("\n4 problems"), "{found}");
    assert!(found.iter().all(|p| p.place.pointer.is_none()));
}
