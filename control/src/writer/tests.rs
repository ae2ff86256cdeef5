//! The writer, seen through the view a worker has.

mod ageing;
mod learning;
mod limits;
mod named;
mod neighbours;
mod order;
mod quotas;
mod steps;

pub(crate) use named::named;

use super::*;
use crate::model::Cloud;
use crate::rows::tests::{fixture, mac, rows};
use dataplane::addr::MacAddr;
use dataplane::tables::{FdbTarget, FdbValue, NeighValue, fdb_key, ip4_key};
use std::collections::BTreeSet;

/// A writer with the reference cloud at H1, and a worker that has started.
struct Bench {
    cloud: Cloud,
    writer: Writer,
    view: WorkerView,
}

impl Bench {
    fn new() -> Self {
        Bench::with(Limits::for_rows(&rows(&fixture(), "H1")))
    }

    fn with(limits: Limits) -> Self {
        let cloud = fixture();
        let mut writer = Writer::new(1, limits);
        writer.apply(&rows(&cloud, "H1"), None).unwrap();
        let mut view = writer.view(0).unwrap();
        view.token.online();
        view.published.load();
        Bench { cloud, writer, view }
    }

    /// Makes what the cloud says now visible, or says why not.
    fn try_apply(&mut self) -> Result<(), TableFull> {
        self.writer.apply(&rows(&self.cloud, "H1"), None)
    }

    fn apply(&mut self) {
        self.try_apply().unwrap();
    }

    /// The worker starts a burst, and the writer notices.
    fn quiet(&mut self) {
        self.view.token.quiesce();
        self.view.published.load();
        self.writer.poll();
    }

    fn now(&self) -> Arc<Snapshot> {
        self.view.newest.load()
    }

    fn seg(&self, network: &str) -> (u16, u32) {
        self.writer.indexes().segment(network).unwrap()
    }

    fn port(&self, id: &str) -> (u16, u32) {
        self.writer.indexes().port(id).unwrap()
    }

    fn fdb(&self, network: &str, mac: MacAddr) -> Option<FdbTarget> {
        FdbValue::unpack(self.view.tables.fdb.lookup(&fdb_key(self.seg(network).0, mac)))
    }

    /// Where a MAC is, in names.
    fn place(&self, network: &str, tail: &str) -> String {
        let ix = self.writer.indexes();
        match self.fdb(network, mac(tail)).map(|r| (r.target, r.learned)) {
            None => "nowhere".to_owned(),
            Some((Target::Port(p), l)) => {
                format!("{} {}", ix.port_name(p).unwrap(), if l { "learned" } else { "static" })
            }
            Some((Target::Tunnel(t), l)) => {
                format!("{} {}", ix.tunnel_name(t).unwrap(), if l { "learned" } else { "static" })
            }
            Some((other, _)) => format!("{other:?}"),
        }
    }

    fn neighbour(&self, network: &str, address: &str) -> Option<NeighValue> {
        let key = ip4_key(self.seg(network).0, crate::rows::tests::ip(address));
        NeighValue::from_word(self.view.tables.neigh.lookup(&key))
    }

    /// What a worker reports of a frame from `host` at `seconds`.
    fn by_host(&self, network: &str, tail: &str, host: &str, seconds: u64) -> LearnEvent {
        let (target, target_generation) = self.writer.indexes().tunnel(host).unwrap();
        self.event(network, tail, Target::Tunnel(target), target_generation, seconds)
    }

    /// The same of one from a port without port security.
    fn by_port(&self, network: &str, tail: &str, id: &str, seconds: u64) -> LearnEvent {
        let (target, target_generation) = self.port(id);
        self.event(network, tail, Target::Port(target), target_generation, seconds)
    }

    fn event(&self, network: &str, tail: &str, target: Target, target_generation: u32, seconds: u64) -> LearnEvent {
        let (seg, seg_generation) = self.seg(network);
        LearnEvent { seg, seg_generation, mac: mac(tail), target, target_generation, seen: seconds * 1_000_000_000 }
    }

    /// How often a limit was met.
    fn met(&self, name: &str) -> u64 {
        self.writer.counters().into_iter().find(|(n, _)| *n == name).unwrap().1
    }

    /// Every row of the flat tables, for "nothing changed".
    fn flat(&self) -> ([BTreeMap<u64, u64>; 3], usize) {
        let w = &self.writer;
        ([&w.fdb, &w.neighbours, &w.fips].map(|f| f.rows.clone()), w.learned())
    }
}
