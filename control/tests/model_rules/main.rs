//! Every rule of the cloud model: one bad value in the reference cloud, and the problems it must give, with place,
//! resource, field and reason; no others.

mod relations;
mod values;

use control::model::{Cloud, Problem};
use serde_json::{Value, json};

const REFERENCE: &str = include_str!("../../../pcap-fixtures/T/cloud.json");

/// Sets the value at a JSON pointer; the last part may be new, `-` appends to a list.
fn set(root: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let parent = root.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
    match parent {
        Value::Array(a) if last == "-" => a.push(value),
        Value::Array(a) => a[last.parse::<usize>().unwrap()] = value,
        Value::Object(o) => drop(o.insert(last.to_owned(), value)),
        _ => panic!("no parent of {pointer}"),
    }
}

fn problems(patches: &[(&str, Value)]) -> Vec<Problem> {
    let mut cloud: Value = serde_json::from_str(REFERENCE).unwrap();
    for (pointer, value) in patches {
        set(&mut cloud, pointer, value.clone());
    }
    match Cloud::from_json(&cloud.to_string(), "c.json") {
        Ok(_) => Vec::new(),
        Err(p) => p.as_slice().to_vec(),
    }
}

/// Pointer, resource, field (empty: none), a part of the reason.
type Want = (&'static str, &'static str, &'static str, &'static str);

fn check(patches: &[(&str, Value)], want: &[Want]) {
    let found = problems(patches);
    let text = found.iter().map(|p| format!("{p}\n")).collect::<String>();
    assert_eq!(found.len(), want.len(), "{patches:?} gave\n{text}");
    for (pointer, resource, field, reason) in want {
        let hit = found.iter().any(|p| {
            p.place.file == "c.json"
                && p.place.line.is_none()
                && p.place.pointer.as_deref() == Some(*pointer)
                && p.resource == *resource
                && p.field.as_deref().unwrap_or("") == *field
                && p.reason.contains(reason)
                && !p.hint.is_empty()
        });
        assert!(hit, "{patches:?}: wanted {pointer} {resource} {field} {reason:?}, found\n{text}");
    }
}

/// One bad value, one problem at its own place.
fn one(pointer: &'static str, value: Value, resource: &'static str, field: &'static str, reason: &'static str) {
    check(&[(pointer, value)], &[(pointer, resource, field, reason)]);
}

#[test]
fn the_reference_is_clean() {
    check(&[], &[]);
}

#[test]
fn all_at_once() {
    check(
        &[
            ("/ports/13/mac_address", json!("nonsense")),
            ("/ports/13/network_id", json!("nn")),
            ("/ports/13/binding_host_id", json!("H9")),
            ("/ports/13/colour", json!("red")),
            ("/subnets/7/cidr", json!("10.1.0.1/24")),
            ("/networks/0/provider_segmentation_id", json!(1002)),
            ("/routers/1/routes/1/nexthop", json!("10.77.0.1")),
            ("/floatingips/4/port_id", json!("VIQ")),
        ],
        &[
            ("/ports/13/mac_address", "port A1", "mac_address", "not a MAC address"),
            ("/ports/13/network_id", "port A1", "network_id", "there is no network"),
            ("/ports/13/binding_host_id", "port A1", "binding_host_id", "there is no host"),
            ("/ports/13/colour", "port A1", "colour", "unknown field"),
            ("/subnets/7/cidr", "subnet Z-v4", "cidr", "bits set behind"),
            (
                "/networks/1/provider_segmentation_id",
                "network B",
                "provider_segmentation_id",
                "VNI 1002 is also that of network A",
            ),
            ("/routers/1/routes/1/nexthop", "router R2", "routes[1].nexthop", "on none of the router's subnets"),
            ("/floatingips/4/port_id", "floating ip fip-105 (203.0.113.105)", "port_id", "there is no port \"VIQ\""),
        ],
    );
}

#[test]
fn toml_tells_lines() {
    let text = "[[networks]]\nname = \"A\"\nprovider_network_type = \"vxlan\"\nprovider_segmentation_id = 0\n\n[[ports]]\nname = \"p\"\nnetwork_id = \"B\"\nfixed_ips = [\n  { ip_address = \"x\" },\n]\n";
    let found = Cloud::from_toml(text, "c.toml").unwrap_err();
    let mut lines: Vec<(Option<usize>, String)> =
        found.iter().map(|p| (p.place.line, p.field.clone().unwrap_or_default())).collect();
    lines.sort();
    let want = [
        (Some(4), "provider_segmentation_id".to_owned()),
        (Some(6), "mac_address".to_owned()),
        (Some(8), "network_id".to_owned()),
        (Some(10), "fixed_ips[0].ip_address".to_owned()),
    ];
    assert_eq!(lines, want, "{found}");
    assert!(found.to_string().ends_with("\n4 problems"), "{found}");
    assert!(found.iter().all(|p| p.place.pointer.is_none()));
}
