//! Whatever changes came before, a host has the rows and the fates of one that starts with the result.

use super::*;
use crate::writer::tests::named;
use proptest::prelude::*;

/// The VMs and the DHCP port of the reference cloud, and three that it does not have.
const PORTS: [&str; 14] = ["A1", "A2", "A3", "A4", "B1", "B2", "DH", "K1", "V1", "V2", "Z1", "N0", "N1", "N2"];

#[derive(Clone, Debug)]
enum Step {
    /// A port is (again) there, with this host, status, admin state, security and address pair.
    Set {
        port: usize,
        host: usize,
        up: bool,
        admin: bool,
        secured: bool,
        pair: Option<u8>,
    },
    Delete {
        port: usize,
    },
    Router {
        admin: bool,
        route: bool,
    },
    Gateway {
        second: bool,
    },
    Settings {
        learning: bool,
        strict: bool,
        flood: Option<bool>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let flag = any::<bool>;
    let often = || proptest::bool::weighted(0.8);
    prop_oneof![
        8 => (0..PORTS.len(), 0..5usize, often(), often(), often(), proptest::option::weighted(0.3, 60..64u8))
            .prop_map(|(port, host, up, admin, secured, pair)| Step::Set { port, host, up, admin, secured, pair }),
        4 => (0..PORTS.len()).prop_map(|port| Step::Delete { port }),
        2 => (flag(), flag()).prop_map(|(admin, route)| Step::Router { admin, route }),
        1 => flag().prop_map(|second| Step::Gateway { second }),
        1 => (flag(), flag(), proptest::option::of(flag()))
            .prop_map(|(learning, strict, flood)| Step::Settings { learning, strict, flood }),
    ]
}

/// The port as the file has it; a new one on network B.
fn whole(id: &str) -> Value {
    match id.strip_prefix('N') {
        None => port(id, json!({})),
        Some(n) => port(
            "B1",
            json!({
                "id": id, "name": id, "mac_address": format!("fa:16:3e:0b:00:2{n}"),
                "fixed_ips": [{"subnet_id": "B-v4", "ip_address": format!("10.2.0.2{n}")}],
            }),
        ),
    }
}

fn batch(step: &Step, cloud: &Cloud) -> Value {
    match step {
        Step::Set { port, host, up, admin, secured, pair } => {
            let mut port = whole(PORTS[*port]);
            port["binding_host_id"] = json!(["H1", "H1", "H2", "H3", ""][*host]);
            port["status"] = json!(if *up && *host < 4 { "ACTIVE" } else { "DOWN" });
            port["admin_state_up"] = json!(admin);
            let service = port["device_owner"] == "network:dhcp";
            port["port_security_enabled"] = json!(*secured && !service);
            if !*secured {
                port["security_groups"] = json!([]);
            }
            port["allowed_address_pairs"] = match pair {
                Some(n) if !service => {
                    json!([{"ip_address": format!("10.1.0.{n}"), "mac_address": format!("00:00:5e:00:01:{n}")}])
                }
                _ => json!([]),
            };
            json!({"set": {"ports": [port]}})
        }
        Step::Delete { port } => {
            let id = PORTS[*port];
            let fips = cloud.floatingips.values().filter(|f| f.port_id.as_deref() == Some(id));
            let fips: Vec<&str> = fips.map(|f| f.id.as_str()).collect();
            let ports: Vec<&str> = cloud.ports.get(id).map(|p| p.id.as_str()).into_iter().collect();
            json!({"delete": {"ports": ports, "floatingips": fips}})
        }
        Step::Router { admin, route } => {
            let far = json!({"destination": "10.1.0.0/28", "nexthop": "10.9.0.1"});
            let routes = if *route { vec![far] } else { Vec::new() };
            json!({"set": {"routers": [{"id": "R2", "name": "R2", "distributed": true, "admin_state_up": admin, "routes": routes}]}})
        }
        Step::Gateway { second } => {
            let gateway = if *second { "10.9.0.2" } else { "10.9.0.1" };
            json!({"set": {"subnets": [{"id": "C-v4", "name": "C-v4", "network_id": "C", "ip_version": 4,
                                        "cidr": "10.9.0.0/24", "gateway_ip": gateway}]}})
        }
        Step::Settings { learning, strict, flood } => {
            json!({"set": {"settings": {"learning": learning, "strict_vtep": strict, "flood_unknown": flood}}})
        }
    }
}

/// From every VM to every other one, bridged and routed, and a broadcast.
fn probes() -> Vec<(&'static str, Vec<u8>)> {
    let vms = [
        ("A1", "0a:00:11", "10.1.0.11"),
        ("A2", "0a:00:12", "10.1.0.12"),
        ("A3", "0a:00:13", "10.1.0.13"),
        ("B1", "0b:00:11", "10.2.0.11"),
        ("K1", "0d:00:11", "10.4.0.11"),
        ("V1", "0c:00:11", "10.3.0.11"),
        ("Z1", "0a:00:11", "10.1.0.11"),
        ("N0", "0b:00:20", "10.2.0.20"),
        ("DH", "0a:00:02", "10.1.0.2"),
    ];
    let gateways = ["0a:00:01", "0b:00:01", "0c:00:01", "0d:00:01"];
    let mut all = Vec::new();
    for (port, mac, from) in vms {
        for (_, other, to) in vms {
            all.push((port, udp(mac, other, from, to)));
        }
        for to in ["10.1.0.60", "10.1.0.100", "10.9.0.2", "10.2.0.12", "10.2.0.22", "198.51.100.7"] {
            all.extend(gateways.iter().map(|g| (port, udp(mac, g, from, to))));
        }
        all.extend(vms.iter().flat_map(|(.., to)| gateways.iter().map(move |g| (port, udp(mac, g, from, to)))));
        let mut broadcast = udp(mac, "00:00:00", from, "255.255.255.255");
        broadcast[..6].fill(0xff);
        all.push((port, broadcast));
    }
    all
}

/// Frames by port, in order.
type Sent = Vec<(String, Vec<u8>)>;

/// What the probes came to: counts that moved, and frames sent. What was announced before is not part of it.
fn fates(host: &mut Host<'_>) -> (BTreeMap<String, u64>, Sent) {
    sent(host);
    let before = host.totals();
    let sent = send(host, &probes());
    balanced(host);
    let now = host.totals();
    let count = |t: &Totals| {
        let all = [("received", t.received), ("sent", t.sent), ("consumed", t.consumed), ("held", t.held)];
        let all = all.into_iter().map(|(name, n)| (name.to_owned(), n));
        all.chain(t.drops.iter().map(|(name, n)| (name.to_string(), *n))).collect::<BTreeMap<_, _>>()
    };
    let (mut moved, before) = (count(&now), count(&before));
    moved.iter_mut().for_each(|(name, n)| *n -= before.get(name).copied().unwrap_or(0));
    (moved, sent)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Rules: o5.
    #[test]
    fn after_any_changes_a_host_is_as_one_that_starts_with_the_result(
        steps in proptest::collection::vec(step(), 1..12),
        name in proptest::sample::select(&["H1", "H2", "H3"][..]),
    ) {
        let (mut first, mut second) = (Umem::new(2048), Umem::new(2048));
        let mut host = start(name, &mut first);
        let mut taken = 0;
        for step in &steps {
            let change = change(batch(step, host.cloud()));
            match host.apply(&change, NOW) {
                Ok(()) => taken += 1,
                Err(e) => prop_assert!(false, "{step:?} should be a valid change: {e}"),
            }
        }
        prop_assert_eq!(taken, steps.len());
        let cloud = host.cloud().clone();
        let rows = Rows::derive(&cloud, name).unwrap();
        let mut fresh = Host::new(cloud, name, &mut second).unwrap();
        let (got, expected) = (named(&host.writer, &rows), named(&fresh.writer, &rows));
        let differs: Vec<&String> = got.symmetric_difference(&expected).collect();
        prop_assert!(differs.is_empty(), "{differs:#?}");
        prop_assert_eq!(fates(&mut host), fates(&mut fresh));
    }
}
