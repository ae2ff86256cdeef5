//! I0-gso: a super-frame leaves in segments where its way out does not carry it whole (RFC 9293, 3.7.1).
//!
//! In Neutron the kernel does it before a device without TSO (`skb_gso_segment`).

use super::fragments::cut;
use super::{Ctx, Stage};
use crate::burst::{Burst, Gso, L3, Lane};
use crate::drop_reason::DropReason;
use crate::trace::Note;
use crate::umem::MAX_FRAME;
use crate::wire::proto;
use crate::wire::segment::{Plan, Super};
use crate::worker::WorkerIo;

const STAGE: Stage = Stage::Segments;

/// Sends a super-frame, routed and translated already, in packets of its segment size; they go where it would have
/// gone, at its place, in order. Rules: I0-gso.
#[cold]
pub fn segments<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, lane: Lane, io: &mut WorkerIo<'u>) {
    x.begin(STAGE);
    x.count.stage(STAGE).packets.add(1);
    let Some((plan, size)) = plan(b, lane) else { return b.drop(lane, STAGE, DropReason::Mtu) };
    x.note(b, lane, STAGE, Note::Segments(size));
    cut(b, x, (lane, STAGE), (plan.pieces(), plan.headers()), io, |n, out, reader| {
        plan.write(n, out, |range, to| reader.read(range, to))
    });
}

/// A segment fits one chunk: of TCP it is made smaller for that. `None`: a datagram does not fit.
fn plan(b: &Burst<'_>, lane: Lane) -> Option<(Plan, u16)> {
    let (l3, ip) = (usize::from(b.l3_off[lane]), b.ip[lane]);
    let (l4, udp) = (l3 + usize::from(ip.header_len), ip.proto == proto::UDP);
    let headers = l4 + Super::transport(udp, b.bytes(lane).get(l4..)?)?;
    let most = MAX_FRAME.checked_sub(headers)? as u16;
    let size = match b.meta[lane].gso {
        Gso::TcpV4(size) | Gso::TcpV6(size) => size.min(most),
        Gso::Udp(size) if size <= most => size,
        Gso::Udp(_) | Gso::None => return None,
    };
    let of = Super { l3, l4, ip6: b.l3[lane] == L3::Ipv6, udp, size };
    Some((of.plan(b.bytes(lane), l3 + usize::from(ip.total_len))?, size))
}

#[cfg(test)]
mod tests;
