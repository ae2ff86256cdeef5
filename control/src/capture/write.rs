//! Writing pcap.

use std::io::{self, Write};

use super::{Capture, ETHERNET, MAX_FRAME};

/// Writes pcap with nanoseconds, little endian, version 2.4, snap length 65535, Ethernet.
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    out: W,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
        out.write_all(&2u16.to_le_bytes())?;
        out.write_all(&4u16.to_le_bytes())?;
        out.write_all(&[0; 8])?; // time zone and accuracy: never used
        out.write_all(&(MAX_FRAME as u32).to_le_bytes())?;
        out.write_all(&ETHERNET.to_le_bytes())?;
        Ok(PcapWriter { out })
    }

    /// Writes a frame, captured at `time` ns since 1970. A time past 2106 becomes the last there is.
    pub fn frame(&mut self, time: u64, frame: &[u8]) -> io::Result<()> {
        let frame = frame.get(..MAX_FRAME).unwrap_or(frame);
        let seconds = u32::try_from(time / 1_000_000_000).unwrap_or(u32::MAX);
        let len = (frame.len() as u32).to_le_bytes();
        self.out.write_all(&seconds.to_le_bytes())?;
        self.out.write_all(&((time % 1_000_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&len)?;
        self.out.write_all(&len)?;
        self.out.write_all(frame)
    }

    /// Writes everything out and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl Capture {
    /// Writes the capture as a pcap file.
    pub fn write_pcap<W: Write>(&self, out: W) -> io::Result<W> {
        let mut w = PcapWriter::new(out)?;
        self.frames().try_for_each(|f| w.frame(f.time, f.bytes))?;
        w.finish()
    }

    /// The capture as the bytes of a pcap file.
    pub fn to_pcap(&self) -> Vec<u8> {
        // Writing to memory does not fail.
        self.write_pcap(Vec::new()).unwrap_or_default()
    }
}
