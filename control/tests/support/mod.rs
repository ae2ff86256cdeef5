//! The folders of `pcap-fixtures/`, for tests that use their inputs otherwise than as written.

use control::model::{Change, Cloud};
use std::path::{Path, PathBuf};

/// One folder.
pub struct Case {
    /// Name of the folder.
    pub name: String,
    /// The host whose pipeline runs.
    pub host: String,
    /// The cloud it starts from, its patch applied.
    pub cloud: Cloud,
    /// It starts from the reference cloud as it is, and nothing changes on the way.
    pub plain: bool,
    /// Port and bytes of every frame received.
    pub frames: Vec<(String, Vec<u8>)>,
}

/// All of them, by name.
pub fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures");
    let mut dirs: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.retain(|d| d.join("case.toml").exists());
    dirs.sort();
    assert!(dirs.len() > 100, "the fixtures are missing");
    dirs.iter().map(|d| case(d)).collect()
}

fn case(dir: &Path) -> Case {
    let text = std::fs::read_to_string(dir.join("case.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let word = |key: &str| table.get(key).and_then(|v| v.as_str());
    let cloud = Cloud::load(&dir.join(word("cloud").unwrap_or("../T/cloud.json"))).unwrap();
    let patch = Change::from_toml(&text, "case.toml", "patch").unwrap();
    Case {
        name: dir.file_name().unwrap().to_string_lossy().into_owned(),
        host: word("host").unwrap().to_owned(),
        cloud: cloud.apply(&patch).unwrap(),
        plain: word("cloud").is_none() && patch.is_empty() && !dir.join("events.jsonl").exists(),
        frames: inputs(dir),
    }
}

fn inputs(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut frames = Vec::new();
    for name in &names {
        let Some(port) = name.strip_prefix("in.").and_then(|n| n.strip_suffix(".pcap")) else { continue };
        let file = std::fs::File::open(dir.join(name)).unwrap();
        let mut reader = pcap_file::pcap::PcapReader::new(file).unwrap();
        while let Some(packet) = reader.next_packet() {
            frames.push((port.to_owned(), packet.unwrap().data().to_vec()));
        }
    }
    frames
}

/// A small seeded generator (splitmix64): tests must not depend on the day they run.
pub struct Seeded(pub u64);

impl Seeded {
    /// The next number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % n as u64) as usize
    }
}
