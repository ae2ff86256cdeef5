//! Network namespaces that go when their value goes.

use crate::command::{Done, Proc, Res, words};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// No step of setting up takes longer.
const STEP: Duration = Duration::from_secs(10);

/// A network namespace with a name under /var/run/netns, deleted with the value.
pub struct Netns {
    name: String,
    dir: PathBuf,
}

impl Netns {
    /// Makes `dvrd-<pid>-lab-<what>`, without IPv6 (whose own frames would be in every count) and with `lo` up.
    pub fn new(dir: &Path, what: &str) -> Res<Netns> {
        let name = format!("dvrd-{}-lab-{what}", std::process::id());
        let ns = Netns { name: name.clone(), dir: dir.to_owned() };
        run(dir, &words(&format!("ip netns add {name}")))?;
        let off = "for f in all default; do f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $f ] || echo 1 >$f; done";
        ns.command(&["sh".to_owned(), "-c".to_owned(), off.to_owned()], STEP)?.good()?;
        ns.ip("link set lo up")?;
        Ok(ns)
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
        let mut all = words(&format!("ip netns exec {}", self.name));
        all.extend_from_slice(argv);
        Proc::start(&self.dir, &all)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        delete(&self.name);
    }
}

fn run(dir: &Path, argv: &[String]) -> Res<String> {
    Proc::start(dir, argv)?.wait(STEP)?.good()
}

fn delete(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// Deletes the namespaces of runs of this test that were killed before they could.
pub fn sweep() {
    let Ok(dir) = std::fs::read_dir("/var/run/netns") else { return };
    for name in dir.filter_map(|e| e.ok()?.file_name().into_string().ok()) {
        let pid = name.strip_prefix("dvrd-").and_then(|rest| rest.split_once("-lab-")).map(|(pid, _)| pid);
        let gone = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if pid.is_some_and(gone) {
            delete(&name);
        }
    }
}
