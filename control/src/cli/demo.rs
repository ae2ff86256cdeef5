//! `dvrctl demo`: a ping from a VM on one host to a VM on another, across a distributed router; then one to a machine outside
//! of the cloud, by a floating IP.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use dataplane::umem::Umem;

use super::{Answer, DONE, Failure};
use crate::capture::Capture;
use crate::explain;
use crate::frame_text::Decoded;
use crate::host::{Host, TUNNEL};
use crate::model::Cloud;
use crate::replay::buffers;

mod frames;
mod outside;

/// The cloud of the regression captures: four hosts, seven networks, two routers.
const CLOUD: &str = include_str!("../../../pcap-fixtures/T/cloud.json");
/// When the demo's first frame is sent, ns since 1970.
const START: u64 = 1_700_000_000_000_000_000;

/// Follow one ping through two hosts, routed where it starts, over VXLAN and back; and one out by a floating IP
#[derive(clap::Args)]
pub(super) struct Args {}

/// One host of the demo, with a capture of each port's wire.
struct Node<'u> {
    name: &'static str,
    host: Host<'u>,
    wires: Vec<(String, Capture)>,
}

impl<'u> Node<'u> {
    fn new(cloud: &Cloud, name: &'static str, umem: &'u mut Umem) -> Result<Self, Failure> {
        let host = Host::new(cloud.clone(), name, umem).map_err(|e| Failure::new(e.to_string()))?;
        Ok(Node { name, host, wires: Vec::new() })
    }

    fn record(&mut self, port: &str, time: u64, frame: &[u8]) {
        match self.wires.iter_mut().find(|(name, _)| name == port) {
            Some((_, capture)) => capture.push(time, frame),
            None => {
                let mut capture = Capture::default();
                capture.push(time, frame);
                self.wires.push((port.to_owned(), capture));
            }
        }
    }

    /// Lets the host receive a frame, tells the tale, and returns what it sends by `out`.
    fn hop(&mut self, s: &mut String, (port, out): (&str, &str), frame: &[u8], time: u64) -> Result<Vec<u8>, Failure> {
        self.record(port, time, frame);
        let (explanation, sent) = explain::trace(&mut self.host, self.name, port, frame, time);
        // What comes by the tunnel was shown when it left the other host.
        if port != TUNNEL {
            show(s, &format!("{} in", self.name), frame);
        }
        s.push_str(&explanation.short());
        for (port, bytes) in &sent {
            self.record(port, time, bytes);
            show(s, &format!("{} out", self.name), bytes);
        }
        match sent.into_iter().find(|(port, _)| port == out) {
            Some((_, bytes)) => Ok(bytes),
            None => {
                Err(Failure::new(format!("demo: host {} sent nothing on {out}:\n{}", self.name, explanation.text())))
            }
        }
    }
}

/// A frame with more to say than this, characters, takes two lines.
const WIDTH: usize = 94;

/// A frame, on two lines if it is inside another or long.
fn show(s: &mut String, head: &str, frame: &[u8]) {
    let decoded = Decoded::of(frame, 4789);
    let inner = decoded.inner;
    let (addresses, payload) = (format!("{} > {},", inner.src, inner.dst), inner.payload);
    match decoded.outer {
        Some(outer) => {
            let _ = writeln!(s, "  {head}: {}, and inside:\n          {addresses} {payload}", outer.line());
        }
        None if head.len() + addresses.len() + payload.len() > WIDTH => {
            let _ = writeln!(s, "  {head}: {addresses}\n          {payload}");
        }
        None => {
            let _ = writeln!(s, "  {head}: {addresses} {payload}");
        }
    }
}

pub(super) fn run(_: &Args) -> Result<Answer, Failure> {
    let cloud = Cloud::from_json(CLOUD, "the demo's cloud")?;
    let mut memory = [Umem::new(buffers(&cloud, 1)), Umem::new(buffers(&cloud, 1))];
    let [first, second] = &mut memory;
    let mut h1 = Node::new(&cloud, "H1", first)?;
    let mut h2 = Node::new(&cloud, "H2", second)?;
    let (a1, b2) = (frames::Vm::of(&cloud, "A1")?, frames::Vm::of(&cloud, "B2")?);
    let gateway = frames::gateway(&cloud, "A1")?;

    let mut s = String::new();
    intro(&mut s, &a1, &b2);
    s.push_str("\n1. A1 asks for the MAC of its gateway. R1 is on every host that needs it, so H1 answers.\n");
    let reply = h1.hop(&mut s, ("A1", "A1"), &a1.arp_request(gateway), START)?;
    let router = frames::sender(&reply)?;

    s.push_str("\n2. A1 pings B2 through the gateway. H1 routes at once and sends the result to H2.\n");
    let t = START + 1_000_000;
    let on_wire = h1.hop(&mut s, ("A1", "tunnel"), &a1.echo_request(router, &b2), t)?;

    s.push_str("\n3. H2 gets the packet already routed. It only puts back the MAC of B2's gateway.\n");
    let at_b2 = h2.hop(&mut s, ("tunnel", "B2"), &on_wire, t + 100_000)?;

    s.push_str("\n4. B2 answers through its own gateway. Now H2 is the one that routes.\n");
    let t = START + 2_000_000;
    let on_wire = h2.hop(&mut s, ("B2", "tunnel"), &frames::echo_reply(&at_b2)?, t)?;

    s.push_str("\n5. H1 delivers the answer to A1.\n");
    let at_a1 = h1.hop(&mut s, ("tunnel", "A1"), &on_wire, t + 100_000)?;
    verify(&at_a1, &a1, &b2)?;
    between(&mut s);
    outside::tell(&mut s, &cloud, (&mut h1, &a1), router)?;

    let dir = fresh_dir()?;
    save(&dir, &[h1, h2])?;
    outro(&mut s, &dir);
    Ok(Answer { out: s, warnings: Vec::new(), status: DONE })
}

fn intro(s: &mut String, a1: &frames::Vm, b2: &frames::Vm) {
    let _ = writeln!(s, "A ping from VM A1 ({}) on host H1 to VM B2 ({}) on host H2.", a1.ip, b2.ip);
    s.push_str("The VMs are on networks A and B, which the distributed router R1 joins.\n\n");
    s.push_str("  A1 --- H1 [R1] ======= VXLAN ======= [R1] H2 --- B2\n");
}

fn between(s: &mut String) {
    s.push_str(
        "\nThe ping is answered. Each way was routed once (TTL 64 -> 63), on the sender's own host; no network\n",
    );
    s.push_str("node was involved, and the fabric saw only DVR MACs, never the router's.\n");
}

fn outro(s: &mut String, dir: &Path) {
    s.push_str("\nAnswered too. Outside only the floating IP was seen, with the MAC of H1's own port there.\n\n");
    let dir = dir.display();
    let _ = writeln!(s, "Captures of every wire, and the cloud file, are in {dir}");
    s.push_str("Each frame explained in full, for instance that of step 2:\n");
    let _ = writeln!(s, "  dvrctl trace --cloud {dir}/cloud.json --host H1 --in A1 \\");
    let _ = writeln!(s, "               --pcap {dir}/H1-A1.pcap --frame 3");
}

/// What reached A1 is the answer it waits for.
fn verify(frame: &[u8], a1: &frames::Vm, b2: &frames::Vm) -> Result<(), Failure> {
    let inner = Decoded::of(frame, 4789).inner;
    let right =
        inner.dst == a1.mac && inner.ip == Some((b2.ip.into(), a1.ip.into())) && inner.payload.contains("echo reply");
    if right { Ok(()) } else { Err(Failure::new(format!("demo: A1 received something else: {}", inner.line()))) }
}

/// A folder that was not there before.
fn fresh_dir() -> Result<PathBuf, Failure> {
    let base = std::env::temp_dir();
    let mut last = None;
    for n in 0..1000 {
        let dir = base.join(format!("dvrctl-demo-{}-{n}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(e) => last = Some(e),
        }
    }
    let why = last.map_or_else(String::new, |e| format!(": {e}"));
    Err(Failure::new(format!("no folder can be made under {}{why}", base.display())))
}

fn save(dir: &Path, nodes: &[Node<'_>]) -> Result<(), Failure> {
    let write = |name: String, bytes: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, bytes).map_err(|e| Failure::new(format!("{}: cannot be written: {e}", path.display())))
    };
    write("cloud.json".to_owned(), CLOUD.as_bytes())?;
    for node in nodes {
        for (port, capture) in &node.wires {
            write(format!("{}-{port}.pcap", node.name), &capture.to_pcap())?;
        }
    }
    Ok(())
}

/// Of the demo's tests.
#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::addr::MacAddr;

    fn short(frame: &[u8]) -> String {
        Decoded::of(frame, 4789).line()
    }

    #[test]
    fn frames_are_well_formed() {
        let cloud = Cloud::from_json(CLOUD, "T").unwrap();
        let (a1, b2) = (frames::Vm::of(&cloud, "A1").unwrap(), frames::Vm::of(&cloud, "B2").unwrap());
        let gateway = frames::gateway(&cloud, "A1").unwrap();
        assert_eq!(gateway.to_string(), "10.1.0.1");
        assert!(short(&a1.arp_request(gateway)).contains("who has 10.1.0.1? tell 10.1.0.11"));
        let router = MacAddr::new([0xfa, 0x16, 0x3e, 0x0a, 0, 1]);
        let request = a1.echo_request(router, &b2);
        assert!(short(&request).contains("10.1.0.11 > 10.2.0.12, TTL 64, ICMP echo request 1"), "{}", short(&request));
        let reply = frames::echo_reply(&request).unwrap();
        assert!(short(&reply).contains("10.2.0.12 > 10.1.0.11, TTL 64, ICMP echo reply 1"), "{}", short(&reply));
        for frame in [&request, &reply] {
            assert_eq!(dataplane::wire::checksum(&frame[14..34]), 0);
            assert_eq!(dataplane::wire::checksum(&frame[34..]), 0);
        }
        assert_eq!(frames::sender(&request).unwrap(), a1.mac);
    }
}
