//! Facts on an interface, and taking one for a moment to see what comes of it.

use std::time::{Duration, Instant};

use dataplane::io::af_xdp::ethtool;
use dataplane::umem::Umem;

use super::Subject;
use super::facts::{InterfaceFacts, Peer, Tried};
use crate::daemon::net::{HeldPort, Holder, Link, NetError, Netns, holder, link, veth_peer, withheld};
use crate::daemon::nic::{self, By, Nic, NicError};
use crate::daemon::numa;

/// Buffers for trying: few, so that the limit on locked memory says nothing yet.
const FRAMES: usize = 1024;
/// A queue that a socket had a moment ago is free a moment later.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
/// Offloads that make one frame of several received ones.
const MERGING: [&str; 2] = ["large-receive-offload", "rx-gro-hw"];

/// There is nothing to find facts on.
#[derive(Debug)]
pub struct NotThere {
    /// It may come yet: the interface is missing, or its namespace. Otherwise nothing is known of it.
    pub absent: bool,
    /// In words.
    pub why: String,
}

impl From<NicError> for NotThere {
    fn from(error: NicError) -> Self {
        NotThere { absent: error.is_absence(), why: error.to_string() }
    }
}

impl From<NetError> for NotThere {
    fn from(error: NetError) -> Self {
        NicError::from(error).into()
    }
}

/// Looks at an interface without changing anything on it.
pub fn facts(subject: &Subject) -> Result<InterfaceFacts, NotThere> {
    let netns = Netns::open(subject.interface.netns.as_deref())?;
    let link = link(&netns, &subject.interface.name)?;
    let name = link.name.as_str();
    let peer = veth_peer(&netns, &link).map_err(|e| e.to_string()).transpose();
    let peer = peer.map(|found| found.and_then(|(there, name)| peer_facts(&there, &name)));
    let asked = netns.run(|| {
        let driver = ethtool::driver(name).unwrap_or_else(|_| "unknown".to_owned());
        let facts = InterfaceFacts {
            driver,
            node: ethtool::bus(name).ok().and_then(|bus| numa::of_device(&bus)),
            queues: nic::queues(name)?,
            rx_vlan: ethtool::feature(name, "rx-vlan-offload").ok().flatten(),
            hashes_ports: ethtool::hashes_udp_ports(name).ok().flatten(),
            hashed: ethtool::hashed_queues(name).ok().flatten(),
            peer,
            ..of_link(subject, &link)
        };
        Ok::<_, NicError>(facts)
    })?;
    let tried = held(&netns, &link).map_or(Tried::Not, Tried::Held);
    Ok(InterfaceFacts { tried, ..asked? })
}

/// Whoever has it.
fn held(netns: &Netns, link: &Link) -> Option<Holder> {
    holder(link).or_else(|| withheld(netns, link).ok().flatten())
}

/// What netlink says.
fn of_link(subject: &Subject, link: &Link) -> InterfaceFacts {
    InterfaceFacts {
        subject: subject.clone(),
        driver: "unknown".to_owned(),
        kind: link.kind.clone(),
        up: link.up,
        carrier: link.lower_up,
        mtu: link.mtu,
        node: None,
        nodes: numa::cores(),
        queues: 1,
        rx_vlan: None,
        vnet_hdr: link.vnet_hdr,
        peer: None,
        hashes_ports: None,
        hashed: None,
        port_taken: None,
        tried: Tried::Not,
    }
}

/// Of an interface that dvrd has taken: nothing is asked that taking it has not told.
pub fn of_nic(subject: &Subject, nic: &Nic) -> InterfaceFacts {
    InterfaceFacts { driver: nic.driver.clone(), node: nic.node, queues: nic.queues, ..of_link(subject, &nic.link) }
}

fn peer_facts(netns: &Netns, name: &str) -> Result<Peer, String> {
    let on = netns.run(|| nic::unseen_offloads(name)).map_err(|e| e.to_string())?;
    Ok(Peer { name: format!("{name} in {netns}"), on: on.map_err(|e| format!("{name} in {netns}: {e}"))? })
}

/// The facts with what came of taking the interface, as dvrd has.
pub fn taken(facts: InterfaceFacts, nic: &Nic) -> InterfaceFacts {
    let (mode, copying, why) = match &nic.by {
        By::Packet(why) => return InterfaceFacts { tried: Tried::Packets(why), mtu: nic.link.mtu, ..facts },
        By::Xdp { mode, copying, why_not_native, .. } => (*mode, *copying, why_not_native.clone()),
    };
    let merging = Netns::open(nic.interface.netns.as_deref()).and_then(|netns| netns.run(|| merging(&nic.link.name)));
    let tried = Tried::Taken { mode, why_not_native: why, copying, merging: merging.unwrap_or_default() };
    InterfaceFacts { tried, mtu: nic.link.mtu, ..facts }
}

/// Offloads that merge frames and are on: [`Tried::Taken`].
fn merging(name: &str) -> Vec<(&'static str, ethtool::Feature)> {
    let on = |feature| Some((feature, ethtool::feature(name, feature).ok()??));
    MERGING.into_iter().filter_map(on).filter(|(_, feature)| feature.on).collect()
}

/// Takes the interface as dvrd would, its first queue only, all packets left to the kernel, and lets go of it again. Not one
/// that somebody has.
pub fn tried(facts: InterfaceFacts) -> InterfaceFacts {
    let facts = settled(facts);
    if matches!(facts.tried, Tried::Held(_)) {
        return facts;
    }
    let tried = trial(&facts).unwrap_or_else(|error| {
        let (what, mend) = error.parts();
        Tried::Failed(what, mend)
    });
    let port_taken = port_taken(&facts.subject);
    InterfaceFacts { tried, port_taken, ..facts }
}

/// A program that no process holds any more goes a moment after it was let go, unless it hangs on the interface.
fn settled(mut facts: InterfaceFacts) -> InterfaceFacts {
    let interface = &facts.subject.interface;
    let start = Instant::now();
    while matches!(&facts.tried, Tried::Held(held) if held.processes.is_empty()) && start.elapsed() < PATIENCE {
        std::thread::sleep(PAUSE);
        let Ok(netns) = Netns::open(interface.netns.as_deref()) else { break };
        let Ok(link) = link(&netns, &interface.name) else { break };
        facts.tried = held(&netns, &link).map_or(Tried::Not, Tried::Held);
    }
    facts
}

/// Holds the UDP port of VXLAN for a moment, as dvrd does while it runs.
fn port_taken(subject: &Subject) -> Option<String> {
    let (vtep, port) = subject.vtep?;
    let netns = Netns::open(subject.interface.netns.as_deref()).ok()?;
    HeldPort::new(&netns, vtep, port).err().map(|e| e.to_string())
}

fn trial(facts: &InterfaceFacts) -> Result<Tried, NicError> {
    let interface = &facts.subject.interface;
    let netns = Netns::open(interface.netns.as_deref())?;
    let link = link(&netns, &interface.name)?;
    let socket = |error| NicError::Socket { interface: interface.name.clone(), error };
    let mut umem = Umem::shared(FRAMES).map_err(socket)?;
    let mut pools = umem.pools(1);
    let pool = pools.first_mut().ok_or_else(|| socket(std::io::ErrorKind::OutOfMemory.into()))?;
    netns.run(|| {
        let taken = nic::take_for_a_moment(&interface.name, link.ifindex, pool, PATIENCE)?;
        let (mode, copying) = (taken.filter.mode(), taken.port.copying());
        let why_not_native = taken.filter.why_not_native().map(ToString::to_string);
        let merging = merging(&link.name);
        drop(taken.filter);
        taken.port.close(pool);
        Ok(Tried::Taken { mode, why_not_native, copying, merging })
    })?
}
