//! What keeps floods within bounds: how often a port may flood (the storm policer), how many copies
//! of one port's floods are made in one turn, and the floods that wait for their next turn (L6).
//!
//! State of one worker; `stage/flood_to_tun.rs` is its only user.

use crate::burst::{BURST, Burst, Door, Lane, Lanes};
use crate::police::{Rate, TokenBucket};
use crate::tables::PortIx;
use std::collections::VecDeque;

/// Floods that can wait in one worker: each has a lane of a burst.
pub const MAX_QUEUED: usize = BURST;

/// Physical networks a host can have.
const PHYS: usize = 16;

/// Bounds of floods, start parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimits {
    /// Frames that one local port may have flooded.
    pub storm: Rate,
    /// Copies made in one turn of a worker for the floods of one port; the rest in the next turns. At least 1.
    pub copies: u32,
    /// Copies made at the start of a turn for the floods that wait, of all ports together: what a turn may cost before
    /// it receives anything. At least 1.
    pub turn_copies: u32,
    /// Floods of one worker that wait for their next turn, at most [`MAX_QUEUED`].
    pub queued: usize,
}

impl Default for FloodLimits {
    fn default() -> Self {
        FloodLimits {
            storm: Rate { per_second: 1000, burst: 2000 },
            copies: 256,
            turn_copies: 1024,
            queued: MAX_QUEUED,
        }
    }
}

/// Receivers in order: local ports by index, tunnels by VTEP address, the physical network. Lists
/// change and indexes are reused while a flood waits; who comes before whom does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Nobody was served.
    #[default]
    Start,
    /// This local port.
    Port(PortIx),
    /// The host with this VTEP address.
    Vtep(u32),
    /// The physical network.
    Phys,
}

/// How far a waiting flood has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// The last receiver served, by its place in the order of all receivers there could be.
    pub last: Place,
    /// Whose index the flood's segment was when it began to wait.
    pub seg_generation: u32,
    /// Whose index its port was.
    pub port_generation: u32,
}

/// Of one port.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// Whose index the port was when its bucket was last used.
    generation: u32,
    tokens: TokenBucket,
    /// The turn `copies` is about.
    turn: u32,
    copies: u32,
}

/// See the module text.
#[derive(Debug)]
pub(crate) struct Floods<'u> {
    pub limits: FloodLimits,
    ports: Box<[Source]>,
    /// The tunnel's.
    other: Source,
    /// Physical networks'.
    phys: [Source; PHYS],
    /// Frames the writer asks for.
    made: Source,
    turn: u32,
    /// Floods that wait; taken while in use.
    pub waiting: Option<Box<Burst<'u>>>,
    pub cursor: Box<Lanes<Cursor>>,
    /// Their lanes, first come first.
    pub order: VecDeque<Lane>,
}

impl Floods<'_> {
    pub fn new(ports: usize) -> Self {
        let source = Source { generation: 0, tokens: TokenBucket::FULL, turn: 0, copies: 0 };
        Floods {
            limits: FloodLimits::default(),
            ports: vec![source; ports].into(),
            other: source,
            phys: [source; PHYS],
            made: source,
            turn: 0,
            waiting: Some(Box::default()),
            cursor: Box::new(Lanes::splat(Cursor::default())),
            order: VecDeque::with_capacity(MAX_QUEUED),
        }
    }

    /// A turn begins: each port may have its copies made again.
    #[inline(always)]
    pub fn next_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }

    /// May port `port`, its index owned by `generation`, flood a frame received at `now` ns?
    pub fn police(&mut self, port: PortIx, generation: u32, now: u64) -> bool {
        let Some(source) = self.ports.get_mut(usize::from(port)) else { return false };
        if source.generation != generation {
            (source.generation, source.tokens) = (generation, TokenBucket::FULL);
        }
        source.tokens.take(self.limits.storm, now)
    }

    /// Copies that may still be made in this turn for floods of `door`.
    pub fn left(&mut self, door: Door) -> usize {
        let limit = self.limits.copies.max(1);
        let turn = self.turn;
        let source = self.source(door);
        if source.turn != turn {
            (source.turn, source.copies) = (turn, 0);
        }
        limit.saturating_sub(source.copies) as usize
    }

    /// Notes copies made.
    pub fn spend(&mut self, door: Door, copies: usize) {
        let source = self.source(door);
        source.copies = source.copies.saturating_add(copies as u32);
    }

    fn source(&mut self, door: Door) -> &mut Source {
        match door {
            Door::Port(port) => self.ports.get_mut(usize::from(port)).unwrap_or(&mut self.other),
            Door::Phys(net) => self.phys.get_mut(usize::from(net)).unwrap_or(&mut self.other),
            Door::Unknown => &mut self.made,
            Door::Tunnel => &mut self.other,
        }
    }

    /// Does a flood of `door` wait? Later ones queue behind it.
    pub fn waits(&self, door: Door) -> bool {
        let Some(waiting) = self.waiting.as_ref().filter(|_| !self.order.is_empty()) else { return false };
        self.order.iter().any(|lane| waiting.door[*lane] == door)
    }

    /// Has the queue no place left?
    pub fn is_full(&self) -> bool {
        self.order.len() >= self.limits.queued.min(MAX_QUEUED)
    }

    /// Floods that wait: the frames that are `held`.
    #[inline(always)]
    pub fn held(&self) -> usize {
        self.order.len()
    }
}
