//! The OpenFlow oracle: random frames through dvrd and through a literal interpreter of the flows, rules, routes,
//! neighbours and NAT that Neutron's own agents made for the same cloud. docs/testing.md says how to read it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod check;
mod cloud;
mod departures;
mod dump;
mod flow;
mod frames;
mod ip;
mod netns;
mod packet;
mod report;
mod router;
mod seed;
mod switch;
mod world;

use check::{Counts, Dump};
use cloud::Facts;
use frames::Recipe;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use world::World;

/// Frames in one run on a fresh host: what is learned in it matters to those behind.
const RUN: usize = 500;

fn frames() -> u64 {
    std::env::var("ORACLE_FRAMES").map_or(100_000, |n| n.parse().expect("ORACLE_FRAMES is a number"))
}

fn compare(dump: &Dump) {
    let start = std::time::Instant::now();
    let cases = frames().div_ceil(RUN as u64) as u32;
    let config = Config { cases, max_shrink_iters: 4000, failure_persistence: None, ..Config::default() };
    let seed: [u8; 32] = std::array::from_fn(|n| dump.name.as_bytes().get(n).copied().unwrap_or(n as u8));
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let counts = std::cell::RefCell::new(Counts::default());
    let recipes = prop::collection::vec(any::<Recipe>(), RUN);
    let result = runner.run(&recipes, |recipes| {
        let mut these = Counts::default();
        check::run(dump, &recipes, &mut these).map_err(TestCaseError::fail)?;
        counts.borrow_mut().add(these);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    report::report(dump, &counts.into_inner(), start.elapsed());
}

fn captured(host: &'static str, flood_unknown: Option<bool>) -> Dump {
    let cloud = cloud::captured(flood_unknown);
    let facts = Facts::of(&cloud, host);
    Dump { name: host, cloud, facts, world: World::captured, is_seed: false }
}

#[test]
fn seed() {
    let cloud = cloud::seed();
    let facts = Facts::of(&cloud, "compute1");
    compare(&Dump { name: "seed", cloud, facts, world: World::seed, is_seed: true });
}

#[test]
fn compute1() {
    compare(&captured("compute1", Some(true)));
}

#[test]
fn compute2() {
    compare(&captured("compute2", None));
}

#[test]
fn network1() {
    compare(&captured("network1", Some(true)));
}
