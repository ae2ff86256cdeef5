//! What the benches share: a topology, its tables, and sources and sinks of frames.

pub mod frames;
pub mod host;
pub mod load;
pub mod topo;
