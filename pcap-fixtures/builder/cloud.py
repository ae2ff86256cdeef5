"""Names of fixture T: MAC addresses, IP addresses, hosts, and copies of its resources.

A name is what the specification uses: a Neutron port (A1, rA, sgA, DH), the DVR MAC of a
host (M1 = H1's), a physical or outside machine (P, E, gX). An address written out stands
for itself.
"""

import copy
import ipaddress
import json
import pathlib

T = json.loads((pathlib.Path(__file__).parent.parent / "T" / "cloud.json").read_text())

HOSTS = {h["name"]: h for h in T["hosts"]}
PORTS = {p["id"]: p for p in T["ports"]}
NETWORKS = {n["id"]: n for n in T["networks"]}
FIPS = {f["id"]: f for f in T["floatingips"]}
# The one VLAN that T has on each physical network.
VLANS = {n["provider_physical_network"]: n["provider_segmentation_id"]
         for n in T["networks"] if n["provider_network_type"] == "vlan"}

BROADCAST = "ff:ff:ff:ff:ff:ff"

MACS = {p["id"]: p["mac_address"] for p in T["ports"]}
MACS |= {"M" + h["name"][1:]: h["dvr_mac"] for h in T["hosts"]}
MACS |= {"*": BROADCAST, "gX": "02:ee:00:00:00:01", "P": "02:0c:00:00:02:00"}

ADDRESSES = {p["id"]: p["fixed_ips"][0]["ip_address"] for p in T["ports"]}
ADDRESSES |= {"E": "198.51.100.7", "P": "10.3.0.200", "gX": "203.0.113.1"}
# Floating IPs by their last number, `F101`; F110 and above belong to nobody yet.
ADDRESSES |= {f"F{n}": f"203.0.113.{n}" for n in range(101, 120)}


def mac(name):
    """`A1`, `M1`, `*` or a MAC written out -> six bytes."""
    raw = bytes.fromhex(MACS.get(name, name).replace(":", ""))
    assert len(raw) == 6, f"not a MAC: {name}"
    return raw


def ip(name):
    """`A1`, `E` or an address written out -> four or sixteen bytes."""
    return ipaddress.ip_address(ADDRESSES.get(name, name)).packed


def ip6(name):
    """As `ip`, but a port's name means its IPv6 address (`A1` -> fd00:a::11)."""
    for fixed in PORTS.get(name, {}).get("fixed_ips", []):
        if ":" in fixed["ip_address"]:
            return ip(fixed["ip_address"])
    return ip(name)


def link_local(name):
    """The EUI-64 link-local address of a MAC, as text."""
    m = mac(name)
    raw = bytes.fromhex("fe80000000000000") + bytes([m[0] ^ 2]) + m[1:3] + b"\xff\xfe" + m[3:]
    return str(ipaddress.ip_address(raw))


def _changed(table, name, fields):
    resource = copy.deepcopy(table[name])
    unknown = set(fields) - set(resource) - {"dvrd", "ipv4_address_scope", "binding_profile"}
    assert not unknown, f"{name} has no {unknown}"
    return resource | fields


def port(name, /, **fields):
    """Port `name` of T with some fields changed, whole, as `patch` and events want it."""
    return _changed(PORTS, name, fields)


def unsecured(name):
    """Port `name` with port security off."""
    return port(name, port_security_enabled=False, security_groups=[], allowed_address_pairs=[])


def gone(name):
    """Port `name` after its VM has left: bound nowhere, DOWN."""
    return port(name, binding_host_id="", status="DOWN")


def floatingip(name, /, **fields):
    return _changed(FIPS, name, fields)


def free(name):
    """Floating IP `name` of T, associated with nothing."""
    return floatingip(name, router_id=None, port_id=None, fixed_ip_address=None)


def host(name, /, **fields):
    return _changed(HOSTS, name, fields)


def network(name, /, **fields):
    return _changed(NETWORKS, name, fields)


def subnet(name, /, **fields):
    return _changed({s["id"]: s for s in T["subnets"]}, name, fields)


def router(name, /, **fields):
    return _changed({r["id"]: r for r in T["routers"]}, name, fields)
