//! O4: frames for a physical network get their network's VLAN id.
//!
//! br-phys: `table=2, priority=4,in_port="phy-br-phys",dl_vlan=3 actions=mod_vlan_vid:300,NORMAL`.

use super::{Ctx, Stage};
use crate::burst::{Burst, Lane, Mask, Out};
use crate::drop_reason::DropReason;
use crate::tables::{SegRow, Wire};
use crate::trace::Note;
use crate::wire::ethertype;

const STAGE: Stage = Stage::LvToPhys;
const TAG: u16 = 4;

/// Pushes the tag on every frame of `m` that goes to its physical network. Rules: O4.
pub fn lv_to_phys(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    if x.snap.vlans.is_empty() {
        return; // no physical network here
    }
    let mine: Mask = m.filter(|lane| b.out[*lane] == Out::Phys).collect();
    if mine.is_empty() {
        return;
    }
    x.begin(STAGE);
    x.count.stage(STAGE).packets.add(mine.count());
    for lane in mine {
        if let Err(reason) = tag(b, x, lane) {
            b.drop(lane, STAGE, reason);
        }
    }
}

fn tag(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<(), DropReason> {
    // A row of a batch that gives the network another wire, which this burst does not see yet, or no longer.
    let Some(SegRow { wire: Wire::Phys { vid, .. }, .. }) = x.seg(b, lane) else { return Err(DropReason::PortGone) };
    x.note(b, lane, STAGE, Note::Tag(*vid));
    if *vid == 0 {
        return Ok(());
    }
    let off = b.meta[lane].off.checked_sub(TAG).ok_or(DropReason::NoHeadroom)?;
    b.meta[lane].off = off;
    b.meta[lane].len += TAG;
    let head = b.at_mut::<16>(lane, 0).ok_or(DropReason::Internal)?;
    head.copy_within(4..16, 0);
    let [e0, e1] = ethertype::VLAN.to_be_bytes();
    let [v0, v1] = vid.to_be_bytes();
    let (_, place) = head.split_at_mut(12);
    place.copy_from_slice(&[e0, e1, v0, v1]);
    Ok(())
}

#[cfg(test)]
mod tests;
