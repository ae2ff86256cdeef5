//! R9's and O2's ink: what the routers decided is written into the frame, once; frames that leave
//! the host get its own DVR MAC as source.
//!
//! br-tun of the seed: `table=1, priority=1,dl_vlan=1,dl_src=fa:16:3e:ec:f3:dd
//! actions=mod_dl_src:fa:16:3f:b2:34:82,resubmit(,2)`.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, FloodSet, Lane, Mask, Out, write_macs};
use crate::drop_reason::DropReason;
use crate::trace::{Field, Note};
use crate::wire;

const STAGE: Stage = Stage::DvrProcess;

/// Writes Ethernet addresses and TTL of every routed frame; masks the router's MAC on those that
/// go to the fabric. Rules: R9, O2.
pub fn dvr_process(b: &mut Burst<'_>, x: &Ctx<'_>, routed: Mask) {
    x.enter(STAGE, b, routed);
    let own = x.snap.host.dvr_mac;
    for lane in routed {
        let mut src = b.src[lane];
        if !matches!(b.out[lane], Out::Port(_) | Out::Flood(FloodSet { fabric: false, .. })) {
            if own.is_zero() {
                b.drop(lane, STAGE, DropReason::RouterDown); // never with the router's MAC in its place
                continue;
            }
            x.note(b, lane, STAGE, Note::Set(Field::EthSrc, src.to_u64(), own.to_u64()));
            src = own;
        }
        write(b, lane, src);
    }
}

#[inline(always)]
fn write(b: &mut Burst<'_>, lane: Lane, src: MacAddr) {
    b.src[lane] = src;
    let (dst, ttl) = (b.dst[lane], b.ip[lane].ttl);
    let Some(head) = b.at_mut::<26>(lane, 0) else { return };
    if let Some(macs) = head.first_chunk_mut() {
        write_macs(macs, dst, src);
    }
    let old = u16::from_be_bytes([head[22], head[23]]);
    let new = u16::from_be_bytes([ttl, head[23]]);
    let check = wire::update(u16::from_be_bytes([head[24], head[25]]), old, new);
    head[22] = ttl;
    head[24..26].copy_from_slice(&check.to_be_bytes());
}

#[cfg(test)]
mod tests;
