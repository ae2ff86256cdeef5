//! The frames the demo's machines send, built with etherparse: nothing of the pipeline is used to make its own input.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::MacAddr;
use etherparse::{
    ArpEthIpv4Packet, ArpOperation, Icmpv4Slice, LaxNetSlice, LaxSlicedPacket, PacketBuilder, TransportSlice,
};

use crate::cli::Failure;
use crate::model::Cloud;

/// The addresses of a VM, or of another machine.
pub(super) struct Vm {
    pub(super) mac: MacAddr,
    pub(super) ip: Ipv4Addr,
}

impl Vm {
    /// From its port in the cloud.
    pub(super) fn of(cloud: &Cloud, port: &str) -> Result<Vm, Failure> {
        let port = cloud.port_by_name(port).map_err(|e| Failure::new(format!("demo: {e}")))?;
        let ip = port.fixed_ips.iter().find_map(|f| v4(f.ip_address));
        let ip = ip.ok_or_else(|| Failure::new(format!("demo: port {} has no IPv4 address", port.id)))?;
        Ok(Vm { mac: port.mac_address, ip })
    }

    /// Who has `target`?
    pub(super) fn arp_request(&self, target: Ipv4Addr) -> Vec<u8> {
        let arp = ArpEthIpv4Packet {
            operation: ArpOperation::REQUEST,
            sender_mac: self.mac.octets(),
            sender_ipv4: self.ip.octets(),
            target_mac: [0; 6],
            target_ipv4: target.octets(),
        };
        let builder = PacketBuilder::ethernet2(self.mac.octets(), [0xff; 6]).arp(arp.into());
        written(|frame| builder.write(frame).is_ok())
    }

    /// A ping, through the router with this MAC.
    pub(super) fn echo_request(&self, router: MacAddr, to: &Vm) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(self.mac.octets(), router.octets())
            .ipv4(self.ip.octets(), to.ip.octets(), 64)
            .icmpv4_echo_request(1, 1);
        written(|frame| builder.write(frame, b"dvrd").is_ok())
    }
}

/// What a VM sends back for an echo request: through the router it came from.
pub(super) fn echo_reply(request: &[u8]) -> Result<Vec<u8>, Failure> {
    let bad = || Failure::new("demo: what arrived is no echo request");
    let packet = LaxSlicedPacket::from_ethernet(request).map_err(|_| bad())?;
    let eth = request.first_chunk::<12>().ok_or_else(bad)?;
    let (Some(LaxNetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) = (&packet.net, &packet.transport) else {
        return Err(bad());
    };
    let (to, from) = (octets(eth, 6), octets(eth, 0));
    let (id, sequence) = echo(icmp).ok_or_else(bad)?;
    let (src, dst) = (ip.header().destination(), ip.header().source());
    let builder = PacketBuilder::ethernet2(from, to).ipv4(src, dst, 64).icmpv4_echo_reply(id, sequence);
    Ok(written(|frame| builder.write(frame, icmp.payload()).is_ok()))
}

/// The frame with the 802.1Q tag of a network.
pub(super) fn tagged(frame: &[u8], vid: u16) -> Vec<u8> {
    let (eth, rest) = frame.split_at(frame.len().min(12));
    [eth, &[0x81, 0], &vid.to_be_bytes(), rest].concat()
}

/// Ethernet destination of a frame.
pub(super) fn receiver(frame: &[u8]) -> Result<MacAddr, Failure> {
    let eth = frame.first_chunk::<12>().ok_or_else(|| Failure::new("demo: the frame is too short"))?;
    Ok(MacAddr::new(octets(eth, 0)))
}

/// Ethernet source of a frame.
pub(super) fn sender(frame: &[u8]) -> Result<MacAddr, Failure> {
    let eth = frame.first_chunk::<12>().ok_or_else(|| Failure::new("demo: the frame is too short"))?;
    Ok(MacAddr::new(octets(eth, 6)))
}

/// The gateway of a port's first IPv4 subnet.
pub(super) fn gateway(cloud: &Cloud, port: &str) -> Result<Ipv4Addr, Failure> {
    let port = cloud.port_by_name(port).map_err(|e| Failure::new(format!("demo: {e}")))?;
    let gateways = port.fixed_ips.iter().filter_map(|f| v4(cloud.subnets.get(&f.subnet_id)?.gateway_ip?));
    gateways.into_iter().next().ok_or_else(|| Failure::new(format!("demo: port {} has no gateway", port.id)))
}

fn echo(icmp: &Icmpv4Slice<'_>) -> Option<(u16, u16)> {
    match icmp.icmp_type() {
        etherparse::Icmpv4Type::EchoRequest(e) => Some((e.id, e.seq)),
        _ => None,
    }
}

fn octets(eth: &[u8; 12], at: usize) -> [u8; 6] {
    eth.get(at..).and_then(|rest| rest.first_chunk::<6>()).copied().unwrap_or_default()
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// Writing to memory does not fail; a frame that could not be made is empty and the demo says so.
fn written(write: impl FnOnce(&mut Vec<u8>) -> bool) -> Vec<u8> {
    let mut frame = Vec::new();
    if write(&mut frame) { frame } else { Vec::new() }
}
