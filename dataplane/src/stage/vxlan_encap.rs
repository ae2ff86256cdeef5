//! O3: the outer headers (RFC 7348, 5).
//!
//! br-tun of the seed: `table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:13:93:0d
//! actions=strip_vlan,set_tunnel:0x4,output:2`; the table is asked in `local_switching`, this is the output.

use super::{Ctx, Stage};
use crate::burst::{Burst, L3, Lane, Mask, Out};
use crate::drop_reason::DropReason;
use crate::tables::{OUTER, SegRow, TunnelIx, TunnelRow, Wire};
use crate::trace::Note;
use crate::wire;

const STAGE: Stage = Stage::VxlanEncap;

/// Puts the outer headers before every frame of `m` that goes to a tunnel. Rules: O3.
pub fn vxlan_encap(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    let mut mine = Mask::NONE;
    for lane in m {
        if let Out::Tunnel(tunnel) = b.out[lane] {
            mine.insert(lane);
            if let Err(reason) = encap(b, x, lane, tunnel) {
                b.drop(lane, STAGE, reason);
            }
        }
    }
    x.count.stage(STAGE).packets.add(mine.count());
}

#[inline(always)]
fn encap(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, tunnel: TunnelIx) -> Result<(), DropReason> {
    // A T06 row of a batch that makes this network VXLAN, which this burst does not see yet, or no longer.
    let Some(SegRow { wire: Wire::Vxlan(vni), .. }) = x.seg(b, lane) else { return Err(DropReason::PortGone) };
    let host = &x.snap.host;
    let len = b.meta[lane].len;
    if u32::from(len) + OUTER as u32 - 14 > u32::from(host.underlay_mtu) {
        return Err(DropReason::Mtu);
    }
    if usize::from(b.meta[lane].off) < OUTER {
        return Err(DropReason::NoHeadroom);
    }
    let inner_tos = match b.l3[lane] {
        L3::Ipv4 | L3::Ipv6 => b.ip[lane].tos,
        _ => 0,
    };
    let tos = inner_tos & host.outer_tos_mask | host.outer_tos;
    let port = source_port(b, lane);
    x.note(b, lane, STAGE, Note::Encap(*vni, port));
    b.meta[lane].off -= OUTER as u16;
    b.meta[lane].len = len + OUTER as u16;
    let head = b.at_mut::<OUTER>(lane, 0).ok_or(DropReason::Internal)?;
    x.with_tunnel(tunnel, |row| write(head, row, *vni, len, tos, port)).unwrap_or(Err(DropReason::PortGone))
}

/// The tunnel's ready header, with lengths, TOS, checksum, source port and VNI filled in. Written
/// straight into the frame: a copy assembled on the stack would be read back before its stores are done.
#[inline(always)]
fn write(h: &mut [u8; OUTER], row: &TunnelRow, vni: u32, len: u16, tos: u8, port: u16) -> Result<(), DropReason> {
    if !row.resolved {
        return Err(DropReason::UnderlayUnresolved);
    }
    let (ip_len, udp_len) = (len + 36, len + 16);
    let check = u16::from_be_bytes([row.header[24], row.header[25]]); // of the header with length and TOS 0
    let check = !wire::fold_few(u32::from(!check) + u32::from(ip_len) + u32::from(tos));
    *h = row.header;
    h[15] = tos;
    h[16..18].copy_from_slice(&ip_len.to_be_bytes());
    h[24..26].copy_from_slice(&check.to_be_bytes());
    h[34..36].copy_from_slice(&port.to_be_bytes());
    h[38..40].copy_from_slice(&udp_len.to_be_bytes());
    h[46..50].copy_from_slice(&(vni << 8).to_be_bytes());
    Ok(())
}

/// Outer UDP source port: the same for every packet of a flow and on every host, spread over
/// 49152-65535 (RFC 7348, 4.2.1).
#[inline(always)]
pub fn source_port(b: &Burst<'_>, lane: Lane) -> u16 {
    let ports = u64::from(b.ip[lane].proto) << 32 | u64::from(b.ports[lane]);
    let (a, c) = match b.l3[lane] {
        L3::Ipv4 => (u64::from(b.ip_src[lane]) << 32 | u64::from(b.ip_dst[lane]), ports),
        L3::Ipv6 => (half_xor(b.ip6_src[lane]) ^ half_xor(b.ip6_dst[lane]), ports),
        _ => (b.dst[lane].to_u64(), b.src[lane].to_u64() << 16 | u64::from(b.ethertype[lane])),
    };
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
