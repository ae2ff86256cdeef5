//! References, collisions, and what resources ask of each other.

use serde_json::{Value, json};

use super::{check, one};

#[test]
fn dangling_references() {
    one("/ports/13/network_id", json!("AA"), "port A1", "network_id", "there is no network \"AA\"");
    one("/ports/13/binding_host_id", json!("H9"), "port A1", "binding_host_id", "there is no host \"H9\"");
    let profile = json!({"migrating_to": "H9", "os_vif_delegation": true});
    check(
        &[("/ports/13/binding_profile", profile)],
        &[(
            "/ports/13/binding_profile/migrating_to",
            "port A1",
            "binding_profile.migrating_to",
            "there is no host \"H9\"",
        )],
    );
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
