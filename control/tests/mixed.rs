//! The inputs of many fixtures as one stream: what happens to a frame does not depend on the
//! company it keeps in a burst.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use control::host::{FRAMES, Host, Totals};
use control::model::Cloud;
use dataplane::umem::Umem;
use std::collections::BTreeMap;
use support::{Seeded, cases};

/// Ports and frames.
type Frames = Vec<(String, Vec<u8>)>;

/// Counters by name, and the frames sent, sorted.
type Result = (BTreeMap<String, u64>, Frames);

fn counters(t: &Totals) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let sums = [t.received, t.generated, t.copied, t.sent, t.dropped, t.consumed, t.held];
    let names = ["received", "generated", "copied", "sent", "dropped", "consumed", "held"];
    all.extend(names.iter().map(|n| (*n).to_owned()).zip(sums));
    all.extend(t.drops.iter().map(|(k, n)| (format!("drops.{k}"), *n)));
    all.extend(t.counters.iter().map(|(k, n)| (format!("counters.{k}"), *n)));
    for (port, n) in &t.ports {
        all.insert(format!("ports.{port}.rx"), n.rx);
        all.insert(format!("ports.{port}.tx"), n.tx);
    }
    for (stage, _, packets, dropped, consumed) in &t.stages {
        all.insert(format!("stages.{stage}.packets"), *packets);
        all.insert(format!("stages.{stage}.dropped"), *dropped);
        all.insert(format!("stages.{stage}.consumed"), *consumed);
    }
    all
}

/// All frames at one moment of time.
fn run(cloud: &Cloud, frames: &[(String, Vec<u8>)], burst: usize) -> Result {
    let mut umem = Umem::new(FRAMES);
    let mut host = Host::new(cloud.clone(), "H1", &mut umem).unwrap();
    for (port, frame) in frames {
        host.receive(port, frame, 1_000_000_000, burst);
    }
    host.settle(1_000_000_000);
    let mut sent = Vec::new();
    host.drain_sent(&mut |port, bytes, _| sent.push((port.to_owned(), bytes.to_vec())));
    sent.sort();
    assert_eq!(host.frames().0, host.frames().1, "frames leaked");
    (counters(&host.totals()), sent)
}

fn add(sum: &mut Result, one: Result) {
    for (name, n) in one.0 {
        *sum.0.entry(name).or_default() += n;
    }
    sum.1.extend(one.1);
}

/// The reference cloud with nothing to learn, and the frames of each case that starts from it at H1.
fn independent() -> (Cloud, Vec<(String, Frames)>) {
    let cases: Vec<_> = cases().into_iter().filter(|c| c.plain && c.host == "H1").collect();
    assert!(cases.len() > 50, "{}", cases.len());
    let mut cloud = cases[0].cloud.clone();
    cloud.settings.learning = false;
    (cloud, cases.into_iter().map(|c| (c.name, c.frames)).collect())
}

fn shuffle<T>(list: &mut [T], random: &mut Seeded) {
    for n in (1..list.len()).rev() {
        list.swap(n, random.below(n + 1));
    }
}

fn assert_same(got: Result, expected: &Result, what: &str) {
    assert_eq!(got.0, expected.0, "{what}");
    assert_eq!(got.1.len(), expected.1.len(), "{what}");
    for (g, e) in got.1.iter().zip(&expected.1) {
        assert_eq!(g, e, "{what}");
    }
}

#[test]
fn shuffled_together_at_any_burst_frames_fare_as_they_do_alone() {
    let (cloud, cases) = independent();
    let mut expected = Result::default();
    for (_, frames) in &cases {
        add(&mut expected, run(&cloud, frames, 1));
    }
    expected.1.sort();
    let mut all: Frames = cases.into_iter().flat_map(|(_, frames)| frames).collect();
    for seed in 0..4 {
        let mut random = Seeded(seed);
        shuffle(&mut all, &mut random);
        for burst in [1, 64] {
            assert_same(run(&cloud, &all, burst), &expected, &format!("seed {seed}, burst {burst}, ports mixed"));
        }
        // Of one port after the other: full bursts of frames that have nothing in common.
        all.sort_by(|a, b| a.0.cmp(&b.0));
        for burst in [7, 64] {
            assert_same(run(&cloud, &all, burst), &expected, &format!("seed {seed}, burst {burst}, port by port"));
        }
    }
}

#[test]
fn full_bursts_of_one_kind_of_frame_fare_as_one_frame_does() {
    let (cloud, cases) = independent();
    let mut umem = Umem::new(FRAMES);
    let mut host = Host::new(cloud, "H1", &mut umem).unwrap();
    let mut before = BTreeMap::new();
    let mut run = |(port, frame): &(String, Vec<u8>), burst: usize| {
        (0..burst).for_each(|_| host.receive(port, frame, 1_000_000_000, burst));
        host.settle(1_000_000_000);
        let mut sent = Vec::new();
        host.drain_sent(&mut |port, bytes, _| sent.push((port.to_owned(), bytes.to_vec())));
        sent.sort();
        let now = counters(&host.totals());
        let grown = now.iter().map(|(name, n)| (name.clone(), n - before.get(name).copied().unwrap_or(0)));
        let grown = grown.filter(|(_, n)| *n != 0).collect();
        before = now;
        (grown, sent)
    };
    for (case, frames) in cases {
        for frame in &frames {
            let one: Result = run(frame, 1);
            let counters = one.0.into_iter().map(|(name, n)| (name, n * 64)).collect();
            let sent = one.1.into_iter().flat_map(|f| std::iter::repeat_n(f, 64)).collect();
            assert_same(run(frame, 64), &(counters, sent), &case);
        }
    }
}
