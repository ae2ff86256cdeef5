//! Checks of the whole model: what one resource alone cannot show. Every fault is reported; a value that could
//! not be read is not reported a second time for the placeholder it left.

mod hosts;
mod networks;
mod ports;
mod routers;

use std::collections::HashMap;
use std::hash::Hash;

use super::Cloud;
use super::problem::{Kind, Sink, Subject, nearest, plain, quote};
use super::resolve::{has, ids_and_names};
use super::types::*;

/// Checks the cloud; problems go to the sink.
pub(super) fn check(sink: &mut Sink<'_>, cloud: &Cloud) {
    let mut subnets: HashMap<&str, Vec<&Subnet>> = HashMap::new();
    for s in cloud.subnets.values().filter(|s| !sink.is_bad(Kind::Subnet, &s.id, "cidr")) {
        subnets.entry(s.network_id.as_str()).or_default().push(s);
    }
    let mut c = Checker { cloud, sink, subnets };
    hosts::check(&mut c);
    networks::check(&mut c);
    ports::check(&mut c);
    routers::check(&mut c);
}

/// The model under check, with what several checks need.
struct Checker<'c, 's, 'd> {
    cloud: &'c Cloud,
    sink: &'s mut Sink<'d>,
    /// Readable subnets by network.
    subnets: HashMap<&'c str, Vec<&'c Subnet>>,
}

impl<'c> Checker<'c, '_, '_> {
    fn report(&mut self, subject: &Subject, path: &str, reason: impl Into<String>, hint: impl Into<String>) {
        self.sink.report(subject, path, reason.into(), hint);
    }

    fn subnets_of(&self, network: &str) -> &[&'c Subnet] {
        self.subnets.get(network).map_or(&[], Vec::as_slice)
    }

    /// Reports a reference that leads nowhere. True if it leads somewhere.
    fn exists(&mut self, subject: &Subject, path: &str, kind: Kind, id: &str) -> bool {
        if has(self.cloud, kind, id) {
            return true;
        }
        // A near name is worth a search in a file under edit, not in a model of a hundred thousand ports.
        let all = if self.sink.problems.len() < 100 { ids_and_names(self.cloud, kind) } else { Vec::new() };
        let words = all.iter().take(2_000).flat_map(|(id, name)| [*id, *name]).filter(|w| !w.is_empty());
        let hint = match (self.sink.place_of(subject), nearest(id, words)) {
            (None, _) => format!("the change takes the {} away; change or delete what refers to it too", kind.word()),
            (_, Some(n)) => format!("did you mean {}?", plain(n)),
            (_, None) => format!("add the {}, or correct the name", kind.word()),
        };
        self.report(subject, path, format!("there is no {} {}", kind.word(), quote(id)), hint);
        // Nothing that follows from it is to be said.
        self.sink.mark(subject, path);
        false
    }

    /// Reports two resources that have the same of something only one may have.
    fn collision(&mut self, a: Subject, b: Subject, path: &str, what: &str, hint: &str) {
        let (blamed, other) = self.sink.blame(a, b);
        let at = self.sink.place_of(&other).map(|p| format!(", at {p}")).unwrap_or_default();
        self.report(&blamed, path, format!("{what} is also that of {}{at}", other.label), hint);
    }
}

/// Remembers who has what; gives the one that already has it.
struct Owners<K, V>(HashMap<K, V>);

impl<K: Hash + Eq, V: Copy> Owners<K, V> {
    fn new() -> Self {
        Owners(HashMap::new())
    }

    fn claim(&mut self, key: K, owner: V) -> Option<V> {
        match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(o) => Some(*o.get()),
            std::collections::hash_map::Entry::Vacant(v) => {
                v.insert(owner);
                None
            }
        }
    }
}

fn host_subject(h: &Host) -> Subject {
    Subject::new(Kind::Host, &h.name, "")
}

fn network_subject(n: &Network) -> Subject {
    Subject::new(Kind::Network, &n.id, &n.name)
}

fn subnet_subject(s: &Subnet) -> Subject {
    Subject::new(Kind::Subnet, &s.id, &s.name)
}

fn port_subject(p: &Port) -> Subject {
    Subject::new(Kind::Port, &p.id, &p.name)
}

fn router_subject(r: &Router) -> Subject {
    Subject::new(Kind::Router, &r.id, &r.name)
}
