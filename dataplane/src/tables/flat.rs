//! [`FlatTable`]: what is large and changes by entry (forwarding database, neighbours, floating IPs).
//!
//! A fixed power-of-two array of atomic words, linear probing, many readers, one writer. Readers
//! take no lock and write nothing. How a reader never sees a torn row:
//! - insert: key words 1.., value, then key word 0 (Release): the row appears whole;
//! - update: one store of the value word;
//! - delete: value 0, then key word 0 = tombstone; the slot is filled again only after a grace
//!   period ([`Qsbr`]), so no reader pairs an old key with a new value.
//!
//! Word 0 carries the segment or router index, which is never 0 (free slot) nor 65535 (tombstone).

use super::qsbr::{Epoch, Qsbr};
use crate::prefetch::{large_vec, prefetch};
use crate::sync::{AtomicU64, Ordering, OwnWord};
use ahash::RandomState;
use std::collections::VecDeque;
use std::sync::Arc;

const FREE: u64 = 0;
const TOMBSTONE: u64 = u64::MAX;
/// No row sits further from its home slot than this; an insert that would is refused.
pub const PROBE_LIMIT: usize = 128;

#[derive(Debug)]
#[repr(C)]
struct Slot<const K: usize> {
    key: [AtomicU64; K],
    value: AtomicU64,
}

/// The readers' side; see the module text. `K` is the number of 64-bit key words (1 for v4, 3 for v6, 5 for tuples).
#[derive(Debug)]
pub struct FlatTable<const K: usize> {
    slots: Box<[Slot<K>]>,
    mask: usize,
    hasher: RandomState,
    /// Of the hash of one word, from `hasher`.
    seeds: [u64; 2],
}

/// Where a key would sit: the result of pass 1 of a lookup.
#[derive(Clone, Copy, Debug, Default)]
pub struct Home(u32);

impl<const K: usize> FlatTable<K> {
    /// Pass 1: hash the key and ask for its slot's cache line.
    #[inline(always)]
    pub fn locate(&self, key: &[u64; K]) -> Home {
        let home = self.home(key);
        if let Some(slot) = self.slots.get(home) {
            prefetch(slot);
        }
        Home(home as u32)
    }

    /// Pass 2: the value of `key`, 0 if it is not in the table. `home` is what [`FlatTable::locate`] said of this key.
    #[inline(always)]
    pub fn get(&self, home: Home, key: &[u64; K]) -> u64 {
        let home = home.0 as usize;
        // Nearly every row is where it would like to be.
        let at_home = |slot: &&Slot<K>| match (slot.key.as_slice(), key.as_slice()) {
            ([word], [wanted]) => word.load(Ordering::Acquire) == *wanted,
            _ => false,
        };
        let slot = self.slots.get(home).filter(at_home).or_else(|| self.probe(home, key));
        slot.map_or(0, |slot| slot.value.load(Ordering::Acquire))
    }

    /// The slot of `key`, along the slots from `home` on.
    #[inline(never)]
    fn probe(&self, home: usize, key: &[u64; K]) -> Option<&Slot<K>> {
        let [word0, rest @ ..] = key.as_slice() else { return None };
        for at in home..home + PROBE_LIMIT {
            let slot = self.slots.get(at & self.mask)?;
            let [slot0, slot_rest @ ..] = slot.key.as_slice() else { return None };
            let found = slot0.load(Ordering::Acquire);
            if found == *word0 && slot_rest.iter().zip(rest).all(|(s, k)| s.load(Ordering::Relaxed) == *k) {
                return Some(slot);
            }
            if found == FREE {
                return None;
            }
        }
        None
    }

    /// Both passes at once, for slow paths and the writer.
    pub fn lookup(&self, key: &[u64; K]) -> u64 {
        self.get(self.locate(key), key)
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    #[inline(always)]
    fn home(&self, key: &[u64; K]) -> usize {
        let hash = match key.as_slice() {
            [one] => folded(one ^ self.seeds[0], self.seeds[1]),
            _ => self.hasher.hash_one(key),
        };
        hash as usize & self.mask
    }
}

/// The whole product, folded: the step that ahash is made of where there are no AES instructions. For one word of key
/// and two of seed, one step is enough, and a third of the instructions.
#[inline(always)]
fn folded(key: u64, seed: u64) -> u64 {
    let product = u128::from(key) * u128::from(seed);
    product as u64 ^ (product >> 64) as u64
}

/// Why a row was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The table holds as many rows as its stated limit.
    Full,
    /// No usable slot within [`PROBE_LIMIT`] of the key's home (far below any likely load).
    Crowded,
    /// Word 0 of the key is one of the two reserved values, or the value is 0.
    Reserved,
}

/// The one writer. Not `Clone`, and every change takes `&mut self`: the type keeps it single.
#[derive(Debug)]
pub struct FlatWriter<const K: usize> {
    table: Arc<FlatTable<K>>,
    qsbr: Arc<Qsbr>,
    /// Tombstones some worker may still be standing on, oldest first.
    graves: VecDeque<(Epoch, u32)>,
    /// Bit set: slot is a tombstone still in `graves`.
    in_grave: Vec<u64>,
    /// Of each slot, how many rows lie behind it on the way from their home (at most [`PROBE_LIMIT`]).
    across: Vec<u8>,
    rows: usize,
    limit: usize,
}

impl<const K: usize> FlatWriter<K> {
    /// A table for at most `limit` rows, a quarter full then at most: so full, a miss stays within
    /// twice what it is in a fresh table however rows come and go (at half full it does not; the
    /// measurements are in ARCHITECTURE.md, "Tables"). `hasher` is randomly seeded in production
    /// (tenants choose the keys), fixed in tests.
    pub fn new(limit: usize, qsbr: Arc<Qsbr>, hasher: RandomState) -> Self {
        Self::with_slots((limit.max(8) * 4).next_power_of_two(), limit, qsbr, hasher)
    }

    /// `slots` is a power of two.
    fn with_slots(slots: usize, limit: usize, qsbr: Arc<Qsbr>, hasher: RandomState) -> Self {
        let make = |_| Slot { key: std::array::from_fn(|_| AtomicU64::new(FREE)), value: AtomicU64::new(0) };
        let seeds = [hasher.hash_one(0u64), hasher.hash_one(1u64) | 1];
        let mut all = large_vec(slots);
        all.extend((0..slots).map(make));
        let table = FlatTable { slots: all.into(), mask: slots - 1, hasher, seeds };
        FlatWriter {
            table: Arc::new(table),
            qsbr,
            graves: VecDeque::new(),
            in_grave: vec![0; slots.div_ceil(64)],
            across: vec![0; slots],
            rows: 0,
            limit,
        }
    }

    /// The side to hand to workers.
    pub fn reader(&self) -> Arc<FlatTable<K>> {
        Arc::clone(&self.table)
    }

    /// Rows stored now.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// No rows at all?
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The stated limit of rows.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Slots of deleted rows whose grace period is not known to be over.
    pub fn waiting(&self) -> usize {
        self.graves.len()
    }

    /// The value of `key`, 0 if absent.
    pub fn get(&self, key: &[u64; K]) -> u64 {
        self.table.lookup(key)
    }

    /// Inserts the row or replaces its value. O(1); visible to workers at once.
    pub fn put(&mut self, key: &[u64; K], value: u64) -> Result<(), InsertError> {
        let word0 = key.first().copied().unwrap_or(FREE);
        if word0 == FREE || word0 == TOMBSTONE || value == 0 {
            return Err(InsertError::Reserved);
        }
        self.bury();
        let mut place = None;
        let home = self.table.home(key);
        for at in home..home + PROBE_LIMIT {
            let Some(slot) = self.slot(at) else { break };
            match slot.word0() {
                FREE => {
                    place.get_or_insert(at);
                    break;
                }
                TOMBSTONE if !self.is_grave(at) => {
                    place.get_or_insert(at);
                }
                _ if slot.holds(key) => {
                    slot.value.store(value, Ordering::Release);
                    return Ok(());
                }
                _ => {}
            }
        }
        if self.rows >= self.limit {
            return Err(InsertError::Full);
        }
        let place = place.ok_or(InsertError::Crowded)?;
        // Counted before the row is there: nothing on its way may become free.
        (home..place).for_each(|at| self.cross(at, 1));
        if let Some(slot) = self.slot(place) {
            slot.fill(key, value);
            self.rows += 1;
        }
        Ok(())
    }

    /// Deletes the row; `false` if there was none. Its slot is reused after a grace period.
    pub fn remove(&mut self, key: &[u64; K]) -> bool {
        let home = self.table.home(key);
        for at in home..home + PROBE_LIMIT {
            let Some(slot) = self.slot(at) else { break };
            if slot.word0() == FREE {
                break;
            }
            if slot.holds(key) {
                slot.entomb();
                let epoch = self.qsbr.retire();
                self.graves.push_back((epoch, (at & self.table.mask) as u32));
                self.set_grave(at, true);
                self.rows -= 1;
                for at in home..at {
                    self.cross(at, -1);
                    self.free(at);
                }
                return true;
            }
        }
        false
    }

    /// Reclaims every tombstone whose grace period has passed: it may be filled again, and as soon
    /// as no row lies behind it, it becomes free. This keeps misses short however many rows came
    /// and went.
    pub fn bury(&mut self) {
        while let Some(&(epoch, at)) = self.graves.front() {
            if !self.qsbr.has_passed(epoch) {
                return;
            }
            self.graves.pop_front();
            self.set_grave(at as usize, false);
            self.free(at as usize);
        }
    }

    /// Frees a tombstone that no worker may stand on and no row lies behind.
    fn free(&self, at: usize) {
        let unused = self.across.get(at & self.table.mask) == Some(&0);
        if let Some(slot) = self.slot(at)
            && unused
            && slot.word0() == TOMBSTONE
            && !self.is_grave(at)
        {
            slot.free();
        }
    }

    /// A row came to lie behind this slot, or went.
    fn cross(&mut self, at: usize, change: i8) {
        if let Some(n) = self.across.get_mut(at & self.table.mask) {
            *n = n.wrapping_add_signed(change);
        }
    }

    fn slot(&self, at: usize) -> Option<&Slot<K>> {
        self.table.slots.get(at & self.table.mask)
    }

    fn is_grave(&self, at: usize) -> bool {
        let at = at & self.table.mask;
        self.in_grave.get(at / 64).is_some_and(|w| w >> (at % 64) & 1 == 1)
    }

    fn set_grave(&mut self, at: usize, yes: bool) {
        let at = at & self.table.mask;
        if let Some(w) = self.in_grave.get_mut(at / 64) {
            *w = *w & !(1 << (at % 64)) | u64::from(yes) << (at % 64);
        }
    }

    /// Mean number of slots an absent key looks at, over every home slot (a measure of wear).
    pub fn mean_miss_probe(&self) -> f64 {
        let n = self.table.slots.len();
        let free = |i: usize| self.table.slots.get(i & self.table.mask).is_some_and(|s| s.word0() == FREE);
        let probe = |home| (0..PROBE_LIMIT).position(|d| free(home + d)).unwrap_or(PROBE_LIMIT) + 1;
        (0..n).map(probe).sum::<usize>() as f64 / n as f64
    }
}

/// The writer's steps on one slot, in the order readers rely on.
impl<const K: usize> Slot<K> {
    fn word0(&self) -> u64 {
        self.key.first().map_or(FREE, AtomicU64::own)
    }

    fn holds(&self, key: &[u64; K]) -> bool {
        self.key.iter().zip(key).all(|(s, k)| s.own() == *k)
    }

    fn fill(&self, key: &[u64; K], value: u64) {
        for (s, k) in self.key.iter().zip(key).skip(1) {
            s.store(*k, Ordering::Relaxed);
        }
        self.value.store(value, Ordering::Relaxed);
        if let (Some(s), Some(k)) = (self.key.first(), key.first()) {
            s.store(*k, Ordering::Release);
        }
    }

    fn entomb(&self) {
        self.value.store(0, Ordering::Release);
        if let Some(s) = self.key.first() {
            s.store(TOMBSTONE, Ordering::Release);
        }
    }

    fn free(&self) {
        if let Some(s) = self.key.first() {
            s.store(FREE, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod churn;
#[cfg(test)]
mod machine;
#[cfg(all(test, loom))]
mod model;
#[cfg(test)]
mod tests;
