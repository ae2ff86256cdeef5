//! From a value tree to resources: every attribute read, every fault collected. References stay as they are
//! written; `resolve` turns names into ids.

pub(crate) mod fields;
mod network;
mod port;
mod router;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::problem::{Kind, Sink, Subject, nearest, quote};
use super::types::*;
use super::value::{Node, Value, escape};
use fields::Fields;

/// Resources as one document gives them.
#[derive(Clone, Debug, Default)]
pub(super) struct Batch {
    pub settings: Option<Settings>,
    pub hosts: Vec<Host>,
    pub networks: Vec<Network>,
    pub subnets: Vec<Subnet>,
    pub ports: Vec<Port>,
    pub routers: Vec<Router>,
    pub floatingips: Vec<FloatingIp>,
    pub security_groups: Vec<SecurityGroup>,
    /// With the key of the subject each was read under.
    pub neighbors: Vec<(Neighbor, String)>,
    /// Resources given without an id, which have their name as id.
    pub implied: BTreeSet<(Kind, String)>,
}

/// Top-level keys beside the resources that Neutron's lists come with.
const IGNORED_TOP: [&str; 7] = [
    "networks_links",
    "subnets_links",
    "ports_links",
    "routers_links",
    "floatingips_links",
    "security_groups_links",
    "security_group_rules",
];

/// Reads a cloud, or the `set` of a change. `path` is where `node` stands in the document.
pub(super) fn batch(sink: &mut Sink<'_>, node: &Node, path: &str) -> Batch {
    let mut batch = Batch::default();
    let Value::Map(entries) = &node.value else {
        let reason = format!("expected an object of lists of resources, found {}", node.type_name());
        sink.parse_problem(&Subject::file(), path, "", reason, "give an object with networks, ports, ...".to_owned());
        return batch;
    };
    for (i, e) in entries.iter().enumerate() {
        let key = escape(e.key());
        let file = Subject::file();
        if entries.iter().take(i).any(|earlier| earlier.key() == e.key()) {
            sink.parse_problem(&file, path, &key, "the key is given twice".to_owned(), "join the two".to_owned());
            continue;
        }
        let here = join(path, &key);
        match (Kind::LISTS.iter().find(|k| k.key() == e.key()), &e.node.value) {
            (_, Value::Null) => {}
            (Some(kind), Value::List(items)) => {
                for (n, item) in items.iter().enumerate() {
                    resource(sink, &mut batch, *kind, item, &format!("{here}/{n}"));
                }
            }
            (Some(_), _) => {
                let reason = format!("expected a list, found {}", e.node.type_name());
                sink.parse_problem(&file, path, &key, reason, "give the resources as a list".to_owned());
            }
            (None, _) if e.key() == "settings" => {
                let subject = Subject::new(Kind::Settings, "", "");
                sink.locate(&subject, &here);
                let mut f = Fields::new(sink, &subject, &here, String::new(), &e.node);
                batch.settings = Some(network::settings(&mut f));
                f.finish(&[]);
            }
            (None, _) if IGNORED_TOP.contains(&e.key()) => {}
            (None, _) => {
                let known = Kind::LISTS.iter().map(|k| k.key()).chain(["settings"]);
                let hint = match nearest(e.key(), known.clone()) {
                    Some(k) => format!("did you mean {k}?"),
                    None => format!("take it out; known here are {}", known.collect::<Vec<_>>().join(", ")),
                };
                sink.parse_problem(&file, path, &key, "unknown field".to_owned(), hint);
            }
        }
    }
    batch
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}/{key}") }
}

/// Reads one resource into the batch. One without any identity is reported and left out.
fn resource(sink: &mut Sink<'_>, batch: &mut Batch, kind: Kind, node: &Node, here: &str) {
    let Some((id, name)) = identity(sink, batch, kind, node, here) else { return };
    let subject = match kind {
        Kind::Neighbor => {
            Subject { kind, key: here.to_owned(), label: format!("{} {}", kind.word(), super::problem::plain(&name)) }
        }
        _ => Subject::new(kind, &id, &name),
    };
    if let Some(first) = sink.place_of(&subject) {
        let reason = format!("{} is in the file twice, first at {first}", subject.label);
        let field = if kind == Kind::Host { "name" } else { "id" };
        // Not through the subject: the first one is not to blame.
        let twin = Subject { key: here.to_owned(), ..subject };
        sink.parse_problem(&twin, here, field, reason, "keep one of them, or give each an id of its own".to_owned());
        // Its own attributes are still read, so that all their faults are told as well.
        read(sink, &mut Batch::default(), &twin, node, here, (id, name));
        return;
    }
    sink.locate(&subject, here);
    read(sink, batch, &subject, node, here, (id, name));
}

fn read(
    sink: &mut Sink<'_>,
    batch: &mut Batch,
    subject: &Subject,
    node: &Node,
    here: &str,
    (id, name): (String, String),
) {
    let f = &mut Fields::new(sink, subject, here, String::new(), node);
    let ignored: &[&str] = match subject.kind {
        Kind::Host => {
            batch.hosts.push(network::host(f, id));
            &network::HOST_IGNORED
        }
        Kind::Network => {
            batch.networks.push(network::network(f, id, name));
            &network::NETWORK_IGNORED
        }
        Kind::Subnet => {
            batch.subnets.push(network::subnet(f, id, name));
            &network::SUBNET_IGNORED
        }
        Kind::Port => {
            batch.ports.push(port::port(f, id, name));
            &port::IGNORED
        }
        Kind::Router => {
            batch.routers.push(router::router(f, id, name));
            &router::ROUTER_IGNORED
        }
        Kind::FloatingIp => {
            batch.floatingips.push(router::floatingip(f, id));
            &router::FLOATINGIP_IGNORED
        }
        Kind::SecurityGroup => {
            batch.security_groups.push(router::security_group(f, id, name));
            &router::GROUP_IGNORED
        }
        Kind::Neighbor => {
            batch.neighbors.extend(network::neighbor(f).map(|n| (n, subject.key.clone())));
            &[]
        }
        Kind::Settings => &[],
    };
    f.finish(ignored);
}

/// Id and name of a resource. Without an id the name is the id (of a floating IP, its address).
fn identity(sink: &mut Sink<'_>, batch: &mut Batch, kind: Kind, node: &Node, here: &str) -> Option<(String, String)> {
    let text = |key| match node.get(key).map(|n| &n.value) {
        Some(Value::Str(s)) => Some(s.clone()).filter(|s| !s.is_empty()),
        _ => None,
    };
    let (id_key, name_key) = match kind {
        Kind::Host => ("name", "name"),
        Kind::FloatingIp => ("id", "floating_ip_address"),
        Kind::Neighbor => ("ip_address", "ip_address"),
        _ => ("id", "name"),
    };
    let (id, name) = (text(id_key), text(name_key));
    // Something to call it by until then: its place in its list.
    let nth = Subject {
        kind,
        key: here.to_owned(),
        label: format!("{} [{}]", kind.word(), here.rsplit('/').next().unwrap_or_default()),
    };
    if !matches!(node.value, Value::Map(_)) {
        let reason = format!("expected an object, found {}", node.type_name());
        sink.parse_problem(&nth, here, "", reason, "give the resource as an object".to_owned());
        return None;
    }
    if kind == Kind::Neighbor {
        return Some((String::new(), id.unwrap_or_default()));
    }
    if let Some(other) = node.get(id_key).filter(|n| !matches!(n.value, Value::Str(_))) {
        let reason = format!("expected a string, found {}", other.type_name());
        sink.parse_problem(&nth, here, id_key, reason, "write a string".to_owned());
        return None;
    }
    let Some(id) = id.or_else(|| {
        let name = name.clone()?;
        batch.implied.insert((kind, name.clone()));
        Some(name)
    }) else {
        let hint = if kind == Kind::Host { "give the host's name" } else { "give an id, or at least a name" };
        sink.parse_problem(&nth, here, id_key, "is missing".to_owned(), hint.to_owned());
        return None;
    };
    let harmless = id.len() <= 255 && id != "." && id != ".." && !id.chars().any(|c| c.is_control() || c == '/');
    if !harmless {
        let reason = format!("{} cannot be an id", quote(&id));
        let hint = "ids are at most 255 bytes, without '/' and control characters".to_owned();
        sink.parse_problem(&nth, here, id_key, reason, hint);
        return None;
    }
    Some((id, name.unwrap_or_default()))
}

/// Reads what names a neighbor: `{network_id, ip_address}`.
pub(super) fn neighbor_key(
    sink: &mut Sink<'_>,
    subject: &Subject,
    here: &str,
    node: &Node,
) -> Option<(String, IpAddr)> {
    let mut f = Fields::new(sink, subject, here, String::new(), node);
    let network = f.reference("network_id", "the id or name of the neighbor's network");
    let ip = f.unicast_address("ip_address");
    f.finish(&["mac_address"]);
    ip.map(|ip| (network, ip))
}
