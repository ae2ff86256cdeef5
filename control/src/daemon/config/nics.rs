//! Which NIC is for what: one can be for several physical networks, and for the underlay too.

use std::collections::BTreeMap;
use std::fmt;

use super::{Config, Interface};
use crate::model::problem::{plain, quote};
use crate::model::{Cloud, Network, NetworkType, Problem};
use crate::rows::Placement;

/// A NIC that every worker has queues of, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicUse {
    /// Which.
    pub interface: Interface,
    /// It leads to the other hosts.
    pub underlay: bool,
    /// Physical networks it leads to: their places among the host's, and their names.
    pub networks: Vec<(usize, String)>,
}

impl fmt::Display for NicUse {
    /// `underlay, physical network physnet1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let underlay = self.underlay.then(|| "underlay".to_owned());
        let networks = self.networks.iter().map(|(_, name)| format!("physical network {name}"));
        f.write_str(&underlay.into_iter().chain(networks).collect::<Vec<_>>().join(", "))
    }
}

impl Config {
    /// The NICs of this host: the underlay's first, then by the names of their first physical networks.
    pub fn nics(&self, cloud: &Cloud) -> Vec<NicUse> {
        let mut all = vec![NicUse { interface: self.underlay.clone(), underlay: true, networks: Vec::new() }];
        for (place, (name, interface)) in self.physical(cloud).enumerate() {
            let network = (place, name.to_owned());
            match all.iter_mut().find(|nic| nic.interface == *interface) {
                Some(nic) => nic.networks.push(network),
                None => {
                    all.push(NicUse { interface: interface.clone(), underlay: false, networks: vec![network] });
                }
            }
        }
        all
    }

    /// Networks of this host that are on different physical networks of one NIC and have the same VLAN id, or no tag: frames of one
    /// could not be told from those of the other.
    pub(super) fn mixed_up(&self, cloud: &Cloud, problems: &mut Vec<Problem>) {
        let here = Placement::of(cloud).networks;
        let here = |network: &&Network| here.get(network.id.as_str()).is_some_and(|h| h.contains(self.host.as_str()));
        let mut seen: BTreeMap<(&Interface, u32), &Network> = BTreeMap::new();
        for network in cloud.networks.values().filter(here) {
            let Some((vid, (i, entry))) = vid(network).zip(self.entry_of(network)) else { continue };
            let first = *seen.entry((&entry.interface, vid)).or_insert(network);
            if first.provider_physical_network == network.provider_physical_network {
                continue;
            }
            let words = |n: &Network| {
                let physical = n.provider_physical_network.as_deref().unwrap_or_default();
                format!("network {} of {}", quote(if n.name.is_empty() { &n.id } else { &n.name }), plain(physical))
            };
            let what = if vid == 0 { "both have no VLAN tag".to_owned() } else { format!("both are VLAN {vid}") };
            let reason = format!("on {}, {} and {}: {what}", entry.interface, words(first), words(network));
            let hint = "give one of the physical networks a NIC of its own, or one of the networks another VLAN id";
            let field = format!("physical_networks[{i}].interface");
            problems.push(super::check::problem(&entry.place, &field, reason, hint.to_owned()));
        }
    }

    fn entry_of(&self, network: &Network) -> Option<(usize, &super::PhysicalInterface)> {
        let name = network.provider_physical_network.as_ref()?;
        self.physical_networks.iter().enumerate().find(|(_, entry)| entry.name == *name)
    }
}

/// The VLAN id of a network on its physical network; 0: no tag.
fn vid(network: &Network) -> Option<u32> {
    match network.provider_network_type {
        NetworkType::Vlan => network.provider_segmentation_id,
        NetworkType::Flat => Some(0),
        NetworkType::Vxlan | NetworkType::Local => None,
    }
}
