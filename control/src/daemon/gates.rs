//! What of the frames on physical networks' NICs is dvrd's: from the rows of this host and the host's own addresses there,
//! by difference, into the maps of each NIC's XDP filter. All else stays the kernel's.
//!
//! What is new is let in before the rows are visible to workers, what has gone is shut out after. A map that takes no more
//! stops nothing: the VLANs concerned come to dvrd as a whole then, and the pipeline drops by name what is not its own.

mod wanted;

pub(super) use wanted::Wanted;

use super::net::OwnAddresses;
use crate::rows::Rows;
use dataplane::addr::MacAddr;
use dataplane::io::af_xdp::filter::{FILTER_ADDRESSES, FILTER_MACS, Gate, Owner, Vlan};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The maps of a filter: see [`Gate`].
pub(super) trait Maps: std::fmt::Debug {
    fn set_vlan(&self, vid: u16, vlan: Option<Vlan>) -> io::Result<()>;
    fn set_mac(&self, vid: u16, mac: MacAddr, owner: Option<Owner>) -> io::Result<()>;
    fn set_address(&self, vid: u16, address: Ipv4Addr, owner: Option<Owner>) -> io::Result<()>;
}

impl Maps for Gate {
    fn set_vlan(&self, vid: u16, vlan: Option<Vlan>) -> io::Result<()> {
        Gate::set_vlan(self, vid, vlan)
    }

    fn set_mac(&self, vid: u16, mac: MacAddr, owner: Option<Owner>) -> io::Result<()> {
        Gate::set_mac(self, vid, mac, owner)
    }

    fn set_address(&self, vid: u16, address: Ipv4Addr, owner: Option<Owner>) -> io::Result<()> {
        Gate::set_address(self, vid, address, owner)
    }
}

/// The NICs of this host's physical networks, by their places in [`Config::nics`](super::config::Config::nics).
#[derive(Debug, Default)]
pub(super) struct Gates(BTreeMap<usize, Keeper>);

impl Gates {
    /// The NIC at this place is for these physical networks, by their places among the host's. `name`: what messages call it.
    pub fn add(&mut self, nic: usize, name: String, networks: BTreeSet<u8>) {
        self.0.insert(nic, Keeper { name, networks, ..Keeper::default() });
    }

    /// It is there, with empty maps, or another one than before; `None`: it is gone.
    pub fn set_nic(&mut self, nic: usize, maps: Option<Arc<dyn Maps>>) {
        if let Some(keeper) = self.0.get_mut(&nic) {
            (keeper.maps, keeper.has) = (maps, Wanted::default());
            keeper.tell();
        }
    }

    /// The host's own addresses on it are these.
    pub fn set_own(&mut self, nic: usize, own: OwnAddresses) {
        if let Some(keeper) = self.0.get_mut(&nic).filter(|keeper| keeper.own != own) {
            keeper.own = own;
            keeper.want();
            keeper.tell();
        }
    }

    /// Rows that are about to be stored: what is new is let in.
    pub fn open(&mut self, rows: &Rows) {
        for keeper in self.0.values_mut() {
            keeper.next = Some(Wanted::of_rows(rows, &keeper.networks));
            keeper.let_in();
        }
    }

    /// They are stored, or not: what has gone, or should not have come, is shut out.
    pub fn close(&mut self, stored: bool) {
        for keeper in self.0.values_mut() {
            if let Some(next) = keeper.next.take().filter(|_| stored) {
                keeper.rows = next;
                keeper.want();
            }
            keeper.tell();
        }
    }
}

/// One NIC's filter.
#[derive(Debug, Default)]
struct Keeper {
    name: String,
    networks: BTreeSet<u8>,
    /// None while the NIC is gone.
    maps: Option<Arc<dyn Maps>>,
    /// What is in the maps.
    has: Wanted,
    /// By the rows that are stored.
    rows: Wanted,
    own: OwnAddresses,
    /// By both.
    wanted: Wanted,
    /// By rows that are being stored.
    next: Option<Wanted>,
    /// What was said last of what is wrong, to say it once.
    said: Option<String>,
}

impl Keeper {
    fn want(&mut self) {
        self.wanted = self.rows.beside(&self.own);
    }

    /// What comes is let in, what goes stays.
    fn let_in(&mut self) {
        let Some(next) = &self.next else { return };
        let next = next.beside(&self.own);
        let mut trouble = Trouble::default();
        let Some(maps) = self.maps.clone() else { return };
        self.put(&*maps, &next, |owner| owner == Owner::Dvrd, &mut trouble);
        for (vid, vlan) in &next.vlans {
            let both = either(*vlan, self.has.vlans.get(vid).copied().unwrap_or_default());
            self.set_vlan(&*maps, *vid, either(both, trouble.whole(*vid)), &mut trouble);
        }
        self.say(trouble);
    }

    /// The maps become what is wanted.
    fn tell(&mut self) {
        let Some(maps) = self.maps.clone() else { return };
        let (wanted, mut trouble) = (self.wanted.clone(), Trouble::default());
        self.take(&*maps, &wanted, &mut trouble);
        self.put(&*maps, &wanted, |_| true, &mut trouble);
        for (vid, vlan) in &wanted.vlans {
            self.set_vlan(&*maps, *vid, either(*vlan, trouble.whole(*vid)), &mut trouble);
        }
        self.say(trouble);
    }

    /// Stores addresses of those owners that are missing or another's.
    fn put(&mut self, maps: &dyn Maps, next: &Wanted, whose: impl Fn(Owner) -> bool, trouble: &mut Trouble) {
        for (&(vid, mac), &owner) in next.macs.iter().filter(|(_, owner)| whose(**owner)) {
            if self.has.macs.get(&(vid, mac)) != Some(&owner) {
                match maps.set_mac(vid, mac, Some(owner)) {
                    Ok(()) => drop(self.has.macs.insert((vid, mac), owner)),
                    Err(error) => trouble.mac(vid, mac, &error),
                }
            }
        }
        for (&(vid, address), &owner) in next.addresses.iter().filter(|(_, owner)| whose(**owner)) {
            if self.has.addresses.get(&(vid, address)) != Some(&owner) {
                match maps.set_address(vid, address, Some(owner)) {
                    Ok(()) => drop(self.has.addresses.insert((vid, address), owner)),
                    Err(error) => trouble.address(vid, address, &error),
                }
            }
        }
    }

    /// Takes out what is not wanted, VLANs first.
    fn take(&mut self, maps: &dyn Maps, wanted: &Wanted, trouble: &mut Trouble) {
        self.has.vlans.retain(|vid, _| {
            wanted.vlans.contains_key(vid) || maps.set_vlan(*vid, None).map_err(|e| trouble.other(&e)).is_err()
        });
        self.has.macs.retain(|(vid, mac), _| {
            wanted.macs.contains_key(&(*vid, *mac))
                || maps.set_mac(*vid, *mac, None).map_err(|e| trouble.other(&e)).is_err()
        });
        self.has.addresses.retain(|(vid, address), _| {
            wanted.addresses.contains_key(&(*vid, *address))
                || maps.set_address(*vid, *address, None).map_err(|e| trouble.other(&e)).is_err()
        });
    }

    fn set_vlan(&mut self, maps: &dyn Maps, vid: u16, vlan: Vlan, trouble: &mut Trouble) {
        if self.has.vlans.get(&vid) != Some(&vlan) {
            match maps.set_vlan(vid, Some(vlan)) {
                Ok(()) => drop(self.has.vlans.insert(vid, vlan)),
                Err(error) => trouble.other(&error),
            }
        }
    }

    fn say(&mut self, trouble: Trouble) {
        let said = trouble.text();
        if said != self.said
            && let Some(text) = &said
        {
            tracing::error!("{}: {text}", self.name);
        }
        self.said = said;
    }
}

fn either(a: Vlan, b: Vlan) -> Vlan {
    Vlan { group: a.group || b.group, announced: a.announced || b.announced, unknown: a.unknown || b.unknown }
}

/// What did not fit.
#[derive(Debug, Default)]
struct Trouble {
    /// By VLAN: how many, and the first of them.
    macs: BTreeMap<u16, (usize, MacAddr)>,
    addresses: BTreeMap<u16, (usize, Ipv4Addr)>,
    why: Option<String>,
}

impl Trouble {
    fn mac(&mut self, vid: u16, mac: MacAddr, error: &io::Error) {
        self.macs.entry(vid).or_insert((0, mac)).0 += 1;
        self.why.get_or_insert_with(|| error.to_string());
    }

    fn address(&mut self, vid: u16, address: Ipv4Addr, error: &io::Error) {
        self.addresses.entry(vid).or_insert((0, address)).0 += 1;
        self.why.get_or_insert_with(|| error.to_string());
    }

    fn other(&mut self, error: &io::Error) {
        self.why.get_or_insert_with(|| error.to_string());
    }

    /// What has to come beside what is in the maps, so that nothing of this VLAN is missing.
    fn whole(&self, vid: u16) -> Vlan {
        let (unknown, group) = (self.macs.contains_key(&vid), self.addresses.contains_key(&vid));
        Vlan { unknown, group, announced: false }
    }

    fn text(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        let macs = self.macs.iter().map(|(vid, (n, mac))| (*vid, *n, mac.to_string())).collect();
        let addresses = self.addresses.iter().map(|(vid, (n, ip))| (*vid, *n, ip.to_string())).collect();
        let macs = no_room("MAC addresses of a filter", FILTER_MACS, "all unicast", macs);
        let addresses = no_room("ARP addresses of a filter", FILTER_ADDRESSES, "all broadcast", addresses);
        let words: Vec<String> = [macs, addresses].into_iter().flatten().collect();
        Some(match words.is_empty() {
            true => format!("the XDP filter is not as it should be: {why}"),
            false => format!("{} ({why}); fewer ports or networks on this NIC help", words.join("; ")),
        })
    }
}

/// What becomes of VLANs with addresses that did not fit: each with how many these are, and one of them.
fn no_room(kind: &str, limit: u32, what: &str, missing: Vec<(u16, usize, String)>) -> Option<String> {
    let (_, _, first) = missing.first()?;
    let count: usize = missing.iter().map(|(_, count, _)| count).sum();
    let vlans: Vec<String> = missing.iter().map(|(vid, ..)| wanted::vlan_word(*vid)).collect();
    let vlans = vlans.join(", ");
    Some(format!(
        "{kind}: there is room for {limit}, and for {first} and {} more none: {what} of {vlans} comes to dvrd",
        count - 1
    ))
}

#[cfg(test)]
mod tests;
