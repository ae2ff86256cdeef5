//! The host's own addresses on a NIC: what its kernel answers there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::Handle;
use rtnetlink::packet_core::NLM_F_DUMP;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use super::ask::{self, Refused, ask, kernel};
use super::link::by_index;
use super::{Link, NetError, Netns};
use dataplane::addr::MacAddr;

/// Addresses of a host on one of its NICs by VLAN id; 0: no tag.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// IPv4 addresses of the NIC, of VLAN devices and others on it, and of the bridge or bond it is a port of.
    pub addresses: BTreeSet<(u16, Ipv4Addr)>,
    /// MAC addresses of the devices that have them, and of the NIC.
    pub macs: BTreeSet<(u16, MacAddr)>,
}

/// The host's own addresses on the NIC with this index. Devices in other namespaces are not found.
pub fn own_addresses(netns: &Netns, ifindex: u32) -> Result<OwnAddresses, NetError> {
    const WHAT: &str = "the host's own addresses";
    ask(netns, WHAT, |handle| async move { Ok(look(&handle, ifindex).await) })?.map_err(|e| kernel(netns, WHAT, e))
}

async fn look(handle: &Handle, ifindex: u32) -> Result<OwnAddresses, Refused> {
    let mut own = OwnAddresses::default();
    let Some(nic) = by_index(handle, ifindex).await? else { return Ok(own) };
    own.macs.extend(nic.mac.map(|mac| (0, mac)));
    // Few interfaces have an address; there may be thousands that have none.
    for (index, addresses) in addresses(handle).await? {
        let Some(device) = by_index(handle, index).await? else { continue };
        let Some(vid) = vlan_on(&device, &nic) else { continue };
        own.addresses.extend(addresses.into_iter().map(|address| (vid, address)));
        own.macs.extend(device.mac.map(|mac| (vid, mac)));
    }
    Ok(own)
}

/// The VLAN id with which frames of a device go over the NIC; none: they do not.
fn vlan_on(device: &Link, nic: &Link) -> Option<u16> {
    let is_nic = |index: u32| index == nic.ifindex || nic.controller == Some(index);
    if is_nic(device.ifindex) {
        return Some(0);
    }
    // Of a veth that is its other end, and nothing it stands on.
    let below = device.peer.filter(|below| device.kind != "veth" && below.nsid.is_none())?;
    is_nic(below.ifindex).then(|| device.vlan.unwrap_or(0))
}

/// IPv4 addresses by interface.
async fn addresses(handle: &Handle) -> Result<BTreeMap<u32, Vec<Ipv4Addr>>, Refused> {
    let mut question = AddressMessage::default();
    question.header.family = AddressFamily::Inet;
    let mut all: BTreeMap<u32, Vec<Ipv4Addr>> = BTreeMap::new();
    for answer in ask::all(handle, RouteNetlinkMessage::GetAddress(question), NLM_F_DUMP).await? {
        let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
        // `ip address add LOCAL peer ADDRESS`: of a plain address both are the same.
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(local)) => Some(*local),
            _ => None,
        });
        all.entry(message.header.index).or_default().extend(local);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::VethEnd;
    use super::*;

    /// VLAN devices are not in every kernel: what netlink says of them is made up here.
    #[test]
    fn a_device_is_on_the_nic_it_stands_on_with_its_vlan_id() {
        let device = |ifindex: u32, kind: &str, below: Option<u32>, vlan| Link {
            ifindex,
            name: String::new(),
            mac: None,
            mtu: 1500,
            up: true,
            lower_up: true,
            kind: kind.to_owned(),
            peer: below.map(|ifindex| VethEnd { ifindex, nsid: None }),
            controller: None,
            vlan,
            xdp: None,
            vnet_hdr: false,
        };
        let nic = Link { controller: Some(9), ..device(2, "", None, None) };
        assert_eq!(vlan_on(&nic, &nic), Some(0));
        assert_eq!(vlan_on(&device(3, "vlan", Some(2), Some(300)), &nic), Some(300));
        assert_eq!(vlan_on(&device(9, "bridge", None, None), &nic), Some(0));
        assert_eq!(vlan_on(&device(4, "vlan", Some(9), Some(7)), &nic), Some(7));
        assert_eq!(vlan_on(&device(5, "macvlan", Some(2), None), &nic), Some(0));
        // The other end of a veth, another NIC's VLAN device, one that stands on a NIC of another namespace.
        assert_eq!(vlan_on(&device(6, "veth", Some(2), None), &nic), None);
        assert_eq!(vlan_on(&device(7, "vlan", Some(8), Some(300)), &nic), None);
        let mut elsewhere = device(7, "vlan", Some(2), Some(300));
        elsewhere.peer = Some(VethEnd { ifindex: 2, nsid: Some(0) });
        assert_eq!(vlan_on(&elsewhere, &nic), None);
    }
}
