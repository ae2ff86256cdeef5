//! Output, and what can happen anywhere.

use dataplane::stage::Stage::{
    self, Egress, FloodToTun, Fragments, Handoff, IcmpError, Ingress, LvToPhys, Qrouter, VxlanEncap,
};

use super::Occurs::{Defect, Now};
use super::Place::{Anywhere, Output};
use super::Reason;

pub(super) const UNDERLAY_UNRESOLVED: Reason = Reason {
    place: Output,
    occurs: Now,
    stages: &[VxlanEncap],
    more: "The other host's VTEP is known, but not the MAC of the next hop towards it on the underlay. The frame has waited for it \
           for 1 s, while the kernel was asking; or 16 younger frames wait for the host, or 256 for all hosts, in its worker.",
    cause: "The other host is down, unreachable, or in another subnet and the underlay's gateway does not answer ARP. A few while \
            the way changes are what comes faster than may wait.",
    look: &[
        "what dvrd says: `host H: the kernel ..`, and why it has no way",
        "ip route get REMOTE_VTEP from LOCAL_VTEP; ip neigh show dev NIC   # FAILED or INCOMPLETE?",
        "ping -I LOCAL_VTEP REMOTE_VTEP",
        "openstack network agent list --host REMOTE   # alive?",
    ],
};

pub(super) const TX_FULL: Reason = Reason {
    place: Output,
    occurs: Now,
    stages: &[Egress],
    more: "The queue of the port the frame goes to has no room, or as many frames as the port may have are on their way \
           out: its receiver takes them slower than they come. An interface that is down takes none.",
    cause: "A VM that does not get CPU time or has one queue for a heavy flow; a NIC at line rate; a VM that is paused; an \
            interface somebody set down.",
    look: &[
        "ip link show IFACE   # state UP and LOWER_UP? dvrd's banner says which interface a port has",
        "which port: dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N",
        "in the guest: mpstat -P ALL 1 (%steal, %soft), ethtool -l eth0; openstack image set --property hw_vif_multiqueue_enabled=true",
        "on the underlay: ip -s link show NIC; sar -n DEV 1",
    ],
};

pub(super) const NO_FRAME: Reason = Reason {
    place: Output,
    occurs: Now,
    stages: &[FloodToTun, Ingress, Fragments, IcmpError, Egress],
    more: "Packet memory is used up: no buffer for the copy of a flooded frame (stage flood_to_tun), for a fragment (stage \
           fragments), for an ICMP error or a reset (stage icmp_error), for a probe or an announcement (stage egress), or for a received frame (stage ingress). The other copies \
           went out.",
    cause: "Broadcasts in a network with very many receivers, or slow receivers that hold the buffers: look at tx_full too.",
    look: &[
        "the counters copied and tx_full beside it: dvrctl replay ... --json",
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e eth.dst | sort | uniq -c   # who floods",
        "openstack port list --network NET -f value -c ID | wc -l   # how many receivers",
    ],
};

pub(super) const NO_HEADROOM: Reason = Reason {
    place: Output,
    occurs: Now,
    stages: &[VxlanEncap, LvToPhys],
    more: "The outer headers need 50 bytes of buffer in front of the frame. Ports of this build always leave 256, so this points \
           to a port driver that does not.",
    cause: "None in the field with memory ports. With other drivers: a headroom set too small.",
    look: &["which port it came in by (the interface in the capture); report it with the port's type"],
};

pub(super) const HANDOFF_FULL: Reason = Reason {
    place: Output,
    occurs: Now,
    stages: &[Handoff],
    more: "The port belongs to another worker, and the ring to that worker, of 1,024 frames, has no room: it is behind. Frames \
           of other ports and workers go on.",
    cause: "One worker with most of the load: a single heavy flow, or all busy ports on one worker.",
    look: &[
        "tshark -r DROPS.pcapng -q -z conv,ip   # one heavy flow, or many",
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N   # to which port",
        "the stage handoff in the counters: handed_over against taken_over; more workers spread the ports",
    ],
};

pub(super) const PORT_GONE: Reason = Reason {
    place: Output,
    occurs: Now,
    stages: &[Egress, FloodToTun, Handoff, VxlanEncap, LvToPhys, Qrouter],
    more: "Between the decision and the output the port, the tunnel or the network was removed by a batch of changes. A few at \
           the moment of a change are its nature (docs/behaviour.md, row batches).",
    cause: "A VM was deleted or migrated while packets to it were under way. If it goes on without changes: a table row points \
            to nothing, which is a defect to report.",
    look: &[
        "does it rise while nothing changes? Compare with the times of: openstack server event list SERVER",
        "dvrctl trace --cloud FILE --host HOST --in PORT --pcap DROPS.pcapng --frame N   # with the cloud as it is now",
    ],
};

pub(super) const INTERNAL: Reason = Reason {
    place: Anywhere,
    occurs: Defect,
    stages: Stage::ALL,
    more: "A frame came to a place the program says it cannot come to. It was counted and its buffer freed; every test asserts \
           that this stays 0.",
    cause: "A defect of dvrd, never of your cloud.",
    look: &["report it with the frame (dvrctl replay --drops) and the cloud file"],
};
