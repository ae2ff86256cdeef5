//! docs/limits.md against the code: every limit has its value, a name that operators see, and a
//! test that mentions the name.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use control::capture::MAX_CAPTURE;
use control::rows::Rows;
use control::writer::{Limits, Writer};
use dataplane::counters::{Event, KernelLoss};
use dataplane::drop_reason::DropReason;
use dataplane::flood::FloodLimits;
use dataplane::tables::{OUTER, PROBE_LIMIT, RouteSet};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Row {
    limit: String,
    value: String,
    name: String,
    set_by: String,
    test: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn documented() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/limits.md")).unwrap();
    let lines = text.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| Limit |"));
    let rows = lines.map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(|c| c.trim().to_owned()).collect();
        assert_eq!(cells.len(), 6, "{line}");
        let plain = |n: usize| cells[n].replace('`', "");
        Row { limit: plain(0), value: plain(1), name: plain(3), set_by: plain(4), test: plain(5) }
    });
    rows.collect()
}

/// What the code says; private constants are read from their source.
fn value(row: &Row, sources: &[String]) -> Option<u64> {
    let (l, f) = (Limits::default(), FloodLimits::default());
    let at_once = row.limit == "The same, at once";
    let known = match row.set_by.as_str() {
        "Limits::learned_by_host" => l.learned_by_host as u64,
        "Limits::learned_by_port" => l.learned_by_port as u64,
        "Limits::learned" => l.learned as u64,
        "Limits::learn_rate" if at_once => l.learn_rate.burst.into(),
        "Limits::learn_rate" => l.learn_rate.per_second.into(),
        "Limits::fdb + learned" => (l.fdb + l.learned) as u64,
        "FloodLimits::storm" if at_once => f.storm.burst.into(),
        "FloodLimits::storm" => f.storm.per_second.into(),
        "FloodLimits::copies" => f.copies.into(),
        "FloodLimits::turn_copies" => f.turn_copies.into(),
        "FloodLimits::queued" => f.queued as u64,
        "Limits::ports, at most 4096" => l.ports as u64,
        "Limits::tunnels, at most 4090" => l.tunnels as u64,
        "Limits::segments" => l.segments as u64,
        "Limits::routers" => l.routers as u64,
        "Limits::interfaces" => l.interfaces as u64,
        "Limits::fdb" => l.fdb as u64,
        "Limits::neighbours" => l.neighbours as u64,
        "Limits::fips" => l.fips as u64,
        "Limits::resolved" => l.resolved as u64,
        "TellLimits::router" => l.tell.router.per_second.into(),
        "TellLimits::source" => l.tell.source.per_second.into(),
        "LEARN_QUEUE" => dataplane::learn::LEARN_QUEUE as u64,
        "OUTER" => OUTER as u64,
        "MAX_FRAME" => dataplane::umem::MAX_FRAME as u64,
        "QUEUE" => control::daemon::nic::QUEUE.into(),
        "RING" => dataplane::handoff::RING as u64,
        "TRACE_RECORDS" => dataplane::worker::TRACE_RECORDS as u64,
        "RouteSet::LIMIT" => RouteSet::LIMIT as u64,
        "PROBE_LIMIT" => PROBE_LIMIT as u64,
        "MAX_CAPTURE" => MAX_CAPTURE,
        "serde_json" => 127, // its `recursion_limit` is private
        "the port" | "packet memory" => return None,
        constant => {
            let found = sources.iter().find_map(|s| s.split_once(&format!("const {constant}: ")));
            let (_, rest) = found.unwrap_or_else(|| panic!("{}: there is no {constant}", row.limit));
            rest.split(['=', ';']).nth(1).unwrap().trim().replace('_', "").parse().unwrap()
        }
    };
    Some(known)
}

/// Rust sources of the crates.
fn sources() -> Vec<String> {
    let mut dirs = vec![root().join("control"), root().join("dataplane")];
    let mut texts = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") && !entry.ends_with("control/tests/limits.rs") {
                texts.push(std::fs::read_to_string(entry).unwrap());
            }
        }
    }
    texts
}

/// The body of a test, if there is one of this name.
fn body<'s>(sources: &'s [String], test: &str) -> Option<&'s str> {
    let head = format!("fn {test}() {{");
    sources.iter().find_map(|text| {
        let at = text.find(&head)?;
        let attributes = text[..at].rsplit("\n\n").next()?;
        if !attributes.contains("#[test]") {
            return None;
        }
        // Functions of a test module in a source file are indented.
        let indent = text[..at].rsplit('\n').next()?;
        Some(text[at..].split(&format!("\n{indent}}}\n")).next().unwrap())
    })
}

/// `tx_full` as the sources have it: itself, `TxFull`, or a call.
fn mentions(body: &str, name: &str) -> bool {
    let camel: String = name.split('_').filter_map(|w| Some(w.get(..1)?.to_uppercase() + &w[1..])).collect();
    let gauge = name == "held" && body.contains(".held()");
    body.contains(name) || !name.contains(' ') && body.contains(&format!("::{camel}")) || gauge
}

/// Names of drop reasons, events, limits of the writer and tables.
fn names() -> BTreeSet<String> {
    let writer = Writer::new(1, Limits { fdb: 8, learned: 8, neighbours: 8, fips: 8, ..Limits::default() });
    let mut names: BTreeSet<String> = ["held", "T12 routes of one router"].map(str::to_owned).into();
    names.extend(DropReason::ALL.iter().map(|r| r.name().to_owned()));
    names.extend(Event::ALL.iter().map(|e| e.name().to_owned()));
    names.extend(KernelLoss::ALL.iter().map(|e| e.name().to_owned()));
    names.extend(writer.counters().iter().map(|(name, _)| (*name).to_owned()));
    names.extend(writer.tables().iter().map(|t| t.name.to_owned()));
    names
}

#[test]
fn every_limit_has_the_value_that_is_documented() {
    let sources = sources();
    for row in documented() {
        let said = row.value.parse().ok();
        assert_eq!(value(&row, &sources), said, "{}: left the code, right docs/limits.md", row.limit);
    }
}

#[test]
fn every_limit_has_a_name_operators_see_and_a_test_that_sees_it() {
    let (names, sources) = (names(), sources());
    for row in documented() {
        // What is no counter, drop reason or table is part of an error's text.
        let library = row.set_by == "serde_json";
        let message = || row.name.contains(' ') && (library || sources.iter().any(|s| s.contains(&row.name)));
        assert!(names.contains(&row.name) || message(), "{}: nothing is called {}", row.limit, row.name);
        let Some(body) = body(&sources, &row.test) else { panic!("{}: there is no test {}", row.limit, row.test) };
        assert!(mentions(body, &row.name), "{}: the test {} never mentions {}", row.limit, row.test, row.name);
    }
}

/// A limit that the code has and the table does not.
#[test]
fn every_limit_is_documented() {
    let rows = documented();
    let has = |name: &str| rows.iter().any(|r| r.name == name);
    let writer = Writer::new(1, Limits { fdb: 8, learned: 8, neighbours: 8, fips: 8, ..Limits::default() });
    for (name, _) in writer.counters() {
        assert!(has(name), "{name} is not in docs/limits.md");
    }
    for table in writer.tables().iter().filter(|t| !["T06 fdb, learned", "T13 neighbours, asked for"].contains(&t.name))
    {
        assert!(has(table.name), "{} is not in docs/limits.md", table.name);
    }
    let full = |name: &&str| ["_full", "_limit", "_lost", "storm"].iter().any(|part| name.ends_with(part));
    let later = ["ct_full", "frag_limit", "punt_full"];
    let reasons = DropReason::ALL.iter().map(|r| r.name()).chain(Event::ALL.iter().map(|e| e.name()));
    for name in reasons.filter(full).filter(|name| !later.contains(name)) {
        assert!(has(name), "{name} is not in docs/limits.md");
    }
}

/// The tables of a start say their limits: nothing is stored past them.
#[test]
fn the_limits_of_replay_are_those_that_are_documented() {
    let limits = Limits::for_rows(&Rows::default());
    assert_eq!((limits.learned, limits.learned_by_host, limits.learned_by_port), (16_384, 1024, 64));
    assert_eq!((limits.learn_rate, limits.flood), (Limits::default().learn_rate, FloodLimits::default()));
}
