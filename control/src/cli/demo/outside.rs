//! The second half of the demo: a VM with a floating IP, and a machine outside of the cloud.

use std::fmt::Write;
use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;

use super::frames::{Vm, echo_reply, receiver, tagged};
use super::{Node, START};
use crate::cli::Failure;
use crate::frame_text::Decoded;
use crate::model::Cloud;

/// A machine behind the router outside.
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// What the story is about, out of the cloud.
struct Outside {
    /// The gateway of the external network: a router outside.
    router: Ipv4Addr,
    /// The physical network's name, and the network's VLAN id there.
    wire: String,
    vid: u16,
    /// The VM's floating IP.
    floating: Ipv4Addr,
}

impl Outside {
    fn of(cloud: &Cloud, port: &str) -> Result<Outside, Failure> {
        let missing = |what: &str| Failure::new(format!("demo: its cloud has no {what}"));
        let v4 = |ip| if let std::net::IpAddr::V4(ip) = ip { Some(ip) } else { None };
        let mut fips = cloud.floatingips.values();
        let fip = fips.find(|f| f.port_id.as_deref() == Some(port)).ok_or_else(|| missing("floating IP"))?;
        let network = cloud.networks.get(&fip.floating_network_id).ok_or_else(|| missing("external network"))?;
        let mut subnets = cloud.subnets.values().filter(|s| s.network_id == network.id);
        let gateway = subnets.find_map(|s| v4(s.gateway_ip?)).ok_or_else(|| missing("external gateway"))?;
        let vid = network.provider_segmentation_id.and_then(|vid| u16::try_from(vid).ok());
        Ok(Outside {
            router: gateway,
            wire: network.provider_physical_network.clone().ok_or_else(|| missing("physical network"))?,
            vid: vid.ok_or_else(|| missing("VLAN id"))?,
            floating: v4(fip.floating_ip_address).ok_or_else(|| missing("floating IPv4 address"))?,
        })
    }
}

/// The floating IP's way out and in. `gateway`: the MAC that A1 knows of its own.
pub(super) fn tell(
    s: &mut String,
    cloud: &Cloud,
    (h1, a1): (&mut Node<'_>, &Vm),
    gateway: MacAddr,
) -> Result<(), Failure> {
    let Outside { router, wire, vid, floating } = Outside::of(cloud, "A1")?;
    let far = Vm { mac: gateway, ip: FAR };
    let _ = write!(
        s,
        "\nA1 also has the floating IP {floating}: it is reached from outside by way of H1 alone.\n\n  \
         A1 --- H1 [R1] --- external network, VLAN {vid} --- router {router} --- {FAR}\n"
    );

    let _ =
        writeln!(s, "\n6. A1 pings {FAR}. H1 puts in the floating IP and sends by its port on the external network.");
    let t = START + 10_000_000;
    let out = h1.hop(s, ("A1", &wire), &a1.echo_request(gateway, &far), t)?;
    verify(&out, (floating, FAR), "echo request")?;

    s.push_str("\n7. The router outside asks who has the floating IP, for the way back. H1 answers, no other host.\n");
    let router = Vm { mac: receiver(&out)?, ip: router };
    h1.hop(s, (&wire, &wire), &tagged(&router.arp_request(floating), vid), t + 100_000)?;

    s.push_str("\n8. The answer comes in. H1 puts A1's address back and routes it to A1.\n");
    let at_a1 = h1.hop(s, (&wire, "A1"), &tagged(&echo_reply(&out)?, vid), t + 200_000)?;
    verify(&at_a1, (FAR, a1.ip), "echo reply")
}

/// The frame goes from one address to the other, and is what it should be.
fn verify(frame: &[u8], (from, to): (Ipv4Addr, Ipv4Addr), what: &str) -> Result<(), Failure> {
    let inner = Decoded::of(frame, 4789).inner;
    let right = inner.ip == Some((from.into(), to.into())) && inner.payload.contains(what);
    if right { Ok(()) } else { Err(Failure::new(format!("demo: not the expected {what}: {}", inner.line()))) }
}
