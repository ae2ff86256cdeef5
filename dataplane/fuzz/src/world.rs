//! The hosts that frames are sent into: made once, and put back to how they began after each input.

use crate::check;
use crate::facts::Facts;
use crate::input::Input;
use control::host::{Host, TUNNEL, Totals};
use control::model::{AddressPair, Cloud, IpNet, Port, PortStatus, Route};
use dataplane::addr::MacAddr;
use dataplane::umem::Umem;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Frames of a host's packet memory: a burst of 64 floods fits.
const FRAMES: usize = 1024;
/// When an input begins, ns.
const START: u64 = 1_000_000_000;

/// Host, and what is different from the reference cloud.
pub const VARIANTS: [(&str, fn(&mut Cloud)); 6] =
    [("H1", |_| {}), ("H1", open), ("H1", loose), ("H3", |_| {}), ("H3", open), ("H2", loose)];

/// No port has port security, unknown unicast is flooded.
fn open(cloud: &mut Cloud) {
    cloud.settings.flood_unknown = Some(true);
    for port in cloud.ports.values_mut() {
        port.port_security_enabled = false;
        port.allowed_address_pairs.clear();
        port.security_groups.clear();
    }
}

/// Everything else that rules ask about: VTEPs not checked, a VLAN-transparent network, a port down, a virtual
/// MAC, open address pairs, two routers that send everything to each other.
fn loose(cloud: &mut Cloud) {
    let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
    let net = |text: &str| IpNet::parse_strict(text).expect("a prefix");
    cloud.settings.strict_vtep = false;
    cloud.networks.get_mut("B").expect("B").vlan_transparent = true;
    for (router, via) in [("R1", "10.9.0.2"), ("R2", "10.9.0.1")] {
        let router = cloud.routers.get_mut(router).expect("the reference cloud has it");
        router.routes = vec![Route { destination: net("0.0.0.0/0"), nexthop: ip(via) }];
    }
    let mut port = |id: &str, change: &dyn Fn(&mut Port)| change(cloud.ports.get_mut(id).expect("the reference cloud has it"));
    let pair = |mac, prefix| AddressPair { ip_address: net(prefix), mac_address: mac };
    let vrrp = MacAddr::new([0, 0, 0x5e, 0, 1, 0x32]);
    port("A3", &|p| p.allowed_address_pairs = vec![pair(vrrp, "10.1.0.50/32"), pair(vrrp, "fd00:a::/64")]);
    port("A2", &|p| p.allowed_address_pairs = vec![pair(vrrp, "10.1.0.50/32")]);
    port("B1", &|p| p.allowed_address_pairs = vec![pair(p.mac_address, "0.0.0.0/0"), pair(p.mac_address, "::/0")]);
    port("K1", &|p| p.status = PortStatus::Down);
}

/// A frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By this port.
    pub port: String,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Number of the frame of the input that caused it.
    pub cause: usize,
}

/// A host of one variant, twice: one takes frames one by one, one in bursts of 64.
pub struct World {
    name: &'static str,
    facts: Facts,
    doors: Vec<String>,
    one: Player,
    many: Player,
}

/// A host and its counters up to the input at hand.
struct Player {
    host: Host<'static>,
    burst: usize,
    before: BTreeMap<String, u64>,
}

thread_local! {
    static WORLDS: RefCell<[Option<World>; VARIANTS.len()]> = const { RefCell::new([const { None }; VARIANTS.len()]) };
}

/// Hands over the world of a variant, taken modulo their number.
pub fn with<T>(variant: u8, f: impl FnOnce(&mut World) -> T) -> T {
    let n = usize::from(variant) % VARIANTS.len();
    WORLDS.with_borrow_mut(|worlds| f(worlds[n].get_or_insert_with(|| World::new(n))))
}

impl World {
    fn new(variant: usize) -> World {
        let (name, change) = VARIANTS[variant];
        let mut cloud = Cloud::from_json(crate::REFERENCE, "cloud.json").expect("the reference cloud");
        change(&mut cloud);
        let facts = Facts::new(&cloud, name);
        let doors = doors(&cloud, name, &facts);
        World { name, facts, doors, one: Player::new(&cloud, name, 1), many: Player::new(&cloud, name, 64) }
    }

    /// Where frames can come in, in the order that [`crate::input::Item::door`] counts: local ports by id, the
    /// tunnel four times (half of the pipeline is behind it), physical networks, and a port of another host.
    pub fn doors(&self) -> &[String] {
        &self.doors
    }

    fn door(&self, door: u8) -> &str {
        &self.doors[usize::from(door) % self.doors.len()]
    }

    /// Through both hosts; everything that must hold does.
    pub fn both(&mut self, input: &Input) {
        let frames: Vec<(String, &[u8], u64)> =
            input.items.iter().map(|i| (self.door(i.door).to_owned(), &i.bytes[..], i.wait())).collect();
        let (moved, sent) = self.one.play(&frames);
        let (moved64, sent64) = self.many.play(&frames);
        assert_eq!(moved, moved64, "counters depend on the burst size");
        assert_eq!(sent, sent64, "what is sent depends on the burst size");
        for s in &sent {
            let (port, bytes, _) = &frames[s.cause];
            check::sent(&self.facts, port, bytes, &s.port, &s.bytes);
        }
    }

    /// Every frame traced; its way has words, and they are printable.
    pub fn explain(&mut self, input: &Input) {
        let mut now = START;
        for item in &input.items {
            now += item.wait();
            let door = self.door(item.door).to_owned();
            let host = &mut self.one.host;
            host.run_timers(now);
            let (explanation, sent) = control::explain::trace(host, self.name, &door, &item.bytes, now);
            let text = explanation.text();
            let bad = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(bad, None, "{text:?}");
            assert!(explanation.outcome.len() >= sent.len().max(1), "a frame without an end:\n{text}");
        }
        self.one.reset();
    }
}

fn doors(cloud: &Cloud, name: &str, facts: &Facts) -> Vec<String> {
    let local = facts.ports.keys().cloned();
    let tunnel = std::iter::repeat_n(TUNNEL.to_owned(), 4);
    let phys = cloud.hosts[name].bridge_mappings.keys().cloned();
    local.chain(tunnel).chain(phys).chain(["B2".to_owned(), "A4".to_owned()]).collect()
}

impl Player {
    // The one place that makes hosts.
    fn new(cloud: &Cloud, name: &str, burst: usize) -> Player {
        let umem = Box::leak(Box::new(Umem::new(FRAMES)));
        let host = Host::new(cloud.clone(), name, umem).expect("the variants fit a host");
        let before = counters(&host.totals());
        Player { host, burst, before }
    }

    /// All frames, at their times; what moved, and what was sent, port by port.
    fn play(&mut self, frames: &[(String, &[u8], u64)]) -> (BTreeMap<String, u64>, Vec<Sent>) {
        let mut now = START;
        let mut times = Vec::new();
        for (port, bytes, wait) in frames {
            if *wait > 1 {
                self.host.settle(now);
                now += wait;
                self.host.run_timers(now);
            } else {
                now += 1;
            }
            times.push(now);
            self.host.receive(port, bytes, now, self.burst);
        }
        self.host.settle(now);
        let mut sent = Vec::new();
        self.host.drain_sent(&mut |port, bytes, time| {
            let cause = times.binary_search(&time).expect("a frame sent has the time of the one that caused it");
            sent.push(Sent { port: port.to_owned(), bytes: bytes.to_vec(), cause });
        });
        // Within a port the order counts.
        sent.sort_by(|a, b| a.port.cmp(&b.port));
        (self.books(frames.len() as u64, sent.len() as u64), sent)
    }

    /// What the counters say of this input, which must add up.
    fn books(&mut self, frames: u64, sent: u64) -> BTreeMap<String, u64> {
        let now = counters(&self.host.totals());
        let mut moved = now.clone();
        for (name, n) in &mut moved {
            *n -= self.before.get(name).copied().unwrap_or(0);
        }
        moved.retain(|_, n| *n != 0);
        self.before = now;
        let n = |name: &str| moved.get(name).copied().unwrap_or(0);
        assert_eq!(n("received"), frames, "frames received and frames counted differ: {moved:?}");
        assert_eq!(n("sent"), sent, "frames sent and frames counted differ: {moved:?}");
        let ends = n("sent") + n("dropped") + n("consumed") + n("held");
        assert_eq!(n("received") + n("generated") + n("copied"), ends, "the books do not balance: {moved:?}");
        let drops: u64 = moved.iter().filter(|(k, _)| k.starts_with("drop.")).map(|(_, n)| n).sum();
        assert_eq!(n("dropped"), drops, "a drop without a reason: {moved:?}");
        assert_eq!(n("drop.internal"), 0, "a defect in dvrd: {moved:?}");
        self.reset();
        moved
    }

    /// Forgets what was learned; no buffer may be missing.
    fn reset(&mut self) {
        self.host.run_timers(u64::MAX);
        assert_eq!(self.host.next_timer(), None, "something learned outlived its time");
        let (free, total) = self.host.frames();
        assert_eq!(free, total, "packet buffers leaked");
    }
}

fn counters(t: &Totals) -> BTreeMap<String, u64> {
    let sums = [
        ("received", t.received),
        ("generated", t.generated),
        ("copied", t.copied),
        ("sent", t.sent),
        ("dropped", t.dropped),
        ("consumed", t.consumed),
        ("held", t.held),
    ];
    let mut all: BTreeMap<String, u64> = sums.iter().map(|(k, n)| ((*k).to_owned(), *n)).collect();
    all.extend(t.drops.iter().map(|(k, n)| (format!("drop.{k}"), *n)));
    all.extend(t.counters.iter().map(|(k, n)| (format!("event.{k}"), *n)));
    for (port, n) in &t.ports {
        all.extend([(format!("port.{port}.rx"), n.rx), (format!("port.{port}.tx"), n.tx)]);
    }
    for (stage, _, packets, dropped, consumed) in &t.stages {
        let name = |what: &str| format!("stage.{stage}.{what}");
        all.extend([(name("packets"), *packets), (name("dropped"), *dropped), (name("consumed"), *consumed)]);
    }
    all
}

