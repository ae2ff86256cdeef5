//! Packets per second through `process_burst` on one core: 64-byte frames of 1,000 flows, each
//! copied into a recycled buffer first and freed after. `io_floor` is that copying alone: subtract it.

use bench::frames::{Case, sources};
use bench::host::Writers;
use bench::load::{Source, forward_nothing, sink};
use bench::topo::{LOCAL, NETS};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::burst::{BURST, Burst, Door};
use dataplane::umem::Umem;
use dataplane::worker::Worker;

const FLOWS: u32 = 1000;
/// 64 with FCS.
const LEN: usize = 60;

/// Doors a case's frames leave by.
fn outs(case: Case) -> Vec<Door> {
    match case {
        Case::L2Out | Case::Route => vec![Door::Tunnel],
        Case::L2In | Case::Decap => (0..NETS * LOCAL).map(Door::Port).collect(),
    }
}

/// One burst from the next source; `work` takes it to `outs`.
fn turn<'u>(
    worker: &mut Worker<'u>,
    sources: &mut [Source],
    next: &mut usize,
    outs: &[Door],
    work: &mut impl FnMut(&mut Worker<'u>, Door),
) {
    *next = (*next + 1) % sources.len();
    let source = &mut sources[*next];
    source.fill(worker, BURST);
    work(worker, source.door);
    for door in outs {
        sink(worker, *door);
    }
}

fn pipeline(c: &mut Criterion) {
    let mut group = c.benchmark_group("process_burst");
    group.throughput(Throughput::Elements(BURST as u64));
    for case in Case::ALL {
        let writers = Writers::new(1);
        let mut umem = Umem::new(4096);
        let mut worker = writers.worker(umem.pools(1).pop().expect("one pool"));
        let (mut sources, outs, mut next) = (sources(case, FLOWS, LEN), outs(case), 0);
        group.bench_function(case.name(), |b| {
            b.iter(|| {
                turn(&mut worker, &mut sources, &mut next, &outs, &mut |w, door| {
                    w.poll(door, BURST);
                })
            });
        });
        let n = worker.counters();
        assert_eq!(n.received.get(), n.sent.get(), "a bench that drops is no bench: {:?}", n.snapshot());
        println!(
            "    forwarded {} of {} frames, drops 0, learn events {}",
            n.sent.get(),
            n.received.get(),
            worker.learn_queue().len()
        );
    }
    for case in [Case::Route, Case::Decap] {
        let writers = Writers::new(1);
        let mut umem = Umem::new(4096);
        let mut worker = writers.worker(umem.pools(1).pop().expect("one pool"));
        let (mut sources, outs, mut next) = (sources(case, FLOWS, LEN), outs(case), 0);
        let out = outs[0];
        let mut burst: Box<Burst<'_>> = Box::default();
        let name = if case == Case::Route { "io_floor_out" } else { "io_floor_in" };
        group.bench_function(name, |b| {
            b.iter(|| {
                turn(&mut worker, &mut sources, &mut next, &outs, &mut |w, door| {
                    forward_nothing(w, &mut burst, door, out)
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
