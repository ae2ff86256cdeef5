//! R9's and O2's ink: what the routers decided is written into the frame, once; frames that leave
//! the host get its own DVR MAC as source.
//!
//! br-tun of the seed: `table=1, priority=1,dl_vlan=1,dl_src=fa:16:3e:ec:f3:dd
//! actions=mod_dl_src:fa:16:3f:b2:34:82,resubmit(,2)`.

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, FloodSet, Lane, Mask, Out, write_macs};
use crate::drop_reason::DropReason;
use crate::trace::{Field, Note};
use crate::wire::{self, ETH_LEN, nat, proto};

const STAGE: Stage = Stage::DvrProcess;

/// Writes Ethernet addresses, TTL and translated addresses of every routed frame; masks the router's MAC on those
/// that go to the fabric. Rules: R9, O2, FO, FI, D6.
pub fn dvr_process(b: &mut Burst<'_>, x: &Ctx<'_>, routed: Mask) {
    x.enter(STAGE, b, routed);
    let own = x.snap.host.dvr_mac;
    let (unmasked, translated) = (b.unmasked, b.nat_src | b.nat_dst);
    for lane in routed {
        let mut src = b.src[lane];
        let stays = matches!(b.out[lane], Out::Port(_) | Out::Flood(FloodSet { fabric: false, .. }));
        if !stays && !unmasked.has(lane) {
            if own.is_zero() {
                b.drop(lane, STAGE, DropReason::RouterDown); // never with the router's MAC in its place
                continue;
            }
            x.note(b, lane, STAGE, Note::Set(Field::EthSrc, src.to_u64(), own.to_u64()));
            src = own;
        }
        write(b, lane, src);
    }
    for lane in routed & translated & b.live {
        if b.traced.has(lane) || !translate_plain(b, lane) {
            translate(b, x, lane);
        }
    }
}

/// D6 for a whole TCP or UDP packet with its checksum where it mostly is. `false`: it is none.
#[inline(always)]
fn translate_plain(b: &mut Burst<'_>, lane: Lane) -> bool {
    let (addresses, ip) = (u64::from(b.ip_src[lane]) << 32 | u64::from(b.ip_dst[lane]), b.ip[lane]);
    match ip.proto {
        proto::UDP if b.plain.has(lane) && ip.total_len >= 28 => {
            b.head_mut::<42>(lane).map(|h| nat::set_both::<42, 40>(h, addresses, true))
        }
        proto::TCP if b.plain.has(lane) && ip.total_len >= 38 => {
            b.head_mut::<52>(lane).map(|h| nat::set_both::<52, 50>(h, addresses, false))
        }
        _ => None,
    }
    .is_some()
}

#[inline(always)]
fn write(b: &mut Burst<'_>, lane: Lane, src: MacAddr) {
    b.src[lane] = src;
    let (dst, ttl) = (b.dst[lane], b.ip[lane].ttl);
    let Some(head) = b.head_mut::<26>(lane) else { return };
    if let Some(macs) = head.first_chunk_mut() {
        write_macs(macs, dst, src);
    }
    // In the byte order of this machine: it does not matter to sums (RFC 1071, 2 B).
    let word = |high: u8, low: u8| u16::from_ne_bytes([high, low]);
    let check = wire::update(word(head[24], head[25]), word(head[22], head[23]), word(ttl, head[23]));
    head[22] = ttl;
    head[24..26].copy_from_slice(&check.to_ne_bytes());
}

/// D6: the addresses that FO and FI decided, with every checksum that covers them.
#[cold]
fn translate(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    let (src, dst) = (b.ip_src[lane], b.ip_dst[lane]);
    let (new_src, new_dst) = (b.nat_src.has(lane), b.nat_dst.has(lane));
    let was = b.at::<8>(lane, ETH_LEN + 12).map_or(0, |a| u64::from_be_bytes(*a));
    let (start, len) = (usize::from(ETH_LEN), usize::from(b.ip[lane].total_len));
    let Some(packet) = b.bytes_mut(lane).get_mut(start..start + len) else { return };
    if new_src {
        nat::set_source(packet, src);
        x.note(b, lane, STAGE, Note::Set(Field::IpSrc, was >> 32, u64::from(src)));
    }
    let Some(packet) = b.bytes_mut(lane).get_mut(start..start + len) else { return };
    if new_dst {
        nat::set_destination(packet, dst);
        x.note(b, lane, STAGE, Note::Set(Field::IpDst, was & 0xffff_ffff, u64::from(dst)));
    }
}

#[cfg(test)]
mod tests;
