//! Flows as `ovs-ofctl dump-flows` prints them. A word it does not know is an error, never a skip.

use crate::packet::Field;
use std::cell::Cell;

/// A line of a dump.
#[derive(Clone, Debug)]
pub struct Flow {
    pub table: u8,
    pub priority: u16,
    pub matches: Vec<Match>,
    pub actions: Vec<Action>,
    /// It was learned (`hard_timeout`).
    pub learned: bool,
    /// Its line in the dump, without its counters; what coverage and failures print.
    pub text: String,
    /// Frames that matched it.
    pub hits: Cell<u64>,
}

/// A field of the packet under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub field: Field,
    pub value: u64,
    pub mask: u64,
}

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Drop,
    Normal,
    /// `IN_PORT`: back where it came from.
    BackOut,
    Output(u16),
    /// `output:NXM_NX_REG5[]`
    OutputReg(u8),
    /// `resubmit(,N)`: that table, then the rest of this list.
    Resubmit(u8),
    /// `goto_table:N`: always the last.
    Goto(u8),
    PushVlan(u16),
    PopVlan,
    Set(Field, u64),
    Move(Field, Field),
    Learn(Vec<Learned>, LearnInto),
}

/// Where a learned flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnInto {
    pub table: u8,
    pub priority: u16,
}

/// One part of a `learn` action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// Matches these bits of the first field, with the second field's value now.
    Match(Field, Field, u64),
    /// Loads a constant into the field.
    Load(Field, u64),
    /// Loads the second field's value now into the first.
    Copy(Field, Field),
    /// Outputs to the port that the field names now.
    Output(Field),
}

/// Port names of a bridge to numbers, for the parser.
pub type PortNo<'a> = &'a dyn Fn(&str) -> Option<u16>;

type Res<T> = Result<T, String>;

/// Table of a line, without reading the rest of it.
pub fn table_of(line: &str) -> Res<u8> {
    let word = line.trim().strip_prefix("table=").and_then(|l| l.split(',').next()).ok_or("no table= in front")?;
    word.parse().map_err(|_| format!("table {word}"))
}

/// Reads a line.
pub fn parse(line: &str, port: PortNo<'_>) -> Res<Flow> {
    let (left, actions) = line.split_once(" actions=").ok_or("no actions=")?;
    let mut flow = Flow {
        table: table_of(line)?,
        priority: 32768,
        matches: Vec::new(),
        actions: Vec::new(),
        learned: false,
        text: String::new(),
        hits: Cell::new(0),
    };
    let mut shown = Vec::new();
    for word in left.split([',', ' ']).map(str::trim).filter(|w| !w.is_empty()) {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "n_packets" | "n_bytes" | "idle_age" | "hard_age" | "reset_counts" => continue,
            "table" => {}
            "priority" => flow.priority = number(value)? as u16,
            "hard_timeout" => flow.learned = true,
            _ => flow.matches.extend(matches(key, value, port)?),
        }
        shown.push(word);
    }
    for action in split(actions)? {
        flow.actions.extend(action_of(action, port)?);
    }
    flow.text = format!("{} actions={actions}", shown.join(","));
    Ok(flow)
}

/// Splits at commas outside of parentheses.
fn split(list: &str) -> Res<Vec<&str>> {
    let (mut depth, mut start, mut all) = (0usize, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a parenthesis too many")?,
            ',' if depth == 0 => {
                all.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push(&list[start..]);
    Ok(all)
}

fn matches(key: &str, value: &str, port: PortNo<'_>) -> Res<Vec<Match>> {
    let exact = |field, value| vec![Match { field, value, mask: u64::MAX }];
    let masked = |field, full: u64| -> Res<Vec<Match>> {
        let (v, m) = value.split_once('/').unwrap_or((value, ""));
        let mask = match m {
            "" => full,
            m if field == Field::IpDst && !m.contains('.') => full << (32 - number(m)?) & full,
            m => constant(m)?,
        };
        Ok(vec![Match { field, value: constant(v)? & mask, mask }])
    };
    Ok(match key {
        "arp" if value.is_empty() => exact(Field::EthType, 0x0806),
        "ip" if value.is_empty() => exact(Field::EthType, 0x0800),
        "icmp6" if value.is_empty() => {
            vec![exact(Field::EthType, 0x86dd)[0], exact(Field::IpProto, 58)[0]]
        }
        "in_port" => exact(Field::InPort, port_of(value, port)?.into()),
        "tun_id" => exact(Field::TunId, constant(value)?),
        "dl_src" => masked(Field::EthSrc, 0xffff_ffff_ffff)?,
        "dl_dst" => masked(Field::EthDst, 0xffff_ffff_ffff)?,
        "dl_vlan" => exact(Field::VlanVid, number(value)? | 0x1000),
        "vlan_tci" => masked(Field::VlanTci, 0xffff)?,
        "nw_dst" => masked(Field::IpDst, 0xffff_ffff)?,
        "icmp_type" => exact(Field::Icmp6Type, number(value)?),
        "arp_op" => exact(Field::ArpOp, number(value)?),
        "arp_spa" => masked(Field::ArpSpa, 0xffff_ffff)?,
        "arp_tpa" => masked(Field::ArpTpa, 0xffff_ffff)?,
        "arp_sha" => exact(Field::ArpSha, constant(value)?),
        "arp_tha" => exact(Field::ArpTha, constant(value)?),
        _ => match key.strip_prefix("reg").and_then(|n| n.parse().ok()) {
            Some(n @ 0..=15) => exact(Field::Reg(n), constant(value)?),
            _ => return Err(format!("match {key}{}{value} is unknown", if value.is_empty() { "" } else { "=" })),
        },
    })
}

fn port_of(word: &str, port: PortNo<'_>) -> Res<u16> {
    let word = word.trim_matches('"');
    port(word).or_else(|| word.parse().ok()).ok_or_else(|| format!("port {word} is none of the bridge's"))
}

fn number(word: &str) -> Res<u64> {
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("{word} is no number"))
}

/// A number, a MAC or an IPv4 address.
fn constant(word: &str) -> Res<u64> {
    if word.matches(':').count() == 5 {
        return u64::from_str_radix(&word.replace(':', ""), 16).map_err(|_| format!("{word} is no MAC"));
    }
    match word.parse::<std::net::Ipv4Addr>() {
        Ok(ip) => Ok(u32::from(ip).into()),
        Err(_) => number(word),
    }
}

fn action_of(word: &str, port: PortNo<'_>) -> Res<Vec<Action>> {
    let word = word.trim();
    if let Some(inside) = word.strip_prefix("learn(").and_then(|w| w.strip_suffix(')')) {
        return Ok(vec![learn(inside)?]);
    }
    if let Some(table) = word.strip_prefix("resubmit(,").and_then(|w| w.strip_suffix(')')) {
        return Ok(vec![Action::Resubmit(number(table)? as u8)]);
    }
    let (key, value) = word.split_once(':').unwrap_or((word, ""));
    Ok(vec![match (key, value) {
        ("drop", "") => Action::Drop,
        ("NORMAL", "") => Action::Normal,
        ("IN_PORT", "") => Action::BackOut,
        ("strip_vlan" | "pop_vlan", "") => Action::PopVlan,
        ("goto_table", n) => Action::Goto(number(n)? as u8),
        ("push_vlan", n) => Action::PushVlan(number(n)? as u16),
        ("mod_vlan_vid", n) => Action::Set(Field::VlanVid, number(n)? | 0x1000),
        ("mod_dl_src", mac) => Action::Set(Field::EthSrc, constant(mac)?),
        ("mod_dl_dst", mac) => Action::Set(Field::EthDst, constant(mac)?),
        ("set_tunnel", n) => Action::Set(Field::TunId, number(n)?),
        ("output", p) if p.ends_with("[]") => match field(p)? {
            Field::Reg(n) => Action::OutputReg(n),
            other => return Err(format!("output to {other:?} is unknown")),
        },
        ("output", p) => Action::Output(port_of(p, port)?),
        ("set_field", rest) => {
            let (value, to) = rest.split_once("->").ok_or("set_field without ->")?;
            Action::Set(field(to)?, constant(value)?)
        }
        ("load", rest) => {
            let (value, to) = rest.split_once("->").ok_or("load without ->")?;
            Action::Set(field(to)?, constant(value)?)
        }
        ("move", rest) => {
            let (from, to) = rest.split_once("->").ok_or("move without ->")?;
            Action::Move(field(from)?, field(to)?)
        }
        _ => return Err(format!("action {word} is unknown")),
    }])
}

/// A whole field by one of its names, `NXM_..[]` or as in `set_field`.
fn field(name: &str) -> Res<Field> {
    let (name, bits) = name.split_once('[').unwrap_or((name, "]"));
    if bits != "]" {
        return Err(format!("{name}[{bits}: only whole fields are known here"));
    }
    Ok(match name {
        "NXM_OF_IN_PORT" | "OXM_OF_IN_PORT" => Field::InPort,
        "NXM_NX_TUN_ID" | "tun_id" => Field::TunId,
        "NXM_OF_ETH_SRC" | "eth_src" => Field::EthSrc,
        "NXM_OF_ETH_DST" | "eth_dst" => Field::EthDst,
        "NXM_OF_VLAN_TCI" => Field::VlanTci,
        "vlan_vid" => Field::VlanVid,
        "arp_op" => Field::ArpOp,
        "NXM_NX_ARP_SHA" | "arp_sha" => Field::ArpSha,
        "NXM_NX_ARP_THA" | "arp_tha" => Field::ArpTha,
        "NXM_OF_ARP_SPA" | "arp_spa" => Field::ArpSpa,
        "NXM_OF_ARP_TPA" | "arp_tpa" => Field::ArpTpa,
        _ => {
            let reg = name.strip_prefix("NXM_NX_REG").or(name.strip_prefix("reg")).and_then(|n| n.parse().ok());
            match reg {
                Some(n @ 0..=15) => Field::Reg(n),
                _ => return Err(format!("field {name} is unknown")),
            }
        }
    })
}

fn learn(inside: &str) -> Res<Action> {
    let mut into = LearnInto { table: 0, priority: 32768 };
    let mut parts = Vec::new();
    for word in split(inside)? {
        if let Some((key, value)) = word.split_once('=').filter(|(k, _)| !k.contains('[')) {
            match key {
                "table" => into.table = number(value)? as u8,
                "priority" => into.priority = number(value)? as u16,
                "hard_timeout" => {}
                _ => return Err(format!("learn({word}) is unknown")),
            }
        } else if let Some((to, from)) = word.split_once('=') {
            parts.push(Learned::Match(field(to)?, field(from)?, u64::MAX));
        } else if word == "NXM_OF_VLAN_TCI[0..11]" {
            parts.push(Learned::Match(Field::VlanTci, Field::VlanTci, 0x0fff));
        } else if let Some(port) = word.strip_prefix("output:") {
            parts.push(Learned::Output(field(port)?));
        } else if let Some((from, to)) = word.strip_prefix("load:").and_then(|w| w.split_once("->")) {
            let to = field(to)?;
            parts.push(match number(from) {
                Ok(value) => Learned::Load(to, value),
                Err(_) => Learned::Copy(to, field(from)?),
            });
        } else {
            return Err(format!("learn({word}) is unknown"));
        }
    }
    Ok(Action::Learn(parts, into))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Res<Flow> {
        parse(line, &|name| (name == "patch-int").then_some(1))
    }

    #[test]
    fn what_it_does_not_know_is_an_error() {
        for line in [
            "table=0, priority=1,nw_tos=4 actions=drop",
            "table=0, priority=1,udp actions=drop",
            "table=0, priority=1 actions=dec_ttl,NORMAL",
            "table=0, priority=1 actions=output:\"nobody\"",
            "table=0, priority=1 actions=ct(table=72)",
            "table=0, priority=1 actions=learn(table=20,idle_timeout=3)",
            "table=0, priority=1 actions=move:NXM_OF_ETH_SRC[0..15]->NXM_OF_ETH_DST[]",
        ] {
            assert!(one(line).is_err(), "{line} was read");
        }
    }

    #[test]
    fn reads_masks_and_learn() {
        let f = one("table=2, n_packets=4, priority=3,ip,nw_dst=81.1.180.0/24 actions=drop").unwrap();
        let net = Match { field: Field::IpDst, value: 0x5101_b400, mask: 0xffff_ff00 };
        assert_eq!((f.priority, f.matches[1]), (3, net));
        let f = one("table=10, priority=1 actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],\
                     NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],output:OXM_OF_IN_PORT[]),output:1");
        let Action::Learn(parts, into) = f.unwrap().actions.remove(0) else { panic!("no learn") };
        assert_eq!(into, LearnInto { table: 20, priority: 1 });
        assert_eq!(parts[0], Learned::Match(Field::VlanTci, Field::VlanTci, 0x0fff));
        assert_eq!(parts[1], Learned::Match(Field::EthDst, Field::EthSrc, u64::MAX));
        assert_eq!(parts[3], Learned::Output(Field::InPort));
    }
}
