//! A worker beside a real writer: hosts and ports come, move and go, indexes change hands all the
//! time, and every lookup gives the old row or the new one, with the target that row means.

use super::*;
use crate::model::{Host, Port};
use crate::rows::tests::{fixed, ip, twin};
use dataplane::tables::{PortRow, TunnelRow};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Hosts E0, E1, ... that come and go, two at a time.
const HOSTS: u64 = 6;

/// World `n`: hosts E`n` and E`n+1` with a VM each, X`i` at E`i`; ports L`n` and L`n+1` on this host;
/// M, which is always at the newer of the two hosts.
fn world(n: u64) -> Rows {
    let mut cloud = fixture();
    for i in [n, n + 1].map(|i| i % HOSTS) {
        let like = cloud.hosts["H2"].clone();
        let (name, vtep) = (format!("E{i}"), format!("172.20.1.{i}").parse().unwrap());
        let dvr_mac = Some(format!("fa:16:3f:00:01:0{i}").parse().unwrap());
        cloud.hosts.insert(name.clone(), Host { name: name.clone(), vtep, dvr_mac, ..like });
        vm(&mut cloud, "A2", &format!("X{i}"), &format!("0a:01:0{i}"), &format!("10.1.0.5{i}"), &name);
        vm(&mut cloud, "A1", &format!("L{i}"), &format!("0a:02:0{i}"), &format!("10.1.0.7{i}"), "H1");
    }
    vm(&mut cloud, "A2", "M", "0a:03:00", "10.1.0.90", &format!("E{}", (n + 1) % HOSTS));
    rows(&cloud, "H1")
}

fn vm(cloud: &mut Cloud, like: &str, id: &str, mac: &str, address: &str, host: &str) {
    twin(cloud, like, id, mac, fixed("A-v4", address));
    let at: &mut Port = cloud.ports.get_mut(id).unwrap();
    at.binding_host_id = Some(host.to_owned());
}

/// What the reader has seen: each must come about.
#[derive(Debug, Default)]
struct Seen {
    reload: AtomicBool,
    tunnel: AtomicU64,
    port: AtomicU64,
    absent: AtomicBool,
}

impl Seen {
    fn all(&self) -> bool {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed) > 1000;
        let flags = [&self.reload, &self.absent].map(|b| b.load(Ordering::Relaxed));
        flags == [true; 2] && count(&self.tunnel) && count(&self.port)
    }
}

/// A worker's burst.
struct Burst<'a> {
    snap: Arc<Snapshot>,
    view: &'a WorkerView,
    seg: u16,
    seen: &'a Seen,
    /// The newest batch that was complete before the burst.
    complete: u64,
    /// The newest that has begun; asked after each lookup.
    begun: &'a AtomicU64,
}

impl Burst<'_> {
    /// Was `i` there in every world (or, with `not`, in none) that the burst may meet?
    fn surely(&self, i: u64, there: bool) -> bool {
        let worlds = self.complete..=self.begun.load(Ordering::Acquire);
        worlds.into_iter().all(|n| [n % HOSTS, (n + 1) % HOSTS].contains(&i) == there)
    }

    fn newest(&self) -> Arc<Snapshot> {
        self.seen.reload.store(true, Ordering::Relaxed);
        self.view.newest.load()
    }

    /// As `Ctx::with_tunnel`.
    fn tunnel(&self, ix: u16) -> Option<TunnelRow> {
        self.snap.tunnels.get(ix).cloned().or_else(|| self.newest().tunnels.get(ix).cloned())
    }

    /// As `Ctx::with_port`.
    fn port(&self, ix: u16) -> Option<PortRow> {
        self.snap.ports.get(ix).cloned().or_else(|| self.newest().ports.get(ix).cloned())
    }

    fn fdb(&self, tail: &str) -> Option<Target> {
        FdbValue::unpack(self.view.tables.fdb.lookup(&fdb_key(self.seg, mac(tail)))).map(|row| row.target)
    }

    fn neighbour(&self, address: &str) -> Option<Target> {
        let key = ip4_key(self.seg, ip(address));
        NeighValue::from_word(self.view.tables.neigh.lookup(&key)).map(|row| row.target())
    }

    /// X`i` is at E`i` or nowhere.
    fn check_remote(&self, i: u64, target: Option<Target>) {
        let Some(target) = target else {
            assert!(!self.surely(i, true), "X{i} is away");
            return self.seen.absent.store(true, Ordering::Relaxed);
        };
        assert!(!self.surely(i, false), "X{i} is still at {target:?}");
        let Target::Tunnel(ix) = target else { panic!("{target:?}") };
        match self.tunnel(ix) {
            Some(row) => assert_eq!(row.vtep, vtep(i), "the row of X{i} means E{i}, its index somebody else"),
            None => assert!(!self.surely(i, true), "nobody has index {ix} of X{i}"),
        }
        self.seen.tunnel.fetch_add(1, Ordering::Relaxed);
    }

    /// L`i` is here or nowhere; its index means it, or a port that is not active (docs/behaviour.md,
    /// "Known limits").
    fn check_local(&self, i: u64) {
        let target = self.fdb(&format!("0a:02:0{i}"));
        let Some(target) = target else { return assert!(!self.surely(i, true), "L{i} is away") };
        assert!(!self.surely(i, false), "L{i} is still at {target:?}");
        let Target::Port(ix) = target else { panic!("{target:?}") };
        match self.port(ix) {
            Some(row) if row.active => assert_eq!(row.mac, mac(&format!("0a:02:0{i}")), "index {ix} of L{i}"),
            Some(_) | None => assert!(!self.surely(i, true), "L{i} is not active at index {ix}"),
        }
        self.seen.port.fetch_add(1, Ordering::Relaxed);
    }

    /// M moves every time, to a host that comes in the same batch, and is never away.
    fn check_moving(&self) {
        let lookups: [&dyn Fn() -> Option<Target>; 2] = [&|| self.fdb("0a:03:00"), &|| self.neighbour("10.1.0.90")];
        for lookup in lookups {
            let before = self.begun.load(Ordering::Acquire);
            let target = lookup();
            let Some(Target::Tunnel(ix)) = target else { panic!("M is away: {target:?}") };
            let Some(row) = self.tunnel(ix) else {
                // The host M was at goes with the batch after the one that moves M: only a worker that was held up
                // between the row and its target can miss it.
                assert!(self.begun.load(Ordering::Acquire) > before, "M is at a host that is not there");
                continue;
            };
            let worlds = self.complete..=self.begun.load(Ordering::Acquire);
            assert!(worlds.into_iter().any(|n| row.vtep == vtep((n + 1) % HOSTS)), "M is at {:x}", row.vtep);
        }
    }
}

fn vtep(i: u64) -> u32 {
    ip("172.20.1.0") + i as u32
}

#[test]
fn an_index_means_whom_the_row_means_while_batches_pass_by() {
    let worlds: Vec<Rows> = (0..HOSTS).map(world).collect();
    let mut writer = Writer::new(1, Limits::for_rows(&worlds[0]));
    writer.apply(&worlds[0], None).unwrap();
    let seg = writer.indexes().segment("A").unwrap().0;
    let mut view = writer.view(0).unwrap();
    view.token.online();
    let (done, seen) = (AtomicBool::new(false), Seen::default());
    let (begun, complete) = (AtomicU64::new(0), AtomicU64::new(0));
    let (mut indexes, mut owners, mut n) = (BTreeSet::new(), BTreeSet::new(), 0);
    std::thread::scope(|scope| {
        let (done, seen, begun, complete) = (&done, &seen, &begun, &complete);
        let reader = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let complete = complete.load(Ordering::Acquire);
                view.token.quiesce();
                let snap = Arc::clone(view.published.load());
                let burst = Burst { snap, view: &view, seg, seen, complete, begun };
                for i in 0..HOSTS {
                    burst.check_remote(i, burst.fdb(&format!("0a:01:0{i}")));
                    burst.check_remote(i, burst.neighbour(&format!("10.1.0.5{i}")));
                    burst.check_local(i);
                    burst.check_moving();
                    // A batch may pass in the middle of a burst.
                    std::thread::yield_now();
                }
            }
        });
        let start = Instant::now();
        let enough = || start.elapsed() > Duration::from_secs(1) && seen.all();
        while !enough() && start.elapsed() < Duration::from_secs(20) && !reader.is_finished() {
            n += 1;
            begun.store(n, Ordering::Release);
            writer.apply(&worlds[(n % HOSTS) as usize], None).unwrap();
            complete.store(n, Ordering::Release);
            let (ix, generation) = writer.indexes().tunnel(&format!("E{}", (n + 1) % HOSTS)).unwrap();
            indexes.insert(ix);
            owners.insert(generation);
            // The worker may take its time; its indexes come back when it has.
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(seen.all(), "{n} batches: {seen:?}");
    assert!(owners.len() > 2 * indexes.len(), "{} owners of {} indexes", owners.len(), indexes.len());
    println!("{n} batches, {} owners of {} indexes, {seen:?}", owners.len(), indexes.len());
}
