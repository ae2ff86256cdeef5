//! Feeding a worker from captures the way dpdk's `net_pcap,infinite_rx=1` feeds a poll-mode driver:
//! every frame is copied from the preloaded capture into a recycled buffer.

use dataplane::burst::{BURST, Burst, Door};
use dataplane::worker::Worker;
use std::path::Path;
use std::time::Duration;

/// Frames that arrive by one door, replayed round and round.
#[derive(Debug)]
pub struct Source {
    /// The door.
    pub door: Door,
    frames: Vec<Vec<u8>>,
    at: usize,
}

impl Source {
    /// From frames in memory.
    pub fn new(door: Door, frames: Vec<Vec<u8>>) -> Self {
        Source { door, frames, at: 0 }
    }

    /// Number of different frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// No frames?
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Copies the next `n` frames into the worker's port.
    #[inline]
    pub fn fill(&mut self, worker: &mut Worker<'_>, n: usize) {
        let Some((port, pool)) = worker.memory_port(self.door) else { return };
        for _ in 0..n {
            self.at = if self.at + 1 >= self.frames.len() { 0 } else { self.at + 1 };
            let put = self.frames.get(self.at).map(|f| port.inject(f, 0, pool));
            debug_assert_eq!(put, Some(Ok(())));
        }
    }
}

/// Frees what was sent to `door`; returns how many frames.
#[inline]
pub fn sink(worker: &mut Worker<'_>, door: Door) -> usize {
    match worker.memory_port(door) {
        Some((port, pool)) => port.sink(pool),
        None => 0,
    }
}

/// One burst from the next source; `work` takes it to `outs`.
pub fn turn<'u>(
    worker: &mut Worker<'u>,
    sources: &mut [Source],
    next: &mut usize,
    outs: &[Door],
    work: &mut impl FnMut(&mut Worker<'u>, Door),
) {
    *next = (*next + 1) % sources.len();
    let source = &mut sources[*next];
    source.fill(worker, BURST);
    work(worker, source.door);
    for door in outs {
        sink(worker, *door);
    }
}

/// The same copies with no pipeline: received into a burst, sent to `out`, freed. The floor of our own I/O.
#[inline]
pub fn forward_nothing<'u>(worker: &mut Worker<'u>, burst: &mut Burst<'u>, door: Door, out: Door) {
    if let Some((port, _)) = worker.memory_port(door) {
        port.receive(burst, door, BURST);
    }
    if let Some((port, _)) = worker.memory_port(out) {
        for lane in burst.live {
            if let Some(frame) = burst.frame[lane].take() {
                let full = port.transmit(frame, burst.meta[lane]);
                debug_assert!(full.is_ok());
            }
        }
    }
    burst.clear();
}

/// The frames of a capture.
pub fn read_pcap(path: &Path) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let file = std::fs::File::open(path)?;
    let mut reader = pcap_file::pcap::PcapReader::new(file)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet?.data().to_vec());
    }
    Ok(frames)
}

/// CPU time of this thread (not of the time others had its core), from the scheduler.
pub fn cpu_time() -> Duration {
    cpu_time_of(Path::new("/proc/thread-self")).unwrap_or_default()
}

/// That of a thread in /proc, if it is told.
pub fn cpu_time_of(task: &Path) -> Option<Duration> {
    let stat = std::fs::read_to_string(task.join("schedstat")).ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
