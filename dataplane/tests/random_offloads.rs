//! Whatever a virtio header says of whatever frame: nothing panics, no chunk is lost, the books balance; and what was
//! right comes out right, cut or whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(dead_code, unused_imports, reason = "shared with the crate's own tests")]

pub use dataplane::*;

#[path = "../src/wire/reference.rs"]
mod reference;
#[path = "../src/testkit/mod.rs"]
mod testkit;

use burst::{Checksum, Door, Gso};
use etherparse::TcpHeader;
use io::Carries;
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::*;

/// Where A1 sends: to a neighbour on the host, to one on another host, routed on the host and to another, out by its
/// floating IP; with the destination as it arrives there.
const WAYS: [(addr::MacAddr, u32); 5] =
    [(A3.mac, A3.ip), (A2.mac, A2.ip), (RA.mac, B1.ip), (RA.mac, B2.ip), (RA.mac, E)];

fn rig(whole: bool) -> Rig {
    let room = Room { frames: 512, queue: 512, tunnel_queue: 512 };
    let mut rig = Rig::with_room(Rows::h1(), room);
    if whole {
        [A3.door, B1.door].into_iter().for_each(|door| rig.port_carries(door, Carries::ALL));
    }
    rig
}

/// The IPv4 packet of a sent frame: behind Ethernet, a VLAN tag, or the headers of a tunnel.
fn packet(door: Door, frame: &[u8]) -> &[u8] {
    let at = match door {
        Door::Tunnel => 64,
        Door::Phys(_) => 18,
        _ => 14,
    };
    &frame[at..]
}

fn checksum() -> impl Strategy<Value = Checksum> {
    prop_oneof![
        Just(Checksum::None),
        Just(Checksum::Verified),
        Just(Checksum::Partial { start: 34, offset: 16 }),
        Just(Checksum::Partial { start: 34, offset: 6 }),
        (0..200u16, 0..200u16).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
        any::<(u16, u16)>().prop_map(|(start, offset)| Checksum::Partial { start, offset }),
    ]
}

fn gso() -> impl Strategy<Value = Gso> {
    let size = prop_oneof![0..4u16, 500..2000u16, any::<u16>()];
    (0..4, size).prop_map(|(kind, size)| match kind {
        0 => Gso::None,
        1 => Gso::TcpV4(size),
        2 => Gso::TcpV6(size),
        _ => Gso::Udp(size),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Rules: I0-gso.
    #[test]
    fn segments_put_together_are_what_was_sent(
        way in 0..WAYS.len(),
        len in prop_oneof![1..3000usize, 3000..20_000usize],
        size in 100..1398u16,
        options in prop_oneof![Just(0), Just(12)],
        whole: bool,
        seq: u32,
    ) {
        let data: Vec<u8> = (0..len).map(|n| (n * 7 + n / 251) as u8).collect();
        let mut h = TcpHeader::new(40000, 22, seq, 1024);
        (h.ack, h.psh, h.fin) = (true, true, true);
        h.set_options_raw(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8][..options]).unwrap();
        let (mac, dst) = WAYS[way];
        let mut frame = eth(A1.mac, mac, ip4(A1.ip, dst).df().segment(h, &data));
        // In place of the checksum the sum of the pseudo-header (virtio 1.2, 5.1.6.2).
        let length = (frame.len() - 34) as u16;
        let pseudo = [&frame[26..34], &[0, 6], &length.to_be_bytes()].concat();
        frame[50..52].copy_from_slice(&reference::sum(&pseudo).to_be_bytes());
        let partial = Checksum::Partial { start: 34, offset: 16 };
        let (out, asked) = rig(whole).offloaded(A1.door, &frame, partial, Gso::TcpV4(size));
        let headers = 40 + options;
        let stays = whole && matches!(out.sent[0].0, Door::Port(_));
        let expected = if stays { 1 } else { len.div_ceil(size.into()) };
        prop_assert_eq!(out.sent.len(), expected);
        prop_assert_eq!(out.moved.get("segmented").copied().unwrap_or(0), u64::from(!stays));
        let mut got = Vec::new();
        for (n, ((door, frame), asked)) in out.sent.iter().zip(&asked).enumerate() {
            let packet = packet(*door, frame);
            let at = u32::from_be_bytes(packet[24..28].try_into().unwrap());
            prop_assert_eq!(at, seq.wrapping_add(got.len() as u32));
            let (last, flags) = (n + 1 == expected, packet[33]);
            prop_assert_eq!(flags, if last { 0x19 } else { 0x10 });
            got.extend_from_slice(&packet[headers..]);
            if stays {
                prop_assert_eq!(asked, &(partial, Gso::TcpV4(size)));
            } else {
                prop_assert_eq!(asked, &(Checksum::None, Gso::None));
                reference::assert_sums(packet);
            }
        }
        prop_assert!(got == data, "the stream is the same");
    }

    /// Rules: I0-gso.
    #[test]
    fn no_header_does_harm(
        way in 0..WAYS.len(),
        len in 0..6000usize,
        csum in checksum(),
        gso in gso(),
        bad in vec((0..120usize, any::<u8>()), 0..4),
        tcp: bool,
        whole: bool,
    ) {
        let (mac, dst) = WAYS[way];
        let payload = match tcp {
            true => ip4(A1.ip, dst).segment(TcpHeader::new(1, 2, 3, 4), &vec![5; len]),
            false => ip4(A1.ip, dst).udp(1, 2, &vec![5; len]),
        };
        let mut frame = eth(A1.mac, mac, payload);
        for (at, byte) in bad {
            if let Some(place) = frame.get_mut(at) {
                *place = byte;
            }
        }
        let mut rig = rig(whole);
        rig.offloaded(A1.door, &frame, csum, gso); // asserts the books and that every chunk is home
    }
}
