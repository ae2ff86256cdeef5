//! One host, whole, without a NIC: model, writer, and workers on memory ports. What `dvrctl
//! replay`, `trace`, `demo` and the fixtures run.

mod names;
#[cfg(test)]
mod tests;
mod together;
mod workers;

pub use crate::books::{PortTotals, Totals};
pub use names::Names;
pub use workers::Workers;

use crate::model::{Change, Cloud, Problem, Problems};
use crate::rows::Rows;
use crate::writer::{Limits, TableFull, TableUse, Writer};
use dataplane::burst::{BURST, Door};
use dataplane::counters::WorkerCounters;
use dataplane::drop_reason::DropReason;
use dataplane::drop_tap::{DropRecord, DropTap};
use dataplane::io::{InjectError, MemoryPort, Port};
use dataplane::parking::PER_ROUTER;
use dataplane::stage::Stage;
use dataplane::tables::{PortRow, SegRow};
use dataplane::trace::TraceRecord;
use dataplane::umem::{MAX_FRAME, Umem};
use dataplane::worker::{ORDERS, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Frames a local port holds: of each frame of a burst it gets at most one copy.
const PORT_QUEUE: usize = 2 * BURST;
/// Frames for [`Umem::new`]. A burst whose copies would not fit is cut into smaller ones.
pub const FRAMES: usize = 4096;
/// Rounds of reports and answers in one moment: packets woken may wait again, for another next hop.
const MOST_ROUNDS: usize = 64;
/// Records of a tap for drops: the copies of one frame, to every port and every other host there can be, fit.
const TAP_RECORDS: usize = 8192;
/// Physical networks a host can have.
pub const MAX_PHYS: usize = 16;
/// The name of the underlay NIC.
pub const TUNNEL: &str = "tunnel";

/// Why a host could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The cloud has no such host.
    #[error("{0}")]
    Unknown(String),
    /// A table has no room.
    #[error(transparent)]
    Full(#[from] TableFull),
    /// More physical networks than a host can have.
    #[error("host {host} maps {count} physical networks, at most {MAX_PHYS} are possible")]
    Phys {
        /// The host.
        host: String,
        /// How many.
        count: usize,
    },
    /// The region has no frames for a worker, or the process no file descriptors.
    #[error("{0} workers cannot be started: each needs packet memory and two file descriptors")]
    NoWorker(usize),
}

/// A frame that was sent.
#[derive(Debug)]
struct Sent {
    port: String,
    bytes: Vec<u8>,
    time: u64,
}

/// A frame that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The port it came in by.
    pub port: String,
    /// When, ns.
    pub time: u64,
    /// Where it ended.
    pub stage: Stage,
    /// Why.
    pub reason: DropReason,
    /// Its length as received, bytes.
    pub len: u32,
    /// Its first bytes as received; all of them unless it was longer than a port's buffer.
    pub bytes: Vec<u8>,
}

/// See the module text.
#[derive(Debug)]
pub struct Host<'u> {
    name: String,
    cloud: Cloud,
    writer: Writer,
    workers: Vec<Worker<'u>>,
    setup: Workers,
    names: Names,
    phys: Vec<String>,
    ports: BTreeMap<String, PortTotals>,
    /// Frames waiting in a port's receive queue: whose, the door and how many.
    waiting: Option<(usize, Door, usize)>,
    /// Copies of one port's floods a worker makes in one turn.
    copies: usize,
    /// Frames that may go through at once, so that every copy of a flood is made at once and finds a buffer.
    at_once: usize,
    sent: Vec<Sent>,
    /// Where dropped frames go, if anyone wants them.
    tap: Option<Arc<DropTap>>,
    dropped: Vec<Dropped>,
    /// The port behind [`Door::Unknown`] now.
    unknown: String,
    /// Whose each index was last.
    owners: BTreeMap<u16, String>,
}

impl<'u> Host<'u> {
    /// Loads the rows of `cloud` for host `name`; one worker, a memory port for every local port,
    /// the underlay and each physical network.
    pub fn new(cloud: Cloud, name: &str, umem: &'u mut Umem) -> Result<Host<'u>, HostError> {
        Host::with_workers(cloud, name, umem, Workers::ONE)
    }

    /// As [`Host::new`], with several workers, which share the packet memory equally.
    pub fn with_workers(cloud: Cloud, name: &str, umem: &'u mut Umem, setup: Workers) -> Result<Host<'u>, HostError> {
        let me = cloud.host_by_name(name).map_err(|e| HostError::Unknown(e.to_string()))?;
        let phys: Vec<String> = me.bridge_mappings.keys().cloned().collect();
        if phys.len() > MAX_PHYS {
            return Err(HostError::Phys { host: name.to_owned(), count: phys.len() });
        }
        let rows = Rows::derive(&cloud, name).unwrap_or_default();
        let limits = Limits::for_rows(&rows);
        let mut writer = Writer::new(setup.count, limits);
        writer.apply(&rows, None)?;
        let mut workers = workers::start(&writer, umem, setup.count, (limits.ports, phys.len()))
            .ok_or(HostError::NoWorker(setup.count))?;
        for worker in &mut workers {
            worker.repeatable();
            worker.set_flood_limits(limits.flood);
            worker.set_tell_limits(limits.tell.share(setup.count));
            worker.set_asked_per_router(PER_ROUTER.div_ceil(setup.count));
        }
        let names = Names::new(&cloud, &writer);
        let ports = BTreeMap::new();
        let mut host = Host {
            name: name.to_owned(),
            cloud,
            writer,
            workers,
            setup,
            names,
            phys,
            ports,
            waiting: None,
            copies: limits.flood.copies as usize,
            at_once: 1,
            sent: Vec::new(),
            tap: None,
            dropped: Vec::new(),
            unknown: String::new(),
            owners: BTreeMap::new(),
        };
        host.attach_ports();
        Ok(host)
    }

    /// Memory ports for new local ports, each at its owner; those of ports that are gone are taken away.
    fn attach_ports(&mut self) {
        let copies = |s: &SegRow| s.flood_ports.len() + s.flood_tunnels.len() + 2;
        let most = self.writer.current().segments.iter().map(|(_, s)| copies(s)).max().unwrap_or(2);
        let frames = self.workers.first().map_or(0, |w| w.frames().1);
        let room = self.tap.as_ref().map_or(usize::MAX, |tap| tap.capacity());
        // Within one turn's copies, no flood waits while a later frame of its port goes out before it.
        self.at_once = (frames.min(room).min(self.copies) / most).clamp(1, BURST);
        self.owners.extend(self.writer.indexes().ports().map(|(id, ix)| (ix, id.to_owned())));
        let rows = &self.writer.current().ports;
        let live: BTreeMap<u16, &PortRow> =
            self.writer.indexes().ports().filter_map(|(_, ix)| Some((ix, rows.get(ix)?))).collect();
        for (id, worker) in self.workers.iter_mut().enumerate() {
            for ix in 0..worker.port_limit() {
                let mine = live.get(&ix).filter(|row| usize::from(row.owner.0) == id);
                let wanted = mine.map(|row| row.generation);
                if worker.attached(ix) == wanted {
                    continue;
                }
                close(worker, Door::Port(ix));
                if let Some(generation) = wanted {
                    worker.attach_port(ix, generation, Port::Memory(MemoryPort::new(PORT_QUEUE)));
                }
            }
        }
    }

    /// The name a port has in files and reports: the Neutron id for an id or unique name, `tunnel`,
    /// or a physical network's name. `None`: nothing of that name in the model as it is now.
    pub fn port_name(&self, word: &str) -> Option<String> {
        let mapped = |name: &str| self.cloud.hosts.values().any(|h| h.bridge_mappings.contains_key(name));
        let physical = |name: &str| {
            let mut networks = self.cloud.networks.values();
            networks.any(|n| n.provider_physical_network.as_deref() == Some(name))
        };
        if word == TUNNEL || mapped(word) || physical(word) {
            return Some(word.to_owned());
        }
        self.cloud.port_by_name(word).ok().map(|p| p.id.clone())
    }

    fn door(&self, port: &str) -> Door {
        if port == TUNNEL {
            return Door::Tunnel;
        }
        if let Some(n) = self.phys.iter().position(|p| p == port) {
            return Door::Phys(n as u8);
        }
        self.writer.indexes().port(port).map_or(Door::Unknown, |(ix, _)| Door::Port(ix))
    }

    /// A frame on the wire of a port (by its canonical name), received at `now` ns. Frames go
    /// through the pipeline in the order given, up to `burst` of one queue at once.
    pub fn receive(&mut self, port: &str, frame: &[u8], now: u64, burst: usize) {
        let door = self.door(port);
        let id = workers::of(&self.writer, door, self.setup.queue(frame));
        let limit = burst.clamp(1, self.at_once);
        self.ports.entry(port.to_owned()).or_default().rx += 1;
        let waiting = match self.waiting {
            Some((worker, same, n))
                if (worker, same) == (id, door) && (door != Door::Unknown || self.unknown == port) =>
            {
                n
            }
            _ => {
                self.run();
                0
            }
        };
        if door == Door::Unknown {
            port.clone_into(&mut self.unknown);
        }
        let Some(worker) = self.workers.get_mut(id) else { return };
        let injected = match worker.memory_port(door) {
            Some((memory, pool)) => memory.inject(frame, now, pool),
            None => Err(InjectError::Full),
        };
        match injected {
            Ok(()) => self.waiting = Some((id, door, waiting + 1)),
            Err(InjectError::TooLong) => worker.refuse(door, DropReason::Mtu, frame, now),
            Err(InjectError::Full) => worker.refuse(door, DropReason::NoFrame, frame, now),
        }
        if injected.is_err() {
            self.collect_drops();
        }
        if waiting + 1 >= limit {
            self.run();
        }
    }

    /// Everything received so far goes through the pipeline; what was sent is collected.
    fn run(&mut self) {
        let Some((id, door, n)) = self.waiting.take() else { return };
        if let Some(worker) = self.workers.get_mut(id) {
            worker.poll(door, n);
        }
        self.collect();
    }

    /// Frames between workers arrive and floods end; what was sent is taken out of the ports.
    fn collect(&mut self) {
        loop {
            let more = self.workers.iter().any(|w| w.held() > 0);
            workers::settle(&mut self.workers);
            self.drain();
            if !more {
                break;
            }
        }
        workers::settle(&mut self.workers);
        self.collect_drops();
    }

    /// Takes what was sent out of the ports.
    fn drain(&mut self) {
        let local: Vec<(u16, String)> = self.writer.indexes().ports().map(|(id, ix)| (ix, id.to_owned())).collect();
        let phys = self.phys.iter().enumerate().map(|(n, name)| (Door::Phys(n as u8), name.clone()));
        let local = local.into_iter().map(|(ix, id)| (Door::Port(ix), id));
        let doors: Vec<_> = local.chain([(Door::Tunnel, TUNNEL.to_owned())]).chain(phys).collect();
        for (door, id) in doors {
            for worker in &mut self.workers {
                let Some((port, pool)) = worker.memory_port(door) else { continue };
                let (sent, totals) = (&mut self.sent, &mut self.ports);
                port.drain(|bytes, meta| {
                    sent.push(Sent { port: id.clone(), bytes: bytes.to_vec(), time: meta.rx_time });
                    totals.entry(id.clone()).or_default().tx += 1;
                });
                port.reclaim(pool);
            }
        }
    }

    /// Empties the tap, while a door still means the port the frame came in by.
    fn collect_drops(&mut self) {
        let Some(tap) = &self.tap else { return };
        while let Some(r) = tap.pop() {
            let port = match r.door {
                Door::Tunnel => TUNNEL.to_owned(),
                Door::Unknown => self.unknown.clone(),
                Door::Phys(n) => self.phys.get(usize::from(n)).cloned().unwrap_or_default(),
                Door::Port(ix) => {
                    // A frame that waited may have come by a port that is gone.
                    let port = self.writer.indexes().ports().find(|(_, i)| *i == ix).map(|(id, _)| id.to_owned());
                    port.or_else(|| self.owners.get(&ix).cloned()).unwrap_or_default()
                }
            };
            let DropRecord { time, stage, reason, len, .. } = r;
            self.dropped.push(Dropped { port, time, stage, reason, len, bytes: r.bytes().to_vec() });
        }
    }

    /// Keep every frame dropped from now on, for [`Host::take_dropped`].
    pub fn keep_drops(&mut self) {
        let tap = Arc::new(DropTap::new(TAP_RECORDS));
        tap.start(MAX_FRAME);
        self.workers.iter_mut().for_each(|worker| worker.tap_drops(tap.clone()));
        self.tap = Some(tap);
        self.attach_ports();
    }

    /// Frames dropped since the last call, copies of floods included, as they were dropped.
    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    /// Everything received goes through the pipeline, and what workers learned is stored: the
    /// state between two moments of time.
    pub fn settle(&mut self, _now: u64) {
        self.run();
        self.answer();
        self.quiet();
    }

    /// What workers report is stored, and what that calls for is sent: probes, announcements, then packets that waited.
    fn answer(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let mut reports = 0;
            for worker in &self.workers {
                while let Some(report) = worker.learn_queue().pop() {
                    self.writer.report(&report);
                    reports += 1;
                }
            }
            let made = self.writer.take_made();
            for some in made.chunks(ORDERS) {
                if let Some(worker) = self.workers.first_mut() {
                    some.iter().for_each(|made| worker.send_made(made)); // as many as dvrd's worker takes in a turn
                }
                self.collect();
            }
            let news = self.workers.iter_mut().fold(false, |news, w| w.hear_news() | news);
            if news {
                self.wake_in_order();
            } else if reports == 0 {
                break;
            }
        }
    }

    /// Packets whose waiting is over go on, in the order in which they came, whichever worker has them.
    fn wake_in_order(&mut self) {
        loop {
            let first = |(n, w): (usize, &Worker<'u>)| Some((w.first_ready()?, n));
            let Some((_, n)) = self.workers.iter().enumerate().filter_map(first).min() else { break };
            if !self.workers.get_mut(n).is_some_and(Worker::wake_one) {
                break;
            }
            self.collect();
        }
    }

    /// Frames whose other host has a MAC by now go, in the order in which they came, whichever worker has them.
    fn send_resolved(&mut self) {
        loop {
            let first = |(n, w): (usize, &mut Worker<'u>)| Some((w.first_resolved()?, n));
            let Some((_, n)) = self.workers.iter_mut().enumerate().filter_map(first).min() else { break };
            if let Some(worker) = self.workers.get_mut(n) {
                worker.send_first_resolved();
            }
            self.drain(); // nobody has a turn in between: it would send all it has
        }
        self.collect();
    }

    /// The clock stands at `now` ns: what repeats is counted from here.
    pub fn start_clock(&mut self, now: u64) {
        self.writer.start_clock(now);
    }

    /// A grace period passes.
    fn quiet(&mut self) {
        self.workers.iter_mut().for_each(Worker::idle);
        self.writer.poll();
    }

    /// Frames sent since the last call, in order of sending at each port: port, bytes, and the
    /// time (ns) of the frame that caused them.
    pub fn drain_sent(&mut self, see: &mut dyn FnMut(&str, &[u8], u64)) {
        for sent in self.sent.drain(..) {
            see(&sent.port, &sent.bytes, sent.time);
        }
    }

    /// Applies a batch, whole or not at all.
    pub fn apply(&mut self, change: &Change, now: u64) -> Result<(), Problems> {
        self.settle(now);
        let cloud = self.cloud.apply(change)?;
        let refused = |resource: String, reason: String, hint: &str| Problem {
            place: Default::default(),
            resource,
            field: None,
            reason,
            hint: hint.to_owned(),
        };
        let rows = Rows::derive(&cloud, &self.name).ok_or_else(|| {
            let reason = "is the host these tables are for and cannot be deleted".to_owned();
            refused(format!("host {}", self.name), reason, "stop dvrd on that host first")
        })?;
        if rows.phys != self.phys {
            let reason =
                format!("the physical networks in bridge_mappings change, from {:?} to {:?}", self.phys, rows.phys);
            return Err(refused(format!("host {}", self.name), reason, "restart dvrd for that").into());
        }
        self.writer
            .apply(&rows, Some(now))
            .map_err(|e| refused("host".to_owned(), e.to_string(), "raise the limit or take fewer rows"))?;
        self.cloud = cloud;
        self.send_resolved();
        self.attach_ports();
        self.names = Names::new(&self.cloud, &self.writer);
        self.answer();
        self.quiet();
        Ok(())
    }

    /// When the next timer is due, ns. Ageing and a gateway's announcements are housekeeping: they keep nothing pending.
    pub fn next_timer(&self) -> Option<u64> {
        let waiting = self.workers.iter().map(|w| w.unresolved().1);
        waiting.chain([self.writer.next_timer()]).flatten().min()
    }

    /// Runs every timer due up to and including `now`.
    pub fn run_timers(&mut self, now: u64) {
        self.writer.run_timers(now);
        self.workers.iter_mut().for_each(|w| w.expire(now));
        self.collect();
        self.answer();
        self.quiet();
    }

    /// Are floods, packets that wait, probes or announcements under way?
    pub fn pending(&self) -> bool {
        let waits = |w: &Worker<'u>| w.held() > 0 || w.parked().0 > 0 || w.unresolved().0 > 0;
        self.writer.pending() || self.workers.iter().any(waits)
    }

    /// The books, of all workers together.
    pub fn totals(&self) -> Totals {
        let workers: Vec<&WorkerCounters> = self.workers.iter().map(|w| &**w.counters()).collect();
        Totals::of(&workers, &self.writer, self.ports.clone())
    }

    /// Record the steps of frames received from now on.
    pub fn set_trace(&mut self, on: bool) {
        self.workers.iter_mut().for_each(|w| w.trace = on);
    }

    /// The records so far, one worker's after another's.
    pub fn take_trace(&mut self) -> Vec<TraceRecord> {
        self.workers.iter().flat_map(|w| std::iter::from_fn(|| w.tracer().pop())).collect()
    }

    /// Words for row indexes.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Rows against limits.
    pub fn tables(&self) -> Vec<TableUse> {
        self.writer.tables()
    }

    /// The model.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Frames free and in all: equal whenever nothing waits in a port.
    pub fn frames(&self) -> (usize, usize) {
        let each = self.workers.iter().map(Worker::frames);
        each.fold((0, 0), |(free, total), (f, t)| (free + f, total + t))
    }
}

/// Takes a port away, its frames back to the pool.
fn close(worker: &mut Worker<'_>, door: Door) {
    worker.detach(door);
}
