//! `bench/instructions.toml`: instructions per packet of each case, as `icount` stored them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where they are stored.
pub const STORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.toml");
/// What writes them.
pub const AGAIN: &str = "cargo run --release -p bench --bin icount -- --store";

/// The stored counts and what they depend on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    /// `release` of `rustc -vV`.
    pub rustc: String,
    /// `host` of it.
    pub host: String,
    /// Valgrind's version: told when a count has changed, no reason to skip.
    pub valgrind: String,
    /// Instructions per packet, by case.
    pub instructions_per_packet: BTreeMap<String, f64>,
}

impl Stored {
    /// Reads the file.
    pub fn read() -> Result<Stored, String> {
        let text = std::fs::read_to_string(STORE).map_err(|e| format!("{STORE}: {e}; write it with: {AGAIN}"))?;
        toml::from_str(&text).map_err(|e| format!("{STORE}: {e}"))
    }

    /// Those of a case.
    pub fn of(&self, case: &str) -> Result<f64, String> {
        let counted = self.instructions_per_packet.get(case).copied();
        counted.ok_or(format!("{STORE} has no case `{case}`; write it with: {AGAIN}"))
    }
}
