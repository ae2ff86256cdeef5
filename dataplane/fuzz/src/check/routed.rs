//! What routers of this host send because of a packet: the packet itself, translated or not, or an answer (R, FO, FI).

use super::frame::{IPV4, arp};
use super::nat::{translated, whole_or_piece};
use super::{Case, Check, Eth, Inside, Way, came, header_sum_good, must};
use crate::facts::{Facts, Floating, Interface, Mac, Router};
use etherparse::Ipv4HeaderSlice;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

/// L4: nothing is learned for longer than this, ns; what answers teach is forgotten sooner.
const LEARNED: u64 = 301 * super::SECOND;

/// A packet sent to a router, and what came of it.
pub struct Routed<'a> {
    /// How it came.
    pub from: &'a Inside<'a>,
    /// Its frame.
    pub input: &'a Eth<'a>,
    /// Its header.
    pub a: Ipv4HeaderSlice<'a>,
    /// The packet, without padding.
    pub packet: &'a [u8],
    /// Where it went.
    pub to: &'a Inside<'a>,
    /// Header of what was sent.
    pub b: Ipv4HeaderSlice<'a>,
    /// All of what was sent.
    pub sent: &'a [u8],
    /// It went back by where it came, from the MAC it was sent to, to the MAC it came from.
    pub straight: bool,
    /// Its source MAC is that of a router or the DVR MAC, its destination one that is on that network.
    pub by_router: Check,
}

impl Routed<'_> {
    /// The TTL fell by as much as these routers take.
    fn fell(&self, from: u8, by: RangeInclusive<i16>) -> bool {
        by.contains(&(i16::from(from) - i16::from(self.b.ttl())))
    }
}

/// The addresses that a packet for `dst` may have to ask for (R4, R7, FO1).
fn hops(f: &Facts, dst: Ipv4Addr) -> BTreeSet<Ipv4Addr> {
    let fixed = f.fips.iter().filter(|fip| fip.floating == dst).map(|fip| fip.fixed);
    let gateways = f.nets.values().filter(|n| n.external).flat_map(|n| n.gateways.iter().copied());
    let sg = f.nets.values().flat_map(|n| n.sg.iter().copied());
    [dst].into_iter().chain(fixed).chain(gateways).chain(sg).chain(f.next_hops.iter().copied()).collect()
}

/// May a packet for `dst` have to ask for `hop` in this network?
pub fn may_ask(f: &Facts, dst: Ipv4Addr, network: &str, hop: Ipv4Addr) -> bool {
    let (net, ip) = (&f.nets[network], IpAddr::from(hop));
    hops(f, dst).contains(&hop) && net.subnets.iter().any(|s| s.contains(ip)) && !net.known.contains(&ip)
}

impl Case<'_> {
    /// An IPv4 packet for a router, for which an address may have to be asked for.
    pub(super) fn may_wait(&self) -> bool {
        let f = self.facts;
        let Ok(from) = came(f, self.cause()) else { return false };
        let Some(dst) = to_router(&from) else { return false };
        f.nets.keys().any(|network| hops(f, dst).iter().any(|hop| may_ask(f, dst, network, *hop)))
    }

    pub(super) fn routed(&self, from: &Inside<'_>, input: &Eth<'_>, to: &Inside<'_>, out: &Eth<'_>) -> Check {
        must(input.kind == IPV4 && out.kind == IPV4, "only IPv4 is routed (R1)")?;
        let a = Ipv4HeaderSlice::from_slice(input.body).map_err(|_| "what was routed is no IPv4 packet (I0)")?;
        must(header_sum_good(input.body), "routed with a wrong checksum (I0)")?;
        let packet = input.body.get(..usize::from(a.total_len())).ok_or("a packet cut short was routed (I0)")?;
        let b = Ipv4HeaderSlice::from_slice(out.body).map_err(|_| "routed into no IPv4 packet")?;
        must(header_sum_good(out.body), "header checksum after routing (R9)")?;
        must(
            usize::from(b.total_len()) == out.body.len(),
            "a routed frame does not end where its IP length says (R9)",
        )?;
        must(out.body.len() <= to.net.mtu, "larger than the network's MTU (R8)")?;
        let straight = self.out.port == self.cause().port && (out.dst, out.src) == (input.src, input.dst);
        let by_router = self.by_router(b.destination_addr(), to, out);
        let case = Routed { from, input, a, packet, to, b, sent: out.body, straight, by_router };
        let made = self.made(&case);
        // An answer's TTL and bytes are all its own, so nothing that was forwarded looks like one.
        if made.is_ok() {
            return Ok(());
        }
        let answer = case.b.destination_addr() == case.a.source_addr();
        self.forwarded(&case).map_err(|why| made.err().filter(|_| answer).unwrap_or(why))
    }

    /// O2, FO4, R7, L1.
    fn by_router(&self, dst: Ipv4Addr, to: &Inside<'_>, out: &Eth<'_>) -> Check {
        let masked = match (to.way, to.net.external) {
            (Way::Phys(_) | Way::Port(_), true) => to.net.fg.is_some_and(|(mac, _)| mac == out.src),
            (Way::Phys(_) | Way::Tunnel(..), _) => out.src == self.facts.dvr,
            (Way::Port(_), _) => to.net.router_macs.contains(&out.src),
        };
        must(masked, "the source of a routed frame is neither DVR MAC nor router nor fg- port (O2, R9, FO4)")?;
        let has = |hop: Ipv4Addr| to.net.macs_of(hop.into()).is_some_and(|macs| macs.contains(&out.dst));
        if !self.taught(out.dst, dst, to) {
            let known = hops(self.facts, dst).into_iter().any(has);
            must(known, "to a MAC that neither the model nor an answer has for a next hop (R7)")?;
        }
        self.at_home(to, out.dst)?;
        self.for_receiver(to, out.dst)
    }

    /// R7-probe, FO4: an ARP frame of this network gave that MAC for an address that may be the next hop, and came from
    /// where the packet goes, or the MAC is that of a port, whose place is the model's (L1).
    fn taught(&self, mac: Mac, dst: Ipv4Addr, to: &Inside<'_>) -> bool {
        let asked = |hop| may_ask(self.facts, dst, to.network, hop);
        let there = |from: &Inside<'_>, port: &str| match (from.way, to.way) {
            _ if to.net.homes.contains_key(&mac) => true,
            (Way::Tunnel(a, _), Way::Tunnel(b, _)) => a.name == b.name,
            _ => port == self.out.port,
        };
        let since = self.out.time.saturating_sub(LEARNED);
        self.story.iter().filter(|c| (since..=self.out.time).contains(&c.time)).any(|c| {
            let Ok(from) = came(self.facts, c) else { return false };
            let arp = from.eth().ok().and_then(|e| arp(&e));
            let told = arp.is_some_and(|(_, sha, spa, ..)| sha == mac && asked(spa));
            from.network == to.network && there(&from, c.port) && told
        })
    }

    /// R4 to R9, FO, FI: the packet itself, or a piece.
    fn forwarded(&self, c: &Routed<'_>) -> Check {
        c.by_router?;
        let group = |ip: Ipv4Addr| {
            let ip = u32::from(ip);
            ip >> 28 == 14 || ip == u32::MAX || matches!(ip >> 24, 0 | 127) || ip >> 16 == 0xa9fe
        };
        let (src, dst) = (c.a.source_addr(), c.a.destination_addr());
        must(!group(src) && !group(dst), "an address that is never routed (R1)")?;
        let own = self.first_router(c).is_some_and(|router| router.ips().any(|(ip, _)| *ip == src));
        must(!own, "from one of the router's own addresses (R1)")?;
        let f = self.facts;
        let out = f.fips.iter().find(|fip| fip.fixed == src && fip.floating == c.b.source_addr());
        let back = f.fips.iter().find(|fip| fip.floating == dst && fip.fixed == c.b.destination_addr());
        self.plane(c, out, back)?;
        let same = c.b.source_addr() == src || out.is_some();
        must(same && (c.b.destination_addr() == dst || back.is_some()), "a router changed the addresses")?;
        let whole = translated(c.packet, out.map(|f| f.floating), back.map(|f| f.fixed));
        let mtus: Vec<usize> = f.nets.values().map(|n| n.mtu).collect();
        whole_or_piece(&whole, c.sent, &mtus, out.is_none() && back.is_none())?;
        self.next_hop(c)
    }

    /// Which plane it went through, and what that takes off the TTL (D3).
    fn plane(&self, c: &Routed<'_>, out: Option<&Floating>, back: Option<&Floating>) -> Check {
        let (f, to) = (self.facts, c.to);
        let joined = |network: &str| c.from.net.reach.contains(network);
        let outside = c.from.net.external;
        let ttl = match (out, back) {
            (None, None) => {
                let scope = |a: &Inside<'_>, b: &Inside<'_>| a.net.scope.is_some() && a.net.scope == b.net.scope;
                let plane = outside != to.net.external;
                must(!plane || scope(c.from, to), "to or from outside, and not translated (FO, FI, S)")?;
                must(plane || joined(to.network), "routed into a network that no router joins with this one")?;
                1..=8
            }
            (Some(fip), None) => {
                let left = !outside && to.network == fip.outside;
                must(left && joined(&fip.inside), "translated, and did not leave by the external network (FO)")?;
                let on_host = f.fips.iter().any(|other| other.floating == c.a.destination_addr());
                must(!on_host, "to a floating IP of this host, and by the wire (FO3)")?;
                let dst = IpAddr::from(c.a.destination_addr());
                let mut inside = f.routers[&fip.router].ips();
                must(
                    !inside.any(|(_, net)| net.contains(dst)),
                    "to a network of its own router, and translated (R4-1)",
                )?;
                1..=8
            }
            (None, Some(fip)) => {
                must(
                    outside && to.network == fip.inside,
                    "to a floating IP, and not from outside to its network (FI)",
                )?;
                1..=1
            }
            (Some(fip), Some(other)) => {
                let good = !outside && joined(&fip.inside) && fip.outside == other.outside;
                must(good && to.network == other.inside, "between floating IPs of this host (FO3)")?;
                2..=9
            }
        };
        must(c.fell(c.a.ttl(), ttl), "TTL falls by one for each router (D3)")
    }

    /// R7: on its own network the destination's MAC is that of the port that has the address.
    fn next_hop(&self, c: &Routed<'_>) -> Check {
        let dst = IpAddr::from(c.b.destination_addr());
        let there = c.to.net.subnets.iter().any(|net| net.contains(dst));
        let owners = c.to.net.macs_of(dst).filter(|_| there);
        let mac = c.to.eth()?.dst;
        must(owners.is_none_or(|macs| macs.contains(&mac)), "routed to a MAC that another address has (R7)")
    }

    /// The router whose MAC the packet was sent to.
    pub(super) fn first_router(&self, c: &Routed<'_>) -> Option<&Router> {
        let has = |i: &Interface| i.network == c.from.network && i.mac == c.input.dst;
        self.facts.routers.values().find(|r| r.interfaces.iter().any(has))
    }
}

/// Where an IPv4 packet for a router of its network, or for the fg- port, wants to go.
pub fn to_router(from: &Inside<'_>) -> Option<Ipv4Addr> {
    let e = from.eth().ok()?;
    let fg = from.net.fg.is_some_and(|(mac, _)| mac == e.dst);
    let ours = e.kind == IPV4 && (from.net.router_macs.contains(&e.dst) || fg);
    ours.then(|| Ipv4HeaderSlice::from_slice(e.body).ok().map(|h| h.destination_addr())).flatten()
}
