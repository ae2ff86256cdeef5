//! Workers on threads of their own, and what the writer's thread has of them.

use super::config::Config;
use super::physical;
use super::ports::{Place, Workers};
use super::run::RunError;
use crate::books::{PortTotals, Totals};
use crate::host::TUNNEL;
use crate::writer::Writer;
use dataplane::burst::Door;
use dataplane::counters::WorkerCounters;
use dataplane::handoff::{Bell, RING, mesh};
use dataplane::io::Port;
use dataplane::io::af_xdp::XdpPort;
use dataplane::learn::LearnQueue;
use dataplane::parking::PER_ROUTER;
use dataplane::umem::FramePool;
use dataplane::worker::{Idle, Order, Orders, Worker};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Duration;

/// The longest sleep of an idle worker; sent buffers are taken back then.
const SLEEP: Duration = Duration::from_millis(100);

/// Turns in which stopped workers end what waits: 64 floods to 4,096 ports and as many hosts, 256 copies a turn.
const TURNS: usize = 64 * 2 * 4096 / 256;

/// How the workers of this configuration wait.
pub(super) fn idle(config: &Config) -> Idle {
    Idle { spin: Duration::from_micros(config.workers.spin_us.into()), sleep: SLEEP }
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
            let mut worker = Worker::new(view, pool, writer.limits().ports, phys);
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

    /// The books now. `physical`: names of the physical networks, in order.
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
        let given = self.0.get(worker).is_some_and(|handle| handle.orders.push(order).is_ok());
        self.wake(worker);
        given
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
}

impl<'scope, 'u: 'scope> Running<'scope, 'u> {
    /// Each on a thread of its own, until `stop` ([`Stop`]).
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        workers: Vec<Worker<'u>>,
        idle: Idle,
        cores: &[usize],
        stop: &'scope AtomicBool,
    ) -> io::Result<Self> {
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
        Ok(Running { threads: threads? })
    }

    /// A thread that has ended without being told to: its number.
    pub fn dead(&self) -> Option<usize> {
        self.threads.iter().position(ScopedJoinHandle::is_finished)
    }

    /// Stops them. A worker that did not survive is missing.
    pub fn stop(self, stop: Stop<'_, 'u>) -> Vec<Worker<'u>> {
        drop(stop);
        self.threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
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
