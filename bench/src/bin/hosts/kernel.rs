//! The kernel doing the whole of a compute host's job, as Neutron's agents set it up where they may use it alone: a bridge
//! and a vxlan device for each network, a qrouter namespace with policy routing, a fip namespace, iptables for floating IPs.
//!
//! Nothing is learned and nobody is asked: FDB and neighbours are permanent, as l2population and the L3 agent make them.
//! Towards each other the hosts' routers use their DVR MAC on both sides, which Open vSwitch would rewrite.

use control::lab::cloud::outside::{PHYSICAL, ROUTER, floating_ip};
use control::lab::cloud::{MTU, Name, dvr_mac, subnet, vni, vtep};
use control::lab::command::Res;
use control::lab::netns::Netns;
use control::lab::topology::Lab;

const NETWORKS: [char; 2] = ['A', 'B'];
/// The wire between qrouter and fip namespace.
const RFP: [&str; 2] = ["169.254.31.238", "169.254.31.239"];
/// The fg- port's address.
const FG: &str = "203.0.113.21";
/// Neutron's route table for what leaves by a floating IP.
const FIP_TABLE: u32 = 16;

/// Namespaces beside a host's; they go with the value.
pub struct Host {
    _namespaces: Vec<Netns>,
}

/// Makes host `n`. `floating`: its instances with a floating IP.
pub fn host(lab: &Lab, n: usize, floating: &[Name]) -> Res<Host> {
    for network in NETWORKS {
        bridge(lab, n, network)?;
    }
    let new = |what: &str| Netns::new(&lab.path(""), &format!("{}-{what}{n}", lab.base().prefix));
    let router = new("q")?;
    for network in NETWORKS {
        interface(lab, n, &router, network)?;
    }
    router.shell("for f in all default; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done; echo 1 >/proc/sys/net/ipv4/ip_forward")?;
    // What has no floating IP leaves by the SNAT host: a rule and a table for each subnet.
    for (at, network) in NETWORKS.into_iter().enumerate() {
        let table = 1000 + at;
        router.ip(&format!("route add default via {} dev qr{network} table {table}", subnet(network, 250)))?;
        router.ip(&format!("rule add from {}/24 lookup {table} priority {}", subnet(network, 0), 167_837_697 + at))?;
    }
    let mut all = vec![];
    if !floating.is_empty() {
        let fip = new("f")?;
        floating_ips(lab, n, (&router, &fip), floating)?;
        all.push(fip);
    }
    all.push(router);
    Ok(Host { _namespaces: all })
}

fn bridge(lab: &Lab, n: usize, network: char) -> Res<()> {
    let host = lab.host(n);
    host.ip(&format!("link add br{network} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"))?;
    let (id, local) = (vni(network), vtep(n));
    host.ip(&format!("link add vx{network} type vxlan id {id} local {local} dstport 4789 dev und0 nolearning"))?;
    host.ip(&format!("link set vx{network} mtu {MTU} master br{network} up"))?;
    host.ip(&format!("link set br{network} up"))?;
    for (vm, _) in lab.vms().filter(|(vm, _)| vm.network() == network) {
        let mac = vm.mac();
        if vm.host() == n {
            host.ip(&format!("link set {} master br{network}", vm.tap()))?;
            host.shell(&format!("bridge fdb replace {mac} dev {} master static", vm.tap()))?;
        } else {
            host.shell(&format!("bridge fdb replace {mac} dev vx{network} master static"))?;
            host.shell(&format!("bridge fdb replace {mac} dev vx{network} dst {} self permanent", vtep(vm.host())))?;
        }
    }
    // Where the module is there at all, bridged packets do not go through iptables.
    host.shell("f=/proc/sys/net/bridge/bridge-nf-call-iptables; [ ! -e $f ] || echo 0 >$f")
}

/// The router's interface on a network, and its instances' way to it.
fn interface(lab: &Lab, n: usize, router: &Netns, network: char) -> Res<()> {
    let (host, gateway) = (lab.host(n), subnet(network, 1));
    host.ip(&format!("link add qp{network} mtu {MTU} type veth peer name qr{network} netns {}", router.name()))?;
    host.ip(&format!("link set qp{network} master br{network} up"))?;
    host.shell(&format!("bridge fdb replace {} dev qp{network} master static", dvr_mac(n)))?;
    router.ip(&format!("link set qr{network} mtu {MTU} address {} up", dvr_mac(n)))?;
    router.ip(&format!("addr add {gateway}/24 dev qr{network}"))?;
    for (vm, ns) in lab.vms().filter(|(vm, _)| vm.network() == network) {
        router.ip(&format!("neigh replace {} lladdr {} dev qr{network} nud permanent", vm.address(), vm.mac()))?;
        if vm.host() == n {
            ns.ip(&format!("neigh replace {gateway} lladdr {} dev eth0 nud permanent", dvr_mac(n)))?;
        }
        for (other, _) in lab.vms().filter(|(other, _)| other.network() == network && *other != vm) {
            ns.ip(&format!("neigh replace {} lladdr {} dev eth0 nud permanent", other.address(), other.mac()))?;
        }
    }
    Ok(())
}

/// The fip namespace, and what leads to it.
fn floating_ips(lab: &Lab, n: usize, (router, fip): (&Netns, &Netns), floating: &[Name]) -> Res<()> {
    let (host, external) = (lab.host(n), PHYSICAL[0].1);
    router.ip(&format!("link add rfp type veth peer name fpr netns {}", fip.name()))?;
    for (ns, dev, at) in [(router, "rfp", 0), (fip, "fpr", 1)] {
        ns.ip(&format!("addr add {}/31 dev {dev}", RFP[at]))?;
        ns.ip(&format!("link set {dev} up"))?;
    }
    host.ip("link add br-ex type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
    host.ip(&format!("link add fgp type veth peer name fg netns {}", fip.name()))?;
    for dev in ["br-ex", "fgp", external] {
        let master = if dev == "br-ex" { "" } else { "master br-ex" };
        host.ip(&format!("link set {dev} {master} up"))?;
    }
    fip.ip("link set fg up")?;
    fip.ip(&format!("addr add {FG}/24 dev fg"))?;
    fip.ip(&format!("route add default via {ROUTER}"))?;
    fip.shell(
        "for f in all default fg fpr; do echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done; \
         echo 1 >/proc/sys/net/ipv4/conf/fg/proxy_arp; echo 1 >/proc/sys/net/ipv4/ip_forward",
    )?;
    router.ip(&format!("route add default via {} dev rfp table {FIP_TABLE}", RFP[1]))?;
    let mut nat = "*nat\n-A POSTROUTING ! -o rfp -m conntrack ! --ctstate DNAT -j ACCEPT\n".to_owned();
    for (at, vm) in floating.iter().enumerate() {
        let (inside, outside) = (vm.address(), floating_ip(*vm));
        router.ip(&format!("rule add from {inside} lookup {FIP_TABLE} priority {}", 57_481 + at))?;
        fip.ip(&format!("route add {outside} via {} dev fpr", RFP[0]))?;
        nat += &format!("-A PREROUTING -d {outside}/32 -i rfp -j DNAT --to-destination {inside}\n");
        nat += &format!("-A POSTROUTING -s {inside}/32 -o rfp -j SNAT --to-source {outside}\n");
    }
    let file = lab.path("nat");
    std::fs::write(&file, nat + "COMMIT\n").map_err(|e| format!("{}: {e}", file.display()))?;
    router.shell(&format!("iptables-restore <{}", file.display()))
}
