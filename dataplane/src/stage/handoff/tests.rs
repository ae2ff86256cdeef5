//! Rules: W1, G2 (until built). Worker 0 owns every port but A3's and K1's, which are worker 1's.

use crate::addr::MacAddr;
use crate::burst::Door;
use crate::tables::*;
use crate::testkit::team::FRAMES;
use crate::testkit::*;
use crate::worker::{Worker, WorkerId};

const RING: usize = 64;

fn rows() -> Rows {
    let mut rows = Rows::h1();
    for vm in [A3, K1] {
        rows.port(vm.door, |p| p.owner = WorkerId(1));
    }
    rows
}

fn team() -> Team {
    Team::new(&rows(), 2, RING)
}

fn to_a3(n: u8) -> Vec<u8> {
    eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, &[n]))
}

#[test]
fn a_frame_reaches_the_port_of_another_worker_in_order_and_its_buffer_comes_home() {
    let mut t = team();
    for n in 0..5 {
        t.inject(0, A1.door, &to_a3(n));
    }
    assert_eq!(t.workers[0].poll(A1.door, 64), 5);
    assert_eq!((t.sum("sent"), t.sum("handed_over"), t.sum("taken_over")), (0, 5, 0), "in the ring");
    assert_eq!(t.workers[1].take_over(), 5);
    assert_eq!(t.drain(1, A3.door), (0..5).map(to_a3).collect::<Vec<_>>());
    assert_eq!(t.workers[0].frames(), (FRAMES - 5, FRAMES));
    assert_eq!(t.workers[1].foreign_frames(), 5, "fewer than a batch wait for an idle turn");
    assert_eq!(t.sum("port.1.tx"), 5);
    assert_eq!(t.sum("stage.handoff.packets"), 5);
    t.assert_sound();
}

#[test]
fn a_batch_of_buffers_goes_home_with_the_next_burst() {
    let mut t = team();
    for n in 0..40 {
        t.inject(0, A1.door, &to_a3(n));
    }
    t.workers[0].poll(A1.door, 64);
    t.workers[1].take_over();
    t.drain(1, A3.door);
    t.inject(1, A3.door, &eth(A3.mac, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b"x")));
    t.workers[1].poll(A3.door, 64);
    assert_eq!(t.workers[1].foreign_frames(), 0);
    t.workers[0].take_over();
    assert_eq!(t.workers[0].frames(), (FRAMES, FRAMES), "taken in with its own next burst");
    t.drain(0, A1.door);
    t.assert_sound();
}

#[test]
fn a_worker_that_is_never_idle_keeps_no_buffer() {
    let mut t = team();
    t.inject(0, A1.door, &to_a3(0));
    t.workers[0].poll(A1.door, 64);
    t.workers[1].take_over();
    t.drain(1, A3.door);
    let mut bursts = 0;
    while t.workers[0].frames().0 < FRAMES && bursts < 1000 {
        bursts += 1;
        for (worker, door) in [(1, K1.door), (0, A1.door)] {
            t.inject(worker, door, &[0; 13]);
            assert_eq!(t.workers[worker].poll(door, 64), 1);
        }
    }
    assert!((32..=64).contains(&bursts), "one buffer alone came home after {bursts} bursts");
    t.assert_sound();
}

#[test]
fn a_port_that_is_taken_away_leaves_its_frames() {
    let mut t = team();
    (0..3).for_each(|n| t.inject(0, A1.door, &to_a3(n)));
    t.workers[0].poll(A1.door, 2);
    t.workers[1].take_over();
    assert_eq!(t.workers[0].frames(), (FRAMES - 3, FRAMES), "one waits to be received, two to be sent");
    assert!(t.workers[0].detach(A1.door) && t.workers[1].detach(A3.door));
    t.assert_sound();
}

#[test]
fn routed_frames_flood_copies_and_answers_find_their_workers() {
    let mut t = team();
    // Routed twice: R1, R2, K1.
    t.inject(0, A1.door, &eth(A1.mac, RA.mac, ip4(A1.ip, K1.ip).udp(1, 2, b"x")));
    let broadcast = eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, u32::MAX).udp(1, 2, b"y"));
    t.inject(0, A1.door, &broadcast);
    t.inject(0, A1.door, &eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, RA.ip)));
    t.workers[0].poll(A1.door, 64);
    assert_eq!(t.workers[1].take_over(), 2);
    let routed = eth(RK.mac, K1.mac, ip4(A1.ip, K1.ip).ttl(62).udp(1, 2, b"x"));
    assert_eq!(t.drain(1, K1.door), [routed]);
    assert_eq!(t.drain(1, A3.door), std::slice::from_ref(&broadcast));
    let vx_of = |h| vx(H1, h, 1001, &broadcast);
    assert_eq!(t.drain(0, Door::Tunnel), [vx_of(H2), vx_of(H3), vx_of(H4)]);
    assert_eq!(t.drain(0, A1.door).len(), 1, "the answer leaves by the asker's own port");
    assert_eq!(t.sum("copied"), 3);
    t.assert_sound();
}

#[test]
fn a_full_ring_is_handoff_full_and_what_fits_arrives() {
    let mut t = team();
    for n in 0..RING as u8 + 3 {
        t.inject(0, A1.door, &to_a3(n));
    }
    while t.workers[0].poll(A1.door, 64) > 0 {}
    assert_eq!(t.sum("port.0.drop.handoff_full"), 3);
    assert_eq!((t.sum("drop.handoff_full"), t.sum("stage.handoff.dropped")), (3, 3));
    assert_eq!(t.workers[1].take_over(), RING);
    assert_eq!(t.drain(1, A3.door), (0..RING as u8).map(to_a3).collect::<Vec<_>>());
    t.inject(0, A1.door, &to_a3(200));
    t.workers[0].poll(A1.door, 64);
    assert_eq!(t.workers[1].take_over(), 1, "room again");
    assert_eq!(t.drain(1, A3.door), [to_a3(200)]);
    t.assert_sound();
}

#[test]
fn a_worker_alone_cannot_hand_over() {
    let mut rig = Rig::new(rows());
    rig.one(A1.door, to_a3(0)).assert_dropped_by(
        A1.door,
        "ingress decode vm_port local_switching egress",
        "handoff",
        "handoff_full",
    );
}

/// Between the sender's burst and the owner's the port changes: `change` its row.
fn meanwhile(change: impl FnOnce(&mut PortRow), detach: bool) -> Team {
    let mut t = team();
    t.inject(0, A1.door, &to_a3(0));
    t.workers[0].poll(A1.door, 64);
    let mut next = rows();
    next.port(A3.door, change);
    t.snapshots.publish(next.snap);
    if detach {
        t.workers[1].detach(A3.door);
    }
    assert_eq!(t.workers[1].take_over(), 1);
    assert_eq!(t.sum("sent"), 0);
    t
}

#[test]
fn a_port_that_went_down_meanwhile_is_port_down() {
    let mut t = meanwhile(|p| p.active = false, false);
    assert_eq!((t.sum("port.0.drop.port_down"), t.sum("stage.handoff.dropped")), (1, 1));
    t.assert_sound();
}

#[test]
fn an_index_that_is_another_port_by_now_is_port_gone() {
    let mut t = meanwhile(|p| p.generation += 1, false);
    assert_eq!(t.sum("port.0.drop.port_gone"), 1);
    t.assert_sound();
}

#[test]
fn a_port_that_has_the_index_by_now_does_not_get_its_frames() {
    let mut t = team();
    t.inject(0, A1.door, &to_a3(0));
    t.workers[0].poll(A1.door, 64);
    let mut next = rows();
    next.port(A3.door, |p| p.generation += 1);
    t.snapshots.publish(next.snap);
    t.workers[1].attach_port(1, 2, crate::io::Port::Memory(crate::io::MemoryPort::new(4)));
    t.workers[1].take_over();
    assert_eq!((t.sum("sent"), t.sum("port.0.drop.port_gone")), (0, 1));
    assert_eq!(t.drain(1, A3.door), Vec::<Vec<u8>>::new());
    t.assert_sound();
}

#[test]
fn a_port_that_was_taken_away_meanwhile_is_port_gone() {
    let mut t = meanwhile(|_| {}, true);
    assert_eq!(t.sum("port.0.drop.port_gone"), 1);
    t.assert_sound();
}

#[test]
fn a_port_that_is_new_to_the_owner_gets_its_frames() {
    let mut old = rows();
    old.snap.ports.set(1, None);
    let mut t = Team::new(&old, 2, RING);
    t.workers[1].attach_port(1, 1, crate::io::Port::Memory(crate::io::MemoryPort::new(4)));
    t.workers.iter_mut().for_each(Worker::idle); // both have loaded the old snapshot
    t.snapshots.publish(rows().snap);
    t.inject(0, A1.door, &to_a3(7));
    t.workers[0].poll(A1.door, 64);
    t.workers[1].take_over();
    assert_eq!(t.drain(1, A3.door), [to_a3(7)]);
    t.assert_sound();
}

#[test]
fn the_steps_of_a_traced_frame_go_on_at_the_other_worker() {
    let mut t = team();
    t.workers[0].trace = true;
    t.inject(0, A1.door, &to_a3(0));
    t.workers[0].poll(A1.door, 64);
    t.workers[1].take_over();
    let notes = |w: &Worker<'_>| std::iter::from_fn(|| w.tracer().pop()).map(|r| r.note).collect::<Vec<_>>();
    use crate::burst::Out;
    use crate::trace::Note;
    assert_eq!(notes(&t.workers[0]).last(), Some(&Note::HandedOver(WorkerId(1))));
    assert_eq!(notes(&t.workers[1]), [Note::Enter, Note::Sent(Out::Port(1))]);
    t.drain(1, A3.door);
    t.assert_sound();
}

#[test]
fn handing_over_and_taking_over_keep_the_grace_period_going() {
    let mut t = team();
    let epoch = t.qsbr.retire();
    t.inject(0, A1.door, &to_a3(0));
    t.workers[0].poll(A1.door, 64);
    assert!(!t.qsbr.has_passed(epoch));
    t.workers[1].take_over();
    assert!(t.qsbr.has_passed(epoch));
    let next = t.qsbr.retire();
    assert!(!t.qsbr.has_passed(next));
    t.drain(1, A3.door);
    t.assert_sound();
    assert!(t.qsbr.has_passed(next));
}

/// Rules: W1, R7-probe.
#[test]
fn what_waits_in_each_worker_wakes_there_and_finds_its_port() {
    let (dst, there) = (ip("10.1.0.99"), mac("fa:16:3e:0a:00:99"));
    let mut t = team();
    let frame = |src: Vm, dst_mac, ttl, from| eth(from, dst_mac, ip4(src.ip, dst).ttl(ttl).udp(1, 2, b"waits"));
    t.inject(0, B1.door, &frame(B1, RB.mac, 64, B1.mac));
    t.inject(1, K1.door, &frame(K1, RK.mac, 64, K1.mac));
    t.workers[0].poll(B1.door, 64);
    t.workers[1].poll(K1.door, 64);
    let parked = |t: &Team| t.workers.iter().map(|w| w.parked().0).collect::<Vec<_>>();
    assert_eq!((parked(&t), t.sum("sent"), t.sum("dropped")), (vec![1, 1], 0, 0));
    let held: u64 = t.workers.iter().map(|w| w.counters().held.get()).sum();
    assert_eq!(held, 2);
    // Each of them has told the writer; the writer asks once, and the answer is at A3, worker 1's.
    assert!(t.workers.iter().all(|w| w.learn_queue().pop().is_some()));
    t.neigh.put(&ip4_key(A, dst), NeighValue::host(there, Target::Port(1), NeighValue::ROUTE).to_word()).unwrap();
    t.news.tell(6_000_000_000);
    t.workers[0].poll(A1.door, 64);
    assert_eq!((parked(&t), t.sum("handed_over")), (vec![0, 1], 1), "the other one has had no turn yet");
    assert_eq!(t.workers[1].take_over(), 1);
    t.workers[1].idle();
    assert_eq!(parked(&t), [0, 0]);
    let routed = |src: Vm, ttl| frame(src, there, ttl, RA.mac);
    assert_eq!(t.drain(1, A3.door), [routed(B1, 63), routed(K1, 62)]);
    t.assert_sound();
}

/// Rules: W1, R7-probe, F42.
#[test]
fn a_made_frame_reaches_the_ports_of_every_worker() {
    use crate::stage::{Made, MadeFor};
    let frame = eth(H1.dvr, MacAddr::BROADCAST, arp_request(H1.dvr, 0, ip("10.1.0.99")));
    let bytes = frame.as_slice().try_into().unwrap();
    let mut t = team();
    t.workers[0].send_made(&Made { seg: A, seg_generation: 1, to: MadeFor::Everybody, frame: bytes, time: 1 });
    assert_eq!(t.workers[1].take_over(), 1);
    assert_eq!(t.drain(0, A1.door), std::slice::from_ref(&frame));
    assert_eq!(t.drain(1, A3.door), std::slice::from_ref(&frame));
    let far = |h| vx(H1, h, 1001, &frame);
    assert_eq!(t.drain(0, Door::Tunnel), [far(H2), far(H3), far(H4)]);
    assert_eq!((t.sum("generated"), t.sum("copied"), t.sum("sent")), (1, 4, 5));
    t.assert_sound();
}

/// Rules: W1, R8-icmp.
#[test]
fn pieces_for_another_workers_port_arrive_in_order() {
    let mut small = rows();
    small.iface(RK, |i| i.mtu = 600);
    let mut t = Team::new(&small, 2, RING);
    let data = [7; 1000];
    t.inject(0, A1.door, &eth(A1.mac, RA.mac, ip4(A1.ip, K1.ip).udp(1, 2, &data)));
    t.workers[0].poll(A1.door, 64);
    assert_eq!(t.workers[1].take_over(), 2);
    let whole = ip4(A1.ip, K1.ip).udp(1, 2, &data).bytes;
    let piece = |offset, more, bytes: &[u8]| {
        eth(RK.mac, K1.mac, ip4(A1.ip, K1.ip).ttl(62).fragment(offset, more).carry(17, bytes))
    };
    assert_eq!(t.drain(1, K1.door), [piece(0, true, &whole[20..596]), piece(72, false, &whole[596..])]);
    t.assert_sound();
}

/// Rules: W1, ICMP.
#[test]
fn an_error_that_is_routed_to_another_workers_port_arrives() {
    let mut free = rows();
    free.unsecure(A1);
    let mut t = Team::new(&free, 2, RING);
    // In A3's name: R2 tells A3.
    let p = ip4(A3.ip, K1.ip).ttl(2).udp(1, 2, b"x");
    t.inject(0, A1.door, &eth(A1.mac, RA.mac, p.clone()));
    t.workers[0].poll(A1.door, 64);
    assert_eq!(t.workers[1].take_over(), 1);
    assert_eq!(t.drain(1, A3.door), [eth(RA.mac, A3.mac, icmp_error_ttl(RC2.ip, EXCEEDED, &p, 63))]);
    t.assert_sound();
}

/// Rules: W1, E1, FI.
#[test]
fn what_comes_in_by_a_workers_queue_of_a_nic_is_answered_or_delivered_from_there() {
    let mut t = team();
    let gx = |dst, p| ext(&eth(GX.0, dst, p));
    t.inject(1, Door::Phys(1), &gx(MacAddr::BROADCAST, arp_request(GX.0, GX.1, FIP_A1)));
    t.inject(1, Door::Phys(1), &gx(fg(H1).0, ip4(E, FIP_A1).tcp(5000, 22)));
    t.workers[1].poll(Door::Phys(1), 64);
    assert_eq!(t.drain(1, Door::Phys(1)), [ext(&eth(fg(H1).0, GX.0, arp_reply(fg(H1).0, FIP_A1, GX.0, GX.1)))]);
    assert_eq!(t.workers[0].take_over(), 1);
    assert_eq!(t.drain(0, A1.door), [eth(RA.mac, A1.mac, ip4(E, A1.ip).ttl(63).tcp(5000, 22))]);
    t.assert_sound();
}
