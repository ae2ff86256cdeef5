//! The underlay while dvrd runs: a NIC of all workers, and what the kernel knows of the way to the other hosts.

use super::config::Interface;
use super::doctor::{self, Use};
use super::model::Model;
use super::net::{HeldPort, NetError, Netns, Underlay, UnderlayEvent};
use super::nic::Nic;
use super::physical;
use super::threads::Handles;
use super::trunk::{Seen, Trunk};
use std::net::Ipv4Addr;
use std::sync::mpsc::Receiver;

/// Events of the underlay that may wait for the thread that owns the model.
const EVENTS: usize = 256;
/// Where its NIC is among the host's ([`Config::nics`](super::config::Config::nics)).
const PLACE: usize = 0;

/// See the module text.
#[derive(Debug)]
pub(super) struct Uplink<'u> {
    interface: Interface,
    /// Physical networks on the same NIC.
    networks: Vec<String>,
    trunk: Trunk<'u>,
    /// None while the interface is gone: it may hold a namespace that is deleted.
    follower: Option<Follower>,
    /// None while the interface is gone, for the same reason, or if the port is another's.
    held: Option<HeldPort>,
}

/// What follows the kernel's neighbours on it.
#[derive(Debug)]
struct Follower {
    events: Receiver<UnderlayEvent>,
    thread: Underlay,
}

impl Follower {
    fn start(interface: &Interface, model: &Model) -> Result<Follower, NetError> {
        let netns = Netns::open(interface.netns.as_deref())?;
        let (thread, events) = Underlay::follow(&netns, &interface.name, EVENTS)?;
        thread.set_vteps(model.unknown_vteps());
        Ok(Follower { events, thread })
    }
}

impl<'u> Uplink<'u> {
    /// From the underlay's NIC, which leads to these physical networks too.
    pub fn follow(
        trunk: Trunk<'u>,
        networks: Vec<String>,
        interface: &Interface,
        model: &Model,
    ) -> Result<Self, NetError> {
        let follower = Some(Follower::start(interface, model)?);
        Ok(Uplink { interface: interface.clone(), networks, trunk, follower, held: hold(interface, model) })
    }

    /// The model's VTEPs may be others now.
    pub fn follow_vteps(&self, model: &Model) {
        if let Some(follower) = &self.follower {
            follower.thread.set_vteps(model.unknown_vteps());
        }
    }

    /// Frames wait for the way to these VTEPs.
    pub fn ask(&self, vteps: impl IntoIterator<Item = u32>) {
        let mut vteps = vteps.into_iter().map(Ipv4Addr::from_bits).peekable();
        if let (Some(follower), Some(_)) = (&self.follower, vteps.peek()) {
            follower.thread.ask(vteps);
        }
    }

    /// What has happened on it; `None` while it is gone.
    pub fn events(&self) -> Option<&Receiver<UnderlayEvent>> {
        self.follower.as_ref().map(|follower| &follower.events)
    }

    /// Its program first: from here on the kernel has the interface to itself. The port is held until the end.
    pub fn release(&mut self) {
        self.trunk.release();
        self.follower = None;
    }

    /// What is to be said of networks that have packets it is too small for.
    pub fn mtu(&self, model: &Model) -> Vec<String> {
        let Some(nic) = self.trunk.nic() else { return Vec::new() };
        let subject = model.subject(&self.interface, Use::Underlay, nic.workers);
        let own = doctor::of_mtu(&subject, model.mtu().into());
        own.into_iter().chain(physical::mtu(&self.networks, nic, model)).collect()
    }

    /// As [`Trunk::look`]; the tables say what there is.
    pub fn look(&mut self, model: &mut Model, handles: &Handles<'u>) {
        let seen = self.trunk.look(handles);
        if matches!(seen, Seen::Gone | Seen::Another) {
            (self.follower, self.held) = (None, None);
            model.forget_neighbours();
        }
        if matches!(seen, Seen::Back | Seen::Another) {
            match Follower::start(&self.interface, model) {
                Ok(follower) => (self.follower, self.held) = (Some(follower), hold(&self.interface, model)),
                Err(error) => self.trunk.give_up(error.to_string(), handles),
            }
        }
        if !self.networks.is_empty() {
            self.trunk.guard(PLACE, seen, model);
        }
        if seen != Seen::Same {
            self.trunk.nic().into_iter().for_each(|nic| set(model, nic));
            model.store_or_say();
            self.mtu(model).into_iter().for_each(|line| tracing::warn!("{line}"));
        }
    }
}

/// The VXLAN port of the kernel's stack; without it dvrd works as well.
fn hold(interface: &Interface, model: &Model) -> Option<HeldPort> {
    let (vtep, port) = model.vtep()?;
    let netns = Netns::open(interface.netns.as_deref());
    let held = netns.map_err(Into::into).and_then(|netns| HeldPort::new(&netns, vtep, port));
    held.inspect_err(|error| tracing::warn!("underlay: {error}")).ok()
}

/// The model takes over what the interface was when it was taken.
pub(super) fn set(model: &mut Model, nic: &Nic) {
    model.set_uplink(nic.link.mac.unwrap_or_default(), nic.link.mtu);
}
