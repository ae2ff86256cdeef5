//! T06, T07 and T13.

use super::*;
use crate::model::{AddressPair, Neighbor};
use dataplane::tables::NeighValue;

fn place(p: &Place) -> String {
    match p {
        Place::Port(id) => format!("port {id}"),
        Place::Host(name) => name.clone(),
        Place::Phys => "phys".to_owned(),
        Place::Snat => "snat".to_owned(),
        Place::Fdb => "fdb".to_owned(),
    }
}

/// `A 0a:00:11 port A1`, in order.
fn fdb(cloud: &Cloud, host: &str) -> Vec<String> {
    let rows = rows(cloud, host);
    rows.fdb
        .iter()
        .map(|((n, m), p)| format!("{n} {} {}", m.to_string().trim_start_matches("fa:16:3e:"), place(p)))
        .collect()
}

/// `A 10.1.0.11 0a:00:11 port A1 answer route`, in order; interfaces as `A 10.1.0.1 router rA`.
fn neighbours(cloud: &Cloud, host: &str) -> Vec<String> {
    let flag = |flags: u8, bit: u8, word: &'static str| if flags & bit != 0 { word } else { "" };
    let words = |row: &NeighbourRows| match row {
        NeighbourRows::Router(id) => format!("router {id}"),
        NeighbourRows::FloatingIp { router, fixed, answers: _ } => {
            format!("floating ip of {} at {router}", std::net::Ipv4Addr::from_bits(*fixed))
        }
        NeighbourRows::Host { mac, place: p, flags } => {
            let (answer, route) =
                (flag(*flags, NeighValue::ANSWER, " answer"), flag(*flags, NeighValue::ROUTE, " route"));
            let candidate = flag(*flags, NeighValue::WATCHED, " candidate");
            format!("{} {}{answer}{route}{candidate}", mac.to_string().trim_start_matches("fa:16:3e:"), place(p))
        }
    };
    let rows = rows(cloud, host);
    rows.neighbours
        .iter()
        .map(|((n, a), r)| format!("{n} {} {}", std::net::Ipv4Addr::from_bits(*a), words(r)))
        .collect()
}

fn neighbour(cloud: &Cloud, host: &str, key: &str) -> Option<String> {
    let key = format!("{key} ");
    neighbours(cloud, host).iter().find_map(|row| row.strip_prefix(&key).map(str::to_owned))
}

fn pair(address: &str, mac_address: MacAddr) -> AddressPair {
    AddressPair { ip_address: IpNet::parse_lenient(address).unwrap(), mac_address }
}

#[test]
fn h1_knows_where_every_bound_mac_is() {
    let expected = [
        "A 0a:00:02 H3",
        "A 0a:00:11 port A1",
        "A 0a:00:12 H2",
        "A 0a:00:13 port A3",
        "A 0a:00:14 H4",
        "A 0a:00:fa H3",
        "B 0b:00:11 port B1",
        "B 0b:00:12 H2",
        "B 0b:00:fa H3",
        "K 0d:00:11 port K1",
        "V 0c:00:11 port V1",
        "V 0c:00:12 phys",
        "V 0c:00:fa phys",
        "Z 0a:00:11 port Z1",
    ];
    assert_eq!(fdb(&fixture(), "H1"), expected, "no router MAC, no VIP port, no external network");
}

#[test]
fn the_snat_host_has_sg_ports_itself_and_sees_vms_on_theirs() {
    let expected = [
        "A 0a:00:02 port DH",
        "A 0a:00:11 H1",
        "A 0a:00:12 H2",
        "A 0a:00:13 H1",
        "A 0a:00:14 H4",
        "A 0a:00:fa snat",
        "B 0b:00:11 H1",
        "B 0b:00:12 H2",
        "B 0b:00:fa snat",
        "K 0d:00:11 H1",
        "V 0c:00:11 phys",
        "V 0c:00:12 phys",
        "V 0c:00:fa snat",
        "X 99:00:0a snat",
    ];
    assert_eq!(fdb(&fixture(), "H3"), expected);
}

/// Rules: R7, o7.
#[test]
fn h1_has_a_neighbour_for_every_fixed_address_of_a_bound_port_and_one_for_the_vip() {
    let expected = [
        "A 10.1.0.1 router rA",
        "A 10.1.0.2 0a:00:02 H3 answer route",
        "A 10.1.0.11 0a:00:11 port A1 answer route",
        "A 10.1.0.12 0a:00:12 H2 answer route",
        "A 10.1.0.13 0a:00:13 port A3 answer route",
        "A 10.1.0.14 0a:00:14 H4 answer route",
        "A 10.1.0.100 0a:00:11 port A1 route candidate",
        "A 10.1.0.250 0a:00:fa H3 answer route",
        "B 10.2.0.1 router rB",
        "B 10.2.0.11 0b:00:11 port B1 answer route",
        "B 10.2.0.12 0b:00:12 H2 answer route",
        "B 10.2.0.250 0b:00:fa H3 answer route",
        "C 10.9.0.1 router rC1",
        "C 10.9.0.2 router rC2",
        "K 10.4.0.1 router rK",
        "K 10.4.0.11 0d:00:11 port K1 answer route",
        "V 10.3.0.1 router rV",
        "V 10.3.0.11 0c:00:11 port V1 answer route",
        "V 10.3.0.12 0c:00:12 phys answer route",
        "V 10.3.0.250 0c:00:fa phys answer route",
        "X 203.0.113.1 02:ee:00:00:00:01 phys route",
        "X 203.0.113.21 router fg1",
        "X 203.0.113.101 floating ip of 10.1.0.11 at R1",
        "X 203.0.113.102 floating ip of 10.2.0.11 at R1",
        "Z 10.1.0.11 0a:00:11 port Z1 answer route",
    ];
    assert_eq!(neighbours(&fixture(), "H1"), expected);
}

#[test]
fn the_same_addresses_seen_from_the_snat_host_and_from_a_host_without_way_out() {
    let cloud = fixture();
    let at = |host: &str, key: &str| neighbour(&cloud, host, key).unwrap();
    assert_eq!(at("H3", "A 10.1.0.250"), "0a:00:fa snat answer route");
    assert_eq!(at("H3", "A 10.1.0.100"), "0a:00:11 H1 route candidate");
    assert_eq!(at("H4", "A 10.1.0.250"), "0a:00:fa H3 answer route");
    assert_eq!(at("H4", "A 10.1.0.14"), "0a:00:14 port A4 answer route");
    assert_eq!((at("H4", "C 10.9.0.2"), neighbours(&cloud, "H4").len()), ("router rC2".to_owned(), 20), "no Z");
}

/// Rules: R7, I3-a.
#[test]
fn a_remote_port_that_is_not_active_is_nowhere() {
    for down in [
        |p: &mut Port| p.status = PortStatus::Down,
        |p: &mut Port| p.admin_state_up = false,
        |p: &mut Port| p.binding_failed = true,
    ] {
        let mut cloud = fixture();
        down(port(&mut cloud, "A2"));
        assert!(!fdb(&cloud, "H1").iter().any(|r| r.starts_with("A 0a:00:12")));
        assert_eq!(neighbour(&cloud, "H1", "A 10.1.0.12"), None);
        assert!(!neighbours(&cloud, "H1").iter().any(|r| r.contains("0a:00:12")));
    }
}

/// Rules: L1, I3-a.
#[test]
fn a_port_bound_here_that_is_down_keeps_its_place_and_is_routed_to_but_not_answered_for() {
    let mut cloud = fixture();
    set_down(&mut cloud, "A3");
    assert!(fdb(&cloud, "H1").contains(&"A 0a:00:13 port A3".to_owned()));
    assert_eq!(neighbour(&cloud, "H1", "A 10.1.0.13").unwrap(), "0a:00:13 port A3 route");
    assert_eq!(neighbour(&cloud, "H2", "A 10.1.0.13"), None);
}

/// Rules: R7.
#[test]
fn an_address_pair_leads_to_its_active_owner_with_the_lowest_id() {
    let mut cloud = fixture();
    let vip = |c: &Cloud, host: &str| neighbour(c, host, "A 10.1.0.100");
    set_down(&mut cloud, "A1");
    assert_eq!(vip(&cloud, "H1").unwrap(), "0a:00:12 H2 route candidate", "A1 is here but DOWN");
    assert_eq!(vip(&cloud, "H2").unwrap(), "0a:00:12 port A2 route candidate");
    set_down(&mut cloud, "A2");
    assert_eq!(vip(&cloud, "H1"), None, "never the unbound VIP port");
    port(&mut cloud, "A4").allowed_address_pairs = vec![pair("10.1.0.100", mac("5e:01:07"))];
    assert_eq!(vip(&cloud, "H1").unwrap(), "5e:01:07 H4 route candidate", "with the MAC of the pair");
}

/// Rules: R7.
#[test]
fn port_ids_are_compared_as_bytes() {
    let mut cloud = fixture();
    twin(&mut cloud, "A3", "A10", "0a:00:10", fixed("A-v4", "10.1.0.10"));
    port(&mut cloud, "A10").allowed_address_pairs = vec![pair("10.1.0.60", mac("0a:00:10"))];
    port(&mut cloud, "A2").allowed_address_pairs = vec![pair("10.1.0.60", mac("0a:00:12"))];
    assert_eq!(neighbour(&cloud, "H1", "A 10.1.0.60").unwrap(), "0a:00:10 port A10 route candidate");
}

/// Rules: R7.
#[test]
fn a_fixed_address_wins_over_a_pair_and_a_wider_pair_is_no_next_hop() {
    let mut cloud = fixture();
    port(&mut cloud, "A1").allowed_address_pairs =
        vec![pair("10.1.0.12", mac("0a:00:11")), pair("10.1.0.64/26", mac("0a:00:11"))];
    assert_eq!(neighbour(&cloud, "H1", "A 10.1.0.12").unwrap(), "0a:00:12 H2 answer route");
    assert_eq!(neighbour(&cloud, "H1", "A 10.1.0.64"), None);
}

/// Rules: L4.
#[test]
fn macs_of_pairs_lead_to_local_ports_only_the_active_one_first() {
    let mut cloud = fixture();
    let vrrp = mac("5e:01:07");
    for id in ["A1", "A3", "A2"] {
        port(&mut cloud, id).allowed_address_pairs = vec![pair("10.1.0.70", vrrp)];
    }
    let at = |c: &Cloud, host: &str| rows(c, host).fdb.get(&("A".to_owned(), vrrp)).map(place);
    assert_eq!(at(&cloud, "H1").unwrap(), "port A1");
    assert_eq!(at(&cloud, "H2").unwrap(), "port A2");
    assert_eq!(at(&cloud, "H4"), None, "learned there, not known");
    set_down(&mut cloud, "A1");
    assert_eq!(at(&cloud, "H1").unwrap(), "port A3");
    set_down(&mut cloud, "A3");
    assert_eq!(at(&cloud, "H1").unwrap(), "port A1", "both DOWN: frames to it are port_down");
}

#[test]
fn a_pair_with_the_mac_of_another_port_does_not_take_its_place() {
    let mut cloud = fixture();
    port(&mut cloud, "A1").allowed_address_pairs = vec![pair("10.1.0.70", mac("0a:00:12"))];
    assert!(fdb(&cloud, "H1").contains(&"A 0a:00:12 H2".to_owned()));
}

/// Rules: R7, I3-a.
#[test]
fn a_static_neighbour_is_routed_to_where_its_mac_is_and_never_answered_for() {
    let mut cloud = fixture();
    let mut add = |network: &str, address: &str, mac_address: MacAddr| {
        let (network_id, ip_address) = (network.to_owned(), address.parse().unwrap());
        cloud.neighbors.insert((network_id.clone(), ip_address), Neighbor { network_id, ip_address, mac_address });
    };
    add("A", "10.1.0.90", mac("77:00:01"));
    add("A", "10.1.0.91", mac("0a:00:12"));
    add("A", "10.1.0.12", mac("77:00:02"));
    add("V", "10.3.0.200", mac("77:00:03"));
    let at = |key: &str| neighbour(&cloud, "H1", key).unwrap();
    assert_eq!(at("A 10.1.0.90"), "77:00:01 fdb route", "no port: wherever it is learned");
    assert_eq!(at("A 10.1.0.91"), "0a:00:12 H2 route");
    assert_eq!(at("A 10.1.0.12"), "0a:00:12 H2 answer route", "a port's address stays the port's");
    assert_eq!(at("V 10.3.0.200"), "77:00:03 phys route");
    assert_eq!(neighbour(&cloud, "H4", "X 203.0.113.1"), None, "X is not there");
}

/// Rules: o5.
#[test]
fn a_port_on_a_host_the_cloud_does_not_have_is_nowhere() {
    let mut cloud = fixture();
    port(&mut cloud, "A2").binding_host_id = Some("H9".to_owned());
    assert_eq!(neighbour(&cloud, "H1", "A 10.1.0.12"), None);
    assert_eq!(ids(&rows(&cloud, "H1").segments["A"].flood_hosts), "H2 H3 H4", "H2 by B2");
}

/// Rules: R7.
#[test]
fn an_interface_of_a_router_that_is_not_here_is_no_next_hop() {
    let mut cloud = fixture();
    router(&mut cloud, "R9");
    network(&mut cloud, "N", 1009, "10.50.0.0/24");
    // On network A, but on a subnet of its own: R9 is only where a port of that subnet is.
    subnet(&mut cloud, "A9", "A", "10.19.0.0/24");
    interface(&mut cloud, "xA", "R9", "0a:09:01", fixed("A9", "10.19.0.1"));
    interface(&mut cloud, "xN", "R9", "0e:00:01", fixed("N", "10.50.0.1"));
    twin(&mut cloud, "A4", "N1", "0e:00:11", fixed("N", "10.50.0.11"));
    assert_eq!(neighbour(&cloud, "H4", "A 10.19.0.1").unwrap(), "router xA");
    let h1 = rows(&cloud, "H1");
    assert_eq!((neighbour(&cloud, "H1", "A 10.19.0.1"), ids(h1.routers.keys())), (None, "R1 R2".to_owned()));
    let address = h1.segments["A"].router_ips.iter().find(|r| r.mac == mac("0a:09:01")).unwrap();
    assert!(!address.answers, "and its address is silent");
    assert!(
        h1.segments["A"].interfaces.contains(&(mac("0a:09:01"), "xA".to_owned())),
        "its MAC is reserved all the same"
    );
}

/// With `strict` a VTEP belongs to a network by the flood list or as home of one of its MACs: the
/// second never without the first. Rules: T1.
#[test]
fn who_has_a_mac_of_a_network_is_in_its_flood_list() {
    let mut centralized = fixture();
    legacy(&mut centralized);
    let mut waiting = fixture();
    set_down(&mut waiting, "A2");
    port(&mut waiting, "DH").device_owner = "network:other".to_owned();
    let mut seen = 0;
    for cloud in [fixture(), centralized, waiting] {
        for host in ["H1", "H2", "H3", "H4"] {
            let rows = rows(&cloud, host);
            for ((network, mac), place) in &rows.fdb {
                let Place::Host(home) = place else { continue };
                assert!(rows.segments[network].flood_hosts.contains(home), "{host}: {mac} of {network} at {home}");
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
}
