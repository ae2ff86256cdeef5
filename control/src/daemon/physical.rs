//! The NICs of this host's physical networks.

use super::doctor::{self, Use};
use super::model::Model;
use super::nic::Role;
use super::threads::Handles;
use super::trunk::{Seen, Trunk};
use dataplane::burst::Door;

/// A physical network of this host, and its NIC.
#[derive(Debug)]
pub(super) struct Physical<'u> {
    /// Its name in `bridge_mappings`.
    pub name: String,
    pub trunk: Trunk<'u>,
}

/// What every NIC of a physical network is taken for.
pub(super) const ROLE: Role = Role::Physical;

/// The door of the physical network at this place of the sorted names.
pub(super) fn door(place: usize) -> Door {
    Door::Phys(u8::try_from(place).unwrap_or(u8::MAX))
}

impl<'u> Physical<'u> {
    /// As [`Trunk::look`].
    pub fn look(&mut self, model: &Model, handles: &Handles<'u>) {
        if matches!(self.trunk.look(handles), Seen::Back | Seen::Another) {
            self.mtu(model).into_iter().for_each(|line| tracing::warn!("{line}"));
        }
    }

    /// What is to be said of networks that have packets its NIC is too small for.
    pub fn mtu(&self, model: &Model) -> Option<String> {
        let nic = self.trunk.nic()?;
        let subject = model.subject(&nic.interface, Use::Physical(self.name.clone()), nic.workers);
        doctor::of_mtu(&subject, nic.link.mtu)
    }
}
