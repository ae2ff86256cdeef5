//! `dvrctl replay`, as its users run it.

mod cli_support;

use cli_support::{Dir, cloud, dvrctl, fixture, replay};
use control::capture::Capture;
use std::io::Write;

const EW02: &str = "22-ew-02-routed-to-another-host";

fn path(file: &str) -> String {
    fixture(file).display().to_string()
}

fn ew02() -> String {
    path(&format!("{EW02}/in.A1.pcap"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut z = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    z.write_all(bytes).unwrap();
    z.finish().unwrap()
}

#[test]
fn writes_what_the_host_sends_byte_for_byte() {
    let dir = Dir::new("bytes");
    let ran = replay(&dir, "H1", &[("A1", &ew02())], &[]).ends(0);
    assert_eq!(dir.read("out/tunnel.pcap"), std::fs::read(fixture(&format!("{EW02}/out.tunnel.pcap"))).unwrap());
    assert_eq!(std::fs::read_dir(dir.path("out")).unwrap().count(), 1, "only ports that sent something have a file");
    assert!(ran.out.contains("received 1 + generated 0 + copied 0"), "{}", ran.out);
    assert!(ran.out.contains("qrouter and fip namespaces"), "{}", ran.out);
    assert_eq!(ran.err, "");
}

/// Rules: W1.
#[test]
fn several_workers_send_the_same_and_say_what_passed_between_them() {
    let dir = Dir::new("workers");
    let case = "02-l2-02-unicast-to-a-local-port";
    let frame = path(&format!("{case}/in.A1.pcap"));
    let alone = replay(&dir, "H1", &[("A1", &frame)], &[]).ends(0);
    assert!(!alone.out.contains("between workers"), "{}", alone.out);
    let ran = replay(&dir, "H1", &[("A1", &frame)], &["--workers", "8"]).ends(0);
    assert!(ran.out.contains("1 frame passed between workers"), "{}", ran.out);
    assert_eq!(dir.read("out/A3.pcap"), std::fs::read(fixture(&format!("{case}/out.A3.pcap"))).unwrap());
}

#[test]
fn json_has_the_listed_keys_in_their_order() {
    let dir = Dir::new("json");
    let ran = replay(&dir, "H1", &[("A1", &ew02())], &["--json"]).ends(0);
    let keys = [
        "received",
        "generated",
        "copied",
        "sent",
        "dropped",
        "consumed",
        "held",
        "drops",
        "counters",
        "ports",
        "refused",
    ];
    let json = ran.json();
    let object = json.as_object().unwrap();
    assert_eq!(object.len(), keys.len());
    let places: Vec<usize> = keys.iter().map(|k| ran.out.find(&format!("\n  \"{k}\"")).unwrap_or(usize::MAX)).collect();
    assert!(places.is_sorted() && !places.contains(&usize::MAX), "{}", ran.out);
    assert_eq!(json["received"], 1);
    assert_eq!(json["ports"], serde_json::json!({"A1": {"rx": 1, "tx": 0}, "tunnel": {"rx": 0, "tx": 1}}));
    assert_eq!((&json["drops"], &json["refused"]), (&serde_json::json!({}), &serde_json::json!([])));
}

#[test]
fn every_form_of_capture_gives_the_same() {
    let dir = Dir::new("forms");
    let plain = std::fs::read(ew02()).unwrap();
    let capture = Capture::load(ew02().as_ref()).unwrap();
    let inputs = [
        dir.write("a.pcap.gz", gzip(&plain)),
        dir.write("a.pcapng", pcapng(&capture)),
        dir.write("b.bin", gzip(&pcapng(&capture))),
    ];
    for input in inputs {
        replay(&dir, "H1", &[("A1", &input)], &[]).ends(0);
        assert_eq!(
            dir.read("out/tunnel.pcap"),
            std::fs::read(fixture(&format!("{EW02}/out.tunnel.pcap"))).unwrap(),
            "{input}"
        );
    }
}

fn pcapng(capture: &Capture) -> Vec<u8> {
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
    use pcap_file::pcapng::blocks::interface_description::{
        InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
    };
    let mut w = PcapNgWriter::new(Vec::new()).unwrap();
    let mut interface = InterfaceDescriptionBlock::new(pcap_file::DataLink::ETHERNET, 0);
    interface.options.push(InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::from_u8(9).unwrap()));
    w.write_pcapng_block(interface).unwrap();
    for f in capture.frames() {
        let timestamp = std::time::Duration::from_nanos(f.time);
        let (data, original_len) = (f.bytes.into(), f.bytes.len() as u32);
        w.write_pcapng_block(EnhancedPacketBlock { timestamp, data, original_len, ..Default::default() }).unwrap();
    }
    w.into_inner()
}

#[test]
fn burst_size_does_not_matter() {
    let inputs = |case: &str, ports: &[&str]| -> Vec<(String, String)> {
        ports.iter().map(|p| ((*p).to_owned(), path(&format!("{case}/in.{p}.pcap")))).collect()
    };
    for (case, ports) in [
        ("109-burst-1-many-frames-at-one-time", vec!["A1"]),
        ("11-l2-09-learned-from-vxlan-forgotten-after-300-s", vec!["A1", "tunnel"]),
    ] {
        let ports: Vec<&str> = ports.into_iter().filter(|p| fixture(&format!("{case}/in.{p}.pcap")).exists()).collect();
        let inputs = inputs(case, &ports);
        let inputs: Vec<(&str, &str)> = inputs.iter().map(|(p, f)| (p.as_str(), f.as_str())).collect();
        let (one, many) = (Dir::new("burst-1"), Dir::new("burst-64"));
        let a = replay(&one, "H1", &inputs, &["--burst", "1", "--json"]).ends(0);
        let b = replay(&many, "H1", &inputs, &["--burst", "64", "--json"]).ends(0);
        assert_eq!(a.out, b.out, "{case}");
        for file in std::fs::read_dir(one.path("out")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(one.read(&format!("out/{name}")) == many.read(&format!("out/{name}")), "{case}: {name}");
        }
    }
}

#[test]
fn a_refused_line_changes_nothing_and_is_named() {
    let dir = Dir::new("refused");
    let case = "40-gen-01-refused-batch-changes-nothing";
    let events = path(&format!("{case}/events.jsonl"));
    let inputs = [("A1", path(&format!("{case}/in.A1.pcap"))), ("B1", path(&format!("{case}/in.B1.pcap")))];
    let inputs: Vec<(&str, &str)> = inputs.iter().map(|(p, f)| (*p, f.as_str())).collect();
    let ran = replay(&dir, "H1", &inputs, &["--json", "--events", &events]).ends(3);
    assert_eq!(ran.json()["refused"][0]["line"], 1);
    assert_eq!(ran.json()["sent"], 6);
    assert!(ran.err.contains("refused line 1 of the events") && ran.err.contains("multicast"), "{}", ran.err);
    assert_eq!(dir.read("out/tunnel.pcap"), std::fs::read(fixture(&format!("{case}/out.tunnel.pcap"))).unwrap());
    // A line that is not even JSON, beside one that is fine: the same.
    let events =
        dir.write("e.jsonl", "{\"at\": 0\n\n{\"at\": 5}\n{\"at\": 1, \"delete\": {\"ports\": [\"nobody\"]}}\n");
    let ran = replay(&dir, "H1", &[("A1", &ew02())], &["--json", "--events", &events]).ends(3);
    let lines: Vec<u64> =
        ran.json()["refused"].as_array().unwrap().iter().map(|r| r["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 4]);
    assert_eq!(ran.json()["sent"], 1);
}

#[test]
fn a_cut_off_capture_is_replayed_up_to_there() {
    let dir = Dir::new("cut");
    let mut bytes = std::fs::read(ew02()).unwrap();
    bytes.extend_from_within(24..24 + 40);
    let cut = dir.write("cut.pcap", &bytes);
    let ran = replay(&dir, "H1", &[("A1", &cut)], &["--json"]).ends(1);
    assert!(ran.err.contains("cut.pcap: packet 2: the file ends inside it"), "{}", ran.err);
    assert_eq!(ran.json()["sent"], 1);
    assert_eq!(dir.read("out/tunnel.pcap"), std::fs::read(fixture(&format!("{EW02}/out.tunnel.pcap"))).unwrap());
}

#[test]
fn wrong_input_is_refused_before_anything_is_done() {
    let dir = Dir::new("wrong");
    let cooked = dir
        .write("any.pcap", [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 8], &[0, 0, 4, 0, 113, 0, 0, 0]].concat());
    let same = ew02();
    let refused = |inputs: &[(&str, &str)], more: &[&str], words: &[&str]| {
        let ran = replay(&dir, "H1", inputs, more).ends(2);
        words.iter().for_each(|w| assert!(ran.err.contains(w), "{w}: {}", ran.err));
        assert_eq!(ran.out, "");
        assert!(!dir.path("out/tunnel.pcap").exists());
    };
    refused(&[("A1", &cooked)], &[], &["--in A1", "any.pcap: link type 113 (LINUX_SLL); only Ethernet"]);
    refused(&[("A1", &cloud())], &[], &["not a capture: it looks like JSON"]);
    refused(&[("A1", "nowhere.pcap")], &[], &["nowhere.pcap: cannot be read"]);
    refused(&[("A1", &same), ("A1", &same)], &[], &["already an input of that port"]);
    refused(&[("A11", &same)], &[], &["--in: there is no port \"A11\""]);
    refused(&[("A1", &same)], &["--workers", "0"], &["0 is not in 1..=16"]);
    refused(&[("A1", &same)], &["--burst", "65"], &["65 is not in 1..=64"]);
    refused(&[("A1", &same)], &["--events", "nowhere.jsonl"], &["--events nowhere.jsonl: cannot be read"]);
    let ran = dvrctl([
        "replay",
        "--cloud",
        &cloud(),
        "--host",
        "H9",
        "--in",
        &format!("A1={same}"),
        "--out",
        &dir.text("out"),
    ]);
    assert!(ran.ends(2).err.contains("has H1, H2, H3, H4"));
    let bad = dir.write("bad.json", r#"{"ports": [{"id": "p", "network_id": "none", "mac_address": "x"}], "typo": 1}"#);
    let ran =
        dvrctl(["replay", "--cloud", &bad, "--host", "H1", "--in", &format!("A1={same}"), "--out", &dir.text("out")])
            .ends(2);
    assert!(
        ran.err.contains("/typo") && ran.err.contains("mac_address") && ran.err.contains("problems; nothing was done"),
        "{}",
        ran.err
    );
}

#[test]
fn an_input_is_never_overwritten() {
    let dir = Dir::new("overwrite");
    std::fs::create_dir_all(dir.path("out")).unwrap();
    let bytes = std::fs::read(ew02()).unwrap();
    let input = dir.write("out/tunnel.pcap", &bytes);
    let ran = replay(&dir, "H1", &[("A1", &input)], &[]).ends(2);
    assert!(ran.err.contains("would be overwritten"), "{}", ran.err);
    assert_eq!(dir.read("out/tunnel.pcap"), bytes);
}

#[test]
fn a_port_may_come_with_an_event() {
    let dir = Dir::new("late");
    let port = r#"{"id": "late", "name": "latecomer", "network_id": "A", "mac_address": "fa:16:3e:0a:00:99", "device_owner": "compute:nova", "binding_host_id": "H1", "fixed_ips": [{"subnet_id": "A-v4", "ip_address": "10.1.0.99"}]}"#;
    let events = dir.write("e.jsonl", format!("{{\"at\": 100, \"set\": {{\"ports\": [{port}]}}}}\n"));
    let ran = replay(&dir, "H1", &[("latecomer", &ew02())], &["--json", "--events", &events]).ends(0);
    assert_eq!(ran.json()["drops"], serde_json::json!({"port_down": 1}));
    assert_eq!(ran.json()["ports"], serde_json::json!({"late": {"rx": 1, "tx": 0}}));
}

/// An untagged UDP packet from A1 to A2 or from A3 to A2, told apart by its IP identification.
fn packet(from: u8, id: u16) -> Vec<u8> {
    let mac = [0xfa, 0x16, 0x3e, 0x0a, 0, from];
    let source = if from == 0x11 { 11 } else { 13 };
    let builder = etherparse::PacketBuilder::ethernet2(mac, [0xfa, 0x16, 0x3e, 0x0a, 0, 0x12]);
    let header = etherparse::Ipv4Header {
        identification: id,
        ..etherparse::Ipv4Header::new(8, 64, etherparse::IpNumber::UDP, [10, 1, 0, source], [10, 1, 0, 12]).unwrap()
    };
    let mut frame = Vec::new();
    builder.ip(etherparse::IpHeaders::Ipv4(header, Default::default())).udp(1, 2).write(&mut frame, &[]).unwrap();
    frame
}

/// The identifications of what went out by the tunnel, with the times.
fn sent(dir: &Dir) -> Vec<(u16, u64)> {
    let capture = Capture::load(&dir.path("out/tunnel.pcap")).unwrap();
    capture.frames().map(|f| (u16::from_be_bytes([f.bytes[68], f.bytes[69]]), f.time)).collect()
}

#[test]
fn time_orders_everything_and_ties_go_by_the_order_of_inputs() {
    let dir = Dir::new("order");
    let (mut a, mut b) = (Capture::default(), Capture::default());
    // Not in order in its file.
    [(30, 3), (10, 1), (20, 2)].iter().for_each(|(t, id)| a.push(*t, &packet(0x11, *id)));
    [(10, 11), (20, 12), (25, 13)].iter().for_each(|(t, id)| b.push(*t, &packet(0x13, *id)));
    let (a, b) = (dir.write("a.pcap", a.to_pcap()), dir.write("b.pcap", b.to_pcap()));
    for burst in ["1", "64"] {
        replay(&dir, "H1", &[("A1", &a), ("A3", &b)], &["--burst", burst]).ends(0);
        assert_eq!(sent(&dir), [(1, 10), (11, 10), (2, 20), (12, 20), (13, 25), (3, 30)]);
        replay(&dir, "H1", &[("A3", &b), ("A1", &a)], &["--burst", burst]).ends(0);
        assert_eq!(sent(&dir), [(11, 10), (1, 10), (12, 20), (2, 20), (13, 25), (3, 30)]);
    }
}

#[test]
fn an_event_comes_before_the_frames_of_its_time() {
    let dir = Dir::new("event");
    let mut a = Capture::default();
    (0..4).for_each(|n| a.push(1_000_000_000 + u64::from(n) * 1_000_000_000, &packet(0x11, n)));
    let a = dir.write("a.pcap", a.to_pcap());
    // At the time of the third frame A2 goes down; times count from the first one.
    let base: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(cloud()).unwrap()).unwrap();
    let mut a2 = base["ports"].as_array().unwrap().iter().find(|p| p["id"] == "A2").unwrap().clone();
    a2["status"] = "DOWN".into();
    let events = dir.write("e.jsonl", format!("{}\n", serde_json::json!({"at": 2, "set": {"ports": [a2]}})));
    let ran = replay(&dir, "H1", &[("A1", &a)], &["--json", "--events", &events]).ends(0);
    assert_eq!(sent(&dir).iter().map(|s| s.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(ran.json()["drops"], serde_json::json!({"unknown_unicast": 2}));
}
