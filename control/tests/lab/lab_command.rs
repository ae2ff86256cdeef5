//! `dvrctl lab`: what it leaves, what it refuses, how it ends when it is interrupted.

use crate::base;
use crate::checks::Checks;
use crate::command::{Done, Proc, Res, words};
use crate::folder::Folder;
use crate::netns;
use ::control::lab::process::Process;
use ::control::lab::state::{State, folder};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A lab of `dvrctl lab`, taken down with the value.
struct Command {
    name: String,
    files: Folder,
}

impl Command {
    fn start(&self, line: &str) -> Res<Proc> {
        let argv = words(&format!("{} lab {line} --name {}", env!("CARGO_BIN_EXE_dvrctl"), self.name));
        Proc::start(&self.files.path(""), &argv)
    }

    fn run(&self, line: &str) -> Res<Done> {
        self.start(line)?.wait(Duration::from_secs(120))
    }

    /// Runs it and looks at exit status and words, on either output.
    fn says(&self, checks: &mut Checks, what: &str, line: &str, status: i32, words: &str) -> Res<Done> {
        let done = self.run(line)?;
        let first = done.err.lines().chain(done.out.lines()).find(|l| l.contains(words));
        let seen = format!("{:?}: {}", done.status, first.unwrap_or(&done.err));
        checks.check(what, seen, done.status == Some(status) && first.is_some());
        Ok(done)
    }

    /// Namespaces and folder of this lab that are there.
    fn left(&self) -> Vec<String> {
        let mut all: Vec<String> = netns::names().into_iter().filter(|n| n.starts_with(&self.name)).collect();
        let path = folder(&self.name);
        all.extend(path.exists().then(|| path.display().to_string()));
        all
    }

    fn nothing_left(&self, checks: &mut Checks, what: &str) {
        let left = self.left();
        checks.check(format!("{what}: nothing is left"), format!("{left:?}"), left.is_empty());
    }

    fn state(&self) -> Res<State> {
        State::read(&self.name)?.ok_or_else(|| "no state file".to_owned())
    }

    /// Waits until an `up` that goes on has started a daemon.
    fn started(&self) -> Res<Process> {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            let state = State::read(&self.name)?;
            if let Some(daemon) = state.as_ref().and_then(|s| s.daemons.first()) {
                return Ok(daemon.process.clone());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("no daemon was started in 20 s".to_owned())
    }

    /// `ip` in one of its namespaces.
    fn ip(&self, host: &str, line: &str) -> Res<()> {
        let argv = words(&format!("ip -n {}-{host} {line}", self.name));
        Proc::start(&self.files.path(""), &argv)?.wait(Duration::from_secs(5))?.good().map(|_| ())
    }

    /// A program in the place of `dvrd`.
    fn program(&self, name: &str, text: &str) -> Res<PathBuf> {
        let path = self.files.path(name);
        std::fs::write(&path, text).map_err(|e| e.to_string())?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).map_err(|e| e.to_string())?;
        Ok(path)
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        if !self.left().is_empty() {
            let _ = self.run("down");
        }
    }
}

/// Up, tested, found wanting, down; all of it twice refused where it makes no sense.
pub fn lab_command(checks: &mut Checks) -> Res<()> {
    let lab = Command { name: format!("dvrlab-t{}", std::process::id()), files: base()?.folder };
    lab.says(checks, "test without up", "test", 2, "no lab")?;
    lab.says(checks, "down without up", "down", 2, "no lab")?;
    lab.says(checks, "up", "up --peer kernel", 0, "lab test")?;
    lab.says(checks, "a second up", "up", 2, "is up")?;
    // Too small for what its network carries: some lines of the test must fail, and only those.
    lab.ip("a2", "link set eth0 mtu 1400")?;
    let done = lab.says(checks, "test, with one MTU too small", "test --seconds 1 --json", 1, "\"ok\": false")?;
    let report: serde_json::Value = serde_json::from_str(&done.out).map_err(|e| e.to_string())?;
    let failed = report["checks"].as_array().into_iter().flatten().filter(|c| c["ok"] == false);
    let failed: Vec<&str> = failed.filter_map(|c| c["what"].as_str()).collect();
    let want = ["A1 > A2 ping, full MTU, DF", "A2 > A1 ping, full MTU, DF"];
    checks.check("what failed", format!("{failed:?}"), failed == want);

    let daemon = lab.state()?.daemons[0].process.clone();
    checks.check("dvrd outlives dvrctl", daemon.pid, daemon.lives());
    lab.says(checks, "down", "down", 0, "ended; received")?;
    checks.check("down: dvrd has ended", daemon.pid, !daemon.lives());
    lab.nothing_left(checks, "down");
    Ok(())
}

/// An `up` that comes to nothing, and a `dvrd` that ends by itself.
pub fn lab_half_made(checks: &mut Checks) -> Res<()> {
    let lab = Command { name: format!("dvrlab-t{}", std::process::id()), files: base()?.folder };
    let bad = lab.program("bad", "#!/bin/sh\necho not today >&2; exit 2\n")?;
    lab.says(checks, "up with a dvrd that ends", &format!("up --dvrd {}", bad.display()), 2, "not today")?;
    lab.nothing_left(checks, "up with a dvrd that ends");

    let silent = lab.program("silent", "#!/bin/sh\nexec sleep 100\n")?;
    for (signal, status) in [("INT", Some(2)), ("TERM", Some(2)), ("KILL", None)] {
        let up = lab.start(&format!("up --dvrd {}", silent.display()))?;
        let daemon = lab.started()?;
        up.signal(signal)?;
        let done = up.wait(Duration::from_secs(10))?;
        let seen = format!("{:?}: {}", done.status, done.err.trim_end());
        checks.check(format!("up, then SIG{signal}"), seen, done.status == status);
        if signal == "KILL" {
            checks.check("killed: a lab is left", format!("{} things", lab.left().len()), lab.left().len() > 1);
            lab.says(checks, "up beside what is left", "up", 2, "half-made")?;
            lab.says(checks, "test of what is left", "test", 2, "half-made")?;
            lab.run("down")?;
        }
        checks.check(format!("SIG{signal}: no process is left"), daemon.pid, !daemon.lives());
        lab.nothing_left(checks, &format!("SIG{signal}"));
    }

    lab.says(checks, "up", "up", 0, "lab test")?;
    let all: Vec<Process> = lab.state()?.daemons.into_iter().map(|d| d.process).collect();
    checks.check("up: a dvrd on each of three hosts", all.len(), all.len() == 3 && all.iter().all(Process::lives));
    all[1].end(Duration::ZERO)?;
    lab.says(checks, "test without one of them", "test", 2, "H2: dvrd, process")?;
    lab.says(checks, "down without one of them", "down", 1, "had ended before")?;
    checks.check("down: no process is left", format!("{all:?}"), !all.iter().any(Process::lives));
    lab.nothing_left(checks, "down");
    Ok(())
}
