use super::super::*;
use super::lab::{Ns, possible};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::str::FromStr;

fn set<T: Ord + FromStr<Err: Debug>>(list: &[(u16, &str)]) -> BTreeSet<(u16, T)> {
    list.iter().map(|(vid, text)| (*vid, text.parse().unwrap())).collect()
}

/// By `ip`: addresses of the NIC, of a device on it and of the bridge it is a port of, and nothing else's.
#[test]
fn addresses_on_a_nic_are_found() {
    if !possible() {
        return;
    }
    let ns = Ns::new("oa");
    ns.ip("link add eth1 type veth peer name far1");
    ns.ip("link add eth2 type veth peer name far2");
    let index = |name: &str| link(&ns.open(), name).unwrap().ifindex;
    let (eth1, eth2) = (index("eth1"), index("eth2"));
    let found = |ifindex| own_addresses(&ns.open(), ifindex).unwrap();
    let (mac1, mac2) = (ns.mac("eth1"), ns.mac("eth2"));
    assert_eq!(found(eth1), OwnAddresses { addresses: BTreeSet::new(), macs: BTreeSet::from([(0, mac1)]) });

    ns.ip("address add 192.0.2.1/24 dev eth1");
    ns.ip("address add 192.0.2.2 peer 192.0.2.99 dev eth1");
    ns.ip("link add mv0 link eth1 address 52:54:00:00:00:77 type macvlan mode bridge");
    ns.ip("address add 192.0.2.7/32 dev mv0");
    ns.ip("address add 198.51.100.1/24 dev far1"); // the other end of a veth is another machine
    ns.ip("link add br0 address 52:54:00:00:00:b0 type bridge");
    ns.ip("link set eth2 master br0");
    ns.ip("address add 203.0.113.9/24 dev br0");

    let own = found(eth1);
    assert_eq!(own.addresses, set(&[(0, "192.0.2.1"), (0, "192.0.2.2"), (0, "192.0.2.7")]));
    let mac1 = mac1.to_string();
    assert_eq!(own.macs, set(&[(0, &mac1), (0, "52:54:00:00:00:77")]));
    let (own, mac2) = (found(eth2), mac2.to_string());
    assert_eq!(own.addresses, set(&[(0, "203.0.113.9")]));
    assert_eq!(own.macs, set(&[(0, &mac2), (0, "52:54:00:00:00:b0")]));
    // One that is gone has none.
    ns.ip("link del eth1");
    assert_eq!(found(eth1), OwnAddresses::default());
}
