//! The one writer of all tables: stores the difference between two sets of [`Rows`], keeps what
//! was learned, frees indexes when nobody can mean the old row any more.

mod announce;
mod compile;
mod index;
mod learned;
mod made;
mod resolve;
#[cfg(test)]
pub(crate) mod tests;

pub use index::Indexes;
pub use learned::AGE_NS;

use crate::rows::Rows;
use announce::Announcer;
use compile::Compiled;
use dataplane::addr::MacAddr;
use dataplane::flood::FloodLimits;
use dataplane::learn::LearnEvent;
use dataplane::police::Rate;
use dataplane::stage::Made;
use dataplane::tables::{
    Epoch, FdbValue, FlatWriter, InsertError, News, Qsbr, Snapshot, SnapshotWriter, Tables, Target, Wire,
};
use dataplane::told::TellLimits;
use dataplane::worker::WorkerView;
use index::Freed;
use learned::Learned;
use resolve::Resolver;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many rows of each kind the tables take, and what traffic may add to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// T05.
    pub ports: usize,
    /// T04.
    pub segments: usize,
    /// T02, T03.
    pub tunnels: usize,
    /// T10.
    pub routers: usize,
    /// T11.
    pub interfaces: usize,
    /// T06, rows of the model. Learned ones have room of their own beside them.
    pub fdb: usize,
    /// T06, learned addresses in all.
    pub learned: usize,
    /// Of those, behind one host in one network.
    pub learned_by_host: usize,
    /// Behind one local port.
    pub learned_by_port: usize,
    /// New ones of one source, a host or a local port.
    pub learn_rate: Rate,
    /// Floods of each worker.
    pub flood: FloodLimits,
    /// ICMP errors and TCP resets of all workers together.
    pub tell: TellLimits,
    /// T07 and T13, rows of the model, floating IPs on their external network among them. Those asked for have room of
    /// their own beside them.
    pub neighbours: usize,
    /// T13, addresses asked for or answered.
    pub resolved: usize,
    /// T14.
    pub fips: usize,
}

impl Default for Limits {
    /// The large compute host of docs/behaviour.md.
    fn default() -> Self {
        Limits {
            ports: 512,
            segments: 4096,
            tunnels: Target::TUNNELS,
            routers: 4096,
            interfaces: 8192,
            fdb: 1 << 18,
            learned: 1 << 18,
            learned_by_host: 1024,
            learned_by_port: 64,
            learn_rate: Rate { per_second: 1000, burst: 2000 },
            flood: FloodLimits::default(),
            tell: TellLimits::default(),
            neighbours: 1 << 18,
            resolved: 1 << 13,
            fips: 2048,
        }
    }
}

impl Limits {
    /// For replay and tests: the flat tables hold at least four times the rows, and 16,384 learned addresses.
    pub fn for_rows(rows: &Rows) -> Self {
        let room = |n: usize| (4 * n).next_power_of_two().max(4096);
        Limits {
            ports: Target::PORTS,
            segments: 16384,
            fdb: room(rows.fdb.len()),
            learned: 1 << 14,
            neighbours: room(rows.neighbours.len()),
            resolved: 1 << 12,
            fips: room(rows.fips.len()),
            ..Limits::default()
        }
    }
}

/// A table that has no room for a batch; the batch is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table {table} would hold {rows} rows, its limit is {limit}")]
pub struct TableFull {
    /// Number and name of the table.
    pub table: &'static str,
    /// Rows the batch asks for.
    pub rows: usize,
    /// Its limit.
    pub limit: usize,
}

/// How full a table is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableUse {
    /// Number and name.
    pub name: &'static str,
    /// Rows stored.
    pub rows: usize,
    /// Its limit.
    pub limit: usize,
}

/// One flat table with what the model put in it.
#[derive(Debug)]
struct Flat {
    writer: FlatWriter<1>,
    rows: BTreeMap<u64, u64>,
    /// Rows that found no slot.
    lost: u64,
}

impl Flat {
    fn new(limit: usize, qsbr: &Arc<Qsbr>) -> Self {
        let writer = FlatWriter::new(limit, Arc::clone(qsbr), ahash::RandomState::new());
        Flat { writer, rows: BTreeMap::new(), lost: 0 }
    }

    /// Rows there are while those of `next` stand beside the old ones.
    fn rows_with(&self, next: &BTreeMap<u64, u64>) -> usize {
        self.rows.len() + next.keys().filter(|k| !self.rows.contains_key(k)).count()
    }

    /// Step 2: rows that are new or say something else.
    fn put(&mut self, next: &BTreeMap<u64, u64>) {
        let Flat { writer, rows, lost } = self;
        for (key, value) in next.iter().filter(|(k, v)| rows.get(k) != Some(v)) {
            store(writer, *key, *value, lost);
        }
    }

    /// Step 4: rows that are gone.
    fn delete(&mut self, next: BTreeMap<u64, u64>) {
        for key in self.rows.keys().filter(|k| !next.contains_key(k)) {
            self.writer.remove(&[*key]);
        }
        self.rows = next;
    }
}

/// A row of the model for a MAC that several ports may have: traffic may move it.
fn is_virtual(value: u64) -> bool {
    FdbValue::unpack(value).is_some_and(|row| row.learned)
}

/// Stores a row, or counts it in `lost`: the limits are checked before, so that only a key whose
/// neighbourhood in the table is full fails.
fn store(writer: &mut FlatWriter<1>, key: u64, value: u64, lost: &mut u64) -> bool {
    match writer.put(&[key], value) {
        Ok(()) => true,
        Err(reason @ (InsertError::Full | InsertError::Crowded | InsertError::Reserved)) => {
            tracing::warn!(?reason, key, "row not stored");
            *lost += 1;
            false
        }
    }
}

/// Takes a learned row out of the table; a virtual MAC goes back to where the model has it.
fn unlearn(writer: &mut FlatWriter<1>, rows: &BTreeMap<u64, u64>, key: u64, lost: &mut u64) {
    match rows.get(&key) {
        Some(value) => store(writer, key, *value, lost),
        None => writer.remove(&[key]),
    };
}

/// The writer; one per dataplane.
#[derive(Debug)]
pub struct Writer {
    qsbr: Arc<Qsbr>,
    snapshot: SnapshotWriter,
    current: Snapshot,
    fdb: Flat,
    neighbours: Flat,
    fips: Flat,
    indexes: Indexes,
    freed: Vec<(Epoch, Freed)>,
    learned: Learned,
    resolver: Resolver,
    announcer: Announcer,
    /// Frames for workers to send.
    made: Vec<Made>,
    /// Of those, how many nobody took.
    made_lost: u64,
    /// VTEPs frames wait for, of which nobody has heard yet.
    unresolved: BTreeSet<u32>,
    /// When packets that wait should look again.
    resolved: Arc<News>,
    limits: Limits,
}

impl Writer {
    /// Empty tables for `workers` workers.
    pub fn new(workers: usize, limits: Limits) -> Self {
        let qsbr = Qsbr::new(workers);
        Writer {
            snapshot: SnapshotWriter::default(),
            current: Snapshot::default(),
            fdb: Flat::new(limits.fdb + limits.learned, &qsbr),
            neighbours: Flat::new(limits.neighbours + limits.resolved, &qsbr),
            fips: Flat::new(limits.fips, &qsbr),
            indexes: Indexes::new(&limits, workers),
            freed: Vec::new(),
            learned: Learned::new(limits),
            resolver: Resolver::default(),
            announcer: Announcer::default(),
            made: Vec::new(),
            made_lost: 0,
            unresolved: BTreeSet::new(),
            resolved: Arc::default(),
            qsbr,
            limits,
        }
    }

    /// What worker number `id` needs; `None` past the number of workers.
    pub fn view(&self, id: usize) -> Option<WorkerView> {
        Some(WorkerView {
            published: self.snapshot.subscribe(),
            newest: self.snapshot.source(),
            tables: Tables {
                fdb: self.fdb.writer.reader(),
                neigh: self.neighbours.writer.reader(),
                fip: self.fips.writer.reader(),
                resolved: Arc::clone(&self.resolved),
            },
            token: self.qsbr.worker(id)?,
        })
    }

    /// Makes `rows` what the workers see, in the six steps of docs/behaviour.md ("Batches"). Refused
    /// before the first store if a table has no room. Addresses that are new are announced from `now` on (ns);
    /// `None`: nothing is, this is how it was. Rules: o1, o2, o5, F42.
    pub fn apply(&mut self, rows: &Rows, now: Option<u64>) -> Result<(), TableFull> {
        self.check_room(rows)?;
        let mut indexes = self.indexes.clone();
        let freed = indexes.assign(rows)?;
        let Compiled { snapshot, fresh, fdb, mut neighbours, candidates, fips } =
            Compiled::new(rows, &self.current, &indexes, &self.indexes);
        // Between steps 2 and 4 old and new rows stand beside each other.
        let l = &self.limits;
        Self::fits("T06 fdb", self.fdb.rows_with(&fdb), l.fdb)?;
        Self::fits("T07/T13 neighbours", self.neighbours.rows_with(&neighbours), l.neighbours)?;
        Self::fits("T14 floating IPs", self.fips.rows_with(&fips), l.fips)?;

        // 1. new targets, ports inactive
        if let Some(first) = fresh {
            self.publish(first);
        }
        // 2. rows added and moved; a floating IP's translation before its ARP answer (o2)
        self.forget_learned(&fdb);
        neighbours.keys().for_each(|key| self.resolver.forget(*key));
        self.resolver.set_candidates(candidates, &mut neighbours);
        self.fips.put(&fips);
        self.neighbours.put(&neighbours);
        self.fdb.put(&fdb);
        // 3. what switches
        if let Some(next) = snapshot {
            self.publish(next);
        }
        // 4. rows that are gone; ARP answers first (o2)
        self.neighbours.delete(neighbours);
        self.fips.delete(fips);
        self.fdb.delete(fdb);
        for key in self.learned.unfit(|key, target| self.fits_in(key, target)) {
            self.learned.forget(key);
            self.unlearn(key);
        }
        // 5 and 6: the indexes come back when the grace period is over, see `poll`
        self.indexes = indexes;
        self.forget_neighbours();
        if !freed.is_empty() {
            self.freed.push((self.qsbr.retire(), freed));
        }
        self.announcer.update(rows, now);
        if let Some(now) = now {
            self.announce(now);
            self.news(now);
        }
        self.poll();
        Ok(())
    }

    fn publish(&mut self, next: Snapshot) {
        self.current = next.clone();
        self.snapshot.publish(next);
    }

    /// Housekeeping: frees what a finished grace period allows.
    pub fn poll(&mut self) {
        self.snapshot.reclaim();
        for table in [&mut self.fdb, &mut self.neighbours, &mut self.fips] {
            table.writer.bury();
        }
        self.bury_in_vain();
        let (qsbr, indexes) = (&self.qsbr, &mut self.indexes);
        self.freed.retain(|(epoch, freed)| {
            let over = qsbr.has_passed(*epoch);
            if over {
                indexes.release(freed);
            }
            !over
        });
    }

    /// L4: stores or refreshes what a worker saw. Events of indexes that have changed hands are void.
    pub fn learn(&mut self, event: &LearnEvent) {
        let segment = self.current.segments.get(event.seg).map(|s| s.generation);
        let target = match event.target {
            Target::Tunnel(t) => self.current.tunnels.get(t).map(|t| t.generation),
            // The row of a removed port stays until its index is reused: ask who owns it now.
            Target::Port(p) => self.indexes.port_owner(p),
            Target::Phys => Some(0),
            Target::Snat | Target::Fdb => None,
        };
        if segment != Some(event.seg_generation) || target != Some(event.target_generation) {
            return;
        }
        let (key, value) = Learned::row(event);
        if self.learned.is_newer(key, event) || !self.fits_in(key, event.target) {
            return;
        }
        // The model always wins, but for virtual MACs, of which it knows only who may have them.
        if self.fdb.rows.get(&key).is_some_and(|row| !is_virtual(*row)) {
            return;
        }
        let Flat { writer, rows, lost } = &mut self.fdb;
        // Slots of deleted rows that wait for a slow worker: beyond this, rows of the model would find none.
        let room = writer.waiting() < writer.limit();
        let admitted = self.learned.admit(key, event, room, |oldest| unlearn(writer, rows, oldest, lost));
        if admitted && store(writer, key, value, lost) {
            self.learned.seen(key, event);
        }
    }

    /// Can what was learned still be true? Ports move, get secured or go down, hosts leave networks.
    fn fits_in(&self, key: u64, target: Target) -> bool {
        let (seg, mac) = ((key >> 48) as u16, MacAddr::from_u64(key));
        let Some(row) = self.current.segments.get(seg).filter(|s| s.learning) else { return false };
        match target {
            Target::Port(p) => self.current.ports.get(p).is_some_and(|port| {
                let may = port.unknown
                    || port.allowed.iter().any(|a| a.mac == mac)
                    || port.allowed6.iter().any(|a| a.mac == mac);
                port.active && port.seg == seg && may
            }),
            Target::Tunnel(t) => {
                let member = if row.strict { row.members.contains(t) } else { self.current.tunnels.get(t).is_some() };
                matches!(row.wire, Wire::Vxlan(_)) && member
            }
            Target::Phys => matches!(row.wire, Wire::Phys { .. }),
            Target::Snat | Target::Fdb => false,
        }
    }

    fn unlearn(&mut self, key: u64) {
        let Flat { writer, rows, lost } = &mut self.fdb;
        unlearn(writer, rows, key, lost);
    }

    /// Static rows replace learned ones of the same address; so does a virtual MAC's row that is new.
    fn forget_learned(&mut self, fdb: &BTreeMap<u64, u64>) {
        let kept = |key: &u64, value: &u64| is_virtual(*value) && self.fdb.rows.get(key) == Some(value);
        for (key, _) in fdb.iter().filter(|(k, v)| !kept(k, v)) {
            self.learned.forget(*key);
        }
    }

    /// When something is due, ns: a learned address ages out, an address is asked for again or given up, an
    /// announcement is repeated.
    pub fn next_timer(&self) -> Option<u64> {
        let timers = [self.learned.next_deadline(), self.resolver.next_due(), self.announcer.next_due()];
        timers.into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    pub fn run_timers(&mut self, now: u64) {
        self.steps(now);
        self.announce(now);
        while let Some(key) = self.learned.expire(now) {
            self.unlearn(key);
        }
        self.poll();
    }

    /// Names of the indexes.
    pub fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// The newest snapshot.
    pub fn current(&self) -> &Snapshot {
        &self.current
    }

    /// What it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Learned addresses now.
    pub fn learned(&self) -> usize {
        self.learned.len()
    }

    /// Limits that were met so far, by the names operators see.
    pub fn counters(&self) -> [(&'static str, u64); 7] {
        let met = self.learned.met;
        [
            ("learn_rate_limited", met.rate),
            ("learn_quota_evicted", met.quota),
            ("learn_table_full", met.table),
            ("vip_damped", self.resolver.damped),
            ("resolve_refused", self.resolver.refused),
            ("made_lost", self.made_lost),
            ("row_not_stored", self.fdb.lost + self.neighbours.lost + self.fips.lost),
        ]
    }

    /// Rows against limits.
    pub fn tables(&self) -> Vec<TableUse> {
        let l = &self.limits;
        let flat = |f: &Flat| f.writer.len();
        let rows = [
            ("T03 tunnels", self.current.tunnels.iter().count(), l.tunnels),
            ("T04 segments", self.current.segments.iter().count(), l.segments),
            ("T05 ports", self.indexes.ports().count(), l.ports),
            ("T06 fdb", self.fdb.rows.len(), l.fdb),
            ("T06 fdb, learned", self.learned.len(), l.learned),
            ("T10 routers", self.current.routers.iter().count(), l.routers),
            ("T11 router interfaces", self.current.interfaces.iter().count(), l.interfaces),
            ("T07/T13 neighbours", flat(&self.neighbours), l.neighbours),
            ("T13 neighbours, asked for", self.resolver.len(), l.resolved),
            ("T14 floating IPs", flat(&self.fips), l.fips),
        ];
        rows.into_iter().map(|(name, rows, limit)| TableUse { name, rows, limit }).collect()
    }

    fn check_room(&self, rows: &Rows) -> Result<(), TableFull> {
        let l = &self.limits;
        let routes = rows.routers.values().map(|r| r.routes.len()).max().unwrap_or(0);
        let all = [
            ("T03 tunnels", rows.tunnels.len(), l.tunnels.min(Target::TUNNELS)),
            ("T04 segments", rows.segments.len(), l.segments),
            ("T05 ports", rows.ports.len(), l.ports.min(Target::PORTS)),
            ("T06 fdb", rows.fdb.len(), l.fdb),
            ("T10 routers", rows.routers.len(), l.routers),
            ("T11 router interfaces", rows.interfaces.len(), l.interfaces),
            ("T12 routes of one router", routes, dataplane::tables::RouteSet::LIMIT),
            ("T07/T13 neighbours", rows.neighbours.len(), l.neighbours),
            ("T14 floating IPs", rows.fips.len(), l.fips),
        ];
        all.into_iter().try_for_each(|(table, rows, limit)| Self::fits(table, rows, limit))
    }

    fn fits(table: &'static str, rows: usize, limit: usize) -> Result<(), TableFull> {
        if rows > limit { Err(TableFull { table, rows, limit }) } else { Ok(()) }
    }
}
