//! The interfaces of this host's ports: they come and go with their VMs.

use super::config::{Attachment, Interface};
use super::net::{Identity, NetError, present};
use super::nic::{Nic, NicError, Role, Share};
use crate::writer::Writer;
use dataplane::io::af_xdp::XdpPort;
use dataplane::tables::PortIx;
use dataplane::umem::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// An interface that could not be taken is tried again after so long; one that another has, at each look.
const AGAIN: Duration = Duration::from_secs(10);

/// Who takes ports and gives them back: workers before they run, or their letter boxes.
pub(super) trait Workers<'u> {
    /// The port of a row goes to its owner. Says whether it could be given.
    fn attach(&mut self, at: Place, port: XdpPort<'u>) -> bool;
    /// A port is to be closed. Says whether that was taken.
    fn detach(&mut self, at: Place) -> bool;
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
    /// Taken. By its words, and its id.
    Attached(String, String),
    /// It went away.
    Gone(String),
    /// There is none.
    Missing(String),
    /// It is there and could not be taken.
    Failed(String, NicError),
    /// It was taken, and its worker does not take the port. Told once.
    Refused(String),
    /// Nothing can be known of the interfaces in a namespace. Told once.
    Unknown(String, NetError),
}

#[derive(Debug)]
enum State {
    /// Not looked at yet, or known to be missing.
    Missing {
        told: bool,
    },
    /// Try again then, if at all.
    Failed(Instant),
    /// Its worker did not take it.
    Refused,
    Attached(Box<Nic>, Place),
    /// Gone, which its worker has not taken yet.
    Leaving(Place),
}

/// See the module text.
#[derive(Debug)]
pub(super) struct Ports<'u> {
    region: Region<'u>,
    frames: usize,
    wanted: Vec<(Attachment, State)>,
    /// Namespaces nothing is known of, told already.
    unknown: BTreeSet<Option<String>>,
}

impl<'u> Ports<'u> {
    /// `frames`: buffers each queue has for receiving.
    pub fn new(wanted: impl IntoIterator<Item = Attachment>, region: Region<'u>, frames: usize) -> Self {
        let wanted = wanted.into_iter().map(|a| (a, State::Missing { told: false })).collect();
        Ports { region, frames, wanted, unknown: BTreeSet::new() }
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

    /// Looks which interfaces are there, takes those that have come and lets go of those that have gone. Where nothing
    /// can be known nothing changes.
    pub fn look(&mut self, writer: &Writer, workers: &mut impl Workers<'u>) -> Vec<News> {
        let wanted: Vec<Interface> = self.wanted.iter().map(|(a, _)| a.interface.clone()).collect();
        let There { found, unknown } = there(wanted.iter());
        let mut news = Vec::new();
        for ((attachment, state), interface) in self.wanted.iter_mut().zip(&wanted) {
            let netns = interface.netns.as_deref();
            if unknown.contains_key(&netns) {
                continue;
            }
            let now = found.get(&(netns, interface.name.as_str())).copied();
            let what = || format!("port {} ({})", attachment.port, attachment.interface);
            if let State::Attached(nic, at) = state
                && now != Some(nic.identity())
            {
                *state = State::Leaving(*at);
                news.push(News::Gone(what()));
            }
            if let State::Leaving(at) = state
                && workers.detach(*at)
            {
                *state = State::Missing { told: true };
            }
            match state {
                State::Attached(..) | State::Leaving(_) => {}
                State::Missing { told } if now.is_none() => {
                    if !std::mem::replace(told, true) {
                        news.push(News::Missing(what()));
                    }
                }
                State::Failed(_) | State::Refused if now.is_none() => *state = State::Missing { told: true },
                State::Failed(again) if Instant::now() < *again => {}
                State::Missing { .. } | State::Failed(_) | State::Refused => {
                    let Some(at) = place(writer, &attachment.port) else { continue };
                    let opened = open(&attachment.interface, self.region, self.frames);
                    let (next, new) = match opened.map(|(nic, port)| (nic, workers.attach(at, port))) {
                        Ok((nic, true)) => {
                            let id = attachment.port.clone();
                            (State::Attached(nic, at), Some(News::Attached(what(), id)))
                        }
                        Ok((_, false)) => {
                            let told = matches!(state, State::Refused);
                            (State::Refused, (!told).then(|| News::Refused(what())))
                        }
                        // One that is busy is told once, not at each look.
                        Err(e) if e.is_busy() => {
                            let told = matches!(state, State::Failed(_));
                            (State::Failed(Instant::now()), (!told).then(|| News::Failed(what(), e)))
                        }
                        Err(e) => (State::Failed(Instant::now() + AGAIN), Some(News::Failed(what(), e))),
                    };
                    *state = next;
                    news.extend(new);
                }
            }
        }
        news.extend(self.unknown(unknown));
        news
    }

    /// What is new of what nothing is known of.
    fn unknown(&mut self, unknown: BTreeMap<Option<&str>, NetError>) -> Vec<News> {
        let now = unknown.keys().map(|netns| netns.map(str::to_owned)).collect();
        let before = std::mem::replace(&mut self.unknown, now);
        let new = unknown.into_iter().filter(|(netns, _)| !before.contains(&netns.map(str::to_owned)));
        let name = |netns: Option<&str>| netns.map_or("dvrd's own namespace".to_owned(), |n| format!("namespace {n}"));
        new.map(|(netns, error)| News::Unknown(name(netns), error)).collect()
    }
}

fn open<'u>(interface: &Interface, region: Region<'u>, frames: usize) -> Result<(Box<Nic>, XdpPort<'u>), NicError> {
    let share = Share { workers: 1, frames, patience: Duration::ZERO };
    let (nic, ports) = Nic::open(interface, Role::Port, region, share)?;
    let port = ports.into_iter().next().ok_or_else(|| NicError::no_queue(interface))?;
    Ok((Box::new(nic), port))
}

fn place(writer: &Writer, port: &str) -> Option<Place> {
    let (ix, _) = writer.indexes().port(port)?;
    let row = writer.current().ports.get(ix)?;
    Some(Place { owner: row.owner.0.into(), ix, generation: row.generation })
}

/// What is known of interfaces.
struct There<'i> {
    found: BTreeMap<(Option<&'i str>, &'i str), Identity>,
    /// Namespaces nothing is known of, and why.
    unknown: BTreeMap<Option<&'i str>, NetError>,
}

/// Looks at all of them; a namespace is entered once.
fn there<'i>(interfaces: impl Iterator<Item = &'i Interface>) -> There<'i> {
    let mut by_netns: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    interfaces.for_each(|i| by_netns.entry(i.netns.as_deref()).or_default().push(&i.name));
    let (mut found, mut unknown) = (BTreeMap::new(), BTreeMap::new());
    for (netns, names) in by_netns {
        match present(netns, names) {
            Ok(there) => found.extend(there.into_iter().map(|(name, identity)| ((netns, name), identity))),
            Err(error) => drop(unknown.insert(netns, error)),
        }
    }
    There { found, unknown }
}

#[cfg(test)]
mod tests;
