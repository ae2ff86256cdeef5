//! Floating IPs, source NAT, fragments, QoS.

use dataplane::stage::Stage::Qrouter;

use super::Occurs::{Later, Now};
use super::Place::External;
use super::Reason;

pub(super) const FIP_NOT_LOCAL: Reason = Reason {
    place: External,
    occurs: Now,
    stages: &[Qrouter],
    more: "A packet came to this host's fg MAC on the external network, for an address that is no floating IP of a port here; or \
           for fg's own address, which answers ping and nothing else.",
    cause: "A router outside with an old ARP entry after the VM moved or its floating IP was taken away; a scan of the external \
            network; somebody who takes fg for a host to log in to.",
    look: &[
        "tshark -r DROPS.pcapng -T fields -e frame.interface_name -e eth.src -e ip.dst | sort | uniq -c",
        "openstack floating ip show FIP; openstack port show PORT -c binding_host_id   # which host should have it",
        "arping -I NIC FIP, on the external network   # one host answers, with its fg MAC",
    ],
};

pub(super) const SNAT_PORTS: Reason = Reason {
    place: External,
    occurs: Later("S3"),
    stages: &[],
    more: "Every source port of the gateway address is in use towards this destination.",
    cause: "Many connections of a whole project to one server (a proxy, a registry) through one address.",
    look: &[
        "openstack router show ROUTER -c external_gateway_info   # a second address, or floating IPs for the busy VMs",
    ],
};

pub(super) const NOT_ACTIVE_ROLE: Reason = Reason {
    place: External,
    occurs: Later("S0"),
    stages: &[],
    more: "This host is standby for the router's source NAT; only the active host translates.",
    cause: "A switch or host that has not noticed a failover yet.",
    look: &["openstack network agent list --router ROUTER --long   # HA state of each host"],
};

pub(super) const FRAG_BAD: Reason = Reason {
    place: External,
    occurs: Later("X"),
    stages: &[],
    more: "Fragments of one datagram overlap or do not fit together. Today fragments are bridged and routed one by one, unlooked at.",
    cause: "An attack on reassembly, or a broken sender.",
    look: &["tshark -r DROPS.pcapng -T fields -e ip.src -e ip.id -e ip.frag_offset -e ip.len"],
};

pub(super) const FRAG_LIMIT: Reason = Reason {
    place: External,
    occurs: Later("X"),
    stages: &[],
    more: "Fragments wait for their first one, which has the port numbers, in bounded number and for a bounded time.",
    cause: "Loss on the way: the first fragment never came; or large UDP datagrams at a high rate.",
    look: &["tshark -r DROPS.pcapng -T fields -e ip.src -e ip.dst -e ip.id -e ip.frag_offset | sort | uniq -c"],
};

pub(super) const POLICED: Reason = Reason {
    place: External,
    occurs: Later("Q"),
    stages: &[],
    more: "Above the rate and burst of the QoS policy. Rate limits are not enforced yet.",
    cause: "The policy does what it says; too small a burst for the rate makes TCP slow.",
    look: &["openstack network qos rule list POLICY; burst about a tenth of a second's worth of the rate"],
};
