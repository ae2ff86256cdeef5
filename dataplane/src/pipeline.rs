//! One packet, one straight line.
//!
//! Read [`process_burst`] from top to bottom: each line is a stage or a part of one, in the file of
//! its name under `stage/` (`vxlan_inner` is in `vxlan_tun_to_lv`, `learn_from_port` in
//! `learn_from_tun`, `account` in `egress`; `egress` calls `flood_to_tun` for copies, `fragments` for
//! packets that are too large, `icmp_error` for senders that are told), and each works
//! on the lanes of its mask. A lane leaves the line when it is dropped, consumed, or its way out is
//! decided. What is not built yet has its place in the line as a comment, with the rule.

use crate::burst::Burst;
use crate::stage::*;
use crate::tables::RouterIx;
use crate::worker::WorkerIo;

/// Takes a burst of received frames to their ends. Afterwards the burst is empty and every frame
/// is sent, dropped with one reason, consumed, or waits in its worker.
pub fn process_burst<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    let from = ingress(b, x, io); //                              which door it came in by

    vxlan_decap(b, x, from.tunnel); //                            T0 T1  outer headers off
    vxlan_tun_to_lv(b, x, from.tunnel & b.live); //               T2     VNI to network
    decode(b, x, b.live); //                                      I0     headers checked, read once
    vxlan_inner(b, x, from.tunnel & b.live); //                   T2     inner tag, ECN
    phys_to_lv(b, x, from.phys & b.live); //                      V0 E0  VLAN to network

    let outside = (from.tunnel | from.phys) & b.live;
    let fabric = learning_blocker(b, x, outside); //              T3 V1 V2  who sent it, may it?
    dvr_to_src_mac(b, x, fabric.routed); //                       T4 V3  from a remote router: deliver
    learn_from_tun(b, x, fabric.bridged); //                      T5 V4 L4  from a remote machine: learn

    let strangers = vm_port(b, x, from.vm & b.live); //           I1 I2  may this port send it?
    learn_from_port(b, x, strangers); //                          L4
    arp_responder(b, x, b.open()); //                             I3 E1 L5  answered on the host, heard
    //                                                            G1     security groups: not built

    let routed = qrouter(b, x, (from.vm | from.phys) & b.open()); // R FO FI  route, translate, TTL, neighbour
    //                                                            S      SNAT: `snat_no_state` until built
    local_switching(b, x, b.open(), routed); //                   L E2   layer 2: where is the MAC?

    dvr_process(b, x, routed & b.decided); //                     R9 O2  written; source becomes the DVR MAC
    output(b, x, io);
}

/// The end of every line: headers of the way out, ports, the books.
fn output<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    if !(b.heavy & b.decided).is_empty() {
        offload(b, x, io); //                                     I0     offloads the way out cannot carry
    }
    let tunnelled = vxlan_encap(b, x, b.decided.without(b.cut)); // O3     outer headers on
    lv_to_phys(b, x, b.decided.without(b.cut | tunnelled)); //    O4     VLAN tag on
    egress(b, x, io, tunnelled); //                               O1 L6 R8  to the ports; copies, fragments, errors
    account(b, x, io); //                                                the books balance
}

/// Takes frames that other workers handed over to their ends: the last part of the line above.
pub fn process_handed<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    take_over(b, x, io); //                                       G2     to the ports this worker owns
    account(b, x, io); //                                                the books balance
}

/// Takes frames that waited for a neighbour to their ends: from their router on, as if they came now.
pub fn process_parked<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    decode(b, x, b.live); //                                      I0     the frame is as it came
    let routed = qrouter(b, x, b.live); //                        R FO FI
    local_switching(b, x, b.open(), routed); //                   L
    dvr_process(b, x, routed & b.decided); //                     R9 O2
    output(b, x, io);
}

/// Takes frames that router `by` made to their ends.
pub fn process_own<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>, by: RouterIx) {
    decode(b, x, b.live); //                                      I0
    let routed = from_router(b, x, b.live, by); //                R      routed like any packet of that router
    local_switching(b, x, b.open(), routed); //                   L
    dvr_process(b, x, routed & b.decided); //                     R9 O2
    output(b, x, io);
}

/// Takes frames made here whose way out is decided to their ends: fragments, answers, probes, announcements.
pub fn process_made<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    output(b, x, io);
}
