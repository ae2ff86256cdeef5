//! Packets longer than a chunk: each further chunk hangs behind the one before it.
//!
//! What hangs behind a chunk is noted beside the packet memory, in a word of its own, and belongs to whoever has the
//! chunk's [`Frame`]: it goes where that goes, and is found again by taking it off.
#![allow(unsafe_code)]

use super::{FRAME_SIZE, Frame, FramePool, Region};
use crate::wire;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// For each chunk what hangs behind it: 0 nothing, else number + 1 of the chunk << 32 | offset << 16 | length.
///
/// Relaxed: only the owner of a chunk looks, and a Frame goes to another thread by a ring or queue that orders it.
pub(super) type Links = Box<[AtomicU64]>;

/// Nothing hangs behind any of `frames` chunks.
pub(super) fn links(frames: usize) -> Links {
    (0..frames).map(|_| AtomicU64::new(0)).collect()
}

/// A further chunk of a packet, and which of its bytes are the packet's.
#[derive(Debug)]
pub struct Part<'u> {
    /// The chunk.
    pub frame: Frame<'u>,
    /// First byte.
    pub off: u16,
    /// Bytes.
    pub len: u16,
}

impl<'u> Region<'u> {
    /// Takes off what hangs behind `frame`, with what hangs behind that.
    pub fn take_off(&self, frame: &mut Frame<'u>) -> Option<Part<'u>> {
        let link = self.link(frame)?;
        let (n, off, len) = read(link.load(Ordering::Relaxed))?;
        link.store(0, Ordering::Relaxed);
        // SAFETY: the word was not 0, so `Chain::push` took the only Frame of chunk `n`, and it is 0 now, so that this is the only
        // one made of it since; nobody else has this chunk's word, as nobody else has its Frame.
        let frame = unsafe { self.frame(n) }?;
        Some(Part { frame, off, len })
    }

    /// The bytes behind the chunk of `frame`, part by part.
    pub fn behind<'f>(&'f self, frame: &'f Frame<'_>) -> Behind<'f> {
        Behind { region: *self, next: self.link(frame).and_then(|link| read(link.load(Ordering::Relaxed))) }
    }

    /// Number of a frame's chunk.
    fn number(&self, frame: &Frame<'_>) -> Option<usize> {
        let n = frame.address().wrapping_sub(self.address()) / FRAME_SIZE;
        (n < self.frames()).then_some(n)
    }

    fn link(&self, frame: &Frame<'_>) -> Option<&'u AtomicU64> {
        self.links.get(self.number(frame)?)
    }
}

/// A packet that is put together: chunks are hung behind its first one, in order.
#[derive(Debug)]
pub struct Chain<'u> {
    region: Region<'u>,
    first: Frame<'u>,
    /// Number of the last chunk.
    last: usize,
    segments: u8,
    tail: u32,
}

impl<'u> Chain<'u> {
    /// Of one chunk, behind which nothing hangs; it comes back if it is of another region.
    pub fn new(region: Region<'u>, first: Frame<'u>) -> Result<Self, Frame<'u>> {
        match region.number(&first) {
            Some(last) => Ok(Chain { region, first, last, segments: 1, tail: 0 }),
            None => Err(first),
        }
    }

    /// Hangs a part at the end. It comes back if something hangs there or behind it, if it is of another region, or after
    /// 255 of them.
    pub fn push(&mut self, part: Part<'u>) -> Result<(), Part<'u>> {
        let (link, next) = (self.region.links.get(self.last), self.region.number(&part.frame));
        let (Some(link), Some(next), Some(segments)) = (link, next, self.segments.checked_add(1)) else {
            return Err(part);
        };
        let free = |n: usize| self.region.links.get(n).is_some_and(|link| link.load(Ordering::Relaxed) == 0);
        if !free(self.last) || !free(next) {
            return Err(part);
        }
        // The part's Frame ends here: from now on it is this word.
        link.store((next as u64 + 1) << 32 | u64::from(part.off) << 16 | u64::from(part.len), Ordering::Relaxed);
        (self.last, self.segments, self.tail) = (next, segments, self.tail + u32::from(part.len));
        Ok(())
    }

    /// Hangs copies of what is behind `from` at the end, in chunks of `pool`; `false` if there are not enough of them.
    pub fn copy_behind(&mut self, from: &Frame<'u>, pool: &mut FramePool<'u>) -> bool {
        let region = self.region;
        for bytes in region.behind(from) {
            let Some(mut frame) = pool.take() else { return false };
            if let Some(place) = frame.chunk_mut().get_mut(..bytes.len()) {
                place.copy_from_slice(bytes);
            }
            if let Err(part) = self.push(Part { frame, off: 0, len: bytes.len() as u16 }) {
                pool.put(part.frame);
                return false;
            }
        }
        true
    }

    /// Chunks it has.
    pub fn chunks(&self) -> usize {
        usize::from(self.segments)
    }

    /// The packet's first chunk, how many there are, and the bytes in those behind it.
    pub fn finish(self) -> (Frame<'u>, u8, u32) {
        (self.first, self.segments, self.tail)
    }
}

/// Number, offset and length of what hangs behind a chunk.
fn read(word: u64) -> Option<(usize, u16, u16)> {
    let n = (word >> 32).checked_sub(1)?;
    Some((n as usize, (word >> 16) as u16, word as u16))
}

/// See [`Region::behind`].
#[derive(Debug)]
pub struct Behind<'f> {
    region: Region<'f>,
    next: Option<(usize, u16, u16)>,
}

impl<'f> Iterator for Behind<'f> {
    type Item = &'f [u8];

    fn next(&mut self) -> Option<&'f [u8]> {
        let (n, off, len) = self.next?;
        self.next = self.region.links.get(n).and_then(|link| read(link.load(Ordering::Relaxed)));
        // SAFETY: the chunk hangs behind the first one, whose Frame is borrowed for 'f: nobody takes it off or writes it
        // until then.
        let chunk = unsafe { self.region.bytes_of(n) }?;
        chunk.get(usize::from(off)..usize::from(off) + usize::from(len))
    }
}

/// The bytes of a packet from some place on, whatever chunks they are in. Reads forwards only.
#[derive(Debug)]
pub struct Reader<'f> {
    now: &'f [u8],
    behind: Behind<'f>,
    /// Bytes read or passed over.
    at: usize,
}

impl<'f> Reader<'f> {
    /// From the bytes `first` of the first chunk on, `frame`'s.
    pub fn new(region: &'f Region<'_>, frame: &'f Frame<'_>, first: &'f [u8]) -> Self {
        Reader { now: first, behind: region.behind(frame), at: 0 }
    }

    /// The bytes at `range`, which begins where the last one ended or later. `None`: there are not so many.
    pub fn read(&mut self, range: Range<usize>, mut out: &mut [u8]) -> Option<()> {
        let mut pass = range.start.checked_sub(self.at)?;
        while pass > 0 {
            pass -= self.next(pass)?.len();
        }
        while !out.is_empty() {
            let from = self.next(out.len())?;
            let (to, more) = out.split_at_mut_checked(from.len())?;
            to.copy_from_slice(from);
            out = more;
        }
        Some(())
    }

    /// Ones' complement sum of the next `n` bytes as 16-bit words, folded, as if the first of them began a word.
    pub fn sum(&mut self, n: usize) -> Option<u16> {
        let (mut done, mut sum) = (0, 0);
        while done < n {
            let part = self.next(n - done)?;
            // Behind an odd number of bytes, high is low (RFC 1071, 2 B).
            let folded = wire::fold(wire::sum(part));
            sum += u64::from(if done % 2 == 0 { folded } else { folded.swap_bytes() });
            done += part.len();
        }
        Some(wire::fold(sum))
    }

    /// At least one byte, at most `most`, which is not 0.
    fn next(&mut self, most: usize) -> Option<&'f [u8]> {
        while self.now.is_empty() {
            self.now = self.behind.next()?;
        }
        let (now, rest) = self.now.split_at(self.now.len().min(most));
        self.now = rest;
        self.at += now.len();
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::umem::Umem;

    /// A packet whose chunks hold one byte each, so often.
    fn chain<'u>(pool: &mut FramePool<'u>, parts: &[(u8, u16)]) -> Frame<'u> {
        let mut chain = Chain::new(pool.region(), pool.take().unwrap()).unwrap();
        chain.first.chunk_mut().fill(1);
        for &(byte, len) in parts {
            let mut frame = pool.take().unwrap();
            frame.chunk_mut().fill(byte);
            chain.push(Part { frame, off: 100, len }).unwrap();
        }
        let tail = parts.iter().map(|(_, len)| u32::from(*len)).sum::<u32>();
        let (frame, segments, bytes) = chain.finish();
        assert_eq!((usize::from(segments), bytes), (parts.len() + 1, tail));
        frame
    }

    #[test]
    fn parts_hang_behind_one_another_and_come_off_in_order() {
        let mut umem = Umem::new(8);
        let mut pool = umem.pools(1).remove(0);
        let region = pool.region();
        let mut first = chain(&mut pool, &[(2, 10), (3, 5)]);
        assert_eq!(pool.free(), 5);
        assert_eq!(region.behind(&first).collect::<Vec<_>>(), [&[2; 10][..], &[3; 5]]);
        let mut second = region.take_off(&mut first).unwrap();
        assert_eq!((second.off, second.len, region.behind(&first).count()), (100, 10, 0));
        let mut third = region.take_off(&mut second.frame).unwrap();
        assert_eq!((third.frame.chunk()[0], third.len), (3, 5));
        for frame in [&mut first, &mut second.frame, &mut third.frame] {
            assert!(region.take_off(frame).is_none(), "only once");
        }
        for frame in [first, second.frame, third.frame] {
            pool.put(frame);
        }
        assert_eq!(pool.free(), 8);
    }

    #[test]
    fn a_recycled_packet_gives_all_its_chunks_back() {
        let mut umem = Umem::new(6);
        let mut pools = umem.pools(2);
        let (mut b, mut a) = (pools.pop().unwrap(), pools.pop().unwrap());
        let first = chain(&mut a, &[(2, 1), (3, 1)]);
        assert_eq!(a.free(), 0);
        b.put_all(first);
        assert_eq!((a.free(), b.free(), b.foreign()), (0, 3, 3), "on their way home");
        let home = b.away(0).unwrap();
        home.drain(..).for_each(|frame| a.put_all(frame));
        assert_eq!(a.free(), 3);
    }

    #[test]
    fn what_cannot_hang_there_comes_back() {
        let (mut one, mut other) = (Umem::new(300), Umem::new(1));
        let (mut a, mut b) = (one.pools(1).remove(0), other.pools(1).remove(0));
        let part = |frame| Part { frame, off: 0, len: 1 };
        let mut twice = Chain::new(a.region(), a.take().unwrap()).unwrap();
        let strange = twice.push(part(b.take().unwrap())).unwrap_err();
        assert!(Chain::new(a.region(), strange.frame).is_err(), "of another region");
        let with_more = chain(&mut a, &[(2, 1)]);
        let back = twice.push(part(with_more)).unwrap_err();
        a.put_all(back.frame);
        for _ in 0..254 {
            twice.push(part(a.take().unwrap())).unwrap();
        }
        let back = twice.push(part(a.take().unwrap())).unwrap_err();
        a.put(back.frame);
        a.put_all(twice.finish().0);
        assert_eq!(a.free(), 300);
    }

    #[test]
    fn a_copy_is_in_chunks_of_its_own() {
        let mut umem = Umem::new(5);
        let mut pool = umem.pools(1).remove(0);
        let region = pool.region();
        let first = chain(&mut pool, &[(2, 10)]);
        fn copy<'u>(first: &Frame<'u>, pool: &mut FramePool<'u>) -> (bool, Frame<'u>) {
            let mut chain = Chain::new(pool.region(), pool.take().unwrap()).unwrap();
            let whole = chain.copy_behind(first, pool);
            (whole, chain.finish().0)
        }
        let (whole, second) = copy(&first, &mut pool);
        assert!(whole);
        assert_eq!(region.behind(&second).collect::<Vec<_>>(), [&[2; 10]]);
        let (whole, third) = copy(&first, &mut pool);
        assert!(!whole, "there are no more chunks");
        pool.put_all(third);
        pool.put_all(second);
        assert_eq!(pool.free(), 3);
        pool.put_all(first);
        assert_eq!(pool.free(), 5);
    }

    #[test]
    fn a_reader_goes_from_chunk_to_chunk() {
        let mut umem = Umem::new(3);
        let mut pool = umem.pools(1).remove(0);
        let region = pool.region();
        let first = chain(&mut pool, &[(2, 3), (3, 2)]);
        let mut reader = Reader::new(&region, &first, &first.chunk()[..2]);
        let mut out = [0; 4];
        reader.read(0..1, &mut out[..1]).unwrap();
        reader.read(1..5, &mut out).unwrap();
        assert_eq!(out, [1, 2, 2, 2]);
        reader.read(6..7, &mut out[..1]).unwrap();
        assert_eq!(out[0], 3, "the sixth was passed over");
        assert_eq!((reader.read(7..8, &mut out), reader.read(2..3, &mut out[..1])), (None, None));
        let mut reader = Reader::new(&region, &first, &first.chunk()[..2]);
        assert_eq!(reader.sum(7), Some(0x0101 + 0x0202 + 0x0203 + 0x0300));
        assert_eq!(reader.sum(1), None);
        let mut reader = Reader::new(&region, &first, &first.chunk()[..1]);
        assert_eq!(reader.sum(6), Some(0x0102 + 0x0202 + 0x0303), "a part that begins in the middle of a word");
    }
}
