//! What dvrd costs when there is nothing to do, and what a packet pays that comes then.

use crate::base;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::command::{Res, words};
use crate::daemon::{Dvrd, Setup};
use crate::topology::Lab;
use control::lab::usage::{Usage, median};
use std::time::{Duration, Instant};

/// Of a core, per cent.
const OF_A_CORE: f64 = 2.0;
const WATCHED: Duration = Duration::from_secs(5);
/// What a first packet may take longer on a machine that has nothing else to do; elsewhere it waits for its core, and so
/// does the one it is compared with.
const QUIET: f64 = 100.0;
const SHARED: f64 = 500.0;
/// A shared machine has bad moments.
const TRIES: usize = 4;

/// Idle with one worker and with two: all threads together take under 2 % of a core. A packet after a second of nothing takes
/// little longer than by a worker that never sleeps.
pub fn idle(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 2, &["A1", "A3", "B1"])?;
    for workers in [1, 2] {
        let h1 = Dvrd::start(&lab, 0, &Setup { inside: true, workers, ..Setup::default() })?;
        lab.first_answer("A1", Name("A3"))?;
        let best = (0..TRIES).map(|_| busy(&h1)).collect::<Res<Vec<_>>>()?.into_iter().fold(f64::MAX, f64::min);
        checks.check(
            format!("idle with {workers} workers: of a core, all threads"),
            format!("{best:.2} %"),
            best < OF_A_CORE,
        );
        h1.stop()?;
    }
    first_packet(checks, &lab)
}

/// Per cent of a core over some seconds.
fn busy(dvrd: &Dvrd) -> Res<f64> {
    std::thread::sleep(Duration::from_millis(500));
    let (process, start) = (dvrd.process()?, Instant::now());
    let before = Usage::of(&process)?.cpu;
    std::thread::sleep(WATCHED / TRIES as u32);
    let spent = Usage::of(&process)?.cpu.saturating_sub(before);
    Ok(100.0 * spent.as_secs_f64() / start.elapsed().as_secs_f64())
}

fn first_packet(checks: &mut Checks, lab: &Lab) -> Res<()> {
    let mut tries = Vec::new();
    for _ in 0..TRIES {
        let sleeps = round_trip(lab, "")?;
        let never = round_trip(lab, "idle = \"busy\"\n")?;
        tries.push((sleeps - never, sleeps, never));
        if sleeps - never < QUIET {
            break;
        }
    }
    tries.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (more, sleeps, never) = tries[0];
    let seen = format!("{more:+.0} us: median {sleeps:.0} us, {never:.0} us by a worker that never sleeps");
    checks.check(format!("a packet after 1 s of nothing, at most {SHARED} us more"), seen, more < SHARED);
    checks.note(
        "and on a quiet machine",
        format!("{QUIET} us more: {}", if more < QUIET { "so it is here" } else { "not here" }),
    );
    Ok(())
}

/// Median round trip, us, of pings a second apart between two instances of one host. `more`: lines of `[workers]`.
fn round_trip(lab: &Lab, more: &'static str) -> Res<f64> {
    let h1 = Dvrd::start(lab, 0, &Setup { inside: true, more, ..Setup::default() })?;
    lab.first_answer("A1", Name("A3"))?;
    let line = format!("ping -n -i 1 -c 6 -W 1 {}", Name("A3").address());
    let done = lab.vm("A1").command(&words(&line), Duration::from_secs(20))?;
    h1.stop()?;
    let time = |l: &str| l.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok();
    let mut all: Vec<f64> = done.out.lines().filter_map(time).map(|ms| ms * 1e3).collect();
    all.sort_by(f64::total_cmp);
    median(&all).filter(|_| all.len() == 6).ok_or_else(|| format!("pings are missing: {done}"))
}
