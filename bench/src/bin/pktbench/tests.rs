//! What must make a run fail, does.

use super::*;
use bench::frames::{LEN, build};
use pcap_file::pcap::{PcapPacket, PcapWriter};
use std::path::Path;

/// A short run of these frames of network 0 as case `case`.
fn run_on(case: &str, frames: &[Vec<u8>]) -> Result<Value, String> {
    static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let name = format!("pktbench-test-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    write(&dir.join(format!("{case}.p0.pcap")), frames);
    let done = run(&options(&["--case", case, "--dir", dir.to_str().unwrap()]));
    std::fs::remove_dir_all(&dir).unwrap();
    done
}

fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut capture = PcapWriter::new(std::fs::File::create(path).unwrap()).unwrap();
    for frame in frames {
        let packet = PcapPacket::new(Duration::ZERO, frame.len() as u32, frame).unwrap();
        capture.write_packet(&packet).unwrap();
    }
}

fn options(more: &[&str]) -> Options {
    let short = ["pktbench", "--small-tables", "--secs", "0.02", "--warm", "0.02", "--reps", "1"];
    Options::try_parse_from(short.iter().chain(more)).unwrap()
}

fn frames(case: Case) -> Vec<Vec<u8>> {
    (0..100).map(|i| build(case, i, LEN).1).collect()
}

#[test]
fn every_case_passes_and_says_so() {
    for case in Case::ALL {
        let line = run_on(case.name(), &frames(case)).unwrap();
        assert_eq!((&line["case"], &line["drops"], &line["allocations"]), (&json!(case.name()), &json!(0), &json!(0)));
        assert_eq!(line["hit_rate"], json!(1.0));
        assert!(line["checked"].as_u64().unwrap() >= 8192 && line["cpp_oncpu"].as_f64().unwrap() > 0.0, "{line}");
    }
}

#[test]
fn a_frame_that_is_dropped_fails_the_run() {
    let mut all = frames(Case::Route);
    all[17][30] = 99; // to 99.x.y.z, where nothing is, and a wrong checksum
    let what = run_on("route", &all).unwrap_err();
    assert!(what.contains("otherwise ended"), "{what}");
}

#[test]
fn a_frame_that_leaves_otherwise_than_it_must_fails_the_run() {
    let what = run_on("route", &frames(Case::L2Out)).unwrap_err();
    assert!(what.contains("must leave by"), "{what}");
    // One byte of payload, with its checksum.
    let mut all = frames(Case::L2Out);
    all[5][LEN - 1] ^= 1;
    assert!(run_on("l2out", &all).unwrap_err().contains("must leave by"));
}

#[test]
fn a_burst_of_several_machines_is_forwarded_too() {
    let line = run(&options(&["--case", "local", "--spread", "5", "--burst", "32"])).unwrap();
    assert_eq!((&line["hit_rate"], &line["spread"]), (&json!(1.0), &json!(5)));
}

#[test]
fn two_workers_hand_every_frame_over() {
    for case in ["local", "handoff"] {
        let line = run(&options(&["--case", case, "--workers", "2", "--core", "0"])).unwrap();
        assert_eq!((&line["hit_rate"], &line["workers"]), (&json!(1.0), &json!(2)));
    }
}

#[test]
fn frames_find_a_row_among_many_while_rows_change() {
    let line = run(&options(&["--case", "l2in", "--rows", "5000", "--flows", "5000", "--updates", "1000"])).unwrap();
    assert_eq!((&line["hit_rate"], &line["rows"]), (&json!(1.0), &json!(5000)));
    assert!(line["updates"].as_f64().unwrap() > 0.0);
    assert!(run(&options(&["--case", "decap", "--rows", "5000"])).is_err(), "says nothing of rows");
}
