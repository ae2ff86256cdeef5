//! F01: which routers and networks are on which host.

use super::*;
use crate::model::AgentMode;

fn hosts(cloud: &Cloud, router: &str) -> String {
    let p = Placement::of(cloud);
    p.routers.get(router).into_iter().flatten().copied().collect::<Vec<_>>().join(" ")
}

fn networks(cloud: &Cloud, host: &str) -> String {
    let p = Placement::of(cloud);
    let here = p.networks.iter().filter(|(_, hosts)| hosts.contains(host));
    here.map(|(n, _)| *n).collect::<Vec<_>>().join(" ")
}

/// All VMs and the DHCP port gone, R1 without gateway.
fn routers_only() -> Cloud {
    let mut cloud = fixture();
    no_gateway(&mut cloud);
    cloud.ports.retain(|_, p| p.is_router_interface());
    cloud
}

#[test]
fn both_routers_are_on_every_host_of_the_reference_cloud() {
    let cloud = fixture();
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3 H4");
    assert_eq!(hosts(&cloud, "R2"), "H1 H2 H3 H4", "by R1, with which it shares network C");
    for host in ["H1", "H2", "H3", "H4"] {
        assert_eq!(ids(rows(&cloud, host).routers.keys()), "R1 R2");
        let fg = ["fg1 ", "fg2 ", "fg3 ", ""][host[1..].parse::<usize>().unwrap() - 1];
        assert_eq!(ids(rows(&cloud, host).interfaces.keys()), format!("{fg}rA rB rC1 rC2 rK rV"));
    }
}

#[test]
fn a_network_is_where_a_port_or_a_router_of_it_is_and_the_external_one_where_fg_or_qg_is() {
    let cloud = fixture();
    assert_eq!(networks(&cloud, "H1"), "A B C K V X Z");
    for (host, here) in [("H2", "A B C K V X"), ("H3", "A B C K V X"), ("H4", "A B C K V")] {
        assert_eq!(networks(&cloud, host), here, "{host}");
        assert_eq!(ids(rows(&cloud, host).segments.keys()), here, "{host}");
    }
}

/// Rules: F52.
#[test]
fn routers_are_where_a_port_migrates_to_before_it_is_there() {
    let mut cloud = routers_only();
    let vm = fixture().ports["A4"].clone();
    cloud.ports.insert("A4".to_owned(), vm);
    port(&mut cloud, "A4").migrating_to = Some("H2".to_owned());
    assert_eq!(hosts(&cloud, "R1"), "H2 H4");
    assert_eq!(networks(&cloud, "H2"), networks(&cloud, "H4"));
    cloud.hosts.get_mut("H2").unwrap().agent_mode = AgentMode::Legacy;
    assert_eq!(hosts(&cloud, "R1"), "H4", "H2 has no distributed routers");
    port(&mut cloud, "A4").binding_failed = true;
    assert_eq!(hosts(&cloud, "R1"), "", "a port that is bound nowhere goes nowhere");
}

#[test]
fn a_port_at_one_end_of_a_chain_of_three_routers_brings_all_of_them() {
    // R1 - C - R2 - K - third - N; the ids decide in which order they are looked at.
    for third in ["R0", "R3"] {
        let mut cloud = routers_only();
        network(&mut cloud, "N", 1005, "10.5.0.0/24");
        router(&mut cloud, third);
        interface(&mut cloud, "xK", third, "0d:00:03", fixed("K-v4", "10.4.0.3"));
        interface(&mut cloud, "xN", third, "0e:00:01", fixed("N", "10.5.0.1"));
        assert_eq!(hosts(&cloud, "R1"), "");
        let vm = fixture().ports["A4"].clone();
        cloud.ports.insert("A4".to_owned(), vm);
        for r in ["R1", "R2", third] {
            assert_eq!(hosts(&cloud, r), "H4", "{r}, with a VM on network A");
        }
        assert_eq!(networks(&cloud, "H4"), "A B C K N V");
        twin(&mut cloud, "A4", "N1", "0e:00:11", fixed("N", "10.5.0.11"));
        port(&mut cloud, "N1").binding_host_id = Some("H2".to_owned());
        cloud.ports.remove("A4");
        for r in ["R1", "R2", third] {
            assert_eq!(hosts(&cloud, r), "H2", "{r}, with a VM on network N");
        }
    }
}

#[test]
fn routers_on_one_network_but_different_subnets_do_not_bring_each_other() {
    let mut cloud = routers_only();
    subnet(&mut cloud, "C2", "C", "10.8.0.0/24");
    port(&mut cloud, "rC2").fixed_ips = vec![fixed("C2", "10.8.0.2")];
    let vm = fixture().ports["K1"].clone();
    cloud.ports.insert("K1".to_owned(), vm);
    assert_eq!((hosts(&cloud, "R1"), hosts(&cloud, "R2")), (String::new(), "H1".to_owned()));
}

#[test]
fn the_snat_host_has_the_router_and_its_neighbours_without_any_port() {
    let mut cloud = fixture();
    cloud.ports.retain(|_, p| !p.device_owner.starts_with("compute:") && !p.is_dhcp());
    assert_eq!((hosts(&cloud, "R1"), hosts(&cloud, "R2")), ("H3".to_owned(), "H3".to_owned()));
    no_gateway(&mut cloud);
    assert_eq!((hosts(&cloud, "R1"), hosts(&cloud, "R2")), (String::new(), String::new()));
}

#[test]
fn a_dhcp_port_brings_the_router_and_a_port_of_an_unknown_owner_only_its_network() {
    let mut cloud = fixture();
    no_gateway(&mut cloud);
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3 H4", "H3 by DH");
    port(&mut cloud, "A4").device_owner = "baremetal:none".to_owned();
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3");
    assert_eq!(networks(&cloud, "H4"), "A");
    cloud.ports.remove("DH");
    assert_eq!(hosts(&cloud, "R1"), "H1 H2");
}

#[test]
fn a_trunk_subport_counts_as_a_vm() {
    let mut cloud = fixture();
    port(&mut cloud, "A4").device_owner = "trunk:subport".to_owned();
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3 H4");
}

/// Rules: o1.
#[test]
fn the_router_waits_for_a_port_that_is_bound_but_not_yet_active() {
    let mut cloud = fixture();
    set_down(&mut cloud, "A4");
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3 H4");
    assert!(rows(&cloud, "H4").routers.contains_key("R1"));
}

/// Rules: o7.
#[test]
fn a_port_whose_binding_failed_brings_nothing() {
    let mut cloud = fixture();
    port(&mut cloud, "A4").binding_failed = true;
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3");
    assert_eq!(networks(&cloud, "H4"), "");
    let h4 = rows(&cloud, "H4");
    assert!(h4.segments.is_empty() && h4.ports.is_empty() && h4.fdb.is_empty() && h4.neighbours.is_empty());
    assert_eq!(h4.tunnels.len(), 3, "the other hosts are known all the same");
}

#[test]
fn a_legacy_host_gets_the_network_of_its_ports_and_no_router() {
    let mut cloud = fixture();
    cloud.hosts.get_mut("H4").unwrap().agent_mode = AgentMode::Legacy;
    assert_eq!(hosts(&cloud, "R1"), "H1 H2 H3");
    assert_eq!(networks(&cloud, "H4"), "A");
    assert!(rows(&cloud, "H4").routers.is_empty());
}

#[test]
fn a_legacy_router_is_no_router_here_but_an_ordinary_remote_port() {
    let mut cloud = fixture();
    legacy(&mut cloud);
    let h1 = rows(&cloud, "H1");
    assert_eq!(ids(h1.routers.keys()), "R2", "K1 is here");
    let a = &h1.segments["A"];
    assert!(a.interfaces.is_empty() && a.router_ips.is_empty() && a.router_ips6.is_empty());
    let (r_a, h3) = (mac("0a:00:01"), Place::Host("H3".to_owned()));
    assert_eq!(h1.fdb[&("A".to_owned(), r_a)], h3);
    let answer = NeighbourRows::Host { mac: r_a, place: h3, flags: 3 };
    assert_eq!(h1.neighbours[&("A".to_owned(), ip("10.1.0.1"))], answer);
    assert_eq!(h1.segments["C"].interfaces, [(mac("09:00:02"), "rC2".to_owned())]);
}

#[test]
fn the_router_stays_on_a_host_while_its_admin_state_is_down() {
    let mut cloud = fixture();
    cloud.routers.get_mut("R1").unwrap().admin_state_up = false;
    let h1 = rows(&cloud, "H1");
    assert!(!h1.routers["R1"].active && h1.routers["R2"].active);
    assert_eq!(h1.segments["A"].interfaces, [(mac("0a:00:01"), "rA".to_owned())], "still reserved");
}
