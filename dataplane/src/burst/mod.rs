//! [`Burst`]: up to 64 frames as a structure of arrays, and the [`Mask`] that says which of them a
//! stage is about.

mod fields;
mod lanes;

pub use fields::*;
pub use lanes::{Arrivals, BURST, Lane, Lanes, Mask};

use crate::addr::MacAddr;
use crate::drop_reason::DropReason;
use crate::handoff::Handed;
use crate::stage::Stage;
use crate::tables::{RouterIx, SegIx, TunnelIx};
use crate::umem::Frame;
use crate::wire::ETH_LEN;

/// A burst. Arrays are indexed by [`Lane`]; a lane's values mean something only while a frame is in it.
#[derive(Debug)]
pub struct Burst<'u> {
    /// The frames.
    pub frame: Lanes<Option<Frame<'u>>>,
    /// Their extent and offload state.
    pub meta: Lanes<FrameMeta>,
    /// Frames not yet dropped or consumed.
    pub live: Mask,
    /// Of those, the ones whose way out is decided.
    pub decided: Mask,
    /// Frames whose steps are recorded.
    pub traced: Mask,
    /// Lanes with a [`Fate`].
    pub ended: Mask,
    /// How they ended.
    pub fate: Lanes<Fate>,
    /// Where each came in.
    pub door: Lanes<Door>,
    /// The received ones by door.
    pub arrivals: Arrivals,
    /// Network; changes when routed.
    pub seg: Lanes<SegIx>,
    /// Tunnel it came through.
    pub tunnel: Lanes<TunnelIx>,
    /// ECN bits of the outer header it came in.
    pub outer_ecn: Lanes<u8>,
    /// Those in which they are not zero.
    pub ecn_marked: Mask,
    /// Ethernet destination.
    pub dst: Lanes<MacAddr>,
    /// Ethernet source.
    pub src: Lanes<MacAddr>,
    /// EtherType behind the tags.
    pub ethertype: Lanes<u16>,
    /// 802.1Q tags before it (0..=2).
    pub tags: Lanes<u8>,
    /// First tag's control information.
    pub tci: Lanes<u16>,
    /// Layer 3.
    pub l3: Lanes<L3>,
    /// Where it starts, bytes from the start of the frame.
    pub l3_off: Lanes<u16>,
    /// Untagged, whole IPv4 packets with a header of 20 bytes: what nearly all are, and stages are fastest at.
    pub plain: Mask,
    /// IP header.
    pub ip: Lanes<IpFields>,
    /// IP packets that are fragments: more follow, or the offset is above 0.
    pub fragments: Mask,
    /// IPv4 packets whose options hold LSRR or SSRR.
    pub source_routed: Mask,
    /// IPv4 source, ARP sender address.
    pub ip_src: Lanes<u32>,
    /// IPv4 destination, ARP target address.
    pub ip_dst: Lanes<u32>,
    /// Source port << 16 | destination port of an unfragmented TCP, UDP or SCTP packet, otherwise 0.
    pub ports: Lanes<u32>,
    /// ARP or ND.
    pub talk: Lanes<Talk>,
    /// Frames whose `talk` is not none, and some in which a tag hides it.
    pub talking: Mask,
    /// Link-layer address inside ARP (SHA) or ND (option); zero if none.
    pub inner_mac: Lanes<MacAddr>,
    /// IPv6 source.
    pub ip6_src: Lanes<u128>,
    /// IPv6 destination.
    pub ip6_dst: Lanes<u128>,
    /// Target address of a neighbour solicitation or advertisement.
    pub nd_target: Lanes<u128>,
    /// VNI of the outer header it came in.
    pub vni: Lanes<u32>,
    /// Frames whose IP source port security found to be a fixed address of their port.
    pub vouched: Mask,
    /// Their IPv4 source in the arrays is not the one in the frame yet (FO).
    pub nat_src: Mask,
    /// Their IPv4 destination in the arrays is not the one in the frame yet (FI).
    pub nat_dst: Mask,
    /// Routed to an external network: they keep the MAC of fg-, which O2 does not mask.
    pub unmasked: Mask,
    /// Frames of several chunks, or with offloads that somebody has to do ([`FrameMeta::is_heavy`]).
    pub heavy: Mask,
    /// Their way out is [`Out::Unresolved`].
    pub unresolved: Mask,
    /// Larger than `cut_to`: they leave in fragments (R8), or in segments.
    pub cut: Mask,
    /// Largest IP packet on their way, bytes.
    pub cut_to: Lanes<u16>,
    /// Their senders are told how they ended.
    pub owing: Mask,
    /// What they are told.
    pub owed: Lanes<Owed>,
    /// What T06 says of the source (tunnel frames).
    pub src_fdb: Lanes<u64>,
    /// Those whose source is a row of the model there: nothing to learn.
    pub src_known: Mask,
    /// Way out, once `decided`.
    pub out: Lanes<Out>,
    /// Whose index the egress port was (frames of other workers).
    pub out_generation: Lanes<u32>,
}

impl Default for Burst<'_> {
    fn default() -> Self {
        Burst {
            frame: Lanes(std::array::from_fn(|_| None)),
            meta: Lanes::splat(FrameMeta::default()),
            live: Mask::NONE,
            decided: Mask::NONE,
            traced: Mask::NONE,
            ended: Mask::NONE,
            fate: Lanes::splat(Fate::Consumed(Stage::Egress)),
            door: Lanes::splat(Door::Unknown),
            arrivals: Arrivals::default(),
            seg: Lanes::splat(0),
            tunnel: Lanes::splat(0),
            outer_ecn: Lanes::splat(0),
            ecn_marked: Mask::NONE,
            dst: Lanes::splat(MacAddr::ZERO),
            src: Lanes::splat(MacAddr::ZERO),
            ethertype: Lanes::splat(0),
            tags: Lanes::splat(0),
            tci: Lanes::splat(0),
            l3: Lanes::splat(L3::Other),
            l3_off: Lanes::splat(0),
            plain: Mask::NONE,
            ip: Lanes::splat(IpFields::default()),
            fragments: Mask::NONE,
            source_routed: Mask::NONE,
            ip_src: Lanes::splat(0),
            ip_dst: Lanes::splat(0),
            ports: Lanes::splat(0),
            talk: Lanes::splat(Talk::None),
            talking: Mask::NONE,
            inner_mac: Lanes::splat(MacAddr::ZERO),
            ip6_src: Lanes::splat(0),
            ip6_dst: Lanes::splat(0),
            nd_target: Lanes::splat(0),
            vni: Lanes::splat(0),
            vouched: Mask::NONE,
            nat_src: Mask::NONE,
            nat_dst: Mask::NONE,
            unmasked: Mask::NONE,
            heavy: Mask::NONE,
            unresolved: Mask::NONE,
            cut: Mask::NONE,
            cut_to: Lanes::splat(0),
            owing: Mask::NONE,
            owed: Lanes::splat(Owed::NONE),
            src_fdb: Lanes::splat(0),
            src_known: Mask::NONE,
            out: Lanes::splat(Out::Undecided),
            out_generation: Lanes::splat(0),
        }
    }
}

impl<'u> Burst<'u> {
    /// Puts a received frame of one chunk in the first free lane; the frame comes back if the burst is full.
    #[inline(always)]
    pub fn push(&mut self, frame: Frame<'u>, meta: FrameMeta, door: Door) -> Result<Lane, Frame<'u>> {
        let taken = self.live | self.ended;
        let Some(lane) = (!taken).next() else { return Err(frame) };
        self.frame[lane] = Some(frame);
        self.meta[lane] = meta;
        self.door[lane] = door;
        self.live.insert(lane);
        Ok(lane)
    }

    /// The same for one that may be in several chunks, or have offloads that somebody has to do.
    #[inline(never)]
    pub fn push_any(&mut self, frame: Frame<'u>, meta: FrameMeta, door: Door) -> Result<Lane, Frame<'u>> {
        let lane = self.push(frame, meta, door)?;
        self.weigh(lane);
        Ok(lane)
    }

    /// Says whether it is so with the frame in a lane.
    #[inline(always)]
    pub fn weigh(&mut self, lane: Lane) {
        if self.meta[lane].is_heavy() {
            self.heavy.insert(lane);
        }
    }

    /// Puts a frame of another worker in the first free lane, its way out decided. The caller takes
    /// no more than fit.
    pub fn push_handed(&mut self, handed: Handed<'u>) {
        let Handed { frame, meta, port, generation, door, traced } = handed;
        let Ok(lane) = self.push_any(frame, meta, door) else { return };
        self.out_generation[lane] = generation;
        if traced {
            self.traced.insert(lane);
        }
        self.send(lane, Out::Port(port));
    }

    /// The bytes of a frame, as far as they are in its first chunk.
    #[inline(always)]
    pub fn bytes(&self, lane: Lane) -> &[u8] {
        let meta = &self.meta[lane];
        let chunk = self.frame[lane].as_ref().map(Frame::chunk);
        let start = usize::from(meta.off);
        chunk.and_then(|c| c.get(start..start + usize::from(meta.len))).unwrap_or_default()
    }

    /// The same, to write.
    #[inline(always)]
    pub fn bytes_mut(&mut self, lane: Lane) -> &mut [u8] {
        let start = usize::from(self.meta[lane].off);
        let end = start + usize::from(self.meta[lane].len);
        let chunk = self.frame[lane].as_mut().map(Frame::chunk_mut);
        chunk.and_then(|c| c.get_mut(start..end)).unwrap_or_default()
    }

    /// The IP packet of an untagged frame, as far as it is in the first chunk.
    pub fn packet(&self, lane: Lane) -> &[u8] {
        let packet = self.bytes(lane).get(usize::from(ETH_LEN)..).unwrap_or_default();
        packet.get(..usize::from(self.ip[lane].total_len)).unwrap_or(packet)
    }

    /// The same, to write.
    pub fn packet_mut(&mut self, lane: Lane) -> &mut [u8] {
        let total_len = usize::from(self.ip[lane].total_len);
        let packet = self.bytes_mut(lane).get_mut(usize::from(ETH_LEN)..).unwrap_or_default();
        let len = packet.len().min(total_len);
        packet.get_mut(..len).unwrap_or_default()
    }

    /// `N` bytes at `at` of the frame, to write; `None` if the frame ends before.
    #[inline(always)]
    pub fn at_mut<const N: usize>(&mut self, lane: Lane, at: u16) -> Option<&mut [u8; N]> {
        self.bytes_mut(lane).get_mut(usize::from(at)..)?.first_chunk_mut()
    }

    /// `N` bytes at `at` of the frame.
    #[inline(always)]
    pub fn at<const N: usize>(&self, lane: Lane, at: u16) -> Option<&[u8; N]> {
        self.bytes(lane).get(usize::from(at)..)?.first_chunk()
    }

    /// The first `N` bytes of the frame; `None` if it is shorter.
    #[inline(always)]
    pub fn head<const N: usize>(&self, lane: Lane) -> Option<&[u8; N]> {
        let (start, len) = (usize::from(self.meta[lane].off), usize::from(self.meta[lane].len));
        let chunk = self.frame[lane].as_ref().filter(|_| len >= N)?.chunk();
        chunk.get(start..start + N)?.first_chunk()
    }

    /// The first `N` bytes of the frame, to write; `None` if it is shorter.
    #[inline(always)]
    pub fn head_mut<const N: usize>(&mut self, lane: Lane) -> Option<&mut [u8; N]> {
        let (start, len) = (usize::from(self.meta[lane].off), usize::from(self.meta[lane].len));
        let chunk = self.frame[lane].as_mut().filter(|_| len >= N)?.chunk_mut();
        chunk.get_mut(start..start + N)?.first_chunk_mut()
    }

    /// Writes both Ethernet addresses, in the frame and in the arrays.
    #[inline(always)]
    pub fn set_macs(&mut self, lane: Lane, dst: MacAddr, src: MacAddr) {
        self.dst[lane] = dst;
        self.src[lane] = src;
        if let Some(head) = self.head_mut::<12>(lane) {
            write_macs(head, dst, src);
        }
    }

    /// Ends a frame: counted under `reason`, its buffer goes back to the pool.
    #[inline]
    pub fn drop(&mut self, lane: Lane, stage: Stage, reason: DropReason) {
        self.end(lane, Fate::Dropped(stage, reason));
    }

    /// Ends a frame that has served its purpose.
    #[inline]
    pub fn consume(&mut self, lane: Lane, stage: Stage) {
        self.end(lane, Fate::Consumed(stage));
    }

    /// Ends a frame here that waits for a neighbour: `key` in T13, asked for by `router`.
    #[inline]
    pub fn wait(&mut self, lane: Lane, key: u64, router: RouterIx) {
        self.end(lane, Fate::Waits(key, router));
    }

    /// Its sender shall be told.
    #[inline]
    pub fn owe(&mut self, lane: Lane, owed: Owed) {
        self.owing.insert(lane);
        self.owed[lane] = owed;
    }

    /// Takes the first tag off: the frame is untagged, or what is left is payload.
    #[cold]
    pub fn pop_tag(&mut self, lane: Lane) {
        if self.tags[lane] == 0 {
            return;
        }
        if let Some(head) = self.bytes_mut(lane).first_chunk_mut::<16>() {
            head.copy_within(0..12, 4);
        }
        self.meta[lane].off += 4;
        self.meta[lane].len -= 4;
        if let Checksum::Partial { start, .. } = &mut self.meta[lane].csum {
            *start = start.saturating_sub(4);
        }
        self.l3_off[lane] -= 4;
        self.tags[lane] -= 1;
    }

    #[inline]
    fn end(&mut self, lane: Lane, fate: Fate) {
        self.live.remove(lane);
        self.decided.remove(lane);
        self.ended.insert(lane);
        self.fate[lane] = fate;
    }

    /// Puts a copy of what is known of `b`'s frame at `from` in the first free lane, with its own
    /// buffer and way out. `None`: the burst is full.
    pub fn adopt(&mut self, b: &Burst<'u>, from: Lane, frame: Frame<'u>, out: Out) -> Option<Lane> {
        let lane = self.push_any(frame, b.meta[from], b.door[from]).ok()?;
        self.traced.remove(lane);
        if b.traced.has(from) {
            self.traced.insert(lane);
        }
        self.seg[lane] = b.seg[from];
        self.dst[lane] = b.dst[from];
        self.src[lane] = b.src[from];
        self.ethertype[lane] = b.ethertype[from];
        self.l3[lane] = b.l3[from];
        self.l3_off[lane] = b.l3_off[from];
        self.ip[lane] = b.ip[from];
        self.ip_src[lane] = b.ip_src[from];
        self.ip_dst[lane] = b.ip_dst[from];
        self.ip6_src[lane] = b.ip6_src[from];
        self.ip6_dst[lane] = b.ip6_dst[from];
        self.ports[lane] = b.ports[from];
        self.send(lane, out);
        Some(lane)
    }

    /// No lane free?
    pub fn is_full(&self) -> bool {
        (self.live | self.ended) == Mask(u64::MAX)
    }

    /// Forgets everything; the frames must be gone.
    pub fn clear(&mut self) {
        (self.live, self.decided, self.traced, self.ended) = (Mask::NONE, Mask::NONE, Mask::NONE, Mask::NONE);
        self.arrivals.clear();
        (self.plain, self.fragments, self.source_routed) = (Mask::NONE, Mask::NONE, Mask::NONE);
        (self.vouched, self.ecn_marked) = (Mask::NONE, Mask::NONE);
        (self.nat_src, self.nat_dst, self.unmasked) = (Mask::NONE, Mask::NONE, Mask::NONE);
        (self.cut, self.heavy, self.owing, self.talking) = (Mask::NONE, Mask::NONE, Mask::NONE, Mask::NONE);
        self.unresolved = Mask::NONE;
    }

    /// Frames still to be decided about.
    #[inline(always)]
    pub fn open(&self) -> Mask {
        self.live.without(self.decided)
    }

    /// Decides a frame's way out.
    #[inline(always)]
    pub fn send(&mut self, lane: Lane, out: Out) {
        self.out[lane] = out;
        self.decided.insert(lane);
    }
}

/// Destination and source as the first twelve bytes of a frame.
#[inline(always)]
pub fn write_macs(head: &mut [u8; 12], dst: MacAddr, src: MacAddr) {
    let (first, last) = head.split_at_mut(8);
    first.copy_from_slice(&(dst.to_u64() << 16 | src.to_u64() >> 32).to_be_bytes());
    last.copy_from_slice(&(src.to_u64() as u32).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_walk_their_lanes_in_order() {
        let m = Mask(1 << 63 | 1 << 5 | 1);
        assert_eq!(m.map(Lane::index).collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!(Mask::first(0), Mask::NONE);
        assert_eq!(Mask::first(64), Mask(u64::MAX));
        assert_eq!(Mask::first(3).without(Mask(2)), Mask(5));
        let mut m = Mask::NONE;
        m.insert(Lane(7));
        assert!(m.has(Lane(7)) && !m.has(Lane(6)) && m == Mask::of(Lane(7)));
        m.remove(Lane(7));
        assert!(m.is_empty());
    }

    #[test]
    fn masks_are_sets_of_lanes() {
        use std::collections::BTreeSet;
        let set = |m: Mask| (0..BURST).filter(|n| m.0 >> n & 1 == 1).collect::<BTreeSet<_>>();
        let all: BTreeSet<_> = (0..BURST).collect();
        let masks = [0, 1, 2, 3, 1 << 63, 0xff00, 0x0ff0, u64::MAX - 1, u64::MAX].map(Mask);
        for (a, b) in masks.into_iter().flat_map(|a| masks.map(|b| (a, b))) {
            assert_eq!(set(a | b), &set(a) | &set(b));
            assert_eq!(set(a & b), &set(a) & &set(b));
            assert_eq!(set(a.without(b)), &set(a) - &set(b));
            assert_eq!(set(!a), &all - &set(a));
            let (mut or, mut and) = (a, a);
            or |= b;
            and &= b;
            assert_eq!((or, and), (a | b, a & b));
            assert_eq!(a.chain(b).collect::<Mask>(), a | b, "a lane collected twice is in it");
        }
        for m in masks {
            assert_eq!((m.count(), m.is_empty()), (set(m).len() as u64, set(m).is_empty()));
            for lane in (0..BURST).filter_map(Lane::new) {
                assert_eq!(m.has(lane), set(m).contains(&lane.index()));
                let (mut with, mut without) = (m, m);
                with.insert(lane);
                without.remove(lane);
                assert_eq!((with, without), (m | Mask::of(lane), m.without(Mask::of(lane))));
            }
        }
        assert_eq!(Lane::new(BURST), None);
        assert_eq!([1, 2, 63].map(Mask::first), [1, 3, u64::MAX >> 1].map(Mask));
    }

    #[test]
    fn arrivals_are_those_of_this_burst_in_their_order() {
        let mut arrivals = Arrivals::default();
        let (one, two, rest) = (Mask::first(1), Mask(0b110), Mask(0b1000));
        assert_eq!(arrivals.get(0), None);
        arrivals.add(Door::Port(3), one);
        arrivals.add(Door::Port(4), Mask::NONE); // nothing came by it
        arrivals.add(Door::Tunnel, two);
        arrivals.add(Door::Port(3), rest);
        let runs = |a: &Arrivals| (0..).map_while(|n| a.get(n)).collect::<Vec<_>>();
        assert_eq!(runs(&arrivals), [(Door::Port(3), one), (Door::Tunnel, two), (Door::Port(3), rest)]);
        arrivals.rename(2, Door::Unknown);
        assert_eq!(arrivals.get(2), Some((Door::Unknown, rest)));
        arrivals.clear();
        assert_eq!(runs(&arrivals), []);
        arrivals.add(Door::Phys(0), two);
        assert_eq!(runs(&arrivals), [(Door::Phys(0), two)]);
        // Room for a run of each lane.
        arrivals.clear();
        (0..BURST).filter_map(Lane::new).for_each(|lane| arrivals.add(Door::Tunnel, Mask::of(lane)));
        assert_eq!(runs(&arrivals).len(), BURST);
    }

    #[test]
    fn a_frame_is_received_in_one_piece() {
        let meta = FrameMeta::of_received(256, 60, 7);
        assert_eq!((meta.off, meta.len, meta.segments, meta.rx_time), (256, 60, 1, 7));
        assert_eq!(meta.received(), 256..316);
    }

    #[test]
    fn an_empty_lane_has_no_bytes() {
        let mut b = Burst::default();
        let lane = Lane::new(3).unwrap();
        b.meta[lane] = FrameMeta { off: 10, len: 100, ..FrameMeta::default() };
        assert!(b.bytes(lane).is_empty() && b.bytes_mut(lane).is_empty());
        assert_eq!(b.at::<2>(lane, 0), None);
    }
}
