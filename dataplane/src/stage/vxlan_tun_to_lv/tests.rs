//! T2 and T1's membership.

use crate::burst::Door::Tunnel;
use crate::tables::BitSet;
use crate::testkit::*;

const DELIVERED: &str =
    "ingress vxlan_decap vxlan_tun_to_lv decode learning_blocker learn_from_tun local_switching egress";
const HERE: &str = "ingress vxlan_decap vxlan_tun_to_lv";

fn inner() -> Vec<u8> {
    eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).udp(1000, 2000, b"hello"))
}

/// Rules: T2.
#[test]
fn a_vni_of_no_network_here_is_unknown_vni() {
    for vni in [4242, 0, 1001 << 8, 0xff_ffff] {
        Rig::h1().one(Tunnel, vx(H2, H1, vni, &inner())).assert_dropped(Tunnel, HERE, "unknown_vni"); // VX-03
    }
}

/// Rules: T1.
#[test]
fn a_host_that_has_no_part_in_the_network_is_vtep_not_member() {
    let frame = eth(A2.mac, Z1.mac, ip4(A2.ip, Z1.ip).udp(1, 2, b""));
    Rig::h1().one(Tunnel, vx(H2, H1, 2001, &frame)).assert_dropped(Tunnel, HERE, "vtep_not_member"); // VX-06
}

/// Rules: T1.
#[test]
fn membership_ends_with_the_flood_list_entry() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.members = [2, 3].into_iter().collect()));
    rig.one(Tunnel, vx(H2, H1, 1001, &inner())).assert_dropped(Tunnel, HERE, "vtep_not_member");
}

/// Rules: T1.
#[test]
fn without_strict_any_known_host_may_speak() {
    let mut rig = Rig::h1_with(|r| {
        r.seg(A, |s| {
            s.strict = false;
            s.members = BitSet::default();
        });
    });
    rig.one(Tunnel, vx(H2, H1, 1001, &inner())).assert_sent(Tunnel, DELIVERED, &[(A1.door, inner())]);
}

/// Rules: T2, D1.
#[test]
fn the_same_addresses_in_another_network_are_another_machine() {
    let mut rig = Rig::h1_with(|r| r.seg(Z, |s| s.members = [1].into_iter().collect()));
    rig.one(Tunnel, vx(H2, H1, 2001, &inner())).assert_sent(Tunnel, DELIVERED, &[(Z1.door, inner())]);
}

/// Rules: T2.
#[test]
fn a_tag_on_the_inner_frame_is_vlan_unexpected() {
    for tags in [&[0][..], &[1], &[5, 6]] {
        let frame = vx(H2, H1, 1001, &tagged(&inner(), tags));
        let path = "ingress vxlan_decap vxlan_tun_to_lv decode";
        Rig::h1().one(Tunnel, frame).assert_dropped_by(Tunnel, path, "vxlan_tun_to_lv", "vlan_unexpected");
    }
}

#[test]
fn on_a_vlan_transparent_network_the_inner_tag_stays() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.vlan_transparent = true));
    let frame = tagged(&inner(), &[5]);
    rig.one(Tunnel, vx(H2, H1, 1001, &frame)).assert_sent(Tunnel, DELIVERED, &[(A1.door, frame)]);
}

/// What a lane held before is no part of the next frame's story.
#[test]
fn a_trace_names_the_network_of_what_came_by_a_tunnel_and_of_nothing_else() {
    use crate::trace::Note;
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.step(Tunnel, &[vx(H2, H1, 1001, &inner()), vx(H2, H1, 4242, &inner())]);
    rig.one(A1.door, eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"")));
    let told: Vec<_> = rig.notes().into_iter().filter(|r| matches!(r.note, Note::Vni(..))).map(|r| r.note).collect();
    assert_eq!(told, [Note::Vni(1001, A)]);
}
