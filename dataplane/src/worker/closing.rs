//! Ports that somebody else closes. Who closes an AF_XDP socket waits until no CPU can be at work with it
//! (`synchronize_net` in net/xdp/xsk.c), milliseconds to tens of them: a worker would forward nothing meanwhile.

use super::{WorkerId, WorkerIo};
use crate::counters::WorkerCounters;
use crate::io::Port;
use crate::umem::{Frame, FramePool};
use std::sync::mpsc::Sender;

/// Where a worker sends ports to be closed.
pub type Closer<'u> = Sender<Leaving<'u>>;

/// A port that a worker has given up.
#[derive(Debug)]
pub struct Leaving<'u> {
    worker: WorkerId,
    port: Port<'u>,
}

/// The buffers of a port that was closed, on their way back to its worker.
#[derive(Debug)]
pub struct Returned<'u> {
    frames: Vec<Frame<'u>>,
    left_behind: usize,
}

impl<'u> Leaving<'u> {
    /// Whose it was, and who gets what [`Leaving::close`] returns ([`Order::TakeBack`](super::Order)).
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Closes it, which takes the kernel a while.
    pub fn close(self) -> Returned<'u> {
        let mut frames = Vec::new();
        let left_behind = self.port.close_with(&mut |frame| frames.push(frame));
        Returned { frames, left_behind }
    }
}

impl<'u> WorkerIo<'u> {
    /// The last of a port: what the kernel lost of it, and its frames.
    pub(super) fn close(&mut self, door: crate::burst::Door, port: Port<'u>, count: &WorkerCounters) {
        count.kernel_lost(door, port.lost(), true);
        let (receiving, sending) = port.lent();
        let mut leaving = Leaving { worker: self.id, port };
        self.closing += receiving + sending;
        if let Some(closer) = &self.closer {
            match closer.send(leaving) {
                Ok(()) => return,
                Err(unsent) => leaving = unsent.0,
            }
        }
        self.take_back(leaving.close(), count);
    }

    /// The buffers of a port that is closed.
    pub(super) fn take_back(&mut self, returned: Returned<'u>, count: &WorkerCounters) {
        let Returned { frames, left_behind } = returned;
        let has = |pool: &FramePool<'_>| pool.free() + pool.foreign();
        let before = has(&self.pool);
        frames.into_iter().for_each(|frame| self.pool.put_all(frame));
        self.closing = self.closing.saturating_sub(has(&self.pool) - before + left_behind);
        count.left_behind.add(left_behind as u64);
    }
}
