"""Floating IPs and the external network: rules that no case of the specification shows."""

from .case import case
from .cases_fip import CENTRAL, ask, sized, without_gateway
from .cloud import floatingip, ip, network, port, router
from .packets import (
    SCTP, UDP, arp_reply, arp_request, checksum, cut, echo, echo_reply, eth, ext, ipv4, pseudo, raw, tagged, tcp,
    telling, udp, vx)

U = udp(4000, 4001)
HOP, HOP_MAC = "203.0.113.50", "02:ee:00:00:00:50"


def leaves(layer3):
    """As it goes to the router outside."""
    return "physext", ext(eth("fg1>gX", layer3))


def comes(layer3):
    return ext(eth("gX>fg1", layer3))


def sums_to_zero(pair):
    """UDP whose checksum between these addresses comes out as 0, and so is sent as 0xffff."""
    for n in range(65536):
        data = n.to_bytes(2, "big")
        segment = udp(4000, 4001, data)[1](b"\0" * 4, b"\0" * 4)
        head = segment[:6] + b"\0\0" + data
        if checksum(pseudo(*(ip(name) for name in pair.split(">")), UDP, 10) + head) == 0:
            return udp(4000, 4001, data)
    raise AssertionError(pair)


@case("FO-1", "checksums on the way out", rules="FO D6 I0",
      about="UDP, TCP and their corner cases: no checksum stays none, one that comes out as 0 is sent as 0xffff; what "
            "has no sum over addresses is not touched.")
def _(c):
    zero_after, zero_before = sums_to_zero("F101>E"), sums_to_zero("A1>E")
    for layer4 in (U, tcp(40000, 443, "PA", ack=9, data=b"odd"), udp(4000, 4001, summed=False),
                   udp(4000, 4001, b""), zero_after, zero_before, echo(data=b"odd"), echo_reply(),
                   raw(SCTP, bytes(range(40))), raw(47, bytes(range(31)))):
        c.rx("A1", eth("A1>rA", ipv4("A1>E", layer4, tos=0xB9, ident=0xFFFF))).out(
            *leaves(ipv4("F101>E", layer4, ttl=63, tos=0xB9, ident=0xFFFF)))


@case("FI-1", "checksums on the way in", rules="FI D6 E2 I0",
      about="The same towards the VM; padding of the external network goes no further.")
def _(c):
    zero_after, zero_before = sums_to_zero("E>A1"), sums_to_zero("E>F101")
    for layer4 in (U, tcp(443, 40000, "PA", ack=9, data=b"odd"), udp(4000, 4001, summed=False),
                   zero_after, zero_before, echo_reply(data=b""), raw(SCTP, bytes(range(40))), raw(47, bytes(31))):
        c.rx("physext", ext(eth("gX>fg1", ipv4("E>F101", layer4, ttl=2, tos=0x28), pad=60))).out(
            "A1", eth("rA>A1", ipv4("E>A1", layer4, ttl=1, tos=0x28)))


@case("FO-2", "fragments on the way out", rules="FO FO2 D6 R8-icmp",
      about="Fragments are translated each for itself: only the first has a checksum to mend. What is too big is cut.")
def _(c):
    c.patch(networks=[network("X", mtu=1400)])
    for layer4 in (sized(1328), tcp(40000, 443, "A", data=bytes(1000)), udp(4000, 4001, bytes(1000), summed=False)):
        before, after = (cut(ipv4(pair, layer4, ttl=ttl, df=False), 400, 400)
                         for pair, ttl in (("A1>E", 64), ("F101>E", 63)))
        for arriving, leaving in zip(before, after):
            c.rx("A1", eth("A1>rA", arriving)).out(*leaves(leaving))
    c.rx("A1", eth("A1>rA", ipv4("A1>E", sized(1450), df=False))).fragments(
        *(leaves(part) for part in cut(ipv4("F101>E", sized(1450), ttl=63, df=False), 1376)))


@case("FI-2", "fragments on the way in", rules="FI R8 R8-icmp D6",
      about="Fragments to a floating IP keep their offsets; what is too big for the VM's network is cut.")
def _(c):
    before, after = (cut(ipv4(pair, sized(1328), ttl=ttl, df=False), 800)
                     for pair, ttl in (("E>F101", 60), ("E>A1", 59)))
    for arriving, leaving in zip(before, after):
        c.rx("physext", comes(arriving)).out("A1", eth("rA>A1", leaving))
    c.rx("physext", comes(ipv4("E>F101", sized(1500), df=False))).fragments(
        *(("A1", eth("rA>A1", part)) for part in cut(ipv4("E>A1", sized(1500), ttl=63, df=False), 1424)))


QUOTED = (
    (U, None), (U, 28), (tcp(40000, 443, data=b"all of it"), None), (tcp(40000, 443), 28), (tcp(40000, 443), 36),
    (tcp(40000, 443, data=b"and more"), 40), (udp(4000, 4001, summed=False), None), (echo(), None), (U, 51))


@case("FO-3", "ICMP error of a VM", rules="FO D6",
      about="A1 tells the outside about a packet it got: the quoted destination becomes the floating IP again, with "
            "the checksums the quote has room for.")
def _(c):
    for layer4, most in QUOTED:
        c.rx("A1", eth("A1>rA", telling("A1>E", 3, 3, ipv4("E>A1", layer4, ttl=59), most=most))).out(
            *leaves(telling("F101>E", 3, 3, ipv4("E>F101", layer4, ttl=59), ttl=63, most=most)))


@case("FI-3", "ICMP error to a VM", rules="FI D6",
      about="The other way: the quoted source becomes A1's own, whether the quote holds a checksum or not.")
def _(c):
    for layer4, most in QUOTED:
        c.rx("physext", comes(telling("198.51.100.1>F101", 11, 0, ipv4("F101>E", layer4, ttl=1), most=most))).out(
            "A1", eth("rA>A1", telling("198.51.100.1>A1", 11, 0, ipv4("A1>E", layer4, ttl=1), ttl=63, most=most)))


@case("FO3-1", "ICMP error between floating IPs of one host", rules="FO FO3 FI D6 D3",
      about="B1 tells A1 about a packet that was translated twice: so is the quote, back to what A1 sent.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>F102", U))).out("B1", eth("rB>B1", ipv4("F101>B1", U, ttl=62)))
    c.rx("B1", eth("B1>rB", telling("B1>F101", 3, 3, ipv4("F101>B1", U, ttl=62)))).out(
        "A1", eth("rA>A1", telling("F102>A1", 3, 3, ipv4("A1>F102", U, ttl=62), ttl=62)))


@case("FO-4", "TTL on the way out", rules="R3 FO ICMP D3",
      about="The router in front of the floating IP takes one and tells from its own address; nothing else does.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U, ttl=1))).error("ttl", "rA>A1", "rA>A1", 11, 0)
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U, ttl=2))).out(*leaves(ipv4("F101>E", U, ttl=1)))


@case("FI-4", "TTL on the way in", rules="R3 FI ICMP D3",
      about="A packet that ends at the router behind a floating IP is told of by that floating IP.")
def _(c):
    c.rx("physext", comes(ipv4("E>F101", U, ttl=1))).error("ttl", "fg1>gX", "F101>E", 11, 0)
    c.rx("physext", comes(ipv4("E>F101", U, ttl=2))).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=1)))


@case("FI-5", "router or port down behind a floating IP", rules="FI R0 I1",
      about="A router that is switched off lets nothing through from outside either; nor does a port that is down.")
def _(c):
    c.rx("physext", comes(ipv4("E>F101", U))).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    c.event(ports=[port("A1", status="DOWN")])
    c.rx("physext", comes(ipv4("E>F101", U))).drop("port_down")
    c.event(ports=[port("A1")])
    c.event(routers=[router("R1", admin_state_up=False)])
    c.rx("physext", comes(ipv4("E>F101", U))).drop("router_down")
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U))).drop("router_down")


@case("FI-6", "what the fg MAC takes", rules="E2 FI I0",
      about="Floating IPs of this host and pings of the fg address; everything else is not of this host, or malformed.")
def _(c):
    c.rx("physext", comes(ipv4("E>F102", U))).out("B1", eth("rB>B1", ipv4("E>B1", U, ttl=63)))
    for target in ("F103", "F104", "F105", "203.0.113.10", "203.0.113.77", "A1", "E"):
        c.rx("physext", comes(ipv4(f"E>{target}", U))).drop("fip_not_local")
    c.rx("physext", comes(ipv4("E>F101", U, bad_checksum=True))).drop("parse_csum")
    c.rx("physext", comes(ipv4("E>F101", U, ihl=4))).drop("parse_l3")


@case("FO1-1", "on-link destination outside", rules="FO FO1 FO4 R7-probe E1",
      about="A machine on the external subnet itself is asked for and sent to directly, not by way of the gateway.")
def _(c):
    first = c.rx("A1", eth("A1>rA", ipv4(f"A1>{HOP}", U)))
    question = c.outside_question(first, "fg1", HOP)
    c.rx("physext", ext(eth(f"{HOP_MAC}>fg1", arp_reply(HOP_MAC, HOP, "fg1", "fg1")))).consumed()
    question.answered()
    first.release(("physext", ext(eth(f"fg1>{HOP_MAC}", ipv4(f"F101>{HOP}", U, ttl=63)))))


@case("FO1-2", "extra route through the external network", rules="FO FO1 FO4",
      about="A route whose next hop is on the external subnet is one of the floating IP plane: before the gateway "
            "there, and not for sources without a floating IP.")
def _(c):
    c.patch(neighbors=[{"network_id": "X", "ip_address": HOP, "mac_address": HOP_MAC}],
            routers=[router("R1", routes=[{"destination": "10.4.0.0/24", "nexthop": "10.9.0.2"},
                                          {"destination": "198.51.100.0/24", "nexthop": HOP}])])
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U))).out(
        "physext", ext(eth(f"fg1>{HOP_MAC}", ipv4("F101>E", U, ttl=63))))
    c.rx("A1", eth("A1>rA", ipv4("A1>198.51.101.7", U))).out(*leaves(ipv4("F101>198.51.101.7", U, ttl=63)))
    c.rx("A3", eth("A3>rA", ipv4("A3>E", U))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", U, ttl=63))))


@case("FO4-1", "gateway outside not yet known", rules="FO1 FO4 R7-probe E1",
      about="The external gateway itself is asked for when the cloud does not name its MAC; two packets wait for it.")
def _(c):
    c.patch(delete={"neighbors": [{"network_id": "X", "ip_address": "203.0.113.1"}]})
    first = c.rx("A1", eth("A1>rA", ipv4("A1>E", U)))
    question = c.outside_question(first, "fg1", "gX")
    second = c.rx("B1", eth("B1>rB", ipv4("B1>198.51.101.9", U))).waits_for(question)
    c.rx("physext", ext(eth("gX>fg1", arp_reply("gX", "gX", "fg1", "fg1"), pad=60))).consumed()
    question.answered()
    first.release(leaves(ipv4("F101>E", U, ttl=63)))
    second.release(leaves(ipv4("F102>198.51.101.9", U, ttl=63)))
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U))).out(*leaves(ipv4("F101>E", U, ttl=63)))


@case("FO4-2", "nobody answers outside", rules="FO4 R7-probe ICMP",
      about="A floating IP of another host that does not answer: three requests, then A1 is told by its gateway.")
def _(c):
    packet = c.rx("A1", eth("A1>rA", ipv4("A1>F103", U)))
    c.outside_question(packet, "fg1", "F103")
    packet.give_up("rA>A1", "rA>A1")


@case("R4-7", "who leaves by a floating IP", rules="R4 R4-2 R4-4 FO",
      about="The fixed address alone: not a virtual address of the same port, nor one whose floating IP is central.")
def _(c):
    c.patch(ports=[port("A3", allowed_address_pairs=[{"ip_address": "10.1.0.70", "mac_address": "fa:16:3e:0a:00:13"}])])
    for name, source in (("A1", "VIP"), ("A3", "A3"), ("A3", "10.1.0.70")):
        c.rx(name, eth(f"{name}>rA", ipv4(f"{source}>E", U))).out(
            "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4(f"{source}>E", U, ttl=63))))
    c.rx("B1", eth("B1>rB", ipv4("B1>E", U))).out(*leaves(ipv4("F102>E", U, ttl=63)))


@case("F41-1", "host without the outside", "H4", rules="F41 R4 R4-1 R4-4",
      about="Neither a floating IP nor an address scope leads out there; east-west is as everywhere.")
def _(c):
    c.patch(networks=[network("A", ipv4_address_scope="s1"), network("X", ipv4_address_scope="s1"),
                      network("B", ipv4_address_scope="s1")])
    for target in ("E", "F101", "F104"):
        c.rx("A4", eth("A4>rA", ipv4(f"A4>{target}", U))).out(
            "tunnel", vx("H4>H3", 1001, eth("M4>sgA", ipv4(f"A4>{target}", U, ttl=63))))
    c.rx("A4", eth("A4>rA", ipv4("A4>B1", U))).out(
        "tunnel", vx("H4>H1", 1002, eth("M4>B1", ipv4("A4>B1", U, ttl=63))))


@case("E0-1", "frames the external network may not bring", rules="E0 V0",
      about="Another VLAN, no tag, and this host's own fg MAC as source.")
def _(c):
    inner = eth("gX>fg1", ipv4("E>F101", U))
    c.rx("physext", tagged(101, inner)).drop("vlan_unexpected")
    c.rx("physext", inner).drop("vlan_unexpected")
    c.rx("physnet1", tagged(100, inner)).drop("vlan_unexpected")
    c.rx("physext", ext(eth("fg1>gX", ipv4("F101>E", U)))).drop("local_mac_from_fabric")
    c.rx("physext", ext(eth("fg1>*", arp_request("fg1", "F101", "F101")))).drop("local_mac_from_fabric")
    c.rx("physext", ext(eth("fg2>*", arp_request("fg2", "F103", "F103")))).drop("not_ours")


@case("E0-2", "frames the external network may not bring, at the SNAT host", "H3", rules="E0 E2 S-in",
      about="The router's own gateway MAC as source, and a packet for it before any translation state can be.")
def _(c):
    c.rx("physext", ext(eth("qg>gX", ipv4("203.0.113.10>E", U)))).drop("local_mac_from_fabric")
    c.rx("physext", ext(eth("gX>qg", ipv4("E>203.0.113.10", tcp(443, 40000, "A", ack=1))))).drop("snat_no_state")


@case("E1-1", "ARP of the outside", rules="E1",
      about="Answered for the fg address and the floating IPs of this host, to all who ask, in 42 bytes; else not ours.")
def _(c):
    for address in ("fg1", "F101", "F102"):
        c.rx("physext", ask(address)).answer(ext(eth("fg1>gX", arp_reply("fg1", address, "gX", "gX"))))
    c.rx("physext", ext(eth("gX>fg1", arp_request("gX", "gX", "F101"), pad=60))).answer(
        ext(eth("fg1>gX", arp_reply("fg1", "F101", "gX", "gX"))))
    c.rx("physext", ext(eth("fg2>*", arp_request("fg2", "fg2", "F101")))).answer(
        ext(eth("fg1>fg2", arp_reply("fg1", "F101", "fg2", "fg2"))))
    c.rx("physext", ext(eth("gX>*", arp_request("gX", "0.0.0.0", "F101")))).answer(
        ext(eth("fg1>gX", arp_reply("fg1", "F101", "gX", "0.0.0.0"))))
    for frame in (ask("F103"), ask("F104"), ask("203.0.113.10"), ask("203.0.113.77"), ask("A1"),
                  ext(eth("gX>*", arp_request("gX", "gX", "gX"))), ext(eth("gX>*", arp_request("gX", "F101", "F101")))):
        c.rx("physext", frame).drop("not_ours")


@case("E1-2", "ARP answers nobody asked for", rules="E1 FO4",
      about="They change nothing: the gateway of the external network stays where the cloud says it is.")
def _(c):
    c.rx("physext", ext(eth(f"{HOP_MAC}>fg1", arp_reply(HOP_MAC, "gX", "fg1", "fg1")))).drop("not_ours")
    c.rx("physext", ext(eth(f"{HOP_MAC}>*", arp_request(HOP_MAC, "gX", "gX")))).drop("not_ours")
    c.rx("A1", eth("A1>rA", ipv4("A1>E", U))).out(*leaves(ipv4("F101>E", U, ttl=63)))


@case("E2-1", "the rest of the external network", rules="E2 L3",
      about="Broadcast and multicast that no port here gets are not ours; a MAC nobody knows is unknown unicast.")
def _(c):
    c.rx("physext", ext(eth("gX>*", ipv4("gX>255.255.255.255", U)))).drop("not_ours")
    c.rx("physext", ext(eth("gX>01:00:5e:00:00:05", ipv4("gX>224.0.0.5", raw(89, bytes(24)), ttl=1)))).drop("not_ours")
    c.rx("physext", ext(eth("gX>02:77:00:00:00:01", ipv4("E>203.0.113.77", U)))).drop("unknown_unicast")


@case("E2-2", "VM on the external network", rules="E2 V0 L1 L4 L6 O4",
      about="A port on the external network itself is one of a VLAN network: it hears broadcasts and is bridged.")
def _(c):
    guest, address = "fa:16:3e:0f:00:11", "203.0.113.60"
    c.patch(ports=[port("Z1", id="X1", name="X1", network_id="X", mac_address=guest,
                        fixed_ips=[{"subnet_id": "X-v4", "ip_address": address}])])
    everyone = eth("gX>*", arp_request("gX", "gX", address))
    c.rx("physext", ext(everyone)).flood(0, "X1", inner=everyone)
    frame = eth(f"gX>{guest}", ipv4(f"E>{address}", U))
    c.rx("physext", ext(frame)).out("X1", frame)
    back = eth(f"{guest}>gX", ipv4(f"{address}>E", U))
    c.rx("X1", back).out("physext", ext(back))
    c.rx("physext", ext(back)).drop("local_mac_from_fabric")
    c.rx("physext", comes(ipv4("E>F101", U))).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))


@case("FO-5", "floating IP of a VM on a VLAN network", rules="FO FI R4-1 R4-2 R9 O1",
      about="The floating IP plane does not care how the VM's network travels.")
def _(c):
    c.patch(floatingips=[floatingip("fip-101", id="fip-111", floating_ip_address="203.0.113.111", port_id="V1",
                                    fixed_ip_address="10.3.0.11")])
    c.rx("V1", eth("V1>rV", ipv4("V1>E", U))).out(*leaves(ipv4("F111>E", U, ttl=63)))
    c.rx("physext", comes(ipv4("E>F111", U))).out("V1", eth("rV>V1", ipv4("E>V1", U, ttl=63)))
    c.rx("V1", eth("V1>rV", ipv4("V1>F101", U))).out("A1", eth("rA>A1", ipv4("F111>A1", U, ttl=62)))


@case("F42-1", "everything of a router at once", rules="F42 o2",
      about="Gateway and five floating IPs in one batch: the fg address, then this host's floating IPs, by address.")
def _(c):
    without_gateway(c)
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U))).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))
    c.event(routers=[router("R1")], ports=[port(name) for name in CENTRAL],
            floatingips=[floatingip(f"fip-{n}") for n in (105, 103, 102, 104, 101)])
    c.announce("physext", "fg1")
    c.announce("physext", "fg1", "F101")
    c.announce("physext", "fg1", "F102")


@case("F42-2", "announced no longer than it answers", rules="F42 o2 E1",
      about="A floating IP that is gone again a second later is not announced any more; nor does a change of another "
            "thing announce anything.")
def _(c):
    c.rx("physext", ask("F110")).drop("not_ours")
    c.event(floatingips=[floatingip("fip-101", id="fip-110", floating_ip_address="203.0.113.110", port_id="A3",
                                    fixed_ip_address="10.1.0.13")])
    c.announce("physext", "fg1", "F110", rounds=1)
    c.rx("physext", ask("F110")).answer(ext(eth("fg1>gX", arp_reply("fg1", "F110", "gX", "gX"))))
    c.wait(1)
    c.rx("physext", ask("F110")).answer(ext(eth("fg1>gX", arp_reply("fg1", "F110", "gX", "gX"))))
    c.event(delete={"floatingips": ["fip-110"]}, ports=[port("B1", name="renamed")])
    c.rx("physext", ask("F110")).drop("not_ours")


@case("F42-3", "router comes to a network", rules="F42 I3-a",
      about="An interface that newly answers here is announced to the local ports of its network that are up, and no "
            "further.")
def _(c):
    mac = "fa:16:3e:0e:00:01"
    c.patch(routers=[router("R2", id="R9", name="R9", routes=[])],
            ports=[port("Z1") | {"id": name, "name": name, "mac_address": f"fa:16:3e:0e:00:{last}", "status": status,
                                 "fixed_ips": [{"subnet_id": "Z-v4", "ip_address": f"10.1.0.{n}"}]}
                   for name, last, status, n in (("Z2", "12", "ACTIVE", 12), ("Z3", "13", "DOWN", 13))])
    c.rx("Z1", eth("Z1>*", arp_request("Z1", "Z1", "10.1.0.1"))).flood(2001, "Z2")
    c.event(ports=[port("rA", id="rZ", name="rZ", network_id="Z", device_id="R9", mac_address=mac,
                        fixed_ips=[{"subnet_id": "Z-v4", "ip_address": "10.1.0.1"}])])
    c.announce("Z1 Z2", mac, "10.1.0.1")
    c.rx("Z1", eth("Z1>*", arp_request("Z1", "Z1", "10.1.0.1"))).answer(
        eth(f"{mac}>Z1", arp_reply(mac, "10.1.0.1", "Z1", "Z1")))


@case("S-1", "what waits for the SNAT stage", "H3", rules="R4-5 T4 L1 S",
      about="A source whose subnet has no SNAT port, on the gateway's own host, and a frame sent to a SNAT port's MAC.")
def _(c):
    c.rx("DH", eth("DH>rA", ipv4("10.9.0.77>E", U))).drop("snat_no_state")
    c.rx("DH", eth("DH>sgA", ipv4("DH>E", U))).drop("snat_no_state")
    c.rx("tunnel", vx("H1>H3", 1001, eth("A3>sgA", ipv4("A3>E", U)))).drop("snat_no_state")


@case("R2-M-1", "metadata", rules="R2-m R1",
      about="Until its service is there, HTTP to the metadata address is dropped like anything else sent to it.")
def _(c):
    for layer4 in (tcp(40000, 80), tcp(40000, 443), udp(4000, 80), echo()):
        c.rx("A1", eth("A1>rA", ipv4("A1>169.254.169.254", layer4))).drop("meta_blocked")
