//! Rows of the reference cloud, expected values by hand from docs/behaviour.md ("Cases").

mod addresses;
mod placement;
mod ports;
mod removal;
mod routers;
mod segments;

use super::*;
use crate::model::{Cloud, FixedIp, IpNet, Network, Port, PortStatus, Route, Router, Subnet};
use std::net::IpAddr;

/// The cloud of docs/behaviour.md.
pub(crate) fn fixture() -> Cloud {
    Cloud::from_json(include_str!("../../../pcap-fixtures/T/cloud.json"), "T").unwrap()
}

pub(crate) fn rows(cloud: &Cloud, host: &str) -> Rows {
    Rows::derive(cloud, host).unwrap()
}

/// `0a:00:11` behind Neutron's `fa:16:3e`.
pub(crate) fn mac(tail: &str) -> MacAddr {
    format!("fa:16:3e:{tail}").parse().unwrap()
}

pub(crate) fn ip(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()
}

pub(crate) fn port<'c>(cloud: &'c mut Cloud, id: &str) -> &'c mut Port {
    cloud.ports.get_mut(id).unwrap()
}

pub(crate) fn set_down(cloud: &mut Cloud, id: &str) {
    port(cloud, id).status = PortStatus::Down;
}

pub(crate) fn unbind(cloud: &mut Cloud, id: &str) {
    port(cloud, id).binding_host_id = None;
    set_down(cloud, id);
}

pub(crate) fn fixed(subnet: &str, address: &str) -> FixedIp {
    FixedIp { subnet_id: subnet.to_owned(), ip_address: address.parse::<IpAddr>().unwrap() }
}

/// A copy of a port under another id, MAC and address.
pub(crate) fn twin(cloud: &mut Cloud, of: &str, id: &str, mac_tail: &str, ip: FixedIp) {
    let original = cloud.ports[of].clone();
    let subnet = &cloud.subnets[&ip.subnet_id];
    let network_id = subnet.network_id.clone();
    let new = Port { id: id.to_owned(), mac_address: mac(mac_tail), network_id, fixed_ips: vec![ip], ..original };
    cloud.ports.insert(id.to_owned(), Port { allowed_address_pairs: Vec::new(), ..new });
}

/// A VXLAN network with one subnet, both called `id`.
fn network(cloud: &mut Cloud, id: &str, vni: u32, cidr: &str) {
    let like = cloud.networks["B"].clone();
    let made = Network { id: id.to_owned(), name: id.to_owned(), provider_segmentation_id: Some(vni), ..like };
    cloud.networks.insert(id.to_owned(), made);
    subnet(cloud, id, id, cidr);
}

fn subnet(cloud: &mut Cloud, id: &str, network: &str, cidr: &str) {
    let like = cloud.subnets["B-v4"].clone();
    let (id, network_id) = (id.to_owned(), network.to_owned());
    let cidr = IpNet::parse_strict(cidr).unwrap();
    cloud.subnets.insert(id.clone(), Subnet { id, network_id, cidr, gateway_ip: None, ..like });
}

/// A distributed router without gateway or routes.
fn router(cloud: &mut Cloud, id: &str) {
    let like = cloud.routers["R2"].clone();
    cloud.routers.insert(id.to_owned(), Router { id: id.to_owned(), name: id.to_owned(), routes: Vec::new(), ..like });
}

fn interface(cloud: &mut Cloud, id: &str, router: &str, mac_tail: &str, ip: FixedIp) {
    twin(cloud, "rK", id, mac_tail, ip);
    port(cloud, id).device_id = router.to_owned();
}

fn route(destination: &str, nexthop: &str) -> Route {
    Route { destination: IpNet::parse_strict(destination).unwrap(), nexthop: nexthop.parse().unwrap() }
}

/// R1 without gateway and central ports.
fn no_gateway(cloud: &mut Cloud) {
    cloud.routers.get_mut("R1").unwrap().external_gateway_info = None;
    cloud.ports.retain(|_, p| !p.is_router_snat() && !p.is_router_gateway());
    cloud.floatingips.clear();
}

/// R1 becomes a centralized router on H3.
fn legacy(cloud: &mut Cloud) {
    no_gateway(cloud);
    cloud.routers.get_mut("R1").unwrap().distributed = false;
    for id in ["rA", "rB", "rV", "rC1"] {
        port(cloud, id).device_owner = "network:router_interface".to_owned();
        port(cloud, id).binding_host_id = Some("H3".to_owned());
    }
}

fn ids<'a>(keys: impl IntoIterator<Item = &'a String>) -> String {
    keys.into_iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}
