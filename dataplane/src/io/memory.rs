//! [`MemoryPort`]: a port whose wire is two bounded queues.

use super::Carries;
use crate::burst::{Burst, Checksum, Door, FrameMeta, Gso};
use crate::umem::{Chain, FRAME_SIZE, Frame, FramePool, HEADROOM, MAX_FRAME, Part, Reader, Region};
use std::collections::VecDeque;

/// Frames put in come out of [`MemoryPort::receive`]; transmitted frames wait for [`MemoryPort::drain`].
#[derive(Debug)]
pub struct MemoryPort<'u> {
    rx: VecDeque<(Frame<'u>, FrameMeta)>,
    tx: VecDeque<(Frame<'u>, FrameMeta)>,
    done: Vec<Frame<'u>>,
    limit: usize,
    carries: Carries,
    /// What frames of several chunks are in; known once one was received or made.
    region: Option<Region<'u>>,
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
        let done = Vec::with_capacity(limit);
        MemoryPort { rx: queue(), tx: queue(), done, limit, carries: Carries::NOTHING, region: None }
    }

    /// One that takes more than whole packets of one chunk, of `region`.
    pub fn that_carries(limit: usize, carries: Carries, region: Region<'u>) -> Self {
        MemoryPort { carries, region: Some(region), ..MemoryPort::new(limit) }
    }

    /// See [`Port::carries`](super::Port::carries).
    pub fn carries(&self) -> Carries {
        self.carries
    }

    /// Puts a frame on the wire towards the host, received at `time` ns.
    pub fn inject(&mut self, bytes: &[u8], time: u64, pool: &mut FramePool<'u>) -> Result<(), InjectError> {
        if self.rx.len() == self.limit {
            return Err(InjectError::Full);
        }
        if bytes.len() > MAX_FRAME {
            return self.inject_long(bytes, time, pool);
        }
        let mut frame = pool.take().ok_or(InjectError::Full)?;
        if let Some(place) = frame.chunk_mut().get_mut(HEADROOM..HEADROOM + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        let meta = FrameMeta::of_received(HEADROOM as u16, bytes.len() as u16, time);
        self.rx.push_back((frame, meta));
        Ok(())
    }

    /// Offloads that the frame put in last asks for.
    pub fn asks_for(&mut self, csum: Checksum, gso: Gso) {
        if let Some((_, meta)) = self.rx.back_mut() {
            (meta.csum, meta.gso) = (csum, gso);
        }
    }

    #[cold]
    fn inject_long(&mut self, bytes: &[u8], time: u64, pool: &mut FramePool<'u>) -> Result<(), InjectError> {
        let Some((head, rest)) = bytes.split_at_checked(MAX_FRAME) else { return Err(InjectError::TooLong) };
        let parts = rest.chunks(FRAME_SIZE);
        if parts.len() >= usize::from(self.carries.chunks) {
            return Err(InjectError::TooLong);
        }
        let mut first = pool.take().ok_or(InjectError::Full)?;
        if let Some(place) = first.chunk_mut().get_mut(HEADROOM..) {
            place.copy_from_slice(head);
        }
        let mut chain = Chain::new(pool.region(), first).map_err(|_| InjectError::Full)?;
        for bytes in parts {
            let part = pool.take().map(|mut frame| {
                frame.chunk_mut().iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Part { frame, off: 0, len: bytes.len() as u16 }
            });
            if part.is_none_or(|part| chain.push(part).is_err()) {
                pool.put_all(chain.finish().0);
                return Err(InjectError::Full);
            }
        }
        let (frame, segments, tail) = chain.finish();
        let meta = FrameMeta { segments, tail, ..FrameMeta::of_received(HEADROOM as u16, MAX_FRAME as u16, time) };
        self.rx.push_back((frame, meta));
        Ok(())
    }

    /// See [`Port::receive`](super::Port::receive).
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize) -> usize {
        let simple = self.region.is_none();
        for n in 0..limit {
            let Some((frame, meta)) = self.rx.pop_front() else {
                self.rx.clear(); // begin again at its start, which is in cache
                return n;
            };
            match b.push(frame, meta, door) {
                Ok(lane) if !simple => b.weigh(lane),
                Ok(_) => {}
                Err(frame) => {
                    self.rx.push_front((frame, meta));
                    return n;
                }
            }
        }
        limit
    }

    /// See [`Port::transmit`](super::Port::transmit).
    #[inline(always)]
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        if self.tx.len() == self.limit || meta.segments > self.carries.chunks {
            return Err(frame);
        }
        self.tx.push_back((frame, meta));
        Ok(())
    }

    /// Hands every transmitted frame to `see`, in order, with what goes with it.
    pub fn drain(&mut self, mut see: impl FnMut(&[u8], FrameMeta)) {
        while let Some((frame, meta)) = self.tx.pop_front() {
            let start = usize::from(meta.off);
            let head = frame.chunk().get(start..start + usize::from(meta.len)).unwrap_or_default();
            match &self.region {
                Some(region) if meta.segments > 1 => see(&whole(region, &frame, head, &meta), meta),
                _ => see(head, meta),
            }
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

    /// See [`Port::lent`](super::Port::lent).
    pub fn lent(&self) -> (usize, usize) {
        let chunks = |all: &VecDeque<(Frame<'u>, FrameMeta)>| all.iter().map(|(_, meta)| meta.chunks()).sum();
        let behind = |frame: &Frame<'u>| self.region.as_ref().map_or(0, |region| region.behind(frame).count());
        let done: usize = self.done.iter().map(|frame| 1 + behind(frame)).sum();
        let sent: usize = chunks(&self.tx);
        (chunks(&self.rx), sent + done)
    }

    /// See [`Port::close_with`](super::Port::close_with).
    pub fn close_with(mut self, give: &mut impl FnMut(Frame<'u>)) {
        self.rx.drain(..).chain(self.tx.drain(..)).map(|(frame, _)| frame).chain(self.done.drain(..)).for_each(give);
    }

    /// See [`Port::reclaim`](super::Port::reclaim).
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        while let Some(frame) = self.done.pop() {
            pool.put_all(frame);
        }
    }
}

/// The bytes of a frame of several chunks.
fn whole(region: &Region<'_>, frame: &Frame<'_>, head: &[u8], meta: &FrameMeta) -> Vec<u8> {
    let mut bytes = vec![0; meta.whole()];
    let len = bytes.len();
    let read = Reader::new(region, frame, head).read(0..len, &mut bytes);
    read.map(|()| bytes).unwrap_or_default()
}
