//! What dvrd finds it leaves: at SIGTERM, and when it cannot start.

use crate::base;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::command::{Done, Res};
use crate::daemon::{Dvrd, Setup, books};
use crate::topology::Lab;
use control::daemon::config::PortIo;
use std::time::Duration;

/// Interfaces of a host with an XDP program.
pub fn xdp(lab: &Lab, host: usize) -> Res<Vec<String>> {
    let links = lab.host(host).ip_json("-d link show")?;
    let with = links.as_array().into_iter().flatten().filter(|l| l.get("xdp").is_some());
    Ok(with.filter_map(|l| l["ifname"].as_str()).map(str::to_owned).collect())
}

/// The features of each instance's `eth0`, as `ethtool -k` prints them.
fn features(lab: &Lab) -> Res<Vec<String>> {
    lab.vms().map(|(_, ns)| ns.exec("ethtool -k eth0", Duration::from_secs(5))?.good()).collect()
}

/// What differs, instance by instance.
fn changes(lab: &Lab, before: &[String], now: &[String]) -> String {
    let mut all = Vec::new();
    for (((name, _), before), now) in lab.vms().zip(before).zip(now) {
        let differ = before.lines().zip(now.lines()).filter(|(a, b)| a != b);
        all.extend(differ.map(|(a, b)| format!("{} {}, was {}", name.0, b.trim(), a.trim())));
    }
    if all.is_empty() { "no change".to_owned() } else { all.join("; ") }
}

/// Started and stopped: offloads off in between and restored after, XDP programs gone.
pub fn stops_clean(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 1, &["A1", "B1", "A2"])?;
    // Whatever it was before: A1 had it on, B1 off.
    lab.vm("B1").exec("ethtool -K eth0 tx off", Duration::from_secs(5))?.good()?;
    let before = features(&lab)?;
    let on = |f: &str| f.contains("tx-checksumming: on");
    checks.check("before: A1's checksum offload is on, B1's off", on(&before[0]), on(&before[0]) && !on(&before[1]));
    for inside in [false, true] {
        let h1 = Dvrd::start(&lab, 0, &Setup { inside, port_io: PortIo::AfXdp, ..Setup::default() })?;
        h1.banner(checks);
        lab.first_answer("A1", Name("B1"))?;
        let now = features(&lab)?[..2].iter().map(|f| if on(f) { "on" } else { "off" }).collect::<Vec<_>>();
        checks.check("running: checksum offload of A1 and B1", now.join(", "), now == ["off", "off"]);
        let mut with = xdp(&lab, 0)?;
        with.sort();
        checks.check("running: XDP programs", format!("{with:?}"), with == ["tapA1", "tapB1", "und0"]);
        let stopped = h1.stop()?;
        checks.check("stopped: exit status", format!("{:?}", stopped.done.status), stopped.done.status == Some(0));
        nothing_left(checks, &lab, "stopped", &before)?;
    }
    Ok(())
}

/// A port whose interface is not there does not keep the others waiting; it is taken when it comes, and let go when it goes.
pub fn comes_and_goes(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 1, &["A1", "B1", "A3"])?;
    let b1 = Name("B1");
    lab.unplug(b1)?;
    let h1 = Dvrd::start(&lab, 0, &Setup { port_io: PortIo::AfXdp, ..Setup::default() })?;
    let said = h1.logged("B1");
    let named = said.iter().any(|l| l.contains("tapB1") && l.contains("WARN"));
    checks.check("started without tapB1: says so", format!("{said:?}"), named);
    for round in ["first", "again"] {
        let others = lab.first_answer("A1", Name("A3"))?;
        checks.check(format!("{round}, without tapB1: the others forward"), format!("{others:.0?}"), true);
        lab.plug(b1)?;
        let came = lab.first_answer("B1", Name("A1"))?;
        let seen = format!("forwards after {:.1} s", came.as_secs_f32());
        checks.check(format!("{round}, tapB1 comes"), seen, came < Duration::from_secs(3));
        let with = xdp(&lab, 0)?.len();
        checks.check(format!("{round}, tapB1 comes: interfaces with XDP"), with, with == 4);
        lab.unplug(b1)?;
        std::thread::sleep(Duration::from_secs(2)); // it looks once a second
    }
    let gone = h1.logged("gone");
    checks.check(
        "tapB1 went, twice: says so",
        format!("{gone:?}"),
        gone.iter().filter(|l| l.contains("tapB1")).count() == 2,
    );
    // While nobody has told it, what it sends there is refused.
    let gone = [
        ("port_gone", "sent between unplugging and noticing it"),
        ("tx_full", "an announcement of the gateway to an interface that is going"),
    ];
    books(checks, 0, &h1.stop()?, &gone);
    Ok(())
}

/// A start that must fail: in which words, and with nothing left behind.
pub fn refuses(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 1, &["A1", "B1", "A2"])?;
    let before = features(&lab)?;
    let wrong = Setup { interface: "und7", ..Setup::default() };
    refused(checks, &lab, "no such underlay", &wrong, "und7", &before)?;
    let without: [(&str, &'static [&'static str]); 2] = [
        ("CAP_NET_RAW", &["setpriv", "--inh-caps=-net_raw", "--bounding-set=-net_raw"]),
        ("CAP_NET_ADMIN", &["setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin"]),
    ];
    for (capability, under) in without {
        let setup = Setup { inside: true, under, ..Setup::default() };
        refused(checks, &lab, &format!("without {capability}"), &setup, capability, &before)?;
    }
    // The same files work with everything there: it was not something else that failed.
    let h1 = Dvrd::start(&lab, 0, &Setup { inside: true, ..Setup::default() })?;
    let second = Setup { inside: true, ..Setup::default() };
    let done = ended(Dvrd::launch(&lab, 0, &second)?)?;
    says(checks, "a second one beside the first: says who", &done, "und0 is taken: XDP program");
    says(checks, "by its process", &done, "of dvrd (pid ");
    lab.first_answer("A1", Name("B1"))?;
    checks.check("the first still forwards", "A1 > B1 answered", true);
    h1.stop()?;
    nothing_left(checks, &lab, "stopped", &before)
}

fn ended(dvrd: Dvrd) -> Res<Done> {
    dvrd.ends(Duration::from_secs(10))
}

fn refused(checks: &mut Checks, lab: &Lab, what: &str, setup: &Setup, word: &str, before: &[String]) -> Res<()> {
    let done = ended(Dvrd::launch(lab, 0, setup)?)?;
    says(checks, what, &done, word);
    nothing_left(checks, lab, what, before)
}

/// An exit status that is no success, and words that name what is wrong.
fn says(checks: &mut Checks, what: &str, done: &Done, word: &str) {
    let good = done.status.is_some_and(|s| s != 0) && done.err.contains(word) && !done.err.contains("panicked");
    checks.check(format!("{what}: refused in words"), format!("{:?}: {}", done.status, done.err.trim_end()), good);
}

fn nothing_left(checks: &mut Checks, lab: &Lab, what: &str, before: &[String]) -> Res<()> {
    let (now, with) = (features(lab)?, xdp(lab, 0)?);
    checks.check(format!("{what}: features of the instances as before"), changes(lab, before, &now), now == before);
    checks.check(format!("{what}: no XDP program left"), format!("{with:?}"), with.is_empty());
    Ok(())
}
