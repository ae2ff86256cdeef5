//! The NICs of this host's physical networks.

use super::model::Model;
use super::nic::{Nic, Role};
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
            self.check_mtu(model);
        }
    }

    /// Says which networks have packets its NIC is too small for.
    pub fn check_mtu(&self, model: &Model) {
        if let Some(nic) = self.trunk.nic() {
            let networks = model.larger_than(&self.name, nic.link.mtu);
            networks.iter().for_each(|network| tracing::warn!("{}", too_small(&self.name, nic, network)));
        }
    }
}

/// `network`: its name and MTU.
fn too_small(name: &str, nic: &Nic, (network, mtu): &(String, u32)) -> String {
    let (interface, has) = (&nic.interface, nic.link.mtu);
    format!(
        "physical network {name}: {interface} has an MTU of {has} bytes, network {network} one of {mtu}: longer packets do \
         not leave; raise it (`ip link set {} mtu {mtu}`), or lower the network's",
        interface.name
    )
}
