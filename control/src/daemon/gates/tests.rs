//! What the rows of the reference cloud ask for, by the words of docs/behaviour.md, and in which order filters are told.

use super::*;
use crate::model::Cloud;
use std::sync::Mutex;

const CLOUD: &str = include_str!("../../../../pcap-fixtures/T/cloud.json");

fn mac(text: &str) -> MacAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// The rows of a host of the cloud after a change of its JSON.
fn rows(host: &str, change: impl FnOnce(&mut serde_json::Value)) -> Rows {
    let mut value: serde_json::Value = serde_json::from_str(CLOUD).unwrap();
    change(&mut value);
    Rows::derive(&Cloud::from_json(&value.to_string(), "T").unwrap(), host).unwrap()
}

fn of<'v>(value: &'v mut serde_json::Value, list: &str, id: &str) -> &'v mut serde_json::Value {
    value[list].as_array_mut().unwrap().iter_mut().find(|one| one["id"] == id).unwrap()
}

/// Both physical networks on one NIC.
fn wanted(rows: &Rows) -> Wanted {
    Wanted::of_rows(rows, &BTreeSet::from([0, 1]))
}

fn macs(wanted: &Wanted, vid: u16) -> BTreeSet<String> {
    wanted.macs.keys().filter(|(v, _)| *v == vid).map(|(_, mac)| mac.to_string()).collect()
}

fn set(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

const GROUP: Vlan = Vlan { group: true, announced: false, unknown: false };
const EXTERNAL: Vlan = Vlan { group: false, announced: true, unknown: false };

/// Rules: N1, V3, V4, L1, L6, R7-probe.
#[test]
fn a_tenant_vlan_s_broadcast_and_what_is_for_ports_routers_and_probes_comes() {
    let h1 = wanted(&rows("H1", |_| ()));
    assert_eq!(h1.vlans[&300], GROUP);
    // V1, the router's interface, H1's DVR MAC; not V2, which is another host's.
    assert_eq!(macs(&h1, 300), set(&["fa:16:3e:0c:00:11", "fa:16:3e:0c:00:01", "fa:16:3f:00:00:01"]));
    // H3 has no port there, but the sg- port.
    let h3 = wanted(&rows("H3", |_| ()));
    assert_eq!(h3.vlans[&300], GROUP);
    assert_eq!(macs(&h3, 300), set(&["fa:16:3e:0c:00:fa", "fa:16:3e:0c:00:01", "fa:16:3f:00:00:03"]));
}

/// Rules: N1, E1, E2, FO4.
#[test]
fn of_an_external_network_arp_for_what_is_answered_and_announcements_come() {
    let h1 = wanted(&rows("H1", |_| ()));
    assert_eq!(h1.vlans[&100], EXTERNAL);
    assert_eq!(macs(&h1, 100), set(&["fa:16:3e:f9:00:01", "fa:16:3f:00:00:01"]));
    let asked: Vec<_> = h1.addresses.iter().map(|((vid, ip), owner)| (*vid, ip.to_string(), *owner)).collect();
    // fg-, and the floating IPs of A1 and B1; those of other hosts are theirs.
    let expected = ["203.0.113.21", "203.0.113.101", "203.0.113.102"].map(|ip| (100, ip.to_owned(), Owner::Dvrd));
    assert_eq!(asked, expected);
    // The network host: qg too, for which nothing is answered yet.
    let h3 = wanted(&rows("H3", |_| ()));
    assert_eq!(macs(&h3, 100), set(&["fa:16:3e:f9:00:03", "fa:16:3e:99:00:0a", "fa:16:3f:00:00:03"]));
    assert_eq!(h3.addresses.keys().collect::<Vec<_>>(), [&(100, ip("203.0.113.23"))]);
}

/// Rules: N1, F52. Who is only coming is not answered for.
#[test]
fn a_floating_ip_of_a_port_that_is_on_its_way_is_not_asked_for_here() {
    let coming = wanted(&rows("H1", |cloud| {
        of(cloud, "ports", "B2")["binding_profile"] = serde_json::json!({"migrating_to": "H1"});
    }));
    assert!(!coming.addresses.contains_key(&(100, ip("203.0.113.103"))), "{:?}", coming.addresses);
}

/// Rules: N1, R4-3, E1. Addresses in the external network's scope are reached as they are.
#[test]
fn ports_in_the_external_scope_are_asked_for() {
    let scoped = wanted(&rows("H1", |cloud| {
        for network in ["A", "X"] {
            of(cloud, "networks", network)["ipv4_address_scope"] = "public".into();
        }
    }));
    let has = |address: &str| scoped.addresses.contains_key(&(100, ip(address)));
    assert_eq!(["10.1.0.11", "10.1.0.13", "10.1.0.12", "10.2.0.11"].map(has), [true, true, false, false]);
}

/// Rules: N1, L3. Machines behind such a port may have any MAC.
#[test]
fn a_port_without_port_security_gets_all_unicast() {
    let loose = wanted(&rows("H1", |cloud| of(cloud, "ports", "V1")["port_security_enabled"] = false.into()));
    assert_eq!(loose.vlans[&300], Vlan { unknown: true, ..GROUP });
    // One that is down has none.
    let down = wanted(&rows("H1", |cloud| {
        let port = of(cloud, "ports", "V1");
        port["port_security_enabled"] = false.into();
        port["status"] = "DOWN".into();
    }));
    assert_eq!(down.vlans[&300], GROUP);
    assert!(macs(&down, 300).contains("fa:16:3e:0c:00:11"), "what is for it is port_down, by name");
}

/// `flood_unknown` is about what ports send; from outside it brings nobody anything. Rules: N1, L3.
#[test]
fn unknown_unicast_from_outside_is_nobody_s_though_the_network_floods_it() {
    let rows = rows("H1", |cloud| of(cloud, "networks", "V")["dvrd"] = serde_json::json!({"flood_unknown": true}));
    assert!(rows.segments["V"].flood_unknown);
    assert_eq!(wanted(&rows).vlans[&300], GROUP);
}

/// Rules: N1, L4. The MAC of an allowed address pair is where its owners are, until traffic shows where.
#[test]
fn virtual_macs_of_ports_here_come() {
    let vrrp = wanted(&rows("H1", |cloud| {
        let pair = serde_json::json!([{"ip_address": "10.3.0.100", "mac_address": "00:00:5e:00:01:0a"}]);
        of(cloud, "ports", "V1")["allowed_address_pairs"] = pair;
    }));
    assert!(macs(&vrrp, 300).contains("00:00:5e:00:01:0a"));
}

/// Rules: N1, E2. A port on the external network itself gets its broadcast.
#[test]
fn a_port_on_the_external_network_brings_all_of_its_broadcast() {
    let direct = wanted(&rows("H1", |cloud| {
        let mut port = of(cloud, "ports", "V1").clone();
        port["id"] = "X1".into();
        port["network_id"] = "X".into();
        port["mac_address"] = "fa:16:3e:0e:00:11".into();
        port["fixed_ips"] = serde_json::json!([{"subnet_id": "X-v4", "ip_address": "203.0.113.77"}]);
        cloud["ports"].as_array_mut().unwrap().push(port);
    }));
    assert_eq!(direct.vlans[&100], GROUP);
    assert!(macs(&direct, 100).contains("fa:16:3e:0e:00:11"));
}

/// Rules: N1, N2. Each NIC is told of its own networks.
#[test]
fn a_nic_is_told_of_its_own_physical_networks() {
    let rows = rows("H1", |_| ());
    let [external, tenant] = [0, 1].map(|place| Wanted::of_rows(&rows, &BTreeSet::from([place])));
    assert_eq!(rows.phys, ["physext", "physnet1"]);
    assert_eq!(
        (external.vlans.keys().collect::<Vec<_>>(), tenant.vlans.keys().collect::<Vec<_>>()),
        (vec![&100], vec![&300])
    );
    assert!(tenant.addresses.is_empty() && external.macs.keys().all(|(vid, _)| *vid == 100));
}

/// Flat networks, untagged; the host has an address on each of them and on a VLAN nobody serves. Rules: N1.
#[test]
fn what_is_the_host_s_stays_the_host_s() {
    let rows = rows("H1", |cloud| {
        for network in ["V", "X"] {
            let network = of(cloud, "networks", network);
            network["provider_network_type"] = "flat".into();
            network["provider_segmentation_id"] = serde_json::Value::Null;
        }
    });
    let host = mac("52:54:00:00:00:01");
    let own = OwnAddresses {
        addresses: BTreeSet::from([(0, ip("203.0.113.5")), (7, ip("192.0.2.5"))]),
        macs: BTreeSet::from([(0, host), (7, host)]),
    };
    for (place, group) in [(0, false), (1, true)] {
        let wanted = Wanted::of_rows(&rows, &BTreeSet::from([place])).beside(&own);
        // Announcements are the host's where it is on the network too.
        assert_eq!(wanted.vlans, BTreeMap::from([(0, Vlan { group, announced: false, unknown: false })]));
        assert_eq!(wanted.macs[&(0, host)], Owner::Kernel);
        assert_eq!(wanted.addresses[&(0, ip("203.0.113.5"))], Owner::Kernel);
        assert!(wanted.macs.keys().all(|(vid, _)| *vid == 0) && wanted.addresses.keys().all(|(vid, _)| *vid == 0));
    }
}

/// A filter that writes down what it is told, and has room for so many addresses of each kind.
#[derive(Debug, Default)]
struct Book {
    lines: Mutex<Vec<String>>,
    macs: Mutex<BTreeSet<(u16, MacAddr)>>,
    room: usize,
}

impl Book {
    fn with_room(room: usize) -> Arc<Book> {
        Arc::new(Book { room, ..Book::default() })
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }

    fn write(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl Maps for Book {
    fn set_vlan(&self, vid: u16, vlan: Option<Vlan>) -> io::Result<()> {
        let words = vlan.map_or("none".to_owned(), |v| {
            [(v.group, " group"), (v.announced, " announced"), (v.unknown, " unknown")]
                .iter()
                .filter_map(|(on, word)| on.then_some(*word))
                .collect()
        });
        self.write(format!("vlan {vid}: {}", words.trim()));
        Ok(())
    }

    fn set_mac(&self, vid: u16, mac: MacAddr, owner: Option<Owner>) -> io::Result<()> {
        let mut macs = self.macs.lock().unwrap();
        match owner {
            None => drop(macs.remove(&(vid, mac))),
            Some(_) if macs.len() >= self.room && !macs.contains(&(vid, mac)) => {
                return Err(rustix::io::Errno::TOOBIG.into());
            }
            Some(_) => drop(macs.insert((vid, mac))),
        }
        drop(macs);
        self.write(format!("mac {vid} {mac} {owner:?}"));
        Ok(())
    }

    fn set_address(&self, vid: u16, address: Ipv4Addr, owner: Option<Owner>) -> io::Result<()> {
        self.write(format!("arp {vid} {address} {owner:?}"));
        Ok(())
    }
}

/// The tenant VLAN's NIC of H1, told of the cloud as it is.
fn kept(book: &Arc<Book>) -> Gates {
    let mut gates = Gates::default();
    gates.add(1, "physical network physnet1".to_owned(), BTreeSet::from([1]));
    gates.set_nic(1, Some(book.clone()));
    gates.open(&rows("H1", |_| ()));
    gates.close(true);
    gates
}

/// Rules: N1.
#[test]
fn what_is_new_is_let_in_before_and_what_has_gone_is_shut_out_after() {
    let book = Book::with_room(100);
    let mut gates = kept(&book);
    let told = book.read();
    assert_eq!(told.last().map(String::as_str), Some("vlan 300: group"), "addresses first: {told:?}");
    let all = rows("H1", |_| ());
    // The same again: nothing to tell.
    gates.open(&all);
    gates.close(true);
    assert_eq!(book.read(), [""; 0]);
    let more = rows("H1", |cloud| {
        of(cloud, "ports", "V2")["binding_host_id"] = "H1".into();
        of(cloud, "ports", "V1")["binding_host_id"] = "H2".into();
    });
    gates.open(&more);
    assert_eq!(book.read(), ["mac 300 fa:16:3e:0c:00:12 Some(Dvrd)"]);
    gates.close(true);
    assert_eq!(book.read(), ["mac 300 fa:16:3e:0c:00:11 None"]);
    // Refused: what was let in goes again.
    gates.open(&all);
    assert_eq!(book.read(), ["mac 300 fa:16:3e:0c:00:11 Some(Dvrd)"]);
    gates.close(false);
    assert_eq!(book.read(), ["mac 300 fa:16:3e:0c:00:11 None"]);
    // A VLAN goes before its addresses.
    gates.open(&Rows::default());
    assert_eq!(book.read(), [""; 0]);
    gates.close(true);
    let told = book.read();
    assert_eq!((told[0].as_str(), told.len()), ("vlan 300: none", 4), "{told:?}");
}

#[test]
fn a_nic_that_comes_back_is_told_all_of_it() {
    let first = Book::with_room(100);
    let mut gates = kept(&first);
    let mut all = first.read();
    gates.set_nic(1, None);
    gates.open(&rows("H1", |_| ()));
    gates.close(true);
    assert_eq!(first.read(), [""; 0]);
    let second = Book::with_room(100);
    gates.set_nic(1, Some(second.clone()));
    let mut again = second.read();
    all.sort();
    again.sort();
    assert_eq!(again, all);
}

#[test]
fn addresses_of_the_host_are_followed() {
    let book = Book::with_room(100);
    let mut gates = kept(&book);
    book.read();
    let own = |list: &[&str]| OwnAddresses {
        addresses: list.iter().map(|address| (300, ip(address))).collect(),
        macs: BTreeSet::new(),
    };
    gates.set_own(1, own(&["10.3.0.5", "10.3.0.6"]));
    assert_eq!(book.read(), ["arp 300 10.3.0.5 Some(Kernel)", "arp 300 10.3.0.6 Some(Kernel)"]);
    gates.set_own(1, own(&["10.3.0.6"]));
    assert_eq!(book.read(), ["arp 300 10.3.0.5 None"]);
    gates.set_own(1, own(&["10.3.0.6"]));
    assert_eq!(book.read(), [""; 0]);
}

/// Full, it takes the whole VLAN; and it is as before when there is room.
#[test]
fn a_full_filter_says_so_and_stops_nothing() {
    let book = Book::with_room(2);
    let mut gates = kept(&book);
    assert_eq!(book.read().last().map(String::as_str), Some("vlan 300: group unknown"));
    let said = gates.0[&1].said.clone().unwrap();
    for words in ["MAC addresses of a filter", "room for 16384", "all unicast of VLAN 300 comes"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Without V1 the others fit.
    gates.open(&rows("H1", |cloud| of(cloud, "ports", "V1")["binding_host_id"] = "H2".into()));
    gates.close(true);
    assert_eq!(book.read().last().map(String::as_str), Some("vlan 300: group"));
    assert_eq!(gates.0[&1].said, None);
    let mut trouble = Trouble::default();
    trouble.address(0, ip("192.0.2.1"), &rustix::io::Errno::TOOBIG.into());
    assert_eq!(trouble.whole(0), GROUP);
    assert!(trouble.text().unwrap().contains("ARP addresses of a filter"));
}
