//! Floating IPs between instances and what is outside of the cloud.

use super::checks::Checks;
use super::cloud::outside::{CLIENT, fg_mac, floating_ip};
use super::cloud::{MTU, Name};
use super::command::Res;
use super::netns::Netns;
use super::paths::udp;
use super::topology::Lab;
use super::traffic::{Flow, Ping, Tcp, ping};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A shared machine forwards this much even on a bad day, Mbit/s.
const FLOOR: f64 = 50.0;

/// Every host sees broadcasts that are another's.
pub const OTHERS: (&str, &str) = ("not_ours", "broadcasts on a physical network that no instance here is on");

/// The SNAT host is in the flood list of the router's networks.
pub const SNAT_HOST: (&str, &str) =
    ("no_receiver", "multicast, probes and unknown unicast at H3, which has no instance");

/// The client reaches an instance by its floating IP.
pub fn inward(checks: &mut Checks, lab: &Lab, vm: Name, seconds: u64) -> Res<()> {
    let (way, address) = (format!("client > {} ({})", vm.0, floating_ip(vm)), floating_ip(vm));
    first(checks, &way, lab.client(), &address)?;
    // Two routers on the way back: the instance's, and the one outside.
    let seen = ping(lab.client(), &address, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(62));
    let seen = ping(lab.client(), &address, 5, MTU - 28)?;
    checks.check(format!("{way} ping, full MTU, DF"), &seen, seen.is_perfect(62));
    let flow = Flow::start(lab, lab.client(), lab.vm(vm.0), &address, seconds, "");
    if let Some(tcp) = checks.tried(format!("{way} TCP"), flow.and_then(Flow::tcp)) {
        let values = json!({"mbit": tcp.mbit, "retransmits": tcp.retransmits});
        checks.measured(format!("{way} TCP"), &tcp, tcp.mbit > FLOOR && tcp.silent() == 0, values);
    }
    udp(checks, lab, &way, (lab.client(), lab.vm(vm.0), &address), seconds)
}

/// An instance reaches the client, which sees its floating IP.
pub fn outward(checks: &mut Checks, lab: &Lab, vm: Name, seconds: u64) -> Res<()> {
    let way = format!("{} > client", vm.0);
    first(checks, &way, lab.vm(vm.0), CLIENT)?;
    let seen = ping(lab.vm(vm.0), CLIENT, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(62));
    let flow = Flow::start(lab, lab.vm(vm.0), lab.client(), CLIENT, seconds, "");
    seen_from(checks, &way, flow, vm);
    udp(checks, lab, &way, (lab.vm(vm.0), lab.client(), CLIENT), seconds)
}

/// Instances on two hosts by their floating IPs: over the external network, where each host asks for the other's.
pub fn between(checks: &mut Checks, lab: &Lab, from: Name, to: Name, seconds: u64) -> Res<()> {
    let (way, address) = (format!("{} > {} ({})", from.0, to.0, floating_ip(to)), floating_ip(to));
    first(checks, &way, lab.vm(from.0), &address)?;
    // A router here, and one there.
    let seen = ping(lab.vm(from.0), &address, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(62));
    seen_from(checks, &way, Flow::start(lab, lab.vm(from.0), lab.vm(to.0), &address, seconds, ""), from);
    udp(checks, lab, &way, (lab.vm(from.0), lab.vm(to.0), &address), seconds)
}

/// TCP whose receiver must have seen the sender's floating IP.
fn seen_from(checks: &mut Checks, way: &str, flow: Res<Flow>, from: Name) {
    let Some((tcp, source)) = checks.tried(format!("{way} TCP"), flow.and_then(Flow::seen_from)) else { return };
    let Tcp { mbit, retransmits, .. } = tcp;
    checks.measured(
        format!("{way} TCP, seen from"),
        format!("{source}, {mbit:.0} Mbit/s, {retransmits} retransmits"),
        source == floating_ip(from) && mbit > FLOOR,
        json!({"source": source, "mbit": mbit, "retransmits": retransmits}),
    );
}

/// `arping` from the external network: exactly one host answers, with the MAC of its own port there.
pub fn asked_for(checks: &mut Checks, lab: &Lab, vm: Name) -> Res<()> {
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
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let done = from.exec(&format!("ping -n -c 1 -W 0.2 {address}"), Duration::from_secs(5))?;
        if Ping::parse(&done.out).is_ok_and(|p| p.received == 1) {
            return Ok(start.elapsed());
        }
    }
    checks.check(format!("{way} first answer"), "none in 5 s", false);
    Ok(start.elapsed())
}
