//! The checks accept what the fixtures expect, and hardly any byte of it may be another one.

use super::*;
use control::capture::Capture;
use control::model::Cloud;
use std::collections::BTreeSet;
use std::path::Path;

fn first(folder: &str, file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcap-fixtures").join(folder).join(file);
    Capture::load(&path).unwrap().get(0).unwrap().bytes.to_vec()
}

fn facts(host: &str) -> Facts {
    Facts::new(&Cloud::from_json(crate::REFERENCE, "cloud.json").unwrap(), host)
}

/// One frame, and what was sent at once because of it.
fn alone(facts: &Facts, (from, input): (&str, &[u8]), (to, out): (&str, &[u8])) -> Result<(), String> {
    let frame = |port, bytes| Frame { port, bytes, time: 1 };
    judged(facts, &[frame(from, input)], &frame(to, out))
}

/// Bytes of `out` that could be others without being noticed.
fn unseen(host: &str, folder: &str, from: &str, to: &str) -> BTreeSet<usize> {
    let facts = facts(host);
    let input = first(folder, &format!("in.{from}.pcap"));
    let out = first(folder, &format!("out.{to}.pcap"));
    let judged = |out: &[u8]| alone(&facts, (from, &input), (to, out));
    assert_eq!(judged(&out), Ok(()));
    let seen = |at: usize| {
        let mut out = out.clone();
        out[at] ^= 0x5a;
        judged(&out).is_err()
    };
    (0..out.len()).filter(|at| !seen(*at)).collect()
}

#[test]
fn every_byte_of_a_frame_sent_counts() {
    let port = BTreeSet::from([34, 35]); // the outer source port has tests of its own
    let none = BTreeSet::new();
    let got = [
        (unseen("H1", "01-l2-01-unicast-over-vxlan", "A1", TUNNEL), &port),
        (unseen("H1", "02-l2-02-unicast-to-a-local-port", "A1", "A3"), &none),
        (unseen("H2", "03-l2-03-unicast-from-vxlan", TUNNEL, "A2"), &none),
        (unseen("H1", "15-arp-01-gateway-answers", "A1", "A1"), &none),
        (unseen("H1", "21-ew-01-routed-on-one-host", "A1", "B1"), &none),
        (unseen("H1", "22-ew-02-routed-to-another-host", "A1", TUNNEL), &port),
        (unseen("H2", "23-ew-03-remote-dvr-mac-restored", TUNNEL, "B2"), &none),
        (unseen("H1", "29-ew-12-ping-the-router", "A1", "A1"), &none),
    ];
    for (n, (unseen, expected)) in got.iter().enumerate() {
        assert!(unseen.is_subset(expected), "case {n}: bytes {unseen:?} could be any");
    }
}

#[test]
fn a_frame_at_another_door_is_noticed() {
    let facts = facts("H1");
    let input = first("02-l2-02-unicast-to-a-local-port", "in.A1.pcap");
    let out = first("02-l2-02-unicast-to-a-local-port", "out.A3.pcap");
    assert_eq!(alone(&facts, ("A1", &input), ("A3", &out)), Ok(()));
    for (from, to) in [("A1", "B1"), ("A1", "Z1"), ("A1", "A1"), ("B1", "A3"), ("physnet1", "A3"), ("A1", "A2")] {
        assert!(alone(&facts, (from, &input), (to, &out)).is_err(), "{from} to {to}");
    }
}
