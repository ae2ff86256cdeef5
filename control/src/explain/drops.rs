//! Why a frame was dropped, with the names of this case.

use dataplane::drop_reason::DropReason;
use dataplane::stage::Stage;

use super::stages::Tale;

/// A drop explained.
pub(super) struct Why {
    /// In a sentence about this frame; in general terms where nothing more is known.
    pub(super) text: String,
    /// The rules that say so.
    pub(super) rule: &'static str,
}

/// Why this frame was dropped.
pub(super) fn because(tale: &Tale<'_>, stage: Stage, reason: DropReason) -> Why {
    Why { text: sentence(tale, stage, reason), rule: reason.rule() }
}

fn sentence(tale: &Tale<'_>, stage: Stage, reason: DropReason) -> String {
    let w = tale.words;
    let source = || w.mac(tale.seg, tale.src);
    let target = || w.mac(tale.seg, tale.dst);
    let network = || tale.seg.map_or_else(|| "this network".to_owned(), |seg| w.seg(seg));
    let outer = || tale.frame.outer.as_ref();
    let addresses = || match tale.addresses() {
        Some((src, dst)) => format!("{src} > {dst}"),
        None => "the packet".to_owned(),
    };
    match reason {
        DropReason::ReservedSrc if w.is_reserved(tale.seg, tale.src) => {
            format!("source {} is a router's or a DVR MAC, which no port may use", source())
        }
        DropReason::ReservedSrc => format!("{}: no port may say that of a router's address", tale.frame.inner.payload),
        DropReason::MacSpoof => format!("source {} is not the port's; it has {}", tale.src, w.own_addresses(tale.port)),
        DropReason::IpSpoof | DropReason::ArpSpoof | DropReason::NdSpoof => {
            format!("{}: the port has {}", tale.frame.inner.payload, w.own_addresses(tale.port))
        }
        DropReason::ReservedDst => format!("destination {} is a DVR MAC, which only routers may address", target()),
        DropReason::UnknownVtep => match outer() {
            Some(o) => format!("outer source {} is the VTEP of no host of the cloud", o.src),
            None => reason.meaning().to_owned(),
        },
        DropReason::UnknownVni => match outer() {
            Some(o) => format!("no network on this host has VNI {}", o.vni),
            None => reason.meaning().to_owned(),
        },
        DropReason::VtepNotMember => match outer() {
            Some(o) => format!("the host of VTEP {} has no part in {}", o.src, network()),
            None => reason.meaning().to_owned(),
        },
        DropReason::DvrWrongVtep => match outer() {
            Some(o) => format!("source {} came from VTEP {}, which does not own that DVR MAC", source(), o.src),
            None => reason.meaning().to_owned(),
        },
        DropReason::OwnDvrMac => format!("source {} is this host's own; somebody reflects or imitates it", source()),
        DropReason::LocalMacFromFabric => format!("source {} is on this host and cannot come from outside", source()),
        DropReason::DvrUnknownDst if tale.dst.is_multicast() => {
            "another host's router sent it to a group; what is routed is for one machine".to_owned()
        }
        DropReason::DvrUnknownDst => {
            format!("another host routed it to {}, which no port here has in {}", target(), network())
        }
        DropReason::RouterMacFromFabric => {
            format!("destination {} is a router interface; the sender's own host should have routed it", target())
        }
        DropReason::UnknownUnicast => {
            format!("{} is not known in {}, and flooding it is not allowed", target(), network())
        }
        DropReason::NoReceiver => format!("nobody in {} but the sender would get it", network()),
        DropReason::NoRoute => format!("no route for {}, and the source's subnet has no SNAT port", addresses()),
        DropReason::NoNeigh => "nobody answered for the address of the next hop".to_owned(),
        DropReason::Martian | DropReason::LinkLocal => format!("{}: {}", addresses(), reason.meaning()),
        DropReason::Mtu => {
            let len = tale.frame.inner.len;
            match (stage, tale.hop_seg.and_then(|seg| w.network(seg))) {
                (Stage::Qrouter, Some(network)) => {
                    let name = tale.hop_seg.map_or_else(String::new, |seg| w.seg(seg));
                    format!(
                        "the frame has {len} bytes, {} of them IP; the MTU of {name} is {}",
                        len.saturating_sub(14),
                        network.mtu
                    )
                }
                _ => {
                    let mtu = w.underlay_mtu().unwrap_or_default();
                    format!("the frame has {len} bytes, with outer headers {}; the underlay's MTU is {mtu}", len + 36)
                }
            }
        }
        DropReason::Ttl => match (tale.frame.inner.ttl, tale.iface) {
            (Some(ttl), Some(ix)) => format!("it came with TTL {ttl}, and {} would take one off", w.iface(ix)),
            _ => reason.meaning().to_owned(),
        },
        DropReason::RouterDown | DropReason::LoopLimit => match tale.iface {
            Some(ix) => format!("{} ({})", reason.meaning(), w.iface(ix)),
            None => reason.meaning().to_owned(),
        },
        _ => reason.meaning().to_owned(),
    }
}
