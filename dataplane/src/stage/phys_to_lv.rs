//! V0 and E0: which network is this VLAN of this physical network?
//!
//! br-int: `table=0, priority=3,in_port="int-br-phys",dl_vlan=300 actions=mod_vlan_vid:3,resubmit(,58)`, else
//! `priority=2,in_port="int-br-phys" actions=drop`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Door, L3, Lane, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::trace::Note;

const STAGE: Stage = Stage::PhysToLv;

/// Sets the segment and takes the network's tag off. A tag behind it is payload on a VLAN-transparent network, and
/// unexpected on others. Rules: V0, E0, D1.
pub fn phys_to_lv(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(STAGE, b, m);
    // A wire's frames are mostly of one network.
    let (mut last, mut network) = (u32::MAX, None);
    for lane in m {
        let Door::Phys(net) = b.door[lane] else { continue };
        let vid = if b.tags[lane] == 0 { 0 } else { b.tci[lane] & 0xfff };
        let wire = u32::from(net) << 16 | u32::from(vid);
        if wire != last {
            last = wire;
            network = x.snap.vlans.get(wire).and_then(|seg| Some((seg, x.snap.segments.get(seg)?.vlan_transparent)));
        }
        let Some((seg, transparent)) = network else {
            b.drop(lane, STAGE, DropReason::VlanUnexpected);
            continue;
        };
        x.note(b, lane, STAGE, Note::Vlan(vid, seg));
        b.seg[lane] = seg;
        if b.tags[lane] != 0 {
            untag(b, lane, transparent);
        }
    }
}

/// Takes the network's tag off.
#[inline(never)]
fn untag(b: &mut Burst<'_>, lane: Lane, transparent: bool) {
    b.pop_tag(lane);
    if b.tags[lane] == 0 {
        // What was not plain for its tag alone is plain now.
        let whole = b.l3[lane] == L3::Ipv4 && b.ip[lane].header_len == 20 && !b.fragments.has(lane);
        if whole && b.ip[lane].total_len >= 24 {
            b.plain.insert(lane);
        }
        return;
    }
    b.l3[lane] = L3::Other;
    b.talk[lane] = Talk::None;
    if !transparent {
        b.drop(lane, STAGE, DropReason::VlanUnexpected);
    }
}

#[cfg(test)]
mod tests;
