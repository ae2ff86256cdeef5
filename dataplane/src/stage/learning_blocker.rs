//! T3: who is the inner source, and may it come from there? Remote routers are told apart from
//! machines: their DVR MAC is never learned.
//!
//! br-tun of the seed: `table=9, priority=1,dl_src=fa:16:3f:db:6f:73 actions=output:1`, all else
//! `priority=0 actions=resubmit(,10)`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, Lane, Lanes, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::tables::{FdbValue, Home, SegRow, Target, fdb_key};
use crate::trace::Note;

const STAGE: Stage = Stage::LearningBlocker;

/// Frames from the fabric by kind of sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fabric {
    /// Routed on another host: the source is that host's DVR MAC.
    pub routed: Mask,
    /// Everything else.
    pub bridged: Mask,
}

/// Drops sources that cannot be there; sorts the rest. Rules: T3, V1, V2, E0, D7, D8, D10.
pub fn learning_blocker(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) -> Fabric {
    x.enter(STAGE, b, m);
    let mut fabric = Fabric::default();
    let fdb = &*x.tables.fdb;
    let mut home = Lanes::splat(Home::default());
    for lane in m {
        if x.snap.host.is_dvr_mac(b.src[lane]) {
            fabric.routed.insert(lane); // never a row of T06: no machine has such a MAC (D7)
        } else {
            home[lane] = fdb.locate(&fdb_key(b.seg[lane], b.src[lane]));
            fabric.bridged.insert(lane);
        }
    }
    for lane in fabric.routed {
        if let Err(reason) = router(b, x, lane) {
            b.drop(lane, STAGE, reason);
        }
    }
    let mut known = Mask::NONE;
    for lane in fabric.bridged {
        let word = fdb.get(home[lane], &fdb_key(b.seg[lane], b.src[lane]));
        b.src_fdb[lane] = word;
        let mut local = false;
        if FdbValue::is_static(word) {
            known.insert(lane);
            local = is_local(b, x, lane, word);
        }
        if let Err(reason) = machine(b, x, lane, local) {
            b.drop(lane, STAGE, reason);
        }
    }
    b.src_known = known;
    (fabric.routed & b.traced & b.live).for_each(|n| x.note(b, n, STAGE, Note::SourceIsDvrMac(b.tunnel[n])));
    Fabric { routed: fabric.routed & b.live, bridged: fabric.bridged & b.live }
}

/// May the router of a host send from there?
#[inline(always)]
fn router(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<(), DropReason> {
    not_we(b, x, lane)?;
    if !from_its_host(b, x, lane) {
        return Err(DropReason::DvrWrongVtep);
    }
    talk(b, x, lane)
}

/// May a machine?
#[inline(always)]
fn machine(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, local: bool) -> Result<(), DropReason> {
    not_we(b, x, lane)?;
    if local {
        return Err(DropReason::LocalMacFromFabric);
    }
    let Some(seg) = x.seg(b, lane) else { return Err(DropReason::Internal) };
    if seg.has_interface(b.src[lane]) {
        return Err(DropReason::LocalMacFromFabric);
    }
    talk(b, x, lane)
}

/// A switch that sends our own frames back is not a host that poses as us.
#[inline(always)]
fn not_we(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<(), DropReason> {
    if b.src[lane] != x.snap.host.dvr_mac {
        return Ok(());
    }
    let reflected = matches!(b.door[lane], Door::Phys(_));
    Err(if reflected { DropReason::LocalMacFromFabric } else { DropReason::OwnDvrMac })
}

#[inline(always)]
fn talk(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<(), DropReason> {
    let about = || x.seg(b, lane).is_some_and(|seg| about_router(b, x, lane, seg));
    if b.talking.has(lane) && b.talk[lane] != Talk::None && about() {
        return Err(DropReason::RouterArpFromFabric);
    }
    Ok(())
}

/// D8: the tunnel, or a physical network, of the host that owns the DVR MAC.
#[inline(always)]
fn from_its_host(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) -> bool {
    let src = b.src[lane];
    let Door::Phys(net) = b.door[lane] else {
        return x.snap.tunnels.get(b.tunnel[lane]).is_some_and(|t| t.dvr_mac == src);
    };
    let Some(owner) = x.snap.dvr_macs.get(src.to_u64() as u32) else { return false };
    b.tunnel[lane] = owner;
    x.snap.tunnels.get(owner).is_some_and(|t| t.dvr_mac == src && t.phys >> net & 1 == 1)
}

/// The MAC of an ACTIVE port of this host, by its row of the model. An allowed address pair's MAC is not: its other owners
/// send it too.
#[inline(always)]
fn is_local(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, word: u64) -> bool {
    match FdbValue::unpack(word).map(|row| row.target) {
        Some(Target::Port(port)) => x.snap.ports.get(port).is_some_and(|p| p.active && p.mac == b.src[lane]),
        Some(Target::Snat) => true,
        _ => false,
    }
}

/// D10: nobody out there has anything to say or ask about this host's routers, but on the network it is the gateway of.
#[cold]
fn about_router(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) -> bool {
    let router4 = |ip: u32| seg.router_ips.iter().any(|r| r.ip == ip);
    match b.talk[lane] {
        Talk::ArpReply if b.dst[lane] == x.snap.host.dvr_mac => false, // the answer to a probe of ours
        // V4: physical machines ask the one host that routes for them
        Talk::ArpRequest if seg.phys_gw && matches!(b.door[lane], Door::Phys(_)) => router4(b.ip_src[lane]),
        Talk::ArpRequest | Talk::ArpReply => router4(b.ip_src[lane]) || router4(b.ip_dst[lane]),
        Talk::RouterAdvert => true,
        Talk::NeighSolicit | Talk::NeighAdvert => seg.router_ips6.contains(&b.nd_target[lane]),
        Talk::RouterSolicit | Talk::Redirect | Talk::None => false,
    }
}

#[cfg(test)]
mod tests;
