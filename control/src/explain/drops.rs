//! Why a frame was dropped, with the names of this case.

use dataplane::drop_reason::DropReason;

use super::stages::Tale;

/// The reason in a sentence about this frame; in general terms where nothing more is known.
pub(super) fn because(tale: &Tale<'_>, reason: DropReason) -> String {
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
        DropReason::ReservedSrc => {
            format!("{} sends what belongs to a router or is a DVR MAC; source is {}", tale.port, source())
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
        DropReason::NoNeigh => "the MAC of the next hop is not known; asking for it is not built yet".to_owned(),
        DropReason::Martian | DropReason::LinkLocal => format!("{}: {}", addresses(), reason.meaning()),
        DropReason::Mtu => format!(
            "{}: the frame has {} bytes, the underlay's MTU is {}",
            reason.meaning(),
            tale.frame.inner.len,
            w.underlay_mtu().unwrap_or_default()
        ),
        DropReason::RouterDown | DropReason::LoopLimit => match tale.iface {
            Some(ix) => format!("{} ({})", reason.meaning(), w.iface(ix)),
            None => reason.meaning().to_owned(),
        },
        _ => reason.meaning().to_owned(),
    }
}
