//! `dvrctl trace`, `check`, `demo` and `dvrd`, as their users run them.

mod cli_support;

use cli_support::{Dir, cloud, dvrctl, fixture};

fn trace(host: &str, port: &str, file: &str, more: &[&str]) -> cli_support::Ran {
    let file = fixture(file).display().to_string();
    let cloud = cloud();
    let args = ["trace", "--cloud", &cloud, "--host", host, "--in", port, "--pcap", &file];
    dvrctl(args.iter().chain(more))
}

/// Each of the words, in this order.
#[track_caller]
fn in_order(text: &str, words: &[&str]) {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = flat.as_str();
    for w in words {
        match rest.split_once(w) {
            Some((_, after)) => rest = after,
            None => panic!("{w:?} is missing (there) in:\n{text}"),
        }
    }
}

#[test]
fn a_packet_routed_to_another_host() {
    let ran = trace("H1", "A1", "22-ew-02-routed-to-another-host/in.A1.pcap", &[]).ends(0);
    in_order(
        &ran.out,
        &[
            "10.1.0.11 > 10.2.0.12, TTL 64, TCP 40000 > 22 SYN",
            "T05 port: port A1 of network A",
            "qrouter and fip namespaces",
            "T11 interface: destination fa:16:3e:0a:00:01 is rA of router R1: routed here",
            "T12 route: 10.2.0.12 is connected (10.2.0.0/24), out of rB of router R1",
            "T13 neighbour: 10.2.0.12 in network B -> fa:16:3e:0b:00:12 (port B2 on host H2)",
            "set TTL: 64 -> 63",
            "set network: network A -> network B",
            "br-tun table 1 DVR_PROCESS",
            "-> fa:16:3f:00:00:01 (DVR MAC of host H1)",
            "T03 tunnel to host H2: outer headers put on, VNI 1002",
            "=> sent on tunnel, to host H2",
            "VXLAN 172.20.0.11 > 172.20.0.12, VNI 1002, and inside: fa:16:3f:00:00:01 > fa:16:3e:0b:00:12, 10.1.0.11 > 10.2.0.12, TTL 63",
        ],
    );
    assert!(ran.out.lines().all(|l| l.len() <= 110), "{}", ran.out);
}

#[test]
fn a_packet_from_outside_to_a_floating_ip() {
    let ran = trace("H1", "physext", "148-fip-02-in-to-a-floating-ip/in.physext.pcap", &[]).ends(0);
    in_order(
        &ran.out,
        &[
            "received on the NIC of physical network physext",
            "T04 network: VLAN 100 is network X",
            "a machine on the physical network sent",
            "T11 interface: destination fa:16:3e:f9:00:01 is fg1: for floating IPs",
            "T13 neighbour: 203.0.113.101 in network X -> a floating IP of this host: 10.1.0.11 behind",
            "T12 route: 10.1.0.11 is connected (10.1.0.0/24), out of rA of router R1",
            "set TTL: 60 -> 59",
            "set IPv4 destination: 203.0.113.101 -> 10.1.0.11",
            "=> sent on A1",
            "198.51.100.7 > 10.1.0.11, TTL 59",
        ],
    );
    assert!(!ran.out.contains("T14"), "said twice:\n{}", ran.out);
}

#[test]
fn the_same_packet_at_its_destination() {
    let ran = trace("H2", "tunnel", "23-ew-03-remote-dvr-mac-restored/in.tunnel.pcap", &[]).ends(0);
    in_order(
        &ran.out,
        &[
            "outer source 172.20.0.11 is host H1",
            "VNI 1002 is network B",
            "br-tun table 9 DVR_NOT_LEARN",
            "source is the DVR MAC of host H1: routed there, not learned",
            "DVR_TO_SRC_MAC",
            "T06 fdb: fa:16:3e:0b:00:12 in network B -> port B2",
            "10.2.0.12 is in 10.2.0.0/24",
            "set src MAC: fa:16:3f:00:00:01 (DVR MAC of host H1) -> fa:16:3e:0b:00:01 (rB of router R1)",
            "=> sent on B2",
            "TTL 63",
        ],
    );
    assert!(!ran.out.contains("set TTL"));
}

#[test]
fn json_has_steps_and_outcome() {
    let ran = trace("H1", "A1", "22-ew-02-routed-to-another-host/in.A1.pcap", &["--json"]).ends(0);
    let json = ran.json();
    let stages: Vec<&str> = json["steps"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["ingress", "vm_port", "qrouter", "dvr_process", "vxlan_encap"]);
    assert_eq!(json["steps"][2]["changed"][0], serde_json::json!({"field": "TTL", "from": "64", "to": "63"}));
    let out = &json["outcome"][0];
    assert_eq!((&out["fate"], &out["port"], &out["to"]), (&"sent".into(), &"tunnel".into(), &"host H2".into()));
    let sent = control::capture::Capture::load(&fixture("22-ew-02-routed-to-another-host/out.tunnel.pcap")).unwrap();
    let hex: String = sent.get(0).unwrap().bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(out["bytes"], hex.as_str());
}

#[test]
fn drops_say_why() {
    for (host, file, words) in [
        (
            "H1",
            "34-vx-04-dvr-mac-from-the-wrong-host/in.tunnel.pcap",
            "=> dropped: dvr_wrong_vtep: a DVR MAC from a host",
        ),
        ("H1", "33-vx-03-unknown-vni/in.tunnel.pcap", "no network on this host has VNI 4242"),
        ("H1", "31-vx-01-unknown-vtep/in.tunnel.pcap", "outer source 172.20.0.99 is the VTEP of no host of the cloud"),
        ("H2", "25-ew-05-dvr-mac-to-a-mac-not-here/in.tunnel.pcap", "routed it to fa:16:3e:0b:00:77"),
        ("H1", "96-r3-1-ttl-runs-out/in.A1.pcap", "it came with TTL 1, and rA of router R1 would take one off"),
        ("H1", "96-r3-1-ttl-runs-out/in.A1.pcap", "=> dropped: ttl: TTL or hop limit used up (rules R3, D3)"),
    ] {
        let port = file.split('.').nth(1).unwrap();
        in_order(&trace(host, port, file, &[]).ends(0).out, &[words]);
    }
}

/// A packet whose next hop is not known yet: what is asked, and what it waits for.
#[test]
fn a_packet_that_waits_says_for_what() {
    let ran = trace("H1", "A1", "169-ew-15-unknown-neighbour/in.A1.pcap", &[]).ends(0);
    in_order(&ran.out, &["10.2.0.99 is connected", "R7: the packet waits; 10.2.0.99 is asked for"]);
    in_order(&ran.out, &["=> sent on tunnel", "who has 10.2.0.99? tell 0.0.0.0", "=> held until 10.2.0.99 answers"]);
    let json = trace("H1", "A1", "169-ew-15-unknown-neighbour/in.A1.pcap", &["--json"]).ends(0).json();
    let last = json["outcome"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["fate"], &last["neighbour"]), (&"waits".into(), &"10.2.0.99".into()), "{last}");
}

/// Every frame of every fixture has an explanation with an outcome, and never a defect.
#[test]
fn every_fixture_frame_is_explained() {
    use control::explain;
    use control::model::{Change, Cloud};
    let base = Cloud::load(&fixture("T/cloud.json")).unwrap();
    let mut frames = 0;
    for entry in std::fs::read_dir(fixture("")).unwrap() {
        let dir = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(dir.join("case.toml")) else { continue };
        let case: toml::Value = toml::from_str(&text).unwrap();
        let cloud = base.apply(&Change::from_toml(&text, "case.toml", "patch").unwrap()).unwrap();
        let name = case["host"].as_str().unwrap();
        for file in std::fs::read_dir(&dir).unwrap() {
            let path = file.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            let Some(port) = file.strip_prefix("in.").and_then(|f| f.strip_suffix(".pcap")) else { continue };
            let mut umem = dataplane::umem::Umem::new(control::replay::buffers(&cloud, 1));
            let mut host = control::host::Host::new(cloud.clone(), name, &mut umem).unwrap();
            let capture = control::capture::Capture::load(&path).unwrap();
            for frame in capture.frames().take(8) {
                let (told, _) = explain::trace(&mut host, name, port, frame.bytes, frame.time);
                let text = told.text();
                assert!(!told.outcome.is_empty() && !text.contains("defect"), "{}: {text}", dir.display());
                assert!(!told.steps.is_empty());
                frames += 1;
            }
        }
    }
    assert!(frames > 200, "{frames}");
}

#[test]
fn a_frame_that_is_not_there() {
    let file = "22-ew-02-routed-to-another-host/in.A1.pcap";
    let ran = trace("H1", "A1", file, &["--frame", "7"]).ends(2);
    assert!(ran.err.contains("has no whole frame 7; it has 1"), "{}", ran.err);
    assert!(trace("H1", "A9", file, &[]).ends(2).err.contains("there is no port \"A9\""));
    let cloud = cloud();
    let base = ["trace", "--cloud", &cloud, "--host", "H1", "--in", "A1"];
    dvrctl(base).ends(2);
    let hex = |hex: &'static str| dvrctl(base.into_iter().chain(["--hex", hex]));
    assert!(hex("fa1").ends(2).err.contains("--hex: 3 digits make no whole bytes"));
    in_order(&hex("ffffffffffff fa163e0a0011").ends(0).out, &["12 bytes, too short", "=> dropped: parse_short"]);
}

#[test]
fn a_frame_too_long_for_a_buffer_is_a_drop_too() {
    let dir = Dir::new("long");
    let mut capture = control::capture::Capture::default();
    capture.push(0, &[2; 9000]);
    let file = dir.write("long.pcap", capture.to_pcap());
    let ran = dvrctl(["trace", "--cloud", &cloud(), "--host", "H1", "--in", "A1", "--pcap", &file]).ends(0);
    in_order(&ran.out, &["9000 bytes", "=> dropped: mtu"]);
}

#[test]
fn port_security_says_what_the_port_has() {
    let cloud = cloud();
    let send = |hex: &str| dvrctl(["trace", "--cloud", &cloud, "--host", "H1", "--in", "A3", "--hex", hex]).ends(0);
    // An ARP request with A1's address, then with A1's MAC.
    let arp = "ffffffffffff fa163e0a0013 0806 0001080006040001 fa163e0a0013 0a01000b 000000000000 0a010063";
    let own = "fa:16:3e:0a:00:13, 10.1.0.13";
    in_order(&send(arp).out, &["tell 10.1.0.11: the port has", own, "=> dropped: arp_spoof"]);
    in_order(
        &send(&arp.replace("fa163e0a0013", "fa163e0a0011")).out,
        &["is not the port's; it has", own, "=> dropped: mac_spoof"],
    );
}

#[test]
fn check_says_what_is_there_and_what_is_not_built() {
    let ran = dvrctl(["check", "--cloud", &cloud(), "--host", "H1"]).ends(0);
    in_order(&ran.out, &["no problems", "4 hosts", "7 networks", "2 routers"]);
    in_order(&ran.out, &["security groups are not enforced", "source NAT is not built"]);
    in_order(&ran.out, &["On host H1", "Routers", "R1, R2", "Networks", "A, B, C, K, V, X, Z"]);
    in_order(&ran.out, &["T06", "T13"]);
    let dir = Dir::new("check");
    let bad = dir.write("bad.toml", "[[networks]]\nid = \"n\"\nmtu = \"big\"\ncolour = 1\n");
    let ran = dvrctl(["check", "--cloud", &bad]).ends(2);
    assert!(ran.err.contains("bad.toml:3") && ran.err.contains("colour"), "{}", ran.err);
}

#[test]
fn demo_runs_and_leaves_its_captures() {
    let dir = Dir::new("demo");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dvrctl"))
        .arg("demo")
        .env("TMPDIR", dir.path("").as_os_str())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    in_order(
        &text,
        &["A1 asks", "ARP reply: 10.1.0.1 is at", "DVR MAC of host H1", "echo reply", "The ping is answered"],
    );
    let made = std::fs::read_dir(dir.path("")).unwrap().next().unwrap().unwrap().path();
    assert!(text.contains(&made.display().to_string()));
    in_order(
        &text,
        &[
            "203.0.113.101 > 198.51.100.7",
            "203.0.113.101 is at fa:16:3e:f9:00:01",
            "198.51.100.7 > 10.1.0.11",
            "Answered too",
        ],
    );
    for name in ["H1-A1.pcap", "H1-physext.pcap", "H1-tunnel.pcap", "H2-tunnel.pcap", "H2-B2.pcap", "cloud.json"] {
        assert!(made.join(name).exists(), "{name}");
    }
    // The line it suggests works.
    let (_, args) = text.split_once("  dvrctl ").unwrap();
    let args = args.split_whitespace().filter(|word| *word != "\\");
    in_order(&dvrctl(args).ends(0).out, &["echo request", "=> sent on tunnel, to host H2"]);
    assert!(text.lines().count() < 110 && text.lines().all(|l| l.len() <= 100 || l.contains("/dvrd-test-")), "{text}");
}

/// What docs/tour.md and README.md show is what the commands in them print.
#[test]
fn the_tour_is_real() {
    let root = fixture("..");
    let read = |file| std::fs::read_to_string(root.join(file)).unwrap();
    let text = read("docs/tour.md") + &read("README.md");
    let dir = Dir::new("tour");
    let mut shown = 0;
    for block in text.split("```").skip(1).step_by(2) {
        let Some(block) = block.trim_start_matches("text").trim_start().strip_prefix("$ dvrctl ") else { continue };
        let (command, expected) =
            block.replace("\\\n", " ").split_once('\n').map(|(c, e)| (c.to_owned(), e.to_owned())).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_dvrctl"))
            .args(command.split_whitespace().map(|word| word.replace("/tmp/out", &dir.text("out"))))
            .env("TMPDIR", dir.path("").as_os_str())
            .current_dir(&root)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap().replace(&dir.text("out"), "/tmp/out");
        // The demo ends with a folder of its own.
        let until_folder =
            |text: &str| text.split("Captures of every wire").next().unwrap_or_default().trim_end().to_owned();
        assert_eq!(until_folder(&expected), until_folder(&printed), "dvrctl {command}");
        shown += 1;
    }
    assert!(shown >= 5, "{shown}");
}
