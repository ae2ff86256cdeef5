//! The underlay while dvrd runs: its interface can go, and come back as another one.

use super::config::Interface;
use super::model::Model;
use super::net::{NetError, Netns, Underlay, UnderlayEvent, present};
use super::nic::{Nic, Share};
use super::threads::Handles;
use dataplane::burst::Door;
use dataplane::io::af_xdp::filter::Filter;
use dataplane::umem::Region;
use dataplane::worker::Order;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Events of the underlay that may wait for the thread that owns the model.
const EVENTS: usize = 256;
/// What could not be taken is tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);

/// See the module text.
#[derive(Debug)]
pub(super) struct Uplink<'u> {
    interface: Interface,
    filter: Filter,
    region: Region<'u>,
    share: Share,
    state: State,
    /// What was said last of what goes wrong, to say it once.
    said: Option<String>,
}

#[derive(Debug)]
enum State {
    Taken(Box<Nic>, Follower),
    Gone {
        /// Workers that do not know yet.
        leaving: Vec<usize>,
        /// When it could not be taken last.
        failed: Option<Instant>,
    },
}

/// What follows the kernel's neighbours on it.
#[derive(Debug)]
struct Follower {
    events: Receiver<UnderlayEvent>,
    _thread: Underlay,
}

impl Follower {
    fn start(interface: &Interface, model: &Model) -> Result<Follower, NetError> {
        let netns = Netns::open(interface.netns.as_deref())?;
        let (thread, events) = Underlay::follow(&netns, &interface.name, EVENTS)?;
        thread.set_vteps(model.unknown_vteps());
        Ok(Follower { events, _thread: thread })
    }
}

impl<'u> Uplink<'u> {
    /// From an interface that is taken; it is taken again with the same filter and share.
    pub fn follow(nic: Nic, filter: Filter, region: Region<'u>, share: Share, model: &Model) -> Result<Self, NetError> {
        let interface = nic.interface.clone();
        // The thread that owns the model has other things to do than to wait.
        let share = Share { patience: Duration::ZERO, ..share };
        let follower = Follower::start(&interface, model)?;
        Ok(Uplink { interface, filter, region, share, state: State::Taken(Box::new(nic), follower), said: None })
    }

    /// What has happened on it; `None` while it is gone.
    pub fn events(&self) -> Option<&Receiver<UnderlayEvent>> {
        match &self.state {
            State::Taken(_, follower) => Some(&follower.events),
            State::Gone { .. } => None,
        }
    }

    /// Its program first: from here on the kernel has the interface to itself.
    pub fn release(&mut self) {
        self.state = State::Gone { leaving: Vec::new(), failed: None };
    }

    /// Looks whether it is still the same interface, lets go of one that has gone and takes one that has come. Where
    /// nothing can be known nothing changes.
    pub fn look(&mut self, model: &mut Model, handles: &Handles<'u>) {
        let found = present(self.interface.netns.as_deref(), [self.interface.name.as_str()]);
        let now = match found.map(|found| found.into_values().next()) {
            Ok(now) => now,
            Err(error) => return self.say(format!("stays as it is, not looked at: {error}")),
        };
        if let State::Taken(nic, _) = &self.state {
            if now == Some(nic.identity()) {
                self.said = None;
                return;
            }
            tracing::error!(
                "underlay: {} is gone: nothing goes to other hosts; waiting for it to come back",
                self.interface
            );
            // The follower too: it may hold a namespace that is deleted.
            self.state = State::Gone { leaving: (0..handles.count()).collect(), failed: None };
            model.forget_neighbours();
            model.store_or_say();
        }
        let State::Gone { leaving, failed } = &mut self.state else { return };
        leaving.retain(|worker| !handles.order(*worker, Order::Detach(Door::Tunnel)));
        if now.is_none() {
            *failed = None;
        }
        if now.is_none() || !leaving.is_empty() || failed.is_some_and(|when| when.elapsed() < AGAIN) {
            return;
        }
        match self.take(model, handles) {
            Ok(state) => (self.state, self.said) = (state, None),
            Err(error) => {
                // Some workers may have got theirs: they give it back.
                self.state = State::Gone { leaving: (0..handles.count()).collect(), failed: Some(Instant::now()) };
                self.say(format!("{error}; tried again every 10 s"));
            }
        }
    }

    fn take(&self, model: &mut Model, handles: &Handles<'u>) -> Result<State, String> {
        let opened = Nic::open(&self.interface, self.filter, self.region, self.share);
        let (nic, ports) = opened.map_err(|e| e.to_string())?;
        let follower = Follower::start(&self.interface, model).map_err(|e| e.to_string())?;
        for (worker, port) in ports.into_iter().enumerate() {
            if !handles.give(worker, Door::Tunnel, 0, port) {
                return Err(format!("worker {worker} does not take {}: it stands still", self.interface));
            }
        }
        set(model, &nic);
        model.store_or_say();
        let mac = nic.link.mac.map_or("no MAC address".to_owned(), |mac| mac.to_string());
        tracing::info!("underlay: {} is back: {mac}, MTU {}", self.interface, nic.link.mtu);
        Ok(State::Taken(Box::new(nic), follower))
    }

    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            tracing::error!("underlay: {what}");
            self.said = Some(what);
        }
    }
}

/// The model takes over what the interface was when it was taken.
pub(super) fn set(model: &mut Model, nic: &Nic) {
    model.set_uplink(nic.link.mac.unwrap_or_default(), nic.link.mtu);
}
