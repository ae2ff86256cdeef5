//! `dvrctl show` of the imported cloud (`tests/data/neutron`) against what Neutron's own agents made of it on its three
//! hosts: routers, networks, floating IPs, rules, routes, neighbours, flows.

mod cli_support;

use cli_support::neutron::{HOSTS, data, imported, read};
use cli_support::{Dir, dvrctl};
use control::model::{Cloud, NetworkType};
use control::rows::Rows;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

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
