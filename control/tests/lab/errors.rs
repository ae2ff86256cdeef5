//! What routers say about packets they cannot forward, as ping and traceroute understand it.

use crate::base;
use crate::checks::Checks;
use crate::cloud::outside::{CLIENT, CLIENT_GATEWAY, MTU as OUTSIDE, ROUTER, floating_ip};
use crate::cloud::{Name, subnet};
use crate::command::Res;
use crate::floating::{OTHERS, SNAT_HOST, start, stop};
use crate::topology::Lab;
use crate::traffic::Ping;
use ::control::lab::errors::{route, too_big, unreachable};
use std::time::Duration;

const STEP: Duration = Duration::from_secs(15);

pub fn icmp_errors(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 1, &["A1", "A2", "B2", "V1"], &["A1", "B2"])?;
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
    let (inside, own) = (floating_ip(a1), CLIENT_GATEWAY);
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
