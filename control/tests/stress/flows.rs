//! Frames that know their flow and number.

use etherparse::PacketBuilder;

pub type Mac = [u8; 6];

pub const ROUTER_A: Mac = [0xfa, 0x16, 0x3e, 0x0a, 0, 1];
pub const ROUTER_B: Mac = [0xfa, 0x16, 0x3e, 0x0b, 0, 1];
pub const DVR_H2: Mac = [0xfa, 0x16, 0x3f, 0, 0, 2];

pub fn steady(net: u8, i: u8) -> (Mac, [u8; 4]) {
    ([0xfa, 0x16, 0x3e, 0x10, net, i], [10, if net == 0x0a { 1 } else { 2 }, 0, 50 + i])
}

pub fn remote(i: u8) -> (Mac, [u8; 4]) {
    ([0xfa, 0x16, 0x3e, 0x30, 0x0a, i], [10, 1, 0, 80 + i])
}

/// One flow: its frame, whose last 12 bytes are its number and the frame's.
pub struct Flow {
    pub id: u32,
    seq: u64,
    frame: Vec<u8>,
}

impl Flow {
    pub fn new(id: u32, (src, from): (Mac, [u8; 4]), (dst, to): (Mac, [u8; 4])) -> Flow {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(src, dst).ipv4(from, to, 64).udp(id as u16, 9).write(&mut frame, &[0; 12]).unwrap();
        frame[40..42].fill(0); // no UDP checksum: the payload changes
        Flow { id, seq: 0, frame }
    }

    /// Inside VXLAN from H2 to H1.
    pub fn through_h2(mut self, vni: u32) -> Flow {
        let mut payload = vec![8, 0, 0, 0];
        payload.extend((vni << 8).to_be_bytes());
        payload.append(&mut self.frame);
        let macs = ([2, 0, 0xac, 0x14, 0, 0x12], [2, 0, 0xac, 0x14, 0, 0x11]);
        let outer = PacketBuilder::ethernet2(macs.0, macs.1).ipv4([172, 20, 0, 12], [172, 20, 0, 11], 64);
        outer.udp(50_000 + self.id as u16 % 1000, 4789).write(&mut self.frame, &payload).unwrap();
        self.frame[40..42].fill(0);
        self
    }

    /// Sends to another MAC from now on.
    pub fn set_dst(&mut self, dst: Mac) {
        let at = if self.frame.len() > 70 { 50 } else { 0 };
        self.frame[at..at + 6].copy_from_slice(&dst);
    }

    /// The next frame.
    pub fn next(&mut self) -> &[u8] {
        self.seq += 1;
        let at = self.frame.len() - 12;
        self.frame[at..at + 4].copy_from_slice(&self.id.to_be_bytes());
        self.frame[at + 4..].copy_from_slice(&self.seq.to_be_bytes());
        &self.frame
    }
}

/// Flow and number of a frame.
pub fn read(frame: &[u8]) -> (u32, u64) {
    let tail = frame.last_chunk::<12>().unwrap();
    (u32::from_be_bytes(*tail.first_chunk().unwrap()), u64::from_be_bytes(*tail.last_chunk().unwrap()))
}
