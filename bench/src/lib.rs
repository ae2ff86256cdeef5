//! What the benches share: a topology, its tables, sources and sinks of frames, and a reader of profiles.

pub mod callgrind;
pub mod cloud;
pub mod frames;
pub mod host;
pub mod instructions;
pub mod load;
pub mod topo;
pub mod veth;
