//! The checks accept what the fixtures expect, and hardly any byte of it may be another one.

use super::*;
use control::capture::Capture;
use control::model::Cloud;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::Path;

fn first(folder: &str, file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcap-fixtures").join(folder).join(file);
    Capture::load(&path).unwrap().get(0).unwrap().bytes.to_vec()
}

fn facts(host: &str) -> Facts {
    Facts::new(&Cloud::from_json(crate::REFERENCE, "cloud.json").unwrap(), host)
}

/// Bytes of `out` that could be others without being noticed.
fn unseen(host: &str, folder: &str, from: &str, to: &str) -> BTreeSet<usize> {
    let facts = facts(host);
    let input = first(folder, &format!("in.{from}.pcap"));
    let out = first(folder, &format!("out.{to}.pcap"));
    sent(&facts, from, &input, to, &out);
    let seen = |at: usize| {
        let mut out = out.clone();
        out[at] ^= 0x5a;
        catch_unwind(|| sent(&facts, from, &input, to, &out)).is_err()
    };
    (0..out.len()).filter(|at| !seen(*at)).collect()
}

#[test]
fn every_byte_of_a_frame_sent_counts() {
    let port = BTreeSet::from([34, 35]); // the outer source port has tests of its own
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
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
    std::panic::set_hook(quiet);
    for (n, (unseen, expected)) in got.iter().enumerate() {
        assert!(unseen.is_subset(expected), "case {n}: bytes {unseen:?} could be any");
    }
}

#[test]
fn a_frame_at_another_door_is_noticed() {
    let facts = facts("H1");
    let input = first("02-l2-02-unicast-to-a-local-port", "in.A1.pcap");
    let out = first("02-l2-02-unicast-to-a-local-port", "out.A3.pcap");
    sent(&facts, "A1", &input, "A3", &out);
    for (from, to) in [("A1", "B1"), ("A1", "Z1"), ("A1", "A1"), ("B1", "A3"), ("physnet1", "A3"), ("A1", "A2")] {
        assert!(catch_unwind(|| sent(&facts, from, &input, to, &out)).is_err(), "{from} to {to}");
    }
}
