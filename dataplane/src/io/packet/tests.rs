//! Packet sockets on veths whose other ends are the kernel's. Root; docs/testing.md, "AF_XDP ports".

use super::*;
use crate::burst::{BURST, Gso};
use crate::io::af_xdp::filter::Withheld;
use crate::testkit::Netns;
use crate::testkit::netns::soon;
use crate::umem::{Reader, Umem};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const FRAMES: usize = 2048;

/// A namespace for each VM, with `eth0` 10.9.0.N; and one of ours, with the other ends `va`, `vb`.
struct Vms {
    ours: Netns,
    a: Netns,
    b: Netns,
}

fn vms(test: &str, name: &str) -> Option<Vms> {
    let ours = Netns::new(test, &format!("{name}-o"))?;
    let vm = |n: u8, end: &str| {
        let vm = Netns::new(test, &format!("{name}-{end}"))?;
        ours.ip(&format!("link add v{end} type veth peer name eth0 netns {}", vm.name()));
        ours.exec(&format!("sysctl -qw net.ipv6.conf.v{end}.disable_ipv6=1"));
        vm.exec("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1");
        vm.ip(&format!("addr add 10.9.0.{n}/24 dev eth0"));
        vm.ip("link set eth0 up");
        ours.ip(&format!("link set v{end} up"));
        Some(vm)
    };
    let (a, b) = (vm(1, "a")?, vm(2, "b")?);
    Some(Vms { ours, a, b })
}

/// A port, what keeps its frames from the stack, and its burst.
struct End<'u> {
    port: PacketPort<'u>,
    _withheld: Withheld,
    burst: Box<Burst<'u>>,
}

impl<'u> End<'u> {
    fn new(netns: &Netns, name: &str) -> Self {
        let ifindex = netns.ifindex(name);
        let open = || (PacketPort::open(ifindex).unwrap(), Withheld::new(ifindex).unwrap());
        let (port, withheld) = netns.run(open);
        End { port, _withheld: withheld, burst: Box::default() }
    }

    /// Frames that have come, with what goes with them.
    fn receive(&mut self, pool: &mut FramePool<'u>) -> Vec<(Frame<'u>, FrameMeta)> {
        self.port.receive(&mut self.burst, Door::Port(0), BURST, pool);
        let b = &mut self.burst;
        let frames = b.live.map(|lane| (b.frame[lane].take().unwrap(), b.meta[lane])).collect();
        b.clear();
        frames
    }
}

fn bytes(pool: &FramePool<'_>, frame: &Frame<'_>, meta: &FrameMeta) -> Vec<u8> {
    let mut all = vec![0; meta.whole()];
    let (start, len) = (usize::from(meta.off), all.len());
    let first = &frame.chunk()[start..start + usize::from(meta.len)];
    Reader::new(&pool.region(), frame, first).read(0..len, &mut all).unwrap();
    all
}

/// What two VMs say to each other, by hand from one port to the other, while `talk` goes on; the largest frame of each kind.
fn forward(vms: &Vms, talk: impl FnOnce() + Send) -> [usize; 3] {
    let mut umem = Umem::shared(FRAMES).unwrap();
    let mut pool = umem.pools(1).remove(0);
    let (mut a, mut b) = (End::new(&vms.ours, "va"), End::new(&vms.ours, "vb"));
    let over = AtomicBool::new(false);
    let mut largest = [0; 3];
    std::thread::scope(|scope| {
        let talks = scope.spawn(|| {
            let ended = Ended(&over);
            talk();
            drop(ended);
        });
        while !over.load(Ordering::Relaxed) {
            pass(&mut a, &mut b, &mut pool, &mut largest);
            pass(&mut b, &mut a, &mut pool, &mut largest);
        }
        talks.join().unwrap();
    });
    let lost = [a.port.lost(), b.port.lost()];
    a.port.close(&mut pool);
    b.port.close(&mut pool);
    assert_eq!(pool.free(), FRAMES, "every chunk is back");
    assert_eq!(lost, [[0; KernelLoss::ALL.len()]; 2]);
    largest
}

/// Says so even if the talk panics.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn pass<'u>(from: &mut End<'u>, to: &mut End<'u>, pool: &mut FramePool<'u>, largest: &mut [usize; 3]) {
    for (frame, meta) in from.receive(pool) {
        let kind = match meta.gso {
            Gso::None => 0,
            Gso::TcpV4(_) | Gso::TcpV6(_) => 1,
            Gso::Udp(_) => 2,
        };
        largest[kind] = largest[kind].max(meta.whole());
        if let Err(frame) = to.port.transmit(frame, meta) {
            pool.put_all(frame);
        }
    }
    while to.port.flush(pool) {}
}

/// TCP with its offloads on: nobody cuts its super-frames or computes their checksums, and it gets what was sent.
#[test]
fn bulk_tcp_goes_through_in_super_frames() {
    const TEST: &str = "bulk_tcp_goes_through_in_super_frames";
    const BYTES: usize = 8 << 20;
    let Some(vms) = vms(TEST, "tcp") else { return };
    let data: Vec<u8> = (0..BYTES).map(|n| ((n * 31) >> 3) as u8).collect();
    let listener = vms.b.run(|| TcpListener::bind("10.9.0.2:5001").unwrap());
    let [_, tcp, _] = forward(&vms, || {
        let sent = &data;
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let connect = || TcpStream::connect_timeout(&"10.9.0.2:5001".parse().unwrap(), Duration::from_secs(10));
                vms.a.run(connect).unwrap().write_all(sent).unwrap();
            });
            let mut got = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
            assert!(got == data, "what was sent is what has come");
            sender.join().unwrap();
        });
    });
    assert!(tcp > 20_000, "the largest frame was {tcp} bytes");
}

/// The next frame to UDP port 5555.
fn next<'u>(end: &mut End<'u>, pool: &mut FramePool<'u>) -> (Vec<u8>, FrameMeta) {
    let mut found = None;
    let came = soon(|| {
        for (frame, meta) in end.receive(pool) {
            let all = bytes(pool, &frame, &meta);
            pool.put_all(frame);
            if all.windows(2).any(|w| w == 5555_u16.to_be_bytes()) {
                found = Some((all, meta));
            }
        }
        found.is_some()
    });
    assert!(came, "it came");
    found.unwrap()
}

/// What the kernel leaves undone is said: the checksum of a datagram, and its VLAN tag, which it takes out, is there.
#[test]
fn datagrams_come_with_their_tag_and_what_is_left_to_do() {
    const TEST: &str = "datagrams_come_with_their_tag_and_what_is_left_to_do";
    let Some(vms) = vms(TEST, "udp") else { return };
    vms.a.ip("neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev eth0");
    let mut umem = Umem::shared(FRAMES).unwrap();
    let mut pool = umem.pools(1).remove(0);
    let mut end = End::new(&vms.ours, "va");
    let send = |to: &str, n: usize| {
        vms.a.run(|| UdpSocket::bind("0.0.0.0:0").unwrap().send_to(&vec![7; n], to).unwrap());
    };
    send("10.9.0.2:5555", 100);
    let (frame, meta) = next(&mut end, &mut pool);
    assert_eq!((frame.len(), meta.csum), (142, Checksum::Partial { start: 34, offset: 6 }));
    // The same in VLAN 5, as the VM's kernel would send it.
    let tagged = [&frame[..12], &[0x81, 0, 0x20, 5], &frame[12..]].concat();
    let mut sent = pool.take().unwrap();
    sent.chunk_mut()[HEADROOM..HEADROOM + tagged.len()].copy_from_slice(&tagged);
    let csum = Checksum::Partial { start: 38, offset: 6 };
    let meta = FrameMeta { csum, ..FrameMeta::of_received(HEADROOM as u16, tagged.len() as u16, 0) };
    let mut vm = vms.a.run(|| PacketPort::open(vms.a.ifindex("eth0")).unwrap());
    vm.transmit(sent, meta).unwrap();
    assert!(!vm.flush(&mut pool));
    let (frame, meta) = next(&mut end, &mut pool);
    assert_eq!((frame, meta.csum, meta.rx_len), (tagged, csum, 146));
    assert_eq!(vm.lost(), [0; KernelLoss::ALL.len()]);
    vm.close(&mut pool);
    // The host's stack has seen none of it: a datagram to an address of `va` would be answered "port unreachable".
    vms.ours.ip("addr add 10.9.0.2/24 dev va");
    send("10.9.0.2:5555", 10);
    next(&mut end, &mut pool);
    let seen = vms.ours.exec("cat /proc/net/snmp");
    let of = |kind: &str| seen.lines().filter(|l| l.starts_with(kind)).nth(1).unwrap().to_owned();
    assert_eq!(of("Udp:").split(' ').nth(2), Some("0"), "no datagram came to the stack's UDP");
    end.port.close(&mut pool);
    assert_eq!(pool.free(), FRAMES);
}

/// A jumbo frame is in several chunks, whole.
#[test]
fn jumbo_frames() {
    const TEST: &str = "jumbo_frames";
    let Some(vms) = vms(TEST, "jumbo") else { return };
    for (netns, name) in [(&vms.a, "eth0"), (&vms.b, "eth0"), (&vms.ours, "va"), (&vms.ours, "vb")] {
        netns.ip(&format!("link set {name} mtu 9000"));
    }
    let [other, ..] = forward(&vms, || {
        vms.a.exec("ping -q -c 3 -i 0.1 -s 8972 -M do -p a5 10.9.0.2");
    });
    assert_eq!(other, 9014);
}

#[test]
fn without_an_interface_there_is_no_port() {
    const TEST: &str = "without_an_interface_there_is_no_port";
    let Some(netns) = Netns::new(TEST, "none") else { return };
    netns.run(|| {
        assert!(PacketPort::open(4711).is_err());
        assert!(Withheld::new(4711).is_err());
    });
}

/// `tx_full`: past 256 packets that wait for the end of the burst, the next one comes back.
#[test]
fn a_full_packet_socket_takes_no_more() {
    const TEST: &str = "a_full_packet_socket_takes_no_more";
    let Some(vms) = vms(TEST, "full") else { return };
    let mut umem = Umem::shared(FRAMES).unwrap();
    let mut pool = umem.pools(1).remove(0);
    let mut end = End::new(&vms.ours, "va");
    let meta = FrameMeta::of_received(HEADROOM as u16, 60, 0);
    for _ in 0..256 {
        end.port.transmit(pool.take().unwrap(), meta).unwrap();
    }
    let back = end.port.transmit(pool.take().unwrap(), meta).expect_err("tx_full");
    pool.put(back);
    end.port.close(&mut pool);
    assert_eq!(pool.free(), FRAMES);
}

/// What an interface that is down does not take is lost by name.
#[test]
fn what_is_not_taken_is_counted() {
    const TEST: &str = "what_is_not_taken_is_counted";
    let Some(vms) = vms(TEST, "down") else { return };
    let mut umem = Umem::shared(FRAMES).unwrap();
    let mut pool = umem.pools(1).remove(0);
    let mut end = End::new(&vms.ours, "va");
    vms.ours.ip("link set va down");
    for _ in 0..3 {
        let frame = pool.take().unwrap();
        end.port.transmit(frame, FrameMeta::of_received(HEADROOM as u16, 60, 0)).unwrap();
    }
    assert!(!end.port.flush(&mut pool));
    let lost = KernelLoss::ALL.into_iter().zip(end.port.lost()).find(|(loss, _)| *loss == KernelLoss::TxRefused);
    assert_eq!(lost, Some((KernelLoss::TxRefused, 3)));
    end.port.close(&mut pool);
    assert_eq!(pool.free(), FRAMES);
}
