//! Counters: per worker, of packets and drops by port, stage and reason.
//!
//! Each counter has one writer, the worker; anyone may read. An increment is a plain load and
//! store, no locked instruction. Readers see values a moment old, never torn.

use crate::burst::Door;
use crate::drop_reason::DropReason;
use crate::stage::Stage;
use crate::worker::TurnCounters;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of packets (or what its name says) with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owning worker may call this.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Makes it `n`: of a gauge. Only the owning worker may call this.
    #[inline(always)]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Of one port.
#[derive(Debug)]
pub struct PortCounters {
    /// Packets received from it.
    pub rx: Counter,
    /// Packets sent to it.
    pub tx: Counter,
    /// Packets received from it and dropped, by [`DropReason::index`].
    pub drops: [Counter; DropReason::COUNT],
    /// What the kernel lost of it before we saw it.
    pub kernel: [Counter; KernelLoss::ALL.len()],
    /// Of that, what it lost of interfaces that were there before.
    earlier: [Counter; KernelLoss::ALL.len()],
}

/// Frames lost between a port and the kernel. Those to receive are as the kernel counts them (`XDP_STATISTICS`) and not part
/// of the books, which begin with `received`. Those to send are in the books as `tx_full`; here is why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KernelLoss {
    /// The RX ring was full: the worker was too slow.
    RxRingFull,
    /// The fill ring was empty: the worker was too slow, or had no free frames.
    RxFillRingEmpty,
    /// Longer than a frame, or for another reason not copied.
    RxDropped,
    /// Not sent, because the descriptor was wrong: a bug.
    TxInvalid,
    /// Received, but not a whole frame of ours: a bug.
    RxInvalid,
    /// Not sent by a packet socket: the interface is down, or its peer's queue is full.
    TxRefused,
    /// Of `tx_full`: as many sent frames as the port may have were not given back by the kernel yet.
    TxCompletionLag,
    /// Of `tx_full`: the kernel had not looked at all frames it was given to send.
    TxRingFull,
    /// Of `tx_full`: the interface was down, or gone.
    TxDown,
}

impl KernelLoss {
    /// All of them.
    pub const ALL: [KernelLoss; 9] = [
        KernelLoss::RxRingFull,
        KernelLoss::RxFillRingEmpty,
        KernelLoss::RxDropped,
        KernelLoss::TxInvalid,
        KernelLoss::RxInvalid,
        KernelLoss::TxRefused,
        KernelLoss::TxCompletionLag,
        KernelLoss::TxRingFull,
        KernelLoss::TxDown,
    ];

    /// The name operators see: the kernel's, where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            KernelLoss::RxRingFull => "rx_ring_full",
            KernelLoss::RxFillRingEmpty => "rx_fill_ring_empty",
            KernelLoss::RxDropped => "rx_dropped",
            KernelLoss::TxInvalid => "tx_invalid",
            KernelLoss::RxInvalid => "rx_invalid",
            KernelLoss::TxRefused => "tx_refused",
            KernelLoss::TxCompletionLag => "tx_completion_lag",
            KernelLoss::TxRingFull => "tx_ring_full",
            KernelLoss::TxDown => "tx_down",
        }
    }
}

impl Default for PortCounters {
    fn default() -> Self {
        PortCounters {
            rx: Counter::default(),
            tx: Counter::default(),
            drops: std::array::from_fn(|_| Counter::default()),
            kernel: Default::default(),
            earlier: Default::default(),
        }
    }
}

/// Of one stage.
#[derive(Debug, Default)]
pub struct StageCounters {
    /// Packets that entered it.
    pub packets: Counter,
    /// Packets it dropped.
    pub dropped: Counter,
    /// Packets it consumed.
    pub consumed: Counter,
    /// Nanoseconds in it, while stages are timed ([`StageClock`](crate::stage_clock::StageClock)).
    pub ns: Counter,
}

/// Events that are neither a packet's beginning nor its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// Unknown unicast that went to more than nobody (L3).
    FloodedUnknown,
    /// A table row named an index this burst's snapshot lacks; the newest was asked.
    SnapshotReload,
    /// The queue of learn events was full; the frame went on.
    LearnQueueFull,
    /// A dropped frame is missing in a capture of drops, whose tap was full; it is counted as dropped all the same.
    DropCaptureFull,
    /// The queue of trace records was full; the record is lost, the frame went on.
    TraceLost,
    /// An ICMP error or reset was not sent: its router or its receiver had enough of them (3.10).
    IcmpLimited,
    /// A super-frame was cut in software: its way out does not carry it whole (I0-gso).
    Segmented,
    /// A checksum was filled in in software, for the same reason.
    ChecksumDone,
}

impl Event {
    /// All of them.
    pub const ALL: [Event; 8] = [
        Event::FloodedUnknown,
        Event::SnapshotReload,
        Event::LearnQueueFull,
        Event::DropCaptureFull,
        Event::TraceLost,
        Event::IcmpLimited,
        Event::Segmented,
        Event::ChecksumDone,
    ];

    /// The name operators see.
    pub const fn name(self) -> &'static str {
        match self {
            Event::FloodedUnknown => "flooded_unknown",
            Event::SnapshotReload => "snapshot_reload",
            Event::LearnQueueFull => "learn_queue_full",
            Event::DropCaptureFull => "drop_capture_full",
            Event::TraceLost => "trace_lost",
            Event::IcmpLimited => "icmp_limited",
            Event::Segmented => "segmented",
            Event::ChecksumDone => "checksum_done",
        }
    }
}

/// All counters of one worker. `received + generated + copied + taken_over = sent + dropped + consumed + held +
/// handed_over`, always.
#[derive(Debug)]
pub struct WorkerCounters {
    /// Frames taken from ports.
    pub received: Counter,
    /// Frames made here (answers).
    pub generated: Counter,
    /// Copies made for floods: receivers less one, each.
    pub copied: Counter,
    /// Frames given to ports.
    pub sent: Counter,
    /// Frames dropped.
    pub dropped: Counter,
    /// Frames whose purpose was served.
    pub consumed: Counter,
    /// Frames given to other workers, which own their egress port.
    pub handed_over: Counter,
    /// Frames taken from other workers. Over all workers, `handed_over - taken_over` are in the rings.
    pub taken_over: Counter,
    /// Frames that wait, now: floods for their next turn.
    pub held: Counter,
    /// How long its turns took, while they are measured.
    pub turns: TurnCounters,
    /// Buffers left to a zero-copy driver when its port was closed: it may still write them.
    pub left_behind: Counter,
    events: [Counter; Event::ALL.len()],
    stages: [StageCounters; Stage::COUNT],
    reasons: [Counter; DropReason::COUNT],
    ports: Box<[PortCounters]>,
    /// Underlay NIC, physical networks, and ports without a row.
    tunnel: PortCounters,
    phys: Box<[PortCounters]>,
    unknown: PortCounters,
}

impl WorkerCounters {
    /// For `ports` local ports and `phys` physical networks.
    pub fn new(ports: usize, phys: usize) -> Self {
        WorkerCounters {
            received: Counter::default(),
            generated: Counter::default(),
            copied: Counter::default(),
            sent: Counter::default(),
            dropped: Counter::default(),
            consumed: Counter::default(),
            handed_over: Counter::default(),
            taken_over: Counter::default(),
            held: Counter::default(),
            turns: TurnCounters::default(),
            left_behind: Counter::default(),
            events: Default::default(),
            stages: std::array::from_fn(|_| StageCounters::default()),
            reasons: std::array::from_fn(|_| Counter::default()),
            ports: (0..ports).map(|_| PortCounters::default()).collect(),
            tunnel: PortCounters::default(),
            phys: (0..phys).map(|_| PortCounters::default()).collect(),
            unknown: PortCounters::default(),
        }
    }

    /// Of one port.
    #[inline(always)]
    pub fn port(&self, door: Door) -> &PortCounters {
        let known = match door {
            Door::Port(p) => self.ports.get(usize::from(p)),
            Door::Tunnel => Some(&self.tunnel),
            Door::Phys(n) => self.phys.get(usize::from(n)),
            Door::Unknown => None,
        };
        known.unwrap_or(&self.unknown)
    }

    /// Of one stage.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "a Stage is below Stage::COUNT")]
    pub fn stage(&self, stage: Stage) -> &StageCounters {
        &self.stages[stage as usize]
    }

    /// Drops for one reason.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "an index of a DropReason is below its COUNT")]
    pub fn reason(&self, reason: DropReason) -> &Counter {
        &self.reasons[reason.index()]
    }

    /// Of one event.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "an Event is below the length of ALL")]
    pub fn event(&self, event: Event) -> &Counter {
        &self.events[event as usize]
    }

    /// Stores what the kernel lost of a port's interface so far, in the order of [`KernelLoss::ALL`]; `last`: the interface is
    /// given up.
    pub(crate) fn kernel_lost(&self, door: Door, so_far: [u64; KernelLoss::ALL.len()], last: bool) {
        let port = self.port(door);
        for ((counter, earlier), n) in port.kernel.iter().zip(&port.earlier).zip(so_far) {
            let sum = earlier.get() + n;
            counter.set(sum);
            if last {
                earlier.set(sum);
            }
        }
    }

    /// What the kernel lost of all ports, when it was last asked.
    pub fn kernel(&self, loss: KernelLoss) -> u64 {
        let ports = self.ports.iter().chain(&self.phys).chain([&self.tunnel, &self.unknown]);
        ports.filter_map(|port| port.kernel.get(loss as usize)).map(Counter::get).sum()
    }

    /// Counts one dropped frame everywhere it is counted.
    #[inline]
    #[allow(clippy::indexing_slicing, reason = "an index of a DropReason is below its COUNT")]
    pub fn drop_frame(&self, door: Door, stage: Stage, reason: DropReason) {
        self.dropped.add(1);
        self.reason(reason).add(1);
        self.stage(stage).dropped.add(1);
        self.port(door).drops[reason.index()].add(1);
    }

    /// Counts one consumed frame.
    #[inline]
    pub fn consume(&self, stage: Stage) {
        self.consumed.add(1);
        self.stage(stage).consumed.add(1);
    }

    /// A copy of every counter that is not zero, by name: what tests compare before and after. Without
    /// `held`, which is a gauge.
    pub fn snapshot(&self) -> Vec<(String, u64)> {
        let mut all = vec![
            ("received".to_owned(), self.received.get()),
            ("generated".to_owned(), self.generated.get()),
            ("copied".to_owned(), self.copied.get()),
            ("sent".to_owned(), self.sent.get()),
            ("dropped".to_owned(), self.dropped.get()),
            ("consumed".to_owned(), self.consumed.get()),
            ("handed_over".to_owned(), self.handed_over.get()),
            ("taken_over".to_owned(), self.taken_over.get()),
        ];
        all.extend(Event::ALL.iter().map(|e| (e.name().to_owned(), self.event(*e).get())));
        all.extend(DropReason::ALL.iter().map(|r| (format!("drop.{}", r.name()), self.reason(*r).get())));
        for s in Stage::ALL {
            all.push((format!("stage.{}.packets", s.name()), self.stage(*s).packets.get()));
            all.push((format!("stage.{}.dropped", s.name()), self.stage(*s).dropped.get()));
            all.push((format!("stage.{}.consumed", s.name()), self.stage(*s).consumed.get()));
            all.push((format!("stage.{}.ns", s.name()), self.stage(*s).ns.get()));
        }
        let ports = self.ports.iter().enumerate().map(|(i, c)| (format!("port.{i}"), c));
        let phys = self.phys.iter().enumerate().map(|(i, c)| (format!("phys.{i}"), c));
        let others = [("tunnel".to_owned(), &self.tunnel), ("unknown".to_owned(), &self.unknown)];
        for (name, c) in ports.chain(phys).chain(others) {
            all.push((format!("{name}.rx"), c.rx.get()));
            all.push((format!("{name}.tx"), c.tx.get()));
            let drops = DropReason::ALL.iter().zip(&c.drops);
            all.extend(drops.map(|(r, n)| (format!("{name}.drop.{}", r.name()), n.get())));
        }
        all.retain(|(_, n)| *n != 0);
        all
    }
}
