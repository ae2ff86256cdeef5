//! What the pipeline costs on real sockets: CPU time per forwarded frame, user and system, of a worker on two veths and of
//! a bare forwarder on the same sockets, which moves a frame from one to the other and looks at nothing.
//!
//! `af_xdp [--runs N] [--seconds S] [--check]`. Needs root and iproute2. With `--check` it fails above 1.04 times the bare
//! forwarder's total or 120 ns of user time. Each has a lane of its own, of two veth pairs: source, forwarder,
//! sink. They are fed in turn, a quarter of a second each, so that whatever else the machine does meets both. Frames are 64
//! bytes (with FCS) of 1,000 flows of one VM, routed to other hosts: the `route` case, 114 bytes when they leave. Source
//! and sink are AF_XDP sockets too. Both forwarders sleep when there is nothing to do, and burn no time waiting. A frame
//! that the forwarder received and that did not arrive is an error; what the kernel lost before it is printed.

use bench::frames::{Case, LEN, build};
use bench::host::{Host, Setup, port_ix};
use bench::load::cpu_time_of;
use bench::veth::Lanes;
use control::daemon::nic::{Nic, QUEUE, Role, Share};
use dataplane::burst::{BURST, Burst, Door, FrameMeta};
use dataplane::handoff::{Bell, Links};
use dataplane::io::Port;
use dataplane::io::af_xdp::XdpPort;
use dataplane::umem::{Frame, FramePool, HEADROOM, Region, Umem};
use dataplane::worker::Idle;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::Scope;
use std::time::{Duration, Instant};

type Res<T> = Result<T, Box<dyn Error>>;

/// How long one lane is fed before the other is.
const SLICE: Duration = Duration::from_millis(250);
/// Then what is under way arrives.
const DRAIN: Duration = Duration::from_millis(20);
/// The longest sleep of everybody.
const SLEEP: Duration = Duration::from_millis(100);
/// The source has core 0, with the sink, which needs little; the forwarders core 1.
const CORES: [usize; 2] = [0, 1];
/// What is wanted: total against the bare forwarder, and user time, ns a frame.
const RATIO: f64 = 1.04;
const USER: f64 = 120.0;

fn main() -> Res<()> {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: f64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let (runs, seconds) = (option("--runs", 5.0) as usize, Duration::from_secs_f64(option("--seconds", 15.0)));
    let lanes = Lanes::new(2)?;
    let stop = AtomicBool::new(false);
    let measured = std::thread::scope(|scope| {
        let measured = (|| -> Res<Vec<[Cost; 2]>> {
            let mut both = [feed(scope, &lanes, 0, &stop, bare)?, feed(scope, &lanes, 1, &stop, whole)?];
            pin(CORES[0]);
            (0..runs).map(|_| run(&mut both, seconds)).collect()
        })();
        stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let met = report(&measured);
    if !met && args.iter().any(|a| a == "--check") { Err("above the target".into()) } else { Ok(()) }
}

/// Reads how many frames were received and how many forwarded so far.
type Count = Box<dyn Fn() -> (u64, u64) + Send>;
/// Forwards from a lane's source to its sink until told to stop; first tells how to read its count.
type Forwarder = fn(Lane, &dyn Fn(Count), &AtomicBool) -> Res<()>;

/// One lane as the source sees it.
struct Fed {
    source: Source,
    forwarder: Task,
    forwarded: Count,
    arrived: Arc<AtomicU64>,
}

impl Fed {
    /// Frames forwarded, once all that were received have been forwarded and have arrived.
    fn settled(&self) -> Res<u64> {
        let now = || ((self.forwarded)(), self.arrived.load(Ordering::Relaxed));
        for _ in 0..50 {
            std::thread::sleep(DRAIN);
            let ((received, forwarded), arrived) = now();
            if received == forwarded && forwarded == arrived {
                return Ok(forwarded);
            }
        }
        let ((received, forwarded), arrived) = now();
        Err(format!("{received} frames received, {forwarded} forwarded, {arrived} arrived").into())
    }
}

/// Starts forwarder and sink of a lane.
fn feed<'s>(scope: &'s Scope<'s, '_>, lanes: &Lanes, n: usize, stop: &'s AtomicBool, forward: Forwarder) -> Res<Fed> {
    let (lane, sink) = (Lane::open(lanes, n)?, Sink::open(lanes, n)?);
    let source = Source::new(lanes, n)?;
    let arrived = Arc::new(AtomicU64::new(0));
    let other = Arc::clone(&arrived);
    let (tell, told) = channel();
    let fails = |what: &str, done: Res<()>| {
        if let Err(e) = done {
            eprintln!("{what}: {e}");
        }
    };
    scope.spawn(move || {
        pin(CORES[1]);
        let ready = |count| drop(tell.send((Task::this(), count)));
        fails("forwarder", forward(lane, &ready, stop));
    });
    scope.spawn(move || {
        pin(CORES[0]);
        fails("sink", sink.count(&other, stop));
    });
    let (forwarder, forwarded) = told.recv()?;
    Ok(Fed { source, forwarder, forwarded, arrived })
}

fn pin(core: usize) {
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
}

/// A thread of this process, in /proc.
#[derive(Debug)]
struct Task(PathBuf);

impl Task {
    fn this() -> Self {
        Task(
            std::fs::read_link("/proc/thread-self")
                .map_or_else(|_| "/proc/thread-self".into(), |p| Path::new("/proc").join(p)),
        )
    }

    fn spent(&self, frames: u64, offered: u64) -> Res<Spent> {
        let stat = std::fs::read_to_string(self.0.join("stat"))?;
        let total = cpu_time_of(&self.0).ok_or("no schedstat")?;
        // Fields 14 and 15, counted behind the name in brackets, which may have spaces.
        let behind: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |n: usize| behind.get(n - 3).and_then(|f| f.parse().ok()).unwrap_or(0);
        Ok(Spent { frames, offered, total, user: field(14), system: field(15) })
    }
}

/// CPU time of a thread so far, and frames it forwarded.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    frames: u64,
    /// Frames the source had sent.
    offered: u64,
    total: Duration,
    /// In clock ticks of 10 ms: the kernel tells user and system time no finer.
    user: u64,
    system: u64,
}

impl Spent {
    fn since(self, before: Spent) -> Cost {
        let frames = (self.frames - before.frames).max(1) as f64;
        let total = (self.total - before.total).as_nanos() as f64 / frames;
        let (user, system) = ((self.user - before.user) as f64, (self.system - before.system) as f64);
        let lost = 1.0 - frames / (self.offered - before.offered).max(1) as f64;
        Cost { frames, lost, total, user: total * user / (user + system).max(1.0) }
    }
}

/// Nanoseconds per frame.
#[derive(Clone, Copy, Debug)]
struct Cost {
    frames: f64,
    /// Of what was sent, the part the kernel lost before the forwarder.
    lost: f64,
    total: f64,
    user: f64,
}

/// Both are fed in turn for a while. Every frame that was forwarded has arrived, or it is an error.
fn run(both: &mut [Fed; 2], seconds: Duration) -> Res<[Cost; 2]> {
    let start = Instant::now();
    let mut first = [None, None];
    let mut last = [Spent::default(); 2];
    while start.elapsed() < seconds {
        for (n, lane) in both.iter_mut().enumerate() {
            lane.source.send_for(SLICE)?;
            let forwarded = lane.settled()?;
            last[n] = lane.forwarder.spent(forwarded, lane.source.sent)?;
            first[n].get_or_insert(last[n]); // the first slice warms up
        }
    }
    let cost = |n: usize| last[n].since(first[n].unwrap_or_default());
    Ok([cost(0), cost(1)])
}

/// Prints it; says whether the target is met.
fn report(runs: &[[Cost; 2]]) -> bool {
    println!("                   bare forwarder                           dvrd worker");
    println!("run     frames  lost   total    user  system    frames  lost   total    user  system   total/total");
    for (n, of) in runs.iter().enumerate() {
        let one = |c: &Cost| {
            let (lost, system) = (100.0 * c.lost, c.total - c.user);
            format!("{:>10.0}{lost:>5.0}%{:>8.0}{:>8.0}{system:>8.0}", c.frames, c.total, c.user)
        };
        println!("{:<4}{}{}{:>14.3}", n + 1, one(&of[0]), one(&of[1]), of[1].total / of[0].total);
    }
    let median = |of: &dyn Fn(&[Cost; 2]) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let (ratio, user) = (median(&|of| of[1].total / of[0].total), median(&|of| of[1].user));
    let (bare, total) = (median(&|of| of[0].user), median(&|of| of[1].total));
    println!("\nns a frame, on-CPU; lost: by the kernel, before the forwarder, which was slower than the source");
    println!("median: total {ratio:.3} times the bare forwarder's (wanted: at most {RATIO})");
    println!("        user {user:.0} ns (wanted: at most {USER}), the bare forwarder's {bare:.0} ns");
    println!(
        "{{\"bench\":\"af_xdp\",\"case\":\"route\",\"runs\":{},\"ratio\":{ratio:.3},\"user_ns\":{user:.1},\"bare_user_ns\":{bare:.1},\"total_ns\":{total:.1}}}",
        runs.len(),
    );
    ratio <= RATIO && user <= USER
}

/// What a forwarder works on.
struct Lane {
    pool: FramePool<'static>,
    from: XdpPort<'static>,
    to: XdpPort<'static>,
    _nics: [Nic; 2],
}

/// Packet memory for the rest of the process.
fn memory(frames: usize) -> Res<FramePool<'static>> {
    let umem = Box::leak(Box::new(Umem::shared(frames)?));
    umem.pools(1).pop().ok_or_else(|| "no packet memory".into())
}

fn open(lanes: &Lanes, part: &str, name: &str, region: Region<'static>, frames: usize) -> Res<(Nic, XdpPort<'static>)> {
    let share = Share { workers: 1, frames, patience: Duration::ZERO };
    let (nic, mut ports) = Nic::open(&lanes.interface(part, name), Role::Port, region, share)?;
    Ok((nic, ports.pop().ok_or("no queue")?))
}

impl Lane {
    fn open(lanes: &Lanes, n: usize) -> Res<Lane> {
        let pool = memory(8192)?;
        let (a, from) = open(lanes, "dvrd", &format!("a{n}"), pool.region(), QUEUE as usize)?;
        let (b, to) = open(lanes, "dvrd", &format!("b{n}"), pool.region(), QUEUE as usize)?;
        Ok(Lane { pool, from, to, _nics: [a, b] })
    }
}

/// Moves frames and looks at nothing.
fn bare(lane: Lane, ready: &dyn Fn(Count), stop: &AtomicBool) -> Res<()> {
    let Lane { mut pool, mut from, mut to, _nics } = lane;
    let bell = Bell::new()?;
    [&from, &to].iter().try_for_each(|port| port.watch(&bell))?;
    let mut burst: Box<Burst<'static>> = Box::default();
    let (mut frames, count) = (0, Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&count);
    // What is received is forwarded, or it is an error.
    ready(Box::new(move || (counter.load(Ordering::Relaxed), counter.load(Ordering::Relaxed))));
    let mut unsent = false;
    while !stop.load(Ordering::Relaxed) {
        let n = from.receive(&mut burst, Door::Port(0), BURST, &mut pool);
        let n = n + to.receive(&mut burst, Door::Tunnel, BURST - n, &mut pool);
        for lane in burst.live {
            let Some(frame) = burst.frame[lane].take() else { continue };
            to.transmit(frame, burst.meta[lane]).map_err(|_| "the ring to the sink is full")?;
        }
        burst.clear();
        frames += n as u64;
        count.store(frames, Ordering::Relaxed);
        if n > 0 || unsent {
            unsent = to.flush(&mut pool); // once a turn, as a worker
        } else {
            to.reclaim(&mut pool);
            from.reclaim(&mut pool);
            bell.sleep(SLEEP, || false);
        }
    }
    Ok(())
}

/// A worker with the whole pipeline.
fn whole(lane: Lane, ready: &dyn Fn(Count), stop: &AtomicBool) -> Res<()> {
    let Lane { pool, from, to, _nics } = lane;
    let host = Host::new(Setup::default())?;
    let mut worker = host.idle_worker(pool);
    worker.connect(Links::alone()?);
    let bell = worker.bell().ok_or("no bell")?;
    [&from, &to].iter().try_for_each(|port| port.watch(&bell))?;
    worker.attach_port(port_ix(0, 0), host.generation(port_ix(0, 0)), Port::Xdp(Box::new(from)));
    worker.attach(Door::Tunnel, Port::Xdp(Box::new(to)));
    let counter = Arc::clone(worker.counters());
    ready(Box::new(move || (counter.received.get(), counter.sent.get())));
    worker.work(Idle::Adaptive { spin: Duration::ZERO, sleep: SLEEP }, stop);
    Ok(())
}

/// Counts what arrives.
struct Sink {
    pool: FramePool<'static>,
    port: XdpPort<'static>,
    _nic: Nic,
}

impl Sink {
    fn open(lanes: &Lanes, n: usize) -> Res<Sink> {
        let pool = memory(4096)?;
        let (_nic, port) = open(lanes, "sink", &format!("s{n}"), pool.region(), QUEUE as usize)?;
        Ok(Sink { pool, port, _nic })
    }

    fn count(self, arrived: &AtomicU64, stop: &AtomicBool) -> Res<()> {
        let Sink { mut pool, mut port, _nic } = self;
        let bell = Bell::new()?;
        port.watch(&bell)?;
        let mut burst: Box<Burst<'static>> = Box::default();
        let mut frames = 0;
        while !stop.load(Ordering::Relaxed) {
            let n = port.receive(&mut burst, Door::Tunnel, BURST, &mut pool);
            if n == 0 {
                bell.sleep(SLEEP, || false);
            }
            for lane in burst.live {
                if let Some(frame) = burst.frame[lane].take() {
                    pool.put(frame);
                }
            }
            burst.clear();
            frames += n as u64;
            arrived.store(frames + port.lost().iter().sum::<u64>(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Sends the frames of one VM.
struct Source {
    pool: FramePool<'static>,
    port: XdpPort<'static>,
    sent: u64,
    _nic: Nic,
}

impl Source {
    fn new(lanes: &Lanes, n: usize) -> Res<Source> {
        let mut pool = memory(2048)?;
        let mut frames: Vec<Frame<'_>> = std::iter::from_fn(|| pool.take()).collect();
        for (n, frame) in frames.iter_mut().enumerate() {
            // Of network 0's VM 0: 1,000 flows to ten addresses.
            let (door, bytes) = build(Case::Route, (n % 1000) as u32 * 100, LEN);
            if door != Door::Port(port_ix(0, 0)) {
                return Err("a frame of another VM".into());
            }
            frame.chunk_mut()[HEADROOM..HEADROOM + LEN].copy_from_slice(&bytes);
        }
        frames.into_iter().for_each(|frame| pool.put(frame));
        let (_nic, port) = open(lanes, "source", &format!("g{n}"), pool.region(), QUEUE as usize)?;
        Ok(Source { pool, port, sent: 0, _nic })
    }

    /// Sends as fast as it can.
    fn send_for(&mut self, time: Duration) -> Res<()> {
        let meta = FrameMeta::of_received(HEADROOM as u16, LEN as u16, 0);
        let start = Instant::now();
        while start.elapsed() < time {
            for _ in 0..BURST {
                let Some(frame) = self.pool.take() else { break };
                if let Err(frame) = self.port.transmit(frame, meta) {
                    self.pool.put(frame);
                    break;
                }
                self.sent += 1;
            }
            while self.port.flush(&mut self.pool) {}
        }
        Ok(())
    }
}
