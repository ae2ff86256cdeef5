"""The cases of the specification's section 8, in its order and its notation."""

from .case import case
from .cloud import gone, network, port, router, unsecured
from .packets import (
    LLDP, MF, arp_reply, arp_request, echo, echo_reply, eth, ipv4, tcp, udp, vrrp, vx)

U = udp(4000, 4001)


# ---- layer 2 ----

@case("L2-01", "unicast over vxlan", rules="I0 I1 L1 O3",
      about="A VM talks to a VM of its network on another host: the frame travels unchanged in VXLAN.")
def _(c):
    frame = eth("A1>A2", ipv4("A1>A2", U))
    c.rx("A1", frame).out("tunnel", vx("H1>H2", 1001, frame))


@case("L2-02", "unicast to a local port", rules="I0 I1 L1 O1",
      about="Two VMs of one network on one host: the frame goes to the other's port unchanged.")
def _(c):
    frame = eth("A1>A3", ipv4("A1>A3", U))
    c.rx("A1", frame).out("A3", frame)


@case("L2-03", "unicast from vxlan", "H2", rules="I0 T0 T1 T2 T3 T5 L1",
      about="The other end of L2-01: the inner frame reaches the VM unchanged.")
def _(c):
    frame = eth("A1>A2", ipv4("A1>A2", U))
    c.rx("tunnel", vx("H1>H2", 1001, frame)).out("A2", frame)


@case("L2-04", "broadcast", rules="I0 I1 L6 O3 D1",
      about="A broadcast reaches every port of the network, here and on other hosts, and no other network.")
def _(c):
    c.rx("A1", eth("A1>*", ipv4("A1>255.255.255.255", U))).flood(1001, "A3 H2 H3 H4")


@case("L2-05", "broadcast from vxlan", rules="I0 T0 T1 T2 T3 T5 L6",
      about="A broadcast out of the tunnel goes to local ports only, never back into a tunnel.")
def _(c):
    frame = eth("A2>*", ipv4("A2>255.255.255.255", U))
    c.rx("tunnel", vx("H2>H1", 1001, frame)).flood(1001, "A1 A3", inner=frame)


@case("L2-06", "routed frame is not flooded", rules="I0 I1 R3 R4-1 R7 R9 O2 O3 D2",
      about="A routed frame to a VM that has never sent anything goes to its host only.")
def _(c):
    c.rx("B1", eth("B1>rB", ipv4("B1>A2", U))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", U, ttl=63))))


@case("L2-07", "unknown unicast not flooded", rules="I0 I1 L3 D2",
      about="With flood_unknown off, a frame to a MAC nobody has is dropped.")
def _(c):
    c.rx("A1", eth("A1>fa:16:3e:0a:00:77", ipv4("A1>10.1.0.77", U))).drop("unknown_unicast")


@case("L2-07", "unknown unicast flooded to hosts", rules="I0 I1 L3 O3 D2",
      about="With flood_unknown on, it goes to the other hosts of the network, never into a secured local port.")
def _(c):
    c.patch(networks=[network("A", dvrd={"flood_unknown": True})])
    c.rx("A1", eth("A1>fa:16:3e:0a:00:77", ipv4("A1>10.1.0.77", U))).flood(1001, "H2 H3 H4", unknown=True)


@case("L2-08", "port down", rules="I1 L1 R7",
      about="A port that is bound here but DOWN neither sends nor receives, bridged, routed or from the tunnel.")
def _(c):
    c.patch(ports=[port("A3", status="DOWN")])
    c.rx("A3", eth("A3>A1", ipv4("A3>A1", U))).drop("port_down")
    c.rx("A3", eth("A3>*", arp_request("A3", "A3", "rA"))).drop("port_down")
    c.rx("A1", eth("A1>A3", ipv4("A1>A3", U))).drop("port_down")
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>A3", ipv4("A2>A3", U)))).drop("port_down")
    c.rx("B1", eth("B1>rB", ipv4("B1>A3", U))).drop("port_down")


@case("L2-08", "before the port has a row", rules="I1 L1 L3",
      about="Frames of a port that no row names yet are dropped; an event brings the port up and they pass.")
def _(c):
    c.patch(delete={"ports": ["A3"]})
    to_a1, to_a3 = eth("A3>A1", ipv4("A3>A1", U)), eth("A1>A3", ipv4("A1>A3", U))
    c.rx("A3", to_a1).drop("port_down")
    c.rx("A1", to_a3).drop("unknown_unicast")
    c.event(ports=[port("A3", status="DOWN")])
    c.rx("A3", to_a1).drop("port_down")
    c.rx("A1", to_a3).drop("port_down")
    c.event(ports=[port("A3")])
    c.rx("A3", to_a1).out("A1", to_a1)
    c.rx("A1", to_a3).out("A3", to_a3)


@case("L2-09", "learned from vxlan, forgotten after 300 s", rules="T5 L1 L3 L4 O3",
      about="A source MAC out of the tunnel is learned with its host, and forgotten 300 s after its last frame.")
def _(c):
    stranger = "fa:16:3e:0a:00:55"
    ping = eth(f"{stranger}>A1", ipv4("10.1.0.55>A1", echo()))
    reply = eth(f"A1>{stranger}", ipv4("A1>10.1.0.55", echo_reply()))
    c.rx("tunnel", vx("H2>H1", 1001, ping)).out("A1", ping)
    c.rx("A1", reply).out("tunnel", vx("H1>H2", 1001, reply))
    c.wait(301)
    c.rx("A1", reply).drop("unknown_unicast")


@case("L2-10", "static entry wins over learning", rules="T5 L1 L4 O3",
      about="A frame of A2 from the wrong host is delivered but does not move A2's entry.")
def _(c):
    wrong, right = eth("A2>A1", ipv4("A2>A1", U)), eth("A1>A2", ipv4("A1>A2", U))
    c.rx("tunnel", vx("H3>H1", 1001, wrong)).out("A1", wrong)
    c.rx("A1", right).out("tunnel", vx("H1>H2", 1001, right))


@case("L2-11", "link-local multicast", rules="I0",
      about="LLDP of a VM stays on its link.")
def _(c):
    lldp = bytes.fromhex("0207 04fa163e0a0011 0402 0761 0602 0078 0000".replace(" ", ""))
    c.rx("A1", eth("A1>01:80:c2:00:00:0e", (LLDP, lldp), pad=60)).drop("link_local_mcast")


@case("L2-12", "multicast", rules="I0 I1 L6 O3",
      about="A VRRP advertisement goes to every port of the network.")
def _(c):
    advert = ipv4("A1>224.0.0.18", vrrp("10.1.0.100"), ttl=255, tos=0xC0)
    c.rx("A1", eth("A1>01:00:5e:00:00:12", advert)).flood(1001, "A3 H2 H3 H4")


# ---- ARP ----

@case("ARP-01", "gateway answers", rules="I3-a D10",
      about="The gateway's ARP answer is made on the VM's own host and nothing leaves it.")
def _(c):
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "rA"))).answer(
        eth("rA>A1", arp_reply("rA", "rA", "A1", "A1")))


@case("ARP-02", "remote VM answered for", rules="I3-a",
      about="ARP for a VM on another host is answered here with that VM's MAC; no broadcast.")
def _(c):
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "A2"))).answer(
        eth("A2>A1", arp_reply("A2", "A2", "A1", "A1")))


@case("ARP-03", "announcement is flooded", rules="I3-a I3-c L5 L6 D4",
      about="A gratuitous ARP is passed on to everyone and answered by nobody.")
def _(c):
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "A1"))).flood(1001, "A3 H2 H3 H4")


@case("ARP-04", "VM claims the gateway's address", rules="I2 D7",
      about="A VM that says it owns the gateway's address is not heard.")
def _(c):
    c.rx("A3", eth("A3>A1", arp_reply("A3", "rA", "A1", "A1"))).drop("reserved_src")


@case("ARP-06", "two routers on one subnet", rules="I3-a",
      about="Each router on a subnet answers for its own address with its own MAC, gateway or not.")
def _(c):
    rx_mac = "fa:16:3e:0a:00:fe"
    c.patch(
        routers=[router("R2", id="R3", name="R3", routes=[])],
        ports=[port("rA", id="rX", name="rX", device_id="R3", mac_address=rx_mac,
                    fixed_ips=[{"subnet_id": "A-v4", "ip_address": "10.1.0.254"}])])
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "10.1.0.254"))).answer(
        eth(f"{rx_mac}>A1", arp_reply(rx_mac, "10.1.0.254", "A1", "A1")))
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "rA"))).answer(
        eth("rA>A1", arp_reply("rA", "rA", "A1", "A1")))


@case("ARP-07", "gateway ARP out of the tunnel", rules="T3 D10",
      about="ARP for a router's address never crosses hosts; one that does is dropped.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>*", arp_request("A2", "A2", "rA")))).drop("router_arp_from_fabric")


# ---- east-west routing ----

@case("EW-01", "routed on one host", rules="I0 I1 R3 R4-1 R7 R9 O1",
      about="Two subnets, both VMs on one host: routed here, TTL one less, addresses unchanged.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>B1", echo()))).out(
        "B1", eth("rB>B1", ipv4("A1>B1", echo(), ttl=63)))


@case("EW-02", "routed to another host", rules="I0 I1 R3 R4-1 R7 R9 O2 O3",
      about="Routed where the sender is; on the wire the source is this host's DVR MAC.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>B2", tcp(40000, 22)))).out(
        "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>B2", tcp(40000, 22), ttl=63))))


@case("EW-03", "remote DVR MAC restored", "H2", rules="I0 T0 T1 T2 T3 T4 D5 D8",
      about="The other end of EW-02: the VM sees its gateway's MAC, and the TTL is not touched again.")
def _(c):
    syn = ipv4("A1>B2", tcp(40000, 22), ttl=63)
    c.rx("tunnel", vx("H1>H2", 1002, eth("M1>B2", syn))).out("B2", eth("rB>B2", syn))


@case("EW-04", "broadcast from a DVR MAC", "H2", rules="T4",
      about="A router never broadcasts across hosts: dropped.")
def _(c):
    c.rx("tunnel", vx("H1>H2", 1002, eth("M1>*", ipv4("A1>255.255.255.255", U)))).drop("dvr_unknown_dst")


@case("EW-05", "DVR MAC to a MAC not here", "H2", rules="T4",
      about="A routed frame for a MAC this host does not serve is dropped, not flooded.")
def _(c):
    c.rx("tunnel", vx("H1>H2", 1002, eth("M1>fa:16:3e:0b:00:77", ipv4("A1>10.2.0.77", U, ttl=63)))) \
        .drop("dvr_unknown_dst")


@case("EW-08", "two routers in a row", rules="R3 R4-1 R7 R9 O1 D3",
      about="R1's extra route leads to R2, on the same host: both hops are taken here, TTL two less.")
def _(c):
    c.rx("A1", eth("A1>rA", ipv4("A1>K1", echo()))).out(
        "K1", eth("rK>K1", ipv4("A1>K1", echo(), ttl=62)))


@case("EW-09", "extra route through a VM", rules="R4-1 R7 R9 O2 O3",
      about="An extra route's next hop is a VM on another host: its MAC, the original IP destination.")
def _(c):
    c.patch(routers=[router("R1", routes=[
        {"destination": "10.4.0.0/24", "nexthop": "10.9.0.2"},
        {"destination": "192.168.50.0/24", "nexthop": "10.2.0.12"}])])
    c.rx("A1", eth("A1>rA", ipv4("A1>192.168.50.9", U))).out(
        "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>192.168.50.9", U, ttl=63))))


@case("EW-10", "allowed pair with its own MAC", "H2", rules="T3 T4 D5",
      about="A routed frame to a VM's second (VRRP) MAC is delivered with the gateway's MAC restored.")
def _(c):
    vrrp_mac = "00:00:5e:00:01:07"
    c.patch(ports=[port("A2", allowed_address_pairs=[
        {"ip_address": "10.1.0.100", "mac_address": "fa:16:3e:0a:00:12"},
        {"ip_address": "10.1.0.70", "mac_address": vrrp_mac}])])
    ping = ipv4("B1>10.1.0.70", echo(), ttl=63)
    c.rx("tunnel", vx("H1>H2", 1001, eth(f"M1>{vrrp_mac}", ping))).out("A2", eth(f"rA>{vrrp_mac}", ping))


@case("EW-12", "ping the router", rules="R2",
      about="The router answers for every one of its addresses, from the address asked, on the VM's host.")
def _(c):
    for seq, asked in ((1, "rA"), (2, "rB")):
        c.rx("A1", eth("A1>rA", ipv4(f"A1>{asked}", echo(seq=seq)))).answer(
            eth("rA>A1", ipv4(f"{asked}>A1", echo_reply(seq=seq), ttl=64)))


@case("EW-16", "router MAC out of the tunnel", rules="T5",
      about="Frames to a router are routed where they start; one from the tunnel is dropped.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, eth("A2>rA", ipv4("A2>B1", U)))).drop("router_mac_from_fabric")


# ---- the tunnel's own checks ----

A2_TO_A1 = eth("A2>A1", ipv4("A2>A1", U))


@case("VX-01", "unknown VTEP", rules="T0 T1",
      about="VXLAN from an address that is no host of the cloud.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, src_ip="172.20.0.99")).drop("unknown_vtep")


@case("VX-02", "bad outer header", rules="I0 T0",
      about="Flag I clear, a fragment, a 13-byte inner frame, a wrong UDP checksum: dropped; extra flags are not.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, flags=0)).drop("vx_bad")
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, frag=MF)).drop("vx_bad")
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1[:13])).drop("parse_short")
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, udp_sum="bad")).drop("vx_bad")
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, flags=0xC8)).out("A1", A2_TO_A1)
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, udp_sum="good")).out("A1", A2_TO_A1)
    c.rx("tunnel", vx("H2>H1", 1001, A2_TO_A1, reserved=(b"\1\2\3", b"\4"))).out("A1", A2_TO_A1)


@case("VX-03", "unknown VNI", rules="T2",
      about="A network that does not exist on this host.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 4242, A2_TO_A1)).drop("unknown_vni")


@case("VX-04", "DVR MAC from the wrong host", rules="T3 D8",
      about="H2's DVR MAC sent by H3 is a forgery.")
def _(c):
    c.rx("tunnel", vx("H3>H1", 1001, eth("M2>A1", ipv4("B2>A1", U, ttl=63)))).drop("dvr_wrong_vtep")


@case("VX-05", "own MACs come back", rules="T3",
      about="This host's DVR MAC and its own VMs' MACs cannot arrive from outside.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 1001, eth("M1>A1", ipv4("B1>A1", U, ttl=63)))).drop("own_dvr_mac")
    c.rx("tunnel", vx("H2>H1", 1001, eth("A1>A3", ipv4("A1>A3", U)))).drop("local_mac_from_fabric")


@case("VX-06", "host without the network", rules="T1",
      about="A known host that has no part in network Z may not send into it.")
def _(c):
    c.rx("tunnel", vx("H2>H1", 2001, eth("fa:16:3e:0a:00:77>Z1", ipv4("10.1.0.77>Z1", U)))) \
        .drop("vtep_not_member")


# ---- the rest ----

@case("SN-01", "default route to the SNAT host", rules="R3 R4-4 R7 R9 O2 O3",
      about="A VM without floating IP to the outside: to the router's SNAT port on the network node, untranslated.")
def _(c):
    syn = tcp(40000, 80)
    c.rx("A3", eth("A3>rA", ipv4("A3>E", syn))).out(
        "tunnel", vx("H1>H3", 1001, eth("M1>sgA", ipv4("A3>E", syn, ttl=63))))


@case("PS-04", "reserved source MACs", rules="I2 D7",
      about="Even with port security off no VM may use a router's MAC, a host's DVR MAC or that OUI.")
def _(c):
    c.patch(ports=[unsecured("A3")])
    for source in ("rA", "M2", "fa:16:3f:aa:bb:cc"):
        c.rx("A3", eth(f"{source}>A1", ipv4("A3>A1", U))).drop("reserved_src")


@case("MAL-03", "malformed ARP and Ethernet", rules="I0",
      about="ARP with hlen 7, ARP cut to 27 bytes, a multicast source and a 12-byte frame; nothing is answered.")
def _(c):
    request = eth("A1>*", arp_request("A1", "A1", "rA"))
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "rA", hlen=7))).drop("parse_l3")
    c.rx("A1", request[:14 + 27]).drop("parse_l3")
    c.rx("A1", eth("01:00:5e:00:00:11>A3", ipv4("A1>A3", U))).drop("eth_src_bad")
    c.rx("A1", request[:12]).drop("parse_short")


@case("GEN-01", "refused batch changes nothing", rules="L1 R4-1 R7 R9 O3",
      about="100 good neighbours and a moved VM in one batch with a neighbour whose MAC is multicast: refused whole.")
def _(c):
    bridged, routed = eth("A1>A2", ipv4("A1>A2", U)), eth("B1>rB", ipv4("B1>A2", U))

    def traffic():
        c.rx("A1", bridged).out("tunnel", vx("H1>H2", 1001, bridged))
        c.rx("B1", routed).out("tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("B1>A2", U, ttl=63))))
        c.rx("A1", eth("A1>*", arp_request("A1", "A1", "A2"))).answer(
            eth("A2>A1", arp_reply("A2", "A2", "A1", "A1")))

    traffic()
    good = [{"network_id": net, "ip_address": f"10.{i}.0.{150 + n}",
             "mac_address": f"fa:16:3e:aa:{i:02x}:{n:02x}"}
            for i, net in ((1, "A"), (2, "B")) for n in range(50)]
    bad = {"network_id": "B", "ip_address": "10.2.0.200", "mac_address": "01:00:5e:00:00:01"}
    c.event(refused=True, ports=[port("A2", binding_host_id="H3")], neighbors=good + [bad])
    traffic()


@case("NB-01", "VM moves and changes its MAC", rules="I3-a L1 L3 R7 R9 O2 O3",
      about="A2 goes down, gets another MAC and host, comes up: routed and bridged frames follow, the old MAC is gone.")
def _(c):
    new = "fa:16:3e:0a:00:22"
    moved = {"mac_address": new, "binding_host_id": "H3",
             "allowed_address_pairs": [{"ip_address": "10.1.0.100", "mac_address": new}]}
    routed, after = eth("B1>rB", ipv4("B1>A2", U)), ipv4("B1>A2", U, ttl=63)
    c.rx("B1", routed).out("tunnel", vx("H1>H2", 1001, eth("M1>A2", after)))
    c.event(ports=[port("A2", status="DOWN")])
    c.event(ports=[port("A2", status="DOWN", **moved)])
    c.event(ports=[port("A2", **moved)])
    c.rx("B1", routed).out("tunnel", vx("H1>H3", 1001, eth(f"M1>{new}", after)))
    bridged = eth(f"A1>{new}", ipv4("A1>A2", U))
    c.rx("A1", bridged).out("tunnel", vx("H1>H3", 1001, bridged))
    c.rx("A1", eth("A1>A2", ipv4("A1>A2", U))).drop("unknown_unicast")
    c.rx("A1", eth("A1>*", arp_request("A1", "A1", "A2"))).answer(
        eth(f"{new}>A1", arp_reply(new, "A2", "A1", "A1")))


@case("LC-01", "last VMs leave the host", "H1", rules="I1 L6 T2 R4-1 R7 R9",
      about="Routers stay on the host while any VM they reach is there; after the last one the networks are gone.")
def _(c):
    from_b1, to_a2 = eth("B1>rB", ipv4("B1>A2", U)), ipv4("B1>A2", U, ttl=63)
    broadcast = vx("H2>H1", 1001, eth("A2>*", ipv4("A2>255.255.255.255", U)))
    c.rx("B1", from_b1).out("tunnel", vx("H1>H2", 1001, eth("M1>A2", to_a2)))
    c.event(ports=[gone("A1"), gone("A3")])
    c.rx("B1", from_b1).out("tunnel", vx("H1>H2", 1001, eth("M1>A2", to_a2)))
    c.rx("A1", eth("A1>A2", ipv4("A1>A2", U))).drop("port_down")
    c.event(ports=[gone("B1"), gone("V1")])
    c.rx("B1", from_b1).drop("port_down")
    # R2 serves K1, R1 shares network C with R2: both are still here, and A with them.
    c.rx("K1", eth("K1>rK", ipv4("K1>A2", U))).out(
        "tunnel", vx("H1>H2", 1001, eth("M1>A2", ipv4("K1>A2", U, ttl=62))))
    c.rx("tunnel", broadcast).drop("no_receiver")
    c.event(ports=[gone("K1")])
    c.rx("K1", eth("K1>rK", ipv4("K1>A2", U))).drop("port_down")
    c.rx("tunnel", broadcast).drop("unknown_vni")


@case("LC-01", "last VMs leave, seen from another host", "H2", rules="L3 L6 O3",
      about="H2 sends broadcasts of A to H1 as long as a router of A is there, and no longer.")
def _(c):
    broadcast = eth("A2>*", ipv4("A2>255.255.255.255", U))
    unicast = eth("A2>A1", ipv4("A2>A1", U))
    c.rx("A2", broadcast).flood(1001, "H1 H3 H4")
    c.rx("A2", unicast).out("tunnel", vx("H2>H1", 1001, unicast))
    c.event(ports=[gone("A1"), gone("A3")])
    c.rx("A2", broadcast).flood(1001, "H1 H3 H4")
    c.rx("A2", unicast).drop("unknown_unicast")
    c.event(ports=[gone("B1"), gone("V1")])
    c.rx("A2", broadcast).flood(1001, "H1 H3 H4")
    c.event(ports=[gone("K1")])
    c.rx("A2", broadcast).flood(1001, "H3 H4")
