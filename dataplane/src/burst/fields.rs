//! What the pipeline knows of a frame, lane by lane.

use crate::drop_reason::DropReason;
use crate::stage::Stage;
use crate::tables::{PortIx, RouterIx, TunnelIx};
use crate::wire::icmp::IcmpError;
use std::ops::Range;

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
    /// Bytes of the frame in its chunk, without FCS: all of them, but of a packet of several chunks.
    pub len: u16,
    /// First byte in its chunk of what was received: the outer headers of a tunnel frame.
    pub rx_off: u16,
    /// Length of what was received in this chunk, bytes.
    pub rx_len: u16,
    /// Bytes at the start of the chunk that are the first ones as received; 0 = not saved, as always while drops are
    /// not captured.
    pub rx_head: u8,
    /// Chunks the packet is made of: the others hang behind the first ([`Part`](crate::umem::Part)).
    pub segments: u8,
    /// Transport checksum.
    pub csum: Checksum,
    /// Segmentation.
    pub gso: Gso,
    /// Bytes of the frame in the chunks behind the first.
    pub tail: u32,
    /// When it was received, ns of the dataplane's clock.
    pub rx_time: u64,
}

impl FrameMeta {
    /// Chunks of packet memory the packet takes.
    pub fn chunks(&self) -> usize {
        usize::from(self.segments.max(1))
    }

    /// A frame of `len` bytes received at `off` of its chunk at `time` ns, in one piece.
    pub fn of_received(off: u16, len: u16, time: u64) -> Self {
        FrameMeta { off, len, rx_off: off, rx_len: len, segments: 1, rx_time: time, ..FrameMeta::default() }
    }

    /// Where in the chunk the frame as received lies.
    pub fn received(&self) -> Range<usize> {
        usize::from(self.rx_off)..usize::from(self.rx_off) + usize::from(self.rx_len)
    }

    /// Length of the whole frame, bytes.
    #[inline(always)]
    pub fn whole(&self) -> usize {
        usize::from(self.len) + self.tail as usize
    }

    /// The frame ends after so many bytes; no more than it has.
    #[inline]
    pub fn set_whole(&mut self, whole: usize) {
        let here = usize::from(self.len).min(whole);
        (self.len, self.tail) = (here as u16, (whole - here) as u32);
    }

    /// It is not simply its bytes in its chunk: there are more chunks, or offloads that somebody has to do.
    #[inline(always)]
    pub fn is_heavy(&self) -> bool {
        self.segments > 1 || self.gso != Gso::None || matches!(self.csum, Checksum::Partial { .. })
    }

    /// Largest IP packet it leaves as, bytes, where `headers` are those from IP on up to the payload that is cut.
    pub fn packet_len(&self, total_len: u16, headers: u16) -> u16 {
        match self.gso {
            Gso::None => total_len,
            Gso::TcpV4(size) | Gso::TcpV6(size) | Gso::Udp(size) => total_len.min(headers.saturating_add(size)),
        }
    }

    /// The frame is one made here now: what it was made of has been consumed.
    #[inline(always)]
    pub fn made_here(&mut self) {
        (self.rx_off, self.rx_len, self.rx_head) = (self.off, self.len, 0);
    }
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

/// Fields of an IP header later stages need. One word: a lane of them is found by a shift, and copied in one move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct IpFields {
    /// Whole packet, bytes: IPv4 total length, IPv6 payload length + 40.
    pub total_len: u16,
    /// Bytes before the upper-layer header.
    pub header_len: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Upper-layer protocol, behind IPv6 extension headers.
    pub proto: u8,
    /// Type of service or traffic class: DSCP and ECN.
    pub tos: u8,
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
    /// ICMPv6 redirect.
    Redirect,
}

/// Where a frame came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
    /// To another host, as soon as the MAC of the way there is known: all the rest of the outer headers is on.
    Unresolved(TunnelIx),
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
    /// It waits for its next hop's MAC (R7): the neighbour's key in T13, and the router that asks.
    Waits(u64, RouterIx),
}

/// What the sender of a frame is told about its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// An ICMP error.
    Error(IcmpError),
    /// A TCP reset.
    Reset,
}

/// Which way the sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Out by where the frame came in, Ethernet addresses swapped.
    Door,
    /// Routed by the router that tells.
    Router,
}

/// A frame that the end of another one owes to its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// What is said.
    pub word: Word,
    /// By whom: IPv4 address, host byte order.
    pub src: u32,
    /// The router that says it.
    pub router: RouterIx,
    /// Which way.
    pub back: Back,
}

impl Owed {
    /// What stands where nothing is owed.
    pub const NONE: Owed = Owed { word: Word::Reset, src: 0, router: 0, back: Back::Door };
}
