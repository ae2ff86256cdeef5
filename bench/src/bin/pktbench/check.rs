//! The sink that looks: every frame it sees must be what the topology says, or the run is no result.

use bench::frames::Plan;
use bench::load::Feed;
use dataplane::burst::Door;
use dataplane::worker::Worker;
use std::collections::{HashMap, HashSet};

/// Outer source ports there are (RFC 7348, 4.1: 49152 to 65535).
const PORTS: f64 = 16384.0;
/// Of the ports that flows spread over evenly would have, at least this part must be seen.
const SPREAD: f64 = 0.9;

/// What one worker's sink has seen.
#[derive(Debug)]
pub struct Checker {
    plan: Plan,
    /// Outer source port of each flow.
    ports: HashMap<u32, u16>,
    /// Frames looked at.
    pub seen: u64,
    /// The first that was wrong.
    pub wrong: Option<String>,
}

impl Checker {
    /// Nothing seen.
    pub fn new(plan: Plan) -> Self {
        Checker { plan, ports: HashMap::new(), seen: 0, wrong: None }
    }

    /// Looks at everything that was sent, and frees it.
    pub fn drain(&mut self, worker: &mut Worker<'_>, feed: &Feed) {
        for door in feed.outs() {
            let Some((port, pool)) = worker.memory_port(*door) else { continue };
            port.drain(|bytes, _| self.look(*door, bytes));
            port.reclaim(pool);
        }
    }

    fn look(&mut self, door: Door, bytes: &[u8]) {
        self.seen += 1;
        let wrong = match self.plan.check(door, bytes) {
            Ok((flow, Some(port))) if *self.ports.entry(flow).or_insert(port) != port => {
                Some(format!("flow {flow} has had outer source port {}, now {port}", self.ports[&flow]))
            }
            Ok(_) => None,
            Err(what) => Some(what),
        };
        if self.wrong.is_none() {
            self.wrong = wrong;
        }
    }

    /// Flows must differ in their outer source ports as much as random numbers would.
    pub fn spread(&self) -> Result<(), String> {
        let flows = self.ports.len() as f64;
        let expected = PORTS * (1.0 - (-flows / PORTS).exp());
        let got = self.ports.values().collect::<HashSet<_>>().len();
        if (got as f64) < SPREAD * expected {
            return Err(format!("{flows} flows have {got} outer source ports, about {expected:.0} are expected"));
        }
        Ok(())
    }
}
