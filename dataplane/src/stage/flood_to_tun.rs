//! L6 and L3's copies: one frame to each of several receivers.
//!
//! br-tun of the seed: `table=22, hard_age=5469, dl_vlan=1 actions=strip_vlan,set_tunnel:0x4,output:3,output:2`;
//! local ports by br-int NORMAL.

use super::egress::{account, transmit};
use super::vxlan_encap::vxlan_encap;
use super::{Ctx, Stage};
use crate::burst::{Burst, Door, FloodSet, Lane, Out};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::tables::{SegRow, Wire};
use crate::trace::Note;
use crate::umem::{Frame, FramePool};
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::FloodToTun;

/// Sends a copy to every receiver: local ports by id, then VTEPs by address, then the physical
/// network. The copies run through the output stages in a burst of their own. Rules: L6, L3, D2.
pub fn flood_to_tun<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, set: FloodSet, io: &mut WorkerIo<'u>) {
    x.enter(STAGE, b, crate::burst::Mask::of(lane));
    let Some(seg) = x.seg(b, lane) else { return b.drop(lane, STAGE, DropReason::Internal) };
    let door = b.door[lane];
    let total = receivers(seg, set, door).count();
    if total == 0 {
        let nobody = if set.all_ports { DropReason::NoReceiver } else { DropReason::UnknownUnicast };
        return b.drop(lane, STAGE, nobody);
    }
    if !set.all_ports {
        x.count.event(Event::FloodedUnknown).add(1);
    }
    x.count.copied.add(total as u64 - 1);
    let Some(mut copies) = io.copies.take() else { return b.drop(lane, STAGE, DropReason::Internal) };
    for (n, out) in receivers(seg, set, door).enumerate() {
        // The last receiver gets the original.
        let frame = if n + 1 == total { b.frame[lane].take() } else { copy(b, lane, &mut io.pool) };
        match frame {
            Some(frame) => {
                x.note(b, lane, STAGE, Note::Copy(out));
                copies.adopt(b, lane, frame, out);
            }
            None => x.drop_frame(b, lane, STAGE, DropReason::NoFrame),
        }
        if copies.is_full() || n + 1 == total {
            output(&mut copies, x, io);
        }
    }
    b.live.remove(lane);
    b.decided.remove(lane);
    io.copies = Some(copies);
}

fn receivers(seg: &SegRow, set: FloodSet, door: Door) -> impl Iterator<Item = Out> {
    let ports = if set.all_ports { &seg.flood_ports } else { &seg.unknown_ports };
    let tunnels = if set.fabric { &seg.flood_tunnels[..] } else { &[] };
    let phys = (set.fabric && seg.wire == Wire::Phys).then_some(Out::Phys);
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
    Some(frame)
}

/// From output on, as for the burst they were copied from.
fn output<'u>(copies: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    vxlan_encap(copies, x, copies.decided);
    for lane in copies.decided {
        transmit(copies, x, lane, io);
    }
    account(copies, x, io);
}

#[cfg(test)]
mod tests;
