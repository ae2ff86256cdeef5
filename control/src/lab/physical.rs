//! Networks on physical networks: VLAN and flat.

use super::checks::Checks;
use super::cloud::Name;
use super::cloud::outside::METAL;
use super::command::{Res, words};
use super::floating::first;
use super::topology::Lab;
use super::traffic::ping;
use std::time::Duration;

/// What goes between two instances on different hosts has this tag on the wire, as tcpdump sees it; or none.
pub fn tags(checks: &mut Checks, lab: &Lab, from: &'static str, to: &'static str, tag: Option<u16>) -> Res<()> {
    first(checks, &format!("{from} > {to}"), lab.vm(from), &Name(to).address())?;
    let filter = tag.map_or(String::new(), |tag| format!("vlan {tag} and "));
    let line = format!("tcpdump -i prov0-h1 -n -e -l -c 4 {filter}icmp and host {}", Name(to).address());
    let mut dump = lab.wires().start(&words(&line))?;
    std::thread::sleep(Duration::from_millis(500));
    lab.ping(from, &Name(to).address(), 10, 56)?;
    for _ in 0..200 {
        if dump.ended()? {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let printed = dump.printed();
    let lines: Vec<&str> = printed.lines().collect();
    let good = lines.len() == 4
        && lines.iter().all(|l| {
            tag.is_some_and(|tag| l.contains(&format!("vlan {tag},"))) != (tag.is_none() && !l.contains("vlan "))
        });
    // Without the time, up to what is in it.
    let first = lines.first().and_then(|l| l.split_once(' ')?.1.split(", ethertype IPv4").next()).unwrap_or("nothing");
    let what = tag.map_or("no tag".to_owned(), |tag| format!("VLAN {tag}"));
    checks.check(format!("{from} > {to} on the wire: {what}"), first, good);
    Ok(())
}

/// A machine of nobody's cloud on the flat network: bridged to instances of both hosts, routed by its gateway, H1.
pub fn metal(checks: &mut Checks, lab: &Lab) -> Res<()> {
    for (to, ttl) in [("F1", 64), ("F2", 64), ("A1", 63), ("A2", 63)] {
        let way = format!("machine > {to}");
        let address = Name(to).address();
        first(checks, &way, lab.metal(), &address)?;
        let seen = ping(lab.metal(), &address, 10, 56)?;
        checks.check(format!("{way} ping"), &seen, seen.is_perfect(ttl));
        let seen = ping(lab.vm(to), METAL, 10, 56)?;
        checks.check(format!("{to} > machine ping"), &seen, seen.is_perfect(ttl));
    }
    Ok(())
}
