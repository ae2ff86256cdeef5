//! I1 and I2: may this port send this frame at all?
//!
//! Neutron: br-int tables 24 and 25 of a secured port,
//! `table=24, priority=2,arp,in_port=8,arp_spa=90.1.180.3 actions=resubmit(,25)` and
//! `table=25, priority=2,in_port=8,dl_src=fa:16:3e:4a:22:ff actions=resubmit(,60)`, rest drop.
//! The check of reserved identities has no counterpart there (D7).

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, Door, L3, Lane, Mask, Talk};
use crate::drop_reason::DropReason;
use crate::tables::{AllowedPair, PortRow, SegRow};
use crate::wire::proto;

const STAGE: Stage = Stage::VmPort;

/// Drops what the port may not send; returns the frames whose source is not the port's own MAC: a
/// machine behind an unsecured port, or a virtual MAC that moved here. Rules: I1, I2, I2-ps, D7.
pub fn vm_port(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) -> Mask {
    x.enter(STAGE, b, m);
    let (mut strangers, mut usual) = (Mask::NONE, Mask::NONE);
    let mut n = 0;
    while let Some((door, lanes)) = b.arrivals.get(n) {
        n += 1;
        let Some(sender) = Sender::behind(x, door) else {
            (lanes & m).for_each(|lane| b.drop(lane, STAGE, DropReason::PortDown));
            continue;
        };
        for lane in lanes & m {
            if sender.is_usual(b, lane) {
                usual.insert(lane);
            } else if let Err(reason) = check(b, x, lane, &sender, &mut strangers) {
                b.drop(lane, STAGE, reason);
            }
        }
    }
    b.vouched |= usual;
    strangers & b.live
}

/// Who is behind a port of this host.
struct Sender<'s> {
    port: &'s PortRow,
    seg: &'s SegRow,
    /// MAC and address that nearly all its packets come from, and that no check below refuses; zero: none.
    usual: (MacAddr, u32),
}

impl<'s> Sender<'s> {
    /// I1: the rows of an ACTIVE port.
    #[inline(always)]
    fn behind(x: &Ctx<'s>, door: Door) -> Option<Self> {
        let Door::Port(port) = door else { return None };
        let port = x.snap.ports.get(port).filter(|p| p.active)?;
        let seg = x.snap.segments.get(port.seg)?;
        let own = |p: &&AllowedPair| port.secured && p.mac == port.mac && p.vouched && p.mask == u32::MAX;
        let usual = match port.allowed.first().filter(own) {
            Some(pair) if !reserved(x, seg, pair.mac) => (pair.mac, pair.net),
            _ => (MacAddr::ZERO, 0),
        };
        Some(Sender { port, seg, usual })
    }

    /// A packet that is no ARP, ND or DHCP answer, from the usual addresses: I2 and I2-ps have nothing against it.
    #[inline(always)]
    fn is_usual(&self, b: &Burst<'_>, lane: Lane) -> bool {
        (b.src[lane], b.ip_src[lane]) == self.usual && b.plain.has(lane) && b.ports[lane] != DHCP_ANSWER
    }
}

/// UDP ports of an answer of a DHCP server, as in [`Burst::ports`].
const DHCP_ANSWER: u32 = 67 << 16 | 68;

/// I2: the MAC of a router of the network, or inside the DVR prefix.
#[inline(always)]
fn reserved(x: &Ctx<'_>, seg: &SegRow, mac: MacAddr) -> bool {
    x.snap.host.is_dvr_mac(mac) || seg.has_interface(mac)
}

fn check(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    Sender { port, seg, .. }: &Sender<'_>,
    strangers: &mut Mask,
) -> Result<(), DropReason> {
    if b.tags[lane] != 0 {
        tagged(b, lane, seg)?;
    }
    poses_as_router(b, x, lane, seg)?;
    if b.src[lane] != port.mac {
        strangers.insert(lane);
    }
    if port.secured { secured(b, x, lane, port) } else { Ok(()) }
}

/// I1: VID 0 is a priority tag and comes off; any other is payload on a VLAN-transparent network only.
#[cold]
fn tagged(b: &mut Burst<'_>, lane: Lane, seg: &SegRow) -> Result<(), DropReason> {
    if b.tags[lane] == 1 && b.tci[lane] & 0xfff == 0 {
        b.pop_tag(lane);
        return Ok(());
    }
    if !seg.vlan_transparent {
        return Err(DropReason::VlanUnexpected);
    }
    b.l3[lane] = L3::Other;
    b.talk[lane] = Talk::None;
    Ok(())
}

/// I2: no guest is a router, port security on or off.
#[inline(always)]
fn poses_as_router(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) -> Result<(), DropReason> {
    if reserved(x, seg, b.src[lane]) {
        return Err(DropReason::ReservedSrc);
    }
    if b.talk[lane] == Talk::None && b.l3[lane] != L3::Rarp {
        return Ok(());
    }
    let claims_router = match b.talk[lane] {
        Talk::RouterAdvert => return Err(DropReason::RaGuest),
        Talk::ArpRequest | Talk::ArpReply => seg.router_ips.iter().any(|r| r.ip == b.ip_src[lane]),
        Talk::NeighAdvert => seg.router_ips6.contains(&b.nd_target[lane]),
        _ => false,
    };
    if claims_router || reserved(x, seg, b.inner_mac[lane]) { Err(DropReason::ReservedSrc) } else { Ok(()) }
}

/// I2, port security: addresses among the port's own and its allowed address pairs.
#[inline(always)]
fn secured(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, port: &PortRow) -> Result<(), DropReason> {
    let src = b.src[lane];
    let find = |mac: MacAddr, ip: u32| port.allowed.iter().find(|p| p.mac == mac && ip & p.mask == p.net);
    if let (L3::Ipv4, Some(pair)) = (b.l3[lane], find(src, b.ip_src[lane])) {
        if pair.vouched {
            b.vouched.insert(lane);
        }
        return dhcp_server(b, lane, 67, 68);
    }
    let pair = |mac: MacAddr, ip: u32| find(mac, ip).is_some();
    let pair6 = |mac: MacAddr, ip: u128| port.allowed6.iter().any(|p| p.mac == mac && ip & p.mask == p.net);
    let known =
        src == port.mac || port.allowed.iter().any(|p| p.mac == src) || port.allowed6.iter().any(|p| p.mac == src);
    if !known {
        return Err(DropReason::MacSpoof);
    }
    match b.l3[lane] {
        L3::Ipv4 => {
            let discover = b.ip_src[lane] == 0 && b.ip[lane].proto == proto::UDP && b.ports[lane] == 68 << 16 | 67;
            if discover { Ok(()) } else { Err(DropReason::IpSpoof) }
        }
        L3::Arp => {
            let (sha, spa) = (b.inner_mac[lane], b.ip_src[lane]);
            if sha == src && (spa == 0 || pair(sha, spa)) { Ok(()) } else { Err(DropReason::ArpSpoof) }
        }
        L3::Rarp => {
            if src == port.mac && b.inner_mac[lane] == port.mac {
                Ok(())
            } else {
                Err(DropReason::MacSpoof)
            }
        }
        L3::Ipv6 => {
            let from = b.ip6_src[lane];
            // `::` while an address is being chosen: duplicate address detection and the MLD reports around it.
            let choosing = from == 0 && matches!(b.ip[lane].icmp6_type, 131 | 135 | 143);
            if !choosing && !pair6(src, from) {
                return Err(DropReason::IpSpoof);
            }
            if b.talk[lane] == Talk::NeighAdvert && !pair6(src, b.nd_target[lane]) {
                return Err(DropReason::NdSpoof);
            }
            dhcp_server(b, lane, 547, 546)
        }
        L3::Other if b.tags[lane] != 0 => Ok(()), // VLAN transparent: the tag's payload is the guest's own affair
        L3::Other if permitted(b, x, lane) => Ok(()),
        L3::Other => Err(DropReason::Ethertype),
    }
}

/// The cloud's list of further EtherTypes (the agent's `permitted_ethertypes`).
#[cold]
fn permitted(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) -> bool {
    let ethertype = b.l3_off[lane].checked_sub(2).and_then(|at| b.at::<2>(lane, at));
    ethertype.is_some_and(|e| x.snap.host.permits(u16::from_be_bytes(*e)))
}

#[inline(always)]
fn dhcp_server(b: &Burst<'_>, lane: Lane, server: u32, client: u32) -> Result<(), DropReason> {
    let ports = if b.fragments.has(lane) { first_fragment_ports(b, lane) } else { b.ports[lane] };
    let answers = ports == server << 16 | client && b.ip[lane].proto == proto::UDP;
    if answers { Err(DropReason::DhcpServer) } else { Ok(()) }
}

/// A datagram's ports are in its first fragment; whoever puts the fragments together sees them. 0: a later one.
#[cold]
fn first_fragment_ports(b: &Burst<'_>, lane: Lane) -> u32 {
    let payload = b.l3_off[lane] + b.ip[lane].header_len;
    // The offset: in the IPv4 header, or in the IPv6 fragment header right before the payload.
    let (at, offset) = if b.l3[lane] == L3::Ipv4 { (b.l3_off[lane] + 6, 0x1fff) } else { (payload - 6, 0xfff8) };
    match (b.at(lane, at), b.at(lane, payload)) {
        (Some(word), Some(ports)) if u16::from_be_bytes(*word) & offset == 0 => u32::from_be_bytes(*ports),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
