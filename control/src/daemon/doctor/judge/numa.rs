//! A NIC, and the cores of its workers.

use crate::daemon::doctor::facts::InterfaceFacts;
use crate::daemon::doctor::{Finding, Use};

/// Are the workers of a NIC on its node? Nothing where the machine has one node, or the NIC is on none.
pub(super) fn numa(facts: &InterfaceFacts) -> Option<Finding> {
    const CHECK: &str = "numa";
    let node = facts.node.filter(|_| facts.nodes.len() > 1 && !matches!(facts.subject.used, Use::Port(_)))?;
    let cost = "each packet crosses from one node's memory to the other's";
    let near: Vec<String> = facts.nodes.get(&node).into_iter().flatten().map(usize::to_string).collect();
    let mend = match near.is_empty() {
        true => "the NIC in a slot of a node that has cores".to_owned(),
        false => format!("workers.cores out of {}", near.join(", ")),
    };
    let Some(cores) = &facts.subject.cores else {
        let what =
            format!("it is on NUMA node {node}, and workers are not pinned: they and their memory may be on another");
        return Some(Finding::warning(CHECK, what, cost, mend));
    };
    let node_of = |core: &usize| facts.nodes.iter().find(|(_, cores)| cores.contains(core)).map(|(node, _)| *node);
    let far = cores.iter().filter_map(|core| Some((core, node_of(core).filter(|n| *n != node)?)));
    let far: Vec<String> = far.map(|(core, node)| format!("core {core} on node {node}")).collect();
    if far.is_empty() {
        return Some(Finding::ok(CHECK, format!("NUMA node {node}, as the cores of its workers")));
    }
    let what = format!("it is on NUMA node {node}, and its workers have {}", far.join(", "));
    Some(Finding::warning(CHECK, what, cost, mend))
}
