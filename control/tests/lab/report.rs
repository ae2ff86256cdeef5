//! One line per check with the number seen, and a table at the end.

use crate::command::Res;
use libtest_mimic::{Failed, Trial};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

/// The checks of one test. A failed one does not stop it, so that a run shows all that is wrong.
#[derive(Default)]
pub struct Checks {
    good: usize,
    bad: Vec<String>,
}

impl Checks {
    /// One check: what, what was seen, and whether that is right.
    pub fn check(&mut self, what: impl std::fmt::Display, seen: impl std::fmt::Display, good: bool) {
        let what = what.to_string();
        say(&format!("  {}  {what:<48} {seen}", if good { "ok    " } else { "FAILED" }));
        if good { self.good += 1 } else { self.bad.push(format!("{what}: {seen}")) }
    }

    /// A check whose subject could not be had at all.
    pub fn tried<T>(&mut self, what: impl std::fmt::Display, got: Res<T>) -> Option<T> {
        match got {
            Ok(got) => Some(got),
            Err(why) => {
                self.check(what, why.trim_end(), false);
                None
            }
        }
    }

    /// Something worth knowing that is no check.
    pub fn note(&self, what: impl std::fmt::Display, seen: impl std::fmt::Display) {
        say(&format!("        {:<48} {seen}", what.to_string()));
    }
}

struct Row {
    name: &'static str,
    result: String,
    seconds: f32,
}

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// Prints a line at once, whatever reads it.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A test of the harness: it fails if a check fails, if the steps between cannot be done, or if it panics.
pub fn trial(name: &'static str, what: &'static str, run: fn(&mut Checks) -> Res<()>) -> Trial {
    Trial::test(name, move || {
        say(&format!("\n\n{name}: {what}"));
        let (start, mut checks) = (Instant::now(), Checks::default());
        let ended = catch_unwind(AssertUnwindSafe(|| run(&mut checks)))
            .unwrap_or_else(|panic| Err(format!("panicked: {:?}", panic.downcast_ref::<String>())));
        if let Err(why) = ended {
            checks.check("the test itself", why.trim_end(), false);
        }
        let seconds = start.elapsed().as_secs_f32();
        let result = match checks.bad.len() {
            0 => format!("ok: {} checks", checks.good),
            n => format!("FAILED: {n} of {} checks", n + checks.good),
        };
        if let Ok(mut rows) = ROWS.lock() {
            rows.push(Row { name, result, seconds });
        }
        if checks.bad.is_empty() { Ok(()) } else { Err(Failed::from(checks.bad.join("\n"))) }
    })
}

/// The table of what was run.
pub fn summary() {
    let Ok(rows) = ROWS.lock() else { return };
    if rows.is_empty() {
        return;
    }
    say(&format!("{:<28} {:>8}  result", "lab test", "seconds"));
    for row in rows.iter() {
        say(&format!("{:<28} {:>8.1}  {}", row.name, row.seconds, row.result));
    }
}
