//! What of a physical network's frames is dvrd's: the assembled program, the C and the words say the same.

use super::frames::{Random, SHORTEST, is_vxlan, seeded};
use super::object::Compiled;
use super::verdicts::{PASS, REDIRECT, load, verdict, with_socket};
use super::*;
use crate::addr::MacAddr;
use crate::testkit::netns::privileged;
use std::collections::BTreeMap;

const BOTH: Filter = Filter::Both { vtep: VTEP, port: 4789 };

/// What the maps hold.
struct Told {
    vlans: BTreeMap<u16, Vlan>,
    macs: BTreeMap<(u16, [u8; 6]), Owner>,
    addresses: BTreeMap<(u16, Ipv4Addr), Owner>,
}

const OURS: [u8; 6] = [0xfa, 0x16, 0x3e, 0x0a, 0, 0x11];
const OURS2: [u8; 6] = [0x02, 0xff, 0, 0x80, 0x7f, 0xfe];
const HOSTS: [u8; 6] = [0x52, 0x54, 0, 1, 2, 3];
const ASKED: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 101);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// On the last one nothing is served, whatever its addresses.
const VIDS: [u16; 6] = [0, 1, 7, 300, 4095, 2];

fn told() -> Told {
    let vlan = |group, announced, unknown| Vlan { group, announced, unknown };
    let vlans = [
        (0, vlan(false, true, false)),
        (1, vlan(true, false, false)),
        (7, vlan(false, false, false)),
        (300, vlan(true, false, true)),
        (4095, vlan(false, true, true)),
    ];
    let mut told = Told { vlans: vlans.into(), macs: BTreeMap::new(), addresses: BTreeMap::new() };
    for vid in VIDS {
        told.macs.extend([((vid, OURS), Owner::Dvrd), ((vid, HOSTS), Owner::Kernel)]);
        told.addresses.extend([((vid, ASKED), Owner::Dvrd), ((vid, HOST), Owner::Kernel)]);
    }
    told.macs.insert((300, OURS2), Owner::Dvrd);
    told.addresses.insert((7, Ipv4Addr::new(10, 0, 0, 128)), Owner::Dvrd);
    told
}

impl Told {
    fn tell(&self, gate: &Gate) {
        self.vlans.iter().for_each(|(vid, vlan)| gate.set_vlan(*vid, Some(*vlan)).unwrap());
        self.macs.iter().for_each(|((vid, mac), owner)| gate.set_mac(*vid, MacAddr::new(*mac), Some(*owner)).unwrap());
        self.addresses.iter().for_each(|((vid, ip), owner)| gate.set_address(*vid, *ip, Some(*owner)).unwrap());
    }

    /// Of the words of [`Vlan`] and [`Owner`]: is this frame dvrd's?
    fn is_dvrds(&self, frame: &[u8]) -> bool {
        let number = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let tagged = [0x8100, 0x88a8].contains(&number(12));
        if tagged && frame.len() < 18 {
            return false;
        }
        let (vid, at) = if tagged { (number(14) % 4096, 16) } else { (0, 12) };
        let Some(vlan) = self.vlans.get(&vid) else { return false };
        let to: [u8; 6] = frame[..6].try_into().unwrap();
        if to[0] & 1 == 0 {
            return self.macs.get(&(vid, to)).map_or(vlan.unknown, |owner| *owner == Owner::Dvrd);
        }
        if to[..5] == [1, 0x80, 0xc2, 0, 0] && to[5] < 16 {
            return false;
        }
        let body = &frame[at + 2..];
        if number(at) != 0x0806 || body.len() < 28 {
            return vlan.group;
        }
        let address = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
        let (sender, target) = (address(14), address(24));
        let announced = vlan.announced && sender == target;
        self.addresses.get(&(vid, target)).map_or(vlan.group || announced, |owner| *owner == Owner::Dvrd)
    }
}

/// A frame that is close to a branch.
fn close(r: &mut Random) -> Vec<u8> {
    let len = SHORTEST + 40 + r.below(40);
    let mut f = r.bytes(len);
    let to = match r.below(9) {
        0 | 1 => OURS,
        2 => OURS2,
        3 => HOSTS,
        4 | 5 => [0xff; 6],
        6 => [0x01, 0x00, 0x5e, 0, 0, r.below(20) as u8],
        7 => [0x01, 0x80, 0xc2, 0, 0, r.below(20) as u8],
        _ => [0x33, 0x33, 0, 0, 0, 1],
    };
    f[..6].copy_from_slice(&to);
    if r.below(6) == 0 {
        f[r.below(6)] ^= 1 << r.below(8);
    }
    let arp = r.below(3) > 0;
    let kind: [u8; 2] = if arp { [8, 6] } else { [[8, 0], [8, 7], [6, 8], [0x86, 0xdd]][r.below(4)] };
    let mut at = 14;
    let vid = VIDS[r.below(VIDS.len())] ^ if r.below(8) == 0 { 1 << r.below(12) } else { 0 };
    let tag = if vid == 0 { r.below(5) } else { r.below(8) + 1 };
    if tag > 0 {
        f[12..14].copy_from_slice(&match tag {
            1 => [0x88, 0xa8],
            2 => [0x91, 0x00],
            _ => [0x81, 0x00],
        });
        let control = vid | (r.next() as u16) & 0xf000;
        f[14..16].copy_from_slice(&control.to_be_bytes());
        at = 18;
    }
    f[at - 2..at].copy_from_slice(&kind);
    let addresses = [ASKED, HOST, Ipv4Addr::new(10, 0, 0, 128), Ipv4Addr::new(192, 0, 2, 6)];
    let target = addresses[r.below(addresses.len())];
    let sender = if r.below(2) == 0 { target } else { addresses[r.below(addresses.len())] };
    f[at + 14..at + 18].copy_from_slice(&sender.octets());
    f[at + 24..at + 28].copy_from_slice(&target.octets());
    match r.below(8) {
        0 => f[at + 14 + r.below(4)] ^= 1 << r.below(8),
        1 => f[at + 24 + r.below(4)] ^= 1 << r.below(8),
        2 => f.truncate(SHORTEST + r.below(f.len() - SHORTEST + 1)),
        _ => {}
    }
    f
}

fn frames(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut r = Random(seed);
    let mut all: Vec<Vec<u8>> = (0..count).map(|_| close(&mut r)).collect();
    // An announcement on two VLANs, cut at each byte.
    for (tag, at) in [(vec![], 14), (vec![0x81, 0x00, 0x01, 0x2c], 18)] {
        let mut whole = vec![0xff; 12];
        whole.extend(tag);
        whole.extend([8, 6]);
        whole.resize(at + 28, 9);
        all.extend((SHORTEST..=whole.len()).map(|len| whole[..len].to_vec()));
    }
    all
}

fn compiled(c: &Compiled, name: &str, maps: &Maps) -> OwnedFd {
    let gate = maps.gate.as_ref().unwrap().maps();
    let all: Vec<_> = gate.into_iter().chain([("xsks", maps.sockets.as_raw_fd())]).collect();
    load(&c.program(name, &all))
}

#[test]
fn a_physical_network_s_filter_does_what_its_words_and_its_c_say() {
    const TEST: &str = "a_physical_network_s_filter_does_what_its_words_and_its_c_say";
    let Some(()) = privileged(TEST) else { return };
    let Some(c) = Compiled::new(TEST, VTEP, 4789) else { return };
    let (told, frames) = (told(), frames(11, 3000));
    let ours = frames.iter().filter(|f| told.is_dvrds(f)).count();
    assert!((800..=2000).contains(&ours), "{ours} of {}", frames.len());
    for there in [false, true] {
        let (maps, _socket) = with_socket(Filter::Physical, u32::from(!there));
        let assembled = load(&Filter::Physical.assemble(&maps).unwrap());
        let compiled = compiled(&c, "on_physical", &maps);
        let empty = frames.iter().find(|f| verdict(&assembled, f) != PASS || verdict(&compiled, f) != PASS);
        assert_eq!(empty, None, "until the maps are told all is the kernel's");
        told.tell(maps.gate.as_ref().unwrap());
        for (i, frame) in frames.iter().enumerate() {
            let expected = if there && told.is_dvrds(frame) { REDIRECT } else { PASS };
            let got = (verdict(&assembled, frame), verdict(&compiled, frame));
            assert_eq!(got, (expected, expected), "frame {i}: {frame:02x?}");
        }
    }
}

#[test]
fn a_nic_for_both_takes_vxlan_and_what_is_the_physical_network_s() {
    const TEST: &str = "a_nic_for_both_takes_vxlan_and_what_is_the_physical_network_s";
    let Some(()) = privileged(TEST) else { return };
    let Some(c) = Compiled::new(TEST, VTEP, 4789) else { return };
    let told = told();
    let all: Vec<_> = frames(12, 500).into_iter().chain(seeded(13, VTEP, 4789)).collect();
    let (maps, _socket) = with_socket(BOTH, 0);
    told.tell(maps.gate.as_ref().unwrap());
    let (assembled, compiled) = (load(&BOTH.assemble(&maps).unwrap()), compiled(&c, "on_both", &maps));
    for (i, frame) in all.iter().enumerate() {
        let ours = is_vxlan(frame, VTEP, 4789) || told.is_dvrds(frame);
        let expected = if ours { REDIRECT } else { PASS };
        let got = (verdict(&assembled, frame), verdict(&compiled, frame));
        assert_eq!(got, (expected, expected), "frame {i}: {frame:02x?}");
    }
}

/// As [`no_condition_can_be_left_out`](super::verdicts) of the underlay's.
#[test]
fn no_condition_of_a_physical_network_s_filter_can_be_left_out() {
    let Some(()) = privileged("no_condition_of_a_physical_network_s_filter_can_be_left_out") else { return };
    let (told, frames) = (told(), frames(14, 5000));
    let (maps, _socket) = with_socket(Filter::Physical, 0);
    told.tell(maps.gate.as_ref().unwrap());
    let whole = Filter::Physical.assemble(&maps).unwrap();
    let conditions: Vec<usize> = (0..whole.len()).filter(|i| whole[*i].is_condition()).collect();
    assert_eq!(conditions.len(), 18);
    let mut refused = 0;
    for i in conditions {
        let mut without = whole.clone();
        without[i].never_jump();
        match bpf::prog_load(&without) {
            Err(_) => refused += 1,
            Ok(program) => {
                let wrong = |f: &&Vec<u8>| (verdict(&program, f) == REDIRECT) != told.is_dvrds(f);
                assert!(frames.iter().find(wrong).is_some(), "nobody misses instruction {i}: {:?}", whole[i]);
            }
        }
    }
    assert_eq!(refused, 6, "three bounds, two answers of maps that may be none, and what nothing leads to any more");
}

/// What is told counts from the next frame on, and what is taken back no more.
#[test]
fn maps_are_told_while_frames_come() {
    let Some(()) = privileged("maps_are_told_while_frames_come") else { return };
    let (maps, _socket) = with_socket(Filter::Physical, 0);
    let gate = maps.gate.as_ref().unwrap();
    let program = load(&Filter::Physical.assemble(&maps).unwrap());
    let mut frame = [OURS.as_slice(), &HOSTS, &[0x81, 0, 0x01, 0x2c, 8, 0]].concat();
    frame.resize(64, 0);
    let mac = MacAddr::new(OURS);
    let is_ours = |frame: &[u8]| verdict(&program, frame) == REDIRECT;
    gate.set_mac(300, mac, Some(Owner::Dvrd)).unwrap();
    assert!(!is_ours(&frame), "its VLAN is nobody's yet");
    gate.set_vlan(300, Some(Vlan::default())).unwrap();
    assert!(is_ours(&frame));
    gate.set_mac(300, mac, Some(Owner::Kernel)).unwrap();
    assert!(!is_ours(&frame));
    gate.set_mac(300, mac, None).unwrap();
    gate.set_mac(300, mac, None).unwrap(); // gone is gone
    assert!(!is_ours(&frame));
    gate.set_vlan(300, Some(Vlan { unknown: true, ..Vlan::default() })).unwrap();
    assert!(is_ours(&frame));
    gate.set_vlan(300, None).unwrap();
    assert!(!is_ours(&frame));
    let past = gate.set_vlan(4096, Some(Vlan::default())).unwrap_err();
    assert_eq!(Errno::from_io_error(&past), Some(Errno::TOOBIG));
}

/// One address more than there is room for is an error, and those there are stay.
#[test]
fn a_filter_has_room_for_so_many_addresses() {
    let Some(()) = privileged("a_filter_has_room_for_so_many_addresses") else { return };
    let gate = Gate::new().unwrap();
    let mac = |n: u32| MacAddr::from_u64(u64::from(n));
    let full = |e: io::Error| assert_eq!(Errno::from_io_error(&e), Some(Errno::TOOBIG));
    (0..FILTER_MACS).for_each(|n| gate.set_mac(1, mac(n), Some(Owner::Dvrd)).unwrap());
    full(gate.set_mac(1, mac(FILTER_MACS), Some(Owner::Dvrd)).unwrap_err());
    gate.set_mac(1, mac(0), Some(Owner::Kernel)).unwrap();
    gate.set_mac(1, mac(1), None).unwrap();
    gate.set_mac(1, mac(FILTER_MACS), Some(Owner::Dvrd)).unwrap();
    let address = |n: u32| Ipv4Addr::from_bits(n);
    (0..FILTER_ADDRESSES).for_each(|n| gate.set_address(1, address(n), Some(Owner::Dvrd)).unwrap());
    full(gate.set_address(1, address(FILTER_ADDRESSES), Some(Owner::Dvrd)).unwrap_err());
}
