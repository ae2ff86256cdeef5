//! What dvrd says at its start: what it got, never silently less.

use super::config::{Config, IdlePolicy};
use super::model::Model;
use super::nic::{By, Nic, QUEUE};
use super::numa::{self, Node};
use super::physical::Physical;
use super::ports::Ports;
use dataplane::io::af_xdp::filter::Mode;
use dataplane::umem::{FRAME_SIZE, MAX_FRAME};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The banner.
pub(super) fn banner(
    config: &Config,
    underlay: &Physical<'_>,
    physical: &[Physical<'_>],
    ports: &Ports<'_>,
    model: &Model,
) -> String {
    let mut s = format!("dvrd {}: host {}\n", env!("CARGO_PKG_VERSION"), config.host);
    let w = &config.workers;
    let cores = w.cores.as_ref().map_or("not pinned".to_owned(), |cores| on_cores(cores, &numa::cores()));
    let idle = match w.idle {
        IdlePolicy::Adaptive => format!("sleep after {} us without work", w.spin_us),
        IdlePolicy::Busy => "never sleep: a core each is used up".to_owned(),
    };
    let measured = if w.time_turns { "; their turns are measured" } else { "" };
    let _ = writeln!(s, "  workers   {}, {cores}, {idle}{measured}", w.count);
    let frames = usize::from(w.count) * w.frames as usize;
    let _ = writeln!(
        s,
        "  memory    {} MiB for {frames} packets of {FRAME_SIZE} bytes, {} a worker",
        (frames * FRAME_SIZE) >> 20,
        w.frames
    );
    if let Some(underlay) = underlay.trunk.nic() {
        let mac = underlay.link.mac.map_or("no MAC address".to_owned(), |m| m.to_string());
        let _ = writeln!(s, "  underlay  {}, {mac}, MTU {}, {}", nic(underlay), model.mtu(), node(underlay.node));
    }
    let mut name = "physical";
    if !underlay.networks.is_empty() {
        let _ = writeln!(s, "  {name:<8}  {}: by the underlay's NIC", underlay.networks.join(", "));
        name = "";
    }
    for (networks, port) in physical.iter().filter_map(|p| Some((p.networks.join(", "), p.trunk.nic()?))) {
        let (nic, mtu, node) = (nic(port), port.link.mtu, node(port.node));
        let _ = writeln!(s, "  {name:<8}  {networks}: {nic}, MTU {mtu}, {node}; what is not theirs is the kernel's");
        name = "";
    }
    let mut name = "ports";
    for (attachment, port) in ports.attached() {
        let _ = writeln!(s, "  {name:<8}  {}: {}", attachment.port, nic(port));
        name = "";
    }
    if name == "ports" {
        s.push_str("  ports     none\n");
    }
    s.push_str("  limits   ");
    let mut tables = model.writer().tables();
    tables.sort_by_key(|t| t.name);
    let rows: Vec<String> = tables.iter().map(|t| format!("{} {} of {}", t.name, t.rows, t.limit)).collect();
    for pair in rows.chunks(3) {
        let _ = writeln!(s, " {}", pair.join(", "));
        s.push_str("           ");
    }
    s.truncate(s.trim_end().len());
    s.push('\n');
    s
}

/// `on cores 0, 1, NUMA node 0`.
fn on_cores(cores: &[usize], nodes: &BTreeMap<Node, BTreeSet<usize>>) -> String {
    let node_of = |core: &usize| nodes.iter().find(|(_, cores)| cores.contains(core)).map(|(node, _)| *node);
    let on: BTreeSet<Node> = cores.iter().filter_map(node_of).collect();
    let list = |all: Vec<String>| all.join(", ");
    let nodes = match on.is_empty() {
        true => String::new(),
        false => format!(", NUMA node {}", list(on.iter().map(Node::to_string).collect())),
    };
    format!("on cores {}{nodes}", list(cores.iter().map(usize::to_string).collect()))
}

fn node(node: Option<Node>) -> String {
    node.map_or("no NUMA node".to_owned(), |node| format!("NUMA node {node}"))
}

/// `tapA1 (veth, native XDP, copy, 1 queue of 2048; checksum offload of eth0 in namespace vm1 is off)`.
fn nic(nic: &Nic) -> String {
    let (mode, why_not_native, copying, why) = match &nic.by {
        By::Packet(why) => return format!("{} ({}, packet socket: {why})", nic.interface, nic.driver),
        By::Xdp { mode, why_not_native, copying, why } => (mode, why_not_native, copying, why),
    };
    let why_not_native = match (mode, why_not_native) {
        (Mode::Skb, Some(why)) => format!(" because in the driver: {why}"),
        _ => String::new(),
    };
    let queues = crate::report::count(nic.queues.into(), "queue");
    let peer = nic.quiet_peer().map_or(String::new(), |peer| format!("; {peer}"));
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    let long = match nic.loses_long_packets() {
        true => format!("; loses frames longer than {MAX_FRAME} bytes, its driver gives none in several buffers"),
        false => String::new(),
    };
    let (interface, driver) = (&nic.interface, &nic.driver);
    format!("{interface} ({driver}, {mode} XDP{why_not_native}, {copying}, {queues} of {QUEUE}{why}{peer}{long})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_told_with_their_nodes() {
        let nodes = [(0, [0, 1].into()), (1, [2, 3].into())].into();
        assert_eq!(on_cores(&[1, 0], &nodes), "on cores 1, 0, NUMA node 0");
        assert_eq!(on_cores(&[1, 2], &nodes), "on cores 1, 2, NUMA node 0, 1");
        assert_eq!(on_cores(&[7], &BTreeMap::new()), "on cores 7");
        assert_eq!((node(Some(1)), node(None)), ("NUMA node 1".to_owned(), "no NUMA node".to_owned()));
    }
}
