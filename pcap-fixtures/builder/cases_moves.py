"""What a port may send or where it is changes while packets are on their way."""

from .case import case
from .cases_fip import ask
from .cloud import port
from .packets import arp_reply, echo, eth, ext, ipv4, tagged, udp, vx

U = udp(4000, 4001)


@case("F52-1", "floating IP of a VM that migrates", "H2", rules="F52 F42 FI E1 o2",
      about="While A1 is on its way from H1 to H2, H2 takes packets for its floating IP and sends them to H1, but H1 "
            "alone answers for it; from the moment A1 is bound to H2, H2 does, and says so.")
def _(c):
    inward = ext(eth("gX>fg2", ipv4("E>F101", U)))
    c.rx("physext", inward).drop("fip_not_local")
    c.event(ports=[port("A1", binding_profile={"migrating_to": "H2"})])
    c.rx("physext", ask("F101")).drop("not_ours")
    c.rx("physext", inward).out("tunnel", vx("H2>H1", 1001, eth("M2>A1", ipv4("E>A1", U, ttl=63))))
    c.event(ports=[port("A1", binding_host_id="H2")])
    c.announce("physext", "fg2", "F101")
    c.rx("physext", ask("F101")).answer(ext(eth("fg2>gX", arp_reply("fg2", "F101", "gX", "gX"))))
    c.rx("physext", inward).out("A1", eth("rA>A1", ipv4("E>A1", U, ttl=63)))
    c.rx("A1", eth("A1>rA", ipv4("A1>E", echo()))).out(
        "physext", ext(eth("fg2>gX", ipv4("F101>E", echo(), ttl=63))))


@case("I2-PS-3", "permitted EtherTypes", rules="I2-ps",
      about="EtherTypes on the cloud's list pass at a secured port, from its own MAC; others still do not.")
def _(c):
    heartbeat, other = (eth("A3>A1", (kind, bytes(46))) for kind in (0x8842, 0x88B5))
    c.rx("A3", heartbeat).drop("ethertype")
    c.event(settings={"permitted_ethertypes": ["0x8842", "4305"]})
    c.rx("A3", heartbeat).out("A1", heartbeat)
    c.rx("A3", other).drop("ethertype")
    c.rx("A3", eth("A2>A1", (0x8842, bytes(46)))).drop("mac_spoof")
    c.rx("A3", tagged(7, heartbeat)).drop("vlan_unexpected")
    flooded = eth("A3>*", (0x4305, bytes(46)))
    c.rx("A3", flooded).flood(1001, "A1 H2 H3 H4")
