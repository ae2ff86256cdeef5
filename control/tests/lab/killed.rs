//! kill -9 under traffic: the host's own traffic goes on, and dvrd is back soon.

use crate::base;
use crate::checks::Checks;
use crate::cloud::{Name, vtep};
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, books};
use crate::lifecycle::xdp;
use crate::topology::Lab;
use crate::traffic::{Flow, Tcp};
use std::time::{Duration, Instant};

/// Seconds of traffic, in which all of this happens.
const SECONDS: u64 = 20;
const BACK: Duration = Duration::from_secs(2);

pub fn killed(checks: &mut Checks) -> Res<()> {
    let lab = Lab::new(base()?, 1, &["A1", "B1", "A2", "B2"])?;
    let setup = Setup { inside: true, ..Setup::default() };
    let mut h1 = Dvrd::start(&lab, 0, &setup)?;
    let h2 = Dvrd::start(&lab, 1, &setup)?;
    lab.first_answer("A1", Name("A2"))?;

    let host =
        |from: usize, to: usize| Flow::start(&lab, lab.host(from), lab.host(to), &vtep(to), SECONDS, "-i 0.25 -b 200M");
    let (out, back) = (host(0, 1)?, host(1, 0)?);
    let vm = lab.flow("A1", Name("A2"), SECONDS, "-i 1 -b 200M")?;
    // Once with a while in between, once started again at once, while the kernel still frees the old sockets.
    for pause in [Duration::from_secs(2), Duration::ZERO] {
        std::thread::sleep(Duration::from_secs(2));
        h1.kill();
        let dead = xdp(&lab, 0)?;
        checks.check("killed: its XDP programs are gone", format!("{dead:?}"), dead.is_empty());
        std::thread::sleep(pause);
        if pause > Duration::ZERO {
            let ping = lab.ping("A1", &Name("A2").address(), 3, 56)?;
            checks.check("killed: nobody else forwards", &ping, ping.received == 0);
        }
        h1 = again(checks, &lab, &setup, pause)?;
    }
    for (what, flow) in [("H1 > H2", out), ("H2 > H1", back)] {
        if let Some(tcp) = checks.tried(format!("{what} host's own TCP"), flow.tcp()) {
            uninterrupted(checks, what, &tcp);
        }
    }
    if let Some(tcp) = checks.tried("A1 > A2 TCP", vm.tcp()) {
        // Its sender waits twice as long after each loss: on a busy machine it may come back late, but come back it must.
        let end: u64 = tcp.intervals[tcp.intervals.len().saturating_sub(3)..].iter().sum();
        checks.check("A1 > A2 TCP of before goes on after", format!("{} KB in the last 3 s", end / 1000), end > 0);
    }
    books(checks, 0, &h1.stop()?, &[]);
    books(checks, 1, &h2.stop()?, &[]);
    Ok(())
}

/// Starts it again: from exec to the first answer through it.
fn again(checks: &mut Checks, lab: &Lab, setup: &Setup, pause: Duration) -> Res<Dvrd> {
    lab.cloud("cloud.json")?; // checked before the clock runs
    let start = Instant::now();
    let mut dvrd = Dvrd::launch(lab, 0, setup)?;
    dvrd.ready()?;
    let ready = start.elapsed();
    lab.first_answer("A1", Name("A2"))?;
    let took = start.elapsed();
    let seen = format!("{:.2} s, ready after {:.2} s", took.as_secs_f32(), ready.as_secs_f32());
    checks.check(format!("started {} s later: back within 2 s", pause.as_secs()), seen, took < BACK);
    Ok(dvrd)
}

fn uninterrupted(checks: &mut Checks, what: &str, tcp: &Tcp) {
    let least = tcp.intervals.iter().min().copied().unwrap_or(0);
    let seen = format!("{} intervals of 0.25 s, the least {} KB", tcp.intervals.len(), least / 1000);
    checks.check(format!("{what} host's own TCP never stops"), seen, least > 0);
}
