//! The short way: whole IPv4 packets to a known neighbour on a connected network, by a route of one hop. What a packet of
//! that kind is asked is all here, in two passes with nothing else in them; whatever else it turns out to be takes the
//! long way (`route`, `forward`), which asks everything again and has the names for it.

use super::{STAGE, Visit, forward, here, route};
use crate::burst::{Burst, Lane, Lanes, Mask, Out};
use crate::stage::Ctx;
use crate::tables::{Home, IfaceIx, InterfaceRow, NO_ROUTER, NeighValue, RouterIx, Target, ip4_key};
use crate::trace::Note;
use crate::wire::ETH_LEN;

/// Routes what it can of `m`; returns those, their way out decided.
pub(super) fn straight(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, visit: &Visit) -> Mask {
    if !x.waiting.is_empty() {
        return Mask::NONE; // packets wait for a neighbour: does this one have to wait behind them?
    }
    let mut ways = Ways { out: Lanes::splat(0), key: Lanes::splat(0), home: Lanes::splat(Home::default()) };
    let found = find(b, x, m & b.plain.without(visit.made | b.source_routed), visit, &mut ways);
    let done = take(b, x, found, &ways);
    b.decided |= done;
    done
}

/// Where packets go: the interface, and the neighbour to ask for.
struct Ways {
    out: Lanes<IfaceIx>,
    key: Lanes<u64>,
    home: Lanes<Home>,
}

/// Pass 1: R1, R3, R4-1, R6, and the hash of the neighbour.
#[inline(always)]
fn find(b: &Burst<'_>, x: &Ctx<'_>, m: Mask, visit: &Visit, ways: &mut Ways) -> Mask {
    let (translated, vouched) = (b.nat_src | b.nat_dst, b.vouched);
    let mut found = Mask::NONE;
    let (mut last, mut place): ((IfaceIx, RouterIx), _) = ((IfaceIx::MAX, NO_ROUTER), None);
    for lane in m {
        let now = (visit.iface[lane], visit.at[lane]);
        if last != now {
            last = now;
            place = here(x, now.0, now.1).and_then(|h| Some((h.iface?, h.router?)));
        }
        let Some((came, router)) = place else { continue };
        let vouched = vouched.has(lane) && visit.trav[lane] == 0;
        let fine = (visit.checked.has(lane) || route::checksum_good(b, lane))
            && route::martian(b, lane, Some(router), vouched).is_ok()
            && b.ip[lane].ttl > 1;
        let Some(hop) = router.routes.only(b.ip_dst[lane]).filter(|_| fine) else { continue };
        let Some(out) = x.snap.interfaces.get(hop.iface()) else { continue };
        if !out.up || out.is_fg() || !(out.scope == came.scope || translated.has(lane)) {
            continue;
        }
        let key = ip4_key(out.seg, if hop.via() == 0 { b.ip_dst[lane] } else { hop.via() });
        ways.out[lane] = hop.iface();
        ways.key[lane] = key[0];
        ways.home[lane] = x.tables.neigh.locate(&key);
        found.insert(lane);
    }
    found
}

/// Pass 2: R7, R8, R9.
#[inline(always)]
fn take(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, ways: &Ways) -> Mask {
    let traced = b.traced;
    let mut done = Mask::NONE;
    for lane in m {
        let word = x.tables.neigh.get(ways.home[lane], &[ways.key[lane]]);
        let Some(row) = NeighValue::from_word(word).filter(|n| n.has(NeighValue::ROUTE)) else { continue };
        let out = match (row.router_interface(), row.target()) {
            (None, Target::Port(port)) => Out::Port(port),
            (None, Target::Tunnel(tunnel)) => Out::Tunnel(tunnel),
            _ => continue,
        };
        let Some(iface) = x.snap.interfaces.get(ways.out[lane]) else { continue };
        let total_len = b.ip[lane].total_len;
        if total_len > iface.mtu {
            continue;
        }
        if traced.has(lane) {
            note(b, x, lane, (ways.out[lane], iface), (ways.key[lane], row));
        }
        b.ip[lane].ttl -= 1;
        b.seg[lane] = iface.seg;
        b.meta[lane].len = ETH_LEN + total_len;
        b.dst[lane] = row.mac();
        b.src[lane] = iface.mac;
        b.out[lane] = out;
        done.insert(lane);
    }
    done
}

/// What the long way says of it.
#[cold]
fn note(
    b: &Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (ix, iface): (IfaceIx, &InterfaceRow),
    (key, row): (u64, NeighValue),
) {
    let via = if key as u32 == b.ip_dst[lane] { 0 } else { key as u32 };
    x.note(b, lane, STAGE, Note::Route(ix, via));
    x.note(b, lane, STAGE, Note::Neigh((key >> 48) as u16, key as u32, row.to_word()));
    forward::note_rewrite(b, x, lane, iface, row, false);
}
