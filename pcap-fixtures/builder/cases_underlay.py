"""The way to another host is not known yet, or not any more."""

from .case import case
from .cloud import gone, host
from .packets import arp_request, eth, ipv4, udp, vx

UNKNOWN = host("H2", vtep_mac=None)


def packet(n):
    return udp(4000 + n, 4001)


def bridged(sender, n):
    return eth(f"{sender}>A2", ipv4(f"{sender}>A2", packet(n)))


@case("O3-3", "the way to another host becomes known", rules="O3-wait O3 O2 R9 L1",
      about="Frames of two ports for H2, bridged and routed, wait until its MAC is known and go in the order they came; "
            "what is for H4 goes at once, later frames for H2 too.")
def _(c):
    c.patch(hosts=[UNKNOWN])
    to_b2 = c.rx("A1", eth("A1>rA", ipv4("A1>B2", packet(0))))
    waiting = [(name, n, c.rx(name, bridged(name, n))) for n, name in enumerate(("A3", "A1", "A3"), start=1)]
    other = eth("A1>A4", ipv4("A1>A4", packet(4)))
    c.rx("A1", other).out("tunnel", vx("H1>H4", 1001, other))
    c.wait(0.5)
    c.event(hosts=[host("H2")])
    to_b2.resolved(("tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>B2", packet(0), ttl=63)))))
    for name, n, arrival in waiting:
        arrival.resolved(("tunnel", vx("H1>H2", 1001, bridged(name, n))))
    c.rx("A3", bridged("A3", 5)).out("tunnel", vx("H1>H2", 1001, bridged("A3", 5)))


@case("O3-4", "the way to another host stays unknown", rules="O3-wait L1",
      about="Of 17 frames for H2 the first ends when the last comes, the others each 1 s after it came; then it begins anew.")
def _(c):
    c.patch(hosts=[UNKNOWN])
    for n in range(17):
        c.rx("A1", bridged("A1", n)).drop("underlay_unresolved")
    c.wait(1.5)
    c.rx("A1", bridged("A1", 17)).drop("underlay_unresolved")
    other = eth("A1>A4", ipv4("A1>A4", packet(18)))
    c.rx("A1", other).out("tunnel", vx("H1>H4", 1001, other))


@case("O3-5", "changes while frames wait for another host", rules="O3-wait O3 o5",
      about="A frame goes to the MAC the way has when it is known; that of a port that left meanwhile ends as port_gone. Then "
            "the way is lost again.")
def _(c):
    c.patch(hosts=[UNKNOWN])
    stays, leaves = c.rx("A1", bridged("A1", 0)), c.rx("A3", bridged("A3", 1))
    c.event(ports=[gone("A3")])
    leaves.drop("port_gone")
    gateway = "02:00:00:00:00:fe"
    c.event(hosts=[host("H2", vtep_mac=gateway)])
    stays.resolved(("tunnel", vx("H1>H2", 1001, bridged("A1", 0), dst_mac=gateway)))
    c.rx("A1", bridged("A1", 2)).out("tunnel", vx("H1>H2", 1001, bridged("A1", 2), dst_mac=gateway))
    c.event(hosts=[UNKNOWN])
    c.rx("A1", bridged("A1", 3)).drop("underlay_unresolved")


@case("O3-6", "a copy of a flood waits for its host", rules="O3-wait L6 O3",
      about="A broadcast goes to everybody whose way is known at once, to H2 when it is; what its sender sends to H2 meanwhile comes "
            "behind it.")
def _(c):
    c.patch(hosts=[UNKNOWN])
    broadcast = eth("A1>*", arp_request("A1", "A1", "A1"))
    flooded = c.rx("A1", broadcast)
    flooded.flood(1001, "A3 H3 H4")
    behind = c.rx("A1", bridged("A1", 0))
    c.wait(0.5)
    c.event(hosts=[host("H2")])
    flooded.late_copy(*c.copies(1001, "H2", broadcast))
    behind.resolved(("tunnel", vx("H1>H2", 1001, bridged("A1", 0))))
