//! Frames that come by tunnel or from a port of this host, and layer 2.

use super::frame::{ARP, IPV4, IPV6, RARP, about_router, arp, dhcp_server, icmp6};
use super::{Case, Check, Eth, Inside, Way, eth, header_sum_good, must};
use crate::facts::{Facts, Local, Mac, Net};
use etherparse::{IpNumber, Ipv4HeaderSlice, Ipv4Slice, Ipv6HeaderSlice, UdpSlice};
use std::net::IpAddr;

impl Case<'_> {
    // From the tunnel.

    pub(super) fn by_tunnel(&self, from: &Inside<'_>, input: &Eth<'_>, to: &Inside<'_>, out: &Eth<'_>) -> Check {
        let (Way::Tunnel(peer, ecn), f, net) = (from.way, self.facts, from.net) else { return Err("no tunnel") };
        must(matches!(to.way, Way::Port(_)), "tunnel to tunnel or to a physical network (L1, T5)")?;
        must(to.network == from.network, "from one network's VNI to another network's port")?;
        must(out.dst == input.dst && out.kind == input.kind, "a bridged frame changed")?;
        self.for_receiver(to, out.dst)?;
        self.at_home(to, out.dst)?;
        must(input.src != f.dvr, "own DVR MAC from the fabric (T3)")?;
        must(!net.router_macs.contains(&input.src), "router MAC from the fabric (T3)")?;
        must(!net.router_macs.contains(&input.dst), "to a router MAC from the fabric (T5)")?;
        let local = f.ports.values().any(|p| p.active && p.network == from.network && p.mac == input.src);
        must(!local, "MAC of a local port from the fabric (T3)")?;
        must(!about_router(input, net), "ARP, ND or RA about a router from the fabric (T3, D10)")?;
        if f.is_dvr(&input.src) {
            must(peer.dvr == Some(input.src), "DVR MAC from another host's VTEP (T3, D8)")?;
            routed_elsewhere(input, net, out)?;
        } else {
            must(out.src == input.src, "a bridged source changed")?;
        }
        ecn_carried(input, out, ecn)
    }

    // From a port of this host.

    pub(super) fn by_port(
        &self,
        port: &Local,
        from: &Inside<'_>,
        input: &Eth<'_>,
        to: &Inside<'_>,
        out: &Eth<'_>,
    ) -> Check {
        let tagged = matches!(input.kind, 0x8100 | 0x88a8);
        must(!tagged || from.net.transparent, "a tagged frame (I1)")?;
        self.may_send(port, from.net, input, tagged)?;
        if self.arp_answer(from, input, to, out)? {
            return Ok(());
        }
        if from.net.router_macs.contains(&input.dst) || from.net.fg.is_some_and(|(mac, _)| mac == input.dst) {
            return self.routed(from, input, to, out);
        }
        must(to.network == from.network, "bridged from one network into another")?;
        must(self.out.port != self.cause().port, "bridged back to its sender (L1)")?;
        must(out.bytes == from.bytes, "a bridged frame changed")?;
        let stays = matches!(to.way, Way::Port(_)) || !about_router(out, to.net);
        must(stays, "ARP, ND or RA about a router leaves the host (D10)")?;
        self.at_home(to, out.dst)?;
        self.for_receiver(to, out.dst)
    }

    /// I2 and I2-ps.
    fn may_send(&self, port: &Local, net: &Net, input: &Eth<'_>, tagged: bool) -> Check {
        let f = self.facts;
        let reserved = |mac: &Mac| net.router_macs.contains(mac) || f.is_dvr(mac);
        must(!reserved(&input.src), "sent with a reserved source (I2, D7)")?;
        if tagged {
            return Ok(());
        }
        let arp = arp(input);
        let icmp = icmp6(input);
        if let Some((_, sha, spa, ..)) = arp {
            must(!reserved(&sha), "ARP with a reserved sender MAC (I2)")?;
            must(!net.router_ips.contains(&spa.into()), "ARP in the name of a router (I2)")?;
        }
        must(icmp.as_ref().is_none_or(|i| i.kind != 134), "a router advertisement of a VM (I2)")?;
        let na = icmp.as_ref().filter(|i| i.kind == 136).map(|i| i.target);
        must(na.is_none_or(|t| !net.router_ips.contains(&t)), "an NA in the name of a router (I2)")?;
        if !port.secured {
            return Ok(());
        }
        let may = |mac: Mac, ip: IpAddr| port.allowed.iter().any(|(m, net)| *m == mac && net.contains(ip));
        let known = input.src == port.mac || port.allowed.iter().any(|(m, _)| *m == input.src);
        must(known, "another machine's MAC from a secured port (I2-ps)")?;
        let good = match input.kind {
            ARP => {
                arp.is_some_and(|(_, sha, spa, ..)| sha == input.src && (spa.is_unspecified() || may(sha, spa.into())))
            }
            RARP => input.src == port.mac,
            IPV4 => Ipv4HeaderSlice::from_slice(input.body).is_ok_and(|h| {
                let dhcp = h.protocol() == IpNumber::UDP && h.source() == [0; 4];
                (may(input.src, h.source_addr().into()) || dhcp) && !dhcp_server(input.body)
            }),
            IPV6 => Ipv6HeaderSlice::from_slice(input.body).is_ok_and(|h| {
                let choosing = h.source() == [0; 16] && icmp.is_some_and(|i| matches!(i.kind, 131 | 135 | 143));
                (may(input.src, h.source_addr().into()) || choosing) && na.is_none_or(|t| may(input.src, t))
            }),
            _ => false,
        };
        must(good, "not the port's own addresses, and port security is on (I2-ps)")
    }
}

/// T4, V3: the source is the DVR MAC of another host.
pub fn routed_elsewhere(input: &Eth<'_>, net: &Net, out: &Eth<'_>) -> Check {
    if input.dst[0] & 1 == 0 {
        return must(net.router_macs.contains(&out.src), "routed elsewhere, and not from the gateway (T4)");
    }
    must(out.src == input.src, "a probe changed")?;
    let arp = arp(input).is_some_and(|(op, _, spa, ..)| op == 1 && spa.is_unspecified());
    let unspecified = |h: Ipv6HeaderSlice<'_>| h.source() == [0; 16];
    let ns =
        icmp6(input).is_some_and(|i| i.kind == 135) && Ipv6HeaderSlice::from_slice(input.body).is_ok_and(unspecified);
    must(arp || ns, "to all from another host's DVR MAC, and no probe (T4)")
}

/// RFC 6040 4.2, and nothing else of what is behind the addresses may change.
fn ecn_carried(input: &Eth<'_>, out: &Eth<'_>, outer: u8) -> Check {
    let mut expected = input.body.to_vec();
    let field = match input.kind {
        IPV4 => expected[1] & 3,
        IPV6 => expected[1] >> 4 & 3,
        _ => return must(out.body == expected, "a bridged frame changed"),
    };
    let new = match (field, outer) {
        (0, 3) => return Err("congestion lost (ecn_bad)"),
        (0, _) | (3, _) => field,
        (_, 3) => 3,
        (_, 1) => 1,
        _ => field,
    };
    if input.kind == IPV6 {
        expected[1] = expected[1] & !0x30 | new << 4;
    } else if new != field {
        expected[1] = expected[1] & !3 | new;
        let whole = |b: &[u8]| header_sum_good(b);
        must(whole(input.body) == whole(out.body), "the ECN mark made a checksum wrong or right")?;
        must(out.body.len() >= 20, "an IPv4 header cut short")?;
        expected[10..12].copy_from_slice(&out.body[10..12]);
    }
    must(out.body == expected, "a bridged frame changed, or its ECN field is not RFC 6040's")
}

/// The outer header of a frame sent to another host (O3); returns the inner frame.
pub fn outer<'a>(f: &'a Facts, frame: &'a [u8]) -> Check<Inside<'a>> {
    let outer = eth(frame).ok_or("shorter than an Ethernet header")?;
    must(outer.kind == IPV4 && outer.src == f.nic, "outer Ethernet header")?;
    let ip = Ipv4Slice::from_slice(outer.body).map_err(|_| "outer IPv4 header")?;
    let h = ip.header();
    let plain = h.ihl() == 5 && h.identification() == 0 && h.dont_fragment() && h.ttl() == 64;
    must(plain && !h.is_fragmenting_payload(), "outer IPv4 header")?;
    must(usize::from(h.total_len()) == outer.body.len(), "outer total length")?;
    must(outer.body.len() <= f.underlay_mtu, "larger than the underlay's MTU")?;
    must(header_sum_good(outer.body), "outer header checksum")?;
    must(h.source_addr() == f.vtep, "outer source is not this host's VTEP")?;
    let peer = f.peers.get(&h.destination_addr()).ok_or("outer destination is no VTEP of the cloud")?;
    must(peer.nic == Some(outer.dst), "outer destination MAC is not that VTEP's")?;
    let udp = UdpSlice::from_slice(ip.payload().payload).map_err(|_| "outer UDP header")?;
    let good = h.protocol() == IpNumber::UDP && udp.destination_port() == 4789 && udp.checksum() == 0;
    must(good && udp.source_port() >= 49152, "outer UDP header")?;
    must(usize::from(udp.length()) + 20 == outer.body.len(), "outer UDP length")?;
    let (v, inner) = frame[42..].split_first_chunk::<8>().ok_or("VXLAN header")?;
    must(v[..4] == [8, 0, 0, 0] && v[7] == 0, "VXLAN header")?;
    let vni = u32::from_be_bytes([0, v[4], v[5], v[6]]);
    let (network, net) = f.of_vni(vni).ok_or("sent with the VNI of no network")?;
    let e = eth(inner).ok_or("inner frame too short")?;
    let tos = match e.kind {
        IPV4 => e.body[1],
        IPV6 => e.body[1] >> 4,
        _ => 0,
    };
    must(h.dcp().value() == 0 && h.ecn().value() == tos & 3, "outer TOS is not the inner packet's ECN")?;
    Ok(Inside { way: Way::Tunnel(peer, h.ecn().value()), network, net, bytes: inner.to_vec() })
}
