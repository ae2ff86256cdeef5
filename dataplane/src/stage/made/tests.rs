//! Probes and announcements: where they go, and when they do not.

use super::{Made, MadeFor};
use crate::burst::Door::{Phys, Tunnel};
use crate::tables::*;
use crate::testkit::*;

const NOW: u64 = 7_000_000_000;

fn made(seg: SegIx, to: MadeFor, frame: &[u8]) -> Made {
    Made { seg, seg_generation: 1, to, frame: frame.try_into().unwrap(), time: NOW }
}

/// The probe of 3.10 for `ip`.
fn probe(ip: u32) -> Vec<u8> {
    eth(H1.dvr, crate::addr::MacAddr::BROADCAST, arp_request(H1.dvr, 0, ip))
}

/// Rules: R7-probe.
#[test]
fn a_probe_goes_to_local_ports_tunnels_and_the_physical_network() {
    let frame = probe(ip("10.1.0.99")); // EW-15
    assert_eq!(frame.len(), 42);
    let out = Rig::h1().make(&made(A, MadeFor::Everybody, &frame));
    let far = |h| (Tunnel, vx(H1, h, 1001, &frame));
    assert_eq!(out.sent, [(A1.door, frame.clone()), (A3.door, frame.clone()), far(H2), far(H3), far(H4)]);
    out.assert_moved(
        "decode egress flood_to_tun vxlan_encap*3",
        "generated 1, copied 4, sent 5, port.0.tx 1, port.1.tx 1, tunnel.tx 3",
    );
    let frame = probe(P.1);
    let out = Rig::h1().make(&made(V, MadeFor::Everybody, &frame));
    assert_eq!(out.sent, [(V1.door, frame.clone()), (Phys(0), phy(&frame))]);
    out.assert_moved(
        "decode egress flood_to_tun lv_to_phys",
        "generated 1, copied 1, sent 2, port.4.tx 1, phys.0.tx 1",
    );
}

/// Rules: F42, V4.
#[test]
fn an_announcement_goes_where_it_is_for() {
    let frame = eth(RA.mac, crate::addr::MacAddr::BROADCAST, arp_request(RA.mac, RA.ip, RA.ip));
    let out = Rig::h1().make(&made(A, MadeFor::Ports, &frame));
    assert_eq!(out.sent, [(A1.door, frame.clone()), (A3.door, frame)], "with the router's own MAC");
    out.assert_moved("decode egress flood_to_tun", "generated 1, copied 1, sent 2, port.0.tx 1, port.1.tx 1");
    let frame = eth(RV.mac, crate::addr::MacAddr::BROADCAST, arp_request(RV.mac, RV.ip, RV.ip));
    let out = Rig::h1().make(&made(V, MadeFor::Phys, &frame));
    assert_eq!(out.sent, [(Phys(0), phy(&frame))]);
    out.assert_moved("decode lv_to_phys egress", "generated 1, sent 1, phys.0.tx 1");
}

/// Rules: R7-probe, F42.
#[test]
fn a_network_that_is_gone_meanwhile_gets_nothing() {
    let frame = probe(ip("10.1.0.99"));
    let gone: [fn(&mut Rows); 2] = [|r| r.snap.segments.set(A, None), |r| r.seg(A, |s| s.generation = 2)];
    for change in gone {
        Rig::h1_with(change).make(&made(A, MadeFor::Everybody, &frame)).assert_moved("", "");
    }
    let later = Made { seg_generation: 2, ..made(A, MadeFor::Everybody, &frame) };
    Rig::h1().make(&later).assert_moved("", "");
}

/// Rules: F42, V4.
#[test]
fn where_nobody_is_it_ends_as_a_drop() {
    let frame = probe(ip("10.9.0.99"));
    Rig::h1().make(&made(C, MadeFor::Ports, &frame)).assert_moved(
        "decode egress flood_to_tun",
        "generated 1, dropped 1, drop.no_receiver 1, unknown.drop.no_receiver 1, stage.flood_to_tun.dropped 1",
    );
    // The network changed its wire.
    Rig::h1().make(&made(C, MadeFor::Phys, &frame)).assert_moved(
        "decode lv_to_phys",
        "generated 1, dropped 1, drop.port_gone 1, unknown.drop.port_gone 1, stage.lv_to_phys.dropped 1",
    );
}

/// Rules: R7-probe, F42.
#[test]
fn without_a_free_buffer_it_is_no_frame() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 1, ..Room::default() });
    // The only buffer waits with a packet in it.
    rig.one(A1.door, eth(A1.mac, RA.mac, ip4(A1.ip, ip("10.2.0.99")).udp(1, 2, b"")));
    rig.make(&made(A, MadeFor::Ports, &probe(1)))
        .assert_moved("", "generated 1, dropped 1, drop.no_frame 1, unknown.drop.no_frame 1, stage.egress.dropped 1");
}

/// Rules: R7-probe.
#[test]
fn a_worker_sends_what_it_finds_in_its_letter_box() {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;
    let mut rig = Rig::h1();
    let order = || crate::worker::Order::Send(made(A, MadeFor::Ports, &probe(1)));
    rig.worker.orders().push(order()).unwrap();
    let idle = crate::worker::Idle::Adaptive { spin: Duration::ZERO, sleep: Duration::ZERO };
    rig.worker.work(idle, &AtomicBool::new(true)); // stopped at once: it obeys, and closes its ports
    let c = rig.worker.counters();
    assert_eq!((c.generated.get(), c.copied.get(), c.sent.get()), (1, 1, 2));
    assert!(rig.worker.doors().is_empty());
}
