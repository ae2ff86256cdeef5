//! Namespaces, links and neighbours of the kernel.
//!
//! [`Netns`] is a network namespace held open; [`link()`] and [`veth_peer`] ask once; [`Underlay`] follows the MAC
//! addresses of the other hosts' VTEPs for as long as it lives.
//!
//! Whatever a namespace is asked, a thread of its own moves there, asks and ends: no thread ever comes back changed.
//! The kernel answers by netlink (`net/ask.rs`); each question has a time limit.

mod addresses;
mod ask;
mod follow;
mod held;
mod holder;
mod hops;
mod link;
mod netns;
mod present;
#[cfg(test)]
pub(super) mod tests;
mod veth;

pub use addresses::{OwnAddresses, own_addresses};
pub use follow::{Underlay, UnderlayEvent};
pub use held::HeldPort;
pub use holder::{Holder, holder, withheld};
pub use hops::{NeighbourEvent, NoWay};
pub(super) use link::link_by_index;
pub use link::{Link, VethEnd, XdpProgram, link};
pub use netns::Netns;
pub use present::{Identity, present};
pub use veth::veth_peer;

/// Why the kernel could not be asked, or had no answer.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// A namespace that cannot be opened.
    #[error(
        "namespace {name}: cannot open {path}: {error}; {}", open_hint(.error)
    )]
    Open {
        /// As the configuration names it.
        name: String,
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// A namespace no thread could move to.
    #[error("namespace {name}: cannot be entered: {error}; {}", enter_hint(.error))]
    Enter {
        /// As the configuration names it.
        name: String,
        /// Why not.
        error: std::io::Error,
    },
    /// No thread to enter a namespace with.
    #[error("namespace {name}: no thread to enter it with: {error}; raise the limit on tasks (`ulimit -u`, TasksMax)")]
    Thread {
        /// As the configuration names it.
        name: String,
        /// Why not.
        error: std::io::Error,
    },
    /// There is no such interface.
    #[error("there is no interface {interface} in {netns}; `ip {}link` shows those there are", .netns.ip_option())]
    NoLink {
        /// Its name.
        interface: String,
        /// Where it was looked for.
        netns: Netns,
    },
    /// The other end of a veth is in a namespace that could not be found.
    #[error(
        "the other end of {interface} in {netns} is in a namespace that no name and no process leads to ({looked_at} looked at); give the namespace a name (`ip netns attach NAME PID`)"
    )]
    PeerNotFound {
        /// The end that is known.
        interface: String,
        /// Where it is.
        netns: Netns,
        /// Namespaces that were looked at.
        looked_at: usize,
    },
    /// The kernel refused a question or gave none of the answers expected.
    #[error("{netns}: {what}: {why}")]
    Kernel {
        /// Where it was asked.
        netns: Netns,
        /// What was asked.
        what: String,
        /// What came of it.
        why: String,
    },
}

impl NetError {
    /// The namespace is not there (`ip netns add` makes the file first and the namespace then).
    pub(super) fn is_absence(&self) -> bool {
        match self {
            NetError::Open { error, .. } => error.kind() == std::io::ErrorKind::NotFound,
            NetError::Enter { error, .. } => error.kind() == std::io::ErrorKind::InvalidInput,
            _ => false,
        }
    }

    /// This process, or the machine, has too many files open to know.
    pub(super) fn is_out_of_files(&self) -> bool {
        matches!(self, NetError::Open { error, .. } if out_of_files(error))
    }
}

fn out_of_files(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].iter().any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}

fn open_hint(error: &std::io::Error) -> &'static str {
    if out_of_files(error) {
        "raise the limit on open files (`ulimit -Hn`, LimitNOFILE)"
    } else {
        "`ip netns list` shows the names, `ls -l /proc/PID/ns/net` those of processes"
    }
}

fn enter_hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => "run as root, or with CAP_SYS_ADMIN",
        std::io::ErrorKind::InvalidInput => "the file is no network namespace; `ip netns list` shows the names",
        _ => "`ip netns list` shows the names",
    }
}
