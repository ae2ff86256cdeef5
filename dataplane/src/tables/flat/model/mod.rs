//! Models of publication, for loom: the real [`FlatWriter`], [`FlatTable`], [`Qsbr`] and their
//! workers, run in every order of steps, each load seeing every value the memory model allows.
//! How to run them, and how deep they go: docs/testing.md, "Publication".
//!
//! | file | what it shows |
//! |---|---|
//! | `grace` | a slot that is filled again never gives a key another key's value |
//! | `probe` | a worker that stops inside a lookup; a row that stays is always found |
//! | `order` | token, snapshot and row: an index never means somebody else |
//! | `weaker` | which of the orderings written in `flat.rs` and `qsbr.rs` the above need |
//!
//! Beside each property stand variants that must fail: another clock, another order of steps.
//!
//! What loom does not try: a load that reads a store executed later (see `weaker`), and more
//! involuntary thread switches than each model says.

mod grace;
mod order;
mod probe;
mod weaker;

use super::*;
use crate::tables::QsbrWorker;
use std::cell::Cell;
use std::sync::atomic::AtomicU64 as Count;

/// A model: what loom runs once per execution.
type Model = fn();

thread_local! {
    static REACHED: Cell<u64> = const { Cell::new(0) };
}

/// A model says that this execution got to what it is about.
fn reached() {
    REACHED.set(REACHED.get() + 1);
}

/// Runs `model` in every execution with at most `preemptions` involuntary thread switches (all of
/// them if `None`; `DEEPER=n` allows n more) and says how many there were.
#[track_caller]
fn explore(name: &str, preemptions: Option<usize>, model: Model) {
    let deeper = std::env::var("DEEPER").map_or(0, |n| n.parse().unwrap());
    let bound = preemptions.map(|n| n + deeper);
    let executions = check(bound, model);
    let bound = bound.map_or("any number of".to_owned(), |n| format!("at most {n}"));
    println!("{name}: {executions} executions, {} to the point, {bound} preemptions", REACHED.get());
    assert_ne!(REACHED.get(), 0, "a model that never got to the point");
}

/// Runs `model`; the number of executions.
fn check(preemptions: Option<usize>, model: Model) -> u64 {
    REACHED.set(0);
    let count = Arc::new(Count::new(0));
    let counted = Arc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    count.load(Ordering::Relaxed)
}

/// A table of eight slots.
fn table<const K: usize>(workers: usize) -> (FlatWriter<K>, Arc<Qsbr>) {
    let qsbr = Qsbr::new(workers);
    (FlatWriter::with_slots(8, 6, Arc::clone(&qsbr), RandomState::with_seeds(1, 2, 3, 4)), qsbr)
}

/// Keys that differ in their last word only and all have slot 0 for their home.
fn keys<const K: usize, const N: usize>(w: &FlatWriter<K>) -> [[u64; K]; N] {
    let key = |n: u64| {
        let mut key = [7; K];
        key[K - 1] = n;
        key
    };
    let mut found = (1..).map(key).filter(|k| w.table.home(k) == 0);
    std::array::from_fn(|_| found.next().unwrap())
}

/// A value that says whose it is.
fn value<const K: usize>(key: &[u64; K], version: u64) -> u64 {
    key[K - 1] << 8 | version
}

/// A lookup as a worker does it: the version of the key's value, 0 if it is not there.
#[track_caller]
fn look<const K: usize>(table: &FlatTable<K>, key: &[u64; K]) -> u64 {
    let found = table.lookup(key);
    assert!(found == 0 || found >> 8 == key[K - 1], "a key with another key's value");
    found & 0xff
}
