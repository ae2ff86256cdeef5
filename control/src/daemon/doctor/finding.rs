//! What was found, and how it is told.

use std::fmt::Write;

use serde::Serialize;

use super::{Subject, Use};
use crate::daemon::config::Interface;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, at a cost.
    Warning,
    /// dvrd does not start, does not take the interface, or loses packets for it.
    Problem,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `mtu`.
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// dvrd does not start with it, or does not take the interface.
    pub stops: bool,
    /// What is so.
    pub what: String,
    /// What it costs; empty if it is as it should be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cost: String,
    /// The command or key that mends it; empty if it is as it should be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mend: String,
}

impl Finding {
    /// As it should be.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Finding {
            check,
            verdict: Verdict::Ok,
            stops: false,
            what: what.into(),
            cost: String::new(),
            mend: String::new(),
        }
    }

    /// Works, at a cost.
    pub fn warning(
        check: &'static str,
        what: impl Into<String>,
        cost: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        let (what, cost, mend) = (what.into(), cost.into(), mend.into());
        Finding { check, verdict: Verdict::Warning, stops: false, what, cost, mend }
    }

    /// Packets are lost for it.
    pub fn problem(
        check: &'static str,
        what: impl Into<String>,
        cost: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Finding { verdict: Verdict::Problem, ..Finding::warning(check, what, cost, mend) }
    }

    /// dvrd does not start with it, or does not take the interface.
    pub fn stop(
        check: &'static str,
        what: impl Into<String>,
        cost: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Finding { stops: true, ..Finding::problem(check, what, cost, mend) }
    }

    /// In one line, for a log.
    fn line(&self) -> String {
        match self.verdict {
            Verdict::Ok => self.what.clone(),
            _ => format!("{}; it costs: {}; what helps: {}", self.what, self.cost, self.mend),
        }
    }
}

/// The findings on one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// The interface; none: the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Its namespace, if not one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// What it is for: `underlay`, `physical network physnet1`, `port A1`; `process`.
    pub used: String,
    /// Never empty.
    pub findings: Vec<Finding>,
}

impl Section {
    /// Of the process and the machine.
    pub fn of_process(findings: Vec<Finding>) -> Self {
        Section { interface: None, netns: None, used: "process".to_owned(), findings }
    }

    /// Of an interface.
    pub fn of(subject: &Subject, findings: Vec<Finding>) -> Self {
        let Interface { name, netns } = subject.interface.clone();
        Section { interface: Some(name), netns, used: subject.used.to_string(), findings }
    }

    /// Those that are `wanted`, each as a line that says what it is about.
    pub fn lines(&self, wanted: impl Fn(&Finding) -> bool) -> impl Iterator<Item = String> {
        let about = match &self.interface {
            Some(_) if self.used == Use::Any.to_string() => self.title(),
            Some(name) => format!("{}: {name}", self.used),
            None => self.used.clone(),
        };
        self.findings.iter().filter(move |f| wanted(f)).map(move |f| format!("{about}: {}: {}", f.check, f.line()))
    }

    fn title(&self) -> String {
        let (Some(name), netns) = (&self.interface, &self.netns) else { return "Process and machine".to_owned() };
        let place = netns.as_ref().map_or(String::new(), |n| format!(" in namespace {n}"));
        match self.used == Use::Any.to_string() {
            true => format!("Interface {name}{place}"),
            false => format!("Interface {name}{place}: {}", self.used),
        }
    }
}

/// How many there are of a verdict.
pub fn count(sections: &[Section], verdict: Verdict) -> usize {
    sections.iter().flat_map(|s| &s.findings).filter(|f| f.verdict == verdict).count()
}

/// All of it for people: a line each with its verdict; of what is not ok, what it costs and what helps.
pub fn text(sections: &[Section]) -> String {
    let mut s = String::new();
    for section in sections {
        let _ = writeln!(s, "{}", section.title());
        for f in &section.findings {
            let _ = writeln!(s, "  {:<9}{:<14}{}", f.verdict.word(), f.check, f.what);
            for (word, text) in [("costs", &f.cost), ("helps", &f.mend)] {
                if !text.is_empty() {
                    let _ = writeln!(s, "           {word:<14}{text}");
                }
            }
        }
        s.push('\n');
    }
    let count = |verdict, word| crate::report::count(count(sections, verdict) as u64, word);
    let _ = writeln!(s, "{}, {}", count(Verdict::Problem, "problem"), count(Verdict::Warning, "warning"));
    s
}

/// The same as one JSON object.
pub fn json(sections: &[Section]) -> String {
    #[derive(Serialize)]
    struct Report<'s> {
        problems: usize,
        warnings: usize,
        sections: &'s [Section],
    }
    let (problems, warnings) = (count(sections, Verdict::Problem), count(sections, Verdict::Warning));
    // Texts and numbers: nothing in it can fail.
    serde_json::to_string_pretty(&Report { problems, warnings, sections }).unwrap_or_default() + "\n"
}
