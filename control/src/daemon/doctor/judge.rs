//! Findings of facts. Nothing is asked of the machine here: what a fact means can be tested without one.

mod interface;
mod numa;
mod process;

pub use interface::{XDP, interface, mtu, not_there};
pub use process::process;
