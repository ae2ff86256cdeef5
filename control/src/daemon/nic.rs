//! [`Nic`]: an interface of the kernel that dvrd receives from and sends to.

use super::config::Interface;
use super::gates::Maps;
use super::net::{Holder, Identity, Link, NetError, Netns, holder, link, link_by_index, veth_peer};
use super::numa::{self, Node};
use dataplane::io::af_xdp::filter::{AttachError, Attached, Filter, Mode, Withheld};
use dataplane::io::af_xdp::{Copying, RingSizes, Setup, XdpPort, ethtool};
use dataplane::umem::{FramePool, MAX_FRAME, Region};
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tagged::Tagged;

/// Frames each ring of a queue holds: received ones that wait for their worker, sent ones that wait for the kernel.
pub const QUEUE: u32 = 2048;
/// Bytes of an Ethernet header with two tags.
const ETHERNET: usize = 22;
/// Rings of each queue.
pub const RINGS: RingSizes = RingSizes { rx: QUEUE, tx: QUEUE };

/// Why an interface could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum NicError {
    /// The namespace or the interface is not there.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Its queues and the workers do not fit.
    #[error(
        "{interface} has {queues} receive queues for {workers} workers, and each worker needs one; set workers.count to \
         {queues}, or give it more queues (`ethtool -L {interface} combined {workers}`)"
    )]
    Queues {
        /// Its name.
        interface: String,
        /// Queues it has.
        queues: u32,
        /// Workers there are.
        workers: u32,
    },
    /// Another program has it.
    #[error("{interface} is taken: {holder}; {}", holder.mend(interface))]
    Held {
        /// Its name.
        interface: String,
        /// Who has it.
        holder: Holder,
    },
    /// The XDP program.
    #[error(transparent)]
    Filter(#[from] AttachError),
    /// A socket.
    #[error("{interface}: an AF_XDP socket cannot be bound: {error}; {}", socket_hint(error))]
    Socket {
        /// The interface.
        interface: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// A packet socket.
    #[error(
        "{interface}: a packet socket cannot be had: {error}; it needs CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and Linux 6.6, or set \
         `io = \"af_xdp\"` for the port in dvrd.toml"
    )]
    PacketSocket {
        /// The interface.
        interface: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// What ethtool says.
    #[error("{interface}: {what}: {error}{}", ethtool_hint(error))]
    Ethtool {
        /// The interface.
        interface: String,
        /// What was asked.
        what: &'static str,
        /// The kernel's answer.
        error: io::Error,
    },
}

impl NicError {
    /// Another program or socket has it: it may be free in a moment.
    pub fn is_busy(&self) -> bool {
        match self {
            NicError::Filter(AttachError::Busy { .. }) | NicError::Held { .. } => true,
            NicError::Socket { error, .. } => error.kind() == io::ErrorKind::ResourceBusy,
            _ => false,
        }
    }

    /// The interface or its namespace is not there.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, NicError::Net(e) if e.is_absence() || matches!(e, NetError::NoLink { .. }))
    }

    /// What is wrong, and what to do about it: the parts of its text.
    pub(super) fn parts(&self) -> (String, String) {
        let text = self.to_string();
        let (what, hint) =
            text.split_once("; ").unwrap_or((&text, "what it says; the kernel's log (`dmesg`) may say more"));
        (what.to_owned(), hint.to_owned())
    }

    /// Whoever is in the way is named, if the kernel tells. All processes are asked for it: to be done when it is told, not at
    /// each try.
    pub(super) fn named(self, interface: &Interface) -> Self {
        let NicError::Filter(AttachError::Busy { .. }) = self else { return self };
        let there = Netns::open(interface.netns.as_deref()).and_then(|netns| link(&netns, &interface.name));
        match there.ok().and_then(|link| holder(&link)) {
            Some(holder) => NicError::Held { interface: interface.name.clone(), holder },
            None => self,
        }
    }

    /// An interface that is there and has no queue at all.
    pub(super) fn no_queue(interface: &Interface) -> Self {
        NicError::Queues { interface: interface.name.clone(), queues: 0, workers: 1 }
    }
}

fn socket_hint(error: &io::Error) -> &'static str {
    if is_locked_out(error) {
        return "packet memory may not be locked: run with CAP_IPC_LOCK, or raise RLIMIT_MEMLOCK (`ulimit -l`, LimitMEMLOCK)";
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "run as root, or with CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON and CAP_IPC_LOCK"
        }
        io::ErrorKind::ResourceBusy => "another program has that queue (`ss --xdp -p` shows it)",
        io::ErrorKind::OutOfMemory => "give it more memory, or lower workers.frames",
        io::ErrorKind::InvalidInput => {
            "its queues changed meanwhile (`ethtool -l`), or its MTU is above what one buffer holds"
        }
        _ => "the kernel needs CONFIG_XDP_SOCKETS",
    }
}

/// More locked memory than RLIMIT_MEMLOCK allows (`xdp_umem_account_pages`).
fn is_locked_out(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

fn ethtool_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; run as root, or with CAP_NET_ADMIN",
        _ => "",
    }
}

/// What an interface is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads to the other hosts, and is the kernel's but for VXLAN to this address and UDP port.
    Underlay {
        /// This host's tunnel address.
        vtep: Ipv4Addr,
        /// The VXLAN port.
        port: u16,
        /// It leads to physical networks too.
        physical: bool,
    },
    /// A VM's.
    Port,
    /// It leads to physical networks, and is the kernel's but for what its gate is told. It receives what is for other
    /// MAC addresses than its own too, with the VLAN tag in the frame.
    Physical,
}

impl Role {
    fn filter(self) -> Filter {
        match self {
            Role::Underlay { vtep, port, physical: false } => Filter::Underlay { vtep, port },
            Role::Underlay { vtep, port, physical: true } => Filter::Both { vtep, port },
            Role::Physical => Filter::Physical,
            Role::Port => Filter::Everything,
        }
    }

    fn is_physical(self) -> bool {
        matches!(self, Role::Physical | Role::Underlay { physical: true, .. })
    }
}

/// How the queues of an interface are shared out.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Workers that get queues of it: worker `w` of `n` has the queues `w`, `w + n`, ...
    pub workers: u32,
    /// Buffers a worker has for its queues of this interface to receive into, and as many for sending; each queue gets its
    /// part, at most [`QUEUE`].
    pub frames: usize,
    /// How long to wait for an interface or a queue that is another's.
    pub patience: Duration,
}

/// See the module text. Dropping it takes the XDP program away and puts the peer's offloads back.
#[derive(Debug)]
pub struct Nic {
    /// Its name and namespace.
    pub interface: Interface,
    /// As it was when it was taken.
    pub link: Link,
    /// [`Netns::id`] of where it was then.
    netns: (u64, u64),
    /// Its driver.
    pub driver: String,
    /// The NUMA node it is on; none: virtual, or the machine does not say.
    pub node: Option<Node>,
    /// By what its frames come and go.
    pub by: By,
    /// Receive queues; all are bound.
    pub queues: u32,
    /// Buffers each queue has to receive into, and as many for sending.
    pub share: usize,
    /// Its frames may be in several buffers.
    pub several: bool,
    /// Workers that have queues of it.
    pub workers: u32,
    /// The peer whose offloads are off until this is dropped.
    peer: Option<Peer>,
    /// What a physical network's NIC is until this is dropped.
    _tagged: Option<Tagged>,
    /// What keeps others from it.
    hold: Hold,
}

/// By what the frames of an interface come and go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// AF_XDP sockets.
    Xdp {
        /// Where the XDP program runs.
        mode: Mode,
        /// Why that is not in the driver.
        why_not_native: Option<String>,
        /// Are its frames copied?
        copying: Copying,
        /// Why it is not a packet socket, of a port.
        why: Option<&'static str>,
    },
    /// A packet socket; and why.
    Packet(&'static str),
}

/// Dropping it gives the interface back.
#[derive(Debug)]
enum Hold {
    Filter(Attached),
    Withheld { _withheld: Withheld },
}

impl Nic {
    /// Takes an interface: program attached, every queue bound, offloads of a veth's other end turned off that AF_XDP
    /// cannot see. One port for each of `share.workers` workers.
    pub fn open<'u>(
        interface: &Interface,
        role: Role,
        region: Region<'u>,
        share: Share,
    ) -> Result<(Nic, Vec<XdpPort<'u>>), NicError> {
        let netns = Netns::open(interface.netns.as_deref())?;
        let link = link(&netns, &interface.name)?;
        let peer = Peer::quiet(interface, &netns, &link)?;
        // Before the sockets: some drivers stop and start the device for it.
        let tagged = role.is_physical().then(|| Tagged::new(interface, &netns, &link)).transpose()?;
        let opened = netns.run(|| bind(&interface.name, (link.ifindex, link.mtu), role.filter(), region, share))??;
        let workers = share.workers;
        let Bound { driver, node, filter, queues, share, ports } = opened;
        let nic = Nic {
            interface: interface.clone(),
            link,
            netns: netns.id(),
            driver,
            node,
            by: By::Xdp {
                mode: filter.mode(),
                why_not_native: filter.why_not_native().map(io::Error::to_string),
                copying: ports.first().map_or(Copying::Copy, XdpPort::copying),
                why: None,
            },
            queues,
            share,
            several: ports.iter().all(|port| port.chunks() > 1),
            workers,
            peer,
            _tagged: tagged,
            hold: Hold::Filter(filter),
        };
        Ok((nic, ports))
    }

    /// Buffers one worker's queues of it have to receive into, and as many for sending.
    pub fn frames(&self) -> usize {
        self.share * self.queues.div_ceil(self.workers.max(1)) as usize
    }

    /// Which interface it is.
    pub fn identity(&self) -> Identity {
        Identity { netns: self.netns, ifindex: self.link.ifindex }
    }

    /// It has packets for which one buffer is too small, and gives no more than one.
    pub fn loses_long_packets(&self) -> bool {
        self.link.mtu as usize > MAX_FRAME - ETHERNET && !self.several
    }

    /// Of a physical network's: which frames are dvrd's.
    pub(super) fn gate(&self) -> Option<Arc<dyn Maps>> {
        let Hold::Filter(filter) = &self.hold else { return None };
        filter.gate().map(|gate| Arc::clone(gate) as Arc<dyn Maps>)
    }

    /// What was turned off elsewhere: `checksum offload of eth0 in namespace vm1 is off`.
    pub fn quiet_peer(&self) -> Option<String> {
        self.peer.as_ref().map(|peer| peer.to_string())
    }
}

/// An interface with everything bound.
struct Bound<'u> {
    driver: String,
    node: Option<Node>,
    filter: Attached,
    queues: u32,
    share: usize,
    ports: Vec<XdpPort<'u>>,
}

/// In the interface's namespace.
fn bind<'u>(
    name: &str,
    (ifindex, mtu): (u32, u32),
    filter: Filter,
    region: Region<'u>,
    share: Share,
) -> Result<Bound<'u>, NicError> {
    let driver = ethtool::driver(name).unwrap_or_else(|_| "unknown".to_owned());
    let node = ethtool::bus(name).ok().and_then(|bus| numa::of_device(&bus));
    let queues = queues(name)?;
    if queues < share.workers {
        return Err(NicError::Queues { interface: name.to_owned(), queues, workers: share.workers });
    }
    let filter = Attached::new(ifindex, filter, queues, share.patience)?;
    let each = share.frames / (queues.div_ceil(share.workers.max(1))).max(1) as usize;
    let zero_copy = filter.mode() == Mode::Native;
    let setup = Setup {
        ifindex,
        rings: RINGS,
        share: each.min(QUEUE as usize),
        zero_copy,
        multi_buffer: mtu as usize > MAX_FRAME - ETHERNET,
        patience: share.patience,
    };
    let mut ports: Vec<XdpPort<'u>> = Vec::new();
    for worker in 0..share.workers {
        let mine = (worker..queues).step_by(share.workers as usize);
        let port = XdpPort::open(region, mine, &setup, ports.first());
        let bound = port.and_then(|port| port.steer(&filter).map(|()| port));
        let bound = bound.map_err(|error| NicError::Socket { interface: name.to_owned(), error })?;
        ports.push(bound);
    }
    Ok(Bound { driver, node, filter, queues, share: setup.share, ports })
}

/// Receive queues of an interface of the calling thread's namespace.
pub(super) fn queues(name: &str) -> Result<u32, NicError> {
    let untold = |error| NicError::Ethtool { interface: name.to_owned(), what: "its queues are not told", error };
    ethtool::rx_queues(name).map_err(untold)
}

/// An interface with one queue bound, whose packets stay the kernel's.
pub(super) struct Moment<'u> {
    /// Attached, with no socket in its map.
    pub filter: Attached,
    /// To be closed with the pool.
    pub port: XdpPort<'u>,
}

/// Takes an interface of the calling thread's namespace as [`Nic::open`] does, but nothing from the kernel: to see what comes
/// of it. The other end of a veth keeps its offloads.
pub(super) fn take_for_a_moment<'u>(
    name: &str,
    ifindex: u32,
    pool: &mut FramePool<'u>,
    patience: Duration,
) -> Result<Moment<'u>, NicError> {
    let filter = Attached::new(ifindex, Filter::NONE, queues(name)?, Duration::ZERO)?;
    let zero_copy = filter.mode() == Mode::Native;
    let share = pool.total() / 4;
    let setup = Setup { ifindex, rings: RINGS, share, zero_copy, multi_buffer: false, patience };
    let start = Instant::now();
    let mut port = loop {
        match XdpPort::open(pool.region(), [0], &setup, None) {
            Ok(port) => break port,
            // What another interface had locked is given back a moment after it is closed.
            Err(e) if is_locked_out(&e) && start.elapsed() < patience => std::thread::sleep(patience / 50),
            Err(error) => return Err(NicError::Socket { interface: name.to_owned(), error }),
        }
    };
    // A driver that copies nothing needs buffers for what it passes to the kernel.
    port.reclaim(pool);
    Ok(Moment { filter, port })
}

/// The other end of a veth: its stack would leave checksums unfinished and put VLAN tags beside the frame, and AF_XDP
/// sees neither.
///
/// Only our own end is remembered and nothing held open: a namespace that is deleted is gone with all in it.
#[derive(Debug)]
struct Peer {
    own: Interface,
    identity: Identity,
    /// Its name and namespace, for messages.
    name: String,
    /// What was on and is off now.
    off: Vec<Offload>,
}

/// An offload: its name, how to ask for it, how to turn it.
#[derive(Clone, Copy)]
struct Offload {
    name: &'static str,
    is_on: fn(&str) -> io::Result<bool>,
    turn: fn(&str, bool) -> io::Result<()>,
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const OFFLOADS: [Offload; 2] = [
    Offload { name: "checksum", is_on: ethtool::tx_checksum, turn: ethtool::set_tx_checksum },
    Offload { name: "VLAN tag", is_on: ethtool::tx_vlan, turn: ethtool::set_tx_vlan },
];

/// Offloads of a veth's other end, in the calling thread's namespace, that AF_XDP cannot see and that are on.
pub(super) fn unseen_offloads(name: &str) -> io::Result<Vec<&'static str>> {
    let is_on = |offload: &Offload| (offload.is_on)(name).map(|on| on.then_some(offload.name));
    OFFLOADS.iter().filter_map(|offload| is_on(offload).transpose()).collect()
}

impl Peer {
    /// Turns its offloads off, those that are on.
    fn quiet(own: &Interface, netns: &Netns, link: &Link) -> Result<Option<Peer>, NicError> {
        let Some((there, name)) = veth_peer(netns, link)? else { return Ok(None) };
        let identity = Identity { netns: netns.id(), ifindex: link.ifindex };
        let mut peer = Peer { own: own.clone(), identity, name: format!("{name} in {there}"), off: Vec::new() };
        let off = &mut peer.off;
        // What is off already is on the list when a later one fails, and is put back.
        let turned = there.run(move || {
            for offload in OFFLOADS {
                if (offload.is_on)(&name)? {
                    (offload.turn)(&name, false)?;
                    off.push(offload);
                }
            }
            Ok(())
        })?;
        turned.map_err(|error| {
            let what = "its offloads cannot be turned off (`ethtool -K NAME tx off txvlan off`)";
            NicError::Ethtool { interface: format!("{}, the other end of {}", peer.name, link.name), what, error }
        })?;
        Ok((!peer.off.is_empty()).then_some(peer))
    }

    /// Turns them on again. Where our own end is gone its other end is too.
    fn restore(&self) -> Result<(), NicError> {
        let netns = match Netns::open(self.own.netns.as_deref()) {
            Ok(netns) if netns.id() == self.identity.netns => netns,
            Err(e) if !e.is_absence() => return Err(e.into()),
            _ => return Ok(()),
        };
        let Some(link) = link_by_index(&netns, self.identity.ifindex)? else { return Ok(()) };
        let Some((there, name)) = veth_peer(&netns, &link)? else { return Ok(()) };
        let turned = there.run(|| self.off.iter().try_for_each(|offload| (offload.turn)(&name, true)))?;
        turned.map_err(|error| NicError::Ethtool { interface: name, what: "its offloads cannot be restored", error })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.off.is_empty()
            && let Err(error) = self.restore()
        {
            tracing::warn!("{self}, and stays so: {error}");
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off: Vec<&str> = self.off.iter().map(|offload| offload.name).collect();
        write!(f, "{} offload of {} is off", off.join(" and "), self.name)
    }
}

mod port;
mod tagged;
#[cfg(test)]
mod tests;
