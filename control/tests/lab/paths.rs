//! The same checks for every way a packet can take: ping, ARP, TCP, UDP, both directions.

use crate::cloud::Name;
use crate::command::Res;
use crate::report::Checks;
use crate::topology::Lab;
use crate::traffic::stack_counter;

/// Data of a ping whose packet is as long as the network allows: MTU less IPv4 and ICMP headers.
const FULL: u16 = crate::cloud::MTU - 28;
/// A shared machine forwards this much even on a bad day.
const TCP_FLOOR: f64 = 100.0;
/// Seconds of each iperf3 run, and what UDP sends meanwhile.
const SECONDS: u64 = 2;
const UDP: &str = "-u -b 30M -l 1200";

/// Same subnet over VXLAN; routed on one host; routed between hosts.
pub const ALL: [[&str; 2]; 3] = [["A1", "A2"], ["A1", "B1"], ["A1", "B2"]];

/// All checks of a path, both ways.
pub fn both_ways(checks: &mut Checks, lab: &Lab, [a, b]: [&'static str; 2]) -> Res<()> {
    one_way(checks, lab, a, b)?;
    one_way(checks, lab, b, a)
}

fn one_way(checks: &mut Checks, lab: &Lab, from: &'static str, to: &'static str) -> Res<()> {
    let (way, source, target) = (format!("{from} > {to}"), Name(from), Name(to));
    let warm = lab.first_answer(from, target);
    let Some(warm) = checks.tried(format!("{way} first answer"), warm) else { return Ok(()) };
    checks.note(format!("{way} first answer"), format!("after {:.0} ms", warm.as_secs_f64() * 1e3));

    // A router takes one off the TTL of 64 that Linux starts with.
    let ttl = if source.network() == target.network() { 64 } else { 63 };
    let ping = lab.ping(from, &target.address(), 20, 56)?;
    checks.check(format!("{way} ping"), &ping, ping.is_perfect(ttl));
    let ping = lab.ping(from, &target.address(), 5, FULL)?;
    checks.check(format!("{way} ping, full MTU, unfragmented"), &ping, ping.is_perfect(ttl));

    let want = lab.next_hop_mac(source, target);
    if let Some(mac) = checks.tried(format!("{way} ARP for the next hop"), lab.arp(from, target)) {
        checks.check(format!("{way} ARP for the next hop"), format!("{mac}, wanted {want}"), mac == want);
    }
    let tcp = lab.flow(from, target, SECONDS, "").and_then(|flow| flow.tcp());
    if let Some(tcp) = checks.tried(format!("{way} TCP"), tcp) {
        let seen = format!("{:.0} Mbit/s, {} retransmits", tcp.mbit, tcp.retransmits);
        checks.check(format!("{way} TCP, over {TCP_FLOOR} Mbit/s"), seen, tcp.mbit > TCP_FLOOR);
    }
    let udp = lab.flow(from, target, SECONDS, UDP).and_then(|flow| flow.udp());
    if let Some(udp) = checks.tried(format!("{way} UDP"), udp) {
        checks.check(format!("{way} UDP, 30 Mbit/s"), &udp, udp.is_good());
        let full = stack_counter(lab.vm(to), &["UdpRcvbufErrors"])?[0];
        if udp.lost > 0 {
            checks.note(format!("{way} UDP, by {to}'s own full socket"), format!("{full} lost since the start"));
        }
    }
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
