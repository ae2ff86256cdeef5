#!/usr/bin/env python3
"""Write every fixture folder; with --check, fail if the committed ones differ.

    python3 pcap-fixtures/generate.py [--check]
"""

import argparse
import pathlib
import re
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

from builder.case import CASES  # noqa: E402
# The order of these imports is the order of the folders: add new modules at the end.
from builder import (  # noqa: E402, F401
    cases_spec, cases_rules, cases_router, cases_more, cases_proof, cases_limits, cases_vlan, cases_icmp,
    cases_fip, cases_neigh, cases_vlan_rules, cases_icmp_rules,
    cases_fip_rules, cases_neigh_rules, cases_ports,
    cases_mixed, cases_moves, cases_underlay)


def write(root):
    for case in CASES:
        folder = root / case.folder
        folder.mkdir()
        for name, data in case.files().items():
            (folder / name).write_bytes(data)


def folders(root):
    return {p.name: p for p in root.iterdir() if p.is_dir() and re.match(r"\d\d+-", p.name)}


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder and folder.is_dir() else {}


def check():
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        write(pathlib.Path(temporary))
        fresh, kept = folders(pathlib.Path(temporary)), folders(HERE)
        for name in sorted(fresh.keys() | kept.keys(), key=lambda n: (int(n.split("-")[0]), n)):
            a, b = contents(fresh.get(name)), contents(kept.get(name))
            differing = sorted(f for f in a.keys() | b.keys() if a.get(f) != b.get(f))
            print(f"{'differs' if differing else 'same':8}{name}"
                  + (": " + ", ".join(differing) if differing else ""))
            bad += bool(differing)
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        return check()
    for folder in folders(HERE).values():
        shutil.rmtree(folder)
    write(HERE)
    print(f"{len(CASES)} folders, {sum(len(c.frames) for c in CASES)} frames in")
    return 0


if __name__ == "__main__":
    sys.exit(main())
