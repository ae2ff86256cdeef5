//! Frames through dvrd's host and through the oracle, one by one, and the comparison.

use crate::cloud::Facts;
use crate::departures::{self, Expect};
use crate::frames::{Frame, Recipe, make};
use crate::ip;
use crate::world::{In, Out, Sent, World};
use control::host::{FRAMES, Host, TUNNEL};
use control::model::Cloud;
use dataplane::umem::Umem;
use std::collections::BTreeMap;
use std::fmt::Write;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
const START: u64 = 1000 * SECOND;

/// A dump: its cloud, host, and how its oracle is made.
pub struct Dump {
    pub name: &'static str,
    /// Stands for it in lists.
    pub letter: char,
    pub cloud: Cloud,
    pub facts: Facts,
    pub world: fn(&Facts) -> World,
    pub is_seed: bool,
}

/// Sums over all frames.
#[derive(Debug, Default)]
pub struct Counts {
    pub frames: u64,
    /// By flow: bridge and line.
    pub flows: BTreeMap<String, u64>,
    /// By departure.
    pub departures: BTreeMap<&'static str, u64>,
    /// Frames of which both sent something, of which nobody did.
    pub sent: u64,
    pub silent: u64,
}

/// Both sides of one run.
struct Pair<'u, 'd> {
    dump: &'d Dump,
    host: Host<'u>,
    world: World,
    now: u64,
}

/// Runs frames one after the other on a fresh host and a fresh oracle.
pub fn run(dump: &Dump, recipes: &[Recipe], counts: &mut Counts) -> Result<(), String> {
    let mut umem = Umem::new(FRAMES);
    let mut host = Host::new(dump.cloud.clone(), &dump.facts.host, &mut umem).map_err(|e| e.to_string())?;
    host.keep_drops();
    host.start_clock(START);
    host.set_trace(true);
    let mut pair = Pair { dump, host, world: (dump.world)(&dump.facts), now: START };
    for (n, recipe) in recipes.iter().enumerate() {
        let frame = make(&dump.facts, recipe);
        pair.one(&frame, counts).map_err(|e| {
            let earlier = recipes[..n].iter().map(|r| make(&dump.facts, r));
            let earlier: String = earlier.map(|f| format!("\nbefore it {:x?}\n  {}", f.from, show(&f.bytes))).collect();
            format!("{}, frame {n} of {}: {e}{earlier}", dump.name, recipes.len())
        })?;
    }
    let (free, total) = pair.host.frames();
    if free != total {
        return Err(format!("{}: {} buffers lost", dump.name, total - free));
    }
    for b in &pair.world.switch.bridges {
        for flow in b.tables.values().flatten().filter(|f| !f.learned) {
            *counts.flows.entry(format!("{} {}", b.name, flow.text)).or_default() += flow.hits.get();
        }
    }
    Ok(())
}

impl Pair<'_, '_> {
    fn one(&mut self, frame: &Frame, counts: &mut Counts) -> Result<(), String> {
        let before = self.world.switch.learned();
        let known = self.world.known();
        let seen = self.world.receive(&frame.from, &frame.bytes);
        let (facts, came) = (&self.dump.facts, (&frame.from, &*frame.bytes));
        let want = departures::expect(facts, came, &seen, &known, self.dump.is_seed);
        if want.teaches_nothing {
            self.world.switch.forget(&before);
        }
        let (mut got, drops) = self.ours(frame, &want);
        got.sort();
        let fate = want.dropped.is_empty() || drops.iter().any(|d| want.dropped.contains(&d.as_str()));
        let trace = self.host.take_trace();
        if got != want.sent || !fate {
            let mut text = String::new();
            let _ = writeln!(text, "{:?}\n  {}", frame.from, show(&frame.bytes));
            let _ = writeln!(text, "departures {:?}, to be dropped as {:?}", want.names, want.dropped);
            lines(&mut text, "must send", &want.sent);
            lines(&mut text, "sent", &got);
            let _ = writeln!(text, "dropped as {drops:?}");
            lines(&mut text, "oracle sent", &seen.sent);
            let _ = writeln!(text, "oracle's way\n  {}", seen.path.join("\n  "));
            let _ = writeln!(text, "our trace");
            for r in &trace {
                let _ = writeln!(text, "  {}: {:?}", r.stage.name(), r.note);
            }
            return Err(text);
        }
        counts.frames += 1;
        *(if got.is_empty() { &mut counts.silent } else { &mut counts.sent }) += 1;
        want.names.iter().for_each(|n| *counts.departures.entry(n).or_default() += 1);
        Ok(())
    }

    /// What dvrd sends for a frame, and why it dropped what it dropped.
    fn ours(&mut self, frame: &Frame, want: &Expect) -> (Vec<Sent>, Vec<String>) {
        let facts = &self.dump.facts;
        self.now += MS;
        match &frame.from {
            In::Port(id) => self.host.receive(id, &frame.bytes, self.now, 1),
            In::Phys => self.host.receive(facts.phys.as_ref().expect("a NIC"), &frame.bytes, self.now, 1),
            In::Tunnel(vtep, vni) => {
                let outer = encapsulated(*vtep, facts.vtep, *vni, &frame.bytes);
                self.host.receive(TUNNEL, &outer, self.now, 1);
            }
        }
        self.host.settle(self.now);
        if want.waits {
            let end = self.now + 4 * SECOND;
            while let Some(due) = self.host.next_timer().filter(|due| *due <= end) {
                self.host.run_timers(due);
            }
            self.now = end;
        }
        if want.tells {
            self.now += 150 * MS; // ten errors a second and source
        }
        let mut sent = Vec::new();
        self.host.drain_sent(&mut |port, bytes, _| {
            sent.push(match port {
                TUNNEL => decapsulated(facts.vtep, bytes),
                p if Some(p) == facts.phys.as_deref() => (Out::Phys, bytes.to_vec()),
                id => (Out::Port(id.to_owned()), bytes.to_vec()),
            });
        });
        let drops = self.host.take_dropped().iter().map(|d| d.reason.name().to_owned()).collect();
        (sent, drops)
    }
}

fn mac(vtep: u32) -> u64 {
    0x0200_0000_0000 | u64::from(vtep)
}

fn encapsulated(from: u32, to: u32, vni: u64, inner: &[u8]) -> Vec<u8> {
    let mut udp = [50_000u16, 4789, 16 + inner.len() as u16, 0].map(u16::to_be_bytes).concat();
    udp.extend([8, 0, 0, 0]);
    udp.extend(((vni as u32) << 8).to_be_bytes());
    udp.extend(inner);
    let ip = ip::Ip4 { tos: 0, id: 0, frag: ip::DF, ttl: 64, proto: 17, src: from, dst: to };
    ip::ether(mac(to), mac(from), 0x0800, &ip.bytes(&udp))
}

/// # Panics
/// If the outer headers are not those of a VXLAN packet of this host.
fn decapsulated(vtep: u32, frame: &[u8]) -> Sent {
    let (ip, udp) = ip::Ip4::read(&frame[14..]).expect("an outer IPv4 header");
    assert_eq!((ip.src, ip.proto, &udp[2..4]), (vtep, 17, &4789u16.to_be_bytes()[..]), "the outer header");
    assert_eq!((ip::dst(frame), ip::src(frame)), (mac(ip.dst), mac(vtep)), "the outer Ethernet header");
    assert_eq!(udp[8..12], [8, 0, 0, 0], "the VXLAN header");
    (Out::Tunnel(ip.dst, ip::be(udp, 12, 3)), udp[16..].to_vec())
}

fn show(frame: &[u8]) -> String {
    let hex: String = frame.iter().take(96).map(|b| format!("{b:02x}")).collect();
    let addresses = format!("{:012x} > {:012x} {:04x}", ip::src(frame), ip::dst(frame), ip::kind(frame));
    format!("{addresses} {} bytes {hex}", frame.len())
}

fn lines(text: &mut String, head: &str, sent: &[Sent]) {
    let _ = writeln!(text, "{head}");
    for (out, bytes) in sent {
        let _ = writeln!(text, "  {out:x?} {}", show(bytes));
    }
}
