//! The calls of bpf(2) the filter needs. Layouts and numbers: include/uapi/linux/bpf.h.
#![allow(unsafe_code)]

use super::asm::Insn;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

// enum bpf_cmd
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_PROG_LOAD: libc::c_int = 5;
#[cfg(test)]
const BPF_PROG_TEST_RUN: libc::c_int = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_LINK_CREATE: libc::c_int = 28;
// enum bpf_map_type
const BPF_MAP_TYPE_HASH: u32 = 1;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
/// Queue to AF_XDP socket.
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
/// A hash map takes memory for an entry when it comes.
const BPF_F_NO_PREALLOC: u32 = 1;
/// enum bpf_prog_type
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// enum bpf_attach_type
const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
/// The program may run on a frame in several buffers (kernel 5.18).
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
/// Names of our programs: at most 15 bytes.
const FILTER: &[u8] = b"dvrd_filter";
pub(super) const WITHHOLD: &[u8] = b"dvrd_withhold";
/// Programs of an interface that are looked at.
const PROGRAMS: usize = 64;
/// Bytes of the verifier's log that are kept.
const LOG: usize = 64 << 10;

/// `union bpf_attr` for BPF_MAP_CREATE.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// `union bpf_attr` for BPF_MAP_UPDATE_ELEM and BPF_MAP_DELETE_ELEM (`value` and `flags` 0).
#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` for BPF_PROG_LOAD, up to `expected_attach_type`.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// `union bpf_attr` for BPF_LINK_CREATE.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// `union bpf_attr` for BPF_PROG_QUERY, up to `revision`.
#[repr(C)]
struct ProgQuery {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    _pad: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// `union bpf_attr` for BPF_PROG_GET_FD_BY_ID.
#[repr(C)]
struct ById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// `union bpf_attr` for BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info`, up to `name`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ProgInfo {
    /// Type, id, tag, lengths and addresses of instructions, time, user, maps.
    _before: [u64; 8],
    name: [u8; 16],
}

/// `union bpf_attr` for BPF_PROG_TEST_RUN, up to `duration`.
#[cfg(test)]
#[repr(C)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
}

/// One of the `union bpf_attr` above.
///
/// # Safety
/// `repr(C)` as the kernel lays it out for its command, no implicit padding. Every address in it
/// is 0 or good, for the length the command says, until the call returns.
unsafe trait Attr {}
// SAFETY: integers only, each at its natural place; no address.
unsafe impl Attr for MapCreate {}
// SAFETY: integers only, padding named; `key` and `value` are set from live borrows of the map's sizes in `map_update` and `Map`.
unsafe impl Attr for MapUpdate {}
// SAFETY: integers only, each at its natural place; addresses are set from live borrows in `prog_load`.
unsafe impl Attr for ProgLoad {}
// SAFETY: integers only, each at its natural place; no address.
unsafe impl Attr for LinkCreate {}
// SAFETY: integers only, padding named; `prog_ids` is set from a live borrow of `count` numbers in `tcx_programs`, the other
// addresses are 0.
unsafe impl Attr for ProgQuery {}
// SAFETY: integers only, each at its natural place; no address.
unsafe impl Attr for ById {}
// SAFETY: integers only, each at its natural place; `info` is set from a live borrow of `info_len` bytes in `prog_name`.
unsafe impl Attr for InfoByFd {}
// SAFETY: integers only, each at its natural place; `data_in` is set from a live borrow, `data_out` is 0.
#[cfg(test)]
unsafe impl Attr for TestRun {}

fn bpf<A: Attr>(command: libc::c_int, attr: &mut A) -> io::Result<RawFd> {
    // SAFETY: `attr` is valid for its size and exclusively borrowed; what it points to is good by `Attr`.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<A>()) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as RawFd) }
}

/// A command that answers with a new file descriptor (close-on-exec, as the kernel makes them all).
fn bpf_fd<A: Attr>(command: libc::c_int, attr: &mut A) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the kernel has just opened it for us; nobody else has the number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address<T>(of: &[T]) -> u64 {
    of.as_ptr().expose_provenance() as u64
}

fn address_mut<T>(of: &mut [T]) -> u64 {
    of.as_mut_ptr().expose_provenance() as u64
}

/// A map from queue to AF_XDP socket.
pub(super) fn xskmap(queues: u32) -> io::Result<OwnedFd> {
    let mut attr =
        MapCreate { map_type: BPF_MAP_TYPE_XSKMAP, key_size: 4, value_size: 4, max_entries: queues, map_flags: 0 };
    bpf_fd(BPF_MAP_CREATE, &mut attr)
}

/// Puts a socket in an [`xskmap`], in place of the one there.
pub(super) fn map_update(map: BorrowedFd<'_>, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    let (key, value) = ([queue], [socket.as_raw_fd()]);
    let mut attr =
        MapUpdate { map_fd: map.as_raw_fd() as u32, _pad: 0, key: address(&key), value: address(&value), flags: 0 };
    bpf(BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// A map from `K` bytes to a number, in the kernel's hands too.
#[derive(Debug)]
pub(super) struct Map<const K: usize>(OwnedFd);

impl<const K: usize> Map<K> {
    /// Empty, for so many keys; it takes memory as they come.
    pub(super) fn hash(max_entries: u32) -> io::Result<Self> {
        Map::new(BPF_MAP_TYPE_HASH, max_entries, BPF_F_NO_PREALLOC)
    }

    fn new(map_type: u32, max_entries: u32, map_flags: u32) -> io::Result<Self> {
        let value_size = size_of::<u32>() as u32;
        let mut attr = MapCreate { map_type, key_size: K as u32, value_size, max_entries, map_flags };
        bpf_fd(BPF_MAP_CREATE, &mut attr).map(Map)
    }

    /// E2BIG: it is full.
    pub(super) fn put(&self, key: [u8; K], value: u32) -> io::Result<()> {
        let (map_fd, value) = (self.0.as_raw_fd() as u32, [value]);
        let mut attr = MapUpdate { map_fd, _pad: 0, key: address(&key), value: address(&value), flags: 0 };
        bpf(BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
    }

    /// Of a hash map. It may be none of its keys.
    pub(super) fn remove(&self, key: [u8; K]) -> io::Result<()> {
        let map_fd = self.0.as_raw_fd() as u32;
        match bpf(BPF_MAP_DELETE_ELEM, &mut MapUpdate { map_fd, _pad: 0, key: address(&key), value: 0, flags: 0 }) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            answer => answer.map(drop),
        }
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// No map at all, to assemble programs that nobody loads.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Map(std::fs::File::open("/dev/null").unwrap().into())
    }
}

impl Map<4> {
    /// A number for each of 0 to `max_entries - 1`, 0 at first.
    pub(super) fn array(max_entries: u32) -> io::Result<Self> {
        Map::new(BPF_MAP_TYPE_ARRAY, max_entries, 0)
    }
}

/// Loads an XDP program; with the error, what the verifier said.
pub(super) fn prog_load(insns: &[Insn]) -> Result<OwnedFd, (io::Error, String)> {
    load_or_say(insns, FILTER, (BPF_PROG_TYPE_XDP, BPF_XDP, BPF_F_XDP_HAS_FRAGS))
}

/// Loads a program for tcx.
pub(super) fn classifier_load(insns: &[Insn]) -> Result<OwnedFd, (io::Error, String)> {
    load_or_say(insns, WITHHOLD, (BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS, 0))
}

/// Program type, where it is attached, flags.
type Kind = (u32, u32, u32);

fn load_or_say(insns: &[Insn], name: &[u8], kind: Kind) -> Result<OwnedFd, (io::Error, String)> {
    // A log that does not fit is an error of its own: it is asked for only where it is needed.
    if let Ok(program) = load(insns, name, kind, &mut []) {
        return Ok(program);
    }
    let mut log = vec![0_u8; LOG];
    load(insns, name, kind, &mut log).map_err(|e| {
        let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
        (e, String::from_utf8_lossy(log.get(..end).unwrap_or_default()).into_owned())
    })
}

fn load(insns: &[Insn], name: &[u8], kind: Kind, log: &mut [u8]) -> io::Result<OwnedFd> {
    let (prog_type, expected_attach_type, prog_flags) = kind;
    let mut prog_name = [0; 16];
    prog_name.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    let log_buf = if log.is_empty() { 0 } else { address_mut(log) };
    let mut attr = ProgLoad {
        prog_type,
        insn_cnt: insns.len() as u32,
        insns: address(insns),
        license: address(c"Apache-2.0".to_bytes_with_nul()), // no helper in use asks for the GPL
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf,
        kern_version: 0,
        prog_flags,
        prog_name,
        prog_ifindex: 0,
        expected_attach_type,
    };
    bpf_fd(BPF_PROG_LOAD, &mut attr)
}

/// Attaches a program until the answer is closed, by its owner or with the process.
pub(super) fn link_create(prog: BorrowedFd<'_>, ifindex: u32, flags: u32) -> io::Result<OwnedFd> {
    link(prog, ifindex, BPF_XDP, flags)
}

/// Attaches a [`classifier_load`]ed program to what an interface receives, behind those that are there.
pub(super) fn tcx_link(prog: BorrowedFd<'_>, ifindex: u32) -> io::Result<OwnedFd> {
    link(prog, ifindex, BPF_TCX_INGRESS, 0)
}

fn link(prog: BorrowedFd<'_>, target_ifindex: u32, attach_type: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attr = LinkCreate { prog_fd: prog.as_raw_fd() as u32, target_ifindex, attach_type, flags };
    bpf_fd(BPF_LINK_CREATE, &mut attr)
}

/// Programs that see what an interface receives, by tcx (Linux 6.6).
pub(super) fn tcx_programs(ifindex: u32) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; PROGRAMS];
    let mut attr = ProgQuery {
        target_ifindex: ifindex,
        attach_type: BPF_TCX_INGRESS,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: address_mut(&mut ids),
        count: PROGRAMS as u32,
        _pad: 0,
        prog_attach_flags: 0,
        link_ids: 0,
        link_attach_flags: 0,
        revision: 0,
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    Ok(ids.into_iter().take(attr.count as usize).collect())
}

/// The name of a loaded program, by its id. EPERM without CAP_SYS_ADMIN, ENOENT if there is none.
pub(super) fn prog_name(id: u32) -> io::Result<String> {
    let program = bpf_fd(BPF_PROG_GET_FD_BY_ID, &mut ById { id, next_id: 0, open_flags: 0 })?;
    let mut info = [ProgInfo::default()];
    let info_len = size_of::<ProgInfo>() as u32;
    let mut attr = InfoByFd { bpf_fd: program.as_raw_fd() as u32, info_len, info: address_mut(&mut info) };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    let name = info.iter().flat_map(|i| i.name).take_while(|b| *b != 0).collect::<Vec<_>>();
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// The program's verdict on a frame that came by queue 0 of `lo`.
#[cfg(test)]
pub(super) fn test_run(prog: BorrowedFd<'_>, frame: &[u8]) -> io::Result<u32> {
    let mut attr = TestRun {
        prog_fd: prog.as_raw_fd() as u32,
        retval: 0,
        data_size_in: frame.len() as u32,
        data_size_out: 0,
        data_in: address(frame),
        data_out: 0,
        repeat: 1,
        duration: 0,
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr)?;
    Ok(attr.retval)
}
