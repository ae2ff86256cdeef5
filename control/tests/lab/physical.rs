//! Networks on physical networks: VLAN and flat, bridged and routed.

use crate::checks::Checks;
use crate::cloud::Name;
use crate::cloud::outside::VLAN;
use crate::command::Res;
use crate::daemon::{Dvrd, Setup};
use crate::floating::{OTHERS, SNAT_HOST, first, start, stop};
use crate::lifecycle::xdp;
use crate::paths::{both_ways, checksums};
use crate::topology::Lab;
use crate::traffic::ping;
use crate::{SECONDS, base};
use ::control::lab::physical::{metal, tags};
use control::daemon::config::PortIo;
use std::time::Duration;

/// V1 and V2 on VLAN 300, A1 and A2 on VXLAN, F1 and F2 on the flat network: odd ones at H1, even ones at H2.
const VMS: [&str; 6] = ["A1", "A2", "V1", "V2", "F1", "F2"];

/// An address of H1 on the flat network.
const OWN: &str = "10.4.0.201";

pub fn physical_networks(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 1, &VMS, &[])?;
    lab.host(0).ip(&format!("addr add {OWN}/24 dev prov0"))?;
    let all = start(checks, &lab, 1)?;
    // Bridged over the wire of VLAN 300; routed from VXLAN to VLAN and back, on one host and between hosts.
    for path in [["V1", "V2"], ["A1", "V1"], ["A1", "V2"], ["V1", "A2"]] {
        both_ways(checks, &lab, path, SECONDS)?;
    }
    tags(checks, &lab, "V1", "V2", Some(VLAN))?;
    tags(checks, &lab, "F1", "F2", None)?;
    metal(checks, &lab)?;
    // The host is on the flat network itself.
    first(checks, "machine > H1 itself", lab.metal(), OWN)?;
    let seen = ping(lab.metal(), OWN, 20, 56)?;
    checks.check("machine > H1 itself ping", &seen, seen.is_perfect(64));
    offloads(checks, &lab, true)?;
    checksums(checks, &lab)?;
    let theirs =
        ("router_mac_from_fabric", "what the machine sends to the gateway, at hosts that are not the gateway's");
    let asked = ("router_arp_from_fabric", "the machine asks for the gateway, at hosts that are not the gateway's");
    stop(checks, all, &[OTHERS, theirs, asked, SNAT_HOST])?;
    offloads(checks, &lab, false)
}

/// While dvrd has it, a NIC keeps VLAN tags in its frames and takes those for any MAC address; then it is as before.
fn offloads(checks: &mut Checks, lab: &Lab, running: bool) -> Res<()> {
    let features = lab.host(0).exec("ethtool -k prov0", Duration::from_secs(5))?.good()?;
    let link = lab.host(0).ip_json("-d link show prov0")?;
    let promiscuity = link[0]["promiscuity"].as_u64();
    let vlan = features.lines().find(|l| l.contains("rx-vlan-offload")).unwrap_or("none").trim();
    let (want, count) = if running { ("rx-vlan-offload: off", 1) } else { ("rx-vlan-offload: on", 0) };
    let good = vlan == want && promiscuity == Some(count);
    let when = if running { "running" } else { "stopped" };
    checks.check(format!("{when}: H1's NIC prov0"), format!("{vlan}, promiscuity {promiscuity:?}"), good);
    Ok(())
}

/// The NIC of a physical network goes and comes back, as ports do.
pub fn nic_comes_and_goes(checks: &mut Checks) -> Res<()> {
    let lab = Lab::with_outside(base()?, 1, &["V1", "V2"], &[])?;
    let setup = || Setup { port_io: PortIo::AfXdp, ..Setup::default() };
    let h1 = Dvrd::start(&lab, 0, &setup())?;
    let h2 = Dvrd::start(&lab, 1, &setup())?;
    first(checks, "V1 > V2", lab.vm("V1"), &Name("V2").address())?;
    for round in ["first", "again"] {
        lab.cut("prov0", 0)?;
        std::thread::sleep(Duration::from_secs(2)); // it looks once a second
        let none = lab.ping("V1", &Name("V2").address(), 3, 56)?;
        checks.check(format!("{round}, without prov0: no way"), &none, none.received == 0);
        lab.join("prov0", 0, 1400)?;
        let start = std::time::Instant::now();
        first(checks, "V1 > V2", lab.vm("V1"), &Name("V2").address())?;
        let took = start.elapsed();
        checks.check(
            format!("{round}, prov0 comes"),
            format!("forwards after {took:.1?}"),
            took < Duration::from_secs(3),
        );
        let with = xdp(&lab, 0)?.len();
        checks.check(format!("{round}, prov0 comes: interfaces with XDP"), with, with == 4);
    }
    let (gone, small) = (h1.logged("prov0"), h1.logged("1400"));
    let times = gone.iter().filter(|l| l.contains("physical network physnet1") && l.contains("gone")).count();
    checks.check("prov0 went, twice: says so", times, times == 2);
    let named = small.iter().any(|l| l.contains("WARN") && l.contains("prov0") && l.contains("1500"));
    checks.check("it came back with a smaller MTU: says so", format!("{:?}", small.first()), named);
    let gone = ("port_gone", "sent while the NIC was not there");
    stop(checks, vec![h1, h2], &[OTHERS, gone])?;
    Ok(())
}
