//! `dvrctl lab`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use serde::Serialize;

use super::{Answer, DONE, Failure};
use crate::daemon::config::PortIo;
use crate::lab::checks::{Check, Checks, WIDTH, say};
use crate::lab::command::end_by_signal;
use crate::lab::state::{DEFAULT, Peer, valid_name};
use crate::lab::{down, test, tools, up};

/// A line of the test failed, or what was taken down was not as it should be.
const FAILED: u8 = 1;

const HELP: &str = "Examples:
  dvrctl lab up && dvrctl lab test; dvrctl lab down
  dvrctl lab up --peer kernel && dvrctl lab test --seconds 2; dvrctl lab down

Needs root: it makes network namespaces, called dvrlab-..., and touches nothing outside of them. Its files are in /run/dvrlab.

Exit status:
  0  done
  1  test: a line failed; down: a dvrd had ended before, or its books are wrong
  2  it could not be done; of an up that fails nothing is left";

/// A cloud on this machine, in network namespaces: make it, try it, take it down (root)
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make two compute hosts, a network host, VMs, a router and a client outside, start dvrd on each host, leave it running
    Up(Up),
    /// Ping, TCP, UDP, ARP, traceroute by every way of the lab that is up, and say what came back
    Test(Test),
    /// End the processes that up started, delete the namespaces it made
    Down(Which),
}

#[derive(clap::Args)]
struct Which {
    /// Which lab: a second one beside the first needs another name, which begins with dvrlab
    #[arg(long, value_name = "NAME", default_value = DEFAULT, value_parser = valid_name)]
    name: String,
}

#[derive(clap::Args)]
struct Up {
    #[command(flatten)]
    which: Which,
    /// Who does the work of host H2
    #[arg(long, value_enum, default_value = "dvrd")]
    peer: Peer,
    /// By what dvrd takes the instances' interfaces (port_io of dvrd.toml)
    #[arg(long, value_enum, default_value = "auto")]
    port_io: PortIo,
    /// The dvrd to start; default: the one beside this dvrctl
    #[arg(long, value_name = "FILE")]
    dvrd: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Test {
    #[command(flatten)]
    which: Which,
    /// Seconds that each load of the two main ways lasts; the others last 1 s
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Print one JSON object at the end, and nothing before
    #[arg(long)]
    json: bool,
}

/// What `test --json` prints.
#[derive(Serialize)]
struct Report<'r> {
    lab: &'r str,
    seconds: u64,
    ok: bool,
    checks: &'r [Check],
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new("lab: network namespaces can be made by root only: sudo dvrctl lab ..."));
    }
    end_by_signal().map_err(Failure::new)?;
    let done = match &args.command {
        Command::Up(args) => run_up(args),
        Command::Test(args) => run_test(args),
        Command::Down(which) => run_down(which),
    };
    done.map_err(|why| Failure::new(format!("lab: {}", why.trim_end())))
}

fn run_up(args: &Up) -> Result<Answer, String> {
    let mut answer = Answer::default();
    if let Some(why) = tools::missing(&tools::MAKING) {
        return Err(why);
    }
    if let Some(why) = tools::missing(&tools::TRAFFIC) {
        answer.warnings.push(format!("lab test will not work: {why}"));
    }
    let dvrctl = this_program()?;
    let dvrd = args.dvrd.clone().unwrap_or_else(|| dvrctl.with_file_name("dvrd"));
    // A daemon's namespace is no other place, but the state file is read by others.
    let dvrd = dvrd.canonicalize().map_err(|e| format!("{}: {e}: cargo build --release makes it", dvrd.display()))?;
    if cfg!(debug_assertions) {
        answer.warnings.push("this is a debug build, slow at forwarding: cargo build --release".to_owned());
    }
    let state = up::up(&args.which.name, args.peer, args.port_io, (&dvrd, &dvrctl))?;
    // As it was called: the lines to try are to be copied.
    let called = std::env::args().next().unwrap_or_else(|| "dvrctl".to_owned());
    answer.out = up::describe(&state, &called);
    Ok(answer)
}

fn run_test(args: &Test) -> Result<Answer, String> {
    if let Some(why) = tools::missing(&tools::TRAFFIC) {
        return Err(why);
    }
    let mut checks = if args.json { Checks::quiet() } else { Checks::default() };
    let start = Instant::now();
    if !args.json {
        say(&format!("  {:<8}{:<WIDTH$} what came back", "result", "what was tried"));
    }
    test::test(&args.which.name, &this_program()?, args.seconds, &mut checks)?;
    let ok = checks.bad().next().is_none();
    let mut answer = Answer { status: if ok { DONE } else { FAILED }, ..Answer::default() };
    match args.json {
        true => {
            let report = Report { lab: &args.which.name, seconds: args.seconds, ok, checks: checks.all() };
            answer.out = serde_json::to_string_pretty(&report).map_err(|e| e.to_string())? + "\n";
        }
        false => test::summary(&checks, start.elapsed()),
    }
    Ok(answer)
}

fn run_down(which: &Which) -> Result<Answer, String> {
    let report = down::down(&which.name)?;
    let status = if report.problems.is_empty() { DONE } else { FAILED };
    let out = report.lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(Answer { out, warnings: report.problems, status })
}

fn this_program() -> Result<PathBuf, String> {
    let path = std::env::current_exe().map_err(|e| format!("this program's own file: {e}"))?;
    // Built anew meanwhile, the kernel says so behind the name: the new one does as well.
    let text = path.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
    Ok(Path::new(&text).to_owned())
}
