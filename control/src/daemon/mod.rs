//! `dvrd`: the dataplane on the interfaces of a host.
//!
//! [`mod@run`] is the order of things; [`config`] is `dvrd.toml`, [`net`] the kernel's namespaces, links and neighbours,
//! [`nic`] an interface with everything bound, [`doctor`] what is wrong with this machine, [`reload`] when its files have
//! changed, `ports` the interfaces of the VMs, `model` what is in the tables, `gates` what of physical networks' frames is dvrd's,
//! `threads` the workers.

mod banner;
pub mod config;
pub mod doctor;
mod gates;
mod model;
pub mod net;
pub mod nic;
pub mod numa;
mod physical;
mod ports;
mod post;
pub mod reload;
pub mod run;
mod threads;
mod totals;
mod trunk;
mod uplink;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::books::Totals;
use crate::model::{Cloud, Problems};
use crate::report;
use config::Config;
use reload::Files;
use run::{Says, Signals, run};
use totals::TotalsFile;

/// Wrong usage, bad input, or it could not start; nothing is left behind.
const FAILED: u8 = 2;
/// It ran, and ended by a defect or without its books in their file.
const DEFECT: u8 = 1;

#[derive(Parser)]
#[command(
    name = "dvrd",
    version,
    about = "Forwards packets of a cloud host: bridges and distributed routers in one process",
    after_help = "Signals:
  SIGTERM, SIGINT  stop: XDP programs off, checksum offloads restored, books told
  SIGUSR1          tell the books now
  SIGHUP           read both files again now; without, that is done half a second after one has changed

Of the files, the cloud and [[ports]] are taken over while dvrd runs. What is not ([workers], [underlay],
[[physical_networks]], host) is named in a warning, and stays as it was until dvrd is restarted. Of files with a problem
nothing is taken over; the log has file, line and key of each.

Exit status:
  0  stopped by a signal; with --check: no problem
  1  ended by a defect, or the last books could not be written to --totals
  2  wrong usage, bad input, or it could not start; nothing is left behind

Needs root, or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON, CAP_IPC_LOCK and CAP_SYS_ADMIN (for other network namespaces).
An example of dvrd.toml with every key is docs/dvrd.toml."
)]
struct Args {
    /// This machine: its host name in the cloud, underlay, workers, interfaces of its ports (dvrd.toml)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The cloud: TOML if the file ends in .toml, otherwise JSON
    #[arg(long, value_name = "FILE")]
    cloud: PathBuf,
    /// Also write the books to this file, as JSON, whenever they are told; tried at the start
    ///
    /// A regular file is replaced at once, by way of FILE.new beside it; a device, a pipe or a link is written to.
    #[arg(long, value_name = "FILE")]
    totals: Option<PathBuf>,
    /// Check both files, and whether this host's rows fit the tables, and end: no interface is looked at (dvrctl doctor does)
    #[arg(long)]
    check: bool,
}

/// Runs `dvrd` with the arguments of the process.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_ansi(terminal)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .log_internal_errors(false) // it would say so on standard error, and panic if that is what is broken
        .init();
    match start(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { lines, status }) => {
            let text: String = lines.iter().map(|line| format!("dvrd: {line}\n")).collect();
            // Nobody may be there to read it; the exit status says enough.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            ExitCode::from(status)
        }
    }
}

/// Why it did not start, or ended, in lines for standard error.
struct Failure {
    lines: Vec<String>,
    status: u8,
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let lines = problems.iter().map(ToString::to_string);
        Failure { lines: lines.chain(["not started".to_owned()]).collect(), status: FAILED }
    }
}

fn start(args: &Args) -> Result<(), Failure> {
    let files = Files::new(&args.config, &args.cloud);
    let (config, cloud) = files.read()?;
    if args.check {
        return check(args, &config, &cloud);
    }
    let failed = |line: String, status| Failure { lines: vec![line], status };
    let signals = Signals::default();
    for (signal, flag) in [
        (signal_hook::consts::SIGTERM, &signals.stop),
        (signal_hook::consts::SIGINT, &signals.stop),
        (signal_hook::consts::SIGUSR1, &signals.books),
        (signal_hook::consts::SIGHUP, &signals.reload),
    ] {
        signal_hook::flag::register(signal, flag.clone())
            .map_err(|e| failed(format!("signal {signal}: {e}"), FAILED))?;
    }
    let totals = args.totals.clone().map(TotalsFile::new);
    if let Some(file) = &totals {
        file.try_out().map_err(|e| failed(format!("--totals {file}: cannot be written: {e}; not started"), FAILED))?;
    }
    more_files();
    let mut says = Terminal { host: config.host.clone(), totals, last: Ok(()) };
    run(&config, &cloud, Some(files), &signals, &mut says).map_err(|e| {
        let status = if matches!(e, run::RunError::WorkerDied(_)) { DEFECT } else { FAILED };
        Failure { lines: e.to_string().lines().map(str::to_owned).collect(), status }
    })?;
    says.last.map_err(|error| failed(error, DEFECT))
}

/// What can be said of the files without looking at the machine.
fn check(args: &Args, config: &Config, cloud: &Cloud) -> Result<(), Failure> {
    let mut model = model::Model::new(cloud, &config.host, config.workers.count.into());
    let fits = match model.vtep() {
        Some(_) => model.store().map_err(run::RunError::Store),
        None => Err(run::RunError::NoVtep(config.host.clone())),
    };
    fits.map_err(|e| Failure { lines: vec![e.to_string()], status: FAILED })?;
    print(&format!("{}, {}: no problems\n", args.config.display(), args.cloud.display()));
    Ok(())
}

/// As many open files as this process may have: each port needs about five, and the usual limit is 1024.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!("the limit on open files stays as it is: {error}");
    }
}

/// Standard output, and the file for the books.
struct Terminal {
    host: String,
    totals: Option<TotalsFile>,
    /// How the last writing of that file went.
    last: Result<(), String>,
}

impl Says for Terminal {
    fn ready(&mut self, banner: &str) {
        print(&format!("{banner}dvrd: ready\n"));
    }

    fn books(&mut self, totals: &Totals, frames: Option<(usize, usize)>) {
        let mut s = format!("\nHost {}: {} received\n\n", self.host, report::count(totals.received, "frame"));
        report::totals_text(&mut s, totals);
        if let Some((free, total)) = frames {
            let lost = if free == total { "" } else { ": some were lost, a defect of dvrd, please report it" };
            s.push_str(&format!("\nPacket buffers: {free} of {total} are free{lost}\n"));
        }
        print(&s);
        let Some(file) = &self.totals else { return };
        let written = file.write(&report::totals_json(totals, frames));
        self.last = written.map_err(|error| format!("--totals {file}: cannot be written: {error}"));
        if let Err(error) = &self.last {
            tracing::error!("{error}");
        }
    }
}

fn print(text: &str) {
    use std::io::Write;
    // Somebody who closed the pipe has read enough: the packets go on.
    let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
}
