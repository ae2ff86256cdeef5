//! One NIC for several: what comes in is told apart, and what leaves for each of them leaves by it.

use crate::burst::Door::{self, Phys, Tunnel};
use crate::tables::Target;
use crate::testkit::*;

/// H1 with both physical networks on one NIC.
fn two() -> Rig {
    let mut rig = Rig::h1();
    rig.share(&[Phys(1)], Phys(0));
    rig
}

/// The underlay too.
fn three() -> Rig {
    let mut rig = Rig::h1();
    rig.share(&[Phys(0), Phys(1)], Tunnel);
    rig
}

#[track_caller]
fn sent(rig: &mut Rig, by: Door, frame: Vec<u8>, expected: &[(Door, Vec<u8>)], moved: &str) {
    let outcome = rig.one(by, frame);
    assert_eq!(outcome.sent, expected);
    for (name, n) in moved.split(", ").map(|word| word.split_once(' ').unwrap()) {
        assert_eq!(outcome.moved.get(name).map(u64::to_string).as_deref(), Some(n), "{name} of {:?}", outcome.moved);
    }
}

/// P speaks to V1 on VLAN 300 of the first network.
fn to_v1() -> Vec<u8> {
    eth(P.0, V1.mac, ip4(P.1, V1.ip).udp(1, 2, b"from outside"))
}

/// The gateway of X, VLAN 100 of the second, asks for a floating IP.
fn asks() -> Vec<u8> {
    ext(&eth(GX.0, crate::addr::MacAddr::BROADCAST, arp_request(GX.0, GX.1, FIP_A1)))
}

fn answer() -> Vec<u8> {
    ext(&eth(fg(H1).0, GX.0, arp_reply(fg(H1).0, FIP_A1, GX.0, GX.1)))
}

/// A2 speaks to A1 by VXLAN.
fn to_a1() -> Vec<u8> {
    eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).udp(1000, 2000, b"hello"))
}

/// Rules: N2, V0, E0.
#[test]
fn the_vlan_says_which_physical_network_it_is() {
    let mut rig = two();
    sent(&mut rig, Phys(0), phy(&to_v1()), &[(V1.door, to_v1())], "phys.0.rx 1, port.4.tx 1");
    sent(&mut rig, Phys(0), asks(), &[(Phys(0), answer())], "phys.1.rx 1, phys.1.tx 1");
    // In one burst, and back again.
    let outcome = rig.step(Phys(0), &[phy(&to_v1()), asks(), phy(&to_v1())]);
    assert_eq!(outcome.sent.len(), 3);
    assert_eq!((outcome.moved["phys.0.rx"], outcome.moved["phys.1.rx"]), (2, 1));
}

/// Rules: N2, V0.
#[test]
fn a_vlan_of_neither_is_a_frame_of_the_first() {
    for frame in [tagged(&to_v1(), &[301]), to_v1()] {
        two().one(Phys(0), frame).assert_dropped(Phys(0), "ingress decode phys_to_lv", "vlan_unexpected");
    }
}

/// Rules: N2, D8. A host that is not on the second network has nothing to say there, though it is one wire.
#[test]
fn the_networks_stay_two() {
    let mut rig = Rig::h1_with(|r| {
        let h2 = r.snap.vteps.get(H2.vtep).unwrap();
        let mut row = r.snap.tunnels.get(h2).cloned().unwrap();
        row.phys = 0b01;
        r.snap.tunnels.set(h2, Some(row));
    });
    rig.share(&[Phys(1)], Phys(0));
    let frame = |to| eth(H2.dvr, to, ip4(A2.ip, V1.ip).ttl(63).tcp(1, 2));
    let outcome = rig.one(Phys(0), phy(&frame(V1.mac)));
    assert_eq!(outcome.sent.first().map(|(door, _)| *door), Some(V1.door));
    let outcome = rig.one(Phys(0), ext(&frame(fg(H1).0)));
    assert_eq!((outcome.sent.len(), outcome.moved.get("drop.dvr_wrong_vtep")), (0, Some(&1)), "{:?}", outcome.moved);
}

/// Rules: N2, T0, O3, O4.
#[test]
fn vxlan_is_the_underlay_s_and_the_rest_is_not() {
    let mut rig = three();
    sent(&mut rig, Tunnel, vx(H2, H1, 1001, &to_a1()), &[(A1.door, to_a1())], "tunnel.rx 1, port.0.tx 1");
    sent(&mut rig, Tunnel, phy(&to_v1()), &[(V1.door, to_v1())], "phys.0.rx 1, port.4.tx 1");
    sent(&mut rig, Tunnel, asks(), &[(Tunnel, answer())], "phys.1.rx 1, phys.1.tx 1");
    rig.learn(V, P.0, Target::Phys);
    let back = eth(V1.mac, P.0, ip4(V1.ip, P.1).udp(2, 1, b"back"));
    let outcome = rig.one(V1.door, back.clone());
    assert_eq!(outcome.sent, [(Tunnel, phy(&back))], "out by the one NIC, with the network's tag");
    let outcome = rig.one(A1.door, eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1, 2, b"x")));
    assert_eq!((outcome.sent.len(), outcome.moved["tunnel.tx"]), (1, 1));
}

/// What the XDP filter leaves to physical networks is theirs here too. Rules: N2, V0.
#[test]
fn what_is_one_thing_away_from_vxlan_is_no_vxlan() {
    let whole = vx(H2, H1, 1001, &to_a1());
    let tag = |mut f: Vec<u8>| {
        f.splice(12..12, [0x81, 0x00, 0, 7]);
        f
    };
    let other = [
        with(&whole, 12, &[0x86, 0xdd]), // another type
        with(&whole, 14, &[0x65]),       // another version
        with(&whole, 14, &[0x44]),       // a header that is none
        with(&whole, 20, &[0x20]),       // more fragments
        with(&whole, 21, &[1]),          // an offset
        with(&whole, 23, &[6]),          // TCP
        with(&whole, 33, &[99]),         // another address
        with(&whole, 36, &[0x12, 0xb6]), // another port
        whole[..41].to_vec(),            // no whole UDP header
        tag(whole.clone()),
    ];
    for frame in other {
        let outcome = three().one(Tunnel, frame.clone());
        let came = ["tunnel.rx", "phys.0.rx"].map(|name| outcome.moved.get(name).copied().unwrap_or(0));
        assert_eq!(came, [0, 1], "{frame:02x?}: {:?}", outcome.moved);
    }
    // DF and options are fine.
    let outcome = three().one(Tunnel, with_right_sum(&with(&whole, 20, &[0x40]), OUTER_IP));
    assert_eq!((outcome.moved["tunnel.rx"], outcome.sent.len()), (1, 1));
}

/// Rules: N2. A NIC that is gone takes the frames of all that shared it along, by name.
#[test]
fn without_the_nic_nothing_leaves() {
    let mut rig = two();
    assert!(rig.worker.detach(Phys(0)));
    rig.learn(V, P.0, Target::Phys);
    let outcome = rig.one(V1.door, eth(V1.mac, P.0, ip4(V1.ip, P.1).udp(2, 1, b"back")));
    assert_eq!((outcome.sent.len(), outcome.moved.get("drop.port_gone")), (0, Some(&1)), "{:?}", outcome.moved);
}
