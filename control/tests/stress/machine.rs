//! One worker on its thread, and the wires of the ports it owns.

use crate::flows::{DVR_H2, Flow, Mac, ROUTER_A, ROUTER_B, read, remote, steady};
use crate::world::{SLOTS, STEADY};
use control::writer::Writer;
use dataplane::burst::Door;
use dataplane::counters::WorkerCounters;
use dataplane::io::{InjectError, MemoryPort, Port};
use dataplane::learn::LearnQueue;
use dataplane::worker::Worker;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

/// How long a machine takes no notice of ports that came and went.
const LAG: Duration = Duration::from_millis(80);

/// An attached port, as the control side has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    owner: usize,
    generation: u32,
    mac: Mac,
}

/// What the writer tells the machines.
pub struct Shared {
    ports: Mutex<BTreeMap<u16, Attached>>,
    version: AtomicU64,
    /// Indexes that were somebody's, and how often one became another's.
    used: Mutex<(BTreeSet<u16>, u64)>,
    over: AtomicBool,
    end: Barrier,
}

impl Shared {
    pub fn new(workers: usize) -> Shared {
        let (ports, end) = (Mutex::default(), Barrier::new(workers));
        Shared { ports, version: 0.into(), used: Mutex::default(), over: false.into(), end }
    }

    /// The local ports as they are now.
    pub fn plan(&self, writer: &Writer) {
        let row = |ix| writer.current().ports.get(ix);
        let now = writer.indexes().ports().filter_map(|(_, ix)| {
            let row = row(ix)?;
            Some((ix, Attached { owner: row.owner.0.into(), generation: row.generation, mac: row.mac.octets() }))
        });
        let now: BTreeMap<u16, Attached> = now.collect();
        let mut ports = self.ports.lock().unwrap();
        let mut used = self.used.lock().unwrap();
        for (ix, port) in &now {
            let new = ports.get(ix).is_none_or(|old| old.generation != port.generation);
            used.1 += u64::from(new && !used.0.insert(*ix));
        }
        if *ports != now {
            *ports = now;
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Ports that got an index somebody had before.
    pub fn reused(&self) -> u64 {
        self.used.lock().unwrap().1
    }

    /// Traffic goes on until this is dropped.
    pub fn traffic(&self) -> Traffic<'_> {
        Traffic(self)
    }
}

pub struct Traffic<'s>(&'s Shared);

impl Drop for Traffic<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

#[derive(Debug, Default)]
pub struct Report {
    pub injected: u64,
    pub seen: u64,
    pub slept: u64,
    pub frames: (usize, usize),
    /// The first frame that was where or when it should not be. Kept, not a panic: the others wait for this thread.
    pub wrong: Option<String>,
}

pub struct Machine<'a> {
    worker: Worker<'a>,
    id: usize,
    shared: &'a Shared,
    version: u64,
    ports: BTreeMap<u16, Attached>,
    /// Flows by the door they come in by.
    flows: Vec<(Door, Flow)>,
    /// The MAC each slot had last.
    slots: [Mac; SLOTS as usize],
    /// Last number seen, by flow and way out.
    last: HashMap<(u32, Door, u32, [u8; 4]), u64>,
    report: Report,
}

impl<'a> Machine<'a> {
    pub fn new(mut worker: Worker<'a>, id: usize, shared: &'a Shared) -> Self {
        worker.attach(Door::Tunnel, Port::Memory(MemoryPort::new(512)));
        let (ports, flows) = (BTreeMap::new(), Vec::new());
        let (slots, last, report) = ([[0; 6]; SLOTS as usize], HashMap::new(), Report::default());
        Machine { worker, id, shared, version: 0, ports, flows, slots, last, report }
    }

    pub fn learn_queue(&self) -> LearnQueue {
        Arc::clone(self.worker.learn_queue())
    }

    pub fn counters(&self) -> Arc<WorkerCounters> {
        Arc::clone(self.worker.counters())
    }

    pub fn run(mut self) -> Report {
        let (mut turns, mut due, begun) = (0u64, Instant::now(), Instant::now());
        while !self.shared.over.load(Ordering::Acquire) {
            turns += 1;
            // Late on purpose: an index may be another port's before the old one is taken away.
            if due.elapsed() > LAG {
                self.follow();
                due = Instant::now();
            }
            if turns % 64 != 0 {
                self.inject(begun.elapsed().as_nanos() as u64);
            }
            if turns.is_multiple_of(7) {
                self.look(); // a turn in which ports hold what came
                continue;
            }
            if !self.turn() {
                self.report.slept += u64::from(self.worker.sleep(Duration::from_micros(200)));
            }
            self.look();
        }
        // Everybody stops sending; then what is between them arrives; then buffers go home.
        for _ in 0..4 {
            self.shared.end.wait();
            while self.turn() {}
            self.look();
            self.worker.give_up_waiting();
            self.worker.idle();
        }
        self.report.frames = self.worker.frames();
        self.report
    }

    fn doors(&self) -> Vec<Door> {
        self.ports.keys().map(|ix| Door::Port(*ix)).chain([Door::Tunnel]).collect()
    }

    /// Attaches and detaches what the writer has changed.
    fn follow(&mut self) {
        let version = self.shared.version.load(Ordering::Acquire);
        if version == self.version {
            return;
        }
        self.version = version;
        let all = self.shared.ports.lock().unwrap().clone();
        for port in all.values().filter(|p| p.mac[3] == 0x20) {
            self.slots[usize::from(port.mac[4])] = port.mac;
        }
        let mine = |(_, p): &(&u16, &Attached)| p.owner == self.id;
        let wanted: BTreeMap<u16, Attached> = all.iter().filter(mine).map(|(ix, p)| (*ix, *p)).collect();
        let gone: Vec<u16> = self.ports.iter().filter(|(ix, p)| wanted.get(ix) != Some(p)).map(|(ix, _)| *ix).collect();
        for ix in gone {
            self.look_at(Door::Port(ix));
            // What the VM had sent and nobody had received yet dies with it.
            if let Some((port, _)) = self.worker.memory_port(Door::Port(ix)) {
                self.report.injected -= port.waiting() as u64;
            }
            self.worker.detach(Door::Port(ix));
            self.ports.remove(&ix);
        }
        for (ix, p) in wanted {
            if self.ports.insert(ix, p).is_none() {
                self.worker.attach_port(ix, p.generation, Port::Memory(MemoryPort::new(64)));
            }
        }
        self.plan_flows();
    }

    /// Flows from every port of this machine, and by its tunnel queue, to every kind of place.
    fn plan_flows(&mut self) {
        let mut flows: Vec<(Door, Flow)> = Vec::new();
        let mut kept: HashMap<u32, Flow> = self.flows.drain(..).map(|(_, f)| (f.id, f)).collect();
        let mut add = |door: Door, id: u32, make: &dyn Fn(u32) -> Flow| {
            flows.push((door, kept.remove(&id).unwrap_or_else(|| make(id))));
        };
        for (ix, p) in &self.ports {
            let door = Door::Port(*ix);
            // 131,072 owners of one index: more than a night has.
            let key = u32::from(*ix) << 23 | (p.generation & 0x1_ffff) << 6;
            let me = match p.mac {
                [.., 0x10, net, i] => steady(net, i),
                [.., 0x20, k, _] => (p.mac, [10, 1, 0, 110 + k]),
                _ => continue,
            };
            let on_a = me.1[1] == 1;
            let router = if on_a { ROUTER_A } else { ROUTER_B };
            for i in 0..STEADY {
                let (a, b) = (steady(0x0a, i), steady(0x0b, i));
                let (same, other) = if on_a { (a, b) } else { (b, a) };
                if same.0 != me.0 {
                    add(door, key | u32::from(i), &|id| Flow::new(id, me, same));
                }
                add(door, key | 8 | u32::from(i), &|id| Flow::new(id, me, (router, other.1)));
                let there = remote(i);
                let first = if on_a { there.0 } else { router };
                add(door, key | 16 | u32::from(i), &|id| Flow::new(id, me, (first, there.1)));
            }
            for k in 0..SLOTS {
                let slot = [10, 1, 0, 110 + k];
                if !on_a {
                    add(door, key | 24 | u32::from(k), &|id| Flow::new(id, me, (router, slot)));
                }
            }
            if on_a && me.0[3] == 0x10 {
                add(door, key | 32, &|id| Flow::new(id, me, ([0xff; 6], [255; 4])));
            }
        }
        for i in 0..STEADY {
            let key = 0xff00_0000 | (self.id as u32) << 8 | u32::from(i);
            let (vm, routed) = (steady(0x0a, i), steady(0x0b, i));
            add(Door::Tunnel, key, &|id| Flow::new(id, remote(i), vm).through_h2(1001));
            add(Door::Tunnel, key | 8, &|id| Flow::new(id, (DVR_H2, remote(i).1), routed).through_h2(1002));
            let stranger = ([0xfa, 0x16, 0x3e, 0x50, self.id as u8, i], [10, 1, 0, 99]);
            add(Door::Tunnel, key | 24, &|id| Flow::new(id, stranger, vm).through_h2(1001));
        }
        for k in 0..SLOTS {
            let key = 0xff00_0000 | (self.id as u32) << 8 | 16 | u32::from(k);
            let slot = (self.slots[usize::from(k)], [10, 1, 0, 110 + k]);
            add(Door::Tunnel, key, &|id| Flow::new(id, remote(k), slot).through_h2(1001));
        }
        for (_, flow) in &mut flows {
            if flow.id >> 24 == 0xff && flow.id & 16 != 0 && flow.id & 8 == 0 {
                flow.set_dst(self.slots[(flow.id & 3) as usize]); // whoever is there now
            }
        }
        self.flows = flows;
    }

    /// One frame of each flow, received at `now` ns: the storm policer needs a clock that goes on.
    fn inject(&mut self, now: u64) {
        let report = &mut self.report;
        for (door, flow) in &mut self.flows {
            let Some((port, pool)) = self.worker.memory_port(*door) else { continue };
            match port.inject(flow.next(), now, pool) {
                Ok(()) => report.injected += 1,
                Err(InjectError::Full) => {} // the wire drops it: a gap, no disorder
                Err(InjectError::TooLong) => report.wrong = Some("a frame too long".to_owned()),
            }
        }
    }

    fn turn(&mut self) -> bool {
        let mut n = 0;
        for door in self.doors() {
            n += self.worker.poll(door, 64);
            n += self.worker.take_over();
        }
        n > 0
    }

    /// Everything sent is looked at.
    fn look(&mut self) {
        self.doors().into_iter().for_each(|door| self.look_at(door));
    }

    fn look_at(&mut self, door: Door) {
        let at = match door {
            Door::Port(ix) => self.ports.get(&ix).copied(),
            _ => None,
        };
        let Some((port, pool)) = self.worker.memory_port(door) else { return };
        let (last, report) = (&mut self.last, &mut self.report);
        port.drain(|bytes, _| {
            report.seen += 1;
            let (frame, to) =
                if door == Door::Tunnel { (&bytes[50..], bytes[30..34].try_into().unwrap()) } else { (bytes, [0; 4]) };
            if let Some(at) = at {
                let dst = &frame[..6];
                // A port without port security gets unknown unicast too (L3).
                let any = matches!(at.mac, [.., 0x20, 0, _]);
                if dst != at.mac && dst != [0xff; 6] && !any {
                    report.wrong = Some(format!("{dst:02x?} went to the port of {:02x?}", at.mac));
                }
            }
            let (flow, seq) = read(frame);
            let before = last.insert((flow, door, at.map_or(0, |p| p.generation), to), seq).unwrap_or(0);
            if before >= seq {
                report.wrong = Some(format!("flow {flow:#x}: frame {seq} came out by {door:?} after {before}"));
            }
        });
        port.reclaim(pool);
    }
}
