//! What is dvrd's of what comes in by a physical network's NIC: the program, and the maps it looks into.
//!
//! Everything else is the kernel's, as before: the host's own addresses, its other VLANs, LLDP and LACP. Who fills
//! the maps knows the cloud; the program knows none of it.

use super::asm::{Asm, If, Reg, Size};
use super::bpf::Map;
use super::{ETH, ETH_TYPE, MD_DATA, MD_DATA_END, htons};
use crate::addr::MacAddr;
use std::io;
use std::net::Ipv4Addr;

/// MAC addresses a filter can be told of.
pub const FILTER_MACS: u32 = 16_384;
/// IPv4 addresses a filter can be told of.
pub const FILTER_ADDRESSES: u32 = 16_384;
/// VLAN ids, 0 for no tag: IEEE 802.1Q has twelve bits.
const VLANS: u32 = 4096;

// What `vlans` says of one.
const SERVED: i32 = 1;
const GROUP: i32 = 2;
const ANNOUNCED: i32 = 4;
const UNKNOWN: i32 = 8;
// What `macs` and `addresses` say of one.
const DVRD: i32 = 1;
const KERNEL: i32 = 2;

/// What of a VLAN goes to the sockets, beside unicast to MAC addresses and ARP for IPv4 addresses that are
/// [dvrd's](Owner::Dvrd).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vlan {
    /// Broadcast and multicast, but not 01:80:c2:00:00:0x, which no bridge forwards, and not ARP for the
    /// [kernel's](Owner::Kernel) addresses.
    pub group: bool,
    /// Of that at least ARP whose sender and target address are one: announcements.
    pub announced: bool,
    /// Unicast to MAC addresses nobody named.
    pub unknown: bool,
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// What is for it goes to the sockets.
    Dvrd,
    /// What is for it stays the kernel's, whatever the VLAN says.
    Kernel,
}

impl Owner {
    fn word(self) -> u32 {
        (match self {
            Owner::Dvrd => DVRD,
            Owner::Kernel => KERNEL,
        }) as u32
    }
}

/// The maps of the filter of a physical network's NIC. Empty, all frames are the kernel's. Changes count from the next
/// frame on. VLAN ids are twelve bits, 0 is no tag.
#[derive(Debug)]
pub struct Gate {
    vlans: Map<4>,
    macs: Map<8>,
    addresses: Map<8>,
}

impl Gate {
    pub(super) fn new() -> io::Result<Gate> {
        let (vlans, macs, addresses) = (Map::array(VLANS)?, Map::hash(FILTER_MACS)?, Map::hash(FILTER_ADDRESSES)?);
        Ok(Gate { vlans, macs, addresses })
    }

    /// Frames of this VLAN are dvrd's as far as `vlan` says; `None`: none are. E2BIG past 4095.
    pub fn set_vlan(&self, vid: u16, vlan: Option<Vlan>) -> io::Result<()> {
        let bit = |on: bool, bit: i32| if on { bit } else { 0 };
        let word =
            vlan.map_or(0, |v| SERVED | bit(v.group, GROUP) | bit(v.announced, ANNOUNCED) | bit(v.unknown, UNKNOWN));
        self.vlans.put(u32::from(vid).to_ne_bytes(), word as u32)
    }

    /// Unicast to this MAC on a VLAN that is dvrd's; `None`: as to others. E2BIG if it is one more than [`FILTER_MACS`].
    pub fn set_mac(&self, vid: u16, mac: MacAddr, owner: Option<Owner>) -> io::Result<()> {
        let ([a, b, c, d, e, f], [v, w]) = (mac.octets(), vid.to_ne_bytes());
        set(&self.macs, [a, b, c, d, e, f, v, w], owner)
    }

    /// ARP to broadcast or multicast about this target address on a VLAN that is dvrd's; `None`: as about others. E2BIG if it
    /// is one more than [`FILTER_ADDRESSES`].
    pub fn set_address(&self, vid: u16, address: Ipv4Addr, owner: Option<Owner>) -> io::Result<()> {
        let ([a, b, c, d], [v, w, x, y]) = (address.octets(), u32::from(vid).to_ne_bytes());
        set(&self.addresses, [a, b, c, d, v, w, x, y], owner)
    }

    #[cfg(test)]
    pub(super) fn nowhere() -> Gate {
        Gate { vlans: Map::nowhere(), macs: Map::nowhere(), addresses: Map::nowhere() }
    }

    /// File descriptors of its maps, by their names in `filter.c`.
    #[cfg(test)]
    pub(super) fn maps(&self) -> [(&'static str, i32); 3] {
        [("vlans", self.vlans.as_raw_fd()), ("macs", self.macs.as_raw_fd()), ("addresses", self.addresses.as_raw_fd())]
    }
}

fn set(map: &Map<8>, key: [u8; 8], owner: Option<Owner>) -> io::Result<()> {
    match owner {
        Some(owner) => map.put(key, owner.word()),
        None => map.remove(key),
    }
}

/// enum bpf_func_id
const BPF_MAP_LOOKUP_ELEM: i32 = 1;
/// Bytes of a VLAN tag, and of ARP for IPv4 over Ethernet.
const TAG: i32 = 4;
const ARP: i32 = 28;
// Offsets: in the Ethernet header; in ARP; of what stands before layer 3, from there.
const DESTINATION: i16 = 0;
const ARP_SENDER: i16 = 14;
const ARP_TARGET: i16 = 24;
const TYPE: i16 = -2;
const TAG_CONTROL: i16 = -4;
// Where on the stack: `u32 vid`, and a key of eight bytes that ends with it or with a `u16 vid` of its own.
const VID: i16 = -4;
const ADDRESS_KEY: i16 = -8;
const MAC_KEY: i16 = -16;

/// Goes to `ours` or `pass`. `ctx` is one of R6 to R9 other than those used here.
pub(super) fn physical(a: &mut Asm, ctx: Reg, gate: &Gate) {
    const DATA: Reg = Reg::R7;
    const L3: Reg = Reg::R8;
    const FLAGS: Reg = Reg::R9;
    const VALUE: Reg = Reg::R0;
    const END: Reg = Reg::R3;
    const AT: Reg = Reg::R4;
    const X: Reg = Reg::R5;
    vlan(a, ctx, (DATA, L3, FLAGS), gate);

    // if (!(eth->destination[0] & 1)) goto unicast;
    a.load(Size::Byte, X, DATA, DESTINATION).and(X, 1).goto_if(X, If::Equal, 0, "unicast");
    // if (destination is 01:80:c2:00:00:0x) goto pass;
    a.load(Size::Word, X, DATA, DESTINATION);
    a.goto_if_not_equal32(X, u32::from_ne_bytes([0x01, 0x80, 0xc2, 0x00]), "group");
    a.load(Size::Half, X, DATA, DESTINATION + 4).and(X, htons(0xfff0)).goto_if(X, If::Equal, 0, "pass");
    // if (type != htons(0x0806) || arp + 1 > end) goto flooded;
    a.label("group").load(Size::Half, X, L3, TYPE).goto_if(X, If::NotEqual, htons(0x0806), "flooded");
    a.load(Size::Word, END, ctx, MD_DATA_END).copy(AT, L3).add(AT, ARP).goto_if_reg(AT, If::Greater, END, "flooded");
    // owner = addresses[{ arp->target, vid }]; if (owner) goto owned;
    a.load(Size::Word, X, L3, ARP_TARGET).store(Size::Word, Reg::Stack, ADDRESS_KEY, X);
    lookup(a, gate.addresses.as_raw_fd(), ADDRESS_KEY);
    a.goto_if(VALUE, If::NotEqual, 0, "owned");
    // if (arp->sender == arp->target && flags & ANNOUNCED) goto ours;
    a.load(Size::Word, X, L3, ARP_SENDER).load(Size::Word, AT, L3, ARP_TARGET);
    a.goto_if_reg(X, If::NotEqual, AT, "flooded");
    a.copy(X, FLAGS).and(X, ANNOUNCED).goto_if(X, If::NotEqual, 0, "ours");
    // flooded: if (flags & GROUP) goto ours; goto pass;
    a.label("flooded").and(FLAGS, GROUP).goto_if(FLAGS, If::NotEqual, 0, "ours").goto("pass");

    // unicast: owner = macs[{ eth->destination, vid }]; if (!owner) goto unknown;
    a.label("unicast").load(Size::Word, X, DATA, DESTINATION).store(Size::Word, Reg::Stack, MAC_KEY, X);
    a.load(Size::Half, X, DATA, DESTINATION + 4).store(Size::Half, Reg::Stack, MAC_KEY + 4, X);
    a.load(Size::Word, X, Reg::Stack, VID).store(Size::Half, Reg::Stack, MAC_KEY + 6, X);
    lookup(a, gate.macs.as_raw_fd(), MAC_KEY);
    a.goto_if(VALUE, If::Equal, 0, "unknown");
    // owned: if (*owner != DVRD) goto pass; goto ours;
    a.label("owned").load(Size::Word, X, VALUE, 0).goto_if(X, If::NotEqual, DVRD, "pass").goto("ours");
    // unknown: if (!(flags & UNKNOWN)) goto pass;
    a.label("unknown").and(FLAGS, UNKNOWN).goto_if(FLAGS, If::Equal, 0, "pass");
}

/// Where layer 3 is, the VLAN id, and what `vlans` says of it; goes to `pass` if it is not dvrd's.
fn vlan(a: &mut Asm, ctx: Reg, (data, l3, flags): (Reg, Reg, Reg), gate: &Gate) {
    const END: Reg = Reg::R3;
    const X: Reg = Reg::R5;
    // void *data = ctx->data, *end = ctx->data_end;
    a.load(Size::Word, data, ctx, MD_DATA).load(Size::Word, END, ctx, MD_DATA_END);
    // l3 = eth + 1; if (l3 > end) goto pass;
    a.copy(l3, data).add(l3, ETH).goto_if_reg(l3, If::Greater, END, "pass");
    // vid = 0; if (type == htons(0x8100) || type == htons(0x88a8)) {
    a.set(flags, 0).load(Size::Half, X, data, ETH_TYPE).goto_if(X, If::Equal, htons(0x8100), "tagged");
    a.goto_if(X, If::NotEqual, htons(0x88a8), "untagged");
    //     l3 += 4; if (l3 > end) goto pass; vid = ntohs(tag->control) & 0xfff; }
    a.label("tagged").add(l3, TAG).goto_if_reg(l3, If::Greater, END, "pass");
    a.load(Size::Half, flags, l3, TAG_CONTROL).swap16(flags).and(flags, 0xfff);
    // flags = vlans[vid]; if (!flags) goto pass;
    a.label("untagged").store(Size::Word, Reg::Stack, VID, flags);
    lookup(a, gate.vlans.as_raw_fd(), VID);
    a.goto_if(Reg::R0, If::Equal, 0, "pass").load(Size::Word, flags, Reg::R0, 0).goto_if(flags, If::Equal, 0, "pass");
}

/// `R0` is where a map has the value of the key on the stack, or 0. R1 to R5 are lost.
fn lookup(a: &mut Asm, map: i32, key: i16) {
    a.load_map(Reg::R1, map).copy(Reg::R2, Reg::Stack).add(Reg::R2, key.into()).call(BPF_MAP_LOOKUP_ELEM);
}
