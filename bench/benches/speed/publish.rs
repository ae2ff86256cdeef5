//! Publication: a new snapshot of the small tables, a worker that takes it up, and a batch of the model from rows to tables.

use bench::cloud;
use bench::host::{Host, Setup};
use control::rows::Rows;
use criterion::Criterion;
use dataplane::tables::SnapshotWriter;
use std::hint::black_box;

/// All of it.
pub fn publish(c: &mut Criterion) {
    let mut host = Host::new(Setup::default()).expect("the cloud of the bench is right");
    let mut group = c.benchmark_group("publish");
    let mut writer = SnapshotWriter::default();
    let mut worker = writer.subscribe();
    let small = host.writer.current().clone();
    group.bench_function("load, nothing new", |b| b.iter(|| black_box(worker.load().generation)));
    group.bench_function("snapshot, published and loaded", |b| {
        b.iter(|| {
            writer.publish(small.clone());
            black_box(worker.load().generation)
        });
    });
    let model = cloud::cloud().expect("the cloud of the bench is right");
    let rows = Rows::derive(&model, cloud::HOST).expect("the host is in it");
    group.bench_function("rows from the model", |b| b.iter(|| Rows::derive(&model, cloud::HOST).map(|r| r.fdb.len())));
    // A port goes down and comes up: one row of T05, the flood list, what its neighbour row answers.
    let mut down = rows.clone();
    let port = down.ports.get_mut(&cloud::local_vm(0, 0)).expect("a local port");
    port.active = false;
    let mut turn = false;
    group.bench_function("batch of one port", |b| {
        b.iter(|| {
            turn = !turn;
            let next = if turn { &down } else { &rows };
            assert!(host.writer.apply(next, None).is_ok());
        });
    });
    group.finish();
}
