//! What the cloud says of one host, worked out here a second time from the model: the checks must not believe
//! the rows they check.

use control::model::{AgentMode, Cloud, IpNet, NetworkType, Port, PortStatus};
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
    /// Physical networks it is on.
    pub phys: BTreeSet<String>,
}

/// A network.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Of a VXLAN network.
    pub vni: Option<u32>,
    /// Of a VLAN or flat network: the physical network, and the VLAN id, 0 if it is flat.
    pub phys: Option<(String, u16)>,
    /// Floating IPs are here.
    pub external: bool,
    /// Address scope of IPv4.
    pub scope: Option<String>,
    /// This host is the gateway of its physical machines (V4).
    pub gateway_here: bool,
    /// This host's port for floating IPs.
    pub fg: Option<(Mac, Ipv4Addr)>,
    /// This host's fg- and qg- ports.
    pub own_external: BTreeSet<Mac>,
    /// IPv4 blocks.
    pub subnets: Vec<IpNet>,
    /// Gateways of the subnets.
    pub gateways: BTreeSet<Ipv4Addr>,
    /// Who has an address: router interfaces, bound ports (of other hosts while active), neighbours of the model.
    pub owners: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// Who may have an address by an address pair, if nobody owns it.
    pub candidates: BTreeMap<IpAddr, BTreeSet<Mac>>,
    /// Addresses of sg- ports.
    pub sg: BTreeSet<Ipv4Addr>,
    /// Hosts of ports with these fixed addresses, while active.
    pub bound: BTreeMap<IpAddr, String>,
    /// Addresses that have a row of their own or a candidate for it: never asked for.
    pub known: BTreeSet<IpAddr>,
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
    /// Networks that are routers away, itself included.
    pub reach: BTreeSet<String>,
}

impl Net {
    /// Whose MAC the model has for an address: a fixed one, or else those of candidates.
    pub fn macs_of(&self, ip: IpAddr) -> Option<&BTreeSet<Mac>> {
        self.owners.get(&ip).or_else(|| self.candidates.get(&ip))
    }
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

/// A distributed router's interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its network.
    pub network: String,
    /// Its MAC.
    pub mac: Mac,
    /// Its IPv4 addresses, each with its subnet.
    pub ips: Vec<(Ipv4Addr, IpNet)>,
}

/// A distributed router.
#[derive(Clone, Debug, Default)]
pub struct Router {
    /// Its interfaces.
    pub interfaces: Vec<Interface>,
    /// Prefixes of its extra routes.
    pub routes: Vec<IpNet>,
}

impl Router {
    /// Its IPv4 addresses, each with its subnet.
    pub fn ips(&self) -> impl Iterator<Item = &(Ipv4Addr, IpNet)> {
        self.interfaces.iter().flat_map(|i| &i.ips)
    }

    /// R4-1: connected, or by an extra route.
    pub fn has_route(&self, to: IpAddr) -> bool {
        self.ips().any(|(_, net)| net.contains(to)) || self.routes.iter().any(|net| net.contains(to))
    }
}

/// A floating IP that this host translates.
#[derive(Clone, Debug)]
pub struct Floating {
    /// The external network.
    pub outside: String,
    /// The network of its port.
    pub inside: String,
    /// Its router.
    pub router: String,
    /// Outside.
    pub floating: Ipv4Addr,
    /// Inside.
    pub fixed: Ipv4Addr,
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
    /// Physical networks of this host.
    pub phys: BTreeSet<String>,
    /// Distributed routers by id.
    pub routers: BTreeMap<String, Router>,
    /// What this host translates.
    pub fips: Vec<Floating>,
    /// Next hops of extra routes.
    pub next_hops: BTreeSet<Ipv4Addr>,
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
            phys: h.bridge_mappings.keys().cloned().collect(),
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
            nets: nets(cloud, name),
            phys: me.bridge_mappings.keys().cloned().collect(),
            routers: routers(cloud),
            fips: if me.agent_mode == AgentMode::DvrNoExternal { Vec::new() } else { fips(cloud, name) },
            next_hops: cloud.routers.values().flat_map(|r| &r.routes).filter_map(|r| only_v4(r.nexthop)).collect(),
            ports: cloud.ports.values().filter(|p| bound(p, name)).map(|p| (p.id.clone(), local(p))).collect(),
        }
    }

    /// The network of a VNI.
    pub fn of_vni(&self, vni: u32) -> Option<(&str, &Net)> {
        self.nets.iter().find(|(_, n)| n.vni == Some(vni)).map(|(id, n)| (id.as_str(), n))
    }

    /// The network of a frame on a physical network; VLAN id 0: untagged.
    pub fn of_vlan(&self, phys: &str, vid: u16) -> Option<(&str, &Net)> {
        let on = |n: &Net| n.phys.as_ref().is_some_and(|(name, id)| name == phys && *id == vid);
        self.nets.iter().find(|(_, n)| on(n)).map(|(id, n)| (id.as_str(), n))
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

fn only_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// FI, R4-2: distributed, and of a port here.
fn fips(cloud: &Cloud, host: &str) -> Vec<Floating> {
    let here = |p: &Port| p.binding_host_id.as_deref() == Some(host) && p.device_owner.starts_with("compute:");
    let distributed = |id: &str| cloud.routers.get(id).is_some_and(|r| r.distributed);
    let one = |f: &control::model::FloatingIp| {
        let port = cloud.ports.get(f.port_id.as_ref()?).filter(|p| here(p))?;
        Some(Floating {
            outside: f.floating_network_id.clone(),
            inside: port.network_id.clone(),
            router: f.router_id.clone().filter(|r| distributed(r))?,
            floating: only_v4(f.floating_ip_address)?,
            fixed: only_v4(f.fixed_ip_address?)?,
        })
    };
    cloud.floatingips.values().filter_map(one).collect()
}

fn routers(cloud: &Cloud) -> BTreeMap<String, Router> {
    let mut routers: BTreeMap<String, Router> = BTreeMap::new();
    for port in cloud.ports.values().filter(|p| p.device_owner.ends_with("_distributed")) {
        let subnet = |id: &str| cloud.subnets.get(id).map(|s| s.cidr);
        let ips = port.fixed_ips.iter().filter_map(|f| Some((only_v4(f.ip_address)?, subnet(&f.subnet_id)?)));
        let (network, mac) = (port.network_id.clone(), port.mac_address.octets());
        let interface = Interface { network, mac, ips: ips.collect() };
        routers.entry(port.device_id.clone()).or_default().interfaces.push(interface);
    }
    for (id, router) in &mut routers {
        router.routes = cloud.routers.get(id).map_or(Vec::new(), |r| r.routes.iter().map(|r| r.destination).collect());
    }
    routers
}

/// What a port says of its network: who has which address, and the host's own ports on an external one.
fn addresses(net: &mut Net, port: &Port, host: &str) {
    let mac = port.mac_address.octets();
    let here = port.binding_host_id.as_deref() == Some(host);
    let interface = port.device_owner.ends_with("_distributed");
    let bound = port.binding_host_id.as_deref().filter(|h| !h.is_empty());
    let fixed = || port.fixed_ips.iter().map(|f| f.ip_address);
    if interface || here || bound.is_some() && active(port) {
        for ip in fixed() {
            net.owners.entry(ip).or_default().insert(mac);
        }
        // Router-owned ports and those of floating IPs on an external network may be asked for as any other machine's.
        if !(port.is_router_gateway() || port.is_fip_agent_gateway()) {
            net.known.extend(fixed());
        }
    }
    if let (true, Some(bound)) = (active(port), bound) {
        net.bound.extend(fixed().map(|ip| (ip, bound.to_owned())));
        let single = |p: &control::model::AddressPair| p.ip_address == IpNet::host(p.ip_address.addr());
        for pair in port.allowed_address_pairs.iter().filter(|p| single(p)) {
            net.known.insert(pair.ip_address.addr());
            net.candidates.entry(pair.ip_address.addr()).or_default().insert(pair.mac_address.octets());
        }
    }
    if port.is_router_snat() {
        net.sg.extend(fixed().filter_map(only_v4));
    }
    if here && port.is_fip_agent_gateway() {
        net.fg = port.fixed_ips.iter().find_map(|f| Some((mac, only_v4(f.ip_address)?)));
    }
    if here && (port.is_fip_agent_gateway() || port.is_router_gateway()) {
        net.own_external.insert(mac);
    }
}

fn nets(cloud: &Cloud, host: &str) -> BTreeMap<String, Net> {
    let mut nets: BTreeMap<String, Net> = BTreeMap::new();
    for n in cloud.networks.values() {
        let vni = match n.provider_network_type {
            NetworkType::Vxlan => n.provider_segmentation_id,
            _ => None,
        };
        let vid = match n.provider_network_type {
            NetworkType::Vlan => n.provider_segmentation_id.and_then(|id| u16::try_from(id).ok()),
            NetworkType::Flat => Some(0),
            _ => None,
        };
        let net = Net {
            vni,
            phys: n.provider_physical_network.clone().zip(vid),
            external: n.router_external,
            scope: n.ipv4_address_scope.clone(),
            gateway_here: n.dvrd.phys_gw_host.as_deref() == Some(host),
            mtu: n.mtu.into(),
            transparent: n.vlan_transparent,
            ..Net::default()
        };
        nets.insert(n.id.clone(), net);
    }
    for subnet in cloud.subnets.values().filter(|s| s.ip_version == 4) {
        let net = nets.get_mut(&subnet.network_id).expect("a subnet has a network");
        net.subnets.push(subnet.cidr);
        net.gateways.extend(subnet.gateway_ip.and_then(only_v4));
    }
    let interfaces: Vec<&Port> = cloud.ports.values().filter(|p| p.device_owner.ends_with("_distributed")).collect();
    for port in &interfaces {
        let net = nets.get_mut(&port.network_id).expect("a port has a network");
        net.router_macs.insert(port.mac_address.octets());
        net.router_ips.extend(port.fixed_ips.iter().map(|f| f.ip_address));
    }
    for port in cloud.ports.values() {
        let net = nets.get_mut(&port.network_id).expect("a port has a network");
        addresses(net, port, host);
        let machine = port.device_owner.starts_with("compute:") || port.is_dhcp() || port.is_router_snat();
        if let (true, Some(host)) = (machine && active(port), &port.binding_host_id) {
            net.homes.insert(port.mac_address.octets(), (host.clone(), port.id.clone()));
        }
    }
    for n in cloud.neighbors.values() {
        let net = nets.get_mut(&n.network_id).expect("a neighbor has a network");
        net.known.insert(n.ip_address);
        net.owners.entry(n.ip_address).or_default().insert(n.mac_address.octets());
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
