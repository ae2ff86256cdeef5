//! Puts a batch into a cloud: names become ids, what may be left out is filled in.

use std::collections::{BTreeMap, HashMap};

use super::Cloud;
use super::net::IpNet;
use super::parse::Batch;
use super::problem::{Kind, Sink, Subject, plain, quote};
use super::types::*;

/// The subject key of a neighbor of the model.
pub(super) fn neighbor_subject(n: &Neighbor) -> Subject {
    let key = format!("{} {}", n.network_id, n.ip_address);
    Subject { kind: Kind::Neighbor, key, label: format!("neighbor {}", n.ip_address) }
}

/// Whether the cloud has the resource.
pub(super) fn has(cloud: &Cloud, kind: Kind, id: &str) -> bool {
    match kind {
        Kind::Host => cloud.hosts.contains_key(id),
        Kind::Network => cloud.networks.contains_key(id),
        Kind::Subnet => cloud.subnets.contains_key(id),
        Kind::Port => cloud.ports.contains_key(id),
        Kind::Router => cloud.routers.contains_key(id),
        Kind::FloatingIp => cloud.floatingips.contains_key(id),
        Kind::SecurityGroup => cloud.security_groups.contains_key(id),
        Kind::Neighbor | Kind::Settings => false,
    }
}

/// (id, name) of every resource of a kind.
pub(super) fn ids_and_names(cloud: &Cloud, kind: Kind) -> Vec<(&str, &str)> {
    fn of<'c, T>(map: &'c BTreeMap<String, T>, name: impl Fn(&'c T) -> &'c str) -> Vec<(&'c str, &'c str)> {
        map.iter().map(|(id, r)| (id.as_str(), name(r))).collect()
    }
    match kind {
        Kind::Host => of(&cloud.hosts, |r| &r.name),
        Kind::Network => of(&cloud.networks, |r| &r.name),
        Kind::Subnet => of(&cloud.subnets, |r| &r.name),
        Kind::Port => of(&cloud.ports, |r| &r.name),
        Kind::Router => of(&cloud.routers, |r| &r.name),
        Kind::FloatingIp => of(&cloud.floatingips, |_| ""),
        Kind::SecurityGroup => of(&cloud.security_groups, |r| &r.name),
        Kind::Neighbor | Kind::Settings => Vec::new(),
    }
}

/// Indexes built when first needed, over the cloud with the batch in it.
#[derive(Default)]
struct Index {
    names: HashMap<Kind, HashMap<String, Vec<String>>>,
    blocks: Option<HashMap<String, Vec<(IpNet, String)>>>,
}

impl Index {
    fn named(&mut self, cloud: &Cloud, kind: Kind, name: &str) -> &[String] {
        let names = self.names.entry(kind).or_insert_with(|| {
            let mut names: HashMap<String, Vec<String>> = HashMap::new();
            for (id, name) in ids_and_names(cloud, kind) {
                names.entry(name.to_owned()).or_default().push(id.to_owned());
            }
            names
        });
        if name.is_empty() { &[] } else { names.get(name).map_or(&[], Vec::as_slice) }
    }

    /// Turns a reference into an id. An unknown one stays: the check of the whole model reports it.
    fn resolve(&mut self, sink: &mut Sink<'_>, cloud: &Cloud, s: &Subject, path: &str, kind: Kind, r: &mut String) {
        if r.is_empty() || has(cloud, kind, r) {
            return;
        }
        match self.named(cloud, kind, r) {
            [] => {}
            [id] => *r = id.clone(),
            many => {
                let reason = format!("{} is the name of {} {}s", quote(r), many.len(), kind.word());
                sink.report(s, path, reason, format!("give the id: {}", some_of(many)));
                // Known to be wrong: not to be reported as dangling as well.
                sink.mark(s, path);
            }
        }
    }

    /// Gives addresses without a subnet the one of their network they are inside of.
    fn fill_subnets(&mut self, sink: &mut Sink<'_>, cloud: &Cloud, s: &Subject, network: &str, at: At<'_>) {
        let At { path, ips } = at;
        if ips.iter().all(|ip| !ip.subnet_id.is_empty()) {
            return;
        }
        let blocks = self.blocks.get_or_insert_with(|| {
            let mut blocks: HashMap<String, Vec<(IpNet, String)>> = HashMap::new();
            for sub in cloud.subnets.values().filter(|sub| !sink.is_bad(Kind::Subnet, &sub.id, "cidr")) {
                blocks.entry(sub.network_id.clone()).or_default().push((sub.cidr, sub.id.clone()));
            }
            blocks
        });
        for (i, ip) in ips.iter_mut().enumerate().filter(|(_, ip)| ip.subnet_id.is_empty()) {
            let of_network = blocks.get(network).map_or(&[][..], Vec::as_slice);
            match of_network.iter().find(|(net, _)| net.contains(ip.ip_address)) {
                Some((_, id)) => ip.subnet_id = id.clone(),
                None if !cloud.networks.contains_key(network) => sink.mark(s, &format!("{path}/{i}/subnet_id")),
                None => {
                    let reason = format!("{} is in no subnet of network {}", ip.ip_address, plain(network));
                    let field = format!("{path}/{i}/ip_address");
                    sink.report(s, &field, reason, "correct the address, or add the subnet");
                    sink.mark(s, &format!("{path}/{i}/subnet_id"));
                }
            }
        }
    }
}

/// A list of addresses and its path in the resource.
struct At<'a> {
    path: &'static str,
    ips: &'a mut [FixedIp],
}

fn some_of(ids: &[String]) -> String {
    let mut text = ids.iter().take(4).map(|i| plain(i)).collect::<Vec<_>>().join(", ");
    if ids.len() > 4 {
        text.push_str(", ...");
    }
    text
}

/// Puts the batch into the cloud, over what is there, and resolves the batch's references.
pub(super) fn merge(sink: &mut Sink<'_>, cloud: &mut Cloud, batch: Batch) {
    fn put<T>(map: &mut BTreeMap<String, T>, list: Vec<T>, id: impl Fn(&T) -> &String) -> Vec<String> {
        let ids = list.iter().map(|r| id(r).clone()).collect();
        map.extend(list.into_iter().map(|r| (id(&r).clone(), r)));
        ids
    }
    if let Some(settings) = batch.settings {
        cloud.settings = settings;
    }
    put(&mut cloud.hosts, batch.hosts, |r| &r.name);
    put(&mut cloud.networks, batch.networks, |r| &r.id);
    let subnets = put(&mut cloud.subnets, batch.subnets, |r| &r.id);
    let ports = put(&mut cloud.ports, batch.ports, |r| &r.id);
    let routers = put(&mut cloud.routers, batch.routers, |r| &r.id);
    let fips = put(&mut cloud.floatingips, batch.floatingips, |r| &r.id);
    let groups = put(&mut cloud.security_groups, batch.security_groups, |r| &r.id);

    let index = &mut Index::default();
    let mut map = std::mem::take(&mut cloud.subnets);
    for id in &subnets {
        if let Some(r) = map.get_mut(id) {
            let s = Subject::new(Kind::Subnet, id, &r.name);
            index.resolve(sink, cloud, &s, "network_id", Kind::Network, &mut r.network_id);
        }
    }
    cloud.subnets = map;

    let mut map = std::mem::take(&mut cloud.routers);
    for id in &routers {
        if let Some(r) = map.get_mut(id) {
            let s = Subject::new(Kind::Router, id, &r.name);
            if let Some(g) = &mut r.external_gateway_info {
                gateway(sink, index, cloud, &s, g);
            }
        }
    }
    cloud.routers = map;

    let mut map = std::mem::take(&mut cloud.ports);
    for id in &ports {
        if let Some(p) = map.get_mut(id) {
            port(sink, index, cloud, p);
        }
    }
    cloud.ports = map;

    let mut map = std::mem::take(&mut cloud.floatingips);
    for id in &fips {
        if let Some(f) = map.get_mut(id) {
            floatingip(sink, index, cloud, f);
        }
    }
    cloud.floatingips = map;

    for id in &groups {
        // Rules refer to groups, so the map stays in place.
        if let Some(mut g) = cloud.security_groups.get(id).cloned() {
            let s = Subject::new(Kind::SecurityGroup, id, &g.name);
            for (i, rule) in g.security_group_rules.iter_mut().enumerate() {
                if let Some(r) = &mut rule.remote_group_id {
                    let path = format!("security_group_rules/{i}/remote_group_id");
                    index.resolve(sink, cloud, &s, &path, Kind::SecurityGroup, r);
                }
            }
            cloud.security_groups.insert(id.clone(), g);
        }
    }

    for (mut n, at) in batch.neighbors {
        let read_as = Subject { kind: Kind::Neighbor, key: at.clone(), label: format!("neighbor {}", n.ip_address) };
        index.resolve(sink, cloud, &read_as, "network_id", Kind::Network, &mut n.network_id);
        if sink.is_bad(Kind::Neighbor, &at, "network_id") {
            continue;
        }
        let s = neighbor_subject(&n);
        if let Some(first) = sink.place_of(&s) {
            let reason = format!("{} of network {} is there twice, first at {first}", s.label, plain(&n.network_id));
            sink.report(&read_as, "ip_address", reason, "keep one of them");
            continue;
        }
        sink.locate(&s, &at);
        cloud.neighbors.insert((n.network_id.clone(), n.ip_address), n);
    }

    for (kind, name) in &batch.implied {
        let others: Vec<String> = index.named(cloud, *kind, name).iter().filter(|id| *id != name).cloned().collect();
        if !others.is_empty() {
            let reason = format!("has no id, and its name is also that of {} {}", kind.word(), some_of(&others));
            sink.report(&Subject::new(*kind, name, ""), "id", reason, "give it an id");
        }
    }
}

fn gateway(sink: &mut Sink<'_>, index: &mut Index, cloud: &Cloud, s: &Subject, g: &mut ExternalGateway) {
    const PATH: &str = "external_gateway_info/external_fixed_ips";
    index.resolve(sink, cloud, s, "external_gateway_info/network_id", Kind::Network, &mut g.network_id);
    for (i, ip) in g.external_fixed_ips.iter_mut().enumerate() {
        index.resolve(sink, cloud, s, &format!("{PATH}/{i}/subnet_id"), Kind::Subnet, &mut ip.subnet_id);
    }
    let at = At { path: PATH, ips: &mut g.external_fixed_ips };
    index.fill_subnets(sink, cloud, s, &g.network_id, at);
}

fn port(sink: &mut Sink<'_>, index: &mut Index, cloud: &Cloud, p: &mut Port) {
    let s = Subject::new(Kind::Port, &p.id, &p.name);
    index.resolve(sink, cloud, &s, "network_id", Kind::Network, &mut p.network_id);
    for (i, ip) in p.fixed_ips.iter_mut().enumerate() {
        index.resolve(sink, cloud, &s, &format!("fixed_ips/{i}/subnet_id"), Kind::Subnet, &mut ip.subnet_id);
    }
    index.fill_subnets(sink, cloud, &s, &p.network_id, At { path: "fixed_ips", ips: &mut p.fixed_ips });
    for (i, g) in p.security_groups.iter_mut().enumerate() {
        index.resolve(sink, cloud, &s, &format!("security_groups/{i}"), Kind::SecurityGroup, g);
    }
    if p.is_router_owned() {
        index.resolve(sink, cloud, &s, "device_id", Kind::Router, &mut p.device_id);
    }
}

fn floatingip(sink: &mut Sink<'_>, index: &mut Index, cloud: &Cloud, f: &mut FloatingIp) {
    let s = floatingip_subject(f);
    index.resolve(sink, cloud, &s, "floating_network_id", Kind::Network, &mut f.floating_network_id);
    if let Some(r) = &mut f.router_id {
        index.resolve(sink, cloud, &s, "router_id", Kind::Router, r);
    }
    let Some(id) = &mut f.port_id else { return };
    index.resolve(sink, cloud, &s, "port_id", Kind::Port, id);
    if let (None, Some(port)) = (f.fixed_ip_address, cloud.ports.get(id)) {
        let mut v4 = port.fixed_ips.iter().map(|ip| ip.ip_address).filter(|a| a.is_ipv4());
        match (v4.next(), v4.next()) {
            (Some(one), None) => f.fixed_ip_address = Some(one),
            _ => {
                let reason = format!("is missing, and port {} has not exactly one IPv4 address", plain(id));
                sink.report(&s, "fixed_ip_address", reason, "give the port's address the floating IP leads to");
                sink.mark(&s, "fixed_ip_address");
            }
        }
    }
}

/// A floating IP, called by its address where the id does not tell.
pub(super) fn floatingip_subject(f: &FloatingIp) -> Subject {
    Subject::new(Kind::FloatingIp, &f.id, &f.floating_ip_address.to_string())
}
