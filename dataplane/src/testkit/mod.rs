//! What tests of the pipeline need: fixture T of the specification as rows ([`fixture`]), frames
//! ([`frames`]), and a worker on memory ports whose every counter is watched ([`rig`]).
//! What tests on real interfaces need: a network namespace ([`netns`]).
//!
//! Everything here uses the crate's public interface only, so that tests inside the crate and the
//! integration tests share it.

pub mod fixture;
pub mod frames;
pub mod netns;
pub mod rig;
pub mod team;

pub use fixture::*;
pub use frames::*;
pub use netns::Netns;
pub use rig::{Rig, Room};
pub use team::Team;
