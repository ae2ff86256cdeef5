//! What a replay did, in JSON and in words.

use std::collections::BTreeMap;
use std::fmt::Write;

use dataplane::drop_reason::DropReason;
use dataplane::worker::{Buffers, LONG_TURN};
use serde::Serialize;

use crate::books::{PortTotals, Totals, Turns};
use crate::explain::reasons::counters as counters_known;
use crate::replay::{Outcome, Refused};

/// The object `dvrctl replay --json` prints, with its keys in this order.
#[derive(Serialize)]
struct Json<'o> {
    #[serde(flatten)]
    books: Books<'o>,
    refused: &'o [Refused],
}

/// The object `dvrd --totals` writes.
#[derive(Serialize)]
struct Daemon<'o> {
    #[serde(flatten)]
    books: Books<'o>,
    handed_over: u64,
    taken_over: u64,
    /// While it runs: where packet buffers are.
    buffers: Option<Kept>,
    /// At the end, when none is with the kernel any more.
    frames: Option<Frames>,
    /// If they are measured.
    turns: Option<Turns>,
}

#[derive(Serialize)]
struct Kept {
    total: u64,
    free: u64,
    receiving: u64,
    sending: u64,
    held: u64,
    closing: u64,
    left_behind: u64,
    between: i64,
}

impl From<Buffers> for Kept {
    fn from(b: Buffers) -> Self {
        let Buffers { total, free, receiving, sending, held, closing, left_behind } = b;
        Kept { total, free, receiving, sending, held, closing, left_behind, between: b.between() }
    }
}

#[derive(Serialize)]
struct Books<'o> {
    received: u64,
    generated: u64,
    copied: u64,
    sent: u64,
    dropped: u64,
    consumed: u64,
    held: u64,
    drops: &'o BTreeMap<String, u64>,
    counters: &'o BTreeMap<String, u64>,
    ports: &'o BTreeMap<String, PortTotals>,
}

#[derive(Serialize)]
struct Frames {
    free: usize,
    total: usize,
}

impl<'o> Books<'o> {
    fn of(t: &'o Totals) -> Self {
        Books {
            received: t.received,
            generated: t.generated,
            copied: t.copied,
            sent: t.sent,
            dropped: t.dropped,
            consumed: t.consumed,
            held: t.held,
            drops: &t.drops,
            counters: &t.counters,
            ports: &t.ports,
        }
    }
}

/// The outcome as one JSON object, in several lines.
pub fn json(outcome: &Outcome) -> String {
    pretty(&Json { books: Books::of(&outcome.totals), refused: &outcome.refused })
}

/// The books of a running host as one JSON object, with the packet buffers that are free, and all.
pub fn totals_json(t: &Totals, frames: Option<(usize, usize)>) -> String {
    let frames = frames.map(|(free, total)| Frames { free, total });
    let Totals { handed_over, taken_over, turns, .. } = *t;
    pretty(&Daemon { books: Books::of(t), handed_over, taken_over, buffers: t.buffers.map(Kept::from), frames, turns })
}

fn pretty(object: &impl Serialize) -> String {
    // Maps with text keys and numbers: nothing in it can fail.
    serde_json::to_string_pretty(object).unwrap_or_default() + "\n"
}

/// The outcome for people.
pub fn text(host: &str, outcome: &Outcome) -> String {
    let t = &outcome.totals;
    let mut s = String::new();
    let seconds = outcome.end.saturating_sub(outcome.start) as f64 / 1e9;
    let _ = writeln!(s, "Host {host}: {} received in {seconds:.6} s of capture\n", count(t.received, "frame"));
    totals_text(&mut s, t);
    s
}

/// The books for people.
pub fn totals_text(s: &mut String, t: &Totals) {
    let _ = writeln!(s, "  received {} + generated {} + copied {}", t.received, t.generated, t.copied);
    let held = if t.held == 0 { String::new() } else { format!(" + held {}", t.held) };
    let between = if t.between() == 0 { String::new() } else { format!(" + {} between workers", t.between()) };
    let _ = writeln!(s, "  = sent {} + dropped {} + consumed {}{held}{between}", t.sent, t.dropped, t.consumed);
    if !t.balanced() {
        let _ = writeln!(s, "  These do not balance: a defect of dvrd, please report it.");
    }
    if t.handed_over > 0 {
        let _ = writeln!(
            s,
            "  {} passed between workers: to a port that another worker owns",
            count(t.handed_over, "frame")
        );
    }
    drops(s, t);
    counters(s, t);
    ports(s, t);
    stages(s, t);
    buffers(s, t);
    turns(s, t);
}

fn buffers(s: &mut String, t: &Totals) {
    let Some(b) = t.buffers else { return };
    let Buffers { total, free, receiving, sending, held, closing, left_behind } = b;
    let _ = write!(s, "\nPacket buffers: {total} = {free} free + {receiving} to receive into + {sending} being sent");
    let more = [(held, "waiting"), (closing, "of ports being closed"), (left_behind, "left to a driver")];
    let more = more.map(|(n, what)| (n.cast_signed(), what)).into_iter().chain([(b.between(), "between workers")]);
    for (n, what) in more.filter(|(n, _)| *n != 0) {
        let _ = write!(s, " + {n} {what}");
    }
    s.push('\n');
}

fn turns(s: &mut String, t: &Totals) {
    let Some(turns) = t.turns else { return };
    let us = |ns: u64| ns as f64 / 1e3;
    let (longest, own) = (us(turns.longest_ns), us(turns.longest_own_ns));
    let _ = writeln!(
        s,
        "\nTurns of workers: {}, the longest {longest:.0} us of CPU time, {own:.0} us without its system calls; {} over {} ms",
        turns.measured,
        turns.long,
        LONG_TURN.as_millis()
    );
}

/// `1 frame`, `2 frames`.
pub fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn drops(s: &mut String, t: &Totals) {
    if t.drops.is_empty() {
        return;
    }
    let _ = writeln!(s, "\nDrops");
    let mut all: Vec<_> = t.drops.iter().collect();
    all.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), name.as_str()));
    for (name, n) in all {
        let meaning = DropReason::from_name(name).map(meaning).unwrap_or_default();
        let _ = writeln!(s, "  {n:>8}  {name:<22} {meaning}");
    }
    let _ = writeln!(s, "  dvrctl explain NAME: the commonest cause and what to look at");
}

/// What a reason means, and its rules.
pub fn meaning(reason: DropReason) -> String {
    format!("{}{}", reason.meaning(), rules(reason.rule()))
}

/// Rule ids as a remark: ` (rule R4)`, ` (rules R3, D3)`, nothing for none.
pub fn rules(ids: &str) -> String {
    match ids.split_whitespace().count() {
        0 => String::new(),
        1 => format!(" (rule {})", ids.trim()),
        _ => format!(" (rules {})", ids.split_whitespace().collect::<Vec<_>>().join(", ")),
    }
}

fn counters(s: &mut String, t: &Totals) {
    if !t.counters.is_empty() {
        let _ = writeln!(s, "\nCounters");
        for (name, n) in &t.counters {
            let meaning = counters_known().find(|(known, _)| known == name).map_or("", |(_, e)| e.meaning);
            let _ = writeln!(s, "  {n:>8}  {name:<22} {meaning}");
        }
    }
}

fn ports(s: &mut String, t: &Totals) {
    if !t.ports.is_empty() {
        let width = t.ports.keys().map(String::len).max().unwrap_or(0).max(5);
        let _ = writeln!(s, "\nPorts  {:width$}{:>9}{:>9}", "", "received", "sent", width = width - 5 + 3);
        for (name, p) in &t.ports {
            let _ = writeln!(s, "  {name:width$}  {:>9}{:>9}", p.rx, p.tx);
        }
    }
}

fn stages(s: &mut String, t: &Totals) {
    if !t.stages.is_empty() {
        let _ = writeln!(s, "\nStages              packets  dropped consumed  in Neutron");
        for (name, neutron, packets, dropped, consumed) in &t.stages {
            let _ = writeln!(s, "  {name:<16}{packets:>9}{:>9}{:>9}  {neutron}", blank(*dropped), blank(*consumed));
        }
    }
}

/// Nothing for zero, which is the usual count.
fn blank(n: u64) -> String {
    if n == 0 { "-".to_owned() } else { n.to_string() }
}
