//! Reads the dumps of a host: `ovs-ofctl show`, `dump-flows`, `ovs-vsctl show`, one file each host.

use crate::flow;
use crate::switch::{Bridge, End, Port, Switch};
use std::collections::BTreeMap;

/// Tables that take part; the native firewall (71 and up: ct, conjunction) does not.
const FIRST_FIREWALL_TABLE: u8 = 71;

type Res<T> = Result<T, String>;

/// A bridge's port as `ovs-vsctl show` has it.
#[derive(Clone, Debug, Default)]
struct Config {
    tag: Option<u16>,
    kind: String,
    options: String,
}

/// Cuts a file into sections at `### host rest`: the words after the host, and numbered lines.
fn sections<'t>(text: &'t str, host: &str) -> Vec<(&'t str, Vec<(usize, &'t str)>)> {
    let mut all: Vec<(&str, Vec<(usize, &str)>)> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(head) = line.strip_prefix("### ").and_then(|l| l.strip_prefix(host)) {
            all.push((head.trim(), Vec::new()));
        } else if let Some((_, lines)) = all.last_mut() {
            lines.push((n + 1, line));
        }
    }
    all
}

/// The bridges of a capture with their flows; `more` has flows by bridge that the dump lacks: `bridge line`.
pub fn read(file: &str, text: &str, host: &str, more: (&str, &str)) -> Res<Switch> {
    let sections = sections(text, host);
    let part = |name: &str| sections.iter().find(|(n, _)| *n == name).map(|(_, lines)| lines.as_slice());
    let configs = configs(part("ovs-vsctl show").ok_or("no ovs-vsctl show")?).map_err(|e| format!("{file}:{e}"))?;
    let mut switch = Switch::default();
    for (name, lines) in &sections {
        let Some(bridge) = name.strip_suffix(" ports") else { continue };
        let mut b = Bridge::new(bridge);
        for (no, port) in ports(lines).map_err(|e| format!("{file}:{e}"))? {
            let config = configs.get(&port).cloned().unwrap_or_default();
            let end = if port == bridge { End::Stack } else { end(&config)? };
            b.ports.insert(no, Port { name: port, tag: config.tag, end });
        }
        switch.bridges.push(b);
    }
    join(&mut switch, &configs)?;
    for b in &mut switch.bridges {
        let here = |(name, _): &&(&str, Vec<_>)| name.starts_with(&format!("{} flows", b.name));
        let lines = sections.iter().find(here).map_or(&[][..], |(_, l)| l.as_slice());
        let of_more = more.1.lines().enumerate().filter_map(|(n, l)| Some((n + 1, l.strip_prefix(&b.name)?.trim())));
        let dumped = lines.iter().filter(|(_, l)| !l.is_empty()).map(|(n, l)| (file, *n, *l));
        let flows: Vec<_> = dumped.chain(of_more.map(|(n, l)| (more.0, n, l))).collect();
        add_flows(b, &flows)?;
    }
    Ok(switch)
}

/// Adds lines (file, number, line) to a bridge. What had been learned when the dump was made has expired.
pub fn add_flows(b: &mut Bridge, lines: &[(&str, usize, &str)]) -> Res<()> {
    for (file, n, line) in lines {
        let at = |e| format!("{file}:{n}: {e}\n  {line}");
        let ours = !file.ends_with("-ovs.txt");
        if flow::table_of(line).map_err(at)? >= FIRST_FIREWALL_TABLE && !ours {
            continue;
        }
        let flow = flow::parse(line, &|name| b.port_no(name)).map_err(at)?;
        if !flow.learned {
            b.add(flow);
        }
    }
    Ok(())
}

/// ` 1(int-br-ex): addr:..` and what follows it.
fn ports(lines: &[(usize, &str)]) -> Res<Vec<(u16, String)>> {
    let known = ["config:", "state:", "current:", "speed:", "reply (OF", "OFPT_GET_CONFIG_REPLY"];
    let mut all = Vec::new();
    for (n, line) in lines {
        let line = line.trim();
        if line.is_empty() || known.iter().any(|k| line.starts_with(k)) {
            continue;
        }
        let (no, rest) = line.split_once('(').ok_or(format!("{n}: {line}: no port"))?;
        let name = rest.split_once("): addr:").ok_or(format!("{n}: {line}: no port"))?.0;
        let no = if no == "LOCAL" { Ok(0xfffe) } else { no.parse() };
        all.push((no.map_err(|_| format!("{n}: {line}: no port"))?, name.to_owned()));
    }
    Ok(all)
}

/// Ports by name from `ovs-vsctl show`.
fn configs(lines: &[(usize, &str)]) -> Res<BTreeMap<String, Config>> {
    let mut all: BTreeMap<String, Config> = BTreeMap::new();
    let mut port = String::new();
    for (n, line) in lines.iter().skip(1) {
        let words: Vec<&str> = line.trim().splitn(2, [' ', ':']).map(str::trim).collect();
        let config = all.entry(port.clone()).or_default();
        match *words.as_slice() {
            [""]
            | ["Manager" | "Controller" | "Bridge" | "Interface" | "is_connected" | "fail_mode" | "datapath_type", _] =>
                {}
            ["Port", name] => port = name.to_owned(),
            ["tag", tag] => config.tag = Some(tag.parse().map_err(|_| format!("{n}: tag {tag}"))?),
            ["type", kind] => config.kind = kind.to_owned(),
            ["options", options] => config.options = options.to_owned(),
            _ => return Err(format!("{n}: {line}: not a line of ovs-vsctl show that is known here")),
        }
    }
    Ok(all)
}

fn option<'o>(config: &'o Config, key: &str) -> Res<&'o str> {
    let options = config.options.trim_matches(['{', '}']).split(", ");
    let value = options.filter_map(|o| o.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v.trim_matches('"'));
    value.ok_or_else(|| format!("no option {key} in {}", config.options))
}

fn end(config: &Config) -> Res<End> {
    Ok(match config.kind.as_str() {
        "patch" => End::Patch(usize::MAX, 0),
        "vxlan" => End::Vtep(option(config, "remote_ip")?.parse().map_err(|_| "remote_ip")?),
        "internal" | "" => End::Device,
        other => return Err(format!("ports of type {other} are unknown here")),
    })
}

/// Finds the other sides of the patch ports.
fn join(switch: &mut Switch, configs: &BTreeMap<String, Config>) -> Res<()> {
    let places: BTreeMap<String, (usize, u16)> = switch
        .bridges
        .iter()
        .enumerate()
        .flat_map(|(b, bridge)| bridge.ports.iter().map(move |(no, p)| (p.name.clone(), (b, *no))))
        .collect();
    for port in switch.bridges.iter_mut().flat_map(|b| b.ports.values_mut()) {
        if matches!(port.end, End::Patch(..)) {
            let peer = option(&configs[&port.name], "peer")?;
            let (bridge, no) = places.get(peer).ok_or_else(|| format!("{}: no peer {peer}", port.name))?;
            port.end = End::Patch(*bridge, *no);
        }
    }
    Ok(())
}
