//! I1 (is the port up, tags) and I2's reserved identities. Port security is in `security`.

use crate::burst::Door;
use crate::testkit::*;

mod security;

const IN: &str = "ingress decode vm_port";
const BRIDGED: &str = "ingress decode vm_port local_switching egress";
const FLOODED: &str = "ingress decode vm_port local_switching egress flood_to_tun vxlan_encap*3";

fn udp(from: Vm, to: Vm) -> Vec<u8> {
    eth(from.mac, to.mac, ip4(from.ip, to.ip).udp(1000, 2000, b"x"))
}

/// Rules: I1.
#[test]
fn a_port_that_is_down_sends_nothing() {
    let mut rig = Rig::h1_with(|r| r.down(A3));
    rig.one(A3.door, udp(A3, A1)).assert_dropped(A3.door, IN, "port_down");
}

/// Rules: L1.
#[test]
fn a_port_that_is_down_gets_nothing() {
    let mut rig = Rig::h1_with(|r| r.down(A3));
    rig.one(A1.door, udp(A1, A3)).assert_dropped(A1.door, BRIDGED, "port_down");
}

/// Rules: I1.
#[test]
fn before_any_row_exists_every_port_is_down() {
    let mut rig = Rig::h1_with(|r| r.snap = Default::default());
    rig.one(A1.door, udp(A1, A3)).assert_dropped(A1.door, IN, "port_down");
    rig.one(Door::Unknown, udp(A1, A3)).assert_dropped(Door::Unknown, IN, "port_down");
}

/// Rules: I1.
#[test]
fn a_priority_tag_counts_as_untagged_and_comes_off() {
    let plain = udp(A1, A3);
    for tci in [0x0000, 0xe000] {
        Rig::h1().one(A1.door, tagged(&plain, &[tci])).assert_sent(A1.door, BRIDGED, &[(A3.door, plain.clone())]);
    }
}

/// Rules: I1.
#[test]
fn a_priority_tagged_packet_is_routed_like_any_other() {
    let frame = |ttl, src, dst| eth(src, dst, ip4(A1.ip, B1.ip).ttl(ttl).udp(1, 2, b"x"));
    let path = "ingress decode vm_port qrouter dvr_process egress";
    Rig::h1().one(A1.door, tagged(&frame(64, A1.mac, RA.mac), &[0])).assert_sent(
        A1.door,
        path,
        &[(B1.door, frame(63, RB.mac, B1.mac))],
    );
}

/// Rules: I1.
#[test]
fn any_other_tag_is_vlan_unexpected() {
    for tags in [&[1][..], &[4095], &[5, 6], &[0, 0], &[0, 5]] {
        Rig::h1().one(A1.door, tagged(&udp(A1, A3), tags)).assert_dropped(A1.door, IN, "vlan_unexpected");
    }
}

#[test]
fn on_a_vlan_transparent_network_tags_are_payload() {
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.vlan_transparent = true));
    let frame = tagged(&udp(A1, A3), &[5]);
    rig.one(A1.door, frame.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, frame)]);
    // Not even ARP behind a tag is looked at.
    let arp = tagged(&eth(A1.mac, A3.mac, arp_request(A1.mac, A1.ip, RA.ip)), &[5]);
    rig.one(A1.door, arp.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, arp)]);
}

/// Rules: I0, I1.
#[test]
fn a_third_tag_is_payload() {
    let frame = tagged(&udp(A1, A3), &[0, 0, 0]);
    Rig::h1().one(A1.door, frame.clone()).assert_dropped(A1.door, IN, "vlan_unexpected");
    let mut rig = Rig::h1_with(|r| r.seg(A, |s| s.vlan_transparent = true));
    rig.one(A1.door, frame.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, frame.clone())]);
    // Cut off behind the second tag it is a frame all the same.
    let cut = frame[..22].to_vec();
    rig.one(A1.door, cut.clone()).assert_sent(A1.door, BRIDGED, &[(A3.door, cut)]);
}

/// Reserved MACs for a port on A: PS-04's three, another host's DVR MAC, the OUI's ends, and every
/// router on the network.
fn reserved_macs() -> Vec<crate::addr::MacAddr> {
    let oui = ["fa:16:3f:aa:bb:cc", "fa:16:3f:00:00:00", "fa:16:3f:ff:ff:ff"].map(mac);
    [RA.mac, H1.dvr, H2.dvr].into_iter().chain(oui).collect()
}

/// Rules: I2, D7.
#[test]
fn no_port_may_use_a_reserved_mac_as_ethernet_source() {
    for src in reserved_macs() {
        let frame = eth(src, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b""));
        Rig::h1().one(A3.door, frame.clone()).assert_dropped(A3.door, IN, "reserved_src");
        Rig::h1_with(|r| r.unsecure(A3)).one(A3.door, frame).assert_dropped(A3.door, IN, "reserved_src");
    }
}

/// Rules: I2, D7.
#[test]
fn no_port_may_use_a_reserved_mac_as_arp_or_rarp_sender_or_in_an_nd_option() {
    for sha in reserved_macs() {
        let payloads = [
            arp_request(sha, A3.ip, A1.ip),
            arp_reply(sha, A3.ip, A1.mac, A1.ip),
            rarp(sha),
            ns(lla(A3.mac), lla(A1.mac), lla(A1.mac), Some(sha)),
            na(lla(A3.mac), lla(A1.mac), lla(A3.mac), sha),
            rs(lla(A3.mac), sha),
        ];
        for payload in payloads {
            let mut rig = Rig::h1_with(|r| r.unsecure(A3));
            rig.one(A3.door, eth(A3.mac, A1.mac, payload)).assert_dropped(A3.door, IN, "reserved_src");
        }
    }
}

/// Rules: I2.
#[test]
fn a_router_mac_is_reserved_on_its_own_network_only() {
    // rB is nobody on A.
    let frame = eth(RB.mac, A1.mac, ip4(A3.ip, A1.ip).udp(1, 2, b""));
    let mut rig = Rig::h1_with(|r| r.unsecure(A3));
    rig.one(A3.door, frame.clone()).assert_sent(A3.door, BRIDGED, &[(A1.door, frame)]);
}

/// Rules: I2, D7.
#[test]
fn no_port_may_claim_a_router_address() {
    let claims = [
        arp_reply(A3.mac, RA.ip, A1.mac, A1.ip), // ARP-04
        arp_request(A3.mac, RA.ip, A1.ip),
        arp_request(A3.mac, RA.ip, RA.ip),
        na(lla(A3.mac), lla(A1.mac), RA_V6, A3.mac),
    ];
    for claim in claims {
        for secured in [true, false] {
            let mut rig = Rig::h1_with(|r| {
                if !secured {
                    r.unsecure(A3)
                }
            });
            rig.one(A3.door, eth(A3.mac, A1.mac, claim.clone())).assert_dropped(A3.door, IN, "reserved_src");
        }
    }
}

/// Rules: I2, D7.
#[test]
fn an_allowed_address_pair_that_names_a_router_changes_nothing() {
    let mut rig = Rig::h1_with(|r| r.port(A3.door, |p| allow(p, RA.ip, u32::MAX)));
    let frame = eth(A3.mac, A1.mac, arp_reply(A3.mac, RA.ip, A1.mac, A1.ip));
    rig.one(A3.door, frame).assert_dropped(A3.door, IN, "reserved_src");
}

/// Rules: I2, D10.
#[test]
fn a_router_advertisement_from_a_port_is_ra_guest() {
    let frame = eth(A3.mac, mac("33:33:00:00:00:01"), ra(lla(A3.mac)));
    Rig::h1().one(A3.door, frame.clone()).assert_dropped(A3.door, IN, "ra_guest");
    Rig::h1_with(|r| r.unsecure(A3)).one(A3.door, frame).assert_dropped(A3.door, IN, "ra_guest");
}

/// Rules: I1, I0.
#[test]
fn in_a_burst_of_several_ports_each_frame_is_asked_about_its_own() {
    use crate::drop_reason::DropReason;
    let mut rig = Rig::h1_with(|r| r.down(A3));
    let short = udp(A1, A2)[..13].to_vec();
    let frames = [(A1, short), (A1, udp(A1, A2)), (A3, udp(A3, A2)), (B1, udp(B1, B2)), (B1, udp(A1, B2))];
    frames.iter().for_each(|(from, frame)| rig.inject(from.door, frame));
    assert_eq!(rig.worker.poll_ports(&[(A1.door, 8), (A3.door, 8), (B1.door, 8)]), 5);
    let sent = [vx(H1, H2, 1001, &udp(A1, A2)), vx(H1, H2, 1002, &udp(B1, B2))];
    assert_eq!(rig.drain(), sent.map(|frame| (Door::Tunnel, frame)));
    let count = |reason| rig.worker.counters().reason(reason).get();
    let reasons = [DropReason::ParseShort, DropReason::PortDown, DropReason::MacSpoof];
    assert_eq!((reasons.map(count), rig.worker.counters().dropped.get()), ([1, 1, 1], 3));
}
