//! L4: when a learned address is forgotten. Workers report the first frame of each second of the
//! clock; the frame of the last nanosecond of that second must still count for 300 s.
//!
//! Rules: L4.

use super::*;
use crate::rows::tests::port;

const SECOND: u64 = 1_000_000_000;

impl Bench {
    /// A frame from host `host` at `ns`.
    fn frame(&mut self, tail: &str, host: &str, ns: u64) {
        let event = LearnEvent { seen: ns, ..self.by_host("A", tail, host, 0) };
        self.writer.learn(&event);
    }

    /// Where the address is once all timers due at `ns` have run.
    fn at(&mut self, ns: u64, tail: &str) -> String {
        self.writer.run_timers(ns);
        self.place("A", tail)
    }
}

#[test]
fn an_address_is_known_for_300_s_after_its_last_frame_and_at_most_a_second_longer() {
    // Reported at the start, in the middle and in the last nanosecond of second 10.
    for seen in [10 * SECOND, 10 * SECOND + SECOND / 2, 11 * SECOND - 1] {
        let mut b = Bench::new();
        b.frame("0a:00:55", "H2", seen);
        // The last frame of that second, which no worker reports.
        let last = 11 * SECOND - 1;
        assert_eq!(b.at(last + 300 * SECOND - 1, "0a:00:55"), "H2 learned", "one ns before 300 s");
        assert_eq!(b.at(last + 300 * SECOND, "0a:00:55"), "H2 learned", "at 300 s");
        assert_eq!(b.at(seen + 301 * SECOND, "0a:00:55"), "nowhere", "at 301 s");
        assert_eq!((b.writer.next_timer(), b.writer.learned()), (None, 0));
    }
}

#[test]
fn a_lone_frame_is_known_for_300_s_to_the_nanosecond_before_its_deadline() {
    let mut b = Bench::new();
    b.frame("0a:00:55", "H2", 10 * SECOND);
    assert_eq!(b.writer.next_timer(), Some(311 * SECOND));
    assert_eq!(b.at(311 * SECOND - 1, "0a:00:55"), "H2 learned");
    assert_eq!(b.at(311 * SECOND, "0a:00:55"), "nowhere");
}

#[test]
fn each_address_has_its_own_deadline() {
    let mut b = Bench::new();
    b.frame("0a:00:55", "H2", 10 * SECOND);
    b.frame("0a:00:56", "H2", 20 * SECOND);
    b.frame("0a:00:55", "H2", 100 * SECOND);
    assert_eq!(b.writer.next_timer(), Some(321 * SECOND), "the second address: the first was refreshed");
    assert_eq!(b.at(321 * SECOND, "0a:00:56"), "nowhere");
    assert_eq!(b.at(401 * SECOND - 1, "0a:00:55"), "H2 learned");
    assert_eq!(b.at(401 * SECOND, "0a:00:55"), "nowhere");
}

#[test]
fn a_refresh_in_the_last_nanosecond_counts() {
    let mut b = Bench::new();
    b.frame("0a:00:55", "H2", 10 * SECOND);
    assert_eq!(b.at(311 * SECOND - 1, "0a:00:55"), "H2 learned");
    b.frame("0a:00:55", "H2", 311 * SECOND - 1);
    assert_eq!(b.at(311 * SECOND, "0a:00:55"), "H2 learned", "the old deadline means nothing");
    assert_eq!(b.at(611 * SECOND - 1, "0a:00:55"), "H2 learned");
    assert_eq!(b.at(611 * SECOND, "0a:00:55"), "nowhere");
}

#[test]
fn a_frame_at_the_deadline_comes_too_late_and_is_learned_anew() {
    let mut b = Bench::new();
    b.frame("0a:00:55", "H2", 10 * SECOND);
    assert_eq!(b.at(311 * SECOND, "0a:00:55"), "nowhere");
    b.frame("0a:00:55", "H2", 311 * SECOND);
    assert_eq!((b.place("A", "0a:00:55"), b.writer.next_timer()), ("H2 learned".to_owned(), Some(612 * SECOND)));
}

#[test]
fn a_move_in_the_last_nanosecond_is_at_the_new_place_for_its_own_time() {
    let mut b = Bench::new();
    b.frame("0a:00:55", "H2", 10 * SECOND);
    b.frame("0a:00:55", "H3", 311 * SECOND - 1);
    assert_eq!(b.at(311 * SECOND, "0a:00:55"), "H3 learned");
    assert_eq!(b.at(611 * SECOND, "0a:00:55"), "nowhere");
    // Within one second the order of the frames counts, not the deadline they share.
    b.frame("0a:00:56", "H2", 700 * SECOND + 2);
    b.frame("0a:00:56", "H3", 700 * SECOND + 1);
    assert_eq!(b.place("A", "0a:00:56"), "H2 learned", "the older frame was reported late");
    b.frame("0a:00:56", "H3", 700 * SECOND + 3);
    assert_eq!(b.place("A", "0a:00:56"), "H3 learned");
}

#[test]
fn a_virtual_mac_falls_back_at_its_deadline_and_not_before() {
    let mut b = Bench::new();
    let pair = crate::model::AddressPair {
        ip_address: crate::model::IpNet::host("10.1.0.70".parse().unwrap()),
        mac_address: mac("0a:00:70"),
    };
    port(&mut b.cloud, "A1").allowed_address_pairs.push(pair);
    port(&mut b.cloud, "A2").allowed_address_pairs.push(pair);
    b.apply();
    b.frame("0a:00:70", "H2", 10 * SECOND + 7);
    assert_eq!(b.at(311 * SECOND - 1, "0a:00:70"), "H2 learned");
    assert_eq!(b.at(311 * SECOND, "0a:00:70"), "A1 learned", "its local owner");
    b.frame("0a:00:70", "H2", 311 * SECOND);
    assert_eq!(b.place("A", "0a:00:70"), "H2 learned", "and it may move again");
}
