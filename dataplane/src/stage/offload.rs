//! Offloads a VM left to its NIC: super-frames and unfinished checksums (virtio_net_hdr, virtio 1.2 section 5.1.6).
//!
//! In Neutron the kernel carries them in its sk_buffs and does them where a device cannot. Here they stay as they are
//! from one VM to the next on this host, and are done in software before a way out that cannot carry them.

use super::{Ctx, Stage};
use crate::burst::{Burst, Checksum, Gso, L3, Lane, Mask, Out};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::io::Carries;
use crate::trace::Note;
use crate::umem::{Reader, Region};
use crate::wire::proto;
use crate::wire::segment::Super;
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::Offload;

/// Drops what says of itself what cannot be: a checksum outside of the packet, segments of no bytes, or of another
/// protocol. Rules: I0-gso.
#[cold]
pub(super) fn check(b: &mut Burst<'_>, m: Mask) {
    for lane in m {
        if !checksum_fits(b, lane) || !segments_fit(b, lane) {
            b.drop(lane, STAGE, DropReason::VnetBad);
        }
    }
}

/// The field is in the first chunk, behind the Ethernet header.
fn checksum_fits(b: &Burst<'_>, lane: Lane) -> bool {
    match b.meta[lane].csum {
        Checksum::Partial { start, offset } => {
            let end = u32::from(start) + u32::from(offset) + 2;
            start >= b.l3_off[lane] && end <= u32::from(b.meta[lane].len)
        }
        Checksum::None | Checksum::Verified => true,
    }
}

fn segments_fit(b: &Burst<'_>, lane: Lane) -> bool {
    let (gso, ip) = (b.meta[lane].gso, b.ip[lane]);
    let of = match gso {
        Gso::None => return true,
        Gso::TcpV4(size) => (L3::Ipv4, proto::TCP, size),
        Gso::TcpV6(size) => (L3::Ipv6, proto::TCP, size),
        Gso::Udp(size) => (b.l3[lane], proto::UDP, size),
    };
    let is = matches!(b.l3[lane], L3::Ipv4 | L3::Ipv6) && (b.l3[lane], ip.proto) == (of.0, of.1);
    is && of.2 > 0 && !b.fragments.has(lane) && partial_at_l4(b, lane) && transport(b, lane).is_some()
}

/// A super-frame's checksum is always left to be done, and covers what TCP's and UDP's do.
fn partial_at_l4(b: &Burst<'_>, lane: Lane) -> bool {
    let l4 = b.l3_off[lane] + b.ip[lane].header_len;
    matches!(b.meta[lane].csum, Checksum::Partial { start, .. } if start == l4)
}

/// Length of the TCP or UDP header, if it is there.
fn transport(b: &Burst<'_>, lane: Lane) -> Option<usize> {
    let l4 = usize::from(b.l3_off[lane] + b.ip[lane].header_len);
    Super::transport(b.ip[lane].proto == proto::UDP, b.bytes(lane).get(l4..)?)
}

/// The largest IP packet a frame leaves as, bytes: of a super-frame headers and one segment. Rules: I0-gso.
pub(super) fn packet_len(b: &Burst<'_>, lane: Lane) -> u16 {
    let ip = b.ip[lane];
    let headers = ip.header_len + transport(b, lane).unwrap_or_default() as u16;
    b.meta[lane].packet_len(ip.total_len, headers)
}

/// R8 for a super-frame whose segments are larger than `mtu`. TCP may be cut smaller, since where a segment ends means
/// nothing in a stream; a datagram may not. `true`: it goes on.
pub(super) fn cut_smaller(b: &mut Burst<'_>, lane: Lane, mtu: u16) -> bool {
    let headers = b.ip[lane].header_len + transport(b, lane).unwrap_or_default() as u16;
    let Some(size) = mtu.checked_sub(headers).filter(|size| *size > 0) else { return false };
    match &mut b.meta[lane].gso {
        Gso::TcpV4(now) | Gso::TcpV6(now) => *now = size.min(*now),
        Gso::None | Gso::Udp(_) => return false,
    }
    true
}

/// Does what the way out of a frame cannot carry: fills checksums in, and marks super-frames to be cut where they leave.
/// Rules: I0-gso.
#[cold]
pub fn offload<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    let region = io.pool.region();
    for lane in b.heavy & b.decided {
        let carries = if b.cut.has(lane) { Carries::NOTHING } else { carries(b, x, lane, io) };
        let meta = b.meta[lane];
        if meta.gso != Gso::None && !carries.gso {
            x.count.event(Event::Segmented).add(1);
            b.cut.insert(lane);
        } else if let (Checksum::Partial { start, offset }, false) = (meta.csum, carries.checksum) {
            x.begin(STAGE);
            x.count.stage(STAGE).packets.add(1);
            x.count.event(Event::ChecksumDone).add(1);
            x.note(b, lane, STAGE, Note::ChecksumDone);
            if complete(b, &region, lane, (start, offset)).is_none() {
                b.drop(lane, STAGE, DropReason::VnetBad); // `check` saw that it fits
            }
        }
    }
}

/// What the port carries that a frame goes to. That of another worker is asked there; a flood has many.
fn carries(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'_>) -> Carries {
    let Out::Port(ix) = b.out[lane] else { return Carries::NOTHING };
    match x.with_port(ix, |row| (row.owner, row.generation)) {
        Some((owner, generation)) if owner == io.id => io.carries(ix, generation),
        _ => Carries::ALL,
    }
}

/// The sum of the bytes from `start` to the end of the packet, which begin with that of the pseudo-header.
fn complete(b: &mut Burst<'_>, region: &Region<'_>, lane: Lane, (start, offset): (u16, u16)) -> Option<()> {
    let (at, whole) = (usize::from(start), b.meta[lane].whole());
    let frame = b.frame[lane].as_ref()?;
    let mut reader = Reader::new(region, frame, b.bytes(lane).get(at..)?);
    let sum = !reader.sum(whole.checked_sub(at)?)?;
    let udp = b.ip[lane].proto == proto::UDP && matches!(b.l3[lane], L3::Ipv4 | L3::Ipv6);
    *b.at_mut::<2>(lane, start + offset)? = if udp && sum == 0 { [0xff; 2] } else { sum.to_be_bytes() };
    b.meta[lane].csum = Checksum::None;
    Some(())
}

#[cfg(test)]
mod tests;
