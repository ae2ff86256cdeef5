//! Ten clouds a second: ports come and go, addresses change, floating IPs move between hosts.

use super::{FLOATING, VMS};
use crate::cloud::outside::{floating_ip, model};
use crate::cloud::{Name, subnet};
use crate::command::Res;
use crate::topology::{CLOUD, Lab};
use control::lab::process::Process;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A3 has it half of the time.
pub const OTHER_ADDRESS: &str = "10.1.0.63";
/// So often there is another one.
const EVERY: Duration = Duration::from_millis(100);

/// Who is told of a new cloud.
pub type Processes = Arc<Mutex<Vec<Process>>>;

/// Writes them on a thread of its own, and tells every daemon by SIGHUP.
pub struct Clouds {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Res<usize>>,
}

impl Clouds {
    pub fn start(lab: &Lab, processes: Processes) -> Clouds {
        let (stop, path) = (Arc::new(AtomicBool::new(false)), lab.path(CLOUD));
        let told = Arc::clone(&stop);
        Clouds { stop, thread: std::thread::spawn(move || write(&path, &processes, &told)) }
    }

    /// Puts the first cloud back; how many there were.
    pub fn stop(self) -> Res<usize> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the thread that writes clouds panicked".to_owned())?
    }
}

fn write(path: &PathBuf, processes: &Mutex<Vec<Process>>, stop: &AtomicBool) -> Res<usize> {
    let (start, mut n) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        put(path, &cloud(n), processes)?;
        n += 1;
        let next = EVERY * u32::try_from(n).unwrap_or(u32::MAX);
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    put(path, &cloud(0), processes)?;
    Ok(n)
}

/// Another file gets its name.
fn put(path: &PathBuf, cloud: &Value, processes: &Mutex<Vec<Process>>) -> Res<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, cloud.to_string()).and_then(|()| std::fs::rename(&new, path)).map_err(|e| e.to_string())?;
    let all = processes.lock().map_err(|e| e.to_string())?.clone();
    // One that has just been killed does not hear it.
    all.iter().try_for_each(|process| process.signal(Signal::HUP).map(|_| ()))
}

/// The `n`th; the first is the one the lab was made with.
fn cloud(n: usize) -> Value {
    let of = |names: &[&'static str]| names.iter().map(|n| Name(n)).collect::<Vec<_>>();
    let mut cloud = model(&of(&VMS), &of(&FLOATING));
    if n == 0 {
        return cloud;
    }
    let gone: Vec<&str> =
        [("A3", n % 7 == 3), ("A4", n % 9 >= 7)].into_iter().filter(|(_, g)| *g).map(|(p, _)| p).collect();
    let ports = cloud["ports"].as_array_mut().into_iter().flatten();
    for port in ports.filter(|p| p["id"] == "A3" && n % 10 >= 5) {
        port["fixed_ips"][0]["ip_address"] = OTHER_ADDRESS.into();
    }
    if let Some(ports) = cloud["ports"].as_array_mut() {
        ports.retain(|p| !gone.iter().any(|id| p["id"] == *id));
    }
    // One more floating IP: A3's on H1, then A4's on H2, then nobody's.
    let owner = match n % 12 {
        0..5 => "A3",
        5..10 => "A4",
        _ => return cloud,
    };
    let port = cloud["ports"].as_array().into_iter().flatten().find(|p| p["id"] == owner).cloned();
    if let (Some(port), Some(all)) = (port, cloud["floatingips"].as_array_mut()) {
        all.push(json!({"id": "fip-moves", "floating_ip_address": floating_ip(Name("A3")), "floating_network_id": "X",
            "router_id": "R1", "port_id": owner, "fixed_ip_address": port["fixed_ips"][0]["ip_address"]}));
    }
    // What a router sends to nobody, and where it goes: a route that is there every other time.
    if n % 2 == 1 {
        cloud["routers"][0]["routes"] = json!([{"destination": "192.0.2.0/24", "nexthop": subnet('A', 12)}]);
    }
    cloud
}
