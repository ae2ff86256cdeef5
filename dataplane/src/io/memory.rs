//! [`MemoryPort`]: a port whose wire is two bounded queues.

use crate::burst::{Burst, Door, FrameMeta};
use crate::umem::{Frame, FramePool, HEADROOM, MAX_FRAME};
use std::collections::VecDeque;

/// Frames put in come out of [`MemoryPort::receive`]; transmitted frames wait for [`MemoryPort::drain`].
#[derive(Debug)]
pub struct MemoryPort<'u> {
    rx: VecDeque<(Frame<'u>, FrameMeta)>,
    tx: VecDeque<(Frame<'u>, FrameMeta)>,
    done: Vec<Frame<'u>>,
    limit: usize,
}

/// Why a frame was not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectError {
    /// No free frame, or the receive queue is full: poll the worker, then try again.
    Full,
    /// Longer than [`MAX_FRAME`].
    TooLong,
}

impl<'u> MemoryPort<'u> {
    /// With queues of `limit` frames each.
    pub fn new(limit: usize) -> Self {
        let queue = || VecDeque::with_capacity(limit);
        MemoryPort { rx: queue(), tx: queue(), done: Vec::with_capacity(limit), limit }
    }

    /// Puts a frame on the wire towards the host, received at `time` ns.
    pub fn inject(&mut self, bytes: &[u8], time: u64, pool: &mut FramePool<'u>) -> Result<(), InjectError> {
        if bytes.len() > MAX_FRAME {
            return Err(InjectError::TooLong);
        }
        if self.rx.len() == self.limit {
            return Err(InjectError::Full);
        }
        let mut frame = pool.take().ok_or(InjectError::Full)?;
        if let Some(place) = frame.chunk_mut().get_mut(HEADROOM..HEADROOM + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        let meta = FrameMeta::of_received(HEADROOM as u16, bytes.len() as u16, time);
        self.rx.push_back((frame, meta));
        Ok(())
    }

    /// See [`Port::receive`](super::Port::receive).
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize) -> usize {
        for n in 0..limit {
            let Some((frame, meta)) = self.rx.pop_front() else {
                self.rx.clear(); // begin again at its start, which is in cache
                return n;
            };
            if let Err(frame) = b.push(frame, meta, door) {
                self.rx.push_front((frame, meta));
                return n;
            }
        }
        limit
    }

    /// See [`Port::transmit`](super::Port::transmit).
    #[inline(always)]
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        if self.tx.len() == self.limit {
            return Err(frame);
        }
        self.tx.push_back((frame, meta));
        Ok(())
    }

    /// Hands every transmitted frame to `see`, in order, with what goes with it.
    pub fn drain(&mut self, mut see: impl FnMut(&[u8], FrameMeta)) {
        while let Some((frame, meta)) = self.tx.pop_front() {
            let start = usize::from(meta.off);
            see(frame.chunk().get(start..start + usize::from(meta.len)).unwrap_or_default(), meta);
            self.done.push(frame);
        }
    }

    /// Frees every transmitted frame unseen: the wire of a bench. Returns how many.
    pub fn sink(&mut self, pool: &mut FramePool<'u>) -> usize {
        let n = self.tx.len();
        while let Some((frame, _)) = self.tx.pop_front() {
            pool.put(frame);
        }
        self.tx.clear(); // begin again at its start, which is in cache
        n
    }

    /// Frames that wait to be received.
    pub fn waiting(&self) -> usize {
        self.rx.len()
    }

    /// See [`Port::close`](super::Port::close).
    pub fn close(mut self, pool: &mut FramePool<'u>) {
        self.rx.drain(..).chain(self.tx.drain(..)).for_each(|(frame, _)| pool.put(frame));
        self.reclaim(pool);
    }

    /// See [`Port::reclaim`](super::Port::reclaim).
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        while let Some(frame) = self.done.pop() {
            pool.put(frame);
        }
    }
}
