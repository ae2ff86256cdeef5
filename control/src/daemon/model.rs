//! What dvrd knows of the cloud, of its own underlay and of the way to the other hosts, as rows in the tables.

use super::config::Interface;
use super::doctor::plan::vtep;
use super::doctor::{Subject, Use};
use super::gates::Gates;
use crate::model::Cloud;
use crate::rows::Rows;
use crate::rows::derive::v4;
use crate::writer::{Limits, TableFull, Writer};
use dataplane::addr::MacAddr;
use dataplane::io::af_xdp::now;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Why the tables stay as they were.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A table has no room.
    #[error("{0}; give this host fewer ports or networks")]
    Full(#[from] TableFull),
    /// Workers have a queue for each NIC they started with.
    #[error("the physical networks in bridge_mappings change, from {from:?} to {to:?}: restart dvrd for that")]
    Physical {
        /// Names of those at the start.
        from: Vec<String>,
        /// Names of those that were to be stored.
        to: Vec<String>,
    },
    /// Filters on the underlay take what is for the address and port they started with.
    #[error("this host's vtep or the VXLAN port changes, from {from} to {to}: restart dvrd for that")]
    Vtep {
        /// Address and port at the start.
        from: String,
        /// Those that were to be stored.
        to: String,
    },
}

/// See the module text.
#[derive(Debug)]
pub(super) struct Model {
    host: String,
    cloud: Cloud,
    /// MAC and MTU of the underlay's interface.
    uplink: (MacAddr, u16),
    /// MAC addresses towards VTEPs that the kernel told; those in the cloud file need none.
    towards: BTreeMap<Ipv4Addr, MacAddr>,
    /// Names of the physical networks workers have NICs of, in order.
    physical: Vec<String>,
    /// Workers run: what is new is announced.
    started: bool,
    writer: Writer,
    /// Which frames of their NICs come to the workers.
    gates: Gates,
}

impl Model {
    /// Nothing is stored yet.
    pub fn new(cloud: &Cloud, host: &str, workers: usize) -> Self {
        let writer = Writer::new(workers, Limits::default());
        let (host, cloud) = (host.to_owned(), cloud.clone());
        let physical = cloud.hosts.get(&host).map(|h| h.bridge_mappings.keys().cloned().collect()).unwrap_or_default();
        let uplink = (MacAddr::ZERO, u16::MAX);
        let (towards, gates) = (BTreeMap::new(), Gates::default());
        Model { host, cloud, uplink, towards, physical, started: false, writer, gates }
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Another cloud becomes what the workers see, by the difference; or nothing changes.
    pub fn set_cloud(&mut self, cloud: Cloud) -> Result<(), StoreError> {
        let from = self.vtep();
        let before = std::mem::replace(&mut self.cloud, cloud);
        let words = |vtep: Option<(Ipv4Addr, u16)>| vtep.map_or("none".to_owned(), |(a, port)| format!("{a}:{port}"));
        let stored = match self.vtep() {
            to if to == from => self.store(),
            to => Err(StoreError::Vtep { from: words(from), to: words(to) }),
        };
        match stored {
            Ok(()) => {
                let known: BTreeSet<Ipv4Addr> = self.unknown_vteps().into_iter().collect();
                self.towards.retain(|vtep, _| known.contains(vtep));
            }
            Err(_) => self.cloud = before,
        }
        stored
    }

    /// This host's tunnel address, and the UDP port of VXLAN.
    pub fn vtep(&self) -> Option<(Ipv4Addr, u16)> {
        vtep(&self.cloud, &self.host)
    }

    /// VTEPs whose MAC address the kernel has to tell.
    pub fn unknown_vteps(&self) -> Vec<Ipv4Addr> {
        let others = self.cloud.hosts.values().filter(|h| h.name != self.host && h.vtep_mac.is_none());
        others.filter_map(|h| v4(h.vtep)).map(Ipv4Addr::from_bits).collect()
    }

    /// The host behind a VTEP, for messages.
    pub fn host_at(&self, vtep: Ipv4Addr) -> String {
        let host = self.cloud.hosts.values().find(|h| h.vtep == IpAddr::V4(vtep));
        host.map_or_else(|| vtep.to_string(), |h| format!("{} ({vtep})", h.name))
    }

    /// The underlay's interface has this MAC address and MTU. Says whether that is news.
    pub fn set_uplink(&mut self, mac: MacAddr, mtu: u32) -> bool {
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        std::mem::replace(&mut self.uplink, (mac, mtu)) != (mac, mtu)
    }

    /// Its MTU, bytes.
    pub fn mtu(&self) -> u16 {
        self.uplink.1
    }

    /// What leads to a VTEP now. Says whether that is news.
    pub fn set_neighbour(&mut self, vtep: Ipv4Addr, mac: Option<MacAddr>) -> bool {
        let before = match mac {
            Some(mac) => self.towards.insert(vtep, mac),
            None => self.towards.remove(&vtep),
        };
        before != mac
    }

    /// What leads to the VTEPs is not known any more.
    pub fn forget_neighbours(&mut self) {
        self.towards.clear();
    }

    /// The physical networks workers have NICs of, by the place of [`Door::Phys`](dataplane::burst::Door).
    pub fn physical(&self) -> &[String] {
        &self.physical
    }

    /// An interface of this host, and what is asked of it.
    pub fn subject(&self, interface: &Interface, used: Use, workers: u32) -> Subject {
        Subject::new(interface, used, workers, Some((&self.cloud, &self.host)))
    }

    /// Makes all of it what the workers see, or changes nothing.
    pub fn store(&mut self) -> Result<(), StoreError> {
        let mut rows = Rows::derive(&self.cloud, &self.host).unwrap_or_default();
        if rows.phys != self.physical {
            return Err(StoreError::Physical { from: self.physical.clone(), to: rows.phys });
        }
        let (mac, mtu) = self.uplink;
        // What the interface really has: frames to another MAC would not be for it, longer ones would not leave.
        rows.host.vtep_mac = mac;
        rows.host.underlay_mtu = rows.host.underlay_mtu.min(mtu);
        for end in rows.tunnels.values_mut() {
            end.mac = end.mac.or_else(|| self.towards.get(&Ipv4Addr::from_bits(end.vtep)).copied());
        }
        // New rows need their frames, and frames need their rows.
        self.gates.open(&rows);
        let stored = self.writer.apply(&rows, self.started.then(now));
        self.gates.close(stored.is_ok());
        Ok(stored?)
    }

    /// The filters of physical networks' NICs.
    pub fn gates_mut(&mut self) -> &mut Gates {
        &mut self.gates
    }

    /// As [`Model::store`]; says so if the tables stay as they were.
    pub fn store_or_say(&mut self) {
        if let Err(error) = self.store() {
            tracing::error!("{error}: the tables stay as they were");
        }
    }

    /// Workers run from now on: what this host has is announced.
    pub fn start(&mut self) {
        self.started = true;
        self.writer.announce_all(now());
    }

    /// The tables.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The tables, to store what was learned and to run timers.
    pub fn writer_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_with_other_physical_networks_is_refused_and_changes_nothing() {
        let cloud = Cloud::from_json(include_str!("../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
        let mut model = Model::new(&cloud, "H1", 1);
        model.store().unwrap();
        let ports = |m: &Model| m.writer().indexes().ports().count();
        let before = ports(&model);
        let host = model.cloud.hosts.get_mut("H1").unwrap();
        host.bridge_mappings.insert("physnet2".to_owned(), "br-2".to_owned());
        model.cloud.ports.remove("A1");
        let error = model.store().unwrap_err().to_string();
        let networks = r#"from ["physext", "physnet1"] to ["physext", "physnet1", "physnet2"]"#;
        assert_eq!(
            error,
            format!("the physical networks in bridge_mappings change, {networks}: restart dvrd for that")
        );
        assert_eq!(ports(&model), before);
        model.cloud.hosts.get_mut("H1").unwrap().bridge_mappings.remove("physnet2");
        model.store().unwrap();
        assert_eq!(ports(&model), before - 1);
    }

    #[test]
    fn another_cloud_is_stored_by_the_difference_or_not_at_all() {
        let cloud = Cloud::from_json(include_str!("../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
        let mut model = Model::new(&cloud, "H1", 1);
        model.store().unwrap();
        let place = |m: &Model, id: &str| m.writer().indexes().port(id);
        let before = place(&model, "A1");
        assert!(before.is_some() && place(&model, "A3").is_some());
        let mut less = cloud.clone();
        less.ports.remove("A3");
        model.set_cloud(less.clone()).unwrap();
        assert_eq!((place(&model, "A1"), place(&model, "A3")), (before, None), "what stays keeps its index");
        assert_eq!(model.cloud(), &less);
        // Filters have the address and the port.
        let mut elsewhere = cloud.clone();
        elsewhere.hosts.get_mut("H1").unwrap().vtep = "172.20.0.99".parse().unwrap();
        let error = model.set_cloud(elsewhere).unwrap_err().to_string();
        assert!(error.contains("from 172.20.0.11:4789 to 172.20.0.99:4789: restart"), "{error}");
        let mut more = cloud.clone();
        more.hosts.get_mut("H1").unwrap().bridge_mappings.insert("physnet2".to_owned(), "br-2".to_owned());
        assert!(matches!(model.set_cloud(more), Err(StoreError::Physical { .. })));
        assert_eq!((model.cloud(), place(&model, "A3")), (&less, None), "nothing of it is there");
        model.set_cloud(cloud).unwrap();
        let again = place(&model, "A3");
        assert!(again.is_some());
    }

    #[test]
    fn ways_to_hosts_that_are_gone_are_forgotten() {
        let cloud = Cloud::from_json(include_str!("../../../pcap-fixtures/T/cloud.json"), "T").unwrap();
        let mut model = Model::new(&cloud, "H1", 1);
        model.store().unwrap();
        let mut unknown = cloud.clone();
        unknown.hosts.values_mut().for_each(|h| h.vtep_mac = None);
        model.set_cloud(unknown).unwrap();
        let vtep = model.unknown_vteps()[0];
        assert!(model.set_neighbour(vtep, Some(MacAddr::new([2, 0, 0, 0, 0, 1]))));
        // The file has its MAC now, then not any more: the kernel has to tell it again.
        model.set_cloud(cloud).unwrap();
        assert!(!model.set_neighbour(vtep, None));
    }
}
