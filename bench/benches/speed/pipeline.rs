//! The whole pipeline: 64-byte frames, each copied into a recycled buffer first and freed after. `io_floor` is that copying
//! alone: subtract it.

use bench::frames::{Case, FLOWS, LEN, Plan, scattered, sources};
use bench::host::{Host, Setup};
use bench::load::{Feed, by_door, forward_nothing};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use dataplane::burst::Burst;
use dataplane::umem::Umem;

const BUFFERS: usize = 4096;
const BURSTS: [usize; 4] = [1, 8, 32, 64];
const ROWS: [u32; 3] = [1000, 64_000, 1_000_000];

/// By case and frames of a burst, on tables of dvrd's size with the topology's rows in them.
pub fn bursts(c: &mut Criterion) {
    let host = Host::new(Setup::default()).expect("the cloud of the bench is right");
    let mut group = c.benchmark_group("process_burst");
    for case in Case::ALL {
        for n in BURSTS {
            let mut feed = Feed::new(sources(case, FLOWS, LEN), case.outs());
            forward(&mut group, &host, &mut feed, &format!("{}/{n}", case.name()), n);
        }
    }
    for case in [Case::Route, Case::Decap] {
        let mut feed = Feed::new(sources(case, FLOWS, LEN), case.outs());
        floor(&mut group, &host, &mut feed, if case == Case::Route { "io_floor_out/32" } else { "io_floor_in/32" });
    }
    group.finish();
}

/// By rows in the forwarding database and the neighbour table: frames to 1,000 of them, which stay in the cache (hot), or to
/// as many as there are rows (cold).
pub fn rows(c: &mut Criterion) {
    let mut group = c.benchmark_group("rows");
    for more in ROWS {
        let host = Host::new(Setup { more, ..Setup::default() }).expect("the rows fit");
        for case in [Case::L2Out, Case::Route] {
            for (name, flows) in [("hot", FLOWS), ("cold", more)] {
                let frames = scattered(Plan { case, more }, flows, LEN);
                let mut feed = Feed::new(by_door(frames), case.outs());
                forward(&mut group, &host, &mut feed, &format!("{}/{more}/{name}", case.name()), 32);
            }
        }
    }
    group.finish();
}

fn forward(group: &mut BenchmarkGroup<'_, WallTime>, host: &Host, feed: &mut Feed, name: &str, n: usize) {
    let mut umem = Umem::new(BUFFERS);
    let mut worker = host.worker(umem.pools(1).pop().expect("one pool"));
    group.throughput(Throughput::Elements(n as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            feed.turn(&mut worker, n, &mut |w, door| {
                w.poll(door, n);
            })
        });
    });
    let books = worker.counters();
    let ends = (books.sent.get(), books.dropped.get(), worker.learn_queue().len());
    assert_eq!(ends, (books.received.get(), 0, 0), "a bench that drops is no bench: {:?}", books.snapshot());
}

fn floor(group: &mut BenchmarkGroup<'_, WallTime>, host: &Host, feed: &mut Feed, name: &str) {
    let mut umem = Umem::new(BUFFERS);
    let mut worker = host.worker(umem.pools(1).pop().expect("one pool"));
    let (mut burst, out): (Box<Burst<'_>>, _) = (Box::default(), feed.outs()[0]);
    group.throughput(Throughput::Elements(32));
    group.bench_function(name, |b| {
        b.iter(|| feed.turn(&mut worker, 32, &mut |w, door| forward_nothing(w, &mut burst, door, out)));
    });
}
