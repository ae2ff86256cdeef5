//! How keys and values of the flat tables are packed into words.

use super::rows::{IfaceIx, PortIx, SegIx, TunnelIx};
use crate::addr::MacAddr;

/// Key of T06: `seg:16 | mac:48`.
#[inline(always)]
pub fn fdb_key(seg: SegIx, mac: MacAddr) -> [u64; 1] {
    [u64::from(seg) << 48 | mac.to_u64()]
}

/// Key of T07/T13 for IPv4: `seg:16 | 0:16 | address:32`.
#[inline(always)]
pub fn ip4_key(seg: SegIx, ip: u32) -> [u64; 1] {
    [u64::from(seg) << 48 | u64::from(ip)]
}

/// Key of T14's inverse: `router:16 | 0:16 | fixed address:32`. Router index 0 is never given out.
#[inline(always)]
pub fn fip_key(router: u16, fixed: u32) -> [u64; 1] {
    [u64::from(router) << 48 | u64::from(fixed)]
}

/// Where a frame goes: a port of this host, the tunnel to another host, or one of the special places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A VM or service port of this host.
    Port(PortIx),
    /// VXLAN to the host behind this tunnel.
    Tunnel(TunnelIx),
    /// The network's physical network (VLAN, flat).
    Phys,
    /// The centralized SNAT role of this host (sg- ports).
    Snat,
    /// Wherever T06 says the MAC is: a static neighbour that is no port of the model.
    Fdb,
}

const TUNNELS: u16 = 4096;
const RESOLUTION: u16 = 8186;
const FIP: u16 = 8187;
const FDB: u16 = 8188;
const PHYS: u16 = 8189;
const SNAT: u16 = 8190;
const ROUTER: u16 = 8191;

impl Target {
    /// Number of ports a value can name.
    pub const PORTS: usize = TUNNELS as usize;
    /// Number of tunnels a value can name.
    pub const TUNNELS: usize = (RESOLUTION - TUNNELS) as usize;

    #[inline(always)]
    fn to_bits(self) -> u16 {
        match self {
            Target::Port(p) => p & (TUNNELS - 1),
            Target::Tunnel(t) => TUNNELS + t,
            Target::Phys => PHYS,
            Target::Snat => SNAT,
            Target::Fdb => FDB,
        }
    }

    #[inline(always)]
    fn from_bits(v: u16) -> Self {
        match v {
            port if port < TUNNELS => Target::Port(port),
            tunnel if tunnel < RESOLUTION => Target::Tunnel(tunnel - TUNNELS),
            PHYS => Target::Phys,
            SNAT => Target::Snat,
            _ => Target::Fdb,
        }
    }
}

/// What a neighbour row (T07 and T13 in one) says: `mac:48 | target:13 | flags:3`, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighValue(u64);

impl NeighValue {
    /// Flag: the ARP responder answers for this address (T07).
    pub const ANSWER: u8 = 1;
    /// Flag: the router resolves this next hop with it (T13).
    pub const ROUTE: u8 = 2;
    /// Flag: the writer wants to hear what the network says of this address: it is being asked for, was learned, or
    /// several ports may have it (an allowed address pair).
    pub const WATCHED: u8 = 4;

    /// Nobody answers for the address yet: packets for it wait.
    pub const ASKED: NeighValue = NeighValue((RESOLUTION as u64) << 3 | Self::WATCHED as u64);
    /// Nobody answered in time.
    pub const UNANSWERED: NeighValue = NeighValue(1 << 16 | (RESOLUTION as u64) << 3);

    /// A host: its MAC and where it is.
    pub fn host(mac: MacAddr, target: Target, flags: u8) -> Self {
        NeighValue(mac.to_u64() << 16 | u64::from(target.to_bits()) << 3 | u64::from(flags & 7))
    }

    /// An interface of a router that is active on this host: `iface` stands where a host's MAC would.
    pub fn router(iface: IfaceIx) -> Self {
        NeighValue(u64::from(iface) << 16 | u64::from(ROUTER) << 3 | u64::from(Self::ROUTE))
    }

    /// T14: a floating IP that is served by this host, on its external network: its router and fixed address stand
    /// where a host's MAC would. `answers`: so does the ARP responder, for it.
    pub fn floating_ip(router: u16, fixed: u32, answers: bool) -> Self {
        let inside = u64::from(router) << 32 | u64::from(fixed);
        let flags = if answers { Self::ANSWER } else { 0 };
        NeighValue(inside << 16 | u64::from(FIP) << 3 | u64::from(flags))
    }

    /// Router and fixed address, if this is a floating IP of this host.
    #[inline(always)]
    pub fn inside(&self) -> Option<(u16, u32)> {
        (self.target_bits() == FIP).then_some(((self.0 >> 48) as u16, (self.0 >> 16) as u32))
    }

    /// From a table word; `None` for 0 (no row).
    #[inline(always)]
    pub fn from_word(word: u64) -> Option<Self> {
        (word != 0).then_some(NeighValue(word))
    }

    /// From a table word, if a router resolves next hops with it.
    #[inline(always)]
    pub fn of_route(word: u64) -> Option<Self> {
        (word & u64::from(Self::ROUTE) != 0).then_some(NeighValue(word))
    }

    /// The table word.
    pub fn to_word(self) -> u64 {
        self.0
    }

    /// The neighbour's MAC (meaningless if [`NeighValue::router_interface`] is some).
    #[inline(always)]
    pub fn mac(self) -> MacAddr {
        MacAddr::from_u64(self.0 >> 16)
    }

    /// Is the next hop another router on this host?
    #[inline(always)]
    pub fn router_interface(self) -> Option<IfaceIx> {
        (self.target_bits() == ROUTER).then_some((self.0 >> 16) as IfaceIx)
    }

    /// Where the neighbour is.
    #[inline(always)]
    pub fn target(self) -> Target {
        Target::from_bits(self.target_bits())
    }

    /// Is `flag` set?
    #[inline(always)]
    pub fn has(self, flag: u8) -> bool {
        self.0 as u8 & flag != 0
    }

    #[inline(always)]
    fn target_bits(self) -> u16 {
        (self.0 >> 3) as u16 & 0x1fff
    }
}

/// What T06 says of a MAC: a [`Target`] and whether it was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbTarget {
    /// Where the MAC is.
    pub target: Target,
    /// Learned from traffic (static rows always win).
    pub learned: bool,
    /// Seconds of the dataplane's clock when last refreshed, wrapping; 0 for static rows.
    pub stamp: u32,
}

/// A T06 word: `kind:2 | index:22 | flags:8 | stamp:32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbValue;

impl FdbValue {
    const PRESENT: u64 = 1;
    const LEARNED: u64 = 2;

    /// Packs a row; never 0.
    pub fn pack(row: FdbTarget) -> u64 {
        let (kind, index) = match row.target {
            Target::Port(p) => (0u64, p),
            Target::Tunnel(t) => (1, t),
            Target::Phys => (2, 0),
            Target::Snat | Target::Fdb => (3, 0),
        };
        let flags = Self::PRESENT | if row.learned { Self::LEARNED } else { 0 };
        kind << 62 | u64::from(index) << 40 | flags << 32 | u64::from(row.stamp)
    }

    /// A row of the model, not a learned one.
    #[inline(always)]
    pub fn is_static(word: u64) -> bool {
        word >> 32 & (Self::PRESENT | Self::LEARNED) == Self::PRESENT
    }

    /// `None` for 0 (no row).
    #[inline(always)]
    pub fn unpack(word: u64) -> Option<FdbTarget> {
        if word == 0 {
            return None;
        }
        let index = (word >> 40) as u16;
        let target = match word >> 62 {
            0 => Target::Port(index),
            1 => Target::Tunnel(index),
            2 => Target::Phys,
            _ => Target::Snat,
        };
        Some(FdbTarget { target, learned: word >> 32 & Self::LEARNED != 0, stamp: word as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_survives_packing() {
        let mac = MacAddr::new([0xfa, 0x16, 0x3e, 1, 2, 0xff]);
        let last_tunnel = Target::TUNNELS as u16 - 1;
        for t in [
            Target::Port(0),
            Target::Port(4095),
            Target::Tunnel(0),
            Target::Tunnel(last_tunnel),
            Target::Phys,
            Target::Snat,
        ] {
            let v = NeighValue::host(mac, t, NeighValue::ROUTE | NeighValue::ANSWER);
            assert_eq!((v.mac(), v.target(), v.router_interface()), (mac, t, None));
            assert!(v.has(NeighValue::ROUTE) && v.has(NeighValue::ANSWER) && !v.has(NeighValue::WATCHED));
            assert_eq!(NeighValue::from_word(v.to_word()), Some(v));
            for learned in [false, true] {
                let row = FdbTarget { target: t, learned, stamp: u32::MAX - 3 };
                assert_eq!(FdbValue::unpack(FdbValue::pack(row)), Some(row));
            }
        }
        assert_eq!((Target::PORTS, Target::TUNNELS), (4096, 8192 - 4096 - 6), "of 13 bits; six values are special");
        assert_eq!(NeighValue::host(mac, Target::Fdb, NeighValue::ROUTE).target(), Target::Fdb);
        assert_eq!(NeighValue::router(65535).router_interface(), Some(65535));
        assert_ne!(FdbValue::pack(FdbTarget { target: Target::Port(0), learned: false, stamp: 0 }), 0);
        assert_eq!(NeighValue::from_word(0), None);
        assert_eq!(FdbValue::unpack(0), None);
    }

    #[test]
    fn what_is_no_host_says_so() {
        let fip = NeighValue::floating_ip(0xfffe, 0x0a01_00ff, true);
        assert_eq!(fip.inside(), Some((0xfffe, 0x0a01_00ff)));
        assert_eq!((fip.router_interface(), fip.has(NeighValue::ROUTE)), (None, false));
        let host = NeighValue::host(MacAddr::BROADCAST, Target::Fdb, NeighValue::ROUTE);
        assert_eq!((host.inside(), NeighValue::router(7).inside()), (None, None));
        let words = [NeighValue::ASKED, NeighValue::UNANSWERED].map(NeighValue::to_word);
        assert!(words[0] != words[1] && !words.contains(&0));
        for state in [NeighValue::ASKED, NeighValue::UNANSWERED] {
            assert_eq!((state.inside(), state.router_interface(), state.has(NeighValue::ROUTE)), (None, None, false));
        }
        assert!(NeighValue::ASKED.has(NeighValue::WATCHED), "the answer must be heard");
    }

    #[test]
    fn keys_put_the_segment_on_top() {
        assert_eq!(fip_key(0x1234, 0x0a01_0203), [0x1234_0000_0a01_0203]);
        assert_eq!(fdb_key(1, MacAddr::BROADCAST), [0x0001_ffff_ffff_ffff]);
        assert_eq!(ip4_key(0xfffe, 0x0a00_0001), [0xfffe_0000_0a00_0001]);
    }
}
