//! `dvrd`: the dataplane on the interfaces of a host.

pub mod config;
pub mod net;
