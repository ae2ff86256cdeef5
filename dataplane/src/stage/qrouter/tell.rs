//! ICMP errors: who is told what about a packet that ends at a router. `icmp_error` makes the frames.

use super::{STAGE, Visit};
use crate::burst::{Back, Burst, Door, Lane, Owed, Word};
use crate::drop_reason::DropReason;
use crate::stage::Ctx;
use crate::tables::{NO_ROUTER, RouterIx};
use crate::wire::ETH_LEN;
use crate::wire::icmp::IcmpError;

/// The router a frame is at; [`NO_ROUTER`]: in the fip namespace.
pub(in crate::stage) fn at(x: &Ctx<'_>, lane: Lane, visit: &Visit) -> RouterIx {
    match visit.at[lane] {
        NO_ROUTER => x.snap.interfaces.get(visit.iface[lane]).map_or(NO_ROUTER, |i| i.router),
        router => router,
    }
}

/// Drops a frame at router `at`, and tells its sender if it is of those ends that are told. Rules: ICMP, R3, R4, R7-probe.
#[cold]
pub(in crate::stage) fn fail(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    reason: DropReason,
    at: RouterIx,
    visit: &Visit,
) {
    b.drop(lane, STAGE, reason);
    let error = match reason {
        DropReason::Ttl => IcmpError::TTL_EXCEEDED,
        DropReason::NoRoute => IcmpError::NET_UNREACHABLE,
        DropReason::NoNeigh => IcmpError::HOST_UNREACHABLE,
        _ => return,
    };
    owe(b, x, lane, Word::Error(error), at, visit);
}

/// R8 for a packet that may not be cut.
#[cold]
pub(super) fn too_big(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, mtu: u16, at: RouterIx, visit: &Visit) {
    b.drop(lane, STAGE, DropReason::Mtu);
    owe(b, x, lane, Word::Error(IcmpError::too_big(mtu)), at, visit);
}

/// The sender is told straight back if the packet came straight from it, or was translated since (what a router behind
/// the translation knows of the sender is not where it is); otherwise the router that tells routes what it says.
#[cold]
pub(super) fn owe(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, word: Word, at: RouterIx, visit: &Visit) {
    // As received: the frame's own bytes.
    let Some(&[s0, s1, s2, s3, d0, d1, d2, d3]) = b.at::<8>(lane, ETH_LEN + 12) else { return };
    if visit.made.has(lane) {
        return;
    }
    let (src, dst) = (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([d0, d1, d2, d3]));
    let translated = (b.nat_src | b.nat_dst).has(lane);
    let first = x.snap.interfaces.get(visit.first[lane]);
    let owed = if visit.trav[lane] == 0 || translated {
        // From outside to a floating IP: that one speaks. From inside: the router that was sent to.
        let by_fg = first.is_none_or(|i| i.is_fg());
        let router = if by_fg { at } else { first.map_or(at, |i| i.router) };
        let facing = x.snap.routers.get(router).and_then(|r| r.address_towards(src));
        let address = if by_fg { dst } else { facing.or(first.map(|i| i.ip)).unwrap_or(0) };
        Owed { word, src: address, router, back: Back::Door }
    } else {
        let facing = x.snap.routers.get(at).and_then(|r| r.address_towards(src));
        let came_by = x.snap.interfaces.get(visit.iface[lane]).map(|i| i.ip);
        Owed { word, src: facing.or(came_by).unwrap_or(0), router: at, back: Back::Router }
    };
    // A network whose interface has no IPv4 address has nobody to speak; a tunnel's frames never get here.
    if owed.src != 0 && b.door[lane] != Door::Tunnel {
        b.owe(lane, owed);
    }
}
