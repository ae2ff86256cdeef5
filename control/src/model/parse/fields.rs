//! Reading one object: typed access to its attributes, and an end that refuses what nobody asked for.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use dataplane::addr::MacAddr;

use crate::model::net::{BadNet, IpNet};
use crate::model::problem::{Sink, Subject, nearest, quote};
use crate::model::value::{Entry, Node, Value, escape};

/// An object being read. Every getter reports what it cannot read and then gives a default, so that reading
/// goes on; null is the same as absent everywhere.
pub(crate) struct Fields<'n, 's, 'd> {
    sink: &'s mut Sink<'d>,
    subject: &'s Subject,
    /// Path of the resource in the document, and of this object in the resource.
    base: &'s str,
    path: String,
    entries: &'n [Entry],
    taken: Vec<bool>,
    known: Vec<&'static str>,
    /// The value is no object, which has been said; that its attributes are missing is no news.
    broken: bool,
}

impl<'n, 's, 'd> Fields<'n, 's, 'd> {
    /// Starts on `node`, which should be an object; one that is not is reported and read as empty.
    pub(crate) fn new(
        sink: &'s mut Sink<'d>,
        subject: &'s Subject,
        base: &'s str,
        path: String,
        node: &'n Node,
    ) -> Fields<'n, 's, 'd> {
        let mut broken = false;
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            _ => {
                let reason = format!("expected an object, found {}", node.type_name());
                sink.parse_problem(subject, base, &path, reason, "give its attributes as an object".to_owned());
                broken = true;
                &[]
            }
        };
        let mut fields =
            Fields { sink, subject, base, path, entries, taken: vec![false; entries.len()], known: Vec::new(), broken };
        for (i, e) in entries.iter().enumerate() {
            if entries.iter().take(i).any(|earlier| earlier.key() == e.key()) {
                let reason = format!("the attribute is given twice{}", other_spelling(entries, e));
                fields.problem(&escape(e.key()), reason, "keep one of them");
                fields.set_taken(i);
            }
        }
        fields
    }

    fn set_taken(&mut self, i: usize) {
        if let Some(t) = self.taken.get_mut(i) {
            *t = true;
        }
    }

    /// Reports a problem of an attribute of this object.
    pub(crate) fn problem(&mut self, key: &str, reason: impl Into<String>, hint: impl Into<String>) {
        if self.broken {
            return;
        }
        let path = self.sub(key);
        self.sink.parse_problem(self.subject, self.base, &path, reason.into(), hint.into());
    }

    fn sub(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}/{key}", self.path),
        }
    }

    fn wrong_type(&mut self, key: &str, wanted: &str, found: &Node) {
        self.problem(key, format!("expected {wanted}, found {}", found.type_name()), format!("write {wanted}"));
    }

    /// The value of an attribute, unless absent or null.
    pub(crate) fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        let at = self.entries.iter().position(|e| e.key() == key)?;
        self.set_taken(at);
        self.entries.get(at).map(|e| &e.node).filter(|n| !n.is_null())
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<&'n str> {
        let node = self.node(key)?;
        match &node.value {
            Value::Str(s) => Some(s),
            _ => {
                self.wrong_type(key, "a string", node);
                None
            }
        }
    }

    /// A text, empty if absent.
    pub(crate) fn string(&mut self, key: &'static str) -> String {
        self.text(key).unwrap_or_default().to_owned()
    }

    /// A text; absent and empty are the same.
    pub(crate) fn non_empty(&mut self, key: &'static str) -> Option<String> {
        self.text(key).filter(|s| !s.is_empty()).map(str::to_owned)
    }

    /// Reports an attribute that must be there and is not.
    pub(crate) fn require(&mut self, key: &'static str, what: &str) {
        let given = self.entries.iter().any(|e| e.key() == key && !e.node.is_null());
        if !given {
            self.problem(key, "is missing", format!("give {what}"));
        }
    }

    /// A reference to another resource, by id or name, that must be there.
    pub(crate) fn reference(&mut self, key: &'static str, what: &str) -> String {
        let given = self.non_empty(key);
        if given.is_none()
            && !self.entries.iter().any(|e| e.key() == key && !matches!(&e.node.value, Value::Null | Value::Str(_)))
        {
            self.problem(key, "is missing", format!("give {what}"));
        }
        given.unwrap_or_default()
    }

    /// True or false.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match node.value {
            Value::Bool(b) => Some(b),
            _ => {
                self.wrong_type(key, "true or false", node);
                None
            }
        }
    }

    /// An integer of a range.
    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let node = self.node(key)?;
        match node.value {
            Value::Int(i) => {
                let value = u32::try_from(i).ok().filter(|v| range.contains(v));
                if value.is_none() {
                    let hint = format!("give an integer from {} to {}", range.start(), range.end());
                    self.problem(key, format!("{i} is out of range"), hint);
                }
                value
            }
            _ => {
                self.wrong_type(key, "an integer", node);
                None
            }
        }
    }

    /// A list of integers of a range; what is none is reported and stands as `None`, so that positions stay.
    pub(crate) fn integers(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<Vec<Option<u32>>> {
        let given = self.entries.iter().any(|e| e.key() == key && matches!(e.node.value, Value::List(_)));
        let mut out = Vec::new();
        for (i, item) in self.list(key).iter().enumerate() {
            let (path, n) = (format!("{key}/{i}"), &item.value);
            let found = match n {
                Value::Int(n) => u32::try_from(*n).ok().filter(|v| range.contains(v)),
                _ => None,
            };
            match n {
                Value::Int(n) if found.is_none() => {
                    let hint = format!("give integers from {} to {}", range.start(), range.end());
                    self.problem(&path, format!("{n} is out of range"), hint);
                }
                Value::Int(_) => {}
                _ => self.wrong_type(&path, "an integer", item),
            }
            out.push(found);
        }
        given.then_some(out)
    }

    /// An integer of 16 bits of a range.
    pub(crate) fn integer16(&mut self, key: &'static str, range: RangeInclusive<u16>) -> Option<u16> {
        let range = u32::from(*range.start())..=u32::from(*range.end());
        self.integer(key, range).and_then(|v| u16::try_from(v).ok())
    }

    /// A word of a list.
    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(w, _)| *w == text).map(|(_, v)| *v);
        if found.is_none() {
            let all = words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(", ");
            let hint = match nearest(text, words.iter().map(|(w, _)| *w)) {
                Some(w) => format!("did you mean {w}? possible are {all}"),
                None => format!("possible are {all}"),
            };
            self.problem(key, format!("{} is not known here", quote(text)), hint);
        }
        found
    }

    /// An address.
    pub(crate) fn address(&mut self, key: &'static str) -> Option<IpAddr> {
        let text = self.text(key).filter(|s| !s.is_empty())?;
        let addr = text.parse().ok();
        if addr.is_none() {
            self.problem(key, format!("{} is not an IP address", quote(text)), "write it like 10.1.0.1 or fd00:a::1");
        }
        addr
    }

    /// An address a single machine can have; must be there.
    pub(crate) fn unicast_address(&mut self, key: &'static str) -> Option<IpAddr> {
        self.require(key, "an IP address");
        let addr = self.address(key)?;
        let broadcast = matches!(addr, IpAddr::V4(a) if a.is_broadcast());
        if addr.is_multicast() || addr.is_unspecified() || broadcast {
            self.problem(key, format!("{addr} is not the address of a single machine"), "give a unicast address");
            return None;
        }
        Some(addr)
    }

    /// A block of addresses; `lenient` also takes a bare address and cuts off host bits.
    pub(crate) fn net(&mut self, key: &'static str, lenient: bool) -> Option<IpNet> {
        let text = self.text(key)?;
        let parse: fn(&str) -> Result<IpNet, BadNet> = if lenient { IpNet::parse_lenient } else { IpNet::parse_strict };
        match parse(text) {
            Ok(net) => Some(net),
            Err(e) => {
                let (reason, hint) = e.explain(text);
                self.problem(key, reason, hint);
                None
            }
        }
    }

    /// A MAC that a single machine can have.
    pub(crate) fn mac(&mut self, key: &'static str) -> Option<MacAddr> {
        let text = self.text(key).filter(|s| !s.is_empty())?;
        let Ok(mac) = text.parse::<MacAddr>() else {
            let hint = "write six pairs of hex digits joined by ':'";
            self.problem(key, format!("{} is not a MAC address", quote(text)), hint);
            return None;
        };
        if mac.is_multicast() || mac.is_zero() {
            let kind = if mac.is_zero() { "the zero address" } else { "a multicast address" };
            self.problem(key, format!("{mac} is {kind}"), "give the MAC address of a single machine");
            return None;
        }
        Some(mac)
    }

    /// The items of a list; none if absent.
    pub(crate) fn list(&mut self, key: &'static str) -> &'n [Node] {
        let Some(node) = self.node(key) else { return &[] };
        match &node.value {
            Value::List(items) => items,
            _ => {
                self.wrong_type(key, "a list", node);
                &[]
            }
        }
    }

    /// A list of texts; what is no text stands as an empty one, so that positions stay.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let items = self.list(key);
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            match &item.value {
                Value::Str(s) => out.push(s.clone()),
                _ => {
                    self.wrong_type(&format!("{key}/{i}"), "a string", item);
                    out.push(String::new());
                }
            }
        }
        out
    }

    /// Reads a list of objects, each with its own known attributes (`ignored` besides those read).
    pub(crate) fn objects<T>(
        &mut self,
        key: &'static str,
        ignored: &[&'static str],
        mut read: impl FnMut(&mut Fields<'n, '_, 'd>) -> T,
    ) -> Vec<T> {
        let items = self.list(key);
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            let path = self.sub(&format!("{key}/{i}"));
            let mut fields = Fields::new(self.sink, self.subject, self.base, path, item);
            out.push(read(&mut fields));
            fields.finish(ignored);
        }
        out
    }

    /// Reads an object inside this one, if it is there.
    pub(crate) fn object<T>(
        &mut self,
        key: &'static str,
        ignored: &[&'static str],
        read: impl FnOnce(&mut Fields<'n, '_, 'd>) -> T,
    ) -> Option<T> {
        let node = self.node(key)?;
        let path = self.sub(key);
        let mut fields = Fields::new(self.sink, self.subject, self.base, path, node);
        let out = read(&mut fields);
        fields.finish(ignored);
        Some(out)
    }

    /// One text of an object that others fill as they like; empty is the same as absent.
    pub(crate) fn text_in(&mut self, key: &'static str, inner: &'static str) -> Option<String> {
        let node = self.node(key)?;
        let Value::Map(entries) = &node.value else {
            self.wrong_type(key, "an object", node);
            return None;
        };
        let entry = entries.iter().find(|e| e.raw == inner)?;
        match &entry.node.value {
            Value::Str(s) => (!s.is_empty()).then(|| s.clone()),
            Value::Null => None,
            _ => {
                self.wrong_type(&format!("{key}/{inner}"), "a string", &entry.node);
                None
            }
        }
    }

    /// An object whose keys are names and whose values are texts.
    pub(crate) fn map(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::Map(entries) = &node.value else {
            self.wrong_type(key, "an object", node);
            return Vec::new();
        };
        let mut out: Vec<(String, String)> = Vec::with_capacity(entries.len());
        for e in entries {
            let path = format!("{key}/{}", escape(e.key()));
            match &e.node.value {
                _ if out.iter().any(|(k, _)| *k == e.raw) => {
                    self.problem(&path, "the name is given twice", "keep one of them");
                }
                Value::Str(s) => out.push((e.raw.clone(), s.clone())),
                Value::Null => {}
                _ => self.wrong_type(&path, "a string", &e.node),
            }
        }
        out
    }

    /// An attribute for which nothing is built; empty values pass.
    pub(crate) fn not_built(&mut self, key: &'static str, what: &str) {
        let Some(node) = self.node(key) else { return };
        let empty = match &node.value {
            Value::Str(s) => s.is_empty(),
            Value::List(l) => l.is_empty(),
            Value::Map(m) => m.is_empty(),
            _ => false,
        };
        if !empty {
            self.problem(key, format!("{what}: not built yet"), "take the attribute out");
        }
    }

    /// Refuses every attribute that was neither read nor is in `ignored`.
    pub(crate) fn finish(&mut self, ignored: &[&'static str]) {
        let entries = self.entries;
        for (i, e) in entries.iter().enumerate() {
            if self.taken.get(i) != Some(&false) || ignored.contains(&e.key()) {
                continue;
            }
            let candidates = self.known.iter().chain(ignored).copied();
            let hint = match nearest(e.key(), candidates) {
                Some(k) => format!("did you mean {k}?"),
                None => {
                    let mut known = self.known.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("take it out; known here are {}", known.join(", "))
                }
            };
            self.problem(&escape(e.key()), "unknown field", hint);
        }
    }
}

/// Says so where the same attribute is there with `:` and with `_`.
fn other_spelling(entries: &[Entry], e: &Entry) -> String {
    match entries.iter().find(|o| o.key() == e.key() && o.raw != e.raw) {
        Some(o) => format!(", as {} and as {}", quote(&o.raw), quote(&e.raw)),
        None => String::new(),
    }
}
