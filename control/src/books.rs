//! What became of the packets: the counters of all workers added up, in names people know.

use crate::writer::Writer;
use dataplane::counters::{Counter, Event, KernelLoss, WorkerCounters};
use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;
use dataplane::worker::{Buffers, Statement};
use std::collections::BTreeMap;

/// Packets of one port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PortTotals {
    /// Received from it.
    pub rx: u64,
    /// Sent to it.
    pub tx: u64,
}

/// What became of the packets so far. `received + generated + copied = sent + dropped + consumed + held`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames taken from ports.
    pub received: u64,
    /// Frames made here.
    pub generated: u64,
    /// Copies made for floods.
    pub copied: u64,
    /// Frames given to ports.
    pub sent: u64,
    /// Frames dropped.
    pub dropped: u64,
    /// Frames whose purpose was served.
    pub consumed: u64,
    /// Frames that wait: floods for their next turn. None whenever a replay looks.
    pub held: u64,
    /// Frames one worker gave to another, which owns their egress port: a measure of the set-up, not of
    /// the traffic; 0 with one worker.
    pub handed_over: u64,
    /// Of those, how many that other has taken; all, when nobody works.
    pub taken_over: u64,
    /// Where packet buffers are, as running workers tell it.
    pub buffers: Option<Buffers>,
    /// The longest turns of workers, if they are measured.
    pub turns: Option<Turns>,
    /// Drops by reason, those that happened.
    pub drops: BTreeMap<String, u64>,
    /// Other events, those that happened.
    pub counters: BTreeMap<String, u64>,
    /// By port, those that were used.
    pub ports: BTreeMap<String, PortTotals>,
    /// By stage: name, what it replaces, packets in, dropped, consumed; those that were used.
    pub stages: Vec<(&'static str, &'static str, u64, u64, u64)>,
}

/// Turns of all workers, in CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Turns {
    /// Measured.
    pub measured: u64,
    /// All of them without their system calls, ns.
    pub own_ns: u64,
    /// The longest, ns.
    pub longest_ns: u64,
    /// The longest without its system calls, ns.
    pub longest_own_ns: u64,
    /// Longer than a millisecond without their system calls.
    pub long: u64,
}

impl Turns {
    /// None if nothing was measured.
    fn of(workers: &[&WorkerCounters]) -> Option<Turns> {
        let all = workers.iter().map(|w| &w.turns);
        let sum = all.fold(Turns::default(), |sum, t| Turns {
            measured: sum.measured + t.measured.get(),
            own_ns: sum.own_ns + t.own.get(),
            longest_ns: sum.longest_ns.max(t.longest.get()),
            longest_own_ns: sum.longest_own_ns.max(t.longest_own.get()),
            long: sum.long + t.long.get(),
        });
        (sum.measured != 0).then_some(sum)
    }
}

impl Totals {
    /// All counters of a host added up.
    pub fn of(workers: &[&WorkerCounters], writer: &Writer, ports: BTreeMap<String, PortTotals>) -> Self {
        let sum = |of: &dyn Fn(&WorkerCounters) -> &Counter| workers.iter().map(|w| of(w).get()).sum::<u64>();
        let some = |name: &str, n: u64| (n != 0).then(|| (name.to_owned(), n));
        let stage = |s: &Stage| {
            let packets = sum(&|c| &c.stage(*s).packets);
            let (dropped, consumed) = (sum(&|c| &c.stage(*s).dropped), sum(&|c| &c.stage(*s).consumed));
            (packets + dropped + consumed != 0).then(|| (s.name(), s.neutron(), packets, dropped, consumed))
        };
        let events = Event::ALL.iter().filter_map(|e| some(e.name(), sum(&|c| c.event(*e))));
        let limits = writer.counters().into_iter().filter_map(|(name, n)| some(name, n));
        let lost = |loss: KernelLoss| workers.iter().map(|w| w.kernel(loss)).sum();
        let kernel = KernelLoss::ALL.iter().filter_map(|loss| some(loss.name(), lost(*loss)));
        Totals {
            received: sum(&|c| &c.received),
            generated: sum(&|c| &c.generated),
            copied: sum(&|c| &c.copied),
            sent: sum(&|c| &c.sent),
            dropped: sum(&|c| &c.dropped),
            consumed: sum(&|c| &c.consumed),
            held: sum(&|c| &c.held),
            handed_over: sum(&|c| &c.handed_over),
            taken_over: sum(&|c| &c.taken_over),
            buffers: None,
            turns: Turns::of(workers),
            drops: DropReason::ALL.iter().filter_map(|r| some(r.name(), sum(&|c| c.reason(*r)))).collect(),
            counters: events.chain(limits).chain(kernel).collect(),
            ports,
            stages: Stage::ALL.iter().filter_map(stage).collect(),
        }
    }

    /// With the frames and drops as the workers told them, each between two of its turns.
    pub fn as_told(self, state: &Statement) -> Self {
        let reasons = DropReason::ALL.iter().zip(state.reasons).filter(|(_, n)| *n != 0);
        Totals {
            received: state.received,
            generated: state.generated,
            copied: state.copied,
            sent: state.sent,
            dropped: state.dropped,
            consumed: state.consumed,
            held: state.held,
            handed_over: state.handed_over,
            taken_over: state.taken_over,
            drops: reasons.map(|(reason, n)| (reason.name().to_owned(), n)).collect(),
            buffers: Some(state.buffers),
            ..self
        }
    }

    /// `received + generated + copied = sent + dropped + consumed + held`, and what is on its way between workers; every drop
    /// has a reason.
    pub fn balanced(&self) -> bool {
        let came = self.received + self.generated + self.copied + self.taken_over;
        let went = self.sent + self.dropped + self.consumed + self.held + self.handed_over;
        came == went && self.drops.values().sum::<u64>() == self.dropped
    }

    /// Frames between workers. They tell their books one after the other: what has gone to one that had told them already is
    /// there, what has come from one that had not makes it less, under 0 at times.
    pub fn between(&self) -> i64 {
        self.handed_over.cast_signed() - self.taken_over.cast_signed()
    }
}
