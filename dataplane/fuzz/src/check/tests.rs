//! The checks accept what the fixtures expect, and hardly any byte of it may be another one.

use super::*;
use control::capture::Capture;
use control::model::{Change, Cloud};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcap-fixtures")
}

fn first(folder: &str, file: &str) -> Vec<u8> {
    Capture::load(&root().join(folder).join(file)).unwrap().get(0).unwrap().bytes.to_vec()
}

fn facts(host: &str) -> Facts {
    Facts::new(&Cloud::from_json(crate::REFERENCE, "cloud.json").unwrap(), host)
}

/// One frame, and what was sent at once because of it.
fn alone(facts: &Facts, (from, input): (&str, &[u8]), (to, out): (&str, &[u8])) -> Result<(), String> {
    let frame = |port, bytes| Frame { port, bytes, time: 1 };
    judged(facts, &[frame(from, input)], &frame(to, out))
}

/// A fixture whose cloud does not change: what the host knows, what comes in and what goes out.
struct Fixture {
    name: String,
    facts: Facts,
    came: Vec<(String, Vec<u8>, u64)>,
    went: Vec<(String, Vec<u8>, u64)>,
}

fn fixture(dir: &Path) -> Option<Fixture> {
    let case: toml::Table = fs::read_to_string(dir.join("case.toml")).ok()?.parse().unwrap();
    let mut cloud = Cloud::from_json(crate::REFERENCE, "cloud.json").unwrap();
    if let Some(patch) = case.get("patch") {
        let change = Change::from_json_value(serde_json::to_value(patch).unwrap(), "patch", 0).unwrap();
        cloud = cloud.apply(&change).unwrap();
    }
    if dir.join("events.jsonl").exists() {
        return None;
    }
    let frames = |kind: &str| {
        let mut all = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let Some(port) = file.strip_prefix(kind).and_then(|n| n.strip_suffix(".pcap")) else { continue };
            let capture = Capture::load(&path).unwrap();
            all.extend(capture.frames().map(|f| (port.to_owned(), f.bytes.to_vec(), f.time)));
        }
        all.sort_by_key(|(_, _, time)| *time);
        all
    };
    // What repeats is counted from the start (V4).
    let (mut came, mut went) = (frames("in."), frames("out."));
    let start = came.first().map_or(0, |(_, _, time)| *time);
    came.iter_mut().chain(&mut went).for_each(|(_, _, time)| *time -= start);
    let facts = Facts::new(&cloud, case["host"].as_str().unwrap());
    let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
    Some(Fixture { name, facts, came, went })
}

/// Where thousands of frames come at one moment, each with another source, whose is one that was sent?
const FEW: usize = 200;

fn fixtures() -> Vec<Fixture> {
    let dirs = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path());
    dirs.filter_map(|dir| fixture(&dir)).filter(|f| f.came.len() <= FEW).collect()
}

fn frames(all: &[(String, Vec<u8>, u64)]) -> Vec<Frame<'_>> {
    all.iter().map(|(port, bytes, time)| Frame { port, bytes, time: *time }).collect()
}

#[test]
fn what_fixtures_expect_is_accepted() {
    let all = fixtures();
    assert!(all.len() > 150, "{} fixtures", all.len());
    let wrong: Vec<String> = all
        .iter()
        .flat_map(|f| {
            let story = frames(&f.came);
            let sent = frames(&f.went);
            let judge = |out: &Frame<'_>| Some(format!("{}: {}", f.name, judged(&f.facts, &story, out).err()?));
            sent.iter().filter_map(judge).collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "{} frames:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_byte_of_a_frame_sent_counts() {
    let (mut flips, mut repaired) = (0, 0);
    let mut unseen: Vec<String> = Vec::new();
    for f in fixtures() {
        let story = frames(&f.came);
        // The first of a kind is enough.
        let kinds: BTreeSet<(&str, usize)> = f.went.iter().map(|(p, b, _)| (p.as_str(), b.len())).collect();
        for (port, len) in kinds {
            let (_, right, time) = f.went.iter().find(|(p, b, _)| p == port && b.len() == len).unwrap();
            let good = |bytes: &[u8]| judged(&f.facts, &story, &Frame { port, bytes, time: *time }).is_ok();
            // Of long ones what is behind the headers is all alike.
            for at in 0..len.min(200) {
                let mut bytes = right.clone();
                bytes[at] ^= 0x5a;
                flips += 1;
                let outer_port = port == TUNNEL && matches!(at, 34 | 35); // has tests of its own
                if !outer_port && good(&bytes) {
                    unseen.push(format!("{} {port} {len} byte {at}", f.name));
                }
                // Again, with lengths and checksums that are right.
                crate::packet::repair(&mut bytes);
                if !outer_port && bytes != *right {
                    repaired += 1;
                    if good(&bytes) {
                        unseen.push(format!("{} {port} {len} byte {at}, repaired", f.name));
                    }
                }
            }
        }
    }
    let all = unseen.join("\n");
    assert!(unseen.is_empty(), "{} of {flips} bytes, {repaired} times repaired, could be any:\n{all}", unseen.len());
    assert!(flips > 30_000 && repaired > 20_000, "{flips} {repaired}");
}

#[test]
fn a_frame_at_another_door_is_noticed() {
    let facts = facts("H1");
    let input = first("02-l2-02-unicast-to-a-local-port", "in.A1.pcap");
    let out = first("02-l2-02-unicast-to-a-local-port", "out.A3.pcap");
    assert_eq!(alone(&facts, ("A1", &input), ("A3", &out)), Ok(()));
    for (from, to) in [("A1", "B1"), ("A1", "Z1"), ("A1", "A1"), ("B1", "A3"), ("physnet1", "A3"), ("A1", "A2")] {
        assert!(alone(&facts, (from, &input), (to, &out)).is_err(), "{from} to {to}");
    }
}
