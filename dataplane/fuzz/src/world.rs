//! The hosts that frames are sent into: made once, and put back to how they began after each input.

use crate::check::{self, Frame};
use crate::facts::Facts;
use crate::input::Input;
use control::host::{Dropped, Host, TUNNEL, Totals, Workers};
use control::model::{AddressPair, Cloud, FixedIp, IpNet, Network, NetworkType, Port, PortStatus, Route};
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
/// Inputs begin at multiples of it, so that it does not matter which: seconds count (L4), and what repeats (V4).
const BEGIN: u64 = 60 * SECOND;
/// Drops of single fragments of a packet.
const LOSSES: [&str; 5] = ["drop.no_frame", "drop.tx_full", "drop.handoff_full", "drop.mtu", "drop.port_down"];
/// All that frames teach is forgotten this long after the last one; what repeats for ever goes on.
const FORGOTTEN: u64 = 400 * SECOND;
/// When a host's clock has run for this long there is a new one.
const LATE: u64 = u64::MAX / 2;

/// A host of the reference cloud, and what is done to the cloud first.
pub type Variant = (&'static str, fn(&mut Cloud));

/// Host, and what is different from the reference cloud.
pub const VARIANTS: [Variant; 8] = [
    ("H1", |_| {}),
    ("H1", open),
    ("H1", loose),
    ("H3", |_| {}),
    ("H3", open),
    ("H2", loose),
    ("H1", outside),
    ("H2", outside),
];

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

/// More of physical networks: H1 is the gateway of V's machines, V is in the scope of the outside and has a floating
/// IP, B is flat, a VM is on the external network, MTUs differ.
fn outside(cloud: &mut Cloud) {
    let mut network =
        |id: &str, change: &dyn Fn(&mut Network)| change(cloud.networks.get_mut(id).expect("it is there"));
    let scope = Some("world".to_owned());
    network("V", &|n| (n.dvrd.phys_gw_host, n.ipv4_address_scope) = (Some("H1".to_owned()), scope.clone()));
    network("X", &|n| (n.mtu, n.ipv4_address_scope) = (1200, scope.clone()));
    network("C", &|n| n.mtu = 1000);
    network("B", &|n| {
        (n.provider_network_type, n.provider_segmentation_id) = (NetworkType::Flat, None);
        (n.provider_physical_network, n.mtu) = (Some("physnet1".to_owned()), 576);
    });
    let fip = cloud.floatingips.get_mut("fip-104").expect("it is there");
    (fip.port_id, fip.fixed_ip_address) = (Some("V1".to_owned()), "10.3.0.11".parse().ok());
    let mut vm = cloud.ports["Z1"].clone();
    (vm.id, vm.name, vm.network_id) = ("X1".to_owned(), "X1".to_owned(), "X".to_owned());
    (vm.mac_address, vm.security_groups) = (MacAddr::new([0xfa, 0x16, 0x3e, 0x99, 0, 0x11]), Vec::new());
    vm.fixed_ips[0] = FixedIp { subnet_id: "X-v4".to_owned(), ip_address: "203.0.113.50".parse().expect("an address") };
    cloud.ports.insert("X1".to_owned(), vm);
}

/// A frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// By this port.
    pub port: String,
    /// All of it.
    pub bytes: Vec<u8>,
    /// When it was caused, ns since the input began.
    pub time: u64,
}

impl Sent {
    fn frame(&self) -> Frame<'_> {
        Frame { port: &self.port, bytes: &self.bytes, time: self.time }
    }
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

/// A bound of each worker was met (R7-probe, ICMP): with more workers later.
fn limited(moved: &Moved) -> bool {
    moved.iter().any(|(name, _)| matches!(name.as_str(), "drop.neigh_queue_full" | "event.icmp_limited"))
}

/// Counters that moved, and by how much.
pub type Moved = Vec<(String, u64)>;

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
        if input.items.iter().skip(1).all(|i| i.gap == 0) && ![&moved, &moved3].into_iter().any(limited) {
            let sums = |all: &Moved| all.iter().filter(|(k, _)| !k.starts_with("stage.")).cloned().collect::<Moved>();
            assert_eq!(sums(&moved), sums(&moved3), "counters depend on the number of workers");
            let sorted = |all: &[Sent]| {
                let mut all: Vec<Sent> = all.to_vec();
                all.sort();
                all
            };
            assert_eq!(sorted(&sent), sorted(&sent3), "what is sent depends on the number of workers");
        }
        let times = times(&frames);
        let came = frames.iter().zip(&times);
        let story: Vec<Frame<'_>> = came.map(|((port, bytes, _), time)| Frame { port, bytes, time: *time }).collect();
        for s in sent.iter().chain(&sent3) {
            check::sent(&self.facts, &story, &s.frame());
        }
        let lost = |moved: &Moved| moved.iter().any(|(name, _)| LOSSES.contains(&name.as_str()));
        for (sent, _) in [(&sent, &moved), (&sent3, &moved3)].iter().filter(|(_, moved)| !lost(moved)) {
            for of_port in sent.chunk_by(|a, b| a.port == b.port) {
                check::fragments(&self.facts, &story, &of_port.iter().map(Sent::frame).collect::<Vec<_>>());
            }
        }
    }

    /// Every frame traced; its way has words, and they are printable.
    pub fn explain(&mut self, input: &Input) {
        let mut now = self.one.begin();
        for item in &input.items {
            now += item.wait();
            self.one.run_to(now);
            let door = self.door(item.door).to_owned();
            let host = &mut self.one.host;
            let (explanation, sent) = control::explain::trace(host, self.name, &door, &item.bytes, now);
            let text = explanation.text();
            let bad = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(bad, None, "{text:?}");
            assert!(explanation.outcome.len() >= sent.len().max(1), "a frame without an end:\n{text}");
        }
        self.one.host.settle(now);
        self.one.forget();
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
        let mut host = Host::with_workers(cloud.clone(), name, umem, workers).expect("the variants fit a host");
        host.start_clock(0);
        let before = host.totals();
        Player { host, burst, before, keeps_drops: false, now: 0 }
    }

    /// When the next input begins.
    fn begin(&mut self) -> u64 {
        let start = (self.now + PAUSE).next_multiple_of(BEGIN);
        self.run_to(start);
        self.host.drain_sent(&mut |_, _, _| {});
        self.before = self.host.totals();
        start
    }

    /// All that is due up to `now`, each at its time.
    fn run_to(&mut self, now: u64) {
        while let Some(due) = self.host.next_timer().filter(|due| *due <= now) {
            self.host.run_timers(due);
        }
        self.host.run_timers(now);
        self.now = now;
    }

    /// All frames, at their times, and then until everything is forgotten; what moved, and what was sent, port by port.
    fn play(&mut self, frames: &[(String, &[u8], u64)]) -> (Moved, Vec<Sent>) {
        let start = self.begin();
        let times = times(frames);
        for ((port, bytes, wait), time) in frames.iter().zip(&times) {
            if *wait > 1 {
                self.host.settle(self.now);
                self.run_to(start + time);
            }
            self.now = start + time;
            self.host.receive(port, bytes, self.now, self.burst);
        }
        self.host.settle(self.now);
        self.forget();
        let mut sent = Vec::new();
        self.host.drain_sent(&mut |port, bytes, time| {
            sent.push(Sent { port: port.to_owned(), bytes: bytes.to_vec(), time: time - start });
        });
        // Within a port the order counts.
        sent.sort_by(|a, b| a.port.cmp(&b.port));
        let dropped = self.host.take_dropped();
        let moved = self.books(frames.len() as u64, sent.len() as u64);
        if self.keeps_drops {
            captured(&dropped, frames, &times, start, &moved);
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
        moved
    }

    /// Everything that waits comes to its end and what was learned is forgotten; no buffer may be missing.
    fn forget(&mut self) {
        self.run_to(self.now + FORGOTTEN);
        assert!(!self.host.pending(), "something waits for ever");
        let again = self.host.next_timer().is_none_or(|t| t <= self.now.next_multiple_of(BEGIN));
        assert!(again, "something learned outlived its time");
        assert_eq!(self.host.totals().held, 0, "a packet is held for ever");
        let (free, total) = self.host.frames();
        assert_eq!(free, total, "packet buffers leaked");
    }
}

/// When frames come in, ns since the input began: each at a time of its own.
fn times(frames: &[(String, &[u8], u64)]) -> Vec<u64> {
    let mut now = 0;
    let next = |(_, _, wait): &(String, &[u8], u64)| {
        now += wait;
        now
    };
    frames.iter().map(next).collect()
}

/// Every frame dropped is kept, as it came in by its port, with its time or, if it waited for a neighbour, that of its
/// end; of an answer made here, as it was made.
fn captured(dropped: &[Dropped], frames: &[(String, &[u8], u64)], times: &[u64], start: u64, moved: &Moved) {
    let count = |name: &str| moved.iter().find(|(k, _)| k == name).map_or(0, |(_, n)| *n);
    assert_eq!(dropped.len() as u64, count("dropped"), "drops and records of drops differ: {moved:?}");
    for d in dropped {
        let time = d.time - start;
        let cause = times.binary_search(&time).ok();
        // What waits does so for 3 s at most (R7-probe).
        let waited = (0..times.len()).filter(|n| times[*n] <= time && time - times[*n] <= 3 * SECOND);
        let as_received = |n: &usize| {
            let (port, bytes, _) = &frames[*n];
            let cut = bytes.len().min(MAX_FRAME);
            d.port == *port && d.len as usize == bytes.len() && d.bytes == bytes[..cut]
        };
        if cause.iter().copied().chain(waited).any(|n| as_received(&n)) {
            continue;
        }
        // A fragment made here (R8-icmp): of the cause's bytes, behind the headers and whatever sums they carry.
        let behind = d.bytes.get(14 + usize::from(d.bytes[14] & 15) * 4 + 20..).unwrap_or_default();
        let part = |n: &usize| frames[*n].1.windows(behind.len().max(1)).any(|w| w == behind);
        let copied = count("copied") > 0 && !behind.is_empty();
        if copied && (0..frames.len()).filter(|n| frames[*n].0 == d.port).any(|n| part(&n)) {
            continue;
        }
        // Loose: of an answer that was dropped it is the answer's bytes, which nothing else tells of.
        let (port, ..) = cause.map(|n| &frames[n]).expect("a frame dropped has the time of the one that caused it");
        assert!(d.port == *port && count("generated") > 0, "not as received: {d:?}");
    }
}

/// What grew between two states of the books, by name, in one order. Walks both: names are compared by the thousand
/// otherwise, and libFuzzer looks at every compare.
pub fn grown(now: &Totals, before: &Totals) -> Moved {
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
