//! O4: the tag of frames that leave by a physical network.

use super::lv_to_phys;
use crate::addr::MacAddr;
use crate::burst::Door::{self, Phys};
use crate::burst::{Burst, Fate, FrameMeta, Lane, Out};
use crate::drop_reason::DropReason;
use crate::stage::Stage;
use crate::tables::*;
use crate::testkit::*;
use crate::trace::Note;
use crate::umem::{HEADROOM, Umem};

const OUT: &str = "ingress decode vm_port local_switching lv_to_phys egress";

fn frame() -> Vec<u8> {
    eth(V1.mac, V2.mac, ip4(V1.ip, V2.ip).udp(1, 2, b"out"))
}

/// Rules: O4.
#[test]
fn the_tag_stands_between_source_and_ethertype_with_the_networks_id_alone() {
    let out = Rig::h1().one(V1.door, frame());
    out.assert_sent(V1.door, OUT, &[(Phys(0), phy(&frame()))]);
    assert_eq!(out.sent[0].1[12..18], [0x81, 0, 0x01, 0x2c, 0x08, 0]);
    let mut last = Rig::h1_with(|r| r.seg(V, |s| s.wire = Wire::Phys { net: 0, vid: 4094 }));
    last.one(V1.door, frame()).assert_sent(V1.door, OUT, &[(Phys(0), tagged(&frame(), &[4094]))]);
}

/// Rules: O4.
#[test]
fn a_flat_network_is_untagged() {
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.wire = Wire::Phys { net: 0, vid: 0 }));
    rig.one(V1.door, frame()).assert_sent(V1.door, OUT, &[(Phys(0), frame())]);
}

/// Rules: O4.
#[test]
fn each_network_leaves_by_its_own_nic() {
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.wire = Wire::Phys { net: 1, vid: 300 }));
    rig.one(V1.door, frame()).assert_sent(V1.door, OUT, &[(Phys(1), phy(&frame()))]);
    let mut gone = Rig::h1_with(|r| r.seg(V, |s| s.wire = Wire::Phys { net: 9, vid: 300 }));
    gone.one(V1.door, frame()).assert_dropped(V1.door, OUT, "port_gone");
}

/// Rules: O4, I1.
#[test]
fn a_guests_tag_stays_behind_the_networks_one() {
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.vlan_transparent = true));
    rig.one(V1.door, tagged(&frame(), &[5])).assert_sent(V1.door, OUT, &[(Phys(0), tagged(&frame(), &[300, 5]))]);
}

/// Rules: O4.
#[test]
fn a_row_that_names_a_physical_network_the_network_does_not_have_is_port_gone() {
    // As between two steps of a batch that changes a network's wire.
    for wire in [Wire::Vxlan(1005), Wire::None] {
        let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.wire = wire));
        let path = "ingress decode vm_port local_switching lv_to_phys";
        rig.one(V1.door, frame()).assert_dropped(V1.door, path, "port_gone");
    }
}

/// Rules: O4, L6.
#[test]
fn only_the_copy_for_the_physical_network_is_tagged() {
    let call = eth(V1.mac, MacAddr::BROADCAST, ip4(V1.ip, u32::MAX).udp(1, 2, b"?"));
    let mut rig = Rig::h1_with(|r| r.seg(V, |s| s.flood_ports = [1, 4].into()));
    let path = "ingress decode vm_port local_switching egress flood_to_tun lv_to_phys";
    let both = [(Door::Port(1), call.clone()), (Phys(0), phy(&call))];
    rig.one(V1.door, call).assert_sent(V1.door, path, &both);
}

/// A frame of V on its way to the physical network that begins at `off` of its chunk, after the stage.
fn tagged_at(off: usize) -> (Burst<'static>, Lane) {
    let rig = Rig::h1();
    let mut pool = Box::leak(Box::new(Umem::new(1))).pools(1).remove(0);
    let mut held = pool.take().unwrap();
    let bytes = frame();
    held.chunk_mut()[off..off + bytes.len()].copy_from_slice(&bytes);
    let mut b = Burst::default();
    let lane = b.push(held, FrameMeta::of_received(off as u16, bytes.len() as u16, 0), V1.door).unwrap();
    b.seg[lane] = V;
    b.send(lane, Out::Phys);
    let decided = b.decided;
    rig.with_ctx(|x| lv_to_phys(&mut b, x, decided));
    (b, lane)
}

/// Rules: O4.
#[test]
fn under_4_bytes_in_front_of_the_frame_are_no_headroom() {
    for off in [4, 5, HEADROOM] {
        let (b, lane) = tagged_at(off);
        assert!(b.live.has(lane));
        assert_eq!(usize::from(b.meta[lane].off), off - 4);
        assert_eq!(b.bytes(lane), phy(&frame()));
    }
    for off in [0, 3] {
        let (b, lane) = tagged_at(off);
        assert_eq!(b.fate[lane], Fate::Dropped(Stage::LvToPhys, DropReason::NoHeadroom));
    }
}

/// Rules: O4.
#[test]
fn a_trace_names_the_tag_and_the_way() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.one(V1.door, frame());
    let notes: Vec<_> = std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect();
    assert!(notes.contains(&Note::Tag(300)) && notes.contains(&Note::Sent(Out::Phys)), "{notes:?}");
}
