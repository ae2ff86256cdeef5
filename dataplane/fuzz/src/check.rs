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
    /// Each that came in has a time of its own, later than the one before.
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
    let exact = story.binary_search_by_key(&out.time, |c| c.time).ok();
    let case = |at: usize| Case { facts, story, at, out };
    let same = match exact {
        Some(n) => case(n).judge(),
        None => Err("it has the time of no frame that came in"),
    };
    let Err(why) = same else { return Ok(()) };
    let waited = (0..story.len()).rev().filter(|n| Some(*n) != exact);
    let mut waited = waited.filter(|n| story[*n].time < out.time && out.time - story[*n].time <= LONGEST).map(case);
    if waited.any(|c| c.may_wait() && c.judge().is_ok()) {
        return Ok(());
    }
    let clock = match made::by_the_clock(facts, story, out) {
        Ok(()) => return Ok(()),
        Err(why) => why,
    };
    let mut text = format!("{why}; made by the clock: {clock}\n  out by {} at {}: {}", out.port, out.time, shown(out));
    for (n, came) in story.iter().enumerate().filter(|(_, c)| c.time <= out.time) {
        let mark = if Some(n) == exact { "in now" } else { "in" };
        text += &format!("\n  {mark} by {} at {}: {}", came.port, came.time, shown(came));
    }
    Err(text)
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
