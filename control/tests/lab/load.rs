//! Two workers under load: nothing leaked, nothing reordered within a flow.

use crate::base;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, books};
use crate::topology::Lab;
use crate::traffic::{Flow, stack_counter};

const VMS: [&str; 8] = ["A1", "B1", "A3", "B3", "A2", "B2", "A4", "B4"];
const TCP: [[&str; 2]; 4] = [["A1", "A4"], ["A1", "B2"], ["B2", "A3"], ["A2", "B3"]];
/// Two workers own four ports of each host, two each. A3 and A2 send to three of the other host's four: whoever owns which,
/// some of that goes to another worker than the one it comes in by.
const UDP: [[&str; 2]; 7] =
    [["A3", "A4"], ["A3", "A2"], ["A3", "B4"], ["A2", "A1"], ["A2", "A3"], ["A2", "B1"], ["A1", "B3"]];
/// What the stacks of all instances count, and what it tells.
const COUNTERS: [&str; 5] =
    ["TcpExtTCPOFOQueue", "TcpRetransSegs", "TcpExtTCPDSACKRecv", "TcpInCsumErrors", "UdpInCsumErrors"];

/// `LAB_SECONDS` of TCP and UDP through two workers on each host.
pub fn two_workers(checks: &mut Checks) -> Res<()> {
    let seconds = std::env::var("LAB_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let lab = Lab::new(base()?, 2, &VMS)?;
    let setup = Setup { workers: 2, ..Setup::default() };
    let (h1, h2) = (Dvrd::start(&lab, 0, &setup)?, Dvrd::start(&lab, 1, &setup)?);
    h1.banner(checks);
    TCP.iter().chain(&UDP).try_for_each(|[from, to]| lab.first_answer(from, Name(to)).map(|_| ()))?;
    Phase { name: "calm", seconds: 5, tcp: "-P 2 -b 20M", most_lost: 1.0 }.run(checks, &lab)?;
    Phase { name: "flat out", seconds, tcp: "-P 2", most_lost: 50.0 }.run(checks, &lab)?;
    let full = "a bounded queue was full: TCP tries for more than there is";
    let expected = [("tx_full", full), ("handoff_full", full)];
    for (host, dvrd) in [h1, h2].into_iter().enumerate() {
        let stopped = dvrd.stop()?;
        books(checks, host, &stopped, &expected);
        let handed = &stopped.totals["handed_over"];
        checks.check(format!("H{} frames handed over", host + 1), handed, handed.as_u64() > Some(0));
    }
    Ok(())
}

/// All flows at once.
struct Phase {
    name: &'static str,
    seconds: u64,
    /// What TCP clients are told beside.
    tcp: &'static str,
    /// Per cent of a UDP flow. Flat out, TCP fills every queue and UDP loses with it: enough must come to speak of order.
    most_lost: f64,
}

impl Phase {
    fn run(&self, checks: &mut Checks, lab: &Lab) -> Res<()> {
        let start = |[from, to]: &[&'static str; 2], more| lab.flow(from, Name(to), self.seconds, more);
        let Phase { name, seconds, .. } = self;
        let before = stacks(lab)?;
        let tcp = TCP.iter().map(|f| start(f, self.tcp)).collect::<Res<Vec<Flow>>>()?;
        // Sequence numbers of each stream at the receiver: the proof of order, whatever TCP makes of losses.
        let udp = UDP.iter().map(|f| start(f, "-u -b 5M -P 2 -l 1200")).collect::<Res<Vec<Flow>>>()?;
        for ([from, to], flow) in TCP.iter().zip(tcp) {
            let Some(tcp) = checks.tried(format!("{from} > {to} TCP"), flow.tcp()) else { continue };
            let idle = tcp.intervals.iter().filter(|bytes| **bytes == 0).count();
            let seen = format!("{:.0} Mbit/s, {} retransmits, {idle} silent seconds", tcp.mbit, tcp.retransmits);
            checks.check(format!("{from} > {to} TCP, {seconds} s {name}"), seen, tcp.mbit > 0.0 && idle == 0);
        }
        for ([from, to], flow) in UDP.iter().zip(udp) {
            let Some(udp) = checks.tried(format!("{from} > {to} UDP"), flow.udp()) else { continue };
            let good = udp.sent > 0 && udp.out_of_order == 0 && udp.lost_percent() < self.most_lost;
            checks.check(format!("{from} > {to} UDP, {seconds} s {name}"), &udp, good);
        }
        let after = stacks(lab)?;
        let [queued, again, vain, bad_tcp, bad_udp] = std::array::from_fn(|n| after[n] - before[n]);
        checks.check(format!("wrong checksums, {name}"), bad_tcp + bad_udp, bad_tcp + bad_udp == 0);
        // A loss makes a receiver queue what comes behind it. Reordering does so too, and what the sender then sends
        // again was not lost: the receiver says that it has it twice (DSACK).
        let seen = format!("{queued} segments queued out of order, {again} sent again, {vain} of them in vain");
        checks.check(format!("TCP out of order only behind losses, {name}"), seen, queued == 0 || again > vain);
        Ok(())
    }
}

/// The counters of all instances together.
fn stacks(lab: &Lab) -> Res<Vec<u64>> {
    let all = lab.vms().map(|(_, ns)| stack_counter(ns, &COUNTERS)).collect::<Res<Vec<_>>>()?;
    Ok((0..COUNTERS.len()).map(|n| all.iter().map(|one| one[n]).sum()).collect())
}
