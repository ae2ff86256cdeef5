//! Changes: whole batches or nothing, `--events` lines, patches of fixtures.

use control::model::{Change, Cloud, DhcpMode, Event, Settings};
use dataplane::addr::MacAddr;
use serde_json::json;

const REFERENCE: &str = include_str!("../../pcap-fixtures/T/cloud.json");

fn reference() -> Cloud {
    Cloud::from_json(REFERENCE, "cloud.json").unwrap_or_else(|e| panic!("{e}"))
}

fn change(v: serde_json::Value) -> Change {
    Change::from_json_value(v, "ev.jsonl", 3).unwrap_or_else(|e| panic!("{e}"))
}

/// A port of network A in the file's form.
fn port(id: &str, ip: &str, mac: &str) -> serde_json::Value {
    json!({"id": id, "network_id": "A", "mac_address": mac, "device_owner": "compute:nova", "binding_host_id": "H1",
        "fixed_ips": [{"subnet_id": "A-v4", "ip_address": ip}]})
}

#[test]
fn set_replaces_whole_resources_and_adds_new_ones() {
    let c = reference();
    let next = c
        .apply(&change(json!({"set": {
            "ports": [port("A3", "10.1.0.13", "fa:16:3e:0a:00:33"), port("A9", "10.1.0.9", "fa:16:3e:0a:00:09")],
            "neighbors": [{"network_id": "X", "ip_address": "203.0.113.1", "mac_address": "02:ee:00:00:00:07"}],
            "settings": {"flood_unknown": true}}})))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(next.ports.len(), 26);
    assert_eq!(next.ports["A3"].mac_address, "fa:16:3e:0a:00:33".parse::<MacAddr>().unwrap());
    assert!(next.ports["A3"].security_groups.is_empty(), "what is set is whole");
    assert_eq!(next.settings, Settings { flood_unknown: Some(true), ..Settings::default() });
    assert_eq!(next.neighbors.len(), 1);
    assert_eq!(c, reference(), "the old cloud is untouched");
    assert_eq!(c.settings.dhcp, DhcpMode::Local);
    assert_eq!(c.apply(&change(json!({}))).unwrap(), c);
    assert!(change(json!({"set": {}, "delete": null})).is_empty());
}

#[test]
fn delete_by_id_or_name() {
    let c = reference();
    let next = c
        .apply(&change(json!({"delete": {
            "ports": ["A3"], "floatingips": ["fip-101"],
            "neighbors": [{"network_id": "X", "ip_address": "203.0.113.1"}]}})))
        .unwrap_or_else(|e| panic!("{e}"));
    assert!(!next.ports.contains_key("A3") && !next.floatingips.contains_key("fip-101") && next.neighbors.is_empty());
    // Deleted and set in one batch: the new one counts.
    let both = json!({"delete": {"ports": ["A3"]}, "set": {"ports": [port("A3", "10.1.0.33", "fa:16:3e:0a:00:13")]}});
    let next = c.apply(&change(both)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(next.ports["A3"].fixed_ips[0].ip_address.to_string(), "10.1.0.33");
    // Two ports swap their addresses: only the result counts.
    let swap = json!({"set": {"ports": [port("A3", "10.1.0.14", "fa:16:3e:0a:00:14"), port("A4", "10.1.0.13", "fa:16:3e:0a:00:13")]},
        "delete": {"floatingips": ["fip-104"]}});
    c.apply(&change(swap)).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn a_refused_change_names_everything_and_changes_nothing() {
    let c = reference();
    let bad = change(json!({
        "delete": {"networks": ["C"], "ports": ["nobody", "A4", "A4"], "hosts": ["H4"],
            "neighbors": [{"network_id": "A", "ip_address": "10.1.0.77"}]},
        "set": {"ports": [port("A9", "10.1.0.11", "fa:16:3e:0a:00:09"), port("Aa", "10.5.0.1", "fa:16:3e:0a:00:0a")]}}));
    let text = c.apply(&bad).unwrap_err().to_string();
    for want in [
        "ev.jsonl:3 /delete/ports/0: port nobody: there is no port \"nobody\"; take the deletion out",
        "ev.jsonl:3 /delete/ports/2: port A4: it is deleted twice; take the deletion out",
        "ev.jsonl:3 /delete/neighbors/0: neighbor 10.1.0.77: network A has no neighbor 10.1.0.77; take",
        "ev.jsonl:3: port rC1: network_id: there is no network \"C\"; the change takes the network away",
        "ev.jsonl:3: port rC2: network_id: there is no network \"C\"; ",
        "ev.jsonl:3: subnet C-v4: network_id: there is no network \"C\"; ",
        "ev.jsonl:3: floating ip fip-104 (203.0.113.104): port_id: there is no port \"A4\"; ",
        "ev.jsonl:3 /set/ports/0/fixed_ips/0/ip_address: port A9: fixed_ips[0].ip_address: 10.1.0.11 in network A is also that of port A1; ",
        "ev.jsonl:3 /set/ports/1/fixed_ips/0/ip_address: port Aa: fixed_ips[0].ip_address: 10.5.0.1 is outside",
        "\n9 problems",
    ] {
        assert!(text.contains(want), "wanted {want}, found\n{text}");
    }
    assert_eq!(c, reference());
}

#[test]
fn the_change_is_blamed_for_a_collision_not_what_was_there() {
    let c = reference();
    for id in ["A0", "Zz"] {
        let e = c.apply(&change(json!({"set": {"ports": [port(id, "10.1.0.9", "fa:16:3e:0a:00:11")]}}))).unwrap_err();
        assert_eq!(e.as_slice().len(), 1, "{e}");
        assert_eq!(e.as_slice()[0].resource, format!("port {id}"));
        assert_eq!(e.as_slice()[0].place.pointer.as_deref(), Some("/set/ports/0/mac_address"));
        assert!(e.as_slice()[0].reason.ends_with("is also that of port A1"), "{e}");
    }
}

#[test]
fn event_lines() {
    for (at, ns) in
        [("0", 0), ("1.5", 1_500_000_000), ("0.000000001", 1), ("0.1", 100_000_000), ("300", 300_000_000_000)]
    {
        let e =
            Event::from_line(&format!("{{\"at\": {at}, \"delete\": {{\"ports\": [\"A1\"]}}}}"), "ev.jsonl", 1).unwrap();
        assert_eq!(e.at_ns, ns);
        assert!(!e.change.is_empty());
    }
    for (line, want) in [
        ("{", "ev.jsonl:4: file: EOF"),
        ("{}", "ev.jsonl:4: file: at: is missing; give the time in seconds since the first frame\n1 problem"),
        ("[]", "ev.jsonl:4: file: expected an object, found a list"),
        (r#"{"at": -1}"#, "ev.jsonl:4 /at: file: at: -1 is out of range"),
        (r#"{"at": 1e300}"#, "ev.jsonl:4 /at: file: at: 1000000"),
        (r#"{"at": 1000000001}"#, "ev.jsonl:4 /at: file: at: 1000000001 is out of range"),
        (r#"{"at": "1"}"#, "ev.jsonl:4 /at: file: at: expected a number, found a string"),
        (r#"{"at": 1, "sett": {}}"#, "ev.jsonl:4 /sett: file: sett: unknown field; did you mean set?"),
        (r#"{"at": 1, "set": {"port": []}}"#, "ev.jsonl:4 /set/port: file: port: unknown field; did you mean ports?"),
        (
            r#"{"at": 1, "delete": {"settings": {}}}"#,
            "ev.jsonl:4 /delete/settings: file: settings: settings cannot be deleted",
        ),
        (
            r#"{"at": 1, "delete": {"ports": [7]}}"#,
            "ev.jsonl:4 /delete/ports/0: port: expected the id of a port, found an integer",
        ),
        (
            r#"{"at": 1, "delete": {"ports": "A1"}}"#,
            "ev.jsonl:4 /delete/ports: file: ports: expected a list, found a string",
        ),
        (
            r#"{"at": 1, "delete": {"neighbors": [{"network_id": "A", "ip": "x"}]}}"#,
            "ev.jsonl:4 /delete/neighbors/0: neighbor: ip_address: is missing",
        ),
        (
            r#"{"at": 1, "set": {"ports": [{"id": "p", "network_id": "A", "mac_address": "x"}]}}"#,
            "ev.jsonl:4 /set/ports/0/mac_address: port p: mac_address: \"x\" is not a MAC address",
        ),
        (r#"{"at": 1, "at": 2}"#, "ev.jsonl:4 /at: file: at: the key is given twice"),
    ] {
        let e = Event::from_line(line, "ev.jsonl", 4).unwrap_err().to_string();
        assert!(e.starts_with(want), "{line} gave {e}");
    }
}

#[test]
fn patches_in_toml() {
    let case = "case = \"X\"\n[patch.set]\nsettings = { flood_unknown = true }\n[[patch.set.ports]]\nid = \"A9\"\n\
                network_id = \"A\"\nmac_address = \"fa:16:3e:0a:00:09\"\nfixed_ips = [{ ip_address = \"10.1.0.9\" }]\n\
                [patch.delete]\nfloatingips = [\"fip-105\"]\n";
    let by_text = Change::from_toml(case, "case.toml", "patch").unwrap_or_else(|e| panic!("{e}"));
    let table: toml::Table = case.parse().unwrap();
    let by_value = Change::from_toml_value(table["patch"].clone(), "case.toml").unwrap_or_else(|e| panic!("{e}"));
    let next = reference().apply(&by_text).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(next, reference().apply(&by_value).unwrap());
    assert_eq!(next.ports["A9"].fixed_ips[0].subnet_id, "A-v4");
    assert!(!next.floatingips.contains_key("fip-105"));
    assert!(Change::from_toml("case = \"X\"", "case.toml", "patch").unwrap().is_empty());

    let bad = case.replace("0a:00:09", "0a:00:11");
    let e = reference().apply(&Change::from_toml(&bad, "case.toml", "patch").unwrap()).unwrap_err();
    assert!(e.to_string().starts_with("case.toml:7: port A9: mac_address: MAC fa:16:3e:0a:00:11 in network A"), "{e}");
    let e = Change::from_toml("patch.set.settings.dhcp = 2026-01-01", "case.toml", "patch").unwrap_err();
    assert!(e.to_string().contains("expected a string, found a date or time"), "{e}");
}
