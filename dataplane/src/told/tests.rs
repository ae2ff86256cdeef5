use super::*;
use crate::testkit::{A1, B1, E, ip4};

const SECOND: u64 = 1_000_000_000;

fn limits(router: u32, source: u32) -> Told {
    let rate = |n| Rate { per_second: n, burst: n };
    let mut told = Told { limits: TellLimits { router: rate(router), source: rate(source) }, ..Told::new() };
    told.seeded(); // so that no two senders of a test share a bucket in some runs only
    told
}

/// How often `router` may tell who sent from `src` by `door`, at once.
fn granted(told: &mut Told, router: RouterIx, door: Door, src: u32, now: u64) -> usize {
    let packet = ip4(src, E).udp(1, 2, b"").bytes;
    (0..1000).take_while(|_| told.may(router, door, &packet, now)).count()
}

#[test]
fn the_limits_are_those_of_the_specification() {
    let one = TellLimits::default();
    assert_eq!((one.router, one.source), (Rate { per_second: 100, burst: 100 }, Rate { per_second: 10, burst: 10 }));
}

/// Rules: ICMP.
#[test]
fn workers_share_what_a_router_may_say_and_none_is_silent() {
    let router = |workers| TellLimits::default().share(workers).router;
    let rate = |n| Rate { per_second: n, burst: n };
    assert_eq!([0, 1, 2, 3, 100, 1000].map(router), [100, 100, 50, 34, 1, 1].map(rate));
    assert_eq!(TellLimits::default().share(4).source, rate(10), "a sender is one worker's");
}

/// Rules: ICMP.
#[test]
fn a_sender_is_an_address_behind_a_door() {
    let mut told = limits(1000, 3);
    let doors = [Door::Port(0), Door::Port(1), Door::Phys(0), Door::Phys(1), Door::Tunnel];
    for door in doors {
        for src in [A1.ip, E, u32::MAX] {
            assert_eq!(granted(&mut told, 1, door, src, 0), 3, "{door:?} {src:x}");
            assert_eq!(granted(&mut told, 2, door, src, 0), 0, "of whatever router");
        }
    }
    assert_eq!(granted(&mut told, 1, Door::Port(0), A1.ip, SECOND), 3);
}

/// Rules: ICMP.
#[test]
fn a_router_has_its_own_limit() {
    let mut told = limits(5, 3);
    assert_eq!(granted(&mut told, 1, Door::Port(0), A1.ip, 0), 3);
    assert_eq!(granted(&mut told, 1, Door::Port(0), B1.ip, 0), 2);
    assert_eq!(granted(&mut told, 2, Door::Port(0), E, 0), 3, "another router");
    assert_eq!(granted(&mut told, 1, Door::Port(9), E, SECOND), 3);
}

#[test]
fn a_packet_without_a_source_is_of_source_0() {
    let mut told = limits(100, 1);
    assert!(told.may(1, Door::Port(0), &[], 0));
    assert!(!told.may(1, Door::Port(0), &[0x45; 15], 0));
}
