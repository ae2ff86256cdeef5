//! Grace periods: a slot that is filled again never gives a key another key's value.

use super::*;
use loom::thread;

/// What tells the writer that a slot may be filled again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// [`Qsbr`].
    Token,
    /// Nothing: filled again at once. Must fail.
    None,
    /// A counter of bursts that each worker increments at the start of one; the writer waits until it has
    /// moved. Must fail: the worker's store may be seen before its earlier loads are done.
    Bursts,
}

/// What a worker does between its bursts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    /// It goes to sleep and wakes up.
    Sleep,
}

/// A row goes, another key comes, and may take its slot; `readers` workers look for both, in `bursts`
/// bursts. With `behind`, a third row that stays lies behind the slot: it is filled again as a
/// tombstone, otherwise as a free slot.
fn refill<const K: usize>(clock: Clock, readers: usize, bursts: u64, between: Between, behind: bool) {
    // A table whose workers are unknown to it waits for nobody.
    let (mut w, qsbr) = table::<K>(if clock == Clock::Token { readers } else { 0 });
    let [old, new, stays] = keys(&w);
    w.put(&old, value(&old, 1)).unwrap();
    if behind {
        w.put(&stays, value(&stays, 1)).unwrap();
    }
    let counter = Arc::new(AtomicU64::new(0));
    let reader = |id: usize| {
        let (table, counter, token) = (w.reader(), Arc::clone(&counter), qsbr.worker(id));
        if between == Between::Nothing {
            token.iter().for_each(QsbrWorker::online);
        }
        move || {
            for n in 1..=bursts {
                counter.store(n, Ordering::Release);
                match (&token, between) {
                    (Some(token), Between::Nothing) => token.quiesce(),
                    (Some(token), Between::Sleep) => token.online(),
                    (None, _) => {}
                }
                look(&table, &old);
                if look(&table, &new) != 0 && table.slots[0].holds(&new) {
                    reached();
                }
                if behind {
                    assert_eq!(look(&table, &stays), 1, "a row that stays was not found");
                }
                if let (Some(token), Between::Sleep) = (&token, between) {
                    token.offline();
                }
            }
        }
    };
    let threads: Vec<_> = (0..readers).map(|id| thread::spawn(reader(id))).collect();
    assert!(w.remove(&old));
    let before = counter.load(Ordering::Acquire);
    if clock != Clock::Bursts || counter.load(Ordering::Acquire) != before {
        w.put(&new, value(&new, 1)).unwrap();
    }
    threads.into_iter().for_each(|t| t.join().unwrap());
}

pub(super) fn one_worker() {
    refill::<1>(Clock::Token, 1, 2, Between::Nothing, false);
}

pub(super) fn one_worker_and_a_row_behind() {
    refill::<1>(Clock::Token, 1, 2, Between::Nothing, true);
}

pub(super) fn keys_of_three_words() {
    refill::<3>(Clock::Token, 1, 1, Between::Nothing, true);
}

pub(super) fn a_worker_that_sleeps() {
    refill::<1>(Clock::Token, 1, 2, Between::Sleep, false);
}

fn two_workers() {
    refill::<1>(Clock::Token, 2, 1, Between::Nothing, false);
}

fn two_workers_that_sleep() {
    refill::<1>(Clock::Token, 2, 1, Between::Sleep, false);
}

#[test]
fn a_refilled_slot_gives_nobody_the_new_value_under_the_old_key() {
    explore("one worker", Some(4), one_worker);
    explore("one worker, a row behind", Some(3), one_worker_and_a_row_behind);
    explore("three words", Some(4), keys_of_three_words);
    explore("two workers", Some(2), two_workers);
}

#[test]
fn nor_when_workers_sleep_and_wake() {
    explore("one worker that sleeps", Some(4), a_worker_that_sleeps);
    explore("two workers that sleep", Some(2), two_workers_that_sleep);
}

#[test]
#[should_panic(expected = "a key with another key's value")]
fn without_a_grace_period_it_fails() {
    explore("no grace period", None, || refill::<1>(Clock::None, 1, 1, Between::Nothing, false));
}

#[test]
#[should_panic(expected = "a key with another key's value")]
fn with_burst_counters_for_a_clock_it_fails() {
    explore("burst counters", None, || refill::<1>(Clock::Bursts, 1, 1, Between::Nothing, false));
}

#[test]
#[should_panic(expected = "a key with another key's value")]
fn without_a_grace_period_it_fails_for_keys_of_three_words() {
    explore("no grace period, three words", None, || refill::<3>(Clock::None, 1, 1, Between::Nothing, true));
}
