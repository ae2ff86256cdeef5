//! Tables that are full.

use super::*;
use crate::rows::tests::{fixed, ip, port, twin};

/// Exactly the room the reference cloud needs at H1: 14 addresses in T06, 25 in T07/T13 with fg1 and what it knows.
fn exact() -> Limits {
    let learned = Limits { learned: 0, resolved: 0, ..Limits::default() };
    Limits { ports: 6, segments: 7, tunnels: 3, routers: 2, interfaces: 7, fdb: 14, neighbours: 25, fips: 2, ..learned }
}

fn refused(b: &mut Bench, table: &str, rows: usize, limit: usize) {
    let before = (b.flat(), b.now().generation);
    let error = b.try_apply().unwrap_err();
    assert_eq!((error.table, error.rows, error.limit), (table, rows, limit));
    assert_eq!((b.flat(), b.now().generation), before, "a refused batch changes nothing");
}

#[test]
fn the_reference_cloud_fits_its_exact_limits() {
    let b = Bench::with(exact());
    let full = b.writer.tables();
    assert!(full.iter().all(|t| t.rows == t.limit), "{full:?}");
}

#[test]
fn each_table_that_would_overflow_refuses_the_whole_batch() {
    let mut b = Bench::with(exact());
    // A new remote address and, in the same batch, good news about another port.
    twin(&mut b.cloud, "A2", "A9", "0a:00:19", fixed("A-v4", "10.1.0.19"));
    crate::rows::tests::set_down(&mut b.cloud, "A3");
    refused(&mut b, "T06 fdb", 15, 14);
    assert!(b.now().ports.get(b.port("A3").0).unwrap().active, "nothing of it");

    let mut b = Bench::with(exact());
    port(&mut b.cloud, "A2").fixed_ips.push(fixed("A-v4", "10.1.0.112"));
    refused(&mut b, "T07/T13 neighbours", 26, 25);

    let mut b = Bench::with(exact());
    twin(&mut b.cloud, "A3", "A9", "0a:00:19", fixed("A-v4", "10.1.0.19"));
    refused(&mut b, "T05 ports", 7, 6);

    let mut b = Bench::with(exact());
    let h2 = b.cloud.hosts["H2"].clone();
    b.cloud.hosts.insert("H5".to_owned(), crate::model::Host { name: "H5".to_owned(), ..h2 });
    refused(&mut b, "T03 tunnels", 4, 3);

    let mut b = Bench::with(exact());
    let fip = b.cloud.floatingips["fip-101"].clone();
    b.cloud.floatingips.insert(
        "fip-new".to_owned(),
        crate::model::FloatingIp {
            port_id: Some("A3".to_owned()),
            fixed_ip_address: Some("10.1.0.13".parse().unwrap()),
            ..fip
        },
    );
    refused(&mut b, "T14 floating IPs", 3, 2);
}

#[test]
fn networks_routers_and_interfaces_have_limits_too() {
    let one_less = [
        ("T04 segments", 7, Limits { segments: 6, ..exact() }),
        ("T10 routers", 2, Limits { routers: 1, ..exact() }),
        ("T11 router interfaces", 7, Limits { interfaces: 6, ..exact() }),
    ];
    for (table, rows, limits) in one_less {
        let mut writer = Writer::new(1, limits);
        let error = writer.apply(&crate::rows::tests::rows(&fixture(), "H1"), None).unwrap_err();
        assert_eq!(error, TableFull { table, rows, limit: rows - 1 });
        assert!(writer.tables().iter().all(|t| t.rows == 0), "{table}: nothing of it");
    }
}

#[test]
fn more_routes_than_a_router_may_have_refuse_the_batch() {
    let mut b = Bench::new();
    let via = "10.2.0.12".parse().unwrap();
    let net = |n: u32| crate::model::IpNet::host(std::net::Ipv4Addr::from_bits(ip("192.168.0.0") + n).into());
    let routes = (0..1024).map(|n| crate::model::Route { destination: net(n), nexthop: via });
    b.cloud.routers.get_mut("R1").unwrap().routes = routes.collect();
    refused(&mut b, "T12 routes of one router", 1028, 1024);
}

#[test]
fn after_a_refused_batch_a_smaller_one_is_taken() {
    let mut b = Bench::with(exact());
    twin(&mut b.cloud, "A2", "A9", "0a:00:19", fixed("A-v4", "10.1.0.19"));
    refused(&mut b, "T06 fdb", 15, 14);
    b.cloud.ports.remove("A9");
    crate::rows::tests::set_down(&mut b.cloud, "A3");
    b.apply();
    assert!(!b.now().ports.get(b.port("A3").0).unwrap().active);
}

/// Old and new rows stand beside each other between steps 2 and 4: either the batch is taken and
/// every row of it stored, or it is refused and every old row stays.
#[test]
fn a_batch_that_replaces_rows_of_a_full_table_loses_none() {
    let mut b = Bench::with(exact());
    let a2 = port(&mut b.cloud, "A2");
    (a2.mac_address, a2.fixed_ips) = (mac("0a:00:22"), vec![fixed("A-v4", "10.1.0.22")]);
    let taken = b.try_apply().is_ok();
    let (tail, address) = if taken { ("0a:00:22", "10.1.0.22") } else { ("0a:00:12", "10.1.0.12") };
    assert_eq!(b.place("A", tail), "H2 static");
    assert_eq!(b.neighbour("A", address).unwrap().mac(), mac(tail));
}

#[test]
fn learned_rows_take_no_room_of_the_model_nor_the_model_theirs() {
    let mut b = Bench::with(Limits { learned: 3, ..exact() });
    for n in 0..3 {
        b.writer.learn(&b.by_host("A", &format!("77:00:0{n}"), "H2", 10));
    }
    assert_eq!((b.writer.learned(), b.met("learn_table_full")), (3, 0));
    twin(&mut b.cloud, "A2", "A9", "0a:00:19", fixed("A-v4", "10.1.0.19"));
    refused(&mut b, "T06 fdb", 15, 14);
    let a9 = b.cloud.ports.remove("A9").unwrap();
    b.cloud.ports.remove("A3");
    b.apply();
    b.cloud.ports.insert("A9".to_owned(), a9);
    b.apply();
    assert_eq!((b.place("A", "0a:00:19"), b.writer.learned()), ("H2 static".to_owned(), 3));
    // One learned MAC that becomes the model's is no longer among the learned.
    b.cloud.ports.remove("A9");
    b.apply();
    twin(&mut b.cloud, "A2", "A8", "77:00:00", fixed("A-v4", "10.1.0.18"));
    b.apply();
    assert_eq!((b.place("A", "77:00:00"), b.writer.learned()), ("H2 static".to_owned(), 2));
}

/// An index past the limit has no room in a worker, and past 4096 it would name another port.
#[test]
fn indexes_never_pass_the_limit_however_ports_come_and_go() {
    let mut b = Bench::with(exact());
    let a3 = b.cloud.ports.remove("A3").unwrap();
    b.apply();
    for n in 0..8 {
        let id = format!("P{n}");
        b.cloud.ports.extend([(id.clone(), crate::model::Port { id: id.clone(), ..a3.clone() })]);
        let lagging = b.try_apply();
        if b.writer.indexes().port(&id).is_none() {
            assert_eq!(lagging.unwrap_err().table, "T05 ports", "the last owner's index still waits for the worker");
            b.quiet();
            b.apply();
        }
        assert!(b.writer.indexes().ports().all(|(_, ix)| ix < 6), "round {n}");
        assert_eq!(b.place("A", "0a:00:13"), format!("{id} static"));
        b.cloud.ports.remove(&id);
        b.apply();
    }
}

#[test]
fn networks_tunnels_routers_and_interfaces_wait_for_their_indexes_too() {
    let mut b = Bench::with(exact());
    let z = b.cloud.networks.remove("Z").unwrap();
    let z1 = b.cloud.ports.remove("Z1").unwrap();
    b.apply();
    b.quiet();
    b.cloud.networks.insert("Z".to_owned(), z.clone());
    b.cloud.ports.insert("Z1".to_owned(), z1);
    b.apply();
    assert!(b.seg("Z").0 <= 7);
    // One host for another in one batch: both rows would exist side by side.
    let h4 = b.cloud.hosts.remove("H4").unwrap();
    b.cloud.hosts.insert("H5".to_owned(), crate::model::Host { name: "H5".to_owned(), ..h4 });
    port(&mut b.cloud, "A4").binding_host_id = Some("H5".to_owned());
    refused(&mut b, "T03 tunnels", 4, 3);
}

#[test]
fn the_use_of_a_table_counts_ports_that_exist() {
    let mut b = Bench::with(exact());
    b.cloud.ports.remove("A3");
    b.apply();
    let ports = b.writer.tables().into_iter().find(|t| t.name == "T05 ports").unwrap();
    assert_eq!((ports.rows, ports.limit), (5, 6), "not the row that waits for its next owner");
}

/// Rules: D1.
#[test]
fn a_host_has_at_most_16384_networks_numbered_without_0_and_65535() {
    let mut rows = rows(&fixture(), "H1");
    let z = rows.segments["Z"].clone();
    let more = |rows: &mut Rows, n: usize| rows.segments.insert(format!("net-{n}"), z.clone());
    (0..16384 - rows.segments.len()).for_each(|n| drop(more(&mut rows, n)));
    let mut writer = Writer::new(1, Limits::for_rows(&rows));
    writer.apply(&rows, None).unwrap();
    let numbers: std::collections::BTreeSet<u16> =
        rows.segments.keys().map(|n| writer.indexes().segment(n).unwrap().0).collect();
    assert_eq!(numbers.len(), 16384);
    assert!(!numbers.contains(&0) && !numbers.contains(&u16::MAX));
    more(&mut rows, 16384);
    let full = writer.apply(&rows, None).unwrap_err();
    assert_eq!((full.rows, full.limit), (16385, 16384));
}
