//! The interfaces of this host's ports: they come and go with their VMs.

use super::config::{Attachment, Interface};
use super::net::{Identity, NetError, present};
use super::nic::{Nic, NicError, Share};
use crate::writer::Writer;
use dataplane::io::Port;
use dataplane::tables::PortIx;
use dataplane::umem::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// An interface that could not be taken is tried again after so long; one that another has, at each look.
const AGAIN: Duration = Duration::from_secs(10);
/// An interface that was a port's before is another's not at once: its worker has to close the sockets, and the kernel to
/// notice.
const SETTLES: Duration = Duration::from_millis(100);
const SETTLED: Duration = Duration::from_secs(2);
/// Fewer buffers for receiving, and a port would lose frames whenever its worker does something else.
pub(super) const LEAST_SHARE: usize = 64;

/// Who takes ports and gives them back: workers before they run, or their letter boxes.
pub(super) trait Workers<'u> {
    /// The port of a row goes to its owner. Says whether it could be given.
    fn attach(&mut self, at: Place, port: Port<'u>) -> bool;
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
    /// Let go, which its worker has not taken yet; the interface, if it is still there.
    Leaving(Place, Option<Interface>),
}

/// A port, and how far it is.
#[derive(Debug)]
struct Entry {
    attachment: Attachment,
    state: State,
    /// Another configuration or cloud has none of it any more; it stays until its worker has let go.
    unwanted: bool,
}

impl Entry {
    fn new(attachment: Attachment) -> Self {
        Entry { attachment, state: State::Missing { told: false }, unwanted: false }
    }

    /// Its interface is the kernel's again, or gone.
    fn leave(&mut self, gone: bool) {
        self.state = match &self.state {
            State::Leaving(..) => return,
            State::Attached(nic, at) => State::Leaving(*at, (!gone).then(|| nic.interface.clone())),
            _ => State::Missing { told: false },
        };
    }
}

/// What another configuration or cloud brings: ids of ports.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// New ones.
    pub new: Vec<String>,
    /// Those that are gone.
    pub gone: Vec<String>,
    /// Those with another interface.
    pub moved: Vec<String>,
}

/// See the module text.
#[derive(Debug)]
pub(super) struct Ports<'u> {
    region: Region<'u>,
    /// Buffers of a worker that its ports may have to receive into.
    budget: usize,
    wanted: Vec<Entry>,
    /// Interfaces that were a port's a moment ago.
    left: BTreeMap<Interface, Instant>,
    /// Namespaces nothing is known of, told already.
    unknown: BTreeSet<Option<String>>,
}

impl<'u> Ports<'u> {
    /// `budget`: buffers of a worker that its ports may have to receive into.
    pub fn new(wanted: impl IntoIterator<Item = Attachment>, region: Region<'u>, budget: usize) -> Self {
        let wanted = wanted.into_iter().map(Entry::new).collect();
        Ports { region, budget, wanted, left: BTreeMap::new(), unknown: BTreeSet::new() }
    }

    /// Those that are taken, with their ports.
    pub fn attached(&self) -> impl Iterator<Item = (&Attachment, &Nic)> {
        self.wanted.iter().filter_map(|entry| match &entry.state {
            State::Attached(nic, _) => Some((&entry.attachment, &**nic)),
            _ => None,
        })
    }

    /// Is one of them another's, who may let go of it in a moment?
    pub fn any_busy(&self) -> bool {
        let now = Instant::now();
        self.wanted.iter().any(|entry| matches!(entry.state, State::Failed(again) if again <= now))
    }

    /// Are some on their way from one port to another?
    pub fn any_settles(&self) -> bool {
        !self.left.is_empty()
    }

    /// These are the ports from now on; what that takes is done at the next looks. The tables have them already.
    pub fn want(&mut self, wanted: impl IntoIterator<Item = Attachment>) -> Changes {
        let mut new: BTreeMap<String, Attachment> = wanted.into_iter().map(|a| (a.port.clone(), a)).collect();
        let mut changes = Changes::default();
        for entry in &mut self.wanted {
            let next = new.remove(&entry.attachment.port);
            let same = next.as_ref().is_some_and(|next| *next == entry.attachment);
            let list = match (&next, entry.unwanted) {
                (None, true) => continue,
                (None, false) => &mut changes.gone,
                (Some(_), true) => &mut changes.new,
                (Some(_), false) if same => continue,
                (Some(_), false) => &mut changes.moved,
            };
            list.push(entry.attachment.port.clone());
            entry.leave(false);
            entry.unwanted = next.is_none();
            if let Some(next) = next {
                entry.attachment = next;
            }
        }
        changes.new.extend(new.keys().cloned());
        self.wanted.extend(new.into_values().map(Entry::new));
        changes
    }

    /// Looks which interfaces are there, takes those that have come and lets go of those that have gone. Where nothing
    /// can be known nothing changes.
    pub fn look(&mut self, writer: &Writer, workers: &mut impl Workers<'u>) -> Vec<News> {
        let wanted: Vec<Interface> = self.wanted.iter().map(|entry| entry.attachment.interface.clone()).collect();
        let There { found, unknown } = there(wanted.iter());
        let mut news = Vec::new();
        self.left.retain(|_, since| since.elapsed() < SETTLED);
        self.part(writer, workers, &found, &unknown, &mut news);
        for n in 0..self.wanted.len() {
            let Some(interface) = wanted.get(n) else { break };
            let netns = interface.netns.as_deref();
            if !unknown.contains_key(&netns) {
                let there = found.contains_key(&(netns, interface.name.as_str()));
                self.take(n, there, writer, workers, &mut news);
            }
        }
        self.wanted.retain(|entry| !entry.unwanted || matches!(entry.state, State::Leaving(..)));
        news.extend(self.unknown(unknown));
        news
    }

    /// Lets go of those whose interface has gone or is another one, and of those whose row is another one: before any is taken,
    /// since an interface or an index may be another port's then.
    fn part(
        &mut self,
        writer: &Writer,
        workers: &mut impl Workers<'u>,
        found: &BTreeMap<(Option<&str>, &str), Identity>,
        unknown: &BTreeMap<Option<&str>, NetError>,
        news: &mut Vec<News>,
    ) {
        for entry in &mut self.wanted {
            let Interface { name, netns } = &entry.attachment.interface;
            let netns = netns.as_deref();
            if let State::Attached(nic, at) = &entry.state {
                let gone = !unknown.contains_key(&netns) && found.get(&(netns, name.as_str())) != Some(&nic.identity());
                if gone {
                    news.push(News::Gone(what(&entry.attachment)));
                } else if place(writer, &entry.attachment.port) == Some(*at) {
                    continue;
                }
                entry.leave(gone);
            }
            if let State::Leaving(at, interface) = &entry.state
                && workers.detach(*at)
            {
                self.left.extend(interface.clone().map(|interface| (interface, Instant::now())));
                entry.state = State::Missing { told: true };
            }
        }
    }

    /// Takes the interface of an entry, if it is `there`.
    fn take(&mut self, n: usize, there: bool, writer: &Writer, workers: &mut impl Workers<'u>, news: &mut Vec<News>) {
        let Some(entry) = self.wanted.get(n).filter(|entry| !entry.unwanted) else { return };
        let attachment = &entry.attachment;
        let next = match &entry.state {
            State::Attached(..) | State::Leaving(..) => return,
            State::Missing { told } if !there => {
                if !told {
                    news.push(News::Missing(what(attachment)));
                }
                State::Missing { told: true }
            }
            State::Failed(_) | State::Refused if !there => State::Missing { told: true },
            State::Failed(again) if Instant::now() < *again => return,
            State::Missing { .. } | State::Failed(_) | State::Refused => {
                let since = self.left.get(&attachment.interface).map(Instant::elapsed);
                let Some(at) = place(writer, &attachment.port) else { return };
                if self.waits(at, &attachment.interface) {
                    return;
                }
                if since.is_some_and(|since| since < SETTLES) {
                    return;
                }
                let opened = open(attachment, self.region, self.share(writer, at.owner));
                match opened.map(|(nic, port)| (nic, workers.attach(at, port))) {
                    Ok((nic, true)) => {
                        news.push(News::Attached(what(attachment), attachment.port.clone()));
                        State::Attached(nic, at)
                    }
                    Ok((_, false)) => {
                        if !matches!(entry.state, State::Refused) {
                            news.push(News::Refused(what(attachment)));
                        }
                        State::Refused
                    }
                    // It was ours a moment ago.
                    Err(e) if e.is_busy() && since.is_some() => State::Missing { told: true },
                    // One that is busy is told once, not at each look.
                    Err(e) if e.is_busy() => {
                        if !matches!(entry.state, State::Failed(_)) {
                            news.push(News::Failed(what(attachment), e.named(&attachment.interface)));
                        }
                        State::Failed(Instant::now())
                    }
                    Err(e) => {
                        news.push(News::Failed(what(attachment), e));
                        State::Failed(Instant::now() + AGAIN)
                    }
                }
            }
        };
        if let Some(entry) = self.wanted.get_mut(n) {
            entry.state = next;
        }
    }

    /// Somebody has to leave before this place or interface is taken: the order to leave would be another's.
    fn waits(&self, at: Place, interface: &Interface) -> bool {
        let same = |place: &Place, left: &Option<Interface>| {
            (place.owner, place.ix) == (at.owner, at.ix) || left.as_ref() == Some(interface)
        };
        self.wanted.iter().any(|entry| matches!(&entry.state, State::Leaving(place, left) if same(place, left)))
    }

    /// Buffers the next port of a worker gets to receive into: its part of those that no port has, at least
    /// [`LEAST_SHARE`].
    fn share(&self, writer: &Writer, owner: usize) -> usize {
        let ports = writer.current().ports.iter().filter(|(_, row)| usize::from(row.owner.0) == owner).count().max(1);
        let has = self.wanted.iter().filter_map(|entry| match &entry.state {
            State::Attached(nic, at) if at.owner == owner => Some(nic.frames()),
            _ => None,
        });
        let (given, attached) = has.fold((0, 0), |(sum, n), frames| (sum + frames, n + 1));
        let rest = self.budget.saturating_sub(given) / ports.saturating_sub(attached).max(1);
        rest.min(self.budget / ports).max(LEAST_SHARE)
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

/// Port and interface, for messages.
fn what(attachment: &Attachment) -> String {
    format!("port {} ({})", attachment.port, attachment.interface)
}

fn open<'u>(attachment: &Attachment, region: Region<'u>, frames: usize) -> Result<(Box<Nic>, Port<'u>), NicError> {
    let share = Share { workers: 1, frames, patience: Duration::ZERO };
    let (nic, port) = Nic::open_port(&attachment.interface, attachment.io, region, share)?;
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
