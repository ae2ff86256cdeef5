use super::super::net::tests::lab::{Ns, possible};
use super::*;
use dataplane::umem::Umem;
use std::time::{Duration, Instant};

pub(super) const SHARE: Share = Share { workers: 1, frames: 64, patience: Duration::from_secs(2) };

fn taken(ns: &Ns, name: &str, test: impl FnOnce(Nic)) {
    let mut umem = Umem::shared(1024).unwrap();
    let region = umem.pools(1)[0].region();
    let interface = Interface { name: name.to_owned(), netns: Some(ns.0.clone()) };
    let (nic, _ports) = Nic::open(&interface, Role::Port, region, SHARE).unwrap();
    test(nic);
}

pub(super) fn checksums(ns: &Ns) -> bool {
    ns.open().run(|| ethtool::tx_checksum("eth0").unwrap()).unwrap()
}

#[test]
fn offloads_of_the_other_end_are_off_as_long_as_it_is_taken() {
    if !possible() {
        return;
    }
    let (host, vm) = (Ns::new("nh"), Ns::new("nv"));
    host.ip(&format!("link add tap type veth peer name eth0 netns {}", vm.0));
    assert!(checksums(&vm));
    taken(&host, "tap", |nic| {
        assert!(!checksums(&vm));
        assert_eq!(
            nic.quiet_peer().unwrap(),
            format!("checksum and VLAN tag offload of eth0 in namespace {} is off", vm.0)
        );
        // By another name it is found just as well.
        host.ip("link set tap name tap2");
        vm.ip("link set eth0 name eth9");
        drop(nic);
        vm.ip("link set eth9 name eth0");
        assert!(checksums(&vm));
    });
}

#[test]
fn a_vm_that_is_deleted_is_gone_with_its_interface() {
    if !possible() {
        return;
    }
    let (host, vm) = (Ns::new("nd"), Ns::new("ne"));
    host.ip(&format!("link add tap type veth peer name eth0 netns {}", vm.0));
    taken(&host, "tap", |nic| {
        drop(vm);
        let start = Instant::now();
        while link(&host.open(), "tap").is_ok() {
            assert!(start.elapsed() < Duration::from_secs(5), "its namespace is held");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(nic);
    });
}

/// The same names and indexes, and another machine, whose offloads are nobody's business.
#[test]
fn what_has_taken_its_place_is_not_touched() {
    if !possible() {
        return;
    }
    let host = Ns::new("ns");
    let add = |host: &Ns| host.ip("link add tap index 50 type veth peer name eth0 index 51");
    add(&host);
    taken(&host, "tap", |nic| {
        drop(Ns(host.0.clone()));
        let again = Ns::new("ns");
        add(&again);
        again.open().run(|| ethtool::set_tx_checksum("eth0", false).unwrap()).unwrap();
        drop(nic);
        assert!(!checksums(&again));
    });
}

/// A physical network's NIC: promiscuous, and its tags stay in the frames; what was off before stays off.
#[test]
fn a_physical_network_s_nic_is_as_it_was_when_it_is_let_go() {
    if !possible() {
        return;
    }
    let host = Ns::new("np");
    host.ip("link add eth1 type veth peer name far");
    let vlan = || host.open().run(|| ethtool::rx_vlan("eth1").unwrap()).unwrap();
    let promiscuous = || host.ip("-d link show eth1").contains("promiscuity 1");
    let mut umem = Umem::shared(1024).unwrap();
    let region = umem.pools(1)[0].region();
    let interface = Interface { name: "eth1".to_owned(), netns: Some(host.0.clone()) };
    for before in [true, false] {
        host.open().run(|| ethtool::set_rx_vlan("eth1", before).unwrap()).unwrap();
        assert_eq!((vlan(), promiscuous()), (before, false));
        let (nic, ports) = Nic::open(&interface, Role::Physical, region, SHARE).unwrap();
        assert_eq!((vlan(), promiscuous()), (false, true));
        drop((nic, ports));
        assert_eq!((vlan(), promiscuous()), (before, false));
    }
}
