//! L4: what was learned from traffic.

use super::*;
use crate::rows::tests::{port, unbind};

const SECOND: u64 = 1_000_000_000;

/// Machines the model does not know may be behind this port.
fn unsecured(b: &mut Bench, id: &str) {
    port(&mut b.cloud, id).port_security_enabled = false;
    b.apply();
}

/// Rules: L4.
#[test]
fn a_learned_address_is_stored_with_its_place_and_second() {
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:55", "H2", 7));
    assert_eq!(b.place("A", "0a:00:55"), "H2 learned");
    assert_eq!(b.fdb("A", mac("0a:00:55")).unwrap().stamp, 7);
    assert_eq!(b.place("B", "0a:00:55"), "nowhere", "in its own network only");
    b.writer.learn(&b.by_port("A", "0a:00:56", "A1", 8));
    assert_eq!(b.place("A", "0a:00:56"), "nowhere", "a secured port has only its own");
    unsecured(&mut b, "A1");
    b.writer.learn(&b.by_port("A", "0a:00:56", "A1", 8));
    assert_eq!((b.place("A", "0a:00:56"), b.writer.learned()), ("A1 learned".to_owned(), 2));
}

/// Rules: L4.
#[test]
fn the_model_wins_over_what_is_seen() {
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:12", "H3", 1));
    b.writer.learn(&b.by_host("A", "0a:00:13", "H3", 1));
    assert_eq!((b.place("A", "0a:00:12"), b.place("A", "0a:00:13")), ("H2 static".to_owned(), "A3 static".to_owned()));
    assert_eq!((b.writer.learned(), b.writer.next_timer()), (0, None));
}

/// Rules: L4.
#[test]
fn a_row_of_the_model_takes_a_learned_address_over_and_gives_it_up_when_it_goes() {
    let mut b = Bench::new();
    let a4 = b.cloud.ports.remove("A4").unwrap();
    b.cloud.floatingips.remove("fip-104");
    b.apply();
    b.writer.learn(&b.by_host("A", "0a:00:14", "H3", 1));
    assert_eq!(b.place("A", "0a:00:14"), "H3 learned");
    b.cloud.ports.insert("A4".to_owned(), a4);
    b.apply();
    assert_eq!((b.place("A", "0a:00:14"), b.writer.learned()), ("H4 static".to_owned(), 0));
    b.writer.run_timers(u64::MAX);
    assert_eq!(b.place("A", "0a:00:14"), "H4 static", "its old deadline means nothing");
    b.cloud.ports.remove("A4");
    b.apply();
    assert_eq!(b.place("A", "0a:00:14"), "nowhere");
}

/// Rules: L4.
#[test]
fn a_newer_frame_moves_a_learned_address() {
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:55", "H2", 10));
    b.writer.learn(&b.by_host("A", "0a:00:55", "H3", 11));
    assert_eq!((b.place("A", "0a:00:55"), b.writer.learned()), ("H3 learned".to_owned(), 1));
    unsecured(&mut b, "A1");
    b.writer.learn(&b.by_port("A", "0a:00:55", "A1", 12));
    assert_eq!(b.place("A", "0a:00:55"), "A1 learned");
    assert_eq!(b.writer.next_timer(), Some(313 * SECOND));
}

/// Events of several workers are drained queue by queue, not in order of time.
/// Rules: L4.
#[test]
fn an_older_frame_reported_late_does_not_move_a_learned_address_back() {
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:55", "H3", 10));
    b.writer.learn(&b.by_host("A", "0a:00:55", "H2", 9));
    assert_eq!(b.place("A", "0a:00:55"), "H3 learned");
    assert_eq!(b.writer.next_timer(), Some(311 * SECOND), "nor does it shorten its life");
}

/// Rules: L4.
#[test]
fn learned_addresses_go_with_their_tunnel() {
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:55", "H4", 1));
    b.writer.learn(&b.by_host("A", "0a:00:56", "H2", 1));
    b.cloud.ports.remove("A4");
    b.cloud.hosts.remove("H4");
    b.apply();
    assert_eq!((b.place("A", "0a:00:55"), b.place("A", "0a:00:56")), ("nowhere".to_owned(), "H2 learned".to_owned()));
    assert_eq!(b.writer.learned(), 1);
}

/// Rules: L4.
#[test]
fn learned_addresses_go_with_their_port() {
    let mut b = Bench::new();
    unsecured(&mut b, "A3");
    b.writer.learn(&b.by_port("A", "0a:00:55", "A3", 1));
    b.cloud.ports.remove("A3");
    b.apply();
    assert_eq!((b.place("A", "0a:00:55"), b.writer.learned()), ("nowhere".to_owned(), 0));
}

/// Rules: L4.
#[test]
fn learned_addresses_go_with_their_network() {
    let mut b = Bench::new();
    b.cloud.networks.get_mut("Z").unwrap().dvrd.strict_vtep = Some(false);
    b.apply();
    let (seg, _) = b.seg("Z");
    b.writer.learn(&b.by_host("Z", "0a:00:55", "H2", 1));
    let key = fdb_key(seg, mac("0a:00:55"));
    assert_ne!(b.view.tables.fdb.lookup(&key), 0);
    unbind(&mut b.cloud, "Z1");
    b.apply();
    assert_eq!((b.view.tables.fdb.lookup(&key), b.writer.learned()), (0, 0));
}

/// What was learned must still be possible after every batch.
/// Rules: L4.
#[test]
fn learned_addresses_go_when_their_port_moves_is_secured_or_goes_down() {
    type Change = fn(&mut crate::model::Port);
    let changes: [(&str, Change); 3] = [
        ("secured", |p| p.port_security_enabled = true),
        ("down", |p| p.status = crate::model::PortStatus::Down),
        ("moved", |p| {
            p.network_id = "B".to_owned();
            p.fixed_ips.clear();
        }),
    ];
    for (what, change) in changes {
        let mut b = Bench::new();
        unsecured(&mut b, "A3");
        let event = b.by_port("A", "0a:00:55", "A3", 1);
        b.writer.learn(&event);
        assert_eq!(b.place("A", "0a:00:55"), "A3 learned");
        change(port(&mut b.cloud, "A3"));
        b.apply();
        assert_eq!((b.place("A", "0a:00:55"), b.writer.learned()), ("nowhere".to_owned(), 0), "{what}");
        b.writer.learn(&event);
        assert_eq!(b.place("A", "0a:00:55"), "nowhere", "{what}: a late report");
    }
}

/// Rules: L4.
#[test]
fn learned_addresses_go_when_their_host_leaves_the_network_or_learning_ends() {
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:55", "H4", 1));
    b.cloud.networks.get_mut("A").unwrap().dvrd.learning = Some(false);
    b.apply();
    assert_eq!((b.place("A", "0a:00:55"), b.writer.learned()), ("nowhere".to_owned(), 0));
    let mut b = Bench::new();
    b.writer.learn(&b.by_host("A", "0a:00:55", "H4", 1));
    unbind(&mut b.cloud, "A4");
    b.apply();
    assert_eq!((b.place("A", "0a:00:55"), b.writer.learned()), ("nowhere".to_owned(), 0));
}

/// VRRP: the model says who may have a virtual MAC, traffic who has it.
/// Rules: L4.
#[test]
fn a_virtual_mac_follows_traffic_and_returns_when_it_is_silent() {
    let mut b = Bench::new();
    let pair = crate::model::AddressPair {
        ip_address: crate::model::IpNet::host("10.1.0.70".parse().unwrap()),
        mac_address: mac("0a:00:70"),
    };
    port(&mut b.cloud, "A1").allowed_address_pairs.push(pair);
    port(&mut b.cloud, "A2").allowed_address_pairs.push(pair);
    b.apply();
    assert_eq!(b.place("A", "0a:00:70"), "A1 learned", "before any traffic: a local owner");
    b.writer.learn(&b.by_host("A", "0a:00:70", "H2", 10));
    assert_eq!(b.place("A", "0a:00:70"), "H2 learned");
    b.apply();
    assert_eq!(b.place("A", "0a:00:70"), "H2 learned", "a batch about something else changes nothing");
    b.writer.learn(&b.by_port("A", "0a:00:70", "A1", 20));
    assert_eq!(b.place("A", "0a:00:70"), "A1 learned");
    b.writer.learn(&b.by_host("A", "0a:00:70", "H2", 30));
    b.writer.run_timers(331 * SECOND - 1);
    assert_eq!(b.place("A", "0a:00:70"), "H2 learned");
    b.writer.run_timers(331 * SECOND);
    assert_eq!((b.place("A", "0a:00:70"), b.writer.learned()), ("A1 learned".to_owned(), 0));
}

/// Rules: L4.
#[test]
fn an_event_of_an_index_that_changed_hands_is_void() {
    let mut b = Bench::new();
    let tunnel = b.by_host("A", "0a:00:55", "H4", 1);
    let segment = b.by_host("Z", "0a:00:55", "H2", 1);
    let gone = b.port("A3").0;
    let from_port = b.by_port("A", "0a:00:55", "A3", 1);
    unbind(&mut b.cloud, "Z1");
    for id in ["A3", "A4"] {
        b.cloud.ports.remove(id);
    }
    let h4 = b.cloud.hosts.remove("H4").unwrap();
    b.apply();
    b.quiet();
    // New owners of the same indexes.
    let h5 = crate::model::Host { name: "H5".to_owned(), ..h4 };
    b.cloud.hosts.insert("H5".to_owned(), h5);
    let z = b.cloud.networks["Z"].clone();
    let y = crate::model::Network { id: "Y".to_owned(), provider_segmentation_id: Some(2002), ..z };
    b.cloud.networks.insert("Y".to_owned(), y);
    let z1 = fixture().ports["Z1"].clone();
    let y1 = crate::model::Port { id: "Y1".to_owned(), network_id: "Y".to_owned(), fixed_ips: Vec::new(), ..z1 };
    b.cloud.ports.insert("Y1".to_owned(), y1);
    b.apply();
    assert_eq!(b.seg("Y").0, segment.seg, "the test needs an index with a new owner");
    assert_eq!(Target::Tunnel(b.writer.indexes().tunnel("H5").unwrap().0), tunnel.target);
    assert_eq!(b.port("Y1").0, gone);
    for event in [tunnel, segment, from_port] {
        b.writer.learn(&event);
        assert_eq!(b.writer.learned(), 0, "{event:?}");
    }
}

/// Until its index is reused the row of a removed port stays, inactive; an event that was still in
/// a queue must not bring back an address on it: the index's next owner would get its frames.
/// Rules: L4.
#[test]
fn an_event_of_a_removed_port_is_void_while_its_index_waits() {
    let mut b = Bench::new();
    port(&mut b.cloud, "A3").port_security_enabled = false;
    b.apply();
    let late = b.by_port("A", "0a:00:55", "A3", 1);
    b.cloud.ports.remove("A3");
    b.apply();
    b.writer.learn(&late);
    assert_eq!((b.place("A", "0a:00:55"), b.writer.learned()), ("nowhere".to_owned(), 0));
}

/// Rules: L4.
#[test]
fn an_event_of_a_removed_network_is_void_while_its_index_waits() {
    let mut b = Bench::new();
    let late = b.by_host("Z", "0a:00:55", "H2", 1);
    let gone_host = b.by_host("A", "0a:00:55", "H4", 1);
    unbind(&mut b.cloud, "Z1");
    b.cloud.ports.remove("A4");
    b.cloud.hosts.remove("H4");
    b.apply();
    b.writer.learn(&late);
    b.writer.learn(&gone_host);
    assert_eq!(b.writer.learned(), 0);
}
