//! The table of flows and departures, and what must not be missing from it.

use crate::check::{Counts, Dump};
use crate::named;
use std::time::Duration;

/// Frames from which on every flow and departure must have been seen.
const ENOUGH: u64 = 100_000;

/// Flows no frame can match: the dumps (letters), how the line begins, why.
const NEVER: &[(&str, &str, &str)] = &[
    ("s12n", "br-int table=23,", "the canary: nothing leads there"),
    ("12n", "br-int table=24,", "ARP spoofing: its entrance stands in the rows of secured ports"),
    ("12n", "br-int table=30,", "Local IP: nothing leads there"),
    ("12n", "br-int table=31,", "Local IP: nothing leads there"),
    ("12n", "br-int table=62,", "explicitly_egress_direct is off"),
    ("12n", "br-int table=4,", "wants the local VLAN, and the frames that get there still have the physical one"),
    ("12", "br-int table=60,priority=20,", "priority 90 has the same match"),
    ("n", "br-int table=60,priority=20,dl_vlan=101,", "behind table 2, to which nothing leads here"),
    ("n", "br-int table=1,", "this agent had not heard of other hosts' DVR MACs: nothing leads there"),
    ("n", "br-int table=2,", "this agent had not heard of other hosts' DVR MACs: nothing leads there"),
    ("n", "br-int table=60,priority=100,in_port=\"qg-", "the snat namespace takes no part"),
    ("n", "br-int table=60,priority=100,in_port=\"sg-", "the snat namespace takes no part"),
    ("n", "br-int table=71,", "no VM on this host"),
    ("n", "br-int table=81,", "no VM on this host"),
    ("12n", "br-ex table=0,priority=0 ", "priority 1 takes everything"),
    ("12n", "br-ex table=1,priority=2,", "qr- is known to br-int: a frame to it goes nowhere else"),
    ("12n", "br-ex table=22,", "nothing leads there (D10)"),
    ("s12n", "br-tun table=0,priority=0 ", "a host without a tunnel port has no port to come in by"),
    ("s", "br-tun table=1,priority=3,dl_vlan=", "qr- is known to br-int: a frame to it goes nowhere else"),
    ("12n", "br-tun table=1,priority=2,", "qr- is known to br-int: a frame to it goes nowhere else"),
    ("s", "br-tun table=22,priority=0 ", "both VLANs have a row"),
    ("12n", "br-tun table=3,", "GRE"),
    ("12n", "br-tun table=6,", "Geneve"),
    ("1", "br-tun table=21,priority=1,arp,dl_vlan=2,", "no VM of that network is on this host to ask"),
    ("1", "br-tun table=22,priority=3,arp,dl_vlan=2,", "no VM of that network is on this host to ask"),
    ("n", "br-tun table=21,priority=1,", "who asks on this host are routers, and they have permanent neighbours"),
    ("n", "br-tun table=22,priority=3,", "nobody on this host asks for routers"),
];

/// Prints what was seen.
///
/// # Panics
/// If after enough frames a flow or a departure was not seen that should have been, or was that should not.
pub fn report(dump: &Dump, counts: &Counts, took: Duration) {
    let share = |n: u64| 100.0 * n as f64 / counts.frames.max(1) as f64;
    let Counts { frames, sent, silent, .. } = counts;
    println!(
        "\n{}: {frames} frames in {:.1} s; something was sent for {sent}, nothing for {silent}",
        dump.name,
        took.as_secs_f64()
    );
    println!("matches per 100 frames (a frame may match a flow more than once), matches, flow");
    let mut wrong = Vec::new();
    for (flow, n) in &counts.flows {
        let never = NEVER.iter().find(|(dumps, start, _)| dumps.contains(dump.letter) && flow.starts_with(start));
        let why = never.map_or(String::new(), |(_, _, why)| format!("   ({why})"));
        println!("{:>9.3}  {n:>8}  {flow}{why}", share(*n));
        match (n, never) {
            (0, None) => wrong.push(format!("never hit, and not in NEVER: {flow}")),
            (1.., Some(_)) => wrong.push(format!("hit, though in NEVER: {flow}")),
            _ => {}
        }
    }
    println!("frames in 100, frames, departure");
    for (name, rule, dumps, what) in named::ALL {
        let n = counts.departures.get(name).copied().unwrap_or(0);
        if n > 0 {
            println!("{:>9.3}  {n:>8}  {name} ({rule}): {what}", share(n));
        }
        if (n > 0) != dumps.contains(dump.letter) {
            wrong.push(format!(
                "departure {name} concerned {n} frames; its dumps are {dumps:?}, this one is {}",
                dump.letter
            ));
        }
    }
    let known = |name: &&&str| named::ALL.iter().all(|(n, ..)| n != *name);
    wrong.extend(counts.departures.keys().filter(known).map(|n| format!("departure {n} is not in the list")));
    assert!(*frames < ENOUGH || wrong.is_empty(), "{}:\n- {}", dump.name, wrong.join("\n- "));
}
