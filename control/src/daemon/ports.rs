//! The interfaces of this host's ports: they come and go with their VMs.

use super::config::{Attachment, Interface};
use super::net::Netns;
use super::nic::{Nic, NicError, Share};
use crate::writer::Writer;
use dataplane::io::af_xdp::XdpPort;
use dataplane::io::af_xdp::filter::Filter;
use dataplane::tables::PortIx;
use dataplane::umem::Region;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An interface that could not be taken is tried again after so long; one that another has, at each look.
const AGAIN: Duration = Duration::from_secs(10);

/// Who takes ports and gives them back: workers before they run, or their letter boxes.
pub(super) trait Workers<'u> {
    /// The port of a row goes to its owner. Says whether it could be given.
    fn attach(&mut self, at: Place, port: XdpPort<'u>) -> bool;
    /// A port is to be closed.
    fn detach(&mut self, at: Place);
}

/// Where a port belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The worker that owns it.
    pub owner: usize,
    /// Its index, and whose that is.
    pub ix: PortIx,
    /// See [`dataplane::tables::PortRow`].
    pub generation: u32,
}

/// What became of an interface: for the log.
#[derive(Debug)]
pub(super) enum News {
    /// Taken.
    Attached(String),
    /// It went away.
    Gone(String),
    /// There is none.
    Missing(String),
    /// It is there and could not be taken.
    Failed(String, NicError),
}

#[derive(Debug)]
enum State {
    /// Not looked at yet, or known to be missing.
    Missing {
        told: bool,
    },
    /// Try again then, if at all.
    Failed(Instant),
    Attached(Box<Nic>, Place),
}

/// See the module text.
#[derive(Debug)]
pub(super) struct Ports<'u> {
    region: Region<'u>,
    frames: usize,
    wanted: Vec<(Attachment, State)>,
}

impl<'u> Ports<'u> {
    /// `frames`: buffers each queue has for receiving.
    pub fn new(wanted: impl IntoIterator<Item = Attachment>, region: Region<'u>, frames: usize) -> Self {
        let wanted = wanted.into_iter().map(|a| (a, State::Missing { told: false })).collect();
        Ports { region, frames, wanted }
    }

    /// Those that are taken, with their ports.
    pub fn attached(&self) -> impl Iterator<Item = (&Attachment, &Nic)> {
        self.wanted.iter().filter_map(|(a, state)| match state {
            State::Attached(nic, _) => Some((a, &**nic)),
            _ => None,
        })
    }

    /// Is one of them another's, who may let go of it in a moment?
    pub fn any_busy(&self) -> bool {
        let now = Instant::now();
        self.wanted.iter().any(|(_, state)| matches!(state, State::Failed(again) if *again <= now))
    }

    /// Looks which interfaces are there, takes those that have come and lets go of those that have gone.
    pub fn look(&mut self, writer: &Writer, workers: &mut impl Workers<'u>) -> Vec<News> {
        let there = indexes(self.wanted.iter().map(|(a, _)| &a.interface));
        let mut news = Vec::new();
        for (attachment, state) in &mut self.wanted {
            let now = there.get(&attachment.interface).copied();
            let what = || format!("port {} ({})", attachment.port, attachment.interface);
            if let State::Attached(nic, at) = state
                && now != Some(nic.link.ifindex)
            {
                workers.detach(*at);
                *state = State::Missing { told: true };
                news.push(News::Gone(what()));
            }
            match state {
                State::Missing { told } if now.is_none() => {
                    if !std::mem::replace(told, true) {
                        news.push(News::Missing(what()));
                    }
                }
                State::Failed(_) if now.is_none() => *state = State::Missing { told: true },
                State::Failed(again) if Instant::now() < *again => {}
                State::Missing { .. } | State::Failed(_) => {
                    let Some(at) = place(writer, &attachment.port) else { continue };
                    match open(&attachment.interface, self.region, self.frames) {
                        Ok((nic, port)) => {
                            if workers.attach(at, port) {
                                *state = State::Attached(nic, at);
                                news.push(News::Attached(what()));
                            }
                        }
                        Err(e) => {
                            // One that is busy is told once, not at each look.
                            let known = e.is_busy() && matches!(state, State::Failed(_));
                            let again = if e.is_busy() { Duration::ZERO } else { AGAIN };
                            *state = State::Failed(Instant::now() + again);
                            if !known {
                                news.push(News::Failed(what(), e));
                            }
                        }
                    }
                }
                State::Attached(..) => {}
            }
        }
        news
    }
}

fn open<'u>(interface: &Interface, region: Region<'u>, frames: usize) -> Result<(Box<Nic>, XdpPort<'u>), NicError> {
    let share = Share { workers: 1, frames, patience: Duration::ZERO };
    let (nic, ports) = Nic::open(interface, Filter::Everything, region, share)?;
    let port = ports.into_iter().next().ok_or_else(|| NicError::no_queue(interface))?;
    Ok((Box::new(nic), port))
}

fn place(writer: &Writer, port: &str) -> Option<Place> {
    let (ix, _) = writer.indexes().port(port)?;
    let row = writer.current().ports.get(ix)?;
    Some(Place { owner: row.owner.0.into(), ix, generation: row.generation })
}

/// Those interfaces that exist, with their indexes. A namespace is entered once.
fn indexes<'a>(interfaces: impl Iterator<Item = &'a Interface>) -> BTreeMap<Interface, u32> {
    let mut by_netns: BTreeMap<Option<&str>, Vec<&Interface>> = BTreeMap::new();
    interfaces.for_each(|i| by_netns.entry(i.netns.as_deref()).or_default().push(i));
    let mut there = BTreeMap::new();
    for (netns, interfaces) in by_netns {
        let look = || {
            let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
            let index = |i: &&Interface| Some(((*i).clone(), netdevice::name_to_index(&any, &i.name).ok()?));
            Some(interfaces.iter().filter_map(index).collect::<Vec<_>>())
        };
        // A namespace that is not there has no interfaces.
        let found = Netns::open(netns).and_then(|n| n.run(look));
        there.extend(found.ok().flatten().unwrap_or_default());
    }
    there
}
