//! The other end of each ring is another `Producer` or `Consumer` on the same memory, as the kernel would be.

use super::*;

const AT: XdpRingOffset = XdpRingOffset { producer: 0, consumer: 64, desc: 192, flags: Some(128) };

/// A ring of `size` words in memory of its own whose indexes begin at `first`.
fn ring(size: u32, first: u32) -> (Producer<u64>, Consumer<u64>, NonNull<AtomicU32>) {
    let words = 192 / 8 + size as usize;
    let base = NonNull::from(Box::leak(vec![0u64; words].into_boxed_slice())).cast::<u8>();
    // SAFETY: the offsets of AT and `size` entries are inside the leaked, zeroed, aligned memory.
    let shared = || unsafe { Shared::at(base, &AT, size) };
    shared().producer().store(first, Ordering::Relaxed);
    shared().consumer().store(first, Ordering::Relaxed);
    (Producer::new(shared()), Consumer::new(shared()), shared().flags.unwrap())
}

#[test]
fn entries_arrive_in_order_when_published() {
    let (mut p, mut c, _) = ring(4, 0);
    assert_eq!(c.pop(), None);
    assert!(p.push(1) && p.push(2));
    assert_eq!((c.pop(), p.pending()), (None, 0), "not published");
    assert_eq!((p.publish(), p.publish()), (2, 0));
    assert_eq!(p.pending(), 2);
    assert_eq!((c.pop(), c.pop(), c.pop()), (Some(1), Some(2), None));
    assert_eq!(p.pending(), 2, "not released");
    c.release();
    assert_eq!(p.pending(), 0);
}

#[test]
fn a_full_ring_takes_nothing_until_places_are_released() {
    let (mut p, mut c, _) = ring(4, 0);
    assert_eq!(p.room(4), 4);
    assert!((0..4).all(|n| p.push(n)));
    assert!(!p.push(4));
    p.publish();
    assert_eq!((c.pop(), c.pop()), (Some(0), Some(1)));
    assert!(!p.push(4), "taken but not released");
    c.release();
    assert_eq!(p.room(4), 2);
    assert!(p.push(4) && p.push(5) && !p.push(6));
    p.publish();
    assert_eq!(std::iter::from_fn(|| c.pop()).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

/// 2^32 packets are an hour at a million a second.
#[test]
fn indexes_run_over_the_end_of_32_bits() {
    let (mut p, mut c, _) = ring(8, u32::MAX - 20);
    let mut next = 0u64;
    for round in 0..20u64 {
        let n = round % 8 + 1;
        assert!((0..n).all(|i| p.push(round * 100 + i)), "round {round}");
        assert_eq!(u64::from(p.publish()), n);
        assert_eq!(u64::from(p.pending()), n);
        for i in 0..n {
            assert_eq!(c.pop(), Some(round * 100 + i));
            next += 1;
        }
        assert_eq!(c.pop(), None);
        c.release();
        assert_eq!(p.pending(), 0);
    }
    assert!(next > 20, "it did not get there");
}

#[test]
fn the_kernel_says_when_it_wants_a_call() {
    let (p, _c, flags) = ring(4, 0);
    assert!(!p.needs_wakeup());
    // SAFETY: the memory of `ring` is leaked and lives on.
    unsafe { flags.as_ref() }.store(XdpRingFlags::XDP_RING_NEED_WAKEUP.bits(), Ordering::Relaxed);
    assert!(p.needs_wakeup());
}

#[test]
fn two_threads_see_every_entry_once_and_whole() {
    let (mut p, mut c, _) = ring(64, u32::MAX - 1000);
    const N: u64 = if cfg!(miri) { 300 } else { 300_000 };
    let sender = std::thread::spawn(move || {
        let mut n = 0;
        while n < N {
            if p.push(n.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
                n += 1;
            } else {
                std::thread::yield_now();
            }
            if n.is_multiple_of(7) || n == N {
                p.publish();
            }
            if p.room(1) == 0 {
                p.publish();
            }
        }
    });
    let mut n = 0u64;
    while n < N {
        match c.pop() {
            Some(v) => {
                assert_eq!(v, n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                n += 1;
                if n.is_multiple_of(5) {
                    c.release();
                }
            }
            None => {
                c.release();
                std::thread::yield_now();
            }
        }
    }
    sender.join().unwrap();
}
