//! Every folder of `pcap-fixtures/` through the replay engine, frames byte for byte and counters
//! exactly, with bursts of 1 and of 64. `FIXTURE=ew-02 cargo test -p control --test fixtures` runs
//! the folders with that in their name.

use control::capture::Capture;
use control::host::Workers;
use control::model::{Change, Cloud};
use control::replay::{Events, Input, Options, Outcome, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures");
    let entries = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = entries.filter(|p| p.join("case.toml").exists()).collect();
    all.sort();
    all
}

/// `in.PORT.pcap` or `out.PORT.pcap`, by port.
fn captures(dir: &Path, prefix: &str) -> BTreeMap<String, PathBuf> {
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    names
        .filter_map(|p| {
            let port = p.file_name()?.to_str()?.strip_prefix(prefix)?.strip_suffix(".pcap")?.to_owned();
            Some((port, p))
        })
        .collect()
}

fn counters(outcome: &Outcome) -> BTreeMap<String, i64> {
    let t = &outcome.totals;
    let mut all: BTreeMap<String, i64> = BTreeMap::new();
    let single = [
        ("received", t.received),
        ("generated", t.generated),
        ("copied", t.copied),
        ("sent", t.sent),
        ("dropped", t.dropped),
        ("consumed", t.consumed),
        ("held", t.held),
    ];
    all.extend(single.map(|(k, v)| (k.to_owned(), v as i64)));
    all.extend(t.drops.iter().map(|(k, v)| (format!("drops.{k}"), *v as i64)));
    all.extend(t.counters.iter().map(|(k, v)| (format!("counters.{k}"), *v as i64)));
    for (port, n) in &t.ports {
        all.insert(format!("ports.{port}.rx"), n.rx as i64);
        all.insert(format!("ports.{port}.tx"), n.tx as i64);
    }
    all.extend(outcome.refused.iter().map(|r| (format!("refused.{}", r.line), 1)));
    all.retain(|_, v| *v != 0);
    all
}

fn expected(dir: &Path) -> BTreeMap<String, i64> {
    let text = std::fs::read_to_string(dir.join("counters.toml")).unwrap();
    let mut all = BTreeMap::new();
    flatten(&mut all, "", &toml::Value::Table(toml::from_str(&text).unwrap()));
    all.retain(|_, v| *v != 0);
    all
}

fn flatten(all: &mut BTreeMap<String, i64>, at: &str, value: &toml::Value) {
    let under = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        toml::Value::Table(t) => t.iter().for_each(|(k, v)| flatten(all, &under(k), v)),
        toml::Value::Array(lines) => all.extend(lines.iter().map(|l| (under(&l.to_string()), 1))),
        other => all.extend([(at.to_owned(), other.as_integer().unwrap())]),
    }
}

/// A folder, read once.
struct Case {
    name: String,
    options: Options,
    inputs: Vec<Input>,
    events: Events,
    counters: BTreeMap<String, i64>,
    /// Bytes of each file that must come out.
    outputs: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn load(dir: &Path) -> Result<Case, String> {
        let text = std::fs::read_to_string(dir.join("case.toml")).unwrap();
        let case: toml::Value = toml::from_str(&text).unwrap();
        let file = case.get("cloud").and_then(|v| v.as_str()).unwrap_or("../T/cloud.json");
        let cloud = Cloud::load(&dir.join(file)).map_err(|e| e.to_string())?;
        let patch = Change::from_toml(&text, "case.toml", "patch").map_err(|e| e.to_string())?;
        let cloud = cloud.apply(&patch).map_err(|e| e.to_string())?;
        let load = |path: &Path| Capture::load(path).map_err(|e| e.to_string());
        let inputs = captures(dir, "in.").into_iter().map(|(port, path)| Ok(Input { port, capture: load(&path)? }));
        let events = std::fs::read_to_string(dir.join("events.jsonl")).unwrap_or_default();
        let host = case["host"].as_str().unwrap().to_owned();
        Ok(Case {
            name: dir.file_name().unwrap().display().to_string(),
            options: Options { cloud, host, burst: 64, workers: Workers::ONE, drops: false },
            inputs: inputs.collect::<Result<Vec<_>, String>>()?,
            events: Events::parse(&events, "events.jsonl"),
            counters: expected(dir),
            outputs: captures(dir, "out.").into_iter().map(|(p, path)| (p, std::fs::read(path).unwrap())).collect(),
        })
    }

    /// Frames that one worker gave to another, if all is as it should be.
    fn check(&self, burst: usize, (count, seed): (usize, u64)) -> Result<u64, String> {
        let options = Options { burst, workers: Workers { count, seed }, ..self.options.clone() };
        let outcome = run(&options, &self.inputs, &self.events).map_err(|e| e.to_string())?;
        if !outcome.totals.balanced() {
            return Err(format!("the books do not balance: {:?}", outcome.totals));
        }
        if outcome.frames.0 != outcome.frames.1 {
            return Err(format!("buffers were lost: {} of {} are free", outcome.frames.0, outcome.frames.1));
        }
        let (got, want) = (counters(&outcome), &self.counters);
        if got != *want {
            return Err(format!("counters\n  want {want:?}\n  got  {got:?}"));
        }
        if self.outputs.keys().ne(outcome.sent.keys()) {
            return Err(format!("want frames on {:?}, got them on {:?}", self.outputs.keys(), outcome.sent.keys()));
        }
        for (port, want) in &self.outputs {
            let got = &outcome.sent[port];
            if *want != got.to_pcap() {
                let want = Capture::from_bytes(want.clone(), port).map_err(|e| e.to_string())?;
                return Err(difference(&want, got, port));
            }
        }
        Ok(outcome.totals.handed_over)
    }
}

/// Workers and choices of queues each case runs with, by bursts of 1 and of 64.
const SETTINGS: [(usize, u64); 5] = [(1, 0), (2, 1), (2, 2), (4, 1), (4, 2)];

/// What failed, and frames handed over by number of workers.
fn check(dir: &Path) -> (Vec<String>, BTreeMap<usize, u64>) {
    let (mut failed, mut handed_over) = (Vec::new(), BTreeMap::new());
    let case = match Case::load(dir) {
        Ok(case) => case,
        Err(why) => return (vec![format!("{}: {why}", dir.display())], handed_over),
    };
    for (count, seed) in SETTINGS {
        for burst in [1, 64] {
            match case.check(burst, (count, seed)) {
                Ok(n) => *handed_over.entry(count).or_insert(0) += n,
                Err(why) => failed.push(format!("{}, {count} workers, queues {seed}, burst {burst}: {why}", case.name)),
            }
        }
    }
    (failed, handed_over)
}

/// The first frame that differs, in words and bytes.
fn difference(want: &Capture, got: &Capture, port: &str) -> String {
    let line = |f: Option<control::capture::Frame<'_>>| match f {
        Some(f) => {
            format!("{} {}\n       {:02x?}", f.time, control::frame_text::Decoded::of(f.bytes, 4789).line(), f.bytes)
        }
        None => "nothing".to_owned(),
    };
    let same = |i: usize| match (want.get(i), got.get(i)) {
        (Some(a), Some(b)) => (a.time, a.bytes) == (b.time, b.bytes),
        _ => false,
    };
    let n = (0..).find(|i| !same(*i)).unwrap_or(0);
    format!("{port}, frame {}\n  want {}\n  got  {}", n + 1, line(want.get(n)), line(got.get(n)))
}

/// Each with 1, 2 and 4 workers, bursts of 1 and of 64, and two choices of queues.
#[test]
fn every_case_byte_for_byte() {
    let folders = folders();
    let only = std::env::var("FIXTURE").unwrap_or_default();
    let chosen: Vec<&PathBuf> = folders.iter().filter(|d| d.to_string_lossy().contains(&only)).collect();
    let (mut failed, mut handed_over) = (Vec::new(), BTreeMap::new());
    std::thread::scope(|scope| {
        let parts = chosen.chunks(chosen.len().div_ceil(2).max(1));
        let threads: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().map(|d| check(d)).collect::<Vec<_>>())).collect();
        for (why, handed) in threads.into_iter().flat_map(|t| t.join().unwrap()) {
            failed.extend(why);
            handed.into_iter().for_each(|(count, n)| *handed_over.entry(count).or_insert(0) += n);
        }
    });
    let runs = chosen.len() * SETTINGS.len() * 2;
    assert!(failed.is_empty(), "{} of {runs}\n{}", failed.len(), failed.join("\n"));
    println!("{} cases, {runs} runs; frames handed over, by number of workers: {handed_over:?}", chosen.len());
    if only.is_empty() {
        assert!(folders.len() >= 117, "{}", folders.len());
        assert_eq!(handed_over[&1], 0);
        assert!(handed_over[&2] > 100 && handed_over[&4] > handed_over[&2], "{handed_over:?}: hand-off was not tried");
    }
}
