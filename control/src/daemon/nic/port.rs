//! The interface of a port: by AF_XDP or by a packet socket.

use super::{By, Hold, Nic, NicError, Role, Share};
use crate::daemon::config::{Interface, PortIo};
use crate::daemon::net::{Link, Netns, holder, link, veth_peer, withheld};
use dataplane::io::Port;
use dataplane::io::af_xdp::ethtool;
use dataplane::io::af_xdp::filter::Withheld;
use dataplane::io::packet::PacketPort;
use dataplane::umem::Region;

/// What a sender's kernel leaves to its NIC: by `ethtool -k`'s words.
const SEGMENTS: &str = "tx-tcp-segmentation";

impl Nic {
    /// Takes the interface of a port. One that another dvrd has by a packet socket is [`NicError::Held`] whatever `io` is.
    pub fn open_port<'u>(
        interface: &Interface,
        io: PortIo,
        region: Region<'u>,
        share: Share,
    ) -> Result<(Nic, Port<'u>), NicError> {
        let netns = Netns::open(interface.netns.as_deref())?;
        let link = link(&netns, &interface.name)?;
        if let Some(holder) = withheld(&netns, &link)? {
            return Err(NicError::Held { interface: interface.name.clone(), holder });
        }
        match way(io, &netns, &link)? {
            Way::Packet(why) => by_packets(interface, &netns, link, why),
            Way::Xdp(why) => {
                let (mut nic, ports) = Nic::open(interface, Role::Port, region, share)?;
                if let By::Xdp { why: place, .. } = &mut nic.by {
                    *place = why;
                }
                let port = ports.into_iter().next().ok_or_else(|| NicError::no_queue(interface))?;
                Ok((nic, Port::Xdp(Box::new(port))))
            }
        }
    }
}

/// By what, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Way {
    Xdp(Option<&'static str>),
    Packet(&'static str),
}

/// By what the interface of a port is to be taken.
pub(in crate::daemon) fn way(io: PortIo, netns: &Netns, link: &Link) -> Result<Way, NicError> {
    match io {
        PortIo::AfXdp => return Ok(Way::Xdp(None)),
        PortIo::Packet => return Ok(Way::Packet("as configured")),
        PortIo::Auto => {}
    }
    if link.vnet_hdr {
        return Ok(Way::Packet("its guest may leave segmentation and checksums to it"));
    }
    let Some((there, name)) = veth_peer(netns, link)? else { return Ok(Way::Xdp(Some("no offloads to carry"))) };
    let segments = there.run(|| ethtool::feature(&name, SEGMENTS).ok().flatten())?;
    Ok(match segments {
        Some(feature) if feature.on => Way::Packet("its other end leaves TCP segmentation to it"),
        _ => Way::Xdp(Some("its other end cuts TCP itself")),
    })
}

fn by_packets<'u>(
    interface: &Interface,
    netns: &Netns,
    link: Link,
    why: &'static str,
) -> Result<(Nic, Port<'u>), NicError> {
    if let Some(holder) = holder(&link) {
        return Err(NicError::Held { interface: interface.name.clone(), holder });
    }
    let opened = netns.run(|| {
        // First what keeps frames from the stack.
        let withheld = Withheld::new(link.ifindex)?;
        let port = PacketPort::open(link.ifindex)?;
        let driver = ethtool::driver(&link.name).unwrap_or_else(|_| "unknown".to_owned());
        Ok((withheld, port, driver))
    })?;
    let (withheld, port, driver) =
        opened.map_err(|error| NicError::PacketSocket { interface: interface.name.clone(), error })?;
    let nic = Nic {
        interface: interface.clone(),
        link,
        netns: netns.id(),
        driver,
        node: None, // a port, whose worker may be any
        by: By::Packet(why),
        queues: 1,
        share: PacketPort::CHUNKS,
        several: true,
        workers: 1,
        peer: None,
        _tagged: None,
        hold: Hold::Withheld { _withheld: withheld },
    };
    Ok((nic, Port::Packet(Box::new(port))))
}

#[cfg(test)]
mod tests;
