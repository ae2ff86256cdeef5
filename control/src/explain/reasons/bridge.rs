//! Layer 2.

use dataplane::stage::Stage::{FloodToTun, LocalSwitching};

use super::Occurs::Now;
use super::Place::Bridge;
use super::Reason;

pub(super) const UNKNOWN_UNICAST: Reason = Reason {
    place: Bridge,
    occurs: Now,
    stages: &[FloodToTun],
    more: "No port, no other host and nothing learned has this destination MAC in this network, and nobody may get it as \
           unknown unicast: secured ports never do, other hosts only with `flood_unknown`. Since Neutron knows every port there \
           is nothing to find by flooding.",
    cause: "The VM asks for a MAC that is gone: it was deleted, shut off or migrated, and the sender's ARP entry is still the old \
            one. Also a machine Neutron does not know (a nested VM, a VIP with its own MAC), or a port that is DOWN on its \
            host, which has no row on others.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e eth.dst -e ip.dst | sort | uniq -c",
        "openstack port list --mac-address DST -c ID -c Status; openstack port show ID -c status -c binding_host_id",
        "in the sender: ip neigh flush dev eth0, and see if it stops",
        "a machine Neutron does not know: give it a port or an allowed address pair, or set flood_unknown on the network",
    ],
};

pub(super) const STORM: Reason = Reason {
    place: Bridge,
    occurs: Now,
    stages: &[FloodToTun],
    more: "The port sends more broadcasts, multicasts and unknown unicasts than may be flooded for it (1,000 a second, 2,000 at \
           once); those above the rate are dropped before they are copied. Also if 64 floods to more than 256 receivers each \
           wait for their turn in one worker; frames from the tunnel are storm by that alone.",
    cause: "A loop inside a VM (two NICs of it bridged), a scanner that asks for every address, or a multicast source.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e eth.dst | sort | uniq -c | sort -rn | head",
        "in the guest: ip -d link show type bridge",
    ],
};

pub(super) const NO_RECEIVER: Reason = Reason {
    place: Bridge,
    occurs: Now,
    stages: &[FloodToTun, LocalSwitching],
    more: "Whoever the frame is for is the one that sent it: a broadcast in a network where nobody else is, a unicast to the \
           sender's own port, or a frame that came by tunnel for a MAC that is behind a tunnel (split horizon: never out \
           again). Mostly harmless.",
    cause: "The first VM of a network that asks around (ARP, DHCP without a DHCP port, IPv6 discovery). From the tunnel: the \
            sender has an old position of the VM, which has moved on to a third host.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e eth.dst | sort | uniq -c",
        "openstack port list --network NET -c ID -c Status -c 'Fixed IP Addresses'   # who else is there, ACTIVE?",
        "no DHCP answer: openstack port list --network NET --device-owner network:dhcp   # is there a DHCP port, and is it up",
    ],
};
