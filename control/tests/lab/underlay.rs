//! The way to another host: lost, found late, not found at all, and by gateways that change.

use crate::base;
use crate::checks::Checks;
use crate::cloud::{Name, vtep};
use crate::command::{Proc, Res};
use crate::daemon::{Dvrd, Setup, books};
use crate::netns::Netns;
use crate::topology::{CLOUD, Lab};
use crate::traffic::{Ping, ping, stack_counter};
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

/// The cloud with A3 on H3.
const MOVED: &str = "moved.json";
/// Times the neighbours are forgotten just before a packet.
const FLUSHES: u32 = 20;
/// How long a host does not answer ARP for its VTEP while a packet waits.
const LATE: Duration = Duration::from_millis(300);
/// Until a packet that never got a way is gone.
const GIVEN_UP: Duration = Duration::from_millis(1500);
/// Gateways to H2 on the underlay.
const GATEWAYS: [&str; 2] = ["172.20.0.251", "172.20.0.252"];

pub fn underlay(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 1, &["A1", "A2", "A3"], &[])?;
    move_to_h3(&lab, Name("A3"))?;
    let setup = Setup { inside: true, cloud: MOVED, ..Setup::default() };
    let all = (0..lab.hosts()).map(|host| Dvrd::start(&lab, host, &setup)).collect::<Res<Vec<_>>>()?;
    lab.first_answer("A1", Name("A2"))?;
    lab.first_answer("A1", Name("A3"))?;
    forgotten(checks, &lab)?;
    late(checks, &lab)?;
    by_gateways(checks, &lab)?;
    for (host, dvrd) in all.into_iter().enumerate() {
        let stopped = dvrd.stop()?;
        let lost = stopped.totals["drops"]["underlay_unresolved"].as_u64().unwrap_or(0);
        let right = if host == 0 { 1 } else { 0 };
        checks.check(format!("H{} packets lost for want of a way", host + 1), lost, lost == right);
        books(checks, host, &stopped, &[("underlay_unresolved", "the one ping while H2 did not answer"), OTHERS]);
    }
    Ok(())
}

/// What comes with every lab that has an outside.
const OTHERS: (&str, &str) = ::control::lab::floating::OTHERS;

/// An instance's interface goes to the third host, and the cloud file says so.
fn move_to_h3(lab: &Lab, vm: Name) -> Res<()> {
    lab.host(vm.host()).ip(&format!("link set {} netns {}", vm.tap(), lab.host(2).name()))?;
    lab.host(2).ip(&format!("link set {} up", vm.tap()))?;
    let text = std::fs::read_to_string(lab.path(CLOUD)).map_err(|e| e.to_string())?;
    let mut cloud: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let port = cloud["ports"].as_array_mut().into_iter().flatten().find(|p| p["id"] == vm.0);
    port.ok_or("no such port")?["binding_host_id"] = "H3".into();
    std::fs::write(lab.path(MOVED), cloud.to_string()).map_err(|e| e.to_string())
}

/// The kernel forgets its neighbours, and the next packet is there before it knows them again.
fn forgotten(checks: &mut Checks, lab: &Lab) -> Res<()> {
    checks.section("H1's kernel forgets its neighbours");
    let mut answered = 0;
    for _ in 0..FLUSHES {
        lab.host(0).ip("neigh flush dev und0")?;
        answered += ping(lab.vm("A1"), &Name("A2").address(), 1, 56)?.received;
    }
    let seen = format!("{answered} of {FLUSHES} answered");
    checks.check("A1 > A2, the first packet after `ip neigh flush`", seen, answered == FLUSHES);
    Ok(())
}

/// H2 answers ARP late, then not at all.
fn late(checks: &mut Checks, lab: &Lab) -> Res<()> {
    checks.section("H2 does not answer ARP for its VTEP");
    let [h1, h2] = [lab.host(0), lab.host(1)];
    // Ten questions a second; and no question of H2's own, which would be an answer.
    h1.shell("cd /proc/sys/net/ipv4/neigh/und0; echo 100 >retrans_time_ms; echo 20 >mcast_solicit")?;
    h2.ip(&format!("neigh replace {} lladdr {} dev und0 nud permanent", vtep(0), mac(h1, "und0")?))?;
    let answers =
        |yes: bool| h2.shell(&format!("echo {} >/proc/sys/net/ipv4/conf/und0/arp_ignore", if yes { 0 } else { 8 }));
    let lose = || -> Res<()> {
        answers(false)?;
        h1.ip("neigh flush dev und0")?;
        sleep(LATE); // until dvrd knows
        Ok(())
    };
    let one = || lab.vm("A1").start(&crate::command::words(&format!("ping -n -c 1 -W 3 {}", Name("A2").address())));
    lose()?;
    let waits = one()?;
    sleep(LATE);
    answers(true)?;
    let seen = pinged(waits)?;
    let waited = seen.rtt.is_some_and(|ms| ms >= LATE.as_millis() as f64 / 2.0 && ms < 1000.0);
    checks.check("A1 > A2 waits until H2 answers", &seen, seen.received == 1 && waited);
    lose()?;
    let vain = one()?;
    let other = ping(lab.vm("A1"), &Name("A3").address(), 5, 56)?;
    checks.check("A1 > A3 meanwhile", &other, other.is_perfect(64));
    sleep(GIVEN_UP);
    answers(true)?;
    let seen = pinged(vain)?;
    checks.check("A1 > A2 ends if H2 does not answer in 1 s", &seen, seen.received == 0);
    lab.first_answer("A1", Name("A2")).map(|_| ())
}

/// The way to H2 changes from one gateway to the other and back while packets go there and to H3.
fn by_gateways(checks: &mut Checks, lab: &Lab) -> Res<()> {
    checks.section("The route to H2's VTEP changes");
    let gateways = [lab.router(), lab.client()];
    for (n, ns) in gateways.into_iter().enumerate() {
        let wire = format!("und0-gw{n}");
        lab.wires().ip(&format!("link add {wire} type veth peer name und netns {}", ns.name()))?;
        lab.wires().ip(&format!("link set {wire} master und0 up"))?;
        ns.shell("echo 1 >/proc/sys/net/ipv4/ip_forward; for f in all und; do echo 0 >/proc/sys/net/ipv4/conf/$f/send_redirects; done")?;
        ns.ip("link set und up")?;
        ns.ip(&format!("addr add {}/24 dev und", GATEWAYS[n]))?;
    }
    let stream = |to: &'static str| {
        lab.vm("A1").start(&crate::command::words(&format!("ping -n -c 400 -i 0.01 -W 1 {}", Name(to).address())))
    };
    let (changing, other) = (stream("A2")?, stream("A3")?);
    let by = format!("route replace {}/32 dev und0", vtep(1));
    for gateway in [GATEWAYS[0], GATEWAYS[1], GATEWAYS[0]] {
        sleep(Duration::from_millis(700));
        lab.host(0).ip(&format!("{by} via {gateway}"))?;
    }
    sleep(Duration::from_millis(700));
    lab.host(0).ip(&format!("route del {}/32", vtep(1)))?;
    let (changing, other) = (pinged(changing)?, pinged(other)?);
    checks.check("A1 > A3 on H3, whose way stays", &other, other.is_perfect(64));
    checks.check("A1 > A2 on H2, by three gateways and none", &changing, changing.is_perfect(64));
    for (n, ns) in gateways.into_iter().enumerate() {
        let forwarded = stack_counter(ns, &["IpForwDatagrams"])?[0];
        checks.check(format!("gateway {} was on the way", n + 1), format!("{forwarded} packets"), forwarded > 10);
    }
    Ok(())
}

fn pinged(run: Proc) -> Res<Ping> {
    Ping::parse(&run.wait(Duration::from_secs(20))?.out)
}

fn mac(ns: &Netns, interface: &str) -> Res<String> {
    let links = ns.ip_json(&format!("link show {interface}"))?;
    links[0]["address"].as_str().map(str::to_owned).ok_or(format!("no MAC in {links}"))
}
