//! IPv4 packets for tests, field by field from the RFCs, and their checksums added up anew: nothing here calls the code
//! under test.

/// A1 and B1 of two tenant networks, their router in the first, somebody outside, a floating IP.
pub const A1: u32 = u32::from_be_bytes([10, 1, 0, 11]);
pub const B1: u32 = u32::from_be_bytes([10, 2, 0, 11]);
pub const ROUTER: u32 = u32::from_be_bytes([10, 1, 0, 1]);
pub const OUTSIDE: u32 = u32::from_be_bytes([198, 51, 100, 7]);
pub const FIP: u32 = u32::from_be_bytes([203, 0, 113, 101]);

/// Ones' complement sum of the bytes in 16-bit words, the carry taken around at once (RFC 1071, 1).
pub fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + pair.get(1).map_or(0, |low| u32::from(*low));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

/// A packet without its payload.
#[derive(Clone, Debug)]
pub struct Ip {
    pub tos: u8,
    pub id: u16,
    /// Flags and offset as in the header.
    pub fragment: u16,
    pub ttl: u8,
    pub proto: u8,
    pub src: u32,
    pub dst: u32,
    /// A multiple of 4 bytes.
    pub options: Vec<u8>,
}

pub fn ip(proto: u8, src: u32, dst: u32) -> Ip {
    Ip { tos: 0, id: 0x1234, fragment: 0, ttl: 64, proto, src, dst, options: Vec::new() }
}

impl Ip {
    /// The packet that carries just these bytes.
    pub fn carry(&self, payload: &[u8]) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut p = vec![0x40 + (header / 4) as u8, self.tos];
        p.extend(((header + payload.len()) as u16).to_be_bytes());
        p.extend(self.id.to_be_bytes());
        p.extend(self.fragment.to_be_bytes());
        p.extend([self.ttl, self.proto, 0, 0]);
        p.extend(self.src.to_be_bytes());
        p.extend(self.dst.to_be_bytes());
        p.extend(&self.options);
        let check = 0xffff - sum(&p);
        p[10..12].copy_from_slice(&check.to_be_bytes());
        p.extend(payload);
        p
    }

    /// The message with its checksum filled in.
    pub fn with_sum(&self, message: &[u8]) -> Vec<u8> {
        let mut message = message.to_vec();
        let Some(at) = sum_at(self.proto) else { return message };
        message[at..at + 2].fill(0);
        let mut check = 0xffff - sum(&self.covered(&message));
        if check == 0 && matches!(self.proto, 17 | 136) {
            check = 0xffff;
        }
        message[at..at + 2].copy_from_slice(&check.to_be_bytes());
        message
    }

    /// The packet that carries this message, its checksum filled in.
    pub fn message(&self, message: &[u8]) -> Vec<u8> {
        self.carry(&self.with_sum(message))
    }

    /// What the message's checksum is over: a pseudo header too, but of ICMP.
    fn covered(&self, message: &[u8]) -> Vec<u8> {
        if self.proto == 1 {
            return message.to_vec();
        }
        let (src, dst, len) = (self.src.to_be_bytes(), self.dst.to_be_bytes(), (message.len() as u16).to_be_bytes());
        [&src, &dst, &[0, self.proto][..], &len, message].concat()
    }
}

/// Where the checksum stands in a message: RFC 792, RFC 9293 3.1, RFC 768, RFC 3828 3.1, RFC 4340 5.1.
pub fn sum_at(proto: u8) -> Option<usize> {
    match proto {
        1 => Some(2),
        6 => Some(16),
        17 | 33 | 136 => Some(6),
        _ => None,
    }
}

/// A UDP message without its checksum.
pub fn udp(src: u16, dst: u16, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    [&src.to_be_bytes(), &dst.to_be_bytes(), &len.to_be_bytes(), &[0, 0][..], data].concat()
}

/// A TCP segment without its checksum; options a multiple of 4 bytes.
pub fn tcp(seq: u32, ack: u32, flags: u8, options: &[u8], data: &[u8]) -> Vec<u8> {
    let fixed = [(5 + options.len() as u8 / 4) << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0];
    let ports = [0x9c, 0x40, 0, 22];
    [&ports, &seq.to_be_bytes(), &ack.to_be_bytes(), &fixed[..], options, data].concat()
}

/// Header and message checksum of a whole packet are right.
#[track_caller]
pub fn assert_sums(packet: &[u8]) {
    let header = usize::from(packet[0] & 15) * 4;
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len(), "total length");
    assert_eq!(sum(&packet[..header]), 0xffff, "header checksum");
    let word = |at: usize| u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
    let ip = ip(packet[9], word(12), word(16));
    if sum_at(ip.proto).is_some() {
        assert_eq!(sum(&ip.covered(&packet[header..])), 0xffff, "checksum of protocol {}", ip.proto);
    }
}
