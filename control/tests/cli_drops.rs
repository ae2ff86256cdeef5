//! `dvrctl explain` and `dvrctl replay --drops`, as their users run them; the file is read by tshark.

mod cli_support;

use cli_support::{Dir, cloud, dvrctl, fixture, replay};
use control::capture::Capture;
use control::explain::reasons;
use dataplane::counters::Event;
use dataplane::drop_reason::DropReason;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

const T0: u64 = 1_700_000_000_000_000_001;

#[test]
fn explain_says_what_to_look_at() {
    let ran = dvrctl(["explain", "port_down"]).ends(0);
    let flat = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "port_down: the port is not ACTIVE on this host",
        "dead VLAN 4095",
        "openstack port show PORT -c status",
        "drops.port_down",
        "vm_port, egress or handoff",
        "I1, L1, T4 (docs/behaviour.md)",
    ] {
        assert!(flat.contains(words), "{words}: {}", ran.out);
    }
    assert_eq!(ran.err, "");
    // What is not built yet says so, and by which rule it comes.
    assert!(dvrctl(["explain", "policed"]).ends(0).out.contains("cannot happen in this build: rule Q"));
    assert!(dvrctl(["explain", "flooded_unknown"]).ends(0).out.contains("counters.flooded_unknown"));
}

#[test]
fn explain_lists_every_name_once() {
    let ran = dvrctl(["explain"]).ends(0);
    let names: Vec<&str> = ran.out.lines().filter_map(|l| l.strip_prefix("  ")?.split(' ').next()).collect();
    let count = |name: &str| names.iter().filter(|n| **n == name).count();
    assert!(DropReason::ALL.iter().all(|r| count(r.name()) == 1), "{}", ran.out);
    assert!(Event::ALL.iter().all(|e| count(e.name()) == 1), "{}", ran.out);
    let limits = ["learn_rate_limited", "learn_quota_evicted", "learn_table_full", "row_not_stored"];
    assert!(limits.iter().all(|name| count(name) == 1), "{}", ran.out);
    assert!(ran.out.lines().all(|l| l.len() <= 100), "{}", ran.out);
    // In the order of the pipeline.
    let at = |name: &str| names.iter().position(|n| *n == name);
    assert!(at("parse_l3") < at("mac_spoof") && at("mac_spoof") < at("unknown_vtep") && at("no_route") < at("tx_full"));
}

#[test]
fn explain_knows_no_other_name_and_suggests_the_nearest() {
    for (word, near) in [
        ("mac_spof", "mac_spoof"),
        ("MAC-SPOOF", "mac_spoof"),
        ("unknown_vetp", "unknown_vtep"),
        ("prot_down", "port_down"),
        ("noroute", "no_route"),
        ("flood_unknown", "flooded_unknown"),
    ] {
        let ran = dvrctl(["explain", word]).ends(2);
        assert!(ran.err.contains(word) && ran.err.contains(&format!("did you mean {near}")), "{}", ran.err);
        assert_eq!(ran.out, "");
    }
    let ran = dvrctl(["explain", "zzzz"]).ends(2);
    assert!(!ran.err.contains("did you mean") && ran.err.contains("lists all of them"), "{}", ran.err);
    dvrctl(["explain", "mtu", "--markdown"]).ends(2);
}

#[test]
fn explain_as_json() {
    let one = dvrctl(["explain", "no_route", "--json"]).ends(0).json();
    assert_eq!((&one["name"], &one["kind"], &one["occurs"]), (&"no_route".into(), &"drop".into(), &"now".into()));
    assert_eq!((&one["rules"], &one["stages"]), (&serde_json::json!(["R4"]), &serde_json::json!(["qrouter"])));
    assert!(one["look"].as_array().unwrap().len() > 1 && one["cause"].is_string());
    let event = dvrctl(["explain", "snapshot_reload", "--json"]).ends(0).json();
    assert_eq!((&event["kind"], event.get("cause")), (&"event".into(), None));
    let all = dvrctl(["explain", "--json"]).ends(0).json();
    assert_eq!(all.as_array().unwrap().len(), DropReason::COUNT + control::explain::reasons::counters().count());
}

/// A dropped frame as a capture must show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    time: String,
    port: String,
    reason: String,
    rule: String,
    src: String,
    len: usize,
}

/// Frames to receive by port, and what is expected of them.
#[derive(Default)]
struct Traffic {
    inputs: BTreeMap<String, Capture>,
    expected: Vec<Seen>,
    bytes: Vec<Vec<u8>>,
    time: u64,
}

impl Traffic {
    /// One frame received on `port`, `copies` of which are dropped.
    fn frame(&mut self, port: &str, bytes: &[u8], reason: &str, copies: usize) {
        self.time += 1_001; // no two at one time, nor at a whole microsecond
        let time = T0 + self.time;
        self.inputs.entry(port.to_owned()).or_default().push(time, bytes);
        let src = bytes.get(6..12).filter(|_| bytes.len() >= 14).unwrap_or_default();
        let rule = DropReason::from_name(reason).unwrap().rule();
        let seen = Seen {
            time: format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000),
            port: port.to_owned(),
            reason: reason.to_owned(),
            rule: if rule.is_empty() { "-".to_owned() } else { rule.to_owned() },
            src: src.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
            len: bytes.len(),
        };
        self.expected.extend(vec![seen; copies]);
        self.bytes.extend(vec![bytes.to_vec(); copies]);
    }

    /// The frames of every fixture that drops all of them for one reason, at H1, with the cloud as it is. What is
    /// dropped teaches nothing, so they can follow each other.
    fn of_fixtures() -> Traffic {
        let mut traffic = Traffic::default();
        let mut dirs: Vec<_> = std::fs::read_dir(fixture("")).unwrap().map(|e| e.unwrap().path()).collect();
        dirs.sort();
        for dir in dirs.iter().filter(|d| d.join("case.toml").exists() && !d.join("events.jsonl").exists()) {
            let table =
                |file: &str| -> toml::Table { std::fs::read_to_string(dir.join(file)).unwrap().parse().unwrap() };
            let (case, counters) = (table("case.toml"), table("counters.toml"));
            let plain =
                case["host"].as_str() == Some("H1") && !case.contains_key("patch") && !case.contains_key("cloud");
            let Some(drops) = counters.get("drops").and_then(|d| d.as_table()) else { continue };
            let all = counters.get("received") == counters.get("dropped");
            let (true, true, 1, Some((reason, _))) = (plain, all, drops.len(), drops.iter().next()) else { continue };
            if reason == "no_neigh" {
                continue; // it waits three seconds first, so that others are dropped before it
            }
            let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
            files.sort();
            for file in files {
                let name = file.file_name().unwrap().to_str().unwrap();
                let Some(port) = name.strip_prefix("in.").and_then(|n| n.strip_suffix(".pcap")) else { continue };
                let capture = Capture::load(&file).unwrap();
                capture.frames().for_each(|f| traffic.frame(port, f.bytes, reason, 1));
            }
        }
        traffic
    }

    fn replay(&self, dir: &Dir, more: &[&str]) -> cli_support::Ran {
        let inputs: Vec<(String, String)> = self
            .inputs
            .iter()
            .map(|(port, capture)| (port.clone(), dir.write(&format!("{port}.pcap"), capture.to_pcap())))
            .collect();
        let inputs: Vec<(&str, &str)> = inputs.iter().map(|(p, f)| (p.as_str(), f.as_str())).collect();
        let drops = dir.text("drops.pcapng");
        replay(dir, "H1", &inputs, &[&["--drops", &drops, "--json"], more].concat())
    }
}

/// A broadcast and its source.
fn broadcast(from: u8, len: usize) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &[0xfa, 0x16, 0x3e, 0x0a, 0, from]].concat();
    let ip_len = (len - 14) as u16;
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(ip_len.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, from & 0xf | 10, 255, 255, 255, 255, 0, 1, 0, 2]);
    frame.extend((ip_len - 20).to_be_bytes());
    frame.resize(len, 0);
    let source = if from == 0x11 { 11 } else { 13 };
    frame[29] = source;
    frame
}

/// tshark, or `None` and a word about it where a missing one is no failure.
fn tshark(test: &str) -> Option<()> {
    if Command::new("tshark").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Some(());
    }
    assert!(std::env::var_os("CI_COMPONENTS").is_none(), "{test}: tshark is not installed, and CI must have it");
    // Not by eprintln!, which the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: tshark is not installed (Debian: apt-get install tshark)");
    None
}

/// One line per packet, with these fields separated by tabs.
fn fields(file: &str, fields: &[&str], filter: &str) -> Vec<Vec<String>> {
    let mut args = vec!["-r", file, "-T", "fields", "-E", "occurrence=f"];
    fields.iter().for_each(|f| args.extend(["-e", f]));
    if !filter.is_empty() {
        args.extend(["-Y", filter]);
    }
    let output = Command::new("tshark").args(&args).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
}

/// `drop: NAME | stage STAGE | rule RULES | MEANING`.
fn parts(comment: &str) -> [&str; 4] {
    let parts: Vec<&str> = comment.splitn(4, " | ").collect();
    let [reason, stage, rule, meaning] = parts[..] else { panic!("{comment}") };
    [
        reason.strip_prefix("drop: ").unwrap(),
        stage.strip_prefix("stage ").unwrap(),
        rule.strip_prefix("rule ").unwrap(),
        meaning,
    ]
}

#[test]
fn tshark_reads_what_was_dropped_and_why() {
    let Some(()) = tshark("tshark_reads_what_was_dropped_and_why") else { return };
    let mut traffic = Traffic::of_fixtures();
    assert!(traffic.expected.len() > 40, "{}", traffic.expected.len());
    let names: std::collections::BTreeSet<_> = traffic.expected.iter().map(|s| s.reason.clone()).collect();
    assert!(names.len() >= 19, "{names:?}");
    // A broadcast too large for the underlay: A3 gets it, the copies for H2, H3 and H4 are dropped.
    traffic.frame("A1", &broadcast(0x11, 1465), "mtu", 3);
    // Too long for any buffer.
    traffic.frame("A3", &broadcast(0x13, 9000), "mtu", 1);
    let dir = Dir::new("drops-tshark");
    let ran = traffic.replay(&dir, &[]).ends(0);
    let file = dir.text("drops.pcapng");
    let want =
        ["frame.time_epoch", "frame.interface_name", "frame.comment", "eth.src", "frame.len", "frame.encap_type"];
    let got: Vec<Seen> = fields(&file, &want, "")
        .into_iter()
        .map(|f| {
            let [reason, stage, rule, meaning] = parts(&f[2]);
            let known = DropReason::from_name(reason).unwrap();
            assert_eq!(meaning, known.meaning());
            assert!(reasons::of(known).stages.iter().any(|s| s.name() == stage), "{}", f[2]);
            assert_eq!(f[5], "1", "Ethernet");
            let (time, port, src) = (f[0].clone(), f[1].clone(), f[3].clone());
            Seen { time, port, reason: reason.to_owned(), rule: rule.to_owned(), src, len: f[4].parse().unwrap() }
        })
        .collect();
    assert_eq!(got.len(), traffic.expected.len());
    for (n, (got, want)) in got.iter().zip(&traffic.expected).enumerate() {
        assert_eq!(got, want, "packet {}", n + 1);
    }
    // As many as were counted, by reason.
    let json = ran.json();
    let counted: u64 = json["drops"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
    assert_eq!((got.len() as u64, json["dropped"].as_u64()), (counted, Some(counted)));
    for (reason, n) in json["drops"].as_object().unwrap() {
        let filter = format!("frame.comment contains \"drop: {reason} |\"");
        let found = fields(&file, &["frame.number"], &filter).len() as u64;
        assert_eq!(Some(found), n.as_u64(), "{filter}");
    }
    assert_eq!(json["counters"].get("drop_capture_full"), None);
}

#[test]
fn the_bytes_are_those_received_and_a_trace_can_follow() {
    let traffic = Traffic::of_fixtures();
    let dir = Dir::new("drops-bytes");
    traffic.replay(&dir, &[]).ends(0);
    let drops = Capture::load(&dir.path("drops.pcapng")).unwrap();
    assert_eq!((drops.faults().count(), drops.len()), (0, traffic.bytes.len()));
    for (n, (frame, want)) in drops.frames().zip(&traffic.bytes).enumerate() {
        assert!(frame.bytes == want, "packet {}, {:?}\n{:02x?}\n{want:02x?}", n + 1, traffic.expected[n], frame.bytes);
    }
    // The same for each burst size, and as input of another run.
    let one = Dir::new("drops-bytes-1");
    traffic.replay(&one, &["--burst", "1"]).ends(0);
    assert!(one.read("drops.pcapng") == dir.read("drops.pcapng"));
    traffic.replay(&one, &["--workers", "3"]).ends(0);
    assert!(one.read("drops.pcapng") == dir.read("drops.pcapng"));
    let (n, first) = traffic.expected.iter().enumerate().find(|(_, s)| s.port == "tunnel").unwrap();
    let (cloud, file, n) = (cloud(), dir.text("drops.pcapng"), (n + 1).to_string());
    let args = ["trace", "--cloud", &cloud, "--host", "H1", "--in", "tunnel", "--pcap", &file, "--frame", &n];
    assert!(dvrctl(args).ends(0).out.contains(&format!("=> dropped: {}", first.reason)));
}

#[test]
fn nothing_dropped_is_a_file_without_packets() {
    let dir = Dir::new("drops-none");
    let input = fixture("22-ew-02-routed-to-another-host/in.A1.pcap").display().to_string();
    let file = dir.text("d.pcapng");
    let ran = replay(&dir, "H1", &[("A1", &input)], &["--drops", &file]).ends(0);
    assert!(ran.out.contains("d.pcapng: 0 frames"), "{}", ran.out);
    assert!(Capture::load(&dir.path("d.pcapng")).unwrap().is_empty());
    let left: Vec<_> = std::fs::read_dir(dir.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the file and the folder of --out, no part of a file: {left:?}");
    if tshark("nothing_dropped_is_a_file_without_packets").is_some() {
        assert!(fields(&file, &["frame.number"], "").is_empty());
    }
}

#[test]
fn a_file_of_drops_overwrites_no_input() {
    let dir = Dir::new("drops-overwrite");
    let bytes = std::fs::read(fixture("22-ew-02-routed-to-another-host/in.A1.pcap")).unwrap();
    let input = dir.write("in.pcap", &bytes);
    let events = dir.write("e.jsonl", "{\"at\": 0}\n");
    let refused = |file: &str, words: &str| {
        let ran = replay(&dir, "H1", &[("A1", &input)], &["--events", &events, "--drops", file]).ends(2);
        assert!(ran.err.contains("--drops") && ran.err.contains(words), "{}", ran.err);
        assert!(!dir.path("out/tunnel.pcap").exists(), "nothing is done");
    };
    refused(&input, "would be overwritten");
    refused(&events, "would be overwritten");
    refused(&dir.text("out/../in.pcap"), "");
    refused(&cloud(), "would be overwritten");
    refused(&dir.text("nowhere/d.pcapng"), "is not there");
    refused(&dir.text(""), "is a folder");
    assert_eq!((dir.read("in.pcap"), dir.read("e.jsonl")), (bytes, b"{\"at\": 0}\n".to_vec()));
    std::fs::create_dir_all(dir.path("out")).unwrap();
    refused(&dir.text("out/tunnel.pcap"), ".pcapng");
    // An earlier result is replaced.
    let file = dir.write("d.pcapng", "old");
    replay(&dir, "H1", &[("A1", &input)], &["--drops", &file]).ends(0);
    assert!(Capture::load(&dir.path("d.pcapng")).unwrap().is_empty());
}
