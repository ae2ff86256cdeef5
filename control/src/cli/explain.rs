//! `dvrctl explain`.

use super::{Answer, DONE, Failure};
use crate::explain::page::{self, Json, Topic};
use crate::explain::reasons::nearest;

const EXAMPLES: &str = "Examples:
  dvrctl explain
  dvrctl explain no_route
  dvrctl explain no_route --json

The same as a page: docs/drops.md.";

/// Explain a drop reason or counter: what it means, what it mostly comes from, what to look at
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Its name, as counters, traces and captures have it; none lists all
    #[arg(value_name = "REASON")]
    reason: Option<String>,
    /// Print one JSON object, or a list of all
    #[arg(long)]
    json: bool,
    /// Print docs/drops.md
    #[arg(long, conflicts_with_all = ["reason", "json"])]
    markdown: bool,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let json = |e: serde_json::Error| Failure::new(e.to_string());
    let out = match (&args.reason, args.json) {
        _ if args.markdown => page::markdown(),
        (None, false) => page::list(),
        (None, true) => {
            let all: Vec<Json> = Topic::all().into_iter().map(Topic::json).collect();
            serde_json::to_string_pretty(&all).map_err(json)? + "\n"
        }
        (Some(name), as_json) => {
            let topic = Topic::of(name).ok_or_else(|| unknown(name))?;
            if as_json { serde_json::to_string_pretty(&topic.json()).map_err(json)? + "\n" } else { topic.text() }
        }
    };
    Ok(Answer { out, warnings: Vec::new(), status: DONE })
}

fn unknown(name: &str) -> Failure {
    let near = match nearest(name).as_slice() {
        [] => String::new(),
        [one] => format!("did you mean {one}? "),
        [some @ .., last] => format!("did you mean {} or {last}? ", some.join(", ")),
    };
    Failure::new(format!("there is no drop reason or counter {name:?}; {near}\"dvrctl explain\" lists all of them"))
}
