//! Workers on threads of their own, and what the writer's thread has of them.

use super::config::{self, Config, IdlePolicy};
use super::numa;
use super::physical;
use super::ports::{Place, Workers};
use super::run::RunError;
use crate::books::{PortTotals, Totals};
use crate::host::TUNNEL;
use crate::writer::Writer;
use crossbeam::queue::ArrayQueue;
use dataplane::burst::Door;
use dataplane::counters::WorkerCounters;
use dataplane::handoff::{Bell, RING, mesh};
use dataplane::io::Port;
use dataplane::io::af_xdp::XdpPort;
use dataplane::learn::LearnQueue;
use dataplane::parking::PER_ROUTER;
use dataplane::umem::FramePool;
use dataplane::worker::{Idle, Leaving, Order, Orders, Statement, Statements, Worker};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The longest sleep of an idle worker; sent buffers are taken back then.
const SLEEP: Duration = Duration::from_millis(100);
/// A worker that never sleeps takes sent buffers back so long after the last work.
const TIDY: Duration = Duration::from_micros(50);
/// A running worker is asked for its books; one that does not answer within this stands still.
const ANSWERS: Duration = Duration::from_millis(250);
const ASK_AGAIN: Duration = Duration::from_micros(100);
/// A worker's letter box may be full for so long.
const BOX_FULL: Duration = Duration::from_secs(5);

/// Turns in which stopped workers end what waits: 64 floods to 4,096 ports and as many hosts, 256 copies a turn.
const TURNS: usize = 64 * 2 * 4096 / 256;

/// How the workers of this configuration wait.
pub(super) fn idle(config: &Config) -> Idle {
    match config.workers.idle {
        IdlePolicy::Adaptive => {
            Idle::Adaptive { spin: Duration::from_micros(config.workers.spin_us.into()), sleep: SLEEP }
        }
        IdlePolicy::Busy => Idle::Busy { tidy: TIDY },
    }
}

/// The core a worker is pinned to.
pub(super) fn core(config: &config::Workers, worker: usize) -> Option<usize> {
    config.cores.as_ref()?.get(worker).copied()
}

/// Queues of the NICs.
#[derive(Debug, Default)]
pub(super) struct Queues<'u> {
    /// By door, a port for each worker, in their order.
    pub ports: Vec<(Door, Vec<XdpPort<'u>>)>,
    /// Doors that share the NIC at another one.
    pub shared: Vec<(Door, Door)>,
}

/// Workers on the tables of `writer`, connected, each with its queues of these NICs; there are `phys` physical networks.
pub(super) fn workers<'u>(
    writer: &Writer,
    pools: Vec<FramePool<'u>>,
    queues: Queues<'u>,
    phys: usize,
    config: &config::Workers,
) -> Result<Vec<Worker<'u>>, RunError> {
    let system = |error| RunError::System { what: "file descriptors of the workers", error };
    let count = pools.len();
    let links = mesh(&pools, RING).map_err(system)?;
    let Queues { ports: nics, shared } = queues;
    let mut nics: Vec<_> = nics.into_iter().map(|(door, ports)| (door, ports.into_iter())).collect();
    let parts = pools.into_iter().zip(links).enumerate();
    parts
        .map(|(id, (pool, links))| {
            let view = writer.view(id).ok_or_else(|| system(io::ErrorKind::InvalidInput.into()))?;
            // What it has for itself is in its own node's memory.
            let mut worker = numa::on_core(core(config, id), || Worker::new(view, pool, writer.limits().ports, phys));
            worker.time_turns(config.time_turns);
            worker.connect(links);
            for (door, port) in nics.iter_mut().filter_map(|(door, ports)| Some((*door, ports.next()?))) {
                worker.bell().map_or(Ok(()), |bell| port.watch(&bell)).map_err(system)?;
                worker.attach(door, Port::Xdp(Box::new(port)));
            }
            shared.iter().for_each(|(door, at)| worker.share(*door, *at));
            worker.set_flood_limits(writer.limits().flood);
            worker.set_tell_limits(writer.limits().tell.share(count));
            worker.set_asked_per_router(PER_ROUTER.div_ceil(count));
            Ok(worker)
        })
        .collect()
}

/// Before they run.
impl<'u> Workers<'u> for Vec<Worker<'u>> {
    fn attach(&mut self, at: Place, port: Port<'u>) -> bool {
        let Some(worker) = self.get_mut(at.owner) else { return false };
        let watched = worker.bell().is_some_and(|bell| port.watch(&bell).is_ok());
        watched && worker.attach_port(at.ix, at.generation, port).is_none()
    }

    fn detach(&mut self, at: Place) -> bool {
        if let Some(worker) = self.get_mut(at.owner) {
            worker.detach(Door::Port(at.ix));
        }
        true
    }
}

/// What the writer's thread has of a running worker.
#[derive(Debug)]
struct Handle<'u> {
    count: Arc<WorkerCounters>,
    learn: LearnQueue,
    orders: Orders<'u>,
    bell: Option<Arc<Bell>>,
}

/// What the writer's thread has of all of them.
#[derive(Debug)]
pub(super) struct Handles<'u>(Vec<Handle<'u>>);

impl<'u> Handles<'u> {
    pub fn of(workers: &[Worker<'u>]) -> Self {
        let handle = |w: &Worker<'u>| Handle {
            count: Arc::clone(w.counters()),
            learn: Arc::clone(w.learn_queue()),
            orders: Arc::clone(w.orders()),
            bell: w.bell(),
        };
        Handles(workers.iter().map(handle).collect())
    }

    /// How many workers.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Stores what they report; returns how much that was.
    pub fn learn(&self, writer: &mut Writer) -> usize {
        let mut n = 0;
        for handle in &self.0 {
            // At most what fits the queue: others have their turn too.
            for _ in 0..handle.learn.capacity() {
                let Some(event) = handle.learn.pop() else { break };
                writer.report(&event);
                n += 1;
            }
        }
        n
    }

    /// The books of running workers, as each of them tells its own between two turns. `physical` as for [`Handles::totals`].
    pub fn totals_now(&self, writer: &Writer, physical: &[String]) -> Totals {
        let totals = self.totals(writer, physical);
        match self.state() {
            Some(state) => totals.as_told(&state),
            None => {
                tracing::warn!(
                    "a worker does not say its books within {} ms: they were read while it works, and may not balance",
                    ANSWERS.as_millis()
                );
                totals
            }
        }
    }

    /// What all workers tell, added up; `None` if one does not.
    fn state(&self) -> Option<Statement> {
        let answers: Statements = Arc::new(ArrayQueue::new(self.0.len().max(1)));
        let start = Instant::now();
        (0..self.0.len()).all(|worker| self.order(worker, Order::State(Arc::clone(&answers)))).then_some(())?;
        while answers.len() < self.0.len() {
            if start.elapsed() > ANSWERS {
                return None;
            }
            std::thread::sleep(ASK_AGAIN);
        }
        let mut sum = Statement::default();
        std::iter::from_fn(|| answers.pop()).for_each(|(_, state)| sum += &state);
        Some(sum)
    }

    /// The books of workers that stand still. `physical`: names of the physical networks, in order.
    pub fn totals(&self, writer: &Writer, physical: &[String]) -> Totals {
        let counters: Vec<&WorkerCounters> = self.0.iter().map(|h| &*h.count).collect();
        let of = |door| {
            let sum = |dir: fn(&WorkerCounters, Door) -> u64| counters.iter().map(|c| dir(c, door)).sum();
            PortTotals { rx: sum(|c, door| c.port(door).rx.get()), tx: sum(|c, door| c.port(door).tx.get()) }
        };
        let ports = writer.indexes().ports().map(|(id, ix)| (id.to_owned(), of(Door::Port(ix))));
        let nics = physical.iter().enumerate().map(|(place, name)| (name.clone(), of(physical::door(place))));
        let all = ports.chain([(TUNNEL.to_owned(), of(Door::Tunnel))]).chain(nics);
        let used: BTreeMap<_, _> = all.filter(|(_, p)| p.rx + p.tx != 0).collect();
        Totals::of(&counters, writer, used)
    }

    /// A worker gets a port. Says whether there was room for that order, and the port can wake the worker.
    pub fn give(&self, worker: usize, door: Door, generation: u32, port: Port<'u>) -> bool {
        let Some(handle) = self.0.get(worker) else { return false };
        let watched = handle.bell.as_ref().is_some_and(|bell| port.watch(bell).is_ok());
        watched && self.order(worker, Order::Attach { door, generation, port })
    }

    /// Has a worker's letter box more than `places` left?
    pub fn has_places(&self, worker: usize, places: usize) -> bool {
        self.0.get(worker).is_some_and(|h| h.orders.len() + places < h.orders.capacity())
    }

    /// Puts an order into a worker's letter box. Says whether there was room: a worker that stands still empties none.
    pub fn order(&self, worker: usize, order: Order<'u>) -> bool {
        self.put(worker, order).is_none()
    }

    /// The same; an order there is no room for comes back.
    fn put(&self, worker: usize, order: Order<'u>) -> Option<Order<'u>> {
        let Some(handle) = self.0.get(worker) else { return Some(order) };
        let back = handle.orders.push(order).err();
        self.wake(worker);
        back
    }

    /// All of them look again, those that sleep too.
    pub fn wake_all(&self) {
        (0..self.0.len()).for_each(|worker| self.wake(worker));
    }

    fn wake(&self, worker: usize) {
        if let Some(bell) = self.0.get(worker).and_then(|h| h.bell.as_ref()) {
            bell.ring();
        }
    }
}

/// While they run.
impl<'u> Workers<'u> for &Handles<'u> {
    fn attach(&mut self, at: Place, port: Port<'u>) -> bool {
        self.give(at.owner, Door::Port(at.ix), at.generation, port)
    }

    fn detach(&mut self, at: Place) -> bool {
        self.order(at.owner, Order::Detach(Door::Port(at.ix)))
    }
}

/// Ends the workers when it is dropped, also by a panic: the scope of their threads waits for them.
#[derive(Debug)]
pub(super) struct Stop<'s, 'u> {
    pub stop: &'s AtomicBool,
    pub handles: &'s Handles<'u>,
}

impl Drop for Stop<'_, '_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.handles.wake_all();
    }
}

/// Workers that run.
#[derive(Debug)]
pub(super) struct Running<'scope, 'u> {
    threads: Vec<ScopedJoinHandle<'scope, Worker<'u>>>,
    /// Closes ports; ends when no worker runs.
    closes: ScopedJoinHandle<'scope, ()>,
}

/// Closes what workers have given up, and brings the buffers back.
fn close<'u>(leaving: &Receiver<Leaving<'u>>, handles: &Handles<'u>) {
    for port in leaving {
        let worker = usize::from(port.worker().0);
        let mut order = Order::TakeBack(port.close());
        // A letter box that is full is emptied in a moment, unless its worker is dead.
        let start = Instant::now();
        while let Some(back) = handles.put(worker, order) {
            if start.elapsed() > BOX_FULL {
                tracing::error!("worker {worker} does not take back the buffers of a port that was closed");
                break;
            }
            order = back;
            std::thread::sleep(ASK_AGAIN);
        }
    }
}

impl<'scope, 'u: 'scope> Running<'scope, 'u> {
    /// Each on a thread of its own, until `stop` ([`Stop`]).
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        mut workers: Vec<Worker<'u>>,
        idle: Idle,
        cores: &[usize],
        Stop { stop, handles }: &Stop<'scope, 'u>,
    ) -> io::Result<Self> {
        let (stop, handles) = (*stop, *handles);
        let (closer, leaving) = channel();
        let closes = move || close(&leaving, handles);
        let closes = Builder::new().name("closes".to_owned()).spawn_scoped(scope, closes)?;
        workers.iter_mut().for_each(|worker| worker.close_by(Some(closer.clone())));
        drop(closer);
        let start = |(n, mut worker): (usize, Worker<'u>)| {
            let core = cores.get(n).map(|id| core_affinity::CoreId { id: *id });
            let body = move || {
                if let Some(core) = core
                    && !core_affinity::set_for_current(core)
                {
                    tracing::warn!(worker = n, core = core.id, "cannot be pinned");
                }
                worker.work(idle, stop);
                worker
            };
            Builder::new().name(format!("worker-{n}")).spawn_scoped(scope, body)
        };
        let threads = workers.into_iter().enumerate().map(start).collect::<io::Result<Vec<_>>>();
        Ok(Running { threads: threads?, closes })
    }

    /// A thread that has ended without being told to: its number.
    pub fn dead(&self) -> Option<usize> {
        self.threads.iter().position(ScopedJoinHandle::is_finished)
    }

    /// Stops them. A worker that did not survive is missing.
    pub fn stop(self, stop: Stop<'_, 'u>) -> Vec<Worker<'u>> {
        drop(stop);
        let mut workers: Vec<_> = self.threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        // Its last ports each closed itself; those that were on their way are closed by now, and their buffers are here.
        let _ = self.closes.join();
        workers.iter_mut().for_each(Worker::obey);
        workers
    }
}

#[cfg(test)]
pub(super) mod tests;

/// Frames and buffers on their way between stopped workers arrive, and floods that wait end: their ports are gone. Buffers that are
/// free or left to a zero-copy driver, and all.
pub(super) fn settle(workers: &mut [Worker<'_>]) -> (usize, usize) {
    // Each turn brings a flood nearer to its end; so many are more than all can take.
    for _ in 0..TURNS {
        let moved = workers.iter_mut().map(Worker::take_over).sum::<usize>();
        workers.iter_mut().for_each(Worker::idle);
        if moved == 0 && workers.iter().all(|w| w.held() == 0) {
            break;
        }
    }
    workers.iter_mut().for_each(Worker::idle); // what one sent home another takes in now
    let left = |w: &Worker<'_>| w.counters().left_behind.get() as usize;
    workers.iter().map(|w| (w.frames(), left(w))).fold((0, 0), |(free, total), ((f, t), l)| (free + f + l, total + t))
}
