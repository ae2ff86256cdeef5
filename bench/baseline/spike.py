#!/usr/bin/env python3
"""The routed path beside dpdk-testpmd 5tswap: same frames, same core, alternating, on-CPU time.

  spike.py [--reps 5] [--core 1] [--aux 0]

Needs root, dpdk-testpmd (Debian: dpdk-dev) and `cargo build --release -p bench`. testpmd reads one
capture of 1,000 flows of 64-byte frames; the spike reads gen_pcap.py's `route` frames, 1,000 flows.
Prints medians: ns and ticks of a 2.6 GHz TSC per packet. Hugepages are put back as they were.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import gen_pcap

a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
a.add_argument('--reps', type=int, default=5)
a.add_argument('--core', type=int, default=1)
a.add_argument('--aux', type=int, default=0)
o = a.parse_args()
tsc = float(next(l for l in open('/proc/cpuinfo') if l.startswith('bogomips')).split(':')[1]) / 2 * 1e6
spike = os.path.join(os.environ.get('CARGO_TARGET_DIR', os.path.join(here, '../../target')), 'release/spike')
floor = [sys.executable, os.path.join(here, 'io_floor.py'), '--src', 'pcap', '--size', '64', '--flows', '1000', '--secs', '1',
         '--reps', '1', '--core', str(o.core), '--aux', str(o.aux), '--hugepages', '512', '--mbufs', '65536']
rows = {}

def add(name, ns):
    rows.setdefault(name, []).append(ns)

with tempfile.TemporaryDirectory() as d:
    gen_pcap.generate('route', 1000, '64', d + '/route')
    for _ in range(o.reps):
        for mode in ('io', '5tswap'):
            out = subprocess.run(floor + ['--mode', mode], capture_output=True, text=True, check=True).stdout
            add('testpmd ' + mode, json.loads(out)['cpp_oncpu'] / tsc * 1e9)
        out = subprocess.run([spike, d, '--core', str(o.core), '--seconds', '0.2'], capture_output=True, text=True, check=True).stdout
        route, ring = (json.loads(line) for line in out.splitlines())
        for key, name in (('floor_ns', 'own I/O floor'), ('route_ns', 'route, whole'), ('over_floor_ns', 'route, over own floor')):
            add(name, route[key])
        add('hand-off, sender', ring['ns_per_frame_producer'])
        add('hand-off, receiver', ring['ns_per_frame_consumer'])
print('| on-CPU per packet, 64 B, 1,000 flows, median of %d | ns | least | ticks at 2.6 GHz |\n|---|---|---|---|' % o.reps)
for name, ns in rows.items():
    print('| %s | %.1f | %.1f | %.0f |' % (name, statistics.median(ns), min(ns), statistics.median(ns) * 2.6))
