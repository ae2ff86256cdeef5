"""Cases that a review of the first pipeline asked for: combinations no single rule shows."""

from .case import case
from .cloud import link_local, network, port, unsecured
from .packets import arp_reply, arp_request, eth, ext, icmp6, ip6, ipv4, ipv6, nd_option, udp, vx

U = udp(4000, 4001)
STRANGER = "fa:16:3e:0a:00:55"
VIRTUAL = "00:00:5e:00:01:07"


@case("R4-4", "source in the scope of the external network", rules="R4 R4-3 FO",
      about="Step 3 comes before step 4: a source of the external network's scope goes out here, untranslated.")
def _(c):
    c.patch(networks=[network("A", ipv4_address_scope="s1"), network("X", ipv4_address_scope="s1")])
    c.rx("A3", eth("A3>rA", ipv4("A3>E", U))).out("physext", ext(eth("fg1>gX", ipv4("A3>E", U, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U))).out("physext", ext(eth("fg1>gX", ipv4("F101>E", U, ttl=63))))


@case("R3-2", "TTL before address scopes", rules="R3 R6",
      about="A packet between two scopes whose TTL is used up is a ttl drop: R3 comes before R6.")
def _(c):
    c.patch(networks=[network("A", ipv4_address_scope="s1"), network("B", ipv4_address_scope="s2")])
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, ttl=1))).error("ttl", "rA>A1", "rA>A1", 11, 0)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).drop("scope")


@case("L4-4", "learned address of a port that moves", rules="L4 L3",
      about="What was learned behind a port does not follow it to another network.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A3", eth(f"{STRANGER}>A1", ipv4("10.1.0.55>A1", U))).out("A1", eth(f"{STRANGER}>A1", ipv4("10.1.0.55>A1", U)))
    moved = unsecured("A3") | {"network_id": "B", "fixed_ips": [{"subnet_id": "B-v4", "ip_address": "10.2.0.13"}]}
    c.event(ports=[moved])
    c.rx("A1", eth(f"A1>{STRANGER}", ipv4("A1>10.1.0.55", U))).drop("unknown_unicast")


@case("L4-5", "virtual MAC of two hosts", rules="L4 L5 L1",
      about="A VRRP MAC that two ports may have is where it was seen last, not at the backup on this host.")
def _(c):
    pair = [{"ip_address": "10.1.0.70", "mac_address": VIRTUAL}]
    c.patch(ports=[port("A1", allowed_address_pairs=pair), port("A2", allowed_address_pairs=pair)])
    to = eth(f"A3>{VIRTUAL}", ipv4("A3>10.1.0.70", U))
    c.rx("A3", to).out("A1", to)
    gratuitous = eth(f"{VIRTUAL}>*", arp_request(VIRTUAL, "10.1.0.70", "10.1.0.70"))
    c.rx("tunnel", vx("H2>H1", 1001, gratuitous)).flood(1001, "A1 A3", inner=gratuitous)
    c.rx("A3", to).out("tunnel", vx("H1>H2", 1001, to))
    c.rx("A1", gratuitous).flood(1001, "A3 H2 H3 H4")
    c.rx("A3", to).out("A1", to)


@case("L4-6", "the newest frame has the last word", rules="L4 L1",
      about="Two frames of one MAC at one time from two hosts: it is where the second came from.")
def _(c):
    frame = eth(f"{STRANGER}>A1", ipv4("10.1.0.55>A1", U))
    c.rx("tunnel", vx("H2>H1", 1001, frame)).out("A1", frame)
    c.rx("tunnel", vx("H3>H1", 1001, frame)).out("A1", frame)
    c.rx("tunnel", vx("H2>H1", 1001, frame), together=True).out("A1", frame)
    back = eth(f"A1>{STRANGER}", ipv4("A1>10.1.0.55", U))
    c.rx("A1", back).out("tunnel", vx("H1>H2", 1001, back))


@case("I2-2", "router's MAC hidden in neighbour discovery", rules="I2 I0 D7",
      about="A second link-layer option cannot hide the router's MAC, nor can a redirect carry it.")
def _(c):
    source = link_local("A3")
    solicit = bytes(4) + ip6("fe80::1234") + nd_option(1, "rA")
    to = "A3>33:33:ff:00:12:34"
    def ask(body):
        return eth(to, ipv6(f"{source}>ff02::1:ff00:1234", icmp6(135, body), hop_limit=255))
    c.rx("A3", ask(solicit)).drop("reserved_src")
    c.rx("A3", ask(solicit + nd_option(1, "A3"))).drop("parse_l3")
    redirect = bytes(4) + ip6("fe80::1234") + ip6("fd00::9") + nd_option(2, "rA")
    c.rx("A3", eth("A3>A1", ipv6(f"{source}>fd00:a::11", icmp6(137, redirect), hop_limit=255))).drop("reserved_src")


@case("D10-1", "what is said about a router stays on the host", rules="D10 L1",
      about="An ARP reply about a router address reaches a local port, but never another host.")
def _(c):
    local = eth("A1>A3", arp_reply("A1", "A1", "A3", "10.1.0.1"))
    c.rx("A1", local).out("A3", local)
    c.rx("A1", eth("A1>A2", arp_reply("A1", "A1", "A2", "10.1.0.1"))).consumed()
