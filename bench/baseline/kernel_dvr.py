#!/usr/bin/env python3
"""What the Linux kernel itself does with DVR's jobs, one core, no OVS (kernel OVS module not needed).

  kernel_dvr.py                 all cases, one JSON line each
  kernel_dvr.py --case fipout --flows 1
Frames are injected by BPF_PROG_TEST_RUN in live-frame mode (an XDP program that returns XDP_PASS):
the kernel handles each as if the TAP device had received it, all the way to the last device, in the
calling thread, on one core - no generator core, no socket.  The sink is a TAP with a drop-all filter.
cases
  l2out   TAP -> bridge -> vxlan -> underlay                                   (br-int + br-tun)
  decap   underlay TAP -> vxlan -> bridge -> VM port
  route   TAP -> bridge -> veth -> qrouter namespace (ip rules, 2 subnets) -> veth -> bridge -> vxlan
  fipout  TAP -> bridge -> veth -> qrouter (ip rule -> table 16, iptables SNAT) -> veth -> fip namespace -> fg
  fipin   fg TAP -> fip namespace -> veth -> qrouter (iptables DNAT) -> veth -> bridge -> VM port
  drop    TAP, dropped at nftables ingress: what injecting alone costs
"""
import argparse, ctypes, fcntl, json, os, re, signal, statistics, struct, subprocess, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import gen_pcap
from topo import *
from ovs_dvr import sh, tsc_hz

libc = ctypes.CDLL(None, use_errno=True)
NR_BPF = 321

def bpf(cmd, attr):
    b = ctypes.create_string_buffer(attr, len(attr))
    r = libc.syscall(NR_BPF, cmd, b, len(attr))
    if r < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r, b.raw

def ins(op, dst=0, src=0, off=0, imm=0):
    return struct.pack('<BBhi', op, src << 4 | dst, off, imm)

def load_xdp(head, vary):
    """XDP_PASS, after writing the packet's headers anew (test_run recycles pages and does not restore them: the
    TTL would run out) and, per (offset, mask) in vary, a random 16-bit word"""
    head = bytes(head[:len(head) & ~3])
    p = ins(0x61, 2, 1, 0) + ins(0x61, 3, 1, 4)           # r2 = data, r3 = data_end
    p += ins(0xbf, 4, 2) + ins(0x07, 4, 0, 0, len(head))
    p += ins(0xbf, 7, 2)
    body = b''
    for i in range(0, len(head), 4): body += ins(0x62, 7, 0, i, struct.unpack_from('<i', head, i)[0])
    for off, mask in vary:
        assert off + 2 <= len(head)
        body += ins(0x85, imm=7) + ins(0x57, 0, 0, 0, mask) + ins(0x6b, 7, 0, off)   # r0 = prandom & mask; *(u16 *)(r7 + off) = r0
    p += ins(0x2d, 4, 3, len(body) // 8) + body           # if r4 > data_end skip
    p += ins(0xb7, 0, 0, 0, 2) + ins(0x95)                # return XDP_PASS
    pb, lic, log = ctypes.create_string_buffer(p), ctypes.create_string_buffer(b'GPL'), ctypes.create_string_buffer(65536)
    try:
        fd, _ = bpf(5, struct.pack('<IIQQIIQI', 6, len(p) // 8, ctypes.addressof(pb), ctypes.addressof(lic), 1, 65536, ctypes.addressof(log), 0) + bytes(80))
    except OSError:
        print(log.value.decode()[-1500:], file=sys.stderr); raise
    return fd

def inject(fd, frame, ifindex, n, batch=64):
    d = ctypes.create_string_buffer(frame, len(frame))
    ctx = ctypes.create_string_buffer(struct.pack('<IIIIII', 0, len(frame), 0, ifindex, 0, 0), 24)
    attr = struct.pack('<IIIIQQIIIIQQIII', fd, 0, len(frame), 0, ctypes.addressof(d), 0, n, 0, 24, 0, ctypes.addressof(ctx), 0, 2, 0, batch)
    _, out = bpf(10, attr + bytes(4))
    return struct.unpack_from('<I', out, 36)[0]           # ns per packet

def tap(name):
    """a TAP device in the current namespace; the fd keeps it alive"""
    fd = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', name.encode(), 0x0002 | 0x1000))   # TUNSETIFF, IFF_TAP | IFF_NO_PI
    return fd

def sink(name):
    """a TAP whose socket filter drops every frame: the cheapest end of the road (no dummy device needed)"""
    fd = tap(name)
    flt = ctypes.create_string_buffer(struct.pack('<HBBI', 6, 0, 0, 0), 8)
    fcntl.ioctl(fd, 0x401054d5, struct.pack('<HxxxxxxQ', 1, ctypes.addressof(flt)))     # TUNATTACHFILTER
    return fd

class Lab:
    def __init__(s, o):
        s.o, s.p = o, 'dvrk%d' % os.getpid()
        s.host, s.q, s.f = s.p, s.p + 'q', s.p + 'f'
        s.fds = []

    def x(s, ns, *cmds):
        for c in cmds: sh('ip netns exec %s %s' % (ns, c))

    def up(s):
        for n in (s.host, s.q, s.f):
            sh('ip netns add ' + n)
            s.x(n, 'sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1', 'ip link set lo up')
        for n in (s.q, s.f): s.x(n, 'sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0')
        h = s.host
        # this process moves into the host namespace: TAPs are created there and ifindexes resolved there
        nsfd = os.open('/var/run/netns/' + h, os.O_RDONLY)
        if libc.setns(nsfd, 0x40000000): raise OSError(ctypes.get_errno(), 'setns')
        s.fds = [nsfd] + [tap(t) for t in ('tapvm', 'tapu', 'tapfg')] + [sink(t) for t in ('u0', 'vmsink0', 'vmsink1', 'fgout')]
        for t in ('u0', 'vmsink0', 'vmsink1'): s.x(h, 'tc qdisc replace dev %s root noqueue' % t)
        # underlay: frames leave through u0 (a sink), arrive on tapu; both under one bridge-less IP setup
        s.x(h, 'ip link set u0 mtu 1600 up', 'ip addr add 172.16.0.1/16 dev u0',
            'ip link set tapu address %s' % ms(VTEP_MAC), 'ip link set tapu mtu 1600 up', 'ip addr add 172.17.0.1/16 dev tapu',
            'sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.tapu.rp_filter=0',
            'sysctl -q -w net.bridge.bridge-nf-call-iptables=%d net.bridge.bridge-nf-call-ip6tables=%d net.bridge.bridge-nf-call-arptables=0' % (s.o.brnf, s.o.brnf))
        for h2 in range(HOSTS): s.x(h, 'ip neigh replace %s lladdr %s dev u0 nud permanent' % (ips(rvtep_ip(h2)), ms(rvtep_mac(h2))))
        for n in (0, 1):
            s.x(h, 'ip link add br%d type bridge' % n, 'ip link set br%d up' % n,
                'ip link add vx%d type vxlan id %d dstport 4789 local 172.16.0.1 nolearning' % (n, vni(n)),
                'ip link set vx%d master br%d' % (n, n), 'ip link set vx%d up' % n,
                'ip link set vmsink%d master br%d' % (n, n), 'ip link set vmsink%d up' % n,
                'ip link add qp%d type veth peer name qr%d' % (n, n), 'ip link set qr%d netns %s' % (n, s.q),
                'ip link set qp%d master br%d' % (n, n), 'ip link set qp%d up' % n,
                'bridge fdb replace %s dev qp%d master static' % (ms(gw_mac(n)), n))
            b = []
            for k in range(REMOTE):
                b.append('fdb replace %s dev vx%d master static' % (ms(rvm_mac(n, k)), n))
                b.append('fdb replace %s dev vx%d dst %s self permanent' % (ms(rvm_mac(n, k)), n, ips(rvtep_ip(rvm_host(n, k)))))
            b += ['fdb replace %s dev vmsink%d master static sticky' % (ms(lvm_mac(n, j)), n) for j in range(LOCAL)]
            subprocess.run(['ip', 'netns', 'exec', h, 'bridge', '-b', '-'], input='\n'.join(b) + '\n', text=True, check=True)
            s.x(s.q, 'ip link set qr%d address %s' % (n, ms(gw_mac(n))), 'ip link set qr%d up' % n, 'ip addr add %s/16 dev qr%d' % (ips(gw_ip(n)), n))
            b = ['neigh replace %s lladdr %s dev qr%d nud permanent' % (ips(rvm_ip(n, k)), ms(rvm_mac(n, k)), n) for k in range(REMOTE)]
            b += ['neigh replace %s lladdr %s dev qr%d nud permanent' % (ips(lvm_ip(n, j)), ms(lvm_mac(n, j)), n) for j in range(LOCAL)]
            subprocess.run(['ip', '-n', s.q, '-b', '-'], input='\n'.join(b) + '\n', text=True, check=True)
        s.x(h, 'ip link set tapvm master br0', 'ip link set tapvm up')
        # qrouter <-> fip namespaces, addresses as in the article
        s.x(s.q, 'ip link add rfp type veth peer name fpr', 'ip link set fpr netns ' + s.f, 'ip link set rfp up', 'ip addr add 169.254.31.238/31 dev rfp')
        s.x(h, 'ip link set fgout netns ' + s.f)
        s.x(s.f, 'tc qdisc replace dev fgout root noqueue', 'ip link set fpr up', 'ip addr add 169.254.31.239/31 dev fpr', 'ip link set fgout up', 'ip addr add 198.51.100.2/24 dev fgout',
            'ip route add default via %s' % ips(EXT_GW_IP), 'ip neigh replace %s lladdr %s dev fgout nud permanent' % (ips(EXT_GW_IP), ms(EXT_GW_MAC)))
        q = ['ip rule add from 10.%d.0.1/16 lookup %d priority %d' % (n, 1000 + n, 1359066113 + n) for n in (0, 1)]
        q += ['ip route add default via 10.0.0.254 dev qr0 table 1000', 'ip route add default via 10.1.0.254 dev qr1 table 1001',
              'ip route add default via 169.254.31.239 dev rfp table 16']
        s.x(s.q, *q)
        ipt = ['*nat']
        for n in (0, 1):
            for j in range(LOCAL):
                s.x(s.q, 'ip rule add from %s lookup 16 priority %d' % (ips(lvm_ip(n, j)), 32768 + n * LOCAL + j))
                s.x(s.f, 'ip route add %s via 169.254.31.238 dev fpr' % ips(fip(n, j)))
                ipt.append('-A POSTROUTING -s %s/32 -o rfp -j SNAT --to-source %s' % (ips(lvm_ip(n, j)), ips(fip(n, j))))
                ipt.append('-A PREROUTING -d %s/32 -i rfp -j DNAT --to-destination %s' % (ips(fip(n, j)), ips(lvm_ip(n, j))))
        for n in (0, 1): sh('ip netns exec %s ip rule add to 10.%d.0.0/16 lookup main priority %d' % (s.q, n, 32000 + n))
        subprocess.run(['ip', 'netns', 'exec', s.q, 'iptables-%s-restore' % s.o.iptables], input='\n'.join(ipt + ['COMMIT', '']), text=True, check=True)
        s.x(h, 'ip link set tapfg netns ' + s.f)
        s.x(s.f, 'ip link set tapfg address %s' % ms(FG_MAC), 'ip link set tapfg up', 'sysctl -q -w net.ipv4.conf.tapfg.rp_filter=0')

    def down(s):
        for f in s.fds:
            try: os.close(f)
            except OSError: pass
        for n in (s.host, s.q, s.f): sh('ip netns del ' + n, check=False)

    def counter(s, ns, dev, way):
        st = json.loads(sh('ip -n %s -j -s link show %s' % (ns, dev)))[0]['stats64'][way]
        return st['packets'] + st['dropped']

def enter(ns):
    f = os.open('/var/run/netns/' + ns, os.O_RDONLY)
    libc.setns(f, 0x40000000); os.close(f)

def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--case', action='append')
    a.add_argument('--flows', type=int, action='append', help='1, 1024 or 65536: random source ports (power of two)')
    a.add_argument('--size', default='64'); a.add_argument('--core', type=int, default=1)
    a.add_argument('--secs', type=float, default=2); a.add_argument('--reps', type=int, default=3)
    a.add_argument('--brnf', type=int, default=0, help='1: bridge-nf-call-iptables as the kernel defaults (and iptables_hybrid needs)')
    a.add_argument('--debug', action='store_true', help='print every counter that moved')
    a.add_argument('--iptables', default='legacy', choices=['legacy', 'nft'])
    o = a.parse_args()
    os.sched_setaffinity(0, {o.core})
    lab = Lab(o)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home = os.open('/proc/self/ns/net', os.O_RDONLY)
    try:
        lab.up()
        src = {'l2out': (lab.host, 'tapvm', 'l2out', lab.host, 'u0', 'tx'), 'route': (lab.host, 'tapvm', 'route', lab.host, 'u0', 'tx'),
               'fipout': (lab.host, 'tapvm', 'fipout', lab.f, 'fgout', 'tx'), 'fipin': (lab.f, 'tapfg', 'fipin', lab.host, 'vmsink0', 'tx'),
               'decap': (lab.host, 'tapu', 'decap', lab.host, 'vmsink0', 'tx'), 'drop': (lab.host, 'tapvm', 'l2out', None, None, None)}
        for c in o.case or list(src):
            for flows in o.flows or [1, 1024]:
                ns, dev, gc, sns, sdev, sway = src[c]
                _, f = gen_pcap.build(gc, 0, int(o.size) - 4)
                l4 = 34 if c != 'decap' else 34 + 50
                f = bytearray(f)
                f[l4 + 6:l4 + 8] = b'\0\0'                       # UDP checksum off: ports vary
                vary = [] if flows == 1 else [(l4, (flows - 1).to_bytes(2, 'big')[0] | (flows - 1).to_bytes(2, 'big')[1] << 8)]
                if c == 'decap': vary = vary + ([(34, 0xff3f)] if flows > 1 else [])
                if c == 'drop':
                    sh('ip netns exec %s nft add table netdev t' % lab.host)
                    sh("ip netns exec %s nft 'add chain netdev t c { type filter hook ingress device tapvm priority 0; policy drop; }'" % lab.host)
                enter(ns)
                idx = int(re.match(r'(\d+)', sh('ip -o link show ' + dev)).group(1))
                fd = load_xdp(f[:l4 + 8], vary)
                inject(fd, bytes(f), idx, 20000)
                ns1 = max(1, inject(fd, bytes(f), idx, 100000))
                n = int(min(2e7, o.secs * 1e9 / ns1))
                res = []
                for _ in range(o.reps):
                    k0 = lab.counter(sns, sdev, sway) if sns else 0
                    t0, p0 = time.monotonic(), time.thread_time()
                    inject(fd, bytes(f), idx, n)
                    t1, p1 = time.monotonic(), time.thread_time()
                    time.sleep(.1)
                    k1 = lab.counter(sns, sdev, sway) if sns else n
                    res.append(((k1 - k0) / (t1 - t0), (k1 - k0) / n, (p1 - p0) * tsc_hz() / max(1, k1 - k0), (p1 - p0) / (t1 - t0)))
                os.close(fd)
                if o.debug:
                    for n2 in (lab.host, lab.q, lab.f): print(n2, sh('ip -n %s -s -s link show; ip netns exec %s nstat -as | grep -vE " 0 "' % (n2, n2)), file=sys.stderr)
                if c == 'drop': sh('ip netns exec %s nft delete table netdev t' % lab.host)
                med = lambda i: statistics.median(r[i] for r in res)
                print(json.dumps({'bench': 'kernel', 'io': 'xdp-live', 'case': c, 'flows': flows, 'size': o.size, 'variant': 'iptables-' + o.iptables + ('+brnf' if o.brnf else ''),
                    'mpps': round(med(0) / 1e6, 3), 'mpps_all': [round(r[0] / 1e6, 3) for r in res], 'delivered': round(med(1), 4),
                    'cpp_oncpu': round(med(2), 0), 'cpp_oncpu_min': round(min(r[2] for r in res), 0), 'oncpu': round(med(3), 3)}), flush=True)
    finally:
        libc.setns(home, 0x40000000)
        lab.down()

if __name__ == '__main__':
    main()
