//! One interface.

use rtnetlink::Handle;
use rtnetlink::packet_core::Nla;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoData, InfoTun, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, XdpAttached,
};
use rustix::io::Errno;

use super::ask::{self, Refused, ask, kernel};
use super::{NetError, Netns};
use dataplane::addr::MacAddr;

/// An interface, as it was when the kernel was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, unique in its namespace only.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; none for an interface without one.
    pub mac: Option<MacAddr>,
    /// Bytes of IP packet.
    pub mtu: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Has a carrier (`IFF_LOWER_UP`).
    pub lower_up: bool,
    /// The driver's word: `veth`, `tun` (taps too), `bridge`, ...; empty for a NIC.
    pub kind: String,
    /// What it is the other end of (`IFLA_LINK`): a veth's peer. For other kinds, what it stands on.
    pub peer: Option<VethEnd>,
    /// What it is a port of (`IFLA_MASTER`): a bridge, a bond.
    pub controller: Option<u32>,
    /// Of a VLAN device its VLAN id (`IFLA_VLAN_ID`).
    pub vlan: Option<u16>,
    /// An XDP program on it (`IFLA_XDP`).
    pub xdp: Option<XdpProgram>,
    /// A tap whose owner gets frames with a virtio header (`IFLA_TUN_VNET_HDR`): checksums may be unfinished.
    pub vnet_hdr: bool,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Its id.
    pub id: u32,
    /// Where it runs: `native`, `SKB`, `offloaded`; `native and SKB` if there are several, of which `id` is one.
    pub mode: &'static str,
}

/// Where the other end of a veth is, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VethEnd {
    /// Its index in its own namespace.
    pub ifindex: u32,
    /// That namespace's id as seen from here (`IFLA_LINK_NETNSID`); none: the same namespace. Negative: it has no id here.
    pub nsid: Option<i32>,
}

impl Link {
    /// Frames can be sent: up and with a carrier.
    pub fn is_running(&self) -> bool {
        self.up && self.lower_up
    }

    pub(super) fn of(message: &LinkMessage) -> Link {
        let flags = message.header.flags;
        let mut link = Link {
            ifindex: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            lower_up: flags.contains(LinkFlags::LowerUp),
            kind: String::new(),
            peer: None,
            controller: None,
            vlan: None,
            xdp: None,
            vnet_hdr: false,
        };
        let (mut on, mut nsid) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(bytes) => link.mac = mac(bytes),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Link(index) => on = Some(*index),
                LinkAttribute::LinkNetNsId(id) => nsid = Some(*id),
                LinkAttribute::Controller(index) => link.controller = Some(*index).filter(|index| *index != 0),
                LinkAttribute::Xdp(xdp) => link.xdp = program(xdp),
                LinkAttribute::LinkInfo(infos) => {
                    let kind =
                        infos.iter().find_map(|i| if let LinkInfo::Kind(k) = i { Some(k.to_string()) } else { None });
                    link.kind = kind.unwrap_or_default();
                    link.vnet_hdr = infos.iter().any(vnet_hdr);
                    link.vlan = infos.iter().find_map(vlan);
                }
                _ => {}
            }
        }
        link.peer = on.filter(|i| *i != 0).map(|ifindex| VethEnd { ifindex, nsid });
        link
    }
}

/// `IFLA_TUN_VNET_HDR` of include/uapi/linux/if_link.h, a byte.
const TUN_VNET_HDR: u16 = 5;

fn vnet_hdr(info: &LinkInfo) -> bool {
    let LinkInfo::Data(InfoData::Tun(all)) = info else { return false };
    all.iter().any(|nla| {
        let InfoTun::Other(nla) = nla else { return false };
        let mut value = vec![0; nla.value_len()];
        nla.emit_value(&mut value);
        nla.kind() == TUN_VNET_HDR && value.first().is_some_and(|on| *on != 0)
    })
}

fn vlan(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(all)) = info else { return None };
    all.iter().find_map(|nla| if let InfoVlan::Id(id) = nla { Some(*id) } else { None })
}

/// With several programs (`XDP_ATTACHED_MULTI`) the kernel gives the id of each mode's, and no `IFLA_XDP_PROG_ID`.
fn program(xdp: &[LinkXdp]) -> Option<XdpProgram> {
    let mode = xdp.iter().find_map(|a| if let LinkXdp::Attached(mode) = a { Some(*mode) } else { None })?;
    let mode = match mode {
        XdpAttached::None => return None,
        XdpAttached::Driver => "native",
        XdpAttached::SocketBuffer => "SKB",
        XdpAttached::Hardware => "offloaded",
        _ => "native and SKB",
    };
    let id = xdp.iter().find_map(|a| match a {
        LinkXdp::ProgId(id) | LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    })?;
    (id != 0).then_some(XdpProgram { id, mode })
}

/// An Ethernet address; `None` if it is not 6 bytes.
pub(super) fn mac(bytes: &[u8]) -> Option<MacAddr> {
    bytes.try_into().ok().map(MacAddr::new)
}

/// Asks for an interface by its name.
pub fn link(netns: &Netns, name: &str) -> Result<Link, NetError> {
    let what = format!("interface {name}");
    let found = ask(netns, &what, |handle| async move { Ok(by_name(&handle, name).await) })?;
    let none = || NetError::NoLink { interface: name.to_owned(), netns: netns.clone() };
    found.map_err(|e| kernel(netns, &what, e))?.ok_or_else(none)
}

/// The same by its index.
pub(in crate::daemon) fn link_by_index(netns: &Netns, ifindex: u32) -> Result<Option<Link>, NetError> {
    let what = format!("interface {ifindex}");
    let found = ask(netns, &what, |handle| async move { Ok(by_index(&handle, ifindex).await) })?;
    found.map_err(|e| kernel(netns, &what, e))
}

pub(super) async fn by_name(handle: &Handle, name: &str) -> Result<Option<Link>, Refused> {
    let mut question = LinkMessage::default();
    question.attributes.push(LinkAttribute::IfName(name.to_owned()));
    get(handle, question).await
}

pub(super) async fn by_index(handle: &Handle, ifindex: u32) -> Result<Option<Link>, Refused> {
    let mut question = LinkMessage::default();
    question.header.index = ifindex;
    get(handle, question).await
}

async fn get(handle: &Handle, question: LinkMessage) -> Result<Option<Link>, Refused> {
    match ask::one(handle, RouteNetlinkMessage::GetLink(question), 0).await {
        Ok(Some(RouteNetlinkMessage::NewLink(message))) => Ok(Some(Link::of(&message))),
        Ok(_) => Ok(None),
        Err(e) if e.is(Errno::NODEV) => Ok(None),
        Err(e) => Err(e),
    }
}
