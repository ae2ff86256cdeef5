"""VLAN and flat networks: rules that no case of the specification shows."""

from .case import TIMER, case
from .cases_neigh import says
from .cases_vlan import gateway
from .cloud import host, link_local, network, port
from .packets import (
    arp_reply, arp_request, echo, echo_reply, eth, ipv4, ipv6, phy, router_advertisement, tagged, udp, vx)

U = udp(4000, 4001)
STRANGER = "02:77:00:00:00:01"
TO_V1 = eth("V2>V1", ipv4("V2>V1", U))


@case("V0-1", "which VLAN a frame is on", rules="V0 O4",
      about="Only the network's own VLAN id on its own physical network counts; the priority bits of the tag do not.")
def _(c):
    c.rx("physnet1", phy(TO_V1)).out("V1", TO_V1)
    c.rx("physnet1", tagged(5 << 13 | 300, TO_V1)).out("V1", TO_V1)
    for frame in (tagged(301, TO_V1), tagged(100, TO_V1), tagged(4095, TO_V1), TO_V1,
                  eth("V2>V1", ipv4("V2>V1", U), tags=[0]), eth("V2>V1", ipv4("V2>V1", U), tags=[300, 5])):
        c.rx("physnet1", frame).drop("vlan_unexpected")
    c.rx("physext", tagged(300, TO_V1)).drop("vlan_unexpected")


@case("V0-2", "flat network", rules="V0 O2 O4 L1 L6",
      about="A flat network is its physical network without a tag, in and out, bridged, flooded and routed.")
def _(c):
    c.patch(networks=[network("V", provider_network_type="flat", provider_segmentation_id=None)])
    c.rx("physnet1", TO_V1).out("V1", TO_V1)
    out = eth("V1>V2", ipv4("V1>V2", U))
    c.rx("V1", out).out("physnet1", out)
    c.rx("A1", eth("A1>rA", ipv4("A1>V2", U))).out("physnet1", eth("M1>V2", ipv4("A1>V2", U, ttl=63)))
    c.rx("V1", eth("V1>*", ipv4("V1>255.255.255.255", U))).flood(0, "physnet1", vid=0)
    everyone = eth("P>*", ipv4("P>255.255.255.255", U))
    c.rx("physnet1", everyone).flood(0, "V1", inner=everyone)
    c.rx("physnet1", phy(TO_V1)).drop("vlan_unexpected")
    routed = ipv4("A2>V1", U, ttl=63)
    c.rx("physnet1", eth("M2>V1", routed)).out("V1", eth("rV>V1", routed))


@case("V1-1", "own frames come back, and others'", rules="V1",
      about="The MAC of a port of the network here and our DVR MAC; a MAC of another network here is a stranger's.")
def _(c):
    c.rx("physnet1", phy(eth("V1>V2", ipv4("V1>V2", U)))).drop("local_mac_from_fabric")
    c.rx("physnet1", phy(eth("M1>V1", ipv4("A1>V1", U)))).drop("local_mac_from_fabric")
    c.rx("physnet1", phy(eth("M1>*", arp_request("M1", "0.0.0.0", "P")))).drop("local_mac_from_fabric")
    other = eth("A1>V1", ipv4("10.3.0.77>V1", U))
    c.rx("physnet1", phy(other)).out("V1", other)


@case("V2-1", "sources the physical network may not use", rules="V2 D7 D8 D10",
      about="A router's MAC, a DVR MAC nobody has, what is said about a router's address, and router advertisements.")
def _(c):
    c.rx("physnet1", phy(eth("rV>V1", ipv4("A1>V1", U)))).drop("local_mac_from_fabric")
    c.rx("physnet1", phy(eth("fa:16:3f:aa:bb:cc>V1", ipv4("A2>V1", U)))).drop("dvr_wrong_vtep")
    for frame in (eth("P>V1", arp_reply("P", "rV", "V1", "V1")), eth("P>V1", arp_reply("P", "P", "rV", "rV")),
                  eth("P>*", arp_request("P", "rV", "V1")), eth("P>*", arp_request("P", "rV", "rV")),
                  eth("P>*", arp_request("P", "P", "rV")),
                  eth("P>33:33:00:00:00:01", ipv6(f"{link_local('P')}>ff02::1", router_advertisement("P"),
                                                  hop_limit=255))):
        c.rx("physnet1", phy(frame)).drop("router_arp_from_fabric")
    c.rx("physnet1", phy(eth("P>V1", arp_reply("P", "P", "V1", "V1")))).out(
        "V1", eth("P>V1", arp_reply("P", "P", "V1", "V1")))


@case("V3-1", "routed by another host", rules="V3 D5 D8",
      about="H2's DVR MAC by VLAN: the gateway's MAC is put back, TTL stays; to a MAC not here or to all it is dropped.")
def _(c):
    routed = ipv4("A2>V1", U, ttl=63)
    c.rx("physnet1", phy(eth("M2>V1", routed))).out("V1", eth("rV>V1", routed))
    c.rx("physnet1", phy(eth(f"M2>{STRANGER}", routed))).drop("dvr_unknown_dst")
    c.rx("physnet1", phy(eth("M2>V2", routed))).drop("dvr_unknown_dst")
    c.rx("physnet1", phy(eth("M2>*", ipv4("A2>255.255.255.255", U)))).drop("dvr_unknown_dst")


@case("V3-2", "probe of another host", rules="V3 L2 O4",
      about="H2 asks on the VLAN who has V1's address: local ports hear it, and V1's answer goes back by the VLAN.")
def _(c):
    c.patch(ports=[port("V2", binding_host_id="H1")])
    probe = eth("M2>*", arp_request("M2", "0.0.0.0", "V1"))
    c.rx("physnet1", phy(probe)).flood(0, "V1 V2", inner=probe)
    c.rx("V1", eth("V1>M2", arp_reply("V1", "V1", "M2", "0.0.0.0"))).out(
        "physnet1", phy(eth("V1>M2", arp_reply("V1", "V1", "M2", "0.0.0.0"))))


@case("V3-3", "DVR MAC of a host without the physical network", rules="V2 V3 D8",
      about="H4 is not on physnet1, so its DVR MAC cannot come from there.")
def _(c):
    c.patch(hosts=[host("H4", bridge_mappings={})])
    c.rx("physnet1", phy(eth("M4>V1", ipv4("A4>V1", U, ttl=63)))).drop("dvr_wrong_vtep")
    routed = ipv4("A2>V1", U, ttl=63)
    c.rx("physnet1", phy(eth("M2>V1", routed))).out("V1", eth("rV>V1", routed))


@case("V4-1", "gateway of physical machines", rules="V4 R2 R3 R4-1 R4-4 R9 O2 O4 ICMP",
      about="The designated host answers ARP and pings, routes to VMs here and elsewhere and to the SNAT host, and tells.")
def _(c):
    c.patch(networks=[gateway("H1")])
    for to in ("*", "rV"):
        c.rx("physnet1", phy(eth(f"P>{to}", arp_request("P", "P", "rV")))).answer(
            phy(eth("rV>P", arp_reply("rV", "rV", "P", "P"))))
    c.rx("physnet1", phy(eth("P>rV", ipv4("P>rV", echo())))).answer(phy(eth("rV>P", ipv4("rV>P", echo_reply()))))
    c.rx("physnet1", phy(eth("P>rV", ipv4("P>A1", U)))).out("A1", eth("rA>A1", ipv4("P>A1", U, ttl=63)))
    c.rx("physnet1", phy(eth("P>rV", ipv4("P>A2", U)))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("P>A2", U, ttl=63))))
    c.rx("physnet1", phy(eth("P>rV", ipv4("P>E", U)))).out("physnet1", phy(eth("M1>sgV", ipv4("P>E", U, ttl=63))))
    c.rx("physnet1", phy(eth("P>rV", ipv4("P>A1", U, ttl=1)))).error("ttl", "rV>P", "rV>P", 11, 0)
    c.rx("physnet1", phy(eth("P>V1", arp_reply("P", "rV", "V1", "V1")))).drop("router_arp_from_fabric")


@case("V4-2", "gateway announced every minute", rules="V4",
      about="The designated host repeats its gateway's ARP announcement on the VLAN every 60 s, and tells nobody else.")
def _(c):
    c.patch(networks=[gateway("H1")])
    c.rx("physnet1", phy(TO_V1)).out("V1", TO_V1)
    c.wait(130)
    c.rx("physnet1", phy(TO_V1)).out("V1", TO_V1)
    for minute in (1, 2):
        c.sends(minute * 60 * 10**9, TIMER, [("physnet1", phy(eth("rV>*", arp_request("rV", "rV", "rV"))))])


@case("V4-3", "routed to a physical machine", rules="V4 R7 R7-probe V0 O2 O4",
      about="The designated host too sends routed frames with its DVR MAC; it asks for the machine on ports and VLAN.")
def _(c):
    c.patch(networks=[gateway("H1")])
    first = c.rx("A1", eth("A1>rA", ipv4("A1>P", U)))
    question = c.question(first, 0, "P", "V1 physnet1")
    c.rx("physnet1", phy(says("P", "P"))).consumed()
    question.answered()
    first.release(("physnet1", phy(eth("M1>P", ipv4("A1>P", U, ttl=63)))))
    c.rx("V1", eth("V1>rV", ipv4("V1>P", U))).out("physnet1", phy(eth("M1>P", ipv4("V1>P", U, ttl=63))))


@case("L4-11", "learned from a VLAN", rules="L4 L1 L3 V0 O4",
      about="A physical machine is unknown until it has sent something, and again 300 s after its last frame.")
def _(c):
    to_p, from_p = eth("V1>P", ipv4("V1>P", U)), eth("P>V1", ipv4("P>V1", U))
    c.rx("V1", to_p).drop("unknown_unicast")
    c.rx("physnet1", phy(from_p)).out("V1", from_p)
    c.rx("V1", to_p).out("physnet1", phy(to_p))
    c.wait(302)
    c.rx("V1", to_p).drop("unknown_unicast")


@case("L4-12", "learning off on a VLAN", rules="L4 L3",
      about="With learning off nothing is learned from the physical network; machines of the model are known.")
def _(c):
    c.patch(networks=[network("V", dvrd={"learning": False})])
    to_p, from_p = eth("V1>P", ipv4("V1>P", U)), eth("P>V1", ipv4("P>V1", U))
    c.rx("physnet1", phy(from_p)).out("V1", from_p)
    c.rx("V1", to_p).drop("unknown_unicast")
    to_v2 = eth("V1>V2", ipv4("V1>V2", U))
    c.rx("V1", to_v2).out("physnet1", phy(to_v2))


@case("L3-3", "unknown unicast on a VLAN", rules="L3 O4",
      about="With flood_unknown on, an unknown MAC is looked for on the physical network; from there never back to it.")
def _(c):
    c.patch(networks=[network("V", dvrd={"flood_unknown": True})])
    c.rx("V1", eth(f"V1>{STRANGER}", ipv4("V1>10.3.0.77", U))).flood(0, "physnet1", unknown=True)
    c.rx("physnet1", phy(eth(f"P>{STRANGER}", ipv4("P>10.3.0.77", U)))).drop("unknown_unicast")


@case("L6-5", "broadcast from a VLAN", rules="V0 L6 L5",
      about="Broadcast, multicast and announcements from a physical network reach the network's local ports only.")
def _(c):
    c.patch(ports=[port("V2", binding_host_id="H1")])
    for frame in (eth("P>*", ipv4("P>255.255.255.255", U)), eth("P>01:00:5e:00:00:fb", ipv4("P>224.0.0.251", U, ttl=1)),
                  eth("P>*", arp_request("P", "P", "V1")), eth("P>*", arp_request("P", "P", "P"))):
        c.rx("physnet1", phy(frame)).flood(0, "V1 V2", inner=frame)


@case("L6-6", "broadcast from a VLAN for nobody", rules="V0 L6",
      about="No port of the network is up: what a physical NIC brings to all is not ours.")
def _(c):
    c.patch(ports=[port("V1", status="DOWN")])
    c.rx("physnet1", phy(eth("P>*", ipv4("P>255.255.255.255", U)))).drop("not_ours")
    c.rx("physnet1", phy(eth("P>*", arp_request("P", "P", "V2")))).drop("not_ours")
    c.rx("physnet1", phy(eth("P>V1", ipv4("P>V1", U)))).drop("port_down")


@case("O4-1", "frames as they are on a VLAN", rules="O4 I0 L1 R9 I3-a D10",
      about="A bridged frame keeps its padding behind the tag, a routed one does not; the router's ARP stays here.")
def _(c):
    short = udp(4000, 4001, b"hi")
    padded = eth("V1>V2", ipv4("V1>V2", short), pad=60)
    c.rx("V1", padded).out("physnet1", phy(padded))
    c.rx("A1", eth("A1>rA", ipv4("A1>V2", short), pad=60)).out(
        "physnet1", phy(eth("M1>V2", ipv4("A1>V2", short, ttl=63))))
    c.rx("V1", eth("V1>*", arp_request("V1", "V1", "V2"))).answer(eth("V2>V1", arp_reply("V2", "V2", "V1", "V1")))
    c.rx("V1", eth("V1>*", arp_request("V1", "V1", "P"))).flood(0, "physnet1")
    c.rx("V1", eth("V1>V2", arp_reply("V1", "V1", "V2", "10.3.0.1"))).consumed()
    reply = eth("sgV>V1", ipv4("E>V1", U, ttl=59))
    c.rx("physnet1", phy(reply)).out("V1", reply)
