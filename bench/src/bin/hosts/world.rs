//! The worlds that are compared: the same machines with `dvrd` on their hosts, with the kernel alone, and a wire.

use crate::kernel;
use crate::load::{End, READY};
use control::daemon::config::PortIo;
use control::lab::cloud::Name;
use control::lab::cloud::outside::{CLIENT, floating_ip};
use control::lab::command::{Res, words};
use control::lab::daemon::{Dvrd, Setup, Stopped};
use control::lab::folder::Folder;
use control::lab::netns::Netns;
use control::lab::topology::{Base, Lab};
use control::lab::traffic::{client, listening, report, server};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// The instances; one of them has a floating IP.
const VMS: [&str; 5] = ["A1", "A3", "B1", "A2", "B2"];
const FLOATING: [&str; 1] = ["A1"];
/// No step but the load itself takes longer.
const STEP: Duration = Duration::from_secs(10);
/// What is under way when the source has ended arrives within this.
const DRAIN: Duration = Duration::from_millis(100);

/// A way through the cloud: name, from, to (`client`: outside), and whether it is only bridged.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// What the table calls it.
    pub name: &'static str,
    from: &'static str,
    to: &'static str,
    /// Layer 2 only.
    pub bridged: bool,
}

const fn way(name: &'static str, from: &'static str, to: &'static str, bridged: bool) -> Way {
    Way { name, from, to, bridged }
}

/// All of them.
pub const WAYS: [Way; 6] = [
    way("bridged, same host", "A1", "A3", true),
    way("bridged, over VXLAN", "A1", "A2", true),
    way("routed, same host", "A1", "B1", false),
    way("routed, over VXLAN", "A1", "B2", false),
    way("out by a floating IP", "A1", "client", false),
    way("in by a floating IP", "client", "A1", false),
];

/// One of the worlds.
pub struct World {
    // Before the lab, whose folder has their files.
    dvrd: Vec<Dvrd>,
    _kernel: Vec<kernel::Host>,
    wire: Option<[Netns; 2]>,
    lab: Option<Lab>,
    folder: PathBuf,
}

/// What is needed to make them.
pub struct Tools {
    /// The programs.
    pub dvrd: PathBuf,
    /// The same.
    pub dvrctl: PathBuf,
    /// By what `dvrd` takes the instances' interfaces.
    pub port_io: PortIo,
}

/// CPU time of the load's two ends, and of what is between them beside that, ns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Processes of the load, with the kernel's work in their context.
    pub ends: u64,
    /// `dvrd` and the kernel's softirq threads.
    pub between: u64,
}

impl Cost {
    /// Both.
    pub fn all(self) -> u64 {
        self.ends + self.between
    }
}

fn base(tools: &Tools, what: &str) -> Res<Base> {
    let name = format!("dvrd-{}-bench-{what}", std::process::id());
    let folder = Folder::new(std::env::temp_dir().join(&name))?;
    Ok(Base { folder, prefix: name, dvrd: tools.dvrd.clone(), dvrctl: tools.dvrctl.clone() })
}

impl World {
    /// `dvrd` on every host.
    pub fn dvrd(tools: &Tools) -> Res<World> {
        let lab = Lab::with_outside(base(tools, "d")?, 1, &VMS, &FLOATING)?;
        let setup = Setup { inside: true, port_io: tools.port_io, more: "spin_us = 0\n", ..Setup::default() };
        let dvrd = (0..lab.hosts()).map(|host| Dvrd::start(&lab, host, &setup)).collect::<Res<Vec<_>>>()?;
        let folder = lab.path("");
        World { dvrd, _kernel: Vec::new(), wire: None, lab: Some(lab), folder }.tried()
    }

    /// The kernel on both compute hosts.
    pub fn kernel(tools: &Tools) -> Res<World> {
        let lab = Lab::with_outside(base(tools, "k")?, 1, &VMS, &FLOATING)?;
        let floating = FLOATING.map(Name);
        let hosts = [kernel::host(&lab, 0, &floating)?, kernel::host(&lab, 1, &[])?];
        let folder = lab.path("");
        World { dvrd: Vec::new(), _kernel: hosts.into(), wire: None, lab: Some(lab), folder }.tried()
    }

    /// Source and sink at the two ends of a veth pair: what the load itself costs. Its files are another world's.
    pub fn wire(other: &World) -> Res<World> {
        let new = |end: &str| Netns::new(&other.folder, &format!("dvrd-{}-bench-w{end}", std::process::id()));
        let [a, b] = [new("a")?, new("b")?];
        a.ip(&format!("link add eth0 mtu 1450 type veth peer name eth0 netns {}", b.name()))?;
        for (ns, n) in [(&a, 1), (&b, 2)] {
            ns.ip(&format!("addr add 10.0.0.{n}/24 dev eth0"))?;
            ns.ip("link set eth0 mtu 1450 up")?;
        }
        let (dvrd, lab, folder) = (Vec::new(), None, other.folder.clone());
        Ok(World { dvrd, _kernel: Vec::new(), wire: Some([a, b]), lab, folder })
    }

    /// Every way, once.
    fn tried(self) -> Res<World> {
        for way in WAYS {
            let (from, _, to) = self.ends(way)?;
            let answered = (0..50)
                .any(|_| from.exec(&format!("ping -n -c 1 -W 0.1 {to}"), STEP).is_ok_and(|d| d.status == Some(0)));
            if !answered {
                return Err(format!("{}: no answer from {to}", way.name));
            }
        }
        Ok(self)
    }

    /// Where a way begins and ends, and the address to send to.
    fn ends(&self, way: Way) -> Res<(&Netns, &Netns, String)> {
        if let Some([a, b]) = &self.wire {
            return Ok((a, b, "10.0.0.2".to_owned()));
        }
        let lab = self.lab.as_ref().ok_or("a world without machines")?;
        let ns = |name: &str| if name == "client" { lab.client() } else { lab.vm(name) };
        let address = match (way.from, way.to) {
            (_, "client") => CLIENT.to_owned(),
            ("client", to) => floating_ip(Name(VMS.into_iter().find(|v| *v == to).unwrap_or("A1"))),
            (_, to) => Name(VMS.into_iter().find(|v| *v == to).unwrap_or("A1")).address(),
        };
        Ok((ns(way.from), ns(way.to), address))
    }

    /// CPU time so far of what is between the ends, ns.
    fn between(&self) -> Res<u64> {
        let mut sum = softirq_threads();
        for dvrd in &self.dvrd {
            sum += threads_of(dvrd.process()?.pid);
        }
        Ok(sum)
    }

    /// UDP packets at a rate: sent, received, and what that cost.
    pub fn udp(&self, way: Way, rate: u32, seconds: f64) -> Res<(u64, u64, Cost)> {
        let (from, to, address) = self.ends(way)?;
        let me = std::env::current_exe().map_err(|e| e.to_string())?.display().to_string();
        let mut sink = to.start(&words(&format!("{me} sink 9000")))?;
        sink.until(READY, STEP)?;
        let before = self.between()?;
        let sent = end(&from
            .exec(&format!("{me} send {address}:9000 {rate} {seconds}"), STEP + Duration::from_secs_f64(seconds))?
            .good()?)?;
        std::thread::sleep(DRAIN);
        let between = self.between()? - before;
        let received = end(&sink.wait(STEP)?.good()?)?;
        Ok((sent.packets, received.packets, Cost { ends: sent.cpu_ns + received.cpu_ns, between }))
    }

    /// TCP as fast as it goes: bytes received, Mbit/s, and what that cost.
    pub fn tcp(&self, way: Way, seconds: u64) -> Res<(u64, f64, Cost)> {
        let (from, to, address) = self.ends(way)?;
        let port = 5301;
        let receiver = to.start(&server(port))?;
        listening(port, |line| to.exec(line, STEP))?;
        let before = self.between()?;
        let argv = client(&address, port, seconds, "");
        let sender = report(from.start(&argv)?.wait(STEP + Duration::from_secs(seconds))?)?;
        let between = self.between()? - before;
        let _ = report(receiver.wait(STEP)?)?;
        let number = |path: &str| sender.pointer(path).and_then(Value::as_f64).ok_or(format!("iperf3 says no {path}"));
        let took = number("/end/sum_sent/seconds")?;
        let load =
            number("/end/cpu_utilization_percent/host_total")? + number("/end/cpu_utilization_percent/remote_total")?;
        let ends = (load / 100.0 * took * 1e9) as u64;
        let (bytes, bits) = (number("/end/sum_received/bytes")?, number("/end/sum_received/bits_per_second")?);
        Ok((bytes as u64, bits / 1e6, Cost { ends, between }))
    }

    /// CPU time of `dvrd` while nothing happens, share of a core, all hosts together.
    pub fn idle(&self) -> Res<f64> {
        let (second, before) = (Duration::from_secs(1), self.dvrd_time()?);
        std::thread::sleep(second);
        Ok((self.dvrd_time()? - before) as f64 / second.as_nanos() as f64)
    }

    fn dvrd_time(&self) -> Res<u64> {
        self.dvrd.iter().map(|d| Ok(threads_of(d.process()?.pid))).sum()
    }

    /// What `dvrd` says at start of its interfaces.
    pub fn banner(&self) -> Vec<String> {
        self.dvrd.first().map(Dvrd::said).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Stops every `dvrd`.
    pub fn stop(self) -> Res<Vec<Stopped>> {
        self.dvrd.into_iter().map(Dvrd::stop).collect()
    }
}

fn end(said: &str) -> Res<End> {
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|e| format!("{e}: {said}"))
}

/// On-CPU time, ns: the first number of `schedstat` (Documentation/scheduler/sched-stats.rst).
fn on_cpu(file: PathBuf) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn threads_of(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.map(|task| on_cpu(task.path().join("schedstat"))).sum()
}

/// Of the kernel's threads that do what a softirq did not get done.
fn softirq_threads() -> u64 {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|e| e.path());
    let is = |p: &PathBuf| std::fs::read_to_string(p.join("comm")).is_ok_and(|name| name.starts_with("ksoftirqd/"));
    all.filter(is).map(|p| on_cpu(p.join("schedstat"))).sum()
}
