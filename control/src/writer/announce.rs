//! F42: addresses that are new on this host are announced, in three rounds; V4: those of a network's gateway towards its
//! physical machines, again and again.

use crate::rows::{Announced, Announcement, Rows};
use dataplane::addr::MacAddr;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
/// Rounds, and the time between two, ns (Neutron sends three, 2 s apart).
const ROUNDS: u8 = 3;
const PAUSE: u64 = 2 * SECOND;
/// How often a gateway tells a physical network's switches where it is, ns.
const GATEWAY: u64 = 60 * SECOND;

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// A round of an announcement.
    Round(Announced, MacAddr),
    /// A router interface to its physical network: network, MAC, address.
    Gateway(String, MacAddr, u32),
}

#[derive(Clone, Copy, Debug)]
struct Rounds {
    due: u64,
    left: u8,
}

/// See the module text.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    known: BTreeMap<Announced, Announcement>,
    rounds: BTreeMap<Announced, Rounds>,
    gateways: Vec<(String, MacAddr, u32)>,
    next: Option<u64>,
}

impl Announcer {
    /// What `rows` have that was not there, or was another's, is announced from `now` on; without a time it is only noted.
    pub fn update(&mut self, rows: &Rows, now: Option<u64>) {
        self.rounds.retain(|key, _| rows.announced.get(key) == self.known.get(key));
        if let Some(now) = now {
            let new = rows.announced.iter().filter(|(key, what)| self.known.get(key) != Some(what));
            self.rounds.extend(new.map(|(key, _)| (key.clone(), Rounds { due: now, left: ROUNDS })));
            if rows.gateways.iter().any(|g| !self.gateways.contains(g)) {
                self.next = Some(now);
            }
        }
        self.known.clone_from(&rows.announced);
        self.gateways.clone_from(&rows.gateways);
        if self.gateways.is_empty() {
            self.next = None;
        }
    }

    /// Everything there is, from `now` on.
    pub fn all(&mut self, now: u64) {
        self.rounds = self.known.keys().map(|key| (key.clone(), Rounds { due: now, left: ROUNDS })).collect();
        self.next = (!self.gateways.is_empty()).then_some(now);
    }

    /// The clock stands at `now`: gateways speak when their time is over, counted from here.
    pub fn start(&mut self, now: u64) {
        if !self.gateways.is_empty() && self.next.is_none() {
            self.next = Some(now.saturating_add(GATEWAY));
        }
    }

    /// What is due first at `now`, and when it was; of one moment in the order of the addresses.
    pub fn next_due_by(&mut self, now: u64) -> Option<(u64, Vec<Say>)> {
        let due = self.next_due().filter(|due| *due <= now)?;
        let mut say = Vec::new();
        for (key, rounds) in self.rounds.iter_mut().filter(|(_, r)| r.due == due) {
            rounds.left -= 1;
            rounds.due = due.saturating_add(PAUSE);
            say.extend(self.known.get(key).map(|what| Say::Round(key.clone(), what.mac)));
        }
        self.rounds.retain(|_, r| r.left > 0);
        if self.next == Some(due) {
            self.next = Some(due.saturating_add(GATEWAY));
            say.extend(self.gateways.iter().map(|(network, mac, ip)| Say::Gateway(network.clone(), *mac, *ip)));
        }
        Some((due, say))
    }

    /// When something is due, ns.
    pub fn next_due(&self) -> Option<u64> {
        self.rounds.values().map(|r| r.due).chain(self.next).min()
    }

    /// Are rounds under way?
    pub fn announces(&self) -> bool {
        !self.rounds.is_empty()
    }
}
