//! One worker of the bench, on its thread and core, in step with the others.

use crate::alloc;
use crate::check::Checker;
use bench::frames::Plan;
use bench::load::{Feed, cpu_time, forward_nothing};
use dataplane::burst::{BURST, Burst, Door};
use dataplane::counters::WorkerCounters;
use dataplane::stage::Stage;
use dataplane::worker::Worker;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Turns between two looks at the clock.
const TURNS: usize = 16;
/// Frames each pass of the sink that looks sees of each worker.
const SAMPLE: usize = 8192;
/// A window counts if the thread had its core so long, per mille.
const ON_CPU: u32 = 970;
/// Bursts timed at most.
const TIMED: usize = 1 << 20;
/// Frames that do not arrive in so long are lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// A worker that does not come in so long has panicked.
const GONE: Duration = Duration::from_secs(120);

/// What the workers of a run share.
#[derive(Debug)]
pub struct Team {
    /// How often a worker has come to where all meet.
    met: AtomicUsize,
    counters: Vec<Arc<WorkerCounters>>,
    /// Per mille of the last window each had its core.
    on_cpu: Vec<AtomicU32>,
    errors: Mutex<Vec<String>>,
}

impl Team {
    /// Of these workers.
    pub fn new(workers: &[Worker<'_>]) -> Self {
        Team {
            met: AtomicUsize::new(0),
            counters: workers.iter().map(|w| Arc::clone(w.counters())).collect(),
            on_cpu: workers.iter().map(|_| AtomicU32::new(0)).collect(),
            errors: Mutex::default(),
        }
    }

    fn fail(&self, what: String) {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What went wrong.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frames received, and sent, by all; sent is read first, so that both are equal only if all have arrived.
    pub fn books(&self) -> (u64, u64) {
        let sent = self.counters.iter().map(|c| c.sent.get() + c.dropped.get()).sum();
        (self.counters.iter().map(|c| c.received.get()).sum(), sent)
    }

    /// Everything counted so far, by all.
    pub fn counters(&self) -> &[Arc<WorkerCounters>] {
        &self.counters
    }

    /// All had their cores.
    fn undisturbed(&self) -> bool {
        self.on_cpu.iter().all(|c| c.load(Ordering::Relaxed) >= ON_CPU)
    }
}

/// What one worker did in one window.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Frames received.
    pub packets: u64,
    /// CPU time of the thread.
    pub cpu: Duration,
    /// Time on the clock.
    pub wall: Duration,
    /// Allocations and frees.
    pub allocs: u64,
}

/// What one worker measured.
#[derive(Debug, Default)]
pub struct Measured {
    /// The pipeline.
    pub whole: Vec<Window>,
    /// The same copying without it, alternating.
    pub floor: Vec<Window>,
    /// Windows left out because a worker did not have its core.
    pub disturbed: usize,
    /// Times of bursts, ns, sorted.
    pub bursts: Vec<u32>,
    /// Frames the sink looked at.
    pub checked: u64,
    /// Frames of the window whose stages were timed, and what each stage took in it, ns.
    pub timed: (u64, Vec<(Stage, u64)>),
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Frames of a burst.
    pub burst: usize,
    /// Sources it is filled from, each with its share.
    pub spread: usize,
    /// Before the first window.
    pub warm: Duration,
    /// A window.
    pub window: Duration,
    /// Windows of each kind.
    pub reps: usize,
}

/// See the module text.
pub struct Rig<'a, 'u> {
    id: usize,
    team: &'a Team,
    worker: Worker<'u>,
    feed: Feed,
    scratch: Box<Burst<'u>>,
    checker: Checker,
    timing: Timing,
    /// Where the floor sends.
    out: Door,
    /// So often it has met the others.
    met: usize,
    /// What the burst is to be received from.
    from: Vec<(Door, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Pipeline,
    Nothing,
}

impl<'a, 'u> Rig<'a, 'u> {
    /// Worker number `id` of the team.
    pub fn new(id: usize, team: &'a Team, worker: Worker<'u>, feed: Feed, plan: Plan, timing: Timing) -> Self {
        let out = feed.outs().first().copied().unwrap_or(Door::Unknown);
        let checker = Checker::new(plan);
        Rig {
            id,
            team,
            worker,
            feed,
            scratch: Box::default(),
            checker,
            timing,
            out,
            met: 0,
            from: Vec::with_capacity(BURST),
        }
    }

    /// The whole measurement.
    pub fn run(mut self) -> Measured {
        let mut m = Measured { bursts: Vec::with_capacity(TIMED), ..Measured::default() };
        let (t, alone) = (self.timing, self.team.counters.len() == 1);
        self.verify();
        for work in [Work::Nothing, Work::Pipeline] {
            self.window(work, t.warm / 2);
        }
        let mut all = Measured::default();
        for _ in 0..3 * t.reps {
            let (floor, quiet) = self.window(Work::Nothing, t.window);
            let (whole, undisturbed) = self.window(Work::Pipeline, t.window);
            all.floor.push(floor);
            all.whole.push(whole);
            if quiet && undisturbed {
                m.floor.push(floor);
                m.whole.push(whole);
            } else {
                m.disturbed += 1;
            }
            self.verify();
            if m.whole.len() == t.reps {
                break;
            }
        }
        if m.whole.is_empty() {
            (m.whole, m.floor) = (all.whole, all.floor);
        }
        self.time_bursts(&mut m.bursts);
        self.verify();
        self.time_stages(&mut m.timed);
        m.bursts.sort_unstable();
        m.checked = self.checker.seen;
        if let Err(what) = self.checker.spread() {
            self.team.fail(what);
        }
        if alone {
            self.buffers();
        }
        m
    }

    /// Frames go through, and each is looked at.
    fn verify(&mut self) {
        let (mut fed, start) = (0, Instant::now());
        while fed < SAMPLE && start.elapsed() < PATIENCE {
            fed += self.turn(Work::Pipeline, true);
        }
        self.settle(true);
        if let Some(what) = self.checker.wrong.take() {
            self.team.fail(what);
        }
    }

    /// The sources put a burst before the worker. Returns how many frames.
    #[inline]
    fn fill(&mut self) -> usize {
        let Timing { burst, spread, .. } = self.timing;
        self.from.clear();
        let mut all = 0;
        for part in 0..spread {
            let (door, n) = self.feed.fill(&mut self.worker, burst / spread + usize::from(part < burst % spread));
            self.from.push((door, n)); // never grows: at most a burst of sources
            all += n;
        }
        all
    }

    /// One burst. Returns how many frames it had.
    #[inline]
    fn turn(&mut self, work: Work, look: bool) -> usize {
        let n = self.fill();
        match work {
            Work::Pipeline => {
                self.worker.poll_ports(&self.from);
            }
            Work::Nothing => {
                for (door, _) in &self.from {
                    forward_nothing(&mut self.worker, &mut self.scratch, *door, self.out);
                }
            }
        }
        if self.team.counters.len() > 1 {
            self.worker.take_over();
        }
        if look {
            self.checker.drain(&mut self.worker, &self.feed);
        } else {
            self.feed.sink(&mut self.worker);
        }
        if n == 0 {
            // Its buffers are on their way through another worker.
            self.worker.idle();
        }
        n
    }

    /// Waits for the others, and does meanwhile what they need of this one.
    fn meet(&mut self, look: bool) {
        let (all, start) = (self.team.counters.len(), Instant::now());
        self.met += 1;
        self.team.met.fetch_add(1, Ordering::AcqRel);
        while self.team.met.load(Ordering::Acquire) < all * self.met {
            self.serve(look);
            std::thread::yield_now();
            assert!(start.elapsed() < GONE, "worker {}: another one does not come", self.id);
        }
    }

    /// What others handed over leaves, and their buffers go home.
    fn serve(&mut self, look: bool) {
        while self.worker.take_over() > 0 {}
        self.worker.idle();
        if look {
            self.checker.drain(&mut self.worker, &self.feed);
        } else {
            self.feed.empty(&mut self.worker);
        }
    }

    /// All that is under way arrives, in every worker.
    fn settle(&mut self, look: bool) {
        self.meet(look);
        let start = Instant::now();
        loop {
            let (received, sent) = self.team.books();
            self.serve(look);
            if received == sent {
                break;
            }
            if start.elapsed() > PATIENCE {
                self.team.fail(format!("worker {}: {received} frames received, {sent} sent or dropped", self.id));
                break;
            }
        }
        // Buffers come home.
        self.meet(look);
        self.serve(look);
        self.meet(look);
    }

    /// One window; whether every worker had its core all the time.
    fn window(&mut self, work: Work, length: Duration) -> (Window, bool) {
        self.meet(false);
        let (mut packets, allocs) = (0, alloc::count());
        let (wall, cpu) = (Instant::now(), cpu_time());
        loop {
            for _ in 0..TURNS {
                packets += self.turn(work, false) as u64;
            }
            if wall.elapsed() >= length {
                break;
            }
        }
        let (cpu, wall) = (cpu_time() - cpu, wall.elapsed());
        let allocs = alloc::count() - allocs;
        let share = 1000.0 * cpu.as_secs_f64() / wall.as_secs_f64();
        if let Some(mine) = self.team.on_cpu.get(self.id) {
            mine.store(share as u32, Ordering::Relaxed);
        }
        self.settle(false);
        (Window { packets, cpu, wall, allocs }, self.team.undisturbed())
    }

    /// A window with a clock around each poll, apart from the others, which would pay for it.
    fn time_bursts(&mut self, times: &mut Vec<u32>) {
        self.meet(false);
        let start = Instant::now();
        while times.len() < times.capacity() && start.elapsed() < self.timing.window {
            let n = self.fill();
            let before = Instant::now();
            self.worker.poll_ports(&self.from);
            let time = before.elapsed();
            if n > 0 {
                times.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
            }
            if self.team.counters.len() > 1 {
                self.worker.take_over();
            }
            if n == 0 {
                self.worker.idle();
            }
            self.feed.sink(&mut self.worker);
        }
        self.settle(false);
    }

    /// A window with a clock between the stages, apart from the others too.
    fn time_stages(&mut self, (packets, stages): &mut (u64, Vec<(Stage, u64)>)) {
        self.worker.time_stages(true);
        let ns =
            |worker: &Worker<'_>| Stage::ALL.iter().map(|s| worker.counters().stage(*s).ns.get()).collect::<Vec<_>>();
        for _ in 0..self.timing.reps {
            let before = ns(&self.worker);
            let (window, undisturbed) = self.window(Work::Pipeline, self.timing.window);
            let took = Stage::ALL.iter().zip(ns(&self.worker).into_iter().zip(before));
            *packets = window.packets;
            *stages = took.map(|(stage, (now, then))| (*stage, now - then)).filter(|(_, ns)| *ns != 0).collect();
            if undisturbed {
                break; // of all workers: they do this in step
            }
        }
        self.worker.time_stages(false);
    }

    /// Every buffer is back.
    fn buffers(&mut self) {
        self.feed.empty(&mut self.worker);
        let (free, total) = self.worker.frames();
        if free != total {
            self.team.fail(format!("{free} of {total} buffers are back"));
        }
    }
}
