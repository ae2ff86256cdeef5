//! Rows, indexes and addresses by the names of the resources they come from.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::MacAddr;
use dataplane::burst::Out;
use dataplane::tables::Target;
use dataplane::trace::{Field, Note, TraceRecord};

use crate::host::{Host, Names};
use crate::model::{Cloud, Network, Port};

/// Names things as one host knows them.
pub(super) struct Words<'h> {
    names: &'h Names,
    cloud: &'h Cloud,
    host: &'h str,
    /// The network the frame starts in, if its port or VNI tells.
    start: Option<u16>,
}

impl<'h> Words<'h> {
    pub(super) fn new(host: &'h Host<'_>, at: &'h str, port: &str, records: &[TraceRecord]) -> Self {
        let mut words = Words { names: host.names(), cloud: host.cloud(), host: at, start: None };
        words.start = first_seg(records).or_else(|| {
            let network = words.cloud.networks.get(&words.cloud.ports.get(port)?.network_id)?;
            words.seg_of(network)
        });
        words
    }

    pub(super) fn start(&self) -> Option<u16> {
        self.start
    }

    pub(super) fn port(&self, ix: u16) -> String {
        self.names.port(ix)
    }

    /// `host H2`.
    pub(super) fn tunnel(&self, ix: u16) -> String {
        self.names.tunnel(ix)
    }

    /// `router R1`.
    pub(super) fn router(&self, ix: u16) -> String {
        self.names.router(ix)
    }

    pub(super) fn iface(&self, ix: u16) -> String {
        self.names.iface(ix)
    }

    /// The interface is fg-, of no router.
    pub(super) fn is_fg(&self, ix: u16) -> bool {
        let port = self.names.interface_id(ix).and_then(|id| self.cloud.ports.get(id));
        port.is_some_and(Port::is_fip_agent_gateway)
    }

    /// A physical network of this host.
    pub(super) fn is_physical(&self, name: &str) -> bool {
        self.cloud.hosts.get(self.host).is_some_and(|h| h.bridge_mappings.contains_key(name))
    }

    /// This host's index of a network.
    fn seg_of(&self, network: &Network) -> Option<u16> {
        (1..u16::MAX).find(|seg| self.is_called(*seg, network))
    }

    /// `network B`.
    pub(super) fn seg(&self, ix: u16) -> String {
        self.names.seg(ix)
    }

    /// The address, and whose it is: `fa:16:3e:0b:00:12 (port B2 on host H2)`.
    pub(super) fn mac(&self, seg: Option<u16>, mac: MacAddr) -> String {
        match self.owner(seg, mac) {
            Some(owner) => format!("{mac} ({owner})"),
            None => mac.to_string(),
        }
    }

    /// Whose MAC it is.
    pub(super) fn owner(&self, seg: Option<u16>, mac: MacAddr) -> Option<String> {
        if mac == MacAddr::BROADCAST {
            return Some("everyone".to_owned());
        }
        let dvr = self.cloud.hosts.values().find(|h| h.dvr_mac == Some(mac));
        dvr.map(|h| format!("DVR MAC of host {}", h.name)).or_else(|| Some(self.plain(self.names.mac(seg?, mac)?)))
    }

    /// The address, and whose it is.
    pub(super) fn ip(&self, seg: Option<u16>, ip: u32) -> String {
        let address = Ipv4Addr::from(ip);
        match seg.and_then(|seg| self.names.address(seg, ip)) {
            Some(owner) => format!("{address} ({})", self.plain(owner)),
            None => address.to_string(),
        }
    }

    /// One way to say it: `rA of router R1`, as interfaces are called elsewhere, and `port A1, on this host`.
    fn plain(&self, owner: String) -> String {
        if let Some((name, router)) = owner.strip_prefix("router interface ").and_then(|o| o.rsplit_once(" of ")) {
            return format!("{name} of router {router}");
        }
        match owner.strip_suffix(self.host).and_then(|o| o.strip_suffix(" on host ")) {
            Some(port) => format!("{port}, on this host"),
            None => owner,
        }
    }

    /// Where a row points: `port B2`, `host H2`.
    pub(super) fn target(&self, target: Target) -> String {
        match target {
            Target::Port(ix) => format!("{}, on this host", self.port(ix)),
            Target::Tunnel(ix) => self.tunnel(ix),
            Target::Phys => "the physical network".to_owned(),
            Target::Fdb => "wherever T06 has it".to_owned(),
            Target::Snat => "the central SNAT part of a router on this host".to_owned(),
        }
    }

    /// A way out: `port B2`, `host H2`.
    pub(super) fn out(&self, out: Out) -> String {
        match out {
            Out::Port(ix) => self.port(ix),
            Out::Tunnel(ix) | Out::Unresolved(ix) => self.tunnel(ix),
            Out::Phys => "the physical network".to_owned(),
            Out::Flood(_) => "several receivers".to_owned(),
            Out::Undecided => "nobody yet".to_owned(),
        }
    }

    /// The subnet of the network that an address lies in: `10.2.0.0/24`.
    pub(super) fn subnet(&self, seg: u16, ip: u32) -> Option<String> {
        let address = IpAddr::V4(Ipv4Addr::from(ip));
        let network = self.network(seg)?;
        let mut subnets = self.cloud.subnets.values().filter(|s| s.network_id == network.id);
        subnets.find(|s| s.cidr.contains(address)).map(|s| s.cidr.to_string())
    }

    pub(super) fn network(&self, seg: u16) -> Option<&'h Network> {
        self.cloud.networks.values().find(|n| self.is_called(seg, n))
    }

    /// Port security applies to the port with this id.
    pub(super) fn is_secured(&self, port: &str) -> bool {
        let port = self.cloud.ports.get(port);
        port.is_some_and(|p| p.port_security_enabled && !p.device_owner.starts_with("network:"))
    }

    /// What the port with this id may send from, its own addresses first: `fa:16:3e:0a:00:13, 10.1.0.13`.
    pub(super) fn own_addresses(&self, port: &str) -> String {
        let Some(port) = self.cloud.ports.get(port) else { return "unknown".to_owned() };
        let fixed = port.fixed_ips.iter().map(|f| f.ip_address.to_string());
        let pairs = port.allowed_address_pairs.iter().map(|p| format!("{} with {}", p.ip_address, p.mac_address));
        std::iter::once(port.mac_address.to_string()).chain(fixed).chain(pairs).collect::<Vec<_>>().join(", ")
    }

    /// The MAC is a router interface's of the network, or lies in the DVR MACs' prefix (D7).
    pub(super) fn is_reserved(&self, seg: Option<u16>, mac: MacAddr) -> bool {
        let network = seg.and_then(|seg| self.network(seg));
        let mut ports = self.cloud.ports.values().filter(|p| p.mac_address == mac && p.is_router_interface());
        self.cloud.settings.is_dvr_mac(mac) || ports.any(|p| network.is_some_and(|n| n.id == p.network_id))
    }

    /// Underlay MTU of this host.
    pub(super) fn underlay_mtu(&self) -> Option<u16> {
        self.cloud.hosts.get(self.host).map(|h| h.underlay_mtu)
    }

    fn is_called(&self, seg: u16, network: &Network) -> bool {
        let name = self.names.seg(seg);
        let name = name.strip_prefix("network ").unwrap_or(&name);
        name == network.id || !network.name.is_empty() && name == network.name
    }
}

/// The network the records say the frame starts in.
fn first_seg(records: &[TraceRecord]) -> Option<u16> {
    use dataplane::stage::Stage;
    let routed = records.iter().find_map(|r| match r.note {
        Note::Set(Field::Seg, old, _) => Some(old as u16),
        _ => None,
    });
    routed.or_else(|| {
        records.iter().find_map(|r| match r.note {
            Note::Vni(_, seg) | Note::Fdb(seg, ..) => Some(seg),
            Note::Neigh(seg, ..) if r.stage != Stage::Qrouter => Some(seg),
            _ => None,
        })
    })
}
