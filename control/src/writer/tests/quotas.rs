//! L4-quota: who sends can fill only what is theirs, and every limit that is met has a name.
//!
//! Rules: L4-quota.

use super::*;
use crate::rows::tests::port;
use dataplane::police::Rate;

const SECOND: u64 = 1_000_000_000;

fn small() -> Limits {
    Limits { learned_by_host: 4, learned_by_port: 2, ..Limits::default() }
}

impl Bench {
    /// A frame of MAC number `n` from host `host` in `network` at `ns`.
    fn hear(&mut self, network: &str, n: u32, host: &str, ns: u64) {
        let event = LearnEvent { seen: ns, mac: number(n), ..self.by_host(network, "00:00:00", host, 0) };
        self.writer.learn(&event);
    }

    /// The same from a local port.
    fn hear_port(&mut self, network: &str, n: u32, id: &str, ns: u64) {
        let event = LearnEvent { seen: ns, mac: number(n), ..self.by_port(network, "00:00:00", id, 0) };
        self.writer.learn(&event);
    }

    fn knows(&self, network: &str, n: u32) -> bool {
        self.fdb(network, number(n)).is_some_and(|row| row.learned)
    }

    /// Of MACs 0 to `end`, those that are known.
    fn known(&self, network: &str, end: u32) -> Vec<u32> {
        (0..end).filter(|n| self.knows(network, *n)).collect()
    }

    fn all_met(&self) -> Vec<(&'static str, u64)> {
        self.writer.counters().into_iter().filter(|(_, n)| *n != 0).collect()
    }

    fn unsecure(&mut self, id: &str) {
        port(&mut self.cloud, id).port_security_enabled = false;
        self.apply();
    }
}

/// A MAC of no machine of the model.
fn number(n: u32) -> MacAddr {
    MacAddr::from_u64(0x0277_0000_0000 | u64::from(n))
}

#[test]
fn the_defaults_are_the_stated_limits() {
    let l = Limits::default();
    assert_eq!((l.learned, l.learned_by_host, l.learned_by_port), (262_144, 1024, 64));
    assert_eq!(l.learn_rate, Rate { per_second: 1000, burst: 2000 });
}

#[test]
fn the_1025th_address_of_a_host_in_a_network_takes_the_place_of_its_longest_unseen() {
    let mut b = Bench::with(Limits::default());
    for n in 0..1024 {
        b.hear("A", n, "H2", SECOND);
    }
    assert_eq!((b.writer.learned(), b.all_met()), (1024, vec![]), "exactly the quota");
    b.hear("A", 0, "H2", 2 * SECOND);
    assert_eq!(b.all_met(), [], "one that is there is refreshed");
    b.hear("A", 1024, "H2", 2 * SECOND);
    assert_eq!((b.writer.learned(), b.all_met()), (1024, vec![("learn_quota_evicted", 1)]));
    let known: Vec<u32> = std::iter::once(0).chain(2..1025).collect();
    assert_eq!(b.known("A", 1100), known, "1 was the longest unseen: 0 was refreshed");
}

#[test]
fn the_65th_address_of_a_port_takes_the_place_of_its_longest_unseen() {
    let mut b = Bench::with(Limits::default());
    b.unsecure("A1");
    b.unsecure("A3");
    b.hear_port("A", 900, "A3", SECOND);
    for n in 0..64 {
        b.hear_port("A", n, "A1", SECOND);
    }
    assert_eq!((b.writer.learned(), b.all_met()), (65, vec![]));
    b.hear_port("A", 64, "A1", SECOND);
    assert_eq!(b.all_met(), [("learn_quota_evicted", 1)]);
    assert_eq!(b.known("A", 100), (1..65).collect::<Vec<_>>());
    assert!(b.knows("A", 900), "not in its bucket");
}

#[test]
fn a_full_bucket_costs_no_other_bucket_anything() {
    let mut b = Bench::with(small());
    b.unsecure("A1");
    b.hear("A", 100, "H3", SECOND);
    b.hear("B", 100, "H2", SECOND);
    b.hear_port("A", 101, "A1", SECOND);
    for n in 0..50 {
        b.hear("A", n, "H2", 2 * SECOND);
    }
    assert_eq!((b.known("A", 50), b.all_met()), (vec![46, 47, 48, 49], vec![("learn_quota_evicted", 46)]));
    assert!(b.knows("A", 100) && b.knows("A", 101) && b.knows("B", 100));
    assert_eq!(b.place("A", "0a:00:12"), "H2 static", "rows of the model never go");
}

#[test]
fn an_address_that_moves_counts_where_it_is() {
    let mut b = Bench::with(small());
    for n in 0..4 {
        b.hear("A", n, "H2", SECOND);
        b.hear("A", 10 + n, "H3", SECOND);
    }
    b.hear("A", 10, "H2", 2 * SECOND);
    assert_eq!((b.known("A", 20), b.all_met()), (vec![1, 2, 3, 10, 11, 12, 13], vec![("learn_quota_evicted", 1)]));
    b.hear("A", 20, "H3", 2 * SECOND);
    assert_eq!(b.all_met(), [("learn_quota_evicted", 1)], "10 made room at H3");
}

#[test]
fn addresses_that_go_make_room() {
    let mut b = Bench::with(small());
    for n in 0..4 {
        b.hear("A", n, "H2", SECOND);
    }
    b.writer.run_timers(400 * SECOND);
    for n in 10..14 {
        b.hear("A", n, "H2", 401 * SECOND);
    }
    assert_eq!((b.known("A", 20), b.all_met()), (vec![10, 11, 12, 13], vec![]));
}

#[test]
fn new_addresses_of_a_host_beyond_burst_and_rate_are_not_learned() {
    let limits = Limits { learned_by_host: 4000, ..Limits::default() };
    let mut b = Bench::with(limits);
    for n in 0..1000 {
        b.hear("A", n, "H2", SECOND);
        b.hear("B", n, "H2", SECOND);
    }
    assert_eq!((b.writer.learned(), b.all_met()), (2000, vec![]), "the rate is the host's, whatever the network");
    b.hear("A", 1000, "H2", SECOND);
    assert_eq!((b.knows("A", 1000), b.all_met()), (false, vec![("learn_rate_limited", 1)]));
    b.hear("A", 0, "H2", SECOND + 1);
    b.hear("A", 1001, "H3", SECOND + 1);
    assert_eq!(b.all_met(), [("learn_rate_limited", 1)], "neither a refresh nor another host");
    b.hear("A", 1002, "H2", SECOND + 999_999);
    assert!(!b.knows("A", 1002), "1 ns too early");
    b.hear("A", 1002, "H2", SECOND + 1_000_000);
    b.hear("A", 1003, "H2", SECOND + 1_000_000);
    assert_eq!((b.knows("A", 1002), b.knows("A", 1003)), (true, false), "one each millisecond");
    assert_eq!(b.all_met(), [("learn_rate_limited", 3)]);
}

#[test]
fn moves_and_ports_have_the_same_rate_and_a_refused_move_stays_where_it_was() {
    let rate = Rate { per_second: 1, burst: 2 };
    let mut b = Bench::with(Limits { learn_rate: rate, ..Limits::default() });
    b.unsecure("A1");
    for n in 0..2 {
        b.hear("A", n, "H2", SECOND);
        b.hear_port("A", 10 + n, "A1", SECOND);
        b.hear("A", 20 + n, "H3", SECOND);
    }
    b.hear("A", 20, "H2", SECOND);
    b.hear_port("A", 12, "A1", SECOND);
    assert_eq!((b.knows("A", 12), b.all_met()), (false, vec![("learn_rate_limited", 2)]));
    let h3 = b.writer.indexes().tunnel("H3").unwrap().0;
    assert_eq!(b.fdb("A", number(20)).unwrap().target, Target::Tunnel(h3));
    b.hear("A", 20, "H2", 2 * SECOND);
    assert_ne!(b.fdb("A", number(20)).unwrap().target, Target::Tunnel(h3), "a second later it moves");
}

#[test]
fn a_new_owner_of_an_index_has_its_own_rate() {
    let mut b = Bench::with(Limits { learn_rate: Rate { per_second: 1, burst: 1 }, ..Limits::default() });
    b.unsecure("A3");
    b.hear_port("A", 0, "A3", SECOND);
    let at = b.port("A3").0;
    let a3 = b.cloud.ports.remove("A3").unwrap();
    b.apply();
    b.quiet();
    b.cloud.ports.insert("A9".to_owned(), crate::model::Port { id: "A9".to_owned(), ..a3 });
    b.apply();
    assert_eq!(b.port("A9").0, at, "the test needs the same index");
    b.hear_port("A", 1, "A9", SECOND);
    assert_eq!((b.knows("A", 1), b.all_met()), (true, vec![]));
}

#[test]
fn when_the_host_is_full_a_source_gives_its_own_and_one_without_any_gets_nothing() {
    let mut b = Bench::with(Limits { learned: 6, ..small() });
    for n in 0..4 {
        b.hear("A", n, "H2", SECOND);
    }
    for n in 10..12 {
        b.hear("A", n, "H3", SECOND);
    }
    assert_eq!((b.writer.learned(), b.all_met()), (6, vec![]));
    b.hear("A", 12, "H3", SECOND);
    assert_eq!((b.known("A", 20), b.all_met()), (vec![0, 1, 2, 3, 11, 12], vec![("learn_table_full", 1)]));
    b.hear("B", 0, "H2", SECOND);
    assert_eq!((b.knows("B", 0), b.all_met()), (false, vec![("learn_table_full", 2)]));
    b.hear("A", 0, "H3", SECOND);
    assert_eq!(b.writer.learned(), 6, "a move needs no room");
    assert_eq!(b.all_met(), [("learn_table_full", 2)]);
}

#[test]
fn a_quarter_million_addresses_are_the_limit_of_a_host() {
    let limits = Limits {
        learned_by_host: usize::MAX,
        learn_rate: Rate { per_second: 0, burst: u32::MAX },
        ..Limits::default()
    };
    let mut b = Bench::with(limits);
    for n in 0..262_144 {
        b.hear("A", n, "H2", SECOND + u64::from(n));
    }
    assert_eq!((b.writer.learned(), b.all_met()), (262_144, vec![]));
    b.hear("A", 262_144, "H2", 2 * SECOND);
    assert_eq!((b.writer.learned(), b.all_met()), (262_144, vec![("learn_table_full", 1)]));
    assert_eq!((b.knows("A", 0), b.knows("A", 1), b.knows("A", 262_144)), (false, true, true));
    let use_of = b.writer.tables().into_iter().find(|t| t.name == "T06 fdb, learned").unwrap();
    assert_eq!((use_of.rows, use_of.limit), (262_144, 262_144));
}

/// Slots of deleted rows wait for every worker. One that stands still must not let addresses that
/// come and go use up the slots that rows of the model need.
#[test]
fn a_worker_that_stands_still_stops_learning_before_rows_of_the_model_find_no_slot() {
    let rate = Rate { per_second: 0, burst: u32::MAX };
    let mut b = Bench::with(Limits { fdb: 30, learned: 8, learn_rate: rate, ..small() });
    for n in 0..10_000 {
        b.hear("A", n, "H2", SECOND);
    }
    assert!(b.met("learn_table_full") > 9000, "{:?}", b.all_met());
    for n in 1..16 {
        let tail = format!("0a:01:{n:02x}");
        let address = crate::rows::tests::fixed("A-v4", &format!("10.1.0.{}", 120 + n));
        crate::rows::tests::twin(&mut b.cloud, "A2", &format!("N{n}"), &tail, address);
    }
    b.apply();
    for n in 1..16 {
        assert_eq!(b.place("A", &format!("0a:01:{n:02x}")), "H2 static");
    }
    assert_eq!(b.met("row_not_stored"), 0);
    b.quiet();
    b.hear("A", 20_000, "H2", SECOND);
    assert!(b.knows("A", 20_000), "it goes on when the worker does");
}

/// Only a table whose slots are all taken or waiting refuses a row within its limit; it is counted.
#[test]
fn a_row_that_finds_no_slot_is_counted() {
    let mut b = Bench::with(Limits { fdb: 15, learned: 0, ..Limits::default() });
    let mut lost = 0;
    for n in 0..200u32 {
        let id = format!("N{n}");
        let address = crate::rows::tests::fixed("A-v4", "10.1.0.120");
        crate::rows::tests::twin(&mut b.cloud, "A2", &id, &format!("0a:02:{n:02x}"), address);
        b.apply();
        lost = b.met("row_not_stored");
        if lost != 0 {
            break;
        }
        b.cloud.ports.remove(&id);
        b.apply();
    }
    assert_eq!(lost, 1, "the worker never came to rest: every deleted row still has its slot");
}
