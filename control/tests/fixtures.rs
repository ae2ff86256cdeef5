//! Every folder of `pcap-fixtures/` at burst 1 and 64: frames and counters exactly as the specification has them.

use control::host::{FRAMES, Host};
use control::model::{Change, Cloud, Event};
use dataplane::umem::Umem;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Frames = Vec<(u64, Vec<u8>)>;

#[derive(Deserialize)]
struct Case {
    case: String,
    host: String,
    cloud: Option<String>,
}

#[derive(Deserialize, Default, PartialEq, Debug)]
#[serde(deny_unknown_fields, default)]
struct Counters {
    received: u64,
    generated: u64,
    copied: u64,
    sent: u64,
    dropped: u64,
    consumed: u64,
    held: u64,
    drops: BTreeMap<String, u64>,
    counters: BTreeMap<String, u64>,
    ports: BTreeMap<String, PortCount>,
    refused: Vec<usize>,
}

#[derive(Deserialize, Default, PartialEq, Debug, Clone, Copy)]
#[serde(deny_unknown_fields, default)]
struct PortCount {
    rx: u64,
    tx: u64,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures")
}

fn read(path: &Path) -> Frames {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = pcap_file::pcap::PcapReader::new(file).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        frames.push((packet.timestamp().as_nanos() as u64, packet.data().to_vec()));
    }
    frames
}

fn ports(dir: &Path, prefix: &str) -> BTreeMap<String, Frames> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(port) = name.strip_prefix(prefix).and_then(|n| n.strip_suffix(".pcap")) {
            found.insert(port.to_owned(), read(&dir.join(&name)));
        }
    }
    found
}

fn run(dir: &Path, burst: usize) -> Result<String, String> {
    let text = std::fs::read_to_string(dir.join("case.toml")).unwrap();
    let case: Case = toml::from_str(&text).map_err(|e| format!("case.toml: {e}"))?;
    let cloud = dir.join(case.cloud.as_deref().unwrap_or("../T/cloud.json"));
    let cloud = Cloud::load(&cloud).map_err(|e| e.to_string())?;
    let patch = Change::from_toml(&text, "case.toml", "patch").map_err(|e| e.to_string())?;
    let cloud = cloud.apply(&patch).map_err(|e| e.to_string())?;
    let mut umem = Umem::new(FRAMES);
    let mut host = Host::new(cloud, &case.host, &mut umem).map_err(|e| e.to_string())?;
    let inputs = ports(dir, "in.");
    let mut frames: Vec<(u64, &str, &[u8])> = Vec::new();
    for (port, list) in &inputs {
        frames.extend(list.iter().map(|(at, f)| (*at, port.as_str(), f.as_slice())));
    }
    frames.sort_by_key(|(at, ..)| *at);
    let start = frames.first().map_or(0, |f| f.0);
    let mut events = Vec::new();
    if let Ok(text) = std::fs::read_to_string(dir.join("events.jsonl")) {
        for (n, line) in text.lines().enumerate() {
            let event = Event::from_line(line, "events.jsonl", n + 1).map_err(|e| (n + 1, e));
            let at = serde_json::from_str::<serde_json::Value>(line).unwrap()["at"].as_f64().unwrap();
            events.push((start + (at * 1e9).round() as u64, n + 1, event));
        }
    }
    let mut refused = Vec::new();
    let mut events = events.into_iter().peekable();
    let mut now = start;
    for (at, port, frame) in frames {
        while let Some((when, line, event)) = events.next_if(|e| e.0 <= at) {
            step(&mut host, &mut now, when);
            let applied = event.map_err(|_| ()).and_then(|e| host.apply(&e.change, when).map_err(drop));
            if applied.is_err() {
                refused.push(line);
            }
        }
        if at != now {
            step(&mut host, &mut now, at);
        }
        host.receive(port, frame, at, burst);
    }
    host.settle(now);
    for (when, line, event) in events {
        step(&mut host, &mut now, when);
        if event.map_err(|_| ()).and_then(|e| host.apply(&e.change, when).map_err(drop)).is_err() {
            refused.push(line);
        }
    }
    let mut sent: BTreeMap<String, Frames> = BTreeMap::new();
    host.drain_sent(&mut |port, bytes, time| sent.entry(port.to_owned()).or_default().push((time, bytes.to_vec())));
    let mut wrong = String::new();
    compare(&ports(dir, "out."), &sent, &mut wrong);
    let t = host.totals();
    let got = Counters {
        received: t.received,
        generated: t.generated,
        copied: t.copied,
        sent: t.sent,
        dropped: t.dropped,
        consumed: t.consumed,
        held: t.held,
        drops: t.drops,
        counters: t.counters,
        ports: t.ports.into_iter().map(|(n, p)| (n, PortCount { rx: p.rx, tx: p.tx })).collect(),
        refused,
    };
    let text = std::fs::read_to_string(dir.join("counters.toml")).unwrap();
    let mut expected: Counters = toml::from_str(&text).map_err(|e| format!("counters.toml: {e}"))?;
    expected.drops.retain(|_, n| *n != 0);
    expected.ports.retain(|_, n| *n != PortCount::default());
    if expected != got {
        wrong += &format!("counters differ\n  expected {expected:?}\n  got      {got:?}\n");
    }
    assert_eq!(t.received + t.generated + t.copied, t.sent + t.dropped + t.consumed + t.held, "the books of {dir:?}");
    let (free, total) = host.frames();
    assert_eq!(free, total, "frames leaked in {dir:?}");
    if wrong.is_empty() { Ok(case.case) } else { Err(wrong) }
}

fn step(host: &mut Host<'_>, now: &mut u64, at: u64) {
    host.settle(*now);
    while let Some(due) = host.next_timer().filter(|t| *t <= at) {
        host.run_timers(due);
    }
    *now = at;
}

fn compare(expected: &BTreeMap<String, Frames>, got: &BTreeMap<String, Frames>, wrong: &mut String) {
    let empty = Vec::new();
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
    for name in names {
        let (e, g) = (expected.get(name).unwrap_or(&empty), got.get(name).unwrap_or(&empty));
        for n in 0..e.len().max(g.len()) {
            if e.get(n) != g.get(n) {
                *wrong += &format!(
                    "out.{name}.pcap frame {}\n  expected {}\n  got      {}\n",
                    n + 1,
                    show(e.get(n)),
                    show(g.get(n))
                );
                break;
            }
        }
    }
}

fn show(frame: Option<&(u64, Vec<u8>)>) -> String {
    let Some((time, bytes)) = frame else { return "nothing".to_owned() };
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("at {time}: {} bytes {hex}", bytes.len())
}

#[test]
fn every_case() {
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.retain(|d| d.join("case.toml").exists());
    dirs.sort();
    assert!(dirs.len() > 100, "the fixtures are missing");
    let only = std::env::var("FIXTURE").ok();
    let mut failed = 0;
    for dir in &dirs {
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        for burst in [1, 64] {
            if let Err(why) = run(dir, burst) {
                println!("FAILED {name}, burst {burst}:\n{why}");
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 0, "{failed} runs of {} failed", 2 * dirs.len());
}
