//! Two netlink sockets: one that hears, one that asks.
//!
//! Two, since a notification carries the sequence number of whoever caused it, which could be that of a question.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use futures_util::{FutureExt, Stream, StreamExt};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::LinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup, new_connection, new_multicast_connection};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::super::ask::{self, Refused};
use super::super::hops::{Entry, Hops, NoWay};
use super::super::link::{self, Link};
use super::{End, Thread};

/// How often hops that are due are looked at.
const TICK: Duration = Duration::from_millis(100);
/// The kernel is reminded of at most so many neighbours a tick, 500 a second: each may be an ARP request.
const NUDGES: usize = 50;
/// All routes are looked up at most this often.
const ROUTES: Duration = Duration::from_millis(250);
/// They are also looked up this often without a reason (a route by nexthop object changes unheard).
const ROUTES_ANYWAY: Duration = Duration::from_secs(30);
/// More entries than this are read by one dump.
const ONE_BY_ONE: usize = 64;
/// Notifications that are heard before anything is done about them.
const HEARD: usize = 4096;

const GROUPS: [MulticastGroup; 4] =
    [MulticastGroup::Neigh, MulticastGroup::Link, MulticastGroup::Ipv4Route, MulticastGroup::Ipv4Rule];

type Heard = (NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr);

/// Open sockets, and what has to be read anew.
pub(super) struct Session {
    handle: Handle,
    heard: Box<dyn Stream<Item = Heard> + Unpin>,
    connections: [JoinHandle<()>; 2],
    /// The interface as it is.
    link: Option<Link>,
    link_dirty: bool,
    routes_dirty: bool,
    routes_read: Option<Instant>,
    dirty: BTreeSet<IpAddr>,
    all_dirty: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connections.iter().for_each(JoinHandle::abort);
    }
}

impl Session {
    /// Opens both in the namespace of the calling thread; what is heard from now on is kept.
    pub(super) fn open(buffer: usize) -> std::io::Result<Session> {
        let (mut hearing, _, heard) = new_multicast_connection(&GROUPS)?;
        hearing.socket_mut().socket_mut().set_rx_buf_sz(i32::try_from(buffer).unwrap_or(i32::MAX))?;
        let (asking, handle, _) = new_connection()?;
        Ok(Session {
            handle,
            heard: Box::new(heard),
            connections: [tokio::spawn(hearing), tokio::spawn(asking)],
            link: None,
            link_dirty: true,
            routes_dirty: true,
            routes_read: None,
            dirty: BTreeSet::new(),
            all_dirty: true,
        })
    }

    /// Follows until nobody wants anything any more, or netlink fails.
    pub(super) async fn run(mut self, t: &mut Thread) -> End {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        t.wants.mark_changed();
        let mut nudges = NUDGES;
        loop {
            tokio::select! {
                changed = t.wants.changed() => {
                    if changed.is_err() {
                        return End::Stopped;
                    }
                    t.hops.want(&t.wants.borrow_and_update());
                    (self.routes_dirty, self.routes_read) = (true, None);
                }
                () = t.asked.news.notified() => {
                    let asked = std::mem::take(&mut *t.asked.vteps.lock().unwrap_or_else(PoisonError::into_inner));
                    let now = Instant::now();
                    self.routes_dirty |= asked.into_iter().fold(false, |no_way, vtep| t.hops.ask(vtep, now) | no_way);
                }
                heard = self.heard.next() => match heard {
                    Some((message, _)) => self.hear(message, t),
                    None => return End::Lost("the socket was closed".to_owned()),
                },
                _ = tick.tick() => nudges = NUDGES,
            }
            for _ in 0..HEARD {
                let Some(Some((message, _))) = self.heard.next().now_or_never() else { break };
                self.hear(message, t);
            }
            if let Err(e) = self.catch_up(t, &mut nudges).await {
                return End::Lost(e.to_string());
            }
            let link = self.link.as_ref().map_or((false, None, 0), |l| (l.is_running(), l.mac, l.mtu));
            if !t.teller.tell(link, &mut t.hops) {
                return End::Stopped;
            }
        }
    }

    /// Notes what a notification is about.
    fn hear(&mut self, message: NetlinkMessage<RouteNetlinkMessage>, t: &Thread) {
        use RouteNetlinkMessage::*;
        match message.payload {
            NetlinkPayload::Overrun(_) => {
                t.overruns.fetch_add(1, Ordering::Relaxed);
                (self.link_dirty, self.routes_dirty, self.all_dirty) = (true, true, true);
            }
            NetlinkPayload::InnerMessage(NewNeighbour(m) | DelNeighbour(m)) => {
                let ours = self.link.as_ref().is_some_and(|l| l.ifindex == m.header.ifindex);
                self.dirty.extend(destination(&m).filter(|ip| ours && t.hops.contains(*ip)));
            }
            NetlinkPayload::InnerMessage(NewLink(m) | DelLink(m)) => {
                self.link_dirty |= self.is_ours(&m, &t.interface);
                self.routes_dirty = true; // routes by an interface that goes down end unheard
            }
            NetlinkPayload::InnerMessage(NewRoute(_) | DelRoute(_) | NewRule(_) | DelRule(_)) => {
                self.routes_dirty = true
            }
            _ => {}
        }
    }

    fn is_ours(&self, message: &LinkMessage, interface: &str) -> bool {
        let link = Link::of(message);
        link.name == interface || self.link.as_ref().is_some_and(|l| l.ifindex == link.ifindex)
    }

    /// Reads anew what has to be, and reminds the kernel of what is due.
    async fn catch_up(&mut self, t: &mut Thread, nudges: &mut usize) -> Result<(), Refused> {
        if std::mem::take(&mut self.link_dirty) {
            let link = link::by_name(&self.handle, &t.interface).await?;
            if link.as_ref().map(|l| l.ifindex) != self.link.as_ref().map(|l| l.ifindex) {
                t.hops.forget_entries(Instant::now());
                (self.routes_dirty, self.routes_read, self.all_dirty) = (true, None, true);
            }
            self.link = link;
        }
        self.read_routes(&mut t.hops).await?;
        let Some(link) = self.link.clone() else { return Ok(()) };
        self.read_neighbours(&mut t.hops, link.ifindex).await?;
        if link.is_running() {
            self.nudge(&mut t.hops, link.ifindex, nudges).await?;
        }
        Ok(())
    }

    async fn read_routes(&mut self, hops: &mut Hops) -> Result<(), Refused> {
        let since = self.routes_read.map(|t| t.elapsed());
        let due = since.is_none_or(|s| s >= if self.routes_dirty { ROUTES } else { ROUTES_ANYWAY });
        if !due {
            return Ok(());
        }
        self.routes_dirty = false;
        let mut ways = Vec::new();
        for vtep in hops.vteps() {
            let way = match &self.link {
                None => Err(NoWay::NoInterface),
                Some(link) => way(&self.handle, vtep, link.ifindex).await?,
            };
            ways.push((vtep, way));
        }
        let now = Instant::now();
        self.dirty.extend(hops.set_ways(ways, now));
        self.routes_read = Some(now);
        Ok(())
    }

    async fn read_neighbours(&mut self, hops: &mut Hops, ifindex: u32) -> Result<(), Refused> {
        let mut one_by_one: Vec<IpAddr> = std::mem::take(&mut self.dirty).into_iter().collect();
        if std::mem::take(&mut self.all_dirty) || one_by_one.len() > ONE_BY_ONE {
            let found = dump(&self.handle, ifindex).await?;
            let listed: BTreeSet<IpAddr> = found.iter().map(|(ip, _)| *ip).collect();
            // A dump can pass over an entry that moves meanwhile: one that was there is asked for.
            one_by_one = hops.hops().filter(|ip| !listed.contains(ip) && hops.is_usable(*ip)).collect();
            let now = Instant::now();
            found.into_iter().for_each(|(ip, entry)| hops.set_entry(ip, Some(entry), now));
        }
        for ip in one_by_one {
            let entry = neighbour(&self.handle, ifindex, ip).await?;
            hops.set_entry(ip, entry, Instant::now());
        }
        Ok(())
    }

    async fn nudge(&mut self, hops: &mut Hops, ifindex: u32, nudges: &mut usize) -> Result<(), Refused> {
        for ip in hops.due(Instant::now(), *nudges) {
            *nudges -= 1;
            let entry = neighbour(&self.handle, ifindex, ip).await?;
            let now = Instant::now();
            hops.set_entry(ip, entry, now);
            if hops.visit(ip, now) {
                hops.set_trouble(ip, use_neighbour(&self.handle, ifindex, ip).await?);
            }
        }
        Ok(())
    }
}

/// The next hop to a VTEP: itself, or a gateway.
async fn way(handle: &Handle, vtep: Ipv4Addr, underlay: u32) -> Result<Result<IpAddr, NoWay>, Refused> {
    let mut question = RouteMessage::default();
    question.header.address_family = AddressFamily::Inet;
    question.header.destination_prefix_length = 32;
    question.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(vtep)));
    let route = match ask::one(handle, RouteNetlinkMessage::GetRoute(question), 0).await {
        Ok(Some(RouteNetlinkMessage::NewRoute(route))) => route,
        Ok(_) => return Err(Refused::Silent),
        Err(Refused::Silent) => return Err(Refused::Silent),
        Err(e) => return Ok(Err(NoWay::NoRoute(e.to_string()))),
    };
    match route.header.kind {
        RouteType::Unicast => {}
        RouteType::Local => return Ok(Err(NoWay::NotAHost("an address of this machine"))),
        RouteType::Broadcast | RouteType::Multicast => return Ok(Err(NoWay::NotAHost("no single machine"))),
        kind => return Ok(Err(NoWay::NoRoute(format!("{kind:?}").to_lowercase()))),
    }
    let oif = route.attributes.iter().find_map(|a| if let RouteAttribute::Oif(i) = a { Some(*i) } else { None });
    if oif != Some(underlay) {
        let name = match oif {
            Some(i) => link::by_index(handle, i).await?.map_or_else(|| format!("interface {i}"), |l| l.name),
            None => "no interface".to_owned(),
        };
        return Ok(Err(NoWay::OtherInterface(name)));
    }
    let gateway = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) | RouteAttribute::Via(RouteVia::Inet(ip)) => {
            Some(IpAddr::V4(*ip))
        }
        RouteAttribute::Via(RouteVia::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    });
    Ok(Ok(gateway.unwrap_or(IpAddr::V4(vtep))))
}

fn about(ifindex: u32, ip: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = ifindex;
    let (family, address) = match ip {
        IpAddr::V4(ip) => (AddressFamily::Inet, NeighbourAddress::Inet(ip)),
        IpAddr::V6(ip) => (AddressFamily::Inet6, NeighbourAddress::Inet6(ip)),
    };
    message.header.family = family;
    message.attributes.push(NeighbourAttribute::Destination(address));
    message
}

/// The kernel's entry for a neighbour.
async fn neighbour(handle: &Handle, ifindex: u32, ip: IpAddr) -> Result<Option<Entry>, Refused> {
    match ask::one(handle, RouteNetlinkMessage::GetNeighbour(about(ifindex, ip)), 0).await {
        Ok(Some(RouteNetlinkMessage::NewNeighbour(m))) => Ok(Some(entry(&m))),
        Ok(_) => Ok(None),
        Err(Refused::Silent) => Err(Refused::Silent),
        // No entry; or no interface, which a notification will tell.
        Err(Refused::Errno(_)) => Ok(None),
    }
}

/// All entries of an interface.
async fn dump(handle: &Handle, ifindex: u32) -> Result<Vec<(IpAddr, Entry)>, Refused> {
    let mut question = NeighbourMessage::default();
    question.attributes.push(NeighbourAttribute::IfIndex(ifindex));
    let answers = ask::all(handle, RouteNetlinkMessage::GetNeighbour(question), NLM_F_DUMP).await?;
    let ours = |m: RouteNetlinkMessage| match m {
        RouteNetlinkMessage::NewNeighbour(m) if m.header.ifindex == ifindex => Some((destination(&m)?, entry(&m))),
        _ => None,
    };
    Ok(answers.into_iter().filter_map(ours).collect())
}

/// Tells the kernel that the neighbour is in use, so that it looks for it (`ip neigh add ... use`).
async fn use_neighbour(handle: &Handle, ifindex: u32, ip: IpAddr) -> Result<Option<NoWay>, Refused> {
    let mut message = about(ifindex, ip);
    message.header.flags = NeighbourFlags::Use;
    match ask::one(handle, RouteNetlinkMessage::NewNeighbour(message), NLM_F_ACK | NLM_F_CREATE).await {
        Ok(_) => Ok(None),
        Err(Refused::Silent) => Err(Refused::Silent),
        Err(e) if e.is(Errno::NOBUFS) => Ok(Some(NoWay::TableFull)),
        // The interface went away meanwhile.
        Err(e) if e.is(Errno::NODEV) => Ok(None),
        Err(e) => Ok(Some(NoWay::Refused(e.to_string()))),
    }
}

fn destination(m: &NeighbourMessage) -> Option<IpAddr> {
    m.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}

fn entry(m: &NeighbourMessage) -> Entry {
    let state: NeighbourState = m.header.state;
    let mac: Option<MacAddr> = m.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::LinkLayerAddress(bytes) => link::mac(bytes),
        _ => None,
    });
    Entry { state, mac }
}
