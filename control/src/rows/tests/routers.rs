//! T10, T11, T12, T14's inverse and T16.

use super::*;
use crate::model::AgentMode;

/// `10.1.0.0/24 rA` or `10.4.0.0/24 rC1>10.9.0.2`, in order of prefix; several hops one after the other.
fn routes(cloud: &Cloud, host: &str, router: &str) -> Vec<String> {
    let hop = |(port, via): &(String, u32)| match via {
        0 => port.clone(),
        via => format!("{port}>{}", std::net::Ipv4Addr::from_bits(*via)),
    };
    let route = |r: &RouteRows| {
        let hops: Vec<String> = r.hops.iter().map(hop).collect();
        format!("{}/{} {}", std::net::Ipv4Addr::from_bits(r.net), r.len, hops.join(" "))
    };
    rows(cloud, host).routers[router].routes.iter().map(route).collect()
}

fn with_routes(list: &[(&str, &str)]) -> Cloud {
    let mut cloud = fixture();
    cloud.routers.get_mut("R1").unwrap().routes = list.iter().map(|(net, via)| route(net, via)).collect();
    cloud
}

const CONNECTED: [&str; 4] = ["10.1.0.0/24 rA", "10.2.0.0/24 rB", "10.3.0.0/24 rV", "10.9.0.0/24 rC1"];

/// Rules: R4-1.
#[test]
fn main_tables_hold_connected_subnets_and_extra_routes_on_every_host() {
    let cloud = fixture();
    for host in ["H1", "H2", "H3", "H4"] {
        let r1 = ["10.1.0.0/24 rA", "10.2.0.0/24 rB", "10.3.0.0/24 rV", "10.4.0.0/24 rC1>10.9.0.2", "10.9.0.0/24 rC1"];
        assert_eq!(routes(&cloud, host, "R1"), r1, "{host}");
        let r2 = ["10.1.0.0/24 rC2>10.9.0.1", "10.2.0.0/24 rC2>10.9.0.1", "10.4.0.0/24 rK", "10.9.0.0/24 rC2"];
        assert_eq!(routes(&cloud, host, "R2"), r2, "{host}");
    }
}

/// Rules: R5.
#[test]
fn routes_to_one_prefix_are_equal_cost_hops_in_order_of_address() {
    let cloud = with_routes(&[
        ("192.168.0.0/16", "10.2.0.12"),
        ("192.168.0.0/16", "10.1.0.12"),
        ("192.168.0.0/16", "10.2.0.12"),
    ]);
    let expected =
        CONNECTED.map(str::to_owned).into_iter().chain(["192.168.0.0/16 rA>10.1.0.12 rB>10.2.0.12".to_owned()]);
    assert_eq!(routes(&cloud, "H1", "R1"), expected.collect::<Vec<_>>());
}

/// Rules: R4-1.
#[test]
fn a_default_route_is_a_route_like_any_other() {
    let cloud = with_routes(&[("0.0.0.0/0", "10.2.0.12")]);
    assert_eq!(routes(&cloud, "H1", "R1")[0], "0.0.0.0/0 rB>10.2.0.12");
    assert_eq!(routes(&cloud, "H1", "R1").len(), 5);
}

/// Rules: R4-1.
#[test]
fn a_route_by_way_of_the_external_network_is_not_in_the_main_table_of_distributed_routers() {
    let cloud = with_routes(&[("198.51.100.0/24", "203.0.113.99")]);
    assert_eq!(routes(&cloud, "H1", "R1"), CONNECTED);
}

/// Rules: R2.
#[test]
fn a_router_address_behind_a_longer_extra_route_stays_the_routers() {
    let cloud = with_routes(&[("10.1.0.0/28", "10.2.0.12")]);
    let expected = [
        "10.1.0.0/24 rA",
        "10.1.0.0/28 rB>10.2.0.12",
        "10.1.0.1/32 rA",
        "10.2.0.0/24 rB",
        "10.3.0.0/24 rV",
        "10.9.0.0/24 rC1",
    ];
    assert_eq!(routes(&cloud, "H1", "R1"), expected);
    let cloud = with_routes(&[("10.1.0.16/28", "10.2.0.12")]);
    assert_eq!(routes(&cloud, "H1", "R1").len(), 5, "10.1.0.1 is not in 10.1.0.16/28: nothing is hidden");
    let cloud = with_routes(&[("10.1.0.1/32", "10.2.0.12")]);
    assert!(routes(&cloud, "H1", "R1").contains(&"10.1.0.1/32 rA".to_owned()));
    let cloud = with_routes(&[("10.0.0.0/8", "10.2.0.12")]);
    assert_eq!(routes(&cloud, "H1", "R1").len(), 5, "a shorter one hides nothing");
}

/// Rules: R4-1.
#[test]
fn an_extra_route_to_a_connected_subnet_does_not_replace_it() {
    let cloud = with_routes(&[("10.1.0.0/24", "10.2.0.12")]);
    assert_eq!(routes(&cloud, "H1", "R1"), CONNECTED);
}

/// Rules: R2.
#[test]
fn own_addresses_are_those_of_the_interfaces() {
    let h1 = rows(&fixture(), "H1");
    let own = |r: &str| {
        let mut own: Vec<u32> = h1.routers[r].own.iter().map(|(ip, _)| *ip).collect();
        own.sort_unstable();
        own
    };
    assert_eq!(own("R1"), ["10.1.0.1", "10.2.0.1", "10.3.0.1", "10.9.0.1"].map(ip), "not sg-, not the gateway");
    assert_eq!(own("R2"), ["10.4.0.1", "10.9.0.2"].map(ip));
}

/// Rules: R4-4.
#[test]
fn each_subnet_with_a_central_port_has_its_default_next_hop_there() {
    let cloud = fixture();
    let mask = ip("255.255.255.0");
    let row = |net: &str, sg: &str, port: &str| (ip(net), mask, ip(sg), port.to_owned());
    for host in ["H1", "H2", "H3", "H4"] {
        let mut snat = rows(&cloud, host).routers["R1"].snat.clone();
        snat.sort();
        let expected = [
            row("10.1.0.0", "10.1.0.250", "rA"),
            row("10.2.0.0", "10.2.0.250", "rB"),
            row("10.3.0.0", "10.3.0.250", "rV"),
        ];
        assert_eq!(snat, expected, "{host}: C has no central port");
        assert!(rows(&cloud, host).routers["R2"].snat.is_empty());
    }
}

/// Rules: R4-4, o5.
#[test]
fn a_central_port_without_an_interface_on_its_subnet_is_no_next_hop_yet() {
    let mut cloud = fixture();
    let interface = cloud.ports.remove("rB").unwrap();
    let h1 = rows(&cloud, "H1");
    assert!(!h1.routers["R1"].snat.iter().any(|(net, ..)| *net == ip("10.2.0.0")));
    cloud.ports.insert("rB".to_owned(), interface);
    assert_eq!(rows(&cloud, "H1"), rows(&fixture(), "H1"), "and is one as soon as that arrives");
}

#[test]
fn the_gateway_is_here_on_the_snat_host_alone() {
    let cloud = fixture();
    let here = ["H1", "H2", "H3", "H4"].map(|h| rows(&cloud, h).routers["R1"].gateway_here);
    assert_eq!(here, [false, false, true, false]);
    assert!(!rows(&cloud, "H3").routers["R2"].gateway_here, "R2 has none");
    let mut cloud = fixture();
    no_gateway(&mut cloud);
    assert!(!rows(&cloud, "H3").routers["R1"].gateway_here);
}

#[test]
fn floating_ips_are_served_where_their_port_is_except_on_a_host_without_way_out() {
    let cloud = fixture();
    let fips = |host: &str| rows(&cloud, host).fips.into_iter().collect::<Vec<_>>();
    let row = |fixed: &str, fip: &str| (("R1".to_owned(), ip(fixed)), ip(fip));
    assert_eq!(fips("H1"), [row("10.1.0.11", "203.0.113.101"), row("10.2.0.11", "203.0.113.102")]);
    assert_eq!(fips("H2"), [row("10.2.0.12", "203.0.113.103")]);
    assert_eq!(fips("H3"), [], "the VIP port is bound nowhere");
    assert_eq!(fips("H4"), [], "dvr_no_external: central");
    let way_out = ["H1", "H2", "H3", "H4"].map(|h| rows(&cloud, h).routers["R1"].fip_here);
    assert_eq!(way_out, [true, true, true, false]);
    assert!(!rows(&cloud, "H1").routers["R2"].fip_here, "R2 has no gateway");
}

#[test]
fn a_floating_ip_follows_its_port_and_its_association() {
    let mut cloud = fixture();
    port(&mut cloud, "A1").binding_host_id = Some("H2".to_owned());
    assert!(!rows(&cloud, "H1").fips.contains_key(&("R1".to_owned(), ip("10.1.0.11"))));
    assert_eq!(rows(&cloud, "H2").fips.len(), 2);
    cloud.hosts.get_mut("H2").unwrap().agent_mode = AgentMode::DvrNoExternal;
    assert!(rows(&cloud, "H2").fips.is_empty());
    let mut cloud = fixture();
    let fip = cloud.floatingips.get_mut("fip-101").unwrap();
    (fip.port_id, fip.fixed_ip_address, fip.router_id) = (None, None, None);
    assert_eq!(rows(&cloud, "H1").fips.len(), 1);
}

/// Rules: F52, E1, F42.
#[test]
fn a_floating_ip_is_ready_and_silent_where_its_port_migrates_to() {
    let mut cloud = fixture();
    let of = |cloud: &Cloud, host: &str| {
        let rows = rows(cloud, host);
        let answers = match rows.neighbours.get(&("X".to_owned(), ip("203.0.113.101"))) {
            Some(NeighbourRows::FloatingIp { answers, .. }) => Some(*answers),
            _ => None,
        };
        let inside = rows.fips.contains_key(&("R1".to_owned(), ip("10.1.0.11")));
        let told = rows.announced.keys().any(|a| a.ip == ip("203.0.113.101"));
        (inside, answers, told)
    };
    let (full, none) = ((true, Some(true), true), (false, None, false));
    assert_eq!((of(&cloud, "H1"), of(&cloud, "H2")), (full, none));
    port(&mut cloud, "A1").migrating_to = Some("H2".to_owned());
    assert_eq!((of(&cloud, "H1"), of(&cloud, "H2")), (full, (true, Some(false), false)));
    port(&mut cloud, "A1").binding_host_id = Some("H2".to_owned());
    assert_eq!((of(&cloud, "H1"), of(&cloud, "H2")), (none, full), "migrating_to is taken away a moment later");
}

/// Rules: R0, R8.
#[test]
fn interfaces_have_the_mtu_and_scope_of_their_network_and_their_ports_admin_state() {
    let mut cloud = fixture();
    cloud.networks.get_mut("A").unwrap().ipv4_address_scope = Some("s1".to_owned());
    port(&mut cloud, "rB").admin_state_up = false;
    let h1 = rows(&cloud, "H1");
    let row = |network: &str, (mac_tail, address): (&str, &str), mtu, up, scope: Option<&str>| InterfaceRows {
        network: network.to_owned(),
        router: Some("R1".to_owned()),
        mac: mac(mac_tail),
        ip: ip(address),
        mtu,
        up,
        scope: scope.map(str::to_owned),
    };
    assert_eq!(h1.interfaces["rA"], row("A", ("0a:00:01", "10.1.0.1"), 1450, true, Some("s1")));
    assert_eq!(h1.interfaces["rB"], row("B", ("0b:00:01", "10.2.0.1"), 1450, false, None));
    assert_eq!(h1.interfaces["rV"], row("V", ("0c:00:01", "10.3.0.1"), 1500, true, None));
    assert_eq!(h1.interfaces["rK"].router.as_deref(), Some("R2"));
}
