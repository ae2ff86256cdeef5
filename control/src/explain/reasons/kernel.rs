//! Frames the kernel lost at a port of dvrd.

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
                   their receiver has taken them.",
            look: &[
                "top -H -p $(pidof dvrd)   # a worker at 100 %, or one that waits for its core",
                "workers.frames in dvrd.toml: more buffers make longer bursts fit",
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
    }
}
