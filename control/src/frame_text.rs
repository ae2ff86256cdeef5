//! A frame in words: one line per layer of encapsulation.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataplane::addr::MacAddr;
use etherparse::{Icmpv4Type, Icmpv6Type, TcpSlice};
use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, LinkSlice, TransportSlice};

/// What a frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Of a VXLAN packet, what is outside.
    pub outer: Option<Outer>,
    /// The frame, or the one inside the VXLAN packet.
    pub inner: Headers,
}

/// The outside of a VXLAN packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outer {
    /// From this VTEP.
    pub src: Ipv4Addr,
    /// To this VTEP.
    pub dst: Ipv4Addr,
    /// Outer UDP source port.
    pub port: u16,
    /// The network's number.
    pub vni: u32,
}

/// The headers of an Ethernet frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Ethernet source.
    pub src: MacAddr,
    /// Ethernet destination.
    pub dst: MacAddr,
    /// IP source and destination.
    pub ip: Option<(IpAddr, IpAddr)>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// What comes after the Ethernet header, in words.
    pub payload: String,
    /// Length of the frame.
    pub len: usize,
}

impl Decoded {
    /// Reads a frame; UDP to `vxlan_port` is VXLAN.
    pub fn of(frame: &[u8], vxlan_port: u16) -> Decoded {
        match vxlan(frame, vxlan_port) {
            Some((outer, inner)) => Decoded { outer: Some(outer), inner: headers(inner) },
            None => Decoded { outer: None, inner: headers(frame) },
        }
    }

    /// One line: the outside first.
    pub fn line(&self) -> String {
        match &self.outer {
            Some(o) => format!("{}: {}", o.line(), self.inner.line()),
            None => self.inner.line(),
        }
    }
}

impl Outer {
    /// `VXLAN 172.20.0.11 > 172.20.0.12, VNI 1001`.
    pub fn line(&self) -> String {
        format!("VXLAN {} > {}, VNI {}", self.src, self.dst, self.vni)
    }
}

impl Headers {
    /// `fa:16:3e:0a:00:11 > fa:16:3e:0a:00:12, 10.1.0.11 > 10.1.0.12, TTL 64, UDP 1000 > 2000, 60 bytes`.
    pub fn line(&self) -> String {
        if self.len < 14 {
            return format!("{} bytes, too short for an Ethernet header", self.len);
        }
        format!("{} > {}, {}, {} bytes", self.src, self.dst, self.payload, self.len)
    }
}

/// Outer fields and inner frame of a VXLAN packet, by hand (RFC 7348).
fn vxlan(frame: &[u8], port: u16) -> Option<(Outer, &[u8])> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (Some(LaxNetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport) else {
        return None;
    };
    if udp.destination_port() != port || ip.is_payload_fragmented() {
        return None;
    }
    let (header, inner) = udp.payload().split_first_chunk::<8>()?;
    let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    let header = ip.header();
    let (src, dst) = (header.source_addr(), header.destination_addr());
    (udp.payload().first()? & 0x08 != 0).then_some((Outer { src, dst, port: udp.source_port(), vni }, inner))
}

fn headers(frame: &[u8]) -> Headers {
    let mut h = Headers { len: frame.len(), ..Headers::default() };
    let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else { return h };
    let Some(LinkSlice::Ethernet2(eth)) = &packet.link else { return h };
    h.src = MacAddr::new(eth.source());
    h.dst = MacAddr::new(eth.destination());
    let mut kind = eth.ether_type();
    for ext in &packet.link_exts {
        if let LaxLinkExtSlice::Vlan(tag) = ext {
            let _ = write!(h.payload, "VLAN {}, ", tag.vlan_identifier().value());
            kind = tag.ether_type();
        }
    }
    match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let x = ip.header();
            h.ip = Some((x.source_addr().into(), x.destination_addr().into()));
            h.ttl = Some(x.ttl());
            let _ = write!(h.payload, "{} > {}, TTL {}, ", x.source_addr(), x.destination_addr(), x.ttl());
            if ip.is_payload_fragmented() {
                let (at, more) = (u32::from(x.fragments_offset().value()) * 8, x.more_fragments());
                let _ = write!(h.payload, "fragment at {at}{}, ", if more { "" } else { " (last)" });
            }
            transport(&mut h.payload, packet.transport.as_ref(), ip.payload().ip_number);
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let x = ip.header();
            h.ip = Some((x.source_addr().into(), x.destination_addr().into()));
            h.ttl = Some(x.hop_limit());
            let (src, dst) = (x.source_addr(), x.destination_addr());
            let _ = write!(h.payload, "{src} > {dst}, hop limit {}, ", x.hop_limit());
            transport(&mut h.payload, packet.transport.as_ref(), ip.payload().ip_number);
        }
        Some(LaxNetSlice::Arp(_)) | None => match (kind.0, arp(frame)) {
            (0x0806, Some(words)) => h.payload.push_str(&words),
            (0x0806, None) => h.payload.push_str("malformed ARP"),
            (0x8035, _) => h.payload.push_str("RARP"),
            (0x0800, _) => h.payload.push_str("malformed IPv4"),
            (0x86dd, _) => h.payload.push_str("malformed IPv6"),
            (other, _) => {
                let _ = write!(h.payload, "EtherType {other:#06x}");
            }
        },
    }
    h
}

/// What an ARP frame for IPv4 over Ethernet says.
fn arp(frame: &[u8]) -> Option<String> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let Some(LaxNetSlice::Arp(arp)) = packet.net else { return None };
    let body: &[u8; 28] = arp.slice().first_chunk()?;
    let ip = |at: usize| body.get(at..)?.first_chunk::<4>().map(|o| Ipv4Addr::from(*o));
    let mac = |at: usize| body.get(at..)?.first_chunk::<6>().map(|o| MacAddr::new(*o));
    let (sha, spa, tpa) = (mac(8)?, ip(14)?, ip(24)?);
    match body {
        [0, 1, 8, 0, 6, 4, 0, 1, ..] if spa == tpa => Some(format!("ARP announcement: {spa} is at {sha}")),
        [0, 1, 8, 0, 6, 4, 0, 1, ..] => Some(format!("ARP request: who has {tpa}? tell {spa}")),
        [0, 1, 8, 0, 6, 4, 0, 2, ..] => Some(format!("ARP reply: {spa} is at {sha}")),
        _ => None,
    }
}

fn transport(s: &mut String, layer: Option<&TransportSlice<'_>>, protocol: etherparse::IpNumber) {
    let _ = match layer {
        Some(TransportSlice::Udp(u)) => write!(s, "UDP {} > {}", u.source_port(), u.destination_port()),
        Some(TransportSlice::Tcp(t)) => write!(s, "TCP {} > {}{}", t.source_port(), t.destination_port(), flags(t)),
        Some(TransportSlice::Icmpv4(i)) => match i.icmp_type() {
            Icmpv4Type::EchoRequest(e) => write!(s, "ICMP echo request {}", e.seq),
            Icmpv4Type::EchoReply(e) => write!(s, "ICMP echo reply {}", e.seq),
            _ => write!(s, "ICMP {}/{}", i.type_u8(), i.code_u8()),
        },
        Some(TransportSlice::Icmpv6(i)) => match (i.icmp_type(), i.type_u8()) {
            (Icmpv6Type::EchoRequest(e), _) => write!(s, "ICMPv6 echo request {}", e.seq),
            (Icmpv6Type::EchoReply(e), _) => write!(s, "ICMPv6 echo reply {}", e.seq),
            (_, 133) => write!(s, "router solicitation"),
            (_, 134) => write!(s, "router advertisement"),
            (_, 135) => write!(s, "neighbour solicitation{}", target(i.payload())),
            (_, 136) => write!(s, "neighbour advertisement{}", target(i.payload())),
            (_, kind) => write!(s, "ICMPv6 {kind}/{}", i.code_u8()),
        },
        Some(TransportSlice::Igmp(_)) => write!(s, "IGMP"),
        None => match protocol.keyword_str() {
            Some(name) => write!(s, "{name}"),
            None => write!(s, "protocol {}", protocol.0),
        },
    };
}

fn target(nd: &[u8]) -> String {
    nd.first_chunk::<16>().map(|o| format!(" for {}", Ipv6Addr::from(*o))).unwrap_or_default()
}

fn flags(t: &TcpSlice<'_>) -> String {
    let set = [(t.syn(), "SYN"), (t.fin(), "FIN"), (t.rst(), "RST"), (t.ack(), "ACK")];
    set.iter().filter(|(on, _)| *on).fold(String::new(), |all, (_, name)| all + " " + name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Capture;
    use std::path::Path;

    fn line(fixture: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures").join(fixture);
        let capture = Capture::load(&path).unwrap();
        Decoded::of(capture.get(0).unwrap().bytes, 4789).line()
    }

    #[test]
    fn frames_of_the_fixtures() {
        assert_eq!(
            line("22-ew-02-routed-to-another-host/out.tunnel.pcap"),
            "VXLAN 172.20.0.11 > 172.20.0.12, VNI 1002: fa:16:3f:00:00:01 > fa:16:3e:0b:00:12, \
             10.1.0.11 > 10.2.0.12, TTL 63, TCP 40000 > 22 SYN, 54 bytes"
        );
        assert_eq!(
            line("15-arp-01-gateway-answers/in.A1.pcap"),
            "fa:16:3e:0a:00:11 > ff:ff:ff:ff:ff:ff, ARP request: who has 10.1.0.1? tell 10.1.0.11, 42 bytes"
        );
        assert!(line("15-arp-01-gateway-answers/out.A1.pcap").contains("ARP reply: 10.1.0.1 is at fa:16:3e:0a:00:01"));
    }

    #[test]
    fn any_bytes_have_a_line() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures/05-l2-05-broadcast-from-vxlan/in.tunnel.pcap");
        let capture = Capture::load(&path).unwrap();
        let frame = capture.get(0).unwrap().bytes;
        for cut in 0..frame.len() {
            assert!(!Decoded::of(&frame[..cut], 4789).line().is_empty());
        }
        assert_eq!(Decoded::of(&[], 4789).line(), "0 bytes, too short for an Ethernet header");
    }
}
