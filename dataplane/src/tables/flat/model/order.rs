//! Token, snapshot and row: what a worker finds in a flat table names an index, and the snapshot
//! says who that is. It must never be somebody else.
//!
//! arc-swap is not made for loom. Its place is taken by a number in an atomic, stored with Release
//! and loaded with Acquire, that says which of a fixed list of snapshots is the newest; the rest is
//! the real code.

use super::*;
use crate::tables::Epoch;
use loom::thread;

/// Who has an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Owner {
    Ann = 1,
    Bob,
}
use Owner::{Ann, Bob};

/// Who has indexes 0 and 1, by generation of the snapshot.
type Snapshots = [[Option<Owner>; 2]; 3];

/// What a row says: an index and, for the model alone, who is meant.
fn row(index: u64, owner: Owner) -> u64 {
    index << 8 | owner as u64
}

/// One worker's turn: which comes first?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Worker {
    /// As `Worker::poll` does.
    TokenFirst,
    /// Must fail.
    SnapshotFirst,
}

struct Reader {
    token: QsbrWorker,
    newest: Arc<AtomicU64>,
    table: Arc<FlatTable<1>>,
    snapshots: Snapshots,
    worker: Worker,
}

impl Reader {
    /// A burst: looks up `keys` and resolves what it finds, as `Ctx::with_tunnel` does. A row of
    /// `leaving` may find nobody: targets go at step 3, rows that name them at step 4.
    fn burst(&self, keys: &[[u64; 1]], leaving: Option<Owner>) {
        let early = (self.worker == Worker::SnapshotFirst).then(|| self.newest.load(Ordering::Acquire));
        self.token.quiesce();
        let snapshot = early.unwrap_or_else(|| self.newest.load(Ordering::Acquire));
        for key in keys {
            let found = self.table.lookup(key);
            if found == 0 {
                continue;
            }
            let owner = |generation: u64| self.snapshots[generation as usize][(found >> 8) as usize];
            let who = owner(snapshot).or_else(|| owner(self.newest.load(Ordering::Acquire)));
            let meant = if found & 0xff == Ann as u64 { Ann } else { Bob };
            if meant == Bob {
                reached();
            }
            match who {
                Some(who) => assert_eq!(who, meant, "an index that means somebody else"),
                None => assert_eq!(leaving, Some(meant), "an index that nobody has"),
            }
        }
    }
}

/// In which order the writer does its steps, docs/behaviour.md "Row batches".
#[derive(Clone, Copy, PartialEq, Eq)]
enum Steps {
    AsBuilt,
    /// 2 before 1. Must fail.
    RowBeforeTarget,
    /// 6 without 5. Must fail.
    NoGrace,
    /// 5 before 4. Must fail.
    GraceBeforeDeletion,
}

fn start(worker: Worker, snapshots: Snapshots) -> (FlatWriter<1>, Arc<Qsbr>, Reader) {
    let (w, qsbr) = table::<1>(1);
    let (token, newest) = (qsbr.worker(0).unwrap(), Arc::new(AtomicU64::new(0)));
    token.online();
    let reader = Reader { token, newest, table: w.reader(), snapshots, worker };
    (w, qsbr, reader)
}

/// Two batches: Ann goes, then Bob comes and gets her index if it is free by then.
fn index_reused(worker: Worker, steps: Steps, bursts: usize) {
    let snapshots = [[Some(Ann), None], [None, None], [Some(Bob), None]];
    let (mut w, qsbr, reader) = start(worker, snapshots);
    let [ann, bob] = keys(&w);
    w.put(&ann, row(0, Ann)).unwrap();
    let newest = Arc::clone(&reader.newest);
    let thread = thread::spawn(move || (0..bursts).for_each(|_| reader.burst(&[ann, bob], Some(Ann))));
    // Ann goes: steps 3, 4, 5.
    newest.store(1, Ordering::Release);
    let early = (steps == Steps::GraceBeforeDeletion).then(|| qsbr.retire());
    let mut epoch: Option<Epoch> = early;
    if early.is_none_or(|e| qsbr.has_passed(e)) {
        assert!(w.remove(&ann));
        epoch = epoch.or_else(|| Some(qsbr.retire()));
        // 6. Bob comes: steps 1, 2.
        if steps == Steps::NoGrace || epoch.is_some_and(|e| qsbr.has_passed(e)) {
            if steps == Steps::RowBeforeTarget {
                w.put(&bob, row(0, Bob)).unwrap();
            }
            newest.store(2, Ordering::Release);
            w.put(&bob, row(0, Bob)).unwrap();
        }
    }
    thread.join().unwrap();
}

/// One batch: Bob comes to index 1, a new row names him, and Ann's row moves to him.
fn target_added(steps: Steps) {
    let snapshots = [[Some(Ann), None], [Some(Ann), Some(Bob)], [None, None]];
    let (mut w, _qsbr, reader) = start(Worker::TokenFirst, snapshots);
    let [moves, comes] = keys(&w);
    w.put(&moves, row(0, Ann)).unwrap();
    let newest = Arc::clone(&reader.newest);
    let thread = thread::spawn(move || {
        reader.burst(&[moves, comes], None);
        assert_ne!(reader.table.lookup(&moves), 0, "a row that moves was away");
    });
    let early = steps == Steps::RowBeforeTarget;
    if !early {
        newest.store(1, Ordering::Release);
    }
    w.put(&moves, row(1, Bob)).unwrap();
    w.put(&comes, row(1, Bob)).unwrap();
    if early {
        newest.store(1, Ordering::Release);
    }
    thread.join().unwrap();
}

pub(super) fn reuse() {
    index_reused(Worker::TokenFirst, Steps::AsBuilt, 1);
}

pub(super) fn addition() {
    target_added(Steps::AsBuilt);
}

#[test]
fn an_index_that_changed_hands_means_the_owner_the_row_means() {
    explore("index reused", None, reuse);
    explore("index reused, two bursts", Some(4), || index_reused(Worker::TokenFirst, Steps::AsBuilt, 2));
}

#[test]
fn a_row_that_is_new_or_moved_finds_its_target() {
    explore("target added", None, addition);
}

#[test]
#[should_panic(expected = "an index that means somebody else")]
fn if_the_worker_loads_the_snapshot_before_it_stores_its_token_it_fails() {
    explore("snapshot first", None, || index_reused(Worker::SnapshotFirst, Steps::AsBuilt, 1));
}

#[test]
#[should_panic(expected = "an index that nobody has")]
fn if_the_row_comes_before_its_target_it_fails() {
    explore("row before target", None, || target_added(Steps::RowBeforeTarget));
}

#[test]
#[should_panic(expected = "an index that nobody has")]
fn if_the_row_comes_before_its_target_it_fails_for_a_reused_index() {
    explore("row before target, reused", None, || index_reused(Worker::TokenFirst, Steps::RowBeforeTarget, 1));
}

#[test]
#[should_panic(expected = "an index that means somebody else")]
fn if_the_index_is_reused_without_a_grace_period_it_fails() {
    explore("no grace period", None, || index_reused(Worker::TokenFirst, Steps::NoGrace, 1));
}

#[test]
#[should_panic(expected = "an index that means somebody else")]
fn if_the_grace_period_begins_before_the_rows_are_deleted_it_fails() {
    explore("grace before deletion", None, || index_reused(Worker::TokenFirst, Steps::GraceBeforeDeletion, 1));
}
