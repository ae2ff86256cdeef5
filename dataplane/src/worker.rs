//! A worker: one thread's share of the dataplane.
//!
//! Every (port, queue) belongs to exactly one worker, which alone touches its rings, its frames
//! and its counters. Nothing here is shared for writing.

mod closing;
mod io;
mod orders;
mod run;
mod statement;
mod turn_clock;

pub use closing::{Closer, Leaving, Returned};
pub use io::WorkerIo;
pub use orders::{ORDERS, Order, Orders};
pub use run::Idle;
pub use statement::{Buffers, Statement, Statements};
pub(crate) use turn_clock::in_kernel;
pub use turn_clock::{LONG_TURN, TurnCounters};

use crate::burst::{Burst, Door, Mask};
use crate::counters::{Event, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::drop_tap::{DropTap, Dropped};
use crate::flood::FloodLimits;
use crate::handoff::{Bell, Links};
use crate::io::{MemoryPort, Port};
use crate::learn::{LEARN_QUEUE, LearnQueue};
use crate::parking::MAX_PARKED;
use crate::stage::Stage;
use crate::stage_clock::StageClock;
use crate::tables::{PortIx, Published, QsbrWorker, SnapshotSource, Tables, Target};
use crate::told::TellLimits;
use crate::trace::Tracer;
use crate::umem::{FramePool, Region};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;
use turn_clock::TurnClock;

/// Trace records of one worker until somebody reads them: one frame flooded to 1,000 receivers fits.
pub const TRACE_RECORDS: usize = 16384;

/// Number of a worker, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u8);

/// What a worker needs of the control side.
#[derive(Debug)]
pub struct WorkerView {
    /// Its view of the small tables.
    pub published: Published,
    /// The newest snapshot at any moment.
    pub newest: SnapshotSource,
    /// The large tables.
    pub tables: Tables,
    /// Its grace-period token.
    pub token: QsbrWorker,
}

/// A worker. `poll` is its whole life.
#[derive(Debug)]
pub struct Worker<'u> {
    view: WorkerView,
    count: Arc<WorkerCounters>,
    learn: LearnQueue,
    tracer: Arc<Tracer>,
    /// Where dropped frames go, if anyone may want them.
    tap: Option<Arc<DropTap>>,
    /// Times the stages, if somebody wants to know.
    clock: Option<StageClock>,
    /// Times its turns, if somebody wants to know.
    turns: Option<TurnClock>,
    /// Keys of T13 that frames wait for while a burst goes through.
    waiting: Vec<u64>,
    burst: Box<Burst<'u>>,
    io: WorkerIo<'u>,
    orders: Orders<'u>,
    /// Record the steps of every frame received from now on.
    pub trace: bool,
}

impl<'u> Worker<'u> {
    /// A worker with room for `ports` local ports and `phys` physical networks. Everything it will
    /// ever need is allocated here.
    pub fn new(view: WorkerView, pool: FramePool<'u>, ports: usize, phys: usize) -> Self {
        let ports = ports.min(Target::PORTS);
        view.token.online();
        Worker {
            view,
            count: Arc::new(WorkerCounters::new(ports, phys)),
            learn: Arc::new(ArrayQueue::new(LEARN_QUEUE)),
            tracer: Arc::new(Tracer::new(TRACE_RECORDS)),
            tap: None,
            clock: None,
            turns: None,
            waiting: Vec::with_capacity(MAX_PARKED),
            burst: Box::default(),
            io: WorkerIo::new(pool, ports, phys),
            orders: Arc::new(ArrayQueue::new(ORDERS)),
            trace: false,
        }
    }

    /// Gives the worker a queue of a NIC; the one that was there is returned. A local port needs [`Worker::attach_port`].
    pub fn attach(&mut self, door: Door, port: Port<'u>) -> Option<Port<'u>> {
        self.io.attach(door, 0, port)
    }

    /// Gives the worker the port of the row with this index and generation ([`PortRow`](crate::tables::PortRow));
    /// the one that was there is returned, or this one if the index is past the worker's limit.
    pub fn attach_port(&mut self, ix: PortIx, generation: u32, port: Port<'u>) -> Option<Port<'u>> {
        self.io.attach(Door::Port(ix), generation, port)
    }

    /// The NIC at `at` is for `door` too: one underlay and several physical networks can share it. What comes in there is told
    /// apart by what it is: VXLAN for this host, or the VLAN of a physical network.
    pub fn share(&mut self, door: Door, at: Door) {
        self.io.share(door, at);
    }

    /// The generation of the port attached at an index.
    pub fn attached(&self, ix: PortIx) -> Option<u32> {
        self.io.generation(ix)
    }

    /// Takes a port away; says whether there was one. Its frames go back to their pools: those sent and not yet gone,
    /// and those that wait to be received, which nobody counts.
    pub fn detach(&mut self, door: Door) -> bool {
        self.io.detach(door, &self.count)
    }

    /// The doors with a port.
    pub fn doors(&self) -> &[Door] {
        self.io.doors()
    }

    /// A port in memory and the free frames, for who fills or empties it.
    pub fn memory_port(&mut self, door: Door) -> Option<(&mut MemoryPort<'u>, &mut FramePool<'u>)> {
        match self.io.port_and_pool(door)? {
            (Port::Memory(memory), pool) => Some((memory, pool)),
            _ => None,
        }
    }

    /// Connects the worker to the others ([`mesh`](crate::handoff::mesh)); without, a frame for another
    /// worker's port is `handoff_full`.
    pub fn connect(&mut self, links: Links<'u>) {
        self.io.connect(links);
    }

    /// Floods that wait for their next turn: each [`Worker::poll`] and [`Worker::idle`] brings them nearer to their end.
    pub fn held(&self) -> usize {
        self.io.floods.held()
    }

    /// Frames that wait for a neighbour, and when the first of them was received, ns.
    pub fn parked(&self) -> (usize, Option<u64>) {
        (self.io.lot.len(), self.io.lot.oldest())
    }

    /// Frames that wait for the MAC of the way to another host, and when the first of them may have waited long enough, ns.
    pub fn unresolved(&self) -> (usize, Option<u64>) {
        (self.io.unresolved.len(), self.io.unresolved.expiry())
    }

    /// Bounds of what senders are told from now on; [`TellLimits::default`] until then.
    pub fn set_tell_limits(&mut self, limits: TellLimits) {
        self.io.told.limits = limits;
    }

    /// Makes what this worker does depend on its input alone, not on the random numbers of its start: for replay.
    pub fn repeatable(&mut self) {
        self.io.told.seeded();
    }

    /// Addresses that may be asked for by one router, in this worker; [`PER_ROUTER`](crate::parking::PER_ROUTER) until then.
    pub fn set_asked_per_router(&mut self, addresses: usize) {
        self.io.lot.per_router = addresses;
    }

    /// Bounds of floods from now on; [`FloodLimits::default`] until then.
    pub fn set_flood_limits(&mut self, limits: FloodLimits) {
        self.io.floods.limits = limits;
    }

    /// Counts a frame the port could not take in at `time` ns: `mtu` if it is longer than a buffer, `no_frame` if
    /// none was free.
    pub fn refuse(&mut self, door: Door, reason: DropReason, frame: &[u8], time: u64) {
        self.count.received.add(1);
        self.count.port(door).rx.add(1);
        self.count.drop_frame(door, Stage::Ingress, reason);
        if let Some(tap) = self.tap.as_ref().filter(|tap| tap.is_on()) {
            let what = Dropped { time, door, stage: Stage::Ingress, reason };
            if !tap.keep(what, frame.len(), frame) {
                self.count.event(Event::DropCaptureFull).add(1);
            }
        }
    }

    /// Puts every frame this worker drops from now on into `tap` while that is on. On threads of their own, workers
    /// have a tap each; driven by one thread they may share one, which then keeps the order of their drops.
    pub fn tap_drops(&mut self, tap: Arc<DropTap>) {
        self.tap = Some(tap);
    }

    /// Counts the time of every stage from now on, or no longer (`ns` of
    /// [`StageCounters`](crate::counters::StageCounters)). Costs 20 to 50 ns a stage and burst while it is on.
    pub fn time_stages(&mut self, on: bool) {
        self.clock = on.then(StageClock::default);
    }

    /// Measures each turn of [`Worker::work`] from its start on, in CPU time ([`WorkerCounters::turns`]). Costs two system
    /// calls a turn and two more for each of its own, about 1 us; off, a branch.
    pub fn time_turns(&mut self, on: bool) {
        self.turns = on.then(TurnClock::default);
    }

    /// Ports it gives up are closed by whoever receives them, who returns their buffers by [`Order::TakeBack`]; with none,
    /// as at first, and for the last ones when it stops, by itself.
    pub fn close_by(&mut self, closer: Option<Closer<'u>>) {
        self.io.closer = closer;
    }

    /// What wakes it: to ring after telling it to stop. `None` before [`Worker::connect`].
    pub fn bell(&self) -> Option<Arc<Bell>> {
        self.io.links().map(|links| Arc::clone(links.bell()))
    }

    /// What it alone owns.
    pub fn io(&self) -> &WorkerIo<'u> {
        &self.io
    }

    /// Its counters.
    pub fn counters(&self) -> &Arc<WorkerCounters> {
        &self.count
    }

    /// Reports to the writer by `queue` from now on. Workers driven by one thread may share one, which then keeps the
    /// order of what they saw.
    pub fn report_to(&mut self, queue: LearnQueue) {
        self.learn = queue;
    }

    /// What it has to report to the writer.
    pub fn learn_queue(&self) -> &LearnQueue {
        &self.learn
    }

    /// Its trace records.
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// The packet memory its frames are of.
    pub fn region(&self) -> Region<'u> {
        self.io.pool.region()
    }

    /// Frames in its pool now, and in all.
    pub fn frames(&self) -> (usize, usize) {
        (self.io.pool.free(), self.io.pool.total())
    }

    /// Other workers' frames that wait here to go home.
    pub fn foreign_frames(&self) -> usize {
        self.io.pool.foreign()
    }

    /// Number of ports it has room for.
    pub fn port_limit(&self) -> PortIx {
        self.io.port_limit()
    }

    /// Frames in the burst between two polls: always none.
    pub fn in_flight(&self) -> u64 {
        Mask::count(self.burst.live | self.burst.ended)
    }
}

#[cfg(test)]
mod tests;
