//! `dvrctl doctor`.

use std::path::PathBuf;

use super::{Answer, DONE, Failure};
use crate::daemon::config::{Config, Interface, Workers};
use crate::daemon::doctor::{Needs, Subject, Use, Verdict, examine, finding, plan};
use crate::model::Cloud;

/// With `--strict`, warnings and no problem.
const WARNINGS: u8 = 1;
/// Problems; files that cannot be read are some too.
const PROBLEMS: u8 = 2;

const EXAMPLES: &str = "Examples:
  dvrctl doctor --config dvrd.toml --cloud cloud.toml
  dvrctl doctor --config dvrd.toml --strict --json
  dvrctl doctor --workers 4 eth1 eth2

It looks at the process (capabilities, limits, kernel, BPF, huge pages, cores) and, for each interface, at driver, link,
XDP, queues, MTU, offloads and RSS. What XDP mode there is it finds by taking the interface for a moment: a program that
leaves every packet to the kernel, and a socket on the first queue; some drivers stop and start the device for that
(--no-try looks only). An interface that another program holds is never tried: it says which program, and whose.

  warning  it works, at a cost
  problem  dvrd does not start with it, does not take the interface, or loses packets for it

Exit status:
  0  no problem
  1  with --strict: warnings, and no problem
  2  problems, wrong usage, or a file that cannot be read

dvrd looks at the same things when it starts, refuses to with what stops it, and warns of the rest.
Run it as dvrd runs: as the same user, in the same namespace, with the same limits.";

/// Say what of this machine and its interfaces dvrd has to work with, what is wrong, and what helps
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// This machine (dvrd.toml): its interfaces and workers
    #[arg(long, value_name = "FILE", required_unless_present = "interfaces")]
    config: Option<PathBuf>,
    /// The cloud: which ports are here, and the MTU of its networks
    #[arg(long, value_name = "FILE", requires = "config", conflicts_with = "interfaces")]
    cloud: Option<PathBuf>,
    /// Interfaces of this namespace, in place of a configuration
    #[arg(value_name = "IFACE", conflicts_with = "config")]
    interfaces: Vec<String>,
    /// Workers that each need a queue of them
    #[arg(long, value_name = "N", requires = "interfaces", value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: Option<u8>,
    /// Take no interface, not even for a moment
    #[arg(long)]
    no_try: bool,
    /// Exit status 1 for warnings
    #[arg(long)]
    strict: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let (subjects, needs) = match &args.config {
        Some(file) => configured(file, args.cloud.as_ref())?,
        None => named(&args.interfaces, args.workers.unwrap_or(1)),
    };
    let sections = examine(&subjects, &needs, !args.no_try);
    let worst = sections.iter().flat_map(|s| &s.findings).map(|f| f.verdict).max();
    let status = match worst {
        Some(Verdict::Problem) => PROBLEMS,
        Some(Verdict::Warning) if args.strict => WARNINGS,
        _ => DONE,
    };
    let out = if args.json { finding::json(&sections) } else { finding::text(&sections) };
    Ok(Answer { out, warnings: Vec::new(), status })
}

fn configured(file: &std::path::Path, cloud: Option<&PathBuf>) -> Result<(Vec<Subject>, Needs), Failure> {
    let config = Config::read(file)?;
    let cloud = cloud.map(|file| Cloud::load(file)).transpose()?;
    cloud.as_ref().map_or(Ok(()), |cloud| config.check(cloud))?;
    Ok((plan::subjects(&config, cloud.as_ref()), Needs::of(&config, cloud.as_ref())))
}

fn named(interfaces: &[String], workers: u8) -> (Vec<Subject>, Needs) {
    let of =
        |name: &String| Subject::new(&Interface { name: name.clone(), netns: None }, Use::Any, workers.into(), None);
    let subjects: Vec<Subject> = interfaces.iter().map(of).collect();
    let workers = Workers { count: workers, ..Workers::default() };
    let needs = Needs { workers, interfaces: subjects.len(), ports: 0, namespaces: false };
    (subjects, needs)
}
