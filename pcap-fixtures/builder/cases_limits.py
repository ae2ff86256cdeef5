"""Limits: each case goes up to one, one past it, and looks at what is left."""

from .case import case
from .cloud import network, port, unsecured
from .packets import arp_request, eth, ipv4, udp, vx

SMALL = udp(4000, 4001, data=b"")
NS = 1e-9


def stranger(n):
    """MAC number `n` of no machine of the cloud."""
    return f"02:77:00:00:{n >> 8:02x}:{n & 255:02x}"


def hear(c, n, host="H2", vni=1001, to="A1", together=False):
    """Stranger `n` behind another host sends to a local port."""
    frame = eth(f"{stranger(n)}>{to}", ipv4(f"{'10.1' if vni == 1001 else '10.2'}.9.9>{to}", SMALL))
    arrival = c.rx("tunnel", vx(f"{host}>H1", vni, frame), together=together)
    arrival.out(to, frame)
    return arrival


def ask(c, n, host=None, vni=1001, by="A1", together=False):
    """A local port sends to stranger `n`, who is behind `host` or unknown."""
    frame = eth(f"{by}>{stranger(n)}", ipv4(f"{by}>10.9.9.9", SMALL))
    arrival = c.rx(by, frame, together=together)
    if host:
        arrival.out("tunnel", vx(f"H1>{host}", vni, frame))
    else:
        arrival.drop("unknown_unicast")


@case("L6-3", "storm of broadcasts from one port", rules="L6 L6-storm",
      about="2,000 broadcasts of a port are flooded at once, the next is storm; each millisecond brings one back.")
def _(c):
    c.patch(ports=[port("Z1") | {
        "id": "Z2", "name": "Z2", "mac_address": "fa:16:3e:0a:00:12",
        "fixed_ips": [{"subnet_id": "Z-v4", "ip_address": "10.1.0.12"}]}])
    broadcast = eth("Z1>*", arp_request("Z1", "Z1", "Z1"))
    for n in range(2000):
        c.rx("Z1", broadcast, together=n > 0).flood(2001, "Z2")
    c.rx("Z1", broadcast, together=True).drop("storm")
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "A1")), together=False).flood(1001, "A3 H2 H3 H4")
    c.rx("Z1", broadcast, together=True).flood(2001, "Z2")
    c.rx("Z1", broadcast, together=True).drop("storm")
    unicast = eth("Z1>fa:16:3e:0a:00:12", ipv4("Z1>10.1.0.12", SMALL))
    c.rx("Z1", unicast, together=True).out("Z2", unicast)


@case("L4-7", "quota of a port without port security", rules="L4 L4-quota L3",
      about="The 65th address behind a port takes the place of its longest unseen one; nobody else's goes.")
def _(c):
    c.patch(ports=[unsecured("A1"), unsecured("A3")])
    hear(c, 900)
    def send(n, together=False):
        frame = eth(f"{stranger(n)}>A1", ipv4("10.1.9.9>A1", SMALL))
        arrival = c.rx("A3", frame, together=together)
        arrival.out("A1", frame)
        return arrival
    send(0)
    for n in range(1, 64):
        send(n, together=n > 1)
    send(64).counted.append("learn_quota_evicted")
    def look(n):
        return eth(f"A2>{stranger(n)}", ipv4("A2>10.1.9.9", SMALL))
    c.rx("tunnel", vx("H2>H1", 1001, look(0))).flood(1001, "A1 A3", inner=look(0), unknown=True)
    for n in (1, 63, 64):
        c.rx("tunnel", vx("H2>H1", 1001, look(n))).out("A3", look(n))
    ask(c, 900, host="H2")


@case("L4-8", "quota of a host in a network", rules="L4 L4-quota L3 L1",
      about="The 1,025th address of a host in a network takes the place of its longest unseen one there.")
def _(c):
    c.patch(networks=[network("A", dvrd={"learning": True})])
    hear(c, 2000, host="H3")
    hear(c, 2000, vni=1002, to="B1")
    hear(c, 0)
    hear(c, 1)
    for n in range(2, 1024):
        hear(c, n, together=n > 2)
    hear(c, 1024).counted.append("learn_quota_evicted")
    ask(c, 0)
    hear(c, 0).counted.append("learn_quota_evicted")
    ask(c, 1)
    for n in (0, 2, 1023, 1024):
        ask(c, n, host="H2")
    ask(c, 2000, host="H3")
    ask(c, 2000, host="H2", vni=1002, by="B1")


@case("L4-9", "rate of new addresses of a host", rules="L4 L4-quota L3 L1",
      about="2,000 new addresses of a host at once are learned, in all its networks; then one each millisecond.")
def _(c):
    c.patch(networks=[network("A", dvrd={"learning": True})])
    for n in range(1000):
        hear(c, n, together=n > 0)
        hear(c, n, vni=1002, to="B1", together=True)
    c.wait(NS)
    hear(c, 1000).counted.append("learn_rate_limited")
    hear(c, 1001, host="H3", together=True)
    c.wait(NS)
    ask(c, 1000)
    ask(c, 1001, host="H3", together=True)
    ask(c, 999, host="H2", together=True)
    # 1 ms and 2 ns after the burst: one token.
    c.rx("A1", eth("A1>A3", ipv4("A1>A3", SMALL))).out("A3", eth("A1>A3", ipv4("A1>A3", SMALL)))
    hear(c, 1000, together=True)
    c.wait(NS)
    hear(c, 1002).counted.append("learn_rate_limited")
    c.wait(NS)
    ask(c, 1000, host="H2")
    ask(c, 1002, together=True)


@case("L4-10", "age of a learned address to the nanosecond", rules="L4 L3 L1",
      about="Known at 300 s after its last frame, whenever in its second that came; forgotten at 301 s.")
def _(c):
    hear(c, 0)
    c.wait(0.999999999)
    hear(c, 0)  # the last nanosecond of the same second
    c.wait(300)
    ask(c, 0, host="H2")
    c.wait(NS)
    ask(c, 0)
    # From 301 s on: a frame at the start of a second, and a move at the edge.
    hear(c, 0)
    c.wait(299)
    hear(c, 0, host="H3")
    c.wait(300)
    ask(c, 0, host="H3")
    c.wait(1)
    ask(c, 0)
