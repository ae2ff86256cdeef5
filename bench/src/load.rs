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
    /// One after the other, each at the start of a cache line.
    bytes: Vec<u8>,
    /// Where each is, and its length.
    frames: Vec<(u32, u16)>,
    at: usize,
}

/// Bytes of a cache line.
const LINE: usize = 64;

impl Source {
    /// Without frames.
    pub fn new(door: Door) -> Self {
        Source { door, bytes: Vec::new(), frames: Vec::new(), at: 0 }
    }

    /// One more frame. All frames of a source together are at most 4 GiB.
    pub fn push(&mut self, frame: &[u8]) {
        self.frames.push((u32::try_from(self.bytes.len()).expect("under 4 GiB"), frame.len() as u16));
        self.bytes.extend_from_slice(frame);
        self.bytes.resize(self.bytes.len().next_multiple_of(LINE), 0);
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// No frames?
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Copies the next `n` frames into the worker's port; fewer if buffers run out. Returns how many.
    #[inline]
    pub fn fill(&mut self, worker: &mut Worker<'_>, n: usize) -> usize {
        let Some((port, pool)) = worker.memory_port(self.door) else { return 0 };
        for done in 0..n {
            let Some((start, len)) = self.frames.get(self.at) else { return done };
            let start = *start as usize;
            let Some(frame) = self.bytes.get(start..start + usize::from(*len)) else { return done };
            if port.inject(frame, 0, pool).is_err() {
                return done;
            }
            self.at = if self.at + 1 == self.frames.len() { 0 } else { self.at + 1 };
        }
        n
    }
}

/// A source for each door, with its frames in their order.
pub fn by_door(frames: impl Iterator<Item = (Door, Vec<u8>)>) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for (door, frame) in frames {
        let at = sources.iter().position(|s| s.door == door).unwrap_or_else(|| {
            sources.push(Source::new(door));
            sources.len() - 1
        });
        sources[at].push(&frame);
    }
    sources
}

/// Frees what was sent to `door`; returns how many frames.
#[inline]
pub fn sink(worker: &mut Worker<'_>, door: Door) -> usize {
    match worker.memory_port(door) {
        Some((port, pool)) => port.sink(pool),
        None => 0,
    }
}

/// The sources of one worker in turn, and where its frames leave.
#[derive(Debug)]
pub struct Feed {
    sources: Vec<Source>,
    next: usize,
    outs: Vec<Door>,
    turns: usize,
}

/// Many doors are emptied once in so many turns: looking into each is work that is none of the pipeline's.
const ROUND: usize = 8;

impl Feed {
    /// Frames that come from `sources` and leave by `outs`.
    pub fn new(sources: Vec<Source>, outs: Vec<Door>) -> Self {
        Feed { sources, next: 0, outs, turns: 0 }
    }

    /// Frames of all sources.
    pub fn frames(&self) -> usize {
        self.sources.iter().map(Source::len).sum()
    }

    /// Where its frames leave.
    pub fn outs(&self) -> &[Door] {
        &self.outs
    }

    /// The next source puts a burst of `n` frames before the worker; its door, and how many they are.
    #[inline]
    pub fn fill(&mut self, worker: &mut Worker<'_>, n: usize) -> (Door, usize) {
        self.next = if self.next + 1 >= self.sources.len() { 0 } else { self.next + 1 };
        match self.sources.get_mut(self.next) {
            Some(source) => (source.door, source.fill(worker, n)),
            None => (Door::Unknown, 0),
        }
    }

    /// What was sent is freed; from many doors not every time.
    #[inline]
    pub fn sink(&mut self, worker: &mut Worker<'_>) {
        self.turns += 1;
        if self.outs.len() == 1 || self.turns.is_multiple_of(ROUND) {
            self.empty(worker);
        }
    }

    /// Everything that was sent is freed.
    pub fn empty(&mut self, worker: &mut Worker<'_>) {
        for door in &self.outs {
            sink(worker, *door);
        }
    }

    /// One burst: a source fills, `work` takes it to the outs, the sink empties them. Returns how many frames.
    #[inline]
    pub fn turn<'u>(
        &mut self,
        worker: &mut Worker<'u>,
        n: usize,
        work: &mut impl FnMut(&mut Worker<'u>, Door),
    ) -> usize {
        let (door, filled) = self.fill(worker, n);
        work(worker, door);
        self.sink(worker);
        filled
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
    let file = std::io::BufReader::new(std::fs::File::open(path)?);
    let mut reader = pcap_file::pcap::PcapReader::new(file)?;
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet() {
        frames.push(packet?.data().to_vec());
    }
    Ok(frames)
}

/// CPU time of this thread (not of the time others had its core), to the nanosecond.
pub fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// That of a thread in /proc, if it is told; to the scheduler's tick.
pub fn cpu_time_of(task: &Path) -> Option<Duration> {
    let stat = std::fs::read_to_string(task.join("schedstat")).ok()?;
    stat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Ticks of the TSC in a second, as the baseline has them: half of what the kernel calls bogomips.
pub fn tsc_hz() -> Option<f64> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("bogomips"))?;
    line.split(':').nth(1)?.trim().parse::<f64>().ok().map(|b| b / 2.0 * 1e6)
}

/// The CPU, as the kernel names it.
pub fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|l| l.starts_with("model name"));
    line.and_then(|l| l.split(':').nth(1)).map_or_else(|| "unknown".to_owned(), |m| m.trim().to_owned())
}
