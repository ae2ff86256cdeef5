//! [`Statement`]: a worker's books between two of its turns.
//!
//! Its counters are written while a burst goes through: who reads them then finds frames that have been received and not
//! sent yet. So a running worker is asked ([`Order::State`](super::Order)), and what it says balances.

use super::{Worker, WorkerId};
use crate::drop_reason::DropReason;
use crossbeam::queue::ArrayQueue;
use std::ops::AddAssign;
use std::sync::Arc;

/// Where workers put their statements; room for one of each.
pub type Statements = Arc<ArrayQueue<(WorkerId, Statement)>>;

/// Frames of one worker, or of several added up:
/// `received + generated + copied + taken_over = sent + dropped + consumed + held + handed_over`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Taken from ports.
    pub received: u64,
    /// Made here.
    pub generated: u64,
    /// Copies made for floods.
    pub copied: u64,
    /// Taken from other workers.
    pub taken_over: u64,
    /// Given to ports.
    pub sent: u64,
    /// Dropped.
    pub dropped: u64,
    /// Whose purpose was served.
    pub consumed: u64,
    /// That wait.
    pub held: u64,
    /// Given to other workers.
    pub handed_over: u64,
    /// Dropped, by [`DropReason::index`]; together `dropped`.
    pub reasons: [u64; DropReason::COUNT],
    /// Where its packet buffers are.
    pub buffers: Buffers,
}

/// Where packet buffers are. Of a worker alone, and of all together when none is under way between them:
/// `total = free + receiving + sending + held + closing + left_behind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// All.
    pub total: u64,
    /// Free, those of other workers that wait here to go home among them.
    pub free: u64,
    /// With the kernel, to receive into or received and not looked at yet.
    pub receiving: u64,
    /// With the kernel, to be sent, or sent and not given back yet.
    pub sending: u64,
    /// With frames that wait for their turn or for a neighbour.
    pub held: u64,
    /// With ports that are being closed.
    pub closing: u64,
    /// Left to a zero-copy driver that may still write them.
    pub left_behind: u64,
}

impl Buffers {
    /// In the rings between workers; lost ones too. Each worker speaks for its own moment: what one has given and another
    /// taken between the two is counted twice, so with several workers at work it may be under 0 for once.
    pub fn between(&self) -> i64 {
        let known = self.free + self.receiving + self.sending + self.held + self.closing + self.left_behind;
        self.total.cast_signed() - known.cast_signed()
    }
}

impl Default for Statement {
    fn default() -> Self {
        Statement {
            received: 0,
            generated: 0,
            copied: 0,
            taken_over: 0,
            sent: 0,
            dropped: 0,
            consumed: 0,
            held: 0,
            handed_over: 0,
            reasons: [0; DropReason::COUNT],
            buffers: Buffers::default(),
        }
    }
}

impl Statement {
    /// What came is what became of it, and every drop has a reason.
    pub fn balanced(&self) -> bool {
        let came = self.received + self.generated + self.copied + self.taken_over;
        let went = self.sent + self.dropped + self.consumed + self.held + self.handed_over;
        came == went && self.reasons.iter().sum::<u64>() == self.dropped
    }
}

impl AddAssign<&Statement> for Statement {
    fn add_assign(&mut self, other: &Statement) {
        self.received += other.received;
        self.generated += other.generated;
        self.copied += other.copied;
        self.taken_over += other.taken_over;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.consumed += other.consumed;
        self.held += other.held;
        self.handed_over += other.handed_over;
        self.reasons.iter_mut().zip(other.reasons).for_each(|(sum, n)| *sum += n);
        let (sum, more) = (&mut self.buffers, other.buffers);
        sum.total += more.total;
        sum.free += more.free;
        sum.receiving += more.receiving;
        sum.sending += more.sending;
        sum.held += more.held;
        sum.closing += more.closing;
        sum.left_behind += more.left_behind;
    }
}

impl Worker<'_> {
    /// Its books now. Between two turns.
    pub fn state(&self) -> Statement {
        let count = &*self.count;
        let reasons = std::array::from_fn(|n| DropReason::ALL.get(n).map_or(0, |reason| count.reason(*reason).get()));
        Statement {
            received: count.received.get(),
            generated: count.generated.get(),
            copied: count.copied.get(),
            taken_over: count.taken_over.get(),
            sent: count.sent.get(),
            dropped: count.dropped.get(),
            consumed: count.consumed.get(),
            held: self.io.held(),
            handed_over: count.handed_over.get(),
            reasons,
            buffers: self.buffers(),
        }
    }

    fn buffers(&self) -> Buffers {
        let (receiving, sending) = self.io.lent();
        Buffers {
            total: self.io.pool.total() as u64,
            free: (self.io.pool.free() + self.io.pool.foreign()) as u64,
            receiving: receiving as u64,
            sending: sending as u64,
            held: self.io.held_chunks() as u64,
            closing: self.io.closing as u64,
            left_behind: self.count.left_behind.get(),
        }
    }

    /// Says so to who has asked.
    #[cold]
    pub(super) fn tell_state(&self, answers: &Statements) {
        // Whoever asks has room for an answer of each; one that is full has been given up.
        let _ = answers.push((self.io.id, self.state()));
    }
}
