//! What dvrd says at its start: what it got, never silently less.

use super::config::Config;
use super::model::Model;
use super::nic::{By, Nic, QUEUE};
use super::physical::Physical;
use super::ports::Ports;
use dataplane::io::af_xdp::filter::Mode;
use dataplane::umem::{FRAME_SIZE, MAX_FRAME};
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
    let cores = w.cores.as_ref().map(|c| c.iter().map(usize::to_string).collect::<Vec<_>>().join(", "));
    let cores = cores.map_or("not pinned".to_owned(), |c| format!("on cores {c}"));
    let _ = writeln!(s, "  workers   {}, {cores}, sleep after {} us without work", w.count, w.spin_us);
    let frames = usize::from(w.count) * w.frames as usize;
    let _ = writeln!(
        s,
        "  memory    {} MiB for {frames} packets of {FRAME_SIZE} bytes, {} a worker",
        (frames * FRAME_SIZE) >> 20,
        w.frames
    );
    if let Some(underlay) = underlay.trunk.nic() {
        let mac = underlay.link.mac.map_or("no MAC address".to_owned(), |m| m.to_string());
        let _ = writeln!(s, "  underlay  {}, {mac}, MTU {}", nic(underlay), model.mtu());
    }
    let mut name = "physical";
    if !underlay.networks.is_empty() {
        let _ = writeln!(s, "  {name:<8}  {}: by the underlay's NIC", underlay.networks.join(", "));
        name = "";
    }
    for (networks, port) in physical.iter().filter_map(|p| Some((p.networks.join(", "), p.trunk.nic()?))) {
        let _ = writeln!(
            s,
            "  {name:<8}  {networks}: {}, MTU {}; what is not theirs is the kernel's",
            nic(port),
            port.link.mtu
        );
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
