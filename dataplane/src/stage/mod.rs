//! The stages of the pipeline, one file each, named after the Neutron table or namespace they replace.

use crate::burst::{Burst, Door, Lane, Mask};
use crate::counters::{Event, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::drop_tap::{DropTap, Dropped};
use crate::learn::LearnQueue;
use crate::stage_clock::StageClock;
use crate::tables::{
    InterfaceRow, PortIx, PortRow, RouterRow, SegRow, Snapshot, SnapshotSource, Tables, TunnelIx, TunnelRow,
};
use crate::trace::{Note, TraceRecord, Tracer};
use crate::umem::Region;

mod arp_responder;
mod decode;
mod dvr_process;
mod dvr_to_src_mac;
mod egress;
mod floating_ip;
mod flood_to_tun;
mod fragments;
mod handoff;
mod icmp_error;
mod ingress;
mod learn_from_tun;
mod learning_blocker;
mod local_switching;
mod lv_to_phys;
mod made;
mod offload;
mod parked;
mod phys_to_lv;
mod qrouter;
mod segments;
mod unresolved;
mod vm_port;
mod vxlan_decap;
mod vxlan_encap;
mod vxlan_tun_to_lv;

pub use arp_responder::arp_responder;
pub use decode::decode;
pub use dvr_process::dvr_process;
pub use dvr_to_src_mac::dvr_to_src_mac;
pub use egress::{account, egress};
pub use flood_to_tun::go_on;
pub use handoff::take_over;
pub use ingress::{Doors, ingress};
pub use learn_from_tun::{learn_from_port, learn_from_tun};
pub use learning_blocker::{Fabric, learning_blocker};
pub use local_switching::local_switching;
pub use lv_to_phys::lv_to_phys;
pub use made::{Made, MadeFor, send_made};
pub use offload::offload;
pub use parked::{give_up, ready, wake};
pub use phys_to_lv::phys_to_lv;
pub use qrouter::{from_router, qrouter};
pub(crate) use unresolved::is_over;
pub use unresolved::{expire, give_up_unresolved, send_resolved};
pub use vm_port::vm_port;
pub use vxlan_decap::vxlan_decap;
pub use vxlan_encap::{source_port, vxlan_encap};
pub use vxlan_tun_to_lv::{vxlan_inner, vxlan_tun_to_lv};

macro_rules! stages {
    ($($variant:ident $name:literal $neutron:literal,)*) => {
        /// A place in the pipeline, for counters and traces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Stage {
            $(#[doc = concat!("`", $name, "`: ", $neutron, ".")] $variant,)*
        }

        impl Stage {
            /// In the order of the pipeline.
            pub const ALL: &'static [Stage] = &[$(Stage::$variant),*];

            /// The stage's function and file.
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$variant => $name),* }
            }

            /// What it replaces in ML2/OVS.
            pub const fn neutron(self) -> &'static str {
                match self { $(Stage::$variant => $neutron),* }
            }
        }
    };
}

stages! {
    Ingress "ingress" "br-int table 0 LOCAL_SWITCHING, in_port",
    VxlanDecap "vxlan_decap" "br-tun table 0, tunnel port",
    VxlanTunToLv "vxlan_tun_to_lv" "br-tun table 4 VXLAN_TUN_TO_LV",
    Decode "decode" "header checks of the kernel and the switch",
    PhysToLv "phys_to_lv" "br-int table 0 LOCAL_SWITCHING, physical bridge port",
    LearningBlocker "learning_blocker" "br-tun table 9 DVR_NOT_LEARN, br-phys table 3",
    DvrToSrcMac "dvr_to_src_mac" "br-int tables 1 DVR_TO_SRC_MAC and 2 DVR_TO_SRC_MAC_PHYSICAL",
    LearnFromTun "learn_from_tun" "br-tun table 10 LEARN_FROM_TUN",
    VmPort "vm_port" "br-int tables 24 ARP_SPOOF and 25 MAC_SPOOF",
    ArpResponder "arp_responder" "br-tun table 21 ARP_RESPONDER and the qrouter namespace's ARP",
    Qrouter "qrouter" "qrouter and fip namespaces: ip rule, routes, NAT, PERMANENT neighbours",
    LocalSwitching "local_switching" "br-int table 60 NORMAL, br-tun tables 2 PATCH_LV_TO_TUN and 20 UCAST_TO_TUN",
    DvrProcess "dvr_process" "br-tun table 1 DVR_PROCESS",
    VxlanEncap "vxlan_encap" "br-tun table 20 UCAST_TO_TUN, set_tunnel and output",
    FloodToTun "flood_to_tun" "br-tun table 22 FLOOD_TO_TUN, br-int NORMAL flood",
    LvToPhys "lv_to_phys" "br-phys table 2 LOCAL_VLAN_TRANSLATION",
    Offload "offload" "checksums the kernel fills in before a device that cannot",
    Segments "segments" "the kernel's segmentation before a device that cannot",
    Fragments "fragments" "the kernel's fragmentation in the qrouter namespace",
    IcmpError "icmp_error" "ICMP errors and TCP resets of the kernel in the qrouter namespace",
    Egress "egress" "output ports",
    Handoff "handoff" "none: one worker's frame to the port of another",
}

impl Stage {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// What every stage may use: the tables of this burst, its clock, and where to count and report.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The burst's generation of the small tables.
    pub snap: &'a Snapshot,
    /// The newest snapshot, for a row this burst's lacks.
    pub newest: &'a SnapshotSource,
    /// The large tables.
    pub tables: &'a Tables,
    /// Counters of this worker.
    pub count: &'a WorkerCounters,
    /// Where learn events go.
    pub learn: &'a LearnQueue,
    /// All packet memory: for packets of several chunks.
    pub region: Region<'a>,
    /// Where trace records go.
    pub tracer: &'a Tracer,
    /// Where dropped frames go while they are captured.
    pub tap: Option<&'a DropTap>,
    /// Times the stages, if somebody wants to know.
    pub clock: Option<&'a StageClock>,
    /// Keys of T13 that frames of this worker wait for: a later frame does not overtake them.
    pub waiting: &'a [u64],
}

impl<'s> Ctx<'s> {
    /// Counts the frames that enter `stage` and records them for traced ones.
    #[inline(always)]
    pub fn enter(&self, stage: Stage, b: &Burst<'_>, m: Mask) {
        if !m.is_empty() {
            self.begin(stage);
            self.count.stage(stage).packets.add(m.count());
            if !(b.traced & m).is_empty() {
                (b.traced & m).for_each(|lane| self.record(TraceRecord { lane, stage, note: Note::Enter }));
            }
        }
    }

    /// From now on the time is `stage`'s.
    #[inline(always)]
    pub fn begin(&self, stage: Stage) {
        if let Some(clock) = self.clock {
            clock.begin(stage, self.count);
        }
    }

    /// Records `note` if the frame is traced.
    #[inline(always)]
    pub fn note(&self, b: &Burst<'_>, lane: Lane, stage: Stage, note: Note) {
        if b.traced.has(lane) {
            self.record(TraceRecord { lane, stage, note });
        }
    }

    #[cold]
    fn record(&self, record: TraceRecord) {
        if !self.tracer.push(record) {
            self.count.event(Event::TraceLost).add(1);
        }
    }

    /// Counts the end of a frame, or of the copy of it that there is no buffer for, and keeps it if drops are
    /// captured.
    #[inline(always)]
    pub fn drop_frame(&self, b: &Burst<'_>, lane: Lane, stage: Stage, reason: DropReason) {
        self.count.drop_frame(b.door[lane], stage, reason);
        if let Some(tap) = self.tap {
            let what = Dropped { time: b.meta[lane].rx_time, door: b.door[lane], stage, reason };
            let chunk = b.frame[lane].as_ref().map_or(&[][..], |f| f.chunk());
            if !tap.keep_chunk(what, &b.meta[lane], chunk) {
                self.count.event(Event::DropCaptureFull).add(1);
            }
        }
    }

    /// Which owner of its index a local port is; 0: no port, or without a row.
    #[inline(always)]
    pub fn port_generation(&self, door: Door) -> u32 {
        let Door::Port(port) = door else { return 0 };
        self.snap.ports.get(port).map_or(0, |row| row.generation)
    }

    /// The segment of a frame.
    #[inline(always)]
    pub fn seg(&self, b: &Burst<'_>, lane: Lane) -> Option<&'s SegRow> {
        self.snap.segments.get(b.seg[lane])
    }

    /// The interface and its router.
    #[inline(always)]
    pub fn router(&self, iface: u16) -> Option<(&'s InterfaceRow, &'s RouterRow)> {
        let iface = self.snap.interfaces.get(iface)?;
        Some((iface, self.snap.routers.get(iface.router)?))
    }

    /// Calls `f` with the tunnel row that a flat table named: of this burst's snapshot or, if that
    /// lacks it, of the newest.
    #[inline(always)]
    pub fn with_tunnel<R>(&self, ix: TunnelIx, f: impl FnOnce(&TunnelRow) -> R) -> Option<R> {
        match self.snap.tunnels.get(ix) {
            Some(row) => Some(f(row)),
            None => self.reload(|s| s.tunnels.get(ix).map(f)),
        }
    }

    /// As [`Ctx::with_tunnel`], for a local port.
    #[inline(always)]
    pub fn with_port<R>(&self, ix: PortIx, f: impl FnOnce(&PortRow) -> R) -> Option<R> {
        match self.snap.ports.get(ix) {
            Some(row) => Some(f(row)),
            None => self.reload(|s| s.ports.get(ix).map(f)),
        }
    }

    #[cold]
    fn reload<R>(&self, f: impl FnOnce(&Snapshot) -> R) -> R {
        self.count.event(Event::SnapshotReload).add(1);
        f(&self.newest.load())
    }
}
