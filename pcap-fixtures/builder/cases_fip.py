"""Floating IPs: the specification's cases. gX is the router outside, E a machine behind it, F101 the address .101."""

from .case import case
from .cloud import floatingip, free, port, router
from .packets import arp_reply, arp_request, echo, echo_reply, eth, ext, icmp, ipv4, tcp, telling, udp, vx

U = udp(4000, 4001)
SYN = tcp(40000, 443)


def sized(total):
    return udp(4000, 4001, bytes(n & 255 for n in range(total - 28)))


def ask(address, by="gX"):
    """ARP on the external network."""
    return ext(eth(f"{by}>*", arp_request(by, by, address)))


@case("FIP-01", "out with a floating IP", rules="R3 R4-2 R9 FO FO1 FO4 D3 D6",
      about="A1 to the outside: from the host's own fg port, with the floating IP as source, TTL one less.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>E", SYN))).out("physext", ext(eth("fg1>gX", ipv4("F101>E", SYN, ttl=63))))


@case("FIP-02", "in to a floating IP", rules="E0 E2 FI R3 R4-1 R7 R9 D3 D6",
      about="From outside to A1's floating IP: delivered to A1's own address, TTL one less.")
def _(c):
    syn = tcp(40000, 22)
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", syn, ttl=60)))).out(
        "A1", eth("rA>A1", ipv4("E>A1", syn, ttl=59)))


@case("FIP-03", "ARP for a floating IP, at its host", "H1", rules="E0 E1",
      about="The host of the floating IP answers, with its fg MAC, once.")
def _(c):
    c.rx("physext", ask("F101")).answer(ext(eth("fg1>gX", arp_reply("fg1", "F101", "gX", "gX"))))


@case("FIP-03", "ARP for a floating IP, elsewhere", "H2", rules="E0 E1",
      about="Another host sees the same request and is silent.")
def _(c):
    c.rx("physext", ask("F101")).drop("not_ours")


@case("FIP-04", "floating IP added", rules="o2 F42 FI FO E1",
      about="A floating IP comes to A3: it works both ways and is announced three times, two seconds apart.")
def _(c):
    out = eth("A3>rA", ipv4("A3>E", SYN))
    c.rx("A3", out).out("tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", SYN, ttl=63))))
    c.rx("physext", ask("F110")).drop("not_ours")
    c.event(floatingips=[floatingip("fip-101", id="fip-110", floating_ip_address="203.0.113.110", port_id="A3",
                                    fixed_ip_address="10.1.0.13")])
    c.announce("physext", "fg1", "F110")
    c.rx("A3", out).out("physext", ext(eth("fg1>gX", ipv4("F110>E", SYN, ttl=63))))
    c.rx("physext", ask("F110")).answer(ext(eth("fg1>gX", arp_reply("fg1", "F110", "gX", "gX"))))
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F110", tcp(443, 40000, "SA", ack=1001))))).out(
        "A3", eth("rA>A3", ipv4("E>A3", tcp(443, 40000, "SA", ack=1001), ttl=63)))


@case("FIP-05", "ping of one's own floating IP", rules="FO FO3 FI R3 D3",
      about="A1 pings its own floating IP and hears itself: two passes through the router, nothing on a wire.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>F101", echo()))).out("A1", eth("rA>A1", ipv4("F101>A1", echo(), ttl=62)))
    c.rx("A1", eth("A1>rA", ipv4("A1>F101", echo_reply()))).out(
        "A1", eth("rA>A1", ipv4("F101>A1", echo_reply(), ttl=62)))


@case("FIP-06", "to a floating IP of this host", rules="FO FO3 FI R9 D3",
      about="A1 to B1's floating IP, both here: both addresses translated, nothing on a wire.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>F102", echo()))).out("B1", eth("rB>B1", ipv4("F101>B1", echo(), ttl=62)))
    c.rx("B1", eth("B1>rB", ipv4("B1>F101", echo_reply()))).out(
        "A1", eth("rA>A1", ipv4("F102>A1", echo_reply(), ttl=62)))


@case("FIP-07", "without a floating IP to one", rules="R4-4 FO O3",
      about="A3 has none: its packet to A1's floating IP goes to the SNAT host, though A1 is its neighbour.")
def _(c):
    c.rx("A3", eth("A3>rA", ipv4("A3>F101", echo()))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>F101", echo(), ttl=63))))


@case("FIP-08", "east-west between floating IP owners", rules="R4 R4-1 FO",
      about="A1 to B1's own address: routed, not translated.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", SYN))).out("B1", eth("rB>B1", ipv4("A1>B1", SYN, ttl=63)))


@case("FIP-09", "floating IP to one on another host", rules="FO FO1 FO4 R7-probe E1",
      about="The external network is asked who has .103; its host answers and the waiting packet goes straight there.")
def _(c):
    first = c.rx("A1", eth("A1>rA", ipv4("A1>F103", echo())))
    question = c.outside_question(first, "fg1", "F103")
    c.rx("physext", ext(eth("fg2>fg1", arp_reply("fg2", "F103", "fg1", "fg1")))).consumed()
    question.answered()
    first.release(("physext", ext(eth("fg1>fg2", ipv4("F101>F103", echo(), ttl=63)))))
    c.rx("A1", eth("A1>rA", ipv4("A1>F103", echo(seq=2)))).out(
        "physext", ext(eth("fg1>fg2", ipv4("F101>F103", echo(seq=2), ttl=63))))


@case("FIP-10", "too big from outside", rules="FI R8 R8-icmp ICMP",
      about="1500 bytes with DF for a network of 1450: told from the floating IP, quoting what came from outside.")
def _(c):
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", sized(1500))))).error(
        "mtu", "fg1>gX", "F101>E", 3, 4, mtu=1450)


@case("FIP-11", "ICMP error about a translated packet", rules="FO FI D6",
      about="An error from outside quotes the packet as it left; inside it quotes the packet as A1 sent it.")
def _(c):
    query = udp(53, 53)
    c.rx("A1", eth("A1>rA", ipv4("A1>E", query))).out("physext", ext(eth("fg1>gX", ipv4("F101>E", query, ttl=63))))
    c.rx("physext", ext(eth("gX>fg1", telling("E>F101", 3, 3, ipv4("F101>E", query, ttl=58))))).out(
        "A1", eth("rA>A1", telling("E>A1", 3, 3, ipv4("A1>E", query, ttl=58), ttl=63)))


@case("FIP-12", "central floating IP of a VM on a host without the outside", "H4", rules="F41 R4 R4-4 O3",
      about="A4 is on a dvr_no_external host: its floating IP is central, its packets go to the SNAT host untranslated.")
def _(c):
    c.rx("A4", eth("A4>rA", ipv4("A4>E", SYN))).out(
        "tunnel", vx("H4>H3", 1001, eth("M4>sgA", ipv4("A4>E", SYN, ttl=63))))


@case("FIP-13", "floating IP moved on one host", rules="o2 o3 F42 FI FO R4-4",
      about="In one batch .101 goes from A1 to A3: both ways follow at once, A1 has the SNAT host; announced anew.")
def _(c):
    inward, outward = ext(eth("gX>fg1", ipv4("E>F101", U))), eth("A1>rA", ipv4("A1>E", SYN))
    c.rx("physext", inward).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    c.rx("A1", outward).out("physext", ext(eth("fg1>gX", ipv4("F101>E", SYN, ttl=63))))
    c.event(floatingips=[floatingip("fip-101", port_id="A3", fixed_ip_address="10.1.0.13")])
    c.announce("physext", "fg1", "F101")
    c.rx("physext", inward).out("A3", eth("rA>A3", ipv4("E>A3", U, ttl=63)))
    c.rx("A1", outward).out("tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A1>E", SYN, ttl=63))))
    c.rx("A3", eth("A3>rA", ipv4("A3>E", SYN))).out("physext", ext(eth("fg1>gX", ipv4("F101>E", SYN, ttl=63))))


@case("FIP-14", "floating IP of another host", rules="E2 FI",
      about="A packet for .103, which is on H2, at this host's fg MAC.")
def _(c):
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F103", U)))).drop("fip_not_local")


@case("FIP-15", "the fg address itself", rules="E2 FI",
      about="It answers a ping, and nothing else.")
def _(c):
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>fg1", echo(), ttl=60)))).answer(
        ext(eth("fg1>gX", ipv4("fg1>E", echo_reply(), ttl=64))))
    for layer4 in (tcp(40000, 22), udp(4000, 33434), echo_reply(), icmp(13, data=bytes(12))):
        c.rx("physext", ext(eth("gX>fg1", ipv4("E>fg1", layer4)))).drop("fip_not_local")


@case("FIP-16", "floating IP removed", rules="o2 E1 FI R4-4",
      about="Disassociated, .101 is neither answered for nor let in, and A1 leaves by the SNAT host.")
def _(c):
    inward = ext(eth("gX>fg1", ipv4("E>F101", U)))
    c.rx("physext", ask("F101")).answer(ext(eth("fg1>gX", arp_reply("fg1", "F101", "gX", "gX"))))
    c.rx("physext", inward).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    c.event(floatingips=[free("fip-101")])
    c.rx("physext", ask("F101")).drop("not_ours")
    c.rx("physext", inward).drop("fip_not_local")
    c.rx("A1", eth("A1>rA", ipv4("A1>E", SYN))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A1>E", SYN, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>F101", SYN))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A1>F101", SYN, ttl=63))))


@case("SN-04", "reply of the SNAT host", rules="T3 T5 L1",
      about="The answer to SN-01 comes with the sg MAC as source and is delivered as it is.")
def _(c):
    c.rx("A3", eth("A3>rA", ipv4("A3>E", tcp(40000, 80)))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", tcp(40000, 80), ttl=63))))
    reply = eth("sgA>A3", ipv4("E>A3", tcp(80, 40000, "SA", seq=7, ack=1001), ttl=59))
    c.rx("tunnel", vx("H3>H1", 1001, reply)).out("A3", reply)


CENTRAL = ["sgA", "sgB", "sgV", "qg", "fg1", "fg2", "fg3"]
INSIDE = router("R1", external_gateway_info=None)


def without_gateway(c):
    c.patch(routers=[INSIDE], delete={
        "ports": CENTRAL, "floatingips": ["fip-101", "fip-102", "fip-103", "fip-104", "fip-105"]})


def set_gateway(c):
    c.event(routers=[router("R1")], ports=[port(name) for name in CENTRAL])


def clear_gateway(c):
    c.event(routers=[INSIDE], delete={"ports": CENTRAL})


@case("LC-02", "gateway and floating IPs come and go", "H1", rules="R4 R4-2 R4-4 FO FI E1 F42 o2 ICMP",
      about="The SNAT next hop, the fg address and a floating IP appear and vanish; east-west goes on throughout.")
def _(c):
    without_gateway(c)
    from_a1, from_a3 = eth("A1>rA", ipv4("A1>E", U)), eth("A3>rA", ipv4("A3>E", U))

    def east_west():
        c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))

    def by_snat(name, frame):
        c.rx(name, frame).out("tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4(f"{name}>E", U, ttl=63))))

    def fg_answers():
        c.rx("physext", ask("fg1")).answer(ext(eth("fg1>gX", arp_reply("fg1", "fg1", "gX", "gX"))))

    c.rx("A3", from_a3).error("no_route", "rA>A3", "rA>A3", 3, 0)
    east_west()
    set_gateway(c)
    c.announce("physext", "fg1")
    by_snat("A1", from_a1)
    by_snat("A3", from_a3)
    fg_answers()
    east_west()
    c.wait(5)
    c.event(floatingips=[floatingip("fip-101")])
    c.announce("physext", "fg1", "F101")
    c.rx("A1", from_a1).out("physext", ext(eth("fg1>gX", ipv4("F101>E", U, ttl=63))))
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", U)))).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    east_west()
    c.wait(5)
    c.event(floatingips=[free("fip-101")])
    by_snat("A1", from_a1)
    c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", U)))).drop("fip_not_local")
    c.rx("physext", ask("F101")).drop("not_ours")
    fg_answers()
    east_west()
    clear_gateway(c)
    c.rx("A3", from_a3).error("no_route", "rA>A3", "rA>A3", 3, 0)
    east_west()


@case("LC-02", "gateway comes and goes, at the SNAT host", "H3", rules="T4 E1 F42 R4-1",
      about="The SNAT port is a MAC of this host while the gateway is set, and none before and after.")
def _(c):
    without_gateway(c)
    to_snat = vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", U, ttl=63)))

    def east_west():
        c.rx("DH", eth("DH>rA", ipv4("DH>B1", U))).out(
            "tunnel", vx("H3>H1", 1002, eth("M3>B1", ipv4("DH>B1", U, ttl=63))))

    c.rx("tunnel", to_snat).drop("dvr_unknown_dst")
    east_west()
    set_gateway(c)
    c.announce("physext", "fg3")
    c.rx("tunnel", to_snat).drop("snat_no_state")
    c.rx("physext", ask("fg3")).answer(ext(eth("fg3>gX", arp_reply("fg3", "fg3", "gX", "gX"))))
    east_west()
    c.wait(5)
    clear_gateway(c)
    c.rx("tunnel", to_snat).drop("dvr_unknown_dst")
    east_west()


@case("MIG-01", "router becomes legacy", rules="I3-a L1 R7 O3",
      about="In one batch R1 is no longer distributed and sits on H3: its ports are like those of any remote machine.")
def _(c):
    routed = eth("A1>rA", ipv4("A1>B1", U))
    asked = eth("A1>*", arp_request("A1", "A1", "rA"))
    c.rx("A1", routed).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))
    c.event(routers=[router("R1", distributed=False)], delete={"ports": ["sgA", "sgB", "sgV"]},
            ports=[port(name, device_owner="network:router_interface", binding_host_id="H3")
                   for name in ("rA", "rB", "rV", "rC1")])
    c.rx("A1", asked).answer(eth("rA>A1", arp_reply("rA", "rA", "A1", "A1")))
    c.rx("A1", routed).out("tunnel", vx("H1>H3", 1001, routed))
    # R2 is as it was; its way to A leads by way of R1's port on H3.
    c.rx("K1", eth("K1>rK", ipv4("K1>A1", U))).out(
        "tunnel", vx("H1>H3", 1003, eth("M1>rC1", ipv4("K1>A1", U, ttl=63))))
