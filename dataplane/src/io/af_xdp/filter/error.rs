//! Why a filter is not on its interface, and what to do.

use rustix::io::Errno;
use std::fmt;
use std::io;

/// Why a filter could not be attached. Its text says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum AttachError {
    /// There is no such interface in this network namespace.
    NoInterface {
        /// The index asked for.
        ifindex: u32,
    },
    /// The kernel does not let us.
    Denied {
        /// What was refused.
        what: String,
        /// EPERM or EACCES.
        source: io::Error,
    },
    /// Another XDP program is there, and stayed.
    Busy {
        /// The interface.
        interface: String,
        /// EBUSY or EEXIST.
        source: io::Error,
    },
    /// Neither the driver nor SKB mode took the program.
    Refused {
        /// The interface.
        interface: String,
        /// The answer to native mode.
        native: io::Error,
        /// The answer to SKB mode.
        skb: io::Error,
    },
    /// Map, program or the interface's name: before any attaching.
    Prepare {
        /// What could not be done.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// What the verifier said, if it was asked.
        log: String,
    },
}

/// What is done before attaching.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Interface,
    Map,
    Program,
}

impl Step {
    fn text(self) -> &'static str {
        match self {
            Step::Interface => "find the interface",
            Step::Map => "create the XDP filter's maps (XSKMAP among them)",
            Step::Program => "load the XDP filter",
        }
    }
}

fn is(e: &io::Error, any: &[Errno]) -> bool {
    any.iter().any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
}

/// Another program is in the way: in the same mode, or (EEXIST) in the other one or on a device above.
pub(super) fn is_busy(e: &io::Error) -> bool {
    is(e, &[Errno::BUSY, Errno::EXIST])
}

pub(super) fn is_denied(e: &io::Error) -> bool {
    is(e, &[Errno::PERM, Errno::ACCESS])
}

impl AttachError {
    pub(super) fn prepare(step: Step, source: io::Error, log: String) -> AttachError {
        // EACCES with a log is the verifier's: the program is wrong, not we.
        if is_denied(&source) && log.is_empty() {
            return AttachError::Denied { what: step.text().to_owned(), source };
        }
        AttachError::Prepare { what: step.text(), source, log }
    }

    /// From the answers to native mode and, if it was tried, SKB mode.
    pub(super) fn attach(interface: &str, native: io::Error, skb: Option<io::Error>) -> AttachError {
        let interface = interface.to_owned();
        match skb {
            Some(skb) if is_busy(&skb) => AttachError::Busy { interface, source: skb },
            Some(skb) => AttachError::Refused { interface, native, skb },
            None if is_busy(&native) => AttachError::Busy { interface, source: native },
            None => AttachError::Denied { what: format!("attach the XDP filter to {interface}"), source: native },
        }
    }
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttachError::NoInterface { ifindex } => write!(
                f,
                "cannot attach the XDP filter: no interface has index {ifindex} in this network namespace; \
                 was it deleted or moved? `ip link show` lists them"
            ),
            AttachError::Denied { what, source } => write!(
                f,
                "cannot {what}: {source}; dvrd needs the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or root), in \
                 the first user namespace"
            ),
            AttachError::Busy { interface, source } => write!(
                f,
                "cannot attach the XDP filter to {interface}: {source}; another XDP program is attached to it or to \
                 a device above it (another dvrd?): `ip link show dev {interface}` names it (prog/xdp id), `bpftool \
                 link show` whose it is, `ip link set dev {interface} xdp off` removes one that is no link"
            ),
            AttachError::Refused { interface, native, skb } => write!(
                f,
                "cannot attach the XDP filter to {interface}: native mode: {native}; SKB mode: {skb}; Linux 5.18 or \
                 newer is needed, and a network device that XDP can run on"
            ),
            AttachError::Prepare { what, source, log } => {
                write!(f, "cannot {what}: {source}; Linux 5.18 or newer is needed")?;
                // The verifier's last words say why.
                let words: Vec<&str> = log.lines().rev().filter(|line| !line.is_empty()).take(3).collect();
                words.iter().rev().try_for_each(|line| write!(f, "\n  verifier: {line}"))
            }
        }
    }
}

impl std::error::Error for AttachError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AttachError::NoInterface { .. } => None,
            AttachError::Refused { native, .. } => Some(native),
            AttachError::Denied { source, .. }
            | AttachError::Busy { source, .. }
            | AttachError::Prepare { source, .. } => Some(source),
        }
    }
}
