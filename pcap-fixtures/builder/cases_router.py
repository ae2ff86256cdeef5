"""Cases of our own for built rules that no case of the specification hits: the routers."""

from .case import case
from .cloud import port, router, unsecured
from .packets import (
    arp_reply, arp_request, cut, echo, echo_reply, eth, ext, icmp, ipv4, phy, raw, reset, tcp, udp, vx)

U = udp(4000, 4001)
LSRR = bytes([1, 131, 7, 4]) + bytes([10, 2, 0, 11])
SSRR = bytes([1, 137, 7, 4]) + bytes([10, 2, 0, 11])
RECORD = bytes([1, 7, 7, 4]) + bytes(4)


@case("R0-1", "router switched off", rules="R0",
      about="A router whose admin_state_up is false routes nothing.")
def _(c):
    c.patch(routers=[router("R1", admin_state_up=False)])
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo()))).drop("router_down")


@case("R0-2", "router interface switched off", rules="R0 R9",
      about="An interface whose admin_state_up is false takes nothing in; the router's others go on.")
def _(c):
    c.patch(ports=[port("rA", admin_state_up=False)])
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo()))).drop("router_down")
    c.rx("B1", eth("B1>rB", ipv4("B1>B2", U))).out(
        "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("B1>B2", U, ttl=63))))


@case("R1-1", "martian sources", rules="R1",
      about="Loopback, zero, multicast, broadcast and the router's own addresses as source, port security off.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    for source in ("127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "rA", "rB"):
        c.rx("A3", eth("A3>rA", ipv4(f"{source}>B1", U))).drop("martian")


@case("R1-2", "martian destinations", rules="R1",
      about="Multicast, broadcast, loopback and zero addressed to the router's unicast MAC.")
def _(c):
    for target in ("224.0.0.5", "239.1.2.3", "255.255.255.255", "127.0.0.1", "0.0.0.0"):
        c.rx("A1", eth("A1>rA", ipv4(f"A1>{target}", U))).drop("martian")


@case("R1-3", "link-local addresses", rules="R1",
      about="169.254/16 is never forwarded, neither as destination nor as source.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A1", eth("A1>rA", ipv4("A1>169.254.1.1", U))).drop("link_local")
    c.rx("A3", eth("A3>rA", ipv4("169.254.9.9>B1", U))).drop("link_local")


@case("R2-1", "echo replies in detail", rules="R2",
      about="TOS, ID, flags and payload are kept, IP options and padding are not, and TTL 1 is enough to ask.")
def _(c):
    odd = echo(ident=0xBEEF, seq=0xFFFF, data=b"odd number of bytes")
    odd_reply = echo_reply(ident=0xBEEF, seq=0xFFFF, data=b"odd number of bytes")
    for ask, tell in (
            ({"ttl": 1}, {}),
            ({"tos": 0xB9, "ident": 0x4321}, {"tos": 0xB9, "ident": 0x4321}),
            ({"df": False, "ident": 0xFFFF}, {"df": False, "ident": 0xFFFF}),
            ({"options": RECORD}, {})):
        c.rx("A1", eth("A1>rA", ipv4("A1>rA", odd, **ask))).answer(
            eth("rA>A1", ipv4("rA>A1", odd_reply, **tell)))
    c.rx("A1", eth("A1>rA", ipv4("A1>rA", echo(data=b"")), pad=60)).answer(
        eth("rA>A1", ipv4("rA>A1", echo_reply(data=b""))))


@case("R2-2", "ping the far router", rules="R2 R3 R4-1 R9 D3",
      about="A1 pings R2 through R1, K1 pings R1 through R2: the reply's TTL 64 loses one at the router between.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>rK", echo()))).answer(
        eth("rA>A1", ipv4("rK>A1", echo_reply(), ttl=63)))
    c.rx("A1", eth("A1>rA", ipv4("A1>rC2", echo()))).answer(
        eth("rA>A1", ipv4("rC2>A1", echo_reply(), ttl=63)))
    c.rx("K1", eth("K1>rK", ipv4("K1>rC1", echo()))).answer(
        eth("rK>K1", ipv4("rC1>K1", echo_reply(), ttl=63)))


@case("R2-3", "the rest addressed to a router", rules="R2 R2-l4 I3-a",
      about="UDP for the router itself gets port unreachable, TCP a reset; other traffic is taken and not answered.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A1", eth("A1>rA", ipv4("A1>rA", echo_reply()))).consumed()
    c.rx("A1", eth("A1>rA", ipv4("A1>rB", icmp(13, rest=bytes(4), data=bytes(12))))).consumed()
    c.rx("A1", eth("A1>rA", ipv4("A1>rA", udp(4000, 33434)))).no_such_port("rA>A1", "rA>A1")
    c.rx("A1", eth("A1>rA", ipv4("A1>rB", tcp(40000, 179)))).answer(
        eth("rA>A1", reset("rB>A1", 179, 40000, ack=1001)))
    c.rx("A1", eth("A1>rA", ipv4("A1>rA", raw(89, bytes(24))))).consumed()
    c.rx("A1", eth("A1>rA", arp_reply("A1", "A1", "rA", "rA"))).consumed()
    c.rx("A3", eth("A3>rA", (0x88B5, bytes(46)))).consumed()


@case("R3-1", "TTL runs out", rules="R3 R9 D3 ICMP",
      about="TTL 0 and 1 are not forwarded, 2 is; a second router needs one more. Bridging does not look.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, ttl=1))).error("ttl", "rA>A1", "rA>A1", 11, 0)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, ttl=0))).error("ttl", "rA>A1", "rA>A1", 11, 0)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, ttl=2))).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=1)))
    # R2 tells, from its address on C, and R1 routes that: 63.
    c.rx("A1", eth("A1>rA", ipv4("A1>K1", U, ttl=2))).error("ttl", "rA>A1", "rC2>A1", 11, 0, ttl=63)
    c.rx("A1", eth("A1>rA", ipv4("A1>K1", U, ttl=3))).out("K1", eth("rK>K1", ipv4("A1>K1", U, ttl=1)))
    bridged = eth("A1>A3", ipv4("A1>A3", U, ttl=1))
    c.rx("A1", bridged).out("A3", bridged)


@case("R4-1", "no route", rules="R4 ICMP",
      about="R2 has no gateway: K1 cannot reach the outside, with any protocol.")
def _(c):
    for layer4 in (U, tcp(40000, 443), echo(), raw(89, bytes(24))):
        c.rx("K1", eth("K1>rK", ipv4("K1>E", layer4))).error("no_route", "rK>K1", "rK>K1", 3, 0)


@case("R4-2", "default route by source address", rules="R4 R4-4 R7 R9 O2 O3",
      about="The SNAT next hop is on the subnet of the source address, not of the interface the packet came in by.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A3", eth("A3>rA", ipv4("10.2.0.77>E", U))).out(
        "tunnel", vx("H1>H3", 1002, eth("M1>sgB", ipv4("10.2.0.77>E", U, ttl=63))))


@case("R4-3", "what later rules decide", rules="R4 R4-2 FO FO4 O4 V0 E0 FI L1",
      about="Floating IP out and in, VLAN network out and in, bridged and routed: one frame each.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>E", tcp(40000, 443)))).out(
        "physext", ext(eth("fg1>gX", ipv4("F101>E", tcp(40000, 443), ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>V2", U))).out("physnet1", phy(eth("M1>V2", ipv4("A1>V2", U, ttl=63))))
    c.rx("V1", eth("V1>V2", ipv4("V1>V2", U))).out("physnet1", phy(eth("V1>V2", ipv4("V1>V2", U))))
    c.rx("V1", eth("V1>rV", ipv4("V1>E", U))).out("physnet1", phy(eth("M1>sgV", ipv4("V1>E", U, ttl=63))))
    c.rx("physnet1", phy(eth("V2>V1", ipv4("V2>V1", U)))).out("V1", eth("V2>V1", ipv4("V2>V1", U)))
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", tcp(443, 22))))).out(
        "A1", eth("rA>A1", ipv4("E>A1", tcp(443, 22), ttl=63)))


@case("I0-6", "IP options on the way", rules="I0 R4-1 R9 L1",
      about="Source routing is dropped when routed, other options pass untouched; bridging does not look.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo(), options=LSRR))).drop("src_route")
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo(), options=SSRR))).drop("src_route")
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo(), options=RECORD))).out(
        "B1", eth("rB>B1", ipv4("A1>B1", echo(), options=RECORD, ttl=63)))
    bridged = eth("A1>A3", ipv4("A1>A3", echo(), options=LSRR))
    c.rx("A1", bridged).out("A3", bridged)


@case("R7-1", "nobody has the address", rules="R7 R7-probe ICMP",
      about="Routed to an address of a connected subnet that no port has: three probes, host unreachable, and again.")
def _(c):
    for n in range(2):
        packet = c.rx("A1", eth("A1>rA", ipv4("A1>10.2.0.99", U)))
        c.question(packet, 1002, "10.2.0.99", "B1 H2 H3 H4")
        packet.give_up("rA>A1", "rA>A1")
        c.wait(4)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))


@case("VIP-02", "VIP before any announcement", rules="R7 R9 O1",
      about="Of the ports that may hold a virtual address the lowest id gets it, never the unbound port itself.")
def _(c):
    c.rx("B1", eth("B1>rB", ipv4("B1>VIP", echo()))).out("A1", eth("rA>A1", ipv4("B1>VIP", echo(), ttl=63)))


@case("R7-2", "VIP while its first holder is down", rules="R7 R9 O2 O3",
      about="With A1 DOWN the next active candidate gets the virtual address.")
def _(c):
    c.patch(ports=[port("A1", status="DOWN")])
    c.rx("B1", eth("B1>rB", ipv4("B1>VIP", echo()))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>VIP", echo(), ttl=63))))


@case("R8-1", "routed into a smaller MTU", rules="R8 R8-icmp ICMP R9 O3",
      about="From a 1500-byte network into a 1450-byte one: 1450 passes; more is told of with DF, cut without.")
def _(c):
    fits, over, full = (udp(4000, 4001, bytes(n - 28)) for n in (1450, 1451, 1500))
    c.rx("V1", eth("V1>rV", ipv4("V1>A2", fits))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("V1>A2", fits, ttl=63))))
    c.rx("V1", eth("V1>rV", ipv4("V1>A2", over))).error("mtu", "rV>V1", "rV>V1", 3, 4, mtu=1450)
    c.rx("V1", eth("V1>rV", ipv4("V1>A2", full))).error("mtu", "rV>V1", "rV>V1", 3, 4, mtu=1450)
    c.rx("V1", eth("V1>rV", ipv4("V1>A2", full, df=False))).fragments(*(
        ("tunnel", vx("H1>H2", 1001, eth("M1>A2", part)))
        for part in cut(ipv4("V1>A2", full, df=False, ttl=63), 1424)))
    c.rx("V1", eth("V1>rV", ipv4("V1>A3", full))).error("mtu", "rV>V1", "rV>V1", 3, 4, mtu=1450)
    c.rx("V1", eth("V1>rV", ipv4("V1>A3", over, df=False))).fragments(*(
        ("A3", eth("rA>A3", part)) for part in cut(ipv4("V1>A3", over, df=False, ttl=63), 1424)))


@case("R9-1", "routed back to where it came from", rules="R4-1 R7 R9 O1",
      about="A VM may route to a neighbour of its own subnet, and to itself: a router may send out of the same port.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>A3", U))).out("A3", eth("rA>A3", ipv4("A1>A3", U, ttl=63)))
    c.rx("A1", eth("A1>rA", ipv4("A1>A2", U))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("A1>A2", U, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>A1", U))).out("A1", eth("rA>A1", ipv4("A1>A1", U, ttl=63)))


@case("MAL-02", "wrong IP header checksum", rules="I0 L1 R1",
      about="Dropped when routed or sent to the router, as are a martian source and a source route; bridged it passes.")
def _(c):
    c.broken_checksums = True
    c.patch(ports=[unsecured("A1"), unsecured("A3")])
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, bad_checksum=True))).drop("parse_csum")
    c.rx("A1", eth("A1>rA", ipv4("A1>rA", echo(), bad_checksum=True))).drop("parse_csum")
    c.rx("A1", eth("A1>rA", ipv4("127.0.0.1>B1", U))).drop("martian")
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, options=LSRR))).drop("src_route")
    bridged = eth("A1>A3", ipv4("A1>A3", U, bad_checksum=True))
    c.rx("A1", bridged).out("A3", bridged)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))


@case("SN-05", "SNAT port without state", "H3", rules="T4",
      about="An ACK of an unknown flow to the SNAT port is dropped; nothing untranslated goes outside.")
def _(c):
    c.rx("tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", tcp(41000, 80, flags="A", ack=1), ttl=63)))) \
        .drop("snat_no_state")


def header_checksums_near_the_end():
    """IDs whose header checksum is 0xfefe..0xffff before the TTL is lowered, and so wraps."""
    def value(ident, ttl):
        return int.from_bytes(ipv4("A1>B1", U, ident=ident, ttl=ttl)[1][10:12], "big")
    wanted = {0xFEFE, 0xFEFF, 0xFF00, 0xFFFE, 0x0000, 0x0100}
    found = {value(i, 64): i for i in range(65536) if value(i, 64) in wanted}
    return [found[v] for v in sorted(found)]


@case("R9-2", "checksum wraps", rules="R9",
      about="Decrementing the TTL carries across the header checksum's ends correctly.")
def _(c):
    for ident in header_checksums_near_the_end():
        c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, ident=ident))).out(
            "B1", eth("rB>B1", ipv4("A1>B1", U, ident=ident, ttl=63)))


@case("BURST-1", "many frames at one time", rules="I3-a L1 L3 L6 R4-1 R7 R9 O1 O2 O3",
      about="Several bursts' worth of mixed frames with one timestamp at two ports: outputs keep the input order.")
def _(c):
    for n in range(30):
        flow = udp(5000 + n, 4001)
        to_a3, to_a2 = eth("A1>A3", ipv4("A1>A3", flow)), eth("A1>A2", ipv4("A1>A2", flow))
        c.rx("A1", to_a3, together=n > 0).out("A3", to_a3)
        c.rx("A1", to_a2, together=True).out("tunnel", vx("H1>H2", 1001, to_a2))
        c.rx("A1", eth("A1>rA", ipv4("A1>B2", flow)), together=True).out(
            "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>B2", flow, ttl=63))))
        c.rx("A1", eth("A1>*", arp_request("A1", "A1", "rA")), together=True).answer(
            eth("rA>A1", arp_reply("rA", "rA", "A1", "A1")))
        c.rx("A1", eth("A1>rA", ipv4("A1>K1", flow)), together=True).out(
            "K1", eth("rK>K1", ipv4("A1>K1", flow, ttl=62)))
        c.rx("A1", eth("A1>fa:16:3e:0a:00:77", ipv4("A1>10.1.0.77", flow)), together=True).drop("unknown_unicast")
        if n % 10 == 0:
            c.rx("A1", eth("A1>*", ipv4("A1>255.255.255.255", flow)), together=True).flood(1001, "A3 H2 H3 H4")
    for n in range(30):
        flow = udp(6000 + n, 4001)
        c.rx("B1", eth("B1>rB", ipv4("B1>A2", flow)), together=True).out(
            "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", flow, ttl=63))))
        c.rx("B1", eth("B1>rB", ipv4("B1>A1", flow)), together=True).out(
            "A1", eth("rA>A1", ipv4("B1>A1", flow, ttl=63)))


@case("R7-3", "two routers in a circle", rules="R3 R4-1 R7 ICMP",
      about="R1 and R2 each route a prefix to the other: a packet ends at the traversal limit or at its TTL.")
def _(c):
    circle = {"destination": "10.50.0.0/24"}
    c.patch(routers=[
        router("R1", routes=[{"destination": "10.4.0.0/24", "nexthop": "10.9.0.2"}, circle | {"nexthop": "10.9.0.2"}]),
        router("R2", routes=[{"destination": "10.1.0.0/24", "nexthop": "10.9.0.1"}, circle | {"nexthop": "10.9.0.1"}])])
    c.rx("A1", eth("A1>rA", ipv4("A1>10.50.0.9", U))).drop("loop_limit")
    c.rx("A1", eth("A1>rA", ipv4("A1>10.50.0.9", U, ttl=5))).error("ttl", "rA>A1", "rA>A1", 11, 0)
