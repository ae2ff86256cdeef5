//! An explanation as text.

use std::fmt::Write;

use super::{Ending, Explanation};

/// Columns text is wrapped at.
const WIDTH: usize = 100;

impl Explanation {
    /// The whole explanation: every step with Neutron's name for it, the outcome last.
    pub fn text(&self) -> String {
        let mut s = String::new();
        let _ = writeln!(s, "Host {}, port {}:", self.host, self.port);
        wrap(&mut s, "  ", &self.frame);
        for (n, step) in self.steps.iter().enumerate() {
            let _ = writeln!(s, "\n{:>2}. {:<16} {}", n + 1, step.stage, step.neutron);
            step.found.iter().for_each(|line| wrap(&mut s, "      ", line));
            for c in &step.changed {
                wrap(&mut s, "      ", &format!("changed {}: {} -> {}", c.field, c.from, c.to));
            }
        }
        s.push('\n');
        self.endings(&mut s);
        s
    }

    /// Only the steps' own lines, for a tour through several hosts.
    pub fn short(&self) -> String {
        let mut s = String::new();
        for step in &self.steps {
            let changed = step.changed.iter().map(|c| format!("{}: {} -> {}", c.field, c.from, c.to));
            let mut stage = step.stage;
            for line in step.found.iter().cloned().chain(changed) {
                wrap_under(&mut s, &format!("  {stage:<17}"), "                   ", &line);
                stage = "";
            }
        }
        s
    }

    fn endings(&self, s: &mut String) {
        for ending in &self.outcome {
            match ending {
                Ending::Sent { port, to, frame, .. } => {
                    let to = if to.ends_with(&format!(" {port}")) { String::new() } else { format!(", to {to}") };
                    let _ = writeln!(s, "=> sent on {port}{to}");
                    wrap(s, "     ", frame);
                }
                Ending::Dropped { reason, meaning, rule, .. } => {
                    let rule = if rule.is_empty() { String::new() } else { format!(" (rule {rule})") };
                    let _ = writeln!(s, "=> dropped: {reason}: {meaning}{rule}");
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
