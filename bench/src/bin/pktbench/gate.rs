//! The gate on ticks: that forwarding computes and does not wait.
//!
//! How many ticks a frame takes depends on the machine; how many instructions, on the code alone (`icount`, which has a gate of
//! its own). Their quotient is between both: code that misses its cache lines, or stalls on a store it just made, takes few
//! instructions a tick on any machine. Noise only ever adds ticks, so that the least of several windows counts.

use crate::{Options, run};
use bench::frames::Case;
use bench::instructions::Stored;
use clap::Parser;

/// Fewer instructions a tick of the TSC fail. Measured: 5 to 5.7.
const LEAST_PER_TICK: f64 = 3.0;
/// A case that fails is measured so often before it does.
const TRIES: usize = 3;
/// Of a cache that holds all, and of one that does not.
const FLOWS: [&str; 2] = ["1000", "100000"];

/// All cases of the baseline; prints a table. `false`: one takes too many ticks for its instructions.
pub fn gate() -> Result<bool, String> {
    let stored = Stored::read()?;
    println!(
        "{:<8} {:>7} {:>13} {:>17} {:>11} {:>7}",
        "case", "flows", "instructions", "ticks over floor", "a tick", "least"
    );
    let mut good = true;
    for (case, flows) in FLOWS.into_iter().flat_map(|flows| Case::ALL.map(|case| (case, flows))) {
        let instructions = stored.of(case.name())?;
        let ticks = least(case, flows, instructions / LEAST_PER_TICK)?;
        let (per_tick, name) = (instructions / ticks, case.name());
        let verdict = if per_tick < LEAST_PER_TICK { "waits too much" } else { "" };
        println!(
            "{name:<8} {flows:>7} {instructions:>13.1} {ticks:>17.1} {per_tick:>11.2} {LEAST_PER_TICK:>7.1} {verdict}"
        );
        good &= per_tick >= LEAST_PER_TICK;
    }
    if !good {
        println!(
            "Fewer instructions a tick than {LEAST_PER_TICK}: look for cache misses (bench/LOG.md says how), or for a busy neighbour."
        );
    }
    Ok(good)
}

/// Ticks over the floor; measured again while they are over `limit`.
fn least(case: Case, flows: &str, limit: f64) -> Result<f64, String> {
    let args = ["pktbench", "--case", case.name(), "--flows", flows, "--secs", "0.1", "--warm", "0.2", "--reps", "7"];
    let o = Options::try_parse_from(args).map_err(|e| e.to_string())?;
    let mut ticks = f64::MAX;
    for _ in 0..TRIES {
        let line = run(&o)?;
        let field = |name: &str| line[name].as_f64().ok_or(format!("no number: {line}"));
        ticks = ticks.min(field("cpp_oncpu_min")? - field("floor_min")?);
        if ticks <= limit {
            break;
        }
    }
    Ok(ticks)
}
