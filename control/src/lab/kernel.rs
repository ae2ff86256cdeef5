//! A host whose networks the kernel itself makes: a bridge and a vxlan device each.

use super::cloud::{MTU, Name, dvr_mac, vni, vtep};
use super::command::Res;
use super::netns::Netns;
use super::topology::Lab;

/// Joins a host's instances to the other host by the kernel's own VXLAN. Goes with the lab.
pub fn host(lab: &Lab, n: usize) -> Res<()> {
    let ns = lab.host(n);
    for network in ['A', 'B'] {
        let (local, remote, vni) = (vtep(n), vtep(1 - n), vni(network));
        let bridge = format!("link add br{network} type bridge stp_state 0 forward_delay 0 mcast_snooping 0");
        ns.ip(&bridge)?;
        ns.ip(&format!(
            "link add vx{network} type vxlan id {vni} local {local} remote {remote} dstport 4789 dev und0"
        ))?;
        ns.ip(&format!("link set vx{network} mtu {MTU} master br{network} up"))?;
        ns.ip(&format!("link set br{network} up"))?;
    }
    lab.vms_of(n).try_for_each(|vm| ns.ip(&format!("link set {} master br{}", vm.tap(), vm.network())).map(|_| ()))
}

/// A plain Linux router on a kernel host, so that routed packets find a way back.
///
/// The gateways' addresses are the subnets', as on each host of a DVR. Its MAC is this host's DVR MAC and not the router
/// interface's: towards a dvrd host a routed frame may have no other source (T3, T4, O2), and Linux has nothing that
/// would rewrite it on the way out. Its neighbours are permanent, as Neutron's are: what it would ask the fabric for is
/// not answered there (D10).
pub struct Router(Netns);

/// What its namespace is called behind the lab's prefix.
pub const ROUTER: &str = "h2-router";

/// The router's MAC on both its sides.
pub fn router_mac(host: usize) -> String {
    dvr_mac(host)
}

impl Router {
    /// Makes one beside a host's bridges.
    pub fn new(lab: &Lab, n: usize) -> Res<Router> {
        let ns = Netns::new(&lab.path(""), &format!("{}-{}", lab.base().prefix, ROUTER))?;
        let host = lab.host(n);
        for network in ['A', 'B'] {
            let dev = format!("gw{network}");
            host.ip(&format!("link add {dev} mtu {MTU} type veth peer name {dev} netns {}", ns.name()))?;
            host.ip(&format!("link set {dev} master br{network} up"))?;
            ns.ip(&format!("link set {dev} mtu {MTU} address {} up", router_mac(n)))?;
        }
        ns.shell("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        let gateways = [Name("A1"), Name("B1")];
        gateways
            .iter()
            .try_for_each(|g| ns.ip(&format!("addr add {}/24 dev gw{}", g.gateway(), g.network())).map(|_| ()))?;
        for (vm, _) in lab.vms().filter(|(vm, _)| "AB".contains(vm.network())) {
            let dev = format!("gw{}", vm.network());
            ns.ip(&format!("neigh add {} lladdr {} dev {dev} nud permanent", vm.address(), vm.mac()))?;
        }
        Ok(Router(ns))
    }

    /// From now on it stays when the value goes.
    pub fn keep(&mut self) {
        self.0.keep();
    }
}
