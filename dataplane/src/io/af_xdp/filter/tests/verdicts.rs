//! The assembled program, the C and the words give the same verdict on each frame.

use super::super::asm::Insn;
use super::frames::{Random, is_vxlan, seeded, vxlan};
use super::object::Compiled;
use super::*;
use crate::testkit::netns::{privileged, soon};

// enum xdp_action of include/uapi/linux/bpf.h
const DROP: u32 = 1;
pub const PASS: u32 = 2;
pub const REDIRECT: u32 = 4;

/// Maps of a filter with a socket at this queue.
pub fn with_socket(filter: Filter, queue: u32) -> (Maps, OwnedFd) {
    let (maps, socket) = (Maps::new(filter, 2).unwrap(), socket());
    bpf::map_update(maps.sockets.as_fd(), queue, socket.as_fd()).unwrap();
    (maps, socket)
}

/// Addresses and ports with and without their top bit.
const TARGETS: [(Ipv4Addr, u16); 3] =
    [(VTEP, 4789), (Ipv4Addr::new(203, 0, 113, 200), 4789), (Ipv4Addr::new(192, 168, 255, 128), 0xd318)];

pub fn load(insns: &[Insn]) -> OwnedFd {
    bpf::prog_load(insns).unwrap_or_else(|(e, log)| panic!("{e}\n{log}"))
}

pub fn verdict(program: &OwnedFd, frame: &[u8]) -> u32 {
    bpf::test_run(program.as_fd(), frame).unwrap_or_else(|e| panic!("{e}: {} bytes", frame.len()))
}

#[test]
fn the_underlay_filter_does_what_its_words_and_its_c_say() {
    const TEST: &str = "the_underlay_filter_does_what_its_words_and_its_c_say";
    let Some(()) = privileged(TEST) else { return };
    for (seed, (vtep, port)) in (1..).zip(TARGETS) {
        let Some(c) = Compiled::new(TEST, vtep, port) else { return };
        let frames = seeded(seed, vtep, port);
        let ours = frames.iter().filter(|f| is_vxlan(f, vtep, port)).count();
        assert!((60..=300).contains(&ours) && frames.len() > 1000, "{ours} of {}", frames.len());
        for there in [false, true] {
            let filter = Filter::Underlay { vtep, port };
            // In the map at another queue, it is not this queue's.
            let (maps, _socket) = with_socket(filter, u32::from(!there));
            let assembled = load(&filter.assemble(&maps).unwrap());
            let compiled = load(&c.program("on_underlay", &[("xsks", maps.sockets.as_raw_fd())]));
            for (i, frame) in frames.iter().enumerate() {
                let expected = if there && is_vxlan(frame, vtep, port) { REDIRECT } else { PASS };
                let got = (verdict(&assembled, frame), verdict(&compiled, frame));
                assert_eq!(got, (expected, expected), "{vtep}:{port} frame {i}: {frame:02x?}");
            }
        }
    }
}

#[test]
fn the_vm_filter_lets_nothing_into_the_host() {
    const TEST: &str = "the_vm_filter_lets_nothing_into_the_host";
    let Some(()) = privileged(TEST) else { return };
    let Some(c) = Compiled::new(TEST, VTEP, 4789) else { return };
    let frames = seeded(4, VTEP, 4789);
    for (expected, queue) in [(DROP, 1), (REDIRECT, 0)] {
        let (maps, _socket) = with_socket(Filter::Everything, queue);
        let assembled = load(&Filter::Everything.assemble(&maps).unwrap());
        let compiled = load(&c.program("on_everything", &[("xsks", maps.sockets.as_raw_fd())]));
        for frame in &frames {
            assert_eq!((verdict(&assembled, frame), verdict(&compiled, frame)), (expected, expected), "{frame:02x?}");
        }
    }
}

/// A socket that closes leaves the map: the underlay is the kernel's again, a VM's frames stay out.
#[test]
fn a_closed_socket_is_as_none() {
    let Some(()) = privileged("a_closed_socket_is_as_none") else { return };
    let frame = vxlan(&mut Random(5), VTEP, 4789, 5, 60);
    for (filter, without) in [(UNDERLAY, PASS), (Filter::Everything, DROP)] {
        let (maps, socket) = with_socket(filter, 0);
        let program = load(&filter.assemble(&maps).unwrap());
        assert_eq!(verdict(&program, &frame), REDIRECT);
        drop(socket);
        assert!(soon(|| verdict(&program, &frame) != REDIRECT));
        assert_eq!(verdict(&program, &frame), without);
    }
}

/// A frame in several buffers, as the kernel makes it of what is longer than a page.
#[test]
fn a_long_frame_is_judged_by_its_first_buffer() {
    let Some(()) = privileged("a_long_frame_is_judged_by_its_first_buffer") else { return };
    let (maps, _socket) = with_socket(UNDERLAY, 0);
    let program = load(&UNDERLAY.assemble(&maps).unwrap());
    for payload in [1500, 3500, 8900] {
        let mut frame = vxlan(&mut Random(6), VTEP, 4789, 5, payload);
        assert_eq!(verdict(&program, &frame), REDIRECT, "{payload}");
        frame[30] ^= 1;
        assert_eq!(verdict(&program, &frame), PASS, "{payload}");
    }
}

/// The frames notice each condition: without any one of them a verdict is wrong, or the kernel refuses the program.
#[test]
fn no_condition_can_be_left_out() {
    let Some(()) = privileged("no_condition_can_be_left_out") else { return };
    let (vtep, port) = TARGETS[1];
    let frames = seeded(7, vtep, port);
    let filter = Filter::Underlay { vtep, port };
    let (maps, _socket) = with_socket(filter, 0);
    let whole = filter.assemble(&maps).unwrap();
    let conditions: Vec<usize> = (0..whole.len()).filter(|i| whole[*i].is_condition()).collect();
    assert_eq!(conditions.len(), 9, "one for each `if` of filter.c");
    let mut refused = 0;
    for i in conditions {
        let mut without = whole.clone();
        without[i].never_jump();
        match bpf::prog_load(&without) {
            Err(_) => refused += 1,
            Ok(program) => {
                let wrong = |f: &&Vec<u8>| (verdict(&program, f) == REDIRECT) != is_vxlan(f, vtep, port);
                assert!(frames.iter().find(wrong).is_some(), "nobody misses instruction {i}: {:?}", whole[i]);
            }
        }
    }
    assert_eq!(refused, 2, "the two bounds");
}
