//! The file against the cloud.

use std::collections::BTreeMap;

use super::{Attachment, Config, Interface, PortInterface, bad_interface, default_interface};
use crate::host::MAX_PHYS;
use crate::model::problem::{plain, quote};
use crate::model::{Cloud, Host, NotFound, Place, Port, Problem, Problems};
use crate::rows::derive::has_queues;

impl Config {
    /// Checks the file against the cloud: the host exists, each of its physical networks has a NIC and no other has one,
    /// networks on one NIC can be told apart, each of `[[ports]]` is a port of this host that has an interface, and no two ports have the same one.
    pub fn check(&self, cloud: &Cloud) -> Result<(), Problems> {
        let mut problems = Vec::new();
        match cloud.host_by_name(&self.host) {
            Ok(host) => {
                self.check_physical(host, &mut problems);
                self.mixed_up(cloud, &mut problems);
            }
            Err(e) => {
                problems.push(not_found(&self.place, "host", &e));
                return Problems::check(problems); // nothing is bound to it; one problem says why
            }
        }
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, entry) in self.ports.iter().enumerate() {
            let field = format!("ports[{i}].port");
            match cloud.port_by_name(&entry.port) {
                Err(e) => problems.push(not_found(&entry.place, &field, &e)),
                Ok(port) => {
                    problems.extend(self.misplaced(port).map(|(r, hint)| problem(&entry.place, &field, r, hint)));
                    if let Some(first) = seen.insert(&port.id, i) {
                        let reason = format!("{} is the port of ports[{first}], by another word", quote(&entry.port));
                        problems.push(problem(&entry.place, &field, reason, "keep one of them".to_owned()));
                    }
                }
            }
        }
        self.shared(cloud, &mut problems);
        Problems::check(problems)
    }

    /// Every port of the cloud that is bound to this host and has an interface, with the interface, in the order of
    /// their ids.
    pub fn attachments<'c>(&self, cloud: &'c Cloud) -> impl Iterator<Item = Attachment> + use<'_, 'c> {
        let explicit: BTreeMap<&str, &PortInterface> =
            self.ports.iter().filter_map(|e| Some((cloud.port_by_name(&e.port).ok()?.id.as_str(), e))).collect();
        let here = cloud.ports.values().filter(|p| p.is_bound_to(&self.host) && has_queues(p));
        here.map(move |port| {
            let given = explicit.get(port.id.as_str());
            let default = || Interface { name: default_interface(&port.id), netns: None };
            let interface = given.map_or_else(default, |e| e.interface.clone());
            let io = given.and_then(|e| e.io).unwrap_or(self.port_io);
            Attachment { port: port.id.clone(), interface, explicit: given.is_some(), io }
        })
    }

    /// The physical networks of this host with the NIC of each, in the order of their names: their places are those of
    /// [`Rows::phys`](crate::rows::Rows).
    pub fn physical<'c>(&'c self, cloud: &'c Cloud) -> impl Iterator<Item = (&'c str, &'c Interface)> {
        let names = cloud.hosts.get(&self.host).into_iter().flat_map(|h| h.bridge_mappings.keys());
        let nic = |name: &String| self.physical_networks.iter().find(|p| p.name == *name);
        names.filter_map(move |name| Some((name.as_str(), &nic(name)?.interface)))
    }

    /// Physical networks without a NIC here, and NICs without one there.
    fn check_physical(&self, host: &Host, problems: &mut Vec<Problem>) {
        let has: Vec<String> = host.bridge_mappings.keys().map(|name| plain(name)).collect();
        let me = plain(&self.host);
        if has.len() > MAX_PHYS {
            let reason = format!(
                "host {me} has {} physical networks (bridge_mappings), at most {MAX_PHYS} are possible",
                has.len()
            );
            problems.push(problem(&self.place, "host", reason, "take those out that no network here is on".to_owned()));
        }
        for (i, entry) in self.physical_networks.iter().enumerate() {
            if !host.bridge_mappings.contains_key(&entry.name) {
                let reason = format!("host {me} has no physical network {} (bridge_mappings)", quote(&entry.name));
                let hint = match has.is_empty() {
                    true => "take the entry out, or give the host bridge_mappings in the cloud file".to_owned(),
                    false => format!("take the entry out, or give one of {}", has.join(", ")),
                };
                problems.push(problem(&entry.place, &format!("physical_networks[{i}].name"), reason, hint));
            }
        }
        for name in host.bridge_mappings.keys().filter(|n| self.physical_networks.iter().all(|p| p.name != **n)) {
            let reason =
                format!("host {me} has the physical network {} (bridge_mappings), and no NIC for it", quote(name));
            let hint = "add [[physical_networks]] with its name and interface";
            problems.push(problem(&self.place, "physical_networks", reason, hint.to_owned()));
        }
    }

    /// Why an interface cannot be given to this port here, and what to do.
    fn misplaced(&self, port: &Port) -> Option<(String, String)> {
        let id = plain(&port.id);
        if !has_queues(port) {
            let reason = format!("port {id} is a {}, which has no interface", plain(&port.device_owner));
            return Some((reason, "take the entry out".to_owned()));
        }
        match port.binding_host_id.as_deref() {
            Some(host) if host == self.host && port.binding_failed => Some((
                format!("port {id} could not be bound to {}", plain(host)),
                "bind it, or take the entry out".into(),
            )),
            Some(host) if host == self.host => None,
            Some(host) => {
                let reason = format!("port {id} is bound to host {}, this is {}", plain(host), plain(&self.host));
                Some((reason, "take the entry out, or correct the port's binding_host_id".to_owned()))
            }
            None => {
                let hint = format!("give the port binding_host_id {}, or take the entry out", plain(&self.host));
                Some((format!("port {id} is bound to no host"), hint))
            }
        }
    }

    /// Interfaces that ports without an entry would have to share, or could not have.
    fn shared(&self, cloud: &Cloud, problems: &mut Vec<Problem>) {
        let mut taken: BTreeMap<Interface, String> = BTreeMap::new();
        taken.insert(self.underlay.clone(), "the underlay's".to_owned());
        for p in &self.physical_networks {
            let word = || format!("that of physical network {}", plain(&p.name));
            taken.entry(p.interface.clone()).or_insert_with(word);
        }
        let (given, default): (Vec<_>, Vec<_>) = self.attachments(cloud).partition(|a| a.explicit);
        taken.extend(given.into_iter().map(|a| (a.interface, format!("that of port {}", plain(&a.port)))));
        for a in default {
            let name = &a.interface.name;
            let reason = match (bad_interface(name), taken.get(&a.interface)) {
                (Some(why), _) => format!("{} cannot be an interface: it {why}", quote(name)),
                (None, Some(other)) => format!("its interface would be {name}, which is {other}"),
                (None, None) => {
                    taken.insert(a.interface, format!("that of port {}", plain(&a.port)));
                    continue;
                }
            };
            let place = Place { line: None, ..self.place.clone() };
            let hint = "give it an interface of its own in [[ports]]".to_owned();
            let resource = format!("port {}", plain(&a.port));
            problems.push(Problem { place, resource, field: None, reason, hint });
        }
    }
}

pub(super) fn problem(place: &Place, field: &str, reason: String, hint: String) -> Problem {
    let (place, field) = (place.clone(), Some(field.to_owned()));
    Problem { place, resource: "configuration".to_owned(), field, reason, hint }
}

fn not_found(place: &Place, field: &str, e: &NotFound) -> Problem {
    let (reason, hint) = match e {
        NotFound::Unknown { kind, word, nearest } => {
            let reason = format!("the cloud has no {} {}", kind.word(), quote(word));
            let hint = match nearest {
                Some(n) => format!("did you mean {}?", plain(n)),
                None => format!("give one of the cloud's {}", kind.key()),
            };
            (reason, hint)
        }
        NotFound::Ambiguous { kind, word, ids } => {
            let ids = ids.iter().map(|i| plain(i)).collect::<Vec<_>>().join(", ");
            let reason = format!("{} is the name of several {}", quote(word), kind.key());
            (reason, format!("give the id, one of {ids}"))
        }
    };
    problem(place, field, reason, hint)
}
