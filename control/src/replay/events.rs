//! The events file: batches of changes, each at its time, one a line.

use serde_json::Value;

use super::Refused;
use crate::model::{Event, Problems};

/// One line of the file.
#[derive(Clone, Debug)]
pub struct EventLine {
    /// Its number, from 1.
    pub line: usize,
    /// What it says, or what is wrong with it.
    pub event: Result<Event, Problems>,
}

/// All lines of an events file, and the ports they mention.
#[derive(Clone, Debug, Default)]
pub struct Events {
    lines: Vec<EventLine>,
    /// Id and name of every port set by an event, and physical networks (with no name).
    ports: Vec<(String, String)>,
}

impl Events {
    /// Reads a text of one event a line; empty lines count but say nothing. `file` is what problems call it.
    pub fn parse(text: &str, file: &str) -> Events {
        let mut events = Events::default();
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line_number = n + 1;
            events.lines.push(EventLine { line: line_number, event: Event::from_line(line, file, line_number) });
            if let Ok(value) = serde_json::from_str::<Value>(line) {
                events.note_ports(&value);
            }
        }
        events
    }

    /// The lines, as they stand in the file.
    pub fn lines(&self) -> &[EventLine] {
        &self.lines
    }

    /// Readable events by time, equal times in the order of their lines.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (usize, &Event)> {
        let mut readable: Vec<_> = self.lines.iter().filter_map(|l| Some((l.line, l.event.as_ref().ok()?))).collect();
        readable.sort_by_key(|(_, e)| e.at_ns);
        readable.into_iter()
    }

    /// Lines that say nothing that could be done.
    pub(super) fn unreadable(&self) -> Vec<Refused> {
        let bad = |l: &EventLine| Some(Refused { line: l.line, errors: l.event.as_ref().err()?.clone() });
        self.lines.iter().filter_map(bad).collect()
    }

    /// The id of the port that an event sets under this id or name, if all of that name are one.
    pub fn port(&self, word: &str) -> Option<String> {
        if let Some((id, _)) = self.ports.iter().find(|(id, _)| id == word) {
            return Some(id.clone());
        }
        let mut named = self.ports.iter().filter(|(_, name)| !name.is_empty() && name == word).map(|(id, _)| id);
        let first = named.next()?;
        named.all(|id| id == first).then(|| first.clone())
    }

    fn note_ports(&mut self, line: &Value) {
        let list = |key: &str| line.pointer(&format!("/set/{key}")).and_then(Value::as_array).into_iter().flatten();
        let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        for port in list("ports") {
            let (id, name) = (text(port, "id"), text(port, "name"));
            let id = if id.is_empty() { name.clone() } else { id };
            self.ports.push((id, name));
        }
        for network in list("networks") {
            let keys = ["provider_physical_network", "provider:physical_network"];
            self.ports.extend(keys.iter().map(|k| (text(network, k), String::new())));
        }
        for host in list("hosts") {
            let networks = host.get("bridge_mappings").and_then(Value::as_object).into_iter().flatten();
            self.ports.extend(networks.map(|(name, _)| (name.clone(), String::new())));
        }
        self.ports.retain(|(id, _)| !id.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_by_time_and_bad_ones_are_kept_apart() {
        let text = "{\"at\": 2, \"set\": {\"ports\": []}}\n\n{\"at\": 1}\nnonsense\n{\"at\": 1}\n";
        let events = Events::parse(text, "e.jsonl");
        assert_eq!(events.in_order().map(|(line, _)| line).collect::<Vec<_>>(), [3, 5, 1]);
        assert_eq!(events.unreadable().iter().map(|r| r.line).collect::<Vec<_>>(), [4]);
        assert_eq!(events.lines().len(), 4);
    }

    #[test]
    fn ports_of_events_have_names() {
        let text = concat!(
            "{\"at\": 0, \"set\": {\"ports\": [{\"id\": \"p1\", \"name\": \"web\"}, {\"name\": \"db\"}]}}\n",
            "{\"at\": 0, \"set\": {\"ports\": [{\"id\": \"p2\", \"name\": \"x\"}, {\"id\": \"p3\", \"name\": \"x\"}],",
            " \"networks\": [{\"provider:physical_network\": \"physnet9\"}]}}\n",
        );
        let events = Events::parse(text, "e.jsonl");
        let port = |word| events.port(word);
        assert_eq!(port("p1").as_deref(), Some("p1"));
        assert_eq!(port("web").as_deref(), Some("p1"));
        assert_eq!(port("db").as_deref(), Some("db"));
        assert_eq!(port("physnet9").as_deref(), Some("physnet9"));
        assert_eq!((port("x"), port(""), port("p4")), (None, None, None));
    }
}
