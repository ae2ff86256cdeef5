//! `dvrd` on the lab's hosts: its files, its life, its books.

use super::checks::Checks;
use super::command::{Done, Proc, Res};
use super::process::Process;
use super::topology::{CLOUD, Lab};
use crate::daemon::config::PortIo;
use rustix::process::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A daemon tells its books within this.
const BOOKS: Duration = Duration::from_secs(5);

/// How `dvrd` is started.
pub struct Setup {
    /// Worker threads.
    pub workers: usize,
    /// In the host's namespace, with the interfaces' usual names; otherwise outside, and the file names namespaces.
    pub inside: bool,
    /// The underlay's interface.
    pub interface: &'static str,
    /// Words in front of the program.
    pub under: &'static [&'static str],
    /// It may outlive this program: all it says goes to [`log`].
    pub stays: bool,
    /// The cloud file, in the lab's folder.
    pub cloud: &'static str,
    /// By what it takes the interfaces of ports.
    pub port_io: PortIo,
    /// Further lines of `[workers]`.
    pub more: &'static str,
    /// Physical networks and the interface of each; none: the lab's own.
    pub physical: Option<&'static [(&'static str, &'static str)]>,
}

impl Default for Setup {
    fn default() -> Setup {
        let (port_io, physical) = (PortIo::Auto, None);
        Setup {
            workers: 1,
            inside: false,
            interface: "und0",
            under: &[],
            stays: false,
            cloud: CLOUD,
            port_io,
            more: "",
            physical,
        }
    }
}

/// A running `dvrd`, killed with the value.
pub struct Dvrd {
    proc: Proc,
    host: usize,
    totals: PathBuf,
}

/// What `dvrd` left when it was stopped.
pub struct Stopped {
    /// Exit status and output.
    pub done: Done,
    /// Its `--totals`.
    pub totals: Value,
    /// From SIGTERM to its end.
    pub took: Duration,
}

/// The file in the lab's folder that a host's `dvrd.toml` is.
pub fn config(host: usize) -> String {
    format!("h{}.toml", host + 1)
}

/// The file in the lab's folder its books go to.
pub fn totals(host: usize) -> String {
    format!("h{}-totals.json", host + 1)
}

/// The file in the lab's folder it says things to, if it is to stay.
pub fn log(host: usize) -> String {
    format!("h{}.log", host + 1)
}

impl Dvrd {
    /// Starts the program and does not wait for it.
    pub fn launch(lab: &Lab, host: usize, setup: &Setup) -> Res<Dvrd> {
        let (config, totals) = (lab.path(&config(host)), lab.path(&totals(host)));
        let write = |path: &PathBuf, text: String| std::fs::write(path, text).map_err(|e| e.to_string());
        write(&config, config_text(lab, host, setup))?;
        let _ = std::fs::remove_file(&totals);
        let text = |path: &PathBuf| path.display().to_string();
        let mut argv: Vec<String> = setup.under.iter().map(|w| (*w).to_owned()).collect();
        let program = text(&lab.base().dvrd);
        argv.extend(
            [&program, "--config", &text(&config), "--cloud", &lab.cloud(setup.cloud)?, "--totals", &text(&totals)]
                .map(str::to_owned),
        );
        let argv = if setup.inside { lab.host(host).inside(&argv) } else { argv };
        let proc = match setup.stays {
            true => Proc::daemon(&lab.path(&log(host)), &argv)?,
            false => Proc::start(&lab.path(""), &argv)?,
        };
        Ok(Dvrd { proc, host, totals })
    }

    /// Starts the program and waits until it is ready.
    pub fn start(lab: &Lab, host: usize, setup: &Setup) -> Res<Dvrd> {
        let mut dvrd = Dvrd::launch(lab, host, setup)?;
        dvrd.ready()?;
        Ok(dvrd)
    }

    /// Waits for the line that says so.
    pub fn ready(&mut self) -> Res<()> {
        self.proc.until("dvrd: ready", Duration::from_secs(10))
    }

    /// Its process.
    pub fn process(&self) -> Res<Process> {
        self.proc.process()
    }

    /// From now on it lives on when the value goes.
    pub fn let_go(&mut self) {
        self.proc.let_go();
    }

    /// What it has said on standard output.
    pub fn said(&self) -> String {
        self.proc.printed()
    }

    /// What it says at start.
    pub fn banner(&self, checks: &Checks) {
        let host = self.host + 1;
        self.proc.printed().lines().for_each(|line| checks.note(format!("H{host} says"), line));
    }

    /// The lines of its log with these words.
    pub fn logged(&self, words: &str) -> Vec<String> {
        self.proc.logged().lines().filter(|l| l.contains(words)).map(str::to_owned).collect()
    }

    /// Its books now.
    pub fn books(&self) -> Res<Value> {
        tell(&self.process()?, &self.totals)?
            .ok_or_else(|| format!("H{}: no books: {}", self.host + 1, self.proc.logged()))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) -> Res<()> {
        self.proc.signal(name)
    }

    /// Waits for its end without asking for it.
    pub fn ends(self, limit: Duration) -> Res<Done> {
        self.proc.wait(limit)
    }

    /// SIGKILL, and waits until the kernel has buried it.
    pub fn kill(self) {
        drop(self.proc);
    }

    /// SIGTERM; it has 5 s.
    pub fn stop(self) -> Res<Stopped> {
        let start = Instant::now();
        self.proc.signal("TERM")?;
        let done = self.proc.wait(Duration::from_secs(5))?;
        let took = start.elapsed();
        let text = std::fs::read_to_string(&self.totals).map_err(|e| format!("no --totals: {e}; {done}"))?;
        let totals = serde_json::from_str(&text).map_err(|e| format!("--totals: {e}: {text}"))?;
        Ok(Stopped { done, totals, took })
    }
}

/// Asks a running daemon for its books, which it writes to this file; none: it does not tell them.
pub fn tell(process: &Process, totals: &Path) -> Res<Option<Value>> {
    let _ = std::fs::remove_file(totals);
    if !process.signal(Signal::USR1)? {
        return Ok(None);
    }
    let end = Instant::now() + BOOKS;
    while Instant::now() < end {
        // The file is put there whole.
        if let Ok(text) = std::fs::read_to_string(totals) {
            return serde_json::from_str(&text).map(Some).map_err(|e| format!("{}: {e}", totals.display()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

fn config_text(lab: &Lab, host: usize, setup: &Setup) -> String {
    let netns = if setup.inside { String::new() } else { format!("netns = \"{}\"\n", lab.host(host).name()) };
    let (port_io, interface) = (setup.port_io.word(), setup.interface);
    let mut text = format!("host = \"H{}\"\nport_io = \"{port_io}\"\n", host + 1);
    text += &format!("\n[underlay]\ninterface = \"{interface}\"\n{netns}");
    text += &format!("\n[workers]\ncount = {}\n{}", setup.workers, setup.more);
    for (name, interface) in setup.physical.unwrap_or(lab.physical()) {
        text += &format!("\n[[physical_networks]]\nname = \"{name}\"\ninterface = \"{interface}\"\n{netns}");
    }
    // Inside, a port has the interface Nova would give it: it need not be named.
    for vm in lab.vms_of(host).filter(|_| !setup.inside) {
        text += &format!("\n[[ports]]\nport = \"{}\"\ninterface = \"{}\"\n{netns}", vm.0, vm.tap());
    }
    text
}

/// A drop reason that may show up, and why.
pub type Expected<'e> = &'e [(&'e str, &'e str)];

/// The books of a stopped `dvrd`: balanced, every buffer home, no drop that is not expected.
pub fn books(checks: &mut Checks, host: usize, stopped: &Stopped, expected: Expected<'_>) {
    let (t, name) = (&stopped.totals, format!("H{}", host + 1));
    checks.check(format!("{name} ends by SIGTERM"), exit(stopped), stopped.done.status == Some(0));
    let balance = Balance::of(t);
    checks.check(format!("{name} books balance"), &balance.books, balance.even);
    checks.check(format!("{name} buffers all home"), &balance.buffers, balance.all_home);
    drops(checks, &name, t, expected);
    let counters = t["counters"].as_object().into_iter().flatten().filter(|(_, n)| n.as_u64() != Some(0));
    let seen = counters.map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(", ");
    checks.note(format!("{name} other counters"), if seen.is_empty() { "none".to_owned() } else { seen });
}

/// The last books of a `dvrd`: all that came is accounted for.
pub struct Balance {
    /// What came = what became of it.
    pub books: String,
    /// Both sides are one number, and not 0.
    pub even: bool,
    /// Packet buffers that are free.
    pub buffers: String,
    /// All are.
    pub all_home: bool,
}

impl Balance {
    /// Reads what `--totals` left.
    pub fn of(totals: &Value) -> Balance {
        let keys =
            ["received", "generated", "copied", "taken_over", "sent", "dropped", "consumed", "held", "handed_over"];
        let numbers: Vec<Option<u64>> = keys.iter().map(|k| totals[k].as_u64()).collect();
        let word = |(k, n): (&&str, &Option<u64>)| n.map_or(format!("{k} missing"), |n| format!("{k} {n}"));
        let words = keys.iter().zip(&numbers).map(word).collect::<Vec<_>>();
        let sum = |part: &[Option<u64>]| part.iter().copied().sum::<Option<u64>>();
        let (came, went) = (sum(&numbers[..4]), sum(&numbers[4..]));
        let (free, total) = (totals["frames"]["free"].as_u64(), totals["frames"]["total"].as_u64());
        Balance {
            books: format!("{} = {}", words[..4].join(" + "), words[4..].join(" + ")),
            even: came == went && came > Some(0),
            buffers: format!("{} of {} free", free.unwrap_or(0), total.unwrap_or(0)),
            all_home: free == total && total > Some(0),
        }
    }
}

fn exit(stopped: &Stopped) -> String {
    let status = stopped.done.status.map_or("by a signal".to_owned(), |s| format!("exit status {s}"));
    let err = if stopped.done.status == Some(0) { "" } else { stopped.done.err.trim_end() };
    format!("{status} after {:.2} s {err}", stopped.took.as_secs_f32())
}

/// No drop of these books that is not expected.
pub fn drops(checks: &mut Checks, name: &str, totals: &Value, expected: Expected<'_>) {
    let Some(drops) = totals["drops"].as_object() else {
        return checks.check(format!("{name} --totals has drops"), totals, false);
    };
    for (reason, n) in drops.iter().filter(|(_, n)| n.as_u64() != Some(0)) {
        match expected.iter().find(|(known, _)| known == reason) {
            Some((_, why)) => checks.note(format!("{name} dropped as expected"), format!("{reason} {n}: {why}")),
            None => checks.check(format!("{name} drops nothing else"), format!("{reason} {n}: not expected"), false),
        }
    }
    let sum: u64 = drops.values().filter_map(Value::as_u64).sum();
    checks.check(format!("{name} every drop has a reason"), format!("{sum}"), Some(sum) == totals["dropped"].as_u64());
}
