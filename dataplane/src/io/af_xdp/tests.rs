//! Ports on both ends of a veth. Root; docs/testing.md, "AF_XDP ports".

use super::filter::{Attached, Filter};
use super::*;
use crate::burst::BURST;
use crate::testkit::Netns;
use crate::testkit::netns::soon;
use crate::umem::{Chain, HEADROOM, MAX_FRAME, Part, Reader, Umem};

const RINGS: RingSizes = RingSizes { rx: 256, tx: 128 };
const FRAMES: usize = 512;
/// Ethernet of an experimental type (RFC 5342), so that the kernel sends it whatever it is.
const HEADER: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

fn setup(ifindex: u32, share: usize) -> Setup {
    // A descriptor that a program of another test inherited keeps a queue for a moment.
    Setup { ifindex, rings: RINGS, share, zero_copy: true, multi_buffer: false, patience: Duration::from_secs(1) }
}

/// A veth `a`-`b` with so many queues in a namespace of its own.
fn veth(test: &str, name: &str, queues: usize) -> Option<Netns> {
    let netns = Netns::new(test, name)?;
    let q = format!("numrxqueues {queues} numtxqueues {queues}");
    netns.ip(&format!("link add name a {q} type veth peer name b {q}"));
    for end in ["a", "b"] {
        netns.exec(&format!("sysctl -qw net.ipv6.conf.{end}.disable_ipv6=1"));
        netns.ip(&format!("link set dev {end} mtu 1500 up"));
    }
    Some(netns)
}

/// One end with its sockets; what the stack sends by itself does not come in.
struct End<'u> {
    port: Option<XdpPort<'u>>,
    pool: FramePool<'u>,
    burst: Box<Burst<'u>>,
    _filter: Attached,
}

impl<'u> End<'u> {
    fn new(netns: &Netns, name: &str, pool: FramePool<'u>, queues: u32, share: usize) -> Self {
        let setup = setup(netns.ifindex(name), share);
        Self::with(netns, pool, queues, setup)
    }

    fn with(netns: &Netns, pool: FramePool<'u>, queues: u32, setup: Setup) -> Self {
        let region = pool.region();
        let (port, filter) = netns.run(|| {
            let filter = Attached::new(setup.ifindex, Filter::Everything, queues, Duration::from_secs(1)).unwrap();
            let port = XdpPort::open(region, 0..queues, &setup, None).unwrap();
            port.steer(&filter).unwrap();
            (port, filter)
        });
        let mut end = End { port: Some(port), pool, burst: Box::default(), _filter: filter };
        end.receive(); // gives the kernel buffers
        end
    }

    fn port(&mut self) -> (&mut XdpPort<'u>, &mut FramePool<'u>) {
        (self.port.as_mut().unwrap(), &mut self.pool)
    }

    /// Frames of `len` bytes that begin with `n` and n + 1, n + 2, ...
    fn send(&mut self, numbers: std::ops::Range<u32>, len: u16) {
        let (port, pool) = self.port();
        for n in numbers {
            let mut frame = pool.take().unwrap();
            let place = &mut frame.chunk_mut()[HEADROOM..HEADROOM + usize::from(len)];
            place.fill(n as u8);
            place[..14].copy_from_slice(&HEADER);
            place[14..18].copy_from_slice(&n.to_be_bytes());
            port.transmit(frame, FrameMeta::of_received(HEADROOM as u16, len, 0)).unwrap();
            if n % 64 == 63 {
                while port.flush(pool) {}
            }
        }
        while port.flush(pool) {}
    }

    /// Numbers and lengths of what has come.
    fn receive(&mut self) -> Vec<(u32, u16)> {
        let mut seen = Vec::new();
        loop {
            let (port, pool) = (self.port.as_mut().unwrap(), &mut self.pool);
            if port.receive(&mut self.burst, Door::Tunnel, BURST, pool) == 0 {
                return seen;
            }
            for lane in self.burst.live {
                let frame = self.burst.frame[lane].take().unwrap();
                let meta = self.burst.meta[lane];
                let start = usize::from(meta.off);
                let number = frame.chunk()[start + 14..start + 18].try_into().unwrap();
                seen.push((u32::from_be_bytes(number), meta.len));
                assert!(meta.rx_time > 0 && meta.rx_time <= now(), "received at {} ns", meta.rx_time);
                self.pool.put(frame);
            }
            self.burst.clear();
        }
    }

    /// Until `n` have come, or a second is over.
    fn receive_all(&mut self, n: usize) -> Vec<(u32, u16)> {
        let mut seen = Vec::new();
        soon(|| {
            seen.extend(self.receive());
            seen.len() >= n
        });
        seen
    }

    /// Every frame is in the pool or lent; then the port is closed, and all are in the pool.
    fn assert_conserved(mut self) {
        let (port, pool) = self.port();
        let (rx, tx) = port.lent();
        assert_eq!(pool.free() + rx + tx, pool.total());
        self.port.take().unwrap().close(&mut self.pool);
        assert_eq!(self.pool.free(), self.pool.total());
    }
}

fn two_pools(umem: &mut Umem) -> (FramePool<'_>, FramePool<'_>) {
    let mut pools = umem.pools(2);
    let b = pools.pop().unwrap();
    (pools.pop().unwrap(), b)
}

#[test]
fn frames_arrive_whole_in_order_and_none_is_lost() {
    let Some(netns) = veth("frames_arrive_whole_in_order_and_none_is_lost", "xdp1", 1) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let (mut a, mut b) = (End::new(&netns, "a", a, 1, 256), End::new(&netns, "b", b, 1, 256));
    for round in 0..40 {
        let numbers = round * 100..(round + 1) * 100;
        a.send(numbers.clone(), 60 + round as u16);
        let expected: Vec<_> = numbers.map(|n| (n, 60 + round as u16)).collect();
        assert_eq!(b.receive_all(100), expected);
        // And back: both rings of both sockets go round several times.
        b.send(0..100, 1514);
        assert_eq!(a.receive_all(100).len(), 100);
    }
    assert_eq!((a.port().0.lost(), b.port().0.lost()), ([0; KernelLoss::ALL.len()], [0; KernelLoss::ALL.len()]));
    a.assert_conserved();
    b.assert_conserved();
}

/// In one port and out of another: the same bytes of memory.
#[test]
fn a_forwarded_frame_stays_where_it_is() {
    let test = "a_forwarded_frame_stays_where_it_is";
    let (Some(near), Some(far)) = (veth(test, "xdp2n", 1), veth(test, "xdp2f", 1)) else { return };
    let (mut umem, mut other) = (Umem::shared(2 * FRAMES).unwrap(), Umem::shared(2 * FRAMES).unwrap());
    let ((pool, spare), (source, sink)) = (two_pools(&mut umem), two_pools(&mut other));
    let (mut source, mut sink) = (End::new(&near, "a", source, 1, 128), End::new(&far, "b", sink, 1, 64));
    let mut from = End::new(&near, "b", pool, 1, 64);
    let mut to = End::new(&far, "a", spare, 1, 128);
    source.send(7..8, 90);
    assert!(soon(|| from.port.as_mut().unwrap().receive(&mut from.burst, Door::Tunnel, 1, &mut from.pool) == 1));
    let lane = from.burst.live.next().unwrap();
    let (frame, meta) = (from.burst.frame[lane].take().unwrap(), from.burst.meta[lane]);
    from.burst.clear();
    let at = std::ptr::from_ref(frame.chunk()).addr();
    // 50 bytes in front of it, as for an outer header, and the last ten cut off.
    let longer = FrameMeta { off: meta.off - 50, len: meta.len + 40, ..meta };
    let (port, pool) = to.port();
    port.transmit(frame, longer).unwrap();
    while port.flush(pool) {}
    assert_eq!(sink.receive_all(1).iter().map(|(_, len)| *len).collect::<Vec<_>>(), [130]);
    assert!(soon(|| {
        let (port, pool) = to.port();
        port.reclaim(pool);
        pool.foreign() == 1
    }));
    let back = to.pool.away(0).unwrap().pop().unwrap();
    assert_eq!(std::ptr::from_ref(back.chunk()).addr(), at, "another frame came back");
    from.pool.put(back);
    [from, to, source, sink].into_iter().for_each(End::assert_conserved);
}

#[test]
fn what_finds_no_buffer_is_counted_and_what_comes_later_arrives() {
    let test = "what_finds_no_buffer_is_counted_and_what_comes_later_arrives";
    let Some(netns) = veth(test, "xdp3", 1) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let (mut a, mut b) = (End::new(&netns, "a", a, 1, 128), End::new(&netns, "b", b, 1, 64));
    a.send(0..100, 60);
    let first = b.receive_all(64);
    assert_eq!(first, (0..64).map(|n| (n, 60)).collect::<Vec<_>>());
    let lost = |end: &mut End<'_>| end.port().0.lost()[KernelLoss::RxFillRingEmpty as usize];
    assert!(soon(|| lost(&mut b) == 36), "{:?}", b.port().0.lost());
    assert_eq!(b.port().0.lost().iter().sum::<u64>(), 36, "each by one name");
    a.send(100..110, 60);
    assert_eq!(b.receive_all(10).len(), 10);
    a.assert_conserved();
    b.assert_conserved();
}

#[test]
fn a_full_tx_ring_gives_the_frame_back() {
    let Some(netns) = veth("a_full_tx_ring_gives_the_frame_back", "xdp4", 1) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let (mut a, b) = (End::new(&netns, "a", a, 1, 128), End::new(&netns, "b", b, 1, 256));
    let meta = FrameMeta::of_received(HEADROOM as u16, 60, 0);
    let (port, pool) = a.port();
    for _ in 0..RINGS.tx {
        port.transmit(pool.take().unwrap(), meta).unwrap();
    }
    let full = port.transmit(pool.take().unwrap(), meta);
    pool.put(full.expect_err("the ring has no place"));
    assert_eq!(unsent(port), [0, 1, 0], "the kernel has not looked");
    while port.flush(pool) {}
    port.transmit(pool.take().unwrap(), meta).expect("the kernel has taken the others");
    a.assert_conserved();
    b.assert_conserved();
}

/// Every queue is bound: frames that come by the second are seen, and each queue has its own share.
#[test]
fn a_port_has_all_queues() {
    let Some(netns) = veth("a_port_has_all_queues", "xdp5", 2) else { return };
    let mut umem = Umem::shared(4 * FRAMES).unwrap();
    let mut pools = umem.pools(4);
    let b = End::new(&netns, "b", pools.pop().unwrap(), 2, 64);
    let mut b = b;
    assert_eq!(b.port().0.lent().0, 128);
    let ifindex = netns.ifindex("a");
    // A worker each has one queue of `a`: what goes out by queue 1 comes in by queue 1.
    let filter = netns.run(|| Attached::new(ifindex, Filter::Everything, 2, Duration::ZERO).unwrap());
    let (mut p0, mut p1) = (pools.pop().unwrap(), pools.pop().unwrap());
    let (mut q0, mut q1) = netns.run(|| {
        let q0 = XdpPort::open(p0.region(), [0], &setup(ifindex, 1), None).unwrap();
        let q1 = XdpPort::open(p1.region(), [1], &setup(ifindex, 1), Some(&q0)).unwrap();
        (q0, q1)
    });
    for (n, (port, pool)) in [(&mut q0, &mut p0), (&mut q1, &mut p1)].into_iter().enumerate() {
        let mut frame = pool.take().unwrap();
        frame.chunk_mut()[HEADROOM + 14..HEADROOM + 18].copy_from_slice(&(n as u32 + 70).to_be_bytes());
        port.transmit(frame, FrameMeta::of_received(HEADROOM as u16, 60, 0)).unwrap();
        while port.flush(pool) {}
    }
    let mut seen = b.receive_all(2);
    seen.sort_unstable();
    assert_eq!(seen, [(70, 60), (71, 60)]);
    b.assert_conserved();
    q0.close(&mut p0);
    q1.close(&mut p1);
    assert_eq!((p0.free(), p1.free()), (FRAMES, FRAMES));
    drop(filter);
}

#[test]
fn a_queue_has_one_owner_and_must_exist() {
    let Some(netns) = veth("a_queue_has_one_owner_and_must_exist", "xdp6", 1) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let region = b.region();
    let a = End::new(&netns, "a", a, 1, 64);
    let ifindex = netns.ifindex("a");
    let open = |queues: Vec<u32>| netns.run(|| XdpPort::open(region, queues, &setup(ifindex, 1), None).unwrap_err());
    assert_eq!(open(vec![0]).kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(open(vec![1]).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(open(vec![]).kind(), io::ErrorKind::InvalidInput);
    a.assert_conserved();
    // And free again at once.
    let again = End::new(&netns, "a", b, 1, 64);
    again.assert_conserved();
}

/// Frames that were not taken: for completion lag, a full ring, an interface that is down.
fn unsent(port: &XdpPort<'_>) -> [u64; 3] {
    let lost = port.lost();
    [KernelLoss::TxCompletionLag, KernelLoss::TxRingFull, KernelLoss::TxDown].map(|why| lost[why as usize])
}

/// The kernel has sent what it was given, and its receiver keeps it: a shaper behind a bridge.
#[test]
fn frames_the_kernel_does_not_give_back_are_counted_by_name() {
    let Some(netns) = veth("frames_the_kernel_does_not_give_back_are_counted_by_name", "xdp10", 1) else { return };
    netns.ip("link add name sw type bridge");
    netns.ip("link add name c type veth peer name d");
    for change in ["b master sw", "c master sw", "sw up", "c up", "d up"] {
        netns.ip(&format!("link set dev {change}"));
    }
    netns.exec("tc qdisc add dev c root tbf rate 8kbit burst 100 limit 100000");
    let mut umem = Umem::shared(FRAMES).unwrap();
    let mut a = End::new(&netns, "a", umem.pools(1).remove(0), 1, 40);
    let meta = FrameMeta::of_received(HEADROOM as u16, 60, 0);
    let (port, pool) = a.port();
    // The bridge forwards once its ports are up; until then it drops, which gives them back.
    let lags = || {
        for _ in 0..50 {
            let mut frame = pool.take().unwrap();
            frame.chunk_mut()[HEADROOM..HEADROOM + 14].copy_from_slice(&HEADER);
            let _ = port.transmit(frame, meta).map_err(|frame| pool.put(frame));
            while port.flush(pool) {}
        }
        unsent(port)[0] > 0
    };
    assert!(soon(lags), "{:?}", unsent(port));
    assert_eq!(port.lent().1, 40, "as many as it may have");
    a.assert_conserved();
}

/// Ports whose interface is down take no frames to send, and no more than a burst stays with each: others have theirs.
#[test]
fn ports_that_are_down_starve_nobody() {
    let test = "ports_that_are_down_starve_nobody";
    let downs: Option<Vec<Netns>> = (0..8).map(|n| veth(test, &format!("xdp8-{n}"), 1)).collect();
    let (Some(downs), Some(up)) = (downs, veth(test, "xdp8u", 1)) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (pool, far) = two_pools(&mut umem);
    let mut far = End::new(&up, "b", far, 1, 64);
    let region = pool.region();
    let mut here = End::new(&up, "a", pool, 1, 64);
    let meta = FrameMeta::of_received(HEADROOM as u16, 60, 0);
    for netns in &downs {
        let ifindex = netns.ifindex("a");
        let mut port = netns.run(|| XdpPort::open(region, [0], &setup(ifindex, 32), None).unwrap());
        netns.ip("link set dev a down");
        let mut refused = 0;
        for n in 0..200 {
            if let Err(frame) = port.transmit(here.pool.take().unwrap(), meta) {
                here.pool.put(frame);
                refused += 1;
            }
            if n % 16 == 15 {
                assert!(!port.flush(&mut here.pool), "no call helps");
            }
        }
        assert_eq!((refused, port.lent().1), (184, 16), "one burst went before it was known");
        assert_eq!(unsent(&port), [0, 0, 184]);
        netns.ip("link set dev a up");
        assert!(!port.flush(&mut here.pool), "the kernel takes them now");
        port.transmit(here.pool.take().unwrap(), meta).expect("up again");
        assert_eq!(port.close(&mut here.pool), 0);
    }
    far.send(0..60, 60);
    assert_eq!(here.receive_all(60).len(), 60);
    here.assert_conserved();
    far.assert_conserved();
}

/// More than its share of buffers is never on its way out of one port.
#[test]
fn a_port_has_its_share_to_send_with() {
    let Some(netns) = veth("a_port_has_its_share_to_send_with", "xdp9", 1) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let (mut a, b) = (End::new(&netns, "a", a, 1, 40), End::new(&netns, "b", b, 1, 64));
    let meta = FrameMeta::of_received(HEADROOM as u16, 60, 0);
    let (port, pool) = a.port();
    let taken = std::iter::from_fn(|| port.transmit(pool.take()?, meta).map_err(|frame| pool.put(frame)).ok()).count();
    assert_eq!(taken, 40);
    a.assert_conserved();
    b.assert_conserved();
}

#[test]
fn memory_of_the_heap_is_not_registered() {
    let mut umem = Umem::new(64);
    let pool = umem.pools(1).remove(0);
    let refused = XdpPort::open(pool.region(), [0], &setup(1, 1), None).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}

/// A VM is deleted while its frames are under way: nothing hangs, nothing is lost.
#[test]
fn an_interface_that_goes_takes_no_frame_along() {
    let Some(netns) = veth("an_interface_that_goes_takes_no_frame_along", "xdp7", 1) else { return };
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let (mut a, b) = (End::new(&netns, "a", a, 1, 64), End::new(&netns, "b", b, 1, 64));
    a.send(0..32, 60);
    netns.ip("link del dev a");
    let (port, pool) = a.port();
    let meta = FrameMeta::of_received(HEADROOM as u16, 60, 0);
    for _ in 0..32 {
        port.transmit(pool.take().unwrap(), meta).unwrap();
    }
    assert!(!port.flush(pool), "no call helps any more");
    a.assert_conserved();
    b.assert_conserved();
}

/// A packet of so many bytes, in full chunks, the first bytes an Ethernet header.
fn long<'u>(pool: &mut FramePool<'u>, len: usize) -> (Frame<'u>, FrameMeta) {
    let bytes: Vec<u8> = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5][..], &vec![7; len - 14]].concat();
    let (head, rest) = bytes.split_at(MAX_FRAME.min(len));
    let mut first = pool.take().unwrap();
    first.chunk_mut()[HEADROOM..HEADROOM + head.len()].copy_from_slice(head);
    let mut chain = Chain::new(pool.region(), first).unwrap();
    for bytes in rest.chunks(MAX_FRAME) {
        let mut frame = pool.take().unwrap();
        frame.chunk_mut()[..bytes.len()].copy_from_slice(bytes);
        chain.push(Part { frame, off: 0, len: bytes.len() as u16 }).unwrap();
    }
    let (frame, segments, tail) = chain.finish();
    let meta = FrameMeta::of_received(HEADROOM as u16, head.len() as u16, 0);
    (frame, FrameMeta { segments, tail, ..meta })
}

/// Jumbo frames: in several chunks both ways, whole; padding behind them does not leave; 17 chunks and no more.
#[test]
fn frames_of_several_chunks_arrive_whole_up_to_17() {
    const TEST: &str = "frames_of_several_chunks_arrive_whole_up_to_17";
    let Some(netns) = veth(TEST, "xdp-long", 1) else { return };
    ["a", "b"].into_iter().for_each(|end| drop(netns.ip(&format!("link set dev {end} mtu 65000"))));
    let mut umem = Umem::shared(2 * FRAMES).unwrap();
    let (a, b) = two_pools(&mut umem);
    let setup = |name| Setup { multi_buffer: true, ..setup(netns.ifindex(name), 128) };
    let (mut a, mut b) = (End::with(&netns, a, 1, setup("a")), End::with(&netns, b, 1, setup("b")));
    let most = usize::from(MAX_CHUNKS) * MAX_FRAME;
    for len in [60, 1792, 1793, 3584, 3585, 9014, 20_000, most] {
        for padding in [0, 100] {
            let (port, pool) = a.port();
            let (frame, mut meta) = long(pool, len + if len < most { padding } else { 0 });
            meta.set_whole(len);
            port.transmit(frame, meta).unwrap();
            while port.flush(pool) {}
            let mut got = None;
            assert!(soon(|| {
                let (port, pool) = (b.port.as_mut().unwrap(), &mut b.pool);
                port.receive(&mut b.burst, Door::Tunnel, BURST, pool);
                for lane in b.burst.live {
                    let (frame, meta) = (b.burst.frame[lane].take().unwrap(), b.burst.meta[lane]);
                    let start = usize::from(meta.off);
                    let first = &frame.chunk()[start..start + usize::from(meta.len)];
                    let mut bytes = vec![0; meta.whole()];
                    Reader::new(&pool.region(), &frame, first).read(0..meta.whole(), &mut bytes).unwrap();
                    got = Some(bytes);
                    pool.put_all(frame);
                }
                b.burst.clear();
                got.is_some()
            }));
            let got = got.unwrap();
            assert_eq!(got.len(), len);
            assert!(got[14..].iter().all(|b| *b == 7));
        }
    }
    let (port, pool) = a.port();
    let (frame, meta) = long(pool, most + 1);
    let back = port.transmit(frame, meta).unwrap_err();
    pool.put_all(back);
    assert_eq!((a.port().0.lost(), b.port().0.lost()), ([0; KernelLoss::ALL.len()], [0; KernelLoss::ALL.len()]));
    a.assert_conserved();
    b.assert_conserved();
}
