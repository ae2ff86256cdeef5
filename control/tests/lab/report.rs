//! Checks as tests of the harness, and a table at the end.

use crate::checks::{Checks, say};
use crate::command::Res;
use libtest_mimic::{Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Instant;

struct Row {
    name: &'static str,
    result: String,
    seconds: f32,
}

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

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
        let (bad, all) = (checks.bad().count(), checks.all().len());
        let result = if bad == 0 { format!("ok: {all} checks") } else { format!("FAILED: {bad} of {all} checks") };
        if let Ok(mut rows) = ROWS.lock() {
            rows.push(Row { name, result, seconds });
        }
        let lines: Vec<String> = checks.bad().map(|c| format!("{}: {}", c.what, c.seen)).collect();
        if lines.is_empty() { Ok(()) } else { Err(Failed::from(lines.join("\n"))) }
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
