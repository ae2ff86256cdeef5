//! JSON (and anything serde can walk) to a value tree. Repeated keys are kept, so that they can be refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::problem::{Place, Problem, Problems};
use super::value::{Entry, Node, Value};

/// Values nest at most this deep; serde_json's own limit for text is the same.
const MAX_DEPTH: usize = 128;

/// Reads a JSON text. `line` is its line in a file of one text a line.
pub(super) fn read(text: &str, name: &str, line: Option<usize>) -> Result<Node, Problems> {
    let mut de = serde_json::Deserializer::from_str(text);
    let node = Tree { depth: 0 }.deserialize(&mut de).and_then(|n| de.end().map(|()| n));
    node.map_err(|e| syntax(name, line.or(Some(e.line()).filter(|l| *l > 0)), &e.to_string()))
}

/// Takes over a value that was read elsewhere (`serde_json::Value`, `toml::Value`).
pub(super) fn from_value<'de, D: Deserializer<'de>>(
    value: D,
    name: &str,
    line: Option<usize>,
) -> Result<Node, Problems> {
    Tree { depth: 0 }.deserialize(value).map_err(|e| syntax(name, line, &e.to_string()))
}

/// The one problem of a file that is not even JSON or TOML.
pub(super) fn syntax(name: &str, line: Option<usize>, reason: &str) -> Problems {
    Problems::from(Problem {
        place: Place { file: name.to_owned(), line, pointer: None },
        resource: "file".to_owned(),
        field: None,
        reason: super::problem::plain(&reason.replace('\n', " ")),
        hint: "correct the syntax; nothing else was checked".to_owned(),
    })
}

struct Tree {
    depth: usize,
}

impl Tree {
    fn deeper<E: Error>(&self) -> Result<Tree, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Tree { depth: self.depth + 1 }),
            false => Err(E::custom(format_args!("nested more than {MAX_DEPTH} deep"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::new(Value::Null))
    }

    fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
        Ok(Node::new(Value::Bool(v)))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
        Ok(Node::new(Value::Int(v.into())))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
        Ok(Node::new(Value::Int(v.into())))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
        Ok(Node::new(Value::Float(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Node, E> {
        Ok(Node::new(Value::Str(v.to_owned())))
    }

    fn visit_string<E>(self, v: String) -> Result<Node, E> {
        Ok(Node::new(Value::Str(v)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(n) = seq.next_element_seed(self.deeper()?)? {
            items.push(n);
        }
        Ok(Node::new(Value::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let node = map.next_value_seed(self.deeper()?)?;
            entries.push(Entry::new(key, node));
        }
        Ok(Node::new(Value::Map(entries)))
    }
}
