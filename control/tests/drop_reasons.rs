//! Drop reasons: each one that can occur is shown by a fixture, or by a unit test where captures cannot; none occurs
//! that is said not to, the stages that give it are those its explanation names, and docs/drops.md is what
//! `dvrctl explain` says.
//!
//! Something here failed after a change? A reason a stage newly gives: make it `Occurs::Now` in
//! control/src/explain/reasons/, name its stages there, and add a fixture; a line in `UNIT_TESTS` if no capture can
//! bring it about.

use control::capture::Capture;
use control::explain::page::{Topic, markdown};
use control::explain::reasons::{self, Occurs, Place};
use control::host::Workers;
use control::model::{Change, Cloud};
use control::replay::{Events, Input, Options, run};
use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Unit tests that show a reason no capture can show: reason, file under dataplane/src, function. What captures can
/// show has a fixture.
const UNIT_TESTS: &[(DropReason, &str, &str)] = &[
    (DropReason::VnetBad, "stage/offload/tests.rs", "what_cannot_be_is_refused"),
    (DropReason::HandoffFull, "stage/handoff/tests.rs", "a_full_ring_is_handoff_full_and_what_fits_arrives"),
    (DropReason::TxFull, "stage/egress/tests.rs", "a_full_tunnel_is_tx_full"),
    (DropReason::NoFrame, "drop_tap/tests.rs", "a_copy_without_a_buffer_is_there_too"),
    (DropReason::NoHeadroom, "stage/vxlan_encap/tests.rs", "under_50_bytes_in_front_of_the_frame_are_no_headroom"),
    // Of a reason that must stay 0, the place that asserts so after every unit test of a stage.
    (DropReason::Internal, "testkit/rig.rs", "assert_books"),
];

/// A function of one stage's file that another stage calls and counts under its own name: file, reason, stage.
const CALLED_BY: &[(&str, DropReason, Stage)] = &[("vxlan_decap", DropReason::EcnBad, Stage::VxlanTunToLv)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The folders of the fixtures.
fn fixtures() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("pcap-fixtures")).unwrap().map(|e| e.unwrap().path());
    let mut all: Vec<PathBuf> = entries.filter(|p| p.join("case.toml").exists()).collect();
    all.sort();
    assert!(all.len() >= 246, "the fixtures are missing");
    all
}

/// The drops a fixture expects, by reason.
fn drops_of(dir: &Path) -> BTreeMap<String, i64> {
    let text = std::fs::read_to_string(dir.join("counters.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let drops = table.get("drops").and_then(|d| d.as_table()).into_iter().flatten();
    drops.map(|(name, n)| (name.clone(), n.as_integer().unwrap())).filter(|(_, n)| *n > 0).collect()
}

/// `PortDown` for `port_down`: the enum's own name.
fn variant(reason: DropReason) -> String {
    format!("{reason:?}")
}

/// The text of a test function, or why it is none that shows the reason.
fn shows(reason: DropReason, file: &str, function: &str) -> Result<(), String> {
    let text = read(&format!("dataplane/src/{file}"));
    let head = format!("fn {function}(");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|l| l.contains(&head)).ok_or_else(|| format!("{file} has no {function}"))?;
    let indent = lines[at].len() - lines[at].trim_start().len();
    let end = lines[at..].iter().position(|l| *l == format!("{}}}", " ".repeat(indent))).unwrap();
    let before = lines[..at].iter().rev().take_while(|l| l.trim_start().starts_with(['#', '/']));
    if !before.into_iter().any(|l| l.trim() == "#[test]") && reason != DropReason::Internal {
        return Err(format!("{function} of {file} is no #[test]"));
    }
    let body = lines[at..at + end].join("\n");
    let words = [
        format!("\"{}\"", reason.name()),
        format!("drop.{} ", reason.name()),
        format!("drop.{}\"", reason.name()),
        format!("DropReason::{}", variant(reason)),
    ];
    let asserts = |statement: &str| statement.contains("assert") && words.iter().any(|w| statement.contains(w));
    if body.split(";\n").any(asserts) {
        return Ok(());
    }
    Err(format!("{function} of {file} asserts nothing about {}", reason.name()))
}

#[test]
fn every_reason_that_can_occur_is_shown() {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for dir in fixtures() {
        for reason in drops_of(&dir).into_keys() {
            assert!(DropReason::from_name(&reason).is_some(), "{}: no reason {reason}", dir.display());
            shown.entry(reason).or_insert_with(|| dir.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    let mut wrong = Vec::new();
    for (reason, file, function) in UNIT_TESTS {
        let test = shows(*reason, file, function).map(|()| format!("{file}: {function}"));
        match (test, shown.get(reason.name())) {
            (Err(why), _) => wrong.push(why),
            (Ok(_), Some(folder)) => {
                wrong.push(format!("{}: {folder} shows it, so take it out of UNIT_TESTS", reason.name()));
            }
            (Ok(test), None) => drop(shown.insert(reason.name().to_owned(), test)),
        }
    }
    for reason in DropReason::ALL {
        match (reasons::of(*reason).occurs, shown.get(reason.name())) {
            (Occurs::Now | Occurs::Defect, None) => {
                wrong.push(format!("{}: can occur, but no fixture shows it and no line of UNIT_TESTS", reason.name()));
            }
            (Occurs::Later(_), Some(by)) => {
                wrong.push(format!("{}: is said not to occur in this build, but {by} shows it", reason.name()));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_test_that_shows_nothing_is_found_out() {
    let why = |reason, file, function| shows(reason, file, function).unwrap_err();
    let tests = "stage/egress/tests.rs";
    assert!(why(DropReason::TxFull, tests, "no_such_test").contains("has no"));
    assert!(why(DropReason::TxFull, tests, "to_a3").contains("no #[test]"));
    assert!(why(DropReason::MacSpoof, tests, "a_full_tunnel_is_tx_full").contains("asserts nothing"));
}

/// Rust files under a folder.
fn sources(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
}

/// Every reason the program gives outside of its tests: the file's stage, if it is one's, and the reason.
fn given() -> BTreeSet<(Option<String>, DropReason)> {
    let mut files = vec![root().join("control/src/host.rs")];
    sources(&root().join("dataplane/src"), &mut files);
    sources(&root().join("control/src/host"), &mut files);
    let mut all = BTreeSet::new();
    for file in files {
        let path = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if path.contains("test") || path.ends_with("drop_reason.rs") {
            continue;
        }
        let stage = match path.strip_prefix("dataplane/src/stage/") {
            Some("mod.rs") => Some("ingress"),
            Some(rest) => rest.split(['/', '.']).next().map(|file| match file {
                "floating_ip" | "parked" => "qrouter", // parts of its walk
                "made" => "egress",
                "unresolved" => "vxlan_encap",
                file => file,
            }),
            None => None,
        };
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for line in code.lines().map(|l| l.split("//").next().unwrap()) {
            for rest in line.split("DropReason::").skip(1) {
                let name: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
                let reason = DropReason::ALL.iter().find(|r| variant(**r) == name);
                all.extend(reason.map(|r| (stage.map(str::to_owned), *r)));
            }
        }
    }
    assert!(all.len() > 60, "{all:?}");
    all
}

#[test]
fn what_occurs_is_what_the_stages_give() {
    let given: BTreeSet<DropReason> = given().into_iter().map(|(_, r)| r).collect();
    let mut wrong = Vec::new();
    for reason in DropReason::ALL {
        match (reasons::of(*reason).occurs, given.contains(reason)) {
            (Occurs::Later(rule), true) => wrong.push(format!("{} occurs, though it waits for {rule}", reason.name())),
            (Occurs::Now | Occurs::Defect, false) => wrong.push(format!("nothing gives {}", reason.name())),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_explanation_names_the_stages_that_give_its_reason() {
    let mut by: BTreeMap<DropReason, BTreeSet<&str>> = BTreeMap::new();
    for (stage, reason) in given() {
        let Some(file) = stage else { continue };
        let stage = Stage::ALL.iter().find(|s| s.name() == file).unwrap_or_else(|| panic!("{file} is no stage"));
        let caller = CALLED_BY.iter().find(|(f, r, _)| *f == file && *r == reason);
        by.entry(reason).or_default().insert(caller.map_or(*stage, |c| c.2).name());
    }
    for reason in DropReason::ALL {
        let e = reasons::of(*reason);
        let mut named: BTreeSet<&str> = e.stages.iter().map(|s| s.name()).collect();
        assert_eq!(named.is_empty(), matches!(e.occurs, Occurs::Later(_)), "{}", reason.name());
        if matches!(reason, DropReason::Mtu | DropReason::NoFrame) {
            assert!(named.remove("ingress"), "frames a port could not take in are counted at ingress");
        }
        if *reason != DropReason::Internal {
            assert_eq!(named, by.remove(reason).unwrap_or_default(), "{}: left: named, right: given", reason.name());
        }
    }
}

/// Rules by id, and whether they are built.
fn rules() -> BTreeMap<String, bool> {
    let text = read("docs/behaviour.md");
    let items = text.split("\n- **").skip(1).filter_map(|item| item.split_once("** \u{b7} "));
    items.map(|(id, rest)| (id.to_owned(), rest.starts_with("built"))).collect()
}

#[test]
fn a_reason_that_occurs_has_a_built_rule_and_one_that_does_not_waits_for_one() {
    let rules = rules();
    for reason in DropReason::ALL {
        let name = reason.name();
        match reasons::of(*reason).occurs {
            Occurs::Later(rule) => {
                assert_eq!(rules.get(rule), Some(&false), "{name} waits for {rule}, which is no rule of state later");
                assert!(
                    reason.rule().split(' ').any(|r| r == rule),
                    "{name} waits for {rule}, but has {}",
                    reason.rule()
                );
            }
            Occurs::Now => {
                // T4 and L1 give snat_no_state, R4 is the paragraph above its steps.
                let built = |id: &str| matches!(id, "egress" | "R4") || rules.get(id) == Some(&true);
                assert!(reason.rule().split(' ').any(built), "{name} occurs, but of {} none is built", reason.rule());
            }
            Occurs::Defect => assert_eq!(*reason, DropReason::Internal),
        }
    }
}

#[test]
fn every_entry_is_of_use() {
    for reason in DropReason::ALL {
        let (name, e) = (reason.name(), reasons::of(*reason));
        let least = if e.occurs == Occurs::Now { (60, 40) } else { (40, 20) };
        assert!(e.more.len() >= least.0 && e.cause.len() >= least.1, "{name}");
        let looks = if e.occurs == Occurs::Now && *reason != DropReason::NoHeadroom { 2 } else { 1 };
        assert!(e.look.len() >= looks, "{name}: {} things to look at", e.look.len());
        for text in [e.more, e.cause] {
            assert!(text.ends_with(['.', '?', ')']) && !text.contains("  "), "{name}: {text}");
        }
        assert!(e.look.iter().all(|l| !l.contains("  ") || l.contains("   #")), "{name}");
    }
    let names: BTreeSet<String> = Topic::all().iter().map(|t| t.text().lines().next().unwrap().to_owned()).collect();
    assert_eq!(names.len(), DropReason::COUNT + reasons::counters().count());
    assert!(Place::ALL.iter().all(|p| DropReason::ALL.iter().any(|r| reasons::of(*r).place == *p)));
}

#[test]
fn docs_drops_md_is_made_from_the_program() {
    let regenerate = "cargo run --bin dvrctl -- explain --markdown > docs/drops.md";
    let (there, made) = (read("docs/drops.md"), markdown());
    let line = there.lines().zip(made.lines()).position(|(a, b)| a != b).unwrap_or(0) + 1;
    assert!(there == made, "docs/drops.md is stale from line {line} on; make it anew:\n    {regenerate}");
    assert!(made.contains(regenerate), "docs/drops.md says how it is made");
}

/// Replays a fixture with its drops kept: per reason as many as it expects, each a frame of its inputs as received, and
/// dropped by a stage its explanation names.
fn replay_drops(dir: &Path, burst: usize, count: usize) -> usize {
    let text = std::fs::read_to_string(dir.join("case.toml")).unwrap();
    let case: toml::Table = text.parse().unwrap();
    let file = case.get("cloud").and_then(|v| v.as_str()).unwrap_or("../T/cloud.json");
    let patch = Change::from_toml(&text, "case.toml", "patch").unwrap();
    let cloud = Cloud::load(&dir.join(file)).unwrap().apply(&patch).unwrap();
    let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let ports = names.filter_map(|n| Some(n.strip_prefix("in.")?.strip_suffix(".pcap")?.to_owned()));
    let load = |port: String| Input { capture: Capture::load(&dir.join(format!("in.{port}.pcap"))).unwrap(), port };
    let mut inputs: Vec<Input> = ports.map(load).collect();
    inputs.sort_by(|a, b| a.port.cmp(&b.port));
    let events = std::fs::read_to_string(dir.join("events.jsonl")).unwrap_or_default();
    // Between queues there is no order: a case that needs one says so.
    let workers = Workers { count, seed: 7 };
    let options = Options { cloud, host: case["host"].as_str().unwrap().to_owned(), burst, workers, drops: true };
    let outcome = run(&options, &inputs, &Events::parse(&events, "events.jsonl")).unwrap();
    let at = dir.file_name().unwrap().to_string_lossy();
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for d in &outcome.dropped {
        *counts.entry(d.reason.name().to_owned()).or_default() += 1;
        assert!(reasons::of(d.reason).stages.contains(&d.stage), "{at}: {} by {:?}", d.reason.name(), d.stage);
        let received = inputs.iter().filter(|i| i.port == d.port).flat_map(|i| i.capture.frames());
        // A packet that nobody answered for was held 3 s at most (R7-probe), one for another host 1 s (O3-wait).
        let held = match d.reason {
            DropReason::NoNeigh => 3_000_000_000,
            DropReason::UnderlayUnresolved | DropReason::PortGone => 1_000_000_000,
            _ => 0,
        };
        let mut received = received.filter(|f| (d.time - held..=d.time).contains(&f.time));
        assert!(
            received.any(|f| f.bytes == d.bytes),
            "{at}: {} on {} at {} was never received",
            d.reason.name(),
            d.port,
            d.time
        );
        assert_eq!(d.len as usize, d.bytes.len(), "{at}");
    }
    assert_eq!(counts, drops_of(dir), "{at}, burst {burst}");
    assert!(outcome.dropped.is_sorted_by_key(|d| d.time));
    outcome.dropped.len()
}

#[test]
fn the_drops_of_every_fixture_are_kept_as_received() {
    let dropped: usize = fixtures().iter().map(|dir| replay_drops(dir, 1, 1) + replay_drops(dir, 64, 3)).sum();
    assert!(dropped > 200, "{dropped}");
}

#[test]
fn frames_of_ports_without_a_row_keep_their_ports() {
    let cloud = Cloud::load(&root().join("pcap-fixtures/T/cloud.json")).unwrap();
    let port = |name: &str, n: u8| {
        format!(
            r#"{{"id": "{name}", "network_id": "A", "mac_address": "fa:16:3e:0a:00:9{n}", "device_owner": "compute:nova", "binding_host_id": "H1", "fixed_ips": [{{"subnet_id": "A-v4", "ip_address": "10.1.0.9{n}"}}]}}"#
        )
    };
    let line = format!(r#"{{"at": 100, "set": {{"ports": [{}, {}]}}}}"#, port("first", 1), port("second", 2));
    let input = |name: &str, n: u8| {
        let mut capture = Capture::default();
        (0..3).for_each(|i| capture.push(5, &[&[2, 0, 0, 0, 0, n, 2, 0, 0, 0, 0, n, 8, 0][..], &[i; 20]].concat()));
        Input { port: name.to_owned(), capture }
    };
    let options = Options { cloud, host: "H1".to_owned(), burst: 64, workers: Workers::ONE, drops: true };
    let inputs = [input("first", 1), input("second", 2)];
    let outcome = run(&options, &inputs, &Events::parse(&line, "e")).unwrap();
    let got: Vec<(&str, u8)> = outcome.dropped.iter().map(|d| (d.port.as_str(), d.bytes[5])).collect();
    assert_eq!(got, [("first", 1), ("first", 1), ("first", 1), ("second", 2), ("second", 2), ("second", 2)]);
}
