//! R8: a packet larger than its next network carries leaves in fragments (RFC 791, 3.2).
//!
//! In Neutron the kernel does it in the qrouter namespace (`ip_fragment`).

use super::{Ctx, Stage};
use crate::burst::{Burst, FrameMeta, Lane};
use crate::drop_reason::DropReason;
use crate::pipeline::process_made;
use crate::trace::Note;
use crate::umem::{Frame, HEADROOM};
use crate::wire::ETH_LEN;
use crate::wire::fragment::{Plan, plan};
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::Fragments;

/// Sends a routed frame, written already, in pieces of at most `cut_to` bytes of IP packet; they go where it would
/// have gone, at its place, in order of their offsets. Rules: R8-icmp.
#[cold]
pub fn fragments<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    x.begin(STAGE);
    x.count.stage(STAGE).packets.add(1);
    let cut_to = b.cut_to[lane];
    let Some(plan) = plan(packet(b, lane), cut_to) else { return b.drop(lane, STAGE, DropReason::Mtu) };
    let Some(mut made) = io.made.take() else { return b.drop(lane, STAGE, DropReason::Internal) };
    x.note(b, lane, STAGE, Note::Fragments(cut_to));
    x.count.copied.add(plan.pieces() as u64 - 1);
    for n in 0..plan.pieces() {
        piece(b, x, lane, (&plan, n), &mut made, io);
        if made.is_full() {
            process_made(&mut made, x, io);
        }
    }
    process_made(&mut made, x, io);
    io.made = Some(made);
    b.live.remove(lane);
    b.decided.remove(lane);
    if let Some(frame) = b.frame[lane].take() {
        io.recycle(frame);
    }
}

fn packet<'b>(b: &'b Burst<'_>, lane: Lane) -> &'b [u8] {
    let start = usize::from(ETH_LEN);
    b.bytes(lane).get(start..start + usize::from(b.ip[lane].total_len)).unwrap_or_default()
}

/// Piece number `n` into a frame of its own.
fn piece<'u>(
    b: &Burst<'u>,
    x: &Ctx<'_>,
    lane: Lane,
    (plan, n): (&Plan, usize),
    made: &mut Burst<'u>,
    io: &mut WorkerIo<'u>,
) {
    let Some(mut frame) = io.pool.take() else { return x.drop_frame(b, lane, STAGE, DropReason::NoFrame) };
    let Some(len) = write(b, lane, (plan, n), &mut frame) else {
        io.recycle(frame);
        return x.drop_frame(b, lane, STAGE, DropReason::Internal);
    };
    let Some(own) = made.adopt(b, lane, frame, b.out[lane]) else { return };
    made.meta[own] = FrameMeta::of_received(HEADROOM as u16, ETH_LEN + len, b.meta[lane].rx_time);
    made.ip[own].total_len = len;
    made.ports[own] = 0; // all pieces take one way: their ports are in the first one only
}

fn write(b: &Burst<'_>, lane: Lane, (plan, n): (&Plan, usize), frame: &mut Frame<'_>) -> Option<u16> {
    let (eth, out) = frame.chunk_mut().get_mut(HEADROOM..)?.split_first_chunk_mut::<14>()?;
    *eth = *b.at::<14>(lane, 0)?;
    u16::try_from(plan.write(packet(b, lane), n, out)?).ok()
}

#[cfg(test)]
mod tests;
