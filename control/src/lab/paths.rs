//! The same checks for every way a packet can take: ping, ARP, TCP, UDP, both directions.

use super::checks::Checks;
use super::cloud::Name;
use super::command::Res;
use super::netns::Netns;
use super::topology::Lab;
use super::traffic::{Flow, Udp, stack_counter};
use serde_json::json;

/// Data of a ping whose packet is as long as the network allows: MTU less IPv4 and ICMP headers.
const FULL: u16 = super::cloud::MTU - 28;
/// A shared machine forwards this much even on a bad day.
const TCP_FLOOR: f64 = 100.0;
/// What UDP sends.
const UDP: &str = "-u -b 30M -l 1200";

/// Same subnet over VXLAN; routed on one host; routed between hosts.
pub const ALL: [[&str; 2]; 3] = [["A1", "A2"], ["A1", "B1"], ["A1", "B2"]];

/// All checks of a path, both ways, with so many seconds for each load.
pub fn both_ways(checks: &mut Checks, lab: &Lab, [a, b]: [&'static str; 2], seconds: u64) -> Res<()> {
    one_way(checks, lab, a, b, seconds)?;
    one_way(checks, lab, b, a, seconds)
}

fn one_way(checks: &mut Checks, lab: &Lab, from: &'static str, to: &'static str, seconds: u64) -> Res<()> {
    let (way, source, target) = (format!("{from} > {to}"), Name(from), Name(to));
    let warm = lab.first_answer(from, target);
    let Some(warm) = checks.tried(format!("{way} first answer"), warm) else { return Ok(()) };
    checks.note(format!("{way} first answer"), format!("after {:.0} ms", warm.as_secs_f64() * 1e3));

    // A router takes one off the TTL of 64 that Linux starts with.
    let ttl = if source.network() == target.network() { 64 } else { 63 };
    let ping = lab.ping(from, &target.address(), 20, 56)?;
    checks.check(format!("{way} ping"), &ping, ping.is_perfect(ttl));
    let ping = lab.ping(from, &target.address(), 5, FULL)?;
    checks.check(format!("{way} ping, full MTU, DF"), &ping, ping.is_perfect(ttl));

    let want = lab.next_hop_mac(source, target);
    if let Some(mac) = checks.tried(format!("{way} ARP for the next hop"), lab.arp(from, target)) {
        checks.check(format!("{way} ARP for the next hop"), format!("{mac}, wanted {want}"), mac == want);
    }
    loads(checks, lab, from, target, seconds)
}

/// TCP as fast as it goes, then UDP at a fixed rate.
fn loads(checks: &mut Checks, lab: &Lab, from: &str, to: Name, seconds: u64) -> Res<()> {
    let way = format!("{from} > {}", to.0);
    let tcp = lab.flow(from, to, seconds, "").and_then(Flow::tcp);
    if let Some(tcp) = checks.tried(format!("{way} TCP"), tcp) {
        let values = json!({"seconds": seconds, "mbit": tcp.mbit, "retransmits": tcp.retransmits});
        let good = tcp.mbit > TCP_FLOOR && tcp.silent() == 0;
        checks.measured(format!("{way} TCP {seconds} s, over {TCP_FLOOR} Mbit/s"), &tcp, good, values);
    }
    udp(checks, lab, &way, (lab.vm(from), lab.vm(to.0), &to.address()), seconds)
}

/// UDP datagrams that reached a machine's stack, read or not: what IP delivered less what other protocols counted.
fn datagrams(ns: &Netns) -> Res<u64> {
    let counters = stack_counter(ns, &["IpInDelivers", "TcpInSegs", "IcmpInMsgs"])?;
    Ok(counters[0].saturating_sub(counters[1] + counters[2]))
}

/// UDP at a fixed rate from one machine to another's address.
pub fn udp(
    checks: &mut Checks,
    lab: &Lab,
    way: &str,
    (from, to, address): (&Netns, &Netns, &str),
    seconds: u64,
) -> Res<()> {
    // On a busy machine a receiver may not be let at its own socket in time, or leave it unread: that came all the same.
    let before = datagrams(to)?;
    let udp = Flow::start(lab, from, to, address, seconds, UDP).and_then(Flow::udp);
    let Some(mut udp) = checks.tried(format!("{way} UDP"), udp) else { return Ok(()) };
    let came = datagrams(to)?.saturating_sub(before);
    udp.at_receiver = came.saturating_sub(udp.sent.saturating_sub(udp.lost)).min(udp.lost);
    let Udp { sent, lost, at_receiver, out_of_order } = udp;
    let values = json!({"seconds": seconds, "sent": sent, "lost": lost, "lost_at_receiver": at_receiver,
                        "out_of_order": out_of_order});
    checks.measured(format!("{way} UDP {seconds} s, 30 Mbit/s"), &udp, udp.is_good(), values);
    Ok(())
}

/// The router answers for each of its addresses itself, whichever subnet the sender is on (R2).
pub fn gateways(checks: &mut Checks, lab: &Lab, from: &'static str) -> Res<()> {
    for gateway in ["A1", "B1"].map(|n| Name(n).gateway()) {
        let ping = lab.ping(from, &gateway, 5, 56)?;
        checks.check(format!("{from} > router address {gateway} ping"), &ping, ping.is_perfect(64));
    }
    Ok(())
}

/// No instance's stack saw a wrong checksum.
pub fn checksums(checks: &mut Checks, lab: &Lab) -> Res<()> {
    let names = ["TcpInCsumErrors", "UdpInCsumErrors", "IcmpInCsumErrors", "IpExtInCsumErrors"];
    let mut bad = 0;
    for (_, ns) in lab.vms() {
        bad += stack_counter(ns, &names)?.iter().sum::<u64>();
    }
    checks.check("wrong checksums, all instances", bad, bad == 0);
    Ok(())
}
