//! What was learned from traffic, and when it ages out (L4).

use super::index::Freed;
use dataplane::learn::{LearnEvent, stamp};
use dataplane::tables::{FdbTarget, FdbValue, Target, fdb_key};
use std::collections::{BTreeMap, BTreeSet};

/// How long an address is remembered after its last frame, ns (`hard_timeout=300`).
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

    /// Takes out the entries of segments, ports and tunnels that are gone.
    pub fn gone(&mut self, freed: &Freed) -> Vec<u64> {
        if freed.is_empty() {
            return Vec::new();
        }
        let gone = |key: u64, e: &Entry| {
            let target = match e.target {
                Target::Tunnel(t) => freed.tunnels.contains(&t),
                Target::Port(p) => freed.ports.contains(&p),
                _ => false,
            };
            target || freed.segments.contains(&((key >> 48) as u16))
        };
        let keys: Vec<u64> = self.entries.iter().filter(|(k, e)| gone(**k, e)).map(|(k, _)| *k).collect();
        keys.iter().for_each(|k| self.forget(*k));
        keys
    }
}
