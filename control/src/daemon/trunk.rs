//! A NIC every worker has queues of, while dvrd runs: its interface can go, and come back as another one.

use super::config::Interface;
use super::model::Model;
use super::net::{Netns, OwnAddresses, own_addresses, present};
use super::nic::{Nic, Role, Share};
use super::threads::Handles;
use dataplane::burst::Door;
use dataplane::io::Port;
use dataplane::umem::Region;
use std::time::{Duration, Instant};

/// What could not be taken is tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);

/// See the module text.
#[derive(Debug)]
pub(super) struct Trunk<'u> {
    /// What messages call it: `underlay`.
    what: String,
    door: Door,
    role: Role,
    interface: Interface,
    region: Region<'u>,
    share: Share,
    state: State,
    /// What was said last of what goes wrong, to say it once.
    said: Option<String>,
    /// Why the host's own addresses on it are not known.
    untold: Option<String>,
}

#[derive(Debug)]
enum State {
    Taken(Box<Nic>),
    Gone {
        /// Workers that do not know yet.
        leaving: Vec<usize>,
        /// When it could not be taken last.
        failed: Option<Instant>,
    },
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing new.
    Same,
    /// It went away.
    Gone,
    /// It is back, and the workers have it.
    Back,
    /// It went away and came back between two looks.
    Another,
}

impl<'u> Trunk<'u> {
    /// An interface that is taken and whose ports the workers have. It is taken again for the same role, with the same
    /// share.
    pub fn new(what: String, door: Door, role: Role, nic: Nic, region: Region<'u>, share: Share) -> Self {
        let interface = nic.interface.clone();
        // The thread that owns the model has other things to do than to wait.
        let share = Share { patience: Duration::ZERO, ..share };
        Trunk {
            what,
            door,
            role,
            interface,
            region,
            share,
            state: State::Taken(Box::new(nic)),
            said: None,
            untold: None,
        }
    }

    /// What messages call it.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The interface, unless it is gone.
    pub fn nic(&self) -> Option<&Nic> {
        match &self.state {
            State::Taken(nic) => Some(nic),
            State::Gone { .. } => None,
        }
    }

    /// Its program goes: from here on the kernel has the interface to itself.
    pub fn release(&mut self) {
        self.state = State::Gone { leaving: Vec::new(), failed: None };
    }

    /// What stands on it could not be had: workers give it back, and it is tried again.
    pub fn give_up(&mut self, error: String, handles: &Handles<'u>) {
        self.state = State::Gone { leaving: (0..handles.count()).collect(), failed: Some(Instant::now()) };
        self.say(format!("{error}; tried again every {} s", AGAIN.as_secs()));
    }

    /// Looks whether it is still the same interface, lets go of one that has gone and takes one that has come. Where
    /// nothing can be known nothing changes.
    pub fn look(&mut self, handles: &Handles<'u>) -> Seen {
        let found = present(self.interface.netns.as_deref(), [self.interface.name.as_str()]);
        let now = match found.map(|found| found.into_values().next()) {
            Ok(now) => now,
            Err(error) => {
                self.say(format!("stays as it is, not looked at: {error}"));
                return Seen::Same;
            }
        };
        let mut seen = Seen::Same;
        if let State::Taken(nic) = &self.state {
            if now == Some(nic.identity()) {
                self.said = None;
                return Seen::Same;
            }
            tracing::error!("{}: {} is gone; waiting for it to come back", self.what, self.interface);
            self.state = State::Gone { leaving: (0..handles.count()).collect(), failed: None };
            seen = Seen::Gone;
        }
        let State::Gone { leaving, failed } = &mut self.state else { return seen };
        leaving.retain(|worker| !handles.order(*worker, dataplane::worker::Order::Detach(self.door)));
        if now.is_none() {
            *failed = None;
        }
        if now.is_none() || !leaving.is_empty() || failed.is_some_and(|when| when.elapsed() < AGAIN) {
            return seen;
        }
        match self.take(handles) {
            Ok(nic) => {
                let mac = nic.link.mac.map_or("no MAC address".to_owned(), |mac| mac.to_string());
                tracing::info!("{}: {} is back: {mac}, MTU {}", self.what, self.interface, nic.link.mtu);
                (self.state, self.said) = (State::Taken(Box::new(nic)), None);
                if seen == Seen::Gone { Seen::Another } else { Seen::Back }
            }
            Err(error) => {
                // Some workers may have got theirs: they give it back.
                self.give_up(error, handles);
                seen
            }
        }
    }

    /// Of one that leads to physical networks, after a look: its filter is told what there is. `place`: among the host's NICs.
    pub fn guard(&mut self, place: usize, seen: Seen, model: &mut Model) {
        let gates = model.gates_mut();
        match self.nic() {
            None => gates.set_nic(place, None),
            Some(nic) if seen != Seen::Same => gates.set_nic(place, nic.gate()),
            Some(_) => {}
        }
        if let Some(own) = self.own_addresses() {
            gates.set_own(place, own);
        }
    }

    /// The host's own addresses on it, if they can be known now.
    fn own_addresses(&mut self) -> Option<OwnAddresses> {
        let ifindex = self.nic()?.link.ifindex;
        let netns = Netns::open(self.interface.netns.as_deref());
        let own = netns.and_then(|netns| own_addresses(&netns, ifindex));
        let untold = own.as_ref().err().map(ToString::to_string);
        if self.untold != untold {
            let lines = untold.iter();
            lines.for_each(|why| tracing::error!("{}: ARP for the host stays as it is: {why}", self.what));
            self.untold = untold;
        }
        own.ok()
    }

    fn take(&self, handles: &Handles<'u>) -> Result<Nic, String> {
        let opened = Nic::open(&self.interface, self.role, self.region, self.share);
        let (nic, ports) = opened.map_err(|e| e.named(&self.interface).to_string())?;
        for (worker, port) in ports.into_iter().enumerate() {
            if !handles.give(worker, self.door, 0, Port::Xdp(Box::new(port))) {
                return Err(format!("worker {worker} does not take {}: it stands still", self.interface));
            }
        }
        Ok(nic)
    }

    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            tracing::error!("{}: {what}", self.what);
            self.said = Some(what);
        }
    }
}
