//! What routers say about packets they cannot forward, as ping and traceroute understand it.

use crate::cloud::outside::{CLIENT, MTU as OUTSIDE, ROUTER, floating_ip};
use crate::cloud::{MTU, Name, subnet};
use crate::command::Res;
use crate::floating::{OTHERS, SNAT_HOST, first, start, stop};
use crate::netns::Netns;
use crate::report::Checks;
use crate::topology::Lab;
use crate::traffic::{Ping, ping};
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_secs(15);

pub fn icmp_errors(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(1, &["A1", "A2", "B2", "V1"], &["A1", "B2"])?;
    let all = start(checks, &lab, 1)?;
    let (a1, a2, b2) = (Name("A1"), Name("A2"), Name("B2"));
    // From 1500 bytes into a network of 1450: the router's address on the sender's subnet says so; from outside, the floating IP.
    too_big(checks, lab.vm("V1"), "V1 > A1", &a1.address(), &subnet('V', 1))?;
    too_big(checks, lab.vm("V1"), "V1 > B2, on the other host", &b2.address(), &subnet('V', 1))?;
    too_big(checks, lab.client(), "client > floating IP of A1", &floating_ip(a1), &floating_ip(a1))?;
    // The next one has not been told; it may be cut on the way.
    let cut =
        lab.vm("V1").exec(&format!("ping -n -c 5 -i 0.2 -W 1 -M dont -s {} {}", OUTSIDE - 28, a2.address()), STEP)?;
    let cut = Ping::parse(&cut.out)?;
    checks.check(
        format!("V1 > A2, {OUTSIDE} bytes, may be fragmented"),
        &cut,
        cut.received == 5 && cut.duplicates == 0,
    );

    route(checks, lab.vm("A1"), "A1 > B2, on the other host", &b2.address(), &[&subnet('A', 1), &b2.address()])?;
    route(checks, lab.vm("A1"), "A1 > client", CLIENT, &[&subnet('A', 1), ROUTER, CLIENT])?;
    let (inside, own) = (floating_ip(a1), crate::cloud::outside::CLIENT_GATEWAY);
    route(checks, lab.client(), "client > floating IP of A1", &inside, &[own, &inside, &inside])?;

    // An address of a subnet that nobody has.
    unreachable(checks, lab.vm("A1"), "A1 > nobody on B", &subnet('B', 200), &subnet('A', 1))?;
    let named = [
        OTHERS,
        SNAT_HOST,
        (
            "dvr_unknown_dst",
            "to V1 from H2's router: V1 only ever sent to its own gateway, so the switch floods it to H3 too",
        ),
        ("mtu", "too big for the network behind the router"),
        ("ttl", "traceroute"),
        ("no_neigh", "for the address nobody has"),
    ];
    stop(checks, all, &named)?;
    Ok(())
}

/// DF, as long as the smaller network allows and one byte more: `from` must hear what would fit.
fn too_big(checks: &mut Checks, from: &Netns, way: &str, to: &str, router: &str) -> Res<()> {
    first(checks, way, from, to)?;
    let fits = ping(from, to, 5, MTU - 28)?;
    checks.check(format!("{way}, {MTU} bytes, DF"), &fits, fits.received == 5);
    // The first is what the router says, the second what the sender has learned of it.
    let line = format!("ping -n -c 2 -i 0.2 -W 1 -M do -s {} {to}", MTU - 27);
    let out = from.exec(&line, STEP)?.out;
    let said = format!("From {router} icmp_seq=1 Frag needed and DF set (mtu = {MTU})");
    let seen = out.lines().find(|l| l.contains("Frag needed")).unwrap_or("no error").to_owned();
    checks.check(format!("{way}, {} bytes, DF", MTU + 1), &seen, seen == said && out.contains(" 0 received"));
    let known = from.ip(&format!("route get {to}"))?;
    checks.check(
        format!("{way}, its stack believes it"),
        known.split_once("cache").map_or("none", |(_, cache)| cache.trim()),
        known.contains(&format!("mtu {MTU}")),
    );
    Ok(())
}

/// Each router on the way once, and then the destination.
fn route(checks: &mut Checks, from: &Netns, way: &str, to: &str, hops: &[&str]) -> Res<()> {
    first(checks, way, from, to)?;
    // One at a time: the destination's own stack limits its errors.
    let out = from.exec(&format!("traceroute -n -q 1 -N 1 -w 2 -m 6 {to}"), Duration::from_secs(30))?.good()?;
    let seen: Vec<&str> = out.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)).collect();
    checks.check(format!("{way}, traceroute"), seen.join(", "), seen == hops);
    Ok(())
}

/// Nobody answers the three probes: the router says so after 3 s.
fn unreachable(checks: &mut Checks, from: &Netns, way: &str, to: &str, router: &str) -> Res<()> {
    let start = Instant::now();
    let mut child = from.start(&crate::command::words(&format!("ping -n -c 1 -W 8 {to}")))?;
    child.until("Destination Host Unreachable", Duration::from_secs(8))?;
    let took = start.elapsed().as_secs_f32();
    let out = child.printed();
    let said = format!("From {router} icmp_seq=1 Destination Host Unreachable");
    let seen = out.lines().find(|l| l.contains("Unreachable")).unwrap_or("nothing");
    checks.check(way, format!("{seen}, after {took:.2} s"), seen == said && (2.9..4.0).contains(&took));
    Ok(())
}
