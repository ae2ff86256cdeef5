//! Output: frames go to their ports in the order they came; what ended goes back to the pool.

use super::flood_to_tun::flood_to_tun;
use super::fragments::fragments;
use super::handoff::hand_over;
use super::icmp_error::icmp_error;
use super::parked::park;
use super::segments::segments;
use super::unresolved::wait;
use super::{Ctx, Stage};
use crate::burst::{Burst, Door, Fate, FrameMeta, Gso, Lane, Mask, Out};
use crate::drop_reason::DropReason;
use crate::io::Port;
use crate::tables::{PortIx, SegRow, Wire};
use crate::trace::Note;
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::Egress;

/// Sends every decided frame, in lane order, copies, pieces and errors where their original stood. `tunnelled`: those
/// that go to other hosts at once. Rules: O1, O4, G2 (until built), Q (until built).
pub fn egress<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>, tunnelled: Mask) {
    x.enter(STAGE, b, b.decided);
    if !(b.owing | b.cut).is_empty() {
        return with_errors(b, x, io);
    }
    if tunnelled == b.decided && !tunnelled.is_empty() {
        return put_all(b, x, tunnelled, Door::Tunnel, io.port(Door::Tunnel));
    }
    let mut sent = Mask::NONE;
    for lane in b.decided {
        let out = b.out[lane];
        match out {
            Out::Port(port) if to_own_port(b, x, lane, port, io) => sent.insert(lane),
            _ => send(b, x, lane, io),
        }
    }
    left(b, x, sent);
}

/// Gives a frame to an ACTIVE port of this worker; `false`: it is none, or has no room.
#[inline(always)]
fn to_own_port<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, ix: PortIx, io: &mut WorkerIo<'u>) -> bool {
    let Some(row) = x.snap.ports.get(ix).filter(|row| row.active && row.owner == io.id) else { return false };
    let Some(port) = io.local_port(ix, row.generation) else { return false };
    if give(b, lane, port).is_err() {
        return false;
    }
    x.count.port(Door::Port(ix)).tx.add(1);
    true
}

/// Puts a frame into its port's hands. `Err`: it stays, and why.
#[inline(always)]
fn give<'u>(b: &mut Burst<'u>, lane: Lane, port: &mut Port<'u>) -> Result<(), DropReason> {
    let frame = b.frame[lane].take().ok_or(DropReason::Internal)?;
    if let Err(frame) = port.transmit(frame, b.meta[lane]) {
        b.frame[lane] = Some(frame);
        return Err(refusal(&b.meta[lane], port));
    }
    Ok(())
}

/// Why a port does not take a frame.
#[cold]
fn refusal(meta: &FrameMeta, port: &Port<'_>) -> DropReason {
    if meta.segments > port.carries().chunks { DropReason::Mtu } else { DropReason::TxFull }
}

/// Frames that are in the hands of their ports.
#[inline(always)]
fn left(b: &mut Burst<'_>, x: &Ctx<'_>, sent: Mask) {
    x.count.sent.add(sent.count());
    (sent & b.traced).for_each(|lane| x.note(b, lane, STAGE, Note::Sent(b.out[lane])));
    b.live = b.live.without(sent);
    b.decided = b.decided.without(sent);
}

/// Frames that all go to one port.
#[inline(always)]
fn put_all<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, m: Mask, door: Door, port: Option<&mut Port<'u>>) {
    let Some(port) = port else { return m.for_each(|lane| b.drop(lane, STAGE, DropReason::PortGone)) };
    let mut sent = Mask::NONE;
    for lane in m {
        match give(b, lane, port) {
            Ok(()) => sent.insert(lane),
            Err(reason) => b.drop(lane, STAGE, reason),
        }
    }
    x.count.port(door).tx.add(sent.count());
    left(b, x, sent);
}

/// A burst in which some frames are cut, or their senders told how they ended.
#[cold]
fn with_errors<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    for lane in b.decided | b.owing {
        if b.owing.has(lane) {
            icmp_error(b, x, lane, io);
        } else if b.cut.has(lane) {
            in_pieces(b, x, lane, io);
        } else {
            send(b, x, lane, io);
        }
    }
}

/// A packet too large for its way, or a super-frame.
pub(super) fn in_pieces<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    match b.meta[lane].gso {
        Gso::None => fragments(b, x, lane, io),
        _ => segments(b, x, lane, io),
    }
}

#[inline(always)]
fn send<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    match b.out[lane] {
        Out::Flood(set) => flood_to_tun(b, x, lane, set, io),
        _ => transmit(b, x, lane, io),
    }
}

/// Gives one frame to its port.
#[inline(always)]
pub(super) fn transmit<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    match b.out[lane] {
        Out::Tunnel(_) => put(b, x, lane, Door::Tunnel, io.port(Door::Tunnel)),
        Out::Unresolved(tunnel) => wait(b, x, lane, tunnel, io),
        Out::Port(port) => match x.with_port(port, |row| (row.active, row.owner, row.generation)) {
            None => b.drop(lane, STAGE, DropReason::PortGone),
            Some((_, owner, generation)) if owner != io.id => hand_over(b, x, lane, (port, generation), owner, io),
            Some((false, ..)) => b.drop(lane, STAGE, DropReason::PortDown),
            Some((.., generation)) => put(b, x, lane, Door::Port(port), io.local_port(port, generation)),
        },
        Out::Phys => match x.seg(b, lane) {
            Some(SegRow { wire: Wire::Phys { net, .. }, .. }) => {
                put(b, x, lane, Door::Phys(*net), io.port(Door::Phys(*net)))
            }
            _ => b.drop(lane, STAGE, DropReason::PortGone), // a row of a batch this burst does not see yet
        },
        Out::Undecided | Out::Flood(_) => b.drop(lane, STAGE, DropReason::Internal),
    }
}

#[inline(always)]
pub(super) fn put<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, door: Door, port: Option<&mut Port<'u>>) {
    let Some(port) = port else { return b.drop(lane, STAGE, DropReason::PortGone) };
    if let Err(reason) = give(b, lane, port) {
        return b.drop(lane, STAGE, reason);
    }
    x.count.port(door).tx.add(1);
    left(b, x, Mask::of(lane));
}

/// The books: every frame that entered has left, been dropped or been consumed, or waits. Empties the burst.
/// Rules: none (docs/behaviour.md, Accounting).
pub fn account<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    for lane in b.live {
        b.drop(lane, STAGE, DropReason::Internal); // no stage decided about it
    }
    for lane in b.ended {
        let fate = match b.fate[lane] {
            Fate::Waits(key, router) => match park(b, x, lane, (key, router), io) {
                Ok(()) => {
                    x.count.held.set(io.held());
                    continue;
                }
                Err(reason) => Fate::Dropped(Stage::Qrouter, reason),
            },
            fate => fate,
        };
        let (stage, note) = match fate {
            Fate::Waits(..) => (STAGE, Note::Consumed), // taken out above
            Fate::Dropped(stage, reason) => {
                x.drop_frame(b, lane, stage, reason);
                (stage, Note::Dropped(reason))
            }
            Fate::Consumed(stage) => {
                x.count.consume(stage);
                (stage, Note::Consumed)
            }
        };
        x.note(b, lane, stage, note);
        if let Some(frame) = b.frame[lane].take() {
            io.recycle(frame);
        }
    }
    b.clear();
}

#[cfg(test)]
mod tests;
