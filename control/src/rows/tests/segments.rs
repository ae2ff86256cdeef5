//! T04, T08, T09 and the network's part of T11.

use super::*;

fn subnet_row(net: &str, gateway: MacAddr) -> SubnetRow {
    SubnetRow { net: ip(net), mask: ip("255.255.255.0"), gateway_mac: gateway }
}

fn router_address(address: &str, mac: MacAddr, answers: bool) -> RouterAddress {
    RouterAddress { ip: ip(address), mac, answers }
}

/// Rules: L6.
#[test]
fn the_flood_list_is_every_other_host_with_the_network() {
    let cloud = fixture();
    for (host, list) in [("H1", "H2 H3 H4"), ("H2", "H1 H3 H4"), ("H3", "H1 H2 H4"), ("H4", "H1 H2 H3")] {
        let rows = rows(&cloud, host);
        for network in ["A", "B", "C", "K"] {
            assert_eq!(ids(&rows.segments[network].flood_hosts), list, "{network} at {host}");
        }
        assert!(rows.segments["V"].flood_hosts.is_empty(), "a VLAN network floods to its wire");
    }
    assert!(rows(&cloud, "H1").segments["Z"].flood_hosts.is_empty(), "nobody else has Z");
}

/// Rules: L6.
#[test]
fn the_flood_list_follows_the_vtep_address_as_a_number() {
    let mut cloud = fixture();
    cloud.hosts.get_mut("H4").unwrap().vtep = "172.20.0.9".parse().unwrap();
    assert_eq!(ids(&rows(&cloud, "H1").segments["A"].flood_hosts), "H4 H2 H3");
    cloud.hosts.get_mut("H2").unwrap().vtep = "172.20.0.200".parse().unwrap();
    assert_eq!(ids(&rows(&cloud, "H1").segments["A"].flood_hosts), "H4 H3 H2");
}

/// Rules: L6.
#[test]
fn a_host_with_only_a_router_interface_is_in_the_flood_list() {
    // Nobody on H4 has a port on K: its router R2 does.
    assert_eq!(ids(&rows(&fixture(), "H1").segments["K"].flood_hosts), "H2 H3 H4");
}

/// Rules: L6.
#[test]
fn local_copies_go_to_active_ports_in_order_of_their_ids() {
    let mut cloud = fixture();
    twin(&mut cloud, "A3", "A0", "0a:00:10", fixed("A-v4", "10.1.0.10"));
    let list = |c: &Cloud, host: &str, n: &str| ids(&rows(c, host).segments[n].flood_ports);
    assert_eq!(list(&cloud, "H1", "A"), "A0 A1 A3");
    assert_eq!((list(&cloud, "H1", "Z"), list(&cloud, "H1", "C")), ("Z1".to_owned(), String::new()));
    assert_eq!(list(&cloud, "H3", "A"), "DH");
    set_down(&mut cloud, "A1");
    port(&mut cloud, "A0").admin_state_up = false;
    assert_eq!(list(&cloud, "H1", "A"), "A3");
    port(&mut cloud, "A3").status = PortStatus::Build;
    assert_eq!(list(&cloud, "H1", "A"), "");
}

/// Rules: L3, D2.
#[test]
fn unknown_unicast_goes_to_active_ports_without_port_security() {
    let mut cloud = fixture();
    assert!(rows(&cloud, "H1").segments["A"].unknown_ports.is_empty());
    assert_eq!(ids(&rows(&cloud, "H3").segments["A"].unknown_ports), "DH");
    port(&mut cloud, "A1").port_security_enabled = false;
    port(&mut cloud, "A3").port_security_enabled = false;
    set_down(&mut cloud, "A3");
    assert_eq!(ids(&rows(&cloud, "H1").segments["A"].unknown_ports), "A1");
}

#[test]
fn wires_are_vni_physical_network_or_none() {
    let mut cloud = fixture();
    cloud.networks.get_mut("Z").unwrap().provider_network_type = crate::model::NetworkType::Local;
    let h1 = rows(&cloud, "H1");
    let wires = ["A", "B", "C", "K", "V", "Z"].map(|n| h1.segments[n].wire);
    let vx = Wire::Vxlan;
    assert_eq!(wires, [vx(1001), vx(1002), vx(1003), vx(1004), Wire::Phys { net: 1, vid: 300 }, Wire::None]);
    assert_eq!(h1.phys, ["physext", "physnet1"], "by name: the places are the numbers");
    assert_eq!(h1.segments["X"].wire, Wire::Phys { net: 0, vid: 100 });
    let no_ext = rows(&cloud, "H4");
    assert_eq!((no_ext.phys.len(), no_ext.segments["V"].wire), (1, Wire::Phys { net: 0, vid: 300 }));
}

/// Rules: L3.
#[test]
fn unknown_unicast_floods_by_default_on_vlan_and_not_on_vxlan() {
    let mut cloud = fixture();
    let flood = |c: &Cloud| ["A", "V"].map(|n| rows(c, "H1").segments[n].flood_unknown);
    assert_eq!(flood(&cloud), [false, false], "the reference cloud says so");
    cloud.settings.flood_unknown = None;
    assert_eq!(flood(&cloud), [false, true]);
    cloud.networks.get_mut("A").unwrap().dvrd.flood_unknown = Some(true);
    cloud.networks.get_mut("V").unwrap().dvrd.flood_unknown = Some(false);
    assert_eq!(flood(&cloud), [true, false]);
}

#[test]
fn settings_of_a_network_override_those_of_the_host() {
    let mut cloud = fixture();
    let a = cloud.networks.get_mut("A").unwrap();
    (a.dvrd.learning, a.dvrd.strict_vtep, a.vlan_transparent) = (Some(false), Some(false), true);
    let h1 = rows(&cloud, "H1");
    let flags = |n: &str| (h1.segments[n].learning, h1.segments[n].strict, h1.segments[n].vlan_transparent);
    assert_eq!((flags("A"), flags("B")), ((false, false, true), (true, true, false)));
}

/// Rules: I3-a, D7.
#[test]
fn router_addresses_of_a_network_are_those_of_its_distributed_interfaces() {
    let h1 = rows(&fixture(), "H1");
    let (c1, c2) = (mac("09:00:01"), mac("09:00:02"));
    let c = &h1.segments["C"];
    assert_eq!(c.interfaces, [(c1, "rC1".to_owned()), (c2, "rC2".to_owned())]);
    assert_eq!(c.router_ips, [router_address("10.9.0.1", c1, true), router_address("10.9.0.2", c2, true)]);
    let a = &h1.segments["A"];
    assert_eq!(a.router_ips, [router_address("10.1.0.1", mac("0a:00:01"), true)], "sgA is no router interface");
    assert_eq!(a.router_ips6, [0xfd00_000a_u128 << 96 | 1]);
    let z = &h1.segments["Z"];
    assert!(z.interfaces.is_empty() && z.router_ips.is_empty());
}

/// Rules: I3-a, D7.
#[test]
fn the_address_of_a_router_or_interface_that_is_down_is_reserved_and_silent() {
    let (c1, c2) = (mac("09:00:01"), mac("09:00:02"));
    let mut cloud = fixture();
    cloud.routers.get_mut("R2").unwrap().admin_state_up = false;
    let silent = [router_address("10.9.0.1", c1, true), router_address("10.9.0.2", c2, false)];
    assert_eq!(rows(&cloud, "H1").segments["C"].router_ips, silent);
    let mut cloud = fixture();
    port(&mut cloud, "rC2").admin_state_up = false;
    assert_eq!(rows(&cloud, "H1").segments["C"].router_ips, silent);
}

/// Rules: T4, D5.
#[test]
fn the_gateway_mac_is_that_of_the_distributed_holder_of_gateway_ip_else_of_the_lowest_id() {
    let mut cloud = fixture();
    let (c1, c2) = (mac("09:00:01"), mac("09:00:02"));
    let mut with = |gateway: Option<&str>| {
        cloud.subnets.get_mut("C-v4").unwrap().gateway_ip = gateway.map(|g| g.parse().unwrap());
        rows(&cloud, "H1").segments["C"].subnets.clone()
    };
    assert_eq!(with(Some("10.9.0.1")), [subnet_row("10.9.0.0", c1)]);
    assert_eq!(with(Some("10.9.0.2")), [subnet_row("10.9.0.0", c2)], "R2 is the gateway");
    assert_eq!(with(Some("10.9.0.77")), [subnet_row("10.9.0.0", c1)], "held by nobody: lowest id");
    assert_eq!(with(None), [subnet_row("10.9.0.0", c1)]);
}

/// Rules: T4.
#[test]
fn a_legacy_router_that_holds_gateway_ip_does_not_give_the_gateway_mac() {
    let mut cloud = fixture();
    legacy(&mut cloud);
    assert_eq!(rows(&cloud, "H1").segments["C"].subnets, [subnet_row("10.9.0.0", mac("09:00:02"))]);
}

/// Rules: T4, D5.
#[test]
fn each_subnet_of_a_network_has_its_own_gateway_mac_and_none_without_a_router() {
    let mut cloud = fixture();
    subnet(&mut cloud, "A2-v4", "A", "10.11.0.0/24");
    subnet(&mut cloud, "A3-v4", "A", "10.12.0.0/24");
    interface(&mut cloud, "rA2", "R1", "0a:02:01", fixed("A2-v4", "10.11.0.1"));
    let h1 = rows(&cloud, "H1");
    let expected = [
        subnet_row("10.1.0.0", mac("0a:00:01")),
        subnet_row("10.11.0.0", mac("0a:02:01")),
        subnet_row("10.12.0.0", MacAddr::ZERO),
    ];
    let mut got = h1.segments["A"].subnets.clone();
    got.sort_by_key(|s| s.net);
    assert_eq!(got, expected);
    let v6 = Subnet6Row { net: 0xfd00_000a_u128 << 96, mask: u128::MAX << 64, gateway_mac: mac("0a:00:01") };
    assert_eq!(h1.segments["A"].subnets6, [v6]);
    assert_eq!(h1.segments["Z"].subnets, [subnet_row("10.1.0.0", MacAddr::ZERO)]);
}

#[test]
fn this_host_and_the_tunnels_to_the_others() {
    let mut cloud = fixture();
    cloud.settings.outer_dscp = 10;
    cloud.settings.outer_df = false;
    cloud.hosts.get_mut("H3").unwrap().vtep_mac = None;
    cloud.hosts.get_mut("H4").unwrap().dvr_mac = None;
    let h1 = rows(&cloud, "H1");
    let own: MacAddr = "fa:16:3f:00:00:01".parse().unwrap();
    assert_eq!((h1.host.vtep, h1.host.dvr_mac, h1.host.outer_tos), (ip("172.20.0.11"), own, 40));
    assert_eq!((h1.host.dvr_prefix, h1.host.dvr_mask), (0xfa16_3f00_0000, 0xffff_ff00_0000));
    assert_eq!(ids(h1.tunnels.keys()), "H2 H3 H4");
    let end = |vtep: &str, mac: Option<&str>, dvr: Option<&str>| TunnelEnd {
        vtep: ip(vtep),
        mac: mac.map(|m| m.parse().unwrap()),
        dvr_mac: dvr.map_or(MacAddr::ZERO, |m| m.parse().unwrap()),
        df: false,
        phys: if vtep.ends_with("14") { 2 } else { 3 },
    };
    assert_eq!(h1.tunnels["H2"], end("172.20.0.12", Some("02:00:ac:14:00:12"), Some("fa:16:3f:00:00:02")));
    assert_eq!(h1.tunnels["H3"], end("172.20.0.13", None, Some("fa:16:3f:00:00:03")));
    assert_eq!(h1.tunnels["H4"], end("172.20.0.14", Some("02:00:ac:14:00:14"), None));
}
