use super::*;
use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::{DataLink, Endianness};

const T0: u64 = 1_700_000_000_123_456_789;

fn sample() -> Capture {
    let mut c = Capture::default();
    c.push(T0, &[1; 60]);
    c.push(T0 + 1_000, &[2; 14]);
    c.push(T0 + 2_000_000_000, &[3; 1500]);
    c
}

fn frames(c: &Capture) -> Vec<(u32, u64, Vec<u8>)> {
    c.frames().map(|f| (f.number, f.time, f.bytes.to_vec())).collect()
}

fn read(bytes: Vec<u8>) -> Result<Capture, CaptureError> {
    Capture::from_bytes(bytes, "x.pcap")
}

/// A pcap in another byte order and resolution.
fn pcap(big: bool, nanos: bool, link: u32, packets: &[(u64, &[u8], u32)]) -> Vec<u8> {
    let word = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let half = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = word(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }).to_vec();
    out.extend([half(2), half(4)].concat());
    out.extend([word(0), word(0), word(65535), word(link)].concat());
    for (time, data, original) in packets {
        let part = (time % 1_000_000_000) as u32 / if nanos { 1 } else { 1_000 };
        out.extend(
            [word((time / 1_000_000_000) as u32), word(part), word(data.len() as u32), word(*original)].concat(),
        );
        out.extend(*data);
    }
    out
}

fn pcapng(endianness: Endianness, resolution: u8, link: DataLink, packets: &[(u64, &[u8], u32)]) -> Vec<u8> {
    let section = SectionHeaderBlock { endianness, ..SectionHeaderBlock::default() };
    let mut w = PcapNgWriter::with_section_header(Vec::new(), section).unwrap();
    let mut interface = InterfaceDescriptionBlock::new(link, 0);
    let resolution = InterfaceTsResolution::from_u8(resolution).unwrap();
    interface.options.push(InterfaceDescriptionOption::IfTsResol(resolution));
    w.write_pcapng_block(interface).unwrap();
    for (time, data, original_len) in packets {
        let timestamp = Duration::from_nanos(*time);
        let data = Cow::Borrowed(*data);
        w.write_pcapng_block(EnhancedPacketBlock {
            timestamp,
            data,
            original_len: *original_len,
            ..Default::default()
        })
        .unwrap();
    }
    w.into_inner()
}

#[test]
fn written_as_the_fixtures_are() {
    let bytes = sample().to_pcap();
    let header = [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    assert_eq!(bytes[..24], header);
    assert_eq!(bytes[24..40], [0, 0xf1, 0x53, 0x65, 0x15, 0xcd, 0x5b, 7, 60, 0, 0, 0, 60, 0, 0, 0]);
    assert_eq!(frames(&read(bytes).unwrap()), frames(&sample()));
}

#[test]
fn every_form_says_the_same() {
    let want = frames(&sample());
    let packets: Vec<(u64, &[u8], u32)> = want.iter().map(|(_, t, d)| (*t, d.as_slice(), d.len() as u32)).collect();
    let micro: Vec<_> = want.iter().map(|(n, t, d)| (*n, t / 1000 * 1000, d.clone())).collect();
    for big in [false, true] {
        assert_eq!(frames(&read(pcap(big, true, 1, &packets)).unwrap()), want);
        assert_eq!(frames(&read(pcap(big, false, 1, &packets)).unwrap()), micro);
        let order = if big { Endianness::Big } else { Endianness::Little };
        assert_eq!(frames(&read(pcapng(order, 9, DataLink::ETHERNET, &packets)).unwrap()), want);
        assert_eq!(frames(&read(pcapng(order, 6, DataLink::ETHERNET, &packets)).unwrap()), micro);
    }
}

#[test]
fn gzip_is_seen_by_its_first_bytes() {
    let path = std::env::temp_dir().join(format!("dvrd-capture-{}.bin", std::process::id()));
    let zip = |bytes: &[u8]| {
        let mut z = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        z.write_all(bytes).unwrap();
        z.finish().unwrap()
    };
    let (first, second) = (zip(&sample().to_pcap()), zip(&[]));
    std::fs::write(&path, [&first[..], &second[..]].concat()).unwrap();
    assert_eq!(frames(&Capture::load(&path).unwrap()), frames(&sample()));
    // Cut anywhere: never an error that loses frames silently.
    for cut in 2..first.len() {
        std::fs::write(&path, &first[..cut]).unwrap();
        match Capture::load(&path) {
            Ok(c) => assert_eq!(c.faults().count(), 1, "cut at {cut}"),
            Err(e) => assert!(matches!(e, CaptureError::NotACapture { .. }), "{e}"),
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_cut_off_tail_keeps_what_is_before_it() {
    let want = frames(&sample());
    let packets: Vec<(u64, &[u8], u32)> = want.iter().map(|(_, t, d)| (*t, d.as_slice(), d.len() as u32)).collect();
    let classic = sample().to_pcap();
    let ng = pcapng(Endianness::Little, 9, DataLink::ETHERNET, &packets);
    for (whole, ends) in [(&classic, vec![24, 24 + 76, 24 + 76 + 30]), (&ng, vec![])] {
        for cut in 4..whole.len() {
            match read(whole[..cut].to_vec()) {
                Err(e) => assert!(e.to_string().contains("cut off"), "{cut}: {e}"),
                Ok(c) => {
                    assert_eq!(frames(&c)[..], want[..c.len()], "{cut}");
                    let faults = c.faults();
                    assert!(faults.count() <= 1);
                    if !ends.is_empty() {
                        assert_eq!(faults.count(), usize::from(!ends.contains(&cut)), "{cut}");
                        assert!(faults.first().iter().all(|f| f.packet as usize == c.len() + 1));
                    }
                }
            }
        }
    }
}

#[test]
fn a_packet_that_cannot_be_taken_is_named_and_left_out() {
    let long = vec![0u8; 70_000];
    let packets: [(u64, &[u8], u32); 5] =
        [(T0, &[1; 60], 60), (T0, &[2; 96], 1500), (T0, &[3; 60], 59), (T0, &long, 70_000), (T0, &[4; 60], 60)];
    let c = read(pcap(false, true, 1, &packets)).unwrap();
    assert_eq!(c.frames().map(|f| f.number).collect::<Vec<_>>(), [1, 5]);
    let text: Vec<String> = c.faults().first().iter().map(Fault::to_string).collect();
    assert!(text[0].starts_with("packet 2: only 96 of its 1500 bytes were captured;"), "{}", text[0]);
    assert!(text[1].starts_with("packet 3: 60 bytes are stored of a frame of 59"), "{}", text[1]);
    assert!(text[2].starts_with("packet 4: it is 70000 bytes long"), "{}", text[2]);
    let ng = read(pcapng(Endianness::Big, 9, DataLink::ETHERNET, &packets[..2])).unwrap();
    assert_eq!((ng.len(), ng.faults().count()), (1, 1));

    let mut wild = pcap(false, true, 1, &packets[..1]);
    wild.extend([[0u8; 8], [0xff; 8]].concat());
    let c = read(wild).unwrap();
    assert_eq!(c.len(), 1);
    assert!(c.faults().first()[0].reason.contains("damaged here"), "{:?}", c.faults());
}

#[test]
fn other_files_are_told_apart() {
    let error = |bytes: Vec<u8>| read(bytes).unwrap_err().to_string();
    assert!(error(pcap(false, false, 113, &[])).contains("link type 113 (LINUX_SLL)"));
    assert!(error(pcap(false, false, 0x4400_0001, &[])).contains("FCS"));
    let ng = pcapng(Endianness::Little, 9, DataLink::LINUX_SLL2, &[(T0, &[0; 60], 60)]);
    assert!(error(ng).contains("interface 0 has link type 276 (LINUX_SLL2)"));
    assert!(error(b"{\"ports\": []}".to_vec()).contains("JSON"));
    assert!(error(vec![]).contains("only 0 bytes"));
    assert!(error(vec![0x4d, 0x3c, 0xb2, 0xa1, 2]).contains("cut off"));
    let missing = Capture::load(Path::new("/nonexistent/x.pcap")).unwrap_err();
    assert!(matches!(missing, CaptureError::Io { .. }));
}

proptest::proptest! {
    #[test]
    fn no_bytes_are_too_wild(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), kind in 0usize..3) {
        let head: &[&[u8]] = &[&[0x4d, 0x3c, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a], &[0xa1, 0xb2, 0xc3, 0xd4]];
        let n = bytes.len().min(4);
        bytes[..n].copy_from_slice(&head[kind][..n]);
        let _ = read(bytes);
    }

    #[test]
    fn a_flipped_byte_is_survived(at in 0usize..1000, to in proptest::num::u8::ANY, ng in proptest::bool::ANY) {
        let want = frames(&sample());
        let packets: Vec<(u64, &[u8], u32)> = want.iter().map(|(_, t, d)| (*t, d.as_slice(), d.len() as u32)).collect();
        let mut bytes = if ng { pcapng(Endianness::Little, 9, DataLink::ETHERNET, &packets) } else { sample().to_pcap() };
        let n = bytes.len();
        bytes[at % n] = to;
        if let Ok(c) = read(bytes) {
            c.frames().for_each(|f| assert!(f.bytes.len() <= MAX_FRAME));
        }
    }
}

#[test]
fn a_capture_larger_than_the_limit_is_refused() {
    let bytes = sample().to_pcap();
    let size = bytes.len() as u64;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&bytes).unwrap();
    for content in [bytes, packed.finish().unwrap()] {
        let read = |limit| Capture::read_limited(&content[..], "large.pcap".as_ref(), limit);
        assert_eq!(read(size).unwrap().len(), sample().len());
        let error = read(size - 1).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
    }
}
