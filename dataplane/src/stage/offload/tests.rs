//! What a VM left to its NIC: carried to the next VM, done before every other way out, refused where it cannot be.

use super::*;
use crate::burst::Door::{Phys, Tunnel};
use crate::testkit::*;
use crate::wire::reference;

/// The frame as a VM's kernel hands it over: in place of the TCP or UDP checksum the sum of the pseudo-header.
fn unfinished(frame: &[u8]) -> (Vec<u8>, Checksum) {
    let (proto, len) = (frame[23], (frame.len() - 34) as u16);
    let pseudo = [&frame[26..34], &[0, proto], &len.to_be_bytes()].concat();
    let offset = if proto == 6 { 16 } else { 6 };
    let at = 34 + offset;
    (with(frame, at, &reference::sum(&pseudo).to_be_bytes()), Checksum::Partial { start: 34, offset: offset as u16 })
}

fn from_a1(dst: (crate::addr::MacAddr, u32)) -> Vec<u8> {
    eth(A1.mac, dst.0, ip4(A1.ip, dst.1).udp(1000, 2000, b"odd"))
}

/// Rules: I0-gso.
#[test]
fn a_checksum_nobody_looks_at_is_left_to_the_next_vm() {
    let (frame, csum) = unfinished(&from_a1((A3.mac, A3.ip)));
    let mut rig = Rig::h1();
    rig.port_carries(A3.door, Carries { checksum: true, ..Carries::NOTHING });
    let (out, asked) = rig.offloaded(A1.door, &frame, csum, Gso::None);
    out.assert_sent(A1.door, "ingress decode vm_port local_switching egress", &[(A3.door, frame)]);
    assert_eq!(asked, [(csum, Gso::None)]);
}

/// Rules: I0-gso.
#[test]
fn it_is_done_before_a_way_that_does_not_carry_it() {
    let done = from_a1((A3.mac, A3.ip));
    let (frame, csum) = unfinished(&done);
    let (out, asked) = Rig::h1().offloaded(A1.door, &frame, csum, Gso::None);
    let path = "ingress decode vm_port local_switching offload egress";
    out.assert_sent_and(A1.door, path, &[(A3.door, done)], "checksum_done 1");
    assert_eq!(asked, [(Checksum::None, Gso::None)]);
    let done = from_a1((A2.mac, A2.ip));
    let (frame, csum) = unfinished(&done);
    let (out, asked) = Rig::h1().offloaded(A1.door, &frame, csum, Gso::None);
    let path = "ingress decode vm_port local_switching offload vxlan_encap egress";
    out.assert_sent_and(A1.door, path, &[(Tunnel, vx(H1, H2, 1001, &done))], "checksum_done 1");
    assert_eq!(asked, [(Checksum::None, Gso::None)]);
}

/// Rules: I0-gso, D6.
#[test]
fn a_translated_address_is_in_it() {
    let of = |src, ttl| ip4(src, E).ttl(ttl).tcp(40000, 443);
    let (frame, csum) = unfinished(&eth(A1.mac, RA.mac, of(A1.ip, 64)));
    let (out, _) = Rig::h1().offloaded(A1.door, &frame, csum, Gso::None);
    let path = "ingress decode vm_port qrouter dvr_process offload lv_to_phys egress";
    let sent = ext(&eth(fg(H1).0, GX.0, of(FIP_A1, 63)));
    out.assert_sent_and(A1.door, path, &[(Phys(1), sent)], "checksum_done 1");
}

/// Whatever the pseudo-header sums to: 0 and 0xffff are the same to a sum, but not to UDP. Rules: I0-gso, D6.
#[test]
fn every_sum_of_a_pseudo_header_is_translated() {
    for n in 0..=0xffff_u16 {
        let of = |src, ttl| ip4(src, E).ttl(ttl).udp(n, 9, b"");
        let (frame, csum) = unfinished(&eth(A1.mac, RA.mac, of(A1.ip, 64)));
        if n % 97 != 0 && frame[40..42] != [0, 0] && frame[40..42] != [0xff, 0xff] {
            continue;
        }
        let (out, _) = Rig::h1().offloaded(A1.door, &frame, csum, Gso::None);
        assert_eq!(out.sent, [(Phys(1), ext(&eth(fg(H1).0, GX.0, of(FIP_A1, 63))))], "{n}");
    }
}

/// A priority tag comes off, and the checksum moves with what is behind it. Rules: I0-gso, I1.
#[test]
fn behind_a_priority_tag() {
    let done = from_a1((A3.mac, A3.ip));
    let (frame, _) = unfinished(&done);
    let csum = Checksum::Partial { start: 38, offset: 6 };
    let (out, _) = Rig::h1().offloaded(A1.door, &tagged(&frame, &[0]), csum, Gso::None);
    assert_eq!(out.sent, [(A3.door, done)]);
}

/// MAL-04. Rules: I0-gso.
#[test]
fn what_cannot_be_is_refused() {
    let udp = from_a1((A3.mac, A3.ip));
    let tcp = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).tcp(1, 2));
    let partial = |start, offset| Checksum::Partial { start, offset };
    let l4 = partial(34, 16);
    let fragment = eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).fragment(0, true).tcp(1, 2));
    let arp = eth(A1.mac, crate::addr::MacAddr::BROADCAST, arp_request(A1.mac, A1.ip, A3.ip));
    let bad = [
        (&udp, partial(udp.len() as u16, 0), Gso::None), // past the frame
        (&udp, partial(34, udp.len() as u16 - 35), Gso::None),
        (&udp, partial(u16::MAX, u16::MAX), Gso::None),
        (&udp, partial(13, 2), Gso::None), // in the Ethernet header
        (&tcp, l4, Gso::TcpV4(0)),         // segments of no bytes
        (&udp, partial(34, 6), Gso::Udp(0)),
        (&tcp, Checksum::None, Gso::TcpV4(100)), // never without
        (&tcp, partial(14, 10), Gso::TcpV4(100)),
        (&tcp, l4, Gso::TcpV6(100)), // another protocol
        (&tcp, l4, Gso::Udp(100)),
        (&udp, partial(34, 6), Gso::TcpV4(100)),
        (&fragment, l4, Gso::TcpV4(100)),
        (&arp, partial(34, 6), Gso::TcpV4(100)),
        (&arp, partial(14, 10), Gso::Udp(100)),
    ];
    for (frame, csum, gso) in bad {
        let (out, _) = Rig::h1().offloaded(A1.door, frame, csum, gso);
        out.assert_dropped_by(A1.door, "ingress decode", "offload", "vnet_bad");
    }
    let short = with(&tcp, 46, &[4 << 4]); // a TCP header of 16 bytes
    let (out, _) = Rig::h1().offloaded(A1.door, &short, l4, Gso::TcpV4(100));
    out.assert_dropped_by(A1.door, "ingress decode", "offload", "vnet_bad");
}

/// Rules: I0-gso, W1.
#[test]
fn the_worker_that_owns_the_port_does_it() {
    let mut rows = crate::testkit::Rows::h1();
    rows.port(A3.door, |p| p.owner = crate::worker::WorkerId(1));
    let done = from_a1((A3.mac, A3.ip));
    let (frame, csum) = unfinished(&done);
    let mut team = Team::new(&rows, 2, 64);
    team.inject(0, A1.door, &frame);
    team.workers[0].memory_port(A1.door).unwrap().0.asks_for(csum, Gso::None);
    team.workers[0].poll(A1.door, 64);
    team.workers[1].take_over();
    assert_eq!(team.drain(1, A3.door), [done]);
    assert_eq!((team.sum("checksum_done"), team.workers[0].counters().event(Event::ChecksumDone).get()), (1, 0));
    team.assert_sound();
}

fn ping(src: u32, dst: u32, ttl: u8, n: usize) -> Payload {
    ip4(src, dst).ttl(ttl).echo(7, 9, &vec![0xa5; n])
}

/// A packet of several chunks goes where one of one chunk goes. Rules: R9, O3, T0.
#[test]
fn long_packets_take_the_same_ways() {
    let jumbo = |rows: &mut Rows| {
        rows.snap.host.underlay_mtu = 9100;
        [RA, RB].into_iter().for_each(|iface| rows.iface(iface, |i| i.mtu = 9000));
    };
    let carries = Carries { chunks: 17, ..Carries::NOTHING };
    let mut rig = Rig::h1_with(jumbo);
    [A1, A3, B1].into_iter().for_each(|vm| rig.port_carries(vm.door, carries));
    rig.port_carries(Tunnel, carries);
    for n in [1751, 1752, 3799, 3800, 8972] {
        let frame = eth(A1.mac, A3.mac, ping(A1.ip, A3.ip, 64, n));
        assert_eq!(rig.one(A1.door, frame.clone()).sent, [(A3.door, frame)], "bridged, {n}");
        let out = rig.one(A1.door, eth(A1.mac, RA.mac, ping(A1.ip, B1.ip, 64, n)));
        assert_eq!(out.sent, [(B1.door, eth(RB.mac, B1.mac, ping(A1.ip, B1.ip, 63, n)))], "routed, {n}");
        let out = rig.one(A1.door, eth(A1.mac, RA.mac, ping(A1.ip, B2.ip, 64, n)));
        let inner = eth(H1.dvr, B2.mac, ping(A1.ip, B2.ip, 63, n));
        assert_eq!(out.sent, [(Tunnel, vx(H1, H2, 1002, &inner))], "to another host, {n}");
        let inner = eth(A2.mac, A1.mac, ping(A2.ip, A1.ip, 64, n));
        let out = rig.one(Tunnel, vx(H2, H1, 1001, &inner));
        assert_eq!(out.sent, [(A1.door, inner)], "from another host, {n}");
        let out = rig.one(A1.door, eth(A1.mac, RA.mac, ping(A1.ip, RA.ip, 64, n)));
        let reply = eth(RA.mac, A1.mac, ip4(RA.ip, A1.ip).echo_reply(7, 9, &vec![0xa5; n]));
        assert_eq!(out.sent, [(A1.door, reply)], "answered, {n}");
    }
    let outer = |inner: &[u8]| vx(H2, H1, 1001, inner);
    let inner = eth(A2.mac, A1.mac, ping(A2.ip, A1.ip, 64, 5000));
    // An outer checksum is looked at over all chunks (RFC 7348, 5).
    let mut summed = outer(&inner);
    let pseudo = [&summed[26..34], &[0, 17], &summed[38..40]].concat();
    let check = !reference::sum(&[&pseudo, &summed[34..]].concat());
    summed[40..42].copy_from_slice(&check.to_be_bytes());
    assert_eq!(rig.one(Tunnel, summed.clone()).sent, [(A1.door, inner.clone())]);
    summed[4000] ^= 1;
    rig.one(Tunnel, summed).assert_dropped(Tunnel, "ingress vxlan_decap", "vx_bad");
    let padded = padded(&outer(&inner), 100);
    assert_eq!(rig.one(Tunnel, padded).sent, [(A1.door, inner)], "what is behind the packet is not the VM's");
    // A request whose checksum is wrong in its last chunk is none.
    let mut bad = eth(A1.mac, RA.mac, ping(A1.ip, RA.ip, 64, 5000));
    bad[5000] ^= 1;
    rig.one(A1.door, bad).assert_dropped(A1.door, "ingress decode vm_port qrouter", "ct_invalid");
    let mut cut_off = eth(A1.mac, A3.mac, ping(A1.ip, A3.ip, 64, 5000));
    cut_off.pop();
    rig.one(A1.door, cut_off).assert_dropped(A1.door, "ingress decode", "parse_l3");
}

/// Rules: R9.
#[test]
fn a_long_packet_does_not_go_to_a_port_that_does_not_carry_it() {
    let mut rig = Rig::h1();
    rig.port_carries(A1.door, Carries::ALL);
    let frame = eth(A1.mac, A3.mac, ping(A1.ip, A3.ip, 64, 5000));
    rig.one(A1.door, frame).assert_dropped(A1.door, "ingress decode vm_port local_switching egress", "mtu");
}

/// Every receiver of a flood gets all of it, and a flood without buffers loses copies by name. Rules: L6.
#[test]
fn long_packets_are_copied_whole() {
    let carries = Carries { chunks: 17, ..Carries::NOTHING };
    let mut rig = Rig::h1_with(|r| r.snap.host.underlay_mtu = 9100);
    [A1.door, A3.door, Tunnel].into_iter().for_each(|door| rig.port_carries(door, carries));
    let all = crate::addr::MacAddr::BROADCAST;
    let frame = eth(A1.mac, all, ping(A1.ip, ip("10.1.0.255"), 64, 5000));
    let out = rig.one(A1.door, frame.clone());
    let to_tunnels = [H2, H3, H4].map(|host| (Tunnel, vx(H1, host, 1001, &frame)));
    assert_eq!(out.sent, [&[(A3.door, frame)][..], &to_tunnels].concat());
}

/// R8 for a packet of several chunks. Rules: R8-icmp.
#[test]
fn long_packets_are_cut_for_a_smaller_network() {
    let mut rig = Rig::h1_with(|r| r.iface(RB, |i| i.mtu = 1500));
    rig.port_carries(A1.door, Carries::ALL);
    let data: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
    let message = ip4(A1.ip, B1.ip).udp(1, 2, &data).bytes[20..].to_vec();
    let piece = |offset: usize, len: usize| {
        let more = offset + len < message.len();
        let p = ip4(A1.ip, B1.ip).ttl(63).fragment((offset / 8) as u16, more).carry(17, &message[offset..offset + len]);
        (B1.door, eth(RB.mac, B1.mac, p))
    };
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, ip4(A1.ip, B1.ip).carry(17, &message)));
    let pieces = [piece(0, 1480), piece(1480, 1480), piece(2960, 1480), piece(4440, 568)];
    assert_eq!(out.sent, pieces);
    // With DF the sender is told.
    let lost = ip4(A1.ip, B1.ip).df().carry(17, &message);
    let out = rig.one(A1.door, eth(A1.mac, RA.mac, lost.clone()));
    let path = "ingress decode vm_port qrouter icmp_error egress";
    out.assert_told(A1.door, path, "mtu", eth(RA.mac, A1.mac, icmp_error(RA.ip, too_big(1500), &lost)));
}
