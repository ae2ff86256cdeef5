//! Random frames from the addresses of a cloud, mixed with strangers. A recipe is numbers, which proptest draws and shrinks;
//! all zero is a plain frame.

use crate::cloud::{Facts, OUTSIDE, Place, PortFact, Seg};
use crate::ip::{self, Arp, Ip4};
use crate::world::In;

pub type Recipe = [u16; 20];

/// A frame and the door it comes in by.
#[derive(Clone, Debug)]
pub struct Frame {
    pub from: In,
    pub bytes: Vec<u8>,
}

struct Dice<'r> {
    words: std::slice::Iter<'r, u16>,
}

impl Dice<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.words.next().copied().unwrap_or(0)) % n.max(1)
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// One in `n`.
    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

/// MACs of machines that are no ports: those behind local ports, other hosts, the physical network.
const LOCAL_STRANGERS: [u64; 2] = [0x5254_0000_0a01, 0x5254_0000_0a02];
const REMOTE_STRANGERS: [u64; 2] = [0x5254_0000_0b01, 0x5254_0000_0b02];
const PHYS_STRANGERS: [u64; 2] = [0x5254_0000_0c01, 0x5254_0000_0c02];
/// In no bridge's tables, ever: nobody sends with it.
const UNKNOWN: u64 = 0x5254_0000_0d01;
/// In the DVR OUI and no host's.
const NO_HOSTS_DVR: u64 = 0xfa16_3fff_fff1;
const MULTICAST: [u64; 4] = [0x0100_5e00_0012, 0x0100_5e00_00fb, 0x3333_0000_0001, 0x3333_0000_0016];
const LINK_LOCAL: u64 = 0x0180_c200_000e;

pub fn outside() -> Vec<(u32, u64)> {
    let read = |(ip, mac): &(&str, &str)| {
        let ip: std::net::Ipv4Addr = ip.parse().unwrap();
        (ip.into(), crate::netns::read::mac_of(mac).unwrap())
    };
    OUTSIDE.iter().map(read).collect()
}

/// Where a frame comes from and what may be there.
struct Scene<'f> {
    facts: &'f Facts,
    seg: &'f Seg,
    from: In,
    /// The local port it comes from.
    port: Option<&'f PortFact>,
    dice: Dice<'f>,
}

pub fn make(facts: &Facts, recipe: &Recipe) -> Frame {
    let mut dice = Dice { words: recipe.iter() };
    // Which network, and by which door.
    let mut doors: Vec<(&Seg, In, Option<&PortFact>)> = Vec::new();
    for seg in &facts.segs {
        for port in seg.locals() {
            let door = (seg, In::Port(port.id.clone()), Some(port));
            doors.extend([door.clone(), door.clone(), door]);
        }
        match (seg.vni, &facts.phys) {
            (Some(vni), _) => {
                doors.extend(facts.others.iter().map(|(vtep, _)| (seg, In::Tunnel(*vtep, vni), None)));
            }
            (None, Some(_)) if facts.fg.is_some() => doors.extend([(seg, In::Phys, None), (seg, In::Phys, None)]),
            _ => {}
        }
    }
    let (seg, from, port) = dice.one(&doors);
    let mut scene = Scene { facts, seg, from, port, dice };
    let bytes = scene.frame();
    let from = match scene.from {
        // a VNI of no network here; a VTEP of no host
        In::Tunnel(vtep, _) if scene.dice.rarely(150) => In::Tunnel(vtep, 0x00ab_cdef),
        In::Tunnel(_, vni) if scene.dice.rarely(150) => In::Tunnel(0xac14_0063, vni),
        from => from,
    };
    Frame { from, bytes }
}

impl Scene<'_> {
    fn frame(&mut self) -> Vec<u8> {
        let kind = self.dice.below(64);
        let mut f = match kind {
            0..20 => self.unicast(),
            20..34 if self.port.is_some() || self.seg.external => self.routed(),
            20..34 => self.remote_router(),
            34..38 => self.multicast(),
            38..52 => self.arp(),
            52..56 => self.other(),
            56..59 => self.ipv6(),
            59..62 => self.unicast(),
            _ => self.odd(),
        };
        if let (In::Phys, Some(vid)) = (&self.from, self.seg.vid) {
            match self.dice.below(50) {
                47 => tag(&mut f, 999),
                48 => tag(&mut f, 4095),
                _ if vid != 0 => tag(&mut f, vid),
                _ => {}
            }
        } else if self.dice.rarely(60) {
            let vid = self.dice.one(&[1, 2, 4, 101, 20, 4095]);
            tag(&mut f, vid);
        }
        f
    }

    /// The MAC of the sender.
    fn source(&mut self) -> u64 {
        let n = self.dice.below(40);
        let others = &self.facts.others;
        let remote: Vec<u64> = self.seg.ports.iter().filter(|p| p.place != Place::Here).map(|p| p.mac).collect();
        let local: Vec<u64> = self.seg.locals().map(|p| p.mac).collect();
        let strangers = match self.from {
            In::Port(_) => LOCAL_STRANGERS,
            In::Tunnel(..) => REMOTE_STRANGERS,
            In::Phys => PHYS_STRANGERS,
        };
        match (n, self.port) {
            (0..28, Some(port)) => port.mac,
            (0..20, None) if !remote.is_empty() => self.dice.one(&remote),
            (30, _) if !local.is_empty() => self.dice.one(&local),
            (31, _) if !remote.is_empty() => self.dice.one(&remote),
            (32, _) if !self.seg.routers.is_empty() => self.dice.one(&self.seg.routers).mac,
            (33, _) => self.facts.dvr_mac,
            (34, _) => self.dice.one(others).1,
            (35, _) if self.dice.rarely(2) => NO_HOSTS_DVR,
            _ => self.dice.one(&strangers),
        }
    }

    /// The MAC of somebody on this network. Not the sender's: dvrd learns a stranger after its frame, Open vSwitch before.
    fn target_of(&mut self, src: u64) -> u64 {
        Some(self.target()).filter(|to| *to != src).unwrap_or(UNKNOWN)
    }

    fn target(&mut self) -> u64 {
        let ports: Vec<u64> = self.seg.ports.iter().map(|p| p.mac).collect();
        let others = &self.facts.others;
        match self.dice.below(40) {
            0..24 if !ports.is_empty() => self.dice.one(&ports),
            24 | 25 if !self.seg.routers.is_empty() => self.dice.one(&self.seg.routers).mac,
            26 => self.facts.dvr_mac,
            27 => self.dice.one(others).1,
            28 => NO_HOSTS_DVR,
            29..32 => UNKNOWN,
            32..35 => self.dice.one(&LOCAL_STRANGERS),
            35..38 => self.dice.one(&REMOTE_STRANGERS),
            _ => self.dice.one(&PHYS_STRANGERS),
        }
    }

    fn ip_of(&mut self, seg: &Seg) -> u32 {
        let ips: Vec<u32> = seg.ports.iter().flat_map(|p| p.ips.clone()).collect();
        if ips.is_empty() { 0x0a09_0909 } else { self.dice.one(&ips) }
    }

    /// An IPv4 source address: mostly the sender's own.
    fn source_ip(&mut self) -> u32 {
        match (self.dice.below(24), self.port.and_then(|p| p.ips.first())) {
            (0..21, Some(ip)) => *ip,
            (21, _) => 0xc633_6407, // 198.51.100.7
            (22, _) => self.dice.one(&[0x7f00_0001, 0, 0xe000_0012, 0xffff_ffff, 0xa9fe_0101]),
            _ => self.ip_of(self.seg),
        }
    }

    /// Where a routed packet goes.
    fn destination(&mut self) -> u32 {
        let n = self.dice.below(40);
        let tenants: Vec<Seg> = self.facts.segs.iter().filter(|s| !s.external).cloned().collect();
        let seg = self.dice.one(&tenants);
        let subnet = self.dice.one(&seg.subnets);
        let outside: Vec<u32> = outside().iter().map(|(ip, _)| *ip).chain([0xc633_6407, 0x0808_0808]).collect();
        match n {
            0..20 => self.ip_of(&seg),
            20..26 => self.dice.one(&outside),
            26..29 if !self.facts.all_fips.is_empty() => self.dice.one(&self.facts.all_fips),
            29..32 => self.dice.one(&self.facts.router_ips().into_iter().collect::<Vec<_>>()),
            32 => subnet.0 | 200, // nobody has it
            33 => self.dice.one(&[0xa9fe_a9fe, 0xa9fe_0102, 0x7f00_0001, 0, 0xe000_0012, 0xffff_ffff]),
            34 => self.facts.fg.map_or(0x0808_0404, |(_, ip)| ip),
            35 => 0xcb00_7196, // on the external network, nobody's
            _ => self.ip_of(&seg),
        }
    }

    fn packet(&mut self, src: u32, dst: u32) -> Vec<u8> {
        let ttl = self.dice.one(&[64, 64, 64, 255, 128, 63, 2, 1]);
        // Longer than a VXLAN network's packets where the network allows it.
        let long = if self.seg.vni.is_none() { 1380 } else { 700 };
        let len = self.dice.one(&[0usize, 8, 32, 32, 100, long]) + if long > 700 { self.dice.below(80) } else { 0 };
        let body: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let (sport, dport) = (1024 + self.dice.below(3) as u16, self.dice.one(&[53u16, 80, 5000, 33434]));
        let mut l4 = Vec::new();
        let proto = self.dice.one(&[17u8, 17, 1, 6, 6, 50, 1]);
        match proto {
            17 => {
                l4.extend([sport, dport, 8 + len as u16, 1].map(u16::to_be_bytes).concat());
                if self.dice.rarely(6) {
                    l4[6..8].fill(0); // no checksum
                }
            }
            6 => {
                l4.extend([sport, dport].map(u16::to_be_bytes).concat());
                l4.extend([0, 0, 1, 0, 0, 0, 2, 0, 0x50]);
                l4.extend([self.dice.one(&[0x02, 0x02, 0x10, 0x12]), 0x20, 0, 0, 1, 0, 0]);
            }
            1 => {
                let kind = self.dice.one(&[8u8, 8, 8, 0]);
                l4.extend([kind, 0, 0, 0, 0x12, 0x34, 0, 1]);
            }
            _ => l4.extend([0u8; 8]),
        }
        l4.extend(body);
        if proto == 1 {
            let s = ip::sum(&[&l4]).to_be_bytes();
            l4[2..4].copy_from_slice(&s);
        }
        let tos = self.dice.one(&[0u8, 0, 0x02, 0xb8]);
        let head = Ip4 { tos, id: 0x4321, frag: self.dice.one(&[ip::DF, 0]), ttl, proto, src, dst };
        let l4 = head.summed(&l4);
        head.bytes(&l4)
    }

    fn unicast(&mut self) -> Vec<u8> {
        let src = self.source();
        let dst = self.target_of(src);
        let to = self.seg.port_mac(dst).and_then(|p| p.ips.first().copied());
        let (from, to) = (self.source_ip(), to.unwrap_or(0x0a01_00c8));
        let packet = self.packet(from, to);
        padded(ip::ether(dst, src, 0x0800, &packet))
    }

    /// To a router of this network; on the external one, to fg-.
    fn routed(&mut self) -> Vec<u8> {
        let src = self.source();
        if self.seg.external {
            let (mac, ip) = self.facts.fg.unwrap_or((UNKNOWN, 0));
            let mut to = self.facts.all_fips.clone();
            to.extend(self.facts.fips.iter().flat_map(|(fip, _)| [*fip, *fip]));
            to.extend([ip, 0x0a01_000a]);
            let (from, to) = (self.dice.one(&outside()), self.dice.one(&to));
            let packet = self.packet(from.0, to);
            return padded(ip::ether(mac, from.1, 0x0800, &packet));
        }
        let (from, to) = (self.source_ip(), self.destination());
        let packet = self.packet(from, to);
        let gateway = self.dice.one(&self.seg.routers).mac;
        padded(ip::ether(gateway, src, 0x0800, &packet))
    }

    /// What a remote host's router sends.
    fn remote_router(&mut self) -> Vec<u8> {
        let (vtep, own) = self.dice.one(&self.facts.others);
        let lies = self.dice.rarely(20);
        if let In::Tunnel(at, _) = &mut self.from
            && !lies
        {
            *at = vtep;
        }
        let mac = own;
        let ports: Vec<&PortFact> = self.seg.ports.iter().collect();
        let local: Vec<&PortFact> = self.seg.locals().collect();
        let (to, ip) = match self.dice.below(12) {
            0..8 if !local.is_empty() => {
                let p = self.dice.one(&local);
                (p.mac, self.dice.one(&p.ips))
            }
            8 => (ip::BROADCAST, 0x0a01_00ff),
            9 => (self.target(), 0x0a01_00c8),
            _ => {
                let p = self.dice.one(&ports);
                (p.mac, p.ips.first().copied().unwrap_or(0x0a01_00c8))
            }
        };
        // On the way to a second subnet of the network, where there is one.
        let subnet = self.dice.one(&self.seg.subnets).0;
        let ip = if self.dice.rarely(4) { subnet | 77 } else { ip };
        if to == ip::BROADCAST && self.dice.rarely(2) {
            let probe = Arp { op: 1, sha: mac, spa: 0, tha: 0, tpa: subnet | 201 };
            return ip::ether(to, mac, 0x0806, &probe.bytes());
        }
        let tenant = self.dice.one(&self.facts.segs.iter().filter(|s| !s.external).cloned().collect::<Vec<_>>());
        let from = self.ip_of(&tenant);
        let packet = self.packet(from, ip);
        padded(ip::ether(to, mac, 0x0800, &packet))
    }

    fn multicast(&mut self) -> Vec<u8> {
        let src = self.source();
        let dst = if self.dice.rarely(2) { ip::BROADCAST } else { self.dice.one(&MULTICAST) };
        let (from, to) = (self.source_ip(), if dst == ip::BROADCAST { 0xffff_ffff } else { 0xe000_0012 });
        let packet = self.packet(from, to);
        padded(ip::ether(dst, src, 0x0800, &packet))
    }

    fn arp(&mut self) -> Vec<u8> {
        let src = self.source();
        let sha = if self.dice.rarely(8) { self.source() } else { src };
        let spa = match self.dice.below(16) {
            0 => 0,
            1 => self.ip_of(self.seg),
            2 => self.dice.one(&self.facts.router_ips().into_iter().collect::<Vec<_>>()),
            3 => self.seg.subnets[0].0 | 90,
            _ => match (self.port, self.seg.port_mac(src)) {
                (_, Some(p)) if !p.ips.is_empty() => p.ips[0],
                _ if self.seg.external => self.dice.one(&outside()).0,
                _ => self.seg.subnets[0].0 | 91,
            },
        };
        let mut known: Vec<u32> = self.seg.ports.iter().flat_map(|p| p.ips.clone()).collect();
        if self.seg.external {
            known.extend(self.facts.all_fips.iter().flat_map(|fip| [*fip, *fip]));
            known.push(self.facts.fg.map_or(0, |(_, ip)| ip));
        }
        known.push(self.seg.subnets[0].0 | 202); // nobody's
        let tpa = match self.dice.below(8) {
            0 | 1 if !self.seg.routers.is_empty() => self.dice.one(&self.seg.routers).ip,
            2 => spa,
            _ => self.dice.one(&known),
        };
        let (op, dst, tha) = match self.dice.below(12) {
            0..7 => (1, ip::BROADCAST, 0),
            7 => {
                let owner = self.seg.ports.iter().find(|p| p.ips.contains(&tpa)).map(|p| p.mac);
                let router = self.seg.router_ip(tpa).map(|r| r.mac);
                (1, owner.or(router).unwrap_or(UNKNOWN), 0)
            }
            8 => (1, self.target_of(src), 0),
            9 => (2, ip::BROADCAST, if self.dice.rarely(2) { ip::BROADCAST } else { sha }),
            10 => {
                let gateway = self.seg.routers.first().map_or(UNKNOWN, |r| r.mac);
                (2, self.target_of(src), self.dice.one(&[UNKNOWN, gateway, ip::BROADCAST]))
            }
            _ => {
                let to = self.target_of(src);
                (2, to, to)
            }
        };
        let frame = ip::ether(dst, src, 0x0806, &Arp { op, sha, spa, tha, tpa }.bytes());
        if self.dice.rarely(3) { padded(frame) } else { frame }
    }

    /// RARP, LLDP and what nobody knows.
    fn other(&mut self) -> Vec<u8> {
        let src = self.source();
        let to = self.target_of(src);
        let kinds = [(0x8035, ip::BROADCAST), (0x88cc, LINK_LOCAL), (0x88b5, to), (0x88b5, 0x0100_0ccc_cccc)];
        let (kind, dst) = self.dice.one(&kinds);
        if kind == 0x8035 {
            let rarp = Arp { op: 3, sha: src, spa: 0, tha: src, tpa: 0 };
            return padded(ip::ether(dst, src, kind, &rarp.bytes()));
        }
        ip::ether(dst, src, kind, &[0x5a; 46])
    }

    /// Neighbour discovery and plain packets.
    fn ipv6(&mut self) -> Vec<u8> {
        let src = self.source();
        let to = self.target_of(src);
        let link_local = |mac: u64| {
            let b = ip::mac_bytes(mac);
            [0xfe, 0x80, 0, 0, 0, 0, 0, 0, b[0] ^ 2, b[1], b[2], 0xff, 0xfe, b[3], b[4], b[5]]
        };
        let mut all_nodes = [0; 16];
        (all_nodes[0], all_nodes[1], all_nodes[15]) = (0xff, 2, 1);
        let (from, target) = (link_local(src), link_local(to));
        // RS, RA, NS, NA, echo; 4 flag bytes, then the target.
        let kind = self.dice.one(&[135u8, 136, 133, 134, 128]);
        let mut m = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        match kind {
            134 => m.extend([0; 8]),
            135 | 136 => m.extend(target),
            _ => {}
        }
        let (dst, ip) = match kind {
            128 => (to, target),
            136 if self.dice.rarely(2) => (to, target),
            _ => (0x3333_0000_0001, all_nodes),
        };
        if to >> 40 & 1 == 1 || src >> 40 & 1 == 1 {
            return ip::ether(to, src, 0x88b5, &[0; 46]);
        }
        let s = ip::sum(&[&from, &ip, &(m.len() as u32).to_be_bytes(), &[0, 0, 0, 58], &m]).to_be_bytes();
        m[2..4].copy_from_slice(&s);
        let mut p = vec![0x60, 0, 0, 0];
        p.extend((m.len() as u16).to_be_bytes());
        p.extend([58, 255]);
        p.extend(from);
        p.extend(ip);
        p.extend(m);
        ip::ether(dst, src, 0x86dd, &p)
    }

    /// A multicast source.
    fn odd(&mut self) -> Vec<u8> {
        let dst = self.target();
        ip::ether(dst, 0x0100_5e00_0001, 0x88b5, &[0; 46])
    }
}

fn tag(frame: &mut Vec<u8>, vid: u16) {
    let [a, b] = vid.to_be_bytes();
    frame.splice(12..12, [0x81, 0, a, b]);
}

/// As a NIC sends it: at least 60 bytes.
fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
    frame
}
