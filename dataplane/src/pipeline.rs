//! One packet, one straight line.
//!
//! Read [`process_burst`] from top to bottom: each line is a stage or a part of one, in the file of
//! its name under `stage/` (`vxlan_inner` is in `vxlan_tun_to_lv`, `learn_from_port` in
//! `learn_from_tun`, `account` in `egress`; `egress` calls `flood_to_tun` for copies), and each works
//! on the lanes of its mask. A lane leaves the line when it is dropped, consumed, or its way out is
//! decided.

use crate::burst::Burst;
use crate::stage::*;
use crate::worker::WorkerIo;

/// Takes a burst of received frames to their ends. Afterwards the burst is empty and every frame
/// is sent, dropped with one reason, or consumed.
pub fn process_burst<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    let from = ingress(b, x, io); //                              which door it came in by

    vxlan_decap(b, x, from.tunnel); //                            T0 T1  outer headers off
    vxlan_tun_to_lv(b, x, from.tunnel & b.live); //               T2     VNI to network
    decode(b, x, b.live); //                                      I0     headers checked, read once
    vxlan_inner(b, x, from.tunnel & b.live); //                   T2     inner tag, ECN

    let fabric = learning_blocker(b, x, from.tunnel & b.live); // T3     who sent it, may it?
    dvr_to_src_mac(b, x, fabric.routed); //                       T4     from a remote router: deliver
    learn_from_tun(b, x, fabric.bridged); //                      T5 L4  from a remote machine: learn
    physical(b, from.phys & b.live); //                           V E    not built

    let strangers = vm_port(b, x, from.vm & b.live); //           I1 I2  may this port send it?
    learn_from_port(b, x, strangers); //                          L4
    arp_responder(b, x, from.vm & b.live); //                     I3     answered on the host

    let routed = qrouter(b, x, from.vm & b.open()); //            R      route, TTL, neighbour
    local_switching(b, x, b.open(), routed); //                   L      layer 2: where is the MAC?

    dvr_process(b, x, routed & b.decided); //                     O2     source becomes the DVR MAC
    vxlan_encap(b, x, b.decided); //                              O3     outer headers on
    egress(b, x, io); //                                          O1 L6  to the ports, copies for floods
    account(b, x, io); //                                                the books balance
}

/// Takes frames that other workers handed over to their ends: the last part of the line above.
pub fn process_handed<'u>(b: &mut Burst<'u>, x: &Ctx<'_>, io: &mut WorkerIo<'u>) {
    take_over(b, x, io); //                                       G2     to the ports this worker owns
    account(b, x, io); //                                                the books balance
}
