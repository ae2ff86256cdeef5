//! `dvrd` on real interfaces: hosts, instances, machines outside and the programs people use, in network namespaces.
//!
//! Needs root and what `.ci/lab-tools` installs; docs/testing.md, "The lab", has drawings.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "../cli_support/mod.rs"]
mod cli_support;
mod cloud;
mod command;
mod control;
mod daemon;
mod errors;
mod floating;
mod forwarding;
mod kernel;
mod killed;
mod lifecycle;
mod load;
mod netns;
mod paths;
mod physical;
mod reload;
mod reorder;
mod report;
mod topology;
mod traffic;
mod vip;

use libtest_mimic::{Arguments, Completion, Trial};
use report::{Checks, say, trial};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, ExitCode, Stdio};

type Run = fn(&mut Checks) -> command::Res<()>;

/// Name, what it shows, how it is run.
const TESTS: &[(&str, &str, Run)] = &[
    ("kernel_alone", "the control experiment, without dvrd: kernel VXLAN on both hosts", control::kernel_alone),
    ("iperf3_sees_reordering", "the other one: iperf3 behind a relay that reorders", reorder::iperf3_sees_reordering),
    ("two_hosts", "dvrd on both hosts, one worker each", forwarding::two_hosts),
    ("kernel_peer", "dvrd on H1; H2 is the kernel's bridge, vxlan device and router", forwarding::kernel_peer),
    ("two_workers", "two workers and two underlay queues on each host, under load", load::two_workers),
    ("killed", "kill -9 under traffic, and started again", killed::killed),
    ("stops_clean", "started and stopped: what was found is left", lifecycle::stops_clean),
    ("comes_and_goes", "an instance's interface that is missing, comes and goes", lifecycle::comes_and_goes),
    (
        "floating_ips",
        "floating IPs in, out and between hosts, with a router and a client outside",
        floating::floating_ips,
    ),
    (
        "physical_networks",
        "VLAN and flat networks, bridged, routed, with a machine that is none of the cloud's",
        physical::physical_networks,
    ),
    ("nic_comes_and_goes", "the NIC of a physical network goes and comes back", physical::nic_comes_and_goes),
    (
        "icmp_errors",
        "packets that are too big, run out of hops, or are for nobody: what ping and traceroute hear",
        errors::icmp_errors,
    ),
    ("vip_moves", "keepalived moves an address between two instances on two hosts", vip::vip_moves),
    ("reload", "the files change while dvrd runs: ports come, go and move, mistakes change nothing", reload::reload),
    ("refuses", "what it cannot start with: refused in words, nothing left behind", lifecycle::refuses),
];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // One at a time: they measure, and share the machine.
    args.test_threads = Some(1);
    let missing = missing();
    let tests: Vec<Trial> = match &missing {
        None => TESTS.iter().map(|(name, what, run)| trial(name, what, *run)).collect(),
        Some(why) => TESTS.iter().map(|(name, ..)| skipped(name, why.clone())).collect(),
    };
    if missing.is_none() && !args.list {
        netns::sweep();
    }
    let conclusion = libtest_mimic::run(&args, tests);
    report::summary();
    conclusion.exit_code()
}

/// Why the lab cannot be run here.
fn missing() -> Option<String> {
    // Not a matter of components: CI runs the lab on its own, as README says.
    if cfg!(debug_assertions) {
        return Some("a debug build forwards too slowly: cargo test --release -p control --test lab".to_owned());
    }
    if !std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0) {
        return Some("it makes network namespaces, which needs root".to_owned());
    }
    let there = |tool: &str, arg: &str| {
        Command::new(tool).arg(arg).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let tools = [
        ("ip", "-V", "iproute2"),
        ("nstat", "-V", "iproute2"),
        ("ss", "-V", "iproute2"),
        ("ping", "-V", "iputils-ping"),
        ("iperf3", "-v", "iperf3"),
        ("ethtool", "--version", "ethtool"),
        ("arping", "-V", "iputils-arping"),
        ("traceroute", "-V", "traceroute"),
        ("keepalived", "-v", "keepalived"),
        ("tcpdump", "--version", "tcpdump"),
        ("setpriv", "--version", "util-linux"),
    ];
    if let Some((tool, _, package)) = tools.iter().find(|(tool, arg, _)| !there(tool, arg)) {
        return Some(format!("{tool} is not installed (Debian: apt-get install {package})"));
    }
    // A container's root may lack the capability.
    let made = netns::Netns::new(&std::env::temp_dir(), "probe");
    made.err().map(|why| format!("network namespaces cannot be made here: {}", why.replace('\n', " ").trim_end()))
}

/// Skipped by name with the reason; a failure where CI should have what is missing.
fn skipped(name: &'static str, why: String) -> Trial {
    Trial::ignorable_test(name, move || {
        if std::env::var_os("CI_COMPONENTS").is_some() && !cfg!(debug_assertions) {
            return Err(format!("{why}, and CI must have it").into());
        }
        say(&format!("skipped: {name}: {why}"));
        Ok(Completion::ignored_with(why))
    })
}
