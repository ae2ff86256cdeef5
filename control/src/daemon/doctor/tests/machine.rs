//! Interfaces in namespaces of their own, taken and let go.

use super::*;
use crate::daemon::config::{Config, Interface};
use crate::daemon::net::tests::lab::{Ns, possible};
use crate::daemon::net::{Netns, link};
use crate::model::Cloud;
use dataplane::io::af_xdp::filter::{Attached, Filter};
use std::time::{Duration, Instant};

/// What is found on an interface of this namespace, by name.
fn found(ns: &Ns, name: &str, used: Use, workers: u32) -> Vec<Finding> {
    let interface = Interface { name: name.to_owned(), netns: Some(ns.0.clone()) };
    let networks = Some(vec![("A".to_owned(), 1450)]);
    let subject = Subject { interface, used, workers, cores: None, networks, also: vec![], vtep: None };
    let mut sections = examine(&[subject], &needs(), true);
    sections.remove(1).findings
}

fn check<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    findings.iter().find(|f| f.check == check).unwrap_or_else(|| panic!("no {check} in {findings:?}"))
}

/// Two queues at each end, up.
fn veth(ns: &Ns, name: &str) {
    ns.ip(&format!(
        "link add {name} numrxqueues 2 numtxqueues 2 type veth peer name far-{name} numrxqueues 2 numtxqueues 2"
    ));
    for end in [name, &format!("far-{name}")] {
        ns.ip(&format!("link set {end} up"));
    }
}

/// Everything `ip` and `ethtool` say of an interface.
fn state(ns: &Ns, name: &str) -> String {
    let features = ns.open().run(|| {
        let on = |feature: &str| dataplane::io::af_xdp::ethtool::feature(name, feature).unwrap().unwrap();
        ["rx-vlan-offload", "tx-vlan-offload", "tx-checksum-ip-generic", "tx-tcp-segmentation"]
            .map(|f| (f.to_owned(), on(f)))
    });
    format!("{}{:?}", ns.ip(&format!("-d link show {name}")), features.unwrap())
}

#[test]
fn a_veth_is_native_and_copies_and_is_left_as_it_was() {
    if !possible() {
        return;
    }
    let ns = Ns::new("dv");
    veth(&ns, "eth1");
    let before = [state(&ns, "eth1"), state(&ns, "far-eth1")];
    for used in [Use::Underlay, Use::Physical("physnet1".to_owned()), Use::Port("A1".to_owned())] {
        let findings = found(&ns, "eth1", used, 2);
        assert!(findings.iter().all(|f| f.verdict == Verdict::Ok), "{findings:#?}");
        assert_eq!(check(&findings, "driver").what, "veth");
        assert!(check(&findings, "xdp").what.starts_with("native, copy, as tried"), "{findings:?}");
        assert!(
            check(&findings, "offloads").what.contains("checksum and VLAN tag offload of far-eth1"),
            "{findings:?}"
        );
        assert_eq!(check(&findings, "queues").what, "2 queues for 2 workers");
    }
    // The program goes a moment after it is let go.
    let start = Instant::now();
    while [state(&ns, "eth1"), state(&ns, "far-eth1")] != before {
        assert!(start.elapsed() < Duration::from_secs(5), "{}\nwas {}", state(&ns, "eth1"), before[0]);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The kernel still has the interface while it is tried: ping goes on.
#[test]
fn packets_pass_while_it_is_tried() {
    if !possible() {
        return;
    }
    let (host, far) = (Ns::new("dp"), Ns::new("dq"));
    host.ip(&format!("link add eth1 type veth peer name eth2 netns {}", far.0));
    for (ns, name, address) in [(&host, "eth1", "192.0.2.1/24"), (&far, "eth2", "192.0.2.2/24")] {
        ns.ip(&format!("addr add {address} dev {name}"));
        ns.ip(&format!("link set {name} up"));
    }
    let interface = Interface { name: "eth1".to_owned(), netns: Some(host.0.clone()) };
    let netns = host.open();
    let at = link(&netns, "eth1").unwrap().ifindex;
    let mut umem = dataplane::umem::Umem::shared(1024).unwrap();
    let mut pools = umem.pools(1);
    let taken =
        netns.run(|| crate::daemon::nic::take_for_a_moment(&interface.name, at, &mut pools[0], Duration::from_secs(1)));
    let taken = taken.unwrap().unwrap();
    assert!(host.ip("-d link show eth1").contains("prog/xdp"), "it is taken");
    let sockets = |ns: &Ns, address: &str| ns.open().run(|| std::net::UdpSocket::bind(address).unwrap()).unwrap();
    let (here, there) = (sockets(&host, "192.0.2.1:4789"), sockets(&far, "192.0.2.2:0"));
    here.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    there.send_to(b"vxlan", "192.0.2.1:4789").unwrap();
    assert_eq!(here.recv(&mut [0; 64]).unwrap(), 5, "even VXLAN is the kernel's");
    drop(taken.filter);
    taken.port.close(&mut pools[0]);
    assert_eq!(pools[0].free(), 1024);
}

#[test]
fn a_bridge_has_skb_mode_only() {
    if !possible() {
        return;
    }
    let ns = Ns::new("db");
    veth(&ns, "eth1");
    ns.ip("link add br0 type bridge");
    ns.ip("link set far-eth1 master br0");
    ns.ip("link set br0 up");
    let start = Instant::now();
    while !link(&ns.open(), "br0").unwrap().is_running() {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
    says(
        &only(found(&ns, "br0", Use::Underlay, 1)),
        "xdp",
        Verdict::Warning,
        false,
        &["SKB mode", "instead of a bridge"],
    );
}

#[test]
fn who_holds_it_is_told_and_nothing_is_tried() {
    if !possible() {
        return;
    }
    let ns = Ns::new("do");
    veth(&ns, "eth1");
    let at = link(&ns.open(), "eth1").unwrap().ifindex;
    let attached = ns.open().run(|| Attached::new(at, Filter::NONE, 2, Duration::ZERO).unwrap()).unwrap();
    let program = link(&ns.open(), "eth1").unwrap().xdp.unwrap();
    let shown = ns.ip("-d link show eth1");
    assert!(shown.contains(&format!("prog/xdp id {}", program.id)), "{program:?} {shown}");
    let me = format!("(pid {})", std::process::id());
    let program = format!("XDP program {} (dvrd_filter), native", program.id);
    says(&only(found(&ns, "eth1", Use::Underlay, 1)), "xdp", Verdict::Problem, true, &[&program, &me, "not tried"]);
    drop(attached);
    let start = Instant::now();
    while link(&ns.open(), "eth1").unwrap().xdp.is_some() {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(20));
    }
    let free = found(&ns, "eth1", Use::Underlay, 1);
    assert!(free.iter().all(|f| f.verdict == Verdict::Ok), "{free:?}");
}

#[test]
fn too_small_an_mtu_and_too_few_queues_are_named() {
    if !possible() {
        return;
    }
    let ns = Ns::new("dm");
    ns.ip("link add eth1 mtu 1499 type veth peer name far");
    ns.ip("link set eth1 up");
    ns.ip("link set far up");
    let findings = found(&ns, "eth1", Use::Underlay, 2);
    let mend = format!("`ip netns exec {} ip link set eth1 mtu 1500`", ns.0);
    says(check(&findings, "mtu"), "mtu", Verdict::Problem, false, &["1500 are needed", &mend]);
    says(check(&findings, "queues"), "queues", Verdict::Problem, true, &["for 2 workers", "workers.count to 1"]);
}

#[test]
fn a_tap_with_a_virtio_header_is_warned_of() {
    if !possible() {
        return;
    }
    let ns = Ns::new("dt");
    ns.ip("tuntap add mode tap name tap0 vnet_hdr");
    ns.ip("tuntap add mode tap name tap1");
    for (name, with) in [("tap0", true), ("tap1", false)] {
        assert_eq!(link(&ns.open(), name).unwrap().vnet_hdr, with, "{name}");
        let findings = found(&ns, name, Use::Port("A1".to_owned()), 1);
        assert_eq!(check(&findings, "offloads").verdict == Verdict::Warning, with, "{name}: {findings:?}");
        assert!(check(&findings, "xdp").what.starts_with("native, copy"), "{name}: {findings:?}");
    }
}

/// A vxlan device of the kernel listens on the port of VXLAN, on every address.
#[test]
fn a_vxlan_device_of_the_kernel_has_the_port() {
    if !possible() {
        return;
    }
    let ns = Ns::new("dk");
    veth(&ns, "und0");
    let interface = Interface { name: "und0".to_owned(), netns: Some(ns.0.clone()) };
    let vtep = Some((std::net::Ipv4Addr::new(172, 20, 0, 11), 4789));
    let (networks, also) = (Some(vec![]), vec![]);
    let subject = Subject { interface, used: Use::Underlay, workers: 1, cores: None, networks, also, vtep };
    let look = || examine(std::slice::from_ref(&subject), &needs(), true).remove(1).findings;
    assert!(look().iter().all(|f| f.verdict == Verdict::Ok), "{:?}", look());
    ns.ip("link add vx0 type vxlan id 7 dstport 4789 dev und0");
    ns.ip("link set vx0 up");
    says(&only(look()), "vxlan port", Verdict::Warning, false, &["172.20.0.11:4789 cannot be held", "type vxlan"]);
}

/// All of a configuration: what is not there stops dvrd, or, a port's, is waited for. And dvrd refuses in the same words.
#[test]
fn a_configuration_is_looked_at_whole_and_dvrd_refuses_what_stops_it() {
    if !possible() {
        return;
    }
    let cloud = Cloud::from_json(include_str!("../../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    let ns = Ns::new("dc");
    veth(&ns, "und0");
    veth(&ns, "eth1");
    ns.ip("link set und0 mtu 1400");
    let nic = |name: &str, nic: &str| {
        format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{nic}\"\nnetns = \"{}\"\n", ns.0)
    };
    let text = format!(
        "host = \"H1\"\n[underlay]\ninterface = \"und0\"\nnetns = \"{}\"\n[workers]\ncount = 3\n{}{}",
        ns.0,
        nic("physnet1", "eth1"),
        nic("physext", "eth2")
    );
    let config = Config::from_toml(&text, "dvrd.toml", &[0].into()).unwrap();
    let sections = examine(&plan::subjects(&config, Some(&cloud)), &Needs::of(&config, Some(&cloud)), true);
    let of = |used: &str| &sections.iter().find(|s| s.used == used).unwrap().findings;
    assert_eq!(check(of("underlay"), "mtu").verdict, Verdict::Problem);
    assert!(check(of("underlay"), "queues").stops && check(of("physical network physnet1"), "queues").stops);
    assert!(check(of("physical network physext"), "interface").stops);
    assert_eq!(check(of("port A1"), "interface").verdict, Verdict::Ok);
    let stops = Before::look(&config, &cloud).unwrap_err();
    let words = ["und0 has 2 receive queues for 3 workers", "eth1 has 2 receive queues", "no interface eth2"];
    for (line, words) in stops.iter().zip(words) {
        assert!(line.contains(words), "{words} is missing in {line}");
    }
    assert_eq!(stops.len(), 3, "what it can start with is no reason: {stops:?}");
    assert_eq!(Netns::open(Some(&ns.0)).and_then(|n| link(&n, "und0")).unwrap().xdp, None, "nothing was taken");
}
