//! R7: frames that wait for the MAC of their next hop.
//!
//! In Neutron the kernel's neighbour table does this on `qr-` and `fg-` (`arp_queue`, `unres_qlen`).

use super::egress::account;
use super::{Ctx, Stage};
use crate::burst::{Burst, Door, Lane};
use crate::drop_reason::DropReason;
use crate::learn::{Report, ResolveEvent};
use crate::parking::{Kept, LONGEST_WAIT, Parked};
use crate::pipeline::process_parked;
use crate::tables::{NeighValue, RouterIx, Snapshot, Tables};
use crate::trace::Note;
use crate::worker::WorkerIo;

/// Keeps a frame until somebody has the address `key` of T13, and tells the writer if nobody has yet. The frame is kept
/// as it came, and goes to its router again as if it came then. Rules: R7-probe.
#[cold]
pub(super) fn park<'u>(
    b: &mut Burst<'u>,
    x: &Ctx<'_>,
    lane: Lane,
    (key, router): (u64, RouterIx),
    io: &mut WorkerIo<'u>,
) -> Result<(), DropReason> {
    let source = match b.door[lane] {
        Door::Port(port) => u64::from(port),
        _ => 1 << 63 | u64::from(b.ip_src[lane]),
    };
    let now = b.meta[lane].rx_time;
    let (since, order) = io.lot.resumed.take().unwrap_or_else(|| (now, io.lot.last_place()));
    if now.saturating_sub(since) >= LONGEST_WAIT {
        return Err(DropReason::NoNeigh);
    }
    if !io.lot.has_room(key, router, source) {
        return Err(DropReason::NeighQueueFull);
    }
    if x.tables.neigh.lookup(&[key]) == 0 && !ask(b, x, lane, key) {
        return Err(DropReason::NeighQueueFull);
    }
    let kept = keep(b, x, lane).ok_or(DropReason::Internal)?;
    x.note(b, lane, Stage::Qrouter, Note::Waits(key as u32));
    io.lot.put(Parked { kept, key, since, order, router, source, seen: io.lot.seen });
    Ok(())
}

/// Takes a frame out of its lane, to wait.
pub(super) fn keep<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane) -> Option<Kept<'u>> {
    Some(Kept {
        frame: b.frame[lane].take()?,
        meta: b.meta[lane],
        door: b.door[lane],
        door_generation: x.port_generation(b.door[lane]),
        seg: b.seg[lane],
        seg_generation: x.seg(b, lane).map_or(0, |row| row.generation),
        traced: b.traced.has(lane),
    })
}

/// Did its network or the port it came by go away while it waited?
pub(super) fn is_orphan(snap: &Snapshot, kept: &Kept<'_>) -> bool {
    let same_port = |port| snap.ports.get(port).is_some_and(|row| row.active && row.generation == kept.door_generation);
    snap.segments.get(kept.seg).is_none_or(|row| row.generation != kept.seg_generation)
        || matches!(kept.door, Door::Port(port) if !same_port(port))
}

/// Puts a frame that has waited into a lane.
pub(super) fn resume<'u>(b: &mut Burst<'u>, io: &mut WorkerIo<'u>, kept: Kept<'u>) -> Option<Lane> {
    match b.push_any(kept.frame, kept.meta, kept.door) {
        Err(frame) => {
            io.recycle(frame); // the burst has room: never
            None
        }
        Ok(lane) => {
            b.seg[lane] = kept.seg;
            if kept.traced {
                b.traced.insert(lane);
            }
            Some(lane)
        }
    }
}

fn ask(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, key: u64) -> bool {
    let (seg, ip) = ((key >> 48) as u16, key as u32);
    let Some(row) = x.snap.segments.get(seg) else { return false };
    let seen = b.meta[lane].rx_time;
    x.learn.push(Report::Resolve(ResolveEvent { seg, seg_generation: row.generation, ip, seen })).is_ok()
}

/// Is a frame's waiting over: somebody has the address it waits for, or nobody, or nobody asks any more? What began to
/// wait since the news number `news` does not look again for those: the writer may not have asked for it yet.
pub fn ready(tables: &Tables, news: u64) -> impl Fn(&Parked<'_>) -> bool {
    move |parked| match NeighValue::from_word(tables.neigh.lookup(&[parked.key])) {
        None => parked.seen != news,
        Some(row) => row != NeighValue::ASKED,
    }
}

/// The frame goes to its router again at `now` ns, as if it came then; if the network or the port it came by is gone, it
/// ends here. Rules: R7-probe.
#[cold]
pub fn wake<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>, parked: Parked<'u>, now: u64) {
    if is_orphan(x.snap, &parked.kept) {
        return give_up(b, x, io, parked);
    }
    io.lot.resumed = Some((parked.since, parked.order));
    if let Some(lane) = resume(b, io, parked.kept) {
        b.meta[lane].rx_time = b.meta[lane].rx_time.max(now);
    }
    process_parked(b, x, io);
    io.lot.resumed = None;
    x.count.held.set(io.held());
}

/// The frame waits no longer: where it came from is gone, or its worker stops. Rules: R7-probe.
#[cold]
pub fn give_up<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>, parked: Parked<'u>) {
    if let Some(lane) = resume(b, io, parked.kept) {
        b.drop(lane, Stage::Qrouter, DropReason::PortGone);
    }
    account(b, x, io);
    x.count.held.set(io.held());
}

#[cfg(test)]
mod tests;
