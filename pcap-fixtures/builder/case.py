"""A case: frames in, the fate of each, and the folder written from that."""

import json
import pathlib
import re
import struct

from .cloud import HOSTS, PORTS, VLANS
from .packets import arp_reply, arp_request, eth, icmp_error, reassemble, tagged, verify, vx

START = 1_700_000_000 * 10**9
STEP = 10**6  # nanoseconds between two frames
SECOND = 10**9
RUN_ON = 10 * SECOND  # how long the clock of a replay goes on behind the last frame or event

# What happens at one time, in this order: timers that are due, events, frames received, probes for what these
# asked for, packets whose next hop has become known.
TIMER, EVENT, FRAME, PROBE, RELEASED = range(5)

BEHAVIOUR = pathlib.Path(__file__).resolve().parents[2] / "docs" / "behaviour.md"
RULES = set(re.findall(r"^- \*\*(\S+)\*\* · ", BEHAVIOUR.read_text(encoding="utf-8"), re.M))

REASONS = set("""parse_short vnet_bad parse_l3 parse_csum eth_src_bad link_local_mcast vlan_unexpected
ethertype port_down reserved_src reserved_dst ra_guest mac_spoof ip_spoof arp_spoof nd_spoof dhcp_server
sg_egress sg_ingress ct_invalid ct_full vx_bad unknown_vtep vtep_not_member unknown_vni own_dvr_mac
local_mac_from_fabric dvr_wrong_vtep dvr_unknown_dst router_mac_from_fabric router_arp_from_fabric
unknown_unicast storm martian link_local src_route ttl no_route no_neigh mtu scope loop_limit meta_blocked
fip_not_local snat_no_state snat_ports not_active_role frag_bad frag_limit policed punt_full fw_deny
router_down no_receiver not_ours ecn_bad ipv6_unrouted neigh_queue_full underlay_unresolved tx_full no_frame
no_headroom handoff_full port_gone internal""".split())

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
        self.frames, self.made, self.questions = [], [], []
        self.now = self.event_at = None
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
        self.event_at = at
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
        self.now += round(seconds * SECOND) - STEP

    def rx(self, port, frame, together=False):
        """A frame arrives at `port`, `together` with the one before; the caller states its fate."""
        known = [*PORTS, *VLANS, "tunnel", *(p["id"] for p in self.patched["set"].get("ports", []))]
        assert port in known, port
        self.now = 0 if self.now is None else self.now + (0 if together else STEP)
        self.batches = 0
        self.frames.append(Arrival(self, self.now, port, frame))
        return self.frames[-1]

    # ---- what the host sends of itself ----

    def sends(self, at, phase, outputs, until=None):
        """One generated frame and its copies, unless `until` has come."""
        if until is None or at < until:
            self.made.append((at, phase, len(self.made), outputs))

    def announce(self, receivers, name, address=None, vid=None, rounds=3):
        """The host announces an address, three times in two forms, from the event just stated on (F42)."""
        address = address or name
        for n in range(rounds):
            at, phase = self.event_at + n * 2 * SECOND, EVENT if n == 0 else TIMER
            for arp in (arp_request(name, address, address), arp_reply(name, address, name, address)):
                self.sends(at, phase, self.copies(0, receivers, eth(f"{name}>*", arp), vid))

    def question(self, first, vni, address, receivers, vid=None):
        """Nobody is known to have `address`: `first` waits, a probe goes to `receivers` at 0, 1 and 2 s (R7-probe)."""
        own = "M" + self.host[1:]
        probe = eth(f"{own}>*", arp_request(own, "0.0.0.0", address))
        return Question(self, first, self.copies(vni, receivers, probe, vid))

    def outside_question(self, first, fg, address):
        """The same on the external network, in the name of the fg address."""
        return Question(self, first, self.copies(0, "physext", eth(f"{fg}>*", arp_request(fg, fg, address))))

    def copies(self, vni, receivers, frame, vid=None):
        """[(port, frame)] for local ports, hosts ("H2") and physical networks."""
        outputs, vteps = [], []
        for name in receivers.split():
            if name in HOSTS:
                outputs.append(("tunnel", vx(f"{self.host}>{name}", vni, frame)))
                vteps.append(HOSTS[name]["vtep"])
            elif name in VLANS:
                outputs.append((name, tagged(VLANS[name] if vid is None else vid, frame)))
            else:
                outputs.append((name, frame))
        assert vteps == sorted(vteps), "copies on tunnel go by VTEP address"
        return outputs

    # ---- what must hold ----

    def settle(self):
        assert self.frames, self.ident
        stated = [*PORTS.values(), *self.patched["set"].get("ports", [])]
        stated += [p for e in self.events for p in e.get("set", {}).get("ports", [])]
        here = {p["id"] for p in stated if p["binding_host_id"] == self.host}
        for q in self.questions:
            q.settle()
        for f in self.frames:
            assert f.fate, f"{self.folder}: a frame at {f.port} has no fate"
        end = max(self.now, self.event_at or 0)
        assert all(at <= end + RUN_ON for at, *_ in self.sent()), "sent when the replay is over"
        mapped = HOSTS[self.host]["bridge_mappings"]
        for _, name, frame in self.sent():
            assert name == "tunnel" or name in mapped or name in here, name
            if not self.broken_checksums:
                verify(frame, port=name)
        n = self.counters()
        arrivals = [(f.at, f.port) for f in self.frames]
        assert arrivals == sorted(arrivals), "frames of one time go by the order of the input files"
        assert n["received"] + n["generated"] + n["copied"] \
            == n["sent"] + n["dropped"] + n["consumed"] + n["held"], self.folder
        assert n["sent"] == sum(p["tx"] for p in n["ports"].values())
        assert n["received"] == sum(p["rx"] for p in n["ports"].values())
        assert n["dropped"] == sum(n["drops"].values())

    def sent(self):
        """[(time, port, frame)], in the order in which they leave."""
        all_ = [(at, phase, n, out) for n, f in enumerate(self.frames) for at, phase, out in f.sent]
        all_ += [(at, phase, n, out) for at, phase, n, outputs in self.made for out in outputs]
        return [(at, *out) for at, _, _, out in sorted(all_, key=lambda s: s[:3])]

    def counters(self):
        ports, drops, counters = {}, {}, {}
        for f in self.frames:
            ports.setdefault(f.port, {"rx": 0, "tx": 0})["rx"] += 1
            for reason, n in f.drops.items():
                drops[reason] = drops.get(reason, 0) + n
            for name in f.counted:
                counters[name] = counters.get(name, 0) + 1
        sent = self.sent()
        for _, name, _ in sent:
            ports.setdefault(name, {"rx": 0, "tx": 0})["tx"] += 1
        return {
            "received": len(self.frames),
            "generated": sum(f.generated for f in self.frames) + len(self.made),
            "copied": sum(f.copied for f in self.frames) + sum(len(outputs) - 1 for *_, outputs in self.made),
            "sent": len(sent),
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
        for at, name, frame in self.sent():
            captures.setdefault(f"out.{name}.pcap", []).append((at, frame))
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
        self.fate = self.waits = None
        self.sent, self.drops, self.counted = [], {}, []
        self.copied = self.generated = self.consumed_ = 0

    def _decide(self, fate):
        assert self.fate is None, f"two fates: {self.fate}, {fate}"
        self.fate = fate

    def _send(self, outputs, at=None, phase=FRAME):
        self.sent += [(self.at if at is None else at, phase, out) for out in outputs]

    def out(self, port, frame):
        """Forwarded as one frame."""
        self._decide("sent")
        self._send([(port, frame)])

    def drop(self, reason):
        self._decide("dropped")
        assert reason in REASONS, reason
        self.drops[reason] = 1

    def told(self, pair, addresses, kind, code, mtu=0, ttl=64):
        """An ICMP error about this frame, as it goes back by the port of this frame."""
        frame = eth(pair, icmp_error(addresses, kind, code, self.frame, mtu, ttl))
        return self.port, tagged(VLANS[self.port], frame) if self.port in VLANS else frame

    def error(self, reason, *what, **fields):
        """Dropped, and an ICMP error sent back: error("ttl", "rA>A1", "rA>A1", 11, 0)."""
        self.drop(reason)
        self.generated = 1
        self._send([self.told(*what, **fields)])

    def consumed(self):
        self._decide("consumed")
        self.consumed_ = 1

    def answer(self, frame):
        """Answered in its own buffer, out of the port it came from."""
        self._decide("answered")
        self.consumed_ = self.generated = 1
        self._send([(self.port, frame)])

    def no_such_port(self, *what, **fields):
        """UDP for the router itself: taken, and answered by port unreachable (R2-l4)."""
        self.answer(self.told(*what, 3, 3, **fields)[1])

    def fragments(self, *outputs):
        """Cut into (port, frame), in order of offset."""
        self._decide("cut")
        reassemble([frame for port, frame in outputs], tunnel=outputs[0][0] == "tunnel")
        self._send(outputs)
        self.copied = len(outputs) - 1

    def flood(self, vni, receivers, inner=None, unknown=False, vid=None):
        """Copies to local ports, hosts and physical networks: flood(1001, "A3 H2 H3 H4"), the frame unchanged."""
        self._decide("flooded")
        outputs = self.case.copies(vni, receivers, self.frame if inner is None else inner, vid)
        assert outputs and self.port not in (name for name, _ in outputs if name != "tunnel")
        self._send(outputs)
        self.copied = len(outputs) - 1
        if unknown:
            self.counted.append("flooded_unknown")

    # ---- waiting for a next hop ----

    def waits_for(self, question):
        """Held: `release` or `give_up` says what becomes of it."""
        assert self.waits is None and self.fate is None
        self.waits = question
        return self

    def release(self, *outputs):
        """Sent when its question was answered, as one frame or as fragments."""
        self._decide("released")
        self._send(outputs, self.waits.end, self.waits.phase)
        self.copied = len(outputs) - 1

    def give_up(self, pair=None, addresses=None, **fields):
        """Dropped 3 s after the first packet that asked; host unreachable goes back, unless too many errors did."""
        self.drop("no_neigh")
        assert self.waits.end is None
        if pair is not None:
            self.generated = 1
            self._send([self.told(pair, addresses, 3, 1, **fields)], self.waits.at + 3 * SECOND, TIMER)

    # ---- waiting for the way to another host ----

    def resolved(self, *outputs):
        """Held until the event just stated told the MAC of the way (O3-wait): sent by it."""
        self._decide("resolved")
        self._send(outputs, self.case.event_at, EVENT)
        self.copied = len(outputs) - 1

    def late_copy(self, *outputs):
        """As `resolved`, for copies of a flooded frame whose others left at once."""
        assert self.fate == "flooded"
        self._send(outputs, self.case.event_at, EVENT)
        self.copied += len(outputs)


class Question:
    """Who has an address? From the first packet that needs it until the answer."""

    def __init__(self, owner, first, probe):
        self.case, self.at, self.probe = owner, first.at, probe
        self.end = None
        owner.questions.append(self)
        first.waits_for(self)

    def answered(self):
        """By the frame just received."""
        self.end, self.phase = self.case.now, RELEASED

    def settled(self):
        """By the event just stated."""
        self.end, self.phase = self.case.event_at, RELEASED

    def settle(self):
        for n in range(3):
            self.case.sends(self.at + n * SECOND, TIMER if n else PROBE, self.probe, until=self.end)


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
