//! The file by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, IdlePolicy, Interface, PhysicalInterface, PortInterface, PortIo, Workers, bad_interface};
use crate::model::Problems;
use crate::model::parse::fields::Fields;
use crate::model::problem::{Sink, Subject, plain, quote};
use crate::model::read_toml;
use crate::model::value::{Doc, Style};

pub(super) fn config(text: &str, name: &str, cores: &BTreeSet<usize>) -> Result<Config, Problems> {
    let doc = Doc { name: name.to_owned(), style: Style::Lines, root: read_toml::read(text, name)? };
    let subject = Subject::other("configuration");
    let mut sink = Sink::new(&doc);
    let mut f = Fields::new(&mut sink, &subject, "", String::new(), &doc.root);
    let host = f.reference("host", "the name of the cloud's host this machine is");
    f.require("underlay", "the interface to the other hosts: [underlay] with interface = \"...\"");
    let underlay = f.object("underlay", &[], |f| interface(f));
    let workers = f.object("workers", &[], |f| workers(f, cores)).unwrap_or_default();
    let name = "a physical network of this host's bridge_mappings";
    let physical = f.objects("physical_networks", &[], |f| (f.reference("name", name), interface(f)));
    let port_io = f.word("port_io", &PortIo::WORDS).unwrap_or_default();
    let mut io = Vec::new();
    let ports = f.objects("ports", &[], |f| {
        io.push(f.word("io", &PortIo::WORDS));
        (f.reference("port", "the id or name of the port"), interface(f))
    });
    f.finish(&[]);
    twice(&mut f, underlay.as_ref(), &physical, &ports);
    Problems::check(sink.problems)?;
    let at = |(i, (name, interface))| {
        let place = doc.place(&format!("physical_networks/{i}"));
        PhysicalInterface { name, interface, place }
    };
    let physical_networks = physical.into_iter().enumerate().map(at).collect();
    let at =
        |(i, ((port, interface), io))| PortInterface { port, interface, io, place: doc.place(&format!("ports/{i}")) };
    let ports = ports.into_iter().zip(io).enumerate().map(at).collect();
    let underlay = underlay.unwrap_or(Interface { name: String::new(), netns: None });
    Ok(Config { host, underlay, workers, physical_networks, port_io, ports, place: doc.place("host") })
}

fn interface(f: &mut Fields<'_, '_, '_>) -> Interface {
    f.require("interface", "the interface's name");
    let name = f.text("interface");
    if let Some((name, why)) = name.and_then(|n| Some((n, bad_interface(n)?))) {
        let hint = "give the name `ip link` shows: 1 to 15 bytes";
        f.problem("interface", format!("{} cannot be an interface: it {why}", quote(name)), hint);
    }
    let netns = f.text("netns");
    if netns.is_some_and(|n| n.is_empty() || n.contains('\0')) {
        let hint = "give a name `ip netns list` shows, or a path; leave it out for dvrd's own";
        f.problem("netns", format!("{} cannot be a namespace", quote(netns.unwrap_or_default())), hint);
    }
    Interface { name: name.unwrap_or_default().to_owned(), netns: netns.map(str::to_owned) }
}

fn workers(f: &mut Fields<'_, '_, '_>, available: &BTreeSet<usize>) -> Workers {
    let default = Workers::default();
    let given = f.integer("count", 1..=Workers::MOST.into()).and_then(|n| u8::try_from(n).ok());
    let count = given.unwrap_or(default.count);
    let cores = f.integers("cores", 0..=u32::from(u16::MAX));
    let list = cores.as_deref().unwrap_or_default();
    for (i, core) in list.iter().enumerate().filter_map(|(i, core)| Some((i, (*core)?))) {
        if let Some(first) = list.iter().take(i).position(|c| *c == Some(core)) {
            let reason = format!("core {core} is given twice, first as cores[{first}]");
            f.problem(&format!("cores/{i}"), reason, "give each worker a core of its own");
        } else if !available.contains(&(core as usize)) {
            let reason = format!("core {core} is not one dvrd may run on");
            f.problem(&format!("cores/{i}"), reason, format!("possible are {}", ranges(available)));
        }
    }
    if let Some(n) = cores.as_ref().map(Vec::len).filter(|n| *n != usize::from(count)) {
        let reason = format!("{n} {} for {count} {}", plural(n, "core"), plural(count.into(), "worker"));
        f.problem("cores", reason, "give one core for each worker, or leave cores out");
    }
    let idle = f.word("idle", &IdlePolicy::WORDS).unwrap_or_default();
    let spin_us = f.integer("spin_us", 0..=Workers::LONGEST_SPIN);
    if idle == IdlePolicy::Busy && spin_us.is_some() {
        f.problem("spin_us", "with idle = \"busy\" a worker never sleeps", "take one of them out");
    }
    Workers {
        count,
        cores: cores.map(|l| l.into_iter().flatten().map(|core| core as usize).collect()),
        idle,
        spin_us: spin_us.unwrap_or(default.spin_us),
        frames: f.integer("frames", Workers::FRAMES).unwrap_or(default.frames),
        time_turns: f.boolean("time_turns").unwrap_or(default.time_turns),
    }
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}

/// `0-3, 8`.
fn ranges(cores: &BTreeSet<usize>) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => runs.push((core, core)),
        }
    }
    let text = |(a, b): &(usize, usize)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// A physical network, a port or an interface that is given twice.
fn twice(
    f: &mut Fields<'_, '_, '_>,
    underlay: Option<&Interface>,
    physical: &[(String, Interface)],
    ports: &[(String, Interface)],
) {
    let mut taken: BTreeMap<&Interface, String> = BTreeMap::new();
    taken.extend(underlay.map(|i| (i, "the underlay's".to_owned())));
    let of = |word: &str, name: &str| format!("that of {word} {}", plain(name));
    let lists = [("physical_networks", "name", "physical network", physical), ("ports", "port", "port", ports)];
    for (list, key, word, entries) in lists {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, (name, interface)) in entries.iter().enumerate() {
            if let Some(first) = names.get(name.as_str()).filter(|_| !name.is_empty()) {
                let reason = format!("{word} {} has an interface already, in {list}[{first}]", plain(name));
                f.problem(&format!("{list}/{i}/{key}"), reason, "keep one of them");
            }
            names.entry(name).or_insert(i);
            // Physical networks may share a NIC, and the underlay's.
            let alone = list == "ports" && !interface.name.is_empty();
            if let Some(other) = taken.get(interface).filter(|_| alone) {
                let reason = format!("{interface} is {other} already");
                f.problem(
                    &format!("{list}/{i}/interface"),
                    reason,
                    format!("give each {word} an interface of its own"),
                );
            }
            taken.entry(interface).or_insert_with(|| of(word, name));
        }
    }
}
