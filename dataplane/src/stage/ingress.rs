//! Ingress: which door did each frame come in by?
//!
//! `table=0, in_port=... actions=...`: br-int and br-tun tell a frame's origin by its port; so does this.

mod shared;

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, Mask};
use crate::drop_tap::save_heads;
use crate::trace::Note;
use crate::worker::WorkerIo;

/// The frames of a burst by kind of door.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doors {
    /// VM and service ports, with or without a row.
    pub vm: Mask,
    /// The underlay NIC.
    pub tunnel: Mask,
    /// Physical networks.
    pub phys: Mask,
}

/// Sorts the burst by door and counts it as received. Rules: N2, I1 (whether the port is ACTIVE is asked in `vm_port`).
pub fn ingress(b: &mut Burst<'_>, x: &Ctx<'_>, io: &WorkerIo<'_>) -> Doors {
    x.enter(Stage::Ingress, b, b.live);
    x.count.received.add(b.live.count());
    if x.tap.is_some() {
        save_heads(b);
    }
    let mut doors = Doors::default();
    let mut n = 0;
    while let Some((door, lanes)) = b.arrivals.get(n) {
        if let Some(sharing) = io.sharing(door) {
            shared::tell_apart(b, x, (lanes, sharing), &mut doors);
            n += 1;
            continue;
        }
        let door = known(b, x, io, (n, door, lanes));
        x.count.port(door).rx.add(lanes.count());
        match door {
            Door::Tunnel => doors.tunnel |= lanes,
            Door::Phys(_) => doors.phys |= lanes,
            Door::Unknown => doors.vm |= lanes,
            Door::Port(port) => {
                doors.vm |= lanes;
                let seg = x.snap.ports.get(port).map_or(0, |row| row.seg);
                lanes.for_each(|lane| b.seg[lane] = seg);
                (lanes & b.traced).for_each(|lane| x.note(b, lane, Stage::Ingress, Note::FromPort(port)));
            }
        }
        n += 1;
    }
    doors
}

/// The door, or unknown if the attached port is not its row's any more (W1): by the burst's own
/// snapshot, so that the port's frames are never taken for another's.
#[inline(always)]
fn known(b: &mut Burst<'_>, x: &Ctx<'_>, io: &WorkerIo<'_>, (n, door, lanes): (usize, Door, Mask)) -> Door {
    let Door::Port(port) = door else { return door };
    let row = x.snap.ports.get(port).map(|row| row.generation);
    if row.is_none() || row == io.generation(port) {
        return door;
    }
    lanes.for_each(|lane| b.door[lane] = Door::Unknown);
    b.arrivals.rename(n, Door::Unknown);
    Door::Unknown
}

#[cfg(test)]
mod tests;
