//! One queue of an interface.
#![allow(unsafe_code)]

use super::socket::Socket;
use super::{MAX_CHUNKS, Setup};
use crate::burst::{Burst, Door, FrameMeta};
use crate::counters::KernelLoss;
use crate::prefetch::prefetch;
use crate::tables::OUTER;
use crate::umem::{Chain, FRAME_SIZE, Frame, FramePool, HEADROOM, Lent, Part, Region};
use crate::worker::in_kernel;
use rustix::io::Errno;
use rustix::net::xdp::{XdpDesc, XdpDescOptions};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Frames that stay in a worker's pool for answers and copies when ports take their share: one in so many.
const RESERVE: usize = 8;
/// The fill ring is filled up when so many places are empty, not at each frame.
const REFILL: usize = 32;

/// A socket and the frames it has.
#[derive(Debug)]
pub(super) struct Queue<'u> {
    socket: Socket,
    lent: Lent<'u>,
    /// Frames lent for receiving.
    receiving: usize,
    /// How many there should be, and how many may be lent for sending at most.
    share: usize,
    /// Sent frames that have come back, until the pool is at hand; room for all.
    done: Vec<Frame<'u>>,
    /// The kernel would not send: the interface is down or gone. Nothing is lent to it for sending until it does.
    down: bool,
    /// The first chunks of a frame whose last one has not come yet.
    begun: Option<(Chain<'u>, FrameMeta)>,
    /// Its number.
    number: u32,
    /// Descriptors of the kernel that named no frame of this socket, or no whole one: none, or a bug.
    invalid: u64,
    /// Frames that were not taken to be sent.
    refused: Refused,
}

/// Why frames were not taken to be sent, each counted once.
#[derive(Debug, Default)]
struct Refused {
    lag: u64,
    full: u64,
    down: u64,
}

impl<'u> Queue<'u> {
    /// See [`XdpPort::open`](super::XdpPort::open).
    pub fn open(region: Region<'u>, number: u32, setup: &Setup, first: Option<&Queue<'u>>) -> io::Result<Self> {
        let socket = Socket::open(&region, number, setup, first.map(|q| q.socket.as_fd()))?;
        let share = setup.share.clamp(1, setup.rings.rx.min(setup.rings.tx) as usize);
        let done = Vec::with_capacity(share);
        Ok(Queue {
            socket,
            lent: Lent::new(region),
            receiving: 0,
            share,
            done,
            down: false,
            begun: None,
            number,
            invalid: 0,
            refused: Refused::default(),
        })
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// For the filter's map and for sleeping. Whoever keeps a copy of the descriptor keeps the socket open.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Does the driver use packet memory itself?
    pub fn is_zero_copy(&self) -> bool {
        self.socket.is_zero_copy()
    }

    /// May frames be in several chunks?
    pub fn is_multi_buffer(&self) -> bool {
        self.socket.is_multi_buffer()
    }

    /// See [`Port::receive`](crate::io::Port::receive). Frames get the time of the call, `CLOCK_MONOTONIC`.
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize, pool: &mut FramePool<'u>) -> usize {
        let mut received = 0;
        let mut time = 0;
        while received < limit {
            let Some(desc) = self.socket.rx.pop() else { break };
            if received == 0 {
                time = now();
            }
            received += usize::from(self.take_in(desc, time, b, door, pool));
        }
        self.socket.rx.release();
        self.refill(pool, received == 0);
        received
    }

    /// One received frame into the burst; says whether it was one.
    #[inline]
    fn take_in(&mut self, desc: XdpDesc, time: u64, b: &mut Burst<'u>, door: Door, pool: &mut FramePool<'u>) -> bool {
        // SAFETY: a descriptor of the RX ring is a frame the kernel has filled and given up.
        let Some(frame) = (unsafe { self.lent.give_back(desc.addr) }) else {
            self.invalid += 1;
            return false;
        };
        self.receiving = self.receiving.saturating_sub(1);
        // The kernel wrote it, perhaps from another core: on its way while the rest of the burst is taken in. The
        // headers, and where the outer ones will be.
        let (off, len) = (desc.addr as usize % FRAME_SIZE, desc.len as usize);
        [off, off.wrapping_sub(OUTER)].iter().filter_map(|at| frame.chunk().get(*at)).for_each(prefetch);
        let more = desc.options.contains(XdpDescOptions::XDP_PKT_CONTD);
        if more || self.begun.is_some() {
            return self.take_part(Part { frame, off: off as u16, len: len as u16 }, (more, time), b, door, pool);
        }
        let refused = if off >= HEADROOM && off + len <= FRAME_SIZE {
            b.push(frame, FrameMeta::of_received(off as u16, len as u16, time), door).err()
        } else {
            Some(frame)
        };
        let Some(frame) = refused else { return true };
        self.invalid += 1;
        pool.put(frame);
        false
    }

    /// A chunk of a frame that has several; says whether it was the last one.
    #[cold]
    fn take_part(
        &mut self,
        part: Part<'u>,
        (more, time): (bool, u64),
        b: &mut Burst<'u>,
        door: Door,
        pool: &mut FramePool<'u>,
    ) -> bool {
        let fits = usize::from(part.off) + usize::from(part.len) <= FRAME_SIZE;
        let begun = match self.begun.take() {
            Some((mut chain, meta)) => match chain.push(part) {
                Ok(()) if fits => Ok((chain, meta)),
                Ok(()) => Err(chain.finish().0),
                Err(part) => {
                    pool.put(part.frame);
                    Err(chain.finish().0)
                }
            },
            None => {
                let meta = FrameMeta::of_received(part.off, part.len, time);
                let fits = fits && usize::from(part.off) >= HEADROOM;
                if fits { Chain::new(pool.region(), part.frame).map(|chain| (chain, meta)) } else { Err(part.frame) }
            }
        };
        let refused = match begun {
            Ok(begun) if more => {
                self.begun = Some(begun);
                return false;
            }
            Ok((chain, mut meta)) => {
                let (frame, segments, tail) = chain.finish();
                (meta.segments, meta.tail) = (segments, tail);
                b.push_any(frame, meta, door).err()
            }
            Err(frame) => Some(frame),
        };
        let Some(frame) = refused else { return true };
        self.invalid += 1;
        pool.put_all(frame);
        false
    }

    /// Gives the kernel frames to receive into; before the worker may sleep, all there should be.
    #[inline]
    pub fn refill(&mut self, pool: &mut FramePool<'u>, idle: bool) {
        if self.receiving + REFILL <= self.share || idle && self.receiving < self.share {
            self.fill_up(pool);
        }
        // Also when nothing was added: the driver may ask just after it was.
        if idle && self.socket.fill.needs_wakeup() {
            self.socket.kick_rx();
        }
    }

    fn fill_up(&mut self, pool: &mut FramePool<'u>) {
        let reserve = pool.total() / RESERVE;
        while self.receiving < self.share && pool.free() > reserve && self.socket.fill.room(1) > 0 {
            let Some(frame) = pool.take() else { break };
            match self.lent.lend(frame) {
                Ok(address) => {
                    self.socket.fill.push(address);
                    self.receiving += 1;
                }
                Err(frame) => return pool.put(frame), // of another region: never
            }
        }
        if self.socket.fill.publish() != 0 && self.socket.fill.needs_wakeup() {
            self.socket.kick_rx();
        }
    }

    /// See [`Port::transmit`](crate::io::Port::transmit).
    #[inline]
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        if meta.segments > 1 {
            return self.transmit_parts(frame, meta);
        }
        if self.sending() >= self.share {
            self.collect();
        }
        if self.down || self.sending() >= self.share || self.socket.tx.room(1) == 0 {
            self.count_refused();
            return Err(frame);
        }
        let address = self.lent.lend(frame)? + u64::from(meta.off);
        let desc = XdpDesc { addr: address, len: meta.len.into(), options: XdpDescOptions::empty() };
        self.socket.tx.push(desc);
        Ok(())
    }

    /// A packet of several chunks: a descriptor each.
    #[cold]
    fn transmit_parts(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        let parts = usize::from(meta.segments);
        self.collect();
        let room = self.sending() + parts <= self.share && self.socket.tx.room(parts as u32) >= parts as u32;
        if !self.is_multi_buffer() || meta.segments > MAX_CHUNKS {
            return Err(frame);
        }
        if self.down || !room {
            self.count_refused();
            return Err(frame);
        }
        let region = self.lent.region();
        let mut left = meta.tail as usize;
        let mut next = Part { frame, off: meta.off, len: meta.len };
        loop {
            let Part { mut frame, off, len } = next;
            let behind = region.take_off(&mut frame);
            let options = if left > 0 { XdpDescOptions::XDP_PKT_CONTD } else { XdpDescOptions::empty() };
            let addr = self.lent.lend(frame)? + u64::from(off);
            self.socket.tx.push(XdpDesc { addr, len: len.into(), options });
            let Some(mut part) = behind else { return Ok(()) };
            if left == 0 {
                self.give_up(part);
                return Ok(()); // padding
            }
            part.len = left.min(part.len.into()) as u16;
            left -= usize::from(part.len);
            next = part;
        }
    }

    /// Chunks of a packet that are not sent.
    fn give_up(&mut self, part: Part<'u>) {
        let region = self.lent.region();
        let mut next = Some(part);
        while let Some(mut part) = next {
            next = region.take_off(&mut part.frame);
            self.done.push(part.frame); // never grows: they fit the share
        }
    }

    #[cold]
    fn count_refused(&mut self) {
        let Refused { lag, full, down } = &mut self.refused;
        *match (self.down, self.socket.tx.unseen()) {
            (true, _) => down,
            (_, 0) => lag,
            _ => full,
        } += 1;
    }

    /// Gives the kernel what was transmitted, and takes back what has left. Says whether the kernel has not seen all
    /// of it yet: then it must be called again.
    pub fn flush(&mut self, pool: &mut FramePool<'u>) -> bool {
        self.reclaim(pool);
        self.socket.tx.publish();
        if self.socket.tx.pending() == 0 {
            self.down = false;
            return false;
        }
        if self.socket.tx.needs_wakeup() {
            match self.socket.kick_tx() {
                Ok(()) | Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS) => self.down = false,
                // Down or gone. It is asked again when the next frame is for it.
                Err(_) => {
                    self.down = true;
                    return false;
                }
            }
        }
        self.socket.tx.pending() != 0
    }

    /// See [`Port::reclaim`](crate::io::Port::reclaim).
    #[inline]
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        self.collect();
        self.done.drain(..).for_each(|frame| pool.put(frame));
    }

    /// Takes back what has left.
    fn collect(&mut self) {
        while let Some(address) = self.socket.completion.pop() {
            // SAFETY: a descriptor of the completion ring is a frame the kernel has sent and given up.
            match unsafe { self.lent.give_back(address) } {
                Some(frame) => self.done.push(frame), // never grows: what was not flushed has not left
                None => self.invalid += 1,
            }
        }
        self.socket.completion.release();
    }

    /// Frames on their way out.
    #[inline]
    fn sending(&self) -> usize {
        self.lent.count() - self.receiving.min(self.lent.count())
    }

    /// See [`XdpPort::close_with`](super::XdpPort::close_with).
    pub fn close(self, give: &mut impl FnMut(Frame<'u>)) -> usize {
        let Queue { socket, mut lent, done, begun, .. } = self;
        done.into_iter().for_each(&mut *give);
        begun.into_iter().for_each(|(chain, _)| give(chain.finish().0));
        let zero_copy = socket.is_zero_copy();
        in_kernel(|| drop(socket));
        if zero_copy {
            // The kernel stops the driver a moment after the socket is closed and does not say when: until then the
            // NIC may write what it has.
            return lent.count();
        }
        // SAFETY: copying, only the kernel's own code writes and reads frames; it does so no more once the socket, of
        // which nobody else has a descriptor, is closed (xsk_release waits for who does).
        unsafe { lent.give_back_all() }.for_each(give);
        0
    }

    /// What the kernel lost since the socket was opened, in the order of [`KernelLoss::ALL`].
    pub fn lost(&self) -> [u64; KernelLoss::ALL.len()] {
        let s = self.socket.statistics();
        let or_none = Option::unwrap_or_default;
        KernelLoss::ALL.map(|loss| match loss {
            KernelLoss::RxRingFull => or_none(s.rx_ring_full),
            KernelLoss::RxFillRingEmpty => or_none(s.rx_fill_ring_empty_descs),
            // Copying, the kernel counts a frame that finds no buffer here as well.
            KernelLoss::RxDropped => s.rx_dropped.saturating_sub(or_none(s.rx_fill_ring_empty_descs)),
            KernelLoss::TxInvalid => s.tx_invalid_descs,
            KernelLoss::RxInvalid => s.rx_invalid_descs + self.invalid,
            KernelLoss::TxRefused => 0,
            KernelLoss::TxCompletionLag => self.refused.lag,
            KernelLoss::TxRingFull => self.refused.full,
            KernelLoss::TxDown => self.refused.down,
        })
    }

    /// Frames in the kernel's hands: for receiving, and for sending.
    pub fn lent(&self) -> (usize, usize) {
        let begun = self.begun.as_ref().map_or(0, |(chain, _)| chain.chunks());
        (self.receiving + begun, self.sending() + self.done.len())
    }
}

/// `CLOCK_MONOTONIC`, ns: the clock of every timer.
#[inline]
pub fn now() -> u64 {
    let t = clock_gettime(ClockId::Monotonic);
    (t.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(t.tv_nsec as u64)
}
