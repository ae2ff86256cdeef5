//! What the writer changes: ports of this host come and go, each time with another MAC, machines
//! elsewhere move, rows come and go.

use control::model::{Change, Cloud};
use serde_json::{Value, json};
use std::path::Path;

/// Ports that come and go.
pub const SLOTS: u8 = 4;
/// VMs that stay, on each of two networks.
pub const STEADY: u8 = 4;

pub struct World {
    cloud: Cloud,
    /// Incarnation of each slot, if it is there.
    slots: [Option<u8>; SLOTS as usize],
    next: u8,
    random: u64,
    pub batches: u64,
    pub added: u64,
}

fn port(id: &str, network: &str, ip: String, mac: String, host: &str) -> Value {
    json!({"id": id, "network_id": network, "mac_address": mac, "status": "ACTIVE", "admin_state_up": true,
        "fixed_ips": [{"subnet_id": format!("{network}-v4"), "ip_address": ip}], "device_owner": "compute:nova",
        "binding_host_id": host})
}

impl World {
    /// The reference cloud with steady VMs here and elsewhere.
    pub fn new() -> World {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures/T/cloud.json");
        let cloud = Cloud::load(&file).unwrap();
        let mut world = World { cloud, slots: [None; 4], next: 0, random: 1, batches: 0, added: 0 };
        let mut ports = Vec::new();
        for i in 0..STEADY {
            ports.push(port(
                &format!("steady-a{i}"),
                "A",
                format!("10.1.0.{}", 50 + i),
                format!("fa:16:3e:10:0a:{i:02x}"),
                "H1",
            ));
            ports.push(port(
                &format!("steady-b{i}"),
                "B",
                format!("10.2.0.{}", 50 + i),
                format!("fa:16:3e:10:0b:{i:02x}"),
                "H1",
            ));
            ports.push(port(
                &format!("remote-a{i}"),
                "A",
                format!("10.1.0.{}", 80 + i),
                format!("fa:16:3e:30:0a:{i:02x}"),
                "H2",
            ));
        }
        world.apply(json!({"set": {"ports": ports}}));
        world
    }

    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    fn apply(&mut self, change: Value) {
        let change = Change::from_json_value(change, "stress", 1).unwrap();
        self.cloud = self.cloud.apply(&change).unwrap();
        self.batches += 1;
    }

    /// One batch.
    pub fn change(&mut self) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (what, k) = ((self.random >> 33) % 4, ((self.random >> 40) % u64::from(SLOTS)) as u8);
        let at = usize::from(k);
        match (what, self.slots[at]) {
            // A slot's port goes, or another comes: same address, another MAC, another id.
            (0 | 1, Some(n)) => {
                self.slots[at] = None;
                self.apply(json!({"delete": {"ports": [format!("slot-{k}-{n}")]}}));
            }
            (0 | 1, None) => {
                let n = self.next;
                self.next = self.next.wrapping_add(1);
                self.slots[at] = Some(n);
                self.added += 1;
                let mac = format!("fa:16:3e:20:{k:02x}:{n:02x}");
                let mut new = port(&format!("slot-{k}-{n}"), "A", format!("10.1.0.{}", 110 + k), mac, "H1");
                // One tenant's machine may send from any address: nothing but the books keeps its frames apart.
                new["port_security_enabled"] = json!(k != 0);
                self.apply(json!({"set": {"ports": [new]}}));
            }
            // A machine elsewhere moves.
            (2, _) => {
                let host = if self.random >> 50 & 1 == 0 { "H2" } else { "H3" };
                let moved = port("mover", "A", "10.1.0.90".to_owned(), "fa:16:3e:30:0a:90".to_owned(), host);
                self.apply(json!({"set": {"ports": [moved]}}));
            }
            // Rows of machines elsewhere come and go.
            _ => {
                let there = self.cloud.ports.contains_key("crowd-0");
                let id = |i| format!("crowd-{i}");
                if there {
                    self.apply(json!({"delete": {"ports": (0..20).map(id).collect::<Vec<_>>()}}));
                } else {
                    let crowd =
                        |i| port(&id(i), "A", format!("10.1.0.{}", 200 + i), format!("fa:16:3e:40:00:{i:02x}"), "H3");
                    self.apply(json!({"set": {"ports": (0..20).map(crowd).collect::<Vec<_>>()}}));
                }
            }
        }
    }
}
