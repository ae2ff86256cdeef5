//! What was learned from traffic, and when it ages out (L4).

use dataplane::learn::{LearnEvent, stamp};
use dataplane::tables::{FdbTarget, FdbValue, Target, fdb_key};
use std::collections::{BTreeMap, BTreeSet};

/// How long an address is remembered after its last report, ns (`hard_timeout=300`). Workers report
/// an address at most once in each second of the clock, so the last frame may be up to 1 s younger.
pub const AGE_NS: u64 = 300_000_000_000;

#[derive(Debug)]
struct Entry {
    target: Target,
    deadline: u64,
}

/// Learned rows of T06 by key, and their deadlines.
#[derive(Debug, Default)]
pub(super) struct Learned {
    entries: BTreeMap<u64, Entry>,
    deadlines: BTreeSet<(u64, u64)>,
}

impl Learned {
    /// Key and value of the row an event asks for.
    pub fn row(event: &LearnEvent) -> (u64, u64) {
        let [key] = fdb_key(event.seg, event.mac);
        let row = FdbTarget { target: event.target, learned: true, stamp: stamp(event.seen) };
        (key, FdbValue::pack(row))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn knows(&self, key: u64) -> bool {
        self.entries.contains_key(&key)
    }

    /// Was the address seen after `event`? Events of several workers come in no order of time.
    pub fn is_newer(&self, key: u64, event: &LearnEvent) -> bool {
        self.entries.get(&key).is_some_and(|e| e.deadline > event.seen.saturating_add(AGE_NS))
    }

    pub fn seen(&mut self, key: u64, event: &LearnEvent) {
        let deadline = event.seen.saturating_add(AGE_NS);
        if let Some(old) = self.entries.insert(key, Entry { target: event.target, deadline }) {
            self.deadlines.remove(&(old.deadline, key));
        }
        self.deadlines.insert((deadline, key));
    }

    pub fn forget(&mut self, key: u64) {
        if let Some(old) = self.entries.remove(&key) {
            self.deadlines.remove(&(old.deadline, key));
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes out one entry that is due at `now`.
    pub fn expire(&mut self, now: u64) -> Option<u64> {
        let (_, key) = *self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.forget(key);
        Some(key)
    }

    /// Addresses whose key and target satisfy `test`.
    pub fn keys(&self, test: impl Fn(u64, Target) -> bool) -> Vec<u64> {
        self.entries.iter().filter(|(k, e)| test(**k, e.target)).map(|(k, _)| *k).collect()
    }
}
