//! IPv4, ICMP and ARP bytes, written from the RFCs for this test alone: sums are computed whole, never updated.

pub const BROADCAST: u64 = 0xffff_ffff_ffff;

pub fn mac_bytes(mac: u64) -> [u8; 6] {
    let b = mac.to_be_bytes();
    [b[2], b[3], b[4], b[5], b[6], b[7]]
}

/// Ethernet II.
pub fn ether(dst: u64, src: u64, kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = Vec::with_capacity(14 + payload.len());
    f.extend(mac_bytes(dst));
    f.extend(mac_bytes(src));
    f.extend(kind.to_be_bytes());
    f.extend(payload);
    f
}

pub fn be(b: &[u8], at: usize, len: usize) -> u64 {
    b[at..at + len].iter().fold(0, |v, b| v << 8 | u64::from(*b))
}

pub fn dst(f: &[u8]) -> u64 {
    be(f, 0, 6)
}

pub fn src(f: &[u8]) -> u64 {
    be(f, 6, 6)
}

pub fn kind(f: &[u8]) -> u16 {
    be(f, 12, 2) as u16
}

pub fn multicast(mac: u64) -> bool {
    mac >> 40 & 1 == 1
}

/// RFC 1071.
pub fn sum(parts: &[&[u8]]) -> u16 {
    let all: Vec<u8> = parts.concat();
    let mut s: u32 = all.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
    while s >> 16 != 0 {
        s = (s & 0xffff) + (s >> 16);
    }
    !(s as u16)
}

/// An IPv4 header without options and what it carries.
#[derive(Clone, Copy, Debug)]
pub struct Ip4 {
    pub tos: u8,
    pub id: u16,
    /// Flags and fragment offset.
    pub frag: u16,
    pub ttl: u8,
    pub proto: u8,
    pub src: u32,
    pub dst: u32,
}

pub const DF: u16 = 0x4000;

impl Ip4 {
    pub fn bytes(&self, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x45, self.tos];
        p.extend((20 + payload.len() as u16).to_be_bytes());
        p.extend(self.id.to_be_bytes());
        p.extend(self.frag.to_be_bytes());
        p.extend([self.ttl, self.proto, 0, 0]);
        p.extend(self.src.to_be_bytes());
        p.extend(self.dst.to_be_bytes());
        let s = sum(&[&p]).to_be_bytes();
        p[10..12].copy_from_slice(&s);
        p.extend(payload);
        p
    }

    /// The packet, or if it is longer than `mtu` (0: never) its fragments, each but the last as long as can be (RFC 791).
    pub fn fragments(&self, payload: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        if mtu == 0 || 20 + payload.len() <= mtu {
            return vec![self.bytes(payload)];
        }
        let size = (mtu - 20) / 8 * 8;
        let count = payload.len().div_ceil(size);
        let part = |(n, part): (usize, &[u8])| {
            let more = if n + 1 < count { 0x2000 } else { 0 };
            Ip4 { frag: (self.frag + (n * size / 8) as u16) | more, ..*self }.bytes(part)
        };
        payload.chunks(size).enumerate().map(part).collect()
    }

    /// Of a packet whose header is good; `None` if it is not.
    pub fn read(p: &[u8]) -> Option<(Ip4, &[u8])> {
        let len = usize::from(u16::from_be_bytes([*p.get(2)?, p[3]]));
        let good = p.len() >= 20 && p[0] == 0x45 && len >= 20 && len <= p.len() && sum(&[&p[..20]]) == 0;
        let ip = Ip4 {
            tos: p[1],
            id: be(p, 4, 2) as u16,
            frag: be(p, 6, 2) as u16,
            ttl: p[8],
            proto: p[9],
            src: be(p, 12, 4) as u32,
            dst: be(p, 16, 4) as u32,
        };
        good.then(|| (ip, &p[20..len]))
    }

    /// The sum of UDP or TCP over this, its own field taken as zero by the caller.
    pub fn l4_sum(&self, payload: &[u8]) -> u16 {
        let (s, d) = (self.src.to_be_bytes(), self.dst.to_be_bytes());
        sum(&[&s, &d, &[0, self.proto], &(payload.len() as u16).to_be_bytes(), payload])
    }

    /// Place of the checksum in the payload, of protocols whose sum covers the addresses.
    fn sum_at(&self) -> Option<usize> {
        match self.proto {
            6 => Some(16),
            17 => Some(6),
            _ => None,
        }
    }

    /// The payload with the sum its addresses call for; a UDP sum of 0 stays.
    pub fn summed(&self, payload: &[u8]) -> Vec<u8> {
        let mut p = payload.to_vec();
        let Some(at) = self.sum_at().filter(|at| p.len() >= at + 2 && self.frag & 0x1fff == 0) else { return p };
        if self.proto == 17 && p[at..at + 2] == [0, 0] {
            return p;
        }
        p[at..at + 2].fill(0);
        let s = match self.l4_sum(&p) {
            0 if self.proto == 17 => 0xffff,
            s => s,
        };
        p[at..at + 2].copy_from_slice(&s.to_be_bytes());
        p
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Arp {
    pub op: u16,
    pub sha: u64,
    pub spa: u32,
    pub tha: u64,
    pub tpa: u32,
}

impl Arp {
    pub fn bytes(&self) -> Vec<u8> {
        let mut p = vec![0, 1, 8, 0, 6, 4];
        p.extend(self.op.to_be_bytes());
        p.extend(mac_bytes(self.sha));
        p.extend(self.spa.to_be_bytes());
        p.extend(mac_bytes(self.tha));
        p.extend(self.tpa.to_be_bytes());
        p
    }

    /// Of a frame.
    pub fn read(f: &[u8]) -> Option<Arp> {
        let p = f.get(14..42).filter(|_| kind(f) == 0x0806)?;
        let (op, sha, spa) = (be(p, 6, 2) as u16, be(p, 8, 6), be(p, 14, 4) as u32);
        Some(Arp { op, sha, spa, tha: be(p, 18, 6), tpa: be(p, 24, 4) as u32 })
    }
}

/// An ICMP error about a packet, as RFC 792 and spec 3.10 have it: up to 576 bytes in all.
pub fn icmp_error(from: u32, (kind, code, rest): (u8, u8, u32), about: &[u8]) -> Vec<u8> {
    let total = usize::from(u16::from_be_bytes([about[2], about[3]]));
    let quote = &about[..total.min(576 - 28)];
    let mut m = vec![kind, code, 0, 0];
    m.extend(rest.to_be_bytes());
    m.extend(quote);
    let s = sum(&[&m]).to_be_bytes();
    m[2..4].copy_from_slice(&s);
    let to = be(about, 12, 4) as u32;
    Ip4 { tos: 0xc0, id: 0, frag: DF, ttl: 64, proto: 1, src: from, dst: to }.bytes(&m)
}
