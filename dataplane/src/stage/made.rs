//! Frames the writer asks for: probes (R7) and announcements (F42).
//!
//! In Neutron the kernel probes on `qr-` and `fg-`, and the L3 agent runs `arping -U` and `arping -A`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, FloodSet, FrameMeta, Out};
use crate::drop_reason::DropReason;
use crate::pipeline::process_made;
use crate::tables::SegIx;
use crate::umem::HEADROOM;
use crate::wire::arp::FRAME_LEN;
use crate::worker::WorkerIo;

/// An ARP frame to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// In this network.
    pub seg: SegIx,
    /// Whose index `seg` was when it was asked for.
    pub seg_generation: u32,
    /// To whom.
    pub to: MadeFor,
    /// The frame.
    pub frame: [u8; FRAME_LEN],
    /// When, ns of the dataplane's clock.
    pub time: u64,
}

/// To whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeFor {
    /// Local ports, other hosts, the physical network.
    Everybody,
    /// ACTIVE local ports.
    Ports,
    /// The physical network.
    Phys,
}

/// Sends it; nothing if the network is gone meanwhile. Rules: R7-probe, F42, V4.
pub fn send_made<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>, made: &Made) {
    if x.snap.segments.get(made.seg).is_none_or(|row| row.generation != made.seg_generation) {
        return;
    }
    let out = match made.to {
        MadeFor::Everybody => Out::Flood(FloodSet { all_ports: true, fabric: true }),
        MadeFor::Ports => Out::Flood(FloodSet { all_ports: true, fabric: false }),
        MadeFor::Phys => Out::Phys,
    };
    x.count.generated.add(1);
    let Some(mut frame) = io.pool.take() else {
        return x.count.drop_frame(Door::Unknown, Stage::Egress, DropReason::NoFrame);
    };
    if let Some(place) = frame.chunk_mut().get_mut(HEADROOM..HEADROOM + FRAME_LEN) {
        place.copy_from_slice(&made.frame);
    }
    let meta = FrameMeta::of_received(HEADROOM as u16, FRAME_LEN as u16, made.time);
    match b.push(frame, meta, Door::Unknown) {
        Err(frame) => io.recycle(frame), // the burst is empty between polls: never
        Ok(lane) => {
            super::decode(b, x, b.live);
            b.seg[lane] = made.seg;
            if b.live.has(lane) {
                b.send(lane, out);
            }
            process_made(b, x, io);
        }
    }
}

#[cfg(test)]
mod tests;
