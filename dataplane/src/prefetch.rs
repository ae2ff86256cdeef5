//! The one place that gives hints about memory: what will be read soon, and what is large.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Hints that `*p` will be read soon. A hint only: it never faults and never changes a value.
#[inline(always)]
pub fn prefetch<T>(p: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: PREFETCHT0 accepts any address and has no architectural effect on memory;
    // SSE is part of the x86_64 baseline, so the instruction exists on every CPU this is built for.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(p).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// From so many bytes on a table asks for large pages.
const HUGE_FROM: usize = 4 << 20;

/// An empty `Vec` with room for `n`. If that is much, the kernel is asked for huge pages (`MADV_HUGEPAGE`, madvise(2)), so that
/// a row at random costs no walk through page tables; where it has none the memory is as any other.
pub fn large_vec<T>(n: usize) -> Vec<T> {
    let mut room = Vec::with_capacity(n);
    advise(room.spare_capacity_mut());
    room
}

#[cfg(all(target_os = "linux", not(miri)))]
fn advise<T>(room: &mut [MaybeUninit<T>]) {
    use rustix::mm::{Advice, madvise};
    let (start, bytes) = (room.as_mut_ptr(), size_of_val(room));
    // Whole pages only: the rest belongs to others too.
    let skip = start.addr().next_multiple_of(4096) - start.addr();
    let len = bytes.saturating_sub(skip) & !4095;
    if bytes < HUGE_FROM || len == 0 {
        return;
    }
    // SAFETY: the range lies inside `room`, which is ours; this advice changes how memory is backed, never what it holds.
    let _ = unsafe { madvise(start.byte_add(skip).cast(), len, Advice::LinuxHugepage) }; // a hint: refused is as good
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise<T>(_room: &mut [MaybeUninit<T>]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_as_large_as_was_asked_for_and_can_be_used() {
        for n in [0, 1, 1000, HUGE_FROM / 8 - 1, HUGE_FROM / 8, HUGE_FROM] {
            let mut v: Vec<u64> = large_vec(n);
            assert!(v.is_empty() && v.capacity() >= n);
            v.extend(0..n as u64);
            assert_eq!((v.len(), v.last().copied()), (n, (n as u64).checked_sub(1)));
        }
    }
}
