//! On interfaces in a namespace of their own; what Debian's ethtool says is what is expected.

use super::*;
use crate::testkit::Netns;
use crate::testkit::netns::{installed, soon};

/// A veth of two queues in and three out, up at both ends.
fn veth(test: &str, name: &str) -> Option<Netns> {
    let netns = Netns::new(test, name)?;
    netns.ip("link add va numrxqueues 2 numtxqueues 3 type veth peer name vb numrxqueues 3 numtxqueues 2");
    netns.ip("link set va up");
    netns.ip("link set vb up");
    Some(netns)
}

/// The value of a line `key: value`.
fn line<'a>(text: &'a str, key: &str) -> &'a str {
    let value = |l: &'a str| l.trim().strip_prefix(key)?.strip_prefix(':').map(str::trim);
    text.lines().find_map(value).unwrap_or_else(|| panic!("no {key} in {text}"))
}

#[test]
fn driver_and_queues_are_those_ethtool_prints() {
    const TEST: &str = "driver_and_queues_are_those_ethtool_prints";
    let Some(netns) = veth(TEST, "ethtool") else { return };
    let Some(()) = installed(TEST, "ethtool", &["--version"], "ethtool") else { return };
    netns.ip("link add br0 type bridge");
    netns.ip("tuntap add mode tap name tap0");
    netns.run(|| {
        for (name, expected) in [("va", "veth"), ("br0", "bridge"), ("tap0", "tun")] {
            assert_eq!(driver(name).unwrap(), expected);
            let said = netns.exec(&format!("ethtool -i {name}"));
            assert_eq!((line(&said, "driver"), line(&said, "bus-info")), (expected, bus(name).unwrap().as_str()));
        }
        for (name, queues) in [("va", 2), ("vb", 3)] {
            assert_eq!(rx_queues(name).unwrap(), queues);
            let channels = netns.exec(&format!("ethtool -l {name}"));
            let current = channels.split("Current hardware settings").nth(1).unwrap();
            assert_eq!(line(current, "RX"), queues.to_string(), "{channels}");
        }
        assert_eq!((rx_queues("br0").unwrap(), rx_queues("tap0").unwrap(), rx_queues("lo").unwrap()), (1, 1, 1));
    });
}

#[test]
fn a_queue_of_a_tap_counts_while_it_is_open() {
    const TEST: &str = "a_queue_of_a_tap_counts_while_it_is_open";
    let Some(netns) = Netns::new(TEST, "tap") else { return };
    netns.ip("tuntap add mode tap name tap0 multi_queue");
    netns.run(|| {
        assert_eq!(rx_queues("tap0").unwrap(), 1);
        let open = [open_queue("tap0"), open_queue("tap0"), open_queue("tap0")];
        assert_eq!(rx_queues("tap0").unwrap(), 3);
        drop(open);
        assert!(soon(|| rx_queues("tap0").unwrap() == 1));
    });
}

/// Another queue of a tap, as a hypervisor opens it.
pub(in crate::io::af_xdp) fn open_queue(tap: &str) -> std::fs::File {
    let file = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    // SAFETY: an ifreq is plain integers and a union of such and a pointer: all zeros is a value.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    ifreq.ifr_name.iter_mut().zip(tap.bytes()).for_each(|(to, from)| *to = from.cast_signed());
    ifreq.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE) as i16;
    // SAFETY: TUNSETIFF reads and writes an ifreq; the descriptor is open.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut ifreq) };
    assert_eq!(answer, 0, "{}", io::Error::last_os_error());
    file
}

#[test]
fn offloads_off_and_on_again_leave_every_feature_as_it_was() {
    const TEST: &str = "offloads_off_and_on_again_leave_every_feature_as_it_was";
    let Some(netns) = veth(TEST, "offloads") else { return };
    let Some(()) = installed(TEST, "ethtool", &["--version"], "ethtool") else { return };
    netns.ip("link add vc type veth peer name vd");
    netns.exec("ethtool -K va gro on tx-udp-segmentation off"); // what the owner has chosen
    netns.exec("ethtool -K vc gro on tx-udp-segmentation off");
    netns.run(|| {
        let features = |name: &str| netns.exec(&format!("ethtool -k {name}"));
        let before = features("va");
        assert_eq!((tx_checksum("va").unwrap(), line(&before, "tx-checksumming")), (true, "on"));

        set_tx_checksum("va", false).unwrap();
        netns.exec("ethtool -K vc tx off");
        assert!(!tx_checksum("va").unwrap());
        assert_eq!(features("va").replace("va:", "vc:"), features("vc"), "as ethtool -K tx off");
        assert_eq!(line(&features("va"), "tx-checksumming"), "off");
        assert_eq!(line(&features("va"), "tx-tcp-segmentation"), "off [requested on]");
        assert!(tx_checksum("vb").unwrap(), "the other end has its own");

        set_tx_checksum("va", true).unwrap();
        assert_eq!(features("va"), before);

        assert!(tx_vlan("va").unwrap());
        set_tx_vlan("va", false).unwrap();
        assert_eq!(features("va"), before.replace("tx-vlan-offload: on", "tx-vlan-offload: off"));
        assert!(!tx_vlan("va").unwrap());
        set_tx_vlan("va", true).unwrap();
        assert_eq!(features("va"), before);

        assert!(rx_vlan("va").unwrap());
        set_rx_vlan("va", false).unwrap();
        assert_eq!(features("va"), before.replace("rx-vlan-offload: on", "rx-vlan-offload: off"));
        assert!(!rx_vlan("va").unwrap() && tx_vlan("va").unwrap());
        set_rx_vlan("va", true).unwrap();
        assert_eq!(features("va"), before);
    });
}

/// Every line `name: on [fixed]` of `ethtool -k`, of devices whose features differ.
#[test]
fn each_feature_is_what_ethtool_prints() {
    const TEST: &str = "each_feature_is_what_ethtool_prints";
    let Some(netns) = veth(TEST, "features") else { return };
    let Some(()) = installed(TEST, "ethtool", &["--version"], "ethtool") else { return };
    netns.ip("link add br0 type bridge");
    netns.ip("tuntap add mode tap name tap0");
    netns.exec("ethtool -K va tx-udp-segmentation off");
    netns.run(|| {
        for name in ["va", "br0", "tap0", "lo"] {
            let printed = netns.exec(&format!("ethtool -k {name}"));
            let (mut seen, mut fixed) = (0, 0);
            let mut unknown = Vec::new();
            for (key, value) in printed.lines().filter_map(|l| l.trim().split_once(": ")) {
                let Some(known) = feature(name, key).unwrap() else {
                    unknown.push(key);
                    continue;
                };
                let want = Feature { on: value.starts_with("on"), fixed: value.contains("[fixed]") };
                assert_eq!(known, want, "{name}: {key}: {value}");
                seen += 1;
                fixed += usize::from(known.fixed);
            }
            assert_eq!(
                unknown,
                ["tx-checksumming", "scatter-gather", "tcp-segmentation-offload"],
                "they stand for several"
            );
            assert!(seen > 40 && fixed > 0 && fixed < seen, "{name}: {seen}, {fixed} of them fixed");
        }
        assert_eq!(feature("va", "tx-udp-segmentation").unwrap(), Some(Feature { on: false, fixed: false }));
        assert_eq!(feature("va", "no-such-feature").unwrap(), None);
        assert!(feature("none0", "rx-gro-hw").is_err());
    });
}

/// No device that can be made here has a flow hash of its own: ethtool says so too.
#[test]
fn a_device_without_a_flow_hash_tells_none() {
    const TEST: &str = "a_device_without_a_flow_hash_tells_none";
    let Some(netns) = veth(TEST, "rss") else { return };
    netns.run(|| {
        assert_eq!((hashes_udp_ports("va").unwrap(), hashed_queues("va").unwrap()), (None, None));
        assert!(hashes_udp_ports("none0").is_err() && hashed_queues("none0").is_err());
    });
}

#[test]
fn what_is_not_there_or_cannot_be_is_an_error() {
    const TEST: &str = "what_is_not_there_or_cannot_be_is_an_error";
    let Some(netns) = Netns::new(TEST, "errors") else { return };
    netns.run(|| {
        let errno = |e: io::Error| Errno::from_io_error(&e);
        let missing = Some(Errno::NODEV);
        assert_eq!(driver("va").map_err(errno), Err(missing));
        assert_eq!(rx_queues("va").map_err(errno), Err(missing));
        assert_eq!(tx_checksum("va").map_err(errno), Err(missing));
        assert_eq!(set_tx_checksum("va", false).map_err(errno), Err(missing));
        assert_eq!(tx_vlan("va").map_err(errno), Err(missing));
        assert_eq!(set_tx_vlan("va", false).map_err(errno), Err(missing));
        // lo's checksums are "on [fixed]".
        assert_eq!(set_tx_checksum("lo", false).map_err(errno), Err(Some(Errno::OPNOTSUPP)));
        assert!(tx_checksum("lo").unwrap());
        assert_eq!(set_rx_vlan("lo", true).map_err(errno), Err(Some(Errno::OPNOTSUPP)));
        assert_eq!(set_tx_vlan("lo", true).map_err(errno), Err(Some(Errno::OPNOTSUPP)));
    });
}

#[test]
fn names_that_are_none_are_told_so() {
    for name in ["", "sixteen-letters-", "a\0b"] {
        let e = driver(name).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::InvalidInput);
        assert!(e.to_string().contains("1 to 15 bytes"), "{e}");
    }
}
