//! R: the qrouter namespace.
//!
//! In the seed's host `ip rule` says `0: from all lookup local`, `32766: from all lookup main`,
//! `32768: from 81.1.180.18 lookup 16`, `1359066113: from 81.1.180.1/24 lookup 1359066113`: local
//! addresses first (R2), then connected and extra routes (R4 step 1), then floating IPs (step 2),
//! then the source subnet's way to its SNAT port (step 4). `ip neigh ... PERMANENT` is R7.
//!
//! Only untagged IPv4 gets this far (tags came off where it came in), so the IP header starts at byte 14.

use super::floating_ip;
use super::{Ctx, Stage};
use crate::burst::{Burst, Fate, Lanes, Mask};
use crate::drop_reason::DropReason;
use crate::tables::{Home, IfaceIx, InterfaceRow, NO_ROUTER, NeighValue, RouterIx, RouterRow, SegInterface, ip4_key};
use crate::trace::Note;

mod answer;
mod forward;
mod route;
mod straight;
mod tell;

pub(super) use answer::to_fg;
pub(super) use forward::{fits_cut, on_to_next, unresolved};
pub(super) use tell::{at, fail};

pub(super) const STAGE: Stage = Stage::Qrouter;
/// Routers of this host a packet may cross in a row (`loop_limit`).
const MAX_TRAVERSALS: u8 = 8;

/// Routes every frame of `m` that is addressed to a router interface of its network, and takes in what is for a
/// floating IP; returns those that go on with a router as their source. Rules: I0 (checksum and source route), R0, R1,
/// R2, R2-l4, R2-m (until built), R3, R4, R4-1, R4-2, R4-3, R4-4, R4-5, R5, R6, R7, R7-probe, R8, R8-icmp, R9, ICMP, D3,
/// FO, FO1, FO2, FO3, FO4, FI, D6, S (until built).
pub fn qrouter(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) -> Mask {
    let mut visit = Visit::new();
    let here = arrivals(b, x, m, &mut visit);
    x.enter(STAGE, b, here);
    walk(b, x, here, visit)
}

/// Routes frames that routers of this host made themselves: `by` says which. Rules: ICMP, R9.
pub fn from_router(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, by: RouterIx) -> Mask {
    let mut visit = Visit::new();
    (visit.own, visit.made) = (m, m);
    visit.at = Lanes::splat(by);
    x.enter(STAGE, b, m);
    walk(b, x, m, visit)
}

/// From router to router.
fn walk(b: &mut Burst<'_>, x: &Ctx<'_>, mut here: Mask, mut visit: Visit) -> Mask {
    let mut routed = Mask::NONE;
    // A packet there and a router's answer back: each at most MAX_TRAVERSALS.
    for _ in 0..=2 * MAX_TRAVERSALS {
        if here.is_empty() {
            break;
        }
        let done = straight::straight(b, x, here, &visit);
        routed |= done;
        here = here.without(done);
        if here.is_empty() {
            break;
        }
        visit.next = Mask::NONE;
        let hops = route_all(b, x, here, &mut visit);
        neighbours(b, x, &hops, &mut visit);
        routed |= hops.lanes.without(visit.next);
        visit.checked |= here;
        here = visit.next & b.live;
    }
    here.for_each(|lane| b.drop(lane, STAGE, DropReason::LoopLimit));
    routed & b.live
}

/// Where each frame stands between routers.
pub(super) struct Visit {
    /// The interface it came in by; [`NO_IFACE`]: by none, a router made it.
    pub iface: Lanes<IfaceIx>,
    /// The router it is at; [`NO_ROUTER`]: that of its interface.
    pub at: Lanes<RouterIx>,
    /// The interface it came to first.
    pub first: Lanes<IfaceIx>,
    /// Routers crossed.
    pub trav: Lanes<u8>,
    /// Made by the router it is at: that router takes nothing off its TTL.
    pub own: Mask,
    /// Made by a router, this one or one before: nobody is told about it, and it does not wait.
    pub made: Mask,
    /// Came in from the floating IP plane: connected and extra routes only (R4 step 1).
    pub inward: Mask,
    /// Their header checksum was looked at in an earlier round: what is wrong went no further.
    pub checked: Mask,
    /// To be routed (again) in the next round.
    pub next: Mask,
}

/// No interface.
const NO_IFACE: IfaceIx = IfaceIx::MAX;

impl Visit {
    fn new() -> Self {
        Visit {
            iface: Lanes::splat(NO_IFACE),
            at: Lanes::splat(NO_ROUTER),
            first: Lanes::splat(NO_IFACE),
            trav: Lanes::splat(0),
            own: Mask::NONE,
            made: Mask::NONE,
            inward: Mask::NONE,
            checked: Mask::NONE,
            next: Mask::NONE,
        }
    }
}

/// R0's question "is it for us?": the destination MAC is an interface of the frame's network.
#[inline(always)]
fn arrivals(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, visit: &mut Visit) -> Mask {
    let mut here = Mask::NONE;
    // Neighbours in a burst mostly are of one network and to the same interface of it.
    let (mut last, mut seg, mut hit) = (0, None, None);
    for lane in m {
        if b.seg[lane] != last {
            last = b.seg[lane];
            (seg, hit) = (x.seg(b, lane), None);
        }
        let (Some(seg), dst) = (seg, b.dst[lane]) else { continue };
        if hit.is_none_or(|i: &SegInterface| i.mac != dst) {
            hit = seg.interfaces.iter().find(|i| i.mac == dst);
        }
        if let Some(hit) = hit {
            visit.iface[lane] = hit.iface;
            visit.first[lane] = hit.iface;
            here.insert(lane);
        }
    }
    (here & b.traced).for_each(|lane| x.note(b, lane, STAGE, Note::RouterInterface(visit.iface[lane])));
    here
}

/// Where a frame is.
#[derive(Clone, Copy)]
pub(super) struct Here<'s> {
    /// The interface it came in by.
    pub iface: Option<&'s InterfaceRow>,
    /// The router; `None`: the fip namespace, by fg-.
    pub router: Option<&'s RouterRow>,
    /// Its index.
    pub at: RouterIx,
}

/// R0: interface and router, if both are up.
#[inline(always)]
fn here<'s>(x: &Ctx<'s>, iface: IfaceIx, at: RouterIx) -> Option<Here<'s>> {
    let iface = match x.snap.interfaces.get(iface) {
        Some(row) if row.up => Some(row),
        Some(_) => return None,
        None if at == NO_ROUTER => return None,
        None => None,
    };
    let at = if at == NO_ROUTER { iface?.router } else { at };
    if at == NO_ROUTER {
        return Some(Here { iface, router: None, at });
    }
    let router = x.snap.routers.get(at).filter(|r| r.active)?;
    Some(Here { iface, router: Some(router), at })
}

/// What pass 1 found: next hops whose neighbour rows are on their way into the cache.
struct Hops<'s> {
    lanes: Mask,
    /// In the fip namespace still, looking for what the destination is.
    outside: Mask,
    out: Lanes<Option<&'s InterfaceRow>>,
    key: Lanes<u64>,
    home: Lanes<Home>,
}

/// Pass 1: R0-R5, and the hash of the neighbour to ask for.
#[inline(always)]
fn route_all<'s>(b: &mut Burst<'_>, x: &Ctx<'s>, m: Mask, visit: &mut Visit) -> Hops<'s> {
    let (key, home) = (Lanes::splat(0), Lanes::splat(Home::default()));
    let mut hops = Hops { lanes: Mask::NONE, outside: Mask::NONE, out: Lanes::splat(None), key, home };
    // Neighbours in a burst mostly come in by the same interface.
    let (mut last, mut place) = (None, None);
    for lane in m {
        let now = (visit.iface[lane], visit.at[lane]);
        if last != Some(now) {
            last = Some(now);
            place = here(x, now.0, now.1);
        }
        let Some(place) = place else {
            b.drop(lane, STAGE, DropReason::RouterDown);
            continue;
        };
        if let Some((out, via)) = route::route(b, x, lane, &place, visit) {
            let key = ip4_key(out.seg, if via == 0 { b.ip_dst[lane] } else { via });
            hops.out[lane] = Some(out);
            hops.key[lane] = key[0];
            hops.home[lane] = x.tables.neigh.locate(&key);
            hops.lanes.insert(lane);
            if place.router.is_none() {
                hops.outside.insert(lane);
            }
        }
    }
    hops
}

/// Pass 2: R7-R9, FO3 and FI. Frames whose next hop is another router of this host end up in `visit.next`.
#[inline(always)]
fn neighbours(b: &mut Burst<'_>, x: &Ctx<'_>, hops: &Hops<'_>, visit: &mut Visit) {
    // Frames of this burst that wait now; who comes behind them for the same next hop waits too, whatever the row says by
    // then.
    let mut behind = Mask::NONE;
    for lane in hops.lanes {
        let key = hops.key[lane];
        let word = x.tables.neigh.get(hops.home[lane], &[key]);
        x.note(b, lane, STAGE, Note::Neigh((key >> 48) as u16, key as u32, word));
        let row = NeighValue::from_word(word);
        let (Some(out), outside) = (hops.out[lane], hops.outside.has(lane)) else { continue };
        match row {
            Some(_)
                if !(visit.made.has(lane) || behind.is_empty() && x.waiting.is_empty())
                    && (x.waiting.contains(&key) || behind.into_iter().any(|first| hops.key[first] == key)) =>
            {
                b.wait(lane, key, tell::at(x, lane, visit));
            }
            Some(n) if n.has(NeighValue::ROUTE) && !outside => forward::forward(b, x, lane, out, n, visit),
            // By fg-, or by a router that has an interface on the external network: as over the wire.
            _ if out.is_fg() || row.is_some_and(|n| n.inside().is_some()) => {
                floating_ip::arrive(b, x, lane, (out, outside), (key, row), visit)
            }
            _ => forward::unresolved(b, x, lane, (key, row), visit),
        }
        if !b.live.has(lane) && matches!(b.fate[lane], Fate::Waits(..)) {
            behind.insert(lane);
        }
    }
}

#[cfg(test)]
mod tests;
