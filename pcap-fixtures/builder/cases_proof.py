"""Cases that the matrix of rules asked for: built rules, or parts of them, that no case showed."""

from .case import case
from .cloud import link_local, port, router, unsecured
from .packets import arp_reply, arp_request, eth, ipv4, ipv6, udp, vx

U = udp(4000, 4001)
STRANGER = "fa:16:3e:0a:00:55"
VIRTUAL = "00:00:5e:00:01:07"


@case("ARP-05", "ARP with another port's address", rules="I2-ps",
      about="A request or a reply may name only the sender's own address and MAC; with both its own it passes.")
def _(c):
    c.rx("A3", eth("A3>*", arp_request("A3", "A2", "rA"))).drop("arp_spoof")
    c.rx("A3", eth("A3>*", arp_request("A3", "A1", "10.1.0.77"))).drop("arp_spoof")
    c.rx("A3", eth("A3>*", arp_request("A3", "A1", "A1"))).drop("arp_spoof")
    c.rx("A3", eth("A3>A1", arp_reply("A3", "A2", "A1", "A1"))).drop("arp_spoof")
    c.rx("A3", eth("A3>A1", arp_reply("A2", "A3", "A1", "A1"))).drop("arp_spoof")
    own = eth("A3>A1", arp_reply("A3", "A3", "A1", "A1"))
    c.rx("A3", own).out("A1", own)


@case("PS-01", "foreign source MAC", rules="I2-ps",
      about="A secured port sends from its own MAC only, bridged, routed or as broadcast, IP or ARP.")
def _(c):
    c.rx("A3", eth("A1>A2", ipv4("A3>A2", U))).drop("mac_spoof")
    c.rx("A3", eth(f"{STRANGER}>rA", ipv4("A3>B1", U))).drop("mac_spoof")
    c.rx("A3", eth(f"{STRANGER}>*", arp_request(STRANGER, "A3", "10.1.0.77"))).drop("mac_spoof")
    own = eth("A3>A1", ipv4("A3>A1", U))
    c.rx("A3", own).out("A1", own)


@case("PS-02", "allowed pair of every address", rules="I2-ps",
      about="A pair 0.0.0.0/0 lets its own MAC use any address; the port's MAC keeps to its own.")
def _(c):
    c.patch(ports=[port("A3", allowed_address_pairs=[{"ip_address": "0.0.0.0/0", "mac_address": VIRTUAL}])])
    any_address = eth(f"{VIRTUAL}>A1", ipv4("192.0.2.1>A1", U))
    c.rx("A3", any_address).out("A1", any_address)
    c.rx("A3", eth("A3>A1", ipv4("192.0.2.1>A1", U))).drop("ip_spoof")
    c.rx("A3", eth(f"{STRANGER}>A1", ipv4("192.0.2.1>A1", U))).drop("mac_spoof")
    own = eth("A3>A1", ipv4("A3>A1", U))
    c.rx("A3", own).out("A1", own)


@case("PS-03", "foreign source address", rules="I2-ps",
      about="IPv4 and IPv6 sources are the port's; 0.0.0.0 is for a DHCP client alone.")
def _(c):
    c.rx("A3", eth("A3>A2", ipv4("A1>A2", U))).drop("ip_spoof")
    c.rx("A3", eth("A3>rA", ipv4("A1>B1", U))).drop("ip_spoof")
    c.rx("A3", eth("A3>A1", ipv6("fd00:a::99>A1", U))).drop("ip_spoof")
    c.rx("A3", eth("A3>*", ipv4("0.0.0.0>255.255.255.255", U))).drop("ip_spoof")
    c.rx("A3", eth("A3>*", ipv4("0.0.0.0>255.255.255.255", udp(68, 67)))).flood(1001, "A1 H2 H3 H4")
    own = eth("A3>A1", ipv6(f"{link_local('A3')}>{link_local('A1')}", U))
    c.rx("A3", own).out("A1", own)


@case("PS-05", "VM as DHCP server", rules="I2-ps",
      about="Offers of a secured VM are dropped, IPv4 and IPv6; those of a port without port security pass.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A1", eth("A1>A3", ipv4("A1>A3", udp(67, 68)))).drop("dhcp_server")
    c.rx("A1", eth("A1>A3", ipv6(f"{link_local('A1')}>{link_local('A3')}", udp(547, 546)))).drop("dhcp_server")
    offer = eth("A3>A1", ipv4("A3>A1", udp(67, 68)))
    c.rx("A3", offer).out("A1", offer)


@case("L5-2", "announcement changes no neighbour", rules="L5 L6 R7 I3-a",
      about="Whoever announces A2's address, from a tunnel or a port: ARP and routing still mean A2.")
def _(c):
    c.patch(ports=[unsecured("A3")])

    def still_a2():
        c.rx("A1", eth("A1>*", arp_request("A1", "A1", "A2"))).answer(eth("A2>A1", arp_reply("A2", "A2", "A1", "A1")))
        c.rx("B1", eth("B1>rB", ipv4("B1>A2", U))).out(
            "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", U, ttl=63))))

    false = eth(f"{STRANGER}>*", arp_request(STRANGER, "A2", "A2"))
    c.rx("tunnel", vx("H3>H1", 1001, false)).flood(1001, "A1 A3", inner=false)
    still_a2()
    c.rx("A3", false).flood(1001, "A1 H2 H3 H4")
    still_a2()


ROUTES = [{"destination": "10.4.0.0/24", "nexthop": "10.9.0.2"},
          {"destination": "192.168.0.0/16", "nexthop": "10.1.0.12"},
          {"destination": "192.168.50.0/24", "nexthop": "10.2.0.12"},
          {"destination": "192.168.50.8/29", "nexthop": "10.1.0.14"},
          {"destination": "10.2.0.12/32", "nexthop": "10.1.0.14"}]


@case("R4-5", "the longest prefix wins", rules="R4-1 R7 R9",
      about="Of nested extra routes the longest is taken, before a connected subnet too, up to its last address.")
def _(c):
    c.patch(routers=[router("R1", routes=ROUTES)])
    for target, host, vni, hop in (
            ("192.168.1.1", "H2", 1001, "A2"), ("192.168.49.255", "H2", 1001, "A2"),
            ("192.168.50.0", "H2", 1002, "B2"), ("192.168.50.7", "H2", 1002, "B2"),
            ("192.168.50.8", "H4", 1001, "A4"), ("192.168.50.15", "H4", 1001, "A4"),
            ("192.168.50.16", "H2", 1002, "B2"), ("192.168.51.0", "H2", 1001, "A2"),
            ("10.2.0.12", "H4", 1001, "A4")):
        c.rx("B1", eth("B1>rB", ipv4(f"B1>{target}", U))).out(
            "tunnel", vx(f"H1>{host}", vni, eth(f"M1>{hop}", ipv4(f"B1>{target}", U, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))


@case("R4-6", "default route hides what comes after it", rules="R4-1 R7 R9",
      about="With an extra route to 0.0.0.0/0 neither A1's floating IP nor A3's SNAT port is asked.")
def _(c):
    c.patch(routers=[router("R1", routes=ROUTES[:1] + [{"destination": "0.0.0.0/0", "nexthop": "10.2.0.12"}])])
    for vm in ("A1", "A3"):
        c.rx(vm, eth(f"{vm}>rA", ipv4(f"{vm}>E", U))).out(
            "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4(f"{vm}>E", U, ttl=63))))


@case("R0-3", "router interface switched off on the way out", rules="R0 R9",
      about="Nothing is routed out of an interface whose admin_state_up is false; what stays on A is.")
def _(c):
    c.patch(ports=[port("rB", admin_state_up=False)])
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).drop("router_down")
    c.rx("A1", eth("A1>rA", ipv4("A1>B2", U))).drop("router_down")
    c.rx("B1", eth("B1>rB", ipv4("B1>A1", U))).drop("router_down")
    c.rx("A1", eth("A1>rA", ipv4("A1>A3", U))).out("A3", eth("rA>A3", ipv4("A1>A3", U, ttl=63)))


@case("O5-1", "rows in any order", rules="o5 R4 R4-4 F42 ICMP",
      about="The SNAT port before its router's interface, or after it: once both are there the way out is.")
def _(c):
    out = eth("A3>rA", ipv4("A3>E", U))
    sent = vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", U, ttl=63)))
    c.patch(delete={"ports": ["rA", "sgA"]})
    c.rx("A3", out).drop("unknown_unicast")
    c.event(ports=[port("sgA")])
    c.rx("A3", out).drop("unknown_unicast")
    c.event(ports=[port("rA")])
    c.announce("A1 A3", "rA")
    c.rx("A3", out).out("tunnel", sent)
    c.event(delete={"ports": ["sgA"]})
    c.rx("A3", out).error("no_route", "rA>A3", "rA>A3", 3, 0)
    c.event(ports=[port("sgA")])
    c.rx("A3", out).out("tunnel", sent)


@case("O7-1", "a port whose binding failed", rules="o7 R7 R7-probe I3-a L6",
      about="A2 names a host, but its binding failed: no ARP answer in its name, no route to it; bound, both are there.")
def _(c):
    ask = eth("A1>*", arp_request("A1", "A1", "A2"))
    routed = eth("B1>rB", ipv4("B1>A2", U))
    c.patch(ports=[port("A2") | {"binding_vif_type": "binding_failed"}])
    c.rx("A1", ask).flood(1001, "A3 H2 H3 H4")
    waiting = c.rx("B1", routed)
    question = c.question(waiting, 1001, "A2", "A1 A3 H2 H3 H4")
    c.rx("A1", eth("A1>A2", ipv4("A1>A2", U))).drop("unknown_unicast")
    c.event(ports=[port("A2")])
    question.settled()
    waiting.release(("tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", U, ttl=63)))))
    c.rx("A1", ask).answer(eth("A2>A1", arp_reply("A2", "A2", "A1", "A1")))
    c.rx("B1", routed).out("tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", U, ttl=63))))
