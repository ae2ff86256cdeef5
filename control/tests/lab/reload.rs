//! `dvrd.toml` and the cloud file change while dvrd runs, under traffic.

use crate::base;
use crate::checks::Checks;
use crate::cloud::{self, Name};
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, books};
use crate::lifecycle::xdp;
use crate::topology::Lab;
use crate::traffic::ping;
use control::daemon::config::PortIo;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A change is noticed within half a second, and taken over at once.
const SOON: Duration = Duration::from_secs(3);

/// Another file gets its name, as editors and configuration management do it.
pub fn replace(lab: &Lab, file: &str, text: &str) -> Res<()> {
    let (new, path) = (lab.path(&format!("{file}.new")), lab.path(file));
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).map_err(|e| format!("{file}: {e}"))
}

/// The cloud with these instances.
fn cloud_of(names: &[&'static str]) -> Value {
    cloud::model(&names.iter().map(|name| Name(name)).collect::<Vec<_>>())
}

/// Waits until there are `n` lines with these words in its log.
pub fn says(checks: &mut Checks, what: &str, dvrd: &Dvrd, words: &[&str], n: usize) {
    let start = Instant::now();
    let found = || {
        let lines = dvrd.logged(words[0]);
        lines.into_iter().filter(|l| words.iter().all(|w| l.contains(w))).collect::<Vec<_>>()
    };
    while found().len() < n && start.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(20));
    }
    let lines = found();
    checks.check(what, lines.last().map_or("nothing", |l| l.trim()), lines.len() == n);
}

/// Interfaces with XDP, once there are as many as expected.
fn with_xdp(checks: &mut Checks, what: &str, lab: &Lab, expected: &[&str]) -> Res<()> {
    let start = Instant::now();
    let mut now = Vec::new();
    while start.elapsed() < SOON {
        now = xdp(lab, 0)?;
        now.sort();
        if now == expected {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    checks.check(format!("{what}: XDP programs"), format!("{now:?}"), now == expected);
    Ok(())
}

/// An instance comes, goes and moves by the files; what is wrong changes nothing; the others' traffic never stops.
pub fn reload(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 1, &["A1", "B1", "A3", "A2"])?;
    replace(&lab, "cloud.json", &cloud_of(&["A1", "B1", "A2"]).to_string())?;
    // H2 has a file of its own, in which everything is as it is.
    replace(&lab, "cloud2.json", &cloud_of(&["A1", "B1", "A3", "A2"]).to_string())?;
    let h1 = Dvrd::start(&lab, 0, &Setup { inside: true, port_io: PortIo::AfXdp, ..Setup::default() })?;
    let h2 = Dvrd::start(&lab, 1, &Setup { inside: true, cloud: "cloud2.json", ..Setup::default() })?;
    lab.first_answer("A1", Name("A2"))?;
    lab.first_answer("A1", Name("B1"))?;
    with_xdp(checks, "started without A3", &lab, &["tapA1", "tapB1", "und0"])?;

    let steady = lab.vm("A1").start(&words("ping -n -q -i 0.01 -c 1500", &Name("A2").address()))?;
    let toml = std::fs::read_to_string(lab.path("h1.toml")).map_err(|e| e.to_string())?;
    comes_and_goes(checks, &lab, &h1)?;
    wrong(checks, &lab, &h1, &toml)?;
    moves(checks, &lab, &h1, &toml)?;
    let printed = steady.wait(Duration::from_secs(60))?.out;
    let lost = printed.lines().find(|l| l.contains("packet loss")).unwrap_or("no answer").to_owned();
    checks.check("A1 > A2 meanwhile, 1500 pings in 15 s", &lost, lost.contains("1500 received"));
    let passed = [("port_gone", "between a port's row and its interface, and to an interface that is renamed")];
    books(checks, 0, &h1.stop()?, &passed);
    let asked = [("no_receiver", "H1 asks for B1 while it is not in its cloud; nobody of network B is on H2")];
    books(checks, 1, &h2.stop()?, &asked);
    with_xdp(checks, "stopped", &lab, &[])
}

fn words(line: &str, last: &str) -> Vec<String> {
    line.split(' ').chain([last]).map(str::to_owned).collect()
}

fn comes_and_goes(checks: &mut Checks, lab: &Lab, h1: &Dvrd) -> Res<()> {
    replace(lab, "cloud.json", &cloud_of(&["A1", "B1", "A3", "A2"]).to_string())?;
    let start = Instant::now();
    lab.first_answer("A1", Name("A3"))?;
    checks.check(
        "A3 comes by the cloud file",
        format!("answers after {:.1?}", start.elapsed()),
        start.elapsed() < SOON,
    );
    says(checks, "says so", h1, &["files read again", "the cloud has changed", "new: A3"], 1);
    with_xdp(checks, "A3 is there", lab, &["tapA1", "tapA3", "tapB1", "und0"])?;

    let tx = |lab: &Lab| -> Res<bool> {
        let features = lab.vm("B1").exec("ethtool -k eth0", Duration::from_secs(5))?.good()?;
        Ok(features.contains("tx-checksumming: on"))
    };
    checks.check("B1's checksum offload while it is taken", tx(lab)?, !tx(lab)?);
    replace(lab, "cloud.json", &cloud_of(&["A1", "A3", "A2"]).to_string())?;
    says(checks, "B1 goes: says so", h1, &["files read again", "gone: B1"], 1);
    with_xdp(checks, "B1 is gone", lab, &["tapA1", "tapA3", "und0"])?;
    checks.check("B1's checksum offload is as it was", tx(lab)?, tx(lab)?);
    let none = ping(lab.vm("A1"), &Name("B1").address(), 2, 56)?;
    checks.check("A1 > B1: no answer", &none, none.received == 0);

    h1.signal("HUP")?;
    says(checks, "SIGHUP reads them again", h1, &["the cloud is the same, the ports here are the same"], 1);
    // Many in a row: the last one counts.
    for n in 0..50 {
        let names: &[&str] = if n % 2 == 0 { &["A1", "A2"] } else { &["A1", "B1", "A3", "A2"] };
        replace(lab, "cloud.json", &cloud_of(names).to_string())?;
        h1.signal("HUP")?;
        std::thread::sleep(Duration::from_millis(100));
    }
    with_xdp(checks, "50 clouds in 5 s", lab, &["tapA1", "tapA3", "tapB1", "und0"])?;
    let read = h1.logged("files read again").len();
    checks.check("50 clouds in 5 s: read", format!("{read} times"), read > 20);
    for to in ["B1", "A3"] {
        lab.first_answer("A1", Name(to))?;
    }
    Ok(())
}

/// Each of these changes nothing, and says where it is wrong.
fn wrong(checks: &mut Checks, lab: &Lab, h1: &Dvrd, toml: &str) -> Res<()> {
    let good = cloud_of(&["A1", "B1", "A3", "A2"]);
    let read = h1.logged("files read again").len();
    let mut bad = good.clone();
    bad["ports"][2]["mac_address"] = "none".into();
    bad["ports"].as_array_mut().expect("a list").truncate(3);
    replace(lab, "cloud.json", &bad.to_string())?;
    says(checks, "a wrong MAC in the cloud", h1, &["ERROR", "cloud.json", "/ports/2/mac_address"], 1);
    replace(lab, "cloud.json", "{\"hosts\": [")?;
    says(checks, "half a cloud", h1, &["ERROR", "cloud.json", "EOF"], 1);
    let mut elsewhere = good.clone();
    elsewhere["hosts"][0]["vtep"] = "172.20.0.77".into();
    replace(lab, "cloud.json", &elsewhere.to_string())?;
    says(checks, "another VTEP", h1, &["ERROR", "172.20.0.77", "restart dvrd"], 1);
    let text = toml.replace("count = 1", "count = 0\nspin = 3");
    let line = 1 + text.lines().position(|l| l == "count = 0").unwrap_or(0);
    replace(lab, "cloud.json", &good.to_string())?;
    replace(lab, "h1.toml", &text)?;
    says(checks, "a wrong number of workers", h1, &["ERROR", &format!("h1.toml:{line}:"), "count"], 1);
    says(checks, "and an unknown key", h1, &["ERROR", &format!("h1.toml:{}:", line + 1), "spin_us"], 1);
    says(checks, "each time", h1, &["ERROR", "everything stays as it was"], 4);
    checks.check(
        "nothing was taken over",
        h1.logged("files read again").len(),
        h1.logged("files read again").len() == read,
    );
    with_xdp(checks, "as before", lab, &["tapA1", "tapA3", "tapB1", "und0"])?;
    for to in ["B1", "A3", "A2"] {
        let seen = ping(lab.vm("A1"), &Name(to).address(), 3, 56)?;
        checks.check(format!("A1 > {to}: as before"), &seen, seen.received == 3);
    }
    Ok(())
}

/// What needs a restart is told once; a port moves to another interface all the same.
fn moves(checks: &mut Checks, lab: &Lab, h1: &Dvrd, toml: &str) -> Res<()> {
    let two = toml.replace("count = 1", "count = 2");
    replace(lab, "h1.toml", &two)?;
    says(checks, "two workers", h1, &["WARN", "h1.toml", "restart", "workers.count (from 1 to 2)"], 1);
    lab.host(0).ip("link set tapB1 down")?;
    lab.host(0).ip("link set tapB1 name other")?;
    lab.host(0).ip("link set other up")?;
    replace(lab, "h1.toml", &format!("{two}\n[[ports]]\nport = \"B1\"\ninterface = \"other\"\n"))?;
    says(checks, "B1 moves: says so", h1, &["files read again", "with another interface: B1"], 1);
    let start = Instant::now();
    lab.first_answer("A1", Name("B1"))?;
    checks.check("B1 answers by it", format!("after {:.1?}", start.elapsed()), start.elapsed() < SOON);
    with_xdp(checks, "B1 has moved", lab, &["other", "tapA1", "tapA3", "und0"])?;
    says(checks, "two workers: told once", h1, &["WARN", "workers.count (from 1 to 2)"], 1);
    Ok(())
}
