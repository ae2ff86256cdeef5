//! Mutation of JSON (and, through it, TOML) as a tree: bytes alone hardly ever hit a value.

use crate::input::Bytes;
use crate::random::Random;
use serde_json::{Map, Value, json};

/// Scalars that mean something in a cloud, and some that should not.
fn scalar(r: &mut Random) -> Value {
    const WORDS: [&str; 44] = [
        "A",
        "B",
        "C",
        "K",
        "V",
        "X",
        "Z",
        "A-v4",
        "A-v6",
        "R1",
        "R2",
        "A1",
        "A2",
        "B1",
        "rA",
        "sgA",
        "H1",
        "H2",
        "H3",
        "ACTIVE",
        "DOWN",
        "dvr",
        "dvr_snat",
        "dvr_no_external",
        "vxlan",
        "vlan",
        "flat",
        "physnet1",
        "local",
        "off",
        "compute:nova",
        "network:dhcp",
        "network:router_interface_distributed",
        "network:router_centralized_snat",
        "10.1.0.11",
        "10.1.0.0/24",
        "0.0.0.0/0",
        "255.255.255.255/32",
        "fd00:a::1",
        "::/0",
        "fa:16:3e:0a:00:11",
        "00:00:00:00:00:00",
        "",
        "\u{1b}[31m",
    ];
    const NUMBERS: [i64; 14] = [0, 1, 4, 6, 68, 300, 1001, 1450, 1500, 4095, 65535, 65536, 16_777_216, -1];
    match r.below(10) {
        0 => Value::Null,
        1 => Value::Bool(r.below(2) == 0),
        2 => json!(r.number()),
        3 | 4 => json!(*r.pick(&NUMBERS)),
        5 => json!(*r.pick(&[0.5, -1.0, 1e300, 1e9])),
        _ => json!(*r.pick(&WORDS)),
    }
}

fn count(v: &Value) -> usize {
    1 + match v {
        Value::Array(a) => a.iter().map(count).sum(),
        Value::Object(o) => o.values().map(count).sum(),
        _ => 0,
    }
}

/// The `n`th value of the tree, counted in depth.
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

fn step(tree: &mut Value, r: &mut Random) {
    let size = count(tree);
    let from = nth(&mut tree.clone(), &mut r.below(size)).cloned().unwrap_or_default();
    let Some(at) = nth(tree, &mut r.below(size)) else { return };
    match (r.below(8), at) {
        (0, Value::Array(a)) if !a.is_empty() => drop(a.remove(r.below(a.len()))),
        (1, Value::Array(a)) if !a.is_empty() => {
            let copy = a[r.below(a.len())].clone();
            a.insert(r.below(a.len() + 1), copy);
        }
        (0, Value::Object(o)) if !o.is_empty() => {
            let key = o.keys().nth(r.below(o.len())).cloned().unwrap_or_default();
            o.remove(&key);
        }
        (1, Value::Object(o)) if !o.is_empty() => {
            let key = o.keys().nth(r.below(o.len())).cloned().unwrap_or_default();
            let value = scalar(r);
            o.insert(key, value);
        }
        (2, Value::Object(o)) => drop(o.insert("name".to_owned(), from)),
        (3, at) => *at = from,
        (4, at @ (Value::Array(_) | Value::Object(_))) if r.below(4) > 0 => *at = json!([at.take()]),
        (5, Value::String(s)) if !s.is_empty() => {
            // One character less or another one: near misses of names, addresses and numbers.
            let at = r.below(s.chars().count());
            let other = *r.pick(&['0', '1', '9', 'a', 'f', ':', '.', '/', ' ']);
            let cut = r.below(3) == 0;
            *s = s
                .chars()
                .enumerate()
                .filter_map(|(i, c)| if i != at { Some(c) } else { (!cut).then_some(other) })
                .collect();
        }
        (_, at @ (Value::Array(_) | Value::Object(_))) if r.below(8) > 0 => {
            // Whole lists are seldom worth losing.
            if let Value::Array(a) = at {
                a.push(from);
            }
        }
        (_, at) => *at = scalar(r),
    }
}

/// Which text.
#[derive(Clone, Copy, Debug)]
pub enum Text {
    /// One JSON text.
    Json,
    /// One JSON text a line.
    Lines,
    /// TOML.
    Toml,
}

/// A new text out of `data[..size]`; returns its size.
pub fn mutate(text: Text, data: &mut [u8], size: usize, max: usize, seed: u32, bytes: Bytes<'_>) -> usize {
    let r = &mut Random(seed.into());
    let new = std::str::from_utf8(&data[..size]).ok().filter(|_| r.below(4) > 0).and_then(|old| match text {
        Text::Json => json(old, r),
        Text::Lines => lines(old, r),
        Text::Toml => toml(old, r),
    });
    match new.filter(|n| n.len() <= max) {
        Some(new) => {
            data[..new.len()].copy_from_slice(new.as_bytes());
            new.len()
        }
        None => bytes(data, size, max),
    }
}

fn steps(tree: &mut Value, r: &mut Random) {
    (0..=r.below(3)).for_each(|_| step(tree, r));
}

fn json(old: &str, r: &mut Random) -> Option<String> {
    let mut tree: Value = serde_json::from_str(old).ok()?;
    steps(&mut tree, r);
    Some(tree.to_string())
}

fn toml(old: &str, r: &mut Random) -> Option<String> {
    let mut tree = serde_json::to_value(old.parse::<toml::Table>().ok()?).ok()?;
    steps(&mut tree, r);
    no_nulls(&mut tree);
    toml::to_string(&tree).ok()
}

/// Takes nulls out: TOML has none.
pub fn no_nulls(v: &mut Value) {
    match v {
        Value::Array(a) => {
            a.retain(|v| !v.is_null());
            a.iter_mut().for_each(no_nulls);
        }
        Value::Object(o) => {
            let kept = std::mem::take(o).into_iter().filter(|(_, v)| !v.is_null());
            *o = kept.collect::<Map<_, _>>();
            o.values_mut().for_each(no_nulls);
        }
        _ => {}
    }
}

fn lines(old: &str, r: &mut Random) -> Option<String> {
    let mut all: Vec<String> = old.lines().map(str::to_owned).collect();
    let at = r.below(all.len().max(1));
    match r.below(8) {
        0 if all.len() > 1 => drop(all.remove(at)),
        1 if !all.is_empty() => all.insert(r.below(all.len() + 1), all[at].clone()),
        2 if !all.is_empty() => all.swap(at, 0),
        3 => all.push(change(r).to_string()),
        _ => *all.get_mut(at)? = json(&all[at], r)?,
    }
    Some(all.join("\n"))
}

/// A batch made of the reference cloud: resources set again, or deleted.
fn change(r: &mut Random) -> Value {
    let cloud: Value = serde_json::from_str(crate::REFERENCE).expect("the reference cloud");
    const KINDS: [&str; 5] = ["ports", "networks", "subnets", "routers", "hosts"];
    let kind = *r.pick(&KINDS);
    let one = cloud[kind].as_array().map(|a| r.pick(a).clone()).unwrap_or_default();
    if r.below(3) == 0 {
        let id = one.get("id").or(one.get("name")).cloned().unwrap_or_default();
        return json!({"at": 0, "delete": {kind: [id]}});
    }
    let mut set = one;
    if r.below(2) == 0 {
        steps(&mut set, r);
    }
    json!({"at": r.below(3), "set": {kind: [set]}})
}
