//! Everything at once, for long: mixed traffic, ports that come and go, restarts, interfaces that flap, ten clouds a second.
//! Nothing may leak, and nobody may stand still.

mod canary;
mod clouds;
mod trouble;
mod watch;

use crate::base;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::cloud::outside::{CLIENT, floating_ip};
use crate::command::{Proc, Res, words};
use crate::daemon::{Dvrd, Expected, Setup, books};
use crate::netns::Netns;
use crate::topology::Lab;
use crate::traffic::{Flow, Ping, Tcp, Udp, ping};
use canary::Canary;
use clouds::Clouds;
use std::time::{Duration, Instant};
use trouble::Trouble;
use watch::Watch;

/// A3 and A4 come and go by the cloud, B1 and B2 with their interfaces; the others stay.
const VMS: [&str; 8] = ["A1", "B1", "V1", "A3", "A2", "B2", "V2", "A4"];
const FLOATING: [&str; 2] = ["A1", "B2"];
/// What is left of the machine when all of this traffic goes has to be enough for the rest.
const TCP: &str = "-i 1 -b 60M";
const UDP: &str = "-u -b 5M -l 1200";
/// No trouble in the last seconds: what was broken has to mend.
const CALM: Duration = Duration::from_secs(8);

/// Seconds of it: `LONG_SECONDS`, else as many as CI has.
fn seconds() -> u64 {
    std::env::var("LONG_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(40).max(30)
}

/// Why frames may be dropped meanwhile. Nothing else may be the reason.
const EXPECTED: Expected<'_> = &[
    ("not_ours", "broadcasts on a physical network that no instance here is on"),
    ("no_receiver", "multicast, probes and unknown unicast where the port has just gone, and at H3"),
    ("unknown_unicast", "for a port that has just gone"),
    ("port_down", "a port comes by the cloud: it is not active before all rows about it are there"),
    ("port_gone", "between an interface's end and its notice, and for what waited for a neighbour"),
    ("ip_spoof", "from an address the port no longer has"),
    ("arp_spoof", "from an address the port no longer has"),
    ("no_neigh", "for an instance that is away"),
    ("neigh_queue_full", "for an instance that is away"),
    ("fip_not_local", "for a floating IP that is another host's now"),
    ("snat_no_state", "from an instance whose floating IP has just gone, or for it"),
    ("underlay_unresolved", "while the underlay is down"),
    ("no_route", "while the cloud changes"),
    ("dvr_unknown_dst", "flooded by the switches between: to hosts that do not have the destination"),
    ("local_mac_from_fabric", "a port that was another host's, or an announcement of a gateway that comes back"),
    ("router_arp_from_fabric", "ARP for a gateway that another host's bridge floods"),
    ("tx_full", "to an interface that is down, and where TCP tries for more than there is"),
    ("handoff_full", "TCP tries for more than there is"),
    ("mtu", "what was under way to an interface that came back with another MTU"),
];

/// The test.
pub fn long(checks: &mut Checks) -> Res<()> {
    let seconds = seconds();
    let lab = Lab::with_outside(base()?, 2, &VMS, &FLOATING)?;
    // Nova has given it to the instance before Neutron says so.
    lab.vm("A3").ip(&format!("addr add {}/24 dev eth0", clouds::OTHER_ADDRESS))?;
    let setup = |host| Setup {
        inside: true,
        workers: if host == 0 { 2 } else { 1 },
        more: "time_turns = true\n",
        ..Setup::default()
    };
    let daemons = (0..lab.hosts()).map(|host| Dvrd::start(&lab, host, &setup(host))).collect::<Res<Vec<_>>>()?;
    for (from, to) in [("A1", "A2"), ("A1", "B2"), ("V1", "V2"), ("A1", "V2"), ("A1", "B1"), ("A1", "A3"), ("A2", "A4")]
    {
        lab.first_answer(from, Name(to))?;
    }
    let mut watch = Watch::new(&daemons)?;
    watch.look(&daemons, checks)?;
    let loads = Loads::start(&lab, seconds)?;
    let start = Instant::now();
    let end = Duration::from_secs(seconds).saturating_sub(CALM);
    let mut trouble = Trouble::new(&lab, daemons, setup);
    let (clouds, canary) = (Clouds::start(&lab, trouble.processes()), Canary::start());
    while start.elapsed() < end {
        trouble.next(checks)?;
        watch.look(&trouble.daemons, checks)?;
    }
    let written = clouds.stop()?;
    let asked = 10.0 * start.elapsed().as_secs_f64();
    checks.check("clouds, of 10 a second", written, written as f64 > asked * 0.7);
    trouble.note(checks);
    loads.finish(checks)?;
    calm(checks, &lab)?;
    watch.look(&trouble.daemons, checks)?;
    watch.judge(checks, &trouble.daemons, canary.stop());
    trouble.said(checks);
    for (host, dvrd) in trouble.into_daemons().into_iter().enumerate() {
        books(checks, host, &dvrd.stop()?, EXPECTED);
    }
    Ok(())
}

/// Everything is as it was at the start, and every way works.
fn calm(checks: &mut Checks, lab: &Lab) -> Res<()> {
    let ways =
        [("A1", "A2", 64), ("A1", "A3", 64), ("A1", "B1", 63), ("A1", "B2", 63), ("V1", "V2", 64), ("A1", "V2", 63)];
    for (from, to, ttl) in ways.into_iter().chain([("A2", "A4", 64)]) {
        lab.first_answer(from, Name(to))?;
        let seen = lab.ping(from, &Name(to).address(), 20, 56)?;
        checks.check(format!("calm again: {from} > {to} ping"), &seen, seen.is_perfect(ttl));
    }
    for vm in FLOATING {
        let seen = ping(lab.client(), &floating_ip(Name(vm)), 20, 56)?;
        checks.check(format!("calm again: client > {vm} by its floating IP"), &seen, seen.is_perfect(62));
    }
    Ok(())
}

/// What goes on all the time.
struct Loads {
    tcp: Vec<(String, Flow)>,
    udp: Vec<(String, Flow)>,
    /// With the least part of it that has to be answered, per cent.
    pings: Vec<(String, Proc, u32)>,
    seconds: u64,
}

impl Loads {
    fn start(lab: &Lab, seconds: u64) -> Res<Loads> {
        let flow = |from: &str, to: &'static str, more| {
            Ok((format!("{from} > {to}"), lab.flow(from, Name(to), seconds, more)?))
        };
        let outside =
            |from: &Netns, to: &Netns, address: &str, more| Flow::start(lab, from, to, address, seconds, more);
        let tcp = [("A1", "A2"), ("A2", "A1"), ("A1", "B2"), ("V2", "V1")].map(|(from, to)| flow(from, to, TCP));
        let mut tcp = tcp.into_iter().collect::<Res<Vec<_>>>()?;
        let a1 = floating_ip(Name("A1"));
        tcp.push(("client > A1 (floating IP)".to_owned(), outside(lab.client(), lab.vm("A1"), &a1, TCP)?));
        let udp = [("A1", "A2"), ("A2", "V1"), ("V1", "V2")].map(|(from, to)| flow(from, to, UDP));
        let mut udp = udp.into_iter().collect::<Res<Vec<_>>>()?;
        udp.push(("A1 > client".to_owned(), outside(lab.vm("A1"), lab.client(), CLIENT, UDP)?));
        let count = seconds * 10;
        let ping = |what: &str, from: &Netns, address: &str, least: u32| {
            let line = format!("ping -n -q -i 0.1 -W 1 -c {count} {address}");
            Ok((what.to_owned(), from.start(&words(&line))?, least))
        };
        // A3 has another address half of the time, and is away every seventh cloud.
        let between =
            [("A1", "A2", 40), ("A1", "A3", 5), ("A1", "B1", 20), ("A1", "B2", 20), ("V1", "V2", 20), ("V1", "A2", 40)];
        let between = between
            .into_iter()
            .chain([("A2", "A4", 15)])
            .map(|(from, to, least)| ping(&format!("{from} > {to}"), lab.vm(from), &Name(to).address(), least));
        let mut pings = between.collect::<Res<Vec<_>>>()?;
        pings.push(ping("client > B2 (floating IP)", lab.client(), &floating_ip(Name("B2")), 15)?);
        pings.push(ping("A1 > client", lab.vm("A1"), CLIENT, 90)?);
        Ok(Loads { tcp, udp, pings, seconds })
    }

    /// Waits for their ends. What is right depends on what was broken, and for how long; at the end all of it flows.
    fn finish(self, checks: &mut Checks) -> Res<()> {
        for (way, flow) in self.tcp {
            let Some(tcp) = checks.tried(format!("{way} TCP"), flow.tcp()) else { continue };
            checks.check(format!("{way} TCP, and in the last 3 s"), tcp_seen(&tcp), last(&tcp) > 0);
        }
        for (way, flow) in self.udp {
            let Some(udp) = checks.tried(format!("{way} UDP"), flow.udp()) else { continue };
            let Udp { sent, lost, .. } = udp;
            checks.check(format!("{way} UDP, most of it"), &udp, sent > 0 && lost * 2 < sent);
        }
        for (way, process, least) in self.pings {
            let done = process.wait(Duration::from_secs(self.seconds + 30))?;
            let seen = Ping::parse(&done.out)?;
            checks.check(format!("{way} ping, over {least} %"), &seen, seen.received * 100 > seen.sent * least);
        }
        Ok(())
    }
}

fn last(tcp: &Tcp) -> u64 {
    tcp.intervals.iter().rev().take(3).sum()
}

fn tcp_seen(tcp: &Tcp) -> String {
    format!("{tcp}, {} KB in the last 3 s", last(tcp) / 1000)
}
