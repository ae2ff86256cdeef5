//! What was learned from traffic (L4): quotas, rates, and when an address ages out.
//!
//! Whoever sends can fill only a **bucket** of its own: a host's in one network, or a port's. A new
//! address of a full bucket takes the place of the bucket's longest unseen one, never of another's.

use super::Limits;
use dataplane::learn::{LearnEvent, stamp};
use dataplane::police::TokenBucket;
use dataplane::tables::{FdbTarget, FdbValue, SegIx, Target, fdb_key};
use std::collections::BTreeMap;

/// How long an address is remembered, ns (`hard_timeout=300`): from the end of the second of the clock
/// in which it was last reported. Workers report the first frame of each second, so the last frame
/// is at least 300 s and at most 301 s old when its address is forgotten.
pub const AGE_NS: u64 = 300_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn deadline(seen: u64) -> u64 {
    (seen / SECOND + 1).saturating_mul(SECOND).saturating_add(AGE_NS)
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    target: Target,
    seen: u64,
    order: u64,
}

impl Entry {
    fn age(&self) -> Age {
        (deadline(self.seen), self.order)
    }
}

/// Deadline, and of equal ones the order in which they were reported.
type Age = (u64, u64);
/// Addresses, the longest unseen first.
type Queue = BTreeMap<Age, u64>;

/// How often a limit was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Met {
    /// New addresses came from one source faster than [`Limits::learn_rate`]; not learned.
    pub rate: u64,
    /// A bucket was full: its longest unseen address was forgotten.
    pub quota: u64,
    /// All buckets together were full: the same or, if the source has none, the new one not learned.
    pub table: u64,
}

/// Learned rows of T06 by key, by bucket and by deadline. Every change is O(log n).
#[derive(Debug)]
pub(super) struct Learned {
    limits: Limits,
    entries: BTreeMap<u64, Entry>,
    deadlines: Queue,
    buckets: BTreeMap<(Target, SegIx), Queue>,
    /// Rate of new addresses by source and its index's generation.
    rates: BTreeMap<Target, (u32, TokenBucket)>,
    reports: u64,
    pub met: Met,
}

impl Learned {
    pub fn new(limits: Limits) -> Self {
        Learned {
            limits,
            entries: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            buckets: BTreeMap::new(),
            rates: BTreeMap::new(),
            reports: 0,
            met: Met::default(),
        }
    }

    /// Key and value of the row an event asks for.
    pub fn row(event: &LearnEvent) -> (u64, u64) {
        let [key] = fdb_key(event.seg, event.mac);
        let row = FdbTarget { target: event.target, learned: true, stamp: stamp(event.seen) };
        (key, FdbValue::pack(row))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Was the address seen after `event`? Events of several workers come in no order of time.
    pub fn is_newer(&self, key: u64, event: &LearnEvent) -> bool {
        self.entries.get(&key).is_some_and(|e| e.seen > event.seen)
    }

    /// May the address be stored? If another one must go for it, that one is forgotten here and
    /// handed to `evict`. An address that moves is new where it moves to. `room`: the table has
    /// free slots for rows that come and go. Rules: L4-quota.
    pub fn admit(&mut self, key: u64, event: &LearnEvent, room: bool, evict: impl FnOnce(u64)) -> bool {
        let old = self.entries.get(&key).map(|e| e.target);
        if old == Some(event.target) {
            return true;
        }
        let (owner, tokens) = self.rates.entry(event.target).or_insert((event.target_generation, TokenBucket::FULL));
        if *owner != event.target_generation {
            (*owner, *tokens) = (event.target_generation, TokenBucket::FULL);
        }
        if !tokens.take(self.limits.learn_rate, event.seen) {
            self.met.rate += 1;
            return false;
        }
        let bucket = self.buckets.get(&(event.target, event.seg));
        if !room {
            self.met.table += 1;
            return false;
        }
        if bucket.map_or(0, Queue::len) >= self.quota(event.target) {
            self.met.quota += 1;
        } else if old.is_none() && self.entries.len() >= self.limits.learned {
            self.met.table += 1;
        } else {
            return true;
        }
        match bucket.and_then(|b| b.values().next().copied()) {
            Some(oldest) => {
                self.forget(oldest);
                evict(oldest);
                true
            }
            None => false,
        }
    }

    fn quota(&self, target: Target) -> usize {
        match target {
            Target::Tunnel(_) | Target::Phys => self.limits.learned_by_host,
            _ => self.limits.learned_by_port,
        }
    }

    pub fn seen(&mut self, key: u64, event: &LearnEvent) {
        self.forget(key);
        self.reports += 1;
        let entry = Entry { target: event.target, seen: event.seen, order: self.reports };
        self.entries.insert(key, entry);
        self.deadlines.insert(entry.age(), key);
        self.buckets.entry((event.target, event.seg)).or_default().insert(entry.age(), key);
    }

    pub fn forget(&mut self, key: u64) {
        let Some(old) = self.entries.remove(&key) else { return };
        self.deadlines.remove(&old.age());
        let bucket = (old.target, (key >> 48) as SegIx);
        if let Some(queue) = self.buckets.get_mut(&bucket) {
            queue.remove(&old.age());
            if queue.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.keys().next().map(|(at, _)| *at)
    }

    /// Takes out one entry that is due at `now`.
    pub fn expire(&mut self, now: u64) -> Option<u64> {
        let (_, key) = self.deadlines.first_key_value().filter(|((at, _), _)| *at <= now)?;
        let key = *key;
        self.forget(key);
        Some(key)
    }

    /// Addresses whose key and target fail `test`. Behind a tunnel all of a network pass or fail
    /// together, so that a batch costs a look at each bucket, not at each address.
    pub fn unfit(&self, test: impl Fn(u64, Target) -> bool) -> Vec<u64> {
        let mut unfit = Vec::new();
        for ((target, _), queue) in &self.buckets {
            let as_one = matches!(target, Target::Tunnel(_));
            match queue.values().next() {
                Some(first) if as_one && test(*first, *target) => {}
                Some(_) if as_one => unfit.extend(queue.values()),
                _ => unfit.extend(queue.values().filter(|key| !test(**key, *target))),
            }
        }
        unfit
    }
}
