//! R7 and L5-vip: next hops the model does not know are asked for, and of several owners of an address the one that
//! announces it is believed.
//!
//! Workers keep the packets; this keeps what was asked, who answered, and when to ask again.

use dataplane::police::{Rate, TokenBucket};
use dataplane::tables::{Epoch, Target};
use std::collections::{BTreeMap, BTreeSet};

const SECOND: u64 = 1_000_000_000;
/// Times after the first packet at which a probe goes out, and when that was in vain, ns.
const ASKING: [u64; 4] = [0, SECOND, 2 * SECOND, 3 * SECOND];
/// The same after a neighbour on a tenant network was heard of last: asked once more, then forgotten.
const TENANT: [u64; 2] = [270 * SECOND, 300 * SECOND];
/// The same on an external network.
const EXTERNAL: [u64; 4] = [30 * SECOND, 31 * SECOND, 32 * SECOND, 33 * SECOND];
/// A VIP moves at most so often, and so often at once.
const MOVES_A_SECOND: u32 = 10;
const MOVES: Rate = Rate { per_second: MOVES_A_SECOND, burst: MOVES_A_SECOND };

/// What is known of an address the model does not have.
#[derive(Clone, Copy, Debug)]
struct Entry {
    state: State,
    /// Since the first packet, or since it was heard of last, ns.
    since: u64,
    /// Steps of its schedule done.
    step: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asked for.
    Asked,
    /// Somebody has it: the row's value, where he is and whose index that was.
    Known { external: bool, target: Target, generation: u32 },
    /// There was no room to ask; packets may try again when it is due.
    Refused,
}

impl Entry {
    fn schedule(&self) -> &'static [u64] {
        match self.state {
            State::Asked => &ASKING,
            State::Known { external: false, .. } => &TENANT,
            State::Known { external: true, .. } => &EXTERNAL,
            State::Refused => &ASKING[1..2],
        }
    }

    /// When its next step is due, ns.
    fn due(&self) -> u64 {
        let after = self.schedule().get(self.step).copied().unwrap_or(0);
        self.since.saturating_add(after)
    }
}

/// What is to be done about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Send a probe.
    Probe,
    /// Nobody has it.
    InVain,
    /// Nobody has it any more.
    Forget,
    /// Packets may ask again.
    Retry,
}

/// See the module text.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    entries: BTreeMap<u64, Entry>,
    due: BTreeSet<(u64, u64)>,
    /// Entries of each network.
    networks: BTreeMap<u16, usize>,
    /// Rows that say so until no worker can be about to look.
    pub in_vain: Vec<(Epoch, u64)>,
    /// T13's candidates: the values a row may take.
    candidates: BTreeMap<u64, Vec<u64>>,
    /// Of those, what was announced, and how often it still may change.
    vips: BTreeMap<u64, (u64, TokenBucket)>,
    /// How often a VIP moved faster than it may.
    pub damped: u64,
    /// How often an address was not asked for, for lack of room.
    pub refused: u64,
}

impl Resolver {
    fn set(&mut self, key: u64, entry: Entry) {
        self.forget(key);
        self.due.insert((entry.due(), key));
        self.entries.insert(key, entry);
        *self.networks.entry((key >> 48) as u16).or_default() += 1;
    }

    pub fn forget(&mut self, key: u64) {
        if let Some(old) = self.entries.remove(&key) {
            self.due.remove(&(old.due(), key));
            let seg = (key >> 48) as u16;
            let left = self.networks.get(&seg).copied().unwrap_or(1) - 1;
            if left == 0 {
                self.networks.remove(&seg);
            } else {
                self.networks.insert(seg, left);
            }
        }
    }

    /// Somebody needs `key` since `now`. `true`: it is to be asked for; its first step is due. `room`: its row would
    /// find a place.
    pub fn ask(&mut self, key: u64, now: u64, room: bool) -> bool {
        if self.entries.contains_key(&key) {
            return false;
        }
        self.refused += u64::from(!room);
        let state = if room { State::Asked } else { State::Refused };
        self.set(key, Entry { state, since: now, step: 0 });
        room
    }

    /// Is it asked for, or does somebody have it whom we asked?
    pub fn listens(&self, key: u64) -> bool {
        self.entries.get(&key).is_some_and(|e| e.state != State::Refused)
    }

    /// Somebody has `key`, heard at `now`. `true`: packets may wait for that.
    pub fn heard(&mut self, key: u64, external: bool, (target, generation): (Target, u32), now: u64) -> bool {
        let asked = self.entries.get(&key).is_some_and(|e| e.state == State::Asked);
        self.set(key, Entry { state: State::Known { external, target, generation }, since: now, step: 0 });
        asked
    }

    /// Addresses of one network.
    pub fn of_network(&self, seg: u16) -> usize {
        self.networks.get(&seg).copied().unwrap_or(0)
    }

    /// The next step due at `now`, and when it was.
    pub fn next_step(&mut self, now: u64) -> Option<(u64, u64, Step)> {
        let &(due, key) = self.due.first().filter(|(due, _)| *due <= now)?;
        let mut entry = *self.entries.get(&key)?;
        let last = entry.step + 1 == entry.schedule().len();
        self.forget(key);
        if !last {
            entry.step += 1;
            self.set(key, entry);
            return Some((due, key, Step::Probe));
        }
        let step = match entry.state {
            State::Asked => Step::InVain,
            State::Known { .. } => Step::Forget,
            State::Refused => Step::Retry,
        };
        Some((due, key, step))
    }

    /// When the next step is due, ns.
    pub fn next_due(&self) -> Option<u64> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Is anything being asked for?
    pub fn asks(&self) -> bool {
        self.entries.values().any(|e| !matches!(e.state, State::Known { .. }))
    }

    /// Addresses asked for or known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries that `test` (key, where somebody has it) fails.
    pub fn unfit(&self, test: impl Fn(u64, Option<(Target, u32)>) -> bool) -> Vec<u64> {
        let known = |e: &Entry| match e.state {
            State::Known { target, generation, .. } => Some((target, generation)),
            _ => None,
        };
        self.entries.iter().filter(|(key, e)| !test(**key, known(e))).map(|(key, _)| *key).collect()
    }

    /// A batch has these candidates; `rows` keep what was announced while it still may be true. Rules: D9.
    pub fn set_candidates(&mut self, candidates: BTreeMap<u64, Vec<u64>>, rows: &mut BTreeMap<u64, u64>) {
        self.vips.retain(|key, (value, _)| candidates.get(key).is_some_and(|all| all.contains(value)));
        for (key, (value, _)) in &self.vips {
            rows.insert(*key, *value);
        }
        self.candidates = candidates;
    }

    /// `value` was announced for `key` at `now`. `true`: the row takes it. Rules: L5-vip, D9.
    pub fn announced(&mut self, key: u64, value: u64, now: u64) -> bool {
        if !self.candidates.get(&key).is_some_and(|all| all.contains(&value)) {
            return false;
        }
        let (active, tokens) = self.vips.entry(key).or_insert((0, TokenBucket::FULL));
        if *active == value {
            return false;
        }
        let may = tokens.take(MOVES, now);
        if may {
            *active = value;
        }
        self.damped += u64::from(!may);
        may
    }

    /// Several ports may have it.
    pub fn has_candidates(&self, key: u64) -> bool {
        self.candidates.contains_key(&key)
    }
}
