//! What routers say about packets they cannot forward, as ping and traceroute understand it.

use super::checks::Checks;
use super::cloud::MTU;
use super::command::{Res, words};
use super::floating::first;
use super::netns::Netns;
use super::traffic::ping;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_secs(15);

/// DF, as long as the smaller network allows and one byte more: `from` must hear what would fit.
pub fn too_big(checks: &mut Checks, from: &Netns, way: &str, to: &str, router: &str) -> Res<()> {
    first(checks, way, from, to)?;
    from.ip("route flush cache")?; // what it has learned before
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
pub fn route(checks: &mut Checks, from: &Netns, way: &str, to: &str, hops: &[&str]) -> Res<()> {
    first(checks, way, from, to)?;
    // One at a time: the destination's own stack limits its errors.
    let out = from.exec(&format!("traceroute -n -q 1 -N 1 -w 2 -m 6 {to}"), Duration::from_secs(30))?.good()?;
    let seen: Vec<&str> = out.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)).collect();
    checks.check(format!("{way}, traceroute"), seen.join(", "), seen == hops);
    Ok(())
}

/// Nobody answers the three probes: the router says so after 3 s.
pub fn unreachable(checks: &mut Checks, from: &Netns, way: &str, to: &str, router: &str) -> Res<()> {
    let start = Instant::now();
    let mut child = from.start(&words(&format!("ping -n -c 1 -W 8 {to}")))?;
    child.until("Destination Host Unreachable", Duration::from_secs(8))?;
    let took = start.elapsed().as_secs_f32();
    let out = child.printed();
    let said = format!("From {router} icmp_seq=1 Destination Host Unreachable");
    let seen = out.lines().find(|l| l.contains("Unreachable")).unwrap_or("nothing");
    checks.check(way, format!("{seen}, after {took:.2} s"), seen == said && (2.9..4.0).contains(&took));
    Ok(())
}
