//! [`Promiscuous`]: a NIC that receives what is not for its own MAC address.
#![allow(unsafe_code)]

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// While it lives an interface is in promiscuous mode: machines behind a physical network's NIC have MAC addresses of their
/// own. By membership of a packet socket (packet(7), `PACKET_MR_PROMISC`): the kernel counts who wants it, and takes ours
/// back when the process ends, however it ends.
#[derive(Debug)]
pub struct Promiscuous {
    _socket: OwnedFd,
}

impl Promiscuous {
    /// Of interface `ifindex` in the calling thread's network namespace. Needs CAP_NET_RAW: EPERM. No such interface: ENODEV.
    pub fn new(ifindex: u32) -> io::Result<Promiscuous> {
        // Of protocol 0: it receives nothing.
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        let request = libc::packet_mreq {
            mr_ifindex: ifindex.cast_signed(),
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let (value, len) = (std::ptr::from_ref(&request).cast(), size_of_val(&request) as libc::socklen_t);
        let (level, option) = (libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP);
        // SAFETY: the option's value is a packet_mreq of this length, read during the call.
        let answer = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(Promiscuous { _socket: socket }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Netns;

    #[test]
    fn an_interface_is_promiscuous_as_long_as_somebody_wants_it() {
        const TEST: &str = "an_interface_is_promiscuous_as_long_as_somebody_wants_it";
        let Some(netns) = Netns::new(TEST, "promisc") else { return };
        netns.ip("link add va index 50 type veth peer name vb");
        netns.run(|| {
            let count = || netns.exec("ip -d link show va").contains("promiscuity 1");
            assert!(!count());
            let wanted = Promiscuous::new(50).unwrap();
            assert!(count());
            drop(wanted);
            assert!(!count());
            let none = Promiscuous::new(4711).unwrap_err();
            assert_eq!(none.raw_os_error(), Some(rustix::io::Errno::NODEV.raw_os_error()));
        });
    }
}
