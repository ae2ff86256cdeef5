//! A worker: one thread's share of the dataplane.
//!
//! Every (port, queue) belongs to exactly one worker, which alone touches its rings, its frames
//! and its counters. Nothing here is shared for writing.

use crate::burst::{BURST, Burst, Door, Mask};
use crate::counters::{Event, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::drop_tap::{DropTap, Dropped};
use crate::flood::{FloodLimits, Floods};
use crate::handoff::{Handed, Links};
use crate::io::Port;
use crate::learn::{LEARN_QUEUE, LearnQueue};
use crate::pipeline::{process_burst, process_handed};
use crate::stage::{Ctx, Stage, go_on};
use crate::tables::{PortIx, Published, QsbrWorker, SnapshotSource, Tables, Target};
use crate::trace::Tracer;
use crate::umem::{Frame, FramePool};
use crossbeam::queue::ArrayQueue;
use std::sync::Arc;
use std::time::Duration;

/// Trace records of one worker until somebody reads them: one frame flooded to 1,000 receivers fits.
pub const TRACE_RECORDS: usize = 16384;

/// After so many bursts every buffer goes home, however few there are: a worker that is never idle keeps none.
const ALL_HOME: u32 = 64;

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

/// An attached local port.
#[derive(Debug)]
struct LocalPort<'u> {
    port: Port<'u>,
    /// Whose index it had when it was attached. Indexes are reused: until the row and the attached port
    /// are of one generation, no frame passes between them.
    generation: u32,
}

/// What a worker alone owns: ports and free frames.
#[derive(Debug)]
pub struct WorkerIo<'u> {
    pub(crate) id: WorkerId,
    pub(crate) pool: FramePool<'u>,
    /// Copies of flooded frames on their way out; taken while in use.
    pub(crate) copies: Option<Box<Burst<'u>>>,
    /// Floods that wait, and what each port may still flood.
    pub(crate) floods: Floods<'u>,
    local: Vec<Option<LocalPort<'u>>>,
    tunnel: Option<Port<'u>>,
    phys: Vec<Option<Port<'u>>>,
    unknown: Option<Port<'u>>,
    /// To and from the other workers.
    links: Option<Links<'u>>,
    /// So many bursts so far.
    bursts: u32,
}

impl<'u> WorkerIo<'u> {
    fn new(pool: FramePool<'u>, ports: usize, phys: usize) -> Self {
        let copies = Some(Box::default());
        WorkerIo {
            id: pool.id(),
            pool,
            copies,
            floods: Floods::new(ports),
            local: (0..ports).map(|_| None).collect(),
            tunnel: None,
            phys: (0..phys).map(|_| None).collect(),
            unknown: None,
            links: None,
            bursts: 0,
        }
    }

    /// The port behind a door, if one is attached.
    #[inline(always)]
    pub fn port(&mut self, door: Door) -> Option<&mut Port<'u>> {
        match door {
            Door::Port(p) => Some(&mut self.local.get_mut(usize::from(p))?.as_mut()?.port),
            Door::Tunnel => self.tunnel.as_mut(),
            Door::Phys(n) => self.phys.get_mut(usize::from(n))?.as_mut(),
            Door::Unknown => self.unknown.as_mut(),
        }
    }

    /// The local port of this generation, if it is attached.
    #[inline(always)]
    pub(crate) fn local_port(&mut self, ix: PortIx, generation: u32) -> Option<&mut Port<'u>> {
        let local = self.local.get_mut(usize::from(ix))?.as_mut()?;
        (local.generation == generation).then_some(&mut local.port)
    }

    /// Whose index the attached local port had.
    #[inline(always)]
    pub(crate) fn generation(&self, ix: PortIx) -> Option<u32> {
        Some(self.local.get(usize::from(ix))?.as_ref()?.generation)
    }

    /// Takes back a frame that ended here.
    #[inline(always)]
    pub(crate) fn recycle(&mut self, frame: Frame<'u>) {
        self.pool.put(frame);
    }

    /// Gives a frame to the worker that owns its egress port; it comes back if that worker's ring is full.
    #[inline]
    pub(crate) fn hand(&mut self, owner: WorkerId, handed: Handed<'u>) -> Result<(), Frame<'u>> {
        match &mut self.links {
            Some(links) => links.hand(owner, handed),
            None => Err(handed.frame),
        }
    }

    /// After a burst: what is for other workers goes there, their buffers too once they are a batch.
    #[inline]
    fn publish(&mut self) {
        if let Some(links) = &mut self.links {
            links.publish();
            self.bursts = self.bursts.wrapping_add(1);
            links.exchange_buffers(&mut self.pool, self.bursts.is_multiple_of(ALL_HOME));
        }
    }
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
    burst: Box<Burst<'u>>,
    io: WorkerIo<'u>,
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
            burst: Box::default(),
            io: WorkerIo::new(pool, ports, phys),
            trace: false,
        }
    }

    /// Gives the worker a queue of a NIC; the one that was there is returned. A local port needs [`Worker::attach_port`].
    pub fn attach(&mut self, door: Door, port: Port<'u>) -> Option<Port<'u>> {
        match door {
            Door::Port(_) => Some(port),
            Door::Tunnel => self.io.tunnel.replace(port),
            Door::Phys(n) => self.io.phys.get_mut(usize::from(n))?.replace(port),
            Door::Unknown => self.io.unknown.replace(port),
        }
    }

    /// Gives the worker the port of the row with this index and generation ([`PortRow`](crate::tables::PortRow));
    /// the one that was there is returned, or this one if the index is past the worker's limit.
    pub fn attach_port(&mut self, ix: PortIx, generation: u32, port: Port<'u>) -> Option<Port<'u>> {
        match self.io.local.get_mut(usize::from(ix)) {
            Some(place) => Some(place.replace(LocalPort { port, generation })?.port),
            None => Some(port),
        }
    }

    /// The generation of the port attached at an index.
    pub fn attached(&self, ix: PortIx) -> Option<u32> {
        self.io.generation(ix)
    }

    /// Takes a port away. Its frames go back to their pools: those sent and not yet gone, and those that wait to
    /// be received, which nobody counts.
    pub fn detach(&mut self, door: Door) -> Option<Port<'u>> {
        if let Some((port, pool)) = self.port_and_pool(door) {
            port.close(pool);
        }
        match door {
            Door::Port(ix) => Some(self.io.local.get_mut(usize::from(ix))?.take()?.port),
            Door::Tunnel => self.io.tunnel.take(),
            Door::Phys(n) => self.io.phys.get_mut(usize::from(n))?.take(),
            Door::Unknown => self.io.unknown.take(),
        }
    }

    /// A port and the free frames, for who fills or empties it.
    pub fn port_and_pool(&mut self, door: Door) -> Option<(&mut Port<'u>, &mut FramePool<'u>)> {
        let WorkerIo { pool, local, tunnel, phys, unknown, .. } = &mut self.io;
        let port = match door {
            Door::Port(p) => &mut local.get_mut(usize::from(p))?.as_mut()?.port,
            Door::Tunnel => tunnel.as_mut()?,
            Door::Phys(n) => phys.get_mut(usize::from(n))?.as_mut()?,
            Door::Unknown => unknown.as_mut()?,
        };
        Some((port, pool))
    }

    /// Connects the worker to the others ([`mesh`](crate::handoff::mesh)); without, a frame for another
    /// worker's port is `handoff_full`.
    pub fn connect(&mut self, links: Links<'u>) {
        self.io.links = Some(links);
    }

    /// One turn for one port: floods that wait go on, then up to `limit` frames (at most [`BURST`]) go through
    /// the pipeline. Returns how many.
    #[inline]
    pub fn poll(&mut self, door: Door, limit: usize) -> usize {
        self.poll_ports(&[(door, limit)])
    }

    /// One turn for several ports: one burst of up to [`BURST`] frames, filled in the order of
    /// `from`, up to so many of each. Returns how many.
    #[inline]
    pub fn poll_ports(&mut self, from: &[(Door, usize)]) -> usize {
        self.turn();
        let mut n = 0;
        for &(door, limit) in from {
            if let Some(port) = self.io.port(door) {
                n += port.receive(&mut self.burst, door, limit.min(BURST - n));
            }
        }
        if n == 0 {
            return 0;
        }
        if self.trace {
            self.burst.traced = self.burst.live;
        }
        self.run(process_burst);
        n
    }

    /// One turn for what other workers hand over: up to [`BURST`] frames of one of them. Returns how many.
    pub fn take_over(&mut self) -> usize {
        self.view.token.quiesce();
        let Some(links) = &mut self.io.links else { return 0 };
        let burst = &mut self.burst;
        let n = links.receive(BURST, |handed| burst.push_handed(handed));
        if n > 0 {
            self.run(process_handed);
        }
        n
    }

    /// The burst through a line of stages, with the snapshot as it is now: after the token, and for
    /// frames of other workers after they were taken from the ring.
    fn run(&mut self, line: impl FnOnce(&mut Burst<'u>, &Ctx<'_>, &mut WorkerIo<'u>)) {
        let x = Ctx {
            snap: self.view.published.load(),
            newest: &self.view.newest,
            tables: &self.view.tables,
            count: &self.count,
            learn: &self.learn,
            tracer: &self.tracer,
            tap: self.tap.as_deref().filter(|tap| tap.is_on()),
        };
        line(&mut self.burst, &x, &mut self.io);
        self.io.publish();
    }

    /// Nothing read earlier is held any more, and floods that wait go on.
    #[inline(always)]
    fn turn(&mut self) {
        self.view.token.quiesce();
        self.io.floods.next_turn();
        if self.io.floods.held() != 0 {
            self.run(|_, x, io| go_on(x, io));
        }
    }

    /// A turn with nothing to receive: floods and the grace period go on, every buffer goes home.
    pub fn idle(&mut self) {
        self.turn();
        self.view.published.load();
        if let Some(links) = &mut self.io.links {
            links.exchange_buffers(&mut self.io.pool, true);
        }
    }

    /// Floods that wait for their next turn: each [`Worker::poll`] and [`Worker::idle`] brings them nearer to their end.
    pub fn held(&self) -> usize {
        self.io.floods.held()
    }

    /// Bounds of floods from now on; [`FloodLimits::default`] until then.
    pub fn set_flood_limits(&mut self, limits: FloodLimits) {
        self.io.floods.limits = limits;
    }

    /// Sleeps until another worker hands something over, a socket its bell watches is readable, or `at_most` is
    /// over. Grace periods do not wait for a sleeper. Returns whether it slept; a worker alone, or one in which
    /// floods wait, does not.
    pub fn sleep(&mut self, at_most: Duration) -> bool {
        self.idle();
        let Some(links) = self.io.links.as_ref().filter(|_| self.io.floods.held() == 0) else { return false };
        self.view.token.offline();
        let slept = links.bell().sleep(at_most, || links.has_work());
        self.view.token.online();
        slept
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
        self.io.local.len() as PortIx
    }

    /// Frames in the burst between two polls: always none.
    pub fn in_flight(&self) -> u64 {
        Mask::count(self.burst.live | self.burst.ended)
    }
}
