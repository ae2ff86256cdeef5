//! Which routers and networks are where (F01, T08).

use crate::model::{AgentMode, Cloud, Port, Router};
use std::collections::{BTreeMap, BTreeSet};

/// Routers and networks by host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement<'c> {
    /// Hosts of each distributed router.
    pub routers: BTreeMap<&'c str, BTreeSet<&'c str>>,
    /// Hosts of each network: those with a port of it bound there, or one of its distributed routers.
    pub networks: BTreeMap<&'c str, BTreeSet<&'c str>>,
    /// Interface ports of each distributed router, by port id.
    pub interfaces: BTreeMap<&'c str, Vec<&'c Port>>,
    /// The SNAT host of each router that has one.
    pub snat: BTreeMap<&'c str, &'c str>,
}

impl<'c> Placement<'c> {
    /// Of a whole cloud.
    pub fn of(cloud: &'c Cloud) -> Self {
        let mut p = Placement::default();
        p.find_interfaces(cloud);
        p.place_routers(cloud);
        p.place_networks(cloud);
        p
    }

    fn find_interfaces(&mut self, cloud: &'c Cloud) {
        for port in cloud.ports.values() {
            let Some(router) = cloud.routers.get(&port.device_id).filter(|r| r.distributed) else { continue };
            if port.is_distributed_router_interface() {
                self.interfaces.entry(&router.id).or_default().push(port);
            }
            // The gateway port sits where address translation is done; csnat ports go with it.
            if let Some(host) =
                port.binding_host_id.as_deref().filter(|_| port.is_router_gateway() || port.is_router_snat())
            {
                self.snat.insert(&router.id, host);
            }
        }
    }

    /// F01: where a DVR-serviced port of one of its subnets is, on its SNAT host, and wherever a
    /// router is that shares a subnet with it. Rules: F52.
    fn place_routers(&mut self, cloud: &'c Cloud) {
        let mut serviced: BTreeMap<&str, BTreeSet<&'c str>> = BTreeMap::new();
        for port in cloud.ports.values().filter(|p| p.is_dvr_serviced() && p.is_bound()) {
            // The host it migrates to is made ready before it comes.
            let hosts = port.binding_host_id.as_deref().into_iter().chain(port.migrating_to.as_deref());
            for host in hosts.filter(|h| routes_here(cloud, h)) {
                for ip in &port.fixed_ips {
                    serviced.entry(&ip.subnet_id).or_default().insert(host);
                }
            }
        }
        let subnets = |ports: &[&'c Port]| -> BTreeSet<&'c str> {
            ports.iter().flat_map(|p| p.fixed_ips.iter().map(|ip| ip.subnet_id.as_str())).collect()
        };
        // Routers that share a subnet are placed together: merge them into groups first.
        let mut groups: Vec<(BTreeSet<&'c str>, BTreeSet<&'c str>)> = Vec::new();
        for (router, ports) in &self.interfaces {
            let mut group = (BTreeSet::from([*router]), subnets(ports));
            let (same, other) = std::mem::take(&mut groups).into_iter().partition(|(_, s)| !s.is_disjoint(&group.1));
            groups = other;
            for (routers, subnets) in Vec::from_iter::<Vec<_>>(same) {
                group.0.extend(routers);
                group.1.extend(subnets);
            }
            groups.push(group);
        }
        for (routers, subnets) in &groups {
            let ports = subnets.iter().filter_map(|s| serviced.get(s)).flatten().copied();
            let snat = routers.iter().filter_map(|r| self.snat.get(r)).copied();
            let hosts: BTreeSet<&str> = ports.chain(snat).collect();
            self.routers.extend(routers.iter().map(|r| (*r, hosts.clone())));
        }
    }

    /// Does a port bring its network to its host? fg- only while a router there has its gateway on it (F03).
    fn counts(&self, cloud: &Cloud, port: &Port) -> bool {
        let here = |router: &str| {
            let host = port.binding_host_id.as_deref();
            self.routers.get(router).is_some_and(|hosts| host.is_some_and(|h| hosts.contains(h)))
        };
        let gateway = |r: &Router| r.external_gateway_info.as_ref().is_some_and(|g| g.network_id == port.network_id);
        !port.is_fip_agent_gateway() || cloud.routers.values().any(|r| gateway(r) && here(&r.id))
    }

    fn place_networks(&mut self, cloud: &'c Cloud) {
        let counted: Vec<_> = cloud.ports.values().filter(|p| p.is_bound() && self.counts(cloud, p)).collect();
        for port in counted {
            if let Some(host) = port.binding_host_id.as_deref() {
                self.networks.entry(&port.network_id).or_default().insert(host);
            }
        }
        for (router, ports) in &self.interfaces {
            let hosts = self.routers.get(router).into_iter().flatten().copied();
            for port in ports {
                self.networks.entry(&port.network_id).or_default().extend(hosts.clone());
            }
        }
    }
}

fn routes_here(cloud: &Cloud, host: &str) -> bool {
    cloud.hosts.get(host).is_some_and(|h| h.agent_mode != AgentMode::Legacy)
}
