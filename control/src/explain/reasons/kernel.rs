//! Frames lost between a port of dvrd and the kernel.

use super::Happening;
use dataplane::counters::KernelLoss;

/// The entry of a loss.
pub fn of_loss(loss: KernelLoss) -> &'static Happening {
    match loss {
        KernelLoss::RxRingFull => &Happening {
            meaning: "frames the kernel dropped because the socket's RX ring was full",
            more: "The worker that owns the queue did not look at it for as long as the ring lasts: 2,048 frames, or fewer if \
                   the port's share of buffers is smaller. Short bursts of it come from a worker that was not scheduled.",
            look: &[
                "top -H -p $(pidof dvrd)   # a worker at 100 %: give it fewer ports, or the host more workers",
                "workers.cores in dvrd.toml: pinned to a core that others use?",
            ],
        },
        KernelLoss::RxFillRingEmpty => &Happening {
            meaning: "frames the kernel dropped because the socket had no buffer to receive into",
            more: "As rx_ring_full, from the other side: the frames received wait for the worker, and nobody has given the \
                   kernel new buffers. With few buffers it comes before the RX ring is full. Sent frames hold buffers too, until \
                   their receiver has taken them. A TCP sender that goes as fast as it can finds the bound, and sends each of \
                   these again: a few in a thousand are how it knows the rate.",
            look: &[
                "top -H -p $(pidof dvrd)   # a worker at 100 %, or one that waits for its core",
                "workers.frames in dvrd.toml: more buffers make longer bursts fit, up to 2,048 a queue",
                "ethtool -S IFACE | grep drops   # a veth counts the same frames",
            ],
        },
        KernelLoss::RxDropped => &Happening {
            meaning: "frames the kernel could not put into a buffer",
            more: "Longer than 1,792 bytes where the driver gives no frames in several buffers, or longer than a packet can be: a \
                   guest on a tap taken by AF_XDP that sends segments for the host to cut (TSO).",
            look: &[
                "ip link show IFACE   # its MTU, and at the other end",
                "ethtool -k eth0 | grep segmentation   # in the guest; off: ethtool -K eth0 tso off gso off",
            ],
        },
        KernelLoss::TxRefused => &Happening {
            meaning: "frames the kernel would not send by a packet socket",
            more: "The interface is down, or its receiver's queue is full: the other end of a veth takes what comes when its \
                   core has time for it. They are counted as sent in the books, which end at the socket.",
            look: &[
                "ip -s link show IFACE   # down? its own drops?",
                "in the guest: mpstat -P ALL 1 (%soft); ethtool -S eth0",
            ],
        },
        KernelLoss::TxInvalid => &Happening {
            meaning: "frames the kernel refused to send because their descriptor was wrong",
            more: "Must stay 0. A count is a defect of dvrd to report.",
            look: &["the banner dvrd printed, and the kernel's version (uname -r)"],
        },
        KernelLoss::RxInvalid => &Happening {
            meaning: "received descriptors that named no buffer of the socket, or no whole frame",
            more: "Must stay 0. A count is a defect of dvrd or of the driver, to report.",
            look: &["the banner dvrd printed, and the driver (ethtool -i IFACE)"],
        },
        KernelLoss::TxCompletionLag => &Happening {
            meaning: "of tx_full: as many sent frames as the port may have were not given back by the kernel yet",
            more: "The kernel has taken them, and whoever receives them keeps them: a queue or shaper behind the interface, a VM that \
                   does not read, a driver that tells late what it has sent. Where the kernel copies, a buffer comes back when the \
                   receiver's stack has taken the frame.",
            look: &[
                "Packet buffers ... being sent, in the books   # kill -USR1 $(pidof dvrd)",
                "tc -s qdisc show dev IFACE   # at both ends of a veth, and behind a bridge: backlog",
                "in the guest: mpstat -P ALL 1 (%steal, %soft)",
            ],
        },
        KernelLoss::TxRingFull => &Happening {
            meaning: "of tx_full: the kernel had not looked at all the frames it was given to send",
            more: "More came for the port than its queue takes at once: a line at its rate, several senders to one VM, or a queue \
                   that another program has stopped.",
            look: &["ip -s link show IFACE", "tc -s qdisc show dev IFACE", "dvrctl explain tx_full"],
        },
        KernelLoss::TxDown => &Happening {
            meaning: "of tx_full: the interface was down, or gone",
            more: "Nothing is kept for it: the next frame tries again.",
            look: &["ip link show IFACE   # state UP?", "dvrd's log: the interface is gone"],
        },
    }
}
