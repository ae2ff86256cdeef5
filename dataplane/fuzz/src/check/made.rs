//! What dvrd makes itself: answers to ARP and echo, ICMP errors, resets, probes, announcements.

use super::frame::arp;
use super::routed::{Routed, may_ask, to_router};
use super::{Case, Check, Eth, Frame, Inside, SECOND, Way, came, must, sum, went};
use crate::facts::{Facts, Router};
use crate::headers::quotable;
use etherparse::{IpNumber, Ipv4Header, Ipv4HeaderSlice, TcpHeader, TcpSlice};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// V4: how often a gateway is announced.
const REPEATED: u64 = 60 * SECOND;

impl Case<'_> {
    /// I3-a, E1, V4: an answer to the asker, made in the request's frame. `false`: it is none.
    pub(super) fn arp_answer(&self, from: &Inside<'_>, input: &Eth<'_>, to: &Inside<'_>, out: &Eth<'_>) -> Check<bool> {
        let (Some((1, sha, spa, _, tpa)), Some((2, of, asked, target, asker))) = (arp(input), arp(out)) else {
            return Ok(false);
        };
        let back = self.out.port == self.cause().port && to.network == from.network;
        must(back && out.bytes.len() == 42, "an ARP answer to somebody else than the asker")?;
        must(out.dst == input.src && out.src == of && of[0] & 1 == 0, "an ARP answer from nobody")?;
        must(asked == tpa && asker == spa && target == sha, "an ARP answer to another question")?;
        must(spa != tpa, "an announcement was answered (D4)")?;
        let (f, net, ip) = (self.facts, from.net, IpAddr::from(tpa));
        let router = net.router_macs.contains(&of) && net.router_ips.contains(&ip);
        let has_it = net.owners.get(&ip).is_some_and(|macs| macs.contains(&of));
        let right = match from.way {
            Way::Tunnel(..) => false,
            Way::Port(port) => {
                let own = port.allowed.iter().any(|(mac, net)| *mac == input.src && net.contains(ip));
                let elsewhere = net.bound.get(&ip).is_some_and(|host| *host != f.name);
                must(!(spa.is_unspecified() && own), "a probe of the asker's own address was answered (D4)")?;
                has_it && (router || elsewhere)
            }
            Way::Phys(_) if net.external => {
                let fip = f.fips.iter().any(|fip| fip.outside == from.network && fip.floating == tpa);
                // A port here in the scope of the external network (R4-3 the other way).
                let scoped = |n: &crate::facts::Net| n.scope.is_some() && n.scope == net.scope;
                let here = |n: &crate::facts::Net| n.bound.get(&ip) == Some(&f.name);
                let open = f.nets.values().any(|n| !n.external && scoped(n) && here(n));
                net.fg.is_some_and(|(mac, own)| mac == of && (own == tpa || fip || open))
            }
            Way::Phys(_) => net.gateway_here && has_it && router,
        };
        must(right, "an ARP answer for an address that is not to be answered for, or with another MAC (I3-a, E1, V4)")?;
        Ok(true)
    }

    /// R2, ICMP, R2-l4.
    pub(super) fn made(&self, c: &Routed<'_>) -> Check {
        let kind = (c.b.protocol(), c.sent.get(c.b.slice().len()).copied());
        let answer = match kind {
            (IpNumber::ICMP, Some(0)) => self.echo(c),
            (IpNumber::ICMP, Some(3 | 11)) => self.error(c),
            (IpNumber::TCP, _) => self.reset(c),
            _ => Err("a router changed the addresses"),
        };
        answer?;
        // Straight back, or routed by the router that made it.
        must(c.straight || c.by_router.is_ok(), "an answer to another than the asker (R2, ICMP)")
    }

    fn ttl_of_answer(&self, c: &Routed<'_>) -> Check {
        must((56..=64).contains(&c.b.ttl()) && (c.b.ttl() == 64 || c.by_router.is_ok()), "TTL of an answer (R2, ICMP)")
    }

    fn is_router(&self, ip: Ipv4Addr) -> bool {
        self.facts.nets.values().any(|n| n.router_ips.contains(&ip.into()))
    }

    /// R2; FI for the fg address.
    fn echo(&self, c: &Routed<'_>) -> Check {
        let (a, b) = (&c.a, &c.b);
        must((b.source(), b.destination()) == (a.destination(), a.source()), "an echo reply to another request (R2)")?;
        let fg = self.facts.nets.values().any(|n| n.fg.is_some_and(|(_, ip)| ip == a.destination_addr()));
        let asked = if c.from.net.external { fg } else { fg || self.is_router(a.destination_addr()) };
        must(asked, "an echo reply of an address that is no router's (R2, FI)")?;
        self.ttl_of_answer(c)?;
        let (question, answer) = (&c.packet[a.slice().len()..], &c.sent[b.slice().len()..]);
        let echo = question.first() == Some(&8) && question.len() == answer.len() && question[4..] == answer[4..];
        must(echo && answer[1] == question[1] && b.ihl() == 5, "an answer that is no echo reply (R2)")?;
        must((b.slice()[1], b.identification()) == (a.slice()[1], a.identification()), "TOS and ID of an answer (R2)")?;
        must(!a.is_fragmenting_payload() && !b.is_fragmenting_payload(), "a fragment was answered (R2)")?;
        must(
            sum(&[answer]) == 0xffff && sum(&[question]) == 0xffff,
            "ICMP checksum of an answer, or of what it answers",
        )
    }

    /// Every byte but the TTL and the header checksum over it.
    fn error(&self, c: &Routed<'_>) -> Check {
        let quote = quotable(c.packet).ok_or("an error about what none may be sent about (RFC 1122, 3.2.2)")?;
        let ours = Ours { dst: c.a.source_addr(), src: c.b.source_addr(), tos: 0xc0, protocol: IpNumber::ICMP };
        let head = c.sent.get(20..28).ok_or("an ICMP error cut short")?;
        let message = [&[head[0], head[1], 0, 0], &head[4..8], quote].concat();
        let check = (!sum(&[&message])).to_be_bytes();
        let expected = ours.packet(&[&head[..2], &check, &message[4..]].concat(), c.b.ttl());
        must(expected == c.sent, "the bytes of an ICMP error (generated bytes)")?;
        self.ttl_of_answer(c)?;
        self.source_of_error(c)?;
        let (dst, len) = (c.a.destination_addr(), c.packet.len());
        let mtu = usize::from(u16::from_be_bytes([head[6], head[7]]));
        let unused = head[4..6] == [0, 0] && (mtu == 0 || (head[0], head[1]) == (3, 4));
        must(unused, "unused fields of an ICMP error are not 0")?;
        let why = match (head[0], head[1]) {
            // Eight routers, and the planes for floating IPs.
            (11, 0) => c.a.ttl() <= 9,
            (3, 0) => {
                let none = |router: &Router| !router.has_route(dst.into());
                // Only the first one's own goes straight back with its TTL.
                let first = self.first_router(c).is_some_and(none);
                first || !(c.straight && c.b.ttl() == 64) && self.facts.routers.values().any(none)
            }
            (3, 1) => {
                let after = self.out.time.checked_sub(3 * SECOND);
                self.may_wait() && self.story.iter().any(|first| Some(first.time) == after)
            }
            (3, 3) => c.a.protocol() == IpNumber::UDP && self.is_router(dst) && !c.from.net.external,
            (3, 4) => c.a.dont_fragment() && len > mtu && self.facts.nets.values().any(|n| n.mtu == mtu),
            _ => false,
        };
        must(why, "an ICMP error without its reason (R2-l4, R3, R4, R7-probe, R8-icmp)")
    }

    /// ICMP, Source.
    fn source_of_error(&self, c: &Routed<'_>) -> Check {
        let (f, offender, source) = (self.facts, IpAddr::from(c.a.source_addr()), c.b.source_addr());
        let addresses = |router: &Router| -> BTreeSet<Ipv4Addr> {
            let ips = || router.interfaces.iter().flat_map(|i| i.ips.iter().map(move |ip| (i, ip)));
            let facing: BTreeSet<Ipv4Addr> =
                ips().filter(|(_, (_, net))| net.contains(offender)).map(|(_, (ip, _))| *ip).collect();
            if !facing.is_empty() {
                return facing;
            }
            let entry: BTreeSet<Ipv4Addr> =
                ips().filter(|(i, _)| i.network == c.from.network).map(|(_, (ip, _))| *ip).collect();
            // It came to this one through another.
            if entry.is_empty() { ips().map(|(_, (ip, _))| *ip).collect() } else { entry }
        };
        let floating = f.fips.iter().any(|fip| fip.floating == c.a.destination_addr() && fip.floating == source);
        if c.from.net.external {
            return must(floating, "source of an error about a packet from outside (ICMP)");
        }
        let first = self.first_router(c).is_some_and(|r| addresses(r).contains(&source));
        // Loose: which of the routers behind the first one made it, the error does not say; nor does the rule say
        // which address a packet has that met its end at a floating IP of this host (FO3).
        let further = c.by_router.is_ok() && (floating || f.routers.values().any(|r| addresses(r).contains(&source)));
        must(first || further, "source of an ICMP error (ICMP)")
    }

    fn reset(&self, c: &Routed<'_>) -> Check {
        must(self.is_router(c.a.destination_addr()) && !c.from.net.external, "a segment from nowhere (R2-l4)")?;
        let expected = reset_of(c.packet, c.b.ttl()).ok_or("a reset of what is not to be answered (R2-l4)")?;
        must(expected == c.sent, "the bytes of a reset (R2-l4)")?;
        self.ttl_of_answer(c)
    }
}

/// A header of our own.
struct Ours {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    tos: u8,
    protocol: IpNumber,
}

impl Ours {
    fn packet(&self, payload: &[u8], ttl: u8) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap_or(0);
        let Ok(mut h) = Ipv4Header::new(len, ttl, self.protocol, self.src.octets(), self.dst.octets()) else {
            return Vec::new();
        };
        h.dont_fragment = true;
        let mut bytes = h.to_bytes();
        bytes[1] = self.tos;
        bytes[10..12].copy_from_slice(&[0, 0]);
        let check = !sum(&[&bytes]);
        bytes[10..12].copy_from_slice(&check.to_be_bytes());
        [&bytes, payload].concat()
    }
}

/// The reset that answers a packet; `None`: nothing does (RFC 9293, 3.10.7.1).
pub fn reset_of(packet: &[u8], ttl: u8) -> Option<Vec<u8>> {
    let h = Ipv4HeaderSlice::from_slice(packet).ok()?;
    let segment = packet.get(h.slice().len()..usize::from(h.total_len()))?;
    let tcp = TcpSlice::from_slice(segment).ok().filter(|_| h.protocol() == IpNumber::TCP)?;
    // 0xffff is 0 too.
    let right = tcp.calc_checksum_ipv4(h.source(), h.destination()).ok()?;
    let good = tcp.checksum() % 0xffff == right % 0xffff;
    let (src, dst) = (h.source_addr(), h.destination_addr());
    let one = !src.is_loopback() && !src.is_multicast() && (1..240).contains(&src.octets()[0]);
    let one = one && !dst.is_multicast() && !dst.is_broadcast();
    if !good || !one || tcp.rst() || h.is_fragmenting_payload() {
        return None;
    }
    let end = tcp.payload().len() as u32 + u32::from(tcp.syn()) + u32::from(tcp.fin());
    let mut r = TcpHeader::new(tcp.destination_port(), tcp.source_port(), 0, 0);
    r.rst = true;
    if tcp.ack() {
        r.sequence_number = tcp.acknowledgment_number();
    } else {
        r.ack = true;
        r.acknowledgment_number = tcp.sequence_number().wrapping_add(end);
    }
    r.checksum = r.calc_checksum_ipv4_raw(h.destination(), h.source(), &[]).ok()?;
    let ours = Ours { src: dst, dst: src, tos: 0, protocol: IpNumber::TCP };
    Some(ours.packet(&r.to_bytes(), ttl))
}

/// R7-probe, FO4, V4: an ARP request that nobody's frame called for at this moment.
pub fn by_the_clock(f: &Facts, story: &[Frame<'_>], out: &Frame<'_>) -> Check {
    let to = went(f, out)?;
    let e = to.eth()?;
    let Some((1, sha, spa, [0, 0, 0, 0, 0, 0], tpa)) = arp(&e) else {
        return Err("no ARP request without a target MAC");
    };
    must(e.bytes.len() == 42 && e.dst == [0xff; 6] && e.src == sha, "a question of ours is 42 bytes to broadcast")?;
    if spa == tpa {
        let gateway = to.net.gateway_here && matches!(to.way, Way::Phys(_)) && to.net.router_macs.contains(&sha);
        let right = to.net.owners.get(&tpa.into()).is_some_and(|macs| macs.contains(&sha));
        return must(gateway && right && out.time.is_multiple_of(REPEATED), "an announcement of nobody (V4, F42)");
    }
    let own = match to.net.fg {
        Some(fg) if to.net.external => (sha, spa) == fg,
        _ => sha == f.dvr && spa.is_unspecified() && !to.net.external,
    };
    must(own, "a question that is not the router's (R7-probe, FO4)")?;
    let ends = |net: &control::model::IpNet| {
        let IpAddr::V4(base) = net.addr() else { return None };
        Some(Ipv4Addr::from(u32::from(base) | u32::MAX.checked_shr(net.prefix_len().into()).unwrap_or(0)))
    };
    let all = to.net.subnets.iter().filter(|n| n.prefix_len() < 31).filter_map(ends);
    must(!all.into_iter().any(|ip| ip == tpa), "the address for broadcasts is not asked for (R7-probe)")?;
    let ago = |seconds: u64| move |c: &&Frame<'_>| Some(c.time) == out.time.checked_sub(seconds * SECOND);
    let wants = |c: &Frame<'_>| {
        came(f, c).ok().and_then(|from| to_router(&from)).is_some_and(|dst| may_ask(f, dst, to.network, tpa))
    };
    let first = [0, 1, 2].into_iter().any(|s| story.iter().filter(ago(s)).any(wants));
    let heard = |c: &Frame<'_>| {
        let from = came(f, c).ok();
        let told = |from: Inside<'_>| {
            from.network == to.network && from.eth().ok().and_then(|e| arp(&e)).is_some_and(|a| a.2 == tpa)
        };
        from.is_some_and(told)
    };
    let again = if to.net.external { [30, 31, 32] } else { [270, 271, 272] };
    let again = again.into_iter().any(|s| story.iter().filter(ago(s)).any(heard));
    must(first || again, "nobody waits for the answer to this question (R7-probe)")
}
