//! What each stage's records say.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::MacAddr;
use dataplane::burst::{FloodSet, Out, Word};
use dataplane::stage::Stage;
use dataplane::tables::{FdbValue, NeighValue};
use dataplane::trace::{Field, Note, TraceRecord};
use dataplane::wire::icmp::IcmpError;

use super::words::Words;
use super::{Changed, Ending, Step, drops};
use crate::frame_text::Decoded;

/// Tells a frame's way, record by record.
pub(super) struct Tale<'t> {
    pub(super) words: &'t Words<'t>,
    pub(super) port: &'t str,
    pub(super) frame: &'t Decoded,
    /// The network the frame is in now.
    pub(super) seg: Option<u16>,
    /// Ethernet source now.
    pub(super) src: MacAddr,
    /// Ethernet destination now.
    pub(super) dst: MacAddr,
    /// TTL now, once a stage touched it.
    pub(super) ttl: Option<u64>,
    /// The router it is at.
    pub(super) iface: Option<u16>,
    /// The network of the next hop.
    pub(super) hop_seg: Option<u16>,
    /// The destination behind a floating IP.
    inside: Option<Ipv4Addr>,
}

/// The records of one stage in a row.
struct Visit<'r> {
    stage: Stage,
    notes: Vec<&'r TraceRecord>,
}

/// What stands around a record.
struct Context {
    before: Option<Note>,
    next_seg: Option<u16>,
}

impl<'t> Tale<'t> {
    pub(super) fn new(words: &'t Words<'t>, port: &'t str, frame: &'t Decoded) -> Self {
        let (src, dst) = (frame.inner.src, frame.inner.dst);
        Tale { words, port, frame, seg: words.start(), src, dst, ttl: None, iface: None, hop_seg: None, inside: None }
    }

    /// The steps worth telling, and how frames ended in them.
    pub(super) fn tell(mut self, records: &[TraceRecord]) -> (Vec<Step>, Vec<Ending>) {
        let visits = visits(records);
        let mut ends = Vec::new();
        let steps = visits.iter().filter_map(|v| self.step(v, &visits, &mut ends)).collect();
        (steps, ends)
    }

    fn step(&mut self, visit: &Visit<'_>, all: &[Visit<'_>], ends: &mut Vec<Ending>) -> Option<Step> {
        let mut step =
            Step { stage: visit.stage.name(), neutron: visit.stage.neutron(), found: Vec::new(), changed: Vec::new() };
        let has = |f: fn(&Note) -> bool| visit.notes.iter().any(|r| f(&r.note));
        let dropped = has(|n| matches!(n, Note::Dropped(_)));
        self.preface(visit.stage, dropped, &visit.notes, &mut step);
        let (was_in, mut copies) = (self.seg, Vec::new());
        for (i, record) in visit.notes.iter().enumerate() {
            let context = Context {
                before: i.checked_sub(1).and_then(|i| visit.notes.get(i)).map(|r| r.note),
                // A route is followed by the question for its next hop, which names the network it leads to.
                next_seg: visit.notes.iter().skip(i).find_map(|r| match r.note {
                    Note::Neigh(seg, ..) => Some(seg),
                    _ => None,
                }),
            };
            match record.note {
                Note::Dropped(reason) => {
                    let why = drops::because(self, visit.stage, reason);
                    step.found.push(format!("dropped as {}: {}", reason.name(), why.text));
                    let (reason, meaning) = (reason.name(), reason.meaning());
                    ends.push(Ending::Dropped { stage: step.stage, reason, meaning, rule: why.rule });
                }
                Note::Consumed => {
                    step.found.push("consumed: its purpose is served here".to_owned());
                    ends.push(Ending::Consumed { stage: step.stage });
                }
                Note::Waits(ip) => {
                    ends.push(Ending::Waits { neighbour: Ipv4Addr::from(ip) });
                    step.found.extend(self.note(visit.stage, record.note, context));
                }
                Note::WaitsForTunnel(ix) => {
                    ends.push(Ending::Unresolved { to: self.words.tunnel(ix) });
                    step.found.extend(self.note(visit.stage, record.note, context));
                }
                Note::Copy(out) => copies.push(self.words.out(out)),
                Note::Encap(vni, port) => step.found.push(self.encap(vni, port, record, all)),
                Note::Set(field, from, to) => {
                    if (visit.stage, field) == (Stage::ArpResponder, Field::EthSrc) {
                        let answer = self.words.mac(self.seg, MacAddr::from_u64(to));
                        step.found.push(format!("answered on this host: {answer}"));
                    }
                    self.set(field, from, to, was_in, &mut step);
                }
                note => step.found.extend(self.note(visit.stage, note, context)),
            }
        }
        if !copies.is_empty() {
            step.found.push(format!("T08 flood list: one copy each to {}", copies.join(", ")));
        }
        let silent = step.found.is_empty() && step.changed.is_empty();
        (!silent).then_some(step)
    }

    /// What follows from having passed a stage that leaves no record of its own.
    fn preface(&self, stage: Stage, dropped: bool, notes: &[&TraceRecord], step: &mut Step) {
        let has = |f: fn(&Note) -> bool| notes.iter().any(|r| f(&r.note));
        let source = || self.words.mac(self.seg, self.src);
        match stage {
            Stage::Ingress if !has(|n| matches!(n, Note::FromPort(_))) => {
                step.found.push(match self.port {
                    "tunnel" => "received on the underlay NIC, port tunnel".to_owned(),
                    phys if self.words.is_physical(phys) => format!("received on the NIC of physical network {phys}"),
                    other => format!("received on {other}, which is no local port of this host"),
                });
            }
            Stage::VmPort if !dropped => {
                step.found.push(match self.words.is_secured(self.port) {
                    true => "the port is ACTIVE; the sender's MAC and addresses are its own (port security)".to_owned(),
                    false => "the port is ACTIVE, without port security; no router's address or DVR MAC is claimed"
                        .to_owned(),
                });
            }
            Stage::LearningBlocker if !dropped && !has(|n| matches!(n, Note::SourceIsDvrMac(_))) => {
                let sent =
                    if self.port == "tunnel" { "a machine on that host" } else { "a machine on the physical network" };
                step.found.push(format!("source {} is no DVR MAC and not local: {sent} sent it", source()));
            }
            Stage::ArpResponder if !has(|n| !matches!(n, Note::Enter)) => {
                step.found.push(format!("{}: not for this stage to answer", self.frame.inner.payload));
            }
            _ => {}
        }
    }

    fn note(&mut self, stage: Stage, note: Note, context: Context) -> Option<String> {
        let w = self.words;
        Some(match note {
            Note::FromPort(ix) => match self.seg {
                Some(seg) => format!("T05 port: {} of {}", w.port(ix), w.seg(seg)),
                None => format!("T05 port: {}", w.port(ix)),
            },
            Note::FromTunnel(ix) => match &self.frame.outer {
                Some(o) => {
                    format!("T03 VTEP: outer source {} is {}; outer headers good, taken off", o.src, w.tunnel(ix))
                }
                None => format!("T03 VTEP: the outer source is {}; outer headers good, taken off", w.tunnel(ix)),
            },
            Note::Vni(vni, seg) => {
                self.seg = Some(seg);
                format!("T04 network: VNI {vni} is {}", w.seg(seg))
            }
            Note::SourceIsDvrMac(ix) => {
                format!("T02 DVR MAC: source is the DVR MAC of {}: routed there, not learned", w.tunnel(ix))
            }
            Note::Fdb(seg, mac, word) => self.fdb(seg, MacAddr::from_u64(mac), word),
            Note::Neigh(seg, ip, word) => self.neighbour(stage, seg, ip, word),
            Note::Learn => {
                let (source, seg) = (w.mac(self.seg, self.src), self.seg.map_or_else(String::new, |s| w.seg(s)));
                format!("T06 fdb: {source} is to be learned in {seg}; the writer is told where it came from")
            }
            // From router to router: the neighbour row said so already.
            Note::RouterInterface(ix) if self.iface == Some(ix) => return None,
            Note::RouterInterface(ix) => {
                self.iface = Some(ix);
                let what = if w.is_fg(ix) { "for floating IPs" } else { "routed here" };
                format!("T11 interface: destination {} is {}: {what}", self.dst, w.iface(ix))
            }
            Note::Route(out, via) => match context.before {
                Some(Note::SnatNextHop(..)) => return None,
                _ => self.route(out, via, context.next_seg),
            },
            Note::SnatNextHop(out, via) => {
                let source = self.addresses().map_or_else(String::new, |(src, _)| format!(" of source {src}"));
                let hop = w.ip(context.next_seg, via);
                format!(
                    "T16 SNAT: no route in the main table; the subnet{source} leaves by {hop}, out of {}",
                    w.iface(out)
                )
            }
            Note::GatewayOf(ip) => {
                let subnet = self.seg.and_then(|seg| w.subnet(seg, ip));
                let address = Ipv4Addr::from(ip);
                match subnet {
                    Some(cidr) => {
                        format!("T09 subnet: {address} is in {cidr}; its gateway becomes the source")
                    }
                    None => format!(
                        "T09 subnet: {address} is in no subnet of the network; the gateway of the port's first one counts"
                    ),
                }
            }
            Note::RouterAnswers(ip) => {
                format!("{} is the router's own address: it answers the echo request itself", Ipv4Addr::from(ip))
            }
            Note::FloatingIpOut(ip) => {
                let source = self.addresses().map_or_else(String::new, |(src, _)| src.to_string());
                let address = Ipv4Addr::from(ip).to_string();
                if source == address {
                    format!(
                        "R4-3: no route in the main table; {source} is in the external scope and leaves as it is, by fg-"
                    )
                } else {
                    format!(
                        "T14 floating IP: no route in the main table; {source} has {address} and leaves with it, by fg-"
                    )
                }
            }
            Note::FloatingIpIn(router, fixed) => {
                self.iface = None;
                let inside = Ipv4Addr::from(fixed);
                self.inside = Some(inside);
                if matches!(context.before, Some(Note::Neigh(..))) {
                    return None; // the neighbour row said so already
                }
                format!("T14 floating IP: served by this host; it is {inside} behind {}", w.router(router))
            }
            Note::Vlan(vid, seg) => {
                self.seg = Some(seg);
                match vid {
                    0 => format!("T04 network: untagged is {}", w.seg(seg)),
                    _ => format!("T04 network: VLAN {vid} is {}", w.seg(seg)),
                }
            }
            Note::Tag(0) => "sent untagged, as the network is flat".to_owned(),
            Note::Tag(vid) => format!("sent with VLAN {vid}"),
            Note::Waits(ip) => {
                format!("R7: the packet waits; {} is asked for, three times in 3 s at most", Ipv4Addr::from(ip))
            }
            Note::WaitsForTunnel(ix) => {
                format!(
                    "O3-wait: the MAC of the way to {} is not known; the packet waits for it, 1 s at most",
                    w.tunnel(ix)
                )
            }
            Note::Fragments(mtu) => format!("R8: cut into fragments of at most {mtu} bytes"),
            Note::Segments(size) => format!("I0-gso: cut into segments of {size} bytes of payload"),
            Note::ChecksumDone => "I0-gso: the checksum its sender left to the NIC is filled in".to_owned(),
            Note::Tells(word, src) => format!("the sender is told by {}: {}", Ipv4Addr::from(src), said(word)),
            Note::TellsNoMore => "the sender is told nothing: it, or the router, had its share of errors".to_owned(),
            Note::Heard(ip) => format!("the writer is told who says to have {}", Ipv4Addr::from(ip)),
            Note::Out(out) => return self.way_out(out),
            Note::HandedOver(worker) => format!("the port belongs to worker {}, which sends it", worker.0),
            Note::Enter
            | Note::Dropped(_)
            | Note::Consumed
            | Note::Sent(_)
            | Note::Set(..)
            | Note::Copy(_)
            | Note::Encap(..) => {
                return None;
            }
        })
    }

    fn fdb(&self, seg: u16, mac: MacAddr, word: u64) -> String {
        let network = self.words.seg(seg);
        let Some(row) = FdbValue::unpack(word) else { return format!("T06 fdb: {mac} in {network}: no row") };
        let target = self.words.target(row.target);
        let learned = if row.learned { ", learned from traffic" } else { "" };
        let host = format!(" on {target}");
        match self.words.owner(Some(seg), mac) {
            Some(owner) if owner == target => format!("T06 fdb: {mac} in {network} -> {target}{learned}"),
            Some(owner) => {
                let owner = owner.strip_suffix(&host).unwrap_or(&owner);
                format!("T06 fdb: {mac} in {network} -> {target} ({owner}{learned})")
            }
            None => format!("T06 fdb: {mac} in {network} -> {target}{learned}"),
        }
    }

    fn neighbour(&mut self, stage: Stage, seg: u16, ip: u32, word: u64) -> String {
        let (w, address) = (self.words, Ipv4Addr::from(ip));
        self.hop_seg = Some(seg);
        let table = if stage == Stage::ArpResponder { "T07 ARP" } else { "T13 neighbour" };
        let head = format!("{table}: {address} in {}", w.seg(seg));
        let Some(row) = NeighValue::from_word(word) else { return format!("{head}: no row") };
        if let Some(ix) = row.router_interface() {
            self.iface = Some(ix);
            return format!("{head} -> {}, on this host: the packet enters that router", w.iface(ix));
        }
        if let Some((router, fixed)) = row.inside() {
            let (inside, router) = (Ipv4Addr::from(fixed), w.router(router));
            return format!("{head} -> a floating IP of this host: {inside} behind {router}");
        }
        if row == NeighValue::ASKED {
            return format!("{head} -> being asked for");
        }
        if row == NeighValue::UNANSWERED {
            return format!("{head} -> asked for, and nobody answered");
        }
        let chosen = if row.has(NeighValue::WATCHED) { ", chosen among its candidates" } else { "" };
        let target = w.target(row.target());
        match w.owner(Some(seg), row.mac()) {
            Some(owner) if owner.contains(&target) => format!("{head} -> {} ({owner}{chosen})", row.mac()),
            Some(owner) if target.contains(&owner) => format!("{head} -> {} ({target}{chosen})", row.mac()),
            Some(owner) => format!("{head} -> {} ({owner}), {target}{chosen}", row.mac()),
            None => format!("{head} -> {}, {target}{chosen}", row.mac()),
        }
    }

    fn route(&self, out: u16, via: u32, out_seg: Option<u16>) -> String {
        let w = self.words;
        let destination = self.inside.map(IpAddr::V4).or(self.addresses().map(|(_, dst)| dst));
        let subnet = match destination {
            Some(IpAddr::V4(dst)) => out_seg.and_then(|seg| w.subnet(seg, dst.into())),
            _ => None,
        };
        let destination = destination.map_or_else(|| "the destination".to_owned(), |dst| dst.to_string());
        if via != 0 {
            return format!("T12 route: {destination} by way of {}, out of {}", w.ip(out_seg, via), w.iface(out));
        }
        let connected = subnet.map_or_else(|| "connected".to_owned(), |cidr| format!("connected ({cidr})"));
        format!("T12 route: {destination} is {connected}, out of {}", w.iface(out))
    }

    fn way_out(&self, out: Out) -> Option<String> {
        let here = self.seg.map_or_else(|| "the network".to_owned(), |seg| self.words.seg(seg));
        match out {
            Out::Flood(FloodSet { all_ports: true, fabric: true }) => {
                Some(format!("for every other port of {here} on this host, and every host that has part in it"))
            }
            Out::Flood(FloodSet { all_ports: true, fabric: false }) => {
                Some(format!("for every other port of {here} on this host, and no other host"))
            }
            Out::Flood(FloodSet { fabric: true, .. }) => Some(format!(
                "unknown unicast: for the unsecured ports of {here} on this host, and the hosts of its flood list"
            )),
            Out::Flood(_) => Some(format!("unknown unicast: for the unsecured ports of {here} on this host only")),
            _ => None,
        }
    }

    fn encap(&self, vni: u32, port: u16, record: &TraceRecord, all: &[Visit<'_>]) -> String {
        // The next frame sent from the same lane is this one.
        let mut later = all.iter().flat_map(|v| &v.notes).skip_while(|r| !std::ptr::eq(**r, record));
        let tunnel = later.find_map(|r| match r.note {
            Note::Sent(Out::Tunnel(ix)) | Note::WaitsForTunnel(ix) if r.lane == record.lane => {
                Some(self.words.tunnel(ix))
            }
            _ => None,
        });
        let to = tunnel.map_or_else(String::new, |host| format!("T03 tunnel to {host}: "));
        format!("{to}outer headers put on, VNI {vni}, UDP source port {port}")
    }

    /// `was_in` is the network the frame was in when it entered the stage.
    fn set(&mut self, field: Field, from: u64, to: u64, was_in: Option<u16>, step: &mut Step) {
        let old = |v| self.words.mac(was_in, MacAddr::from_u64(v));
        let mac = |v| self.words.mac(self.seg, MacAddr::from_u64(v));
        let ip = |v: u64| Ipv4Addr::from(v as u32).to_string();
        let (name, old, new) = match field {
            Field::EthDst => ("Ethernet destination", old(from), mac(to)),
            Field::EthSrc => ("Ethernet source", old(from), mac(to)),
            Field::Seg => ("network", self.words.seg(from as u16), self.words.seg(to as u16)),
            Field::Ttl => ("TTL", from.to_string(), to.to_string()),
            Field::Tos => ("TOS", format!("{from:#04x}"), format!("{to:#04x}")),
            Field::IpSrc => ("IPv4 source", ip(from), ip(to)),
            Field::IpDst => ("IPv4 destination", ip(from), ip(to)),
        };
        match field {
            Field::EthDst => self.dst = MacAddr::from_u64(to),
            Field::EthSrc => self.src = MacAddr::from_u64(to),
            Field::Seg => self.seg = Some(to as u16),
            Field::Ttl => self.ttl = Some(to),
            Field::Tos | Field::IpSrc | Field::IpDst => {}
        }
        if from != to {
            step.changed.push(Changed { field: name, from: old, to: new });
        }
    }

    /// IP source and destination of the frame as received, the inner one if there are two.
    pub(super) fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        self.frame.inner.ip
    }
}

/// What the sender of a packet is told.
fn said(word: Word) -> String {
    match word {
        Word::Reset => "a TCP reset".to_owned(),
        Word::Error(IcmpError { kind: 3, code: 4, mtu }) => {
            format!("ICMP 3/4, fragmentation needed, the next network's MTU is {mtu}")
        }
        Word::Error(IcmpError { kind, code, .. }) => {
            let what = match (kind, code) {
                (11, 0) => "time to live exceeded in transit",
                (3, 0) => "network unreachable",
                (3, 1) => "host unreachable",
                (3, 3) => "port unreachable",
                _ => "an error",
            };
            format!("ICMP {kind}/{code}, {what}")
        }
    }
}

/// The records by stage, in the order in which the stages were entered. Ends are recorded last of all; each goes to
/// the stage that decided it.
fn visits(records: &[TraceRecord]) -> Vec<Visit<'_>> {
    let mut visits: Vec<Visit<'_>> = Vec::new();
    for record in records {
        let open = match record.note {
            // Unless the frame has been at an earlier stage again, as copies of a flood are.
            Note::Dropped(_) | Note::Consumed => {
                let place = visits.iter().rposition(|v| v.stage == record.stage);
                let place = place.filter(|n| visits.iter().skip(n + 1).all(|v| v.stage > record.stage));
                place.and_then(|n| visits.get_mut(n))
            }
            _ => visits.last_mut().filter(|v| v.stage == record.stage),
        };
        match open {
            Some(visit) => visit.notes.push(record),
            None => visits.push(Visit { stage: record.stage, notes: vec![record] }),
        }
    }
    visits
}
