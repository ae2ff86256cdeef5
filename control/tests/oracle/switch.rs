//! Bridges that run flows: tables, `NORMAL` as a learning switch per VLAN, patch ports between bridges.

use crate::flow::{Action, Flow, LearnInto, Learned, Match};
use crate::packet::{Field, Packet};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;

/// Where a port of a bridge leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// An interface of that name: a VM's, a NIC, or one in a namespace.
    Device,
    /// Bridge and port at the other side.
    Patch(usize, u16),
    /// A VXLAN port to this VTEP, `key=flow`.
    Vtep(Ipv4Addr),
    /// The bridge's own interface, `LOCAL`: this machine's stack, which has no part in this.
    Stack,
}

#[derive(Clone, Debug)]
pub struct Port {
    pub name: String,
    /// Access VLAN; none: a trunk of all VLANs.
    pub tag: Option<u16>,
    pub end: End,
}

/// MACs that `NORMAL` has learned: (VLAN, MAC) to port.
pub type Macs = BTreeMap<(u16, u64), u16>;

#[derive(Debug)]
pub struct Bridge {
    pub name: String,
    pub ports: BTreeMap<u16, Port>,
    /// By table, highest priority first.
    pub tables: BTreeMap<u8, Vec<Rc<Flow>>>,
    pub macs: Macs,
    /// MACs of the model and the only port at which they may be learned (departure `static-rows`).
    pub pinned: Macs,
}

impl Bridge {
    pub fn new(name: &str) -> Bridge {
        let (ports, tables, macs, pinned) = Default::default();
        Bridge { name: name.to_owned(), ports, tables, macs, pinned }
    }

    pub fn port_no(&self, name: &str) -> Option<u16> {
        self.ports.iter().find(|(_, p)| p.name == name).map(|(no, _)| *no)
    }

    /// Puts a flow into its table; one with the same match and priority gives way.
    pub fn add(&mut self, flow: Flow) {
        let table = self.tables.entry(flow.table).or_default();
        let same = |f: &Rc<Flow>| f.priority == flow.priority && f.matches == flow.matches;
        match table.iter().position(same) {
            Some(at) => table[at] = Rc::new(flow),
            None => {
                let at = table.iter().take_while(|f| f.priority >= flow.priority).count();
                table.insert(at, Rc::new(flow));
            }
        }
    }

    fn best(&self, table: u8, packet: &Packet) -> Option<Rc<Flow>> {
        let holds = |m: &Match| packet.get(m.field).is_some_and(|v| v & m.mask == m.value & m.mask);
        self.tables.get(&table)?.iter().find(|f| f.matches.iter().all(holds)).cloned()
    }
}

/// A frame that left the bridges.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Left {
    Device(String, Vec<u8>),
    Tunnel(Ipv4Addr, u64, Vec<u8>),
}

/// What one frame did.
#[derive(Debug, Default)]
pub struct Trip {
    pub left: Vec<Left>,
    /// Flows that matched: bridge and line.
    pub path: Vec<String>,
    /// A pinned MAC would have been learned elsewhere.
    pub pinned: bool,
}

#[derive(Debug, Default)]
pub struct Switch {
    pub bridges: Vec<Bridge>,
}

/// Patch ports and resubmits one frame may go through (Open vSwitch: 64).
const DEPTH: usize = 64;

impl Switch {
    pub fn bridge(&self, name: &str) -> Option<usize> {
        self.bridges.iter().position(|b| b.name == name)
    }

    /// A frame comes in by a port.
    pub fn receive(&mut self, bridge: usize, port: u16, bytes: &[u8], tun_id: u64, trip: &mut Trip) {
        let mut packet = Packet::new(bytes, port, tun_id);
        self.table(bridge, 0, &mut packet, trip, 0);
    }

    fn table(&mut self, b: usize, table: u8, packet: &mut Packet, trip: &mut Trip, depth: usize) {
        assert!(depth < DEPTH, "a frame goes round in the bridges: {:#?}", trip.path);
        let Some(flow) = self.bridges[b].best(table, packet) else {
            trip.path.push(format!("{} table={table}: no flow, dropped", self.bridges[b].name));
            return;
        };
        flow.hits.set(flow.hits.get() + 1);
        trip.path.push(format!("{} {}", self.bridges[b].name, flow.text));
        for action in &flow.actions {
            match action {
                Action::Drop => return,
                Action::Normal => self.normal(b, packet, trip, depth),
                Action::BackOut => self.output(b, packet.in_port, packet, trip, depth),
                Action::Output(port) if *port == packet.in_port => {}
                Action::Output(port) => self.output(b, *port, packet, trip, depth),
                Action::OutputReg(n) => {
                    let port = packet.regs[usize::from(*n)] as u16;
                    if port != packet.in_port {
                        self.output(b, port, packet, trip, depth);
                    }
                }
                Action::Resubmit(t) | Action::Goto(t) => self.table(b, *t, packet, trip, depth + 1),
                Action::PushVlan(tpid) => packet.push_vlan(*tpid),
                Action::PopVlan => packet.pop_vlan(),
                Action::Set(field, value) => packet.set(*field, *value),
                Action::Move(from, to) => {
                    let value = packet.get(*from).expect("a flow moves a field the packet does not have");
                    packet.set(*to, value);
                }
                Action::Learn(parts, into) => self.learn(b, parts, *into, packet),
            }
        }
    }

    fn output(&mut self, b: usize, port: u16, packet: &Packet, trip: &mut Trip, depth: usize) {
        let Some(port) = self.bridges[b].ports.get(&port) else {
            panic!("bridge {}: output to port {port}, which it does not have", self.bridges[b].name)
        };
        match &port.end {
            End::Stack => {}
            End::Device => trip.left.push(Left::Device(port.name.clone(), packet.bytes.clone())),
            End::Vtep(ip) => trip.left.push(Left::Tunnel(*ip, packet.tun_id, packet.bytes.clone())),
            End::Patch(peer, at) => {
                let (peer, at) = (*peer, *at);
                let mut packet = Packet::new(&packet.bytes, at, 0);
                self.table(peer, 0, &mut packet, trip, depth + 1);
            }
        }
    }

    /// The learning switch: ovs-vswitchd.conf.db(5), "VLAN configuration"; ovs-actions(7), `normal`.
    fn normal(&mut self, b: usize, packet: &Packet, trip: &mut Trip, depth: usize) {
        let bridge = &mut self.bridges[b];
        let (vid, in_port) = (packet.vid(), packet.in_port);
        let vlan = match bridge.ports[&in_port].tag {
            Some(_) if vid != 0 => return,
            Some(tag) => tag,
            None => vid,
        };
        let (src, dst) = (mac(packet, Field::EthSrc), mac(packet, Field::EthDst));
        if dst & !0xf == 0x0180_c200_0000 {
            return;
        }
        if !multicast(src) {
            if bridge.pinned.get(&(vlan, src)).is_none_or(|p| *p == in_port) {
                bridge.macs.insert((vlan, src), in_port);
            } else {
                trip.pinned = true;
            }
        }
        let to: Vec<u16> = match bridge.macs.get(&(vlan, dst)).filter(|_| !multicast(dst)) {
            Some(port) => vec![*port],
            None => bridge.ports.iter().filter(|(_, p)| p.tag.is_none_or(|t| t == vlan)).map(|(no, _)| *no).collect(),
        };
        let mut inner = packet.clone();
        inner.pop_vlan();
        for port in to.into_iter().filter(|p| *p != in_port) {
            let mut copy = inner.clone();
            if vlan != 0 && self.bridges[b].ports[&port].tag.is_none() {
                copy.set(Field::VlanVid, u64::from(vlan) | 0x1000);
            }
            self.output(b, port, &copy, trip, depth);
        }
    }

    fn learn(&mut self, b: usize, parts: &[Learned], into: LearnInto, packet: &Packet) {
        let (mut matches, mut actions) = (Vec::new(), Vec::new());
        let now = |f: Field| packet.get(f).expect("learn reads a field the packet does not have");
        for part in parts {
            match *part {
                Learned::Match(to, from, mask) => {
                    matches.push(Match { field: to, value: now(from) & mask, mask });
                }
                Learned::Load(to, value) => actions.push(Action::Set(to, value)),
                Learned::Copy(to, from) => actions.push(Action::Set(to, now(from))),
                Learned::Output(from) => actions.push(Action::Output(now(from) as u16)),
            }
        }
        let text = format!("table={},priority={} (learned) {matches:x?}", into.table, into.priority);
        let (table, priority) = (into.table, into.priority);
        let hits = Default::default();
        self.bridges[b].add(Flow { table, priority, matches, actions, learned: true, text, hits });
    }

    /// What has been learned, to go back to.
    pub fn learned(&self) -> Vec<Memory> {
        let of = |b: &Bridge| {
            let flows = b.tables.iter().flat_map(|(t, flows)| flows.iter().map(move |f| (*t, f)));
            let flows = flows.filter(|(_, f)| f.learned).map(|(t, f)| (t, f.clone())).collect();
            Memory { macs: b.macs.clone(), flows }
        };
        self.bridges.iter().map(of).collect()
    }

    /// Forgets what was learned since.
    pub fn forget(&mut self, to: &[Memory]) {
        for (b, memory) in self.bridges.iter_mut().zip(to) {
            b.macs.clone_from(&memory.macs);
            b.tables.values_mut().for_each(|flows| flows.retain(|f| !f.learned));
            for (table, flow) in &memory.flows {
                let flows = b.tables.entry(*table).or_default();
                let at = flows.iter().take_while(|f| f.priority >= flow.priority).count();
                flows.insert(at, flow.clone());
            }
        }
    }
}

/// What one bridge has learned.
#[derive(Clone, Debug)]
pub struct Memory {
    macs: Macs,
    flows: Vec<(u8, Rc<Flow>)>,
}

fn mac(packet: &Packet, field: Field) -> u64 {
    packet.get(field).expect("a frame has at least an Ethernet header")
}

fn multicast(mac: u64) -> bool {
    mac & 0x0100_0000_0000 != 0
}
