//! Physical networks: tenant VLANs (V), external networks (E), and how frames leave for them (O4).

use super::bridged::routed_elsewhere;
use super::frame::{about_router, arp};
use super::{Case, Check, Eth, Inside, Way, must};
use crate::facts::Facts;

/// The VLAN id of a frame, 0 without a tag, and the frame without it.
fn untagged(frame: &[u8]) -> Check<(u16, Vec<u8>)> {
    let Some((head, rest)) = frame.split_first_chunk::<12>() else { return Err("shorter than an Ethernet header") };
    let Some(([0x81, 0, t0, t1] | [0x88, 0xa8, t0, t1], after)) = rest.split_first_chunk::<4>() else {
        return Ok((0, frame.to_vec()));
    };
    must(!matches!(after, [0x81, 0, ..] | [0x88, 0xa8, ..]), "a second tag on a physical network (V0)")?;
    Ok((u16::from_be_bytes([*t0, *t1]) & 0xfff, [&head[..], after].concat()))
}

/// V0, E0: the network of a frame from a physical network.
pub fn came<'a>(f: &'a Facts, name: &'a str, frame: &[u8]) -> Check<Inside<'a>> {
    let (vid, bytes) = untagged(frame)?;
    let (network, net) = f.of_vlan(name, vid).ok_or("of no network here (V0, E0)")?;
    Ok(Inside { way: Way::Phys(name), network, net, bytes })
}

/// O4: the network's own tag, priority 0; none on a flat network.
pub fn went<'a>(f: &'a Facts, name: &'a str, frame: &[u8]) -> Check<Inside<'a>> {
    let tag = match frame.get(12..16) {
        Some([0x81, 0, t0, t1]) => u16::from_be_bytes([*t0, *t1]),
        Some([0x88, 0xa8, ..]) => return Err("a tag of another kind than 802.1Q's (O4)"),
        _ => 0,
    };
    let (vid, bytes) = untagged(frame)?;
    must(vid == tag, "a tag with a priority (O4)")?;
    must((vid == 0) == (bytes.len() == frame.len()), "a tag without a VLAN (O4)")?;
    let (network, net) = f.of_vlan(name, vid).ok_or("sent with the tag of no network (O4)")?;
    Ok(Inside { way: Way::Phys(name), network, net, bytes })
}

impl Case<'_> {
    pub(super) fn by_phys(
        &self,
        name: &str,
        from: &Inside<'_>,
        input: &Eth<'_>,
        to: &Inside<'_>,
        out: &Eth<'_>,
    ) -> Check {
        let (f, net) = (self.facts, from.net);
        must(!net.own_external.contains(&input.src), "own frame from outside (E0)")?;
        if self.arp_answer(from, input, to, out)? {
            return Ok(());
        }
        if net.fg.is_some_and(|(mac, _)| mac == input.dst) {
            return self.routed(from, input, to, out);
        }
        let local = f.ports.values().any(|p| p.active && p.network == from.network && p.mac == input.src);
        must(!local && input.src != f.dvr, "own frame comes back (V1)")?;
        must(!net.router_macs.contains(&input.src), "router MAC from a physical network (V2)")?;
        if f.is_dvr(&input.src) {
            let owner = f.peers.values().any(|p| p.dvr == Some(input.src) && p.phys.contains(name));
            must(owner, "DVR MAC of a host that is not on this physical network (V2, D8)")?;
        }
        if net.router_macs.contains(&input.dst) {
            must(net.gateway_here, "to a router, and its physical gateway is elsewhere (V4)")?;
            return self.routed(from, input, to, out);
        }
        must(!about_router(input, net) || asks_gateway(net.gateway_here, input), "about a router (V2, D10)")?;
        must(matches!(to.way, Way::Port(_)), "bridged from a physical network, and not to a port (V4, L1)")?;
        must(to.network == from.network, "bridged from one network into another")?;
        must(!net.own_external.contains(&input.dst), "bridged, and it is for this host (E2)")?;
        if f.is_dvr(&input.src) {
            routed_elsewhere(input, net, out)?;
        } else {
            must(out.src == input.src, "a bridged source changed")?;
        }
        must(out.dst == input.dst && out.bytes[12..] == input.bytes[12..], "a bridged frame changed")?;
        self.for_receiver(to, out.dst)?;
        self.at_home(to, out.dst)
    }
}

/// V4: an ARP request, at the physical gateway's host.
fn asks_gateway(here: bool, input: &Eth<'_>) -> bool {
    here && arp(input).is_some_and(|(op, ..)| op == 1)
}
