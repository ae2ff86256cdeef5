//! The lab's cloud: two hosts, networks A and B joined by a distributed router, instances named by network and number.
//! With an outside (`cloud/outside.rs`) there are a third host and physical networks too.

use serde_json::{Value, json};

pub mod outside;

/// The underlay's MTU; the networks have what VXLAN leaves of it.
pub const UNDERLAY_MTU: u16 = 1500;
/// MTU of the networks, and of the instances' interfaces.
pub const MTU: u16 = UNDERLAY_MTU - 50;

/// An instance's name: `A1` is on network A; odd numbers are on host H1, even ones on H2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name(pub &'static str);

impl Name {
    /// A or B; with an outside also V or F.
    pub fn network(self) -> char {
        self.0.chars().next().unwrap_or('A')
    }

    /// The number behind the network's letter.
    pub fn number(self) -> usize {
        self.0[1..].parse().expect("a number behind the network's letter")
    }

    /// Which host it is on: 0 is H1, 1 is H2.
    pub fn host(self) -> usize {
        (self.number() + 1) % 2
    }

    /// MAC address of its port.
    pub fn mac(self) -> String {
        format!("fa:16:3e:0{}:00:{}", digit(self.network()), self.number() + 10)
    }

    /// IPv4 address of its port.
    pub fn address(self) -> String {
        subnet(self.network(), self.number() + 10)
    }

    /// The router's address on its subnet.
    pub fn gateway(self) -> String {
        subnet(self.network(), 1)
    }

    /// The interface on the host that Nova would have made.
    pub fn tap(self) -> String {
        format!("tap{}", self.0)
    }
}

/// An address on a network's subnet.
pub fn subnet(network: char, host: usize) -> String {
    let number = "ABVF".find(network).map_or(9, |n| n + 1);
    format!("10.{number}.0.{host}")
}

/// A network's MTU, and that of its instances' interfaces: what VXLAN leaves of the underlay's, or all of a physical network's.
pub fn mtu(network: char) -> u16 {
    if "AB".contains(network) { MTU } else { outside::MTU }
}

/// MAC of the router's interface on a network.
pub fn router_mac(network: char) -> String {
    format!("fa:16:3e:0{}:00:01", digit(network))
}

/// A network in the MAC addresses on it.
fn digit(network: char) -> char {
    if network == 'V' { 'c' } else { network.to_ascii_lowercase() }
}

/// Address of a host's VTEP.
pub fn vtep(host: usize) -> String {
    format!("172.20.0.{}", host + 11)
}

/// A host's DVR MAC.
pub fn dvr_mac(host: usize) -> String {
    format!("fa:16:3f:00:00:0{}", host + 1)
}

/// The VNI of a network.
pub fn vni(network: char) -> u32 {
    if network == 'A' { 1001 } else { 1002 }
}

/// The model, as `--cloud` reads it. No `vtep_mac`: hosts find each other as the kernel does.
pub fn model(vms: &[Name]) -> Value {
    let host = |n: usize| {
        json!({"name": format!("H{}", n + 1), "agent_mode": "dvr", "vtep": vtep(n), "dvr_mac": dvr_mac(n),
               "underlay_mtu": UNDERLAY_MTU})
    };
    let network = |n: char| {
        json!({"id": n.to_string(), "name": n.to_string(), "project_id": "lab", "admin_state_up": true, "mtu": MTU,
               "router_external": false, "provider_network_type": "vxlan", "provider_segmentation_id": vni(n)})
    };
    let mut ports: Vec<Value> = ['A', 'B'].map(interface).into();
    ports.extend(vms.iter().map(|vm| port(*vm)));
    json!({
        "hosts": [host(0), host(1)],
        "networks": (['A', 'B'].map(network)),
        "subnets": (['A', 'B'].map(v4)),
        "routers": [{"id": "R1", "name": "R1", "distributed": true, "ha": false, "admin_state_up": true}],
        "ports": ports,
    })
}

/// A network's subnet.
fn v4(n: char) -> Value {
    json!({"id": format!("{n}-v4"), "name": format!("{n}-v4"), "network_id": n.to_string(), "ip_version": 4,
           "cidr": subnet(n, 0) + "/24", "gateway_ip": subnet(n, 1), "enable_dhcp": false})
}

fn interface(network: char) -> Value {
    json!({"id": format!("r{network}"), "name": format!("r{network}"), "network_id": network.to_string(),
           "mac_address": router_mac(network), "status": "ACTIVE", "admin_state_up": true,
           "fixed_ips": [{"subnet_id": format!("{network}-v4"), "ip_address": subnet(network, 1)}],
           "device_owner": "network:router_interface_distributed", "device_id": "R1",
           "port_security_enabled": false})
}

fn port(vm: Name) -> Value {
    let network = vm.network();
    json!({"id": vm.0, "name": vm.0, "network_id": network.to_string(), "mac_address": vm.mac(), "status": "ACTIVE",
           "admin_state_up": true,
           "fixed_ips": [{"subnet_id": format!("{network}-v4"), "ip_address": vm.address()}],
           "device_owner": "compute:nova", "binding_host_id": format!("H{}", vm.host() + 1),
           "port_security_enabled": true})
}
