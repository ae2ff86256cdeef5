//! One line for each thing that is tried, with what came back.

use super::command::{Res, go_on};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Display;
use std::io::Write;

/// Width, characters, of the column that says what was tried.
pub const WIDTH: usize = 46;

/// A thing that was tried.
#[derive(Serialize)]
pub struct Check {
    /// The heading it stands under.
    pub section: String,
    /// What was tried.
    pub what: String,
    /// What came back.
    pub seen: String,
    /// Whether that is right.
    pub ok: bool,
    /// Numbers of what came back, if there are any: their keys have their units.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub values: Value,
}

/// Checks, printed as they come. A failed one does not stop what follows, so that a run shows all that is wrong.
#[derive(Default)]
pub struct Checks {
    all: Vec<Check>,
    section: String,
    quiet: bool,
}

impl Checks {
    /// Checks that are only kept.
    pub fn quiet() -> Checks {
        Checks { quiet: true, ..Checks::default() }
    }

    /// A heading for what follows.
    pub fn section(&mut self, title: impl Display) {
        self.section = title.to_string();
        self.say(&format!("\n{}", self.section));
    }

    /// One check: what, what was seen, and whether that is right.
    pub fn check(&mut self, what: impl Display, seen: impl Display, good: bool) {
        self.measured(what, seen, good, Value::Null);
    }

    /// The same with what was seen as numbers beside.
    pub fn measured(&mut self, what: impl Display, seen: impl Display, ok: bool, values: Value) {
        let (what, seen) = (what.to_string(), seen.to_string());
        self.say(&format!("  {}  {what:<WIDTH$} {seen}", if ok { "ok    " } else { "FAILED" }));
        self.all.push(Check { section: self.section.clone(), what, seen, ok, values });
    }

    /// A check whose subject could not be had at all.
    pub fn tried<T>(&mut self, what: impl Display, got: Res<T>) -> Option<T> {
        match got {
            Ok(got) => Some(got),
            Err(why) => {
                // Interrupted, it says nothing about what was tried.
                if go_on().is_ok() {
                    self.check(what, why.trim_end(), false);
                }
                None
            }
        }
    }

    /// Something worth knowing that is no check.
    pub fn note(&self, what: impl Display, seen: impl Display) {
        self.say(&format!("          {:<WIDTH$} {seen}", what.to_string()));
    }

    /// All so far.
    pub fn all(&self) -> &[Check] {
        &self.all
    }

    /// Those that failed.
    pub fn bad(&self) -> impl Iterator<Item = &Check> {
        self.all.iter().filter(|c| !c.ok)
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            say(line);
        }
    }
}

/// Prints a line at once, whatever reads it.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
