//! O2: routed frames leave the host with its own DVR MAC as source.
//!
//! br-tun of the seed: `table=1, priority=1,dl_vlan=1,dl_src=fa:16:3e:ec:f3:dd
//! actions=mod_dl_src:fa:16:3f:b2:34:82,resubmit(,2)`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Mask, Out};
use crate::drop_reason::DropReason;
use crate::trace::{Field, Note};

const STAGE: Stage = Stage::DvrProcess;

/// Masks the router MAC of every routed frame that goes to the fabric. Rules: O2, F04.
pub fn dvr_process(b: &mut Burst<'_>, x: &Ctx<'_>, routed: Mask) {
    x.enter(STAGE, b, routed);
    let own = x.snap.host.dvr_mac;
    for lane in routed {
        if matches!(b.out[lane], Out::Port(_)) {
            continue;
        }
        if own.is_zero() {
            b.drop(lane, STAGE, DropReason::RouterDown); // never with the router's MAC in its place
            continue;
        }
        x.note(b, lane, STAGE, Note::Set(Field::EthSrc, b.src[lane].to_u64(), own.to_u64()));
        b.src[lane] = own;
        if let Some(src) = b.at_mut::<6>(lane, 6) {
            *src = own.octets();
        }
    }
}

#[cfg(test)]
mod tests;
