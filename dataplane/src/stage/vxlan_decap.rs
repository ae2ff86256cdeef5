//! T0 and T1: is this VXLAN, for us, whole, and from a host of this cloud?
//!
//! br-tun of the seed knows a tunnel by its port: `table=0, in_port=2 actions=resubmit(,4)`; the
//! kernel or OVS checked the outer headers before that.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, FrameMeta, L3, Lane, Mask};
use crate::drop_reason::DropReason;
use crate::tables::HostRow;
use crate::trace::{Field, Note};
use crate::umem::Reader;
use crate::wire::{self, ETH_LEN, ethertype, proto};

const STAGE: Stage = Stage::VxlanDecap;

/// Strips the outer headers. Rules: T0, T1 (is the VTEP known).
pub fn vxlan_decap(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    x.enter(STAGE, b, m);
    let to = us(&x.snap.host);
    for lane in m {
        if let Err(reason) = decap(b, x, lane, to) {
            b.drop(lane, STAGE, reason);
        }
    }
    (m & b.traced & b.live).for_each(|lane| x.note(b, lane, STAGE, Note::FromTunnel(b.tunnel[lane])));
}

#[inline(always)]
fn decap(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, to: (u64, u64)) -> Result<(), DropReason> {
    let outer = match plain(b.bytes(lane), to) {
        Some(outer) => outer,
        None => unusual(b, x, lane)?,
    };
    let tunnel = x.snap.vteps.get(outer.src).ok_or(DropReason::UnknownVtep)?;
    b.outer_ecn[lane] = outer.tos & 3;
    if outer.tos & 3 != 0 {
        b.ecn_marked.insert(lane);
    }
    b.vni[lane] = outer.vni;
    b.tunnel[lane] = tunnel;
    let meta = &mut b.meta[lane];
    meta.off += outer.inner_at;
    match meta.segments {
        0 | 1 => meta.len = outer.inner_len,
        _ => long(meta, &outer),
    }
    Ok(())
}

/// Of a frame of several chunks.
#[cold]
fn long(meta: &mut FrameMeta, outer: &Outer) {
    meta.len = meta.len.saturating_sub(outer.inner_at);
    meta.set_whole(outer.inner_len.into());
}

/// What the outer headers say.
#[derive(Clone, Copy)]
struct Outer {
    src: u32,
    tos: u8,
    vni: u32,
    /// Where the inner frame begins, and its length, bytes.
    inner_at: u16,
    inner_len: u16,
}

/// What frames for this host have at byte 0, where the MAC is, and at byte 30: VTEP address, any source port, VXLAN's port.
/// Without a VTEP no frame has it.
fn us(host: &HostRow) -> (u64, u64) {
    let (mac, vtep) = (host.vtep_mac.to_u64() << 16, u64::from(host.vtep) << 32 | u64::from(host.vxlan_port));
    (mac, if host.vtep == 0 { u64::MAX } else { vtep })
}

const MAC: u64 = 0xffff_ffff_ffff_0000;
const VTEP: u64 = 0xffff_ffff_0000_ffff;

/// As other hosts send it: no options, no fragment, no UDP checksum. `None`: something is unusual, look again slowly.
#[inline(always)]
fn plain(frame: &[u8], (mac, vtep): (u64, u64)) -> Option<Outer> {
    let h: &[u8; 64] = frame.first_chunk()?; // the inner Ethernet header is the end of it
    let (ip, udp) = (wire::part::<14, 20, _>(h), wire::part::<34, 16, _>(h));
    let (total_len, udp_len) = (u16::from_be_bytes([ip[2], ip[3]]), u16::from_be_bytes([udp[4], udp[5]]));
    // Each of them one comparison, and none of them ever surprises.
    let good = wire::be64::<0, _>(h) & MAC == mac
        && wire::be32::<12, _>(h) >> 8 == u32::from(ethertype::IPV4) << 8 | 0x45
        && wire::be32::<20, _>(h) & 0x3fff_00ff == u32::from(proto::UDP) // whole
        && wire::be64::<30, _>(h) & VTEP == vtep
        && [udp[6], udp[7]] == [0, 0]
        && udp[8] & 0x08 != 0
        && usize::from(total_len) + usize::from(ETH_LEN) <= frame.len()
        && usize::from(udp_len) + 20 <= usize::from(total_len)
        && udp_len >= 16 + ETH_LEN
        && wire::ip4_header_good(ip);
    if !good {
        return None;
    }
    let vni = wire::be32::<46, _>(h) >> 8;
    Some(Outer { src: wire::be32::<26, _>(h), tos: ip[1], vni, inner_at: 50, inner_len: udp_len - 16 })
}

/// T0 for everything else.
#[inline(never)]
fn unusual(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<Outer, DropReason> {
    let outer = for_us(b.bytes(lane), b.meta[lane].whole(), &x.snap.host)?;
    let (udp, rest) = outer.udp.split_first_chunk::<8>().ok_or(DropReason::VxBad)?;
    let udp_len = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    let (vxlan, _) = rest.split_first_chunk::<8>().ok_or(DropReason::VxBad)?;
    if udp_len < 16 || udp_len > outer.udp_len || vxlan[0] & 0x08 == 0 {
        return Err(DropReason::VxBad);
    }
    if [udp[6], udp[7]] != [0, 0] && udp_sum(b, x, lane, &outer, udp_len) != Some(0xffff) {
        return Err(DropReason::VxBad);
    }
    if udp_len < 16 + usize::from(ETH_LEN) {
        return Err(DropReason::ParseShort);
    }
    let vni = u32::from_be_bytes([0, vxlan[4], vxlan[5], vxlan[6]]);
    let (inner_at, inner_len) = (outer.udp_at as u16 + 16, (udp_len - 16) as u16);
    Ok(Outer { src: outer.src, tos: outer.tos, vni, inner_at, inner_len })
}

/// The outer packet from the UDP header on.
struct Datagram<'a> {
    src: u32,
    dst: u32,
    tos: u8,
    /// As far as it is in the first chunk.
    udp: &'a [u8],
    /// Its whole length, as the IP header has it.
    udp_len: usize,
    /// Where `udp` begins in the frame.
    udp_at: usize,
}

/// T0 up to the UDP port.
fn for_us<'a>(frame: &'a [u8], whole: usize, host: &HostRow) -> Result<Datagram<'a>, DropReason> {
    let eth: &[u8; 14] = frame.first_chunk().ok_or(DropReason::ParseShort)?;
    let dst = MacAddr::new([eth[0], eth[1], eth[2], eth[3], eth[4], eth[5]]);
    if dst != host.vtep_mac || u16::from_be_bytes([eth[12], eth[13]]) != ethertype::IPV4 {
        return Err(DropReason::NotOurs);
    }
    let packet = frame.get(usize::from(ETH_LEN)..).ok_or(DropReason::ParseL3)?;
    let h: &[u8; 20] = packet.first_chunk().ok_or(DropReason::ParseL3)?;
    let header_len = usize::from(h[0] & 15) * 4;
    let total_len = usize::from(u16::from_be_bytes([h[2], h[3]]));
    if h[0] >> 4 != 4 || header_len < 20 || total_len < header_len || total_len + usize::from(ETH_LEN) > whole {
        return Err(DropReason::ParseL3);
    }
    let src = u32::from_be_bytes([h[12], h[13], h[14], h[15]]);
    let dst = u32::from_be_bytes([h[16], h[17], h[18], h[19]]);
    if dst != host.vtep || host.vtep == 0 || h[9] != proto::UDP {
        return Err(DropReason::NotOurs);
    }
    if packet.get(..header_len).map_or(1, wire::checksum) != 0 {
        return Err(DropReason::ParseL3);
    }
    // A later fragment has no port to tell by; to our VTEP it can only be VXLAN's or lost.
    if u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0 {
        return Err(DropReason::VxBad);
    }
    let udp = packet.get(header_len..total_len.min(packet.len())).ok_or(DropReason::ParseL3)?;
    match udp {
        [_, _, p0, p1, ..] if u16::from_be_bytes([*p0, *p1]) == host.vxlan_port => {}
        _ => return Err(DropReason::NotOurs),
    }
    let udp_len = total_len - header_len;
    Ok(Datagram { src, dst, tos: h[1], udp, udp_len, udp_at: usize::from(ETH_LEN) + header_len })
}

#[cold]
fn udp_sum(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, outer: &Datagram<'_>, udp_len: usize) -> Option<u16> {
    let pseudo = wire::pseudo4(outer.src, outer.dst, proto::UDP, udp_len as u16);
    let sum = Reader::new(&x.region, b.frame[lane].as_ref()?, outer.udp).sum(udp_len)?;
    Some(wire::fold(u64::from(sum) + pseudo))
}

/// What the outer header says of congestion goes into the inner one (RFC 6040, 4.2).
pub(super) fn restore_ecn(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Result<(), DropReason> {
    const NOT_ECT: u8 = 0;
    const ECT1: u8 = 1;
    const CE: u8 = 3;
    let (l3, tos) = (b.l3[lane], b.ip[lane].tos);
    if !matches!(l3, L3::Ipv4 | L3::Ipv6) {
        return Ok(());
    }
    let new = match (tos & 3, b.outer_ecn[lane]) {
        (NOT_ECT, CE) => return Err(DropReason::EcnBad),
        (NOT_ECT, _) | (CE, _) => return Ok(()),
        (_, CE) => tos | CE,
        (_, ECT1) => tos & !3 | ECT1,
        _ => return Ok(()),
    };
    if new == tos {
        return Ok(());
    }
    x.note(b, lane, STAGE, Note::Set(Field::Tos, u64::from(tos), u64::from(new)));
    b.ip[lane].tos = new;
    let at = b.l3_off[lane];
    if l3 == L3::Ipv6 {
        if let Some([_, second]) = b.at_mut::<2>(lane, at) {
            *second = *second & 0x0f | new << 4; // the ECN bits are in the second octet
        }
    } else if let Some(h) = b.at_mut::<20>(lane, at) {
        let check = wire::update(
            u16::from_be_bytes([h[10], h[11]]),
            u16::from_be_bytes([h[0], tos]),
            u16::from_be_bytes([h[0], new]),
        );
        h[1] = new;
        [h[10], h[11]] = check.to_be_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
