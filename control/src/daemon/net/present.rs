//! Which interfaces are there: cheaper than [`link()`](super::link()), for who looks every second.

use std::collections::BTreeMap;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use super::ask::kernel;
use super::{NetError, Netns};

/// Which interface it is: two made with the same name one after the other differ in it, if something of the first
/// namespace (a socket) is still open. Without, the kernel gives the number of a namespace to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// [`Netns::id`] of its namespace.
    pub netns: (u64, u64),
    /// Its index there.
    pub ifindex: u32,
}

/// Those of these interfaces of a namespace ([`Netns::open`]) that are there. A namespace that is not there has none;
/// every other error says nothing about any of them.
pub fn present<'n>(
    netns: Option<&str>,
    names: impl IntoIterator<Item = &'n str> + Send,
) -> Result<BTreeMap<&'n str, Identity>, NetError> {
    match Netns::open(netns) {
        Ok(netns) => netns.run(|| look(&netns, names))?,
        Err(e) if e.is_absence() => Ok(BTreeMap::new()),
        Err(e) => Err(e),
    }
}

/// In the namespace.
fn look<'n>(netns: &Netns, names: impl IntoIterator<Item = &'n str>) -> Result<BTreeMap<&'n str, Identity>, NetError> {
    let any = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|e| kernel(netns, "a socket to ask for interfaces", e))?;
    let mut there = BTreeMap::new();
    for name in names {
        match netdevice::name_to_index(&any, name) {
            Ok(ifindex) => drop(there.insert(name, Identity { netns: netns.id(), ifindex })),
            Err(Errno::NODEV) => {}
            Err(e) => return Err(kernel(netns, format!("interface {name}"), e)),
        }
    }
    Ok(there)
}
