#!/usr/bin/env python3
"""Ours, OVS-DPDK and dpdk-testpmd on one core, in turn, A B C A B C; called by bench/compare.sh.

Every peer is started once per case and stopped (SIGSTOP) while it is not its turn: both poll for ever, and only one may
have the core. Ours is a fresh `pktbench` each time, built for baseline x86-64 and for this machine. OVS is measured with
its exact match cache (EMC) and without; the better one is shown. All by CPU time of the thread that forwards, in ticks
of the TSC; a window in which it had under 97 % of its core is taken again. Prints Markdown, writes JSON.
"""
import argparse, glob, json, os, re, shutil, signal, statistics, subprocess, sys, tempfile, time, tomllib
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import gen_pcap, ovs_dvr
from hugepages import Hugepages
from ovs_dvr import thread_sched, tsc_hz, tx_packets

# Our case, and what OVS does for it: `encap` is given frames that a router has routed, which ours never sees.
CASES = [('l2out', ['l2out']), ('l2in', ['l2in']), ('decap', ['decap']), ('route', ['route', 'encap']),
         ('fipout', ['fipout', 'fipct']), ('fipin', ['fipin', 'fipctin'])]
# What Neutron does today with a routed frame and with floating IPs: our case, and who does it.
TODAY = [('route', 'ML2/OVS, userspace datapath, both its busy threads; the router in a kernel namespace behind taps'), ('route', 'kernel'),
         ('fipout', 'kernel'), ('fipin', 'kernel')]
TODAY_FLOWS, TODAY_REPS = 1024, 3
WORDS = {'route': 'the router as flows', 'encap': 'frame already routed', 'fipout': 'set-field', 'fipin': 'set-field',
         'fipct': 'ct(commit,nat)', 'fipctin': 'ct(commit,nat)'}
PCAP = {'fipct': 'fipout', 'fipctin': 'fipin'}
SINK = {'l2out': 'phy0', 'qrtap': 'phy0', 'route': 'phy0', 'encap': 'phy0', 'fipout': 'ext0', 'fipct': 'ext0'}
ON_CPU, TRIES = .97, 3
STORE = os.path.join(here, '..', 'RESULTS.md')
BEGIN, END = '<!-- table: written by bench/compare.sh --write -->', '<!-- end of table -->'

class Peer:
    """a process that polls: runs only inside `turn`"""
    def go(self): os.kill(self.pid, signal.SIGCONT)
    def halt(self): os.kill(self.pid, signal.SIGSTOP)

    def turn(self, measure):
        """measures until the thread had its core; the best of the tries"""
        tries = []
        self.go()
        try:
            for _ in range(TRIES):
                tries.append(measure())
                if tries[-1]['oncpu'] >= ON_CPU: break
        finally: self.halt()
        return max(tries, key=lambda r: r['oncpu'])

class OvsPeer(Peer):
    def __init__(self, case, flows, files, o):
        self.o, self.case, self.flows = o, case, flows
        args = ['--case', case, '--core', str(o.core), '--aux', str(o.aux), '--hugepages', '0', '--size', o.size]
        self.ovs = ovs_dvr.Ovs(ovs_dvr.options(args))
        try:
            self.ovs.start()
            self.pid = self.ovs.vs.pid
            self.ovs.build(case, files)
            time.sleep(o.warm)
            self.halt()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        vs = getattr(self.ovs, 'vs', None)
        if vs and vs.poll() is None: os.kill(vs.pid, signal.SIGCONT)
        self.ovs.stop()

    def window(self, emc):
        s, o = self.ovs, self.o
        def measure():
            s.vsctl('set', 'Open_vSwitch', '.', 'other_config:emc-insert-inv-prob=%d' % (100 if emc else 0))
            time.sleep(.3)                    # taken over, and the cache is warm again
            s.ctl('dpif-netdev/pmd-stats-clear')
            sink = SINK.get(self.case)
            tx0, (r0, _), t0 = sink and tx_packets(s, sink), thread_sched(self.pid, 'pmd'), time.monotonic()
            p0 = process_ns(self.pid)
            time.sleep(o.secs)
            d, (r1, _), t1 = s.stats(), thread_sched(self.pid, 'pmd'), time.monotonic()
            n = max(1, d.get('packets received', 0))
            if self.case == 'qrtap':                # the source gives more than taps take, and another thread reads them
                n, whole = max(1, tx_packets(s, sink) - tx0), process_ns(self.pid) - p0
                return {'ticks': whole / 1e9 * tsc_hz() / n, 'forwarder': (r1 - r0) / 1e9 * tsc_hz() / n, 'oncpu': (r1 - r0) / 1e9 / (t1 - t0)}
            if sink and tx_packets(s, sink) - tx0 < .9 * n: raise SystemExit('OVS %s loses frames' % self.case)
            return {'ticks': (r1 - r0) / 1e9 * tsc_hz() / n, 'oncpu': (r1 - r0) / 1e9 / (t1 - t0), 'mpps': n / (t1 - t0) / 1e6,
                    'emc_hit': d.get('emc hits', 0) / n, 'miss': d.get('miss with success upcall', 0) / n}
        return self.turn(measure)

def process_ns(pid):
    """CPU time of all its threads"""
    return sum(int(open(t + '/schedstat').read().split()[0]) for t in glob.glob('/proc/%d/task/*' % pid))

class Testpmd(Peer):
    """net_pcap infinite_rx to net_null, doing nothing; packets are read out of its output when it has ended"""
    def __init__(self, mode, flows, pcap, o):
        self.mode, self.flows, self.o, self.times = mode, flows, o, []
        self.out = tempfile.NamedTemporaryFile('w+', prefix='testpmd.')
        lcores = '%d,%d' % (min(o.core, o.aux), max(o.core, o.aux))
        self.p = subprocess.Popen(['dpdk-testpmd', '-l', lcores, '--main-lcore', str(o.aux), '--no-pci', '--no-telemetry', '--in-memory',
            '--vdev', 'net_pcap0,rx_pcap=%s,infinite_rx=1' % pcap, '--vdev', 'net_null0,no-rx=1', '--', '--interactive', '--nb-cores=1',
            '--forward-mode=' + mode, '--port-topology=paired', '--burst=32', '--no-mlockall', '--record-core-cycles',
            '--total-num-mbufs=%d' % (flows + 65536), '--no-flush-rx'],
            stdin=subprocess.PIPE, stdout=self.out, stderr=subprocess.STDOUT, text=True)
        self.pid = self.p.pid
        try:
            time.sleep(3)
            if self.p.poll() is not None: raise SystemExit('testpmd does not start\n' + open(self.out.name).read()[-2000:])
            self.say('start')
            time.sleep(o.warm)
            self.halt()
        except BaseException:
            self.p.kill()
            self.p.wait()
            raise

    def say(self, words):
        self.p.stdin.write(words + '\n')
        self.p.stdin.flush()

    def cpu(self):
        tasks = [t for t in glob.glob('/proc/%d/task/*' % self.pid) if open(t + '/comm').read().startswith(('rte-worker', 'lcore-worker'))]
        return max(int(open(t + '/schedstat').read().split()[0]) for t in tasks)

    def window(self):
        def measure():
            time.sleep(.2)
            self.say('clear fwd stats all')
            c0, t0 = self.cpu(), time.monotonic()
            time.sleep(self.o.secs)
            self.say('show fwd stats all')
            c1, t1 = self.cpu(), time.monotonic()
            time.sleep(.2)
            self.times.append({'cpu': (c1 - c0) / 1e9, 'wall': t1 - t0, 'oncpu': (c1 - c0) / 1e9 / (t1 - t0)})
            return self.times[-1]
        self.times[self.times.index(self.turn(measure))]['taken'] = True

    def stop(self):
        """the windows that count"""
        if self.p.poll() is None:
            self.go()
            try:
                self.say('stop')
                self.say('quit')
                self.p.wait(20)
            except (subprocess.TimeoutExpired, BrokenPipeError):
                self.p.kill()
                self.p.wait()
        self.out.seek(0)
        text = self.out.read()
        self.out.close()
        packets = re.findall(r'Accumulated forward statistics.*?RX-packets:\s*(\d+)', text, re.S)
        rows = []
        for n, t in zip(packets, self.times):
            if t.get('taken'): rows.append({'ticks': t['cpu'] * tsc_hz() / max(1, int(n)), 'oncpu': t['oncpu'], 'mpps': int(n) / t['wall'] / 1e6})
        if self.times and not rows: raise SystemExit('testpmd %s: no result\n%s' % (self.mode, text[-2000:]))
        return rows

def ours(o, build, case, flows, folder):
    cmd = [os.path.join(build, 'release', 'pktbench'), '--case', case, '--flows', str(flows), '--size', o.size, '--dir', folder,
           '--core', str(o.core), '--aux', str(o.aux), '--reps', '1', '--secs', str(o.secs), '--warm', '0.3']
    r = subprocess.run(cmd, capture_output=True, text=True)
    if r.returncode: raise SystemExit(r.stderr)
    return json.loads(r.stdout)

def median(rows, key): return statistics.median(r[key] for r in rows)

def compare(o):
    """{(who, case, flows): [window, ...]}"""
    seen, tmp, pmds, peers = {}, tempfile.mkdtemp(prefix='dvrbench.'), [], []
    add = lambda *key, row: seen.setdefault(key, []).append(row)
    try:
        for flows in o.flows:
            floor_pcap = gen_pcap.generate('fipin', flows, o.size, tmp + '/floor')[0][1]
            pmds = []
            for mode in ('io', '5tswap'): pmds.append(Testpmd(mode, flows, floor_pcap, o))
            for at, (case, theirs) in enumerate(c for c in CASES if c[0] in o.case):
                start, folder, peers = time.monotonic(), '%s/%s-%d' % (tmp, case, flows), []
                os.mkdir(folder)
                for name in dict.fromkeys([case] + theirs):
                    gen = PCAP.get(name, name)
                    files = [(p, f) for p, f, _ in gen_pcap.generate(gen, flows, o.size, '%s/%s' % (folder, gen))]
                    if name in theirs: peers.append(OvsPeer(name, flows, files, o))
                for _ in range(o.reps):
                    for who, build in (('ours', o.baseline), ('native', o.native)):
                        add(who, case, flows, row=ours(o, build, case, flows, folder))
                    for peer in peers:
                        for emc in (True, False): add('ovs' if emc else 'ovs no EMC', peer.case, flows, row=peer.window(emc))
                    for pmd in pmds if at == 0 else pmds[:1]: pmd.window()
                for peer in peers: peer.stop()
                peers = []
                shutil.rmtree(folder)
                print('%s, %d flows: %.0f s' % (case, flows, time.monotonic() - start), file=sys.stderr)
            for pmd in pmds: seen['testpmd', pmd.mode, flows] = pmd.stop()
            pmds = []
    finally:
        for it in peers + pmds:               # after an error: all of them, whatever one says
            try: it.stop()
            except (Exception, SystemExit) as e: print(e, file=sys.stderr)
        shutil.rmtree(tmp, ignore_errors=True)
    return seen

def today(o):
    """{(who, case): [window, ...]}: ours beside what Neutron does today, in turn"""
    seen, tmp, peer = {}, tempfile.mkdtemp(prefix='dvrbench.'), None
    cases = list(dict.fromkeys(case for case, _ in TODAY))
    kernel = [sys.executable, here + '/kernel_dvr.py', '--flows', str(TODAY_FLOWS), '--size', o.size, '--core', str(o.core), '--reps', '1', '--secs', str(o.secs)]
    for case in ['drop'] + cases: kernel += ['--case', case]
    try:
        files = {case: [(p, f) for p, f, _ in gen_pcap.generate(case, TODAY_FLOWS, o.size, '%s/%s' % (tmp, case))] for case in cases}
        peer = OvsPeer('qrtap', TODAY_FLOWS, files['route'][:1], o)
        for _ in range(min(o.reps, TODAY_REPS)):
            for case in cases: seen.setdefault(('ours', case), []).append(ours(o, o.baseline, case, TODAY_FLOWS, tmp))
            seen.setdefault(('taps', 'route'), []).append(peer.window(True))
            r = subprocess.run(kernel, capture_output=True, text=True)
            if r.returncode: raise SystemExit(r.stderr)
            for row in map(json.loads, r.stdout.splitlines()): seen.setdefault(('kernel', row['case']), []).append({'ticks': row['cpp_oncpu'], 'oncpu': row['oncpu']})
    finally:
        if peer: peer.stop()
        shutil.rmtree(tmp, ignore_errors=True)
    rows = []
    for case, what in TODAY:
        theirs, floor = seen['kernel' if what == 'kernel' else 'taps', case], median(seen['kernel', 'drop'], 'ticks') if what == 'kernel' else 0
        ticks, over = median(theirs, 'ticks'), median(seen['ours', case], 'over_floor')
        rows.append({'case': case, 'flows': TODAY_FLOWS, 'size': o.size, 'peer': what, 'peer_ticks': ticks, 'peer_floor': floor, 'over_floor': over,
                     'ratio': (ticks - floor) / over, 'oncpu': min(r['oncpu'] for r in theirs)})
    return rows

def instructions():
    path = os.path.join(here, '..', 'instructions.toml')
    return tomllib.load(open(path, 'rb'))['instructions_per_packet'] if os.path.exists(path) else {}

def judge(o, seen):
    """a row for each case, number of flows, and peer"""
    rows, count = [], instructions()
    for flows in o.flows:
        io = median(seen['testpmd', 'io', flows], 'ticks')
        for case, theirs in (c for c in CASES if c[0] in o.case):
            base, native = seen['ours', case, flows], seen['native', case, flows]
            for name in theirs:
                emc = min(('ovs', 'ovs no EMC'), key=lambda who: median(seen[who, name, flows], 'ticks'))
                ovs, over = seen[emc, name, flows], median(base, 'over_floor')
                ticks = median(ovs, 'ticks')
                rows.append({'case': case, 'flows': flows, 'size': o.size,
                    'ticks': median(base, 'cpp_oncpu'), 'floor': median(base, 'floor'), 'over_floor': over, 'mpps': median(base, 'mpps'),
                    'least_over_floor': min(r['over_floor'] for r in base), 'most_over_floor': max(r['over_floor'] for r in base),
                    'native_ticks': median(native, 'cpp_oncpu'), 'native_over_floor': median(native, 'over_floor'),
                    'instructions': count.get(case), 'p999_burst_ns': median(base, 'burst_p999_ns'),
                    'peer': 'OVS-DPDK ' + name, 'peer_emc': emc == 'ovs', 'peer_ticks': ticks, 'peer_mpps': median(ovs, 'mpps'), 'peer_floor': io,
                    'peer_over_floor': ticks - io, 'ratio': (ticks - io) / over,
                    'oncpu': min(r['oncpu'] for r in base + native + ovs), 'reps': len(base)})
    pmd = [{'mode': mode, 'flows': flows, 'ticks': median(r, 'ticks'), 'mpps': median(r, 'mpps')}
           for (who, mode, flows), r in seen.items() if who == 'testpmd']
    return rows, pmd

def machine(o):
    info = open('/proc/cpuinfo').read()
    field = lambda name: re.search(name + r'\s*:\s*(.*)', info).group(1)
    run = lambda *cmd: subprocess.run(cmd, capture_output=True, text=True, cwd=here).stdout.strip()
    commit = run('git', 'rev-parse', '--short=12', 'HEAD') + (', changed' if run('git', 'status', '--porcelain', '--untracked-files=no') else '')
    ovs = re.search(r'([\d.]+)$', run('ovs-vsctl', '--version').splitlines()[0]).group(1)
    return {'cpu': '%s, family %s model %s' % (field('model name'), field('cpu family'), field('model')), 'cpus': os.cpu_count(),
            'tsc_hz': tsc_hz(), 'kernel': os.uname().release, 'ovs': ovs,
            'dpdk': run('dpkg-query', '-W', '-f', '${Version}', 'dpdk'), 'rustc': run('rustc', '--version').split()[1],
            'commit': commit, 'date': time.strftime('%Y-%m-%d'), 'command': o.command}

def markdown(rows, pmd, now, m):
    out = ['%s, %d CPUs; TSC %.1f GHz; kernel %s; OVS %s, DPDK %s; rustc %s; commit %s; %s; `%s`.' % (m['cpu'], m['cpus'], m['tsc_hz'] / 1e9,
               m['kernel'], m['ovs'], m['dpdk'], m['rustc'], m['commit'], m['date'], m['command']), '',
           '| case | flows | ticks | of that own floor | over floor (least to most) | native build, over floor | instructions | OVS-DPDK does | EMC | its ticks | over testpmd\'s `io` | times ours |',
           '|' + '---|' * 12]
    for r in rows:
        peer = r['peer'].split()[-1]
        out.append('| %s | %s | %.0f | %.0f | **%.0f** (%.0f to %.0f) | %.0f | %s | %s | %s | %.0f | %.0f | **%.1f** |' % (r['case'], '{:,}'.format(r['flows']),
            r['ticks'], r['floor'], r['over_floor'], r['least_over_floor'], r['most_over_floor'], r['native_over_floor'], '%.0f' % r['instructions'] if r['instructions'] else '',
            peer + (' (%s)' % WORDS[peer] if peer in WORDS else ''), 'on' if r['peer_emc'] else 'off', r['peer_ticks'], r['peer_over_floor'], r['ratio']))
    out += ['', '| dpdk-testpmd, same source and sink | flows | ticks | Mpps |', '|---|---|---|---|']
    out += ['| `%s` | %s | %.0f | %.1f |' % (p['mode'], '{:,}'.format(p['flows']), p['ticks'], p['mpps']) for p in pmd]
    if now:
        out += ['', '| what Neutron does today, {:,} flows | case | ticks | of that injecting | ours over floor | times ours |'.format(TODAY_FLOWS), '|' + '---|' * 6]
        out += ['| %s | %s | %s | %s | %.0f | **%.0f** |' % ('kernel: bridge, namespaces, iptables, vxlan' if r['peer'] == 'kernel' else r['peer'], r['case'],
            '{:,.0f}'.format(r['peer_ticks']), '{:,.0f}'.format(r['peer_floor']) if r['peer_floor'] else '', r['over_floor'], r['ratio']) for r in now]
    least = min(r['oncpu'] for r in rows)
    if least < ON_CPU: out += ['', 'A measured thread had only %.0f %% of its core in some window: take these figures again on a quieter machine.' % (100 * least)]
    return '\n'.join(out)

def write(table):
    text = open(STORE).read()
    if BEGIN not in text or END not in text: raise SystemExit('%s: no place for the table' % STORE)
    head, rest = text.split(BEGIN)
    open(STORE, 'w').write(head + BEGIN + '\n\n' + table + '\n\n' + END + rest.split(END)[1])

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--baseline', required=True, help='target directory of the build for baseline x86-64')
    a.add_argument('--native', required=True, help='that of the build for this machine')
    a.add_argument('--case', action='append', choices=[c for c, _ in CASES], help='only this one; may be repeated')
    a.add_argument('--flows', action='append', type=int, help='default 1000 and 100000')
    a.add_argument('--size', default='64')
    a.add_argument('--without-today', action='store_true', help='leave out what Neutron does today: router in the kernel, behind taps and alone')
    a.add_argument('--quick', action='store_true', help='one case, 1000 flows, 2 repetitions')
    a.add_argument('--core', type=int, default=1, help='the measured core')
    a.add_argument('--aux', type=int, default=0, help='core of everything else')
    a.add_argument('--secs', type=float, default=.5, help='a window')
    a.add_argument('--warm', type=float, default=2, help='of a peer, before its first window')
    a.add_argument('--reps', type=int, default=5)
    a.add_argument('--hugepages', type=int, default=2048, help='2 MiB pages to add while it runs')
    a.add_argument('--json', default='compare.json', help='where the figures go')
    a.add_argument('--write', action='store_true', help='put the table into bench/RESULTS.md')
    a.add_argument('--command', default='bench/compare.sh')
    o = a.parse_args()
    if o.quick: o.case, o.flows, o.reps = o.case or ['route'], o.flows or [1000], 2
    o.case, o.flows = o.case or [c for c, _ in CASES], o.flows or [1000, 100000]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Hugepages(o.hugepages): seen, now = compare(o), [] if o.quick or o.without_today else today(o)
    rows, pmd = judge(o, seen)
    m = machine(o)
    json.dump({'machine': m, 'rows': rows, 'testpmd': pmd, 'today': now}, open(o.json, 'w'), indent=1)
    table = markdown(rows, pmd, now, m)
    print(table)
    if o.write: write(table)

if __name__ == '__main__':
    main()
