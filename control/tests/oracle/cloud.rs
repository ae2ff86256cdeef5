//! The clouds the dumps are of, as models: the seed's file, the captures' from what Neutron told the agents.

use control::model::{Cloud, NetworkType};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn json_of(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

const CAPTURES: &str = "tests/oracle/captures";
pub const HOSTS: [&str; 3] = ["compute1", "compute2", "network1"];

/// MACs of machines that are on the wire and in no dump: a VTEP's, external ones'.
pub fn vtep_mac(ip: u32) -> String {
    let [a, b, c, d] = ip.to_be_bytes();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// The external network's gateway and a machine on it, by address. In the dumps' deployment ARP had found them.
pub const OUTSIDE: [(&str, &str); 2] = [("203.0.113.1", "02:00:cb:00:71:01"), ("203.0.113.77", "02:00:cb:00:71:4d")];

/// The cloud of the captures. `flood_unknown`: for all networks, or left to what the model says of them.
pub fn captured(flood_unknown: Option<bool>) -> Cloud {
    let objects = json_of(&format!("{CAPTURES}/steady-objects.json"));
    let macs = json_of(&format!("{CAPTURES}/dvr_macs.json"));
    let subnets: Vec<Value> = of(&objects, "Subnet")
        .map(|(id, s)| {
            json!({"id": id, "name": s["name"], "network_id": s["network"], "cidr": s["cidr"], "gateway_ip": s["gateway"]})
        })
        .collect();
    let networks: Vec<Value> = of(&objects, "Network")
        .map(|(id, n)| {
            let segment = &n["segments"][0];
            json!({
                "id": id, "name": n["name"], "router_external": n["name"] == "ext",
                "provider_network_type": segment["network_type"],
                "provider_physical_network": segment["physical_network"],
                "provider_segmentation_id": segment["segmentation_id"],
            })
        })
        .collect();
    let hosts: Vec<Value> = HOSTS
        .iter()
        .map(|host| {
            let vtep = local_ip(&text(&format!("{CAPTURES}/{host}-ovs.txt")));
            let mac = macs["result"].as_array().unwrap().iter().find(|m| m["host"] == **host).unwrap();
            let mac = mac["mac_address"].as_str().unwrap().replace('-', ":").to_lowercase();
            let mode = if *host == "network1" { "dvr_snat" } else { "dvr" };
            json!({
                "name": host, "agent_mode": mode, "vtep": vtep.to_string(), "vtep_mac": vtep_mac(vtep.into()),
                "dvr_mac": mac, "bridge_mappings": {"public": "br-ex"},
            })
        })
        .collect();
    let routers: Vec<Value> = HOSTS
        .iter()
        .map(|h| json_of(&format!("{CAPTURES}/steady-sync_routers-{h}.json"))["result"][0].clone())
        .collect();
    let external = routers[0]["gw_port"]["network_id"].clone();
    let neighbors: Vec<Value> =
        OUTSIDE.iter().map(|(ip, mac)| json!({"network_id": external, "ip_address": ip, "mac_address": mac})).collect();
    let (router, ports, fips) = (router(&routers[0]), ports(&objects, &routers), fips(&routers));
    let cloud = json!({
        "settings": {"flood_unknown": flood_unknown}, "hosts": hosts, "networks": networks, "subnets": subnets,
        "ports": ports, "routers": [router], "floatingips": fips, "neighbors": neighbors,
    });
    load(&cloud, "the captures' cloud")
}

fn of<'v>(objects: &'v Value, kind: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    objects[kind].as_object().unwrap().iter()
}

fn local_ip(ovs: &str) -> Ipv4Addr {
    let at = ovs.find("local_ip=\"").expect("a VXLAN port names its local_ip") + 10;
    ovs[at..].split('"').next().unwrap().parse().unwrap()
}

/// What `sync_routers` says of the router itself.
fn router(r: &Value) -> Value {
    json!({
        "id": r["id"], "name": r["name"], "distributed": r["distributed"], "admin_state_up": r["admin_state_up"],
        "routes": r["routes"], "external_gateway_info": r["external_gateway_info"],
    })
}

fn fips(routers: &[Value]) -> Vec<Value> {
    let all = routers.iter().filter_map(|r| r["_floatingips"].as_array()).flatten();
    let fip = |f: &Value| {
        json!({
            "id": f["id"], "floating_ip_address": f["floating_ip_address"], "fixed_ip_address": f["fixed_ip_address"],
            "floating_network_id": f["floating_network_id"], "router_id": f["router_id"], "port_id": f["port_id"],
        })
    };
    all.map(|f| (f["id"].to_string(), fip(f))).collect::<BTreeMap<_, _>>().into_values().collect()
}

/// Ports of VMs by `steady-objects`, those of routers by `sync_routers`. All are ACTIVE: some replies were given a moment
/// before the agents reported a port up whose flows are in the dumps.
fn ports(objects: &Value, routers: &[Value]) -> Vec<Value> {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    let subnet = |ip: &str| {
        let ip: u32 = ip.parse::<Ipv4Addr>().unwrap().into();
        let within = |cidr: &str| {
            let (net, len) = cidr.split_once('/').unwrap();
            let net: u32 = net.parse::<Ipv4Addr>().unwrap().into();
            (ip ^ net) >> (32 - len.parse::<u32>().unwrap()) == 0
        };
        of(objects, "Subnet").find(|(_, s)| within(s["cidr"].as_str().unwrap())).unwrap().0.clone()
    };
    for (id, p) in of(objects, "Port").filter(|(_, p)| p["device_owner"] == "compute:nova") {
        let ips: Vec<Value> = p["ips"]
            .as_array()
            .unwrap()
            .iter()
            .map(|ip| ip.as_str().unwrap())
            .map(|ip| json!({"subnet_id": subnet(ip), "ip_address": ip}))
            .collect();
        let port = json!({
            "id": id, "name": p["name"], "network_id": p["network"], "mac_address": p["mac"], "fixed_ips": ips,
            "device_owner": p["device_owner"], "binding_host_id": p["hosts"][0], "port_security_enabled": false,
        });
        all.insert(id.clone(), port);
    }
    for r in routers {
        let lists = ["_interfaces", "_snat_router_interfaces", "_floatingip_agent_interfaces"];
        let listed = lists.iter().filter_map(|l| r[*l].as_array()).flatten();
        for p in listed.chain([&r["gw_port"]]) {
            let ips: Vec<Value> = p["fixed_ips"]
                .as_array()
                .unwrap()
                .iter()
                .map(|f| json!({"subnet_id": f["subnet_id"], "ip_address": f["ip_address"]}))
                .collect();
            let port = json!({
                "id": p["id"], "network_id": p["network_id"], "mac_address": p["mac_address"], "fixed_ips": ips,
                "device_owner": p["device_owner"], "device_id": p["device_id"], "binding_host_id": p["binding:host_id"],
            });
            all.insert(p["id"].as_str().unwrap().to_owned(), port);
        }
    }
    all.into_values().collect()
}

/// The seed's cloud file at the moment without floating IPs (article 4.5.1), ports' security off.
pub fn seed() -> Cloud {
    let mut cloud = json_of("../docs/seed-flows/cloud.json");
    let members = cloud.as_object_mut().unwrap();
    members.remove("floatingips");
    for host in members["hosts"].as_array_mut().unwrap() {
        let vtep: Ipv4Addr = host["vtep"].as_str().unwrap().parse().unwrap();
        host["vtep_mac"] = json!(vtep_mac(vtep.into()));
    }
    for port in members["ports"].as_array_mut().unwrap() {
        if port["device_owner"] == "compute:nova" {
            port["port_security_enabled"] = json!(false);
        }
    }
    load(&cloud, "docs/seed-flows/cloud.json")
}

fn load(cloud: &Value, name: &str) -> Cloud {
    Cloud::from_json(&cloud.to_string(), name).unwrap_or_else(|e| panic!("{e}"))
}

/// A port of the model, as the frames and the departures need it.
#[derive(Clone, Debug)]
pub struct PortFact {
    pub id: String,
    pub mac: u64,
    pub ips: Vec<u32>,
    pub place: Place,
    pub active: bool,
    /// An sg- port.
    pub snat: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A VM or service of this host.
    Here,
    /// Another host's VTEP.
    Away(u32),
    /// sg-, qg- or fg- of this host: in a namespace.
    Namespace,
}

#[derive(Clone, Debug)]
pub struct Interface {
    pub mac: u64,
    pub ip: u32,
    pub len: u32,
}

/// A network.
#[derive(Clone, Debug)]
pub struct Seg {
    pub id: String,
    pub vni: Option<u64>,
    /// VLAN id on the physical network; 0: untagged.
    pub vid: Option<u16>,
    pub external: bool,
    pub flood_unknown: bool,
    /// Of distributed routers.
    pub routers: Vec<Interface>,
    pub ports: Vec<PortFact>,
    pub subnets: Vec<(u32, u32)>,
    /// MTU.
    pub mtu: u16,
}

/// What is known of a cloud at one host.
#[derive(Clone, Debug)]
pub struct Facts {
    pub host: String,
    pub vtep: u32,
    pub dvr_mac: u64,
    /// Other hosts: VTEP and DVR MAC.
    pub others: Vec<(u32, u64)>,
    pub segs: Vec<Seg>,
    pub fg: Option<(u64, u32)>,
    /// Floating IPs of this host: address, fixed address.
    pub fips: Vec<(u32, u32)>,
    pub all_fips: Vec<u32>,
    pub phys: Option<String>,
}

fn v4(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(_) => panic!("the dumps have no IPv6"),
    }
}

impl Facts {
    pub fn of(cloud: &Cloud, host: &str) -> Facts {
        let me = &cloud.hosts[host];
        let vteps: BTreeMap<&str, u32> = cloud.hosts.values().map(|h| (h.name.as_str(), v4(h.vtep))).collect();
        let seg = |n: &control::model::Network| {
            let of_net = || cloud.ports.values().filter(|p| p.network_id == n.id);
            let subnets = cloud.subnets.values().filter(|s| s.network_id == n.id);
            let prefix = |s: &control::model::Subnet| (v4(s.cidr.addr()), u32::from(s.cidr.prefix_len()));
            let interface = |p: &control::model::Port| {
                let f = &p.fixed_ips[0];
                let len = u32::from(cloud.subnets[&f.subnet_id].cidr.prefix_len());
                Interface { mac: p.mac_address.to_u64(), ip: v4(f.ip_address), len }
            };
            let fact = |p: &control::model::Port| {
                let at = p.binding_host_id.as_deref().filter(|at| *at == host || p.is_active())?; // o7: else nobody has rows
                let here = if p.device_owner.starts_with("compute:") { Place::Here } else { Place::Namespace };
                Some(PortFact {
                    id: p.id.clone(),
                    mac: p.mac_address.to_u64(),
                    ips: p.fixed_ips.iter().map(|f| v4(f.ip_address)).collect(),
                    place: if at == host { here } else { Place::Away(vteps[at]) },
                    active: p.is_active(),
                    snat: p.is_router_snat(),
                })
            };
            let id = n.provider_segmentation_id;
            Seg {
                id: n.id.clone(),
                vni: id.filter(|_| n.provider_network_type == NetworkType::Vxlan).map(u64::from),
                vid: match n.provider_network_type {
                    NetworkType::Vlan => id.map(|id| id as u16),
                    NetworkType::Flat => Some(0),
                    _ => None,
                },
                external: n.router_external,
                flood_unknown: cloud.flood_unknown(n).unwrap_or(n.provider_network_type != NetworkType::Vxlan),
                routers: of_net().filter(|p| p.is_distributed_router_interface()).map(interface).collect(),
                ports: of_net().filter(|p| !p.is_distributed_router_interface()).filter_map(fact).collect(),
                subnets: subnets.map(prefix).collect(),
                mtu: n.mtu,
            }
        };
        let fg = cloud.ports.values().find(|p| p.is_fip_agent_gateway() && p.is_bound_to(host));
        let fips = cloud.floatingips.values().filter_map(|f| {
            let port = &cloud.ports[f.port_id.as_ref()?];
            port.is_bound_to(host).then_some((v4(f.floating_ip_address), v4(f.fixed_ip_address?)))
        });
        let others = cloud.hosts.values().filter(|h| h.name != host);
        Facts {
            host: host.to_owned(),
            vtep: v4(me.vtep),
            dvr_mac: me.dvr_mac.expect("a DVR MAC").to_u64(),
            others: others.map(|h| (v4(h.vtep), h.dvr_mac.expect("a DVR MAC").to_u64())).collect(),
            segs: cloud.networks.values().map(seg).collect(),
            fg: fg.map(|p| (p.mac_address.to_u64(), v4(p.fixed_ips[0].ip_address))),
            fips: fips.collect(),
            all_fips: cloud.floatingips.values().map(|f| v4(f.floating_ip_address)).collect(),
            phys: me.bridge_mappings.keys().next().cloned(),
        }
    }

    /// All addresses of routers' interfaces: each is a router's own on every network.
    pub fn router_ips(&self) -> BTreeSet<u32> {
        self.segs.iter().flat_map(|s| s.routers.iter().map(|r| r.ip)).collect()
    }

    pub fn dvr_oui(&self, mac: u64) -> bool {
        mac >> 24 == self.dvr_mac >> 24
    }
}

impl Seg {
    pub fn router_mac(&self, mac: u64) -> Option<&Interface> {
        self.routers.iter().find(|r| r.mac == mac)
    }

    pub fn router_ip(&self, ip: u32) -> Option<&Interface> {
        self.routers.iter().find(|r| r.ip == ip)
    }

    pub fn port_mac(&self, mac: u64) -> Option<&PortFact> {
        self.ports.iter().find(|p| p.mac == mac)
    }

    /// ACTIVE local ports.
    pub fn locals(&self) -> impl Iterator<Item = &PortFact> {
        self.ports.iter().filter(|p| p.place == Place::Here && p.active)
    }
}
