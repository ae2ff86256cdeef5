//! Header checks.

use dataplane::stage::Stage::{Decode, Offload, PhysToLv, Qrouter, VmPort, VxlanDecap, VxlanTunToLv};

use super::Occurs::Now;
use super::Place::Headers;
use super::Reason;

pub(super) const PARSE_SHORT: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[Decode, VxlanDecap],
    more: "A frame needs 14 bytes for its two MACs and its EtherType; this one, or the frame inside the VXLAN packet, \
           has fewer. Padding is not asked for: real Ethernet has 60 bytes, a virtual port may have less.",
    cause: "A test tool or a broken guest driver that writes runts; on the tunnel, a VXLAN packet without an inner frame, \
            as some health checks send to port 4789.",
    look: &[
        "tcpdump -e -XX -r DROPS.pcapng   # who sends it: source MAC, or the outer source on the tunnel",
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N",
        "in the guest: ethtool -i eth0; try another NIC model (openstack image set --property hw_vif_model=virtio)",
    ],
};

pub(super) const VNET_BAD: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[Offload],
    more: "At a port that is a packet socket: the virtio header before the frame says what cannot be. Its checksum lies outside of \
           the headers, its segments have no bytes, are of another protocol than the packet, or come without a checksum to fill \
           in; or it asks for a kind of segmentation nobody knows.",
    cause: "A guest with a defective or hostile virtio driver.",
    look: &[
        "in the guest: uname -r, driver version; ethtool -K eth0 tx off tso off, and see if it stops",
        "dvrctl explain parse_l3   # frames that are wrong in themselves",
    ],
};

pub(super) const PARSE_L3: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[Decode, VxlanDecap],
    more: "Version, header length, total length, an option or an extension header does not fit the frame; ARP or ND is not \
           whole; or the outer IPv4 header of a VXLAN packet is bad, its checksum too. Bridged frames are checked as well: \
           what cannot be read cannot be held against port security.",
    cause: "A capture or a mirror that cut frames (snap length), a fuzzer, or a NIC between hosts that corrupts. On a VM port: \
            a guest that builds its packets itself.",
    look: &[
        "tshark -V -r DROPS.pcapng -Y 'frame.comment contains \"drop: parse_l3 |\"'   # Wireshark names the field",
        "on tunnel: ethtool -S NIC | grep -iE 'err|csum|crc' on this host and on the sender",
        "if every frame ends at one length: the capture that is replayed was cut; take it again with tcpdump -s 0",
    ],
};

pub(super) const PARSE_CSUM: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[Qrouter],
    more: "A router verifies the IPv4 header checksum, as RFC 1812 says; a bridge does not. So the same packet passes \
           between VMs of one network and ends here when it is to be routed.",
    cause: "Almost always checksum offload: the packet was captured or injected before anything filled the sum in (0x0000).",
    look: &[
        "tshark -o ip.check_checksum:TRUE -V -r DROPS.pcapng | grep -i 'header checksum'",
        "in the guest: ethtool -K eth0 tx off, and see if it stops",
        "a capture made on the sending machine: take it on the wire, or on the tap of the VM, and replay that",
    ],
};

pub(super) const ETH_SRC_BAD: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[Decode],
    more: "A source address with the group bit set, or 00:00:00:00:00:00, belongs to nobody; learning or answering it would \
           poison the table.",
    cause: "A guest or test tool with a MAC that was typed wrong: an odd first octet (01:.., 03:..) is a group address.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src | sort | uniq -c",
        "in the guest: ip link show; compare with: openstack port show PORT -c mac_address",
    ],
};

pub(super) const LINK_LOCAL_MCAST: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[Decode],
    more: "STP, LLDP, LACP, pause frames and 802.1X are spoken between neighbours on one cable; no bridge forwards them \
           (802.1Q, 8.6.3). Harmless: the count rises steadily while such a daemon runs.",
    cause: "lldpd, an OVS or Linux bridge with STP, or bonding in LACP mode inside a VM; on the tunnel, a bridge on the other \
            host that leaks them.",
    look: &[
        "tshark -r DROPS.pcapng -Y 'frame.comment contains link_local_mcast' -T fields -e frame.interface_name -e _ws.col.Protocol",
        "in the guest: systemctl status lldpd; cat /proc/net/bonding/*",
        "LACP between a VM and anything does not work through a virtual network: use active-backup",
    ],
};

pub(super) const VLAN_UNEXPECTED: Reason = Reason {
    place: Headers,
    occurs: Now,
    stages: &[VmPort, VxlanTunToLv, PhysToLv],
    more: "A VM port is an access port: untagged, or a priority tag with VID 0. Inside VXLAN there is no tag either, since \
           the VNI names the network. Trunk ports and their subports are not built yet (I1-trunk).",
    cause: "A guest with eth0.100 on a port that is no trunk, or whose trunk exists in Neutron only; on the tunnel, another \
            vendor's VTEP that keeps the inner tag.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e vlan.id | sort | uniq -c",
        "openstack port show PORT -c trunk_details; openstack network show NET -c vlan_transparent",
        "in the guest: ip -d link show type vlan",
    ],
};

pub(super) const ETHERTYPE: Reason = Reason {
    place: super::Place::Port,
    occurs: Now,
    stages: &[VmPort],
    more: "With port security a port may send IPv4, IPv6, ARP and RARP of its own, nothing else, because nothing else can be \
           checked against its addresses; but for the EtherTypes of the cloud's settings.permitted_ethertypes, of which the \
           MAC is checked. The firewall drivers of Neutron do the same.",
    cause: "A cluster heartbeat, PPPoE, MPLS, FCoE or a proprietary protocol inside the VM; or a nested hypervisor that \
            sends for its own guests.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.type | sort | uniq -c",
        "openstack port show PORT -c port_security_enabled -c device_owner",
        "if the protocol is wanted at every port: permitted_ethertypes in the cloud file's settings, as in the agent's \
         [securitygroup] permitted_ethertypes",
        "if at this port: openstack port set --no-security-group --disable-port-security PORT",
    ],
};

pub(super) const CT_INVALID: Reason = Reason {
    place: super::Place::Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "Now only this: an echo request to a router's own address with a wrong ICMP checksum, which no host may answer. \
           With security groups (G1, G2) also every packet whose layer 4 header no connection can be kept for, and ICMP errors \
           about flows nobody has.",
    cause: "A ping made by a test tool that does not fill the checksum in, or a capture made before offload did.",
    look: &[
        "tshark -V -r DROPS.pcapng -Y icmp | grep -i checksum",
        "in the guest: ping -c1 GATEWAY works? Then it is the tool",
    ],
};

pub(super) const SRC_ROUTE: Reason = Reason {
    place: super::Place::Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "A packet that carries LSRR or SSRR asks routers to send it where its sender wants, past every policy. Routers \
           drop it (RFC 7126); bridged, it passes untouched. Other IPv4 options pass.",
    cause: "A scanner (nmap --ip-options), or an old traceroute -g.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst -e ip.opt.type",
        "openstack server list --all-projects --ip SRC   # whose VM it is",
    ],
};
