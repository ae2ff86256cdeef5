//! O3-wait: frames that wait for the MAC of the way to another host.
//!
//! For br-tun's tunnels the kernel's neighbour table does this (`arp_queue`, `unres_qlen_bytes`), as here once the outer
//! headers are on. A worker does not ask the kernel: it tells the writer.

use super::egress::{account, egress};
use super::parked::{is_orphan, keep, resume};
use super::{Ctx, Stage};
use crate::burst::{Burst, Lane, Out};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::learn::{Report, UnresolvedEvent};
use crate::parking::Unresolved;
use crate::tables::{Snapshot, TunnelIx};
use crate::trace::Note;
use crate::wire::ETH_LEN;
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::VxlanEncap;

/// Keeps a frame, its outer headers on, until its tunnel has a MAC. The first one for a host tells the writer. Where one too
/// many waits, the one that has waited longest ends. Rules: O3-wait.
#[cold]
pub(super) fn wait<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, tunnel: TunnelIx, io: &mut WorkerIo<'u>) {
    let Some(generation) = x.with_tunnel(tunnel, |row| row.generation) else {
        return b.drop(lane, STAGE, DropReason::PortGone);
    };
    let seen = b.meta[lane].rx_time;
    if !io.unresolved.has(tunnel, generation) {
        let told = x.learn.push(Report::Unresolved(UnresolvedEvent { tunnel, generation, seen }));
        x.count.event(Event::LearnQueueFull).add(u64::from(told.is_err()));
    }
    let Some(kept) = keep(b, x, lane) else { return b.drop(lane, STAGE, DropReason::Internal) };
    x.note(b, lane, Stage::Egress, Note::WaitsForTunnel(tunnel));
    b.live.remove(lane);
    b.decided.remove(lane);
    if let Some(old) = io.unresolved.put(Unresolved { kept, tunnel, generation }) {
        // The lane is free: the other one ends in it.
        (b.frame[lane], b.meta[lane], b.door[lane]) = (Some(old.kept.frame), old.kept.meta, old.kept.door);
        b.meta[lane].rx_time = b.meta[lane].rx_time.max(seen);
        b.traced.remove(lane);
        if old.kept.traced {
            b.traced.insert(lane);
        }
        b.drop(lane, STAGE, DropReason::UnderlayUnresolved);
    }
    x.count.held.set(io.held());
}

/// Frames whose tunnel has a MAC by now go, in the order they came, at most `most`; those that wait in vain end. Called before a
/// burst that sees the same rows, which so does not overtake them. Rules: O3-wait.
#[cold]
pub fn send_resolved<'u>(x: &Ctx<'_>, io: &mut WorkerIo<'u>, most: usize) {
    end(x, io, most, x.tables.resolved.time(), |u| is_over(x.snap, u), None);
}

/// Frames that have waited long enough at `now` ns end. Rules: O3-wait.
#[cold]
pub fn expire<'u>(x: &Ctx<'_>, io: &mut WorkerIo<'u>, now: u64) {
    end(x, io, usize::MAX, now, |u| u.expiry() <= now, Some(DropReason::UnderlayUnresolved));
}

/// All of them end: their worker stops. Rules: O3-wait.
#[cold]
pub fn give_up_unresolved<'u>(x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    end(x, io, usize::MAX, 0, |_| true, Some(DropReason::PortGone));
}

/// Has its tunnel a MAC, or is it in vain: is the tunnel another host's, or is gone what the frame came from?
pub(crate) fn is_over(snap: &Snapshot, one: &Unresolved<'_>) -> bool {
    let row = snap.tunnels.get(one.tunnel);
    row.is_none_or(|row| row.resolved || row.generation != one.generation) || is_orphan(snap, &one.kept)
}

/// At most `most` of those `chosen` leave at `now` ns, or end for `reason`.
fn end<'u>(
    x: &Ctx<'_>,
    io: &mut WorkerIo<'u>,
    most: usize,
    now: u64,
    chosen: impl Fn(&Unresolved<'u>) -> bool,
    reason: Option<DropReason>,
) {
    let Some(mut made) = io.made.take() else { return };
    let (b, mut at) = (&mut *made, 0);
    for _ in 0..most {
        let Some(one) = io.unresolved.take(&mut at, &chosen) else { break };
        let Unresolved { kept, tunnel, generation } = one;
        let reason = is_orphan(x.snap, &kept).then_some(DropReason::PortGone).or(reason);
        let Some(lane) = resume(b, io, kept) else { continue };
        b.meta[lane].rx_time = b.meta[lane].rx_time.max(now);
        match reason.map_or_else(|| address(b, x, lane, (tunnel, generation)), Err) {
            Ok(()) => b.send(lane, Out::Tunnel(tunnel)),
            Err(reason) => b.drop(lane, STAGE, reason),
        }
        if b.is_full() {
            leave(b, x, io);
        }
    }
    leave(b, x, io);
    io.made = Some(made);
    io.unresolved.look_at_clock();
    x.count.held.set(io.held());
}

/// Writes the Ethernet addresses of the way as it is now. What the underlay has become too small for does not go.
fn address(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (tunnel, generation): (TunnelIx, u32),
) -> Result<(), DropReason> {
    let row = x.snap.tunnels.get(tunnel).filter(|row| row.generation == generation).ok_or(DropReason::PortGone)?;
    if b.meta[lane].whole() > usize::from(x.snap.host.underlay_mtu) + usize::from(ETH_LEN) {
        return Err(DropReason::Mtu);
    }
    let (place, macs) = (b.head_mut::<12>(lane), row.header.first_chunk::<12>());
    place.zip(macs).map(|(place, macs)| *place = *macs).ok_or(DropReason::Internal)
}

fn leave<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    let all = b.decided;
    egress(b, x, io, all);
    account(b, x, io);
}

#[cfg(test)]
mod tests;
