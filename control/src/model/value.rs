//! The value tree both readers produce: plain values that know where they stand in the file.

use std::borrow::Cow;

use super::problem::Place;

/// A value and its line (0 where the format gives pointers instead).
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub value: Value,
    pub line: usize,
}

/// A value of JSON or TOML.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A TOML date or time, which nothing here takes.
    Date,
}

/// One key of an object. Keys may repeat: the readers keep what the file says.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// As the file spells it.
    pub raw: String,
    /// With `_` for `:`, if that differs.
    model: Option<String>,
    pub node: Node,
}

impl Entry {
    pub(crate) fn new(raw: String, node: Node) -> Entry {
        let model = raw.contains(':').then(|| raw.replace(':', "_"));
        Entry { raw, model, node }
    }

    /// The attribute's name in the model's spelling: `binding_host_id` for `binding:host_id`.
    pub(crate) fn key(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.raw)
    }
}

impl Node {
    pub(crate) fn new(value: Value) -> Node {
        Node { value, line: 0 }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// "a string", for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number that is no integer",
            Value::Str(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
            Value::Date => "a date or time",
        }
    }

    /// The value of a key of an object; nulls count as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key() == key).map(|e| &e.node).filter(|n| !n.is_null()),
            _ => None,
        }
    }
}

/// How places in a document are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// By line: TOML.
    Lines,
    /// By JSON pointer; for an input that is one line of a file, that line as well.
    Pointers { line: Option<usize> },
}

/// A document that was read: its tree, its name, and how to tell a place in it.
#[derive(Clone, Debug)]
pub(crate) struct Doc {
    pub name: String,
    pub style: Style,
    pub root: Node,
}

impl Doc {
    /// The place of a path (model spelling, no leading `/`); of a missing value, that of what it is missing from.
    pub(crate) fn place(&self, path: &str) -> Place {
        let mut node = &self.root;
        let mut pointer = String::new();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            match &node.value {
                Value::List(items) => match part.parse::<usize>().ok().and_then(|i| items.get(i)) {
                    Some(n) => {
                        pointer.push('/');
                        pointer.push_str(part);
                        node = n;
                    }
                    None => break,
                },
                Value::Map(entries) => match entries.iter().find(|e| escape(e.key()) == part) {
                    Some(e) => {
                        pointer.push('/');
                        pointer.push_str(&escape(&e.raw));
                        node = &e.node;
                    }
                    None => break,
                },
                _ => break,
            }
        }
        match self.style {
            Style::Lines => Place { file: self.name.clone(), line: Some(node.line).filter(|l| *l > 0), pointer: None },
            Style::Pointers { line } => Place { file: self.name.clone(), line, pointer: Some(pointer) },
        }
    }
}

/// A key as a part of a path (RFC 6901, section 3).
pub(crate) fn escape(key: &str) -> Cow<'_, str> {
    match key.contains(['~', '/']) {
        true => Cow::Owned(key.replace('~', "~0").replace('/', "~1")),
        false => Cow::Borrowed(key),
    }
}
