//! ARP for IPv4 over Ethernet (RFC 826), as this host asks and announces.

use super::ethertype;
use crate::addr::MacAddr;

/// Request.
pub const REQUEST: u16 = 1;
/// Reply.
pub const REPLY: u16 = 2;
/// Bytes of a frame, not padded.
pub const FRAME_LEN: usize = 42;

/// An ARP frame. Addresses in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Ethernet destination.
    pub eth_dst: MacAddr,
    /// Ethernet source.
    pub eth_src: MacAddr,
    /// Operation: [`REQUEST`] or [`REPLY`].
    pub op: u16,
    /// Sender's hardware address.
    pub sha: MacAddr,
    /// Sender's protocol address.
    pub spa: u32,
    /// Target's hardware address.
    pub tha: MacAddr,
    /// Target's protocol address.
    pub tpa: u32,
}

impl Arp {
    /// A tenant probe (R7): who has `tpa`, asked by nobody, so that no cache learns the asker.
    pub fn probe(dvr_mac: MacAddr, tpa: u32) -> Self {
        Arp::who_has(dvr_mac, 0, tpa)
    }

    /// Who has `tpa`, asked of all by `ip` at `mac`.
    pub fn who_has(mac: MacAddr, ip: u32, tpa: u32) -> Self {
        let (eth_dst, tha) = (MacAddr::BROADCAST, MacAddr::ZERO);
        Arp { eth_dst, eth_src: mac, op: REQUEST, sha: mac, spa: ip, tha, tpa }
    }

    /// Tells all that `ip` is at `mac` (F42; RFC 5227, 3): sender and target are `ip`, the target's hardware address is
    /// 0 in a request and `mac` in a reply.
    pub fn announcement(mac: MacAddr, ip: u32, op: u16) -> Self {
        let tha = if op == REPLY { mac } else { MacAddr::ZERO };
        Arp { op, tha, ..Arp::who_has(mac, ip, ip) }
    }

    /// Its bytes.
    pub fn frame(&self) -> [u8; FRAME_LEN] {
        let mut frame = [0; FRAME_LEN];
        let (eth_dst, eth_src) = (self.eth_dst.octets(), self.eth_src.octets());
        let (kind, op) = (ethertype::ARP.to_be_bytes(), self.op.to_be_bytes());
        let (sha, spa) = (self.sha.octets(), self.spa.to_be_bytes());
        let (tha, tpa) = (self.tha.octets(), self.tpa.to_be_bytes());
        let parts: [&[u8]; 9] = [&eth_dst, &eth_src, &kind, &[0, 1, 8, 0, 6, 4], &op, &sha, &spa, &tha, &tpa];
        for (to, from) in frame.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        frame
    }
}

#[cfg(test)]
mod tests;
