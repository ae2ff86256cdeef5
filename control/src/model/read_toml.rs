//! TOML to a value tree, with the line of every value.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::problem::{Place, Problem, Problems};
use super::value::{Entry, Node, Value};

/// Reads a TOML text; a broken one gives every syntax error the parser can tell apart.
pub(crate) fn read(text: &str, name: &str) -> Result<Node, Problems> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors.iter().map(|e| Problem {
        place: Place { file: name.to_owned(), line: e.span().map(|s| lines.at(s.start)), pointer: None },
        resource: "file".to_owned(),
        field: None,
        reason: super::problem::plain(&e.message().replace('\n', " ")),
        hint: "correct the syntax; nothing else was checked".to_owned(),
    });
    Problems::check(problems.collect())?;
    Ok(from_table(table.get_ref(), 1, &lines))
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect())
    }

    /// The line of a byte, from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }
}

fn from_table(table: &DeTable<'_>, line: usize, lines: &Lines) -> Node {
    let mut entries: Vec<(usize, Entry)> = table
        .iter()
        .map(|(k, v)| (k.span().start, Entry::new(k.get_ref().to_string(), from_value(v, lines))))
        .collect();
    entries.sort_by_key(|(start, _)| *start);
    Node { value: Value::Map(entries.into_iter().map(|(_, e)| e).collect()), line }
}

// Recursion is as deep as the parser lets values nest, which is 80.
fn from_value(v: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let line = lines.at(v.span().start);
    let value = match v.get_ref() {
        DeValue::String(s) => Value::Str(s.to_string()),
        DeValue::Integer(i) => integer(i),
        DeValue::Float(f) => Value::Float(f.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.iter().map(|n| from_value(n, lines)).collect()),
        DeValue::Table(t) => return from_table(t, line, lines),
    };
    Node { value, line }
}

/// An integer of any size; one past 128 bits becomes a number that is no integer.
fn integer(i: &DeInteger<'_>) -> Value {
    i128::from_str_radix(i.as_str(), i.radix()).map_or(Value::Float(f64::INFINITY), Value::Int)
}
