"""Rules together: many kinds of frames in one burst, packets that wait side by side, ports that bring a floating IP."""

from .case import case
from .cases_fip import ask, sized
from .cases_fip_rules import comes, leaves
from .cases_neigh import GUEST, says
from .cases_neigh_rules import EVERYWHERE, FAR, by_tunnel, to
from .cloud import floatingip, network, port
from .packets import arp_reply, arp_request, cut, echo, echo_reply, eth, ext, ipv4, phy, udp, vx

U = udp(4000, 4001)


@case("BURST-2", "many kinds of frames at one time", rules="V0 E1 FO FO3 FI R2 R3 R8-icmp L1 L6 O2 O3 O4 ICMP",
      about="One timestamp at four ports: translated, cut, flooded, answered and told frames leave in input order.")
def _(c):
    c.patch(networks=[network("X", mtu=1400)])
    for n in range(25):
        flow = udp(5000 + n, 4001)
        c.rx("A1", eth("A1>rA", ipv4("A1>E", flow)), together=n > 0).out(*leaves(ipv4("F101>E", flow, ttl=63)))
        if n % 5 == 0:
            c.rx("A1", eth("A1>rA", ipv4("A1>E", sized(1450), ident=n, df=False)), together=True).fragments(
                *(leaves(part) for part in cut(ipv4("F101>E", sized(1450), ttl=63, ident=n, df=False), 1376)))
            c.rx("A1", eth("A1>rA", ipv4("A1>B1", flow, ttl=1)), together=True).error(
                "ttl", "rA>A1", "rA>A1", 11, 0)
        c.rx("A1", eth("A1>rA", ipv4("A1>V2", flow)), together=True).out(
            "physnet1", phy(eth("M1>V2", ipv4("A1>V2", flow, ttl=63))))
        c.rx("A1", eth("A1>rA", ipv4("A1>F102", flow)), together=True).out(
            "B1", eth("rB>B1", ipv4("F101>B1", flow, ttl=62)))
        c.rx("A1", eth("A1>rA", ipv4("A1>B2", flow)), together=True).out(
            "tunnel", vx("H1>H2", 1002, eth("M1>B2", ipv4("A1>B2", flow, ttl=63))))
    for n in range(25):
        flow = udp(6000 + n, 4001)
        if n % 5 == 0:
            c.rx("V1", eth("V1>*", ipv4("V1>255.255.255.255", flow)), together=True).flood(0, "physnet1")
        bridged = eth("V1>V2", ipv4("V1>V2", flow))
        c.rx("V1", bridged, together=True).out("physnet1", phy(bridged))
        whole = ipv4("V1>A2", sized(1500), ident=n, df=False)
        c.rx("V1", eth("V1>rV", whole), together=True).fragments(*(
            ("tunnel", vx("H1>H2", 1001, eth("M1>A2", part)))
            for part in cut(ipv4("V1>A2", sized(1500), ident=n, df=False, ttl=63), 1424)))
    for n in range(25):
        flow = udp(7000 + n, 4001)
        c.rx("physext", comes(ipv4("E>F101", flow)), together=True).out(
            "A1", eth("rA>A1", ipv4("E>A1", flow, ttl=63)))
        c.rx("physext", ask("F102"), together=True).answer(ext(eth("fg1>gX", arp_reply("fg1", "F102", "gX", "gX"))))
        c.rx("physext", comes(ipv4("E>fg1", echo(seq=n))), together=True).answer(
            ext(eth("fg1>gX", ipv4("fg1>E", echo_reply(seq=n)))))
        c.rx("physext", comes(ipv4("E>F103", flow)), together=True).drop("fip_not_local")
    for n in range(25):
        frame = eth("V2>V1", ipv4("V2>V1", udp(8000 + n, 4001)))
        c.rx("physnet1", phy(frame), together=True).out("V1", frame)
        routed = ipv4("A2>V1", udp(8000 + n, 4001), ttl=63)
        c.rx("physnet1", phy(eth("M2>V1", routed)), together=True).out("V1", eth("rV>V1", routed))


@case("R7-13", "a burst for two unknown addresses", rules="R7 R7-probe O2 O3",
      about="At one time four packets for one address and two for another: three and two wait, each question is put once.")
def _(c):
    near, far, known = "10.1.0.61", "10.1.0.62", []
    first = c.rx("B1", to(near, 1))
    asked = {near: c.question(first, 1001, near, EVERYWHERE)}
    waiting = [(first, near, 1)]
    for n, address in ((2, far), (3, near), (4, near), (5, near), (6, far)):
        packet = c.rx("B1", to(address, n), together=True)
        if address not in asked:
            asked[address] = c.question(packet, 1001, address, EVERYWHERE)
        elif n == 5:
            packet.drop("neigh_queue_full")
            continue
        else:
            packet.waits_for(asked[address])
        waiting.append((packet, address, n))
    c.wait(0.2)
    for address, mac in ((far, "fa:16:3e:0a:00:62"), (near, "fa:16:3e:0a:00:61")):
        c.rx("tunnel", vx("H2>H1", 1001, says(mac, address)), together=bool(known)).consumed()
        known.append(mac)
        asked[address].answered()
        for packet, waits, n in waiting:
            if waits == address:
                packet.release(by_tunnel("H2", mac, address, n))


@case("R7-14", "too big a packet that waited", rules="R7-probe R8-icmp R9",
      about="It is cut when it leaves; meanwhile it is one packet.")
def _(c):
    first = c.rx("V1", eth("V1>rV", ipv4(f"V1>{FAR}", sized(1500), df=False)))
    question = c.question(first, 1001, FAR, EVERYWHERE)
    c.rx("tunnel", vx("H2>H1", 1001, says(GUEST, FAR))).consumed()
    question.answered()
    first.release(*(("tunnel", vx("H1>H2", 1001, eth(f"M1>{GUEST}", part)))
                    for part in cut(ipv4(f"V1>{FAR}", sized(1500), df=False, ttl=63), 1424)))


@case("T4-5", "probe of another host", rules="T4 T3 D10",
      about="H2 asks by tunnel who has an address: local ports hear it as it is; for a router's address, or as an "
            "announcement, it is dropped.")
def _(c):
    for asked in (FAR, "A3"):
        probe = eth("M2>*", arp_request("M2", "0.0.0.0", asked))
        c.rx("tunnel", vx("H2>H1", 1001, probe)).flood(1001, "A1 A3", inner=probe)
    c.rx("A3", eth("A3>M2", arp_reply("A3", "A3", "M2", "0.0.0.0"))).out(
        "tunnel", vx("H1>H2", 1001, eth("A3>M2", arp_reply("A3", "A3", "M2", "0.0.0.0"))))
    c.rx("tunnel", vx("H2>H1", 1001, eth("M2>*", arp_request("M2", "0.0.0.0", "rA")))).drop("router_arp_from_fabric")
    c.rx("tunnel", vx("H2>H1", 1001, eth("M2>*", arp_request("M2", "A2", "A2")))).drop("dvr_unknown_dst")
    c.rx("tunnel", vx("H2>H1", 1001, eth("M2>*", arp_request("M2", "10.1.0.70", "A3")))).drop("dvr_unknown_dst")


@case("L5-VIP-4", "VIP on a VLAN network", rules="L5 L5-vip L6 V0 R7 O2 O4 D9",
      about="A candidate on another host announces itself by the physical network, then the local one does.")
def _(c):
    vip = "10.3.0.100"
    c.patch(ports=[port(name, allowed_address_pairs=[{"ip_address": vip, "mac_address": mac}])
                   for name, mac in (("V1", "fa:16:3e:0c:00:11"), ("V2", "fa:16:3e:0c:00:12"))])
    routed = eth("A1>rA", ipv4(f"A1>{vip}", U))
    c.rx("A1", routed).out("V1", eth("rV>V1", ipv4(f"A1>{vip}", U, ttl=63)))
    theirs, ours = (eth(f"{name}>*", arp_request(name, vip, vip)) for name in ("V2", "V1"))
    c.rx("physnet1", phy(theirs)).flood(0, "V1", inner=theirs)
    c.rx("A1", routed).out("physnet1", phy(eth("M1>V2", ipv4(f"A1>{vip}", U, ttl=63))))
    c.wait(0.2)
    c.rx("V1", ours).flood(0, "physnet1")
    c.rx("A1", routed).out("V1", eth("rV>V1", ipv4(f"A1>{vip}", U, ttl=63)))


@case("F42-4", "VM with a floating IP arrives and leaves", rules="F42 o2 FI E1 R4-2",
      about="B2 moves here and brings .103, which is announced; A1 moves away and takes .101 along in silence.")
def _(c):
    inward = {name: ext(eth("gX>fg1", ipv4(f"E>{name}", U))) for name in ("F101", "F103")}
    c.rx("physext", ask("F103")).drop("not_ours")
    c.rx("physext", inward["F101"]).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    c.event(ports=[port("B2", binding_host_id="H1")])
    c.announce("physext", "fg1", "F103")
    c.rx("physext", ask("F103")).answer(ext(eth("fg1>gX", arp_reply("fg1", "F103", "gX", "gX"))))
    c.rx("physext", inward["F103"]).out("B2", eth("rB>B2", ipv4("E>B2", U, ttl=63)))
    c.event(ports=[port("A1", binding_host_id="H2")])
    c.rx("physext", ask("F101")).drop("not_ours")
    c.rx("physext", inward["F101"]).drop("fip_not_local")


@case("F42-5", "floating IPs of others", rules="F42 o2 E1",
      about="A floating IP that comes to a VM of another host, or to an unbound port, is no business of this one.")
def _(c):
    def comes_to(name, number, address):
        return floatingip("fip-101", id=f"fip-{number}", floating_ip_address=f"203.0.113.{number}", port_id=name,
                          fixed_ip_address=address)
    c.patch(ports=[port("VIP", id="VIP2", name="VIP2", mac_address="fa:16:3e:0a:00:65",
                        fixed_ips=[{"subnet_id": "A-v4", "ip_address": "10.1.0.101"}])])
    c.rx("physext", ask("F112")).drop("not_ours")
    c.event(floatingips=[comes_to("A2", 112, "10.1.0.12"), comes_to("VIP2", 113, "10.1.0.101")])
    for address in ("F112", "F113"):
        c.rx("physext", ask(address)).drop("not_ours")
        c.rx("physext", comes(ipv4(f"E>{address}", U))).drop("fip_not_local")
