//! The tables of [`crate::topo`]'s host, and a worker that has them.

use crate::topo::*;
use dataplane::addr::MacAddr;
use dataplane::burst::Door;
use dataplane::io::{MemoryPort, Port};
use dataplane::tables::*;
use dataplane::umem::FramePool;
use dataplane::worker::{Worker, WorkerId, WorkerView};
use std::sync::Arc;

/// Frames a port of a bench holds.
const PORT_QUEUE: usize = 256;

/// The writers' side of the tables.
#[derive(Debug)]
pub struct Writers {
    snapshot: SnapshotWriter,
    fdb: FlatWriter<1>,
    neigh: FlatWriter<1>,
    fip: FlatWriter<1>,
    qsbr: Arc<Qsbr>,
}

/// Index of local VM `j` of network `n`.
pub fn port_ix(n: u16, j: u16) -> PortIx {
    n * LOCAL + j
}

fn seg_ix(n: u16) -> SegIx {
    n + 1
}

impl Writers {
    /// The whole topology, for `workers` workers.
    pub fn new(workers: usize) -> Self {
        let qsbr = Qsbr::new(workers);
        let hasher = || ahash::RandomState::with_seeds(1, 2, 3, 4);
        let table = |rows| FlatWriter::new(rows, Arc::clone(&qsbr), hasher());
        let rows = usize::from(NETS * (LOCAL + REMOTE)) * 4;
        let mut w = Writers {
            snapshot: SnapshotWriter::default(),
            fdb: table(rows),
            neigh: table(rows),
            fip: table(64),
            qsbr: Arc::clone(&qsbr),
        };
        w.fill();
        w
    }

    fn fill(&mut self) {
        let host = HostRow {
            vtep: VTEP_IP,
            vtep_mac: VTEP_MAC,
            dvr_mac: LOCAL_DVR_MAC,
            dvr_prefix: 0xfa16_3f00_0000,
            dvr_mask: 0xffff_ff00_0000,
            vxlan_port: 4789,
            underlay_mtu: 1500,
            outer_tos_mask: 3,
            outer_tos: 0,
            permitted_ethertypes: [0; PERMITTED_ETHERTYPES],
        };
        let mut s = Snapshot { host: host.clone(), ..Snapshot::default() };
        for h in 0..HOSTS {
            let end = TunnelEnd { vtep: rvtep_ip(h), mac: Some(rvtep_mac(h)), dvr_mac: dvr_mac(h), df: true, phys: 0 };
            s.tunnels.set(h, Some(TunnelRow::new(0, &host, end)));
        }
        for n in 0..NETS {
            s.segments.set(seg_ix(n), Some(segment(n)));
            let interface =
                InterfaceRow { seg: seg_ix(n), router: 1, mac: gw_mac(n), ip: gw_ip(n), mtu: 1450, up: true, scope: 0 };
            s.interfaces.set(n, Some(interface));
            let stored = self.neigh.put(&ip4_key(seg_ix(n), gw_ip(n)), NeighValue::router(n).to_word());
            assert_eq!(stored, Ok(()), "the tables are sized for the topology");
            for j in 0..LOCAL {
                s.ports.set(port_ix(n, j), Some(port(n, j)));
                self.row(n, lvm_ip(n, j), lvm_mac(n, j), Target::Port(port_ix(n, j)));
            }
            for k in 0..REMOTE {
                self.row(n, rvm_ip(n, k), rvm_mac(n, k), Target::Tunnel(rvm_host(n, k)));
            }
        }
        let connected = |n| Route { net: gw_ip(n) & !0xffff, len: 16, hops: vec![Hop::new(n, 0)] };
        let router = RouterRow {
            active: true,
            routes: RouteSet::new((0..NETS).map(connected)),
            own: (0..NETS).map(gw_ip).collect(),
            own_masks: (0..NETS).map(|_| !0xffff).collect(),
            fip_routes: RouteSet::default(),
            scoped: Box::default(),
            snat: Box::default(),
            gateway_here: false,
            fip_here: false,
        };
        s.routers.set(1, Some(router));
        s.vnis = Arc::new(U32Index::new((0..NETS).map(|n| (vni(n), seg_ix(n)))));
        s.vteps = Arc::new(U32Index::new((0..HOSTS).map(|h| (rvtep_ip(h), h))));
        s.dvr_macs = Arc::new(U32Index::new((0..HOSTS).map(|h| (dvr_mac(h).to_u64() as u32, h))));
        self.snapshot.publish(s);
    }

    fn row(&mut self, n: u16, ip: u32, mac: MacAddr, target: Target) {
        let fdb = FdbValue::pack(FdbTarget { target, learned: false, stamp: 0 });
        let neigh = NeighValue::host(mac, target, NeighValue::ANSWER | NeighValue::ROUTE).to_word();
        let stored = self.fdb.put(&fdb_key(seg_ix(n), mac), fdb).and(self.neigh.put(&ip4_key(seg_ix(n), ip), neigh));
        assert_eq!(stored, Ok(()), "the tables are sized for the topology");
    }

    /// A worker on these tables, with a memory port for every VM and one for the underlay.
    pub fn worker<'u>(&self, pool: FramePool<'u>) -> Worker<'u> {
        let mut worker = self.idle_worker(pool);
        let memory = || Port::Memory(MemoryPort::new(PORT_QUEUE));
        worker.attach(Door::Tunnel, memory());
        for ix in 0..NETS * LOCAL {
            worker.attach_port(ix, 0, memory());
        }
        worker
    }

    /// A worker on these tables, without ports.
    pub fn idle_worker<'u>(&self, pool: FramePool<'u>) -> Worker<'u> {
        let view = WorkerView {
            published: self.snapshot.subscribe(),
            newest: self.snapshot.source(),
            tables: Tables {
                fdb: self.fdb.reader(),
                neigh: self.neigh.reader(),
                fip: self.fip.reader(),
                resolved: Arc::default(),
            },
            token: self.qsbr.worker(usize::from(pool.id().0)).expect("the number of workers was given"),
        };
        Worker::new(view, pool, usize::from(NETS * LOCAL), 0)
    }
}

fn segment(n: u16) -> SegRow {
    let ports: Vec<PortIx> = (0..LOCAL).map(|j| port_ix(n, j)).collect();
    SegRow {
        generation: 0,
        wire: Wire::Vxlan(vni(n)),
        learning: true,
        flood_unknown: false,
        strict: true,
        vlan_transparent: false,
        external: false,
        phys_gw: false,
        interfaces: [SegInterface { mac: gw_mac(n), iface: n }].into(),
        router_ips: [RouterAddress { ip: gw_ip(n), mac: gw_mac(n), answers: true }].into(),
        router_ips6: [].into(),
        subnets: [SubnetRow { net: gw_ip(n) & !0xffff, mask: !0xffff, gateway_mac: gw_mac(n) }].into(),
        subnets6: [].into(),
        flood_ports: ports.into(),
        unknown_ports: [].into(),
        flood_tunnels: (0..HOSTS).collect(),
        members: (0..HOSTS).collect(),
    }
}

fn port(n: u16, j: u16) -> PortRow {
    PortRow {
        generation: 0,
        owner: WorkerId(0),
        active: true,
        secured: true,
        unknown: false,
        seg: seg_ix(n),
        mac: lvm_mac(n, j),
        gateway_mac: gw_mac(n),
        allowed: [AllowedPair { mac: lvm_mac(n, j), net: lvm_ip(n, j), mask: u32::MAX, vouched: true }].into(),
        allowed6: [].into(),
    }
}
