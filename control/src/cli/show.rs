//! `dvrctl show`.

use clap::ValueEnum;

use super::input::HostArgs;
use super::{Answer, DONE, Failure};
use crate::show::{self, What};

const EXAMPLES: &str = "Examples:
  dvrctl show --cloud cloud.json --host compute1 br-tun
  dvrctl show --cloud docs/seed-flows/cloud.json --host compute1 rules

Lines as ovs-ofctl and iproute2 write them, without counters and ages. Comments say what the numbers stand for and,
by the ids of docs/behaviour.md (D1 to D11), where dvrd does something else than the line says. dl_vlan and port
numbers are dvrd's own, given in the order of ids and names. IPv4 only. Which stage each table went to:
docs/neutron-map.md.";

/// Print the rows of one host as the flows, rules, routes and neighbours its Neutron agents would have made
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    host: HostArgs,
    /// What to print
    #[arg(value_name = "WHAT")]
    what: Word,
    /// Also flows Neutron got after the dumps of docs/seed-flows: ARP answers, checks of ports; br-int, br-tun
    #[arg(long)]
    all: bool,
    /// Print a JSON list of parts, each with its command and its flows or lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Word {
    /// ovs-ofctl dump-flows br-int
    BrInt,
    /// ovs-ofctl dump-flows br-tun
    BrTun,
    /// ip rule, in each router's namespace
    Rules,
    /// ip route, in each qrouter, fip and snat namespace
    Routes,
    /// ip neigh, in each router's namespace
    Neigh,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let cloud = args.host.load()?;
    let what = match args.what {
        Word::BrInt => What::BrInt,
        Word::BrTun => What::BrTun,
        Word::Rules => What::Rules,
        Word::Routes => What::Routes,
        Word::Neigh => What::Neigh,
    };
    if args.all && !matches!(what, What::BrInt | What::BrTun) {
        return Err(Failure::new("--all: adds flows to br-int and br-tun and nothing to the others; leave it out"));
    }
    let parts = show::show(&cloud, &args.host.host, what, args.all).unwrap_or_default();
    let out = match args.json {
        true => serde_json::to_string_pretty(&parts).map_err(|e| Failure::new(e.to_string()))? + "\n",
        false if parts.is_empty() => format!("# no router is on host {}\n", args.host.host),
        false => parts.iter().map(show::Part::text).collect::<Vec<_>>().join("\n"),
    };
    Ok(Answer { out, warnings: Vec::new(), status: DONE })
}
