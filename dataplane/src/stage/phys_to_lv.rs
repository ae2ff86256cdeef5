//! V0 and E0: which network is this VLAN of this physical network?
//!
//! br-int: `table=0, priority=3,in_port="int-br-phys",dl_vlan=300 actions=mod_vlan_vid:3,resubmit(,58)`, else
//! `priority=2,in_port="int-br-phys" actions=drop`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, L3, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::trace::Note;

const STAGE: Stage = Stage::PhysToLv;

/// Sets the segment and takes the network's tag off. A tag behind it is payload on a VLAN-transparent network, and
/// unexpected on others. Rules: V0, E0, D1.
pub fn phys_to_lv(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(STAGE, b, m);
    for lane in m {
        let Door::Phys(net) = b.door[lane] else { continue };
        let vid = if b.tags[lane] == 0 { 0 } else { b.tci[lane] & 0xfff };
        let seg = x.snap.vlans.get(u32::from(net) << 16 | u32::from(vid));
        let Some((seg, row)) = seg.and_then(|seg| Some((seg, x.snap.segments.get(seg)?))) else {
            b.drop(lane, STAGE, DropReason::VlanUnexpected);
            continue;
        };
        x.note(b, lane, STAGE, Note::Vlan(vid, seg));
        b.seg[lane] = seg;
        b.pop_tag(lane);
        if b.tags[lane] != 0 {
            b.l3[lane] = L3::Other;
            b.talk[lane] = Talk::None;
            if !row.vlan_transparent {
                b.drop(lane, STAGE, DropReason::VlanUnexpected);
            }
        }
    }
}

#[cfg(test)]
mod tests;
