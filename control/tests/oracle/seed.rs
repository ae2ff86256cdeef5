//! The seed's qrouter namespace, from `docs/seed-flows/` and what the article leaves out.

use crate::cloud::text;
use crate::netns::{Link, Namespace, read};

/// The lines behind a heading that holds `of` and a command that ends in `command`.
fn block(text: &str, of: &str, command: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|l| !(l.starts_with('#') && l.contains(of))).skip(1);
    lines.by_ref().find(|l| l.starts_with('$') && l.ends_with(command)).expect("the block is in the file");
    lines.take_while(|l| !l.starts_with(['#', '$'])).map(str::to_owned).collect()
}

/// Interfaces by `router-interface-macs.txt`; rules of three subnets (4.5.1), the main table (4.5.3), neighbours (4.4).
pub fn qrouter() -> Namespace {
    let (routes, macs) =
        (text("../docs/seed-flows/ip-rule-and-routes.txt"), text("../docs/seed-flows/router-interface-macs.txt"));
    let mut ns = Namespace { name: "qrouter-e8f12f7a".to_owned(), ..Namespace::default() };
    for line in macs.lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&str> = line.split(['|', '"', ' ']).filter(|w| !w.is_empty()).collect();
        let (id, mac, ip) = (words[0], words[1], words[words.len() - 2]);
        let addresses = vec![(read::prefix(ip).unwrap().0, 24)];
        let link = Link { mac: read::mac_of(mac).unwrap(), addresses, ..Link::default() };
        ns.links.insert(format!("qr-{}", &id[..11]), link);
    }
    ns.rules = block(&routes, "three subnets", "ip rule").iter().map(|l| read::rule(l).unwrap()).collect();
    ns.rules.sort_by_key(|r| r.priority);
    let main = block(&routes, "4.5.3", "ip route");
    let inside = main.iter().filter(|l| !l.contains(" rfp-")); // no floating IPs at this moment
    ns.tables.insert("main".to_owned(), inside.map(|l| read::route(l).unwrap()).collect());
    let default = block(&routes, "one subnet", "table 1359066113");
    ns.tables.insert("1359066113".to_owned(), default.iter().map(|l| read::route(l).unwrap()).collect());
    // The article shows this table of one subnet only. The others' are the same with their own addresses.
    for (table, ip, dev) in
        [("1510061057", "90.1.180.17", "qr-f849ae46-48"), ("1526838273", "91.1.180.17", "qr-e47fca31-db")]
    {
        ns.tables.insert(table.to_owned(), vec![read::route(&format!("default via {ip} dev {dev}")).unwrap()]);
    }
    for line in text("../docs/seed-flows/ip-neigh.txt").lines().filter(|l| !l.starts_with('#')) {
        read::neighbour(&mut ns, line).unwrap();
    }
    // In the table of compute1 at another moment: its own VMs.
    for line in [
        "81.1.180.18 dev qr-517bdba3-b1 lladdr fa:16:3e:30:ee:23 PERMANENT",
        "90.1.180.8 dev qr-f849ae46-48 lladdr fa:16:3e:4a:22:ff PERMANENT",
        "90.1.180.2 dev qr-f849ae46-48 lladdr fa:16:3e:54:f8:b8 PERMANENT",
    ] {
        read::neighbour(&mut ns, line).unwrap();
    }
    ns
}
