//! Network namespaces that go when their value goes.

use super::command::{Done, Proc, Res, words};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// No step of setting up takes longer.
const STEP: Duration = Duration::from_secs(10);
/// Where `ip netns` has its names.
const NAMES: &str = "/var/run/netns";

/// A network namespace with a name under /var/run/netns, deleted with the value if the value made it.
pub struct Netns {
    name: String,
    dir: PathBuf,
    /// Deleted with the value.
    ours: bool,
}

impl Netns {
    /// Makes one, without IPv6 (whose own frames would be in every count) and with `lo` up. `dir` is for what its commands print.
    ///
    /// Fails if there is one of this name, which stays as it is.
    pub fn new(dir: &Path, name: &str) -> Res<Netns> {
        if exists(name) {
            return Err(format!("there is a network namespace {name} already, and it is not this lab's"));
        }
        // From here on it is ours: if `ip` is interrupted, it may have been made.
        let ns = Netns { name: name.to_owned(), dir: dir.to_owned(), ours: true };
        run(dir, &words(&format!("ip netns add {name}")))?;
        let off = "for f in all default; do f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $f ] || echo 1 >$f; done";
        ns.shell(off)?;
        ns.ip("link set lo up")?;
        Ok(ns)
    }

    /// One that is there, and stays when the value goes.
    pub fn open(dir: &Path, name: &str) -> Res<Netns> {
        if !exists(name) {
            return Err(format!("there is no network namespace {name}"));
        }
        Ok(Netns { name: name.to_owned(), dir: dir.to_owned(), ours: false })
    }

    /// From now on it stays when the value goes.
    pub fn keep(&mut self) {
        self.ours = false;
    }

    /// The name under /var/run/netns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `ip -n NAME ...`, which must end well; its output.
    pub fn ip(&self, line: &str) -> Res<String> {
        run(&self.dir, &words(&format!("ip -n {} {line}", self.name)))
    }

    /// The same with `-j`, read as JSON.
    pub fn ip_json(&self, line: &str) -> Res<serde_json::Value> {
        let text = run(&self.dir, &words(&format!("ip -j -n {} {line}", self.name)))?;
        serde_json::from_str(&text).map_err(|e| format!("`ip -j {line}`: {e}: {text}"))
    }

    /// Runs inside what `ip` cannot do; it must end well.
    pub fn shell(&self, line: &str) -> Res<()> {
        self.command(&["sh".into(), "-c".into(), line.into()], STEP)?.good().map(|_| ())
    }

    /// Runs a command inside to its end.
    pub fn exec(&self, line: &str, limit: Duration) -> Res<Done> {
        self.command(&words(line), limit)
    }

    /// The same with arguments that may have spaces.
    pub fn command(&self, argv: &[String], limit: Duration) -> Res<Done> {
        self.start(argv)?.wait(limit)
    }

    /// Starts a command inside. `ip netns exec` becomes the command, so that the process id is the command's.
    pub fn start(&self, argv: &[String]) -> Res<Proc> {
        Proc::start(&self.dir, &self.inside(argv))
    }

    /// The words that run this command inside.
    pub fn inside(&self, argv: &[String]) -> Vec<String> {
        let mut all = words(&format!("ip netns exec {}", self.name));
        all.extend_from_slice(argv);
        all
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if self.ours {
            let _ = delete(&self.name);
        }
    }
}

fn run(dir: &Path, argv: &[String]) -> Res<String> {
    Proc::start(dir, argv)?.wait(STEP)?.good()
}

/// Whether there is one of this name.
pub fn exists(name: &str) -> bool {
    Path::new(NAMES).join(name).exists()
}

/// Deletes a namespace by name. Processes inside go on, in a namespace without a name.
pub fn delete(name: &str) -> Res<()> {
    // A group of its own: a Ctrl-C while this cleans up is not for `ip`.
    let done = Command::new("ip").args(["netns", "del", name]).process_group(0).stdin(Stdio::null()).output();
    match done {
        Ok(done) if done.status.success() || !exists(name) => Ok(()),
        Ok(done) => Err(format!("ip netns del {name}: {}", String::from_utf8_lossy(&done.stderr).trim())),
        Err(e) => Err(format!("ip netns del {name}: {e}")),
    }
}

/// The names of all namespaces.
pub fn names() -> Vec<String> {
    let dir = std::fs::read_dir(NAMES).into_iter().flatten();
    dir.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect()
}
