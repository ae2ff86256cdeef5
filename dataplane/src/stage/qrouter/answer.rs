//! R2: packets for the router itself. Only echo is answered; everything else is swallowed.

use super::{STAGE, Visit};
use crate::burst::{Burst, Door, Lane, Out};
use crate::drop_reason::DropReason;
use crate::stage::Ctx;
use crate::trace::Note;
use crate::wire::{self, ETH_LEN, proto};

/// A request straight from a port is answered straight back to it; one that came through another
/// router gets an answer that is routed like any packet of this router.
#[inline(never)]
pub(super) fn to_router(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, visit: &mut Visit) -> Result<(), DropReason> {
    let ip = b.ip[lane];
    let start = usize::from(b.l3_off[lane] + ip.header_len);
    let end = usize::from(b.l3_off[lane] + ip.total_len);
    let icmp = b.bytes(lane).get(start..end).unwrap_or_default();
    if ip.proto != proto::ICMP || ip.fragment || !matches!(icmp, [8, 0, _, _, _, _, _, _, ..]) {
        b.consume(lane, STAGE);
        return Ok(());
    }
    if wire::checksum(icmp) != 0 {
        return Err(DropReason::CtInvalid);
    }
    x.note(b, lane, STAGE, Note::RouterAnswers(b.ip_dst[lane]));
    x.count.consumed.add(1);
    x.count.generated.add(1);
    x.count.stage(STAGE).consumed.add(1);
    remove_options(b, lane);
    b.meta[lane].made_here();
    reply(b, lane);
    match b.door[lane] {
        Door::Port(port) if visit.trav[lane] == 0 => {
            let (to, from) = (b.src[lane], b.dst[lane]);
            b.set_macs(lane, to, from);
            b.send(lane, Out::Port(port));
        }
        _ => {
            visit.trav[lane] = 0;
            visit.own.insert(lane);
            visit.next.insert(lane);
        }
    }
    Ok(())
}

/// Moves Ethernet and IPv4 header up to the ICMP header, over the options; cuts padding off.
fn remove_options(b: &mut Burst<'_>, lane: Lane) {
    let ip = b.ip[lane];
    let options = ip.header_len - 20;
    b.meta[lane].len = b.l3_off[lane] + ip.total_len;
    if options > 0 {
        let head = usize::from(b.l3_off[lane]) + 20;
        let bytes = b.bytes_mut(lane);
        if let Some(both) = bytes.get_mut(..head + usize::from(options)) {
            both.copy_within(..head, usize::from(options));
        }
        b.meta[lane].off += options;
        b.meta[lane].len -= options;
        b.ip[lane].total_len -= options;
        b.ip[lane].header_len = 20;
    }
    debug_assert_eq!(b.l3_off[lane], ETH_LEN);
}

/// Echo request to echo reply: addresses swapped, type 0, TTL 64; TOS, ID and flags as they came.
fn reply(b: &mut Burst<'_>, lane: Lane) {
    let (l3, total_len) = (b.l3_off[lane], b.ip[lane].total_len);
    let (src, dst) = (b.ip_dst[lane], b.ip_src[lane]);
    if let Some(h) = b.at_mut::<20>(lane, l3) {
        h[0] = 0x45;
        [h[2], h[3]] = total_len.to_be_bytes();
        h[8] = 64;
        [h[10], h[11]] = [0, 0];
        [h[12], h[13], h[14], h[15]] = src.to_be_bytes();
        [h[16], h[17], h[18], h[19]] = dst.to_be_bytes();
        [h[10], h[11]] = wire::checksum(h).to_be_bytes();
    }
    // Summed anew: of an all-zero message an update of the old sum gives 0, which no receiver takes for right.
    let message = usize::from(l3) + 20..usize::from(l3 + total_len);
    if let Some(icmp) = b.bytes_mut(lane).get_mut(message) {
        set_kind_and_sum(icmp, [0, 0]);
        set_kind_and_sum(icmp, wire::checksum(icmp).to_be_bytes());
    }
    b.ip_src[lane] = src;
    b.ip_dst[lane] = dst;
    b.ip[lane].ttl = 64;
}

/// Makes the message an echo reply with this checksum.
fn set_kind_and_sum(icmp: &mut [u8], sum: [u8; 2]) {
    if let [kind, _, c0, c1, ..] = icmp {
        *kind = 0;
        [*c0, *c1] = sum;
    }
}
