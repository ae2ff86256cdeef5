//! What can happen at the very end: port down, gone, full.

use crate::burst::Door::Tunnel;
use crate::tables::*;
use crate::testkit::*;

const BRIDGED: &str = "ingress decode vm_port local_switching egress";
/// A port no row of the fixture is about; the worker has a port attached there.
const NEW: PortIx = 6;

fn to_a3() -> Vec<u8> {
    eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"x"))
}

#[test]
fn a_full_port_is_tx_full_and_what_fits_is_sent() {
    let mut rig = Rig::with_room(Rows::h1(), Room { queue: 2, ..Room::default() });
    for frame in [to_a3(), to_a3()] {
        rig.inject(A1.door, &frame);
    }
    rig.worker.poll(A1.door, 64);
    rig.inject(A1.door, &to_a3());
    rig.worker.poll(A1.door, 64); // A3's queue of two is full
    let c = rig.worker.counters().clone();
    assert_eq!((c.sent.get(), c.dropped.get()), (2, 1));
    assert_eq!(c.port(A1.door).drops[crate::drop_reason::DropReason::TxFull.index()].get(), 1);
    assert_eq!(rig.drain(), [(A3.door, to_a3()), (A3.door, to_a3())]);
    assert_eq!(rig.one(A1.door, to_a3()).sent, [(A3.door, to_a3())], "room again");
}

#[test]
fn a_full_tunnel_is_tx_full() {
    let frame = eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1, 2, b"x"));
    let mut rig = Rig::with_room(Rows::h1(), Room { tunnel_queue: 1, ..Room::default() });
    let out = rig.step(A1.door, &[frame.clone(), frame.clone(), frame.clone()]);
    assert_eq!(out.sent, [(Tunnel, vx(H1, H2, 1001, &frame))]);
    out.assert_moved(
        "ingress*3 decode*3 vm_port*3 local_switching*3 vxlan_encap*3 egress*3",
        "received 3, port.0.rx 3, sent 1, tunnel.tx 1, dropped 2, drop.tx_full 2, port.0.drop.tx_full 2, \
         stage.egress.dropped 2",
    );
}

#[test]
fn a_port_nobody_attached_is_port_gone() {
    let mut rig = Rig::h1();
    rig.worker.detach(A3.door);
    let before = rig.worker.counters().snapshot();
    rig.inject(A1.door, &to_a3());
    rig.worker.poll(A1.door, 64);
    rig.assert_sound();
    let moved: Vec<_> = rig.worker.counters().snapshot().into_iter().filter(|c| !before.contains(c)).collect();
    assert!(moved.contains(&("port.0.drop.port_gone".to_owned(), 1)), "{moved:?}");
}

/// T06 names a port whose row the burst's snapshot lacks.
fn ahead_of_the_snapshot() -> Rows {
    let mut rows = Rows::h1();
    rows.static_fdb(A, A3.mac, Target::Port(NEW));
    rows
}

#[test]
fn a_row_no_snapshot_has_is_port_gone_after_asking_the_newest() {
    let frame = to_a3();
    let out = Rig::new(ahead_of_the_snapshot()).one(A1.door, frame);
    assert_eq!(out.sent, []);
    out.assert_moved(
        BRIDGED,
        "received 1, port.0.rx 1, snapshot_reload 1, dropped 1, drop.port_gone 1, port.0.drop.port_gone 1, \
         stage.egress.dropped 1",
    );
}

#[test]
fn a_row_only_the_newest_snapshot_has_is_used() {
    let rows = ahead_of_the_snapshot();
    let mut newest = rows.snap.clone();
    newest.ports.set(NEW, rows.snap.ports.get(1).cloned());
    let mut rig = Rig::behind(rows, newest);
    let new = crate::burst::Door::Port(NEW);
    rig.one(A1.door, to_a3()).assert_sent_and(A1.door, BRIDGED, &[(new, to_a3())], "snapshot_reload 1");
}

#[test]
fn a_row_of_the_newest_snapshot_that_is_down_is_port_down() {
    let rows = ahead_of_the_snapshot();
    let mut newest = rows.snap.clone();
    newest.ports.set(NEW, rows.snap.ports.get(1).map(|p| PortRow { active: false, ..p.clone() }));
    let out = Rig::behind(rows, newest).one(A1.door, to_a3());
    out.assert_moved(
        BRIDGED,
        "received 1, port.0.rx 1, snapshot_reload 1, dropped 1, drop.port_down 1, port.0.drop.port_down 1, \
         stage.egress.dropped 1",
    );
}

#[test]
fn a_tunnel_only_the_newest_snapshot_has_is_used() {
    let rows = Rows::h1();
    let newest = rows.snap.clone();
    let mut old = rows.clone();
    old.snap.tunnels.set(1, None);
    let frame = eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1, 2, b"x"));
    let path = "ingress decode vm_port local_switching vxlan_encap egress";
    let expect = [(Tunnel, vx(H1, H2, 1001, &frame))];
    Rig::behind(old.clone(), newest).one(A1.door, frame.clone()).assert_sent_and(
        A1.door,
        path,
        &expect,
        "snapshot_reload 1",
    );
    // And if no snapshot has it:
    Rig::new(old).one(A1.door, frame).assert_moved(
        "ingress decode vm_port local_switching vxlan_encap",
        "received 1, port.0.rx 1, snapshot_reload 1, dropped 1, drop.port_gone 1, port.0.drop.port_gone 1, \
         stage.vxlan_encap.dropped 1",
    );
}

#[test]
fn frames_that_end_differently_in_one_burst_keep_to_themselves() {
    let arp = eth(A1.mac, crate::addr::MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, RA.ip));
    let gone = eth(A1.mac, mac("fa:16:3e:0a:00:77"), ip4(A1.ip, A3.ip).udp(1, 2, b""));
    let short = vec![0; 13];
    let solicit = eth(A1.mac, mac("33:33:00:00:00:02"), rs(lla(A1.mac), A1.mac));
    let out = Rig::h1().step(A1.door, &[to_a3(), arp, gone, short, solicit, to_a3()]);
    out.assert_moved(
        "ingress*6 decode*6 vm_port*5 arp_responder*2 local_switching*3 egress*4 flood_to_tun",
        "received 6, port.0.rx 6, sent 3, port.1.tx 2, port.0.tx 1, generated 1, consumed 2, \
         stage.arp_responder.consumed 2, dropped 2, drop.unknown_unicast 1, port.0.drop.unknown_unicast 1, \
         stage.flood_to_tun.dropped 1, drop.parse_short 1, port.0.drop.parse_short 1, stage.decode.dropped 1",
    );
}

/// The row says whose a port is, not where one is attached: while it moves, its next owner sends to it. (There is no ring
/// to that worker here, so no room in it.)
///
/// Rules: W1.
#[test]
fn a_port_that_another_worker_owns_gets_nothing_from_this_one() {
    let mut rig = Rig::h1_with(|r| r.port(A3.door, |p| p.owner = crate::worker::WorkerId(1)));
    rig.one(A1.door, to_a3()).assert_dropped_by(A1.door, BRIDGED, "handoff", "handoff_full");
}
