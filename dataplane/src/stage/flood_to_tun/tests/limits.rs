//! L6-storm: how often a port may flood, how many copies a turn, how many floods wait.
//!
//! Rules: L6-storm.

use super::*;
use crate::counters::WorkerCounters;
use crate::drop_reason::DropReason;
use crate::flood::FloodLimits;
use crate::police::Rate;

const MS: u64 = 1_000_000;

/// Network A with `n` other hosts; with A3 that is n + 1 receivers of A1's broadcasts.
fn hosts(rows: &mut Rows, n: u16) {
    for ix in 1..=n {
        let end = TunnelEnd { vtep: vtep(ix), mac: Some(H2.nic), dvr_mac: MacAddr::ZERO, df: true, phys: 0 };
        rows.snap.tunnels.set(ix, Some(TunnelRow::new(1, &rows.snap.host, end)));
    }
    rows.seg(A, |s| s.flood_tunnels = (1..=n).collect());
}

fn vtep(ix: TunnelIx) -> u32 {
    ip("172.21.0.0") + u32::from(ix)
}

fn with_hosts(n: u16) -> Rig {
    let mut rows = Rows::h1();
    hosts(&mut rows, n);
    Rig::with_room(rows, Room { frames: 2048, queue: 512, tunnel_queue: 2048 })
}

/// Broadcast number `n` of A1; the number is its source port.
fn numbered(n: u16) -> Vec<u8> {
    eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, u32::MAX).udp(n, 2, b""))
}

/// VTEP and number of each copy that left by the tunnel, in order.
fn to_hosts(sent: &[(Door, Vec<u8>)]) -> Vec<(u16, u16)> {
    let copy = |frame: &Vec<u8>| {
        let host = u16::from_be_bytes([frame[OUTER_IP + 18], frame[OUTER_IP + 19]]);
        (host, u16::from_be_bytes([frame[INNER + 34], frame[INNER + 35]]))
    };
    sent.iter().filter(|(door, _)| *door == Tunnel).map(|(_, frame)| copy(frame)).collect()
}

/// One turn for `door`; the number of frames sent.
fn turn(rig: &mut Rig, door: Door) -> Vec<(Door, Vec<u8>)> {
    rig.worker.poll(door, 64);
    rig.assert_books();
    rig.drain()
}

fn drops(rig: &Rig, door: Door, reason: DropReason) -> u64 {
    rig.worker.counters().port(door).drops[reason.index()].get()
}

fn copied(c: &WorkerCounters) -> (u64, u64, u64) {
    (c.copied.get(), c.sent.get(), c.held.get())
}

/// `n` of `frame`, in bursts; how many were flooded.
fn flooded(rig: &mut Rig, door: Door, frame: &[u8], n: usize) -> usize {
    let before = drops(rig, door, DropReason::Storm);
    for part in vec![frame.to_vec(); n].chunks(32) {
        rig.step(door, part);
    }
    n - (drops(rig, door, DropReason::Storm) - before) as usize
}

fn roomy(rows: Rows) -> Rig {
    Rig::with_room(rows, Room { frames: 512, queue: 256, tunnel_queue: 512 })
}

#[test]
fn the_defaults_are_the_stated_limits() {
    let storm = Rate { per_second: 1000, burst: 2000 };
    assert_eq!(FloodLimits::default(), FloodLimits { storm, copies: 256, turn_copies: 1024, queued: 64 });
}

#[test]
fn a_port_floods_2000_frames_at_once_and_then_1000_a_second() {
    let mut rig = roomy(Rows::h1());
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 2000), 2000);
    rig.one(A1.door, broadcast()).assert_moved(
        "ingress decode vm_port local_switching egress flood_to_tun",
        "received 1, port.0.rx 1, dropped 1, drop.storm 1, port.0.drop.storm 1, stage.flood_to_tun.dropped 1",
    );
    rig.now += MS - 1;
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 2), 0, "1 ns before a token comes back");
    rig.now += 1;
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 3), 1);
    rig.now += 1000 * MS;
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 1100), 1000);
}

#[test]
fn a_storm_of_one_port_costs_no_other_frame() {
    let mut rig = roomy(Rows::h1());
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 2100), 2000);
    let unicast = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b""));
    assert_eq!(rig.one(A1.door, unicast.clone()).sent, [(A3.door, unicast)], "its unicast");
    let other = eth(A3.mac, MacAddr::BROADCAST, ip4(A3.ip, u32::MAX).udp(1, 2, b""));
    assert_eq!(flooded(&mut rig, A3.door, &other, 2100), 2000, "another port has a bucket of its own");
}

#[test]
fn what_comes_by_tunnel_was_policed_where_it_was_sent() {
    let mut rig = roomy(Rows::h1());
    let frame = vx(H2, H1, 1001, &eth(A2.mac, MacAddr::BROADCAST, ip4(A2.ip, u32::MAX).udp(1, 2, b"")));
    assert_eq!(flooded(&mut rig, Tunnel, &frame, 2100), 2100);
}

#[test]
fn flooded_unknown_unicast_is_policed_and_what_nobody_gets_is_not() {
    let mut rows = Rows::h1();
    rows.unsecure(A3);
    let mut rig = roomy(rows);
    let unknown = eth(A1.mac, mac("fa:16:3e:0a:00:77"), ip4(A1.ip, A3.ip).udp(1, 2, b""));
    assert_eq!(flooded(&mut rig, A1.door, &unknown, 1500), 1500);
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 600), 500, "both out of one bucket");
    let nobody = eth(B1.mac, mac("fa:16:3e:0b:00:77"), ip4(B1.ip, A3.ip).udp(1, 2, b""));
    assert_eq!(flooded(&mut rig, B1.door, &nobody, 2100), 2100);
    assert_eq!(drops(&rig, B1.door, DropReason::UnknownUnicast), 2100, "its own name, and no tokens");
}

#[test]
fn the_next_owner_of_a_port_index_has_a_full_bucket() {
    let mut rows = Rows::h1();
    let mut rig = roomy(rows.clone());
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 2100), 2000);
    rows.port(A1.door, |p| p.generation += 1);
    rig.publish(&rows);
    assert_eq!(flooded(&mut rig, A1.door, &broadcast(), 10), 10);
}

#[test]
fn a_flood_makes_256_copies_a_turn_and_goes_on_in_order() {
    let mut rig = with_hosts(600);
    rig.inject(A1.door, &broadcast());
    let first = turn(&mut rig, A1.door);
    assert_eq!((first.len(), copied(rig.worker.counters()), rig.worker.held()), (256, (256, 256, 1), 1));
    assert_eq!(first[0], (A3.door, broadcast()));
    let second = turn(&mut rig, A3.door);
    assert_eq!((second.len(), copied(rig.worker.counters())), (256, (512, 512, 1)), "a turn of any port");
    rig.worker.idle();
    let third = rig.drain();
    assert_eq!((third.len(), copied(rig.worker.counters()), rig.worker.held()), (89, (600, 601, 0), 0));
    let all: Vec<_> = [first, second, third].concat();
    assert_eq!(to_hosts(&all).iter().map(|(host, _)| *host).collect::<Vec<_>>(), (1..=600).collect::<Vec<_>>());
    assert!(all.iter().skip(1).all(|(_, f)| f[INNER..] == broadcast()), "each copy is the frame");
    rig.assert_sound();
}

#[test]
fn exactly_256_copies_need_no_second_turn() {
    let mut rig = with_hosts(255);
    rig.inject(A1.door, &broadcast());
    assert_eq!((turn(&mut rig, A1.door).len(), rig.worker.held()), (256, 0));
    let mut rig = with_hosts(256);
    rig.inject(A1.door, &broadcast());
    assert_eq!((turn(&mut rig, A1.door).len(), rig.worker.held()), (256, 1));
}

#[test]
fn the_copies_of_a_turn_are_those_of_all_floods_of_the_port() {
    // 100 hosts and A3: two floods fit, the third is cut, the fourth waits whole.
    let mut rig = with_hosts(100);
    (1..=4).for_each(|n| rig.inject(A1.door, &numbered(n)));
    let first = turn(&mut rig, A1.door);
    assert_eq!((first.len(), rig.worker.held()), (256, 2));
    let second = turn(&mut rig, A1.door);
    assert_eq!((second.len(), rig.worker.held()), (4 * 101 - 256, 0));
    let expect: Vec<_> = (1..=4).flat_map(|n| (1..=100).map(move |host| (host, n))).collect();
    assert_eq!(to_hosts(&[first, second].concat()), expect);
    rig.assert_sound();
}

#[test]
fn later_floods_of_the_port_queue_behind_and_its_unicast_does_not() {
    let mut rig = with_hosts(300);
    rig.inject(A1.door, &numbered(1));
    assert_eq!(turn(&mut rig, A1.door).len(), 256);
    let unicast = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(9, 9, b""));
    rig.inject(A1.door, &numbered(2));
    rig.inject(A1.door, &unicast);
    let second = turn(&mut rig, A1.door);
    assert_eq!(second.len(), 256 + 1, "the rest of 1, the begin of 2, and the unicast beside them");
    assert!(second.contains(&(A3.door, unicast)));
    let numbers: Vec<u16> = to_hosts(&second).iter().map(|(_, n)| *n).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    rig.step(A1.door, &[]);
    assert_eq!(rig.worker.counters().sent.get(), 2 * 301 + 1);
}

#[test]
fn each_port_has_its_own_share_of_a_turn() {
    let mut rig = with_hosts(600);
    rig.inject(A1.door, &broadcast());
    turn(&mut rig, A1.door);
    let other = eth(A3.mac, MacAddr::BROADCAST, ip4(A3.ip, u32::MAX).udp(1, 2, b""));
    rig.inject(A3.door, &other);
    assert_eq!(turn(&mut rig, A3.door).len(), 512, "A1's flood goes on, A3's begins");
    let small = eth(B1.mac, MacAddr::BROADCAST, ip4(B1.ip, u32::MAX).udp(1, 2, b""));
    rig.inject(B1.door, &small);
    assert!(turn(&mut rig, B1.door).len() > 2 * 89, "B1's few copies wait for nobody");
}

#[test]
fn sixty_four_floods_wait_and_the_next_is_storm() {
    let mut rig = with_hosts(300);
    (1..=64).for_each(|n| rig.inject(A1.door, &numbered(n)));
    turn(&mut rig, A1.door);
    assert_eq!((rig.worker.held(), drops(&rig, A1.door, DropReason::Storm)), (64, 0));
    // The turn that brings two more finishes the first: one place.
    rig.inject(A1.door, &numbered(65));
    rig.inject(A1.door, &numbered(66));
    let other = eth(A3.mac, MacAddr::BROADCAST, ip4(A3.ip, u32::MAX).udp(1, 2, b""));
    turn(&mut rig, A1.door);
    assert_eq!((rig.worker.held(), drops(&rig, A1.door, DropReason::Storm)), (64, 1));
    (0..2).for_each(|_| rig.inject(A3.door, &other));
    let sent = turn(&mut rig, A3.door).len();
    assert_eq!(sent, 512, "A1's second ended, which made one place");
    assert_eq!((rig.worker.held(), drops(&rig, A3.door, DropReason::Storm)), (64, 1), "the queue is the worker's");
    // In one burst: A1's take what places the turn has made, then one that needs none.
    (70..80).for_each(|n| rig.inject(A1.door, &numbered(n)));
    rig.inject(B1.door, &eth(B1.mac, MacAddr::BROADCAST, ip4(B1.ip, u32::MAX).udp(1, 2, b"")));
    rig.worker.poll_ports(&[(A1.door, 10), (B1.door, 1)]);
    assert_eq!(rig.worker.held(), 64);
    assert_eq!(drops(&rig, B1.door, DropReason::Storm), 0, "what needs no place is flooded");
    while rig.worker.held() > 0 {
        rig.worker.idle();
        rig.drain();
    }
    rig.assert_sound();
    assert_eq!(rig.worker.held(), 0);
}

#[test]
fn a_flood_refused_for_the_queue_makes_no_copy_and_takes_no_token() {
    let mut rig = with_hosts(300);
    let storm = Rate { per_second: 0, burst: 2 };
    rig.worker.set_flood_limits(FloodLimits { storm, queued: 1, ..FloodLimits::default() });
    (1..=3).for_each(|n| rig.inject(A1.door, &numbered(n)));
    let first = turn(&mut rig, A1.door);
    assert_eq!((first.len(), drops(&rig, A1.door, DropReason::Storm)), (256, 2));
    let out = rig.step(A1.door, &[numbered(4), numbered(5)]);
    assert_eq!(to_hosts(&out.sent).last(), Some(&(300, 4)), "4 took the second token; 5 found none");
    assert_eq!(drops(&rig, A1.door, DropReason::Storm), 3);
    rig.assert_sound();
}

#[test]
fn at_least_one_copy_a_turn() {
    let mut rig = Rig::h1();
    rig.worker.set_flood_limits(FloodLimits { copies: 0, ..FloodLimits::default() });
    assert_eq!(rig.one(A1.door, broadcast()).sent.len(), 4);
}

/// A flood of 600 that waits at 256 while `change` happens; what goes out afterwards.
fn changed_meanwhile(change: impl FnOnce(&mut Rows)) -> (Vec<u16>, Rig) {
    let mut rows = Rows::h1();
    hosts(&mut rows, 600);
    let mut rig = Rig::with_room(rows.clone(), Room { frames: 2048, queue: 512, tunnel_queue: 2048 });
    rig.inject(A1.door, &broadcast());
    let first = turn(&mut rig, A1.door);
    assert_eq!(to_hosts(&first).last().unwrap().0, 255, "A3 and 255 hosts are served");
    change(&mut rows);
    rig.publish(&rows);
    let rest = rig.step(A1.door, &[]);
    let hosts = to_hosts(&rest.sent).iter().map(|(host, _)| *host).collect();
    rig.assert_sound();
    (hosts, rig)
}

#[test]
fn receivers_that_come_or_go_meanwhile_shift_nobody() {
    let without = |gone: &'static [u16]| {
        move |r: &mut Rows| r.seg(A, |s| s.flood_tunnels = (1..=600).filter(|t| !gone.contains(t)).collect())
    };
    let rest = |from: u16| (from..=600).collect::<Vec<_>>();
    assert_eq!(changed_meanwhile(|_| {}).0, rest(256));
    assert_eq!(changed_meanwhile(without(&[3, 7, 100])).0, rest(256), "served ones that are gone");
    let expect: Vec<u16> = rest(256).into_iter().filter(|t| *t != 256 && *t != 400).collect();
    assert_eq!(changed_meanwhile(without(&[256, 400])).0, expect);
    let more = |r: &mut Rows| {
        let tunnel = r.snap.tunnels.get(1).cloned();
        r.snap.tunnels.set(700, tunnel);
        r.seg(A, |s| s.flood_tunnels = std::iter::once(700).chain(1..=600).collect());
    };
    assert_eq!(changed_meanwhile(more).0, rest(256), "one that comes before the place it has reached");
    assert_eq!(changed_meanwhile(without(&[3, 254, 255])).0, rest(256), "the last ones served are gone too");
    let reused = |r: &mut Rows| {
        let end = TunnelEnd { vtep: vtep(601), mac: Some(H2.nic), dvr_mac: MacAddr::ZERO, df: true, phys: 0 };
        r.snap.tunnels.set(255, Some(TunnelRow::new(2, &r.snap.host, end)));
        r.seg(A, |s| s.flood_tunnels = (1..=254).chain(256..=600).chain([255]).collect());
    };
    assert_eq!(changed_meanwhile(reused).0, (256..=601).collect::<Vec<_>>(), "its index is another host's");
}

#[test]
fn a_flood_whose_network_port_or_receivers_are_gone_ends_as_port_gone() {
    let gone: [fn(&mut Rows); 4] = [
        |r| r.snap.segments.set(A, None),
        |r| r.seg(A, |s| s.generation += 1),
        |r| r.seg(A, |s| s.flood_tunnels = [].into()),
        |r| r.port(A1.door, |p| p.generation += 1),
    ];
    for change in gone {
        let (hosts, rig) = changed_meanwhile(change);
        assert_eq!(hosts, []);
        let c = rig.worker.counters();
        assert_eq!((copied(c), c.dropped.get()), ((256, 256, 0), 1));
        assert_eq!(drops(&rig, A1.door, DropReason::PortGone), 1);
    }
}

#[test]
fn the_floods_that_wait_share_what_a_turn_may_cost() {
    let mut rig = with_hosts(600);
    rig.worker.set_flood_limits(FloodLimits { turn_copies: 300, ..FloodLimits::default() });
    let other = eth(A3.mac, MacAddr::BROADCAST, ip4(A3.ip, u32::MAX).udp(1, 2, b"other"));
    rig.inject(A1.door, &broadcast());
    assert_eq!(turn(&mut rig, A1.door).len(), 256);
    rig.inject(A3.door, &other);
    assert_eq!(turn(&mut rig, A3.door).len(), 256 + 256, "the one that waits, and the new one");
    assert_eq!(rig.worker.counters().held.get(), 2);
    assert_eq!(turn(&mut rig, A1.door).len(), 89 + 211, "601 receivers each: the first ends, the second has the rest");
    assert_eq!(turn(&mut rig, A1.door).len(), 601 - 256 - 211);
    assert_eq!(copied(rig.worker.counters()), (1200, 1202, 0));
    rig.assert_sound();
}

#[test]
fn copies_of_a_waiting_flood_that_find_no_frame_are_counted_one_by_one() {
    let mut rows = Rows::h1();
    hosts(&mut rows, 600);
    let mut rig = Rig::with_room(rows, Room { frames: 100, queue: 512, tunnel_queue: 2048 });
    rig.inject(A1.door, &broadcast());
    assert_eq!(turn(&mut rig, A1.door).len(), 99, "one frame is the original, which waits");
    assert_eq!(turn(&mut rig, A1.door).len(), 99);
    assert_eq!(turn(&mut rig, A1.door).len(), 89);
    assert_eq!(copied(rig.worker.counters()), (600, 287, 0));
    assert_eq!(drops(&rig, A1.door, DropReason::NoFrame), 601 - 287);
    rig.assert_sound();
}
