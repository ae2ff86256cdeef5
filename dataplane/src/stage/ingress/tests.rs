//! Which door a frame came in by.

use crate::burst::{Burst, Door, FrameMeta, Lane, Mask};
use crate::testkit::*;
use crate::umem::Umem;

fn udp() -> Vec<u8> {
    eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b""))
}

#[test]
fn each_frame_counts_as_received_once_and_at_its_door() {
    let frames = vec![udp(); 65];
    Rig::h1().step(A1.door, &frames).assert_moved(
        "ingress*65 decode*65 vm_port*65 local_switching*65 egress*65",
        "received 65, port.0.rx 65, sent 65, port.1.tx 65",
    );
}

#[test]
fn frames_leave_in_the_order_they_came() {
    let frames: Vec<_> = (0..64u16).map(|n| eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(n, 2, b""))).collect();
    let sent = Rig::h1().step(A1.door, &frames).sent;
    assert_eq!(sent, frames.into_iter().map(|f| (A3.door, f)).collect::<Vec<_>>());
}

/// Rules: V0, E0.
#[test]
fn a_frame_from_a_physical_network_looks_for_its_network_there() {
    // No network of the host is flat on either of them.
    for door in [Door::Phys(0), Door::Phys(1)] {
        Rig::h1().one(door, udp()).assert_dropped(door, "ingress decode phys_to_lv", "vlan_unexpected");
    }
}

#[test]
fn a_frame_a_port_could_not_take_in_is_received_and_dropped() {
    let mut rig = Rig::h1();
    rig.worker.refuse(A1.door, crate::drop_reason::DropReason::Mtu, &[2; 9000], 1);
    rig.step(A1.door, &[]).assert_moved("", "");
    let c = rig.worker.counters();
    assert_eq!((c.received.get(), c.dropped.get(), c.port(A1.door).rx.get()), (1, 1, 1));
    assert_eq!(c.reason(crate::drop_reason::DropReason::Mtu).get(), 1);
}

#[test]
fn a_door_nobody_attached_gives_no_frames() {
    let mut rig = Rig::h1();
    rig.worker.detach(A1.door);
    assert_eq!(rig.worker.poll(A1.door, 64), 0);
}

/// Rules: W1. Indexes are reused: a port that is still attached when its index is another's speaks for nobody.
#[test]
fn a_port_whose_index_is_another_ports_by_now_is_unknown() {
    let frame = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"x"));
    let mut rig = Rig::h1();
    let mut rows = Rows::h1();
    rows.port(A1.door, |p| p.generation += 1);
    rig.publish(&rows);
    let path = "ingress decode vm_port";
    rig.one(A1.door, frame.clone()).assert_dropped(Door::Unknown, path, "port_down");
    // And nothing goes out by it:
    let out = rig.one(A3.door, eth(A3.mac, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b"x")));
    out.assert_dropped(A3.door, "ingress decode vm_port local_switching egress", "port_gone");
}

#[test]
fn the_frames_of_a_burst_are_sorted_by_door_whatever_their_order() {
    let doors = [A1.door, Door::Tunnel, B1.door, A1.door, Door::Phys(0), Door::Tunnel, Door::Unknown, A1.door];
    let mut umem = Umem::new(doors.len());
    let (mut pool, mut b, rig) = (umem.pools(1).remove(0), Burst::default(), Rig::h1());
    for door in doors {
        let lane = b.push(pool.take().unwrap(), FrameMeta::default(), door).unwrap();
        b.arrivals.add(door, Mask::of(lane));
    }
    let of = |kind: fn(&Door) -> bool| -> Mask {
        (0..doors.len()).filter(|n| kind(&doors[*n])).filter_map(Lane::new).collect()
    };
    let from = rig.with_ctx(|x| super::ingress(&mut b, x, rig.worker.io()));
    assert_eq!(from.tunnel, of(|d| *d == Door::Tunnel));
    assert_eq!(from.phys, of(|d| *d == Door::Phys(0)));
    assert_eq!(from.vm, of(|d| matches!(d, Door::Port(_) | Door::Unknown)));
    for (n, door) in doors.into_iter().enumerate() {
        let seg = [(A1.door, A), (B1.door, B)].into_iter().find(|(d, _)| *d == door).map_or(0, |(_, seg)| seg);
        assert_eq!(b.seg[Lane::new(n).unwrap()], seg, "lane {n}");
    }
    let rx = |door| rig.worker.counters().port(door).rx.get();
    let each = [A1.door, B1.door, Door::Tunnel, Door::Phys(0), Door::Unknown].map(rx);
    assert_eq!((each, rig.worker.counters().received.get()), ([3, 1, 2, 1, 1], 8));
}

#[test]
fn a_stage_records_the_traced_frames_that_enter_it_and_no_others() {
    use crate::{stage::Stage, trace::Note};
    let mut umem = Umem::new(3);
    let (mut pool, mut b, rig) = (umem.pools(1).remove(0), Burst::default(), Rig::h1());
    let mut lane = || b.push(pool.take().unwrap(), FrameMeta::default(), A1.door).unwrap();
    let [traced, elsewhere, plain] = [lane(), lane(), lane()];
    b.traced = [traced, elsewhere].into_iter().collect();
    rig.with_ctx(|x| {
        x.enter(Stage::Decode, &b, [traced, plain].into_iter().collect());
        x.enter(Stage::VmPort, &b, Mask::of(plain));
        x.note(&b, plain, Stage::VmPort, Note::Learn);
        x.note(&b, traced, Stage::VmPort, Note::Learn);
    });
    let steps: Vec<_> = std::iter::from_fn(|| rig.worker.tracer().pop()).map(|r| (r.lane, r.stage, r.note)).collect();
    assert_eq!(steps, [(traced, Stage::Decode, Note::Enter), (traced, Stage::VmPort, Note::Learn)]);
}

#[test]
fn a_trace_names_the_port_each_frame_of_a_burst_came_by() {
    use crate::trace::Note;
    let mut rig = Rig::h1();
    rig.worker.trace = true;
    rig.inject(B1.door, &eth(B1.mac, B2.mac, ip4(B1.ip, B2.ip).udp(1, 2, b"")));
    rig.inject(A1.door, &eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"")));
    assert_eq!(rig.worker.poll_ports(&[(B1.door, 8), (A1.door, 8)]), 2);
    let port = |note| if let Note::FromPort(port) = note { Some(port) } else { None };
    let told: Vec<_> = rig.notes().iter().filter_map(|r| Some((r.lane.index(), port(r.note)?))).collect();
    assert_eq!(told, [(0, 2), (1, 0)]); // B1 is port 2 of H1, A1 port 0
}
