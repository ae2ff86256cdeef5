//! Takes a lab down: ends the processes its state file names, deletes the namespaces and the folder.

use super::command::Res;
use super::daemon::Balance;
use super::netns;
use super::process::End;
use super::state::{Daemon, State, folder, lock};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A `dvrd` has this long to end by SIGTERM.
const LIMIT: Duration = Duration::from_secs(10);

/// What was found when a lab was taken down.
#[derive(Default)]
pub struct Report {
    /// For people, a line each.
    pub lines: Vec<String>,
    /// What was not as it should be.
    pub problems: Vec<String>,
}

/// Takes it down, whatever state it is in.
pub fn down(name: &str) -> Res<Report> {
    if State::read(name)?.is_none() {
        return Err(format!("no lab {name} is up: there is no {}", folder(name).display()));
    }
    let _lock = lock(name)?;
    // Again: somebody else may have been faster.
    let Some(state) = State::read(name)? else { return Err(format!("no lab {name} is up any more")) };
    let mut report = Report::default();
    if !state.up {
        report.lines.push("it was left half-made".to_owned());
    }
    state.daemons.iter().for_each(|daemon| end(daemon, &mut report));
    let mut deleted = 0;
    for ns in state.namespaces.iter().filter(|ns| netns::exists(ns)) {
        if let Some(inside) = inside(ns) {
            report.problems.push(format!("{ns}: still used by {inside}: it is gone when they are"));
        }
        match netns::delete(ns) {
            Ok(()) => deleted += 1,
            Err(why) => report.problems.push(why),
        }
    }
    report.lines.push(format!("{deleted} network namespaces deleted"));
    let path = folder(name);
    match std::fs::remove_dir_all(&path) {
        Ok(()) => report.lines.push(format!("{} removed", path.display())),
        Err(why) => report.problems.push(format!("{}: {why}", path.display())),
    }
    Ok(report)
}

/// Ends a daemon and looks at its books.
fn end(daemon: &Daemon, report: &mut Report) {
    let who = format!("{}: dvrd, process {}", daemon.host, daemon.process.pid);
    // What there is now is of a SIGUSR1.
    let _ = std::fs::remove_file(&daemon.totals);
    match daemon.process.end(LIMIT) {
        Ok(End::Asked) => books(daemon, &who, report),
        Ok(how) => {
            let how = if how == End::Before { "had ended before" } else { "did not end by SIGTERM, and was killed" };
            report.problems.push(format!("{who} {how}; it said at last:\n{}", daemon.last_words(10)));
        }
        Err(why) => report.problems.push(format!("{who}: {why}")),
    }
}

fn books(daemon: &Daemon, who: &str, report: &mut Report) {
    let read = std::fs::read_to_string(&daemon.totals).map_err(|e| e.to_string());
    match read.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string())) {
        Ok(totals) => {
            let Balance { books, even, buffers, all_home } = Balance::of(&totals);
            report.lines.push(format!("{who} ended; {books}; buffers {buffers}"));
            if !even && totals["received"].as_u64() != Some(0) {
                report.problems.push(format!("{}: its books do not balance, a defect of dvrd", daemon.host));
            }
            if !all_home {
                report.problems.push(format!("{}: packet buffers were lost, a defect of dvrd", daemon.host));
            }
        }
        Err(why) => {
            report
                .problems
                .push(format!("{who} ended without books ({why}); it said at last:\n{}", daemon.last_words(10)));
        }
    }
}

/// Who else is in a namespace: those processes are not ours to end.
fn inside(ns: &str) -> Option<String> {
    let out = Command::new("ip").args(["netns", "pids", ns]).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    let all: Vec<String> =
        text.lines().filter_map(|pid| Some(format!("{} (process {pid})", name(pid)?.trim()))).collect();
    (!all.is_empty()).then(|| all.join(", "))
}
