//! I3: ARP is answered on the host.
//!
//! br-tun: `table=21, priority=1,arp,dl_vlan=1,arp_tpa=90.1.180.6
//! actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],mod_dl_src:fa:16:3e:13:93:0d,load:0x2->NXM_OF_ARP_OP[],...,IN_PORT`;
//! for gateways the qrouter namespace answers (`arp_ignore=1`).

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, Door, L3, Lane, Mask, Out, Talk};
use crate::tables::{NeighValue, SegRow, Target, ip4_key};
use crate::trace::{Field, Note};

const STAGE: Stage = Stage::ArpResponder;
const ARP_FRAME: u16 = 42;

/// Answers ARP requests for routers and remote ports; swallows router discovery, which is not
/// built. Rules: I3-a, I3-b (until built), D4, D10.
pub fn arp_responder(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    let talking: Mask = m.filter(|lane| !matches!(b.talk[*lane], Talk::None | Talk::Redirect)).collect();
    x.enter(STAGE, b, talking);
    for lane in talking {
        let Some(seg) = x.seg(b, lane) else { continue };
        match b.talk[lane] {
            Talk::ArpRequest => request(b, x, lane, seg),
            Talk::RouterSolicit => b.consume(lane, STAGE),
            Talk::NeighSolicit | Talk::NeighAdvert if seg.router_ips6.contains(&b.nd_target[lane]) => {
                b.consume(lane, STAGE);
            }
            _ => {}
        }
    }
}

/// I3-a. What is left undecided goes to L.
fn request(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) {
    let (spa, tpa) = (b.ip_src[lane], b.ip_dst[lane]);
    if spa == tpa {
        return; // (i) an announcement
    }
    // (ii) whatever MAC it was sent to: ARP about a router never leaves the host
    if let Some(router) = seg.router_ips.iter().find(|r| r.ip == tpa) {
        return if router.answers { reply(b, x, lane, router.mac) } else { b.consume(lane, STAGE) };
    }
    let word = x.tables.neigh.lookup(&ip4_key(b.seg[lane], tpa));
    x.note(b, lane, STAGE, Note::Neigh(b.seg[lane], tpa, word));
    let Some(owner) = NeighValue::from_word(word).filter(|n| n.has(NeighValue::ANSWER)) else { return };
    let asked = b.dst[lane] == MacAddr::BROADCAST || b.dst[lane] == owner.mac();
    let own_probe = spa == 0 && owner.mac() == b.inner_mac[lane];
    if !asked || own_probe {
        return;
    }
    match owner.target() {
        Target::Port(port) if b.door[lane] == Door::Port(port) => {}
        Target::Port(port) => b.send(lane, Out::Port(port)), // it answers itself
        _ => reply(b, x, lane, owner.mac()),
    }
}

/// Turns the request into its reply, in place: `mac` is the answer.
fn reply(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, mac: MacAddr) {
    let Door::Port(port) = b.door[lane] else { return };
    let (asker, sha, spa, tpa) = (b.src[lane], b.inner_mac[lane], b.ip_src[lane], b.ip_dst[lane]);
    let l3 = b.l3_off[lane];
    b.meta[lane].len = ARP_FRAME;
    b.meta[lane].made_here();
    let Some(frame) = b.at_mut::<42>(lane, 0) else { return };
    debug_assert_eq!(l3, 14, "tags came off in vm_port");
    let (eth, arp) = frame.split_at_mut(14);
    let (to, rest) = eth.split_at_mut(6);
    to.copy_from_slice(&asker.octets());
    rest.iter_mut().zip(mac.octets()).for_each(|(f, o)| *f = o);
    const REPLY: [u8; 2] = [0, 2];
    let body =
        REPLY.into_iter().chain(mac.octets()).chain(tpa.to_be_bytes()).chain(sha.octets()).chain(spa.to_be_bytes());
    arp.iter_mut().skip(6).zip(body).for_each(|(f, o)| *f = o);
    x.note(b, lane, STAGE, Note::Set(Field::EthDst, b.dst[lane].to_u64(), asker.to_u64()));
    x.note(b, lane, STAGE, Note::Set(Field::EthSrc, asker.to_u64(), mac.to_u64()));
    b.dst[lane] = asker;
    b.src[lane] = mac;
    b.talk[lane] = Talk::ArpReply;
    x.count.consumed.add(1);
    x.count.generated.add(1);
    x.count.stage(STAGE).consumed.add(1);
    b.l3[lane] = L3::Arp;
    b.send(lane, Out::Port(port));
}

#[cfg(test)]
mod tests;
