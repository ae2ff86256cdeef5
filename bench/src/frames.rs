//! The packets of `bench/baseline/gen_pcap.py`, byte for byte, so that benches need no Python.

use crate::host::port_ix;
use crate::topo::*;
use dataplane::addr::MacAddr;
use dataplane::burst::Door;
use dataplane::wire;

/// Flows of a bench.
pub const FLOWS: u32 = 1000;
/// Bytes of its frames: 64 with FCS.
pub const LEN: usize = 60;

/// A case of the baseline.
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
}

impl Case {
    /// All of them.
    pub const ALL: [Case; 4] = [Case::L2Out, Case::L2In, Case::Route, Case::Decap];

    /// Its name there.
    pub fn name(self) -> &'static str {
        match self {
            Case::L2Out => "l2out",
            Case::L2In => "l2in",
            Case::Route => "route",
            Case::Decap => "decap",
        }
    }
}

struct Flow {
    dst: MacAddr,
    src: MacAddr,
    sip: u32,
    dip: u32,
    ports: (u16, u16),
}

impl Flow {
    /// An Ethernet frame of `len` bytes (without FCS) with IPv4/UDP and a counter as payload.
    fn frame(&self, len: usize) -> Vec<u8> {
        let udp_len = (len - 34) as u16;
        let mut udp: Vec<u8> = [self.ports.0, self.ports.1, udp_len, 0].iter().flat_map(|w| w.to_be_bytes()).collect();
        udp.extend((0..udp_len as usize - 8).map(|i| i as u8));
        let sum = wire::fold(wire::sum(&udp) + wire::pseudo4(self.sip, self.dip, 17, udp_len));
        let check = if sum == 0xffff { 0xffff } else { !sum };
        udp[6..8].copy_from_slice(&check.to_be_bytes());
        let eth = self.dst.octets().into_iter().chain(self.src.octets()).chain([8, 0]);
        eth.chain(ip4(self.sip, self.dip, udp_len)).chain(udp).collect()
    }
}

fn ip4(src: u32, dst: u32, payload: u16) -> [u8; 20] {
    let len = (20 + payload).to_be_bytes();
    let ([s0, s1, s2, s3], [d0, d1, d2, d3]) = (src.to_be_bytes(), dst.to_be_bytes());
    let mut h = [0x45, 0, len[0], len[1], 0, 0, 0x40, 0, 64, 17, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3];
    let check = wire::checksum(&h).to_be_bytes();
    h[10..12].copy_from_slice(&check);
    h
}

fn vxlan(inner: &[u8], host: u16, net: u16, flow: u32) -> Vec<u8> {
    let port = 49152 + (((u64::from(flow) * 2_654_435_761) >> 8) & 0x3fff) as u16;
    let len = 16 + inner.len() as u16;
    let mut f: Vec<u8> = VTEP_MAC.octets().into_iter().chain(rvtep_mac(host).octets()).chain([8, 0]).collect();
    f.extend(ip4(rvtep_ip(host), VTEP_IP, len));
    f.extend([port, 4789, len, 0].iter().flat_map(|w| w.to_be_bytes()));
    f.extend(0x0800_0000u32.to_be_bytes());
    f.extend((vni(net) << 8).to_be_bytes());
    f.extend(inner);
    f
}

/// Frame of flow number `i`, `len` bytes inside, and the door it comes in by.
pub fn build(case: Case, i: u32, len: usize) -> (Door, Vec<u8>) {
    let pair = (i % 1000) as u16;
    let n = pair % NETS;
    let k = pair / NETS % REMOTE;
    let j = k % LOCAL;
    let q = i / 1000;
    let ports = (1024 + (q % 60000) as u16, 5001 + (q / 60000) as u16);
    let m = (n + 1) % NETS;
    let flow = |dst, src, sip, dip| Flow { dst, src, sip, dip, ports }.frame(len);
    match case {
        Case::L2Out => (Door::Port(port_ix(n, j)), flow(rvm_mac(n, k), lvm_mac(n, j), lvm_ip(n, j), rvm_ip(n, k))),
        Case::Route => (Door::Port(port_ix(n, j)), flow(gw_mac(n), lvm_mac(n, j), lvm_ip(n, j), rvm_ip(m, k))),
        Case::L2In => {
            let inner = flow(lvm_mac(n, j), rvm_mac(n, k), rvm_ip(n, k), lvm_ip(n, j));
            (Door::Tunnel, vxlan(&inner, rvm_host(n, k), n, i))
        }
        Case::Decap => {
            let h = rvm_host(m, k);
            let inner = flow(lvm_mac(n, j), dvr_mac(h), rvm_ip(m, k), lvm_ip(n, j));
            (Door::Tunnel, vxlan(&inner, h, n, i))
        }
    }
}

/// Doors the frames of `case` leave by.
pub fn outs(case: Case) -> Vec<Door> {
    match case {
        Case::L2Out | Case::Route => vec![Door::Tunnel],
        Case::L2In | Case::Decap => (0..NETS * LOCAL).map(Door::Port).collect(),
    }
}

/// Frames of `flows` flows in a scattered order, by door.
pub fn sources(case: Case, flows: u32, len: usize) -> Vec<crate::load::Source> {
    let mut of_door: Vec<(Door, Vec<Vec<u8>>)> = Vec::new();
    for step in 0..flows {
        // 7919 is prime: every flow once, neighbours never alike.
        let (door, frame) = build(case, (u64::from(step) * 7919 % u64::from(flows)) as u32, len);
        match of_door.iter_mut().find(|(d, _)| *d == door) {
            Some((_, frames)) => frames.push(frame),
            None => of_door.push((door, vec![frame])),
        }
    }
    of_door.into_iter().map(|(door, frames)| crate::load::Source::new(door, frames)).collect()
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
}
