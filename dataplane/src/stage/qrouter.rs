//! R: the qrouter namespace.
//!
//! In the seed's host `ip rule` says `0: from all lookup local`, `32766: from all lookup main`,
//! `32768: from 81.1.180.18 lookup 16`, `1359066113: from 81.1.180.1/24 lookup 1359066113`: local
//! addresses first (R2), then connected and extra routes (R4 step 1), then floating IPs (step 2),
//! then the source subnet's way to its SNAT port (step 4). `ip neigh ... PERMANENT` is R7.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, L3, Lane, Lanes, Mask, Out};
use crate::drop_reason::DropReason;
use crate::tables::{Home, Hop, IfaceIx, NeighValue, RouterRow, Target, fip_key, ip4_key};
use crate::trace::{Field, Note};
use crate::wire::{self, proto};

mod answer;

const STAGE: Stage = Stage::Qrouter;
/// Routers of this host a packet may cross in a row (`loop_limit`).
const MAX_TRAVERSALS: u8 = 8;

/// Routes every frame of `m` that is addressed to a router interface of its network; returns
/// those that go on with a router as their source. Rules: R0-R5, R7, R8 (drop only), R9, D3.
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
    for lane in m {
        let Some(seg) = x.seg(b, lane) else { continue };
        let dst = b.dst[lane];
        if let Some(hit) = seg.interfaces.iter().find(|i| i.mac == dst) {
            visit.iface[lane] = hit.iface;
            here.insert(lane);
            x.note(b, lane, STAGE, Note::RouterInterface(hit.iface));
        }
    }
    here
}

/// What pass 1 found: next hops whose neighbour rows are on their way into the cache.
struct Hops {
    lanes: Mask,
    iface: Lanes<IfaceIx>,
    key: Lanes<u64>,
    home: Lanes<Home>,
}

/// Pass 1: R0-R5, and the hash of the neighbour to ask for.
#[inline(always)]
fn route_all(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, visit: &mut Visit) -> Hops {
    let mut hops = Hops {
        lanes: Mask::NONE,
        iface: Lanes::splat(0),
        key: Lanes::splat(0),
        home: Lanes::splat(Home::default()),
    };
    for lane in m {
        if let Some(hop) = route(b, x, lane, visit) {
            let (iface, via) = (hop.iface(), hop.via());
            let seg = x.snap.interfaces.get(iface).map_or(0, |i| i.seg);
            let key = ip4_key(seg, if via == 0 { b.ip_dst[lane] } else { via });
            hops.iface[lane] = iface;
            hops.key[lane] = key[0];
            hops.home[lane] = x.tables.neigh.locate(&key);
            hops.lanes.insert(lane);
        }
    }
    hops
}

/// The next hop; `None` once the frame is dropped, answered or swallowed.
#[inline(always)]
fn route(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, visit: &mut Visit) -> Option<Hop> {
    let Some((iface, router)) = x.router(visit.iface[lane]).filter(|(i, r)| i.up && r.active) else {
        b.drop(lane, STAGE, DropReason::RouterDown);
        return None;
    };
    if b.l3[lane] != L3::Ipv4 {
        not_ip4(b, lane);
        return None;
    }
    if !visit.own.has(lane) {
        if let Err(reason) = checked_header(b, lane).and_then(|()| martian(b, lane, router)) {
            b.drop(lane, STAGE, reason);
            return None;
        }
        if router.owns(b.ip_dst[lane]) {
            answer::to_router(b, x, lane, visit);
            return None;
        }
        if b.ip[lane].ttl <= 1 {
            b.drop(lane, STAGE, DropReason::Ttl);
            return None;
        }
    }
    let hop = match router.routes.lookup(b.ip_dst[lane], flow_hash(b, lane)) {
        Some(hop) => hop,
        None => off_subnet(b, x, lane, iface.router, router)?,
    };
    x.note(b, lane, STAGE, Note::Route(hop.iface(), hop.via()));
    if x.snap.interfaces.get(hop.iface()).is_none_or(|out| out.scope != iface.scope) {
        b.drop(lane, STAGE, DropReason::NotBuilt); // R6
        return None;
    }
    Some(hop)
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
    let (l3, len) = (b.l3_off[lane], b.ip[lane].header_len);
    let sum = match b.at::<20>(lane, l3) {
        Some(h) if len == 20 => wire::checksum(h),
        _ => b.bytes(lane).get(usize::from(l3)..usize::from(l3 + len)).map_or(1, wire::checksum),
    };
    if sum != 0 {
        return Err(DropReason::ParseCsum);
    }
    if b.ip[lane].src_route { Err(DropReason::SrcRoute) } else { Ok(()) }
}

/// R1.
#[inline(always)]
fn martian(b: &Burst<'_>, lane: Lane, router: &RouterRow) -> Result<(), DropReason> {
    let (src, dst) = (b.ip_src[lane], b.ip_dst[lane]);
    let never = |ip: u32| matches!(ip >> 24, 0 | 127);
    // 224/4 and 240/4 in one: class D and E, broadcast included, are no source; class D and broadcast no destination.
    let bad_src = never(src) || src >> 28 == 14 || src == u32::MAX || router.owns(src);
    if bad_src || never(dst) || dst >> 28 == 14 || dst == u32::MAX {
        return Err(DropReason::Martian);
    }
    if src >> 16 == 0xa9fe || dst >> 16 == 0xa9fe {
        return Err(link_local(b, lane));
    }
    Ok(())
}

/// R2-m is not built: HTTP to the metadata address would be punted.
#[cold]
fn link_local(b: &Burst<'_>, lane: Lane) -> DropReason {
    if b.ip_dst[lane] != 0xa9fe_a9fe || b.ip_src[lane] >> 16 == 0xa9fe {
        return DropReason::LinkLocal;
    }
    let http = b.ip[lane].proto == proto::TCP && b.ports[lane] as u16 == 80;
    if http { DropReason::NotBuilt } else { DropReason::MetaBlocked }
}

/// R4 steps 2 to 5: the main table (step 1) has nothing.
#[cold]
fn off_subnet(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, router_ix: u16, router: &RouterRow) -> Option<Hop> {
    let src = b.ip_src[lane];
    let reason = if router.fip_here && x.tables.fip.lookup(&fip_key(router_ix, src)) != 0 {
        DropReason::NotBuilt // step 2
    } else if let Some(snat) = router.snat.iter().find(|s| src & s.mask == s.net) {
        x.note(b, lane, STAGE, Note::SnatNextHop(snat.iface, snat.next_hop));
        return Some(Hop::new(snat.iface, snat.next_hop));
    } else if router.gateway_here {
        DropReason::NotBuilt // step 5
    } else {
        DropReason::NoRoute
    };
    b.drop(lane, STAGE, reason);
    None
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
fn neighbours(b: &mut Burst<'_>, x: &Ctx<'_>, hops: &Hops, visit: &mut Visit) {
    for lane in hops.lanes {
        let key = hops.key[lane];
        let word = x.tables.neigh.get(hops.home[lane], &[key]);
        x.note(b, lane, STAGE, Note::Neigh((key >> 48) as u16, key as u32, word));
        let result = match NeighValue::from_word(word).filter(|n| n.has(NeighValue::ROUTE)) {
            None => Err(DropReason::NoNeigh),
            Some(neighbour) => forward(b, x, lane, hops.iface[lane], neighbour, visit),
        };
        visit.own.remove(lane);
        if let Err(reason) = result {
            b.drop(lane, STAGE, reason);
        }
    }
}

/// R8, R9: size, TTL, addresses, way out.
#[inline(always)]
fn forward(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    out: IfaceIx,
    neighbour: NeighValue,
    visit: &mut Visit,
) -> Result<(), DropReason> {
    let iface = x.snap.interfaces.get(out).ok_or(DropReason::RouterDown)?;
    if b.ip[lane].total_len > iface.mtu {
        return Err(DropReason::Mtu);
    }
    if !visit.own.has(lane) {
        decrement_ttl(b, x, lane);
    }
    if let Some(next) = neighbour.router_interface() {
        visit.trav[lane] += 1;
        visit.iface[lane] = next;
        visit.next.insert(lane);
        return if visit.trav[lane] >= MAX_TRAVERSALS { Err(DropReason::LoopLimit) } else { Ok(()) };
    }
    x.note(b, lane, STAGE, Note::Set(Field::Seg, u64::from(b.seg[lane]), u64::from(iface.seg)));
    b.seg[lane] = iface.seg;
    b.meta[lane].len = b.l3_off[lane] + b.ip[lane].total_len;
    set_macs(b, x, lane, STAGE, neighbour.mac(), iface.mac);
    match neighbour.target() {
        Target::Port(port) => b.send(lane, Out::Port(port)),
        Target::Tunnel(tunnel) => b.send(lane, Out::Tunnel(tunnel)),
        Target::Phys => b.send(lane, Out::Phys),
        Target::Snat => return Err(DropReason::SnatNoState),
    }
    Ok(())
}

#[inline(always)]
fn decrement_ttl(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    let ttl = b.ip[lane].ttl;
    let l3 = b.l3_off[lane];
    b.ip[lane].ttl = ttl - 1;
    if let Some([t, p, c0, c1]) = b.at_mut::<4>(lane, l3 + 8) {
        let (old, new) = (u16::from_be_bytes([ttl, *p]), u16::from_be_bytes([ttl - 1, *p]));
        *t = ttl - 1;
        [*c0, *c1] = wire::update(u16::from_be_bytes([*c0, *c1]), old, new).to_be_bytes();
    }
    x.note(b, lane, STAGE, Note::Set(Field::Ttl, u64::from(ttl), u64::from(ttl - 1)));
}

/// Writes both Ethernet addresses, in the frame and in the arrays.
#[inline(always)]
fn set_macs(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, stage: Stage, dst: MacAddr, src: MacAddr) {
    x.note(b, lane, stage, Note::Set(Field::EthDst, b.dst[lane].to_u64(), dst.to_u64()));
    x.note(b, lane, stage, Note::Set(Field::EthSrc, b.src[lane].to_u64(), src.to_u64()));
    b.dst[lane] = dst;
    b.src[lane] = src;
    let ([d0, d1, d2, d3, d4, d5], [s0, s1, s2, s3, s4, s5]) = (dst.octets(), src.octets());
    if let Some(head) = b.at_mut::<12>(lane, 0) {
        *head = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5];
    }
}

#[cfg(test)]
mod tests;
