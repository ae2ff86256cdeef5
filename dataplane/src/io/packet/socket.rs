//! The packet socket of one interface (packet(7)): frames with a virtio header, many a system call.
#![allow(unsafe_code)]

use super::header;
use crate::umem::Frame;
use crate::worker::in_kernel;
use std::io;
use std::mem::zeroed;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Packets a system call takes.
pub(super) const BATCH: usize = 8;
/// Chunks of the longest packet: 65,535 bytes of IP, Ethernet and two tags.
pub(super) const PARTS: usize = 34;
/// What waits in the kernel for us, and for the receivers of what we sent, bytes.
const BUFFER: libc::c_int = 16 << 20;
/// `ETH_P_ALL` as `sockaddr_ll` has it.
const ALL: u16 = (libc::ETH_P_ALL as u16).to_be();
// packet(7)
const PACKET_QDISC_BYPASS: libc::c_int = 20;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const TP_STATUS_VLAN_VALID: u32 = 1 << 4;
const TP_STATUS_VLAN_TPID_VALID: u32 = 1 << 6;

/// `struct tpacket_auxdata` of include/uapi/linux/if_packet.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Auxdata {
    status: u32,
    len: u32,
    snaplen: u32,
    mac: u16,
    net: u16,
    vlan_tci: u16,
    vlan_tpid: u16,
}

/// Room for the one control message, aligned as it must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// A received packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    /// Its virtio header.
    pub header: [u8; header::LEN],
    /// Its length without that, bytes.
    pub len: usize,
    /// There was more of it.
    pub cut: bool,
    /// The tag the kernel took out: TPID and TCI.
    pub tag: Option<(u16, u16)>,
}

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Of interface `ifindex` in the calling thread's network namespace, with all that it receives. Needs CAP_NET_RAW
    /// (EPERM), and Linux 4.20 (ENOPROTOOPT).
    pub fn open(ifindex: u32) -> io::Result<Socket> {
        // Of protocol 0: nothing is received until it is bound.
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers.
        let fd = answer(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
        // SAFETY: opened just now, and nobody else's.
        let socket = Socket { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        for option in [libc::PACKET_VNET_HDR, libc::PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, PACKET_QDISC_BYPASS] {
            socket.set(libc::SOL_PACKET, option, 1)?;
        }
        for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
            socket.set(libc::SOL_SOCKET, option, BUFFER)?;
        }
        socket.bind(ifindex)?;
        Ok(socket)
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let (value, len) = (std::ptr::from_ref(&value).cast(), size_of_val(&value) as libc::socklen_t);
        // SAFETY: the value is an int, read during the call.
        answer(unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, value, len) }).map(drop)
    }

    fn bind(&self, ifindex: u32) -> io::Result<()> {
        // SAFETY: a sockaddr_ll of zeroes is one.
        let mut to: libc::sockaddr_ll = unsafe { zeroed() };
        (to.sll_family, to.sll_protocol) = (libc::AF_PACKET as u16, ALL);
        to.sll_ifindex = ifindex.cast_signed();
        let len = size_of_val(&to) as libc::socklen_t;
        // SAFETY: an address of this length, read during the call.
        answer(unsafe { libc::bind(self.fd.as_raw_fd(), std::ptr::from_ref(&to).cast(), len) }).map(drop)
    }

    /// Packets lost because nobody took them in time, since the last time this was asked.
    pub fn lost(&self) -> u64 {
        // SAFETY: numbers.
        let mut stats: libc::tpacket_stats = unsafe { zeroed() };
        let mut len = size_of_val(&stats) as libc::socklen_t;
        let value = std::ptr::from_mut(&mut stats).cast();
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_STATISTICS);
        // SAFETY: a tpacket_stats and its length, written during the call.
        let told = unsafe { libc::getsockopt(self.fd.as_raw_fd(), level, option, value, &raw mut len) };
        if told == 0 { u64::from(stats.tp_drops) } else { 0 }
    }

    /// Takes what has arrived, up to one packet for each of `into`; returns how many. A packet's first bytes go to its first
    /// chunk from `at` on, the others to whole chunks behind it.
    pub fn receive(&self, into: &mut [&mut [Frame<'_>]], at: usize, packets: &mut [Received]) -> usize {
        // SAFETY: null pointers and zero lengths are good for both.
        let (mut iov, mut messages) =
            unsafe { zeroed::<([[libc::iovec; PARTS + 1]; BATCH], [libc::mmsghdr; BATCH])>() };
        let mut control = [Control([0; 64]); BATCH];
        let all =
            into.iter_mut().zip(packets.iter_mut()).zip(iov.iter_mut()).zip(messages.iter_mut().zip(&mut control));
        let mut count = 0;
        for (((chunks, packet), iov), (message, control)) in all {
            *packet = Received::default();
            let header = place(&mut packet.header);
            let parts = chunks.iter_mut().enumerate().map(|(n, chunk)| {
                let from = if n == 0 { at } else { 0 };
                place(chunk.chunk_mut().get_mut(from..).unwrap_or_default())
            });
            let used = iov.iter_mut().zip(std::iter::once(header).chain(parts)).map(|(to, from)| *to = from).count();
            message.msg_hdr.msg_iov = iov.as_mut_ptr();
            message.msg_hdr.msg_iovlen = used;
            message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = control.0.len();
            count += 1;
        }
        // SAFETY: `count` messages, whose parts are bytes of `packets`, `control` and of chunks that `into` borrows for the
        // whole call; each is in one place only.
        let n = in_kernel(|| unsafe {
            libc::recvmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT, std::ptr::null_mut())
        });
        let n = usize::try_from(n).unwrap_or(0); // nothing there, or the interface is gone
        for (message, packet) in messages.iter().zip(packets.iter_mut()).take(n) {
            packet.len = (message.msg_len as usize).saturating_sub(header::LEN);
            packet.cut = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            packet.tag = tag(&message.msg_hdr);
        }
        n
    }

    /// Sends packets, each the bytes of its header and of its parts; returns how many the kernel took, and why not the next
    /// one.
    pub fn send(
        &self,
        headers: &[[u8; header::LEN]],
        parts: &[&[u8]],
        each: &[Range<usize>],
    ) -> (usize, Option<io::Error>) {
        // SAFETY: null pointers and zero lengths are good for both.
        let (mut iov, mut messages) =
            unsafe { zeroed::<([[libc::iovec; PARTS + 1]; BATCH], [libc::mmsghdr; BATCH])>() };
        let mut count = 0;
        let all = iov.iter_mut().zip(messages.iter_mut()).zip(headers.iter().zip(each));
        for ((iov, message), (header, range)) in all {
            let parts = parts.get(range.clone()).unwrap_or_default().iter().map(|part| seen(part));
            let used =
                iov.iter_mut().zip(std::iter::once(seen(header)).chain(parts)).map(|(to, from)| *to = from).count();
            message.msg_hdr.msg_iov = iov.as_mut_ptr();
            message.msg_hdr.msg_iovlen = used;
            count += 1;
        }
        // SAFETY: `count` messages, whose parts are borrowed for the whole call; the kernel only reads them.
        let n = in_kernel(|| unsafe {
            libc::sendmmsg(self.fd.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT)
        });
        match usize::try_from(n) {
            Ok(n) => (n, None),
            Err(_) => (0, Some(io::Error::last_os_error())),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn answer(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Bytes the kernel writes.
fn place(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

/// Bytes the kernel reads: `iovec` has one pointer for both.
fn seen(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// The VLAN tag in a message's auxiliary data.
fn tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: `recvmmsg` has filled in the control buffer and its length, which live as long as `message` is looked at.
    let found = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or a header inside the buffer, which is aligned.
    let control = unsafe { found.as_ref() }?;
    if (control.cmsg_level, control.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: the kernel puts a tpacket_auxdata behind a header of this type; the buffer has room for it. It need not be
    // aligned.
    let aux: Auxdata = unsafe { libc::CMSG_DATA(control).cast::<Auxdata>().read_unaligned() };
    let tpid = if aux.status & TP_STATUS_VLAN_TPID_VALID != 0 { aux.vlan_tpid } else { crate::wire::ethertype::VLAN };
    (aux.status & TP_STATUS_VLAN_VALID != 0).then_some((tpid, aux.vlan_tci))
}
