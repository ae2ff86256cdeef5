//! Classic pcap.

use pcap_file::pcap::{PcapParseError, PcapParser, PcapTsResolution};

use super::{ETHERNET, Entry, Faults, Stop, take};

/// No writer stores longer packets; a longer one means that its header is not one (libpcap's MAXIMUM_SNAPLEN).
const LONGEST: u32 = 262_144;
/// Bits of the link type field that are the link type; above are the length of an FCS and whether that is known.
const LINK_TYPE: u32 = 0x03ff_ffff;
const FCS_KNOWN: u32 = 0x0400_0000;

pub(super) fn read(bytes: &[u8], frames: &mut Vec<Entry>, faults: &mut Faults) -> Result<(), Stop> {
    let (mut rest, parser) = match PcapParser::new(bytes) {
        Ok(both) => both,
        Err(PcapParseError::IncompleteBuffer(need, have)) if magic(bytes) => {
            return Err(Stop::NotACapture(format!("its header is cut off, {have} of {need} bytes are there")));
        }
        Err(_) => return Err(Stop::NotACapture(not_pcap(bytes))),
    };
    let header = parser.header();
    link_type(header.datalink.into())?;
    let micro = header.ts_resolution == PcapTsResolution::MicroSecond;
    let (per_second, ns) = if micro { (1_000_000, 1_000) } else { (1_000_000_000, 1) };
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        let packet = match parser.next_raw_packet(rest) {
            Ok((after, packet)) => {
                rest = after;
                packet
            }
            Err(PcapParseError::IncompleteBuffer(need, have)) => {
                faults.push(number, cut_off(need, have, rest.len() < 16));
                break;
            }
            Err(PcapParseError::Validation(e)) => {
                faults.push(number, format!("{e}; nothing from here on was read"));
                break;
            }
        };
        if packet.incl_len > LONGEST {
            faults.push(number, damaged(packet.incl_len));
            break;
        }
        let time = match packet.ts_frac {
            frac if frac < per_second => Ok(u128::from(packet.ts_sec) * 1_000_000_000 + u128::from(frac * ns)),
            frac => Err(format!("its time has {frac} parts of a second where {per_second} make a whole one")),
        };
        take((bytes, frames, faults), number, &packet.data, packet.orig_len, time);
    }
    Ok(())
}

fn cut_off(need: usize, have: usize, in_header: bool) -> String {
    if !in_header && need > LONGEST as usize {
        return damaged(need as u32);
    }
    let part = if in_header { "its header has" } else { "it has" };
    format!("the file ends inside it ({part} {need} bytes, {have} are there); what stands before it was read")
}

fn damaged(len: u32) -> String {
    format!("it claims to be {len} bytes long; the file is damaged here and nothing from here on was read")
}

/// Ethernet without FCS, or why not.
pub(super) fn link_type(field: u32) -> Result<(), Stop> {
    let kind = field & LINK_TYPE;
    if kind != ETHERNET {
        return Err(Stop::LinkType(format!("link type {}", name(kind))));
    }
    if field & FCS_KNOWN != 0 && field >> 28 != 0 {
        return Err(Stop::LinkType("link type Ethernet with the frame checksum (FCS) at the end".to_owned()));
    }
    Ok(())
}

/// Number and, if it has one, name of a link type.
pub(super) fn name(kind: u32) -> String {
    match pcap_file::DataLink::from(kind) {
        pcap_file::DataLink::Unknown(n) => n.to_string(),
        named => format!("{kind} ({named:?})"),
    }
}

/// Begins like a pcap.
fn magic(bytes: &[u8]) -> bool {
    matches!(bytes, [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xd4, 0xc3, 0xb2, 0xa1, ..])
        || matches!(bytes, [0xa1, 0xb2, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..])
}

/// What a file that is not pcap looks like.
fn not_pcap(bytes: &[u8]) -> String {
    let head: Vec<u8> = bytes.iter().copied().take(4).collect();
    let known = match head.as_slice() {
        [0xa1, 0xb2, 0xcd, 0x34] | [0x34, 0xcd, 0xb2, 0xa1] => {
            "the modified pcap of old Linux tools; convert it with editcap"
        }
        [0x28, 0xb5, 0x2f, 0xfd] => "compressed with zstd; decompress it first",
        [0xfd, b'7', b'z', b'X'] => "compressed with xz; decompress it first",
        [b'B', b'Z', b'h', _] => "compressed with bzip2; decompress it first",
        [b'P', b'K', 3, 4] => "a zip archive",
        [b'{' | b'[', ..] => "it looks like JSON",
        _ => "",
    };
    match known {
        "" => format!("it begins with the bytes {head:02x?}"),
        words => words.to_owned(),
    }
}
