//! On interfaces in a namespace of their own, with frames the kernel sends and sockets that only count.

use super::frames::{Random, vxlan};
use super::*;
use crate::io::af_xdp::ethtool::set_tx_vlan;
use crate::io::af_xdp::ethtool::tests::open_queue;
use crate::testkit::Netns;
use crate::testkit::netns::{privileged, soon};
use rustix::net::sockopt;
use rustix::net::xdp::{SocketAddrXdp, SocketAddrXdpFlags, XdpUmemReg, XdpUmemRegFlags};
use std::io::Write;
use std::net::UdpSocket;
use std::thread::sleep;

/// As dvrd waits for its underlay.
const BUSY: Duration = Duration::from_secs(2);

/// What a native attach answers on a bridge, and on veth never.
const NO_NATIVE: Errno = Errno::OPNOTSUPP;

/// Two namespaces, one host each: `und` of 10.0.0.1 in the first, `peer` of 10.0.0.2 in the second.
struct Wire {
    here: Netns,
    there: Netns,
}

impl Wire {
    fn new(test: &str, name: &str, mtu: usize) -> Option<Wire> {
        let here = Netns::new(test, name)?;
        let there = Netns::new(test, &format!("{name}-peer"))?;
        here.ip(&format!("link add und mtu {mtu} type veth peer name peer mtu {mtu} netns {}", there.name()));
        for (netns, interface, address) in [(&here, "und", "10.0.0.1"), (&there, "peer", "10.0.0.2")] {
            netns.ip(&format!("link set {interface} addrgenmode none")); // no IPv6, which nobody sent for
            netns.ip(&format!("address add {address}/24 dev {interface}"));
            netns.ip(&format!("link set {interface} up"));
        }
        let mac = here.exec("cat /sys/class/net/und/address");
        there.ip(&format!("neighbour add 10.0.0.1 lladdr {} dev peer", mac.trim()));
        Some(Wire { here, there })
    }

    fn ifindex(&self) -> u32 {
        self.here.ifindex("und")
    }

    fn attach(&self, filter: Filter) -> Result<Attached, AttachError> {
        let ifindex = self.ifindex();
        self.here.run(|| Attached::new(ifindex, filter, 4, BUSY))
    }

    /// In SKB mode, which a veth never falls back to.
    fn attach_skb(&self, filter: Filter) -> Attached {
        let maps = Maps::new(filter, 4).unwrap();
        let program = bpf::prog_load(&filter.assemble(&maps).unwrap()).unwrap();
        let ifindex = self.ifindex();
        let link = self.here.run(|| bpf::link_create(program.as_fd(), ifindex, XDP_FLAGS_SKB_MODE).unwrap());
        Attached { _link: link, _program: program, maps, mode: Mode::Skb, why_not_native: None }
    }

    /// One UDP datagram of `len` bytes from the other host.
    fn send(&self, port: u16, len: usize) {
        let socket = self.there.run(|| UdpSocket::bind("10.0.0.2:0").unwrap());
        assert_eq!(socket.send_to(&vec![0; len], (VTEP, port)).unwrap(), len);
    }

    /// A socket of this host's stack.
    fn listen(&self, port: u16) -> UdpSocket {
        let socket = self.here.run(|| UdpSocket::bind((VTEP, port)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    }

    /// Is a program attached, by what `ip` says?
    fn has_program(&self) -> bool {
        self.here.ip("-d link show dev und").contains("prog/xdp")
    }
}

/// Did a datagram of this length come?
fn heard(socket: &UdpSocket, len: usize) -> bool {
    socket.recv(&mut [0; 9000]).is_ok_and(|n| n == len)
}

#[repr(C, align(4096))]
#[derive(Clone)]
struct Page([u8; 4096]);

/// A bound AF_XDP socket (without `XDP_USE_SG`) of chunks of 2 KiB that is given none: what is redirected to it
/// is counted and lost.
struct Counter {
    socket: OwnedFd,
    _umem: Vec<Page>,
}

impl Counter {
    fn new(wire: &Wire) -> Counter {
        let umem = vec![Page([0; 4096]); 4];
        let socket = wire.here.run(socket);
        let reg = XdpUmemReg {
            addr: umem.as_ptr().expose_provenance() as u64,
            len: 4 * 4096,
            chunk_size: 2048,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        sockopt::set_xdp_umem_reg(&socket, reg).unwrap();
        sockopt::set_xdp_umem_fill_ring_size(&socket, 64).unwrap();
        sockopt::set_xdp_umem_completion_ring_size(&socket, 64).unwrap();
        let address = SocketAddrXdp::new(SocketAddrXdpFlags::XDP_COPY, wire.ifindex(), 0);
        // The queue may still be a closed socket's.
        assert!(soon(|| rustix::net::bind(&socket, &address).is_ok()));
        Counter { socket, _umem: umem }
    }

    /// Frames that would have been received, and those the kernel would not even look for a buffer for.
    fn count(&self) -> (u64, u64) {
        let statistics = sockopt::xdp_statistics(&self.socket).unwrap();
        let received = statistics.rx_fill_ring_empty_descs.unwrap();
        (received, statistics.rx_dropped - received)
    }
}

#[test]
fn on_the_underlay_only_vxlan_leaves_the_kernel() {
    let Some(wire) = Wire::new("on_the_underlay_only_vxlan_leaves_the_kernel", "underlay", 1500) else { return };
    let (vxlan, other) = (wire.listen(4789), wire.listen(4790));
    let filter = wire.attach(UNDERLAY).unwrap();
    assert_eq!((filter.mode(), filter.mode().to_string()), (Mode::Native, "native".to_owned()));
    assert!(filter.why_not_native().is_none() && wire.has_program());

    // Nobody in the map.
    wire.send(4789, 100);
    assert!(heard(&vxlan, 100), "without a socket all is the kernel's");

    let counter = Counter::new(&wire);
    filter.insert(0, &counter.socket).unwrap();
    wire.send(4789, 101);
    wire.send(4790, 102);
    assert!(heard(&other, 102), "another port is the kernel's");
    assert!(!heard(&vxlan, 101));
    assert_eq!(counter.count(), (1, 0));
    wire.there.exec("ping -c 1 -W 2 10.0.0.1");

    drop(filter);
    assert!(soon(|| !wire.has_program()));
    wire.send(4789, 103);
    assert!(heard(&vxlan, 103), "detached, all is the kernel's");
    assert_eq!(counter.count(), (1, 0));
}

#[test]
fn of_a_vm_the_kernel_hears_nothing() {
    let Some(wire) = Wire::new("of_a_vm_the_kernel_hears_nothing", "vm", 1500) else { return };
    let stack = wire.listen(7);
    let filter = wire.attach(Filter::Everything).unwrap();
    wire.send(7, 100);
    assert!(!heard(&stack, 100), "without a socket all is dropped");
    let counter = Counter::new(&wire);
    filter.insert(0, &counter.socket).unwrap();
    wire.send(7, 101);
    assert!(!heard(&stack, 101));
    assert_eq!(counter.count(), (1, 0));
    drop(filter);
    assert!(soon(|| !wire.has_program()));
    wire.send(7, 102);
    assert!(heard(&stack, 102));
}

#[test]
fn of_a_physical_network_the_kernel_keeps_what_is_not_ours() {
    const TEST: &str = "of_a_physical_network_the_kernel_keeps_what_is_not_ours";
    let Some(wire) = Wire::new(TEST, "gate", 1500) else { return };
    let stack = wire.listen(7);
    let filter = wire.attach(Filter::Physical).unwrap();
    assert_eq!(filter.mode(), Mode::Native);
    let counter = Counter::new(&wire);
    filter.insert(0, &counter.socket).unwrap();
    wire.send(7, 100);
    assert!(heard(&stack, 100), "nothing is ours until it is told");
    let gate = filter.gate().unwrap();
    let mac = wire.here.exec("cat /sys/class/net/und/address").trim().parse().unwrap();
    gate.set_vlan(0, Some(Vlan { group: true, ..Vlan::default() })).unwrap();
    wire.send(7, 101);
    assert!(heard(&stack, 101), "unicast to others");
    gate.set_mac(0, mac, Some(Owner::Dvrd)).unwrap();
    wire.send(7, 102);
    assert!(!heard(&stack, 102));
    assert_eq!(counter.count(), (1, 0));
    gate.set_mac(0, mac, Some(Owner::Kernel)).unwrap();
    wire.send(7, 103);
    assert!(heard(&stack, 103));
    assert_eq!(counter.count(), (1, 0));
}

/// Jumbo frames: native all the same; what fits a chunk is received, the rest counted as `rx_dropped`.
#[test]
fn a_frame_longer_than_a_chunk_is_counted_where_it_is_lost() {
    const TEST: &str = "a_frame_longer_than_a_chunk_is_counted_where_it_is_lost";
    let Some(wire) = Wire::new(TEST, "jumbo", 9000) else { return };
    let native = wire.attach(UNDERLAY).unwrap();
    assert_eq!(native.mode(), Mode::Native, "{:?}", native.why_not_native());
    loses_long_frames(&wire, native);
    assert!(soon(|| !wire.has_program()));
    loses_long_frames(&wire, wire.attach_skb(UNDERLAY));
}

fn loses_long_frames(wire: &Wire, filter: Attached) {
    let vxlan = wire.listen(4789);
    let counter = Counter::new(wire);
    filter.insert(0, &counter.socket).unwrap();
    let headers = 14 + 20 + 8;
    let longest = 2048 - 256 - headers; // the kernel keeps 256 bytes of headroom
    for (len, count) in [(100, (1, 0)), (longest, (2, 0)), (longest + 1, (2, 1)), (3000, (2, 2)), (8900, (2, 3))] {
        wire.send(4789, len);
        assert!(!heard(&vxlan, len));
        assert_eq!(counter.count(), count, "{len} bytes, {} mode", filter.mode());
    }
}

#[test]
fn where_the_driver_knows_no_xdp_it_is_skb_mode_and_says_why() {
    const TEST: &str = "where_the_driver_knows_no_xdp_it_is_skb_mode_and_says_why";
    let Some(netns) = Netns::new(TEST, "skb") else { return };
    netns.ip("link add br0 type bridge");
    let ifindex = netns.ifindex("br0");
    netns.run(|| {
        let filter = Attached::new(ifindex, UNDERLAY, 1, BUSY).unwrap();
        assert_eq!((filter.mode(), filter.mode().to_string()), (Mode::Skb, "skb".to_owned()));
        assert_eq!(filter.why_not_native().and_then(Errno::from_io_error), Some(NO_NATIVE));
        assert!(netns.ip("link show dev br0").contains("xdpgeneric"));
        // Here the kernel says EEXIST to native mode, not EBUSY.
        let second = Attached::new(ifindex, UNDERLAY, 1, Duration::ZERO).unwrap_err();
        assert!(matches!(second, AttachError::Busy { .. }), "{second}");
        drop(filter);
        assert!(soon(|| !netns.ip("link show dev br0").contains("xdp")));
    });
}

#[test]
fn a_second_attacher_waits_and_is_told_what_to_do() {
    let Some(wire) = Wire::new("a_second_attacher_waits_and_is_told_what_to_do", "busy", 1500) else { return };
    let first = wire.attach(UNDERLAY).unwrap();
    let start = Instant::now();
    let error = wire.attach(Filter::Everything).unwrap_err();
    assert!((BUSY..BUSY * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(matches!(&error, AttachError::Busy { interface, .. } if interface == "und"), "{error:?}");
    let text = error.to_string();
    for words in ["und", "os error 16", "another XDP program is attached", "`ip link show dev und`"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // The first one goes while the second waits.
    let second = std::thread::scope(|s| {
        let second = s.spawn(|| wire.attach(Filter::Everything));
        sleep(Duration::from_millis(200));
        assert!(!second.is_finished());
        drop(first);
        second.join().unwrap()
    });
    assert_eq!(second.unwrap().mode(), Mode::Native);
}

#[test]
fn what_cannot_be_attached_says_why() {
    let Some(netns) = Netns::new("what_cannot_be_attached_says_why", "denied") else { return };
    netns.ip("link add br0 type bridge");
    let ifindex = netns.ifindex("br0");
    netns.run(|| {
        let missing = Attached::new(999_999, UNDERLAY, 1, BUSY).unwrap_err();
        assert!(matches!(missing, AttachError::NoInterface { ifindex: 999_999 }), "{missing:?}");
        assert!(missing.to_string().contains("no interface has index 999999"), "{missing}");

        let none = Attached::new(ifindex, UNDERLAY, 0, BUSY).unwrap_err(); // a map of no entries
        assert!(matches!(none, AttachError::Prepare { .. }), "{none:?}");
        assert!(none.to_string().contains("XSKMAP"), "{none}");

        let filter = Attached::new(ifindex, UNDERLAY, 2, BUSY).unwrap();
        assert_eq!(filter.insert(2, socket()).map_err(|e| Errno::from_io_error(&e)), Err(Some(Errno::TOOBIG)));
        let no_socket = filter.insert(1, std::fs::File::open("/dev/null").unwrap());
        assert_eq!(no_socket.map_err(|e| Errno::from_io_error(&e)), Err(Some(Errno::NOTSOCK)));
    });
    netns.run(|| {
        // Of this thread alone, which ends here.
        let none = rustix::thread::CapabilitySets {
            effective: rustix::thread::CapabilitySet::empty(),
            permitted: rustix::thread::CapabilitySet::empty(),
            inheritable: rustix::thread::CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).unwrap();
        let denied = Attached::new(ifindex, UNDERLAY, 1, BUSY).unwrap_err();
        assert!(matches!(denied, AttachError::Denied { .. }), "{denied:?}");
        assert!(denied.to_string().contains("CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"), "{denied}");
    });
}

/// What the kernel will not load is told in the verifier's words.
#[test]
fn a_program_the_kernel_refuses_is_told_with_its_words() {
    let Some(()) = privileged("a_program_the_kernel_refuses_is_told_with_its_words") else {
        return;
    };
    let mut a = Asm::default();
    a.load(Size::Word, Reg::R2, Reg::R1, MD_DATA).load(Size::Byte, Reg::R0, Reg::R2, 0).exit();
    let (e, log) = bpf::prog_load(&a.finish().unwrap()).unwrap_err();
    let error = AttachError::prepare(Step::Program, e, log);
    assert!(matches!(error, AttachError::Prepare { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("cannot load the XDP filter") && text.contains("verifier: invalid access to packet"),
        "{text}"
    );
}

/// A tag beside the frame is not seen: it came to the peer in the frame, and a bridge there took it out. With
/// the peer's `tx-vlan-offload` off the kernel puts it back before the frame leaves.
#[test]
fn a_tag_is_seen_once_the_peer_leaves_it_in_the_frame() {
    const TEST: &str = "a_tag_is_seen_once_the_peer_leaves_it_in_the_frame";
    let Some(wire) = Wire::new(TEST, "vlan", 1500) else { return };
    wire.there.ip("link add br0 type bridge mcast_snooping 0"); // which would send reports of its own
    wire.there.ip("tuntap add mode tap name tap0 multi_queue");
    for interface in ["br0", "tap0"] {
        wire.there.ip(&format!("link set {interface} addrgenmode none"));
        wire.there.ip(&format!("link set {interface} up"));
    }
    let mut guest = wire.there.run(|| open_queue("tap0"));
    wire.there.ip("link set tap0 master br0");
    wire.there.ip("link set peer master br0");
    // A port forwards once the kernel has noticed its carrier, which it looks for once a second.
    assert!(soon(|| wire.there.ip("-d link show master br0").matches("state forwarding").count() == 2));
    let mut frame = vxlan(&mut Random(8), VTEP, 4789, 5, 100);
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&[0xfa, 0x16, 0x3e, 0, 0, 1]);
    frame.splice(12..12, [0x81, 0x00, 0, 7]);

    let filter = wire.attach(UNDERLAY).unwrap();
    let counter = Counter::new(&wire);
    filter.insert(0, &counter.socket).unwrap();
    assert_eq!(guest.write(&frame).unwrap(), frame.len());
    assert!(soon(|| counter.count() == (1, 0)), "as untagged: {:?}", counter.count());
    wire.there.run(|| set_tx_vlan("peer", false)).unwrap();
    assert_eq!(guest.write(&frame).unwrap(), frame.len());
    // One more that is seen as untagged comes after it.
    wire.there.run(|| set_tx_vlan("peer", true)).unwrap();
    assert_eq!(guest.write(&frame).unwrap(), frame.len());
    assert!(soon(|| counter.count() == (2, 0)), "the tag seen in the second only: {:?}", counter.count());
    sleep(Duration::from_millis(20));
    assert_eq!(counter.count(), (2, 0), "and no other came");
}
