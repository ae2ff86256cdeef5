"""Port security and what a router is sent: what no other case shows, drop reasons above all."""

from .case import case
from .cloud import link_local, port
from .packets import RARP, arp, arp_request, echo, eth, ipv4, ipv6, neighbour_advertisement, udp, vx

U = udp(4000, 4001)


@case("I2-PS-1", "other EtherTypes", rules="I2-ps",
      about="A secured port sends IPv4, IPv6, ARP and RARP of its own, and nothing else.")
def _(c):
    for ethertype in (0x88B5, 0x8863, 0x0842, 0x0600):
        c.rx("A3", eth("A3>A1", (ethertype, bytes(46)))).drop("ethertype")
    c.rx("A3", eth("A3>*", arp(3, "A1", "0.0.0.0", "A1", "0.0.0.0", ethertype=RARP))).drop("mac_spoof")
    own = eth("A3>A1", ipv4("A3>A1", U))
    c.rx("A3", own).out("A1", own)


@case("I2-PS-2", "neighbour advertisement for another's address", rules="I2-ps",
      about="A secured port advertises its own IPv6 addresses and no other's.")
def _(c):
    def tells(target):
        return eth("A1>A3", ipv6("A1>fd00:a::13", neighbour_advertisement(target, "A1"), hop_limit=255))
    c.rx("A1", tells("fd00:a::13")).drop("nd_spoof")
    c.rx("A1", tells(link_local("A3"))).drop("nd_spoof")
    for own in ("fd00:a::11", link_local("A1")):
        c.rx("A1", tells(own)).out("A3", tells(own))


@case("PS-02", "the port's own MAC with every address", rules="I2-ps L1 O3",
      about="A pair 0.0.0.0/0 with the port's MAC: any source address, from that MAC only.")
def _(c):
    c.patch(ports=[port("A3", allowed_address_pairs=[
        {"ip_address": "0.0.0.0/0", "mac_address": "fa:16:3e:0a:00:13"}])])
    for target in ("A1", "A2"):
        frame = eth(f"A3>{target}", ipv4(f"8.8.8.8>{target}", U))
        c.rx("A3", frame).out(*(("A1", frame) if target == "A1" else ("tunnel", vx("H1>H2", 1001, frame))))
    c.rx("A3", eth("fa:16:3e:0a:00:55>A1", ipv4("8.8.8.8>A1", U))).drop("mac_spoof")
    c.rx("A3", eth("A3>*", arp_request("A3", "8.8.8.8", "10.1.0.77"))).flood(1001, "A1 H2 H3 H4")
    c.rx("A3", eth("A3>*", arp_request("A3", "rA", "10.1.0.77"))).drop("reserved_src")


@case("R2-4", "ping with a wrong ICMP checksum", rules="R2",
      about="The router verifies what it answers.")
def _(c):
    good = eth("A1>rA", ipv4("A1>rA", echo()))
    c.rx("A1", good[:-1] + bytes([good[-1] ^ 1])).drop("ct_invalid")
