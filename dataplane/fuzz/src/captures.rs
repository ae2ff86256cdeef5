//! Captures and the words for frames.

use control::capture::{Capture, MAX_FRAME};
use control::frame_text::Decoded;
use std::path::Path;

/// A capture file, as it is and as gzip would be read.
pub fn capture(data: &[u8]) {
    let Ok(capture) = Capture::read_from(data, Path::new("fuzz.pcap")) else { return };
    let gzip = data.starts_with(&[0x1f, 0x8b]);
    let mut bytes = 0;
    let mut last = 0;
    for frame in capture.frames() {
        assert!(frame.bytes.len() <= MAX_FRAME && frame.number > last);
        assert!(frame.time / 1_000_000_000 <= u64::from(u32::MAX), "a time that a pcap cannot hold");
        last = frame.number;
        bytes += frame.bytes.len();
    }
    assert!(gzip || bytes <= data.len(), "{bytes} bytes of frames in a file of {}", data.len());
    assert_eq!(capture.frames().count(), capture.len(), "a frame that is not there");
    for fault in capture.faults().first() {
        assert!(!fault.to_string().chars().any(char::is_control), "{fault:?}");
    }
    // Written and read again it is the same.
    let again = Capture::read_from(&capture.to_pcap()[..], Path::new("again.pcap")).expect("our own file");
    assert_eq!(again.faults().count(), 0, "{:?}", again.faults());
    let same = capture.frames().zip(again.frames()).all(|(a, b)| a.time == b.time && a.bytes == b.bytes);
    assert!(same && again.len() == capture.len(), "another capture after writing and reading");
}

/// Any bytes have one printable line.
pub fn frame_text(data: &[u8]) {
    let decoded = Decoded::of(data, 4789);
    let line = decoded.line();
    assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
    if let Some(outer) = &decoded.outer {
        assert!(outer.vni < 1 << 24 && decoded.inner.len < data.len(), "{outer:?}");
    }
}
