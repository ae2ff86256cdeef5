//! One host: batches under traffic, refusals, the books.

mod floods;
mod sequences;

use super::*;
use crate::rows::tests::{fixture, mac};
use etherparse::PacketBuilder;
use serde_json::{Value, json};

const NOW: u64 = 1_000_000_000;

fn umem() -> Umem {
    Umem::new(1024)
}

fn start<'u>(name: &str, umem: &'u mut Umem) -> Host<'u> {
    Host::new(fixture(), name, umem).unwrap()
}

fn change(value: Value) -> Change {
    Change::from_json_value(value, "batch", 0).unwrap()
}

/// A port of the reference cloud as the cloud file has it, with some attributes changed.
fn port(id: &str, attributes: Value) -> Value {
    let file: Value = serde_json::from_str(include_str!("../../../pcap-fixtures/T/cloud.json")).unwrap();
    let mut port = file["ports"].as_array().unwrap().iter().find(|p| p["id"] == id).unwrap().clone();
    port.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
    port
}

/// UDP from one address to another; MACs by their tails.
fn udp(src: &str, dst: &str, from: &str, to: &str) -> Vec<u8> {
    let address = |a: &str| a.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(mac(src).octets(), mac(dst).octets()).ipv4(address(from), address(to), 64);
    builder.udp(1000, 2000).write(&mut frame, b"hello").unwrap();
    frame
}

/// A1 to A3, A1 to A2, A1 routed to B1, A1 routed to B2.
fn traffic() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("A1", udp("0a:00:11", "0a:00:13", "10.1.0.11", "10.1.0.13")),
        ("A1", udp("0a:00:11", "0a:00:12", "10.1.0.11", "10.1.0.12")),
        ("A1", udp("0a:00:11", "0a:00:01", "10.1.0.11", "10.2.0.11")),
        ("A1", udp("0a:00:11", "0a:00:01", "10.1.0.11", "10.2.0.12")),
    ]
}

fn send(host: &mut Host<'_>, frames: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    for (port, frame) in frames {
        host.receive(port, frame, NOW, 64);
    }
    host.settle(NOW);
    sent(host)
}

fn sent(host: &mut Host<'_>) -> Vec<(String, Vec<u8>)> {
    let mut sent = Vec::new();
    host.drain_sent(&mut |port, bytes, _| sent.push((port.to_owned(), bytes.to_vec())));
    sent
}

fn balanced(host: &Host<'_>) {
    let t = host.totals();
    assert_eq!(t.received + t.generated + t.copied, t.sent + t.dropped + t.consumed + t.held);
    assert_eq!(t.drops.get("internal"), None);
    assert_eq!(host.frames().0 as u64 + t.held, host.frames().1 as u64, "frames leaked");
}

#[test]
fn a_refused_batch_names_what_is_wrong_and_leaves_traffic_as_it_was() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    let before = send(&mut host, &traffic());
    assert_eq!(before.iter().map(|(p, _)| p.as_str()).collect::<Vec<_>>(), ["A3", "B1", "tunnel", "tunnel"]);
    let (cloud, tables, generation) = (host.cloud().clone(), host.tables(), host.writer.current().generation);
    // A hundred good ports, one that has A3's MAC, and good news that must not be taken either.
    let new = |n: u32| {
        json!({"id": format!("N{n}"), "network_id": "A", "mac_address": mac(&format!("55:00:{n:02x}")).to_string(),
               "binding_host_id": "H1", "device_owner": "compute:nova",
               "fixed_ips": [{"subnet_id": "A-v4", "ip_address": format!("10.1.0.{}", 120 + n)}]})
    };
    let mut ports: Vec<Value> = (0..100).map(new).collect();
    ports.push(port("A1", json!({"status": "DOWN"})));
    ports[57]["mac_address"] = json!("fa:16:3e:0a:00:13");
    let error = host.apply(&change(json!({"set": {"ports": ports}})), NOW).unwrap_err().to_string();
    assert!(error.contains("N57") && error.contains("fa:16:3e:0a:00:13"), "{error}");
    assert_eq!((host.cloud(), host.tables()), (&cloud, tables));
    assert_eq!(host.writer.current().generation, generation, "not even a snapshot that says the same");
    assert_eq!(send(&mut host, &traffic()), before);
    balanced(&host);
}

#[test]
fn deleting_the_own_host_is_refused_and_another_one_is_not() {
    let mut umem = umem();
    let mut host = start("H4", &mut umem);
    let away = port("A4", json!({"binding_host_id": "H2"}));
    let batch = |name: &str| json!({"set": {"ports": [away]}, "delete": {"hosts": [name]}});
    let error = host.apply(&change(batch("H4")), NOW).unwrap_err().to_string();
    assert!(error.contains("H4") && error.contains("cannot be deleted"), "{error}");
    assert!(host.cloud().hosts.contains_key("H4"));
    assert_eq!(host.cloud().ports["A4"].binding_host_id.as_deref(), Some("H4"), "nothing of the batch");
    let mut umem = self::umem();
    let mut host = start("H1", &mut umem);
    host.apply(&change(batch("H4")), NOW).unwrap();
    assert!(!host.cloud().hosts.contains_key("H4"));
    let after = send(&mut host, &traffic());
    assert_eq!(after.len(), 4);
}

#[test]
fn frames_waiting_when_a_port_is_removed_go_through_before_it_does() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    let to_a1 = udp("0a:00:13", "0a:00:11", "10.1.0.13", "10.1.0.11");
    let to_a3 = udp("0a:00:11", "0a:00:13", "10.1.0.11", "10.1.0.13");
    for _ in 0..5 {
        host.receive("A3", &to_a1, NOW, 64);
    }
    assert_eq!(host.totals().sent, 0, "they wait for a full burst");
    let gone = change(json!({"delete": {"ports": ["A3"]}}));
    host.apply(&gone, NOW).unwrap();
    assert_eq!(sent(&mut host).len(), 5);
    balanced(&host);
    host.receive("A3", &to_a1, NOW, 64);
    host.receive("A1", &to_a3, NOW, 64);
    host.settle(NOW);
    let t = host.totals();
    assert_eq!((t.received, t.sent, t.drops["port_down"], t.drops["unknown_unicast"]), (7, 5, 1, 1));
    assert_eq!(t.ports["A3"], PortTotals { rx: 6, tx: 0 }, "its books stay");
    balanced(&host);
}

#[test]
fn frames_waiting_for_a_port_that_goes_down_meet_the_old_rows() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    let to_a3 = udp("0a:00:11", "0a:00:13", "10.1.0.11", "10.1.0.13");
    host.receive("A1", &to_a3, NOW, 64);
    host.apply(&change(json!({"set": {"ports": [port("A3", json!({"status": "DOWN"}))]}})), NOW).unwrap();
    host.receive("A1", &to_a3, NOW, 64);
    host.settle(NOW);
    assert_eq!((host.totals().sent, host.totals().drops["port_down"]), (1, 1));
    balanced(&host);
}

#[test]
fn a_port_that_comes_back_sends_and_receives_again() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    let before = send(&mut host, &traffic());
    for _ in 0..3 {
        host.apply(&change(json!({"delete": {"ports": ["A3"]}})), NOW).unwrap();
        assert_eq!(send(&mut host, &traffic()).len(), 3);
        host.apply(&change(json!({"set": {"ports": [port("A3", json!({}))]}})), NOW).unwrap();
        assert_eq!(send(&mut host, &traffic()), before);
    }
    balanced(&host);
}

#[test]
fn an_unknown_host_too_many_physical_networks_and_no_memory_are_errors() {
    let mut umem = umem();
    let error = Host::new(fixture(), "H9", &mut umem).err().map(|e| e.to_string());
    assert!(error.is_some_and(|e| e.contains("H9")));
    let mut cloud = fixture();
    let h1 = cloud.hosts.get_mut("H1").unwrap();
    h1.bridge_mappings.extend((0..15).map(|n| (format!("net{n}"), "eth9".to_owned())));
    let error = Host::new(cloud, "H1", &mut umem).err().map(|e| e.to_string());
    assert_eq!(error.as_deref(), Some("host H1 maps 17 physical networks, at most 16 are possible"));
    let mut none = Umem::new(0);
    assert!(matches!(Host::new(fixture(), "H1", &mut none), Err(HostError::NoWorker(1))));
}

#[test]
fn copies_that_find_no_buffer_are_no_frame_and_the_books_hold() {
    let mut umem = Umem::new(2);
    let mut host = start("H1", &mut umem);
    let mut broadcast = udp("0a:00:11", "00:00:00", "10.1.0.11", "255.255.255.255");
    broadcast[..6].fill(0xff);
    for n in 1..4 {
        host.receive("A1", &broadcast, NOW, 64);
        host.settle(NOW);
        let t = host.totals();
        assert_eq!((t.received, t.sent + t.drops["no_frame"]), (n, 4 * n), "A3, H2, H3, H4");
        balanced(&host);
    }
    assert_eq!(send(&mut host, &traffic()).len(), 6 + 4, "and it goes on: two copies of each broadcast found a buffer");
}

#[test]
fn a_frame_takes_the_name_of_its_port_from_id_or_unique_name() {
    let mut umem = umem();
    let host = start("H1", &mut umem);
    let names = ["A1", "tunnel", "physnet1", "nobody"].map(|w| host.port_name(w));
    assert_eq!(names, [Some("A1".to_owned()), Some("tunnel".to_owned()), Some("physnet1".to_owned()), None]);
}

/// A router with an interface of its own on the external network, R2 by rX2: what K1 sends to a floating IP of the host
/// gets there as over the wire. Rules: FI, FO3, R7.
#[test]
fn a_floating_ip_is_reached_by_a_router_with_an_interface_on_the_external_network() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    host.apply(&change(json!({"set": {"ports": [on_x()]}})), NOW).unwrap();
    sent(&mut host);
    let got = send(&mut host, &[("K1", udp("0d:00:11", "0d:00:01", "10.4.0.11", "203.0.113.102"))]);
    assert_eq!(got.iter().map(|(port, _)| port.as_str()).collect::<Vec<_>>(), ["B1"]);
    balanced(&host);
}

/// Rules: V4, E2.
#[test]
fn nobody_outside_gets_in_by_a_routers_interface_on_the_external_network() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    host.apply(&change(json!({"set": {"ports": [on_x()]}})), NOW).unwrap();
    sent(&mut host);
    let mut frame = udp("f9:00:01", "f9:00:77", "198.51.100.7", "10.4.0.11");
    frame[6..12].copy_from_slice(&[2, 0xee, 0, 0, 0, 1]);
    frame.splice(12..12, [0x81, 0, 0, 100]);
    assert_eq!(send(&mut host, &[("physext", frame)]), []);
    assert_eq!(host.totals().drops.get("router_mac_from_fabric"), Some(&1));
}

fn on_x() -> Value {
    port(
        "rK",
        json!({"id": "rX2", "name": "rX2", "network_id": "X", "mac_address": mac("f9:00:77").to_string(),
        "fixed_ips": [{"subnet_id": "X-v4", "ip_address": "203.0.113.60"}]}),
    )
}

/// Rules: R7, R1.
#[test]
fn nobody_asks_for_a_broadcast_address() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    let got = send(&mut host, &[("A1", udp("0a:00:11", "0a:00:01", "10.1.0.11", "10.2.0.255"))]);
    assert_eq!((got, host.totals().drops.get("no_neigh")), (vec![], Some(&1)));
}

/// More than one turn's copies. Rules: F42, L6-storm.
#[test]
fn as_many_announcements_as_a_host_has_floating_ips_are_all_sent() {
    let mut umem = umem();
    let mut host = start("H1", &mut umem);
    let (mut ports, mut fips) = (Vec::new(), Vec::new());
    for n in 0..180u32 {
        let (net, k) = if n < 90 { ("A", 1) } else { ("B", 2) };
        let ip = format!("10.{k}.0.{}", 120 + n % 90);
        let outside = if n < 70 { 30 + n } else { 110 + n - 70 };
        let mac = mac(&format!("55:00:{n:02x}")).to_string();
        let fixed = json!([{"subnet_id": format!("{net}-v4"), "ip_address": ip}]);
        ports.push(port(
            "A3",
            json!({"id": format!("N{n}"), "name": format!("N{n}"), "network_id": net,
            "mac_address": mac, "fixed_ips": fixed}),
        ));
        fips.push(
            json!({"id": format!("f{n}"), "floating_network_id": "X", "router_id": "R1", "port_id": format!("N{n}"),
            "fixed_ip_address": ip, "floating_ip_address": format!("203.0.113.{outside}")}),
        );
    }
    host.apply(&change(json!({"set": {"ports": ports, "floatingips": fips}})), NOW).unwrap();
    assert_eq!((sent(&mut host).len(), host.totals().drops.len()), (360, 0));
}
