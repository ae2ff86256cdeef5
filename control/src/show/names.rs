//! Names and numbers a Neutron host would have: local VLANs, OpenFlow port numbers, devices.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dataplane::tables::Wire;

use crate::model::{Cloud, Network, Port};
use crate::rows::{Rows, SegRows};

/// `patch-int` on br-tun; tunnels follow.
pub(super) const PATCH_INT: u32 = 1;

/// One host's rows with their numbers.
pub(super) struct Names<'c> {
    pub cloud: &'c Cloud,
    pub host: &'c str,
    pub rows: &'c Rows,
    /// Physical networks that carry a tenant network here, by their place in [`Rows::phys`], with the number of `int-br-`
    /// on br-int.
    pub physical: BTreeMap<u8, u32>,
    /// `patch-tun` on br-int.
    pub patch_tun: u32,
    /// Devices on br-int by port id: name and number.
    devices: BTreeMap<&'c str, (String, u32)>,
}

impl<'c> Names<'c> {
    /// Numbers are given in a fixed order, so that they are the same whenever the cloud is: networks (local VLANs) by
    /// id from 1; on br-int bridges of physical networks by name, `patch-tun`, this host's own ports by id, then the
    /// routers' devices by id; on br-tun `patch-int`, then the other hosts by name. `dvrd` gives its indexes of
    /// networks (from 1) and tunnels (from 0) in the same order when it starts; later ones follow as they come.
    pub fn new(cloud: &'c Cloud, host: &'c str, rows: &'c Rows) -> Self {
        let mut numbers = 1..;
        let mut next = || numbers.next().unwrap_or(u32::MAX);
        // External networks are on the host's external bridge (`external_network_bridge`), as in docs/seed-flows.
        let tenants = rows.segments.values().filter(|seg| !seg.external);
        let physical = tenants.filter_map(|seg| match seg.wire {
            Wire::Phys { net, .. } => Some(net),
            _ => None,
        });
        let physical: BTreeSet<u8> = physical.collect();
        let physical = physical.into_iter().map(|net| (net, next())).collect();
        let patch_tun = next();
        let mut devices = BTreeMap::new();
        let own = rows.ports.keys().map(|id| (id, "tap"));
        let routed = rows.interfaces.iter().map(|(id, i)| (id, if i.router.is_some() { "qr-" } else { "fg-" }));
        let central =
            cloud.ports.values().filter(|p| p.is_router_snat() && p.is_bound_to(host)).map(|p| (&p.id, "sg-"));
        for (id, prefix) in own.chain(routed).chain(central) {
            devices.insert(id.as_str(), (device(prefix, id), next()));
        }
        Names { cloud, host, rows, physical, patch_tun, devices }
    }

    /// Networks of this host with their local VLAN.
    pub fn segments(&self) -> impl Iterator<Item = (u32, &'c Network, &'c SegRows)> + '_ {
        let numbered = (1..).zip(&self.rows.segments);
        numbered.filter_map(|(n, (id, seg))| Some((n, self.cloud.networks.get(id)?, seg)))
    }

    /// Those that go through br-tun, with their VNI.
    pub fn tunnelled(&self) -> impl Iterator<Item = (u32, u32, &'c Network, &'c SegRows)> + '_ {
        self.segments().filter_map(|(lv, network, seg)| match seg.wire {
            Wire::Vxlan(vni) => Some((lv, vni, network, seg)),
            _ => None,
        })
    }

    /// Number of a port on br-int.
    pub fn on_br_int(&self, port: &str) -> Option<u32> {
        self.devices.get(port).map(|(_, n)| *n)
    }

    /// Number of the tunnel to a host on br-tun.
    pub fn tunnel(&self, host: &str) -> Option<u32> {
        let at = self.rows.tunnels.keys().position(|h| h == host)?;
        u32::try_from(at).ok().map(|at| at + PATCH_INT + 1)
    }

    /// `1 = net-a, 2 = net-b`.
    pub fn vlan_legend(&self) -> String {
        let vlans: Vec<String> = self.segments().map(|(lv, n, _)| format!("{lv} = {}", word(&n.name, &n.id))).collect();
        format!("dl_vlan: {}", if vlans.is_empty() { "no network is here".to_owned() } else { vlans.join(", ") })
    }

    /// `1(int-br-ex), 2(patch-tun), ..`, as `ovs-ofctl show` has them.
    pub fn br_int_legend(&self) -> String {
        let mappings = self.cloud.hosts.get(self.host).map(|h| &h.bridge_mappings);
        let bridge = |net: u8| Some(mappings?.get(self.rows.phys.get(usize::from(net))?)?.as_str());
        let physical = self.physical.iter().map(|(net, n)| (*n, format!("int-{}", bridge(*net).unwrap_or_default())));
        let own = self.devices.values().map(|(name, n)| (*n, name.clone()));
        let mut all: Vec<(u32, String)> =
            physical.chain([(self.patch_tun, "patch-tun".to_owned())]).chain(own).collect();
        all.sort();
        legend(all)
    }

    /// `1(patch-int), 2(vxlan-0afe000a), ..`.
    pub fn br_tun_legend(&self) -> String {
        let tunnels = self
            .rows
            .tunnels
            .iter()
            .filter_map(|(h, end)| Some((self.tunnel(h)?, format!("vxlan-{:08x} to {h}", end.vtep))));
        legend([(PATCH_INT, "patch-int".to_owned())].into_iter().chain(tunnels).collect())
    }
}

fn legend(all: Vec<(u32, String)>) -> String {
    let all: Vec<String> = all.into_iter().map(|(n, name)| format!("{n}({name})")).collect();
    format!("ports: {}", all.join(", "))
}

/// Neutron's device name: prefix and id, 14 characters at most (`DEV_NAME_LEN`).
pub(super) fn device(prefix: &str, id: &str) -> String {
    prefix.chars().chain(id.chars()).take(14).collect()
}

pub(super) fn word<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

/// IPv4 addresses of a port with the length of their subnet's prefix.
pub(super) fn addresses<'c>(cloud: &'c Cloud, port: &'c Port) -> impl Iterator<Item = (std::net::Ipv4Addr, u8)> + 'c {
    port.fixed_ips.iter().filter_map(|f| match f.ip_address {
        IpAddr::V4(ip) => Some((ip, cloud.subnets.get(&f.subnet_id)?.cidr.prefix_len())),
        IpAddr::V6(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::{Limits, Writer};

    /// The numbers are those `dvrd` has when it starts with the cloud: local VLANs as they are, tunnels from 2.
    #[test]
    fn numbers_are_the_indexes_of_a_fresh_writer() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcap-fixtures/T/cloud.json");
        let cloud = Cloud::load(&file).unwrap();
        for host in cloud.hosts.keys() {
            let rows = Rows::derive(&cloud, host).unwrap();
            let names = Names::new(&cloud, host, &rows);
            let mut writer = Writer::new(1, Limits::default());
            writer.apply(&rows, None).unwrap();
            assert!(names.segments().count() > 1);
            for (lv, network, _) in names.segments() {
                assert_eq!(writer.indexes().segment(&network.id).map(|(ix, _)| u32::from(ix)), Some(lv), "{host}");
            }
            for other in rows.tunnels.keys() {
                let tunnel = writer.indexes().tunnel(other).map(|(ix, _)| u32::from(ix) + PATCH_INT + 1);
                assert_eq!(names.tunnel(other), tunnel, "{host} to {other}");
            }
        }
    }

    #[test]
    fn devices_are_cut_as_neutron_cuts_them() {
        assert_eq!(device("qr-", "f849ae46-4819-45f5-a805-5970d4e31951"), "qr-f849ae46-48");
        assert_eq!(device("rfp-", "e8f12f7a-6938-4e65-88c4-97e4cb211b27"), "rfp-e8f12f7a-6");
    }
}
