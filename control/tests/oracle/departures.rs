//! Where dvrd does something else than the dumps' flows on purpose, one by one, and what it must do instead.
//!
//! The oracle's frames go in, the frames dvrd must send come out, with the fate it must give the one that came. Rules by
//! docs/behaviour.md and the specification; nothing here looks at what dvrd did.

use crate::cloud::{Facts, Place, PortFact, Seg};
use crate::ip::{self, Arp, Ip4};
use crate::router;
use crate::world::{In, Known, Out, Seen, Sent};

/// What dvrd must do with a frame.
#[derive(Debug, Default)]
pub struct Expect {
    pub sent: Vec<Sent>,
    /// It must be dropped with one of these reasons; empty: anything.
    pub dropped: &'static [&'static str],
    /// Departures that apply, by name.
    pub names: Vec<&'static str>,
    /// What the oracle learned from the frame does not count.
    pub teaches_nothing: bool,
    /// It makes dvrd wait: neighbours are asked for up to three seconds.
    pub waits: bool,
    /// It makes dvrd send an ICMP error or a reset: they are rate limited.
    pub tells: bool,
}

/// A frame and what is known of it.
pub struct Case<'a> {
    pub facts: &'a Facts,
    pub seg: &'a Seg,
    pub from: &'a In,
    /// Without the tag of its network.
    pub inner: Vec<u8>,
    pub seen: &'a Seen,
    pub known: &'a Known,
    pub is_seed: bool,
}

impl Expect {
    fn only(name: &'static str, dropped: &'static [&'static str]) -> Expect {
        Expect { dropped, names: vec![name], teaches_nothing: true, ..Expect::default() }
    }

    /// Nothing is sent by either.
    fn nothing(dropped: &'static [&'static str]) -> Expect {
        Expect { dropped, teaches_nothing: true, ..Expect::default() }
    }

    fn sends(name: &'static str, sent: Vec<Sent>) -> Expect {
        Expect { sent, names: vec![name], ..Expect::default() }
    }
}

/// The network a frame comes in on, and the frame without that network's tag; `None`: of no network here.
pub fn place<'f>(facts: &'f Facts, from: &In, frame: &[u8]) -> Option<(&'f Seg, Vec<u8>)> {
    match from {
        In::Port(id) => {
            let seg = facts.segs.iter().find(|s| s.ports.iter().any(|p| p.id == *id))?;
            Some((seg, frame.to_vec()))
        }
        In::Tunnel(_, vni) => Some((facts.segs.iter().find(|s| s.vni == Some(*vni))?, frame.to_vec())),
        In::Phys => {
            let tagged = ip::kind(frame) == 0x8100;
            let vid = if tagged { ip::be(frame, 14, 2) as u16 & 0xfff } else { 0 };
            let mut inner = frame.to_vec();
            if tagged {
                inner.drain(12..16);
            }
            Some((facts.segs.iter().find(|s| s.vid == Some(vid))?, inner))
        }
    }
}

/// What dvrd must do. The order is that of the rules.
pub fn expect(facts: &Facts, (from, frame): (&In, &[u8]), seen: &Seen, known: &Known, is_seed: bool) -> Expect {
    if let In::Tunnel(vtep, _) = from
        && !facts.others.iter().any(|(v, _)| v == vtep)
    {
        return Expect::nothing(&["unknown_vtep"]);
    }
    let Some((seg, inner)) = place(facts, from, frame) else {
        return Expect::nothing(match from {
            In::Phys if ip::multicast(ip::src(frame)) => &["eth_src_bad"],
            In::Phys if link_local(ip::dst(frame)) => &["link_local_mcast"],
            In::Phys => &["vlan_unexpected"],
            _ => &["unknown_vni"],
        });
    };
    let case = Case { facts, seg, from, inner, seen, known, is_seed };
    let mut e = case.decode().or_else(|| case.by_entry()).unwrap_or_else(|| case.layer2());
    e.sent.sort();
    e
}

impl Case<'_> {
    fn dst(&self) -> u64 {
        ip::dst(&self.inner)
    }

    fn src(&self) -> u64 {
        ip::src(&self.inner)
    }

    pub fn ip(&self) -> Option<Ip4> {
        (ip::kind(&self.inner) == 0x0800).then(|| Ip4::read(&self.inner[14..]).map(|(ip, _)| ip))?
    }

    fn icmp6(&self) -> Option<u8> {
        (ip::kind(&self.inner) == 0x86dd && self.inner[20] == 58).then(|| self.inner[54])
    }

    /// I0, I1, T2.
    fn decode(&self) -> Option<Expect> {
        if ip::multicast(self.src()) {
            return Some(Expect::only("eth-src", &["eth_src_bad"]));
        }
        if link_local(self.dst()) {
            return Some(Expect::nothing(&["link_local_mcast"]));
        }
        let tagged = ip::kind(&self.inner) == 0x8100;
        tagged.then(|| Expect::only("tagged", &["vlan_unexpected"]))
    }

    fn by_entry(&self) -> Option<Expect> {
        match self.from {
            In::Port(_) => self.vm_port(),
            In::Tunnel(..) => self.fabric(),
            In::Phys if self.seg.external => self.external(),
            In::Phys => self.fabric(),
        }
    }

    /// Who a DVR MAC is of: own, a host's, nobody's.
    fn is_dvr(&self, mac: u64) -> bool {
        self.facts.dvr_oui(mac)
    }

    /// I2, I3, and what goes to the router.
    fn vm_port(&self) -> Option<Expect> {
        let reserved = |mac: u64| self.seg.router_mac(mac).is_some() || self.is_dvr(mac);
        let arp = Arp::read(&self.inner);
        let lies = arp.is_some_and(|a| reserved(a.sha) || self.seg.router_ip(a.spa).is_some());
        if reserved(self.src()) || lies {
            return Some(Expect::only("reserved-src", &["reserved_src"]));
        }
        match self.icmp6() {
            Some(134) => return Some(Expect::only("ra-guest", &["ra_guest"])),
            Some(133) => return Some(Expect { teaches_nothing: false, ..Expect::only("rs-consumed", &[]) }),
            _ => {}
        }
        if let Some(arp) = arp.filter(|a| a.op == 1)
            && let Some(e) = self.arp_request(arp)
        {
            return Some(e);
        }
        if arp.is_some_and(|a| a.op == 2) && self.dst() == ip::BROADCAST {
            let mut e = Expect::sends("arp-reply", self.flood());
            self.filter(&mut e);
            return (e.sent != self.seen.sent).then_some(e);
        }
        if self.is_dvr(self.dst()) {
            let answer = arp.is_some_and(|a| a.op == 2 && a.tpa == 0) || self.icmp6() == Some(136);
            let owner = self.facts.others.iter().find(|(_, mac)| *mac == self.dst());
            if let Some((vtep, _)) = owner.filter(|_| answer) {
                let mut sent = flood_on(self.facts, self.seg, &self.inner, None);
                sent.retain(|(out, _)| match out {
                    Out::Tunnel(to, _) => to == vtep,
                    Out::Phys => true,
                    Out::Port(_) => false,
                });
                return (sent != self.seen.sent).then(|| Expect::sends("probe-answer", sent));
            }
            return Some(Expect { teaches_nothing: false, ..Expect::only("reserved-dst", &["reserved_dst"]) });
        }
        self.seg.router_mac(self.dst()).map(|_| router::expect(self))
    }

    /// I3-a.
    fn arp_request(&self, arp: Arp) -> Option<Expect> {
        let back = |mac: u64| {
            let reply = Arp { op: 2, sha: mac, spa: arp.tpa, tha: arp.sha, tpa: arp.spa };
            (self.way_back(), ip::ether(self.src(), mac, 0x0806, &reply.bytes()))
        };
        if arp.spa == arp.tpa {
            return ip::multicast(self.dst()).then(|| Expect::sends("announcement", self.flood()));
        }
        if let Some(router) = self.seg.router_ip(arp.tpa) {
            return Some(Expect::sends("arp-consumed", vec![back(router.mac)]));
        }
        let owner = self.seg.ports.iter().find(|p| p.active && p.ips.contains(&arp.tpa))?;
        if self.dst() != ip::BROADCAST && self.dst() != owner.mac {
            return None;
        }
        if arp.spa == 0 && owner.mac == arp.sha {
            return (self.dst() == ip::BROADCAST).then(|| Expect::sends("own-probe", self.flood()));
        }
        match &owner.place {
            Place::Here => None, // no dump has two VMs of a network: it is the asker itself
            _ if self.is_seed => Some(Expect::sends("arp-responder", vec![back(owner.mac)])),
            _ => Some(Expect::sends("arp-consumed", vec![back(owner.mac)])),
        }
    }

    pub fn way_back(&self) -> Out {
        match self.from {
            In::Port(id) => Out::Port(id.clone()),
            In::Tunnel(vtep, vni) => Out::Tunnel(*vtep, *vni),
            In::Phys => Out::Phys,
        }
    }

    /// L6: to everybody on the network, as it is.
    fn flood(&self) -> Vec<Sent> {
        let mut all = flood_on(self.facts, self.seg, &self.inner, Some(self.from));
        all.sort();
        all
    }

    /// T3 to T5, V1 to V4.
    fn fabric(&self) -> Option<Expect> {
        let (src, dst) = (self.src(), self.dst());
        if src == self.facts.dvr_mac {
            return Some(Expect::only("own-dvr-mac", &["own_dvr_mac", "local_mac_from_fabric"]));
        }
        let here = |p: &PortFact| p.active && (p.place == Place::Here || p.place == Place::Namespace);
        if self.seg.port_mac(src).is_some_and(here) || self.seg.router_mac(src).is_some() {
            return Some(Expect::only("local-mac-from-fabric", &["local_mac_from_fabric"]));
        }
        let owner = self.facts.others.iter().find(|(_, mac)| *mac == src);
        let right = owner.is_some_and(|(vtep, _)| match self.from {
            In::Tunnel(from, _) => from == vtep,
            _ => true,
        });
        if self.is_dvr(src) && !right {
            return Some(Expect::only("dvr-wrong-vtep", &["dvr_wrong_vtep"]));
        }
        let arp = Arp::read(&self.inner);
        let about = |a: Arp| self.seg.router_ip(a.spa).is_some() || self.seg.router_ip(a.tpa).is_some();
        let answer = arp.is_some_and(|a| a.op == 2 && dst == self.facts.dvr_mac);
        if (arp.is_some_and(about) && !answer) || self.icmp6() == Some(134) {
            return Some(Expect::only("router-arp-from-fabric", &["router_arp_from_fabric"]));
        }
        if owner.is_some() {
            return Some(self.remote_router(arp));
        }
        if self.seg.router_mac(dst).is_some() {
            return Some(Expect::only("router-mac-from-fabric", &["router_mac_from_fabric"]));
        }
        // Only answers that are awaited are heard, and none is in these frames.
        self.is_dvr(dst).then_some(Expect::only("reserved-dst", &["reserved_dst"]))
    }

    /// T4: another host's router sent it.
    fn remote_router(&self, arp: Option<Arp>) -> Expect {
        let dst = self.dst();
        if ip::multicast(dst) {
            let probe = arp.is_some_and(|a| a.op == 1 && a.spa == 0);
            if !probe {
                return Expect::nothing(&["dvr_unknown_dst"]);
            }
            let locals = self.seg.locals().map(|p| (Out::Port(p.id.clone()), self.inner.clone()));
            let sent: Vec<Sent> = locals.collect();
            return if sent.is_empty() { Expect::nothing(&[]) } else { Expect::sends("probe-in", sent) };
        }
        let port = match self.seg.port_mac(dst) {
            Some(p) if p.place == Place::Here && p.active => p,
            Some(p) if p.place == Place::Here => return Expect::only("port-down", &["port_down"]),
            Some(p) if p.place == Place::Namespace && p.snat => return self.to_snat(),
            _ => {
                return match self.learned_here(dst) {
                    Some(sent) => Expect::sends("t4-learned", sent),
                    None if self.seen.sent.is_empty() => Expect::nothing(&["dvr_unknown_dst"]),
                    None => Expect::only("seed-subnet-flows", &["dvr_unknown_dst"]),
                };
            }
        };
        let sent = vec![self.with_gateway(port)];
        let same = sent == self.seen.sent;
        let names = if same { vec![] } else { vec!["gateway-by-subnet"] };
        Expect { sent, names, ..Expect::default() }
    }

    /// The frame with the gateway's MAC as source, which the subnet of its destination decides (D5).
    fn with_gateway(&self, port: &PortFact) -> Sent {
        let within = |ip: u32| self.seg.routers.iter().find(|r| (ip ^ r.ip) & crate::netns::mask(r.len) == 0);
        let first = within(port.ips[0]).expect("a VM's subnet has a router");
        let gateway = self.ip().and_then(|ip| within(ip.dst)).unwrap_or(first);
        let mut frame = self.inner.clone();
        frame[6..12].copy_from_slice(&ip::mac_bytes(gateway.mac));
        (Out::Port(port.id.clone()), frame)
    }

    /// What T4 would send to the local port at which `mac` was learned last.
    fn learned_here(&self, mac: u64) -> Option<Vec<Sent>> {
        let at = self.known.here.iter().filter(|(_, m)| *m == mac);
        let port = at.filter_map(|(id, _)| self.seg.ports.iter().find(|p| p.id == *id)).next()?;
        Some(vec![self.with_gateway(port)])
    }

    fn to_snat(&self) -> Expect {
        Expect { teaches_nothing: false, ..Expect::only("snat-later", &["snat_no_state", "not_active_role"]) }
    }

    /// E0 to E2.
    fn external(&self) -> Option<Expect> {
        let (src, dst) = (self.src(), self.dst());
        let fg = self.facts.fg;
        let own = self.seg.port_mac(src).is_some_and(|p| p.place == Place::Namespace);
        if own || src == self.facts.dvr_mac {
            return Some(Expect::only("local-mac-from-fabric", &["local_mac_from_fabric"]));
        }
        if self.is_dvr(src) {
            return Some(Expect::nothing(&[]));
        }
        let request = self.fg_request().filter(|_| !self.is_dvr(dst));
        request.or_else(|| {
            let gateway = self.seg.ports.iter().find(|p| p.mac == dst && p.place == Place::Namespace);
            if gateway.is_some_and(|p| fg.is_none_or(|(mac, _)| mac != p.mac)) {
                return Some(self.to_snat()); // qg-
            }
            if fg.is_some_and(|(mac, _)| mac == dst) && self.ip().is_some() {
                return Some(router::expect(self));
            }
            if self.is_dvr(dst) {
                return Some(Expect::only("reserved-dst", &["reserved_dst"]));
            }
            None
        })
    }

    /// E1: a request for fg- or a floating IP of this host.
    fn fg_request(&self) -> Option<Expect> {
        let src = self.src();
        let arp = Arp::read(&self.inner).filter(|a| a.op == 1 && a.spa != a.tpa)?;
        let (fg_mac, fg_ip) = self.facts.fg?;
        let ours = arp.tpa == fg_ip || self.facts.fips.iter().any(|(fip, _)| *fip == arp.tpa);
        // What was for others and comes because a switch floods is nobody's to answer.
        if !ours || self.dst() != ip::BROADCAST && self.dst() != fg_mac {
            return None;
        }
        let reply = Arp { op: 2, sha: fg_mac, spa: arp.tpa, tha: arp.sha, tpa: arp.spa };
        let sent = vec![(Out::Phys, ip::ether(src, fg_mac, 0x0806, &reply.bytes()))];
        if self.seen.sent == sent {
            return Some(Expect { sent, ..Expect::default() });
        }
        Some(Expect::sends("arp-to-sender", sent))
    }

    /// L: the oracle's frames, without those that a departure takes away.
    fn layer2(&self) -> Expect {
        let mut e = Expect::default();
        if self.seen.to_snat && self.seg.port_mac(self.dst()).is_some_and(|p| p.place == Place::Namespace) {
            return self.to_snat();
        }
        e.sent.clone_from(&self.seen.sent);
        self.filter(&mut e);
        if self.seen.pinned {
            e.names.push("static-rows");
        }
        e
    }

    /// Copies that dvrd does not make.
    pub fn filter(&self, e: &mut Expect) {
        let known = |seg: &Seg, frame: &[u8]| seg.port_mac(ip::dst(frame)).cloned();
        let mut names = Vec::new();
        e.sent.retain(|(out, frame)| {
            let way = match out {
                Out::Port(id) => In::Port(id.clone()),
                Out::Tunnel(vtep, vni) => In::Tunnel(*vtep, *vni),
                Out::Phys => In::Phys,
            };
            let (seg, frame) = place(self.facts, &way, frame).expect("what the oracle sends is of a network");
            let frame = &frame[..];
            let gone = match known(seg, frame) {
                Some(p) if p.place == Place::Here && !p.active => Some("port-down"),
                Some(p) => match out {
                    Out::Port(id) => (*id != p.id).then_some("not-here"),
                    Out::Tunnel(vtep, _) => (p.place != Place::Away(*vtep)).then_some("not-here"),
                    Out::Phys => (!matches!(p.place, Place::Away(_))).then_some("not-here"),
                },
                None => {
                    let away = self.known.away.iter().any(|(s, m)| *s == seg.id && *m == ip::dst(frame));
                    let here = self.known.here.iter().any(|(p, m)| way == In::Port(p.clone()) && *m == ip::dst(frame));
                    (away && !here && matches!(out, Out::Port(_))).then_some("not-here")
                }
            };
            let unknown = gone.is_none()
                && known(seg, frame).is_none()
                && !ip::multicast(ip::dst(frame))
                && !seg.flood_unknown
                && matches!(out, Out::Tunnel(..) | Out::Phys)
                && self.seen.path.iter().any(|p| p.starts_with("br-tun table=22"));
            let arp = Arp::read(frame);
            let leak = !matches!(out, Out::Port(_))
                && arp.is_some_and(|a| seg.router_ip(a.spa).is_some() || seg.router_ip(a.tpa).is_some());
            let name = gone.or(unknown.then_some("unknown-unicast")).or(leak.then_some("arp-leak"));
            names.extend(name);
            name.is_none()
        });
        names.sort_unstable();
        names.dedup();
        e.names.extend(names);
    }
}

/// Bridges keep it to themselves.
fn link_local(mac: u64) -> bool {
    mac & !0xf == 0x0180_c200_0000
}

/// A copy to each local port of a network, each host with it, and its VLAN; none to where it came from.
pub fn flood_on(facts: &Facts, seg: &Seg, frame: &[u8], except: Option<&In>) -> Vec<Sent> {
    let mut all = Vec::new();
    for p in seg.locals().filter(|p| except != Some(&In::Port(p.id.clone()))) {
        all.push((Out::Port(p.id.clone()), frame.to_vec()));
    }
    if let Some(vni) = seg.vni.filter(|_| !matches!(except, Some(In::Tunnel(..)))) {
        all.extend(facts.others.iter().map(|(vtep, _)| (Out::Tunnel(*vtep, vni), frame.to_vec())));
    }
    if let Some(vid) = seg.vid.filter(|_| !matches!(except, Some(In::Phys))) {
        let mut f = frame.to_vec();
        if vid != 0 {
            let [a, b] = vid.to_be_bytes();
            f.splice(12..12, [0x81, 0, a, b]);
        }
        all.push((Out::Phys, f));
    }
    all
}
