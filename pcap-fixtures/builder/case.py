"""A case: frames in, the fate of each, and the folder written from that."""

import json
import pathlib
import re
import struct

from .cloud import HOSTS, PORTS
from .packets import verify, vx

START = 1_700_000_000 * 10**9
STEP = 10**6  # nanoseconds between two frames

BEHAVIOUR = pathlib.Path(__file__).resolve().parents[2] / "docs" / "behaviour.md"
RULES = set(re.findall(r"^- \*\*(\S+)\*\* · ", BEHAVIOUR.read_text(encoding="utf-8"), re.M))

REASONS = set("""parse_short vnet_bad parse_l3 parse_csum eth_src_bad link_local_mcast vlan_unexpected
ethertype port_down reserved_src reserved_dst ra_guest mac_spoof ip_spoof arp_spoof nd_spoof dhcp_server
sg_egress sg_ingress ct_invalid ct_full vx_bad unknown_vtep vtep_not_member unknown_vni own_dvr_mac
local_mac_from_fabric dvr_wrong_vtep dvr_unknown_dst router_mac_from_fabric router_arp_from_fabric
unknown_unicast storm martian link_local src_route ttl no_route no_neigh mtu scope loop_limit meta_blocked
fip_not_local snat_no_state snat_ports not_active_role frag_bad frag_limit policed punt_full fw_deny
router_down no_receiver not_ours ecn_bad ipv6_unrouted neigh_queue_full underlay_unresolved tx_full no_frame
no_headroom handoff_full port_gone not_built internal""".split())

CASES = []


def case(ident, words, host="H1", *, rules, about):
    """Register a case; the decorated function describes its frames."""
    unknown = set(rules.split()) - RULES
    assert not unknown, f"{ident}: {unknown} are no rules of docs/behaviour.md"

    def register(describe):
        c = Case(len(CASES) + 1, ident, words, host, rules.split(), about)
        describe(c)
        c.settle()
        CASES.append(c)
        return describe
    return register


class Case:
    def __init__(self, number, ident, words, host, rules, about):
        slug = re.sub(r"[^a-z0-9]+", "-", f"{ident} {words}".lower()).strip("-")
        self.folder = f"{number:02}-{slug}"
        self.ident, self.host, self.rules, self.about = ident, host, rules, about
        self.patched = {"set": {}, "delete": {}}
        self.events, self.refused = [], []
        self.frames = []
        self.now = None
        self.broken_checksums = False

    # ---- what happens ----

    def patch(self, *, delete=None, **resources):
        """Rows that differ from T before anything starts: patch(ports=[...])."""
        for kind, rows in resources.items():
            self.patched["set"].setdefault(kind, []).extend(rows)
        for kind, names in (delete or {}).items():
            self.patched["delete"].setdefault(kind, []).extend(names)

    def event(self, *, delete=None, refused=False, **resources):
        """One batch; batches between two frames are a tenth of a step apart."""
        if self.now is None:
            at = 0
        else:
            self.batches += 1
            at = self.now + self.batches * STEP // 10
        line = {"at": at / 10**9}
        if resources:
            line["set"] = resources
        if delete:
            line["delete"] = delete
        self.events.append(line)
        if refused:
            self.refused.append(len(self.events))

    def wait(self, seconds):
        """Let time pass after the last frame, on top of the usual step."""
        self.now += int(seconds * 10**9) - STEP

    def rx(self, port, frame, together=False):
        """A frame arrives at `port`, `together` with the one before; the caller states its fate."""
        assert port in PORTS or port == "tunnel" or port.startswith("phys"), port
        self.now = 0 if self.now is None else self.now + (0 if together else STEP)
        self.batches = 0
        self.frames.append(Arrival(self, self.now, port, frame))
        return self.frames[-1]

    # ---- what must hold ----

    def settle(self):
        assert self.frames, self.ident
        bound = {p["id"]: p["binding_host_id"] for p in PORTS.values()}
        bound |= {p["id"]: p["binding_host_id"] for p in self.patched["set"].get("ports", [])}
        for f in self.frames:
            assert f.fate, f"{self.folder}: a frame at {f.port} has no fate"
            tunnel = [vtep for p, vtep in f.order if p == "tunnel"]
            assert tunnel == sorted(tunnel), "copies on tunnel go by VTEP address"
            for name, frame in f.outputs:
                assert name == "tunnel" or bound[name] == self.host, name
                if not self.broken_checksums:
                    verify(frame, tunnel=name == "tunnel")
        n = self.counters()
        arrivals = [(f.at, f.port) for f in self.frames]
        assert arrivals == sorted(arrivals), "frames of one time go by the order of the input files"
        assert n["received"] + n["generated"] + n["copied"] \
            == n["sent"] + n["dropped"] + n["consumed"] + n["held"], self.folder
        assert n["sent"] == sum(p["tx"] for p in n["ports"].values())
        assert n["received"] == sum(p["rx"] for p in n["ports"].values())
        assert n["dropped"] == sum(n["drops"].values())

    def counters(self):
        ports, drops, counters = {}, {}, {}
        for f in self.frames:
            ports.setdefault(f.port, {"rx": 0, "tx": 0})["rx"] += 1
            for name, _ in f.outputs:
                ports.setdefault(name, {"rx": 0, "tx": 0})["tx"] += 1
            for reason, n in f.drops.items():
                drops[reason] = drops.get(reason, 0) + n
            for name in f.counted:
                counters[name] = counters.get(name, 0) + 1
        return {
            "received": len(self.frames),
            "generated": sum(f.generated for f in self.frames),
            "copied": sum(f.copied for f in self.frames),
            "sent": sum(len(f.outputs) for f in self.frames),
            "dropped": sum(drops.values()),
            "consumed": sum(f.consumed_ for f in self.frames),
            "held": 0,
            "drops": drops, "counters": counters, "ports": ports,
        }

    # ---- the folder ----

    def files(self):
        """File name -> bytes."""
        out = {"case.toml": self.case_toml().encode(), "counters.toml": self.counters_toml().encode()}
        captures = {}
        for f in self.frames:
            captures.setdefault(f"in.{f.port}.pcap", []).append((f.at, f.frame))
            for name, frame in f.outputs:
                captures.setdefault(f"out.{name}.pcap", []).append((f.at, frame))
        out |= {name: pcap(frames) for name, frames in captures.items()}
        if self.events:
            out["events.jsonl"] = "".join(json.dumps(e) + "\n" for e in self.events).encode()
        return out

    def case_toml(self):
        text = f"case = {toml(self.ident)}\nabout = {toml(self.about)}\n" \
               f"rules = {toml(self.rules)}\nhost = {toml(self.host)}\n"
        if self.patched["delete"]:
            text += "\n[patch.delete]\n" + table(self.patched["delete"])
        for kind, rows in self.patched["set"].items():
            for row in rows:
                text += f"\n[[patch.set.{kind}]]\n" + table(row)
        return text

    def counters_toml(self):
        n = self.counters()
        text = "".join(f"{k} = {v}\n" for k, v in n.items() if isinstance(v, int) and v)
        if self.refused:
            text += f"refused = {toml(self.refused)}\n"
        for kind in ("drops", "counters"):
            if n[kind]:
                text += f"\n[{kind}]\n" + table(dict(sorted(n[kind].items())))
        for name, counts in sorted(n["ports"].items()):
            text += f"\n[ports.{name}]\n" + table({k: v for k, v in counts.items() if v})
        return text


class Arrival:
    """One received frame and exactly one fate."""

    def __init__(self, owner, at, port, frame):
        self.case, self.at, self.port, self.frame = owner, at, port, frame
        self.fate = None
        self.outputs, self.order, self.drops, self.counted = [], [], {}, []
        self.copied = self.generated = self.consumed_ = 0

    def _decide(self, fate):
        assert self.fate is None, f"two fates: {self.fate}, {fate}"
        self.fate = fate

    def out(self, port, frame):
        """Forwarded as one frame."""
        self._decide("sent")
        self.outputs.append((port, frame))

    def drop(self, reason):
        self._decide("dropped")
        assert reason in REASONS, reason
        self.drops[reason] = 1

    def consumed(self):
        self._decide("consumed")
        self.consumed_ = 1

    def answer(self, frame):
        """Answered in its own buffer, out of the port it came from."""
        self._decide("answered")
        self.consumed_ = self.generated = 1
        self.outputs.append((self.port, frame))

    def flood(self, vni, receivers, inner=None, unknown=False, physnet=False):
        """Copies to local ports and hosts: flood(1001, "A3 H2 H3 H4"), the frame unchanged.

        `physnet` is one more receiver: the tenant physical network, dropped there (O4 comes later).
        """
        self._decide("flooded")
        frame = self.frame if inner is None else inner
        for name in receivers.split():
            if name in HOSTS:
                self.outputs.append(("tunnel", vx(f"{self.case.host}>{name}", vni, frame)))
                self.order.append(("tunnel", HOSTS[name]["vtep"]))
            else:
                assert name != self.port
                self.outputs.append((name, frame))
        if physnet:
            self.drops["not_built"] = 1
        self.copied = len(self.outputs) + physnet - 1
        assert self.copied >= 0
        if unknown:
            self.counted.append("flooded_unknown")


def pcap(frames):
    """Classic pcap: little endian, nanoseconds, Ethernet."""
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    for at, frame in frames:
        seconds, nanos = divmod(START + at, 10**9)
        data += struct.pack("<IIII", seconds, nanos, len(frame), len(frame)) + frame
    return data


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items() if v is not None) + " }"
    raise TypeError(value)


def table(fields):
    return "".join(f"{k} = {toml(v)}\n" for k, v in fields.items() if v is not None)
