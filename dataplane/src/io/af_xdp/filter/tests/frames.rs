//! Frames that come close to each branch of the filter, and what its words say of each.

use std::net::Ipv4Addr;

/// The kernel runs no program on less.
pub const SHORTEST: usize = 14;

/// Pseudo-random numbers that a seed brings back (splitmix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// 0..n.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// UDP to `port` of `vtep` behind a header of `ihl` words, all else random.
pub fn vxlan(random: &mut Random, vtep: Ipv4Addr, port: u16, ihl: u8, payload: usize) -> Vec<u8> {
    let header = usize::from(ihl) * 4;
    let mut f = random.bytes(14 + header.max(20) + 8 + payload);
    f[12..14].copy_from_slice(&[0x08, 0x00]);
    f[14] = 0x40 | ihl;
    f[20..22].copy_from_slice(&[(random.next() as u8) & 0xc0, 0]); // reserved bit and DF as they come
    f[23] = 17;
    f[30..34].copy_from_slice(&vtep.octets());
    f[14 + header + 2..][..2].copy_from_slice(&port.to_be_bytes());
    f
}

/// One of the filter's frames, or one that one thing keeps from being it.
fn close(random: &mut Random, vtep: Ipv4Addr, port: u16) -> Vec<u8> {
    let ihl = 5 + random.below(11) as u8;
    let payload = random.below(100);
    let mut f = vxlan(random, vtep, port, ihl, payload);
    let udp = 14 + usize::from(ihl) * 4;
    match random.below(14) {
        0 => f[12..14].copy_from_slice(&[[0x86, 0xdd], [0x08, 0x06], [0x00, 0x08], [0x81, 0x00]][random.below(4)]),
        // A tag; what follows is the whole frame.
        1 => drop(f.splice(12..12, [[0x81, 0x00, 0, 7], [0x88, 0xa8, 0, 7]][random.below(2)])),
        2 => f[20] |= 0x20,                                   // more fragments
        3 => f[20 + random.below(2)] |= 1 << random.below(5), // an offset
        4 => {
            // A header that is none, the port where it would be.
            let ihl = random.below(5);
            f[14] = 0x40 | ihl as u8;
            f[14 + 4 * ihl + 2..][..2].copy_from_slice(&port.to_be_bytes());
            f[30..34].copy_from_slice(&vtep.octets());
        }
        5 => f[14] = (random.next() as u8) & 0xf0 | ihl, // another version, mostly
        6 => f[23] = [6, 1, 16, 18, 17 | 0x80, 47][random.below(6)],
        7 => f[udp + 2 + random.below(2)] ^= 1 << random.below(8), // one bit of the port
        8 => f[udp..udp + 4].rotate_left(2),                       // from that port, not to it
        9 => f[30 + random.below(4)] ^= 1 << random.below(8),      // one bit of the address
        10 => f[30] ^= 0x80,
        11 => f.truncate(SHORTEST + random.below(f.len() - SHORTEST + 1)),
        12 => f[14] = 0x40 | (5 + random.below(11) as u8), // the port elsewhere
        _ => {}
    }
    f
}

/// 1,000 frames, half of them random bytes and half close to the filter's; then some cut at each byte.
pub fn seeded(seed: u64, vtep: Ipv4Addr, port: u16) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    let mut frames = Vec::new();
    for _ in 0..500 {
        let len = SHORTEST + random.below(200);
        frames.push(random.bytes(len));
        frames.push(close(&mut random, vtep, port));
    }
    for ihl in [5, 6, 15] {
        let whole = vxlan(&mut random, vtep, port, ihl, 10);
        frames.extend((SHORTEST..=whole.len()).map(|len| whole[..len].to_vec()));
    }
    frames
}

/// Unfragmented IPv4 UDP, without a tag, to `port` of `vtep`, its headers whole?
pub fn is_vxlan(frame: &[u8], vtep: Ipv4Addr, port: u16) -> bool {
    let u16_at = |bytes: &[u8], at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let read = || {
        let (ethernet, packet) = frame.split_at_checked(14)?;
        let header_len = usize::from(packet.first()? % 16) * 4;
        let (ip, udp) = packet.split_at_checked(header_len)?;
        let destination: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
        let (more, offset) = (ip[6] / 32 % 2 == 1, u16_at(ip, 6)? % 8192);
        Some(
            u16_at(ethernet, 12)? == 0x0800
                && ip[0] / 16 == 4
                && header_len >= 20
                && !more
                && offset == 0
                && ip[9] == 17
                && Ipv4Addr::from(destination) == vtep
                && udp.len() >= 8
                && u16_at(udp, 2)? == port,
        )
    };
    read().unwrap_or(false)
}
