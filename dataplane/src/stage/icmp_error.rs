//! ICMP errors and TCP resets: the frame that the end of another one owes to its sender.
//!
//! In Neutron the kernel makes them in the qrouter namespace (`icmp_send`, `icmp_ratelimit`).

use super::{Ctx, Stage};
use crate::burst::{Back, Burst, Door, FrameMeta, Lane, Out, Owed, Word};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::pipeline::{process_made, process_own};
use crate::trace::Note;
use crate::umem::{Frame, HEADROOM};
use crate::wire::{ETH_LEN, icmp};
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::IcmpError;

/// Tells the sender of `lane` how it ended, if it may be told and was not told too often. The frame goes out at the
/// place of the one it is about. Rules: ICMP, R2-l4.
#[cold]
pub fn icmp_error<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    x.begin(STAGE);
    x.count.stage(STAGE).packets.add(1);
    let owed = b.owed[lane];
    let packet = b.packet(lane);
    let may = match owed.word {
        Word::Error(_) => icmp::may_answer(packet),
        Word::Reset => icmp::tcp_reset(&mut [0; icmp::RESET_LEN], packet).is_some(),
    };
    if !may {
        return;
    }
    let time = b.meta[lane].rx_time;
    if !io.told.may(owed.router, b.door[lane], packet, time) {
        x.count.event(Event::IcmpLimited).add(1);
        return x.note(b, lane, STAGE, Note::TellsNoMore);
    }
    let Some(mut frame) = io.pool.take() else {
        x.count.generated.add(1);
        return x.drop_frame(b, lane, STAGE, DropReason::NoFrame);
    };
    let Some(mut made) = io.made.take() else { return io.recycle(frame) };
    match write(b, lane, &mut frame, owed) {
        None => io.recycle(frame),
        Some(len) => {
            x.note(b, lane, STAGE, Note::Tells(owed.word, owed.src));
            x.count.generated.add(1);
            let meta = FrameMeta::of_received(HEADROOM as u16, len, time);
            send(b, x, lane, &mut made, (frame, meta), io);
        }
    }
    io.made = Some(made);
}

/// Ethernet header back to the sender, and the IPv4 packet; returns the frame's length.
fn write(b: &Burst<'_>, lane: Lane, frame: &mut Frame<'_>, owed: Owed) -> Option<u16> {
    let came = b.at::<14>(lane, 0)?;
    let (eth, out) = frame.chunk_mut().get_mut(HEADROOM..)?.split_first_chunk_mut::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, ..] = *came;
    *eth = [s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5, 0x08, 0x00];
    let len = match owed.word {
        Word::Error(error) => icmp::error(out, error, owed.src, b.packet(lane)),
        Word::Reset => icmp::tcp_reset(out, b.packet(lane)),
    };
    u16::try_from(len?).ok()?.checked_add(ETH_LEN)
}

fn send<'u>(
    b: &Burst<'u>,
    x: &Ctx<'_>,
    lane: Lane,
    made: &mut Burst<'u>,
    (frame, meta): (Frame<'u>, FrameMeta),
    io: &mut WorkerIo<'u>,
) {
    let (door, owed) = (b.door[lane], b.owed[lane]);
    let own = match made.push(frame, meta, door) {
        Ok(own) => own,
        Err(frame) => return io.recycle(frame), // the burst is empty between uses: never
    };
    made.seg[own] = b.seg[lane];
    match (owed.back, door) {
        (Back::Router, _) => process_own(made, x, io, owed.router),
        (Back::Door, Door::Port(port)) => {
            made.send(own, Out::Port(port));
            process_made(made, x, io);
        }
        (Back::Door, _) => {
            made.send(own, Out::Phys);
            process_made(made, x, io);
        }
    }
}

#[cfg(test)]
mod tests;
