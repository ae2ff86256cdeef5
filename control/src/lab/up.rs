//! Makes a lab and leaves it running.

use super::command::{Res, go_on};
use super::daemon::{self, Dvrd, Setup};
use super::folder::Folder;
use super::state::{Daemon, Peer, State, folder, lock, of};
use super::topology::{Base, Lab};
use super::{kernel, netns};
use crate::daemon::config::PortIo;
use std::fmt::Write;
use std::path::Path;

/// Makes it. Whatever was made goes again if that fails, or if a signal asks to end.
pub fn up(name: &str, peer: Peer, port_io: PortIo, (dvrd, dvrctl): (&Path, &Path)) -> Res<State> {
    let mut state = State::new(name, peer, dvrd)?;
    let folder = make_folder(name)?;
    let _lock = lock(name)?;
    if let Some(there) = state.namespaces.iter().find(|ns| netns::exists(ns)) {
        return Err(format!(
            "there is a network namespace {there} already, and it is not this lab's: nothing was made"
        ));
    }
    // From here on `lab down` can clean up after us, should we be killed.
    state.write()?;
    let base = Base { folder, prefix: name.to_owned(), dvrd: dvrd.to_owned(), dvrctl: dvrctl.to_owned() };
    let mut lab = Lab::build(base, 1, peer.parts())?;
    let mut router = match peer {
        Peer::Dvrd => None,
        Peer::Kernel => {
            kernel::host(&lab, 1)?;
            Some(kernel::Router::new(&lab, 1)?)
        }
    };
    let mut daemons = start(&lab, &mut state, port_io)?;
    daemons.iter_mut().try_for_each(Dvrd::ready)?;
    go_on()?;
    state.up = true;
    state.write()?;
    daemons.iter_mut().for_each(Dvrd::let_go);
    router.iter_mut().for_each(kernel::Router::keep);
    lab.keep();
    Ok(state)
}

/// A folder that was not there: whoever makes it makes the lab.
fn make_folder(name: &str) -> Res<Folder> {
    let path = folder(name);
    let why = match Folder::create(&path) {
        Ok(folder) => return Ok(folder),
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => why,
        Err(why) => return Err(format!("{}: {why}", path.display())),
    };
    let of = of(name);
    Err(match State::read(name)? {
        None => format!("{}: {why}, and it is no lab's: remove it, or give the lab another --name", path.display()),
        Some(state) if state.up => {
            format!("the lab {name} is up; `dvrctl lab test{of}` tries it, `dvrctl lab down{of}` takes it down")
        }
        Some(state) if state.maker.lives() => format!("the lab {name} is being made by process {}", state.maker.pid),
        Some(_) => format!("a lab {name} was left half-made: `dvrctl lab down{of}` cleans up"),
    })
}

/// Starts them all; the state file has each before the next.
fn start(lab: &Lab, state: &mut State, port_io: PortIo) -> Res<Vec<Dvrd>> {
    let mut all = Vec::new();
    for host in state.peer.daemons().iter().copied() {
        let dvrd = Dvrd::launch(lab, host, &Setup { inside: true, stays: true, port_io, ..Setup::default() })?;
        state.daemons.push(Daemon {
            host: format!("H{}", host + 1),
            process: dvrd.process()?,
            log: lab.path(&daemon::log(host)),
            config: lab.path(&daemon::config(host)),
            totals: lab.path(&daemon::totals(host)),
        });
        state.write()?;
        all.push(dvrd);
    }
    Ok(all)
}

/// Three hosts. `a1` and so on are namespaces' names behind the lab's.
const PICTURE: &str = "
     a1    b1    v1              a2    b2    v2                          instances: eth0 with the port's MAC and address
      |     |     |               |     |     |
   +-------------------+       +-------------------+       +----------+
   | h1: dvrd          |       | h2: dvrd          |       | h3: dvrd |  h3 is the network host
   | und0  prov0  ext0 |       | und0  prov0  ext0 |       |          |
   +---|-----|------|--+       +---|-----|------|--+       +-|--|--|--+
       |     |      |              |     |      |            |  |  |
       +-----|------|--------------+-----|------|------------+  |  |     underlay 172.20.0.0/24: VXLAN
             +------|--------------------+------|---------------+--|---- physnet1: VLAN 300; metal 10.4.0.50
                    +---------------------------+------------------+---- physext: router 203.0.113.1 --- client 198.51.100.9
";

/// The kernel in the other compute host's place.
const KERNEL_PICTURE: &str = "
     a1    b1    v1              a2    b2                                instances: eth0 with the port's MAC and address
      |     |     |               |     |
   +-------------------+       +-------------------+       +----------+
   | h1: dvrd          |       | h2: the kernel's  |       | h3: dvrd |  h3 is the network host
   |                   |       | brA brB  vxA vxB  |       |          |  h2-router: Linux, on brA and brB
   | und0  prov0  ext0 |       | und0              |       |          |
   +---|-----|------|--+       +---|---------------+       +-|--|--|--+
       |     |      |              |                         |  |  |
       +-----|------|--------------+-------------------------+  |  |     underlay 172.20.0.0/24: VXLAN
             +------|-------------------------------------------+--|---- physnet1: VLAN 300; metal 10.4.0.50
                    +----------------------------------------------+---- physext: router 203.0.113.1 --- client 198.51.100.9
";

/// A picture of it, who runs where, and what to try; `called`: how this program was called.
pub fn describe(state: &State, called: &str) -> String {
    let name = &state.name;
    let (picture, floating) = match state.peer {
        Peer::Dvrd => (PICTURE, "IPs: a1 203.0.113.101, b2 203.0.113.112"),
        Peer::Kernel => (KERNEL_PICTURE, "IP: a1 203.0.113.101"),
    };
    let mut s = picture.to_owned();
    let _ = writeln!(
        s,
        "\nEach is a network namespace: {name}-h1, {name}-a1 ...\n\
         Networks A 10.1.0.0/24 (VNI 1001), B 10.2.0.0/24 (VNI 1002), V 10.3.0.0/24 (VLAN 300), joined by router R1.\n\
         Floating {floating}.\n",
    );
    for daemon in &state.daemons {
        let (host, pid, log) = (&daemon.host, daemon.process.pid, daemon.log.display());
        let _ = writeln!(s, "  {host}  dvrd, process {pid}, --config {}, says {log}", daemon.config.display());
    }
    let first = state.daemons.first().map_or(0, |d| d.process.pid);
    s + "\nTry\n" + &tries(name, first, called)
}

/// Lines to copy; `first`: the process of H1's dvrd.
fn tries(name: &str, first: u32, called: &str) -> String {
    let (of, dir) = (of(name), folder(name).display().to_string());
    let all = [
        (format!("ip netns exec {name}-a1 ping -c 3 10.1.0.12"), "a2: the same network, another host"),
        (format!("ip netns exec {name}-a1 traceroute -n 10.2.0.12"), "b2: routed on h1"),
        (format!("ip netns exec {name}-client ping -c 3 203.0.113.101"), "a1 by its floating IP"),
        (format!("ip netns exec {name}-wires tcpdump -n -i und0-h1"), "the wire at h1, while pings go"),
        (format!("{called} show --cloud {dir}/cloud.json --host H1"), "the tables of h1 in Neutron's words"),
        (format!("kill -USR1 {first}; tail -30 {dir}/h1.log"), "the books of h1, drops by name"),
        (format!("{called} lab test{of}"), "a table of what works"),
        (format!("{called} lab down{of}"), "all of it is gone"),
    ];
    let width = all.iter().map(|(line, _)| line.len()).max().unwrap_or(0);
    all.iter().map(|(line, why)| format!("  {line:<width$}  # {why}\n")).collect()
}
