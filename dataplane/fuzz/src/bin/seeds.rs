//! `seeds DIR`: first inputs of every target, one folder each, made of the fixtures. `./run seeds` merges what
//! is new in them into `corpus/`.

use control::capture::Capture;
use flate2::{Compression, write::GzEncoder};
use fuzz::input::{Input, Item};
use fuzz::packet::vxlan_payload;
use fuzz::world;
use libfuzzer_sys as _; // what the coverage flags of ./run call
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let to = std::env::args_os().nth(1).ok_or("give the folder to write to")?;
    let mut seeds = Seeds { to: to.into(), count: 0 };
    for dir in folders()? {
        seeds.fixture(&dir)?;
    }
    seeds.clouds()?;
    seeds.captures()?;
    println!("{} seeds", seeds.count);
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcap-fixtures")
}

fn folders() -> Result<Vec<PathBuf>> {
    let all = fs::read_dir(root())?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
    let mut dirs: Vec<PathBuf> = all.into_iter().filter(|p| p.join("case.toml").exists()).collect();
    dirs.sort();
    Ok(dirs)
}

struct Seeds {
    to: PathBuf,
    count: usize,
}

impl Seeds {
    fn put(&mut self, target: &str, bytes: &[u8]) -> Result<()> {
        let dir = self.to.join(target);
        fs::create_dir_all(&dir)?;
        self.count += 1;
        Ok(fs::write(dir.join(format!("seed-{:05}", self.count)), bytes)?)
    }

    /// Its frames, one by one and together; its patch and its events as changes; its captures.
    fn fixture(&mut self, dir: &Path) -> Result<()> {
        let case: toml::Table = fs::read_to_string(dir.join("case.toml"))?.parse()?;
        let host = case.get("host").and_then(|h| h.as_str()).unwrap_or_default();
        let frames = self.frames(dir)?;
        for (variant, _) in world::VARIANTS.iter().enumerate().filter(|(_, (name, _))| *name == host) {
            let doors = world::with(variant as u8, |w| w.doors().to_vec());
            let item = |(port, bytes): &(String, Vec<u8>)| {
                let door = doors.iter().position(|d| d == port)? as u8;
                Some(Item { door, gap: 0, bytes: bytes.clone() })
            };
            let items: Vec<Item> = frames.iter().filter_map(item).collect();
            for one in items.iter().take(4).filter(|_| items.len() > 1) {
                self.burst(variant, vec![one.clone()])?;
            }
            self.burst(variant, items.into_iter().take(24).collect())?;
        }
        if let Some(patch) = case.get("patch") {
            self.change(&serde_json::to_value(patch)?.to_string())?;
        }
        if let Ok(events) = fs::read_to_string(dir.join("events.jsonl")) {
            self.change(&events)?;
        }
        Ok(())
    }

    fn burst(&mut self, variant: usize, items: Vec<Item>) -> Result<()> {
        let input = Input { variant: variant as u8, items }.encode();
        self.put("burst", &input)?;
        self.put("explain", &input)
    }

    /// Inputs of the case, also as seeds of the parsers.
    fn frames(&mut self, dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = fs::read_dir(dir)?.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        let mut frames = Vec::new();
        for file in files {
            let name = file.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let Some(port) = name.strip_prefix("in.").and_then(|n| n.strip_suffix(".pcap")) else { continue };
            let capture = Capture::load(&file)?;
            for frame in capture.frames() {
                for target in ["decode", "icmp", "nat", "fragment"] {
                    self.put(target, vxlan_payload(frame.bytes).unwrap_or(frame.bytes))?;
                }
                self.put("frame_text", frame.bytes)?;
                if port == "tunnel" {
                    self.put("vxlan", frame.bytes)?;
                }
                frames.push((port.to_owned(), frame.bytes.to_vec()));
            }
        }
        Ok(frames)
    }

    /// Lines with and without the time that only events have.
    fn change(&mut self, lines: &str) -> Result<()> {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for line in lines.lines().filter(|l| !l.trim().is_empty()) {
            let Ok(Value::Object(mut change)) = serde_json::from_str(line) else { continue };
            change.entry("at").or_insert(json!(0));
            with.push(Value::from(change.clone()).to_string());
            change.remove("at");
            without.push(Value::from(change).to_string());
        }
        self.put("change", without.join("\n").as_bytes())?;
        self.put("events", with.join("\n").as_bytes())
    }

    /// The reference cloud whole, and what is left of it without some lists.
    fn clouds(&mut self) -> Result<()> {
        let whole: Value = serde_json::from_str(fuzz::REFERENCE)?;
        let keys: Vec<String> = whole.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
        let mut clouds = vec![whole.clone()];
        for key in &keys {
            let mut less = whole.clone();
            less.as_object_mut().map(|o| o.remove(key));
            clouds.push(less);
            clouds.push(json!({key: whole[key]}));
        }
        clouds.push(small());
        for cloud in clouds {
            self.put("cloud_json", cloud.to_string().as_bytes())?;
            let mut table = cloud;
            fuzz::tree::no_nulls(&mut table);
            self.put("cloud_toml", toml::to_string(&table)?.as_bytes())?;
        }
        Ok(())
    }

    /// Each kind of capture of the same frames, plain and gzipped, whole and cut.
    fn captures(&mut self) -> Result<()> {
        let file = root().join("04-l2-04-broadcast/out.tunnel.pcap");
        let capture = Capture::load(&file)?;
        let nano = fs::read(&file)?;
        let mut micro = nano.clone();
        micro[..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        // As long as a frame can be, and longer; gzipped they are small.
        let mut long = capture.to_pcap();
        for len in [65_535u32, 65_536, 262_144, 262_145] {
            long.extend([0, 0, len, len].map(u32::to_le_bytes).concat());
            long.resize(long.len() + len as usize, 0);
        }
        for plain in [long, nano, micro, pcapng(&capture, false), pcapng(&capture, true)] {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(&plain)?;
            let gzip = gzip.finish()?;
            for bytes in [&plain, &gzip].into_iter().filter(|b| b.len() < 16_384) {
                self.put("capture", bytes)?;
                self.put("capture", &bytes[..bytes.len() - 5])?;
            }
        }
        Ok(())
    }
}

/// Two hosts, two networks, a router, a VM on each.
fn small() -> Value {
    let port = |id: &str, network: &str, mac: &str, ip: &str, owner: &str, host: &str| {
        json!({"id": id, "network_id": network, "mac_address": mac, "status": "ACTIVE", "device_owner": owner,
               "fixed_ips": [{"subnet_id": format!("{network}4"), "ip_address": ip}], "binding_host_id": host,
               "device_id": if host.is_empty() { "r" } else { "" }})
    };
    let gateway = "network:router_interface_distributed";
    json!({
        "hosts": [{"name": "h1", "vtep": "192.0.2.1"}, {"name": "h2", "vtep": "192.0.2.2"}],
        "networks": [
            {"id": "n", "provider_network_type": "vxlan", "provider_segmentation_id": 1},
            {"id": "m", "provider_network_type": "vxlan", "provider_segmentation_id": 2, "mtu": 1400},
        ],
        "subnets": [
            {"id": "n4", "network_id": "n", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1"},
            {"id": "m4", "network_id": "m", "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.1"},
        ],
        "routers": [{"id": "r", "distributed": true, "routes": [{"destination": "0.0.0.0/0", "nexthop": "10.0.1.3"}]}],
        "ports": [
            port("rn", "n", "fa:16:3e:00:00:01", "10.0.0.1", gateway, ""),
            port("rm", "m", "fa:16:3e:00:00:02", "10.0.1.1", gateway, ""),
            port("a", "n", "fa:16:3e:00:00:0a", "10.0.0.10", "compute:nova", "h1"),
            port("b", "m", "fa:16:3e:00:00:0b", "10.0.1.11", "compute:nova", "h2"),
        ],
    })
}

/// Section header, interface and enhanced packets (draft-ietf-opsawg-pcapng), in one byte order or the other.
fn pcapng(capture: &Capture, big: bool) -> Vec<u8> {
    let w2 = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let w4 = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let block = |kind: u32, body: &[u8]| {
        let len = w4(body.len() as u32 + 12);
        [&w4(kind)[..], &len, body, &len].concat()
    };
    let section = [&w4(0x1a2b_3c4d)[..], &w2(1), &w2(0), &[0xff; 8]].concat();
    // if_tsresol: nanoseconds.
    let interface = [&w2(1)[..], &w2(0), &w4(0xffff), &w2(9), &w2(1), &[9, 0, 0, 0], &w4(0)].concat();
    let mut out = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for frame in capture.frames() {
        let (len, mut bytes) = (frame.bytes.len() as u32, frame.bytes.to_vec());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let (high, low) = ((frame.time >> 32) as u32, frame.time as u32);
        let head = [w4(0), w4(high), w4(low), w4(len), w4(len)].concat();
        out.extend(block(6, &[head, bytes].concat()));
    }
    out
}
