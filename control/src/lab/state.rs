//! What is known about a lab that was left running: a file in its folder under `/run`.

use super::command::Res;
use super::kernel;
use super::process::Process;
use super::topology::{Base, Lab, Parts};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The name of a lab nobody gave a name.
pub const DEFAULT: &str = "dvrlab";

const FILE: &str = "state.json";
/// Held by whoever is at work on the lab.
const LOCK: &str = "lock";
/// Of the name, bytes.
const LONGEST_NAME: usize = 32;

/// Who does the work of host H2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// dvrd, as on H1 and H3, with physical networks, a router and a client outside
    Dvrd,
    /// the kernel: a bridge and a vxlan device for each of two networks, and a Linux router
    Kernel,
}

impl Peer {
    /// What the lab consists of.
    pub fn parts(self) -> Parts<'static> {
        match self {
            Peer::Dvrd => Parts { vms: &["A1", "B1", "V1", "A2", "B2", "V2"], outside: Some(&["A1", "B2"]) },
            // Of H2 only what is over VXLAN; floating IPs are a dvrd's.
            Peer::Kernel => Parts { vms: &["A1", "B1", "V1", "A2", "B2"], outside: Some(&["A1"]) },
        }
    }

    /// Hosts with a `dvrd`: 0 is H1.
    pub fn daemons(self) -> &'static [usize] {
        match self {
            Peer::Dvrd => &[0, 1, 2],
            Peer::Kernel => &[0, 2],
        }
    }
}

/// A `dvrd` that was left running.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Daemon {
    /// Its host: H1, H2, H3.
    pub host: String,
    /// Its process.
    #[serde(flatten)]
    pub process: Process,
    /// What it says.
    pub log: PathBuf,
    /// Its `--config`.
    pub config: PathBuf,
    /// Its `--totals`: the books, written at its end and at SIGUSR1.
    pub totals: PathBuf,
}

impl Daemon {
    /// The last lines of its log.
    pub fn last_words(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// A lab that is up, or was left half-made.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    /// Its name: namespaces are called `NAME-h1` and so on.
    pub name: String,
    /// Who H2 is.
    pub peer: Peer,
    /// All of it is there. False: it is being made, or who made it was killed.
    pub up: bool,
    /// Who made it.
    pub maker: Process,
    /// All its namespaces, also those that were not made yet.
    pub namespaces: Vec<String>,
    /// All that were started.
    pub daemons: Vec<Daemon>,
    /// The program they run.
    pub dvrd: PathBuf,
}

impl State {
    /// Of a lab that is about to be made.
    pub fn new(name: &str, peer: Peer, dvrd: &Path) -> Res<State> {
        let mut parts = peer.parts().namespaces();
        if peer == Peer::Kernel {
            parts.push(kernel::ROUTER.to_owned());
        }
        let namespaces = parts.iter().map(|part| format!("{name}-{part}")).collect();
        let (maker, daemons) = (Process::this()?, Vec::new());
        Ok(State { name: name.to_owned(), peer, up: false, maker, namespaces, daemons, dvrd: dvrd.to_owned() })
    }

    /// Reads the file; none: there is no such lab.
    pub fn read(name: &str) -> Res<Option<State>> {
        let path = folder(name).join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("{}: {e}", path.display())),
        };
        let state = serde_json::from_str(&text);
        state.map(Some).map_err(|e| format!("{}: {e}: not written by this version of dvrctl", path.display()))
    }

    /// Writes the file: the old one or the new one is there, never half of one.
    pub fn write(&self) -> Res<()> {
        let path = folder(&self.name).join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        let new = path.with_extension("new");
        let written = std::fs::write(&new, text + "\n").and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The lab this stands for, with commands' output in this folder. It stays when the value goes.
    pub fn lab(&self, base: Base) -> Res<Lab> {
        let mut lab = Lab::open(base, self.peer.parts())?;
        gateways(&mut lab, self.peer);
        Ok(lab)
    }
}

/// Where the kernel is H2, its router has another MAC there.
pub fn gateways(lab: &mut Lab, peer: Peer) {
    if peer == Peer::Kernel {
        lab.set_gateway_mac(1, kernel::router_mac(1));
    }
}

/// The folder of a lab.
pub fn folder(name: &str) -> PathBuf {
    Path::new("/run").join(name)
}

/// A name that may stand in front of a namespace's, and be a folder's.
pub fn valid_name(name: &str) -> Res<String> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with("dvrlab") && name.len() <= LONGEST_NAME && name.chars().all(good) {
        return Ok(name.to_owned());
    }
    Err(format!("must begin with dvrlab and go on with a-z, 0-9 and -, at most {LONGEST_NAME} in all"))
}

/// What `dvrctl lab` is to be told behind its command to mean this lab.
pub fn of(name: &str) -> String {
    if name == DEFAULT { String::new() } else { format!(" --name {name}") }
}

/// Makes sure that nobody else is at work on the lab while the value lives.
pub fn lock(name: &str) -> Res<File> {
    let path = folder(name).join(LOCK);
    let file = File::options().create(true).append(true).open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| format!("another `dvrctl lab` is at work on {name}: wait for its end"))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_path_and_nobody_elses() {
        for good in ["dvrlab", "dvrlab-2", "dvrlabx"] {
            assert_eq!(valid_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "lock", "dvrlab/..", "dvrlab 2", "dvrlab-aaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(valid_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_namespace_is_told_before_it_is_made() {
        let of = |peer| State::new("dvrlab", peer, Path::new("dvrd")).unwrap().namespaces.join(" ");
        let hosts = "dvrlab-h1 dvrlab-h2 dvrlab-h3 dvrlab-wires dvrlab-router dvrlab-client dvrlab-metal";
        let vms = "dvrlab-a1 dvrlab-b1 dvrlab-v1 dvrlab-a2 dvrlab-b2";
        assert_eq!(of(Peer::Dvrd), format!("{hosts} {vms} dvrlab-v2"));
        assert_eq!(of(Peer::Kernel), format!("{hosts} {vms} dvrlab-h2-router"));
    }
}
