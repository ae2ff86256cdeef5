//! The rows of one host in the words of Neutron's hosts: flows of br-int and br-tun, `ip rule`, `ip route`, `ip neigh`.
//!
//! What is printed comes from [`Rows`]; names, and what Neutron has where dvrd has no row (a table's last line, the
//! kernel's own rules), from the model and from what Neutron always installs. Where the pipeline does something else
//! than the line says, on purpose, a [`Note`] says so with the id of the decision (docs/behaviour.md, D1 to D11).
//!
//! Notation is that of docs/seed-flows: actions as OpenFlow 1.0 has them, counters and ages left out.

mod br_int;
mod br_tun;
mod flow;
mod ip;
mod names;

use serde::Serialize;

use crate::model::Cloud;
use crate::rows::Rows;

pub use flow::Flow;

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// `ovs-ofctl dump-flows br-int`.
    BrInt,
    /// `ovs-ofctl dump-flows br-tun`.
    BrTun,
    /// `ip rule` of each qrouter namespace.
    Rules,
    /// `ip route` of each qrouter, fip and snat namespace, and of the tables its rules name.
    Routes,
    /// `ip neigh` of each qrouter namespace.
    Neigh,
}

/// What one command would print on a host that runs Neutron's agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The command.
    pub command: String,
    /// What the numbers in the lines stand for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub legend: Vec<String>,
    /// What the pipeline does otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// Flows, by table, then by priority from the highest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flows: Vec<Flow>,
    /// Lines of `ip`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
}

/// A difference by design between lines of a part and what the pipeline does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// `D1` to `D11`.
    pub design: &'static str,
    /// What is different, and why.
    pub text: String,
}

impl Note {
    fn new(design: &'static str, text: impl Into<String>) -> Note {
        Note { design, text: text.into() }
    }
}

impl Part {
    fn new(command: impl Into<String>) -> Part {
        Part { command: command.into(), ..Part::default() }
    }

    /// As text: the command behind `$`, comments behind `#`.
    pub fn text(&self) -> String {
        let mut s = format!("$ {}\n", self.command);
        self.legend.iter().for_each(|line| s.push_str(&format!("# {line}\n")));
        self.notes.iter().for_each(|n| s.push_str(&format!("# {}: {}\n", n.design, n.text)));
        self.flows.iter().for_each(|flow| s.push_str(&format!("{flow}\n")));
        self.lines.iter().for_each(|line| s.push_str(&format!("{line}\n")));
        s
    }
}

/// The rows of host `name` as the parts of `what`; `None` if the cloud has no such host. `all`: also the tables and
/// flows that Neutron has got since the dumps of docs/seed-flows.
pub fn show(cloud: &Cloud, name: &str, what: What, all: bool) -> Option<Vec<Part>> {
    let rows = &Rows::derive(cloud, name)?;
    let host = names::Names::new(cloud, name, rows);
    Some(match what {
        What::BrInt => vec![br_int::part(&host, all)],
        What::BrTun => vec![br_tun::part(&host, all)],
        What::Rules => ip::rules(&host),
        What::Routes => ip::routes(&host),
        What::Neigh => ip::neighbours(&host),
    })
}
