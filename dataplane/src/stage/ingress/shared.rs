//! A NIC of several: the underlay and physical networks, or several of these.

use super::Doors;
use crate::burst::{Burst, Door, Lane, Mask};
use crate::stage::Ctx;
use crate::tables::HostRow;
use crate::wire::{ethertype, proto};

/// Gives each frame the door it would have come in by if each had a NIC of its own, and counts it there. `sharing`: the
/// doors that share the NIC.
#[cold]
pub(super) fn tell_apart(
    b: &mut Burst<'_>,
    x: &Ctx<'_>,
    (lanes, sharing): (Mask, impl Iterator<Item = Door> + Clone),
    doors: &mut Doors,
) {
    let tunnel = sharing.clone().any(|door| door == Door::Tunnel);
    let mut last = None;
    for lane in lanes {
        let door = if tunnel && is_vxlan(b, lane, &x.snap.host) {
            Door::Tunnel
        } else {
            let vid = vid(b, lane);
            match last {
                Some((of, door)) if of == vid => door,
                _ => {
                    let door = of_vlan(x, vid, sharing.clone());
                    last = Some((vid, door));
                    door
                }
            }
        };
        b.door[lane] = door;
        x.count.port(door).rx.add(1);
        match door {
            Door::Tunnel => doors.tunnel.insert(lane),
            _ => doors.phys.insert(lane),
        }
    }
}

/// The physical network with this VLAN; one of those that have none, if it is nobody's.
fn of_vlan(x: &Ctx<'_>, vid: u16, sharing: impl Iterator<Item = Door> + Clone) -> Door {
    let mut phys = sharing.filter(|door| matches!(door, Door::Phys(_)));
    let any = phys.clone().next();
    let has = |door: &Door| match door {
        Door::Phys(net) => x.snap.vlans.get(u32::from(*net) << 16 | u32::from(vid)).is_some(),
        _ => false,
    };
    phys.find(has).or(any).unwrap_or(Door::Tunnel)
}

/// Of its first tag, 0 without one.
fn vid(b: &Burst<'_>, lane: Lane) -> u16 {
    let Some([t, u, v, w]) = b.at::<4>(lane, 12).copied() else { return 0 };
    match u16::from_be_bytes([t, u]) {
        ethertype::VLAN | ethertype::QINQ => u16::from_be_bytes([v, w]) & 0xfff,
        _ => 0,
    }
}

/// What the XDP filter takes for VXLAN: unfragmented IPv4 UDP, without a tag, to the port of this host's VTEP.
fn is_vxlan(b: &Burst<'_>, lane: Lane, host: &HostRow) -> bool {
    let Some(head) = b.head::<34>(lane) else { return false };
    let [.., t, u] = *head.first_chunk::<14>().unwrap_or(&[0; 14]);
    let ip: [u8; 20] = head.last_chunk().copied().unwrap_or([0; 20]);
    let ours = u16::from_be_bytes([t, u]) == ethertype::IPV4
        && ip[0] >> 4 == 4
        && ip[0] & 0xf >= 5
        && u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff == 0
        && ip[9] == proto::UDP
        && host.vtep != 0
        && u32::from_be_bytes([ip[16], ip[17], ip[18], ip[19]]) == host.vtep;
    let udp = 14 + u16::from(ip[0] & 0xf) * 4;
    ours && b.at::<8>(lane, udp).is_some_and(|udp| u16::from_be_bytes([udp[2], udp[3]]) == host.vxlan_port)
}

#[cfg(test)]
mod tests;
