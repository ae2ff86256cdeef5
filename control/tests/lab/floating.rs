//! Floating IPs between instances and what is outside of the cloud.

use crate::cloud::Name;
use crate::cloud::outside::{CLIENT, fg_mac, floating_ip};
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, Stopped, books};
use crate::netns::Netns;
use crate::paths::checksums;
use crate::report::Checks;
use crate::topology::Lab;
use crate::traffic::{Flow, Ping, ping};
use std::collections::BTreeSet;
use std::time::Duration;

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

/// Every host sees broadcasts that are another's.
pub const OTHERS: (&str, &str) = ("not_ours", "broadcasts on a physical network that no instance here is on");

/// The SNAT host is in the flood list of the router's networks.
pub const SNAT_HOST: (&str, &str) =
    ("no_receiver", "multicast, probes and unknown unicast at H3, which has no instance");

pub fn floating_ips(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(2, &VMS, &FLOATING)?;
    let all = start(checks, &lab, 2)?;
    let [a1, a2, b2] = FLOATING.map(Name);
    for vm in [a1, a2, b2] {
        inward(checks, &lab, vm)?;
        outward(checks, &lab, vm)?;
    }
    between(checks, &lab, a1, b2)?;
    between(checks, &lab, a2, a1)?;
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

/// The client reaches an instance by its floating IP.
fn inward(checks: &mut Checks, lab: &Lab, vm: Name) -> Res<()> {
    let (way, address) = (format!("client > {} ({})", vm.0, floating_ip(vm)), floating_ip(vm));
    first(checks, &way, lab.client(), &address)?;
    // Two routers on the way back: the instance's, and the one outside.
    let seen = ping(lab.client(), &address, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(62));
    let seen = ping(lab.client(), &address, 5, crate::cloud::MTU - 28)?;
    checks.check(format!("{way} ping, full MTU, unfragmented"), &seen, seen.is_perfect(62));
    let flow = Flow::start(lab, lab.client(), lab.vm(vm.0), &address, 2, "");
    if let Some(tcp) = checks.tried(format!("{way} TCP"), flow.and_then(Flow::tcp)) {
        checks.check(
            format!("{way} TCP"),
            format!("{:.0} Mbit/s, {} retransmits", tcp.mbit, tcp.retransmits),
            tcp.mbit > 50.0,
        );
    }
    Ok(())
}

/// An instance reaches the client, which sees its floating IP.
fn outward(checks: &mut Checks, lab: &Lab, vm: Name) -> Res<()> {
    let way = format!("{} > client", vm.0);
    first(checks, &way, lab.vm(vm.0), CLIENT)?;
    let seen = ping(lab.vm(vm.0), CLIENT, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(62));
    let flow = Flow::start(lab, lab.vm(vm.0), lab.client(), CLIENT, 2, "");
    if let Some(source) = checks.tried(format!("{way} TCP"), flow.and_then(Flow::seen_from)) {
        let (mbit, source) = source;
        checks.check(
            format!("{way} TCP, seen from"),
            format!("{source}, {mbit:.0} Mbit/s"),
            source == floating_ip(vm) && mbit > 50.0,
        );
    }
    Ok(())
}

/// Instances on two hosts by their floating IPs: over the external network, where each host asks for the other's.
fn between(checks: &mut Checks, lab: &Lab, from: Name, to: Name) -> Res<()> {
    let way = format!("{} > floating IP of {} on the other host", from.0, to.0);
    let address = floating_ip(to);
    // Nothing was said before: two ARP questions, one at each end, before the first answer.
    let done = lab.vm(from.0).exec(&format!("ping -n -c 1 -W 1 {address}"), Duration::from_secs(5))?;
    let took = done.out.split_once("time=").and_then(|(_, t)| t.split(' ').next()?.parse::<f64>().ok());
    let seen = took.map_or("none".to_owned(), |ms| format!("after {ms} ms"));
    checks.check(format!("{way} first answer, two questions"), seen, took.is_some_and(|ms| ms < RESOLVED));
    // A router here, and one there.
    let seen = ping(lab.vm(from.0), &address, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(62));
    let flow = Flow::start(lab, lab.vm(from.0), lab.vm(to.0), &address, 2, "");
    if let Some((mbit, source)) = checks.tried(format!("{way} TCP"), flow.and_then(Flow::seen_from)) {
        checks.check(
            format!("{way} TCP, seen from"),
            format!("{source}, {mbit:.0} Mbit/s"),
            source == floating_ip(from) && mbit > 50.0,
        );
    }
    Ok(())
}

/// `arping` from the external network: exactly one host answers, with the MAC of its own port there.
fn asked_for(checks: &mut Checks, lab: &Lab, vm: Name) -> Res<()> {
    const PROBES: usize = 4;
    let (address, mac) = (floating_ip(vm), fg_mac(vm.host()).to_uppercase());
    // -b: each request to everybody, also after the first answer.
    let done = lab.router().exec(&format!("arping -b -c {PROBES} -w 10 -I eth0 {address}"), Duration::from_secs(15))?;
    let answers = done.out.lines().filter(|l| l.contains("reply from")).collect::<Vec<_>>();
    let from: BTreeSet<&str> = answers.iter().filter_map(|l| Some(l.split_once('[')?.1.split_once(']')?.0)).collect();
    let good = answers.len() == PROBES && from.iter().eq([&mac.as_str()]);
    checks.check(
        format!("arping {address} of {}", vm.0),
        format!("{} answers to {PROBES}, from {from:?}", answers.len()),
        good,
    );
    Ok(())
}

/// Pings until the first answer, which counts as a check.
pub fn first(checks: &mut Checks, way: &str, from: &Netns, address: &str) -> Res<Duration> {
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let done = from.exec(&format!("ping -n -c 1 -W 0.2 {address}"), Duration::from_secs(5))?;
        if Ping::parse(&done.out).is_ok_and(|p| p.received == 1) {
            return Ok(start.elapsed());
        }
    }
    checks.check(format!("{way} first answer"), "none in 5 s", false);
    Ok(start.elapsed())
}
