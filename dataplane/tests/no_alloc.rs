//! A worker never allocates after its start: counted, kind of packet by kind of packet.

use dataplane::{addr, burst, drop_reason, drop_tap, handoff, io, learn, stage, tables, trace, umem, worker};

mod alloc;

#[allow(dead_code, unused_imports, reason = "shared with the crate's own tests")]
#[path = "../src/testkit/mod.rs"]
mod testkit;

use addr::MacAddr;
use burst::Door;
use dataplane::flood::FloodLimits;
use dataplane::told::TellLimits;
use testkit::rig::Outcome;
use testkit::*;

/// Allocations and frees during `f`.
fn counted(f: impl FnOnce()) -> u64 {
    let before = alloc::count();
    f();
    alloc::count() - before
}

/// Bursts of 64 of `frame`: two to warm up, then ten counted ones. Returns what one burst did.
#[track_caller]
fn assert_no_allocation(mut rig: Rig, door: Door, frame: &[u8]) -> Outcome {
    let mut worst = 0;
    for round in 0..12 {
        rig.now += 1_000_000_000; // so that learned rows are due again
        (0..64).for_each(|_| rig.inject(door, frame));
        let n = counted(|| {
            assert_eq!(rig.worker.poll(door, 64), 64);
            rig.worker.idle();
        });
        if round >= 2 {
            worst = worst.max(n);
        }
        rig.drain();
        while rig.worker.learn_queue().pop().is_some() {}
    }
    assert_eq!(worst, 0, "allocations or frees in a burst");
    let frames = vec![frame.to_vec(); 64];
    rig.step(door, &frames)
}

/// That many frames were sent, and `drop`, if not empty, was why others were dropped.
#[track_caller]
fn assert_did(out: &Outcome, sent: usize, counter: &str) {
    assert_eq!(out.sent.len(), sent);
    assert!(counter.is_empty() || out.moved.contains_key(counter), "{counter} did not move: {:?}", out.moved);
}

fn roomy(rows: Rows) -> Rig {
    Rig::with_room(rows, Room { frames: 1024, queue: 512, tunnel_queue: 512 })
}

fn h1() -> Rig {
    roomy(Rows::h1())
}

fn udp(from: Vm, dst: MacAddr, to: u32) -> Vec<u8> {
    eth(from.mac, dst, ip4(from.ip, to).udp(1, 2, b"x"))
}

#[test]
fn the_counter_counts() {
    assert_eq!(counted(|| drop(std::hint::black_box(Box::new(1)))), 2);
    assert_eq!(counted(|| {}), 0);
}

#[test]
fn layer_2_out() {
    assert_did(&assert_no_allocation(h1(), A1.door, &udp(A1, A2.mac, A2.ip)), 64, "tunnel.tx");
}

#[test]
fn layer_2_on_the_host() {
    assert_did(&assert_no_allocation(h1(), A1.door, &udp(A1, A3.mac, A3.ip)), 64, "port.1.tx");
}

#[test]
fn layer_2_in() {
    assert_did(&assert_no_allocation(h1(), Door::Tunnel, &vx(H2, H1, 1001, &udp(A2, A1.mac, A1.ip))), 64, "port.0.tx");
}

#[test]
fn routed_out() {
    assert_did(&assert_no_allocation(h1(), A1.door, &udp(A1, RA.mac, B2.ip)), 64, "tunnel.tx");
}

#[test]
fn routed_through_two_routers() {
    assert_did(&assert_no_allocation(h1(), A1.door, &udp(A1, RA.mac, K1.ip)), 64, "port.3.tx");
}

#[test]
fn routed_elsewhere_and_delivered_here() {
    let frame = eth(H2.dvr, B1.mac, ip4(A2.ip, B1.ip).ttl(63).udp(1, 2, b"x"));
    assert_did(
        &assert_no_allocation(h1(), Door::Tunnel, &vx(H2, H1, 1002, &frame)),
        64,
        "stage.dvr_to_src_mac.packets",
    );
}

#[test]
fn arp_replies() {
    for ip in [RA.ip, A2.ip] {
        let frame = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, ip));
        assert_did(&assert_no_allocation(h1(), A1.door, &frame), 64, "generated");
    }
}

#[test]
fn echo_replies() {
    for (ip, options) in [(RA.ip, &[][..]), (RA.ip, &[7, 4, 0, 0]), (RK.ip, &[])] {
        let frame = eth(A1.mac, RA.mac, ip4(A1.ip, ip).options(options).echo(1, 1, b"x"));
        assert_did(&assert_no_allocation(h1(), A1.door, &frame), 64, "generated");
    }
}

#[test]
fn floods() {
    let frame = udp(A1, MacAddr::BROADCAST, u32::MAX);
    assert_did(&assert_no_allocation(h1(), A1.door, &frame), 256, "copied");
}

#[test]
fn floods_that_wait_for_their_next_turn_and_those_beyond_the_queue() {
    let mut rig = h1();
    rig.worker.set_flood_limits(FloodLimits { copies: 3, queued: 40, ..FloodLimits::default() });
    let frame = udp(A1, MacAddr::BROADCAST, u32::MAX);
    (0..64).for_each(|_| rig.inject(A1.door, &frame));
    let n = counted(|| {
        assert_eq!(rig.worker.poll(A1.door, 64), 64);
        assert_eq!(rig.worker.held(), 40);
        while rig.worker.held() > 0 {
            rig.worker.idle();
        }
    });
    assert_eq!(n, 0, "allocations or frees while floods wait");
    assert_eq!(rig.drain().len(), 4 * 40);
    assert_did(&rig.step(A1.door, &vec![frame; 64]), 4 * 40, "drop.storm");
}

#[test]
fn floods_without_free_frames() {
    let rig = Rig::with_room(Rows::h1(), Room { frames: 64, queue: 512, tunnel_queue: 512 });
    let frame = udp(A1, MacAddr::BROADCAST, u32::MAX);
    assert_did(&assert_no_allocation(rig, A1.door, &frame), 64, "drop.no_frame");
}

#[test]
fn full_ports() {
    let rig = Rig::with_room(Rows::h1(), Room { frames: 1024, queue: 512, tunnel_queue: 1 });
    assert_did(&assert_no_allocation(rig, A1.door, &udp(A1, A2.mac, A2.ip)), 1, "drop.tx_full");
}

#[test]
fn drops() {
    let other = |payload| eth(A1.mac, RA.mac, payload);
    let frames = [
        (A1.door, vec![0; 13], "parse_short"),
        (A1.door, other(ip4(A3.ip, B1.ip).udp(1, 2, b"")), "ip_spoof"),
        (A1.door, other(ip4(A1.ip, B1.ip).ttl(1).fragment(1, false).carry(17, &[0; 8])), "ttl"),
        (A1.door, other(ip4(A1.ip, fg(H1).1).udp(1, 2, b"")), "fip_not_local"),
        (A1.door, udp(A1, mac("fa:16:3e:0a:00:77"), A3.ip), "unknown_unicast"),
        (Door::Tunnel, vx(H2, H1, 4242, &udp(A2, A1.mac, A1.ip)), "unknown_vni"),
        (Door::Phys(0), udp(V2, V1.mac, V1.ip), "vlan_unexpected"),
        (Door::Phys(0), phy(&udp(V1, V1.mac, V1.ip)), "local_mac_from_fabric"),
        (Door::Phys(1), ext(&eth(GX.0, fg(H1).0, ip4(E, FIP_B2).udp(1, 2, b""))), "fip_not_local"),
        (Door::Phys(1), ext(&eth(GX.0, MacAddr::BROADCAST, arp_request(GX.0, GX.1, GX.1 + 1))), "not_ours"),
        (Door::Unknown, udp(A1, A3.mac, A3.ip), "port_down"),
    ];
    for (door, frame, reason) in frames {
        assert_did(&assert_no_allocation(h1(), door, &frame), 0, &format!("drop.{reason}"));
    }
}

fn to_fg(dst: u32) -> Vec<u8> {
    ext(&eth(GX.0, fg(H1).0, ip4(E, dst).tcp(5000, 22)))
}

#[test]
fn physical_networks() {
    let arp = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, VIP, VIP));
    let asks = ext(&eth(GX.0, MacAddr::BROADCAST, arp_request(GX.0, GX.1, FIP_A1)));
    let p = phy(&eth(P.0, V1.mac, ip4(P.1, V1.ip).udp(1, 2, b"")));
    let routed = phy(&eth(H2.dvr, V1.mac, ip4(A2.ip, V1.ip).ttl(63).udp(1, 2, b"")));
    assert_did(&assert_no_allocation(h1(), V1.door, &udp(V1, V2.mac, V2.ip)), 64, "stage.lv_to_phys.packets");
    assert_did(&assert_no_allocation(h1(), A1.door, &udp(A1, RA.mac, V2.ip)), 64, "phys.0.tx");
    assert_did(&assert_no_allocation(h1(), Door::Phys(0), &p), 64, "port.4.tx");
    assert_did(&assert_no_allocation(h1(), Door::Phys(0), &routed), 64, "stage.dvr_to_src_mac.packets");
    assert_did(&assert_no_allocation(h1(), Door::Phys(1), &asks), 64, "phys.1.tx");
    let out = assert_no_allocation(h1(), A1.door, &arp);
    assert_eq!(out.reports.len(), 64, "what is watched is told");
}

#[test]
fn floating_ips() {
    let ping = eth(A1.mac, RA.mac, ip4(A1.ip, FIP_B1).echo(1, 1, b"x"));
    assert_did(&assert_no_allocation(h1(), A1.door, &udp(A1, RA.mac, E)), 64, "phys.1.tx");
    assert_did(&assert_no_allocation(h1(), A1.door, &ping), 64, "port.2.tx");
    assert_did(&assert_no_allocation(h1(), Door::Phys(1), &to_fg(FIP_A1)), 64, "port.0.tx");
    let quote = ip4(FIP_A1, E).udp(53, 53, b"?").bytes;
    let refused = [&[3, 3, 0, 0, 0, 0, 0, 0], &quote[..]].concat();
    let error = ext(&eth(GX.0, fg(H1).0, ip4(E, FIP_A1).carry(1, &refused)));
    assert_did(&assert_no_allocation(h1(), Door::Phys(1), &error), 64, "port.0.tx");
}

#[test]
fn errors_resets_and_those_beyond_the_limit() {
    let dying = |to| eth(A1.mac, RA.mac, ip4(A1.ip, to).ttl(2).udp(1, 2, b"x"));
    let dead = eth(A1.mac, RA.mac, ip4(A1.ip, B1.ip).ttl(1).udp(1, 2, b"x"));
    let syn = eth(A1.mac, RA.mac, ip4(A1.ip, RA.ip).tcp(1, 22));
    for frame in [dead, dying(K1.ip), syn, dying(RK.ip)] {
        let out = assert_no_allocation(h1(), A1.door, &frame);
        assert_eq!(out.moved.get("icmp_limited"), Some(&64), "told ten times in this second, before");
    }
    let mut rig = h1();
    let all = dataplane::police::Rate { per_second: u32::MAX, burst: u32::MAX };
    rig.worker.set_tell_limits(TellLimits { router: all, source: all });
    assert_did(&assert_no_allocation(rig, A1.door, &dying(K1.ip)), 64, "generated");
}

#[test]
fn pieces() {
    let mut rows = Rows::h1();
    rows.iface(RB, |i| i.mtu = 100);
    let frame = eth(A1.mac, RA.mac, ip4(A1.ip, B1.ip).udp(1, 2, &[7; 300]));
    let rig = Rig::with_room(rows, Room { frames: 1024, queue: 512, tunnel_queue: 512 });
    assert_did(&assert_no_allocation(rig, A1.door, &frame), 64 * 4, "copied");
}

#[test]
fn waiting_for_another_host_until_there_is_a_way_and_in_vain() {
    let frame = udp(A1, A2.mac, A2.ip);
    let mut lost = Rows::h1();
    lost.way(1, None);
    let mut rig = h1();
    for round in 0..12 {
        rig.now += 1_000_000_000;
        rig.publish(&lost);
        (0..40).for_each(|_| rig.inject(A1.door, &frame));
        let waiting = counted(|| assert_eq!(rig.worker.poll(A1.door, 64), 40));
        assert_eq!(rig.worker.unresolved().0, 16);
        if round % 2 == 0 {
            rig.publish(&Rows::h1());
        }
        let ending = counted(|| {
            rig.worker.idle();
            rig.worker.expire(rig.now + 1_000_000_000);
        });
        assert_eq!((rig.worker.unresolved().0, rig.drain().len()), (0, if round % 2 == 0 { 16 } else { 0 }));
        assert!(round < 2 || (waiting, ending) == (0, 0), "{waiting} and {ending} allocations or frees");
        while rig.worker.learn_queue().pop().is_some() {}
    }
}

#[test]
fn waiting_waking_and_giving_up() {
    let to = |n| eth(A1.mac, RA.mac, ip4(A1.ip, ip("10.2.0.100") + n).udp(1, 2, b"x"));
    let mut rig = h1();
    let there = tables::NeighValue::host(mac("fa:16:3e:0b:00:99"), tables::Target::Port(2), tables::NeighValue::ROUTE);
    let unanswered = tables::NeighValue::UNANSWERED;
    for round in 0..12 {
        rig.now += 1_000_000_000;
        for n in 0..40 {
            rig.inject(A1.door, &to(n % 10)); // three each of eight addresses wait, the rest is too much
        }
        let parking = counted(|| assert_eq!(rig.worker.poll(A1.door, 64), 40));
        assert_eq!(rig.worker.parked().0, 24);
        for n in 0..8 {
            let row = if n < 4 { there } else { unanswered };
            rig.neigh.put(&tables::ip4_key(B, ip("10.2.0.100") + n), row.to_word()).unwrap();
        }
        rig.news.tell(rig.now);
        let waking = counted(|| rig.worker.idle());
        assert_eq!((rig.worker.parked().0, rig.drain().len()), (0, 12 + 10), "sent, and ten errors a second");
        assert!(round < 2 || (parking, waking) == (0, 0), "{parking} and {waking} allocations or frees");
        for n in 0..8 {
            rig.neigh.remove(&tables::ip4_key(B, ip("10.2.0.100") + n));
        }
        while rig.worker.learn_queue().pop().is_some() {}
    }
    rig.assert_sound();
}

#[test]
fn frames_the_writer_asks_for() {
    let mut rig = h1();
    let frame = eth(H1.dvr, MacAddr::BROADCAST, arp_request(H1.dvr, 0, ip("10.1.0.99")));
    let frame = frame.as_slice().try_into().unwrap();
    let made = stage::Made { seg: A, seg_generation: 1, to: stage::MadeFor::Everybody, frame, time: 1 };
    for round in 0..4 {
        let n = counted(|| rig.worker.send_made(&made));
        assert_eq!(rig.drain().len(), 5);
        assert!(round < 2 || n == 0, "{n} allocations or frees");
    }
    rig.assert_sound();
}

/// Every round drops 64; the tap holds 100, so it is full in some of them.
#[test]
fn captured_drops() {
    let mut rig = h1();
    let tap = std::sync::Arc::new(drop_tap::DropTap::new(100));
    tap.start(128);
    rig.worker.tap_drops(tap.clone());
    let stranger = eth(mac("fa:16:3e:0a:00:77"), A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b""));
    let out = assert_no_allocation(rig, A1.door, &stranger);
    assert_did(&out, 0, "drop.mac_spoof");
    assert_eq!(out.moved.get("drop_capture_full"), Some(&64));
    assert_eq!(tap.pop().map(|r| r.bytes().to_vec()), Some(stranger));
}

#[test]
fn learn_events() {
    let stranger = eth(mac("fa:16:3e:0a:00:55"), A1.mac, ip4(ip("10.1.0.55"), A1.ip).udp(1, 2, b""));
    let out = assert_no_allocation(h1(), Door::Tunnel, &vx(H2, H1, 1001, &stranger));
    assert_eq!(out.learned.len(), 64);
    let mut rows = Rows::h1();
    rows.unsecure(A3);
    let out = assert_no_allocation(roomy(rows), A3.door, &stranger);
    assert_eq!(out.learned.len(), 64);
}

#[test]
fn a_row_of_the_newest_snapshot() {
    let mut rows = Rows::h1();
    rows.snap.tunnels.set(1, None);
    let rig = Rig::behind(rows, Rows::h1().snap);
    assert_did(&assert_no_allocation(rig, A1.door, &udp(A1, A2.mac, A2.ip)), 64, "snapshot_reload");
}

#[test]
fn traced_frames() {
    let mut rig = h1();
    rig.worker.trace = true;
    assert_did(&assert_no_allocation(rig, A1.door, &udp(A1, RA.mac, B2.ip)), 64, "tunnel.tx");
}

#[test]
fn hand_off_and_the_way_home() {
    let mut rows = Rows::h1();
    rows.port(A3.door, |p| p.owner = worker::WorkerId(1));
    let mut t = Team::new(&rows, 2, 64);
    let frame = udp(A1, A3.mac, A3.ip);
    for round in 0..12 {
        (0..65).for_each(|_| t.inject(0, A1.door, &frame)); // one more than the ring holds
        let n = counted(|| {
            while t.workers[0].poll(A1.door, 64) > 0 {}
            assert_eq!(t.workers[1].take_over(), 64);
        });
        assert_eq!(t.drain(1, A3.door).len(), 64);
        let m = counted(|| {
            t.workers[1].idle();
            t.workers[0].idle();
            t.workers[1].sleep(std::time::Duration::from_micros(1));
        });
        assert!(round < 2 || (n, m) == (0, 0), "{n} and {m} allocations or frees in a burst");
    }
    assert_eq!((t.sum("handed_over"), t.sum("drop.handoff_full")), (12 * 64, 12));
    t.assert_sound();
}

#[test]
fn a_turn_with_nothing_to_receive() {
    let mut rig = h1();
    rig.worker.idle();
    assert_eq!(counted(|| assert_eq!(rig.worker.poll(A1.door, 64), 0)), 0);
}
