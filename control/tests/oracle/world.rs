//! One host of the dumps: its bridges and namespaces together. A frame goes in, frames come out.

use crate::cloud::{Facts, OUTSIDE, Place, text};
use crate::dump;
use crate::ip::{self, Arp};
use crate::netns::{Ended, Namespace, Namespaces, Walk, read};
use crate::switch::{Bridge, End as PortEnd, Left, Port, Switch, Trip};
use std::net::Ipv4Addr;

/// By which way a frame comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum In {
    /// A VM's port, by its id.
    Port(String),
    /// VXLAN from this VTEP with this VNI.
    Tunnel(u32, u64),
    /// The physical network.
    Phys,
}

/// By which way a frame goes out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Out {
    Port(String),
    Tunnel(u32, u64),
    Phys,
}

pub type Sent = (Out, Vec<u8>);

/// What the oracle did with a frame.
#[derive(Debug, Default)]
pub struct Seen {
    pub sent: Vec<Sent>,
    /// How packets ended in namespaces.
    pub ends: Vec<Ended>,
    /// Flows and steps, for people.
    pub path: Vec<String>,
    pub not_hops: usize,
    pub translated: bool,
    pub pinned: bool,
    /// sg- and qg-: interfaces of the snat namespace, which does not take part yet.
    pub to_snat: bool,
}

/// Strangers' MACs that have been learned.
#[derive(Debug, Default)]
pub struct Known {
    /// At a local port: its id, the MAC.
    pub here: Vec<(String, u64)>,
    /// Behind a tunnel or the physical network: id of the network, the MAC.
    pub away: Vec<(String, u64)>,
}

pub struct World {
    pub switch: Switch,
    pub namespaces: Namespaces,
    /// Devices of VMs: name and port id.
    taps: Vec<(String, String)>,
    int: usize,
    tun: usize,
    /// Local VLANs of networks, and VLANs on the physical network.
    vlans: Vec<(u16, String)>,
    vids: Vec<(u16, String)>,
    /// Bridge and port of the physical NIC.
    phys: Option<(usize, u16)>,
}

impl World {
    /// A host of the captures.
    pub fn captured(facts: &Facts) -> World {
        let host = &facts.host;
        let (ovs, netns) =
            (format!("tests/oracle/captures/{host}-ovs.txt"), format!("tests/oracle/captures/{host}-netns.txt"));
        let more = "tests/oracle/captures/more.txt";
        let switch = dump::read(&ovs, &text(&ovs), host, (more, &text(more))).unwrap_or_else(|e| panic!("{e}"));
        let mut namespaces = read::namespaces(&netns, &text(&netns)).unwrap_or_else(|e| panic!("{e}"));
        if let Some(fip) = namespaces.0.iter_mut().find(|n| n.is_fip) {
            let fg = fip.links.keys().find(|d| d.starts_with("fg-")).expect("a fip namespace has an fg-").clone();
            for (ip, mac) in OUTSIDE {
                let ip: Ipv4Addr = ip.parse().unwrap();
                fip.neighbours.insert((fg.clone(), ip.into()), read::mac_of(mac).unwrap());
            }
        }
        // `ip -br link` shows no MTU; Neutron sets that of the network, and of the external one on rfp- and fpr- (1823798).
        let external = facts.segs.iter().find(|s| s.external).map_or(0, |s| s.mtu);
        for (dev, link) in namespaces.0.iter_mut().flat_map(|n| &mut n.links) {
            let seg = facts.segs.iter().find(|s| s.router_mac(link.mac).is_some());
            link.mtu = match dev.as_str() {
                "lo" => 0,
                _ => seg.map_or(external, |s| s.mtu),
            };
        }
        let ids: Vec<&str> = facts.segs.iter().flat_map(|s| s.locals()).map(|p| p.id.as_str()).collect();
        let int = switch.bridge("br-int").unwrap();
        let taps = switch.bridges[int].ports.values().filter_map(|p| {
            let start = p.name.strip_prefix("tap")?;
            let id = ids.iter().find(|id| id.starts_with(start)).unwrap_or_else(|| panic!("{} is no port", p.name));
            Some((p.name.clone(), (*id).to_owned()))
        });
        let (taps, tun) = (taps.collect(), switch.bridge("br-tun").unwrap());
        let ex = switch.bridge("br-ex").unwrap();
        let phys = Some((ex, switch.bridges[ex].port_no("pub0").unwrap()));
        let (vlans, vids) = Default::default();
        World { switch, namespaces, taps, int, tun, phys, vlans, vids }.warm(facts)
    }

    /// The seed's host: compute1.
    pub fn seed(facts: &Facts) -> World {
        let (mut int, mut tun) = (Bridge::new("br-int"), Bridge::new("br-tun"));
        let device = |name: &str, tag| Port { name: name.to_owned(), tag: Some(tag), end: PortEnd::Device };
        let trunk = |name: &str, end| Port { name: name.to_owned(), tag: None, end };
        int.ports.insert(4, device("vm81", 2));
        int.ports.insert(8, device("vm90", 1));
        int.ports.insert(5, trunk("patch-tun", PortEnd::Patch(1, 1)));
        for (no, name, tag) in [(1, "qr-f849ae46-48", 1), (2, "qr-517bdba3-b1", 2), (3, "qr-e47fca31-db", 1)] {
            int.ports.insert(no, device(name, tag));
        }
        let [network, compute2] = [facts.others[1].0, facts.others[0].0];
        tun.ports.insert(1, trunk("patch-int", PortEnd::Patch(0, 5)));
        tun.ports.insert(2, trunk("vxlan-compute2", PortEnd::Vtep(compute2.into())));
        tun.ports.insert(3, trunk("vxlan-network", PortEnd::Vtep(network.into())));
        for (bridge, name) in [(&mut int, "br-int"), (&mut tun, "br-tun")] {
            let (file, more) = (format!("../docs/seed-flows/{name}.txt"), "tests/oracle/seed/more.txt");
            let (dumped, left_out) = (text(&file), text(more));
            let dumped = dumped.lines().enumerate().filter(|(_, l)| !l.starts_with('#'));
            let left_out = left_out.lines().enumerate().filter_map(|(n, l)| Some((n, l.strip_prefix(name)?.trim())));
            let lines = dumped.map(|(n, l)| (file.as_str(), n + 1, l)).chain(left_out.map(|(n, l)| (more, n + 1, l)));
            dump::add_flows(bridge, &lines.collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
        }
        let id = |mac: u64| facts.segs.iter().find_map(|s| s.port_mac(mac)).unwrap().id.clone();
        let taps = vec![("vm81".into(), id(0xfa16_3e30_ee23)), ("vm90".into(), id(0xfa16_3e4a_22ff))];
        let namespaces = Namespaces(vec![crate::seed::qrouter()]);
        let switch = Switch { bridges: vec![int, tun] };
        let (vlans, vids) = Default::default();
        World { switch, namespaces, taps, int: 0, tun: 1, phys: None, vlans, vids }.warm(facts)
    }

    /// Everybody on this host has announced itself, as in a deployment that has run for a while. From then on a MAC of the
    /// model is learned only where its port is: departure `static-rows`.
    fn warm(mut self, facts: &Facts) -> World {
        let (int, ports) = (self.int, self.switch.bridges[self.int].ports.clone());
        let link = |dev: &str| {
            let ns = self.namespaces.0.iter().find_map(|n: &Namespace| n.links.get(dev));
            ns.map(|l| l.mac)
        };
        let mac_of = |name: &str| {
            let id = self.taps.iter().find(|(n, _)| n == name).map(|(_, id)| id);
            let port = id.and_then(|id| facts.segs.iter().flat_map(|s| &s.ports).find(|p| p.id == *id));
            link(name).or(port.map(|p| p.mac))
        };
        let macs: Vec<(u16, u64)> = ports.iter().filter_map(|(no, p)| Some((*no, mac_of(&p.name)?))).collect();
        for (no, mac) in macs {
            let hello = Arp { op: 1, sha: mac, spa: 0xc0a8_0001, tha: 0, tpa: 0xc0a8_0001 };
            let frame = ip::ether(ip::BROADCAST, mac, 0x0806, &hello.bytes());
            self.switch.receive(int, no, &frame, 0, &mut Trip::default());
        }
        for bridge in &mut self.switch.bridges {
            bridge.pinned = bridge.macs.clone();
            bridge.tables.values().flatten().for_each(|f| f.hits.set(0));
        }
        self.pin_remote(facts);
        let vlans = facts.segs.iter().filter_map(|s| Some((self.local_vlan(facts, s)?, s.id.clone())));
        self.vlans = vlans.collect();
        self.vids = facts.segs.iter().filter_map(|s| Some((s.vid?, s.id.clone()))).collect();
        self
    }

    /// MACs of other hosts' ports: by patch-tun, or by the physical network.
    fn pin_remote(&mut self, facts: &Facts) {
        for seg in &facts.segs {
            let away = seg.ports.iter().filter(|p| matches!(p.place, Place::Away(_)) && p.active);
            let Some(vlan) = self.local_vlan(facts, seg) else { continue };
            let by = if seg.vni.is_some() { "patch-tun" } else { "int-br-ex" };
            let int = &mut self.switch.bridges[self.int];
            let Some(no) = int.port_no(by) else { continue };
            let macs: Vec<u64> = away.map(|p| p.mac).collect();
            int.pinned.extend(macs.iter().map(|mac| ((vlan, *mac), no)));
            if let (Some((ex, pub0)), Some(vid)) = (self.phys, seg.vid) {
                self.switch.bridges[ex].pinned.extend(macs.iter().map(|mac| ((vid, *mac), pub0)));
            }
        }
    }

    /// The local VLAN of a network: the tag of its ports.
    fn local_vlan(&self, facts: &Facts, seg: &crate::cloud::Seg) -> Option<u16> {
        let int = &self.switch.bridges[self.int];
        let mut macs = seg.routers.iter().map(|r| r.mac).chain(facts.fg.filter(|_| seg.external).map(|(mac, _)| mac));
        macs.find_map(|mac| int.macs.keys().find(|(_, m)| *m == mac).map(|(vlan, _)| *vlan))
    }

    /// Where strangers' MACs have been learned.
    pub fn known(&self) -> Known {
        let int = &self.switch.bridges[self.int];
        let at = int.macs.iter().filter(|(key, _)| !int.pinned.contains_key(key)).filter_map(|((_, mac), no)| {
            let (_, id) = self.taps.iter().find(|(name, _)| *name == int.ports[no].name)?;
            Some((id.clone(), *mac))
        });
        let here = at.collect();
        let seg = |vlan: u64| self.vlans.iter().find(|(v, _)| u64::from(*v) == vlan).map(|(_, seg)| seg.clone());
        let flows = self.switch.bridges[self.tun].tables.get(&20).into_iter().flatten().filter(|f| f.learned);
        let by_tunnel = flows.filter_map(|f| Some((seg(f.matches[0].value)?, f.matches[1].value)));
        let by_phys = self.phys.iter().flat_map(|(ex, pub0)| {
            let macs = self.switch.bridges[*ex].macs.iter().filter(move |(_, no)| *no == pub0);
            macs.filter_map(|((vid, mac), _)| Some((self.vids.iter().find(|(v, _)| v == vid)?.1.clone(), *mac)))
        });
        Known { here, away: by_tunnel.chain(by_phys).collect() }
    }

    pub fn receive(&mut self, from: &In, frame: &[u8]) -> Seen {
        let mut trip = Trip::default();
        let mut seen = Seen::default();
        match from {
            In::Port(id) => {
                let (name, _) = self.taps.iter().find(|(_, i)| i == id).expect("a port of the dump");
                let no = self.switch.bridges[self.int].port_no(name).unwrap();
                self.switch.receive(self.int, no, frame, 0, &mut trip);
            }
            In::Tunnel(vtep, vni) => {
                let end = PortEnd::Vtep((*vtep).into());
                let ports = &self.switch.bridges[self.tun].ports;
                if let Some(no) = ports.iter().find(|(_, p)| p.end == end).map(|(no, _)| *no) {
                    self.switch.receive(self.tun, no, frame, *vni, &mut trip);
                }
            }
            In::Phys => {
                if let Some((bridge, no)) = self.phys {
                    self.switch.receive(bridge, no, frame, 0, &mut trip);
                }
            }
        }
        for round in 0.. {
            assert!(round < 64, "a frame goes round between bridges and namespaces: {:#?}", seen.path);
            seen.path.append(&mut trip.path);
            seen.pinned |= std::mem::take(&mut trip.pinned);
            let left = std::mem::take(&mut trip.left);
            if left.is_empty() {
                break;
            }
            for left in left {
                self.left(left, &mut seen, &mut trip);
            }
        }
        seen.sent.sort();
        seen
    }

    fn left(&mut self, left: Left, seen: &mut Seen, trip: &mut Trip) {
        match left {
            Left::Tunnel(ip, vni, bytes) => seen.sent.push((Out::Tunnel(ip.into(), vni), bytes)),
            Left::Device(dev, bytes) if dev == "pub0" => seen.sent.push((Out::Phys, bytes)),
            Left::Device(dev, bytes) => {
                if let Some((_, id)) = self.taps.iter().find(|(name, _)| *name == dev) {
                    seen.sent.push((Out::Port(id.clone()), bytes));
                } else if dev.starts_with("sg-") || dev.starts_with("qg-") {
                    let ns = self.namespaces.of(&dev).expect("the snat namespace");
                    seen.to_snat |= self.namespaces.0[ns].links[&dev].mac == ip::dst(&bytes);
                } else {
                    let ns = self.namespaces.of(&dev).unwrap_or_else(|| panic!("{dev} leads nowhere"));
                    let mut walk = Walk::default();
                    self.namespaces.receive(ns, &dev, &bytes, &mut walk);
                    seen.path.append(&mut walk.path);
                    seen.ends.append(&mut walk.ends);
                    seen.not_hops += walk.not_hops;
                    seen.translated |= walk.translated;
                    for (dev, frame) in walk.out {
                        let no = self.switch.bridges[self.int].port_no(&dev).expect("a port of br-int");
                        self.switch.receive(self.int, no, &frame, 0, trip);
                    }
                }
            }
        }
    }
}
