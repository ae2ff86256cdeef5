//! [`PacketPort`]: an interface by a packet socket with virtio headers (packet(7), `PACKET_VNET_HDR`).
//!
//! AF_XDP takes a small frame for a third of what this takes. But a VM's bulk TCP comes as super-frames of up to 64 KiB whose
//! checksums nobody has computed, and AF_XDP carries neither: the sender's kernel cuts each into 45 packets and sums their
//! bytes before we see them. Here they go through as they are, to another VM of this host without ever being cut.
//!
//! The host's stack sees nothing of it: [`Withheld`](super::af_xdp::filter::Withheld) drops what has been received behind the
//! socket.

mod header;
mod socket;

use crate::burst::{Burst, Checksum, Door, FrameMeta};
use crate::counters::KernelLoss;
use crate::handoff::Bell;
use crate::io::af_xdp::now;
use crate::umem::{Chain, FRAME_SIZE, Frame, FramePool, HEADROOM, Part, Region};
use rustix::io::Errno;
use socket::{BATCH, PARTS, Received, Socket};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::ops::Range;

/// Packets that may wait to be sent.
const UNSENT: usize = 256;
/// Frames that stay in a worker's pool: one in so many.
const RESERVE: usize = 8;
/// Bytes after which other ports have their turn: the segments of what has come must fit the ring of a NIC.
const TURN: usize = 256 << 10;
/// Bytes of a VLAN tag.
const TAG: u16 = 4;

/// See the module text.
#[derive(Debug)]
pub struct PacketPort<'u> {
    socket: Socket,
    /// Chunks for the next packets to be received into, a packet's together.
    chunks: Vec<Frame<'u>>,
    /// The same, while they are sorted out; empty.
    rest: Vec<Frame<'u>>,
    /// Packets asked for at once: more when more come.
    batch: usize,
    waiting: VecDeque<(Frame<'u>, FrameMeta)>,
    /// What the kernel had no room for, what it would not send, what was longer than a packet can be.
    lost: (Cell<u64>, u64, u64),
    /// Packets that were not taken, because as many wait as may.
    full: u64,
}

impl<'u> PacketPort<'u> {
    /// Chunks it keeps to receive into.
    pub const CHUNKS: usize = PARTS;

    /// Binds a socket to interface `ifindex` of the calling thread's network namespace.
    ///
    /// Fails with `PermissionDenied` without `CAP_NET_RAW` and `CAP_NET_ADMIN`, and if there is no such interface.
    pub fn open(ifindex: u32) -> io::Result<Self> {
        let chunks = || Vec::with_capacity(BATCH * PARTS);
        let waiting = VecDeque::with_capacity(UNSENT);
        let lost = (Cell::new(0), 0, 0);
        let socket = Socket::open(ifindex)?;
        Ok(PacketPort { socket, chunks: chunks(), rest: chunks(), batch: 1, waiting, lost, full: 0 })
    }

    /// A received frame ends the sleep of whom the bell wakes.
    pub fn watch(&self, bell: &Bell) -> io::Result<()> {
        bell.watch(&self.socket)
    }

    /// See [`Port::receive`](super::Port::receive). Frames get the time of the call, [`now`].
    pub fn receive(&mut self, b: &mut Burst<'u>, door: Door, limit: usize, pool: &mut FramePool<'u>) -> usize {
        let (mut received, mut bytes, mut time) = (0, 0, 0);
        while received < limit {
            let asked = self.chunks_for(self.batch.min(limit - received), pool);
            let mut packets = [Received::default(); BATCH];
            let mut into: [&mut [Frame<'u>]; BATCH] = Default::default();
            into.iter_mut().zip(self.chunks.chunks_exact_mut(PARTS)).for_each(|(into, chunks)| *into = chunks);
            let n = self.socket.receive(into.get_mut(..asked).unwrap_or_default(), HEADROOM, &mut packets);
            if n > 0 && time == 0 {
                time = now();
            }
            self.take_in(packets.get(..n).unwrap_or_default(), time, b, door, pool);
            received += n;
            let came: usize = packets.iter().take(n).map(|packet| packet.len).sum();
            bytes += came;
            let more = if n == asked { self.batch * 2 } else { n };
            self.batch = more.min(BATCH).min(TURN / (came / n.max(1)).max(1)).max(1);
            if n < asked || asked == 0 || bytes >= TURN {
                break;
            }
        }
        received
    }

    /// Chunks for so many packets, or as many as there are; returns how many.
    fn chunks_for(&mut self, packets: usize, pool: &mut FramePool<'u>) -> usize {
        let reserve = pool.total() / RESERVE;
        while self.chunks.len() < packets * PARTS && pool.free() > reserve {
            self.chunks.extend(pool.take()); // never grows: room for a whole batch
        }
        packets.min(self.chunks.len() / PARTS)
    }

    /// Received packets into the burst; chunks they do not fill wait for the next ones, as many as those of one packet.
    fn take_in(&mut self, packets: &[Received], time: u64, b: &mut Burst<'u>, door: Door, pool: &mut FramePool<'u>) {
        let mut chunks = self.chunks.drain(..);
        for packet in packets {
            let Some(frame) = chunks.next() else { break };
            let mut more = chunks.by_ref().take(PARTS - 1);
            let whole = assemble(packet, time, frame, &mut more, pool.region());
            self.rest.extend(more);
            let refused = match whole {
                Ok((frame, meta)) if !packet.cut => b.push_any(frame, meta, door).err(),
                Ok((frame, _)) | Err(frame) => {
                    self.lost.2 += 1;
                    Some(frame)
                }
            };
            refused.into_iter().for_each(|frame| pool.put_all(frame));
        }
        self.rest.extend(chunks);
        let spare = self.rest.len().saturating_sub(PARTS);
        self.rest.drain(..spare).for_each(|frame| pool.put(frame));
        std::mem::swap(&mut self.chunks, &mut self.rest);
    }

    /// See [`Port::transmit`](super::Port::transmit).
    pub fn transmit(&mut self, frame: Frame<'u>, meta: FrameMeta) -> Result<(), Frame<'u>> {
        if self.waiting.len() >= UNSENT {
            self.full += 1;
            return Err(frame);
        }
        self.waiting.push_back((frame, meta));
        Ok(())
    }

    /// See [`Port::flush`](super::Port::flush).
    pub fn flush(&mut self, pool: &mut FramePool<'u>) -> bool {
        while !self.waiting.is_empty() {
            let (sent, why_not) = self.send(pool);
            self.done(sent, pool);
            match why_not.as_ref().and_then(io::Error::raw_os_error).map(Errno::from_raw_os_error) {
                None if why_not.is_none() => {}
                Some(Errno::AGAIN) => return true, // its receivers have not taken what was sent
                // The interface is down or gone, or cannot send this one.
                _ => {
                    self.lost.1 += 1;
                    self.done(1, pool);
                }
            }
        }
        false
    }

    /// The first packets that wait, as many as a call takes.
    fn send(&self, pool: &FramePool<'u>) -> (usize, Option<io::Error>) {
        let region = pool.region();
        let mut headers = [[0; header::LEN]; BATCH];
        let mut parts: [&[u8]; BATCH * PARTS] = [&[]; BATCH * PARTS];
        let mut each: [Range<usize>; BATCH] = std::array::from_fn(|_| 0..0);
        let (mut used, mut count) = (0, 0);
        for (((frame, meta), header), range) in self.waiting.iter().zip(&mut headers).zip(&mut each) {
            let start = usize::from(meta.off);
            let head = frame.chunk().get(start..start + usize::from(meta.len)).unwrap_or_default();
            *header = header::write(meta, head);
            let from = used;
            let mut left = meta.tail as usize;
            let behind = region.behind(frame).map_while(|part| {
                let part = part.get(..part.len().min(left))?;
                left -= part.len();
                (!part.is_empty()).then_some(part)
            });
            for (to, part) in parts.iter_mut().skip(used).zip(std::iter::once(head).chain(behind)) {
                *to = part;
                used += 1;
            }
            *range = from..used;
            count += 1;
        }
        let headers = headers.get(..count).unwrap_or_default();
        self.socket.send(headers, parts.get(..used).unwrap_or_default(), each.get(..count).unwrap_or_default())
    }

    /// The first packets that wait do so no more.
    fn done(&mut self, packets: usize, pool: &mut FramePool<'u>) {
        let packets = packets.min(self.waiting.len());
        self.waiting.drain(..packets).for_each(|(frame, _)| pool.put_all(frame));
    }

    /// See [`Port::close`](super::Port::close).
    pub fn close(self, pool: &mut FramePool<'u>) {
        self.close_with(&mut |frame| pool.put_all(frame));
    }

    /// See [`Port::close_with`](super::Port::close_with).
    pub fn close_with(self, give: &mut impl FnMut(Frame<'u>)) {
        let PacketPort { socket, chunks, rest, waiting, .. } = self;
        drop(socket); // the kernel takes a while for it
        waiting.into_iter().map(|(frame, _)| frame).chain(chunks).chain(rest).for_each(give);
    }

    /// See [`Port::lent`](super::Port::lent). Of those to receive into none is in the kernel's hands.
    pub fn lent(&self) -> (usize, usize) {
        (self.chunks.len() + self.rest.len(), self.waiting.iter().map(|(_, meta)| meta.chunks()).sum())
    }

    /// See [`Port::reclaim`](super::Port::reclaim).
    pub fn reclaim(&mut self, pool: &mut FramePool<'u>) {
        self.chunks.drain(..).for_each(|frame| pool.put(frame));
    }

    /// What the kernel lost since the socket was opened, in the order of [`KernelLoss::ALL`].
    pub fn lost(&self) -> [u64; KernelLoss::ALL.len()] {
        self.lost.0.set(self.lost.0.get() + self.socket.lost());
        KernelLoss::ALL.map(|loss| match loss {
            KernelLoss::RxRingFull => self.lost.0.get(),
            KernelLoss::TxRefused => self.lost.1,
            KernelLoss::RxDropped => self.lost.2,
            KernelLoss::TxRingFull => self.full,
            _ => 0,
        })
    }
}

/// A packet in its chunks, those behind the first of `more`; and how many it has. `Err`: it is longer than its chunks.
fn assemble<'u>(
    packet: &Received,
    time: u64,
    first: Frame<'u>,
    more: &mut impl Iterator<Item = Frame<'u>>,
    region: Region<'u>,
) -> Result<(Frame<'u>, FrameMeta), Frame<'u>> {
    let here = packet.len.min(FRAME_SIZE - HEADROOM);
    let mut meta = FrameMeta::of_received(HEADROOM as u16, here as u16, time);
    (meta.csum, meta.gso) = header::read(&packet.header);
    let mut chain = Chain::new(region, first)?;
    let mut left = packet.len - here;
    while left > 0 {
        let len = left.min(FRAME_SIZE);
        let Some(frame) = more.next() else { return Err(chain.finish().0) };
        if chain.push(Part { frame, off: 0, len: len as u16 }).is_err() {
            return Err(chain.finish().0);
        }
        left -= len;
    }
    let (mut frame, segments, tail) = chain.finish();
    (meta.segments, meta.tail) = (segments, tail);
    if let Some(tag) = packet.tag {
        put_tag(&mut frame, &mut meta, tag);
    }
    Ok((frame, meta))
}

/// The kernel takes tags out of frames before packet sockets see them: it goes back in.
fn put_tag(frame: &mut Frame<'_>, meta: &mut FrameMeta, (tpid, tci): (u16, u16)) {
    let start = usize::from(meta.off - TAG);
    let Some(h) = frame.chunk_mut().get_mut(start..).and_then(|h| h.first_chunk_mut::<16>()) else { return };
    h.copy_within(4.., 0);
    let ([.., t0, t1, c0, c1], [p0, p1], [i0, i1]) = (h, tpid.to_be_bytes(), tci.to_be_bytes());
    (*t0, *t1, *c0, *c1) = (p0, p1, i0, i1);
    (meta.off, meta.len, meta.rx_off, meta.rx_len) = (meta.off - TAG, meta.len + TAG, meta.off - TAG, meta.len + TAG);
    if let Checksum::Partial { start, .. } = &mut meta.csum {
        *start = start.saturating_add(TAG);
    }
}

#[cfg(test)]
mod tests;
