//! The thread that follows the underlay: its interface, and the MAC addresses that lead to the other hosts' VTEPs.
//!
//! A notification of the kernel only says where to look: what it is about is read anew. So none can arrive too late, and
//! where some were lost (`ENOBUFS`) everything is read anew.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dataplane::addr::MacAddr;
use tokio::sync::{Notify, watch};

use super::ask::{kernel, runtime};
use super::hops::{Hops, NeighbourEvent, News, NoWay};
use super::{NetError, Netns};

mod session;
use session::Session;

/// What has changed on the underlay. Only changes are told; nothing is known at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnderlayEvent {
    /// The underlay's interface. The first event tells what it is at the start.
    Link {
        /// It is up and has a carrier. False too where it is gone.
        up: bool,
        /// Its address; `None`: it is gone.
        mac: Option<MacAddr>,
        /// Its MTU, bytes of IP packet; 0 where it is gone.
        mtu: u32,
    },
    /// The MAC address for a VTEP.
    Neighbour(NeighbourEvent),
    /// A VTEP has no MAC address for a reason that somebody has to see to; `None`: no longer.
    NoWay {
        /// The VTEP.
        vtep: Ipv4Addr,
        /// Why, and what to do.
        why: Option<NoWay>,
    },
}

/// The underlay, followed by a thread for as long as this lives.
#[derive(Debug)]
pub struct Underlay {
    wanted: Option<watch::Sender<BTreeSet<Ipv4Addr>>>,
    asked: Arc<Asked>,
    thread: Option<JoinHandle<()>>,
    overruns: Arc<AtomicU64>,
}

impl Underlay {
    /// Starts to follow an interface. Events come by the receiver; while it holds `room` of them the thread waits with
    /// what is new, and later tells how things are then. Fails where the interface is not there.
    pub fn follow(
        netns: &Netns,
        interface: &str,
        room: usize,
    ) -> Result<(Underlay, Receiver<UnderlayEvent>), NetError> {
        Underlay::start(netns, interface, room, RECEIVE_BUFFER)
    }

    pub(super) fn start(
        netns: &Netns,
        interface: &str,
        room: usize,
        buffer: usize,
    ) -> Result<(Underlay, Receiver<UnderlayEvent>), NetError> {
        super::link(netns, interface)?;
        let (wanted, wants) = watch::channel(BTreeSet::new());
        let asked = Arc::new(Asked::default());
        let (events, receiver) = sync_channel(room);
        let (ready, started) = sync_channel(1);
        let overruns = Arc::new(AtomicU64::new(0));
        let thread = Thread {
            netns: netns.clone(),
            interface: interface.to_owned(),
            buffer,
            wants,
            asked: asked.clone(),
            overruns: overruns.clone(),
            hops: Hops::default(),
            teller: Teller { events, link: None },
        };
        let failed = |e: std::io::Error| kernel(netns, "the thread that follows the underlay", e);
        let builder = std::thread::Builder::new().name("underlay".to_owned());
        let handle = builder.spawn(move || thread.run(&ready)).map_err(failed)?;
        let underlay = Underlay { wanted: Some(wanted), asked, thread: Some(handle), overruns };
        match started.recv() {
            Ok(Ok(())) => Ok((underlay, receiver)),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(kernel(netns, "the thread that follows the underlay", "it ended at once")),
        }
    }

    /// The VTEPs to find from now on, all of them. One that was there before is not told again.
    pub fn set_vteps(&self, vteps: impl IntoIterator<Item = Ipv4Addr>) {
        if let Some(wanted) = &self.wanted {
            wanted.send_replace(vteps.into_iter().collect());
        }
    }

    /// Frames wait for the way to these VTEPs: the kernel is reminded now of those it has no address for. Of others than the
    /// wanted ones nothing comes.
    pub fn ask(&self, vteps: impl IntoIterator<Item = Ipv4Addr>) {
        self.asked.vteps.lock().unwrap_or_else(PoisonError::into_inner).extend(vteps);
        self.asked.news.notify_one();
    }

    /// How often the kernel lost notifications, so that everything was read anew.
    pub fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }

    /// Ends the thread and waits for its end. Dropping does the same.
    pub fn stop(self) {}
}

impl Drop for Underlay {
    fn drop(&mut self) {
        self.wanted = None; // which the thread sees
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that followed the underlay's neighbours had panicked");
        }
    }
}

/// VTEPs asked for that the thread has not looked at yet: no more than the tables have hosts.
#[derive(Debug, Default)]
struct Asked {
    vteps: Mutex<BTreeSet<Ipv4Addr>>,
    news: Notify,
}

/// Bytes of notifications the kernel keeps for us (up to `net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 1 << 20;
/// After netlink failed, until it is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// How a session ended.
enum End {
    /// Nobody wants anything any more.
    Stopped,
    /// Netlink failed.
    Lost(String),
}

struct Thread {
    netns: Netns,
    interface: String,
    buffer: usize,
    wants: watch::Receiver<BTreeSet<Ipv4Addr>>,
    asked: Arc<Asked>,
    overruns: Arc<AtomicU64>,
    hops: Hops,
    teller: Teller,
}

impl Thread {
    fn run(mut self, ready: &SyncSender<Result<(), NetError>>) {
        let failed = |e: std::io::Error| kernel(&self.netns, "netlink", e);
        let runtime = match self.netns.enter().and_then(|()| runtime().map_err(failed)) {
            Ok(runtime) => runtime,
            Err(e) => return drop(ready.send(Err(e))),
        };
        runtime.block_on(async {
            let mut opened = Session::open(self.buffer).map_err(|e| kernel(&self.netns, "netlink", e));
            // Nobody waits for this but once.
            let first = opened.as_ref().map(drop).map_err(|e| kernel(&self.netns, "netlink", e));
            if ready.send(first).is_err() || opened.is_err() {
                return;
            }
            loop {
                let end = match opened {
                    Ok(session) => session.run(&mut self).await,
                    Err(e) => End::Lost(e.to_string()),
                };
                let End::Lost(why) = end else { return };
                tracing::warn!("underlay {}: netlink failed, tried again in 1 s: {why}", self.interface);
                tokio::time::sleep(REOPEN).await;
                if self.wants.has_changed().is_err() {
                    return;
                }
                opened = Session::open(self.buffer).map_err(|e| kernel(&self.netns, "netlink", e));
            }
        });
    }
}

/// Sends what has changed, and keeps what did not go.
struct Teller {
    events: SyncSender<UnderlayEvent>,
    /// What was told about the interface.
    link: Option<(bool, Option<MacAddr>, u32)>,
}

impl Teller {
    /// Tells what is new. `false`: nobody listens any more.
    fn tell(&mut self, link: (bool, Option<MacAddr>, u32), hops: &mut Hops) -> bool {
        let (mut full, mut gone) = (false, false);
        let events = &self.events;
        let mut send = |event| {
            if full || gone {
                return false;
            }
            let sent = events.try_send(event);
            full = matches!(sent, Err(TrySendError::Full(_)));
            gone = matches!(sent, Err(TrySendError::Disconnected(_)));
            sent.is_ok()
        };
        if self.link != Some(link) && send(UnderlayEvent::Link { up: link.0, mac: link.1, mtu: link.2 }) {
            self.link = Some(link);
        }
        hops.tell(|vtep, news| {
            send(match news {
                News::Mac(mac) => UnderlayEvent::Neighbour(NeighbourEvent { vtep, mac }),
                News::NoWay(why) => UnderlayEvent::NoWay { vtep, why },
            })
        });
        !gone
    }
}
