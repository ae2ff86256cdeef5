//! Whatever the input is, reading it never panics, and what is accepted is accepted again.

use control::model::{Change, Cloud, Event};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const REFERENCE: &str = include_str!("../../pcap-fixtures/T/cloud.json");

/// Words that make a random tree look like a cloud.
const WORDS: [&str; 30] = [
    "id",
    "name",
    "ports",
    "networks",
    "subnets",
    "routers",
    "hosts",
    "floatingips",
    "security_groups",
    "neighbors",
    "settings",
    "network_id",
    "mac_address",
    "fixed_ips",
    "ip_address",
    "subnet_id",
    "cidr",
    "set",
    "delete",
    "at",
    "binding:host_id",
    "binding_host_id",
    "dvrd",
    "routes",
    "nexthop",
    "A",
    "A-v4",
    "a/b~c",
    "",
    "\u{1b}[31m",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![9 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        proptest::sample::select(
            &["10.1.0.11", "fd00:a::1", "10.1.0.0/24", "::/0", "0.0.0.0/0", "fa:16:3e:0a:00:11", "255.255.255.255/32"]
                [..]
        )
        .prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 80, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((word(), inner), 0..6).prop_map(|l| Value::Object(Map::from_iter(l))),
        ]
    })
}

/// The nth value of the tree, counted in depth.
fn nth<'v>(v: &'v mut Value, n: &mut usize) -> Option<&'v mut Value> {
    if *n == 0 {
        return Some(v);
    }
    *n -= 1;
    match v {
        Value::Array(a) => a.iter_mut().find_map(|x| nth(x, n)),
        Value::Object(o) => o.values_mut().find_map(|x| nth(x, n)),
        _ => None,
    }
}

/// The reference cloud with a few values replaced, some by values from elsewhere in it.
fn mutated() -> impl Strategy<Value = Value> {
    let one = (0usize..1600, prop_oneof![tree().prop_map(Ok), (0usize..1600).prop_map(Err)]);
    proptest::collection::vec(one, 1..6).prop_map(|mutations| {
        let mut cloud: Value = serde_json::from_str(REFERENCE).unwrap();
        for (mut at, with) in mutations {
            let with = with.unwrap_or_else(|mut from| nth(&mut cloud.clone(), &mut from).cloned().unwrap_or_default());
            if let Some(v) = nth(&mut cloud, &mut at) {
                *v = with;
            }
        }
        cloud
    })
}

/// Everything that takes text or a tree, on the same input.
fn drive(v: &Value) {
    let text = v.to_string();
    let loaded = Cloud::from_json(&text, "x.json");
    match &loaded {
        Ok(c) => assert_eq!(c.apply(&Change::from_json_value(json!({}), "x", 0).unwrap()).as_ref(), Ok(c)),
        Err(p) => {
            assert!(!p.as_slice().is_empty());
            for p in p.iter() {
                assert!(!p.reason.is_empty() && !p.hint.is_empty() && !p.resource.is_empty());
                assert!(!p.to_string().chars().any(char::is_control), "{:?}", p.to_string());
            }
        }
    }
    let reference = Cloud::from_json(REFERENCE, "cloud.json").unwrap();
    for change in [json!({"set": v}), json!({"delete": v}), v.clone()] {
        let _ = Event::from_line(&change.to_string(), "x.jsonl", 1);
        if let Ok(c) = Change::from_json_value(change, "x.jsonl", 1) {
            let _ = reference.apply(&c).map_err(|p| p.to_string());
        }
    }
    if let Ok(t) = toml::Value::try_from(v) {
        let _ = Change::from_toml_value(t.clone(), "x.toml");
        if let Ok(text) = toml::to_string(&t) {
            let _ = Change::from_toml(&text, "x.toml", "set").map_err(|p| p.to_string());
            if let (Ok(json), Ok(toml)) = (&loaded, Cloud::from_toml(&text, "x.toml")) {
                assert_eq!(*json, toml);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_tree(v in tree()) {
        drive(&v);
    }

    #[test]
    fn any_mutation_of_the_reference(v in mutated()) {
        drive(&v);
    }

    #[test]
    fn any_text(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for text in [text, String::from_utf8_lossy(&bytes).into_owned()] {
            let _ = Cloud::from_json(&text, "x").map_err(|p| p.to_string());
            let _ = Cloud::from_toml(&text, "x").map_err(|p| p.to_string());
            let _ = Event::from_line(&text, "x", 1).map_err(|p| p.to_string());
        }
    }

    #[test]
    fn the_reference_cut_anywhere(at in 0..REFERENCE.len()) {
        if let Some(text) = REFERENCE.get(..at) {
            prop_assert!(Cloud::from_json(text, "x").is_err());
        }
    }
}
