//! R8: a packet larger than its next network carries leaves in fragments (RFC 791, 3.2).
//!
//! In Neutron the kernel does it in the qrouter namespace (`ip_fragment`).

use super::{Ctx, Stage};
use crate::burst::{Burst, FrameMeta, Lane};
use crate::drop_reason::DropReason;
use crate::pipeline::process_made;
use crate::trace::Note;
use crate::umem::{HEADROOM, MAX_FRAME, Reader};
use crate::wire::ETH_LEN;
use crate::wire::fragment::plan_of;
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::Fragments;
/// A fragment fits one chunk: it may be smaller than the MTU.
const PIECE: u16 = MAX_FRAME as u16 - ETH_LEN;

/// Sends a routed frame, written already, in pieces of at most `cut_to` bytes of IP packet; they go where it would
/// have gone, at its place, in order of their offsets. Rules: R8-icmp.
#[cold]
pub fn fragments<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    x.begin(STAGE);
    x.count.stage(STAGE).packets.add(1);
    let cut_to = b.cut_to[lane];
    let plan = plan_of(b.packet(lane), b.meta[lane].whole() - usize::from(ETH_LEN), cut_to.min(PIECE));
    let Some(plan) = plan else { return b.drop(lane, STAGE, DropReason::Mtu) };
    let Some(eth) = b.head::<14>(lane).copied() else { return b.drop(lane, STAGE, DropReason::Internal) };
    x.note(b, lane, STAGE, Note::Fragments(cut_to));
    let start = usize::from(ETH_LEN) + plan.header_len();
    cut(b, x, (lane, STAGE), (plan.pieces(), start), io, |n, out, reader| {
        let (head, rest) = out.split_first_chunk_mut()?;
        *head = eth;
        Some(eth.len() + plan.write_from(n, rest, |range, to| reader.read(range, to))?)
    });
}

/// Sends a frame in `pieces`, each written by `write` into a frame of its own: its number, the place for it, and the payload,
/// which begins `start` bytes into the frame; it returns the length.
pub(super) fn cut<'u>(
    b: &mut Burst<'u>,
    x: &Ctx<'_>,
    (lane, stage): (Lane, Stage),
    (pieces, start): (usize, usize),
    io: &mut WorkerIo<'u>,
    mut write: impl FnMut(usize, &mut [u8], &mut Reader<'_>) -> Option<usize>,
) {
    let Some(mut made) = io.made.take() else { return b.drop(lane, stage, DropReason::Internal) };
    let region = io.pool.region();
    x.count.copied.add(pieces as u64 - 1);
    if let Some(frame) = b.frame[lane].as_ref() {
        let mut reader = Reader::new(&region, frame, b.bytes(lane).get(start..).unwrap_or_default());
        for n in 0..pieces {
            piece(b, x, (lane, stage), &mut made, io, |out| write(n, out, &mut reader));
            if made.is_full() {
                process_made(&mut made, x, io);
            }
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

/// One piece into a frame of its own.
fn piece<'u>(
    b: &Burst<'u>,
    x: &Ctx<'_>,
    (lane, stage): (Lane, Stage),
    made: &mut Burst<'u>,
    io: &mut WorkerIo<'u>,
    write: impl FnOnce(&mut [u8]) -> Option<usize>,
) {
    let Some(mut frame) = io.pool.take() else { return x.drop_frame(b, lane, stage, DropReason::NoFrame) };
    let Some(len) = frame.chunk_mut().get_mut(HEADROOM..).and_then(write) else {
        io.recycle(frame);
        return x.drop_frame(b, lane, stage, DropReason::Internal);
    };
    let Some(own) = made.adopt(b, lane, frame, b.out[lane]) else { return };
    made.meta[own] = FrameMeta::of_received(HEADROOM as u16, len as u16, b.meta[lane].rx_time);
    made.heavy.remove(own);
    made.ip[own].total_len = len as u16 - b.l3_off[lane];
    if stage == STAGE {
        made.ports[own] = 0; // all fragments take one way: the ports are in the first one only
    }
}

#[cfg(test)]
mod tests;
