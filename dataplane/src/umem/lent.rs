//! [`Lent`]: frames the kernel has.
#![allow(unsafe_code)]

use super::{FRAME_SIZE, Frame, Region};

/// What one socket has lent to the kernel: one bit a chunk. A frame that is lent is no [`Frame`] any more, so
/// nobody can touch it; an address becomes one again only if it was lent and has not come back yet. So two never own a
/// chunk, whatever addresses the kernel answers.
#[derive(Debug)]
pub(crate) struct Lent<'u> {
    region: Region<'u>,
    bits: Box<[u64]>,
    count: usize,
}

impl<'u> Lent<'u> {
    /// Nothing lent yet, of `region`.
    pub fn new(region: Region<'u>) -> Self {
        Lent { region, bits: vec![0; region.frames().div_ceil(64)].into(), count: 0 }
    }

    /// Of which frames are lent.
    pub fn region(&self) -> Region<'u> {
        self.region
    }

    /// Lends a frame; returns where it starts, in bytes from the start of the region. A frame of another region comes
    /// back.
    #[inline]
    pub fn lend(&mut self, frame: Frame<'u>) -> Result<u64, Frame<'u>> {
        let offset = frame.address().wrapping_sub(self.region.address());
        let n = offset / FRAME_SIZE;
        let Some(word) = self.bits.get_mut(n / 64).filter(|_| n < self.region.frames()) else { return Err(frame) };
        *word |= 1 << (n % 64);
        self.count += 1;
        Ok(offset as u64)
    }

    /// The frame in which `address` lies, in bytes from the start of the region; `None` if it is not lent.
    ///
    /// # Safety
    /// The kernel does not write or read that frame any more.
    #[inline]
    pub unsafe fn give_back(&mut self, address: u64) -> Option<Frame<'u>> {
        let n = usize::try_from(address).ok()? / FRAME_SIZE;
        let word = self.bits.get_mut(n / 64)?;
        let bit = 1 << (n % 64);
        if *word & bit == 0 {
            return None;
        }
        *word &= !bit;
        self.count -= 1;
        // SAFETY: the bit was set, so `lend` took the only Frame of this chunk and none was made since; the kernel has
        // done with it, says the caller.
        unsafe { self.region.frame(n) }
    }

    /// Every frame that is lent.
    ///
    /// # Safety
    /// The kernel does not write or read any of them any more.
    pub unsafe fn give_back_all(&mut self) -> impl Iterator<Item = Frame<'u>> {
        let bytes = self.region.bytes() as u64;
        // SAFETY: the caller's promise, for each.
        (0..bytes).step_by(FRAME_SIZE).filter_map(|address| unsafe { self.give_back(address) })
    }

    /// Frames lent now.
    pub fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::umem::Umem;

    #[test]
    fn a_frame_is_lent_and_comes_back_once() {
        let give_back = |lent: &mut Lent<'_>, address| {
            // SAFETY: no kernel has any of them.
            unsafe { lent.give_back(address) }.map(|f| f.chunk()[9])
        };
        let mut umem = Umem::new(130);
        let mut pool = umem.pools(1).remove(0);
        let mut lent = Lent::new(pool.region());
        let mut frames: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        let mut last = frames.remove(0); // last in, first out: the last chunk
        last.chunk_mut()[9] = 7;
        let address = lent.lend(last).unwrap();
        assert_eq!((address, lent.count()), (129 * FRAME_SIZE as u64, 1));
        for never in [0, address - 1, 130 * FRAME_SIZE as u64, 192 * FRAME_SIZE as u64, u64::MAX] {
            assert_eq!(give_back(&mut lent, never), None, "{never}");
        }
        assert_eq!(give_back(&mut lent, address + 300), Some(7), "anywhere in the chunk");
        assert_eq!((give_back(&mut lent, address), lent.count()), (None, 0), "only once");
    }

    #[test]
    fn all_that_is_lent_comes_back() {
        let mut umem = Umem::new(200);
        let mut pool = umem.pools(1).remove(0);
        let mut lent = Lent::new(pool.region());
        let mut lent_now = 0;
        while let Some(frame) = pool.take() {
            if pool.free().is_multiple_of(3) {
                lent.lend(frame).unwrap();
                lent_now += 1;
            }
        }
        assert_eq!(lent.count(), lent_now);
        // SAFETY: no kernel has any of them.
        unsafe { lent.give_back_all() }.for_each(|f| pool.put(f));
        assert_eq!((pool.free(), lent.count()), (lent_now, 0));
    }

    #[test]
    fn frames_of_another_region_are_not_lent() {
        let (mut one, mut other) = (Umem::new(64), Umem::new(64));
        let (mut a, b) = (one.pools(1).remove(0), other.pools(1).remove(0));
        let mut lent = Lent::new(b.region());
        assert!(lent.lend(a.take().unwrap()).is_err());
        assert_eq!(lent.count(), 0);
    }
}
