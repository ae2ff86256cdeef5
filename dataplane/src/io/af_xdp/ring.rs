//! The four rings an AF_XDP socket shares with the kernel: single producer, single consumer, a power of two long.
//!
//! Indexes run from 0 to 2^32 and begin again; their difference is how many entries lie between them. Each side writes
//! its own index and keeps a copy of the other's, which it reads anew only when the copy says there is nothing. Kernel
//! documentation: Documentation/networking/af_xdp.rst, "Rings"; memory order as in net/xdp/xsk_queue.h.
#![allow(unsafe_code)]

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::net::xdp::{XdpRingFlags, XdpRingOffset};
use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a ring's parts are. The mapping goes when the ring goes.
#[derive(Debug)]
struct Shared<T> {
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: Option<NonNull<AtomicU32>>,
    entries: NonNull<T>,
    /// Entries, a power of two.
    size: u32,
    /// The mapping, if it is ours: where and how long.
    map: Option<(NonNull<u8>, usize)>,
}

// SAFETY: the indexes are atomics, the entries belong to the side the indexes say; the worker that has the ring may
// be on any thread.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if let Some((base, len)) = self.map {
            // SAFETY: mapped in `map` with this length; nothing outside this value points into it.
            let _ = unsafe { munmap(base.as_ptr().cast(), len) };
        }
    }
}

impl<T: Copy> Shared<T> {
    /// Maps the ring at `page_offset` of a socket that has been told its size.
    fn map(socket: impl AsFd, page_offset: u64, at: &XdpRingOffset, size: u32) -> io::Result<Self> {
        let len = at.desc as usize + size as usize * size_of::<T>();
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address the kernel chooses; it replaces nothing.
        let base = unsafe { mmap(std::ptr::null_mut(), len, prot, flags, socket, page_offset)? };
        let base = NonNull::new(base.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the kernel's offsets are inside the mapping, which it made for `size` entries of `T`.
        let mut ring = unsafe { Self::at(base, at, size) };
        ring.map = Some((base, len));
        Ok(ring)
    }

    /// The ring at `base`.
    ///
    /// # Safety
    /// `at` must hold offsets from `base` to three 32-bit words and `size` entries of `T`, aligned, for as long as the
    /// value lives; `size` must be a power of two; the other side must follow the protocol above.
    unsafe fn at(base: NonNull<u8>, at: &XdpRingOffset, size: u32) -> Self {
        // SAFETY: the caller's promise.
        let word = |offset: u64| unsafe { base.add(offset as usize).cast::<AtomicU32>() };
        Shared {
            producer: word(at.producer),
            consumer: word(at.consumer),
            flags: at.flags.map(word),
            // SAFETY: as above.
            entries: unsafe { base.add(at.desc as usize).cast() },
            size,
            map: None,
        }
    }

    #[inline(always)]
    fn producer(&self) -> &AtomicU32 {
        // SAFETY: inside the mapping, which lives as long as `self`; an atomic, so the kernel may write it meanwhile.
        unsafe { self.producer.as_ref() }
    }

    #[inline(always)]
    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as for `producer`.
        unsafe { self.consumer.as_ref() }
    }

    #[inline(always)]
    fn entry(&self, index: u32) -> NonNull<T> {
        // SAFETY: the masked index is below `size`, so the entry is inside the mapping.
        unsafe { self.entries.add((index & (self.size - 1)) as usize) }
    }

    fn needs_wakeup(&self) -> bool {
        // SAFETY: as for `producer`.
        let word = self.flags.map(|flags| unsafe { flags.as_ref() }.load(Ordering::Relaxed));
        word.is_some_and(|w| w & XdpRingFlags::XDP_RING_NEED_WAKEUP.bits() != 0)
    }
}

/// A ring we fill: fill (frames to receive into) and TX.
#[derive(Debug)]
pub(super) struct Producer<T> {
    ring: Shared<T>,
    /// Entries written up to here; the kernel knows of those up to `published`.
    next: u32,
    published: u32,
    /// The kernel's index when last read.
    taken: u32,
}

impl<T: Copy> Producer<T> {
    /// See [`Shared::map`].
    pub fn map(socket: impl AsFd, page_offset: u64, at: &XdpRingOffset, size: u32) -> io::Result<Self> {
        Ok(Self::new(Shared::map(socket, page_offset, at, size)?))
    }

    fn new(ring: Shared<T>) -> Self {
        let next = ring.producer().load(Ordering::Relaxed);
        let taken = ring.consumer().load(Ordering::Acquire);
        Producer { ring, next, published: next, taken }
    }

    /// Places for more entries, at least; looked at again if there seem to be fewer than `wanted`.
    #[inline]
    pub fn room(&mut self, wanted: u32) -> u32 {
        let room = |p: &Self| p.ring.size.saturating_sub(p.next.wrapping_sub(p.taken));
        if room(self) < wanted {
            // Acquire: the kernel has read the entries it gives up before we write them anew.
            self.taken = self.ring.consumer().load(Ordering::Acquire);
        }
        room(self)
    }

    /// Writes an entry, which the kernel sees after [`Producer::publish`]; says whether there was room.
    #[inline]
    pub fn push(&mut self, entry: T) -> bool {
        if self.room(1) == 0 {
            return false;
        }
        // SAFETY: between the kernel's index and ours, and ours is not published past it: the entry is ours.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Gives the kernel what was written; returns how many.
    #[inline]
    pub fn publish(&mut self) -> u32 {
        let n = self.next.wrapping_sub(self.published);
        if n != 0 {
            // Release: the entries before the index.
            self.ring.producer().store(self.next, Ordering::Release);
            self.published = self.next;
        }
        n
    }

    /// Entries published that the kernel has not taken yet.
    #[inline]
    pub fn pending(&mut self) -> u32 {
        if self.published != self.taken {
            self.taken = self.ring.consumer().load(Ordering::Acquire);
        }
        self.published.wrapping_sub(self.taken)
    }

    /// Entries written that the kernel has not taken yet, published or not.
    pub fn unseen(&mut self) -> u32 {
        self.taken = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.taken)
    }

    /// The kernel waits for a system call.
    #[inline]
    pub fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring we empty: RX and completion.
#[derive(Debug)]
pub(super) struct Consumer<T> {
    ring: Shared<T>,
    /// Entries read up to here; the kernel knows of those up to `released`.
    next: u32,
    released: u32,
    /// The kernel's index when last read.
    filled: u32,
}

impl<T: Copy> Consumer<T> {
    /// See [`Shared::map`].
    pub fn map(socket: impl AsFd, page_offset: u64, at: &XdpRingOffset, size: u32) -> io::Result<Self> {
        Ok(Self::new(Shared::map(socket, page_offset, at, size)?))
    }

    fn new(ring: Shared<T>) -> Self {
        let next = ring.consumer().load(Ordering::Relaxed);
        let filled = ring.producer().load(Ordering::Acquire);
        Consumer { ring, next, released: next, filled }
    }

    /// Takes the next entry, if there is one.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.next == self.filled {
            // Acquire: the index before the entries.
            self.filled = self.ring.producer().load(Ordering::Acquire);
            if self.next == self.filled {
                return None;
            }
        }
        // SAFETY: between our index and the kernel's: written, and ours until it is released.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// Gives the places of what was taken back to the kernel.
    #[inline]
    pub fn release(&mut self) {
        if self.released != self.next {
            // Release: our reads of the entries before the index.
            self.ring.consumer().store(self.next, Ordering::Release);
            self.released = self.next;
        }
    }
}

#[cfg(test)]
mod tests;
