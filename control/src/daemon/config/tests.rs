use super::*;
use crate::model::Cloud;
use std::path::PathBuf;

const MINIMAL: &str = "host = \"H1\"\n[underlay]\ninterface = \"und0\"\n";

fn read(text: &str) -> Result<Config, Problems> {
    Config::from_toml(text, "dvrd.toml", &(0..4).chain([8]).collect())
}

/// Every problem, a line each.
#[track_caller]
fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(|p| p.to_string()).collect()
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

/// The one problem of the smallest file with more behind it.
#[track_caller]
fn one(more: &str, expected: &str) {
    refused(&format!("{MINIMAL}{more}"), &[expected]);
}

fn path(name: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn interface(name: &str, netns: Option<&str>) -> Interface {
    Interface { name: name.to_owned(), netns: netns.map(str::to_owned) }
}

/// What is said of idle workers where nothing is said; nothing is measured.
fn adaptive() -> Workers {
    Workers { idle: IdlePolicy::Adaptive, time_turns: false, ..Workers::default() }
}

#[test]
fn a_worker_without_work_sleeps_or_is_busy() {
    let of = |lines: &str| read(&format!("{MINIMAL}[workers]\n{lines}\n")).unwrap().workers;
    assert_eq!(
        of("idle = \"busy\"\ntime_turns = true"),
        Workers { idle: IdlePolicy::Busy, time_turns: true, ..adaptive() }
    );
    assert_eq!(of("idle = \"adaptive\"\nspin_us = 7"), Workers { spin_us: 7, ..adaptive() });
    one(
        "[workers]\nidle = \"busy\"\nspin_us = 7\n",
        "dvrd.toml:6: configuration: workers.spin_us: with idle = \"busy\" a worker never sleeps; take one of them out",
    );
    let words = problems(&format!("{MINIMAL}[workers]\nidle = \"lazy\"\n")).remove(0);
    assert!(words.starts_with("dvrd.toml:5: configuration: workers.idle: ") && words.contains("adaptive"), "{words}");
}

#[test]
fn the_smallest_file_has_the_defaults() {
    let config = read(MINIMAL).unwrap();
    assert_eq!((config.host.as_str(), &config.underlay), ("H1", &interface("und0", None)));
    assert_eq!(config.workers, Workers { count: 1, cores: None, spin_us: 50, frames: 32768, ..adaptive() });
    assert_eq!((config.ports, config.port_io), (Vec::new(), PortIo::Auto));
}

#[test]
fn the_example_in_docs_is_read_whole() {
    let text = std::fs::read_to_string(path("docs/dvrd.toml")).unwrap();
    let config = read(&text).unwrap();
    assert_eq!((config.host.as_str(), &config.underlay), ("H1", &interface("und0", Some("h1"))));
    assert_eq!(config.workers, Workers { count: 2, cores: Some(vec![0, 1]), spin_us: 50, frames: 32768, ..adaptive() });
    let ports: Vec<_> = config.ports.iter().map(|p| (p.port.as_str(), p.interface.clone())).collect();
    assert_eq!(ports, [("A1", interface("tapA1", Some("h1")))]);
    assert_eq!((config.port_io, config.ports[0].io), (PortIo::Auto, Some(PortIo::AfXdp)));
    let nics: Vec<_> = config.physical_networks.iter().map(|p| (p.name.as_str(), p.interface.clone())).collect();
    assert_eq!(nics, [("physnet1", interface("eth1", Some("h1"))), ("physext", interface("eth2", Some("h1")))]);
    let cloud = Cloud::load(&path("pcap-fixtures/T/cloud.json")).unwrap();
    config.check(&cloud).unwrap();
    // In the order of their names, whatever the file's: as the rows number them.
    let in_order: Vec<_> = config.physical(&cloud).map(|(name, i)| (name, i.name.as_str())).collect();
    assert_eq!(in_order, [("physext", "eth2"), ("physnet1", "eth1")]);
    assert_eq!(crate::rows::Rows::derive(&cloud, "H1").unwrap().phys, ["physext", "physnet1"]);
}

#[test]
fn every_bound_itself_is_taken() {
    let workers = "[workers]\ncount = 5\ncores = [8, 0, 1, 2, 3]\nspin_us = 0\nframes = 1024\n";
    let w = read(&format!("{MINIMAL}{workers}")).unwrap().workers;
    assert_eq!(w, Workers { count: 5, cores: Some(vec![8, 0, 1, 2, 3]), spin_us: 0, frames: 1024, ..adaptive() });
    let w = read(&format!("{MINIMAL}[workers]\ncount = 16\nspin_us = 1000000\nframes = 1048576\n")).unwrap().workers;
    assert_eq!(w, Workers { count: 16, cores: None, spin_us: 1_000_000, frames: 1_048_576, ..adaptive() });
    let name = "host = \"H1\"\n[underlay]\ninterface = \"123456789012345\"\nnetns = \"/proc/1/ns/net\"\n";
    assert_eq!(read(name).unwrap().underlay, interface("123456789012345", Some("/proc/1/ns/net")));
}

#[test]
fn what_is_missing_is_named() {
    refused(
        "",
        &[
            "dvrd.toml:1: configuration: host: is missing; give the name of the cloud's host this machine is",
            "dvrd.toml:1: configuration: underlay: is missing; give the interface to the other hosts: [underlay] with interface = \"...\"",
        ],
    );
    refused(
        "host = \"H1\"\n[underlay]\n[[ports]]\n[[physical_networks]]\n",
        &[
            "dvrd.toml:2: configuration: underlay.interface: is missing; give the interface's name",
            "dvrd.toml:4: configuration: physical_networks[0].name: is missing; give a physical network of this host's bridge_mappings",
            "dvrd.toml:4: configuration: physical_networks[0].interface: is missing; give the interface's name",
            "dvrd.toml:3: configuration: ports[0].port: is missing; give the id or name of the port",
            "dvrd.toml:3: configuration: ports[0].interface: is missing; give the interface's name",
        ],
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    refused(
        "hosts = \"H1\"\nhost = \"H1\"\n[underlay]\ninterface = \"und0\"\nnamespace = \"h1\"\n[workers]\ncoun = 2\n[[ports]]\nport = \"A1\"\ninterfaces = \"a\"\ninterface = \"a\"\n",
        &[
            "dvrd.toml:5: configuration: underlay.namespace: unknown field; take it out; known here are interface, netns",
            "dvrd.toml:7: configuration: workers.coun: unknown field; did you mean count?",
            "dvrd.toml:10: configuration: ports[0].interfaces: unknown field; did you mean interface?",
            "dvrd.toml:1: configuration: hosts: unknown field; did you mean host?",
        ],
    );
}

#[test]
fn a_wrong_type_is_named_with_what_was_found() {
    refused(
        "host = 1\nunderlay = \"und0\"\nports = 3\n[workers]\ncount = \"2\"\ncores = 0\nspin_us = 1.5\nframes = true\n",
        &[
            "dvrd.toml:1: configuration: host: expected a string, found an integer; write a string",
            "dvrd.toml:2: configuration: underlay: expected an object, found a string; give its attributes as an object",
            "dvrd.toml:5: configuration: workers.count: expected an integer, found a string; write an integer",
            "dvrd.toml:6: configuration: workers.cores: expected a list, found an integer; write a list",
            "dvrd.toml:7: configuration: workers.spin_us: expected an integer, found a number that is no integer; write an integer",
            "dvrd.toml:8: configuration: workers.frames: expected an integer, found true or false; write an integer",
            "dvrd.toml:3: configuration: ports: expected a list, found an integer; write a list",
        ],
    );
}

#[test]
fn numbers_out_of_range() {
    for (line, expected) in [
        ("count = 0", "workers.count: 0 is out of range; give an integer from 1 to 16"),
        ("count = 17", "workers.count: 17 is out of range; give an integer from 1 to 16"),
        ("count = -1", "workers.count: -1 is out of range; give an integer from 1 to 16"),
        ("spin_us = 1000001", "workers.spin_us: 1000001 is out of range; give an integer from 0 to 1000000"),
        ("frames = 1023", "workers.frames: 1023 is out of range; give an integer from 1024 to 1048576"),
        ("frames = 1048577", "workers.frames: 1048577 is out of range; give an integer from 1024 to 1048576"),
    ] {
        one(&format!("[workers]\n{line}\n"), &format!("dvrd.toml:5: configuration: {expected}"));
    }
}

#[test]
fn cores_are_one_for_each_worker_and_there() {
    for (lines, expected) in [
        (
            "count = 2\ncores = [0]",
            "6: configuration: workers.cores: 1 core for 2 workers; give one core for each worker, or leave cores out",
        ),
        (
            "count = 1\ncores = [0, 1]",
            "6: configuration: workers.cores: 2 cores for 1 worker; give one core for each worker, or leave cores out",
        ),
        (
            "count = 1\ncores = []",
            "6: configuration: workers.cores: 0 cores for 1 worker; give one core for each worker, or leave cores out",
        ),
        (
            "count = 3\ncores = [0, 1, 0]",
            "6: configuration: workers.cores[2]: core 0 is given twice, first as cores[0]; give each worker a core of its own",
        ),
        (
            "count = 2\ncores = [0, 5]",
            "6: configuration: workers.cores[1]: core 5 is not one dvrd may run on; possible are 0-3, 8",
        ),
    ] {
        one(&format!("[workers]\n{lines}\n"), &format!("dvrd.toml:{expected}"));
    }
    let text = format!("{MINIMAL}[workers]\ncount = 2\ncores = [\"0\", -1]\n");
    let found = problems(&text);
    assert_eq!(
        found[0],
        "dvrd.toml:6: configuration: workers.cores[0]: expected an integer, found a string; write an integer"
    );
    assert_eq!(
        found[1],
        "dvrd.toml:6: configuration: workers.cores[1]: -1 is out of range; give integers from 0 to 65535"
    );
}

#[test]
fn the_cores_of_this_machine_are_those_of_sched_getaffinity() {
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    let expected: BTreeSet<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|c| set.is_set(*c)).collect();
    assert_eq!(available_cores(), expected);
}

#[test]
fn names_no_interface_can_have() {
    for (name, why) in [
        ("", "is empty"),
        ("1234567890123456", "is longer than 15 bytes"),
        ("ähhhhhhhhhhhhhh", "is longer than 15 bytes"),
        ("a/b", "has a '/' or ':' in it"),
        ("eth0:1", "has a '/' or ':' in it"),
        ("..", "is a folder's name"),
        ("a b", "has a space or control character in it"),
    ] {
        let expected = format!(
            "dvrd.toml:3: configuration: underlay.interface: \"{name}\" cannot be an interface: it {why}; give the name `ip link` shows: 1 to 15 bytes"
        );
        refused(&format!("host = \"H1\"\n[underlay]\ninterface = \"{name}\"\n"), &[&expected]);
    }
    let netns = "dvrd.toml:4: configuration: underlay.netns: \"\" cannot be a namespace; give a name `ip netns list` shows, or a path; leave it out for dvrd's own";
    one("netns = \"\"\n", netns);
}

#[test]
fn ports_and_interfaces_that_come_twice() {
    let port = |port: &str, name: &str, netns: &str| {
        format!("[[ports]]\nport = \"{port}\"\ninterface = \"{name}\"\n{netns}\n")
    };
    one(
        &[port("A1", "a", ""), port("A1", "b", "")].concat(),
        "dvrd.toml:9: configuration: ports[1].port: port A1 has an interface already, in ports[0]; keep one of them",
    );
    one(
        &[port("A1", "a", "netns = \"x\""), port("A2", "a", "netns = \"x\"")].concat(),
        "dvrd.toml:10: configuration: ports[1].interface: a in namespace x is that of port A1 already; give each port an interface of its own",
    );
    one(
        &port("A1", "und0", ""),
        "dvrd.toml:6: configuration: ports[0].interface: und0 is the underlay's already; give each port an interface of its own",
    );
    // The same name in another namespace is another interface.
    let text = [MINIMAL, &port("A1", "a", "netns = \"x\""), &port("A2", "a", ""), &port("A3", "und0", "netns = \"x\"")];
    assert_eq!(read(&text.concat()).unwrap().ports.len(), 3);
}

#[test]
fn physical_networks_and_their_nics_that_come_twice() {
    let nic = |name: &str, interface: &str| {
        format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{interface}\"\n")
    };
    one(
        &[nic("p", "a"), nic("p", "b")].concat(),
        "dvrd.toml:8: configuration: physical_networks[1].name: physical network p has an interface already, in physical_networks[0]; keep one of them",
    );
    // One NIC may be several physical networks', and the underlay's.
    let text = [MINIMAL, &nic("p", "a"), &nic("q", "a"), &nic("r", "und0")].concat();
    assert_eq!(read(&text).unwrap().physical_networks.len(), 3);
    one(
        &format!("{}[[ports]]\nport = \"A1\"\ninterface = \"a\"\n", nic("p", "a")),
        "dvrd.toml:9: configuration: ports[0].interface: a is that of physical network p already; give each port an interface of its own",
    );
}

#[test]
fn a_file_that_is_not_there_or_no_toml() {
    let e = Config::read(&path("docs/nowhere.toml")).unwrap_err().to_string();
    assert!(e.contains("docs/nowhere.toml: file: cannot be read: No such file") && e.ends_with("1 problem"), "{e}");
    let e = problems("host = \n");
    assert!(
        e[0].starts_with("dvrd.toml:1: file: ") && e[0].ends_with("; correct the syntax; nothing else was checked")
    );
}

const CLOUD: &str = r#"
hosts = [{name = "H1", agent_mode = "dvr", vtep = "172.20.0.11", dvr_mac = "fa:16:3f:00:00:01"}, {name = "H2", agent_mode = "dvr", vtep = "172.20.0.12", dvr_mac = "fa:16:3f:00:00:02"}]
networks = [{id = "n", provider_network_type = "vxlan", provider_segmentation_id = 7}]
ports = [
  {id = "0a7b52ec-3a61-4b07-a5b4-14bb6a2cb2a5", name = "web", network_id = "n", mac_address = "fa:16:3e:00:00:01", binding_host_id = "H1"},
  {id = "0a7b52ec-3ac2-4b07-a5b4-14bb6a2cb2a5", name = "two", network_id = "n", mac_address = "fa:16:3e:00:00:02", binding_host_id = "H1"},
  {id = "far", name = "two", network_id = "n", mac_address = "fa:16:3e:00:00:03", binding_host_id = "H2"},
  {id = "loose", network_id = "n", mac_address = "fa:16:3e:00:00:04"},
  {id = "failed", network_id = "n", mac_address = "fa:16:3e:00:00:05", binding_host_id = "H1", binding_vif_type = "binding_failed"},
]
"#;

fn cloud(more: &str) -> Cloud {
    Cloud::from_toml(&format!("{CLOUD}{more}"), "cloud.toml").unwrap()
}

#[track_caller]
fn checked(text: &str, cloud: &Cloud) -> Vec<String> {
    match read(text).unwrap().check(cloud) {
        Ok(()) => Vec::new(),
        Err(e) => e.iter().map(|p| p.to_string()).collect(),
    }
}

#[test]
fn a_host_the_cloud_does_not_have() {
    let text = "host = \"H3\"\n[underlay]\ninterface = \"und0\"\n[[ports]]\nport = \"far\"\ninterface = \"a\"\n";
    let expected = "dvrd.toml:1: configuration: host: the cloud has no host \"H3\"; did you mean H1?";
    assert_eq!(checked(text, &cloud("")), [expected]);
}

#[test]
fn ports_that_are_not_of_this_host() {
    let words = ["far", "loose", "failed", "wb", "two", "web", "0a7b52ec-3a61-4b07-a5b4-14bb6a2cb2a5"];
    let entry = |(i, w): (usize, &&str)| format!("[[ports]]\nport = \"{w}\"\ninterface = \"i{i}\"\n");
    let text = format!("{MINIMAL}{}", words.iter().enumerate().map(entry).collect::<String>());
    let expected = [
        "dvrd.toml:4: configuration: ports[0].port: port far is bound to host H2, this is H1; take the entry out, or correct the port's binding_host_id",
        "dvrd.toml:7: configuration: ports[1].port: port loose is bound to no host; give the port binding_host_id H1, or take the entry out",
        "dvrd.toml:10: configuration: ports[2].port: port failed could not be bound to H1; bind it, or take the entry out",
        "dvrd.toml:13: configuration: ports[3].port: the cloud has no port \"wb\"; did you mean web?",
        "dvrd.toml:16: configuration: ports[4].port: \"two\" is the name of several ports; give the id, one of 0a7b52ec-3ac2-4b07-a5b4-14bb6a2cb2a5, far",
        "dvrd.toml:22: configuration: ports[6].port: \"0a7b52ec-3a61-4b07-a5b4-14bb6a2cb2a5\" is the port of ports[5], by another word; keep one of them",
    ];
    assert_eq!(checked(&text, &cloud("")), expected);
}

#[test]
fn a_router_gateway_has_no_interface() {
    let port = "[[ports]]\nid = \"gw\"\nnetwork_id = \"n\"\nmac_address = \"fa:16:3e:00:00:06\"\nbinding_host_id = \"H1\"\ndevice_owner = \"network:floatingip_agent_gateway\"\n";
    let cloud =
        Cloud::from_toml(&format!("{}{port}", CLOUD.replace("ports = [", "x = [").split("x = [").next().unwrap()), "c")
            .unwrap();
    let text = format!("{MINIMAL}[[ports]]\nport = \"gw\"\ninterface = \"a\"\n");
    let expected = "dvrd.toml:4: configuration: ports[0].port: port gw is a network:floatingip_agent_gateway, which has no interface; take the entry out";
    assert_eq!(checked(&text, &cloud), [expected]);
}

#[test]
fn ports_without_an_entry_have_the_interface_nova_made() {
    let config = read(&format!("{MINIMAL}[[ports]]\nport = \"web\"\ninterface = \"v\"\nnetns = \"x\"\n")).unwrap();
    let cloud = cloud("");
    config.check(&cloud).unwrap();
    let all: Vec<_> = config.attachments(&cloud).map(|a| (a.port, a.interface, a.explicit)).collect();
    let expected = [
        ("0a7b52ec-3a61-4b07-a5b4-14bb6a2cb2a5".to_owned(), interface("v", Some("x")), true),
        // As in Nova: 14 characters of "tap" + id.
        ("0a7b52ec-3ac2-4b07-a5b4-14bb6a2cb2a5".to_owned(), interface("tap0a7b52ec-3a", None), false),
    ];
    assert_eq!(all, expected);
}

#[test]
fn by_what_ports_are_taken() {
    let text =
        format!("port_io = \"af_xdp\"\n{MINIMAL}[[ports]]\nport = \"web\"\ninterface = \"v\"\nio = \"packet\"\n");
    let config = read(&text).unwrap();
    let cloud = cloud("");
    let all: Vec<_> = config.attachments(&cloud).map(|a| a.io).collect();
    assert_eq!(all, [PortIo::Packet, PortIo::AfXdp]);
    let words = "possible are auto, af_xdp, packet";
    let expected = format!("dvrd.toml:1: configuration: port_io: \"xdp\" is not known here; {words}");
    refused(&text.replace("\"af_xdp\"", "\"xdp\""), &[&expected]);
    let expected = format!("dvrd.toml:8: configuration: ports[0].io: \"tap\" is not known here; {words}");
    refused(&text.replace("\"packet\"", "\"tap\""), &[&expected]);
    // It can be changed while dvrd runs.
    let other = read(MINIMAL).unwrap();
    assert!(config.fixed(&other).is_empty());
    assert_eq!(config.with_ports(other).port_io, PortIo::Auto);
}

#[test]
fn two_ports_that_would_share_an_interface() {
    let expected = "dvrd.toml: port 0a7b52ec-3ac2-4b07-a5b4-14bb6a2cb2a5: its interface would be tap0a7b52ec-3a, which is that of port 0a7b52ec-3a61-4b07-a5b4-14bb6a2cb2a5; give it an interface of its own in [[ports]]";
    assert_eq!(checked(MINIMAL, &cloud("")), [expected]);
    // One that [[ports]] gave away, and the underlay's.
    let text = MINIMAL.replace("und0", "tap0a7b52ec-3a");
    let text = format!("{text}[[ports]]\nport = \"web\"\ninterface = \"v\"\n");
    let expected = "dvrd.toml: port 0a7b52ec-3ac2-4b07-a5b4-14bb6a2cb2a5: its interface would be tap0a7b52ec-3a, which is the underlay's; give it an interface of its own in [[ports]]";
    assert_eq!(checked(&text, &cloud("")), [expected]);
}

#[test]
fn physical_networks_are_those_of_the_host() {
    let mapped = |names: &str| {
        let mappings = format!("dvr_mac = \"fa:16:3f:00:00:01\", bridge_mappings = {{{names}}}}}");
        let text = CLOUD.replace("dvr_mac = \"fa:16:3f:00:00:01\"}", &mappings);
        Cloud::from_toml(&text, "cloud.toml").unwrap()
    };
    let nic = |name: &str, interface: &str| {
        format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{interface}\"\n")
    };
    // The ports of the cloud share an interface: that problem comes last, and is another test's.
    let found = |text: &str, cloud: &Cloud| {
        let mut all = checked(&format!("{MINIMAL}{text}"), cloud);
        assert!(all.pop().unwrap().contains("its interface would be"));
        all
    };
    let two = mapped("physnet1 = \"br-provider\", physext = \"br-ex\"");
    assert_eq!(found(&[nic("physnet1", "a"), nic("physext", "b")].concat(), &two), [""; 0]);
    assert_eq!(
        found(&nic("physnet2", "a"), &two),
        [
            "dvrd.toml:4: configuration: physical_networks[0].name: host H1 has no physical network \"physnet2\" (bridge_mappings); take the entry out, or give one of physext, physnet1",
            "dvrd.toml:1: configuration: physical_networks: host H1 has the physical network \"physext\" (bridge_mappings), and no NIC for it; add [[physical_networks]] with its name and interface",
            "dvrd.toml:1: configuration: physical_networks: host H1 has the physical network \"physnet1\" (bridge_mappings), and no NIC for it; add [[physical_networks]] with its name and interface",
        ]
    );
    assert_eq!(
        found(&nic("physnet1", "a"), &mapped("")),
        [
            "dvrd.toml:4: configuration: physical_networks[0].name: host H1 has no physical network \"physnet1\" (bridge_mappings); take the entry out, or give the host bridge_mappings in the cloud file"
        ]
    );
    let many: Vec<String> = (0..17).map(|n| format!("p{n:02} = \"b\"")).collect();
    let all: String = (0..17).map(|n| nic(&format!("p{n:02}"), &format!("i{n}"))).collect();
    assert_eq!(
        found(&all, &mapped(&many.join(", "))),
        [
            "dvrd.toml:1: configuration: host: host H1 has 17 physical networks (bridge_mappings), at most 16 are possible; take those out that no network here is on"
        ]
    );
}

#[test]
fn what_needs_a_restart_is_named_with_its_key_and_ports_do_not() {
    let of = |more: &str| read(&format!("{MINIMAL}{more}")).unwrap();
    let before = of("[workers]\ncount = 1\n[[ports]]\nport = \"A1\"\ninterface = \"tapA1\"\n");
    // Defaults that are written out, comments, ports.
    let same = of("# as it was\n[workers]\nspin_us = 50\n[[ports]]\nport = \"A3\"\ninterface = \"tapA3\"\n");
    assert_eq!(before.fixed(&same), [""; 0]);
    assert_eq!(before.with_ports(same.clone()).ports, same.ports);
    let physical = "[[physical_networks]]\nname = \"physnet1\"\ninterface = \"eth1\"\n";
    let other =
        format!("{physical}[workers]\ncount = 2\ncores = [0, 1]\nframes = 8192\nidle = \"busy\"\ntime_turns = true\n");
    let expected = [
        "workers.count (from 1 to 2)",
        "workers.cores (from none to [0, 1])",
        "workers.idle (from adaptive to busy)",
        "workers.time_turns (from false to true)",
        "workers.frames (from 32768 to 8192)",
        "physical_networks (from none to physnet1 by eth1)",
    ];
    assert_eq!(before.fixed(&of(&other)), expected);
    assert_eq!(before.fixed(&of("[workers]\nspin_us = 0\n")), ["workers.spin_us (from 50 to 0)"]);
    let stays = before.with_ports(of(&other));
    assert_eq!((stays.workers, stays.physical_networks, stays.ports), (before.workers.clone(), vec![], vec![]));
    let moved = "host = \"H2\"\n[underlay]\ninterface = \"und0\"\nnetns = \"h2\"\n";
    let expected = ["host (from H1 to H2)", "underlay (from und0 to und0 in namespace h2)"];
    assert_eq!(before.fixed(&read(moved).unwrap()), expected);
}

/// The cloud of two physical networks, each with a VLAN network; H1 has a port on `here` of them.
fn two_networks(vids: [Option<u16>; 2], here: usize) -> Cloud {
    let network = |(name, vid): (&str, Option<u16>)| {
        let kind = vid.map_or("\"flat\"".to_owned(), |vid| format!("\"vlan\", provider_segmentation_id = {vid}"));
        format!("{{id = \"{name}\", provider_network_type = {kind}, provider_physical_network = \"phys{name}\"}}")
    };
    let port = |name: &str| {
        format!(
            "{{id = \"port-{name}\", network_id = \"{name}\", mac_address = \"fa:16:3e:00:00:0{name}\", binding_host_id = \"H1\"}}"
        )
    };
    let names = ["1", "2"];
    let networks: Vec<String> = names.into_iter().zip(vids).map(network).collect();
    let ports: Vec<String> = names.into_iter().take(here).map(port).collect();
    let text = format!(
        "hosts = [{{name = \"H1\", agent_mode = \"dvr\", vtep = \"172.20.0.11\", dvr_mac = \"fa:16:3f:00:00:01\", \
         bridge_mappings = {{phys1 = \"a\", phys2 = \"b\"}}}}]\nnetworks = [{}]\nports = [{}]\n",
        networks.join(", "),
        ports.join(", ")
    );
    Cloud::from_toml(&text, "cloud.toml").unwrap()
}

/// Rules: N2.
#[test]
fn networks_on_one_nic_have_to_differ_in_their_vlan() {
    let nic = |name: &str, interface: &str| {
        format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{interface}\"\n")
    };
    let shared = format!("{MINIMAL}{}{}", nic("phys1", "eth1"), nic("phys2", "eth1"));
    let hint = "give one of the physical networks a NIC of its own, or one of the networks another VLAN id";
    let at = "dvrd.toml:7: configuration: physical_networks[1].interface: on eth1, network \"1\" of phys1 and network \"2\" of phys2";
    assert_eq!(checked(&shared, &two_networks([Some(7), Some(7)], 2)), [format!("{at}: both are VLAN 7; {hint}")]);
    assert_eq!(checked(&shared, &two_networks([None, None], 2)), [format!("{at}: both have no VLAN tag; {hint}")]);
    // One of them is not on this host; each has its own id; each its own NIC.
    for cloud in
        [two_networks([Some(7), Some(7)], 1), two_networks([Some(7), Some(8)], 2), two_networks([None, Some(8)], 2)]
    {
        assert_eq!(checked(&shared, &cloud), [""; 0]);
    }
    let own = format!("{MINIMAL}{}{}", nic("phys1", "eth1"), nic("phys2", "eth2"));
    assert_eq!(checked(&own, &two_networks([Some(7), Some(7)], 2)), [""; 0]);
}

/// Rules: N2.
#[test]
fn each_nic_is_there_once_with_all_it_is_for() {
    let nic = |name: &str, interface: &str| {
        format!("[[physical_networks]]\nname = \"{name}\"\ninterface = \"{interface}\"\n")
    };
    let cloud = two_networks([Some(7), Some(8)], 2);
    let of = |a: &str, b: &str| {
        let config = read(&format!("{MINIMAL}{}{}", nic("phys2", b), nic("phys1", a))).unwrap();
        config.nics(&cloud).iter().map(|nic| format!("{}: {nic}", nic.interface)).collect::<Vec<_>>()
    };
    let networks = ["physical network phys1", "physical network phys2"];
    let [one, two] = networks;
    assert_eq!(of("eth1", "eth2"), ["und0: underlay".to_owned(), format!("eth1: {one}"), format!("eth2: {two}")]);
    assert_eq!(of("eth1", "eth1"), ["und0: underlay".to_owned(), format!("eth1: {one}, {two}")]);
    assert_eq!(of("eth1", "und0"), [format!("und0: underlay, {two}"), format!("eth1: {one}")]);
    assert_eq!(of("und0", "und0"), [format!("und0: underlay, {one}, {two}")]);
}
