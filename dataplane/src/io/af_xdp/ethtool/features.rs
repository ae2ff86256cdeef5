//! Any feature by the name `ethtool -k` prints, and whether it can be turned.
#![allow(unsafe_code)]

use super::{Request, ethtool};
use std::io;

const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
/// enum ethtool_stringset: names of features, by bit.
const ETH_SS_FEATURES: u32 = 4;
/// Bytes of a name, `ETH_GSTRING_LEN`.
const NAME: usize = 32;
/// Features there is room for.
const ROOM: usize = 512;

/// A feature of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// It is in use.
    pub on: bool,
    /// `[fixed]`: nobody can turn it.
    pub fixed: bool,
}

/// `struct ethtool_sset_info` with room for one set.
#[repr(C)]
struct SetInfo {
    command: u32,
    _reserved: u32,
    mask: u64,
    len: [u32; 2],
}
// SAFETY: 24 bytes; the kernel writes the mask and a length for each set of the mask that was asked for: one.
unsafe impl Request for SetInfo {}

/// `struct ethtool_gstrings`.
#[repr(C)]
struct Strings {
    command: u32,
    set: u32,
    len: u32,
    names: [[u8; NAME]; ROOM],
}
// SAFETY: the kernel writes the header and all names of the set. `names` asks first how many there are, which never changes
// while it runs, and does not send this if they are more than fit.
unsafe impl Request for Strings {}

/// `struct ethtool_get_features_block`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Block {
    available: u32,
    _requested: u32,
    active: u32,
    never_changed: u32,
}

/// `struct ethtool_gfeatures`.
#[repr(C)]
struct Features {
    command: u32,
    /// Blocks there is room for.
    size: u32,
    blocks: [Block; ROOM / 32],
}
// SAFETY: as large as `size` blocks say; the kernel writes no more than these.
unsafe impl Request for Features {}

/// Features that `ethtool -k` calls otherwise than the kernel, by its older words.
const OLD: [(&str, &str); 8] = [
    ("rx-checksumming", "rx-checksum"),
    ("generic-segmentation-offload", "tx-generic-segmentation"),
    ("generic-receive-offload", "rx-gro"),
    ("large-receive-offload", "rx-lro"),
    ("rx-vlan-offload", "rx-vlan-hw-parse"),
    ("tx-vlan-offload", "tx-vlan-hw-insert"),
    ("ntuple-filters", "rx-ntuple-filter"),
    ("receive-hashing", "rx-hashing"),
];

/// A feature by its name, as `ethtool -k` prints it: `rx-gro-hw`. `None` if this kernel knows none of that name, and for names
/// that stand for several (`tx-checksumming`).
pub fn feature(name: &str, feature: &str) -> io::Result<Option<Feature>> {
    let feature = OLD.iter().find(|(old, _)| *old == feature).map_or(feature, |(_, new)| new);
    let Some(bit) = names(name)?.iter().position(|known| known == feature) else { return Ok(None) };
    let mut all =
        Features { command: ETHTOOL_GFEATURES, size: (ROOM / 32) as u32, blocks: [Block::default(); ROOM / 32] };
    ethtool(name, &mut all)?;
    let Some(block) = all.blocks.get(bit / 32) else { return Ok(None) };
    let has = |word: u32| word >> (bit % 32) & 1 != 0;
    Ok(Some(Feature { on: has(block.active), fixed: !has(block.available) || has(block.never_changed) }))
}

/// Names of features, by bit.
fn names(name: &str) -> io::Result<Vec<String>> {
    let mut info = SetInfo { command: ETHTOOL_GSSET_INFO, _reserved: 0, mask: 1 << ETH_SS_FEATURES, len: [0; 2] };
    ethtool(name, &mut info)?;
    let [len, _] = info.len;
    if info.mask == 0 || len as usize > ROOM {
        return Ok(Vec::new());
    }
    let mut strings =
        Box::new(Strings { command: ETHTOOL_GSTRINGS, set: ETH_SS_FEATURES, len: 0, names: [[0; NAME]; ROOM] });
    ethtool(name, &mut *strings)?;
    Ok(strings.names.iter().take(len as usize).map(|bytes| super::text(bytes)).collect())
}
