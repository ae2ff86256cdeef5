//! Fuzz targets. Each function here takes the bytes libFuzzer made up and panics on a finding; the programs
//! in `fuzz_targets/` only hand them over. `./run` builds and runs them; docs/testing.md says how.
//!
//! | target | input | what must hold |
//! |---|---|---|
//! | [`burst`] | frames at the doors of a host ([`input`]) | accounting, until the clock has ended all that waits; the same with bursts of 1, of 64 and with three workers; [`check`] of every frame sent |
//! | [`explain`] | the same | `dvrctl trace` has words for every way a frame can go |
//! | [`decode`], [`vxlan`] | a frame | the parsers of the dataplane and etherparse read the same |
//! | [`icmp`], [`nat`], [`fragment`] | a frame | answers as etherparse reads them; translated in the right bytes and back; pieces that are together the packet |
//! | [`cloud_json`], [`cloud_toml`] | a cloud file | refused with words, or rows and tables for every host |
//! | [`change`] | batches, one a line | refused ones change nothing; what waited comes back; after the rest a host is as a fresh one |
//! | [`events`] | an events file | as `dvrctl replay` reads and runs it |
//! | [`capture`] | pcap, pcapng, gzip | frames or faults, and never more memory than the file warrants |
//! | [`frame_text`] | a frame | one printable line |

#[cfg(test)]
use libfuzzer_sys as _; // what the coverage flags of ./run call

mod captures;
pub mod check;
mod clouds;
pub mod facts;
mod headers;
pub mod input;
pub mod packet;
mod parsers;
pub mod random;
pub mod tree;
pub mod world;

pub use captures::{capture, frame_text};
pub use clouds::{change, cloud_json, cloud_toml, events};
pub use headers::{fragment, icmp, nat};
pub use parsers::{decode, vxlan};

/// The cloud all fixtures start from.
pub const REFERENCE: &str = include_str!("../../../pcap-fixtures/T/cloud.json");

/// Frames at the doors of a host, in bursts of 1 and of 64.
pub fn burst(data: &[u8]) {
    let input = input::Input::decode(data);
    world::with(input.variant, |world| world.all(&input));
}

/// The same frames, each traced and put into words.
pub fn explain(data: &[u8]) {
    let input = input::Input::decode(data);
    world::with(input.variant, |world| world.explain(&input));
}
