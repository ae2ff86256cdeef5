//! What must be true of a frame that was sent, given the one that caused it. Read by etherparse and judged by
//! [`Facts`], from docs/behaviour.md; the rule ids stand beside the checks.

use crate::facts::{Facts, Local, Mac, Net, Peer};
use control::host::TUNNEL;
use etherparse::{Ethernet2HeaderSlice, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, UdpSlice};
use etherparse::{Icmpv6Slice, IpNumber, Ipv4Slice};
use std::net::{IpAddr, Ipv4Addr};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const IPV6: u16 = 0x86dd;

/// An Ethernet frame.
#[derive(Clone, Copy, Debug)]
pub struct Eth<'a> {
    /// Destination.
    pub dst: Mac,
    /// Source.
    pub src: Mac,
    /// EtherType.
    pub kind: u16,
    /// All after it.
    pub body: &'a [u8],
    /// The whole frame.
    pub bytes: &'a [u8],
}

/// Reads a frame.
pub fn eth(bytes: &[u8]) -> Option<Eth<'_>> {
    let h = Ethernet2HeaderSlice::from_slice(bytes).ok()?;
    let (dst, src, kind) = (h.destination(), h.source(), h.ether_type().0);
    Some(Eth { dst, src, kind, body: &bytes[14..], bytes })
}

/// A VXLAN packet: outer source, VNI, outer ECN bits, inner frame.
fn vxlan(bytes: &[u8]) -> Option<(Ipv4Addr, u32, u8, &[u8])> {
    let outer = eth(bytes).filter(|e| e.kind == IPV4)?;
    let ip = Ipv4Slice::from_slice(outer.body).ok()?;
    let udp = UdpSlice::from_slice(ip.payload().payload).ok()?;
    let (h, inner) = udp.payload().split_first_chunk::<8>()?;
    Some((ip.header().source_addr(), u32::from_be_bytes([0, h[4], h[5], h[6]]), ip.header().ecn().value(), inner))
}

/// Checks the frame `out` sent by port `to` because `input` came in by port `from`.
pub fn sent(facts: &Facts, from: &str, input: &[u8], to: &str, out: &[u8]) {
    let case = Case { facts, from, input, to, out };
    if from == TUNNEL {
        case.by_tunnel();
    } else if let Some(port) = facts.ports.get(from) {
        case.by_port(port);
    } else {
        case.wrong("nothing may come of a frame at this door (V, E, I1)");
    }
}

struct Case<'a> {
    facts: &'a Facts,
    from: &'a str,
    input: &'a [u8],
    to: &'a str,
    out: &'a [u8],
}

impl<'a> Case<'a> {
    #[track_caller]
    fn wrong(&self, what: &str) -> ! {
        let hex = |b: &[u8]| b.iter().map(|x| format!("{x:02x}")).collect::<String>();
        let words = |b: &[u8]| control::frame_text::Decoded::of(b, 4789).line();
        panic!(
            "{what}\n  in by {}: {}\n    {}\n  out by {}: {}\n    {}",
            self.from,
            words(self.input),
            hex(self.input),
            self.to,
            words(self.out),
            hex(self.out)
        )
    }

    #[track_caller]
    fn must(&self, holds: bool, what: &str) {
        if !holds {
            self.wrong(what);
        }
    }

    #[track_caller]
    fn some<T>(&self, value: Option<T>, what: &str) -> T {
        value.unwrap_or_else(|| self.wrong(what))
    }

    /// The local port it went to, which takes frames.
    fn receiver(&self) -> &'a Local {
        let port = self.some(self.facts.ports.get(self.to), "sent by a port that is not on this host");
        self.must(port.active, "sent to a port that is not active (L1)");
        port
    }

    /// D2: a secured port gets its own unicast and nobody else's.
    fn for_receiver(&self, port: &Local, dst: Mac) {
        let own = dst == port.mac || port.allowed.iter().any(|(mac, _)| *mac == dst);
        self.must(!port.secured || dst[0] & 1 == 1 || own, "unicast for another machine at a secured port (D2, L3)");
    }

    /// L1, R7: unicast for a MAC that traffic cannot move goes where its port is, and nowhere else.
    fn at_home(&self, net: &Net, dst: Mac, peer: Option<&Peer>) {
        if let Some((host, port)) = net.homes.get(&dst) {
            let there = match peer {
                Some(peer) => peer.name == *host,
                None => *host == self.facts.name && *port == self.to,
            };
            self.must(there, "unicast for a known port goes somewhere else (L1, R7)");
        }
    }

    // From the tunnel.

    fn by_tunnel(&self) {
        let f = self.facts;
        self.must(self.to != TUNNEL, "tunnel to tunnel (L1, T5)");
        let (vtep, vni, ecn, inner) = self.some(vxlan(self.input), "what came in is no whole VXLAN packet (T0)");
        let peer = self.some(f.peers.get(&vtep), "from no VTEP of the cloud (T1)");
        let (network, net) = self.some(f.of_vni(vni), "a VNI of no network (T2)");
        let port = self.receiver();
        self.must(port.network == network, "from one network's VNI to another network's port");
        let input = self.some(eth(inner), "inner frame too short (T0)");
        let out = self.some(eth(self.out), "shorter than an Ethernet header");
        self.must(out.dst == input.dst && out.kind == input.kind, "a bridged frame changed");
        self.for_receiver(port, out.dst);
        self.at_home(net, out.dst, None);
        self.must(input.src != f.dvr, "own DVR MAC from the fabric (T3)");
        self.must(!net.router_macs.contains(&input.src), "router MAC from the fabric (T3)");
        self.must(!net.router_macs.contains(&input.dst), "to a router MAC from the fabric (T5)");
        let local = f.ports.values().any(|p| p.active && p.network == network && p.mac == input.src);
        self.must(!local, "MAC of a local port from the fabric (T3)");
        self.must(!about_router(&input, net), "ARP, ND or RA about a router from the fabric (T3, D10)");
        if f.is_dvr(&input.src) {
            self.must(peer.dvr == Some(input.src), "DVR MAC from another host's VTEP (T3, D8)");
            if input.dst[0] & 1 == 0 {
                self.must(net.router_macs.contains(&out.src), "routed elsewhere, and not from the gateway (T4)");
            } else {
                self.must(out.src == input.src, "a probe changed");
            }
        } else {
            self.must(out.src == input.src, "a bridged source changed");
        }
        self.ecn(&input, &out, ecn);
    }

    /// RFC 6040 4.2, and nothing else of what is behind the addresses may change.
    fn ecn(&self, input: &Eth<'_>, out: &Eth<'_>, outer: u8) {
        let mut expected = input.body.to_vec();
        let field = match input.kind {
            IPV4 => expected[1] & 3,
            IPV6 => expected[1] >> 4 & 3,
            _ => return self.must(out.body == expected, "a bridged frame changed"),
        };
        let new = match (field, outer) {
            (0, 3) => self.wrong("congestion lost (ecn_bad)"),
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
            self.must(whole(input.body) == whole(out.body), "the ECN mark made a checksum wrong or right");
            self.must(out.body.len() >= 20, "an IPv4 header cut short");
            expected[10..12].copy_from_slice(&out.body[10..12]);
        }
        self.must(out.body == expected, "a bridged frame changed, or its ECN field is not RFC 6040's");
    }

    // From a port of this host.

    fn by_port(&self, port: &Local) {
        let f = self.facts;
        self.must(port.active, "from a port that is not active (I1)");
        let net = &f.nets[&port.network];
        let untagged = priority_tag_off(self.input);
        let input = self.some(eth(&untagged), "shorter than an Ethernet header (I0)");
        let tagged = matches!(input.kind, 0x8100 | 0x88a8);
        self.must(!tagged || net.transparent, "a tagged frame (I1)");
        self.may_send(port, net, &input, tagged);
        let (out, network, peer) = match self.to {
            TUNNEL => self.outer(),
            _ => {
                let receiver = self.receiver();
                let out = self.some(eth(self.out), "shorter than an Ethernet header");
                (out, receiver.network.as_str(), None)
            }
        };
        let to = &f.nets[network];
        if self.arp_answer(&input, &out) {
            return;
        }
        if net.router_macs.contains(&input.dst) {
            self.must(net.reach.contains(network), "routed into a network that no router joins with this one");
            if self.routed(&input, &out, to) {
                return; // whatever the asker calls itself
            }
        } else {
            self.must(network == port.network, "bridged from one network into another");
            self.must(self.to != self.from, "bridged back to its sender (L1)");
            self.must(out.bytes == untagged, "a bridged frame changed");
            if self.to == TUNNEL {
                self.must(!about_router(&out, net) || tagged, "ARP, ND or RA about a router leaves the host (D10)");
            }
        }
        self.at_home(to, out.dst, peer);
        if self.to != TUNNEL {
            self.for_receiver(self.receiver(), out.dst);
        }
    }

    /// I2 and I2-ps.
    fn may_send(&self, port: &Local, net: &Net, input: &Eth<'_>, tagged: bool) {
        let f = self.facts;
        let reserved = |mac: &Mac| net.router_macs.contains(mac) || f.is_dvr(mac);
        self.must(input.src[0] & 1 == 0 && input.src != [0; 6], "a source that no machine has (I0)");
        self.must(!reserved(&input.src), "sent with a reserved source (I2, D7)");
        if tagged {
            return;
        }
        let arp = arp(input);
        let icmp = icmp6(input);
        if let Some((_, sha, spa, ..)) = arp {
            self.must(!reserved(&sha), "ARP with a reserved sender MAC (I2)");
            self.must(!net.router_ips.contains(&spa.into()), "ARP in the name of a router (I2)");
        }
        self.must(icmp.as_ref().is_none_or(|i| i.kind != 134), "a router advertisement of a VM (I2)");
        let na = icmp.as_ref().filter(|i| i.kind == 136).map(|i| i.target);
        self.must(na.is_none_or(|t| !net.router_ips.contains(&t)), "an NA in the name of a router (I2)");
        if !port.secured {
            return;
        }
        let may = |mac: Mac, ip: IpAddr| port.allowed.iter().any(|(m, net)| *m == mac && net.contains(ip));
        let known = input.src == port.mac || port.allowed.iter().any(|(m, _)| *m == input.src);
        self.must(known, "another machine's MAC from a secured port (I2-ps)");
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
        self.must(good, "not the port's own addresses, and port security is on (I2-ps)");
    }

    /// The outer header of a frame sent to another host (O3); returns the inner frame, its network and that host.
    fn outer(&self) -> (Eth<'a>, &'a str, Option<&'a Peer>) {
        let f = self.facts;
        let outer = self.some(eth(self.out), "shorter than an Ethernet header");
        self.must(outer.kind == IPV4 && outer.src == f.nic, "outer Ethernet header");
        let ip = self.some(Ipv4Slice::from_slice(outer.body).ok(), "outer IPv4 header");
        let h = ip.header();
        let plain = h.ihl() == 5 && h.identification() == 0 && h.dont_fragment() && h.ttl() == 64;
        self.must(plain && !h.is_fragmenting_payload(), "outer IPv4 header");
        self.must(usize::from(h.total_len()) == outer.body.len(), "outer total length");
        self.must(outer.body.len() <= f.underlay_mtu, "larger than the underlay's MTU");
        self.must(header_sum_good(outer.body), "outer header checksum");
        self.must(h.source_addr() == f.vtep, "outer source is not this host's VTEP");
        let peer = self.some(f.peers.get(&h.destination_addr()), "outer destination is no VTEP of the cloud");
        self.must(peer.nic == Some(outer.dst), "outer destination MAC is not that VTEP's");
        let udp = self.some(UdpSlice::from_slice(ip.payload().payload).ok(), "outer UDP header");
        let good = h.protocol() == IpNumber::UDP && udp.destination_port() == 4789 && udp.checksum() == 0;
        self.must(good && udp.source_port() >= 49152, "outer UDP header");
        self.must(usize::from(udp.length()) + 20 == outer.body.len(), "outer UDP length");
        let (v, inner) = self.some(self.out[42..].split_first_chunk::<8>(), "VXLAN header");
        self.must(v[..4] == [8, 0, 0, 0] && v[7] == 0, "VXLAN header");
        let vni = u32::from_be_bytes([0, v[4], v[5], v[6]]);
        let (network, net) = self.some(f.of_vni(vni), "sent with the VNI of no network");
        let inner = self.some(eth(inner), "inner frame too short");
        self.must(!net.router_macs.contains(&inner.src), "a router MAC leaves the host (O2)");
        self.must(!f.is_dvr(&inner.src) || inner.src == f.dvr, "another host's DVR MAC leaves this one");
        let tos = match inner.kind {
            IPV4 => inner.body[1],
            IPV6 => inner.body[1] >> 4,
            _ => 0,
        };
        self.must(h.dcp().value() == 0 && h.ecn().value() == tos & 3, "outer TOS is not the inner packet's ECN");
        (inner, network, Some(peer))
    }

    /// I3-a: an answer to the asker, made in the request's frame. `false`: it is none.
    fn arp_answer(&self, input: &Eth<'_>, out: &Eth<'_>) -> bool {
        let (Some((1, sha, spa, _, tpa)), Some((2, of, asked, to, asker))) = (arp(input), arp(out)) else {
            return false;
        };
        self.must(self.to == self.from && out.bytes.len() == 42, "an ARP answer to somebody else than the asker");
        self.must(out.dst == input.src && out.src == of && of[0] & 1 == 0, "an ARP answer from nobody");
        self.must(asked == tpa && asker == spa && to == sha, "an ARP answer to another question");
        self.must(spa != tpa, "an announcement was answered (D4)");
        true
    }

    /// R and O2: `out` is `input` after one to eight routers, or the answer of one; `true` if that goes back to the
    /// asker as it came (R2).
    fn routed(&self, input: &Eth<'_>, out: &Eth<'_>, to: &Net) -> bool {
        let f = self.facts;
        let masked = if self.to == TUNNEL { out.src == f.dvr } else { to.router_macs.contains(&out.src) };
        self.must(masked, "the source of a routed frame is neither DVR MAC nor router (O2, R9)");
        let back = self.to == self.from && (out.dst, out.src) == (input.src, input.dst);
        self.must(back || to.macs.contains(&out.dst), "routed to a MAC that the model does not have there (R7)");
        self.must(input.kind == IPV4 && out.kind == IPV4, "only IPv4 is routed (R1)");
        let a = self.some(Ipv4HeaderSlice::from_slice(input.body).ok(), "what was routed is no IPv4 packet (I0)");
        self.must(header_sum_good(input.body), "routed with a wrong checksum (I0)");
        let b = self.some(Ipv4HeaderSlice::from_slice(out.body).ok(), "routed into no IPv4 packet");
        self.must(header_sum_good(out.body), "header checksum after routing (R9)");
        let len = usize::from(b.total_len());
        self.must(len == out.body.len(), "a routed frame does not end where its IP length says (R9)");
        self.must(len <= to.mtu, "larger than the network's MTU (R8)");
        let ttl = |from: u8| (1..=8).contains(&(i16::from(from) - i16::from(b.ttl())));
        let rest = |h: &Ipv4HeaderSlice<'_>| (h.slice()[..8].to_vec(), h.protocol(), h.options().to_vec());
        let (from, to) = (u32::from(a.source_addr()), u32::from(a.destination_addr()));
        if (b.source(), b.destination()) == (a.source(), a.destination()) {
            self.must(ttl(a.ttl()), "TTL falls by one for each router (D3)");
            self.must(rest(&a) == rest(&b), "a router changed the header");
            self.must(payload(&a, input) == payload(&b, out), "a router changed the payload");
            let group = |ip: u32| ip >> 28 == 14 || ip == u32::MAX || matches!(ip >> 24, 0 | 127) || ip >> 16 == 0xa9fe;
            self.must(!group(from) && !group(to), "an address that is never routed (R1)");
            return false;
        }
        let swapped = (b.source(), b.destination()) == (a.destination(), a.source());
        let asked = f.nets.values().any(|n| n.router_ips.contains(&a.destination_addr().into()));
        self.must(swapped && asked, "a router changed the addresses");
        self.must(b.ttl() == 64 || ttl(64), "TTL of an answer (R2)");
        let (Some(question), Some(answer)) = (payload(&a, input), payload(&b, out)) else {
            self.wrong("an empty answer")
        };
        let echo = question.first() == Some(&8) && answer.first() == Some(&0) && question[4..] == answer[4..];
        self.must(echo && b.ihl() == 5, "an answer that is no echo reply (R2)");
        self.must(sum(&[answer]) == 0xffff, "ICMP checksum of an answer");
        back
    }
}

/// What an IPv4 packet carries; `None` if the frame is shorter than the header says.
fn payload<'a>(h: &Ipv4HeaderSlice<'_>, e: &Eth<'a>) -> Option<&'a [u8]> {
    e.body.get(h.slice().len()..usize::from(h.total_len()))
}

/// One's complement sum, folded (RFC 1071).
pub fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Over the bytes as they are: etherparse's own forgets the reserved flag.
pub fn header_sum_good(packet: &[u8]) -> bool {
    Ipv4HeaderSlice::from_slice(packet).is_ok_and(|h| sum(&[h.slice()]) == 0xffff)
}

/// I1: a tag with VID 0 counts as none.
fn priority_tag_off(frame: &[u8]) -> Vec<u8> {
    match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x81 | 0x88, kind, t0, 0, next @ ..]
            if matches!((frame[12], kind), (0x81, 0) | (0x88, 0xa8)) && t0 & 0x0f == 0 =>
        {
            // A second tag behind it makes it a tagged frame.
            if matches!(next, [0x81, 0, ..] | [0x88, 0xa8, ..]) {
                return frame.to_vec();
            }
            [&frame[..12], next].concat()
        }
        _ => frame.to_vec(),
    }
}

/// ARP for IPv4 over Ethernet: operation, sender MAC and address, target MAC and address.
fn arp(e: &Eth<'_>) -> Option<(u16, Mac, Ipv4Addr, Mac, Ipv4Addr)> {
    let b: &[u8; 28] = e.body.first_chunk().filter(|b: &&[u8; 28]| e.kind == ARP && b[..6] == [0, 1, 8, 0, 6, 4])?;
    let mac = |at: usize| -> Mac { [b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5]] };
    let ip = |at: usize| Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3]);
    Some((u16::from_be_bytes([b[6], b[7]]), mac(8), ip(14), mac(18), ip(24)))
}

/// An ICMPv6 message behind whatever extension headers; of a first fragment too.
struct Icmp6 {
    kind: u8,
    target: IpAddr,
}

fn icmp6(e: &Eth<'_>) -> Option<Icmp6> {
    let h = Ipv6HeaderSlice::from_slice(e.body).ok().filter(|_| e.kind == IPV6)?;
    let rest = &e.body[40..];
    let rest = rest.get(..usize::from(h.payload_length())).unwrap_or(rest);
    let (_, next, payload) = Ipv6ExtensionsSlice::from_slice(h.next_header(), rest).ok()?;
    if next != IpNumber::IPV6_ICMP {
        return None;
    }
    let icmp = Icmpv6Slice::from_slice(payload).ok()?;
    let target: [u8; 16] = icmp.payload().first_chunk().copied().unwrap_or_default();
    Some(Icmp6 { kind: icmp.type_u8(), target: IpAddr::from(target) })
}

/// D10: ARP or ND for a router address, or a router advertisement.
fn about_router(e: &Eth<'_>, net: &Net) -> bool {
    if let Some((_, _, spa, _, tpa)) = arp(e) {
        return net.router_ips.contains(&spa.into()) || net.router_ips.contains(&tpa.into());
    }
    icmp6(e).is_some_and(|i| match i.kind {
        134 => true,
        135 | 136 => net.router_ips.contains(&i.target),
        _ => false,
    })
}

/// UDP 67 to 68, in a whole datagram or its first fragment.
fn dhcp_server(packet: &[u8]) -> bool {
    let Ok(h) = Ipv4HeaderSlice::from_slice(packet) else { return false };
    let ports = packet.get(h.slice().len()..usize::from(h.total_len())).and_then(|p| p.first_chunk::<4>());
    h.protocol() == IpNumber::UDP && h.fragments_offset().value() == 0 && ports == Some(&[0, 67, 0, 68])
}

#[cfg(test)]
mod tests;
