//! The packets of `bench/baseline/gen_pcap.py`, byte for byte, and what must become of them: both from the topology
//! alone, with nothing of the dataplane's but the names of doors.

use crate::host::{port_ix, vm_doors};
use crate::topo::*;
use dataplane::addr::MacAddr;
use dataplane::burst::Door;

/// Flows of a bench.
pub const FLOWS: u32 = 1000;
/// Bytes of its frames: 64 with FCS.
pub const LEN: usize = 60;
/// What VXLAN puts before a frame.
const OUTER: usize = 50;
/// Source ports of a 5-tuple, after which the destination port counts on.
const PORTS: u32 = 60_000;

/// A case of the baseline, or of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Plain layer 2, local VM to remote VM of its network.
    L2Out,
    /// VXLAN in, remote VM to local VM.
    L2In,
    /// Local VM to a remote VM of the next network, through the router.
    Route,
    /// VXLAN in, routed on another host: its DVR MAC to local VM.
    Decap,
    /// Local VM by its floating IP to the internet.
    FipOut,
    /// From the internet to a floating IP.
    FipIn,
    /// Local VM to a local VM of another network. Not in the baseline.
    Local,
    /// The same, to a port of another worker where there are two or four.
    HandOff,
}

impl Case {
    /// Those of the baseline.
    pub const ALL: [Case; 6] = [Case::L2Out, Case::L2In, Case::Route, Case::Decap, Case::FipOut, Case::FipIn];
    /// Those it has not.
    pub const OURS: [Case; 2] = [Case::Local, Case::HandOff];

    /// Its name there.
    pub fn name(self) -> &'static str {
        match self {
            Case::L2Out => "l2out",
            Case::L2In => "l2in",
            Case::Route => "route",
            Case::Decap => "decap",
            Case::FipOut => "fipout",
            Case::FipIn => "fipin",
            Case::Local => "local",
            Case::HandOff => "handoff",
        }
    }

    /// The case of this name.
    pub fn named(name: &str) -> Option<Case> {
        Case::ALL.into_iter().chain(Case::OURS).find(|c| c.name() == name)
    }

    /// Doors its frames leave by.
    pub fn outs(self) -> Vec<Door> {
        match self {
            Case::L2Out | Case::Route => vec![Door::Tunnel],
            Case::FipOut => vec![Door::Phys(0)],
            Case::L2In | Case::Decap | Case::FipIn | Case::Local | Case::HandOff => vm_doors().collect(),
        }
    }

    /// Its frames leave with VXLAN around them.
    fn encapsulates(self) -> bool {
        matches!(self, Case::L2Out | Case::Route)
    }
}

/// Frames of a case, numbered by flow.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The case.
    pub case: Case,
    /// Not 0: the remote VM of each flow is one of that many further ones, at random ([`more_ip`]).
    pub more: u32,
}

/// Who speaks with whom.
struct Ends {
    /// Local VM.
    n: u16,
    j: u16,
    /// Its peer: number, network, MAC, address, host.
    k: u16,
    m: u16,
    mac: MacAddr,
    ip: u32,
    host: u16,
    ports: (u16, u16),
}

/// One frame, but for its length.
struct Flow {
    dst: MacAddr,
    src: MacAddr,
    sip: u32,
    dip: u32,
    ports: (u16, u16),
    ttl: u8,
}

impl Flow {
    /// An Ethernet frame of `len` bytes (without FCS) with IPv4/UDP and a counter as payload.
    fn frame(&self, len: usize) -> Vec<u8> {
        let udp_len = (len - 34) as u16;
        let mut udp: Vec<u8> = [self.ports.0, self.ports.1, udp_len, 0].iter().flat_map(|w| w.to_be_bytes()).collect();
        udp.extend((0..udp_len as usize - 8).map(|i| i as u8));
        let pseudo = [self.sip, self.dip, 17 << 16 | u32::from(udp_len)];
        let check = match checksum(pseudo.iter().flat_map(|w| w.to_be_bytes()).chain(udp.iter().copied())) {
            0 => 0xffff,
            check => check,
        };
        udp[6..8].copy_from_slice(&check.to_be_bytes());
        let eth = self.dst.octets().into_iter().chain(self.src.octets()).chain([8, 0]);
        eth.chain(ip4(self.sip, self.dip, udp_len, self.ttl)).chain(udp).collect()
    }
}

/// RFC 1071, over pairs of bytes, an odd one filled up with 0.
fn checksum(bytes: impl Iterator<Item = u8>) -> u16 {
    let sum: u64 = bytes.enumerate().map(|(i, b)| if i % 2 == 0 { u64::from(b) << 8 } else { u64::from(b) }).sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn ip4(src: u32, dst: u32, payload: u16, ttl: u8) -> [u8; 20] {
    let len = (20 + payload).to_be_bytes();
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (src.to_be_bytes(), dst.to_be_bytes());
    let mut h = [0x45, 0, len[0], len[1], 0, 0, 0x40, 0, ttl, 17, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    let check = checksum(h.into_iter()).to_be_bytes();
    h[10..12].copy_from_slice(&check);
    h
}

/// Outer headers: from (MAC, address) to (MAC, address).
fn vxlan(inner: &[u8], from: (MacAddr, u32), to: (MacAddr, u32), vni: u32, port: u16) -> Vec<u8> {
    let len = 16 + inner.len() as u16;
    let mut f: Vec<u8> = to.0.octets().into_iter().chain(from.0.octets()).chain([8, 0]).collect();
    f.extend(ip4(from.1, to.1, len, 64));
    f.extend([port, 4789, len, 0].iter().flat_map(|w| w.to_be_bytes()));
    f.extend(0x0800_0000u32.to_be_bytes());
    f.extend((vni << 8).to_be_bytes());
    f.extend(inner);
    f
}

const HERE: (MacAddr, u32) = (VTEP_MAC, VTEP_IP);

fn there(host: u16) -> (MacAddr, u32) {
    (rvtep_mac(host), rvtep_ip(host))
}

impl Plan {
    /// A case of the topology as it is.
    pub fn of(case: Case) -> Self {
        Plan { case, more: 0 }
    }

    fn pairs(&self) -> u32 {
        match self.case {
            Case::Local | Case::HandOff => u32::from(NETS * LOCAL),
            _ => 1000,
        }
    }

    fn ends(&self, i: u32) -> Ends {
        let ports = |q: u32| (1024 + (q % PORTS) as u16, 5001 + (q / PORTS) as u16);
        let routed = matches!(self.case, Case::Route | Case::Decap);
        if self.more != 0 {
            let x = scatter(i) % self.more;
            let (m, x) = ((x % u32::from(NETS)) as u16, x / u32::from(NETS));
            let n = if routed { (m + NETS - 1) % NETS } else { m };
            let (mac, ip, host) = (more_mac(m, x), more_ip(m, x), more_host(x));
            return Ends { n, j: (i % u32::from(LOCAL)) as u16, k: 0, m, mac, ip, host, ports: ports(i) };
        }
        let pair = (i % self.pairs()) as u16;
        let n = pair % NETS;
        let k = pair / NETS % REMOTE;
        let j = k % LOCAL;
        let ports = ports(i / self.pairs());
        if let Case::Local | Case::HandOff = self.case {
            // Of one worker, of two or four of them: ports are given to them in turn.
            let m = (n + 2) % NETS;
            let to = if self.case == Case::Local { j } else { (j + 1) % LOCAL };
            return Ends { n, j, k: to, m, mac: lvm_mac(m, to), ip: lvm_ip(m, to), host: 0, ports };
        }
        let m = if routed { (n + 1) % NETS } else { n };
        Ends { n, j, k, m, mac: rvm_mac(m, k), ip: rvm_ip(m, k), host: rvm_host(m, k), ports }
    }

    /// Frame of flow number `i`, `len` bytes inside, and the door it comes in by.
    pub fn input(&self, i: u32, len: usize) -> (Door, Vec<u8>) {
        let Ends { n, j, k, m: _, mac, ip, host, ports } = self.ends(i);
        let flow = |dst, src, sip, dip| Flow { dst, src, sip, dip, ports, ttl: 64 }.frame(len);
        let vm = Door::Port(port_ix(n, j));
        let tunnel = |inner: Vec<u8>| {
            let port = 49152 + (((u64::from(i) * 2_654_435_761) >> 8) & 0x3fff) as u16;
            (Door::Tunnel, vxlan(&inner, there(host), HERE, vni(n), port))
        };
        match self.case {
            Case::L2Out => (vm, flow(mac, lvm_mac(n, j), lvm_ip(n, j), ip)),
            Case::Route | Case::Local | Case::HandOff => (vm, flow(gw_mac(n), lvm_mac(n, j), lvm_ip(n, j), ip)),
            Case::L2In => tunnel(flow(lvm_mac(n, j), mac, ip, lvm_ip(n, j))),
            Case::Decap => tunnel(flow(lvm_mac(n, j), dvr_mac(host), ip, lvm_ip(n, j))),
            Case::FipOut => (vm, flow(gw_mac(n), lvm_mac(n, j), lvm_ip(n, j), ext_ip(k))),
            Case::FipIn => (Door::Phys(0), flow(FG_MAC, EXT_GW_MAC, ext_ip(k), fip(n, j))),
        }
    }

    /// What must become of it, and the door it leaves by; the outer source port is 0.
    pub fn output(&self, i: u32, len: usize) -> (Door, Vec<u8>) {
        let Ends { n, j, k, m, mac, ip, host, ports } = self.ends(i);
        let flow = |dst, src, sip, dip, ttl| Flow { dst, src, sip, dip, ports, ttl }.frame(len);
        let vm = Door::Port(port_ix(n, j));
        let tunnel = |net, inner: Vec<u8>| (Door::Tunnel, vxlan(&inner, HERE, there(host), vni(net), 0));
        let own = lvm_ip(n, j);
        match self.case {
            Case::L2Out => tunnel(n, flow(mac, lvm_mac(n, j), own, ip, 64)),
            Case::Route => tunnel(m, flow(mac, LOCAL_DVR_MAC, own, ip, 63)),
            Case::L2In => (vm, flow(lvm_mac(n, j), mac, ip, own, 64)),
            Case::Decap => (vm, flow(lvm_mac(n, j), gw_mac(n), ip, own, 64)),
            Case::FipOut => (Door::Phys(0), flow(EXT_GW_MAC, FG_MAC, fip(n, j), ext_ip(k), 63)),
            Case::FipIn => (vm, flow(lvm_mac(n, j), gw_mac(n), ext_ip(k), own, 63)),
            Case::Local | Case::HandOff => (Door::Port(port_ix(m, k)), flow(mac, gw_mac(m), own, ip, 63)),
        }
    }

    /// The flow a frame that left belongs to, by its inner addresses and ports; a guess for [`Plan::check`].
    fn flow(&self, inner: &[u8]) -> Option<u32> {
        let src: [u8; 4] = inner.get(26..30)?.try_into().ok()?;
        let dst: [u8; 4] = inner.get(30..34)?.try_into().ok()?;
        let port = |at: usize| Some(u32::from(u16::from_be_bytes(inner.get(at..at + 2)?.try_into().ok()?)));
        let q = port(34)?.checked_sub(1024)? + port(36)?.checked_sub(5001)? * PORTS;
        if self.more != 0 {
            return Some(q);
        }
        let tail = |a: [u8; 4]| u32::from(a[3]).checked_sub(10);
        let (n, k) = match self.case {
            Case::L2Out | Case::Route => (u32::from(src[1]), tail(dst)?),
            Case::L2In | Case::Decap => (u32::from(dst[1]), tail(src)?),
            Case::FipOut => (tail(src)? / u32::from(LOCAL), u32::from(dst[3])),
            Case::FipIn => (u32::from(dst[1]), u32::from(src[3])),
            Case::Local | Case::HandOff => (u32::from(src[1]), tail(src)?),
        };
        Some(k * u32::from(NETS) + n + q * self.pairs())
    }

    /// Is this frame, which left by `door`, what one of the flows must become, byte for byte? Its flow and outer source
    /// port, which may be any from 49152 on; else what is wrong.
    pub fn check(&self, door: Door, bytes: &[u8]) -> Result<(u32, Option<u16>), String> {
        let outer = if self.case.encapsulates() { OUTER } else { 0 };
        let inner = bytes.get(outer..).unwrap_or_default();
        let wrong = |what: String| format!("{}: by {door:?} left {}: {what}", self.case.name(), hex(bytes));
        let i = self.flow(inner).ok_or_else(|| wrong("of no flow".to_owned()))?;
        let (exit, mut expected) = self.output(i, inner.len());
        let port = (outer != 0).then(|| u16::from_be_bytes([bytes[34], bytes[35]]));
        if let (Some(port), Some(place)) = (port, expected.get_mut(34..36)) {
            place.copy_from_slice(&port.to_be_bytes());
        }
        if exit != door || expected != bytes {
            return Err(wrong(format!("flow {i} must leave by {exit:?} as {}", hex(&expected))));
        }
        match port {
            Some(port) if port < 49152 => Err(wrong(format!("outer source port {port} is under 49152"))),
            _ => Ok((i, port)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A number that looks random, the same every time (splitmix64's finish).
fn scatter(i: u32) -> u32 {
    let mut z = (u64::from(i) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z >> 32) as u32
}

/// Frame of flow number `i` of a case of the topology as it is.
pub fn build(case: Case, i: u32, len: usize) -> (Door, Vec<u8>) {
    Plan::of(case).input(i, len)
}

/// Frames of `flows` flows in a scattered order, by door.
pub fn sources(case: Case, flows: u32, len: usize) -> Vec<crate::load::Source> {
    crate::load::by_door(scattered(Plan::of(case), flows, len))
}

/// Those frames.
pub fn scattered(plan: Plan, flows: u32, len: usize) -> impl Iterator<Item = (Door, Vec<u8>)> {
    // 7919 is prime: every flow once, neighbours never alike.
    (0..flows).map(move |step| plan.input((u64::from(step) * 7919 % u64::from(flows)) as u32, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::process::Command;

    /// The other builder of these packets says the same.
    #[test]
    fn are_the_frames_of_gen_pcap() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline/gen_pcap.py");
        if Command::new("python3").arg("--version").output().is_err() {
            eprintln!("SKIPPED are_the_frames_of_gen_pcap: no python3");
            return;
        }
        for case in Case::ALL {
            let dir = std::env::temp_dir().join(format!("dvrd-frames-{}-{}", case.name(), std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let out = dir.join("f");
            let made = Command::new("python3")
                .args([script, "--case", case.name(), "--flows", "2000", "--out"])
                .arg(&out)
                .output();
            assert!(made.unwrap().status.success());
            let mut theirs = BTreeSet::new();
            for entry in std::fs::read_dir(&dir).unwrap() {
                theirs.extend(crate::load::read_pcap(&entry.unwrap().path()).unwrap());
            }
            std::fs::remove_dir_all(&dir).unwrap();
            let ours: BTreeSet<Vec<u8>> = (0..2000).map(|i| build(case, i, 60).1).collect();
            assert_eq!(ours.len(), 2000);
            assert!(ours == theirs, "{} differs", case.name());
        }
    }

    #[test]
    fn a_frame_as_it_must_be_is_known_and_any_byte_of_it_counts() {
        for case in Case::ALL.into_iter().chain(Case::OURS) {
            for plan in [Plan::of(case), Plan { case, more: 5000 }] {
                if plan.more != 0 && !matches!(case, Case::L2Out | Case::L2In | Case::Route) {
                    continue;
                }
                for i in [0, 1, 999, 1000, 1001, 123_456] {
                    let (door, mut bytes) = plan.output(i, LEN);
                    if case.encapsulates() {
                        assert!(plan.check(door, &bytes).is_err(), "outer source port 0");
                        bytes[34] = 0xc0;
                    }
                    assert_eq!(plan.check(door, &bytes).map(|(flow, _)| flow), Ok(i), "{}", case.name());
                    assert!(plan.check(Door::Unknown, &bytes).is_err());
                    for at in 0..bytes.len() {
                        let mut other = bytes.clone();
                        other[at] ^= 1;
                        let port = case.encapsulates() && (34..36).contains(&at);
                        assert_eq!(plan.check(door, &other).is_ok(), port, "{}: byte {at}", case.name());
                    }
                }
            }
        }
    }
}
