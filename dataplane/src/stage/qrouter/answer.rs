//! R2: packets for the router itself. Echo is answered in its own frame; who sends UDP or TCP is told that nobody
//! listens; everything else is swallowed.

use super::{NO_IFACE, STAGE, Visit, tell};
use crate::burst::{Burst, Door, Lane, Out, Word};
use crate::drop_reason::DropReason;
use crate::stage::Ctx;
use crate::tables::{IfaceIx, NO_ROUTER, RouterIx};
use crate::trace::Note;
use crate::umem::Reader;
use crate::wire::icmp::IcmpError;
use crate::wire::{self, ETH_LEN, proto};

/// A request straight from a port is answered straight back to it; one that came through another
/// router gets an answer that is routed like any packet of this router. Rules: R2, R2-l4.
#[inline(never)]
pub(super) fn to_router(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, router: RouterIx, visit: &mut Visit) {
    match request(b, x, lane) {
        Request::Echo => echo(b, x, lane, router, visit),
        Request::BadEcho => b.drop(lane, STAGE, DropReason::CtInvalid),
        Request::Udp => refuse(b, x, lane, Word::Error(IcmpError::PORT_UNREACHABLE), router, visit),
        Request::Tcp => refuse(b, x, lane, Word::Reset, router, visit),
        Request::Other => b.consume(lane, STAGE),
    }
}

/// FI to the fg- address itself: echo only.
#[inline(never)]
pub(in crate::stage) fn to_fg(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, visit: &mut Visit) {
    match request(b, x, lane) {
        Request::Echo => echo(b, x, lane, NO_ROUTER, visit),
        Request::BadEcho => b.drop(lane, STAGE, DropReason::CtInvalid),
        _ => b.drop(lane, STAGE, DropReason::FipNotLocal),
    }
}

/// The same from inside: the answer comes out of the fip namespace as any packet for a floating IP does. Rules: FI, FO3.
#[inline(never)]
pub(super) fn to_fg_from_inside(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, fg: IfaceIx, visit: &mut Visit) {
    match request(b, x, lane) {
        Request::Echo => {
            make_reply(b, x, lane);
            again(lane, (fg, NO_ROUTER), visit);
        }
        Request::BadEcho => b.drop(lane, STAGE, DropReason::CtInvalid),
        _ => b.drop(lane, STAGE, DropReason::FipNotLocal),
    }
}

/// What a packet to a router's own address wants.
enum Request {
    Echo,
    BadEcho,
    Udp,
    Tcp,
    Other,
}

fn request(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Request {
    let ip = b.ip[lane];
    let payload = b.packet(lane).get(usize::from(ip.header_len)..).unwrap_or_default();
    match ip.proto {
        _ if b.fragments.has(lane) => Request::Other,
        proto::ICMP if !matches!(payload, [8, 0, _, _, _, _, _, _, ..]) => Request::Other,
        proto::ICMP if message_sum(b, x, lane) == Some(0xffff) => Request::Echo,
        proto::ICMP => Request::BadEcho,
        proto::UDP => Request::Udp,
        proto::TCP => Request::Tcp,
        _ => Request::Other,
    }
}

/// Sum of what the IP header carries; `None`: it is not all there.
fn message_sum(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane) -> Option<u16> {
    let ip = b.ip[lane];
    let first = b.bytes(lane).get(usize::from(b.l3_off[lane] + ip.header_len)..)?;
    Reader::new(&x.region, b.frame[lane].as_ref()?, first).sum(usize::from(ip.total_len.checked_sub(ip.header_len)?))
}

/// The request has served its purpose; its sender hears that nobody listens.
fn refuse(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, word: Word, router: RouterIx, visit: &Visit) {
    b.consume(lane, STAGE);
    tell::owe(b, x, lane, word, router, visit);
}

/// The answer in the request's own frame.
fn echo(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, router: RouterIx, visit: &mut Visit) {
    make_reply(b, x, lane);
    let straight = visit.trav[lane] == 0;
    match b.door[lane] {
        Door::Port(port) if straight => back(b, lane, Out::Port(port)),
        Door::Phys(_) if straight => back(b, lane, Out::Phys),
        _ => {
            visit.own.insert(lane);
            again(lane, (NO_IFACE, router), visit);
        }
    }
}

fn make_reply(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) {
    x.note(b, lane, STAGE, Note::RouterAnswers(b.ip_dst[lane]));
    x.count.consumed.add(1);
    x.count.generated.add(1);
    x.count.stage(STAGE).consumed.add(1);
    remove_options(b, lane);
    b.cut.remove(lane); // whether the answer is too large is its own affair
    b.meta[lane].made_here();
    reply(b, x, lane);
}

/// The answer begins its own way at this interface and router.
fn again(lane: Lane, (iface, at): (IfaceIx, RouterIx), visit: &mut Visit) {
    visit.trav[lane] = 0;
    visit.at[lane] = at;
    visit.iface[lane] = iface;
    visit.made.insert(lane);
    visit.inward.remove(lane);
    visit.next.insert(lane);
}

/// To where it came from.
fn back(b: &mut Burst<'_>, lane: Lane, out: Out) {
    let (to, from) = (b.src[lane], b.dst[lane]);
    b.set_macs(lane, to, from);
    b.unmasked.insert(lane);
    b.send(lane, out);
}

/// Moves Ethernet and IPv4 header up to the ICMP header, over the options; cuts padding off.
fn remove_options(b: &mut Burst<'_>, lane: Lane) {
    let ip = b.ip[lane];
    let options = ip.header_len - 20;
    b.meta[lane].set_whole(usize::from(b.l3_off[lane] + ip.total_len));
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
fn reply(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane) {
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
    set_kind_and_sum(b, lane, 0);
    let sum = message_sum(b, x, lane).unwrap_or_default();
    set_kind_and_sum(b, lane, !sum);
    b.ip_src[lane] = src;
    b.ip_dst[lane] = dst;
    b.ip[lane].ttl = 64;
}

/// Makes the message an echo reply with this checksum.
fn set_kind_and_sum(b: &mut Burst<'_>, lane: Lane, sum: u16) {
    if let Some([kind, _, c0, c1]) = b.at_mut::<4>(lane, b.l3_off[lane] + 20) {
        *kind = 0;
        [*c0, *c1] = sum.to_be_bytes();
    }
}
