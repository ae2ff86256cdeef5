//! I2, port security: what a secured port may send, and what stops the rest.

use super::{BRIDGED, FLOODED, IN};
use crate::addr::MacAddr;
use crate::tables::AllowedPair;
use crate::testkit::*;
use std::net::Ipv4Addr;

/// A MAC and an address nobody of the fixture has.
const OTHER: MacAddr = MacAddr::new([0xfa, 0x16, 0x3e, 0x0a, 0, 0x77]);
const OTHER_IP: u32 = Ipv4Addr::new(10, 1, 0, 77).to_bits();
const BROADCAST: MacAddr = MacAddr::BROADCAST;

#[track_caller]
fn assert_drops(frame: Vec<u8>, reason: &str) {
    Rig::h1().one(A3.door, frame.clone()).assert_dropped(A3.door, IN, reason);
    // Without port security it gets past this stage.
    let free = Rig::h1_with(|r| r.unsecure(A3)).one(A3.door, frame);
    assert!(!free.moved.contains_key(&format!("drop.{reason}")), "{:?}", free.moved);
}

/// From A3 to A1, with port security on and something else changed.
#[track_caller]
fn assert_passes(frame: Vec<u8>, change: impl FnOnce(&mut Rows)) {
    let out = Rig::h1_with(change).one(A3.door, frame.clone());
    assert_eq!(out.sent, [(A1.door, frame)]);
}

fn from(src: MacAddr, payload: Payload) -> Vec<u8> {
    eth(src, A1.mac, payload)
}

/// Rules: I2-ps.
#[test]
fn the_source_mac_is_one_of_the_ports() {
    assert_drops(from(A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b"")), "mac_spoof"); // PS-01
    assert_drops(from(OTHER, ip4(A3.ip, A1.ip).udp(1, 2, b"")), "mac_spoof");
    assert_drops(from(OTHER, arp_reply(OTHER, A3.ip, A1.mac, A1.ip)), "mac_spoof");
    assert_drops(from(OTHER, v6(lla(OTHER), lla(A1.mac)).udp(1, 2, b"")), "mac_spoof");
    assert_drops(from(OTHER, other(0x9999, &[])), "mac_spoof");
}

/// Rules: I2-ps.
#[test]
fn a_spoofed_source_teaches_nothing() {
    let out = Rig::h1().one(A3.door, from(OTHER, ip4(A3.ip, A1.ip).udp(1, 2, b"")));
    assert_eq!(out.assert_dropped(A3.door, IN, "mac_spoof").learned, []); // L4: from ports without port security
}

#[test]
fn the_ipv4_source_is_one_of_the_ports() {
    assert_passes(from(A3.mac, ip4(A3.ip, A1.ip).udp(1, 2, b"")), |_| {});
    assert_drops(from(A3.mac, ip4(A1.ip, A1.ip).udp(1, 2, b"")), "ip_spoof"); // PS-03
    assert_drops(from(A3.mac, ip4(E, A1.ip).udp(1, 2, b"")), "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn a_spoofed_packet_is_not_routed_either() {
    let frame = eth(A3.mac, RA.mac, ip4(A1.ip, B1.ip).udp(1, 2, b""));
    Rig::h1().one(A3.door, frame).assert_dropped(A3.door, IN, "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn without_an_address_only_a_dhcp_client_may_speak() {
    let discover = |src: u16, dst: u16| eth(A3.mac, BROADCAST, ip4(0, u32::MAX).udp(src, dst, b"dhcp"));
    let out = Rig::h1().one(A3.door, discover(68, 67));
    out.assert_moved(FLOODED, "received 1, port.1.rx 1, copied 3, sent 4, port.0.tx 1, tunnel.tx 3");
    assert_drops(discover(67, 68), "ip_spoof");
    assert_drops(discover(68, 68), "ip_spoof");
    assert_drops(eth(A3.mac, BROADCAST, ip4(0, u32::MAX).tcp(68, 67)), "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn a_dhcp_client_still_needs_the_ports_mac() {
    assert_drops(eth(OTHER, BROADCAST, ip4(0, u32::MAX).udp(68, 67, b"")), "mac_spoof");
}

/// Rules: I2-ps.
#[test]
fn an_allowed_pair_widens_addresses_for_its_own_mac_only() {
    let pair = |r: &mut Rows| {
        r.port(A3.door, |p| {
            p.allowed = p
                .allowed
                .iter()
                .copied()
                .chain([AllowedPair { mac: OTHER, net: 0, mask: 0, vouched: false }])
                .collect();
        });
    };
    assert_passes(from(OTHER, ip4(ip("8.8.8.8"), A1.ip).udp(1, 2, b"")), pair);
    assert_passes(from(OTHER, arp_reply(OTHER, ip("8.8.8.8"), A1.mac, A1.ip)), pair);
    let out = Rig::h1_with(pair).one(A3.door, from(A3.mac, ip4(ip("8.8.8.8"), A1.ip).udp(1, 2, b"")));
    out.assert_dropped(A3.door, IN, "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn an_allowed_prefix_ends_where_it_ends() {
    let prefix = |r: &mut Rows| r.port(A3.door, |p| allow(p, ip("10.66.0.0"), 0xffff_0000));
    assert_passes(from(A3.mac, ip4(ip("10.66.255.255"), A1.ip).udp(1, 2, b"")), prefix);
    let out = Rig::h1_with(prefix).one(A3.door, from(A3.mac, ip4(ip("10.67.0.0"), A1.ip).udp(1, 2, b"")));
    out.assert_dropped(A3.door, IN, "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn the_arp_sender_is_a_pair_of_the_port_and_the_ethernet_source() {
    assert_passes(from(A3.mac, arp_reply(A3.mac, A3.ip, A1.mac, A1.ip)), |_| {});
    assert_drops(from(A3.mac, arp_request(A3.mac, A2.ip, A1.ip)), "arp_spoof"); // ARP-05
    assert_drops(from(A3.mac, arp_reply(A3.mac, OTHER_IP, A1.mac, A1.ip)), "arp_spoof");
    assert_drops(from(A3.mac, arp_reply(A1.mac, A3.ip, A1.mac, A1.ip)), "arp_spoof");
    assert_drops(from(A3.mac, arp_reply(A1.mac, A1.ip, A1.mac, A1.ip)), "arp_spoof");
}

/// Rules: I2-ps.
#[test]
fn the_arp_sender_may_not_be_another_mac_of_the_port_than_the_ethernet_source() {
    let mut rig = Rig::h1_with(|r| {
        r.port(A3.door, |p| {
            let pair = AllowedPair { mac: OTHER, net: OTHER_IP, mask: u32::MAX, vouched: false };
            p.allowed = p.allowed.iter().copied().chain([pair]).collect();
        });
    });
    let frame = from(A3.mac, arp_reply(OTHER, OTHER_IP, A1.mac, A1.ip));
    rig.one(A3.door, frame).assert_dropped(A3.door, IN, "arp_spoof");
}

/// Rules: I2-ps.
#[test]
fn an_arp_probe_has_no_sender_address_but_the_right_mac() {
    assert_passes(from(A3.mac, arp_request(A3.mac, 0, A1.ip)), |_| {});
    assert_drops(from(A3.mac, arp_request(OTHER, 0, A1.ip)), "arp_spoof");
}

/// Rules: I2-ps.
#[test]
fn rarp_is_for_the_ports_own_mac() {
    let out = Rig::h1().one(A3.door, eth(A3.mac, BROADCAST, rarp(A3.mac))); // PS-07
    out.assert_moved(FLOODED, "received 1, port.1.rx 1, copied 3, sent 4, port.0.tx 1, tunnel.tx 3");
    assert_drops(eth(A3.mac, BROADCAST, rarp(OTHER)), "mac_spoof");
    let mut rig = Rig::h1_with(|r| {
        r.port(A3.door, |p| {
            let pair = AllowedPair { mac: OTHER, net: OTHER_IP, mask: u32::MAX, vouched: false };
            p.allowed = p.allowed.iter().copied().chain([pair]).collect();
        });
    });
    rig.one(A3.door, eth(OTHER, BROADCAST, rarp(OTHER))).assert_dropped(A3.door, IN, "mac_spoof");
}

/// Rules: I2-ps.
#[test]
fn the_ipv6_source_is_one_of_the_ports() {
    let packet = |src| from(A3.mac, v6(src, lla(A1.mac)).udp(1, 2, b""));
    assert_passes(packet(lla(A3.mac)), |_| {});
    assert_passes(packet(ip6("fd00:a::13")), |r| r.port(A3.door, |p| allow6(p, ip6("fd00:a::13"), u128::MAX)));
    assert_drops(packet(lla(A1.mac)), "ip_spoof");
    assert_drops(packet(A1_V6), "ip_spoof");
    assert_drops(packet(0), "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn without_an_address_mld_reports_and_solicitations_may_be_sent() {
    let group = ip6("ff02::16");
    let unspecified = |kind, hops, body: &[u8]| from(A3.mac, v6(0, group).hop_limit(hops).icmp(kind, 0, body));
    let solicit = from(A3.mac, ns(0, ip6("ff02::1:ff00:13"), lla(A3.mac), None));
    assert_passes(solicit, |_| {});
    assert_passes(unspecified(131, 1, &[0; 20]), |_| {});
    assert_passes(unspecified(143, 1, &[0; 4]), |_| {});
    assert_drops(unspecified(128, 64, &[0; 4]), "ip_spoof");
    assert_drops(from(A3.mac, rs(0, A3.mac)), "ip_spoof");
}

/// Rules: I2-ps.
#[test]
fn the_advertised_neighbour_is_one_of_the_ports() {
    let advertise = |target| from(A3.mac, na(lla(A3.mac), lla(A1.mac), target, A3.mac));
    assert_passes(advertise(lla(A3.mac)), |_| {});
    assert_drops(advertise(A1_V6), "nd_spoof");
    assert_drops(advertise(lla(A1.mac)), "nd_spoof");
}

/// Rules: I2-ps.
#[test]
fn a_guest_is_no_dhcp_server() {
    assert_drops(from(A3.mac, ip4(A3.ip, A1.ip).udp(67, 68, b"")), "dhcp_server"); // PS-05
    assert_drops(from(A3.mac, v6(lla(A3.mac), lla(A1.mac)).udp(547, 546, b"")), "dhcp_server");
    // Neither the client's side, nor a relay, nor TCP.
    assert_passes(from(A3.mac, ip4(A3.ip, A1.ip).udp(68, 67, b"")), |_| {});
    assert_passes(from(A3.mac, ip4(A3.ip, A1.ip).udp(67, 67, b"")), |_| {});
    assert_passes(from(A3.mac, ip4(A3.ip, A1.ip).tcp(67, 68)), |_| {});
    assert_passes(from(A3.mac, v6(lla(A3.mac), lla(A1.mac)).udp(546, 547, b"")), |_| {});
}

/// Rules: I2-ps.
#[test]
fn a_guest_is_no_dhcp_server_in_fragments() {
    let udp = [0, 67, 0, 68, 0, 40, 0, 0, 2, 1, 6, 0, 0, 0, 0, 0];
    assert_drops(from(A3.mac, ip4(A3.ip, A1.ip).fragment(0, true).carry(17, &udp)), "dhcp_server");
    let udp6 = [2, 35, 2, 34, 0, 40, 0, 0, 2, 1, 6, 0, 0, 0, 0, 0];
    let fragment = v6(lla(A3.mac), lla(A1.mac)).fragment(0, true).carry(17, &udp6);
    assert_drops(from(A3.mac, fragment), "dhcp_server");
    // A later fragment's bytes are no ports.
    assert_passes(from(A3.mac, ip4(A3.ip, A1.ip).fragment(3, true).carry(17, &udp)), |_| {});
    assert_passes(from(A3.mac, v6(lla(A3.mac), lla(A1.mac)).fragment(3, true).carry(17, &udp6)), |_| {});
}

/// Rules: I2-ps.
#[test]
fn other_ethertypes_are_not_permitted() {
    for kind in [0x9999, 0x88cc, 0x8847, 0x0022] {
        assert_drops(from(A3.mac, other(kind, &[0; 46])), "ethertype");
    }
}

/// Rules: I2-ps.
#[test]
fn but_for_those_on_the_clouds_list_and_from_the_ports_own_mac() {
    let rig = || Rig::h1_with(|r| r.snap.host.permitted_ethertypes[..2].copy_from_slice(&[0x88cc, 0x9999]));
    for kind in [0x9999, 0x88cc] {
        let frame = from(A3.mac, other(kind, &[0; 46]));
        rig().one(A3.door, frame.clone()).assert_sent(A3.door, BRIDGED, &[(A1.door, frame)]);
        rig().one(A3.door, from(OTHER, other(kind, &[0; 46]))).assert_dropped(A3.door, IN, "mac_spoof");
    }
    // 0 marks free places of the list; what is left of a frame without payload is no EtherType.
    for kind in [0, 0x8847, 0x0022] {
        rig().one(A3.door, from(A3.mac, other(kind, &[0; 46]))).assert_dropped(A3.door, IN, "ethertype");
    }
}

/// Rules: I1, I2, I2-ps.
#[test]
fn a_frame_that_breaks_several_rules_is_named_after_the_first() {
    let frame = eth(OTHER, A1.mac, ip4(A1.ip, A1.ip).udp(67, 68, b""));
    Rig::h1().one(A3.door, frame).assert_dropped(A3.door, IN, "mac_spoof");
    let frame = eth(A3.mac, A1.mac, ip4(A1.ip, A1.ip).udp(67, 68, b""));
    Rig::h1().one(A3.door, frame).assert_dropped(A3.door, IN, "ip_spoof");
    assert_eq!(
        Rig::h1()
            .one(A3.door, eth(A3.mac, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b"")))
            .assert_moved(BRIDGED, "received 1, port.1.rx 1, sent 1, port.0.tx 1",)
            .learned,
        []
    );
}

/// H1 where the first pair of A1's port is this one, and port security is on or off.
fn first_pair(pair: AllowedPair, secured: bool) -> Rig {
    Rig::h1_with(|r| {
        if !secured {
            r.unsecure(A1);
        }
        r.port(A1.door, |p| p.allowed = [pair].into());
    })
}

/// Only a fixed address of a secured port is no router's (R1 need not ask again): a pair may be anything.
///
/// Rules: I2-ps, R1.
#[test]
fn a_pair_vouches_for_no_source_and_nor_does_a_port_without_security() {
    let frame = eth(A1.mac, RA.mac, ip4(RB.ip, B1.ip).udp(1, 2, b""));
    let routed = &format!("{IN} qrouter");
    let pair = |vouched| AllowedPair { mac: A1.mac, net: RB.ip, mask: u32::MAX, vouched };
    for (vouched, secured) in [(false, true), (false, false), (true, false)] {
        let out = first_pair(pair(vouched), secured).one(A1.door, frame.clone());
        out.assert_dropped(A1.door, routed, "martian");
    }
}

/// Rules: L4, I2-ps.
#[test]
fn another_mac_than_the_ports_is_learned_whichever_pair_allows_it() {
    for vouched in [true, false] {
        let mut rig = first_pair(AllowedPair { mac: OTHER, net: A1.ip, mask: u32::MAX, vouched }, true);
        let out = rig.one(A1.door, eth(OTHER, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b"")));
        assert_eq!(out.learned.iter().map(|e| (e.seg, e.mac)).collect::<Vec<_>>(), [(A, OTHER)]);
    }
}

/// Rules: I2, D7.
#[test]
fn a_port_whose_own_mac_is_reserved_sends_nothing() {
    for reserved in [RA.mac, H2.dvr] {
        let mut rig = Rig::h1_with(|r| {
            r.port(A1.door, |p| {
                p.mac = reserved;
                p.allowed = [AllowedPair { mac: reserved, net: A1.ip, mask: u32::MAX, vouched: true }].into();
            });
        });
        let frame = eth(reserved, A3.mac, ip4(A1.ip, A3.ip).udp(1, 2, b""));
        rig.one(A1.door, frame).assert_dropped(A1.door, IN, "reserved_src");
    }
}
