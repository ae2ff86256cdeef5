//! R: the qrouter namespace.
//!
//! In the seed's host `ip rule` says `0: from all lookup local`, `32766: from all lookup main`,
//! `32768: from 81.1.180.18 lookup 16`, `1359066113: from 81.1.180.1/24 lookup 1359066113`: local
//! addresses first (R2), then connected and extra routes (R4 step 1), then floating IPs (step 2),
//! then the source subnet's way to its SNAT port (step 4). `ip neigh ... PERMANENT` is R7.
//!
//! Only untagged IPv4 gets this far (`vm_port` took priority tags off), so the IP header starts at byte 14.

use super::{Ctx, Stage};
use crate::burst::{Burst, L3, Lane, Lanes, Mask, Out};
use crate::drop_reason::DropReason;
use crate::tables::{Home, Hop, IfaceIx, InterfaceRow, NeighValue, RouterRow, Target, fip_key, ip4_key};
use crate::trace::{Field, Note};
use crate::wire::{self, ETH_LEN, proto};

mod answer;

const STAGE: Stage = Stage::Qrouter;
/// Routers of this host a packet may cross in a row (`loop_limit`).
const MAX_TRAVERSALS: u8 = 8;

/// Routes every frame of `m` that is addressed to a router interface of its network; returns
/// those that go on with a router as their source. Rules: I0 (checksum and source route), R0, R1, R2,
/// R2-l4 (until built), R2-m (until built), R3, R4, R4-1, R4-2 (until built), R4-3 (until built), R4-4,
/// R4-5 (until built), R5, R6 (until built), R7, R8, R9, D3.
pub fn qrouter(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) -> Mask {
    let mut visit = Visit { iface: Lanes::splat(0), trav: Lanes::splat(0), own: Mask::NONE, next: Mask::NONE };
    let mut here = arrivals(b, x, m, &mut visit);
    x.enter(STAGE, b, here);
    let mut routed = Mask::NONE;
    // A packet there and a router's answer back: each at most MAX_TRAVERSALS.
    for _ in 0..=2 * MAX_TRAVERSALS {
        if here.is_empty() {
            break;
        }
        visit.next = Mask::NONE;
        let hops = route_all(b, x, here, &mut visit);
        neighbours(b, x, &hops, &mut visit);
        routed |= hops.lanes.without(visit.next);
        here = visit.next & b.live;
    }
    here.for_each(|lane| b.drop(lane, STAGE, DropReason::LoopLimit));
    routed & b.live
}

/// Where each frame stands between routers.
struct Visit {
    /// The interface it came in by.
    iface: Lanes<IfaceIx>,
    /// Routers crossed.
    trav: Lanes<u8>,
    /// Made by the router it is at: that router takes nothing off its TTL.
    own: Mask,
    /// To be routed (again) in the next round.
    next: Mask,
}

/// R0's question "is it for us?": the destination MAC is an interface of the frame's network.
#[inline(always)]
fn arrivals(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, visit: &mut Visit) -> Mask {
    let mut here = Mask::NONE;
    let (mut last, mut seg) = (0, None);
    for lane in m {
        if b.seg[lane] != last {
            last = b.seg[lane];
            seg = x.seg(b, lane);
        }
        let (Some(seg), dst) = (seg, b.dst[lane]) else { continue };
        if let Some(hit) = seg.interfaces.iter().find(|i| i.mac == dst) {
            visit.iface[lane] = hit.iface;
            here.insert(lane);
            x.note(b, lane, STAGE, Note::RouterInterface(hit.iface));
        }
    }
    here
}

/// What pass 1 found: next hops whose neighbour rows are on their way into the cache.
struct Hops<'s> {
    lanes: Mask,
    out: Lanes<Option<&'s InterfaceRow>>,
    key: Lanes<u64>,
    home: Lanes<Home>,
}

/// Pass 1: R0-R5, and the hash of the neighbour to ask for.
#[inline(always)]
fn route_all<'s>(b: &mut Burst<'_>, x: &Ctx<'s>, m: Mask, visit: &mut Visit) -> Hops<'s> {
    let (key, home) = (Lanes::splat(0), Lanes::splat(Home::default()));
    let mut hops = Hops { lanes: Mask::NONE, out: Lanes::splat(None), key, home };
    // Neighbours in a burst mostly come in by the same interface.
    let (mut last, mut here) = (None, None);
    for lane in m {
        if last != Some(visit.iface[lane]) {
            last = Some(visit.iface[lane]);
            here = x.router(visit.iface[lane]).filter(|(i, r)| i.up && r.active);
        }
        let Some(here) = here else {
            b.drop(lane, STAGE, DropReason::RouterDown);
            continue;
        };
        if let Some((out, via)) = route(b, x, lane, here, visit) {
            let key = ip4_key(out.seg, if via == 0 { b.ip_dst[lane] } else { via });
            hops.out[lane] = Some(out);
            hops.key[lane] = key[0];
            hops.home[lane] = x.tables.neigh.locate(&key);
            hops.lanes.insert(lane);
        }
    }
    hops
}

/// Egress interface and next hop; `None` once the frame is dropped, answered or swallowed.
#[inline(always)]
fn route<'s>(
    b: &mut Burst<'_>,
    x: &Ctx<'s>,
    lane: Lane,
    (iface, router): (&'s InterfaceRow, &'s RouterRow),
    visit: &mut Visit,
) -> Option<(&'s InterfaceRow, u32)> {
    if b.l3[lane] != L3::Ipv4 {
        not_ip4(b, lane);
        return None;
    }
    let vouched = b.vouched.has(lane) && visit.trav[lane] == 0; // for this router, not for the next
    let checked = || checked_header(b, lane).and_then(|()| martian(b, lane, router, vouched));
    if let (false, Err(reason)) = (visit.own.has(lane), checked()) {
        b.drop(lane, STAGE, reason);
        return None;
    }
    let hop = match router.routes.lookup(b.ip_dst[lane], || flow_hash(b, lane)) {
        Some(hop) => hop,
        None => off_subnet(b, x, lane, iface.router, router)?,
    };
    x.note(b, lane, STAGE, Note::Route(hop.iface(), hop.via()));
    match x.snap.interfaces.get(hop.iface()) {
        // R2 asks no scope: every address of the router answers.
        Some(out) if out.up && out.scope == iface.scope || router.owns(b.ip_dst[lane]) => Some((out, hop.via())),
        other => {
            let reason = match other {
                _ if b.ip[lane].ttl <= 1 && !visit.own.has(lane) => DropReason::Ttl, // R3 comes first
                Some(out) if !out.up => DropReason::RouterDown,
                Some(_) => not_built(b, x, lane, "R6"),
                None => DropReason::NoNeigh, // a route of a batch this burst does not see yet
            };
            b.drop(lane, STAGE, reason);
            None
        }
    }
}

/// IPv6 is not routed yet; ARP and the rest that reaches a router's MAC is for the router alone.
#[cold]
fn not_ip4(b: &mut Burst<'_>, lane: Lane) {
    if b.l3[lane] == L3::Ipv6 {
        b.drop(lane, STAGE, DropReason::Ipv6Unrouted);
    } else {
        b.consume(lane, STAGE);
    }
}

/// I0 for packets that are routed: header checksum, source routing.
#[inline(always)]
fn checked_header(b: &Burst<'_>, lane: Lane) -> Result<(), DropReason> {
    let len = b.ip[lane].header_len;
    let good = match b.at::<20>(lane, ETH_LEN) {
        Some(h) if len == 20 => wire::ip4_header_good(h),
        _ => {
            let header = b.bytes(lane).get(usize::from(ETH_LEN)..usize::from(ETH_LEN + len));
            header.is_some_and(|h| wire::checksum(h) == 0)
        }
    };
    if !good {
        return Err(DropReason::ParseCsum);
    }
    if b.ip[lane].src_route { Err(DropReason::SrcRoute) } else { Ok(()) }
}

/// R1. Addresses that are never routed begin with 0, 127, 169 (169.254) or 224 and above; only
/// those are looked at closely, and a source that port security vouched for not at all.
#[inline(always)]
fn martian(b: &Burst<'_>, lane: Lane, router: &RouterRow, vouched: bool) -> Result<(), DropReason> {
    const SUSPECT: [u64; 4] = [1, 1 << 63, 1 << (169 - 128), u64::MAX << (224 - 192)];
    let suspect = |ip: u32| SUSPECT.get((ip >> 30) as usize).is_none_or(|word| word >> (ip >> 24 & 63) & 1 != 0);
    if !vouched {
        if router.owns(b.ip_src[lane]) {
            return Err(DropReason::Martian);
        }
        if suspect(b.ip_src[lane]) {
            return never_routed(b, lane);
        }
    }
    if suspect(b.ip_dst[lane]) { never_routed(b, lane) } else { Ok(()) }
}

#[cold]
fn never_routed(b: &Burst<'_>, lane: Lane) -> Result<(), DropReason> {
    let (src, dst) = (b.ip_src[lane], b.ip_dst[lane]);
    let martian = |ip: u32| matches!(ip >> 24, 0 | 127 | 224..=239) || ip == u32::MAX;
    if martian(src) || martian(dst) {
        return Err(DropReason::Martian);
    }
    if src >> 16 == 0xa9fe || dst >> 16 == 0xa9fe {
        return Err(link_local(b, lane));
    }
    Ok(())
}

/// R2-m, before `link_local` and whoever asks: not built, HTTP to the metadata address would be punted.
#[cold]
fn link_local(b: &Burst<'_>, lane: Lane) -> DropReason {
    if b.ip_dst[lane] != 0xa9fe_a9fe {
        return DropReason::LinkLocal;
    }
    let http = b.ip[lane].proto == proto::TCP && b.ports[lane] as u16 == 80;
    if http { DropReason::NotBuilt } else { DropReason::MetaBlocked }
}

/// R4 steps 2 to 5: the main table (step 1) has nothing.
#[cold]
fn off_subnet(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, router_ix: u16, router: &RouterRow) -> Option<Hop> {
    let src = b.ip_src[lane];
    let reason = if b.ip[lane].ttl <= 1 {
        DropReason::Ttl // R3 comes before R4
    } else if router.fip_here && x.tables.fip.lookup(&fip_key(router_ix, src)) != 0 {
        not_built(b, x, lane, "R4-2")
    } else if router.scoped.iter().any(|(net, mask)| src & mask == *net) {
        not_built(b, x, lane, "R4-3")
    } else if let Some(snat) = router.snat.iter().find(|s| src & s.mask == s.net) {
        x.note(b, lane, STAGE, Note::SnatNextHop(snat.iface, snat.next_hop));
        return Some(Hop::new(snat.iface, snat.next_hop));
    } else if router.gateway_here {
        not_built(b, x, lane, "R4-5")
    } else {
        DropReason::NoRoute
    };
    b.drop(lane, STAGE, reason);
    None
}

/// A later rule would decide; the trace says which.
fn not_built(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, rule: &'static str) -> DropReason {
    x.note(b, lane, STAGE, Note::NotBuilt(rule));
    DropReason::NotBuilt
}

/// R5: the same hop for every packet of a flow; fragments have no ports and follow their addresses.
#[inline(always)]
fn flow_hash(b: &Burst<'_>, lane: Lane) -> u64 {
    let addresses = u64::from(b.ip_src[lane]) << 32 | u64::from(b.ip_dst[lane]);
    let rest = u64::from(b.ip[lane].proto) << 32 | u64::from(b.ports[lane]);
    (addresses ^ rest.rotate_left(24)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Pass 2: R7-R9. Frames whose next hop is another router of this host end up in `visit.next`.
#[inline(always)]
fn neighbours(b: &mut Burst<'_>, x: &Ctx<'_>, hops: &Hops<'_>, visit: &mut Visit) {
    for lane in hops.lanes {
        let key = hops.key[lane];
        let word = x.tables.neigh.get(hops.home[lane], &[key]);
        x.note(b, lane, STAGE, Note::Neigh((key >> 48) as u16, key as u32, word));
        let neighbour = NeighValue::from_word(word).filter(|n| n.has(NeighValue::ROUTE));
        let result = match (hops.out[lane], neighbour) {
            (Some(out), Some(neighbour)) => forward(b, x, lane, out, neighbour, visit),
            _ if b.ip[lane].ttl <= 1 && !visit.own.has(lane) => Err(DropReason::Ttl),
            _ => Err(DropReason::NoNeigh),
        };
        if let Err(reason) = result {
            b.drop(lane, STAGE, reason);
        }
    }
}

/// R2, R3, R8, R9: a router's own address, TTL, size, addresses, way out. Only the arrays change;
/// `dvr_process` writes the frame once the last router has spoken.
#[inline(always)]
fn forward(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    out: &InterfaceRow,
    neighbour: NeighValue,
    visit: &mut Visit,
) -> Result<(), DropReason> {
    if let Some(next) = neighbour.router_interface() {
        return to_router_interface(b, x, lane, out, next, visit);
    }
    let ttl = b.ip[lane].ttl;
    let own = visit.own.has(lane);
    if ttl <= 1 && !own {
        return Err(DropReason::Ttl);
    }
    if b.ip[lane].total_len > out.mtu {
        return Err(DropReason::Mtu);
    }
    if b.traced.has(lane) {
        note_rewrite(b, x, lane, out, neighbour, own);
    }
    b.ip[lane].ttl = ttl - u8::from(!own);
    b.seg[lane] = out.seg;
    b.meta[lane].len = ETH_LEN + b.ip[lane].total_len;
    b.dst[lane] = neighbour.mac();
    b.src[lane] = out.mac;
    match neighbour.target() {
        Target::Port(port) => b.send(lane, Out::Port(port)),
        Target::Tunnel(tunnel) => b.send(lane, Out::Tunnel(tunnel)),
        Target::Phys => b.send(lane, Out::Phys),
        Target::Fdb => {} // left to local_switching
        Target::Snat => return Err(DropReason::SnatNoState),
    }
    Ok(())
}

/// The next hop is a router of this host: this one, which is being talked to (R2), or the next one.
#[cold]
fn to_router_interface(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    out: &InterfaceRow,
    next: IfaceIx,
    visit: &mut Visit,
) -> Result<(), DropReason> {
    let own = visit.own.has(lane);
    visit.own.remove(lane);
    // A row of a batch this burst does not see yet, or no longer: as if there were none.
    let target = x.snap.interfaces.get(next);
    if target.is_some_and(|i| i.router == out.router) {
        if !x.snap.routers.get(out.router).is_some_and(|r| r.owns(b.ip_dst[lane])) {
            return Err(DropReason::NoNeigh); // a route by way of itself leads nowhere
        }
        // Its own answer, sent to itself, ends here too.
        return if own { Err(DropReason::Martian) } else { answer::to_router(b, x, lane, visit) };
    }
    let ttl = b.ip[lane].ttl;
    if ttl <= 1 && !own {
        return Err(DropReason::Ttl);
    }
    if target.is_none() {
        return Err(DropReason::NoNeigh);
    }
    if b.ip[lane].total_len > out.mtu {
        return Err(DropReason::Mtu);
    }
    x.note(b, lane, STAGE, Note::Set(Field::Ttl, u64::from(ttl), u64::from(ttl - u8::from(!own))));
    x.note(b, lane, STAGE, Note::RouterInterface(next));
    b.ip[lane].ttl = ttl - u8::from(!own);
    visit.trav[lane] += 1;
    visit.iface[lane] = next;
    visit.next.insert(lane);
    if visit.trav[lane] >= MAX_TRAVERSALS { Err(DropReason::LoopLimit) } else { Ok(()) }
}

/// What R9 is about to change, for a traced frame.
#[cold]
fn note_rewrite(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, out: &InterfaceRow, neighbour: NeighValue, own: bool) {
    let set = |field, from: u64, to: u64| x.note(b, lane, STAGE, Note::Set(field, from, to));
    let ttl = u64::from(b.ip[lane].ttl);
    if !own {
        set(Field::Ttl, ttl, ttl.saturating_sub(1));
    }
    set(Field::Seg, u64::from(b.seg[lane]), u64::from(out.seg));
    set(Field::EthDst, b.dst[lane].to_u64(), neighbour.mac().to_u64());
    set(Field::EthSrc, b.src[lane].to_u64(), out.mac.to_u64());
}

#[cfg(test)]
mod tests;
