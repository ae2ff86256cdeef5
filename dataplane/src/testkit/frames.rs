//! Frames, byte for byte. Headers and their checksums come from etherparse, never from the code
//! under test; ND, whose malformed forms matter most, is written out.

use crate::addr::MacAddr;
use crate::testkit::fixture::Host;
use etherparse::checksum::Sum16BitWords;
use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacket, EtherType, Ethernet2Header, IcmpEchoHeader, Icmpv4Header, Icmpv4Type,
    IpFragOffset, IpNumber, Ipv4Header, Ipv4HeaderSlice, Ipv4Options, Ipv6Header, NetSlice, SlicedPacket, TcpHeader,
    TransportSlice, UdpHeader,
};

/// Where things begin in a packet made by [`vx`].
pub const OUTER_IP: usize = 14;
pub const OUTER_UDP: usize = 34;
pub const VXLAN: usize = 42;
pub const INNER: usize = 50;

pub fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

pub fn ip(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()
}

pub fn ip6(text: &str) -> u128 {
    text.parse::<std::net::Ipv6Addr>().unwrap().to_bits()
}

/// What stands behind an Ethernet header.
#[derive(Clone, Debug)]
pub struct Payload {
    pub ethertype: u16,
    pub bytes: Vec<u8>,
}

/// An untagged Ethernet frame.
pub fn eth(src: MacAddr, dst: MacAddr, payload: Payload) -> Vec<u8> {
    let head =
        Ethernet2Header { source: src.octets(), destination: dst.octets(), ether_type: EtherType(payload.ethertype) };
    [&head.to_bytes()[..], &payload.bytes].concat()
}

/// Any other EtherType.
pub fn other(ethertype: u16, bytes: &[u8]) -> Payload {
    Payload { ethertype, bytes: bytes.to_vec() }
}

/// The frame with 802.1Q tags behind its addresses, outermost first; each is the tag's control information.
pub fn tagged(frame: &[u8], tags: &[u16]) -> Vec<u8> {
    let tags: Vec<u8> = tags.iter().flat_map(|tci| [[0x81, 0x00], tci.to_be_bytes()].concat()).collect();
    [&frame[..12], &tags, &frame[12..]].concat()
}

/// The frame on physnet1, with V's VLAN id.
pub fn phy(frame: &[u8]) -> Vec<u8> {
    tagged(frame, &[300])
}

/// The frame on physext, with X's VLAN id.
pub fn ext(frame: &[u8]) -> Vec<u8> {
    tagged(frame, &[100])
}

/// The frame with `n` bytes of padding behind it.
pub fn padded(frame: &[u8], n: usize) -> Vec<u8> {
    [frame, &vec![0xee; n]].concat()
}

/// The frame with the bytes at `at` replaced.
pub fn with(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}

/// The frame with the checksum of the IPv4 header at `at` made right again.
pub fn with_right_sum(frame: &[u8], at: usize) -> Vec<u8> {
    let len = usize::from(frame[at] & 15) * 4;
    let cleared = with(frame, at + 10, &[0, 0]);
    with(frame, at + 10, &ones_complement(Sum16BitWords::new().add_slice(&cleared[at..at + len])))
}

fn ones_complement(sum: Sum16BitWords) -> [u8; 2] {
    sum.ones_complement().to_ne_bytes() // etherparse sums words as they lie in memory
}

/// An IPv4 packet about to get its payload.
#[derive(Clone, Debug)]
pub struct Ip4(Ipv4Header);

/// TTL 64, ID 0x2a2a, no DF, TOS 0.
pub fn ip4(src: u32, dst: u32) -> Ip4 {
    let mut h = Ipv4Header::new(0, 64, IpNumber::UDP, src.to_be_bytes(), dst.to_be_bytes()).unwrap();
    h.dont_fragment = false;
    h.identification = 0x2a2a;
    Ip4(h)
}

impl Ip4 {
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.0.time_to_live = ttl;
        self
    }

    pub fn df(mut self) -> Self {
        self.0.dont_fragment = true;
        self
    }

    pub fn tos(mut self, tos: u8) -> Self {
        self.0.dscp = (tos >> 2).try_into().unwrap();
        self.0.ecn = (tos & 3).try_into().unwrap();
        self
    }

    pub fn id(mut self, id: u16) -> Self {
        self.0.identification = id;
        self
    }

    /// A fragment `offset` times 8 bytes into its datagram.
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.0.fragment_offset = IpFragOffset::try_new(offset).unwrap();
        self.0.more_fragments = more;
        self
    }

    /// Whole words only.
    pub fn options(mut self, options: &[u8]) -> Self {
        self.0.options = Ipv4Options::try_from(options).unwrap();
        self
    }

    pub fn udp(self, src: u16, dst: u16, data: &[u8]) -> Payload {
        let h = UdpHeader::with_ipv4_checksum(src, dst, &self.0, data).unwrap();
        self.carry(IpNumber::UDP, &[&h.to_bytes(), data].concat())
    }

    pub fn tcp(self, src: u16, dst: u16) -> Payload {
        let mut h = TcpHeader::new(src, dst, 1, 1024);
        h.syn = true;
        h.checksum = h.calc_checksum_ipv4(&self.0, &[]).unwrap();
        self.carry(IpNumber::TCP, &h.to_bytes())
    }

    /// Any segment; its checksum is filled in.
    pub fn segment(self, mut h: TcpHeader, data: &[u8]) -> Payload {
        h.checksum = h.calc_checksum_ipv4(&self.0, data).unwrap();
        self.carry(IpNumber::TCP, &[&h.to_bytes(), data].concat())
    }

    pub fn echo(self, id: u16, seq: u16, data: &[u8]) -> Payload {
        self.icmp(Icmpv4Type::EchoRequest(IcmpEchoHeader { id, seq }), data)
    }

    pub fn echo_reply(self, id: u16, seq: u16, data: &[u8]) -> Payload {
        self.icmp(Icmpv4Type::EchoReply(IcmpEchoHeader { id, seq }), data)
    }

    pub fn icmp(self, kind: Icmpv4Type, data: &[u8]) -> Payload {
        let h = Icmpv4Header::with_checksum(kind, data);
        self.carry(IpNumber::ICMP, &[&h.to_bytes(), data].concat())
    }

    /// Any protocol, any bytes.
    pub fn carry(mut self, proto: impl Into<IpNumber>, data: &[u8]) -> Payload {
        self.0.protocol = proto.into();
        self.0.total_len = (self.0.header_len() + data.len()) as u16;
        self.0.header_checksum = self.0.calc_header_checksum();
        Payload { ethertype: 0x0800, bytes: [&self.0.to_bytes(), data].concat() }
    }
}

/// Type, code and next-hop MTU of the ICMP errors a router sends (RFC 792; RFC 1191, 4).
pub const EXCEEDED: (u8, u8, u16) = (11, 0, 0);
pub const NET: (u8, u8, u16) = (3, 0, 0);
pub const HOST: (u8, u8, u16) = (3, 1, 0);
pub const PORT: (u8, u8, u16) = (3, 3, 0);
pub const fn too_big(mtu: u16) -> (u8, u8, u16) {
    (3, 4, mtu)
}

/// The ICMP error of `from` about the IPv4 packet `offender`, to its source, written from 3.10 of the specification: TTL
/// 64, TOS 0xc0, DF, ID 0, quoting as much as fits 576 bytes in all.
pub fn icmp_error(from: u32, error: (u8, u8, u16), offender: &Payload) -> Payload {
    icmp_error_ttl(from, error, offender, 64)
}

/// The same after some routers.
pub fn icmp_error_ttl(from: u32, (kind, code, mtu): (u8, u8, u16), offender: &Payload, ttl: u8) -> Payload {
    let to = Ipv4HeaderSlice::from_slice(&offender.bytes).unwrap().source_addr().to_bits();
    let quote = &offender.bytes[..offender.bytes.len().min(576 - 28)];
    let mut message = [&[kind, code, 0, 0, 0, 0], &mtu.to_be_bytes()[..], quote].concat();
    let sum = ones_complement(Sum16BitWords::new().add_slice(&message));
    message[2..4].copy_from_slice(&sum);
    ip4(from, to).ttl(ttl).tos(0xc0).df().id(0).carry(1, &message)
}

/// An IPv6 packet about to get its payload, extension headers before it as they are added.
#[derive(Clone, Debug)]
pub struct Ip6 {
    src: u128,
    dst: u128,
    hop_limit: u8,
    tos: u8,
    first: u8,
    chain: Vec<u8>,
    /// Where the next header's number goes in `chain`; `None`: in the IPv6 header.
    link: Option<usize>,
}

/// Hop limit 64.
pub fn v6(src: u128, dst: u128) -> Ip6 {
    Ip6 { src, dst, hop_limit: 64, tos: 0, first: 59, chain: Vec::new(), link: None }
}

impl Ip6 {
    pub fn hop_limit(mut self, n: u8) -> Self {
        self.hop_limit = n;
        self
    }

    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// An extension header: its number and its bytes, the first of which names the next header.
    pub fn ext(mut self, kind: u8, bytes: &[u8]) -> Self {
        self.next(kind);
        self.link = Some(self.chain.len());
        self.chain.extend_from_slice(bytes);
        self
    }

    /// A fragment header; `offset` in units of 8 bytes.
    pub fn fragment(self, offset: u16, more: bool) -> Self {
        let word = (offset << 3 | u16::from(more)).to_be_bytes();
        self.ext(44, &[0, 0, word[0], word[1], 0, 0, 0, 7])
    }

    fn next(&mut self, kind: u8) {
        match self.link {
            None => self.first = kind,
            Some(at) => self.chain[at] = kind,
        }
    }

    pub fn udp(self, src: u16, dst: u16, data: &[u8]) -> Payload {
        let h = UdpHeader::with_ipv6_checksum(src, dst, &self.header(0), data).unwrap();
        self.carry(17, &[&h.to_bytes(), data].concat())
    }

    /// An ICMPv6 message: type, code, and what follows the checksum, which is filled in.
    pub fn icmp(self, kind: u8, code: u8, rest: &[u8]) -> Payload {
        let mut message = [&[kind, code, 0, 0], rest].concat();
        let sum = Sum16BitWords::new()
            .add_16bytes(self.src.to_be_bytes())
            .add_16bytes(self.dst.to_be_bytes())
            .add_4bytes((message.len() as u32).to_be_bytes())
            .add_4bytes([0, 0, 0, 58])
            .add_slice(&message);
        message[2..4].copy_from_slice(&ones_complement(sum));
        self.carry(58, &message)
    }

    pub fn carry(mut self, proto: u8, data: &[u8]) -> Payload {
        self.next(proto);
        let len = (self.chain.len() + data.len()) as u16;
        Payload { ethertype: 0x86dd, bytes: [&self.header(len).to_bytes()[..], &self.chain, data].concat() }
    }

    fn header(&self, payload_length: u16) -> Ipv6Header {
        Ipv6Header {
            traffic_class: self.tos,
            flow_label: Default::default(),
            payload_length,
            next_header: IpNumber(self.first),
            hop_limit: self.hop_limit,
            source: self.src.to_be_bytes(),
            destination: self.dst.to_be_bytes(),
        }
    }
}

/// Neighbour solicitation for `target`, with a source link-layer option if `from` is given.
pub fn ns(src: u128, dst: u128, target: u128, from: Option<MacAddr>) -> Payload {
    let option = from.map_or(Vec::new(), |m| [&[1, 1], &m.octets()[..]].concat());
    v6(src, dst).hop_limit(255).icmp(135, 0, &[&[0; 4], &target.to_be_bytes()[..], &option].concat())
}

/// Neighbour advertisement of `target` at `from`.
pub fn na(src: u128, dst: u128, target: u128, from: MacAddr) -> Payload {
    let body = [&[0x20, 0, 0, 0], &target.to_be_bytes()[..], &[2, 1], &from.octets()].concat();
    v6(src, dst).hop_limit(255).icmp(136, 0, &body)
}

/// Router solicitation.
pub fn rs(src: u128, from: MacAddr) -> Payload {
    v6(src, ip6("ff02::2")).hop_limit(255).icmp(133, 0, &[&[0, 0, 0, 0, 1, 1], &from.octets()[..]].concat())
}

/// Router advertisement.
pub fn ra(src: u128) -> Payload {
    v6(src, ip6("ff02::1")).hop_limit(255).icmp(134, 0, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn arp(op: u16, ethertype: u16, sender: (MacAddr, u32), target: (MacAddr, u32)) -> Payload {
    let (sha, spa) = (sender.0.octets(), sender.1.to_be_bytes());
    let (tha, tpa) = (target.0.octets(), target.1.to_be_bytes());
    let p = ArpPacket::new(ArpHardwareId::ETHERNET, EtherType::IPV4, ArpOperation(op), &sha, &spa, &tha, &tpa).unwrap();
    Payload { ethertype, bytes: p.to_bytes().to_vec() }
}

/// Who has `tpa`?
pub fn arp_request(sha: MacAddr, spa: u32, tpa: u32) -> Payload {
    arp(1, 0x0806, (sha, spa), (MacAddr::ZERO, tpa))
}

/// `spa` is at `sha`.
pub fn arp_reply(sha: MacAddr, spa: u32, tha: MacAddr, tpa: u32) -> Payload {
    arp(2, 0x0806, (sha, spa), (tha, tpa))
}

/// RARP request for one's own address, as a hypervisor sends it for a guest that moved.
pub fn rarp(sha: MacAddr) -> Payload {
    arp(3, 0x8035, (sha, 0), (sha, 0))
}

/// `inner` as one host's VTEP sends it to another's (3.10: ID 0, DF, TTL 64, UDP checksum 0, flags 0x08).
pub fn vx(from: Host, to: Host, vni: u32, inner: &[u8]) -> Vec<u8> {
    vx_tos(from, to, vni, 0, inner)
}

/// The same with the outer TOS given.
pub fn vx_tos(from: Host, to: Host, vni: u32, tos: u8, inner: &[u8]) -> Vec<u8> {
    let mut h = Ipv4Header::new(0, 64, IpNumber::UDP, from.vtep.to_be_bytes(), to.vtep.to_be_bytes()).unwrap();
    h.dscp = (tos >> 2).try_into().unwrap();
    h.ecn = (tos & 3).try_into().unwrap();
    h.identification = 0;
    h.dont_fragment = true;
    let [_, v0, v1, v2] = vni.to_be_bytes();
    let vxlan = [0x08, 0, 0, 0, v0, v1, v2, 0];
    let data = [&vxlan[..], inner].concat();
    let udp = UdpHeader {
        source_port: if inner.len() < 14 { 50000 } else { source_port(inner) },
        destination_port: 4789,
        length: (data.len() + 8) as u16,
        checksum: 0,
    };
    eth(from.nic, to.nic, Ip4(h).carry(IpNumber::UDP, &[&udp.to_bytes(), &data[..]].concat()))
}

/// The outer source port of `frame`, written from 3.10 of the specification and from nothing else.
pub fn source_port(frame: &[u8]) -> u16 {
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |all, b| all << 8 | u64::from(*b));
    let (a, b) = match word(&frame[12..14]) {
        0x0800 => {
            let h = Ipv4HeaderSlice::from_slice(&frame[14..]).unwrap();
            let fragment = h.more_fragments() || h.fragments_offset().value() > 0;
            let payload = &frame[14 + h.slice().len()..14 + usize::from(h.total_len())];
            let proto = h.protocol().0;
            let ports = matches!(proto, 6 | 17 | 132) && !fragment && payload.len() >= 4;
            let (sport, dport) = if ports { (word(&payload[..2]), word(&payload[2..4])) } else { (0, 0) };
            (word(&h.source()) << 32 | word(&h.destination()), u64::from(proto) << 32 | sport << 16 | dport)
        }
        0x86dd => {
            let packet = SlicedPacket::from_ethernet(frame).unwrap();
            let Some(NetSlice::Ipv6(v6)) = &packet.net else { panic!("no IPv6 in {frame:02x?}") };
            let (sport, dport) = match &packet.transport {
                Some(TransportSlice::Udp(u)) => (u.source_port(), u.destination_port()),
                Some(TransportSlice::Tcp(t)) => (t.source_port(), t.destination_port()),
                _ => (0, 0),
            };
            let (s, d) = (v6.header().source(), v6.header().destination());
            let a = word(&s[..8]) ^ word(&s[8..]) ^ word(&d[..8]) ^ word(&d[8..]);
            (a, u64::from(v6.payload().ip_number.0) << 32 | u64::from(sport) << 16 | u64::from(dport))
        }
        kind => (word(&frame[0..6]), word(&frame[6..12]) << 16 | kind),
    };
    let mut h = (a ^ b.rotate_left(24)).wrapping_mul(0x9E3779B97F4A7C15);
    h ^= h >> 32;
    h = h.wrapping_mul(0xD6E8FEB86659FD93);
    (49152 + (h >> 50)) as u16
}
