//! T5 and L4: remember where a machine outside the model is.
//!
//! br-tun of the seed: `table=10, priority=1 actions=learn(table=20,hard_timeout=300,priority=1,
//! NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],...),output:1`.
//!
//! A worker only reports; the writer thread stores the row, ages it and keeps the quotas.

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, Lane, Mask, Talk};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::learn::{LearnEvent, Report, stamp};
use crate::tables::{FdbValue, InterfaceRow, SegRow, Target, fdb_key};
use crate::trace::Note;

const STAGE: Stage = Stage::LearnFromTun;

/// Frames from machines on other hosts: dropped if they are for a router, otherwise their source
/// is learned. Rules: T5, V4, L4, D7.
pub fn learn_from_tun(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(STAGE, b, m);
    for lane in m {
        let Some(seg) = x.seg(b, lane) else { continue };
        let dst = b.dst[lane];
        let phys = matches!(b.door[lane], Door::Phys(_));
        let fg = |iface| x.snap.interfaces.get(iface).is_some_and(InterfaceRow::is_fg);
        let hit = seg.interfaces.iter().find(|i| i.mac == dst);
        if hit.is_some_and(|i| !phys || !(seg.phys_gw || fg(i.iface))) {
            // V4, E2
            b.drop(lane, STAGE, DropReason::RouterMacFromFabric);
            continue;
        }
        // An answer to a probe: `arp_responder` knows whether anybody waits for it.
        if x.snap.host.is_dvr_mac(dst) && !(dst == x.snap.host.dvr_mac && b.talk[lane] == Talk::ArpReply) {
            b.drop(lane, STAGE, DropReason::ReservedDst);
            continue;
        }
        if dst == x.snap.host.dvr_mac {
            continue; // what it says is for the routers, and may be dropped yet
        }
        if b.src_known.has(lane) {
            continue;
        }
        if phys {
            // Nobody here would ask where a machine of an external network is, but for its ports.
            if !seg.external || !seg.flood_ports.is_empty() {
                learn(b, x, lane, seg, b.src_fdb[lane], (Target::Phys, 0));
            }
            continue;
        }
        let generation = x.snap.tunnels.get(b.tunnel[lane]).map_or(0, |t| t.generation);
        learn(b, x, lane, seg, b.src_fdb[lane], (Target::Tunnel(b.tunnel[lane]), generation));
    }
}

/// Sources other than the port's own MAC: machines behind a port with port security off, and
/// virtual MACs (an allowed address pair's) that moved to this port. Rules: L4.
pub fn learn_from_port(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    for lane in m {
        let Door::Port(port) = b.door[lane] else { continue };
        let Some(row) = x.snap.ports.get(port) else { continue };
        let Some(seg) = x.seg(b, lane) else { continue };
        let word = x.tables.fdb.lookup(&fdb_key(b.seg[lane], b.src[lane]));
        learn(b, x, lane, seg, word, (Target::Port(port), row.generation));
    }
}

/// Tells control if the row `word` of the source is missing, elsewhere, or older than this second.
#[inline(always)]
fn learn(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow, word: u64, (target, target_generation): (Target, u32)) {
    let seen = b.meta[lane].rx_time;
    let known = match FdbValue::unpack(word) {
        // What is on its way to the writer may say otherwise: the newest frame has the last word.
        Some(row) => !row.learned || row.target == target && row.stamp == stamp(seen) && x.learn.is_empty(),
        None => false,
    };
    if known || !seg.learning {
        return;
    }
    x.note(b, lane, STAGE, Note::Learn);
    let event = LearnEvent {
        seg: b.seg[lane],
        seg_generation: seg.generation,
        mac: b.src[lane],
        target,
        target_generation,
        seen,
    };
    if x.learn.push(Report::Learn(event)).is_err() {
        x.count.event(Event::LearnQueueFull).add(1);
    }
}

#[cfg(test)]
mod tests;
