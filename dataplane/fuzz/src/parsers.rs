//! The dataplane's parsers, frame by frame, beside etherparse's.

use crate::check::{eth, header_sum_good};
use control::model::Cloud;
use control::rows::Rows;
use control::writer::{Limits, Writer};
use crossbeam::queue::ArrayQueue;
use dataplane::addr::MacAddr;
use dataplane::burst::{Burst, Door, Fate, FrameMeta, IpFields, L3, Lane, Mask, Talk};
use dataplane::counters::WorkerCounters;
use dataplane::drop_reason::DropReason;
use dataplane::learn::LearnQueue;
use dataplane::stage::{self, Ctx};
use dataplane::trace::Tracer;
use dataplane::umem::{FramePool, HEADROOM, MAX_FRAME, Umem};
use dataplane::worker::WorkerView;
use etherparse::{Icmpv6Slice, IpNumber, Ipv4HeaderSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, UdpSlice};
use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Stages of one host, callable one by one.
struct Bench {
    view: WorkerView,
    pool: FramePool<'static>,
    burst: Box<Burst<'static>>,
    count: WorkerCounters,
    learn: LearnQueue,
    tracer: Tracer,
    /// Keeps the tables alive.
    _writer: Writer,
}

thread_local! {
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

impl Bench {
    fn new() -> Bench {
        let cloud = Cloud::from_json(crate::REFERENCE, "cloud.json").expect("the reference cloud");
        let rows = Rows::derive(&cloud, "H1").expect("H1 is there");
        let mut writer = Writer::new(1, Limits::for_rows(&rows));
        writer.apply(&rows, None).expect("the reference cloud fits");
        let umem: &'static mut Umem = Box::leak(Box::new(Umem::new(1)));
        Bench {
            view: writer.view(0).expect("a worker"),
            pool: umem.pools(1).pop().expect("a pool"),
            burst: Box::default(),
            count: WorkerCounters::new(8, 2),
            learn: Arc::new(ArrayQueue::new(1)),
            tracer: Tracer::new(1),
            _writer: writer,
        }
    }

    /// Runs `stages` on one frame and hands over what the burst then knows of it.
    fn run(
        &mut self,
        bytes: &[u8],
        door: Door,
        stages: fn(&mut Burst<'_>, &Ctx<'_>, Mask),
        see: impl FnOnce(&Burst<'_>, Lane),
    ) {
        let mut frame = self.pool.take().expect("the only frame is here between inputs");
        frame.chunk_mut()[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let meta = FrameMeta { off: HEADROOM as u16, len: bytes.len() as u16, segments: 1, ..FrameMeta::default() };
        let lane = self.burst.push(frame, meta, door).expect("the burst is empty");
        let x = Ctx {
            snap: self.view.published.load(),
            newest: &self.view.newest,
            tables: &self.view.tables,
            count: &self.count,
            learn: &self.learn,
            region: self.pool.region(),
            tracer: &self.tracer,
            tap: None,
            clock: None,
            waiting: &[],
        };
        stages(&mut self.burst, &x, Mask::of(lane));
        see(&self.burst, lane);
        let frame = self.burst.frame[lane].take().expect("no stage here sends");
        self.pool.put(frame);
        self.burst.clear();
    }
}

fn with(f: impl FnOnce(&mut Bench)) {
    BENCH.with_borrow_mut(|bench| f(bench.get_or_insert_with(Bench::new)));
}

/// Why a frame was dropped; `None` if it was not.
fn dropped(b: &Burst<'_>, lane: Lane) -> Option<DropReason> {
    match b.fate[lane] {
        Fate::Dropped(_, reason) if b.ended.has(lane) => Some(reason),
        _ => None,
    }
}

/// I0 beside etherparse.
pub fn decode(data: &[u8]) {
    let data = data.get(..MAX_FRAME).unwrap_or(data);
    with(|bench| bench.run(data, Door::Port(0), stage::decode, |b, lane| same(data, b, lane)));
}

fn same(data: &[u8], b: &Burst<'_>, lane: Lane) {
    let got = dropped(b, lane);
    let expected = expected(data);
    match (&got, &expected) {
        (Some(got), Err(reason)) => assert_eq!(got, reason, "dropped for another reason: {data:02x?}"),
        (None, Ok(read)) => {
            let (l3, l3_off) = (b.l3[lane], usize::from(b.l3_off[lane]));
            assert_eq!((b.dst[lane], b.src[lane]), (read.dst, read.src), "MACs");
            assert_eq!((b.ethertype[lane], l3_off, b.tags[lane]), (read.kind, read.at, read.tags), "EtherType, tags");
            assert!(read.tags == 0 || b.tci[lane] == read.tci, "TCI");
            assert_eq!(l3, read.l3, "layer 3");
            let ours = Net {
                ip: if matches!(l3, L3::Ipv4 | L3::Ipv6) { b.ip[lane] } else { IpFields::default() },
                v4: if matches!(l3, L3::Ipv4 | L3::Arp) { (b.ip_src[lane], b.ip_dst[lane]) } else { (0, 0) },
                v6: if l3 == L3::Ipv6 { (b.ip6_src[lane], b.ip6_dst[lane]) } else { (0, 0) },
                fragment: b.fragments.has(lane),
                src_route: b.source_routed.has(lane),
                ports: b.ports[lane],
                talk: b.talk[lane],
                mac: if matches!(l3, L3::Arp | L3::Rarp) || b.talk[lane] != Talk::None {
                    b.inner_mac[lane]
                } else {
                    MacAddr::ZERO
                },
                target: if matches!(b.talk[lane], Talk::NeighSolicit | Talk::NeighAdvert) {
                    b.nd_target[lane]
                } else {
                    0
                },
            };
            assert_eq!(ours, read.net, "what is read of {data:02x?}");
        }
        _ => panic!("ours {got:?}, expected {:?} for {data:02x?}", expected.as_ref().err()),
    }
}

/// A frame as docs/behaviour.md (I0) says, read with etherparse.
#[derive(Debug, Default)]
struct Read {
    dst: MacAddr,
    src: MacAddr,
    kind: u16,
    at: usize,
    tags: u8,
    tci: u16,
    l3: L3,
    net: Net,
}

#[derive(Debug, Default, PartialEq)]
struct Net {
    ip: IpFields,
    fragment: bool,
    src_route: bool,
    v4: (u32, u32),
    v6: (u128, u128),
    ports: u32,
    talk: Talk,
    mac: MacAddr,
    target: u128,
}

const BAD: DropReason = DropReason::ParseL3;

fn expected(data: &[u8]) -> Result<Read, DropReason> {
    let e = eth(data).ok_or(DropReason::ParseShort)?;
    let (dst, src) = (MacAddr::new(e.dst), MacAddr::new(e.src));
    if e.src[0] & 1 == 1 || e.src == [0; 6] {
        return Err(DropReason::EthSrcBad);
    }
    if e.dst[..5] == [0x01, 0x80, 0xc2, 0, 0] && e.dst[5] < 0x10 {
        return Err(DropReason::LinkLocalMcast);
    }
    let mut read = Read { dst, src, kind: e.kind, at: 14, ..Read::default() };
    let mut body = e.body;
    while matches!(read.kind, 0x8100 | 0x88a8) && read.tags < 2 {
        let tag = etherparse::SingleVlanSlice::from_slice(body).map_err(|_| BAD)?;
        if read.tags == 0 {
            read.tci = u16::from_be_bytes([body[0], body[1]]);
        }
        (read.kind, read.at, read.tags) = (tag.ether_type().0, read.at + 4, read.tags + 1);
        body = tag.payload_slice();
    }
    (read.l3, read.net) = match read.kind {
        0x0800 => (L3::Ipv4, ip4(body)?),
        0x86dd => (L3::Ipv6, ip6(body)?),
        0x0806 => (L3::Arp, arp(body, [1, 2])?),
        0x8035 => (L3::Rarp, arp(body, [3, 4])?),
        _ => (L3::Other, Net::default()),
    };
    Ok(read)
}

fn ports(payload: &[u8], protocol: IpNumber) -> u32 {
    let has = matches!(protocol, IpNumber::TCP | IpNumber::UDP | IpNumber::SCTP);
    payload.first_chunk().filter(|_| has).map_or(0, |p| u32::from_be_bytes(*p))
}

fn ip4(packet: &[u8]) -> Result<Net, DropReason> {
    let h = Ipv4HeaderSlice::from_slice(packet).map_err(|_| BAD)?;
    let (header_len, total) = (h.slice().len(), usize::from(h.total_len()));
    if total < header_len || total > packet.len() {
        return Err(BAD);
    }
    let mut src_route = false;
    let mut options = h.options();
    while let [kind, after @ ..] = options {
        options = match (kind, after.first()) {
            (0, _) => &[],
            (1, _) => after,
            (_, Some(len)) if *len >= 2 => options.get(usize::from(*len)..).ok_or(BAD)?,
            _ => return Err(BAD),
        };
        src_route |= matches!(kind, 131 | 137);
    }
    let fragment = h.is_fragmenting_payload();
    let payload = if fragment { &[] } else { &packet[header_len..total] };
    let ip = IpFields {
        total_len: h.total_len(),
        ttl: h.ttl(),
        proto: h.protocol().0,
        tos: h.dcp().value() << 2 | h.ecn().value(),
        header_len: header_len as u16,
        icmp6_type: 0,
    };
    let v4 = (u32::from_be_bytes(h.source()), u32::from_be_bytes(h.destination()));
    Ok(Net { ip, v4, fragment, src_route, ports: ports(payload, h.protocol()), ..Net::default() })
}

fn arp(body: &[u8], operations: [u8; 2]) -> Result<Net, DropReason> {
    let b: &[u8; 28] = body.first_chunk().ok_or(BAD)?;
    let arp = etherparse::ArpPacketSlice::from_slice(body).map_err(|_| BAD)?;
    let sizes = (arp.hw_addr_type().0, arp.proto_addr_type().0, arp.hw_addr_size(), arp.proto_addr_size());
    let operation = arp.operation().0;
    if sizes != (1, 0x0800, 6, 4) || !operations.iter().any(|o| u16::from(*o) == operation) {
        return Err(BAD);
    }
    let mac = MacAddr::new(arp.sender_hw_addr().try_into().map_err(|_| BAD)?);
    if operations == [3, 4] {
        return Ok(Net { mac, ..Net::default() });
    }
    let address = |a: &[u8]| a.try_into().map(u32::from_be_bytes).map_err(|_| BAD);
    let v4 = (address(arp.sender_protocol_addr())?, address(arp.target_protocol_addr())?);
    let talk = if b[7] == 1 { Talk::ArpRequest } else { Talk::ArpReply };
    Ok(Net { v4, talk, mac, ..Net::default() })
}

/// What the chain of extension headers leads to.
struct Chain<'p> {
    upper: IpNumber,
    header_len: usize,
    /// More fragments, or offset above 0; and a first one.
    fragment: bool,
    first: bool,
    payload: &'p [u8],
}

/// RFC 8200 with the limits of I0; etherparse reads each header, the limits are counted here.
fn chain<'p>(h: &Ipv6HeaderSlice<'_>, rest: &'p [u8]) -> Result<Chain<'p>, DropReason> {
    let (mut next, mut at, mut count) = (h.next_header(), 0, 0);
    let (mut fragment, mut first) = (false, false);
    loop {
        let here = rest.get(at..).ok_or(BAD)?;
        let len = match next.0 {
            0 if count > 0 => return Err(BAD),
            43 if here.get(2) == Some(&0) => return Err(BAD),
            0 | 43 | 60 | 135 => etherparse::Ipv6RawExtHeaderSlice::from_slice(here).map_err(|_| BAD)?.slice().len(),
            51 => (usize::from(*here.get(1).ok_or(BAD)?) + 2) * 4,
            44 => 8,
            _ => return Ok(Chain { upper: next, header_len: at + 40, fragment, first, payload: here }),
        };
        if count == 8 || at + len > 256 || len > here.len() {
            return Err(BAD);
        }
        if next == IpNumber::IPV6_FRAGMENTATION_HEADER {
            let f = etherparse::Ipv6FragmentHeaderSlice::from_slice(here).map_err(|_| BAD)?;
            fragment |= f.is_fragmenting_payload();
            first |= f.is_fragmenting_payload() && f.fragment_offset().value() == 0;
            if f.fragment_offset().value() != 0 {
                let payload = rest.get(at + 8..).ok_or(BAD)?;
                return Ok(Chain { upper: f.next_header(), header_len: at + 48, fragment, first: false, payload });
            }
        }
        next = IpNumber(here[0]);
        at += len;
        count += 1;
    }
}

fn ip6(packet: &[u8]) -> Result<Net, DropReason> {
    let h = Ipv6HeaderSlice::from_slice(packet).map_err(|_| BAD)?;
    let payload_len = usize::from(h.payload_length());
    if payload_len == 0 && h.next_header().0 == 0 {
        return Err(BAD); // a jumbogram
    }
    let rest = packet[40..].get(..payload_len).ok_or(BAD)?;
    let c = chain(&h, rest)?;
    let icmp = c.upper == IpNumber::IPV6_ICMP;
    let nd = |kind: u8| (133..=137).contains(&kind);
    if icmp && c.first && c.payload.first().is_some_and(|k| nd(*k)) {
        return Err(BAD); // RFC 6980
    }
    let whole = icmp && !c.fragment;
    let icmp6_type = if whole { *c.payload.first().ok_or(BAD)? } else { 0 };
    let mut net = Net {
        ip: IpFields {
            total_len: (40 + payload_len) as u16,
            ttl: h.hop_limit(),
            proto: c.upper.0,
            tos: h.traffic_class(),
            header_len: c.header_len as u16,
            icmp6_type,
        },
        fragment: c.fragment,
        v6: (u128::from_be_bytes(h.source()), u128::from_be_bytes(h.destination())),
        ports: if c.fragment { 0 } else { ports(c.payload, c.upper) },
        ..Net::default()
    };
    if whole && nd(icmp6_type) {
        neighbour_discovery(&h, c.payload, &mut net)?;
    }
    // etherparse's own walk agrees where it knows every header.
    if let Ok((_, upper, payload)) = Ipv6ExtensionsSlice::from_slice(h.next_header(), rest)
        && !c.fragment
        && upper == c.upper
    {
        assert_eq!(payload.len(), c.payload.len(), "the extension chain ends elsewhere for etherparse");
    }
    Ok(net)
}

/// RFC 4861, 6.1, 7.1, 8.1.
fn neighbour_discovery(h: &Ipv6HeaderSlice<'_>, payload: &[u8], net: &mut Net) -> Result<(), DropReason> {
    let icmp = Icmpv6Slice::from_slice(payload).map_err(|_| BAD)?;
    let good = h.hop_limit() == 255 && icmp.code_u8() == 0 && icmp.is_checksum_valid(h.source(), h.destination());
    if !good {
        return Err(BAD);
    }
    let (talk, skip) = match icmp.type_u8() {
        133 => (Talk::RouterSolicit, 8),
        134 => (Talk::RouterAdvert, 16),
        135 => (Talk::NeighSolicit, 24),
        136 => (Talk::NeighAdvert, 24),
        _ => (Talk::Redirect, 40),
    };
    net.talk = talk;
    let mut options = payload.get(skip..).ok_or(BAD)?;
    if skip == 24 {
        net.target = payload[8..].first_chunk().map(|t| u128::from_be_bytes(*t)).ok_or(BAD)?;
    }
    while !options.is_empty() {
        let units = usize::from(*options.get(1).ok_or(BAD)?);
        let option = options.get(..units * 8).filter(|o| !o.is_empty()).ok_or(BAD)?;
        if matches!((option[0], units), (1 | 2, 1)) {
            // Two link-layer addresses: one could hide the other.
            if net.mac != MacAddr::ZERO {
                return Err(BAD);
            }
            net.mac = MacAddr::new(option[2..8].try_into().map_err(|_| BAD)?);
        }
        options = &options[units * 8..];
    }
    Ok(())
}

/// T0 and the VTEP of T1 beside etherparse.
pub fn vxlan(data: &[u8]) {
    let data = data.get(..MAX_FRAME).unwrap_or(data);
    with(|bench| {
        bench.run(data, Door::Tunnel, stage::vxlan_decap, |b, lane| {
            let expected = outer(data);
            match (dropped(b, lane), &expected) {
                (Some(got), Err(reason)) => assert_eq!(got, *reason, "dropped for another reason: {data:02x?}"),
                (None, Ok((vni, ecn, inner))) => {
                    assert_eq!((b.vni[lane], b.outer_ecn[lane]), (*vni, *ecn), "VNI, ECN");
                    assert_eq!(b.bytes(lane), *inner, "the inner frame");
                }
                (got, _) => panic!("ours {got:?}, expected {expected:?} for {data:02x?}"),
            }
        })
    });
}

type Inner<'a> = (u32, u8, &'a [u8]);

fn outer(data: &[u8]) -> Result<Inner<'_>, DropReason> {
    const VTEP: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 11);
    let e = eth(data).ok_or(DropReason::ParseShort)?;
    if e.dst != [0x02, 0, 0xac, 0x14, 0, 0x11] || e.kind != 0x0800 {
        return Err(DropReason::NotOurs);
    }
    let h = Ipv4HeaderSlice::from_slice(e.body).map_err(|_| BAD)?;
    let total = usize::from(h.total_len());
    if total < h.slice().len() || total > e.body.len() {
        return Err(BAD);
    }
    if h.destination_addr() != VTEP || h.protocol() != IpNumber::UDP {
        return Err(DropReason::NotOurs);
    }
    if !header_sum_good(e.body) {
        return Err(BAD);
    }
    if h.is_fragmenting_payload() {
        return Err(DropReason::VxBad);
    }
    let payload = &e.body[h.slice().len()..total];
    let port = payload.get(2..4).ok_or(DropReason::NotOurs)?;
    if port != 4789u16.to_be_bytes() {
        return Err(DropReason::NotOurs);
    }
    let udp = UdpSlice::from_slice(payload).map_err(|_| DropReason::VxBad)?;
    let header = udp.to_header();
    if header.length == 0 {
        return Err(DropReason::VxBad); // etherparse takes it for a jumbogram
    }
    let sum = header.calc_checksum_ipv4(&h.to_header(), udp.payload()).map_err(|_| DropReason::VxBad)?;
    let (v, inner) = udp.payload().split_first_chunk::<8>().ok_or(DropReason::VxBad)?;
    if v[0] & 8 == 0 || header.checksum != 0 && header.checksum != sum {
        return Err(DropReason::VxBad);
    }
    if inner.len() < 14 {
        return Err(DropReason::ParseShort);
    }
    let peers = [12, 13, 14].map(|n| Ipv4Addr::new(172, 20, 0, n));
    if !peers.contains(&h.source_addr()) {
        return Err(DropReason::UnknownVtep);
    }
    Ok((u32::from_be_bytes([0, v[4], v[5], v[6]]), h.ecn().value(), inner))
}
