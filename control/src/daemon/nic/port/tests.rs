use super::super::tests::{SHARE, checksums};
use super::*;
use crate::daemon::net::tests::lab::{Ns, possible};
use dataplane::umem::Umem;

fn at(ns: &Ns) -> Interface {
    Interface { name: "tap".to_owned(), netns: Some(ns.0.clone()) }
}

fn pair(what: &str) -> (Ns, Ns) {
    let (host, vm) = (Ns::new(&format!("{what}h")), Ns::new(&format!("{what}v")));
    host.ip(&format!("link add tap type veth peer name eth0 netns {}", vm.0));
    (host, vm)
}

/// By what it is taken, in the banner's words.
fn by(ns: &Ns, io: PortIo) -> By {
    let mut umem = Umem::shared(1024).unwrap();
    let region = umem.pools(1)[0].region();
    Nic::open_port(&at(ns), io, region, SHARE).unwrap().0.by
}

/// A veth's other end leaves TCP to its NIC unless it is told not to; what is configured is not asked.
#[test]
fn it_is_a_packet_socket_where_segmentation_is_left_to_it() {
    if !possible() {
        return;
    }
    let (host, vm) = pair("io");
    assert_eq!(by(&host, PortIo::Auto), By::Packet("its other end leaves TCP segmentation to it"));
    assert!(checksums(&vm), "its offloads stay on");
    assert_eq!(by(&host, PortIo::Packet), By::Packet("as configured"));
    let of_xdp = |io| match by(&host, io) {
        By::Xdp { mode, why, .. } => (mode.to_string(), why),
        By::Packet(why) => panic!("{why}"),
    };
    assert_eq!(of_xdp(PortIo::AfXdp), ("native".to_owned(), None));
    let words = ["netns", "exec", &vm.0, "ethtool", "-K", "eth0", "tso", "off"];
    let off = std::process::Command::new("ip").args(words).status().unwrap();
    assert!(off.success(), "needs ethtool (Debian: apt-get install ethtool)");
    assert_eq!(of_xdp(PortIo::Auto), ("native".to_owned(), Some("its other end cuts TCP itself")));
}

/// The second one is told who has it, by whatever each takes it.
#[test]
fn a_packet_socket_s_interface_is_held() {
    if !possible() {
        return;
    }
    let (host, _vm) = pair("ih");
    let mut umem = Umem::shared(1024).unwrap();
    let region = umem.pools(1)[0].region();
    let open = |io| Nic::open_port(&at(&host), io, region, Share { patience: std::time::Duration::ZERO, ..SHARE });
    for first in [PortIo::Packet, PortIo::AfXdp] {
        let taken = open(first).unwrap();
        for second in [PortIo::Packet, PortIo::AfXdp] {
            let error = open(second).unwrap_err();
            assert!(error.is_busy(), "{error}");
            let me = format!("(pid {})", std::process::id());
            let text = error.named(&at(&host)).to_string();
            let words =
                if first == PortIo::Packet { "(dvrd_withhold), packet sockets" } else { "(dvrd_filter), native" };
            assert!(text.starts_with("tap is taken: ") && text.contains(words) && text.contains(&me), "{text}");
        }
        drop(taken);
        let start = std::time::Instant::now();
        while open(PortIo::Packet).is_err() {
            assert!(start.elapsed() < SHARE.patience, "it is free again");
        }
    }
}
