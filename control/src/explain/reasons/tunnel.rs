//! From the tunnel.

use dataplane::stage::Stage::{
    ArpResponder, DvrToSrcMac, FloodToTun, LearnFromTun, LearningBlocker, VxlanDecap, VxlanTunToLv,
};

use super::Occurs::Now;
use super::Place::Tunnel;
use super::Reason;

pub(super) const NOT_OURS: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[VxlanDecap, FloodToTun, ArpResponder],
    more: "Whatever arrives on the underlay NIC and is not VXLAN for this host's VTEP: another destination MAC or address, \
           another protocol, another UDP port. On a NIC that is shared with the host this is most of its traffic, and no fault. \
           On a physical network's NIC: broadcasts, ARP requests among them, that no port here gets (stage flood_to_tun), and ARP \
           answers to fg that nobody waits for (stage arp_responder).",
    cause: "A busy provider or external network. Replaying a capture of the whole NIC: SSH, storage, ARP, LLDP. If VXLAN is counted here too: another UDP port (8472, \
            the old Linux default, against 4789), a wrong local_ip, or a destination MAC that is not the NIC's because the \
            capture was made on another host.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e eth.dst -e ip.dst -e udp.dstport | sort | uniq -c | sort -rn | head",
        "the host's vtep in the cloud file against: ip -br addr; grep local_ip /etc/neutron/plugins/ml2/openvswitch_agent.ini",
        "grep vxlan_udp_port /etc/neutron/plugins/ml2/openvswitch_agent.ini on both hosts",
    ],
};

pub(super) const VX_BAD: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[VxlanDecap],
    more: "For our VTEP, but not VXLAN one can take: a fragment of the outer packet (never reassembled, RFC 7348 4.3), a UDP \
           length or checksum that is wrong, or the I flag not set, so that there is no VNI.",
    cause: "Outer fragments: asymmetric MTU. The sender's underlay has a larger MTU than some link on the way and does not set \
            DF. Wrong UDP checksum: NIC offload on the sender (tx-udp_tnl-csum-segmentation). No I flag: not VXLAN at all.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e ip.flags.mf -e ip.frag_offset -e udp.checksum.status -e vxlan.flags | sort | uniq -c",
        "ping -M do -s 1472 -I LOCAL_VTEP REMOTE_VTEP   # underlay MTU 1500; for 1600 use 1572; both directions",
        "ip -d link show NIC on both hosts and the switch ports between",
        "on the sender: ethtool -k NIC | grep udp_tnl; ethtool -K NIC tx-udp_tnl-csum-segmentation off",
    ],
};

pub(super) const UNKNOWN_VTEP: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[VxlanDecap],
    more: "The outer source address is the VTEP of no host in the cloud's model. OVS has a tunnel port per remote host and \
           drops what has none.",
    cause: "A new or renumbered host whose agent has not reported: wrong local_ip (the management address), an agent that is \
            down or not registered; or the packet is source-translated on the way between sites. A stranger who sends VXLAN to \
            your VTEP network is the serious case.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni | sort | uniq -c",
        "openstack network agent list --agent-type open-vswitch -f json; openstack network agent show ID -c configuration   # tunneling_ip",
        "grep local_ip /etc/neutron/plugins/ml2/openvswitch_agent.ini on the sender",
        "dvrctl check --cloud FILE   # the hosts and VTEPs of the model",
    ],
};

pub(super) const VTEP_NOT_MEMBER: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[VxlanTunToLv],
    more: "The sender is a host of the cloud, but nothing says that it has part in this network: it is not on the network's \
           flood list and is the home of none of its MACs. With `strict` (the default) what it sends into the network is \
           refused, so that one compromised host cannot speak in every tenant's network.",
    cause: "l2population is behind: a port was just bound on that host and this host has no entry yet (stops by itself), or it \
            lost one at an agent restart. Lasting: the model is stale, or the sender maps a VNI wrongly.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni -e eth.src | sort | uniq -c",
        "openstack port list --network NET --host SENDER   # has it a port there, ACTIVE?",
        "the cloud file is of now? A port bound after it was written is not in it",
        "on an OVS host: ovs-ofctl dump-flows br-tun table=22   # is the VTEP in the network's flood list?",
    ],
};

pub(super) const UNKNOWN_VNI: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[VxlanTunToLv],
    more: "No network with this VNI has a port, or a router's interface, on this host.",
    cause: "The other host still floods to this one although the last port here went away (stops with the next l2population \
            update); a network that was deleted and made again with another VNI; or two clouds on one underlay.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni | sort | uniq -c",
        "openstack network list --provider-segment VNI --long   # which network that is",
        "dvrctl check --cloud FILE --host HOST   # the networks this host has",
    ],
};

pub(super) const OWN_DVR_MAC: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[LearningBlocker],
    more: "A frame this host routed and sent comes back to it. Somebody reflects or imitates it; believing it would loop.",
    cause: "A loop: a bridge between two networks in a VM, a hairpin on a gateway, or two hosts with the same DVR MAC (a host \
            that was cloned or renamed, with its old row in the dvr_host_macs table).",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e eth.src -e eth.dst | sort | uniq -c   # the outer source sends it",
        "SELECT * FROM dvr_host_macs; in Neutron's database: each MAC once",
        "on the sender: tcpdump -e -n -i any ether src DVR_MAC   # which of its ports does it come from",
    ],
};

pub(super) const LOCAL_MAC_FROM_FABRIC: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[LearningBlocker],
    more: "The source MAC belongs to an active port of this host, or to a router interface of the network, and both are here: it \
           cannot come from outside. Learning it would pull the VM's traffic away.",
    cause: "Live migration, for a moment: the VM runs there already and its port is still bound here. Lasting: the same MAC on \
            two VMs, a loop through a bridging VM, or a host outside of DVR that sends with the router's MAC (an agent with \
            enable_distributed_routing = False, a legacy router).",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni -e eth.src | sort | uniq -c",
        "openstack port list --mac-address MAC -c ID -c Status; openstack port show ID -c binding_host_id -c binding_profile",
        "openstack server migration list --status running",
        "grep -r enable_distributed_routing /etc/neutron/plugins/ml2/ on the sender; openstack router show ROUTER -c distributed",
    ],
};

pub(super) const DVR_WRONG_VTEP: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[LearningBlocker],
    more: "The source is in the DVR MAC prefix, and its owner is another host than the outer source, or nobody. A routed frame \
           is believed only from the host that owns the DVR MAC; OVS believes it from any tunnel.",
    cause: "A host that was reinstalled under a new name and got a new DVR MAC while others have the old one; a host with two \
            VTEPs or a local_ip that changed; VM MACs drawn from the DVR prefix; or somebody imitates a router.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e eth.src | sort | uniq -c",
        "SELECT * FROM dvr_host_macs; in Neutron's database against the hosts and their local_ip",
        "grep -E 'base_mac|dvr_base_mac' /etc/neutron/*.conf   # the two prefixes must differ",
        "dvrctl check --cloud FILE   # hosts, VTEPs and DVR MACs of the model",
    ],
};

pub(super) const DVR_UNKNOWN_DST: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[DvrToSrcMac],
    more: "Another host routed the packet and sent it here for a MAC that this host cannot deliver to: no port, no allowed \
           address pair, no DHCP port of the network; or it is a broadcast, which routers never send; or no router interface \
           is on the subnet, so there is no gateway MAC to put back.",
    cause: "The sender has an old position of the VM: it migrated or was deleted a moment ago (stops by itself), or the sender \
            missed the update (agent restart, l2population lost).",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni -e eth.dst -e ip.dst | sort | uniq -c",
        "openstack port list --mac-address MAC; openstack port show ID -c binding_host_id -c status",
        "dvrctl trace --cloud FILE --host SENDER --in VM --hex FRAME   # where the sender's rows say it is",
        "no router interface: openstack port list --router ROUTER; is the subnet attached?",
    ],
};

pub(super) const ROUTER_MAC_FROM_FABRIC: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[LearnFromTun],
    more: "A frame to the gateway's MAC comes in from another host. With DVR each host routes for its own VMs, so that frame \
           should never have left. It is not routed here a second time.",
    cause: "The sender's host does not have the router: its L3 agent is down or in legacy mode, the router is not scheduled \
            there, or it is a machine beside the cloud (physical, SR-IOV, Ironic) that uses the distributed gateway.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni -e eth.src -e eth.dst | sort | uniq -c",
        "openstack network agent list --agent-type l3 --host SENDER -f yaml; agent_mode in its l3_agent.ini: dvr or dvr_snat",
        "openstack router show ROUTER -c distributed; ip netns list | grep qrouter- on the sender",
        "dvrctl trace --cloud FILE --host SENDER --in VM --hex FRAME   # should say: routed here",
    ],
};

pub(super) const ROUTER_ARP_FROM_FABRIC: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[LearningBlocker],
    more: "ARP or neighbour discovery about a router's address, or a router advertisement, comes in from another host. The \
           gateway is on every host and answers there; were such a frame let in, VMs here would learn a wrong gateway.",
    cause: "A host that does not keep ARP for the gateway at home: one without the router, with an agent in legacy mode, or whose \
            br-tun lost its flows (table 22 priority 3) at a restart; a machine beside the cloud that asks for its gateway.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e vxlan.vni -e arp.opcode -e arp.src.proto_ipv4 -e arp.dst.proto_ipv4 | sort | uniq -c",
        "on an OVS sender: ovs-ofctl dump-flows br-tun table=22; ovs-ofctl dump-flows br-tun table=1",
        "openstack network agent list --host SENDER   # both its agents alive",
    ],
};

pub(super) const ECN_BAD: Reason = Reason {
    place: Tunnel,
    occurs: Now,
    stages: &[VxlanTunToLv],
    more: "A switch marked the outer packet 'congestion experienced', and the inner packet cannot carry the mark on (not ECN \
           capable). RFC 6040 demands the drop: the sender must learn of the congestion somehow.",
    cause: "The sending VTEP sets ECN bits in the outer header that are not the inner packet's (it ought to copy them), and the \
            fabric marks instead of dropping: DCQCN or RoCE switch profiles on the VXLAN class.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e ip.src -e ip.dsfield.ecn | sort | uniq -c   # outer, inner",
        "on a Linux sender: ip -d link show type vxlan   # tos inherit copies the bits",
        "the ECN profile of the switches for this class; how loaded the link is",
    ],
};
