//! A worker never allocates after its start: counted, kind of packet by kind of packet.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait")]

use dataplane::{addr, burst, drop_reason, drop_tap, handoff, io, learn, stage, tables, umem, worker};

#[allow(dead_code, unused_imports, reason = "shared with the crate's own tests")]
#[path = "../src/testkit/mod.rs"]
mod testkit;

use addr::MacAddr;
use burst::Door;
use dataplane::flood::FloodLimits;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use testkit::rig::Outcome;
use testkit::*;

thread_local! {
    /// Allocations, reallocations and frees of this thread while it counts.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

struct Counting;

impl Counting {
    fn note() {
        // A thread that is being torn down has no cell any more, and no packets either.
        let _ = COUNT.try_with(|c| c.set(c.get().map(|n| n + 1)));
    }
}

// SAFETY: every call is handed on to the system's allocator unchanged; counting touches only a
// thread-local cell without a destructor, which never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::note();
        // SAFETY: the caller keeps `alloc`'s contract, which is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        Counting::note();
        // SAFETY: as for `alloc`; `at` came from System.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::note();
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::note();
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and frees during `f`.
fn counted(f: impl FnOnce()) -> u64 {
    COUNT.set(Some(0));
    f();
    COUNT.replace(None).unwrap()
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
        (A1.door, other(ip4(A1.ip, B1.ip).ttl(1).udp(1, 2, b"")), "ttl"),
        (A1.door, other(ip4(A1.ip, ip("10.2.0.99")).udp(1, 2, b"")), "no_neigh"),
        (A1.door, udp(A1, mac("fa:16:3e:0a:00:77"), A3.ip), "unknown_unicast"),
        (Door::Tunnel, vx(H2, H1, 4242, &udp(A2, A1.mac, A1.ip)), "unknown_vni"),
        (Door::Phys(0), udp(V2, V1.mac, V1.ip), "not_built"),
        (Door::Unknown, udp(A1, A3.mac, A3.ip), "port_down"),
    ];
    for (door, frame, reason) in frames {
        assert_did(&assert_no_allocation(h1(), door, &frame), 0, &format!("drop.{reason}"));
    }
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
