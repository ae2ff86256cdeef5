//! T2 and T1's membership: which network is this VNI, and may that host speak in it?
//!
//! br-tun of the seed: `table=3, priority=1,tun_id=0x4 actions=mod_vlan_vid:1,resubmit(,9)`, else
//! drop (table 4 for VXLAN).

use super::vxlan_decap::restore_ecn;
use super::{Ctx, Stage};
use crate::burst::{Burst, L3, Lane, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::tables::SegRow;
use crate::trace::Note;

const STAGE: Stage = Stage::VxlanTunToLv;

/// Sets the segment. Rules: T2, T1 (membership), D1.
pub fn vxlan_tun_to_lv(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(STAGE, b, m);
    for lane in m {
        let Some(seg) = x.snap.vnis.get(b.vni[lane]) else {
            b.drop(lane, STAGE, DropReason::UnknownVni);
            continue;
        };
        b.seg[lane] = seg;
        let strangers = |row: &SegRow| row.strict && !row.members.contains(b.tunnel[lane]);
        if x.snap.segments.get(seg).is_none_or(strangers) {
            b.drop(lane, STAGE, DropReason::VtepNotMember);
        }
    }
    (m & b.traced).for_each(|lane| note(b, x, lane));
}

#[cold]
fn note(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    if let Some(seg) = x.snap.vnis.get(b.vni[lane]) {
        x.note(b, lane, STAGE, Note::Vni(b.vni[lane], seg));
    }
}

/// After the inner frame is decoded: its tag (T2) and its ECN bits (T0). Rules: T2, T0.
pub fn vxlan_inner(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    let usual = b.plain.without(b.ecn_marked); // no tag, and no congestion (a fabric that marks nothing)
    for lane in m.without(usual) {
        let tagged = b.tags[lane] != 0 && x.seg(b, lane).is_none_or(|seg| !seg.vlan_transparent);
        if b.tags[lane] != 0 {
            // On a VLAN-transparent network what is behind a tag is payload.
            b.l3[lane] = L3::Other;
            b.talk[lane] = Talk::None;
        }
        let result = if tagged { Err(DropReason::VlanUnexpected) } else { restore_ecn(b, x, lane) };
        if let Err(reason) = result {
            b.drop(lane, STAGE, reason);
        }
    }
}

#[cfg(test)]
mod tests;
