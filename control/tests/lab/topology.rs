//! The lab's machines: two hosts joined by a wire, instances behind veth pairs.

use crate::cli_support::{Dir, dvrctl};
use crate::cloud::{self, MTU, Name, UNDERLAY_MTU};
use crate::command::Res;
use crate::netns::Netns;
use std::cell::Cell;
use std::path::PathBuf;

/// A lab. Everything in it goes with the value.
pub struct Lab {
    // Namespaces go before the folder that holds the output of their commands.
    hosts: Vec<Netns>,
    vms: Vec<(Name, Netns)>,
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
        let mut lab = Lab { hosts, vms: Vec::new(), port: Cell::new(5201), plain_routers: [None, None], dir };
        lab.wire(queues)?;
        names.iter().try_for_each(|name| lab.add_vm(*name))?;
        let text = cloud::model(&names).to_string();
        lab.dir.write("cloud.json", text);
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
        host.ip(&format!("link add {tap} mtu {MTU} type veth peer name eth0 netns {}", vm.name()))?;
        host.ip(&format!("link set {tap} up"))?;
        vm.ip(&format!("link set eth0 mtu {MTU} address {} up", name.mac()))?;
        vm.ip(&format!("addr add {}/24 dev eth0", name.address()))?;
        vm.ip(&format!("route add default via {}", name.gateway())).map(|_| ())
    }

    /// Takes it away again.
    pub fn unplug(&self, name: Name) -> Res<()> {
        self.host(name.host()).ip(&format!("link del {}", name.tap())).map(|_| ())
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

    /// The cloud file, once `dvrctl check` has accepted it for both hosts.
    pub fn cloud(&self) -> Res<String> {
        let file = self.dir.text("cloud.json");
        for host in ["H1", "H2"] {
            let ran = dvrctl(["check", "--cloud", &file, "--host", host]);
            if ran.status != 0 {
                return Err(format!("dvrctl check --host {host}: {}{}", ran.out, ran.err));
            }
        }
        Ok(file)
    }
}
