//! An explanation as text.

use std::fmt::Write;

use super::{Changed, Ending, Explanation};
use crate::report::rules;

/// Columns text is wrapped at.
const WIDTH: usize = 100;

impl Explanation {
    /// The whole explanation: every step with Neutron's name for it, the outcome last.
    pub fn text(&self) -> String {
        let mut s = String::new();
        let _ = writeln!(s, "Host {}, port {}:", self.host, self.port);
        frame(&mut s, self.outer.as_ref(), &self.frame);
        for (n, step) in self.steps.iter().enumerate() {
            let _ = writeln!(s, "\n{:>2}. {:<16} {}", n + 1, step.stage, step.neutron);
            step.found.iter().for_each(|line| wrap(&mut s, "      ", line));
            for c in &step.changed {
                let field = match c.field {
                    "Ethernet destination" => "dst MAC",
                    "Ethernet source" => "src MAC",
                    other => other,
                };
                wrap(&mut s, "      ", &format!("set {field}: {} -> {}", c.from, c.to));
            }
        }
        s.push('\n');
        self.endings(&mut s);
        s
    }

    /// Only what decides the frame's way, for a tour through several hosts: a line per row and per change, with
    /// names in the place of addresses that have one.
    pub fn short(&self) -> String {
        let mut s = String::new();
        for step in self.steps.iter().filter(|s| !matches!(s.stage, "ingress" | "vm_port")) {
            // An answer turns everything round; that it is one has been said.
            let answer = step.stage == "arp_responder";
            let changes: Vec<String> = step.changed.iter().filter(|_| !answer).filter_map(brief).collect();
            let changes = Some(changes.join(", ")).filter(|c| !c.is_empty());
            let mut stage = step.stage;
            for line in step.found.iter().cloned().chain(changes) {
                wrap_under(&mut s, &format!("    {stage:<17}"), "                       ", &line);
                stage = "";
            }
        }
        s
    }

    fn endings(&self, s: &mut String) {
        for ending in &self.outcome {
            match ending {
                Ending::Sent { port, to, outer, frame: inner, .. } => {
                    let to = to.as_ref().map_or_else(String::new, |host| format!(", to {host}"));
                    let _ = writeln!(s, "=> sent on {port}{to}");
                    frame(s, outer.as_ref(), inner);
                }
                Ending::Dropped { reason, meaning, rule, .. } => {
                    wrap_under(s, "=> ", "   ", &format!("dropped: {reason}: {meaning}{}", rules(rule)));
                }
                Ending::Waits { neighbour } => {
                    let _ = writeln!(s, "=> held until {neighbour} answers, 3 s at most");
                }
                Ending::Unresolved { to } => {
                    let _ = writeln!(s, "=> held until the MAC of the way to {to} is known, 1 s at most");
                }
                Ending::Consumed { stage } => {
                    let _ = writeln!(s, "=> consumed by {stage}: nothing is sent on");
                }
            }
        }
        if self.outcome.is_empty() {
            let _ = writeln!(s, "=> nothing happened to it: a defect of dvrd, please report it");
        }
    }
}

/// A frame, with what is outside of it on a line of its own.
fn frame(s: &mut String, outer: Option<&String>, inner: &str) {
    if let Some(outer) = outer {
        let _ = writeln!(s, "  {outer}, and inside:");
    }
    // Not wrapped: it is to be searched and copied.
    let _ = writeln!(s, "  {inner}");
}

/// A change in a few words; none for one that goes without saying.
fn brief(c: &Changed) -> Option<String> {
    let name = |text: &str| match text.split_once(" (") {
        Some((_, owner)) => owner.trim_end_matches(')').replace(", on this host", ""),
        None => text.to_owned(),
    };
    match c.field {
        "network" | "Ethernet destination" => None,
        "Ethernet source" => Some(format!("source MAC: {} -> {}", name(&c.from), name(&c.to))),
        field => Some(format!("{field}: {} -> {}", c.from, c.to)),
    }
}

fn wrap(s: &mut String, indent: &str, text: &str) {
    wrap_under(s, indent, &format!("{indent}  "), text);
}

/// Breaks a text at blanks so that it fits; the first line begins with `first`, others with `next`.
pub(crate) fn wrap_under(s: &mut String, first: &str, next: &str, text: &str) {
    let mut line = first.to_owned();
    let mut fresh = true;
    for word in text.split(' ') {
        if !fresh && line.len() + 1 + word.len() > WIDTH {
            s.push_str(line.trim_end());
            s.push('\n');
            line = next.to_owned();
            fresh = true;
        }
        if !fresh {
            line.push(' ');
        }
        line.push_str(word);
        fresh = false;
    }
    s.push_str(line.trim_end());
    s.push('\n');
}
