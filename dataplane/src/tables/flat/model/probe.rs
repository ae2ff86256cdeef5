//! A worker that stops inside a lookup, for as long as the writer likes.

use super::*;
use loom::thread;

/// The worker looks up two rows and one that comes while the writer changes, deletes, buries and
/// inserts again. It finds the old value, the new one or none; no grace period passes meanwhile.
pub(super) fn paused<const K: usize>() {
    let (mut w, qsbr) = table::<K>(1);
    let [a, b, c] = keys(&w);
    w.put(&a, value(&a, 1)).unwrap();
    w.put(&b, value(&b, 1)).unwrap();
    let token = qsbr.worker(0).unwrap();
    token.online();
    let table = w.reader();
    let reader = thread::spawn(move || [b, a, c].map(|key| look(&table, &key)));
    w.put(&b, value(&b, 2)).unwrap();
    assert!(w.remove(&a));
    w.put(&a, value(&a, 3)).unwrap();
    assert!(w.remove(&b));
    w.put(&c, value(&c, 1)).unwrap();
    assert_eq!(w.graves.len(), 2, "a grace period passed over a worker inside a lookup");
    let [b_found, a_found, c_found] = reader.join().unwrap();
    if c_found != 0 {
        reached();
    }
    assert!([0, 1, 2].contains(&b_found) && [0, 1, 3].contains(&a_found) && [0, 1].contains(&c_found));
    token.quiesce();
    w.bury();
    assert_eq!(w.graves.len(), 0);
    assert_eq!([a, b, c].map(|key| w.get(&key) & 0xff), [3, 0, 1]);
}

/// A row that nobody touches is found by every lookup, whatever comes and goes on the way to it:
/// the slot before it is deleted, buried and filled again.
pub(super) fn stays(count_rows_behind: bool) {
    let (mut w, qsbr) = table::<1>(1);
    let [first, stays, other] = keys(&w);
    w.put(&first, value(&first, 1)).unwrap();
    w.put(&stays, value(&stays, 1)).unwrap();
    if !count_rows_behind {
        w.across.fill(0);
    }
    let (token, table) = (qsbr.worker(0).unwrap(), w.reader());
    token.online();
    let reader = thread::spawn(move || {
        for _ in 0..2 {
            token.quiesce();
            assert_eq!(look(&table, &stays), 1, "a row that stays was not found");
            if look(&table, &other) != 0 && table.slots[0].holds(&other) {
                reached();
            }
        }
    });
    assert!(w.remove(&first));
    w.bury();
    w.put(&other, value(&other, 1)).unwrap();
    reader.join().unwrap();
}

/// What was inserted or changed before something else was said is there for whoever heard it.
pub(super) fn whole_row() {
    let (mut w, _qsbr) = table::<3>(0);
    let [a] = keys(&w);
    let (table, said) = (w.reader(), Arc::new(AtomicU64::new(0)));
    let heard = Arc::clone(&said);
    let reader = thread::spawn(move || {
        let heard = heard.load(Ordering::Acquire);
        let found = look(&table, &a);
        assert!(found >= heard, "older than what was said");
        if heard == 1 && found == 2 {
            reached();
        }
    });
    for version in 1..=2 {
        w.put(&a, value(&a, version)).unwrap();
        said.store(version, Ordering::Release);
    }
    reader.join().unwrap();
}

#[test]
fn a_worker_paused_in_a_lookup_meets_the_old_row_the_new_one_or_none() {
    explore("paused, one word", None, paused::<1>);
    explore("paused, three words", Some(3), paused::<3>);
}

#[test]
fn a_row_that_stays_is_always_found() {
    explore("a row that stays", None, || stays(true));
}

#[test]
fn a_row_appears_whole() {
    explore("a row of three words", None, whole_row);
}

#[test]
#[should_panic(expected = "a row that stays was not found")]
fn if_a_tombstone_with_rows_behind_it_became_free_it_fails() {
    explore("rows behind not counted", None, || stays(false));
}

/// The writer's steps in another order: the key before the value it belongs to.
#[test]
#[should_panic(expected = "a key with another key's value")]
fn if_the_key_came_before_the_value_it_fails() {
    explore("key before value", None, || {
        let (mut w, _qsbr) = table::<1>(0);
        let [old, new] = keys(&w);
        w.put(&old, value(&old, 1)).unwrap();
        let table = w.reader();
        let reader = thread::spawn(move || look(&table, &new));
        let slot = w.slot(0).unwrap();
        slot.key[0].store(new[0], Ordering::Release);
        slot.value.store(value(&new, 1), Ordering::Release);
        reader.join().unwrap();
    });
}
