//! Judgements of facts, made up here; `machine` finds them.

mod interfaces;
mod machine;

use std::collections::BTreeSet;

use rustix::thread::CapabilitySet;

use super::facts::ProcessFacts;
use super::*;
use crate::daemon::config::Workers;

const MIB: u64 = 1 << 20;

/// A machine with nothing wrong.
fn machine() -> ProcessFacts {
    ProcessFacts {
        kernel: "6.18.1-amd64".to_owned(),
        capabilities: CapabilitySet::all(),
        filters: None,
        memlock: Some(8 * MIB),
        available: Some(1024 * MIB),
        files: Some(524_288),
        huge_pages: Some("madvise".to_owned()),
        cores: (0..4).collect(),
        isolated: BTreeSet::new(),
        siblings: BTreeSet::new(),
    }
}

/// Two workers of 32 MiB each, three interfaces, one of them a port.
fn needs() -> Needs {
    let workers = Workers { count: 2, frames: 16384, ..Workers::default() };
    Needs { workers, interfaces: 3, ports: 1, namespaces: false }
}

/// The only finding that is not ok; every finding if there is none or several.
#[track_caller]
fn only(findings: Vec<Finding>) -> Finding {
    let mut bad = findings.iter().filter(|f| f.verdict != Verdict::Ok);
    match (bad.next(), bad.next()) {
        (Some(one), None) => one.clone(),
        _ => panic!("{findings:#?}"),
    }
}

#[track_caller]
fn says(finding: &Finding, check: &str, verdict: Verdict, stops: bool, words: &[&str]) {
    assert_eq!((finding.check, finding.verdict, finding.stops), (check, verdict, stops), "{finding:?}");
    let text = format!("{} {} {}", finding.what, finding.cost, finding.mend);
    words.iter().for_each(|word| assert!(text.contains(word), "{word} is missing in {finding:?}"));
    assert!(!finding.cost.is_empty() && !finding.mend.is_empty(), "{finding:?}");
}

#[test]
fn a_machine_with_nothing_wrong_has_no_finding() {
    let findings = judge::process(&machine(), &needs());
    assert!(
        findings.iter().all(|f| f.verdict == Verdict::Ok && f.cost.is_empty() && f.mend.is_empty()),
        "{findings:?}"
    );
    let checks: Vec<&str> = findings.iter().map(|f| f.check).collect();
    assert_eq!(checks, ["kernel", "capabilities", "bpf", "memory", "memlock", "open files", "huge pages", "cores"]);
}

#[test]
fn capabilities_that_are_missing_are_named_and_stop_it() {
    let without = |missing, namespaces| {
        let capabilities = CapabilitySet::all().difference(missing);
        judge::process(&ProcessFacts { capabilities, ..machine() }, &Needs { namespaces, ..needs() })
    };
    let both = CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN;
    says(&only(without(both, false)), "capabilities", Verdict::Problem, true, &["CAP_NET_ADMIN, CAP_NET_RAW"]);
    // capable(7): CAP_SYS_ADMIN has been and is enough for bpf(2).
    assert!(without(CapabilitySet::BPF, false).iter().all(|f| f.verdict == Verdict::Ok));
    let bpf = CapabilitySet::BPF | CapabilitySet::SYS_ADMIN;
    says(&only(without(bpf, false)), "capabilities", Verdict::Problem, true, &["CAP_BPF"]);
    let perfmon = CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
    says(&only(without(perfmon, false)), "capabilities", Verdict::Problem, true, &["CAP_PERFMON"]);
    // setns(2) needs it.
    let admin = CapabilitySet::SYS_ADMIN;
    says(&only(without(admin, true)), "capabilities", Verdict::Problem, true, &["CAP_SYS_ADMIN"]);
    says(&only(without(admin, false)), "capabilities", Verdict::Warning, false, &["CAP_SYS_ADMIN", "veth"]);
}

#[test]
fn a_kernel_is_judged_by_its_numbers() {
    let of = |release: &str| judge::process(&ProcessFacts { kernel: release.to_owned(), ..machine() }, &needs());
    for old in ["5.17.99", "5.4.0-150-generic", "4.18.0-553.el8", ""] {
        says(&only(of(old)), "kernel", Verdict::Warning, false, &["5.18", old]);
    }
    for new in ["5.18", "6.1.0-18-amd64", "6.16.0", "10.0"] {
        assert!(of(new).iter().all(|f| f.verdict == Verdict::Ok), "{new}");
    }
    let first = |release| of(release).remove(0).what;
    assert!(first("6.15.9").contains("6.16") && !first("6.16.0").contains("from"));
}

#[test]
fn filters_that_do_not_load_stop_it_in_the_kernel_s_words() {
    let facts = ProcessFacts { filters: Some("cannot load the XDP filter: EPERM; be root".to_owned()), ..machine() };
    let finding = only(judge::process(&facts, &needs()));
    says(&finding, "bpf", Verdict::Problem, true, &[]);
    assert_eq!((finding.what.as_str(), finding.mend.as_str()), ("cannot load the XDP filter: EPERM", "be root"));
}

/// Two workers with 16384 frames of 2 KiB: 64 MiB, registered with three interfaces.
#[test]
fn locked_memory_is_that_of_every_interface_and_counts_without_cap_ipc_lock() {
    let of = |memlock, capabilities| judge::process(&ProcessFacts { memlock, capabilities, ..machine() }, &needs());
    let without = CapabilitySet::all().difference(CapabilitySet::IPC_LOCK);
    let wanted = 3 * 64 * MIB;
    for enough in [None, Some(wanted)] {
        assert!(of(enough, without).iter().all(|f| f.verdict == Verdict::Ok));
    }
    assert!(of(Some(0), CapabilitySet::all()).iter().all(|f| f.verdict == Verdict::Ok));
    let words = ["192 MiB", "CAP_IPC_LOCK", "ulimit -l 196608", "LimitMEMLOCK=201326592"];
    says(&only(of(Some(wanted - 1), without)), "memlock", Verdict::Problem, false, &words);
    // Underlay and one more: without them it does not start.
    says(&only(of(Some(2 * 64 * MIB), without)), "memlock", Verdict::Problem, false, &["ports that come last"]);
    says(&only(of(Some(2 * 64 * MIB - 1), without)), "memlock", Verdict::Problem, true, &["does not start"]);
}

#[test]
fn memory_and_files_are_what_workers_and_ports_take() {
    let facts = ProcessFacts { available: Some(64 * MIB - 1), ..machine() };
    let finding = only(judge::process(&facts, &needs()));
    // Half of what is there, for two workers: 16 MiB each, in frames of 2 KiB.
    says(&finding, "memory", Verdict::Problem, true, &["64 MiB for 2 workers", "workers.frames = 8191"]);
    assert!(judge::process(&ProcessFacts { available: None, ..machine() }, &needs())[3].verdict == Verdict::Ok);
    let many = Needs { ports: 200, ..needs() };
    let few = ProcessFacts { files: Some(1024), ..machine() };
    let finding = only(judge::process(&few, &many));
    says(&finding, "open files", Verdict::Problem, false, &["1024", "200 ports", "LimitNOFILE=1128"]);
    assert!(judge::process(&few, &needs()).iter().all(|f| f.verdict == Verdict::Ok));
}

#[test]
fn huge_pages_that_are_never_there_are_a_warning() {
    let of = |word: Option<&str>| ProcessFacts { huge_pages: word.map(str::to_owned), ..machine() };
    let never = only(judge::process(&of(Some("never")), &needs()));
    says(&never, "huge pages", Verdict::Warning, false, &["never", "/sys/kernel/mm/transparent_hugepage/enabled"]);
    says(&only(judge::process(&of(None), &needs())), "huge pages", Verdict::Warning, false, &["CONFIG_TRANSPARENT"]);
    assert!(judge::process(&of(Some("always")), &needs()).iter().all(|f| f.verdict == Verdict::Ok));
}

#[test]
fn cores_are_to_be_enough_one_s_own_and_whole() {
    let pinned = |cores: &[usize]| {
        let workers = Workers { count: 2, cores: Some(cores.to_vec()), frames: 16384, ..Workers::default() };
        Needs { workers, ..needs() }
    };
    let facts = ProcessFacts { isolated: [1, 2, 3].into(), siblings: [[1, 3].into()].into(), ..machine() };
    assert!(judge::process(&facts, &pinned(&[1, 2])).iter().all(|f| f.verdict == Verdict::Ok));
    let shared = only(judge::process(&facts, &pinned(&[0, 1])));
    says(&shared, "cores", Verdict::Warning, false, &["gives 0 to other", "isolcpus=0 nohz_full=0"]);
    let twins = only(judge::process(&facts, &pinned(&[1, 3])));
    says(&twins, "cores", Verdict::Warning, false, &["1, 3", "lscpu -e"]);
    let few = ProcessFacts { cores: [0].into(), ..machine() };
    says(
        &only(judge::process(&few, &needs())),
        "cores",
        Verdict::Warning,
        false,
        &["2 workers on 1 core", "count = 1"],
    );
}

#[test]
fn files_of_the_kernel_are_read_as_it_writes_them() {
    assert_eq!(process::cpu_list("0-2,5,8-9"), [0, 1, 2, 5, 8, 9].into());
    assert_eq!(process::cpu_list(""), [].into());
    assert_eq!(process::chosen("always [madvise] never").as_deref(), Some("madvise"));
    assert_eq!(process::chosen("always madvise never"), None);
    let meminfo = "MemTotal:       24679272 kB\nMemFree:         8000000 kB\nMemAvailable:   22040192 kB\n";
    assert_eq!(process::mem_available(meminfo), Some(22_040_192 * 1024));
}

/// By two ways: the facts of this process, and the files ulimit, uname and getpcaps read.
#[test]
fn facts_on_this_process_are_those_in_proc() {
    let facts = process::facts();
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap();
    let known = u64::from_str_radix(effective.trim(), 16).unwrap();
    assert_eq!(facts.capabilities.bits(), known);
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let limit = |name: &str, column: usize| {
        let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().nth(column).unwrap().parse::<u64>().ok()
    };
    assert_eq!((facts.memlock, facts.files), (limit("Max locked memory", 0), limit("Max open files", 1)));
    assert!(facts.kernel.starts_with(|c: char| c.is_ascii_digit()) && !facts.cores.is_empty());
}

#[test]
fn a_report_counts_and_names_for_people_and_for_programs() {
    let subject = Subject {
        interface: crate::daemon::config::Interface { name: "und0".to_owned(), netns: Some("h1".to_owned()) },
        used: Use::Underlay,
        workers: 1,
        cores: None,
        networks: None,
        also: vec![],
        vtep: None,
    };
    let findings = vec![
        Finding::ok("a", "good"),
        Finding::warning("b", "slow", "time", "`run`"),
        Finding::stop("c", "x", "y", "z"),
    ];
    let sections = [Section::of_process(vec![Finding::ok("kernel", "new")]), Section::of(&subject, findings)];
    let text = finding::text(&sections);
    let lines = [
        "Process and machine",
        "  ok       kernel        new",
        "Interface und0 in namespace h1: underlay",
        "  warning  b             slow",
        "           costs         time",
        "           helps         `run`",
        "  problem  c             x",
        "1 problem, 1 warning",
    ];
    lines.iter().for_each(|line| assert!(text.lines().any(|l| l == *line), "{line:?} is missing in\n{text}"));
    let json: serde_json::Value = serde_json::from_str(&finding::json(&sections)).unwrap();
    assert_eq!((json["problems"].as_u64(), json["warnings"].as_u64()), (Some(1), Some(1)));
    let nic = &json["sections"][1];
    assert_eq!(
        (nic["interface"].as_str(), nic["netns"].as_str(), nic["used"].as_str()),
        (Some("und0"), Some("h1"), Some("underlay"))
    );
    let expected =
        serde_json::json!({"check": "c", "verdict": "problem", "stops": true, "what": "x", "cost": "y", "mend": "z"});
    assert_eq!(nic["findings"][2], expected);
    assert_eq!(nic["findings"][0], serde_json::json!({"check": "a", "verdict": "ok", "stops": false, "what": "good"}));
    let log: Vec<String> = sections[1].lines(|f| f.stops).collect();
    assert_eq!(log, ["underlay: und0: c: x; it costs: y; what helps: z"]);
}
