//! Changes: whole resources set, resources deleted, as one batch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::parse::{self, Batch};
use super::problem::{Kind, Problem, Problems, Sink, Subject, nearest, plain, quote};
use super::resolve::ids_and_names;
use super::value::{Doc, Node, Style, Value};
use super::{Cloud, read_json, read_toml, validate};

/// A batch of changes that has been read: every resource in it is well formed in itself. Whether it fits a
/// cloud is decided by [`Cloud::apply`].
///
/// Its form is that of one line of `--events`, without `at`:
/// `{"set": {"ports": [..], "settings": {..}}, "delete": {"ports": ["id"], "neighbors": [{..}]}}`.
/// What is set is whole: attributes left out get their defaults, in `settings` too. Deletions come first.
#[derive(Clone, Debug)]
pub struct Change {
    doc: Arc<Doc>,
    origins: HashMap<(Kind, String), (usize, String)>,
    batch: Batch,
    deletes: Vec<Delete>,
}

/// One deletion and where it stands.
#[derive(Clone, Debug)]
struct Delete {
    kind: Kind,
    /// Id or name; of a neighbor its network.
    id: String,
    /// Of a neighbor.
    ip: Option<IpAddr>,
    path: String,
}

/// A change at a time: one line of `--events`.
#[derive(Clone, Debug)]
pub struct Event {
    /// Nanoseconds since the first frame.
    pub at_ns: u64,
    /// What changes.
    pub change: Change,
}

impl Event {
    /// Reads one line, `{"at": seconds, "set": {..}, "delete": {..}}`.
    pub fn from_line(text: &str, file: &str, line: usize) -> Result<Event, Problems> {
        let line = Some(line).filter(|l| *l > 0);
        let root = read_json::read(text, file, line)?;
        let (at, change) = read(doc(root, file, Style::Pointers { line }), true)?;
        Ok(Event { at_ns: at, change })
    }
}

impl Change {
    /// Takes over a JSON value. `line` is its line in the file `name`, 0 if it has none.
    pub fn from_json_value(v: serde_json::Value, name: &str, line: usize) -> Result<Change, Problems> {
        let line = Some(line).filter(|l| *l > 0);
        let root = read_json::from_value(v, name, line)?;
        read(doc(root, name, Style::Pointers { line }), false).map(|r| r.1)
    }

    /// Takes over a TOML value. It has no lines any more; [`Change::from_toml`] tells them.
    pub fn from_toml_value(v: toml::Value, name: &str) -> Result<Change, Problems> {
        let root = read_json::from_value(v, name, None)?;
        read(doc(root, name, Style::Pointers { line: None }), false).map(|r| r.1)
    }

    /// Reads a table of a TOML file, such as `patch` of a case.toml; a file without it changes nothing.
    pub fn from_toml(text: &str, name: &str, table: &str) -> Result<Change, Problems> {
        let root = read_toml::read(text, name)?;
        let root = root.get(table).cloned().unwrap_or(Node { value: Value::Map(Vec::new()), line: 0 });
        read(doc(root, name, Style::Lines), false).map(|r| r.1)
    }

    /// Sets and deletes nothing.
    pub fn is_empty(&self) -> bool {
        let b = &self.batch;
        self.origins.is_empty() && b.settings.is_none() && b.neighbors.is_empty() && self.deletes.is_empty()
    }
}

fn doc(root: Node, name: &str, style: Style) -> Doc {
    Doc { name: name.to_owned(), style, root }
}

fn read(doc: Doc, event: bool) -> Result<(u64, Change), Problems> {
    let mut sink = Sink::new(&doc);
    let (mut batch, mut deletes) = (Batch::default(), Vec::new());
    let mut at = None;
    let file = Subject::file();
    let known: &[&str] = if event { &["at", "set", "delete"] } else { &["set", "delete"] };
    match &doc.root.value {
        Value::Map(entries) => {
            for (i, e) in entries.iter().enumerate() {
                let key = super::value::escape(e.key());
                let repeated = entries.iter().take(i).any(|other| other.key() == e.key());
                match e.key() {
                    _ if repeated => {
                        let reason = "the key is given twice".to_owned();
                        sink.parse_problem(&file, "", &key, reason, "join the two".to_owned());
                    }
                    _ if e.node.is_null() => {}
                    "at" if event => at = time(&mut sink, &e.node),
                    "set" => batch = parse::batch(&mut sink, &e.node, "set"),
                    "delete" => deletes = read_deletes(&mut sink, &e.node),
                    other => {
                        let hint = match nearest(other, known.iter().copied()) {
                            Some(k) => format!("did you mean {k}?"),
                            None => format!("take it out; known here are {}", known.join(", ")),
                        };
                        sink.parse_problem(&file, "", &key, "unknown field".to_owned(), hint);
                    }
                }
            }
            if event && !entries.iter().any(|e| e.key() == "at" && !e.node.is_null()) {
                let hint = "give the time in seconds since the first frame".to_owned();
                sink.parse_problem(&file, "", "at", "is missing".to_owned(), hint);
            }
        }
        _ => {
            let reason = format!("expected an object, found {}", doc.root.type_name());
            sink.parse_problem(&file, "", "", reason, format!("give an object with {}", known.join(", ")));
        }
    }
    let Sink { problems, origins, .. } = sink;
    Problems::check(problems)?;
    Ok((at.unwrap_or(0), Change { doc: Arc::new(doc), origins, batch, deletes }))
}

/// Seconds to nanoseconds.
fn time(sink: &mut Sink<'_>, node: &Node) -> Option<u64> {
    const MAX_SECONDS: f64 = 1e9;
    let seconds = match node.value {
        Value::Int(i) => i as f64,
        Value::Float(f) => f,
        _ => {
            let reason = format!("expected a number, found {}", node.type_name());
            sink.parse_problem(&Subject::file(), "", "at", reason, "write seconds, such as 1.5".to_owned());
            return None;
        }
    };
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        let hint = "give seconds since the first frame, 0 to 1000000000".to_owned();
        sink.parse_problem(&Subject::file(), "", "at", format!("{seconds} is out of range"), hint);
        return None;
    }
    match node.value {
        Value::Int(i) => u64::try_from(i).ok().and_then(|s| s.checked_mul(1_000_000_000)),
        _ => Some((seconds * 1e9).round() as u64),
    }
}

fn read_deletes(sink: &mut Sink<'_>, node: &Node) -> Vec<Delete> {
    let file = Subject::file();
    let mut out = Vec::new();
    let Value::Map(entries) = &node.value else {
        let reason = format!("expected an object of lists of ids, found {}", node.type_name());
        sink.parse_problem(&file, "", "delete", reason, "write {\"ports\": [\"id\"]}".to_owned());
        return out;
    };
    for (i, e) in entries.iter().enumerate() {
        let key = super::value::escape(e.key());
        let known = Kind::LISTS.iter().map(|k| k.key());
        let mut bad = |reason: String, hint: String| sink.parse_problem(&file, "delete", &key, reason, hint);
        match (Kind::LISTS.iter().find(|k| k.key() == e.key()), &e.node.value) {
            _ if entries.iter().take(i).any(|o| o.key() == e.key()) => {
                bad("the key is given twice".to_owned(), "join the two".to_owned());
            }
            (_, Value::Null) => {}
            (Some(kind), Value::List(items)) => {
                for (n, item) in items.iter().enumerate() {
                    out.extend(read_delete(sink, *kind, item, format!("delete/{key}/{n}")));
                }
            }
            (Some(_), _) => {
                let reason = format!("expected a list, found {}", e.node.type_name());
                bad(reason, "give a list of ids".to_owned());
            }
            (None, _) if e.key() == "settings" => {
                bad("settings cannot be deleted".to_owned(), "set them to {} for the defaults".to_owned());
            }
            (None, _) => {
                let hint = match nearest(e.key(), known.clone()) {
                    Some(k) => format!("did you mean {k}?"),
                    None => format!("take it out; known here are {}", known.collect::<Vec<_>>().join(", ")),
                };
                bad("unknown field".to_owned(), hint);
            }
        }
    }
    out
}

fn read_delete(sink: &mut Sink<'_>, kind: Kind, item: &Node, path: String) -> Option<Delete> {
    if kind == Kind::Neighbor {
        let subject = Subject { kind, key: path.clone(), label: "neighbor".to_owned() };
        let (id, ip) = parse::neighbor_key(sink, &subject, &path, item)?;
        return Some(Delete { kind, id, ip: Some(ip), path });
    }
    match &item.value {
        Value::Str(id) if !id.is_empty() => Some(Delete { kind, id: id.clone(), ip: None, path }),
        _ => {
            let reason = format!("expected the id of a {}, found {}", kind.word(), item.type_name());
            let subject = Subject { kind, key: path.clone(), label: kind.word().to_owned() };
            sink.parse_problem(&subject, &path, "", reason, "write the id as a string".to_owned());
            None
        }
    }
}

/// `base` with the change in it, checked as a whole.
pub(super) fn apply(base: &Cloud, change: &Change) -> Result<Cloud, Problems> {
    let mut sink = Sink::new(&change.doc);
    sink.origins.clone_from(&change.origins);
    let mut cloud = base.clone();
    for d in &change.deletes {
        delete(&mut sink, base, &mut cloud, d);
    }
    super::resolve::merge(&mut sink, &mut cloud, change.batch.clone());
    validate::check(&mut sink, &cloud);
    finish(sink.problems, cloud)
}

/// A cloud out of one document.
pub(super) fn load(root: Node, name: &str, style: Style) -> Result<Cloud, Problems> {
    let doc = doc(root, name, style);
    let mut sink = Sink::new(&doc);
    let batch = parse::batch(&mut sink, &doc.root, "");
    let mut cloud = Cloud::default();
    super::resolve::merge(&mut sink, &mut cloud, batch);
    validate::check(&mut sink, &cloud);
    finish(sink.problems, cloud)
}

fn finish(problems: Vec<Problem>, cloud: Cloud) -> Result<Cloud, Problems> {
    Problems::check(problems).map(|()| cloud)
}

/// Takes a resource out of the cloud; names are those of `base`.
fn delete(sink: &mut Sink<'_>, base: &Cloud, cloud: &mut Cloud, d: &Delete) {
    let of_network = d.kind == Kind::Neighbor;
    let named = if of_network { Kind::Network } else { d.kind };
    let ids = match super::resolve::has(base, named, &d.id) {
        true => vec![d.id.as_str()],
        false => ids_and_names(base, named).into_iter().filter(|(_, n)| *n == d.id).map(|(id, _)| id).collect(),
    };
    let subject = match d.ip {
        Some(ip) => Subject { kind: d.kind, key: d.path.clone(), label: format!("neighbor {ip}") },
        None => Subject { key: d.path.clone(), ..Subject::new(d.kind, &d.id, "") },
    };
    let mut refuse = |reason: String, hint: &str| sink.parse_problem(&subject, &d.path, "", reason, hint.to_owned());
    let id = match ids.as_slice() {
        [id] => *id,
        [] => return refuse(format!("there is no {} {}", named.word(), quote(&d.id)), "take the deletion out"),
        many => {
            let ids = many.iter().take(4).map(|i| plain(i)).collect::<Vec<_>>().join(", ");
            return refuse(format!("{} is the name of several: {ids}", quote(&d.id)), "give the id");
        }
    };
    let gone = match (d.kind, d.ip) {
        (Kind::Neighbor, Some(ip)) => cloud.neighbors.remove(&(id.to_owned(), ip)).is_some(),
        (Kind::Host, _) => cloud.hosts.remove(id).is_some(),
        (Kind::Network, _) => cloud.networks.remove(id).is_some(),
        (Kind::Subnet, _) => cloud.subnets.remove(id).is_some(),
        (Kind::Port, _) => cloud.ports.remove(id).is_some(),
        (Kind::Router, _) => cloud.routers.remove(id).is_some(),
        (Kind::FloatingIp, _) => cloud.floatingips.remove(id).is_some(),
        (Kind::SecurityGroup, _) => cloud.security_groups.remove(id).is_some(),
        (Kind::Neighbor | Kind::Settings, _) => false,
    };
    if !gone {
        let reason = match d.ip {
            Some(ip) => format!("network {} has no neighbor {ip}", plain(id)),
            None => "it is deleted twice".to_owned(),
        };
        refuse(reason, "take the deletion out");
    }
}
