//! I3: ARP is answered on the host.
//!
//! br-tun: `table=21, priority=1,arp,dl_vlan=1,arp_tpa=90.1.180.6
//! actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],mod_dl_src:fa:16:3e:13:93:0d,load:0x2->NXM_OF_ARP_OP[],...,IN_PORT`;
//! for gateways the qrouter namespace answers (`arp_ignore=1`).

use super::{Ctx, Stage};
use crate::addr::MacAddr;
use crate::burst::{Burst, Door, L3, Lane, Mask, Out, Talk};
use crate::counters::Event;
use crate::drop_reason::DropReason;
use crate::learn::{HeardEvent, Report};
use crate::tables::{InterfaceRow, NeighValue, SegRow, Target, ip4_key};
use crate::trace::{Field, Note};

const STAGE: Stage = Stage::ArpResponder;
const ARP_FRAME: u16 = 42;

/// Answers ARP requests for routers, remote ports and floating IPs; tells the writer what is said about addresses it
/// watches; swallows router discovery, which is not built. Rules: I3-a, I3-b (until built), I3-c, L5-vip, R7-probe, E1,
/// V4, D4, D9, D10.
pub fn arp_responder(b: &mut Burst<'_>, x: &Ctx<'_>, m: Mask) {
    let talking: Mask = (m & b.talking).filter(|lane| !matches!(b.talk[*lane], Talk::None | Talk::Redirect)).collect();
    x.enter(STAGE, b, talking);
    for lane in talking {
        let Some(seg) = x.seg(b, lane) else { continue };
        let guest = matches!(b.door[lane], Door::Port(_));
        match b.talk[lane] {
            Talk::ArpReply => told(b, x, lane, seg),
            Talk::ArpRequest if b.ip_src[lane] == b.ip_dst[lane] => told(b, x, lane, seg),
            Talk::ArpRequest if guest => request(b, x, lane, seg),
            Talk::ArpRequest if matches!(b.door[lane], Door::Phys(_)) => from_outside(b, x, lane, seg),
            Talk::RouterSolicit if guest => b.consume(lane, STAGE),
            Talk::NeighSolicit | Talk::NeighAdvert if guest && seg.router_ips6.contains(&b.nd_target[lane]) => {
                b.consume(lane, STAGE);
            }
            _ => {}
        }
    }
}

/// A reply or an announcement: what it says may be waited for. To a router here it goes no further.
fn told(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) {
    let dst = b.dst[lane];
    // An announcement, or an answer to one of our routers; what others tell each other proves nothing.
    let ours = dst == x.snap.host.dvr_mac || seg.has_interface(dst);
    let heard = (ours || b.ip_src[lane] == b.ip_dst[lane]) && hear(b, x, lane, seg);
    if dst == x.snap.host.dvr_mac && !dst.is_zero() {
        return if heard { b.consume(lane, STAGE) } else { b.drop(lane, STAGE, DropReason::ReservedDst) };
    }
    if !matches!(b.door[lane], Door::Phys(_)) {
        return;
    }
    // On a physical network: to fg-, or to everybody where nobody else would hear it.
    let to_fg = seg.external && seg.has_interface(dst);
    match heard {
        true if to_fg || dst.is_multicast() && seg.flood_ports.is_empty() => b.consume(lane, STAGE),
        false if to_fg => b.drop(lane, STAGE, DropReason::NotOurs),
        _ => {}
    }
}

/// Posts who says to have an address that is watched. `true`: it is.
fn hear(b: &Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) -> bool {
    let ip = b.ip_src[lane];
    let word = x.tables.neigh.lookup(&ip4_key(b.seg[lane], ip));
    if ip == 0 || NeighValue::from_word(word).is_none_or(|n| !n.has(NeighValue::WATCHED)) {
        return false;
    }
    let (target, target_generation) = match b.door[lane] {
        Door::Port(port) => (Target::Port(port), x.port_generation(b.door[lane])),
        Door::Tunnel => {
            (Target::Tunnel(b.tunnel[lane]), x.snap.tunnels.get(b.tunnel[lane]).map_or(0, |t| t.generation))
        }
        _ => (Target::Phys, 0),
    };
    x.note(b, lane, STAGE, Note::Heard(ip));
    let (mac, seen) = (b.inner_mac[lane], b.meta[lane].rx_time);
    let event =
        HeardEvent { seg: b.seg[lane], seg_generation: seg.generation, ip, mac, target, target_generation, seen };
    if x.learn.push(Report::Heard(event)).is_err() {
        x.count.event(Event::LearnQueueFull).add(1);
    }
    true
}

/// I3-a. What is left undecided goes to L.
fn request(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) {
    let (spa, tpa) = (b.ip_src[lane], b.ip_dst[lane]);
    // (ii) whatever MAC it was sent to: ARP about a router never leaves the host
    if let Some(router) = seg.router_ips.iter().find(|r| r.ip == tpa) {
        return if router.answers { reply(b, x, lane, router.mac) } else { b.consume(lane, STAGE) };
    }
    let word = x.tables.neigh.lookup(&ip4_key(b.seg[lane], tpa));
    x.note(b, lane, STAGE, Note::Neigh(b.seg[lane], tpa, word));
    if let Some(fg) = fg_for(x, seg, word) {
        return reply(b, x, lane, fg);
    }
    let host = |n: &NeighValue| n.has(NeighValue::ANSWER) && n.inside().is_none();
    let Some(owner) = NeighValue::from_word(word).filter(host) else { return };
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

/// E1 and V4: machines on a physical network ask for floating IPs and fg- of this host, and for the routers of a
/// network that it is the gateway of.
fn from_outside(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, seg: &SegRow) {
    let (tpa, dst) = (b.ip_dst[lane], b.dst[lane]);
    // A switch that floods brings what was for others.
    let to_us = |mac: &MacAddr| dst == MacAddr::BROADCAST || dst == *mac;
    if let Some(router) = seg.router_ips.iter().find(|r| r.ip == tpa && r.answers && seg.phys_gw && to_us(&r.mac)) {
        return reply(b, x, lane, router.mac);
    }
    if seg.external {
        let word = x.tables.neigh.lookup(&ip4_key(b.seg[lane], tpa));
        x.note(b, lane, STAGE, Note::Neigh(b.seg[lane], tpa, word));
        if let Some(fg) = fg_for(x, seg, word).filter(to_us) {
            reply(b, x, lane, fg);
        }
    }
}

/// The MAC of fg-, if the row is a floating IP of this host or fg-'s own address.
fn fg_for(x: &Ctx<'_>, seg: &SegRow, word: u64) -> Option<MacAddr> {
    let row = NeighValue::from_word(word)?;
    let is_fg = |iface: u16| x.snap.interfaces.get(iface).is_some_and(InterfaceRow::is_fg);
    if let Some(iface) = row.router_interface() {
        return x.snap.interfaces.get(iface).filter(|i| i.is_fg()).map(|i| i.mac);
    }
    row.inside().filter(|_| row.has(NeighValue::ANSWER))?;
    seg.interfaces.iter().find(|i| is_fg(i.iface)).map(|i| i.mac)
}

/// Turns the request into its reply, in place: `mac` is the answer.
fn reply(b: &mut Burst<'_>, x: &Ctx<'_>, lane: Lane, mac: MacAddr) {
    let back = match b.door[lane] {
        Door::Port(port) => Out::Port(port),
        _ => Out::Phys,
    };
    let (asker, sha, spa, tpa) = (b.src[lane], b.inner_mac[lane], b.ip_src[lane], b.ip_dst[lane]);
    let l3 = b.l3_off[lane];
    b.meta[lane].set_whole(ARP_FRAME.into());
    b.meta[lane].made_here();
    let Some(frame) = b.at_mut::<42>(lane, 0) else { return };
    debug_assert_eq!(l3, 14, "tags came off where it came in");
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
    b.send(lane, back);
}

#[cfg(test)]
mod tests;
