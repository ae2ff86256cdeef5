//! T4: a frame routed on another host gets its gateway's MAC back and goes to the local port.
//!
//! br-int of the seed: `table=1, priority=4,dl_vlan=2,dl_dst=fa:16:3e:30:ee:23
//! actions=strip_vlan,mod_dl_src:fa:16:3e:63:3b:4c,output:4`, else `priority=1 actions=drop`.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, FloodSet, L3, Lane, Lanes, Mask, Out, Talk};
use crate::drop_reason::DropReason;
use crate::tables::{FdbValue, Home, PortIx, Target, fdb_key};
use crate::trace::{Field, Note};

const STAGE: Stage = Stage::DvrToSrcMac;

/// Delivers what remote routers sent, by tunnel or by VLAN. Rules: T4, V3, D5.
pub fn dvr_to_src_mac(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(STAGE, b, m);
    let fdb = &*x.tables.fdb;
    let mut home = Lanes::splat(Home::default());
    for lane in m {
        home[lane] = fdb.locate(&fdb_key(b.seg[lane], b.dst[lane]));
    }
    let mut known = Mask::NONE;
    for lane in m {
        let word = fdb.get(home[lane], &fdb_key(b.seg[lane], b.dst[lane]));
        match deliver(b, x, lane, word) {
            Ok(()) => known.insert(lane),
            Err(_) if b.dst[lane].is_multicast() => probe(b, lane),
            Err(reason) => b.drop(lane, STAGE, reason),
        }
    }
    b.decided |= known;
    (known & b.traced).for_each(|lane| note(b, x, lane));
}

/// To its port, with its gateway's MAC as source.
#[inline(always)]
fn deliver(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, word: u64) -> Result<(), DropReason> {
    let port = match FdbValue::unpack(word).map(|row| row.target) {
        Some(Target::Port(port)) => port,
        Some(Target::Snat) => return Err(DropReason::SnatNoState),
        _ => return Err(DropReason::DvrUnknownDst),
    };
    let gateway = gateway(b, x, lane, port);
    if gateway.is_zero() {
        return Err(DropReason::DvrUnknownDst);
    }
    b.set_macs(lane, b.dst[lane], gateway);
    b.out[lane] = Out::Port(port);
    Ok(())
}

/// What was decided about a traced frame.
#[cold]
fn note(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    let word = x.tables.fdb.lookup(&fdb_key(b.seg[lane], b.dst[lane]));
    x.note(b, lane, STAGE, Note::Fdb(b.seg[lane], b.dst[lane].to_u64(), word));
    if b.l3[lane] == L3::Ipv4 {
        x.note(b, lane, STAGE, Note::GatewayOf(b.ip_dst[lane]));
    }
    let was = x.snap.tunnels.get(b.tunnel[lane]).map_or(MacAddr::ZERO, |row| row.dvr_mac);
    x.note(b, lane, STAGE, Note::Set(Field::EthSrc, was.to_u64(), b.src[lane].to_u64()));
}

/// A remote router looks for a neighbour: ARP request without a sender address, NS from `::`.
#[cold]
fn probe(b: &mut Burst<'_>, lane: Lane) {
    let probe = match b.talk[lane] {
        Talk::ArpRequest => b.ip_src[lane] == 0,
        Talk::NeighSolicit => b.ip6_src[lane] == 0,
        _ => false,
    };
    if !probe {
        return b.drop(lane, STAGE, DropReason::DvrUnknownDst);
    }
    b.send(lane, Out::Flood(FloodSet { all_ports: true, fabric: false }));
}

/// The MAC of the gateway of the destination's subnet or, for a routed next hop whose packets are
/// for elsewhere, of the port's first subnet.
#[inline(always)]
fn gateway(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, port: PortIx) -> MacAddr {
    let Some(seg) = x.seg(b, lane) else { return MacAddr::ZERO };
    match b.l3[lane] {
        L3::Ipv4 => {
            let dst = b.ip_dst[lane];
            if let Some(subnet) = seg.subnets.iter().find(|s| dst & s.mask == s.net) {
                return subnet.gateway_mac;
            }
        }
        L3::Ipv6 => {
            let dst = b.ip6_dst[lane];
            if let Some(subnet) = seg.subnets6.iter().find(|s| dst & s.mask == s.net) {
                return subnet.gateway_mac;
            }
        }
        _ => {}
    }
    x.with_port(port, |row| row.gateway_mac).unwrap_or(MacAddr::ZERO)
}

#[cfg(test)]
mod tests;
