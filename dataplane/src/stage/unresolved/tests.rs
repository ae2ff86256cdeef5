//! O3-wait: what waits for another host, for how many and how long, and how it ends.

use crate::addr::MacAddr;
use crate::burst::Door::Tunnel;
use crate::learn::{LearnEvent, Report, UnresolvedEvent};
use crate::parking::{LONGEST_UNRESOLVED, MAX_UNRESOLVED, PER_TUNNEL};
use crate::tables::*;
use crate::testkit::rig::Outcome;
use crate::testkit::*;
use crate::trace::Note;

const HERE: &str = "ingress decode vm_port local_switching vxlan_encap egress";
const SECOND: u64 = 1_000_000_000;
/// The tunnel to H2, where A2 is.
const TO_H2: TunnelIx = 1;

fn frame(vm: Vm, n: u16) -> Vec<u8> {
    eth(A1.mac, vm.mac, ip4(A1.ip, vm.ip).udp(n, 2, b"waits"))
}

fn at_h2(n: u16) -> (crate::burst::Door, Vec<u8>) {
    (Tunnel, vx(H1, H2, 1001, &frame(A2, n)))
}

fn lost() -> Rows {
    let mut rows = Rows::h1();
    rows.way(TO_H2, None);
    rows
}

/// H1 where `n` frames wait for H2.
fn waiting(n: u16) -> Rig {
    let mut rig = Rig::new(lost());
    (0..n).for_each(|n| drop(rig.one(A1.door, frame(A2, n))));
    assert_eq!(rig.worker.unresolved().0, usize::from(n));
    rig
}

/// What comes of one that waits when the rows are others.
fn then(change: impl FnOnce(&mut Rows)) -> Outcome {
    let mut rig = waiting(1);
    let mut rows = Rows::h1();
    change(&mut rows);
    rig.publish(&rows);
    rig.wake()
}

#[track_caller]
fn assert_ended(out: &Outcome, n: u64, reason: &str) {
    assert_eq!((out.sent.len(), out.held), (0, 0));
    let counts = format!("dropped {n}, drop.{reason} {n}, port.0.drop.{reason} {n}, stage.vxlan_encap.dropped {n}");
    out.assert_moved("", &counts);
}

/// Rules: O3-wait.
#[test]
fn the_first_for_a_host_is_held_and_the_writer_told_and_the_next_is_held() {
    let mut rig = Rig::new(lost());
    rig.now = 77 * SECOND;
    let out = rig.one(A1.door, frame(A2, 1));
    assert_eq!(out.reports, [Report::Unresolved(UnresolvedEvent { tunnel: TO_H2, generation: 1, seen: 77 * SECOND })]);
    out.assert_moved(HERE, "received 1, port.0.rx 1");
    assert_eq!((out.sent.len(), out.held, rig.worker.unresolved()), (0, 1, (1, Some(78 * SECOND))));
    rig.now += SECOND / 2;
    let out = rig.one(A1.door, frame(A2, 2));
    assert_eq!((out.reports.len(), out.held, rig.worker.unresolved().1), (0, 2, Some(78 * SECOND)));
}

/// Rules: O3-wait.
#[test]
fn when_the_mac_is_known_they_go_in_their_order() {
    let mut rig = waiting(3);
    assert_eq!((rig.worker.first_resolved(), rig.wake().moved.len()), (None, 0), "news of others");
    rig.publish(&Rows::h1());
    assert_eq!(rig.worker.first_resolved(), Some(rig.now));
    let out = rig.wake();
    assert_eq!((&out.sent[..], out.held), (&[0, 1, 2].map(at_h2)[..], 0));
    out.assert_moved("egress*3", "sent 3, tunnel.tx 3");
    assert_eq!(rig.worker.unresolved(), (0, None));
}

/// One at a time: who drives several workers sees to the order among them.
///
/// Rules: O3-wait.
#[test]
fn the_first_can_be_sent_alone() {
    let mut rig = waiting(3);
    rig.publish(&Rows::h1());
    rig.worker.first_resolved();
    rig.worker.send_first_resolved();
    assert_eq!((rig.drain(), rig.worker.unresolved().0), (vec![at_h2(0)], 2));
    assert_eq!(rig.wake().sent, [1, 2].map(at_h2));
}

/// Without news, by the rows alone.
///
/// Rules: O3-wait.
#[test]
fn nobody_overtakes_them() {
    let mut rig = waiting(2);
    rig.publish(&Rows::h1());
    let out = rig.step(A1.door, &[frame(A4, 8), frame(A2, 9)]);
    assert_eq!(out.sent, [at_h2(0), at_h2(1), (Tunnel, vx(H1, H4, 1001, &frame(A4, 8))), at_h2(9)]);
    assert_eq!(out.held, 0);
}

/// Rules: O3-wait, L1.
#[test]
fn a_burst_in_which_some_wait_leaves_in_its_order() {
    let mut rig = Rig::new(lost());
    let out = rig.step(A1.door, &[frame(A2, 0), frame(A4, 1), frame(A2, 2), frame(A3, 3), frame(A4, 4)]);
    let at_h4 = |n| (Tunnel, vx(H1, H4, 1001, &frame(A4, n)));
    assert_eq!(out.sent, [(A3.door, frame(A3, 3)), at_h4(1), at_h4(4)]);
    assert_eq!((out.held, out.reports.len()), (2, 1));
    out.assert_moved(
        "ingress*5 decode*5 vm_port*5 local_switching*5 vxlan_encap*4 egress*5",
        "received 5, port.0.rx 5, sent 3, port.1.tx 1, tunnel.tx 2",
    );
    rig.publish(&Rows::h1());
    assert_eq!(rig.wake().sent, [0, 2].map(at_h2));
}

/// Rules: O3-wait.
#[test]
fn after_a_second_it_is_underlay_unresolved() {
    assert_eq!(LONGEST_UNRESOLVED, SECOND);
    let mut rig = waiting(2);
    let first = rig.now;
    rig.now += SECOND / 4;
    rig.one(A1.door, frame(A2, 2));
    assert_eq!(rig.expire(first + SECOND - 1).moved.len(), 0);
    let out = rig.expire(first + SECOND);
    assert_eq!((out.held, out.moved["drop.underlay_unresolved"]), (1, 2), "each has its own second");
    assert_eq!(rig.worker.unresolved(), (1, Some(rig.now + SECOND)));
    assert_ended(&rig.expire(rig.now + SECOND), 1, "underlay_unresolved");
    // The next one is the first again.
    assert_eq!(rig.one(A1.door, frame(A2, 3)).reports.len(), 1);
}

/// Rules: O3-wait.
#[test]
fn sixteen_wait_for_a_host_and_the_next_takes_the_place_of_the_first() {
    assert_eq!(PER_TUNNEL, 16);
    let mut rig = waiting(16);
    let out = rig.one(A1.door, frame(A2, 16));
    out.assert_dropped_by(A1.door, HERE, "vxlan_encap", "underlay_unresolved");
    assert_eq!((out.held, out.reports.len()), (16, 0));
    rig.publish(&Rows::h1());
    assert_eq!(rig.wake().sent, (1..17).map(at_h2).collect::<Vec<_>>());
}

/// Rules: O3-wait.
#[test]
fn in_all_256_wait_and_the_next_takes_the_place_of_the_first() {
    assert_eq!(MAX_UNRESOLVED, 256);
    let mut rows = Rows::h1();
    let machine = |host: u16| Vm { mac: mac(&format!("02:77:00:00:00:{host:02x}")), ..A2 };
    for host in 0..17 {
        let vtep = ip("172.21.0.0") + u32::from(host);
        let end = TunnelEnd { vtep, mac: None, dvr_mac: MacAddr::ZERO, df: true, phys: 0 };
        rows.snap.tunnels.set(100 + host, Some(TunnelRow::new(1, &rows.snap.host, end)));
        rows.static_fdb(A, machine(host).mac, Target::Tunnel(100 + host));
    }
    let mut rig = Rig::with_room(rows.clone(), Room { frames: 512, ..Room::default() });
    for host in 0..16 {
        rig.step(A1.door, &(0..16).map(|n| frame(machine(host), n)).collect::<Vec<_>>());
    }
    assert_eq!(rig.worker.unresolved().0, 256);
    let out = rig.one(A1.door, frame(machine(16), 0));
    out.assert_dropped_by(A1.door, HERE, "vxlan_encap", "underlay_unresolved");
    assert_eq!((out.held, out.reports.len()), (256, 1));
    for host in [0, 16] {
        rows.way(100 + host, Some(H2.nic));
    }
    rig.publish(&rows);
    let ports: Vec<_> = rig.wake().sent.iter().map(|(_, f)| f[INNER + 35]).collect();
    assert_eq!(ports, (1..16).chain([0]).collect::<Vec<u8>>(), "of the first host the first is missing");
}

/// Rules: O3-wait, O3.
#[test]
fn it_goes_the_way_that_there_is_then() {
    let gateway = MacAddr::new([2, 0, 0, 0, 0, 0xfe]);
    let out = then(|r| {
        r.snap.host.vtep_mac = MacAddr::new([2, 0, 0, 0, 0, 1]);
        r.way(TO_H2, Some(gateway));
    });
    let mut expect = vx(H1, Host { nic: gateway, ..H2 }, 1001, &frame(A2, 0));
    expect[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    assert_eq!(out.sent, [(Tunnel, expect)]);
    let len = frame(A2, 0).len() as u16 + 36;
    assert_eq!(then(|r| r.snap.host.underlay_mtu = len).sent.len(), 1);
    assert_ended(&then(|r| r.snap.host.underlay_mtu = len - 1), 1, "mtu");
}

/// Rules: O3-wait, L6.
#[test]
fn if_its_host_its_network_or_its_port_went_away_it_ends_there() {
    let other_host = |r: &mut Rows| {
        let row = r.snap.tunnels.get(TO_H2).map(|t| TunnelRow { generation: 2, ..t.clone() });
        r.snap.tunnels.set(TO_H2, row); // the index is another host's now
    };
    let gone: [fn(&mut Rows); 6] = [
        |r| r.snap.tunnels.set(TO_H2, None),
        |r| r.snap.segments.set(A, None),
        |r| r.seg(A, |s| s.generation = 2),
        |r| r.snap.ports.set(0, None),
        |r| r.port(A1.door, |p| p.generation = 2),
        |r| r.port(A1.door, |p| p.active = false),
    ];
    assert_ended(&then(other_host), 1, "port_gone");
    for change in gone {
        assert_ended(&then(change), 1, "port_gone");
        // At once, though the MAC of the way is still not known.
        assert_ended(
            &then(|r| {
                r.way(TO_H2, None);
                change(r);
            }),
            1,
            "port_gone",
        );
    }
}

/// Rules: O3-wait.
#[test]
fn a_tunnel_that_only_the_newest_snapshot_has_may_have_no_mac_yet() {
    let mut rows = Rows::h1();
    rows.snap.tunnels.set(TO_H2, None);
    let mut rig = Rig::behind(rows, lost().snap);
    rig.inject(A1.door, &frame(A2, 1));
    assert_eq!(rig.worker.poll(A1.door, 64), 1);
    assert_eq!((rig.worker.unresolved().0, rig.worker.learn_queue().len()), (1, 1));
    // The next burst sees what was the newest.
    rig.publish(&lost());
    assert_eq!(rig.wake().held, 1);
    rig.publish(&Rows::h1());
    assert_eq!(rig.wake().sent, [at_h2(1)]);
}

/// Rules: O3-wait.
#[test]
fn what_cannot_be_reported_waits_all_the_same() {
    let mut rig = Rig::new(lost());
    let mac = MacAddr::new([2, 0, 0, 0, 0, 1]);
    let filler = LearnEvent { seg: A, seg_generation: 1, mac, target: Target::Phys, target_generation: 0, seen: 0 };
    while rig.worker.learn_queue().push(Report::Learn(filler)).is_ok() {}
    let out = rig.one(A1.door, frame(A2, 1));
    out.assert_moved(HERE, "received 1, port.0.rx 1, learn_queue_full 1");
    assert_eq!(out.held, 1);
}

/// Rules: O3-wait.
#[test]
fn where_the_tunnel_has_no_room_they_are_tx_full() {
    let mut rig = Rig::with_room(lost(), Room { tunnel_queue: 2, ..Room::default() });
    rig.step(A1.door, &(0..4).map(|n| frame(A2, n)).collect::<Vec<_>>());
    rig.publish(&Rows::h1());
    let out = rig.wake();
    assert_eq!((&out.sent[..], out.held), (&[0, 1].map(at_h2)[..], 0));
    let drops = "dropped 2, drop.tx_full 2, port.0.drop.tx_full 2, stage.egress.dropped 2";
    out.assert_moved("egress*4", &format!("sent 2, tunnel.tx 2, {drops}"));
}

/// Rules: O3-wait.
#[test]
fn a_worker_that_stops_gives_up_what_waits() {
    let mut rig = waiting(2);
    let idle = crate::worker::Idle::Adaptive { spin: std::time::Duration::ZERO, sleep: std::time::Duration::ZERO };
    rig.worker.work(idle, &std::sync::atomic::AtomicBool::new(true));
    let c = rig.worker.counters();
    assert_eq!((c.reason(crate::drop_reason::DropReason::PortGone).get(), c.held.get()), (2, 0));
    rig.assert_sound();
}

/// Rules: O3-wait.
#[test]
fn a_traced_one_is_traced_before_and_after() {
    let mut rig = Rig::new(lost());
    rig.worker.trace = true;
    rig.one(A1.door, frame(A2, 1));
    let notes = |rig: &Rig| rig.notes().into_iter().map(|r| r.note).collect::<Vec<_>>();
    let before = notes(&rig);
    assert_eq!(before.last(), Some(&Note::WaitsForTunnel(TO_H2)), "{before:?}");
    rig.worker.trace = false;
    rig.one(A1.door, frame(A2, 2));
    rig.publish(&Rows::h1());
    rig.wake();
    let after = notes(&rig);
    assert_eq!(after.iter().filter(|n| matches!(n, Note::Sent(_))).count(), 1, "the other one was not: {after:?}");
}

/// The first one's end is told, not that of the one whose coming ended it.
///
/// Rules: O3-wait.
#[test]
fn who_ends_for_a_younger_one_is_traced_as_itself() {
    let mut rig = Rig::new(lost());
    rig.worker.trace = true;
    rig.one(A1.door, frame(A2, 0));
    rig.worker.trace = false;
    (1..16).for_each(|n| drop(rig.one(A1.door, frame(A2, n))));
    rig.notes();
    rig.one(A1.door, frame(A2, 16));
    let dropped = Note::Dropped(crate::drop_reason::DropReason::UnderlayUnresolved);
    assert_eq!(rig.notes().into_iter().map(|r| r.note).collect::<Vec<_>>(), [dropped]);
}
