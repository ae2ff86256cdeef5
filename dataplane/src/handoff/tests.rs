//! Rules: W1. The rings by themselves.

use super::*;
use crate::umem::Umem;
use std::time::{Duration, Instant};

fn handed(frame: Frame<'_>, n: u32) -> Handed<'_> {
    let meta = FrameMeta { tail: n, ..FrameMeta::default() };
    Handed { frame, meta, port: 1, generation: 2, door: Door::Port(3), traced: false }
}

fn numbers<'u>(links: &mut Links<'u>, pool: &mut FramePool<'u>, limit: usize) -> Vec<u32> {
    let mut seen = Vec::new();
    links.receive(limit, |h| {
        seen.push(h.meta.tail);
        pool.put(h.frame);
    });
    seen
}

#[test]
fn frames_appear_when_they_are_published_in_order_and_no_more_than_asked() {
    let mut umem = Umem::new(16);
    let mut pools = umem.pools(2);
    let mut links = mesh(&pools, 8).unwrap();
    for n in 0..5 {
        let frame = pools[0].take().unwrap();
        links[0].hand(WorkerId(1), handed(frame, n)).unwrap();
    }
    assert!(!links[1].has_work());
    links[0].publish();
    assert!(links[1].has_work() && !links[0].has_work());
    assert_eq!(numbers(&mut links[1], &mut pools[1], 3), [0, 1, 2]);
    assert_eq!(numbers(&mut links[1], &mut pools[1], 64), [3, 4]);
    assert_eq!(numbers(&mut links[1], &mut pools[1], 64), []);
    assert_eq!(pools[1].foreign(), 5);
    links[1].exchange_buffers(&mut pools[1], false);
    assert_eq!(pools[1].foreign(), 5, "fewer than a batch wait");
    links[1].exchange_buffers(&mut pools[1], true);
    assert!(links[0].has_work(), "they are on their way");
    links[0].exchange_buffers(&mut pools[0], false);
    assert_eq!((pools[0].free(), pools[1].free(), pools[1].foreign()), (8, 8, 0));
}

#[test]
fn a_ring_holds_what_it_was_made_for_published_or_not() {
    let mut umem = Umem::new(400);
    let mut pools = umem.pools(2);
    let mut links = mesh(&pools, 100).unwrap();
    for n in 0..100 {
        let frame = pools[0].take().unwrap();
        links[0].hand(WorkerId(1), handed(frame, n)).unwrap();
    }
    for n in 100..103 {
        let frame = pools[0].take().unwrap();
        let frame = links[0].hand(WorkerId(1), handed(frame, n)).unwrap_err();
        pools[0].put(frame);
    }
    links[0].publish();
    assert_eq!(numbers(&mut links[1], &mut pools[1], 200), (0..100).collect::<Vec<_>>());
    let frame = pools[0].take().unwrap();
    links[0].hand(WorkerId(1), handed(frame, 103)).unwrap();
    links[0].publish();
    assert_eq!(numbers(&mut links[1], &mut pools[1], 200), [103], "room again");
}

#[test]
fn peers_are_served_in_turn() {
    let mut umem = Umem::new(32);
    let mut pools = umem.pools(4);
    let mut links = mesh(&pools, 8).unwrap();
    for from in [1, 2, 3] {
        for n in 0..2 {
            let frame = pools[from].take().unwrap();
            links[from].hand(WorkerId(0), handed(frame, from as u32 * 10 + n)).unwrap();
        }
        links[from].publish();
    }
    let order: Vec<_> = (0..6).flat_map(|_| numbers(&mut links[0], &mut pools[0], 1)).collect();
    assert_eq!(order, [10, 20, 30, 11, 21, 31]);
}

#[test]
fn there_is_no_ring_to_oneself_or_to_nobody() {
    let mut umem = Umem::new(4);
    let mut pools = umem.pools(2);
    let mut links = mesh(&pools, 8).unwrap();
    for nobody in [0, 2, 255] {
        let frame = pools[0].take().unwrap();
        let frame = links[0].hand(WorkerId(nobody), handed(frame, 0)).unwrap_err();
        pools[0].put(frame);
    }
    let mut alone = Links::alone().unwrap();
    let frame = pools[0].take().unwrap();
    assert!(alone.hand(WorkerId(1), handed(frame, 0)).is_err());
}

#[test]
fn publishing_wakes_the_owner_and_so_does_a_buffer() {
    let mut umem = Umem::new(8);
    let mut pools = umem.pools(2);
    let mut links = mesh(&pools, 8).unwrap();
    let (mut b, mut a) = (links.pop().unwrap(), links.pop().unwrap());
    let (mut pool_b, mut pool_a) = (pools.pop().unwrap(), pools.pop().unwrap());
    let start = Instant::now();
    let long = Duration::from_secs(60);
    std::thread::scope(|s| {
        s.spawn(|| {
            let bell = Arc::clone(b.bell());
            while !b.has_work() {
                bell.sleep(long, || b.has_work());
            }
            assert_eq!(numbers(&mut b, &mut pool_b, 8), [5]);
            std::thread::sleep(Duration::from_millis(20));
            b.exchange_buffers(&mut pool_b, true);
        });
        std::thread::sleep(Duration::from_millis(20));
        let frame = pool_a.take().unwrap();
        a.hand(WorkerId(1), handed(frame, 5)).unwrap();
        a.publish();
        let bell = Arc::clone(a.bell());
        while pool_a.free() < 4 {
            bell.sleep(long, || a.has_work());
            a.exchange_buffers(&mut pool_a, false);
        }
    });
    assert!(start.elapsed() < Duration::from_secs(50), "somebody slept over work");
}
