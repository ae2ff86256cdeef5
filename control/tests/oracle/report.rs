//! The table of flows and departures, and what must not be missing from it.

use crate::check::{Counts, Dump};
use crate::departures;
use std::time::Duration;

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.frames += other.frames;
        self.sent += other.sent;
        self.silent += other.silent;
        other.flows.into_iter().for_each(|(k, n)| *self.flows.entry(k).or_default() += n);
        other.departures.into_iter().for_each(|(k, n)| *self.departures.entry(k).or_default() += n);
    }
}

pub fn report(dump: &Dump, counts: &Counts, took: Duration) {
    let share = |n: u64| 100.0 * n as f64 / counts.frames.max(1) as f64;
    println!(
        "\n{}: {} frames in {:.1} s, {} of them sent on, {} not",
        dump.name,
        counts.frames,
        took.as_secs_f64(),
        counts.sent,
        counts.silent
    );
    for (flow, n) in &counts.flows {
        println!("  {:>8.3} %  {n:>8}  {flow}", share(*n));
    }
    println!("departures");
    for (name, rule, what) in departures::ALL.iter().chain(departures::OPEN) {
        let n = counts.departures.get(name).copied().unwrap_or(0);
        println!("  {:>8.3} %  {n:>8}  {name} ({rule}): {what}", share(n));
    }
}
