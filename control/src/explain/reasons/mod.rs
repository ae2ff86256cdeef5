//! What every drop reason and event counter means to whoever has to act on it: the one source of `dvrctl explain`, of
//! docs/drops.md and of the comments in a capture of drops.
//!
//! Name, rules and the half sentence of a reason are [`DropReason`]'s own. The rest is here, an entry per reason; the
//! compiler demands one for each ([`of`], [`of_event`]). Commands use capitals for what the reader fills in;
//! `DROPS.pcapng` is what `dvrctl replay --drops` writes.

mod bridge;
mod decode;
mod external;
mod kernel;
mod limits;
mod output;
mod port;
mod router;
mod tunnel;

pub use kernel::of_loss;

use dataplane::counters::{Event, KernelLoss};
use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;

/// Where in the pipeline a reason belongs, in the order of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// I0.
    Headers,
    /// I1, I2, G1.
    Port,
    /// T0 to T5.
    Tunnel,
    /// L1 to L6.
    Bridge,
    /// R0 to R9.
    Router,
    /// F, S, X, Q.
    External,
    /// O1 to O4.
    Output,
    /// No place of its own.
    Anywhere,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 8] = [
        Place::Headers,
        Place::Port,
        Place::Tunnel,
        Place::Bridge,
        Place::Router,
        Place::External,
        Place::Output,
        Place::Anywhere,
    ];

    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Place::Headers => "Header checks, wherever a frame enters",
            Place::Port => "From a VM or service port",
            Place::Tunnel => "From the tunnel",
            Place::Bridge => "Layer 2",
            Place::Router => "Router",
            Place::External => "Floating IPs, source NAT, fragments, QoS",
            Place::Output => "Output",
            Place::Anywhere => "Anywhere",
        }
    }
}

/// Whether this build can give a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurs {
    /// Yes; a fixture or a unit test shows it (`control/tests/drop_reasons.rs`).
    Now,
    /// Not before this rule of docs/behaviour.md is built.
    Later(&'static str),
    /// Only through a defect of dvrd.
    Defect,
}

/// A drop reason for whoever has to act on it.
#[derive(Debug)]
pub struct Reason {
    /// Where it belongs.
    pub place: Place,
    /// Whether it can happen now.
    pub occurs: Occurs,
    /// The stages that give it; none if it cannot happen yet.
    pub stages: &'static [Stage],
    /// What it means, beyond [`DropReason::meaning`].
    pub more: &'static str,
    /// What it mostly comes from in the field.
    pub cause: &'static str,
    /// What to look at and to run, most telling first. From `#` on it is a remark.
    pub look: &'static [&'static str],
}

/// The entry of a reason.
pub fn of(reason: DropReason) -> &'static Reason {
    match reason {
        DropReason::ParseShort => &decode::PARSE_SHORT,
        DropReason::VnetBad => &decode::VNET_BAD,
        DropReason::ParseL3 => &decode::PARSE_L3,
        DropReason::ParseCsum => &decode::PARSE_CSUM,
        DropReason::EthSrcBad => &decode::ETH_SRC_BAD,
        DropReason::LinkLocalMcast => &decode::LINK_LOCAL_MCAST,
        DropReason::VlanUnexpected => &decode::VLAN_UNEXPECTED,
        DropReason::Ethertype => &decode::ETHERTYPE,
        DropReason::PortDown => &port::PORT_DOWN,
        DropReason::ReservedSrc => &port::RESERVED_SRC,
        DropReason::ReservedDst => &port::RESERVED_DST,
        DropReason::RaGuest => &port::RA_GUEST,
        DropReason::MacSpoof => &port::MAC_SPOOF,
        DropReason::IpSpoof => &port::IP_SPOOF,
        DropReason::ArpSpoof => &port::ARP_SPOOF,
        DropReason::NdSpoof => &port::ND_SPOOF,
        DropReason::DhcpServer => &port::DHCP_SERVER,
        DropReason::SgEgress => &port::SG_EGRESS,
        DropReason::SgIngress => &port::SG_INGRESS,
        DropReason::CtInvalid => &decode::CT_INVALID,
        DropReason::CtFull => &port::CT_FULL,
        DropReason::VxBad => &tunnel::VX_BAD,
        DropReason::UnknownVtep => &tunnel::UNKNOWN_VTEP,
        DropReason::VtepNotMember => &tunnel::VTEP_NOT_MEMBER,
        DropReason::UnknownVni => &tunnel::UNKNOWN_VNI,
        DropReason::OwnDvrMac => &tunnel::OWN_DVR_MAC,
        DropReason::LocalMacFromFabric => &tunnel::LOCAL_MAC_FROM_FABRIC,
        DropReason::DvrWrongVtep => &tunnel::DVR_WRONG_VTEP,
        DropReason::DvrUnknownDst => &tunnel::DVR_UNKNOWN_DST,
        DropReason::RouterMacFromFabric => &tunnel::ROUTER_MAC_FROM_FABRIC,
        DropReason::RouterArpFromFabric => &tunnel::ROUTER_ARP_FROM_FABRIC,
        DropReason::UnknownUnicast => &bridge::UNKNOWN_UNICAST,
        DropReason::Storm => &bridge::STORM,
        DropReason::Martian => &router::MARTIAN,
        DropReason::LinkLocal => &router::LINK_LOCAL,
        DropReason::SrcRoute => &decode::SRC_ROUTE,
        DropReason::Ttl => &router::TTL,
        DropReason::NoRoute => &router::NO_ROUTE,
        DropReason::NoNeigh => &router::NO_NEIGH,
        DropReason::Mtu => &router::MTU,
        DropReason::Scope => &router::SCOPE,
        DropReason::LoopLimit => &router::LOOP_LIMIT,
        DropReason::MetaBlocked => &router::META_BLOCKED,
        DropReason::FipNotLocal => &external::FIP_NOT_LOCAL,
        DropReason::SnatNoState => &router::SNAT_NO_STATE,
        DropReason::SnatPorts => &external::SNAT_PORTS,
        DropReason::NotActiveRole => &external::NOT_ACTIVE_ROLE,
        DropReason::FragBad => &external::FRAG_BAD,
        DropReason::FragLimit => &external::FRAG_LIMIT,
        DropReason::Policed => &external::POLICED,
        DropReason::PuntFull => &router::PUNT_FULL,
        DropReason::FwDeny => &router::FW_DENY,
        DropReason::RouterDown => &router::ROUTER_DOWN,
        DropReason::NoReceiver => &bridge::NO_RECEIVER,
        DropReason::NotOurs => &tunnel::NOT_OURS,
        DropReason::EcnBad => &tunnel::ECN_BAD,
        DropReason::Ipv6Unrouted => &router::IPV6_UNROUTED,
        DropReason::NeighQueueFull => &router::NEIGH_QUEUE_FULL,
        DropReason::UnderlayUnresolved => &output::UNDERLAY_UNRESOLVED,
        DropReason::TxFull => &output::TX_FULL,
        DropReason::NoFrame => &output::NO_FRAME,
        DropReason::NoHeadroom => &output::NO_HEADROOM,
        DropReason::HandoffFull => &output::HANDOFF_FULL,
        DropReason::PortGone => &output::PORT_GONE,
        DropReason::Internal => &output::INTERNAL,
    }
}

/// A counter for whoever sees it beside the drops. No frame in dvrd's books ends by one.
#[derive(Debug)]
pub struct Happening {
    /// What it counts, as half a sentence.
    pub meaning: &'static str,
    /// Is it trouble, and what does it come from.
    pub more: &'static str,
    /// What to look at.
    pub look: &'static [&'static str],
}

/// Every counter beside the drops, by the name operators see: events of the workers, limits of the writer, then what the
/// kernel lost.
pub fn counters() -> impl Iterator<Item = (&'static str, &'static Happening)> {
    let events = Event::ALL.into_iter().map(|event| (event.name(), of_event(event)));
    events.chain(limits::OF_WRITER.iter().map(|(name, entry)| (*name, entry))).chain(losses())
}

/// Frames the kernel lost, by the name operators see.
pub fn losses() -> impl Iterator<Item = (&'static str, &'static Happening)> {
    KernelLoss::ALL.into_iter().map(|loss| (loss.name(), of_loss(loss)))
}

/// The entry of an event.
pub fn of_event(event: Event) -> &'static Happening {
    match event {
        Event::FloodedUnknown => &Happening {
            meaning: "unknown unicast of which at least one copy was sent",
            more: "Rule L3: nobody is known by the destination MAC, so ports without port security, and with `flood_unknown` \
                   the other hosts, got a copy. A steady count is a machine Neutron does not know, or a guest with an old ARP \
                   entry. If nobody may get a copy the frame is dropped as unknown_unicast instead.",
            look: &[
                "dvrctl explain unknown_unicast   # the same causes",
                "openstack network show NET -c port_security_enabled; openstack port list --network NET --mac-address DST",
            ],
        },
        Event::SnapshotReload => &Happening {
            meaning: "a table row named a port or tunnel newer than the burst's snapshot; the newest one was asked",
            more: "Happens while changes are applied, at most for the bursts of that moment, and costs some nanoseconds. A count \
                   that rises without changes is a defect to report.",
            look: &["compare with the times of the changes (--events)"],
        },
        Event::LearnQueueFull => &Happening {
            meaning: "an address was seen that could not be reported for learning, because the queue was full",
            more: "The frame itself went on. The address is learned from a later frame; until then traffic to it is unknown \
                   unicast. Many new addresses at once: a scan with changing source MACs on a port without port security, or \
                   a machine behind a tunnel that does so.",
            look: &[
                "capture on the port without port security: tcpdump -e -n -i TAP; count the source MACs",
                "openstack port list --network NET --long; which ports have port_security_enabled False",
            ],
        },
        Event::TraceLost => &Happening {
            meaning: "a step of a traced frame is missing, because the queue of trace records was full",
            more: "The frame went on all the same. A worker keeps 16,384 steps until they are read, enough for one frame that is                    flooded to 1,000 receivers; tracing whole bursts fills it.",
            look: &["trace fewer frames at a time: dvrctl trace --frame N"],
        },
        Event::IcmpLimited => &Happening {
            meaning: "an ICMP error or TCP reset was not sent, because its router or its receiver had enough of them",
            more: "A router sends 100 a second, of them 10 to one sender. The packet itself is counted as dropped, or consumed, \
                   all the same. A scan, a routing loop or a sender that does not listen to errors meets the limit.",
            look: &[
                "the drops beside it: ttl, no_route, no_neigh, mtu   # dvrctl explain NAME",
                "tshark -r DROPS.pcapng -q -z endpoints,ip   # who sends what cannot be delivered",
            ],
        },
        Event::Segmented => &Happening {
            meaning: "super-frames of a VM that were cut into packets here, because their way out does not carry them whole",
            more: "Rule I0-gso: to another VM of the host whose port is a packet socket they go as they are; to other hosts and \
                   physical networks in packets, cut and summed by the worker. No loss: it tells where CPU time goes.",
            look: &["docs/dvrd.toml, port_io: which ports are packet sockets"],
        },
        Event::ChecksumDone => &Happening {
            meaning: "packets whose TCP or UDP checksum a VM's kernel had left to its NIC, and which was filled in here",
            more: "Rule I0-gso: between two packet sockets nobody computes it; before every other way out the worker does.",
            look: &["docs/dvrd.toml, port_io: which ports are packet sockets"],
        },
        Event::DropCaptureFull => &Happening {
            meaning: "a dropped frame is missing in the capture of drops, because its buffer was full",
            more: "The drop is counted under its reason all the same; only its record is lost. dvrctl replay never loses one. A \
                   capture from running workers does when frames are dropped faster than the file is written.",
            look: &[
                "the drops by reason, which are complete; a shorter snap length does not help, a shorter capture does",
            ],
        },
    }
}

/// The comment of a dropped frame in a capture. `drop: NAME |` is what filters look for.
pub fn comment(stage: Stage, reason: DropReason) -> String {
    let rule = Some(reason.rule()).filter(|r| !r.is_empty()).unwrap_or("-");
    format!("drop: {} | stage {} | rule {rule} | {}", reason.name(), stage.name(), reason.meaning())
}

/// The names nearest to a word that is none, at most three.
pub fn nearest(word: &str) -> Vec<&'static str> {
    let names = DropReason::ALL.iter().map(|r| r.name()).chain(counters().map(|(name, _)| name));
    let word = word.to_lowercase().replace('-', "_");
    let mut all: Vec<_> = names.map(|n| (strsim::jaro_winkler(&word, n), n)).filter(|(near, _)| *near > 0.75).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    all.into_iter().take(3).map(|(_, n)| n).collect()
}
