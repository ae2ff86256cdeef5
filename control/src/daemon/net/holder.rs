//! Who has an interface: the XDP program on it, and the processes that keep it there.

use std::fmt;
use std::path::Path;

use super::{Link, NetError, Netns, XdpProgram};
use dataplane::io::af_xdp::filter::{Withheld, program_name};

/// Whose XDP program is on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The program's id.
    pub program: u32,
    /// Its name, if the kernel tells it us.
    pub name: Option<String>,
    /// Where it runs: `native`, `SKB`, `offloaded`; `packet sockets`.
    pub mode: &'static str,
    /// Processes that hold it, each with its name: none if it hangs on the interface alone.
    pub processes: Vec<(u32, String)>,
}

impl Holder {
    /// How to make it let go.
    pub fn mend(&self, interface: &str) -> String {
        match self.processes.first() {
            Some((pid, name)) => format!("stop {name} (`kill {pid}`)"),
            None => format!(
                "`ip link set dev {interface} xdp off` takes it away, or `bpftool link detach` if it is a pinned link"
            ),
        }
    }

    /// A dvrd has it.
    pub fn is_dvrd(&self) -> bool {
        self.processes.iter().any(|(_, name)| name == "dvrd")
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.mode == PACKETS { "tc" } else { "XDP" };
        write!(f, "{kind} program {}", self.program)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        write!(f, ", {}", self.mode)?;
        let processes: Vec<String> = self.processes.iter().map(|(pid, name)| format!("{name} (pid {pid})")).collect();
        match processes.is_empty() {
            true => f.write_str(", held by no process"),
            false => write!(f, ", of {}", processes.join(" and ")),
        }
    }
}

/// The program keeps frames from the stack that packet sockets have seen.
const PACKETS: &str = "packet sockets";

/// Who has this interface by packet sockets, as a port of dvrd.
pub fn withheld(netns: &Netns, link: &Link) -> Result<Option<Holder>, NetError> {
    let program = netns.run(|| Withheld::by(link.ifindex))?;
    Ok(program.map(|id| program_of(id, PACKETS)))
}

/// Who has this interface; `None` if there is no XDP program on it.
pub fn holder(link: &Link) -> Option<Holder> {
    let XdpProgram { id, mode } = link.xdp?;
    Some(program_of(id, mode))
}

/// Whose BPF program this is, and where it runs.
fn program_of(id: u32, mode: &'static str) -> Holder {
    let name = program_name(id).ok().filter(|name| !name.is_empty());
    Holder { program: id, name, mode, processes: processes(Path::new("/proc"), id) }
}

/// Processes with a descriptor of the program, or of a link that attaches it: both say so in `fdinfo` (`prog_id:`). Those
/// that may not be looked at are left out.
fn processes(proc: &Path, program: u32) -> Vec<(u32, String)> {
    let line = |l: &str| l.strip_prefix("prog_id:").is_some_and(|id| id.trim().parse() == Ok(program));
    let holds = |process: &Path| {
        let files = std::fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten();
        files.map(|f| f.path()).any(|f| std::fs::read_to_string(f).is_ok_and(|text| text.lines().any(line)))
    };
    let all = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let mut found: Vec<(u32, String)> = all
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let process = entry.path();
            let name = || std::fs::read_to_string(process.join("comm")).map(|name| name.trim().to_owned());
            holds(&process).then(|| (pid, name().unwrap_or_default()))
        })
        .collect();
    found.sort();
    found
}
