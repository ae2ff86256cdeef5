//! The control experiment: the kernel alone, so that what fails later is dvrd's and not the lab's.

use crate::checks::Checks;
use crate::cloud::Name;
use crate::command::Res;
use crate::kernel;
use crate::paths;
use crate::topology::Lab;
use crate::traffic::{Ping, Udp};
use crate::{SECONDS, base};

/// Both hosts are the kernel's. Then the wire is cut, and the checks must say so.
pub fn kernel_alone(checks: &mut Checks) -> Res<()> {
    let mut lab = Lab::new(base()?, 1, &["A1", "A2", "B2"])?;
    kernel::host(&lab, 0)?;
    kernel::host(&lab, 1)?;
    paths::both_ways(checks, &lab, ["A1", "A2"], SECONDS)?;
    // One router for both hosts: the kernel has no distributed one.
    let _router = kernel::Router::new(&lab, 1)?;
    (0..2).for_each(|host| lab.set_gateway_mac(host, kernel::router_mac(1)));
    paths::both_ways(checks, &lab, ["A1", "B2"], SECONDS)?;
    paths::checksums(checks, &lab)?;

    lab.host(0).ip("link set vxA down")?;
    let ping = lab.ping("A1", &Name("A2").address(), 5, 56)?;
    checks.check("with the wire cut, ping's judge says no", &ping, ping.received == 0 && !ping.is_perfect(64));
    judges(checks);
    Ok(())
}

/// The judges on results that no dvrd should ever give.
fn judges(checks: &mut Checks) {
    let run = |sent: u64, lost: u64, out: u64| {
        let udp = serde_json::json!({"udp": {"packets": 1000, "lost_packets": lost, "out_of_order": out}});
        let server = serde_json::json!({"end": {"streams": [udp, udp]}});
        let client = serde_json::json!({"end": {"sum_sent": {"packets": sent}}});
        Udp::parse(&client, &server).is_ok_and(|u| u.is_good())
    };
    let says = [run(2000, 9, 0), run(2000, 10, 0), run(2100, 0, 0), run(2000, 0, 1)];
    checks.check(
        "UDP's judge: 0.9 % lost, 1 %, 5 % at the end, one late",
        format!("{says:?}"),
        says == [true, false, false, false],
    );
    let ping = |answers: &str| {
        let out = format!("64 bytes from 10.1.0.12: icmp_seq=1 ttl=64 time=1 ms\n3 packets transmitted, {answers}");
        Ping::parse(&out).is_ok_and(|p| p.is_perfect(64))
    };
    let says = [
        ping("3 received, 0% packet loss, time 40ms"),
        ping("2 received, 33% packet loss, time 40ms"),
        ping("3 received, +1 duplicates, 0% packet loss, time 40ms"),
    ];
    checks.check("ping's judge: all answered, one lost, one twice", format!("{says:?}"), says == [true, false, false]);
}
