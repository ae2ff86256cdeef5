//! T05: ports of this host.

use super::*;

fn v4(mac: MacAddr, net: &str, mask: u32, vouched: bool) -> AllowedPair {
    AllowedPair { mac, net: ip(net), mask, vouched }
}

#[test]
fn ports_of_a_host_are_those_bound_there_that_have_queues() {
    let cloud = fixture();
    let at = |host: &str| ids(rows(&cloud, host).ports.keys());
    assert_eq!((at("H1"), at("H2")), ("A1 A3 B1 K1 V1 Z1".to_owned(), "A2 B2 V2".to_owned()));
    assert_eq!((at("H3"), at("H4")), ("DH".to_owned(), "A4".to_owned()), "no sg-, qg- or fg- port");
}

/// Rules: I2-ps.
#[test]
fn a_secured_vm_may_use_its_addresses_its_pairs_and_its_link_local_address() {
    let a1 = mac("0a:00:11");
    let expected = PortRows {
        network: "A".to_owned(),
        mac: a1,
        active: true,
        secured: true,
        unknown: false,
        gateway_mac: mac("0a:00:01"),
        allowed: vec![v4(a1, "10.1.0.11", u32::MAX, true), v4(a1, "10.1.0.100", u32::MAX, false)],
        allowed6: vec![
            AllowedPair6 { mac: a1, net: 0xfd00_000a_u128 << 96 | 0x11, mask: u128::MAX },
            AllowedPair6 { mac: a1, net: 0xfe80 << 112 | 0xf816_3eff_fe0a_0011, mask: u128::MAX },
        ],
    };
    assert_eq!(rows(&fixture(), "H1").ports["A1"], expected);
}

/// Rules: I2-ps, L3.
#[test]
fn a_service_port_is_not_secured_and_gets_unknown_unicast() {
    let h3 = rows(&fixture(), "H3");
    assert!(!h3.ports["DH"].secured && h3.ports["DH"].unknown && h3.ports["DH"].active);
    let mut cloud = fixture();
    port(&mut cloud, "DH").port_security_enabled = true;
    let dh = &rows(&cloud, "H3").ports["DH"];
    assert!(!dh.secured && !dh.unknown, "port security never applies to a service port");
    port(&mut cloud, "A3").port_security_enabled = false;
    let a3 = &rows(&cloud, "H1").ports["A3"];
    assert!(!a3.secured && a3.unknown);
}

/// Rules: I1.
#[test]
fn a_port_is_active_only_if_its_status_and_its_admin_state_are() {
    for status in [PortStatus::Down, PortStatus::Build, PortStatus::Error, PortStatus::NotApplicable] {
        let mut cloud = fixture();
        port(&mut cloud, "A3").status = status;
        assert!(!rows(&cloud, "H1").ports["A3"].active, "{status:?}");
    }
    let mut cloud = fixture();
    port(&mut cloud, "A3").admin_state_up = false;
    assert!(!rows(&cloud, "H1").ports["A3"].active);
    port(&mut cloud, "A1").binding_failed = true;
    assert!(!rows(&cloud, "H1").ports.contains_key("A1"));
}

/// Rules: I2-ps.
#[test]
fn a_pair_of_every_address_is_for_its_own_mac_alone() {
    let mut cloud = fixture();
    let (own, other) = (mac("0a:00:13"), mac("0a:00:99"));
    let any = IpNet::parse_strict("0.0.0.0/0").unwrap();
    let wide = IpNet::parse_strict("10.1.0.64/26").unwrap();
    port(&mut cloud, "A3").allowed_address_pairs = vec![
        crate::model::AddressPair { ip_address: any, mac_address: other },
        crate::model::AddressPair { ip_address: wide, mac_address: own },
    ];
    let allowed = rows(&cloud, "H1").ports["A3"].allowed.clone();
    let expected = [
        v4(own, "10.1.0.13", u32::MAX, true),
        v4(other, "0.0.0.0", 0, false),
        v4(own, "10.1.0.64", 0xffff_ffc0, false),
    ];
    assert_eq!(allowed, expected);
    let link_local = |m: MacAddr, id: u128| AllowedPair6 { mac: m, net: 0xfe80 << 112 | id, mask: u128::MAX };
    let expected6 = [link_local(own, 0xf816_3eff_fe0a_0013), link_local(other, 0xf816_3eff_fe0a_0099)];
    assert_eq!(rows(&cloud, "H1").ports["A3"].allowed6, expected6, "each MAC its own link-local address");
}

/// Rules: R1.
#[test]
fn addresses_a_router_would_drop_are_allowed_but_not_vouched_for() {
    let bad = ["0.0.0.5", "127.0.0.1", "169.254.1.1", "224.0.0.5", "240.0.0.1"];
    for (address, vouched) in
        bad.map(|a| (a, false)).into_iter().chain([("169.253.0.1", true), ("223.255.255.1", true)])
    {
        let mut cloud = fixture();
        port(&mut cloud, "A3").fixed_ips = vec![fixed("A-v4", address)];
        let a3 = mac("0a:00:13");
        assert_eq!(rows(&cloud, "H1").ports["A3"].allowed, [v4(a3, address, u32::MAX, vouched)], "{address}");
    }
}

/// R1: a source that is one of the router's own addresses is martian, even where a port on a subnet
/// the router has no interface on was given that very address.
/// Rules: R1.
#[test]
fn a_fixed_address_that_a_router_has_too_is_not_vouched_for() {
    let mut cloud = fixture();
    subnet(&mut cloud, "A2-v4", "A", "10.2.0.0/24");
    port(&mut cloud, "A3").fixed_ips = vec![fixed("A2-v4", "10.2.0.1")];
    let a3 = mac("0a:00:13");
    assert_eq!(rows(&cloud, "H1").ports["A3"].allowed, [v4(a3, "10.2.0.1", u32::MAX, false)], "rB has 10.2.0.1");
}

/// Rules: T4.
#[test]
fn the_gateway_mac_of_a_port_is_that_of_its_first_subnet() {
    let mut cloud = fixture();
    subnet(&mut cloud, "A2-v4", "A", "10.11.0.0/24");
    interface(&mut cloud, "rA2", "R1", "0a:02:01", fixed("A2-v4", "10.11.0.1"));
    port(&mut cloud, "A3").fixed_ips = vec![fixed("A2-v4", "10.11.0.13"), fixed("A-v4", "10.1.0.13")];
    port(&mut cloud, "A1").fixed_ips = vec![fixed("A-v4", "10.1.0.11"), fixed("A2-v4", "10.11.0.11")];
    let h1 = rows(&cloud, "H1");
    assert_eq!(h1.ports["A3"].gateway_mac, mac("0a:02:01"));
    assert_eq!(h1.ports["A1"].gateway_mac, mac("0a:00:01"));
    assert_eq!(h1.ports["Z1"].gateway_mac, MacAddr::ZERO, "Z has no router");
    port(&mut cloud, "A1").fixed_ips.clear();
    assert_eq!(rows(&cloud, "H1").ports["A1"].gateway_mac, MacAddr::ZERO);
}
