//! R7: what waits, for how many, and how it ends.

use crate::addr::MacAddr;
use crate::burst::Door::{Phys, Tunnel};
use crate::burst::{Burst, Fate, FrameMeta, Mask};
use crate::learn::{LearnEvent, Report, ResolveEvent};
use crate::parking::{MAX_PARKED, PER_ADDRESS, PER_SOURCE};
use crate::stage::{Ctx, decode, from_router, qrouter};
use crate::tables::*;
use crate::testkit::rig::Outcome;
use crate::testkit::*;
use crate::trace::Note;
use crate::umem::Umem;

const HERE: &str = "ingress decode vm_port qrouter";
const SECOND: u64 = 1_000_000_000;
/// Nobody's address on B, and who turns out to have it.
const DST: u32 = u32::from_be_bytes([10, 2, 0, 99]);
const MAC: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x0b, 0, 0x99]);

/// From A1 to address `n` of 10.2.0.0/24.
fn to(n: u32) -> Vec<u8> {
    to_port(n, 1)
}

fn to_port(n: u32, sport: u16) -> Vec<u8> {
    eth(A1.mac, RA.mac, ip4(A1.ip, ip("10.2.0.0") + n).udp(sport, 2, b"waits"))
}

/// That packet on its way to B.
fn routed(src: MacAddr, sport: u16) -> Vec<u8> {
    eth(src, MAC, ip4(A1.ip, DST).ttl(63).udp(sport, 2, b"waits"))
}

fn set(rig: &mut Rig, ip: u32, row: NeighValue) {
    rig.neigh.put(&ip4_key(B, ip), row.to_word()).unwrap();
}

/// The writer does what it does with a report.
fn ask(rig: &mut Rig, ip: u32) {
    set(rig, ip, NeighValue::ASKED);
}

/// H1 where somebody waits for DST already.
fn waiting() -> Rig {
    let mut rig = Rig::h1();
    rig.one(A1.door, to(99)).assert_waits(A1.door, HERE, (B, DST)); // EW-15
    ask(&mut rig, DST);
    rig
}

fn moved<'o>(out: &'o Outcome, name: &str) -> Option<&'o u64> {
    out.moved.get(name)
}

/// Rules: R7-probe.
#[test]
fn the_writer_gets_address_network_and_time() {
    let mut rig = Rig::h1_with(|r| r.seg(B, |s| s.generation = 7));
    rig.now = 123_456_789_012;
    let out = rig.one(A1.door, to(99));
    let expect = ResolveEvent { seg: B, seg_generation: 7, ip: DST, seen: 123_456_789_012 };
    assert_eq!(out.reports, [Report::Resolve(expect)]);
    assert_eq!((out.held, rig.worker.parked()), (1, (1, Some(123_456_789_012))));
}

/// Rules: R7-probe, R9.
#[test]
fn with_the_answer_it_goes_on_as_if_it_came_now() {
    for (target, door, sent) in [
        (Target::Tunnel(1), Tunnel, vx(H1, H2, 1002, &routed(H1.dvr, 1))),
        (Target::Port(2), B1.door, routed(RB.mac, 1)),
    ] {
        let mut rig = waiting();
        set(&mut rig, DST, NeighValue::host(MAC, target, NeighValue::ROUTE | NeighValue::WATCHED));
        rig.now += SECOND;
        let out = rig.wake(); // ARP-08
        assert_eq!(out.sent, [(door, sent)]);
        assert_eq!(out.held, 0);
        let (encap, tx) = if door == Tunnel { (" vxlan_encap", "tunnel") } else { ("", "port.2") };
        out.assert_moved(&format!("decode qrouter dvr_process{encap} egress"), &format!("sent 1, {tx}.tx 1"));
        assert_eq!(rig.worker.parked(), (0, None));
    }
}

/// Rules: R7-probe.
#[test]
fn nothing_happens_until_the_answer_and_then_nobody_overtakes() {
    let mut rig = waiting();
    assert_eq!(rig.step(A1.door, &[]).moved.len(), 0);
    let out = rig.wake();
    assert_eq!((out.moved.len(), out.held), (0, 1), "news of others");
    // The answer is there before the news of it, and a later packet with it.
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    let sent = rig.one(A1.door, to_port(99, 2)).sent;
    assert_eq!(sent, [1, 2].map(|sport| (B1.door, routed(RB.mac, sport))));
}

/// The answer came between the turn's look at those that wait and the lookup of who comes behind them.
///
/// Rules: R7-probe.
#[test]
fn who_comes_behind_others_waits_though_the_answer_is_there_and_who_goes_elsewhere_does_not() {
    let [key] = ip4_key(B, B1.ip);
    for waiting in [&[key][..], &[key ^ 1, key]] {
        assert_eq!(meets(waiting, None), Some(Fate::Waits(key, R1)));
        assert_eq!(meets(waiting, Some(R1)), None, "what a router itself says does not wait");
    }
    for waiting in [&[][..], &[key ^ 1]] {
        assert_eq!(meets(waiting, None), None);
    }
}

/// Packets with options go the long way, where it is remembered who of the burst waits.
///
/// Rules: R7-probe.
#[test]
fn the_place_of_one_that_waited_holds_up_nobody_in_the_next_burst() {
    let packet = |src, dst, to, ttl, sport| {
        let p = ip4(A1.ip, to).ttl(ttl).options(&[148, 4, 0, 0]);
        eth(src, dst, p.udp(sport, 2, b"x"))
    };
    let mut rig = Rig::h1();
    let frames = [1, 2].map(|sport| packet(A1.mac, RA.mac, B1.ip, 64, sport));
    assert_eq!(rig.step(A1.door, &[packet(A1.mac, RA.mac, DST, 64, 1), frames[0].clone()]).held, 1);
    let out = rig.step(A1.door, &frames);
    assert_eq!(out.sent, [1, 2].map(|sport| (B1.door, packet(RB.mac, B1.mac, B1.ip, 63, sport))));
    assert_eq!(out.moved["stage.qrouter.packets"], 2, "each once: neither waited for the next turn");
}

/// How a packet to B1 ends in the router while frames wait for these keys; `None`: it goes on. From A1, or made by a
/// router.
fn meets(waiting: &[u64], by: Option<RouterIx>) -> Option<Fate> {
    let rig = Rig::h1();
    let mut pool = Box::leak(Box::new(Umem::new(1))).pools(1).remove(0);
    let (mut b, mut frame) = (Burst::default(), pool.take().unwrap());
    let from = by.map_or(A1.ip, |_| RA.ip);
    let bytes = eth(A1.mac, RA.mac, ip4(from, B1.ip).udp(1, 2, b"behind"));
    frame.chunk_mut()[..bytes.len()].copy_from_slice(&bytes);
    let lane = b.push(frame, FrameMeta::of_received(0, bytes.len() as u16, 7), A1.door).unwrap();
    b.seg[lane] = A;
    rig.with_ctx(|x| {
        let (x, m) = (Ctx { waiting, ..*x }, Mask::of(lane));
        decode(&mut b, &x, m);
        match by {
            None => qrouter(&mut b, &x, m),
            Some(router) => from_router(&mut b, &x, m, router),
        };
    });
    assert_ne!(b.decided.has(lane), b.ended.has(lane));
    b.ended.has(lane).then(|| b.fate[lane])
}

/// Rules: R7-probe, ICMP.
#[test]
fn in_vain_it_is_no_neigh_and_the_sender_is_told() {
    let mut rig = waiting();
    set(&mut rig, DST, NeighValue::UNANSWERED);
    rig.now += 3 * SECOND;
    let out = rig.wake();
    let offender = ip4(A1.ip, DST).udp(1, 2, b"waits");
    assert_eq!(out.sent, [(A1.door, eth(RA.mac, A1.mac, icmp_error(RA.ip, HOST, &offender)))]);
    assert_eq!(out.held, 0);
    out.assert_moved(
        "decode qrouter icmp_error egress",
        "dropped 1, drop.no_neigh 1, port.0.drop.no_neigh 1, stage.qrouter.dropped 1, \
         generated 1, sent 1, port.0.tx 1",
    );
}

/// Rules: R7-probe, ICMP.
#[test]
fn the_ration_of_errors_counts_from_when_the_waiting_ends() {
    // Ten were told at the start of the waiting; three seconds later there are ten more.
    let mut rig = waiting();
    let dying = eth(A1.mac, RA.mac, ip4(A1.ip, B1.ip).ttl(1).udp(1, 2, b""));
    assert_eq!(rig.step(A1.door, &vec![dying; 12]).sent.len(), 10);
    set(&mut rig, DST, NeighValue::UNANSWERED);
    rig.now += 3 * SECOND;
    assert_eq!(rig.wake().sent.len(), 1);
}

/// Rules: R7-probe.
#[test]
fn a_row_of_the_model_ends_the_waiting_too() {
    let mut rig = waiting();
    set(&mut rig, DST, NeighValue::host(MAC, Target::Tunnel(1), NeighValue::ROUTE | NeighValue::ANSWER));
    assert_eq!(rig.wake().sent, [(Tunnel, vx(H1, H2, 1002, &routed(H1.dvr, 1)))]);
}

/// Rules: R7-probe.
#[test]
fn news_before_the_writer_has_asked_are_no_reason_to_ask_without_end() {
    // Parked, reported, and the writer, not that far yet, has news of another address.
    let mut rig = Rig::h1();
    rig.one(A1.door, to(99)).assert_waits(A1.door, HERE, (B, DST));
    let out = rig.wake();
    assert_eq!((out.held, out.sent.len(), moved(&out, "dropped")), (1, 0, None));
    assert!(out.reports.len() <= 1, "{} reports", out.reports.len());
    ask(&mut rig, DST);
    rig.wake();
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    assert_eq!(rig.wake().sent, [(B1.door, routed(RB.mac, 1))]);
}

/// A writer that never comes to store that it asks. Rules: R7-probe.
#[test]
fn what_is_asked_for_without_end_ends() {
    let mut rig = Rig::h1();
    rig.one(A1.door, to(99)).assert_waits(A1.door, HERE, (B, DST));
    for _ in 0..5 {
        rig.now += SECOND;
        assert_eq!(rig.wake().held, 1);
    }
    rig.now += SECOND;
    let out = rig.wake();
    assert_eq!((out.held, moved(&out, "drop.no_neigh")), (0, Some(&1)));
}

/// Rules: R7-probe.
#[test]
fn who_comes_while_it_is_asked_for_waits_without_a_word() {
    let mut rig = waiting();
    let out = rig.one(A1.door, to_port(99, 2));
    assert_eq!((out.reports.len(), out.held), (0, 2));
    out.assert_moved(HERE, "received 1, port.0.rx 1");
}

/// Dropped as `neigh_queue_full`, and nothing said to anybody.
#[track_caller]
fn assert_neigh_queue_full(out: &Outcome) {
    out.assert_dropped(A1.door, HERE, "neigh_queue_full");
    assert_eq!(out.reports, []);
}

/// Rules: R7-probe.
#[test]
fn three_wait_for_one_address_and_leave_in_their_order() {
    let mut rig = waiting();
    for sport in 2..=PER_ADDRESS as u16 {
        rig.one(A1.door, to_port(99, sport));
    }
    assert_neigh_queue_full(&rig.one(A1.door, to_port(99, 9)));
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    let sent = rig.wake().sent;
    assert_eq!(sent, [1, 2, 3].map(|sport| (B1.door, routed(RB.mac, sport))));
    assert_eq!(PER_ADDRESS, 3);
}

/// Rules: R7-probe.
#[test]
fn a_source_asks_for_eight_addresses_and_another_one_for_eight_more() {
    assert_eq!(PER_SOURCE, 8);
    let mut rig = Rig::h1();
    let frames: Vec<_> = (100..108).map(to).collect();
    assert_eq!(rig.step(A1.door, &frames).held, 8);
    assert_neigh_queue_full(&rig.one(A1.door, to(108)));
    rig.one(A1.door, to_port(107, 2)).assert_moved(HERE, "received 1, port.0.rx 1"); // one of the eight
    let other = eth(A3.mac, RA.mac, ip4(A3.ip, ip("10.2.0.108")).udp(1, 2, b""));
    rig.one(A3.door, other).assert_waits(A3.door, HERE, (B, ip("10.2.0.108")));
    // A port is one source whatever addresses it uses.
    let mut rig = Rig::h1_with(|r| r.unsecure(A1));
    let frame = |n| eth(A1.mac, RA.mac, ip4(ip("10.1.0.50") + n, ip("10.2.0.100") + n).udp(1, 2, b""));
    assert_eq!(rig.step(A1.door, &(0..9).map(frame).collect::<Vec<_>>()).held, 8);
}

/// Rules: R7-probe, FI.
#[test]
fn behind_a_nic_each_address_is_a_source() {
    let mut rig = Rig::h1_with(|r| {
        for n in 0..20 {
            r.floating_ip(R1, ip("10.1.0.200") + n, ip("203.0.113.200") + n);
        }
    });
    let from = |src, n| ext(&eth(GX.0, fg(H1).0, ip4(src, ip("203.0.113.200") + n).udp(1, 2, b"")));
    let nine: Vec<_> = (0..9).map(|n| from(E, n)).collect();
    let out = rig.step(Phys(1), &nine);
    assert_eq!((out.held, moved(&out, "drop.neigh_queue_full")), (8, Some(&1)));
    assert_eq!(rig.one(Phys(1), from(E + 1, 9)).held, 9);
}

/// Rules: R7-probe.
#[test]
fn a_router_asks_for_its_share_of_addresses_and_another_router_for_its_own() {
    let mut rig = Rig::h1();
    rig.worker.set_asked_per_router(2);
    assert_eq!(rig.step(A1.door, &[to(100), to(101)]).held, 2);
    assert_neigh_queue_full(&rig.one(A1.door, to(102)));
    assert_eq!(rig.one(A1.door, to_port(101, 2)).held, 3, "asked for already");
    let r2 = eth(K1.mac, RK.mac, ip4(K1.ip, ip("10.9.0.77")).udp(1, 2, b""));
    rig.one(K1.door, r2).assert_waits(K1.door, HERE, (C, ip("10.9.0.77")));
    // 64 unless told otherwise: 8 ports of 8 addresses.
    let mut rig = Rig::h1_with(|r| {
        for ix in 0..8 {
            let row = r.snap.ports.get(0).cloned().unwrap();
            r.snap.ports.set(ix, Some(row));
        }
    });
    for ix in 0..8u32 {
        let frames: Vec<_> = (0..8).map(|n| to(100 + ix * 8 + n)).collect();
        rig.step(crate::burst::Door::Port(ix as PortIx), &frames);
    }
    assert_eq!(rig.worker.parked().0, 64);
    let mut last = Rig::h1();
    last.worker.set_asked_per_router(0);
    assert_neigh_queue_full(&last.one(A1.door, to(100)));
    assert_eq!((MAX_PARKED, crate::parking::PER_ROUTER), (256, 64));
}

/// Rules: R7-probe.
#[test]
fn what_cannot_be_reported_does_not_wait() {
    let mut rig = Rig::h1();
    let filler =
        LearnEvent { seg: A, seg_generation: 1, mac: MAC, target: Target::Phys, target_generation: 0, seen: 0 };
    while rig.worker.learn_queue().push(Report::Learn(filler)).is_ok() {}
    rig.one(A1.door, to(99)).assert_dropped(A1.door, HERE, "neigh_queue_full");
    // For one that is asked for already there is nothing to report.
    while rig.worker.learn_queue().push(Report::Learn(filler)).is_ok() {}
    ask(&mut rig, DST);
    assert_eq!(rig.one(A1.door, to(99)).held, 1);
}

/// Rules: R7-probe.
#[test]
fn a_network_this_burst_does_not_see_is_not_asked_in() {
    let mut rig = Rig::h1_with(|r| r.snap.segments.set(B, None));
    rig.one(A1.door, to(99)).assert_dropped(A1.door, HERE, "neigh_queue_full");
}

/// Wakes the one that waits with something changed meanwhile.
fn woken(change: impl FnOnce(&mut Rows)) -> Outcome {
    let mut rig = waiting();
    let mut rows = Rows::h1();
    change(&mut rows);
    rig.publish(&rows);
    rig.neigh.remove(&ip4_key(B, DST)); // nobody asks any more
    rig.wake()
}

/// Rules: R7-probe, R0.
#[test]
fn it_meets_the_rules_as_they_are_when_it_wakes() {
    let dropped = |out: Outcome, path, stage, reason| {
        assert_eq!((out.held, out.sent.len()), (0, 0));
        let counts = format!("dropped 1, drop.{reason} 1, port.0.drop.{reason} 1, stage.{stage}.dropped 1");
        out.assert_moved(path, &counts);
    };
    dropped(woken(|r| r.router(R1, |r1| r1.active = false)), "decode qrouter", "qrouter", "router_down");
    dropped(woken(|r| r.iface(RB, |i| i.up = false)), "decode qrouter", "qrouter", "router_down");
    dropped(woken(|r| r.snap.routers.set(R1, None)), "decode qrouter", "qrouter", "router_down");
    // rA is no interface of A any more: to a MAC that nobody has.
    let path = "decode local_switching egress flood_to_tun";
    dropped(woken(|r| r.seg(A, |s| s.interfaces = [].into())), path, "flood_to_tun", "unknown_unicast");
    // Another route, by way of B2.
    let to_b2 = Route { net: DST, len: 32, hops: vec![Hop::new(RB.ix, B2.ip)] };
    let out = woken(|r| r.router(R1, |r1| r1.routes = routes(R1, &[to_b2])));
    let inner = eth(H1.dvr, B2.mac, ip4(A1.ip, DST).ttl(63).udp(1, 2, b"waits"));
    assert_eq!(out.sent, [(Tunnel, vx(H1, H2, 1002, &inner))]);
}

/// Rules: R7-probe.
#[test]
fn if_its_network_or_its_port_went_away_it_ends_there() {
    let gone: [fn(&mut Rows); 4] = [
        |r| r.snap.segments.set(A, None),
        |r| r.seg(A, |s| s.generation = 2), // the index is another network's now
        |r| r.snap.ports.set(0, None),
        |r| r.port(A1.door, |p| p.generation = 2),
    ];
    for change in gone {
        let out = woken(change);
        assert_eq!((out.held, out.sent.len()), (0, 0));
        out.assert_moved("", "dropped 1, drop.port_gone 1, port.0.drop.port_gone 1, stage.qrouter.dropped 1");
    }
}

/// Rules: R7-probe.
#[test]
fn several_wake_in_the_order_they_came_and_the_others_sleep_on() {
    let mut rig = Rig::h1();
    rig.step(A1.door, &[to(100), to(99), to(101), to_port(99, 2)]);
    for n in [99, 100, 101] {
        ask(&mut rig, ip("10.2.0.0") + n);
    }
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    set(&mut rig, ip("10.2.0.101"), NeighValue::UNANSWERED);
    let out = rig.wake();
    let at_b1: Vec<_> = out.sent.iter().filter(|(d, _)| *d == B1.door).map(|(_, f)| f.clone()).collect();
    assert_eq!(at_b1, [1, 2].map(|sport| routed(RB.mac, sport)));
    assert_eq!((moved(&out, "drop.no_neigh"), out.held), (Some(&1), 1));
}

/// Rules: R7-probe, R8-icmp.
#[test]
fn what_waits_is_cut_when_it_leaves() {
    let mut rig = Rig::h1_with(|r| r.iface(RB, |i| i.mtu = 600));
    let frame = eth(A1.mac, RA.mac, ip4(A1.ip, DST).udp(1, 2, &[7; 700]));
    rig.one(A1.door, frame).assert_waits(A1.door, HERE, (B, DST));
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    let out = rig.wake();
    assert_eq!((out.sent.len(), moved(&out, "copied"), out.held), (2, Some(&1), 0));
}

/// Rules: R7-probe.
#[test]
fn a_traced_one_is_traced_before_and_after() {
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    let notes = |rig: &mut Rig| std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| r.note).collect::<Vec<_>>();
    rig.one(A1.door, to(99));
    let before = notes(&mut rig);
    assert!(before.contains(&Note::Waits(DST)), "{before:?}");
    rig.worker.trace = false;
    rig.one(A1.door, to_port(99, 2));
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    rig.wake();
    let after = notes(&mut rig);
    assert_eq!(after.iter().filter(|n| matches!(n, Note::Sent(_))).count(), 1, "the other one was not: {after:?}");
}

/// Rules: R7-probe.
#[test]
fn padding_tag_and_options_of_what_waits_do_not_count() {
    let mut rig = Rig::h1();
    rig.one(A1.door, tagged(&padded(&to(99), 9), &[0])).assert_waits(A1.door, HERE, (B, DST));
    set(&mut rig, DST, NeighValue::host(MAC, Target::Port(2), NeighValue::ROUTE));
    assert_eq!(rig.wake().sent, [(B1.door, routed(RB.mac, 1))]);
}

/// Rules: R7-probe.
#[test]
fn a_worker_that_stops_gives_up_what_waits() {
    let mut rig = Rig::h1();
    rig.step(A1.door, &[to(100), to(101)]);
    let idle = crate::worker::Idle::Adaptive { spin: std::time::Duration::ZERO, sleep: std::time::Duration::ZERO };
    rig.worker.work(idle, &std::sync::atomic::AtomicBool::new(true));
    let c = rig.worker.counters();
    assert_eq!((c.reason(crate::drop_reason::DropReason::PortGone).get(), c.held.get()), (2, 0));
    rig.assert_sound();
}

/// Rules: R7-probe.
#[test]
fn its_buffer_is_held_and_comes_back() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 4, ..Room::default() });
    rig.step(A1.door, &[to(100), to(101), to(102)]);
    assert_eq!(rig.worker.frames(), (1, 4));
    for n in 100..103 {
        set(&mut rig, ip("10.2.0.0") + n, NeighValue::UNANSWERED);
    }
    rig.wake();
    assert_eq!(rig.worker.frames(), (4, 4));
}
