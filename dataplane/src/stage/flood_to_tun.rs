//! L6 and L3's copies: one frame to each of several receivers.
//!
//! br-tun of the seed: `table=22, hard_age=5469, dl_vlan=1 actions=strip_vlan,set_tunnel:0x4,output:3,output:2`;
//! local ports by br-int NORMAL.

use super::egress::{account, transmit};
use super::lv_to_phys::lv_to_phys;
use super::vxlan_encap::vxlan_encap;
use super::{Ctx, Stage};
use crate::burst::{Burst, Door, FloodSet, Lane, Mask, Out};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::flood::{Cursor, Place};
use crate::tables::{SegRow, Wire};
use crate::trace::Note;
use crate::umem::{Chain, Frame, FramePool};
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::FloodToTun;

/// Sends a copy to every receiver: local ports by index, then VTEPs by address, then the physical
/// network. The copies run through the output stages in a burst of their own. A frame whose copies are
/// more than its port has left in this turn waits with the rest of them, and so do the port's later
/// floods behind it. Rules: L6, L6-storm, L3, D2.
pub fn flood_to_tun<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, set: FloodSet, io: &mut WorkerIo<'u>) {
    x.enter(STAGE, b, Mask::of(lane));
    let Some(seg) = x.seg(b, lane) else { return b.drop(lane, STAGE, DropReason::Internal) };
    let door = b.door[lane];
    let total = receivers(seg, set, door).count();
    if total == 0 {
        let nobody = match door {
            _ if !set.all_ports => DropReason::UnknownUnicast,
            Door::Phys(_) => DropReason::NotOurs,
            _ => DropReason::NoReceiver,
        };
        return b.drop(lane, STAGE, nobody);
    }
    let now = if io.floods.waits(door) { 0 } else { total.min(io.floods.left(door)) };
    if now < total && io.floods.is_full() || !may_flood(b, x, lane, io) {
        return b.drop(lane, STAGE, DropReason::Storm);
    }
    if !set.all_ports {
        x.count.event(Event::FloodedUnknown).add(1);
    }
    let last = send(b, x, lane, (seg, set), 0..now, io);
    if now < total {
        let cursor = Cursor {
            last: place(x, last).unwrap_or_default(),
            seg_generation: seg.generation,
            port_generation: x.port_generation(door),
        };
        wait(b, x, lane, cursor, io);
    }
}

/// The storm policer of local ports. What comes by tunnel was policed where it was sent.
fn may_flood(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'_>) -> bool {
    let Door::Port(port) = b.door[lane] else { return true };
    io.floods.police(port, x.port_generation(b.door[lane]), b.meta[lane].rx_time)
}

/// `None`: a tunnel that no snapshot has.
fn place(x: &Ctx<'_>, out: Out) -> Option<Place> {
    match out {
        Out::Port(port) => Some(Place::Port(port)),
        Out::Tunnel(tunnel) | Out::Unresolved(tunnel) => x.with_tunnel(tunnel, |row| Place::Vtep(row.vtep)),
        Out::Phys => Some(Place::Phys),
        Out::Undecided | Out::Flood(_) => Some(Place::Start),
    }
}

/// Serves the receivers number `range`; the last one of all gets the original, which then has left
/// `b`. Returns the last one served.
fn send<'u>(
    b: &mut Burst<'u>,
    x: &Ctx<'_>,
    lane: Lane,
    (seg, set): (&SegRow, FloodSet),
    range: std::ops::Range<usize>,
    io: &mut WorkerIo<'u>,
) -> Out {
    let door = b.door[lane];
    let Some(mut copies) = io.copies.take() else { return Out::Undecided };
    let mut last = Out::Undecided;
    io.floods.spend(door, range.len());
    let mut rest = receivers(seg, set, door).skip(range.start).peekable();
    for _ in range {
        let Some(out) = rest.next() else { break };
        let frame = if rest.peek().is_none() {
            b.live.remove(lane);
            b.decided.remove(lane);
            b.frame[lane].take()
        } else {
            x.count.copied.add(1);
            copy(b, lane, &mut io.pool)
        };
        match frame {
            Some(frame) => {
                x.note(b, lane, STAGE, Note::Copy(out));
                copies.adopt(b, lane, frame, out);
            }
            None => x.drop_frame(b, lane, STAGE, DropReason::NoFrame),
        }
        if copies.is_full() {
            output(&mut copies, x, io);
        }
        last = out;
    }
    output(&mut copies, x, io);
    io.copies = Some(copies);
    last
}

/// The frame is held until its port's next turn.
fn wait<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, cursor: Cursor, io: &mut WorkerIo<'u>) {
    let (Some(waiting), Some(frame)) = (io.floods.waiting.as_mut(), b.frame[lane].take()) else {
        return b.drop(lane, STAGE, DropReason::Internal);
    };
    let Some(place) = waiting.adopt(b, lane, frame, b.out[lane]) else {
        return b.drop(lane, STAGE, DropReason::Internal); // a lane for each place: never
    };
    b.live.remove(lane);
    b.decided.remove(lane);
    io.floods.cursor[place] = cursor;
    io.floods.order.push_back(place);
    x.count.held.set(io.held());
}

/// A turn begins: floods that wait go on, first come first, as far as their ports' share and the
/// turn's go. Rules: L6-storm.
#[cold]
pub fn go_on<'u>(x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    let Some(mut waiting) = io.floods.waiting.take() else { return };
    let mut turn = io.floods.limits.turn_copies.max(1) as usize;
    for _ in 0..io.floods.order.len() {
        let Some(lane) = io.floods.order.pop_front() else { break };
        if !go_on_with(&mut waiting, x, lane, &mut turn, io) {
            io.floods.order.push_back(lane);
        }
    }
    io.floods.waiting = Some(waiting);
    x.count.held.set(io.held());
}

/// One of them, with what is left of the `turn`'s copies; `true` if it is done.
fn go_on_with<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, turn: &mut usize, io: &mut WorkerIo<'u>) -> bool {
    let (door, cursor) = (b.door[lane], io.floods.cursor[lane]);
    let left = io.floods.left(door).min(*turn);
    if left == 0 {
        return false;
    }
    let seg = x.seg(b, lane).filter(|seg| seg.generation == cursor.seg_generation);
    let (Some(seg), Out::Flood(set)) = (seg, b.out[lane]) else { return end(b, x, lane, io) };
    // The first behind the last one served, whoever came and went meanwhile.
    let from = receivers(seg, set, door).position(|out| place(x, out).is_some_and(|p| p > cursor.last));
    let same_port = x.port_generation(door) == cursor.port_generation;
    let Some(from) = from.filter(|_| same_port) else { return end(b, x, lane, io) };
    let total = receivers(seg, set, door).count();
    let to = total.min(from + left);
    *turn -= to - from;
    let last = send(b, x, lane, (seg, set), from..to, io);
    io.floods.cursor[lane].last = place(x, last).unwrap_or(cursor.last);
    to == total
}

/// The network, the port it came by or the rest of the receivers went away while the frame waited.
fn end<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) -> bool {
    b.live.remove(lane);
    b.decided.remove(lane);
    x.note(b, lane, STAGE, Note::Dropped(DropReason::PortGone));
    x.drop_frame(b, lane, STAGE, DropReason::PortGone);
    if let Some(frame) = b.frame[lane].take() {
        io.recycle(frame);
    }
    true
}

fn receivers(seg: &SegRow, set: FloodSet, door: Door) -> impl Iterator<Item = Out> {
    let ports = if set.all_ports { &seg.flood_ports } else { &seg.unknown_ports };
    let tunnels = if set.fabric { &seg.flood_tunnels[..] } else { &[] };
    let phys = (set.fabric && matches!(seg.wire, Wire::Phys { .. })).then_some(Out::Phys);
    let ports = ports.iter().filter(move |p| door != Door::Port(**p)).map(|p| Out::Port(*p));
    ports.chain(tunnels.iter().map(|t| Out::Tunnel(*t))).chain(phys)
}

/// A frame of its own with the same bytes, those around it that were received with it included: what a capture
/// of drops shows of a copy must not be what an earlier packet left in the buffer.
fn copy<'u>(b: &Burst<'u>, lane: Lane, pool: &mut FramePool<'u>) -> Option<Frame<'u>> {
    let mut frame = pool.take()?;
    let (meta, from) = (&b.meta[lane], b.frame[lane].as_ref()?);
    let received = meta.received();
    let start = usize::from(meta.off).min(received.start);
    let end = usize::from(meta.off + meta.len).max(received.end);
    if let (Some(to), Some(bytes)) = (frame.chunk_mut().get_mut(start..end), from.chunk().get(start..end)) {
        to.copy_from_slice(bytes);
    }
    let head = from.chunk().get(..usize::from(meta.rx_head)).unwrap_or_default();
    frame.chunk_mut().iter_mut().zip(head).for_each(|(to, from)| *to = *from);
    if meta.segments > 1 { copy_behind(from, frame, pool) } else { Some(frame) }
}

/// And the chunks behind the first.
#[cold]
fn copy_behind<'u>(from: &Frame<'u>, to: Frame<'u>, pool: &mut FramePool<'u>) -> Option<Frame<'u>> {
    let mut chain = Chain::new(pool.region(), to).ok()?;
    let whole = chain.copy_behind(from, pool);
    let (frame, ..) = chain.finish();
    if whole {
        return Some(frame);
    }
    pool.put_all(frame);
    None
}

/// From output on, as for the burst they were copied from.
fn output<'u>(copies: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    vxlan_encap(copies, x, copies.decided);
    lv_to_phys(copies, x, copies.decided);
    for lane in copies.decided {
        transmit(copies, x, lane, io);
    }
    account(copies, x, io);
}

#[cfg(test)]
mod tests;
