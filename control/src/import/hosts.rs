//! `agents` to `hosts`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::read::{Dumps, Item, Place};
use crate::model::{Problem, Problems};
use crate::report::count;

/// What of an agent says what about its host (Neutron's `agent_type`).
const L2: &str = "Open vSwitch agent";
const L3: &str = "L3 agent";

/// One of `hosts`, and where its attributes come from.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub value: Map<String, Value>,
    places: BTreeMap<String, Place>,
    /// Where a missing attribute should have been.
    first: Place,
}

impl Host {
    fn set(&mut self, key: &str, value: Value, place: Place) {
        if self.value.is_empty() {
            self.first = place.clone();
        }
        self.value.insert(key.to_owned(), value);
        self.places.insert(key.to_owned(), place);
    }

    /// Where an attribute was read, or else the first that is known of the host.
    pub fn place_of(&self, attribute: Option<&str>) -> Place {
        attribute.and_then(|a| self.places.get(a)).unwrap_or(&self.first).clone()
    }
}

/// All hosts by name, and what is not known of them.
pub(super) struct Hosts {
    pub hosts: Vec<Host>,
    pub missing: Vec<String>,
    pub notes: Vec<String>,
}

/// Hosts of the agents, with their DVR MACs, and over them what `hosts` says.
pub(super) fn hosts(dumps: &Dumps<'_>) -> Result<Hosts, Problems> {
    let (mut hosts, mut problems, mut notes) = (BTreeMap::new(), Vec::new(), Vec::new());
    for agent in &dumps.agents {
        of_agent(dumps, agent, &mut hosts, &mut problems, &mut notes);
    }
    if let Some(agent) =
        dumps.agents.first().filter(|_| hosts.is_empty() && problems.is_empty() && dumps.hosts.is_empty())
    {
        let types: BTreeSet<&str> = dumps.agents.iter().filter_map(|a| a.text("agent_type")).collect();
        let types: Vec<&str> = types.into_iter().collect();
        let reason = format!("none is an {L2} or {L3}, only {}", types.join(", "));
        let hint = "these agents do not tell their hosts' tunnel addresses: give {\"hosts\": [..]} in place of agents";
        problems.push(dumps.problem(
            &Place { file: agent.place.file, pointer: "/agents".into() },
            "agents",
            reason,
            hint,
        ));
    }
    for entry in &dumps.hosts {
        let Some(name) = entry.text("name") else {
            problems.push(dumps.problem(&entry.place, "host", "name: is missing", "give the host's name"));
            continue;
        };
        let host: &mut Host = hosts.entry(name.to_owned()).or_default();
        for (key, value) in &entry.value {
            host.set(key, value.clone(), entry.place.at(key));
        }
    }
    for entry in &dumps.dvr_macs {
        dvr_mac(dumps, entry, &mut hosts, &mut problems, &mut notes);
    }
    let mut missing = Vec::new();
    for (name, host) in &mut hosts {
        if !host.value.contains_key("vtep") {
            let reason = format!("no tunnel address: it has no {L2} with a tunneling_ip");
            let hint = format!(
                "add a file {{\"hosts\": [{{\"name\": {name:?}, \"vtep\": \"ADDRESS\"}}]}} with its VTEP's IPv4"
            );
            problems.push(dumps.problem(&host.first, &format!("host {name}"), reason, hint));
        }
        if !host.value.contains_key("agent_mode") {
            notes.push(format!("host {name} has no {L3}: agent_mode is legacy, no distributed router is there"));
            let place = host.first.clone();
            host.set("agent_mode", json!("legacy"), place);
        }
    }
    notes.sort();
    Problems::check(problems)?;
    missing.extend(without_dvr_mac(&hosts));
    let unresolved = hosts.values().filter(|h| !h.value.contains_key("vtep_mac")).count();
    if unresolved > 0 {
        notes.push(format!(
            "vtep_mac: not known of {}; dvrd asks the kernel, but in replay and trace frames to them are \
             underlay_unresolved: give {{\"hosts\": [{{\"name\": .., \"vtep_mac\": ..}}]}}",
            count(unresolved as u64, "host")
        ));
    }
    Ok(Hosts { hosts: hosts.into_values().collect(), missing, notes })
}

fn without_dvr_mac(hosts: &BTreeMap<String, Host>) -> Option<String> {
    let routes = |h: &Host| h.value.get("agent_mode").is_some_and(|m| m != "legacy");
    let without = hosts.iter().filter(|(_, h)| routes(h) && !h.value.contains_key("dvr_mac"));
    let names: Vec<&str> = without.map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "dvr_mac: not known of {}; what is routed to other hosts leaves with this MAC, so they route nothing to others \
             until it is known. Neutron's API does not tell it: add a file with the answer of the RPC \
             get_dvr_mac_address_list, which is what this prints: mysql -N neutron -e \"select \
             json_arrayagg(json_object('host', host, 'mac_address', mac_address)) from dvr_host_macs\"",
            names.join(", ")
        )
    })
}

/// What one agent says of its host. Agents of other types say nothing here.
fn of_agent(
    dumps: &Dumps<'_>,
    agent: &Item,
    hosts: &mut BTreeMap<String, Host>,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<String>,
) {
    let Some(kind @ (L2 | L3)) = agent.text("agent_type") else { return };
    let Some(name) = agent.text("host") else {
        problems.push(dumps.problem(&agent.place, "agent", "host: is missing", "give the agent's host"));
        return;
    };
    if agent.value.get("alive") == Some(&Value::Bool(false)) {
        notes.push(format!("host {name}: its {kind} is not alive; what it said last is taken"));
    }
    let empty = Map::new();
    let said = agent.value.get("configurations").and_then(Value::as_object).unwrap_or(&empty);
    let place = |key: &str| agent.place.at(&format!("configurations/{key}"));
    let host = hosts.entry(name.to_owned()).or_default();
    host.set("name", json!(name), agent.place.at("host"));
    if kind == L3 {
        match said.get("agent_mode") {
            Some(mode) => host.set("agent_mode", mode.clone(), place("agent_mode")),
            None => {
                let reason = "configurations.agent_mode: is missing";
                let hint = "dump the agents with an admin's token, in full";
                problems.push(dumps.problem(&agent.place, &format!("{L3} of host {name}"), reason, hint));
            }
        }
        return;
    }
    if let Some(ip) = said.get("tunneling_ip").filter(|ip| ip.as_str().is_some_and(|s| !s.is_empty())) {
        host.set("vtep", ip.clone(), place("tunneling_ip"));
    }
    if let Some(mappings) = said.get("bridge_mappings") {
        host.set("bridge_mappings", mappings.clone(), place("bridge_mappings"));
    }
}

/// One of `{"host": .., "mac_address": ..}`; Neutron writes these MACs as FA-16-3F-26-E9-B0.
fn dvr_mac(
    dumps: &Dumps<'_>,
    entry: &Item,
    hosts: &mut BTreeMap<String, Host>,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<String>,
) {
    let (Some(name), Some(mac)) = (entry.text("host"), entry.text("mac_address")) else {
        let reason = "host or mac_address is missing";
        problems.push(dumps.problem(&entry.place, "DVR MAC", reason, "give both, as Neutron's RPC does"));
        return;
    };
    let Some(host) = hosts.get_mut(name) else {
        notes.push(format!("host {name} has a DVR MAC, but no agent: left out"));
        return;
    };
    let mac = mac.replace('-', ":").to_ascii_lowercase();
    match host.value.get("dvr_mac") {
        Some(other) if *other != mac.as_str() => {
            let at = host.place_of(Some("dvr_mac"));
            let reason = format!("{mac} is not what {} {} says, {other}", dumps.name(&at), at.pointer);
            let hint = "keep the one the host has";
            problems.push(dumps.problem(&entry.place, &format!("DVR MAC of host {name}"), reason, hint));
        }
        _ => host.set("dvr_mac", json!(mac), entry.place.at("mac_address")),
    }
}
