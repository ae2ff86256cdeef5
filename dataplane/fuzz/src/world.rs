//! The hosts that frames are sent into: made once, and put back to how they began after each input.

use crate::check;
use crate::facts::Facts;
use crate::input::Input;
use control::host::{Dropped, Host, TUNNEL, Totals, Workers};
use control::model::{AddressPair, Cloud, IpNet, Port, PortStatus, Route};
use dataplane::addr::MacAddr;
use dataplane::umem::{MAX_FRAME, Umem};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Frames of a host's packet memory: a burst of 64 floods fits.
const FRAMES: usize = 1024;
/// A second of the clock, ns.
const SECOND: u64 = 1_000_000_000;
/// Time between two inputs: what limits rates has forgotten the one before.
const PAUSE: u64 = 10 * SECOND;
/// When a host's clock has run for this long there is a new one.
const LATE: u64 = u64::MAX / 2;

/// A host of the reference cloud, and what is done to the cloud first.
pub type Variant = (&'static str, fn(&mut Cloud));

/// Host, and what is different from the reference cloud.
pub const VARIANTS: [Variant; 6] =
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
    let mut port =
        |id: &str, change: &dyn Fn(&mut Port)| change(cloud.ports.get_mut(id).expect("the reference cloud has it"));
    let pair = |mac, prefix| AddressPair { ip_address: net(prefix), mac_address: mac };
    let vrrp = MacAddr::new([0, 0, 0x5e, 0, 1, 0x32]);
    port("A3", &|p| p.allowed_address_pairs = vec![pair(vrrp, "10.1.0.50/32"), pair(vrrp, "fd00:a::/64")]);
    port("A2", &|p| p.allowed_address_pairs = vec![pair(vrrp, "10.1.0.50/32")]);
    port("B1", &|p| p.allowed_address_pairs = vec![pair(p.mac_address, "0.0.0.0/0"), pair(p.mac_address, "::/0")]);
    port("K1", &|p| p.status = PortStatus::Down);
}

/// A frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// By this port.
    pub port: String,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Number of the frame of the input that caused it.
    pub cause: usize,
}

/// A host of one variant, three times: one takes frames one by one, one in bursts of 64, one shares them
/// among three workers and keeps what it drops.
pub struct World {
    name: &'static str,
    facts: Facts,
    doors: Vec<String>,
    one: Player,
    many: Player,
    team: Player,
}

/// Counters that moved, and by how much.
type Moved = Vec<(String, u64)>;

/// A host and its counters up to the input at hand.
struct Player {
    host: Host<'static>,
    burst: usize,
    before: Totals,
    keeps_drops: bool,
    /// Of the last frame.
    now: u64,
}

thread_local! {
    static WORLDS: RefCell<[Option<World>; VARIANTS.len()]> = const { RefCell::new([const { None }; VARIANTS.len()]) };
}

/// Hands over the world of a variant, taken modulo their number.
pub fn with<T>(variant: u8, f: impl FnOnce(&mut World) -> T) -> T {
    let n = usize::from(variant) % VARIANTS.len();
    WORLDS.with_borrow_mut(|worlds| {
        worlds[n].take_if(|w| [&w.one, &w.many, &w.team].iter().any(|p| p.now > LATE));
        f(worlds[n].get_or_insert_with(|| World::new(n)))
    })
}

impl World {
    fn new(variant: usize) -> World {
        let (name, change) = VARIANTS[variant];
        let mut cloud = Cloud::from_json(crate::REFERENCE, "cloud.json").expect("the reference cloud");
        change(&mut cloud);
        let facts = Facts::new(&cloud, name);
        let doors = doors(&cloud, name, &facts);
        let one = Player::new(&cloud, name, 1, Workers::ONE);
        let many = Player::new(&cloud, name, 64, Workers::ONE);
        let mut team = Player::new(&cloud, name, 64, Workers { count: 3, seed: 1 });
        team.host.keep_drops();
        team.keeps_drops = true;
        World { name, facts, doors, one, many, team }
    }

    /// Where frames can come in, in the order that [`crate::input::Item::door`] counts: local ports by id, the
    /// tunnel four times (half of the pipeline is behind it), physical networks, and a port of another host.
    pub fn doors(&self) -> &[String] {
        &self.doors
    }

    fn door(&self, door: u8) -> &str {
        &self.doors[usize::from(door) % self.doors.len()]
    }

    /// Through all three; everything that must hold does.
    pub fn all(&mut self, input: &Input) {
        let frames: Vec<(String, &[u8], u64)> =
            input.items.iter().map(|i| (self.door(i.door).to_owned(), &i.bytes[..], i.wait())).collect();
        let (moved, sent) = self.one.play(&frames);
        let (moved64, sent64) = self.many.play(&frames);
        assert_eq!(moved, moved64, "counters depend on the burst size");
        assert_eq!(sent, sent64, "what is sent depends on the burst size");
        let (moved3, sent3) = self.team.play(&frames);
        // Between queues there is no order (W1), so what was learned of a MAC seen in two places may differ; it
        // counts from the next moment on.
        if input.items.iter().skip(1).all(|i| i.gap == 0) {
            let sums = |all: &Moved| all.iter().filter(|(k, _)| !k.starts_with("stage.")).cloned().collect::<Moved>();
            assert_eq!(sums(&moved), sums(&moved3), "counters depend on the number of workers");
            let sorted = |all: &[Sent]| {
                let mut all: Vec<Sent> = all.to_vec();
                all.sort();
                all
            };
            assert_eq!(sorted(&sent), sorted(&sent3), "what is sent depends on the number of workers");
        }
        for s in sent.iter().chain(&sent3) {
            let (port, bytes, _) = &frames[s.cause];
            check::sent(&self.facts, port, bytes, &s.port, &s.bytes);
        }
    }

    /// Every frame traced; its way has words, and they are printable.
    pub fn explain(&mut self, input: &Input) {
        let mut now = self.one.begin();
        for item in &input.items {
            now += item.wait();
            self.one.now = now;
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
    fn new(cloud: &Cloud, name: &str, burst: usize, workers: Workers) -> Player {
        let umem = Box::leak(Box::new(Umem::new(FRAMES * workers.count)));
        let host = Host::with_workers(cloud.clone(), name, umem, workers).expect("the variants fit a host");
        let before = host.totals();
        Player { host, burst, before, keeps_drops: false, now: 0 }
    }

    /// When the next input begins: at a full second, so that it does not matter which.
    fn begin(&self) -> u64 {
        (self.now + PAUSE).next_multiple_of(SECOND)
    }

    /// All frames, at their times; what moved, and what was sent, port by port.
    fn play(&mut self, frames: &[(String, &[u8], u64)]) -> (Moved, Vec<Sent>) {
        let mut now = self.begin();
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
        self.now = now;
        let mut sent = Vec::new();
        self.host.drain_sent(&mut |port, bytes, time| {
            let cause = times.binary_search(&time).expect("a frame sent has the time of the one that caused it");
            sent.push(Sent { port: port.to_owned(), bytes: bytes.to_vec(), cause });
        });
        // Within a port the order counts.
        sent.sort_by(|a, b| a.port.cmp(&b.port));
        let dropped = self.host.take_dropped();
        let moved = self.books(frames.len() as u64, sent.len() as u64);
        if self.keeps_drops {
            captured(&dropped, frames, &times, &moved);
        }
        (moved, sent)
    }

    /// What the counters say of this input, which must add up.
    fn books(&mut self, frames: u64, sent: u64) -> Moved {
        let now = self.host.totals();
        let was = std::mem::replace(&mut self.before, now);
        let now = &self.before;
        let moved = grown(now, &was);
        assert_eq!(now.received - was.received, frames, "frames received and frames counted differ: {moved:?}");
        assert_eq!(now.sent - was.sent, sent, "frames sent and frames counted differ: {moved:?}");
        let came = |t: &Totals| t.received + t.generated + t.copied;
        let went = |t: &Totals| t.sent + t.dropped + t.consumed + t.held;
        assert_eq!(came(now) - came(&was), went(now) - went(&was), "the books do not balance: {moved:?}");
        let drops = |t: &Totals| t.drops.values().sum::<u64>();
        assert_eq!(now.dropped - was.dropped, drops(now) - drops(&was), "a drop without a reason: {moved:?}");
        assert_eq!(now.drops.get("internal"), None, "a defect in dvrd: {moved:?}");
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

/// Every frame dropped is kept, as it came in by its port; of an answer made here, as it was made.
fn captured(dropped: &[Dropped], frames: &[(String, &[u8], u64)], times: &[u64], moved: &Moved) {
    let count = |name: &str| moved.iter().find(|(k, _)| k == name).map_or(0, |(_, n)| *n);
    assert_eq!(dropped.len() as u64, count("dropped"), "drops and records of drops differ: {moved:?}");
    for d in dropped {
        let cause = times.binary_search(&d.time).expect("a frame dropped has the time of the one that caused it");
        let (port, bytes, _) = &frames[cause];
        assert_eq!(d.port, *port, "dropped at another port: {d:?}");
        if count("generated") == 0 {
            assert_eq!(d.len as usize, bytes.len(), "length as received: {d:?}");
            assert!(bytes.starts_with(&d.bytes), "not as received: {:02x?}\n{:02x?}", d.bytes, bytes);
            assert_eq!(d.bytes.len(), bytes.len().min(MAX_FRAME), "cut: {d:?}");
        }
    }
}

/// What grew between two states of the books, by name, in one order. Walks both: names are compared by the thousand
/// otherwise, and libFuzzer looks at every compare.
fn grown(now: &Totals, before: &Totals) -> Moved {
    let sums = |t: &Totals| {
        let ends = [("sent", t.sent), ("dropped", t.dropped), ("consumed", t.consumed), ("held", t.held)];
        [("received", t.received), ("generated", t.generated), ("copied", t.copied)].into_iter().chain(ends)
    };
    let mut all = Vec::new();
    let mut part =
        |kind: &str, now: &mut dyn Iterator<Item = (&str, u64)>, old: &mut dyn Iterator<Item = (&str, u64)>| {
            let mut old = old.peekable();
            for (name, n) in now {
                let n = n - old.next_if(|(other, _)| *other == name).map_or(0, |(_, n)| n);
                if n != 0 {
                    all.push((format!("{kind}{name}"), n));
                }
            }
            assert_eq!(old.next(), None, "a counter is gone");
        };
    fn map(m: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
        m.iter().map(|(k, n)| (k.as_str(), *n))
    }
    part("", &mut sums(now), &mut sums(before));
    part("drop.", &mut map(&now.drops), &mut map(&before.drops));
    part("event.", &mut map(&now.counters), &mut map(&before.counters));
    part(
        "rx.",
        &mut now.ports.iter().map(|(k, n)| (k.as_str(), n.rx)),
        &mut before.ports.iter().map(|(k, n)| (k.as_str(), n.rx)),
    );
    part(
        "tx.",
        &mut now.ports.iter().map(|(k, n)| (k.as_str(), n.tx)),
        &mut before.ports.iter().map(|(k, n)| (k.as_str(), n.tx)),
    );
    part("stage.", &mut now.stages.iter().map(|s| (s.0, s.2)), &mut before.stages.iter().map(|s| (s.0, s.2)));
    part("stage.drop.", &mut now.stages.iter().map(|s| (s.0, s.3)), &mut before.stages.iter().map(|s| (s.0, s.3)));
    part("stage.end.", &mut now.stages.iter().map(|s| (s.0, s.4)), &mut before.stages.iter().map(|s| (s.0, s.4)));
    all
}
