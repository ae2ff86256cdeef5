//! [`Region`]: all packet memory, on the heap or in a memfd.
#![allow(unsafe_code)]

use super::{Chunk, FRAME_SIZE, Frame};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Bytes of a page, the smallest there are.
const PAGE: usize = 4096;

/// Where a region's bytes are.
#[derive(Debug)]
pub(super) enum Memory {
    Heap(Vec<Chunk>),
    Memfd(Mapping),
}

impl Memory {
    pub fn heap(frames: usize) -> Self {
        Memory::Heap(vec![Chunk([0; FRAME_SIZE]); frames])
    }

    pub fn memfd(frames: usize) -> io::Result<Self> {
        Ok(Memory::Memfd(Mapping::new(frames)?))
    }

    /// The memory, for as long as it is borrowed.
    pub fn region<'u>(&'u mut self, links: &'u [AtomicU64]) -> Region<'u> {
        let (base, frames, shared) = match self {
            Memory::Heap(chunks) => (NonNull::from(chunks.as_mut_slice()).cast(), chunks.len(), false),
            Memory::Memfd(map) => (map.base, map.frames, true),
        };
        Region { base, frames, shared, links, life: PhantomData }
    }
}

/// A memfd, mapped.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<Chunk>,
    frames: usize,
    /// Keeps the memory's name: whoever shares it later (vhost-user) is sent this.
    _memfd: OwnedFd,
}

// SAFETY: the mapping is this value's alone and the same from every thread.
unsafe impl Send for Mapping {}
// SAFETY: nothing is read or written through a shared Mapping.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(frames: usize) -> io::Result<Self> {
        let too_much = || io::Error::from(io::ErrorKind::OutOfMemory);
        let len = frames.checked_mul(FRAME_SIZE).ok_or_else(too_much)?;
        let memfd = memfd_create("dvrd-umem", MemfdFlags::CLOEXEC)?;
        ftruncate(&memfd, len as u64)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address the kernel chooses; it replaces nothing.
        let base = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, &memfd, 0)? };
        let base = NonNull::new(base.cast::<Chunk>()).ok_or_else(too_much)?;
        Ok(Mapping { base, frames, _memfd: memfd })
    }

    /// Makes the pages of these frames present, in memory of the calling thread's node if they are not yet. Fails if the system
    /// has not that much.
    pub fn populate(&mut self, frames: Range<usize>) -> io::Result<()> {
        let end = frames.end.min(self.frames);
        let start = frames.start.min(end);
        // Advice begins at a page; one that two parts share is the first one's.
        let first = start * FRAME_SIZE / PAGE * PAGE;
        let len = end * FRAME_SIZE - first;
        // SAFETY: inside the mapping: `end` is at most its frames. The pages get no other contents than they have.
        let present = unsafe { madvise(self.base.as_ptr().byte_add(first).cast(), len, Advice::LinuxPopulateWrite) };
        match present {
            // Kernels before 5.14 make them present when they are used first.
            Err(Errno::INVAL) => Ok(()),
            other => Ok(other?),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; every Frame borrows the Umem and is gone.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.frames * FRAME_SIZE) };
    }
}

/// All packet memory: where it is, for registering it with a device.
#[derive(Clone, Copy, Debug)]
pub struct Region<'u> {
    base: NonNull<Chunk>,
    frames: usize,
    shared: bool,
    /// See [`super::chain`].
    pub(super) links: &'u [AtomicU64],
    life: PhantomData<&'u mut Chunk>,
}

// SAFETY: an address; reading or writing there takes a Frame.
unsafe impl Send for Region<'_> {}
// SAFETY: as for Send.
unsafe impl Sync for Region<'_> {}

impl<'u> Region<'u> {
    /// Where it begins.
    pub fn address(&self) -> usize {
        self.base.addr().get()
    }

    /// Its length, bytes.
    pub fn bytes(&self) -> usize {
        self.frames * FRAME_SIZE
    }

    /// Its frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Is it a memfd's? Only that may be registered with a device: memory of the heap is somebody else's once it is freed,
    /// and the kernel would still write it.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The `n`th frame, if there are so many.
    ///
    /// # Safety
    /// There must be no other [`Frame`] of that chunk while this one is used.
    #[inline(always)]
    pub(super) unsafe fn frame(&self, n: usize) -> Option<Frame<'u>> {
        // SAFETY: `n` is below the number of chunks, so the address is inside the allocation.
        (n < self.frames).then(|| Frame(unsafe { self.base.add(n) }, PhantomData))
    }

    /// The bytes of the `n`th chunk, if there are so many.
    ///
    /// # Safety
    /// Nobody, the kernel included, writes that chunk for 'u.
    pub(super) unsafe fn bytes_of(&self, n: usize) -> Option<&'u [u8; FRAME_SIZE]> {
        // SAFETY: inside the allocation, as in `frame`; initialized, and not written for 'u, says the caller.
        (n < self.frames).then(|| unsafe { &self.base.add(n).as_ref().0 })
    }
}

#[cfg(test)]
mod tests {
    use crate::umem::{FRAME_SIZE, Umem};

    #[test]
    #[cfg_attr(miri, ignore = "no memfd there")]
    fn a_shared_region_is_whole_pages_of_zeroes_and_writable() {
        let mut umem = Umem::shared(8).unwrap();
        let mut pools = umem.pools(2);
        assert_eq!(pools[0].region().address() % 4096, 0, "XDP_UMEM_REG wants pages");
        assert_eq!(pools[0].region().bytes(), 8 * FRAME_SIZE);
        for pool in &mut pools {
            while let Some(mut frame) = pool.take() {
                assert!(frame.chunk().iter().all(|b| *b == 0));
                frame.chunk_mut().fill(0xa5);
            }
        }
    }

    /// Bytes of this process that are in a memfd.
    fn present() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("RssShmem:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Each part is present when its worker's turn is over and not before; the rest that does not divide is too.
    #[test]
    #[cfg_attr(miri, ignore = "no memfd there")]
    fn each_worker_s_part_is_made_present_where_it_is_wanted() {
        const FRAMES: usize = 3 * 8192 + 2;
        let (before, mut order, mut grew) = (present(), Vec::new(), Vec::new());
        let order_of = std::cell::RefCell::new(&mut order);
        let sizes = std::cell::RefCell::new(&mut grew);
        let umem = Umem::shared_for(FRAMES, 3, |worker, touch| {
            let start = present();
            touch()?;
            order_of.borrow_mut().push(worker);
            sizes.borrow_mut().push(present().saturating_sub(start));
            Ok(())
        });
        assert!(umem.is_ok());
        assert_eq!(order, [0, 1, 2]);
        // Other tests have their own memory in this process: about a part each.
        let part = (8192 * FRAME_SIZE) as u64;
        assert!(grew.iter().all(|g| (part / 2..part * 2).contains(g)), "{grew:?}, a part is {part}");
        assert!(present() - before >= (FRAMES * FRAME_SIZE) as u64 / 2);
        assert!(Umem::shared_for(8, 2, |_, _| Err(std::io::ErrorKind::OutOfMemory.into())).is_err());
    }

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        assert!(Umem::shared(usize::MAX / FRAME_SIZE).is_err());
        assert!(Umem::shared(usize::MAX).is_err());
    }
}
