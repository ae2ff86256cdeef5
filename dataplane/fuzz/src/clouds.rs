//! Cloud files, changes and events.

use crate::world::{Moved, grown};
use control::capture::Capture;
use control::host::{Host, HostError, Workers};
use control::model::{Change, Cloud, Problems};
use control::replay::{self, Events, Input, Options};
use control::rows::Rows;
use control::writer::{Limits, Writer};
use dataplane::umem::Umem;
use serde_json::Value;
use std::cell::RefCell;
use std::thread::LocalKey;

/// Tables small enough to be made for every input; a cloud that does not fit is refused, which is a result.
fn limits() -> Limits {
    Limits {
        ports: 64,
        segments: 64,
        tunnels: 64,
        routers: 64,
        interfaces: 64,
        fdb: 256,
        learned: 64,
        neighbours: 256,
        fips: 64,
        ..Limits::default()
    }
}

/// A JSON cloud file.
pub fn cloud_json(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        loaded(Cloud::from_json(text, "x.json"));
    }
}

/// A TOML cloud file.
pub fn cloud_toml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        loaded(Cloud::from_toml(text, "x.toml"));
    }
}

/// Refused with words, or good for rows and tables of every host.
fn loaded(result: Result<Cloud, Problems>) {
    let cloud = match result {
        Ok(cloud) => cloud,
        Err(problems) => return words(&problems),
    };
    let nothing = Change::from_json_value(Value::Object(Default::default()), "x", 0).expect("an empty change");
    assert_eq!(cloud.apply(&nothing).as_ref(), Ok(&cloud), "nothing was changed, and the cloud is another");
    for name in cloud.hosts.keys() {
        let rows = Rows::derive(&cloud, name).expect("the host is in the cloud");
        let mut writer = Writer::new(1, limits());
        let empty: Vec<usize> = writer.tables().iter().map(|t| t.rows).collect();
        match writer.apply(&rows, None) {
            Ok(()) => {
                let full: Vec<usize> = writer.tables().iter().map(|t| t.rows).collect();
                writer.apply(&rows, None).expect("the same rows again");
                let again: Vec<usize> = writer.tables().iter().map(|t| t.rows).collect();
                assert_eq!(full, again, "the same rows a second time");
            }
            Err(_) => {
                let after: Vec<usize> = writer.tables().iter().map(|t| t.rows).collect();
                assert_eq!(empty, after, "refused, and something was stored");
            }
        }
    }
}

fn words(problems: &Problems) {
    assert!(!problems.as_slice().is_empty(), "refused without a reason");
    for p in problems.iter() {
        assert!(!p.reason.is_empty() && !p.hint.is_empty() && !p.resource.is_empty(), "{p:?}");
        assert!(!p.to_string().chars().any(char::is_control), "{:?}", p.to_string());
    }
}

/// Frames that ask a changed host what it does: the inputs of fixtures that leave the cloud as it is.
const PROBES: [(&str, &[u8]); 14] = [
    ("A1", include_bytes!("../../../pcap-fixtures/01-l2-01-unicast-over-vxlan/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/02-l2-02-unicast-to-a-local-port/in.A1.pcap")),
    ("tunnel", include_bytes!("../../../pcap-fixtures/03-l2-03-unicast-from-vxlan/in.tunnel.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/04-l2-04-broadcast/in.A1.pcap")),
    ("tunnel", include_bytes!("../../../pcap-fixtures/05-l2-05-broadcast-from-vxlan/in.tunnel.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/15-arp-01-gateway-answers/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/16-arp-02-remote-vm-answered-for/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/21-ew-01-routed-on-one-host/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/22-ew-02-routed-to-another-host/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/26-ew-08-two-routers-in-a-row/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/29-ew-12-ping-the-router/in.A1.pcap")),
    ("A3", include_bytes!("../../../pcap-fixtures/37-sn-01-default-route-to-the-snat-host/in.A3.pcap")),
    ("tunnel", include_bytes!("../../../pcap-fixtures/23-ew-03-remote-dvr-mac-restored/in.tunnel.pcap")),
    ("B1", include_bytes!("../../../pcap-fixtures/102-vip-02-vip-before-any-announcement/in.B1.pcap")),
];

/// Frames that wait for a neighbour on the reference cloud (R7-probe), inside and outside: a change finds them waiting.
const TO_WAIT: [(&str, &[u8]); 3] = [
    ("A1", include_bytes!("../../../pcap-fixtures/169-ew-15-unknown-neighbour/in.A1.pcap")),
    ("A1", include_bytes!("../../../pcap-fixtures/156-fip-09-floating-ip-to-one-on-another-host/in.A1.pcap")),
    ("B1", include_bytes!("../../../pcap-fixtures/230-r7-4-three-packets-wait-for-an-address/in.B1.pcap")),
];
/// When the probes begin, ns: what changes brought about is over and forgotten.
const LATER: u64 = 1_000_000_000_000;

thread_local! {
    static REFERENCE: Cloud = Cloud::from_json(crate::REFERENCE, "cloud.json").expect("the reference cloud");
    static FRAMES: Vec<Input> = PROBES.iter().map(probe).collect();
    static PARKED: Vec<Input> = TO_WAIT.iter().map(probe).collect();
    static UMEM: RefCell<[Umem; 2]> = RefCell::new([Umem::new(512), Umem::new(512)]);
}

fn probe((port, bytes): &(&str, &[u8])) -> Input {
    Input { port: (*port).to_owned(), capture: Capture::from_bytes(bytes.to_vec(), port).expect("a fixture") }
}

/// Batches of changes, one a line, on a host with the reference cloud.
pub fn change(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut changes = Vec::new();
    for (n, line) in text.lines().enumerate().take(16) {
        match serde_json::from_str::<Value>(line).map(|v| Change::from_json_value(v, "x.jsonl", n + 1)) {
            Ok(Ok(change)) => changes.push(change),
            Ok(Err(problems)) => words(&problems),
            Err(_) => {}
        }
    }
    let start = REFERENCE.with(Cloud::clone);
    if changes.iter().all(|c| start.apply(c).is_err()) && changes.len() < 2 {
        return changes.iter().for_each(|c| words(&start.apply(c).expect_err("seen above")));
    }
    UMEM.with_borrow_mut(|[first, second]| changed(start, &changes, first, second));
}

fn changed(start: Cloud, changes: &[Change], first: &mut Umem, second: &mut Umem) {
    let mut host = Host::new(start, "H1", first).expect("the reference cloud fits");
    host.start_clock(0);
    for (n, change) in changes.iter().enumerate() {
        let now = n as u64 * 1000;
        play(&mut host, &PARKED, now);
        let before = (host.cloud().clone(), rows(&host));
        match host.apply(change, now + 999) {
            Ok(()) => assert!(Rows::derive(host.cloud(), "H1").is_some(), "the host took itself away"),
            Err(problems) => {
                words(&problems);
                assert_eq!(*host.cloud(), before.0, "a refused batch changed the cloud");
                assert_eq!(rows(&host), before.1, "a refused batch changed the tables");
            }
        }
    }
    let cloud = host.cloud().clone();
    let mut fresh = match Host::new(cloud, "H1", second) {
        Ok(host) => host,
        Err(HostError::Phys { .. }) => return, // networks of the host itself are taken when it starts
        Err(e) => panic!("a cloud that a host got to by changes does not start one: {e}"),
    };
    forget(&mut host);
    forget(&mut fresh);
    assert_eq!(rows(&host), rows(&fresh), "after changes the tables are not those of a fresh host");
    fresh.start_clock(0);
    let (got, expected) = (fates(&mut host), fates(&mut fresh));
    assert_eq!(got, expected, "after changes a host does other things than a fresh one");
}

fn rows(host: &Host<'_>) -> Vec<(&'static str, usize)> {
    host.tables().iter().map(|t| (t.name, t.rows)).collect()
}

/// All frames of each capture at a moment of its own, up to 1000 ns after `now`.
fn play(host: &mut Host<'_>, inputs: &'static LocalKey<Vec<Input>>, now: u64) {
    inputs.with(|inputs| {
        for (now, input) in (now..).zip(inputs) {
            input.capture.frames().for_each(|f| host.receive(&input.port, f.bytes, now, 64));
            host.settle(now);
        }
    });
}

/// Runs the clock as long as packets wait or something is announced: at the end every buffer is back.
fn quiet(host: &mut Host<'_>) {
    while let (true, Some(due)) = (host.pending(), host.next_timer()) {
        host.run_timers(due);
    }
    assert!(!host.pending(), "something waits for ever");
    let (free, total) = host.frames();
    assert_eq!(free, total, "packet buffers leaked");
    let t = host.totals();
    assert_eq!(t.held, 0, "a packet is held for ever");
    let ends = t.sent + t.dropped + t.consumed + t.held;
    assert_eq!(t.received + t.generated + t.copied, ends, "the books do not balance: {t:?}");
    assert_eq!(t.drops.get("internal"), None, "a defect in dvrd: {t:?}");
}

/// What changes brought about comes to its end.
fn forget(host: &mut Host<'_>) {
    quiet(host);
    while let Some(due) = host.next_timer().filter(|due| *due <= LATER) {
        host.run_timers(due);
    }
    host.drain_sent(&mut |_, _, _| {});
}

/// What becomes of the probes, and what is sent because of them.
fn fates(host: &mut Host<'_>) -> (Moved, Vec<(String, Vec<u8>)>) {
    let before = host.totals();
    play(host, &FRAMES, LATER);
    quiet(host);
    let mut sent = Vec::new();
    host.drain_sent(&mut |port, bytes, _| sent.push((port.to_owned(), bytes.to_vec())));
    (grown(&host.totals(), &before), sent)
}

/// An events file, read and run with two fixtures' frames.
pub fn events(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let events = Events::parse(text, "x.jsonl");
    let mut readable = 0;
    for line in events.lines() {
        match &line.event {
            Ok(_) => readable += 1,
            Err(problems) => words(problems),
        }
    }
    for word in ["A1", "web", "", "tunnel"] {
        events.port(word);
    }
    if readable == 0 || events.lines().len() > 16 {
        return;
    }
    let cloud = REFERENCE.with(Cloud::clone);
    let options =
        Options { cloud, host: "H1".to_owned(), burst: 64, workers: Workers { count: 2, seed: 1 }, drops: true };
    FRAMES.with(|probes| {
        let outcome = replay::run(&options, probes, &events).expect("host, ports and burst are right");
        assert_eq!(outcome.frames.0, outcome.frames.1, "packet buffers leaked");
        assert_eq!(outcome.dropped.len() as u64, outcome.totals.dropped, "drops and records of drops differ");
        outcome.refused.iter().for_each(|r| words(&r.errors));
    });
}
