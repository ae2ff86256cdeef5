//! The program against words and C (`verdicts`), and on interfaces (`attach`).

mod attach;
mod frames;
mod object;
mod verdicts;

use super::*;
use rustix::net::sockopt::set_xdp_rx_ring_size;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

const VTEP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const UNDERLAY: Filter = Filter::Underlay { vtep: VTEP, port: 4789 };

/// An AF_XDP socket a map takes, bound to nothing.
fn socket() -> OwnedFd {
    let socket = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None).unwrap();
    set_xdp_rx_ring_size(&socket, 64).unwrap();
    socket
}

/// Above this the program is to be C, compiled.
#[test]
fn the_programs_are_short() {
    let any = std::fs::File::open("/dev/null").unwrap();
    let lengths = [UNDERLAY, Filter::Everything].map(|f| f.assemble(any.as_fd()).unwrap().len());
    assert!(lengths.iter().all(|n| *n < 120), "{lengths:?}");
}
