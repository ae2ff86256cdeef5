//! Reads dumps of namespaces.

use super::{Link, Namespace, Namespaces, Route, Rule};

type Res<T> = Result<T, String>;

/// All namespaces of a host, their veth pairs joined.
pub fn namespaces(file: &str, text: &str) -> Res<Namespaces> {
    let mut all: Vec<Namespace> = Vec::new();
    let (mut part, mut table) = (String::new(), String::new());
    for (n, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if let Some(head) = line.strip_prefix("##### ") {
            let name = head.split(' ').nth(1).unwrap_or(head);
            all.push(Namespace { name: name.to_owned(), is_fip: name.starts_with("fip-"), ..Namespace::default() });
        } else if let Some(head) = line.strip_prefix("# ") {
            head.clone_into(&mut part);
        } else if !line.is_empty() {
            let ns = all.last_mut().ok_or(format!("{file}:{}: a line in no namespace", n + 1))?;
            add(ns, &part, &mut table, line).map_err(|e| format!("{file}:{}: {e}", n + 1))?;
        }
    }
    join(&mut all);
    for ns in &mut all {
        ns.rules.sort_by_key(|r| r.priority);
    }
    Ok(Namespaces(all))
}

/// A line of the part that `# part` begins.
fn add(ns: &mut Namespace, part: &str, table: &mut String, line: &str) -> Res<()> {
    match part {
        "ip -br link" => {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, _, mac, ..] = words.as_slice() else { return Err(format!("no link: {line}")) };
            let link = Link { mac: mac_of(mac)?, ..Link::default() };
            ns.links.insert(dev(name).to_owned(), link);
        }
        "ip -br -4 addr" => {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, _, addresses @ ..] = words.as_slice() else { return Err(format!("no address: {line}")) };
            let link = ns.links.get_mut(dev(name)).ok_or(format!("{name} is no link"))?;
            for address in addresses {
                link.addresses.push(address_of(address)?);
            }
        }
        "ip rule" => ns.rules.push(rule(line)?),
        "ip neigh show nud permanent" => neighbour(ns, line)?,
        "iptables-save" => ns.iptables.line(table, line)?,
        "sysctl" => {
            let arp = line.strip_prefix("net.ipv4.conf.").and_then(|l| l.strip_suffix(".proxy_arp = 1"));
            if let Some(link) = arp.and_then(|d| ns.links.get_mut(d)) {
                link.proxy_arp = true;
            }
        }
        _ => {
            let name = part.strip_prefix("ip -4 route show table ").or(part.strip_prefix("ip route show table "));
            let name = name.ok_or(format!("part {part:?} is unknown"))?;
            ns.tables.entry(name.to_owned()).or_default().push(route(line)?);
        }
    }
    Ok(())
}

/// `90.1.180.6 dev qr-f849ae46-48 lladdr fa:16:3e:13:93:0d PERMANENT`
pub fn neighbour(ns: &mut Namespace, line: &str) -> Res<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [ip, "dev", dev, "lladdr", mac, "PERMANENT"] = words.as_slice() else {
        return Err(format!("no permanent neighbour: {line}"));
    };
    ns.neighbours.insert(((*dev).to_owned(), prefix(ip)?.0), mac_of(mac)?);
    Ok(())
}

/// `1359066113: from 81.1.180.1/24 lookup 1359066113`
pub fn rule(line: &str) -> Res<Rule> {
    let words: Vec<&str> = line.split([':', ' ', '\t']).filter(|w| !w.is_empty()).collect();
    let (from, iif, priority, table) = match words.as_slice() {
        [p, "from", "all", "lookup", t] => (None, None, p, t),
        [p, "from", "all", "iif", dev, "lookup", t] => (None, Some((*dev).to_owned()), p, t),
        [p, "from", net, "lookup", t] => (Some(prefix(net)?), None, p, t),
        _ => return Err(format!("no rule that is known here: {line}")),
    };
    let priority = priority.parse().map_err(|_| format!("priority {priority}"))?;
    Ok(Rule { priority, from, iif, table: (*table).to_owned() })
}

/// `default via 10.1.0.97 dev qr-fc06482e-f6 proto static`
pub fn route(line: &str) -> Res<Route> {
    let mut words = line.split_whitespace();
    let to = words.next().ok_or("no route")?;
    let (net, len) = if to == "default" { (0, 0) } else { prefix(to)? };
    let mut route = Route { net, len, via: None, dev: String::new() };
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        match key {
            "via" => route.via = Some(prefix(value)?.0),
            "dev" => value.clone_into(&mut route.dev),
            "proto" | "scope" | "src" => {}
            _ => return Err(format!("{key} {value} is unknown: {line}")),
        }
    }
    Ok(route)
}

/// veth pairs: `rfp-X` here and `fpr-X` there.
fn join(all: &mut [Namespace]) {
    let place = |all: &[Namespace], dev: &str| all.iter().position(|n| n.links.contains_key(dev));
    for n in 0..all.len() {
        let devs: Vec<String> = all[n].links.keys().cloned().collect();
        for dev in devs {
            let Some((kind, rest)) = dev.split_once('-') else { continue };
            let other = match kind {
                "rfp" => format!("fpr-{rest}"),
                "fpr" => format!("rfp-{rest}"),
                _ => continue,
            };
            let peer = place(all, &other).map(|p| (p, other));
            all[n].links.entry(dev).and_modify(|l| l.peer = peer);
        }
    }
}

fn dev(name: &str) -> &str {
    name.split_once('@').map_or(name, |(n, _)| n)
}

fn address_of(word: &str) -> Res<(u32, u32)> {
    let (ip, len) = word.split_once('/').ok_or(format!("{word}: no prefix length"))?;
    let ip: std::net::Ipv4Addr = ip.parse().map_err(|_| format!("{word}: no address"))?;
    Ok((ip.into(), len.parse().map_err(|_| format!("{word}: no length"))?))
}

/// An address (32 bits long) or a prefix.
pub fn prefix(word: &str) -> Res<(u32, u32)> {
    if word.contains('/') { address_of(word) } else { address_of(&format!("{word}/32")) }
}

pub fn mac_of(word: &str) -> Res<u64> {
    u64::from_str_radix(&word.replace([':', '-'], ""), 16).map_err(|_| format!("{word}: no MAC"))
}
