//! R1, R4, R5, R6: is it a packet to route, and where to?

use super::{Here, STAGE, Visit, fail};
use crate::burst::{Burst, L3, Lane};
use crate::drop_reason::DropReason;
use crate::stage::Ctx;
use crate::tables::{Hop, InterfaceRow, RouterRow, fip_key};
use crate::trace::Note;
use crate::wire::{self, ETH_LEN};

/// Egress interface and next hop; `None` once the frame is dropped, answered or swallowed.
#[inline(always)]
pub(super) fn route<'s>(
    b: &mut Burst<'_>,
    x: &Ctx<'s>,
    lane: Lane,
    here: &Here<'s>,
    visit: &mut Visit,
) -> Option<(&'s InterfaceRow, u32)> {
    if b.l3[lane] != L3::Ipv4 {
        not_ip4(b, lane);
        return None;
    }
    let own = visit.own.has(lane);
    let vouched = b.vouched.has(lane) && visit.trav[lane] == 0; // for this router, not for the next
    let header = || if visit.checked.has(lane) { Ok(()) } else { checked_header(b, lane) };
    let checked = || header().and_then(|()| martian(b, lane, here.router, vouched));
    if let (false, Err(reason)) = (own, checked()) {
        b.drop(lane, STAGE, reason);
        return None;
    }
    let Some(router) = here.router else {
        let fg = here.iface?; // the fip namespace: is it for us? (FI)
        if b.ip_src[lane] == fg.ip && !visit.made.has(lane) {
            b.drop(lane, STAGE, DropReason::Martian);
            return None;
        }
        return Some((fg, 0));
    };
    let hop = match router.routes.lookup(b.ip_dst[lane], || flow_hash(b, lane)) {
        Some(hop) => hop,
        None => off_subnet(b, x, lane, (here, router), visit)?,
    };
    x.note(b, lane, STAGE, Note::Route(hop.iface(), hop.via()));
    match x.snap.interfaces.get(hop.iface()) {
        // R2 asks no scope: every address of the router answers. Nor does what is translated (R6).
        Some(out) if out.up && (in_scope(b, lane, here, out) || router.owns(b.ip_dst[lane])) => Some((out, hop.via())),
        other => {
            match other {
                _ if b.ip[lane].ttl <= 1 && !own => fail(b, x, lane, DropReason::Ttl, here.at, visit), // R3 comes first
                Some(out) if !out.up => b.drop(lane, STAGE, DropReason::RouterDown),
                Some(_) => b.drop(lane, STAGE, DropReason::Scope),
                None => b.drop(lane, STAGE, DropReason::NoNeigh), // a route of a batch this burst does not see yet
            }
            None
        }
    }
}

/// R6: no packet crosses from one address scope to another untranslated.
#[inline(always)]
fn in_scope(b: &Burst<'_>, lane: Lane, here: &Here<'_>, out: &InterfaceRow) -> bool {
    here.iface.is_none_or(|iface| iface.scope == out.scope) || (b.nat_src | b.nat_dst).has(lane)
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
    if !checksum_good(b, lane) {
        return Err(DropReason::ParseCsum);
    }
    if b.source_routed.has(lane) { Err(DropReason::SrcRoute) } else { Ok(()) }
}

/// The header's checksum.
#[inline(always)]
pub(super) fn checksum_good(b: &Burst<'_>, lane: Lane) -> bool {
    match b.head::<34>(lane) {
        Some(h) if b.ip[lane].header_len == 20 => wire::ip4_header_good(wire::part::<14, 20, _>(h)),
        _ => with_options_good(b, lane),
    }
}

#[cold]
fn with_options_good(b: &Burst<'_>, lane: Lane) -> bool {
    let header = b.bytes(lane).get(usize::from(ETH_LEN)..usize::from(ETH_LEN + b.ip[lane].header_len));
    header.is_some_and(|h| wire::checksum(h) == 0)
}

/// R1. Addresses that are never routed begin with 0, 127, 169 (169.254) or 224 and above; only
/// those are looked at closely, and a source that port security vouched for not at all.
#[inline(always)]
pub(super) fn martian(b: &Burst<'_>, lane: Lane, router: Option<&RouterRow>, vouched: bool) -> Result<(), DropReason> {
    const SUSPECT: [u64; 4] = [1, 1 << 63, 1 << (169 - 128), u64::MAX << (224 - 192)];
    let suspect = |ip: u32| SUSPECT.get((ip >> 30) as usize).is_none_or(|word| word >> (ip >> 24 & 63) & 1 != 0);
    if !vouched {
        if router.is_some_and(|r| r.owns(b.ip_src[lane])) {
            return Err(DropReason::Martian);
        }
        if suspect(b.ip_src[lane]) {
            return never_routed(b, lane);
        }
    }
    if suspect(b.ip_dst[lane]) { never_routed(b, lane) } else { Ok(()) }
}

/// R1, and R2-m: the metadata address is served by nobody yet.
#[cold]
fn never_routed(b: &Burst<'_>, lane: Lane) -> Result<(), DropReason> {
    let (src, dst) = (b.ip_src[lane], b.ip_dst[lane]);
    let martian = |ip: u32| matches!(ip >> 24, 0 | 127 | 224..=239) || ip == u32::MAX;
    if martian(src) || martian(dst) {
        return Err(DropReason::Martian);
    }
    if dst == 0xa9fe_a9fe {
        return Err(DropReason::MetaBlocked);
    }
    if src >> 16 == 0xa9fe || dst >> 16 == 0xa9fe { Err(DropReason::LinkLocal) } else { Ok(()) }
}

/// R4 steps 2 to 5: the main table (step 1) has nothing.
#[cold]
fn off_subnet(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (here, router): (&Here<'_>, &RouterRow),
    visit: &Visit,
) -> Option<Hop> {
    let src = b.ip_src[lane];
    let own = visit.own.has(lane);
    if b.ip[lane].ttl <= 1 && !own {
        fail(b, x, lane, DropReason::Ttl, here.at, visit); // R3 comes before R4
        return None;
    }
    let inward = visit.inward.has(lane);
    let floating = if router.fip_here && !inward { x.tables.fip.lookup(&fip_key(here.at, src)) as u32 } else { 0 };
    let hop = if floating != 0 {
        out_by_fip(b, x, lane, router, floating)
    } else if !inward && router.scoped.iter().any(|(net, mask)| src & mask == *net) {
        out_by_fip(b, x, lane, router, src)
    } else if let Some(snat) = router.snat.iter().find(|s| src & s.mask == s.net && !inward) {
        x.note(b, lane, STAGE, Note::SnatNextHop(snat.iface, snat.next_hop));
        Some(Hop::new(snat.iface, snat.next_hop))
    } else if router.gateway_here && !inward {
        b.drop(lane, STAGE, DropReason::SnatNoState); // S: no translation is made here yet
        return None;
    } else {
        None
    };
    if hop.is_none() {
        fail(b, x, lane, DropReason::NoRoute, here.at, visit);
    }
    hop
}

/// FO and FO1: out by the floating IP plane, from `address` (its own one in step 3).
fn out_by_fip(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, router: &RouterRow, address: u32) -> Option<Hop> {
    x.note(b, lane, STAGE, Note::FloatingIpOut(address));
    let hop = router.fip_routes.lookup(b.ip_dst[lane], || flow_hash(b, lane))?;
    if address != b.ip_src[lane] {
        b.ip_src[lane] = address;
        b.nat_src.insert(lane);
    }
    Some(hop)
}

/// R5: the same hop for every packet of a flow; fragments have no ports and follow their addresses.
#[inline(always)]
fn flow_hash(b: &Burst<'_>, lane: Lane) -> u64 {
    let addresses = u64::from(b.ip_src[lane]) << 32 | u64::from(b.ip_dst[lane]);
    let rest = u64::from(b.ip[lane].proto) << 32 | u64::from(b.ports[lane]);
    (addresses ^ rest.rotate_left(24)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
