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
mod named;
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
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use world::World;

/// Frames in one run on a fresh host: what is learned in it matters to those behind.
const RUN: usize = 500;

/// Of the random numbers: the dump's name and `ORACLE_SEED`.
fn seed(name: &str) -> [u8; 32] {
    let more: u64 = std::env::var("ORACLE_SEED").map_or(0, |n| n.parse().expect("ORACLE_SEED is a number"));
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&more.to_be_bytes());
    seed[8..].iter_mut().zip(name.bytes()).for_each(|(s, b)| *s = b);
    seed
}

/// How many frames for each dump.
fn frames() -> u64 {
    std::env::var("ORACLE_FRAMES").map_or(100_000, |n| n.parse().expect("ORACLE_FRAMES is a number"))
}

/// Runs until enough frames agreed; the first run in which they do not is cut down to what shows it.
fn compare(dump: &Dump) {
    let start = std::time::Instant::now();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed(dump.name));
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = prop::collection::vec(any::<Recipe>(), RUN);
    let mut counts = Counts::default();
    while counts.frames < frames() {
        let recipes = strategy.new_tree(&mut runner).expect("recipes are drawn without conditions").current();
        if check::run(dump, &recipes, &mut counts).is_err() {
            panic!("{}", shortest(dump, recipes));
        }
    }
    report::report(dump, &counts, start.elapsed());
}

/// What a run that fails says after every frame that is not needed for it has been left out.
fn shortest(dump: &Dump, mut recipes: Vec<Recipe>) -> String {
    let failure = |recipes: &[Recipe]| check::run(dump, recipes, &mut Counts::default()).err();
    let mut why = failure(&recipes).expect("the run failed a moment ago");
    let mut chunk = recipes.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < recipes.len() {
            let mut fewer = recipes.clone();
            fewer.drain(at..(at + chunk).min(recipes.len()));
            match failure(&fewer) {
                Some(still) => (why, recipes) = (still, fewer),
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    why
}

fn captured(host: &'static str, letter: char, flood_unknown: Option<bool>) -> Dump {
    let cloud = cloud::captured(flood_unknown);
    let facts = Facts::of(&cloud, host);
    Dump { name: host, letter, cloud, facts, world: World::captured, is_seed: false }
}

/// What is wrong in dvrd's cloud and not in the dumps.
type Wrong = (&'static str, fn(&mut control::model::Cloud));

fn port(cloud: &mut control::model::Cloud, mac: u64) -> &mut control::model::Port {
    cloud.ports.values_mut().find(|p| p.mac_address.to_u64() == mac).expect("a port of the captures")
}

const A2: u64 = 0xfa16_3e1d_d2b3;
const GATEWAY_OF_B: u64 = 0xfa16_3ea5_13e3;

/// The control experiment: whatever is wrong with dvrd's rows is noticed.
#[test]
fn a_wrong_cloud_is_noticed() {
    let wrong: [Wrong; 7] = [
        ("a remote port's host", |c| port(c, A2).binding_host_id = Some("network1".to_owned())),
        ("a remote port's MAC", |c| port(c, A2).mac_address = "fa:16:3e:1d:d2:b4".parse().unwrap()),
        ("a remote port's address", |c| port(c, A2).fixed_ips[0].ip_address = "10.1.0.109".parse().unwrap()),
        ("a router's MAC", |c| port(c, GATEWAY_OF_B).mac_address = "fa:16:3e:a5:13:e4".parse().unwrap()),
        ("a host's DVR MAC", |c| c.hosts.get_mut("compute2").unwrap().dvr_mac = "fa:16:3f:4c:e7:51".parse().ok()),
        ("a floating IP", |c| {
            let fips = c.floatingips.values_mut();
            fips.for_each(|f| f.floating_ip_address = "203.0.113.140".parse().unwrap());
        }),
        ("an MTU", |c| c.networks.values_mut().filter(|n| n.mtu == 1450).for_each(|n| n.mtu = 1449)),
    ];
    for (what, change) in wrong {
        let mut dump = captured("compute1", '1', Some(true));
        change(&mut dump.cloud);
        let mut runner =
            TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
        let strategy = prop::collection::vec(any::<Recipe>(), RUN);
        let mut run = || {
            let recipes = strategy.new_tree(&mut runner).expect("recipes are drawn without conditions").current();
            check::run(&dump, &recipes, &mut Counts::default())
        };
        assert!((0..20).any(|_| run().is_err()), "{what} is wrong, and nobody noticed in {} frames", 20 * RUN);
    }
}

#[test]
fn seed_flows() {
    let cloud = cloud::seed();
    let mut facts = Facts::of(&cloud, "compute1");
    (facts.phys, facts.fg) = (None, None); // the seed has no dump of br-ex
    compare(&Dump { name: "seed", letter: 's', cloud, facts, world: World::seed, is_seed: true });
}

#[test]
fn compute1() {
    compare(&captured("compute1", '1', Some(true)));
}

#[test]
fn compute2() {
    compare(&captured("compute2", '2', None));
}

#[test]
fn network1() {
    compare(&captured("network1", 'n', Some(true)));
}
