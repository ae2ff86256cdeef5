//! Hand-off between workers: every port has one owner, which alone sends to it.
//!
//! Nothing in Neutron: there the kernel's locks let any CPU send to any tap device.

use super::egress::{in_pieces, put};
use super::{Ctx, Stage, offload};
use crate::burst::{Burst, Door, Lane, Out};
use crate::drop_reason::DropReason;
use crate::handoff::Handed;
use crate::tables::PortIx;
use crate::trace::Note;
use crate::worker::{WorkerId, WorkerIo};

const STAGE: Stage = Stage::Handoff;

/// Gives a frame to the owner of its egress port, which looks at the port's state. Rules: W1.
#[cold]
pub(super) fn hand_over<'u>(
    b: &mut Burst<'u>,
    x: &Ctx<'_>,
    lane: Lane,
    (port, generation): (PortIx, u32),
    owner: WorkerId,
    io: &mut WorkerIo<'u>,
) {
    let Some(frame) = b.frame[lane].take() else { return b.drop(lane, STAGE, DropReason::Internal) };
    let (meta, door, traced) = (b.meta[lane], b.door[lane], b.traced.has(lane));
    if let Err(frame) = io.hand(owner, Handed { frame, meta, port, generation, door, traced }) {
        b.frame[lane] = Some(frame);
        return b.drop(lane, STAGE, DropReason::HandoffFull);
    }
    x.note(b, lane, STAGE, Note::HandedOver(owner));
    x.count.handed_over.add(1);
    b.live.remove(lane);
    b.decided.remove(lane);
}

/// Sends the frames that other workers handed over. Rules: W1, G2 (until built).
pub fn take_over<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    x.enter(STAGE, b, b.live);
    x.count.taken_over.add(b.live.count());
    if !b.heavy.is_empty() {
        offload(b, x, io);
    }
    for lane in b.decided {
        let Out::Port(port) = b.out[lane] else { continue };
        // The snapshot is at least as new as the sender's: another generation is a later one.
        match x.snap.ports.get(port) {
            Some(row) if row.generation != b.out_generation[lane] => b.drop(lane, STAGE, DropReason::PortGone),
            None => b.drop(lane, STAGE, DropReason::PortGone),
            Some(row) if !row.active => b.drop(lane, STAGE, DropReason::PortDown),
            Some(_) if b.cut.has(lane) => in_pieces(b, x, lane, io),
            Some(row) => put(b, x, lane, Door::Port(port), io.local_port(port, row.generation)),
        }
    }
}

#[cfg(test)]
mod tests;
