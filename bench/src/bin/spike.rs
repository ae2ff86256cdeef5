//! The risk-first measurement: on-CPU time of the routed path, by itself and against the floor of
//! its own I/O, on the `route` frames of `bench/baseline/gen_pcap.py`; and of a hand-off.
//!
//! `spike DIR [--core N] [--seconds S]`: DIR holds `route.p<N>.pcap`. Prints one JSON line a row.

use bench::host::{Writers, port_ix};
use bench::load::{Source, cpu_time, forward_nothing, read_pcap, sink};
use bench::topo::{LOCAL, NETS, lvm_mac};
use dataplane::burst::{Burst, Door, FrameMeta};
use dataplane::counters::WorkerCounters;
use dataplane::handoff::{Handed, Links, RING, mesh};
use dataplane::umem::{FramePool, Umem};
use dataplane::worker::WorkerId;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let dir = args.get(1).ok_or("usage: spike DIR [--core N] [--seconds S] [--burst N]")?;
    let option = |name: &str, default: f64| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let core = option("--core", 1.0) as usize;
    let seconds = Duration::from_secs_f64(option("--seconds", 1.0));
    let burst = option("--burst", 32.0) as usize;
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let mut sources = sources(Path::new(dir))?;
    let flows: usize = sources.iter().map(Source::len).sum();
    let floor = measure(&mut sources, seconds, burst, false);
    let route = measure(&mut sources, seconds, burst, true);
    println!(
        "{{\"bench\":\"spike\",\"case\":\"route\",\"frames\":{flows},\"burst\":{burst},\"floor_ns\":{:.1},\"route_ns\":{:.1},\"over_floor_ns\":{:.1},\"ticks_2600\":{:.0}}}",
        floor,
        route,
        route - floor,
        (route - floor) * 2.6
    );
    let ring = hand_off(seconds, core);
    println!(
        "{{\"bench\":\"handoff\",\"ns_per_frame_producer\":{:.1},\"ns_per_frame_consumer\":{:.1}}}",
        ring.0, ring.1
    );
    Ok(())
}

/// One source per VM, so that port security checks the frames of a port against its own row.
fn sources(dir: &Path) -> Result<Vec<Source>, Box<dyn Error>> {
    let mut of_port: Vec<Vec<Vec<u8>>> = vec![Vec::new(); usize::from(NETS * LOCAL)];
    for n in 0..NETS {
        for frame in read_pcap(&dir.join(format!("route.p{n}.pcap")))? {
            let j =
                (0..LOCAL).find(|j| frame.get(6..12) == Some(&lvm_mac(n, *j).octets()[..])).ok_or("unknown source")?;
            of_port[usize::from(port_ix(n, j))].push(frame);
        }
    }
    let ports = of_port.into_iter().enumerate().filter(|(_, f)| !f.is_empty());
    Ok(ports.map(|(p, frames)| Source::new(Door::Port(p as u16), frames)).collect())
}

/// Median on-CPU ns per packet of 7 windows.
fn measure(sources: &mut [Source], window: Duration, burst: usize, pipeline: bool) -> f64 {
    let writers = Writers::new(1);
    let mut umem = Umem::new(4096);
    let pool = umem.pools(1).pop().expect("one pool");
    let mut worker = writers.worker(pool);
    let mut scratch: Box<Burst<'_>> = Box::default();
    let mut windows: Vec<f64> = (0..7)
        .map(|_| {
            let (wall, start, mut packets) = (Instant::now(), cpu_time(), 0u64);
            while wall.elapsed() < window {
                for source in sources.iter_mut() {
                    source.fill(&mut worker, burst);
                    if pipeline {
                        worker.poll(source.door, burst);
                    } else {
                        forward_nothing(&mut worker, &mut scratch, source.door, Door::Tunnel);
                    }
                    packets += sink(&mut worker, Door::Tunnel) as u64;
                }
            }
            (cpu_time() - start).as_nanos() as f64 / packets as f64
        })
        .collect();
    windows.sort_by(f64::total_cmp);
    let c = worker.counters();
    if pipeline {
        check(c);
    }
    windows[windows.len() / 2]
}

/// A fast run that dropped or missed is no result.
fn check(c: &WorkerCounters) {
    assert_eq!(c.received.get(), c.sent.get(), "every frame of this case is forwarded: {:?}", c.snapshot());
    assert_eq!(c.dropped.get(), 0);
}

/// Frames handed to another worker and their buffers home, a burst at a time, both threads spinning:
/// on-CPU ns per frame at each side, waiting for each other included.
fn hand_off(window: Duration, core: usize) -> (f64, f64) {
    const BATCH: usize = 32;
    let mut umem = Umem::new(8192);
    let mut pools = umem.pools(2);
    let mut links = mesh(&pools, RING).expect("file descriptors");
    let (mut there, mut here) = (links.pop().expect("two workers"), links.pop().expect("two workers"));
    let (mut pool_there, mut pool) = (pools.pop().expect("two pools"), pools.pop().expect("two pools"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            core_affinity::set_for_current(core_affinity::CoreId { id: 1 - core.min(1) });
            let (start, mut frames) = (cpu_time(), 0u64);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                frames += there.receive(BATCH, |handed| pool_there.put(handed.frame)) as u64;
                there.exchange_buffers(&mut pool_there, false);
            }
            (cpu_time() - start, frames)
        });
        let (wall, start, mut frames) = (Instant::now(), cpu_time(), 0u64);
        while wall.elapsed() < window * 3 {
            for _ in 0..64 {
                frames += burst(&mut here, &mut pool, BATCH);
                here.publish();
                here.exchange_buffers(&mut pool, false);
            }
        }
        let producer = (cpu_time() - start).as_nanos() as f64 / frames as f64;
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let (cpu, seen) = consumer.join().expect("the consumer does not panic");
        (producer, cpu.as_nanos() as f64 / seen as f64)
    })
}

/// Hands over up to `n` frames; fewer if the ring is full. Returns how many.
fn burst<'u>(links: &mut Links<'u>, pool: &mut FramePool<'u>, n: usize) -> u64 {
    for done in 0..n {
        let Some(frame) = pool.take() else { return done as u64 };
        let meta = FrameMeta::default();
        let handed = Handed { frame, meta, port: 0, generation: 0, door: Door::Tunnel, traced: false };
        if let Err(frame) = links.hand(WorkerId(1), handed) {
            pool.put(frame);
            return done as u64;
        }
    }
    n as u64
}
