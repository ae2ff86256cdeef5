//! [`Burst`]: up to 64 frames as a structure of arrays, and the [`Mask`] that says which of them a
//! stage is about.

use crate::addr::MacAddr;
use crate::drop_reason::DropReason;
use crate::stage::Stage;
use crate::tables::{PortIx, SegIx, TunnelIx};
use crate::umem::Frame;
use std::num::NonZeroU64;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Index, IndexMut, Not};

/// Frames in a burst. Measured: staged lookups reach their speed at 32 to 64, more buys latency only.
pub const BURST: usize = 64;

/// A frame's place in its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane(u8);

impl Lane {
    /// Lane number `n`, `None` past the burst.
    pub fn new(n: usize) -> Option<Lane> {
        (n < BURST).then_some(Lane(n as u8))
    }

    /// Its number.
    #[inline(always)]
    pub fn index(self) -> usize {
        usize::from(self.0) & (BURST - 1)
    }
}

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(pub u64);

impl Mask {
    /// No lane.
    pub const NONE: Mask = Mask(0);

    /// The first `n` lanes.
    pub fn first(n: usize) -> Mask {
        Mask(if n >= BURST { u64::MAX } else { (1 << n) - 1 })
    }

    /// Just `lane`.
    #[inline(always)]
    pub fn of(lane: Lane) -> Mask {
        Mask(1 << lane.index())
    }

    /// Is `lane` in it?
    #[inline(always)]
    pub fn has(self, lane: Lane) -> bool {
        self.0 >> lane.index() & 1 != 0
    }

    /// Adds `lane`.
    #[inline(always)]
    pub fn insert(&mut self, lane: Lane) {
        self.0 |= 1 << lane.index();
    }

    /// Takes `lane` out.
    #[inline(always)]
    pub fn remove(&mut self, lane: Lane) {
        self.0 &= !(1 << lane.index());
    }

    /// How many lanes.
    #[inline(always)]
    pub fn count(self) -> u64 {
        u64::from(self.0.count_ones())
    }

    /// No lane at all?
    #[inline(always)]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In `self` and not in `other`.
    #[inline(always)]
    pub fn without(self, other: Mask) -> Mask {
        Mask(self.0 & !other.0)
    }
}

impl Iterator for Mask {
    type Item = Lane;

    /// Takes out and returns the lowest lane.
    #[inline(always)]
    fn next(&mut self) -> Option<Lane> {
        // NonZero tells the compiler that the lane is below 64.
        let lane = Lane(NonZeroU64::new(self.0)?.trailing_zeros() as u8);
        self.0 &= self.0 - 1;
        Some(lane)
    }
}

impl BitAnd for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitand(self, o: Mask) -> Mask {
        Mask(self.0 & o.0)
    }
}

impl BitOr for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitor(self, o: Mask) -> Mask {
        Mask(self.0 | o.0)
    }
}

impl Not for Mask {
    type Output = Mask;
    #[inline(always)]
    fn not(self) -> Mask {
        Mask(!self.0)
    }
}

impl BitAndAssign for Mask {
    #[inline(always)]
    fn bitand_assign(&mut self, o: Mask) {
        self.0 &= o.0;
    }
}

impl BitOrAssign for Mask {
    #[inline(always)]
    fn bitor_assign(&mut self, o: Mask) {
        self.0 |= o.0;
    }
}

/// One value per lane.
#[derive(Clone, Debug)]
pub struct Lanes<T>([T; BURST]);

impl<T: Copy> Lanes<T> {
    /// The same value in every lane.
    #[inline(always)]
    pub fn splat(v: T) -> Self {
        Lanes([v; BURST])
    }
}

impl<T> Index<Lane> for Lanes<T> {
    type Output = T;
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "Lane::index is below BURST")]
    fn index(&self, lane: Lane) -> &T {
        &self.0[lane.index()]
    }
}

impl<T> IndexMut<Lane> for Lanes<T> {
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "Lane::index is below BURST")]
    fn index_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane.index()]
    }
}

/// What is known of a frame's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: it is in the frame, right or wrong.
    #[default]
    None,
    /// The NIC found it right.
    Verified,
    /// Not filled in yet: sum from `start`, store at `start + offset` (virtio `csum_start`, `csum_offset`).
    Partial {
        /// First byte summed, from the start of the frame.
        start: u16,
        /// Where the sum goes, from `start`.
        offset: u16,
    },
}

/// Segmentation a frame still needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gso {
    /// None: it is one packet.
    #[default]
    None,
    /// TCP over IPv4, `size` payload bytes a segment.
    TcpV4(u16),
    /// TCP over IPv6.
    TcpV6(u16),
    /// UDP, `size` payload bytes a datagram.
    Udp(u16),
}

/// What goes with a frame beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameMeta {
    /// First byte of the frame in its chunk.
    pub off: u16,
    /// Length of the frame, bytes, without FCS.
    pub len: u16,
    /// Chunks the packet is made of; 1 until multi-buffer ports exist.
    pub segments: u8,
    /// Transport checksum.
    pub csum: Checksum,
    /// Segmentation.
    pub gso: Gso,
    /// The NIC's flow hash, 0 = none.
    pub rx_hash: u32,
    /// When it was received, ns of the dataplane's clock.
    pub rx_time: u64,
}

/// Layer 3 of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum L3 {
    /// Anything the pipeline does not look into.
    #[default]
    Other,
    /// IPv4, header checked (I0).
    Ipv4,
    /// IPv6, header and extension chain checked.
    Ipv6,
    /// ARP for IPv4 over Ethernet, checked.
    Arp,
    /// Reverse ARP (RFC 903): a hypervisor announces a migrated guest.
    Rarp,
}

/// Fields of an IP header later stages need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpFields {
    /// Whole packet, bytes: IPv4 total length, IPv6 payload length + 40.
    pub total_len: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Upper-layer protocol, behind IPv6 extension headers.
    pub proto: u8,
    /// Type of service or traffic class: DSCP and ECN.
    pub tos: u8,
    /// Bytes before the upper-layer header.
    pub header_len: u16,
    /// More fragments, or offset above 0.
    pub fragment: bool,
    /// IPv4 options hold LSRR or SSRR.
    pub src_route: bool,
    /// ICMPv6 type, 0 if it is none.
    pub icmp6_type: u8,
}

/// What an ARP or ND frame is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Talk {
    /// Neither.
    #[default]
    None,
    /// ARP request.
    ArpRequest,
    /// ARP reply.
    ArpReply,
    /// ICMPv6 router solicitation.
    RouterSolicit,
    /// ICMPv6 router advertisement.
    RouterAdvert,
    /// ICMPv6 neighbour solicitation.
    NeighSolicit,
    /// ICMPv6 neighbour advertisement.
    NeighAdvert,
}

/// Where a frame came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// A VM or service port.
    Port(PortIx),
    /// The underlay NIC.
    Tunnel,
    /// A physical network's NIC, by its number.
    Phys(u8),
    /// A port that has no row on this host.
    #[default]
    Unknown,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Out {
    /// Not decided.
    #[default]
    Undecided,
    /// To a port of this host.
    Port(PortIx),
    /// To another host.
    Tunnel(TunnelIx),
    /// To the network's physical network.
    Phys,
    /// To each receiver of a set.
    Flood(FloodSet),
}

/// Whom a flooded frame is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloodSet {
    /// All ACTIVE local ports (L6); otherwise only those with port security off (L3).
    pub all_ports: bool,
    /// The flood VTEPs and the physical network too.
    pub fabric: bool,
}

/// How a frame ended inside the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Dropped, here and why.
    Dropped(Stage, DropReason),
    /// Its purpose is served (answered, swallowed).
    Consumed(Stage),
}

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
    /// Network; changes when routed.
    pub seg: Lanes<SegIx>,
    /// Tunnel it came through.
    pub tunnel: Lanes<TunnelIx>,
    /// ECN bits of the outer header it came in.
    pub outer_ecn: Lanes<u8>,
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
    /// IP header.
    pub ip: Lanes<IpFields>,
    /// IPv4 source, ARP sender address.
    pub ip_src: Lanes<u32>,
    /// IPv4 destination, ARP target address.
    pub ip_dst: Lanes<u32>,
    /// Source port << 16 | destination port of an unfragmented TCP, UDP or SCTP packet, otherwise 0.
    pub ports: Lanes<u32>,
    /// ARP or ND.
    pub talk: Lanes<Talk>,
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
    /// What T06 says of the source (tunnel frames).
    pub src_fdb: Lanes<u64>,
    /// Way out, once `decided`.
    pub out: Lanes<Out>,
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
            seg: Lanes::splat(0),
            tunnel: Lanes::splat(0),
            outer_ecn: Lanes::splat(0),
            dst: Lanes::splat(MacAddr::ZERO),
            src: Lanes::splat(MacAddr::ZERO),
            ethertype: Lanes::splat(0),
            tags: Lanes::splat(0),
            tci: Lanes::splat(0),
            l3: Lanes::splat(L3::Other),
            l3_off: Lanes::splat(0),
            ip: Lanes::splat(IpFields::default()),
            ip_src: Lanes::splat(0),
            ip_dst: Lanes::splat(0),
            ports: Lanes::splat(0),
            talk: Lanes::splat(Talk::None),
            inner_mac: Lanes::splat(MacAddr::ZERO),
            ip6_src: Lanes::splat(0),
            ip6_dst: Lanes::splat(0),
            nd_target: Lanes::splat(0),
            vni: Lanes::splat(0),
            vouched: Mask::NONE,
            src_fdb: Lanes::splat(0),
            out: Lanes::splat(Out::Undecided),
        }
    }
}

impl<'u> Burst<'u> {
    /// Puts a received frame in the first free lane; the frame comes back if the burst is full.
    pub fn push(&mut self, frame: Frame<'u>, meta: FrameMeta, door: Door) -> Result<Lane, Frame<'u>> {
        let taken = self.live | self.ended;
        let Some(lane) = (!taken).next() else { return Err(frame) };
        self.frame[lane] = Some(frame);
        self.meta[lane] = meta;
        self.door[lane] = door;
        self.live.insert(lane);
        Ok(lane)
    }

    /// The bytes of a frame.
    #[inline(always)]
    pub fn bytes(&self, lane: Lane) -> &[u8] {
        let meta = &self.meta[lane];
        let chunk = self.frame[lane].as_ref().map(Frame::chunk);
        let start = usize::from(meta.off);
        chunk.and_then(|c| c.get(start..start + usize::from(meta.len))).unwrap_or_default()
    }

    /// The bytes of a frame, to write.
    #[inline(always)]
    pub fn bytes_mut(&mut self, lane: Lane) -> &mut [u8] {
        let start = usize::from(self.meta[lane].off);
        let end = start + usize::from(self.meta[lane].len);
        let chunk = self.frame[lane].as_mut().map(Frame::chunk_mut);
        chunk.and_then(|c| c.get_mut(start..end)).unwrap_or_default()
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

    /// Writes both Ethernet addresses, in the frame and in the arrays.
    #[inline(always)]
    pub fn set_macs(&mut self, lane: Lane, dst: MacAddr, src: MacAddr) {
        self.dst[lane] = dst;
        self.src[lane] = src;
        if let Some(head) = self.at_mut::<12>(lane, 0) {
            write_macs(head, dst, src);
        }
    }

    /// Writes the Ethernet source.
    #[inline(always)]
    pub fn set_src(&mut self, lane: Lane, src: MacAddr) {
        self.src[lane] = src;
        if let Some(field) = self.at_mut::<6>(lane, 6) {
            let (first, last) = field.split_at_mut(2);
            first.copy_from_slice(&((src.to_u64() >> 32) as u16).to_be_bytes());
            last.copy_from_slice(&(src.to_u64() as u32).to_be_bytes());
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

    #[inline]
    fn end(&mut self, lane: Lane, fate: Fate) {
        self.live.remove(lane);
        self.decided.remove(lane);
        self.ended.insert(lane);
        self.fate[lane] = fate;
    }

    /// Puts a copy of what is known of `b`'s frame at `from` in the first free lane, with its own
    /// buffer and way out.
    pub fn adopt(&mut self, b: &Burst<'u>, from: Lane, frame: Frame<'u>, out: Out) {
        let Ok(lane) = self.push(frame, b.meta[from], b.door[from]) else { return };
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
    }

    /// No lane free?
    pub fn is_full(&self) -> bool {
        (self.live | self.ended) == Mask(u64::MAX)
    }

    /// Forgets everything; the frames must be gone.
    pub fn clear(&mut self) {
        (self.live, self.decided, self.traced, self.ended) = (Mask::NONE, Mask::NONE, Mask::NONE, Mask::NONE);
        self.vouched = Mask::NONE;
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
    fn an_empty_lane_has_no_bytes() {
        let mut b = Burst::default();
        let lane = Lane::new(3).unwrap();
        b.meta[lane] = FrameMeta { off: 10, len: 100, ..FrameMeta::default() };
        assert!(b.bytes(lane).is_empty() && b.bytes_mut(lane).is_empty());
        assert_eq!(b.at::<2>(lane, 0), None);
    }
}
