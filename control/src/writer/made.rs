//! What the writer asks workers to send: probes and announcements.

use super::announce::Say;
use super::resolve::Step;
use super::{Flat, Writer, store};
use crate::rows::AnnouncedKind;
use dataplane::learn::{HeardEvent, Report, ResolveEvent, UnresolvedEvent};
use dataplane::stage::{Made, MadeFor};
use dataplane::tables::{InterfaceRow, NeighValue, SegIx, SegRow, Target, Wire, fdb_key, ip4_key};
use dataplane::wire::arp::{self, Arp};
use std::collections::BTreeSet;

/// Addresses asked for or answered in one network: no tenant takes the room of the others, nor of the outside.
const PER_NETWORK: usize = 1024;

impl Writer {
    /// What a worker reports.
    pub fn report(&mut self, report: &Report) {
        match report {
            Report::Learn(event) => self.learn(event),
            Report::Resolve(event) => self.resolve(event),
            Report::Unresolved(event) => self.unresolved(event),
            Report::Heard(event) => self.heard(event),
        }
    }

    /// VTEPs frames wait for since the last call: who follows the underlay asks for the way to them.
    pub fn take_unresolved(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.unresolved)
    }

    /// Frames to be sent, first come first; they are taken.
    pub fn take_made(&mut self) -> Vec<Made> {
        std::mem::take(&mut self.made)
    }

    /// So many frames that were taken were not sent, because the worker that sends them has not taken those before.
    pub fn lose_made(&mut self, frames: u64) {
        self.made_lost += frames;
    }

    /// Announces everything this host has, from `now` on: at its start.
    pub fn announce_all(&mut self, now: u64) {
        self.announcer.all(now);
    }

    /// The clock stands at `now`.
    pub fn start_clock(&mut self, now: u64) {
        self.announcer.start(now);
    }

    /// How often packets that wait for an address were told to look again.
    pub fn resolved(&self) -> u64 {
        self.resolved.told()
    }

    /// Are probes or announcements under way?
    pub fn pending(&self) -> bool {
        self.resolver.asks() || self.announcer.announces()
    }

    /// The segment, if its index has not changed hands.
    fn seg(&self, ix: SegIx, generation: u32) -> Option<&SegRow> {
        self.current.segments.get(ix).filter(|row| row.generation == generation)
    }

    /// R7: a packet waits for an address.
    fn resolve(&mut self, event: &ResolveEvent) {
        let Some(seg) = self.seg(event.seg, event.seg_generation) else { return self.news(event.seen) };
        let routed = seg.interfaces.iter().any(|i| self.current.interfaces.get(i.iface).is_some());
        let [key] = ip4_key(event.seg, event.ip);
        if !routed || self.neighbours.rows.contains_key(&key) {
            return self.news(event.seen);
        }
        let used = self.resolver.len() + self.resolver.in_vain.len();
        let network = self.resolver.of_network(event.seg) < PER_NETWORK;
        let room = network && used < self.limits.resolved && self.neighbours.writer.waiting() < self.limits.resolved;
        if self.resolver.ask(key, event.seen, room) {
            let Flat { writer, lost, .. } = &mut self.neighbours;
            store(writer, key, NeighValue::ASKED.to_word(), lost);
            self.resolver.in_vain.retain(|(_, other)| *other != key);
            self.steps(event.seen);
        }
    }

    /// O3-wait: a frame waits for another host.
    fn unresolved(&mut self, event: &UnresolvedEvent) {
        let row = self.current.tunnels.get(event.tunnel);
        self.unresolved
            .extend(row.filter(|row| row.generation == event.generation && !row.resolved).map(|row| row.vtep));
    }

    /// R7, E1, L5-vip: somebody says to have an address.
    fn heard(&mut self, event: &HeardEvent) {
        let Some(seg) = self.seg(event.seg, event.seg_generation) else { return };
        let external = seg.external;
        let now = match event.target {
            Target::Tunnel(t) => self.current.tunnels.get(t).map(|t| t.generation),
            Target::Port(p) => self.indexes.port_owner(p),
            Target::Phys => matches!(seg.wire, Wire::Phys { .. }).then_some(0),
            Target::Snat | Target::Fdb => None,
        };
        if now != Some(event.target_generation) || event.mac.is_multicast() || event.mac.is_zero() {
            return;
        }
        let [key] = ip4_key(event.seg, event.ip);
        let row = |target| NeighValue::host(event.mac, target, NeighValue::ROUTE | NeighValue::WATCHED).to_word();
        let value = row(event.target);
        if self.resolver.has_candidates(key) {
            if self.resolver.announced(key, value, event.seen) {
                let Flat { writer, rows, lost } = &mut self.neighbours;
                store(writer, key, value, lost);
                rows.insert(key, value);
            }
            return;
        }
        if self.resolver.listens(key) && !self.neighbours.rows.contains_key(&key) {
            // Where a port of the model is, layer 2 knows, whoever answers with its MAC.
            let known = self.fdb.rows.contains_key(&fdb_key(event.seg, event.mac)[0]);
            let value = if known { row(Target::Fdb) } else { value };
            let Flat { writer, lost, .. } = &mut self.neighbours;
            let stored = store(writer, key, value, lost);
            let from = (event.target, event.target_generation);
            if stored && self.resolver.heard(key, external, from, event.seen) {
                self.news(event.seen);
            }
        }
    }

    /// Packets that wait should look again.
    pub(super) fn news(&self, now: u64) {
        self.resolved.tell(now);
    }

    /// Everything about addresses that is due at `now`, each at its own time.
    pub(super) fn steps(&mut self, now: u64) {
        while let Some((due, key, step)) = self.resolver.next_step(now) {
            match step {
                Step::Probe => self.probe(key, due),
                Step::InVain => {
                    let Flat { writer, lost, .. } = &mut self.neighbours;
                    store(writer, key, NeighValue::UNANSWERED.to_word(), lost);
                    // Told first: a worker that has passed the epoch has heard of it.
                    self.news(due);
                    self.resolver.in_vain.push((self.qsbr.retire(), key));
                }
                Step::Forget => {
                    self.neighbours.writer.remove(&[key]);
                }
                Step::Retry => self.news(due),
            }
        }
    }

    /// Rows that say that nobody answers go when every worker in which packets wait has looked at them.
    pub(super) fn bury_in_vain(&mut self) {
        let (qsbr, writer) = (&self.qsbr, &mut self.neighbours.writer);
        let reader = writer.reader();
        self.resolver.in_vain.retain(|(epoch, key)| {
            let over = qsbr.has_passed(*epoch);
            // Unless the row says something else by now: a port of the model, or somebody who answered late.
            if over && reader.lookup(&[*key]) == NeighValue::UNANSWERED.to_word() {
                writer.remove(&[*key]);
            }
            !over
        });
    }

    fn probe(&mut self, key: u64, time: u64) {
        let (seg, ip) = ((key >> 48) as SegIx, key as u32);
        let Some(row) = self.current.segments.get(seg) else { return };
        let fg = || {
            let mut rows = row.interfaces.iter().filter_map(|i| self.current.interfaces.get(i.iface));
            rows.find(|i: &&InterfaceRow| i.is_fg())
        };
        let probe = match fg() {
            Some(fg) => Arp::who_has(fg.mac, fg.ip, ip),
            None => Arp::probe(self.current.host.dvr_mac, ip),
        };
        let (seg_generation, frame) = (row.generation, probe.frame());
        self.made.push(Made { seg, seg_generation, to: MadeFor::Everybody, frame, time });
    }

    /// Announcements that are due at `now`, each at its own time.
    pub(super) fn announce(&mut self, now: u64) {
        while let Some((due, all)) = self.announcer.next_due_by(now) {
            for one in all {
                self.say(one, due);
            }
        }
    }

    fn say(&mut self, say: Say, time: u64) {
        let (network, mac, ip, kind) = match &say {
            Say::Round(key, mac) => (&key.network, *mac, key.ip, Some(key.kind)),
            Say::Gateway(network, mac, ip) => (network, *mac, *ip, None),
        };
        let Some((seg, seg_generation)) = self.indexes.segment(network) else { return };
        let to = match kind {
            None => MadeFor::Phys,
            Some(AnnouncedKind::Qr) => MadeFor::Ports,
            Some(AnnouncedKind::Fg | AnnouncedKind::FloatingIp) => MadeFor::Everybody,
        };
        if to == MadeFor::Ports && self.current.segments.get(seg).is_none_or(|s| s.flood_ports.is_empty()) {
            return;
        }
        let forms: &[u16] = if kind.is_some() { &[arp::REQUEST, arp::REPLY] } else { &[arp::REQUEST] };
        for op in forms {
            let frame = Arp::announcement(mac, ip, *op).frame();
            self.made.push(Made { seg, seg_generation, to, frame, time });
        }
    }

    /// Addresses answered with a MAC that was not the model's then and is now, or the other way round.
    fn stand_otherwise(&self) -> Vec<u64> {
        let neighbours = self.neighbours.writer.reader();
        self.resolver.unfit(|key, known| {
            let Some(row) = NeighValue::from_word(neighbours.lookup(&[key])).filter(|_| known.is_some()) else {
                return true;
            };
            let [fdb] = fdb_key((key >> 48) as SegIx, row.mac());
            (row.target() == Target::Fdb) == self.fdb.rows.contains_key(&fdb)
        })
    }

    /// Addresses that were asked for or answered, of which that cannot be true any more: networks and routers go, hosts
    /// and ports too.
    pub(super) fn forget_neighbours(&mut self) {
        let unfit = self.resolver.unfit(|key, known| {
            let Some(seg) = self.current.segments.get((key >> 48) as SegIx) else { return false };
            let routed = seg.interfaces.iter().any(|i| self.current.interfaces.get(i.iface).is_some());
            routed
                && match known {
                    None => true,
                    Some((Target::Port(p), generation)) => {
                        let active = self.current.ports.get(p).is_some_and(|row| row.active);
                        active && self.indexes.port_owner(p) == Some(generation)
                    }
                    Some((Target::Tunnel(t), generation)) => {
                        let owner = self.current.tunnels.get(t).map(|row| row.generation);
                        owner == Some(generation) && (!seg.strict || seg.members.contains(t))
                    }
                    Some(_) => matches!(seg.wire, Wire::Phys { .. }),
                }
        });
        for key in unfit.into_iter().chain(self.stand_otherwise()) {
            self.resolver.forget(key);
            if !self.neighbours.rows.contains_key(&key) {
                self.neighbours.writer.remove(&[key]);
            }
        }
    }
}
