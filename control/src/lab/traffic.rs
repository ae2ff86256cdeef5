//! Traffic of real programs between namespaces, and what they saw of it.

use super::cloud::Name;
use super::command::{Done, Proc, Res, words};
use super::netns::Netns;
use super::topology::Lab;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// No step but the traffic itself takes longer.
const STEP: Duration = Duration::from_secs(5);

/// What ping saw.
pub struct Ping {
    /// Requests.
    pub sent: u32,
    /// Answers, duplicates not among them.
    pub received: u32,
    /// Answers to what had been answered.
    pub duplicates: u32,
    /// The TTLs of the answers.
    pub ttls: BTreeSet<u8>,
    /// Mean round trip, milliseconds; none without an answer.
    pub rtt: Option<f64>,
}

impl Ping {
    /// Reads the output of iputils' ping.
    pub fn parse(out: &str) -> Res<Ping> {
        let line =
            out.lines().find(|l| l.contains("packets transmitted")).ok_or(format!("no summary of ping: {out}"))?;
        let before = |word: &str| -> u32 {
            let part = line.split(", ").find(|p| p.contains(word)).unwrap_or_default();
            part.trim_start_matches('+').split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        let ttl = |l: &str| l.split_once("ttl=")?.1.split(' ').next()?.parse().ok();
        let ttls = out.lines().filter_map(ttl).collect();
        let mean = |l: &str| l.strip_prefix("rtt min/avg/max/mdev = ")?.split('/').nth(1)?.parse().ok();
        Ok(Ping {
            sent: before("transmitted"),
            received: before("received"),
            duplicates: before("duplicates"),
            ttls,
            rtt: out.lines().find_map(mean),
        })
    }

    /// Every request answered once, with this TTL.
    pub fn is_perfect(&self, ttl: u8) -> bool {
        self.sent > 0 && self.received == self.sent && self.duplicates == 0 && self.ttls.iter().eq([&ttl])
    }
}

impl std::fmt::Display for Ping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} answered", self.received, self.sent)?;
        if let Some(rtt) = self.rtt {
            let ttls: Vec<String> = self.ttls.iter().map(u8::to_string).collect();
            write!(f, ", ttl {}, mean {rtt:.2} ms", ttls.join(" and "))?;
        }
        if self.duplicates > 0 { write!(f, ", {} duplicates", self.duplicates) } else { Ok(()) }
    }
}

/// What a TCP run saw.
pub struct Tcp {
    /// Mbit/s at the receiver.
    pub mbit: f64,
    /// Segments sent again, as the sender's TCP_INFO counts them.
    pub retransmits: u64,
    /// Bytes of each interval at the sender, all streams.
    pub intervals: Vec<u64>,
}

impl Tcp {
    /// Reads the report of the sending end.
    pub fn parse(json: &Value) -> Res<Tcp> {
        let number = |key: &str, sub: &str| json["end"][key][sub].as_f64().ok_or(format!("no {key} {sub} in {json}"));
        let bytes = |i: &Value| i["sum"]["bytes"].as_u64().unwrap_or(0);
        Ok(Tcp {
            mbit: number("sum_received", "bits_per_second")? / 1e6,
            retransmits: number("sum_sent", "retransmits")? as u64,
            intervals: json["intervals"].as_array().map(|all| all.iter().map(bytes).collect()).unwrap_or_default(),
        })
    }

    /// Intervals in which nothing was sent.
    pub fn silent(&self) -> usize {
        self.intervals.iter().filter(|bytes| **bytes == 0).count()
    }
}

impl std::fmt::Display for Tcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tcp { mbit, retransmits, .. } = self;
        write!(f, "{mbit:.0} Mbit/s, {retransmits} retransmits, {} silent seconds", self.silent())
    }
}

/// What both ends of a UDP run counted, all streams together.
#[derive(Debug, PartialEq)]
pub struct Udp {
    /// By the sender.
    pub sent: u64,
    /// Not received, those behind the last one received included.
    pub lost: u64,
    /// Of those lost, that reached the receiver's stack: its socket was full, or was not read. Nobody has looked: 0.
    pub at_receiver: u64,
    /// Received after a later one of the same stream.
    pub out_of_order: u64,
}

impl Udp {
    /// Reads the reports of both ends. Only the receiver's knows what came out of order: in the sender's it is 0, always.
    pub fn parse(client: &Value, server: &Value) -> Res<Udp> {
        let sum = |json: &Value, key: &str| -> Res<u64> {
            let streams = json["end"]["streams"].as_array().filter(|s| !s.is_empty());
            let streams = streams.ok_or_else(|| format!("no UDP streams in {json}"))?;
            streams.iter().map(|s| s["udp"][key].as_u64().ok_or(format!("no number {key} in {s}"))).sum()
        };
        let sent = client["end"]["sum_sent"]["packets"].as_u64().ok_or(format!("no packets in {client}"))?;
        let received = sum(server, "packets")?.saturating_sub(sum(server, "lost_packets")?);
        Ok(Udp {
            sent,
            lost: sent.saturating_sub(received),
            at_receiver: 0,
            out_of_order: sum(server, "out_of_order")?,
        })
    }

    /// Of what was sent.
    pub fn lost_percent(&self) -> f64 {
        100.0 * self.lost as f64 / (self.sent as f64).max(1.0)
    }

    /// Under 1 % lost on the way and none out of order.
    pub fn is_good(&self) -> bool {
        let on_the_way = self.lost.saturating_sub(self.at_receiver);
        self.sent > 0 && on_the_way * 100 < self.sent && self.out_of_order == 0
    }
}

impl std::fmt::Display for Udp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sent, {} lost ({:.2} %), ", self.sent, self.lost, self.lost_percent())?;
        if self.at_receiver > 0 {
            write!(f, "{} of them at the receiver's own socket, ", self.at_receiver)?;
        }
        write!(f, "{} out of order", self.out_of_order)
    }
}

/// A run of iperf3 that goes on.
pub struct Flow {
    client: Proc,
    server: Proc,
    seconds: u64,
}

impl Flow {
    /// Starts an iperf3 server in `to` and a client in `from`, for `seconds`; `more`: further words for the client.
    pub fn start(lab: &Lab, from: &Netns, to: &Netns, address: &str, seconds: u64, more: &str) -> Res<Flow> {
        let port = lab.next_port();
        let server = to.start(&server(port))?;
        listening(port, |line| to.exec(line, STEP))?;
        Ok(Flow { client: from.start(&client(address, port, seconds, more))?, server, seconds })
    }

    /// Waits for the end; what the client and the server report.
    fn finish(self) -> Res<(Value, Value)> {
        let client = report(self.client.wait(Duration::from_secs(self.seconds + 15))?)?;
        Ok((client, report(self.server.wait(STEP)?)?))
    }

    /// Waits for the end of a TCP run.
    pub fn tcp(self) -> Res<Tcp> {
        Tcp::parse(&self.finish()?.0)
    }

    /// The same, and the address the receiver saw the sender under.
    pub fn seen_from(self) -> Res<(Tcp, String)> {
        let (client, server) = self.finish()?;
        let source = server["start"]["connected"][0]["remote_host"].as_str();
        Ok((Tcp::parse(&client)?, source.ok_or(format!("no remote_host in {server}"))?.to_owned()))
    }

    /// Waits for the end of a UDP run.
    pub fn udp(self) -> Res<Udp> {
        let (client, server) = self.finish()?;
        Udp::parse(&client, &server)
    }
}

/// The words of an iperf3 server for one run.
pub fn server(port: u16) -> Vec<String> {
    words(&format!("iperf3 -s -1 -J -p {port}"))
}

/// The words of its client.
pub fn client(address: &str, port: u16, seconds: u64, more: &str) -> Vec<String> {
    words(&format!("iperf3 -c {address} -p {port} -J -t {seconds} --connect-timeout 5000 {more}"))
}

/// Waits until somebody listens on a TCP port. With -J iperf3 does not say when it does.
pub fn listening(port: u16, run: impl Fn(&str) -> Res<Done>) -> Res<()> {
    let end = Instant::now() + STEP;
    while Instant::now() < end {
        if !run(&format!("ss -H -l -t -n sport = :{port}"))?.good()?.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("nobody listens on port {port}"))
}

/// The JSON an end of iperf3 leaves.
pub fn report(done: Done) -> Res<Value> {
    let json: Value = serde_json::from_str(&done.out).map_err(|e| format!("{e}: {done}"))?;
    match json["error"].as_str() {
        Some(why) => Err(format!("`{}`: {why}", done.words)),
        None => Ok(json),
    }
}

/// `ping -c count`, one every 20 ms, with this many bytes of data, from any machine.
pub fn ping(from: &Netns, address: &str, count: u32, size: u16) -> Res<Ping> {
    // -M do: not even the sender may fragment.
    let line = format!("ping -n -c {count} -i 0.02 -W 1 -M do -s {size} {address}");
    Ping::parse(&from.exec(&line, Duration::from_secs(20))?.out)
}

impl Lab {
    /// `ping -c count`, one every 20 ms, with this many bytes of data.
    pub fn ping(&self, from: &str, address: &str, count: u32, size: u16) -> Res<Ping> {
        ping(self.vm(from), address, count, size)
    }

    /// Pings until an answer comes, at most 5 s; how long that took.
    pub fn first_answer(&self, from: &str, to: Name) -> Res<Duration> {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            let line = format!("ping -n -c 1 -W 0.1 {}", to.address());
            if self.vm(from).exec(&line, Duration::from_secs(5))?.status == Some(0) {
                return Ok(start.elapsed());
            }
        }
        Err(format!("no answer from {} to {from} in 5 s", to.0))
    }

    /// What `from` learns for the next hop towards `to` once it has forgotten all it knew.
    pub fn arp(&self, from: &'static str, to: Name) -> Res<String> {
        let (ns, source) = (self.vm(from), Name(from));
        ns.ip("neigh flush dev eth0")?;
        self.first_answer(from, to)?;
        let hop = if source.network() == to.network() { to.address() } else { source.gateway() };
        let all = ns.ip_json("neigh show dev eth0")?;
        let entry = all.as_array().and_then(|all| all.iter().find(|e| e["dst"] == *hop));
        entry.and_then(|e| e["lladdr"].as_str()).map(str::to_owned).ok_or(format!("no entry for {hop} in {all}"))
    }

    /// iperf3 between two instances.
    pub fn flow(&self, from: &str, to: Name, seconds: u64, more: &str) -> Res<Flow> {
        Flow::start(self, self.vm(from), self.vm(to.0), &to.address(), seconds, more)
    }
}

/// A counter of a namespace's network stack, by `nstat`.
pub fn stack_counter(ns: &Netns, names: &[&str]) -> Res<Vec<u64>> {
    let out = ns.exec("nstat -a -s -z -j", Duration::from_secs(5))?.good()?;
    let json: Value = serde_json::from_str(&out).map_err(|e| format!("nstat: {e}: {out}"))?;
    names.iter().map(|name| json["kernel"][name].as_u64().ok_or(format!("nstat has no {name}"))).collect()
}
