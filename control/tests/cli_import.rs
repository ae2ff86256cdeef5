//! `dvrctl import-neutron`, as its users run it, on dumps of a real Neutron server; what becomes of them is compared with
//! what Neutron's own agents made of the same cloud on its three hosts (`tests/data/neutron`).

mod cli_support;

use cli_support::{Dir, Ran, dvrctl};
use control::model::{Cloud, NetworkType};
use control::rows::Rows;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

const HOSTS: [&str; 3] = ["compute1", "compute2", "network1"];
/// Neutron's own lists, each as `GET /v2.0/..` answered it.
const LISTS: [&str; 7] = ["networks", "subnets", "ports", "routers", "floatingips", "security-groups", "agents"];

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/neutron").join(file)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn dump(list: &str) -> Value {
    serde_json::from_str(&read(&data(&format!("{list}.json")))).unwrap()
}

fn import<S: AsRef<str>>(files: impl IntoIterator<Item = S>) -> Ran {
    let files = files.into_iter().map(|f| f.as_ref().to_owned());
    dvrctl(["import-neutron".to_owned()].into_iter().chain(files))
}

/// The cloud file of all dumps.
fn imported(dir: &Dir) -> String {
    let file = dir.text("cloud.json");
    let ran = import([&data("").display().to_string(), "--out", &file]).ends(0);
    assert_eq!(
        ran.out,
        format!("{file}: hosts 3, networks 4, subnets 4, ports 17, routers 1, floatingips 2, security_groups 3\n")
    );
    file
}

#[test]
fn every_host_accepts_the_cloud() {
    let dir = Dir::new("import");
    let file = imported(&dir);
    for host in HOSTS {
        let ran = dvrctl(["check", "--cloud", &file, "--host", host]).ends(0);
        assert!(ran.out.contains("no problems") && ran.out.contains("Routers   r1\n"), "{}", ran.out);
    }
}

#[test]
fn hosts_are_what_agents_and_rpc_say() {
    let dir = Dir::new("import-hosts");
    let cloud: Value = serde_json::from_str(&read(Path::new(&imported(&dir)))).unwrap();
    let agents = dump("agents");
    let agent = |host: &str, kind: &str| {
        let mut all = agents["agents"].as_array().unwrap().iter();
        all.find(|a| a["host"] == host && a["agent_type"] == kind).unwrap()["configurations"].clone()
    };
    let macs = dump("dvr_mac_address_list");
    let mut names = Vec::new();
    for host in cloud["hosts"].as_array().unwrap() {
        let name = host["name"].as_str().unwrap();
        names.push(name);
        let (l2, l3) = (agent(name, "Open vSwitch agent"), agent(name, "L3 agent"));
        assert_eq!((&host["vtep"], &host["agent_mode"]), (&l2["tunneling_ip"], &l3["agent_mode"]), "{name}");
        assert_eq!(host["bridge_mappings"], l2["bridge_mappings"], "{name}");
        let mac = macs.as_array().unwrap().iter().find(|m| m["host"] == name).unwrap()["mac_address"].as_str().unwrap();
        assert_eq!(host["dvr_mac"].as_str().unwrap(), mac.replace('-', ":").to_lowercase(), "{name}");
    }
    assert_eq!(names, HOSTS);
    // Resources are as Neutron gave them, attribute by attribute.
    for list in ["networks", "subnets", "ports", "routers", "floatingips"] {
        let by_id = |v: &Value| -> BTreeMap<String, Value> {
            v[list].as_array().unwrap().iter().map(|r| (r["id"].as_str().unwrap().to_owned(), r.clone())).collect()
        };
        assert_eq!(by_id(&cloud), by_id(&dump(list)), "{list}");
    }
}

#[test]
fn the_order_of_dumps_does_not_matter() {
    let dir = Dir::new("import-order");
    let first = imported(&dir);
    let mut files: Vec<String> = LISTS.iter().map(|l| data(&format!("{l}.json")).display().to_string()).collect();
    files.push(data("dvr_mac_address_list.json").display().to_string());
    files.reverse();
    let ran = import(&files).ends(0);
    assert_eq!(ran.out, read(Path::new(&first)));
    // All in one file, each list turned round, one port twice.
    let mut all = json!({});
    for list in LISTS {
        let (key, mut value) = (list.replace('-', "_"), dump(list));
        value[&key].as_array_mut().unwrap().reverse();
        all[&key] = value[&key].clone();
    }
    let again = all["ports"][0].clone();
    all["ports"].as_array_mut().unwrap().push(again);
    all["dvr_macs"] = dump("dvr_mac_address_list");
    assert_eq!(import([dir.write("all.json", all.to_string())]).ends(0).out, ran.out);
}

/// What Neutron's agents had made on a host: lines by command.
fn agents_made(host: &str) -> BTreeMap<String, Vec<String>> {
    let (mut all, mut now) = (BTreeMap::new(), String::new());
    for line in read(&data(&format!("{host}.txt"))).lines() {
        match line.strip_prefix("$ ") {
            Some(command) => now = command.to_owned(),
            None => all.entry(now.clone()).or_insert_with(Vec::new).push(line.to_owned()),
        }
    }
    all
}

const BR_INT: &str = "ovs-ofctl -O OpenFlow13 --names dump-flows br-int";
const BR_TUN: &str = "ovs-ofctl -O OpenFlow13 --names dump-flows br-tun";

/// The text between two others.
fn between<'a>(line: &'a str, before: &str, after: &[char]) -> Option<&'a str> {
    let rest = line.split_once(before)?.1;
    Some(rest.split(after).next().unwrap())
}

/// Routers, networks and floating IPs of each host.
#[test]
fn routers_networks_and_fips_are_where_the_agents_had_them() {
    let dir = Dir::new("import-rows");
    let cloud = Cloud::load(Path::new(&imported(&dir))).unwrap();
    let mut fips_seen = 0;
    for host in HOSTS {
        let (rows, made) = (Rows::derive(&cloud, host).unwrap(), agents_made(host));
        let spaces: BTreeSet<&str> = made.keys().filter_map(|c| between(c, "ip netns exec ", &[' '])).collect();
        let routers: BTreeSet<&str> = spaces.iter().filter_map(|ns| ns.strip_prefix("qrouter-")).collect();
        assert_eq!(rows.routers.keys().map(String::as_str).collect::<BTreeSet<_>>(), routers, "{host}");

        // Tenant networks: VNIs of br-tun's table 4, VLANs that come in by br-int's table 0.
        let vnis: BTreeSet<u32> = made[BR_TUN]
            .iter()
            .filter_map(|l| between(l, "tun_id=0x", &[' ', ',']))
            .map(|n| u32::from_str_radix(n, 16).unwrap())
            .collect();
        let vlans: BTreeSet<u32> = made[BR_INT]
            .iter()
            .filter(|l| l.starts_with("table=0,") && l.contains("set_field:4"))
            .filter_map(|l| between(l, "dl_vlan=", &[' ', ',']))
            .map(|n| n.parse().unwrap())
            .collect();
        let here = |kind: NetworkType| -> BTreeSet<u32> {
            let networks = rows.segments.keys().map(|id| &cloud.networks[id]).filter(|n| !n.router_external);
            networks.filter(|n| n.provider_network_type == kind).map(|n| n.provider_segmentation_id.unwrap()).collect()
        };
        assert_eq!((here(NetworkType::Vxlan), here(NetworkType::Vlan)), (vnis, vlans), "{host}");

        // Floating IPs: the /32 routes of the fip namespace.
        let fips: BTreeSet<Ipv4Addr> = made
            .iter()
            .filter(|(c, _)| c.contains(" fip-") && c.contains("table main"))
            .flat_map(|(_, lines)| lines)
            .filter(|l| l.contains(" via 169.254."))
            .map(|l| l.split(' ').next().unwrap().parse().unwrap())
            .collect();
        fips_seen += fips.len();
        assert_eq!(rows.fips.values().map(|ip| Ipv4Addr::from_bits(*ip)).collect::<BTreeSet<_>>(), fips, "{host}");
    }
    assert_eq!(fips_seen, 2, "one on each compute host");
}

fn show(file: &str, host: &str, what: &[&str]) -> BTreeMap<String, Vec<String>> {
    let args = ["show", "--cloud", file, "--host", host];
    let ran = dvrctl(args.iter().chain(what)).ends(0);
    let (mut all, mut now) = (BTreeMap::new(), String::new());
    for line in ran.out.lines().filter(|l| !l.is_empty() && !l.starts_with("# D") && !l.starts_with("# router")) {
        match line.strip_prefix("$ ") {
            Some(command) => now = command.to_owned(),
            None => all.entry(now.clone()).or_insert_with(Vec::new).push(line.to_owned()),
        }
    }
    all
}

/// `dvrctl show` in the namespaces, line by line.
#[test]
fn rules_routes_and_neighbours_are_those_of_the_agents() {
    let dir = Dir::new("import-ip");
    let file = imported(&dir);
    for host in HOSTS {
        let made = agents_made(host);
        let of = |ns: &str, what: &str| made[&format!("ip netns exec {ns} {what}")].clone();
        let (rules, routes, neigh) =
            (show(&file, host, &["rules"]), show(&file, host, &["routes"]), show(&file, host, &["neigh"]));
        // The link to the fip namespace: Neutron's choice among its pool.
        let router = rules.keys().next().unwrap().split(' ').nth(3).unwrap().to_owned();
        let main = of(&router, "ip -4 route show table main");
        let link = main.iter().find(|l| l.contains("dev rfp-")).unwrap().split('/').next().unwrap().to_owned();
        let peer = Ipv4Addr::from_bits(link.parse::<Ipv4Addr>().unwrap().to_bits() + 1).to_string();
        let ours = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|l| l.replace("169.254.64.0", &link).replace("169.254.64.1", &peer)).collect()
        };
        // Younger agents mark their routes.
        let theirs =
            |lines: Vec<String>| -> Vec<String> { lines.iter().map(|l| l.replace(" proto static", "")).collect() };

        for (command, lines) in &rules {
            let made: Vec<String> = of(&router, "ip rule").iter().map(|l| l.replace('\t', " ")).collect();
            // A floating IP's rule has a priority from Neutron's pool, which begins with ours.
            let number = |l: &String| match l.split_once(": ").unwrap() {
                (n, rest) if rest.ends_with(" lookup 16") => {
                    assert!((32768..=72767).contains(&n.parse::<u32>().unwrap()), "{l}");
                    format!("fip: {rest}")
                }
                _ => l.clone(),
            };
            assert_eq!(
                lines.iter().map(number).collect::<Vec<_>>(),
                made.iter().map(number).collect::<Vec<_>>(),
                "{host} {command}"
            );
        }
        for (command, lines) in &routes {
            let mut words = command.split(' ').skip(3);
            let (ns, table) = (words.next().unwrap(), words.last().unwrap());
            if table == "route" {
                let mut main = theirs(of(ns, "ip -4 route show table main"));
                if ns.starts_with("fip-") {
                    // Younger agents have the way out in a table of its own for each router.
                    let own: Vec<&String> =
                        made.keys().filter(|c| c.contains(ns) && c.contains("ip route show table")).collect();
                    assert_eq!(own.len(), 1, "{host}");
                    main.splice(0..0, theirs(made[own[0]].clone()));
                }
                assert_eq!(ours(lines), main, "{host} {command}");
            } else {
                assert_eq!(ours(lines), theirs(of(ns, &format!("ip route show table {table}"))), "{host} {command}");
            }
        }
        let namespaces = |what: &str| {
            made.keys()
                .filter(|c| c.ends_with(what) && !c.contains("qrouter-") || c.contains("qrouter-") && c.ends_with(what))
                .count()
        };
        assert_eq!(
            routes.keys().filter(|c| c.ends_with("ip route")).count(),
            namespaces("ip -4 route show table main"),
            "{host}"
        );
        for (command, lines) in &neigh {
            let made: BTreeSet<String> =
                of(&router, "ip neigh show nud permanent").into_iter().filter(|l| !l.contains("dev rfp-")).collect();
            assert_eq!(lines.iter().cloned().collect::<BTreeSet<_>>(), made, "{host} {command}");
        }
    }
}

#[track_caller]
fn same_sets<T: Ord + std::fmt::Debug>(ours: &BTreeSet<T>, theirs: &BTreeSet<T>, host: &str) {
    let (only_ours, only_theirs): (Vec<_>, Vec<_>) =
        (ours.difference(theirs).collect(), theirs.difference(ours).collect());
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "{host}: only ours {only_ours:#?}, theirs {only_theirs:#?}"
    );
}

/// Numbers of ports by name, from the comment of `dvrctl show`.
fn ports(lines: &[String]) -> BTreeMap<String, String> {
    let legend = lines.iter().find_map(|l| l.strip_prefix("# ports: ")).unwrap();
    let port = |p: &str| {
        let (n, name) = p.trim_end_matches(')').split_once('(').unwrap();
        (name.split(' ').next().unwrap().to_owned(), n.to_owned())
    };
    legend.split(", ").map(port).collect()
}

/// A flow of OpenFlow 1.3 in the notation of 1.0, with our numbers of ports; `vlans`: the agent's local VLANs to ours.
fn in_our_words(line: &str, ports: &BTreeMap<String, String>, vlans: &BTreeMap<String, String>) -> String {
    let mut line = line.replace("push_vlan:0x8100,", "").replace("OXM_OF_IN_PORT", "NXM_OF_IN_PORT");
    for (name, n) in ports {
        line = line.replace(&format!("\"{name}\""), n);
    }
    let (head, actions) = line.split_once(" actions=").unwrap();
    let physical = head.starts_with("table=2,") || head.starts_with("table=0,");
    let field = |f: &str| match f.strip_prefix("dl_vlan=") {
        Some(lv) if !physical => format!("dl_vlan={}", vlans.get(lv).unwrap_or_else(|| panic!("{line}"))),
        _ => f.to_owned(),
    };
    let action = |a: &str| -> String {
        let hex = |mac: &str| mac.replace(':', "");
        if let Some((value, to)) = a.strip_prefix("set_field:").and_then(|a| a.split_once("->")) {
            return match to {
                "eth_src" => format!("mod_dl_src:{value}"),
                "eth_dst" => format!("mod_dl_dst:{value}"),
                "tun_id" => format!("set_tunnel:{value}"),
                // The bit 0x1000 says that there is a tag.
                "vlan_vid" => format!("mod_vlan_vid:{}", vlans[&(value.parse::<u32>().unwrap() - 4096).to_string()]),
                "arp_op" => format!("load:{:#x}->NXM_OF_ARP_OP[]", value.parse::<u8>().unwrap()),
                "arp_sha" => format!("load:0x{}->NXM_NX_ARP_SHA[]", hex(value)),
                "arp_spa" => format!("load:{:#x}->NXM_OF_ARP_SPA[]", value.parse::<Ipv4Addr>().unwrap().to_bits()),
                other => panic!("{other}: {line}"),
            };
        }
        match a.strip_prefix("goto_table:") {
            Some(table) => format!("resubmit(,{table})"),
            None => a.replace("pop_vlan", "strip_vlan"),
        }
    };
    let head: Vec<String> = head.split(',').map(field).collect();
    // Commas inside parentheses do not part actions; learn() alone has some.
    let actions: Vec<String> = match actions.starts_with("learn(") {
        true => vec![actions.to_owned()],
        false => actions.split(',').map(action).collect(),
    };
    format!("{} actions={}", head.join(","), actions.join(","))
}

/// The agents' local VLANs to ours, by the VNI (br-tun 4) or the VLAN (br-int 0) they are for.
fn vlans(made: &BTreeMap<String, Vec<String>>, tun: &[String], int: &[String]) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    let theirs = made[BR_TUN].iter().chain(&made[BR_INT]);
    for line in theirs {
        let Some(lv) = between(line, "set_field:4", &['-']).filter(|_| line.contains("->vlan_vid")) else { continue };
        let lv = format!("4{lv}").parse::<u32>().unwrap() - 4096;
        let tag = between(line, "tun_id=", &[' ', ',']).map(|n| format!("tun_id={n} "));
        let tag = tag.or_else(|| between(line, "dl_vlan=", &[' ', ',']).map(|n| format!("dl_vlan={n} ")));
        let Some(tag) = tag else { continue };
        let ours = tun.iter().chain(int).find(|l| l.contains(&tag) && l.contains("mod_vlan_vid:")).unwrap();
        map.insert(lv.to_string(), between(ours, "mod_vlan_vid:", &[',']).unwrap().to_owned());
    }
    map
}

/// `dvrctl show --all br-tun`, flow by flow.
#[test]
fn br_tun_is_that_of_the_agents() {
    let dir = Dir::new("import-tun");
    let file = imported(&dir);
    for host in HOSTS {
        let made = agents_made(host);
        let tun = show(&file, host, &["br-tun", "--all"]).remove("ovs-ofctl dump-flows br-tun").unwrap();
        let int = show(&file, host, &["br-int"]).remove("ovs-ofctl dump-flows br-int").unwrap();
        let (ports, vlans) = (ports(&tun), vlans(&made, &tun, &int));
        let ours: BTreeSet<String> = tun.iter().filter(|l| !l.starts_with('#')).cloned().collect();
        let mut left_out = BTreeMap::new();
        let mut theirs = BTreeSet::new();
        for line in &made[BR_TUN] {
            let why = match line {
                // No GRE (3), no Geneve (6).
                l if l == "table=3, priority=0 actions=drop" || l == "table=6, priority=0 actions=drop" => {
                    "other tunnels"
                }
                // What table 10 has learned from traffic, and the same learning said three times more.
                l if l.contains("hard_timeout=300, priority=1") => "learned",
                l if l.starts_with("table=10, priority=2,") => "learning from ARP, RA and NA",
                _ => "",
            };
            if why.is_empty() {
                // docs/seed-flows has the copies at OpenFlow's default priority, and so have we.
                let line = in_our_words(line, &ports, &vlans).replace("table=22, priority=1,", "table=22, ");
                theirs.insert(sort_copies(&line));
            } else {
                *left_out.entry(why).or_insert(0) += 1;
            }
        }
        let ours: BTreeSet<String> = ours.iter().map(|l| sort_copies(l)).collect();
        same_sets(&ours, &theirs, host);
        assert_eq!((left_out["other tunnels"], left_out["learning from ARP, RA and NA"]), (2, 3), "{host}");
        assert!(ours.len() > 20, "{host}");
    }
}

/// Copies of a flooded frame have no order in Neutron (a set).
fn sort_copies(line: &str) -> String {
    match line.find(",output:") {
        Some(at) if line.starts_with("table=22,") => {
            let mut copies: Vec<&str> = line[at + 1..].split(',').collect();
            copies.sort_unstable();
            format!("{},{}", &line[..at], copies.join(","))
        }
        _ => line.to_owned(),
    }
}

/// What br-int has for DVR: tables 1 to 4, and table 0 but for physical networks and the rest.
#[test]
fn br_int_is_that_of_the_agents() {
    let dir = Dir::new("import-int");
    let file = imported(&dir);
    for host in HOSTS {
        let made = agents_made(host);
        let tun = show(&file, host, &["br-tun"]).remove("ovs-ofctl dump-flows br-tun").unwrap();
        let int = show(&file, host, &["br-int", "--all"]).remove("ovs-ofctl dump-flows br-int").unwrap();
        let (ports, vlans) = (ports(&int), vlans(&made, &tun, &int));
        // Tables 1 and 2: what goes to which MAC gets which gateway's. Their priority is 20 now, not 4, and the firewall
        // outputs, not they; flows by nw_dst are no more.
        let to_port = |l: &str| {
            let table = between(l, "table=", &[','])?;
            let tag = between(l, "dl_vlan=", &[','])?;
            let gateway = between(l, "mod_dl_src:", &[','])?;
            Some((table.to_owned(), tag.to_owned(), between(l, "dl_dst=", &[' '])?.to_owned(), gateway.to_owned()))
        };
        let theirs: Vec<String> =
            made[BR_INT].iter().filter(|l| !l.contains("vlan_vid")).map(|l| in_our_words(l, &ports, &vlans)).collect();
        let delivered = |lines: &[String]| lines.iter().filter_map(|l| to_port(l)).collect::<BTreeSet<_>>();
        same_sets(&delivered(&int), &delivered(&theirs), host);
        assert!(!delivered(&int).is_empty(), "{host}");
        let same = |lines: &[String]| -> BTreeSet<String> {
            let of_dvr = lines.iter().filter(|l| {
                let from_elsewhere = ["priority=99,", "priority=5,", "priority=4,"].iter().any(|p| l.contains(p));
                let patch = l.contains("priority=2,") && l.contains(",dl_src=");
                l.starts_with("table=3,")
                    || l.starts_with("table=4,")
                    || l.starts_with("table=0,") && (from_elsewhere || patch)
            });
            // Neutron's 58 and 59 are meters (QoS) on the way to 60.
            of_dvr.map(|l| l.replace("resubmit(,60)", "resubmit(,58)")).collect()
        };
        same_sets(&same(&int), &same(&theirs), host);
        assert!(same(&int).len() >= 12, "{host}: {:?}", same(&int));
    }
}

/// Runs the import with a dump changed.
fn with_changed(dir: &Dir, list: &str, change: impl FnOnce(&mut Value), more: &[&str]) -> Ran {
    let mut changed = dump(list);
    change(&mut changed);
    let mut files = vec![dir.write(&format!("{list}.json"), changed.to_string())];
    let rest = LISTS.iter().chain(&["dvr_mac_address_list"]).filter(|l| **l != list);
    files.extend(rest.map(|l| data(&format!("{l}.json")).display().to_string()));
    files.extend(more.iter().map(|m| (*m).to_owned()));
    import(&files)
}

#[test]
fn what_is_missing_is_said_with_how_to_give_it() {
    let dir = Dir::new("import-missing");
    // The six lists alone: no DVR MACs, no security groups. Done, with status 1.
    let six: Vec<String> = LISTS
        .iter()
        .filter(|l| **l != "security-groups")
        .map(|l| data(&format!("{l}.json")).display().to_string())
        .collect();
    let file = dir.text("cloud.json");
    let ran = import(six.iter().cloned().chain(["--out".to_owned(), file.clone()])).ends(1);
    for words in [
        "missing: dvr_mac: not known of compute1, compute2, network1",
        "get_dvr_mac_address_list",
        "from dvr_host_macs",
        "missing: security_groups: ports name 1 and no dump lists them",
        "GET /v2.0/security-groups",
        "note: vtep_mac: not known of 3 hosts",
    ] {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    let cloud: Value = serde_json::from_str(&read(Path::new(&file))).unwrap();
    // A group nothing is known of lets nothing through.
    let groups = cloud["security_groups"].as_array().unwrap();
    assert!(groups.len() == 1 && groups[0]["security_group_rules"] == json!([]), "{groups:?}");
    assert!(cloud["hosts"].as_array().unwrap().iter().all(|h| h.get("dvr_mac").is_none()));
    dvrctl(["check", "--cloud", &file, "--host", "compute1"]).ends(0);

    // What the notes say to do is enough. DVR MACs also as a whole answer of the RPC.
    let macs = json!({"result": dump("dvr_mac_address_list"), "failure": null});
    let vtep_macs: Vec<Value> = HOSTS
        .iter()
        .enumerate()
        .map(|(n, h)| json!({"name": h, "vtep_mac": format!("02:00:00:00:00:0{n}"), "underlay_mtu": 9000}))
        .collect();
    let more = [
        dir.write("macs.json", macs.to_string()),
        dir.write("hosts.json", json!({"hosts": vtep_macs, "settings": {"flood_unknown": true}}).to_string()),
        data("security-groups.json").display().to_string(),
    ];
    let ran = import(six.iter().cloned().chain(more)).ends(0);
    assert_eq!(ran.err, "");
    let cloud = Cloud::from_json(&ran.out, "import").unwrap();
    assert_eq!((cloud.settings.flood_unknown, cloud.hosts["compute2"].underlay_mtu), (Some(true), 9000));
    assert_eq!(cloud.hosts["compute2"].vtep_mac.unwrap().to_string(), "02:00:00:00:00:01");
}

#[test]
fn problems_are_told_where_the_dump_has_them() {
    let dir = Dir::new("import-problems");
    let refused = |ran: Ran, words: &[&str]| {
        let ran = ran.ends(2);
        assert_eq!(ran.out, "");
        words.iter().for_each(|w| assert!(ran.err.contains(w), "{w}: {}", ran.err));
    };
    let (ports, agents) = (dir.text("ports.json"), dir.text("agents.json"));
    let nth = |name: &str| dump("ports")["ports"].as_array().unwrap().iter().position(|p| p["name"] == name).unwrap();
    let (a1, a2) = (nth("a1"), nth("a2"));

    // The model's checks, told by the pointer into the dump, whatever place the object has in the cloud file.
    let ran = with_changed(&dir, "ports", |p| p["ports"][a1]["binding:host_id"] = json!("compute9"), &[]);
    refused(
        ran,
        &[&format!("{ports} /ports/{a1}/binding:host_id: port "), "there is no host \"compute9\"", "1 problem;"],
    );
    let ran =
        with_changed(&dir, "ports", |p| p["ports"][a1]["mac_address"] = p["ports"][a2]["mac_address"].clone(), &[]);
    refused(ran, &["MAC fa:16:3e:1d:d2:b3 in network", &format!("at {ports} /ports/"), "/mac_address: port "]);
    let ran = with_changed(&dir, "ports", |p| p["ports"][a1]["colour"] = json!("green"), &[]);
    refused(ran, &[&format!("{ports} /ports/{a1}/colour: "), "unknown field"]);
    let ran = with_changed(
        &dir,
        "agents",
        |a| {
            let l2 = a["agents"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .find(|a| a["agent_type"] == "Open vSwitch agent")
                .unwrap();
            l2["configurations"]["tunneling_ip"] = json!("10.254.0.300");
        },
        &[],
    );
    refused(
        ran,
        &[&format!("{agents} /agents/"), "/configurations/tunneling_ip: host ", "\"10.254.0.300\" is not an IP"],
    );

    // What only the import can know.
    let ran = with_changed(
        &dir,
        "agents",
        |a| a["agents"].as_array_mut().unwrap().retain(|a| a["host"] != "network1" || a["agent_type"] == "L3 agent"),
        &[],
    );
    refused(
        ran,
        &["host network1: no tunnel address", "{\"hosts\": [{\"name\": \"network1\", \"vtep\": \"ADDRESS\"}]}"],
    );
    let host = dir.write("host.json", json!({"hosts": [{"name": "network1", "vtep": "10.254.0.10"}]}).to_string());
    let without = |a: &mut Value| {
        a["agents"].as_array_mut().unwrap().retain(|a| a["host"] != "network1" || a["agent_type"] == "L3 agent")
    };
    // bridge_mappings are gone too, which the model does not need: other hosts have the physical network.
    with_changed(&dir, "agents", without, &[&host]).ends(0);
    let other = json!([{"host": "compute1", "mac_address": "FA-16-3F-00-00-01"}]);
    let ran = with_changed(&dir, "agents", |_| (), &[&dir.write("other.json", other.to_string())]);
    refused(ran, &["DVR MAC of host compute1: fa:16:3f:00:00:01 is not what", "dvr_mac_address_list.json /"]);
    let mut moved = dump("ports");
    moved["ports"][a1]["status"] = json!("DOWN");
    let ran = with_changed(&dir, "agents", |_| (), &[&dir.write("later.json", moved.to_string())]);
    refused(ran, &[&format!("later.json /ports/{a1}: ports "), "with other attributes; give dumps of one moment"]);
    let ran = with_changed(
        &dir,
        "ports",
        |p| p["ports_links"] = json!([{"rel": "next", "href": "http://n/v2.0/ports?marker=1"}]),
        &[],
    );
    refused(ran, &[&format!("{ports} /ports_links: ports: is one page of several"), "ask without limit"]);
}

#[test]
fn files_that_are_no_dumps() {
    let dir = Dir::new("import-files");
    let ran = import([data("networks.json").display().to_string(), data("ports.json").display().to_string()]).ends(2);
    for list in ["subnets", "routers", "floatingips", "agents"] {
        assert!(
            ran.err.contains(&format!("{list}: no dump has this list; add the answer of GET /v2.0/{list}")),
            "{}",
            ran.err
        );
    }
    // The table the openstack command prints.
    let table = dir.write("table.json", r#"[{"ID": "1", "Name": "net-a", "Subnets": []}]"#);
    let ran = import([&table]).ends(2);
    assert!(ran.err.contains("a list without a name") && ran.err.contains("GET /v2.0/networks"), "{}", ran.err);
    let ran = import([&dir.write("cut.json", "{\"networks\": [\n {\"id\": ")]).ends(2);
    assert!(ran.err.contains("cut.json:2: file: EOF"), "{}", ran.err);
    let ran = import([&dir.write("one.json", r#"{"networks": {"id": "1"}, "ports": [1]}"#)]).ends(2);
    assert!(
        ran.err.contains("/networks: networks: is no list") && ran.err.contains("/ports/0: ports: is no object"),
        "{}",
        ran.err
    );
    let ran = import([dir.text("none.json")]).ends(2);
    assert!(ran.err.contains("none.json: file: cannot be read"), "{}", ran.err);
    let empty = Dir::new("import-empty");
    let ran = import([empty.text("")]).ends(2);
    assert!(ran.err.contains("no .json file in this folder"), "{}", ran.err);
    dvrctl(["import-neutron"]).ends(2);
    // Lists nothing here uses are said; Neutron's that add nothing are not.
    let more = dir.write("more.json", r#"{"trunks": [], "address_scopes": [], "subnetpools": []}"#);
    let ran = with_changed(&dir, "agents", |a| a["agents"][0]["alive"] = json!(false), &[&more]).ends(0);
    assert!(ran.err.contains("more.json /trunks: not used") && !ran.err.contains("subnetpools"), "{}", ran.err);
    assert!(ran.err.contains("is not alive; what it said last is taken"), "{}", ran.err);
    // Where it cannot write, nothing is printed in place of the file.
    let ran = with_changed(&dir, "agents", |_| (), &["--out", &dir.text("no/such/folder")]).ends(2);
    assert!(ran.err.contains("--out ") && ran.out.is_empty(), "{}", ran.err);
}
