"""Cases of our own for built rules that no case of the specification hits: decode to layer 2."""

from .case import case
from .cloud import ip, link_local, network, port, router, subnet, unsecured
from .packets import (
    CE, ECT0, ECT1, IPV6, MF, NOBODY, NOT_ECT, RARP, SCTP, UDP, arp, arp_reply, arp_request, echo,
    echo6, eth, icmp6, ipv4, ipv6, neighbour_advertisement, neighbour_solicitation, raw, router_advertisement,
    router_solicitation, tcp, udp, vx)

U = udp(4000, 4001)
LLA = link_local("A1")


# ---- decode ----

@case("MAL-01", "malformed IPv4", rules="I0",
      about="IHL 4, a total length past the frame, version 5, IP option length 0, on the way to a router and bridged.")
def _(c):
    for to in ("rA", "A3"):
        c.rx("A1", eth(f"A1>{to}", ipv4("A1>B1", U, ihl=4))).drop("parse_l3")
        c.rx("A1", eth(f"A1>{to}", ipv4("A1>B1", udp(4000, 4001, bytes(58)), total=2000))).drop("parse_l3")
        c.rx("A1", eth(f"A1>{to}", ipv4("A1>B1", U, version=5))).drop("parse_l3")
        c.rx("A1", eth(f"A1>{to}", ipv4("A1>B1", U, total=19))).drop("parse_l3")
        c.rx("A1", eth(f"A1>{to}", ipv4("A1>B1", U))[:14 + 19]).drop("parse_l3")
        c.rx("A1", eth(f"A1>{to}", ipv4("A1>B1", raw(253, b""), ihl=15))).drop("parse_l3")
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, options=bytes([7, 0, 4, 0])))).drop("parse_l3")
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U, options=bytes([7, 39, 4, 0])))).drop("parse_l3")
    frame = eth("A1>A3", ipv4("A1>A3", U))
    c.rx("A1", frame).out("A3", frame)


@case("I0-1", "malformed ARP fields", rules="I0",
      about="ARP with another hardware or protocol type, protocol length or operation.")
def _(c):
    for fields in ({"htype": 6}, {"ptype": IPV6}, {"plen": 16}):
        c.rx("A1", eth("A1>*", arp_request("A1", "A1", "rA", **fields))).drop("parse_l3")
    c.rx("A1", eth("A1>*", arp(3, "A1", "A1", NOBODY, "rA"))).drop("parse_l3")


@case("I0-2", "malformed IPv6", rules="I0",
      about="IPv6 with a wrong version, a payload past the frame, hop-by-hop not first, routing header 0, ten headers.")
def _(c):
    padn = bytes([0, 1, 4, 0, 0, 0, 0])  # length 0: eight bytes; one PadN option
    routing0 = bytes([0, 0, 0]) + bytes(4)
    for fields in ({"version": 4}, {"length": 1000}, {"extensions": [(60, padn), (0, padn)]},
                   {"extensions": [(43, routing0)]}, {"extensions": [(60, padn)] * 10}):
        c.rx("A1", eth("A1>A3", ipv6("A1>fd00:a::13", echo6(), **fields))).drop("parse_l3")
    c.rx("A1", eth("A1>A3", ipv6("A1>fd00:a::13", echo6()))[:14 + 39]).drop("parse_l3")
    for fields in ({"extensions": [(0, padn), (60, padn)]}, {"hop_limit": 1}):
        frame = eth("A1>A3", ipv6("A1>fd00:a::13", echo6(), **fields))
        c.rx("A1", frame).out("A3", frame)


@case("I0-3", "malformed inner frames", rules="I0",
      about="The inner frame of a tunnel packet is decoded by the same rules.")
def _(c):
    for inner, reason in (
            (eth("01:00:5e:00:00:11>A1", ipv4("A2>A1", U)), "eth_src_bad"),
            (eth(f"{NOBODY}>A1", ipv4("A2>A1", U)), "eth_src_bad"),
            (eth("A2>01:80:c2:00:00:00", (0x88B5, bytes(46))), "link_local_mcast"),
            (eth("A2>A1", ipv4("A2>A1", U, ihl=4)), "parse_l3"),
            (eth("A2>A1", arp_request("A2", "A2", "A1", hlen=7)), "parse_l3")):
        c.rx("tunnel", vx("H2>H1", 1001, inner)).drop(reason)


@case("I0-4", "bad source or destination of Ethernet", rules="I0",
      about="An all-zero source, and the first and last of the sixteen link-local group addresses.")
def _(c):
    c.rx("A1", eth(f"{NOBODY}>A3", ipv4("A1>A3", U))).drop("eth_src_bad")
    for last in ("00", "0f"):
        c.rx("A1", eth(f"A1>01:80:c2:00:00:{last}", (0x88B5, bytes(46)))).drop("link_local_mcast")


@case("I0-5", "padding", rules="I0 L1 R9 O3",
      about="A bridged frame keeps its Ethernet padding; a routed one is cut to its IP length.")
def _(c):
    short = udp(4000, 4001, b"hi")
    for peer in ("A3", "A2"):
        frame = eth(f"A1>{peer}", ipv4(f"A1>{peer}", short), pad=60)
        c.rx("A1", frame).out(*(("A3", frame) if peer == "A3" else ("tunnel", vx("H1>H2", 1001, frame))))
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", short), pad=60)).out(
        "B1", eth("rB>B1", ipv4("A1>B1", short, ttl=63)))
    c.rx("A1", eth("A1>rA", ipv4("A1>B2", short), pad=60)).out(
        "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>B2", short, ttl=63))))


# ---- from a port ----

@case("I1-1", "VLAN tags of a VM", rules="I1 L1 R9 O3",
      about="A tagged frame is dropped; VID 0 is a priority tag, so the frame counts as untagged and leaves so.")
def _(c):
    to_a3 = ipv4("A1>A3", U)
    c.rx("A1", eth("A1>A3", to_a3, tags=[5])).drop("vlan_unexpected")
    c.rx("A1", eth("A1>A3", to_a3, tags=[0, 5])).drop("vlan_unexpected")
    c.rx("A1", eth("A1>A3", to_a3, tags=[5 << 13])).out("A3", eth("A1>A3", to_a3))
    c.rx("A1", eth("A1>A2", ipv4("A1>A2", U), tags=[0])).out(
        "tunnel", vx("H1>H2", 1001, eth("A1>A2", ipv4("A1>A2", U))))
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", U), tags=[0])).out("B1", eth("rB>B1", ipv4("A1>B1", U, ttl=63)))


@case("I1-2", "port of another host", rules="I1",
      about="Frames claimed to come from a port bound elsewhere, or nowhere, are dropped.")
def _(c):
    c.rx("A2", eth("A2>A1", ipv4("A2>A1", U))).drop("port_down")
    c.rx("VIP", eth("VIP>A1", ipv4("VIP>A1", U))).drop("port_down")


@case("I2-1", "reserved addresses inside ARP and ND", rules="I2 D7",
      about="A router's or DVR MAC inside ARP or an ND option, or a router's address as ARP sender or NA target.")
def _(c):
    c.patch(ports=[unsecured("A1"), unsecured("A3")])
    c.rx("A3", eth("A3>*", arp_request("M2", "A3", "A1"))).drop("reserved_src")
    c.rx("A3", eth("A3>A1", arp_reply("rA", "A3", "A1", "A1"))).drop("reserved_src")
    c.rx("A3", eth("A3>*", arp_request("A3", "rA", "rA"))).drop("reserved_src")
    c.rx("A1", eth("A1>33:33:00:00:00:01", ipv6(
        f"{LLA}>ff02::1", neighbour_advertisement("rA", "A1"), hop_limit=255))).drop("reserved_src")
    c.rx("A1", eth("A1>33:33:ff:00:00:13", ipv6(
        "A1>ff02::1:ff00:13", neighbour_solicitation("fd00:a::13", "rA"), hop_limit=255))).drop("reserved_src")
    c.rx("A1", eth("A1>33:33:00:00:00:02", ipv6(
        f"{LLA}>ff02::2", router_solicitation("M1"), hop_limit=255))).drop("reserved_src")


@case("PS-06", "router advertisement of a VM", rules="I2",
      about="Only routers advertise routes.")
def _(c):
    c.rx("A3", eth("A3>33:33:00:00:00:01", ipv6(
        f"{link_local('A3')}>ff02::1", router_advertisement("A3"), hop_limit=255))).drop("ra_guest")


@case("I3A-1", "gateway ARP in other forms", rules="I3-a D4",
      about="A unicast request, a padded one (the answer is not) and an address probe are answered alike.")
def _(c):
    answer = eth("rA>A1", arp_reply("rA", "rA", "A1", "A1"))
    c.rx("A1", eth("A1>rA", arp_request("A1", "A1", "rA"))).answer(answer)
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "rA"), pad=60)).answer(answer)
    c.rx("A1", eth("A1>*", arp_request("A1", "0.0.0.0", "rA"))).answer(
        eth("rA>A1", arp_reply("rA", "rA", "A1", "0.0.0.0")))


@case("I3A-2", "ARP for local, unknown and own addresses", rules="I3-a L1 L6 D4",
      about="A local VM gets the request itself; an address nobody has, a probe for one's own and a VIP are flooded.")
def _(c):
    local = eth("A1>*", arp_request("A1", "A1", "A3"))
    c.rx("A1", local).out("A3", local)
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "10.1.0.77"))).flood(1001, "A3 H2 H3 H4")
    c.rx("A1", eth("A1>*", arp_request("A1", "0.0.0.0", "A1"))).flood(1001, "A3 H2 H3 H4")
    c.rx("A3", eth("A3>*", arp_request("A3", "A3", "VIP"))).flood(1001, "A1 H2 H3 H4")
    c.rx("A1", eth("A1>A2", arp_request("A1", "A1", "A2"))).answer(
        eth("A2>A1", arp_reply("A2", "A2", "A1", "A1")))


@case("I3A-3", "same addresses, other tenant", rules="I3-a L3 L6 D1",
      about="Network Z has A1's address and MAC but no router and no other port: nothing of A is seen there.")
def _(c):
    c.rx("Z1", eth("Z1>*", arp_request("Z1", "Z1", "10.1.0.1"))).drop("no_receiver")
    c.rx("Z1", eth("Z1>*", arp_request("Z1", "Z1", "10.1.0.12"))).drop("no_receiver")
    c.rx("Z1", eth("Z1>A3", ipv4("Z1>A3", U))).drop("unknown_unicast")
    c.rx("Z1", eth("Z1>rA", ipv4("Z1>B1", U))).drop("unknown_unicast")


@case("I3B-1", "IPv6 router discovery stays here", rules="I3-b D10",
      about="A router solicitation and neighbour solicitations for the router's address never leave the host.")
def _(c):
    c.rx("A1", eth("A1>33:33:00:00:00:02", ipv6(
        f"{LLA}>ff02::2", router_solicitation("A1"), hop_limit=255))).consumed()
    c.rx("A1", eth("A1>33:33:ff:00:00:01", ipv6(
        "A1>ff02::1:ff00:1", neighbour_solicitation("rA", "A1"), hop_limit=255))).consumed()
    c.rx("A1", eth("A1>rA", ipv6(
        "A1>rA", neighbour_solicitation("rA", "A1"), hop_limit=255))).consumed()


# ---- layer 2 ----

@case("L2-R1", "IPv6 is bridged", rules="I0 L1 O3 R1",
      about="IPv6 between VMs of one network passes; to a router's MAC it is dropped until IPv6 routing is built.")
def _(c):
    local = eth("A1>A3", ipv6("A1>fd00:a::13", echo6()))
    c.rx("A1", local).out("A3", local)
    remote = eth("A1>A2", ipv6("A1>fd00:a::12", tcp(40000, 22), traffic_class=ECT0))
    c.rx("A1", remote).out("tunnel", vx("H1>H2", 1001, remote, tos=ECT0))
    c.rx("A1", eth("A1>rA", ipv6("A1>fd00:b::11", echo6()))).drop("ipv6_unrouted")


@case("L2-R2", "reserved destinations", rules="L2",
      about="A VM may not send to a DVR MAC, but for the ARP answer to another host's probe.")
def _(c):
    c.rx("A1", eth("A1>M1", ipv4("A1>B1", U))).drop("reserved_dst")
    c.rx("A1", eth("A1>M2", ipv4("A1>B2", U))).drop("reserved_dst")
    c.rx("A1", eth("A1>M2", arp_reply("A1", "A1", "M2", "A2"))).drop("reserved_dst")
    answer = eth("A1>M2", arp_reply("A1", "A1", "M2", "0.0.0.0"))
    c.rx("A1", answer).out("tunnel", vx("H1>H2", 1001, answer))
    c.rx("A1", eth("A1>M1", arp_reply("A1", "A1", "M1", "0.0.0.0"))).drop("reserved_dst")


@case("L3-1", "unknown unicast to ports without port security", rules="L3 D2",
      about="A frame to an unknown MAC reaches a local port with port security off, even when hosts get no copy.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A1", eth("A1>fa:16:3e:0a:00:77", ipv4("A1>10.1.0.77", U))).flood(1001, "A3", unknown=True)


@case("L3-2", "unknown unicast to hosts and open ports", rules="L3 O3 D2",
      about="With flood_unknown on and port security off, both get a copy; out of the tunnel only the port does.")
def _(c):
    c.patch(networks=[network("A", dvrd={"flood_unknown": True})], ports=[unsecured("A3")])
    stray = ipv4("A1>10.1.0.77", U)
    c.rx("A1", eth("A1>fa:16:3e:0a:00:77", stray)).flood(1001, "A3 H2 H3 H4", unknown=True)
    inner = eth("A2>fa:16:3e:0a:00:77", ipv4("A2>10.1.0.77", U))
    c.rx("tunnel", vx("H2>H1", 1001, inner)).flood(1001, "A3", inner=inner, unknown=True)


STRANGER = "fa:16:3e:0a:00:55"
FROM_STRANGER = eth(f"{STRANGER}>A1", ipv4("10.1.0.55>A1", U))
TO_STRANGER = eth(f"A1>{STRANGER}", ipv4("A1>10.1.0.55", U))


@case("L4-1", "learned entry refreshed and moved", rules="L4 L1 O3",
      about="Each frame of a learned MAC starts its 300 s anew, and a newer frame from another host moves it.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, FROM_STRANGER)).out("A1", FROM_STRANGER)
    c.wait(200)
    c.rx("tunnel", vx("H2>H1", 1001, FROM_STRANGER)).out("A1", FROM_STRANGER)
    c.wait(200)
    c.rx("A1", TO_STRANGER).out("tunnel", vx("H1>H2", 1001, TO_STRANGER))
    c.rx("tunnel", vx("H3>H1", 1001, FROM_STRANGER)).out("A1", FROM_STRANGER)
    c.rx("A1", TO_STRANGER).out("tunnel", vx("H1>H3", 1001, TO_STRANGER))


@case("L4-2", "learning off", rules="L4 L3",
      about="With learning off for the network nothing is learned.")
def _(c):
    c.patch(networks=[network("A", dvrd={"learning": False})])
    c.rx("tunnel", vx("H2>H1", 1001, FROM_STRANGER)).out("A1", FROM_STRANGER)
    c.rx("A1", TO_STRANGER).drop("unknown_unicast")


@case("L4-3", "learned from a port without port security", rules="L4 L1",
      about="A second MAC behind a port with port security off is learned there.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    c.rx("A1", TO_STRANGER).flood(1001, "A3", unknown=True)
    c.rx("A3", FROM_STRANGER).out("A1", FROM_STRANGER)
    c.rx("A1", TO_STRANGER).out("A3", TO_STRANGER)
    remote = eth(f"A2>{STRANGER}", ipv4("A2>10.1.0.55", U))
    c.rx("tunnel", vx("H2>H1", 1001, remote)).out("A3", remote)


@case("L5-1", "announcement out of the tunnel", rules="L5 L6 T5",
      about="A gratuitous ARP of a remote VM, as request and as reply, is passed to every local port.")
def _(c):
    for gratuitous in (arp_request("A2", "A2", "A2"), arp_reply("A2", "A2", "A2", "A2")):
        inner = eth("A2>*", gratuitous)
        c.rx("tunnel", vx("H2>H1", 1001, inner)).flood(1001, "A1 A3", inner=inner)


@case("PS-07", "RARP of a migrated VM", rules="L5 L6",
      about="The RARP a hypervisor sends after a migration is flooded.")
def _(c):
    rarp = arp(3, "A3", "0.0.0.0", "A3", "0.0.0.0", ethertype=RARP)
    c.rx("A3", eth("A3>*", rarp)).flood(1001, "A1 H2 H3 H4")


@case("L6-1", "who gets a broadcast", rules="L6",
      about="A port that is DOWN gets no copy; hosts with only a router on the network do; nobody left is no_receiver.")
def _(c):
    c.patch(ports=[port("A3", status="DOWN")])
    c.rx("A1", eth("A1>*", ipv4("A1>255.255.255.255", U))).flood(1001, "H2 H3 H4")
    # Of K only K1 exists, but R2 stands beside R1 on every host and has an interface on K.
    c.rx("K1", eth("K1>*", ipv4("K1>255.255.255.255", U))).flood(1004, "H2 H3 H4")
    c.rx("Z1", eth("Z1>*", ipv4("Z1>255.255.255.255", U))).drop("no_receiver")


@case("L6-2", "broadcast on a VLAN network", rules="L6 O4",
      about="Copies go to local ports and, with the network's VLAN tag, to its physical network; to no tunnel.")
def _(c):
    c.patch(ports=[port("V2", binding_host_id="H1")])
    c.rx("V1", eth("V1>*", ipv4("V1>255.255.255.255", U))).flood(0, "V2 physnet1")


@case("L6-3", "broadcast of a lone VLAN port", rules="L6 O4",
      about="The physical network is the only receiver: one frame.")
def _(c):
    c.rx("V1", eth("V1>*", ipv4("V1>255.255.255.255", U))).flood(0, "physnet1")


# ---- the tunnel ----

@case("T0-1", "not for this VTEP", rules="T0",
      about="Another destination address, MAC, UDP port or protocol on the underlay NIC is not ours.")
def _(c):
    inner = eth("A2>A1", ipv4("A2>A1", U))
    c.rx("tunnel", vx("H2>H1", 1001, inner, dst_ip="172.20.0.13")).drop("not_ours")
    c.rx("tunnel", vx("H2>H1", 1001, inner, dst_mac="02:00:ac:14:00:13")).drop("not_ours")
    c.rx("tunnel", vx("H2>H1", 1001, inner, dst_mac="ff:ff:ff:ff:ff:ff")).drop("not_ours")
    c.rx("tunnel", vx("H2>H1", 1001, inner, dport=8472)).drop("not_ours")
    ours = "02:00:ac:14:00:12>02:00:ac:14:00:11"
    c.rx("tunnel", eth(ours, ipv4("172.20.0.12>172.20.0.11", tcp(40000, 4789)))).drop("not_ours")
    c.rx("tunnel", eth(ours, ipv4("172.20.0.12>172.20.0.11", echo()))).drop("not_ours")
    c.rx("tunnel", eth("02:00:ac:14:00:12>*", arp_request(
        "02:00:ac:14:00:12", "172.20.0.12", "172.20.0.11"))).drop("not_ours")


@case("T0-2", "outer header cut or wrong", rules="I0 T0",
      about="An outer total length past the frame is parse_l3; less than an Ethernet header is parse_short.")
def _(c):
    frame = vx("H2>H1", 1001, eth("A2>A1", ipv4("A2>A1", U)))
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>A1", ipv4("A2>A1", U)), total=1400)).drop("parse_l3")
    c.rx("tunnel", frame[:12]).drop("parse_short")


@case("T2-1", "tag inside the tunnel", rules="T2",
      about="An inner frame with a VLAN tag is dropped.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>A1", ipv4("A2>A1", U), tags=[7]))).drop("vlan_unexpected")


@case("T1-1", "strict VTEP check off", rules="T1 T5",
      about="With strict_vtep off for a network any host of the cloud may send into it.")
def _(c):
    c.patch(networks=[network("Z", dvrd={"strict_vtep": False})])
    inner = eth("fa:16:3e:0a:00:77>Z1", ipv4("10.1.0.77>Z1", U))
    c.rx("tunnel", vx("H2>H1", 2001, inner)).out("Z1", inner)


@case("T3-1", "reserved sources out of the tunnel", rules="T3 D7 D8",
      about="A DVR MAC nobody registered, and the MAC of a router interface.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, eth("fa:16:3f:aa:bb:cc>A1", ipv4("B2>A1", U)))).drop("dvr_wrong_vtep")
    c.rx("tunnel", vx("H2>H1", 1001, eth("rA>A1", ipv4("B2>A1", U)))).drop("local_mac_from_fabric")


@case("T3-2", "router ARP and RA out of the tunnel", rules="T3 D10",
      about="ARP that names a router's address, as sender or target, and router advertisements stay on their host.")
def _(c):
    for inner in (
            eth("A2>A1", arp_reply("A2", "rA", "A1", "A1")),
            eth("A2>A1", arp_reply("A2", "A2", "rA", "rA")),
            eth("A2>*", arp_request("A2", "rA", "rA")),
            eth("A2>33:33:00:00:00:01", ipv6(
                f"{link_local('A2')}>ff02::1", router_advertisement("A2"), hop_limit=255))):
        c.rx("tunnel", vx("H2>H1", 1001, inner)).drop("router_arp_from_fabric")


@case("T3-3", "a local MAC is local in its network only", rules="T3 T5 L4 L1",
      about="A1's MAC is refused from outside on network A, but on network K it is a stranger's and is learned.")
def _(c):
    inner = eth("A1>K1", ipv4("10.4.0.55>K1", U))
    c.rx("tunnel", vx("H2>H1", 1004, inner)).out("K1", inner)
    answer = eth("K1>A1", ipv4("K1>10.4.0.55", U))
    c.rx("K1", answer).out("tunnel", vx("H1>H2", 1004, answer))


@case("T4-1", "gateway MAC by destination subnet", "H2", rules="T4 D5",
      about="A2 has addresses in two subnets of one network: each routed frame comes from its own subnet's gateway.")
def _(c):
    second = "fa:16:3e:0a:05:01"
    c.patch(
        subnets=[{"id": "A5-v4", "name": "A5-v4", "network_id": "A", "ip_version": 4, "cidr": "10.5.0.0/24",
                  "gateway_ip": "10.5.0.1", "enable_dhcp": False, "dns_nameservers": [], "host_routes": []}],
        ports=[port("rB", id="rA5", name="rA5", network_id="A", mac_address=second,
                    fixed_ips=[{"subnet_id": "A5-v4", "ip_address": "10.5.0.1"}]),
               port("A2", fixed_ips=[{"subnet_id": "A-v4", "ip_address": "10.1.0.12"},
                                     {"subnet_id": "A5-v4", "ip_address": "10.5.0.12"}])])
    for address, gateway in (("10.1.0.12", "rA"), ("10.5.0.12", second)):
        ping = ipv4(f"B1>{address}", echo(), ttl=63)
        c.rx("tunnel", vx("H1>H2", 1001, eth("M1>A2", ping))).out("A2", eth(f"{gateway}>A2", ping))


@case("T4-2", "gateway MAC when another router is the gateway", "H2", rules="T4 D5",
      about="The subnet's gateway_ip is R3's: whichever router sent the frame, the VM sees its gateway's MAC.")
def _(c):
    rx_mac = "fa:16:3e:0a:00:fe"
    c.patch(
        routers=[router("R2", id="R3", name="R3", routes=[])],
        subnets=[subnet("A-v4", gateway_ip="10.1.0.254")],
        ports=[port("rA", id="rX", name="rX", device_id="R3", mac_address=rx_mac,
                    fixed_ips=[{"subnet_id": "A-v4", "ip_address": "10.1.0.254"}])])
    ping = ipv4("B1>A2", echo(), ttl=63)
    c.rx("tunnel", vx("H1>H2", 1001, eth("M1>A2", ping))).out("A2", eth(f"{rx_mac}>A2", ping))


@case("T4-3", "routed next hop", "H2", rules="T4 D5",
      about="The other end of EW-09: the IP destination is in no subnet here, so the port's first subnet decides.")
def _(c):
    beyond = ipv4("A1>192.168.50.9", U, ttl=63)
    c.rx("tunnel", vx("H1>H2", 1002, eth("M1>B2", beyond))).out("B2", eth("rB>B2", beyond))


@case("T4-4", "routed to the DHCP port", "H3", rules="T4",
      about="A DHCP port is served like a VM: the gateway's MAC is restored.")
def _(c):
    query = ipv4("B1>DH", udp(40000, 53), ttl=63)
    c.rx("tunnel", vx("H1>H3", 1001, eth("M1>DH", query))).out("DH", eth("rA>DH", query))


@case("T5-1", "to this host's DVR MAC", rules="T5",
      about="Only awaited ARP answers may be sent to a DVR MAC: a late one and anything else are dropped.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>M1", arp_reply("A2", "A2", "M1", "0.0.0.0")))).drop("reserved_dst")
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>M1", ipv4("A2>B1", U)))).drop("reserved_dst")


# ---- encapsulation ----

@case("O3-1", "outer source port", rules="O3",
      about="The outer source port follows the flow: by TCP, UDP and SCTP ports, by address for the rest; "
            "all fragments of a datagram share one.")
def _(c):
    ports4 = b"\x9c\x40\x00\x16" + bytes(8)
    datagram = udp(40000, 22)[1](ip("A1"), ip("A2"))
    payloads = [
        ipv4("A1>A2", tcp(40000, 22)), ipv4("A1>A2", tcp(40001, 22)), ipv4("A1>A2", udp(40000, 22)),
        ipv4("A1>A2", raw(SCTP, ports4)), ipv4("A1>A2", raw(47, ports4)), ipv4("A1>A2", echo()),
        ipv4("A1>A2", tcp(40000, 22), options=b"\1\1\1\0"),
        ipv4("A1>A2", raw(UDP, datagram[:24]), df=False, frag=MF),
        ipv4("A1>A2", raw(UDP, datagram[24:]), df=False, frag=3),
        ipv6("A1>fd00:a::12", tcp(40000, 22)), ipv6("A1>fd00:a::12", udp(40000, 22)),
        ipv6("A1>fd00:a::12", icmp6(128, bytes(8))),
    ]
    for layer3 in payloads:
        frame = eth("A1>A2", layer3)
        c.rx("A1", frame).out("tunnel", vx("H1>H2", 1001, frame))
    reply = eth("A1>A2", arp_reply("A1", "A1", "A2", "A2"))
    c.rx("A1", reply).out("tunnel", vx("H1>H2", 1001, reply))


@case("O3-2", "too big for the underlay", rules="O3",
      about="1450 bytes of IP fill a 1500-byte underlay; one more is dropped, the outer packet is never fragmented.")
def _(c):
    fits, over = (eth("A1>A2", ipv4("A1>A2", udp(4000, 4001, bytes(n - 28)))) for n in (1450, 1451))
    c.rx("A1", fits).out("tunnel", vx("H1>H2", 1001, fits))
    c.rx("A1", over).drop("mtu")


@case("ECN-1", "ECN copied out", rules="O3",
      about="The outer TOS is the inner packet's ECN field, without its DSCP; bridged and routed.")
def _(c):
    for field in (NOT_ECT, ECT1, ECT0, CE):
        frame = eth("A1>A2", ipv4("A1>A2", U, tos=0xB8 | field))
        c.rx("A1", frame).out("tunnel", vx("H1>H2", 1001, frame, tos=field))
        c.rx("B1", eth("B1>rB", ipv4("B1>A2", U, tos=0x28 | field))).out(
            "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", U, tos=0x28 | field, ttl=63)), tos=field))
        six = eth("A1>A2", ipv6("A1>fd00:a::12", U, traffic_class=0xB8 | field))
        c.rx("A1", six).out("tunnel", vx("H1>H2", 1001, six, tos=field))


# RFC 6040, figure 4: (inner, outer) -> inner after decapsulation; None = dropped.
DECAP = {
    (NOT_ECT, NOT_ECT): NOT_ECT, (NOT_ECT, ECT0): NOT_ECT, (NOT_ECT, ECT1): NOT_ECT, (NOT_ECT, CE): None,
    (ECT0, NOT_ECT): ECT0, (ECT0, ECT0): ECT0, (ECT0, ECT1): ECT1, (ECT0, CE): CE,
    (ECT1, NOT_ECT): ECT1, (ECT1, ECT0): ECT1, (ECT1, ECT1): ECT1, (ECT1, CE): CE,
    (CE, NOT_ECT): CE, (CE, ECT0): CE, (CE, ECT1): CE, (CE, CE): CE,
}


@case("ECN-2", "ECN on decapsulation", rules="T0",
      about="All sixteen cells of RFC 6040's table for IPv4, with the header checksum following.")
def _(c):
    for (inner, outer), result in DECAP.items():
        packet = c.rx("tunnel", vx("H2>H1", 1001, eth("A2>A1", ipv4("A2>A1", U, tos=0x28 | inner)), tos=outer))
        if result is None:
            packet.drop("ecn_bad")
        else:
            packet.out("A1", eth("A2>A1", ipv4("A2>A1", U, tos=0x28 | result)))


@case("ECN-3", "ECN on decapsulation of IPv6", rules="T0",
      about="The same sixteen cells with an IPv6 packet inside.")
def _(c):
    for (inner, outer), result in DECAP.items():
        packet = c.rx("tunnel", vx("H2>H1", 1001, eth(
            "A2>A1", ipv6("fd00:a::12>A1", U, traffic_class=0x28 | inner)), tos=outer))
        if result is None:
            packet.drop("ecn_bad")
        else:
            packet.out("A1", eth("A2>A1", ipv6("fd00:a::12>A1", U, traffic_class=0x28 | result)))


@case("ECN-4", "ECN of a routed packet", "H2", rules="T0 T4",
      about="Congestion marked on the way is copied into a routed packet whose gateway MAC is restored.")
def _(c):
    c.rx("tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>B2", U, tos=ECT0, ttl=63)), tos=CE)).out(
        "B2", eth("rB>B2", ipv4("A1>B2", U, tos=CE, ttl=63)))
