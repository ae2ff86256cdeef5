"""What routers tell, and what they cut: rules that no case of the specification shows."""

from .case import case
from .cases_icmp import sized
from .cloud import network, router, unsecured
from .packets import (
    MF, UDP, cut, echo, echo_reply, eth, ext, icmp, ipv4, raw, reset, tcp, telling, udp, vx)

U = udp(4000, 4001)


@case("ICMP-1", "what nothing is told about", rules="ICMP R3",
      about="Not about ICMP errors and not about later fragments; about a query, an answer and a first fragment, yes.")
def _(c):
    about = ipv4("B1>A1", U)
    for kind in (3, 4, 5, 11, 12):
        c.rx("A1", eth("A1>rA", ipv4("A1>B1", icmp(kind, data=about[1][:28]), ttl=1))).drop("ttl")
    datagram = udp(4000, 4001, bytes(64))
    first, later = cut(ipv4("A1>B1", datagram, ttl=1, df=False), 40)
    c.rx("A1", eth("A1>rA", later)).drop("ttl")
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", raw(UDP, bytes(24)), ttl=1, df=False, frag=MF | 5))).drop("ttl")
    c.rx("A1", eth("A1>rA", first)).error("ttl", "rA>A1", "rA>A1", 11, 0)
    for layer4 in (echo(), echo_reply(), icmp(13, data=bytes(12)), raw(89, bytes(20))):
        c.rx("A1", eth("A1>rA", ipv4("A1>B1", layer4, ttl=1))).error("ttl", "rA>A1", "rA>A1", 11, 0)


@case("ICMP-2", "how much is quoted", rules="ICMP R3",
      about="All of a small packet with its options and without its padding; of a large one as much as 576 bytes hold.")
def _(c):
    record = bytes([1, 7, 7, 4]) + bytes(4)
    for total in (29, 547, 548, 549, 1450):
        c.rx("A1", eth("A1>rA", ipv4("A1>B1", sized(total), ttl=1), pad=60)).error("ttl", "rA>A1", "rA>A1", 11, 0)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, ttl=1, tos=0x2E, options=record))).error(
        "ttl", "rA>A1", "rA>A1", 11, 0)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", sized(560), ttl=1, options=record))).error("ttl", "rA>A1", "rA>A1", 11, 0)


@case("ICMP-3", "told by a second router", rules="ICMP R3 R4 R8 R8-icmp R9 D3",
      about="R2 tells about packets R1 handed on: from its address on the way in if it has none on the sender's "
            "subnet, routed back with a TTL one less.")
def _(c):
    c.patch(networks=[network("K", mtu=1400)], routers=[router("R1", routes=[
        {"destination": "10.4.0.0/24", "nexthop": "10.9.0.2"},
        {"destination": "10.50.0.0/16", "nexthop": "10.9.0.2"}])])
    back = ("rA>A1", "rC2>A1")
    c.rx("A1", eth("A1>rA", ipv4("A1>K1", U, ttl=2))).error("ttl", *back, 11, 0, ttl=63)
    c.rx("A1", eth("A1>rA", ipv4("A1>10.50.0.9", U))).error("no_route", *back, 3, 0, ttl=63)
    c.rx("A1", eth("A1>rA", ipv4("A1>K1", sized(1401)))).error("mtu", *back, 3, 4, mtu=1400, ttl=63)
    # The other way: R1 has no address on K either.
    c.rx("K1", eth("K1>rK", ipv4("K1>A1", U, ttl=2))).error("ttl", "rK>K1", "rC1>K1", 11, 0, ttl=63)


@case("ICMP-4", "ten errors a second for a source", rules="ICMP R3",
      about="Ten at once are told to one source, then one each 100 ms; what is over is dropped in silence.")
def _(c):
    def expired(name, told, together=False):
        packet = c.rx(name, eth(f"{name}>rA", ipv4(f"{name}>B1", U, ttl=1)), together=together)
        if told:
            packet.error("ttl", f"rA>{name}", f"rA>{name}", 11, 0)
        else:
            packet.drop("ttl")
            packet.counted.append("icmp_limited")
    for n in range(12):
        expired("A1", n < 10, together=n > 0)
    expired("A3", True)
    c.wait(0.15)
    expired("A1", True)
    expired("A1", False, together=True)
    c.wait(2)
    for n in range(11):
        expired("A1", n < 10, together=n > 0)


@case("ICMP-5", "source address of an error", rules="ICMP R3 R4",
      about="The router's address on the subnet of the offender's source, else of the interface it came in by; and "
            "back to the machine that sent it.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    for source, told_by in (("A3", "rA"), ("10.2.0.77", "rB"), ("10.9.0.77", "rC1"), ("10.77.0.9", "rA")):
        c.rx("A3", eth("A3>rA", ipv4(f"{source}>B1", U, ttl=1))).error(
            "ttl", "rA>A3", f"{told_by}>{source}", 11, 0)
    # No subnet of the router: steps 3 to 5 of R4 have nothing for it.
    c.rx("A3", eth("A3>rA", ipv4("10.77.0.9>E", U))).error("no_route", "rA>A3", "rA>10.77.0.9", 3, 0)
    c.rx("A3", eth("A3>rA", ipv4("10.9.0.77>E", U))).error("no_route", "rA>A3", "rC1>10.9.0.77", 3, 0)


@case("R2-L4-1", "UDP and TCP for a router", rules="R2 R2-l4 ICMP",
      about="Port unreachable from the router's address facing the sender; resets by RFC 9293: with the sequence number "
            "an ACK names, else with the number that would come next.")
def _(c):
    for asked in ("rA", "rB"):
        c.rx("A1", eth("A1>rA", ipv4(f"A1>{asked}", udp(4000, 161)))).no_such_port("rA>A1", "rA>A1")
    for asked, segment, answer in (
            ("rA", tcp(40000, 22), {"flags": "RA", "ack": 1001}),
            ("rB", tcp(40000, 22, "S", data=b"early"), {"flags": "RA", "ack": 1006}),
            ("rA", tcp(40000, 22, "FP", data=b"odd"), {"flags": "RA", "ack": 1004}),
            ("rA", tcp(40000, 22, "", seq=0xFFFFFFFF, data=b"wraps"), {"flags": "RA", "ack": 4}),
            ("rB", tcp(40000, 22, "A", ack=77), {"flags": "R", "seq": 77}),
            ("rA", tcp(40000, 22, "SA", ack=0x80000000), {"flags": "R", "seq": 0x80000000})):
        c.rx("A1", eth("A1>rA", ipv4(f"A1>{asked}", segment, ttl=1, tos=0x10))).answer(
            eth("rA>A1", reset(f"{asked}>A1", 22, 40000, **answer)))


@case("R2-L4-2", "no answer of a router", rules="R2 R2-l4 ICMP",
      about="A reset, an ICMP error, a later fragment and other protocols for the router are taken in silence.")
def _(c):
    for layer3 in (ipv4("A1>rA", tcp(40000, 22, "R")), ipv4("A1>rA", tcp(40000, 22, "RA", ack=5)),
                   telling("A1>rA", 3, 3, ipv4("rA>A1", U)),
                   ipv4("A1>rA", raw(UDP, bytes(24)), df=False, frag=5), ipv4("A1>rA", raw(89, bytes(20)))):
        c.rx("A1", eth("A1>rA", layer3)).consumed()


@case("R2-L4-3", "UDP and TCP for the second router", rules="R2 R2-l4 ICMP D3",
      about="R2 answers what came through R1: routed back, TTL one less.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>rK", udp(4000, 161)))).no_such_port("rA>A1", "rC2>A1", ttl=63)
    c.rx("A1", eth("A1>rA", ipv4("A1>rK", tcp(40000, 22)))).answer(
        eth("rA>A1", reset("rK>A1", 22, 40000, ack=1001, ttl=63)))


@case("R2-L4-4", "ten answers a second for a source", rules="R2-l4 ICMP",
      about="What is over the rate of ICMP errors is taken and not answered.")
def _(c):
    for n in range(12):
        packet = c.rx("A1", eth("A1>rA", ipv4("A1>rA", udp(4000, 161))), together=n > 0)
        if n < 10:
            packet.no_such_port("rA>A1", "rA>A1")
        else:
            packet.consumed()
            packet.counted.append("icmp_limited")


@case("R8-2", "three fragments", rules="R8 R8-icmp R9 O1 O3",
      about="1450 bytes into a network of 600: each but the last as large as that allows, same id, TTL and TOS.")
def _(c):
    c.patch(networks=[network("B", mtu=600)])
    before, after = (ipv4("A1>B1", sized(1450), ttl=n, df=False, ident=0xBEEF, tos=0x28) for n in (64, 63))
    c.rx("A1", eth("A1>rA", before)).fragments(*(("B1", eth("rB>B1", part)) for part in cut(after, 576, 576)))
    after = ipv4("A1>B2", sized(1450), ttl=63, df=False)
    c.rx("A1", eth("A1>rA", ipv4("A1>B2", sized(1450), df=False))).fragments(*(
        ("tunnel", vx("H1>H2", 1002, eth("M1>B2", part))) for part in cut(after, 576, 576)))
    fits = ipv4("A1>B1", sized(600), df=False)
    c.rx("A1", eth("A1>rA", fits)).out("B1", eth("rB>B1", ipv4("A1>B1", sized(600), ttl=63, df=False)))


@case("R8-3", "fragments of fragments", rules="R8 R8-icmp R9",
      about="A fragment that is cut keeps its offset, and all its parts but those of the datagram's end say that more comes.")
def _(c):
    c.patch(networks=[network("B", mtu=600)])
    arriving = cut(ipv4("A1>B1", sized(2900), df=False), 1424, 1000)
    whole = cut(ipv4("A1>B1", sized(2900), ttl=63, df=False), 576, 576, 272, 576, 424)
    for packet, parts in zip(arriving, (whole[:3], whole[3:5], whole[5:])):
        packet = c.rx("A1", eth("A1>rA", packet))
        if len(parts) == 1:
            packet.out("B1", eth("rB>B1", parts[0]))
        else:
            packet.fragments(*(("B1", eth("rB>B1", part)) for part in parts))


ALERT, RECORD = bytes([0x94, 4, 0, 0]), bytes([7, 7, 4, 0, 0, 0, 0])


@case("R8-4", "options of fragments", rules="R8 R8-icmp I0",
      about="All options stay in the first fragment, those with the copy bit in the others too.")
def _(c):
    c.patch(networks=[network("B", mtu=600)])
    for options, later in ((ALERT + RECORD + b"\0", ALERT), (RECORD + b"\1", b""), (ALERT, ALERT)):
        size = (600 - 20 - len(options)) // 8 * 8
        others = (600 - 20 - len(later)) // 8 * 8
        packet = ipv4("A1>B1", sized(1450 - len(options)), df=False, options=options)
        after = ipv4("A1>B1", sized(1450 - len(options)), ttl=63, df=False, options=options)
        c.rx("A1", eth("A1>rA", packet)).fragments(*(
            ("B1", eth("rB>B1", part)) for part in cut(after, size, others, later_options=later)))


@case("R8-5", "cut before the second router", rules="R8 R8-icmp R9 D3",
      about="From V through network C to K: cut on the way out to C, and R2 hands each part on.")
def _(c):
    after = cut(ipv4("V1>K1", sized(1500), ttl=62, df=False), 1424)
    c.rx("V1", eth("V1>rV", ipv4("V1>K1", sized(1500), df=False))).fragments(*(
        ("K1", eth("rK>K1", part)) for part in after))
    c.rx("V1", eth("V1>rV", ipv4("V1>K1", sized(1500)))).error("mtu", "rV>V1", "rV>V1", 3, 4, mtu=1450)


@case("R6-1", "what scopes are no matter for", rules="R6 R4-2 R4-4 FO FI",
      about="A network with a scope and an external one without: floating IPs both ways and the way to the SNAT host.")
def _(c):
    c.patch(networks=[network("A", ipv4_address_scope="s1")])
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U))).out("physext", ext(eth("fg1>gX", ipv4("F101>E", U, ttl=63))))
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", U)))).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    c.rx("A3", eth("A3>rA", ipv4("A3>E", U))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", U, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).drop("scope")
