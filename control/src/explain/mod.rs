//! What became of one frame, as an explanation: the stages it passed, what each found and changed, and how it ended.
//!
//! The pipeline leaves [`TraceRecord`]s, which are numbers. Here they become sentences, with the rows' resources by
//! name. Nothing is worked out a second time: a sentence says what a record says, and adds only what the record
//! implies or the cloud file tells about the addresses in it.

mod drops;
pub mod page;
mod print;
pub mod reasons;
mod stages;
mod words;

use dataplane::burst::Out;
use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;
use dataplane::trace::{Note, TraceRecord};
use serde::Serialize;

use crate::frame_text::{Decoded, Outer};
use crate::host::{Host, TUNNEL};

pub(crate) use print::wrap_under;
use words::Words;

/// A traced frame's way through one host.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The host.
    pub host: String,
    /// The port it was received on.
    pub port: String,
    /// If it came as a VXLAN packet, what is outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outer: Option<String>,
    /// The frame as received, without the outside, in one line.
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
        /// On the fabric: to this host.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// If it is a VXLAN packet, what is outside.
        #[serde(skip_serializing_if = "Option::is_none")]
        outer: Option<String>,
        /// The frame without the outside, in one line.
        frame: String,
        /// All of it as hexadecimal digits.
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
        /// The rules of docs/behaviour.md that say so.
        rule: &'static str,
    },
    /// A frame ended because its purpose was served.
    Consumed {
        /// Where.
        stage: &'static str,
    },
    /// The frame is held until somebody answers for its next hop.
    Waits {
        /// The next hop.
        neighbour: std::net::Ipv4Addr,
    },
    /// The frame is held until the MAC of the way to another host is known.
    Unresolved {
        /// The host.
        to: String,
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
    let before = host.totals().drops;
    host.set_trace(true);
    host.receive(port, frame, now, 1);
    host.settle(now);
    let records = host.take_trace();
    host.set_trace(false);
    let mut sent = Vec::new();
    host.drain_sent(&mut |port, bytes, _| sent.push((port.to_owned(), bytes.to_vec())));
    let mut explanation = explain(host, at, port, frame, &records, &sent);
    if records.is_empty() {
        // The port did not even take it in, so no stage saw it; only the count tells why.
        let more = |r: &&DropReason| host.totals().drops.get(r.name()) > before.get(r.name());
        explanation.outcome.extend(DropReason::ALL.iter().find(more).map(|r| Ending::Dropped {
            stage: Stage::Ingress.name(),
            reason: r.name(),
            meaning: r.meaning(),
            rule: r.rule(),
        }));
    }
    (explanation, sent)
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
    let (steps, ends) = stages::Tale::new(&words, port, &decoded).tell(records);
    // Frames for the fabric leave by one port in the order of their records.
    let mut hosts = records.iter().filter_map(|r| match r.note {
        Note::Sent(out @ Out::Tunnel(_)) => Some(words.out(out)),
        _ => None,
    });
    let mut outcome: Vec<Ending> = sent
        .iter()
        .map(|(port, bytes)| {
            let (outer, frame) = lines(&Decoded::of(bytes, vxlan_port));
            let to = if port == TUNNEL { hosts.next() } else { None };
            let bytes = bytes.iter().map(|b| format!("{b:02x}")).collect();
            Ending::Sent { port: port.clone(), to, outer, frame, bytes }
        })
        .collect();
    // Of a frame that has gone on since, only how it ended then counts.
    let waits = matches!(records.last(), Some(TraceRecord { note: Note::Waits(_), .. }));
    outcome.extend(ends.into_iter().filter(|end| waits || !matches!(end, Ending::Waits { .. })));
    let (outer, frame) = lines(&decoded);
    Explanation { host: at.to_owned(), port: port.to_owned(), outer, frame, steps, outcome }
}

/// What is outside of a VXLAN packet, and the frame.
fn lines(frame: &Decoded) -> (Option<String>, String) {
    (frame.outer.as_ref().map(Outer::line), frame.inner.line())
}
