//! From a VM or service port.

use dataplane::stage::Stage::{ArpResponder, Egress, Handoff, LearnFromTun, LocalSwitching, VmPort};

use super::Occurs::{Later, Now};
use super::Place::Port;
use super::Reason;

pub(super) const PORT_DOWN: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort, Egress, Handoff],
    more: "The port a frame comes from or goes to is not active on this host: its status is not ACTIVE, its admin state is \
           down, it is bound to another host, its binding failed, or this host has no row for it at all. Neutron puts such a \
           port into the dead VLAN 4095.",
    cause: "A few at boot or at live migration are normal: the VM sends before Nova has plugged the port. Lasting ones: \
            `openstack port set --disable`, binding_vif_type `binding_failed` (no agent alive on the host), or a port that was \
            bound elsewhere and whose tap device stayed.",
    look: &[
        "openstack port show PORT -c status -c admin_state_up -c binding_host_id -c binding_vif_type",
        "openstack network agent list --host HOST   # alive? A dead agent leaves ports DOWN",
        "dvrctl check --cloud FILE --host HOST   # is the port among this host's rows?",
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N   # from it or to it?",
    ],
};

pub(super) const RESERVED_SRC: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "The guest says it is a router of its network (its MAC, or its address in ARP or a neighbour advertisement) or uses \
           a DVR MAC or their prefix. That would take over the gateway of every VM beside it, so it is refused with port \
           security off too, and an allowed address pair does not help. Neutron refuses nothing of the kind.",
    cause: "A firewall or router VM configured with the gateway's address, as it is used outside the cloud; VRRP for the \
            gateway address; rarely, MAC addresses for VMs drawn from dvr_base_mac.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e arp.src.proto_ipv4 -e arp.src.hw_mac | sort | uniq -c",
        "openstack port list --router ROUTER -c 'MAC Address' -c 'Fixed IP Addresses'   # whose the address is",
        "grep -E 'base_mac|dvr_base_mac' /etc/neutron/*.conf   # the two prefixes must differ",
        "a VM that must be the gateway: take the subnet off the Neutron router (openstack router remove subnet)",
    ],
};

pub(super) const RESERVED_DST: Reason = Reason {
    place: super::Place::Bridge,
    occurs: Now,
    stages: &[LocalSwitching, LearnFromTun, ArpResponder],
    more: "DVR MACs are sources between hosts; nobody sends to them, except in answer to a router's own ARP probe; an answer \
           nobody waits for any more ends here too.",
    cause: "A guest that took the source MAC of a received packet for its gateway's: some load balancers and firewalls do \
            (auto last hop). It means that somewhere the DVR MAC was not replaced by the gateway's before delivery.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e eth.dst | sort | uniq -c",
        "tcpdump -e -n -i TAP ether host DVR_MAC   # must show nothing towards the VM",
        "in the guest: ip neigh; arp -n   # no entry may hold a DVR MAC",
        "F5 and others: turn 'auto last hop' off",
    ],
};

pub(super) const RA_GUEST: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "A router advertisement from a VM would make it the IPv6 default gateway of its whole network. Neutron's firewall \
           drops it too, and here it is dropped with port security off as well.",
    cause: "radvd, dnsmasq (enable-ra), libvirt's default network or Windows connection sharing inside a VM; a router VM on \
            an IPv6 network.",
    look: &[
        "tshark -r DROPS.pcapng -Y icmpv6.type==134 -T fields -e frame.interface_name -e eth.src -e ipv6.src",
        "in the guest: systemctl status radvd dnsmasq libvirtd",
        "openstack subnet show SUBNET -c ipv6_ra_mode -c ipv6_address_mode   # what Neutron announces itself",
    ],
};

pub(super) const MAC_SPOOF: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "Port security is on and the Ethernet source is neither the port's MAC nor that of an allowed address pair.",
    cause: "The MAC was changed inside the VM; a bridge, container network (macvlan), nested VM or VRRP with a virtual MAC \
            (00:00:5e:00:01:xx) without an allowed address pair that names this MAC; two NICs of a VM in the wrong order.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src | sort | uniq -c",
        "openstack port show PORT -c mac_address -c allowed_address_pairs -c port_security_enabled",
        "if it is wanted: openstack port set --allowed-address ip-address=IP,mac-address=MAC PORT",
        "in the guest: ip -br link   # which NIC has which MAC",
    ],
};

pub(super) const IP_SPOOF: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "Port security is on and the IP source is not an address this MAC may use: a fixed address, an allowed address pair \
           (prefixes count) or the MAC's own link-local address. 0.0.0.0 and :: may only ask for an address.",
    cause: "A missing allowed address pair: a keepalived or Octavia VIP, Kubernetes pod addresses that leave unmasqueraded, a \
            VPN or router VM that forwards for others; or an address set by hand that Neutron does not know.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e ip.src -e ipv6.src | sort | uniq -c",
        "openstack port show PORT -c fixed_ips -c allowed_address_pairs",
        "if it is wanted: openstack port set --allowed-address ip-address=PREFIX PORT   # the port's own MAC is the default",
        "169.254.x.x as source: the VM got no address; look at DHCP first",
    ],
};

pub(super) const ARP_SPOOF: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "Port security is on and the sender in the ARP packet (its MAC and its address together) is no pair of this port, or \
           its MAC differs from the Ethernet source. Others would otherwise send it the traffic of that address.",
    cause: "The same missing allowed address pair as for ip_spoof, seen first: a VIP announced by keepalived, a container or \
            nested VM with an address of its own, or proxy ARP inside a VM. With a pair for the address but with another MAC \
            it is dropped as well.",
    look: &[
        "tshark -r DROPS.pcapng -Y arp -T fields -e frame.interface_name -e eth.src -e arp.src.hw_mac -e arp.src.proto_ipv4 | sort | uniq -c",
        "openstack port show PORT -c fixed_ips -c allowed_address_pairs",
        "in the guest: sysctl net.ipv4.conf.all.arp_announce (2 keeps addresses of other NICs out of ARP), proxy_arp",
    ],
};

pub(super) const ND_SPOOF: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "Port security is on and a neighbour advertisement says that this port has an IPv6 address that is not its own; \
           arp_spoof for IPv6.",
    cause: "A VIP or a privacy address (RFC 8981) Neutron does not know; proxy_ndp inside a VM.",
    look: &[
        "tshark -r DROPS.pcapng -Y icmpv6.type==136 -T fields -e frame.interface_name -e eth.src -e icmpv6.nd.na.target_address | sort | uniq -c",
        "openstack port show PORT -c fixed_ips -c allowed_address_pairs",
        "in the guest: sysctl net.ipv6.conf.eth0.use_tempaddr   # 0 keeps to the address Neutron knows",
    ],
};

pub(super) const DHCP_SERVER: Reason = Reason {
    place: Port,
    occurs: Now,
    stages: &[VmPort],
    more: "Packets from UDP port 67 to 68, or 547 to 546, are what a DHCP server sends. A VM with port security may not: it \
           would hand addresses to its neighbours.",
    cause: "dnsmasq or libvirt's default network bridged to the VM's NIC; a PXE or appliance VM that is meant to be the DHCP \
            server of the network.",
    look: &[
        "tshark -r DROPS.pcapng -Y 'dhcp || dhcpv6' -T fields -e frame.interface_name -e eth.src -e dhcp.option.dhcp_server_id",
        "in the guest: ss -lunp | grep -E ':67|:547'",
        "if it is wanted: openstack subnet set --no-dhcp SUBNET and openstack port set --no-security-group --disable-port-security PORT",
    ],
};

pub(super) const SG_EGRESS: Reason = Reason {
    place: Port,
    occurs: Later("G1"),
    stages: &[],
    more: "No rule of the port's security groups allows this packet out. Until security groups are built everything passes, \
           and dvrctl check says so.",
    cause: "The default egress rules were deleted from the group.",
    look: &["openstack port show PORT -c security_group_ids; openstack security group rule list GROUP --egress"],
};

pub(super) const SG_INGRESS: Reason = Reason {
    place: Port,
    occurs: Later("G2"),
    stages: &[],
    more: "No rule of the receiving port's security groups allows this packet in. Until security groups are built everything \
           passes to an active port.",
    cause: "The most common reason why a VM cannot be reached: no rule for ping, SSH or the service, or a rule for another \
            remote group.",
    look: &["openstack port show PORT -c security_group_ids; openstack security group rule list GROUP --ingress"],
};

pub(super) const CT_FULL: Reason = Reason {
    place: Port,
    occurs: Later("G1"),
    stages: &[],
    more: "The port, or the router's source NAT, holds as many connections as it may; new ones are refused, old ones go on.",
    cause: "A scan, a SYN flood or a busy proxy VM.",
    look: &["tshark -r DROPS.pcapng -q -z endpoints,ip   # who opens them"],
};
