//! The lab's cloud with an outside: a network host H3, tenant networks V (VLAN) and F (flat) on `physnet1`, and the external
//! network X, flat on `physext`, where instances have floating IPs.

use super::{Name, interface, model as inside, subnet, v4, vtep};
use serde_json::{Value, json};

/// MTU of the physical networks and of what is on them.
pub const MTU: u16 = 1500;
/// VLAN id of network V.
pub const VLAN: u16 = 300;
/// Hosts: H1 and H2 with instances, H3 for SNAT.
pub const HOSTS: usize = 3;
/// The physical networks, in the order of dvrd, and the interface each host has for it.
pub const PHYSICAL: [(&str, &str); 2] = [("physext", "ext0"), ("physnet1", "prov0")];
/// The router outside: its address on X, which is the subnet's gateway.
pub const ROUTER: &str = "203.0.113.1";
/// The client behind it.
pub const CLIENT: &str = "198.51.100.9";
/// The router's address there.
pub const CLIENT_GATEWAY: &str = "198.51.100.1";
/// A machine on network F that is none of the cloud's.
pub const METAL: &str = "10.4.0.50";
/// The virtual address of A1 and A2.
pub const VIP: &str = "10.1.0.100";

/// The floating IP of an instance: A1's ends in 101, A2's in 102, B1's in 111.
pub fn floating_ip(vm: Name) -> String {
    let network = if vm.network() == 'A' { 100 } else { 110 };
    format!("203.0.113.{}", network + vm.number())
}

/// MAC of a host's port on X (fg-).
pub fn fg_mac(host: usize) -> String {
    format!("fa:16:3e:f9:00:0{}", host + 1)
}

/// As [`super::model`], with the outside. Instances in `floating` have a floating IP; A1 and A2 may have the virtual address.
pub fn model(vms: &[Name], floating: &[Name]) -> Value {
    let mut cloud = inside(vms);
    let add = |cloud: &mut Value, list: &str, all: Vec<Value>| match cloud[list].as_array_mut() {
        Some(there) => there.extend(all),
        None => cloud[list] = all.into(),
    };
    add(
        &mut cloud,
        "hosts",
        vec![json!({"name": "H3", "vtep": vtep(2), "dvr_mac": super::dvr_mac(2),
                                         "underlay_mtu": super::UNDERLAY_MTU})],
    );
    for host in cloud["hosts"].as_array_mut().into_iter().flatten() {
        host["agent_mode"] = if host["name"] == "H3" { "dvr_snat" } else { "dvr" }.into();
        host["bridge_mappings"] = json!({"physext": "br-ex", "physnet1": "br-provider"});
    }
    add(&mut cloud, "networks", networks());
    let gateway = json!({"id": "X-v4", "name": "X-v4", "network_id": "X", "ip_version": 4, "cidr": "203.0.113.0/24",
                         "gateway_ip": ROUTER, "enable_dhcp": false});
    add(&mut cloud, "subnets", vec![v4('V'), v4('F'), gateway]);
    cloud["routers"][0]["external_gateway_info"] = json!({"network_id": "X", "enable_snat": true,
        "external_fixed_ips": [{"subnet_id": "X-v4", "ip_address": "203.0.113.10"}]});
    let fixed = |vm: &Name| {
        json!({"id": format!("fip-{}", vm.0), "floating_ip_address": floating_ip(*vm),
        "floating_network_id": "X", "router_id": "R1", "port_id": vm.0, "fixed_ip_address": vm.address()})
    };
    cloud["floatingips"] = floating.iter().map(fixed).collect();
    for port in cloud["ports"].as_array_mut().into_iter().flatten().filter(|p| p["id"] == "A1" || p["id"] == "A2") {
        port["allowed_address_pairs"] = json!([{"ip_address": VIP}]);
    }
    add(&mut cloud, "ports", vec![interface('V'), interface('F')]);
    let owned = |id: String, network: &str, mac: String, ip: String, owner: &str, host: usize| {
        json!({"id": id, "name": id, "network_id": network, "mac_address": mac, "status": "ACTIVE", "admin_state_up": true,
               "fixed_ips": [{"subnet_id": format!("{network}-v4"), "ip_address": ip}], "device_owner": owner,
               "device_id": "R1", "binding_host_id": format!("H{}", host + 1), "port_security_enabled": false})
    };
    let fg = |host: usize| {
        let ip = format!("203.0.113.{}", 21 + host);
        owned(format!("fg{}", host + 1), "X", fg_mac(host), ip, "network:floatingip_agent_gateway", host)
    };
    let snat = |n: char| {
        let mac = format!("fa:16:3e:0{}:00:fa", super::digit(n));
        owned(format!("sg{n}"), &n.to_string(), mac, subnet(n, 250), "network:router_centralized_snat", 2)
    };
    let qg = owned("qg".into(), "X", "fa:16:3e:99:00:0a".into(), "203.0.113.10".into(), "network:router_gateway", 2);
    add(&mut cloud, "ports", (0..HOSTS).map(fg).chain(['A', 'B'].map(snat)).chain([qg]).collect());
    cloud
}

fn networks() -> Vec<Value> {
    let network = |id: &str, kind: &str, physical: &str| {
        json!({"id": id, "name": id, "project_id": "lab", "admin_state_up": true, "mtu": MTU, "router_external": id == "X",
               "provider_network_type": kind, "provider_physical_network": physical})
    };
    let (mut v, mut f) = (network("V", "vlan", "physnet1"), network("F", "flat", "physnet1"));
    v["provider_segmentation_id"] = VLAN.into();
    f["dvrd"] = json!({"phys_gw_host": "H1"});
    vec![v, f, network("X", "flat", "physext")]
}
