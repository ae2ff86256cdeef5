//! Dumps of Neutron's API lists to a cloud file.
//!
//! The model takes networks, subnets, ports, routers, floating IPs and security groups as Neutron's API gives them, so
//! they go into one document as they are, sorted by id. `hosts` are made of `agents`; DVR MACs, which the API does not
//! tell, come from a list as Neutron's RPC `get_dvr_mac_address_list` gives it. The document is then read as any cloud
//! file is, and what is wrong with it is told at its place in the dump it came from.

mod hosts;
mod read;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::{Cloud, Place, Problem, Problems};
use read::{Dumps, Item};

/// What a document is called until its problems are told at their place in a dump.
const NAME: &str = "\u{0}import";

/// Lists that must be there: without one of them a router, or all hosts, would silently be missing.
const NEEDED: [&str; 6] = ["networks", "subnets", "ports", "routers", "floatingips", "agents"];

/// A cloud put together from dumps.
#[derive(Clone, Debug)]
pub struct Import {
    /// The cloud file: JSON. The same dumps give the same text, in whatever order they come.
    pub document: String,
    /// What it says.
    pub cloud: Cloud,
    /// What could not be told from the dumps, and how to give it.
    pub missing: Vec<String>,
    /// What else is worth knowing: lists that nothing uses, agents that are not alive.
    pub notes: Vec<String>,
}

/// Reads dumps: (name, text) each. Refused whole, with every problem named.
pub fn import(files: &[(String, String)]) -> Result<Import, Problems> {
    let mut dumps = read::dumps(files)?;
    check_needed(&dumps)?;
    let mut missing = Vec::new();
    let groups = unknown_groups(&mut dumps);
    if groups > 0 {
        missing.push(format!(
            "security_groups: ports name {groups} and no dump lists them; they are in the cloud file without rules, so \
             that nothing is let through by them: add the answer of GET /v2.0/security-groups"
        ));
    }
    let hosts = hosts::hosts(&dumps)?;
    missing.extend(hosts.missing);
    let mut notes = hosts.notes;
    notes.extend(dumps.notes.iter().cloned());
    let mut root = Map::new();
    if let Some(settings) = &dumps.settings {
        root.insert("settings".to_owned(), Value::Object(settings.value.clone()));
    }
    let list = |items: &[Item]| Value::Array(items.iter().map(|i| Value::Object(i.value.clone())).collect());
    root.insert("hosts".to_owned(), Value::Array(hosts.hosts.iter().map(|h| Value::Object(h.value.clone())).collect()));
    for (key, items) in &dumps.lists {
        root.insert((*key).to_owned(), list(items));
    }
    let document = format!("{:#}\n", Value::Object(root));
    let cloud = Cloud::from_json(&document, NAME).map_err(|problems| {
        let told = problems.iter().map(|p| in_dump(p, &dumps, &hosts.hosts)).collect();
        Problems::check(told).err().unwrap_or(problems)
    })?;
    Ok(Import { document, cloud, missing, notes })
}

/// Every list that is needed is there, if only as an empty one.
fn check_needed(dumps: &Dumps<'_>) -> Result<(), Problems> {
    let here = |key: &str| dumps.seen.contains(key) || (key == "agents" && dumps.seen.contains("hosts"));
    let absent = NEEDED.into_iter().filter(|key| !here(key)).map(|key| Problem {
        place: Place { file: dumps.names.join(", "), line: None, pointer: None },
        resource: key.to_owned(),
        field: None,
        reason: "no dump has this list".to_owned(),
        hint: format!("add the answer of GET /v2.0/{key}, an empty list if there are none"),
    });
    Problems::check(absent.collect())
}

/// Without a list of security groups: those that ports name, without rules. How many there are.
fn unknown_groups(dumps: &mut Dumps<'_>) -> usize {
    if dumps.seen.contains("security_groups") {
        return 0;
    }
    let mut groups: BTreeMap<String, read::Place> = BTreeMap::new();
    for port in dumps.lists.get("ports").into_iter().flatten() {
        let named = port.value.get("security_groups").and_then(Value::as_array).into_iter().flatten();
        for (n, id) in named.enumerate() {
            let Some(id) = id.as_str() else { continue };
            groups.entry(id.to_owned()).or_insert_with(|| port.place.at(&format!("security_groups/{n}")));
        }
    }
    let count = groups.len();
    let stubs = groups.into_iter().map(|(id, place)| Item { value: stub(&id), place });
    dumps.lists.insert("security_groups", stubs.collect());
    count
}

fn stub(id: &str) -> Map<String, Value> {
    Map::from_iter([("id".to_owned(), json!(id)), ("security_group_rules".to_owned(), json!([]))])
}

/// The problem at its place in the dump instead of in the document made of all.
fn in_dump(problem: &Problem, dumps: &Dumps<'_>, hosts: &[hosts::Host]) -> Problem {
    let mut told = problem.clone();
    if let Some(pointer) = &problem.place.pointer {
        (told.place.file, told.place.pointer) = place(pointer, dumps, hosts);
    }
    // "MAC .. is also that of port .., at FILE /ports/3"
    if let Some((text, at)) = problem.reason.split_once(&format!("{NAME} ")) {
        let (pointer, rest) = at.split_at(at.find([' ', ';', ',']).unwrap_or(at.len()));
        let (file, pointer) = place(pointer, dumps, hosts);
        told.reason = format!("{text}{file} {}{rest}", pointer.unwrap_or_default());
    }
    told
}

/// Where a pointer into the document leads: file and pointer.
fn place(pointer: &str, dumps: &Dumps<'_>, hosts: &[hosts::Host]) -> (String, Option<String>) {
    let mut parts = pointer.splitn(4, '/').skip(1);
    let (key, n, rest) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let n = n.and_then(|n| n.parse::<usize>().ok());
    let found = match (key, n) {
        ("settings", _) => dumps.settings.as_ref().map(|s| (s.place.clone(), pointer.strip_prefix("/settings"))),
        ("hosts", Some(n)) => {
            let attribute = rest.map(|r| r.split('/').next().unwrap_or_default());
            hosts.get(n).map(|h| (h.place_of(attribute), None))
        }
        (key, Some(n)) => {
            let item = dumps.lists.get(key).and_then(|items| items.get(n));
            item.map(|item| (item.place.clone(), pointer.get(1 + key.len() + 1 + n.to_string().len()..)))
        }
        _ => None,
    };
    match found {
        Some((place, rest)) => (dumps.name(&place), Some(format!("{}{}", place.pointer, rest.unwrap_or_default()))),
        None => (dumps.names.join(", "), Some(pointer.to_owned())),
    }
}
