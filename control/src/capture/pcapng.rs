//! pcapng.

use std::time::Duration;

use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::{Block, PcapNgParseError, PcapNgParser};

use super::{ETHERNET, Entry, Faults, Stop, pcap, take};

/// Block types whose contents are packets.
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

pub(super) fn read(bytes: &[u8], frames: &mut Vec<Entry>, faults: &mut Faults) -> Result<(), Stop> {
    let (mut rest, mut parser) = match PcapNgParser::new(bytes) {
        Ok(both) => both,
        Err(PcapNgParseError::IncompleteBuffer(need, have)) => {
            return Err(Stop::NotACapture(format!("its header is cut off, {have} of {need} bytes are there")));
        }
        Err(e) => return Err(Stop::NotACapture(format!("its section header is damaged: {}", words(&e)))),
    };
    let mut number: u32 = 0;
    while !rest.is_empty() {
        let raw = match parser.next_raw_block(rest) {
            Ok((after, raw)) => {
                rest = after;
                raw
            }
            Err(PcapNgParseError::IncompleteBuffer(need, have)) => {
                let part = format!("{need} bytes are needed, {have} are there");
                faults.push(number + 1, format!("the file ends inside it ({part}); what stands before it was read"));
                break;
            }
            Err(e) => {
                let next = number + 1;
                faults.push(next, format!("the file is damaged here and nothing from here on was read: {}", words(&e)));
                break;
            }
        };
        if !matches!(raw.type_, PACKET | SIMPLE_PACKET | ENHANCED_PACKET) {
            continue;
        }
        number += 1;
        let block = match raw.try_into_block(parser.state()) {
            Ok(block) => block,
            Err(e) => {
                faults.push(number, format!("{}; it is left out", words(&e)));
                continue;
            }
        };
        // Borrowed from `bytes`: the block was.
        let (interface, time, original, data) = match &block {
            Block::EnhancedPacket(p) => (p.interface_id, Ok(p.timestamp), p.original_len, &p.data),
            Block::Packet(p) => (u32::from(p.interface_id), Ok(p.timestamp), p.original_len, &p.data),
            Block::SimplePacket(p) => {
                (0, Err("a simple packet block, which has no time".to_owned()), p.original_len, &p.data)
            }
            _ => continue,
        };
        let known = parser.interfaces().get(interface as usize);
        if let Some(Err(stop)) = known.map(|i| ethernet(interface, i)) {
            // Nothing taken yet: the file is of no use. Otherwise what was read counts.
            if frames.is_empty() {
                return Err(Stop::LinkType(stop));
            }
            faults.push(number, format!("{stop}; only Ethernet is read, and nothing from here on was"));
            break;
        }
        take((bytes, frames, faults), number, data, original, time.map(|t: Duration| t.as_nanos()));
    }
    Ok(())
}

/// Ethernet without FCS, or why not.
fn ethernet(n: u32, interface: &InterfaceDescriptionBlock<'_>) -> Result<(), String> {
    let name = interface.options.iter().find_map(|o| match o {
        InterfaceDescriptionOption::IfName(name) => Some(format!(" ({name:?})")),
        _ => None,
    });
    let name = name.unwrap_or_default();
    let kind = u32::from(interface.linktype);
    if kind != ETHERNET {
        return Err(format!("interface {n}{name} has link type {}", pcap::name(kind)));
    }
    let fcs = interface.options.iter().any(|o| matches!(o, InterfaceDescriptionOption::IfFcsLen(1..)));
    if fcs { Err(format!("interface {n}{name} keeps the frame checksum (FCS)")) } else { Ok(()) }
}

/// An error with its causes in one line.
fn words(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
