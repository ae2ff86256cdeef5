//! The running daemon. This thread owns the model, the tables and the timers; workers forward on threads of their
//! own; another follows the kernel's neighbours.

use super::banner::banner;
use super::config::{Config, NicUse};
use super::doctor::{self, Before, Use};
use super::model::{Model, StoreError};
use super::net::{NetError, UnderlayEvent};
use super::nic::{Nic, NicError, Role, Share};
use super::numa;
use super::physical::{self, Physical};
use super::ports::{LEAST_SHARE, News, Ports};
use super::post::Post;
use super::reload::{Files, Reload};
use super::threads::{self, Handles, Queues, Running, Stop};
use super::trunk::{Seen, Trunk};
use super::uplink::{self, Uplink};
use crate::books::Totals;
use crate::model::Cloud;
use dataplane::burst::Door;
use dataplane::io::af_xdp::now;
use dataplane::umem::{FRAME_SIZE, FramePool, Region, Umem};
use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// How long the underlay, and then all ports together, may be another's at the start: a dvrd that was killed leaves them a
/// moment later.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
/// How often this thread looks for what workers report: while they do, and at the latest. A packet waits for a neighbour, or a
/// VIP for its move, at most a longest tick and, if it is asked for, a tick more; idle, it costs under 1 % of a core.
const TICK: Duration = Duration::from_millis(1);
const LONGEST_TICK: Duration = Duration::from_millis(3);
/// How often it looks which interfaces are there.
const LOOK: Duration = Duration::from_secs(1);
/// The same while interfaces go from one port to another.
const LOOK_SOON: Duration = Duration::from_millis(50);

/// What ends or interrupts the daemon: set by signals.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    /// SIGTERM, SIGINT: stop.
    pub stop: Arc<AtomicBool>,
    /// SIGUSR1: tell the books.
    pub books: Arc<AtomicBool>,
    /// SIGHUP: read the files again.
    pub reload: Arc<AtomicBool>,
}

/// Where the daemon speaks.
pub trait Says {
    /// It has started: the banner.
    fn ready(&mut self, banner: &str);
    /// The books, when asked for and at the end; then with the frames that are free, and all.
    fn books(&mut self, totals: &Totals, frames: Option<(usize, usize)>);
}

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something of this machine or its interfaces stops it: a line each.
    #[error("{}\nnot started; `dvrctl doctor` says more", .0.join("\n"))]
    Unfit(Vec<String>),
    /// The host has no address for tunnels.
    #[error("host {0} has no IPv4 vtep in the cloud file: dvrd's underlay is IPv4")]
    NoVtep(String),
    /// The tables do not take the cloud.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No packet memory.
    #[error("packet memory of {bytes} bytes cannot be had: {error}; lower workers.frames or workers.count")]
    Memory {
        /// Bytes asked for.
        bytes: usize,
        /// The kernel's answer.
        error: io::Error,
    },
    /// No worker.
    #[error("workers.count and workers.frames leave no buffers")]
    NoPool,
    /// Too little of it.
    #[error(
        "workers.frames = {frames} is too little for a worker with {nics} and {ports} ports: each needs {LEAST_SHARE} to \
         receive; give each worker {wanted}", nics = crate::report::count(*.nics as u64, "NIC")
    )]
    Frames {
        /// As configured.
        frames: usize,
        /// NICs of this host.
        nics: usize,
        /// Most ports of a worker.
        ports: usize,
        /// Enough.
        wanted: usize,
    },
    /// Threads, file descriptors.
    #[error("{what}: {error}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
    /// A NIC: what it is for, and why not.
    #[error("{0}: {1}")]
    Nic(String, Box<NicError>),
    /// What follows the kernel's neighbours.
    #[error("underlay: {0}")]
    Follow(#[from] NetError),
    /// A thread ended.
    #[error("worker {0} ended by itself: a defect of dvrd, please report it with what it printed")]
    WorkerDied(usize),
}

/// Starts, works until it is told to stop, and stops. What it forwarded is told by `says` in either case. `files`: where
/// `config` and `cloud` are from; they are followed, if there are any.
pub fn run(
    config: &Config,
    cloud: &Cloud,
    files: Option<Files>,
    signals: &Signals,
    says: &mut dyn Says,
) -> Result<(), RunError> {
    let (count, frames) = (usize::from(config.workers.count), config.workers.frames as usize);
    let bytes = count * frames * FRAME_SIZE;
    let before = Before::look(config, cloud).map_err(RunError::Unfit)?;
    let mut umem = packet_memory(config).map_err(|error| RunError::Memory { bytes, error })?;
    let pools = umem.pools(count);
    let mut model = Model::new(cloud, &config.host, count);
    let (vtep, port) = model.vtep().ok_or_else(|| RunError::NoVtep(config.host.clone()))?;
    let region = pools.first().map(FramePool::region).ok_or(RunError::NoPool)?;
    let Nics { mut uplink, mut physical, queues } = take(config, cloud, region, (vtep, port))?;
    uplink.trunk.nic().into_iter().for_each(|nic| uplink::set(&mut model, nic));
    for nic in std::iter::once(&mut uplink).chain(&mut physical).filter(|nic| !nic.networks.is_empty()) {
        let places = nic.places(&model);
        model.gates_mut().add(nic.place, nic.trunk.what().to_owned(), places);
        nic.trunk.guard(nic.place, Seen::Back, &mut model);
    }
    model.store()?;
    let budget = budget(config, &model, &physical, &uplink.trunk)?;
    let mut workers = threads::workers(model.writer(), pools, queues, model.physical().len(), &config.workers)?;
    let mut ports = Ports::new(config.attachments(cloud), region, budget);
    let news = ports.look(model.writer(), &mut workers);
    tell(news, &ports, &model, true);
    let start = Instant::now();
    while ports.any_busy() && start.elapsed() < PATIENCE && !signals.stop.load(Ordering::Relaxed) {
        std::thread::sleep(PAUSE);
        let news = ports.look(model.writer(), &mut workers);
        tell(news, &ports, &model, true);
    }
    let banner = banner(config, &uplink, &physical, &ports, &model);
    let nic = |used: &Use| match used {
        Use::Physical(name) => physical.iter().find(|p| p.networks.contains(name)).unwrap_or(&uplink).trunk.nic(),
        _ => uplink.trunk.nic(),
    };
    before.warnings(nic).iter().for_each(|line| tracing::warn!("{line}"));
    let mut uplink = Uplink::follow(uplink.trunk, uplink.networks, &config.underlay, &model)?;
    let mut post = Post::default();
    let handles = Handles::of(&workers);
    let stop = AtomicBool::new(false);
    let (mut workers, died) = std::thread::scope(|scope| {
        let ends = Stop { stop: &stop, handles: &handles };
        let cores = config.workers.cores.as_deref().unwrap_or_default();
        let running = Running::start(scope, workers, threads::idle(config), cores, &ends);
        let running = running.map_err(|error| RunError::System { what: "threads of the workers", error })?;
        model.start();
        says.ready(&banner);
        let daemon = Daemon {
            model: &mut model,
            ports: &mut ports,
            uplink: &mut uplink,
            physical: &mut physical,
            post: &mut post,
            told: 0,
            config: config.clone(),
            reload: files.map(Reload::new),
            said: BTreeMap::new(),
            budget,
            handles: &handles,
            running: &running,
        };
        let died = daemon.serve(signals, says);
        uplink.release();
        physical.iter_mut().for_each(|p| p.trunk.release());
        Ok::<_, RunError>((running.stop(ends), died))
    })?;
    let frames = threads::settle(&mut workers);
    handles.learn(model.writer_mut());
    says.books(&handles.totals(model.writer(), model.physical()), Some(frames));
    died.map_or(Ok(()), |worker| Err(RunError::WorkerDied(worker)))
}

/// Each pinned worker's part is touched first on its core, and so is in the memory of its NUMA node; of workers that are not
/// pinned it is where this thread runs.
fn packet_memory(config: &Config) -> io::Result<Umem> {
    let (count, frames) = (usize::from(config.workers.count), config.workers.frames as usize);
    Umem::shared_for(count * frames, count, |worker, touch| {
        numa::on_core(threads::core(&config.workers, worker), touch)
    })
}

/// The NICs all workers have queues of.
struct Nics<'u> {
    /// With the physical networks that share it.
    uplink: Physical<'u>,
    physical: Vec<Physical<'u>>,
    queues: Queues<'u>,
}

/// Takes the underlay, for this VTEP and UDP port, and the NICs of physical networks.
fn take<'u>(config: &Config, cloud: &Cloud, region: Region<'u>, vxlan: (Ipv4Addr, u16)) -> Result<Nics<'u>, RunError> {
    let count = usize::from(config.workers.count);
    let nics = config.nics(cloud);
    // Half of it for NICs, the rest for ports.
    let frames = for_ports(config.workers.frames as usize) / 2 / nics.len();
    if frames < LEAST_SHARE {
        let (nics, wanted) = (nics.len(), 2 * nics.len() * LEAST_SHARE * 16 / 7 + 16);
        return Err(RunError::Frames { frames: config.workers.frames as usize, nics, ports: 0, wanted });
    }
    let share = Share { workers: count as u32, frames, patience: PATIENCE };
    let (mut all, mut queues) = (Vec::new(), Queues::default());
    for (place, nic) in nics.into_iter().enumerate() {
        let what = nic.to_string();
        let NicUse { interface, underlay, networks } = nic;
        let (vtep, port) = vxlan;
        let role = match underlay {
            true => Role::Underlay { vtep, port, physical: !networks.is_empty() },
            false => Role::Physical,
        };
        let opened = Nic::open(&interface, role, region, share);
        let (nic, ports) = opened.map_err(|e| RunError::Nic(what.clone(), Box::new(e.named(&interface))))?;
        let tunnel = underlay.then_some(Door::Tunnel);
        let mut doors = tunnel.into_iter().chain(networks.iter().map(|(network, _)| physical::door(*network)));
        let Some(door) = doors.next() else { continue }; // a NIC is for something
        queues.shared.extend(doors.map(|other| (other, door)));
        queues.ports.push((door, ports));
        let trunk = Trunk::new(what, door, role, nic, region, share);
        all.push(Physical { place, networks: networks.into_iter().map(|(_, name)| name).collect(), trunk });
    }
    // The underlay's is the first of them.
    Ok(Nics { uplink: all.remove(0), physical: all, queues })
}

/// Of a worker's buffers, how many its ports may have to receive into; as many may be on their way out, and an eighth
/// stays for copies and answers. So a port that sends nothing on cannot leave the others without.
fn for_ports(frames: usize) -> usize {
    frames * 7 / 16
}

/// What the NICs leave of that for a worker's ports. Refused if it is too little for the worker that has most.
fn budget(config: &Config, model: &Model, physical: &[Physical<'_>], uplink: &Trunk<'_>) -> Result<usize, RunError> {
    let frames = config.workers.frames as usize;
    let rows = &model.writer().current().ports;
    let owned = |id: usize| rows.iter().filter(|(_, row)| usize::from(row.owner.0) == id).count();
    let ports = (0..usize::from(config.workers.count)).map(owned).max().unwrap_or(0).max(1);
    let trunks = std::iter::once(uplink).chain(physical.iter().map(|p| &p.trunk));
    let taken: usize = trunks.filter_map(|t| Some(t.nic()?.frames())).sum();
    let budget = for_ports(frames).saturating_sub(taken);
    if budget / ports < LEAST_SHARE {
        let wanted = (2 * ports * LEAST_SHARE).max(ports * LEAST_SHARE + taken) * 16 / 7 + 16;
        return Err(RunError::Frames { frames, nics: 1 + physical.len(), ports, wanted });
    }
    Ok(budget)
}

fn tell(news: Vec<News>, ports: &Ports<'_>, model: &Model, first: bool) {
    for one in news {
        match one {
            News::Attached(port, id) => {
                match first {
                    true => tracing::debug!("{port}: attached"),
                    false => tracing::info!("{port}: attached"),
                }
                for (attachment, nic) in ports.attached().filter(|(a, _)| a.port == id) {
                    let subject = model.subject(&attachment.interface, Use::Port(id.clone()), 1);
                    doctor::of_port(&subject, nic).iter().for_each(|line| tracing::warn!("{line}"));
                }
            }
            News::Gone(port) => tracing::info!("{port}: the interface is gone; waiting for it to come back"),
            News::Missing(port) => tracing::warn!("{port}: there is no such interface yet; waiting for it"),
            News::Failed(port, error) => {
                let again = if error.is_busy() { "every second" } else { "in 10 s" };
                tracing::error!("{port}: {error}; tried again {again}");
            }
            News::Refused(port) => tracing::error!(
                "{port}: its worker does not take it: it stands still, or cannot watch one more socket; tried again \
                 every second"
            ),
            News::Unknown(netns, error) => tracing::error!("ports in {netns} stay as they are, not looked at: {error}"),
        }
    }
}

/// The writer's thread at work.
struct Daemon<'d, 'scope, 'u> {
    model: &'d mut Model,
    ports: &'d mut Ports<'u>,
    uplink: &'d mut Uplink<'u>,
    physical: &'d mut [Physical<'u>],
    post: &'d mut Post,
    /// [`Writer::resolved`](crate::writer::Writer::resolved) when workers were woken for it last.
    told: u64,
    handles: &'d Handles<'u>,
    running: &'d Running<'scope, 'u>,
    /// What it runs with: of the file, what could be taken over.
    config: Config,
    /// The files, if they are followed.
    reload: Option<Reload>,
    /// What was said last of something that stays wrong, to say it once.
    said: BTreeMap<&'static str, String>,
    /// Buffers of a worker for its ports to receive into.
    budget: usize,
}

impl<'u: 'scope, 'scope> Daemon<'_, 'scope, 'u> {
    /// Until it is told to stop, or a worker dies: its number.
    fn serve(mut self, signals: &Signals, says: &mut dyn Says) -> Option<usize> {
        let (mut tick, mut looked) = (TICK, Instant::now());
        while !signals.stop.load(Ordering::Relaxed) {
            let busy = self.work();
            tick = if busy { TICK } else { (tick * 2).min(LONGEST_TICK) };
            self.wait(tick);
            if signals.books.swap(false, Ordering::Relaxed) {
                says.books(&self.handles.totals_now(self.model.writer(), self.model.physical()), None);
            }
            self.follow_files(signals);
            let soon = self.ports.any_settles() && looked.elapsed() >= LOOK_SOON;
            if soon || looked.elapsed() >= LOOK {
                looked = Instant::now();
                let news = self.ports.look(self.model.writer(), &mut &*self.handles);
                tell(news, self.ports, self.model, false);
                self.uplink.look(self.model, self.handles);
                self.physical.iter_mut().for_each(|p| p.look(self.model, self.handles));
                if let Some(worker) = self.running.dead() {
                    return Some(worker);
                }
            }
        }
        None
    }

    /// What workers report is stored, what is due is done, and what both call for is sent. Says whether there was any of it.
    fn work(&mut self) -> bool {
        let writer = self.model.writer_mut();
        let learned = self.handles.learn(writer);
        self.uplink.ask(writer.take_unresolved());
        writer.run_timers(now());
        let made = writer.take_made();
        let busy = learned > 0 || !made.is_empty() || self.post.waits();
        writer.lose_made(self.post.send(made, self.handles));
        let told = writer.resolved();
        if std::mem::replace(&mut self.told, told) != told {
            self.handles.wake_all(); // packets that wait are looked at by who has them
        }
        busy
    }

    /// Events of the underlay; several at once become one change of the tables.
    fn wait(&mut self, tick: Duration) {
        let Some(events) = self.uplink.events() else { return std::thread::sleep(tick) };
        let first = match events.recv_timeout(tick) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return,
            // What it knew stays true until somebody restarts us; it said why when it ended.
            Err(RecvTimeoutError::Disconnected) => return std::thread::sleep(tick),
        };
        let mut news = false;
        let all: Vec<_> = std::iter::once(first).chain(events.try_iter()).collect();
        for event in all {
            news |= self.happened(event);
        }
        if news {
            self.model.store_or_say();
        }
    }

    /// Says whether the tables have to change.
    fn happened(&mut self, event: UnderlayEvent) -> bool {
        match event {
            UnderlayEvent::Link { mac: None, .. } => false, // the next look says so, and acts
            UnderlayEvent::Link { up, mac: Some(mac), mtu } => {
                tracing::info!("underlay: {}, {mac}, MTU {mtu}", if up { "up" } else { "down, or without a carrier" });
                let before = self.model.mtu();
                let news = self.model.set_uplink(mac, mtu);
                if self.model.mtu() != before {
                    self.uplink.mtu(self.model).into_iter().for_each(|line| tracing::warn!("{line}"));
                }
                news
            }
            UnderlayEvent::Neighbour(event) => {
                let host = self.model.host_at(event.vtep);
                match event.mac {
                    Some(mac) => tracing::info!("host {host} is at {mac}"),
                    None => tracing::warn!(
                        "host {host}: the kernel knows no MAC address any more: frames for it wait 1 s, then drop as \
                         underlay_unresolved"
                    ),
                }
                self.model.set_neighbour(event.vtep, event.mac)
            }
            UnderlayEvent::NoWay { vtep, why } => {
                let host = self.model.host_at(vtep);
                match why {
                    Some(why) => tracing::error!("host {host}: {why}"),
                    None => tracing::info!("host {host}: there is a way now"),
                }
                false
            }
        }
    }
}

mod take_over;
#[cfg(test)]
mod tests;
