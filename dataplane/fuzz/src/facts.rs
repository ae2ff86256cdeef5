//! What the cloud says of one host, worked out here a second time from the model: the checks must not believe
//! the rows they check.

use control::model::{Cloud, IpNet, NetworkType, Port, PortStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Another host.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// MAC of its VTEP.
    pub nic: Option<Mac>,
    /// Source of what it has routed.
    pub dvr: Option<Mac>,
}

/// A network.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Of a VXLAN network.
    pub vni: Option<u32>,
    /// Bytes of an IP packet.
    pub mtu: usize,
    /// Tagged frames pass.
    pub transparent: bool,
    /// MACs of its distributed router interfaces.
    pub router_macs: BTreeSet<Mac>,
    /// Their addresses.
    pub router_ips: BTreeSet<IpAddr>,
    /// Where the MACs are that traffic cannot move: of active ports that routers do not own. Host and port id.
    pub homes: BTreeMap<Mac, (String, String)>,
    /// Every MAC the model has here.
    pub macs: BTreeSet<Mac>,
    /// Networks that are routers away, itself included.
    pub reach: BTreeSet<String>,
}

/// A port of this host.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its network.
    pub network: String,
    /// Its MAC.
    pub mac: Mac,
    /// ACTIVE and admin state up.
    pub active: bool,
    /// Port security.
    pub secured: bool,
    /// Whom it may pose as.
    pub allowed: Vec<(Mac, IpNet)>,
}

/// See the module text.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// This host's VTEP.
    pub vtep: Ipv4Addr,
    /// Its MAC.
    pub nic: Mac,
    /// This host's DVR MAC.
    pub dvr: Mac,
    /// First three octets of every DVR MAC.
    pub oui: [u8; 3],
    /// Largest outer IP packet.
    pub underlay_mtu: usize,
    /// By VTEP.
    pub peers: BTreeMap<Ipv4Addr, Peer>,
    /// By id.
    pub nets: BTreeMap<String, Net>,
    /// By id.
    pub ports: BTreeMap<String, Local>,
}

fn v4(ip: IpAddr) -> Ipv4Addr {
    match ip {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("the fuzzed clouds have an IPv4 underlay, not {ip}"),
    }
}

impl Facts {
    /// Of host `name`, which is there.
    pub fn new(cloud: &Cloud, name: &str) -> Facts {
        let me = &cloud.hosts[name];
        let others = cloud.hosts.values().filter(|h| h.name != name);
        let peer = |h: &control::model::Host| Peer {
            name: h.name.clone(),
            nic: h.vtep_mac.map(|m| m.octets()),
            dvr: h.dvr_mac.map(|m| m.octets()),
        };
        let [o0, o1, o2, ..] = cloud.settings.dvr_base_mac.octets();
        Facts {
            name: name.to_owned(),
            vtep: v4(me.vtep),
            nic: me.vtep_mac.expect("the fuzzed clouds name it").octets(),
            dvr: me.dvr_mac.expect("the fuzzed clouds name it").octets(),
            oui: [o0, o1, o2],
            underlay_mtu: me.underlay_mtu.into(),
            peers: others.map(|h| (v4(h.vtep), peer(h))).collect(),
            nets: nets(cloud),
            ports: cloud.ports.values().filter(|p| bound(p, name)).map(|p| (p.id.clone(), local(p))).collect(),
        }
    }

    /// The network of a VNI.
    pub fn of_vni(&self, vni: u32) -> Option<(&str, &Net)> {
        self.nets.iter().find(|(_, n)| n.vni == Some(vni)).map(|(id, n)| (id.as_str(), n))
    }

    /// A DVR MAC, registered or not.
    pub fn is_dvr(&self, mac: &Mac) -> bool {
        mac[..3] == self.oui
    }
}

/// VMs and services of this host; what routers own has no port here.
fn bound(port: &Port, host: &str) -> bool {
    port.binding_host_id.as_deref() == Some(host) && (port.device_owner.starts_with("compute:") || port.is_dhcp())
}

fn active(port: &Port) -> bool {
    port.status == PortStatus::Active && port.admin_state_up
}

fn local(port: &Port) -> Local {
    let mac = port.mac_address.octets();
    let exact = IpNet::host;
    let mut allowed: Vec<(Mac, IpNet)> = port.fixed_ips.iter().map(|f| (mac, exact(f.ip_address))).collect();
    allowed.extend(port.allowed_address_pairs.iter().map(|p| (p.mac_address.octets(), p.ip_address)));
    let macs: BTreeSet<Mac> = allowed.iter().map(|(mac, _)| *mac).chain([mac]).collect();
    allowed.extend(macs.into_iter().map(|mac| (mac, exact(link_local(mac).into()))));
    Local { network: port.network_id.clone(), mac, active: active(port), secured: port.port_security_enabled, allowed }
}

/// The address a machine makes of its MAC (RFC 4291, 2.5.1).
fn link_local([a, b, c, d, e, f]: Mac) -> Ipv6Addr {
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

fn nets(cloud: &Cloud) -> BTreeMap<String, Net> {
    let mut nets: BTreeMap<String, Net> = BTreeMap::new();
    for n in cloud.networks.values() {
        let vni = match n.provider_network_type {
            NetworkType::Vxlan => n.provider_segmentation_id,
            _ => None,
        };
        let (mtu, transparent) = (n.mtu.into(), n.vlan_transparent);
        nets.insert(n.id.clone(), Net { vni, mtu, transparent, ..Net::default() });
    }
    let interfaces: Vec<&Port> = cloud.ports.values().filter(|p| p.device_owner.ends_with("_distributed")).collect();
    for port in &interfaces {
        let net = nets.get_mut(&port.network_id).expect("a port has a network");
        net.router_macs.insert(port.mac_address.octets());
        net.router_ips.extend(port.fixed_ips.iter().map(|f| f.ip_address));
    }
    for port in cloud.ports.values() {
        let net = nets.get_mut(&port.network_id).expect("a port has a network");
        net.macs.insert(port.mac_address.octets());
        net.macs.extend(port.allowed_address_pairs.iter().map(|p| p.mac_address.octets()));
        let machine = port.device_owner.starts_with("compute:") || port.is_dhcp() || port.is_router_snat();
        if let (true, Some(host)) = (machine && active(port), &port.binding_host_id) {
            net.homes.insert(port.mac_address.octets(), (host.clone(), port.id.clone()));
        }
    }
    for n in cloud.neighbors.values() {
        nets.get_mut(&n.network_id).expect("a neighbor has a network").macs.insert(n.mac_address.octets());
    }
    for id in cloud.networks.keys() {
        let mut reach = BTreeSet::from([id.clone()]);
        loop {
            let routers: BTreeSet<&str> =
                interfaces.iter().filter(|p| reach.contains(&p.network_id)).map(|p| p.device_id.as_str()).collect();
            let more = interfaces.iter().filter(|p| routers.contains(p.device_id.as_str()));
            let grown: BTreeSet<String> = more.map(|p| p.network_id.clone()).chain([id.clone()]).collect();
            if grown.len() <= reach.len() {
                break;
            }
            reach = grown;
        }
        nets.get_mut(id).expect("inserted above").reach = reach;
    }
    nets
}
