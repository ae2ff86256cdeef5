//! `dvrctl check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use super::input::known_host;
use super::{Answer, DONE, Failure};
use crate::explain::wrap_under;
use crate::model::{Cloud, DhcpMode};
use crate::rows::{Placement, Rows};
use crate::writer::{Limits, Writer};

const EXAMPLES: &str = "Examples:
  dvrctl check --cloud cloud.toml
  dvrctl check --cloud cloud.json --host compute1";

/// Validate a cloud file and, for one host, show its rows against the tables' limits
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The cloud: TOML if the file ends in .toml, otherwise JSON
    #[arg(long, value_name = "FILE")]
    cloud: PathBuf,
    /// Also derive the rows of this host
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Answer, Failure> {
    let cloud = Cloud::load(&args.cloud)?;
    let mut s = format!("{}: no problems\n", args.cloud.display());
    resources(&mut s, &cloud);
    notes(&mut s, &cloud);
    if let Some(name) = &args.host {
        known_host(&cloud, name, &args.cloud)?;
        of_host(&mut s, &cloud, name)?;
    }
    Ok(Answer { out: s, warnings: Vec::new(), status: DONE })
}

fn resources(s: &mut String, cloud: &Cloud) {
    let counts = [
        ("hosts", cloud.hosts.len()),
        ("networks", cloud.networks.len()),
        ("subnets", cloud.subnets.len()),
        ("ports", cloud.ports.len()),
        ("routers", cloud.routers.len()),
        ("floatingips", cloud.floatingips.len()),
        ("security_groups", cloud.security_groups.len()),
        ("neighbors", cloud.neighbors.len()),
    ];
    s.push_str("\nResources\n");
    for (name, n) in counts {
        let _ = writeln!(s, "  {n:>8}  {name}");
    }
}

/// What of this cloud dvrd does not do yet. Silence would be read as support.
fn notes(s: &mut String, cloud: &Cloud) {
    let mut notes = Vec::new();
    if !cloud.security_groups.is_empty() {
        notes.push("security groups are not enforced: everything passes to and from an active port".to_owned());
    }
    let snat =
        cloud.routers.values().filter(|r| r.external_gateway_info.as_ref().is_some_and(|g| g.enable_snat)).count();
    if snat > 0 {
        let of = crate::report::count(snat as u64, "router");
        notes
            .push(format!("source NAT is not built: what {of} would translate ends on the SNAT host as snat_no_state"));
    }
    let local: Vec<&str> =
        cloud.networks.values().filter(|n| cloud.dhcp(n) == DhcpMode::Local).map(|n| n.id.as_str()).collect();
    if !local.is_empty() {
        notes.push(format!("dhcp = \"local\" behaves as \"off\" on {}", local.join(", ")));
    }
    if cloud.subnets.values().any(|subnet| subnet.ip_version == 6) {
        notes.push("IPv6 is bridged, but not routed".to_owned());
    }
    if !notes.is_empty() {
        s.push_str("\nNot built yet\n");
        notes.iter().for_each(|note| wrap_under(s, "  - ", "    ", note));
    }
}

/// What dvrd would hold on this host, at the limits it starts with.
fn of_host(s: &mut String, cloud: &Cloud, name: &str) -> Result<(), Failure> {
    let placement = Placement::of(cloud);
    let here = |of: &BTreeMap<&str, BTreeSet<&str>>, call: &dyn Fn(&str) -> String| {
        let names: Vec<String> = of.iter().filter(|(_, hosts)| hosts.contains(name)).map(|(id, _)| call(id)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let word =
        |id: &str, name: Option<&String>| name.filter(|n| !n.is_empty()).map_or_else(|| id.to_owned(), String::clone);
    let routers = here(&placement.routers, &|id| word(id, cloud.routers.get(id).map(|r| &r.name)));
    let networks = here(&placement.networks, &|id| word(id, cloud.networks.get(id).map(|n| &n.name)));
    let _ = writeln!(s, "\nOn host {name}");
    wrap_under(s, "  Routers   ", "            ", &routers);
    wrap_under(s, "  Networks  ", "            ", &networks);
    let rows = Rows::derive(cloud, name).unwrap_or_default();
    let mut writer = Writer::new(1, Limits::default());
    writer
        .apply(&rows, None)
        .map_err(|e| Failure::new(format!("host {name}: {e}; give the host fewer ports or networks")))?;
    let _ = writeln!(s, "\n  {:<24}{:>8}{:>10}", "Table", "rows", "limit");
    let mut tables = writer.tables();
    tables.sort_by_key(|table| table.name);
    for table in tables {
        let _ = writeln!(s, "  {:<24}{:>8}{:>10}", table.name, table.rows, table.limit);
    }
    Ok(())
}
