//! The fip namespace: floating IPs of this host, stateless and one to one (D6).
//!
//! In Neutron a packet from a VM with a floating IP crosses `rfp-`/`fpr-` (`iptables -t nat -A
//! neutron-l3-agent-float-snat -s 81.1.180.18 -j SNAT`), the fip namespace (`ip route 203.0.113.101 via
//! 169.254.106.114 dev fpr-...`) and `fg-`. Here FO is a route of the router's floating IP plane (`qrouter::route`), and a
//! row of T14 says what a floating IP of this host is inside.

use super::Ctx;
use super::qrouter::{self, STAGE, Visit, fail};
use crate::burst::{Burst, Lane};
use crate::drop_reason::DropReason;
use crate::tables::{InterfaceRow, NO_ROUTER, NeighValue, RouterIx};
use crate::trace::{Field, Note};

/// A frame whose next hop on the external network of `out` (fg-) is no host that is known: a floating IP of this host
/// (FI, FO3), fg- itself, or somebody to ask for (FO4). `outside`: it came in by fg- and has met no router yet.
/// Rules: FI, FO3, FO4.
#[inline(never)]
pub(super) fn arrive(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (out, outside): (&InterfaceRow, bool),
    (key, row): (u64, Option<NeighValue>),
    visit: &mut Visit,
) {
    match row {
        Some(n) if n.inside().is_some() => {
            let (router, fixed) = n.inside().unwrap_or_default();
            inward(b, x, lane, (out, outside), (router, fixed), visit);
        }
        Some(n) if outside && n.router_interface() == Some(visit.iface[lane]) => qrouter::to_fg(b, x, lane, visit),
        _ if outside => b.drop(lane, STAGE, DropReason::FipNotLocal),
        _ => qrouter::unresolved(b, x, lane, (key, row), visit),
    }
}

/// FI: the destination becomes the fixed address, and the packet is at the floating IP's router. From a router of this
/// host (FO3) it gets there without a wire, as it would by one: one traversal, the external network's MTU.
fn inward(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (out, outside): (&InterfaceRow, bool),
    (router, fixed): (RouterIx, u32),
    visit: &mut Visit,
) {
    if !outside {
        let ttl = b.ip[lane].ttl;
        let own = visit.own.has(lane);
        if ttl <= 1 && !own {
            return fail(b, x, lane, DropReason::Ttl, qrouter::at(x, lane, visit), visit);
        }
        if b.ip[lane].total_len > out.mtu && !qrouter::fits_cut(b, x, lane, out, visit) {
            return;
        }
        x.note(b, lane, STAGE, Note::Set(Field::Ttl, u64::from(ttl), u64::from(ttl - u8::from(!own))));
        b.ip[lane].ttl = ttl - u8::from(!own);
        visit.own.remove(lane);
    }
    let was = b.ip_dst[lane];
    x.note(b, lane, STAGE, Note::FloatingIpIn(router, fixed));
    if was != fixed {
        b.ip_dst[lane] = fixed;
        b.nat_dst.insert(lane);
    }
    // A row of a batch this burst does not see yet.
    if router == NO_ROUTER {
        return b.drop(lane, STAGE, DropReason::FipNotLocal);
    }
    visit.at[lane] = router;
    visit.inward.insert(lane);
    if outside {
        visit.next.insert(lane);
    } else {
        qrouter::on_to_next(b, lane, visit);
    }
}

#[cfg(test)]
mod tests;
