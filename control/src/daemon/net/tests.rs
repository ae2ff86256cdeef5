//! In namespaces of their own, with `ip` as the other side. Skipped, by name, without root.

mod addresses;
mod follow;
pub(in crate::daemon) mod lab;
mod link;
mod netns;
mod veth;
