//! R7 and L5-vip as a worker sees them: what is asked for, who is believed, what is told when.

use super::*;
use crate::rows::tests::{ip, set_down};
use dataplane::learn::{HeardEvent, ResolveEvent, UnresolvedEvent};
use dataplane::stage::MadeFor;

const SECOND: u64 = 1_000_000_000;
const FREE: &str = "10.1.0.60";
/// fa:16:3e: and this answers for it.
const WHO: &str = "0a:00:60";

impl Bench {
    fn wants(&mut self, network: &str, address: &str, at: u64) {
        let (seg, seg_generation) = self.seg(network);
        let event = ResolveEvent { seg, seg_generation, ip: ip(address), seen: at };
        self.writer.report(&dataplane::learn::Report::Resolve(event));
    }

    fn hears(&mut self, network: &str, address: &str, tail: &str, (target, target_generation): (Target, u32), at: u64) {
        let (seg, seg_generation) = self.seg(network);
        let (ip, mac) = (ip(address), mac(tail));
        let event = HeardEvent { seg, seg_generation, ip, mac, target, target_generation, seen: at };
        self.writer.report(&dataplane::learn::Report::Heard(event));
    }

    fn tunnel(&self, host: &str) -> (Target, u32) {
        let (ix, generation) = self.writer.indexes().tunnel(host).unwrap();
        (Target::Tunnel(ix), generation)
    }

    fn local(&self, id: &str) -> (Target, u32) {
        let (ix, generation) = self.port(id);
        (Target::Port(ix), generation)
    }

    /// Probes and announcements since the last time: (time in ms, sender MAC, sender, target).
    fn made(&mut self) -> Vec<(u64, String, u32, u32)> {
        let word = |f: &[u8], at: usize| u32::from_be_bytes(f[at..at + 4].try_into().unwrap());
        let mac = |f: &[u8]| f[22..28].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":");
        let made = self.writer.take_made();
        made.iter().map(|m| (m.time / 1_000_000, mac(&m.frame), word(&m.frame, 28), word(&m.frame, 38))).collect()
    }

    fn news(&self) -> u64 {
        self.view.tables.resolved.told()
    }

    fn state(&self, network: &str, address: &str) -> &'static str {
        match self.neighbour(network, address) {
            None => "none",
            Some(n) if n == NeighValue::ASKED => "asked",
            Some(n) if n == NeighValue::UNANSWERED => "unanswered",
            Some(n) if n.has(NeighValue::WATCHED) => "watched",
            Some(_) => "model",
        }
    }
}

/// Rules: R7-probe.
#[test]
fn an_address_nobody_has_is_probed_three_times_and_then_unanswered_until_every_worker_saw_it() {
    let mut b = Bench::new();
    let start = 7 * SECOND;
    b.wants("A", FREE, start);
    assert_eq!(b.state("A", FREE), "asked");
    let (m1, target) = ("fa:16:3f:00:00:01".to_owned(), ip(FREE));
    assert_eq!(b.made(), [(7000, m1.clone(), 0, target)], "SHA own DVR MAC, SPA 0.0.0.0");
    b.wants("A", FREE, start + SECOND / 2);
    assert_eq!(b.made(), [], "asked for once, however many ask");
    assert_eq!(b.writer.next_timer(), Some(start + SECOND));
    b.writer.run_timers(start + 2 * SECOND);
    assert_eq!(b.made(), [(8000, m1.clone(), 0, target), (9000, m1, 0, target)], "each at its own time");
    let told = b.news();
    assert!(b.writer.pending());
    b.writer.run_timers(start + 3 * SECOND - 1);
    assert_eq!((b.state("A", FREE), b.news()), ("asked", told));
    b.writer.run_timers(start + 3 * SECOND);
    assert_eq!((b.state("A", FREE), b.news(), b.made().len()), ("unanswered", told + 1, 0));
    b.writer.poll();
    assert_eq!(b.state("A", FREE), "unanswered", "the worker has not looked yet");
    b.quiet();
    assert_eq!((b.state("A", FREE), b.writer.pending()), ("none", false));
    b.wants("A", FREE, start + 4 * SECOND);
    assert_eq!((b.state("A", FREE), b.made().len()), ("asked", 1), "the next packet asks anew");
}

/// Rules: R7-probe.
#[test]
fn who_answers_has_the_address_and_is_asked_again_before_it_is_forgotten() {
    let mut b = Bench::new();
    b.wants("A", FREE, 0);
    let (told, from) = (b.news(), b.tunnel("H2"));
    b.hears("A", FREE, WHO, from, SECOND / 2);
    let row = b.neighbour("A", FREE).unwrap();
    assert_eq!((row.mac(), row.target(), b.news()), (mac(WHO), from.0, told + 1));
    assert!(row.has(NeighValue::ROUTE) && row.has(NeighValue::WATCHED) && !row.has(NeighValue::ANSWER));
    assert!(!b.writer.pending(), "knowing keeps nothing pending");
    b.made();
    let heard = SECOND / 2;
    b.writer.run_timers(heard + 270 * SECOND - 1);
    assert_eq!(b.made(), []);
    b.writer.run_timers(heard + 270 * SECOND);
    assert_eq!(b.made().len(), 1);
    let local = b.local("A3");
    b.hears("A", FREE, WHO, local, heard + 271 * SECOND);
    assert_eq!(b.neighbour("A", FREE).unwrap().target(), local.0, "it has moved");
    b.writer.run_timers(heard + 301 * SECOND);
    assert_eq!(b.state("A", FREE), "watched", "300 s from the last answer");
    b.writer.run_timers(heard + 571 * SECOND);
    assert_eq!(b.state("A", FREE), "none");
    assert_eq!(b.made().len(), 1, "the one at 541 s");
}

/// Rules: E1.
#[test]
fn on_the_external_network_fg_asks_and_asks_again_after_30_s() {
    let mut b = Bench::new();
    b.wants("X", "203.0.113.103", 0);
    let (fg, own, fip) = ("fa:16:3e:f9:00:01".to_owned(), ip("203.0.113.21"), ip("203.0.113.103"));
    assert_eq!(b.made(), [(0, fg.clone(), own, fip)]);
    b.hears("X", "203.0.113.103", "f9:00:02", (Target::Phys, 0), 0);
    assert_eq!(b.neighbour("X", "203.0.113.103").unwrap().target(), Target::Phys);
    b.writer.run_timers(33 * SECOND - 1);
    let again = [30_000, 31_000, 32_000].map(|ms| (ms, fg.clone(), own, fip));
    assert_eq!((b.made(), b.state("X", "203.0.113.103")), (again.to_vec(), "watched"));
    b.writer.run_timers(33 * SECOND);
    assert_eq!(b.state("X", "203.0.113.103"), "none");
}

/// Rules: R7-probe, o5.
#[test]
fn the_model_wins_over_what_was_asked_or_answered() {
    let mut b = Bench::new();
    b.wants("A", FREE, 0);
    let twin = crate::rows::tests::twin;
    twin(&mut b.cloud, "A2", "A9", "0a:00:19", crate::rows::tests::fixed("A-v4", FREE));
    let told = b.news();
    b.writer.apply(&rows(&b.cloud, "H1"), Some(SECOND)).unwrap();
    assert_eq!((b.state("A", FREE), b.neighbour("A", FREE).unwrap().mac()), ("model", mac("0a:00:19")));
    assert!(b.news() > told && !b.writer.pending());
    let from = b.tunnel("H2");
    b.hears("A", FREE, WHO, from, SECOND);
    assert_eq!(b.neighbour("A", FREE).unwrap().mac(), mac("0a:00:19"), "a port's address is the port's");
    b.wants("A", FREE, SECOND);
    assert_eq!((b.state("A", FREE), b.made().len()), ("model", 1), "only the probe from before");
}

/// Rules: R7-probe, L1.
#[test]
fn an_answer_with_the_mac_of_a_port_leads_to_where_that_port_is() {
    let mut b = Bench::new();
    b.wants("A", FREE, 0);
    // A2 is on H2; the answer comes from H4.
    let (from, told) = (b.tunnel("H4"), b.news());
    b.hears("A", FREE, "0a:00:12", from, 0);
    let row = b.neighbour("A", FREE).unwrap();
    assert_eq!((row.mac(), row.target(), b.news()), (mac("0a:00:12"), Target::Fdb, told + 1), "static T06 wins");
    b.apply();
    assert_eq!(b.state("A", FREE), "watched", "as long as the port is there");
    b.cloud.ports.remove("A2");
    b.apply();
    assert_eq!(b.state("A", FREE), "none", "T06 says nothing any more");

    b.wants("A", FREE, SECOND);
    b.hears("A", FREE, "0a:00:19", from, SECOND);
    assert_eq!(b.neighbour("A", FREE).unwrap().target(), from.0, "nobody's MAC is where it answers");
    let twin = crate::rows::tests::twin;
    twin(&mut b.cloud, "A1", "A9", "0a:00:19", crate::rows::tests::fixed("A-v4", "10.1.0.69"));
    b.apply();
    assert_eq!(b.state("A", FREE), "none", "it is a port's now");
}

/// Rules: R7-probe.
#[test]
fn who_answers_unasked_is_not_believed() {
    let mut b = Bench::new();
    let (from, flat) = (b.tunnel("H2"), b.flat());
    b.hears("A", FREE, WHO, from, 0);
    b.hears("A", "10.1.0.12", WHO, from, 0);
    assert_eq!((b.state("A", FREE), b.flat()), ("none", flat));
}

/// Rules: R7-probe.
#[test]
fn what_is_not_true_any_more_is_forgotten() {
    let mut b = Bench::new();
    for (address, host) in [("10.1.0.61", "H2"), ("10.1.0.62", "H4")] {
        b.wants("A", address, 0);
        let from = b.tunnel(host);
        b.hears("A", address, WHO, from, 0);
    }
    b.wants("A", "10.1.0.63", 0);
    let from = b.local("A3");
    b.hears("A", "10.1.0.63", WHO, from, 0);
    b.wants("A", FREE, 0);
    set_down(&mut b.cloud, "A3");
    b.cloud.ports.remove("A4");
    b.cloud.floatingips.remove("fip-104");
    b.cloud.hosts.remove("H4");
    b.apply();
    let states = ["10.1.0.61", "10.1.0.62", "10.1.0.63", FREE].map(|a| b.state("A", a));
    assert_eq!(states, ["watched", "none", "none", "asked"], "a host and a port are gone");
    b.cloud.routers.get_mut("R1").unwrap().admin_state_up = false;
    b.apply();
    assert_eq!(b.state("A", FREE), "asked", "a router that is down is still here");
    b.cloud.ports.retain(|_, p| p.device_id != "R1");
    b.cloud.floatingips.clear();
    b.cloud.routers.remove("R1");
    b.apply();
    assert_eq!([b.state("A", FREE), b.state("A", "10.1.0.61")], ["none", "none"], "nobody here routes into A");
}

/// Rules: R7-probe.
#[test]
fn addresses_asked_for_have_room_of_their_own() {
    let limits = Limits { resolved: 2, ..Limits::for_rows(&rows(&fixture(), "H1")) };
    let mut b = Bench::with(limits);
    for n in 0..3 {
        b.wants("A", &format!("10.1.0.{}", 60 + n), 0);
    }
    assert_eq!(["60", "61", "62"].map(|n| b.state("A", &format!("10.1.0.{n}"))), ["asked", "asked", "none"]);
    assert_eq!(b.met("resolve_refused"), 1);
    let told = b.news();
    b.writer.run_timers(SECOND);
    assert_eq!(b.news(), told + 1, "packets may try again after a second");
}

/// Rules: L5-vip, D9.
#[test]
fn a_vip_follows_its_owners_and_nobody_else() {
    let mut b = Bench::new();
    const VIP: &str = "10.1.0.100";
    let holder = |b: &Bench| b.neighbour("A", VIP).unwrap().mac();
    let (h2, h3, a1, a3) = (b.tunnel("H2"), b.tunnel("H3"), b.local("A1"), b.local("A3"));
    assert_eq!(holder(&b), mac("0a:00:11"), "before any announcement the lowest port id");
    b.hears("A", VIP, "0a:00:12", h2, 0);
    assert_eq!((holder(&b), b.neighbour("A", VIP).unwrap().target()), (mac("0a:00:12"), h2.0));
    b.apply();
    assert_eq!(holder(&b), mac("0a:00:12"), "a batch that says nothing of it changes nothing");
    for (tail, from) in [("0a:00:12", h3), ("0a:00:13", a3), ("0a:00:11", a3), ("0a:00:11", h2)] {
        b.hears("A", VIP, tail, from, 0);
        assert_eq!(holder(&b), mac("0a:00:12"), "{tail} from {from:?} owns no pair there");
    }
    b.hears("A", VIP, "0a:00:11", a1, 0);
    assert_eq!(holder(&b), mac("0a:00:11"));
    b.hears("A", VIP, "0a:00:12", h2, 0);
    set_down(&mut b.cloud, "A2");
    b.apply();
    assert_eq!(holder(&b), mac("0a:00:11"), "its holder is down: the first of those that are left");
}

/// Rules: D9.
#[test]
fn a_vip_moves_at_most_ten_times_a_second() {
    let mut b = Bench::new();
    let (h2, a1) = (b.tunnel("H2"), b.local("A1"));
    for n in 0..40 {
        let (tail, from) = if n % 2 == 0 { ("0a:00:12", h2) } else { ("0a:00:11", a1) };
        b.hears("A", "10.1.0.100", tail, from, 0);
    }
    assert_eq!(b.met("vip_damped"), 15, "of 40, ten are moves; then every other one would be");
    let before = b.neighbour("A", "10.1.0.100").unwrap().mac();
    let (tail, from) = if before == mac("0a:00:11") { ("0a:00:12", h2) } else { ("0a:00:11", a1) };
    b.hears("A", "10.1.0.100", tail, from, SECOND / 10);
    assert_eq!(b.neighbour("A", "10.1.0.100").unwrap().mac(), mac(tail), "a tenth of a second later it may");
}

/// Rules: R7-probe, L4.
#[test]
fn reports_of_indexes_that_changed_hands_are_void() {
    let mut b = Bench::new();
    let (seg, seg_generation) = b.seg("A");
    let stale = ResolveEvent { seg, seg_generation: seg_generation + 1, ip: ip(FREE), seen: 0 };
    b.writer.report(&dataplane::learn::Report::Resolve(stale));
    assert_eq!(b.state("A", FREE), "none");
    b.wants("A", FREE, 0);
    let (target, generation) = b.tunnel("H2");
    b.hears("A", FREE, WHO, (target, generation + 1), 0);
    b.hears("A", FREE, WHO, (Target::Phys, 0), 0);
    assert_eq!(b.state("A", FREE), "asked", "A has no physical network");
    b.hears("A", FREE, WHO, (target, generation), 0);
    assert_eq!(b.state("A", FREE), "watched");
}

/// Rules: F42, o2.
#[test]
fn what_is_new_is_announced_in_three_rounds_and_what_was_there_is_not() {
    let mut b = Bench::new();
    b.writer.run_timers(60 * SECOND);
    assert_eq!(b.made(), [], "this is how it was");
    let fip = b.cloud.floatingips["fip-101"].clone();
    let new = crate::model::FloatingIp {
        id: "fip-110".to_owned(),
        floating_ip_address: "203.0.113.110".parse().unwrap(),
        port_id: Some("A3".to_owned()),
        fixed_ip_address: Some("10.1.0.13".parse().unwrap()),
        ..fip
    };
    b.cloud.floatingips.insert("fip-110".to_owned(), new);
    b.writer.apply(&rows(&b.cloud, "H1"), Some(100 * SECOND)).unwrap();
    let (fg, own) = ("fa:16:3e:f9:00:01".to_owned(), ip("203.0.113.110"));
    let round = |s: u64| [(s * 1000, fg.clone(), own, own), (s * 1000, fg.clone(), own, own)];
    assert_eq!(b.made(), round(100), "request and reply");
    assert!(b.writer.pending());
    b.writer.run_timers(105 * SECOND);
    assert_eq!(b.made(), [round(102), round(104)].concat());
    assert!(!b.writer.pending());
    // Moved to another port of this host: announced again. Removed meanwhile: not any more.
    let moved = b.cloud.floatingips.get_mut("fip-110").unwrap();
    (moved.port_id, moved.fixed_ip_address) = (Some("B1".to_owned()), Some("10.2.0.11".parse().unwrap()));
    b.cloud.floatingips.remove("fip-102");
    b.writer.apply(&rows(&b.cloud, "H1"), Some(110 * SECOND)).unwrap();
    assert_eq!(b.made(), round(110));
    b.cloud.floatingips.remove("fip-110");
    b.writer.apply(&rows(&b.cloud, "H1"), Some(111 * SECOND)).unwrap();
    b.writer.run_timers(120 * SECOND);
    assert_eq!(b.made(), []);
}

/// Rules: F42, D10.
#[test]
fn a_router_interface_is_announced_to_local_ports_only() {
    let mut b = Bench::new();
    b.cloud.routers.get_mut("R2").unwrap().admin_state_up = false;
    b.writer.apply(&rows(&b.cloud, "H1"), Some(0)).unwrap();
    assert_eq!(b.made(), []);
    b.cloud.routers.get_mut("R2").unwrap().admin_state_up = true;
    b.writer.apply(&rows(&b.cloud, "H1"), Some(0)).unwrap();
    let made = b.writer.take_made();
    let k = b.seg("K").0;
    assert!(made.iter().all(|m| m.to == MadeFor::Ports && m.seg == k), "on C nobody is here: {made:?}");
    assert_eq!(made.len(), 2);
}

/// Rules: V4.
#[test]
fn the_physical_gateway_tells_its_network_every_minute() {
    let mut b = Bench::new();
    b.cloud.networks.get_mut("V").unwrap().dvrd.phys_gw_host = Some("H1".to_owned());
    b.writer.apply(&rows(&b.cloud, "H1"), Some(5 * SECOND)).unwrap();
    b.writer.run_timers(130 * SECOND);
    let made = b.writer.take_made();
    assert_eq!(
        made.iter().map(|m| (m.time / SECOND, m.to)).collect::<Vec<_>>(),
        [5, 65, 125].map(|t| (t, MadeFor::Phys))
    );
    assert!(!b.writer.pending(), "it goes on for ever");
    b.cloud.networks.get_mut("V").unwrap().dvrd.phys_gw_host = Some("H2".to_owned());
    b.writer.apply(&rows(&b.cloud, "H1"), Some(140 * SECOND)).unwrap();
    b.writer.run_timers(300 * SECOND);
    assert_eq!(b.made(), []);
}

#[test]
fn a_host_that_starts_announces_all_it_has() {
    let mut b = Bench::new();
    b.writer.announce_all(SECOND);
    b.writer.run_timers(SECOND);
    let x: Vec<u32> = b.made().iter().filter(|(_, mac, ..)| mac.starts_with("fa:16:3e:f9")).map(|m| m.2).collect();
    let fgs = ["203.0.113.21", "203.0.113.101", "203.0.113.102"].map(ip);
    assert_eq!(x, fgs.into_iter().flat_map(|a| [a, a]).collect::<Vec<_>>(), "fg, then floating IPs by address");
}

/// Rules: R7-probe, o5.
#[test]
fn a_row_of_the_model_survives_the_burial_of_what_was_in_vain() {
    let mut b = Bench::new();
    b.wants("A", FREE, 0);
    b.writer.run_timers(3 * SECOND);
    assert_eq!(b.state("A", FREE), "unanswered");
    crate::rows::tests::twin(&mut b.cloud, "A2", "A9", "0a:00:19", crate::rows::tests::fixed("A-v4", FREE));
    b.writer.apply(&rows(&b.cloud, "H1"), Some(3 * SECOND)).unwrap();
    b.quiet();
    assert_eq!(b.state("A", FREE), "model", "the port is there");
}

/// Rules: R7-probe.
#[test]
fn what_was_in_vain_is_buried_even_if_there_is_no_room_to_ask_again() {
    let limits = Limits { resolved: 1, ..Limits::for_rows(&rows(&fixture(), "H1")) };
    let mut b = Bench::with(limits);
    b.wants("A", FREE, 0);
    b.writer.run_timers(3 * SECOND);
    b.wants("A", "10.1.0.61", 3 * SECOND);
    b.wants("A", FREE, 3 * SECOND);
    b.quiet();
    assert_eq!(b.state("A", FREE), "none");
}

/// Rules: R7-probe.
#[test]
fn one_network_leaves_room_for_the_others() {
    let mut b = Bench::new();
    let from = b.local("A3");
    for n in 0..1100u32 {
        let address = format!("10.1.{}.{}", 1 + n / 250, n % 250);
        b.wants("A", &address, 0);
        b.hears("A", &address, WHO, from, 0);
    }
    assert_eq!(b.met("resolve_refused"), 1100 - 1024);
    b.wants("X", "203.0.113.77", SECOND);
    assert_eq!(b.state("X", "203.0.113.77"), "asked");
}

/// Rules: O3-wait.
#[test]
fn a_host_that_frames_wait_for_is_told_once_unless_it_has_a_way() {
    let mut b = Bench::new();
    let (Target::Tunnel(tunnel), generation) = b.tunnel("H2") else { panic!("a tunnel") };
    let vtep = ip("172.20.0.12");
    let report = |b: &mut Bench, generation| {
        let event = UnresolvedEvent { tunnel, generation, seen: 0 };
        b.writer.report(&dataplane::learn::Report::Unresolved(event));
        b.writer.take_unresolved().into_iter().collect::<Vec<_>>()
    };
    assert!(report(&mut b, generation).is_empty(), "it has a MAC");
    b.cloud.hosts.get_mut("H2").unwrap().vtep_mac = None;
    b.apply();
    assert!(report(&mut b, generation + 1).is_empty(), "of another host's time");
    assert_eq!(report(&mut b, generation), [vtep]);
    assert_eq!(b.writer.take_unresolved().len(), 0, "taken");
}
