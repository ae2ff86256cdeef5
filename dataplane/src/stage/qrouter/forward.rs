//! R3, R7, R8, R9: TTL, next hop's MAC, size, way out. Only the arrays change; `dvr_process` writes the frame once the
//! last router has spoken.

use super::{MAX_TRAVERSALS, STAGE, Visit, answer, fail, tell};
use crate::burst::{Burst, Gso, Lane, Out};
use crate::drop_reason::DropReason;
use crate::stage::{Ctx, offload};
use crate::tables::{IfaceIx, InterfaceRow, NO_ROUTER, NeighValue, SubnetRow, Target};
use crate::trace::{Field, Note};
use crate::wire::ETH_LEN;

/// The next hop is known: a host, or a router of this host.
#[inline(always)]
pub(super) fn forward(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    out: &InterfaceRow,
    neighbour: NeighValue,
    visit: &mut Visit,
) {
    if let Some(next) = neighbour.router_interface() {
        return to_router_interface(b, x, lane, out, next, visit);
    }
    let ttl = b.ip[lane].ttl;
    let own = visit.own.has(lane);
    if ttl <= 1 && !own {
        return fail(b, x, lane, DropReason::Ttl, tell::at(x, lane, visit), visit);
    }
    if b.ip[lane].total_len > out.mtu && !fits_cut(b, x, lane, out, visit) {
        return;
    }
    if b.traced.has(lane) {
        note_rewrite(b, x, lane, out, neighbour, own);
    }
    b.ip[lane].ttl = ttl - u8::from(!own);
    b.seg[lane] = out.seg;
    b.meta[lane].set_whole(usize::from(ETH_LEN + b.ip[lane].total_len));
    b.dst[lane] = neighbour.mac();
    b.src[lane] = out.mac;
    if out.is_fg() {
        b.unmasked.insert(lane);
    }
    match neighbour.target() {
        Target::Port(port) => b.send(lane, Out::Port(port)),
        Target::Tunnel(tunnel) => b.send(lane, Out::Tunnel(tunnel)),
        Target::Phys => b.send(lane, Out::Phys),
        Target::Fdb => {} // left to local_switching
        Target::Snat => b.drop(lane, STAGE, DropReason::SnatNoState),
    }
}

/// R8: larger than the next network carries. `true`: it goes on, to leave in fragments.
#[cold]
pub(in crate::stage) fn fits_cut(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    out: &InterfaceRow,
    visit: &Visit,
) -> bool {
    if b.meta[lane].gso != Gso::None && in_segments(b, lane, out.mtu) {
        return true;
    }
    let dont_fragment = b.at::<1>(lane, ETH_LEN + 6).is_none_or(|[flags]| flags & 0x40 != 0);
    if dont_fragment || b.meta[lane].gso != Gso::None {
        tell::too_big(b, x, lane, out.mtu, tell::at(x, lane, visit), visit);
        return false;
    }
    let least = if b.cut.has(lane) { b.cut_to[lane].min(out.mtu) } else { out.mtu };
    b.cut.insert(lane);
    b.cut_to[lane] = least;
    true
}

/// A super-frame whose segments fit, or can be made to.
fn in_segments(b: &mut Burst<'_>, lane: Lane, mtu: u16) -> bool {
    let dont_fragment = b.at::<1>(lane, ETH_LEN + 6).is_none_or(|[flags]| flags & 0x40 != 0);
    offload::packet_len(b, lane) <= mtu || !dont_fragment && offload::cut_smaller(b, lane, mtu)
}

/// R7: nobody has the address, as far as this host knows.
#[cold]
pub(in crate::stage) fn unresolved(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (key, row): (u64, Option<NeighValue>),
    visit: &Visit,
) {
    let router = tell::at(x, lane, visit);
    if visit.made.has(lane) {
        // What a router itself says does not wait.
        return b.drop(lane, STAGE, DropReason::NoNeigh);
    }
    if b.ip[lane].ttl <= 1 {
        return fail(b, x, lane, DropReason::Ttl, router, visit);
    }
    match row {
        None if !is_broadcast(x, key) => b.wait(lane, key, router),
        Some(NeighValue::ASKED) => b.wait(lane, key, router),
        Some(NeighValue::UNANSWERED) => fail(b, x, lane, DropReason::NoNeigh, router, visit),
        // Nobody asks for what is everybody's (RFC 1812, 4.3.2.7), nor for what is there and no next hop.
        _ => b.drop(lane, STAGE, DropReason::NoNeigh),
    }
}

/// The address of a key of T13 is the broadcast address of a subnet of its network.
fn is_broadcast(x: &Ctx<'_>, key: u64) -> bool {
    let (seg, ip) = ((key >> 48) as u16, key as u32);
    let subnets = x.snap.segments.get(seg).map(|row| &row.subnets);
    let last = |s: &SubnetRow| s.mask.count_ones() <= 30 && ip & s.mask == s.net && ip | s.mask == u32::MAX;
    subnets.is_some_and(|all| all.iter().any(last))
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
) {
    let own = visit.own.has(lane);
    visit.own.remove(lane);
    // A row of a batch this burst does not see yet, or no longer: as if there were none.
    let target = x.snap.interfaces.get(next);
    if target.is_some_and(|i| i.router == out.router && !i.is_fg()) {
        if !x.snap.routers.get(out.router).is_some_and(|r| r.owns(b.ip_dst[lane])) {
            return b.drop(lane, STAGE, DropReason::NoNeigh); // a route by way of itself leads nowhere
        }
        // Its own answer, sent to itself, ends here too.
        return if own {
            b.drop(lane, STAGE, DropReason::Martian)
        } else {
            answer::to_router(b, x, lane, out.router, visit)
        };
    }
    let at = tell::at(x, lane, visit);
    let ttl = b.ip[lane].ttl;
    if ttl <= 1 && !own {
        return fail(b, x, lane, DropReason::Ttl, at, visit);
    }
    let Some(target) = target else { return b.drop(lane, STAGE, DropReason::NoNeigh) };
    if target.is_fg() {
        // fg- is no router to go on by, but answers; what a router says it has nobody to hear.
        let asked = !own && b.ip_dst[lane] == target.ip;
        return match asked {
            true => answer::to_fg_from_inside(b, x, lane, next, visit),
            false => b.drop(lane, STAGE, DropReason::NoNeigh),
        };
    }
    if b.ip[lane].total_len > out.mtu && !fits_cut(b, x, lane, out, visit) {
        return;
    }
    x.note(b, lane, STAGE, Note::Set(Field::Ttl, u64::from(ttl), u64::from(ttl - u8::from(!own))));
    x.note(b, lane, STAGE, Note::RouterInterface(next));
    b.ip[lane].ttl = ttl - u8::from(!own);
    visit.iface[lane] = next;
    visit.at[lane] = NO_ROUTER;
    visit.inward.remove(lane);
    on_to_next(b, lane, visit);
}

/// One router more.
pub(in crate::stage) fn on_to_next(b: &mut Burst<'_>, lane: Lane, visit: &mut Visit) {
    visit.trav[lane] += 1;
    visit.next.insert(lane);
    if visit.trav[lane] >= MAX_TRAVERSALS {
        b.drop(lane, STAGE, DropReason::LoopLimit);
    }
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
