//! One interface.

use dataplane::io::af_xdp::ethtool::Feature;
use dataplane::io::af_xdp::filter::Mode;
use dataplane::io::af_xdp::{Copying, MAX_CHUNKS};
use dataplane::tables::OUTER;
use dataplane::umem::MAX_FRAME;

use super::numa::numa;
use crate::daemon::doctor::facts::{InterfaceFacts, Tried};
use crate::daemon::doctor::interface::NotThere;
use crate::daemon::doctor::plan::NetworkMtu;
use crate::daemon::doctor::{Finding, Subject, Use};
use crate::daemon::nic::NicError;
use crate::report::count;

/// The check of what came of taking it.
pub const XDP: &str = "xdp";
/// The longest frame of AF_XDP: in as many buffers as the kernel takes.
const LONGEST: u32 = MAX_CHUNKS as u32 * MAX_FRAME as u32;
/// Bytes of an Ethernet header, and of a tag in it.
const ETHERNET: u32 = 14;
const TAG: u32 = 4;

/// All findings on an interface.
pub fn interface(facts: &InterfaceFacts) -> Vec<Finding> {
    let driver = Finding::ok("driver", &facts.driver);
    let all = [
        Some(driver),
        shared(&facts.subject),
        link(facts),
        Some(xdp(facts)),
        Some(queues(facts)),
        Some(mtu(&facts.subject, facts.mtu)),
    ];
    all.into_iter().flatten().chain([offloads(facts), spread(facts)]).chain(port(facts)).chain(numa(facts)).collect()
}

/// Whose frames it carries: what else it is for, and the host.
fn shared(subject: &Subject) -> Option<Finding> {
    let uses: Vec<String> = subject.also.iter().map(ToString::to_string).collect();
    let host = match subject.used {
        Use::Underlay if uses.is_empty() => return None,
        Use::Underlay | Use::Physical(_) => "the host keeps what is not dvrd's",
        Use::Port(_) | Use::Any => return None,
    };
    let what = match uses.is_empty() {
        true => host.to_owned(),
        false => format!("with {}; {host}", uses.join(", ")),
    };
    Some(Finding::ok("shared", what))
}

/// On one that is not there.
pub fn not_there(found: &NotThere, used: &Use) -> Finding {
    const CHECK: &str = "interface";
    let (what, hint) = found.why.split_once("; ").unwrap_or((&found.why, "`ip link` shows those there are"));
    match used {
        Use::Port(_) if found.absent => Finding::ok(CHECK, format!("not there: dvrd takes it when it comes ({what})")),
        _ => Finding::stop(CHECK, what, costs(used), hint),
    }
}

/// What dvrd does without it.
fn costs(used: &Use) -> &'static str {
    match used {
        Use::Underlay | Use::Physical(_) => "dvrd does not start",
        Use::Port(_) | Use::Any => "dvrd does not take it: no packet comes from it or goes there",
    }
}

/// A command in the interface's namespace.
fn there(subject: &Subject, command: &str) -> String {
    match &subject.interface.netns {
        None => format!("`{command}`"),
        Some(path) if path.contains('/') => format!("`nsenter --net={path} {command}`"),
        Some(name) => format!("`ip netns exec {name} {command}`"),
    }
}

/// Of a port, whose link is its VM's, nothing.
fn link(facts: &InterfaceFacts) -> Option<Finding> {
    let (name, used) = (&facts.subject.interface.name, &facts.subject.used);
    let nothing = "nothing comes and nothing leaves by it";
    match used {
        Use::Port(_) => None,
        _ if !facts.up => {
            let mend = there(&facts.subject, &format!("ip link set {name} up"));
            Some(Finding::problem("link", "it is down", nothing, mend))
        }
        _ if !facts.carrier => {
            let mend = format!(
                "the cable, the switch, or the other end; {} shows",
                there(&facts.subject, &format!("ip link show {name}"))
            );
            Some(Finding::problem("link", "it is up and has no carrier", nothing, mend))
        }
        _ => Some(Finding::ok("link", "up")),
    }
}

fn xdp(facts: &InterfaceFacts) -> Finding {
    let used = &facts.subject.used;
    match &facts.tried {
        Tried::Not => Finding::ok(XDP, "not tried"),
        Tried::Held(holder) if holder.is_dvrd() => Finding::ok(XDP, format!("dvrd runs on it: {holder}; not tried")),
        Tried::Held(holder) => {
            let mend = holder.mend(&facts.subject.interface.name);
            Finding::stop(XDP, format!("taken: {holder}; not tried"), costs(used), mend)
        }
        Tried::Failed(what, mend) => Finding::stop(XDP, what, costs(used), mend),
        Tried::Packets(why) => Finding::ok(XDP, format!("not used: by a packet socket, because {why}")),
        Tried::Taken { mode: Mode::Native, copying: Copying::ZeroCopy, .. } => {
            Finding::ok(XDP, "native, zero-copy, as tried")
        }
        Tried::Taken { mode: Mode::Native, .. } if is_virtual(facts) => {
            Finding::ok(XDP, format!("native, copy, as tried: {} has no zero-copy", facts.driver))
        }
        Tried::Taken { mode: Mode::Native, .. } => Finding::warning(
            XDP,
            format!("native, copy, as tried: {} gives no zero-copy here", facts.driver),
            "the kernel copies each frame, and sends only inside system calls",
            "a driver with AF_XDP zero-copy (i40e, ice, ixgbe, mlx5_core, ...), or a newer kernel for this one",
        ),
        Tried::Taken { mode: Mode::Skb, why_not_native, merging, .. } => {
            let why = why_not_native.as_deref().unwrap_or("it did not say why");
            Finding::warning(
                XDP,
                format!("SKB mode, copy, as tried: {} refused native XDP: {why}", facts.driver),
                "the kernel makes a packet of each frame before dvrd sees it, and copies it",
                native(facts, merging),
            )
        }
    }
}

/// Devices that are software: nobody expects more of them.
fn is_virtual(facts: &InterfaceFacts) -> bool {
    ["veth", "tun", "netkit", "dummy"].contains(&facts.kind.as_str())
}

/// How native XDP could be had.
fn native(facts: &InterfaceFacts, merging: &[(&'static str, Feature)]) -> String {
    let name = &facts.subject.interface.name;
    match facts.driver.as_str() {
        "virtio_net" if merging.iter().any(|(_, feature)| feature.fixed) => {
            "on the hypervisor, guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off for this device (libvirt: \
             <driver><guest tso4='off' tso6='off' ecn='off' ufo='off'/></driver>)"
                .to_owned()
        }
        "virtio_net" => format!("{}, and as many more queues as the machine has cores", merging_off(facts, name)),
        _ if !facts.kind.is_empty() => {
            format!("a NIC, a veth or a tap instead of a {}, or what it stands on", facts.kind)
        }
        _ => format!("{}; a smaller MTU; a driver with native XDP", merging_off(facts, name)),
    }
}

fn merging_off(facts: &InterfaceFacts, name: &str) -> String {
    there(&facts.subject, &format!("ethtool -K {name} lro off rx-gro-hw off"))
}

/// What dvrd says when it refuses, in the same words.
fn queues(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "queues";
    let (has, workers) = (facts.queues, facts.subject.workers);
    if has < workers {
        let interface = facts.subject.interface.name.clone();
        let (what, mend) = NicError::Queues { interface, queues: has, workers }.parts();
        return Finding::stop(CHECK, what, costs(&facts.subject.used), mend);
    }
    Finding::ok(CHECK, format!("{} for {}", count(has.into(), "queue"), count(workers.into(), "worker")))
}

/// Its MTU against those of the networks it carries.
pub fn mtu(subject: &Subject, mtu: u32) -> Finding {
    const CHECK: &str = "mtu";
    let (around, why) = match subject.used {
        Use::Underlay => (OUTER as u32, format!(" and {OUTER} bytes of VXLAN")),
        _ => (0, String::new()),
    };
    let largest = largest(&subject.used);
    let Some(networks) = &subject.networks else {
        let overlay = mtu.saturating_sub(OUTER as u32).min(largest);
        return Finding::ok(CHECK, format!("{mtu}; as underlay it carries networks of up to {overlay}"));
    };
    let Some((network, needs)) = networks.iter().max_by_key(|(_, mtu)| *mtu) else {
        return Finding::ok(CHECK, format!("{mtu}; no network of this host is on it"));
    };
    if *needs > largest {
        return Finding::problem(
            CHECK,
            format!(
                "network {network} has an MTU of {needs}, and dvrd carries at most {largest} there (frames of {LONGEST} bytes)"
            ),
            format!("packets longer than {largest} bytes are lost"),
            format!("an MTU of at most {largest} for {}", names(networks, largest)),
        );
    }
    let wanted = needs + around;
    if mtu >= wanted {
        return Finding::ok(CHECK, format!("{mtu}; {wanted} are needed (network {network}: {needs}{why})"));
    }
    let carries = mtu.saturating_sub(around);
    let name = &subject.interface.name;
    Finding::problem(
        CHECK,
        format!("{name} has an MTU of {mtu} bytes, and {wanted} are needed: network {network} has one of {needs}{why}"),
        format!("packets longer than {carries} bytes do not leave"),
        format!(
            "{}; or an MTU of at most {carries} for {}",
            there(subject, &format!("ip link set {name} mtu {wanted}")),
            names(networks, carries)
        ),
    )
}

/// The largest MTU of a network whose frames can be sent.
fn largest(used: &Use) -> u32 {
    let around = match used {
        Use::Underlay | Use::Any => ETHERNET + OUTER as u32,
        Use::Physical(_) => ETHERNET + TAG,
        Use::Port(_) => ETHERNET,
    };
    LONGEST - around
}

/// Networks with a larger MTU.
fn names(networks: &[NetworkMtu], than: u32) -> String {
    let larger: Vec<&str> = networks.iter().filter(|(_, mtu)| *mtu > than).map(|(name, _)| name.as_str()).collect();
    let word = if larger.len() == 1 { "network" } else { "networks" };
    format!("{word} {}", larger.join(", "))
}

fn offloads(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "offloads";
    let (name, used) = (&facts.subject.interface.name, &facts.subject.used);
    if let (Use::Physical(_), Some(Feature { on: true, fixed: true })) = (used, facts.rx_vlan) {
        return Finding::stop(
            CHECK,
            "it takes VLAN tags out of what it receives, and that cannot be turned off (rx-vlan-offload: on [fixed])",
            costs(used),
            "another NIC, or the driver's own switch for it",
        );
    }
    if let Some(Err(why)) = &facts.peer {
        let (what, mend) = why.split_once("; ").unwrap_or((why, "`ip -d link` shows where its other end is"));
        return Finding::stop(CHECK, what, costs(used), mend);
    }
    if let (Tried::Taken { merging, .. }, Use::Physical(_) | Use::Port(_)) = (&facts.tried, used)
        && let Some((feature, Feature { fixed, .. })) = merging.first()
    {
        return Finding::problem(
            CHECK,
            format!("{feature} stays on while dvrd has it"),
            format!(
                "merged frames longer than {MAX_FRAME} bytes are lost (rx_dropped), or are larger than the next network's MTU: TCP \
                 stands still"
            ),
            match fixed {
                true => native(facts, merging),
                false => merging_off(facts, name),
            },
        );
    }
    if facts.vnet_hdr {
        return Finding::warning(
            CHECK,
            "frames of the VM come with a virtio header, which AF_XDP does not see",
            "checksums that the VM leaves to the device stay unfinished, and its large segments are lost: TCP stands still",
            "in the VM `ethtool -K eth0 tx off`; or csum='off' gso='off' tso4='off' tso6='off' ecn='off' ufo='off' for \
             libvirt's <driver><host .../></driver>",
        );
    }
    let mut turned: Vec<String> = Vec::new();
    if let (Use::Physical(_), Some(Feature { on: true, .. })) = (used, facts.rx_vlan) {
        turned.push("rx-vlan-offload".to_owned());
    }
    if let Some(Ok(peer)) = &facts.peer
        && !peer.on.is_empty()
    {
        turned.push(format!("{} offload of {}", peer.on.join(" and "), peer.name));
    }
    match turned.is_empty() {
        true => Finding::ok(CHECK, "none in the way"),
        false => Finding::ok(CHECK, format!("dvrd turns off while it has it: {}", turned.join("; "))),
    }
}

/// Of the underlay, once it was tried: is the UDP port of VXLAN the kernel's or another program's?
fn port(facts: &InterfaceFacts) -> Option<Finding> {
    const CHECK: &str = "vxlan port";
    let (vtep, port) = facts.subject.vtep?;
    match &facts.port_taken {
        None if !matches!(facts.tried, Tried::Taken { .. }) => None,
        None => Some(Finding::ok(CHECK, format!("UDP {vtep}:{port} is free"))),
        Some(why) => {
            let (what, hint) = why.split_once("; ").unwrap_or((why, "`ss -lunp` shows whose it is"));
            let cost = "fragments, and what comes while dvrd does not run, go there";
            Some(Finding::warning(CHECK, what, cost, format!("stop it, or delete the device: {hint}")))
        }
    }
}

/// Do packets of one pair of hosts reach all workers?
fn spread(facts: &InterfaceFacts) -> Finding {
    const CHECK: &str = "rss";
    let Subject { interface, used, workers, .. } = &facts.subject;
    let name = &interface.name;
    if *workers < 2 {
        return Finding::ok(CHECK, "one worker has all queues");
    }
    let idle = |hashed: &std::collections::BTreeSet<u32>| -> Vec<String> {
        let reached = |worker: u32| hashed.iter().any(|queue| queue % workers == worker);
        (0..*workers).filter(|w| !reached(*w)).map(|w| w.to_string()).collect()
    };
    if let Some(hashed) = facts.hashed.as_ref().filter(|hashed| !idle(hashed).is_empty()) {
        let list: Vec<String> = hashed.iter().map(u32::to_string).collect();
        return Finding::warning(
            CHECK,
            format!("its indirection table leads to queue {} only, of {}", list.join(", "), facts.queues),
            format!("worker {} receives nothing by it", idle(hashed).join(", ")),
            there(&facts.subject, &format!("ethtool -X {name} equal {}", facts.queues)),
        );
    }
    match (used, facts.hashes_ports) {
        (Use::Underlay, Some(false)) => Finding::warning(
            CHECK,
            "the hash that picks a queue leaves out UDP ports, where VXLAN has its entropy",
            "all that one other host sends comes to one worker",
            there(&facts.subject, &format!("ethtool -N {name} rx-flow-hash udp4 sdfn")),
        ),
        (Use::Underlay, Some(true)) => Finding::ok(CHECK, "queues are picked by addresses and UDP ports"),
        (_, None) if facts.hashed.is_none() => {
            Finding::ok(CHECK, format!("{} does not say how it picks a queue", facts.driver))
        }
        _ => Finding::ok(CHECK, "its indirection table leads to every worker"),
    }
}
