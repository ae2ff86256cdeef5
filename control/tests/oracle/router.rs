//! What dvrd must do with a packet for a router or for fg-: the namespaces' way, and where the two differ.

use crate::cloud::{Place, PortFact, Seg};
use crate::departures::{Case, Expect, flood_on};
use crate::ip::{self, Arp, Ip4};
use crate::netns::Ended;
use crate::world::{In, Sent};

pub fn expect(case: &Case<'_>) -> Expect {
    let mut e = Expect::default();
    if case.seen.pinned {
        e.names.push("static-rows");
    }
    let Some(ip) = case.ip() else { return e }; // ARP for somebody else, IPv6: taken in
    if early(case, ip, &mut e) {
        return e;
    }
    if case.seen.not_hops > 0 {
        e.names.push("fip-no-hop");
    }
    match case.seen.ends.first() {
        None => {
            e.sent.clone_from(&case.seen.sent);
            case.filter(&mut e);
        }
        Some(end) => ended(case, ip, end, &mut e),
    }
    if case.seen.to_snat {
        e.names.push("snat-later");
    }
    e
}

/// R1 and R2-m, where the kernel thinks otherwise. `true`: decided.
fn early(case: &Case<'_>, ip: Ip4, e: &mut Expect) -> bool {
    let link_local = |ip: u32| ip >> 16 == 0xa9fe;
    let name = match case.seen.ends.first() {
        Some(Ended::Metadata) => ("metadata", &["meta_blocked"][..]),
        Some(Ended::Martian) if !case.seg.external => {
            e.dropped = &["martian"];
            return true;
        }
        _ if link_local(ip.src) || link_local(ip.dst) => ("link-local", &["link_local", "meta_blocked", "martian"][..]),
        _ => return false,
    };
    e.names.push(name.0);
    e.dropped = name.1;
    true
}

fn ended(case: &Case<'_>, ip: Ip4, end: &Ended, e: &mut Expect) {
    let outside = case.seg.external;
    let fip = case.facts.fips.iter().any(|(fip, _)| *fip == ip.dst);
    match end {
        // To fg- only echo is answered, and what is no floating IP of this host is of no concern to it.
        _ if outside && !fip && !matches!(end, Ended::Local(1)) => {
            e.dropped = &["fip_not_local", "martian", "link_local"];
            if case.facts.fg.is_some_and(|(_, fg)| fg == ip.dst) && matches!(end, Ended::Local(6 | 17)) {
                e.names.push("fg-echo-only");
            }
        }
        // fg- from inside
        Ended::Local(proto) if case.facts.fg.is_some_and(|(_, fg)| fg == ip.dst) && !(*proto == 1 && is_echo(case)) => {
            e.names.push("fg-echo-only");
        }
        Ended::NoRoute if ip.ttl <= 1 && !outside => {
            e.names.push("ttl-first");
            told(case, (11, 0, 0), e);
        }
        Ended::NoRoute => told(case, (3, 0, 0), e),
        Ended::TtlExceeded => told(case, (11, 0, 0), e),
        Ended::TooBig(mtu) => told(case, (3, 4, u32::from(*mtu)), e),
        Ended::NoNeighbour(dev, hop) => unresolved(case, dev, *hop, e),
        Ended::Local(1) if is_echo(case) => echo(case, e),
        Ended::Local(17) => told(case, (3, 3, 0), e),
        Ended::Local(6) => reset(case, ip, e),
        Ended::Local(_) | Ended::Silent | Ended::Martian | Ended::Metadata => {}
    }
}

fn is_echo(case: &Case<'_>) -> bool {
    case.inner[34] == 8
}

/// ICMP errors and resets go straight back to where the packet came from.
fn back(case: &Case<'_>, packet: &[u8], e: &mut Expect) {
    let frame = ip::ether(ip::src(&case.inner), ip::dst(&case.inner), 0x0800, packet);
    e.sent.push((case.way_back(), frame));
    e.names.push("made-bytes");
}

/// An error about the packet as it came, if one may be sent about it.
fn told(case: &Case<'_>, error: (u8, u8, u32), e: &mut Expect) {
    e.dropped = match error {
        (3, 0, _) => &["no_route"],
        (3, 1, _) => &["no_neigh"],
        (3, 4, _) => &["mtu"],
        (11, ..) => &["ttl"],
        _ => &[], // taken in
    };
    let about = &case.inner[14..];
    let (ip, payload) = Ip4::read(about).expect("a packet of ours");
    let of_error = ip.proto == 1 && !matches!(payload[0], 0 | 8);
    if of_error || ip.frag & 0x1fff != 0 {
        return;
    }
    let from = if case.seg.external { ip.dst } else { speaker(case, ip.src) };
    e.tells = true;
    back(case, &ip::icmp_error(from, error, about), e);
}

/// The router's address on the subnet of the sender; else that of the interface the packet was sent to.
fn speaker(case: &Case<'_>, src: u32) -> u32 {
    let interfaces = case.facts.segs.iter().flat_map(|s: &Seg| &s.routers);
    let facing = interfaces.clone().find(|r| (r.ip ^ src) & crate::netns::mask(r.len) == 0);
    let asked = case.seg.router_mac(ip::dst(&case.inner));
    facing.or(asked).expect("a packet to a router").ip
}

/// The request with addresses swapped, TTL 64, to whom it came from.
fn echo(case: &Case<'_>, e: &mut Expect) {
    let (ip, payload) = Ip4::read(&case.inner[14..]).expect("a packet of ours");
    if case.facts.fg.is_some_and(|(_, fg)| fg == ip.dst) && !case.seg.external {
        e.sent.clone_from(&case.seen.sent); // through the fip namespace and back, as there
        return;
    }
    let mut m = payload.to_vec();
    (m[0], m[2], m[3]) = (0, 0, 0);
    let s = ip::sum(&[&m]).to_be_bytes();
    m[2..4].copy_from_slice(&s);
    back(case, &Ip4 { ttl: 64, src: ip.dst, dst: ip.src, ..ip }.bytes(&m), e);
    if e.sent == case.seen.sent {
        e.names.pop();
    }
}

/// RFC 9293, 3.10.7.1.
fn reset(case: &Case<'_>, ip: Ip4, e: &mut Expect) {
    let (_, t) = Ip4::read(&case.inner[14..]).expect("a packet of ours");
    if t.len() < 20 || ip.frag & 0x3fff != 0 {
        return;
    }
    let (seq, ack, flags) = (ip::be(t, 4, 4) as u32, ip::be(t, 8, 4) as u32, t[13]);
    let data = (t.len() - usize::from(t[12] >> 4) * 4) as u32;
    if flags & 4 != 0 {
        return;
    }
    let (s, a, f) = match flags & 0x10 {
        0 => (0, seq.wrapping_add(data + u32::from(flags & 2 != 0) + u32::from(flags & 1)), 0x14),
        _ => (ack, 0, 0x04),
    };
    let mut m = [&t[2..4], &t[..2]].concat();
    m.extend(s.to_be_bytes());
    m.extend(a.to_be_bytes());
    m.extend([0x50, f, 0, 0, 0, 0, 0, 0]);
    let head = Ip4 { tos: 0, id: 0, frag: ip::DF, ttl: 64, proto: 6, src: ip.dst, dst: ip.src };
    let m = head.summed(&m);
    e.tells = true;
    back(case, &head.bytes(&m), e);
}

/// Asked for at 0, 1 and 2 s, then the sender is told.
fn unresolved(case: &Case<'_>, dev: &str, hop: u32, e: &mut Expect) {
    let down = |p: &PortFact| p.place == Place::Here && !p.active && p.ips.contains(&hop);
    if case.facts.segs.iter().flat_map(|s| &s.ports).any(down) {
        e.names.push("port-down");
        e.dropped = &["port_down"];
        return;
    }
    e.names.push("neighbour-probes");
    e.waits = true;
    for _ in 0..3 {
        e.sent.append(&mut probe(case, dev, hop));
    }
    told(case, (3, 1, 0), e);
}

fn probe(case: &Case<'_>, dev: &str, hop: u32) -> Vec<Sent> {
    let facts = case.facts;
    let on = |seg: &&Seg| seg.subnets.iter().any(|(net, len)| (hop ^ net) & crate::netns::mask(*len) == 0);
    let seg = facts.segs.iter().find(on).expect("a next hop is on a subnet");
    let mac = if dev.starts_with("fg-") { facts.fg.expect("fg-").0 } else { facts.dvr_mac };
    let spa = if dev.starts_with("fg-") { facts.fg.expect("fg-").1 } else { 0 };
    let arp = Arp { op: 1, sha: mac, spa, tha: 0, tpa: hop };
    let frame = ip::ether(ip::BROADCAST, mac, 0x0806, &arp.bytes());
    flood_on(facts, seg, &frame, None::<&In>)
}
