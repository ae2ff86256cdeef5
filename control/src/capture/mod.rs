//! Captures: frames with their times, in memory.
//!
//! [`Capture::load`] reads pcap and pcapng, micro- and nanoseconds, either byte order, gzip or not, told apart by
//! their first bytes. [`PcapWriter`] writes pcap with nanoseconds, little endian: the form of `pcap-fixtures`.
//! [`PcapNgWriter`] writes pcapng, with an interface per port and a comment per packet.
//!
//! What is wrong with a whole file is a [`CaptureError`] and nothing is read. What is wrong with one packet, and a
//! tail that is cut off, is a [`Fault`]: everything else of the file is there.

mod pcap;
mod pcapng;
mod write;
mod write_ng;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use thiserror::Error;

pub use write::PcapWriter;
pub use write_ng::PcapNgWriter;

/// The longest frame taken, bytes. No Ethernet frame is longer, and the pipeline counts in 16 bits.
pub const MAX_FRAME: usize = 65_535;
/// The largest capture read, bytes after decompression.
pub const MAX_CAPTURE: u64 = 4 << 30;
/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// Faults of one capture that are kept; the rest is only counted.
const MAX_FAULTS: usize = 8;

/// Frames in the order of their file.
#[derive(Clone, Default)]
pub struct Capture {
    /// Whole file, or the frames one after the other.
    bytes: Vec<u8>,
    frames: Vec<Entry>,
    faults: Faults,
}

/// Where a frame is in [`Capture::bytes`].
#[derive(Clone, Copy)]
struct Entry {
    time: u64,
    start: usize,
    len: u32,
    number: u32,
}

/// One frame of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'c> {
    /// Its number in the file, from 1, as other tools count packets.
    pub number: u32,
    /// When it was captured, ns since 1970.
    pub time: u64,
    /// From the Ethernet destination on, without FCS.
    pub bytes: &'c [u8],
}

/// What is wrong with one packet, or with the file from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The packet's number in the file, from 1.
    pub packet: u32,
    /// What, and what it means for the packet.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet {}: {}", self.packet, self.reason)
    }
}

/// The first faults of a capture, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    first: Vec<Fault>,
    count: usize,
}

impl Faults {
    /// The first of them.
    pub fn first(&self) -> &[Fault] {
        &self.first
    }

    /// All of them.
    pub fn count(&self) -> usize {
        self.count
    }

    fn push(&mut self, packet: u32, reason: String) {
        self.count += 1;
        if self.first.len() < MAX_FAULTS {
            self.first.push(Fault { packet, reason });
        }
    }
}

/// Why a file cannot be read as a capture at all.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The file system says no.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither pcap nor pcapng.
    #[error("{}: not a capture: {why}; give a pcap or pcapng file, gzipped or not", path.display())]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// Frames of something else than Ethernet.
    #[error("{}: {what}; only Ethernet (link type 1) is read: capture on an Ethernet interface, not on \"any\"", path.display())]
    LinkType {
        /// The file.
        path: PathBuf,
        /// The link type found.
        what: String,
    },
    /// Beyond [`MAX_CAPTURE`].
    #[error("{}: larger than {MAX_CAPTURE} bytes uncompressed; split it, for instance with editcap -c", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// What ends the reading of a file, with the reader's position.
enum Stop {
    NotACapture(String),
    LinkType(String),
}

impl Capture {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Capture, CaptureError> {
        let file = File::open(path).map_err(|source| CaptureError::Io { path: path.to_owned(), source })?;
        Self::read_from(file, path)
    }

    /// Reads what a file would hold, gzipped or not; `path` is what errors call it.
    pub fn read_from(source: impl Read, path: &Path) -> Result<Capture, CaptureError> {
        let (bytes, broken) = read_all(source).map_err(|source| CaptureError::Io { path: path.to_owned(), source })?;
        if bytes.len() as u64 > MAX_CAPTURE {
            return Err(CaptureError::TooLarge { path: path.to_owned() });
        }
        Self::read(bytes, broken).map_err(|stop| match stop {
            Stop::NotACapture(why) => CaptureError::NotACapture { path: path.to_owned(), why },
            Stop::LinkType(what) => CaptureError::LinkType { path: path.to_owned(), what },
        })
    }

    /// Reads the bytes of an uncompressed pcap or pcapng file; `name` is what errors call it.
    pub fn from_bytes(bytes: Vec<u8>, name: &str) -> Result<Capture, CaptureError> {
        Self::read(bytes, None).map_err(|stop| match stop {
            Stop::NotACapture(why) => CaptureError::NotACapture { path: name.into(), why },
            Stop::LinkType(what) => CaptureError::LinkType { path: name.into(), what },
        })
    }

    fn read(bytes: Vec<u8>, broken: Option<String>) -> Result<Capture, Stop> {
        let mut frames = Vec::new();
        let mut faults = Faults::default();
        match bytes.first_chunk::<4>() {
            None => return Err(Stop::NotACapture(format!("it has only {} bytes", bytes.len()))),
            Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng::read(&bytes, &mut frames, &mut faults)?,
            Some(_) => pcap::read(&bytes, &mut frames, &mut faults)?,
        }
        if let Some(why) = broken {
            let next = frames.last().map_or(1, |e: &Entry| e.number.saturating_add(1));
            if faults.count == 0 {
                faults.push(
                    next,
                    format!("the gzip data are cut off or damaged here ({why}); nothing after it was read"),
                );
            }
        }
        Ok(Capture { bytes, frames, faults })
    }

    /// Adds a frame at the end; its number is one more than the last.
    pub fn push(&mut self, time: u64, frame: &[u8]) {
        let number = self.frames.last().map_or(1, |e| e.number.saturating_add(1));
        let len = frame.len().min(MAX_FRAME) as u32;
        self.frames.push(Entry { time, start: self.bytes.len(), len, number });
        self.bytes.extend(frame.iter().take(MAX_FRAME));
    }

    /// The frames, in the order of the file.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        (0..self.frames.len()).filter_map(|i| self.get(i))
    }

    /// The `i`th frame read, from 0.
    pub fn get(&self, i: usize) -> Option<Frame<'_>> {
        let e = self.frames.get(i)?;
        let bytes = self.bytes.get(e.start..)?.get(..e.len as usize)?;
        Some(Frame { number: e.number, time: e.time, bytes })
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Puts the frames in the order of their times; equal times keep the order of the file.
    pub fn sort_by_time(&mut self) {
        self.frames.sort_by_key(|e| e.time);
    }

    /// What could not be read.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("frames", &self.len()).field("faults", &self.faults).finish()
    }
}

/// All bytes of a source, decompressed if they are gzip, and why there are no more if decompression failed.
fn read_all(mut file: impl Read) -> io::Result<(Vec<u8>, Option<String>)> {
    let mut head = Vec::new();
    (&mut file).take(2).read_to_end(&mut head)?;
    let gzip = head == [0x1f, 0x8b];
    let whole = io::Cursor::new(head).chain(file);
    let mut bytes = Vec::new();
    if !gzip {
        whole.take(MAX_CAPTURE + 1).read_to_end(&mut bytes)?;
        return Ok((bytes, None));
    }
    // read_to_end keeps in `bytes` what it got before an error.
    let mut plain = flate2::read::MultiGzDecoder::new(io::BufReader::new(whole)).take(MAX_CAPTURE + 1);
    match plain.read_to_end(&mut bytes) {
        Ok(_) => Ok((bytes, None)),
        Err(e) => Ok((bytes, Some(e.to_string()))),
    }
}

/// Adds a packet, or the reason not to.
fn take(
    (bytes, frames, faults): (&[u8], &mut Vec<Entry>, &mut Faults),
    number: u32,
    data: &[u8],
    original: u32,
    nanos: Result<u128, String>,
) {
    let reason = match nanos {
        Err(reason) => reason,
        Ok(_) if (data.len() as u64) < u64::from(original) => {
            format!(
                "only {} of its {original} bytes were captured; capture whole frames, for instance with tcpdump -s 0",
                data.len()
            )
        }
        Ok(_) if data.len() as u64 > u64::from(original) => {
            format!("{} bytes are stored of a frame of {original}; the file is damaged here", data.len())
        }
        Ok(_) if data.len() > MAX_FRAME => {
            format!("it is {} bytes long; frames have at most {MAX_FRAME}", data.len())
        }
        Ok(nanos) => match u64::try_from(nanos) {
            Ok(time) if time / 1_000_000_000 <= u64::from(u32::MAX) => {
                // `data` is part of `bytes`; where, its address tells.
                let start = (data.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
                let there = bytes.get(start..).and_then(|b| b.get(..data.len()));
                if there.is_some_and(|there| std::ptr::eq(there, data)) {
                    frames.push(Entry { time, start, len: data.len() as u32, number });
                    return;
                }
                "its bytes are not where the file says".to_owned()
            }
            _ => "its time is past the year 2106, which a pcap cannot hold".to_owned(),
        },
    };
    faults.push(number, format!("{reason}; it is left out"));
}

#[cfg(test)]
mod tests;
