//! Judgements of an interface's facts.

use super::*;
use crate::daemon::config::Interface;
use crate::daemon::doctor::facts::{InterfaceFacts, Peer, Tried};
use crate::daemon::doctor::interface::NotThere;
use crate::daemon::net::Holder;
use crate::model::Cloud;
use dataplane::io::af_xdp::Copying;
use dataplane::io::af_xdp::ethtool::Feature;
use dataplane::io::af_xdp::filter::Mode;

const ON: Feature = Feature { on: true, fixed: false };
const FIXED: Feature = Feature { on: true, fixed: true };

fn taken(mode: Mode, copying: Copying) -> Tried {
    let why_not_native = (mode == Mode::Skb).then(|| "Operation not supported".to_owned());
    Tried::Taken { mode, why_not_native, copying, merging: Vec::new() }
}

/// A NIC with nothing wrong, two queues for two workers.
fn nic(used: Use) -> InterfaceFacts {
    let interface = Interface { name: "eth1".to_owned(), netns: None };
    InterfaceFacts {
        subject: Subject {
            interface,
            used,
            workers: 2,
            cores: None,
            networks: Some(vec![("A".to_owned(), 1450)]),
            also: vec![],
            vtep: None,
        },
        driver: "ice".to_owned(),
        kind: String::new(),
        up: true,
        carrier: true,
        mtu: 1500,
        node: None,
        nodes: [(0, [0, 1].into()), (1, [2, 3].into())].into(),
        queues: 2,
        rx_vlan: Some(Feature { on: false, fixed: false }),
        vnet_hdr: false,
        peer: None,
        hashes_ports: Some(true),
        hashed: Some([0, 1].into()),
        port_taken: None,
        tried: taken(Mode::Native, Copying::ZeroCopy),
    }
}

fn underlay() -> InterfaceFacts {
    nic(Use::Underlay)
}

fn physical() -> InterfaceFacts {
    nic(Use::Physical("physnet1".to_owned()))
}

fn port() -> InterfaceFacts {
    let mut facts = nic(Use::Port("A1".to_owned()));
    facts.subject.workers = 1;
    facts
}

#[track_caller]
fn fine(facts: &InterfaceFacts) {
    let findings = judge::interface(facts);
    assert!(findings.iter().all(|f| f.verdict == Verdict::Ok), "{findings:?}");
}

#[test]
fn an_interface_with_nothing_wrong_has_no_finding() {
    [underlay(), physical(), port(), nic(Use::Any)].iter().for_each(fine);
    let checks: Vec<&str> = judge::interface(&underlay()).iter().map(|f| f.check).collect();
    assert_eq!(checks, ["driver", "link", "xdp", "queues", "mtu", "offloads", "rss"]);
}

#[test]
fn a_link_that_carries_nothing_is_a_problem_and_a_vm_s_is_the_vm_s() {
    let down = InterfaceFacts { up: false, carrier: false, ..underlay() };
    says(&only(judge::interface(&down)), "link", Verdict::Problem, false, &["down", "`ip link set eth1 up`"]);
    let loose = InterfaceFacts { carrier: false, ..physical() };
    says(&only(judge::interface(&loose)), "link", Verdict::Problem, false, &["no carrier"]);
    fine(&InterfaceFacts { up: false, carrier: false, ..port() });
}

#[test]
fn what_xdp_came_to_is_judged_by_what_could_be_had() {
    let of = |tried, driver: &str, kind: &str| {
        let (driver, kind) = (driver.to_owned(), kind.to_owned());
        InterfaceFacts { tried, driver, kind, ..underlay() }
    };
    fine(&of(taken(Mode::Native, Copying::Copy), "veth", "veth"));
    fine(&of(taken(Mode::Native, Copying::Copy), "tun", "tun"));
    fine(&of(Tried::Not, "ice", ""));
    let copy = only(judge::interface(&of(taken(Mode::Native, Copying::Copy), "e1000e", "")));
    says(&copy, "xdp", Verdict::Warning, false, &["native, copy", "e1000e", "zero-copy"]);
    let skb = only(judge::interface(&of(taken(Mode::Skb, Copying::Copy), "bridge", "bridge")));
    says(&skb, "xdp", Verdict::Warning, false, &["SKB", "Operation not supported", "instead of a bridge"]);
    let skb = only(judge::interface(&of(taken(Mode::Skb, Copying::Copy), "e1000e", "")));
    says(&skb, "xdp", Verdict::Warning, false, &["SKB", "`ethtool -K eth1 lro off rx-gro-hw off`"]);
    let Tried::Taken { mode, why_not_native, copying, .. } = taken(Mode::Skb, Copying::Copy) else { unreachable!() };
    let guest = Tried::Taken { mode, why_not_native, copying, merging: vec![("rx-gro-hw", FIXED)] };
    let guest = only(judge::interface(&of(guest, "virtio_net", "")));
    says(&guest, "xdp", Verdict::Warning, false, &["on the hypervisor", "guest_tso4=off"]);
}

#[test]
fn who_holds_an_interface_is_named_and_in_the_way_unless_it_is_dvrd() {
    let held = |processes: &[(u32, &str)]| {
        let processes = processes.iter().map(|(pid, name)| (*pid, (*name).to_owned())).collect();
        let holder = Holder { program: 41, name: Some("balancer".to_owned()), mode: "native", processes };
        judge::interface(&InterfaceFacts { tried: Tried::Held(holder), ..underlay() })
    };
    let words = ["program 41 (balancer)", "native", "katran (pid 812)", "`kill 812`", "does not start"];
    says(&only(held(&[(812, "katran")])), "xdp", Verdict::Problem, true, &words);
    says(&only(held(&[])), "xdp", Verdict::Problem, true, &["no process", "`ip link set dev eth1 xdp off`"]);
    let ours = held(&[(900, "dvrd")]);
    assert!(ours.iter().all(|f| f.verdict == Verdict::Ok), "{ours:?}");
    assert!(ours.iter().any(|f| f.what.contains("dvrd (pid 900)")));
}

#[test]
fn one_that_cannot_be_taken_says_why_and_what_stops() {
    let tried = || Tried::Failed("a socket cannot be bound: busy".to_owned(), "`ss --xdp -p`".to_owned());
    let words = ["a socket cannot be bound: busy", "does not start", "`ss --xdp -p`"];
    says(
        &only(judge::interface(&InterfaceFacts { tried: tried(), ..underlay() })),
        "xdp",
        Verdict::Problem,
        true,
        &words,
    );
    let of_port = only(judge::interface(&InterfaceFacts { tried: tried(), ..port() }));
    says(&of_port, "xdp", Verdict::Problem, true, &["does not take it"]);
}

#[test]
fn fewer_queues_than_workers_are_refused_in_dvrd_s_words() {
    let one = InterfaceFacts { queues: 1, hashed: Some([0].into()), ..underlay() };
    let findings = judge::interface(&one);
    let queues = findings.iter().find(|f| f.check == "queues").unwrap();
    says(
        queues,
        "queues",
        Verdict::Problem,
        true,
        &["1 receive queues for 2 workers", "workers.count to 1", "combined 2"],
    );
    fine(&InterfaceFacts { queues: 4, hashed: Some([0, 1, 2, 3].into()), ..underlay() });
}

/// RFC 7348: outer IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14: 50 bytes in the underlay's IP packet.
#[test]
fn an_underlay_s_mtu_is_that_of_the_largest_network_and_fifty() {
    let of = |mtu, networks: &[(&str, u32)]| {
        let mut subject = underlay().subject;
        subject.networks = Some(networks.iter().map(|(name, mtu)| ((*name).to_owned(), *mtu)).collect());
        judge::mtu(&subject, mtu)
    };
    assert_eq!(of(1500, &[("A", 1450), ("B", 1400)]).verdict, Verdict::Ok);
    assert_eq!(of(1500, &[]).verdict, Verdict::Ok);
    let words = ["MTU of 1499", "1500 are needed", "network A", "longer than 1449", "`ip link set eth1 mtu 1500`"];
    let small = of(1499, &[("B", 1400), ("A", 1450)]);
    says(&small, "mtu", Verdict::Problem, false, &words);
    assert!(small.mend.ends_with("an MTU of at most 1449 for network A"), "{}", small.mend);
    assert_eq!(of(9000, &[("A", 8950)]).verdict, Verdict::Ok);
    // A frame is at most 17 buffers of 1792 bytes: 14 of outer Ethernet and 50 of VXLAN around the packet.
    assert_eq!(of(65535, &[("A", 30400)]).verdict, Verdict::Ok);
    let words = ["network A has an MTU of 40000", "at most 30400", "networks A, B"];
    says(&of(65535, &[("A", 40000), ("B", 30401), ("C", 30400)]), "mtu", Verdict::Problem, false, &words);
}

#[test]
fn other_interfaces_carry_packets_as_they_are() {
    for facts in [physical(), port()] {
        assert_eq!(judge::mtu(&facts.subject, 1450).verdict, Verdict::Ok);
        let small = judge::mtu(&facts.subject, 1449);
        says(&small, "mtu", Verdict::Problem, false, &["1450 are needed", "mtu 1450"]);
    }
    let mut unknown = underlay().subject;
    unknown.networks = None;
    let finding = judge::mtu(&unknown, 1500);
    assert!(finding.verdict == Verdict::Ok && finding.what.contains("up to 1450"), "{finding:?}");
}

#[test]
fn commands_are_for_the_interface_s_namespace() {
    for (netns, words) in [
        ("h1", "`ip netns exec h1 ip link set eth1 mtu 1500`"),
        ("/proc/9/ns/net", "`nsenter --net=/proc/9/ns/net ip link"),
    ] {
        let mut subject = underlay().subject;
        subject.interface.netns = Some(netns.to_owned());
        let finding = judge::mtu(&subject, 1400);
        assert!(finding.mend.contains(words), "{}", finding.mend);
    }
}

#[test]
fn offloads_that_dvrd_turns_are_told_and_those_it_cannot_stop_it() {
    let tags = InterfaceFacts { rx_vlan: Some(ON), ..physical() };
    fine(&tags);
    assert!(judge::interface(&tags).iter().any(|f| f.what.contains("turns off") && f.what.contains("rx-vlan-offload")));
    let fixed = only(judge::interface(&InterfaceFacts { rx_vlan: Some(FIXED), ..physical() }));
    says(&fixed, "offloads", Verdict::Problem, true, &["VLAN tags", "[fixed]"]);
    // Elsewhere tags are nobody's business.
    fine(&InterfaceFacts { rx_vlan: Some(FIXED), ..underlay() });
    let peer = Peer { name: "eth0 in namespace vm1".to_owned(), on: vec!["checksum"] };
    let veth = InterfaceFacts { peer: Some(Ok(peer)), ..port() };
    fine(&veth);
    assert!(judge::interface(&veth).iter().any(|f| f.what.contains("checksum offload of eth0 in namespace vm1")));
    let lost = InterfaceFacts { peer: Some(Err("the other end is nowhere; give it a name".to_owned())), ..port() };
    says(&only(judge::interface(&lost)), "offloads", Verdict::Problem, true, &["nowhere", "give it a name"]);
    let tap = InterfaceFacts { vnet_hdr: true, ..port() };
    says(
        &only(judge::interface(&tap)),
        "offloads",
        Verdict::Warning,
        false,
        &["virtio header", "tx off", "csum='off'"],
    );
}

#[test]
fn frames_that_are_merged_all_the_same_are_lost() {
    let of = |facts: InterfaceFacts, feature| {
        let (mode, copying) = (Mode::Native, Copying::ZeroCopy);
        let merging = vec![("large-receive-offload", feature)];
        InterfaceFacts { tried: Tried::Taken { mode, why_not_native: None, copying, merging }, ..facts }
    };
    let words = ["large-receive-offload stays on", "1792", "`ethtool -K eth1 lro off rx-gro-hw off`"];
    says(&only(judge::interface(&of(physical(), ON))), "offloads", Verdict::Problem, false, &words);
    assert!(!only(judge::interface(&of(physical(), FIXED))).mend.is_empty());
    fine(&of(underlay(), ON)); // what is merged there is the kernel's
}

#[test]
fn vxlan_is_spread_only_by_its_ports_and_over_queues_that_packets_reach() {
    let none = InterfaceFacts { hashes_ports: Some(false), ..underlay() };
    says(
        &only(judge::interface(&none)),
        "rss",
        Verdict::Warning,
        false,
        &["UDP ports", "`ethtool -N eth1 rx-flow-hash udp4 sdfn`"],
    );
    fine(&InterfaceFacts { hashes_ports: Some(false), ..physical() }); // what is TCP there is hashed by its own ports
    fine(&InterfaceFacts { hashes_ports: None, hashed: None, ..underlay() });
    // Worker 0 has the queues 0 and 2, worker 1 has 1 and 3.
    let table =
        |hashed: &[u32]| InterfaceFacts { queues: 4, hashed: Some(hashed.iter().copied().collect()), ..underlay() };
    fine(&table(&[0, 1, 2, 3]));
    fine(&table(&[0, 3]));
    let words = ["queue 0, 2 only, of 4", "worker 1 receives nothing", "`ethtool -X eth1 equal 4`"];
    says(&only(judge::interface(&table(&[0, 2]))), "rss", Verdict::Warning, false, &words);
    let mut alone = none;
    alone.subject.workers = 1;
    fine(&alone);
}

#[test]
fn who_else_has_the_port_of_vxlan_is_a_warning() {
    let mut facts = underlay();
    facts.subject.vtep = Some((std::net::Ipv4Addr::new(172, 20, 0, 11), 4789));
    fine(&facts);
    assert!(
        judge::interface(&facts).iter().any(|f| f.check == "vxlan port" && f.what.contains("172.20.0.11:4789 is free"))
    );
    facts.port_taken = Some("UDP 172.20.0.11:4789 cannot be held: in use; a vxlan device has it".to_owned());
    says(
        &only(judge::interface(&facts)),
        "vxlan port",
        Verdict::Warning,
        false,
        &["cannot be held", "a vxlan device has it"],
    );
    // Of what nobody tried nothing is said.
    let untried = InterfaceFacts { tried: Tried::Not, port_taken: None, ..facts };
    assert!(judge::interface(&untried).iter().all(|f| f.check != "vxlan port"));
}

#[test]
fn an_interface_that_is_not_there_stops_dvrd_or_is_waited_for() {
    let gone = |absent| NotThere { absent, why: "there is no interface eth1; `ip link` shows those".to_owned() };
    says(
        &judge::not_there(&gone(true), &Use::Underlay),
        "interface",
        Verdict::Problem,
        true,
        &["no interface eth1", "start"],
    );
    let later = judge::not_there(&gone(true), &Use::Port("A1".to_owned()));
    assert!(later.verdict == Verdict::Ok && later.what.contains("when it comes"), "{later:?}");
    // Nothing is known of it: as when a namespace may not be entered.
    says(
        &judge::not_there(&gone(false), &Use::Port("A1".to_owned())),
        "interface",
        Verdict::Problem,
        true,
        &["`ip link`"],
    );
}

/// The reference cloud: networks A to C and more by VXLAN, V on physnet1, X on physext.
#[test]
fn an_interface_carries_the_networks_that_are_here() {
    let cloud = Cloud::from_json(include_str!("../../../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
    let names =
        |used: Use| -> Vec<String> { plan::networks(&cloud, "H1", &used).into_iter().map(|(name, _)| name).collect() };
    assert_eq!(names(Use::Physical("physnet1".to_owned())), ["V"]);
    assert_eq!(plan::networks(&cloud, "H1", &Use::Physical("physext".to_owned())), [("X".to_owned(), 1500)]);
    assert_eq!(names(Use::Physical("physnet9".to_owned())), [""; 0]);
    assert_eq!(plan::networks(&cloud, "H1", &Use::Port("A1".to_owned())), [("A".to_owned(), 1450)]);
    let underlay = names(Use::Underlay);
    assert!(
        underlay.contains(&"A".to_owned()) && underlay.contains(&"B".to_owned()) && !underlay.contains(&"V".to_owned())
    );
    assert_eq!(names(Use::Any), [""; 0]);
}

/// Two nodes of two cores each.
#[test]
fn workers_on_another_node_than_the_nic_are_named() {
    let of = |node, cores: Option<&[usize]>, facts: InterfaceFacts| {
        let subject = Subject { cores: cores.map(<[usize]>::to_vec), ..facts.subject.clone() };
        InterfaceFacts { node, subject, ..facts }
    };
    fine(&of(Some(1), Some(&[2, 3]), underlay()));
    let near = judge::interface(&of(Some(1), Some(&[2, 3]), underlay()));
    assert!(near.iter().any(|f| f.check == "numa" && f.what.contains("node 1")), "{near:?}");
    let far = only(judge::interface(&of(Some(1), Some(&[0, 2]), physical())));
    says(&far, "numa", Verdict::Warning, false, &["NUMA node 1", "core 0 on node 0", "workers.cores out of 2, 3"]);
    assert!(!far.what.contains("core 2"), "{far:?}");
    let loose = only(judge::interface(&of(Some(0), None, underlay())));
    says(&loose, "numa", Verdict::Warning, false, &["not pinned", "out of 0, 1"]);
    // Nothing to say: virtual, one node, a port.
    fine(&of(None, Some(&[0, 1]), underlay()));
    fine(&InterfaceFacts { nodes: [(0, [0, 1, 2, 3].into())].into(), ..of(Some(0), None, underlay()) });
    fine(&of(Some(1), Some(&[0]), port()));
    let bare = InterfaceFacts {
        nodes: [(0, [0, 1].into()), (2, [2, 3].into())].into(),
        ..of(Some(1), Some(&[0]), underlay())
    };
    says(&only(judge::interface(&bare)), "numa", Verdict::Warning, false, &["a slot of a node that has cores"]);
}

#[test]
fn who_shares_a_nic_is_said_and_it_is_taken_once() {
    let nic = |name: &str, nic: &str| format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{nic}\"\n");
    let shared = |ext: &str| {
        let text = format!(
            "host = \"H1\"\n[underlay]\ninterface = \"und0\"\n{}{}",
            nic("physnet1", "und0"),
            nic("physext", ext)
        );
        let config = Config::from_toml(&text, "dvrd.toml", &BTreeSet::new()).unwrap();
        let of = |subject: &Subject| {
            let findings = judge::interface(&InterfaceFacts { subject: subject.clone(), ..underlay() });
            findings.into_iter().find(|f| f.check == "shared").map(|f| f.what).unwrap_or_default()
        };
        let subjects = plan::subjects(&config, None);
        (subjects.iter().map(of).collect::<Vec<_>>(), Needs::of(&config, None).interfaces)
    };
    let host = "the host keeps what is not dvrd's";
    let (said, interfaces) = shared("eth1");
    let expected =
        [format!("with physical network physnet1; {host}"), format!("with underlay; {host}"), host.to_owned()];
    assert_eq!((said, interfaces), (expected.to_vec(), 2));
    let (said, interfaces) = shared("und0");
    assert_eq!(
        (said[0].as_str(), interfaces),
        (&*format!("with physical network physnet1, physical network physext; {host}"), 1)
    );
}
