//! [`FlatWriter`] against a map, as a state machine: rows come, change and go, workers are quiet,
//! sleep and wake in any order, under hashers good and bad.

use super::*;
use crate::tables::QsbrWorker;
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use std::collections::{BTreeMap, BTreeSet};

const WORKERS: usize = 3;
/// Rows a table takes: small enough to be reached.
const LIMIT: usize = 24;
/// Slots: a quarter full at the limit.
const SLOTS: usize = 128;
/// Different keys.
const KEYS: u8 = 60;

/// How the keys' homes are spread; chosen once per case.
#[derive(Clone, Copy, Debug)]
enum Homes {
    /// As the hasher has it, of one of a few seeds.
    Hashed(u8),
    /// All in one slot.
    One,
    /// In four slots next to each other, where the array wraps around.
    Cluster,
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Remove(u8),
    Quiesce(usize),
    Offline(usize),
    Online(usize),
    Bury,
    /// A worker looks up a key and stops at a slot of the way; see [`Held`].
    Hold(usize, u8),
}

/// What should be: the rows, and which workers are online.
#[derive(Clone, Debug)]
struct Expected {
    homes: Homes,
    rows: BTreeMap<u8, u64>,
    online: [bool; WORKERS],
}

impl ReferenceStateMachine for Expected {
    type State = Expected;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Expected> {
        let homes = prop_oneof![(0..4u8).prop_map(Homes::Hashed), Just(Homes::One), Just(Homes::Cluster)];
        homes.prop_map(|homes| Expected { homes, rows: BTreeMap::new(), online: [false; WORKERS] }).boxed()
    }

    fn transitions(_: &Expected) -> BoxedStrategy<Step> {
        let (key, worker) = (0..KEYS, 0..WORKERS);
        prop_oneof![
            8 => (key.clone(), 1..5u64).prop_map(|(k, v)| Step::Put(k, v)),
            5 => key.clone().prop_map(Step::Remove),
            4 => worker.clone().prop_map(Step::Quiesce),
            1 => worker.clone().prop_map(Step::Offline),
            1 => worker.clone().prop_map(Step::Online),
            1 => Just(Step::Bury),
            2 => (worker, key).prop_map(|(w, k)| Step::Hold(w, k)),
        ]
        .boxed()
    }

    fn preconditions(state: &Expected, step: &Step) -> bool {
        match step {
            Step::Quiesce(w) | Step::Offline(w) | Step::Hold(w, _) => state.online[*w],
            Step::Online(w) => !state.online[*w],
            Step::Put(..) | Step::Remove(_) | Step::Bury => true,
        }
    }

    fn apply(mut state: Expected, step: &Step) -> Expected {
        match step {
            // Past the limit only changes are accepted; nothing is ever crowded, see `put`.
            Step::Put(k, v) if state.rows.len() < LIMIT || state.rows.contains_key(k) => {
                state.rows.insert(*k, *v);
            }
            Step::Remove(k) => {
                state.rows.remove(k);
            }
            Step::Online(w) => state.online[*w] = true,
            Step::Offline(w) => state.online[*w] = false,
            Step::Put(..) | Step::Quiesce(_) | Step::Bury | Step::Hold(..) => {}
        }
        state
    }
}

/// A worker that has read a slot's key and not yet its value.
#[derive(Debug)]
struct Held {
    at: usize,
    key: u8,
}

/// The table under test.
struct Real<const K: usize> {
    writer: FlatWriter<K>,
    qsbr: Arc<Qsbr>,
    keys: Vec<[u64; K]>,
    tokens: Vec<QsbrWorker>,
    held: Vec<Vec<Held>>,
}

impl<const K: usize> Real<K> {
    fn new(homes: Homes) -> Self {
        let qsbr = Qsbr::new(WORKERS);
        let seed = if let Homes::Hashed(seed) = homes { u64::from(seed) } else { 9 };
        let writer = FlatWriter::with_slots(SLOTS, LIMIT, Arc::clone(&qsbr), RandomState::with_seeds(seed, 2, 3, 4));
        let mut key = [3; K];
        let all = (1..).map(|n| {
            key[K - 1] = n;
            key
        });
        let keys = all.filter(|k| homes.allow(writer.table.home(k))).take(usize::from(KEYS)).collect();
        let tokens = (0..WORKERS).map(|w| qsbr.worker(w).unwrap()).collect();
        Real { writer, qsbr, keys, tokens, held: (0..WORKERS).map(|_| Vec::new()).collect() }
    }

    /// A value that says whose it is.
    fn value(key: u8, value: u64) -> u64 {
        u64::from(key) << 8 | value
    }

    fn put(&mut self, key: u8, value: u64, fits: bool) {
        let put = self.writer.put(&self.keys[usize::from(key)], Self::value(key, value));
        // 200 steps leave at most 100 tombstones: beside LIMIT rows there is always a slot.
        assert_eq!(put, if fits { Ok(()) } else { Err(InsertError::Full) });
    }

    fn hold(&mut self, worker: usize, key: u8) {
        let words = &self.keys[usize::from(key)];
        let home = self.writer.table.home(words);
        let slots = (home..home + PROBE_LIMIT).map(|at| at & (SLOTS - 1));
        let found = slots.into_iter().find(|at| self.writer.table.slots[*at].holds(words));
        self.held[worker].extend(found.map(|at| Held { at, key }));
    }
}

impl Homes {
    fn allow(self, home: usize) -> bool {
        match self {
            Homes::Hashed(_) => true,
            Homes::One => home == 77,
            Homes::Cluster => !(2..SLOTS - 2).contains(&home),
        }
    }
}

struct Machine<const K: usize>;

impl<const K: usize> StateMachineTest for Machine<K> {
    type SystemUnderTest = Real<K>;
    type Reference = Expected;

    fn init_test(expected: &Expected) -> Real<K> {
        Real::new(expected.homes)
    }

    fn apply(mut real: Real<K>, expected: &Expected, step: Step) -> Real<K> {
        match step {
            Step::Put(k, v) => real.put(k, v, expected.rows.contains_key(&k)),
            Step::Remove(k) => {
                let there = real.writer.get(&real.keys[usize::from(k)]) != 0;
                assert_eq!(real.writer.remove(&real.keys[usize::from(k)]), there);
            }
            Step::Quiesce(w) => {
                real.held[w].clear();
                real.tokens[w].quiesce();
            }
            Step::Offline(w) => {
                real.held[w].clear();
                real.tokens[w].offline();
            }
            Step::Online(w) => real.tokens[w].online(),
            Step::Bury => real.writer.bury(),
            Step::Hold(w, k) => real.hold(w, k),
        }
        real
    }

    fn check_invariants(real: &Real<K>, expected: &Expected) {
        let table = real.writer.reader();
        for (k, words) in (0..KEYS).zip(&real.keys) {
            let value = expected.rows.get(&k).map_or(0, |v| Real::<K>::value(k, *v));
            assert_eq!(table.lookup(words), value, "key {k}");
        }
        assert_eq!(real.writer.len(), expected.rows.len());
        nobody_was_cheated(real);
        books_agree(real);
    }
}

/// A worker that stopped between key and value goes on: the value of its key, or none.
fn nobody_was_cheated<const K: usize>(real: &Real<K>) {
    for held in real.held.iter().flatten() {
        let value = real.writer.table.slots[held.at].value.load(Ordering::Acquire);
        assert!(value == 0 || value >> 8 == u64::from(held.key), "{held:?} would read {value:#x}");
    }
}

/// The writer's books against the slots themselves.
fn books_agree<const K: usize>(real: &Real<K>) {
    let w = &real.writer;
    let graves: BTreeSet<usize> = w.graves.iter().map(|(_, at)| *at as usize).collect();
    assert_eq!(graves.len(), w.graves.len(), "a slot has two graves");
    assert!(w.graves.iter().is_sorted_by_key(|(epoch, _)| *epoch), "the oldest grave is not the first");
    let mut across = vec![0_u8; SLOTS];
    let mut rows = 0;
    for at in 0..SLOTS {
        let slot = &w.table.slots[at];
        assert_eq!(w.is_grave(at), graves.contains(&at), "slot {at}");
        match slot.word0() {
            FREE | TOMBSTONE => assert!(!w.is_grave(at) || slot.word0() == TOMBSTONE, "slot {at} was filled too soon"),
            _ => {
                rows += 1;
                let words = slot.key.each_ref().map(|word| word.load(Ordering::Relaxed));
                let way = at.wrapping_sub(w.table.home(&words)) & (SLOTS - 1);
                assert!(way < PROBE_LIMIT);
                (at - way.min(at)..at).for_each(|i| across[i] += 1);
                (SLOTS - way.saturating_sub(at)..SLOTS).for_each(|i| across[i] += 1);
            }
        }
    }
    assert_eq!(rows, w.len());
    assert_eq!(across, w.across, "rows behind each slot");
    for (at, behind) in across.iter().enumerate() {
        match w.table.slots[at].word0() {
            FREE => assert_eq!(*behind, 0, "slot {at} is free, and a row lies behind it"),
            TOMBSTONE => assert!(*behind > 0 || w.is_grave(at), "slot {at} is a tombstone for nobody"),
            _ => {}
        }
    }
    if let Some((epoch, _)) = w.graves.back()
        && real.qsbr.has_passed(*epoch)
    {
        assert!(w.graves.iter().all(|(e, _)| real.qsbr.has_passed(*e)), "an older grave waits longer");
    }
}

macro_rules! machines {
    ($($name:ident $words:literal),*) => {$(
        #[test]
        fn $name() {
            let cases = std::env::var("PROPTEST_CASES").map_or(96, |n| n.parse().unwrap());
            // A worker that is asleep cannot be quiet: such steps are drawn again, however often.
            let config = ProptestConfig {
                cases,
                failure_persistence: None,
                max_local_rejects: u32::MAX,
                ..ProptestConfig::default()
            };
            let steps = Expected::sequential_strategy(1..200);
            proptest!(config.clone(), |((state, steps, seen) in steps)| {
                Machine::<$words>::test_sequential(config.clone(), state, steps, seen);
            });
        }
    )*};
}

machines!(keys_of_one_word 1, keys_of_three_words 3, keys_of_five_words 5);

/// A worker that does not come back keeps every tombstone: at last no slot in reach may be filled.
/// The insert is refused, what is there stays, and all is well when the worker comes back.
#[test]
fn a_crowded_table_refuses_and_recovers() {
    let qsbr = Qsbr::new(1);
    let token = qsbr.worker(0).unwrap();
    let mut w = FlatWriter::<1>::with_slots(1024, 256, Arc::clone(&qsbr), RandomState::with_seeds(1, 2, 3, 4));
    token.online();
    let keys: Vec<[u64; 1]> = (1..).map(|k| [k]).filter(|k| w.table.home(k) == 1000).take(PROBE_LIMIT + 1).collect();
    w.put(&keys[0], 1).unwrap();
    for k in &keys[1..PROBE_LIMIT - 1] {
        w.put(k, 1).unwrap();
        assert!(w.remove(k));
    }
    let [.., last, one_more] = keys.as_slice() else { unreachable!() };
    assert_eq!(w.put(last, 1), Ok(()), "the last slot in reach");
    assert_eq!(w.put(one_more, 1), Err(InsertError::Crowded));
    assert_eq!((w.get(&keys[0]), w.get(last), w.get(one_more), w.len()), (1, 1, 0, 2));
    token.quiesce();
    assert_eq!(w.put(one_more, 1), Ok(()));
    let (there, refused) = keys[1..PROBE_LIMIT - 1].split_at(PROBE_LIMIT - 3);
    assert!(there.iter().all(|k| w.put(k, 1).is_ok()));
    assert_eq!(w.put(&refused[0], 1), Err(InsertError::Crowded), "as many rows as a lookup looks at");
    assert!(there.iter().all(|k| w.get(k) == 1));
    assert_eq!((w.len(), w.get(last), w.get(one_more)), (PROBE_LIMIT, 1, 1));
}
