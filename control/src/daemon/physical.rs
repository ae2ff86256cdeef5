//! The NICs of this host's physical networks.

use super::doctor::{self, Use};
use super::model::Model;
use super::nic::Nic;
use super::threads::Handles;
use super::trunk::{Seen, Trunk};
use dataplane::burst::Door;
use std::collections::BTreeSet;

/// A NIC and the physical networks it leads to. The underlay's becomes an [`Uplink`](super::uplink::Uplink).
#[derive(Debug)]
pub(super) struct Physical<'u> {
    /// Its place among the host's NICs ([`Config::nics`](super::config::Config::nics)).
    pub place: usize,
    /// Their names in `bridge_mappings`.
    pub networks: Vec<String>,
    pub trunk: Trunk<'u>,
}

/// The door of the physical network at this place of the sorted names.
pub(super) fn door(place: usize) -> Door {
    Door::Phys(u8::try_from(place).unwrap_or(u8::MAX))
}

impl<'u> Physical<'u> {
    /// Places of its networks among the host's.
    pub fn places(&self, model: &Model) -> BTreeSet<u8> {
        let place = |name: &String| model.physical().iter().position(|known| known == name);
        self.networks.iter().filter_map(place).filter_map(|place| u8::try_from(place).ok()).collect()
    }

    /// As [`Trunk::look`]; its filter knows what there is.
    pub fn look(&mut self, model: &mut Model, handles: &Handles<'u>) {
        let seen = self.trunk.look(handles);
        self.trunk.guard(self.place, seen, model);
        if matches!(seen, Seen::Back | Seen::Another) {
            self.mtu(model).into_iter().for_each(|line| tracing::warn!("{line}"));
        }
    }

    /// What is to be said of networks that have packets its NIC is too small for.
    pub fn mtu(&self, model: &Model) -> Vec<String> {
        self.trunk.nic().map_or(Vec::new(), |nic| mtu(&self.networks, nic, model))
    }
}

/// The same of physical networks on a NIC.
pub(super) fn mtu(networks: &[String], nic: &Nic, model: &Model) -> Vec<String> {
    let of = |name: &String| {
        let subject = model.subject(&nic.interface, Use::Physical(name.clone()), nic.workers);
        doctor::of_mtu(&subject, nic.link.mtu)
    };
    networks.iter().filter_map(of).collect()
}
