//! [`WorkerIo`]: a worker's ports and free frames.

use super::{Closer, WorkerId};
use crate::burst::{BURST, Burst, Door, Lane};
use crate::counters::WorkerCounters;
use crate::flood::Floods;
use crate::handoff::{Handed, Links};
use crate::io::{Carries, Port};
use crate::parking::{Lot, TunnelLot};
use crate::tables::PortIx;
use crate::told::Told;
use crate::umem::{Frame, FramePool};

/// After so many bursts every buffer goes home, however few there are: a worker that is never idle keeps none.
const ALL_HOME: u32 = 64;
/// Ports the kernel is asked about in one turn.
const ASKED_AT_ONCE: usize = 64;

/// A port a worker has.
#[derive(Debug)]
struct Attached<'u> {
    port: Port<'u>,
    /// Of a local port: whose index it had when it was attached. Indexes are reused: until the row and the attached
    /// port are of one generation, no frame passes between them.
    generation: u32,
    /// On the list of those to flush.
    unsent: bool,
}

impl Attached<'_> {
    #[inline(always)]
    fn enlist(&mut self, door: Door, unsent: &mut Vec<Door>) {
        if !self.unsent {
            self.unsent = true;
            unsent.push(door); // never grows: each port is on it once
        }
    }
}

/// Ports by door.
#[derive(Debug)]
struct Ports<'u> {
    local: Box<[Option<Attached<'u>>]>,
    tunnel: Option<Attached<'u>>,
    phys: Box<[Option<Attached<'u>>]>,
    unknown: Option<Attached<'u>>,
    /// Doors without a port of their own, and at which their NIC is attached.
    shared: Vec<(Door, Door)>,
}

impl<'u> Ports<'u> {
    fn new(ports: usize, phys: usize) -> Self {
        let none = |n| (0..n).map(|_| None).collect();
        let shared = Vec::with_capacity(phys + 1);
        Ports { local: none(ports), tunnel: None, phys: none(phys), unknown: None, shared }
    }

    #[inline(always)]
    fn place(&mut self, door: Door) -> Option<&mut Option<Attached<'u>>> {
        match door {
            Door::Port(ix) => self.local.get_mut(usize::from(ix)),
            Door::Tunnel => Some(&mut self.tunnel),
            Door::Phys(n) => self.phys.get_mut(usize::from(n)),
            Door::Unknown => Some(&mut self.unknown),
        }
    }

    #[inline(always)]
    fn get(&mut self, door: Door) -> Option<&mut Attached<'u>> {
        self.place(door)?.as_mut()
    }

    /// The port that frames for this door leave by, and the door it is at.
    #[inline(always)]
    fn way(&mut self, door: Door) -> Option<(Door, &mut Attached<'u>)> {
        if self.place(door).is_some_and(|place| place.is_some()) {
            return Some((door, self.get(door)?));
        }
        self.elsewhere(door)
    }

    /// At the NIC it shares with another door.
    #[cold]
    #[inline(never)]
    fn elsewhere(&mut self, door: Door) -> Option<(Door, &mut Attached<'u>)> {
        let (_, at) = *self.shared.iter().find(|(shared, _)| *shared == door)?;
        Some((at, self.get(at)?))
    }
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
    /// Frames made here on their way out: fragments, errors; taken while in use.
    pub(crate) made: Option<Box<Burst<'u>>>,
    /// Frames that wait for a neighbour.
    pub(crate) lot: Lot<'u>,
    /// Frames that wait for the way to another host.
    pub(crate) unresolved: TunnelLot<'u>,
    /// What senders may still be told.
    pub(crate) told: Told,
    ports: Ports<'u>,
    /// The doors with a port, and which of them is asked next.
    doors: Vec<Door>,
    next: usize,
    /// Ports to flush after this burst; room for every port.
    unsent: Vec<Door>,
    /// To and from the other workers.
    links: Option<Links<'u>>,
    /// Who closes ports; none: the worker itself. And buffers of those that are not closed yet.
    pub(super) closer: Option<Closer<'u>>,
    pub(super) closing: usize,
    /// So many bursts so far.
    bursts: u32,
    /// So many ports the kernel was asked about in this round.
    asked: usize,
}

impl<'u> WorkerIo<'u> {
    pub(super) fn new(pool: FramePool<'u>, ports: usize, phys: usize) -> Self {
        let all = ports + phys + 2;
        WorkerIo {
            id: pool.id(),
            pool,
            copies: Some(Box::default()),
            floods: Floods::new(ports),
            made: Some(Box::default()),
            lot: Lot::new(),
            unresolved: TunnelLot::new(),
            told: Told::new(),
            ports: Ports::new(ports, phys),
            doors: Vec::with_capacity(all),
            next: 0,
            unsent: Vec::with_capacity(all),
            links: None,
            closer: None,
            closing: 0,
            bursts: 0,
            asked: 0,
        }
    }

    /// The one that was there comes back, or this one if there is no such door.
    pub(super) fn attach(&mut self, door: Door, generation: u32, port: Port<'u>) -> Option<Port<'u>> {
        let Some(place) = self.ports.place(door) else { return Some(port) };
        let old = place.replace(Attached { port, generation, unsent: false });
        self.unsent.retain(|d| *d != door);
        if old.is_none() {
            self.doors.push(door);
        }
        old.map(|a| a.port)
    }

    pub(super) fn detach(&mut self, door: Door, count: &WorkerCounters) -> bool {
        let Some(old) = self.ports.place(door).and_then(Option::take) else { return false };
        self.unsent.retain(|d| *d != door);
        self.doors.retain(|d| *d != door);
        self.next = 0;
        self.close(door, old.port, count);
        true
    }

    pub(super) fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// Frames for `door` leave by the NIC at `at`, and some that come in there are of `door`.
    pub(super) fn share(&mut self, door: Door, at: Door) {
        self.ports.shared.push((door, at));
    }

    /// The doors that share the NIC at `at`, itself first; none if it is for one use.
    #[inline(always)]
    pub(crate) fn sharing(&self, at: Door) -> Option<impl Iterator<Item = Door> + Clone> {
        let shared = &self.ports.shared;
        // Mostly there are none at all.
        let shares = !shared.is_empty() && shared.iter().any(|(_, nic)| *nic == at);
        shares.then(move || {
            std::iter::once(at).chain(shared.iter().filter(move |(_, nic)| *nic == at).map(|(door, _)| *door))
        })
    }

    pub(super) fn port_and_pool(&mut self, door: Door) -> Option<(&mut Port<'u>, &mut FramePool<'u>)> {
        Some((&mut self.ports.get(door)?.port, &mut self.pool))
    }

    /// The port behind a door, if one is attached, to send to: it is flushed after the burst.
    #[inline(always)]
    pub(crate) fn port(&mut self, door: Door) -> Option<&mut Port<'u>> {
        let (door, attached) = self.ports.way(door)?;
        attached.enlist(door, &mut self.unsent);
        Some(&mut attached.port)
    }

    /// The local port of this generation, if it is attached, to send to.
    #[inline(always)]
    pub(crate) fn local_port(&mut self, ix: PortIx, generation: u32) -> Option<&mut Port<'u>> {
        let attached = self.ports.local.get_mut(usize::from(ix))?.as_mut().filter(|a| a.generation == generation)?;
        attached.enlist(Door::Port(ix), &mut self.unsent);
        Some(&mut attached.port)
    }

    /// What the local port of this generation takes as it is; none there: all, because it is dropped.
    pub(crate) fn carries(&mut self, ix: PortIx, generation: u32) -> Carries {
        self.local_port(ix, generation).map_or(Carries::ALL, |port| port.carries())
    }

    /// Whose index the attached local port had.
    #[inline(always)]
    pub(crate) fn generation(&self, ix: PortIx) -> Option<u32> {
        Some(self.ports.local.get(usize::from(ix))?.as_ref()?.generation)
    }

    /// Up to `limit` frames of one port into the burst.
    #[inline]
    pub(super) fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize) -> usize {
        let Some(attached) = self.ports.get(door) else { return 0 };
        let before = b.live;
        let n = attached.port.receive(b, door, limit, &mut self.pool);
        b.arrivals.add(door, b.live.without(before));
        n
    }

    /// One burst of the ports in turn, each at most once.
    #[inline]
    pub(super) fn receive_any(&mut self, b: &mut Burst<'u>) -> usize {
        let mut n = 0;
        for _ in 0..self.doors.len() {
            let Some(door) = self.doors.get(self.next).copied() else { break };
            self.next = if self.next + 1 < self.doors.len() { self.next + 1 } else { 0 };
            n += self.receive(b, door, BURST - n);
            if n == BURST {
                break;
            }
        }
        n
    }

    /// Up to a burst of frames of one other worker.
    #[inline]
    pub(super) fn receive_handed(&mut self, b: &mut Burst<'u>) -> usize {
        let Some(links) = &mut self.links else { return 0 };
        links.receive(BURST, |handed| b.push_handed(handed))
    }

    /// Frames that are neither sent nor ended: floods, and what waits for a neighbour or another host.
    #[inline(always)]
    pub(crate) fn held(&self) -> u64 {
        (self.floods.held() + self.waiting()) as u64
    }

    /// Frames that wait for a neighbour or another host.
    #[inline(always)]
    pub(super) fn waiting(&self) -> usize {
        self.lot.len() + self.unresolved.len()
    }

    /// Chunks of those.
    pub(super) fn held_chunks(&self) -> usize {
        let waiting = self.floods.waiting.as_ref();
        let flood = |lane: &Lane| waiting.map_or(0, |burst| burst.meta[*lane].chunks());
        self.floods.order.iter().map(flood).sum::<usize>() + self.lot.chunks() + self.unresolved.chunks()
    }

    /// Takes back a frame that ended here.
    #[inline(always)]
    pub(crate) fn recycle(&mut self, frame: Frame<'u>) {
        self.pool.put_all(frame);
    }

    /// Gives a frame to the worker that owns its egress port; it comes back if that worker's ring is full.
    #[inline]
    pub(crate) fn hand(&mut self, owner: WorkerId, handed: Handed<'u>) -> Result<(), Frame<'u>> {
        match &mut self.links {
            Some(links) => links.hand(owner, handed),
            None => Err(handed.frame),
        }
    }

    /// Does the kernel still have to be told of frames it is to send?
    #[inline(always)]
    pub(super) fn unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// After a burst: what was sent goes out; what is for other workers goes there, their buffers too once they are
    /// a batch.
    #[inline]
    pub(super) fn publish(&mut self) {
        let WorkerIo { ports, pool, unsent, .. } = self;
        unsent.retain(|door| {
            let Some(attached) = ports.get(*door) else { return false };
            attached.unsent = attached.port.flush(pool);
            attached.unsent
        });
        if let Some(links) = &mut self.links {
            links.publish();
            self.bursts = self.bursts.wrapping_add(1);
            links.exchange_buffers(&mut self.pool, self.bursts.is_multiple_of(ALL_HOME));
        }
    }

    /// What has left is taken back, every buffer goes home, and the kernel has what it needs to receive: before a sleep,
    /// which nothing would end at a port without buffers.
    pub(super) fn all_home(&mut self) {
        if let Some(links) = &mut self.links {
            links.exchange_buffers(&mut self.pool, true);
        }
        for door in &self.doors {
            if let Some(attached) = self.ports.get(*door) {
                attached.port.reclaim(&mut self.pool);
            }
        }
        if let Some(links) = &mut self.links {
            links.exchange_buffers(&mut self.pool, true);
        }
    }

    /// Frames of its ports: to receive into or received, and to send or sent and not back yet.
    pub(super) fn lent(&self) -> (usize, usize) {
        let Ports { local, tunnel, phys, unknown, shared: _ } = &self.ports; // what is shared is one of them
        let all = local.iter().chain(phys).chain([tunnel, unknown]).flatten();
        all.map(|attached| attached.port.lent()).fold((0, 0), |(rx, tx), (r, t)| (rx + r, tx + t))
    }

    /// Asks the kernel what it lost of the next few ports; says whether all have been asked by now. A system call each:
    /// thousands at once would be a stall.
    pub(super) fn count_lost(&mut self, count: &WorkerCounters) -> bool {
        for _ in 0..ASKED_AT_ONCE {
            let Some(door) = self.doors.get(self.asked).copied() else {
                self.asked = 0;
                return true;
            };
            self.asked += 1;
            if let Some(attached) = self.ports.get(door) {
                count.kernel_lost(door, attached.port.lost(), false);
            }
        }
        false
    }

    pub(super) fn connect(&mut self, links: Links<'u>) {
        self.links = Some(links);
    }

    pub(super) fn links(&self) -> Option<&Links<'u>> {
        self.links.as_ref()
    }

    pub(super) fn port_limit(&self) -> PortIx {
        self.ports.local.len() as PortIx
    }
}
