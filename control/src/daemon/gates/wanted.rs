//! What the maps of a filter should say.

use super::super::net::OwnAddresses;
use crate::rows::{NeighbourRows, Place, Rows, SegRows};
use dataplane::addr::MacAddr;
use dataplane::io::af_xdp::filter::{Owner, Vlan};
use dataplane::tables::Wire;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Of one NIC: VLANs by id (0: no tag), and addresses on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Wanted {
    pub vlans: BTreeMap<u16, Vlan>,
    pub macs: BTreeMap<(u16, MacAddr), Owner>,
    pub addresses: BTreeMap<(u16, Ipv4Addr), Owner>,
}

impl Wanted {
    /// What the rows ask for on a NIC of these physical networks. Rules: N1.
    pub fn of_rows(rows: &Rows, networks: &BTreeSet<u8>) -> Wanted {
        let mut wanted = Wanted::default();
        for (id, seg) in &rows.segments {
            if let Wire::Phys { net, vid } = seg.wire
                && networks.contains(&net)
            {
                wanted.vlans.insert(vid, vlan(seg));
                wanted.macs.extend(macs(rows, id, seg).map(|mac| ((vid, mac), Owner::Dvrd)));
                let asked = addresses(rows, id, seg).into_iter().map(Ipv4Addr::from_bits);
                wanted.addresses.extend(asked.map(|address| ((vid, address), Owner::Dvrd)));
            }
        }
        wanted
    }

    /// That and what has to stay the host's. Rules: N1.
    pub fn beside(&self, own: &OwnAddresses) -> Wanted {
        let mut wanted = self.clone();
        for (vid, mac) in own.macs.iter().filter(|(vid, _)| self.vlans.contains_key(vid)) {
            wanted.macs.entry((*vid, *mac)).or_insert(Owner::Kernel);
        }
        for (vid, address) in own.addresses.iter().filter(|(vid, _)| self.vlans.contains_key(vid)) {
            wanted.addresses.entry((*vid, *address)).or_insert(Owner::Kernel);
            // Announcements are for both, and only one can have them: dvrd asks again every 30 s (R7-probe), the host does not.
            if let Some(vlan) = wanted.vlans.get_mut(vid) {
                vlan.announced = false;
            }
        }
        wanted
    }
}

/// What is no unicast to anybody known.
fn vlan(seg: &SegRows) -> Vlan {
    // L6, L4, L5-vip, V4; of an external network only for ports on it (E2), else E1 alone.
    let group = !seg.external || !seg.flood_ports.is_empty();
    // L3: frames from outside to nobody known are flooded to ports without port security, whose machines may have any MAC.
    // `flood_unknown` is about frames of ports alone.
    Vlan { group, announced: !group, unknown: !seg.unknown_ports.is_empty() }
}

/// Whom unicast from outside is for: ports and their virtual MACs, sg- and qg- (V3, L1), routers and fg- (V4, E2), probes that
/// are answered (R7-probe).
fn macs<'r>(rows: &'r Rows, id: &'r str, seg: &'r SegRows) -> impl Iterator<Item = MacAddr> + 'r {
    let here = (id.to_owned(), MacAddr::ZERO)..=(id.to_owned(), MacAddr::BROADCAST);
    let ports = rows.fdb.range(here).filter(|(_, place)| matches!(place, Place::Port(_) | Place::Snat));
    let ports = ports.map(|((_, mac), _)| *mac);
    let dvr = Some(rows.host.dvr_mac).filter(|mac| !mac.is_zero());
    ports.chain(seg.interfaces.iter().map(|(mac, _)| *mac)).chain(dvr)
}

/// What ARP from outside is answered for where not all broadcast comes: fg-, floating IPs and addresses in the external scope
/// (E1), router interfaces at their gateway host (V4).
fn addresses(rows: &Rows, id: &str, seg: &SegRows) -> Vec<u32> {
    if !seg.external {
        return Vec::new();
    }
    let here = (id.to_owned(), 0)..=(id.to_owned(), u32::MAX);
    let answers = |row: &NeighbourRows| match row {
        NeighbourRows::FloatingIp { answers, .. } => *answers,
        NeighbourRows::Router(port) => rows.interfaces.get(port).is_some_and(|interface| interface.router.is_none()),
        NeighbourRows::Host { .. } => false,
    };
    let planes = rows.neighbours.range(here).filter(|(_, row)| answers(row)).map(|((_, ip), _)| *ip);
    let routers = seg.router_ips.iter().filter(|address| seg.phys_gw && address.answers).map(|address| address.ip);
    planes.chain(routers).collect()
}

/// `VLAN 300`, `the untagged network`.
pub(super) fn vlan_word(vid: u16) -> String {
    if vid == 0 { "the untagged network".to_owned() } else { format!("VLAN {vid}") }
}
