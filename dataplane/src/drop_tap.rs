//! [`DropTap`]: dropped frames with their bytes, for captures.
//!
//! A worker puts a record into its tap for every frame it drops; whoever writes the capture takes
//! them out. Everything is allocated at the start. A full tap loses records, never packets or
//! time: each one lost is counted as [`Event::DropCaptureFull`](crate::counters::Event).

use crate::burst::{Burst, Door, FrameMeta};
use crate::drop_reason::DropReason;
use crate::stage::Stage;
use crate::tables::OUTER;
use crate::umem::{Frame, MAX_FRAME};
use crossbeam::queue::ArrayQueue;
use std::sync::atomic::{AtomicU16, Ordering};

/// Bytes of a frame that stages may rewrite: the inner IP header of a tunnel frame ends before, whatever tags it has.
const HEAD: usize = 128;

/// One dropped frame.
#[derive(Clone, Debug)]
pub struct DropRecord {
    /// When it was received, ns of the dataplane's clock.
    pub time: u64,
    /// Where it came in.
    pub door: Door,
    /// Where it ended.
    pub stage: Stage,
    /// Why.
    pub reason: DropReason,
    /// Its length as received, bytes; more than [`DropRecord::bytes`] if it was cut.
    pub len: u32,
    kept: u16,
    bytes: [u8; MAX_FRAME],
}

impl DropRecord {
    /// Its first bytes as received, a tunnel frame's outer headers included; an answer made here, as made. Of a frame
    /// that was received before the tap was on, what stages wrote into it is seen as written.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.kept)).unwrap_or_default()
    }
}

/// What became of a frame: the part of a record that is not the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped {
    pub time: u64,
    pub door: Door,
    pub stage: Stage,
    pub reason: DropReason,
}

/// A bounded queue of dropped frames: one worker puts in, anyone takes out.
#[derive(Debug)]
pub struct DropTap {
    records: ArrayQueue<DropRecord>,
    /// Bytes kept of a frame; 0 is off.
    snap: AtomicU16,
}

impl DropTap {
    /// A tap for up to `records` records (at least 1; each takes about [`MAX_FRAME`] bytes), off.
    pub fn new(records: usize) -> Self {
        DropTap { records: ArrayQueue::new(records.max(1)), snap: AtomicU16::new(0) }
    }

    /// From the next burst on, keeps the first `snap` bytes of every dropped frame, 1 to [`MAX_FRAME`].
    pub fn start(&self, snap: usize) {
        self.snap.store(snap.clamp(1, MAX_FRAME) as u16, Ordering::Relaxed);
    }

    /// From the next burst on, keeps nothing. Records that are there stay.
    pub fn stop(&self) {
        self.snap.store(0, Ordering::Relaxed);
    }

    /// Are frames kept?
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.snap.load(Ordering::Relaxed) != 0
    }

    /// Takes out the oldest record.
    pub fn pop(&self) -> Option<DropRecord> {
        self.records.pop()
    }

    /// How many records it holds at most.
    pub fn capacity(&self) -> usize {
        self.records.capacity()
    }

    /// Keeps a frame of `len` bytes that starts with `bytes`; `false` if the tap is full.
    #[cold]
    #[inline(never)]
    pub(crate) fn keep(&self, what: Dropped, len: usize, bytes: &[u8]) -> bool {
        let Dropped { time, door, stage, reason } = what;
        let snap = usize::from(self.snap.load(Ordering::Relaxed));
        let mut record = DropRecord { time, door, stage, reason, len: len as u32, kept: 0, bytes: [0; MAX_FRAME] };
        let kept = bytes.len().min(snap);
        if let (Some(to), Some(from)) = (record.bytes.get_mut(..kept), bytes.get(..kept)) {
            to.copy_from_slice(from);
            record.kept = kept as u16;
        }
        self.records.push(record).is_ok()
    }

    /// As [`DropTap::keep`], for a frame in its chunk: the extent it was received in, with the head it had.
    #[cold]
    #[inline(never)]
    pub(crate) fn keep_chunk(&self, what: Dropped, meta: &FrameMeta, chunk: &[u8]) -> bool {
        let mut whole = [0; MAX_FRAME];
        let frame = chunk.get(meta.received()).unwrap_or_default();
        let len = frame.len() + meta.tail as usize;
        let Some(whole) = whole.get_mut(..frame.len()) else { return self.keep(what, len, frame) };
        whole.copy_from_slice(frame);
        let head = chunk.get(..usize::from(meta.rx_head)).unwrap_or_default();
        whole.iter_mut().zip(head).for_each(|(to, from)| *to = *from);
        self.keep(what, len, whole)
    }
}

/// Saves the head of every received frame of a burst at the start of its chunk, before stages rewrite it: MACs, TTL, a
/// priority tag. [`FrameMeta::rx_head`] says how many bytes are there.
#[cold]
#[inline(never)]
pub(crate) fn save_heads(b: &mut Burst<'_>) {
    for lane in b.live {
        let received = b.meta[lane].received();
        let Some(chunk) = b.frame[lane].as_mut().map(Frame::chunk_mut) else { continue };
        // The outer headers go between the saved head and the frame.
        let Some((front, _)) = chunk.split_at_checked(received.start.saturating_sub(OUTER)) else { continue };
        let len = front.len().min(received.len()).min(HEAD);
        chunk.copy_within(received.start..received.start + len, 0);
        b.meta[lane].rx_head = len as u8;
    }
}

#[cfg(test)]
mod tests;
