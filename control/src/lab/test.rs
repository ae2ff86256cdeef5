//! Tries a lab that is up: every way a packet can take, with the programs people use.

use super::checks::{Checks, say};
use super::cloud::outside::{CLIENT, CLIENT_GATEWAY, ROUTER, VLAN, floating_ip};
use super::cloud::{Name, subnet};
use super::command::{Res, go_on};
use super::daemon::{Expected, drops, tell};
use super::errors::{route, too_big, unreachable};
use super::floating::{OTHERS, SNAT_HOST, asked_for, between, inward, outward};
use super::folder::Folder;
use super::paths::{both_ways, checksums, gateways};
use super::physical::tags;
use super::state::{Daemon, Peer, State, folder, lock, of};
use super::topology::{Base, Lab};
use crate::explain::reasons::counters;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Seconds of the loads that are not what the test is about, at most.
const SHORT: u64 = 1;

/// A group of checks under one heading.
type Case = (&'static str, fn(&mut Checks, &Lab, u64) -> Res<()>);

/// With dvrd on every host.
const CASES: &[Case] = &[
    ("One network on two hosts, over VXLAN: A1 on H1, A2 on H2", bridged),
    ("Two networks on two hosts, routed where a packet starts: A1 on H1, B2 on H2", routed),
    ("A VLAN on two hosts, and routed from VXLAN to it: V1 and A1 on H1, V2 on H2", vlan),
    ("Floating IPs: a client behind a router outside; A1 on H1, B2 on H2", floating),
    ("What routers say: too big, out of hops, nobody there", icmp),
];

/// With the kernel for H2.
const KERNEL_CASES: &[Case] = &[
    ("One network on two hosts, over VXLAN: A1 on H1, dvrd; A2 on H2, the kernel's bridge and vxlan", bridged),
    ("Two networks on two hosts: A1 on H1, routed by dvrd; B2 on H2, routed by Linux", kernel_routed),
    ("Floating IPs: a client behind a router outside; A1 on H1", one_floating),
    ("What routers say: too big, out of hops, nobody there", icmp_near),
];

/// Drops that what is tried here leads to, and why.
const EXPECTED: Expected<'_> = &[
    OTHERS,
    SNAT_HOST,
    ("dvr_unknown_dst", "flooded by the switches between: to hosts that do not have the destination"),
    ("local_mac_from_fabric", "H1 announces itself once a minute to the machines on F whose gateway it is (V4)"),
    ("router_arp_from_fabric", "ARP for a gateway that another host's bridge floods"),
    ("mtu", "too big for the network behind the router"),
    ("ttl", "traceroute"),
    ("no_neigh", "for the address nobody has"),
    ("tx_full", "a bounded queue was full: TCP tries for more than there is"),
    ("handoff_full", "a bounded queue was full: TCP tries for more than there is"),
];

/// Tries everything, with loads of so many seconds. What is found is printed as it comes, unless `checks` are quiet.
pub fn test(name: &str, dvrctl: &Path, seconds: u64, checks: &mut Checks) -> Res<()> {
    let of = of(name);
    let Some(state) = State::read(name)? else {
        return Err(format!("no lab {name} is up: `dvrctl lab up{of}` makes one"));
    };
    let _lock = lock(name)?;
    if !state.up {
        return Err(format!("the lab {name} was left half-made: `dvrctl lab down{of}` cleans up"));
    }
    if let Some(dead) = state.daemons.iter().find(|d| !d.process.lives()) {
        let (host, pid) = (&dead.host, dead.process.pid);
        return Err(format!("{host}: dvrd, process {pid}, has ended; it said at last:\n{}", dead.last_words(10)));
    }
    let base = Base {
        folder: Folder::new(folder(name).join("test"))?,
        prefix: name.to_owned(),
        dvrd: state.dvrd.clone(),
        dvrctl: dvrctl.to_owned(),
    };
    let lab = state.lab(base)?;
    let before = state.daemons.iter().map(books).collect::<Res<Vec<_>>>()?;
    let cases = if state.peer == Peer::Dvrd { CASES } else { KERNEL_CASES };
    for (title, case) in cases {
        checks.section(title);
        if let Err(why) = case(checks, &lab, seconds) {
            go_on()?;
            checks.check("this could not be done", why.trim_end(), false);
        }
    }
    checks.section("What was counted meanwhile");
    checksums(checks, &lab)?;
    for (daemon, before) in state.daemons.iter().zip(before) {
        let meanwhile = since(&before, &books(daemon)?);
        drops(checks, &daemon.host, &meanwhile, EXPECTED);
        beside(checks, &daemon.host, &meanwhile);
    }
    Ok(())
}

fn bridged(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    both_ways(checks, lab, ["A1", "A2"], seconds)
}

fn routed(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    both_ways(checks, lab, ["A1", "B2"], seconds)?;
    gateways(checks, lab, "A1")?;
    let b2 = Name("B2").address();
    route(checks, lab.vm("A1"), "A1 > B2", &b2, &[&subnet('A', 1), &b2])
}

fn kernel_routed(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    routed(checks, lab, seconds)?;
    let a1 = Name("A1").address();
    route(checks, lab.vm("B2"), "B2 > A1", &a1, &[&subnet('B', 1), &a1])
}

fn vlan(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    tags(checks, lab, "V1", "V2", Some(VLAN))?;
    both_ways(checks, lab, ["V1", "V2"], seconds.min(SHORT))?;
    both_ways(checks, lab, ["A1", "V2"], seconds.min(SHORT))
}

fn floating(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    let (a1, b2) = (Name("A1"), Name("B2"));
    one_floating(checks, lab, seconds)?;
    of_client(checks, lab, b2, seconds)?;
    between(checks, lab, a1, b2, seconds.min(SHORT))
}

fn one_floating(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    of_client(checks, lab, Name("A1"), seconds)
}

/// Both ways between an instance and the client; and who answers for its floating IP.
fn of_client(checks: &mut Checks, lab: &Lab, vm: Name, seconds: u64) -> Res<()> {
    inward(checks, lab, vm, seconds.min(SHORT))?;
    outward(checks, lab, vm, seconds.min(SHORT))?;
    asked_for(checks, lab, vm)
}

fn icmp(checks: &mut Checks, lab: &Lab, seconds: u64) -> Res<()> {
    too_big(checks, lab.vm("V1"), "V1 > B2", &Name("B2").address(), &subnet('V', 1))?;
    icmp_near(checks, lab, seconds)
}

fn icmp_near(checks: &mut Checks, lab: &Lab, _: u64) -> Res<()> {
    too_big(checks, lab.vm("V1"), "V1 > A1", &Name("A1").address(), &subnet('V', 1))?;
    let inside = floating_ip(Name("A1"));
    too_big(checks, lab.client(), "client > floating IP of A1", &inside, &inside)?;
    route(checks, lab.vm("A1"), "A1 > client", CLIENT, &[&subnet('A', 1), ROUTER, CLIENT])?;
    route(checks, lab.client(), "client > floating IP of A1", &inside, &[CLIENT_GATEWAY, &inside, &inside])?;
    unreachable(checks, lab.vm("A1"), "A1 > nobody on B", &subnet('B', 200), &subnet('A', 1))
}

/// Asks a daemon for its books.
fn books(daemon: &Daemon) -> Res<Value> {
    tell(&daemon.process, &daemon.totals)?.ok_or_else(|| {
        let (host, pid, words) = (&daemon.host, daemon.process.pid, daemon.last_words(10));
        format!("{host}: dvrd, process {pid}, does not tell its books; it said at last:\n{words}")
    })
}

/// What was counted between two times: drops, and what is no drop of dvrd's.
fn since(before: &Value, after: &Value) -> Value {
    let less = |after: &Value, before: &Value| after.as_u64().unwrap_or(0).saturating_sub(before.as_u64().unwrap_or(0));
    let all = |what: &str| -> serde_json::Map<String, Value> {
        let names = after[what].as_object().into_iter().flatten();
        names.map(|(name, n)| (name.clone(), less(n, &before[what][name]).into())).collect()
    };
    let dropped = less(&after["dropped"], &before["dropped"]);
    serde_json::json!({"drops": all("drops"), "dropped": dropped, "counters": all("counters")})
}

/// What was counted beside the drops: frames that the kernel lost before dvrd saw them are there.
fn beside(checks: &Checks, host: &str, meanwhile: &Value) {
    let counted = meanwhile["counters"].as_object().into_iter().flatten();
    for (name, n) in counted.filter(|(_, n)| n.as_u64() != Some(0)) {
        let meaning = counters().find(|(known, _)| known == name).map_or("", |(_, entry)| entry.meaning);
        checks.note(format!("{host} counted beside"), format!("{name} {n}: {meaning}"));
    }
}

/// The last line: how many were right.
pub fn summary(checks: &Checks, took: Duration) {
    let (bad, all) = (checks.bad().count(), checks.all().len());
    let word = if bad == 0 { "all ok".to_owned() } else { format!("{bad} FAILED") };
    say(&format!("\n{all} checks in {:.0} s: {word}", took.as_secs_f32()));
    checks.bad().for_each(|c| say(&format!("  FAILED  {}: {}: {}", c.section, c.what, c.seen)));
}
