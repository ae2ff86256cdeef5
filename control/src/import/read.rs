//! Dump files to lists of objects that know where they stand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::model;
use crate::model::{Problem, Problems};

/// Lists that go into the cloud file as they are, and the attributes they are sorted by.
const LISTS: [(&str, &[&str]); 7] = [
    ("networks", &["id"]),
    ("subnets", &["id"]),
    ("routers", &["id"]),
    ("ports", &["id"]),
    ("floatingips", &["id"]),
    ("security_groups", &["id"]),
    ("neighbors", &["network_id", "ip_address"]),
];

/// What says nothing the others do not: rules stand in their groups, scopes in networks; the rest of an RPC's answer.
const UNUSED: [&str; 4] = ["address_scopes", "failure", "security_group_rules", "subnetpools"];

/// Where something stands: number of the file, and JSON pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: usize,
    pub pointer: String,
}

impl Place {
    /// A place below this one.
    pub fn at(&self, rest: &str) -> Place {
        Place { file: self.file, pointer: format!("{}/{rest}", self.pointer) }
    }
}

/// One object of a list.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub value: Map<String, Value>,
    pub place: Place,
}

impl Item {
    /// A text attribute; empty is absent.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.value.get(key)?.as_str().filter(|s| !s.is_empty())
    }
}

/// What the files hold.
#[derive(Debug, Default)]
pub(super) struct Dumps<'f> {
    pub names: Vec<&'f str>,
    /// Keys that were in some file.
    pub seen: BTreeSet<String>,
    /// Lists for the cloud file, sorted.
    pub lists: BTreeMap<&'static str, Vec<Item>>,
    pub agents: Vec<Item>,
    /// `hosts` given beside the agents.
    pub hosts: Vec<Item>,
    /// `{"host", "mac_address"}` as Neutron's RPC has them.
    pub dvr_macs: Vec<Item>,
    pub settings: Option<Item>,
    pub notes: Vec<String>,
}

impl Dumps<'_> {
    pub fn name(&self, place: &Place) -> String {
        self.names.get(place.file).map_or_else(String::new, |n| (*n).to_owned())
    }

    pub fn problem(
        &self,
        place: &Place,
        resource: &str,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) -> Problem {
        let pointer = Some(place.pointer.clone()).filter(|p| !p.is_empty());
        Problem {
            place: model::Place { file: self.name(place), line: None, pointer },
            resource: resource.to_owned(),
            field: None,
            reason: reason.into(),
            hint: hint.into(),
        }
    }
}

/// Reads files: (name, text).
pub(super) fn dumps(files: &[(String, String)]) -> Result<Dumps<'_>, Problems> {
    let mut dumps = Dumps { names: files.iter().map(|(name, _)| name.as_str()).collect(), ..Dumps::default() };
    let (mut problems, mut pages) = (Vec::new(), BTreeMap::new());
    for (n, (_, text)) in files.iter().enumerate() {
        match serde_json::from_str(text) {
            Ok(value) => file(&mut dumps, n, value, &mut problems, &mut pages),
            Err(e) => {
                let mut p = dumps.problem(&Place { file: n, ..Place::default() }, "file", e.to_string(), "give JSON");
                p.place.line = Some(e.line()).filter(|l| *l > 0);
                problems.push(p);
            }
        }
    }
    for (key, (place, open)) in pages {
        if open {
            let reason = "is one page of several, and the last one is not among the files";
            problems.push(dumps.problem(&place, &key, reason, "add the other pages, or ask without limit"));
        }
    }
    for (key, by) in LISTS {
        if let Some(list) = dumps.lists.remove(key) {
            let list = sort(&dumps, key, by, list, &mut problems);
            dumps.lists.insert(key, list);
        }
    }
    let mut notes: Vec<String> = std::mem::take(&mut dumps.notes);
    notes.sort();
    notes.dedup();
    dumps.notes = notes;
    Problems::check(problems)?;
    Ok(dumps)
}

/// One file: `{"networks": [..]}` with any number of lists, or the list of DVR MACs.
fn file(
    dumps: &mut Dumps<'_>,
    n: usize,
    value: Value,
    problems: &mut Vec<Problem>,
    pages: &mut BTreeMap<String, (Place, bool)>,
) {
    let at = Place { file: n, pointer: String::new() };
    let map = match value {
        Value::Object(map) => map,
        Value::Array(items) if is_dvr_macs(&items) => Map::from_iter([(String::new(), Value::Array(items))]),
        other => {
            let what = if other.is_array() { "a list without a name" } else { "no object" };
            let hint = "give what GET /v2.0/networks answers, {\"networks\": [..]}; \"openstack network list -f json\" \
                        prints something else, with fewer attributes";
            problems.push(dumps.problem(&at, "file", what, hint));
            return;
        }
    };
    for (key, value) in map {
        let place = if key.is_empty() { at.clone() } else { at.at(&key) };
        if let Some(list) = key.strip_suffix("_links") {
            let next = value.as_array().is_some_and(|l| l.iter().any(|link| link["rel"] == "next"));
            let page = pages.entry(list.to_owned()).or_insert((place, true));
            page.1 &= next;
            continue;
        }
        let known = LISTS.iter().map(|(known, _)| *known).find(|known| *known == key);
        let macs = matches!(key.as_str(), "" | "dvr_macs" | "result");
        if key == "settings" {
            settings(dumps, place, value, problems);
        } else if known.is_some() || macs || matches!(key.as_str(), "agents" | "hosts") {
            let items = objects(dumps, &key, &place, value, problems);
            let list = match (known, key.as_str()) {
                (Some(known), _) => dumps.lists.entry(known).or_default(),
                (None, "agents") => &mut dumps.agents,
                (None, "hosts") => &mut dumps.hosts,
                (None, _) => &mut dumps.dvr_macs,
            };
            list.extend(items);
        } else if !UNUSED.contains(&key.as_str()) {
            dumps.notes.push(format!("{} /{key}: not used", dumps.name(&at)));
        }
        dumps.seen.insert(key);
    }
}

/// The answer of `get_dvr_mac_address_list`.
fn is_dvr_macs(items: &[Value]) -> bool {
    items.iter().all(|item| item.get("host").is_some() && item.get("mac_address").is_some())
}

fn settings(dumps: &mut Dumps<'_>, place: Place, value: Value, problems: &mut Vec<Problem>) {
    match value {
        Value::Object(value) if dumps.settings.is_none() => dumps.settings = Some(Item { value, place }),
        Value::Object(_) => problems.push(dumps.problem(&place, "settings", "are given twice", "keep one of them")),
        _ => problems.push(dumps.problem(&place, "settings", "are no object", "give an object")),
    }
}

fn objects(dumps: &Dumps<'_>, key: &str, at: &Place, value: Value, problems: &mut Vec<Problem>) -> Vec<Item> {
    let Value::Array(items) = value else {
        problems.push(dumps.problem(at, key, "is no list", format!("give what GET /v2.0/{key} answers")));
        return Vec::new();
    };
    let mut out = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        let place = at.at(&i.to_string());
        match item {
            Value::Object(value) => out.push(Item { value, place }),
            _ => problems.push(dumps.problem(&place, key, "is no object", "give its attributes as an object")),
        }
    }
    out
}

/// Sorted, so that the order of files and of a database does not matter; what is there twice, once.
fn sort(dumps: &Dumps<'_>, key: &str, by: &[&str], mut list: Vec<Item>, problems: &mut Vec<Problem>) -> Vec<Item> {
    let id = |item: &Item| -> Vec<String> { by.iter().map(|k| item.text(k).unwrap_or_default().to_owned()).collect() };
    list.sort_by(|a, b| id(a).cmp(&id(b)).then_with(|| a.place.cmp(&b.place)));
    let mut out: Vec<Item> = Vec::with_capacity(list.len());
    for item in list {
        match out.last().filter(|last| id(last) == id(&item) && !id(&item).concat().is_empty()) {
            Some(last) if last.value == item.value => {}
            Some(last) => {
                let reason =
                    format!("is also at {} {}, with other attributes", dumps.name(&last.place), last.place.pointer);
                let label = format!("{key} {}", id(&item).join(" "));
                problems.push(dumps.problem(&item.place, &label, reason, "give dumps of one moment"));
            }
            None => out.push(item),
        }
    }
    out
}
