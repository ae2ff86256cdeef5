//! `dvrd.toml`: which host of the cloud this machine is, its underlay, its workers, its NICs on physical networks, and
//! interfaces of its ports.
//!
//! [`Config::read`] checks the file by itself, [`Config::check`] against the cloud. Both find all problems, each with
//! its line. `docs/dvrd.toml` is an example with every key.

mod check;
mod nics;
mod read;
#[cfg(test)]
mod tests;

pub use nics::NicUse;

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{Place, Problems, read_text};

/// What `dvrd.toml` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `host`: the name of the cloud's host this machine is.
    pub host: String,
    /// `[underlay]`: the interface VXLAN goes out by. It may be a physical network's too.
    pub underlay: Interface,
    /// `[workers]`.
    pub workers: Workers,
    /// `[[physical_networks]]`: the NIC of each physical network of this host.
    pub physical_networks: Vec<PhysicalInterface>,
    /// `port_io`: by what the interfaces of ports are taken, but for those whose entry says otherwise.
    pub port_io: PortIo,
    /// `[[ports]]`: ports whose interface is not the one [`default_interface`] says.
    pub ports: Vec<PortInterface>,
    /// Where `host` stands.
    place: Place,
}

/// An interface of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// `interface`: its name, 1 to 15 bytes.
    pub name: String,
    /// `netns`: its namespace, a name under `/var/run/netns` or, with a `/` in it, a path; none: dvrd's own.
    pub netns: Option<String>,
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.netns {
            Some(ns) => write!(f, "{} in namespace {ns}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// By what an interface of a port is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PortIo {
    /// `auto`: by a packet socket where the VM leaves segmentation or checksums to its NIC, else by AF_XDP.
    #[default]
    Auto,
    /// `af_xdp`: small packets cost a third, and the VM's kernel cuts and sums.
    #[value(name = "af_xdp")]
    AfXdp,
    /// `packet`: bulk TCP costs a third, since its super-frames go through whole.
    Packet,
}

impl PortIo {
    /// The words for them.
    pub const WORDS: [(&'static str, PortIo); 3] =
        [("auto", PortIo::Auto), ("af_xdp", PortIo::AfXdp), ("packet", PortIo::Packet)];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, io)| *io == self).map_or("auto", |(word, _)| word)
    }
}

/// `[workers]`: the threads that forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// `count`: how many, 1 to [`Workers::MOST`]. Default 1.
    pub count: u8,
    /// `cores`: the core each is pinned to; none: not pinned.
    pub cores: Option<Vec<usize>>,
    /// `idle`: what a worker does without work. Default adaptive.
    pub idle: IdlePolicy,
    /// `spin_us`: microseconds a worker looks for work before it sleeps, 0 to 1,000,000; not with `idle = "busy"`. Default 50.
    pub spin_us: u32,
    /// `frames`: buffers of 2 KiB each worker has, 1024 to 1,048,576. Default 32768: enough for three NICs and a few ports with
    /// full rings, which is what one TCP connection has under way.
    pub frames: u32,
    /// `time_turns`: the longest turn of each worker is measured, and told with the books. Default false.
    pub time_turns: bool,
}

/// What a worker does without work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// It looks for some for `spin_us`, then it sleeps until there is some.
    #[default]
    Adaptive,
    /// It looks for some all the time: a packet after a pause waits for nobody to wake up, and a core is used up.
    Busy,
}

impl IdlePolicy {
    /// By the words of the file.
    pub const WORDS: [(&'static str, IdlePolicy); 2] = [("adaptive", IdlePolicy::Adaptive), ("busy", IdlePolicy::Busy)];
}

impl std::fmt::Display for IdlePolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = IdlePolicy::WORDS.iter().find(|(_, policy)| policy == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

impl Workers {
    /// As many as `dvrctl replay` takes. The rings between workers grow with the square of their number: with 16
    /// workers of 32768 buffers each, the rings that bring buffers home take 63 MiB.
    pub const MOST: u8 = 16;
    /// Bounds of `frames`: a worker's rings must fill, and 2 GiB are enough for one worker.
    pub const FRAMES: std::ops::RangeInclusive<u32> = 1024..=1_048_576;
    /// Longest `spin_us`.
    pub const LONGEST_SPIN: u32 = 1_000_000;
}

impl Default for Workers {
    fn default() -> Self {
        let idle = IdlePolicy::default();
        Workers { count: 1, cores: None, idle, spin_us: 50, frames: 32768, time_turns: false }
    }
}

/// One of `[[physical_networks]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhysicalInterface {
    /// `name`: the physical network, a key of the host's `bridge_mappings`.
    pub name: String,
    /// The NIC that leads to it; it may be the underlay's, and several physical networks'.
    pub interface: Interface,
    /// Where the entry stands.
    place: Place,
}

/// One of `[[ports]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInterface {
    /// `port`: Neutron id, or a name only one port has.
    pub port: String,
    /// Its end on this machine: a veth's, or a tap.
    pub interface: Interface,
    /// `io`: by what it is taken, if it says.
    pub io: Option<PortIo>,
    /// Where the entry stands.
    place: Place,
}

/// A port of this host with the interface it is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Neutron id.
    pub port: String,
    /// Its interface.
    pub interface: Interface,
    /// `[[ports]]` names the interface; else it is [`default_interface`].
    pub explicit: bool,
    /// By what it is taken.
    pub io: PortIo,
}

impl Config {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Config, Problems> {
        Config::from_toml(&read_text(path)?, &path.display().to_string(), &available_cores())
    }

    /// What another configuration says otherwise that cannot be changed while dvrd runs: each key, from what, to what.
    pub fn fixed(&self, other: &Config) -> Vec<String> {
        let mut changed = Vec::new();
        let mut differ = |key: &str, from: String, to: String| {
            if from != to {
                changed.push(format!("{key} (from {from} to {to})"));
            }
        };
        differ("host", self.host.clone(), other.host.clone());
        differ("underlay", self.underlay.to_string(), other.underlay.to_string());
        let (was, is) = (&self.workers, &other.workers);
        differ("workers.count", was.count.to_string(), is.count.to_string());
        let cores = |w: &Workers| w.cores.as_ref().map_or("none".to_owned(), |cores| format!("{cores:?}"));
        differ("workers.cores", cores(was), cores(is));
        differ("workers.idle", was.idle.to_string(), is.idle.to_string());
        differ("workers.time_turns", was.time_turns.to_string(), is.time_turns.to_string());
        differ("workers.spin_us", was.spin_us.to_string(), is.spin_us.to_string());
        differ("workers.frames", was.frames.to_string(), is.frames.to_string());
        let physical = |config: &Config| {
            let mut all: Vec<String> =
                config.physical_networks.iter().map(|p| format!("{} by {}", p.name, p.interface)).collect();
            all.sort();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        differ("physical_networks", physical(self), physical(other));
        changed
    }

    /// This configuration with the ports of another: what can be changed while dvrd runs.
    pub fn with_ports(&self, other: Config) -> Config {
        Config { ports: other.ports, port_io: other.port_io, ..self.clone() }
    }

    /// Reads and checks a text. `name` is what problems call it, `cores` are those workers may be pinned to.
    pub fn from_toml(text: &str, name: &str, cores: &BTreeSet<usize>) -> Result<Config, Problems> {
        read::config(text, name, cores)
    }
}

/// The cores this process may run on (`sched_getaffinity`): fewer than the machine has under `taskset` or in a cpuset.
pub fn available_cores() -> BTreeSet<usize> {
    core_affinity::get_core_ids().unwrap_or_default().iter().map(|c| c.id).collect()
}

/// The interface Nova and the OVS agent give a port: `tap` and the first 11 characters of its id.
pub fn default_interface(port_id: &str) -> String {
    format!("tap{}", port_id.chars().take(11).collect::<String>())
}

/// Why this cannot be the name of an interface (the kernel's `dev_valid_name`).
fn bad_interface(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("is empty"),
        _ if name.len() > 15 => Some("is longer than 15 bytes"),
        "." | ".." => Some("is a folder's name"),
        _ if name.contains(['/', ':']) => Some("has a '/' or ':' in it"),
        _ if name.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Some("has a space or control character in it")
        }
        _ => None,
    }
}
