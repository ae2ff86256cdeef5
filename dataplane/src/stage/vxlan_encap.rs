//! O3: the outer headers (RFC 7348, 5).
//!
//! br-tun of the seed: `table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:13:93:0d
//! actions=strip_vlan,set_tunnel:0x4,output:2`; the table is asked in `local_switching`, this is the output.

use super::{Ctx, Stage};
use crate::burst::{Burst, L3, Lane, Mask, Out};
use crate::drop_reason::DropReason;
use crate::tables::{OUTER, SegRow, TunnelIx, TunnelRow, Wire};
use crate::trace::Note;
use crate::umem::Frame;
use crate::wire;

const STAGE: Stage = Stage::VxlanEncap;

/// Puts the outer headers before every frame of `m` that goes to a tunnel; returns those that do. Rules: O3.
pub fn vxlan_encap(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) -> Mask {
    let mut mine = Mask::NONE;
    let (mut last, mut network) = (0, None);
    for lane in m {
        let Out::Tunnel(tunnel) = b.out[lane] else { continue };
        mine.insert(lane);
        if b.seg[lane] != last {
            last = b.seg[lane];
            network = vni(x.snap.segments.get(last));
        }
        if let Err(reason) = encap(b, x, lane, network, tunnel) {
            b.drop(lane, STAGE, reason);
        }
    }
    x.count.stage(STAGE).packets.add(mine.count());
    (mine & b.traced & b.live).for_each(|lane| note(b, x, lane));
    mine & b.decided
}

/// What was written, for a traced frame.
#[cold]
fn note(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    if let Some(h) = b.at::<OUTER>(lane, 0) {
        let (vni, port) = (wire::be32::<46, _>(h) >> 8, u16::from_be_bytes([h[34], h[35]]));
        x.note(b, lane, STAGE, Note::Encap(vni, port));
    }
}

#[inline(always)]
fn vni(seg: Option<&SegRow>) -> Option<u32> {
    match seg?.wire {
        Wire::Vxlan(vni) => Some(vni),
        _ => None,
    }
}

#[inline(always)]
fn encap(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, vni: Option<u32>, tunnel: TunnelIx) -> Result<(), DropReason> {
    // None: a T06 row of a batch that makes this network VXLAN, which this burst does not see yet, or no longer.
    let vni = vni.ok_or(DropReason::PortGone)?;
    let host = &x.snap.host;
    let (off, len) = (b.meta[lane].off, b.meta[lane].len);
    if u32::from(len) + OUTER as u32 - 14 > u32::from(host.underlay_mtu) {
        return Err(DropReason::Mtu);
    }
    let start = usize::from(off).checked_sub(OUTER).ok_or(DropReason::NoHeadroom)?;
    let inner_tos = match b.l3[lane] {
        L3::Ipv4 | L3::Ipv6 => b.ip[lane].tos,
        _ => 0,
    };
    let tos = inner_tos & host.outer_tos_mask | host.outer_tos;
    let port = if b.plain.has(lane) { source_port_ip4(b, lane) } else { source_port(b, lane) };
    b.meta[lane].off = start as u16;
    b.meta[lane].len = len + OUTER as u16;
    let chunk = b.frame[lane].as_mut().map(Frame::chunk_mut);
    let head = chunk.and_then(|c| c.get_mut(start..)).and_then(|c| c.first_chunk_mut::<OUTER>());
    let (head, fill) = (head.ok_or(DropReason::Internal)?, Fill { vni, len, tos, port });
    match x.snap.tunnels.get(tunnel) {
        Some(row) => write(head, row, fill),
        None => newest(x, tunnel, head, fill),
    }
}

/// As `write`, for a tunnel that this burst's snapshot lacks.
#[cold]
fn newest(x: &Ctx<'_>, tunnel: TunnelIx, head: &mut [u8; OUTER], fill: Fill) -> Result<(), DropReason> {
    x.with_tunnel(tunnel, |row| write(head, row, fill)).unwrap_or(Err(DropReason::PortGone))
}

/// What a packet's outer header says that its tunnel's does not.
#[derive(Clone, Copy)]
struct Fill {
    vni: u32,
    /// Of the inner frame, bytes.
    len: u16,
    tos: u8,
    /// UDP source port.
    port: u16,
}

/// The tunnel's ready header, with lengths, TOS, checksum, source port and VNI filled in. Written
/// straight into the frame: a copy assembled on the stack would be read back before its stores are done.
#[inline(always)]
fn write(h: &mut [u8; OUTER], row: &TunnelRow, fill: Fill) -> Result<(), DropReason> {
    if !row.resolved {
        return Err(DropReason::UnderlayUnresolved);
    }
    let (ip_len, udp_len) = (fill.len + 36, fill.len + 16);
    let check = u16::from_be_bytes([row.header[24], row.header[25]]); // of the header with length and TOS 0
    let check = !wire::fold_few(u32::from(!check) + u32::from(ip_len) + u32::from(fill.tos));
    *h = row.header;
    h[15] = fill.tos;
    h[16..18].copy_from_slice(&ip_len.to_be_bytes());
    h[24..26].copy_from_slice(&check.to_be_bytes());
    h[34..36].copy_from_slice(&fill.port.to_be_bytes());
    h[38..40].copy_from_slice(&udp_len.to_be_bytes());
    h[46..50].copy_from_slice(&(fill.vni << 8).to_be_bytes());
    Ok(())
}

/// Outer UDP source port: the same for every packet of a flow and on every host, spread over
/// 49152-65535 (RFC 7348, 4.2.1).
#[inline(never)]
pub fn source_port(b: &Burst<'_>, lane: Lane) -> u16 {
    match b.l3[lane] {
        L3::Ipv4 => source_port_ip4(b, lane),
        L3::Ipv6 => spread(half_xor(b.ip6_src[lane]) ^ half_xor(b.ip6_dst[lane]), upper(b, lane)),
        _ => spread(b.dst[lane].to_u64(), b.src[lane].to_u64() << 16 | u64::from(b.ethertype[lane])),
    }
}

#[inline(always)]
fn source_port_ip4(b: &Burst<'_>, lane: Lane) -> u16 {
    spread(u64::from(b.ip_src[lane]) << 32 | u64::from(b.ip_dst[lane]), upper(b, lane))
}

/// Protocol and ports.
#[inline(always)]
fn upper(b: &Burst<'_>, lane: Lane) -> u64 {
    u64::from(b.ip[lane].proto) << 32 | u64::from(b.ports[lane])
}

#[inline(always)]
fn spread(a: u64, c: u64) -> u16 {
    let mut h = (a ^ c.rotate_left(24)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    h ^= h >> 32;
    h = h.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    49152 + (h >> 50) as u16
}

#[inline(always)]
fn half_xor(address: u128) -> u64 {
    (address >> 64) as u64 ^ address as u64
}

#[cfg(test)]
mod tests;
