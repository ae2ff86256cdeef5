//! The whole pipeline without a NIC, on the frames and the topology of `bench/baseline`: what a frame costs, in on-CPU
//! ticks of the TSC, and whether it leaves as it must. One JSON line with the baseline's fields.
//!
//! Each frame is copied into a fresh buffer of a recycled pool, as `net_pcap,infinite_rx=1` does for its peers; `floor` is
//! the same copying with nothing behind it, measured in the same run, window by window in turn. What comes out is
//! compared with what the topology says, byte for byte, between the windows; a frame that is wrong, dropped, copied or
//! missing makes the run fail (exit 1).

#[path = "../../../../dataplane/tests/alloc/mod.rs"]
mod alloc;
mod check;
mod frames;
mod gate;
mod rig;
mod updates;

use bench::frames::{Case, Plan};
use bench::host::{Host, Setup};
use bench::load::{Feed, cpu_model, tsc_hz};
use clap::Parser;
use dataplane::burst::{BURST, Door};
use dataplane::handoff::{RING, mesh};
use dataplane::stage::Stage;
use dataplane::umem::Umem;
use dataplane::worker::Worker;
use rig::{Measured, Rig, Team, Timing, Window};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The pipeline without a NIC, on the frames and the topology of bench/baseline. Prints one JSON line.
#[derive(Debug, Parser)]
#[command(name = "pktbench")]
struct Options {
    /// decap l2out l2in route fipout fipin; local (VM to VM of another network, one worker's ports), handoff (to a port
    /// of another worker)
    #[arg(long, default_value = "route", value_parser = case)]
    case: Case,
    /// Different 5-tuples
    #[arg(long, default_value_t = 1000)]
    flows: u32,
    /// Bytes of the inner frame with FCS, or imix
    #[arg(long, default_value = "64")]
    size: String,
    /// Captures that gen_pcap.py wrote, `CASE.p<N>.pcap`; without, it is called
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Frames of a burst
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=BURST as i64))]
    burst: u16,
    /// Sources a burst is filled from, each with its share: VMs, where they are the sources
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=BURST as i64))]
    spread: u16,
    /// Workers, on as many cores
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
    /// Core of the first worker
    #[arg(long, default_value_t = 1)]
    core: usize,
    /// Core of the thread that updates rows
    #[arg(long, default_value_t = 0)]
    aux: usize,
    /// Seconds of a window
    #[arg(long, default_value_t = 1.0)]
    secs: f64,
    /// Windows of each kind
    #[arg(long, default_value_t = 5)]
    reps: usize,
    /// Seconds of warm-up
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// Further remote VMs, a forwarding and a neighbour row each; frames are addressed to them at random (l2out, l2in,
    /// route). The topology itself has 1000
    #[arg(long, default_value_t = 0)]
    rows: u32,
    /// Row updates a second beside the forwarding
    #[arg(long, default_value_t = 0)]
    updates: u64,
    /// Each worker has tables of its own
    #[arg(long)]
    own_tables: bool,
    /// Tables only as large as their rows need, not as dvrd makes them
    #[arg(long)]
    small_tables: bool,
    /// Measure all cases of the baseline and fail if one takes too many ticks for its instructions
    #[arg(long, exclusive = true)]
    gate: bool,
    /// Words for the field `variant`, for instance what it was built for
    #[arg(long, default_value = "")]
    variant: String,
}

fn case(name: &str) -> Result<Case, String> {
    Case::named(name).ok_or_else(|| "no such case".to_owned())
}

fn main() -> ExitCode {
    let o = Options::parse();
    if o.gate {
        return match gate::gate() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(what) => {
                eprintln!("pktbench --gate: {what}");
                ExitCode::FAILURE
            }
        };
    }
    match run(&o) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("pktbench {} --flows {} --size {}: {what}", o.case.name(), o.flows, o.size);
            ExitCode::FAILURE
        }
    }
}

fn run(o: &Options) -> Result<Value, String> {
    if o.flows == 0 || o.reps == 0 {
        return Err("at least one flow and one window".to_owned());
    }
    if o.rows != 0 && !matches!(o.case, Case::L2Out | Case::L2In | Case::Route) {
        return Err("--rows goes with l2out, l2in and route".to_owned());
    }
    let hz = tsc_hz().ok_or("/proc/cpuinfo tells no bogomips: how fast is the TSC?")?;
    let (workers, plan) = (usize::from(o.workers), Plan { case: o.case, more: o.rows });
    let setup = Setup { workers, more: o.rows, as_dvrd: !o.small_tables };
    let hosts: Result<Vec<Host>, String> =
        (0..if o.own_tables { workers } else { 1 }).map(|_| Host::new(setup)).collect();
    let mut hosts = hosts?;
    let frames = frames::load(o, plan)?;
    let sources = frames::share(frames, &hosts[0], workers);
    let mut umem = Umem::new(RING * workers); // no more of a worker's frames than a ring takes
    let team_workers = start(&hosts, &mut umem, workers)?;
    let team = Team::new(&team_workers);
    let timing = Timing {
        burst: usize::from(o.burst),
        spread: usize::from(o.spread.min(o.burst)),
        warm: Duration::from_secs_f64(o.warm),
        window: Duration::from_secs_f64(o.secs),
        reps: o.reps,
    };
    let mut rigs = Vec::new();
    for (id, (worker, sources)) in team_workers.into_iter().zip(sources).enumerate() {
        let outs = o.case.outs().into_iter().filter(|d| match d {
            Door::Port(ix) => usize::from(hosts[0].owner(*ix).0) == id,
            _ => true,
        });
        let feed = Feed::new(sources, outs.collect());
        if feed.frames() == 0 {
            return Err(format!("worker {id} has no frames: more flows, or fewer workers"));
        }
        rigs.push(Rig::new(id, &team, worker, feed, plan, timing));
    }
    let stop = AtomicBool::new(false);
    let (measured, updates) = std::thread::scope(|scope| {
        let threads: Vec<_> = (rigs.into_iter().enumerate())
            .map(|(id, rig)| {
                scope.spawn(move || {
                    pin(o.core + id);
                    rig.run()
                })
            })
            .collect();
        let control = (o.updates != 0).then(|| {
            let (host, stop) = (&mut hosts[0], &stop);
            scope.spawn(move || {
                pin(o.aux);
                updates::run(host, o.updates, stop)
            })
        });
        let measured: Vec<Option<Measured>> = threads.into_iter().map(|t| t.join().ok()).collect();
        stop.store(true, Ordering::Relaxed);
        (measured, control.and_then(|c| c.join().ok()))
    });
    let measured: Option<Vec<Measured>> = measured.into_iter().collect();
    let measured = measured.ok_or("a worker panicked")?;
    judge(&team, &measured)?;
    Ok(report(o, hz, &team, &measured, updates))
}

/// Pins this thread; a core past the last one is the first again.
fn pin(core: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(core) = cores.get(core % cores.len().max(1)) {
        core_affinity::set_for_current(*core);
    }
}

fn start<'u>(hosts: &[Host], umem: &'u mut Umem, workers: usize) -> Result<Vec<Worker<'u>>, String> {
    let pools = umem.pools(workers);
    let links = mesh(&pools, RING).map_err(|e| e.to_string())?;
    let each = pools.into_iter().zip(links).enumerate().map(|(id, (pool, links))| {
        let mut worker = hosts.get(id).unwrap_or(&hosts[0]).worker(pool);
        worker.connect(links);
        worker.idle();
        worker
    });
    Ok(each.collect())
}

/// A fast run that drops, copies, loses or spoils a frame is no result.
fn judge(team: &Team, measured: &[Measured]) -> Result<(), String> {
    if let Some(first) = team.errors().first() {
        return Err(format!("{} wrong, first: {first}", team.errors().len()));
    }
    let sum = |of: fn(&dataplane::counters::WorkerCounters) -> u64| team.counters().iter().map(|c| of(c)).sum::<u64>();
    let (received, sent) = (sum(|c| c.received.get()), sum(|c| c.sent.get()));
    let other = sum(|c| c.dropped.get() + c.copied.get() + c.generated.get() + c.consumed.get());
    if received != sent || other != 0 || received == 0 {
        let books: Vec<_> = team.counters().iter().map(|c| c.snapshot()).collect();
        return Err(format!("{received} frames received, {sent} sent, {other} otherwise ended or made: {books:?}"));
    }
    let allocs: u64 = measured.iter().flat_map(|m| &m.whole).map(|w| w.allocs).sum();
    if allocs != 0 {
        return Err(format!("{allocs} allocations or frees in the measured windows; there must be none"));
    }
    Ok(())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    match all.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => all[n / 2],
        n => (all[n / 2 - 1] + all[n / 2]) / 2.0,
    }
}

/// One kind of window, of all workers together: frames a second, TSC ticks a frame, part of the time on their cores.
struct Row {
    pps: Vec<f64>,
    ticks: Vec<f64>,
    on_cpu: Vec<f64>,
}

fn row(measured: &[Measured], hz: f64, of: fn(&Measured) -> &Vec<Window>) -> Row {
    let mut row = Row { pps: Vec::new(), ticks: Vec::new(), on_cpu: Vec::new() };
    for n in 0..measured.iter().map(|m| of(m).len()).min().unwrap_or(0) {
        let windows: Vec<Window> = measured.iter().map(|m| of(m)[n]).collect();
        let packets: u64 = windows.iter().map(|w| w.packets).sum();
        let cpu: f64 = windows.iter().map(|w| w.cpu.as_secs_f64()).sum();
        row.pps.push(windows.iter().map(|w| w.packets as f64 / w.wall.as_secs_f64()).sum());
        row.ticks.push(cpu * hz / packets.max(1) as f64);
        let least = windows.iter().map(|w| w.cpu.as_secs_f64() / w.wall.as_secs_f64()).fold(f64::MAX, f64::min);
        row.on_cpu.push(least);
    }
    row
}

fn report(o: &Options, hz: f64, team: &Team, measured: &[Measured], updates: Option<f64>) -> Value {
    let (whole, floor) = (row(measured, hz, |m| &m.whole), row(measured, hz, |m| &m.floor));
    let least = |all: &[f64]| all.iter().copied().fold(f64::MAX, f64::min);
    let round = |v: f64, digits: i32| (v * 10f64.powi(digits)).round() / 10f64.powi(digits);
    let (cpp, io) = (median(whole.ticks.clone()), median(floor.ticks.clone()));
    let sum = |of: fn(&dataplane::counters::WorkerCounters) -> u64| team.counters().iter().map(|c| of(c)).sum::<u64>();
    let (received, sent) = (sum(|c| c.received.get()), sum(|c| c.sent.get()));
    let mut bursts: Vec<u32> = measured.iter().flat_map(|m| m.bursts.iter().copied()).collect();
    bursts.sort_unstable();
    let stages = Stage::ALL.iter().filter_map(|stage| {
        let all = measured.iter().flat_map(|m| &m.timed.1).filter(|(s, _)| s == stage);
        let (ns, packets) = (all.map(|(_, ns)| ns).sum::<u64>(), measured.iter().map(|m| m.timed.0).sum::<u64>());
        let ticks = ns as f64 / 1e9 * hz / packets.max(1) as f64;
        (ns != 0).then(|| (stage.name().to_owned(), json!(round(ticks, 1))))
    });
    let part = |p: f64| bursts.get(((bursts.len() as f64 * p) as usize).min(bursts.len().saturating_sub(1))).copied();
    json!({
        "bench": "dvrd", "io": "memory", "case": o.case.name(), "flows": o.flows, "size": o.size, "variant": o.variant,
        "mpps": round(median(whole.pps.clone()) / 1e6, 3),
        "mpps_all": whole.pps.iter().map(|p| round(p / 1e6, 3)).collect::<Vec<_>>(),
        "cpp_oncpu": round(cpp, 1), "cpp_oncpu_min": round(least(&whole.ticks), 1),
        "ns": round(cpp / hz * 1e9, 1), "oncpu": round(median(whole.on_cpu), 3),
        "floor": round(io, 1), "floor_min": round(least(&floor.ticks), 1), "over_floor": round(cpp - io, 1),
        "hit_rate": sent as f64 / received.max(1) as f64,
        "drops": sum(|c| c.dropped.get()),
        "allocations": measured.iter().flat_map(|m| &m.whole).map(|w| w.allocs).sum::<u64>(),
        "burst": o.burst, "spread": o.spread, "burst_p50_ns": part(0.5), "burst_p999_ns": part(0.999),
        "stages": stages.collect::<Map<_, _>>(),
        "workers": o.workers, "tables": if o.own_tables { "own" } else { "shared" }, "rows": o.rows,
        "updates": updates.map(|u| u.round()),
        "frames": received, "checked": measured.iter().map(|m| m.checked).sum::<u64>(),
        "windows": whole.ticks.len(), "disturbed": measured.iter().map(|m| m.disturbed).max(),
        "tsc_hz": hz, "cpu": cpu_model(), "built_for": built_for(),
    })
}

/// What the compiler was allowed to use.
fn built_for() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "x86-64-v4"
    } else if cfg!(target_feature = "avx2") {
        "x86-64-v3"
    } else {
        "x86-64"
    }
}

#[cfg(test)]
mod tests;
