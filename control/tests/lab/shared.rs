//! One NIC for several: two physical networks, the underlay, and the host itself.

use crate::base;
use crate::checks::Checks;
use crate::cloud::outside::{CLIENT, floating_ip};
use crate::cloud::{Name, vtep};
use crate::command::{Proc, Res, words};
use crate::daemon::{Dvrd, Setup};
use crate::floating::{OTHERS, SNAT_HOST, first, stop};
use crate::lifecycle::xdp;
use crate::netns::Netns;
use crate::reload::{replace, says};
use crate::topology::{CLOUD, Lab};
use crate::traffic::ping;
use ::control::lab::cloud::outside::model;
use ::control::lab::floating::asked_for;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const VMS: [&str; 7] = ["A1", "A2", "V1", "V2", "V3", "F1", "F2"];
/// Both physical networks by the provider's NIC: X has no tag there, V and F are VLANs.
const NICS: [(&str, &str); 2] = [("physext", "prov0"), ("physnet1", "prov0")];
const F_VLAN: u16 = 301;
/// H1's own address on that NIC, beside X; one it takes later; and a machine's.
const OWN: &str = "203.0.113.201";
const LATER: &str = "203.0.113.202";
const MACHINE: &str = "203.0.113.50";

const SOON: Duration = Duration::from_secs(3);

pub fn shared_nic(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 1, &VMS, &["A1"])?;
    wire(&lab)?;
    replace(&lab, CLOUD, &cloud(&["A1", "A2", "V1", "V2", "F1", "F2"]).to_string())?;
    let setup = |interface| Setup { inside: true, interface, physical: Some(&NICS), ..Setup::default() };
    let h1 = Dvrd::start(&lab, 0, &setup("und0"))?;
    // H2 has one NIC for all.
    let h2 = Dvrd::start(&lab, 1, &setup("prov0"))?;
    h1.banner(checks);
    h2.banner(checks);
    let mut with = xdp(&lab, 1)?;
    with.retain(|name| !name.starts_with("tap"));
    checks.check("H2: NICs with XDP", format!("{with:?}"), with == ["prov0"]);

    let steady = [
        ("machine > H1", lab.metal().start(&steady(OWN))?),
        ("H1 > machine", lab.host(0).start(&steady(MACHINE))?),
        ("router > H1", lab.router().start(&steady(OWN))?),
        ("machine > H2's VTEP address", lab.metal().start(&steady(&vtep(1)))?),
    ];
    all_ways(checks, &lab)?;
    comes(checks, &lab)?;
    refused(checks, &lab, &h1)?;
    for (way, ping) in steady {
        answered(checks, way, ping)?;
    }
    address_comes(checks, &lab)?;
    nic_comes_back(checks, &lab)?;
    let gone = ("port_gone", "sent while the NIC was not there");
    stop(checks, vec![h1, h2], &[OTHERS, SNAT_HOST, gone])?;
    Ok(())
}

/// The cloud with these instances, F as a VLAN.
fn cloud(names: &[&'static str]) -> Value {
    let names: Vec<Name> = names.iter().map(|name| Name(name)).collect();
    let mut cloud = model(&names, &[Name("A1")]);
    let f = network(&mut cloud, "F");
    f["provider_network_type"] = "vlan".into();
    f["provider_segmentation_id"] = F_VLAN.into();
    f["dvrd"] = json!({});
    cloud
}

fn network<'c>(cloud: &'c mut Value, id: &str) -> &'c mut Value {
    let all = cloud["networks"].as_array_mut().expect("networks");
    all.iter_mut().find(|network| network["id"] == id).expect("a network of the lab")
}

/// All wires are one; H1 and a machine have addresses beside X, and H2's VTEP address is on the same NIC.
fn wire(lab: &Lab) -> Res<()> {
    let wires = lab.wires();
    for (n, other) in ["und0", "ext0"].into_iter().enumerate() {
        wires.ip(&format!("link add join{n} type veth peer name to{n}"))?;
        wires.ip(&format!("link set join{n} master {other} up"))?;
        wires.ip(&format!("link set to{n} master prov0 up"))?;
    }
    // No other interface answers for an address of this one.
    for host in (0..lab.hosts()).map(|n| lab.host(n)) {
        host.shell("echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore")?;
        host.ip("link set ext0 down")?;
    }
    lab.host(0).ip(&format!("addr add {OWN}/24 dev prov0"))?;
    lab.metal().ip(&format!("addr add {MACHINE}/24 dev eth0"))?;
    lab.metal().ip("addr add 172.20.0.200/24 dev eth0")?;
    lab.host(1).ip(&format!("addr del {}/24 dev und0", vtep(1)))?;
    lab.host(1).ip("link set und0 down")?;
    lab.host(1).ip(&format!("addr add {}/24 dev prov0", vtep(1))).map(|_| ())
}

fn steady(address: &str) -> Vec<String> {
    words(&format!("ping -n -q -i 0.02 -c 500 {address}"))
}

fn answered(checks: &mut Checks, way: &str, ping: Proc) -> Res<()> {
    let printed = ping.wait(Duration::from_secs(60))?.out;
    let seen = printed.lines().find(|l| l.contains("packet loss")).unwrap_or("no answer").to_owned();
    checks.check(format!("{way} meanwhile, 500 pings in 10 s"), &seen, seen.contains("500 received"));
    Ok(())
}

fn pinged(checks: &mut Checks, (way, from, to): (&str, &Netns, &str), ttl: u8) -> Res<()> {
    first(checks, way, from, to)?;
    let seen = ping(from, to, 20, 56)?;
    checks.check(format!("{way} ping"), &seen, seen.is_perfect(ttl));
    Ok(())
}

/// VXLAN, VLAN, flat and floating IP, in both directions.
fn all_ways(checks: &mut Checks, lab: &Lab) -> Res<()> {
    let address = |name: &'static str| Name(name).address();
    for (from, to, ttl) in [("A1", "A2", 64), ("V1", "V2", 64), ("F2", "F1", 64), ("A2", "V1", 63), ("F1", "A2", 63)] {
        pinged(checks, (&format!("{from} > {to}"), lab.vm(from), &address(to)), ttl)?;
    }
    pinged(checks, ("client > A1", lab.client(), &floating_ip(Name("A1"))), 62)?;
    pinged(checks, ("A1 > client", lab.vm("A1"), CLIENT), 62)?;
    asked_for(checks, lab, Name("A1"))
}

/// A port comes by the cloud file.
fn comes(checks: &mut Checks, lab: &Lab) -> Res<()> {
    replace(lab, CLOUD, &cloud(&VMS).to_string())?;
    let start = Instant::now();
    // From the other host, by the wire.
    first(checks, "V2 > V3", lab.vm("V2"), &Name("V3").address())?;
    let took = start.elapsed();
    checks.check("V3 comes by the cloud file", format!("answers after {took:.1?}"), took < SOON);
    pinged(checks, ("V2 > V3", lab.vm("V2"), &Name("V3").address()), 64)
}

/// F without a tag, as X: nobody could tell them apart.
fn refused(checks: &mut Checks, lab: &Lab, h1: &Dvrd) -> Res<()> {
    let mut same = cloud(&VMS);
    let f = network(&mut same, "F");
    f["provider_network_type"] = "flat".into();
    f["provider_segmentation_id"] = Value::Null;
    replace(lab, CLOUD, &same.to_string())?;
    says(checks, "two networks without a tag", h1, &["ERROR", "no VLAN tag", "\"F\"", "\"X\"", "prov0"], 1);
    says(checks, "and that nothing changes", h1, &["ERROR", "everything stays as it was"], 1);
    pinged(checks, ("V2 > V3 as before", lab.vm("V2"), &Name("V3").address()), 64)?;
    pinged(checks, ("F2 > F1 as before", lab.vm("F2"), &Name("F1").address()), 64)?;
    replace(lab, CLOUD, &cloud(&VMS).to_string())
}

/// The host takes another address while dvrd runs.
fn address_comes(checks: &mut Checks, lab: &Lab) -> Res<()> {
    lab.host(0).ip(&format!("addr add {LATER}/24 dev prov0"))?;
    let took = first(checks, "machine > another address of H1", lab.metal(), LATER)?;
    checks.check("another address of H1", format!("answers after {took:.1?}"), took < SOON);
    Ok(())
}

/// The NIC goes, and another one comes in its place: the filter is told all of it again.
fn nic_comes_back(checks: &mut Checks, lab: &Lab) -> Res<()> {
    lab.cut("prov0", 0)?;
    std::thread::sleep(Duration::from_secs(2)); // it looks once a second
    lab.join("prov0", 0, 1500)?;
    lab.host(0).ip(&format!("addr add {OWN}/24 dev prov0"))?;
    lab.metal().ip("neigh flush all")?; // the new one has another MAC
    let address = |name: &'static str| Name(name).address();
    let start = Instant::now();
    first(checks, "V2 > V1", lab.vm("V2"), &address("V1"))?;
    let took = start.elapsed();
    checks.check("prov0 of H1 comes back", format!("forwards after {took:.1?}"), took < SOON);
    pinged(checks, ("V2 > V1 again", lab.vm("V2"), &address("V1")), 64)?;
    pinged(checks, ("F2 > F1 again", lab.vm("F2"), &address("F1")), 64)?;
    pinged(checks, ("client > A1 again", lab.client(), &floating_ip(Name("A1"))), 62)?;
    pinged(checks, ("machine > H1 again", lab.metal(), OWN), 64)
}
