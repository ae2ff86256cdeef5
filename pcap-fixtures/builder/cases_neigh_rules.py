"""Next hops nobody knows, and virtual addresses that move: rules that no case of the specification shows."""

from .case import case
from .cases_neigh import GUEST, says
from .cloud import port, unsecured
from .packets import arp_reply, arp_request, eth, ext, ipv4, phy, telling, udp, vx

U = udp(4000, 4001)
FAR = "10.1.0.60"  # of network A, of no port
EVERYWHERE = "A1 A3 H2 H3 H4"
STRANGER = "fa:16:3e:0a:00:55"


def to(address, sport=4000, by="B1"):
    """A routed packet of B1, as it comes in."""
    return eth(f"{by}>r{by[0]}", ipv4(f"{by}>{address}", udp(sport, 4001)))


def by_tunnel(host, mac, address, sport=4000, by="B1"):
    """The same as it leaves."""
    return "tunnel", vx(f"H1>{host}", 1001, eth(f"M1>{mac}", ipv4(f"{by}>{address}", udp(sport, 4001), ttl=63)))


@case("R7-4", "three packets wait for an address", rules="R7 R7-probe",
      about="The fourth is dropped at once; the three leave in the order they came, before what comes after.")
def _(c):
    first = c.rx("B1", to(FAR, 1))
    question = c.question(first, 1001, FAR, EVERYWHERE)
    waiting = [first] + [c.rx("B1", to(FAR, n)).waits_for(question) for n in (2, 3)]
    for n in (4, 5):
        c.rx("B1", to(FAR, n)).drop("neigh_queue_full")
    c.wait(1.5)
    c.rx("tunnel", vx("H2>H1", 1001, says(GUEST, FAR))).consumed()
    question.answered()
    for n, packet in enumerate(waiting, 1):
        packet.release(by_tunnel("H2", GUEST, FAR, n))
    c.rx("B1", to(FAR, 6)).out(*by_tunnel("H2", GUEST, FAR, 6))


@case("R7-5", "eight addresses for a source", rules="R7 R7-probe ICMP",
      about="A source that waits for eight addresses cannot wait for a ninth; another source can.")
def _(c):
    for n in range(61, 69):
        packet = c.rx("B1", to(f"10.1.0.{n}"))
        c.question(packet, 1001, f"10.1.0.{n}", EVERYWHERE)
        packet.give_up("rB>B1", "rB>B1")
    c.rx("B1", to("10.1.0.69")).drop("neigh_queue_full")
    packet = c.rx("V1", to("10.1.0.69", by="V1"))
    c.question(packet, 1001, "10.1.0.69", EVERYWHERE)
    packet.give_up("rV>V1", "rV>V1")
    c.wait(3.5)
    packet = c.rx("B1", to("10.1.0.69"))
    c.question(packet, 1001, "10.1.0.69", EVERYWHERE)
    packet.give_up("rB>B1", "rB>B1")


@case("R7-6", "answer of a local port", rules="R7-probe L2 O1",
      about="A machine behind a port without port security answers the probe: the packet goes there.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    first = c.rx("B1", to(FAR))
    question = c.question(first, 1001, FAR, EVERYWHERE)
    c.rx("A3", says(GUEST, FAR)).consumed()
    question.answered()
    first.release(("A3", eth(f"rA>{GUEST}", ipv4(f"B1>{FAR}", U, ttl=63))))
    c.rx("B1", to(FAR, 2)).out("A3", eth(f"rA>{GUEST}", ipv4(f"B1>{FAR}", udp(2, 4001), ttl=63)))


@case("R7-7", "answer of a physical machine", rules="R7-probe V0 O2 O4",
      about="On a VLAN network the probe goes to the physical network too, and the answer comes from there.")
def _(c):
    first = c.rx("A1", to("P", by="A1"))
    question = c.question(first, 0, "P", "V1 physnet1")
    c.rx("physnet1", phy(says("P", "P"))).consumed()
    question.answered()
    first.release(("physnet1", phy(eth("M1>P", ipv4("A1>P", U, ttl=63)))))
    c.rx("A1", to("P", by="A1")).out("physnet1", phy(eth("M1>P", ipv4("A1>P", U, ttl=63))))


@case("R7-8", "late and foreign answers", rules="R7-probe T5 L2",
      about="An answer after the three seconds, one for another address and one from a port nobody asked are dropped.")
def _(c):
    first = c.rx("B1", to(FAR))
    c.question(first, 1001, FAR, EVERYWHERE)
    c.rx("tunnel", vx("H2>H1", 1001, says(STRANGER, "10.1.0.77"))).drop("reserved_dst")
    c.rx("A3", says("A3", "A3")).drop("reserved_dst")
    first.give_up("rB>B1", "rB>B1")
    c.wait(3.5)
    c.rx("tunnel", vx("H2>H1", 1001, says(GUEST, FAR))).drop("reserved_dst")
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>M1", ipv4("A2>B1", U)))).drop("reserved_dst")


@case("R7-9", "two sources wait for one address", rules="R7-probe ICMP",
      about="They share the question: three probes in all, and three seconds after the first packet both are told.")
def _(c):
    first = c.rx("B1", to(FAR))
    question = c.question(first, 1001, FAR, EVERYWHERE)
    c.wait(0.5)
    second = c.rx("V1", to(FAR, by="V1")).waits_for(question)
    first.give_up("rB>B1", "rB>B1")
    second.give_up("rV>V1", "rV>V1")


@case("R7-10", "no error about an error that waited", rules="R7-probe ICMP",
      about="An ICMP error that finds no neighbour is dropped in silence, the packet beside it is told of.")
def _(c):

    silent = c.rx("B1", eth("B1>rB", telling(f"B1>{FAR}", 3, 3, ipv4(f"{FAR}>B1", U))))
    question = c.question(silent, 1001, FAR, EVERYWHERE)
    told = c.rx("B1", to(FAR), together=True).waits_for(question)
    silent.give_up()
    told.give_up("rB>B1", "rB>B1")


@case("R7-11", "a port takes the address while packets wait", rules="R7 R7-probe o5",
      about="The address becomes a port's while it is asked for: the packets go to that port, and no more probes are sent.")
def _(c):
    first = c.rx("B1", to(FAR))
    question = c.question(first, 1001, FAR, EVERYWHERE)
    c.wait(1.2)
    c.rx("B1", eth("B1>rB", ipv4("B1>A1", U))).out("A1", eth("rA>A1", ipv4("B1>A1", U, ttl=63)))
    c.event(ports=[port("A2", id="A6", name="A6", mac_address=GUEST, allowed_address_pairs=[],
                        fixed_ips=[{"subnet_id": "A-v4", "ip_address": FAR}])])
    question.settled()
    first.release(by_tunnel("H2", GUEST, FAR))


@case("R7-12", "probes through a second router", rules="R7 R7-probe D3",
      about="R2 asks for what R1 handed on; the packet that waited leaves with both routers' TTL taken.")
def _(c):
    mac, far = "fa:16:3e:0d:00:60", "10.4.0.60"
    first = c.rx("A1", to(far, by="A1"))
    question = c.question(first, 1004, far, "K1 H2 H3 H4")
    c.rx("tunnel", vx("H2>H1", 1004, says(mac, far))).consumed()
    question.answered()
    first.release(("tunnel", vx("H1>H2", 1004, eth(f"M1>{mac}", ipv4(f"A1>{far}", U, ttl=62)))))


@case("L5-VIP-1", "who may move a VIP", rules="L5 L5-vip D9 I2-ps",
      about="Only a port that has the pair, with its MAC and from where it is; anyone else's announcement is passed on "
            "and changes nothing, or is not even let in.")
def _(c):
    def still_a1():
        c.rx("B1", to("VIP")).out("A1", eth("rA>A1", ipv4("B1>VIP", U, ttl=63)))
    still_a1()
    for host, mac in (("H3", "A2"), ("H2", STRANGER), ("H2", "VIP"), ("H4", "A4")):
        claim = eth(f"{mac}>*", arp_request(mac, "VIP", "VIP"))
        c.rx("tunnel", vx(f"{host}>H1", 1001, claim)).flood(1001, "A1 A3", inner=claim)
        still_a1()
    c.rx("A3", eth("A3>*", arp_request("A3", "VIP", "VIP"))).drop("arp_spoof")
    still_a1()
    asks = eth("A2>*", arp_request("A2", "VIP", "10.1.0.77"))
    c.rx("tunnel", vx("H2>H1", 1001, asks)).flood(1001, "A1 A3", inner=asks)
    still_a1()


@case("L5-VIP-2", "VIP moves by an ARP reply, and back when its holder goes", rules="L5 L5-vip R7 D9",
      about="The reply form moves it too; when the port that holds it goes down, the first candidate has it again.")
def _(c):
    claim = eth("A2>*", arp_reply("A2", "VIP", "A2", "VIP"))
    c.rx("tunnel", vx("H2>H1", 1001, claim)).flood(1001, "A1 A3", inner=claim)
    c.rx("B1", to("VIP")).out(*by_tunnel("H2", "A2", "VIP"))
    c.event(ports=[port("A3", name="renamed")])
    c.rx("B1", to("VIP")).out(*by_tunnel("H2", "A2", "VIP"))
    c.event(ports=[port("A2", status="DOWN")])
    c.rx("B1", to("VIP")).out("A1", eth("rA>A1", ipv4("B1>VIP", U, ttl=63)))


@case("L5-VIP-3", "VIP between two local ports", rules="L5 L5-vip R7 O1 D9",
      about="Two ports of one host, with a virtual MAC of their own: the announcement says which of them has it now.")
def _(c):
    virtual = "00:00:5e:00:01:07"
    pair = [{"ip_address": "10.1.0.70", "mac_address": virtual}]
    c.patch(ports=[port("A1", allowed_address_pairs=pair), port("A3", allowed_address_pairs=pair)])
    claim = eth(f"{virtual}>*", arp_request(virtual, "10.1.0.70", "10.1.0.70"))
    for n, (holder, other) in enumerate((("A1", "A3"), ("A3", "A1"), ("A1", "A3"))):
        if n:
            c.wait(0.2)
        c.rx(holder, claim).flood(1001, f"{other} H2 H3 H4")
        c.rx("B1", to("10.1.0.70")).out(holder, eth(f"rA>{virtual}", ipv4("B1>10.1.0.70", U, ttl=63)))


@case("E1-3", "neighbour outside that moves", rules="E1 FO4 R7-probe",
      about="A floating IP in use goes to another host, which announces it: the next packet goes there, unasked.")
def _(c):
    first = c.rx("A1", to("F103", by="A1"))
    question = c.outside_question(first, "fg1", "F103")
    c.rx("physext", ext(eth("fg2>fg1", arp_reply("fg2", "F103", "fg1", "fg1")))).consumed()
    question.answered()
    first.release(("physext", ext(eth("fg1>fg2", ipv4("F101>F103", U, ttl=63)))))
    c.rx("physext", ext(eth("fg3>*", arp_request("fg3", "F103", "F103")))).consumed()
    c.rx("A1", to("F103", by="A1")).out("physext", ext(eth("fg1>fg3", ipv4("F101>F103", U, ttl=63))))
