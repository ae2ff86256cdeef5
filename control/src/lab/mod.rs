//! A cloud on this machine: hosts with a `dvrd` each, instances, a router and a client outside, in network namespaces.
//!
//! Knows `dvrd` by its program and its files only. `dvrctl lab` makes one to look at; the test `lab` makes many.

pub mod checks;
pub mod cloud;
pub mod command;
pub mod daemon;
pub mod down;
pub mod errors;
pub mod floating;
pub mod folder;
pub mod kernel;
pub mod netns;
pub mod paths;
pub mod physical;
pub mod process;
pub mod state;
pub mod test;
pub mod tools;
pub mod topology;
pub mod traffic;
pub mod up;
pub mod usage;
