//! Packets per second through `process_burst` on one core: 64-byte frames of 1,000 flows, each
//! copied into a recycled buffer first and freed after. `io_floor` is that copying alone: subtract it.

use bench::frames::{Case, FLOWS, LEN, sources};
use bench::host::{Host, Setup};
use bench::load::{Feed, forward_nothing};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dataplane::burst::{BURST, Burst};
use dataplane::umem::Umem;

fn pipeline(c: &mut Criterion) {
    let mut group = c.benchmark_group("process_burst");
    group.throughput(Throughput::Elements(BURST as u64));
    for case in Case::ALL {
        let host = Host::new(Setup::default()).expect("the cloud of the bench is right");
        let mut umem = Umem::new(4096);
        let mut worker = host.worker(umem.pools(1).pop().expect("one pool"));
        let mut feed = Feed::new(sources(case, FLOWS, LEN), case.outs());
        group.bench_function(case.name(), |b| {
            b.iter(|| {
                feed.turn(&mut worker, BURST, &mut |w, door| {
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
        let host = Host::new(Setup::default()).expect("the cloud of the bench is right");
        let mut umem = Umem::new(4096);
        let mut worker = host.worker(umem.pools(1).pop().expect("one pool"));
        let mut feed = Feed::new(sources(case, FLOWS, LEN), case.outs());
        let out = feed.outs()[0];
        let mut burst: Box<Burst<'_>> = Box::default();
        let name = if case == Case::Route { "io_floor_out" } else { "io_floor_in" };
        group.bench_function(name, |b| {
            b.iter(|| feed.turn(&mut worker, BURST, &mut |w, door| forward_nothing(w, &mut burst, door, out)));
        });
    }
    group.finish();
}

criterion_group!(benches, pipeline);
criterion_main!(benches);
