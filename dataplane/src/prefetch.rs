//! The one place that asks the CPU to fetch memory early.
#![allow(unsafe_code)]

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
