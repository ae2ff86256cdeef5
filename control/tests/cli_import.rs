//! `dvrctl import-neutron`, as its users run it, on dumps of a real Neutron server.

mod cli_support;

use cli_support::neutron::{HOSTS, LISTS, data, dump, import, imported, read};
use cli_support::{Dir, Ran, dvrctl};
use control::model::Cloud;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

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

/// Neutron gives long lists in pages, which are put together again.
#[test]
fn pages_are_one_list() {
    let dir = Dir::new("import-pages");
    let whole = imported(&dir);
    let link = |rel: &str| json!([{"rel": rel, "href": "http://neutron.example.org:9696/v2.0/ports?marker=1"}]);
    let all = dump("ports")["ports"].as_array().unwrap().clone();
    let page = |n: usize, ports: &[Value], links: Value| {
        dir.write(&format!("ports-{n}.json"), json!({"ports": ports, "ports_links": links}).to_string())
    };
    let pages = [
        page(1, &all[..5], link("next")),
        page(2, &all[5..12], json!([link("next")[0], link("previous")[0]])),
        page(3, &all[12..], link("previous")),
    ];
    let rest = LISTS.iter().chain(&["dvr_mac_address_list"]).filter(|l| **l != "ports");
    let rest: Vec<String> = rest.map(|l| data(&format!("{l}.json")).display().to_string()).collect();
    assert_eq!(import(rest.iter().chain(&pages)).ends(0).out, read(Path::new(&whole)));
    let ran = import(rest.iter().chain(&pages[..2])).ends(2);
    assert!(ran.err.contains("ports: is one page of several, and the last one is not among the files"), "{}", ran.err);
}

/// What only cloud files have goes in beside the dumps.
#[test]
fn neighbors_and_settings_go_in_as_they_are() {
    let dir = Dir::new("import-beside");
    let external =
        dump("networks")["networks"].as_array().unwrap().iter().find(|n| n["name"] == "ext").unwrap()["id"].clone();
    let neighbor = |ip: &str, mac: &str| json!({"network_id": external, "ip_address": ip, "mac_address": mac});
    let (low, high) = (neighbor("203.0.113.1", "02:00:00:00:00:01"), neighbor("203.0.113.7", "02:00:00:00:00:07"));
    let file = dir.write("more.json", json!({"neighbors": [high, low], "settings": {"vxlan_port": 8472}}).to_string());
    let ran = with_changed(&dir, "agents", |_| (), &[&file]).ends(0);
    let cloud: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&cloud["neighbors"], &cloud["settings"]), (&json!([low, high]), &json!({"vxlan_port": 8472})));
    let again = dir.write("again.json", json!({"settings": {}}).to_string());
    let ran = with_changed(&dir, "agents", |_| (), &[&file, &again]).ends(2);
    assert!(ran.err.contains("again.json /settings: settings: are given twice; keep one of them"), "{}", ran.err);
    // A problem in them is told at their place, too.
    let bad = dir.write(
        "bad.json",
        json!({"settings": {"vxlan_port": 0}, "neighbors": [neighbor("192.0.2.1", "02:00:00:00:00:01")]}).to_string(),
    );
    let ran = with_changed(&dir, "agents", |_| (), &[&bad]).ends(2);
    assert!(ran.err.contains("bad.json /settings/vxlan_port: settings: "), "{}", ran.err);
    let fine = dir.write("out.json", json!({"neighbors": [neighbor("192.0.2.1", "02:00:00:00:00:01")]}).to_string());
    let ran = with_changed(&dir, "agents", |_| (), &[&fine]).ends(2);
    assert!(ran.err.contains("out.json /neighbors/0/ip_address: neighbor 192.0.2.1"), "{}", ran.err);
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
    let ovn = |a: &mut Value| {
        a["agents"].as_array_mut().unwrap().iter_mut().for_each(|a| a["agent_type"] = json!("OVN Controller agent"));
    };
    let ran = with_changed(&dir, "agents", ovn, &[]);
    refused(
        ran,
        &["/agents: agents: none is an Open vSwitch agent or L3 agent, only OVN Controller agent", "1 problem"],
    );
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

/// Whatever extensions a Neutron has loaded: their attributes are known, if only to be ignored.
#[test]
fn attributes_of_every_extension_are_known() {
    let dir = Dir::new("import-attributes");
    let known = read(&data("attributes.txt"));
    let all: BTreeMap<&str, Vec<&str>> =
        known.lines().map(|l| l.split_once(": ").unwrap()).map(|(l, a)| (l, a.split(' ').collect())).collect();
    let fill = |object: &mut Value, list: &str| {
        let object = object.as_object_mut().unwrap();
        let mut new = 0;
        for attribute in &all[list] {
            object.entry(*attribute).or_insert_with(|| {
                new += 1;
                Value::Null
            });
        }
        new
    };
    let (mut files, mut new) = (vec![data("agents.json").display().to_string()], 0);
    for list in all.keys().filter(|l| **l != "security_group_rules") {
        let mut doc = dump(&list.replace('_', "-"));
        for object in doc[list].as_array_mut().unwrap() {
            new += fill(object, list);
            for rule in object.get_mut("security_group_rules").and_then(Value::as_array_mut).into_iter().flatten() {
                new += fill(rule, "security_group_rules");
            }
        }
        files.push(dir.write(&format!("{list}.json"), doc.to_string()));
    }
    assert!(new > 100, "{new}");
    import(&files).ends(1);
    // Not one of them is ignored though it asks for what is not built.
    let central = |f: &mut Value| f["floatingips"][0]["distributed"] = json!(false);
    let ran = with_changed(&dir, "floatingips", central, &[]).ends(2);
    assert!(
        ran.err.contains("/floatingips/0/distributed: floating ip ") && ran.err.contains("not built yet"),
        "{}",
        ran.err
    );
}
