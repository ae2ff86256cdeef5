//! Fixture T of the specification (section 8), as the rows hosts H1 and H2 have of it.
//!
//! The constants are the specification's tables; [`Rows::of`] says how one host sees them.

use crate::addr::MacAddr;
use crate::burst::Door;
use crate::tables::*;
use crate::worker::WorkerId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A host of fixture T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    pub vtep: u32,
    pub dvr: MacAddr,
    /// MAC of its underlay NIC.
    pub nic: MacAddr,
}

const fn host(n: u8) -> Host {
    Host {
        vtep: addr([172, 20, 0, 10 + n]),
        dvr: MacAddr::new([0xfa, 0x16, 0x3f, 0, 0, n]),
        nic: MacAddr::new([2, 0xaa, 0, 0, 0, n]),
    }
}

const fn addr(octets: [u8; 4]) -> u32 {
    u32::from_be_bytes(octets)
}

/// fa:16:3e: and these.
const fn os(tail: [u8; 3]) -> MacAddr {
    MacAddr::new([0xfa, 0x16, 0x3e, tail[0], tail[1], tail[2]])
}

pub const H1: Host = host(1);
pub const H2: Host = host(2);
pub const H3: Host = host(3);
pub const H4: Host = host(4);
const HOSTS: [Host; 4] = [H1, H2, H3, H4];

/// Networks. The numbers are this fixture's choice of seg on every host.
pub const A: SegIx = 1;
pub const B: SegIx = 2;
pub const C: SegIx = 3;
pub const K: SegIx = 4;
pub const V: SegIx = 5;
pub const Z: SegIx = 6;
/// The external network.
pub const X: SegIx = 7;
const NETS: [(SegIx, Wire, u32); 7] = [
    (A, Wire::Vxlan(1001), addr([10, 1, 0, 0])),
    (B, Wire::Vxlan(1002), addr([10, 2, 0, 0])),
    (C, Wire::Vxlan(1003), addr([10, 9, 0, 0])),
    (K, Wire::Vxlan(1004), addr([10, 4, 0, 0])),
    (V, Wire::Phys { net: 0, vid: 300 }, addr([10, 3, 0, 0])),
    (Z, Wire::Vxlan(2001), addr([10, 1, 0, 0])),
    (X, Wire::Phys { net: 1, vid: 100 }, addr([203, 0, 113, 0])),
];
pub const MASK24: u32 = 0xffff_ff00;
const X_NET: u32 = addr([203, 0, 113, 0]);

/// A router interface.
#[derive(Clone, Copy, Debug)]
pub struct If {
    pub ix: IfaceIx,
    pub router: RouterIx,
    pub net: SegIx,
    pub mac: MacAddr,
    pub ip: u32,
}

pub const R1: RouterIx = 1;
pub const R2: RouterIx = 2;
pub const RA: If = If { ix: 1, router: R1, net: A, mac: os([0x0a, 0, 1]), ip: addr([10, 1, 0, 1]) };
pub const RB: If = If { ix: 2, router: R1, net: B, mac: os([0x0b, 0, 1]), ip: addr([10, 2, 0, 1]) };
pub const RV: If = If { ix: 3, router: R1, net: V, mac: os([0x0c, 0, 1]), ip: addr([10, 3, 0, 1]) };
pub const RC1: If = If { ix: 4, router: R1, net: C, mac: os([0x09, 0, 1]), ip: addr([10, 9, 0, 1]) };
pub const RC2: If = If { ix: 5, router: R2, net: C, mac: os([0x09, 0, 2]), ip: addr([10, 9, 0, 2]) };
pub const RK: If = If { ix: 6, router: R2, net: K, mac: os([0x0d, 0, 1]), ip: addr([10, 4, 0, 1]) };
const INTERFACES: [If; 6] = [RA, RB, RV, RC1, RC2, RK];

/// This host's port on X.
pub const FG_IX: IfaceIx = 7;
/// MAC and address of a host's fg- port.
pub const fn fg(host: Host) -> (MacAddr, u32) {
    let n = host.vtep as u8 - 10;
    (os([0xf9, 0, n]), addr([203, 0, 113, 20 + n]))
}
/// The gateway of X.
pub const GX: (MacAddr, u32) = (MacAddr::new([2, 0xee, 0, 0, 0, 1]), addr([203, 0, 113, 1]));
/// P, a physical machine on V's VLAN.
pub const P: (MacAddr, u32) = (MacAddr::new([2, 0x0c, 0, 0, 2, 0]), addr([10, 3, 0, 200]));
/// Floating IPs of A1, B1 and B2.
pub const FIP_A1: u32 = addr([203, 0, 113, 101]);
pub const FIP_B1: u32 = addr([203, 0, 113, 102]);
pub const FIP_B2: u32 = addr([203, 0, 113, 103]);

/// A port. `door` is its place on the host it is on.
#[derive(Clone, Copy, Debug)]
pub struct Vm {
    pub door: Door,
    pub host: Host,
    pub net: SegIx,
    pub mac: MacAddr,
    pub ip: u32,
}

const fn vm(port: PortIx, host: Host, net: SegIx, mac: [u8; 3], ip: [u8; 4]) -> Vm {
    Vm { door: Door::Port(port), host, net, mac: os(mac), ip: addr(ip) }
}

pub const A1: Vm = vm(0, H1, A, [0x0a, 0, 0x11], [10, 1, 0, 11]);
pub const A3: Vm = vm(1, H1, A, [0x0a, 0, 0x13], [10, 1, 0, 13]);
pub const B1: Vm = vm(2, H1, B, [0x0b, 0, 0x11], [10, 2, 0, 11]);
pub const K1: Vm = vm(3, H1, K, [0x0d, 0, 0x11], [10, 4, 0, 11]);
pub const V1: Vm = vm(4, H1, V, [0x0c, 0, 0x11], [10, 3, 0, 11]);
pub const Z1: Vm = vm(5, H1, Z, [0x0a, 0, 0x11], [10, 1, 0, 11]);
pub const A2: Vm = vm(0, H2, A, [0x0a, 0, 0x12], [10, 1, 0, 12]);
pub const B2: Vm = vm(1, H2, B, [0x0b, 0, 0x12], [10, 2, 0, 12]);
pub const V2: Vm = vm(2, H2, V, [0x0c, 0, 0x12], [10, 3, 0, 12]);
pub const DH: Vm = vm(0, H3, A, [0x0a, 0, 0x02], [10, 1, 0, 2]);
pub const SGA: Vm = vm(1, H3, A, [0x0a, 0, 0xfa], [10, 1, 0, 250]);
pub const SGB: Vm = vm(2, H3, B, [0x0b, 0, 0xfa], [10, 2, 0, 250]);
pub const SGV: Vm = vm(3, H3, V, [0x0c, 0, 0xfa], [10, 3, 0, 250]);
pub const A4: Vm = vm(0, H4, A, [0x0a, 0, 0x14], [10, 1, 0, 14]);
const PORTS: [Vm; 14] = [A1, A3, B1, K1, V1, Z1, A2, B2, V2, DH, SGA, SGB, SGV, A4];
/// Ports a host of the fixture has at most.
pub const LOCAL_PORTS: usize = 8;

/// The address A1 and A2 share by allowed address pairs.
pub const VIP: u32 = addr([10, 1, 0, 100]);
/// A1's and rA's IPv6 addresses, and A's prefix.
pub const A1_V6: u128 = 0xfd00_000a_0000_0000_0000_0000_0000_0011;
pub const RA_V6: u128 = 0xfd00_000a_0000_0000_0000_0000_0000_0001;
pub const A_PREFIX: u128 = 0xfd00_000a_0000_0000_0000_0000_0000_0000;
pub const MASK64: u128 = 0xffff_ffff_ffff_ffff_0000_0000_0000_0000;
/// E, somewhere outside the cloud.
pub const E: u32 = addr([198, 51, 100, 7]);

/// The link-local address a guest makes of its MAC (EUI-64).
pub const fn lla(mac: MacAddr) -> u128 {
    let [a, b, c, d, e, f] = mac.octets();
    0xfe80 << 112 | u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]) as u128
}

/// What one host's control side would derive.
#[derive(Clone, Debug)]
pub struct Rows {
    pub snap: Snapshot,
    /// T06.
    pub fdb: BTreeMap<(SegIx, MacAddr), FdbTarget>,
    /// T07 and T13.
    pub neigh: BTreeMap<(SegIx, u32), NeighValue>,
    /// T14's inverse: router, fixed address, floating IP.
    pub fip: Vec<(RouterIx, u32, u32)>,
}

impl Rows {
    pub fn h1() -> Rows {
        let mut rows = Rows::of(H1);
        // The lowest port id among the VIP's owners is A1's (VIP-02).
        rows.neighbour(A, VIP, A1.mac, Target::Port(0), NeighValue::ROUTE | NeighValue::WATCHED);
        rows.port(A1.door, |p| allow(p, VIP, u32::MAX));
        rows.port(A1.door, |p| allow6(p, A1_V6, u128::MAX));
        rows.floating_ip(R1, A1.ip, FIP_A1);
        rows.floating_ip(R1, B1.ip, FIP_B1);
        rows
    }

    pub fn h2() -> Rows {
        let mut rows = Rows::of(H2);
        rows.neighbour(A, VIP, A1.mac, rows.target(A1), NeighValue::ROUTE | NeighValue::WATCHED);
        rows.port(A2.door, |p| allow(p, VIP, u32::MAX));
        rows.floating_ip(R1, B2.ip, FIP_B2);
        rows
    }

    fn of(me: Host) -> Rows {
        let mut rows =
            Rows { snap: Snapshot::default(), fdb: BTreeMap::new(), neigh: BTreeMap::new(), fip: Vec::new() };
        rows.snap.host = HostRow {
            vtep: me.vtep,
            vtep_mac: me.nic,
            dvr_mac: me.dvr,
            dvr_prefix: 0xfa16_3f00_0000,
            dvr_mask: 0xffff_ff00_0000,
            vxlan_port: 4789,
            underlay_mtu: 1500,
            outer_tos_mask: 3,
            outer_tos: 0,
            permitted_ethertypes: [0; PERMITTED_ETHERTYPES],
        };
        rows.tunnels(me);
        rows.routers();
        rows.outside(me);
        for (seg, wire, net) in NETS.into_iter().filter(|(seg, ..)| *seg != Z || me == H1) {
            rows.snap.segments.set(seg, Some(segment(seg, wire, net, me)));
        }
        rows.snap.vnis = Arc::new(U32Index::new(rows.snap.segments.iter().filter_map(|(ix, s)| match s.wire {
            Wire::Vxlan(vni) => Some((vni, ix)),
            _ => None,
        })));
        rows.snap.vlans = Arc::new(U32Index::new(rows.snap.segments.iter().filter_map(|(ix, s)| match s.wire {
            Wire::Phys { net, vid } => Some((u32::from(net) << 16 | u32::from(vid), ix)),
            _ => None,
        })));
        for vm in PORTS {
            if vm.host == me {
                let Door::Port(ix) = vm.door else { unreachable!("ports have ports") };
                rows.snap.ports.set(ix, Some(port(vm)));
            }
            if vm.net == Z && me != H1 {
                continue;
            }
            let target = rows.target(vm);
            rows.fdb.insert((vm.net, vm.mac), FdbTarget { target, learned: false, stamp: 0 });
            rows.neighbour(vm.net, vm.ip, vm.mac, target, NeighValue::ANSWER | NeighValue::ROUTE);
        }
        rows
    }

    /// Tunnel 1 to the first of the other hosts, and so on.
    fn tunnels(&mut self, me: Host) {
        let others: Vec<_> = HOSTS.into_iter().filter(|h| *h != me).zip(1..).collect();
        for (host, ix) in &others {
            let end = TunnelEnd { vtep: host.vtep, mac: Some(host.nic), dvr_mac: host.dvr, df: true, phys: 3 };
            self.snap.tunnels.set(*ix, Some(TunnelRow::new(1, &self.snap.host, end)));
        }
        self.snap.vteps = Arc::new(U32Index::new(others.iter().map(|(h, ix)| (h.vtep, *ix))));
        self.snap.dvr_macs = Arc::new(U32Index::new(others.iter().map(|(h, ix)| (h.dvr.to_u64() as u32, *ix))));
    }

    fn routers(&mut self) {
        for i in INTERFACES {
            let mtu = if i.net == V { 1500 } else { 1450 };
            let row = InterfaceRow { seg: i.net, router: i.router, mac: i.mac, ip: i.ip, mtu, up: true, scope: 0 };
            self.snap.interfaces.set(i.ix, Some(row));
            self.neigh.insert((i.net, i.ip), NeighValue::router(i.ix));
        }
        let sg = [(RA, SGA), (RB, SGB), (RV, SGV)];
        let snat = sg.map(|(i, sg)| SnatRow { net: i.ip & MASK24, mask: MASK24, next_hop: sg.ip, iface: i.ix });
        let r1 = RouterRow {
            scoped: Box::default(),
            active: true,
            routes: routes(R1, &[extra([10, 4, 0, 0], RC1.ix, RC2.ip)]),
            own: own(R1),
            own_masks: own(R1).iter().map(|_| MASK24).collect(),
            snat: snat.into(),
            gateway_here: false,
            fip_here: true,
            fip_routes: RouteSet::new([
                Route { net: X_NET, len: 24, hops: vec![Hop::new(FG_IX, 0)] },
                Route { net: 0, len: 0, hops: vec![Hop::new(FG_IX, GX.1)] },
            ]),
        };
        let r2 = RouterRow {
            scoped: Box::default(),
            active: true,
            routes: routes(R2, &[extra([10, 1, 0, 0], RC2.ix, RC1.ip), extra([10, 2, 0, 0], RC2.ix, RC1.ip)]),
            own: own(R2),
            own_masks: own(R2).iter().map(|_| MASK24).collect(),
            snat: Box::default(),
            gateway_here: false,
            fip_here: false,
            fip_routes: RouteSet::default(),
        };
        self.snap.routers.set(R1, Some(r1));
        self.snap.routers.set(R2, Some(r2));
    }

    /// fg- and what it knows.
    fn outside(&mut self, me: Host) {
        let (mac, ip) = fg(me);
        let row = InterfaceRow { seg: X, router: NO_ROUTER, mac, ip, mtu: 1500, up: true, scope: 0 };
        self.snap.interfaces.set(FG_IX, Some(row));
        self.neigh.insert((X, ip), NeighValue::router(FG_IX));
        self.neighbour(X, GX.1, GX.0, Target::Phys, NeighValue::ROUTE);
    }

    /// A floating IP that this host serves.
    pub fn floating_ip(&mut self, router: RouterIx, fixed: u32, address: u32) {
        self.fip.push((router, fixed, address));
        self.neigh.insert((X, address), NeighValue::floating_ip(router, fixed, true));
    }

    /// Where a port is, seen from this host.
    pub fn target(&self, vm: Vm) -> Target {
        match vm.door {
            Door::Port(ix) if vm.host.vtep == self.snap.host.vtep => Target::Port(ix),
            _ if vm.net == V => Target::Phys,
            _ => self.snap.vteps.get(vm.host.vtep).map(Target::Tunnel).unwrap(),
        }
    }

    pub fn neighbour(&mut self, seg: SegIx, ip: u32, mac: MacAddr, target: Target, flags: u8) {
        self.neigh.insert((seg, ip), NeighValue::host(mac, target, flags));
    }

    pub fn static_fdb(&mut self, seg: SegIx, mac: MacAddr, target: Target) {
        self.fdb.insert((seg, mac), FdbTarget { target, learned: false, stamp: 0 });
    }

    pub fn port(&mut self, door: Door, change: impl FnOnce(&mut PortRow)) {
        let Door::Port(ix) = door else { unreachable!("ports have ports") };
        let mut row = self.snap.ports.get(ix).cloned().unwrap();
        change(&mut row);
        self.snap.ports.set(ix, Some(row));
    }

    /// Turns port security of a port off.
    pub fn unsecure(&mut self, vm: Vm) {
        self.port(vm.door, |p| (p.secured, p.unknown) = (false, true));
        let Door::Port(ix) = vm.door else { unreachable!("ports have ports") };
        self.seg(vm.net, |s| s.unknown_ports = s.unknown_ports.iter().copied().chain([ix]).collect());
    }

    /// Takes a port down: its row stays, and its T06 and T13 rows; T07 and copies do not (section 4).
    pub fn down(&mut self, vm: Vm) {
        let Door::Port(ix) = vm.door else { unreachable!("ports have ports") };
        self.port(vm.door, |p| p.active = false);
        self.seg(vm.net, |s| s.flood_ports = s.flood_ports.iter().copied().filter(|p| *p != ix).collect());
        self.neighbour(vm.net, vm.ip, vm.mac, Target::Port(ix), NeighValue::ROUTE);
    }

    pub fn seg(&mut self, seg: SegIx, change: impl FnOnce(&mut SegRow)) {
        let mut row = self.snap.segments.get(seg).cloned().unwrap();
        change(&mut row);
        self.snap.segments.set(seg, Some(row));
    }

    /// The MAC of the way to another host, by its tunnel.
    pub fn way(&mut self, tunnel: TunnelIx, mac: Option<MacAddr>) {
        let row = self.snap.tunnels.get(tunnel).expect("a tunnel of the fixture");
        let end = TunnelEnd { vtep: row.vtep, mac, dvr_mac: row.dvr_mac, df: true, phys: row.phys };
        let row = TunnelRow::new(row.generation, &self.snap.host, end);
        self.snap.tunnels.set(tunnel, Some(row));
    }

    pub fn router(&mut self, router: RouterIx, change: impl FnOnce(&mut RouterRow)) {
        let mut row = self.snap.routers.get(router).cloned().unwrap();
        change(&mut row);
        self.snap.routers.set(router, Some(row));
    }

    pub fn iface(&mut self, iface: If, change: impl FnOnce(&mut InterfaceRow)) {
        let mut row = self.snap.interfaces.get(iface.ix).cloned().unwrap();
        change(&mut row);
        self.snap.interfaces.set(iface.ix, Some(row));
    }
}

/// An allowed address pair with the port's own MAC.
pub fn allow(port: &mut PortRow, net: u32, mask: u32) {
    let pair = AllowedPair { mac: port.mac, net, mask, vouched: false };
    port.allowed = port.allowed.iter().copied().chain([pair]).collect();
}

/// The same for IPv6.
pub fn allow6(port: &mut PortRow, net: u128, mask: u128) {
    let pair = AllowedPair6 { mac: port.mac, net, mask };
    port.allowed6 = port.allowed6.iter().copied().chain([pair]).collect();
}

/// A router's connected subnets and these.
pub fn routes(router: RouterIx, more: &[Route]) -> RouteSet {
    let connected = INTERFACES.iter().filter(|i| i.router == router);
    let connected = connected.map(|i| Route { net: i.ip & MASK24, len: 24, hops: vec![Hop::new(i.ix, 0)] });
    RouteSet::new(connected.chain(more.iter().cloned()))
}

/// A /24 by way of `via`.
pub fn extra(net: [u8; 4], iface: IfaceIx, via: u32) -> Route {
    Route { net: addr(net), len: 24, hops: vec![Hop::new(iface, via)] }
}

fn own(router: RouterIx) -> OwnAddresses {
    INTERFACES.iter().filter(|i| i.router == router).map(|i| i.ip).collect()
}

fn segment(seg: SegIx, wire: Wire, net: u32, me: Host) -> SegRow {
    let interfaces: Vec<_> = INTERFACES.iter().filter(|i| i.net == seg).collect();
    let gateway_mac = interfaces.first().map_or(MacAddr::ZERO, |i| i.mac); // .1, the lowest
    let a = seg == A;
    let local = PORTS.iter().filter(|p| p.host == me && p.net == seg);
    // R1 and R2 are on every host, and their networks with them; Z is H1's alone.
    let alone = seg == Z || !matches!(wire, Wire::Vxlan(_));
    let others: Arc<[TunnelIx]> = if alone { Arc::new([]) } else { Arc::new([1, 2, 3]) };
    let fg = (seg == X).then_some(SegInterface { mac: fg(me).0, iface: FG_IX });
    SegRow {
        generation: 1,
        wire,
        learning: true,
        flood_unknown: false,
        strict: true,
        vlan_transparent: false,
        external: seg == X,
        phys_gw: false,
        interfaces: interfaces.iter().map(|i| SegInterface { mac: i.mac, iface: i.ix }).chain(fg).collect(),
        router_ips: interfaces.iter().map(|i| RouterAddress { ip: i.ip, mac: i.mac, answers: true }).collect(),
        router_ips6: if a { Arc::new([RA_V6]) } else { Arc::new([]) },
        subnets: Arc::new([SubnetRow { net, mask: MASK24, gateway_mac }]),
        subnets6: if a { Arc::new([Subnet6Row { net: A_PREFIX, mask: MASK64, gateway_mac }]) } else { Arc::new([]) },
        flood_ports: local.filter_map(|p| if let Door::Port(ix) = p.door { Some(ix) } else { None }).collect(),
        unknown_ports: Arc::new([]),
        members: others.iter().copied().collect(),
        flood_tunnels: others,
    }
}

fn port(vm: Vm) -> PortRow {
    let gateway = INTERFACES.iter().find(|i| i.net == vm.net).map_or(MacAddr::ZERO, |i| i.mac);
    PortRow {
        generation: 1,
        owner: WorkerId(0),
        active: true,
        secured: true,
        unknown: false,
        seg: vm.net,
        mac: vm.mac,
        gateway_mac: gateway,
        allowed: Arc::new([AllowedPair { mac: vm.mac, net: vm.ip, mask: u32::MAX, vouched: true }]),
        allowed6: Arc::new([AllowedPair6 { mac: vm.mac, net: lla(vm.mac), mask: u128::MAX }]),
    }
}
