//! R9's and O2's ink: what the routers decided is written into the frame, once; frames that leave
//! the host get its own DVR MAC as source.
//!
//! br-tun of the seed: `table=1, priority=1,dl_vlan=1,dl_src=fa:16:3e:ec:f3:dd
//! actions=mod_dl_src:fa:16:3f:b2:34:82,resubmit(,2)`.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, Checksum, FloodSet, Lane, Mask, Out, write_macs};
use crate::drop_reason::DropReason;
use crate::trace::{Field, Note};
use crate::wire::{self, ETH_LEN, nat, proto};

const STAGE: Stage = Stage::DvrProcess;

/// Writes Ethernet addresses, TTL and translated addresses of every routed frame; masks the router's MAC on those
/// that go to the fabric. Rules: R9, O2, FO, FI, D6.
pub fn dvr_process(b: &mut Burst<'_>, x: &Ctx<'_>, routed: Mask) {
    x.enter(STAGE, b, routed);
    let translated = b.nat_src | b.nat_dst;
    for lane in routed.without(translated) {
        if let Some(src) = source(b, x, lane) {
            write::<26>(b, lane, src, |_| {});
        }
    }
    for lane in routed & translated {
        let Some(src) = source(b, x, lane) else { continue };
        if (b.traced | b.heavy).has(lane) || !write_translated(b, lane, src) {
            write::<26>(b, lane, src, |_| {});
            translate(b, x, lane);
        }
    }
}

/// O2: the source MAC it leaves with; `None`: it has been dropped.
#[inline(always)]
fn source(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Option<MacAddr> {
    let (src, own) = (b.src[lane], x.snap.host.dvr_mac);
    let stays = matches!(b.out[lane], Out::Port(_) | Out::Flood(FloodSet { fabric: false, .. }));
    if stays || b.unmasked.has(lane) {
        return Some(src);
    }
    if own.is_zero() {
        b.drop(lane, STAGE, DropReason::RouterDown); // never with the router's MAC in its place
        return None;
    }
    x.note(b, lane, STAGE, Note::Set(Field::EthSrc, src.to_u64(), own.to_u64()));
    Some(own)
}

/// All of R9 and D6 at once, for a whole TCP or UDP packet with its checksum where it mostly is. `false`: it is none, and
/// nothing is written.
#[inline(always)]
fn write_translated(b: &mut Burst<'_>, lane: Lane, src: MacAddr) -> bool {
    let (addresses, ip) = (u64::from(b.ip_src[lane]) << 32 | u64::from(b.ip_dst[lane]), b.ip[lane]);
    match ip.proto {
        _ if !b.plain.has(lane) => false,
        proto::UDP if ip.total_len >= 28 => write::<42>(b, lane, src, |h| nat::set_both::<42, 40>(h, addresses, true)),
        proto::TCP if ip.total_len >= 38 => write::<52>(b, lane, src, |h| nat::set_both::<52, 50>(h, addresses, false)),
        _ => false,
    }
}

/// R9, in the first `N` bytes of the frame, and what else there is to do there. `false`: it is shorter.
#[inline(always)]
fn write<const N: usize>(b: &mut Burst<'_>, lane: Lane, src: MacAddr, and: impl FnOnce(&mut [u8; N])) -> bool {
    let (dst, ttl) = (b.dst[lane], b.ip[lane].ttl);
    b.src[lane] = src;
    let Some(frame) = b.head_mut::<N>(lane) else { return false };
    let Some(head) = frame.first_chunk_mut::<26>() else { return false };
    if let Some(macs) = head.first_chunk_mut() {
        write_macs(macs, dst, src);
    }
    // In the byte order of this machine: it does not matter to sums (RFC 1071, 2 B).
    let word = |high: u8, low: u8| u16::from_ne_bytes([high, low]);
    let check = wire::update(word(head[24], head[25]), word(head[22], head[23]), word(ttl, head[23]));
    head[22] = ttl;
    head[24..26].copy_from_slice(&check.to_ne_bytes());
    and(frame);
    true
}

/// D6: the addresses that FO and FI decided, with every checksum that covers them.
#[cold]
fn translate(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    let (src, dst) = (b.ip_src[lane], b.ip_dst[lane]);
    let (new_src, new_dst) = (b.nat_src.has(lane), b.nat_dst.has(lane));
    let was = b.at::<8>(lane, ETH_LEN + 12).map_or(0, |a| u64::from_be_bytes(*a));
    invert_unfinished(b, lane);
    if new_src {
        nat::set_source(b.packet_mut(lane), src);
        x.note(b, lane, STAGE, Note::Set(Field::IpSrc, was >> 32, u64::from(src)));
    }
    if new_dst {
        nat::set_destination(b.packet_mut(lane), dst);
        x.note(b, lane, STAGE, Note::Set(Field::IpDst, was & 0xffff_ffff, u64::from(dst)));
    }
    invert_unfinished(b, lane);
}

/// What stands in place of a checksum that is to be done is the sum of the pseudo-header; inverted, it follows addresses as
/// a checksum does. 0 and 0xffff are the same to a sum, and 0 is none to UDP.
fn invert_unfinished(b: &mut Burst<'_>, lane: Lane) {
    let Checksum::Partial { start, offset } = b.meta[lane].csum else { return };
    if let Some(field) = b.at_mut::<2>(lane, start.saturating_add(offset)) {
        let sum = u16::from_be_bytes(*field);
        *field = (!if sum == 0xffff { 0 } else { sum }).to_be_bytes();
    }
}

#[cfg(test)]
mod tests;
