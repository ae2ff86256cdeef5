//! What goes when ports go: cases LC-01 and NB-01 in rows.

use super::*;

#[test]
fn lc_01_routers_and_networks_leave_a_host_with_the_last_port_they_are_needed_for() {
    let mut cloud = fixture();
    for id in ["A1", "A3"] {
        unbind(&mut cloud, id);
    }
    let h1 = rows(&cloud, "H1");
    assert_eq!(ids(h1.segments.keys()), "A B C K V X Z", "A by router R1, which B1 needs");
    assert_eq!(ids(&rows(&cloud, "H2").segments["A"].flood_hosts), "H1 H3 H4");
    for id in ["B1", "V1"] {
        unbind(&mut cloud, id);
    }
    let h1 = rows(&cloud, "H1");
    assert_eq!(ids(h1.routers.keys()), "R1 R2", "R2 serves K1, R1 shares network C with it");
    assert_eq!(h1.fdb.len(), 10, "A2 A4 DH sgA, B2 sgB, V2 sgV are remote, K1 and Z1 local");
    unbind(&mut cloud, "K1");
    let h1 = rows(&cloud, "H1");
    assert_eq!((ids(h1.segments.keys()), ids(h1.ports.keys())), ("Z".to_owned(), "Z1".to_owned()));
    assert!(h1.routers.is_empty() && h1.interfaces.is_empty() && h1.fips.is_empty());
    assert_eq!((h1.fdb.len(), h1.neighbours.len()), (1, 1));
    for network in ["A", "B", "C", "K"] {
        assert_eq!(ids(&rows(&cloud, "H2").segments[network].flood_hosts), "H3 H4", "{network}");
    }
}

#[test]
fn nb_01_a_vm_that_moves_and_changes_its_mac_is_nowhere_in_between() {
    let mut cloud = fixture();
    let vm = |c: &Cloud| {
        let h1 = rows(c, "H1");
        let (a, new) = ("A".to_owned(), mac("0a:00:22"));
        let place = |m| h1.fdb.get(&(a.clone(), m)).cloned();
        (place(mac("0a:00:12")), place(new), h1.neighbours.get(&(a.clone(), ip("10.1.0.12"))).cloned())
    };
    let at = |host: &str| Some(Place::Host(host.to_owned()));
    let hop =
        |m: &str, host: &str| Some(NeighbourRows::Host { mac: mac(m), place: Place::Host(host.to_owned()), flags: 3 });
    assert_eq!(vm(&cloud), (at("H2"), None, hop("0a:00:12", "H2")));
    set_down(&mut cloud, "A2");
    assert_eq!(vm(&cloud), (None, None, None));
    let a2 = port(&mut cloud, "A2");
    (a2.mac_address, a2.binding_host_id) = (mac("0a:00:22"), Some("H3".to_owned()));
    assert_eq!(vm(&cloud), (None, None, None));
    port(&mut cloud, "A2").status = PortStatus::Active;
    assert_eq!(vm(&cloud), (None, at("H3"), hop("0a:00:22", "H3")));
}

#[test]
fn a_deleted_router_leaves_no_row_of_its_own() {
    let mut cloud = fixture();
    cloud.routers.remove("R2");
    cloud.ports.retain(|_, p| p.device_id != "R2");
    for host in ["H1", "H2", "H3", "H4"] {
        let rows = rows(&cloud, host);
        assert_eq!(
            (ids(rows.routers.keys()), ids(rows.interfaces.keys())),
            (
                "R1".to_owned(),
                ["fg1 rA rB rC1 rV", "fg2 rA rB rC1 rV", "fg3 rA rB rC1 rV", "rA rB rC1 rV"]
                    [host[1..].parse::<usize>().unwrap() - 1]
                    .to_owned()
            )
        );
        assert_eq!(rows.segments["C"].interfaces.len(), 1);
        assert_eq!(rows.segments.contains_key("K"), host == "H1", "K1 is still bound at H1");
        assert!(!rows.neighbours.contains_key(&("C".to_owned(), ip("10.9.0.2"))));
    }
}

#[test]
fn a_deleted_host_has_no_tunnel_and_is_in_no_flood_list() {
    let mut cloud = fixture();
    cloud.ports.remove("A4");
    cloud.floatingips.remove("fip-104");
    cloud.hosts.remove("H4");
    let h1 = rows(&cloud, "H1");
    assert_eq!(ids(h1.tunnels.keys()), "H2 H3");
    assert_eq!(ids(&h1.segments["A"].flood_hosts), "H2 H3");
    assert!(Rows::derive(&cloud, "H4").is_none(), "a host that is not in the cloud has no rows");
}
