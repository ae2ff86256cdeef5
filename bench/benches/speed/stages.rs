//! One stage at a time: a burst of 64 goes through those before it, then a clock stands around the one that is measured (a
//! clock takes 20 to 50 ns a burst). `egress` and `account` need a worker of their own: see `pktbench`.

use bench::frames::{Case, FLOWS, LEN, sources};
use bench::host::{Host, Setup};
use bench::load::Feed;
use criterion::{Criterion, Throughput};
use crossbeam::queue::ArrayQueue;
use dataplane::burst::{BURST, Burst, Door, Mask};
use dataplane::counters::WorkerCounters;
use dataplane::learn::{LEARN_QUEUE, LearnQueue};
use dataplane::stage::*;
use dataplane::trace::Tracer;
use dataplane::umem::Umem;
use dataplane::worker::{Worker, WorkerIo};
use std::time::{Duration, Instant};

/// What stages say to later ones.
#[derive(Default)]
struct Said {
    from: Doors,
    fabric: Fabric,
    strangers: Mask,
    routed: Mask,
}

type Step = fn(&mut Burst<'_>, &Ctx<'_>, &WorkerIo<'_>, &mut Said);

/// The line of `process_burst`.
const LINE: [(&str, Step); 16] = [
    ("ingress", |b, x, io, s| s.from = ingress(b, x, io)),
    ("vxlan_decap", |b, x, _, s| vxlan_decap(b, x, s.from.tunnel)),
    ("vxlan_tun_to_lv", |b, x, _, s| vxlan_tun_to_lv(b, x, s.from.tunnel & b.live)),
    ("decode", |b, x, _, _| decode(b, x, b.live)),
    ("vxlan_inner", |b, x, _, s| vxlan_inner(b, x, s.from.tunnel & b.live)),
    ("phys_to_lv", |b, x, _, s| phys_to_lv(b, x, s.from.phys & b.live)),
    ("learning_blocker", |b, x, _, s| s.fabric = learning_blocker(b, x, (s.from.tunnel | s.from.phys) & b.live)),
    ("dvr_to_src_mac", |b, x, _, s| dvr_to_src_mac(b, x, s.fabric.routed)),
    ("learn_from_tun", |b, x, _, s| learn_from_tun(b, x, s.fabric.bridged)),
    ("vm_port", |b, x, _, s| s.strangers = vm_port(b, x, s.from.vm & b.live)),
    ("arp_responder", |b, x, _, _| arp_responder(b, x, b.open())),
    ("qrouter", |b, x, _, s| s.routed = qrouter(b, x, (s.from.vm | s.from.phys) & b.open())),
    ("local_switching", |b, x, _, s| local_switching(b, x, b.open(), s.routed)),
    ("dvr_process", |b, x, _, s| dvr_process(b, x, s.routed & b.decided)),
    ("vxlan_encap", |b, x, _, _| _ = vxlan_encap(b, x, b.decided.without(b.cut))),
    ("lv_to_phys", |b, x, _, _| lv_to_phys(b, x, b.decided.without(b.cut))),
];

/// Of each case, the stages that do something in it and nothing else in a case before.
const WORTH: [(Case, &[&str]); 6] = [
    (Case::L2Out, &["ingress", "decode", "vm_port", "local_switching", "vxlan_encap"]),
    (Case::Route, &["qrouter", "dvr_process"]),
    (
        Case::L2In,
        &["vxlan_decap", "vxlan_tun_to_lv", "vxlan_inner", "learning_blocker", "learn_from_tun", "local_switching"],
    ),
    (Case::Decap, &["learning_blocker", "dvr_to_src_mac"]),
    (Case::FipOut, &["qrouter", "dvr_process", "lv_to_phys"]),
    (Case::FipIn, &["phys_to_lv", "qrouter", "dvr_process"]),
];

/// Every stage of [`WORTH`].
pub fn stages(c: &mut Criterion) {
    let host = Host::new(Setup::default()).expect("the cloud of the bench is right");
    let mut group = c.benchmark_group("stage");
    group.throughput(Throughput::Elements(BURST as u64));
    for (case, names) in WORTH {
        for name in names {
            let at = LINE.iter().position(|(n, _)| n == name).expect("a stage of the line");
            let mut bench = Bench::new(case);
            group.bench_function(format!("{name}/{}", case.name()), |b| {
                b.iter_custom(|bursts| bench.run(&host, at, bursts));
            });
        }
    }
    group.finish();
}

struct Bench {
    feed: Feed,
    case: Case,
}

impl Bench {
    fn new(case: Case) -> Self {
        Bench { feed: Feed::new(sources(case, FLOWS, LEN), case.outs()), case }
    }

    /// Time in stage number `at` of so many bursts.
    fn run(&mut self, host: &Host, at: usize, bursts: u64) -> Duration {
        let mut umem = Umem::new(1024);
        let mut worker = host.worker(umem.pools(1).pop().expect("one pool"));
        let mut view = host.writer.view(0).expect("one worker");
        let count = WorkerCounters::new(usize::from(worker.port_limit()), 1);
        let (learn, tracer) = (LearnQueue::new(ArrayQueue::new(LEARN_QUEUE)), Tracer::new(1));
        let x = Ctx {
            snap: view.published.load(),
            newest: &view.newest,
            tables: &view.tables,
            count: &count,
            learn: &learn,
            region: worker.region(),
            tracer: &tracer,
            tap: None,
            clock: None,
            waiting: &[],
        };
        let (mut burst, mut time): (Box<Burst<'_>>, _) = (Box::default(), Duration::ZERO);
        for _ in 0..bursts {
            let (door, _) = self.feed.fill(&mut worker, BURST);
            if let Some((port, _)) = worker.memory_port(door) {
                port.receive(&mut burst, door, BURST);
                let all = burst.live;
                burst.arrivals.add(door, all);
            }
            let mut said = Said::default();
            for (_, step) in LINE.iter().take(at) {
                step(&mut burst, &x, worker.io(), &mut said);
            }
            let start = Instant::now();
            LINE[at].1(&mut burst, &x, worker.io(), &mut said);
            time += start.elapsed();
            assert_eq!((burst.live | burst.decided).count(), BURST as u64, "{}: a frame was dropped", self.case.name());
            recycle(&mut burst, &mut worker);
        }
        time
    }
}

fn recycle<'u>(burst: &mut Burst<'u>, worker: &mut Worker<'u>) {
    if let Some((_, pool)) = worker.memory_port(Door::Tunnel) {
        for lane in burst.live | burst.decided {
            if let Some(frame) = burst.frame[lane].take() {
                pool.put(frame);
            }
        }
    }
    burst.clear();
}
