//! `dvrd` beside the kernel doing the same job: two compute hosts on this machine, the same instances, the same load, in turn.
//!
//! `hosts [--quick] [--rounds N] [--seconds S] [--rate PPS] [--port-io KIND] [--json FILE]`. Needs root, iproute2, iptables and
//! iperf3, and `dvrd` and `dvrctl` beside this program; `bench/host.sh` builds all of it. What is counted stands in
//! bench/RESULTS.md, "Beside the kernel".

mod kernel;
mod load;
mod report;
mod world;

use clap::{Args, Parser, Subcommand};
use control::daemon::config::PortIo;
use control::lab::command::{Res, end_by_signal, go_on};
use report::{Bulk, Packets, Report, Row, Side};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use world::{Cost, Tools, WAYS, Way, World};

/// Packets lost at most, of a thousand: more, and the rate is halved for both.
const LOST: u64 = 10;
/// Times a run is tried that loses more.
const TRIES: usize = 3;
/// The rate is not made lower than this, packets a second.
const LEAST_RATE: u32 = 5_000;
/// Seconds in which a rate is tried.
const TRIAL: f64 = 0.5;
/// How long the sink waits for the first packet.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Parser)]
#[command(about = "dvrd beside the kernel doing the same job, per packet and per byte")]
struct Cli {
    #[command(subcommand)]
    end: Option<EndOfLoad>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Options {
    /// One round of a second each: does it work, and about what comes out
    #[arg(long)]
    quick: bool,
    /// How often everything is measured, in turn; the medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each load
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Packets a second; halved for both where one of them loses more than 1 %
    #[arg(long, default_value_t = 200_000)]
    rate: u32,
    /// By what dvrd takes the instances' interfaces
    #[arg(long, value_enum, default_value_t)]
    port_io: PortIo,
    /// Also writes all numbers to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The command the report names
    #[arg(long, value_name = "WORDS", default_value = "hosts")]
    command: String,
}

/// The load's two ends, which this program starts inside of namespaces.
#[derive(Subcommand)]
enum EndOfLoad {
    /// Sends UDP
    #[command(hide = true)]
    Send { to: String, rate: u32, seconds: f64 },
    /// Receives it
    #[command(hide = true)]
    Sink { port: u16 },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.end {
        Some(EndOfLoad::Send { to, rate, seconds }) => told(load::send(&to, rate, seconds)),
        Some(EndOfLoad::Sink { port }) => told(load::sink(port, PATIENCE)),
        None => compare(cli.options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("hosts: {}", why.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn told(end: std::io::Result<load::End>) -> Res<()> {
    let end = end.map_err(|e| e.to_string())?;
    println!("{}", serde_json::to_string(&end).map_err(|e| e.to_string())?);
    Ok(())
}

fn compare(mut o: Options) -> Res<()> {
    end_by_signal()?;
    if o.quick {
        (o.rounds, o.seconds) = (1, 1);
    }
    let beside = |name: &str| std::env::current_exe().map(|me| me.with_file_name(name)).map_err(|e| e.to_string());
    let tools = Tools { dvrd: beside("dvrd")?, dvrctl: beside("dvrctl")?, port_io: o.port_io };
    let kernel = World::kernel(&tools)?;
    let dvrd = World::dvrd(&tools)?;
    let worlds = Worlds { wire: World::wire(&dvrd)?, dvrd, kernel };
    let mut rows: Vec<Row> = WAYS.map(Row::of).into();
    let rates = WAYS.into_iter().map(|way| worlds.rate(way, o.rate)).collect::<Res<Vec<_>>>()?;
    for round in 0..o.rounds {
        for (row, rate) in rows.iter_mut().zip(&rates) {
            eprint!("\rround {} of {}: {:<24}", round + 1, o.rounds, row.way.name);
            worlds.measure(row, *rate, o.seconds)?;
        }
    }
    eprint!("\r{:48}\r", "");
    let idle = worlds.dvrd.idle()?;
    let report = Report { rows, idle, banner: worlds.dvrd.banner(), command: o.command, port_io: o.port_io.word() };
    worlds.dvrd.stop()?.iter().try_for_each(sound)?;
    print!("{}", report.markdown());
    match o.json {
        Some(file) => std::fs::write(&file, report.json() + "\n").map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    }
}

/// A `dvrd` whose books do not balance has not done the job.
fn sound(stopped: &control::lab::daemon::Stopped) -> Res<()> {
    let balance = control::lab::daemon::Balance::of(&stopped.totals);
    if balance.even && balance.all_home { Ok(()) } else { Err(format!("{}; {}", balance.books, balance.buffers)) }
}

/// One run; again, if it lost packets because the machine did something else meanwhile. The last one counts as it is.
fn settled(world: &World, way: Way, rate: u32, seconds: f64) -> Res<(u64, u64, Cost)> {
    let mut run = world.udp(way, rate, seconds)?;
    for _ in 1..TRIES {
        if !lossy(run.0, run.1) {
            break;
        }
        run = world.udp(way, rate, seconds)?;
    }
    Ok(run)
}

fn lossy(sent: u64, received: u64) -> bool {
    sent.saturating_sub(received) * 1000 > sent * LOST
}

struct Worlds {
    wire: World,
    dvrd: World,
    kernel: World,
}

impl Worlds {
    /// The rate both can take on a way.
    fn rate(&self, way: Way, wanted: u32) -> Res<u32> {
        let mut rate = wanted;
        while rate / 2 >= LEAST_RATE {
            let lost = |world: &World| -> Res<bool> {
                let (sent, received, _) = world.udp(way, rate, TRIAL)?;
                Ok(lossy(sent, received))
            };
            if !lost(&self.dvrd)? && !lost(&self.kernel)? {
                break;
            }
            rate /= 2;
        }
        Ok(rate)
    }

    /// Once each, in turn: wire, dvrd, kernel.
    fn measure(&self, row: &mut Row, rate: u32, seconds: u64) -> Res<()> {
        let per = |cost: Cost, n: u64| cost.all() as f64 / (n.max(1)) as f64;
        let mut wire = 0.0;
        for (side, world) in [(Side::Wire, &self.wire), (Side::Dvrd, &self.dvrd), (Side::Kernel, &self.kernel)] {
            go_on()?;
            let (sent, received, cost) = settled(world, row.way, rate, seconds as f64)?;
            let ns = per(cost, received);
            if side == Side::Wire {
                wire = ns;
            }
            row.packets(side, Packets { rate, sent, received, ns, over_wire: ns - wire });
        }
        for (side, world) in [(Side::Wire, &self.wire), (Side::Dvrd, &self.dvrd), (Side::Kernel, &self.kernel)] {
            go_on()?;
            let (bytes, mbit, cost) = world.tcp(row.way, seconds)?;
            row.bulk(side, Bulk { mbit, seconds_per_gb: cost.all() as f64 / bytes.max(1) as f64 });
        }
        Ok(())
    }
}
