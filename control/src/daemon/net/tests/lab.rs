//! Namespaces, and `ip`.

use super::super::*;
use dataplane::addr::MacAddr;
use std::io::Write;
use std::process::{Child, Command, Stdio};

/// Whether the test can run here; if not, says why, and fails in CI.
#[track_caller]
pub fn possible() -> bool {
    let runs = |program: &str, words: &[&str]| {
        Command::new(program).args(words).output().is_ok_and(|ran| ran.status.success())
    };
    let why = match () {
        () if !runs("ip", &["-V"]) => "needs ip (Debian: apt-get install iproute2)",
        () if !runs("unshare", &["--net", "true"]) => "needs root, to make network namespaces",
        () => return true,
    };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var_os("CI_COMPONENTS").is_none(), "{test}: {why}");
    // Not by eprintln!, which the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
    false
}

/// Runs `ip` with these words.
#[track_caller]
pub fn ip(words: &str) -> String {
    let ran = Command::new("ip").args(words.split_whitespace()).output().unwrap();
    assert!(ran.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// A namespace `dvrd-PID-WHAT` with `lo` up, deleted with the value.
pub struct Ns(pub String);

impl Ns {
    pub fn new(what: &str) -> Ns {
        let ns = Ns(format!("dvrd-{}-{what}", std::process::id()));
        ip(&format!("netns add {}", ns.0));
        ns.ip("link set lo up");
        ns
    }

    pub fn ip(&self, words: &str) -> String {
        ip(&format!("-n {} {words}", self.0))
    }

    /// Many commands at once.
    pub fn batch(&self, lines: impl IntoIterator<Item = String>) {
        let mut child = Command::new("ip").args(["-n", &self.0, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        let text: String = lines.into_iter().map(|l| l + "\n").collect();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub fn open(&self) -> Netns {
        Netns::open(Some(&self.0)).unwrap()
    }

    /// `/proc/sys/net/KEY` of the namespace.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.open().run(|| std::fs::write(&path, value).unwrap()).unwrap();
    }

    pub fn mac(&self, interface: &str) -> MacAddr {
        let links: serde_json::Value = serde_json::from_str(&self.ip(&format!("-j link show {interface}"))).unwrap();
        links[0]["address"].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Ns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A namespace without a name: that of a process, which ends with the value.
pub struct Unnamed(Child);

impl Unnamed {
    pub fn new() -> Unnamed {
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let child = Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
        let this = Unnamed(child);
        for _ in 0..500 {
            if std::fs::read_link(this.path()).is_ok_and(|ns| ns != own) {
                return this;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("unshare made no namespace");
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
