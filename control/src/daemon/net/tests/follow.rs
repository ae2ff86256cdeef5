//! `a` holds the underlay's interface `und0` (10.0.0.1), its veth peer `far0` (10.0.0.2) is in `b`.

use super::super::*;
use super::lab::*;
use dataplane::addr::MacAddr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(8);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn wires(what: &str) -> (Ns, Ns) {
    let (a, b) = (Ns::new(&format!("{what}a")), Ns::new(&format!("{what}b")));
    a.ip(&format!("link add und0 type veth peer name far0 netns {}", b.0));
    a.ip("addr add 10.0.0.1/24 dev und0");
    b.ip("addr add 10.0.0.2/24 dev far0");
    a.ip("link set und0 up");
    b.ip("link set far0 up");
    (a, b)
}

/// What was told, put together.
struct Seen {
    underlay: Underlay,
    events: Receiver<UnderlayEvent>,
    macs: BTreeMap<Ipv4Addr, MacAddr>,
    why: BTreeMap<Ipv4Addr, NoWay>,
    link: Option<(bool, Option<MacAddr>, u32)>,
    log: Vec<(Duration, UnderlayEvent)>,
    start: Instant,
}

impl Seen {
    fn of((underlay, events): (Underlay, Receiver<UnderlayEvent>)) -> Seen {
        let (macs, why) = Default::default();
        Seen { underlay, events, macs, why, link: None, log: Vec::new(), start: Instant::now() }
    }

    fn follow(ns: &Ns, vteps: impl IntoIterator<Item = Ipv4Addr>) -> Seen {
        let seen = Seen::of(Underlay::follow(&ns.open(), "und0", 1024).unwrap());
        seen.underlay.set_vteps(vteps);
        seen
    }

    fn take(&mut self, event: UnderlayEvent) {
        self.log.push((self.start.elapsed(), event.clone()));
        // Only changes may be told.
        match event {
            UnderlayEvent::Link { up, mac, mtu } => assert_ne!(self.link.replace((up, mac, mtu)), Some((up, mac, mtu))),
            UnderlayEvent::Neighbour(NeighbourEvent { vtep, mac: Some(mac) }) => {
                assert_ne!(self.macs.insert(vtep, mac), Some(mac), "{vtep}");
            }
            UnderlayEvent::Neighbour(NeighbourEvent { vtep, mac: None }) => {
                assert!(self.macs.remove(&vtep).is_some(), "{vtep}");
            }
            UnderlayEvent::NoWay { vtep, why: Some(why) } => {
                assert_ne!(self.why.insert(vtep, why.clone()), Some(why), "{vtep}");
            }
            UnderlayEvent::NoWay { vtep, why: None } => assert!(self.why.remove(&vtep).is_some(), "{vtep}"),
        }
    }

    /// Reads on until it is so.
    #[track_caller]
    fn until_in(&mut self, limit: Duration, what: &str, so: impl Fn(&Seen) -> bool) {
        let end = Instant::now() + limit;
        while !so(self) {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => self.take(event),
                Err(_) => panic!("{what}: not within {limit:?}: {:#?}", self.log),
            }
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, so: impl Fn(&Seen) -> bool) {
        self.until_in(SOON, what, so);
    }

    #[track_caller]
    fn mac_becomes(&mut self, vtep: Ipv4Addr, mac: Option<MacAddr>) {
        self.until(&format!("{vtep} is {mac:?}"), |s| s.macs.get(&vtep).copied() == mac);
    }

    /// Nothing more comes for this long.
    #[track_caller]
    fn quiet(&mut self, time: Duration) {
        if let Ok(event) = self.events.recv_timeout(time) {
            panic!("{event:?} after {:#?}", self.log);
        }
    }
}

fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

#[test]
fn a_vtep_on_the_wire_is_resolved_by_the_kernel() {
    if !possible() {
        return;
    }
    let (a, b) = wires("on");
    let mut seen = Seen::follow(&a, [FAR]);
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    assert_eq!(seen.link, Some((true, Some(a.mac("und0")), 1500)));
    assert!(matches!(seen.log[0].1, UnderlayEvent::Link { up: true, .. }), "{:?}", seen.log);
    assert!(seen.start.elapsed() < Duration::from_secs(3), "{:?}", seen.log);
    seen.quiet(Duration::from_millis(500));
    // Another set: the new one is told, what stays is not told again, what goes is not told at all.
    b.ip("addr add 10.0.0.3/24 dev far0");
    seen.underlay.set_vteps([FAR, Ipv4Addr::new(10, 0, 0, 3)]);
    seen.mac_becomes(Ipv4Addr::new(10, 0, 0, 3), Some(b.mac("far0")));
    seen.underlay.set_vteps([]);
    a.ip("neigh flush dev und0");
    seen.quiet(Duration::from_millis(500));
    let stopped = Instant::now();
    seen.underlay.stop();
    assert!(stopped.elapsed() < Duration::from_secs(1));
    assert!(seen.events.recv().is_err());
}

#[test]
fn a_gateway_answers_for_what_is_behind_it() {
    if !possible() {
        return;
    }
    let (a, b) = wires("gw");
    let vtep = Ipv4Addr::new(10, 9, 0, 5);
    let mut seen = Seen::follow(&a, [vtep]);
    seen.until("no route", |s| matches!(s.why.get(&vtep), Some(NoWay::NoRoute(_))));
    assert!(seen.why[&vtep].to_string().starts_with("the kernel has no route to it (Network is unreachable"));
    a.ip("route add 10.9.0.0/16 via 10.0.0.2");
    seen.mac_becomes(vtep, Some(b.mac("far0")));
    assert_eq!(seen.why, BTreeMap::new());
    // Another gateway, and a more specific route.
    let other = mac("02:00:00:00:00:33");
    a.ip(&format!("neigh add 10.0.0.3 lladdr {other} nud permanent dev und0"));
    a.ip("route replace 10.9.0.0/16 via 10.0.0.3");
    seen.mac_becomes(vtep, Some(other));
    a.ip("route add 10.9.0.5/32 via 10.0.0.2");
    seen.mac_becomes(vtep, Some(b.mac("far0")));
    a.ip("route del 10.9.0.5/32");
    seen.mac_becomes(vtep, Some(other));
    // A rule that sends it elsewhere.
    a.ip("rule add to 10.9.0.5 unreachable");
    seen.until("unreachable", |s| matches!(s.why.get(&vtep), Some(NoWay::NoRoute(_))));
    seen.mac_becomes(vtep, None);
    a.ip("rule del to 10.9.0.5 unreachable");
    seen.mac_becomes(vtep, Some(other));
    a.ip("route del 10.9.0.0/16");
    seen.mac_becomes(vtep, None);
}

#[test]
fn an_ipv6_gateway_to_an_ipv4_vtep() {
    if !possible() {
        return;
    }
    let (a, b) = wires("v6");
    let vtep = Ipv4Addr::new(10, 9, 0, 5);
    a.ip("-6 addr add fd00::1/64 dev und0 nodad");
    b.ip("-6 addr add fd00::2/64 dev far0 nodad");
    a.ip("route add 10.9.0.0/16 via inet6 fd00::2 dev und0");
    let mut seen = Seen::follow(&a, [vtep]);
    seen.mac_becomes(vtep, Some(b.mac("far0")));
}

#[test]
fn what_has_no_way_by_the_underlay_is_named() {
    if !possible() {
        return;
    }
    let (a, _b) = wires("no");
    a.ip("link add other0 type veth peer name other1");
    a.ip("link set other1 up");
    a.ip("addr add 10.5.0.1/24 dev other0");
    a.ip("link set other0 up");
    a.ip("route add blackhole 10.6.0.0/16");
    let at = |o: [u8; 4]| Ipv4Addr::from(o);
    let (other, own, all, hole) = (at([10, 5, 0, 9]), at([10, 0, 0, 1]), at([10, 0, 0, 255]), at([10, 6, 0, 1]));
    let mut seen = Seen::follow(&a, [other, own, all, hole]);
    seen.until("all four", |s| s.why.len() == 4);
    assert_eq!(seen.why[&other], NoWay::OtherInterface("other0".to_owned()));
    assert_eq!(seen.why[&own], NoWay::NotAHost("an address of this machine"));
    assert_eq!(seen.why[&all], NoWay::NotAHost("no single machine"));
    assert!(matches!(seen.why[&hole], NoWay::NoRoute(_)), "{:?}", seen.why);
    assert_eq!(
        seen.why[&other].to_string(),
        "the route to it leaves by other0, not by the underlay's interface; correct the route or [underlay]"
    );
    // The kernel tells nobody about the routes that go with an interface.
    a.ip("route add default dev und0");
    a.ip("link set other0 down");
    seen.until("by the default route", |s| !s.why.contains_key(&other));
    // Nobody answers; only the kernel's own neighbour says so, and dvrd nothing.
    seen.quiet(Duration::from_secs(1));
    assert!(a.ip("neigh show 10.5.0.9 dev und0").contains("INCOMPLETE"), "{}", a.ip("neigh"));
}

#[test]
fn a_peer_that_gets_another_mac() {
    if !possible() {
        return;
    }
    let (a, b) = wires("ch");
    b.sysctl("ipv4/conf/far0/arp_notify", "1");
    let mut seen = Seen::follow(&a, [FAR]);
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    std::thread::sleep(Duration::from_millis(1200)); // locktime: a second address within 1 s is not believed
    b.ip("link set far0 address 02:00:00:00:00:99");
    seen.until("the new one", |s| s.macs.get(&FAR) == Some(&mac("02:00:00:00:00:99")));
    // By hand, and for good.
    a.ip("neigh replace 10.0.0.2 lladdr 02:00:00:00:00:77 nud permanent dev und0");
    seen.mac_becomes(FAR, Some(mac("02:00:00:00:00:77")));
    seen.quiet(Duration::from_secs(2));
    assert!(a.ip("neigh show 10.0.0.2").contains("PERMANENT"));
}

/// Nothing of the kernel's own goes to the VTEP: without a reminder the entry would stay stale, and the wrong address
/// with it, for ever.
#[test]
fn a_peer_that_gets_another_mac_and_does_not_say_so() {
    if !possible() {
        return;
    }
    let (a, b) = wires("qu");
    for (key, value) in
        [("base_reachable_time_ms", "3000"), ("delay_first_probe_time", "1"), ("retrans_time_ms", "200")]
    {
        a.sysctl(&format!("ipv4/neigh/und0/{key}"), value);
    }
    let mut seen = Seen::follow(&a, [FAR]);
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    // Stale, which only a reminder ends.
    let end = Instant::now() + Duration::from_secs(15);
    while !a.ip("neigh show 10.0.0.2").contains("STALE") {
        assert!(Instant::now() < end, "{}", a.ip("neigh"));
        std::thread::sleep(Duration::from_millis(100));
    }
    b.ip("link set far0 address 02:00:00:00:00:55");
    seen.until_in(Duration::from_secs(30), "the new one", |s| s.macs.get(&FAR) == Some(&mac("02:00:00:00:00:55")));
}

#[test]
fn an_entry_that_is_deleted_comes_back() {
    if !possible() {
        return;
    }
    let (a, b) = wires("de");
    let mut seen = Seen::follow(&a, [FAR]);
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    let told = seen.log.len();
    // Nobody answers now, so it stays away.
    b.ip("link set far0 arp off");
    a.ip("neigh del 10.0.0.2 dev und0");
    seen.mac_becomes(FAR, None);
    b.ip("link set far0 arp on");
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    assert_eq!(seen.log.len(), told + 2, "{:?}", seen.log);
}

#[test]
fn the_interface_goes_down_comes_up_goes_away_and_comes_again() {
    if !possible() {
        return;
    }
    let (a, b) = wires("dn");
    let mut seen = Seen::follow(&a, [FAR]);
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    let own = a.mac("und0");
    // Its peer goes down: no carrier.
    b.ip("link set far0 down");
    seen.until("no carrier", |s| s.link == Some((false, Some(own), 1500)));
    seen.mac_becomes(FAR, None);
    b.ip("link set far0 up");
    seen.until("carrier", |s| s.link == Some((true, Some(own), 1500)));
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    a.ip("link set und0 down");
    seen.until("down", |s| s.link == Some((false, Some(own), 1500)));
    seen.mac_becomes(FAR, None);
    a.ip("link set und0 address 02:00:00:00:00:01 up");
    seen.until("another MAC", |s| s.link == Some((true, Some(mac("02:00:00:00:00:01")), 1500)));
    a.ip("link set und0 mtu 1400");
    seen.until("another MTU", |s| s.link == Some((true, Some(mac("02:00:00:00:00:01")), 1400)));
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    a.ip("link del und0");
    seen.until("gone", |s| s.link == Some((false, None, 0)) && s.why.get(&FAR) == Some(&NoWay::NoInterface));
    seen.mac_becomes(FAR, None);
    a.ip(&format!("link add und0 type veth peer name far0 netns {}", b.0));
    a.ip("addr add 10.0.0.1/24 dev und0");
    b.ip("addr add 10.0.0.2/24 dev far0");
    b.ip("link set far0 up");
    a.ip("link set und0 up");
    seen.mac_becomes(FAR, Some(b.mac("far0")));
    assert_eq!((seen.link, &seen.why), (Some((true, Some(a.mac("und0")), 1500)), &BTreeMap::new()));
}

#[test]
fn two_hundred_vteps() {
    if !possible() {
        return;
    }
    let (a, b) = wires("200");
    let vteps: Vec<Ipv4Addr> = (1..=200).map(|n| Ipv4Addr::new(10, 0, 1, n)).collect();
    a.ip("route add 10.0.1.0/24 dev und0");
    b.batch(vteps.iter().map(|v| format!("addr add {v}/32 dev far0")));
    let mut seen = Seen::follow(&a, vteps.iter().copied());
    seen.until("all", |s| s.macs.len() == 200);
    let far = b.mac("far0");
    assert!(seen.macs.values().all(|m| *m == far));
    // 50 each tenth of a second, and the first 50 just before the next tenth.
    assert!(seen.log.last().unwrap().0 >= Duration::from_millis(200), "{:?}", seen.log.last());
    // All at once by hand.
    let by_hand = mac("02:00:00:00:00:44");
    a.batch(vteps.iter().map(|v| format!("neigh replace {v} lladdr {by_hand} nud permanent dev und0")));
    seen.until("all by hand", |s| s.macs.values().all(|m| *m == by_hand));
    assert_eq!(seen.macs.len(), 200);
}

/// The kernel has room for a few notifications only: most of the storm is lost, and with it, most times, what is about
/// the VTEP at its end.
#[test]
fn lost_notifications_lose_nothing() {
    if !possible() {
        return;
    }
    let (a, _b) = wires("en");
    a.ip(&format!("neigh add {FAR} lladdr 02:00:00:00:00:aa nud permanent dev und0"));
    let mut seen = Seen::of(Underlay::start(&a.open(), "und0", 1024, 1).unwrap());
    seen.underlay.set_vteps([FAR]);
    seen.mac_becomes(FAR, Some(mac("02:00:00:00:00:aa")));
    let mut lost = 0;
    for round in 0..50 {
        let (last, before) = (mac(&format!("02:00:00:00:01:{round:02x}")), seen.underlay.overruns());
        let noise = (0..500).map(|n| {
            let (x, y) = (n / 250, 1 + n % 250);
            format!("neigh replace 10.0.{}.{y} lladdr 02:00:00:00:{round:02x}:01 nud permanent dev und0", 2 + x)
        });
        a.batch(noise.chain([format!("neigh replace {FAR} lladdr {last} nud permanent dev und0")]));
        let told = Instant::now();
        seen.mac_becomes(FAR, Some(last));
        assert!(told.elapsed() < Duration::from_secs(2));
        lost += u32::from(seen.underlay.overruns() > before);
        if lost == 5 {
            return;
        }
    }
    panic!("notifications were lost in {lost} of 50 storms only");
}

#[test]
fn a_receiver_that_does_not_read_gets_the_newest_later() {
    if !possible() {
        return;
    }
    let (a, _b) = wires("fu");
    let vteps: Vec<Ipv4Addr> = (10..60).map(|n| Ipv4Addr::new(10, 0, 0, n)).collect();
    let set = |m: &str| a.batch(vteps.iter().map(|v| format!("neigh replace {v} lladdr {m} nud permanent dev und0")));
    set("02:00:00:00:00:01");
    let mut seen = Seen::of(Underlay::follow(&a.open(), "und0", 2).unwrap());
    seen.underlay.set_vteps(vteps.iter().copied());
    std::thread::sleep(Duration::from_millis(500));
    set("02:00:00:00:00:02");
    std::thread::sleep(Duration::from_millis(500));
    seen.until("the second", |s| s.macs.len() == 50 && s.macs.values().all(|m| *m == mac("02:00:00:00:00:02")));
    // The first was told only of as many as there was room for.
    let first = |(_, e): &&(Duration, UnderlayEvent)| matches!(e, UnderlayEvent::Neighbour(e) if e.mac == Some(mac("02:00:00:00:00:01")));
    assert!(seen.log.iter().filter(first).count() <= 2, "{:?}", seen.log);
    // It can be stopped with nobody to tell.
    drop(std::mem::replace(&mut seen.events, std::sync::mpsc::channel().1));
    seen.underlay.stop();
}

#[test]
fn an_interface_that_is_not_there_is_an_error() {
    if !possible() {
        return;
    }
    let ns = Ns::new("nf");
    let error = Underlay::follow(&ns.open(), "und0", 16).map(drop).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("there is no interface und0 in namespace {0}; `ip -n {0} link` shows those there are", ns.0)
    );
}
