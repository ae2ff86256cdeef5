//! The lab's machines: hosts joined by a wire, instances behind veth pairs; and, if wanted, what is outside of the cloud.

use super::cloud::outside as out;
use super::cloud::{self, Name, UNDERLAY_MTU};
use super::command::{Proc, Res};
use super::folder::Folder;
use super::netns::Netns;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The cloud file, in the lab's folder.
pub const CLOUD: &str = "cloud.json";

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

/// Where a lab has its files, what it calls its namespaces, and what it runs.
pub struct Base {
    /// For files.
    pub folder: Folder,
    /// Namespaces are called `PREFIX-h1` and so on.
    pub prefix: String,
    /// The program `dvrd`.
    pub dvrd: PathBuf,
    /// The program `dvrctl`.
    pub dvrctl: PathBuf,
}

/// What a lab consists of.
#[derive(Clone, Copy)]
pub struct Parts<'p> {
    /// The instances.
    pub vms: &'p [&'static str],
    /// Those of them with a floating IP, if there is an outside, and with it a third host.
    pub outside: Option<&'p [&'static str]>,
}

impl Parts<'_> {
    /// How many hosts.
    pub fn hosts(&self) -> usize {
        if self.outside.is_some() { out::HOSTS } else { 2 }
    }

    /// What its namespaces are called behind the prefix.
    pub fn namespaces(&self) -> Vec<String> {
        let hosts = (1..=self.hosts()).map(|n| format!("h{n}"));
        let outside = if self.outside.is_some() { &OUTSIDE[..] } else { &[] };
        hosts.chain(outside.iter().map(|n| (*n).to_owned())).chain(self.vms.iter().map(|n| n.to_lowercase())).collect()
    }
}

/// The namespaces of [`Outside`].
const OUTSIDE: [&str; 4] = ["wires", "router", "client", "metal"];

/// A lab. Everything in it goes with the value, unless it is [kept](Lab::keep).
pub struct Lab {
    // Namespaces go before the folder that holds the output of their commands.
    hosts: Vec<Netns>,
    vms: Vec<(Name, Netns)>,
    outside: Option<Outside>,
    port: Cell<u16>,
    /// Host by host: the MAC that answers there for a gateway, if it is not the router interface's.
    plain_routers: [Option<String>; 2],
    base: Base,
}

impl Lab {
    /// Two hosts with `queues` on each end of the wire between them, and these instances.
    pub fn new(base: Base, queues: usize, vms: &[&'static str]) -> Res<Lab> {
        Lab::build(base, queues, Parts { vms, outside: None })
    }

    /// Three hosts with `queues` at each NIC, these instances, and an outside; those of `floating` have floating IPs.
    pub fn with_outside(base: Base, queues: usize, vms: &[&'static str], floating: &[&'static str]) -> Res<Lab> {
        Lab::build(base, queues, Parts { vms, outside: Some(floating) })
    }

    /// Makes it: namespaces, interfaces, the cloud file.
    pub fn build(base: Base, queues: usize, parts: Parts<'_>) -> Res<Lab> {
        let lab = Lab::of(base, parts, Netns::new)?;
        match &lab.outside {
            Some(outside) => outside.build(&lab.hosts, queues)?,
            None => lab.wire(queues)?,
        }
        lab.vms().try_for_each(|(name, _)| lab.plug(name))?;
        let of = |names: &[&'static str]| names.iter().map(|n| Name(n)).collect::<Vec<_>>();
        let model = match parts.outside {
            Some(floating) => out::model(&of(parts.vms), &of(floating)),
            None => cloud::model(&of(parts.vms)),
        };
        let file = lab.path(CLOUD);
        let text = serde_json::to_string_pretty(&model).map_err(|e| e.to_string())?;
        std::fs::write(&file, text + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(lab)
    }

    /// One that is there and stays when the value goes.
    pub fn open(base: Base, parts: Parts<'_>) -> Res<Lab> {
        Lab::of(base, parts, Netns::open)
    }

    fn of(base: Base, parts: Parts<'_>, netns: impl Fn(&Path, &str) -> Res<Netns>) -> Res<Lab> {
        let new = |what: &str| netns(&base.folder.path(""), &format!("{}-{what}", base.prefix));
        let hosts = (1..=parts.hosts()).map(|n| new(&format!("h{n}"))).collect::<Res<Vec<_>>>()?;
        let outside = match parts.outside {
            Some(_) => {
                let [wires, router, client, metal] = OUTSIDE;
                Some(Outside { wires: new(wires)?, router: new(router)?, client: new(client)?, metal: new(metal)? })
            }
            None => None,
        };
        let vm = |name: &&'static str| Ok((Name(name), new(&name.to_lowercase())?));
        let vms = parts.vms.iter().map(vm).collect::<Res<Vec<_>>>()?;
        Ok(Lab { hosts, vms, outside, port: Cell::new(5201), plain_routers: [None, None], base })
    }

    /// From now on everything stays when the value goes.
    pub fn keep(&mut self) {
        let outside = self.outside.iter_mut().flat_map(|o| [&mut o.wires, &mut o.router, &mut o.client, &mut o.metal]);
        self.hosts.iter_mut().chain(self.vms.iter_mut().map(|(_, ns)| ns)).chain(outside).for_each(Netns::keep);
        self.base.folder.keep();
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
        self.base.folder.path(file)
    }

    /// What the lab was made with.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// A cloud file in the lab's folder, once `dvrctl check` has accepted it for every host.
    pub fn cloud(&self, file: &str) -> Res<String> {
        let file = self.path(file).display().to_string();
        for host in (1..=self.hosts()).map(|n| format!("H{n}")) {
            let program = self.base.dvrctl.display().to_string();
            let argv = [&program, "check", "--cloud", &file, "--host", &host].map(str::to_owned);
            Proc::start(&self.path(""), &argv)?.wait(Duration::from_secs(10))?.good()?;
        }
        Ok(file)
    }
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
        self.router.shell("echo 1 >/proc/sys/net/ipv4/ip_forward")?;
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
