//! Whatever bytes come in by whatever door: no panic, one fate for every frame, no frame lost.
//!
//! A run is a seed; `DVRD_SEED=n` repeats one, `DVRD_ROUNDS=n` makes it longer.

use dataplane::{addr, burst, drop_reason, handoff, io, learn, parking, stage, tables, trace, umem, worker};

#[allow(dead_code, unused_imports, reason = "shared with the crate's own tests")]
#[path = "../src/testkit/mod.rs"]
mod testkit;

use addr::MacAddr;
use burst::Door;
use dataplane::police::Rate;
use dataplane::told::TellLimits;
use std::collections::BTreeSet;
use testkit::*;

const ROUNDS: usize = 3000;

/// Pseudo-random numbers that a seed brings back (splitmix64, Steele et al. 2014).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0..n.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Valid frames of every kind, with the door each belongs to. The starting points of mutation.
fn valid_frames() -> Vec<(Door, Vec<u8>)> {
    let all = MacAddr::BROADCAST;
    let from_a1 = |dst, payload| (A1.door, eth(A1.mac, dst, payload));
    let tunnel = |from, vni, frame: Vec<u8>| (Door::Tunnel, vx(from, H1, vni, &frame));
    let six = |p: Ip6| p.udp(1, 2, b"six");
    vec![
        from_a1(A3.mac, ip4(A1.ip, A3.ip).udp(1000, 2000, &[7; 40])),
        from_a1(A2.mac, ip4(A1.ip, A2.ip).tcp(1000, 2000)),
        from_a1(RA.mac, ip4(A1.ip, B1.ip).udp(1000, 2000, &[7; 1400])),
        from_a1(RA.mac, ip4(A1.ip, B2.ip).tos(3).tcp(1000, 80)),
        from_a1(RA.mac, ip4(A1.ip, K1.ip).echo(1, 1, &[0; 56])),
        from_a1(RA.mac, ip4(A1.ip, RB.ip).options(&[7, 7, 4, 0, 0, 0, 0, 0]).echo(1, 1, &[0; 56])),
        from_a1(RA.mac, ip4(A1.ip, RK.ip).echo(1, 1, &[0; 56])),
        from_a1(RA.mac, ip4(A1.ip, E).options(&[131, 7, 4, 10, 0, 0, 1, 0]).tcp(1, 2)),
        from_a1(RA.mac, ip4(A1.ip, B1.ip).fragment(3, true).carry(17, &[1; 64])),
        from_a1(all, arp_request(A1.mac, A1.ip, RA.ip)),
        from_a1(all, arp_request(A1.mac, A1.ip, A2.ip)),
        from_a1(all, arp_request(A1.mac, A1.ip, A1.ip)),
        from_a1(H2.dvr, arp_reply(A1.mac, A1.ip, H2.dvr, 0)),
        from_a1(all, rarp(A1.mac)),
        from_a1(all, ip4(0, u32::MAX).udp(68, 67, &[1; 240])),
        from_a1(mac("33:33:00:00:00:02"), rs(lla(A1.mac), A1.mac)),
        from_a1(mac("33:33:ff:00:00:01"), ns(A1_V6, ip6("ff02::1:ff00:1"), RA_V6, Some(A1.mac))),
        from_a1(A3.mac, na(lla(A1.mac), lla(A3.mac), lla(A1.mac), A1.mac)),
        from_a1(A3.mac, six(v6(A1_V6, 1).ext(0, &[0; 8]).ext(60, &[0; 8]).ext(43, &[0, 0, 4, 0, 0, 0, 0, 0]))),
        from_a1(A3.mac, six(v6(A1_V6, 1).fragment(0, true))),
        (A1.door, tagged(&eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"tag")), &[0])),
        (A1.door, tagged(&eth(A1.mac, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"tag")), &[5, 6])),
        tunnel(H2, 1001, eth(A2.mac, A1.mac, ip4(A2.ip, A1.ip).tos(1).udp(1, 2, &[3; 30]))),
        tunnel(H2, 1001, eth(A2.mac, all, ip4(A2.ip, u32::MAX).udp(1, 2, b"all"))),
        tunnel(H2, 1002, eth(H2.dvr, B1.mac, ip4(A2.ip, B1.ip).ttl(63).tcp(1, 2))),
        tunnel(H2, 1001, eth(H2.dvr, all, arp_request(H2.dvr, 0, A1.ip))),
        tunnel(H3, 1001, eth(mac("02:00:00:00:00:55"), A3.mac, six(v6(1, 2)))),
        (Door::Tunnel, eth(H2.nic, H1.nic, ip4(H2.vtep, H1.vtep).udp(5, 4789, &[8; 70]))),
        // To be translated, cut, told about, waited for, refused.
        from_a1(RA.mac, ip4(A1.ip, E).tcp(1000, 443)),
        from_a1(RA.mac, ip4(A1.ip, FIP_B1).echo(1, 1, &[0; 56])),
        from_a1(RA.mac, ip4(A1.ip, FIP_B2).udp(1000, 2000, &[7; 40])),
        from_a1(RA.mac, ip4(A1.ip, E).carry(1, &quoting(&ip4(E, A1.ip).udp(53, 53, b"?")))),
        from_a1(RA.mac, ip4(A1.ip, V2.ip).options(&[7, 3, 4, 1, 148, 4, 0, 0]).udp(1000, 2000, &[7; 700])),
        from_a1(RA.mac, ip4(A1.ip, V2.ip).df().udp(1000, 2000, &[7; 700])),
        from_a1(RA.mac, ip4(A1.ip, K1.ip).ttl(2).udp(1000, 2000, &[7; 40])),
        from_a1(RA.mac, ip4(A1.ip, ip("10.2.0.99")).udp(1000, 2000, &[7; 40])),
        from_a1(RA.mac, ip4(A1.ip, RA.ip).udp(1000, 53, b"?")),
        from_a1(RA.mac, ip4(A1.ip, RK.ip).tcp(1000, 22)),
        from_a1(all, arp_request(A1.mac, VIP, VIP)),
        (A3.door, eth(A3.mac, RA.mac, ip4(A3.ip, E).tcp(1000, 443))),
        // From physical networks.
        (Door::Phys(0), phy(&eth(P.0, V1.mac, ip4(P.1, V1.ip).udp(1, 2, &[3; 30])))),
        (Door::Phys(0), phy(&eth(P.0, RV.mac, ip4(P.1, A1.ip).ttl(1).echo(1, 1, &[3; 30])))),
        (Door::Phys(0), phy(&eth(P.0, all, arp_request(P.0, P.1, RV.ip)))),
        (Door::Phys(0), phy(&eth(P.0, H1.dvr, arp_reply(P.0, P.1, H1.dvr, 0)))),
        (Door::Phys(0), phy(&eth(H2.dvr, V1.mac, ip4(A2.ip, V1.ip).ttl(63).tcp(1, 2)))),
        (Door::Phys(1), to_fg(ip4(E, FIP_A1).tcp(5000, 22))),
        (Door::Phys(1), to_fg(ip4(E, FIP_A1).df().udp(1, 2, &[7; 700]))),
        (Door::Phys(1), to_fg(ip4(E, FIP_A1).udp(1, 2, &[7; 700]))),
        (Door::Phys(1), to_fg(ip4(E, FIP_A1).fragment(3, true).carry(17, &[1; 64]))),
        (Door::Phys(1), to_fg(ip4(E, FIP_A1).carry(1, &quoting(&ip4(FIP_A1, E).tcp(1, 2))))),
        (Door::Phys(1), to_fg(ip4(E, fg(H1).1).echo(1, 1, &[0; 56]))),
        (Door::Phys(1), to_fg(ip4(E, FIP_B2).tcp(5000, 22))),
        (Door::Phys(1), ext(&eth(GX.0, all, arp_request(GX.0, GX.1, FIP_A1)))),
        (Door::Phys(1), ext(&eth(fg(H2).0, fg(H1).0, arp_reply(fg(H2).0, FIP_B2, fg(H1).0, fg(H1).1)))),
    ]
}

fn to_fg(p: Payload) -> Vec<u8> {
    ext(&eth(GX.0, fg(H1).0, p))
}

/// An ICMP error about `p`; its checksum is right by chance only.
fn quoting(p: &Payload) -> Vec<u8> {
    [&[3, 3, 0x12, 0x34, 0, 0, 0, 0], &p.bytes[..]].concat()
}

/// One of many ways to spoil a frame. `tunnel` frames get their outer header checksum back often,
/// or nothing would be looked at behind it.
fn mutate(r: &mut Random, door: Door, frame: &mut Vec<u8>) {
    match r.below(8) {
        0 => frame.truncate(r.below(frame.len() + 1)),
        1 => {
            for _ in 0..=r.below(16) {
                if !frame.is_empty() {
                    let at = r.below(frame.len());
                    frame[at] ^= 1 << r.below(8);
                }
            }
        }
        // Length fields: IPv4 total length, IHL, IPv6 payload length, UDP length, option lengths.
        2 => {
            let at = *r.pick(&[14, 16, 17, 18, 19, 35, 38, 39, 54, 55, 64, 66, 67, 88, 89]);
            if at < frame.len() {
                frame[at] = r.next() as u8;
            }
        }
        3 if frame.len() >= 14 => {
            let tags: Vec<u16> = (0..=r.below(3)).map(|_| r.next() as u16 & 0xf003).collect();
            *frame = tagged(frame, &tags);
        }
        4 => frame.extend((0..r.below(200)).map(|n| n as u8)),
        5 => {
            let (at, n) = (r.below(frame.len() + 1), r.below(24));
            frame.iter_mut().skip(at).take(n).for_each(|b| *b = r.next() as u8);
        }
        6 => {
            let kind = *r.pick(&[0x0800u16, 0x0806, 0x8035, 0x86dd, 0x8100, 0x88a8]);
            if frame.len() >= 14 {
                frame[12..14].copy_from_slice(&kind.to_be_bytes());
            }
        }
        _ => {
            let known = [RA.mac, A1.mac, A3.mac, H1.dvr, H2.dvr, MacAddr::BROADCAST, MacAddr::ZERO, B1.mac];
            let outside = [RV.mac, V1.mac, P.0, GX.0, fg(H1).0, fg(H2).0];
            let mac = *r.pick(&[&known[..], &outside].concat());
            let at = 6 * r.below(2);
            if frame.len() >= 14 {
                frame[at..at + 6].copy_from_slice(&mac.octets());
            }
        }
    }
    let ihl = frame.get(OUTER_IP).map_or(0, |b| usize::from(b & 15) * 4);
    if door == Door::Tunnel && ihl >= 20 && frame.len() >= OUTER_IP + ihl && r.below(4) > 0 {
        *frame = with_right_sum(frame, OUTER_IP);
    }
}

fn noise(r: &mut Random) -> Vec<u8> {
    let len = *r.pick(&[0, 1, 13, 14, 15, 34, 60, 64, 200, 1500, umem::MAX_FRAME]);
    (0..r.below(len + 1)).map(|_| r.next() as u8).collect()
}

/// H1 with everything in it that the pipeline can meet.
fn rig(r: &mut Random) -> Rig {
    let mut rows = Rows::h1();
    if r.below(2) == 0 {
        rows.unsecure(A1);
    }
    if r.below(3) == 0 {
        rows.unsecure(A3);
        rows.seg(A, |s| s.flood_unknown = true);
    }
    if r.below(4) == 0 {
        rows.seg(A, |s| s.vlan_transparent = true);
    }
    if r.below(4) == 0 {
        rows.down(B1);
    }
    if r.below(4) == 0 {
        let circle = tables::Route { net: 0, len: 0, hops: vec![tables::Hop::new(RC2.ix, RC1.ip)] };
        rows.router(R2, |r2| r2.routes = routes(R2, &[circle]));
    }
    if r.below(2) == 0 {
        rows.seg(V, |s| s.phys_gw = true);
    }
    if r.below(4) == 0 {
        rows.iface(RB, |i| i.scope = 7);
    }
    for iface in [RA, RB, RV, RC1] {
        if r.below(3) == 0 {
            let mtu = *r.pick(&[28, 60, 68, 300, 576, 1400]);
            rows.iface(iface, |i| i.mtu = mtu);
        }
    }
    let frames = *r.pick(&[64, 80, 300]);
    let queue = *r.pick(&[64, 100, 300]);
    if r.below(3) == 0 {
        rows.neighbour(A, SGA.ip, SGA.mac, tables::Target::Snat, tables::NeighValue::ROUTE);
    }
    let mut rig = Rig::with_room(rows, Room { frames, queue, tunnel_queue: *r.pick(&[64, 300]) });
    if r.below(2) == 0 {
        let one = Rate { per_second: 1, burst: 1 };
        rig.worker.set_tell_limits(TellLimits { router: one, source: one });
    }
    rig
}

/// Sends `frames` in by `door` as one burst; [`Rig::step`] asserts what must hold. Returns what moved.
fn burst(rig: &mut Rig, door: Door, frames: &[Vec<u8>]) -> impl Iterator<Item = String> + use<> {
    burst_asking(rig, door, frames, &mut Vec::new())
}

/// The same, and adds the addresses that were asked for to `asked`.
fn burst_asking(
    rig: &mut Rig,
    door: Door,
    frames: &[Vec<u8>],
    asked: &mut Vec<(tables::SegIx, u32)>,
) -> impl Iterator<Item = String> + use<> {
    // A packet that waits keeps its buffer; the port takes in what finds one.
    let room = rig.worker.frames().0.min(frames.len());
    let out = rig.step(door, &frames[..room]);
    assert_eq!(out.moved.get("received").copied().unwrap_or(0), room as u64);
    asked.extend(out.reports.iter().filter_map(|r| match r {
        learn::Report::Resolve(e) => Some((e.seg, e.ip)),
        _ => None,
    }));
    out.moved.into_keys()
}

/// The writer does something, right or not, about what was asked for, and packets that wait look again.
fn write(r: &mut Random, rig: &mut Rig, asked: &mut Vec<(tables::SegIx, u32)>) -> Vec<String> {
    while asked.len() > 40 {
        asked.remove(0);
    }
    for (seg, address) in asked.iter().copied() {
        let key = tables::ip4_key(seg, address);
        let target = *r.pick(&[tables::Target::Port(2), tables::Target::Tunnel(1), tables::Target::Phys]);
        let row = match r.below(8) {
            0..4 => tables::NeighValue::ASKED,
            4 => tables::NeighValue::UNANSWERED,
            5 => tables::NeighValue::host(mac("fa:16:3e:0b:00:99"), target, tables::NeighValue::ROUTE),
            6 => tables::NeighValue::host(mac("fa:16:3e:0b:00:99"), tables::Target::Fdb, tables::NeighValue::ROUTE),
            _ => {
                rig.neigh.remove(&key);
                continue;
            }
        };
        // Full, as every address may be asked for: a row less.
        let _ = rig.neigh.put(&key, row.to_word());
    }
    let out = rig.wake();
    assert!(out.reports.len() <= parking::MAX_PARKED, "asked without end");
    out.moved.into_keys().collect()
}

/// Fates a run has to meet, or it has looked at nothing behind the first checks.
const MET: [&str; 35] = [
    "sent",
    "copied",
    "generated",
    "consumed",
    "drop.parse_short",
    "drop.parse_l3",
    "drop.eth_src_bad",
    "drop.vlan_unexpected",
    "drop.port_down",
    "drop.reserved_src",
    "drop.ip_spoof",
    "drop.not_ours",
    "drop.unknown_unicast",
    "drop.no_frame",
    "stage.dvr_process.packets",
    "stage.dvr_to_src_mac.packets",
    "stage.phys_to_lv.packets",
    "stage.lv_to_phys.packets",
    "stage.fragments.packets",
    "stage.icmp_error.packets",
    "icmp_limited",
    "drop.ttl",
    "drop.mtu",
    "drop.no_neigh",
    "drop.no_route",
    "drop.scope",
    "drop.neigh_queue_full",
    "drop.fip_not_local",
    "drop.snat_no_state",
    "drop.reserved_dst",
    "drop.local_mac_from_fabric",
    "drop.router_mac_from_fabric",
    "drop.router_arp_from_fabric",
    "drop.dvr_wrong_vtep",
    "phys.1.tx",
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|v| v.parse().expect("a number"))
}

/// Runs `body` with a seed that is printed if it fails.
fn seeded(body: fn(&mut Random, usize)) {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("DVRD_SEED").unwrap_or(clock.as_nanos() as u64);
    let rounds = number("DVRD_ROUNDS").map_or(ROUNDS, |n| n as usize);
    if let Err(why) = std::panic::catch_unwind(|| body(&mut Random(seed), rounds)) {
        eprintln!("failed with DVRD_SEED={seed}");
        std::panic::resume_unwind(why);
    }
}

#[test]
fn random_frames_have_one_fate_each() {
    seeded(|r, rounds| {
        let valid = valid_frames();
        let doors = rig::doors();
        let mut met = BTreeSet::new();
        let all_met = |met: &BTreeSet<String>| MET.iter().all(|c| met.contains(*c));
        // Rare ends take their time: more rounds until each was met, up to ten times as many.
        for round in 0..rounds.div_ceil(50) * 10 {
            if round * 50 >= rounds && (rounds < ROUNDS || all_met(&met)) {
                break;
            }
            let mut rig = rig(r);
            let mut asked = Vec::new();
            for _ in 0..50 {
                rig.now += r.next() % 2_000_000_000;
                let mut door = *r.pick(&doors);
                let mut frames = Vec::new();
                for _ in 0..=r.below(64).min(r.below(128)) {
                    frames.push(match r.below(5) {
                        0 => noise(r),
                        n => {
                            let (home, frame) = r.pick(&valid).clone();
                            let mut frame = frame;
                            if frames.is_empty() && r.below(8) > 0 {
                                door = home; // most bursts come in where their frames make sense
                            }
                            if matches!(home, Door::Phys(_)) && r.below(2) == 0 {
                                let mut inner = [&frame[..12], &frame[16..]].concat();
                                let tag = [frame[14], frame[15]];
                                (1..n).for_each(|_| mutate(r, A1.door, &mut inner));
                                frame = inner;
                                if frame.len() >= 12 {
                                    frame = tagged(&frame, &[u16::from_be_bytes(tag)]);
                                }
                            } else if home == Door::Tunnel && r.below(2) == 0 {
                                let mut inner = frame[INNER..].to_vec();
                                (1..n).for_each(|_| mutate(r, A1.door, &mut inner));
                                frame = with_vxlan(&inner);
                            } else {
                                (1..n).for_each(|_| mutate(r, home, &mut frame));
                            }
                            frame.truncate(umem::MAX_FRAME);
                            frame
                        }
                    });
                }
                met.extend(burst_asking(&mut rig, door, &frames, &mut asked));
                if r.below(3) == 0 {
                    met.extend(write(r, &mut rig, &mut asked));
                }
            }
        }
        let missed: Vec<_> = MET.iter().filter(|c| !met.contains(**c)).collect();
        assert!(rounds < ROUNDS || missed.is_empty(), "never met: {missed:?}");
    });
}

#[test]
fn every_valid_frame_cut_at_each_byte_has_one_fate() {
    let mut rig = Rig::h1();
    for (door, frame) in valid_frames() {
        for door in [door, Door::Tunnel, Door::Unknown] {
            let cuts: Vec<_> = (0..=frame.len()).map(|n| frame[..n].to_vec()).collect();
            for c in cuts.chunks(64) {
                assert!(burst(&mut rig, door, c).count() > 0);
                rig.wake(); // nobody asks: what waited is asked for again, at most three of an address
            }
        }
    }
}

#[test]
fn every_inner_frame_cut_at_each_byte_has_one_fate() {
    // Cut inside whole outer headers, so that each cut gets as far as the inner decoder.
    let mut rig = Rig::h1();
    for (door, frame) in valid_frames() {
        let inner = if door == Door::Tunnel { &frame[INNER..] } else { &frame[..] };
        let inner: Vec<u8> = if door == Door::Tunnel { inner.to_vec() } else { with(inner, 6, &A2.mac.octets()) };
        let cuts: Vec<_> = (14..=inner.len()).map(|n| with_vxlan(&inner[..n])).collect();
        cuts.chunks(64).for_each(|c| assert!(burst(&mut rig, Door::Tunnel, c).count() > 0));
    }
}

/// In VXLAN from H2 on A; by hand, as a frame cut short has no source port to compute.
fn with_vxlan(inner: &[u8]) -> Vec<u8> {
    let header = vx(H2, H1, 1001, &[0; 13]);
    let data = [&header[VXLAN..INNER], inner].concat();
    eth(H2.nic, H1.nic, ip4(H2.vtep, H1.vtep).udp(50000, 4789, &data))
}

/// A packet for a router, or from outside for a floating IP; half of them as most packets are.
fn routed(r: &mut Random) -> (Door, Vec<u8>) {
    let inside = [A3.ip, B1.ip, B2.ip, K1.ip, V1.ip, V2.ip, VIP, RA.ip, RK.ip, SGA.ip, ip("10.2.0.99")];
    let outside = [E, GX.1, FIP_A1, FIP_B1, FIP_B2, fg(H1).1, ip("203.0.113.9")];
    let odd = [ip("127.0.0.1"), ip("224.0.0.5"), ip("169.254.0.9"), 0, u32::MAX, ip("10.1.0.255")];
    let addresses = [&inside[..], &outside, &inside, &outside, &odd].concat();
    let (door, to_us) = match r.below(4) {
        0 => (Door::Phys(1), (GX.0, fg(H1).0)),
        1 => (A3.door, (A3.mac, RA.mac)),
        _ => (A1.door, (A1.mac, RA.mac)),
    };
    let own = *r.pick(&[A1.ip, A3.ip, E]);
    let src = if r.below(4) == 0 {
        *r.pick(&addresses)
    } else if door == A1.door {
        A1.ip
    } else {
        own
    };
    let mut p = ip4(src, *r.pick(&addresses)).ttl(*r.pick(&[64, 64, 64, 2, 1, 0])).tos(r.below(8) as u8);
    if r.below(3) == 0 {
        p = p.df();
    }
    let size = *r.pick(&[0, 1, 18, 40, 700, 1400]);
    let packet = match r.below(6) {
        0 | 1 => p.udp(1000, *r.pick(&[53, 68]), &vec![7; size]),
        2 | 3 => p.tcp(1000, 80),
        4 => p.echo(1, 1, &vec![1; size]),
        _ if r.below(2) == 0 => p.fragment(r.below(3) as u16, true).carry(17, &[1; 64]),
        _ => p.carry(*r.pick(&[1, 6, 17, 47, 132]), &quoting(&ip4(E, A1.ip).udp(53, 53, b"?"))[..r.below(36)]),
    };
    let mut frame = eth(to_us.0, to_us.1, packet);
    if r.below(3) == 0 {
        mutate(r, door, &mut frame);
    }
    frame.truncate(umem::MAX_FRAME);
    (door, if door == Door::Phys(1) && frame.len() >= 14 { ext(&frame) } else { frame })
}

/// Traced packets take the long way through the routers: what comes of them is the same.
#[test]
fn the_short_way_and_the_long_one_lead_to_the_same_place() {
    seeded(|r, rounds| {
        let mut forwarded = 0;
        for _ in 0..rounds.div_ceil(10) {
            let same = Random(r.next());
            let mut rigs = [same.clone(), same].map(|mut r| {
                let mut rig = rig(&mut r);
                rig.worker.repeatable();
                rig
            });
            rigs[1].worker.trace = true;
            for _ in 0..10 {
                let mut frames: Vec<_> = (0..=r.below(64).min(r.below(128))).map(|_| routed(r)).collect();
                let door = frames[0].0;
                frames.retain(|(d, _)| *d == door);
                let frames: Vec<_> = frames.into_iter().map(|(_, frame)| frame).collect();
                let [short, long] = rigs.each_mut().map(|rig| {
                    let room = rig.worker.frames().0.min(frames.len());
                    let mut out = rig.step(door, &frames[..room]);
                    out.moved.remove("trace_lost");
                    out
                });
                assert_eq!(short.sent, long.sent);
                assert_eq!(short.moved, long.moved);
                assert_eq!((short.held, short.learned.len()), (long.held, long.learned.len()));
                forwarded += short.sent.len();
            }
        }
        assert!(rounds < ROUNDS || forwarded > 10_000, "only {forwarded} frames were forwarded");
    });
}
