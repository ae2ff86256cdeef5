//! What is asked of the machine: by `dvrd.toml` and the cloud.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use crate::daemon::config::{Config, Interface, Workers};
use crate::model::{Cloud, NetworkType};
use crate::rows::Placement;
use crate::rows::derive::v4;

/// What an interface is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// It leads to the other hosts.
    Underlay,
    /// It leads to this physical network.
    Physical(String),
    /// It is this port's.
    Port(String),
    /// Nobody said.
    Any,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Use::Underlay => f.write_str("underlay"),
            Use::Physical(name) => write!(f, "physical network {name}"),
            Use::Port(id) => write!(f, "port {id}"),
            Use::Any => f.write_str("interface"),
        }
    }
}

/// A network with its MTU.
pub type NetworkMtu = (String, u32);

/// An interface, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Which.
    pub interface: Interface,
    /// What for.
    pub used: Use,
    /// Workers that need a queue of it.
    pub workers: u32,
    /// The cores they are pinned to; none: they are not, or it is a port, whose worker may be any.
    pub cores: Option<Vec<usize>>,
    /// Networks whose packets it carries; none: no cloud was given.
    pub networks: Option<Vec<NetworkMtu>>,
    /// What else it is for.
    pub also: Vec<Use>,
    /// Of the underlay: this host's VTEP, and the UDP port of VXLAN; none: no cloud was given.
    pub vtep: Option<(Ipv4Addr, u16)>,
}

impl Subject {
    /// What is asked of it by the cloud on this host; none: no cloud was given.
    pub fn new(interface: &Interface, used: Use, workers: u32, cloud: Option<(&Cloud, &str)>) -> Self {
        let networks = cloud.map(|(cloud, host)| networks(cloud, host, &used));
        let vtep = cloud.filter(|_| used == Use::Underlay).and_then(|(cloud, host)| vtep(cloud, host));
        let interface = interface.clone();
        Subject { interface, used, workers, cores: None, networks, also: Vec::new(), vtep }
    }
}

/// What is asked of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// `[workers]`.
    pub workers: Workers,
    /// Interfaces that are taken: packet memory is registered with each.
    pub interfaces: usize,
    /// Of those, ports.
    pub ports: usize,
    /// Some are in namespaces that the configuration names.
    pub namespaces: bool,
}

impl Needs {
    /// Of a configuration; without a cloud, of the ports it names.
    pub fn of(config: &Config, cloud: Option<&Cloud>) -> Self {
        let subjects = subjects(config, cloud);
        let ports = subjects.iter().filter(|s| matches!(s.used, Use::Port(_))).count();
        let namespaces = subjects.iter().any(|s| s.interface.netns.is_some());
        // One that is for several is taken once.
        let interfaces = subjects.iter().map(|s| &s.interface).collect::<BTreeSet<_>>().len();
        Needs { workers: config.workers.clone(), interfaces, ports, namespaces }
    }
}

/// Interfaces of a configuration: underlay, physical networks, ports. Without a cloud those it names.
pub fn subjects(config: &Config, cloud: Option<&Cloud>) -> Vec<Subject> {
    let workers = config.workers.count.into();
    let here = cloud.map(|cloud| (cloud, config.host.as_str()));
    let of = |interface: &Interface, used, workers| Subject::new(interface, used, workers, here);
    let nic = |interface: &Interface, used| {
        let cores = config.workers.cores.clone();
        Subject { cores, ..of(interface, used, workers) }
    };
    let mut all = vec![nic(&config.underlay, Use::Underlay)];
    let physical = config.physical_networks.iter();
    all.extend(physical.map(|p| nic(&p.interface, Use::Physical(p.name.clone()))));
    match cloud {
        Some(cloud) => all.extend(config.attachments(cloud).map(|a| of(&a.interface, Use::Port(a.port), 1))),
        None => all.extend(config.ports.iter().map(|p| of(&p.interface, Use::Port(p.port.clone()), 1))),
    }
    let uses: Vec<(Interface, Use)> = all.iter().map(|s| (s.interface.clone(), s.used.clone())).collect();
    for subject in &mut all {
        let others = uses.iter().filter(|(interface, used)| *interface == subject.interface && *used != subject.used);
        subject.also = others.map(|(_, used)| used.clone()).collect();
    }
    all
}

/// A host's tunnel address, and the UDP port of VXLAN.
pub fn vtep(cloud: &Cloud, host: &str) -> Option<(Ipv4Addr, u16)> {
    let vtep = cloud.hosts.get(host).and_then(|h| v4(h.vtep)).map(Ipv4Addr::from_bits)?;
    Some((vtep, cloud.settings.vxlan_port))
}

/// Networks whose packets go over an interface of this host, with their MTU.
pub fn networks(cloud: &Cloud, host: &str, used: &Use) -> Vec<NetworkMtu> {
    let here = match used {
        Use::Underlay => Placement::of(cloud).networks,
        _ => BTreeMap::new(),
    };
    let is_here = |id: &str| here.get(id).is_some_and(|hosts| hosts.contains(host));
    let carried = cloud.networks.values().filter(|n| match used {
        Use::Underlay => n.provider_network_type == NetworkType::Vxlan && is_here(&n.id),
        Use::Physical(name) => n.provider_physical_network.as_ref() == Some(name),
        Use::Port(id) => cloud.ports.get(id).is_some_and(|p| p.network_id == n.id),
        Use::Any => false,
    });
    carried.map(|n| (if n.name.is_empty() { &n.id } else { &n.name }.clone(), n.mtu.into())).collect()
}
