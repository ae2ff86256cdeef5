//! Every way a packet can take, between two hosts with dvrd, and between dvrd and the kernel.

use crate::checks::Checks;
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, books};
use crate::kernel;
use crate::paths;
use crate::topology::Lab;
use crate::traffic::stack_counter;
use crate::{SECONDS, base};
use control::daemon::config::PortIo;

/// `dvrd` on both hosts.
pub fn two_hosts(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 1, &["A1", "B1", "A2", "B2"])?;
    // One is started outside of its host's namespace, one inside; one has packet sockets, one AF_XDP.
    let inside = Setup { inside: true, port_io: PortIo::AfXdp, ..Setup::default() };
    let h1 = Dvrd::start(&lab, 0, &Setup::default())?;
    let h2 = Dvrd::start(&lab, 1, &inside)?;
    h1.banner(checks);
    let before = stacks(&lab)?;
    for path in paths::ALL {
        paths::both_ways(checks, &lab, path, SECONDS)?;
    }
    paths::gateways(checks, &lab, "A1")?;
    paths::gateways(checks, &lab, "B2")?;
    paths::checksums(checks, &lab)?;
    let seen: Vec<u64> = stacks(&lab)?.iter().zip(before).map(|(after, before)| after - before).collect();
    checks.check("IP packets the hosts' own stacks saw of it", format!("{seen:?}"), seen == [0, 0]);
    books(checks, 0, &h1.stop()?, &[]);
    books(checks, 1, &h2.stop()?, &[]);
    Ok(())
}

/// IP packets that came to each host's own stack. The hosts have no traffic of their own here.
fn stacks(lab: &Lab) -> Res<Vec<u64>> {
    let all = (0..2).map(|n| stack_counter(lab.host(n), &["IpInReceives"])).collect::<Res<Vec<_>>>()?;
    Ok(all.concat())
}

/// `dvrd` on H1; H2 is the kernel's bridge and vxlan device, with a plain Linux router for the way back.
///
/// Same subnet, both ways, is plain VXLAN. Routed packets from H1 arrive as the kernel finds them, with H1's DVR MAC as
/// source, since nothing there rewrites it (T4); Linux takes them all the same. The other way the plain router stands
/// for H2's DVR (`kernel::Router`), so that H1 proves T3 and T4 on frames it did not make.
pub fn kernel_peer(checks: &mut Checks) -> Res<()> {
    let mut lab = Lab::new(base()?, 1, &["A1", "B1", "A2", "B2"])?;
    kernel::host(&lab, 1)?;
    let _router = kernel::Router::new(&lab, 1)?;
    lab.set_gateway_mac(1, kernel::router_mac(1));
    let h1 = Dvrd::start(&lab, 0, &Setup::default())?;
    for path in [["A1", "A2"], ["A1", "B1"], ["A1", "B2"], ["B1", "A2"]] {
        paths::both_ways(checks, &lab, path, SECONDS)?;
    }
    paths::gateways(checks, &lab, "A1")?;
    paths::checksums(checks, &lab)?;
    let leak = "ARP for the gateway, which the kernel's bridge floods to the fabric and D10 forbids";
    let stopped = h1.stop()?;
    books(checks, 0, &stopped, &[("router_arp_from_fabric", leak)]);
    let seen = stopped.totals["drops"]["router_arp_from_fabric"].as_u64().unwrap_or(0);
    checks.check("H1 kept the kernel's ARP for gateways out", format!("{seen} dropped"), seen > 0);
    Ok(())
}
