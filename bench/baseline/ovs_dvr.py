#!/usr/bin/env python3
"""Run Neutron's DVR flows on Open vSwitch's userspace datapath and print JSON lines.

  ovs_dvr.py --case encap --flows 1000 --size 64            one case, 3 repetitions, DPDK vdev I/O
  ovs_dvr.py --case encap --verify                          8 packets through, show what came out
  ovs_dvr.py --io veth ...                                  AF_PACKET sockets on veth (no DPDK)
  ovs_dvr.py --io afxdp ...                                 AF_XDP on veth (no DPDK)
Everything runs in a private network namespace and a private run directory, and is removed at exit.
Needs root and the packages of setup.sh; hugepages are added and taken away again here.
"""
import argparse, glob, json, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gen_pcap
from hugepages import Hugepages
from topo import *

BIN_DPDK = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk'
BIN_PLAIN = '/usr/lib/openvswitch-switch/ovs-vswitchd'
CASES = ['floor', 'encap', 'decap', 'l2out', 'l2in', 'route', 'fipout', 'fipin', 'fipct', 'fipctin', 'qrtap']
P_TUN, P_EX, P_VM, P_QR, P_EXT = 1, 2, 101, 201, 3     # ofports on br-int
P_VX = 1001                                            # first vxlan ofport on br-tun

def sh(cmd, check=True, **kw):
    r = subprocess.run(cmd, shell=isinstance(cmd, str), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)
    if check and r.returncode:
        raise RuntimeError('%s\n%s' % (cmd, r.stdout))
    return r.stdout

def flows_int(ct, ovn=True):
    f = []
    add = f.append
    for h in range(HOSTS):
        add('table=0,priority=2,in_port=%d,dl_src=%s,actions=resubmit(,1)' % (P_TUN, ms(dvr_mac(h))))
    add('table=0,priority=1,actions=NORMAL')
    for n in range(NETS):
        for j in range(LOCAL):
            add('table=1,priority=4,dl_vlan=%d,dl_dst=%s,actions=strip_vlan,mod_dl_src:%s,output:%d'
                % (vlan(n), ms(lvm_mac(n, j)), ms(gw_mac(n)), P_VM + n))
        add('table=1,priority=2,ip,dl_vlan=%d,nw_dst=10.%d.0.0/16,actions=strip_vlan,mod_dl_src:%s,output:%d'
            % (vlan(n), n, ms(gw_mac(n)), P_VM + n))
    add('table=1,priority=1,actions=drop')
    add('table=23,priority=0,actions=drop')
    if not ovn: return f
    # ---- not in ML2/OVS: the router as flows, the OVN way -------------------------------
    for n in range(NETS):
        add('table=0,priority=10,ip,in_port=%d,dl_dst=%s,actions=resubmit(,60)' % (P_VM + n, ms(gw_mac(n))))
        for k in range(REMOTE):
            add('table=60,priority=20,ip,nw_dst=%s,actions=dec_ttl,mod_dl_src:%s,mod_dl_dst:%s,mod_vlan_vid:%d,output:%d'
                % (ips(rvm_ip(n, k)), ms(gw_mac(n)), ms(rvm_mac(n, k)), vlan(n), P_TUN))
        for j in range(LOCAL):
            add('table=60,priority=20,ip,nw_dst=%s,actions=dec_ttl,mod_dl_src:%s,mod_dl_dst:%s,output:%d'
                % (ips(lvm_ip(n, j)), ms(gw_mac(n)), ms(lvm_mac(n, j)), P_VM + n))
            out = 'dec_ttl,mod_dl_src:%s,mod_dl_dst:%s,output:%d' % (ms(FG_MAC), ms(EXT_GW_MAC), P_EX)
            inn = 'dec_ttl,mod_dl_src:%s,mod_dl_dst:%s,output:%d' % (ms(gw_mac(n)), ms(lvm_mac(n, j)), P_VM + n)
            if ct:
                add('table=60,priority=10,ip,nw_src=%s,actions=ct(commit,table=61,zone=%d,nat(src=%s))'
                    % (ips(lvm_ip(n, j)), 100 + n, ips(fip(n, j))))
                add('table=61,priority=10,ip,nw_src=%s,actions=%s' % (ips(fip(n, j)), out))
                add('table=0,priority=10,ip,in_port=%d,dl_dst=%s,nw_dst=%s,actions=ct(commit,table=62,zone=%d,nat(dst=%s))'
                    % (P_EX, ms(FG_MAC), ips(fip(n, j)), 100 + n, ips(lvm_ip(n, j))))
                add('table=62,priority=10,ip,nw_dst=%s,actions=%s' % (ips(lvm_ip(n, j)), inn))
            else:
                add('table=60,priority=10,ip,nw_src=%s,actions=mod_nw_src:%s,%s' % (ips(lvm_ip(n, j)), ips(fip(n, j)), out))
                add('table=0,priority=10,ip,in_port=%d,dl_dst=%s,nw_dst=%s,actions=mod_nw_dst:%s,%s'
                    % (P_EX, ms(FG_MAC), ips(fip(n, j)), ips(lvm_ip(n, j)), inn))
    add('table=60,priority=0,actions=drop')
    return f

def flows_tun():
    f = []
    add = f.append
    add('table=0,priority=1,in_port=1,actions=resubmit(,1)')
    for h in range(HOSTS):
        add('table=0,priority=1,in_port=%d,actions=resubmit(,3)' % (P_VX + h))
    add('table=0,priority=0,actions=drop')
    for n in range(NETS):
        add('table=1,priority=2,dl_vlan=%d,dl_dst=%s,actions=drop' % (vlan(n), ms(gw_mac(n))))
        add('table=1,priority=1,dl_vlan=%d,dl_src=%s,actions=mod_dl_src:%s,resubmit(,2)' % (vlan(n), ms(gw_mac(n)), ms(LOCAL_DVR_MAC)))
    add('table=1,priority=0,actions=resubmit(,2)')
    add('table=2,priority=0,dl_dst=00:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,20)')
    add('table=2,priority=0,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=resubmit(,22)')
    for n in range(NETS):
        add('table=3,priority=1,tun_id=%d,actions=mod_vlan_vid:%d,resubmit(,9)' % (vni(n), vlan(n)))
    add('table=3,priority=0,actions=drop')
    for h in range(HOSTS):
        add('table=9,priority=1,dl_src=%s,actions=output:1' % ms(dvr_mac(h)))
    add('table=9,priority=0,actions=resubmit(,10)')
    add('table=10,priority=1,actions=learn(table=20,hard_timeout=300,priority=1,NXM_OF_VLAN_TCI[0..11],'
        'NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],'
        'output:NXM_OF_IN_PORT[]),output:1')
    for n in range(NETS):
        for k in range(REMOTE):
            add('table=20,priority=2,dl_vlan=%d,dl_dst=%s,actions=strip_vlan,set_tunnel:%d,output:%d'
                % (vlan(n), ms(rvm_mac(n, k)), vni(n), P_VX + rvm_host(n, k)))
        add('table=22,priority=1,dl_vlan=%d,actions=strip_vlan,set_tunnel:%d,%s'
            % (vlan(n), vni(n), ','.join('output:%d' % (P_VX + h) for h in range(HOSTS))))
    add('table=20,priority=0,actions=resubmit(,22)')
    add('table=22,priority=0,actions=drop')
    return f

class Ovs:
    def __init__(s, o):
        s.run = tempfile.mkdtemp(prefix='dvrbench.')
        s.o, s.pids, s.ns = o, [], 'dvrb%d%s' % (os.getpid(), s.run[-3:])      # one process may run several
        s.env = dict(os.environ, OVS_RUNDIR=s.run, OVS_LOGDIR=s.run, OVS_DBDIR=s.run, OVS_SYSCONFDIR=s.run)
        s.dpdk = o.io == 'dpdk'
        s.pages = None

    def x(s, cmd, check=True):
        return sh(['ip', 'netns', 'exec', s.ns] + (cmd if isinstance(cmd, list) else cmd.split()), check, env=s.env)

    def vsctl(s, *a):
        return s.x(['ovs-vsctl', '--db=unix:%s/db.sock' % s.run, '--timeout=30', '--no-wait'] + list(a))

    def ctl(s, *a, check=True):
        """ovs-appctl, spoken directly (one JSON-RPC request), because 1200 forks take 10 s"""
        c = socket.socket(socket.AF_UNIX)
        c.settimeout(60)
        c.connect(s.ctlsock)
        c.sendall(json.dumps({'id': 0, 'method': a[0], 'params': list(a[1:])}).encode())
        buf, dec = '', json.JSONDecoder()
        while True:
            b = c.recv(1 << 16)
            buf += b.decode()
            try: r, _ = dec.raw_decode(buf)
            except ValueError:
                if not b: raise RuntimeError('ctl %s: connection closed' % (a,))
                continue
            c.close()
            if r.get('error'):
                if check: raise RuntimeError('%s: %s' % (a, r['error']))
                return r['error']
            return r['result']

    def of(s, *a):
        return s.x(['ovs-ofctl', '--timeout=60'] + list(a))

    def start(s):
        o = s.o
        sh('ip netns add ' + s.ns)
        s.x('ip link set lo up')
        s.x('sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1', check=False)
        s.x(['ovsdb-tool', 'create', s.run + '/conf.db', '/usr/share/openvswitch/vswitch.ovsschema'])
        s.db = subprocess.Popen(['taskset', '-c', str(o.aux), 'ip', 'netns', 'exec', s.ns, 'ovsdb-server', s.run + '/conf.db',
            '--remote=punix:%s/db.sock' % s.run, '--unixctl=%s/db.ctl' % s.run, '--log-file=%s/db.log' % s.run, '-vconsole:off'],
            env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(50):
            if os.path.exists(s.run + '/db.sock'): break
            time.sleep(.1)
        s.vsctl('init')
        oc = ['pmd-cpu-mask=%x' % (1 << o.core), 'n-handler-threads=1', 'n-revalidator-threads=1', 'max-idle=60000',
              'flow-limit=200000']
        if s.dpdk:
            if o.hugepages: s.pages = Hugepages(o.hugepages).__enter__()
            oc += ['dpdk-init=true', 'dpdk-lcore-mask=%x' % (1 << o.aux), 'dpdk-extra=--no-pci --in-memory --no-telemetry']
        oc += o.set
        for c in oc: s.vsctl('set', 'Open_vSwitch', '.', 'other_config:' + c.replace('=', '="', 1) + '"')
        s.ctlsock = s.run + '/vs.ctl'
        s.vs = subprocess.Popen(['taskset', '-c', str(o.core if o.io == 'veth' else o.genmain if o.io == 'afxdp' else o.aux), 'ip', 'netns', 'exec', s.ns, o.bin or (BIN_DPDK if s.dpdk else BIN_PLAIN),
            'unix:%s/db.sock' % s.run, '--unixctl=' + s.ctlsock, '--log-file=%s/vs.log' % s.run, '-vconsole:off'],
            env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            if os.path.exists(s.ctlsock): break
            if s.vs.poll() is not None: raise RuntimeError(open(s.run + '/vs.log').read())
            time.sleep(.1)

    def stop(s):
        for p in (getattr(s, 'gen', None), getattr(s, 'vs', None), getattr(s, 'db', None)):
            if p and p.poll() is None:
                p.terminate()
                try: p.wait(15)
                except subprocess.TimeoutExpired: p.kill(); p.wait()
        sh('ip netns del ' + s.ns, check=False)
        if getattr(s, 'ns2', None): sh('ip netns del ' + s.ns2, check=False)
        if s.pages: s.pages.__exit__()
        if s.o.keep: print('kept', s.run, file=sys.stderr)
        else: shutil.rmtree(s.run, ignore_errors=True)

    # ---- ports ------------------------------------------------------------------------
    def port(s, br, name, ofport, src=None, tag=None, dump=False):
        """dpdk: pcap source (infinite) or null sink; veth/afxdp: one end of a veth."""
        a = ['add-port', br, name] + (['tag=%d' % tag] if tag else []) + ['--', 'set', 'Interface', name]
        if ofport: a += ['ofport_request=%d' % ofport]
        if s.dpdk:
            if src:          dev = 'net_pcap_%s,rx_pcap=%s,infinite_rx=1' % (name, src)
            elif dump:       dev = 'net_pcap_%s,tx_pcap=%s/%s.out.pcap' % (name, s.run, name)
            else:            dev = 'net_null_%s,no-rx=1' % name
            a += ['type=dpdk', 'options:dpdk-devargs="%s"' % dev]
        else:
            peer = 'p' + name
            s.x('ip link add %s numtxqueues 1 numrxqueues 1 type veth peer name %s numtxqueues 1 numrxqueues 1' % (name, peer))
            s.x('ip link set %s netns %s' % (peer, s.ns2))
            s.x('ip link set %s up' % name)
            sh('ip -n %s link set %s up' % (s.ns2, peer))
            s.x('ethtool -K %s tx off rx off gso off tso off gro off' % name, check=False)
            sh('ip netns exec %s ethtool -K %s tx off rx off gso off tso off gro off' % (s.ns2, peer), check=False)
            a += ['type=afxdp', 'options:n_rxq=1', 'options:xdp-mode=%s' % s.o.xdp_mode] if s.o.io == 'afxdp' else ['type=system']
        s.vsctl(*a)

    def build(s, case, files, dump=False):
        o = s.o
        if not s.dpdk:
            s.ns2 = s.ns + 'x'
            sh('ip netns add ' + s.ns2)
        src = dict(files)
        for b in ('br-int', 'br-tun', 'br-ex', 'br-phy'):
            extra = ['other-config:hwaddr="%s"' % ms(VTEP_MAC)] if b == 'br-phy' else []
            s.vsctl('add-br', b, '--', 'set', 'bridge', b, 'datapath_type=netdev', 'fail-mode=secure',
                    'protocols=OpenFlow10,OpenFlow13', 'other-config:mac-table-size=16384', *extra)
        for b1, p1, n1, b2, p2, n2 in (('br-int', 'patch-tun', P_TUN, 'br-tun', 'patch-int', 1),
                                       ('br-int', 'int-ex', P_EX, 'br-ex', 'phy-ex', 1)):
            s.vsctl('add-port', b1, p1, '--', 'set', 'Interface', p1, 'type=patch', 'options:peer=' + p2, 'ofport_request=%d' % n1)
            s.vsctl('add-port', b2, p2, '--', 'set', 'Interface', p2, 'type=patch', 'options:peer=' + p1, 'ofport_request=%d' % n2)
        # source ports are added last, when the tables are complete
        want = {({'decap': 'phy0', 'l2in': 'phy0', 'fipin': 'ext0', 'fipctin': 'ext0'}.get(case) or
                 ('qr%d' if case == 'encap' else 'vm%d') % n): f for n, f in src.items()}
        late = []
        for br, name, num, tag in [('br-phy', 'phy0', 10, None), ('br-ex', 'ext0', 10, None)] + \
                [('br-int', 'vm%d' % n, P_VM + n, vlan(n)) for n in range(NETS)] + \
                [('br-int', 'qr%d' % n, P_QR + n, vlan(n)) for n in range(NETS) if 'qr%d' % n in want]:
            if name in want: late.append((br, name, num, want[name], tag, dump))
            else: s.port(br, name, num, None, tag, dump)
        for h in range(HOSTS):
            s.vsctl('add-port', 'br-tun', 'vx%d' % h, '--', 'set', 'Interface', 'vx%d' % h, 'type=vxlan', 'ofport_request=%d' % (P_VX + h),
                    'options:local_ip=' + ips(VTEP_IP), 'options:remote_ip=' + ips(rvtep_ip(h)), 'options:key=flow', 'options:in_key=flow', 'options:out_key=flow')
        for _ in range(200):            # wait for br-phy's tap and the last ports
            time.sleep(.1)
            if 'vx%d' % (HOSTS - 1) in s.ctl('dpif/show', check=False): break
        s.x('ip link set br-phy up')
        s.x('ip addr add %s/%d dev br-phy' % (ips(VTEP_IP), VTEP_PREFIX))
        s.vsctl_wait()
        for br, fl in (('br-int', flows_int(case in ('fipct', 'fipctin'), case != 'qrtap')), ('br-tun', flows_tun()),
                       ('br-phy', ['priority=0,actions=NORMAL']),
                       ('br-ex', ['priority=1,in_port=1,actions=output:10', 'priority=1,in_port=10,actions=output:1'])):
            if case == 'floor' and br == 'br-int':
                fl = ['priority=1,in_port=%d,actions=output:%d' % (P_VM + n, P_EX) for n in range(NETS)]
            fn = '%s/%s.flows' % (s.run, br)
            open(fn, 'w').write('\n'.join(fl) + '\n')
            s.of('-O', 'OpenFlow10', 'del-flows', 'unix:%s/%s.mgmt' % (s.run, br))
            s.of('-O', 'OpenFlow10', 'add-flows', 'unix:%s/%s.mgmt' % (s.run, br), fn)
        for h in range(HOSTS):
            s.ctl('tnl/arp/set', 'br-phy', ips(rvtep_ip(h)), ms(rvtep_mac(h)))
            s.ctl('fdb/add', 'br-phy', 'phy0', '0', ms(rvtep_mac(h)), check=False)
        if not o.no_fdb:
            for n in range(NETS):
                for k in range(REMOTE): s.ctl('fdb/add', 'br-int', 'patch-tun', str(vlan(n)), ms(rvm_mac(n, k)))
                for j in range(LOCAL): s.ctl('fdb/add', 'br-int', 'vm%d' % n, str(vlan(n)), ms(lvm_mac(n, j)), check=False)
        if case == 'qrtap':              # ML2/OVS on the userspace datapath: qr- ports are TAPs into a kernel namespace
            q = s.ns2 = s.ns + 'q'
            sh('ip netns add ' + q)
            for n in (0, 1):
                dev = 'qr%d' % n
                s.vsctl('add-port', 'br-int', dev, 'tag=%d' % vlan(n), '--', 'set', 'Interface', dev, 'type=internal', 'ofport_request=%d' % (P_QR + n))
            s.vsctl_wait()
            sh('ip netns exec %s sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.disable_ipv6=1' % q)
            for n in (0, 1):
                dev = 'qr%d' % n
                s.x('ip link set %s netns %s' % (dev, q))
                sh('ip -n %s link set %s address %s' % (q, dev, ms(gw_mac(n))))
                sh('ip -n %s link set %s up' % (q, dev))
                sh('ip -n %s addr add %s/16 dev %s' % (q, ips(gw_ip(n)), dev))
                b = ['neigh replace %s lladdr %s dev %s nud permanent' % (ips(rvm_ip(n, k)), ms(rvm_mac(n, k)), dev) for k in range(REMOTE)]
                subprocess.run(['ip', '-n', q, '-b', '-'], input='\n'.join(b) + '\n', text=True, check=True)
                s.ctl('fdb/add', 'br-int', dev, str(vlan(n)), ms(gw_mac(n)))
                sh('ip -n %s rule add from 10.%d.0.1/16 lookup %d priority %d' % (q, n, 1000 + n, 1359066113 + n))
        if dump: time.sleep(1)
        for l in late: s.port(*l)
        s.vsctl_wait()

    def vsctl_wait(s):
        s.x(['ovs-vsctl', '--db=unix:%s/db.sock' % s.run, '--timeout=60', 'set', 'Open_vSwitch', '.', 'external-ids:ready=1'])

    def generate(s, files):
        """veth/afxdp: testpmd on the aux core pours the pcap into the far end of the source port's veth"""
        src = {'decap': 'phy0', 'l2in': 'phy0', 'fipin': 'ext0', 'fipctin': 'ext0'}.get(s.o.case) or ('qr0' if s.o.case == 'encap' else 'vm0')
        cmd = ['ip', 'netns', 'exec', s.ns2, 'dpdk-testpmd', '-l', '%d,%d' % (min(s.o.genmain, s.o.aux), max(s.o.genmain, s.o.aux)), '--main-lcore', str(s.o.genmain),
               '--no-pci', '--no-telemetry', '--no-huge', '-m', '1024', '--file-prefix', s.ns,
               '--vdev', 'net_pcap0,rx_pcap=%s,infinite_rx=1' % files[0][1], '--vdev', 'net_af_packet0,iface=p%s,qdisc_bypass=1,framecnt=512,framesz=2048,blocksz=4096' % src,
               '--', '--nb-cores=1', '--forward-mode=io', '--port-topology=paired', '--no-mlockall', '--total-num-mbufs=%d' % 200000, '--no-flush-rx', '--stats-period=60']
        s.gen = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=open(s.run + '/gen.log', 'w'), stderr=subprocess.STDOUT)
        time.sleep(3)
        if s.gen.poll() is not None: raise RuntimeError(open(s.run + '/gen.log').read()[-1500:])

    # ---- measuring ---------------------------------------------------------------------
    def stats(s):
        t = s.ctl('dpif-netdev/pmd-stats-show')
        m = re.search((r'main thread:' if s.o.io == 'veth' else r'pmd thread numa_id') + r'.*?(?=\n\S|\Z)', t, re.S)
        d = {}
        for l in (m.group(0) if m else '').splitlines()[1:]:
            k, _, v = l.strip().partition(': ')
            mm = re.match(r'([\d.]+)', v)
            d[k.rstrip(':')] = float(mm.group(1)) if mm else 0.0
        return d

def tx_packets(s, port):
    t = s.ctl('dpctl/show', '-s')
    m = re.search(r'port \d+: %s\b.*?TX packets:(\d+)' % port, t, re.S)
    return int(m.group(1)) if m else 0

def cpu_stat(core):
    for l in open('/proc/stat'):
        f = l.split()
        if f[0] == 'cpu%d' % core:
            v = list(map(int, f[1:9]))
            return {'total': sum(v), 'steal': v[7]}

def tsc_hz():
    """TSC ticks per second, from the kernel's own delay-loop calibration (bogomips/2 on invariant-TSC x86)"""
    m = re.search(r'bogomips\s*:\s*([\d.]+)', open('/proc/cpuinfo').read())
    return float(m.group(1)) / 2 * 1e6

def thread_sched(pid, prefix):
    """(runtime ns, runqueue wait ns) of the PMD thread: tells how much of the wall time it had the core"""
    for t in glob.glob('/proc/%d/task/*' % pid):
        try:
            if open(t + '/comm').read().startswith(prefix):
                a = open(t + '/schedstat').read().split()
                return int(a[0]), int(a[1])
        except OSError: pass
    return 0, 0

def options(args=None):
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--case', choices=CASES, default='encap')
    a.add_argument('--flows', type=int, default=1000)
    a.add_argument('--size', default='64')
    a.add_argument('--macs', type=int, default=1000)
    a.add_argument('--io', choices=['dpdk', 'veth', 'afxdp'], default='dpdk')
    a.add_argument('--xdp-mode', default='native', help='afxdp: best-effort native native-with-zerocopy generic')
    a.add_argument('--core', type=int, default=1, help='PMD core (for --io veth/afxdp: all of vswitchd)')
    a.add_argument('--aux', type=int, default=0, help='core of everything else')
    a.add_argument('--genmain', type=int, default=0, help='veth/afxdp: core of the generator\'s idle main thread')
    a.add_argument('--secs', type=float, default=3)
    a.add_argument('--reps', type=int, default=3)
    a.add_argument('--warm', type=float, default=2)
    a.add_argument('--hugepages', type=int, default=1024, help='2 MiB pages to add while running; 0: there are enough')
    a.add_argument('--variant', default='default', help='default | noemc | smc | emc1 (insert always) | avx512')
    a.add_argument('--bin', help='another ovs-vswitchd (e.g. rebuilt from the Debian source with -march=native)')
    a.add_argument('--set', action='append', default=[], help='other_config key=value')
    a.add_argument('--no-fdb', action='store_true', help='do not preload br-int MAC table: shows the unknown-unicast flood of DVR traffic')
    a.add_argument('--verify', action='store_true')
    a.add_argument('--perf', action='store_true', help='also print pmd-perf-show to stderr')
    a.add_argument('--show-flows', action='store_true')
    a.add_argument('--keep', action='store_true')
    o = a.parse_args(args)
    var = {'noemc': ['emc-insert-inv-prob=0'], 'smc': ['smc-enable=true', 'emc-insert-inv-prob=0'], 'emc1': ['emc-insert-inv-prob=1']}
    for v in o.variant.split('+'): o.set += var.get(v, [])
    return o

def main():
    o = options()
    s = Ovs(o)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        gcase = {'qrtap': 'route', 'fipct': 'fipout', 'fipctin': 'fipin', 'floor': 'l2out'}.get(o.case, o.case)
        npk = 8 if o.verify else 1020
        files = [(p, f) for p, f, _ in gen_pcap.generate(gcase, 8 if o.verify else o.flows, o.size, s.run + '/in', o.macs, npk)]
        if not s.dpdk or o.case == 'qrtap': files = files[:1]     # one ingress port
        s.start()
        s.build(o.case, files, dump=o.verify)
        if 'avx512' in o.variant:
            s.ctl('dpif-netdev/dpif-impl-set', 'dpif_avx512')
            s.ctl('dpif-netdev/subtable-lookup-prio-set', 'avx512_gather', '5')
            s.ctl('dpif-netdev/miniflow-parser-set', 'study', '1000')
        if o.verify:
            time.sleep(.6)
            print(s.ctl('dpctl/dump-flows', '-m') if o.show_flows else s.ctl('dpctl/dump-flows'))
            t20 = s.of('-O', 'OpenFlow10', 'dump-flows', 'unix:%s/br-tun.mgmt' % s.run, 'table=20')
            print('table 20: %d static, %d learned' % (t20.count('priority=2,'), t20.count('priority=1,')))
            s.vs.terminate(); s.vs.wait(15)      # the pcap writer flushes at exit
            for f in sorted(glob.glob(s.run + '/*.out.pcap')):
                if os.path.getsize(f) > 24: print(f, sh(['tcpdump', '-nn', '-e', '-vv', '-c', '2', '-r', f]))
            return
        if not s.dpdk: s.generate(files)
        sink = {'fipout': 'ext0', 'fipct': 'ext0', 'floor': 'ext0', 'decap': 'vm0', 'l2in': 'vm0', 'fipin': 'vm0', 'fipctin': 'vm0'}.get(o.case, 'phy0')
        time.sleep(o.warm)
        res = []
        for r in range(o.reps):
            time.sleep(.3)
            s.ctl('dpif-netdev/pmd-stats-clear')
            th = 'ovs-vswitchd' if o.io == 'veth' else 'pmd'
            tx0, c0, (r0, w0), t0 = tx_packets(s, sink), cpu_stat(o.core), thread_sched(s.vs.pid, th), time.monotonic()
            time.sleep(o.secs)
            d, tx1 = s.stats(), tx_packets(s, sink)
            t1, c1, (r1, w1) = time.monotonic(), cpu_stat(o.core), thread_sched(s.vs.pid, th)
            n = tx1 - tx0 if o.case == 'qrtap' else d.get('packets received', 0)
            res.append({'pps': n / (t1 - t0), 'tx': (tx1 - tx0) / (t1 - t0), 'cpp': d.get('avg processing cycles per packet', 0),
                'busy': d.get('processing cycles', 0) / max(1, d.get('processing cycles', 0) + d.get('idle cycles', 0)),
                'oncpu': (r1 - r0) / 1e9 / (t1 - t0), 'steal': (c1['steal'] - c0['steal']) / max(1, c1['total'] - c0['total']),
                'cpp_on': tsc_hz() * (r1 - r0) / 1e9 / max(1, n),
                'emc': d.get('emc hits', 0) / max(1, n), 'smc': d.get('smc hits', 0) / max(1, n), 'mega': d.get('megaflow hits', 0) / max(1, n),
                'miss': (d.get('miss with success upcall', 0) + d.get('miss with failed upcall', 0)) / max(1, n),
                'passes': d.get('avg. datapath passes per packet', 0), 'subt': d.get('avg. subtable lookups per megaflow hit', 0),
                'batch': d.get('avg. packets per output batch', 0), 'raw': d})
        med = lambda k: statistics.median(x[k] for x in res)
        nflows = s.ctl('upcall/show')
        m = re.search(r'flows\s*:\s*\(current (\d+)\)', nflows)
        drops = s.x(['ovs-vsctl', '--db=unix:%s/db.sock' % s.run, 'get', 'Interface', 'phy0', 'statistics:tx_packets', 'statistics:tx_dropped'], check=False).split()
        out = {'bench': 'ovs', 'io': o.io, 'case': o.case, 'flows': o.flows, 'size': o.size, 'variant': ('native+' if o.bin else '') + o.variant + ('+nofdb' if o.no_fdb else ''),
               'mpps': round(med('pps') / 1e6, 3), 'mpps_all': [round(x['pps'] / 1e6, 3) for x in res],
               'sink_mpps': round(med('tx') / 1e6, 3), 'cycles_per_packet': round(med('cpp'), 1), 'cpp_oncpu': round(med('cpp_on'), 1), 'cpp_oncpu_min': round(min(x['cpp_on'] for x in res), 1), 'busy': round(med('busy'), 3),
               'oncpu': round(med('oncpu'), 3), 'steal': round(med('steal'), 3),
               'emc_hit': round(med('emc'), 3), 'smc_hit': round(med('smc'), 3), 'mega_hit': round(med('mega'), 3), 'miss': round(med('miss'), 6),
               'passes': med('passes'), 'subtables': med('subt'), 'out_batch': med('batch'), 'megaflows': int(m.group(1)) if m else None,
               'loadavg': os.getloadavg()[0]}
        if o.show_flows: print(s.ctl('dpctl/dump-flows')[:3000], file=sys.stderr)
        if o.perf: print(s.ctl('dpif-netdev/pmd-perf-show', '-nh'), file=sys.stderr)
        print(json.dumps(out), flush=True)
    except Exception:
        try: print(open(s.run + '/vs.log').read()[-3000:], file=sys.stderr)
        except OSError: pass
        raise
    finally:
        s.stop()

if __name__ == '__main__':
    main()
