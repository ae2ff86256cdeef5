//! The flat tables: lookup (a burst of 64 keys, two passes, as stages do), update, insert and delete, and updates while a
//! worker looks up.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use dataplane::tables::{FlatTable, FlatWriter, Home, Qsbr, QsbrWorker};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BURST: usize = 64;
const ROWS: [u64; 3] = [1000, 64_000, 1_000_000];

/// Key number `i`: segment 1, and an address that no other number has (the factor is odd).
fn key(i: u64) -> [u64; 1] {
    [1 << 48 | i.wrapping_mul(0x9E37_79B9_7F4A_7C15) & 0xffff_ffff_ffff]
}

/// By rows in the table.
pub fn tables(c: &mut Criterion) {
    for rows in ROWS {
        let qsbr = Qsbr::new(1);
        let mut writer = FlatWriter::<1>::new(rows as usize + 1, Arc::clone(&qsbr), ahash::RandomState::new());
        for i in 0..rows {
            assert_eq!(writer.put(&key(i), i + 1), Ok(()), "the table is sized for the rows");
        }
        let mut group = c.benchmark_group(format!("table/{rows}"));
        lookups(&mut group, &writer.reader(), rows);
        changes(&mut group, &mut writer, rows, "");
        let token = qsbr.worker(0).expect("one worker");
        let (table, stop) = (writer.reader(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| look_up(&table, &token, rows, &stop));
            changes(&mut group, &mut writer, rows, " under load");
            stop.store(true, Ordering::Relaxed);
        });
        group.finish();
    }
}

/// The values of a burst of keys, and how many there are.
fn burst(table: &FlatTable<1>, keys: impl Fn(u64) -> [u64; 1]) -> u64 {
    let mut homes = [(Home::default(), [0]); BURST];
    for (i, place) in homes.iter_mut().enumerate() {
        let key = keys(i as u64);
        *place = (table.locate(&key), key);
    }
    homes.iter().map(|(home, key)| u64::from(table.get(*home, key) != 0)).sum()
}

fn lookups(group: &mut BenchmarkGroup<'_, WallTime>, table: &FlatTable<1>, rows: u64) {
    group.throughput(Throughput::Elements(BURST as u64));
    let mut at = 0u64;
    group.bench_function("lookup, hit", |b| {
        b.iter(|| {
            at = at.wrapping_add(BURST as u64);
            assert_eq!(burst(table, |i| key(at.wrapping_add(i) * 7919 % rows)), BURST as u64);
        });
    });
    group.bench_function("lookup, miss", |b| {
        b.iter(|| {
            at = at.wrapping_add(BURST as u64);
            assert_eq!(burst(table, |i| key(rows + 1 + (at.wrapping_add(i) & 0xffff_ffff))), 0);
        });
    });
}

fn changes(group: &mut BenchmarkGroup<'_, WallTime>, writer: &mut FlatWriter<1>, rows: u64, load: &str) {
    group.throughput(Throughput::Elements(1));
    let mut at = 0u64;
    group.bench_function(format!("update{load}"), |b| {
        b.iter(|| {
            at += 1;
            assert_eq!(writer.put(&key(at * 7919 % rows), at), Ok(()));
        });
    });
    group.bench_function(format!("insert and delete{load}"), |b| {
        b.iter(|| {
            at += 1;
            let new = key(rows + 1 + (at & 0xffff_ffff));
            assert_eq!(writer.put(&new, at), Ok(()));
            assert!(writer.remove(&new));
        });
    });
    writer.bury();
}

/// A worker that does nothing but look up.
fn look_up(table: &FlatTable<1>, token: &QsbrWorker, rows: u64, stop: &AtomicBool) {
    token.online();
    let mut at = 0u64;
    while !stop.load(Ordering::Relaxed) {
        token.quiesce();
        at = at.wrapping_add(BURST as u64);
        black_box(burst(table, |i| key(at.wrapping_add(i) * 7919 % rows)));
    }
    token.offline();
}
