//! The departures by name: `departures.rs` and `router.rs` say what dvrd does instead.

/// Name, the rule or design decision it is, the dumps that show it (as in `Dump::letter`), what it says.
pub type Named = (&'static str, &'static str, &'static str, &'static str);

pub const ALL: &[Named] = &[
    ("eth-src", "I0", "s12n", "a multicast source is dropped; Open vSwitch forwards it"),
    (
        "tagged",
        "I1, T2",
        "s12n",
        "a tag from a VM or in a tunnel is dropped; table 60 lets a VM's tag 101 into the VLAN network",
    ),
    ("reserved-src", "D7, I2", "s12", "a port may not send as a router or from the DVR OUI"),
    ("ra-guest", "I2", "s12", "a router advertisement of a port is dropped"),
    ("reserved-dst", "L2, T5", "s12n", "a frame to a DVR MAC is dropped, but for answers to probes"),
    ("probe-answer", "L2", "s12", "the answer to a probe goes to the host whose DVR MAC it is for; NORMAL floods it"),
    ("announcement", "D4, L5", "s12", "an announcement floods; table 21 answers some"),
    ("arp-reply", "D4", "12", "an ARP reply to broadcast floods; table 21 answers it like a request"),
    ("own-probe", "D4", "s12", "an address probe for the asker's own address is not answered"),
    ("arp-consumed", "I3-a", "s12", "an ARP request answered here is not flooded to this host's other ports besides"),
    ("arp-responder", "I3-a", "s", "the seed has no table 21: requests for remote ports flood"),
    (
        "arp-leak",
        "D10",
        "12",
        "ARP about routers does not leave the host; on VLANs the filter sits in a table nothing jumps to",
    ),
    (
        "arp-any-mac",
        "E1",
        "12n",
        "a request for a floating IP or fg- of this host is answered whatever MAC it was sent to",
    ),
    ("arp-to-sender", "E1", "12n", "the answer goes to the request's Ethernet source; the kernel's to its sender MAC"),
    ("fg-echo-only", "FI", "12n", "the fg- address answers echo only; the kernel says port unreachable and resets"),
    ("rs-consumed", "I3-b", "s12", "router solicitations stay on the host"),
    ("own-dvr-mac", "D8, T3, V1", "s12n", "own DVR MAC from the fabric is dropped"),
    ("dvr-wrong-vtep", "D8, T3", "s12n", "a DVR MAC is believed only from its host"),
    ("local-mac-from-fabric", "D7, T3, V1", "s12n", "a local port's or a router's MAC from the fabric is dropped"),
    ("router-arp-from-fabric", "D10, T3", "s12n", "ARP about routers, and RAs, from the fabric are dropped"),
    (
        "router-mac-from-fabric",
        "T5, V4",
        "s12n",
        "a frame of the fabric to a router MAC is dropped; the dumps' host routes it",
    ),
    ("probe-in", "R7-probe", "s12", "a remote router's probe reaches this host's ports; table 1 drops it"),
    ("gateway-by-subnet", "D5", "s", "the gateway MAC put back is that of the destination's subnet"),
    ("seed-subnet-flows", "T4", "s", "the seed's table 1 delivers by IP address alone, to whatever MAC"),
    (
        "not-here",
        "L1",
        "s12",
        "a frame for another host's port is not flooded here; br-int does until it has seen the MAC",
    ),
    ("unknown-unicast", "D2, L3", "2", "unknown unicast does not go to the fabric unless flood_unknown is on"),
    ("port-down", "I1, L1", "s", "a port bound here that is not ACTIVE gets nothing; NORMAL floods its frames"),
    ("static-rows", "L4", "s12", "a MAC of the model is not learned anywhere else"),
    ("fip-no-hop", "D3, D6", "12n", "the fip namespace is no hop"),
    (
        "neighbour-probes",
        "R7-probe",
        "s12",
        "the next hop is asked for from the DVR MAC, sender 0.0.0.0, three times; then ICMP 3/1",
    ),
    (
        "made-bytes",
        "3.10, R2-R4",
        "s12n",
        "ICMP errors, resets and echo replies straight back, with the bytes of the specification",
    ),
    ("ttl-first", "R3", "s12", "the TTL is looked at before the route; the kernel looks for the route first"),
    ("link-local", "R1", "s12n", "169.254/16 is not forwarded"),
    ("metadata", "R2-m", "12", "metadata requests are meta_blocked until the service is built"),
    ("snat-later", "S", "n", "frames for the snat namespace are dropped until it is built"),
];

/// Differences without an explanation, reported and not settled yet. An entry goes when dvrd does what `Expect::sent` says.
pub const OPEN: &[Named] = &[
    (
        "open-fg-from-inside",
        "FO, FI",
        "12",
        "a VM with a floating IP asks its host's fg- address: no_neigh; the fip namespace answers",
    ),
    (
        "open-fg-martian",
        "R1, FI",
        "12n",
        "an echo request to fg- with fg-'s address as its source is answered; the kernel drops it",
    ),
    (
        "open-answer-teaches",
        "T5, L4",
        "s12n",
        "an ARP reply to our DVR MAC that nobody awaits is dropped, and its source learned",
    ),
    (
        "open-t4-learned",
        "T4",
        "s12",
        "what a remote router sends to a MAC learned at a local port is delivered; T4 lists ports only",
    ),
];
