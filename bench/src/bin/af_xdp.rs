//! What the pipeline costs on real sockets: CPU time per forwarded frame, user and system, of a worker on two veths and of a
//! bare forwarder on the same sockets, which moves a frame from one to the other and looks at nothing.
//!
//! `af_xdp [--runs N] [--seconds S]`. Needs root and iproute2. Each has a lane of its own; they take turns, a ring full of frames each,
//! so that whatever else the machine does meets both. Frames are 64 bytes (with FCS) of 100 flows of one VM, routed to other
//! hosts: the `route` case, 114 bytes when they leave. The source works while the forwarders wait; the sink is an XDP program that
//! drops.

use bench::frames::{Case, LEN, build};
use bench::host::{Writers, port_ix};
use bench::load::cpu_time;
use bench::veth::Lanes;
use control::daemon::nic::{Nic, Share};
use dataplane::burst::{BURST, Burst, Door, FrameMeta};
use dataplane::io::Port;
use dataplane::io::af_xdp::filter::Filter;
use dataplane::io::af_xdp::{RingSizes, XdpPort};
use dataplane::umem::{Frame, FramePool, HEADROOM, Region, Umem};
use std::error::Error;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

type Res<T> = Result<T, Box<dyn Error>>;

/// Frames of one turn: fewer than a queue has buffers for.
const TURN: usize = 1536;
const RINGS: RingSizes = RingSizes { rx: 2048, tx: 2048 };
/// So long without a frame: the rest was lost.
const LOST: Duration = Duration::from_millis(100);

fn main() -> Res<()> {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: f64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let (runs, seconds) = (option("--runs", 5.0) as usize, Duration::from_secs_f64(option("--seconds", 4.0)));
    let lanes = Lanes::new(2)?;
    let measured = std::thread::scope(|scope| -> Res<Vec<[Cost; 2]>> {
        let mut both = Vec::new();
        for (n, forward) in [bare as fn(Lane, &Receiver<()>, &Sender<Spent>) -> Res<()>, whole].into_iter().enumerate()
        {
            let (go, gone) = channel::<()>();
            let (tell, told) = channel::<Spent>();
            let lanes = &lanes;
            scope.spawn(move || {
                core_affinity::set_for_current(core_affinity::CoreId { id: 1 });
                let done = Lane::open(lanes, n).and_then(|lane| forward(lane, &gone, &tell));
                if let Err(e) = done {
                    eprintln!("lane {n}: {e}");
                }
            });
            both.push((Source::new(lanes, n)?, go, told));
        }
        core_affinity::set_for_current(core_affinity::CoreId { id: 0 });
        for (_, _, told) in &both {
            told.recv()?; // its sockets are bound
        }
        (0..runs).map(|_| run(&mut both, seconds)).collect()
    })?;
    report(&measured)
}

/// CPU time of a thread so far, and frames it forwarded.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    frames: u64,
    total: Duration,
    /// In clock ticks of 10 ms: the kernel tells user and system time no finer.
    user: u64,
    system: u64,
}

impl Spent {
    fn now(frames: u64) -> Self {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
        // Fields 14 and 15, counted behind the name in brackets, which may have spaces.
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().map(|f| f.parse().unwrap_or(0)).collect();
        let field = |n: usize| fields.get(n - 3).copied().unwrap_or(0);
        Spent { frames, total: cpu_time(), user: field(14), system: field(15) }
    }

    fn since(self, before: Spent) -> Cost {
        let frames = (self.frames - before.frames).max(1) as f64;
        let total = (self.total - before.total).as_nanos() as f64 / frames;
        let (user, system) = ((self.user - before.user) as f64, (self.system - before.system) as f64);
        Cost { frames, total, user: total * user / (user + system).max(1.0) }
    }
}

/// Nanoseconds per frame.
#[derive(Clone, Copy, Debug)]
struct Cost {
    frames: f64,
    total: f64,
    user: f64,
}

/// Both take turns for a while.
fn run(both: &mut [(Source, Sender<()>, Receiver<Spent>)], seconds: Duration) -> Res<[Cost; 2]> {
    let start = Instant::now();
    let (mut first, mut last) = ([None, None], [Spent::default(); 2]);
    while start.elapsed() < seconds {
        for (n, (source, go, told)) in both.iter_mut().enumerate() {
            source.send(TURN)?;
            go.send(())?;
            let spent = told.recv()?;
            first[n].get_or_insert(spent); // the first turn warms up
            last[n] = spent;
        }
    }
    let cost = |n: usize| last[n].since(first[n].unwrap_or_default());
    Ok([cost(0), cost(1)])
}

fn report(runs: &[[Cost; 2]]) -> Res<()> {
    println!("                 bare forwarder                    dvrd worker");
    println!("run     frames   total    user  system    frames   total    user  system   total/total");
    let line = |of: &[Cost; 2]| {
        let one = |c: &Cost| format!("{:>10.0}{:>8.0}{:>8.0}{:>8.0}", c.frames, c.total, c.user, c.total - c.user);
        format!("{}{}{:>14.3}", one(&of[0]), one(&of[1]), of[1].total / of[0].total)
    };
    for (n, of) in runs.iter().enumerate() {
        println!("{:<4}{}", n + 1, line(of));
    }
    let median = |of: &dyn Fn(&[Cost; 2]) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let (ratio, user) = (median(&|of| of[1].total / of[0].total), median(&|of| of[1].user));
    let bare = median(&|of| of[0].user);
    println!(
        "\nmedian: total {ratio:.3} times the bare forwarder's; user {user:.0} ns a frame, the bare one's {bare:.0} ns"
    );
    println!("every frame was forwarded and found its route and its neighbour; none was dropped");
    println!(
        "{{\"bench\":\"af_xdp\",\"case\":\"route\",\"runs\":{},\"ratio\":{ratio:.3},\"user_ns\":{user:.1},\"bare_user_ns\":{bare:.1},\"total_ns\":{:.1}}}",
        runs.len(),
        median(&|of| of[1].total)
    );
    Ok(())
}

/// What a forwarder works on.
struct Lane {
    pool: FramePool<'static>,
    from: XdpPort<'static>,
    to: XdpPort<'static>,
    /// Their programs, and the sink's.
    _nics: [Nic; 3],
}

/// Packet memory for the rest of the process.
fn memory(frames: usize) -> Res<FramePool<'static>> {
    let umem = Box::leak(Box::new(Umem::shared(frames)?));
    umem.pools(1).pop().ok_or_else(|| "no packet memory".into())
}

fn open(lanes: &Lanes, part: &str, name: &str, region: Region<'static>, frames: usize) -> Res<(Nic, XdpPort<'static>)> {
    let share = Share { workers: 1, rings: RINGS, frames };
    let (nic, mut ports) = Nic::open(&lanes.interface(part, name), Filter::Everything, region, share)?;
    Ok((nic, ports.pop().ok_or("no queue")?))
}

impl Lane {
    fn open(lanes: &Lanes, n: usize) -> Res<Lane> {
        let pool = memory(8192)?;
        let (a, from) = open(lanes, "dvrd", &format!("a{n}"), pool.region(), RINGS.rx as usize)?;
        let (b, to) = open(lanes, "dvrd", &format!("b{n}"), pool.region(), RINGS.rx as usize)?;
        // Without a buffer to receive into: what arrives is dropped by the kernel at once.
        let sink = memory(64)?;
        let (s, idle) = open(lanes, "sink", &format!("s{n}"), sink.region(), 0)?;
        drop(idle); // the socket; the program stays and drops
        Ok(Lane { pool, from, to, _nics: [a, b, s] })
    }
}

/// Waits for a turn, forwards one by calling `work` until all frames are through, tells what was spent.
fn turns(go: &Receiver<()>, tell: &Sender<Spent>, mut work: impl FnMut() -> usize) -> Res<()> {
    let mut frames = 0;
    work(); // gives the kernel buffers to receive into
    tell.send(Spent::now(0))?;
    while go.recv().is_ok() {
        let (mut left, mut progress) = (TURN, Instant::now());
        while left > 0 {
            let n = work();
            if n > 0 {
                left = left.checked_sub(n).ok_or("more frames than were sent")?;
                progress = Instant::now();
            } else if progress.elapsed() > LOST {
                return Err(format!("{left} of {TURN} frames of a turn were lost").into());
            }
        }
        frames += TURN as u64;
        tell.send(Spent::now(frames))?;
    }
    Ok(())
}

/// Moves frames and looks at nothing.
fn bare(lane: Lane, go: &Receiver<()>, tell: &Sender<Spent>) -> Res<()> {
    let Lane { mut pool, mut from, mut to, _nics } = lane;
    let mut burst: Box<Burst<'static>> = Box::default();
    turns(go, tell, || {
        let n = from.receive(&mut burst, Door::Port(0), BURST, &mut pool);
        let n = n + to.receive(&mut burst, Door::Tunnel, BURST - n, &mut pool);
        for lane in burst.live {
            if let Some(frame) = burst.frame[lane].take()
                && let Err(frame) = to.transmit(frame, burst.meta[lane])
            {
                pool.put(frame);
            }
        }
        burst.clear();
        while to.flush(&mut pool) {}
        n
    })
}

/// A worker with the whole pipeline.
fn whole(lane: Lane, go: &Receiver<()>, tell: &Sender<Spent>) -> Res<()> {
    let Lane { pool, from, to, _nics } = lane;
    let writers = Writers::new(1);
    let mut worker = writers.idle_worker(pool);
    worker.attach_port(port_ix(0, 0), 0, Port::Xdp(Box::new(from)));
    worker.attach(Door::Tunnel, Port::Xdp(Box::new(to)));
    turns(go, tell, || worker.poll_all())?;
    let count = worker.counters();
    let (received, sent) = (count.received.get(), count.sent.get());
    if received != sent { Err(format!("{received} received, {sent} sent").into()) } else { Ok(()) }
}

/// Sends the frames of one VM.
struct Source {
    pool: FramePool<'static>,
    port: XdpPort<'static>,
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
        let (_nic, port) = open(lanes, "source", &format!("g{n}"), pool.region(), 0)?;
        Ok(Source { pool, port, _nic })
    }

    /// Sends, and waits until every frame lies in the forwarder's ring.
    fn send(&mut self, frames: usize) -> Res<()> {
        let meta = FrameMeta::of_received(HEADROOM as u16, LEN as u16, 0);
        for n in 1..=frames {
            let frame = self.pool.take().ok_or("no frame to send")?;
            self.port.transmit(frame, meta).map_err(|_| "the ring to the forwarder is full")?;
            if n % BURST == 0 || n == frames {
                while self.port.flush(&mut self.pool) {}
            }
        }
        let start = Instant::now();
        while self.pool.free() < self.pool.total() {
            self.port.reclaim(&mut self.pool);
            if start.elapsed() > LOST {
                return Err("frames to the forwarder did not leave".into());
            }
        }
        Ok(())
    }
}
