//! What became of one frame, as an explanation: the stages it passed, what each found and changed, and how it ended.
//!
//! The pipeline leaves [`TraceRecord`]s, which are numbers. Here they become sentences, with the rows' resources by
//! name. Nothing is worked out a second time: a sentence says what a record says, and adds only what the record
//! implies or the cloud file tells about the addresses in it.

mod drops;
mod print;
mod stages;
mod words;

use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;
use dataplane::trace::{Note, TraceRecord};
use serde::Serialize;

use crate::frame_text::Decoded;
use crate::host::Host;

pub(crate) use print::wrap_under;
use words::Words;

/// A traced frame's way through one host.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The host.
    pub host: String,
    /// The port it was received on.
    pub port: String,
    /// The frame as received, in one line.
    pub frame: String,
    /// The stages that have something to say, in order.
    pub steps: Vec<Step>,
    /// How the frame, its copies and the answers to it ended.
    pub outcome: Vec<Ending>,
}

/// One stage.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its name in dvrd.
    pub stage: &'static str,
    /// What it replaces in Neutron.
    pub neutron: &'static str,
    /// What it found: rows and what they mean.
    pub found: Vec<String>,
    /// What it changed in the frame.
    pub changed: Vec<Changed>,
}

/// A change of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Which.
    pub field: &'static str,
    /// What it was, with whom that means.
    pub from: String,
    /// What it became.
    pub to: String,
}

/// One end.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "fate", rename_all = "lowercase")]
pub enum Ending {
    /// A frame was sent.
    Sent {
        /// By this port.
        port: String,
        /// For whom.
        to: String,
        /// In one line.
        frame: String,
        /// As hexadecimal digits.
        bytes: String,
    },
    /// A frame was dropped.
    Dropped {
        /// Where.
        stage: &'static str,
        /// The reason operators see in counters.
        reason: &'static str,
        /// What it means.
        meaning: &'static str,
        /// The rules that say so.
        rule: &'static str,
    },
    /// A frame ended because its purpose was served.
    Consumed {
        /// Where.
        stage: &'static str,
    },
}

/// Runs one frame through the host called `at` and explains what it did; also returns the frames sent, with their
/// ports. `now` is the frame's time.
pub fn trace(
    host: &mut Host<'_>,
    at: &str,
    port: &str,
    frame: &[u8],
    now: u64,
) -> (Explanation, Vec<(String, Vec<u8>)>) {
    host.set_trace(true);
    host.receive(port, frame, now, 1);
    host.settle(now);
    let records = host.take_trace();
    host.set_trace(false);
    let mut sent = Vec::new();
    host.drain_sent(&mut |port, bytes, _| sent.push((port.to_owned(), bytes.to_vec())));
    (explain(host, at, port, frame, &records, &sent), sent)
}

/// Explains the records of one frame, with the frames it caused.
pub fn explain(
    host: &Host<'_>,
    at: &str,
    port: &str,
    frame: &[u8],
    records: &[TraceRecord],
    sent: &[(String, Vec<u8>)],
) -> Explanation {
    let vxlan_port = host.cloud().settings.vxlan_port;
    let decoded = Decoded::of(frame, vxlan_port);
    let words = Words::new(host, at, port, records);
    let steps = stages::Tale::new(&words, port, &decoded).steps(records);
    let line = |bytes: &[u8]| Decoded::of(bytes, vxlan_port).line();
    let mut outs = records.iter().filter_map(|r| match r.note {
        Note::Sent(out) => Some(out),
        _ => None,
    });
    let mut outcome: Vec<Ending> = sent
        .iter()
        .map(|(port, bytes)| Ending::Sent {
            port: port.clone(),
            to: outs.next().map_or_else(|| format!("port {port}"), |out| words.out(out)),
            frame: line(bytes),
            bytes: bytes.iter().map(|b| format!("{b:02x}")).collect(),
        })
        .collect();
    outcome.extend(records.iter().filter_map(|r| ending(r.stage, r.note)));
    Explanation { host: at.to_owned(), port: port.to_owned(), frame: decoded.line(), steps, outcome }
}

fn ending(stage: Stage, note: Note) -> Option<Ending> {
    match note {
        Note::Dropped(reason) => Some(dropped(stage, reason)),
        Note::Consumed => Some(Ending::Consumed { stage: stage.name() }),
        _ => None,
    }
}

fn dropped(stage: Stage, reason: DropReason) -> Ending {
    let (reason, meaning, rule) = (reason.name(), reason.meaning(), reason.rule());
    Ending::Dropped { stage: stage.name(), reason, meaning, rule }
}
