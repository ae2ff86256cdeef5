//! The cloud model: networks, subnets, ports, routers, floating IPs and security groups with Neutron's
//! attribute names (`:` written `_`), plus hosts, static neighbors and settings.
//!
//! A cloud comes from a file ([`Cloud::load`]: TOML for people, JSON for programs, dumps of Neutron's API
//! lists as they are) and changes by batches ([`Cloud::apply`]). Either way it is complete in itself or refused
//! as a whole with every problem named ([`Problems`]); what was there before stays.
//!
//! ```text
//! text -> read_json, read_toml -> value tree with places -> parse -> resources, every fault collected
//!      -> resolve: names to ids -> validate: the whole model -> Cloud
//! ```
//!
//! - Resources are named by id or by a name that is unique among their kind; one without an id has its name
//!   as id. After loading every reference is an id.
//! - An attribute that is absent and one that is null mean the same.
//! - Attributes of Neutron that have no effect here are known and ignored; any other is refused.

mod change;
mod net;
pub(crate) mod parse;
pub(crate) mod problem;
mod read_json;
pub(crate) mod read_toml;
mod resolve;
mod types;
mod validate;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

pub use change::{Change, Event};
pub use net::{BadNet, IpNet};
pub use problem::{Kind, Place, Problem, Problems};
pub use types::*;

use problem::{nearest, plain, quote};
use value::Style;

/// A cloud: everything a host derives its rows from. Keys are ids (of hosts: names).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cloud {
    /// Host-wide settings.
    pub settings: Settings,
    /// Machines that run dvrd.
    pub hosts: BTreeMap<String, Host>,
    /// Networks.
    pub networks: BTreeMap<String, Network>,
    /// Subnets.
    pub subnets: BTreeMap<String, Subnet>,
    /// Ports.
    pub ports: BTreeMap<String, Port>,
    /// Routers.
    pub routers: BTreeMap<String, Router>,
    /// Floating IPs.
    pub floatingips: BTreeMap<String, FloatingIp>,
    /// Security groups.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// Static neighbors by network id and address.
    pub neighbors: BTreeMap<(String, IpAddr), Neighbor>,
}

impl Cloud {
    /// Reads a file: TOML if it is called `.toml`, else JSON.
    pub fn load(path: &Path) -> Result<Cloud, Problems> {
        let name = path.display().to_string();
        let text = read_text(path)?;
        match path.extension() {
            Some(e) if e.eq_ignore_ascii_case("toml") => Cloud::from_toml(&text, &name),
            _ => Cloud::from_json(&text, &name),
        }
    }

    /// Reads a JSON text; `name` is what problems call it.
    pub fn from_json(text: &str, name: &str) -> Result<Cloud, Problems> {
        change::load(read_json::read(text, name, None)?, name, Style::Pointers { line: None })
    }

    /// Reads a TOML text; `name` is what problems call it.
    pub fn from_toml(text: &str, name: &str) -> Result<Cloud, Problems> {
        change::load(read_toml::read(text, name)?, name, Style::Lines)
    }

    /// The cloud with the change in it. The whole batch counts or none of it; the result is checked as a whole,
    /// and `self` stays as it is.
    pub fn apply(&self, change: &Change) -> Result<Cloud, Problems> {
        change::apply(self, change)
    }

    /// Whether tunnel packets of the network are taken only from VTEPs in its list.
    pub fn strict_vtep(&self, network: &Network) -> bool {
        network.dvrd.strict_vtep.unwrap_or(self.settings.strict_vtep)
    }

    /// Whether MACs are learned in the network.
    pub fn learning(&self, network: &Network) -> bool {
        network.dvrd.learning.unwrap_or(self.settings.learning)
    }

    /// Who answers DHCP in the network.
    pub fn dhcp(&self, network: &Network) -> DhcpMode {
        network.dvrd.dhcp.unwrap_or(self.settings.dhcp)
    }

    /// What the model says about unknown unicast in the network; none: left to whoever derives rows, who knows
    /// whether all of its ports come from the model.
    pub fn flood_unknown(&self, network: &Network) -> Option<bool> {
        network.dvrd.flood_unknown.or(self.settings.flood_unknown)
    }

    /// The port with this id, or else the only one with this name.
    pub fn port_by_name(&self, id_or_name: &str) -> Result<&Port, NotFound> {
        by_name(&self.ports, Kind::Port, id_or_name, |p| (&p.id, &p.name))
    }

    /// The network with this id, or else the only one with this name.
    pub fn network_by_name(&self, id_or_name: &str) -> Result<&Network, NotFound> {
        by_name(&self.networks, Kind::Network, id_or_name, |n| (&n.id, &n.name))
    }

    /// The router with this id, or else the only one with this name.
    pub fn router_by_name(&self, id_or_name: &str) -> Result<&Router, NotFound> {
        by_name(&self.routers, Kind::Router, id_or_name, |r| (&r.id, &r.name))
    }

    /// The host with this name.
    pub fn host_by_name(&self, name: &str) -> Result<&Host, NotFound> {
        by_name(&self.hosts, Kind::Host, name, |h| (&h.name, &h.name))
    }
}

/// The text of a file; a problem that says why if there is none.
pub(crate) fn read_text(path: &Path) -> Result<String, Problems> {
    let text = std::fs::read(path).map_err(|e| e.to_string()).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|e| format!("not UTF-8 from byte {}", e.utf8_error().valid_up_to()))
    });
    text.map_err(|reason| {
        Problems::from(Problem {
            place: Place { file: path.display().to_string(), line: None, pointer: None },
            resource: "file".to_owned(),
            field: None,
            reason: format!("cannot be read: {reason}"),
            hint: "give a readable text file".to_owned(),
        })
    })
}

/// Why a word names no resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// Nothing is called so.
    Unknown {
        /// What was looked for.
        kind: Kind,
        /// The word.
        word: String,
        /// What it most likely means.
        nearest: Option<String>,
    },
    /// Several have this name.
    Ambiguous {
        /// What was looked for.
        kind: Kind,
        /// The word.
        word: String,
        /// The ids of all that have it.
        ids: Vec<String>,
    },
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotFound::Unknown { kind, word, nearest } => {
                write!(f, "there is no {} {}", kind.word(), quote(word))?;
                nearest.as_ref().map_or(Ok(()), |n| write!(f, "; did you mean {}?", plain(n)))
            }
            NotFound::Ambiguous { kind, word, ids } => {
                write!(f, "{} is the name of {} {}s; give the id: ", quote(word), ids.len(), kind.word())?;
                f.write_str(&ids.iter().map(|i| plain(i)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl std::error::Error for NotFound {}

fn by_name<'c, T>(
    map: &'c BTreeMap<String, T>,
    kind: Kind,
    word: &str,
    id_and_name: impl Fn(&'c T) -> (&'c String, &'c String),
) -> Result<&'c T, NotFound> {
    if let Some(r) = map.get(word) {
        return Ok(r);
    }
    let named: Vec<&T> = map.values().filter(|r| !word.is_empty() && id_and_name(r).1 == word).collect();
    match named.as_slice() {
        [one] => Ok(one),
        [] => {
            let words = map.values().flat_map(|r| [id_and_name(r).0.as_str(), id_and_name(r).1.as_str()]);
            let nearest = nearest(word, words.filter(|w| !w.is_empty())).map(str::to_owned);
            Err(NotFound::Unknown { kind, word: word.to_owned(), nearest })
        }
        many => {
            let ids = many.iter().map(|r| id_and_name(r).0.clone()).collect();
            Err(NotFound::Ambiguous { kind, word: word.to_owned(), ids })
        }
    }
}
