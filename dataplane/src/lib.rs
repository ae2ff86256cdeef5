//! The dataplane: everything a worker thread touches. No sockets to the control side, no
//! allocation after start, no lock, no log.
//!
//! Start reading at [`pipeline::process_burst`]: one straight line from ingress to egress. The
//! rules it follows are in `docs/behaviour.md`, by the ids each stage names.
//!
//! | module | what |
//! |---|---|
//! | [`pipeline`] | the line of stages |
//! | [`stage`] | one file per stage, named after the Neutron table it replaces |
//! | [`burst`] | up to 64 frames as a structure of arrays, and lane masks |
//! | [`tables`] | what workers read: snapshot, flat tables, grace periods |
//! | [`worker`], [`umem`], [`io`] | who owns what: workers, frames, ports |
//! | [`handoff`] | frames to ports of other workers, and their buffers home |
//! | [`drop_reason`], [`counters`], [`trace`], [`drop_tap`], [`stage_clock`] | what became of each packet, and how long it took |
//! | [`learn`] | what workers report |
//! | [`flood`], [`police`], [`parking`], [`told`] | bounds of floods, rate limits, packets that wait, errors |
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod addr;
pub mod burst;
pub mod counters;
pub mod drop_reason;
pub mod drop_tap;
pub mod flood;
pub mod handoff;
pub mod io;
pub mod learn;
pub mod parking;
pub mod pipeline;
pub mod police;
mod prefetch;
pub mod stage;
pub mod stage_clock;
mod sync;
pub mod tables;
#[cfg(test)]
mod testkit;
pub mod told;
pub mod trace;
pub mod umem;
pub mod wire;
pub mod worker;
