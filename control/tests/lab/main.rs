//! `dvrd` on real interfaces: hosts, instances, machines outside and the programs people use, in network namespaces.
//!
//! Needs root and what `.ci/lab-tools` installs; docs/testing.md, "The lab", has drawings.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod control;
mod errors;
mod floating;
mod forwarding;
mod idle;
mod killed;
mod lab_command;
mod lifecycle;
mod load;
mod long;
mod physical;
mod reload;
mod reorder;
mod report;
mod shared;
mod underlay;
mod vip;

use ::control::lab::{checks, cloud, command, daemon, folder, kernel, netns, paths, tools, topology, traffic};
use checks::{Checks, say};
use libtest_mimic::{Arguments, Completion, Trial};
use report::trial;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Seconds of each load, where a test has no reason for more.
const SECONDS: u64 = 2;

type Run = fn(&mut Checks) -> command::Res<()>;

/// Name, what it shows, how it is run.
const TESTS: &[(&str, &str, Run)] = &[
    ("kernel_alone", "the control experiment, without dvrd: kernel VXLAN on both hosts", control::kernel_alone),
    ("iperf3_sees_reordering", "the other one: iperf3 behind a relay that reorders", reorder::iperf3_sees_reordering),
    ("two_hosts", "dvrd on both hosts, one worker each", forwarding::two_hosts),
    ("kernel_peer", "dvrd on H1; H2 is the kernel's bridge, vxlan device and router", forwarding::kernel_peer),
    ("two_workers", "two workers and two underlay queues on each host, under load", load::two_workers),
    ("idle", "what dvrd costs without work, and what the first packet pays after", idle::idle),
    ("long", "traffic of every kind while all that can goes and comes, ten clouds a second", long::long),
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
    ("shared_nic", "one NIC for two physical networks, the underlay and the host itself", shared::shared_nic),
    (
        "icmp_errors",
        "packets that are too big, run out of hops, or are for nobody: what ping and traceroute hear",
        errors::icmp_errors,
    ),
    ("vip_moves", "keepalived moves an address between two instances on two hosts", vip::vip_moves),
    ("underlay", "the way to another host is lost, found late, and changes its gateway", underlay::underlay),
    ("lab_command", "dvrctl lab: up, test, down, and each where it makes no sense", lab_command::lab_command),
    ("lab_half_made", "dvrctl lab up that fails or is interrupted: nothing is left", lab_command::lab_half_made),
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
        sweep();
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
    let more = [
        ("ethtool", "--version", "ethtool"),
        ("keepalived", "-v", "keepalived"),
        ("setpriv", "--version", "util-linux"),
    ];
    if let Some(why) = [&tools::MAKING[..], &tools::TRAFFIC, &more].into_iter().find_map(tools::missing) {
        return Some(why);
    }
    // A container's root may lack the capability.
    let made = netns::Netns::new(&std::env::temp_dir(), &format!("{}-probe", prefix()));
    made.err().map(|why| format!("network namespaces cannot be made here: {}", why.replace('\n', " ").trim_end()))
}

/// What the namespaces of this run are called.
fn prefix() -> String {
    format!("dvrd-{}-lab", std::process::id())
}

/// A folder of its own for each lab, and the programs as they were built for this test.
fn base() -> command::Res<topology::Base> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("dvrd-test-{}-lab-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Ok(topology::Base {
        folder: folder::Folder::new(std::env::temp_dir().join(name))?,
        prefix: prefix(),
        dvrd: env!("CARGO_BIN_EXE_dvrd").into(),
        dvrctl: env!("CARGO_BIN_EXE_dvrctl").into(),
    })
}

/// Deletes the namespaces of runs of this test that were killed before they could.
fn sweep() {
    for name in netns::names() {
        let pid = name.strip_prefix("dvrd-").and_then(|rest| rest.split_once("-lab-")).map(|(pid, _)| pid);
        let gone = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if pid.is_some_and(gone) {
            let _ = netns::delete(&name);
        }
    }
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
