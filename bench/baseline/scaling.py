#!/usr/bin/env python3
"""How the cost of a frame grows with workers, sources, flows, rows and updates; called by bench/scaling.sh.

Every table's rows are measured in turn, A B C A B C, by `pktbench`; medians of the rounds. Ticks of the TSC, CPU time,
over the own I/O floor where it says so. Prints Markdown, writes JSON.
"""
import argparse, json, os, statistics, subprocess, sys
SIZES = ('over_floor', 'cpp_oncpu', 'floor', 'mpps', 'oncpu', 'burst_p999_ns')

def bench(o, options):
    cmd = [o.pktbench, '--core', str(o.core), '--aux', str(o.aux), '--reps', '1', '--secs', str(o.secs), '--warm', '0.3'] + options
    r = subprocess.run(cmd, capture_output=True, text=True)
    if r.returncode: raise SystemExit('%s\n%s' % (' '.join(cmd), r.stderr))
    return json.loads(r.stdout)

def rounds(o, all_options):
    """the options of each row -> medians"""
    seen = [[] for _ in all_options]
    for n in range(o.reps):
        for row, options in zip(seen, all_options): row.append(bench(o, options.split()))
        print('round %d of %d' % (n + 1, o.reps), file=sys.stderr)
    mid = lambda row, key: statistics.median(r[key] for r in row)
    return [dict({key: mid(row, key) for key in SIZES}, options=options, updates=row[-1]['updates']) for row, options in zip(seen, all_options)]

def table(title, head, rows, note=''):
    print('\n### %s\n\n%s| %s |\n|%s' % (title, note and note + '\n\n', ' | '.join(head), '---|' * len(head)))
    for r in rows: print('| %s |' % ' | '.join(str(c) for c in r))

def workers(o):
    counts = [n for n in (1, 2, 4) if n <= os.cpu_count()]
    kinds = [('route', ''), ('route', ' --own-tables'), ('local', ''), ('local', ' --own-tables'), ('handoff', '')]
    keys = [(case, own, n) for case, own in kinds for n in counts if n > 1 or not own]
    got = dict(zip(keys, rounds(o, ['--case %s%s --workers %d' % k for k in keys])))
    out = []
    for case, own, n in keys:
        r, one = got[case, own, n], got[case, '', 1]
        out.append((case, 'own' if own else 'shared', n, '%.0f' % r['cpp_oncpu'], '%.0f' % r['over_floor'], '%.1f' % r['mpps'],
                    '%.2f' % (n * one['cpp_oncpu'] / r['cpp_oncpu']), '%+.0f' % (r['cpp_oncpu'] - one['cpp_oncpu']), '%.2f' % r['oncpu']))
    table('Workers', ('case', 'tables', 'workers', 'ticks', 'over floor', 'Mpps', 'times one worker, by CPU time', 'ticks more', 'had their cores'), out,
          '`local`: VM to VM of another network, by ports of the same worker; `handoff`: the same, and each frame goes to a port of another worker.')
    return list(got.values())

def flows(o):
    cases, counts = ('l2out', 'decap', 'route', 'fipout'), [f for f in (1, 1000, 10000, 100000, 1000000) if f <= o.most]
    keys = [(c, f) for c in cases for f in counts]
    got = dict(zip(keys, rounds(o, ['--case %s --flows %d' % k for k in keys])))
    table('Flows', ['case'] + ['{:,}'.format(f) for f in counts], [[c] + ['%.0f' % got[c, f]['over_floor'] for f in counts] for c in cases],
          'Ticks over the floor. There is no cache of flows in dvrd: what grows is what the frames themselves take of the cache, and the 1,000 rows they use.')
    return list(got.values())

def rows(o):
    cases, counts = ('l2out', 'l2in', 'route'), [n for n in (1000, 64000, 1000000) if n <= o.most]
    keys = [(c, n) for c in cases for n in counts]
    got = dict(zip(keys, rounds(o, ['--case %s --rows %d --flows %d' % (c, n, o.most) for c, n in keys])))
    table('Rows', ['case'] + ['{:,}'.format(n) for n in counts] + ['most against least'],
          [[c] + ['%.0f' % got[c, n]['over_floor'] for n in counts] + ['%.2f' % (got[c, counts[-1]]['over_floor'] / got[c, counts[0]]['over_floor'])] for c in cases],
          'So many more rows in the forwarding database and as many neighbours; ticks over the floor of {:,} flows to addresses at random among them.'.format(o.most))
    return list(got.values())

def updates(o):
    cases, counts = ('l2out', 'route'), (0, 1000, 10000, 100000)
    keys = [(c, n) for c in cases for n in counts]
    got = dict(zip(keys, rounds(o, ['--case %s --updates %d' % k for k in keys])))
    table('Updates', ('case', 'row updates/s wanted', 'made', 'ticks over floor', 'p99.9 of a burst, ns'),
          [(c, '{:,}'.format(n), '{:,.0f}'.format(got[c, n]['updates'] or 0), '%.0f' % got[c, n]['over_floor'], '%.0f' % got[c, n]['burst_p999_ns']) for c, n in keys],
          'Beside the forwarding, another core moves, learns and forgets addresses in the forwarding database.')
    return list(got.values())

def sources(o):
    cases, counts = ('l2out', 'route', 'fipout'), (1, 8, 32)
    keys = [(c, n) for c in cases for n in counts]
    got = dict(zip(keys, rounds(o, ['--case %s --spread %d' % k for k in keys])))
    table('Sources of a burst', ['case'] + ['%d VM%s' % (n, 's' if n > 1 else '') for n in counts], [[c] + ['%.0f' % got[c, n]['over_floor'] for n in counts] for c in cases],
          'Ticks over the floor; a burst of 32 frames is filled from so many VMs, 32 / n frames each. What is asked once a burst and VM is then asked more often, and the sender\'s rows differ from frame to frame.')
    return list(got.values())

PARTS = {'workers': workers, 'sources': sources, 'flows': flows, 'rows': rows, 'updates': updates}

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--pktbench', required=True)
    a.add_argument('--part', action='append', choices=PARTS, help='only this table; may be repeated')
    a.add_argument('--core', type=int, default=1)
    a.add_argument('--aux', type=int, default=0)
    a.add_argument('--secs', type=float, default=.5)
    a.add_argument('--reps', type=int, default=5)
    a.add_argument('--most', type=int, default=1000000, help='flows and rows at most')
    a.add_argument('--json', default='scaling.json')
    o = a.parse_args()
    json.dump({part: PARTS[part](o) for part in o.part or PARTS}, open(o.json, 'w'), indent=1)

if __name__ == '__main__':
    main()
