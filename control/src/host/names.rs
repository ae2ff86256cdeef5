//! Indexes and addresses in the operator's words.

use crate::model::Cloud;
use crate::writer::{Indexes, Writer};
use dataplane::addr::MacAddr;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Words for row indexes, as of the last batch.
#[derive(Clone, Debug)]
pub struct Names {
    indexes: Indexes,
    /// Names of resources that have one beside their id.
    networks: BTreeMap<String, String>,
    ports: BTreeMap<String, String>,
    routers: BTreeMap<String, String>,
    /// Router of an interface port.
    router_of: BTreeMap<String, String>,
    dvr_macs: BTreeMap<MacAddr, String>,
    macs: BTreeMap<(String, MacAddr), String>,
    addresses: BTreeMap<(String, IpAddr), String>,
}

impl Names {
    pub(super) fn new(cloud: &Cloud, writer: &Writer) -> Self {
        let call = |id: &String, name: &String| (id.clone(), if name.is_empty() { id.clone() } else { name.clone() });
        let mut names = Names {
            indexes: writer.indexes().clone(),
            networks: cloud.networks.values().map(|n| call(&n.id, &n.name)).collect(),
            ports: cloud.ports.values().map(|p| call(&p.id, &p.name)).collect(),
            routers: cloud.routers.values().map(|r| call(&r.id, &r.name)).collect(),
            router_of: BTreeMap::new(),
            dvr_macs: cloud.hosts.values().filter_map(|h| Some((h.dvr_mac?, h.name.clone()))).collect(),
            macs: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        for port in cloud.ports.values() {
            let name = names.ports.get(&port.id).cloned().unwrap_or_default();
            let what = if port.is_router_interface() {
                names.router_of.insert(port.id.clone(), port.device_id.clone());
                format!("router interface {name} of {}", names.routers.get(&port.device_id).unwrap_or(&port.device_id))
            } else {
                match port.binding_host_id.as_deref().filter(|_| port.is_bound()) {
                    Some(host) => format!("port {name} on host {host}"),
                    None => format!("port {name}, not bound"),
                }
            };
            for ip in &port.fixed_ips {
                names.addresses.insert((port.network_id.clone(), ip.ip_address), what.clone());
            }
            names.macs.insert((port.network_id.clone(), port.mac_address), what);
        }
        names
    }

    /// `port A1`.
    pub fn port(&self, ix: u16) -> String {
        format!("port {}", word(self.indexes.port_name(ix), &self.ports, ix))
    }

    /// The id of a local port: its name in files.
    pub fn port_id(&self, ix: u16) -> Option<&str> {
        self.indexes.port_name(ix)
    }

    /// `network A`.
    pub fn seg(&self, ix: u16) -> String {
        format!("network {}", word(self.indexes.segment_name(ix), &self.networks, ix))
    }

    /// `host H2`.
    pub fn tunnel(&self, ix: u16) -> String {
        format!("host {}", self.indexes.tunnel_name(ix).map_or_else(|| format!("#{ix}"), str::to_owned))
    }

    /// `router R1`.
    pub fn router(&self, ix: u16) -> String {
        format!("router {}", word(self.indexes.router_name(ix), &self.routers, ix))
    }

    /// `rA of router R1`.
    pub fn iface(&self, ix: u16) -> String {
        let id = self.indexes.interface_name(ix);
        let router = id.and_then(|id| self.router_of.get(id));
        let router = router.map(|r| self.routers.get(r).unwrap_or(r));
        let name = word(id, &self.ports, ix);
        router.map_or(name.clone(), |r| format!("{name} of router {r}"))
    }

    /// The port that a router interface or fg- is, by id.
    pub fn interface_id(&self, ix: u16) -> Option<&str> {
        self.indexes.interface_name(ix)
    }

    /// Whose MAC it is in a network: `port A2 on host H2`, `router interface rA of R1`, `DVR MAC of host H2`.
    pub fn mac(&self, seg: u16, mac: MacAddr) -> Option<String> {
        if let Some(host) = self.dvr_macs.get(&mac) {
            return Some(format!("DVR MAC of host {host}"));
        }
        let network = self.indexes.segment_name(seg)?;
        self.macs.get(&(network.to_owned(), mac)).cloned()
    }

    /// Whose IPv4 address it is in a network.
    pub fn address(&self, seg: u16, ip: u32) -> Option<String> {
        let network = self.indexes.segment_name(seg)?;
        self.addresses.get(&(network.to_owned(), IpAddr::V4(ip.into()))).cloned()
    }
}

fn word(id: Option<&str>, names: &BTreeMap<String, String>, ix: u16) -> String {
    let name = id.map(|id| names.get(id).map_or(id, String::as_str));
    name.map_or_else(|| format!("#{ix}"), str::to_owned)
}
