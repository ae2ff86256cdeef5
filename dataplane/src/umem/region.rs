//! [`Region`]: all packet memory, on the heap or in a memfd.
#![allow(unsafe_code)]

use super::{Chunk, FRAME_SIZE, Frame};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

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
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address the kernel chooses; it replaces nothing.
        let base = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags, &memfd, 0)? };
        let base = NonNull::new(base.cast::<Chunk>()).ok_or_else(too_much)?;
        Ok(Mapping { base, frames, _memfd: memfd })
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

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        assert!(Umem::shared(usize::MAX / FRAME_SIZE).is_err());
        assert!(Umem::shared(usize::MAX).is_err());
    }
}
