//! The lab's machines: hosts joined by a wire, instances behind veth pairs; and, if wanted, what is outside of the cloud.

use crate::cli_support::{Dir, dvrctl};
use crate::cloud::outside as out;
use crate::cloud::{self, Name, UNDERLAY_MTU};
use crate::command::Res;
use crate::netns::Netns;
use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

/// What is outside of the cloud: the wires between the hosts' NICs, and machines dvrd knows nothing of.
struct Outside {
    /// Three bridges: the underlay, and one for each physical network.
    wires: Netns,
    /// A Linux router on X, with a subnet of its own behind it.
    router: Netns,
    /// In that subnet.
    client: Netns,
    /// On network F, as if it were no cloud's.
    metal: Netns,
}

/// A lab. Everything in it goes with the value.
pub struct Lab {
    // Namespaces go before the folder that holds the output of their commands.
    hosts: Vec<Netns>,
    vms: Vec<(Name, Netns)>,
    outside: Option<Outside>,
    port: Cell<u16>,
    /// Host by host: the MAC that answers there for a gateway, if it is not the router interface's.
    plain_routers: [Option<String>; 2],
    dir: Dir,
}

impl Lab {
    /// Two hosts with `queues` on each end of the wire between them, and these instances.
    pub fn new(queues: usize, names: &[&'static str]) -> Res<Lab> {
        let dir = Dir::new("lab");
        let names: Vec<Name> = names.iter().map(|n| Name(n)).collect();
        let hosts = ["h1", "h2"].map(|what| Netns::new(&dir.path(""), what));
        let hosts = hosts.into_iter().collect::<Res<Vec<_>>>()?;
        let (vms, port, plain_routers) = (Vec::new(), Cell::new(5201), [None, None]);
        let mut lab = Lab { hosts, vms, outside: None, port, plain_routers, dir };
        lab.wire(queues)?;
        names.iter().try_for_each(|name| lab.add_vm(*name))?;
        let text = cloud::model(&names).to_string();
        lab.dir.write("cloud.json", text);
        Ok(lab)
    }

    /// Three hosts with `queues` at each NIC, these instances, and an outside; those of `floating` have floating IPs.
    pub fn with_outside(queues: usize, names: &[&'static str], floating: &[&'static str]) -> Res<Lab> {
        let dir = Dir::new("lab");
        let of = |names: &[&'static str]| names.iter().map(|n| Name(n)).collect::<Vec<_>>();
        let new = |what: &str| Netns::new(&dir.path(""), what);
        let hosts = ["h1", "h2", "h3"].map(new).into_iter().collect::<Res<Vec<_>>>()?;
        let outside =
            Outside { wires: new("wires")?, router: new("router")?, client: new("client")?, metal: new("metal")? };
        outside.build(&hosts, queues)?;
        let (vms, port, plain_routers) = (Vec::new(), Cell::new(5201), [None, None]);
        let mut lab = Lab { hosts, vms, outside: Some(outside), port, plain_routers, dir };
        of(names).into_iter().try_for_each(|name| lab.add_vm(name))?;
        lab.dir.write("cloud.json", out::model(&of(names), &of(floating)).to_string());
        Ok(lab)
    }

    fn wire(&self, queues: usize) -> Res<()> {
        let many = format!("numrxqueues {queues} numtxqueues {queues}");
        let [h1, h2] = [self.host(0), self.host(1)];
        h1.ip(&format!("link add und0 {many} mtu {UNDERLAY_MTU} type veth peer name und0 netns {} {many}", h2.name()))?;
        for (n, host) in self.hosts.iter().enumerate() {
            host.ip(&format!("addr add {}/24 dev und0", cloud::vtep(n)))?;
            host.ip(&format!("link set und0 mtu {UNDERLAY_MTU} up"))?;
        }
        Ok(())
    }

    fn add_vm(&mut self, name: Name) -> Res<()> {
        let vm = Netns::new(&self.dir.path(""), &name.0.to_lowercase())?;
        self.vms.push((name, vm));
        self.plug(name)
    }

    /// An instance's interface: `eth0` as Neutron's port says, and its other end on the host.
    pub fn plug(&self, name: Name) -> Res<()> {
        let (vm, host, tap) = (self.vm(name.0), self.host(name.host()), name.tap());
        let mtu = cloud::mtu(name.network());
        host.ip(&format!("link add {tap} mtu {mtu} type veth peer name eth0 netns {}", vm.name()))?;
        host.ip(&format!("link set {tap} up"))?;
        vm.ip(&format!("link set eth0 mtu {mtu} address {} up", name.mac()))?;
        vm.ip(&format!("addr add {}/24 dev eth0", name.address()))?;
        vm.ip(&format!("route add default via {}", name.gateway())).map(|_| ())
    }

    /// Takes it away again.
    pub fn unplug(&self, name: Name) -> Res<()> {
        self.host(name.host()).ip(&format!("link del {}", name.tap())).map(|_| ())
    }

    /// The router outside.
    pub fn router(&self) -> &Netns {
        &self.outside().router
    }

    /// The client behind it.
    pub fn client(&self) -> &Netns {
        &self.outside().client
    }

    /// The machine on network F.
    pub fn metal(&self) -> &Netns {
        &self.outside().metal
    }

    /// Where the wires between the hosts come together: on the bridge of a physical network, the port of host 0 is `NAME-h1`.
    pub fn wires(&self) -> &Netns {
        &self.outside().wires
    }

    fn outside(&self) -> &Outside {
        self.outside.as_ref().expect("a lab with an outside")
    }

    /// The physical networks each host has a NIC of, with its interface.
    pub fn physical(&self) -> &'static [(&'static str, &'static str)] {
        if self.outside.is_some() { &out::PHYSICAL } else { &[] }
    }

    /// Takes a host's NIC away.
    pub fn cut(&self, nic: &str, host: usize) -> Res<()> {
        self.host(host).ip(&format!("link del {nic}")).map(|_| ())
    }

    /// Gives it another one, with this MTU.
    pub fn join(&self, nic: &str, host: usize, mtu: u16) -> Res<()> {
        self.outside().plug(nic, &format!("{nic}-h{}", host + 1), self.host(host), nic, 1)?;
        self.host(host).ip(&format!("link set {nic} mtu {mtu}")).map(|_| ())
    }

    /// Hosts with a `dvrd`.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// A host's namespace: 0 is H1, 1 is H2.
    pub fn host(&self, n: usize) -> &Netns {
        &self.hosts[n]
    }

    /// An instance's namespace.
    pub fn vm(&self, name: &str) -> &Netns {
        &self.vms.iter().find(|(n, _)| n.0 == name).unwrap_or_else(|| panic!("no instance {name} in this lab")).1
    }

    /// The instances of a host.
    pub fn vms_of(&self, host: usize) -> impl Iterator<Item = Name> {
        self.vms.iter().map(|(name, _)| *name).filter(move |name| name.host() == host)
    }

    /// All instances.
    pub fn vms(&self) -> impl Iterator<Item = (Name, &Netns)> {
        self.vms.iter().map(|(name, ns)| (*name, ns))
    }

    /// On this host another MAC than the router interface's answers for the gateways.
    pub fn set_gateway_mac(&mut self, host: usize, mac: String) {
        self.plain_routers[host] = Some(mac);
    }

    /// MAC of an instance's next hop on the way to another: that one's, or its gateway's.
    pub fn next_hop_mac(&self, from: Name, to: Name) -> String {
        let router = || self.plain_routers[from.host()].clone().unwrap_or(cloud::router_mac(from.network()));
        if from.network() == to.network() { to.mac() } else { router() }
    }

    /// A port number nobody had before: a server of before may still be there.
    pub fn next_port(&self) -> u16 {
        self.port.replace(self.port.get() + 1)
    }

    /// A file in the lab's folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path(file)
    }

    /// A cloud file in the lab's folder, once `dvrctl check` has accepted it for both hosts.
    pub fn cloud(&self, file: &str) -> Res<String> {
        let file = self.dir.text(file);
        for host in (1..=self.hosts()).map(|n| format!("H{n}")) {
            let ran = dvrctl(["check", "--cloud", &file, "--host", &host]);
            if ran.status != 0 {
                return Err(format!("dvrctl check --host {host}: {}{}", ran.out, ran.err));
            }
        }
        Ok(file)
    }
}

/// Runs in a namespace what `ip` cannot do.
fn shell(ns: &Netns, line: &str) -> Res<()> {
    ns.command(&["sh".into(), "-c".into(), line.into()], Duration::from_secs(5))?.good().map(|_| ())
}

impl Outside {
    fn build(&self, hosts: &[Netns], queues: usize) -> Res<()> {
        let wires = &self.wires;
        let names = ["und0", out::PHYSICAL[0].1, out::PHYSICAL[1].1];
        for name in names {
            wires.ip(&format!("link add {name} mtu 1500 type bridge stp_state 0 forward_delay 0 mcast_snooping 0"))?;
            wires.ip(&format!("link set {name} up"))?;
            for (n, host) in hosts.iter().enumerate() {
                self.plug(name, &format!("{name}-h{}", n + 1), host, name, queues)?;
            }
        }
        for (n, host) in hosts.iter().enumerate() {
            host.ip(&format!("addr add {}/24 dev und0", cloud::vtep(n)))?;
        }
        let [_, external, provider] = names;
        self.plug(external, "router", &self.router, "eth0", 1)?;
        self.router.ip(&format!("addr add {}/24 dev eth0", out::ROUTER))?;
        self.router.ip(&format!("link add eth1 type veth peer name eth0 netns {}", self.client.name()))?;
        self.router.ip("link set eth1 up")?;
        self.router.ip(&format!("addr add {}/24 dev eth1", out::CLIENT_GATEWAY))?;
        shell(&self.router, "echo 1 >/proc/sys/net/ipv4/ip_forward")?;
        self.client.ip("link set eth0 up")?;
        self.client.ip(&format!("addr add {}/24 dev eth0", out::CLIENT))?;
        self.client.ip(&format!("route add default via {}", out::CLIENT_GATEWAY))?;
        self.plug(provider, "metal", &self.metal, "eth0", 1)?;
        self.metal.ip(&format!("addr add {}/24 dev eth0", out::METAL))?;
        self.metal.ip(&format!("route add default via {}", cloud::subnet('F', 1))).map(|_| ())
    }

    /// An interface of `ns` on one of the bridges, whose port is called `port`.
    fn plug(&self, bridge: &str, port: &str, ns: &Netns, interface: &str, queues: usize) -> Res<()> {
        let many = format!("numrxqueues {queues} numtxqueues {queues}");
        self.wires.ip(&format!("link add {port} {many} type veth peer name {interface} netns {} {many}", ns.name()))?;
        self.wires.ip(&format!("link set {port} master {bridge} up"))?;
        ns.ip(&format!("link set {interface} up")).map(|_| ())
    }
}
