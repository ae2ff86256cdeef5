//! What is known about the way to each VTEP, and what has been told about it. Nothing here asks the kernel.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use rtnetlink::packet_route::neighbour::NeighbourState;

/// The kernel is reminded of a neighbour this often while it is wanted: what dvrd sends does not go through the kernel,
/// which forgets a neighbour nobody uses.
pub(super) const REFRESH: Duration = Duration::from_secs(15);
/// The same while it has no MAC address.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The MAC address that frames for a VTEP must have has changed: its own, or that of the gateway to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourEvent {
    /// The VTEP.
    pub vtep: Ipv4Addr,
    /// The address; `None`: not known, or no longer.
    pub mac: Option<MacAddr>,
}

/// Why a VTEP cannot have a MAC address now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// The kernel has no route, or one that refuses.
    #[error("the kernel has no route to it ({0}); add one by the underlay's interface, or correct the VTEP")]
    NoRoute(String),
    /// The route leaves by another interface than the underlay's.
    #[error("the route to it leaves by {0}, not by the underlay's interface; correct the route or [underlay]")]
    OtherInterface(String),
    /// It is an address of this machine, or of no machine.
    #[error("for the kernel it is {0}; correct the VTEP")]
    NotAHost(&'static str),
    /// The underlay's interface is not there.
    #[error("the underlay's interface is not there")]
    NoInterface,
    /// The kernel does not take the neighbour.
    #[error("the kernel cannot hold one more neighbour; raise net.ipv4.neigh.default.gc_thresh3 (and net.ipv6.)")]
    TableFull,
    /// The kernel refuses something else.
    #[error("the kernel refused: {0}")]
    Refused(String),
}

/// A neighbour as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub state: NeighbourState,
    pub mac: Option<MacAddr>,
}

impl Entry {
    /// The address frames can be sent to. A stale one holds until the kernel says otherwise.
    fn usable(self) -> Option<MacAddr> {
        use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
        match self.state {
            Reachable | Stale | Delay | Probe | Permanent | Noarp => {
                self.mac.filter(|m| !m.is_multicast() && !m.is_zero())
            }
            _ => None,
        }
    }

    /// The kernel does nothing about it unless it is asked to. Never a PERMANENT one: asking would end that.
    fn needs_nudge(self) -> bool {
        matches!(self.state, NeighbourState::Stale | NeighbourState::Failed | NeighbourState::None)
    }
}

/// A neighbour the underlay sends to: a VTEP, or the gateway to some.
#[derive(Debug)]
struct Hop {
    entry: Option<Entry>,
    trouble: Option<NoWay>,
    /// When to look at it again, and to remind the kernel.
    due: Instant,
    nudged: Option<Instant>,
}

#[derive(Debug, Default)]
struct Vtep {
    /// The next hop; `None`: not looked up yet.
    way: Option<Result<IpAddr, NoWay>>,
    told: Option<MacAddr>,
    told_why: Option<NoWay>,
}

/// All VTEPs that are wanted and the hops to them.
#[derive(Debug, Default)]
pub(super) struct Hops {
    vteps: BTreeMap<Ipv4Addr, Vtep>,
    hops: BTreeMap<IpAddr, Hop>,
}

impl Hops {
    /// Other VTEPs. What is kept keeps what was told; the rest is forgotten without a word.
    pub(super) fn want(&mut self, wanted: &BTreeSet<Ipv4Addr>) {
        self.vteps.retain(|v, _| wanted.contains(v));
        for vtep in wanted {
            self.vteps.entry(*vtep).or_default();
        }
    }

    pub(super) fn vteps(&self) -> Vec<Ipv4Addr> {
        self.vteps.keys().copied().collect()
    }

    /// The ways to VTEPs as they are now. Gives the hops that are new.
    pub(super) fn set_ways(&mut self, ways: Vec<(Ipv4Addr, Result<IpAddr, NoWay>)>, now: Instant) -> Vec<IpAddr> {
        for (vtep, way) in ways {
            if let Some(v) = self.vteps.get_mut(&vtep) {
                v.way = Some(way);
            }
        }
        let used: BTreeSet<IpAddr> = self.vteps.values().filter_map(|v| v.way.clone()?.ok()).collect();
        self.hops.retain(|ip, _| used.contains(ip));
        let new: Vec<IpAddr> = used.into_iter().filter(|ip| !self.hops.contains_key(ip)).collect();
        let hop = || Hop { entry: None, trouble: None, due: now, nudged: None };
        self.hops.extend(new.iter().map(|ip| (*ip, hop())));
        new
    }

    /// Frames wait for the way to a VTEP: its hop, if it has no address, is due now, however lately it was. `true`: the way
    /// itself is not known.
    pub(super) fn ask(&mut self, vtep: Ipv4Addr, now: Instant) -> bool {
        let Some(vtep) = self.vteps.get(&vtep) else { return false };
        let Some(Ok(way)) = &vtep.way else { return true };
        if let Some(hop) = self.hops.get_mut(way).filter(|hop| hop.entry.and_then(Entry::usable).is_none()) {
            hop.due = hop.due.min(now);
        }
        false
    }

    pub(super) fn contains(&self, hop: IpAddr) -> bool {
        self.hops.contains_key(&hop)
    }

    pub(super) fn hops(&self) -> impl Iterator<Item = IpAddr> {
        self.hops.keys().copied()
    }

    pub(super) fn is_usable(&self, hop: IpAddr) -> bool {
        self.hops.get(&hop).is_some_and(|h| h.entry.is_some_and(|e| e.usable().is_some()))
    }

    /// Nothing is known about any hop: the interface is another one.
    pub(super) fn forget_entries(&mut self, now: Instant) {
        for hop in self.hops.values_mut() {
            *hop = Hop { entry: None, trouble: None, due: now, nudged: None };
        }
    }

    /// What the kernel has for a hop now.
    pub(super) fn set_entry(&mut self, ip: IpAddr, entry: Option<Entry>, now: Instant) {
        let Some(hop) = self.hops.get_mut(&ip) else { return };
        let usable = entry.and_then(Entry::usable).is_some();
        if usable {
            hop.trouble = None;
        } else {
            // Soon, but not more often than every RETRY.
            hop.due = hop.due.min(hop.nudged.map_or(now, |n| (n + RETRY).max(now)));
        }
        hop.entry = entry;
    }

    /// Hops to look at now, at most `most`, those that waited longest first.
    pub(super) fn due(&self, now: Instant, most: usize) -> Vec<IpAddr> {
        let mut due: Vec<_> = self.hops.iter().filter(|(_, h)| h.due <= now).map(|(ip, h)| (h.due, *ip)).collect();
        due.sort_unstable();
        due.truncate(most);
        due.into_iter().map(|(_, ip)| ip).collect()
    }

    /// The hop has been looked at: whether the kernel is to be reminded of it.
    pub(super) fn visit(&mut self, ip: IpAddr, now: Instant) -> bool {
        let Some(hop) = self.hops.get_mut(&ip) else { return false };
        let usable = hop.entry.and_then(Entry::usable).is_some();
        hop.due = now + if usable { REFRESH } else { RETRY };
        let nudge = hop.entry.is_none_or(Entry::needs_nudge);
        if nudge {
            hop.nudged = Some(now);
        }
        nudge
    }

    /// What came of reminding the kernel.
    pub(super) fn set_trouble(&mut self, ip: IpAddr, trouble: Option<NoWay>) {
        if let Some(hop) = self.hops.get_mut(&ip) {
            hop.trouble = trouble;
        }
    }

    /// Tells what has changed since it was told. `tell` says whether it was heard; what was not is told next time.
    pub(super) fn tell(&mut self, mut tell: impl FnMut(Ipv4Addr, News) -> bool) {
        for (vtep, v) in &mut self.vteps {
            let Some(way) = &v.way else { continue };
            let hop = way.as_ref().ok().and_then(|ip| self.hops.get(ip));
            let mac = hop.and_then(|h| h.entry).and_then(Entry::usable);
            let why = way.as_ref().err().or_else(|| hop.and_then(|h| h.trouble.as_ref()));
            if v.told_why.as_ref() != why && tell(*vtep, News::NoWay(why.cloned())) {
                v.told_why = why.cloned();
            }
            if v.told != mac && tell(*vtep, News::Mac(mac)) {
                v.told = mac;
            }
        }
    }
}

/// Something to tell about a VTEP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Mac(Option<MacAddr>),
    NoWay(Option<NoWay>),
}
