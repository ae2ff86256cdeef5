"""ICMP errors and MTUs: the cases of the specification."""

from .case import case
from .cloud import network
from .packets import cut, echo, eth, ipv4, tcp, udp, vx

U = udp(4000, 4001)


def sized(total):
    """UDP in an IP packet of that many bytes."""
    return udp(4000, 4001, bytes(n & 255 for n in range(total - 28)))


@case("EW-11", "time exceeded", rules="R3 ICMP",
      about="TTL 1: the gateway tells, from its address on the sender's subnet, quoting what it received.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo(), ttl=1))).error("ttl", "rA>A1", "rA>A1", 11, 0)


@case("EW-13", "two address scopes", rules="R6",
      about="From a network of one scope to one of another: dropped, and nothing is told. Inside a scope it passes.")
def _(c):
    c.patch(networks=[network("A", ipv4_address_scope="s1"), network("B", ipv4_address_scope="s2"),
                      network("C", ipv4_address_scope="s1"), network("K", ipv4_address_scope="s1")])
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).drop("scope")
    c.rx("B1", eth("B1>rB", ipv4("B1>A2", U))).drop("scope")
    c.rx("A1", eth("A1>rA", ipv4("A1>V1", U))).drop("scope")
    c.rx("A1", eth("A1>rA", ipv4("A1>A2", U))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("A1>A2", U, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>K1", U))).out("K1", eth("rK>K1", ipv4("A1>K1", U, ttl=62)))


@case("EW-14", "no route", rules="R4 ICMP",
      about="A router without a gateway tells that the outside is unreachable.")
def _(c):
    c.rx("K1", eth("K1>rK", ipv4("K1>E", echo()))).error("no_route", "rK>K1", "rK>K1", 3, 0)


@case("MTU-01", "too big with DF", rules="R8 R8-icmp ICMP",
      about="1500 bytes with DF into a network of 1450: the gateway names that MTU.")
def _(c):
    c.rx("V1", eth("V1>rV", ipv4("V1>A2", sized(1500)))).error("mtu", "rV>V1", "rV>V1", 3, 4, mtu=1450)


@case("MTU-02", "too big without DF", rules="R8 R8-icmp R9 O2 O3",
      about="Without DF it is cut in two: same id, the first as large as the MTU allows, each header sum right.")
def _(c):
    c.rx("V1", eth("V1>rV", ipv4("V1>A2", sized(1500), df=False))).fragments(*(
        ("tunnel", vx("H1>H2", 1001, eth("M1>A2", part)))
        for part in cut(ipv4("V1>A2", sized(1500), df=False, ttl=63), 1424)))


@case("MTU-03", "lowered MTU of the external network", rules="R4-2 FO FO2 R8-icmp ICMP",
      about="A packet that fits its own network but not the external one: told from the gateway facing the VM.")
def _(c):
    c.patch(networks=[network("X", mtu=1400)])
    c.rx("A1", eth("A1>rA", ipv4("A1>E", sized(1450)))).error("mtu", "rA>A1", "rA>A1", 3, 4, mtu=1400)
