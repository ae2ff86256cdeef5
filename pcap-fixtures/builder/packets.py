"""Frames from names: eth("A1>rA", ipv4("A1>B1", udp(4000, 4001), ttl=63)).

Every length and checksum is computed; a malformed frame says which field it overrides.
"""

import struct

from .cloud import HOSTS, VLANS, ip, ip6, mac

IPV4, ARP, RARP, VLAN, IPV6, LLDP = 0x0800, 0x0806, 0x8035, 0x8100, 0x86DD, 0x88CC
ICMP, TCP, UDP, ICMPV6, VRRP, SCTP = 1, 6, 17, 58, 112, 132
NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
MF = 0x2000

DATA = b"dvrd fixture: these bytes travel untouched."


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo(src, dst, proto, length):
    if len(src) == 4:
        return src + dst + struct.pack(">BBH", 0, proto, length)
    return src + dst + struct.pack(">IHBB", length, 0, 0, proto)


# ---- layer 4: each gives (protocol, function of the IP addresses) ----

def udp(sport, dport, data=DATA, summed=True):
    """`summed` False: the checksum is 0, none was made."""
    def build(src, dst):
        if not summed:
            return struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data
        head = struct.pack(">HHH", sport, dport, 8 + len(data))
        total = checksum(pseudo(src, dst, UDP, 8 + len(data)) + head + b"\0\0" + data)
        return head + struct.pack(">H", total or 0xFFFF) + data
    return UDP, build


def tcp(sport, dport, flags="S", seq=1000, ack=0, data=b"", window=64240):
    def build(src, dst):
        bits = sum(1 << "FSRPA".index(f) for f in flags)
        head = struct.pack(">HHIIBBH", sport, dport, seq, ack, 5 << 4, bits, window)
        total = checksum(pseudo(src, dst, TCP, 20 + len(data)) + head + b"\0\0\0\0" + data)
        return head + struct.pack(">HH", total, 0) + data
    return TCP, build


def icmp(kind, code=0, rest=b"\0\0\0\0", data=DATA):
    def build(_src, _dst):
        body = rest + data
        return struct.pack(">BBH", kind, code, checksum(bytes([kind, code, 0, 0]) + body)) + body
    return ICMP, build


def echo(ident=7, seq=1, data=DATA):
    return icmp(8, rest=struct.pack(">HH", ident, seq), data=data)


def echo_reply(ident=7, seq=1, data=DATA):
    return icmp(0, rest=struct.pack(">HH", ident, seq), data=data)


# Types that tell of an error and are never told of.
ICMP_ERRORS = (3, 4, 5, 11, 12)
LARGEST_ERROR = 576


def quote(offender, most=LARGEST_ERROR - 28):
    """The IP packet of a frame as received, as much of it as an ICMP error holds."""
    packet = layer3_of(offender)[1]
    return packet[:min(int.from_bytes(packet[2:4], "big"), most)]


def icmp_error(pair, kind, code, offender, mtu=0, ttl=64):
    """The error a router sends about the frame `offender` (3.10)."""
    return ipv4(pair, icmp(kind, code, rest=struct.pack(">HH", 0, mtu), data=quote(offender)),
                ttl=ttl, tos=0xC0, ident=0, df=True)


def telling(pair, kind, code, about, ttl=64, most=None):
    """An ICMP error of some other machine, quoting `most` bytes of the packet `about`."""
    return ipv4(pair, icmp(kind, code, data=about[1][:most]), ttl=ttl, tos=0xC0, df=False)


def reset(pair, sport, dport, flags="RA", seq=0, ack=0, ttl=64):
    """The reset for a port nobody listens on: RFC 9293, 3.10.7.1."""
    return ipv4(pair, tcp(sport, dport, flags=flags, seq=seq, ack=ack, window=0), ttl=ttl, ident=0, df=True)


def vrrp(address, vrid=7, priority=100):
    def build(_src, _dst):
        head = bytes([0x21, vrid, priority, 1, 0, 1])
        tail = ip(address) + bytes(8)
        return head + struct.pack(">H", checksum(head + b"\0\0" + tail)) + tail
    return VRRP, build


def raw(proto, data):
    """A payload given as bytes: fragments, and protocols nobody looks into."""
    return proto, lambda _src, _dst: data


def icmp6(kind, body, code=0):
    def build(src, dst):
        total = checksum(pseudo(src, dst, ICMPV6, 4 + len(body)) + bytes([kind, code, 0, 0]) + body)
        return struct.pack(">BBH", kind, code, total) + body
    return ICMPV6, build


def echo6(ident=7, seq=1):
    return icmp6(128, struct.pack(">HH", ident, seq) + DATA)


def nd_option(kind, name):
    """Source (1) or target (2) link-layer address."""
    return bytes([kind, 1]) + mac(name)


def router_solicitation(slla):
    return icmp6(133, bytes(4) + nd_option(1, slla))


def router_advertisement(slla):
    return icmp6(134, struct.pack(">BBHII", 64, 0, 1800, 0, 0) + nd_option(1, slla))


def neighbour_solicitation(target, slla):
    return icmp6(135, bytes(4) + ip6(target) + nd_option(1, slla))


def neighbour_advertisement(target, tlla, flags=0x60):
    return icmp6(136, bytes([flags, 0, 0, 0]) + ip6(target) + nd_option(2, tlla))


# ---- layer 3: each gives (ethertype, bytes) ----

def ipv4(pair, layer4, ttl=64, tos=0, ident=0x1234, df=True, frag=0, options=b"",
         version=4, ihl=None, total=None, bad_checksum=False):
    """`pair` is "A1>B1". `frag` holds MF and the fragment offset in 8-byte units."""
    src, dst = (ip(n) for n in pair.split(">"))
    proto, build = layer4
    payload = build(src, dst)
    assert len(options) % 4 == 0
    size = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH",
        version << 4 | (size // 4 if ihl is None else ihl), tos,
        size + len(payload) if total is None else total,
        ident, (0x4000 if df else 0) | frag, ttl, proto, 0) + src + dst + options
    value = checksum(head)
    if bad_checksum:
        value ^= 0x00FF
    return IPV4, head[:10] + struct.pack(">H", value) + head[12:] + payload


def cut(layer3, *sizes, later_options=b""):
    """An IPv4 packet cut by hand: fragments with payloads of these sizes, and one with the rest (RFC 791, 3.2).

    `later_options` are the options of all but the first.
    """
    _, packet = layer3
    size = (packet[0] & 15) * 4
    flags = int.from_bytes(packet[6:8], "big")
    payload, fragments, at = packet[size:int.from_bytes(packet[2:4], "big")], [], 0
    for length in (*sizes, len(payload) - sum(sizes)):
        last = at + length == len(payload)
        assert length > 0 and (last or length % 8 == 0)
        options = packet[20:size] if at == 0 else later_options
        head = bytes([0x40 | 5 + len(options) // 4]) + packet[1:2] \
            + struct.pack(">HHH", 20 + len(options) + length, int.from_bytes(packet[4:6], "big"),
                          flags + at // 8 | (0 if last else MF)) + packet[8:10] + b"\0\0" + packet[12:20] + options
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        fragments.append((IPV4, head + payload[at:at + length]))
        at += length
    return fragments


def ipv6(pair, layer4, hop_limit=64, traffic_class=0, version=6, length=None, extensions=()):
    """`extensions` is a list of (header number, bytes after its next-header byte)."""
    src, dst = (ip6(n) for n in pair.split(">"))
    proto, build = layer4
    body, first = build(src, dst), proto
    for number, rest in reversed(extensions):
        body, first = bytes([first]) + rest + body, number
    head = struct.pack(">IHBB", version << 28 | traffic_class << 20,
                       len(body) if length is None else length, first, hop_limit)
    return IPV6, head + src + dst + body


def arp(op, sha, spa, tha, tpa, htype=1, ptype=IPV4, hlen=6, plen=4, ethertype=ARP):
    return ethertype, struct.pack(">HHBBH", htype, ptype, hlen, plen, op) \
        + mac(sha) + ip(spa) + mac(tha) + ip(tpa)


NOBODY = "00:00:00:00:00:00"


def arp_request(sha, spa, tpa, **fields):
    return arp(1, sha, spa, NOBODY, tpa, **fields)


def arp_reply(sha, spa, tha, tpa, **fields):
    return arp(2, sha, spa, tha, tpa, **fields)


# ---- layer 2 ----

def eth(pair, layer3, tags=(), pad=0):
    """`pair` is "A1>A2" as in the specification; `pad` zero-fills up to that many bytes."""
    src, dst = (mac(n) for n in pair.split(">"))
    ethertype, payload = layer3
    frame = dst + src + b"".join(struct.pack(">HH", VLAN, t) for t in tags) \
        + struct.pack(">H", ethertype) + payload
    return frame + bytes(max(0, pad - len(frame)))


def tagged(vid, frame):
    """The frame with an 802.1Q tag in front; vid 0: as it is, as on a flat network."""
    return frame if vid == 0 else frame[:12] + struct.pack(">HH", VLAN, vid) + frame[12:]


def phy(frame):
    """On physnet1, as network V carries it."""
    return tagged(VLANS["physnet1"], frame)


def ext(frame):
    """On physext, as the external network X carries it."""
    return tagged(VLANS["physext"], frame)


def layer3_of(frame):
    """(ethertype, payload) behind any tags."""
    at = 12
    while frame[at:at + 2] == struct.pack(">H", VLAN):
        at += 4
    return int.from_bytes(frame[at:at + 2], "big"), frame[at + 2:]


# ---- VXLAN ----

U64 = (1 << 64) - 1


def source_port(inner):
    """3.10: the outer source port of an inner frame, the same on every host."""
    ethertype = int.from_bytes(inner[12:14], "big")
    if ethertype == IPV4:
        a = int.from_bytes(inner[26:34], "big")
        proto, size = inner[23], (inner[14] & 15) * 4
        whole = int.from_bytes(inner[20:22], "big") & 0x3FFF == 0
        ports = _ports(proto, inner[14 + size:]) if whole else 0
        b = proto << 32 | ports
    elif ethertype == IPV6:
        words = struct.unpack(">4Q", inner[22:54])
        a = words[0] ^ words[1] ^ words[2] ^ words[3]
        b = inner[20] << 32 | _ports(inner[20], inner[54:])
    else:
        a = int.from_bytes(inner[0:6], "big")
        b = int.from_bytes(inner[6:12], "big") << 16 | ethertype
    rotated = (b << 24 | b >> 40) & U64
    h = (a ^ rotated) * 0x9E3779B97F4A7C15 & U64
    h ^= h >> 32
    h = h * 0xD6E8FEB86659FD93 & U64
    return 49152 + (h >> 50)


def _ports(proto, layer4):
    return int.from_bytes(layer4[:4], "big") if proto in (TCP, UDP, SCTP) else 0


def ecn(frame):
    """The ECN field of an Ethernet frame; Not-ECT when it is not IP."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == IPV4:
        return frame[15] & 3
    if ethertype == IPV6:
        return frame[15] >> 4 & 3
    return NOT_ECT


def vx(hosts, vni, inner, tos=None, src_ip=None, dst_ip=None, dst_mac=None, flags=0x08,
       reserved=(b"\0\0\0", b"\0"), dport=4789, frag=None, udp_sum="zero", total=None):
    """vx("H1>H2", 1001, frame): one VXLAN packet between the VTEPs of two hosts (O3, 3.10)."""
    here, there = (HOSTS[h] for h in hosts.split(">"))
    src, dst = ip(src_ip or here["vtep"]), ip(dst_ip or there["vtep"])
    vxlan = bytes([flags]) + reserved[0] + vni.to_bytes(3, "big") + reserved[1] + inner
    # Whoever sends less than an Ethernet header has nothing to hash.
    sport = source_port(inner) if len(inner) >= 14 else 49152
    head = struct.pack(">HHH", sport, dport, 8 + len(vxlan))
    good = checksum(pseudo(src, dst, UDP, 8 + len(vxlan)) + head + b"\0\0" + vxlan) or 0xFFFF
    value = {"zero": 0, "good": good, "bad": good ^ 0x5555 or 0x5555}[udp_sum]
    outer = ipv4(f"{src_ip or here['vtep']}>{dst_ip or there['vtep']}",
                 raw(UDP, head + struct.pack(">H", value) + vxlan),
                 ttl=64, tos=ecn(inner) if tos is None else tos, ident=0,
                 df=frag is None, frag=frag or 0, total=total)
    return eth(f"{here['vtep_mac']}>{dst_mac or there['vtep_mac']}", outer)


# ---- a second look at what was built ----

def verify(frame, port=None):
    """Assert every length and checksum of a well-formed frame, by reading it back."""
    if port in VLANS:
        assert frame[12:14] != struct.pack(">H", VLAN) or frame[16:18] != struct.pack(">H", VLAN), "two tags"
    else:
        assert frame[12:14] != struct.pack(">H", VLAN), "a tag where none belongs"
    ethertype, body = layer3_of(frame)
    if ethertype == ARP or ethertype == RARP:
        assert len(body) >= 28 and body[:6] == bytes.fromhex("000108000604")
        return
    if ethertype == IPV4:
        size = (body[0] & 15) * 4
        total, fragment = (int.from_bytes(body[i:i + 2], "big") for i in (2, 6))
        assert body[0] >> 4 == 4 and size >= 20 and size <= total <= len(body)
        assert checksum(body[:size]) == 0, "IPv4 header checksum"
        if fragment & 0x3FFF:
            assert not fragment & MF or (total - size) % 8 == 0
            return
        src, dst, proto, layer4 = body[12:16], body[16:20], body[9], body[size:total]
    elif ethertype == IPV6:
        assert body[0] >> 4 == 6 and 40 + int.from_bytes(body[4:6], "big") <= len(body)
        src, dst, proto = body[8:24], body[24:40], body[6]
        layer4 = body[40:40 + int.from_bytes(body[4:6], "big")]
    else:
        return
    verify_layer4(src, dst, proto, layer4)
    if port == "tunnel":
        assert proto == UDP and layer4[2:4] == struct.pack(">H", 4789) and layer4[8] == 8
        assert int.from_bytes(layer4[4:6], "big") == len(layer4)
        assert len(frame) - 14 <= 1500, "larger than the underlay MTU"
        verify(layer4[16:])


def verify_layer4(src, dst, proto, layer4):
    if proto == ICMP:
        assert checksum(layer4) == 0, "ICMP checksum"
        if layer4[0] in ICMP_ERRORS and len(layer4) >= 28:
            verify_quote(layer4[8:])
    elif proto in (TCP, ICMPV6) or proto == UDP and layer4[6:8] != b"\0\0":
        assert checksum(pseudo(src, dst, proto, len(layer4)) + layer4) == 0, "L4 checksum"


def verify_quote(packet):
    """The packet inside an ICMP error; its layer 4 only if all of it is there."""
    size, total, fragment = (packet[0] & 15) * 4, *(int.from_bytes(packet[i:i + 2], "big") for i in (2, 6))
    assert len(packet) <= LARGEST_ERROR - 28 and checksum(packet[:size]) == 0, "quoted IPv4 header checksum"
    if len(packet) == total and not fragment & 0x3FFF:
        verify_layer4(packet[12:16], packet[16:20], packet[9], packet[size:])


def reassemble(frames, tunnel=False):
    """Put the fragments of one packet together and check what comes of it; those of a fragment only for gaps."""
    packets = [layer3_of(f[50:] if tunnel else f)[1] for f in frames]
    sizes = [(p[0] & 15) * 4 for p in packets]
    fields = [int.from_bytes(p[6:8], "big") for p in packets]
    assert len({(p[4:6], p[8], p[9], p[12:20]) for p in packets}) == 1, "not of one packet"
    at, payload = (fields[0] & 0x1FFF) * 8, b""
    for p, size, field in zip(packets, sizes, fields):
        assert (field & 0x1FFF) * 8 == at + len(payload) and not field & 0x4000, "a gap, or DF"
        payload += p[size:int.from_bytes(p[2:4], "big")]
    assert all(f & MF for f in fields[:-1])
    if at == 0 and not fields[-1] & MF:
        verify_layer4(packets[0][12:16], packets[0][16:20], packets[0][9], payload)
