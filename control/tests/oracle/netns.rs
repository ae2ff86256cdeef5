//! Network namespaces as dumped: `ip rule`, `ip route`, `ip neigh`, iptables. What the kernel does between them.
//!
//! Each packet is taken for the first of its connection, which is what stateless translation means (D6).

use crate::ip::{self, Arp, Ip4};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

#[path = "iptables.rs"]
pub mod iptables;
#[path = "netns_read.rs"]
pub mod read;

use iptables::{Chains, Mark, Verdict};

/// A route: prefix, next hop (none: on the link), interface.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub net: u32,
    pub len: u32,
    pub via: Option<u32>,
    pub dev: String,
}

/// `ip rule`: who it is for, and where to look.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub priority: u64,
    pub from: Option<(u32, u32)>,
    pub iif: Option<String>,
    pub table: String,
}

#[derive(Clone, Debug, Default)]
pub struct Link {
    pub mac: u64,
    pub addresses: Vec<(u32, u32)>,
    /// The other side of a veth pair: namespace and interface; none: a port of br-int.
    pub peer: Option<(usize, String)>,
    pub proxy_arp: bool,
    /// Largest packet; 0: any.
    pub mtu: u16,
}

#[derive(Clone, Debug, Default)]
pub struct Namespace {
    pub name: String,
    pub links: BTreeMap<String, Link>,
    pub rules: Vec<Rule>,
    pub tables: BTreeMap<String, Vec<Route>>,
    pub neighbours: BTreeMap<(String, u32), u64>,
    pub iptables: Chains,
    /// The fip namespace is no hop (D3).
    pub is_fip: bool,
}

/// What a namespace does with a packet, frames apart.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// ICMP type 3 code 0.
    NoRoute,
    /// ICMP type 11.
    TtlExceeded,
    /// Nobody known has this address on this interface: the kernel asks by ARP.
    NoNeighbour(String, u32),
    /// ICMP type 3 code 4, with this MTU.
    TooBig(u16),
    /// To an address of the namespace itself, this protocol.
    Local(u8),
    /// Redirected to the metadata proxy.
    Metadata,
    /// Source or destination can not be.
    Martian,
    /// Dropped, or taken in without an answer.
    Silent,
}

/// Where a packet is on its way through namespaces.
#[derive(Debug, Default)]
pub struct Walk {
    /// Frames that leave, by which interface.
    pub out: Vec<(String, Vec<u8>)>,
    /// How packets ended.
    pub ends: Vec<Ended>,
    /// Steps, for people.
    pub path: Vec<String>,
    /// Times it passed the fip namespace, which is no hop (D3).
    pub not_hops: usize,
    /// It was translated.
    pub translated: bool,
}

enum Found<'r> {
    Local,
    Broadcast,
    Via(&'r Route),
    None,
}

impl Namespace {
    fn local(&self, ip: u32) -> bool {
        ip >> 24 == 127 || self.links.values().any(|l| l.addresses.iter().any(|(a, _)| *a == ip))
    }

    fn broadcast(&self, ip: u32) -> bool {
        let of = |(a, len): &(u32, u32)| *len < 31 && (ip == a | !mask(*len) || ip == a & mask(*len));
        ip == u32::MAX || self.links.values().any(|l| l.addresses.iter().any(of))
    }

    /// `ip route get DST from SRC iif DEV`.
    fn lookup(&self, src: u32, dst: u32, dev: &str) -> Found<'_> {
        for rule in &self.rules {
            let from = rule.from.is_none_or(|(net, len)| (src ^ net) & mask(len) == 0);
            if !from || rule.iif.as_ref().is_some_and(|i| i != dev) {
                continue;
            }
            if rule.table == "local" {
                match () {
                    () if self.local(dst) => return Found::Local,
                    () if self.broadcast(dst) => return Found::Broadcast,
                    () => continue,
                }
            }
            let routes = self.tables.get(&rule.table).map_or(&[][..], Vec::as_slice);
            let fit = routes.iter().filter(|r| (dst ^ r.net) & mask(r.len) == 0);
            if let Some(route) = fit.max_by_key(|r| r.len) {
                return Found::Via(route);
            }
        }
        Found::None
    }

    fn martian_source(&self, src: u32) -> bool {
        src >> 28 == 0xe || src == u32::MAX || matches!(src >> 24, 0 | 127) || self.local(src) || self.broadcast(src)
    }
}

pub fn mask(len: u32) -> u32 {
    u32::MAX.checked_shl(32 - len).unwrap_or(0)
}

/// All namespaces of a host.
#[derive(Clone, Debug, Default)]
pub struct Namespaces(pub Vec<Namespace>);

impl Namespaces {
    /// The namespace with this interface.
    pub fn of(&self, dev: &str) -> Option<usize> {
        self.0.iter().position(|n| n.links.contains_key(dev))
    }

    /// A frame comes in by an interface.
    pub fn receive(&self, ns: usize, dev: &str, frame: &[u8], walk: &mut Walk) {
        assert!(walk.path.len() < 64, "a packet goes round in the namespaces: {:#?}", walk.path);
        let (n, link) = (&self.0[ns], &self.0[ns].links[dev]);
        let to = ip::dst(frame);
        if to != link.mac && !ip::multicast(to) {
            return; // PACKET_OTHERHOST
        }
        match ip::kind(frame) {
            0x0806 => self.arp(ns, dev, frame, walk),
            0x0800 => {
                walk.path.push(format!("{} {dev}: in", n.name));
                if let Some(how) = self.ip(ns, dev, frame, walk) {
                    walk.path.push(format!("{} {dev}: {how:?}", n.name));
                    walk.ends.push(how);
                }
            }
            _ => {}
        }
    }

    /// arp_ignore=1: only for addresses of the interface itself; proxy_arp where it is on (Linux, `arp_process`).
    fn arp(&self, ns: usize, dev: &str, frame: &[u8], walk: &mut Walk) {
        let (n, link) = (&self.0[ns], &self.0[ns].links[dev]);
        let Some(arp) = Arp::read(frame).filter(|a| a.op == 1 && a.spa != a.tpa) else { return };
        let own = link.addresses.iter().any(|(a, _)| *a == arp.tpa);
        let elsewhere = || match n.lookup(arp.spa, arp.tpa, dev) {
            Found::Via(route) => route.dev != dev,
            _ => false,
        };
        if (arp.spa != 0 && n.martian_source(arp.spa)) || !(own || link.proxy_arp && arp.spa != 0 && elsewhere()) {
            return;
        }
        walk.path.push(format!("{} {dev}: ARP reply for {}", n.name, Ipv4Addr::from(arp.tpa)));
        let reply = Arp { op: 2, sha: link.mac, spa: arp.tpa, tha: arp.sha, tpa: arp.spa };
        self.send(ns, dev, ip::ether(arp.sha, link.mac, 0x0806, &reply.bytes()), walk);
    }

    /// `None`: it went on.
    fn ip(&self, ns: usize, dev: &str, frame: &[u8], walk: &mut Walk) -> Option<Ended> {
        let n = &self.0[ns];
        let Some((mut ip, payload)) = Ip4::read(&frame[14..]) else { return Some(Ended::Silent) };
        let mut mark = Mark::default();
        if n.iptables.hook("PREROUTING", (dev, ""), &mut ip, payload, &mut mark) == Verdict::Drop {
            return Some(Ended::Silent);
        }
        if n.martian_source(ip.src) || matches!(ip.dst >> 24, 0 | 127) {
            return Some(Ended::Martian);
        }
        if mark.redirected {
            return Some(Ended::Metadata);
        }
        let unicast = !ip::multicast(ip::dst(frame)) && ip.dst >> 28 != 0xe;
        let route = match n.lookup(ip.src, ip.dst, dev) {
            Found::Local if !unicast && ip.proto != 1 => return Some(Ended::Silent),
            Found::Local => return self.to_itself(ns, dev, ip, payload, walk),
            Found::Broadcast => return Some(Ended::Silent),
            _ if !unicast => return Some(Ended::Silent),
            Found::None => return Some(Ended::NoRoute),
            Found::Via(route) => route,
        };
        if !n.is_fip {
            if ip.ttl <= 1 {
                return Some(Ended::TtlExceeded);
            }
            ip.ttl -= 1;
        } else {
            walk.not_hops += 1;
        }
        let devs = (dev, route.dev.as_str());
        for hook in ["FORWARD", "POSTROUTING"] {
            if n.iptables.hook(hook, devs, &mut ip, payload, &mut mark) == Verdict::Drop {
                return Some(Ended::Silent);
            }
        }
        walk.translated |= mark.dnat || mark.snat;
        let hop = route.via.unwrap_or(ip.dst);
        let Some(to) = n.neighbours.get(&(route.dev.clone(), hop)) else {
            return Some(Ended::NoNeighbour(route.dev.clone(), hop));
        };
        let from = n.links[&route.dev].mac;
        walk.path.push(format!("{} {}: out to {}", n.name, route.dev, Ipv4Addr::from(hop)));
        let (mtu, payload) = (usize::from(n.links[&route.dev].mtu), ip.summed(payload));
        if mtu != 0 && 20 + payload.len() > mtu && ip.frag & ip::DF != 0 {
            return Some(Ended::TooBig(mtu as u16));
        }
        for packet in ip.fragments(&payload, mtu) {
            self.send(ns, &route.dev, ip::ether(*to, from, 0x0800, &packet), walk);
        }
        None
    }

    /// Echo is answered with the bytes of spec 3.10; what else a stack answers is told to the caller.
    fn to_itself(&self, ns: usize, dev: &str, ip: Ip4, payload: &[u8], walk: &mut Walk) -> Option<Ended> {
        if ip.frag & 0x3fff != 0 {
            return Some(Ended::Silent);
        }
        match (ip.proto, payload) {
            (1, [8, 0, ..]) if payload.len() >= 8 && ip::sum(&[payload]) == 0 => {
                let mut echo = payload.to_vec();
                (echo[0], echo[2], echo[3]) = (0, 0, 0);
                let s = ip::sum(&[&echo]).to_be_bytes();
                echo[2..4].copy_from_slice(&s);
                let reply = Ip4 { ttl: 64, src: ip.dst, dst: ip.src, ..ip };
                let n = &self.0[ns];
                walk.path.push(format!("{} {dev}: echo reply", n.name));
                if let Found::Via(route) = n.lookup(reply.src, reply.dst, "")
                    && let Some(to) = n.neighbours.get(&(route.dev.clone(), route.via.unwrap_or(reply.dst)))
                {
                    let from = n.links[&route.dev].mac;
                    self.send(ns, &route.dev, ip::ether(*to, from, 0x0800, &reply.bytes(&echo)), walk);
                }
                Some(Ended::Local(1))
            }
            _ => Some(Ended::Local(ip.proto)),
        }
    }

    fn send(&self, ns: usize, dev: &str, frame: Vec<u8>, walk: &mut Walk) {
        match &self.0[ns].links[dev].peer {
            Some((peer, there)) => self.receive(*peer, there, &frame, walk),
            None => walk.out.push((dev.to_owned(), frame)),
        }
    }
}
