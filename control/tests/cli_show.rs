//! `dvrctl show`, as its users run it, against what a real deployment printed (docs/seed-flows) and against what Neutron's
//! own agents made for the cloud of `tests/data/neutron`.

mod cli_support;

use cli_support::{Dir, cloud, dvrctl};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const ROUTER: &str = "ip netns exec qrouter-e8f12f7a-6938-4e65-88c4-97e4cb211b27";
const FIP: &str = "ip netns exec fip-557e9f0c-9c66-46da-b289-218d49c218d2";

fn seed(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/seed-flows").join(file).display().to_string()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn show(cloud: &str, host: &str, what: &str, more: &[&str]) -> String {
    let args = ["show", "--cloud", cloud, "--host", host, what];
    let ran = dvrctl(args.iter().chain(more)).ends(0);
    assert_eq!(ran.err, "");
    ran.out
}

/// Lines that are no comment, no command and not empty.
fn lines(text: &str) -> Vec<String> {
    let plain = |l: &&str| !l.is_empty() && !l.starts_with(['#', '$']);
    text.lines().filter(plain).map(|l| l.trim_end().to_owned()).collect()
}

/// The D ids of the comments, each of which must say something.
fn designs(text: &str) -> BTreeSet<String> {
    let notes = text.lines().filter_map(|l| l.strip_prefix("# D"));
    let read = |l: &str| {
        let (id, why) = l.split_once(": ").unwrap();
        assert!(why.len() > 20 && (1..=11).contains(&id.parse::<u8>().unwrap()), "{l}");
        format!("D{id}")
    };
    notes.map(read).collect()
}

fn set<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
    ids.map(str::to_owned).into()
}

/// (table, priority, the line): sorts as `ovs-ofctl --rsort` within each table.
fn key(line: &str) -> (u8, std::cmp::Reverse<u16>, String) {
    let number = |name: &str| {
        let at = line.split([',', ' ']).find_map(|f| f.strip_prefix(name));
        at.map(|n| n.parse::<u16>().unwrap())
    };
    (number("table=").unwrap() as u8, std::cmp::Reverse(number("priority=").unwrap_or(32768)), line.to_owned())
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort_by_key(|l| key(l));
    all
}

/// A dumped flow without what counts or ages, which is not in a cloud file.
fn without_counters(line: &str) -> String {
    const COUNTERS: [&str; 6] = ["cookie=", "duration=", "n_packets=", "n_bytes=", "idle_age=", "hard_age="];
    let (head, actions) = line.split_once(" actions=").unwrap();
    let kept: Vec<&str> =
        head.split(", ").filter(|f| !COUNTERS.iter().any(|c| f.trim_start().starts_with(c))).collect();
    format!("{} actions={actions}", kept.join(", "))
}

/// Replaces whole fields: `in_port=1` as in `in_port=1,..`, not as in `in_port=12`.
fn renumber(line: &str, table: &[(&str, &str)]) -> String {
    let ends = [',', ' '];
    let fields = line.split_inclusive(ends).map(|part| {
        let (field, end) = part.split_at(part.trim_end_matches(ends).len());
        let new = table.iter().find(|(ours, _)| *ours == field).map_or(field, |(_, seed)| seed);
        format!("{new}{end}")
    });
    fields.collect()
}

#[test]
fn br_int_of_the_article() {
    let out = show(&seed("cloud.json"), "compute1", "br-int", &[]);
    // Our numbers against those of compute1: patch-tun, the instances in 81.1.180.0/24 and in 90.1.180.0/24.
    let ports = [("in_port=1", "in_port=5"), ("output:2", "output:4"), ("output:3", "output:8")];
    let ours: Vec<String> = lines(&out).iter().map(|l| renumber(l, &ports)).collect();
    let article: Vec<String> = lines(&read(&seed("br-int.txt"))).iter().map(|l| without_counters(l)).collect();
    assert_eq!(sorted(ours), sorted(article));
    assert!(out.contains("# ports: 1(patch-tun), 2(tap50000004-00), 3(tap50000008-00)"), "{out}");
    assert!(out.contains("# dl_vlan: 1 = net90, 2 = net81"), "{out}");
    assert_eq!(designs(&out), set(["D1", "D2", "D5", "D8"]));
    assert_eq!(lines(&out), sorted(lines(&out)), "not in the order of tables and priorities");
}

#[test]
fn br_tun_of_the_article() {
    let out = show(&seed("cloud.json"), "compute1", "br-tun", &[]);
    let ours = lines(&out);
    // br-tun.txt says so itself: for VXLAN Neutron numbers table 3 as 4.
    let as_vxlan = |l: &String| renumber(&without_counters(l), &[("table=3", "table=4")]);
    let article: Vec<String> = lines(&read(&seed("br-tun.txt"))).iter().map(as_vxlan).collect();
    assert_eq!(sorted(ours.clone()), sorted(article));
    assert!(
        out.contains("# ports: 1(patch-int), 2(vxlan-c000020c to compute2), 3(vxlan-c000020a to network)"),
        "{out}"
    );
    assert_eq!(designs(&out), set(["D1", "D8", "D10"]));
    assert_eq!(ours, sorted(ours.clone()), "not in the order of tables and priorities");
}

/// The sections of `ip-rule-and-routes.txt`: heading, command, lines.
fn article_sections() -> Vec<(String, String, Vec<String>)> {
    let (mut all, mut heading) = (Vec::new(), String::new());
    for line in read(&seed("ip-rule-and-routes.txt")).lines() {
        match (line.strip_prefix("# "), line.strip_prefix("$ ")) {
            (Some(h), _) => heading = h.to_owned(),
            (_, Some(command)) => all.push((heading.clone(), command.to_owned(), Vec::new())),
            _ => all.last_mut().unwrap().2.push(line.to_owned()),
        }
    }
    all
}

/// The lines below a command.
fn below(out: &str, command: &str) -> Vec<String> {
    let part = out.split("$ ").find(|part| part.lines().next() == Some(command));
    lines(part.unwrap_or_else(|| panic!("no {command}: {out}")).split_once('\n').unwrap().1)
}

/// The article's cloud without some subnets' interfaces and, if wanted, without floating IPs.
fn earlier(dir: &Dir, without: &[&str], fips: bool) -> String {
    let mut cloud: Value = serde_json::from_str(&read(&seed("cloud.json"))).unwrap();
    let gone = |port: &Value| {
        let owner = port["device_owner"].as_str().unwrap();
        owner.starts_with("network:router") && without.iter().any(|s| port["fixed_ips"][0]["subnet_id"] == **s)
    };
    cloud["ports"].as_array_mut().unwrap().retain(|p| !gone(p));
    if !fips {
        cloud["floatingips"] = json!([]);
    }
    dir.write("earlier.json", cloud.to_string())
}

#[test]
fn rules_and_routes_of_the_article() {
    let dir = Dir::new("show-article");
    // The link's addresses are Neutron's choice among its pool; ours are the pool's first.
    let link = [
        ("169.254.31.238/31", "169.254.64.0/31"),
        ("169.254.31.238", "169.254.64.0"),
        ("169.254.31.239", "169.254.64.1"),
    ];
    let mut seen = Vec::new();
    for (heading, command, article) in article_sections() {
        let (state, of_state) = match heading.as_str() {
            "article 4.5.1: one subnet, no floating IP" => {
                ("one subnet", earlier(&dir, &["subnet90", "subnet91"], false))
            }
            "article 4.5.1: three subnets" => ("three subnets", earlier(&dir, &[], false)),
            "article 4.5.2: two floating IPs; qrouter and fip namespaces" => {
                ("fips", earlier(&dir, &["subnet91"], true))
            }
            "article 4.5.3: qrouter main table" => ("main", earlier(&dir, &[], true)),
            other => panic!("a section nobody reads: {other}"),
        };
        let what = if command.ends_with("ip rule") { "rules" } else { "routes" };
        let out = show(&of_state, "compute1", what, &[]);
        let article: Vec<String> = article.iter().map(|l| renumber(l.trim_end(), &link)).collect();
        let mut ours = below(&out, &command);
        if (state, what) == ("fips", "rules") {
            // The article leaves out the three rules every namespace begins with.
            assert_eq!(
                ours.drain(..3).map(|l| l.split(':').next().unwrap().to_owned()).collect::<Vec<_>>(),
                ["0", "32766", "32767"]
            );
            assert_eq!(designs(&out), set(["D6"]));
        }
        assert_eq!(ours, article, "{heading}: {command}");
        seen.push((state, command.replace(ROUTER, "qrouter").replace(FIP, "fip")));
    }
    let seen: Vec<(&str, &str)> = seen.iter().map(|(s, c)| (*s, c.as_str())).collect();
    let all = [
        ("one subnet", "qrouter ip rule"),
        ("one subnet", "qrouter ip route list table 1359066113"),
        ("three subnets", "qrouter ip rule"),
        ("fips", "qrouter ip rule"),
        ("fips", "qrouter ip route list table 16"),
        ("fips", "fip ip route"),
        ("main", "qrouter ip route"),
    ];
    assert_eq!(seen, all);
    assert_eq!(designs(&show(&seed("cloud.json"), "compute1", "routes", &[])), set(["D3"]));
}

#[test]
fn neighbours_of_the_article() {
    let out = show(&seed("cloud.json"), "compute1", "neigh", &[]);
    let mut ours: BTreeSet<String> = lines(&out).into_iter().collect();
    // By design, D5: 90.1.180.3 is on the interface of 90.1.180.0/24. Neutron of that time put every address of a
    // port on the interface of each of its subnets.
    let by_design = [("qr-e47fca31-db", "qr-f849ae46-48")];
    let article = lines(&read(&seed("ip-neigh.txt")));
    assert_eq!(article.len(), 3);
    for line in article {
        let expected = if line.starts_with("90.1.180.3 ") { renumber(&line, &by_design) } else { line };
        assert!(ours.remove(&expected), "{expected}: {out}");
    }
    // The article shows three of the entries; these ports are in br-int.txt, br-tun.txt and ip-rule-and-routes.txt,
    // and 91.1.180.3 is the second address of 90.1.180.3's port.
    let left: Vec<&str> = ours.iter().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(left, ["81.1.180.18", "90.1.180.2", "90.1.180.8", "91.1.180.3"]);
    assert_eq!(designs(&out), set(["D5"]));
}

#[test]
fn lines_follow_the_rows() {
    let dir = Dir::new("show-rows");
    let change = |f: &dyn Fn(&mut Value)| {
        let mut cloud: Value = serde_json::from_str(&read(&seed("cloud.json"))).unwrap();
        f(&mut cloud);
        dir.write("changed.json", cloud.to_string())
    };
    let port = |cloud: &mut Value, name: &str, key: &str, value: Value| {
        let ports = cloud["ports"].as_array_mut().unwrap();
        ports.iter_mut().find(|p| p["name"] == name).unwrap()[key] = value;
    };
    let before = |what: &str| lines(&show(&seed("cloud.json"), "compute1", what, &[]));
    // What goes and what comes when the model changes.
    let differ = |what: &str, file: &str| -> (Vec<String>, Vec<String>) {
        let (old, new) = (before(what), lines(&show(file, "compute1", what, &[])));
        let only = |a: &[String], b: &[String]| a.iter().filter(|l| !b.contains(l)).cloned().collect();
        (only(&old, &new), only(&new, &old))
    };
    let down = change(&|c| port(c, "vm81", "status", json!("DOWN")));
    let (gone, come) = differ("br-int", &down);
    assert_eq!((gone.len(), come.len()), (2, 0), "{gone:?} {come:?}");
    assert!(gone.iter().all(|l| l.contains("dl_vlan=2")), "{gone:?}");

    let moved = change(&|c| port(c, "vm90-compute2", "binding_host_id", json!("network")));
    let (gone, come) = differ("br-tun", &moved);
    let row = "table=20, priority=2,dl_vlan=1,dl_dst=fa:16:3e:13:93:0d actions=strip_vlan,set_tunnel:0x4,output:";
    assert!(gone.contains(&format!("{row}2")) && come.contains(&format!("{row}3")), "{gone:?} {come:?}");
    // compute2 has none of the router's instances any more: no copies go there.
    assert!(come.contains(&"table=22, dl_vlan=2 actions=strip_vlan,set_tunnel:0x6,output:3".to_owned()), "{come:?}");

    let deaf = change(&|c| c["networks"][0]["dvrd"] = json!({"learning": false, "flood_unknown": false}));
    let (gone, come) = differ("br-tun", &deaf);
    assert_eq!((gone, come), (vec![], vec!["table=10, priority=2,dl_vlan=1 actions=output:1".to_owned()]));
    let out = show(&deaf, "compute1", "br-tun", &[]);
    assert!(out.contains("(unknown_unicast) in net90\n"), "{out}");

    let vip = change(&|c| {
        let pair = json!([{"ip_address": "90.1.180.70", "mac_address": "00:00:5e:00:01:07"}]);
        port(c, "vm90", "allowed_address_pairs", pair);
    });
    let (_, come) = differ("br-int", &vip);
    let row = "table=1, priority=4,dl_vlan=1,dl_dst=00:00:5e:00:01:07 \
               actions=strip_vlan,mod_dl_src:fa:16:3e:ec:f3:dd,output:3";
    assert_eq!(come, [row]);
    assert!(designs(&show(&vip, "compute1", "br-int", &[])).contains("D9"));
    let (_, come) = differ("neigh", &vip);
    assert_eq!(come, ["90.1.180.70 dev qr-f849ae46-48 lladdr 00:00:5e:00:01:07 PERMANENT"]);
    assert!(designs(&show(&vip, "compute1", "neigh", &[])).contains("D9"));

    // Subnets in the scope of the external network go out as they are (Neutron's FAST_PATH_EXIT_PR).
    let scoped = change(&|c| {
        c["networks"].as_array_mut().unwrap().iter_mut().for_each(|n| n["ipv4_address_scope"] = json!("s"));
        c["floatingips"] = json!([]);
    });
    let (gone, come) = differ("rules", &scoped);
    let rule = |net: &str| format!("80000: from {net} lookup 16");
    assert_eq!((gone.len(), come), (2, ["81.1.180.0/24", "90.1.180.0/24", "91.1.180.0/24"].map(rule).to_vec()));
    let (gone, come) = differ("routes", &scoped);
    let fip = |ip: &str| format!("{ip} via 169.254.64.0 dev fpr-e8f12f7a-6");
    assert_eq!(gone, ["192.168.1.104", "192.168.1.116"].map(fip));
    assert_eq!(come, ["81.1.180.18", "90.1.180.8"].map(fip));

    let extra = change(&|c| {
        let via = |n: &str| json!({"destination": "198.51.100.0/24", "nexthop": n});
        c["routers"][0]["routes"] = json!([via("90.1.180.8"), via("81.1.180.18")]);
    });
    let (gone, come) = differ("routes", &extra);
    let nexthop = |ip: &str, dev: &str| format!("\tnexthop via {ip} dev {dev} weight 1");
    let two = [
        "198.51.100.0/24".to_owned(),
        nexthop("81.1.180.18", "qr-517bdba3-b1"),
        nexthop("90.1.180.8", "qr-f849ae46-48"),
    ];
    assert_eq!((gone, come), (vec![], two.to_vec()));
}

#[test]
fn vlan_networks_come_in_by_their_bridge() {
    // H1 of the fixtures: network V is VLAN 300 of physnet1, the fifth of six networks; V1 its only port there.
    let out = show(&cloud(), "H1", "br-int", &[]);
    for line in [
        "table=0, priority=4,in_port=1,dl_src=fa:16:3f:00:00:02 actions=resubmit(,2)",
        "table=0, priority=3,in_port=1,dl_vlan=300 actions=mod_vlan_vid:5,NORMAL",
        "table=0, priority=2,in_port=1 actions=drop",
        "table=2, priority=4,dl_vlan=300,dl_dst=fa:16:3e:0c:00:11 \
         actions=strip_vlan,mod_dl_src:fa:16:3e:0c:00:01,output:7",
        "table=2, priority=1 actions=drop",
    ] {
        assert!(lines(&out).contains(&line.to_owned()), "{line}: {out}");
    }
    assert!(out.contains("1(int-eth1), 2(patch-tun)") && out.contains("7(tapV1)"), "{out}");
    // The external network is no tenant's: its VLAN 100 does not come in by br-int.
    assert!(!out.contains("dl_vlan=100"), "{out}");
    // The VLAN network is not in any tunnel.
    assert!(!show(&cloud(), "H1", "br-tun", &["--all"]).contains("dl_vlan=5,"));
}

#[test]
fn as_json() {
    let text = show(&cloud(), "H3", "routes", &[]);
    let parts: Value = serde_json::from_str(&show(&cloud(), "H3", "routes", &["--json"])).unwrap();
    let mut again = Vec::new();
    for part in parts.as_array().unwrap() {
        assert!(text.contains(&format!("$ {}\n", part["command"].as_str().unwrap())));
        again.extend(part["lines"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()));
    }
    assert_eq!(again, lines(&text));
    let parts: Value = serde_json::from_str(&show(&cloud(), "H1", "br-tun", &["--json"])).unwrap();
    let flows = parts[0]["flows"].as_array().unwrap();
    assert_eq!(flows.len(), lines(&show(&cloud(), "H1", "br-tun", &[])).len());
    let vni = json!({"table": 4, "priority": 1, "match": "tun_id=0x3e9", "actions": "mod_vlan_vid:1,resubmit(,9)"});
    assert!(flows.contains(&vni), "{flows:?}");
    assert_eq!(parts[0]["notes"][0]["design"], "D1");
}

#[test]
fn refuses_what_it_does_not_know() {
    let file = cloud();
    let ran = dvrctl(["show", "--cloud", &file, "--host", "H9", "br-int"]).ends(2);
    assert!(ran.err.contains("there is no host \"H9\"") && ran.err.contains("has H1, H2, H3, H4"), "{}", ran.err);
    let ran = dvrctl(["show", "--cloud", &file, "--host", "H1", "br-ex"]).ends(2);
    assert!(ran.err.contains("possible values: br-int, br-tun, rules, routes, neigh"), "{}", ran.err);
    dvrctl(["show", "--cloud", &file, "--host", "H1"]).ends(2);
    let ran = dvrctl(["show", "--cloud", &file, "--host", "H1", "rules", "--all"]).ends(2);
    assert!(ran.err.contains("--all: adds flows to br-int and br-tun"), "{}", ran.err);
    // A host without routers says so rather than nothing.
    let dir = Dir::new("show-none");
    let host = json!({"hosts": [{"name": "h", "agent_mode": "dvr", "vtep": "192.0.2.1"}]});
    let out = show(&dir.write("cloud.json", host.to_string()), "h", "neigh", &[]);
    assert_eq!(out, "# no router is on host h\n");
}
