"""VLAN networks: the cases of the specification."""

from .case import case
from .cloud import network
from .packets import arp_reply, arp_request, echo, eth, ipv4, phy, udp, vx

U = udp(4000, 4001)


def gateway(name):
    """Network V with a host that routes for its physical machines."""
    return network("V", dvrd={"phys_gw_host": name})


@case("EW-06", "routed into a VLAN network", rules="R4-1 R7 R9 O2 O4",
      about="From a VXLAN to a VLAN network: out of the physical NIC with the VLAN's tag, source this host's DVR MAC.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>V2", U))).out("physnet1", phy(eth("M1>V2", ipv4("A1>V2", U, ttl=63))))


@case("VL-01", "gateway ARP on a VLAN network", rules="I3-a D10",
      about="The gateway answers on the host; nothing of it is seen on the physical network.")
def _(c):
    c.rx("V1", eth("V1>*", arp_request("V1", "V1", "rV"))).answer(eth("rV>V1", arp_reply("rV", "rV", "V1", "V1")))


@case("VL-02", "own frame comes back", rules="V0 V1",
      about="A switch reflects a frame of a local VM: its MAC cannot come from outside.")
def _(c):
    for layer3 in (ipv4("V1>255.255.255.255", U), arp_request("V1", "V1", "V2")):
        c.rx("physnet1", phy(eth("V1>*", layer3))).drop("local_mac_from_fabric")


ASK_GATEWAY = phy(eth("P>*", arp_request("P", "P", "rV")))
PING = ipv4("P>A1", echo())


@case("VL-03", "physical machine asks, not here", "H1", rules="V0 V2 V4 D10",
      about="Only the network's designated host answers a physical machine that asks for the gateway; this is not it.")
def _(c):
    c.patch(networks=[gateway("H2")])
    c.rx("physnet1", ASK_GATEWAY).drop("router_arp_from_fabric")


@case("VL-03", "physical machine asks, here", "H2", rules="V0 V2 V4",
      about="The designated host answers in the interface's name, once, out of the physical NIC.")
def _(c):
    c.patch(networks=[gateway("H2")])
    c.rx("physnet1", ASK_GATEWAY).answer(phy(eth("rV>P", arp_reply("rV", "rV", "P", "P"))))


@case("VL-04", "physical machine to a VM, at another host", "H1", rules="V0 V4 T4 D5",
      about="The switch shows the frame to every host; this one drops it and gets the routed copy out of the tunnel.")
def _(c):
    c.patch(networks=[gateway("H2")])
    c.rx("physnet1", phy(eth("P>rV", PING))).drop("router_mac_from_fabric")
    routed = ipv4("P>A1", echo(), ttl=63)
    c.rx("tunnel", vx("H2>H1", 1001, eth("M2>A1", routed))).out("A1", eth("rA>A1", routed))


@case("VL-04", "physical machine to a VM, at the gateway", "H2", rules="V0 V4 R4-1 R7 R9 O2 O3",
      about="The designated host routes for physical machines, as it does for its VMs.")
def _(c):
    c.patch(networks=[gateway("H2")])
    c.rx("physnet1", phy(eth("P>rV", PING))).out(
        "tunnel", vx("H2>H1", 1001, eth("M2>A1", ipv4("P>A1", echo(), ttl=63))))
