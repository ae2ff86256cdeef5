//! [`Netns`]: a network namespace of a test's own.

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// A network namespace `dvrd-<pid>-<name>`, deleted with the value and all interfaces in it.
#[derive(Debug)]
pub struct Netns(String);

impl Netns {
    /// One with `lo` up; `None` and a word about it where we may not or cannot make one. `name`: at
    /// most 20 letters, another for each of a test.
    pub fn new(test: &str, name: &str) -> Option<Netns> {
        privileged(test)?;
        installed(test, "ip", &["-V"], "iproute2")?;
        let netns = Netns(format!("dvrd-{}-{name}", std::process::id()));
        netns.command("ip", &["netns", "add", &netns.0]);
        netns.ip("link set lo up");
        Some(netns)
    }

    /// Its name, as `ip -n` takes it.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// `ip -n NAMESPACE ARGS`: what it prints. Panics if it fails.
    #[track_caller]
    pub fn ip(&self, args: &str) -> String {
        let args: Vec<&str> = ["-n", &self.0].into_iter().chain(args.split(' ')).collect();
        self.command("ip", &args)
    }

    /// A program inside: what it prints. Panics if it fails.
    #[track_caller]
    pub fn exec(&self, args: &str) -> String {
        let args: Vec<&str> = ["netns", "exec", &self.0].into_iter().chain(args.split(' ')).collect();
        self.command("ip", &args)
    }

    #[track_caller]
    fn command(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {}: {err}", args.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `f` on a thread inside. Sockets it makes stay inside; whatever thread uses them.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        use std::os::fd::AsFd;
        let file = std::fs::File::open(format!("/var/run/netns/{}", self.0)).unwrap();
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            f()
        };
        let ran = std::thread::scope(|s| s.spawn(inside).join());
        ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The index of an interface.
    pub fn ifindex(&self, name: &str) -> u32 {
        self.ip(&format!("-o link show dev {name}")).split(':').next().unwrap().parse().unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// May this thread make namespaces and load BPF? `None` and a word about it where not.
pub fn privileged(test: &str) -> Option<()> {
    const NEEDED: [(u32, &str); 4] = [(12, "NET_ADMIN"), (13, "NET_RAW"), (21, "SYS_ADMIN"), (39, "BPF")];
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let held = u64::from_str_radix(held.trim(), 16).unwrap();
    let missing: Vec<_> = NEEDED.iter().filter(|(bit, _)| held >> bit & 1 == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() {
        return Some(());
    }
    skip(test, &format!("it needs root (without CAP_{})", missing.join(", CAP_")))
}

/// Is this program there? `None` and a word about it where not.
pub fn installed(test: &str, program: &str, version: &[&str], package: &str) -> Option<()> {
    if Command::new(program).args(version).output().is_ok_and(|o| o.status.success()) {
        return Some(());
    }
    skip(test, &format!("{program} is not installed (Debian: apt-get install {package})"))
}

/// Does it become true within five seconds? What a descriptor held goes only when its last copy is closed, and a
/// program that another test starts has copies of all for a moment.
pub fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(5);
    while !condition() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn skip(test: &str, why: &str) -> Option<()> {
    assert!(std::env::var_os("CI_COMPONENTS").is_none(), "{test}: {why}, and CI must have it");
    // Not by eprintln!, which the test harness keeps to itself; at once, since tests run side by side.
    let _ = std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes());
    None
}
