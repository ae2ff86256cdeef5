//! `dvrctl doctor`, as its users run it: arguments, exit status, JSON. What it finds is tested beside its code
//! (`control/src/daemon/doctor/tests.rs`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod cli_support;

use cli_support::{Dir, Ran, cloud, dvrctl};
use std::io::Write;
use std::process::Command;

/// A namespace, deleted with the value.
struct Ns(String);

impl Ns {
    /// `None`, and a word about it, where one cannot be made; in CI that fails.
    fn new(test: &str, what: &str) -> Option<Ns> {
        let ns = Ns(format!("dvrd-{}-{what}", std::process::id()));
        let made = Command::new("ip").args(["netns", "add", &ns.0]).output();
        if made.is_ok_and(|made| made.status.success()) {
            return Some(ns);
        }
        let why = "it needs root, and ip (Debian: apt-get install iproute2)";
        assert!(std::env::var_os("CI_COMPONENTS").is_none(), "{test}: {why}");
        // Not by eprintln!, which the test harness keeps to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
        None
    }

    #[track_caller]
    fn ip(&self, words: &str) {
        let ran = Command::new("ip").args(["-n", &self.0]).args(words.split(' ')).output().unwrap();
        assert!(ran.status.success(), "ip {words}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// `dvrctl doctor` inside.
    fn doctor(&self, args: &[&str]) -> Ran {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, env!("CARGO_BIN_EXE_dvrctl"), "doctor"]).args(args);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Drop for Ns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

#[test]
fn it_wants_a_configuration_or_interfaces_and_reads_both_files() {
    dvrctl(["doctor"]).ends(2);
    // Names that no machine has: what passed by mistake would be tried.
    let refused = |args: &[&str]| {
        let ran = dvrctl([&["doctor"], args, &["dvrd-none0"]].concat()).ends(2);
        assert!(ran.out.is_empty() && ran.err.contains("cannot be used with"), "{}{}", ran.out, ran.err);
    };
    refused(&["--config", "a.toml"]);
    refused(&["--cloud", "c.json"]);
    let missing = dvrctl(["doctor", "--config", "no-such.toml"]).ends(2);
    assert!(missing.err.contains("no-such.toml"), "{}", missing.err);
    let dir = Dir::new("doctor-files");
    let wrong = dir.write("dvrd.toml", "host = \"H1\"\n[underlay]\ninterface = \"und0\"\nspin = 3\n");
    let said = dvrctl(["doctor", "--config", &wrong]).ends(2);
    assert!(said.err.contains("dvrd.toml:4"), "{}", said.err);
    let unfit = dir.write("unfit.toml", "host = \"H9\"\n[underlay]\ninterface = \"und0\"\n");
    let said = dvrctl(["doctor", "--config", &unfit, "--cloud", &cloud()]).ends(2);
    assert!(said.err.contains("H9"), "{}", said.err);
    let help = dvrctl(["help", "doctor"]).ends(0).out;
    ["--strict", "--json", "--no-try", "Exit status", "never tried"]
        .iter()
        .for_each(|w| assert!(help.contains(w), "{w}"));
}

#[test]
fn an_interface_that_is_not_there_is_a_problem_with_or_without_root() {
    let ran = dvrctl(["doctor", "--json", "dvrd-none0"]).ends(2);
    let json = ran.json();
    let nic = json["sections"].as_array().unwrap().iter().find(|s| s["interface"] == "dvrd-none0").unwrap();
    assert_eq!(
        (&nic["findings"][0]["check"], &nic["findings"][0]["verdict"]),
        (&"interface".into(), &"problem".into())
    );
    assert!(json["problems"].as_u64().unwrap() >= 1);
    assert_eq!(json["sections"][0]["used"], "process");
}

#[test]
fn the_exit_status_is_that_of_the_worst() {
    let Some(ns) = Ns::new("the_exit_status_is_that_of_the_worst", "doctor") else { return };
    ns.ip("link add eth1 type veth peer name far1");
    ns.ip("link set eth1 up");
    ns.ip("link set far1 up");
    let fine = ns.doctor(&["eth1"]).ends(0);
    assert!(fine.out.contains("native, copy, as tried") && fine.out.contains("0 problems"), "{}", fine.out);

    // A warning: a bridge, up and with a carrier.
    ns.ip("link add br0 type bridge");
    ns.ip("link set far1 master br0");
    ns.ip("link set br0 up");
    let start = std::time::Instant::now();
    while ns.doctor(&["br0", "--no-try"]).status != 0 {
        assert!(start.elapsed().as_secs() < 5, "it has no carrier");
    }
    let warned = ns.doctor(&["br0"]).ends(0);
    assert!(warned.out.contains("  warning  xdp"), "{}", warned.out);
    let strict = ns.doctor(&["br0", "--strict", "--json"]).ends(1);
    assert_eq!((strict.json()["problems"].as_u64(), strict.json()["warnings"].as_u64().unwrap() >= 1), (Some(0), true));

    ns.doctor(&["eth1", "--workers", "2"]).ends(2); // one queue
    ns.ip("link set eth1 down");
    assert!(ns.doctor(&["eth1", "br0"]).ends(2).out.contains("`ip link set eth1 up`"));
}

#[test]
fn with_a_cloud_it_names_the_mtu_to_set() {
    let Some(ns) = Ns::new("with_a_cloud_it_names_the_mtu_to_set", "doctor-mtu") else { return };
    let dir = Dir::new("doctor-mtu");
    for nic in ["und0", "eth1", "eth2"] {
        ns.ip(&format!("link add {nic} mtu 1400 type veth peer name far-{nic}"));
        ns.ip(&format!("link set {nic} up"));
        ns.ip(&format!("link set far-{nic} up"));
    }
    let nic = |name: &str, nic: &str| format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{nic}\"\n");
    let text = format!(
        "host = \"H1\"\n[underlay]\ninterface = \"und0\"\n{}{}",
        nic("physnet1", "eth1"),
        nic("physext", "eth2")
    );
    let config = dir.write("dvrd.toml", text);
    let ran = ns.doctor(&["--config", &config, "--cloud", &cloud()]).ends(2);
    // Network A of the reference cloud has an MTU of 1450, V of physnet1 one of 1500.
    for line in [
        "`ip link set und0 mtu 1500`",
        "`ip link set eth1 mtu 1500`",
        "port A1",
        "not there: dvrd takes it when it comes",
    ] {
        assert!(ran.out.contains(line), "{line} is missing in\n{}", ran.out);
    }
    ["und0", "eth1", "eth2"].iter().for_each(|nic| ns.ip(&format!("link set {nic} mtu 1500")));
    ns.doctor(&["--config", &config, "--cloud", &cloud()]).ends(0);
    // Without a cloud nothing is asked of it.
    ns.ip("link set und0 mtu 1400");
    assert!(ns.doctor(&["--config", &config]).ends(0).out.contains("networks of up to 1350"));
}
