//! One OpenFlow flow as `ovs-ofctl dump-flows` writes it.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

/// OpenFlow's default priority, which `ovs-ofctl` leaves out.
pub(super) const DEFAULT_PRIORITY: u16 = 0x8000;

/// A flow without cookie, counters and ages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Table.
    pub table: u8,
    /// Priority; the highest that matches decides.
    pub priority: u16,
    /// Fields and values, comma-separated; empty matches everything.
    #[serde(rename = "match")]
    pub fields: String,
    /// Actions, comma-separated.
    pub actions: String,
}

impl Flow {
    pub(super) fn new(table: u8, priority: u16, fields: impl Into<String>, actions: impl Into<String>) -> Flow {
        Flow { table, priority, fields: fields.into(), actions: actions.into() }
    }
}

/// By table, then by priority from the highest; flows of one priority stay in the order they were made.
pub(super) fn sort(flows: &mut [Flow]) {
    flows.sort_by_key(|f| (f.table, Reverse(f.priority)));
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table={},", self.table)?;
        let priority = (self.priority != DEFAULT_PRIORITY).then(|| format!("priority={}", self.priority));
        let fields = Some(self.fields.clone()).filter(|m| !m.is_empty());
        let matches: Vec<String> = priority.into_iter().chain(fields).collect();
        write!(f, " {} actions={}", matches.join(","), self.actions)
    }
}
