//! What became of the packets: the counters of all workers added up, in names people know.

use crate::writer::Writer;
use dataplane::counters::{Counter, Event, KernelLoss, WorkerCounters};
use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;
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
    /// Drops by reason, those that happened.
    pub drops: BTreeMap<String, u64>,
    /// Other events, those that happened.
    pub counters: BTreeMap<String, u64>,
    /// By port, those that were used.
    pub ports: BTreeMap<String, PortTotals>,
    /// By stage: name, what it replaces, packets in, dropped, consumed; those that were used.
    pub stages: Vec<(&'static str, &'static str, u64, u64, u64)>,
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
            drops: DropReason::ALL.iter().filter_map(|r| some(r.name(), sum(&|c| c.reason(*r)))).collect(),
            counters: events.chain(limits).chain(kernel).collect(),
            ports,
            stages: Stage::ALL.iter().filter_map(stage).collect(),
        }
    }

    /// `received + generated + copied = sent + dropped + consumed + held`.
    pub fn balanced(&self) -> bool {
        self.received + self.generated + self.copied == self.sent + self.dropped + self.consumed + self.held
    }
}
