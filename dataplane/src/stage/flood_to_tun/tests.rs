//! Copies: how many, in what order, and what happens when there is no room for them.

mod limits;

use crate::addr::MacAddr;
use crate::burst::Door::{self, Tunnel};
use crate::tables::*;
use crate::testkit::*;

const PATH: &str = "ingress decode vm_port local_switching egress flood_to_tun vxlan_encap*3";

fn broadcast() -> Vec<u8> {
    eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, u32::MAX).udp(1, 2, b"broadcast"))
}

/// Rules: L6.
#[test]
fn without_a_free_frame_a_copy_is_no_frame_and_the_last_receiver_gets_the_original() {
    for frames in 1..=4 {
        let mut rig = Rig::with_room(Rows::h1(), Room { frames, ..Room::default() });
        let out = rig.one(A1.door, broadcast());
        let copies = frames - 1; // the original holds one
        let last = vx(H1, H4, 1001, &broadcast());
        assert_eq!(out.sent.len(), copies + 1);
        assert_eq!(out.sent.last(), Some(&(Tunnel, last)));
        let to_a3 = copies.min(1);
        let lost = 3 - copies;
        let drops = if lost == 0 {
            String::new()
        } else {
            format!(
                "dropped {lost}, drop.no_frame {lost}, port.0.drop.no_frame {lost}, stage.flood_to_tun.dropped {lost}"
            )
        };
        let tx_a3 = if to_a3 == 1 { "port.1.tx 1, " } else { "" };
        out.assert_moved(
            &format!("ingress decode vm_port local_switching egress flood_to_tun vxlan_encap*{}", 1 + copies - to_a3),
            &format!(
                "received 1, port.0.rx 1, copied 3, sent {}, {tx_a3}tunnel.tx {}, {drops}",
                copies + 1,
                1 + copies - to_a3
            ),
        );
    }
}

#[test]
fn the_pool_recovers_after_a_flood_without_frames() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 2, ..Room::default() });
    rig.one(A1.door, broadcast());
    let frame = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b""));
    assert_eq!(rig.one(A1.door, frame.clone()).sent, [(A3.door, frame)]);
}

/// Rules: L6.
#[test]
fn a_full_port_costs_its_own_copy_only() {
    let mut rig = Rig::with_room(Rows::h1(), Room { tunnel_queue: 1, ..Room::default() });
    let out = rig.one(A1.door, broadcast());
    assert_eq!(out.sent, [(A3.door, broadcast()), (Tunnel, vx(H1, H2, 1001, &broadcast()))]);
    out.assert_moved(
        PATH,
        "received 1, port.0.rx 1, copied 3, sent 2, port.1.tx 1, tunnel.tx 1, \
         dropped 2, drop.tx_full 2, port.0.drop.tx_full 2, stage.egress.dropped 2",
    );
}

/// Rules: L6, O3.
#[test]
fn a_copy_that_cannot_be_encapsulated_costs_itself_only() {
    let mut rig = Rig::h1_with(|r| r.snap.host.underlay_mtu = broadcast().len() as u16 + 35);
    let out = rig.one(A1.door, broadcast());
    assert_eq!(out.sent, [(A3.door, broadcast())]);
    out.assert_moved(
        PATH,
        "received 1, port.0.rx 1, copied 3, sent 1, port.1.tx 1, \
         dropped 3, drop.mtu 3, port.0.drop.mtu 3, stage.vxlan_encap.dropped 3",
    );
}

/// Rules: L6, O3-wait.
#[test]
fn a_copy_for_a_host_without_a_way_waits_alone() {
    let mut rig = Rig::h1_with(|r| r.way(2, None));
    let out = rig.one(A1.door, broadcast());
    let to = |h| (Tunnel, vx(H1, h, 1001, &broadcast()));
    assert_eq!((&out.sent[..], out.held), (&[(A3.door, broadcast()), to(H2), to(H4)][..], 1));
    out.assert_moved(PATH, "received 1, port.0.rx 1, copied 3, sent 3, port.1.tx 1, tunnel.tx 2");
    rig.publish(&Rows::h1());
    assert_eq!(rig.wake().sent, [to(H3)]);
}

/// Rules: L6.
#[test]
fn more_receivers_than_a_burst_holds_are_served_in_order() {
    // 130 other hosts: copies fill a burst of 64 twice and begin a third.
    let mut rows = Rows::h1();
    let tunnels: Vec<TunnelIx> = (1..=130).collect();
    for ix in &tunnels {
        let vtep = ip("172.21.0.0") + u32::from(*ix);
        let end = TunnelEnd { vtep, mac: Some(H2.nic), dvr_mac: MacAddr::ZERO, df: true, phys: 0 };
        rows.snap.tunnels.set(*ix, Some(TunnelRow::new(1, &rows.snap.host, end)));
    }
    rows.seg(A, |s| s.flood_tunnels = tunnels.iter().copied().collect());
    let mut rig = Rig::with_room(rows, Room { frames: 256, queue: 256, tunnel_queue: 256 });
    let out = rig.one(A1.door, broadcast());
    let expect = tunnels.iter().map(|ix| {
        let to = Host { vtep: ip("172.21.0.0") + u32::from(*ix), ..H2 };
        (Tunnel, vx(H1, to, 1001, &broadcast()))
    });
    let expect: Vec<_> = [(A3.door, broadcast())].into_iter().chain(expect).collect();
    assert_eq!(out.sent, expect);
    out.assert_moved(
        "ingress decode vm_port local_switching egress flood_to_tun vxlan_encap*130",
        "received 1, port.0.rx 1, copied 130, sent 131, port.1.tx 1, tunnel.tx 130",
    );
}

/// Rules: L6.
#[test]
fn copies_stand_where_their_original_stood() {
    let unicast = |n| eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(n, 2, b""));
    let sent = Rig::h1().step(A1.door, &[unicast(1), broadcast(), unicast(2)]).sent;
    let at_a3: Vec<_> = sent.into_iter().filter(|(d, _)| *d == A3.door).map(|(_, f)| f).collect();
    assert_eq!(at_a3, [unicast(1), broadcast(), unicast(2)]);
}

/// Rules: L6.
#[test]
fn a_burst_of_floods_is_all_served() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 512, queue: 256, tunnel_queue: 256 });
    let out = rig.step(A1.door, &vec![broadcast(); 64]);
    out.assert_moved(
        "ingress*64 decode*64 vm_port*64 local_switching*64 egress*64 flood_to_tun*64 vxlan_encap*192",
        "received 64, port.0.rx 64, copied 192, sent 256, port.1.tx 64, tunnel.tx 192",
    );
    assert!(out.sent.iter().filter(|(d, _)| matches!(d, Door::Port(_))).all(|(_, f)| *f == broadcast()));
}
