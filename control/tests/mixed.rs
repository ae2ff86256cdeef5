//! The inputs of many fixtures in one burst: what happens to a frame does not depend on the company
//! it keeps. `mixed_bursts` fills whole bursts with frames of different fixtures and ports, shuffled,
//! and compares each frame with itself alone: what it sends, byte for byte, and every step on the way.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod support;

use control::host::{FRAMES, Host, Totals};
use dataplane::burst::BURST;
use dataplane::stage::Stage;
use dataplane::trace::{Note, TraceRecord};
use dataplane::umem::Umem;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use support::{Case, Seeded, cases};

/// Receive time of the first frame of a burst, ns. Those after it are 1 ns apart, so that what is
/// sent names the frame that caused it, and all are in one second of the learning clock.
const START: u64 = 1_000_000_000;
const SEEDS: u64 = 4;

type Counters = BTreeMap<String, u64>;

/// A frame of a fixture.
struct Arrival {
    /// Folder, and place in it from 1.
    case: String,
    n: usize,
    port: String,
    bytes: Vec<u8>,
}

/// What became of one frame: frames sent (port, bytes) in order, and each step, its fate the last.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fared {
    sent: Vec<(String, Vec<u8>)>,
    steps: Vec<(Stage, Note)>,
}

fn counters(t: &Totals) -> Counters {
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
    all.retain(|_, n| *n != 0);
    all
}

/// Steps by the lane they belong to. A flood's copies run in a burst with lanes of its own, from the
/// records of its copies to as many ends.
fn by_lane(records: &[TraceRecord]) -> Vec<Vec<(Stage, Note)>> {
    let mut steps = vec![Vec::new(); BURST];
    let (mut flooded, mut under_way) = (0, 0);
    for r in records {
        let ended = matches!(r.note, Note::Sent(_) | Note::Dropped(_) | Note::Consumed);
        let lane = match r.note {
            Note::Copy(_) => {
                (flooded, under_way) = (r.lane.index(), under_way + 1);
                flooded
            }
            _ if under_way > 0 => {
                under_way -= usize::from(ended);
                flooded
            }
            _ => r.lane.index(),
        };
        steps[lane].push((r.stage, r.note));
    }
    assert_eq!(under_way, 0, "a copy without an end");
    steps
}

/// A host that has learned nothing, `before` and `run` on it, and what became of each of the `n`
/// frames of `run`.
fn on_host(
    case: &Case,
    trace: bool,
    n: usize,
    before: impl FnOnce(&mut Host<'_>),
    run: impl FnOnce(&mut Host<'_>),
) -> (Vec<Fared>, Counters) {
    let mut umem = Umem::new(FRAMES);
    let mut host = Host::new(case.cloud.clone(), &case.host, &mut umem).unwrap();
    before(&mut host);
    host.drain_sent(&mut |_, _, _| {});
    let earlier = counters(&host.totals());
    host.set_trace(trace);
    run(&mut host);
    let steps = by_lane(&host.take_trace());
    let mut fared: Vec<Fared> = steps.into_iter().take(n).map(|steps| Fared { sent: Vec::new(), steps }).collect();
    let mut last = BTreeMap::new();
    host.drain_sent(&mut |port, bytes, time| {
        let before = last.insert(port.to_owned(), time);
        assert!(before <= Some(time), "port {port}: frame {} overtakes an earlier one", time - START);
        fared[(time - START) as usize].sent.push((port.to_owned(), bytes.to_vec()));
    });
    assert_eq!(host.frames().0 + host.totals().held as usize, host.frames().1, "frames leaked");
    let mut moved = counters(&host.totals());
    moved.iter_mut().for_each(|(name, n)| *n -= earlier.get(name).unwrap_or(&0));
    moved.retain(|_, n| *n != 0);
    (fared, moved)
}

/// A frame by itself, the way every frame comes in.
fn alone(case: &Case, frame: &Arrival) -> (Fared, Counters) {
    let (mut fared, counters) =
        on_host(case, true, 1, |_| {}, |host| host.receive(&frame.port, &frame.bytes, START, 1));
    (fared.remove(0), counters)
}

/// `burst` as one burst, after one of the same frames in other lanes: what those leave behind in the
/// burst's arrays must not matter either.
fn together(case: &Case, burst: &[&Arrival], trace: bool) -> (Vec<Fared>, Counters) {
    let frames: Vec<_> = (START..).zip(burst).map(|(time, f)| (&*f.port, &*f.bytes, time)).collect();
    let mut others = frames.clone();
    others.rotate_left(1);
    on_host(case, trace, burst.len(), |h| h.receive_together(&others), |h| h.receive_together(&frames))
}

fn shuffle<T>(list: &mut [T], random: &mut Seeded) {
    for n in (1..list.len()).rev() {
        list.swap(n, random.below(n + 1));
    }
}

/// A frame, and what became of it alone.
type Known = (Arrival, (Fared, Counters));

/// The cases that start from the reference cloud as it is, by host: one of them, and all their frames.
fn by_host() -> &'static [(Case, Vec<Known>)] {
    static ALL: OnceLock<Vec<(Case, Vec<Known>)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let known = |case: &Case, f: Arrival| {
            let alone = alone(case, &f);
            (f, alone)
        };
        // What waits, and what is told of at a rate, depends on the frames before it. Fragments are traced in lanes of
        // their own, which `by_lane` cannot tell from those of other frames.
        let stateless = |case: &Case, (frame, (fared, alone)): &Known| {
            let many = together(case, &[frame; BURST], false).1;
            let cut = alone.contains_key("copied") && !fared.steps.iter().any(|(_, n)| matches!(n, Note::Copy(_)));
            !alone.contains_key("held") && !many.contains_key("counters.icmp_limited") && !cut
        };
        let of = |(case, frames): (Case, Vec<Arrival>)| {
            let mut frames: Vec<Known> = frames.into_iter().map(|f| known(&case, f)).collect();
            frames.retain(|frame| stateless(&case, frame));
            (case, frames)
        };
        read().into_iter().map(of).collect()
    })
}

fn read() -> Vec<(Case, Vec<Arrival>)> {
    let mut hosts: BTreeMap<String, (Case, Vec<Arrival>)> = BTreeMap::new();
    for mut case in cases().into_iter().filter(|c| c.plain) {
        let frames = std::mem::take(&mut case.frames).into_iter().enumerate();
        let name = case.name.clone();
        let (_, all) = hosts.entry(case.host.clone()).or_insert((case, Vec::new()));
        all.extend(frames.map(|(n, (port, bytes))| Arrival { case: name.clone(), n: n + 1, port, bytes }));
    }
    hosts.into_values().collect()
}

/// The first difference between a frame alone and in company, in words.
fn difference(alone: &Fared, got: &Fared) -> Option<String> {
    let n = alone.sent.iter().zip(&got.sent).take_while(|(a, b)| a == b).count();
    if (alone.sent.len(), got.sent.len()) != (n, n) {
        let frame = |f: &Fared| f.sent.get(n).map_or("nothing".to_owned(), |(p, b)| format!("{p} {b:02x?}"));
        return Some(format!("frame {} sent for it\n  alone    {}\n  together {}", n + 1, frame(alone), frame(got)));
    }
    let n = alone.steps.iter().zip(&got.steps).take_while(|(a, b)| a == b).count();
    let step =
        |f: &Fared| f.steps.get(n).map_or("none".to_owned(), |(stage, note)| format!("{}: {note:?}", stage.name()));
    ((alone.steps.len(), got.steps.len()) != (n, n))
        .then(|| format!("step {}\n  alone    {}\n  together {}", n + 1, step(alone), step(got)))
}

/// One burst against its frames alone; the frame and what differs.
fn compare(case: &Case, burst: &[&Known], traced: &[bool]) -> Result<(), String> {
    let frames: Vec<_> = burst.iter().map(|(frame, _)| frame).collect();
    let mut sum = Counters::new();
    burst.iter().flat_map(|(_, (_, c))| c).for_each(|(k, n)| *sum.entry(k.clone()).or_default() += n);
    for &trace in traced {
        let (fared, counters) = together(case, &frames, trace);
        for (lane, (got, (frame, (alone, _)))) in fared.iter().zip(burst).enumerate() {
            let steps = if trace { alone.steps.clone() } else { Vec::new() };
            if let Some(why) = difference(&Fared { steps, ..alone.clone() }, got) {
                let Arrival { case, n, port, .. } = frame;
                return Err(format!("{case}, frame {n} (at {port}), lane {lane}, traced {trace}: {why}"));
            }
        }
        if counters != sum {
            return Err(format!("counters, traced {trace}\n  alone    {sum:?}\n  together {counters:?}"));
        }
    }
    Ok(())
}

/// Every frame of every stateless fixture without a patch, at its host, in full bursts.
#[test]
fn mixed_bursts() {
    let mut failed = Vec::new();
    let hosts = by_host();
    assert!(hosts.len() >= 3 && hosts[0].1.len() > 200, "the fixtures are missing");
    for (case, frames) in hosts {
        println!("host {}: {} frames", case.host, frames.len());
        for seed in 0..SEEDS {
            let mut order: Vec<usize> = (0..frames.len()).collect();
            shuffle(&mut order, &mut Seeded(seed));
            if seed % 2 == 1 {
                order.sort_by_key(|i| &frames[*i].0.port); // of one port after the other, as a worker polls them
            }
            // The last burst is filled up from the front: each one is full.
            let bursts = order.len().div_ceil(BURST);
            let lanes: Vec<_> = order.iter().cycle().take(bursts * BURST).map(|i| &frames[*i]).collect();
            for (n, burst) in lanes.chunks(BURST).enumerate() {
                if let Err(why) = compare(case, burst, &[true, false]) {
                    failed.push(format!("host {}, seed {seed}, burst {n}: {why}", case.host));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{} bursts differ\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn full_bursts_of_one_kind_of_frame_fare_as_one_frame_does() {
    for (case, frames) in by_host() {
        for frame in frames {
            if let Err(why) = compare(case, &[frame; BURST], &[true]) {
                panic!("host {}, 64 times the same: {why}", case.host);
            }
        }
    }
}
