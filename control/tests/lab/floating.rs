//! Floating IPs between instances and what is outside of the cloud.

use crate::base;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::cloud::outside::{CLIENT, floating_ip};
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, Stopped, books};
use crate::paths::checksums;
use crate::topology::Lab;
use crate::traffic::ping;
pub use ::control::lab::floating::{OTHERS, SNAT_HOST, first};
use ::control::lab::floating::{asked_for, between, inward, outward};
use std::time::Duration;

/// Seconds of each TCP run.
const SECONDS: u64 = 2;

/// Instances at H1 and H2; all but B1 have a floating IP.
const VMS: [&str; 4] = ["A1", "B1", "A2", "B2"];
const FLOATING: [&str; 3] = ["A1", "A2", "B2"];

/// Milliseconds until the first packet between two hosts that do not know each other's neighbours is answered, on a shared
/// machine.
const RESOLVED: f64 = 100.0;

/// `dvrd` on every host of a lab, with so many workers.
pub fn start(checks: &Checks, lab: &Lab, workers: usize) -> Res<Vec<Dvrd>> {
    // One is started inside of its host's namespace.
    let setup = |host| Setup { inside: host == 1, workers, ..Setup::default() };
    let all = (0..lab.hosts()).map(|host| Dvrd::start(lab, host, &setup(host))).collect::<Res<Vec<_>>>()?;
    all[0].banner(checks);
    Ok(all)
}

/// Stops them and looks at their books. What each may drop is in `expected`.
pub fn stop(checks: &mut Checks, all: Vec<Dvrd>, expected: &[(&str, &str)]) -> Res<Vec<Stopped>> {
    let mut stopped = Vec::new();
    for (host, dvrd) in all.into_iter().enumerate() {
        let one = dvrd.stop()?;
        books(checks, host, &one, expected);
        stopped.push(one);
    }
    Ok(stopped)
}

pub fn floating_ips(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 2, &VMS, &FLOATING)?;
    let all = start(checks, &lab, 2)?;
    let [a1, a2, b2] = FLOATING.map(Name);
    for vm in [a1, a2, b2] {
        inward(checks, &lab, vm, SECONDS)?;
        outward(checks, &lab, vm, SECONDS)?;
    }
    for (from, to) in [(a1, b2), (a2, a1)] {
        resolved(checks, &lab, from, to)?;
        between(checks, &lab, from, to, SECONDS)?;
    }
    for vm in [a1, a2, b2] {
        asked_for(checks, &lab, vm)?;
    }
    checksums(checks, &lab)?;
    // Without a floating IP the way out is by SNAT, which is not built.
    let no = ping(lab.vm("B1"), CLIENT, 3, 56)?;
    checks.check("B1, without a floating IP, gets no answer from outside", &no, no.received == 0);
    let full = "a bounded queue was full: TCP tries for more than there is";
    let named = [
        OTHERS,
        ("snat_no_state", "B1 has no floating IP, and SNAT is not built"),
        ("tx_full", full),
        ("handoff_full", full),
    ];
    let stopped = stop(checks, all, &named)?;
    let snat = stopped.iter().map(|s| s.totals["drops"]["snat_no_state"].as_u64().unwrap_or(0));
    let snat: Vec<u64> = snat.collect();
    checks.check("what B1 sent outside ended by name", format!("{snat:?}"), snat.iter().sum::<u64>() == 3);
    Ok(())
}

/// Nothing was said before: two ARP questions, one at each end, before the first answer.
fn resolved(checks: &mut Checks, lab: &Lab, from: Name, to: Name) -> Res<()> {
    let way = format!("{} > floating IP of {} on the other host", from.0, to.0);
    let done = lab.vm(from.0).exec(&format!("ping -n -c 1 -W 1 {}", floating_ip(to)), Duration::from_secs(5))?;
    let took = done.out.split_once("time=").and_then(|(_, t)| t.split(' ').next()?.parse::<f64>().ok());
    let seen = took.map_or("none".to_owned(), |ms| format!("after {ms} ms"));
    checks.check(format!("{way} first answer, two questions"), seen, took.is_some_and(|ms| ms < RESOLVED));
    Ok(())
}
