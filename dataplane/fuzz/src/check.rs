//! What must be true of a frame that was sent, given those that came in. Read by etherparse and judged by
//! [`Facts`], from docs/behaviour.md; the rule ids stand beside the checks.
//!
//! A frame sent has the time of the one that caused it, or a later one if it waited for a neighbour (R7-probe) or the
//! clock made it (probes, V4). So the frame of the same time is tried as its cause first, then those that may wait, then
//! the clock.

mod bridged;
mod frame;
mod made;
mod nat;
mod physical;
mod routed;

use crate::facts::{Facts, Local, Mac, Net, Peer};
use control::host::TUNNEL;
pub use frame::{Eth, eth, header_sum_good, sum};
use frame::{about_router, priority_tag_off, vxlan};
pub use made::reset_of;
pub use nat::copied_options;

/// A second, ns.
const SECOND: u64 = 1_000_000_000;
/// The longest that a packet waits (R7-probe).
const LONGEST: u64 = 3 * SECOND;

/// Nothing, or the rule that is broken.
type Check<T = ()> = Result<T, &'static str>;

fn must(holds: bool, what: &'static str) -> Check {
    if holds { Ok(()) } else { Err(what) }
}

/// A frame that came in by a port, or was sent by it, and when, ns.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Name of the port.
    pub port: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
    /// In a story none comes earlier than the one before.
    pub time: u64,
}

/// How a frame came or went.
#[derive(Clone, Copy, Debug)]
enum Way<'a> {
    Port(&'a Local),
    /// From or to this host; in: with these ECN bits outside.
    Tunnel(&'a Peer, u8),
    Phys(&'a str),
}

/// A frame in its network: out of its VXLAN packet, without the tag of its physical network or a priority tag.
#[derive(Clone, Debug)]
struct Inside<'a> {
    way: Way<'a>,
    network: &'a str,
    net: &'a Net,
    bytes: Vec<u8>,
}

impl Inside<'_> {
    fn eth(&self) -> Check<Eth<'_>> {
        eth(&self.bytes).ok_or("shorter than an Ethernet header (I0, T0)")
    }
}

/// Checks the frame `out` sent because of one of those that came in, `story`, in order of time.
///
/// # Panics
///
/// If a rule is broken.
pub fn sent(facts: &Facts, story: &[Frame<'_>], out: &Frame<'_>) {
    if let Err(why) = judged(facts, story, out) {
        panic!("{why}");
    }
}

/// As [`sent`]; the error says what is wrong and shows the frames.
///
/// # Errors
///
/// If no frame of the story explains it.
pub fn judged(facts: &Facts, story: &[Frame<'_>], out: &Frame<'_>) -> Result<(), String> {
    let exact = story.partition_point(|c| c.time < out.time)..story.partition_point(|c| c.time <= out.time);
    let case = |at: usize| Case { facts, story, at, out };
    let mut why = "it has the time of no frame that came in";
    for at in exact.clone() {
        match case(at).judge() {
            Ok(()) => return Ok(()),
            Err(wrong) => why = wrong,
        }
    }
    let mut waited = (0..exact.start).rev().filter(|n| out.time - story[*n].time <= LONGEST).map(case);
    if waited.any(|c| c.may_wait() && c.judge().is_ok()) {
        return Ok(());
    }
    let clock = match made::by_the_clock(facts, story, out) {
        Ok(()) => return Ok(()),
        Err(why) => why,
    };
    let mut text = format!("{why}; made by the clock: {clock}\n  out by {} at {}: {}", out.port, out.time, shown(out));
    // The last ones: of an input that is all.
    for (n, came) in story.iter().enumerate().take(exact.end).skip(exact.end.saturating_sub(80)) {
        let mark = if exact.contains(&n) { "in now" } else { "in" };
        text += &format!("\n  {mark} by {} at {}: {}", came.port, came.time, shown(came));
    }
    Err(text)
}

/// R8-icmp: the fragments sent by a port at one moment, in the order they left. Each begins where the one before ended
/// and has bytes behind it, but for the last; pieces of what came in as a fragment end where that did.
///
/// # Panics
///
/// If one is missing, or out of order.
pub fn fragments(facts: &Facts, story: &[Frame<'_>], sent: &[Frame<'_>]) {
    // What is cut has the offsets of the packet that it was: those that came in are known.
    let came = story.iter().filter_map(|c| fragment(&came(facts, c).ok()?));
    let ends: Vec<(Whole, usize, usize)> = came.collect();
    let mut open: Vec<(Whole, u64, usize)> = Vec::new();
    for frame in sent {
        let to = went(facts, frame).ok().filter(is_fragment);
        let Some((whole, start, end)) = to.and_then(|to| fragment(&to)) else { continue };
        let key = |o: &(Whole, u64, usize)| (o.0.clone(), o.1) == (whole.clone(), frame.time);
        let begins = start == 0 || ends.iter().any(|(w, s, _)| w.same(&whole) && *s == start);
        match open.iter().position(|o| key(o) && o.2 == start) {
            Some(at) => open[at].2 = end,
            None if begins => open.push((whole.clone(), frame.time, end)),
            None => panic!("a fragment that follows none (R8-icmp): {}", shown(frame)),
        }
    }
    for (whole, time, end) in open {
        let done = ends.iter().any(|(w, _, e)| w.same(&whole) && *e == end);
        assert!(done, "fragments end at {end}, and the packet at another byte (R8-icmp): {whole:?} at {time}");
    }
}

/// What the fragments of a packet have in common, addresses but for translation.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Whole {
    id: u16,
    protocol: u8,
    src: Mac,
    dst: Mac,
}

impl Whole {
    /// But for routers on the way.
    fn same(&self, other: &Whole) -> bool {
        (self.id, self.protocol) == (other.id, other.protocol)
    }
}

fn is_fragment(frame: &Inside<'_>) -> bool {
    let head = frame.eth().ok().filter(|e| e.kind == frame::IPV4);
    head.is_some_and(|e| etherparse::Ipv4HeaderSlice::from_slice(e.body).is_ok_and(|h| h.is_fragmenting_payload()))
}

/// Of an IPv4 packet: what it belongs to, its first byte and the one after its last; if whole, all of it.
fn fragment(frame: &Inside<'_>) -> Option<(Whole, usize, usize)> {
    let e = frame.eth().ok().filter(|e| e.kind == frame::IPV4)?;
    let h = etherparse::Ipv4HeaderSlice::from_slice(e.body).ok()?;
    let whole = Whole { id: h.identification(), protocol: h.protocol().0, src: e.src, dst: e.dst };
    let start = usize::from(h.fragments_offset().value()) * 8;
    Some((whole, start, start + usize::from(h.total_len()).checked_sub(h.slice().len())?))
}

fn shown(f: &Frame<'_>) -> String {
    let hex: String = f.bytes.iter().map(|x| format!("{x:02x}")).collect();
    format!("{}\n    {hex}", control::frame_text::Decoded::of(f.bytes, 4789).line())
}

/// A frame that was sent, and the one that caused it.
struct Case<'a> {
    facts: &'a Facts,
    story: &'a [Frame<'a>],
    at: usize,
    out: &'a Frame<'a>,
}

impl<'a> Case<'a> {
    fn cause(&self) -> &'a Frame<'a> {
        &self.story[self.at]
    }

    fn judge(&self) -> Check {
        let (from, to) = (came(self.facts, self.cause())?, went(self.facts, self.out)?);
        let (input, out) = (from.eth()?, to.eth()?);
        must(input.src[0] & 1 == 0 && input.src != [0; 6], "a source that no machine has (I0)")?;
        match from.way {
            Way::Tunnel(..) => self.by_tunnel(&from, &input, &to, &out),
            Way::Port(port) => self.by_port(port, &from, &input, &to, &out),
            Way::Phys(name) => self.by_phys(name, &from, &input, &to, &out),
        }
    }

    /// D2: a secured port gets its own unicast and nobody else's.
    fn for_receiver(&self, to: &Inside<'_>, dst: Mac) -> Check {
        let Way::Port(port) = to.way else { return Ok(()) };
        let own = dst == port.mac || port.allowed.iter().any(|(mac, _)| *mac == dst);
        must(!port.secured || dst[0] & 1 == 1 || own, "unicast for another machine at a secured port (D2, L3)")
    }

    /// L1, R7: unicast for a MAC that traffic cannot move goes where its port is, and nowhere else.
    fn at_home(&self, to: &Inside<'_>, dst: Mac) -> Check {
        let Some((host, port)) = to.net.homes.get(&dst) else { return Ok(()) };
        let there = match to.way {
            Way::Tunnel(peer, _) => peer.name == *host,
            Way::Phys(name) => {
                *host != self.facts.name && self.facts.peers.values().any(|p| p.name == *host && p.phys.contains(name))
            }
            Way::Port(_) => *host == self.facts.name && *port == self.out.port,
        };
        must(there, "unicast for a known port goes somewhere else (L1, R7)")
    }
}

/// The network a frame came in from. I1, T0 to T2, V0, E0.
fn came<'a>(f: &'a Facts, frame: &Frame<'a>) -> Check<Inside<'a>> {
    if frame.port == TUNNEL {
        let (vtep, vni, ecn, inner) = vxlan(frame.bytes).ok_or("what came in is no whole VXLAN packet (T0)")?;
        let peer = f.peers.get(&vtep).ok_or("from no VTEP of the cloud (T1)")?;
        let (network, net) = f.of_vni(vni).ok_or("a VNI of no network (T2)")?;
        return Ok(Inside { way: Way::Tunnel(peer, ecn), network, net, bytes: inner.to_vec() });
    }
    if let Some(name) = f.phys.get(frame.port) {
        return physical::came(f, name, frame.bytes);
    }
    let port = f.ports.get(frame.port).ok_or("nothing may come of a frame at this door (I1)")?;
    must(port.active, "from a port that is not active (I1)")?;
    let bytes = priority_tag_off(frame.bytes);
    Ok(Inside { way: Way::Port(port), network: &port.network, net: &f.nets[&port.network], bytes })
}

/// The network a frame was sent into. O2 to O4, D10, L1.
fn went<'a>(f: &'a Facts, frame: &Frame<'a>) -> Check<Inside<'a>> {
    if let Some(port) = f.ports.get(frame.port) {
        must(port.active, "sent to a port that is not active (L1)")?;
        let (network, bytes) = (&port.network, frame.bytes.to_vec());
        return Ok(Inside { way: Way::Port(port), network, net: &f.nets[network], bytes });
    }
    let to = match f.phys.get(frame.port) {
        Some(name) => physical::went(f, name, frame.bytes)?,
        None if frame.port == TUNNEL => bridged::outer(f, frame.bytes)?,
        None => return Err("sent by a port that is not on this host"),
    };
    let out = to.eth()?;
    must(!f.is_dvr(&out.src) || out.src == f.dvr, "another host's DVR MAC leaves this one (O2, L1)")?;
    if !to.net.gateway_here {
        must(!to.net.router_macs.contains(&out.src), "a router MAC leaves the host (O2)")?;
        must(!about_router(&out, to.net), "ARP, ND or RA about a router leaves the host (D10)")?;
    }
    Ok(to)
}

#[cfg(test)]
mod tests;
