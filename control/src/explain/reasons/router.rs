//! Router.

use dataplane::stage::Stage::{
    DvrProcess, DvrToSrcMac, Egress, Fragments, Ingress, LocalSwitching, Qrouter, Segments, VxlanEncap,
};

use super::Occurs::{Later, Now};
use super::Place::Router;
use super::Reason;

pub(super) const ROUTER_DOWN: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter, DvrProcess],
    more: "The router, or its interface on the way in or out, is administratively down or not active on this host; or the host \
           has no DVR MAC yet, with which alone routed packets may leave it.",
    cause: "openstack router set --disable; an interface port that is DOWN; or a host that never got its DVR MAC because its \
            agent has not reported in DVR mode (enable_distributed_routing).",
    look: &[
        "openstack router show ROUTER -c admin_state_up -c status -c distributed",
        "openstack port list --router ROUTER -c ID -c Status -c 'Fixed IP Addresses'",
        "SELECT * FROM dvr_host_macs WHERE host = 'HOST'; in Neutron's database",
        "dvrctl check --cloud FILE --host HOST   # routers active here",
    ],
};

pub(super) const MARTIAN: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "Source: multicast, broadcast, 127/8, 0/8, or an address of the router itself. Destination: 127/8, 0/8, 224/4 or \
           255.255.255.255. None of these is ever routed (RFC 1812, 5.3.7); multicast between subnets is not supported.",
    cause: "An application that sends multicast with TTL above 1 to the gateway, a service bound to 127.0.0.1 whose packets \
            leak, or somebody who uses the gateway's address as source.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst | sort | uniq -c",
        "in the guest: ip -br addr; iptables-save -t nat   # a DNAT or SNAT to 127.0.0.1?",
    ],
};

pub(super) const LINK_LOCAL: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "169.254.0.0/16 is for one link and never routed (RFC 3927). The metadata address 169.254.169.254 is the exception \
           and has reasons of its own.",
    cause: "A VM that got no DHCP answer, gave itself 169.254.x.x and uses the gateway: the trouble is DHCP, not routing.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst | sort | uniq -c",
        "in the guest: ip -br addr; journalctl -u systemd-networkd -u NetworkManager | grep -i dhcp",
        "openstack port list --network NET --device-owner network:dhcp   # a DHCP port, ACTIVE?",
    ],
};

pub(super) const TTL: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "The packet came to a router with TTL 1 or 0. Its sender is told by ICMP time exceeded, from the router's address on \
           its subnet; more than 10 such errors a second to one sender are not sent (icmp_limited).",
    cause: "traceroute (normal), or a routing loop: two routers, or a router and a VM that routes, that point to each other.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst -e ip.ttl | sort | uniq -c",
        "the same IP identification many times over is a loop: tshark -r DROPS.pcapng -T fields -e ip.id | sort | uniq -c | sort -rn | head",
        "openstack router show ROUTER -c routes   # extra routes and where they point",
    ],
};

pub(super) const NO_ROUTE: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "The destination is in no connected subnet and no extra route of this router, and for the source's subnet there is no \
           way out: no SNAT port (the router has no gateway, or the source address is in none of its subnets).",
    cause: "No external gateway set; the subnet of the destination is on another router without a route between them; or the \
            source is a VM address outside of the subnet (an allowed address pair), for which no SNAT port exists.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst | sort | uniq -c",
        "openstack router show ROUTER -c external_gateway_info -c routes -c interfaces_info",
        "openstack port list --router ROUTER --device-owner network:router_centralized_snat   # one per subnet",
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N",
    ],
};

pub(super) const NO_NEIGH: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "The route is there, but nobody is known at the next hop's address: no ACTIVE port has it, and three ARP probes in 3 s \
           were not answered. The packets that waited are dropped and their senders told by ICMP host unreachable.",
    cause: "The VM is shut off, deleted, or its port DOWN; the address is free; it is on a machine Neutron does not know \
            (an address set by hand, a VIP without an allowed address pair); or a scan of the subnet.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst | sort | uniq -c",
        "openstack port list --fixed-ip ip-address=DST -c ID -c Status; openstack port show ID -c binding_vif_type",
        "a VIP: openstack port show HOLDER -c allowed_address_pairs   # must name it, and the holder must be ACTIVE",
        "an extra route: openstack router show ROUTER -c routes   # whose address is the next hop",
    ],
};

pub(super) const MTU: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter, VxlanEncap, Ingress, Fragments, Segments, Egress],
    more: "Longer than the network it is routed into carries (stage qrouter), than the underlay carries with 36 bytes of outer \
           IPv4, UDP and VXLAN header and the inner 14 of Ethernet (stage vxlan_encap), or than a port's buffer of 1792 bytes \
           (stage ingress). At a router it has Don't Fragment set (without, it is cut to fragments), and its sender is told by ICMP \
           fragmentation needed, with the MTU to keep to. Bridged, nobody is told: small packets pass and large ones vanish.",
    cause: "Asymmetric MTU: a VM with 1500 on a VXLAN network over an underlay of 1500 (the network's MTU is 1450), because it \
            ignores the DHCP option or has a static setting; networks of different MTU on one router; docker inside the VM \
            with its default 1500; jumbo frames, or TSO frames in a capture taken on the sender.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e frame.len -e ip.flags.df -e ip.src -e ip.dst | sort | uniq -c",
        "openstack network show NET -c mtu, of both networks; in the guest: ip link show eth0",
        "ip -d link show NIC; ping -M do -s 1472 REMOTE_VTEP   # the underlay; 50 more than the network's MTU are needed",
        "a capture from the sending machine: ethtool -K eth0 tso off gso off there, and take it again",
    ],
};

pub(super) const SCOPE: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "The networks the packet would go between belong to different address scopes, between which a router does not forward \
           untranslated; floating IPs and source NAT do.",
    cause: "Subnet pools of two scopes on one router, meant to meet only through address translation; or a network whose subnets \
            come from no scope beside one that has one.",
    look: &[
        "openstack network show NET -c ipv4_address_scope, of both networks",
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N   # from which network to which",
    ],
};

pub(super) const LOOP_LIMIT: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "A packet may cross 8 routers of one host in a row, a bound that no real topology reaches.",
    cause: "A routing loop: extra routes of two routers that point at each other for the same prefix.",
    look: &[
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N   # the same routers again and again",
        "openstack router show ROUTER -c routes, of each router the trace names",
    ],
};

pub(super) const META_BLOCKED: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "169.254.169.254 is the metadata service's address, and never forwarded. The service itself (HTTP, TCP port 80) is not \
           in this build (R2-m): a VM's cloud-init waits for it in vain.",
    cause: "cloud-init at boot; ping, a port scan or HTTPS to the metadata address; a cloud-init that looks for another cloud's \
            services there (NTP, DNS).",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.proto -e udp.dstport -e tcp.dstport | sort | uniq -c",
        "in the guest: grep -r 169.254.169.254 /etc   # chrony, resolv.conf, cloud-init datasource_list",
    ],
};

pub(super) const IPV6_UNROUTED: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "The frame is for a router's MAC and carries IPv6, which is bridged but not routed yet.",
    cause: "A dual-stack VM that prefers IPv6 to a destination in another subnet: applications wait for a timeout before they \
            take IPv4.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ipv6.src -e ipv6.dst | sort | uniq -c",
        "openstack subnet list --ip-version 6 --network NET   # without a gateway (--gateway none) VMs do not try",
    ],
};

pub(super) const FW_DENY: Reason = Reason {
    place: Router,
    occurs: Later("R3-fw"),
    stages: &[],
    more: "A rule of the router's firewall group forbids it, between the cloud and outside only.",
    cause: "A firewall group whose policy has no allow rule for this traffic: what no rule names is denied.",
    look: &["openstack firewall group list --long; openstack firewall group rule list"],
};

pub(super) const PUNT_FULL: Reason = Reason {
    place: Router,
    occurs: Later("R2-m"),
    stages: &[],
    more: "The queue to a local service (metadata) is full, or its rate is used up.",
    cause: "Many VMs that boot at once, or one that asks the metadata service in a loop.",
    look: &["tshark -r DROPS.pcapng -q -z endpoints,ip   # who asks"],
};

pub(super) const NEIGH_QUEUE_FULL: Reason = Reason {
    place: Router,
    occurs: Now,
    stages: &[Qrouter],
    more: "Packets to an address that is being asked for by ARP wait for the answer: at most 3 for one address, for 8 addresses of \
           one sender, for 64 of one router and 256 in a worker. This one was too many.",
    cause: "A scan of a subnet with many free addresses; or a flow that begins at full speed to a machine nobody has heard of yet \
            (its first packets are lost, as with any router).",
    look: &[
        "tshark -r DROPS.pcapng -q -z endpoints,ip   # one source, many destinations",
        "the counter no_neigh beside it: addresses nobody answered for",
    ],
};

pub(super) const SNAT_NO_STATE: Reason = Reason {
    place: super::Place::External,
    occurs: Now,
    stages: &[LocalSwitching, DvrToSrcMac, Qrouter],
    more: "Here: something to the central SNAT port (sg-) of a router on its network host. Source NAT is not built, so \
           everything that is on its way out by it ends here. Later also: a packet from outside for which no translation exists.",
    cause: "A VM without a floating IP that talks to the world: expected with this build on the host with the router's gateway. \
            Plan that host with Neutron's own L3 agent for now.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst | sort | uniq -c",
        "openstack port list --router ROUTER --device-owner network:router_centralized_snat --long; which host",
        "dvrctl check --cloud FILE   # says what of the cloud needs source NAT",
    ],
};
