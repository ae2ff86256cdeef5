//! O3: the outer headers (RFC 7348, 5).
//!
//! br-tun of the seed: `table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:13:93:0d
//! actions=strip_vlan,set_tunnel:0x4,output:2`; the table is asked in `local_switching`, this is the output.

use super::{Ctx, Stage};
use crate::burst::{Burst, L3, Lane, Lanes, Mask, Out};
use crate::drop_reason::DropReason;
use crate::tables::{HostRow, OUTER, SegRow, TunnelRow, Wire};
use crate::trace::Note;
use crate::umem::Frame;
use crate::wire;

const STAGE: Stage = Stage::VxlanEncap;

/// Puts the outer headers before every frame of `m` that goes to a tunnel; returns those that do at once. Where the MAC of
/// the way is not known they wait ([`Out::Unresolved`]). Rules: O3, O3-wait.
pub fn vxlan_encap(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) -> Mask {
    let mine: Mask = m.filter(|lane| matches!(b.out[*lane], Out::Tunnel(_))).collect();
    if mine.is_empty() {
        return mine;
    }
    x.begin(STAGE);
    let mut flow = Lanes::splat(Flow::default());
    for lane in mine {
        flow[lane] = if b.plain.has(lane) { Flow::of_ip4(b, lane) } else { Flow::of(b, lane) };
    }
    let (mut last, mut network) = (0, None);
    for lane in mine {
        if b.seg[lane] != last {
            last = b.seg[lane];
            network = vni(x.snap.segments.get(last)).map(vxlan_header);
        }
        let row = match b.out[lane] {
            Out::Tunnel(tunnel) => x.snap.tunnels.get(tunnel),
            _ => None,
        };
        let result = match (row, network) {
            (Some(row), Some(vxlan)) => encap::<false>(b, &x.snap.host, lane, row, (vxlan, flow[lane])),
            _ => by_newest(b, x, lane, (network, flow[lane])),
        };
        if let Err(reason) = result {
            refused(b, x, lane, reason, (network, flow[lane]));
        }
    }
    x.count.stage(STAGE).packets.add(mine.count());
    (mine & b.traced & b.live).for_each(|lane| note(b, x, lane));
    (mine & b.decided).without(b.unresolved)
}

/// What an outer header takes from the packet inside.
#[derive(Clone, Copy, Default)]
struct Flow {
    /// UDP source port.
    port: u16,
    tos: u8,
}

impl Flow {
    #[inline(always)]
    fn of_ip4(b: &Burst<'_>, lane: Lane) -> Self {
        Flow { port: source_port_ip4(b, lane), tos: b.ip[lane].tos }
    }

    #[inline(never)]
    fn of(b: &Burst<'_>, lane: Lane) -> Self {
        let tos = if matches!(b.l3[lane], L3::Ipv4 | L3::Ipv6) { b.ip[lane].tos } else { 0 };
        Flow { port: source_port(b, lane), tos }
    }
}

/// What was written, for a traced frame.
#[cold]
fn note(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    if let Some(h) = b.head::<OUTER>(lane) {
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

/// The VXLAN header, as it stands in the frame.
#[inline(always)]
fn vxlan_header(vni: u32) -> [u8; 8] {
    (0x0800_0000_0000_0000 | u64::from(vni) << 8).to_be_bytes()
}

/// As `encap`, for a tunnel or a network that this burst's snapshot lacks.
#[cold]
fn by_newest(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    lane: Lane,
    (network, flow): (Option<[u8; 8]>, Flow),
) -> Result<(), DropReason> {
    // None: a T06 row of a batch that makes this network VXLAN, which this burst does not see yet, or no longer.
    let (Some(vxlan), Out::Tunnel(tunnel)) = (network, b.out[lane]) else { return Err(DropReason::PortGone) };
    let done = x.with_tunnel(tunnel, |row| encap::<false>(b, &x.snap.host, lane, row, (vxlan, flow)));
    done.unwrap_or(Err(DropReason::PortGone))
}

/// `WITHOUT_MAC`: whether or not the row has one.
#[inline(always)]
fn encap<const WITHOUT_MAC: bool>(
    b: &mut Burst<'_>,
    host: &HostRow,
    lane: Lane,
    row: &TunnelRow,
    (vxlan, flow): ([u8; 8], Flow),
) -> Result<(), DropReason> {
    let (off, here) = (b.meta[lane].off, b.meta[lane].len);
    let len = u32::from(here) + b.meta[lane].tail;
    let fits = len + OUTER as u32 - 14 <= u32::from(host.underlay_mtu);
    if !fits || off < OUTER as u16 || !(WITHOUT_MAC || row.resolved) {
        return Err(refusal(fits, off));
    }
    let start = off - OUTER as u16;
    (b.meta[lane].off, b.meta[lane].len) = (start, here + OUTER as u16);
    let start = usize::from(start);
    let chunk = b.frame[lane].as_mut().map(Frame::chunk_mut);
    let place = chunk.and_then(|c| c.get_mut(start..start + OUTER)).and_then(|c| c.first_chunk_mut::<OUTER>());
    let tos = flow.tos & host.outer_tos_mask | host.outer_tos;
    write(place.ok_or(DropReason::Internal)?, row, (vxlan, len as u16, tos), (flow.port, host.vxlan_port));
    Ok(())
}

/// Ends a frame that does not go; one that goes when the MAC of the way is known gets its headers.
#[cold]
fn refused(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, reason: DropReason, (network, flow): (Option<[u8; 8]>, Flow)) {
    let done = match (reason, network, b.out[lane]) {
        (DropReason::UnderlayUnresolved, Some(vxlan), Out::Tunnel(tunnel)) => {
            b.out[lane] = Out::Unresolved(tunnel);
            b.unresolved.insert(lane);
            let done = x.with_tunnel(tunnel, |row| encap::<true>(b, &x.snap.host, lane, row, (vxlan, flow)));
            done.unwrap_or(Err(DropReason::PortGone))
        }
        _ => Err(reason),
    };
    if let Err(reason) = done {
        b.drop(lane, STAGE, reason);
    }
}

/// Why a frame of that kind does not go.
#[cold]
fn refusal(fits: bool, off: u16) -> DropReason {
    match off {
        _ if !fits => DropReason::Mtu,
        off if off < OUTER as u16 => DropReason::NoHeadroom,
        _ => DropReason::UnderlayUnresolved,
    }
}

/// The tunnel's ready header, with lengths, TOS, checksum, source port and VXLAN header filled in. Written
/// straight into the frame: a copy assembled on the stack would be read back before its stores are done.
#[inline(always)]
fn write(
    h: &mut [u8; OUTER],
    row: &TunnelRow,
    (vxlan, len, tos): ([u8; 8], u16, u8),
    (src_port, dst_port): (u16, u16),
) {
    let (ip_len, udp_len) = (len + 36, len + 16);
    let check = !wire::fold_half(row.sum + u32::from(ip_len) + u32::from(tos));
    let udp = u64::from(src_port) << 48 | u64::from(dst_port) << 32 | u64::from(udp_len) << 16;
    h[..34].copy_from_slice(&row.header[..34]);
    h[14..18].copy_from_slice(&(0x4500_0000 | u32::from(tos) << 16 | u32::from(ip_len)).to_be_bytes());
    h[24..26].copy_from_slice(&check.to_be_bytes());
    h[34..42].copy_from_slice(&udp.to_be_bytes());
    h[42..50].copy_from_slice(&vxlan);
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
