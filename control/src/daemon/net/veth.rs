//! The other end of a veth, in whatever namespace it is.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::nsid::{NsidAttribute, NsidMessage};

use super::ask::{self, ask, kernel};
use super::link::link_by_index;
use super::netns::NAMES;
use super::{Link, NetError, Netns};

/// Namespaces that are looked at for one that holds a peer, and files that are looked at for namespaces.
const NAMESPACES: usize = 4096;
const FILES: usize = 1 << 20;
/// Descriptors the search needs at once: folders in folders, and what is in them.
const DESCRIPTORS: usize = 4;

/// The other end of a veth: the namespace, open, and the interface's name there. `None` if `link` is no veth.
///
/// The kernel tells the other namespace by a number that only means something in the first one. So each namespace that
/// can be found is asked for: those of dvrd, of `ip netns`, of bind mounts, of processes, their threads and files they
/// hold open, in this order, until one has that number. What is found must name `link` as its own other end.
pub fn veth_peer(netns: &Netns, link: &Link) -> Result<Option<(Netns, String)>, NetError> {
    let Some(end) = link.peer.filter(|_| link.kind == "veth") else { return Ok(None) };
    let (there, looked_at) = match end.nsid {
        None => (Some(netns.clone()), 1),
        Some(nsid) if nsid < 0 => (None, 0),
        Some(nsid) => by_nsid(netns, nsid)?,
    };
    let lost = || NetError::PeerNotFound { interface: link.name.clone(), netns: netns.clone(), looked_at };
    let there = there.ok_or_else(lost)?;
    let peer = link_by_index(&there, end.ifindex)?;
    let is_ours = |p: &Link| p.kind == "veth" && p.peer.is_some_and(|e| e.ifindex == link.ifindex);
    let peer = peer.filter(is_ours).ok_or_else(lost)?;
    Ok(Some((there, peer.name)))
}

/// The namespace that has this id in `netns`, and how many were looked at.
fn by_nsid(netns: &Netns, nsid: i32) -> Result<(Option<Netns>, usize), NetError> {
    // Known before: a folder that cannot be opened for want of them must not pass for an empty one.
    (0..DESCRIPTORS).map(|_| Netns::at_path(PathBuf::from(OWN))).collect::<Result<Vec<_>, _>>()?;
    let mut seen = BTreeSet::new();
    let mut distinct = candidates().take(FILES).filter_map(|path| {
        let meta = std::fs::metadata(&path).ok()?;
        let new = seen.len() < NAMESPACES && seen.insert((meta.dev(), meta.ino()));
        new.then(|| Netns::at_path(path))
    });
    let found = ask(netns, "ids of namespaces", |handle| async move {
        let mut looked_at = 0;
        for candidate in distinct.by_ref() {
            let candidate = match candidate {
                Ok(candidate) => candidate,
                Err(e) if e.is_out_of_files() => return Err(e),
                Err(_) => continue, // gone meanwhile, or not ours to open
            };
            looked_at += 1;
            let mut question = NsidMessage::default();
            question.attributes.push(NsidAttribute::Fd(candidate.raw_fd().unsigned_abs()));
            let answer = ask::one(&handle, RouteNetlinkMessage::GetNsId(question), 0).await;
            match answer {
                Ok(Some(RouteNetlinkMessage::NewNsId(m))) if m.attributes.contains(&NsidAttribute::Id(nsid)) => {
                    return Ok((Some(candidate), looked_at));
                }
                Ok(_) => {}
                // A file that is no network namespace.
                Err(e) if e.is(rustix::io::Errno::INVAL) => {}
                Err(e) => return Err(kernel(netns, "the id of a namespace", e)),
            }
        }
        Ok((None, looked_at))
    })?;
    Ok(found)
}

/// The process's own namespace.
const OWN: &str = "/proc/self/ns/net";

/// Files that may be network namespaces, the likeliest first. Nothing is read before it is its turn.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let own = std::iter::once(PathBuf::from(OWN));
    let named = std::iter::once(()).flat_map(|()| entries(Path::new(NAMES)));
    let mounts = std::iter::once(()).flat_map(|()| nsfs_mounts());
    let of_processes = std::iter::once(()).flat_map(|()| processes().map(|p| p.join("ns/net")));
    let threads = std::iter::once(())
        .flat_map(|()| processes().flat_map(|p| entries(&p.join("task"))).map(|thread| thread.join("ns/net")));
    let open = std::iter::once(()).flat_map(|()| {
        let files = processes().flat_map(|p| entries(&p.join("fd")));
        files.filter(|f| std::fs::read_link(f).is_ok_and(|to| to.to_string_lossy().starts_with("net:[")))
    });
    own.chain(named).chain(mounts).chain(of_processes).chain(threads).chain(open)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| e.ok().map(|e| e.path()))
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let is_pid = |p: &PathBuf| p.file_name().is_some_and(|n| n.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    entries(Path::new("/proc")).filter(is_pid)
}

/// Where namespaces are mounted, by whomever (proc_pid_mountinfo(5): root, mount point, then ` - ` and the type).
fn nsfs_mounts() -> Vec<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut words = mount.split(' ').skip(3);
        let is_net = words.next()?.starts_with("net:[") && kind.starts_with("nsfs ");
        is_net.then(|| words.next().map(PathBuf::from)).flatten()
    };
    text.lines().filter_map(mount).collect()
}
