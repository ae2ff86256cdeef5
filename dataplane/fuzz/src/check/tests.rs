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

/// The first frame that the fixture expects at a port, changed, with lengths and checksums put right.
fn spoiled(name: &str, port: &str, change: &dyn Fn(&mut Vec<u8>, &mut u64)) -> Result<(), String> {
    let f = fixture(&root().join(name)).unwrap();
    let (_, right, time) = f.went.iter().find(|(p, ..)| p == port).unwrap();
    let (mut bytes, mut time) = (right.clone(), *time);
    change(&mut bytes, &mut time);
    crate::packet::repair(&mut bytes);
    judged(&f.facts, &frames(&f.came), &Frame { port, bytes: &bytes, time })
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// What is done to a frame and its time.
type Spoil = fn(&mut Vec<u8>, &mut u64);

#[test]
fn what_breaks_a_rule_is_noticed() {
    const RV: [u8; 6] = [0xfa, 0x16, 0x3e, 0x0c, 0, 1];
    const M2: [u8; 6] = [0xfa, 0x16, 0x3f, 0, 0, 2];
    let vlan = "134-ew-06-routed-into-a-vlan-network";
    let (out, back) = ("147-fip-01-out-with-a-floating-ip", "148-fip-02-in-to-a-floating-ip");
    let (ttl, arp) = ("141-ew-11-time-exceeded", "149-fip-03-arp-for-a-floating-ip-at-its-host");
    let (probe, cut) = ("169-ew-15-unknown-neighbour", "145-mtu-02-too-big-without-df");
    let cases: [(&str, &str, &str, Spoil); 24] = [
        ("router MAC out of a VLAN (O2)", vlan, "physnet1", |b, _| put(b, 6, &RV)),
        ("another host's DVR MAC (O2)", vlan, "physnet1", |b, _| put(b, 6, &M2)),
        ("another VLAN (O4)", vlan, "physnet1", |b, _| put(b, 14, &[0, 100])),
        ("a priority (O4)", vlan, "physnet1", |b, _| b[14] |= 0x20),
        ("no tag (O4)", vlan, "physnet1", |b, _| drop(b.drain(12..16))),
        ("two tags (O4)", vlan, "physnet1", |b, _| drop(b.splice(12..12, [0x81, 0, 1, 0x2c]))),
        ("another machine's MAC (R7)", vlan, "physnet1", |b, _| b[5] = 0x11),
        ("not translated (FO)", out, "physext", |b, _| put(b, 30, &[10, 1, 0, 11])),
        ("another one's floating IP (FO)", out, "physext", |b, _| b[33] = 102),
        ("DVR MAC outside (FO4)", out, "physext", |b, _| put(b, 6, &[0xfa, 0x16, 0x3f, 0, 0, 1])),
        ("the floating IP plane took a TTL (D3)", out, "physext", |b, _| b[26] -= 9),
        ("to another fixed address (FI)", back, "A1", |b, _| b[33] = 13),
        ("source translated on the way in (FI)", back, "A1", |b, _| put(b, 26, &[203, 0, 113, 101])),
        ("two TTLs on the way in (FI)", back, "A1", |b, _| b[22] -= 1),
        ("net unreachable for time exceeded (R3)", ttl, "A1", |b, _| put(b, 34, &[3, 0])),
        ("from another address of the router (ICMP)", ttl, "A1", |b, _| put(b, 26, &[10, 2, 0, 1])),
        ("a shorter quote (generated bytes)", ttl, "A1", |b, _| b.truncate(b.len() - 8)),
        ("to another machine (ICMP)", ttl, "A1", |b, _| put(b, 0, &[0xfa, 0x16, 0x3e, 0x0a, 0, 0x13])),
        ("ARP answer with another MAC (E1)", arp, "physext", |b, _| (b[15 - 4], b[27]) = (2, 2)),
        ("a probe between its times (R7-probe)", probe, "B1", |_, time| *time += SECOND / 2),
        ("a fourth probe (R7-probe)", probe, "B1", |_, time| *time += 3 * SECOND),
        ("a probe for an address with a row (R7-probe)", probe, "B1", |b, _| put(b, 38, &[10, 2, 0, 11])),
        ("a probe that names the router (R7-probe)", probe, "B1", |b, _| put(b, 28, &[10, 2, 0, 1])),
        ("a fragment smaller than it could be (R8-icmp)", cut, TUNNEL, |b, _| b.truncate(b.len() - 8)),
    ];
    for (what, name, port, change) in cases {
        assert_eq!(spoiled(name, port, &|_, _| ()), Ok(()), "{what}: without it");
        assert!(spoiled(name, port, &change).is_err(), "{what}");
    }
}

#[test]
fn who_waits_goes_in_time_and_an_answer_teaches_its_address() {
    // A1's packet for a floating IP of another host leaves when that has answered.
    let f = fixture(&root().join("156-fip-09-floating-ip-to-one-on-another-host")).unwrap();
    let story = frames(&f.came);
    let all = frames(&f.went);
    let late = all.iter().find(|o| o.time > story[0].time).expect("one that waited");
    assert_eq!(judged(&f.facts, &story, late), Ok(()));
    let without: Vec<Frame<'_>> = story.iter().filter(|c| c.port == "A1").copied().collect();
    assert!(judged(&f.facts, &without, late).is_err(), "to a MAC nobody told of");
    assert!(judged(&f.facts, &story, &Frame { time: late.time + 4 * SECOND, ..*late }).is_err(), "too late");
}

#[test]
fn a_fragment_that_is_missing_is_noticed() {
    let f = fixture(&root().join("196-r8-2-three-fragments")).unwrap();
    let (story, mut sent) = (frames(&f.came), frames(&f.went));
    sent.retain(|s| s.port == "B1" && s.time == 0);
    assert_eq!(sent.len(), 3);
    let whole = |sent: &[Frame<'_>]| std::panic::catch_unwind(|| fragments(&f.facts, &story, sent)).is_ok();
    assert!(whole(&sent));
    for some in [[0, 1], [0, 2], [1, 2], [1, 0]] {
        assert!(!whole(&some.map(|n| sent[n])), "{some:?}");
    }
    assert!(!whole(&[sent[1], sent[0], sent[2]]), "out of order");
}
