//! What goes wrong meanwhile, one thing after the other.

use super::EXPECTED;
use super::clouds::Processes;
use crate::checks::Checks;
use crate::cloud::Name;
use crate::command::Res;
use crate::daemon::{Dvrd, Setup, books};
use crate::topology::Lab;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

/// Restarted again and again: H2. H1 and H3 run from the first to the last second.
const RESTARTED: usize = 1;
/// How long something is away.
const AWAY: Duration = Duration::from_millis(400);
/// And between two troubles.
const PAUSE: Duration = Duration::from_millis(600);

/// A kind of trouble.
type Kind<'l, S> = (&'static str, fn(&mut Trouble<'l, S>, &mut Checks) -> Res<()>);

/// See the module text.
pub struct Trouble<'l, S> {
    lab: &'l Lab,
    /// By host; they come back after each trouble.
    pub daemons: Vec<Dvrd>,
    setup: S,
    processes: Processes,
    count: usize,
    done: BTreeMap<&'static str, usize>,
    /// Lines of daemons that have ended.
    errors: Vec<String>,
}

impl<'l, S: Fn(usize) -> Setup> Trouble<'l, S> {
    const KINDS: [Kind<'l, S>; 8] = [
        ("an instance's interface goes and comes", |t, _| t.replug("B1")),
        ("the underlay's wire goes and comes", |t, _| t.flap(t.lab.wires(), "und0-h1")),
        ("dvrd ends by SIGTERM and is started again", Trouble::restart),
        ("an instance's interface is down and up", |t, _| t.flap(t.lab.host(1), "tapB2")),
        ("the NIC of a physical network goes and comes", |t, _| t.rejoin()),
        ("dvrd is killed and started again", |t, _| t.kill()),
        ("an instance's interface goes and comes", |t, _| t.replug("B2")),
        ("the underlay's NIC is down and up", |t, _| t.flap(t.lab.host(0), "und0")),
    ];

    pub fn new(lab: &'l Lab, daemons: Vec<Dvrd>, setup: S) -> Self {
        let processes = Processes::new(Mutex::new(Vec::new()));
        let trouble = Trouble { lab, daemons, setup, processes, count: 0, done: BTreeMap::new(), errors: Vec::new() };
        trouble.tell_processes();
        trouble
    }

    /// The daemons that run, always.
    pub fn processes(&self) -> Processes {
        Processes::clone(&self.processes)
    }

    fn tell_processes(&self) {
        if let Ok(mut all) = self.processes.lock() {
            *all = self.daemons.iter().filter_map(|d| d.process().ok()).collect();
        }
    }

    /// The next of them, and a pause.
    pub fn next(&mut self, checks: &mut Checks) -> Res<()> {
        let (what, kind) = Self::KINDS[self.count % Self::KINDS.len()];
        self.count += 1;
        kind(self, checks).map_err(|why| format!("{what}: {why}"))?;
        *self.done.entry(what).or_default() += 1;
        std::thread::sleep(PAUSE);
        Ok(())
    }

    fn replug(&self, vm: &'static str) -> Res<()> {
        self.lab.unplug(Name(vm))?;
        std::thread::sleep(AWAY);
        self.lab.plug(Name(vm))
    }

    fn flap(&self, ns: &crate::netns::Netns, interface: &str) -> Res<()> {
        ns.ip(&format!("link set {interface} down"))?;
        std::thread::sleep(AWAY);
        ns.ip(&format!("link set {interface} up")).map(|_| ())
    }

    fn rejoin(&self) -> Res<()> {
        self.lab.cut("prov0", RESTARTED)?;
        std::thread::sleep(AWAY);
        self.lab.join("prov0", RESTARTED, 1500)
    }

    fn restart(&mut self, checks: &mut Checks) -> Res<()> {
        let dvrd = self.daemons.remove(RESTARTED);
        self.errors.extend(dvrd.logged("ERROR"));
        let stopped = dvrd.stop()?;
        let mut quiet = Checks::quiet();
        books(&mut quiet, RESTARTED, &stopped, EXPECTED);
        for bad in quiet.bad() {
            checks.check(format!("ended: {}", bad.what), &bad.seen, false);
        }
        self.again()
    }

    fn kill(&mut self) -> Res<()> {
        let dvrd = self.daemons.remove(RESTARTED);
        self.errors.extend(dvrd.logged("ERROR"));
        dvrd.kill();
        self.again()
    }

    fn again(&mut self) -> Res<()> {
        let setup = (self.setup)(RESTARTED);
        self.daemons.insert(RESTARTED, Dvrd::start(self.lab, RESTARTED, &setup)?);
        self.tell_processes();
        Ok(())
    }

    /// How much of it there was: all kinds, else the run was too short.
    pub fn note(&self, checks: &mut Checks) {
        for (what, n) in &self.done {
            checks.note(what, format!("{n} times"));
        }
        let kinds: std::collections::BTreeSet<_> = Self::KINDS.iter().map(|(what, _)| what).collect();
        checks.check(
            "every kind of trouble",
            format!("{} of {}", self.done.len(), kinds.len()),
            self.done.len() == kinds.len(),
        );
    }

    /// No file was refused, and no error but of what was taken away.
    pub fn said(&self, checks: &mut Checks) {
        let ours = [
            "no route to it",
            "is gone; waiting for it",
            "another program",
            "tried again",
            "there is no",
            "No such device",
        ];
        let all = self.daemons.iter().flat_map(|d| d.logged("ERROR"));
        let other: Vec<String> =
            self.errors.iter().cloned().chain(all).filter(|l| !ours.iter().any(|w| l.contains(w))).collect();
        let seen = other.first().map_or("none", |l| l.trim());
        checks.check("errors in the logs, but of what was taken away", seen, other.is_empty());
    }

    /// Gives the daemons back.
    pub fn into_daemons(self) -> Vec<Dvrd> {
        self.daemons
    }
}
