"""Next hops nobody knows, and virtual addresses that move: the cases of the specification."""

from .case import case
from .packets import arp_reply, arp_request, eth, ipv4, udp, vx

U = udp(4000, 4001)
GUEST = "fa:16:3e:0a:00:60"


def says(mac, address, to="M1"):
    """What a machine says to a probe: it was asked by nobody's address."""
    return eth(f"{mac}>{to}", arp_reply(mac, address, to, "0.0.0.0"))


@case("ARP-08", "answer to a probe", rules="R7-probe T5 O2 O3",
      about="Packets wait for an address, leave when a machine behind H2 answers, and once the router is gone "
            "from the network the same answer is dropped.")
def _(c):
    first = c.rx("B1", eth("B1>rB", ipv4("B1>10.1.0.60", U)))
    question = c.question(first, 1001, "10.1.0.60", "A1 A3 H2 H3 H4")
    second = c.rx("B1", eth("B1>rB", ipv4("B1>10.1.0.60", udp(4000, 4002)))).waits_for(question)
    c.rx("tunnel", vx("H2>H1", 1001, says(GUEST, "10.1.0.60"))).consumed()
    question.answered()
    first.release(("tunnel", vx("H1>H2", 1001, eth(f"M1>{GUEST}", ipv4("B1>10.1.0.60", U, ttl=63)))))
    second.release(("tunnel", vx("H1>H2", 1001, eth(f"M1>{GUEST}", ipv4("B1>10.1.0.60", udp(4000, 4002), ttl=63)))))
    c.rx("B1", eth("B1>rB", ipv4("B1>10.1.0.60", U))).out(
        "tunnel", vx("H1>H2", 1001, eth(f"M1>{GUEST}", ipv4("B1>10.1.0.60", U, ttl=63))))
    c.event(delete={"ports": ["rA"]})
    c.rx("tunnel", vx("H2>H1", 1001, says(GUEST, "10.1.0.60"))).drop("reserved_dst")


@case("EW-15", "unknown neighbour", rules="R7 R7-probe ICMP",
      about="Nobody has the address: probes to the ports and hosts of its network at 0, 1 and 2 s, then host unreachable.")
def _(c):
    packet = c.rx("A1", eth("A1>rA", ipv4("A1>10.2.0.99", U)))
    c.question(packet, 1002, "10.2.0.99", "B1 H2 H3 H4")
    packet.give_up("rA>A1", "rA>A1")


@case("VIP-01", "VIP follows announcements", rules="L5 L5-vip L6 R7 R9 O2 D9",
      about="A2 on another host announces the virtual address, then A1 here: routed packets follow each time.")
def _(c):
    routed = eth("B1>rB", ipv4("B1>VIP", U))
    theirs, ours = eth("A2>*", arp_request("A2", "VIP", "VIP")), eth("A1>*", arp_request("A1", "VIP", "VIP"))
    c.rx("tunnel", vx("H2>H1", 1001, theirs)).flood(1001, "A1 A3", inner=theirs)
    c.rx("B1", routed).out("tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>VIP", U, ttl=63))))
    c.wait(0.2)
    c.rx("A1", ours).flood(1001, "A3 H2 H3 H4")
    c.rx("B1", routed).out("A1", eth("rA>A1", ipv4("B1>VIP", U, ttl=63)))
