//! A frame never panics a worker and never vanishes: every input of every fixture, cut at each byte
//! and with one byte changed, has exactly one fate.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use control::host::Host;
use dataplane::umem::Umem;
use support::{Case, Seeded, cases};

/// Most frames sent of each kind; beyond, evenly spaced ones.
const CUTS: usize = 100_000;
const CHANGES: usize = 40_000;

/// Sums that must move together: what came in or was made, and what it became.
fn books(host: &Host<'_>) -> (u64, u64, u64) {
    let t = host.totals();
    assert_eq!(t.drops.get("internal"), None);
    (t.received, t.generated + t.copied, t.sent + t.dropped + t.consumed + t.held)
}

/// One frame on its port, everything it causes, and the books before and after.
fn one_fate(host: &mut Host<'_>, port: &str, frame: &[u8], n: u64, what: &dyn Fn() -> String) {
    let (received, made, ended) = books(host);
    host.receive(port, frame, n * 1000, 1);
    host.settle(n * 1000);
    let (received2, made2, ended2) = books(host);
    assert_eq!(received2, received + 1, "{}", what());
    assert_eq!(ended2 - ended, 1 + made2 - made, "{}", what());
    // What waits for its next hop has a buffer each.
    let ((free, total), held) = (host.frames(), host.totals().held as usize);
    assert_eq!(free + held, total, "frames leaked: {}", what());
    host.drain_sent(&mut |_, bytes, _| assert!(bytes.len() >= 14, "{}", what()));
}

/// Runs `each` for every case on a host of its own, cases shared out among threads.
fn on_every_case(each: impl Fn(&Case, &mut Host<'_>, usize) + Sync) {
    let cases = cases();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((n, case)) =
                    Some(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).and_then(|n| Some((n, cases.get(n)?)))
                {
                    let mut umem = Umem::new(256);
                    let mut host = Host::new(case.cloud.clone(), &case.host, &mut umem).unwrap();
                    each(case, &mut host, n);
                }
            });
        }
    });
}

#[test]
fn a_frame_cut_at_any_byte_has_exactly_one_fate() {
    let all: usize = cases().iter().flat_map(|c| &c.frames).map(|(_, f)| f.len()).sum();
    let step = all.div_ceil(CUTS);
    on_every_case(|case, host, n| {
        let mut count = n;
        for (i, (port, frame)) in case.frames.iter().enumerate() {
            for len in 0..frame.len() {
                count += 1;
                if count % step == 0 {
                    let what = || format!("{}, frame {} on {port}, cut to {len} bytes", case.name, i + 1);
                    one_fate(host, port, &frame[..len], count as u64, &what);
                }
            }
        }
    });
}

#[test]
fn a_frame_with_any_byte_changed_has_exactly_one_fate() {
    let all: usize = cases().iter().map(|c| c.frames.len()).sum();
    let each = CHANGES / all;
    on_every_case(|case, host, n| {
        let mut random = Seeded(n as u64);
        for (i, (port, frame)) in case.frames.iter().enumerate() {
            for change in 0..each {
                let mut frame = frame.clone();
                // Headers are at the front: half of the changes go there.
                let reach = if change % 2 == 0 { frame.len() } else { frame.len().min(110) };
                let (at, value) = (random.below(reach.max(1)), random.below(255) as u8 + 1);
                frame.get_mut(at).into_iter().for_each(|b| *b ^= value);
                let what = || format!("{}, frame {} on {port}, byte {at} ^ {value:#04x}", case.name, i + 1);
                one_fate(host, port, &frame, (change + 1) as u64, &what);
            }
        }
    });
}

#[test]
fn a_frame_longer_than_a_buffer_is_counted_and_dropped() {
    let mut umem = Umem::new(64);
    let case = cases().into_iter().find(|c| c.plain && c.host == "H1").unwrap();
    let mut host = Host::new(case.cloud, "H1", &mut umem).unwrap();
    for len in [1792, 1793, 2048, 9000, 65536] {
        one_fate(&mut host, "A1", &vec![0xff; len], 1, &|| format!("{len} bytes"));
    }
    let drops = host.totals().drops;
    assert_eq!((drops["eth_src_bad"], drops["mtu"]), (1, 4));
}
