//! The short way: whole IPv4 packets to a known neighbour on a connected network, by a route of one hop, and those of
//! floating IPs. What a packet of that kind is asked is all here, in two passes with nothing else in them; whatever else
//! it turns out to be takes the long way (`route`, `forward`, `floating_ip`), which asks everything again and has the
//! names for it.

use super::{Visit, here, route};
use crate::burst::{Burst, Lane, Lanes, Mask, Out};
use crate::stage::Ctx;
use crate::tables::{
    Found, Home, Hop, IfaceIx, InterfaceRow, NO_ROUTER, NeighValue, RouterIx, RouterRow, Target, fip_key, ip4_key,
};
use crate::wire::{self, ETH_LEN};

/// Routes what it can of `m`; returns those, their way out decided. Traced packets are none of them: the long way explains
/// what it does, and `dataplane/tests/random_bytes.rs` holds the two against each other.
pub(super) fn straight(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, visit: &Visit) -> Mask {
    if !x.waiting.is_empty() {
        return Mask::NONE; // packets wait for a neighbour: does this one have to wait behind them?
    }
    let mut ways = Ways::new();
    let found = find(b, x, m & b.plain.without(visit.made | b.source_routed | b.traced), visit, &mut ways);
    let done = take(b, x, found, &ways);
    b.decided |= done;
    b.nat_src |= done & ways.new_src;
    b.nat_dst |= done & ways.new_dst;
    for lane in done & ways.new_src {
        b.ip_src[lane] = ways.address[lane];
    }
    for lane in done & ways.new_dst {
        b.ip_dst[lane] = ways.address[lane];
    }
    done
}

/// Where packets go: the interface, and the neighbour to ask for.
struct Ways<'s> {
    out: Lanes<Option<&'s InterfaceRow>>,
    key: Lanes<u64>,
    home: Lanes<Home>,
    /// FO and FI: which address changes, and to what.
    address: Lanes<u32>,
    new_src: Mask,
    new_dst: Mask,
}

impl Ways<'_> {
    fn new() -> Self {
        let (out, key, home) = (Lanes::splat(None), Lanes::splat(0), Lanes::splat(Home::default()));
        Ways { out, key, home, address: Lanes::splat(0), new_src: Mask::NONE, new_dst: Mask::NONE }
    }
}

/// Pass 1: FI, R1, R3, R4-1, R4-2, R6, FO1, and the hash of the neighbour.
#[inline(always)]
fn find<'s>(b: &Burst<'_>, x: &Ctx<'s>, m: Mask, visit: &Visit, ways: &mut Ways<'s>) -> Mask {
    let neigh = &*x.tables.neigh;
    let translated = b.nat_src | b.nat_dst;
    let vouched = b.vouched.without(visit.checked); // for the first router, not for the next
    let mut found = Mask::NONE;
    let (mut last, mut place): ((IfaceIx, RouterIx), _) = ((IfaceIx::MAX, NO_ROUTER), None);
    for lane in m {
        let now = (visit.iface[lane], visit.at[lane]);
        if last != now {
            last = now;
            place = here(x, now.0, now.1).and_then(|h| Some((h.iface?, h.router, h.at)));
        }
        let Some((came, router, at)) = place else { continue };
        let fine = b.ip[lane].ttl > 1
            && (visit.checked.has(lane) || checksum_good(b, lane))
            && route::martian(b, lane, router, vouched.has(lane)).is_ok();
        if !fine {
            continue;
        }
        let mut dst = b.ip_dst[lane];
        let mut inside_out = !visit.inward.has(lane);
        let mut translated = translated.has(lane);
        let router = match router {
            Some(router) => router,
            None => match inside(b, x, lane, came) {
                Some((router, fixed)) => {
                    (ways.address[lane], dst) = (fixed, fixed);
                    ways.new_dst.insert(lane);
                    (inside_out, translated) = (false, true);
                    router
                }
                None => continue,
            },
        };
        let (hop, out) = match router.routes.find(dst) {
            Found::By(hop) => match x.snap.interfaces.get(hop.iface()) {
                Some(out) if out.up && !out.is_fg() && (out.scope == came.scope || translated) => (hop, out),
                _ => continue,
            },
            Found::Nowhere if inside_out => match outside(b, x, lane, (at, router), dst) {
                Some((address, hop, out)) => {
                    ways.address[lane] = address;
                    ways.new_src.insert(lane);
                    (hop, out)
                }
                None => continue,
            },
            _ => continue,
        };
        let key = ip4_key(out.seg, if hop.via() == 0 { dst } else { hop.via() });
        ways.out[lane] = Some(out);
        ways.key[lane] = key[0];
        ways.home[lane] = neigh.locate(&key);
        found.insert(lane);
    }
    found
}

/// The checksum of a plain packet's header.
#[inline(always)]
fn checksum_good(b: &Burst<'_>, lane: Lane) -> bool {
    b.head::<34>(lane).is_some_and(|h| wire::ip4_header_good(wire::part::<14, 20, _>(h)))
}

/// FI: router and fixed address behind a floating IP of this host, for a packet that came in by `fg`.
#[inline(always)]
fn inside<'s>(b: &Burst<'_>, x: &Ctx<'s>, lane: Lane, fg: &InterfaceRow) -> Option<(&'s RouterRow, u32)> {
    let word = x.tables.neigh.lookup(&ip4_key(fg.seg, b.ip_dst[lane]));
    let (router, fixed) = NeighValue::from_word(word)?.inside()?;
    let router = x.snap.routers.get(router).filter(|r| r.active && router != NO_ROUTER)?;
    let strange = fixed == b.ip_dst[lane] || b.ip_src[lane] == fg.ip || router.owns(b.ip_src[lane]);
    (!strange).then_some((router, fixed))
}

/// R4-2 and FO1: the floating IP of the source, and the way out from there by fg-.
#[inline(always)]
fn outside<'s>(
    b: &Burst<'_>,
    x: &Ctx<'s>,
    lane: Lane,
    (at, router): (RouterIx, &RouterRow),
    dst: u32,
) -> Option<(u32, Hop, &'s InterfaceRow)> {
    if !router.fip_here || at == NO_ROUTER {
        return None;
    }
    let address = x.tables.fip.lookup(&fip_key(at, b.ip_src[lane])) as u32;
    let Found::By(hop) = router.fip_routes.find(dst) else { return None };
    let out = x.snap.interfaces.get(hop.iface())?;
    (address != 0 && out.up && out.is_fg()).then_some((address, hop, out))
}

/// Pass 2: R7, R8, R9.
#[inline(always)]
fn take(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, ways: &Ways<'_>) -> Mask {
    let neigh = &*x.tables.neigh;
    let mut done = Mask::NONE;
    for lane in m {
        let Some(row) = NeighValue::of_route(neigh.get(ways.home[lane], &[ways.key[lane]])) else { continue };
        let out = match row.target() {
            Target::Port(port) => Out::Port(port),
            Target::Tunnel(tunnel) => Out::Tunnel(tunnel),
            Target::Phys => Out::Phys,
            Target::Snat | Target::Fdb => continue, // or another router
        };
        let Some(iface) = ways.out[lane] else { continue };
        let total_len = b.ip[lane].total_len;
        if total_len > iface.mtu {
            continue;
        }
        b.ip[lane].ttl -= 1;
        b.seg[lane] = iface.seg;
        b.meta[lane].len = ETH_LEN + total_len;
        b.dst[lane] = row.mac();
        b.src[lane] = iface.mac;
        b.out[lane] = out;
        done.insert(lane);
    }
    b.unmasked |= done & ways.new_src; // out by fg-
    done
}
