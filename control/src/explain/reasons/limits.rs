//! Counters of the writer: limits of learning, and rows that found no slot. docs/limits.md has their values.

use super::Happening;

/// By the names of [`Writer::counters`](crate::writer::Writer::counters).
pub(super) const OF_WRITER: [(&str, Happening); 7] = [
    (
        "learn_rate_limited",
        Happening {
            meaning: "a new address was not learned, because its host or port brings new ones too fast",
            more: "The frame itself went on; the address is learned from a later one. One host or local port may bring 1,000 new \
                   addresses a second, 2,000 at once; one that moves is new where it moves to. Someone sends with changing \
                   source MACs, or two places send with the same ones.",
            look: &[
                "capture on the tunnel: tcpdump -e -n -i NIC udp port 4789; count the inner source MACs by outer source",
                "openstack port list --network NET --long; which ports have port_security_enabled False",
            ],
        },
    ),
    (
        "learn_quota_evicted",
        Happening {
            meaning: "a learned address was forgotten for a new one, because its host or port had as many as it may",
            more: "One host may have 1,024 learned addresses in a network, one local port 64; the longest unseen one goes, and \
                   frames to it are unknown unicast until it sends again. No other host or port loses any.",
            look: &[
                "dvrctl explain unknown_unicast   # what becomes of frames to an address that was forgotten",
                "so many machines behind one port: give those that stay a Neutron port, which is no learned address",
            ],
        },
    ),
    (
        "learn_table_full",
        Happening {
            meaning: "all learned addresses of this host together were as many as there may be, or their table was",
            more: "A source that has learned addresses gave its longest unseen one for the new one; one that has none got none. Also \
                   if a worker stands still so long that the slots of deleted rows cannot be used again.",
            look: &[
                "dvrctl check --cloud FILE --host HOST   # the limits of the tables",
                "which hosts and ports send with many source MACs: tcpdump -e -n -i NIC udp port 4789",
            ],
        },
    ),
    (
        "vip_damped",
        Happening {
            meaning: "an announcement did not move a VIP, because it moves more than 10 times a second",
            more: "Two owners of an allowed address pair both claim its address, over and over: each believes to be master. \
                   Traffic goes to the one believed last; the next announcement after a quiet tenth of a second is believed \
                   again.",
            look: &[
                "in both guests: journalctl -u keepalived; do they see each other's VRRP (protocol 112)?",
                "openstack port list --fixed-ip ip-address=VIP; openstack port show OWNER -c allowed_address_pairs",
            ],
        },
    ),
    (
        "resolve_refused",
        Happening {
            meaning: "an address was not asked for by ARP, because too many are asked for or known already",
            more: "The packets for it wait, are looked at once a second, and dropped as neigh_queue_full when more come. The table \
                   of addresses that are no ports of the model has its own limit (dvrctl check prints it).",
            look: &[
                "who scans: tshark -r DROPS.pcapng -q -z endpoints,ip",
                "dvrctl check --cloud FILE --host HOST   # tables and limits",
            ],
        },
    ),
    (
        "made_lost",
        Happening {
            meaning: "a probe or an announcement was not sent, because too many wait for the worker that sends them",
            more: "8,192 may wait. It cannot happen while that worker goes on: it takes 64 a millisecond. Of an announcement two \
                   more rounds follow; an address that was not asked for is asked for again a second later.",
            look: &[
                "dvrd's log, and its threads: is worker-0 scheduled? top -H -p $(pidof dvrd)",
                "how many floating IPs and router interfaces the host has: dvrctl check --cloud FILE --host HOST",
            ],
        },
    ),
    (
        "row_not_stored",
        Happening {
            meaning: "a row was not stored, because the slots of a table near its place were all taken",
            more: "Frames that need the row meet the table as if it had none. It cannot happen within the stated limits but by a \
                   hash that is as good as never, or if a worker stands still while many rows come and go.",
            look: &[
                "the log of dvrd: `row not stored`, with the key; load the cloud again",
                "dvrctl check --cloud FILE --host HOST   # rows against limits",
            ],
        },
    ),
];
