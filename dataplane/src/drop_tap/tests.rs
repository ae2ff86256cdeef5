//! What a capture of drops shows: each dropped frame as it was received.

use super::*;
use crate::addr::MacAddr;
use crate::burst::Door::Tunnel;
use crate::counters::Event;
use crate::testkit::*;
use std::sync::Arc;

fn tapped(rig: &mut Rig, records: usize) -> Arc<DropTap> {
    let tap = Arc::new(DropTap::new(records));
    tap.start(MAX_FRAME);
    rig.worker.tap_drops(tap.clone());
    tap
}

/// Door, stage, reason and bytes of every record.
fn all(tap: &DropTap) -> Vec<(Door, Stage, DropReason, Vec<u8>)> {
    std::iter::from_fn(|| tap.pop()).map(|r| (r.door, r.stage, r.reason, r.bytes().to_vec())).collect()
}

fn stranger() -> Vec<u8> {
    eth(mac("fa:16:3e:0a:00:77"), A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"x"))
}

fn to_a2() -> Vec<u8> {
    eth(A1.mac, A2.mac, ip4(A1.ip, A2.ip).udp(1, 2, b"x"))
}

/// With an 802.1Q tag: priority 5, VID 0.
fn tagged(frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &[0x81, 0, 0xa0, 0], &frame[12..]].concat()
}

#[test]
fn a_record_says_when_where_and_why() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 4);
    rig.now = 7_000_000_123;
    rig.one(A1.door, stranger());
    let r = tap.pop().unwrap();
    assert_eq!((r.time, r.door, r.stage, r.reason), (rig.now, A1.door, Stage::VmPort, DropReason::MacSpoof));
    assert_eq!((r.len as usize, r.bytes()), (stranger().len(), &stranger()[..]));
    assert!(tap.pop().is_none());
}

#[test]
fn nothing_is_kept_of_what_is_not_dropped_or_while_it_is_off() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 4);
    rig.one(A1.door, to_a2());
    rig.one(A1.door, eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, RA.ip)));
    assert!(all(&tap).is_empty());
    tap.stop();
    assert!(!tap.is_on());
    rig.one(A1.door, stranger());
    assert!(all(&tap).is_empty());
    tap.start(0); // as little as there can be, not off
    rig.one(A1.door, stranger());
    assert_eq!(all(&tap)[0].3, stranger()[..1]);
}

#[test]
fn a_frame_is_cut_at_the_snap_length_and_its_length_is_not() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 4);
    tap.start(20);
    rig.one(A1.door, stranger());
    let r = tap.pop().unwrap();
    assert_eq!((r.len as usize, r.bytes()), (stranger().len(), &stranger()[..20]));
}

#[test]
fn a_tunnel_frame_keeps_its_outer_headers() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 4);
    let unknown = vx(H2, H1, 4242, &to_a2());
    let nobody = vx(H2, H1, 1002, &eth(H2.dvr, mac("fa:16:3e:0b:00:77"), ip4(A2.ip, B1.ip).udp(1, 2, b"x")));
    rig.one(Tunnel, unknown.clone());
    rig.one(Tunnel, nobody.clone());
    assert_eq!(
        all(&tap),
        [
            (Tunnel, Stage::VxlanTunToLv, DropReason::UnknownVni, unknown),
            (Tunnel, Stage::DvrToSrcMac, DropReason::DvrUnknownDst, nobody)
        ]
    );
}

#[test]
fn copies_show_what_their_original_was_received_as() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 8, queue: 1, tunnel_queue: 128 });
    let tap = tapped(&mut rig, 64);
    // Every buffer has held something else.
    (0..16).for_each(|n| drop(rig.one(A1.door, eth(A1.mac, RA.mac, ip4(A3.ip, A2.ip).udp(n, 2, &[0xee; 200])))));
    all(&tap);
    let flood = vx(H2, H1, 1001, &eth(A2.mac, MacAddr::BROADCAST, ip4(A2.ip, u32::MAX).udp(1, 2, b"x")));
    let frame = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"x"));
    rig.inject(A1.door, &frame);
    rig.worker.poll(A1.door, 64); // A3's queue is full now
    for _ in 0..2 {
        rig.inject(Tunnel, &flood);
        rig.worker.poll(Tunnel, 64);
        // A1 takes the first one, nobody takes the second.
    }
    let full = || (Tunnel, Stage::Egress, DropReason::TxFull, flood.clone());
    assert_eq!(all(&tap), [full(), full(), full()]);
    rig.drain();
}

#[test]
fn a_copy_without_a_buffer_is_there_too() {
    let mut rig = Rig::with_room(Rows::h1(), Room { frames: 1, ..Room::default() });
    let tap = tapped(&mut rig, 64);
    let flood = eth(A1.mac, MacAddr::BROADCAST, ip4(A1.ip, u32::MAX).udp(1, 2, b"x"));
    let out = rig.one(A1.door, flood.clone());
    let dropped = out.moved["drop.no_frame"] as usize;
    assert!(dropped > 1);
    assert_eq!(all(&tap), vec![(A1.door, Stage::FloodToTun, DropReason::NoFrame, flood); dropped]);
}

#[test]
fn a_priority_tag_that_came_off_is_back() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 4);
    let frame = tagged(&stranger());
    rig.one(A1.door, frame.clone());
    assert_eq!(all(&tap), [(A1.door, Stage::VmPort, DropReason::MacSpoof, frame)]);
}

#[test]
fn a_priority_tag_under_the_outer_headers_is_back() {
    let mut rig = Rig::with_room(Rows::h1(), Room { tunnel_queue: 0, ..Room::default() });
    let tap = tapped(&mut rig, 4);
    let out = rig.one(A1.door, tagged(&to_a2()));
    assert_eq!(out.sent, []);
    rig.one(A1.door, to_a2());
    let full = |frame| (A1.door, Stage::Egress, DropReason::TxFull, frame);
    assert_eq!(all(&tap), [full(tagged(&to_a2())), full(to_a2())]);
}

#[test]
fn what_stages_rewrote_is_as_received() {
    // Routed: MACs, TTL, checksum and the outer headers in front.
    let mut rig = Rig::with_room(Rows::h1(), Room { tunnel_queue: 0, ..Room::default() });
    let tap = tapped(&mut rig, 16);
    for frame in [
        eth(A1.mac, RA.mac, ip4(A1.ip, B2.ip).udp(1, 2, b"x")),
        tagged(&eth(A1.mac, RA.mac, ip4(A1.ip, B2.ip).udp(1, 2, &[7; 300]))),
    ] {
        rig.one(A1.door, frame.clone());
        assert_eq!(all(&tap), [(A1.door, Stage::Egress, DropReason::TxFull, frame)]);
    }
    // Routed elsewhere, with a mark of congestion on the way: MAC, TOS and checksum of the inner packet.
    let mut rig = Rig::with_room(Rows::h1(), Room { queue: 0, ..Room::default() });
    let tap = tapped(&mut rig, 16);
    let inner = eth(H2.dvr, A1.mac, ip4(B2.ip, A1.ip).tos(2).udp(1, 2, b"x"));
    let mut frame = vx(H2, H1, 1001, &inner);
    let check = u16::from_be_bytes([frame[24], frame[25]]);
    let tos = frame[15];
    frame[15] |= 3;
    let check = !crate::wire::fold_half(u32::from(!check) + u32::from(frame[15] - tos));
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    let out = rig.one(Tunnel, frame.clone());
    assert!(out.moved.contains_key("drop.tx_full"), "{:?}", out.moved);
    assert_eq!(all(&tap), [(Tunnel, Stage::Egress, DropReason::TxFull, frame)]);
}

#[test]
fn a_frame_received_before_the_tap_was_on_has_no_head_of_another() {
    let mut b = Burst::default();
    let meta = FrameMeta::of_received(256, 60, 0);
    let mut frame = Box::leak(Box::new(crate::umem::Umem::new(1))).pools(1).remove(0).take().unwrap();
    frame.chunk_mut()[..128].fill(0xee);
    frame.chunk_mut()[256..316].fill(1);
    let lane = b.push(frame, meta, A1.door).unwrap();
    let tap = DropTap::new(2);
    tap.start(MAX_FRAME);
    let what = || Dropped { time: 0, door: A1.door, stage: Stage::Egress, reason: DropReason::TxFull };
    assert!(tap.keep_chunk(what(), &b.meta[lane], b.frame[lane].as_ref().unwrap().chunk()));
    assert_eq!(tap.pop().unwrap().bytes(), [1; 60]);
    save_heads(&mut b);
    b.frame[lane].as_mut().unwrap().chunk_mut()[256..316].fill(2);
    assert_eq!(b.meta[lane].rx_head, 60);
    assert!(tap.keep_chunk(what(), &b.meta[lane], b.frame[lane].as_ref().unwrap().chunk()));
    assert_eq!(tap.pop().unwrap().bytes(), [1; 60]);
}

/// What goes with a frame through hand-off rings stays within half a cache line.
#[test]
fn frame_meta_is_32_bytes() {
    assert_eq!(std::mem::size_of::<FrameMeta>(), 32);
}

#[test]
fn an_answer_that_is_dropped_is_shown_as_made() {
    let mut rig = Rig::with_room(Rows::h1(), Room { queue: 1, ..Room::default() });
    let tap = tapped(&mut rig, 4);
    let mut request = eth(A1.mac, MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, RA.ip));
    request.resize(60, 0);
    for _ in 0..2 {
        rig.inject(A1.door, &request);
        rig.worker.poll(A1.door, 64);
    }
    let answer = eth(RA.mac, A1.mac, arp_reply(RA.mac, RA.ip, A1.mac, A1.ip));
    assert_eq!(all(&tap), [(A1.door, Stage::Egress, DropReason::TxFull, answer)]);
    rig.drain();
}

#[test]
fn a_frame_no_port_could_take_in_is_there_as_far_as_a_buffer_goes() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 4);
    rig.worker.refuse(A1.door, DropReason::Mtu, &[2; 9000], 5);
    rig.worker.refuse(A1.door, DropReason::NoFrame, &stranger(), 6);
    let r = tap.pop().unwrap();
    assert_eq!((r.time, r.stage, r.reason, r.len), (5, Stage::Ingress, DropReason::Mtu, 9000));
    assert_eq!(r.bytes(), [2; MAX_FRAME]);
    let r = tap.pop().unwrap();
    assert_eq!((r.time, r.reason, r.bytes()), (6, DropReason::NoFrame, &stranger()[..]));
}

#[test]
fn a_full_tap_loses_records_and_counts_them() {
    let mut rig = Rig::h1();
    let tap = tapped(&mut rig, 2);
    let frames = vec![stranger(); 5];
    rig.step(A1.door, &frames).assert_moved(
        "ingress*5 decode*5 vm_port*5",
        "received 5, port.0.rx 5, dropped 5, drop.mac_spoof 5, port.0.drop.mac_spoof 5, stage.vm_port.dropped 5, \
         drop_capture_full 3",
    );
    assert_eq!((all(&tap).len(), tap.capacity()), (2, 2));
    rig.worker.refuse(A1.door, DropReason::Mtu, &[2; 9000], 5);
    rig.worker.refuse(A1.door, DropReason::Mtu, &[2; 9000], 5);
    rig.worker.refuse(A1.door, DropReason::Mtu, &[2; 9000], 5);
    assert_eq!(rig.worker.counters().event(Event::DropCaptureFull).get(), 4);
}
