//! Writing pcapng: an interface per port, a comment per packet.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter as Blocks};
use pcap_file::{DataLink, Endianness};

/// Writes one section, little endian: Ethernet interfaces called after ports, times in nanoseconds.
pub struct PcapNgWriter<W: Write> {
    blocks: Blocks<W>,
    interfaces: BTreeMap<String, u32>,
}

impl<W: Write> PcapNgWriter<W> {
    /// Writes the section header, with `about` as its comment, and an interface for each of `ports`.
    pub fn new<'p>(out: W, about: &str, ports: impl IntoIterator<Item = &'p str>) -> io::Result<Self> {
        let options = vec![
            SectionHeaderOption::UserApplication(concat!("dvrctl ", env!("CARGO_PKG_VERSION")).into()),
            SectionHeaderOption::Common(CommonOption::Comment(about.into())),
        ];
        let section = SectionHeaderBlock { endianness: Endianness::Little, options, ..Default::default() };
        let blocks = Blocks::with_section_header(out, section).map_err(io::Error::other)?;
        let mut writer = PcapNgWriter { blocks, interfaces: BTreeMap::new() };
        ports.into_iter().try_for_each(|port| writer.interface(port).map(drop))?;
        Ok(writer)
    }

    /// The number of a port's interface; one that is new is written.
    fn interface(&mut self, port: &str) -> io::Result<u32> {
        if let Some(n) = self.interfaces.get(port) {
            return Ok(*n);
        }
        let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0);
        let nanoseconds = InterfaceTsResolution::from_u8(9).map_err(io::Error::other)?;
        interface.options.push(InterfaceDescriptionOption::IfName(port.into()));
        interface.options.push(InterfaceDescriptionOption::IfTsResol(nanoseconds));
        self.write(interface)?;
        let n = self.interfaces.len() as u32;
        self.interfaces.insert(port.to_owned(), n);
        Ok(n)
    }

    /// Writes a frame that came in by `port` at `time` ns since 1970: its first `bytes`, and its whole length.
    pub fn frame(&mut self, port: &str, time: u64, len: u32, bytes: &[u8], comment: &str) -> io::Result<()> {
        let interface_id = self.interface(port)?;
        let comment = EnhancedPacketOption::Common(CommonOption::Comment(comment.into()));
        self.write(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(time),
            original_len: len,
            data: bytes.into(),
            options: vec![comment],
        })
    }

    fn write<'b>(&mut self, block: impl PcapNgBlock<'b>) -> io::Result<()> {
        self.blocks.write_pcapng_block(block).map(drop).map_err(io::Error::other)
    }

    /// Writes everything out and gives the writer back.
    pub fn finish(self) -> io::Result<W> {
        let mut out = self.blocks.into_inner();
        out.flush()?;
        Ok(out)
    }
}

impl<W: Write> std::fmt::Debug for PcapNgWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PcapNgWriter").field("interfaces", &self.interfaces).finish_non_exhaustive()
    }
}
