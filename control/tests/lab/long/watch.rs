//! What is looked at again and again, and what it must be in the end.

use super::canary::Seen;
use crate::checks::Checks;
use crate::command::Res;
use crate::daemon::Dvrd;
use control::lab::process::Process;
use control::lab::usage::{Usage, slope};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// Memory may grow by so much a second, KiB, over a run of this many seconds: what settles in the first minute shows as a
/// slope in a short one. One cloud that is not freed at a reload, ten times a second, would be hundreds.
const SLOPES: [(f64, f64); 2] = [(300.0, 2.0), (0.0, 24.0)];
/// Workers may have so many times as many long turns, by their CPU time, as a thread that does nothing has long moments; and a
/// few more, since both are few.
const TIMES: f64 = 5.0;
const FEW: f64 = 8.0;

/// One look at one daemon.
struct Look {
    at: f64,
    usage: Usage,
}

/// See the module text.
pub struct Watch {
    start: Instant,
    /// By host: which process it was first, and what was seen of it as long as it was that one.
    all: Vec<(Process, Vec<Look>)>,
    looks: usize,
    /// Of several workers' books, what was between them at most.
    between: i64,
    /// Of the daemons that ended meanwhile and those that run.
    turns: Turns,
}

#[derive(Default)]
struct Turns {
    longest: f64,
    own: f64,
    /// By process: the last number seen.
    last: BTreeMap<u32, Counted>,
}

/// Turns of one process.
#[derive(Clone, Copy, Default)]
struct Counted {
    long: u64,
    measured: u64,
    own_ns: u64,
}

impl Watch {
    pub fn new(daemons: &[Dvrd]) -> Res<Watch> {
        let all = daemons.iter().map(|d| Ok((d.process()?, Vec::new()))).collect::<Res<Vec<_>>>()?;
        Ok(Watch { start: Instant::now(), all, looks: 0, between: 0, turns: Turns::default() })
    }

    /// Memory, descriptors, threads and books of each.
    pub fn look(&mut self, daemons: &[Dvrd], checks: &mut Checks) -> Res<()> {
        let at = self.start.elapsed().as_secs_f64();
        for (host, dvrd) in daemons.iter().enumerate() {
            let (process, t) = (dvrd.process()?, dvrd.books()?);
            if process == self.all[host].0 {
                self.all[host].1.push(Look { at, usage: Usage::of(&process)? });
            }
            self.balance(host, &t, checks);
            self.turns.see(process.pid, &t["turns"]);
        }
        self.looks += 1;
        Ok(())
    }

    /// The books of a running daemon; a check only where something is wrong, there are many.
    fn balance(&mut self, host: usize, t: &Value, checks: &mut Checks) {
        let n = |key: &str| t[key].as_u64().unwrap_or(u64::MAX / 16);
        let came = n("received") + n("generated") + n("copied") + n("taken_over");
        let went = n("sent") + n("dropped") + n("consumed") + n("held") + n("handed_over");
        let name = format!("H{}", host + 1);
        if came != went {
            checks.check(format!("{name} books, while it works"), format!("{came} = {went}"), false);
        }
        let reasons: u64 = t["drops"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        if reasons != n("dropped") || !t["drops"]["internal"].is_null() {
            checks.check(format!("{name} drops, while it works"), &t["drops"], false);
        }
        let between = t["buffers"]["between"].as_i64().unwrap_or(i64::MAX);
        // H1 has two workers, which each tell their own moment; the others have one, and nothing is between.
        self.between = self.between.max(if host == 0 { between.abs() } else { 0 });
        if host != 0 && between != 0 {
            checks.check(format!("{name} buffers, while it works"), &t["buffers"], false);
        }
    }

    /// The whole run. `machine`: what a thread that does nothing saw of it.
    pub fn judge(&self, checks: &mut Checks, daemons: &[Dvrd], machine: Seen) {
        checks.check("books looked at, all balanced, every buffer in its place", self.looks, self.looks > 5);
        checks.note("H1 buffers between its two workers, at most", self.between);
        let length = self.start.elapsed().as_secs_f64();
        for (host, (process, looks)) in self.all.iter().enumerate() {
            if daemons.get(host).is_some_and(|d| d.process().as_ref() == Ok(process)) {
                memory(checks, host, looks, length);
                counts(checks, host, looks);
            }
        }
        self.turns.judge(checks, machine);
    }
}

/// After the first quarter, in which what grows once grows.
fn memory(checks: &mut Checks, host: usize, looks: &[Look], length: f64) {
    let settled: Vec<&Look> = looks.iter().filter(|l| l.at > length / 4.0).collect();
    let points: Vec<(f64, f64)> = settled.iter().map(|l| (l.at, l.usage.anon_kib as f64)).collect();
    let most = SLOPES.iter().find(|(seconds, _)| length >= *seconds).map_or(0.0, |(_, most)| *most);
    let of = |look: Option<&&Look>| look.map_or(0, |l| l.usage.anon_kib);
    let grows = slope(&points);
    let seen = format!(
        "{:.2} KiB/s over {} looks: {} KiB, at last {} KiB",
        grows.unwrap_or(f64::NAN),
        points.len(),
        of(settled.first()),
        of(settled.last())
    );
    checks.check(format!("H{} memory grows less than {most} KiB/s", host + 1), seen, grows.is_some_and(|g| g < most));
}

/// With all interfaces there again, as many as at first.
fn counts(checks: &mut Checks, host: usize, looks: &[Look]) {
    let (Some(first), Some(last)) = (looks.first(), looks.last()) else {
        return checks.check(format!("H{} was looked at", host + 1), "never", false);
    };
    let most = |of: fn(&Look) -> usize| looks.iter().map(of).max().unwrap_or(0);
    let seen = |a: usize, b: usize, most: usize| format!("{a} at first, {most} at most, {b} at last");
    let (a, b) = (first.usage.fds, last.usage.fds);
    checks.check(format!("H{} descriptors", host + 1), seen(a, b, most(|l| l.usage.fds)), b <= a);
    let (a, b) = (first.usage.threads, last.usage.threads);
    checks.check(format!("H{} threads", host + 1), seen(a, b, most(|l| l.usage.threads)), b <= a + 1);
}

impl Turns {
    fn see(&mut self, pid: u32, turns: &Value) {
        let n = |key: &str| turns[key].as_u64().unwrap_or(0);
        self.longest = self.longest.max(n("longest_ns") as f64 / 1e3);
        self.own = self.own.max(n("longest_own_ns") as f64 / 1e3);
        self.last.insert(pid, Counted { long: n("long"), measured: n("measured"), own_ns: n("own_ns") });
    }

    fn judge(&self, checks: &mut Checks, machine: Seen) {
        let sum = |of: fn(&Counted) -> u64| self.last.values().map(of).sum::<u64>();
        let (long, measured, own) = (sum(|c| c.long), sum(|c| c.measured), sum(|c| c.own_ns) as f64 / 1e9);
        let watched = machine.watched.as_secs_f64();
        checks
            .note("the longest turn of a worker, with its system calls", format!("{:.0} us of CPU time", self.longest));
        let seen = format!(
            "{} in {watched:.1} s of CPU time, the longest {} us: interrupts",
            machine.long,
            machine.longest.as_micros()
        );
        checks.check("moments over 1 ms of a thread that does nothing", seen, watched > 0.5);
        let most = TIMES * f64::from(machine.long) * own / watched.max(0.5) + FEW;
        let seen = format!(
            "{long} of {measured} in {own:.1} s of CPU time, the longest {:.0} us; at most {most:.0}",
            self.own
        );
        checks.check("turns over 1 ms, without their system calls", seen, measured > 0 && long as f64 <= most);
    }
}
