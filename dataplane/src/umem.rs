//! Packet memory: one region, cut into frames that each have exactly one owner.
//!
//! A [`Frame`] is a unique borrow of its 2 KiB of the region; a longer packet is a chain of them (`umem/chain.rs`). It moves (port, burst, ring to
//! another worker, back to its pool) and is never copied, so the compiler proves what the
//! accounting asserts: nobody writes a frame that somebody else holds.

#![allow(unsafe_code)]

mod chain;
mod lent;
mod region;

pub use chain::{Behind, Chain, Part, Reader};
pub(crate) use lent::Lent;
pub use region::Region;

use crate::worker::WorkerId;
use region::Memory;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr::NonNull;

/// Bytes of one frame, headroom included.
pub const FRAME_SIZE: usize = 2048;
/// Where a received frame starts: room for the outer headers, and what XDP keeps (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: usize = 256;
/// The longest frame that fits: beyond the headroom, to the end of the chunk.
pub const MAX_FRAME: usize = FRAME_SIZE - HEADROOM;

/// Memory of one frame.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Chunk([u8; FRAME_SIZE]);

/// The region's memory, and for its lifetime the only way to it.
#[derive(Debug)]
pub struct Umem {
    memory: Memory,
    /// What hangs behind each chunk.
    links: chain::Links,
    /// Its frames are out: there is one set of them.
    taken: bool,
}

impl Umem {
    /// A region of `frames` frames on the heap, zeroed: tests, benches, replay.
    pub fn new(frames: usize) -> Self {
        Umem { memory: Memory::heap(frames), links: chain::links(frames), taken: false }
    }

    /// A region of `frames` frames in a memfd, zeroed and present, for devices to be registered with. The only
    /// allocation of packet memory. Fails if the system has not that much.
    pub fn shared(frames: usize) -> io::Result<Self> {
        let mut umem = Umem { memory: Memory::memfd(frames)?, links: chain::links(frames), taken: false };
        umem.place(0..frames)?;
        Ok(umem)
    }

    /// The same for `workers`, each with its pool's part: `there` runs what makes that part present, by first touch, so that it is
    /// in the memory of the NUMA node of whoever runs it.
    pub fn shared_for(
        frames: usize,
        workers: usize,
        there: impl Fn(usize, &mut (dyn FnMut() -> io::Result<()> + Send)) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut umem = Umem { memory: Memory::memfd(frames)?, links: chain::links(frames), taken: false };
        let each = frames / workers.max(1);
        for worker in 0..workers {
            // What does not divide is nobody's, and the last one's here.
            let end = if worker + 1 == workers { frames } else { (worker + 1) * each };
            there(worker, &mut || umem.place(worker * each..end))?;
        }
        Ok(umem)
    }

    /// Makes frames present.
    fn place(&mut self, frames: Range<usize>) -> io::Result<()> {
        match &mut self.memory {
            Memory::Heap(_) => Ok(()),
            Memory::Memfd(map) => map.populate(frames),
        }
    }

    /// The region as pools of equal size, one per worker, at most [`Umem::WORKERS`]. Of shared memory only once: a second
    /// call has none left to give, whatever became of the first one's frames, because the kernel may have some.
    pub fn pools(&mut self, workers: usize) -> Vec<FramePool<'_>> {
        let region = self.memory.region(&self.links);
        if std::mem::replace(&mut self.taken, true) && region.is_shared() {
            return Vec::new();
        }
        let each = (region.frames() / workers.max(1)).max(1);
        let workers = workers.min(region.frames() / each).min(Self::WORKERS);
        (0..workers).map(|id| FramePool::new(WorkerId(id as u8), region, id * each..(id + 1) * each, workers)).collect()
    }

    /// Pools a region can be cut into: a [`WorkerId`] is a byte.
    pub const WORKERS: usize = 256;
}

/// The right to one chunk. Dropping one leaks the chunk for the life of the region; only
/// [`FramePool::put`] returns it, and [`FramePool::total`] shows the difference.
///
/// A pointer and not a reference, because the kernel writes a chunk while it has it (`umem/lent.rs`).
#[derive(Debug)]
pub struct Frame<'u>(NonNull<Chunk>, PhantomData<&'u mut Chunk>);

// SAFETY: a Frame is the only one of its chunk, as a `&mut Chunk` would be, and a Chunk is plain bytes.
unsafe impl Send for Frame<'_> {}
// SAFETY: what a shared Frame gives is a shared reference to plain bytes.
unsafe impl Sync for Frame<'_> {}

impl Frame<'_> {
    /// All bytes of the chunk.
    #[inline(always)]
    pub fn chunk(&self) -> &[u8; FRAME_SIZE] {
        // SAFETY: the pointer is to a chunk of a region that lives for 'u; each chunk has one Frame, which is
        // given up when the chunk is lent, so nobody else has a reference to it.
        unsafe { &self.0.as_ref().0 }
    }

    /// All bytes of the chunk, to write.
    #[inline(always)]
    pub fn chunk_mut(&mut self) -> &mut [u8; FRAME_SIZE] {
        // SAFETY: as in `chunk`; `&mut self` is the only borrow of the only Frame.
        unsafe { &mut self.0.as_mut().0 }
    }

    #[inline(always)]
    fn address(&self) -> usize {
        self.0.addr().get()
    }
}

/// A worker's free frames; last in, first out, so that the next frame is one still in cache.
#[derive(Debug)]
pub struct FramePool<'u> {
    free: Vec<Frame<'u>>,
    /// Other workers' frames on their way home, by worker; [`Links`](crate::handoff::Links) takes them along.
    away: Box<[Vec<Frame<'u>>]>,
    /// All memory, and where this pool's part begins: a frame's home is told by its address.
    region: Region<'u>,
    start: usize,
    total: usize,
    id: WorkerId,
}

impl<'u> FramePool<'u> {
    /// One part of the region, of `workers` parts of one size.
    fn new(id: WorkerId, region: Region<'u>, part: Range<usize>, workers: usize) -> Self {
        let (start, total) = (region.address() + part.start * FRAME_SIZE, part.len());
        let home = |w| Vec::with_capacity(if w == usize::from(id.0) { 0 } else { total });
        let away = (0..workers).map(home).collect();
        // SAFETY: `pools` is the only caller; it has the region to itself and gives each worker a part of its own.
        // Frames of an earlier call cannot be used any more, since they borrowed the region, and no kernel has one: of
        // memory that can be registered there is no second call.
        let free = part.filter_map(|n| unsafe { region.frame(n) }).collect();
        FramePool { free, away, region, start, total, id }
    }

    /// A free frame, if there is one. Its bytes are what the last packet left.
    #[inline(always)]
    pub fn take(&mut self) -> Option<Frame<'u>> {
        self.free.pop()
    }

    /// Takes a frame back. One of another worker's pool waits beside them to be sent home.
    #[inline(always)]
    pub fn put(&mut self, frame: Frame<'u>) {
        if frame.address().wrapping_sub(self.start) >= self.total * FRAME_SIZE {
            return self.set_aside(frame);
        }
        self.free.push(frame); // never grows: each of its frames exists once
    }

    /// Takes a packet back, with every chunk that hangs behind the first.
    #[inline]
    pub fn put_all(&mut self, mut frame: Frame<'u>) {
        while let Some(part) = self.region.take_off(&mut frame) {
            self.put(std::mem::replace(&mut frame, part.frame));
        }
        self.put(frame);
    }

    #[inline(never)]
    fn set_aside(&mut self, frame: Frame<'u>) {
        let home = frame.address().wrapping_sub(self.region.address()) / (self.total * FRAME_SIZE);
        if let Some(away) = self.away.get_mut(home) {
            away.push(frame); // never grows: all pools are of one size
        }
    }

    /// Frames of worker `home`'s pool that ended here.
    pub(crate) fn away(&mut self, home: usize) -> Option<&mut Vec<Frame<'u>>> {
        self.away.get_mut(home)
    }

    /// Frames free now.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Other workers' frames that wait here to be sent home.
    pub fn foreign(&self) -> usize {
        self.away.iter().map(Vec::len).sum()
    }

    /// Frames this pool was given. Free + in flight + in rings = total, always.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The region it is part of.
    pub fn region(&self) -> Region<'u> {
        self.region
    }

    /// Whose pool it is.
    pub fn id(&self) -> WorkerId {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_share_the_region_and_set_aside_what_is_not_theirs() {
        let mut umem = Umem::new(8);
        let mut pools = umem.pools(2);
        let mut b = pools.pop().unwrap();
        let mut a = pools.pop().unwrap();
        assert_eq!((a.free(), b.free(), a.total()), (4, 4, 4));
        assert_eq!((a.id(), b.id()), (WorkerId(0), WorkerId(1)));
        let mut f = a.take().unwrap();
        f.chunk_mut()[0] = 7;
        b.put(f);
        assert_eq!((b.free(), b.foreign(), a.free()), (4, 1, 3));
        let f = b.away(0).unwrap().pop().unwrap();
        a.put(f);
        let mut g = b.take().unwrap();
        g.chunk_mut()[0] = 9;
        a.put(g);
        assert_eq!(a.away(1).unwrap().pop().unwrap().chunk()[0], 9);
        assert_eq!(a.take().unwrap().chunk()[0], 7, "last in, first out");
        while a.take().is_some() {}
        assert_eq!((a.free(), a.foreign()), (0, 0));
    }

    #[test]
    fn every_frame_knows_its_home() {
        let mut umem = Umem::new(3 * 5 + 2); // what does not divide is nobody's
        let mut pools = umem.pools(3);
        for (from, at) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
            let frames: Vec<_> = std::iter::from_fn(|| pools[from].take()).collect();
            assert_eq!((frames.len(), pools[from].total()), (5, 5));
            frames.into_iter().for_each(|f| pools[at].put(f));
            assert_eq!(pools[at].foreign(), if from == at { 0 } else { 5 });
            while let Some(f) = pools[at].away(from).and_then(Vec::pop) {
                pools[from].put(f);
            }
            assert_eq!((pools[from].free(), pools[at].foreign()), (5, 0));
        }
        assert_eq!(pools[0].away(3).map(|_| ()), None);
    }

    /// Whoever has a frame has it alone, however many workers are asked for and however often.
    #[test]
    fn no_two_pools_share_a_frame() {
        let mut umem = Umem::new(600);
        let mut pools = umem.pools(300);
        assert_eq!(pools.len(), 256);
        let mut seen = std::collections::BTreeSet::new();
        for pool in &mut pools {
            while let Some(frame) = pool.take() {
                assert!(seen.insert(frame.address()), "twice");
            }
        }
        assert_eq!(seen.len(), 512);
        assert_eq!(umem.pools(1)[0].free(), 600, "nobody has one any more");
    }

    #[test]
    #[cfg_attr(miri, ignore = "no memfd there")]
    fn frames_of_shared_memory_are_given_out_once() {
        let mut umem = Umem::shared(8).unwrap();
        assert_eq!(umem.pools(1)[0].free(), 8);
        assert!(umem.pools(1).is_empty(), "the kernel may have some");
    }

    #[test]
    fn the_longest_frame_is_that_of_docs_behaviour() {
        assert_eq!(MAX_FRAME, 1792);
    }
}
