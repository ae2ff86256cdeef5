//! A network namespace held open.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::NetError;

/// Where `ip netns` keeps its names.
pub(super) const NAMES: &str = "/var/run/netns";

/// A network namespace, open: it can be entered for as long as this lives, whatever becomes of its name.
#[derive(Clone, Debug)]
pub struct Netns {
    file: Arc<File>,
    name: Name,
    /// Device and inode, which tell namespaces apart.
    id: (u64, u64),
}

#[derive(Clone, Debug)]
enum Name {
    Own,
    Named(String),
    Path(PathBuf),
}

impl Netns {
    /// Opens one: a name under `/var/run/netns`; with a `/` in it, a path (`/proc/PID/ns/net`, a bind mount); `None`:
    /// that of the calling thread. Fails where it is not there, is no network namespace, or may not be entered.
    pub fn open(spec: Option<&str>) -> Result<Netns, NetError> {
        let name = match spec {
            None => Name::Own,
            Some(path) if path.contains('/') => Name::Path(PathBuf::from(path)),
            Some(name) => Name::Named(name.to_owned()),
        };
        let netns = Netns::at(name)?;
        netns.run(|| ())?;
        Ok(netns)
    }

    /// One at a path, by its name if it has that under `/var/run/netns`; not entered yet.
    pub(super) fn at_path(path: PathBuf) -> Result<Netns, NetError> {
        let named = path.strip_prefix(NAMES).ok().and_then(|n| n.to_str()).map(str::to_owned);
        Netns::at(named.map_or(Name::Path(path), Name::Named))
    }

    fn at(name: Name) -> Result<Netns, NetError> {
        use std::os::unix::fs::MetadataExt;
        let path = match &name {
            Name::Own => PathBuf::from("/proc/thread-self/ns/net"),
            Name::Named(n) => PathBuf::from(NAMES).join(n),
            Name::Path(path) => path.clone(),
        };
        let opened = File::open(&path).and_then(|f| Ok((f.metadata()?, f)));
        let (meta, file) = opened.map_err(|error| NetError::Open {
            name: name.to_string(),
            path: path.display().to_string(),
            error,
        })?;
        Ok(Netns { file: Arc::new(file), name, id: (meta.dev(), meta.ino()) })
    }

    /// Runs `f` in the namespace and gives what it returned. It runs in a thread of its own, which moves there before
    /// and ends after; a panic of `f` goes on in the caller. Fails without a thread, and where the namespace may not be entered.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> Result<R, NetError> {
        std::thread::scope(|scope| {
            let there = std::thread::Builder::new().spawn_scoped(scope, || self.enter().map(|()| f()));
            let there = there.map_err(|error| NetError::Thread { name: self.name.to_string(), error })?;
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves the calling thread there, for good: only for a thread that ends there.
    ///
    /// A thread that is there already stays, which needs no privilege.
    pub(super) fn enter(&self) -> Result<(), NetError> {
        if Netns::at(Name::Own).is_ok_and(|here| here == *self) {
            return Ok(());
        }
        move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|e| NetError::Enter { name: self.name.to_string(), error: e.into() })
    }

    /// The number of its descriptor, for netlink attributes.
    pub(super) fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Device and inode of the namespace: the same for two that are one.
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    /// `-n NAME ` where `ip` takes it, for messages.
    pub(super) fn ip_option(&self) -> String {
        match &self.name {
            Name::Own => String::new(),
            Name::Named(n) => format!("-n {n} "),
            Name::Path(path) => format!("-n {} ", path.display()),
        }
    }
}

/// The same namespace, by whatever name.
impl PartialEq for Netns {
    fn eq(&self, other: &Netns) -> bool {
        self.id == other.id
    }
}

impl Eq for Netns {}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Own => f.write_str("dvrd's own namespace"),
            name => write!(f, "namespace {name}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Own => f.write_str("(dvrd's own)"),
            Name::Named(n) => f.write_str(n),
            Name::Path(path) => write!(f, "{}", path.display()),
        }
    }
}
