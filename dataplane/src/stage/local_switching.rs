//! L: layer 2. Known unicast goes to its port or tunnel, the rest is flooded or dropped.
//!
//! br-int `table=60, priority=1 actions=NORMAL`; br-tun of the seed: `table=2, priority=0,
//! dl_dst=00:00:00:00:00:00/01:00:00:00:00:00 actions=resubmit(,20)`, multicast `resubmit(,22)`,
//! and `table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:54:f8:b8 actions=...,output:3`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, FloodSet, Lane, Lanes, Mask, Out, Talk};
use crate::drop_reason::DropReason;
use crate::tables::{FdbValue, Home, SegRow, Target, fdb_key};
use crate::trace::Note;

const STAGE: Stage = Stage::LocalSwitching;

/// Decides the way out of every bridged frame, and of a routed one whose neighbour is no port of
/// the model. Rules: L1, L2, L3, L5, L6, E2, D2, D10.
pub fn local_switching(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask, routed: Mask) {
    x.enter(STAGE, b, m);
    let fdb = &*x.tables.fdb;
    let mut home = Lanes::splat(Home::default());
    for lane in m {
        home[lane] = fdb.locate(&fdb_key(b.seg[lane], b.dst[lane]));
    }
    let mut known = Mask::NONE;
    for lane in m {
        if to_known(b, x, lane, home[lane], routed.has(lane)) {
            known.insert(lane);
            continue;
        }
        match decide(b, x, lane, home[lane], routed.has(lane)) {
            Ok(()) if b.decided.has(lane) => x.note(b, lane, STAGE, Note::Out(b.out[lane])),
            Ok(()) => {} // consumed: the lane's way out is another frame's
            Err(reason) => b.drop(lane, STAGE, reason),
        }
    }
    b.decided |= known;
    (known & b.traced).for_each(|lane| note(b, x, lane));
}

/// What was found for a traced frame.
#[cold]
fn note(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    let word = x.tables.fdb.lookup(&fdb_key(b.seg[lane], b.dst[lane]));
    x.note(b, lane, STAGE, Note::Fdb(b.seg[lane], b.dst[lane].to_u64(), word));
    x.note(b, lane, STAGE, Note::Out(b.out[lane]));
}

/// What nearly all frames are: no ARP, to a machine that is known, on another side than the sender. `false`: `decide`.
#[inline(always)]
fn to_known(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, home: Home, routed: bool) -> bool {
    let dst = b.dst[lane];
    if dst.is_multicast() || x.snap.host.is_dvr_mac(dst) || b.talking.has(lane) {
        return false;
    }
    let word = x.tables.fdb.get(home, &fdb_key(b.seg[lane], dst));
    b.out[lane] = match FdbValue::unpack(word).map(|row| row.target) {
        Some(Target::Port(port)) if b.door[lane] != Door::Port(port) || routed => Out::Port(port),
        Some(Target::Tunnel(tunnel)) if matches!(b.door[lane], Door::Port(_)) || routed => Out::Tunnel(tunnel),
        _ => return false,
    };
    true
}

#[inline(never)]
fn decide(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, home: Home, routed: bool) -> Result<(), DropReason> {
    let dst = b.dst[lane];
    let seg = x.seg(b, lane).ok_or(DropReason::Internal)?;
    let from_fabric = matches!(b.door[lane], Door::Tunnel | Door::Phys(_)) && !routed;
    if dst.is_multicast() {
        let fabric = !from_fabric && !about_router(b, lane, seg);
        b.send(lane, Out::Flood(FloodSet { all_ports: true, fabric }));
        return Ok(());
    }
    if x.snap.host.is_dvr_mac(dst) {
        return to_dvr_mac(b, x, lane);
    }
    let word = x.tables.fdb.get(home, &fdb_key(b.seg[lane], dst));
    x.note(b, lane, STAGE, Note::Fdb(b.seg[lane], dst.to_u64(), word));
    match FdbValue::unpack(word).map(|row| row.target) {
        Some(Target::Port(port)) if b.door[lane] == Door::Port(port) && !routed => return Err(DropReason::NoReceiver),
        Some(Target::Port(port)) => b.send(lane, Out::Port(port)),
        Some(Target::Snat) => return Err(DropReason::SnatNoState),
        // split horizon: what came from the fabric never goes back to it; nobody is left
        Some(Target::Tunnel(_) | Target::Phys) if from_fabric => return Err(DropReason::NoReceiver),
        Some(Target::Tunnel(_) | Target::Phys) if about_router(b, lane, seg) => b.consume(lane, STAGE),
        Some(Target::Tunnel(tunnel)) => b.send(lane, Out::Tunnel(tunnel)),
        Some(Target::Phys) => b.send(lane, Out::Phys),
        None | Some(Target::Fdb) => {
            // a router never floods the fabric
            let fabric = !from_fabric && !routed && seg.flood_unknown && !about_router(b, lane, seg);
            b.send(lane, Out::Flood(FloodSet { all_ports: false, fabric }));
        }
    }
    Ok(())
}

/// D10: ARP about a router address stays on the host.
#[inline(always)]
fn about_router(b: &Burst<'_>, lane: Lane, seg: &SegRow) -> bool {
    matches!(b.talk[lane], Talk::ArpRequest | Talk::ArpReply) && seg.router_ips.iter().any(|r| r.ip == b.ip_dst[lane])
}

/// L2: only the answer to a remote router's probe may go to a DVR MAC.
#[cold]
fn to_dvr_mac(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<(), DropReason> {
    let answer = b.talk[lane] == Talk::ArpReply && b.ip_dst[lane] == 0 || b.talk[lane] == Talk::NeighAdvert;
    let tunnel = x.snap.dvr_macs.get(b.dst[lane].to_u64() as u32);
    let owner = tunnel.filter(|t| x.snap.tunnels.get(*t).is_some_and(|row| row.dvr_mac == b.dst[lane]));
    match owner {
        Some(tunnel) if answer && in_vxlan(x.seg(b, lane)) => b.send(lane, Out::Tunnel(tunnel)),
        Some(_) if answer => b.send(lane, Out::Phys),
        _ => return Err(DropReason::ReservedDst),
    }
    Ok(())
}

fn in_vxlan(seg: Option<&SegRow>) -> bool {
    matches!(seg, Some(SegRow { wire: crate::tables::Wire::Vxlan(_), .. }))
}

#[cfg(test)]
mod tests;
