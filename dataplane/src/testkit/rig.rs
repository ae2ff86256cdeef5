//! [`Rig`]: one worker with the rows of a host on memory ports, and [`Outcome`]: what a burst did.

use crate::addr::MacAddr;
use crate::burst::{Checksum, Door, Gso};
use crate::io::{Carries, MemoryPort, Port};
use crate::learn::{LearnEvent, Report};
use crate::stage::{Ctx, Made};
use crate::tables::*;
use crate::testkit::fixture::{LOCAL_PORTS, Rows};
use crate::trace::{Note, TraceRecord};
use crate::umem::Umem;
use crate::worker::{Worker, WorkerView};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much memory a rig has.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Frames in the pool.
    pub frames: usize,
    /// Frames a port's queue holds.
    pub queue: usize,
    /// Frames the tunnel's queue holds.
    pub tunnel_queue: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room { frames: 128, queue: 128, tunnel_queue: 128 }
    }
}

/// Doors of every rig, in the order in which [`Outcome::sent`] lists them.
pub fn doors() -> Vec<Door> {
    let ports = (0..LOCAL_PORTS as PortIx).map(Door::Port);
    ports.chain([Door::Tunnel, Door::Phys(0), Door::Phys(1), Door::Unknown]).collect()
}

/// A worker, its tables and who writes them.
#[derive(Debug)]
pub struct Rig {
    pub worker: Worker<'static>,
    pub snapshots: SnapshotWriter,
    pub fdb: FlatWriter<1>,
    pub neigh: FlatWriter<1>,
    pub fip: FlatWriter<1>,
    /// Its grace periods.
    pub qsbr: Arc<Qsbr>,
    /// Tells packets that wait to look again.
    pub news: Arc<News>,
    /// Receive time of the next frames, ns.
    pub now: u64,
}

/// What became of the frames of one [`Rig::step`].
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Frames sent, by door, in order.
    pub sent: Vec<(Door, Vec<u8>)>,
    /// Every counter that moved, and by how much.
    pub moved: BTreeMap<String, u64>,
    /// Learn events posted.
    pub learned: Vec<LearnEvent>,
    /// Other reports posted.
    pub reports: Vec<Report>,
    /// Frames that are held afterwards.
    pub held: u64,
}

impl Rig {
    /// Host H1 of fixture T.
    pub fn h1() -> Rig {
        Rig::new(Rows::h1())
    }

    /// H1 with something changed.
    pub fn h1_with(change: impl FnOnce(&mut Rows)) -> Rig {
        let mut rows = Rows::h1();
        change(&mut rows);
        Rig::new(rows)
    }

    /// Host H2 of fixture T.
    pub fn h2() -> Rig {
        Rig::new(Rows::h2())
    }

    /// H2 with something changed.
    pub fn h2_with(change: impl FnOnce(&mut Rows)) -> Rig {
        let mut rows = Rows::h2();
        change(&mut rows);
        Rig::new(rows)
    }

    pub fn new(rows: Rows) -> Rig {
        Rig::with_room(rows, Room::default())
    }

    pub fn with_room(rows: Rows, room: Room) -> Rig {
        Rig::with_newest(rows, None, room)
    }

    /// A rig whose worker sees `rows` for ever, while the newest snapshot is `newest`: what a burst
    /// meets that began just before a publication.
    pub fn behind(rows: Rows, newest: Snapshot) -> Rig {
        Rig::with_newest(rows, Some(newest), Room::default())
    }

    fn with_newest(rows: Rows, newest: Option<Snapshot>, room: Room) -> Rig {
        let qsbr = Qsbr::new(1);
        let writer = || FlatWriter::new(256, qsbr.clone(), ahash::RandomState::with_seeds(1, 2, 3, 4));
        let (fdb, neigh, fip) = (writer(), writer(), writer());
        let news = Arc::new(News::default());
        let tables =
            Tables { fdb: fdb.reader(), neigh: neigh.reader(), fip: fip.reader(), resolved: Arc::clone(&news) };
        let mut snapshots = SnapshotWriter::default();
        let published = snapshots.subscribe();
        snapshots.publish(rows.snap.clone());
        let newest = match newest {
            None => snapshots.source(),
            Some(newest) => {
                let mut other = SnapshotWriter::default();
                other.publish(newest);
                other.source()
            }
        };
        let view = WorkerView { published, newest, tables, token: qsbr.worker(0).unwrap() };
        // Leaked: frames borrow the region for as long as the worker lives, which is the test.
        let umem = Box::leak(Box::new(Umem::new(room.frames)));
        let mut worker = Worker::new(view, umem.pools(1).remove(0), LOCAL_PORTS, 2);
        for door in doors() {
            let queue = if door == Door::Tunnel { room.tunnel_queue } else { room.queue };
            let port = Port::Memory(MemoryPort::new(queue));
            let row = |ix| rows.snap.ports.get(ix);
            match door {
                Door::Port(ix) => worker.attach_port(ix, row(ix).map_or(1, |row| row.generation), port),
                _ => worker.attach(door, port),
            };
        }
        worker.repeatable();
        let mut rig = Rig { worker, snapshots, fdb, neigh, fip, qsbr, news, now: 5_000_000_000 };
        rig.store(&rows);
        rig
    }

    /// Adds the rows of `rows` to the large tables.
    pub fn store(&mut self, rows: &Rows) {
        for ((seg, mac), row) in &rows.fdb {
            self.fdb.put(&fdb_key(*seg, *mac), FdbValue::pack(*row)).unwrap();
        }
        for ((seg, ip), row) in &rows.neigh {
            self.neigh.put(&ip4_key(*seg, *ip), row.to_word()).unwrap();
        }
        for (router, ip, address) in &rows.fip {
            self.fip.put(&fip_key(*router, *ip), u64::from(*address)).unwrap();
        }
    }

    /// What was recorded of traced frames since the last time, but for the stages they entered.
    pub fn notes(&self) -> Vec<TraceRecord> {
        let records = std::iter::from_fn(|| self.worker.tracer().pop());
        records.filter(|r| r.note != Note::Enter).collect()
    }

    /// Changes the snapshot, from the next burst on.
    pub fn publish(&mut self, rows: &Rows) {
        self.snapshots.publish(rows.snap.clone());
    }

    /// Does what the writer thread will do with a learn event.
    pub fn learn(&mut self, seg: SegIx, mac: MacAddr, target: Target) {
        let stamp = crate::learn::stamp(self.now);
        self.fdb.put(&fdb_key(seg, mac), FdbValue::pack(FdbTarget { target, learned: true, stamp })).unwrap();
    }

    /// Calls `stage` with the context the worker's next burst would have.
    pub fn with_ctx<R>(&self, stage: impl FnOnce(&Ctx<'_>) -> R) -> R {
        let newest = self.snapshots.source();
        stage(&Ctx {
            snap: &newest.load(),
            newest: &newest,
            tables: &Tables {
                fdb: self.fdb.reader(),
                neigh: self.neigh.reader(),
                fip: self.fip.reader(),
                resolved: Arc::clone(&self.news),
            },
            count: self.worker.counters(),
            learn: self.worker.learn_queue(),
            region: self.worker.region(),
            tracer: self.worker.tracer(),
            tap: None,
            clock: None,
            waiting: &[],
        })
    }

    /// Puts `frame` in front of `door` for the next [`Worker::poll`].
    pub fn inject(&mut self, door: Door, frame: &[u8]) {
        let now = self.now;
        let (port, pool) = self.worker.memory_port(door).unwrap();
        port.inject(frame, now, pool).unwrap();
    }

    /// The port behind a door takes `carries` as it is, from now on.
    pub fn port_carries(&mut self, door: Door, carries: Carries) {
        let port = Port::Memory(MemoryPort::that_carries(128, carries, self.worker.region()));
        match door {
            Door::Port(ix) => self.worker.attach_port(ix, self.worker.attached(ix).unwrap(), port),
            _ => self.worker.attach(door, port),
        };
    }

    /// One frame with offloads that nobody has done yet through the pipeline, and what goes with those that come out.
    pub fn offloaded(&mut self, door: Door, frame: &[u8], csum: Checksum, gso: Gso) -> (Outcome, Vec<(Checksum, Gso)>) {
        let mut asked = Vec::new();
        let before = self.worker.counters().snapshot();
        self.port_carries(door, Carries::ALL);
        self.inject(door, frame);
        self.worker.memory_port(door).unwrap().0.asks_for(csum, gso);
        self.worker.poll(door, 64);
        let mut sent = Vec::new();
        for door in doors() {
            let (port, pool) = self.worker.memory_port(door).unwrap();
            port.drain(|bytes, meta| {
                sent.push((door, bytes.to_vec()));
                asked.push((meta.csum, meta.gso));
            });
            port.reclaim(pool);
        }
        (self.outcome(before, sent), asked)
    }

    /// Takes out what was sent, by door.
    pub fn drain(&mut self) -> Vec<(Door, Vec<u8>)> {
        let mut sent = Vec::new();
        for door in doors() {
            let Some((port, pool)) = self.worker.memory_port(door) else { continue }; // shares another one's NIC
            port.drain(|bytes, _| sent.push((door, bytes.to_vec())));
            port.reclaim(pool);
        }
        sent
    }

    /// These doors have no NIC of their own, but share the one at `at`.
    pub fn share(&mut self, doors: &[Door], at: Door) {
        for door in doors {
            assert!(self.worker.detach(*door));
            self.worker.share(*door, at);
        }
    }

    /// One frame through the pipeline.
    pub fn one(&mut self, door: Door, frame: Vec<u8>) -> Outcome {
        self.step(door, &[frame])
    }

    /// Sends `frames` in by `door`, as one burst if there are at most 64, and says what came of
    /// them. What must hold whatever the frames are is asserted here.
    pub fn step(&mut self, door: Door, frames: &[Vec<u8>]) -> Outcome {
        self.watch(|rig| {
            frames.iter().for_each(|f| rig.inject(door, f));
            while rig.worker.poll(door, 64) > 0 || rig.worker.held() > 0 {}
        })
    }

    /// The writer has news at `now`: what came of the frames that wait for a neighbour.
    pub fn wake(&mut self) -> Outcome {
        self.news.tell(self.now);
        self.watch(|rig| rig.worker.idle())
    }

    /// What comes of the frames that wait for another host when the clock stands at `now` ns.
    pub fn expire(&mut self, now: u64) -> Outcome {
        self.watch(|rig| rig.worker.expire(now))
    }

    /// The writer asks for a frame.
    pub fn make(&mut self, made: &Made) -> Outcome {
        self.watch(|rig| rig.worker.send_made(made))
    }

    /// What comes of `what`. What must hold whatever it was is asserted here.
    fn watch(&mut self, what: impl FnOnce(&mut Rig)) -> Outcome {
        let before = self.worker.counters().snapshot();
        what(self);
        let sent = self.drain();
        self.outcome(before, sent)
    }

    /// What has happened since `before`.
    fn outcome(&mut self, before: Vec<(String, u64)>, sent: Vec<(Door, Vec<u8>)>) -> Outcome {
        let mut moved: BTreeMap<_, _> = self.worker.counters().snapshot().into_iter().collect();
        for (name, n) in before {
            *moved.get_mut(&name).expect("a counter never falls back to zero") -= n;
        }
        moved.retain(|_, n| *n != 0);
        let (mut learned, mut reports) = (Vec::new(), Vec::new());
        while let Some(report) = self.worker.learn_queue().pop() {
            match report {
                Report::Learn(event) => learned.push(event),
                other => reports.push(other),
            }
        }
        self.assert_sound();
        Outcome { sent, moved, learned, reports, held: self.worker.counters().held.get() }
    }

    /// The books balance, no frame is lost, nothing is in flight, `internal` is zero.
    pub fn assert_sound(&self) {
        self.assert_books();
        let (free, total) = self.worker.frames();
        let held = self.worker.held() + self.worker.parked().0 + self.worker.unresolved().0;
        assert_eq!(free + held, total, "every frame is back in the pool or held");
        assert_eq!(self.worker.counters().held.get(), held as u64, "the gauge");
    }

    /// The same, but for frames that wait in a port to be taken out.
    pub fn assert_books(&self) {
        let c = self.worker.counters();
        let begun = c.received.get() + c.generated.get() + c.copied.get();
        let ended = c.sent.get() + c.dropped.get() + c.consumed.get() + c.held.get();
        assert_eq!(begun, ended, "received + generated + copied = sent + dropped + consumed + held");
        assert_eq!(self.worker.in_flight(), 0);
        assert_eq!(c.reason(crate::drop_reason::DropReason::Internal).get(), 0, "internal");
    }
}

/// The name of a door in counters.
fn name(door: Door) -> String {
    match door {
        Door::Port(n) => format!("port.{n}"),
        Door::Tunnel => "tunnel".to_owned(),
        Door::Phys(n) => format!("phys.{n}"),
        Door::Unknown => "unknown".to_owned(),
    }
}

impl Outcome {
    /// Exactly these counters moved: `path` names the stages frames entered, in any order (`x*3`:
    /// three of them did), `counts` everything else as `name n`, separated by commas.
    #[track_caller]
    pub fn assert_moved(&self, path: &str, counts: &str) -> &Self {
        let mut expect = BTreeMap::new();
        for stage in path.split_whitespace() {
            let (stage, n) = stage.split_once('*').unwrap_or((stage, "1"));
            let key = format!("stage.{stage}.packets");
            assert!(crate::stage::Stage::ALL.iter().any(|s| s.name() == stage), "there is no stage {stage}");
            assert!(expect.insert(key, n.parse().unwrap()).is_none(), "{stage} twice");
        }
        for count in counts.split(',').map(str::trim).filter(|c| !c.is_empty()) {
            let (name, n) = count.rsplit_once(' ').expect("name and number");
            *expect.entry(name.to_owned()).or_insert(0u64) += n.parse::<u64>().unwrap();
        }
        assert_eq!(self.moved, expect, "left: what moved, right: what should have");
        self
    }

    /// One frame in by `door`, these out, nothing else happened.
    #[track_caller]
    pub fn assert_sent(&self, door: Door, path: &str, frames: &[(Door, Vec<u8>)]) -> &Self {
        self.assert_sent_and(door, path, frames, "")
    }

    /// As [`Outcome::assert_sent`], and `more` counters moved.
    #[track_caller]
    pub fn assert_sent_and(&self, door: Door, path: &str, frames: &[(Door, Vec<u8>)], more: &str) -> &Self {
        assert_eq!(hex(&self.sent), hex(frames), "left: sent, right: expected");
        let n = frames.len();
        let tx: String = frames.iter().map(|(d, _)| format!(", {}.tx 1", name(*d))).collect();
        let copied = if n > 1 { format!(", copied {}", n - 1) } else { String::new() };
        self.assert_moved(path, &format!("received 1, {}.rx 1, sent {n}{copied}{tx}, {more}", name(door)))
    }

    /// One frame in by `door`, answered by `stage` with `frame` out of the same door.
    #[track_caller]
    pub fn assert_answered(&self, door: Door, path: &str, stage: &str, frame: Vec<u8>) -> &Self {
        let more = format!("generated 1, consumed 1, stage.{stage}.consumed 1");
        self.assert_sent_and(door, path, &[(door, frame)], &more)
    }

    /// One frame in by `door`, dropped for `reason` by the last stage of `path`.
    #[track_caller]
    pub fn assert_dropped(&self, door: Door, path: &str, reason: &str) -> &Self {
        let stage = path.split_whitespace().last().expect("a stage");
        self.assert_dropped_by(door, path, stage, reason)
    }

    /// As [`Outcome::assert_dropped`], with the stage that drops named.
    #[track_caller]
    pub fn assert_dropped_by(&self, door: Door, path: &str, stage: &str, reason: &str) -> &Self {
        assert_eq!(hex(&self.sent), "", "nothing is sent");
        let door = name(door);
        let drop = format!("dropped 1, drop.{reason} 1, {door}.drop.{reason} 1, stage.{stage}.dropped 1");
        self.assert_moved(path, &format!("received 1, {door}.rx 1, {drop}"))
    }

    /// One frame in by `door`, dropped by the router for `reason`, and its sender told with `frame` out of the same door.
    #[track_caller]
    pub fn assert_told(&self, door: Door, path: &str, reason: &str, frame: Vec<u8>) -> &Self {
        assert_eq!(hex(&self.sent), hex(&[(door, frame)]), "left: sent, right: expected");
        let d = name(door);
        let drop = format!("dropped 1, drop.{reason} 1, {d}.drop.{reason} 1, stage.qrouter.dropped 1");
        self.assert_moved(path, &format!("received 1, {d}.rx 1, {drop}, generated 1, sent 1, {d}.tx 1"))
    }

    /// One frame in by `door`, which now waits for the neighbour of `seg` with the address `ip`; the writer was asked.
    #[track_caller]
    pub fn assert_waits(&self, door: Door, path: &str, (seg, ip): (SegIx, u32)) -> &Self {
        assert_eq!(hex(&self.sent), "", "nothing is sent");
        let asked = |r: &Report| match r {
            Report::Resolve(e) => Some((e.seg, e.ip)),
            _ => None,
        };
        assert_eq!(self.reports.iter().map(asked).collect::<Vec<_>>(), [Some((seg, ip))], "asked for");
        assert_ne!(self.held, 0, "it is held");
        self.assert_moved(path, &format!("received 1, {}.rx 1", name(door)))
    }

    /// One frame in by `door`, swallowed by the last stage of `path`.
    #[track_caller]
    pub fn assert_consumed(&self, door: Door, path: &str) -> &Self {
        assert_eq!(hex(&self.sent), "", "nothing is sent");
        let stage = path.split_whitespace().last().expect("a stage");
        self.assert_moved(path, &format!("received 1, {}.rx 1, consumed 1, stage.{stage}.consumed 1", name(door)))
    }
}

/// Frames one a line, for messages a person can compare.
fn hex(frames: &[(Door, Vec<u8>)]) -> String {
    let line = |(door, bytes): &(Door, Vec<u8>)| {
        let text: String = bytes.iter().enumerate().map(|(i, b)| format!("{}{b:02x}", gap(i))).collect();
        format!("{}:{text}\n", name(*door))
    };
    frames.iter().map(line).collect()
}

fn gap(i: usize) -> &'static str {
    if i.is_multiple_of(16) { "\n  " } else { " " }
}
