//! The programs against words and C (`verdicts`, `gate`), and on interfaces (`attach`).

mod attach;
mod frames;
mod gate;
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
    let all = [UNDERLAY, Filter::Physical, Filter::Both { vtep: VTEP, port: 4789 }, Filter::Everything];
    let length = |filter: Filter| {
        let sockets = std::fs::File::open("/dev/null").unwrap().into();
        let maps = Maps { sockets, gate: Some(Arc::new(Gate::nowhere())).filter(|_| filter.has_gate()) };
        filter.assemble(&maps).unwrap().len()
    };
    let lengths = all.map(length);
    assert!(lengths.iter().all(|n| *n < 120), "{lengths:?}");
}
