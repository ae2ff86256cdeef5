#!/usr/bin/env python3
"""What the I/O framework alone costs on this CPU: dpdk-testpmd forwarding and doing nothing.

  io_floor.py                      all rows, one JSON line each
  io_floor.py --src null|pcap|ring --mode io|mac|macswap|5tswap|csum|rxonly --size 64
src null = net_null both sides (no packet memory is even written); pcap = net_pcap infinite_rx ->
net_null, the very source and sink ovs_dvr.py uses; ring = net_ring looped to itself on one core.
"""
import argparse, glob, json, os, re, statistics, subprocess, sys, tempfile, time, shutil
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gen_pcap

def cpu_time(pid):
    return max(int(open(t + '/schedstat').read().split()[0]) for t in glob.glob('/proc/%d/task/*' % pid)
               if open(t + '/comm').read().startswith(('rte-worker', 'lcore-worker')))

def run(o, src, mode, size, flows):
    tmp = tempfile.mkdtemp(prefix='dvrbench.')
    pages = None
    p = None
    try:
        vd = []
        if src == 'null':
            n = 1460 if size == 'imix' else int(size) - 4
            vd = ['net_null0,size=%d,copy=%d' % (n, o.copy)]
            topo = 'loop'
        elif src == 'ring':
            vd, topo = ['net_ring0'], 'loop'
        else:
            f = gen_pcap.generate('fipin', flows, size, tmp + '/in')       # one port, plain IPv4/UDP
            vd, topo = ['net_pcap0,rx_pcap=%s,infinite_rx=1' % f[0][1], 'net_null0,no-rx=1'], 'paired'
        if not o.no_huge: pages = Hugepages(o.hugepages).__enter__()
        cmd = ['dpdk-testpmd', '-l', '%d,%d' % (min(o.core, o.aux), max(o.core, o.aux)), '--main-lcore', str(o.aux), '--no-pci', '--no-telemetry']
        cmd += ['--no-huge', '-m', '1024'] if o.no_huge else ['--in-memory']
        for v in vd: cmd += ['--vdev', v]
        cmd += ['--', '--interactive', '--nb-cores=1', '--forward-mode=' + mode, '--port-topology=' + topo, '--burst=32',
                '--no-mlockall', '--record-core-cycles', '--total-num-mbufs=%d' % o.mbufs, '--no-flush-rx']
        p = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=open(tmp + '/out', 'w'), stderr=subprocess.STDOUT, text=True)
        def say(x): p.stdin.write(x + '\n'); p.stdin.flush()
        time.sleep(3)
        say('start tx_first 4' if src == 'ring' else 'start')
        time.sleep(1)
        res, on = [], []
        for _ in range(o.reps):
            say('clear fwd stats all'); c0, t0 = cpu_time(p.pid), time.monotonic()
            time.sleep(o.secs); say('show fwd stats all')
            c1, t1 = cpu_time(p.pid), time.monotonic()
            on.append(((c1 - c0) / 1e9, t1 - t0)); time.sleep(.4)
        say('stop'); say('quit'); p.wait(20)
        txt = open(tmp + '/out').read()
        # stdio is block-buffered into the file, so go by order: one block per 'show', the last from 'stop'
        acc = re.findall(r'Accumulated forward statistics.*?RX-packets:\s*(\d+).*?TX-packets:\s*(\d+)', txt, re.S)[:o.reps]
        cyc = re.findall(r'CPU cycles/packet=([\d.]+)', txt)[:o.reps] + ['0'] * o.reps
        for (n, _), c, (cpu, wall) in zip(acc, cyc, on):
            n = max(1, int(n))
            res.append((n / wall, float(c), cpu / wall, cpu * tsc_hz() / n))
        if not res: print(txt[-2000:], file=sys.stderr); return
        print(json.dumps({'bench': 'testpmd', 'io': src + ('+copy' if src == 'null' and o.copy else ''), 'case': mode, 'flows': flows if src == 'pcap' else 1, 'size': size,
            'mpps': round(statistics.median(r[0] for r in res) / 1e6, 2), 'mpps_all': [round(r[0] / 1e6, 2) for r in res],
            'cycles_per_packet': round(statistics.median(r[1] for r in res), 1), 'cpp_oncpu': round(statistics.median(r[3] for r in res), 1), 'cpp_oncpu_min': round(min(r[3] for r in res), 1), 'oncpu': round(statistics.median(r[2] for r in res), 3)}), flush=True)
    finally:
        if p and p.poll() is None: p.kill(); p.wait()
        if pages: pages.__exit__()
        shutil.rmtree(tmp, ignore_errors=True)

a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
a.add_argument('--src'); a.add_argument('--mode'); a.add_argument('--size', default='64'); a.add_argument('--flows', type=int, default=1000)
a.add_argument('--core', type=int, default=1); a.add_argument('--aux', type=int, default=0)
a.add_argument('--secs', type=float, default=2); a.add_argument('--reps', type=int, default=3)
a.add_argument('--hugepages', type=int, default=1024); a.add_argument('--no-huge', action='store_true')
a.add_argument('--mbufs', type=int, default=262144); a.add_argument('--copy', type=int, default=0)
o = a.parse_args()
if o.src: run(o, o.src, o.mode or 'io', o.size, o.flows)
else:
    for mode in ('io', 'macswap', '5tswap'):
        run(o, 'null', mode, '64', 1)
        run(o, 'pcap', mode, '64', 1000)
        run(o, 'pcap', mode, '64', 100000)
    run(o, 'pcap', 'io', '64', 1); run(o, 'pcap', 'io', '64', 10000)
    run(o, 'pcap', 'io', '512', 10000); run(o, 'pcap', 'io', 'imix', 10000)
    run(o, 'ring', 'io', '64', 1); run(o, 'ring', 'macswap', '64', 1)
