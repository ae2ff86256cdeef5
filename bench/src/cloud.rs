//! The topology as a dvrd cloud file, in Neutron's words: what a real dvrd would be given.

use crate::topo::*;
use control::model::{Cloud, Problems};
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// The host of the benches.
pub const HOST: &str = "here";
/// Its router.
pub const ROUTER: &str = "router";
/// Its external network; the physical network has the same name.
pub const EXTERNAL: &str = "external";

/// Id of network `n`.
pub fn network(n: u16) -> String {
    format!("net-{n}")
}

/// Id of local VM `j` of network `n`. In this order the writer gives ports their indexes.
pub fn local_vm(n: u16, j: u16) -> String {
    format!("vm-{n}-{j}")
}

/// Name of host `h`.
pub fn host(h: u16) -> String {
    format!("host-{h:02}")
}

/// Id of the router's interface on network `n`.
pub fn interface(n: u16) -> String {
    format!("qr-{n}")
}

fn ip(address: u32) -> String {
    Ipv4Addr::from(address).to_string()
}

/// The cloud file: JSON as `dvrd --cloud` reads it.
pub fn file() -> Value {
    json!({
        "hosts": hosts(),
        "networks": networks(),
        "subnets": subnets(),
        "routers": [{
            "id": ROUTER, "distributed": true,
            "external_gateway_info": { "network_id": EXTERNAL, "enable_snat": false },
        }],
        "ports": ports(),
        "floatingips": floating_ips(),
        "security_groups": [{ "id": "any", "security_group_rules": [
            { "direction": "egress", "ethertype": "IPv4" }, { "direction": "ingress", "ethertype": "IPv4" },
        ] }],
        "neighbors": [
            { "network_id": EXTERNAL, "ip_address": ip(EXT_GW_IP), "mac_address": EXT_GW_MAC.to_string() },
        ],
    })
}

/// The cloud of that file.
pub fn cloud() -> Result<Cloud, Problems> {
    Cloud::from_json(&file().to_string(), "bench")
}

fn hosts() -> Vec<Value> {
    let others = (0..HOSTS).map(|h| {
        json!({
            "name": host(h), "agent_mode": "dvr", "vtep": ip(rvtep_ip(h)), "vtep_mac": rvtep_mac(h).to_string(),
            "dvr_mac": dvr_mac(h).to_string(), "underlay_mtu": 1500, "bridge_mappings": { EXTERNAL: "eth1" },
        })
    });
    let here = json!({
        "name": HOST, "agent_mode": "dvr", "vtep": ip(VTEP_IP), "vtep_mac": VTEP_MAC.to_string(),
        "dvr_mac": LOCAL_DVR_MAC.to_string(), "underlay_mtu": 1500, "bridge_mappings": { EXTERNAL: "eth1" },
    });
    others.chain([here]).collect()
}

fn networks() -> Vec<Value> {
    let tenant = (0..NETS).map(|n| {
        json!({
            "id": network(n), "mtu": 1450,
            "provider_network_type": "vxlan", "provider_segmentation_id": vni(n),
        })
    });
    let external = json!({
        "id": EXTERNAL, "mtu": 1500, "router_external": true,
        "provider_network_type": "flat", "provider_physical_network": EXTERNAL,
    });
    tenant.chain([external]).collect()
}

fn subnets() -> Vec<Value> {
    let subnet = |network: String, cidr: String, gateway: u32| {
        json!({
            "id": network, "network_id": network, "ip_version": 4, "cidr": cidr,
            "gateway_ip": ip(gateway), "enable_dhcp": false,
        })
    };
    let tenant = (0..NETS).map(|n| subnet(network(n), format!("10.{n}.0.0/16"), gw_ip(n)));
    tenant.chain([subnet(EXTERNAL.to_owned(), "198.51.100.0/24".to_owned(), EXT_GW_IP)]).collect()
}

/// A port of network `net`.
fn port(id: &str, net: &str, mac: dataplane::addr::MacAddr, address: u32) -> Value {
    json!({
        "id": id, "network_id": net, "mac_address": mac.to_string(), "status": "ACTIVE",
        "fixed_ips": [{ "subnet_id": net, "ip_address": ip(address) }],
    })
}

fn with(mut port: Value, more: &Value) -> Value {
    if let (Some(port), Some(more)) = (port.as_object_mut(), more.as_object()) {
        port.extend(more.clone());
    }
    port
}

fn ports() -> Vec<Value> {
    let mut all = Vec::new();
    let vm = |host: String| {
        json!({
            "device_owner": "compute:nova", "binding_host_id": host,
            "port_security_enabled": true, "security_groups": ["any"],
        })
    };
    for n in 0..NETS {
        let router = json!({ "device_owner": "network:router_interface_distributed", "device_id": ROUTER });
        all.push(with(port(&interface(n), &network(n), gw_mac(n), gw_ip(n)), &router));
        for j in 0..LOCAL {
            let own = port(&local_vm(n, j), &network(n), lvm_mac(n, j), lvm_ip(n, j));
            all.push(with(own, &vm(HOST.to_owned())));
        }
        for k in 0..REMOTE {
            let own = port(&format!("far-{n}-{k}"), &network(n), rvm_mac(n, k), rvm_ip(n, k));
            all.push(with(own, &vm(host(rvm_host(n, k)))));
        }
    }
    let agent = json!({ "device_owner": "network:floatingip_agent_gateway", "binding_host_id": HOST });
    all.push(with(port("fg", EXTERNAL, FG_MAC, FG_IP), &agent));
    all
}

fn floating_ips() -> Vec<Value> {
    let vms = (0..NETS).flat_map(|n| (0..LOCAL).map(move |j| (n, j)));
    let row = |(n, j)| {
        json!({
            "id": format!("fip-{n}-{j}"), "floating_network_id": EXTERNAL, "floating_ip_address": ip(fip(n, j)),
            "router_id": ROUTER, "port_id": local_vm(n, j), "fixed_ip_address": ip(lvm_ip(n, j)),
        })
    };
    vms.map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_a_cloud_of_the_size_of_the_baseline() {
        let cloud = cloud().unwrap();
        assert_eq!((cloud.hosts.len(), cloud.networks.len(), cloud.floatingips.len()), (51, 11, 100));
        assert_eq!(cloud.ports.len(), usize::from(NETS * (1 + LOCAL + REMOTE)) + 1);
        assert!(cloud.ports.values().filter(|p| p.device_owner == "compute:nova").all(|p| p.port_security_enabled));
    }
}
