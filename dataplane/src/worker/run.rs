//! A worker's turns: what it does again and again.

use super::{Worker, in_kernel};
use crate::burst::{BURST, Burst, Door};
use crate::io::af_xdp;
use crate::pipeline::{process_burst, process_handed};
use crate::stage::{
    Ctx, Made, Stage, expire, give_up, give_up_unresolved, go_on, is_over, ready, send_made, send_resolved, wake,
};
use crate::worker::WorkerIo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What the kernel did not take is offered again after so long, if there is nothing else to do.
const OFFER_AGAIN: Duration = Duration::from_millis(1);

/// The kernel is asked what it lost so often; a busy worker looks at the clock every so many turns.
const ASK_KERNEL: Duration = Duration::from_secs(1);
const LOOK_AT_CLOCK: u32 = 64;

/// How a worker waits for work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// It looks for some for a while, then it sleeps.
    Adaptive {
        /// So long it looks after the last.
        spin: Duration,
        /// The longest sleep: sent frames are then taken back.
        sleep: Duration,
    },
    /// It never sleeps: its core is its own, and nobody has to wake it.
    Busy {
        /// Sent frames are taken back so long after the last work, and again and again.
        tidy: Duration,
    },
}

/// When a worker did last what it does by the clock.
struct Pace {
    /// It had something to do, or has taken back what was sent since.
    worked: Instant,
    /// It asked the kernel what it lost.
    asked: Instant,
    /// Turns with something to do since it looked at the clock.
    busy_turns: u32,
}

impl Pace {
    fn new() -> Self {
        let now = Instant::now();
        Pace { worked: now, asked: now, busy_turns: 0 }
    }
}

impl<'u> Worker<'u> {
    /// One turn for one port: floods that wait go on, then up to `limit` frames (at most [`BURST`]) go through
    /// the pipeline. Returns how many.
    #[inline]
    pub fn poll(&mut self, door: Door, limit: usize) -> usize {
        self.poll_ports(&[(door, limit)])
    }

    /// One turn for several ports: one burst of up to [`BURST`] frames, filled in the order of
    /// `from`, up to so many of each. Returns how many.
    #[inline]
    pub fn poll_ports(&mut self, from: &[(Door, usize)]) -> usize {
        self.turn();
        self.start(Stage::Ingress);
        let mut n = 0;
        for &(door, limit) in from {
            n += self.io.receive(&mut self.burst, door, limit.min(BURST - n));
        }
        self.run_received(n)
    }

    /// One turn for all ports: one burst of up to [`BURST`] frames, beginning where the last one ended. Returns how many.
    pub fn poll_all(&mut self) -> usize {
        self.turn();
        self.start(Stage::Ingress);
        let n = self.io.receive_any(&mut self.burst);
        self.run_received(n)
    }

    #[inline(always)]
    fn run_received(&mut self, n: usize) -> usize {
        if n == 0 {
            self.nothing_came();
            return 0;
        }
        if self.trace {
            self.burst.traced = self.burst.live;
        }
        self.through(process_burst);
        n
    }

    /// One turn for what other workers hand over: up to [`BURST`] frames of one of them. Returns how many.
    pub fn take_over(&mut self) -> usize {
        self.quiesce();
        self.start(Stage::Handoff);
        let n = self.io.receive_handed(&mut self.burst);
        if n > 0 {
            self.through(process_handed);
        } else {
            self.nothing_came();
        }
        n
    }

    #[inline(always)]
    fn start(&self, stage: Stage) {
        if let Some(clock) = &self.clock {
            clock.start(stage);
        }
    }

    #[inline(always)]
    fn nothing_came(&self) {
        if let Some(clock) = &self.clock {
            clock.forget();
        }
    }

    /// The burst through a line of stages, with the snapshot as it is now: after the token, and for
    /// frames of other workers after they were taken from the ring.
    fn through(&mut self, line: impl FnOnce(&mut Burst<'u>, &Ctx<'_>, &mut WorkerIo<'u>)) {
        self.waiting.clear();
        if self.io.lot.len() != 0 {
            self.waiting.extend(self.io.lot.keys()); // never grows: room for all
        }
        self.line(line);
    }

    /// As [`Worker::through`]; frames wait for what stands in `waiting`. Those that wait for another host ask this
    /// snapshot first.
    fn line(&mut self, line: impl FnOnce(&mut Burst<'u>, &Ctx<'_>, &mut WorkerIo<'u>)) {
        self.with(|b, x, io| {
            if io.unresolved.asks(x.snap.generation) {
                io.unresolved.asked(x.snap.generation);
                send_resolved(x, io, usize::MAX);
            }
            line(b, x, io);
        });
    }

    #[inline(always)]
    fn with(&mut self, line: impl FnOnce(&mut Burst<'u>, &Ctx<'_>, &mut WorkerIo<'u>)) {
        let x = Ctx {
            snap: self.view.published.load(),
            newest: &self.view.newest,
            tables: &self.view.tables,
            count: &self.count,
            learn: &self.learn,
            region: self.io.pool.region(),
            tracer: &self.tracer,
            tap: self.tap.as_deref().filter(|tap| tap.is_on()),
            clock: self.clock.as_ref(),
            waiting: &self.waiting,
        };
        line(&mut self.burst, &x, &mut self.io);
        self.io.publish();
        if let Some(clock) = &self.clock {
            clock.end(&self.count);
        }
    }

    /// Nothing read earlier is held any more. Where packets wait for a neighbour only [`Worker::turn`] says so.
    #[inline(always)]
    fn quiesce(&self) {
        if self.io.lot.len() == 0 {
            self.view.token.quiesce();
        }
    }

    /// Nothing read earlier is held any more, and floods that wait go on.
    #[inline(always)]
    fn turn(&mut self) {
        // Said when news have been heard: the row they are about stays until then (`Writer::bury_in_vain`).
        let token = self.view.token.newest();
        if self.io.waiting() != 0 {
            self.look_again();
        }
        self.view.token.passed(token);
        self.io.floods.next_turn();
        if self.io.floods.held() != 0 {
            self.through(|_, x, io| go_on(x, io));
        } else if self.io.unsent() {
            self.io.publish();
        }
    }

    /// Frames that wait for a neighbour or another host look again: before the next ones come, which must not overtake them.
    #[cold]
    fn look_again(&mut self) {
        self.hear_news();
        while self.wake_one() {}
        if self.io.unresolved.len() != 0 {
            self.through(|_, _, _| {});
        }
    }

    /// Was there news since the last time it was asked?
    pub fn hear_news(&mut self) -> bool {
        let told = self.view.tables.resolved.told();
        std::mem::replace(&mut self.io.lot.seen, told) != told
    }

    /// The first frame whose waiting is over goes to its router again. `false`: there is none.
    pub fn wake_one(&mut self) -> bool {
        let news = self.io.lot.seen;
        let Some(parked) = self.io.lot.take_first(ready(&self.view.tables, news)) else { return false };
        let now = self.view.tables.resolved.time();
        self.waiting.clear(); // it is first
        self.line(|b, x, io| wake(b, x, io, parked, now));
        true
    }

    /// When that frame was received, ns.
    pub fn first_ready(&self) -> Option<u64> {
        self.io.lot.first(ready(&self.view.tables, self.io.lot.seen))
    }

    /// When the first frame was received that need not wait for another host any more, ns.
    pub fn first_resolved(&mut self) -> Option<u64> {
        let snap = self.view.published.load();
        self.io.unresolved.first(|one| is_over(snap, one))
    }

    /// That frame goes.
    pub fn send_first_resolved(&mut self) {
        self.with(|_, x, io| send_resolved(x, io, 1));
    }

    /// Frames that have waited for another host long enough at `now` ns end.
    pub fn expire(&mut self, now: u64) {
        if self.io.unresolved.expiry().is_some_and(|at| at <= now) {
            self.through(|_, x, io| expire(x, io, now));
        }
    }

    /// Sends an ARP frame the writer asks for.
    pub fn send_made(&mut self, made: &Made) {
        self.quiesce();
        self.through(|b, x, io| send_made(b, x, io, made));
    }

    /// A turn with nothing to receive: floods and the grace period go on, every buffer goes home.
    pub fn idle(&mut self) {
        self.turn();
        self.view.published.load();
        self.io.all_home();
    }

    /// Sleeps until another worker hands something over, a socket its bell watches is readable, or `at_most` is
    /// over. Grace periods do not wait for a sleeper, but for one in which packets wait for a neighbour: it has to hear
    /// of it. Returns whether it slept; a worker alone, or one in which floods wait, does not.
    pub fn sleep(&mut self, at_most: Duration) -> bool {
        self.idle();
        // What the kernel would not take at once is offered again soon.
        let at_most = if self.io.unsent() { at_most.min(OFFER_AGAIN) } else { at_most };
        let Some(links) = self.io.links().filter(|_| self.io.floods.held() == 0) else { return false };
        let hears = self.io.lot.len() != 0;
        if !hears {
            self.view.token.offline();
        }
        // News concern who has packets that wait.
        let (waits, seen, resolved) = (self.io.waiting() != 0, self.io.lot.seen, &self.view.tables.resolved);
        let news = || waits && resolved.told() != seen;
        let has_work = || links.has_work() || !self.orders.is_empty() || news();
        let slept = in_kernel(|| links.bell().sleep(at_most, has_work));
        if !hears {
            self.view.token.online();
        }
        slept
    }

    /// Works until `stop`, looked at once a turn; who sets it rings the worker's bell. Then every port is closed, and
    /// its frames are in their pools or on their way home.
    pub fn work(&mut self, idle: Idle, stop: &AtomicBool) {
        let mut pace = Pace::new();
        while !stop.load(Ordering::Relaxed) {
            if let Some(clock) = &mut self.turns {
                clock.start();
            }
            self.obey();
            if self.io.unresolved.len() != 0 {
                self.expire(af_xdp::now());
            }
            let busy = self.take_over() + self.poll_all() > 0;
            pace.busy_turns += u32::from(busy);
            if !busy || pace.busy_turns >= LOOK_AT_CLOCK {
                self.at_times(&mut pace, busy, idle);
            }
            if let Some(clock) = &mut self.turns {
                clock.end(&self.count.turns);
            }
        }
        self.close();
    }

    /// How long it may sleep: frames that wait for another host do so no longer than they may.
    fn nap(&self, longest: Duration) -> Duration {
        let left = self.io.unresolved.expiry().map(|at| at.saturating_sub(af_xdp::now()));
        left.map_or(longest, |left| longest.min(Duration::from_nanos(left)))
    }

    /// What is done by the clock: the kernel is asked what it lost, and who has nothing to do waits.
    fn at_times(&mut self, pace: &mut Pace, busy: bool, idle: Idle) {
        let now = Instant::now();
        if pace.busy_turns != 0 {
            (pace.worked, pace.busy_turns) = (now, 0);
        }
        if now.duration_since(pace.asked) >= ASK_KERNEL && self.io.count_lost(&self.count) {
            pace.asked = now;
        }
        if busy {
            return;
        }
        let waited = now.duration_since(pace.worked);
        let slept = match idle {
            Idle::Adaptive { spin, sleep } => waited >= spin && self.sleep(self.nap(sleep)),
            Idle::Busy { tidy } => {
                if waited >= tidy {
                    self.idle();
                    pace.worked = now;
                }
                false
            }
        };
        if !slept {
            std::hint::spin_loop();
        }
    }

    /// What waits for a neighbour or another host ends, as `port_gone`: nobody will wake it any more.
    pub fn give_up_waiting(&mut self) {
        if self.io.unresolved.len() != 0 {
            self.through(|_, x, io| give_up_unresolved(x, io));
        }
        while let Some(parked) = self.io.lot.take_first(|_| true) {
            self.through(|b, x, io| give_up(b, x, io, parked));
        }
    }

    /// Closes every port; what waits ends.
    fn close(&mut self) {
        self.obey();
        self.close_by(None);
        self.give_up_waiting();
        while let Some(door) = self.io.doors().last().copied() {
            self.io.detach(door, &self.count);
        }
        self.idle();
    }
}
