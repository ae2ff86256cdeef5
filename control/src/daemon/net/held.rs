//! [`HeldPort`]: the VXLAN port of the kernel's stack, held by a socket nobody reads.

use super::{NetError, Netns};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

/// What the XDP program leaves to the kernel (fragments, a frame before it is attached or after it is gone) ends here. Without
/// it the kernel answers that the port is unreachable, and another host's vxlan device may take that for the tunnel's end.
#[derive(Debug)]
pub struct HeldPort {
    _socket: OwnedFd,
}

/// Why the port is not held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Its namespace.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The kernel's answer.
    #[error("UDP {address} cannot be held: {error}{}", hint(error))]
    Socket {
        /// VTEP and port.
        address: SocketAddrV4,
        /// The kernel's answer.
        error: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; a vxlan device of the kernel has that port, or another program (`ss -lunp`, `ip -d link show type vxlan`): it \
             gets what dvrd's XDP program leaves to the kernel"
        }
        _ => "",
    }
}

impl HeldPort {
    /// Holds UDP `port` of `vtep`, which need not be an address of the host yet (`ip(7)`, IP_FREEBIND).
    pub fn new(netns: &Netns, vtep: Ipv4Addr, port: u16) -> Result<HeldPort, HoldError> {
        let address = SocketAddrV4::new(vtep, port);
        let held = netns.run(|| {
            let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
            sockopt::set_ip_freebind(&socket, true)?;
            sockopt::set_socket_recv_buffer_size(&socket, 0)?; // the least there is: nobody reads
            bind(&socket, &address)?;
            Ok(HeldPort { _socket: socket })
        })?;
        held.map_err(|error: rustix::io::Errno| HoldError::Socket { address, error: error.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::lab::{Ns, possible};
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    const VTEP: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 11);

    /// Does a datagram to the port come back as unreachable?
    fn refused(host: &Ns) -> bool {
        let sent = host.open().run(|| {
            let socket = UdpSocket::bind((VTEP, 0)).unwrap();
            socket.connect((VTEP, 4789)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            socket.send(b"fragment").unwrap();
            socket.recv(&mut [0; 8]).map_err(|e| e.kind())
        });
        sent.unwrap() == Err(io::ErrorKind::ConnectionRefused)
    }

    #[test]
    fn a_port_that_is_held_is_not_unreachable() {
        if !possible() {
            return;
        }
        let host = Ns::new("held");
        let first = HeldPort::new(&host.open(), VTEP, 4789).unwrap(); // before the address is there
        host.ip("link set lo up");
        host.ip(&format!("addr add {VTEP}/32 dev lo"));
        assert!(!refused(&host));
        let error = HeldPort::new(&host.open(), VTEP, 4789).unwrap_err().to_string();
        assert!(error.starts_with("UDP 172.20.0.11:4789 cannot be held: ") && error.contains("ss -lunp"), "{error}");
        drop(first);
        assert!(refused(&host), "the test would notice");
    }
}
