//! Replay: captures through one host's pipeline, on the captures' own clock.
//!
//! ```text
//! for every time t at which something happens, in order:
//!     timers due up to t, each at its own time
//!     events at t, in the order of their lines
//!     frames of time t, inputs in the order given; together they settle
//! afterwards the clock runs on while anything is pending, at most 10 s
//! ```
//!
//! Nothing here reads the machine's clock or its random numbers: the same inputs give the same outputs.

mod events;

use std::collections::BTreeMap;
use std::fmt;

use dataplane::umem::Umem;
use thiserror::Error;

use crate::capture::Capture;
use crate::host::{Dropped, Host, HostError, Totals, Workers};
use crate::model::{Cloud, NotFound, Problems};
use crate::writer::TableUse;

pub use events::{EventLine, Events};

/// How long the clock runs on after the last frame or event, ns.
const RUN_ON: u64 = 10_000_000_000;

/// What is replayed, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cloud at the start. Its rows count as long active.
    pub cloud: Cloud,
    /// Whose pipeline runs.
    pub host: String,
    /// Frames taken at a time, 1 to 64; the result is the same for each.
    pub burst: usize,
    /// How many workers share the work; the result is the same for each number.
    pub workers: Workers,
    /// Keep dropped frames in the outcome.
    pub drops: bool,
}

/// Frames received on one port.
#[derive(Clone, Debug)]
pub struct Input {
    /// The port: a Neutron port's id or unique name, `tunnel`, or a physical network.
    pub port: String,
    /// Its frames.
    pub capture: Capture,
}

/// A line of the events file that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refused {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub errors: Problems,
}

/// What came of a replay.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Every count, at the end.
    pub totals: Totals,
    /// Refused lines of the events file, by number.
    pub refused: Vec<Refused>,
    /// Tables at the end.
    pub tables: Vec<TableUse>,
    /// Time of the first frame, ns since 1970; 0 if there was none.
    pub start: u64,
    /// Time at which nothing was pending any more.
    pub end: u64,
    /// Packet buffers free at the end, and in all: the same, or some were lost.
    pub frames: (usize, usize),
    /// Frames sent, by port; empty if they went to a sink of the caller.
    pub sent: BTreeMap<String, Capture>,
    /// Frames dropped, by time, those of one time as they were dropped; empty unless asked for.
    pub dropped: Vec<Dropped>,
}

/// Why a replay cannot start.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The host's rows cannot be made.
    #[error("{0}")]
    Host(HostError),
    /// An input for a port nobody knows.
    #[error(
        "--in: {0}; frames come in by a port of the cloud or of an event (its id or unique name), by \"tunnel\" or by a \
         physical network of the host"
    )]
    Port(NotFound),
    /// Not a number of frames a burst can have.
    #[error("a burst has 1 to 64 frames, not {0}")]
    Burst(usize),
    /// Not a number of workers a replay can have.
    #[error("a replay has 1 to {most} workers, not {0}", most = Workers::MOST)]
    Workers(usize),
}

/// Replays, and keeps every frame sent in the outcome.
pub fn run(options: &Options, inputs: &[Input], events: &Events) -> Result<Outcome, ReplayError> {
    let mut sent: BTreeMap<String, Capture> = BTreeMap::new();
    let mut outcome = run_into(options, inputs, events, &mut |port, frame, time| {
        match sent.get_mut(port) {
            Some(capture) => capture.push(time, frame),
            None => sent.entry(port.to_owned()).or_default().push(time, frame),
        };
    })?;
    outcome.sent = sent;
    Ok(outcome)
}

/// Replays, and hands every frame sent to `see` in order: port, bytes, time of what caused it.
pub fn run_into(
    options: &Options,
    inputs: &[Input],
    events: &Events,
    see: &mut dyn FnMut(&str, &[u8], u64),
) -> Result<Outcome, ReplayError> {
    if !(1..=64).contains(&options.burst) {
        return Err(ReplayError::Burst(options.burst));
    }
    let Options { cloud, host: name, workers, .. } = options;
    if !(1..=Workers::MOST).contains(&workers.count) {
        return Err(ReplayError::Workers(workers.count));
    }
    let mut umem = Umem::new(buffers(cloud, workers.count));
    let mut host = Host::with_workers(cloud.clone(), name, &mut umem, *workers).map_err(ReplayError::Host)?;
    if options.drops {
        host.keep_drops();
    }
    let queues = inputs.iter().map(|i| Queue::new(&host, i, events)).collect::<Result<Vec<_>, _>>()?;
    let start = queues.iter().filter_map(Queue::time).min().unwrap_or(0);
    let mut replay = Replay { host: &mut host, queues, burst: options.burst, refused: events.unreadable(), see };
    let end = replay.all(start, events);
    let mut refused = replay.refused;
    refused.sort_by_key(|r| r.line);
    Ok(Outcome {
        totals: host.totals(),
        refused,
        tables: host.tables(),
        start,
        end,
        frames: host.frames(),
        sent: BTreeMap::new(),
        dropped: host.take_dropped(),
    })
}

/// The name a port has in files and reports, whether it is there now or comes with an event.
pub fn port_name(host: &Host<'_>, word: &str, events: &Events) -> Result<String, NotFound> {
    if let Some(name) = host.port_name(word) {
        return Ok(name);
    }
    match host.cloud().port_by_name(word) {
        Ok(port) => Ok(port.id.clone()),
        Err(NotFound::Unknown { .. }) if events.port(word).is_some() => Ok(events.port(word).unwrap_or_default()),
        Err(e) => Err(e),
    }
}

/// Packet buffers: for each worker enough for a full burst of floods to every host of the cloud, and then some.
pub fn buffers(cloud: &Cloud, workers: usize) -> usize {
    let workers = workers.max(1);
    let each = 64 * (cloud.hosts.len() + cloud.ports.len()) + 4096 / workers;
    workers * each.min((32_768 / workers).max(2048))
}

/// The frames of an input in the order of their times.
struct Queue<'i> {
    port: String,
    capture: &'i Capture,
    order: Vec<u32>,
    next: usize,
}

impl<'i> Queue<'i> {
    fn new(host: &Host<'_>, input: &'i Input, events: &Events) -> Result<Self, ReplayError> {
        let port = port_name(host, &input.port, events).map_err(ReplayError::Port)?;
        let capture = &input.capture;
        let mut order: Vec<u32> = (0..capture.len() as u32).collect();
        order.sort_by_key(|i| capture.get(*i as usize).map(|f| f.time));
        Ok(Queue { port, capture, order, next: 0 })
    }

    fn time(&self) -> Option<u64> {
        self.peek().map(|f| f.time)
    }

    fn peek(&self) -> Option<crate::capture::Frame<'i>> {
        self.capture.get(*self.order.get(self.next)? as usize)
    }
}

struct Replay<'r, 'u, 'i> {
    host: &'r mut Host<'u>,
    queues: Vec<Queue<'i>>,
    burst: usize,
    refused: Vec<Refused>,
    see: &'r mut dyn FnMut(&str, &[u8], u64),
}

impl Replay<'_, '_, '_> {
    /// Everything, and then until nothing is pending; returns the time it ended.
    fn all(&mut self, start: u64, events: &Events) -> u64 {
        let mut events = events.in_order().peekable();
        let mut now = start;
        self.host.start_clock(start);
        loop {
            let event = events.peek().map(|(_, e)| start.saturating_add(e.at_ns));
            let frame = self.queues.iter().filter_map(Queue::time).min();
            let Some(t) = event.into_iter().chain(frame).min() else { break };
            now = t;
            self.timers(t);
            while let Some((line, event)) = events.next_if(|(_, e)| start.saturating_add(e.at_ns) <= t) {
                if let Err(errors) = self.host.apply(&event.change, t) {
                    self.refused.push(Refused { line, errors });
                }
                self.host.drain_sent(self.see);
            }
            self.frames(t);
        }
        let last = now.saturating_add(RUN_ON);
        while self.host.pending() {
            let Some(t) = self.host.next_timer().filter(|t| *t <= last) else { break };
            now = t.max(now);
            self.timers(now);
        }
        now
    }

    fn timers(&mut self, t: u64) {
        while let Some(due) = self.host.next_timer().filter(|due| *due <= t) {
            self.host.run_timers(due);
            self.host.drain_sent(self.see);
        }
    }

    fn frames(&mut self, t: u64) {
        for queue in &mut self.queues {
            while let Some(frame) = queue.peek().filter(|f| f.time == t) {
                queue.next += 1;
                self.host.receive(&queue.port, frame.bytes, t, self.burst);
            }
        }
        self.host.settle(t);
        self.host.drain_sent(self.see);
    }
}

impl fmt::Debug for Queue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({}, {} of {})", self.port, self.next, self.order.len())
    }
}
