//! `dvrd` as far as it goes without root: what it says of its input. On interfaces it is tested by the lab.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod cli_support;

use cli_support::{Dir, cloud};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file for H1 that fits the cloud, with an underlay that is not there.
fn right() -> String {
    let nic = |name: &str| format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"dvrd-{name}\"\n");
    format!("host = \"H1\"\n[underlay]\ninterface = \"dvrd-none0\"\n{}{}", nic("physnet1"), nic("physext"))
}

/// What it says on standard error, of a configuration and a cloud it must not start with.
fn refused(config: &str, cloud: &str) -> String {
    // Tests run beside each other: a folder for each call.
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let dir = Dir::new(&format!("dvrd-{}", CALLS.fetch_add(1, Ordering::Relaxed)));
    let file = dir.path("dvrd.toml");
    std::fs::write(&file, config).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_dvrd")).arg("--config").arg(&file).args(["--cloud", cloud]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "nothing started");
    String::from_utf8(output.stderr).unwrap().replace(&file.display().to_string(), "dvrd.toml")
}

#[test]
fn every_problem_of_the_configuration_is_named_with_its_line() {
    let text =
        "host = \"H1\"\n\n[underlay]\ninterface = \"a-name-that-is-too-long\"\n\n[workers]\ncount = 0\nspinn_us = 5\n";
    let said = refused(text, &cloud());
    for part in ["dvrd.toml:4", "dvrd.toml:7", "dvrd.toml:8", "spin_us"] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}

#[test]
fn a_configuration_that_does_not_fit_the_cloud_is_refused() {
    let said = refused("host = \"H9\"\n[underlay]\ninterface = \"und0\"\n", &cloud());
    assert!(said.contains("dvrd.toml:1") && said.contains("H9"), "{said}");
    let elsewhere =
        "host = \"H1\"\n[underlay]\ninterface = \"und0\"\n[[ports]]\nport = \"B2\"\ninterface = \"tapB2\"\n";
    let said = refused(elsewhere, &cloud());
    assert!(said.contains("B2") && said.contains("H2"), "it says where the port is: {said}");
    for network in ["physnet1", "physext"] {
        assert!(said.contains(&format!("\"{network}\"")), "and which physical networks have no NIC: {said}");
    }
}

#[test]
fn missing_files_and_interfaces_are_named() {
    let right = &right();
    let said = refused(right, "no-such-cloud.json");
    assert!(said.contains("no-such-cloud.json"), "{said}");
    // Found out before anything that needs root.
    let said = refused(right, &cloud());
    assert!(said.contains("dvrd-none0") && said.contains("ip link"), "{said}");
}

#[test]
fn help_names_options_signals_and_what_it_needs() {
    let help = Command::new(env!("CARGO_BIN_EXE_dvrd")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for word in [
        "--config",
        "--cloud",
        "--totals",
        "--check",
        "SIGTERM",
        "SIGUSR1",
        "SIGHUP",
        "Exit status",
        "CAP_NET_ADMIN",
        "docs/dvrd.toml",
    ] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
    let none = Command::new(env!("CARGO_BIN_EXE_dvrd")).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn books_that_cannot_be_written_are_refused_before_anything_starts() {
    let dir = Dir::new("dvrd-totals");
    let (config, totals) = (dir.path("dvrd.toml"), dir.path("none/totals.json"));
    std::fs::write(&config, right()).unwrap();
    let mut dvrd = Command::new(env!("CARGO_BIN_EXE_dvrd"));
    dvrd.arg("--config").arg(&config).args(["--cloud", &cloud()]).arg("--totals").arg(&totals);
    let output = dvrd.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--totals") && said.contains("none/totals.json") && said.contains("No such file"), "{said}");
    assert!(!said.contains("dvrd-none0"), "the interface was not looked at yet: {said}");
}

/// Standard error that nobody reads any more is no reason to end otherwise.
#[test]
fn it_says_what_is_wrong_to_nobody() {
    let mut dvrd = Command::new(env!("CARGO_BIN_EXE_dvrd"));
    dvrd.args(["--config", "no-such.toml", "--cloud", &cloud()]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(dvrd.stderr(writer).status().unwrap().code(), Some(2));
}

#[test]
fn check_reads_both_files_and_needs_neither_root_nor_interfaces() {
    let dir = Dir::new("dvrd-check");
    let config = dir.write("dvrd.toml", right());
    let check = |config: &str, cloud: &str| {
        let ran =
            Command::new(env!("CARGO_BIN_EXE_dvrd")).args(["--check", "--config", config, "--cloud", cloud]).output();
        let ran = ran.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ran.status.code(), text(&ran.stdout), text(&ran.stderr))
    };
    let (status, out, err) = check(&config, &cloud());
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("dvrd.toml") && out.contains("no problems"), "{out}");
    let wrong = dir.write("wrong.toml", right() + "[workers]\ncount = 17\n");
    let (status, out, err) = check(&wrong, &cloud());
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(err.contains("wrong.toml:11") && err.contains("count"), "{err}");
    // More ports than T05 takes: what no file shows by itself.
    let mut many: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(cloud()).unwrap()).unwrap();
    let ports = many["ports"].as_array_mut().unwrap();
    let one = ports.iter().find(|p| p["id"] == "A1").unwrap().clone();
    for n in 0..600_u32 {
        let mut port = one.clone();
        port["id"] = format!("many{n:04}").into();
        port["name"] = port["id"].clone();
        port["mac_address"] = format!("fa:16:3e:99:{:02x}:{:02x}", n >> 8, n & 255).into();
        port["fixed_ips"] = serde_json::json!([]);
        port["allowed_address_pairs"] = serde_json::json!([]);
        ports.push(port);
    }
    let many = dir.write("many.json", many.to_string());
    let (status, _, err) = check(&config, &many);
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("T05 ports") && err.contains("512"), "{err}");
}
